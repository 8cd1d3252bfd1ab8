"""System users and their access tokens: issued once, seen once, revoked at once."""

import re
from datetime import timedelta

import pytest

from nightlatch.domain import errors as e
from nightlatch.domain.access import Scope, SystemRole
from nightlatch.domain.limits import (
    ACCESS_TOKENS_PER_USER,
    SYSTEM_USERS_PER_PORTFOLIO,
)
from nightlatch.usecases import access, portfolios
from tests.faces.manager.places import furnish_api
from tests.manager_client import (
    ADA,
    NEW_PASSWORD,
    OLIVIA,
    PASSWORD,
    VITO,
    Browserless,
    Office,
    dump,
    heading,
    refuses,
    text_of,
)

USUAL = {
    Scope.MANAGEMENT.value: "1",
    Scope.MESSAGING.value: "1",
    "expiry": "never",
    "password": PASSWORD,
}


async def a_user(office: Office, role: SystemRole = SystemRole.EMPLOYEE) -> str:
    user = await access.add_system_user(office.world, (await office.portfolio()).id, "Till", role)
    return f"/manager/system-users/{user.id}"


async def an_app(office: Office, name: str = "Shop floor") -> str:
    return (await access.add_app(office.world, (await office.portfolio()).id, name)).app.id


async def user_now(office: Office):
    (user,) = await access.system_users(office.world, (await office.portfolio()).id)
    return user


async def issue(office: Office, browser: Browserless, user: str, **changes: str) -> str:
    """The token, as the page shows it."""
    app = changes.pop("app", None) or await an_app(office)
    page = await browser.fill_in(f"{user}/tokens", **(USUAL | {"app": app} | changes))
    assert page.status == 200, text_of(page)
    (token,) = re.findall(r'id="access-token">([^<]+)<', page.raw.decode())
    return str(token)


# System users


async def test_an_owner_adds_a_system_user_and_lands_on_its_page(office: Office):
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in("/manager/system-users/add", name="Till", role="employee")

    user = await user_now(office)
    assert (user.name, user.role, user.wabas) == ("Till", SystemRole.EMPLOYEE, ())
    assert browser.at.startswith(f"/manager/system-users/{user.id}")
    assert "The system user was added." in text_of(page)
    assert "no WhatsApp account yet" in text_of(page)
    assert (await office.trail())[-1] == "system_user.added"


@pytest.mark.parametrize(
    ("name", "role", "field"),
    [("", "admin", "name"), (" ", "admin", "name"), ("a\x00b", "admin", "name"),
     ("x" * 129, "admin", "name"), ("Till", "owner", "role"), ("Till", "", "role")],
)  # fmt: skip
async def test_what_is_no_name_or_no_role_adds_nobody(office: Office, name, role, field):
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in("/manager/system-users/add", name=name, role=role)

    assert refuses(page, e.ParameterInvalid)
    assert f'href="#{field}"' in page.raw.decode()
    assert not await access.system_users(office.world, (await office.portfolio()).id)


async def test_a_portfolio_has_so_many_system_users_and_no_more(office: Office):
    portfolio = (await office.portfolio()).id
    for i in range(SYSTEM_USERS_PER_PORTFOLIO):
        await access.add_system_user(office.world, portfolio, f"Till {i}", SystemRole.ADMIN)
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in("/manager/system-users/add", name="Till", role="admin")

    assert refuses(page, e.TooManySystemUsers)


async def test_a_long_list_is_read_page_by_page(office: Office):
    portfolio = (await office.portfolio()).id
    for i in range(40):
        await access.add_system_user(
            office.world, portfolio, f"Till number {i:02}", SystemRole.ADMIN
        )
    browser = await office.signed_in(OLIVIA)

    seen, target, pages = set(), "/manager/system-users", 0
    while target:
        page = await browser.get(target)
        assert len(page.raw) <= 22 * 1024
        seen |= set(re.findall(r"Till number \d{2}", page.raw.decode()))
        found = re.search(r'href="([^"]+)" rel="next"', page.raw.decode())
        target, pages = (found[1] if found else ""), pages + 1

    assert len(seen) == 40
    assert pages == 3


