"""Registering over the Cloud API: the order of the checks, one counter for both APIs, who holds."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from nightlatch.domain import access as access_rules
from nightlatch.domain import numbers as number_rules
from nightlatch.domain.access import Callback, Subscription
from nightlatch.domain.cloud import Quirks
from nightlatch.domain.codes import Method
from nightlatch.domain.errors import (
    CodeNeeded,
    CodesSpent,
    CodeVerified,
    GuessWait,
    NoCodePending,
    NoNumberHeld,
    NotOnCloud,
    NumberLocked,
    Overloaded,
    ParameterInvalid,
    RegistrationOutdated,
    RegistrationWait,
    Unavailable,
    WrongCode,
    WrongPin,
)
from nightlatch.domain.guesses import Guesses
from nightlatch.domain.mail import Letter
from nightlatch.domain.numbers import CLOUD_API, CodeState, Decision, Status
from nightlatch.domain.webhooks import Field
from nightlatch.ports import World
from nightlatch.usecases import access, cloud, numbers, registration, two_step
from tests.fakes.chances import KnownCodes
from tests.fakes.hashers import FullHasher, WatchedHasher
from tests.fakes.stores import StoreWith
from tests.people import E164, OWNER, THIEF
from tests.usecases.conftest import Office, Scene, outcome, outcomes, wrong

BY = "system-user:600000000000001"
HOUR, DAY = 3_600, 86_400


# Words for the stories


async def ask(scene: Scene, world: World | None = None) -> None:
    await cloud.request_code(world or scene.world, await scene.number(), Method.SMS, BY)


async def enter(scene: Scene, code: str) -> None:
    await cloud.enter_code(scene.world, await scene.number(), code, BY)


async def verify(scene: Scene) -> None:
    """The number is proved to be theirs, over the Cloud API."""
    await ask(scene)
    await enter(scene, await scene.code())


async def register(scene: Scene, pin: str = OWNER.pin, world: World | None = None) -> None:
    await cloud.register(world or scene.world, await scene.number(), pin, BY)


async def set_pin(scene: Scene, pin: str, world: World | None = None) -> None:
    await cloud.set_pin(world or scene.world, await scene.number(), pin, BY)


async def deregister(scene: Scene, world: World | None = None) -> None:
    await cloud.deregister(world or scene.world, await scene.number(), BY)


async def is_on_cloud(scene: Scene) -> None:
    """Registered over the Cloud API, with the owner's PIN."""
    await verify(scene)
    await register(scene)


async def is_protected_elsewhere(scene: Scene) -> None:
    """The owner's client holds the number, with a PIN; and its code is still fresh."""
    await scene.owner_is_protected()
    assert (await scene.number()).code_state(scene.world.clock.now()) is CodeState.VERIFIED


async def hears(scene: Scene) -> str:
    """An app that is subscribed to everything about the number's account; the portfolio's id."""
    (portfolio,) = [
        p for p in await scene.world.store.portfolios() if await scene.world.store.wabas(p.id)
    ][:1]
    app = (await access.add_app(scene.world, portfolio.id, "Listener")).app
    callback = Callback("https://shrub.example/hooks", frozenset(Field))
    now = scene.world.clock.now()
    await scene.world.store.update_app(
        app.id, lambda a: access_rules.change_callback(a, callback, "operator", now)
    )
    waba = (await scene.number()).waba
    await scene.world.store.subscribe(Subscription(waba, app.id), ())
    return portfolio.id


async def heard(scene: Scene, portfolio: str) -> list[str | None]:
    """The events that apps were told, in order."""
    found = await scene.world.store.deliveries(portfolio, None, 100)
    return [dict(delivery.value)["event"] for delivery in reversed(found)]


async def everything(scene: Scene) -> Any:
    """What a refusal must leave as it was, hashes too."""
    return await scene.number(), await scene.kinds(), scene.house.pool.computed


# The story


async def test_a_number_is_verified_and_then_registered_with_the_pin_it_will_have(scene: Scene):
    await verify(scene)
    await register(scene)

    number = await scene.number()
    assert (number.holder, number.status) == (CLOUD_API, Status.CONNECTED)
    assert number.two_step.is_on
    assert len(number.registrations.used) == 1
    assert await scene.kinds() == [
        "number.added", "code.sent", "code.verified", "two_step.turned_on", "number.registered",
    ]  # fmt: skip


async def test_the_pin_that_registering_set_is_needed_to_register_again(scene: Scene):
    await is_on_cloud(scene)

    with pytest.raises(WrongPin):
        await register(scene, THIEF.wrong_pin)
    await register(scene)

    assert (await scene.kinds())[-5:] == [
        "guess.paid", "guess.wrong", "guess.paid", "guess.right", "number.registered",
    ]  # fmt: skip


