"""One function per thing someone can ask for: load, decide, store, tell.

A rule found here belongs in ``domain/``. Called by the faces; reaches the
world only through ``ports``.
"""
