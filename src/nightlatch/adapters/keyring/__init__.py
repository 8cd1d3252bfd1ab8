"""The key ring: a file outside the database that seals, hashes and signs."""

from nightlatch.adapters.keyring.file import KeyInfo, KeyRing, KeyRingRefused

__all__ = ["KeyInfo", "KeyRing", "KeyRingRefused"]
