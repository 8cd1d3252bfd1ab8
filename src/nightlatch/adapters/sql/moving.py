"""Moving everything from one database to another.

A move can stop at any moment and be gone on with. What it has done is told by
the rows that the target holds and by a mark in ``meta`` of each side:

    source   target   what may be opened
    -        -        the source
    -        COMES    the source
    LEAVES   COMES    neither; rows are copied, and compared
    GONE     COMES    neither; every row was equal
    GONE     -        the target
"""

import asyncio
import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from typing import Any, Final

from nightlatch.adapters.sql.base import upsert
from nightlatch.adapters.sql.step import Step, StoreRefused

Row = tuple[Any, ...]
Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Shows how far something is that takes long, by its title."""

MARK: Final = "move"
"""The key in ``meta`` of what is to be known about a move."""
_INDEXES: Final = "move_indexes"
_OWN: Final = frozenset({MARK, _INDEXES, "schema"})
"""What ``meta`` says about the database itself; all else moves."""
_PAGE: Final = 5_000
_ID_BYTES: Final = 8

TABLES: Final = (
    "portfolios", "wabas", "clients", "numbers", "users", "tokens", "audit", "outbox", "handset",
    "number_terms", "tallies", "daily", "members", "member_sessions", "invitations", "sign_ins",
    "mail", "profiles", "apps", "system_users", "access_tokens", "subscriptions", "deliveries",
    "links", "linked", "vault", "past_chains", "heard",
)  # fmt: skip
"""All but ``meta``; none points to one behind it."""


class State(StrEnum):
    """What a database is in a move."""

    LEAVES = "leaves"
    GONE = "gone"
    COMES = "comes"


@dataclass(frozen=True, slots=True)
class Mark:
    """Part of the move *id*, whose other side is at *other*."""

    id: str
    state: State
    other: str

    def text(self) -> str:
        return json.dumps([self.id, self.state, self.other])

    @classmethod
    def read(cls, text: str) -> "Mark":
        id, state, other = json.loads(text)
        return cls(id, State(state), other)

    def refusal(self) -> str:
        """Why a database that is marked so cannot be opened, and what to do."""
        there = "postgresql" if self.other.startswith("postgresql:") else "sqlite"
        here = "sqlite" if there == "postgresql" else "postgresql"
        if self.state is State.GONE:
            return f"everything was moved to {self.other}; open that one"
        if self.state is State.COMES:
            return (
                f"a move from {self.other} to here is under way; go on with it by the same command,"
                f" nightlatch move --to {here}"
            )
        return (
            f"a move to {self.other} is under way; go on with it by the same command,"
            f" nightlatch move --to {there}, or give it up by adding --give-up"
        )


def refuse_moved(where: str, text: str | None) -> None:
    """Raises StoreRefused when *text*, the mark of a database, says that nobody may open it."""
    if text is not None:
        raise StoreRefused(f"{where} cannot be opened: {Mark.read(text).refusal()}")


@dataclass(frozen=True, slots=True)
class Table:
    """A table, its columns by name, and those of its primary key in their order."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    def key_of(self, row: Row) -> Row:
        return tuple(row[self.columns.index(column)] for column in self.key)

    def called(self, row: Row) -> str:
        """Table and key, for people."""
        parts = (part.hex() if isinstance(part, bytes) else repr(part) for part in self.key_of(row))
        return f"{self.name} {', '.join(parts)}"


class Differ(StoreRefused):
    """After everything was copied, a row is not the same on both sides."""


def refuse_upgrade(where: str, mark: Mark | str | None, at: int, known: int) -> None:
    """Raises StoreRefused for a schema before ours in the middle of a move."""
    if mark is not None and at < known:
        raise StoreRefused(
            f"{where} has schema {at}, and the version that knows it began a move there;"
            " finish the move with that version"
        )


