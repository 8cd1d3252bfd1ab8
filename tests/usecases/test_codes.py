"""Codes on their way to a phone, with senders that do not do as they should."""

import asyncio
from itertools import pairwise

import pytest

from nightlatch.domain.errors import CodesSpent
from nightlatch.usecases import codes
from tests.fakes.senders import BrokenSender, ForgetfulSender, SlowSender
from tests.people import E164
from tests.usecases.conftest import Scene


async def test_a_code_reaches_the_phone_once_and_leaves_the_outbox(scene: Scene):
    await scene.register(scene.owner)

    arrived = await codes.deliver(scene.world, scene.house.sender)
    again = await codes.deliver(scene.world, scene.house.sender)

    (received,) = await codes.handset(scene.world, E164)
    assert (arrived, again) == (1, 0)
    assert received.shown == f"{received.code[:3]}-{received.code[3:]}"
    assert (received.expires_at - received.received_at).total_seconds() <= 600
    assert await scene.world.store.waiting_for(E164) == 0


async def test_the_newest_code_is_shown_first(scene: Scene):
    await scene.register(scene.owner)
    first = await scene.code()
    await scene.register(scene.owner)
    await scene.code()

    shown = [received.code for received in await codes.handset(scene.world, E164)]

    assert len(shown) == 2
    assert shown[1] == first


async def test_in_the_outbox_a_code_is_sealed(scene: Scene):
    await scene.register(scene.owner)
    broken = BrokenSender(ConnectionError())

    await codes.deliver(scene.world, broken)
    scene.pass_time(60)
    code = await scene.code()

    assert code.encode() not in broken.tried[0].message.sealed
    assert code not in repr(broken.tried[0])


@pytest.mark.parametrize("error", [ConnectionError(), TimeoutError(), ValueError("500"), OSError()])
async def test_a_sender_that_fails_is_tried_again_and_costs_no_code(scene: Scene, error):
    await scene.register(scene.owner)
    before = await scene.number()

    arrived = await codes.deliver(scene.world, BrokenSender(error))
    at_once = await codes.deliver(scene.world, scene.house.sender)
    scene.pass_time(60)
    later = await codes.deliver(scene.world, scene.house.sender)

    assert (arrived, at_once, later) == (0, 0, 1)
    assert await scene.number() == before
    await scene.enter(scene.owner, await scene.code())


async def test_the_pauses_between_tries_grow_up_to_a_minute(scene: Scene):
    await scene.register(scene.owner)
    broken = BrokenSender(ConnectionError())
    tries = []

    for second in range(300):
        before = len(broken.tried)
        await codes.deliver(scene.world, broken)
        if len(broken.tried) > before:
            tries.append(second)
        scene.pass_time(1)

    pauses = [later - before for before, later in pairwise(tries)]
    assert pauses == sorted(pauses)
    assert 2 <= pauses[0] <= 3
    assert pauses[-1] in {60, 61}
    assert len({sent.key for sent in broken.tried}) == 1


async def test_a_code_that_could_not_be_sent_is_erased_when_it_expires(scene: Scene):
    await scene.register(scene.owner)
    broken = BrokenSender(ConnectionError())
    await codes.deliver(scene.world, broken)

    scene.pass_time(600)
    await codes.deliver(scene.world, broken)

    assert len(broken.tried) == 1
    assert await scene.world.store.waiting_for(E164) == 0


async def test_a_failed_sender_gives_no_code_back_to_the_budget(scene: Scene):
    broken = BrokenSender(ConnectionError())
    for _ in range(5):
        await scene.register(scene.owner)
        await codes.deliver(scene.world, broken)

    with pytest.raises(CodesSpent):
        await scene.register(scene.owner)

    assert len(broken.tried) == 5


async def test_a_sender_that_delivers_and_then_fails_delivers_one_message(scene: Scene):
    await scene.register(scene.owner)

    await codes.deliver(scene.world, ForgetfulSender(scene.house.sender))
    scene.pass_time(60)
    await codes.deliver(scene.world, scene.house.sender)

    assert len(await codes.handset(scene.world, E164)) == 1


async def test_while_a_slow_sender_works_nobody_else_sends_the_same_message(scene: Scene):
    await scene.register(scene.owner)
    others = []

    async def another_worker() -> None:
        scene.pass_time(30)
        others.append(await codes.deliver(scene.world, scene.house.sender))

    arrived = await codes.deliver(scene.world, SlowSender(scene.house.sender, another_worker))

    assert (arrived, others) == (1, [0])
    assert len(await codes.handset(scene.world, E164)) == 1


async def test_a_worker_that_dies_while_sending_is_replaced_when_its_lease_is_over(scene: Scene):
    await scene.register(scene.owner)

    sending, never = asyncio.Event(), asyncio.Event()

    async def hangs() -> None:
        sending.set()
        await never.wait()

    worker = asyncio.create_task(codes.deliver(scene.world, SlowSender(scene.house.sender, hangs)))
    await sending.wait()
    worker.cancel()
    await asyncio.wait({worker})
    at_once = await codes.deliver(scene.world, scene.house.sender)
    scene.pass_time(60)

    assert (at_once, await codes.deliver(scene.world, scene.house.sender)) == (0, 1)


async def test_one_message_that_fails_does_not_hold_up_the_others(scene: Scene):
    for _ in range(3):
        await scene.register(scene.owner)
    tried = []

    async def first_fails() -> None:
        tried.append(1)
        if len(tried) == 1:
            raise ConnectionError

    arrived = await codes.deliver(scene.world, SlowSender(scene.house.sender, first_fails))

    assert arrived == 2


async def test_the_handset_forgets_a_code_when_it_expires(scene: Scene):
    await scene.register(scene.owner)
    await scene.code()

    scene.pass_time(600)

    assert await codes.handset(scene.world, E164) == []
