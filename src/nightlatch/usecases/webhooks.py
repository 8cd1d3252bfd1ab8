"""Webhooks: where they go, bringing them there, and what became of each."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nightlatch.domain import access
from nightlatch.domain.access import Callback, Caller, GraphApp, Subscription
from nightlatch.domain.audit import OPERATOR, Kind
from nightlatch.domain.errors import (
    CallbackRefused,
    DeliveryUnknown,
    ParameterInvalid,
    Refusal,
    Unavailable,
)
from nightlatch.domain.limits import HOOK_BATCH, HOOK_SECONDS
from nightlatch.domain.members import Member, MemberRole
from nightlatch.domain.portfolios import Waba
from nightlatch.domain.webhooks import Delivery, DeliveryState, Field, Receiver
from nightlatch.ports import Answered, World
from nightlatch.usecases.access import app_secret, app_seen_by, find_app
from nightlatch.usecases.portfolios import find_waba

OBJECT: Final = "whatsapp_business_account"
_LEASE: Final = timedelta(seconds=60)
_AT_ONCE: Final = 50  # HOOK_BATCH requests of HOOK_SECONDS each end within a lease,
_ONE_BY_ONE: Final = timedelta(seconds=HOOK_SECONDS)  # also when lines go on after their first
_TAKEN: Final = 200
_CHALLENGE_DIGITS: Final = 10


# Where they go


async def set_callback(
    world: World,
    app: GraphApp,
    url: str,
    token: str,
    fields: Iterable[Field],
    by: str = OPERATOR,
) -> None:
    """Send the app's webhooks to *url*, once that has answered a challenge with *token*.

    Raises:
        ParameterInvalid: *url* is no address of a webhook.
        CallbackRefused: it must not be used, or did not answer the challenge.
    """
    callback = Callback(access.read_callback(url), frozenset(fields))
    await _shake_hands(world, url, token)
    now = world.clock.now()
    await world.update_app(app.id, lambda a: access.change_callback(a, callback, by, now))
    world.nudge()


async def remove_callback(world: World, app: GraphApp, by: str = OPERATOR) -> None:
    """The app gets no more webhooks; those that wait fail."""
    now = world.clock.now()
    await world.update_app(app.id, lambda a: access.change_callback(a, None, by, now))


async def subscribe(
    world: World,
    caller: Caller,
    waba: Waba,
    url: str | None = None,
    token: str = "",
    by: str | None = None,
) -> None:
    """The caller's app hears about *waba* from now on, at *url* when one is given.

    *by* is who asks for it when it is not the caller.

    Raises:
        CallbackRefused, ParameterInvalid: as ``set_callback``.
    """
    if url is not None:
        access.read_callback(url)
        await _shake_hands(world, url, token)
    event = world.event(
        Kind.WABA_SUBSCRIBED, by or caller.name, world.clock.now(), waba=waba.id, app=caller.app.id
    )
    await world.store.subscribe(Subscription(waba.id, caller.app.id, url), (event,))


async def unsubscribe(world: World, caller: Caller, waba: Waba, by: str | None = None) -> None:
    """The caller's app hears no more about *waba*; *by* as above. Raises NotSubscribed."""
    event = world.event(
        Kind.WABA_UNSUBSCRIBED, by or caller.name, world.clock.now(), waba=waba.id,
        app=caller.app.id,
    )  # fmt: skip
    await world.store.unsubscribe(waba.id, caller.app.id, (event,))


async def subscriptions(world: World, waba: Waba) -> Sequence[tuple[Subscription, GraphApp]]:
    """The apps that hear about *waba*."""
    found = await world.store.subscriptions(waba.id)
    return [(one, await find_app(world, one.app)) for one in found]


async def _shake_hands(world: World, url: str, token: str) -> None:
    """Ask *url* to repeat a challenge.

    Source: https://developers.facebook.com/docs/graph-api/webhooks/getting-started
    """
    challenge = world.chance.digits(_CHALLENGE_DIGITS)
    query = {"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": token}
    try:
        answer = await world.receivers.challenge(url, query)
    except Refusal:
        raise
    except Exception as error:
        raise CallbackRefused(f"it was not reached: {type(error).__name__}") from error
    if answer.status != _TAKEN:
        raise CallbackRefused(f"it answered the challenge with HTTP {answer.status}")
    if answer.body.strip() != challenge.encode():
        raise CallbackRefused("it did not repeat the challenge")


