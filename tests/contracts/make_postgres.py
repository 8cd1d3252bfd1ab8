"""How the PostgreSQL store is made; apart, so that a process on SQLite need not load its driver."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import asyncpg

from nightlatch.adapters.postgres import PostgresStore, migrate
from tests.contracts.makers import AUDIT_KEY, Make
from tests.postgres import shared


class MakePostgres(Make[PostgresStore]):
    """Opens stores over one database of the tests' server, which has the schema and no rows."""

    name: ClassVar[str] = "postgres"
    store_class: ClassVar[type[PostgresStore]] = PostgresStore
    most_at_once: ClassVar[int] = 20
    without: ClassVar[dict[str, str]] = {
        "check_one_store_object_serves_several_loops_at_once": (
            "connections belong to the loop that opened them: each loop opens a store of its own"
        ),
    }

    def __init__(self, folder: Path, url: str | None = None) -> None:
        super().__init__(folder)
        self._borrowed = url is not None
        self._url = url

    @classmethod
    def at(cls, place: str) -> "MakePostgres":
        return cls(Path(), place)

    async def close(self) -> None:
        await super().close()
        if self._url is not None and not self._borrowed:
            await _empty(self._url)
            _ready.append(self._url)

    @asynccontextmanager
    async def writers_locked_out(self) -> AsyncIterator[None]:
        other = await asyncpg.connect(self._place())
        try:
            async with other.transaction():
                tables = ", ".join(await _tables(other))
                await other.execute(f"LOCK TABLE {tables} IN EXCLUSIVE MODE")
                yield
        finally:
            other.terminate()

    async def syncs_before_it_answers(self, store: PostgresStore) -> bool:
        (level,) = await store._step(lambda step: step.one("SHOW synchronous_commit"))
        return level in ("on", "remote_apply")

    def _place(self) -> str:
        if self._url is None:
            self._url = _ready.pop() if _ready else _migrated()
        return self._url

    async def _open(self) -> PostgresStore:
        return await self.store_class.open(self._place(), AUDIT_KEY)

    async def _close(self, store: PostgresStore) -> None:
        await store.aclose()


_ready: Final[list[str]] = []
"""Databases of this test process that are as ``migrate`` leaves them. They are emptied and used
again: a new one costs ten times as much, for the server that waits for the disk."""


def _migrated() -> str:
    """A new database with the current schema and nothing in it."""
    url = shared().fresh_database()
    with ThreadPoolExecutor() as apart:  # a loop runs here already
        apart.submit(asyncio.run, migrate(url)).result()
    return url


async def _empty(url: str) -> None:
    """Take back all that was done since ``migrate``, and part from whoever is connected."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await connection.execute("SET session_replication_role = replica")  # in any order
        for table in await _tables(connection):
            keep = " WHERE key <> 'schema'" if table == "meta" else ""
            await connection.execute(f"DELETE FROM {table}{keep}")
    finally:
        await connection.close()


async def _tables(connection: Any) -> list[str]:
    found = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return [row["tablename"] for row in found]
