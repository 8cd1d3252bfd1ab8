"""Webhooks: setting them up, bringing them there in order, and what becomes of each."""

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from nightlatch.domain import two_step
from nightlatch.domain.access import Callback, Caller, GraphApp
from nightlatch.domain.errors import (
    CallbackRefused,
    DeliveryUnknown,
    NotSubscribed,
    ParameterInvalid,
    RoleTooLow,
    Unavailable,
    WabaUnknown,
)
from nightlatch.domain.limits import (
    HOOK_ANSWER,
    HOOK_BATCH,
    HOOK_GIVE_UP,
    HOOK_PAUSES,
    HOOK_SECONDS,
)
from nightlatch.domain.members import MemberRole
from nightlatch.domain.numbers import Decision, Number
from nightlatch.domain.portfolios import Waba
from nightlatch.domain.webhooks import Delivery, DeliveryState, Field, Hook, Receiver
from nightlatch.ports import Answered, World
from nightlatch.usecases import access, numbers, webhooks
from nightlatch.usecases.webhooks import Round
from tests.fakes.receivers import TAKEN, Challenged, Postboxes, Request, hang
from tests.fakes.stores import StoreWith
from tests.people import CC
from tests.usecases.conftest import Office, Scene, outcomes
from tests.webhook_receiver import signed

URL = "https://hooks.luckyshrub.example/nightlatch"
OTHER_URL = "https://elsewhere.example/"
TOKEN = "let me in"
EVERY_FIELD = frozenset(Field)
LEASE = timedelta(seconds=60)


@dataclass
class Still:
    """A clock that only a test moves."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    def step(self, by: timedelta) -> None:
        self.at += by


@dataclass
class Line:
    """An app of the owner's that hears about the account, and the numbers it hears of."""

    scene: Scene
    clock: Still
    world: World
    app: GraphApp
    secret: str
    waba: Waba
    boxes: Postboxes
    numbers: list[Number] = field(default_factory=list)

    async def number(self, nth: int = 0) -> Number:
        """The nth number, which is added when it is missing."""
        while len(self.numbers) <= nth:
            e164 = f"+1631555{len(self.numbers):04d}"
            added = await numbers.add_number(self.world, self.waba.id, e164, CC, "Lucky Shrub")
            self.numbers.append(added)
        return self.numbers[nth]

    async def tell(self, *events: str, of: int = 0) -> None:
        """Something happens to the nth number, and then more."""
        number = await self.number(of)
        now = self.world.clock.now()
        hooks = tuple(Hook(Field.SECURITY, number.id, now, (("event", event),)) for event in events)
        await self.world.update(number.id, lambda n: Decision(n, hooks=hooks))

    async def deliver(self, to: str | None = None, **ports: Any) -> Round:
        return await webhooks.deliver(replace(self.world, **ports), Receiver(self.app.id, to))

    async def deliveries(self) -> list[Delivery]:
        """The oldest first."""
        found = await webhooks.latest(self.world, self.app.portfolio, 10_000)
        return list(reversed(found))

    async def states(self) -> list[str]:
        return [delivery.state.value for delivery in await self.deliveries()]

    async def only(self) -> Delivery:
        (delivery,) = await self.deliveries()
        return delivery

    async def wait_until_due(self) -> bool:
        """Step the clock to the next attempt; whether there is one."""
        due = [d.due_at for d in await self.deliveries() if d.state is DeliveryState.WAITING]
        if due:
            self.clock.step(max(min(due) - self.clock.now(), timedelta(0)))
        return bool(due)


@pytest.fixture
async def line(scene: Scene) -> Line:
    """The owner's app is subscribed to every field of the account."""
    boxes = Postboxes(token=TOKEN)
    clock = Still(scene.clock.now())
    world = scene.other_world(receivers=boxes, clock=clock)
    portfolio, *_ = await world.store.portfolios()
    (waba,) = await world.store.wabas(portfolio.id)
    new = await access.add_app(world, portfolio.id, "Shop")
    await webhooks.set_callback(world, new.app, URL, TOKEN, EVERY_FIELD)
    await webhooks.subscribe(world, Caller(new.app), waba)
    app = await access.find_app(world, new.app.id)
    return Line(scene, clock, world, app, new.secret, waba, boxes)


