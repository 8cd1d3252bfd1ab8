"""The store in one SQLite file, for one machine."""

from nightlatch.adapters.sql.step import StoreRefused
from nightlatch.adapters.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "StoreRefused"]
