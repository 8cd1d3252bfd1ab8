"""The portfolio's name and address, and what happened in it."""

import re

import pytest

from nightlatch.domain.errors import ParameterInvalid, SignInRefused
from tests.manager_client import ADA, NEW_PASSWORD, OLIVIA, PASSWORD, VITO, Office, refuses, text_of

SECURITY = "security@luckyshrub.example"


async def test_an_owner_changes_name_and_address_with_their_password(office: Office):
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in(
        "/manager/portfolio", name="Lucky Shrub", email=SECURITY, password=PASSWORD
    )

    assert "The portfolio is changed." in text_of(page)
    found = await office.portfolio()
    assert (found.name, found.email) == ("Lucky Shrub", SECURITY)
    assert "Lucky Shrub" in text_of(await browser.get("/manager"))
    assert [one.letter.value for one in await office.letters(SECURITY)] == ["address_changed"]


@pytest.mark.parametrize("password", ["", NEW_PASSWORD])
async def test_without_the_password_a_stolen_session_moves_no_mail(office: Office, password):
    browser = await office.signed_in(OLIVIA)
    before = await office.portfolio()

    page = await browser.fill_in(
        "/manager/portfolio", name="Lucky Shrub", email=SECURITY, password=password
    )

    assert refuses(page, SignInRefused)
    assert f'value="{SECURITY}"' in page.raw.decode()
    assert await office.portfolio() == before
    assert await office.letters() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("name", " "), ("name", "a\x00b"), ("name", "x" * 129), ("email", "nowhere"),
     ("email", "a@b.example\r\nBcc: c@d.example"), ("email", "x" * 250 + "@b.example")],
)  # fmt: skip
async def test_what_does_not_fit_is_marked(office: Office, field, value):
    browser = await office.signed_in(OLIVIA)
    fields = {"name": "Lucky Shrub", "email": SECURITY, "password": PASSWORD}

    page = await browser.fill_in("/manager/portfolio", **fields | {field: value})

    assert refuses(page, ParameterInvalid)
    assert re.findall(r'<input id="([a-z]+)"[^>]*aria-invalid', page.raw.decode()) == [field]


async def test_the_events_tell_who_came_in_and_from_where(office: Office):
    browser = await office.signed_in(OLIVIA)
    await office.browser().sign_in(ADA.email, NEW_PASSWORD)

    page = text_of(await browser.get("/manager/events"))

    assert "Signed in." in page
    assert "Wrong password or code at sign-in." in page
    assert ADA.email in page
    assert "127.0.0.1" in page


async def test_a_long_trail_is_read_page_by_page(office: Office):
    for _ in range(40):
        await office.signed_in(VITO)
    browser = await office.signed_in(VITO)

    seen, target, pages = 0, "/manager/events", 0
    while target:
        page = await browser.get(target)
        assert len(page.raw) <= 30 * 1024
        seen += len(re.findall(r'<p class="event-what">', page.raw.decode()))
        found = re.search(r'href="([^"]+)" rel="next"', page.raw.decode())
        target, pages = (found[1] if found else ""), pages + 1

    assert seen == len(await office.trail())
    assert pages == 2


@pytest.mark.parametrize("before", ["0", "1", "-5", "x", "9" * 30, "٣"])
async def test_any_place_in_the_trail_may_be_asked_for(office: Office, before):
    browser = await office.signed_in(VITO)

    page = await browser.ask(
        "GET", "/manager/events?before=" + "".join(f"%{byte:02x}" for byte in before.encode())
    )

    assert page.status == 200
