"""One side of a move: a PostgreSQL database."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg

from nightlatch.adapters.postgres.connections import Again, Connections, PostgresStep, connect
from nightlatch.adapters.postgres.schema import migrate, migrations, schema_of
from nightlatch.adapters.sql.moving import TABLES, Book, Mark, Row, Table, refuse_upgrade
from nightlatch.adapters.sql.step import ConstraintBroken, StoreRefused, Values

_SETTINGS: Final = """
SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '10s';
SET maintenance_work_mem = '256MB'; SET jit = off
"""
_OTHERS: Final = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'nightlatch'"
)
_FOREIGN: Final = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"
_FREEZING: Final = """
CREATE OR REPLACE FUNCTION nightlatch_moved() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'everything in here is moved elsewhere'; END $$
"""
_COLUMNS: Final = (
    "SELECT attname FROM pg_attribute"
    " WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)
_KEY: Final = (
    "SELECT a.attname FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (at, place)"
    " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.at"
    " WHERE i.indrelid = to_regclass(?) AND i.indisprimary ORDER BY k.place"
)
_INDEXES: Final = (
    "SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i"
    " JOIN pg_class c ON c.oid = i.indexrelid"
    " WHERE i.indrelid = ANY (SELECT to_regclass(unnest(CAST(? AS text[]))))"
    " AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)"
)
_SEQUENCE: Final = "SELECT pg_get_serial_sequence('deliveries', 'key')"
_FAILED: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresError,
)


class PostgresBook(Book):
    """On one connection."""

    def __init__(self, connection: Any, where: str) -> None:
        self.where = where
        self._connection = connection
        self.step = _Step(connection, where)

    @classmethod
    async def open(cls, url: str) -> "PostgresBook":
        """What holds a Nightlatch; brings it to the current schema.

        Raises:
            StoreRefused: it cannot be reached, holds none, or one of another version that must
                not be changed now.
        """
        return await cls._opened(url, fresh=False)

    @classmethod
    async def create(cls, url: str) -> "PostgresBook":
        """What may be moved to; an empty database is given the schema.

        Raises:
            StoreRefused: it cannot be reached, would lose what it acknowledged, or holds tables of
                somebody else.
        """
        await (await Connections.open(url, 1)).close()
        return await cls._opened(url, fresh=True)

    @classmethod
    async def _opened(cls, url: str, *, fresh: bool) -> "PostgresBook":
        book = cls(await connect(url), place(url))
        try:
            at = await schema_of(book.step)
            if not at:
                await book._refuse_foreign(fresh=fresh)
            mark = await book.mark() if at else None
            refuse_upgrade(book.where, mark, at, len(migrations()))
            with _told(book.where):
                await migrate(url)
                await book._connection.execute(_SETTINGS)
        except BaseException:
            await book.close()
            raise
        return book

    async def _refuse_foreign(self, *, fresh: bool) -> None:
        if not fresh:
            raise StoreRefused(f"{self.where} holds no Nightlatch")
        (foreign,) = await self.step.one(_FOREIGN)
        if foreign:
            raise StoreRefused(
                f"{self.where} cannot be moved to: it holds something already;"
                " name an empty database"
            )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        with _told(self.where):
            await self._connection.execute("BEGIN")
        try:
            yield
            with _told(self.where):
                await self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(*_FAILED):
                await self._connection.execute("ROLLBACK")
            raise

    async def table(self, name: str) -> Table:
        columns = await self.step.all(_COLUMNS, (name,))
        keys = await self.step.all(_KEY, (name,))
        return Table(name, tuple(one for (one,) in columns), tuple(one for (one,) in keys))

    async def insert(self, table: Table, rows: Sequence[Row]) -> None:
        await self.step.run("SAVEPOINT page")
        try:
            await self._copy(table, rows)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError, TypeError) as error:
            if self._connection.is_closed():
                raise StoreRefused(_failure(self.where, error)) from error
            raise await self._misfit(table, rows) from error
        except _FAILED as error:
            raise StoreRefused(_failure(self.where, error)) from error

    async def refuse_users(self) -> None:
        (others,) = await self.step.one(_OTHERS)
        if others:
            raise StoreRefused(
                f"{self.where} is in use, by {others} connections; stop every node and command"
            )

    async def freeze(self, mark: Mark) -> None:
        async with self.transaction():
            await self.step.run(_FREEZING)
            for name in TABLES:
                await self.step.run(
                    "CREATE TRIGGER moved BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE"
                    f" ON {name} FOR EACH STATEMENT EXECUTE FUNCTION nightlatch_moved()"
                )
            await self.remark(None, mark)
            await self.refuse_users()  # who comes now finds the mark, or cannot write

    async def melt(self) -> None:
        for name in TABLES:
            await self.step.run(f"DROP TRIGGER moved ON {name}")
        await self.step.run("DROP FUNCTION nightlatch_moved()")

    async def indexes(self) -> dict[str, str]:
        found = await self.step.all(_INDEXES, (list(TABLES),))
        return {str(name): str(statement) for name, statement in found}

    async def last_delivery(self) -> int:
        (sequence,) = await self.step.one(_SEQUENCE)
        last, called = await self.step.one(f"SELECT last_value, is_called FROM {sequence}")  # noqa: S608 - its own name
        return int(last) if called else int(last) - 1

    async def go_on_after(self, delivery: int) -> None:
        await self.step.one(f"SELECT setval(({_SEQUENCE}), ?, false)", (delivery + 1,))

    async def learn(self) -> None:
        await self.step.run("ANALYZE")

    async def close(self) -> None:
        with contextlib.suppress(*_FAILED):
            await self._connection.close(timeout=5)

    async def _copy(self, table: Table, rows: Sequence[Row]) -> None:
        await self._connection.copy_records_to_table(
            table.name, records=rows, columns=table.columns
        )

    async def _misfit(self, table: Table, rows: Sequence[Row]) -> StoreRefused:
        """What is wrong with the first of *rows* that cannot be kept."""
        fitting, end = 0, len(rows)
        while end - fitting > 1:
            middle = (fitting + end) // 2
            if await self._fault(table, rows[fitting:middle]):
                end = middle
            else:
                fitting = middle
        row = rows[fitting]
        fault = await self._fault(table, [row])
        if any(isinstance(value, str) and "\0" in value for value in row):
            fault = "a text holds the character NUL"
        return StoreRefused(
            f"PostgreSQL cannot keep {table.called(row)}: {fault or 'another move is at work'}"
        )

    async def _fault(self, table: Table, rows: Sequence[Row]) -> str:
        """Why *rows* cannot be kept; nothing when they can."""
        await self.step.run("ROLLBACK TO page")
        try:
            await self._copy(table, rows)
        except _FAILED as error:
            if self._connection.is_closed():
                raise StoreRefused(_failure(self.where, error)) from error
            return _kind(error)
        except (ValueError, TypeError) as error:
            return _kind(error)
        return ""


class _Step(PostgresStep):
    """The same, with failures in our words."""

    def __init__(self, connection: Any, where: str) -> None:
        super().__init__(connection)
        self._where = where

    async def all(self, sql: str, values: Values = ()) -> Sequence[Any]:
        with _told(self._where):
            return await super().all(sql, values)

    async def run(self, sql: str, values: Values = ()) -> int:
        with _told(self._where):
            return await super().run(sql, values)


def place(url: str) -> str:
    """The address without user, password and options."""
    parts = urlsplit(url)
    return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def _told(where: str) -> Iterator[None]:
    try:
        yield
    except (*_FAILED, Again, ConstraintBroken) as error:
        raise StoreRefused(_failure(where, error)) from error


def _failure(where: str, error: BaseException) -> str:
    error = error.__cause__ or error if isinstance(error, Again | ConstraintBroken) else error
    return f"{where} failed ({_kind(error)}); the same command goes on when it is back"


def _kind(error: BaseException) -> str:
    """Without the driver's words, which may quote values."""
    state = getattr(error, "sqlstate", None)
    return type(error).__name__ + (f" {state}" if state else "")
