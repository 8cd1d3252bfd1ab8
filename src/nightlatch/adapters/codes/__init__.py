"""Code senders. ``handset`` shows what a phone would have received."""

from nightlatch.adapters.codes.handset import HandsetSender

__all__ = ["HandsetSender"]
