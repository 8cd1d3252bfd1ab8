"""Upkeep: what is left to do gets done once, and Meta is not asked more than it should be."""

import asyncio
import re
from datetime import timedelta

import pytest

from nightlatch.domain.errors import OutcomeUnknown, WrongPin
from nightlatch.domain.limits import CLOUD_FRESH
from nightlatch.domain.linked import Reason
from nightlatch.usecases import links, upkeep, vault
from tests.fakes.cloud import (
    LOST_BUT_DONE,
    LOST_UNDONE,
    TOKEN,
    UNSENT,
    Meanwhile,
    Refuse,
)
from tests.fakes.stores import StoreWith
from tests.people import OWNER, THIEF
from tests.usecases.conftest import APP_SECRET, MOBILE, AtCloud
from tests.usecases.test_inbound import hear, security

OTHER_WABA = "202290129340398"


async def lose(at: AtCloud, phone, fault=LOST_BUT_DONE, pin: str = OWNER.new_pin) -> None:
    at.cloud.script("set_pin", fault)
    with pytest.raises(OutcomeUnknown):
        await vault.rotate(at.world, await at.number(phone), pin=pin)


async def test_with_nothing_due_nobody_is_asked(at_cloud):
    at = at_cloud
    await at.known()
    calls = len(at.cloud.calls)

    assert await upkeep.look_after(at.world) == 0
    assert len(at.cloud.calls) == calls


async def test_a_pin_that_was_set_is_confirmed_by_reading(at_cloud):
    at = at_cloud
    phone = await at.served()
    before = (await at.number(phone)).vault.confirmed_at

    await at.upkeep()

    number = await at.number(phone)
    assert before is None
    assert number.vault.confirmed_at is not None
    assert number.due_at is None
    assert "vault.pin_confirmed" in await at.kinds(phone)


async def test_a_pin_state_that_meta_hides_is_asked_for_with_growing_pauses(at_cloud):
    at = at_cloud
    phone = await at.served()
    phone.hidden_pin_state = True
    calls = at.cloud.count("number")

    for _ in range(20):
        await upkeep.look_after(at.world)
    at_once = at.cloud.count("number") - calls
    for _ in range(24 * 60):
        at.pass_time(60)
        await upkeep.look_after(at.world)

    assert at_once <= 2
    assert at.cloud.count("number") - calls < 40


async def test_two_nodes_look_after_each_number_once(at_cloud):
    at = at_cloud
    found = [await at.known(e164=f"+1650555{n:04d}") for n in range(5)]
    for phone in found:
        await lose(at, phone)
    calls = at.cloud.count("number")
    at.pass_time(61)

    done = await asyncio.gather(*(upkeep.look_after(at.other_world()) for _ in range(2)))

    assert sum(done) == 5
    assert at.cloud.count("number") - calls == 5
    await at.upkeep()
    for phone in found:
        await at.agrees(phone)


@pytest.mark.parametrize("fault", [LOST_BUT_DONE, LOST_UNDONE])
async def test_a_pin_that_may_or_may_not_be_there_is_set_again_until_it_is(at_cloud, fault):
    at = at_cloud
    phone = await at.served()
    await lose(at, phone, fault)

    await at.upkeep(4)

    assert phone.pin == OWNER.new_pin
    assert await at.pins(phone) == (OWNER.new_pin, [])
    await at.agrees(phone)


async def test_while_meta_is_down_it_is_asked_ever_more_seldom_and_known_once_it_is_back(at_cloud):
    at = at_cloud
    phone = await at.served()
    await lose(at, phone)
    calls = len(at.cloud.calls)
    at.cloud.down = UNSENT

    for _ in range(24 * 12):
        at.pass_time(300)
        await upkeep.look_after(at.world)
    asked = len(at.cloud.calls) - calls
    at.cloud.down = None
    at.pass_time(3_600)
    await at.upkeep(6)

    assert asked < 40
    await at.agrees(phone)
    assert phone.pin == OWNER.new_pin


async def test_a_lost_token_keeps_what_is_unknown_until_another_one_comes(at_cloud):
    at = at_cloud
    phone = await at.served()
    await lose(at, phone)
    good = at.cloud.tokens[TOKEN]
    at.cloud.revoke()
    await at.upkeep()
    assert (await at.number(phone)).under_way is not None

    at.cloud.tokens["EAA-another"] = good
    await links.renew_token(at.world, await at.link(), "EAA-another")
    at.pass_time(3_600)
    await at.upkeep(6)

    await at.agrees(phone)


async def test_numbers_that_are_unlinked_meanwhile_do_not_keep_others_waiting(at_cloud):
    at = at_cloud
    at.cloud.accounts[OTHER_WABA] = "Flower shop"
    other = await links.link(at.world, at.portfolio, OTHER_WABA, TOKEN)
    gone = at.cloud.add_registered("+16505550101", OWNER.pin, waba=OTHER_WABA)
    await at.read(OTHER_WABA)
    phone = await at.known()
    await lose(at, gone)
    await lose(at, phone)
    at.pass_time(61)

    async def unlinked() -> None:
        await links.unlink(at.world, other)

    at.cloud.script("number", Meanwhile(unlinked))

    assert await upkeep.look_after(at.world) == 2
    assert await at.world.store.linked(gone.id) is None
    await at.upkeep()
    await at.agrees(phone)


