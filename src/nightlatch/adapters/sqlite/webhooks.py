"""Subscriptions, and webhooks on their way.

All that waits on one line (for one app about one thing) is due at the same
time, so nothing can be sent before what happened earlier.
"""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from nightlatch.adapters.sqlite import rows
from nightlatch.adapters.sqlite.base import Base, changes, select, update
from nightlatch.adapters.sqlite.rows import micros
from nightlatch.domain.access import Subscription
from nightlatch.domain.audit import Event
from nightlatch.domain.errors import AppUnknown, NotSubscribed, WabaUnknown
from nightlatch.domain.limits import HOOK_KEPT
from nightlatch.domain.webhooks import Delivery, DeliveryState, Hook, Receiver
from nightlatch.ports import DeliveryChange

_DELIVERY: Final = select("deliveries", rows.DELIVERY_COLUMNS)
_FORGET_AT_ONCE: Final = 2_000
_LAST_KEY: Final = 1 << 62


class Webhooks(Base):
    """The part of the ``Store`` port about webhooks."""

    async def subscriptions(self, waba: str) -> Sequence[Subscription]:
        def read() -> Sequence[Subscription]:
            found = self._all(
                "SELECT waba, app, url FROM subscriptions WHERE waba = ? ORDER BY app", (waba,)
            )
            return [Subscription(*row) for row in found]

        return self._remembered(("subscriptions", waba), read) or []

    async def subscribe(self, subscription: Subscription, events: Sequence[Event]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            portfolio = _portfolio_of(connection, subscription.waba)
            app = (subscription.app,)
            if connection.execute("SELECT 1 FROM apps WHERE id = ?", app).fetchone() is None:
                raise AppUnknown
            connection.execute(
                "INSERT OR REPLACE INTO subscriptions (waba, app, url) VALUES (?, ?, ?)",
                (subscription.waba, subscription.app, subscription.url),
            )
            _send_to(connection, subscription)
            self._append_to_portfolio(connection, portfolio, events)

        await self._writer.run(work)

    async def unsubscribe(self, waba: str, app: str, events: Sequence[Event]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            gone = connection.execute(
                "DELETE FROM subscriptions WHERE waba = ? AND app = ?", (waba, app)
            )
            if not gone.rowcount:
                raise NotSubscribed
            _send_to(connection, Subscription(waba, app))
            self._append_to_portfolio(connection, _portfolio_of(connection, waba), events)

        await self._writer.run(work)

    def _tell(self, connection: sqlite3.Connection, waba: str, hook: Hook) -> None:
        """One row for each app that is subscribed; behind what waits on its line."""
        at = micros(hook.at)
        connection.execute(
            "INSERT INTO deliveries (app, waba, line, field, value, at, posted_at, due_at,"
            " attempts, alone, state, answer, fault, portfolio, receiver)"
            " SELECT s.app, s.waba, ?1, ?2, ?3, ?4, ?4, coalesce((SELECT d.due_at"
            " FROM deliveries d WHERE d.app = s.app AND d.line = ?1 AND d.state = 'waiting'"
            " LIMIT 1), ?4), 0, 0, 'waiting', '', '', a.portfolio, coalesce(s.url, '')"
            " FROM subscriptions s JOIN apps a ON a.id = s.app"
            " WHERE s.waba = ?5 AND instr(a.callback_fields, ',' || ?2 || ',') > 0",
            (hook.line, hook.field.value, json.dumps(hook.value), at, waba),
        )

    async def receivers_due(self, now: datetime) -> Sequence[Receiver]:
        found = self._all(
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
        def work(connection: sqlite3.Connection) -> list[Delivery]:
            found = connection.execute(
                _DELIVERY + "WHERE app = ? AND receiver = ? AND state = 'waiting' AND due_at <= ?"
                " ORDER BY due_at, key LIMIT ?",  # as the index has them: no sort of a backlog
                (receiver.app, receiver.url or "", micros(now), limit),
            ).fetchall()
            leased = sorted((rows.delivery_from_row(row) for row in found), key=lambda d: d.key)
            connection.executemany(
                "UPDATE deliveries SET attempts = attempts + 1 WHERE key = ?",
                [(delivery.key,) for delivery in leased],
            )
            _move(connection, {(receiver.app, d.line): until for d in leased})
            return [rows.delivery_from_row(row) for row in _again(connection, leased)]

        return await self._writer.run(work)

    async def settle_deliveries(
        self, keys: Sequence[int], change: DeliveryChange, now: datetime
    ) -> Sequence[Delivery]:
        def work(connection: sqlite3.Connection) -> list[Delivery]:
            settled = []
            lines: dict[tuple[str, str], datetime] = {}
            for key in keys:
                before = connection.execute(_DELIVERY + "WHERE key = ?", (key,)).fetchone()
                if before is None:
                    continue
                delivery = change(rows.delivery_from_row(before))
                after = rows.delivery_to_row(delivery)
                changed = changes(rows.DELIVERY_COLUMNS, before, after)
                update(connection, "deliveries", changed, "key", key)
                settled.append(delivery)
                line = (delivery.app, delivery.line)
                waits = delivery.state is DeliveryState.WAITING
                lines[line] = max(lines.get(line, now), delivery.due_at if waits else now)
            _move(connection, lines)
            return settled

        return await self._writer.run(work)

    async def delivery(self, key: int) -> Delivery | None:
        row = self._one(_DELIVERY + "WHERE key = ?", (min(key, _LAST_KEY),))
        return None if row is None else rows.delivery_from_row(row)

    async def deliveries(
        self, portfolio: str, before: int | None, limit: int, app: str | None = None
    ) -> Sequence[Delivery]:
        where = "portfolio = ?"
        values: tuple[str, ...] = (portfolio,)
        if app is not None:
            where, values = "portfolio = ? AND app = ?", (portfolio, app)
        last = _LAST_KEY if before is None else max(0, min(before, _LAST_KEY))
        found = self._all(
            _DELIVERY + f"WHERE {where} AND key < ? ORDER BY key DESC LIMIT ?",
            (*values, last, limit),
        )
        return [rows.delivery_from_row(row) for row in found]

    async def failed_deliveries(self, portfolio: str) -> int:
        row = self._one(
            "SELECT count(*) FROM deliveries WHERE state = 'failed' AND portfolio = ?",
            (portfolio,),
        )
        return int(row[0])

    def _forget_deliveries(self, connection: sqlite3.Connection, now: datetime) -> bool:
        """Erase some that ended long ago; whether there may be more."""
        gone = connection.execute(
            "DELETE FROM deliveries WHERE key IN"
            " (SELECT key FROM deliveries WHERE ended_at <= ? LIMIT ?)",
            (micros(now - HOOK_KEPT), _FORGET_AT_ONCE),
        )
        return gone.rowcount == _FORGET_AT_ONCE


def _portfolio_of(connection: sqlite3.Connection, waba: str) -> str:
    row = connection.execute("SELECT portfolio FROM wabas WHERE id = ?", (waba,)).fetchone()
    if row is None:
        raise WabaUnknown
    return str(row[0])


def _send_to(connection: sqlite3.Connection, subscription: Subscription) -> None:
    """What waits goes where the subscription says now."""
    connection.execute(
        "UPDATE deliveries SET receiver = ? WHERE app = ? AND waba = ? AND state = 'waiting'",
        (subscription.url or "", subscription.app, subscription.waba),
    )


def _again(connection: sqlite3.Connection, leased: Sequence[Delivery]) -> list[rows.Row]:
    """The rows of what was leased, as they are now."""
    return [
        connection.execute(_DELIVERY + "WHERE key = ?", (delivery.key,)).fetchone()
        for delivery in leased
    ]


def _move(connection: sqlite3.Connection, lines: dict[tuple[str, str], datetime]) -> None:
    """Let all that waits on each line be due at its time."""
    connection.executemany(
        "UPDATE deliveries SET due_at = ? WHERE app = ? AND line = ? AND state = 'waiting'",
        [(micros(due), app, line) for (app, line), due in lines.items()],
    )
