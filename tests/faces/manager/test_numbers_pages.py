"""The phone numbers: found, added, named, certified, unlocked, let go, exported."""

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest

from nightlatch.domain.codes import Method
from nightlatch.domain.errors import (
    CertificateNotReady,
    NameWait,
    NoNumberHeld,
    NumberExists,
    NumberUnknown,
    RegistrationWait,
    RoleTooLow,
    WabaUnknown,
)
from nightlatch.domain.limits import VERIFIED_LIFE
from nightlatch.domain.members import MemberRole
from nightlatch.domain.numbers import Decision, Number
from nightlatch.faces.formats import moment
from nightlatch.usecases import cloud, members, numbers, portfolios
from tests.manager_client import (
    ADA,
    OLIVIA,
    PASSWORD,
    VITO,
    Browserless,
    Office,
    Person,
    open_office,
    refuses,
    text_of,
)
from tests.people import CC, E164, NAME, NATIONAL, OWNER, THIEF
from tests.town import Reply, a_house, a_town


@pytest.fixture
async def review(tmp_path: Path) -> AsyncIterator[Office]:
    """An office where display names wait for their review, with a first number from before."""
    async with a_house(tmp_path / "data"):
        pass
    async with a_town(tmp_path / "data", review_names=True) as town:
        yield await open_office(town)


async def the_list(office: Office) -> str:
    return f"/manager/accounts/{(await office.waba()).id}/numbers"


async def page_of(office: Office, rest: str = "") -> str:
    return f"/manager/numbers/{(await office.town.number()).id}{rest}"


async def add(office: Office, national: str, name: str) -> Number:
    return await numbers.add_number(
        office.world, (await office.waba()).id, f"+1{national}", CC, name
    )


def shown(reply: Reply) -> list[str]:
    """The numbers in the list of a page."""
    return re.findall(r'class="number-link"[^>]*>([^<]+)</a>', reply.raw.decode())


async def many(office: Office) -> None:
    """Three numbers besides the first: one with a PIN, one under attack, one waiting."""
    await office.town.owner_is_protected()
    await add(office, "6315551001", "Jasper's Market")
    await add(office, "6315551002", "Jasper's Nordic Shop")
    await add(office, "6315552003", "=cmd|' /C calc'!A0")


# The list


async def test_the_list_tells_of_each_number_what_matters(office: Office):
    await many(office)
    await office.town.thief.register(THIEF.wrong_pin)
    browser = await office.signed_in(VITO)

    page = await browser.get(await the_list(office))

    said = text_of(page)
    assert shown(page) == [
        "+1 631-555-1000", "+1 631-555-1001", "+1 631-555-1002", "+1 631-555-2003",
    ]  # fmt: skip
    columns = "Number Name Status Two-step verification Held by Last event Settings"
    assert columns in said
    assert f"{NAME} Connected On main Wrong PIN while registering." in said
    assert "Jasper&#39;s Market" in page.raw.decode()
    assert "Pending Off The number was added." in said
    assert f'aria-label="Settings of {shown(page)[0]}"'.encode() in page.raw


async def guess(office: Office, times: int) -> None:
    for _ in range(times):
        await office.town.thief.register(THIEF.wrong_pin)


FILTERS: dict[int, dict[str, set[int]]] = {
    0: {
        "all": {1000, 1001, 1002, 2003},
        "protected": {1000},
        "unprotected": {1001, 1002, 2003},
        "connected": {1000},
        "pending": {1001, 1002, 2003},
        "disconnected": set(),
        "attacked": set(),
        "waiting": set(),
        "locked": set(),
    },
    1: {"attacked": set()},
    2: {"attacked": {1000}},
    4: {"attacked": {1000}, "waiting": set()},
    5: {"attacked": {1000}, "waiting": {1000}, "locked": set(), "protected": {1000}},
}
"""By how many wrong PINs there were, what each list shows."""


async def test_a_filter_shows_the_numbers_in_that_state(office: Office):
    await many(office)
    browser = await office.signed_in(VITO)
    wrong = 0

    for after, lists in FILTERS.items():
        await guess(office, after - wrong)
        wrong = after
        for show, expected in lists.items():
            page = await browser.get(f"{await the_list(office)}?show={show}")

            assert page.status == 200
            assert {int(number.replace("-", "")[-4:]) for number in shown(page)} == expected, show
            assert page.raw.count(b'class="chip"') == 9
            assert page.raw.count(b'aria-current="true">') == 2  # the list, and the account