@pytest.mark.parametrize("after", ["0", "40", "-1", "x", "", "99999", "999999999", "٣", "1.5"])
async def test_the_lists_go_on_from_any_place_without_a_fault(office: Office, after):
    api = await furnish_api(office)
    browser = await office.signed_in(OLIVIA)
    quoted = "".join(f"%{byte:02x}" for byte in after.encode())

    for path in ("system-users", f"system-users/{api.user}", "apps"):
        assert (await browser.ask("GET", f"/manager/{path}?after={quoted}")).status == 200


async def test_a_role_is_changed_and_an_admin_sees_every_account(office: Office):
    user, waba = await a_user(office), await office.waba()
    browser = await office.signed_in(OLIVIA)
    await browser.get(user)
    await browser.post(f"{user}/grant", {"waba": waba.id})

    page = await browser.fill_in(f"{user}/role", role="admin")

    assert "role is changed" in text_of(page)
    assert "every WhatsApp account of the portfolio" in text_of(page)
    assert ((await user_now(office)).role, (await user_now(office)).wabas) == (SystemRole.ADMIN, ())
    await browser.fill_in(f"{user}/role", role="employee")
    assert (await user_now(office)).wabas == ()


async def test_accounts_are_granted_and_withdrawn_one_by_one(office: Office):
    user, first = await a_user(office), await office.waba()
    second = await portfolios.add_waba(office.world, first.portfolio, "Second shop")
    browser = await office.signed_in(OLIVIA)
    await browser.get(user)

    for waba in (first, second, second):
        granted = await browser.follow(await browser.post(f"{user}/grant", {"waba": waba.id}))
        assert "sees the account now" in text_of(granted)
    both = (await user_now(office)).wabas
    withdrawn = await browser.follow(await browser.post(f"{user}/withdraw", {"waba": first.id}))

    assert both == tuple(sorted((first.id, second.id)))
    assert "does not see the account any more" in text_of(withdrawn)
    assert (await user_now(office)).wabas == (second.id,)
    assert f'<option value="{first.id}"' in withdrawn.raw.decode()
    assert f'<option value="{second.id}"' not in withdrawn.raw.decode()


async def test_no_foreign_account_is_granted(office: Office):
    user = await a_user(office)
    elsewhere = await portfolios.add_portfolio(office.world, "Elsewhere", "e@elsewhere.example")
    (foreign,) = await office.world.store.wabas(elsewhere.id)
    browser = await office.signed_in(OLIVIA)
    await browser.get(user)

    for waba in (foreign.id, "3" * 15, "", "x"):
        page = await browser.post(f"{user}/grant", {"waba": waba})
        assert refuses(page, e.WabaUnknown)
    assert (await user_now(office)).wabas == ()


async def test_with_very_many_accounts_an_id_is_typed_and_the_page_stays_small(office: Office):
    user, portfolio = await a_user(office), (await office.portfolio()).id
    ids = [(await portfolios.add_waba(office.world, portfolio, f"Shop {i}")).id for i in range(100)]
    browser = await office.signed_in(OLIVIA)
    await browser.get(user)

    for waba in ids[:25]:
        await browser.post(f"{user}/grant", {"waba": waba})
    page = await browser.get(user)

    assert '<select id="waba"' not in page.raw.decode()
    assert 'id="waba"' in page.raw.decode()
    assert "25 WhatsApp accounts" in text_of(page)
    assert "And 5 more" in text_of(page)
    assert len(page.raw) <= 22 * 1024


async def test_removing_a_system_user_ends_its_tokens(office: Office):
    user = await a_user(office)
    browser = await office.signed_in(OLIVIA)
    token = await issue(office, browser, user)
    await access.authenticate(office.world, token)

    page = await browser.fill_in(f"{user}/remove")

    assert "The system user was removed." in text_of(page)
    with pytest.raises(e.AccessTokenRefused):
        await access.authenticate(office.world, token)
    assert refuses(await browser.get(user), e.SystemUserUnknown)


# Access tokens