def answering(*answers: Answered | Exception) -> Callable[[Request], Awaitable[Answered]]:
    """These, one after the other; then everything is taken."""
    left = list(answers)

    async def answered(_: Request) -> Answered:
        outcome = left.pop(0) if left else TAKEN
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return answered


def choking_on(*poison: str) -> Callable[[Request], Awaitable[Answered]]:
    """400 whenever one of these is in the body."""

    async def answered(request: Request) -> Answered:
        return Answered(400, b"no") if set(poison) & set(request.events) else TAKEN

    return answered


# Where they go


async def test_an_address_that_repeats_the_challenge_becomes_the_callback(line: Line):
    nudged = []

    world = replace(line.world, nudge=lambda: nudged.append(1))
    await webhooks.set_callback(world, line.app, OTHER_URL, TOKEN, [Field.SECURITY])

    app = await access.find_app(line.world, line.app.id)
    url, query = line.boxes.challenges[-1]
    assert app.callback == Callback(OTHER_URL, frozenset({Field.SECURITY}))
    assert (url, query["hub.mode"], query["hub.verify_token"]) == (OTHER_URL, "subscribe", TOKEN)
    assert query["hub.challenge"].isdigit()
    assert nudged  # what waits goes there now


async def test_each_challenge_is_another_one(line: Line):
    for _ in range(3):
        await webhooks.set_callback(line.world, line.app, URL, TOKEN, EVERY_FIELD)

    assert len({query["hub.challenge"] for _, query in line.boxes.challenges}) == 4


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (Answered(403, b""), "it answered the challenge with HTTP 403"),
        (Answered(201, b"{}"), "it answered the challenge with HTTP 201"),
        (Answered(302, b""), "it answered the challenge with HTTP 302"),
        (Answered(200, b""), "it did not repeat the challenge"),
        (Answered(200, b"0000000000"), "it did not repeat the challenge"),
        (Answered(200, b"\xff" * 10), "it did not repeat the challenge"),
        (TimeoutError(), "it was not reached: TimeoutError"),
        (CallbackRefused("it is not https"), "it is not https"),
    ],
)
async def test_an_address_that_does_not_repeat_the_challenge_is_refused_and_nothing_changes(
    line: Line, outcome: Answered | Exception, why: str
):
    world = replace(line.world, receivers=Challenged(outcome))

    for call in (
        webhooks.set_callback(world, line.app, OTHER_URL, TOKEN, EVERY_FIELD),
        webhooks.subscribe(world, Caller(line.app), line.waba, OTHER_URL, TOKEN),
    ):
        with pytest.raises(CallbackRefused) as refused:
            await call
        assert refused.value.why == why

    assert await access.find_app(line.world, line.app.id) == line.app
    ((subscription, _),) = await webhooks.subscriptions(line.world, line.waba)
    assert subscription.url is None


async def test_white_space_around_the_repeated_challenge_does_no_harm(line: Line):
    boxes = line.boxes

    class Chatty(Postboxes):
        async def challenge(self, url: str, query: Any) -> Answered:
            answered = await boxes.challenge(url, query)
            return replace(answered, body=b" " + answered.body + b"\r\n")

    world = replace(line.world, receivers=Chatty())
    await webhooks.set_callback(world, line.app, OTHER_URL, TOKEN, EVERY_FIELD)

    app = await access.find_app(line.world, line.app.id)
    assert app.callback == Callback(OTHER_URL, EVERY_FIELD)


@pytest.mark.parametrize(
    "url", ["", "hook", "ftp://x.example/", "https://a@x.example/", "https://"]
)
async def test_what_is_no_address_of_a_webhook_is_refused_before_anything_is_asked(
    line: Line, url: str
):
    asked = len(line.boxes.challenges)

    with pytest.raises(ParameterInvalid):
        await webhooks.set_callback(line.world, line.app, url, TOKEN, EVERY_FIELD)
    with pytest.raises(ParameterInvalid):
        await webhooks.subscribe(line.world, Caller(line.app), line.waba, url, TOKEN)

    assert len(line.boxes.challenges) == asked


