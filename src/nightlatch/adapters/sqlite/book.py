"""One side of a move: a SQLite file."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from nightlatch.adapters.sql.moving import MARK, TABLES, Book, Mark, Row, Table, refuse_upgrade
from nightlatch.adapters.sql.step import StoreRefused, Values
from nightlatch.adapters.sqlite.schema import mark_of, migrate, migrations
from nightlatch.adapters.sqlite.store import _create
from nightlatch.adapters.sqlite.writer import connect

T = TypeVar("T")
_BUSY_MS: Final = 30_000  # commands look in, and refuse
_SOON: Final = 0.2
_CACHE_KIB: Final = 64 * 1024
_ACTS: Final = ("INSERT", "UPDATE", "DELETE")


class SqliteBook(Book):
    """Its connection lives in a thread of its own, so that the other side works meanwhile."""

    def __init__(self, path: Path) -> None:
        """Open the file, which must be there, and bring it to the current schema.

        Raises:
            StoreRefused: it cannot be opened, or is of a newer version.
        """
        self.where = str(path.absolute())
        self._path = path
        self._thread = ThreadPoolExecutor(1, "sqlite-move")
        self.step = _Step(self._do)
        try:
            self._connection = _open(path)
            try:
                at = self._connection.execute("PRAGMA user_version").fetchone()[0]
                refuse_upgrade(self.where, mark_of(self._connection), at, len(migrations()))
                migrate(self._connection)
            except BaseException:
                self._connection.close()
                raise
        except sqlite3.Error as error:
            raise StoreRefused(f"{path} cannot be opened as a database: {error}") from error

    @classmethod
    def create(cls, path: Path) -> "SqliteBook":
        """Begin a new file, or go on with the one that is there. Raises StoreRefused."""
        try:
            _create(path)
        except OSError as error:
            raise StoreRefused(f"{path} cannot be written: {error.strerror}") from error
        return cls(path)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        await self._do(lambda connection: connection.execute("BEGIN IMMEDIATE"))
        try:
            yield
            await self._do(lambda connection: connection.execute("COMMIT"))
        except BaseException:
            await self._do(_roll_back)
            raise

    async def table(self, name: str) -> Table:
        found = await self.step.all(f"PRAGMA table_info({name})")
        keys = sorted((place, column) for _, column, _, _, _, place in found if place)
        return Table(name, tuple(row[1] for row in found), tuple(column for _, column in keys))

    async def insert(self, table: Table, rows: Sequence[Row]) -> None:
        columns = ", ".join(f'"{column}"' for column in table.columns)
        marks = ", ".join("?" * len(table.columns))
        statement = f'INSERT INTO "{table.name}" ({columns}) VALUES ({marks})'  # noqa: S608 - our own
        await self._do(lambda connection: connection.executemany(statement, rows))

    async def refuse_users(self) -> None:
        await self._alone(lambda _: None)

    async def freeze(self, mark: Mark) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO meta (key, value) VALUES (?, ?)", (MARK, mark.text()))
            for name in TABLES:
                for act in _ACTS:
                    connection.execute(
                        f"CREATE TRIGGER moved_{name}_{act} BEFORE {act} ON {name}"
                        " BEGIN SELECT RAISE(ABORT, 'everything in here is moved elsewhere'); END"
                    )

        await self._alone(work)

    async def melt(self) -> None:
        for name in TABLES:
            for act in _ACTS:
                await self.step.run(f"DROP TRIGGER moved_{name}_{act}")

    async def indexes(self) -> dict[str, str]:
        found = await self.step.all(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        )
        return {str(name): str(sql) for name, sql in found}

    async def last_delivery(self) -> int:
        row = await self.step.one("SELECT seq FROM sqlite_sequence WHERE name = 'deliveries'")
        return 0 if row is None else int(row[0])

    async def go_on_after(self, delivery: int) -> None:
        await self.step.run("DELETE FROM sqlite_sequence WHERE name = 'deliveries'")
        await self.step.run(
            "INSERT INTO sqlite_sequence (name, seq) VALUES ('deliveries', ?)", (delivery,)
        )

    async def learn(self) -> None:
        """Nothing: the store's questions are planned without figures, as in a file that grew."""

    async def close(self) -> None:
        self._thread.shutdown()
        self._connection.close()

    async def _alone(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do *work* in a transaction while nobody else has the file open, not even we."""

        def apart(connection: sqlite3.Connection) -> None:
            connection.close()
            other = sqlite3.connect(self._path, isolation_level=None, timeout=_SOON)
            try:
                other.execute("PRAGMA locking_mode = EXCLUSIVE")  # before it sees the log
                other.execute("PRAGMA synchronous = FULL")
                other.execute("PRAGMA fullfsync = ON")
                other.execute("BEGIN IMMEDIATE")
                work(other)
                other.execute("COMMIT")
            except sqlite3.IntegrityError as error:
                raise StoreRefused(f"another move from {self._path} has begun") from error
            except sqlite3.OperationalError as error:
                raise StoreRefused(
                    f"{self._path} is in use ({error}); stop the server and all commands on it"
                ) from error
            finally:
                other.close()
                self._connection = _open(self._path)

        await self._do(apart)

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, lambda: work(self._connection))
        except sqlite3.IntegrityError as error:
            raise StoreRefused(
                f"{self._path} is written by somebody else, or a row points nowhere: {error}"
            ) from error
        except sqlite3.Error as error:
            raise StoreRefused(
                f"{self._path}: {error}; the same command goes on when it is mended"
            ) from error


class _Step:
    """Statements of the shared kind, in the thread."""

    def __init__(self, do: Callable[[Callable[[sqlite3.Connection], Any]], Any]) -> None:
        self._do = do

    async def one(self, sql: str, values: Values = ()) -> Any:
        return await self._do(lambda connection: connection.execute(sql, values).fetchone())

    async def all(self, sql: str, values: Values = ()) -> Sequence[Any]:
        found: Sequence[Any] = await self._do(
            lambda connection: connection.execute(sql, values).fetchall()
        )
        return found

    async def run(self, sql: str, values: Values = ()) -> int:
        return int(await self._do(lambda connection: connection.execute(sql, values).rowcount))

    async def many(self, sql: str, values: Sequence[Values]) -> None:
        await self._do(lambda connection: connection.executemany(sql, values))


def _open(path: Path) -> sqlite3.Connection:
    connection = connect(path)
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return connection


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # SQLite may have rolled back by itself
        connection.execute("ROLLBACK")
