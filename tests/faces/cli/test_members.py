"""Members, portfolios and WhatsApp accounts by the command line."""

import asyncio
import re

import pytest

from nightlatch import bootstrap
from nightlatch.adapters.hashing import CHEAP
from nightlatch.domain.errors import LinkRefused, SignInRefused
from nightlatch.settings import Settings
from nightlatch.usecases import members, signing_in
from tests.faces.cli.conftest import Line
from tests.people import OWNER, THIEF

EMAIL = "olivia@luckyshrub.com"
PASSWORD = "correct horse battery staple"


def add(line: Line, email: str = EMAIL, role: str = "owner", *words: str, typed: str = PASSWORD):
    return line(
        "members", "add", email, "--name", OWNER.name, "--role", role, "--password-stdin", *words,
        typed=f"{typed}\n",
    )  # fmt: skip


def sign_in(line: Line, email: str, password: str) -> bool:
    """Whether the Manager lets somebody in; halfway is enough."""

    async def work() -> bool:
        async with bootstrap.open_house(Settings(data=line.data), cost=CHEAP) as house:
            try:
                await signing_in.sign_in(house.world, email, password, "a test")
            except SignInRefused:
                return False
            return True

    return asyncio.run(work())


def follow(line: Line, link: str, password: str) -> None:
    async def work() -> None:
        async with bootstrap.open_house(Settings(data=line.data), cost=CHEAP) as house:
            await members.follow_reset(house.world, link.rpartition("/")[2], password, "a test")

    asyncio.run(work())


def link_in(told: str) -> str:
    (found,) = re.findall(r"^  (http\S+)$", told, re.MULTILINE)
    return str(found)


# Members


def test_a_member_is_added_with_a_password_and_can_sign_in(line: Line):
    done = add(line, "Olivia@LuckyShrub.com")

    assert done.stdout == f"added {EMAIL} ({OWNER.name}) as owner\n"
    assert sign_in(line, EMAIL, PASSWORD)
    assert not sign_in(line, EMAIL, PASSWORD + "x")
    (member,) = line.json("members", "list")
    assert (member["email"], member["name"]) == (EMAIL, OWNER.name)
    assert (member["role"], member["authenticator"]) == ("owner", "off")
    assert EMAIL in line("members", "list").stdout


def test_the_password_is_asked_for_twice_and_not_shown(line: Line):
    words = ("members", "add", EMAIL, "--name", OWNER.name, "--role", "viewer")

    done = line(*words, typed=f"{PASSWORD}\nanother\n{PASSWORD}\n{PASSWORD}\n")

    assert done.exit_code == 0
    assert PASSWORD not in done.output
    assert "do not match" in done.stderr
    assert sign_in(line, EMAIL, PASSWORD)


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("short", "password must be 12 to 128 characters"),
        ("password1234", "not easily guessed"),
        ("oliviaolivia", "not easily guessed"),
        ("", "password must be 12 to 128 characters"),
    ],
)
def test_a_password_that_is_short_or_common_is_refused(line: Line, password: str, says: str):
    done = add(line, typed=password)

    assert done.exit_code == 1
    assert says in done.stderr
    assert line.json("members", "list") == []


def test_an_address_is_a_members_once(line: Line):
    assert add(line).exit_code == 0

    again = add(line)

    assert again.exit_code == 1
    assert "belongs to a member already" in again.stderr


@pytest.mark.parametrize("email", ["olivia", "olivia@", "a@b@c.com", "a b@c.com", "a@b.com\nx"])
def test_what_is_no_address_is_refused(line: Line, email: str):
    done = add(line, email)

    assert done.exit_code == 1
    assert done.stderr.startswith("nightlatch: email must be an e-mail address")


def test_a_role_that_does_not_exist_is_a_wrong_command(line: Line):
    assert add(line, EMAIL, "king").exit_code == 2


def test_without_members_the_list_says_how_to_add_one(line: Line):
    assert "nightlatch members add --help" in line("members", "list").stdout


# A lost password


def test_a_printed_link_sets_another_password_once(line: Line):
    assert add(line).exit_code == 0

    done = line("members", "reset-password", EMAIL.upper())
    link = link_in(done.stdout)
    follow(line, link, "another long password 4711")

    assert "within 30 minutes" in done.stdout
    assert link.startswith("http://127.0.0.1:")
    assert sign_in(line, EMAIL, "another long password 4711")
    assert not sign_in(line, EMAIL, PASSWORD)
    with pytest.raises(LinkRefused):
        follow(line, link, PASSWORD)
    assert line.json("mail", "list") == line.json("mail", "list", "--last", "2")  # none was mailed


def test_the_link_leads_to_where_the_server_was_last(line: Line):
    assert add(line).exit_code == 0
    served = line("members", "reset-password", EMAIL)

    named = line("members", "reset-password", EMAIL, NIGHTLATCH_PUBLIC_URL="https://gate.test/")

    assert not link_in(served.stdout).startswith(f"{Settings().origin}/")
    assert link_in(named.stdout).startswith("https://gate.test/manager/reset/")