async def test_the_owners_hear_that_registering_set_a_pin(office: Office):
    scene = office.scene
    await verify(scene)

    await cloud.register(office.world, await scene.number(), OWNER.pin, BY)

    assert await office.letters(Letter.PIN_SET) == [OWNER.email]
    assert await office.letters() == [OWNER.email]


async def test_a_thief_with_a_right_code_and_no_pin_is_refused_counted_slowed_and_told_of(
    office: Office,
):
    scene = office.scene
    await is_on_cloud(scene)
    await deregister(scene)
    scene.pass_time(15 * DAY)
    await verify(scene)

    ends = [await outcome(register(scene, THIEF.wrong_pin)) for _ in range(6)]

    assert ends == ["WrongPin"] * 5 + ["GuessWait"]
    assert (await scene.number()).holder is None
    assert await office.letters(Letter.FIRST_WRONG_GUESS) == [OWNER.email]


async def test_events_and_letters_know_where_the_request_came_from(scene: Scene):
    await ask(scene, scene.world.seen_from("192.0.2.9"))

    link = (await scene.world.store.events(f"number:{(await scene.number()).id}", None, 1))[0]
    assert (link.event.by, link.event.place) == (BY, "192.0.2.9")


# Codes


async def test_a_code_is_nudged_on_its_way(scene: Scene):
    nudges: list[int] = []

    await ask(scene, scene.other_world(nudge=lambda: nudges.append(1)))

    assert nudges


async def test_a_verified_number_is_sent_no_code_and_none_is_drawn(scene: Scene):
    await verify(scene)
    before = await everything(scene)

    with pytest.raises(CodeVerified):
        await ask(scene, scene.other_world(chance=KnownCodes([])))

    assert await everything(scene) == before
    assert await scene.world.store.waiting_for(E164) == 0


async def test_the_code_of_the_first_request_is_wrong_after_the_second(scene: Scene):
    await ask(scene)
    old = await scene.code()
    await ask(scene, scene.other_world(chance=KnownCodes([wrong(old)])))

    with pytest.raises(WrongCode):
        await enter(scene, old)

    await enter(scene, wrong(old))


async def test_the_same_digits_asked_for_again_have_another_hash(scene: Scene):
    world = scene.other_world(chance=KnownCodes(["123456", "123456"]))
    await ask(scene, world)
    first = (await scene.number()).pending
    await ask(scene, world)
    second = (await scene.number()).pending

    assert first is not None
    assert second is not None
    assert first.code_hash != second.code_hash


async def test_a_code_loaded_before_a_newer_one_was_asked_for_is_dead(scene: Scene):
    await ask(scene)
    loaded, old = await scene.number(), await scene.code()
    await ask(scene)

    with pytest.raises(NoCodePending):
        await cloud.enter_code(scene.world, loaded, old, BY)


async def test_without_a_request_no_code_is_right(scene: Scene):
    with pytest.raises(NoCodePending):
        await enter(scene, "123456")


async def test_a_clients_code_is_none_over_the_cloud_api_and_stays_good_for_the_client(
    scene: Scene,
):
    await scene.register(scene.owner)
    code = await scene.code()

    for entered in (code, wrong(code), wrong(code), wrong(code)):
        with pytest.raises(NoCodePending):
            await enter(scene, entered)

    pending = (await scene.number()).pending
    assert pending is not None
    assert pending.checks == 0
    await scene.enter(scene.owner, code)


async def test_a_code_of_the_cloud_api_is_none_for_a_client_and_stays_good_there(scene: Scene):
    await ask(scene)
    code = await scene.code()

    for user in (scene.owner, scene.thief):
        with pytest.raises(NoCodePending):
            await scene.enter(user, code)

    await enter(scene, code)


async def test_a_request_over_the_cloud_api_replaces_a_clients(scene: Scene):
    await scene.register(scene.owner)
    code = await scene.code()
    await ask(scene)

    with pytest.raises(NoCodePending):
        await scene.enter(scene.owner, code)


async def test_of_both_apis_together_five_codes_are_sent_in_a_day(scene: Scene):
    for _ in range(3):
        await ask(scene)
    for _ in range(2):
        await scene.register(scene.owner)

    with pytest.raises(CodesSpent):
        await ask(scene)
    with pytest.raises(CodesSpent):
        await scene.register(scene.owner)

    assert (await scene.kinds()).count("code.sent") == 5