SEARCHES = {
    "1631": 4,
    "6315551": 3,
    "631-555-1": 3,
    "+1 (631) 555 1": 3,
    "2003": 1,
    "1002": 1,
    "jasper": 2,
    "JASPER'S nor": 1,
    "market jasper": 1,
    "arket": 0,
    "5551": 0,
    "%": 0,
    "_": 0,
    "' OR 1=1 --": 0,
    "\x00": 0,
}


async def test_a_search_finds_digits_at_both_ends_and_words_by_their_beginning(office: Office):
    await many(office)
    browser = await office.signed_in(VITO)

    for text, expected in SEARCHES.items():
        page = await browser.get(f"{await the_list(office)}?{encoded(text=text)}")

        assert page.status == 200
        assert len(shown(page)) == expected, text


def encoded(**query: str) -> str:
    return urlencode(query)


async def test_what_was_searched_for_is_repeated_as_text_only(office: Office):
    browser = await office.signed_in(VITO)
    text = '"><script>alert(1)</script>{{ 7 * 7 }}'

    page = await browser.get(f"{await the_list(office)}?{encoded(text=text)}")

    assert b"<script>alert" not in page.raw
    assert b"&#34;&gt;&lt;script&gt;alert(1)" in page.raw
    assert "No number fits" in text_of(page)


async def test_a_filter_that_is_none_is_refused(office: Office):
    browser = await office.signed_in(VITO)

    page = await browser.get(f"{await the_list(office)}?show=everything")

    assert page.status == 400


async def test_the_lists_tell_how_many_numbers_each_holds(office: Office):
    await many(office)
    await guess(office, 5)
    browser = await office.signed_in(VITO)

    page = await browser.get(await the_list(office))
    searched = await browser.get(f"{await the_list(office)}?text=jasper")

    told = (
        "All 4 Protected 1 Unprotected 3 Waiting 1 Locked 0 Under attack 1 "
        "Connected Pending Disconnected"
    )
    assert told in text_of(page)
    assert b'data-export="4"' in page.raw
    assert b'data-export=""' in searched.raw


async def test_the_list_goes_on_over_pages_without_losing_or_doubling_any(office: Office):
    for i in range(45):
        await add(office, f"63155530{i:02}", f"Shop {i}")
    browser = await office.signed_in(VITO)
    at: str | None = await the_list(office)
    found: list[str] = []
    pages = 0

    while at is not None and pages < 10:
        page = await browser.get(at)
        assert len(page.raw) < 30 * 1024
        found += shown(page)
        pages += 1
        following = re.search(r'href="([^"]+)" rel="next"', page.raw.decode())
        at = following[1].replace("&amp;", "&") if following else None

    assert pages == 4
    assert len(found) == 46
    assert found == sorted(set(found))
    assert "To the beginning" in text_of(page)


async def test_a_made_up_place_in_the_list_begins_anew(office: Office):
    browser = await office.signed_in(VITO)

    page = await browser.get(f"{await the_list(office)}?after=%00nonsense")

    assert shown(page) == ["+1 631-555-1000"]


async def test_another_portfolios_account_and_number_are_unknown(office: Office):
    other = await portfolios.add_portfolio(office.world, "Elsewhere", THIEF.email)
    await members.add_member(
        office.world, other.id, THIEF.email, THIEF.name, MemberRole.OWNER, PASSWORD
    )
    theo = await office.signed_in(Person(THIEF.email, THIEF.name, MemberRole.OWNER))

    for path in ("", "/export?format=csv", "/add"):
        assert refuses(await theo.get(f"{await the_list(office)}{path}"), WabaUnknown), path
    for path in (
        "", "/two-step", "/certificate", "/certificate/download", "/name", "/codes",
        "/timeline/export?format=csv", "/unlock", "/deregister",
    ):  # fmt: skip
        page = await theo.get(await page_of(office, path))
        assert refuses(page, NumberUnknown), path
        assert NATIONAL not in page.raw.decode()


# Adding


