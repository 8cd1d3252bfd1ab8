"""Webhooks from Meta: who they are from, and what they tell of our numbers."""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from nightlatch.domain import linked
from nightlatch.domain.errors import LinkedNumberUnknown, RequestMalformed, WebhookForged
from nightlatch.domain.linked import LinkedNumber
from nightlatch.domain.links import CloudLink
from nightlatch.ports import LinkedChange, World, bound_to
from nightlatch.usecases.links import verify_token_of

_FRONT = "sha256="
_LONGEST = 200
_EARLY = timedelta(days=1)
_OBJECT = "whatsapp_business_account"
_FORGETTABLE = (ValueError, OverflowError, OSError)


async def challenge(world: World, waba: str, mode: str, token: str, text: str) -> str:
    """What Meta gets back when it verifies the address.

    Raises:
        WebhookForged: no such account, or not its verify token.
    """
    one = await world.store.link(waba)
    if one is None or mode != "subscribe":
        raise WebhookForged
    if not hmac.compare_digest(verify_token_of(world, one).encode(), token.encode()):
        raise WebhookForged
    return text


async def hear(world: World, waba: str, body: bytes, signature: str | None) -> int:
    """Take in a webhook; how many changes it told of that were not known. Everything is kept
    before this returns, and the same once more changes nothing.

    Raises:
        WebhookForged: the signature is not over these bytes by the account's app.
        RequestMalformed: signed, and no webhook.
    """
    one = await world.store.link(waba)
    if one is None or one.secret is None or signature is None:
        raise WebhookForged
    secret = _secret(world, one, one.secret)
    expected = _FRONT + hmac.new(secret, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise WebhookForged
    heard = 0
    for update in _updates(body):
        about = await _about(world, one, secret, update)
        change = None if about is None else _change(world, about[1], update)
        if about is not None and change is not None:
            id, now = about[0].id, world.clock.now()
            try:
                heard += await world.hear(update.key, id, change, now)
            except LinkedNumberUnknown:
                continue  # unlinked meanwhile
    world.nudge()
    return heard


@dataclass(frozen=True, slots=True)
class _Update:
    """One change that a webhook tells of."""

    waba: str
    field: str
    value: Mapping[str, Any]
    time: object
    key: bytes


def _updates(body: bytes) -> list[_Update]:
    try:
        return list(_read(json.loads(body)))
    except (ValueError, RecursionError):  # nested deeper than Python's stack
        raise RequestMalformed("it is not JSON") from None


def _read(told: object) -> Iterator[_Update]:
    if not isinstance(told, dict) or told.get("object") != _OBJECT:
        raise RequestMalformed(f"it is not about a {_OBJECT}")
    for entry in _dicts(told.get("entry")):
        for change in _dicts(entry.get("changes")):
            value = change.get("value")
            if isinstance(value, dict):
                yield _Update(
                    str(entry.get("id")), str(change.get("field")), value, entry.get("time"),
                    _key([entry.get("id"), entry.get("time"), change]),
                )  # fmt: skip


def _key(told: object) -> bytes:
    """The same for the same news, however its JSON is written."""
    text = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def _dicts(found: object) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


async def _about(
    world: World, one: CloudLink, secret: bytes, update: _Update
) -> tuple[LinkedNumber, CloudLink] | None:
    """The number that an update is about, with its account; None for one that its sender may
    not tell of."""
    shown = update.value.get("display_phone_number")
    text = shown[:_LONGEST] if isinstance(shown, str) else ""
    digits = "".join(c for c in text if c in "0123456789")
    number = await world.store.linked_by_e164("+" + digits)
    if number is None or number.waba != update.waba:
        return None
    if number.waba == one.waba:
        return number, one
    other = await world.store.link(number.waba)  # one address may serve all accounts of an app
    if other is None or other.secret is None:
        return None
    same = hmac.compare_digest(_secret(world, other, other.secret), secret)
    return (number, other) if same else None


def _change(world: World, one: CloudLink, update: _Update) -> LinkedChange | None:
    """What an update does to its number; None when it is of no interest."""
    now = world.clock.now()
    at, value = _moment(update.time, now), update.value
    if update.field == "security":
        match value.get("event"):
            case "PIN_RESET_REQUEST":
                who = _words(value.get("requester"))
                return lambda n: linked.turn_off_asked(n, who, at, now)
            case "PIN_CHANGED":
                return lambda n: linked.pin_changed(n, at, now)
            case "PIN_REQUEST_SUCCESS" | "PIN_RESET_SUCCESS":
                return lambda n: linked.turned_off(n, at, now, set_again=one.set_again)
    if update.field == "phone_number_name_update":
        decision = _words(value.get("decision"))
        name = _words(value.get("requested_verified_name"))
        return lambda n: linked.name_reviewed(n, decision, name, at, now)
    return None


def _words(told: object) -> str:
    """One line that can be kept and shown, whatever was sent."""
    text = "" if told is None else str(told)[:_LONGEST]
    return "".join(c if c.isprintable() else " " for c in text)


def _moment(time: object, now: datetime) -> datetime:
    """When it happened; *now* where that is not told, or lies in the future."""
    try:
        at = datetime.fromtimestamp(int(str(time)), UTC)
    except _FORGETTABLE:
        return now
    return min(at, now) if at < now + _EARLY else now


def _secret(world: World, one: CloudLink, sealed: bytes) -> bytes:
    return world.keys.unseal(sealed, bound_to("link", one.waba))
