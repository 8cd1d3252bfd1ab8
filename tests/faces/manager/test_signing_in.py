"""Coming in: passwords, waits, the second step, links, and where one is led."""

import asyncio
import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from nightlatch.domain.errors import (
    LinkRefused,
    MemberExists,
    SignedOut,
    SignInRefused,
    SignInWait,
)
from nightlatch.domain.limits import RESET_LIFE
from nightlatch.domain.members import MemberRole
from nightlatch.usecases import mail, members
from tests.faces.manager.places import furnish
from tests.manager_client import (
    ADA,
    NEW_PASSWORD,
    OLIVIA,
    PASSWORD,
    Browserless,
    Office,
    app_code,
    dump,
    heading,
    refuses,
    text_of,
)
from tests.people import OWNER
from tests.town import Reply, Town

STRANGER = "nobody@luckyshrub.example"
WRONG = "not my password at all"


async def with_app(office: Office) -> tuple[Browserless, str, list[str]]:
    """Olivia turns an app on; her browser, the app's key and the recovery codes."""
    browser = await office.signed_in(OLIVIA)
    page = (await browser.get("/manager/account/app")).raw.decode()
    key = re.sub(r"\s", "", re.findall(r'id="key">([^<]+)<', page)[0])
    sealed = re.findall(r'name="sealed" value="([^"]+)"', page)[0]
    done = await browser.post(
        "/manager/account/app",
        {"sealed": sealed, "code": app_code(key, office.town.clock.now()), "password": PASSWORD},
    )
    assert heading(done) == "The app is on"
    codes = re.findall(r"[A-Z2-7]{4}(?:-[A-Z2-7]{4}){3}", done.raw.decode())
    return browser, key, list(dict.fromkeys(codes))


def but_for_chance(reply: Reply) -> tuple[int, list[tuple[str, str]], bytes]:
    """An answer without what differs between any two answers."""
    headers = [
        (name.lower(), value)
        for name, value in reply.headers
        if name.lower() not in ("date", "x-request-id", "set-cookie")
    ]
    return reply.status, headers, re.sub(rb'value="[0-9a-f]{64}"', b"", reply.raw)


# Passwords


async def test_who_knows_the_password_is_let_in_and_told_where(office: Office):
    browser = office.browser()

    page = await browser.sign_in(OLIVIA.email.upper())

    assert page.status == 200
    assert browser.at == "/manager"
    assert OLIVIA.name in text_of(page)
    assert (await office.trail())[-1] == "member.signed_in"


async def test_a_wrong_password_and_an_unknown_address_read_the_same_to_the_byte(office: Office):
    browser = office.browser()
    await browser.get("/manager/sign-in")

    for _ in range(6):  # the waits come at the same try as well
        known = await browser.post("/manager/sign-in", {"email": ADA.email, "password": WRONG})
        unknown = await browser.post("/manager/sign-in", {"email": STRANGER, "password": WRONG})

        first, second = but_for_chance(known), but_for_chance(unknown)
        assert first[0] == second[0]
        assert first[2].replace(ADA.email.encode(), b"") == second[2].replace(
            STRANGER.encode(), b""
        )
        lengths = [dict(part[1]).pop("content-length") for part in (first, second)]
        assert int(lengths[0]) - len(ADA.email) == int(lengths[1]) - len(STRANGER)
    assert known.status == 429


async def test_a_wrong_password_keeps_the_address_in_the_form_and_never_the_password(
    office: Office,
):
    browser = office.browser()
    await browser.get("/manager/sign-in")

    page = await browser.post("/manager/sign-in", {"email": ADA.email, "password": WRONG})

    assert refuses(page, SignInRefused)
    assert f'value="{ADA.email}"' in page.raw.decode()
    assert WRONG not in page.raw.decode()
    assert "Set-Cookie" not in dict(page.headers)


async def test_sign_ins_wait_longer_and_longer_and_never_lock_the_owner_out(office: Office):
    browser = office.browser()
    await browser.get("/manager/sign-in")
    wrong = {"email": OLIVIA.email, "password": WRONG}

    waits = []
    for _ in range(4):
        assert refuses(await browser.post("/manager/sign-in", wrong), SignInRefused)
    for _ in range(7):
        assert refuses(await browser.post("/manager/sign-in", wrong), SignInRefused)
        early = await browser.post("/manager/sign-in", wrong | {"password": PASSWORD})
        assert refuses(early, SignInWait)
        waits.append(int(early.header("Retry-After") or 0))
        assert f"Try again in {waits[-1] // 60} min" in text_of(early) or (
            f"Try again in {waits[-1]} s" in text_of(early)
        )
        office.town.pass_time(waits[-1])
    page = await browser.sign_in(OLIVIA.email)

    assert waits == [5, 10, 20, 40, 60, 60, 60]
    assert page.status == 200
    again = office.browser()
    await again.get("/manager/sign-in")
    assert refuses(await again.post("/manager/sign-in", wrong), SignInRefused)


