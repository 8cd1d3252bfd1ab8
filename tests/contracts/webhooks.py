"""What the ``Store`` port promises of subscriptions, and of webhooks on their way."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from nightlatch.domain.access import AppDecision, Callback, Subscription
from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.errors import NotSubscribed, WrongCode
from nightlatch.domain.limits import HOOK_KEPT
from nightlatch.domain.numbers import Decision, Number, told
from nightlatch.domain.portfolios import Waba
from nightlatch.domain.webhooks import Delivery, DeliveryState, Field, Receiver
from nightlatch.ports import Backlog, Store, Waiting
from tests.contracts.access import an_app, with_apps
from tests.contracts.checks import (
    HOUR,
    MINUTE,
    SECOND,
    UNWRITABLE,
    Stumble,
    a_message,
    outcome,
    outcomes,
    promise,
    trail,
)
from tests.contracts.letters import a_mail, post
from tests.contracts.makers import ELSEWHERE, NUMBER_ID, PORTFOLIO, WABA, a_number
from tests.people import E164, NOON

MICRO, DAY = timedelta(microseconds=1), timedelta(days=1)
SUBJECT = f"portfolio:{PORTFOLIO.id}"
APP, OTHER_APP, THIEFS_APP = an_app().id, an_app(2).id, an_app(9).id
SECOND_ID = a_number(2).id
OTHER_WABA = "300000000000002"
SUBSCRIBED = Event(Kind.WABA_SUBSCRIBED, "app:1", NOON)


async def with_receivers(make_store: Any) -> Any:
    """Two apps of the owner's and the thief's one, each with an address, for every field; only
    the owner's first one is subscribed. There are two numbers."""
    store = await with_apps(make_store)
    await store.add_app(an_app(2), ())
    for app in (APP, OTHER_APP, THIEFS_APP):
        callback = Callback(f"https://{app}.example", frozenset(Field))
        await store.update_app(app, lambda a, c=callback: AppDecision(replace(a, callback=c)))
    await store.add_number(a_number(2), ())
    await store.subscribe(Subscription(WABA, APP), ())
    return store


def happens(
    *events: str, field: Field = Field.SECURITY, at: datetime = NOON
) -> Callable[[Number], Decision]:
    """A change of a number of which apps hear these."""
    return lambda n: Decision(n, hooks=tuple(told(field, n, at, event=one) for one in events))


async def happen(store: Store, *events: str, to: str = NUMBER_ID, **how: Any) -> None:
    await store.update(to, happens(*events, **how))


def said(deliveries: Sequence[Delivery]) -> list[str]:
    return [str(dict(delivery.value)["event"]) for delivery in deliveries]


async def lease(
    store: Store, now: datetime = NOON, until: datetime = NOON + MINUTE, limit: int = 100
) -> Sequence[Delivery]:
    return await store.lease_deliveries(Receiver(APP), now, until, limit)


def delivered(delivery: Delivery, now: datetime = NOON) -> Delivery:
    return delivery.delivered(200, "", now)


def put_off(delivery: Delivery, now: datetime = NOON) -> Delivery:
    return delivery.put_off("it answered HTTP 500", 500, "", now)


async def on_their_way(store: Store, portfolio: str = PORTFOLIO.id) -> list[Delivery]:
    """The oldest first."""
    return list(await store.deliveries(portfolio, None, 999))[::-1]


# What waits


@promise
async def check_what_waits_is_counted_with_how_long_it_is_due(make_store):
    store = await with_receivers(make_store)
    await store.update(
        NUMBER_ID,
        lambda n: Decision(n, (SUBSCRIBED,), messages=(a_message(MINUTE), a_message(HOUR))),
    )
    await post(store, a_mail(at=NOON + SECOND), a_mail(at=NOON + 2 * SECOND))
    await happen(store, "one", "two", at=NOON)
    at_first = await store.backlog(NOON)

    for letter in await store.mails(None, 9):
        if letter.posted_at == NOON + SECOND:
            await store.update_mail(letter.key, lambda p: p.delivered(NOON))
    await store.settle_deliveries([one.key for one in await lease(store)], delivered, NOON)
    later = await store.backlog(NOON + MINUTE)

    assert at_first == Backlog(Waiting(2, NOON), Waiting(2, None), Waiting(2, NOON))
    assert later == Backlog(Waiting(1, NOON), Waiting(1, NOON + 2 * SECOND), Waiting(0, None))


