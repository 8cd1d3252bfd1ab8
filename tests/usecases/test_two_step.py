"""The lock: on, another PIN, off, and what none of it may do."""

from typing import Any

import pytest

from nightlatch.domain.errors import (
    GuessWait,
    NoNumberHeld,
    Overloaded,
    ParameterInvalid,
    WrongPin,
)
from nightlatch.usecases import two_step
from tests.fakes.hashers import FullHasher, WatchedHasher
from tests.fakes.stores import StoreWith
from tests.people import OWNER, THIEF
from tests.usecases.conftest import Scene


async def test_once_it_is_on_the_thief_needs_the_pin(scene: Scene):
    await scene.owner_has_registered()

    await two_step.turn_on(scene.world, scene.owner, OWNER.pin)

    with pytest.raises(WrongPin):
        await scene.register(scene.thief, THIEF.wrong_pin)
    assert (await scene.kinds()).count("two_step.turned_on") == 1


async def test_the_verifier_at_rest_is_sealed_and_bound_to_the_number(scene: Scene):
    await scene.owner_is_protected()

    number = await scene.number()
    assert number.two_step.verifier is not None
    assert OWNER.pin.encode() not in number.two_step.verifier
    assert scene.world.keys.unseal(number.two_step.verifier, f"pin|v1|{number.id}")


async def test_another_pin_replaces_the_old_one_without_asking_for_it(scene: Scene):
    await scene.owner_is_protected()

    await two_step.turn_on(scene.world, scene.owner, OWNER.new_pin)

    with pytest.raises(WrongPin):
        await scene.register(scene.owner, OWNER.pin)
    assert await scene.register(scene.owner, OWNER.new_pin) is None
    assert (await scene.kinds()).count("two_step.pin_changed") == 1


async def test_the_same_pin_again_changes_nothing_and_is_not_told(scene: Scene):
    await scene.owner_is_protected()
    before = (await scene.number(), await scene.kinds())

    for _ in range(20):
        await two_step.turn_on(scene.world, scene.owner, OWNER.pin)

    assert (await scene.number(), await scene.kinds()) == before


async def test_the_same_pin_is_set_anew_when_another_came_between(scene: Scene):
    await scene.owner_is_protected()
    others = [OWNER.new_pin]

    async def another() -> None:
        if others:
            await two_step.turn_on(scene.world, scene.owner, others.pop())

    world = scene.other_world(hasher=WatchedHasher(scene.world.hasher, before_make=another))
    await two_step.turn_on(world, scene.owner, OWNER.pin)

    assert await scene.register(scene.owner, OWNER.pin) is None


async def test_it_can_be_turned_off_and_a_second_time_leaves_no_trace(scene: Scene):
    await scene.owner_is_protected()

    await two_step.turn_off(scene.world, scene.owner)
    before = (await scene.number(), await scene.kinds())
    await two_step.turn_off(scene.world, scene.owner)

    assert (await scene.number(), await scene.kinds()) == before
    assert before[1].count("two_step.turned_off") == 1
    assert await scene.register(scene.owner) is None


async def test_no_setting_changing_or_turning_off_gives_a_thief_new_guesses(scene: Scene):
    await scene.owner_is_protected()
    for _ in range(5):
        with pytest.raises(WrongPin):
            await scene.register(scene.thief, THIEF.wrong_pin)
    before = (await scene.number()).guesses

    await two_step.turn_on(scene.world, scene.owner, OWNER.pin)
    await two_step.turn_on(scene.world, scene.owner, OWNER.new_pin)
    await two_step.turn_off(scene.world, scene.owner)
    await two_step.turn_off(scene.world, scene.owner)
    await two_step.turn_on(scene.world, scene.owner, OWNER.pin)

    assert (await scene.number()).guesses == before
    with pytest.raises(GuessWait):
        await scene.register(scene.thief, THIEF.wrong_pin)


async def test_the_owner_can_set_and_turn_off_the_pin_while_the_number_waits(scene: Scene):
    await scene.owner_is_protected()
    for _ in range(5):
        with pytest.raises(WrongPin):
            await scene.register(scene.thief, THIEF.wrong_pin)

    await two_step.turn_on(scene.world, scene.owner, OWNER.new_pin)
    await two_step.turn_off(scene.world, scene.owner)

    assert await scene.register(scene.owner) is None


async def test_turning_on_and_off_spends_no_registration(scene: Scene):
    await scene.owner_has_registered()
    before = (await scene.number()).registrations

    await two_step.turn_on(scene.world, scene.owner, OWNER.pin)
    await two_step.turn_off(scene.world, scene.owner)

    assert (await scene.number()).registrations == before


async def test_who_does_not_hold_the_number_can_neither_set_nor_turn_off(scene: Scene):
    await scene.owner_is_protected()
    await scene.register(scene.thief, OWNER.pin)  # pending is not holding

    with pytest.raises(NoNumberHeld):
        await two_step.turn_on(scene.world, scene.thief, THIEF.wrong_pin)
    with pytest.raises(NoNumberHeld):
        await two_step.turn_off(scene.world, scene.thief)

    assert await scene.register(scene.owner, OWNER.pin) is None


async def taken_over(scene: Scene) -> None:
    """The thief, who was told the PIN, takes the number over."""
    await scene.register(scene.thief, OWNER.pin)
    await scene.enter(scene.thief, await scene.code())


async def test_a_pin_set_while_the_number_is_taken_over_is_not_set(scene: Scene):
    await scene.owner_is_protected()

    async def meanwhile() -> None:
        await taken_over(scene)

    world = scene.other_world(hasher=WatchedHasher(scene.world.hasher, before_make=meanwhile))
    with pytest.raises(NoNumberHeld):
        await two_step.turn_on(world, scene.owner, OWNER.new_pin)

    assert await scene.register(scene.thief, OWNER.pin) is None


async def test_a_lock_turned_off_while_the_number_is_taken_over_stays_on(scene: Scene):
    await scene.owner_is_protected()
    read = scene.world.store.number

    async def then_taken_over(id: str) -> Any:
        number = await read(id)
        await taken_over(scene)
        return number

    world = scene.other_world(store=StoreWith(scene.world.store, number=then_taken_over))
    with pytest.raises(NoNumberHeld):
        await two_step.turn_off(world, scene.owner)

    assert (await scene.number()).two_step.is_on


async def test_when_every_place_is_taken_nothing_changes(scene: Scene):
    await scene.owner_is_protected()
    before = await scene.number()

    with pytest.raises(Overloaded):
        await two_step.turn_on(scene.other_world(hasher=FullHasher()), scene.owner, OWNER.new_pin)

    assert await scene.number() == before


async def test_a_weak_pin_is_taken_with_a_note_unless_weak_ones_are_refused(scene: Scene):
    await scene.owner_has_registered()

    with pytest.raises(ParameterInvalid) as refused:
        await two_step.turn_on(scene.other_world(refuse_weak_pins=True), scene.owner, "123456")
    before = await scene.number()
    await two_step.turn_on(scene.world, scene.owner, "123456")
    await two_step.turn_on(scene.other_world(refuse_weak_pins=True), scene.owner, OWNER.pin)

    subject = f"number:{before.id}"
    told = [link.event.details async for link in scene.world.store.audit(subject)]
    assert refused.value.name == "pin"
    assert not before.two_step.is_on
    assert told[-2:] == [(("weak", True),), (("weak", False),)]