async def test_while_a_sign_in_waits_nothing_is_compared(office: Office):
    browser = office.browser()
    await browser.get("/manager/sign-in")
    form = {"email": OLIVIA.email, "password": WRONG}
    for _ in range(5):
        await browser.post("/manager/sign-in", form)
    computed = office.town.house.pool.computed

    for _ in range(5):
        assert (await browser.post("/manager/sign-in", form)).status == 429

    assert office.town.house.pool.computed == computed


async def test_twenty_wrong_sign_ins_at_once_compare_no_more_than_the_waits_allow(office: Office):
    browsers = [office.browser() for _ in range(20)]
    for browser in browsers:
        await browser.get("/manager/sign-in")
    computed = office.town.house.pool.computed

    replies = await asyncio.gather(
        *(
            browser.post("/manager/sign-in", {"email": OLIVIA.email, "password": WRONG})
            for browser in browsers
        )
    )

    assert sorted({reply.status for reply in replies}) == [403, 429]
    assert office.town.house.pool.computed - computed == 5


@pytest.mark.parametrize(
    "email", ["", "olivia", "a@b@c.example", "a b@c.example", "a@\r\nx.example"]
)
async def test_what_is_no_address_is_told_so_and_costs_no_hash(office: Office, email):
    browser = office.browser()
    await browser.get("/manager/sign-in")
    computed = office.town.house.pool.computed

    page = await browser.post("/manager/sign-in", {"email": email, "password": PASSWORD})

    assert page.status == 400
    assert 'aria-invalid="true"' in page.raw.decode()
    assert office.town.house.pool.computed == computed


async def test_a_busy_server_says_so_on_the_sign_in_page_and_counts_nothing(office: Office):
    browser = office.browser()
    await browser.get("/manager/sign-in")
    pool = office.town.house.pool
    taken = []
    try:
        while True:
            place = pool.place()
            await place.__aenter__()
            taken.append(place)
    except Exception:
        pass
    before = dump(office.town)

    page = await browser.post("/manager/sign-in", {"email": OLIVIA.email, "password": PASSWORD})
    for place in taken:
        await place.__aexit__(None, None, None)

    assert page.status == 503
    assert page.header("Retry-After") == "1"
    assert f'value="{OLIVIA.email}"' in page.raw.decode()
    assert dump(office.town) == before
    assert (await browser.sign_in(OLIVIA.email)).status == 200


# Where one is led


async def test_who_was_on_the_way_to_a_page_arrives_there_after_signing_in(office: Office):
    number = await office.town.number()
    target = f"/manager/accounts/{number.waba}/numbers?show=protected&text=lucky+shrub"
    browser = office.browser()

    page = await browser.follow(await browser.get(target))
    assert heading(page) == "Sign in"
    (next_,) = re.findall(r'name="next" value="([^"]+)"', page.raw.decode())
    reply = await browser.post(
        "/manager/sign-in",
        {"email": OLIVIA.email, "password": PASSWORD, "next": next_.replace("&amp;", "&")},
    )

    assert reply.header("Location") == target


@pytest.mark.parametrize(
    "place",
    ["//evil.example", "https://evil.example/manager/", "/\\evil.example", "javascript:alert(1)",
     "/manager/../v1", "/manager//evil.example", "/manager/\r\nSet-Cookie:x=1", "/v1/users",
     "\\\\evil.example", "/manager@evil.example", "data:text/html,x", "sealed.", "sealed.AAAA",
     "/%2fevil.example", "/manager/%0d%0aX: 1", "http:evil.example"],
)  # fmt: skip
async def test_no_next_leads_anywhere_but_to_our_pages(office: Office, place):
    browser = office.browser()

    page = await browser.ask("GET", "/manager/sign-in?" + "next=" + _quoted(place))
    shown = page.raw.decode()
    reply = await browser.post(
        "/manager/sign-in", {"email": OLIVIA.email, "password": PASSWORD, "next": place}
    )
    again = await browser.ask("GET", "/manager/sign-in?next=" + _quoted(place))

    assert 'name="next"' not in shown
    assert reply.status == 303
    assert reply.header("Location") == "/manager"
    assert again.header("Location") == "/manager"


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