@pytest.mark.parametrize(
    ("cc", "national", "e164"),
    [
        ("49", "1511 2345678", "+4915112345678"),
        ("+49", "01511/2345678", "+4915112345678"),
        ("44", "+44 20 7946 0958", "+442079460958"),
        ("1", "(631) 555-1099", "+16315551099"),
    ],
)
async def test_a_number_is_added_however_it_is_spelled(office: Office, cc, national, e164):
    browser = await office.signed_in(ADA)

    page = await browser.fill_in(
        f"{await the_list(office)}/add", cc=cc, phone_number=national, name=" Lucky Shrub "
    )

    added = await office.world.store.number_by_e164(e164)
    assert "The number was added" in text_of(page)
    assert added.name == "Lucky Shrub"
    assert added.waba == (await office.waba()).id
    assert "ada@luckyshrub.example" in text_of(page)


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"cc": "", "phone_number": "6315551099", "name": "Shop"}, "cc"),
        ({"cc": "x1", "phone_number": "6315551099", "name": "Shop"}, "cc"),
        ({"cc": "1", "phone_number": "12", "name": "Shop"}, "phone_number"),
        ({"cc": "1", "phone_number": "", "name": "Shop"}, "phone_number"),
        ({"cc": "1", "phone_number": "9" * 41, "name": "Shop"}, "phone_number"),
        ({"cc": "1", "phone_number": "6315551099", "name": ""}, "name"),
        ({"cc": "1", "phone_number": "6315551099", "name": "x" * 129}, "name"),
        ({"cc": "1", "phone_number": "6315551099", "name": "a\nb"}, "name"),
    ],
)
async def test_what_does_not_fit_is_said_beside_its_field_and_the_rest_is_kept(
    office: Office, typed, field
):
    at = f"{await the_list(office)}/add"
    browser = await office.signed_in(ADA)
    await browser.get(at)

    page = await browser.post(at, typed)

    assert page.status == 400
    assert f'aria-describedby="{field}-wrong'.encode() in page.raw
    if field != "name":
        assert b'value="Shop"' in page.raw
    assert await office.world.store.number_by_e164("+16315551099") is None


async def test_a_number_is_there_once_however_it_is_spelled(office: Office):
    browser = await office.signed_in(ADA)
    await browser.get(f"{await the_list(office)}/add")

    page = await browser.post(
        f"{await the_list(office)}/add",
        {"cc": "1", "phone_number": "631.555.1000", "name": "Copy"},
    )

    assert refuses(page, NumberExists)


async def test_a_viewer_adds_nothing_and_is_not_offered_to(office: Office):
    viewer = await office.signed_in(VITO)

    page = await viewer.get(await the_list(office))
    form = await viewer.get(f"{await the_list(office)}/add")

    assert "Add number" not in text_of(page)
    assert refuses(form, RoleTooLow)


# One number


async def test_a_numbers_page_tells_its_settings_and_what_happened(office: Office):
    await office.town.owner_is_protected()
    browser = await office.signed_in(ADA)

    page = text_of(await browser.get(await page_of(office)))

    number = await office.town.number()
    assert f"Number {E164}" in page
    assert f"Display name {NAME} Approved" in page
    assert "Held by client main" in page
    assert f"Phone number ID {number.id}" in page
    for sentence in (
        "Two-step verification was turned on.",
        "Registered by client main.",
        "A registration code was sent by a text message.",
        "The number was added.",
    ):
        assert sentence in page
    assert page.index("was turned on") < page.index("The number was added")


async def test_a_long_timeline_goes_on_over_pages_and_tells_each_guess_once(office: Office):
    await office.town.owner_is_protected()
    for _ in range(20):
        office.town.pass_time(61)
        await office.town.owner.set_pin(OWNER.new_pin)
        await office.town.owner.register(THIEF.wrong_pin)
        await office.town.owner.set_pin(OWNER.pin)
        await office.town.owner.register(OWNER.pin)
        if await kinds(office, "guess.wrong") >= 4:
            break
    for i in range(30):
        await office.town.owner.set_pin((OWNER.pin, OWNER.new_pin)[i % 2])
    browser = await office.signed_in(VITO)
    at: str | None = await page_of(office)
    told = ""
    pages = 0

    while at is not None and pages < 10:
        page = await browser.get(at)
        told += text_of(page)
        pages += 1
        following = re.search(r'href="([^"]+)" rel="next"', page.raw.decode())
        at = following[1] if following else None

    assert pages >= 3
    assert told.count("Wrong PIN while registering") == await kinds(office, "guess.wrong") == 4
    assert told.count("The PIN was changed.") == await kinds(office, "two_step.pin_changed")
    assert "never settled" not in told


