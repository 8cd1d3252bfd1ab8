"""Connections to PostgreSQL, and statements on them in the words of the shared store."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import structlog

from nightlatch.adapters.postgres.durability import SETTINGS, durability
from nightlatch.adapters.sql.base import NOBODY
from nightlatch.adapters.sql.step import ConstraintBroken, StoreRefused, Values
from nightlatch.domain.errors import Unavailable
from nightlatch.domain.limits import STORE_SECONDS
from nightlatch.ports import StoreWatch

_STATEMENTS_KEPT: Final = 500
_MOST_QUERIES: Final = 1_000_000_000
_MILLISECONDS: Final = str(int(STORE_SECONDS * 1_000))
_LOCKED_MS: Final = "100"
"""After which a step that waits for another makes way and begins again: each may wait for the
other, and the server would look for that only after a second."""
_ABANDONED_MS: Final = "10000"
"""After which the server ends a step whose node stopped in the middle."""
_SETTINGS: Final = {
    "application_name": "nightlatch",
    "statement_timeout": _MILLISECONDS,
    "lock_timeout": _LOCKED_MS,
    "idle_in_transaction_session_timeout": _ABANDONED_MS,
    "jit": "off",
}
CANNOT_BE_REACHED: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresError,
)


_IN_THE_WAY: Final[dict[type[BaseException], str]] = {
    asyncpg.SerializationError: "serialization",
    asyncpg.DeadlockDetectedError: "deadlock",
    asyncpg.LockNotAvailableError: "lock",
}
_OTHERS: Final = tuple(_IN_THE_WAY)


class Again(Exception):
    """Another step was in the way: nothing was kept, and the same may succeed now."""

    def __init__(self, why: str) -> None:
        self.why = why
        """As ``StoreWatch.retried`` is told."""


class PostgresStep:
    """Runs statements on one connection, in the transaction that is open there, if any."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def one(self, sql: str, values: Values = ()) -> Any:
        found = await self.all(sql, values)
        return found[0] if found else None

    async def all(self, sql: str, values: Values = ()) -> Sequence[Any]:
        if not _fits(values):
            if not sql.startswith("SELECT"):
                return []
            values = [value if _fits((value,)) else None for value in values]  # equals no value
        with in_our_words():
            found = await self._connection.fetch(numbered(sql), *values)
        return [tuple(row) for row in found]

    async def run(self, sql: str, values: Values = ()) -> int:
        if not _fits(values) and not sql.startswith("INSERT"):
            return 0
        with in_our_words():
            tag: str = await self._connection.execute(numbered(sql), *values)
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0

    async def many(self, sql: str, values: Sequence[Values]) -> None:
        if values:
            with in_our_words():
                await self._connection.executemany(numbered(sql), values)


class PostgresReader:
    """The same for single statements that read, each on whichever connection is free."""

    def __init__(self, connections: "Connections") -> None:
        self._connections = connections

    async def one(self, sql: str, values: Values = ()) -> Any:
        found = await self.all(sql, values)
        return found[0] if found else None

    async def all(self, sql: str, values: Values = ()) -> Sequence[Any]:
        async with self._connections.one() as connection:
            return await PostgresStep(connection).all(sql, values)

    async def run(self, sql: str, values: Values = ()) -> int:
        raise NotImplementedError

    async def many(self, sql: str, values: Sequence[Values]) -> None:
        raise NotImplementedError


class Connections:
    """Some connections to one database, opened when they are needed."""

    watch: StoreWatch = NOBODY
    opened = 0
    """How many there have been."""

    def __init__(self, url: str, watch: StoreWatch = NOBODY) -> None:
        self._pool: Any = None
        self._url = url
        self.watch = watch
        self._failing = False
        self._times_failed = 0

    @classmethod
    async def open(cls, url: str, most: int, watch: StoreWatch = NOBODY) -> "Connections":
        """Connect once, to see that it can be done.

        Raises:
            StoreRefused: it cannot, or the server would lose what it acknowledged.
        """
        connections = cls(url, watch)
        try:
            async with asyncio.timeout(STORE_SECONDS * 3):
                pool = connections._pool = await asyncpg.create_pool(
                    url,
                    min_size=0,  # else the pool tries again by itself, and logs its own way
                    max_size=most,
                    max_queries=_MOST_QUERIES,
                    statement_cache_size=_STATEMENTS_KEPT,
                    timeout=STORE_SECONDS,
                    connect=_reach,
                    init=connections._begin,
                    reset=_nothing,
                    server_settings=_SETTINGS,
                    target_session_attrs=_primary(url),
                )
                await pool.release(await pool.acquire())
        except (*CANNOT_BE_REACHED, ValueError) as error:
            raise StoreRefused(f"the database cannot be reached: {_kind(error)}") from error
        return connections

    async def _begin(self, connection: Any) -> None:
        """Raises StoreRefused."""
        self.opened += 1
        try:
            await _refuse_careless(connection)
        except BaseException as error:
            if _is_broken(error):
                connection.terminate()  # the pool would close it, and wait for a silent server
            raise

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Any]:
        """A connection for one statement or one step, within STORE_SECONDS.

        Raises:
            Unavailable: none is to be had, or it broke.
        """
        try:
            async with asyncio.timeout(STORE_SECONDS):
                connection = await self._pool.acquire()
                times_failed, broken = self._times_failed, False
                self._show()
                try:
                    yield connection
                except BaseException as error:
                    broken = _is_broken(error)
                    if not isinstance(error, CANNOT_BE_REACHED) and not broken:
                        self._works()
                    raise
                else:
                    self._works()
                finally:
                    if broken or self._times_failed != times_failed:
                        connection.terminate()  # one that expired the pool would close, and wait
                    await self._pool.release(connection)
                    self._show()
        except CANNOT_BE_REACHED as error:
            await self._fails(_kind(error))
            raise Unavailable from error
        except StoreRefused as error:
            await self._fails(str(error))
            raise Unavailable from error

    def _show(self) -> None:
        there = self._pool.get_size()
        self.watch.connections(there, there - self._pool.get_idle_size())

    async def _fails(self, error: str) -> None:
        """One line when that begins; and no other connection of before is waited for: of a server
        that was cut off, each would use up the time of a request."""
        if not self._failing:
            self._failing = True
            self._times_failed += 1
            structlog.get_logger().error("the database fails", error=error)
            await self._pool.expire_connections()

    def _works(self) -> None:
        """One line when it does again."""
        if self._failing:
            self._failing = False
            structlog.get_logger().info("the database is back")

    async def apart(self) -> Any:
        """A connection of its own, without limits of time; to be left. Raises Unavailable."""
        try:
            return await connect(self._url)
        except StoreRefused as error:
            raise Unavailable from error

    async def close(self) -> None:
        """Close them all; those in use are given a moment."""
        await leave(self._pool)


