"""The ``Store`` port over a PostgreSQL database that any number of nodes share."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, ClassVar, Final, TypeVar

from nightlatch.adapters.postgres.connections import (
    CANNOT_BE_REACHED,
    Again,
    Connections,
    PostgresReader,
    PostgresStep,
    in_transaction,
    leave,
)
from nightlatch.adapters.postgres.durability import QUESTION, durability
from nightlatch.adapters.postgres.schema import migrations, refuse_newer, schema_of
from nightlatch.adapters.postgres.together import Together
from nightlatch.adapters.sql.base import NOBODY
from nightlatch.adapters.sql.moving import MARK, refuse_moved
from nightlatch.adapters.sql.step import Step, StoreRefused
from nightlatch.adapters.sql.store import SqlStore, row_id
from nightlatch.domain.errors import Overloaded, Unavailable
from nightlatch.domain.limits import STORE_SECONDS
from nightlatch.domain.numbers import Decision, Number
from nightlatch.ports import Change, StoreWatch

T = TypeVar("T")
_MOST_WAITING: Final = 10_000
_STEPS_AT_ONCE: Final = 4
_SLOTS: Final = 64
_LONGEST_PAUSE: Final = 0.02


class PostgresStore(SqlStore):
    """Reads are single statements. Steps are serializable transactions, made again when another
    was in the way; but changes of numbers alone go together, see ``Together``."""

    _EACH: ClassVar[str] = (
        "(SELECT CAST(each AS BIGINT) AS value FROM json_array_elements_text(CAST(? AS json)) each)"
    )
    _UNLOCKED: ClassVar[str] = " FOR UPDATE SKIP LOCKED"

    def __init__(self, connections: Connections, audit_key: bytes) -> None:
        self._audit_key = audit_key
        self._connections = connections
        self._reader = PostgresReader(connections)
        self._room = asyncio.Semaphore(_STEPS_AT_ONCE)
        self._again = asyncio.Lock()
        self._waiting = 0
        self._to_read: dict[Hashable, asyncio.Task[Any]] = {}
        self._reading: dict[Hashable, asyncio.Task[Any]] = {}
        self._together = Together(connections, audit_key, self._alone, _any_slot)

    @classmethod
    async def open(
        cls, url: str, audit_key: bytes, *, pool: int = 10, watch: StoreWatch = NOBODY
    ) -> "PostgresStore":
        """Connect to a database that was migrated.

        Raises:
            StoreRefused: it cannot be reached, is not durable, or has another schema.
        """
        connections = await Connections.open(url, pool, watch)
        store = cls(connections, audit_key)
        try:
            await store._refuse_other_schema()
        except BaseException:
            await store.aclose()
            raise
        return store

    async def aclose(self) -> None:
        """Finish what is under way, and close. Idempotent."""
        await self._together.close()
        await self._connections.close()

    async def update(self, id: str, change: Change) -> Number:
        decision = await self._together.change(row_id(id), change)
        if decision.refusal is not None:
            raise decision.refusal
        return decision.number

    @asynccontextmanager
    async def alone(self, name: str, *, wait: bool = True) -> AsyncIterator[bool]:
        """Whether no other node does what is called *name* meanwhile; with *wait*, once it is so.

        A node that dies lets go. Raises Unavailable.
        """
        connection = await self._connections.apart()
        try:
            yield await _locked(connection, name, wait=wait)
        finally:
            await leave(connection)

    async def kids_in_use(self) -> dict[str, int]:
        """Reads every sealed value, however long it takes: seconds for ten million."""
        connection = await self._connections.apart()
        try:
            return await self._kids(PostgresStep(connection))
        except CANNOT_BE_REACHED as error:
            raise Unavailable from error
        finally:
            await leave(connection)

    async def faults(self) -> list[str]:
        """What does not fit together."""
        return await self._unknown_holders()

    async def durability(self) -> list[str]:
        """A sentence for each way in which the database could lose what it acknowledged.

        Raises Unavailable.
        """
        return durability(await self._all(QUESTION))

    async def time(self) -> datetime:
        """What the database's clock says. Raises Unavailable."""
        (now,) = await self._one("SELECT clock_timestamp()")
        return now  # type: ignore[no-any-return]  # timestamptz, which is an aware datetime

    async def _step(self, work: Callable[[Step], Awaitable[T]]) -> T:
        if self._waiting >= _MOST_WAITING:
            raise Overloaded
        self._waiting += 1
        try:
            async with asyncio.timeout(STORE_SECONDS), self._room:
                return await self._until_kept(work)
        except TimeoutError as error:
            raise Unavailable from error
        finally:
            self._waiting -= 1

    async def _until_kept(self, work: Callable[[Step], Awaitable[T]]) -> T:
        try:
            return await self._once(work)
        except Again as again:
            self._connections.watch.retried(again.why)
            async with self._again:  # one at a time, or those of this node hinder each other
                while True:
                    await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311 - no secret
                    try:
                        return await self._once(work)
                    except Again as again:
                        self._connections.watch.retried(again.why)

    async def _once(self, work: Callable[[Step], Awaitable[T]]) -> T:
        async with self._connections.one() as connection:
            kept: T = await in_transaction(connection, work, "SERIALIZABLE")
            self._connections.watch.committed(1)
            return kept

    async def _alone(self, id: int, change: Change) -> Decision:
        """One change of a number in a step of its own."""
        return await self._step(lambda step: self._decide(step, id, change))

    async def _remembered(self, key: Hashable, read: Callable[[], Awaitable[T | None]]) -> T | None:
        """What *read* finds now: nothing is kept, for another node may have committed since.

        Those who ask for the same at one moment share a read, never one that began before.
        """
        reading = self._to_read.get(key)
        if reading is None:
            reading = asyncio.create_task(self._read(key, read, self._reading.get(key)))
            reading.add_done_callback(_looked_at)
            self._to_read[key] = reading
        found: T | None = await asyncio.shield(reading)
        return found

    async def _read(
        self,
        key: Hashable,
        read: Callable[[], Awaitable[T | None]],
        before: "asyncio.Task[Any] | None",
    ) -> T | None:
        """Read once the one *before* has ended; when that failed, this fails too."""
        try:
            if before is not None:
                await asyncio.shield(before)
        except BaseException:
            del self._to_read[key]
            raise
        reading = self._reading[key] = self._to_read.pop(key)
        try:
            return await read()
        finally:
            if self._reading.get(key) is reading:
                del self._reading[key]

    def _slot(self, number: Number) -> int:
        del number
        return _any_slot()

    async def _refuse_other_schema(self) -> None:
        async with self._connections.one() as connection:
            at = await schema_of(PostgresStep(connection))
        refuse_newer(at)
        if at < len(migrations()):
            raise StoreRefused(
                f"the database has schema {at}, this Nightlatch needs {len(migrations())};"
                " run: nightlatch migrate"
            )
        mark = await self._one("SELECT value FROM meta WHERE key = ?", (MARK,))
        refuse_moved("the database", None if mark is None else mark[0])


def _looked_at(reading: "asyncio.Task[Any]") -> None:
    """Nobody may be left to look at what it failed with."""
    if not reading.cancelled():
        reading.exception()


async def _locked(connection: Any, name: str, *, wait: bool) -> bool:
    """Whether *connection* has the lock of that *name* from now on. Raises Unavailable."""
    try:
        if not wait:
            query = "SELECT pg_try_advisory_lock(hashtext($1))"
            return bool(await connection.fetchval(query, name, timeout=STORE_SECONDS))
        await connection.execute("SELECT pg_advisory_lock(hashtext($1))", name)
    except CANNOT_BE_REACHED as error:
        raise Unavailable from error
    return True


def _any_slot() -> int:
    """Whichever row nobody else adds to just now, with luck."""
    return random.randrange(_SLOTS)  # noqa: S311 - no secret