async def test_wherever_a_page_of_the_timeline_begins_each_guess_is_told_once(office: Office):
    await office.town.owner_is_protected()
    await guess(office, 3)
    browser = await office.signed_in(VITO)
    told = await office.town.kinds()

    for before in range(2, len(told) + 2):
        page = text_of(await browser.get(f"{await page_of(office)}?before={before}"))

        assert page.count("Wrong PIN while") == told[: before - 1].count("guess.wrong"), before
        assert "never settled" not in page


async def kinds(office: Office, kind: str) -> int:
    return (await office.town.kinds()).count(kind)


async def test_deregistering_asks_first_and_then_disconnects_the_client(office: Office):
    await office.town.owner_is_protected()
    browser = await office.signed_in(ADA)
    at = await page_of(office, "/deregister")

    asked = await browser.get(at)
    still = (await office.town.number()).status
    page = await browser.follow(await browser.post(at))

    assert "Two-step verification stays on, with the same PIN." in text_of(asked)
    assert still == "CONNECTED"
    assert "The number was deregistered" in text_of(page)
    assert "Deregistered: client main let go of the number." in text_of(page)
    assert await office.town.owner.status() == "disconnected"
    assert refuses(await browser.get(at), NoNumberHeld)
    assert (await office.town.number()).two_step.is_on


async def test_the_eleventh_deregistration_in_72_hours_has_to_wait(office: Office):
    await office.town.owner_has_registered()
    number = await office.town.number()
    for _ in range(10):
        await numbers.deregister(office.world, number)
        await office.world.store.update(number.id, held_by_main)
    browser = await office.signed_in(ADA)
    await browser.get(await page_of(office, "/deregister"))

    page = await browser.post(await page_of(office, "/deregister"))

    assert refuses(page, RegistrationWait)
    assert int(page.header("Retry-After") or 0) > 71 * 3_600
    assert (await office.town.number()).holder == "main"


def held_by_main(number: Number) -> Decision:
    return Decision(replace(number, holder="main"))


# Display name and certificate


async def test_the_certificate_is_shown_and_downloaded_and_registers_the_number(office: Office):
    browser = await office.signed_in(ADA)

    page = await browser.get(await page_of(office, "/certificate"))
    file = await browser.get(await page_of(office, "/certificate/download"))

    found = re.search(r'id="certificate">([^<]+)<', page.raw.decode())
    assert found
    assert unchunked(file).decode() == found[1] + "\n"
    assert (
        file.header("Content-Disposition") == 'attachment; filename="certificate-16315551000.txt"'
    )
    assert file.header("Cache-Control") == "no-store"
    assert (await office.town.owner.register(cert=found[1])).status == 202


async def test_a_renewed_certificate_revokes_the_one_before(office: Office):
    browser = await office.signed_in(ADA)
    before = office.town.owner.certificate

    page = await browser.fill_in(await page_of(office, "/certificate/renew"))

    found = re.search(r'id="certificate">([^<]+)<', page.raw.decode())
    assert found
    assert (await office.town.owner.register(cert=before)).status == 403
    assert (await office.town.owner.register(cert=found[1])).status == 202


async def test_without_an_approved_name_the_page_says_why_there_is_no_certificate(review: Office):
    browser = await review.signed_in(ADA)
    await browser.fill_in(
        f"{await the_list(review)}/add", cc="1", phone_number="6315551099", name="Under Review"
    )
    number = await review.world.store.number_by_e164("+16315551099")
    at = f"/manager/numbers/{number.id}"

    waiting = await browser.get(f"{at}/certificate")
    file = await browser.get(f"{at}/certificate/download")
    listed = await browser.get(await the_list(review))
    await numbers.decline_name(review.world, number)
    declined = await browser.get(f"{at}/certificate")

    assert "“Under Review” is in review" in text_of(waiting)
    assert refuses(file, CertificateNotReady)
    assert "Under Review in review" in text_of(listed)
    assert "“Under Review” was declined" in text_of(declined)


async def test_a_name_changes_freely_before_registration_and_then_once_in_30_days(office: Office):
    at = await page_of(office, "/name")
    browser = await office.signed_in(ADA)
    for name in ("One", "Two", "Three"):
        page = await browser.fill_in(at, name=name)
        assert "The display name is changed" in text_of(page)
    office.town.owner.certificate = numbers.certificate(office.world, await office.town.number())
    await office.town.owner_has_registered()

    again = await browser.post(at, {"name": "Four"})
    shown_ = await browser.get(at)

    assert refuses(again, NameWait)
    assert int(again.header("Retry-After") or 0) > 29 * 86_400
    assert "Next change possible now" not in text_of(shown_)
    assert (await office.town.number()).name == "Three"


