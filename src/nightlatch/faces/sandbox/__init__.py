"""``/sandbox``: what a test asks of the registry in place of the world.

None of this is Meta's. It is there only with the setting ``sandbox_token``,
for whoever brings that token: it reads codes and letters, steps the clock and
makes calls of the Graph face go wrong. ``routes.py`` is the whole table.
"""