# Bringing them there


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of delivering to one receiver came to."""

    delivered: int = 0
    failed: int = 0
    """Given up in this round; somebody should look."""
    put_off: int = 0
    reached: bool = True
    """Whether the receiver answered at all."""

    def __add__(self, other: "Round") -> "Round":
        return Round(
            self.delivered + other.delivered,
            self.failed + other.failed,
            self.put_off + other.put_off,
            self.reached or other.reached,
        )


async def deliver(world: World, receiver: Receiver) -> Round:
    """Bring one receiver what is due, at most HOOK_BATCH updates.

    Updates go together in one request. Those of a line that was in a request which was
    answered but not taken go one by one from then on: what the receiver does not
    take holds up its own line only, and the rest of the line is not given up with it.
    """
    now = world.clock.now()
    leased = await world.store.lease_deliveries(receiver, now, now + _LEASE, HOOK_BATCH)
    if not leased:
        return Round()
    app = await world.store.app(receiver.app)
    urls = {
        waba: await _address(world, app, waba) for waba in {delivery.waba for delivery in leased}
    }
    alone = {delivery.line for delivery in leased if delivery.alone}
    together: dict[str | None, list[Delivery]] = {}
    lines: dict[tuple[str, str], list[list[Delivery]]] = {}
    for delivery in leased:
        url = urls[delivery.waba]
        if url is not None and delivery.line in alone:
            lines.setdefault((url, delivery.line), []).append([delivery])
        else:
            together.setdefault(url, []).append(delivery)
    room = asyncio.Semaphore(_AT_ONCE)

    async def bring(url: str | None, requests: list[list[Delivery]]) -> Round:
        async with room:
            return await _bring(world, app, url, requests, now + _ONE_BY_ONE)

    rounds = await asyncio.gather(
        *(bring(url, [group]) for url, group in together.items()),
        *(bring(url, line) for (url, _), line in lines.items()),
        return_exceptions=True,  # one that fails must not leave the others to themselves
    )
    return sum((_unless_raised(done) for done in rounds), Round(reached=False))


def _unless_raised(done: Round | BaseException) -> Round:
    if isinstance(done, BaseException):
        raise done
    return done


async def _address(world: World, app: GraphApp | None, waba: str) -> str | None:
    if app is None or app.callback is None:
        return None
    for subscription in await world.store.subscriptions(waba):
        if subscription.app == app.id:
            return subscription.url or app.callback.url
    return None


Outcome = Callable[[Delivery, datetime], Delivery]


@dataclass(frozen=True, slots=True)
class _Tried:
    """What came of one request."""

    outcome: Outcome
    taken: bool = False
    reached: bool = False


async def _bring(
    world: World,
    app: GraphApp | None,
    url: str | None,
    requests: Sequence[Sequence[Delivery]],
    until: datetime,
) -> Round:
    """Send one request after the other, until one is not taken or it is *until*."""
    outcomes: dict[int, Outcome] = {}
    for group in requests:
        tried = await _try(world, app, url, group)
        outcomes |= {delivery.key: tried.outcome for delivery in group}
        if not tried.taken or world.clock.now() >= until:
            break
    now = world.clock.now()
    settled = await world.store.settle_deliveries(
        [delivery.key for group in requests for delivery in group],
        lambda d: outcomes.get(d.key, Delivery.passed_over)(d, now),
        now,
    )
    states = [delivery.state for delivery in settled if delivery.key in outcomes]
    return Round(
        states.count(DeliveryState.DELIVERED),
        states.count(DeliveryState.FAILED),
        states.count(DeliveryState.WAITING),
        tried.reached,
    )


async def _try(
    world: World, app: GraphApp | None, url: str | None, group: Sequence[Delivery]
) -> _Tried:
    """Send once; what is to be written down about it."""
    if app is None or url is None:
        return _Tried(
            lambda d, now: d.failed("the app is not subscribed any more", now), reached=True
        )
    body = payload(group)
    try:
        answered = await world.receivers.post(url, body, signature(app_secret(world, app), body))
    except CallbackRefused as refused:
        fault = refused.why
        return _Tried(lambda d, now: d.put_off(fault, None, "", now))
    except Unavailable:
        return _Tried(lambda d, now: d.put_off("the key ring cannot be used", None, "", now))
    except Exception as error:  # noqa: BLE001 - a receiver may fail in any way; it is tried again
        fault = f"not reached: {type(error).__name__}"
        return _Tried(lambda d, now: d.put_off(fault, None, "", now))
    return _Tried(_answered(answered), answered.status == _TAKEN, reached=True)


def _answered(answered: Answered) -> Outcome:
    status, text = answered.status, answered.body.decode("utf-8", "replace")
    if status == _TAKEN:
        return lambda d, now: d.delivered(status, text, now)
    fault = f"it answered HTTP {status}"
    return lambda d, now: d.put_off(fault, status, text, now)


def payload(deliveries: Sequence[Delivery]) -> bytes:
    """The body of the request that brings these, as the receiver reads it."""
    entries = [
        {
            "id": delivery.waba,
            "time": int(delivery.at.timestamp()),
            "changes": [{"value": dict(delivery.value), "field": delivery.field.value}],
        }
        for delivery in deliveries
    ]
    return json.dumps({"object": OBJECT, "entry": entries}, separators=(",", ":")).encode()


def signature(secret: str, body: bytes) -> str:
    """``X-Hub-Signature-256``: HMAC-SHA256 over the raw bytes, under the app's secret."""
    return "sha256=" + hmac.digest(secret.encode(), body, hashlib.sha256).hex()


