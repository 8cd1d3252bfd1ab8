"""What holds for every row of the table: roles, headers, methods, sizes, and that looking is free."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nightlatch.domain.errors import (
    LinkRefused,
    MethodNotAllowed,
    PathUnknown,
    RoleTooLow,
)
from nightlatch.domain.limits import BODY_BYTES
from nightlatch.domain.members import MemberRole
from nightlatch.faces.manager.rendering import ASSETS
from nightlatch.faces.manager.routes import ROUTES
from nightlatch.faces.manager.wire import Access
from nightlatch.usecases import members, portfolios
from tests.faces.manager.places import NAMES, SAFE, UNSAFE, furnish
from tests.manager_client import (
    ADA,
    EVERYBODY,
    OLIVIA,
    PASSWORD,
    VITO,
    Office,
    Person,
    dump,
    open_office,
    refuses,
    text_of,
)
from tests.people import THIEF
from tests.town import Reply, a_town

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
MOST_BYTES = 30 * 1024


def the_headers_are_there(reply: Reply, *, hsts: bool = False) -> None:
    """T11."""
    assert reply.header("Content-Security-Policy") == POLICY
    assert reply.header("Referrer-Policy") == "strict-origin"  # no path ever; see app.py
    assert reply.header("X-Content-Type-Options") == "nosniff"
    assert reply.header("Cache-Control") == "no-store"
    assert reply.header("Cross-Origin-Opener-Policy") == "same-origin"
    assert "camera=()" in (reply.header("Permissions-Policy") or "")
    age = reply.header("Strict-Transport-Security")
    assert age == ("max-age=31536000; includeSubDomains" if hsts else None)
    names = [name.lower() for name, _ in reply.headers]
    assert len(names) == len(set(names)), names


def nothing_inline(reply: Reply) -> None:
    """Nothing that the policy would have to forbid."""
    page = reply.raw.decode()
    assert not re.search(r"<script(?![^>]* src=)", page)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)


# Names and rows


def test_every_row_has_a_name_of_its_own_that_holds_nothing_of_a_request():
    assert len(set(NAMES)) == len(ROUTES)
    assert all(re.fullmatch(r"(GET|POST)_manager[a-z_]*", name) for name in NAMES)


def test_every_form_can_be_opened_first():
    pages = {route.path for route in SAFE}
    without = {route.path for route in UNSAFE} - pages

    assert without == {
        "/sign-out", "/members/withdraw", "/mail/{key}/retry",
        "/system-users/{user}/grant", "/system-users/{user}/withdraw", "/apps/{app}/proof",
        "/apps/{app}/subscribe", "/apps/{app}/unsubscribe", "/webhooks/{delivery}/send-again",
        "/account/sessions/end", "/account/sessions/end-others",
        "/cloud/{link}/subscribe", "/cloud/{link}/read",
        "/cloud/numbers/{phone}/ask", "/cloud/numbers/{phone}/seen",
    }  # fmt: skip


# Roles


def test_who_may_do_what_is_what_was_decided():
    """Written down a second time, so that nobody widens a row unseen."""
    by_access: dict[Access, set[str]] = {access: set() for access in Access}
    for route in ROUTES:
        by_access[route.access].add(f"{route.method} {route.path}")

    owners = ("/members", "/mail", "/portfolio")
    assert {row.partition(" ")[2].split("/")[1] for row in by_access[Access.OWNER]} == {
        "members", "mail", "portfolio", "system-users", "apps", "cloud",
    }  # fmt: skip
    assert {row for row in by_access[Access.OWNER] if "/cloud" in row} == {
        f"{method} /cloud/{rest}" for method in ("GET", "POST")
        for rest in (
            "add", "{link}/token", "{link}/settings", "{link}/unlink", "numbers/{phone}/reveal",
        )
    } | {"POST /cloud/{link}/subscribe"}  # fmt: skip
    for access, rows in by_access.items():
        if access is not Access.OWNER:
            assert not any(row.partition(" ")[2].startswith(owners) for row in rows)
            api = {row for row in rows if row.partition(" ")[2].startswith(("/system-", "/apps"))}
            assert api <= {
                "GET /system-users", "GET /system-users/{user}", "GET /apps", "GET /apps/{app}",
            }  # fmt: skip
    assert by_access[Access.HALF] == {"GET /sign-in/code", "POST /sign-in/code"}
    assert {row.partition(" ")[2].split("/")[1] for row in by_access[Access.ANYONE]} == {
        "sign-in", "sign-out", "welcome", "join", "forgotten", "reset",
    }  # fmt: skip
    assert by_access[Access.VIEWER] == {
        "GET /", "GET /events", "GET /accounts/{waba}/numbers",
        "GET /accounts/{waba}/numbers/export", "GET /numbers/{number}",
        "GET /numbers/{number}/timeline/export", "GET /numbers/{number}/two-step",
        "GET /turn-off/{token}", "POST /turn-off/{token}",  # the use case refuses viewers
        "GET /account", "GET /account/password", "POST /account/password",
        "GET /account/app", "POST /account/app", "GET /account/app/off",
        "POST /account/app/off", "POST /account/sessions/end",
        "POST /account/sessions/end-others",
        "GET /system-users", "GET /apps", "GET /webhooks",
        "GET /cloud", "GET /cloud/{link}", "GET /cloud/{link}/numbers",
        "GET /cloud/numbers/{phone}", "GET /cloud/numbers/{phone}/checks",
    }  # fmt: skip


@pytest.mark.parametrize("person", EVERYBODY, ids=lambda person: person.role.value)
async def test_each_role_gets_what_its_row_grants_and_nothing_else(office: Office, person: Person):
    places = await furnish(office)
    browser = await office.signed_in(person)
    granted = {
        Access.ANYONE: True,
        Access.HALF: True,
        Access.VIEWER: True,
        Access.ADMIN: person in (OLIVIA, ADA),
        Access.OWNER: person is OLIVIA,
    }

    for route in ROUTES:
        if (await browser.get("/manager/account")).status != 200:  # a form before ended the session
            browser = await office.signed_in(person)
            await browser.get("/manager/account")
        await office.at_rest()
        await places.nothing_is_sent_again(office)
        before = dump(office.town)
        target = places.of(route)
        if route.method == "GET":
            reply = await browser.get(target)
        else:
            reply = await browser.post(target, dict.fromkeys(route.form, ""))

        assert refuses(reply, RoleTooLow) is not granted[route.access], (route.name, reply.status)
        assert reply.status < 500, route.name
        if not granted[route.access]:
            assert dump(office.town) == before, route.name


async def test_a_stranger_is_led_to_the_sign_in_page_from_every_page(office: Office):
    places = await furnish(office)

    for route in SAFE:
        reply = await office.browser().get(places.of(route))

        if route.access is Access.ANYONE:
            assert reply.status == (410 if route.path.startswith("/welcome") else 200), route.name
        elif "{token}" in route.path:  # the link's secret must not get into a query
            assert reply.status == 401
            assert f'name="next" value="{places.of(route)}"' in reply.raw.decode()
        else:
            assert reply.status == 303, route.name
            assert (reply.header("Location") or "").startswith("/manager/sign-in")
        assert reply.header("Location") is None or places.tokens["turn-off"] not in str(
            reply.header("Location")
        )


async def test_live_requests_of_strangers_are_told_401(office: Office):
    places = await furnish(office)

    for route in SAFE:
        if route.access is not Access.ANYONE:
            reply = await office.browser().live(places.of(route))

            assert reply.status == 401, route.name


async def test_somebody_elses_number_member_and_letter_are_as_unknown_as_none(office: Office):
    places = await furnish(office)
    elsewhere = await portfolios.add_portfolio(office.world, "Elsewhere", THIEF.email)
    await members.add_member(
        office.world, elsewhere.id, THIEF.email, THIEF.name, MemberRole.OWNER, PASSWORD
    )
    thief = office.browser()
    await thief.sign_in(THIEF.email)
    await thief.get("/manager/account")
    before = dump(office.town)

    for route in ROUTES:
        if not any(f"{{{part}}}" in route.path for part in places.parts):
            continue
        target = places.of(route)
        unknown = target
        for value in places.parts.values():
            unknown = unknown.replace(value, value[:-1] + ("0" if value[-1] != "0" else "1"))
        fields = dict.fromkeys(route.form, "") | {"role": "owner", "name": "x"}
        fields = {name: value for name, value in fields.items() if name in route.form}
        if route.method == "GET":
            theirs, none = await thief.get(target), await thief.get(unknown)
        else:
            theirs, none = await thief.post(target, fields), await thief.post(unknown, fields)

        assert theirs.status == none.status, route.name
        assert theirs.status in (400, 404), route.name
        assert text_of(theirs) == text_of(none), route.name
    assert dump(office.town) == before


# Headers


async def every_answer(office: Office) -> AsyncIterator[tuple[str, Reply]]:
    """Each row as a stranger and as the owner, redirects, refusals and errors of all sorts."""
    places = await furnish(office)
    for route in ROUTES:
        for browser in (office.browser(), await office.signed_in(OLIVIA)):
            await browser.get("/manager/account")
            target = places.of(route)
            yield route.name, await browser.ask("HEAD", target)
            if route.method == "GET":
                yield route.name, await browser.get(target)
            else:
                yield route.name, await browser.post(target, dict.fromkeys(route.form, ""))
                yield route.name, await browser.post(target, csrf="")
            yield route.name, await browser.ask("DELETE", target)
    owner = await office.signed_in(OLIVIA)
    for target in ("/", "/manager/nowhere", "/manager/static/nothing.css", "/manager/members?a=%"):
        yield target, await owner.get(target)
        yield target, await office.browser().get(target)
        yield target, await owner.ask("PUT", target)
    yield "too long", await owner.post("/manager/sign-out", {"x": "x" * BODY_BYTES})
    yield "no form", await owner.ask("POST", "/manager/sign-out", body=b"{}")
    owner.host = "evil.example"
    yield "foreign host", await owner.get("/manager/account")


async def test_t11_every_answer_carries_the_security_headers(office: Office):
    met = set()

    async for where, reply in every_answer(office):
        try:
            the_headers_are_there(reply)
        except AssertionError as error:
            raise AssertionError(f"{where}: {reply.status} {reply.headers}") from error
        met.add(reply.status)

    assert {200, 303, 400, 401, 403, 404, 405, 409, 410, 413} <= met


async def test_t11_behind_https_every_answer_also_asks_for_https(tmp_path: Path):
    async with a_town(tmp_path / "data", public_url="https://latch.example") as town:
        browser = (await open_office(town)).browser(host="latch.example")

        for target in ("/", "/manager", "/manager/sign-in", "/manager/nowhere"):
            the_headers_are_there(await browser.get(target), hsts=True)
        the_headers_are_there(await browser.post("/manager/sign-out"), hsts=True)
        the_headers_are_there(await browser.ask("PUT", "/manager/sign-in"), hsts=True)
        browser.host = "evil.example"
        the_headers_are_there(await browser.get("/manager/sign-in"), hsts=True)


async def test_no_page_has_anything_inline(office: Office):
    async for _, reply in every_answer(office):
        if (reply.header("Content-Type") or "").startswith("text/html"):
            nothing_inline(reply)


# Methods


async def test_head_is_get_without_the_body(office: Office):
    places = await furnish(office)
    browser = await office.signed_in(OLIVIA)

    for route in SAFE:
        head = await browser.ask("HEAD", places.of(route))
        got = await browser.ask("GET", places.of(route))

        assert head.status == got.status, route.name
        assert head.raw == b"", route.name
        assert head.header("Content-Type") == got.header("Content-Type"), route.name
        assert head.header("Location") == got.header("Location"), route.name
        fresh = route.name == "GET_manager_account_app"  # another key each time
        if got.header("Content-Length") is not None and not fresh:
            assert head.header("Content-Length") == got.header("Content-Length"), route.name


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "PROPFIND"])
async def test_row_18_other_methods_are_refused_on_every_path(office: Office, method):
    places = await furnish(office)
    browser = await office.signed_in(OLIVIA)
    before = dump(office.town)

    for target in sorted({places.of(route) for route in ROUTES}):
        reply = await browser.ask(method, target)

        assert refuses(reply, MethodNotAllowed), target
        allowed = {one.method for one in ROUTES if places.of(one) == target}
        allowed |= {"HEAD"} if "GET" in allowed else set()
        assert set((reply.header("Allow") or "").split(", ")) == allowed
    assert dump(office.town) == before


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Method-Override", "_method"])
async def test_no_header_turns_a_look_into_an_act(office: Office, name):
    browser = await office.signed_in(OLIVIA)
    before = dump(office.town)

    await browser.ask("GET", "/manager/account/app/off", headers={name: "POST"})
    await browser.ask("GET", "/manager/sign-out", headers={name: "POST"})

    assert dump(office.town) == before


async def test_t2_looking_at_any_page_changes_nothing(office: Office):
    places = await furnish(office)
    browsers = [await office.signed_in(person) for person in EVERYBODY]
    stranger = office.browser()
    before = dump(office.town)

    for route in ROUTES:
        for method in ("GET", "HEAD", "OPTIONS"):
            for browser in (*browsers, stranger):
                await browser.ask(method, places.of(route), headers={"Sec-Purpose": "prefetch"})

    assert dump(office.town) == before


async def test_row_46_who_follows_the_turn_off_link_without_the_right_leaves_a_trace(
    office: Office,
):
    places = await furnish(office)
    viewer = await office.signed_in(VITO)
    target = f"/manager/turn-off/{places.tokens['turn-off']}"

    looked = await viewer.get(target)
    before = await office.town.kinds()
    acted = await viewer.post(target)

    assert refuses(looked, LinkRefused)
    assert refuses(acted, LinkRefused)
    assert before[-1] != "two_step.turn_off_refused"
    assert (await office.town.kinds())[-1] == "two_step.turn_off_refused"
    assert (await office.town.number()).two_step.is_on


async def test_t2_a_hundred_looks_at_the_turn_off_link_change_nothing(office: Office):
    places = await furnish(office)
    browser = await office.signed_in(OLIVIA)
    target = f"/manager/turn-off/{places.tokens['turn-off']}"
    before = dump(office.town)

    for method in ("GET", "HEAD", "OPTIONS", "TRACE") * 25:
        await browser.ask(method, target)
    assert dump(office.town) == before

    await browser.get(target)
    done = await browser.follow(await browser.post(target))
    assert done.status == 200
    assert not (await office.town.number()).two_step.is_on


# Sizes


async def test_every_page_is_at_most_30_kib_and_needs_two_requests(office: Office):
    places = await furnish(office)
    browser = await office.signed_in(OLIVIA)

    for route in SAFE:
        page = await browser.get(places.of(route))
        assert len(page.raw) <= MOST_BYTES, (route.name, len(page.raw))
        if (page.header("Content-Type") or "").startswith("text/html") and page.raw:
            needed = re.findall(rb'<link rel="stylesheet" href="([^"]+)"', page.raw)
            assert len(needed) == 1
            assert b"<script src=" not in page.raw.replace(b" defer", b"") or b"defer" in page.raw


async def test_a_long_list_of_members_stays_small_and_goes_on(office: Office):
    olivia = office.people[OLIVIA.email]
    for i in range(100):
        await members.invite(
            office.world, olivia, f"a-rather-long-name-{i:03}@luckyshrub.example", MemberRole.VIEWER
        )
    browser = await office.signed_in(OLIVIA)

    seen, target, pages = set(), "/manager/members", 0
    while target:
        page = await browser.get(target)
        assert len(page.raw) <= MOST_BYTES
        seen |= set(re.findall(r"a-rather-long-name-\d{3}", page.raw.decode()))
        found = re.search(r'href="([^"]+)" rel="next"', page.raw.decode())
        target, pages = (found[1] if found else ""), pages + 1

    assert len(seen) == 100
    assert pages == 4


# Static files


async def test_static_files_are_named_by_what_is_in_them_and_kept_for_ever(office: Office):
    browser = office.browser()

    for one in ASSETS.values():
        reply = await browser.get(f"/manager/static/{one.name}")

        assert reply.status == 200
        assert reply.raw == one.data
        assert reply.header("Content-Type") == one.media_type
        assert reply.header("Cache-Control") == "public, max-age=31536000, immutable"
        assert reply.header("Content-Security-Policy") == POLICY
        assert reply.header("Set-Cookie") is None


@pytest.mark.parametrize(
    "file", ["manager.css", "manager.0000000000000000.css", "..%5capp.py", "%2e%2e", "app.py"]
)
async def test_no_other_file_is_served(office: Office, file):
    assert refuses(await office.browser().get(f"/manager/static/{file}"), PathUnknown)


# Paths


@pytest.mark.parametrize(
    "target",
    ["/manager/members;x", "/manager/Members", "/MANAGER/members", "/manager/members/.",
     "/manager/static/../members", "/manager/%2e%2e/members", "/manager/members%00",
     "/manager//members", "/manager/mail%2f1", "/managers", "/manager/members.json"],
)  # fmt: skip
async def test_row_17_path_tricks_lead_nowhere(office: Office, target):
    for browser in (office.browser(), await office.signed_in(OLIVIA)):
        assert (await browser.get(target)).status == 404


async def test_a_path_in_no_alphabet_is_unknown(office: Office):
    browser = await office.signed_in(OLIVIA)

    for part in ("%ff", "%ed%a0%80", "%f0%9f%94%91", "%0d%0aX:1", "%00", "x" * 4_000):
        for before, after in (
            ("numbers", "two-step"), ("members", "role"), ("accounts", "numbers"),
        ):  # fmt: skip
            reply = await browser.get(f"/manager/{before}/{part}/{after}")
            assert reply.status == 404, (before, part, reply.status)
        for page, status in (("mail", 404), ("join", 410), ("reset", 410), ("turn-off", 410)):
            reply = await browser.get(f"/manager/{page}/{part}")
            assert reply.status == status, (page, part, reply.status)


async def test_the_front_door_leads_to_the_manager(office: Office):
    reply = await office.browser().get("/")

    assert (reply.status, reply.header("Location")) == (303, "/manager")


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "[::1]"])
async def test_another_name_of_this_machine_leads_to_the_one_that_forms_work_under(
    office: Office, name
):
    port = office.town.port
    browser = office.browser(host=f"{name}:{port}")

    page = await browser.get("/manager/sign-in?next=/manager/members")
    form = await browser.post("/manager/sign-in")

    assert page.status == 303
    assert page.header("Location") == (
        f"http://127.0.0.1:{port}/manager/sign-in?next=%2Fmanager%2Fmembers"
    )
    split = await browser.get("/manager/join/%0d%0aSet-Cookie:a=b?%0d%0aX:1")
    assert split.header("Location") == (
        f"http://127.0.0.1:{port}/manager/join/%0D%0ASet-Cookie%3Aa%3Db?%0d%0aX%3A1"
    )
    assert form.status == 403
    browser.host = "localhost:1"  # a tunnel's end, perhaps: nobody knows where it leads
    assert (await browser.get("/manager/sign-in")).status == 200


# Live


async def test_a_live_request_is_answered_304_until_something_changes(office: Office):
    await furnish(office)
    browser = await office.signed_in(OLIVIA)

    first = await browser.live("/manager/events")
    tag = first.header("ETag") or ""
    again = await browser.live("/manager/events", tag)
    await office.signed_in(VITO)
    later = await browser.live("/manager/events", tag)

    assert (first.status, again.status, later.status) == (200, 304, 200)
    assert again.raw == b""
    assert later.header("ETag") != tag
    the_headers_are_there(again)


async def test_only_live_requests_get_a_tag(office: Office):
    browser = await office.signed_in(OLIVIA)

    assert (await browser.get("/manager/events")).header("ETag") is None