async def test_a_token_is_shown_once_and_opens_what_was_chosen(office: Office):
    user = await a_user(office)
    browser = await office.signed_in(OLIVIA)
    app = await an_app(office)

    token = await issue(office, browser, user, app=app)

    caller = await access.authenticate(office.world, token)
    assert caller.app.id == app
    assert caller.user == await user_now(office)
    assert caller.scopes == (Scope.MANAGEMENT, Scope.MESSAGING)
    assert caller.token is not None
    assert caller.token.expires_at is None
    listed = await browser.get(user)
    assert caller.token.reference in text_of(listed)
    assert token not in listed.raw.decode()
    assert (await office.trail())[-1] == "access_token.issued"


@pytest.mark.parametrize(
    ("expiry", "days", "life"),
    [("60", "", 60), ("60", "7", 60), ("days", "1", 1), ("days", "3650", 3650)],
)
async def test_a_token_expires_when_it_was_chosen_to(office: Office, expiry, days, life):
    user = await a_user(office)
    browser = await office.signed_in(OLIVIA)
    token = await issue(office, browser, user, expiry=expiry, days=days)

    office.town.pass_time(timedelta(days=life) - timedelta(seconds=30))
    await access.authenticate(office.world, token)
    office.town.pass_time(30)

    with pytest.raises(e.AccessTokenExpired):
        await access.authenticate(office.world, token)
    browser = await office.signed_in(OLIVIA)
    assert "Expired" in text_of(await browser.get(user))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"expiry": "days", "days": ""}, "days"), ({"expiry": "days", "days": "0"}, "days"),
        ({"expiry": "days", "days": "3651"}, "days"), ({"expiry": "days", "days": "-1"}, "days"),
        ({"expiry": "days", "days": "1.5"}, "days"), ({"expiry": "days", "days": "٣"}, "days"),
        ({"expiry": "days", "days": "9" * 40}, "days"), ({"expiry": ""}, "expiry"),
        ({"expiry": "tomorrow"}, "expiry"),
        ({Scope.MANAGEMENT.value: "", Scope.MESSAGING.value: ""}, "scopes"),
    ],
)  # fmt: skip
async def test_what_does_not_fit_issues_nothing_and_is_marked(office: Office, changes, field):
    user, app = await a_user(office), await an_app(office)
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in(f"{user}/tokens", **(USUAL | {"app": app} | changes))

    assert refuses(page, e.ParameterInvalid)
    assert f'href="#{field}"' in page.raw.decode()
    assert f'id="{field}"' in page.raw.decode()
    assert await access.access_tokens(office.world, await user_now(office)) == []


async def test_a_form_shown_again_keeps_the_permissions_that_were_chosen(office: Office):
    user, app = await a_user(office), await an_app(office)
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in(
        f"{user}/tokens",
        app=app, expiry="60", password=NEW_PASSWORD, **{Scope.BUSINESS.value: "1"},
    )  # fmt: skip

    assert refuses(page, e.SignInRefused)
    chosen = re.findall(r'name="(\w+)" value="1" checked', page.raw.decode())
    assert chosen == [Scope.BUSINESS.value]
    assert '<option value="60" selected>' in page.raw.decode()


@pytest.mark.parametrize("password", ["", NEW_PASSWORD])
async def test_without_the_password_a_stolen_session_issues_no_token(office: Office, password):
    user, app = await a_user(office), await an_app(office)
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in(f"{user}/tokens", **(USUAL | {"app": app, "password": password}))

    assert refuses(page, e.SignInRefused)
    assert await access.access_tokens(office.world, await user_now(office)) == []


async def test_no_token_is_issued_for_an_app_of_somebody_else(office: Office):
    user = await a_user(office)
    elsewhere = await portfolios.add_portfolio(office.world, "Elsewhere", "e@elsewhere.example")
    foreign = (await access.add_app(office.world, elsewhere.id, "Theirs")).app.id
    browser = await office.signed_in(OLIVIA)
    await an_app(office)

    for app in (foreign, "5" * 15, ""):
        page = await browser.fill_in(f"{user}/tokens", **(USUAL | {"app": app}))
        assert refuses(page, e.AppUnknown)
    assert await access.access_tokens(office.world, await user_now(office)) == []


