"""One thread that writes: the changes of one moment share one commit, each in its own savepoint."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar, cast

from nightlatch.adapters.sql.base import NOBODY
from nightlatch.adapters.sql.step import ConstraintBroken, Step, StoreRefused, Values
from nightlatch.domain.errors import Overloaded, Unavailable
from nightlatch.domain.limits import STORE_SECONDS
from nightlatch.ports import StoreWatch

T = TypeVar("T")
Work = Callable[[Step], Awaitable[T]]

SLOTS: Final = 16
"""Rows that add up to one count: many writers, few rows to read."""
_MOST_WAITING: Final = 10_000
_MOST_IN_ONE_COMMIT: Final = 256
_BUSY_MS: Final = 1_500  # another process may hold the file; then 503 before STORE_SECONDS
_OPENING_MS: Final = 30_000  # others who begin the same file at this moment, on a slow disk


class SqliteStep:
    """Runs statements on a connection of SQLite's, without ever waiting."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def one(self, sql: str, values: Values = ()) -> Any:
        return self._execute(sql, values).fetchone()

    async def all(self, sql: str, values: Values = ()) -> Sequence[Any]:
        return self._execute(sql, values).fetchall()

    async def run(self, sql: str, values: Values = ()) -> int:
        return self._execute(sql, values).rowcount

    async def many(self, sql: str, values: Sequence[Values]) -> None:
        for one in values:
            self._execute(sql, one)

    def _execute(self, sql: str, values: Values) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, values)
        except sqlite3.IntegrityError as error:
            raise ConstraintBroken from error


class SqliteReader(SqliteStep):
    """The same for a connection that only reads, for whoever asks."""

    def _execute(self, sql: str, values: Values) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, values)
        except sqlite3.Error as error:
            raise Unavailable from error


def finish(work: Awaitable[T]) -> T:
    """What *work* comes to, which waits for nothing because SQLite does not."""
    try:
        cast(Coroutine[Any, Any, T], work).send(None)
    except StopIteration as done:
        return cast(T, done.value)
    raise RuntimeError("a step of SQLite waited for something")


@dataclass(slots=True)
class _Job:
    work: Work[Any]
    done: "asyncio.Future[Any]"
    value: Any = None
    error: BaseException | None = None


def connect(path: Path, *, readonly: bool = False, migrating: bool = False) -> sqlite3.Connection:
    """Open the database with everything durable. Raises StoreRefused when it is not.

    One that is *migrating* waits for others who do the same.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout = {_OPENING_MS}")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    if readonly:
        connection.execute("PRAGMA query_only = ON")
    level = connection.execute("PRAGMA synchronous").fetchone()[0]
    if mode != "wal" or level < 2:
        connection.close()
        raise StoreRefused(
            f"{path} cannot be written durably here (journal {mode}, synchronous {level}); "
            "put the data folder on a local disk"
        )
    if not migrating:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    return connection


class Writer:
    """Runs work on the writing connection, many pieces in one commit."""

    def __init__(self, path: Path, watch: StoreWatch = NOBODY) -> None:
        self._watch = watch
        self._connection = connect(path)
        self._statements = SqliteStep(self._connection)
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._waiting = 0
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Work[T]) -> T:
        """Run *work* in one atomic step; returns once it is durable.

        What *work* raises comes back unchanged, with nothing kept of it.

        Raises:
            Unavailable: the database failed, or did not answer in STORE_SECONDS;
                in the second case the step may be kept or not.
            Overloaded: too much is waiting; not begun.
        """
        if self._waiting >= _MOST_WAITING:
            raise Overloaded
        loop = asyncio.get_running_loop()
        job = _Job(work, loop.create_future())
        late = loop.call_later(STORE_SECONDS, _give_up, job.done)
        self._waiting += 1
        self._queue.put(job)
        try:
            return await job.done  # type: ignore[no-any-return]  # the future of this very work
        finally:
            late.cancel()

    def close(self) -> None:
        """Finish what is queued, then close. Idempotent."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            batch: list[_Job] = []
            job = self._queue.get()
            try:
                while job is not None:
                    batch.append(job)
                    if len(batch) >= _MOST_IN_ONE_COMMIT:
                        break
                    job = self._queue.get_nowait()
                stopping = job is None
            except Empty:
                pass
            if batch:
                self._commit(batch)
                self._tell(batch)

    def _commit(self, batch: list[_Job]) -> None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                if not job.done.done():
                    self._step(job)
            connection.execute("COMMIT")
            self._watch.committed(len(batch))
        except sqlite3.Error as error:
            for job in batch:
                job.error = Unavailable()
                job.error.__cause__ = error
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                connection.execute("ROLLBACK")

    def _step(self, job: _Job) -> None:
        """One savepoint. When the database fails the whole batch does: better 503 than half
        a truth. A broken constraint is one step's own affair."""
        connection = self._connection
        connection.execute("SAVEPOINT step")
        try:
            job.value = finish(job.work(self._statements))
        except Exception as error:
            if isinstance(error, sqlite3.Error):
                raise
            connection.execute("ROLLBACK TO step")
            job.error = error
        connection.execute("RELEASE step")

    def _tell(self, batch: list[_Job]) -> None:
        """Wake the waiters, once for each loop they wait on."""
        loops = {job.done.get_loop() for job in batch}
        for loop in loops:
            own = [job for job in batch if job.done.get_loop() is loop]
            try:
                loop.call_soon_threadsafe(self._settle, own)
            except RuntimeError:  # the loop is closed: nobody waits any more
                self._waiting -= len(own)

    def _settle(self, batch: list[_Job]) -> None:
        self._waiting -= len(batch)
        for job in batch:
            if job.done.done():
                continue
            if job.error is not None:
                job.done.set_exception(job.error)
            else:
                job.done.set_result(job.value)


def _give_up(done: "asyncio.Future[Any]") -> None:
    if not done.done():
        done.set_exception(Unavailable())
