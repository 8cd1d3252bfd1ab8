"""What every part of the store stands on: reading, writing, the chains, posting letters."""

import secrets
import sqlite3
from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from nightlatch.adapters.sqlite import rows
from nightlatch.adapters.sqlite.changes import Changes
from nightlatch.adapters.sqlite.writer import Writer
from nightlatch.domain.audit import Event, link
from nightlatch.domain.errors import ClientUnknown, PortfolioUnknown, Refusal, Unavailable
from nightlatch.domain.mail import Mail, Posted, To

T = TypeVar("T")
_MOST_REMEMBERED: Final = 10_000
_KEY_BYTES: Final = 16


class Base:
    """A database that is open."""

    path: Path
    _audit_key: bytes
    _reader: sqlite3.Connection
    _writer: Writer
    _changes: Changes
    _known: dict[Hashable, Any]
    _known_at: bytes

    def _remembered(self, key: Hashable, read: Callable[[], T | None]) -> T | None:
        """What *read* returns, or returned since the last commit of anybody."""
        now = self._changes.seen()
        if now != self._known_at or len(self._known) > _MOST_REMEMBERED:
            self._known = {}
            self._known_at = now
        found: T | None = self._known.get(key)
        if found is None:
            found = read()
            if found is not None:
                self._known[key] = found
        return found

    def _one(self, sql: str, values: tuple[Any, ...] = ()) -> Any:
        try:
            return self._reader.execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise Unavailable from error

    def _all(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            return self._reader.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise Unavailable from error

    async def _execute(self, sql: str, values: tuple[Any, ...]) -> None:
        await self._writer.run(lambda connection: connection.execute(sql, values).rowcount)

    def _append_to_number(
        self, connection: sqlite3.Connection, id: str, events: Sequence[Event]
    ) -> None:
        self._append(connection, f"number:{id}", "numbers", "id", int(id), events)

    def _append_to_client(
        self, connection: sqlite3.Connection, name: str, events: Sequence[Event]
    ) -> None:
        self._append(connection, f"client:{name}", "clients", "name", name, events)

    def _append_to_portfolio(
        self, connection: sqlite3.Connection, id: str, events: Sequence[Event]
    ) -> None:
        self._append(connection, f"portfolio:{id}", "portfolios", "id", id, events)

    def _append(
        self,
        connection: sqlite3.Connection,
        subject: str,
        table: str,
        key: str,
        value: int | str,
        events: Sequence[Event],
    ) -> None:
        """Put *events* behind the chain whose head is on the subject's own row."""
        if not events:
            return
        row = connection.execute(
            f"SELECT audit_seq, audit_head FROM {table} WHERE {key} = ?",  # noqa: S608 - constants
            (value,),
        ).fetchone()
        if row is None:
            raise ClientUnknown
        seq, head = row
        for event in events:
            seq += 1
            new = link(self._audit_key, subject, seq, head, event)
            head = new.hash
            connection.execute(
                "INSERT INTO audit (subject, seq, at, kind, by, details, place, hash)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows.link_to_row(new),
            )
        connection.execute(
            f"UPDATE {table} SET audit_seq = ?, audit_head = ? WHERE {key} = ?",  # noqa: S608
            (seq, head, value),
        )

    def _post(self, connection: sqlite3.Connection, portfolio: str, mails: Sequence[Mail]) -> None:
        """One row for each letter and address."""
        for mail in mails:
            for address in _addresses(connection, portfolio, mail):
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
                connection.execute(insert("mail", rows.MAIL_COLUMNS), rows.posted_to_row(posted))


def _addresses(connection: sqlite3.Connection, portfolio: str, mail: Mail) -> list[str]:
    if mail.to is To.PERSON:
        return [mail.address]
    if mail.to is To.OWNERS:
        people = connection.execute(
            "SELECT email FROM members WHERE portfolio = ? AND role IN ('owner', 'admin')"
            " ORDER BY joined_at, id",
            (portfolio,),
        ).fetchall()
        if people:
            return [email for (email,) in people]
    row = connection.execute("SELECT email FROM portfolios WHERE id = ?", (portfolio,)).fetchone()
    return [] if row is None else [row[0]]


def select(table: str, columns: Sequence[str]) -> str:
    return f"SELECT {', '.join(columns)} FROM {table} "  # noqa: S608 - constants


def insert(table: str, columns: Sequence[str]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - constants


def changes(columns: Sequence[str], before: rows.Row, after: rows.Row) -> list[tuple[str, Any]]:
    """The columns that differ, with their new values."""
    return [
        (column, new) for column, old, new in zip(columns, before, after, strict=True) if old != new
    ]


def update(
    connection: sqlite3.Connection,
    table: str,
    changed: list[tuple[str, Any]],
    key: str,
    value: int | str | bytes,
) -> None:
    """Write *changed* to one row; nothing when nothing changed."""
    if not changed:
        return
    assignments = ", ".join(f"{column} = ?" for column, _ in changed)
    connection.execute(
        f"UPDATE {table} SET {assignments} WHERE {key} = ?",  # noqa: S608 - our own columns
        (*(new for _, new in changed), value),
    )


def refuse_full(
    connection: sqlite3.Connection, table: str, portfolio: str, most: int, refusal: Refusal
) -> None:
    """Raise *refusal* when the portfolio has *most* rows already, or is unknown."""
    known = connection.execute("SELECT 1 FROM portfolios WHERE id = ?", (portfolio,)).fetchone()
    if known is None:
        raise PortfolioUnknown
    (held,) = connection.execute(
        f"SELECT count(*) FROM {table} WHERE portfolio = ?",  # noqa: S608 - our own tables
        (portfolio,),
    ).fetchone()
    if held >= most:
        raise refusal


def after_day(at: datetime) -> int:
    """The UTC day of *at*, as the table of days counts it."""
    return at.toordinal()
