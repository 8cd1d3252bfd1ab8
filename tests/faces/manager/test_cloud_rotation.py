"""New PINs for all numbers of an account, a few with each form."""

import re
from datetime import timedelta

import pytest

from nightlatch.domain import errors as e
from nightlatch.domain.linked import Reason
from tests.faces.manager.places import cloud_of, furnish_cloud
from tests.fakes.cloud import UNSENT, WABA, Meanwhile, Refuse
from tests.manager_client import ADA, Browserless, Office, dump, heading, refuses, text_of
from tests.town import Reply

TARGET = f"/manager/cloud/{WABA}/rotate"


async def many(office: Office, amount: int) -> None:
    """So many registered numbers and one that is not; PINs that nobody here knows."""
    cloud = cloud_of(office)
    for i in range(amount - 1):
        cloud.add_registered(f"+1631555{2100 + i}", "271828")
    cloud.add("+16315552999")
    await furnish_cloud(office)


def carried(page: Reply) -> dict[str, str]:
    """The hidden fields of the form that goes on."""
    (form,) = re.findall(r"<form[^>]* class=\"form\".*?</form>", page.raw.decode(), re.DOTALL)
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
    fields.pop("csrf")
    return fields


async def on_and_on(browser: Browserless, page: Reply) -> list[Reply]:
    """Press Continue until nothing is left."""
    pages = [page]
    while "Continue" in text_of(pages[-1]):
        pages.append(await browser.post(TARGET, carried(pages[-1])))
        assert len(pages) < 30
    return pages


async def test_every_registered_number_gets_another_pin_a_few_at_a_time(office: Office):
    await many(office, 12)
    cloud = cloud_of(office)
    before = {one.id: one.pin for one in cloud.phones.values()}
    browser = await office.signed_in(ADA)

    asked = await browser.get(TARGET)
    pages = await on_and_on(browser, await browser.post(TARGET))

    assert "12 registered numbers of Garden shop get another PIN" in text_of(asked)
    assert cloud.count("set_pin") == 12
    assert [re.search(r"\d+ of \d+ numbers", text_of(page))[0] for page in pages] == [  # type: ignore[index]  # each has one
        "5 of 12 numbers", "10 of 12 numbers", "12 of 12 numbers",
    ]  # fmt: skip
    assert [page.raw.decode().count("data-goes-on") for page in pages] == [1, 1, 0]
    assert len({carried(page)["since"] for page in pages[:-1]}) == 1
    assert heading(pages[-1]) == "New PINs are set"
    changed = {one.id for one in cloud.phones.values() if one.pin != before[one.id]}
    assert changed == {one.id for one in cloud.phones.values() if one.registered}


async def test_begun_again_with_the_same_time_it_goes_on_where_it_stopped(office: Office):
    await many(office, 7)
    cloud = cloud_of(office)
    browser = await office.signed_in(ADA)
    await browser.get(TARGET)

    first = await browser.post(TARGET)
    anew = carried(first) | {"after": "", "done": "0", "of": "2"}
    second = await browser.post(TARGET, anew)

    assert cloud.count("set_pin") == 7
    assert "2 of 2 numbers" in text_of(second)
    assert heading(second) == "New PINs are set"


async def test_a_number_that_keeps_its_pin_holds_nobody_up_and_is_told_of(office: Office):
    await many(office, 7)
    cloud = cloud_of(office)
    cloud.script("set_pin", Refuse(Reason.OTHER), Refuse(Reason.TOO_MANY))
    browser = await office.signed_in(ADA)
    await browser.get(TARGET)

    pages = await on_and_on(browser, await browser.post(TARGET))

    assert cloud.count("set_pin") == 7
    assert "5 numbers have another PIN; 2 kept their PIN" in text_of(pages[-1])
    kept = re.findall(
        r'numbers/\d+">([^<]+)</a> <span class="sub">([^<]+)<', pages[-1].raw.decode()
    )
    assert kept == [
        ("+1 631-555-2001", "Meta refused."),
        ("+1 631-555-2100", "There were too many wrong PINs."),
    ]
    again = await browser.post(TARGET, dict(re.findall(
        r'name="(since|of)" value="([^"]*)"', pages[-1].raw.decode()
    )))  # fmt: skip
    assert "1 of 2 numbers" not in text_of(again)
    assert "1 number has another PIN; 1 kept its PIN" in text_of(again)


