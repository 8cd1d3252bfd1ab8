"""Portfolios, WhatsApp accounts, members, their invitations and sessions."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from nightlatch.adapters.sqlite import rows
from nightlatch.adapters.sqlite.base import Base, changes, insert, select, update
from nightlatch.adapters.sqlite.rows import micros, moment
from nightlatch.domain.audit import Event
from nightlatch.domain.errors import (
    LastOwner,
    LinkRefused,
    MemberExists,
    MemberUnknown,
    PortfolioUnknown,
    TooManyMembers,
)
from nightlatch.domain.limits import MEMBERS_PER_PORTFOLIO, SESSIONS_PER_MEMBER
from nightlatch.domain.mail import Mail
from nightlatch.domain.members import (
    Invitation,
    Member,
    MemberDecision,
    MemberRole,
    MemberSession,
    SignIns,
)
from nightlatch.domain.portfolios import Portfolio, Waba
from nightlatch.ports import MemberChange, PortfolioChange, SignInsChange

_PORTFOLIO: Final = "SELECT id, name, email FROM portfolios "
_WABA: Final = "SELECT id, portfolio, name FROM wabas "
_MEMBER: Final = select("members", rows.MEMBER_COLUMNS)
_SESSION: Final = select("member_sessions", rows.SESSION_COLUMNS)
_SESSION_AND_MEMBER: Final = (
    "SELECT "  # noqa: S608 - constants
    + ", ".join(f"s.{column}" for column in rows.SESSION_COLUMNS)
    + ", "
    + ", ".join(f"m.{column}" for column in rows.MEMBER_COLUMNS)
    + " FROM member_sessions s JOIN members m ON m.id = s.member WHERE s.hash = ?"
)
_INVITATION: Final = select("invitations", rows.INVITATION_COLUMNS)


class Members(Base):
    """The part of the ``Store`` port about people."""

    async def portfolio(self, id: str) -> Portfolio | None:
        def read() -> Portfolio | None:
            row = self._one(_PORTFOLIO + "WHERE id = ?", (id,))
            return None if row is None else Portfolio(*row)

        return self._remembered(("portfolio", id), read)

    async def portfolios(self) -> Sequence[Portfolio]:
        return [Portfolio(*row) for row in self._all(_PORTFOLIO + "ORDER BY place, id")]

    async def add_portfolio(self, portfolio: Portfolio, events: Sequence[Event] = ()) -> None:
        def add(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO portfolios (id, name, email, place)"
                " VALUES (?, ?, ?, (SELECT count(*) FROM portfolios))",
                (portfolio.id, portfolio.name, portfolio.email),
            )
            self._append_to_portfolio(connection, portfolio.id, events)

        await self._writer.run(add)

    async def update_portfolio(self, id: str, change: PortfolioChange) -> Portfolio:
        return await self._writer.run(lambda c: self._change_portfolio(c, id, change))

    def _change_portfolio(
        self, connection: sqlite3.Connection, id: str, change: PortfolioChange
    ) -> Portfolio:
        row = connection.execute(_PORTFOLIO + "WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise PortfolioUnknown
        decision = change(Portfolio(*row))
        connection.execute(
            "UPDATE portfolios SET name = ?, email = ? WHERE id = ?",
            (decision.portfolio.name, decision.portfolio.email, id),
        )
        self._append_to_portfolio(connection, id, decision.events)
        self._post(connection, id, decision.mails)
        return decision.portfolio

    async def waba(self, id: str) -> Waba | None:
        def read() -> Waba | None:
            row = self._one(_WABA + "WHERE id = ?", (id,))
            return None if row is None else Waba(*row)

        return self._remembered(("waba", id), read)

    async def wabas(self, portfolio: str) -> Sequence[Waba]:
        found = self._all(_WABA + "WHERE portfolio = ? ORDER BY name, id", (portfolio,))
        return [Waba(*row) for row in found]

    async def add_waba(self, waba: Waba, events: Sequence[Event] = ()) -> None:
        def add(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO wabas (id, portfolio, name, network) VALUES (?, ?, ?, 'local')",
                (waba.id, waba.portfolio, waba.name),
            )
            self._append_to_portfolio(connection, waba.portfolio, events)

        await self._writer.run(add)

    # Members

    async def member(self, id: str) -> Member | None:
        row = self._one(_MEMBER + "WHERE id = ?", (id,))
        return None if row is None else rows.member_from_row(row)

    async def member_by_email(self, email: str) -> Member | None:
        row = self._one(_MEMBER + "WHERE email = ?", (email,))
        return None if row is None else rows.member_from_row(row)

    async def members(self, portfolio: str) -> Sequence[Member]:
        found = self._all(_MEMBER + "WHERE portfolio = ? ORDER BY joined_at, id", (portfolio,))
        return [rows.member_from_row(row) for row in found]

    async def invite(
        self, invitation: Invitation, events: Sequence[Event], mails: Sequence[Mail]
    ) -> None:
        def work(connection: sqlite3.Connection) -> None:
            _refuse_member(connection, invitation.email)
            connection.execute(
                "DELETE FROM invitations WHERE portfolio = ? AND email = ?",
                (invitation.portfolio, invitation.email),
            )
            (held,) = connection.execute(
                "SELECT (SELECT count(*) FROM members WHERE portfolio = ?1)"
                " + (SELECT count(*) FROM invitations WHERE portfolio = ?1)",
                (invitation.portfolio,),
            ).fetchone()
            if held >= MEMBERS_PER_PORTFOLIO:
                raise TooManyMembers
            connection.execute(
                insert("invitations", rows.INVITATION_COLUMNS), rows.invitation_to_row(invitation)
            )
            self._append_to_portfolio(connection, invitation.portfolio, events)
            self._post(connection, invitation.portfolio, mails)

        await self._writer.run(work)

    async def invitation(self, token_hash: bytes, now: datetime) -> Invitation | None:
        row = self._one(
            _INVITATION + "WHERE hash = ? AND expires_at > ?", (token_hash, micros(now))
        )
        return None if row is None else rows.invitation_from_row(row)

    async def invitations(self, portfolio: str, now: datetime) -> Sequence[Invitation]:
        found = self._all(
            _INVITATION + "WHERE portfolio = ? AND email <> '' AND expires_at > ?"
            " ORDER BY expires_at, email",
            (portfolio, micros(now)),
        )
        return [rows.invitation_from_row(row) for row in found]

    async def withdraw(self, portfolio: str, email: str, events: Sequence[Event]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            gone = connection.execute(
                "DELETE FROM invitations WHERE portfolio = ? AND email = ?", (portfolio, email)
            )
            if gone.rowcount:
                self._append_to_portfolio(connection, portfolio, events)

        await self._writer.run(work)

    async def join(
        self,
        token_hash: bytes,
        member: Member,
        session: MemberSession,
        events: Sequence[Event],
        change: PortfolioChange | None,
        now: datetime,
    ) -> None:
        def work(connection: sqlite3.Connection) -> None:
            used = connection.execute(
                "DELETE FROM invitations WHERE hash = ? AND portfolio = ? AND expires_at > ?"
                " RETURNING email",
                (token_hash, member.portfolio, micros(now)),
            ).fetchone()
            if used is None:
                raise LinkRefused
            (email,) = used
            if not email:
                _refuse_second(connection, member.portfolio)
            _refuse_member(connection, member.email)
            connection.execute(insert("members", rows.MEMBER_COLUMNS), rows.member_to_row(member))
            connection.execute(
                insert("member_sessions", rows.SESSION_COLUMNS), rows.session_to_row(session)
            )
            self._append_to_portfolio(connection, member.portfolio, events)
            if change is not None:
                self._change_portfolio(connection, member.portfolio, change)

        await self._writer.run(work)

    async def update_member(self, id: str, change: MemberChange) -> Member:
        decision = await self._writer.run(lambda c: self._decide_member(c, id, change))
        if decision.refusal is not None:
            raise decision.refusal
        return decision.member

    def _decide_member(
        self, connection: sqlite3.Connection, id: str, change: MemberChange
    ) -> MemberDecision:
        before = connection.execute(_MEMBER + "WHERE id = ?", (id,)).fetchone()
        if before is None:
            raise MemberUnknown
        old = rows.member_from_row(before)
        decision = change(old)
        after = rows.member_to_row(decision.member)
        update(connection, "members", changes(rows.MEMBER_COLUMNS, before, after), "id", id)
        if old.role is MemberRole.OWNER and decision.member.role is not MemberRole.OWNER:
            _refuse_ownerless(connection, old.portfolio)
        if decision.end_sessions:
            connection.execute(
                "DELETE FROM member_sessions WHERE member = ? AND hash IS NOT ?",
                (id, decision.keep),
            )
        if decision.end_session is not None:
            connection.execute(
                "DELETE FROM member_sessions WHERE hash = ?", (decision.end_session,)
            )
        if decision.session is not None:
            connection.execute(
                insert("member_sessions", rows.SESSION_COLUMNS),
                rows.session_to_row(decision.session),
            )
            connection.execute(
                "DELETE FROM member_sessions WHERE hash IN (SELECT hash FROM member_sessions"
                " WHERE member = ? ORDER BY started_at DESC, hash LIMIT -1 OFFSET ?)",
                (id, SESSIONS_PER_MEMBER),
            )
        self._append_to_portfolio(connection, old.portfolio, decision.events)
        self._post(connection, old.portfolio, decision.mails)
        return decision

    async def remove_member(self, id: str, events: Sequence[Event]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            row = connection.execute(
                "DELETE FROM members WHERE id = ? RETURNING portfolio, role", (id,)
            ).fetchone()
            if row is None:
                raise MemberUnknown
            portfolio, role = row
            if role == MemberRole.OWNER.value:
                _refuse_ownerless(connection, portfolio)
            self._append_to_portfolio(connection, portfolio, events)

        await self._writer.run(work)

    # Sessions

    async def member_session(
        self, token_hash: bytes, now: datetime
    ) -> tuple[MemberSession, Member] | None:
        def read() -> tuple[MemberSession, Member] | None:
            row = self._one(_SESSION_AND_MEMBER, (token_hash,))
            if row is None:
                return None
            split = len(rows.SESSION_COLUMNS)
            return rows.session_from_row(row[:split]), rows.member_from_row(row[split:])

        found = self._remembered(("member_session", token_hash), read)
        return found if found is not None and now < found[0].ends_at else None

    async def member_sessions(self, member: str, now: datetime) -> Sequence[MemberSession]:
        found = self._all(
            _SESSION + "WHERE member = ? AND whole = 1 ORDER BY started_at DESC, hash", (member,)
        )
        sessions = (rows.session_from_row(row) for row in found)
        return [session for session in sessions if now < session.ends_at]

    async def touch_session(self, token_hash: bytes, now: datetime) -> None:
        await self._execute(
            "UPDATE member_sessions SET seen_at = max(seen_at, ?) WHERE hash = ?",
            (micros(now), token_hash),
        )

    async def end_member_session(self, token_hash: bytes) -> None:
        await self._execute("DELETE FROM member_sessions WHERE hash = ?", (token_hash,))

    async def update_sign_ins(self, key: bytes, change: SignInsChange) -> SignIns:
        def work(connection: sqlite3.Connection) -> SignIns:
            row = connection.execute(
                "SELECT wrong, last_at FROM sign_ins WHERE key = ?", (key,)
            ).fetchone()
            after = change(SignIns() if row is None else SignIns(row[0], moment(row[1])))
            if after.last_at is None:
                connection.execute("DELETE FROM sign_ins WHERE key = ?", (key,))
            else:
                connection.execute(
                    "INSERT OR REPLACE INTO sign_ins (key, wrong, last_at) VALUES (?, ?, ?)",
                    (key, after.wrong, micros(after.last_at)),
                )
            return after

        return await self._writer.run(work)


def _refuse_member(connection: sqlite3.Connection, email: str) -> None:
    found: Any = connection.execute("SELECT 1 FROM members WHERE email = ?", (email,)).fetchone()
    if found is not None:
        raise MemberExists


def _refuse_second(connection: sqlite3.Connection, portfolio: str) -> None:
    """The first owner's link is void once there is any member."""
    found = connection.execute(
        "SELECT 1 FROM members WHERE portfolio = ? LIMIT 1", (portfolio,)
    ).fetchone()
    if found is not None:
        raise LinkRefused


def _refuse_ownerless(connection: sqlite3.Connection, portfolio: str) -> None:
    left = connection.execute(
        "SELECT 1 FROM members WHERE portfolio = ? AND role = 'owner' LIMIT 1", (portfolio,)
    ).fetchone()
    if left is None:
        raise LastOwner
