"""Linked accounts, and their numbers that live at the Cloud API."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from nightlatch.adapters.sql.base import (
    Base,
    changes,
    insert,
    refuse_full,
    select,
    update,
    upsert,
)
from nightlatch.adapters.sql.linked_rows import (
    LINK_COLUMNS,
    LINKED_COLUMNS,
    VAULT_COLUMNS,
    link_from_row,
    link_to_row,
    linked_from_row,
    linked_to_row,
    vault_to_rows,
)
from nightlatch.adapters.sql.rows import Row, micros
from nightlatch.adapters.sql.step import ConstraintBroken, Step
from nightlatch.domain.audit import GENESIS, Event
from nightlatch.domain.errors import (
    LinkedNumberUnknown,
    LinkExists,
    LinkUnknown,
    NumberExists,
    TooManyLinks,
)
from nightlatch.domain.limits import LINKS_PER_PORTFOLIO
from nightlatch.domain.linked import LinkedDecision, LinkedNumber
from nightlatch.domain.links import CloudLink
from nightlatch.domain.vault import Vault
from nightlatch.ports import LinkChange, LinkedChange

_LINK: Final = select("links", LINK_COLUMNS)
_WIDTH: Final = len(LINKED_COLUMNS)


def _numbers(which: str) -> str:
    """Numbers with their PINs in one statement, so that both are of the same moment."""
    columns = [f"n.{column}" for column in LINKED_COLUMNS] + [f"v.{c}" for c in VAULT_COLUMNS]
    return (
        f"SELECT {', '.join(columns)}"  # noqa: S608 - constants
        f" FROM (SELECT linked.* FROM linked {which}) n"
        " LEFT JOIN vault v ON v.number = n.id ORDER BY n.e164, v.place"
    )


_BY_ID: Final = _numbers("WHERE id = ?")
_BY_E164: Final = _numbers("WHERE e164 = ?")
_BY_HOLDER: Final = _numbers("WHERE holder = ? ORDER BY registered_at DESC LIMIT 1")
_BY_WAITING: Final = _numbers("WHERE waiting_client = ? ORDER BY waiting_at DESC LIMIT 1")
_PAGE: Final = _numbers("WHERE waba = ? AND e164 > ? ORDER BY e164 LIMIT ?")
_ALARMED: Final = _numbers(
    "JOIN links ON links.waba = linked.waba"
    " WHERE links.portfolio = ? AND (linked.alerts <> '' OR linked.off_asked_at IS NOT NULL)"
    " ORDER BY linked.e164 LIMIT ?"
)
_DUE: Final = "SELECT id FROM linked WHERE due_at <= ? ORDER BY due_at LIMIT ?"


class Linked(Base):
    """The part of the ``Store`` port about what lives at the Cloud API."""

    # Links

    async def link(self, waba: str) -> CloudLink | None:
        async def read() -> CloudLink | None:
            row = await self._one(_LINK + "WHERE waba = ?", (waba,))
            return None if row is None else link_from_row(row)

        return await self._remembered(("link", waba), read)

    async def links(self, portfolio: str | None = None) -> Sequence[CloudLink]:
        where = "" if portfolio is None else "WHERE portfolio = ? "
        found = await self._all(
            _LINK + where + "ORDER BY linked_at, waba", () if portfolio is None else (portfolio,)
        )
        return [link_from_row(row) for row in found]

    async def add_link(self, link: CloudLink, events: Sequence[Event]) -> None:
        async def work(step: Step) -> None:
            if await step.one("SELECT 1 FROM links WHERE waba = ?", (link.waba,)):
                raise LinkExists
            await refuse_full(step, "links", link.portfolio, LINKS_PER_PORTFOLIO, TooManyLinks())
            await step.run(insert("links", LINK_COLUMNS), link_to_row(link))
            await self._append_to_portfolio(step, link.portfolio, events)

        await self._step(work)

    async def update_link(self, waba: str, change: LinkChange) -> CloudLink:
        async def work(step: Step) -> CloudLink:
            before = await step.one(_LINK + "WHERE waba = ?", (waba,))
            if before is None:
                raise LinkUnknown
            decision = change(link_from_row(before))
            after = link_to_row(decision.link)
            await update(step, "links", changes(LINK_COLUMNS, before, after), "waba", waba)
            await self._append_to_portfolio(step, decision.link.portfolio, decision.events)
            await self._post(step, decision.link.portfolio, decision.mails)
            return decision.link

        return await self._step(work)

    async def remove_link(self, waba: str, events: Sequence[Event]) -> None:
        async def work(step: Step) -> None:
            portfolio = await _portfolio_of(step, waba)
            if portfolio is None:
                raise LinkUnknown
            await step.run(
                "INSERT INTO past_chains (id, audit_seq, audit_head)"
                " SELECT id, audit_seq, audit_head FROM linked WHERE waba = ? AND audit_seq > 0",
                (waba,),
            )
            await step.run("DELETE FROM links WHERE waba = ?", (waba,))
            await self._append_to_portfolio(step, portfolio, events)

        await self._step(work)

    # Numbers

    async def linked(self, id: str) -> LinkedNumber | None:
        return await self._linked(("linked", id), _BY_ID, id)

    async def linked_by_e164(self, e164: str) -> LinkedNumber | None:
        return await self._linked(("linked e164", e164), _BY_E164, e164)

    async def linked_of(self, client: str) -> LinkedNumber | None:
        return await self._linked(("linked of", client), _BY_HOLDER, client)

    async def linked_waiting_for(self, client: str) -> LinkedNumber | None:
        return await self._linked(("linked waiting", client), _BY_WAITING, client)

    async def linked_numbers(
        self, waba: str, after: str = "", limit: int = 1_000
    ) -> Sequence[LinkedNumber]:
        return _whole(await self._all(_PAGE, (waba, after, limit)))

    async def linked_count(self, waba: str) -> int:
        row = await self._one("SELECT count(*) FROM linked WHERE waba = ?", (waba,))
        return int(row[0])

    async def alarmed(self, portfolio: str, limit: int) -> Sequence[LinkedNumber]:
        return _whole(await self._all(_ALARMED, (portfolio, limit)))

    async def add_linked(self, number: LinkedNumber, events: Sequence[Event]) -> None:
        async def work(step: Step) -> None:
            if await _portfolio_of(step, number.waba) is None:
                raise LinkUnknown
            if await step.one("SELECT 1 FROM numbers WHERE e164 = ?", (number.e164,)):
                raise NumberExists
            columns = (*LINKED_COLUMNS, "audit_seq", "audit_head")
            chain = await _past_chain(step, number.id)
            try:
                await step.run(insert("linked", columns), (*linked_to_row(number), *chain))
            except ConstraintBroken as error:
                raise NumberExists from error
            await _keep_pins(step, number.id, Vault(), number.vault)
            await self._append_to_linked(step, number.id, events)

        await self._step(work)

    async def update_linked(self, id: str, change: LinkedChange) -> LinkedNumber:
        decision = await self._step(lambda step: self._decide_linked(step, id, change))
        if decision.refusal is not None:
            raise decision.refusal
        return decision.number

    async def observe_linked(self, changes: Sequence[tuple[str, LinkedChange]]) -> None:
        async def work(step: Step) -> list[LinkedDecision]:
            decisions = []
            for id_, change in changes:
                decision = await self._change_linked(step, id_, change)
                if decision is not None:
                    decisions.append(decision)
            return decisions

        for decision in await self._step(work):
            if decision.refusal is not None:
                raise decision.refusal

    async def linked_due(
        self, now: datetime, until: datetime, limit: int
    ) -> Sequence[LinkedNumber]:
        async def work(step: Step) -> list[LinkedNumber]:
            due = [id_ for (id_,) in await step.all(_DUE + self._UNLOCKED, (micros(now), limit))]
            await step.many(
                "UPDATE linked SET due_at = ? WHERE id = ?", [(micros(until), id_) for id_ in due]
            )
            return [number for id_ in due for number in _whole(await _lines(step, id_))]

        if await self._one(_DUE, (micros(now), 1)) is None:
            return []
        return await self._step(work)

    async def hear(self, key: bytes, id: str, change: LinkedChange, now: datetime) -> bool:
        async def work(step: Step) -> LinkedDecision | None:
            fresh = await step.run(
                "INSERT INTO heard (key, at) VALUES (?, ?) ON CONFLICT (key) DO NOTHING",
                (key, micros(now)),
            )
            return await self._decide_linked(step, id, change) if fresh else None

        decision = await self._step(work)
        if decision is not None and decision.refusal is not None:
            raise decision.refusal
        return decision is not None

    async def _decide_linked(self, step: Step, id: str, change: LinkedChange) -> LinkedDecision:
        """Apply *change* to one number inside the step that is under way."""
        decision = await self._change_linked(step, id, change)
        if decision is None:
            raise LinkedNumberUnknown
        return decision

    async def _change_linked(
        self, step: Step, id: str, change: LinkedChange
    ) -> LinkedDecision | None:
        """As ``_decide_linked``; None when there is no such number."""
        lines = await _lines(step, id)
        if not lines:
            return None
        (before,) = _whole(lines)
        decision = change(before)
        number = decision.number
        changed = changes(LINKED_COLUMNS, lines[0][:_WIDTH], linked_to_row(number))
        await update(step, "linked", changed, "id", id)
        await _keep_pins(step, id, before.vault, number.vault)
        await self._append_to_linked(step, id, decision.events)
        if decision.mails:
            await self._post(step, str(await _portfolio_of(step, number.waba)), decision.mails)
        return decision

    async def _append_to_linked(self, step: Step, id: str, events: Sequence[Event]) -> None:
        await self._append(step, f"linked:{id}", "linked", "id", id, events)

    async def _linked(self, key: tuple[str, str], sql: str, value: str) -> LinkedNumber | None:
        """Remembered also when there is none, which is so of most clients, most of the time."""

        async def read() -> list[LinkedNumber]:
            return _whole(await self._all(sql, (value,)))

        found = await self._remembered(key, read)
        return found[0] if found else None


async def _lines(step: Step, id: str) -> Sequence[Row]:
    return await step.all(_BY_ID, (id,))


def _whole(found: Sequence[Row]) -> list[LinkedNumber]:
    """Each number once, with all its PINs."""
    numbers = []
    for number, lines in groupby(found, lambda row: row[:_WIDTH]):
        pins = [line[_WIDTH:] for line in lines if line[_WIDTH] is not None]
        numbers.append(linked_from_row(number, pins))
    return numbers


async def _keep_pins(step: Step, id: str, before: Vault, after: Vault) -> None:
    """Write the PINs that differ."""
    if (before.current, before.maybe) == (after.current, after.maybe):
        return
    old, new = vault_to_rows(before), vault_to_rows(after)
    for place in old.keys() - new.keys():
        await step.run("DELETE FROM vault WHERE number = ? AND place = ?", (id, place))
    for place, row in new.items():
        if old.get(place) != row:
            await step.run(
                upsert("vault", ("number", *VAULT_COLUMNS), "number", "place"), (id, *row)
            )


async def _portfolio_of(step: Step, waba: str) -> str | None:
    row = await step.one("SELECT portfolio FROM links WHERE waba = ?", (waba,))
    return None if row is None else str(row[0])


async def _past_chain(step: Step, id: str) -> tuple[Any, Any]:
    """Where the chain of a number goes on that was here before."""
    row = await step.one(
        "DELETE FROM past_chains WHERE id = ? RETURNING audit_seq, audit_head", (id,)
    )
    return (0, GENESIS) if row is None else row