# Subscriptions


@promise
async def check_subscriptions_come_by_app_and_once_more_replaces_the_address(make_store):
    store, other = await with_receivers(make_store), await make_store()
    await store.add_waba(Waba(OTHER_WABA, PORTFOLIO.id, "Other"))
    first = list(await other.subscriptions(WABA))

    await store.subscribe(Subscription(WABA, THIEFS_APP, "https://a.example"), (SUBSCRIBED,))
    await store.subscribe(Subscription(WABA, APP, "https://b.example"), (SUBSCRIBED,))
    both = list(await other.subscriptions(WABA))
    await store.subscribe(Subscription(WABA, APP), ())

    assert first == [Subscription(WABA, APP)]
    assert both == [
        Subscription(WABA, APP, "https://b.example"),
        Subscription(WABA, THIEFS_APP, "https://a.example"),
    ]
    assert (await other.subscriptions(WABA))[0] == Subscription(WABA, APP)
    assert list(await other.subscriptions(OTHER_WABA)) == []
    assert [link.event for link in await trail(store, SUBJECT)] == [SUBSCRIBED] * 2


@promise
async def check_who_unsubscribed_hears_no_more_and_cannot_do_so_twice(make_store):
    store, other = await with_receivers(make_store), await make_store()
    await store.subscribe(Subscription(WABA, OTHER_APP), ())
    await happen(store, "before")

    await store.unsubscribe(WABA, APP, (SUBSCRIBED,))
    again = await outcome(store.unsubscribe(WABA, APP, (SUBSCRIBED,)))
    await happen(store, "after")

    assert isinstance(again, NotSubscribed)
    assert list(await other.subscriptions(WABA)) == [Subscription(WABA, OTHER_APP)]
    found = [(d.app, dict(d.value)["event"]) for d in await on_their_way(store)]
    assert sorted(found) == [(APP, "before"), (OTHER_APP, "after"), (OTHER_APP, "before")]
    assert len(await trail(store, SUBJECT)) == 1


# Who is told


@promise
async def check_every_subscribed_app_that_wants_the_field_is_told_and_no_other_one(make_store):
    store = await with_receivers(make_store)
    only = Callback("https://only.example", frozenset({Field.SECURITY}))
    await store.update_app(OTHER_APP, lambda a: AppDecision(replace(a, callback=only)))
    await store.add_app(an_app(3, callback=None), ())
    await store.add_waba(Waba(OTHER_WABA, PORTFOLIO.id, "Other"))
    for app in (OTHER_APP, an_app(3).id):
        await store.subscribe(Subscription(WABA, app), ())
    await store.subscribe(Subscription(OTHER_WABA, APP), ())

    await happen(store, "s", field=Field.SECURITY, at=NOON + MICRO)
    await happen(store, "n", field=Field.NAME)

    found = await on_their_way(await make_store())
    assert sorted((d.app, d.field) for d in found) == [
        (APP, Field.NAME), (APP, Field.SECURITY), (OTHER_APP, Field.SECURITY),
    ]  # fmt: skip
    assert await on_their_way(store, ELSEWHERE.id) == []
    (first,) = [d for d in found if (d.app, d.field) == (APP, Field.SECURITY)]
    assert first == Delivery(
        key=first.key, app=APP, waba=WABA, line=NUMBER_ID, field=Field.SECURITY,
        value=(("display_phone_number", E164[1:]), ("event", "s")),
        at=NOON + MICRO, posted_at=NOON + MICRO, due_at=NOON + MICRO,
    )  # fmt: skip
    assert await store.delivery(first.key) == first


