"""Nothing secret in a log line, in a metric, in a query, or on a page that has no business with it."""

import re

from nightlatch.domain.access import Scope
from nightlatch.domain.errors import RoleTooLow
from nightlatch.faces.manager.routes import ROUTES
from nightlatch.usecases import access, codes
from tests.faces.manager.places import PHONE_PIN, SAFE, furnish, furnish_api
from tests.faces.manager.test_signing_in import with_app
from tests.fakes.cloud import TOKEN
from tests.manager_client import (
    ADA,
    NEW_PASSWORD,
    OLIVIA,
    PASSWORD,
    VITO,
    Office,
    app_code,
    dump,
    refuses,
)
from tests.people import E164, OWNER


async def a_long_day(office: Office) -> list[str]:
    """Everything that has a secret in it, done once; the secrets."""
    places = await furnish(office)
    browser, key, recovery = await with_app(office)
    first_csrf, first_cookie = browser.csrf, browser.cookie
    office.town.pass_time(30)
    second = office.browser()
    await second.sign_in(OLIVIA.email)
    half = second.cookie
    code = app_code(key, office.town.clock.now())
    await second.fill_in("/manager/sign-in/code", code="999999")
    await second.fill_in("/manager/sign-in/code", code=code)
    number = f"/manager/numbers/{places.parts['number']}"
    await second.fill_in(
        f"{number}/two-step/change", current="141421", pin=OWNER.new_pin, again=OWNER.new_pin
    )
    await second.fill_in(
        f"{number}/two-step/change", current=OWNER.pin, pin=OWNER.new_pin, again=OWNER.new_pin
    )
    office.town.pass_time(60)
    await second.get(number)
    await second.post(f"{number}/two-step/turn-off")
    link = (await office.link((await office.portfolio()).email)).rpartition("/")[2]
    await second.fill_in(f"/manager/turn-off/{link}")
    await office.browser().fill_in(
        f"/manager/join/{places.tokens['join']}", name="Ivan", password=NEW_PASSWORD
    )
    await office.browser().fill_in(
        f"/manager/reset/{places.tokens['reset']}", password=NEW_PASSWORD
    )
    ada = await office.signed_in(ADA)
    for route in SAFE:
        await second.get(places.of(route))
        await ada.get(places.of(route))
    await second.get(f"{number}?pin={OWNER.pin}&token={first_cookie}")
    return [
        PASSWORD, NEW_PASSWORD, OWNER.pin, OWNER.new_pin, "141421", code, key, *recovery,
        first_cookie, first_csrf, half, second.cookie, second.csrf, ada.cookie, link,
        TOKEN, PHONE_PIN, places.tokens["turn-off"], places.tokens["join"], places.tokens["reset"].partition(".")[2],
    ]  # fmt: skip


async def test_no_log_line_and_no_metric_holds_a_secret(office: Office, log):
    secrets = await a_long_day(office)

    written = log.getvalue()
    assert written.count('"event": "request"') > 100
    metrics = office.town.house.metrics.as_text()
    for secret in secrets:
        assert secret not in written, secret
        assert secret not in metrics, secret
    for person in (OLIVIA, ADA, VITO):
        assert person.email not in written
        assert person.email not in metrics


async def test_no_secret_is_stored_as_it_is(office: Office):
    secrets = await a_long_day(office)

    stored = repr(dump(office.town))
    for secret in secrets:
        assert secret not in stored, secret


async def test_every_logged_route_is_a_row_of_the_table(office: Office, log):
    await a_long_day(office)

    routes = set(re.findall(r'"route": "([^"]+)"', log.getvalue()))
    known = {route.name for route in ROUTES} | {"manager", "GET_root", "GET_manager_static"}
    assert {route for route in routes if "v1" not in route} <= known
    assert '"event": "bug"' not in log.getvalue()


