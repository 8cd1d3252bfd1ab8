"""Nightlatch: the WhatsApp Business API Client again, two-step verification at its heart."""

__version__ = "0.1.0"