async def test_a_wrong_code_is_counted_and_verifies_nothing(scene: Scene):
    await ask(scene)
    code = await scene.code()

    with pytest.raises(WrongCode):
        await enter(scene, wrong(code))

    number = await scene.number()
    assert number.pending is not None
    assert number.pending.checks == 1
    with pytest.raises(CodeNeeded):
        await register(scene)


async def test_of_parallel_right_codes_one_verifies(scene: Scene):
    await ask(scene)
    code = await scene.code()

    ends = await outcomes(*(enter(scene, code) for _ in range(20)))

    assert ends == {"done": 1, "NoCodePending": 19}
    assert (await scene.kinds()).count("code.verified") == 1


async def test_fourteen_days_after_the_code_another_one_is_needed(scene: Scene):
    await verify(scene)

    scene.pass_time(14 * DAY - 60)
    assert await outcome(ask(scene)) == "CodeVerified"
    scene.pass_time(60)

    assert await outcome(register(scene)) == "CodeNeeded"
    assert await outcome(ask(scene)) == "done"


# The PIN is paid for, and compared at most once


async def test_a_guess_and_a_registration_are_durable_before_the_pin_is_compared(scene: Scene):
    await is_on_cloud(scene)
    seen = []

    async def look() -> None:
        number = await scene.number()
        seen.append((number.guesses.run, len(number.registrations.used), (await scene.kinds())[-1]))

    world = scene.other_world(hasher=WatchedHasher(scene.world.hasher, before_compare=look))
    for _ in range(3):
        with pytest.raises(WrongPin):
            await register(scene, THIEF.wrong_pin, world)

    assert seen == [(1, 2, "guess.paid"), (2, 3, "guess.paid"), (3, 4, "guess.paid")]


async def test_a_wrong_pin_is_counted_once_and_told_before_it_is_answered(scene: Scene):
    await is_on_cloud(scene)
    hasher = WatchedHasher(scene.world.hasher)

    with pytest.raises(WrongPin):
        await register(scene, THIEF.wrong_pin, scene.other_world(hasher=hasher))

    number = await scene.number()
    assert hasher.compared == [THIEF.wrong_pin]
    assert (number.guesses.run, number.guesses.ticket) == (1, 1)
    assert len(number.registrations.used) == 2
    assert (await scene.kinds())[-2:] == ["guess.paid", "guess.wrong"]


async def test_where_a_wrong_pin_is_no_registration_it_is_a_guess_all_the_same(scene: Scene):
    await is_on_cloud(scene)
    world = scene.other_world(quirks=Quirks(wrong_pin_spends_registration=False))

    with pytest.raises(WrongPin):
        await register(scene, THIEF.wrong_pin, world)
    after_wrong = await scene.number()
    await register(scene, world=world)

    assert (after_wrong.guesses.run, len(after_wrong.registrations.used)) == (1, 1)
    assert len((await scene.number()).registrations.used) == 2


async def test_a_right_pin_is_one_registration_and_ends_the_run(scene: Scene):
    await is_on_cloud(scene)
    with pytest.raises(WrongPin):
        await register(scene, THIEF.wrong_pin)

    await register(scene)

    number = await scene.number()
    assert (number.guesses.run, len(number.registrations.used)) == (0, 3)


@pytest.mark.parametrize("pin", [OWNER.pin, THIEF.wrong_pin])
@pytest.mark.parametrize("protected", [True, False])
async def test_a_registration_costs_exactly_one_hash(scene: Scene, pin: str, protected: bool):
    await (is_on_cloud(scene) if protected else verify(scene))
    computed = scene.house.pool.computed

    await outcome(register(scene, pin))

    assert scene.house.pool.computed == computed + 1


async def test_a_crash_between_paying_and_comparing_leaves_both_counted(scene: Scene):
    await is_on_cloud(scene)

    async def crash() -> None:
        raise KeyboardInterrupt

    world = scene.other_world(hasher=WatchedHasher(scene.world.hasher, before_compare=crash))
    with pytest.raises(KeyboardInterrupt):
        await register(scene, OWNER.pin, world)

    number = await scene.number()
    assert (number.guesses.run, len(number.registrations.used)) == (1, 2)


async def test_when_the_store_cannot_count_nothing_is_compared(scene: Scene):
    await is_on_cloud(scene)

    async def fail(id: str, change: Any) -> Any:
        raise Unavailable

    hasher = WatchedHasher(scene.world.hasher)
    world = scene.other_world(store=StoreWith(scene.world.store, update=fail), hasher=hasher)
    with pytest.raises(Unavailable):
        await register(scene, OWNER.pin, world)

    assert hasher.compared == []


