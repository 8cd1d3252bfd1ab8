"""What is true of a number at the Cloud API, and the next step: a row for each finding."""

from dataclasses import replace
from typing import Any

import pytest

from nightlatch.domain import diagnosis, linked
from nightlatch.domain.diagnosis import Check, Item, Level, Prospect, Step, Trouble
from nightlatch.domain.guesses import Guesses
from nightlatch.domain.ledger import Act, Ledger
from nightlatch.domain.linked import Alert, Health, HealthError
from nightlatch.domain.links import MANAGES
from nightlatch.domain.vault import Vault
from tests.domain.samples import DAY, GOOD, HOUR, MICRO, TOKEN, a_link, a_linked, a_pin, shown
from tests.people import NOON

AWAY: dict[str, Any] = {"status": "DISCONNECTED", "platform": "NOT_APPLICABLE"}
UNVERIFIED: dict[str, Any] = {**AWAY, "code_state": "NOT_VERIFIED"}
FINE = {"vault": GOOD.confirm(NOON)}


def spent(count: int, act: Act = Act.REGISTER) -> Ledger:
    return Ledger(tuple((act, NOON) for _ in range(count)))


def under_way():
    return linked.begin(a_linked(), Act.CODE, "key", "x", NOON).number.under_way


def diagnosed(number=None, link=None, now=NOON, **changes) -> diagnosis.Diagnosis:
    number = a_linked(**(FINE | changes)) if number is None else number
    return diagnosis.diagnose(number, a_link() if link is None else link, now)


def found(one: diagnosis.Diagnosis) -> dict[Trouble, Level]:
    return {finding.trouble: finding.level for finding in one.findings}


def test_of_a_number_that_is_well_nothing_is_found():
    well = diagnosed()

    assert (well.findings, well.prospect, well.step) == ((), Prospect.NOTHING, Step.NOTHING)
    assert not well.is_blocked
    assert well == diagnosis.Diagnosis(a_linked(**FINE), a_link(), (), well.prospect, well.step)


LINKS = [
    ({"lost_at": NOON}, Trouble.ACCESS_LOST, Level.BLOCKS),
    ({"facts": replace(TOKEN, expires_at=NOON + 14 * DAY)}, Trouble.TOKEN_ENDS, Level.WARNS),
    ({"facts": replace(TOKEN, data_ends_at=NOON)}, Trouble.TOKEN_ENDS, Level.WARNS),
    (
        {"facts": replace(TOKEN, scopes=frozenset({MANAGES}))},
        Trouble.MESSAGES_MISSING,
        Level.TELLS,
    ),
    ({"subscribed": False}, Trouble.NOT_SUBSCRIBED, Level.WARNS),
    ({"secret": None}, Trouble.NO_SECRET, Level.WARNS),
    ({"read_at": NOON + HOUR + MICRO}, Trouble.NOT_LISTED, Level.BLOCKS),
]
NUMBERS = [
    ({"facts": shown(on_app=True)}, Trouble.ON_APP, Level.BLOCKS),
    ({"facts": shown(platform="ON_PREMISE")}, Trouble.HELD_ELSEWHERE, Level.WARNS),
    ({"facts": shown(status="RATE_LIMITED")}, Trouble.STATUS, Level.WARNS),
    ({"facts": shown(status="BANNED")}, Trouble.STATUS, Level.BLOCKS),
    ({"facts": shown(**AWAY)}, Trouble.NOT_REGISTERED, Level.WARNS),
    ({"facts": shown(**UNVERIFIED)}, Trouble.NOT_VERIFIED, Level.WARNS),
    ({"facts": shown(**AWAY | {"code_state": "EXPIRED"})}, Trouble.CODE_EXPIRED, Level.WARNS),
    ({"holder": None}, Trouble.NOT_SERVED, Level.TELLS),
    ({"facts": shown(name_state="PENDING_REVIEW")}, Trouble.NAME_WAITS, Level.WARNS),
    ({"facts": shown(new_name_state="PENDING_REVIEW")}, Trouble.NAME_WAITS, Level.WARNS),
    ({"facts": shown(name_state="DECLINED")}, Trouble.NAME_DECLINED, Level.WARNS),
    ({"facts": shown(name_state="EXPIRED")}, Trouble.NAME_DECLINED, Level.WARNS),
    ({"facts": shown(new_name_state="DECLINED")}, Trouble.NAME_DECLINED, Level.WARNS),
    ({"name_asked": "New", "name_approved_at": NOON}, Trouble.NAME_TO_APPLY, Level.WARNS),
    ({"facts": shown(pin_on=False)}, Trouble.PIN_OFF, Level.WARNS),
    ({"vault": Vault()}, Trouble.PIN_NOT_IN_VAULT, Level.WARNS),
    ({"vault": GOOD.doubt()}, Trouble.PIN_DOUBTED, Level.WARNS),
    ({"vault": GOOD.keep(a_pin("new"))}, Trouble.PIN_MAYBE, Level.WARNS),
    ({"off_asked_at": NOON}, Trouble.OFF_REMEMBERED, Level.WARNS),
    ({"under_way": under_way()}, Trouble.OUTCOME_UNKNOWN, Level.BLOCKS),
    ({"ledger": spent(7)}, Trouble.LEDGER_LOW, Level.WARNS),
    ({"ledger": spent(9)}, Trouble.LEDGER_CLOSED, Level.BLOCKS),
    ({"ledger": spent(19, Act.PIN)}, Trouble.LEDGER_CLOSED, Level.WARNS),
    ({"guesses": Guesses(locked=True)}, Trouble.GUESSES_CLOSED, Level.WARNS),
    ({"guesses": Guesses(run=5, since=NOON)}, Trouble.GUESSES_CLOSED, Level.WARNS),
    ({"facts": shown(webhook="https://x.example/")}, Trouble.WEBHOOKS_ELSEWHERE, Level.WARNS),
    ({"alerts": (Alert("PIN_CHANGED", NOON),)}, Trouble.ALERT, Level.WARNS),
]


