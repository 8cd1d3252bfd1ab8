"""Webhook deliveries: waiting, delivered, failed; what was sent and what came back."""

import json
from typing import Final
from urllib.parse import urlencode

from nightlatch.domain.errors import DeliveryUnknown
from nightlatch.domain.webhooks import Delivery, DeliveryState
from nightlatch.faces.manager.wire import PREFIX, Answer, Call, Page, Redirect
from nightlatch.usecases import access, webhooks

_WEBHOOKS: Final = PREFIX + "/webhooks"
_ROWS: Final = 15
_KEY_DIGITS: Final = 18
_STATES: Final = {
    DeliveryState.WAITING: ("warn", "Waiting"),
    DeliveryState.DELIVERED: ("ok", "Delivered"),
    DeliveryState.FAILED: ("bad", "Failed"),
}


async def listed(call: Call) -> Answer:
    """The deliveries to one app, or to all: the newest first."""
    apps = await access.apps(call.world, call.member.portfolio)
    known = {app.id: app for app in apps}
    chosen = call.query.get("app", "")
    chosen = chosen if chosen in known else ""
    before = _key(call.query.get("before", ""))
    found = await webhooks.latest(
        call.world, call.member.portfolio, _ROWS + 1, before, chosen or None
    )
    shown = found[:_ROWS]
    further = len(found) > _ROWS
    return Page(
        "webhooks.html",
        {
            "here": "webhooks",
            "apps": apps,
            "chosen": chosen,
            "lines": [(one, known.get(one.app), number_of(one)) for one in shown],
            "states": _STATES,
            "next_url": _asked(chosen, shown[-1].key) if further else "",
            "first_url": _asked(chosen) if before is not None else "",
        },
    )


async def show(call: Call) -> Answer:
    """One delivery: what is sent, what came back, when it is tried next. Raises DeliveryUnknown."""
    key = _wanted(call)
    found = await webhooks.delivery_seen_by(call.world, call.member, key)
    app = await access.find_app(call.world, found.app, call.member.portfolio)
    body = json.loads(webhooks.payload([found]))
    return Page(
        "webhook.html",
        {
            "here": "webhooks",
            "one": found,
            "app": app,
            "number": number_of(found),
            "payload": json.dumps(body, indent=2, ensure_ascii=False),
            "states": _STATES,
            "waits": found.state is DeliveryState.WAITING,
        },
    )


async def send_again(call: Call) -> Answer:
    """Raises DeliveryUnknown."""
    key = _wanted(call)
    await webhooks.send_again_by_member(call.world, call.member, key)
    return Redirect(f"{_WEBHOOKS}/{key}", "sent_again")


def number_of(delivery: Delivery) -> str:
    """The number it is about, in E.164; empty when it is about none."""
    digits = dict(delivery.value).get("display_phone_number")
    return f"+{digits}" if digits else ""


def _wanted(call: Call) -> int:
    key = _key(call.path["delivery"])
    if key is None:
        raise DeliveryUnknown
    return key


def _key(text: str) -> int | None:
    fits = text.isascii() and text.isdecimal() and len(text) <= _KEY_DIGITS
    return int(text) if fits else None


def _asked(app: str, before: int | None = None) -> str:
    query = ({"app": app} if app else {}) | ({"before": str(before)} if before is not None else {})
    return f"{_WEBHOOKS}?{urlencode(query)}" if query else _WEBHOOKS
