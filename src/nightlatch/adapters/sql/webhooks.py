"""Subscriptions, and webhooks on their way.

All that waits on one line (for one app about one thing) is due at the same
time, so nothing can be sent before what happened earlier.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from nightlatch.adapters.sql import rows
from nightlatch.adapters.sql.base import Base, changes, insert, select, update, upsert
from nightlatch.adapters.sql.rows import micros
from nightlatch.adapters.sql.step import Step
from nightlatch.domain.access import Subscription
from nightlatch.domain.audit import Event
from nightlatch.domain.errors import AppUnknown, NotSubscribed, WabaUnknown
from nightlatch.domain.limits import HOOK_KEPT
from nightlatch.domain.webhooks import Delivery, DeliveryState, Hook, Receiver
from nightlatch.ports import DeliveryChange

_DELIVERY: Final = select("deliveries", rows.DELIVERY_COLUMNS)
_NEW: Final = (
    "app", "waba", "line", "field", "value", "at", "posted_at", "due_at", "attempts", "alone",
    "state", "answer", "fault", "portfolio", "receiver",
)  # fmt: skip
_FORGET_AT_ONCE: Final = 2_000
_LAST_KEY: Final = 1 << 62


class Webhooks(Base):
    """The part of the ``Store`` port about webhooks."""

    async def subscriptions(self, waba: str) -> Sequence[Subscription]:
        async def read() -> Sequence[Subscription]:
            found = await self._all(
                "SELECT waba, app, url FROM subscriptions WHERE waba = ? ORDER BY app", (waba,)
            )
            return [Subscription(*row) for row in found]

        return await self._remembered(("subscriptions", waba), read) or []

    async def subscribe(self, subscription: Subscription, events: Sequence[Event]) -> None:
        async def work(step: Step) -> None:
            portfolio = await _portfolio_of(step, subscription.waba)
            app = (subscription.app,)
            if (await step.one("SELECT 1 FROM apps WHERE id = ?", app)) is None:
                raise AppUnknown
            await step.run(
                upsert("subscriptions", ("waba", "app", "url"), "waba", "app"),
                (subscription.waba, subscription.app, subscription.url),
            )
            await _send_to(step, subscription)
            await self._append_to_portfolio(step, portfolio, events)

        await self._step(work)

    async def unsubscribe(self, waba: str, app: str, events: Sequence[Event]) -> None:
        async def work(step: Step) -> None:
            gone = await step.run(
                "DELETE FROM subscriptions WHERE waba = ? AND app = ?", (waba, app)
            )
            if not gone:
                raise NotSubscribed
            await _send_to(step, Subscription(waba, app))
            await self._append_to_portfolio(step, await _portfolio_of(step, waba), events)

        await self._step(work)

    async def _tell(self, step: Step, waba: str, hook: Hook) -> None:
        """One row for each app that is subscribed; behind what waits on its line."""
        subscribed = await step.all(
            "SELECT s.app, coalesce(s.url, ''), a.portfolio, a.callback_fields"
            " FROM subscriptions s JOIN apps a ON a.id = s.app WHERE s.waba = ?",
            (waba,),
        )
        at, value = micros(hook.at), json.dumps(hook.value)
        for app, receiver, portfolio, fields in subscribed:
            if f",{hook.field.value}," not in fields:
                continue
            waits = await step.one(
                "SELECT due_at FROM deliveries WHERE app = ? AND line = ? AND state = 'waiting'"
                " LIMIT 1",
                (app, hook.line),
            )
            due_at = at if waits is None else waits[0]
            await step.run(
                insert("deliveries", _NEW),
                (
                    app, waba, hook.line, hook.field.value, value, at, at, due_at, 0, 0,
                    DeliveryState.WAITING.value, "", "", portfolio, receiver,
                ),
            )  # fmt: skip

    async def receivers_due(self, now: datetime) -> Sequence[Receiver]:
        found = await self._all(
            "SELECT app, url FROM (SELECT id AS app, '' AS url FROM apps UNION"
            " SELECT app, url FROM subscriptions WHERE url IS NOT NULL) r"
            " WHERE EXISTS (SELECT 1 FROM deliveries d WHERE d.app = r.app"
            " AND d.receiver = r.url AND d.state = 'waiting' AND d.due_at <= ?)",
            (micros(now),),
        )
        return [Receiver(app, url or None) for app, url in found]

    async def lease_deliveries(
        self, receiver: Receiver, now: datetime, until: datetime, limit: int
    ) -> Sequence[Delivery]:
        async def work(step: Step) -> list[Delivery]:
            found = await step.all(
                _DELIVERY + "WHERE app = ? AND receiver = ? AND state = 'waiting' AND due_at <= ?"
                " ORDER BY due_at, key LIMIT ?",  # as the index has them: no sort of a backlog
                (receiver.app, receiver.url or "", micros(now), limit),
            )
            leased = sorted((rows.delivery_from_row(row) for row in found), key=lambda d: d.key)
            await step.many(
                "UPDATE deliveries SET attempts = attempts + 1 WHERE key = ?",
                [(delivery.key,) for delivery in leased],
            )
            await _move(step, {(receiver.app, d.line): until for d in leased})
            return [rows.delivery_from_row(row) for row in await _again(step, leased)]

        return await self._step(work)

    async def settle_deliveries(
        self, keys: Sequence[int], change: DeliveryChange, now: datetime
    ) -> Sequence[Delivery]:
        async def work(step: Step) -> list[Delivery]:
            settled = []
            lines: dict[tuple[str, str], datetime] = {}
            for key in keys:
                before = await step.one(_DELIVERY + "WHERE key = ?", (key,))
                if before is None:
                    continue
                delivery = change(rows.delivery_from_row(before))
                after = rows.delivery_to_row(delivery)
                changed = changes(rows.DELIVERY_COLUMNS, before, after)
                await update(step, "deliveries", changed, "key", key)
                settled.append(delivery)
                line = (delivery.app, delivery.line)
                waits = delivery.state is DeliveryState.WAITING
                lines[line] = max(lines.get(line, now), delivery.due_at if waits else now)
            await _move(step, lines)
            return settled

        return await self._step(work)

    async def delivery(self, key: int) -> Delivery | None:
        row = await self._one(_DELIVERY + "WHERE key = ?", (min(key, _LAST_KEY),))
        return None if row is None else rows.delivery_from_row(row)

    async def deliveries(
        self, portfolio: str, before: int | None, limit: int, app: str | None = None
    ) -> Sequence[Delivery]:
        where = "portfolio = ?"
        values: tuple[str, ...] = (portfolio,)
        if app is not None:
            where, values = "portfolio = ? AND app = ?", (portfolio, app)
        last = _LAST_KEY if before is None else max(0, min(before, _LAST_KEY))
        found = await self._all(
            _DELIVERY + f"WHERE {where} AND key < ? ORDER BY key DESC LIMIT ?",
            (*values, last, limit),
        )
        return [rows.delivery_from_row(row) for row in found]

    async def failed_deliveries(self, portfolio: str) -> int:
        row = await self._one(
            "SELECT count(*) FROM deliveries WHERE state = 'failed' AND portfolio = ?",
            (portfolio,),
        )
        return int(row[0])

    async def _forget_deliveries(self, step: Step, now: datetime) -> bool:
        """Erase some that ended long ago; whether there may be more."""
        gone = await step.run(
            "DELETE FROM deliveries WHERE key IN"
            " (SELECT key FROM deliveries WHERE ended_at <= ? LIMIT ?)",
            (micros(now - HOOK_KEPT), _FORGET_AT_ONCE),
        )
        return gone == _FORGET_AT_ONCE


async def _portfolio_of(step: Step, waba: str) -> str:
    row = await step.one("SELECT portfolio FROM wabas WHERE id = ?", (waba,))
    if row is None:
        raise WabaUnknown
    return str(row[0])


async def _send_to(step: Step, subscription: Subscription) -> None:
    """What waits goes where the subscription says now."""
    await step.run(
        "UPDATE deliveries SET receiver = ? WHERE app = ? AND waba = ? AND state = 'waiting'",
        (subscription.url or "", subscription.app, subscription.waba),
    )


async def _again(step: Step, leased: Sequence[Delivery]) -> list[rows.Row]:
    """The rows of what was leased, as they are now."""
    return [await step.one(_DELIVERY + "WHERE key = ?", (delivery.key,)) for delivery in leased]


async def _move(step: Step, lines: dict[tuple[str, str], datetime]) -> None:
    """Let all that waits on each line be due at its time."""
    await step.many(
        "UPDATE deliveries SET due_at = ? WHERE app = ? AND line = ? AND state = 'waiting'",
        [(micros(due), app, line) for (app, line), due in lines.items()],
    )