@pytest.mark.parametrize(("changes", "trouble", "level"), LINKS)
def test_what_is_found_of_the_account(changes, trouble, level):
    assert found(diagnosed(link=a_link(**changes))) == {trouble: level}


@pytest.mark.parametrize(("changes", "trouble", "level"), NUMBERS)
def test_what_is_found_of_the_number(changes, trouble, level):
    one = diagnosed(**changes)

    assert found(one)[trouble] is level
    assert one.is_blocked is (Level.BLOCKS in found(one).values())


@pytest.mark.parametrize(
    ("can_send", "level"), [("BLOCKED", Level.WARNS), ("LIMITED", Level.TELLS)]
)
def test_what_meta_says_of_health_is_told_in_its_own_words(can_send, level):
    errors = (HealthError(141006, "No payment", "Add one"), HealthError(141010, "Not verified", ""))
    health = (Health("BUSINESS", "7", can_send, errors), Health("APP", "8", "AVAILABLE"))

    findings = diagnosed(facts=shown(health=health)).findings

    assert [(one.trouble, one.level) for one in findings] == [(Trouble.HEALTH, level)] * 2
    assert dict(findings[0].details) == {
        "entity": "BUSINESS", "code": 141006, "description": "No payment", "solution": "Add one",
    }  # fmt: skip


def test_every_trouble_has_a_row():
    assert {row[1] for row in LINKS + NUMBERS} | {Trouble.HEALTH} == set(Trouble)


@pytest.mark.parametrize(
    "link",
    [
        {"facts": None},
        {"facts": replace(TOKEN, expires_at=NOON + 14 * DAY + MICRO)},
        {"subscribed": None},
        {"read_at": NOON + HOUR},
        {"read_at": NOON + DAY, "cursor": "somewhere"},
    ],
)
def test_what_is_not_known_or_not_near_is_no_finding(link):
    assert diagnosed(link=a_link(**link)).findings == ()


def test_what_is_wrong_with_the_pin_is_told_once():
    for changes in (
        {"facts": shown(pin_on=False), "vault": GOOD.doubt()},
        {"vault": GOOD.keep(a_pin("new")).doubt()},
    ):
        assert len(found(diagnosed(**changes))) == 1


def test_few_attempts_are_told_with_how_many_are_left():
    for used, left in ((6, None), (7, "2"), (8, "1")):
        details = [dict(one.details) for one in diagnosed(ledger=spent(used)).findings]
        assert details == ([] if left is None else [{"act": "register", "left": left}])


@pytest.mark.parametrize(
    ("changes", "prospect"),
    [
        ({"facts": shown(on_app=True)}, Prospect.REFUSED),
        ({"facts": shown(status="BANNED")}, Prospect.REFUSED),
        ({"facts": shown(status="DELETED")}, Prospect.REFUSED),
        ({"facts": shown(status="MIGRATED")}, Prospect.REFUSED),
        ({"under_way": under_way()}, Prospect.LATER),
        ({"ledger": spent(9)}, Prospect.LATER),
        ({}, Prospect.NOTHING),
        ({"facts": shown(**UNVERIFIED)}, Prospect.NEEDS_CODE),
        ({"facts": shown(**AWAY, pin_on=False)}, Prospect.SET_PIN),
        ({"facts": shown(**AWAY)}, Prospect.SUCCEED),
        ({"holder": None}, Prospect.SUCCEED),
        ({"facts": shown(**AWAY), "vault": Vault()}, Prospect.NEEDS_PIN),
        ({"holder": None, "vault": GOOD.doubt()}, Prospect.NEEDS_PIN),
    ],
)
def test_what_registering_now_would_do(changes, prospect):
    assert diagnosed(**changes).prospect is prospect