async def test_who_is_signed_in_already_needs_no_sign_in_page(office: Office):
    browser = await office.signed_in(OLIVIA)

    plain = await browser.get("/manager/sign-in")
    there = await browser.get("/manager/sign-in?next=/manager/members")
    half = await browser.get("/manager/sign-in/code")

    assert plain.header("Location") == "/manager"
    assert there.header("Location") == "/manager/members"
    assert half.header("Location") == "/manager"


async def test_a_mailed_link_survives_signing_in_with_an_app_without_getting_into_a_query(
    office: Office,
):
    places = await furnish(office)
    _, key, _ = await with_app(office)
    office.town.pass_time(30)
    browser, target = office.browser(), f"/manager/turn-off/{places.tokens['turn-off']}"

    page = await browser.get(target)
    assert page.status == 401
    reply = await browser.post(
        "/manager/sign-in", {"email": OLIVIA.email, "password": PASSWORD, "next": target}
    )
    code_page = await browser.get(str(reply.header("Location")))
    (next_,) = re.findall(r'name="next" value="([^"]+)"', code_page.raw.decode())
    done = await browser.post(
        "/manager/sign-in/code", {"code": app_code(key, office.town.clock.now()), "next": next_}
    )

    assert done.header("Location") == target
    assert places.tokens["turn-off"] not in str(reply.header("Location"))
    assert places.tokens["turn-off"] not in next_


# The second step


async def test_the_password_alone_opens_nothing_once_an_app_is_on(office: Office):
    places = await furnish(office)
    await with_app(office)
    half = office.browser()

    page = await half.sign_in(OLIVIA.email)

    assert heading(page) == "Second step"
    assert OLIVIA.name not in text_of(page)
    for target in (
        "/manager", "/manager/account", "/manager/members", f"/manager/numbers/{places.parts['number']}",
    ):  # fmt: skip
        assert (await half.get(target)).status == 303, target
        assert (await half.live(target)).status == 401, target
    await half.get("/manager/sign-in/code")
    assert (await half.post("/manager/account/app/off", {"password": PASSWORD})).status == 401


async def test_the_apps_code_finishes_signing_in_with_a_new_session(office: Office):
    _, key, _ = await with_app(office)
    office.town.pass_time(30)
    browser = office.browser()
    await browser.sign_in(OLIVIA.email)
    half = browser.cookie

    code = app_code(key, office.town.clock.now())
    page = await browser.fill_in("/manager/sign-in/code", code=f"{code[:3]} {code[3:]}")

    assert page.status == 200
    assert browser.at == "/manager"
    assert browser.cookie != half
    browser.cookie = half
    assert (await browser.get("/manager/account")).status == 303
    assert refuses(await browser.live("/manager/sign-in/code"), SignedOut)


async def test_a_code_is_good_once_and_not_the_one_that_turned_the_app_on(office: Office):
    _, key, _ = await with_app(office)
    used = app_code(key, office.town.clock.now())
    first, second = office.browser(), office.browser()
    await first.sign_in(OLIVIA.email)
    await second.sign_in(OLIVIA.email)

    assert refuses(await first.fill_in("/manager/sign-in/code", code=used), SignInRefused)
    office.town.pass_time(30)
    fresh = app_code(key, office.town.clock.now())
    assert (await first.fill_in("/manager/sign-in/code", code=fresh)).status == 200
    assert refuses(await second.fill_in("/manager/sign-in/code", code=fresh), SignInRefused)
    assert (await office.trail()).count("member.sign_in_wrong") == 2


async def test_ten_browsers_with_one_code_let_one_in(office: Office):
    _, key, _ = await with_app(office)
    office.town.pass_time(30)
    browsers = [office.browser() for _ in range(4)]
    for browser in browsers:
        await browser.sign_in(OLIVIA.email)
    code = app_code(key, office.town.clock.now())

    replies = await asyncio.gather(
        *(browser.post("/manager/sign-in/code", {"code": code}) for browser in browsers)
    )

    assert [reply.status for reply in replies].count(303) == 1


