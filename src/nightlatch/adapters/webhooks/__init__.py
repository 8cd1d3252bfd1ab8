"""Webhooks by HTTP, and the addresses that they may go to.

What is told to whom, and when it is tried again, is in ``domain/`` and ``usecases/``.
"""

from nightlatch.adapters.webhooks.late import LateReceivers

__all__ = ["LateReceivers"]