async def test_the_apps_that_hear_about_an_account_are_listed(line: Line):
    await webhooks.subscribe(line.world, Caller(line.app), line.waba, OTHER_URL, TOKEN)

    ((subscription, app),) = await webhooks.subscriptions(line.world, line.waba)
    ((waba, same),) = await webhooks.subscribed_to(line.world, line.app)

    assert (subscription.url, app) == (OTHER_URL, line.app)
    assert (waba, same) == (line.waba, subscription)


async def test_an_app_hears_only_of_its_own_accounts_in_the_list(line: Line):
    new = await access.add_app(line.world, line.app.portfolio, "Another")

    assert await webhooks.subscribed_to(line.world, new.app) == []


async def test_unsubscribing_twice_is_refused(line: Line):
    await webhooks.unsubscribe(line.world, Caller(line.app), line.waba)

    with pytest.raises(NotSubscribed):
        await webhooks.unsubscribe(line.world, Caller(line.app), line.waba)


# Bringing them there


async def test_without_anything_to_tell_nothing_is_sent(line: Line):
    assert await line.deliver() == Round()
    assert line.boxes.requests == []


async def test_a_changed_pin_is_told_as_documented_and_signed_over_the_raw_bytes(line: Line):
    scene = line.scene
    await scene.owner_has_registered()
    number = await scene.number()
    now = line.world.clock.now()
    await line.world.update(number.id, lambda n: two_step.telling(Decision(n), now))

    done = await line.deliver()

    (request,) = line.boxes.requests
    assert done == Round(delivered=1)
    assert request.url == URL
    assert request.signature == signed(line.secret, request.body)
    assert json.loads(request.body) == {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": line.waba.id,
                "time": int(now.timestamp()),
                "changes": [
                    {
                        "value": {
                            "display_phone_number": number.e164.lstrip("+"),
                            "event": "PIN_CHANGED",
                        },
                        "field": "security",
                    }
                ],
            }
        ],
    }


async def test_text_beyond_ascii_is_signed_as_the_bytes_that_go_out(line: Line):
    await line.tell("Grüße ☎ 店")

    await line.deliver()

    (request,) = line.boxes.requests
    assert request.body.isascii()
    assert request.events == ["Grüße ☎ 店"]
    assert request.signature == signed(line.secret, request.body)


async def test_after_a_new_secret_everything_is_signed_with_it(line: Line):
    await line.tell("A")
    secret = await access.renew_secret(line.world, line.app)

    await line.deliver()

    (request,) = line.boxes.requests
    assert request.signature == signed(secret, request.body)


async def test_updates_go_together_up_to_the_limit_of_one_request(line: Line):
    events = [f"{n}" for n in range(HOOK_BATCH + 50)]
    await line.tell(*events)

    first, second, third = [await line.deliver() for _ in range(3)]

    assert [len(request.events) for request in line.boxes.requests] == [HOOK_BATCH, 50]
    assert line.boxes.events == events
    assert (first.delivered, second.delivered, third) == (HOOK_BATCH, 50, Round())


async def test_only_the_fields_an_app_asked_for_are_told(line: Line):
    await webhooks.set_callback(line.world, line.app, URL, TOKEN, [Field.NAME])
    await line.tell("A")

    assert await line.deliver() == Round()


@pytest.mark.parametrize(
    "status", [100, 201, 202, 204, 301, 302, 400, 401, 404, 410, 429, 500, 503]
)
async def test_only_http_200_counts(line: Line, status: int):
    line.boxes.answers = answering(Answered(status, b"\xffwhy"))
    await line.tell("A")

    done = await line.deliver()

    delivery = await line.only()
    assert done == Round(put_off=1)
    assert delivery.state is DeliveryState.WAITING
    assert (delivery.status, delivery.answer) == (status, "\ufffdwhy")
    assert delivery.fault == f"it answered HTTP {status}"


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (TimeoutError(), "not reached: TimeoutError"),
        (ConnectionResetError("peer"), "not reached: ConnectionResetError"),
        (CallbackRefused("it is not https"), "it is not https"),
    ],
)
async def test_a_receiver_that_is_not_reached_is_tried_again(
    line: Line, error: Exception, fault: str
):
    line.boxes.answers = answering(error)
    await line.tell("A")

    first = await line.deliver()
    put_off = await line.only()
    await line.wait_until_due()
    second = await line.deliver()

    assert first == Round(put_off=1, reached=False)
    assert (put_off.fault, put_off.status, put_off.alone) == (fault, None, False)
    assert second == Round(delivered=1)
    assert (await line.only()).fault == ""