@promise
async def check_apps_are_told_in_the_step_of_the_change_or_not_at_all(make_store):
    store = await with_receivers(make_store)
    refusal = WrongCode()

    def raising(number):
        happens("raised")(number)
        raise Stumble

    def with_event(event):
        return lambda n: replace(happens("unwritable")(n), events=(event,))

    ended = await outcomes(
        [
            store.update(NUMBER_ID, raising),
            store.update(NUMBER_ID, with_event(UNWRITABLE)),
            store.update(NUMBER_ID, lambda n: replace(happens("kept")(n), refusal=refusal)),
        ]
    )

    assert isinstance(ended[0], Stumble)
    assert isinstance(ended[1], Exception)
    assert ended[2] is refusal
    assert said(await on_their_way(store)) == ["kept"]


# Leasing and settling


@promise
async def check_due_deliveries_are_leased_in_order_and_each_lease_is_an_attempt(make_store):
    store = await with_receivers(make_store)
    await happen(store, "a", "b")
    await happen(store, "c", to=SECOND_ID)
    await happen(store, "d")

    first = await lease(store)
    second = await lease(store, NOON + MINUTE, NOON + 2 * MINUTE)

    assert said(first) == said(second) == ["a", "b", "c", "d"]
    assert {d.attempts for d in first} == {1}
    assert {d.attempts for d in second} == {2}
    assert [await store.delivery(d.key) for d in second] == list(second)
    assert list(await store.lease_deliveries(Receiver(OTHER_APP), NOON + DAY, NOON + DAY, 9)) == []


@promise
async def check_nothing_of_a_leased_line_is_leased_again_before_the_lease_runs_out(make_store):
    store, other = await with_receivers(make_store), await make_store()
    await happen(store, "a1", "a2", "a3")
    await happen(store, "b1", to=SECOND_ID)

    first = await lease(store, limit=1)
    await happen(store, "a4")
    second = await lease(other, NOON + MINUTE - MICRO, NOON + 2 * MINUTE)
    third = await lease(store, NOON + MINUTE, NOON + 2 * MINUTE)

    assert said(first) == ["a1"]
    assert said(second) == ["b1"], "a line was leased twice at once"
    assert said(third) == ["a1", "a2", "a3", "a4"]
    assert [d.attempts for d in third] == [2, 1, 1, 1]


@promise
async def check_parallel_leasers_never_get_the_same_delivery_or_line(make_store):
    store, other = await with_receivers(make_store), await make_store()
    for n in range(3, 20):
        await store.add_number(a_number(n), ())
        await happen(store, "x", "y", to=a_number(n).id)

    ended = await asyncio.gather(*(lease((store, other)[n % 2], limit=5) for n in range(12)))

    lines = [line for leased in ended for line in {d.line for d in leased}]
    assert len(lines) == len(set(lines)), "one line was leased twice at once"
    assert sum(len(leased) for leased in ended) <= 34


@promise
async def check_what_was_delivered_frees_its_line_and_what_was_put_off_holds_it(make_store):
    store = await with_receivers(make_store)
    await happen(store, "a1", "a2")
    await happen(store, "b1", "b2", to=SECOND_ID)
    leased = [*await lease(store, limit=1), *await lease(store, limit=1)]
    now = NOON + SECOND

    done = await store.settle_deliveries([leased[0].key], lambda d: delivered(d, now), now)
    later = await store.settle_deliveries([leased[1].key], lambda d: put_off(d, now), now)

    assert [(d.state, d.ended_at) for d in done] == [(DeliveryState.DELIVERED, now)]
    assert [(d.state, d.due_at) for d in later] == [(DeliveryState.WAITING, now + SECOND)]
    assert said(await lease(store, now, now + HOUR)) == ["a2"]
    assert said(await lease(store, now + SECOND - MICRO)) == []
    assert said(await lease(store, now + SECOND, now + HOUR)) == ["b1", "b2"]


