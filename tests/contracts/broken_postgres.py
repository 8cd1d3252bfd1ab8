"""Stores that break a promise in what only PostgreSQL's store does, and the checks that must notice.

What both stores share is broken in the other modules, on SQLite.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, ClassVar

from nightlatch.adapters.postgres import PostgresStore
from nightlatch.adapters.postgres.connections import Connections
from nightlatch.adapters.sql.rows import micros, moment
from nightlatch.domain.numbers import CodeMessage
from nightlatch.ports import OutboxMessage
from tests.contracts import checks, people
from tests.contracts.broken_linked import CONTROLS
from tests.contracts.checks import Check
from tests.contracts.make_postgres import MakePostgres

__all__ = ["CONTROLS"]


def noticed_by(*noticing: Check) -> Any:
    """The store breaks a promise, and each of these checks must fail on it."""

    def listed(broken: type[PostgresStore]) -> type[PostgresStore]:
        class MakeBroken(MakePostgres):
            name: ClassVar[str] = broken.__name__
            store_class: ClassVar[type[PostgresStore]] = broken

        CONTROLS.extend((MakeBroken, check) for check in noticing)
        return broken

    return listed


class _Reworded:
    """A connection on which *old* words of statements are said as *new* ones."""

    def __init__(self, connection: Any, old: str, new: str) -> None:
        self._connection = connection
        self._words = (old, new)

    async def fetch(self, sql: str, *values: Any) -> Any:
        return await self._connection.fetch(sql.replace(*self._words), *values)

    async def execute(self, sql: str, *values: Any) -> Any:
        return await self._connection.execute(sql.replace(*self._words), *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class _Rewording(Connections):
    """The connections of a store, each reworded."""

    def __init__(self, real: Connections, old: str, new: str) -> None:
        self._real = real
        self._words = (old, new)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Any]:
        async with self._real.one() as connection:
            yield _Reworded(connection, *self._words)

    async def close(self) -> None:
        await self._real.close()


@noticed_by(checks.check_threads_with_stores_and_loops_of_their_own_lose_nothing)
class ComparesNothing(PostgresStore):
    """Writes what it made of a row, whatever the row says by then."""

    def __init__(self, connections: Connections, audit_key: bytes) -> None:
        compared = " AND n.xmin::text = g.version"
        super().__init__(_Rewording(connections, compared, ""), audit_key)


@noticed_by(
    checks.check_hundreds_of_changes_of_one_user_at_once_are_all_counted,
    people.check_the_last_owner_stays_whatever_is_tried_at_once,
)
class SeesHalfOfOtherSteps(PostgresStore):
    """``READ COMMITTED``: what a step read may be otherwise before it writes."""

    def __init__(self, connections: Connections, audit_key: bytes) -> None:
        rewording = _Rewording(connections, "LEVEL SERIALIZABLE", "LEVEL READ COMMITTED")
        super().__init__(rewording, audit_key)


class _Hurrying(Connections):
    def __init__(self, real: Connections) -> None:
        self._real = real

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Any]:
        async with self._real.one() as connection:
            await connection.execute("SET synchronous_commit = off")
            yield connection

    async def close(self) -> None:
        await self._real.close()


@noticed_by(checks.check_a_commit_waits_for_the_disk)
class AnswersBeforeTheDisk(PostgresStore):
    """``synchronous_commit=off``: quick, and a power cut takes the last changes back."""

    def __init__(self, connections: Connections, audit_key: bytes) -> None:
        super().__init__(_Hurrying(connections), audit_key)


@noticed_by(checks.check_parallel_leasers_never_get_the_same_message)
class LooksBeforeItLeases(PostgresStore):
    """Asks what is due, and claims that a moment later."""

    async def lease(self, now: datetime, until: datetime, limit: int) -> Sequence[OutboxMessage]:
        due = await self._all(
            "SELECT key, number, e164, method, sealed, expires_at, attempts FROM outbox"
            " WHERE due_at <= ? ORDER BY due_at LIMIT ?",
            (micros(now), limit),
        )
        for key, *_ in due:
            await self._execute(
                "UPDATE outbox SET due_at = ?, attempts = attempts + 1 WHERE key = ?",
                (micros(until), key),
            )
        return [
            OutboxMessage(
                key, str(number), CodeMessage(e164, method, sealed, moment(expires)), attempts + 1
            )
            for key, number, e164, method, sealed, expires, attempts in due
        ]