async def test_a_name_waits_for_its_review_where_names_are_reviewed(review: Office):
    browser = await review.signed_in(ADA)

    page = await browser.fill_in(await page_of(review, "/name"), name="Lucky <b>Shrub</b>")

    assert "The display name was sent for review" in text_of(page)
    assert "Name asked for Lucky <b>Shrub</b> Review In review" in text_of(page)
    assert b"<b>Shrub" not in page.raw
    number = await review.town.number()
    assert (number.name, number.asked_name) == (NAME, "Lucky <b>Shrub</b>")


# The handset, and who may see secrets


async def test_the_handset_shows_the_code_while_it_is_good(office: Office):
    browser = await office.signed_in(ADA)
    empty = await browser.get(await page_of(office, "/codes"))
    await office.town.owner.register()
    code = await office.town.code()

    page = await browser.get(await page_of(office, "/codes"))
    office.town.pass_time(601)
    expired = await browser.get(await page_of(office, "/codes"))

    assert "Nothing here" in text_of(empty)
    assert f"Your WhatsApp code: {code[:3]}-{code[3:]} Text message" in text_of(page)
    assert "Nothing here" in text_of(expired)


async def test_a_viewer_sees_no_certificate_and_no_code(office: Office):
    await office.town.owner.register()
    code = await office.town.code()
    certificate = office.town.owner.certificate
    viewer = await office.signed_in(VITO)

    for path in ("/certificate", "/certificate/download", "/certificate/renew", "/codes", "/name",
                 "/unlock", "/deregister"):  # fmt: skip
        assert refuses(await viewer.get(await page_of(office, path)), RoleTooLow), path
    for path in ("", "/two-step", "/timeline/export?format=jsonl"):
        assert (await viewer.get(await page_of(office, path))).status == 200
    await viewer.get(f"{await the_list(office)}/export?format=jsonl")

    for reply in viewer.seen:
        assert certificate.encode() not in reply.raw
        assert code not in text_of(reply)
        assert f"{code[:3]}-{code[3:]}" not in text_of(reply)


# Exports


async def rows_of(browser: Browserless, at: str) -> list[dict[str, str]]:
    reply = await browser.get(at)
    assert reply.status == 200
    assert reply.header("Content-Type") == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(unchunked(reply).decode("utf-8-sig"), newline="")))


def unchunked(reply: Reply) -> bytes:
    """The body of an answer that was sent as it was made."""
    if (reply.header("Transfer-Encoding") or "") != "chunked":
        return reply.raw
    rest, body = reply.raw, b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body, rest = body + rest[:length], rest[length + 2 :]
    return body


async def test_the_list_is_exported_as_csv_that_no_spreadsheet_runs(office: Office):
    await many(office)
    await guess(office, 5)
    browser = await office.signed_in(VITO)

    rows = await rows_of(browser, f"{await the_list(office)}/export?format=csv")

    assert [row["number"] for row in rows] == [
        "+16315551000", "+16315551001", "+16315551002", "+16315552003",
    ]  # fmt: skip
    assert rows[0] | {"last_event_at": "", "added_at": ""} == {
        "number": E164,
        "name": NAME,
        "status": "CONNECTED",
        "two_step": "on, waiting, under attack",
        "held_by": "main",
        "wrong_in_a_row": "5",
        "last_event": "Wrong PIN while registering: 5 wrong in a row.",
        "last_event_at": "",
        "added_at": "",
        "id": (await office.town.number()).id,
        "account": (await office.waba()).id,
    }
    assert rows[3]["name"] == "'=cmd|' /C calc'!A0"


async def test_an_export_follows_filter_and_search_and_also_comes_as_json_lines(office: Office):
    await many(office)
    browser = await office.signed_in(VITO)

    reply = await browser.get(
        f"{await the_list(office)}/export?format=jsonl&show=unprotected&text=jasper"
    )

    told = [json.loads(line) for line in unchunked(reply).decode().splitlines()]
    assert reply.header("Content-Type") == "application/jsonl; charset=utf-8"
    assert reply.header("Content-Disposition") == 'attachment; filename="numbers.jsonl"'
    assert {row["number"] for row in told} == {"+16315551001", "+16315551002"}
    assert len(told) == 2
    assert told[0]["held_by"] is None
    assert told[0]["wrong_in_a_row"] == 0