async def test_no_redirect_leads_to_an_address_with_a_secret_in_its_query(office: Office):
    places = await furnish(office)
    secrets = [PASSWORD, *places.tokens.values()]

    for route in SAFE:
        for browser in (office.browser(), await office.signed_in(OLIVIA)):
            to = (await browser.get(places.of(route))).header("Location") or ""
            assert not any(secret in to.partition("?")[2] for secret in secrets), route.name


async def test_no_page_shows_a_password_or_a_pin_that_was_typed(office: Office):
    places = await furnish(office)
    browser = await office.signed_in(OLIVIA)
    number = f"/manager/numbers/{places.parts['number']}/two-step/change"
    typed = {
        "/manager/account/password": {"current": "typed-secret-1", "password": "typed-secret-2"},
        "/manager/account/app": {"code": "739156", "password": "typed-secret-3"},
        "/manager/portfolio": {"name": "", "email": "", "password": "typed-secret-4"},
        number: {"current": "739157", "pin": "739158", "again": "739159"},
        f"/manager/join/{places.tokens['join']}": {"name": "", "password": "typed-secret-5"},
        f"/manager/reset/{places.tokens['reset']}": {"password": "typed-s6"},
    }

    for target, fields in typed.items():
        await browser.get(target)
        page = await browser.post(target, fields)

        assert 400 <= page.status < 500, target
        for name in ("current", "password", "pin", "again", "code"):
            assert fields.get(name, "no such thing") not in page.raw.decode(), (target, name)


async def test_a_viewer_sees_no_certificate_no_code_and_no_mail(office: Office):
    places = await furnish(office)
    await office.town.owner.register(OWNER.pin)
    code = await office.town.code()
    certificate = office.town.owner.certificate
    viewer = await office.signed_in(VITO)

    seen = [await viewer.get(places.of(route)) for route in SAFE]

    assert any(refuses(page, RoleTooLow) for page in seen)
    for page in seen:
        assert certificate not in page.raw.decode()
        assert code not in page.raw.decode()
        assert f"{code[:3]}-{code[3:]}" not in page.raw.decode()
    assert (await codes.handset(office.world, E164))[0].code == code
    admin = await office.signed_in(ADA)
    assert (
        certificate
        in (await admin.get(f"/manager/numbers/{places.parts['number']}/certificate")).raw.decode()
    )


async def test_a_token_and_a_secret_are_seen_once_and_nowhere_else(office: Office, log):
    api = await furnish_api(office)
    browser = await office.signed_in(OLIVIA)
    user, app = f"/manager/system-users/{api.user}", f"/manager/apps/{api.app}"
    shown = [
        await browser.fill_in("/manager/apps/add", name="Second", password=PASSWORD),
        await browser.fill_in(f"{app}/secret", password=PASSWORD),
        await browser.fill_in(
            f"{user}/tokens",
            app=api.app, expiry="never", password=PASSWORD, **{Scope.MANAGEMENT.value: "1"},
        ),
    ]  # fmt: skip
    secrets = [
        re.findall(r'class="secret-shown" id="[a-z-]+">([^<]+)<', page.raw.decode())[0]
        for page in shown
    ]
    caller = await access.authenticate(office.world, secrets[2])

    for route in SAFE:
        if "{" not in route.path.replace("{user}", "").replace("{app}", ""):
            path = route.path.replace("{user}", api.user).replace("{app}", api.app)
            await browser.get(f"/manager{path}")

    assert caller.user is not None
    assert caller.user.id == api.user
    assert len(set(secrets)) == 3
    stored, written = repr(dump(office.town)), log.getvalue()
    metrics = office.town.house.metrics.as_text()
    for secret in (*secrets, api.token, api.secret):
        assert secret not in stored
        assert secret not in written
        assert secret not in metrics
    for secret in secrets:
        assert [secret in reply.raw.decode() for reply in browser.seen].count(True) == 1
        assert not any(secret in str(reply.headers) for reply in browser.seen)
    assert browser.cookie
    for page in shown:
        assert page.header("Cache-Control") == "no-store"
