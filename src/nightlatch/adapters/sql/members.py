"""Portfolios, WhatsApp accounts, members, their invitations and sessions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from nightlatch.adapters.sql import rows
from nightlatch.adapters.sql.base import ALL, Base, changes, insert, select, update, upsert
from nightlatch.adapters.sql.rows import micros, moment
from nightlatch.adapters.sql.step import Step
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
        async def read() -> Portfolio | None:
            row = await self._one(_PORTFOLIO + "WHERE id = ?", (id,))
            return None if row is None else Portfolio(*row)

        return await self._remembered(("portfolio", id), read)

    async def portfolios(self) -> Sequence[Portfolio]:
        return [Portfolio(*row) for row in await self._all(_PORTFOLIO + "ORDER BY place, id")]

    async def add_portfolio(self, portfolio: Portfolio, events: Sequence[Event] = ()) -> None:
        async def add(step: Step) -> None:
            await step.run(
                "INSERT INTO portfolios (id, name, email, place)"
                " VALUES (?, ?, ?, (SELECT count(*) FROM portfolios))",
                (portfolio.id, portfolio.name, portfolio.email),
            )
            await self._append_to_portfolio(step, portfolio.id, events)

        await self._step(add)

    async def update_portfolio(self, id: str, change: PortfolioChange) -> Portfolio:
        return await self._step(lambda step: self._change_portfolio(step, id, change))

    async def _change_portfolio(self, step: Step, id: str, change: PortfolioChange) -> Portfolio:
        row = await step.one(_PORTFOLIO + "WHERE id = ?", (id,))
        if row is None:
            raise PortfolioUnknown
        decision = change(Portfolio(*row))
        await step.run(
            "UPDATE portfolios SET name = ?, email = ? WHERE id = ?",
            (decision.portfolio.name, decision.portfolio.email, id),
        )
        await self._append_to_portfolio(step, id, decision.events)
        await self._post(step, id, decision.mails)
        return decision.portfolio

    async def waba(self, id: str) -> Waba | None:
        async def read() -> Waba | None:
            row = await self._one(_WABA + "WHERE id = ?", (id,))
            return None if row is None else Waba(*row)

        return await self._remembered(("waba", id), read)

    async def wabas(self, portfolio: str) -> Sequence[Waba]:
        found = await self._all(_WABA + "WHERE portfolio = ? ORDER BY name, id", (portfolio,))
        return [Waba(*row) for row in found]

    async def add_waba(self, waba: Waba, events: Sequence[Event] = ()) -> None:
        async def add(step: Step) -> None:
            await step.run(
                "INSERT INTO wabas (id, portfolio, name, network) VALUES (?, ?, ?, 'local')",
                (waba.id, waba.portfolio, waba.name),
            )
            await self._append_to_portfolio(step, waba.portfolio, events)

        await self._step(add)

    # Members

    async def member(self, id: str) -> Member | None:
        row = await self._one(_MEMBER + "WHERE id = ?", (id,))
        return None if row is None else rows.member_from_row(row)

    async def member_by_email(self, email: str) -> Member | None:
        row = await self._one(_MEMBER + "WHERE email = ?", (email,))
        return None if row is None else rows.member_from_row(row)

    async def members(self, portfolio: str) -> Sequence[Member]:
        found = await self._all(
            _MEMBER + "WHERE portfolio = ? ORDER BY joined_at, id", (portfolio,)
        )
        return [rows.member_from_row(row) for row in found]

    async def invite(
        self, invitation: Invitation, events: Sequence[Event], mails: Sequence[Mail]
    ) -> None:
        async def work(step: Step) -> None:
            await _refuse_member(step, invitation.email)
            await step.run(
                "DELETE FROM invitations WHERE portfolio = ? AND email = ?",
                (invitation.portfolio, invitation.email),
            )
            (held,) = await step.one(
                "SELECT (SELECT count(*) FROM members WHERE portfolio = ?)"
                " + (SELECT count(*) FROM invitations WHERE portfolio = ?)",
                (invitation.portfolio, invitation.portfolio),
            )
            if held >= MEMBERS_PER_PORTFOLIO:
                raise TooManyMembers
            await step.run(
                insert("invitations", rows.INVITATION_COLUMNS), rows.invitation_to_row(invitation)
            )
            await self._append_to_portfolio(step, invitation.portfolio, events)
            await self._post(step, invitation.portfolio, mails)

        await self._step(work)

    async def invitation(self, token_hash: bytes, now: datetime) -> Invitation | None:
        row = await self._one(
            _INVITATION + "WHERE hash = ? AND expires_at > ?", (token_hash, micros(now))
        )
        return None if row is None else rows.invitation_from_row(row)

    async def invitations(self, portfolio: str, now: datetime) -> Sequence[Invitation]:
        found = await self._all(
            _INVITATION + "WHERE portfolio = ? AND email <> '' AND expires_at > ?"
            " ORDER BY expires_at, email",
            (portfolio, micros(now)),
        )
        return [rows.invitation_from_row(row) for row in found]

    async def withdraw(self, portfolio: str, email: str, events: Sequence[Event]) -> None:
        async def work(step: Step) -> None:
            gone = await step.run(
                "DELETE FROM invitations WHERE portfolio = ? AND email = ?", (portfolio, email)
            )
            if gone:
                await self._append_to_portfolio(step, portfolio, events)

        await self._step(work)

    async def join(
        self,
        token_hash: bytes,
        member: Member,
        session: MemberSession,
        events: Sequence[Event],
        change: PortfolioChange | None,
        now: datetime,
    ) -> None:
        async def work(step: Step) -> None:
            used = await step.one(
                "DELETE FROM invitations WHERE hash = ? AND portfolio = ? AND expires_at > ?"
                " RETURNING email",
                (token_hash, member.portfolio, micros(now)),
            )
            if used is None:
                raise LinkRefused
            (email,) = used
            if not email:
                await _refuse_second(step, member.portfolio)
            await _refuse_member(step, member.email)
            await step.run(insert("members", rows.MEMBER_COLUMNS), rows.member_to_row(member))
            await step.run(
                insert("member_sessions", rows.SESSION_COLUMNS), rows.session_to_row(session)
            )
            await self._append_to_portfolio(step, member.portfolio, events)
            if change is not None:
                await self._change_portfolio(step, member.portfolio, change)

        await self._step(work)

    async def update_member(self, id: str, change: MemberChange) -> Member:
        decision = await self._step(lambda step: self._decide_member(step, id, change))
        if decision.refusal is not None:
            raise decision.refusal
        return decision.member

    async def _decide_member(self, step: Step, id: str, change: MemberChange) -> MemberDecision:
        before = await step.one(_MEMBER + "WHERE id = ?", (id,))
        if before is None:
            raise MemberUnknown
        old = rows.member_from_row(before)
        decision = change(old)
        after = rows.member_to_row(decision.member)
        await update(step, "members", changes(rows.MEMBER_COLUMNS, before, after), "id", id)
        if old.role is MemberRole.OWNER and decision.member.role is not MemberRole.OWNER:
            await _refuse_ownerless(step, old.portfolio)
        if decision.end_sessions:
            await step.run(
                "DELETE FROM member_sessions WHERE member = ? AND hash <> ?",
                (id, decision.keep or b""),
            )
        if decision.end_session is not None:
            await step.run("DELETE FROM member_sessions WHERE hash = ?", (decision.end_session,))
        if decision.session is not None:
            await step.run(
                insert("member_sessions", rows.SESSION_COLUMNS),
                rows.session_to_row(decision.session),
            )
            await step.run(
                "DELETE FROM member_sessions WHERE hash IN (SELECT hash FROM member_sessions"
                " WHERE member = ? ORDER BY started_at DESC, hash LIMIT ? OFFSET ?)",
                (id, ALL, SESSIONS_PER_MEMBER),
            )
        await self._append_to_portfolio(step, old.portfolio, decision.events)
        await self._post(step, old.portfolio, decision.mails)
        return decision

    async def remove_member(self, id: str, events: Sequence[Event]) -> None:
        async def work(step: Step) -> None:
            row = await step.one(
                "DELETE FROM members WHERE id = ? RETURNING portfolio, role", (id,)
            )
            if row is None:
                raise MemberUnknown
            portfolio, role = row
            if role == MemberRole.OWNER.value:
                await _refuse_ownerless(step, portfolio)
            await self._append_to_portfolio(step, portfolio, events)

        await self._step(work)

    # Sessions

    async def member_session(
        self, token_hash: bytes, now: datetime
    ) -> tuple[MemberSession, Member] | None:
        async def read() -> tuple[MemberSession, Member] | None:
            row = await self._one(_SESSION_AND_MEMBER, (token_hash,))
            if row is None:
                return None
            split = len(rows.SESSION_COLUMNS)
            return rows.session_from_row(row[:split]), rows.member_from_row(row[split:])

        found = await self._remembered(("member_session", token_hash), read)
        return found if found is not None and now < found[0].ends_at else None

    async def member_sessions(self, member: str, now: datetime) -> Sequence[MemberSession]:
        found = await self._all(
            _SESSION + "WHERE member = ? AND whole = 1 ORDER BY started_at DESC, hash", (member,)
        )
        sessions = (rows.session_from_row(row) for row in found)
        return [session for session in sessions if now < session.ends_at]

    async def touch_session(self, token_hash: bytes, now: datetime) -> None:
        await self._execute(
            "UPDATE member_sessions SET seen_at = ? WHERE hash = ? AND seen_at < ?",
            (micros(now), token_hash, micros(now)),
        )

    async def end_member_session(self, token_hash: bytes) -> None:
        await self._execute("DELETE FROM member_sessions WHERE hash = ?", (token_hash,))

    async def update_sign_ins(self, key: bytes, change: SignInsChange) -> SignIns:
        async def work(step: Step) -> SignIns:
            row = await step.one("SELECT wrong, last_at FROM sign_ins WHERE key = ?", (key,))
            after = change(SignIns() if row is None else SignIns(row[0], moment(row[1])))
            if after.last_at is None:
                await step.run("DELETE FROM sign_ins WHERE key = ?", (key,))
            else:
                await step.run(
                    upsert("sign_ins", ("key", "wrong", "last_at"), "key"),
                    (key, after.wrong, micros(after.last_at)),
                )
            return after

        return await self._step(work)


async def _refuse_member(step: Step, email: str) -> None:
    found: Any = await step.one("SELECT 1 FROM members WHERE email = ?", (email,))
    if found is not None:
        raise MemberExists


async def _refuse_second(step: Step, portfolio: str) -> None:
    """The first owner's link is void once there is any member."""
    found = await step.one("SELECT 1 FROM members WHERE portfolio = ? LIMIT 1", (portfolio,))
    if found is not None:
        raise LinkRefused


async def _refuse_ownerless(step: Step, portfolio: str) -> None:
    left = await step.one(
        "SELECT 1 FROM members WHERE portfolio = ? AND role = 'owner' LIMIT 1", (portfolio,)
    )
    if left is None:
        raise LastOwner
