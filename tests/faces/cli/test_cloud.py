"""Linked accounts, the vault and the doctor by the command line, with a Meta in memory."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from nightlatch import bootstrap
from nightlatch.adapters.hashing import CHEAP
from nightlatch.adapters.system import SteadyClock, SteppedClock
from nightlatch.bootstrap import House
from nightlatch.domain import linked
from nightlatch.domain.linked import Reason
from nightlatch.domain.links import MANAGES, TokenFacts
from nightlatch.settings import Settings
from nightlatch.usecases.linked import find_linked
from tests.faces.cli.conftest import Line
from tests.fakes.cloud import LOST_BUT_DONE, TOKEN, UNSENT, WABA, AtMeta, FakeCloud, Refuse
from tests.people import E164, OWNER, THIEF

GARDEN, BERLIN, PARIS = "+16315552001", "+4930901820", "+33170189900"
SECRET = "the-app-secret-of-the-town"
OTHER_TOKEN = "EAA-another-token"
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class CloudLine(Line):
    """The command line of a Nightlatch whose Meta is *cloud*; time passes with ``later``."""

    cloud: FakeCloud = field(default_factory=lambda: FakeCloud(SteadyClock()))
    passed: list[timedelta] = field(default_factory=list)

    def later(self, by: timedelta) -> None:
        self.passed.append(by)

    @asynccontextmanager
    async def _opened(self, settings: Settings) -> AsyncIterator[House]:
        def clock(not_before: Any) -> SteppedClock:
            stepped = SteppedClock(not_before)
            stepped.step(sum(self.passed, timedelta(0)))
            return stepped

        async with bootstrap.open_house(settings, cost=CHEAP, clock=clock) as house:
            self.cloud.clock = house.clock
            yield replace(house, world=replace(house.world, cloud=self.cloud))

    def open_house(self, settings: Settings) -> AbstractAsyncContextManager[House]:
        return self._opened(settings)

    def link(self, *words: str, **env: Any) -> Result:
        return self("cloud", "link", WABA, *words, typed=f"{TOKEN}\n", **env)

    def done(self, *words: str, **more: Any) -> str:
        """What it prints when it succeeds."""
        result = self(*words, **more)
        assert result.exit_code == 0, result.output
        return result.stdout

    def revealed(self, e164: str) -> dict[str, Any]:
        return dict(self.json("vault", "show", e164, "--yes"))


@pytest.fixture
def fresh(template: Path, tmp_path: Path) -> CloudLine:
    """Nothing is linked."""
    return CloudLine(Path(shutil.copytree(template, tmp_path / "data")))


@pytest.fixture
def garden(fresh: CloudLine) -> AtMeta:
    """A registered number with a PIN that the vault does not know."""
    return fresh.cloud.add_registered(GARDEN, OWNER.pin)


@pytest.fixture
def cloud(fresh: CloudLine, garden: AtMeta) -> CloudLine:
    """The account is linked, with its one number."""
    assert fresh.link().exit_code == 0
    return fresh


def within(line: CloudLine, work: Callable[[House], Coroutine[Any, Any, None]]) -> None:
    """What a server on this folder would do."""

    async def inside() -> None:
        async with line.open_house(Settings(data=line.data)) as house:
            await work(house)

    asyncio.run(inside())


def flat(text: str) -> str:
    return " ".join(text.split())


# Linking


def test_linking_says_what_meta_must_be_told_and_finds_the_numbers(
    fresh: CloudLine,
    garden: AtMeta,
):
    fresh.cloud.add(E164)  # this registry has it itself

    done = fresh.link()

    assert done.exit_code == 0
    verify = fresh.done("cloud", "show", WABA, "--verify-token").strip()
    assert f"linked {WABA} (Garden shop)" in done.stdout
    assert f"/cloud/{WABA}/webhook" in done.stdout
    assert verify in done.stdout
    assert "2 numbers in Garden shop, 1 of them new here" in done.stdout
    assert f"left out, because this registry has it or it cannot be read: {E164}" in done.stdout
    (row,) = fresh.json("cloud", "list")
    assert (row["waba"], row["numbers"], row["token"]) == (WABA, 1, "good")
    assert TOKEN not in done.output + fresh("cloud", "show", WABA).output


def test_linking_tells_programs_the_same(fresh: CloudLine):
    told = json.loads(fresh.link("--json").stdout)

    assert told["verify_token"] == fresh.done("cloud", "show", WABA, "--verify-token").strip()
    assert (told["name"], told["numbers"], told["skipped"]) == ("Garden shop", 0, [])


def test_token_and_secret_come_from_the_environment_too(fresh: CloudLine):
    done = fresh(
        "cloud", "link", WABA, "--client", "thief", "--set-again",
        NIGHTLATCH_CLOUD_TOKEN=TOKEN, NIGHTLATCH_CLOUD_SECRET=SECRET,
    )  # fmt: skip

    assert done.exit_code == 0
    shown = fresh.json("cloud", "show", WABA)
    assert (shown["app_secret"], shown["clients"], shown["set_again"]) == ("kept", "thief", "yes")
    assert SECRET not in fresh("cloud", "show", WABA).output


def test_the_app_secret_is_the_second_line_of_standard_input(fresh: CloudLine):
    done = fresh("cloud", "link", WABA, typed=f"{TOKEN}\n{SECRET}\n")

    assert done.exit_code == 0
    assert fresh.json("cloud", "show", WABA)["app_secret"] == "kept"


@pytest.mark.parametrize(
    ("typed", "words", "said"),
    [
        ("EAA-revoked\n", (), "Meta refuses the access token or the app secret"),
        ("", (), "token must be an access token"),
        (f"{TOKEN}\n", ("--base", "http://graph.example"), "base must be an https address"),
        (f"{TOKEN}\n", ("--version", "23"), "version must be a version of the Graph API"),
        (f"{TOKEN}\n", ("--client", "nobody"), "There is no such client"),
        (f"{TOKEN}\n", ("--portfolio", "1"), "There is no such portfolio"),
    ],
)
def test_what_does_not_fit_links_nothing(fresh: CloudLine, typed, words, said):
    done = fresh("cloud", "link", WABA, *words, typed=typed)

    assert done.exit_code == 1
    assert said in done.stderr
    assert fresh.json("cloud", "list") == []
    assert "nightlatch cloud link" in fresh.done("cloud", "list")


def test_an_account_is_linked_once(cloud: CloudLine):
    again = cloud.link()

    assert again.exit_code == 1
    assert "The account is linked already" in again.stderr


def test_another_token_is_kept_once_meta_takes_it(cloud: CloudLine):
    refused = cloud("cloud", "token", WABA, NIGHTLATCH_CLOUD_TOKEN=OTHER_TOKEN)
    cloud.cloud.tokens[OTHER_TOKEN] = TokenFacts(True, frozenset(), "1")
    unfit = cloud("cloud", "token", WABA, NIGHTLATCH_CLOUD_TOKEN=OTHER_TOKEN)
    ends = cloud.cloud.clock.now() + 72 * HOUR
    cloud.cloud.tokens = {OTHER_TOKEN: TokenFacts(True, frozenset({MANAGES}), "1", "", ends)}
    renewed = cloud("cloud", "token", WABA, NIGHTLATCH_CLOUD_TOKEN=OTHER_TOKEN)

    assert (refused.exit_code, unfit.exit_code, renewed.exit_code) == (1, 1, 0)
    assert "it lacks the permission whatsapp_business_management" in unfit.stderr
    assert "good until " in renewed.stdout
    assert cloud.done("cloud", "read", WABA).startswith("1 number in Garden shop, 0 of them new")
    for done in (refused, unfit, renewed):
        assert OTHER_TOKEN not in done.output


def test_a_token_that_was_revoked_is_shown_so(cloud: CloudLine):
    cloud.cloud.revoke()

    done = cloud("cloud", "read", WABA)

    assert done.exit_code == 1
    assert "nightlatch cloud token" in done.stderr
    assert cloud.json("cloud", "list")[0]["token"].startswith("refused since ")


def test_a_link_is_changed_by_what_is_named(cloud: CloudLine):
    done = cloud(
        "cloud", "change", WABA, "--version", "v24.0", "--set-again", "--client", "main",
        "--client", "thief", "--ask-secret", typed=f"{SECRET}\n",
    )  # fmt: skip
    nothing = cloud("cloud", "change", WABA)

    assert done.exit_code == 0
    assert nothing.exit_code == 2
    shown = cloud.json("cloud", "show", WABA)
    assert (shown["version"], shown["clients"], shown["app_secret"], shown["set_again"]) == (
        "v24.0", "main, thief", "kept", "yes",
    )  # fmt: skip


def test_a_subscription_says_where_webhooks_must_go(cloud: CloudLine):
    done = cloud.done("cloud", "subscribe", WABA)

    assert f"/cloud/{WABA}/webhook" in done
    assert cloud.json("cloud", "list")[0]["webhooks"].startswith("subscribed")
    assert cloud.cloud.count("subscribe") == 1


def test_unlinking_asks_first_because_it_forgets_pins(cloud: CloudLine):
    asked = cloud("cloud", "unlink", WABA, typed="n\n")
    kept = cloud.json("cloud", "list")
    done = cloud("cloud", "unlink", WABA, "--yes")

    assert asked.exit_code == 1
    assert "with 1 number and every PIN that the vault has of them?" in asked.stderr
    assert len(kept) == 1
    assert done.stdout == f"unlinked {WABA} (Garden shop)\n"
    assert cloud.json("cloud", "list") == []
    assert "No such account is linked" in cloud("cloud", "show", WABA).stderr


# Numbers


def test_numbers_are_listed_as_meta_showed_them(cloud: CloudLine):
    (row,) = cloud.json("cloud", "numbers", WABA)

    assert row == {
        "number": GARDEN, "name": "Lucky Shrub", "status": "CONNECTED",
        "pin": "on, not in the vault", "served_by": None, "alerts": 0,
    }  # fmt: skip


def test_a_number_is_found_in_any_spelling_and_shown_with_its_ledger(cloud: CloudLine):
    cloud.done("cloud", "register", GARDEN, NIGHTLATCH_PIN=OWNER.pin)

    shown = cloud.json("cloud", "number", "1 (631) 555-2001")
    told = flat(cloud.done("cloud", "number", GARDEN))

    registering = next(one for one in shown["tries"] if one["of"] == "registering")
    assert (registering["made"], registering["safe_tries_left"]) == (1, 8)
    assert (shown["served_by"], shown["pin"]) == ("main", "on, in the vault")
    assert shown["events"][-1]["event"] == "cloud.number_found"
    assert "Registered by client main." in told
    assert OWNER.pin not in told + json.dumps(shown)


def test_a_number_that_no_account_has_is_refused(cloud: CloudLine):
    done = cloud("cloud", "number", PARIS)

    assert done.exit_code == 1
    assert "No linked account has this number" in done.stderr


def test_a_wrong_pin_goes_to_meta_once_and_no_second_before_it_is_safe(cloud: CloudLine):
    wrong = cloud("cloud", "register", GARDEN, NIGHTLATCH_PIN=THIEF.wrong_pin)
    again = cloud("cloud", "register", GARDEN, NIGHTLATCH_PIN=THIEF.wrong_pin)

    assert (wrong.exit_code, again.exit_code) == (1, 1)
    assert wrong.stderr == "nightlatch: The PIN is wrong, and was counted.\n"
    assert "registering is not safe now, because Meta could lock the number out" in again.stderr
    assert cloud.cloud.count("register") == 1


def test_a_registration_needs_a_pin_that_somebody_knows(cloud: CloudLine):
    without = cloud("cloud", "register", GARDEN)
    malformed = cloud("cloud", "register", GARDEN, "--ask-pin", typed="2718\n")
    brought = ("--ask-pin",)
    closed = cloud(
        "cloud", "register", GARDEN, "--client", "thief", *brought, typed=f"{OWNER.pin}\n"
    )
    opened = cloud("cloud", "change", WABA, "--client", "main", "--client", "thief")
    with_it = cloud("cloud", "register", GARDEN, "--client", "thief", *brought,
                    typed=f"{OWNER.pin}\n")  # fmt: skip

    assert (closed.exit_code, opened.exit_code) == (1, 0)
    assert "client must be one that the account is open to: main" in closed.stderr
    assert "nightlatch vault keep" in without.stderr
    assert "pin must be a string of exactly six digits" in malformed.stderr
    assert "2718" not in malformed.output
    assert cloud.cloud.count("register") == 1
    assert f"{GARDEN} is registered, and client thief serves it" in with_it.stdout
    assert cloud.revealed(GARDEN)["pin"] == OWNER.pin


def test_the_last_safe_try_is_kept_back_until_it_is_forced(cloud: CloudLine):
    cloud.done("vault", "keep", GARDEN, NIGHTLATCH_PIN=OWNER.pin)
    for _ in range(9):
        cloud.done("cloud", "register", GARDEN)

    kept = cloud("cloud", "register", GARDEN)
    forced = cloud("cloud", "register", GARDEN, "--force")
    cloud.later(HOUR / 2)
    spent = cloud("cloud", "register", GARDEN, "--force")

    assert (kept.exit_code, forced.exit_code, spent.exit_code) == (1, 0, 1)
    assert "the one try that is left is kept back, and --force spends it" in kept.stderr
    assert "Try again in 2 d 23 h." in spent.stderr
    assert cloud.cloud.count("register") == 10


def test_a_number_is_let_go_of_at_meta_or_only_here(cloud: CloudLine):
    cloud.done("cloud", "register", GARDEN, NIGHTLATCH_PIN=OWNER.pin)

    released = cloud.done("cloud", "release", GARDEN)
    again = cloud.done("cloud", "release", GARDEN)
    still = cloud.cloud.phones[_id(cloud)].registered
    deregistered = cloud.done("cloud", "deregister", GARDEN)

    assert released == f"client main serves {GARDEN} no more\n"
    assert again == f"no client served {GARDEN}\n"
    assert still
    assert deregistered == f"{GARDEN} is registered no more\n"
    assert not cloud.cloud.phones[_id(cloud)].registered


def _id(cloud: CloudLine) -> str:
    return next(iter(cloud.cloud.phones))


def test_wrong_pins_that_never_went_to_meta_are_forgiven_by_a_person(cloud: CloudLine):
    cloud.done("vault", "keep", GARDEN, NIGHTLATCH_PIN=OWNER.pin)
    for _ in range(5):
        assert cloud("cloud", "register", GARDEN, NIGHTLATCH_PIN=THIEF.wrong_pin).exit_code == 1
    waiting = cloud("cloud", "register", GARDEN, NIGHTLATCH_PIN=OWNER.pin)

    unlocked = cloud.done("cloud", "unlock", GARDEN)

    assert "Try again in 1 min" in waiting.stderr or "Try again in 5" in waiting.stderr
    assert unlocked == f"unlocked {GARDEN}\n"
    assert cloud("cloud", "register", GARDEN, NIGHTLATCH_PIN=OWNER.pin).exit_code == 0
    assert cloud.cloud.count("register") == 1


def test_alerts_are_printed_when_somebody_has_seen_them(cloud: CloudLine):
    async def ring(house: House) -> None:
        number, now = await find_linked(house.world, GARDEN), house.world.clock.now()
        await house.world.update_linked(
            number.id, lambda n: linked.turn_off_asked(n, "61555822107539", now, now)
        )

    within(cloud, ring)
    (row,) = cloud.json("cloud", "numbers", WABA)
    doctor = cloud("doctor", GARDEN, "--known")
    shown = cloud.json("cloud", "number", GARDEN)

    seen = cloud.done("cloud", "seen", GARDEN)

    assert row["alerts"] == 1
    assert "pressed “Turn off two-step verification”" in shown["alerts"][0]
    assert "pressed “Turn off two-step verification”" in flat(doctor.stdout)
    assert f"nightlatch cloud seen {GARDEN}" in doctor.stdout
    assert "User 61555822107539 of Meta's pressed" in seen
    assert cloud.json("cloud", "numbers", WABA)[0]["alerts"] == 0


def test_the_audit_trail_tells_of_a_linked_number_and_nobodys_secret(cloud: CloudLine):
    cloud.done("vault", "keep", GARDEN, NIGHTLATCH_PIN=OWNER.pin)
    cloud.revealed(GARDEN)

    events = cloud.json("audit", "show", "--number", GARDEN)

    assert [one["event"] for one in events] == [
        "cloud.number_found", "vault.pin_kept", "vault.pin_revealed",
    ]  # fmt: skip
    trail = cloud.done("audit", "export")
    assert OWNER.pin not in trail
    assert TOKEN not in trail


# The checklist


def test_the_checklist_exits_with_1_while_something_is_missing(cloud: CloudLine):
    missing = cloud("cloud", "checklist", GARDEN)
    moving = cloud("cloud", "checklist", GARDEN, "--moving")
    cloud.done("vault", "keep", GARDEN, NIGHTLATCH_PIN=OWNER.pin)
    cloud.done("cloud", "change", WABA, "--ask-secret", NIGHTLATCH_CLOUD_SECRET=SECRET)
    cloud.done("cloud", "subscribe", WABA)
    there = cloud("cloud", "checklist", GARDEN)

    assert (missing.exit_code, moving.exit_code, there.exit_code) == (1, 1, 0)
    assert "MISSING  The PIN is not known" in missing.stdout
    assert "missing: 2 of 9" in missing.stdout
    assert "MISSING  Two-step verification is not off" in moving.stdout
    assert "nothing is missing" in there.stdout
    items = json.loads(cloud("cloud", "checklist", GARDEN, "--moving", "--json").stdout)
    assert [one["item"] for one in items if not one["passed"]] == ["pin_off"]


# The vault


def test_a_pin_is_shown_once_somebody_says_yes(cloud: CloudLine):
    cloud.done("vault", "keep", GARDEN, typed=f"{OWNER.pin}\n")

    no = cloud("vault", "show", GARDEN, typed="n\n")
    yes = cloud("vault", "show", GARDEN, typed="y\n")

    assert no.exit_code == 1
    assert OWNER.pin not in no.output
    assert yes.stdout == f"{OWNER.pin}\n"
    assert cloud.revealed(GARDEN) == {"pin": OWNER.pin, "maybe": [], "doubted": False}


def test_a_vault_without_a_pin_says_how_to_tell_it(cloud: CloudLine):
    done = cloud("vault", "show", GARDEN, "--yes")

    assert done.exit_code == 1
    assert "nightlatch vault keep" in done.stderr


def test_a_pin_of_ones_choice_is_set_at_meta_without_the_old_one(cloud: CloudLine, garden: AtMeta):
    done = cloud.done("vault", "set", GARDEN, typed=f"{OWNER.new_pin}\n")

    assert done == f"{GARDEN} has the new PIN, and the vault, too\n"
    assert garden.pin == OWNER.new_pin
    assert cloud.revealed(GARDEN)["pin"] == OWNER.new_pin


def test_a_pin_that_meta_did_not_answer_is_shown_beside_the_one_before(cloud: CloudLine):
    cloud.done("vault", "keep", GARDEN, NIGHTLATCH_PIN=OWNER.pin)
    cloud.cloud.script("set_pin", LOST_BUT_DONE)

    unknown = cloud("vault", "set", GARDEN, NIGHTLATCH_PIN=OWNER.new_pin)
    again = cloud("vault", "set", GARDEN, NIGHTLATCH_PIN=OWNER.new_pin)
    shown = cloud.done("vault", "show", GARDEN, "--yes")

    assert "Meta did not answer setting the PIN, and it is not known yet" in unknown.stderr
    assert "it is not known yet" in again.stderr
    assert cloud.cloud.count("set_pin") == 1
    assert shown.splitlines() == [
        f"{OWNER.pin}  taken by Meta last, as far as is known",
        f"{OWNER.new_pin}  sent later, and it is not known whether Meta took it",
    ]


def test_numbers_get_pins_that_only_the_vault_knows(cloud: CloudLine, garden: AtMeta):
    berlin = cloud.cloud.add_registered(BERLIN, OWNER.pin)
    cloud.done("cloud", "read", WABA)

    done = cloud.done("vault", "rotate", GARDEN, "+49 30 901820")

    assert done == "2 PINs are new\n"
    assert len({OWNER.pin, garden.pin, berlin.pin}) == 3
    assert cloud.revealed(GARDEN)["pin"] == garden.pin
    assert cloud.revealed(BERLIN)["pin"] == berlin.pin


def test_a_rotation_that_stops_early_says_how_to_go_on_and_goes_on(cloud: CloudLine):
    for e164 in (BERLIN, PARIS):
        cloud.cloud.add_registered(e164, OWNER.pin)
    cloud.done("cloud", "read", WABA)
    cloud.cloud.script("set_pin", Refuse(Reason.LOCKED), UNSENT)

    first = cloud("vault", "rotate", "--account", WABA)
    on = first.stderr.strip().rpartition("to go on with those that are left: nightlatch ")[2]
    second = cloud(*on.split(), "--json")

    assert first.exit_code == 1
    assert first.stdout == "0 PINs are new\n"
    assert f"{GARDEN}: Meta says that the account is locked" in first.stderr
    assert f"{PARIS}: Meta could not be reached" in first.stderr
    told = {one["number"]: one["rotated"] for one in json.loads(second.stdout)}
    assert told == {GARDEN: False, PARIS: True, BERLIN: True}
    assert second.exit_code == 1
    assert cloud.cloud.count("set_pin") == 4


def test_a_rotation_leaves_out_pins_that_are_young_enough(cloud: CloudLine, garden: AtMeta):
    cloud.done("vault", "set", GARDEN, NIGHTLATCH_PIN=OWNER.new_pin)
    cloud.later(2 * HOUR)

    young = cloud.done("vault", "rotate", "--account", WABA, "--older-than", "3h")
    old = cloud.done("vault", "rotate", "--account", WABA, "--older-than", "90min")
    long_ago = cloud.done(
        "vault", "rotate", "--account", WABA, "--older-than", "2020-01-01T00:00:00"
    )

    assert (young, old, long_ago) == ("0 PINs are new\n", "1 PIN is new\n", "0 PINs are new\n")
    assert garden.pin != OWNER.new_pin


@pytest.mark.parametrize(
    "words",
    [(), (GARDEN, "--account", WABA), (GARDEN, "--older-than", "1d"),
     ("--account", WABA, "--older-than", "soon"), ("--account", WABA, "--older-than", "1y")],
)  # fmt: skip
def test_what_no_rotation_can_be_is_a_wrong_command(fresh: CloudLine, words):
    assert fresh("vault", "rotate", *words).exit_code == 2


def test_a_rotation_of_an_account_that_is_not_linked_rotates_nothing(fresh: CloudLine):
    done = fresh("vault", "rotate", "--account", WABA)

    assert done.exit_code == 1
    assert done.stdout == ""
    assert "nightlatch cloud list" in done.stderr


# The doctor


def test_the_doctor_says_what_is_true_what_would_happen_and_what_to_do(cloud: CloudLine):
    done = cloud("doctor")

    assert done.exit_code == 0
    told = flat(done.stdout)
    assert "+1 631-555-2001 Lucky Shrub" in told
    assert "A PIN is on at Meta and the vault does not know it" in told
    assert "registering It needs the PIN that is set at Meta" in told
    assert f"nightlatch vault rotate {GARDEN}" in told
    assert told.count("the app is not subscribed to the account") == 1
    assert told.endswith("1 number: 0 fine, 1 with warnings, 0 blocked")


def test_the_doctor_finds_a_number_fine(cloud: CloudLine):
    cloud.done("cloud", "change", WABA, "--ask-secret", NIGHTLATCH_CLOUD_SECRET=SECRET)
    cloud.done("cloud", "subscribe", WABA)
    cloud.done("cloud", "register", GARDEN, NIGHTLATCH_PIN=OWNER.pin)

    done = cloud.done("doctor", GARDEN)

    assert "Nothing: it is registered, and client main serves it." in done
    assert "1 number: 1 fine, 0 with warnings, 0 blocked" in done


def test_the_doctor_exits_with_1_where_a_number_is_blocked(cloud: CloudLine):
    cloud.cloud.add_registered(BERLIN, on_app=True)

    done = cloud("doctor", "--account", WABA, "--json")

    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["summary"] == {"fine": 0, "warned": 1, "blocked": 1}
    blocked = next(one for one in told["numbers"] if one["blocked"])
    assert (blocked["number"], blocked["registering"], blocked["next"]) == (
        BERLIN, "refused", "leave_app",
    )  # fmt: skip
    assert blocked["command"] is None


def test_the_doctor_asks_nobody_for_what_is_known(cloud: CloudLine):
    cloud.cloud.calls.clear()

    whole, one = cloud("doctor", "--known"), cloud("doctor", GARDEN, "--known")

    assert (whole.exit_code, one.exit_code) == (0, 0)
    assert cloud.cloud.calls == []


def test_the_doctor_tells_what_is_known_where_meta_cannot_be_asked(cloud: CloudLine):
    cloud.cloud.down = UNSENT

    whole, one = cloud("doctor"), cloud("doctor", GARDEN)

    for done in (whole, one):
        assert done.exit_code == 1
        assert "could not be read: Meta could not be reached" in done.stderr
        assert "+1 631-555-2001" in done.stdout


def test_the_doctor_of_nothing_says_how_to_begin(fresh: CloudLine):
    nothing = fresh.done("doctor")
    fresh.link()

    empty = fresh.done("doctor")

    assert "nightlatch cloud link" in nothing
    assert "no numbers" in empty
    assert fresh("doctor", GARDEN, "--account", WABA).exit_code == 2
    assert "No such account is linked" in fresh("doctor", "--account", "12345").stderr