@pytest.mark.parametrize("protected", [True, False])
async def test_when_every_place_is_taken_nothing_is_counted(scene: Scene, protected: bool):
    await (is_on_cloud(scene) if protected else verify(scene))
    before = await everything(scene)

    with pytest.raises(Overloaded):
        await register(scene, THIEF.wrong_pin, scene.other_world(hasher=FullHasher()))

    assert await everything(scene) == before


# Refused unread


async def refused_unread(scene: Scene, refusal: type[Exception], pin: str = OWNER.pin) -> Any:
    """It is refused, no PIN is looked at, and nothing at all changes."""
    before = await everything(scene)
    hasher = WatchedHasher(scene.world.hasher)

    with pytest.raises(refusal) as refused:
        await register(scene, pin, scene.other_world(hasher=hasher))

    assert hasher.compared == []
    assert await everything(scene) == before
    return refused.value


async def test_while_a_wait_runs_the_right_pin_is_refused_without_a_hash(scene: Scene):
    await is_on_cloud(scene)
    for _ in range(5):
        await outcome(register(scene, THIEF.wrong_pin))

    refused = await refused_unread(scene, GuessWait)

    assert (refused.retry_after, refused.spent) == (60, False)
    scene.pass_time(60)
    await register(scene)


async def test_after_ten_wrong_pins_the_refusal_says_that_the_day_is_spent(scene: Scene):
    await is_protected_elsewhere(scene)
    for pause in (0, 0, 0, 0, 0, 60, 300, 900, 900, HOUR):
        scene.pass_time(pause)
        assert await outcome(scene.register(scene.thief, THIEF.wrong_pin)) == "WrongPin"

    refused = await refused_unread(scene, GuessWait)

    assert refused.spent
    assert DAY - 5 < refused.retry_after <= DAY


async def test_while_the_number_is_locked_the_right_pin_is_refused_without_a_hash(scene: Scene):
    await is_on_cloud(scene)
    await scene.world.store.update(
        (await scene.number()).id, lambda n: Decision(replace(n, guesses=Guesses(locked=True)))
    )

    await refused_unread(scene, NumberLocked)
    await numbers.unlock(scene.world, await scene.number())

    await register(scene)


@pytest.mark.parametrize("pin", [OWNER.pin, THIEF.wrong_pin])
async def test_without_a_verified_code_no_pin_is_compared(scene: Scene, pin: str):
    await is_on_cloud(scene)
    await deregister(scene)
    scene.pass_time(14 * DAY)

    await refused_unread(scene, CodeNeeded, pin)


async def test_a_number_that_was_never_verified_gets_no_pin(scene: Scene):
    await refused_unread(scene, CodeNeeded)


async def test_where_weak_pins_are_refused_one_registers_nothing_and_costs_nothing(scene: Scene):
    await verify(scene)
    before = await everything(scene)

    with pytest.raises(ParameterInvalid):
        await register(scene, "123456", scene.other_world(refuse_weak_pins=True))

    assert await everything(scene) == before


async def test_where_weak_pins_are_refused_a_weak_one_that_was_set_before_still_registers(
    scene: Scene,
):
    await verify(scene)
    await register(scene, "123456")

    await register(scene, "123456", scene.other_world(refuse_weak_pins=True))


# Changed while it ran


async def test_a_pin_changed_between_check_and_registering_makes_it_start_again(scene: Scene):
    await is_protected_elsewhere(scene)

    async def change() -> None:
        await two_step.turn_on(scene.world, scene.owner, OWNER.new_pin)

    world = scene.other_world(hasher=WatchedHasher(scene.world.hasher, before_compare=change))
    with pytest.raises(RegistrationOutdated):
        await register(scene, OWNER.pin, world)

    number = await scene.number()
    assert number.holder == OWNER.client
    assert len(number.registrations.used) == 2
    await register(scene, OWNER.new_pin)


async def test_a_pin_that_came_while_one_was_being_set_is_not_replaced(scene: Scene):
    await scene.owner_has_registered()

    async def protect() -> None:
        await two_step.turn_on(scene.world, scene.owner, OWNER.pin)

    world = scene.other_world(hasher=WatchedHasher(scene.world.hasher, before_make=protect))
    with pytest.raises(RegistrationOutdated):
        await register(scene, THIEF.wrong_pin, world)

    number = await scene.number()
    assert (number.holder, number.guesses.ticket) == (OWNER.client, 0)
    assert await outcome(register(scene, THIEF.wrong_pin)) == "WrongPin"


