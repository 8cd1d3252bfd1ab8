"""The store in a PostgreSQL database, for any number of nodes."""

from nightlatch.adapters.postgres.schema import migrate
from nightlatch.adapters.postgres.store import PostgresStore

__all__ = ["PostgresStore", "migrate"]
