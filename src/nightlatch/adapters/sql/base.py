"""What every part of the store stands on: reading, writing, the chains, posting letters."""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, ClassVar, Final, TypeVar

from nightlatch.adapters.sql import rows
from nightlatch.adapters.sql.step import Step, Values
from nightlatch.domain.audit import Event, link
from nightlatch.domain.errors import ClientUnknown, PortfolioUnknown, Refusal
from nightlatch.domain.mail import Mail, Posted, To
from nightlatch.domain.numbers import Number
from nightlatch.ports import StoreWatch

T = TypeVar("T")
_KEY_BYTES = 16
ALL: Final = 1 << 62
"""More rows than there are."""


class _Nobody:
    """Watches no store."""

    def retried(self, why: str) -> None: ...

    def committed(self, changes: int) -> None: ...

    def connections(self, connected: int, busy: int) -> None: ...


NOBODY: Final[StoreWatch] = _Nobody()


class Base(ABC):
    """A database that is open. What differs between databases stands here."""

    _audit_key: bytes
    _reader: Step
    """Outside any step."""

    _EACH: ClassVar[str]
    """A table of the numbers in a JSON list, in a column ``value``."""
    _IN_ORDER: ClassVar[str] = "JOIN"
    """Joins in the order that is written, where the database has a word for it."""
    _UNLOCKED: ClassVar[str] = ""
    """Behind a choice of rows: without those that another step has under way."""

    @abstractmethod
    async def _step(self, work: Callable[[Step], Awaitable[T]]) -> T:
        """Run *work* in one atomic step, as if no other ran beside it; it may run more than once.

        Returns once it is durable. What *work* raises comes back unchanged,
        with nothing kept of it.

        Raises:
            Unavailable: the database failed, or did not answer in STORE_SECONDS;
                in the second case the step may be kept or not.
            Overloaded: too much is waiting; not begun.
        """

    @abstractmethod
    async def _remembered(self, key: Hashable, read: Callable[[], Awaitable[T | None]]) -> T | None:
        """What *read* returns, or returned since the last commit of anybody."""

    @abstractmethod
    def _slot(self, number: Number) -> int:
        """Which of the rows that add up to a count a number's change is added to."""

    async def _one(self, sql: str, values: Values = ()) -> Any:
        return await self._reader.one(sql, values)

    async def _all(self, sql: str, values: Values = ()) -> Sequence[Any]:
        return await self._reader.all(sql, values)

    async def _execute(self, sql: str, values: Values) -> None:
        await self._step(lambda step: step.run(sql, values))

    async def _append_to_number(self, step: Step, id: str, events: Sequence[Event]) -> None:
        await self._append(step, f"number:{id}", "numbers", "id", int(id), events)

    async def _append_to_client(self, step: Step, name: str, events: Sequence[Event]) -> None:
        await self._append(step, f"client:{name}", "clients", "name", name, events)

    async def _append_to_portfolio(self, step: Step, id: str, events: Sequence[Event]) -> None:
        await self._append(step, f"portfolio:{id}", "portfolios", "id", id, events)

    async def _append(
        self,
        step: Step,
        subject: str,
        table: str,
        key: str,
        value: int | str,
        events: Sequence[Event],
    ) -> None:
        """Put *events* behind the chain whose head is on the subject's own row."""
        if not events:
            return
        row = await step.one(
            f"SELECT audit_seq, audit_head FROM {table} WHERE {key} = ?",  # noqa: S608 - constants
            (value,),
        )
        if row is None:
            raise ClientUnknown
        seq, head = row
        links = []
        for event in events:
            seq += 1
            new = link(self._audit_key, subject, seq, head, event)
            head = new.hash
            links.append(rows.link_to_row(new))
        await step.run(  # first, so that who is late meets the row and not a link in its place
            f"UPDATE {table} SET audit_seq = ?, audit_head = ? WHERE {key} = ?",  # noqa: S608
            (seq, head, value),
        )
        await step.many(insert("audit", rows.AUDIT_COLUMNS), links)

    async def _post(self, step: Step, portfolio: str, mails: Sequence[Mail]) -> None:
        """One row for each letter and address."""
        for mail in mails:
            for address in await _addresses(step, portfolio, mail):
                posted = Posted(
                    key=secrets.token_hex(_KEY_BYTES),
                    portfolio=portfolio,
                    address=address,
                    letter=mail.letter,
                    facts=mail.facts,
                    posted_at=mail.at,
                    due_at=mail.at,
                    sealed=mail.sealed,
                    about=mail.about,
                    good_until=mail.good_until,
                )
                await step.run(insert("mail", rows.MAIL_COLUMNS), rows.posted_to_row(posted))


async def _addresses(step: Step, portfolio: str, mail: Mail) -> list[str]:
    if mail.to is To.PERSON:
        return [mail.address]
    if mail.to is To.OWNERS:
        people = await step.all(
            "SELECT email FROM members WHERE portfolio = ? AND role IN ('owner', 'admin')"
            " ORDER BY joined_at, id",
            (portfolio,),
        )
        if people:
            return [email for (email,) in people]
    row = await step.one("SELECT email FROM portfolios WHERE id = ?", (portfolio,))
    return [] if row is None else [row[0]]


def select(table: str, columns: Sequence[str]) -> str:
    return f"SELECT {', '.join(columns)} FROM {table} "  # noqa: S608 - constants


def insert(table: str, columns: Sequence[str]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - constants


def upsert(table: str, columns: Sequence[str], *key: str) -> str:
    """Insert, or replace the row with the same *key*."""
    rest = ", ".join(f"{column} = excluded.{column}" for column in columns if column not in key)
    return insert(table, columns) + f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {rest}"


def changes(columns: Sequence[str], before: rows.Row, after: rows.Row) -> list[tuple[str, Any]]:
    """The columns that differ, with their new values."""
    return [
        (column, new) for column, old, new in zip(columns, before, after, strict=True) if old != new
    ]


async def update(
    step: Step,
    table: str,
    changed: list[tuple[str, Any]],
    key: str,
    value: int | str | bytes,
) -> None:
    """Write *changed* to one row; nothing when nothing changed."""
    if not changed:
        return
    assignments = ", ".join(f"{column} = ?" for column, _ in changed)
    await step.run(
        f"UPDATE {table} SET {assignments} WHERE {key} = ?",  # noqa: S608 - our own columns
        (*(new for _, new in changed), value),
    )


async def refuse_full(step: Step, table: str, portfolio: str, most: int, refusal: Refusal) -> None:
    """Raise *refusal* when the portfolio has *most* rows already, or is unknown."""
    known = await step.one("SELECT 1 FROM portfolios WHERE id = ?", (portfolio,))
    if known is None:
        raise PortfolioUnknown
    (held,) = await step.one(
        f"SELECT count(*) FROM {table} WHERE portfolio = ?",  # noqa: S608 - our own tables
        (portfolio,),
    )
    if held >= most:
        raise refusal
