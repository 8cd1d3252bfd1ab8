"""A new key: everything sealed anew, nothing lost, no PIN needed."""

import pytest

from nightlatch.domain import two_step as rules
from nightlatch.domain.clients import FACTORY_PASSWORD
from nightlatch.domain.errors import Unavailable
from nightlatch.usecases import clients, codes, keys, two_step
from tests.people import E164, OWNER, THIEF
from tests.usecases.conftest import Scene


def silent(_done: int, _of: int) -> None:
    pass


async def a_busy_day(scene: Scene) -> None:
    """A PIN, two passwords, a code on the phone and one in the outbox."""
    await scene.owner_is_protected()
    await scene.register(scene.thief, OWNER.pin)


async def test_everything_is_sealed_with_the_new_key_and_still_opens(scene: Scene):
    await a_busy_day(scene)
    heard: list[tuple[int, int]] = []

    kid = scene.house.keyring.write_with_next(scene.world.clock.now())
    done, unreadable = await keys.rewrap(scene.world, kid, lambda d, of: heard.append((d, of)))

    assert (done, unreadable, heard) == (5, [], [(5, 5)])
    assert await scene.world.store.kids_in_use() == {kid: 5}
    await codes.deliver(scene.world, scene.house.sender)
    assert len(await codes.handset(scene.world, E164)) == 2
    assert await scene.register(scene.owner, OWNER.pin) is None
    assert await clients.log_in(
        scene.world, OWNER.client, "admin", FACTORY_PASSWORD, OWNER.password
    )


async def test_a_second_time_there_is_nothing_to_do(scene: Scene):
    await a_busy_day(scene)
    kid = scene.house.keyring.write_with_next(scene.world.clock.now())
    await keys.rewrap(scene.world, kid, silent)

    assert await keys.rewrap(scene.world, kid, silent) == (0, [])


async def test_the_pending_code_is_still_right_after_a_new_key(scene: Scene):
    await a_busy_day(scene)
    kid = scene.house.keyring.write_with_next(scene.world.clock.now())

    await keys.rewrap(scene.world, kid, silent)
    await scene.enter(scene.thief, await scene.code())

    assert (await scene.number()).holder == THIEF.client


async def test_what_cannot_be_opened_is_left_alone_and_named(scene: Scene):
    await scene.owner_is_protected()
    foreign = scene.world.keys.seal(b"verifier", "pin|v1|another number")
    number = await scene.number()
    await scene.world.store.update(
        number.id,
        lambda n: rules.turn_on(n, OWNER.pin, foreign, None, "x", scene.world.clock.now()),
    )
    kid = scene.house.keyring.write_with_next(scene.world.clock.now())

    done, unreadable = await keys.rewrap(scene.world, kid, silent)

    assert [(value.kind, value.owner) for value in unreadable] == [("pin", number.id)]
    assert done == 3
    assert (await scene.number()).two_step.verifier == foreign


async def test_a_pin_that_changes_meanwhile_keeps_its_new_value(scene: Scene):
    await scene.owner_is_protected()
    kid = scene.house.keyring.write_with_next(scene.world.clock.now())
    values = await scene.world.store.sealed_with_others(kid)

    await two_step.turn_on(scene.world, scene.owner, OWNER.new_pin)
    stale = [(value, b"an old value, sealed anew") for value in values if value.kind == "pin"]
    replaced = await scene.world.store.replace_sealed(stale)

    assert replaced == 0
    assert await scene.register(scene.owner, OWNER.new_pin) is None


async def test_a_key_that_is_gone_opens_nothing(scene: Scene):
    await scene.owner_is_protected()
    old = scene.house.keyring.writable
    scene.house.keyring.write_with_next(scene.world.clock.now())

    scene.house.keyring.drop_keys({old})

    with pytest.raises(Unavailable):
        await scene.register(scene.owner, OWNER.pin)