async def leave(connection: Any) -> None:
    """Close a connection, or a pool of them: in order when the server answers in STORE_SECONDS.

    asyncpg's own limit of time leaves out what it waits for first, the end of a
    statement that was given up; and a server that is silent ends none.
    """
    try:
        async with asyncio.timeout(STORE_SECONDS):
            await connection.close()
    except CANNOT_BE_REACHED:
        connection.terminate()


async def connect(url: str) -> Any:
    """One connection, without any limit of time for its statements. Raises StoreRefused."""
    try:
        return await _reach(url, timeout=STORE_SECONDS * 3, target_session_attrs=_primary(url))
    except (*CANNOT_BE_REACHED, ValueError) as error:
        raise StoreRefused(f"the database cannot be reached: {_kind(error)}") from error


async def _reach(url: str, **how: Any) -> Any:
    """A connection to whichever server of *url* fits, as ``asyncpg.connect``.

    All are asked at the same time: asked one after the other, one that is frozen or cut off
    would use up the time of those behind it.
    """
    tries = [asyncio.create_task(asyncpg.connect(one, **how)) for one in each_host(url)]
    waiting = set(tries)
    best: asyncio.Task[Any] | None = None
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                if one.exception() is None:
                    best = one
                    return one.result()
        return tries[0].result()  # raises
    finally:
        for one in tries:
            if one is not best:
                one.cancel()
                one.add_done_callback(_give_back)


def _give_back(connecting: "asyncio.Task[Any]") -> None:
    """Close a connection that came second, if it came."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().terminate()


def each_host(url: str) -> list[str]:
    """*url* once for each server that it names before the first slash."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts:
        return [url]
    return [parts._replace(netloc=f"{login}{at}{host}").geturl() for host in hosts.split(",")]


async def in_transaction(
    connection: Any, work: Callable[[PostgresStep], Awaitable[Any]], isolation: str
) -> Any:
    """What *work* comes to, all or nothing of it kept.

    Raises:
        Again: another step was in the way.
    """
    with in_our_words():
        await connection.execute(f"BEGIN ISOLATION LEVEL {isolation}")
    try:
        result = await work(PostgresStep(connection))
    except BaseException as error:
        if not _is_broken(error):
            with contextlib.suppress(*CANNOT_BE_REACHED):
                await connection.execute("ROLLBACK")
        raise
    with in_our_words():
        await connection.execute("COMMIT")
    return result


@lru_cache(maxsize=1_000)
def numbered(sql: str) -> str:
    """The statement with its question marks numbered. None of ours holds one in a text."""
    parts = sql.split("?")
    return "".join([parts[0], *(f"${index}{part}" for index, part in enumerate(parts[1:], 1))])


@contextmanager
def in_our_words() -> Iterator[None]:
    try:
        yield
    except _OTHERS as error:
        raise Again(_IN_THE_WAY.get(type(error), "serialization")) from error
    except asyncpg.IntegrityConstraintViolationError as error:
        raise ConstraintBroken from error


async def _refuse_careless(connection: Any) -> None:
    """Raises StoreRefused."""
    found = await connection.fetch(SETTINGS)
    for said in durability(tuple(row) for row in found):
        raise StoreRefused(f"the database would lose what it acknowledged: {said}")


async def _nothing(connection: Any) -> None:
    """What is left to do when a connection is given back: a step has ended its transaction."""


def _is_broken(error: BaseException) -> bool:
    """Whether a connection may be in any state after *error*."""
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return True  # it is no primary any more; the next connection looks for the one that is
    return not isinstance(error, Exception) or isinstance(
        error, OSError | TimeoutError | asyncpg.InterfaceError | asyncpg.InternalClientError
    )


def _fits(values: Values) -> bool:
    """Whether PostgreSQL can hold them: no text with NUL or half a character is in there."""
    for value in values:
        if type(value) is str and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                return False
        if type(value) is str and "\0" in value:
            return False
    return True


def _primary(url: str) -> str | None:
    """Of several hosts the one that may be written to, unless the address says otherwise."""
    return None if "target_session_attrs" in url else "read-write"


def _kind(error: BaseException) -> str:
    """What happened, without the words of the driver, which may quote values."""
    state = getattr(error, "sqlstate", None)
    return type(error).__name__ + (f" {state}" if state else "")
