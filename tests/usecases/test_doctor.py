"""``doctor``: what is true at Meta is told before anything is spent."""

from datetime import timedelta

import pytest

from nightlatch.domain.diagnosis import Diagnosis, Item, Prospect, Step, Trouble
from nightlatch.domain.errors import CloudAccessLost, CloudUnreached
from nightlatch.usecases import doctor, links
from tests.fakes.cloud import UNSENT, Meanwhile
from tests.people import OWNER, THIEF
from tests.usecases.conftest import MOBILE, AtCloud


async def examined(at: AtCloud, **more) -> list[Diagnosis]:
    return [told async for told in doctor.examine(at.world, await at.link(), **more)]


async def test_every_number_is_told_of_and_nothing_is_written(at_cloud):
    at = at_cloud
    served = await at.served()
    at.cloud.add("+16505550101")
    at.cloud.add_verified("+16505550102")
    unknown = at.cloud.add_registered("+16505550103", THIEF.wrong_pin)
    on_app = at.cloud.add_verified("+16505550104", on_app=True)
    writes = at.writes()
    seen: list[int] = []

    told = {found.number.e164[-1]: found for found in await examined(at, progress=seen.append)}

    assert {n: (found.prospect, found.step) for n, found in told.items()} == {
        "0": (Prospect.NOTHING, Step.SUBSCRIBE),
        "1": (Prospect.NEEDS_CODE, Step.ASK_CODE),
        "2": (Prospect.SET_PIN, Step.REGISTER),
        "3": (Prospect.NEEDS_PIN, Step.SET_PIN),
        "4": (Prospect.REFUSED, Step.LEAVE_APP),
    }
    assert told["4"].is_blocked
    assert [found.number.id for found in told.values()][3:] == [unknown.id, on_app.id]
    assert (at.writes(), seen, served.pin) == (writes, [5], OWNER.pin)
    assert [call for call in at.cloud.calls if call.method == "numbers"][-1].patient


async def test_what_was_read_lately_is_not_asked_again(at_cloud):
    at = at_cloud
    await at.served()
    first = await examined(at, max_age=timedelta(hours=1))
    calls = len(at.cloud.calls)

    again = await examined(at, max_age=timedelta(hours=1))
    known = await doctor.known_of(at.world, first[0].number)
    assert len(at.cloud.calls) == calls
    at.pass_time(3601)
    await examined(at, max_age=timedelta(hours=1))

    assert [d.number for d in again] == [d.number for d in first]
    assert known.number == first[0].number
    assert len(at.cloud.calls) > calls


async def test_an_examination_that_was_cut_short_goes_on_where_it_stopped(at_cloud):
    at = at_cloud
    for n in range(150):
        at.cloud.add(f"+1650555{n:04d}")

    async def fails() -> None:
        at.cloud.script("numbers", UNSENT)

    at.cloud.script("numbers", Meanwhile(fails))
    with pytest.raises(CloudUnreached):
        await examined(at)

    told = await examined(at, max_age=timedelta(hours=1))

    assert len(told) == 150
    assert [c.what for c in at.cloud.calls if c.method == "numbers"] == ["", "100", "100"]


async def test_a_lost_token_is_told_before_the_first_number_and_known_afterwards(at_cloud):
    at = at_cloud
    phone = await at.served()
    at.cloud.revoke()

    with pytest.raises(CloudAccessLost):
        await examined(at)
    found = await doctor.known_of(at.world, await at.number(phone))

    assert (found.prospect, found.step) == (Prospect.REFUSED, Step.RENEW_TOKEN)
    assert Trouble.ACCESS_LOST in {one.trouble for one in found.findings}


async def test_one_number_is_examined_alone(at_cloud):
    at = at_cloud
    phone = await at.known(None)
    phone.pin = OWNER.pin
    await links.subscribe(at.world, await at.link())

    found = await doctor.examine_one(at.world, await at.number(phone))

    assert (found.prospect, found.step) == (Prospect.NEEDS_PIN, Step.SET_PIN)
    assert at.cloud.count("numbers") == 1


async def test_a_checklist_says_what_is_missing_to_come_here_and_to_leave(at_cloud):
    at = at_cloud
    phone = at.cloud.add_verified(MOBILE, name_state="PENDING_REVIEW")
    phone.pin = THIEF.wrong_pin
    await at.read()
    number = await at.number(phone)

    here = await doctor.checklist(at.world, number, moving=False)
    away = await doctor.checklist(at.world, number, moving=True)

    missing = {check.item for check in here if not check.passed}
    assert missing == {Item.NAME_APPROVED, Item.PIN_KNOWN, Item.WEBHOOKS}
    assert {check.item for check in away if not check.passed} == {Item.NAME_APPROVED, Item.PIN_OFF}
    assert at.writes() == 0