async def test_while_the_key_ring_cannot_be_used_nothing_is_sent_and_nothing_lost(line: Line):
    class Locked:
        def __getattr__(self, name: str) -> Any:
            raise Unavailable

    await line.tell("A")

    first = await line.deliver(keys=Locked())
    told = await line.only()
    await line.wait_until_due()
    second = await line.deliver()

    assert first == Round(put_off=1, reached=False)
    assert told.fault == "the key ring cannot be used"
    assert second == Round(delivered=1)
    assert len(line.boxes.requests) == 1


async def test_what_a_receiver_answered_is_kept(line: Line):
    line.boxes.answers = answering(Answered(200, b"x" * HOOK_ANSWER))
    await line.tell("A")

    await line.deliver()

    delivery = await line.only()
    assert (delivery.status, delivery.answer) == (200, "x" * HOOK_ANSWER)


async def test_attempts_go_on_with_growing_gaps_for_seven_days_and_then_it_has_failed(line: Line):
    async def never(_: Request) -> Answered:
        raise OSError

    line.boxes.answers = never
    begun = line.clock.now()
    await line.tell("A")
    tried = []
    while await line.wait_until_due():
        tried.append(line.clock.now() - begun)
        done = await line.deliver()

    gaps = [b - a for a, b in itertools.pairwise(tried)]
    delivery = await line.only()
    assert done == Round(failed=1, reached=False)
    assert delivery.state is DeliveryState.FAILED
    assert delivery.attempts == len(tried) == len(line.boxes.requests)
    assert gaps[: len(HOOK_PAUSES)] == list(HOOK_PAUSES)
    assert set(gaps[len(HOOK_PAUSES) : -1]) == {HOOK_PAUSES[-1]}
    assert tried[-1] == HOOK_GIVE_UP
    assert await webhooks.failed(line.world, line.app.portfolio) == 1


# Order, and what holds up what


async def test_what_happens_while_a_line_waits_waits_behind_it(line: Line):
    line.boxes.answers = answering(OSError(), OSError())
    await line.tell("A")
    await line.deliver()
    await line.tell("B")

    at_once = await line.deliver()
    await line.wait_until_due()
    await line.deliver()
    await line.tell("C")
    await line.wait_until_due()
    await line.deliver()

    assert at_once == Round()
    assert [r.events for r in line.boxes.requests] == [["A"], ["A", "B"], ["A", "B", "C"]]


async def test_a_line_that_waits_holds_up_no_other(line: Line):
    line.boxes.answers = answering(OSError())
    await line.tell("A")
    await line.deliver()
    await line.tell("B", of=1)

    done = await line.deliver()

    assert done == Round(delivered=1)
    assert line.boxes.requests[-1].events == ["B"]


async def test_an_update_that_is_never_taken_holds_up_no_other_line(line: Line):
    line.boxes.answers = choking_on("poison")
    for n in range(5):
        await line.tell("poison" if n == 2 else f"{n}", of=n)

    together = await line.deliver()
    await line.wait_until_due()
    alone = await line.deliver()

    assert together == Round(put_off=5)
    assert alone == Round(delivered=4, put_off=1)
    assert await line.states() == ["delivered", "delivered", "waiting", "delivered", "delivered"]

    await line.tell("later", of=4)
    await line.deliver()
    assert line.boxes.requests[-1].events == ["later"]


async def test_what_comes_behind_an_update_that_is_never_taken_is_not_given_up_with_it(line: Line):
    """In its own line everything waits, in order; and then it is brought."""
    line.boxes.answers = choking_on("poison")
    await line.tell("first", "poison", "second", "third")

    while await line.wait_until_due():
        await line.deliver()

    assert await line.states() == ["delivered", "failed", "delivered", "delivered"]
    lone = [request.events for request in line.boxes.requests[1:]]
    assert lone[0] == ["first"]
    assert lone[-2:] == [["second"], ["third"]]
    assert set(map(tuple, lone[1:-2])) == {("poison",)}