class Book(ABC):
    """One side of a move, open for nobody else. What differs between databases is abstract.

    Every call may raise StoreRefused: the database failed, and the move can be gone on with.
    """

    where: str
    """For people and for marks, without user and password."""
    step: Step

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[None]:
        """All that is done inside is kept, or nothing."""

    @abstractmethod
    async def table(self, name: str) -> Table:
        """As the database's own catalogue has it."""

    @abstractmethod
    async def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """Add *rows*, in a transaction.

        Raises:
            StoreRefused: one of them cannot be kept here; says which, and nothing of its values.
        """

    @abstractmethod
    async def refuse_users(self) -> None:
        """Raises StoreRefused while a server or a command has the database open."""

    @abstractmethod
    async def freeze(self, mark: Mark) -> None:
        """Set the first mark, and let nobody change a row from then on.

        Raises:
            StoreRefused: somebody has it open, or it is marked already.
        """

    @abstractmethod
    async def melt(self) -> None:
        """Let rows be changed again, in a transaction."""

    @abstractmethod
    async def indexes(self) -> dict[str, str]:
        """The statements that make the indexes which no key or constraint stands on."""

    @abstractmethod
    async def last_delivery(self) -> int:
        """The highest key that a delivery ever had, also one that is gone; 0 before the first."""

    @abstractmethod
    async def go_on_after(self, delivery: int) -> None:
        """Never give a delivery this key or a lower one."""

    @abstractmethod
    async def learn(self) -> None:
        """Look at the rows once, so that questions are planned well from the first on."""

    @abstractmethod
    async def close(self) -> None: ...

    async def mark(self) -> Mark | None:
        row = await self.step.one("SELECT value FROM meta WHERE key = ?", (MARK,))
        return None if row is None else Mark.read(row[0])

    async def remark(self, old: Mark | None, new: Mark | None) -> None:
        """Replace the mark; nobody else does until the transaction ends.

        Raises:
            StoreRefused: it is another one meanwhile.
        """
        if old is None:
            done = await self.step.run(
                "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING",
                (MARK, "" if new is None else new.text()),
            )
        elif new is None:
            done = await self.step.run(
                "DELETE FROM meta WHERE key = ? AND value = ?", (MARK, old.text())
            )
        else:
            done = await self.step.run(
                "UPDATE meta SET value = ? WHERE key = ? AND value = ?",
                (new.text(), MARK, old.text()),
            )
        if not done:
            raise StoreRefused(f"another move has begun or ended with {self.where} meanwhile")

    async def is_empty(self) -> bool:
        """Whether nothing but a mark and the schema is there."""
        if await self.meta():
            return False
        for name in TABLES:
            if await self.step.one(f"SELECT 1 FROM {name} LIMIT 1"):  # noqa: S608 - our own tables
                return False
        return True

    async def count(self) -> int:
        """The rows that are to be moved, without ``meta``."""
        total = 0
        for name in TABLES:
            (rows,) = await self.step.one(f"SELECT count(*) FROM {name}")  # noqa: S608 - our own
            total += rows
        return total

    async def last(self, table: Table) -> Row | None:
        """The key of the last row."""
        keys, backwards = _names(table.key), ", ".join(f'"{one}" DESC' for one in table.key)
        row = await self.step.one(
            f'SELECT {keys} FROM "{table.name}" ORDER BY {backwards} LIMIT 1'  # noqa: S608 - our own
        )
        return None if row is None else tuple(row)

    async def read(self, table: Table, after: Row | None, most: int) -> Sequence[Row]:
        """The rows behind the key *after*, or from the first on, in order; at most *most*."""
        keys = _names(table.key)
        behind = f"WHERE ({keys}) > ({', '.join('?' * len(table.key))})" if after else ""
        return await self.step.all(
            f'SELECT {_names(table.columns)} FROM "{table.name}" {behind}'  # noqa: S608 - our own
            f" ORDER BY {keys} LIMIT {most}",
            after or (),
        )

    async def write(self, table: Table, rows: Sequence[Row], mark: Mark) -> None:
        """Add a page, durably, unless the mark is another one meanwhile."""
        async with self.transaction():
            await self.remark(mark, mark)
            await self.insert(table, rows)

    async def meta(self) -> dict[str, str]:
        found = await self.step.all("SELECT key, value FROM meta")
        return {key: value for key, value in found if key not in _OWN}

    async def write_meta(self, meta: dict[str, str], delivery: int, mark: Mark) -> None:
        async with self.transaction():
            await self.remark(mark, mark)
            for pair in meta.items():
                await self.step.run(upsert("meta", ("key", "value"), "key"), pair)
            await self.go_on_after(delivery)

    async def begin(self, old: Mark | None, new: Mark) -> None:
        """Mark what is empty, and set its indexes aside: filling one row by row takes longer."""
        async with self.transaction():
            await self.remark(old, new)
            found = await self.indexes()
            aside = json.dumps(await self._aside() | found)
            await self.step.run(upsert("meta", ("key", "value"), "key"), (_INDEXES, aside))
            for name in found:
                await self.step.run(f'DROP INDEX "{name}"')

    async def restore_indexes(self, tell: Callable[[int, int], None]) -> None:
        there = await self.indexes()
        aside = await self._aside()
        for done, (name, statement) in enumerate(aside.items()):
            tell(done, len(aside))
            if name not in there:
                await self.step.run(statement)

    async def release(self, mark: Mark) -> None:
        """Take the mark away: the database is ready."""
        async with self.transaction():
            await self.remark(mark, None)
            await self.step.run("DELETE FROM meta WHERE key = ?", (_INDEXES,))

    async def _aside(self) -> dict[str, str]:
        row = await self.step.one("SELECT value FROM meta WHERE key = ?", (_INDEXES,))
        return {} if row is None else json.loads(row[0])