async def test_it_stops_where_meta_cannot_be_reached_and_goes_on_from_there(office: Office):
    await many(office, 4)
    cloud = cloud_of(office)
    browser = await office.signed_in(ADA)
    await browser.get(TARGET)

    async def cut() -> None:
        cloud.down = UNSENT

    cloud.script("set_pin", Meanwhile(cut, before=False))
    stopped = await browser.post(TARGET)
    cloud.down = None
    pages = await on_and_on(browser, stopped)

    assert stopped.status == 503
    assert "It stopped" in text_of(stopped)
    assert "Meta could not be reached" in text_of(stopped)
    assert "data-goes-on" not in stopped.raw.decode()
    assert carried(stopped)["done"] == "1"
    assert "4 numbers have another PIN." in text_of(pages[-1])


async def test_a_refused_token_ends_it_at_once(office: Office):
    await many(office, 3)
    cloud_of(office).revoke()
    browser = await office.signed_in(ADA)
    await browser.get(TARGET)

    page = await browser.post(TARGET)

    assert refuses(page, e.CloudAccessLost)
    assert cloud_of(office).count("set_pin") == 1


async def test_slow_answers_make_the_steps_shorter(office: Office):
    await many(office, 3)
    cloud = cloud_of(office)
    browser = await office.signed_in(ADA)
    await browser.get(TARGET)

    async def dawdle() -> None:
        office.town.pass_time(timedelta(seconds=11))

    cloud.script("set_pin", Meanwhile(dawdle))
    page = await browser.post(TARGET)

    assert carried(page)["done"] == "1"


async def test_without_a_registered_number_there_is_nothing_to_set(office: Office):
    phone = await furnish_cloud(office)
    phone.registered = False
    browser = await office.signed_in(ADA)
    await browser.get(f"/manager/cloud/{WABA}")
    await browser.post(f"/manager/cloud/{WABA}/read")

    page = await browser.get(TARGET)

    assert "No number is registered" in text_of(page)
    assert "<form" not in page.raw.decode().partition("<main")[2]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("since", "yesterday"), ("since", "2026-01-01"), ("after", "1"), ("after", "+1' OR 1"),
        ("of", "-1"), ("of", "x"), ("done", "1" * 10), ("failed", "1.5"), ("kept", "x:y"),
        ("kept", "1:" + "A" * 41), ("kept", ",".join(["1:WrongPin"] * 21)),
    ],
)  # fmt: skip
async def test_a_form_that_no_page_gave_changes_nothing(office: Office, field, value):
    await many(office, 2)
    browser = await office.signed_in(ADA)
    await browser.get(TARGET)
    given = {
        "since": office.world.clock.now().isoformat(), "after": "", "of": "2", "done": "0",
        "failed": "0", "kept": "",
    }  # fmt: skip
    before = dump(office.town)

    page = await browser.post(TARGET, given | {field: value})

    assert refuses(page, e.ParameterInvalid)
    assert dump(office.town) == before


async def test_a_time_to_come_is_taken_for_now_and_unknown_reasons_are_not_shown(office: Office):
    await many(office, 2)
    cloud = cloud_of(office)
    browser = await office.signed_in(ADA)
    await browser.get(TARGET)
    later = (office.world.clock.now() + timedelta(days=1)).isoformat()
    phone = next(iter(cloud.phones))

    page = await browser.post(
        TARGET,
        {"since": later, "of": "2", "failed": "3", "kept": f"{phone}:Nonsense,12345:WrongPin"},
    )
    again = await browser.post(TARGET, {"since": later, "of": "2"})

    assert "Nonsense" not in text_of(page)
    assert "And 3 more." not in text_of(page)
    assert cloud.count("set_pin") == 4
    assert heading(again) == "New PINs are set"