@pytest.mark.parametrize("link", [{"lost_at": NOON}, {"read_at": NOON + DAY}])
def test_nothing_is_registered_through_an_account_that_does_not_answer_for_it(link):
    assert diagnosed(link=a_link(**link)).prospect is Prospect.REFUSED


STEPS = [
    ({"lost_at": NOON}, {"under_way": under_way()}, Step.RENEW_TOKEN),
    ({}, {"under_way": under_way(), "alerts": (Alert("x", NOON),)}, Step.WAIT_FOR_OUTCOME),
    ({}, {"facts": shown(on_app=True), "alerts": (Alert("x", NOON),)}, Step.LEAVE_APP),
    ({}, {"alerts": (Alert("x", NOON),), "vault": Vault()}, Step.SEE_ALERTS),
    ({}, {"facts": shown(status="BANNED")}, Step.SEE_META),
    ({}, {"vault": Vault(), "ledger": spent(9)}, Step.SET_PIN),
    ({}, {"ledger": spent(9)}, Step.WAIT),
    ({}, {"facts": shown(**UNVERIFIED), "vault": Vault()}, Step.ASK_CODE),
    ({}, {"facts": shown(**AWAY), "vault": Vault()}, Step.FIND_PIN),
    ({}, {"holder": None, "vault": Vault(), "ledger": spent(19, Act.PIN)}, Step.FIND_PIN),
    ({}, {"facts": shown(**AWAY)}, Step.REGISTER),
    ({}, {"name_asked": "New", "name_approved_at": NOON}, Step.APPLY_NAME),
    ({"subscribed": False}, {}, Step.SUBSCRIBE),
    ({}, {}, Step.NOTHING),
]


@pytest.mark.parametrize(("link", "number", "step"), STEPS)
def test_the_next_step_is_the_first_that_applies(link, number, step):
    assert diagnosed(a_linked(**(FINE | number)), a_link(**link)).step is step


def test_every_step_has_a_row():
    assert {row[2] for row in STEPS} == set(Step)


# Before a number moves


def failed(number, link=None, *, moving=False) -> set[Item]:
    checks = diagnosis.checklist(number, link or a_link(), NOON, moving=moving)
    assert len({check.item for check in checks}) == len(checks)
    return {check.item for check in checks if not check.passed}


def test_a_number_that_is_well_lacks_nothing_here_and_only_the_turning_off_elsewhere():
    assert failed(a_linked()) == set()
    assert failed(a_linked(), moving=True) == {Item.PIN_OFF}
    assert failed(a_linked(facts=shown(pin_on=False)), moving=True) == set()


@pytest.mark.parametrize(
    ("number", "link", "item"),
    [
        ({}, {"lost_at": NOON}, Item.ACCESS),
        ({}, {"read_at": NOON + DAY}, Item.LISTED),
        ({"facts": shown(on_app=True)}, {}, Item.NOT_ON_APP),
        ({"facts": shown(name_state="PENDING_REVIEW")}, {}, Item.NAME_APPROVED),
        ({"under_way": under_way()}, {}, Item.NOTHING_UNKNOWN),
        ({"facts": shown(**UNVERIFIED)}, {}, Item.CODE),
        ({"vault": GOOD.doubt()}, {}, Item.PIN_KNOWN),
        ({"ledger": spent(9)}, {}, Item.LEDGER),
        ({}, {"subscribed": None}, Item.WEBHOOKS),
        ({}, {"secret": None}, Item.WEBHOOKS),
    ],
)
def test_what_is_missing_before_a_number_moves(number, link, item):
    one, account = a_linked(**number), a_link(**link)

    assert failed(one, account) == {item}
    known = {check.item for check in diagnosis.checklist(one, account, NOON, moving=True)}
    assert failed(one, account, moving=True) == {item, Item.PIN_OFF} & known


@pytest.mark.parametrize(
    "changes",
    [
        {"facts": shown(name_state="AVAILABLE_WITHOUT_REVIEW")},
        {"facts": shown(pin_on=False), "vault": Vault()},
        {"facts": shown(**AWAY)},
        {"facts": shown(code_state="EXPIRED")},
    ],
)
def test_what_is_enough_before_a_number_moves(changes):
    assert failed(a_linked(**changes)) == set()


def test_a_check_is_an_item_and_whether_it_passed():
    assert diagnosis.checklist(a_linked(), a_link(), NOON, moving=True)[0] == Check(
        Item.ACCESS, passed=True
    )
