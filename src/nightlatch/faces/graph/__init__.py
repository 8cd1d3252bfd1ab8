"""The Graph face: ``/graph/v{N}.0``, as Cloud API integrations call it.

``routes.py`` is the whole table, ``errors.py`` numbers and words the refusals,
``versions.py`` holds what differs between Graph versions, ``fields.py`` what
objects show; one module per resource has the handlers. Nothing here decides:
the same use cases serve ``/v1`` and the Manager.
"""