async def test_a_pin_turned_off_before_it_was_checked_is_not_compared(scene: Scene):
    await is_protected_elsewhere(scene)
    loaded = await scene.number()
    await two_step.turn_off(scene.world, scene.owner)
    computed = scene.house.pool.computed

    with pytest.raises(RegistrationOutdated):
        await cloud.register(scene.world, loaded, OWNER.pin, BY)

    number = await scene.number()
    assert (number.guesses.ticket, number.holder) == (0, OWNER.client)
    assert len(number.registrations.used) == len(loaded.registrations.used)
    assert scene.house.pool.computed == computed


# One counter, one budget, two APIs


def ways_to_guess(office: Office, world: World) -> list[Callable[[str], Awaitable[Any]]]:
    """Everything that compares a PIN."""
    scene = office.scene

    async def over_graph(pin: str) -> None:
        await cloud.register(world, await scene.number(), pin, BY)

    async def by_the_thief(pin: str) -> None:
        await scene.register(scene.thief, pin, world=world)

    async def by_the_owner(pin: str) -> None:
        await scene.register(scene.owner, pin, world=world)

    async def with_shards(pin: str) -> None:
        await registration.set_shards(world, scene.owner, E164, 2, None, pin)

    async def in_the_manager(pin: str) -> None:
        await two_step.change_pin(
            world, await office.owner(), office.begun.session, await scene.number(), pin,
            OWNER.new_pin,
        )  # fmt: skip

    return [over_graph, by_the_thief, in_the_manager, with_shards, by_the_owner]


async def test_of_parallel_wrong_pins_by_every_way_exactly_five_are_compared(office: Office):
    await office.owner_is_protected()
    hasher = WatchedHasher(office.world.hasher)
    ways = ways_to_guess(office, office.other_world(hasher=hasher))

    ends = await outcomes(*(ways[n % len(ways)](f"{100_000 + n}") for n in range(60)))

    assert ends["WrongPin"] == len(hasher.compared) == 5
    assert set(ends) <= {"WrongPin", "GuessWait", "Overloaded"}
    assert (await office.number()).guesses.run == 5


@pytest.mark.parametrize("first", range(5))
async def test_a_day_of_guessing_by_every_way_compares_ten(office: Office, first: int):
    await office.owner_is_protected()
    hasher = WatchedHasher(office.world.hasher)
    ways = ways_to_guess(office, office.other_world(hasher=hasher))
    ways = ways[first:] + ways[:first]

    for seconds in (0, 60, 300, 900, 900, HOUR, 80_000):
        office.scene.pass_time(seconds)
        for n in range(10):
            await outcome(ways[n % len(ways)](f"{100_000 + n}"))

    assert len(hasher.compared) == 10
    assert (await office.number()).guesses.run == 10


@pytest.mark.parametrize("way", range(5))
async def test_what_one_way_closed_is_closed_for_every_other_one(office: Office, way: int):
    await office.owner_is_protected()
    hasher = WatchedHasher(office.world.hasher)
    ways = ways_to_guess(office, office.other_world(hasher=hasher))
    for n in range(5):
        assert await outcome(ways[way](f"{100_000 + n}")) == "WrongPin"

    ends = [await outcome(one(OWNER.pin)) for one in ways]

    assert ends == ["GuessWait"] * 5
    assert len(hasher.compared) == 5


@pytest.mark.parametrize("cloud_first", [True, False])
async def test_ten_registrations_by_both_apis_together_and_then_none_by_either(
    scene: Scene, cloud_first: bool
):
    await is_protected_elsewhere(scene)  # the first of ten

    for n in range(9):
        if (n % 2 == 0) is cloud_first:
            await register(scene)
        else:
            await scene.register(scene.owner, OWNER.pin)
            if (await scene.number()).pending is not None:
                await scene.enter(scene.owner, await scene.code())

    assert len((await scene.number()).registrations.used) == 10
    refused = await refused_unread(scene, RegistrationWait)
    assert 72 * HOUR - 5 < refused.retry_after <= 72 * HOUR
    with pytest.raises(RegistrationWait):
        await scene.register(scene.owner, OWNER.pin)


async def test_wrong_pins_over_the_cloud_api_spend_the_registrations_of_both(scene: Scene):
    await is_protected_elsewhere(scene)
    for pause in (0, 0, 0, 0, 0, 60, 300, 900, 900):
        scene.pass_time(pause)
        assert await outcome(register(scene, THIEF.wrong_pin)) == "WrongPin"
    scene.pass_time(HOUR)

    await refused_unread(scene, RegistrationWait)
    assert await outcome(scene.register(scene.owner, OWNER.pin)) == "RegistrationWait"

    scene.pass_time(72 * HOUR)
    assert await outcome(register(scene)) == "done"


