"""In place of the world: the phone, the mailbox, and the person at the Manager."""

import asyncio
from datetime import timedelta

import pytest

from nightlatch.adapters.mail import MailboxSender
from nightlatch.domain.errors import (
    LinkRefused,
    MemberUnknown,
    NumberUnknown,
    PortfolioUnknown,
    TwoStepIsOff,
    TwoStepIsOn,
    WrongPin,
)
from nightlatch.domain.mail import Letter, MailState
from nightlatch.domain.members import MemberRole
from nightlatch.usecases import codes, mail, members, numbers, sandbox, signing_in
from tests.fakes.post import BrokenPost
from tests.people import E164, OWNER, THIEF
from tests.usecases.conftest import Office, Scene

SOON = 0.05


async def test_a_number_is_found_by_its_id_and_by_its_digits(scene: Scene):
    number = await scene.number()

    assert await sandbox.find_number(scene.world, number.id) == number
    assert await sandbox.find_number(scene.world, E164[1:]) == number
    with pytest.raises(NumberUnknown):
        await sandbox.find_number(scene.world, E164)


async def test_without_a_name_it_is_the_first_portfolio(office: Office):
    neighbours = office.neighbour.portfolio

    assert await sandbox.portfolio_id(office.world, None) == office.portfolio
    assert await sandbox.portfolio_id(office.world, neighbours) == neighbours
    with pytest.raises(PortfolioUnknown):
        await sandbox.portfolio_id(office.world, "2")


async def test_a_step_of_the_clock_has_sent_what_is_due(scene: Scene):
    nudges: list[None] = []
    world = scene.other_world(nudge=lambda: nudges.append(None))
    before = world.clock.now()

    await sandbox.step_clock(world, scene.clock.step, timedelta(days=3))

    assert world.clock.now() - before >= timedelta(days=3)
    assert len(nudges) == 1


async def test_a_code_on_its_way_is_waited_for(scene: Scene):
    await scene.register(scene.owner)
    asked = asyncio.create_task(sandbox.handset(scene.world, await scene.number()))
    await asyncio.sleep(SOON)
    waited = not asked.done()
    await codes.deliver(scene.world, scene.house.sender)

    (received,) = await asked

    assert waited
    assert [received] == await codes.handset(scene.world, E164)


async def test_a_code_that_does_not_arrive_is_not_waited_for_for_ever(scene: Scene):
    await scene.register(scene.owner)

    assert await sandbox.handset(scene.world, await scene.number(), SOON) == []


async def test_a_letter_on_its_way_is_waited_for(office: Office):
    await sandbox.set_pin(office.world, await office.number(), OWNER.pin)
    asked = asyncio.create_task(sandbox.letters(office.world, office.portfolio))
    await asyncio.sleep(SOON)
    waited = not asked.done()
    await mail.deliver(office.world, MailboxSender())

    first, *_ = await asked

    assert waited
    assert (first[0].letter, first[0].state) == (Letter.PIN_SET, MailState.KEPT)


async def test_a_letter_that_nobody_takes_is_shown_as_waiting(office: Office):
    await sandbox.set_pin(office.world, await office.number(), OWNER.pin)

    untried = await sandbox.letters(office.world, office.portfolio, SOON)
    await mail.deliver(office.world, BrokenPost(OSError()))
    async with asyncio.timeout(1):  # what failed once is not waited for
        put_off = await sandbox.letters(office.world, office.portfolio)

    assert untried[0][0].state is put_off[0][0].state is MailState.WAITING
    assert put_off[0][0].fault


async def test_the_first_owner_presses_what_is_pressed(office: Office):
    await office.add("ada", MemberRole.ADMIN)

    await sandbox.set_pin(office.world, await office.number(), OWNER.pin)
    await sandbox.change_pin(office.world, await office.number(), OWNER.pin, OWNER.new_pin)

    trail = office.world.store.audit(f"number:{(await office.number()).id}")
    pressed = [link.event async for link in trail if link.event.kind.startswith("two_step")]
    assert [event.by for event in pressed] == [OWNER.email] * 2
    with pytest.raises(TwoStepIsOn):
        await sandbox.set_pin(office.world, await office.number(), OWNER.pin)
    with pytest.raises(WrongPin):
        await sandbox.change_pin(office.world, await office.number(), THIEF.wrong_pin, OWNER.pin)
    assert (await office.number()).guesses.run == 1


async def test_a_pressed_change_ends_every_session_of_the_owner(office: Office):
    await sandbox.set_pin(office.world, await office.number(), OWNER.pin)

    await sandbox.change_pin(office.world, await office.number(), OWNER.pin, OWNER.new_pin)

    assert await signing_in.sessions(office.world, await office.owner()) == []


async def test_the_newest_link_of_the_number_is_followed(office: Office):
    await sandbox.set_pin(office.world, await office.number(), OWNER.pin)
    await sandbox.ask_to_turn_off(office.world, await office.number())
    office.scene.pass_time(1)
    await sandbox.change_pin(office.world, await office.number(), OWNER.pin, OWNER.new_pin)
    office.scene.pass_time(60)
    await sandbox.ask_to_turn_off(office.world, await office.number())
    office.scene.pass_time(1)
    other = await numbers.add_number(
        office.world, (await office.number()).waba, "+16315551001", "1", "Lucky Shrub"
    )
    await sandbox.set_pin(office.world, other, OWNER.pin)
    await sandbox.ask_to_turn_off(office.world, await sandbox.find_number(office.world, other.id))
    await mail.deliver(office.world, MailboxSender())

    await sandbox.follow_link(office.world, await office.number())

    assert not (await office.number()).two_step.is_on
    assert (await sandbox.find_number(office.world, other.id)).two_step.is_on
    with pytest.raises(LinkRefused):
        await sandbox.follow_link(office.world, await office.number(), SOON)
    with pytest.raises(TwoStepIsOff):
        await sandbox.ask_to_turn_off(office.world, await office.number())


async def test_without_a_letter_there_is_no_link_to_follow(office: Office):
    await sandbox.set_pin(office.world, await office.number(), OWNER.pin)
    await mail.deliver(office.world, MailboxSender())

    with pytest.raises(LinkRefused):
        await sandbox.follow_link(office.world, await office.number())


async def test_a_link_that_went_out_by_mail_is_not_had_without_the_mail(office: Office):
    await sandbox.set_pin(office.world, await office.number(), OWNER.pin)
    await sandbox.ask_to_turn_off(office.world, await office.number())
    await office.deliver()

    with pytest.raises(LinkRefused):
        await sandbox.follow_link(office.world, await office.number())

    assert (await office.number()).two_step.is_on


async def test_a_portfolio_without_an_owner_presses_nothing(scene: Scene):
    number = await scene.number()
    (portfolio,) = await scene.world.store.portfolios()
    await members.add_member(
        scene.world, portfolio.id, "ada@luckyshrub.example", "Ada Admin", MemberRole.ADMIN,
        "violet tram quarry 58",
    )  # fmt: skip

    for press in (
        sandbox.set_pin(scene.world, number, OWNER.pin),
        sandbox.change_pin(scene.world, number, OWNER.pin, OWNER.new_pin),
        sandbox.ask_to_turn_off(scene.world, number),
        sandbox.follow_link(scene.world, number),
    ):
        with pytest.raises(MemberUnknown):
            await press