async def test_without_an_app_the_page_says_what_comes_first(office: Office):
    user = await a_user(office)
    browser = await office.signed_in(OLIVIA)

    page = await browser.get(f"{user}/tokens")

    assert 'href="/manager/apps/add"' in page.raw.decode()
    assert "<form" not in page.raw.decode().partition("<main")[2]


async def test_a_system_user_has_so_many_live_tokens_and_no_more(office: Office):
    user, app = await a_user(office), await an_app(office)
    portfolio = (await office.portfolio()).id
    found = await access.find_app(office.world, app)
    for _ in range(ACCESS_TOKENS_PER_USER):
        await access.issue_token(office.world, await user_now(office), found, [Scope.MANAGEMENT])
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in(f"{user}/tokens", **(USUAL | {"app": app}))

    assert portfolio
    assert refuses(page, e.TooManyAccessTokens)
    assert len((await browser.get(user)).raw) <= 22 * 1024


async def test_a_revoked_token_opens_nothing(office: Office):
    user = await a_user(office)
    browser = await office.signed_in(OLIVIA)
    token = await issue(office, browser, user)
    reference = (await access.access_tokens(office.world, await user_now(office)))[0].reference

    asked = await browser.get(f"{user}/tokens/{reference}/revoke")
    await access.authenticate(office.world, token)
    page = await browser.follow(await browser.post(f"{user}/tokens/{reference}/revoke"))

    assert reference in heading(asked)
    assert "The access token was revoked." in text_of(page)
    with pytest.raises(e.AccessTokenRefused):
        await access.authenticate(office.world, token)
    assert refuses(await browser.get(f"{user}/tokens/{reference}/revoke"), e.AccessTokenUnknown)
    assert refuses(await browser.post(f"{user}/tokens/{reference}/revoke"), e.AccessTokenUnknown)


# Who sees what


async def test_a_viewer_sees_the_lists_and_no_page_of_one(office: Office):
    api = await furnish_api(office)
    viewer = await office.signed_in(VITO)

    users, apps = await viewer.get("/manager/system-users"), await viewer.get("/manager/apps")

    assert "Till" in text_of(users)
    assert "Shop floor" in text_of(apps)
    for page in (users, apps):
        assert f"/{api.user}" not in page.raw.decode()
        assert f"/{api.app}" not in page.raw.decode()
        assert "/hooks" not in page.raw.decode()
    for path in (f"system-users/{api.user}", f"apps/{api.app}"):
        assert refuses(await viewer.get(f"/manager/{path}"), e.RoleTooLow)


async def test_an_admin_sees_everything_and_is_offered_nothing(office: Office):
    api = await furnish_api(office)
    admin = await office.signed_in(ADA)

    user = await admin.get(f"/manager/system-users/{api.user}")
    app = await admin.get(f"/manager/apps/{api.app}")

    assert api.reference in text_of(user)
    for page in (user, app):
        assert "<form" not in page.raw.decode().partition("<main")[2]
        assert re.findall(r'class="button [^"]*" href="([^"]+)"', page.raw.decode()) in (
            [], [f"/manager/webhooks?app={api.app}"],
        )  # fmt: skip


async def test_no_stranger_to_the_portfolio_changes_anything_by_a_guessed_id(office: Office):
    api = await furnish_api(office)
    elsewhere = await portfolios.add_portfolio(office.world, "Elsewhere", "e@elsewhere.example")
    user = await access.add_system_user(office.world, elsewhere.id, "Till", SystemRole.ADMIN)
    browser = await office.signed_in(OLIVIA)
    await browser.get("/manager/system-users")
    before = dump(office.town)

    for path in (user.id, "6" * 15, "x", api.app):
        for act in ("remove", "role", "grant", "withdraw", f"tokens/{api.reference}/revoke"):
            fields = {"role": "admin"} if act == "role" else {}
            fields = {"waba": (await office.waba()).id} if act in ("grant", "withdraw") else fields
            reply = await browser.post(f"/manager/system-users/{path}/{act}", fields)
            assert refuses(reply, e.SystemUserUnknown), (path, act)
    assert dump(office.town) == before