async def test_numbers_whose_account_is_gone_are_left(at_cloud):
    at = at_cloud
    phone = await at.known()
    await lose(at, phone)
    at.pass_time(61)
    due = at.world.store.linked_due

    async def too_late(*given):
        found = await due(*given)
        await links.unlink(at.world, await at.link())
        return found

    world = at.other_world(store=StoreWith(at.world.store, linked_due=too_late))

    assert await upkeep.look_after(world) == 1


async def test_a_number_that_meta_hides_is_asked_for_again_later(at_cloud):
    at = at_cloud
    phone = await at.known()
    await lose(at, phone)
    at.cloud.script("number", Refuse(Reason.GONE))

    await at.upkeep(4)

    await at.agrees(phone)


async def test_what_is_unknown_stays_so_while_meta_shows_nothing(at_cloud):
    at = at_cloud
    phone = await at.known()
    await lose(at, phone)
    phone.hidden_pin_state = True

    await at.upkeep(10)
    unknown = (await at.number(phone)).under_way
    phone.hidden_pin_state = False
    at.pass_time(3_600)
    await at.upkeep(6)

    assert unknown is not None
    await at.agrees(phone)


# All numbers, now and then


async def test_every_account_is_read_when_it_was_not_for_a_while(at_cloud):
    at = at_cloud
    at.cloud.accounts[OTHER_WABA] = "Flower shop"
    await links.link(at.world, at.portfolio, OTHER_WABA, TOKEN)

    first = await upkeep.refresh_links(at.world)
    again = await upkeep.refresh_links(at.world)
    at.pass_time(CLOUD_FRESH / timedelta(seconds=1))
    later = await upkeep.refresh_links(at.world)

    assert (first, again, later) == (2, 0, 2)
    assert all(call.patient for call in at.cloud.calls if call.method == "numbers")


async def test_an_account_that_cannot_be_read_does_not_keep_others_from_it(at_cloud):
    at = at_cloud
    at.cloud.accounts[OTHER_WABA] = "Flower shop"
    await links.link(at.world, at.portfolio, OTHER_WABA, TOKEN)
    at.cloud.script("numbers", Refuse(Reason.CALLS))

    assert await upkeep.refresh_links(at.world) == 1
    assert (await at.link()).read_at is None
    assert await upkeep.refresh_links(at.world) == 1


async def test_a_reading_finds_out_what_upkeep_would_have(at_cloud):
    at = at_cloud
    phone = await at.known()
    await lose(at, phone)
    at.pass_time(61)

    await upkeep.refresh_links(at.world)
    at.pass_time(3_600)
    await upkeep.refresh_links(at.world)

    assert (await at.number(phone)).under_way is None


# Secrets


async def test_after_the_whole_story_no_secret_is_in_the_file_the_trail_or_a_letter(
    at_cloud, tmp_path
):
    at = at_cloud
    phone = await at.served()
    await links.change_link(at.world, await at.link(), set_again=True)
    await at.turn_on(OWNER.new_pin)
    for pin in (THIEF.wrong_pin, "918273"):
        at.pass_time(60)
        with pytest.raises(WrongPin):
            await at.register(at.thief, pin)
    await at.turn_off()
    await lose(at, phone, LOST_UNDONE, "736452")
    await at.upkeep(4)
    at.pass_time(3_600)
    phone.pin = None
    await hear(at, security("PIN_REQUEST_SUCCESS", at=at.world.clock.now(), requester="1"))
    await at.upkeep(4)
    await vault.reveal(at.world, await at.number(phone))
    at.cloud.revoke()
    await upkeep.refresh_links(at.world)
    at.pass_time(CLOUD_FRESH / timedelta(seconds=1))
    await upkeep.refresh_links(at.world)
    verify = links.verify_token_of(at.world, await at.link())
    secrets = [
        OWNER.pin, OWNER.new_pin, THIEF.wrong_pin, "918273", "736452", TOKEN, APP_SECRET, verify,
    ]  # fmt: skip

    await at.office.deliver()
    copy = tmp_path / "copy.db"
    at.office.scene.house.store.backup(copy, lambda _left, _total: None)
    letters = [(posted.facts, rendered) for posted, rendered in at.office.post.taken]
    events = [link.event async for link in at.world.store.audit()]
    trail = [(event.by, event.details, event.place) for event in events]
    told = copy.read_bytes() + repr((letters, trail)).encode()

    assert phone.pin == "736452"
    assert MOBILE.encode() in told
    assert len(letters) > 3
    # Six digits within a longer number, or behind a point, are a moment.
    seen = [s for s in secrets if re.search(rb"(?<![0-9.])" + s.encode() + rb"(?![0-9])", told)]
    assert seen == []