async def move(source: Book, target: Book, progress: Progress, page: int = _PAGE) -> int:
    """Move everything, or go on with it; how many rows there are, 0 when it was done already.

    *page* rows are read and written at a time.

    Raises:
        StoreRefused: it cannot begin or go on; says why.
        Differ: somebody changed what was moved; says which row.
    """
    at, there = await source.mark(), await target.mark()
    if at is None:
        at, there = await _begin(source, target, there)
    elif at.state is State.GONE and there is None and not await target.is_empty():
        if at.other == target.where:
            return 0
        raise StoreRefused(f"{source.where}: {at.refusal()}")
    elif at.state is State.COMES or there is None or there.id != at.id:
        raise StoreRefused(f"{source.where}: {at.refusal()}")
    if at.state is State.LEAVES:
        await _copy(source, target, there, progress, page)
        with progress("making indexes") as tell:
            await target.restore_indexes(tell)
        await target.learn()
        await _compare(source, target, progress, page)
        async with source.transaction():
            await source.remark(at, Mark(at.id, State.GONE, at.other))
    await target.release(there)
    return await target.count()


async def give_up(source: Book) -> str:
    """Let *source* be opened again, as it was when the move began; where what was copied lies.

    Raises:
        StoreRefused: nothing was moved from there.
    """
    at = await source.mark()
    if at is None:
        raise StoreRefused(f"no move from {source.where} is under way")
    if at.state is State.COMES:
        raise StoreRefused(f"{source.where}: {at.refusal()}")
    async with source.transaction():
        await source.remark(at, None)
        await source.melt()
    return at.other


async def _begin(source: Book, target: Book, there: Mark | None) -> tuple[Mark, Mark]:
    await source.refuse_users()
    if there and there.state is not State.COMES:
        raise StoreRefused(
            f"{target.where} cannot be moved to: it holds what was moved to {there.other};"
            " put it away, or name an empty database"
        )
    if not await target.is_empty():
        raise StoreRefused(
            f"{target.where} cannot be moved to: it holds something already; name an empty database"
        )
    await target.refuse_users()
    id = secrets.token_hex(_ID_BYTES)
    comes, leaves = Mark(id, State.COMES, source.where), Mark(id, State.LEAVES, target.where)
    await target.begin(there, comes)
    await source.freeze(leaves)
    return leaves, comes


async def _copy(source: Book, target: Book, mark: Mark, progress: Progress, most: int) -> None:
    total, done = await source.count(), await target.count()
    with progress("copying rows") as tell:
        for name in TABLES:
            table = await _same_table(source, target, name)
            page = await source.read(table, await target.last(table), most)
            while page:
                ahead = asyncio.ensure_future(_next(source, table, page, most))
                try:
                    await target.write(table, page, mark)
                finally:
                    await asyncio.gather(ahead, return_exceptions=True)
                done += len(page)
                tell(done, total)
                page = ahead.result()
        await target.write_meta(await source.meta(), await source.last_delivery(), mark)


async def _compare(source: Book, target: Book, progress: Progress, most: int) -> None:
    """Raises Differ unless every row is on both sides, and the same."""
    total, done = await source.count(), 0
    if await source.meta() != await target.meta():
        raise _differs(source, target, "meta")
    if await source.last_delivery() != await target.last_delivery():
        raise _differs(source, target, "the last key of deliveries")
    with progress("comparing rows") as tell:
        for name in TABLES:
            table = await _same_table(source, target, name)
            after: Row | None = None
            while True:
                ours, theirs = await asyncio.gather(
                    source.read(table, after, most), target.read(table, after, most)
                )
                if ours != theirs:
                    pairs = zip_longest(ours, theirs)
                    one, other = next(pair for pair in pairs if pair[0] != pair[1])
                    raise _differs(source, target, table.called(one or other))
                done += len(ours)
                tell(done, total)
                if len(ours) < most:
                    break
                after = table.key_of(ours[-1])


async def _next(source: Book, table: Table, page: Sequence[Row], most: int) -> Sequence[Row]:
    """The page behind *page*."""
    return await source.read(table, table.key_of(page[-1]), most) if len(page) == most else ()


async def _same_table(source: Book, target: Book, name: str) -> Table:
    table, other = await source.table(name), await target.table(name)
    if set(table.columns) != set(other.columns) or table.key != other.key:
        raise StoreRefused(f"{source.where} and {target.where} differ in the columns of {name}")
    return table


def _differs(source: Book, target: Book, what: str) -> Differ:
    return Differ(
        f"{source.where} and {target.where} differ in {what}: somebody changed one of them, so"
        " neither is opened. Give the move up by adding --give-up, and move to an empty database"
    )


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