async def test_what_comes_behind_an_update_that_is_never_taken_drags_no_other_line_in(line: Line):
    line.boxes.answers = choking_on("poison")
    await line.tell("poison")
    await line.deliver()
    await line.tell("behind")
    await line.tell("other", of=1)
    line.clock.step(HOOK_PAUSES[0])

    done = await line.deliver()

    assert done == Round(delivered=1, put_off=1)
    assert sorted(r.events for r in line.boxes.requests[1:]) == [["other"], ["poison"]]


async def test_what_was_not_sent_because_of_the_one_before_it_was_not_tried(line: Line):
    line.boxes.answers = choking_on("poison")
    await line.tell("poison", "second")
    for _ in range(4):
        await line.deliver()
        await line.wait_until_due()

    poison, second = await line.deliveries()

    assert (poison.attempts, second.attempts) == (4, 1)
    assert second.due_at == poison.due_at


async def test_a_new_update_never_overtakes_one_of_its_line_that_goes_alone(line: Line):
    line.boxes.answers = answering(Answered(500, b""))
    await line.tell("A")
    await line.deliver()
    await line.tell("B")
    await line.tell("C", of=1)

    line.clock.step(timedelta(seconds=1))
    done = await line.deliver()

    assert done == Round(delivered=3)
    arrived = line.boxes.events[1:]
    assert arrived.index("A") < arrived.index("B")


async def test_a_line_that_goes_one_by_one_lets_go_before_its_lease_is_over(line: Line):
    async def slowly(_: Request) -> Answered:
        line.clock.step(timedelta(seconds=HOOK_SECONDS / 2))
        return TAKEN

    line.boxes.answers = answering(Answered(500, b""))
    await line.tell(*"ABCDE")
    await line.deliver()
    await line.wait_until_due()
    line.boxes.answers = slowly

    first = await line.deliver()
    second = await line.deliver()
    third = await line.deliver()

    assert [done.delivered for done in (first, second, third)] == [2, 2, 1]
    assert line.boxes.events[5:] == list("ABCDE")
    assert {delivery.attempts for delivery in await line.deliveries()} == {2}


async def test_a_receiver_that_hangs_holds_up_no_other_app(line: Line):
    other = await access.add_app(line.world, line.app.portfolio, "Other")
    await webhooks.set_callback(line.world, other.app, OTHER_URL, TOKEN, EVERY_FIELD)
    await webhooks.subscribe(line.world, Caller(other.app), line.waba)

    async def answered(request: Request) -> Answered:
        return await hang(request) if request.url == URL else TAKEN

    line.boxes.answers = answered
    await line.tell("A")
    hanging = asyncio.create_task(line.deliver())
    while not line.boxes.requests:
        await asyncio.sleep(0)

    done = await webhooks.deliver(line.world, Receiver(other.app.id))

    assert done == Round(delivered=1)
    assert not hanging.done()
    hanging.cancel()


async def test_of_two_workers_at_once_each_brings_its_own(line: Line):
    for n in range(20):
        await line.tell(f"{n}a", f"{n}b", of=n % 5)

    rounds = await asyncio.gather(*(line.deliver() for _ in range(4)))

    assert sum(done.delivered for done in rounds) == 40
    assert Counter(line.boxes.events) == {f"{n}{x}": 1 for n in range(20) for x in "ab"}


async def test_a_worker_that_dies_strands_nothing(line: Line):
    line.boxes.answers = hang
    await line.tell("A", "B")
    dying = asyncio.create_task(line.deliver())
    while not line.boxes.requests:
        await asyncio.sleep(0)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    line.boxes.answers = answering()
    await line.tell("C")

    too_early = await line.deliver()
    line.clock.step(LEASE)
    done = await line.deliver()

    assert too_early == Round()
    assert done == Round(delivered=3)
    assert line.boxes.requests[-1].events == ["A", "B", "C"]


