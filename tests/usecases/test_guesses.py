"""Comparing a PIN: paid before it is compared, durable before it is answered."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from nightlatch.domain import two_step as rules
from nightlatch.domain.errors import (
    GuessWait,
    NumberLocked,
    Overloaded,
    PinNeeded,
    RegistrationOutdated,
    Unavailable,
    WrongPin,
)
from nightlatch.usecases import numbers, registration, two_step
from nightlatch.usecases.guesses import check_pin
from tests.fakes.hashers import FullHasher, WatchedHasher
from tests.fakes.stores import StoreWith
from tests.people import E164, OWNER, THIEF
from tests.usecases.conftest import Scene


async def outcome(call: Any) -> str:
    try:
        await call
    except Exception as refusal:
        return type(refusal).__name__
    return "done"


async def test_a_guess_is_durable_before_it_is_compared(scene: Scene):
    await scene.owner_is_protected()
    seen = []

    async def look() -> None:
        number = await scene.number()
        seen.append((number.guesses.run, (await scene.kinds())[-1]))

    hasher = WatchedHasher(scene.world.hasher, before_compare=look)
    for _ in range(3):
        with pytest.raises(WrongPin):
            await scene.register(
                scene.thief, THIEF.wrong_pin, world=scene.other_world(hasher=hasher)
            )

    assert seen == [(1, "guess.paid"), (2, "guess.paid"), (3, "guess.paid")]


async def test_a_wrong_guess_is_told_before_it_is_answered(scene: Scene):
    await scene.owner_is_protected()

    with pytest.raises(WrongPin):
        await scene.register(scene.thief, THIEF.wrong_pin)

    assert (await scene.kinds())[-2:] == ["guess.paid", "guess.wrong"]
    assert (await scene.number()).guesses.run == 1


async def test_a_crash_between_paying_and_comparing_leaves_the_guess_counted(scene: Scene):
    await scene.owner_is_protected()

    async def crash() -> None:
        raise KeyboardInterrupt

    world = scene.other_world(hasher=WatchedHasher(scene.world.hasher, before_compare=crash))
    with pytest.raises(KeyboardInterrupt):
        await scene.register(scene.owner, OWNER.pin, world=world)

    number = await scene.number()
    assert (number.guesses.run, len(number.guesses.paid)) == (1, 1)
    assert (await scene.kinds())[-1] == "guess.paid"


@pytest.mark.parametrize("pin", [OWNER.pin, THIEF.wrong_pin])
async def test_a_crash_between_comparing_and_settling_leaves_the_guess_counted(scene: Scene, pin):
    await scene.owner_is_protected()
    real = scene.world.store.update
    calls = 0

    async def only_once(id: str, change: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise Unavailable
        return await real(id, change)

    world = scene.other_world(store=StoreWith(scene.world.store, update=only_once))
    with pytest.raises(Unavailable):
        await scene.register(scene.owner, pin, world=world)

    assert (await scene.number()).guesses.run == 1


async def test_when_the_store_cannot_count_nothing_is_compared(scene: Scene):
    await scene.owner_is_protected()

    async def fail(id: str, change: Any) -> Any:
        raise Unavailable

    hasher = WatchedHasher(scene.world.hasher)
    world = scene.other_world(store=StoreWith(scene.world.store, update=fail), hasher=hasher)
    with pytest.raises(Unavailable):
        await scene.register(scene.owner, OWNER.pin, world=world)

    assert hasher.compared == []


async def test_when_every_place_is_taken_nothing_is_counted(scene: Scene):
    await scene.owner_is_protected()
    before = (await scene.number(), await scene.kinds())

    with pytest.raises(Overloaded):
        await scene.register(
            scene.thief, THIEF.wrong_pin, world=scene.other_world(hasher=FullHasher())
        )

    assert (await scene.number(), await scene.kinds()) == before


async def test_a_verifier_that_cannot_be_opened_is_told_and_the_guess_stays_counted(scene: Scene):
    await scene.owner_is_protected()
    foreign = scene.world.keys.seal(b"of another number", "pin|v1|1")
    number = await scene.number()
    await scene.world.store.update(
        number.id,
        lambda n: rules.turn_on(n, OWNER.pin, foreign, None, "x", n.created_at),
    )

    with pytest.raises(Unavailable):
        await scene.register(scene.owner, OWNER.pin)

    assert (await scene.number()).guesses.run == 1
    assert (await scene.kinds())[-2:] == ["guess.paid", "two_step.verifier_unreadable"]


async def test_while_a_wait_runs_the_right_pin_is_refused_without_a_hash(scene: Scene):
    await scene.owner_is_protected()
    for _ in range(5):
        with pytest.raises(WrongPin):
            await scene.register(scene.thief, THIEF.wrong_pin)
    computed = scene.house.pool.computed
    before = await scene.number()

    with pytest.raises(GuessWait) as refused:
        await scene.register(scene.owner, OWNER.pin)

    assert refused.value.retry_after == 60
    assert scene.house.pool.computed == computed
    assert await scene.number() == before


async def test_after_the_wait_the_owner_is_let_in_and_the_run_is_over(scene: Scene):
    await scene.owner_is_protected()
    for _ in range(5):
        with pytest.raises(WrongPin):
            await scene.register(scene.thief, THIEF.wrong_pin)

    scene.pass_time(60)
    await scene.register(scene.owner, OWNER.pin)

    guesses = (await scene.number()).guesses
    assert (guesses.run, len(guesses.paid)) == (0, 5)


async def test_a_missing_pin_is_asked_for_also_while_a_wait_runs_and_counts_nothing(scene: Scene):
    await scene.owner_is_protected()
    for _ in range(5):
        with pytest.raises(WrongPin):
            await scene.register(scene.thief, THIEF.wrong_pin)
    before = await scene.number()

    with pytest.raises(PinNeeded):
        await scene.register(scene.thief)

    assert await scene.number() == before


async def test_a_number_without_a_pin_costs_the_same_one_hash_and_counts_nothing(scene: Scene):
    await scene.owner_has_registered()
    computed = scene.house.pool.computed

    version = await check_pin(scene.world, await scene.number(), "111111", "main/admin", "account")

    assert version == 0
    assert scene.house.pool.computed == computed + 1
    assert (await scene.number()).guesses.ticket == 0


@pytest.mark.parametrize("pin", [OWNER.pin, THIEF.wrong_pin])
async def test_a_comparison_costs_exactly_one_hash(scene: Scene, pin):
    await scene.owner_is_protected()
    computed = scene.house.pool.computed

    await outcome(scene.register(scene.owner, pin))

    assert scene.house.pool.computed == computed + 1


async def test_the_pin_that_is_compared_is_the_one_at_the_moment_of_paying(scene: Scene):
    await scene.owner_is_protected()
    loaded = await scene.number()
    await two_step.turn_on(scene.world, scene.owner, OWNER.new_pin)

    version = await check_pin(scene.world, loaded, OWNER.new_pin, "main/admin", "account")

    assert version == 2
    with pytest.raises(WrongPin):
        await check_pin(scene.world, loaded, OWNER.pin, "main/admin", "account")


async def test_two_step_turned_off_before_paying_makes_the_registration_start_again(scene: Scene):
    await scene.owner_is_protected()
    loaded = await scene.number()
    await two_step.turn_off(scene.world, scene.owner)

    with pytest.raises(RegistrationOutdated):
        await check_pin(scene.world, loaded, OWNER.pin, "main/admin", "account")


async def test_a_hundred_wrong_pins_lock_until_a_person_unlocks(scene: Scene):
    await scene.owner_is_protected()
    for _ in range(100):
        with pytest.raises(WrongPin):
            await scene.register(scene.thief, THIEF.wrong_pin)
        scene.pass_time(86_400)

    scene.pass_time(365 * 86_400)
    with pytest.raises(NumberLocked):
        await scene.register(scene.owner, OWNER.pin)
    told = (await scene.kinds())[-3:]
    await numbers.unlock(scene.world, await numbers.find_number(scene.world, E164))

    assert told == ["guess.paid", "number.locked", "guess.wrong"]
    assert await scene.register(scene.owner, OWNER.pin) is None


async def test_every_path_draws_on_one_counter(scene: Scene):
    await scene.owner_is_protected()

    async def shards(pin: str) -> None:
        await registration.set_shards(scene.world, scene.owner, E164, 2, None, pin)

    tries = [
        await outcome(scene.register(scene.thief, THIEF.wrong_pin)),
        await outcome(shards("000000")),
        await outcome(scene.register(scene.owner, "111111")),
        await outcome(shards("222222")),
        await outcome(scene.register(scene.thief, "333333")),
    ]

    assert tries == ["WrongPin"] * 5
    assert await outcome(shards(OWNER.pin)) == "GuessWait"
    assert await outcome(scene.register(scene.owner, OWNER.pin)) == "GuessWait"


async def test_of_sixty_parallel_wrong_pins_exactly_five_are_compared(scene: Scene):
    await scene.owner_is_protected()
    hasher = WatchedHasher(scene.world.hasher)
    world = scene.other_world(hasher=hasher)

    ends = Counter(
        await asyncio.gather(
            *(outcome(scene.register(scene.thief, f"{n:06d}", world=world)) for n in range(60))
        )
    )

    assert ends["WrongPin"] == len(hasher.compared) == 5
    assert set(ends) <= {"WrongPin", "GuessWait", "Overloaded"}
    assert (await scene.number()).guesses.run == 5


async def test_a_day_of_parallel_guessing_compares_ten(scene: Scene):
    await scene.owner_is_protected()
    hasher = WatchedHasher(scene.world.hasher)
    world = scene.other_world(hasher=hasher)

    for seconds in (0, 60, 300, 900, 900, 3_600, 80_000):
        scene.pass_time(seconds)
        await asyncio.gather(
            *(outcome(scene.register(scene.thief, f"{n:06d}", world=world)) for n in range(8))
        )

    assert len(hasher.compared) == 10


async def test_wrong_pins_racing_a_right_one_are_never_erased_by_it(scene: Scene):
    await scene.owner_is_protected()

    for _ in range(10):
        await numbers.unlock(scene.world, await numbers.find_number(scene.world, E164))
        ends = await asyncio.gather(
            outcome(check(scene, "000000")),
            outcome(check(scene, OWNER.pin)),
            outcome(check(scene, "000001")),
            outcome(check(scene, "000002")),
        )
        guesses = (await scene.number()).guesses

        assert sorted(ends) == ["WrongPin", "WrongPin", "WrongPin", "done"]
        assert len(guesses.paid) == 3
        assert guesses.run >= sum(1 for paid in guesses.paid if paid.ticket > guesses.forgiven)


async def check(scene: Scene, pin: str) -> int:
    return await check_pin(scene.world, await scene.number(), pin, "main/admin", "account")


async def test_of_fifty_parallel_right_pins_one_registration_comes_and_the_budget_is_intact(
    scene: Scene,
):
    await scene.owner_is_protected()
    scene.pass_time(86_400)

    ends = Counter(
        await asyncio.gather(*(outcome(scene.register(scene.thief, OWNER.pin)) for _ in range(50)))
    )
    code = await scene.code()
    entered = Counter(
        await asyncio.gather(*(outcome(scene.enter(scene.thief, code)) for _ in range(50)))
    )

    number = await scene.number()
    assert set(ends) <= {"done", "GuessWait", "Overloaded"}
    assert 1 <= ends["done"] <= 5
    assert entered == {"done": 1, "NoCodePending": 49}
    assert number.holder == THIEF.client
    assert (number.guesses.run, number.guesses.paid) == (0, ())
    assert len(number.registrations.used) == 1 + ends["done"]