@promise
async def check_settling_leaves_unknown_keys_out_and_what_a_change_raises_keeps_nothing(
    make_store,
):
    store = await with_receivers(make_store)
    await happen(store, "a1", "a2")
    leased = await lease(store)
    keys = [delivery.key for delivery in leased]

    def second_stumbles(delivery: Delivery) -> Delivery:
        if delivery.key == keys[1]:
            raise Stumble
        return delivered(delivery)

    ended = await outcome(store.settle_deliveries(keys, second_stumbles, NOON))
    assert isinstance(ended, Stumble)
    assert await on_their_way(store) == list(leased), "half of it was kept"

    settled = await store.settle_deliveries([0, keys[1], -1, 2**60], delivered, NOON)

    assert [d.key for d in settled] == [keys[1]]
    assert await store.settle_deliveries([], delivered, NOON) == []


@promise
async def check_who_has_something_due_is_known_and_nobody_else(make_store):
    store = await with_receivers(make_store)
    await store.subscribe(Subscription(WABA, THIEFS_APP), ())
    before = list(await store.receivers_due(NOON + DAY))
    await happen(store, "a", at=NOON + SECOND)

    early = list(await store.receivers_due(NOON + SECOND - MICRO))
    due = list(await store.receivers_due(NOON + SECOND))
    leased = await lease(store, NOON + SECOND)
    hidden = list(await store.receivers_due(NOON + MINUTE - MICRO))
    await store.settle_deliveries([d.key for d in leased], delivered, NOON + SECOND)

    assert (before, early) == ([], [])
    assert set(due) == {Receiver(APP), Receiver(THIEFS_APP)}
    assert hidden == [Receiver(THIEFS_APP)]
    assert list(await store.receivers_due(NOON + DAY)) == [Receiver(THIEFS_APP)]


@promise
async def check_each_address_is_a_receiver_of_its_own_also_for_what_waits(make_store):
    store = await with_receivers(make_store)
    await happen(store, "a")
    there = Receiver(APP, "https://elsewhere.example/hook")

    await store.subscribe(Subscription(WABA, APP, there.url), ())
    await happen(store, "b")
    moved = list(await store.receivers_due(NOON))
    leased = said(await store.lease_deliveries(there, NOON, NOON + MINUTE, 9))
    left = list(await lease(store))
    await store.unsubscribe(WABA, APP, ())

    assert moved == [there]
    assert leased == ["a", "b"]
    assert left == []
    assert list(await store.receivers_due(NOON + MINUTE)) == [Receiver(APP)]


@promise
async def check_the_order_of_a_line_holds_whatever_fails_and_whoever_delivers(make_store):
    store, other, chance = await with_receivers(make_store), await make_store(), random.Random(5)
    now, count = NOON, 0
    took: dict[str, list[str]] = {NUMBER_ID: [], SECOND_ID: []}
    out: list[tuple[datetime, list[Delivery]]] = []

    for step in range(300):
        now += chance.choice([MICRO, SECOND, MINUTE, 10 * MINUTE])
        act = chance.choice(["happen", "happen", "lease", "settle", "settle", "lose"])
        at = (store, other)[step % 2]
        out = [one for one in out if one[0] > now]
        if act == "happen":
            count += 1
            await happen(at, f"{count:04d}", to=chance.choice([NUMBER_ID, SECOND_ID]), at=now)
        elif act == "lease":
            until = now + 20 * MINUTE
            leased = list(await lease(at, now, until, chance.choice([1, 2, 5, 100])))
            for line in sorted({d.line for d in leased}):
                assert line not in {d.line for _, one in out for d in one}, "leased twice"
                waiting = [
                    d.key
                    for d in await on_their_way(store)
                    if d.line == line and d.state is DeliveryState.WAITING
                ]
                mine = [d.key for d in leased if d.line == line]
                assert mine == waiting[: len(mine)], "something earlier was left behind"
            if leased:
                out.append((until, leased))
        elif act == "settle" and out:
            _, leased = out.pop(chance.randrange(len(out)))
            for line in sorted({d.line for d in leased}):
                fails = chance.random() < 0.4
                group = [d for d in leased if d.line == line]
                change = partial(put_off if fails else delivered, now=now)
                await at.settle_deliveries([d.key for d in group], change, now)
                if not fails:
                    took[line] += said(group)

    for line, events in took.items():
        assert len(events) > 20, "too little was delivered to see anything"
        assert events == sorted(events), f"line {line} came in another order"