async def test_an_attempt_that_ends_after_its_lease_undoes_nothing(line: Line):
    """The first worker sleeps; the second brings it; then the first gives its verdict."""
    asleep = asyncio.Event()

    async def sleepy(request: Request) -> Answered:
        if len(line.boxes.requests) > 1:
            return TAKEN
        await asleep.wait()
        raise TimeoutError(request.url)

    line.boxes.answers = sleepy
    await line.tell("A")
    slow = asyncio.create_task(line.deliver())
    while not line.boxes.requests:
        await asyncio.sleep(0)
    line.clock.step(LEASE)
    quick = await line.deliver()
    asleep.set()

    assert quick == Round(delivered=1)
    assert await slow == Round(delivered=1, reached=False)
    assert await line.states() == ["delivered"]
    assert await line.deliver() == Round()


async def test_when_the_store_fails_in_one_group_the_others_are_still_brought(line: Line):
    line.boxes.answers = answering(Answered(500, b""))
    for n in range(4):
        await line.tell(f"{n}", of=n)
    await line.deliver()
    await line.wait_until_due()
    failing = [(await line.deliveries())[0].key]

    async def settle(keys: Any, change: Any, now: Any) -> Any:
        if keys == failing:
            raise Unavailable
        return await line.world.store.settle_deliveries(keys, change, now)

    with pytest.raises(Unavailable):
        await line.deliver(store=StoreWith(line.world.store, settle_deliveries=settle))

    assert await line.states() == ["waiting", "delivered", "delivered", "delivered"]
    line.clock.step(LEASE)
    assert await line.deliver() == Round(delivered=1)


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_goes_wrong_each_line_first_arrives_in_order_and_in_the_end_all_do(
    line: Line, seed: int
):
    """Workers side by side, of which some die; a receiver that chokes, breaks off and forgets."""
    chance = random.Random(seed)

    async def moody(request: Request) -> Answered:
        mood = chance.random()
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)  # others come in between
        if mood < 0.15:
            raise TimeoutError(request.url)
        if mood < 0.3:
            return Answered(chance.choice([400, 500]), b"")
        return TAKEN

    line.boxes.answers = moody
    told = 0
    for step in range(60):
        for _ in range(chance.randrange(4) if step < 40 else 0):
            await line.tell(f"{told:04d}", of=chance.randrange(4))
            told += 1
        workers = [asyncio.create_task(line.deliver()) for _ in range(chance.randrange(1, 4))]
        if chance.random() < 0.2:
            await asyncio.sleep(0.001)
            workers[0].cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        line.clock.step(timedelta(seconds=chance.choice([0, 1, 5, 70])))
    line.boxes.answers = answering()
    while await line.wait_until_due():
        await line.deliver()

    assert set(await line.states()) == {"delivered"}
    assert len(await line.deliveries()) == told
    first: dict[str, list[str]] = {}
    line_of = {dict(d.value)["event"]: d.line for d in await line.deliveries()}
    for event in dict.fromkeys(line.boxes.events):
        first.setdefault(line_of[event], []).append(event)
    assert all(arrived == sorted(arrived) for arrived in first.values())
    assert sum(map(len, first.values())) == told


# What changes while something waits


async def test_what_waits_goes_to_the_callback_as_it_is_now(line: Line):
    await line.tell("A")
    await webhooks.set_callback(line.world, line.app, OTHER_URL, TOKEN, EVERY_FIELD)

    await line.deliver()

    assert [request.url for request in line.boxes.requests] == [OTHER_URL]


async def test_an_account_may_have_an_address_of_its_own(line: Line):
    await webhooks.subscribe(line.world, Caller(line.app), line.waba, OTHER_URL, TOKEN)
    await line.tell("A")
    assert await line.deliver() == Round()
    await line.deliver(to=OTHER_URL)
    await webhooks.subscribe(line.world, Caller(line.app), line.waba)
    await line.tell("B")
    await line.deliver()

    assert [(r.url, r.events) for r in line.boxes.requests] == [(OTHER_URL, ["A"]), (URL, ["B"])]


