"""The ``Store`` port over one SQLite file."""

import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from nightlatch.adapters.sql.base import NOBODY
from nightlatch.adapters.sql.moving import refuse_moved
from nightlatch.adapters.sql.step import Step, StoreRefused
from nightlatch.adapters.sql.store import SqlStore
from nightlatch.adapters.sqlite.changes import Changes
from nightlatch.adapters.sqlite.schema import mark_of, migrate
from nightlatch.adapters.sqlite.writer import SLOTS, SqliteReader, Writer, connect
from nightlatch.domain.errors import Unavailable
from nightlatch.domain.numbers import Number
from nightlatch.ports import StoreWatch

T = TypeVar("T")
_MOST_REMEMBERED: Final = 10_000


class SqliteStore(SqlStore):
    """Writes go to one thread; reads run where they are called and never wait for writers."""

    _EACH: ClassVar[str] = "json_each(?)"
    _IN_ORDER: ClassVar[str] = "CROSS JOIN"

    def __init__(self, path: Path, audit_key: bytes, watch: StoreWatch = NOBODY) -> None:
        """Open, and bring to the current schema.

        Raises:
            StoreRefused: not durable here, damaged, or of a newer version.
        """
        self.path = path
        self._audit_key = audit_key
        self._closed = False
        self._known: dict[Hashable, Any] = {}
        self._known_at = b""
        try:
            _create(path)
            migrating = connect(path, migrating=True)
            try:
                refuse_moved(str(path), mark_of(migrating))
                migrate(migrating)
            finally:
                migrating.close()
            self._reading = connect(path, readonly=True)
            self._reader = SqliteReader(self._reading)
            self._writer = Writer(path, watch)
            self._changes = Changes.of(path)
        except (sqlite3.Error, OSError) as error:
            raise StoreRefused(f"{path} cannot be opened as a database: {error}") from error

    def close(self) -> None:
        """Finish what is queued and close. Idempotent."""
        if not self._closed:
            self._closed = True
            self._writer.close()
            self._reading.close()
            self._changes.release()

    async def aclose(self) -> None:
        self.close()

    @asynccontextmanager
    async def alone(self, name: str, *, wait: bool = True) -> AsyncIterator[bool]:
        """Whether what is called *name* may be done here: no other machine has this file, and
        its processes may do the same beside each other."""
        del name, wait
        yield True

    async def _step(self, work: Callable[[Step], Awaitable[T]]) -> T:
        return await self._writer.run(work)

    async def _remembered(self, key: Hashable, read: Callable[[], Awaitable[T | None]]) -> T | None:
        now = self._changes.seen()
        if now != self._known_at or len(self._known) > _MOST_REMEMBERED:
            self._known = {}
            self._known_at = now
        found: T | None = self._known.get(key)
        if found is None:
            found = await read()
            if found is not None:
                self._known[key] = found
        return found

    def _slot(self, number: Number) -> int:
        return int(number.id) % SLOTS

    def backup(self, path: Path, progress: Callable[[int, int], None]) -> None:
        """A consistent copy while others go on writing; *progress* hears pages left and total.

        Raises:
            StoreRefused: there is something at *path* already, or it cannot be written.
        """
        if path.exists():
            raise StoreRefused(f"{path} is there already; name a new file")
        try:
            _create(path)
        except OSError as error:
            raise StoreRefused(f"{path} cannot be written: {error.strerror}") from error
        source, target = connect(self.path, readonly=True), connect(path)
        try:
            target.execute("PRAGMA journal_mode = DELETE")
            source.execute("BEGIN")  # one snapshot; without it every write begins the copy anew
            source.execute("SELECT count(*) FROM meta").fetchone()
            source.backup(target, pages=500, progress=lambda _, left, total: progress(left, total))
        except sqlite3.Error as error:
            path.unlink()  # half a copy is worse than none
            raise StoreRefused(f"{path} cannot be written: {error}") from error
        finally:
            source.close()
            target.close()

    async def faults(self) -> list[str]:
        """What SQLite's own integrity check finds, and what does not fit together."""
        try:
            broken = self._reading.execute("PRAGMA integrity_check").fetchall()
            lost = self._reading.execute("PRAGMA foreign_key_check").fetchall()
        except sqlite3.Error as error:
            raise Unavailable from error
        found = [text for (text,) in broken if text != "ok"]
        found += [f"a row of {table} points nowhere" for table, *_ in lost]
        return found + await self._unknown_holders()


def _create(path: Path) -> None:
    """Make the file, for its owner only, unless it is there.

    It must not be opened again beside SQLite: closing any descriptor of it
    would drop this process's locks, and the next process to leave would take
    the log away from under us.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