async def test_of_fifty_parallel_right_pins_none_counts_as_wrong_and_each_is_a_registration(
    scene: Scene,
):
    await is_on_cloud(scene)
    scene.pass_time(72 * HOUR)

    ends = await outcomes(*(register(scene) for _ in range(50)))

    number = await scene.number()
    assert set(ends) <= {"done", "GuessWait", "Overloaded", "RegistrationWait"}
    assert 1 <= ends["done"] <= 10
    assert (number.guesses.run, number.guesses.paid) == (0, ())
    assert len(number.registrations.used) == ends["done"]


# Who holds the number


async def test_a_number_taken_over_is_lost_to_the_client_at_once_and_the_owners_hear_of_it(
    office: Office,
):
    scene = office.scene
    await scene.owner_is_protected()
    portfolio = await hears(scene)
    held_before = await scene.world.store.holds(OWNER.client)

    await cloud.register(office.world, await scene.number(), OWNER.pin, BY)

    assert held_before is True
    assert await scene.world.store.holds(OWNER.client) is False
    assert (await scene.kinds())[-2:] == ["number.registered", "number.taken_over"]
    assert await office.letters(Letter.NUMBER_TAKEN_OVER) == [OWNER.email]
    assert await heard(scene, portfolio) == ["ACCOUNT_RECONNECTED"]
    for call in (
        two_step.turn_off(scene.world, scene.owner),
        two_step.turn_on(scene.world, scene.owner, OWNER.new_pin),
    ):
        with pytest.raises(NoNumberHeld):
            await call


async def test_what_is_told_of_a_take_over_is_nudged_on_its_way(scene: Scene):
    await is_protected_elsewhere(scene)
    nudges: list[int] = []

    await register(scene, world=scene.other_world(nudge=lambda: nudges.append(1)))

    assert nudges


async def test_a_client_that_takes_the_number_back_offboards_the_cloud_api(scene: Scene):
    await is_on_cloud(scene)
    portfolio = await hears(scene)

    await scene.register(scene.owner, OWNER.pin)
    await scene.enter(scene.owner, await scene.code())

    assert (await scene.number()).holder == OWNER.client
    assert await scene.world.store.holds(OWNER.client) is True
    assert await heard(scene, portfolio) == ["ACCOUNT_OFFBOARDED"]
    assert (await scene.kinds())[-1] == "number.taken_over"
    assert await outcome(set_pin(scene, OWNER.new_pin)) == "NotOnCloud"
    assert await outcome(deregister(scene)) == "NotOnCloud"


async def test_the_number_goes_to_and_fro_and_apps_hear_it_in_order(scene: Scene):
    await is_on_cloud(scene)
    portfolio = await hears(scene)

    for _ in range(2):
        await scene.register(scene.owner, OWNER.pin)
        await scene.enter(scene.owner, await scene.code())
        await register(scene)

    assert await heard(scene, portfolio) == ["ACCOUNT_OFFBOARDED", "ACCOUNT_RECONNECTED"] * 2


async def test_a_clients_registration_under_way_ends_when_a_pin_is_set_by_registering(
    scene: Scene,
):
    await scene.owner_has_registered()
    await scene.register(scene.thief)
    code = await scene.code()
    await register(scene)

    assert await outcome(scene.enter(scene.thief, code)) == "RegistrationOutdated"
    assert (await scene.number()).holder == CLOUD_API


async def test_deregistering_keeps_the_pin_and_the_code(scene: Scene):
    await is_on_cloud(scene)
    before = await scene.number()

    await deregister(scene)

    number = await scene.number()
    assert (number.holder, number.status) == (None, Status.DISCONNECTED)
    assert number.two_step == before.two_step
    assert await outcome(register(scene, THIEF.wrong_pin)) == "WrongPin"
    assert await outcome(register(scene)) == "done"


async def test_where_deregistering_turns_off_the_next_pin_is_a_new_one(scene: Scene):
    await is_on_cloud(scene)

    await deregister(scene, scene.other_world(quirks=Quirks(deregistering_turns_off=True)))

    assert not (await scene.number()).two_step.is_on
    assert (await scene.kinds())[-2:] == ["number.released", "two_step.turned_off"]
    await register(scene, OWNER.new_pin)


async def test_what_it_does_not_hold_the_cloud_api_cannot_let_go_of(scene: Scene):
    assert await outcome(deregister(scene)) == "NotOnCloud"
    await scene.owner_has_registered()
    before = await everything(scene)

    assert await outcome(deregister(scene)) == "NotOnCloud"

    assert await everything(scene) == before