@pytest.mark.parametrize("alone", [False, True])
async def test_what_waits_for_an_app_that_does_not_want_it_any_more_fails_and_is_not_sent(
    line: Line, alone: bool
):
    for stop in (
        lambda: webhooks.unsubscribe(line.world, Caller(line.app), line.waba),
        lambda: webhooks.remove_callback(line.world, line.app),
    ):
        await webhooks.set_callback(line.world, line.app, URL, TOKEN, EVERY_FIELD)
        await webhooks.subscribe(line.world, Caller(line.app), line.waba)
        if alone:
            line.boxes.answers = answering(Answered(500, b""))
        await line.tell("A", "B")
        if alone:
            await line.deliver()
            await line.wait_until_due()
        line.boxes.requests.clear()
        await stop()

        done = await line.deliver()

        assert done == Round(failed=2)
        assert line.boxes.requests == []
    assert {d.fault for d in await line.deliveries()} == {"the app is not subscribed any more"}


async def test_what_waits_for_an_app_that_is_removed_goes_with_it(line: Line):
    await line.tell("A")
    await access.remove_app(line.world, line.app)

    assert await line.deliver() == Round()
    assert await line.deliveries() == []
    assert line.boxes.requests == []


async def test_an_app_that_is_removed_while_a_round_begins_gets_nothing(line: Line):
    async def lease(*all: Any) -> Any:
        leased = await line.world.store.lease_deliveries(*all)
        await access.remove_app(line.world, line.app)
        return leased

    await line.tell("A")

    done = await line.deliver(store=StoreWith(line.world.store, lease_deliveries=lease))

    assert done == Round()
    assert line.boxes.requests == []


# What became of each, and once more


async def test_a_delivery_is_found_by_who_may_see_it(line: Line):
    await line.tell("A")
    delivery = await line.only()

    assert await webhooks.find(line.world, delivery.key) == delivery
    assert await webhooks.find(line.world, delivery.key, line.app.portfolio) == delivery
    for key, portfolio in ((delivery.key, "200000000000000"), (delivery.key + 1, None)):
        with pytest.raises(DeliveryUnknown):
            await webhooks.find(line.world, key, portfolio)


async def test_a_delivery_whose_app_goes_meanwhile_is_not_found(line: Line):
    async def gone(_: str) -> None:
        return None

    await line.tell("A")
    delivery = await line.only()

    with pytest.raises(DeliveryUnknown):
        await webhooks.find(
            replace(line.world, store=StoreWith(line.world.store, app=gone)), delivery.key
        )


async def test_the_newest_deliveries_come_first_page_by_page(line: Line):
    await line.tell(*"ABCDE")
    portfolio = line.app.portfolio

    first = await webhooks.latest(line.world, portfolio, 2)
    second = await webhooks.latest(line.world, portfolio, 2, first[-1].key, line.app.id)

    assert [dict(d.value)["event"] for d in (*first, *second)] == list("EDCB")


async def test_a_person_has_one_that_arrived_sent_again(line: Line):
    nudged = []
    await line.tell("A")
    await line.deliver()

    world = replace(line.world, nudge=lambda: nudged.append(1))
    await webhooks.send_again(world, await line.only())
    done = await line.deliver()

    assert nudged
    assert done == Round(delivered=1)
    assert line.boxes.events == ["A", "A"]


async def test_a_person_has_one_that_failed_sent_again_and_it_has_seven_days_once_more(line: Line):
    line.boxes.answers = answering(*[OSError()] * 100)
    await line.tell("A")
    while await line.wait_until_due():
        await line.deliver()
    tried = len(line.boxes.requests)

    await webhooks.send_again(line.world, await line.only())
    first = await line.deliver()
    again = await line.only()
    now = line.clock.now()
    while await line.wait_until_due():
        await line.deliver()

    assert first == Round(put_off=1, reached=False)
    assert (again.attempts, again.due_at) == (1, now + HOOK_PAUSES[0])
    assert len(line.boxes.requests) == 2 * tried


