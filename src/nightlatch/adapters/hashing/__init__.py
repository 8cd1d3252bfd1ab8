"""The slow hash of PINs and passwords."""

from nightlatch.adapters.hashing.argon2_pool import CHEAP, OWASP, Argon2Pool, Cost
from nightlatch.adapters.hashing.memory import keep_blocks

__all__ = ["CHEAP", "OWASP", "Argon2Pool", "Cost", "keep_blocks"]