async def test_a_recovery_code_is_good_once_however_it_is_spelled(office: Office):
    _, _, codes = await with_app(office)
    browser = office.browser()
    assert len(codes) == 10

    await browser.sign_in(OLIVIA.email)
    spelled = codes[3].lower().replace("-", " ")
    assert (await browser.fill_in("/manager/sign-in/code", code=spelled)).status == 200
    assert "9 recovery codes" in text_of(await browser.get("/manager/account"))
    other = office.browser()
    await other.sign_in(OLIVIA.email)
    assert refuses(await other.fill_in("/manager/sign-in/code", code=codes[3]), SignInRefused)
    assert (await other.fill_in("/manager/sign-in/code", code=codes[4])).status == 200


async def test_wrong_codes_wait_like_wrong_passwords_whichever_browser_they_come_from(
    office: Office,
):
    _, key, _ = await with_app(office)
    office.town.pass_time(30)
    first, second = office.browser(), office.browser()
    await first.sign_in(OLIVIA.email)
    await second.sign_in(OLIVIA.email)

    for browser in (first, second, first, second, first):
        assert refuses(await browser.fill_in("/manager/sign-in/code", code="000000"), SignInRefused)
    right = app_code(key, office.town.clock.now())
    waited = await second.fill_in("/manager/sign-in/code", code=right)

    assert refuses(waited, SignInWait)
    office.town.pass_time(int(waited.header("Retry-After") or 0))
    right = app_code(key, office.town.clock.now())
    assert (await second.fill_in("/manager/sign-in/code", code=right)).status == 200


async def test_half_a_session_ends_after_five_minutes_and_can_be_given_up(office: Office):
    _, key, _ = await with_app(office)
    browser = office.browser()
    await browser.sign_in(OLIVIA.email)
    office.town.pass_time(timedelta(minutes=5))

    late = await browser.post(
        "/manager/sign-in/code", {"code": app_code(key, office.town.clock.now())}
    )
    assert refuses(late, SignedOut)
    await browser.sign_in(OLIVIA.email)
    page = await browser.follow(await browser.post("/manager/sign-out"))

    assert heading(page) == "Sign in"
    assert (await browser.get("/manager/sign-in/code")).header("Location") == "/manager/sign-in"


# The first owner


async def test_the_printed_link_makes_one_owner_once(town: Town):
    token = await members.first_owner_link(town.house.world)
    target = f"/manager/welcome/{token}"
    browser = Browserless(town.port)
    fields = {
        "name": OWNER.name, "email": OWNER.email, "password": PASSWORD,
        "portfolio": "Lucky Shrub", "address": "security@luckyshrub.example",
    }  # fmt: skip

    page = await browser.fill_in(target, **fields)

    assert page.status == 200
    assert "Lucky Shrub" in text_of(page)
    assert "You are signed in as the owner" in text_of(page)
    (portfolio,) = await town.house.store.portfolios()
    assert (portfolio.name, portfolio.email) == ("Lucky Shrub", "security@luckyshrub.example")
    (member,) = await town.house.store.members(portfolio.id)
    assert (member.role, member.email) == (MemberRole.OWNER, OWNER.email)
    again = Browserless(town.port)
    assert refuses(await again.get(target), LinkRefused)
    await again.get("/manager/sign-in")
    assert refuses(await again.post(target, fields), LinkRefused)
    assert await members.first_owner_link(town.house.world) is None


async def test_the_portfolios_address_is_the_owners_when_none_is_given(town: Town):
    token = await members.first_owner_link(town.house.world)
    browser = Browserless(town.port)

    await browser.fill_in(
        f"/manager/welcome/{token}",
        name=OWNER.name, email=OWNER.email, password=PASSWORD, portfolio="Lucky Shrub",
    )  # fmt: skip

    (portfolio,) = await town.house.store.portfolios()
    assert portfolio.email == OWNER.email


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("name", "a\nb"), ("name", "x" * 81), ("email", "olivia"), ("email", ""),
     ("password", "short"), ("password", "password1234"), ("password", "luckyshrub.example"),
     ("password", "x" * 129), ("portfolio", ""), ("portfolio", "x" * 129), ("address", "nowhere")],
)  # fmt: skip
async def test_a_field_that_does_not_fit_is_marked_and_the_link_stays_good(
    town: Town, field, value
):
    token = await members.first_owner_link(town.house.world)
    target = f"/manager/welcome/{token}"
    browser = Browserless(town.port)
    fields = {
        "name": OWNER.name, "email": OWNER.email, "password": PASSWORD, "portfolio": "Lucky Shrub",
    }  # fmt: skip

    page = await browser.fill_in(target, **fields | {field: value})

    assert page.status == 400
    marked = re.findall(r'<input id="([a-z]+)"[^>]*aria-invalid', page.raw.decode())
    assert marked == [field]
    assert PASSWORD not in page.raw.decode()
    assert f'value="{OWNER.name}"' in page.raw.decode() or field == "name"
    assert (await browser.fill_in(target, **fields)).status == 200


