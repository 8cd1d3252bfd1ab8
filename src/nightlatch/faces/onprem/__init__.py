"""The On-Premises API: ``/v1`` for the first client, ``/clients/{name}/v1`` for others.

``routes.py`` is the whole table. A handler takes a ``Call`` and returns status
and body; everything else (who asks, what was sent, how a refusal reads) is
done once, in ``wire.py``.
"""