async def test_ten_deregistrations_in_72_hours_and_the_eleventh_is_told_how_long(scene: Scene):
    await is_on_cloud(scene)
    for n in range(10):
        await deregister(scene)
        if n < 9:
            await register(scene)
    scene.pass_time(72 * HOUR - 60)
    await scene.world.store.update(  # the registrations' own window is of no matter here
        (await scene.number()).id,
        lambda n: Decision(replace(n, registrations=number_rules.RegistrationBudget())),
    )
    await register(scene)
    before = await everything(scene)

    with pytest.raises(RegistrationWait) as refused:
        await deregister(scene)

    assert refused.value.retry_after is not None
    assert 0 < refused.value.retry_after <= 60
    assert await everything(scene) == before
    scene.pass_time(60)
    await deregister(scene)


# Setting the PIN


async def test_who_holds_the_number_sets_another_pin_without_the_old_one(office: Office):
    scene = office.scene
    await is_on_cloud(scene)

    await cloud.set_pin(office.world, await scene.number(), OWNER.new_pin, BY)

    assert (await scene.kinds())[-1] == "two_step.pin_changed"
    assert await office.letters(Letter.PIN_CHANGED) == [OWNER.email]
    assert await outcome(register(scene, OWNER.pin)) == "WrongPin"
    assert await outcome(register(scene, OWNER.new_pin)) == "done"


async def test_the_same_pin_again_changes_nothing_and_tells_nobody(office: Office):
    scene = office.scene
    await is_on_cloud(scene)
    portfolio = await hears(scene)
    before, kinds = await scene.number(), await scene.kinds()
    world = office.other_world(quirks=Quirks(pin_events=True))
    await office.deliver()
    office.post.taken.clear()

    for _ in range(20):
        await cloud.set_pin(world, await scene.number(), OWNER.pin, BY)

    assert (await scene.number(), await scene.kinds()) == (before, kinds)
    assert await office.letters() == []
    assert await heard(scene, portfolio) == []


@pytest.mark.parametrize("elsewhere", [True, False])
async def test_who_does_not_hold_the_number_sets_no_pin_and_costs_no_hash(
    scene: Scene, elsewhere: bool
):
    if elsewhere:
        await scene.owner_is_protected()
    before = await everything(scene)

    with pytest.raises(NotOnCloud):
        await set_pin(scene, OWNER.new_pin)

    assert await everything(scene) == before


async def test_a_token_is_no_way_around_a_pin_that_is_not_known(scene: Scene):
    await is_protected_elsewhere(scene)

    assert await outcome(set_pin(scene, THIEF.wrong_pin)) == "NotOnCloud"
    assert await outcome(register(scene, THIEF.wrong_pin)) == "WrongPin"
    assert await outcome(deregister(scene)) == "NotOnCloud"

    assert (await scene.number()).holder == OWNER.client


async def test_a_number_that_is_lost_while_its_pin_is_hashed_keeps_its_pin(scene: Scene):
    await is_on_cloud(scene)

    async def lose() -> None:
        await numbers.deregister(scene.world, await scene.number())

    world = scene.other_world(hasher=WatchedHasher(scene.world.hasher, before_make=lose))
    before = (await scene.number()).two_step
    with pytest.raises(NotOnCloud):
        await set_pin(scene, THIEF.wrong_pin, world)

    assert (await scene.number()).two_step == before


async def test_where_it_need_not_be_registered_any_number_gets_a_pin(scene: Scene):
    world = scene.other_world(quirks=Quirks(pin_needs_connected=False))

    await set_pin(scene, OWNER.pin, world)

    assert (await scene.number()).two_step.is_on


async def test_setting_a_pin_buys_no_new_guesses_and_ends_no_wait(scene: Scene):
    await is_on_cloud(scene)
    for _ in range(5):
        await outcome(register(scene, THIEF.wrong_pin))
    before = (await scene.number()).guesses

    await set_pin(scene, OWNER.new_pin)

    assert (await scene.number()).guesses == before
    assert await outcome(register(scene, OWNER.new_pin)) == "GuessWait"


async def test_setting_a_pin_ends_no_lock(scene: Scene):
    await is_on_cloud(scene)
    await scene.world.store.update(
        (await scene.number()).id, lambda n: Decision(replace(n, guesses=Guesses(locked=True)))
    )

    await set_pin(scene, OWNER.new_pin)

    assert await outcome(register(scene, OWNER.new_pin)) == "NumberLocked"