async def test_fifty_browsers_with_the_first_link_make_one_owner(town: Town):
    token = await members.first_owner_link(town.house.world)
    browsers = [Browserless(town.port) for _ in range(20)]
    for browser in browsers:
        await browser.get(f"/manager/welcome/{token}")

    replies = await asyncio.gather(
        *(
            browser.post(
                f"/manager/welcome/{token}",
                {
                    "name": OWNER.name, "email": f"olivia{i}@luckyshrub.example",
                    "password": PASSWORD, "portfolio": "Lucky Shrub",
                },
            )
            for i, browser in enumerate(browsers)
        )
    )  # fmt: skip

    assert [reply.status for reply in replies].count(303) == 1
    (portfolio,) = await town.house.store.portfolios()
    assert len(await town.house.store.members(portfolio.id)) == 1


async def test_a_newer_first_link_voids_the_one_before_and_a_day_ends_it(town: Town):
    old = await members.first_owner_link(town.house.world)
    new = await members.first_owner_link(town.house.world)
    browser = Browserless(town.port)

    assert refuses(await browser.get(f"/manager/welcome/{old}"), LinkRefused)
    assert (await browser.get(f"/manager/welcome/{new}")).status == 200
    town.pass_time(timedelta(hours=24))
    assert refuses(await browser.get(f"/manager/welcome/{new}"), LinkRefused)


# Invitations


async def test_an_invitation_makes_a_member_with_the_invited_role_once(office: Office):
    owner, guest = await office.signed_in(OLIVIA), office.browser()
    await owner.fill_in("/manager/members/invite", email="Ivan@LuckyShrub.example", role="admin")
    link = await office.link("ivan@luckyshrub.example")

    page = await guest.fill_in(link, name="Ivan Invited", password=NEW_PASSWORD)

    assert "You are a member of this portfolio now." in text_of(page)
    member = await office.world.store.member_by_email("ivan@luckyshrub.example")
    assert (member.role, member.name) == (MemberRole.ADMIN, "Ivan Invited")
    assert refuses(await office.browser().get(link), LinkRefused)
    assert (await office.browser().sign_in("ivan@luckyshrub.example", NEW_PASSWORD)).status == 200


async def test_an_invitation_ends_withdrawn_replaced_or_after_a_week(office: Office):
    owner = await office.signed_in(OLIVIA)
    links = []
    for email in ("ivan", "ivan", "wanda", "late"):
        await owner.fill_in(
            "/manager/members/invite", email=f"{email}@luckyshrub.example", role="viewer"
        )
        links.append(await office.link(f"{email}@luckyshrub.example"))
    await owner.get("/manager/members")
    await owner.post("/manager/members/withdraw", {"email": "wanda@luckyshrub.example"})
    stranger = office.browser()

    assert refuses(await stranger.get(links[0]), LinkRefused)
    assert (await stranger.get(links[1])).status == 200
    assert refuses(await stranger.get(links[2]), LinkRefused)
    office.town.pass_time(timedelta(days=7) - timedelta(seconds=60))
    assert (await stranger.get(links[3])).status == 200
    office.town.pass_time(60)
    assert refuses(await stranger.get(links[3]), LinkRefused)


async def test_a_link_is_good_on_its_own_page_only(office: Office):
    places = await furnish(office)
    stranger = office.browser()

    for page, token in (
        ("welcome", places.tokens["join"]),
        ("join", places.tokens["reset"]),
        ("reset", places.tokens["join"]),
        ("join", places.tokens["turn-off"]),
        ("join", places.tokens["join"].upper()),
        ("join", places.tokens["join"] + "="),
        ("join", places.tokens["join"] + "."),
        ("join", places.tokens["join"][:-1]),
        ("reset", places.tokens["reset"] + "%00"),
        ("reset", places.tokens["reset"].replace(".", "..")),
    ):
        assert refuses(await stranger.get(f"/manager/{page}/{token}"), LinkRefused), page