# What became of each


@promise
async def check_deliveries_are_listed_newest_first_a_page_at_a_time(make_store):
    store = await with_receivers(make_store)
    for app in (OTHER_APP, THIEFS_APP):
        await store.subscribe(Subscription(WABA, app), ())
    for n in range(5):
        await happen(store, f"{n}", to=(NUMBER_ID, SECOND_ID)[n % 2], at=NOON - n * SECOND)

    first = list(await store.deliveries(PORTFOLIO.id, None, 4))
    rest = list(await store.deliveries(PORTFOLIO.id, first[-1].key, 100))
    mine = list(await store.deliveries(PORTFOLIO.id, None, 100, APP))
    behind = list(await store.deliveries(PORTFOLIO.id, mine[1].key, 2, APP))

    keys = [d.key for d in first + rest]
    assert len(keys) == len(set(keys)) == 10
    assert keys == sorted(keys, reverse=True)
    assert (said(mine), {d.app for d in mine}) == (["4", "3", "2", "1", "0"], {APP})
    assert said(behind) == ["2", "1"]
    assert {d.app for d in await store.deliveries(ELSEWHERE.id, None, 9)} == {THIEFS_APP}
    assert list(await store.deliveries(PORTFOLIO.id, None, 9, THIEFS_APP)) == []
    assert await store.delivery(0) is None
    assert await store.delivery(2**70) is None


@promise
async def check_failed_deliveries_are_counted_until_they_are_sent_again(make_store):
    store = await with_receivers(make_store)
    await happen(store, "a", "b")
    leased = await lease(store)
    keys = [d.key for d in leased]

    await store.settle_deliveries(keys, lambda d: d.failed("gone", NOON), NOON)
    failed = [await store.failed_deliveries(one.id) for one in (PORTFOLIO, ELSEWHERE)]
    due_meanwhile = list(await store.receivers_due(NOON + DAY))
    await store.settle_deliveries(keys[:1], lambda d: d.again(NOON + HOUR), NOON + HOUR)

    assert failed == [2, 0]
    assert due_meanwhile == []
    assert await store.failed_deliveries(PORTFOLIO.id) == 1
    assert said(await lease(store, NOON + HOUR)) == ["a"]


@promise
async def check_tidying_erases_what_ended_long_ago_and_nothing_that_waits(make_store):
    store = await with_receivers(make_store)
    await happen(store, "gone", "kept", "failed")
    await happen(store, "waits", to=SECOND_ID)
    keys = [d.key for d in await lease(store)]
    for key, change in (
        (keys[0], lambda d: delivered(d, NOON)),
        (keys[1], lambda d: delivered(d, NOON + MICRO)),
        (keys[2], lambda d: d.failed("x", NOON)),
    ):
        await store.settle_deliveries([key], change, NOON)

    await store.tidy(NOON + HOOK_KEPT)

    assert said(await on_their_way(store)) == ["kept", "waits"]
    assert await store.failed_deliveries(PORTFOLIO.id) == 0


@promise
async def check_a_removed_app_takes_its_deliveries_along(make_store):
    store = await with_receivers(make_store)
    await store.subscribe(Subscription(WABA, OTHER_APP), ())
    await happen(store, "a")
    (first, _) = sorted(await on_their_way(store), key=lambda d: d.app)

    await store.remove_app(APP, ())
    await happen(store, "b")

    assert [(d.app, dict(d.value)["event"]) for d in await on_their_way(store)] == [
        (OTHER_APP, "a"), (OTHER_APP, "b"),
    ]  # fmt: skip
    assert await store.delivery(first.key) is None
    assert list(await lease(store, NOON + DAY)) == []