@pytest.mark.parametrize(
    ("quirks", "events"),
    [(Quirks(), []), (Quirks(pin_events=True), ["PIN_CHANGED", "PIN_CHANGED"])],
)
async def test_apps_hear_of_pins_set_by_an_api_only_where_that_is_wanted(
    scene: Scene, quirks: Quirks, events: list[str]
):
    portfolio = await hears(scene)
    world = scene.other_world(quirks=quirks)
    await verify(scene)

    await register(scene, OWNER.pin, world)
    await set_pin(scene, OWNER.new_pin, world)

    assert await heard(scene, portfolio) == events


async def test_where_weak_pins_are_refused_none_is_set(scene: Scene):
    await is_on_cloud(scene)
    before = await everything(scene)

    with pytest.raises(ParameterInvalid):
        await set_pin(scene, "123456", scene.other_world(refuse_weak_pins=True))

    assert await everything(scene) == before


async def test_when_every_place_is_taken_no_pin_is_set(scene: Scene):
    await is_on_cloud(scene)
    before = await everything(scene)

    with pytest.raises(Overloaded):
        await set_pin(scene, OWNER.new_pin, scene.other_world(hasher=FullHasher()))

    assert await everything(scene) == before


# An empty PIN


async def test_an_empty_pin_is_none(scene: Scene):
    await is_on_cloud(scene)
    before = await everything(scene)

    with pytest.raises(ParameterInvalid):
        await cloud.turn_off(scene.world, await scene.number(), BY)

    assert await everything(scene) == before


async def test_where_an_empty_pin_turns_off_it_does_and_the_owners_hear_of_it(office: Office):
    scene = office.scene
    await is_on_cloud(scene)
    world = office.other_world(quirks=Quirks(empty_pin_turns_off=True))

    for _ in range(2):
        await cloud.turn_off(world, await scene.number(), BY)

    assert not (await scene.number()).two_step.is_on
    assert (await scene.kinds()).count("two_step.turned_off") == 1
    assert await office.letters(Letter.PIN_TURNED_OFF) == [OWNER.email]


async def test_where_an_empty_pin_turns_off_it_does_so_only_for_who_holds_the_number(
    scene: Scene,
):
    await scene.owner_is_protected()
    world = scene.other_world(quirks=Quirks(empty_pin_turns_off=True))

    with pytest.raises(NotOnCloud):
        await cloud.turn_off(world, await scene.number(), BY)

    assert (await scene.number()).two_step.is_on


# Secrets


async def test_neither_pin_nor_code_is_written_down_anywhere(scene: Scene):
    await ask(scene)
    code = await scene.code()
    await enter(scene, code)
    portfolio = await hears(scene)
    world = scene.other_world(quirks=Quirks(pin_events=True))
    await register(scene, OWNER.pin, world)
    await outcome(register(scene, THIEF.wrong_pin, world))
    await set_pin(scene, OWNER.new_pin, world)

    store = scene.world.store
    told = [
        *[link async for link in store.audit()],
        *await store.mails(None, 100),
        *await store.deliveries(portfolio, None, 100),
        await scene.number(),
    ]
    for secret in (OWNER.pin, THIEF.wrong_pin, OWNER.new_pin, code):
        assert secret not in repr([replace_hashes(one) for one in told])


def replace_hashes(value: Any) -> Any:
    """*value* without its hashes and ids, in which any digits may stand."""
    if hasattr(value, "event"):
        return value.event.details
    if hasattr(value, "two_step"):
        return value.registrations, value.guesses
    return getattr(value, "facts", None) or getattr(value, "value", None)


async def test_a_code_that_runs_out_while_the_pin_is_hashed_registers_nothing(scene: Scene):
    await verify(scene)
    number = await scene.number()

    async def wait() -> None:
        scene.pass_time(14 * DAY)

    world = scene.other_world(hasher=WatchedHasher(scene.world.hasher, before_make=wait))
    with pytest.raises(CodeNeeded):
        await cloud.register(world, number, OWNER.pin, BY)

    assert (await scene.number()).holder is None
    assert not (await scene.number()).two_step.is_on


async def test_calls_at_the_same_moment_leave_one_holder(scene: Scene):
    await is_protected_elsewhere(scene)
    await scene.register(scene.thief, OWNER.pin)
    code = await scene.code()

    await asyncio.gather(
        outcome(scene.enter(scene.thief, code)), outcome(register(scene)), outcome(register(scene))
    )

    number = await scene.number()
    held = [bool(await scene.world.store.holds(name)) for name in (OWNER.client, THIEF.client)]
    assert number.holder in (CLOUD_API, THIEF.client)
    assert held == [False, number.holder == THIEF.client]