# What became of each


async def latest(
    world: World, portfolio: str, limit: int, before: int | None = None, app: str | None = None
) -> Sequence[Delivery]:
    """The deliveries of a portfolio's apps, the newest first."""
    return await world.store.deliveries(portfolio, before, limit, app)


async def find(world: World, key: int, portfolio: str | None = None) -> Delivery:
    """A delivery, of one portfolio or of any. Raises DeliveryUnknown."""
    delivery = await world.store.delivery(key)
    app = None if delivery is None else await world.store.app(delivery.app)
    if delivery is None or app is None or portfolio not in (None, app.portfolio):
        raise DeliveryUnknown
    return delivery


async def send_again(world: World, delivery: Delivery) -> None:
    """Bring it once more, also one that arrived. Raises DeliveryUnknown."""
    now = world.clock.now()
    if not await world.store.settle_deliveries([delivery.key], lambda d: d.again(now), now):
        raise DeliveryUnknown
    world.nudge()


async def failed(world: World, portfolio: str) -> int:
    """How many deliveries were given up and not sent again."""
    return await world.store.failed_deliveries(portfolio)


# By members of the portfolio


async def set_callback_by_member(
    world: World, member: Member, app: str, url: str, token: str, fields: Iterable[Field]
) -> None:
    """``set_callback`` by an owner, for one field at least.

    Raises:
        RoleTooLow, AppUnknown, ParameterInvalid, CallbackRefused: nothing changed.
    """
    found = await app_seen_by(world, member, app, MemberRole.OWNER)
    chosen = frozenset(fields)
    if not chosen:
        raise ParameterInvalid("fields", "one field at least")
    await set_callback(world, found, url, token, chosen, member.email)


async def remove_callback_by_member(world: World, member: Member, app: str) -> None:
    """``remove_callback`` by an owner. Raises RoleTooLow, AppUnknown."""
    found = await app_seen_by(world, member, app, MemberRole.OWNER)
    await remove_callback(world, found, member.email)


async def subscribe_by_member(world: World, member: Member, app: str, waba: str) -> None:
    """``subscribe`` by an owner. Raises RoleTooLow, AppUnknown, WabaUnknown."""
    found = await app_seen_by(world, member, app, MemberRole.OWNER)
    account = await find_waba(world, member, waba)
    await subscribe(world, Caller(found), account, by=member.email)


async def unsubscribe_by_member(world: World, member: Member, app: str, waba: str) -> None:
    """``unsubscribe`` by an owner. Raises RoleTooLow, AppUnknown, WabaUnknown, NotSubscribed."""
    found = await app_seen_by(world, member, app, MemberRole.OWNER)
    account = await find_waba(world, member, waba)
    await unsubscribe(world, Caller(found), account, member.email)


async def subscribed_to(world: World, app: GraphApp) -> Sequence[tuple[Waba, Subscription]]:
    """The accounts of its own portfolio that an app hears about."""
    return [
        (waba, subscription)
        for waba in await world.store.wabas(app.portfolio)
        for subscription in await world.store.subscriptions(waba.id)
        if subscription.app == app.id
    ]


async def delivery_seen_by(world: World, member: Member, key: int) -> Delivery:
    """A delivery of the member's portfolio. Raises RoleTooLow, DeliveryUnknown."""
    member.refuse_below(MemberRole.ADMIN)
    return await find(world, key, member.portfolio)


async def send_again_by_member(world: World, member: Member, key: int) -> None:
    """``send_again`` by an admin. Raises RoleTooLow, DeliveryUnknown."""
    await send_again(world, await delivery_seen_by(world, member, key))