async def test_an_export_holds_more_numbers_than_a_page(office: Office):
    for i in range(60):
        await add(office, f"63155530{i:02}", f"Shop {i}")
    browser = await office.signed_in(VITO)

    rows = await rows_of(browser, f"{await the_list(office)}/export?format=csv")

    assert len(rows) == 61


async def test_the_timeline_is_exported_with_every_event_in_order(office: Office):
    await office.town.owner_is_protected()
    await guess(office, 2)
    browser = await office.signed_in(VITO)

    rows = await rows_of(browser, await page_of(office, "/timeline/export?format=csv"))

    assert [row["kind"] for row in rows] == await office.town.kinds()
    assert [int(row["seq"]) for row in rows] == list(range(1, len(rows) + 1))
    assert rows[-1]["by"] == "thief/admin"
    assert rows[-1]["place"] == "127.0.0.1"
    assert rows[-1]["details"] == "path=account; in_a_row=2"


@pytest.mark.parametrize("query", ["", "?format=xml", "?format=csv&show=none"])
async def test_an_export_in_no_format_or_of_no_list_is_refused(office: Office, query):
    browser = await office.signed_in(VITO)

    page = await browser.get(f"{await the_list(office)}/export{query}")

    assert page.status == 400


# While a page is open


async def test_an_open_list_and_number_hear_of_the_thief_at_the_next_asking(office: Office):
    await office.town.owner_is_protected()
    browser = await office.signed_in(VITO)
    places = [await the_list(office), await page_of(office), "/manager"]
    tags = [(await browser.live(at)).header("ETag") or "" for at in places]
    quiet = [(await browser.live(at, tag)).status for at, tag in zip(places, tags, strict=True)]

    await guess(office, 2)
    pages = [await browser.live(at, tag) for at, tag in zip(places, tags, strict=True)]

    assert quiet == [304, 304, 304]
    assert [page.status for page in pages] == [200, 200, 200]
    assert all("Under attack" in text_of(page) for page in pages)
    assert all(b"data-live" in page.raw for page in pages)


# On the Cloud API


async def registered_with_the_cloud_api(office: Office) -> str:
    """Address of the number's page."""
    world = office.world
    for step in ("ask", "enter", "register"):
        number = await office.town.number()
        if step == "ask":
            await cloud.request_code(world, number, Method.SMS, "system-user:612345678901234")
        elif step == "enter":
            code = await office.town.code()
            await cloud.enter_code(world, number, code, "system-user:612345678901234")
        else:
            await cloud.register(world, number, OWNER.pin, "system-user:612345678901234")
    return f"/manager/numbers/{(await office.town.number()).id}"


async def test_a_number_on_the_cloud_api_reads_so_everywhere(office: Office):
    target = await registered_with_the_cloud_api(office)
    browser = await office.signed_in(OLIVIA)

    page = text_of(await browser.get(target))
    asked = text_of(await browser.get(f"{target}/deregister"))
    waba = (await office.waba()).id
    listed = text_of(await browser.get(f"/manager/accounts/{waba}/numbers"))

    assert "Held by the Cloud API" in page
    assert "Registered with the Cloud API" in page
    assert "system user 612345678901234" in page
    assert "client Cloud API" not in page + asked + listed
    assert "The Cloud API lets go of the number at once" in asked
    assert "with a code and the PIN" in asked
    assert "Cloud API" in listed
    done = await browser.follow(await browser.post(f"{target}/deregister"))
    assert "Held by nobody" in text_of(done)
    assert "Deregistered: the Cloud API let go of the number." in text_of(done)


async def test_a_number_says_until_when_it_is_verified(office: Office):
    browser = await office.signed_in(OLIVIA)
    target = f"/manager/numbers/{(await office.town.number()).id}"
    fresh = text_of(await browser.get(target))
    await registered_with_the_cloud_api(office)
    number = await office.town.number()

    verified = text_of(await browser.get(target))
    office.town.pass_time(VERIFIED_LIFE)
    browser = await office.signed_in(OLIVIA)
    expired = text_of(await browser.get(target))

    assert "Registration code Not verified" in fresh
    until = number.code_verified_at + VERIFIED_LIFE
    assert f"Registration code Verified until {moment(until)}" in verified
    assert "Registration code Verified too long ago" in expired
