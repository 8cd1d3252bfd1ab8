"""T9, row 25: no form but our own, of this very session, changes anything."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from nightlatch.domain.errors import FormForged, ParameterUnexpected, RequestMalformed
from nightlatch.faces.manager.wire import Access, Route
from tests.faces.manager.places import UNSAFE, Places, furnish
from tests.manager_client import ADA, OLIVIA, PASSWORD, Browserless, Office, dump, refuses


@dataclass(frozen=True)
class Forgery:
    """What a forged form brings along."""

    csrf: Callable[["Tokens"], str]
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tokens:
    """The tokens a thief may have come by, and the right one."""

    right: str
    other: str
    """Of somebody else's session."""
    stale: str
    """Of the same browser, before its latest sign-in."""
    visitor: str
    """Of a browser that never signed in."""


FORGERIES = {
    "no token": Forgery(lambda _: ""),
    "another session's token": Forgery(lambda t: t.other),
    "a token from before the latest sign-in": Forgery(lambda t: t.stale),
    "a visitor's token": Forgery(lambda t: t.visitor),
    "a token with one digit changed": Forgery(
        lambda t: t.right[:-1] + ("0" if t.right[-1] != "0" else "1")
    ),
    "a token in capitals": Forgery(lambda t: t.right.upper()),
    "a token in another script": Forgery(lambda _: "é" * 64),
    "another site's Origin": Forgery(lambda t: t.right, {"Origin": "https://evil.example"}),
    "the Origin null": Forgery(lambda t: t.right, {"Origin": "null"}),
    "our Origin by another scheme": Forgery(lambda t: t.right, {"Origin": "https://127.0.0.1"}),
    "an Origin on another port": Forgery(lambda t: t.right, {"Origin": "http://127.0.0.1:1"}),
    "an Origin that begins like ours": Forgery(
        lambda t: t.right, {"Origin": "http://127.0.0.1.evil.example"}
    ),
    "an Origin that is empty": Forgery(lambda t: t.right, {"Origin": ""}),
    "Sec-Fetch-Site: cross-site": Forgery(lambda t: t.right, {"Sec-Fetch-Site": "cross-site"}),
    "Sec-Fetch-Site: same-site": Forgery(lambda t: t.right, {"Sec-Fetch-Site": "same-site"}),
}

FIELDS = {
    "email": "mallory@elsewhere.example",
    "password": PASSWORD,
    "current": "271828",
    "pin": "602214",
    "again": "602214",
    "code": "123456",
    "role": "owner",
    "name": "Mallory",
    "cc": "49",
    "phone_number": "15123456789",
    "session": "0123456789abcdef",
    "callback_url": "https://receiver.example/hooks",
    "needed": "yes",
    "expiry": "never",
    "whatsapp_business_management": "1",
    "security": "1",
}
"""What would do harm if a forged form were taken for ours."""


def harmful(route: Route, places: Places) -> dict[str, str]:
    return {name: (FIELDS | places.parts).get(name, "") for name in route.form}


async def two_sign_ins(office: Office) -> tuple[Browserless, Tokens]:
    """The owner's browser, signed in for the second time, and what a thief might have."""
    visitor, other = office.browser(), await office.signed_in(ADA)
    await visitor.get("/manager/sign-in")
    await other.get("/manager/account")
    browser = await office.signed_in(OLIVIA)
    await browser.get("/manager/account")
    stale = browser.csrf
    await browser.post("/manager/sign-out")
    await browser.sign_in(OLIVIA.email)
    await browser.get("/manager/account")
    return browser, Tokens(browser.csrf, other.csrf, stale, visitor.csrf)


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_t9_a_forged_form_is_refused_on_every_path_before_anything_is_written(
    office: Office, forgery
):
    places = await furnish(office)
    browser, tokens = await two_sign_ins(office)
    forged = FORGERIES[forgery]
    before = dump(office.town)

    for route in UNSAFE:
        reply = await browser.post(
            places.of(route),
            harmful(route, places),
            csrf=forged.csrf(tokens),
            headers=forged.headers,
        )

        assert refuses(reply, FormForged), (route.name, reply.status)
        assert reply.header("Set-Cookie") is None, route.name
    assert dump(office.town) == before
    assert len({tokens.right, tokens.other, tokens.stale, tokens.visitor}) == 4


async def test_t9_the_same_forms_with_the_right_token_are_not_taken_for_forged(office: Office):
    places = await furnish(office)

    for route in UNSAFE:
        browser = await office.signed_in(OLIVIA)
        await browser.get("/manager/account")

        reply = await browser.post(places.of(route), dict.fromkeys(route.form, ""))

        assert not refuses(reply, FormForged), (route.name, reply.status)


async def test_a_browser_that_sends_neither_origin_nor_fetch_metadata_may_use_forms(
    office: Office,
):
    browser = await office.signed_in(OLIVIA)
    await browser.get("/manager/account")
    body = f"csrf={browser.csrf}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    reply = await browser.ask("POST", "/manager/sign-out", headers=headers, body=body)

    assert reply.status == 303


async def test_a_token_in_the_query_or_in_two_places_counts_for_nothing(office: Office):
    browser = await office.signed_in(OLIVIA)
    await browser.get("/manager/account")
    token = browser.csrf

    in_query = await browser.post(f"/manager/sign-out?csrf={token}", csrf="")
    twice = await browser.ask(
        "POST",
        "/manager/sign-out",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=f"csrf={token}&csrf={token}".encode(),
    )

    assert refuses(in_query, FormForged)
    assert twice.status == 400
    assert (await browser.get("/manager/account")).status == 200


async def test_a_form_with_a_query_or_an_unknown_field_is_refused(office: Office):
    browser = await office.signed_in(OLIVIA)
    await browser.get("/manager/account")
    before = dump(office.town)

    queried = await browser.post("/manager/portfolio?pin=271828", {"name": "x"})
    unknown = await browser.post(
        "/manager/members/invite", {"email": "a@b.example", "role": "viewer", "admin": "1"}
    )

    assert refuses(queried, RequestMalformed)
    assert refuses(unknown, ParameterUnexpected)
    assert b"271828" not in queried.raw
    assert dump(office.town) == before


async def test_two_cookies_of_ours_are_as_good_as_none(office: Office):
    browser = await office.signed_in(OLIVIA)
    cookie = f"__Host-nightlatch={browser.cookie}"

    for both in (f"{cookie}; __Host-nightlatch={'x' * 43}", f"{cookie}; {cookie}"):
        reply = await browser.ask("GET", "/manager/account", headers={"Cookie": both})

        assert reply.status == 303


async def test_a_signed_out_browser_with_its_own_token_is_asked_to_sign_in(office: Office):
    places = await furnish(office)
    visitor = office.browser()
    await visitor.get("/manager/sign-in")
    before = dump(office.town)

    for route in UNSAFE:
        if route.access is Access.ANYONE:
            continue
        reply = await visitor.post(places.of(route), harmful(route, places))

        assert reply.status == 401, route.name
        assert b'action="/manager/sign-in"' in reply.raw
    assert dump(office.town) == before
