"""T10: what a session is, and when it ends."""

import re
from datetime import timedelta

import pytest

from nightlatch.domain.limits import SESSION_IDLE, SESSION_LIFE
from tests.manager_client import (
    ADA,
    AGENT,
    NEW_PASSWORD,
    OLIVIA,
    PASSWORD,
    VITO,
    Browserless,
    Office,
    dump,
    heading,
    text_of,
)
from tests.people import OWNER

TOKEN = r"[A-Za-z0-9_-]{43}"


async def is_in(browser: Browserless) -> bool:
    """Whether the browser is signed in; looking at it keeps it alive."""
    return (await browser.get("/manager/account")).status == 200


def cookies(browser: Browserless) -> list[str]:
    """Every Set-Cookie the browser ever got."""
    return [
        value
        for reply in browser.seen
        for name, value in reply.headers
        if name.lower() == "set-cookie"
    ]


# The cookie


async def test_every_cookie_is_for_this_host_alone_and_out_of_reach_of_scripts(office: Office):
    browser = await office.signed_in(OLIVIA)
    await browser.get("/manager/account")
    await browser.post("/manager/sign-out")

    given = cookies(browser)
    assert len(given) == 3  # a visitor's, a session's, and none
    for one in given[:2]:
        assert re.fullmatch(
            rf"__Host-nightlatch={TOKEN}; Secure; HttpOnly; SameSite=Lax; Path=/", one
        ), one
    assert given[2] == ("__Host-nightlatch=; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=0")


async def test_only_the_hash_of_a_sessions_token_is_stored(office: Office):
    browser = await office.signed_in(OLIVIA)

    assert browser.cookie not in repr(dump(office.town))


async def test_row_23_signing_in_gives_another_token_than_the_browser_brought(office: Office):
    planted = "x" * 43
    browser = office.browser(cookie=planted)

    await browser.sign_in(OLIVIA.email)

    assert browser.cookie != planted
    assert await is_in(browser)
    assert not await is_in(office.browser(cookie=planted))


async def test_row_23_a_token_the_server_gave_a_visitor_never_becomes_a_session(office: Office):
    thief = office.browser()
    await thief.get("/manager/sign-in")
    victim = office.browser(cookie=thief.cookie)

    await victim.sign_in(OLIVIA.email)

    assert victim.cookie != thief.cookie
    assert not await is_in(thief)


async def test_signing_in_again_ends_the_browsers_earlier_session(office: Office):
    browser = await office.signed_in(OLIVIA)
    earlier, csrf = browser.cookie, browser.csrf
    await browser.get("/manager/account")

    reply = await browser.post("/manager/sign-in", {"email": ADA.email, "password": PASSWORD})

    assert reply.status == 303
    assert browser.cookie != earlier
    assert not await is_in(office.browser(cookie=earlier))
    await browser.get("/manager/account")
    assert browser.csrf != csrf
    assert ADA.name in text_of(browser.seen[-1])


@pytest.mark.parametrize(
    "cookie", ["x", "x" * 42, "x" * 44, "x" * 5_000, "", '"' + "x" * 43 + '"', "ü" * 43, "%00" * 15]
)
async def test_row_19_what_is_no_token_is_nobody(office: Office, cookie):
    browser = office.browser()

    reply = await browser.ask(
        "GET", "/manager/account", headers={"Cookie": f"__Host-nightlatch={cookie}"}
    )

    assert reply.status == 303


async def test_a_flipped_or_cut_token_is_nobody(office: Office):
    browser = await office.signed_in(OLIVIA)
    flipped = browser.cookie[:-2] + ("A" if browser.cookie[-2] != "A" else "B") + browser.cookie[-1]

    for cookie in (flipped, browser.cookie[:-1], browser.cookie.swapcase()):
        assert not await is_in(office.browser(cookie=cookie))


# When it ends


async def test_fifteen_minutes_without_a_request_end_it(office: Office):
    browser = await office.signed_in(OLIVIA)

    office.town.pass_time(SESSION_IDLE - timedelta(seconds=1))
    assert await is_in(browser)
    office.town.pass_time(SESSION_IDLE - timedelta(seconds=1))
    assert await is_in(browser)
    office.town.pass_time(SESSION_IDLE)
    assert not await is_in(browser)


