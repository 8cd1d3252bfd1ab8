"""One's own account: password, authenticator app, recovery codes."""

import re

import pytest

from nightlatch.domain.errors import (
    AppAlreadyOn,
    AppCodeRefused,
    ParameterInvalid,
    SignInRefused,
    SignInWait,
)
from tests.manager_client import (
    ADA,
    NEW_PASSWORD,
    PASSWORD,
    VITO,
    Browserless,
    Office,
    app_code,
    dump,
    heading,
    refuses,
    text_of,
)


def shown(page: str) -> tuple[str, str]:
    """The key as it is typed, and as it comes back."""
    (key,) = re.findall(r'id="key">([^<]+)<', page)
    (sealed,) = re.findall(r'name="sealed" value="([^"]+)"', page)
    return re.sub(r"\s", "", key), sealed


async def set_up(browser: Browserless, office: Office, **changes: str):
    page = (await browser.get("/manager/account/app")).raw.decode()
    key, sealed = shown(page)
    fields = {
        "sealed": sealed, "code": app_code(key, office.town.clock.now()), "password": PASSWORD,
    }  # fmt: skip
    return await browser.post("/manager/account/app", fields | changes)


async def test_the_account_tells_who_one_is(office: Office):
    page = text_of(await (await office.signed_in(VITO)).get("/manager/account"))

    assert VITO.name in page
    assert VITO.email in page
    assert "viewer" in page


# Password


@pytest.mark.parametrize(
    "password", ["short", "password1234", "x" * 129, "vito@luckyshrub.example", "nightlatch12"]
)
async def test_a_password_that_is_easy_is_refused_before_the_current_one_is_looked_at(
    office: Office, password
):
    browser = await office.signed_in(VITO)
    await browser.get("/manager/account/password")
    computed = office.town.house.pool.computed

    page = await browser.post(
        "/manager/account/password", {"current": PASSWORD, "password": password}
    )

    assert refuses(page, ParameterInvalid)
    assert re.findall(r'<input id="([a-z]+)"[^>]*aria-invalid', page.raw.decode()) == ["password"]
    assert password not in page.raw.decode().replace(VITO.email, "") or password == VITO.email
    assert office.town.house.pool.computed == computed


async def test_the_wrong_current_password_changes_nothing_and_counts_as_a_wrong_sign_in(
    office: Office,
):
    browser = await office.signed_in(VITO)
    form = {"current": NEW_PASSWORD, "password": "a wholly different thing 7"}
    await browser.get("/manager/account/password")

    for _ in range(5):
        page = await browser.post("/manager/account/password", form)
        assert refuses(page, SignInRefused)
        assert NEW_PASSWORD not in page.raw.decode()
    assert refuses(await browser.post("/manager/account/password", form), SignInWait)

    office.town.pass_time(5)
    assert (await office.browser().sign_in(VITO.email)).status == 200
    assert (await office.trail()).count("member.sign_in_wrong") == 5


async def test_the_new_password_signs_in_and_the_old_one_does_not(office: Office):
    browser = await office.signed_in(VITO)

    await browser.fill_in("/manager/account/password", current=PASSWORD, password=NEW_PASSWORD)

    assert refuses(await office.browser().sign_in(VITO.email), SignInRefused)
    assert (await office.browser().sign_in(VITO.email, NEW_PASSWORD)).status == 200


# The app


async def test_the_key_is_shown_as_a_picture_and_for_typing_and_is_not_stored_yet(office: Office):
    browser = await office.signed_in(ADA)
    before = dump(office.town)

    page = (await browser.get("/manager/account/app")).raw.decode()

    key, sealed = shown(page)
    assert re.fullmatch(r"[A-Z2-7]{32}", key)
    assert page.count("<svg") > 1
    assert "QR code of the key" in page
    assert "style=" not in page
    assert key not in sealed
    assert dump(office.town) == before


async def test_an_app_is_on_once_its_code_and_the_password_were_right(office: Office):
    other, browser = await office.signed_in(ADA), await office.signed_in(ADA)

    page = await set_up(browser, office)

    assert heading(page) == "The app is on"
    codes = re.findall(r"[A-Z2-7]{4}(?:-[A-Z2-7]{4}){3}", text_of(page))
    assert len(set(codes)) == 10
    assert 'download="nightlatch-recovery-codes.txt"' in page.raw.decode()
    assert (await other.get("/manager/account")).status == 303
    account = text_of(await browser.get("/manager/account"))
    assert "10 recovery codes" in account
    assert not any(code in account for code in codes)
    stored = repr(dump(office.town))
    assert not any(code in stored or code.replace("-", "") in stored for code in codes)


async def test_a_wrong_code_shows_the_same_key_again(office: Office):
    browser = await office.signed_in(ADA)
    key, sealed = shown((await browser.get("/manager/account/app")).raw.decode())
    wrong = {"sealed": sealed, "code": "000000", "password": PASSWORD}

    page = await browser.post("/manager/account/app", wrong)

    assert refuses(page, AppCodeRefused)
    assert shown(page.raw.decode())[0] == key
    assert PASSWORD not in page.raw.decode()
    code = app_code(key, office.town.clock.now())
    assert (
        heading(await browser.post("/manager/account/app", wrong | {"code": code}))
        == "The app is on"
    )


@pytest.mark.parametrize("changes", [{"password": NEW_PASSWORD}, {"password": ""}])
async def test_without_the_password_no_app_is_turned_on(office: Office, changes):
    browser = await office.signed_in(ADA)

    page = await set_up(browser, office, **changes)

    assert refuses(page, SignInRefused)
    assert (await office.people_now())[ADA.email].app is None


@pytest.mark.parametrize("sealed", ["", "AAAA", "ü", "A" * 200])
async def test_a_key_that_was_not_ours_is_refused(office: Office, sealed):
    browser = await office.signed_in(ADA)

    page = await set_up(browser, office, sealed=sealed)

    assert refuses(page, AppCodeRefused)
    assert (await office.people_now())[ADA.email].app is None


async def test_the_key_of_somebody_else_is_refused(office: Office):
    vito, ada = await office.signed_in(VITO), await office.signed_in(ADA)
    key, sealed = shown((await vito.get("/manager/account/app")).raw.decode())

    page = await set_up(ada, office, sealed=sealed, code=app_code(key, office.town.clock.now()))

    assert refuses(page, AppCodeRefused)


async def test_a_second_app_needs_the_first_to_be_off(office: Office):
    browser = await office.signed_in(ADA)
    key, sealed = shown((await browser.get("/manager/account/app")).raw.decode())
    await set_up(browser, office)
    code = app_code(key, office.town.clock.now())

    assert refuses(await browser.get("/manager/account/app"), AppAlreadyOn)
    page = await browser.post(
        "/manager/account/app", {"sealed": sealed, "code": code, "password": PASSWORD}
    )
    assert refuses(page, AppAlreadyOn)


async def test_turning_the_app_off_takes_the_password(office: Office):
    browser = await office.signed_in(ADA)
    await set_up(browser, office)

    assert refuses(
        await browser.fill_in("/manager/account/app/off", password=NEW_PASSWORD), SignInRefused
    )
    page = await browser.fill_in("/manager/account/app/off", password=PASSWORD)

    assert "The authenticator app is off." in text_of(page)
    assert heading(await office.browser().sign_in(ADA.email)) != "Second step"
    assert [kind for kind in await office.trail() if "authenticator" in kind] == [
        "member.authenticator_on", "member.authenticator_off",
    ]  # fmt: skip