async def test_nobody_invites_who_is_a_member_already(office: Office):
    owner = await office.signed_in(OLIVIA)

    page = await owner.fill_in("/manager/members/invite", email=ADA.email, role="owner")

    assert refuses(page, MemberExists)
    assert (await office.people_now())[ADA.email].role is MemberRole.ADMIN


# Forgotten passwords


async def test_members_and_strangers_get_the_same_answer_and_only_members_a_letter(office: Office):
    browser = office.browser()
    await browser.get("/manager/forgotten")

    known = await browser.post("/manager/forgotten", {"email": ADA.email})
    unknown = await browser.post("/manager/forgotten", {"email": STRANGER})

    assert but_for_chance(known) == but_for_chance(unknown)
    assert len(await office.letters(ADA.email)) == 1
    assert len(await office.letters()) == 1
    page = await browser.follow(known)
    assert "If this address belongs to a member" in text_of(page)


async def test_the_reset_link_sets_a_password_once_and_ends_every_session(office: Office):
    before = await office.signed_in(ADA)
    browser = office.browser()
    await browser.fill_in("/manager/forgotten", email=ADA.email)
    link = await office.link(ADA.email)

    page = await browser.fill_in(link, password=NEW_PASSWORD)

    assert browser.at.startswith("/manager?said=password_set")
    assert ADA.name in text_of(page)
    assert (await before.get("/manager/account")).status == 303
    assert refuses(await office.browser().get(link), LinkRefused)
    assert refuses(await office.browser().sign_in(ADA.email), SignInRefused)
    assert (await office.browser().sign_in(ADA.email, NEW_PASSWORD)).status == 200


async def test_only_the_newest_reset_link_is_good_and_only_for_half_an_hour(office: Office):
    browser = office.browser()
    await browser.fill_in("/manager/forgotten", email=ADA.email)
    first = await office.link(ADA.email)
    office.town.pass_time(60)
    await browser.fill_in("/manager/forgotten", email=ADA.email)
    second = await office.link(ADA.email)

    assert refuses(await browser.get(first), LinkRefused)
    assert (await browser.get(second)).status == 200
    office.town.pass_time(RESET_LIFE - timedelta(seconds=1))
    assert (await browser.get(second)).status == 200
    office.town.pass_time(1)
    assert refuses(await browser.get(second), LinkRefused)


async def test_a_changed_password_voids_the_reset_link(office: Office):
    ada = await office.signed_in(ADA)
    await office.browser().fill_in("/manager/forgotten", email=ADA.email)
    link = await office.link(ADA.email)

    await ada.fill_in("/manager/account/password", current=PASSWORD, password=NEW_PASSWORD)

    assert refuses(await office.browser().get(link), LinkRefused)


async def test_with_an_app_the_reset_link_still_needs_the_second_step(office: Office):
    _, key, _ = await with_app(office)
    browser = office.browser()
    await browser.fill_in("/manager/forgotten", email=OLIVIA.email)

    page = await browser.fill_in(await office.link(OLIVIA.email), password=NEW_PASSWORD)

    assert heading(page) == "Second step"
    assert (await browser.get("/manager/account")).status == 303
    office.town.pass_time(30)
    code = app_code(key, office.town.clock.now())
    assert (await browser.fill_in("/manager/sign-in/code", code=code)).status == 200


async def test_wrong_sign_ins_by_others_do_not_stand_in_the_way_of_the_reset_link(office: Office):
    thief, ada = office.browser(), office.browser()
    await thief.get("/manager/sign-in")
    for _ in range(8):
        await thief.post("/manager/sign-in", {"email": ADA.email, "password": WRONG})
    await ada.fill_in("/manager/forgotten", email=ADA.email)

    page = await ada.fill_in(await office.link(ADA.email), password=NEW_PASSWORD)

    assert ADA.name in text_of(page)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example"])
async def test_t4_links_always_lead_to_the_configured_origin(office: Office, host):
    browser = office.browser()
    await browser.get("/manager/forgotten")

    forged = {"X-Forwarded-Host": host, "X-Forwarded-Proto": "https", "Forwarded": f"host={host}"}
    await browser.post("/manager/forgotten", {"email": ADA.email}, headers=forged)
    browser.host = host
    refused = await browser.post("/manager/forgotten", {"email": OLIVIA.email})

    assert refused.status == 400
    (letter,) = await office.letters()
    link = mail.read(office.world, letter).link
    assert link is not None
    assert urlsplit(link).netloc == f"127.0.0.1:{office.town.port}"
    assert urlsplit(link).scheme == "http"
    assert parse_qs(urlsplit(link).query) == {}
