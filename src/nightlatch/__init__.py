"""Nightlatch: the WhatsApp Business API Client, alive again, with two-step verification at its heart."""

__version__ = "0.1.0"
