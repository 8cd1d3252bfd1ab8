"""Apps, system users, access tokens and webhooks by the command line."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from nightlatch import bootstrap
from nightlatch.adapters.hashing import CHEAP
from nightlatch.adapters.system import SteppedClock
from nightlatch.bootstrap import House
from nightlatch.domain import errors as e
from nightlatch.domain import webhooks as hooks
from nightlatch.domain.access import Caller, Scope
from nightlatch.settings import Settings
from nightlatch.usecases import access, numbers, webhooks
from tests.faces.cli.conftest import Line
from tests.people import E164
from tests.webhook_receiver import Receiver, a_receiver, answer

PRIVATE: dict[str, Any] = {"NIGHTLATCH_PRIVATE_RECEIVERS": "true"}
PORTFOLIO = "e@elsewhere.example"


def within(line: Line, work: Callable[[House], Coroutine[Any, Any, Any]], later: float = 0) -> Any:
    """What a server on this folder would do, *later* by so many seconds."""

    def clock(not_before: Any) -> SteppedClock:
        stepped = SteppedClock(not_before)
        stepped.step(timedelta(seconds=later))
        return stepped

    async def inside() -> Any:
        settings = Settings(data=line.data, private_receivers=True)
        async with bootstrap.open_house(settings, cost=CHEAP, clock=clock) as house:
            return await work(house)

    return asyncio.run(inside())


def whose(line: Line, token: str, later: float = 0) -> Caller:
    return within(line, lambda house: access.authenticate(house.world, token), later)  # type: ignore[no-any-return]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver beside the commands, which begin a loop of their own."""
    import threading

    loop = asyncio.new_event_loop()
    running = a_receiver()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(running.__aenter__(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(running.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def issued(line: Line, *words: str) -> str:
    done = line("token", "issue", *words)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


# Access tokens


def test_the_first_token_takes_one_command_and_stands_alone_on_standard_output(line: Line):
    done = line("token", "issue")

    token = done.stdout
    assert re.fullmatch(r"EAANL[\w-]+\n", token)
    assert re.search(r"^made the app 5\d{14} \(My app\)$", done.stderr, re.MULTILINE)
    assert re.search(
        r"^made the system user 6\d{14} \(My system user, admin\)$", done.stderr, re.MULTILINE
    )
    assert token.strip() not in done.stderr
    caller = whose(line, token.strip())
    assert caller.user is not None
    assert (caller.app.name, caller.user.name) == ("My app", "My system user")
    assert caller.scopes == (Scope.MANAGEMENT, Scope.MESSAGING)
    assert caller.token is not None
    assert caller.token.expires_at is None


def test_the_next_token_makes_nothing(line: Line):
    issued(line)

    done = line("token", "issue")

    assert "made" not in done.stderr
    assert len(line.json("app", "list")) == len(line.json("system-user", "list")) == 1
    assert len(line.json("token", "list")) == 2


def test_a_token_has_the_permissions_and_the_life_that_were_chosen(line: Line):
    token = issued(line, "--scope", Scope.BUSINESS.value, "--days", "2")

    assert whose(line, token).scopes == (Scope.BUSINESS,)
    with pytest.raises(e.AccessTokenExpired):
        whose(line, token, later=2 * 86_400)


@pytest.mark.parametrize(
    "words",
    [("--days", "0"), ("--days", "3651"), ("--days", "x"), ("--scope", "everything"),
     ("--scope", "")],
)  # fmt: skip
def test_what_no_token_can_be_is_a_wrong_command(line: Line, words):
    done = line("token", "issue", *words)

    assert done.exit_code == 2
    assert line.json("token", "list") == []


def test_where_there_are_several_one_is_chosen(line: Line):
    for name in ("First", "Second"):
        assert line("app", "add", name).exit_code == 0
        assert line("system-user", "add", name).exit_code == 0
    app, user = line.json("app", "list")[1]["id"], line.json("system-user", "list")[1]["id"]

    no_app = line("token", "issue", "--system-user", user)
    no_user = line("token", "issue", "--app", app)
    both = whose(line, issued(line, "--app", app, "--system-user", user))

    assert no_app.exit_code == no_user.exit_code == 1
    assert "there are several apps; choose one with --app: 5" in no_app.stderr
    assert "there are several system users; choose one with --system-user: 6" in no_user.stderr
    assert both.user is not None
    assert (both.app.id, both.user.id) == (app, user)


def test_with_several_portfolios_what_is_named_tells_which(line: Line):
    line("portfolios", "add", "Elsewhere", "--email", PORTFOLIO)
    other = line.json("portfolios", "list")[1]["id"]
    line("app", "add", "Theirs", "--portfolio", other)
    (app,) = line.json("app", "list", "--portfolio", other)

    unnamed = line("token", "issue")
    token = issued(line, "--app", app["id"])
    (user,) = line.json("system-user", "list", "--portfolio", other)
    again = issued(line, "--system-user", user["id"])
    crossed = line("token", "issue", "--app", app["id"], "--portfolio", _first(line))

    assert "choose one with --portfolio" in unnamed.stderr
    assert whose(line, token).app.portfolio == other
    assert whose(line, again).app.id == app["id"]
    assert "There is no such app" in crossed.stderr
    assert line.json("app", "list", "--portfolio", _first(line)) == []
    assert line.json("system-user", "list", "--portfolio", _first(line)) == []


def _first(line: Line) -> str:
    return str(line.json("portfolios", "list")[0]["id"])


def test_tokens_are_listed_by_reference_and_never_shown_again(line: Line):
    token = issued(line, "--days", "1")
    (user,) = line.json("system-user", "list")

    (listed,) = line.json("token", "list")

    assert listed["reference"] == whose(line, token).token.reference  # type: ignore[union-attr]
    assert listed["state"] == "live"
    assert listed["scopes"] == "whatsapp_business_management whatsapp_business_messaging"
    assert line.json("token", "list", "--system-user", user["id"]) == [listed]
    assert user["live_tokens"] == 1
    for words in (("token", "list"), ("system-user", "list"), ("app", "list"), ("audit", "show")):
        assert token not in line(*words).output
    assert "There is no such system user" in line("token", "list", "--system-user", "6").stderr


def test_a_revoked_token_opens_nothing(line: Line):
    token = issued(line)
    (listed,) = line.json("token", "list")

    done = line("token", "revoke", listed["reference"])
    again = line("token", "revoke", listed["reference"])

    assert done.stdout == f"revoked {listed['reference']} of My system user\n"
    assert again.stderr == "nightlatch: There is no such access token; see: nightlatch token list\n"
    with pytest.raises(e.AccessTokenRefused):
        whose(line, token)


def test_without_tokens_the_list_says_how_to_get_one(line: Line):
    assert "nightlatch token issue" in line("token", "list").stdout
    assert "nightlatch app add" in line("app", "list").stdout
    assert "nightlatch system-user add" in line("system-user", "list").stdout
    assert line("webhook", "list").stdout == "no deliveries\n"


# System users


def test_an_employee_sees_the_accounts_it_was_granted(line: Line):
    (waba,) = line.json("wabas", "list")
    added = line("system-user", "add", "Till", "--role", "employee", "--waba", waba["id"])
    (user,) = line.json("system-user", "list")

    nothing = line("system-user", "grant", user["id"], "--role", "employee")
    everything = line("system-user", "grant", user["id"], "--role", "admin")

    assert added.stdout == f"added {user['id']} (Till) as employee\n"
    assert (user["role"], user["accounts"]) == ("employee", waba["id"])
    assert nothing.stdout == f"{user['id']} (Till) is employee and sees no account\n"
    assert everything.stdout == f"{user['id']} (Till) is admin and sees every account\n"
    assert line.json("system-user", "list")[0]["accounts"] == "all"


def test_no_unknown_account_is_granted(line: Line):
    done = line("system-user", "add", "Till", "--role", "employee", "--waba", "3" * 15)

    assert done.exit_code == 1
    assert "There is no such WhatsApp account" in done.stderr
    assert line.json("system-user", "list") == []


def test_removing_a_system_user_ends_its_tokens(line: Line):
    token = issued(line)
    (user,) = line.json("system-user", "list")

    done = line("system-user", "remove", user["id"])

    assert done.stdout == f"removed {user['id']} (My system user)\n"
    with pytest.raises(e.AccessTokenRefused):
        whose(line, token)
    assert "There is no such system user" in line("system-user", "remove", user["id"]).stderr


# Apps


def test_an_apps_secret_is_printed_once_and_renewed(line: Line):
    added = line("app", "add", "Shop floor")
    (app,) = line.json("app", "list")
    (first,) = re.findall(r"^  ([0-9a-f]{32})$", added.stdout, re.MULTILINE)

    renewed = line("app", "secret", app["id"])

    second = renewed.stdout.strip()
    assert re.fullmatch(r"[0-9a-f]{32}\n", renewed.stdout)
    assert second != first
    assert whose(line, f"{app['id']}|{second}").app.id == app["id"]
    with pytest.raises(e.AccessTokenRefused):
        whose(line, f"{app['id']}|{first}")
    made = line.json("app", "add", "Second")
    assert whose(line, f"{made['id']}|{made['secret']}").app.name == "Second"


def test_a_proof_is_required_and_not_required_any_more(line: Line):
    token = issued(line)
    (app,) = line.json("app", "list")

    on = line("app", "proof", app["id"], "on")

    assert on.stdout == "calls with tokens of My app need a proof\n"
    assert line.json("app", "list")[0]["proof"] == "required"
    with pytest.raises(e.ProofMissing):
        whose(line, token)
    assert line("app", "proof", app["id"], "off").stdout.endswith("need no proof\n")
    assert whose(line, token).app.id == app["id"]
    assert line("app", "proof", app["id"], "maybe").exit_code == 2


def test_removing_an_app_ends_its_tokens(line: Line):
    token = issued(line)
    (app,) = line.json("app", "list")

    done = line("app", "remove", app["id"])

    assert done.stdout == f"removed {app['id']} (My app)\n"
    assert line.json("app", "list") == []
    with pytest.raises(e.AccessTokenRefused):
        whose(line, token)


def test_accounts_are_subscribed_to(line: Line):
    app = line.json("app", "add", "Shop floor")["id"]
    (waba,) = line.json("wabas", "list")

    on = line("app", "subscribe", app)
    heard = line.json("app", "list")[0]["accounts"]
    off = line("app", "subscribe", app, "--waba", waba["id"], "--remove")
    again = line("app", "subscribe", app, "--remove")

    assert on.stdout == f"Shop floor hears about {waba['name']} from now on\n"
    assert heard == 1
    assert off.stdout == f"Shop floor hears no more about {waba['name']}\n"
    assert "not subscribed" in again.stderr
    assert line.json("app", "list")[0]["accounts"] == 0
    line("wabas", "add", "Second shop")
    assert "choose a WhatsApp account with --waba" in line("app", "subscribe", app).stderr
    assert {one["by"] for one in line.json("audit", "show") if "waba.sub" in one["event"]} == {
        "operator"
    }


def test_an_app_is_given_an_address_that_answers(line: Line):
    app = line.json("app", "add", "Shop floor")["id"]

    with receiving() as receiver:
        url = receiver.url
        refused = line("app", "webhook", app, url, "--verify-token", receiver.token)
        wrong = line("app", "webhook", app, url, **PRIVATE)
        done = line(
            "app", "webhook", app, url, "--field", "security",
            **PRIVATE, NIGHTLATCH_VERIFY_TOKEN=receiver.token,
        )  # fmt: skip
    listed = line.json("app", "list")[0]
    gone = line("app", "webhook", app, "--remove")

    assert "--private-receivers" in refused.stderr
    assert "HTTP 403" in wrong.stderr
    assert done.stdout.startswith(f"{url} answered the challenge")
    assert (listed["webhooks_to"], listed["fields"]) == (url, "security")
    assert gone.stdout == "webhooks of Shop floor go nowhere any more\n"
    assert line.json("app", "list")[0]["webhooks_to"] is None


@pytest.mark.parametrize("words", [(), ("https://receiver.example/", "--remove")])
def test_an_address_is_either_set_or_removed(line: Line, words):
    app = line.json("app", "add", "Shop floor")["id"]

    assert line("app", "webhook", app, *words).exit_code == 2


@pytest.mark.parametrize(
    "words",
    [("secret",), ("webhook", "--remove"), ("proof", "on"), ("subscribe",), ("remove",)],
    ids=lambda words: words[0],
)
def test_an_unknown_app_is_refused(line: Line, words):
    done = line("app", words[0], "5" * 15, *words[1:])

    assert done.exit_code == 1
    assert done.stderr == "nightlatch: There is no such app; see: nightlatch app list\n"


# Webhooks


def test_a_delivery_is_listed_shown_and_sent_again(line: Line):
    app = line.json("app", "add", "Shop floor")
    with receiving() as receiver:
        receiver.secret = app["secret"]
        line("app", "webhook", app["id"], receiver.url, "--verify-token", receiver.token, **PRIVATE)
        line("app", "subscribe", app["id"])
        within(line, _declined)
        receiver.answers = lambda _: answer(404, b"nobody here")
        within(line, lambda house: webhooks.deliver(house.world, hooks.Receiver(app["id"])))
        (waiting,) = line.json("webhook", "list")
        shown = line.json("webhook", "show", str(waiting["key"]))
        receiver.answers = lambda _: answer(200, b"thanks")

        again = line("webhook", "send-again", str(waiting["key"]))
        within(
            line, lambda house: webhooks.deliver(house.world, hooks.Receiver(app["id"])), later=60
        )

    assert (waiting["state"], waiting["status"], waiting["attempts"]) == ("waiting", 404, 1)
    assert waiting["field"] == "phone_number_name_update"
    assert (shown["answer"], shown["fault"]) == ("nobody here", "it answered HTTP 404")
    assert shown["next_attempt"] is not None
    (change,) = shown["payload"]["entry"][0]["changes"]
    assert change["value"]["decision"] == "REJECTED"
    assert again.stdout == f"delivery {waiting['key']} is on its way again\n"
    (done,) = line.json("webhook", "list", "--app", app["id"])
    assert (done["state"], done["status"], done["fault"]) == ("delivered", 200, None)
    assert len(receiver.updates) == 2
    text = line("webhook", "show", str(done["key"])).stdout
    assert '"object": "whatsapp_business_account"' in text
    assert "thanks" in text
    assert str(done["key"]) in line("webhook", "list").stdout


async def _declined(house: House) -> None:
    """A display name that was asked for is not good."""
    from dataclasses import replace

    world = replace(house.world, review_names=True)
    number = await numbers.find_number(world, E164)
    asked = await numbers.ask_name(world, number, "Lucky Bush")
    await numbers.decline_name(world, asked)


@pytest.mark.parametrize("command", ["show", "send-again"])
def test_an_unknown_delivery_is_refused(line: Line, command: str):
    done = line("webhook", command, "999")

    assert done.exit_code == 1
    assert done.stderr == "nightlatch: There is no such delivery; see: nightlatch webhook list\n"
    assert line("webhook", command, "x").exit_code == 2


def test_deliveries_to_an_unknown_app_are_refused(line: Line):
    assert "There is no such app" in line("webhook", "list", "--app", "5").stderr


# Numbers


def test_a_number_shows_whether_it_is_verified(line: Line):
    assert line.json("numbers", "show", E164)["code_state"] == "VERIFIED"
