"""The store in one SQLite file, for one machine."""

from nightlatch.adapters.sqlite.store import SqliteStore
from nightlatch.adapters.sqlite.writer import StoreRefused

__all__ = ["SqliteStore", "StoreRefused"]