def test_the_authenticator_app_is_turned_off_for_who_lost_it(line: Line):
    assert add(line).exit_code == 0

    async def turn_on() -> None:
        async with bootstrap.open_house(Settings(data=line.data), cost=CHEAP) as house:
            world = house.world
            begun = await signing_in.sign_in(world, EMAIL, PASSWORD, "a test")
            session, member = await signing_in.whose(world, begun.token)
            app = members.begin_app(world, member)
            code = _code_of(app.key, int(house.clock.now().timestamp()))
            await members.turn_app_on(world, member, session, app.sealed, code, PASSWORD)

    asyncio.run(turn_on())
    assert line.json("members", "list")[0]["authenticator"] == "on"

    done = line("members", "reset-password", EMAIL, "--drop-app")

    assert done.stdout.startswith("the authenticator app is off\n")
    assert line.json("members", "list")[0]["authenticator"] == "off"


def _code_of(key: str, seconds: int) -> str:
    import base64

    from cryptography.hazmat.primitives.hashes import SHA1
    from cryptography.hazmat.primitives.twofactor.totp import TOTP

    raw = base64.b32decode(key + "=" * (-len(key) % 8))
    return TOTP(raw, 6, SHA1(), 30).generate(seconds).decode()


def test_the_password_of_nobody_is_not_reset(line: Line):
    done = line("members", "reset-password", THIEF.email.replace(".example", ".com"))

    assert done.exit_code == 1
    assert done.stdout == ""
    assert "no such member; see: nightlatch members list" in done.stderr


# Portfolios and WhatsApp accounts


def test_a_portfolio_gets_another_name_and_address(line: Line):
    named = line("portfolios", "change", "--name", "Lucky Shrub Inc.")
    moved = line("portfolios", "change", "--email", "Post@LuckyShrub.com")

    (portfolio,) = line.json("portfolios", "list")
    assert named.exit_code == moved.exit_code == 0
    assert (portfolio["name"], portfolio["email"]) == ("Lucky Shrub Inc.", "post@luckyshrub.com")
    assert (portfolio["accounts"], portfolio["members"]) == (1, 0)
    assert moved.stdout == f"{portfolio['id']} is Lucky Shrub Inc., post@luckyshrub.com\n"
    assert {
        one["to"] for one in line.json("mail", "list") if one["letter"] == "address changed"
    } == {"post@luckyshrub.com"}


def test_with_several_portfolios_one_has_to_be_chosen(line: Line):
    added = line("portfolios", "add", "Zweites", "--email", "post@zweites.com")
    first, second = (one["id"] for one in line.json("portfolios", "list"))
    if second not in added.stdout:
        first, second = second, first

    unclear = add(line)
    chosen = add(line, EMAIL, "owner", "--portfolio", second)
    unknown = line("members", "list", "--portfolio", "200")

    assert unclear.exit_code == 1
    assert "there are several portfolios; choose one with --portfolio: " in unclear.stderr
    assert first in unclear.stderr
    assert second in unclear.stderr
    assert chosen.exit_code == 0
    assert line.json("members", "list", "--portfolio", first) == []
    assert [one["email"] for one in line.json("members", "list", "--portfolio", second)] == [EMAIL]
    assert (unknown.exit_code, "no such portfolio" in unknown.stderr) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ("portfolios", "add", "X", "--email", "nobody"),
        ("portfolios", "add", "two\nlines", "--email", "a@b.com"),
        ("portfolios", "change", "--email", "nobody"),
        ("portfolios", "change", "--name", ""),
        ("wabas", "add", "x" * 129),
    ],
)
def test_names_and_addresses_that_do_not_fit_are_refused(line: Line, words: tuple[str, ...]):
    before = line.json("portfolios", "list"), line.json("wabas", "list")

    done = line(*words)

    assert done.exit_code == 1
    assert " must be " in done.stderr
    assert (line.json("portfolios", "list"), line.json("wabas", "list")) == before


def test_accounts_are_listed_with_what_they_hold(line: Line):
    added = line("wabas", "add", "Zweites Konto")

    first, second = line.json("wabas", "list")
    (portfolio,) = line.json("portfolios", "list")
    assert added.stdout == f"added {second['id']} (Zweites Konto)\n"
    assert (first["numbers"], first["protected"], first["locked"]) == (1, 1, 0)
    assert (second["numbers"], second["portfolio"]) == (0, portfolio["id"])
    assert line.json("wabas", "list", "--portfolio", portfolio["id"]) == [first, second]
    assert "Zweites Konto" in line("wabas", "list").stdout
    assert line("wabas", "list", "--portfolio", "200").exit_code == 1
    assert line("wabas", "add", "X", "--portfolio", "200").exit_code == 1