async def test_twelve_hours_end_it_however_busy_it_is(office: Office):
    browser = await office.signed_in(OLIVIA)
    step = timedelta(minutes=14)

    for _ in range(SESSION_LIFE // step):
        assert await is_in(browser)
        office.town.pass_time(step)
    assert await is_in(browser)
    office.town.pass_time(SESSION_LIFE % step)

    assert not await is_in(browser)


async def test_live_requests_do_not_keep_it_alive(office: Office):
    browser = await office.signed_in(OLIVIA)

    for _ in range(5):
        assert (await browser.live("/manager/events")).status == 200
        office.town.pass_time(SESSION_IDLE / 5)

    assert (await browser.live("/manager/events")).status == 401


async def test_refused_requests_of_forged_forms_do_not_keep_it_alive(office: Office):
    browser = await office.signed_in(OLIVIA)
    await browser.get("/manager/account")

    for _ in range(5):
        await browser.post("/manager/account/sessions/end-others", csrf="0" * 64)
        office.town.pass_time(SESSION_IDLE / 5)

    assert not await is_in(browser)


async def test_an_ended_session_is_told_so_at_once_and_its_form_is_not_taken(office: Office):
    browser = await office.signed_in(OLIVIA)
    await browser.get("/manager/portfolio")
    office.town.pass_time(SESSION_IDLE)
    before = dump(office.town)

    reply = await browser.post(
        "/manager/portfolio", {"name": "x", "email": OWNER.email, "password": PASSWORD}
    )

    assert reply.status == 401
    assert heading(reply) == "Sign in"
    assert PASSWORD not in reply.raw.decode()
    assert dump(office.town) == before


async def test_signing_out_ends_it_for_every_copy_of_the_cookie(office: Office):
    browser = await office.signed_in(OLIVIA)
    copy = office.browser(cookie=browser.cookie)
    await browser.get("/manager/account")

    page = await browser.follow(await browser.post("/manager/sign-out"))

    assert "You are signed out." in text_of(page)
    assert not await is_in(copy)
    assert (await copy.live("/manager/account")).status == 401


# Sessions of one member


async def test_the_list_shows_ones_own_sessions_and_marks_this_one(office: Office):
    phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) AppleWebKit/605 Safari/604.1"
    await office.signed_in(OLIVIA, agent=phone)
    await office.signed_in(ADA)
    browser = await office.signed_in(OLIVIA, agent=AGENT)

    page = await browser.get("/manager/account")

    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", page.raw.decode(), re.DOTALL)
    assert len(rows) == 2
    assert "Firefox on Linux" in rows[0]
    assert "This one" in rows[0]
    assert "Safari on iPhone" in rows[1]
    assert "This one" not in rows[1]
    assert "127.0.0.1" in rows[1]


async def test_one_other_session_can_be_ended(office: Office):
    first, second = await office.signed_in(OLIVIA), await office.signed_in(OLIVIA)
    third = await office.signed_in(OLIVIA)
    page = (await third.get("/manager/account")).raw.decode()
    references = re.findall(r'name="session" value="([^"]+)"', page)

    await third.post("/manager/account/sessions/end", {"session": references[0]})

    assert len(references) == 2
    assert [await is_in(one) for one in (first, second, third)] == [True, False, True]


async def test_nobody_ends_somebody_elses_session(office: Office):
    olivia, vito = await office.signed_in(OLIVIA), await office.signed_in(VITO)
    await office.signed_in(OLIVIA)
    page = (await olivia.get("/manager/account")).raw.decode()
    (reference,) = re.findall(r'name="session" value="([^"]+)"', page)
    before = dump(office.town)["member_sessions"]
    await vito.get("/manager/account")

    await vito.post("/manager/account/sessions/end", {"session": reference})

    assert dump(office.town)["member_sessions"] == before


async def test_all_other_sessions_can_be_ended(office: Office):
    others = [await office.signed_in(OLIVIA) for _ in range(3)]
    ada, browser = await office.signed_in(ADA), await office.signed_in(OLIVIA)
    await browser.get("/manager/account")

    page = await browser.follow(await browser.post("/manager/account/sessions/end-others"))

    assert "All your other sessions were ended." in text_of(page)
    assert not any([await is_in(one) for one in others])
    assert await is_in(browser)
    assert await is_in(ada)


async def test_another_password_ends_all_others(office: Office):
    others = [await office.signed_in(OLIVIA) for _ in range(2)]
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in(
        "/manager/account/password", current=PASSWORD, password=NEW_PASSWORD
    )

    assert "Your password is changed." in text_of(page)
    assert [await is_in(one) for one in (*others, browser)] == [False, False, True]


async def test_another_pin_ends_all_others(office: Office):
    await office.town.owner_is_protected()
    number = await office.town.number()
    other, browser = await office.signed_in(OLIVIA), await office.signed_in(OLIVIA)

    page = await browser.fill_in(
        f"/manager/numbers/{number.id}/two-step/change",
        current=OWNER.pin, pin=OWNER.new_pin, again=OWNER.new_pin,
    )  # fmt: skip

    assert "The PIN is changed." in text_of(page)
    assert [await is_in(other), await is_in(browser)] == [False, True]


async def test_a_removed_member_is_out_at_once(office: Office):
    owner, vito = await office.signed_in(OLIVIA), await office.signed_in(VITO)
    id_ = office.people[VITO.email].id

    await owner.fill_in(f"/manager/members/{id_}/remove")

    assert (await vito.live("/manager")).status == 401
    assert not await is_in(vito)


async def test_another_role_counts_from_the_next_request_on(office: Office):
    owner, ada = await office.signed_in(OLIVIA), await office.signed_in(ADA)
    number, id_ = await office.town.number(), office.people[ADA.email].id
    page = f"/manager/numbers/{number.id}/certificate"
    assert (await ada.get(page)).status == 200

    await owner.fill_in(f"/manager/members/{id_}/role", role="viewer")

    assert (await ada.get(page)).status == 403


async def test_two_windows_of_one_session_have_one_form_token(office: Office):
    browser = await office.signed_in(OLIVIA)
    await browser.get("/manager/account")
    window = office.browser(cookie=browser.cookie)

    await window.get("/manager/members/invite")

    assert window.csrf == browser.csrf