async def test_a_person_need_not_wait_for_the_next_attempt(line: Line):
    line.boxes.answers = answering(*[OSError()] * 5)
    await line.tell("A")
    for _ in range(5):
        await line.deliver()
        await line.wait_until_due()
    await line.tell("B")

    await webhooks.send_again(line.world, (await line.deliveries())[0])
    done = await line.deliver()

    assert done == Round(delivered=2)
    assert line.boxes.requests[-1].events == ["A", "B"]


async def test_what_is_gone_is_not_sent_again(line: Line):
    await line.tell("A")
    delivery = await line.only()
    await access.remove_app(line.world, line.app)

    with pytest.raises(DeliveryUnknown):
        await webhooks.send_again(line.world, delivery)


# By members of the portfolio


async def test_owners_set_up_webhooks_and_nobody_else_does(office: Office):
    boxes = Postboxes(token=TOKEN)
    world = replace(office.world, receivers=boxes)
    new = await access.add_app(world, office.portfolio, "Shop")
    (waba,) = await world.store.wabas(office.portfolio)
    owner, app = await office.owner(), new.app.id
    admin = await office.add("admin", MemberRole.ADMIN)

    for member, refusal in ((admin, "RoleTooLow"), (office.neighbour, "AppUnknown")):
        refused = await outcomes(
            webhooks.set_callback_by_member(world, member, app, URL, TOKEN, EVERY_FIELD),
            webhooks.remove_callback_by_member(world, member, app),
            webhooks.subscribe_by_member(world, member, app, waba.id),
            webhooks.unsubscribe_by_member(world, member, app, waba.id),
        )
        assert refused == {refusal: 4}
    assert boxes.challenges == []

    await webhooks.set_callback_by_member(world, owner, app, URL, TOKEN, EVERY_FIELD)
    await webhooks.subscribe_by_member(world, owner, app, waba.id)
    found = await access.find_app(world, app)
    assert found.callback == Callback(URL, EVERY_FIELD)
    assert len(await webhooks.subscribed_to(world, found)) == 1

    await webhooks.unsubscribe_by_member(world, owner, app, waba.id)
    await webhooks.remove_callback_by_member(world, owner, app)
    found = await access.find_app(world, app)
    assert found.callback is None
    assert await webhooks.subscribed_to(world, found) == []


async def test_a_callback_without_a_field_is_refused(office: Office):
    new = await access.add_app(office.world, office.portfolio, "Shop")

    with pytest.raises(ParameterInvalid, match="one field"):
        await webhooks.set_callback_by_member(
            office.world, await office.owner(), new.app.id, URL, TOKEN, []
        )


async def test_an_owner_subscribes_no_app_to_another_portfolios_account(office: Office):
    new = await access.add_app(office.world, office.portfolio, "Shop")
    theirs = Waba("300000000000099", office.neighbour.portfolio, "Theirs")
    await office.world.store.add_waba(theirs)

    for call in (webhooks.subscribe_by_member, webhooks.unsubscribe_by_member):
        with pytest.raises(WabaUnknown):
            await call(office.world, await office.owner(), new.app.id, theirs.id)


async def test_admins_look_at_deliveries_and_send_them_again_and_viewers_do_not(
    office: Office, line: Line
):
    await line.tell("A")
    key = (await line.only()).key
    admin = await office.add("admin", MemberRole.ADMIN)
    viewer = await office.add("viewer", MemberRole.VIEWER)

    seen = await webhooks.delivery_seen_by(line.world, admin, key)
    await webhooks.send_again_by_member(line.world, admin, key)

    assert seen.key == key
    for member, refusal in ((viewer, RoleTooLow), (office.neighbour, DeliveryUnknown)):
        with pytest.raises(refusal):
            await webhooks.delivery_seen_by(line.world, member, key)
        with pytest.raises(refusal):
            await webhooks.send_again_by_member(line.world, member, key)


async def test_the_trail_says_who_subscribed_what(line: Line):
    await webhooks.unsubscribe(line.world, Caller(line.app), line.waba, by="somebody")
    trail = line.world.store.audit(f"portfolio:{line.app.portfolio}")
    told = [(link.event.kind.value, link.event.by) async for link in trail]

    assert told[-2:] == [
        ("waba.subscribed", f"app:{line.app.id}"),
        ("waba.unsubscribed", "somebody"),
    ]
