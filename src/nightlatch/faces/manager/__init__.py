"""The Manager: pages for people, rendered here, with plain forms.

``routes.py`` is the whole table, ``app.py`` mounts it, ``messages.py`` says
each refusal in a sentence. Every page works without JavaScript.
"""
