"""Numbers at the Cloud API in sentences: every symbol has one, and it says what to do."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from nightlatch.domain import diagnosis
from nightlatch.domain.audit import Detail
from nightlatch.domain.diagnosis import Check, Finding, Item, Level, Prospect, Step, Trouble
from nightlatch.domain.ledger import Act, Ledger
from nightlatch.domain.linked import Alert, Facts, Health, HealthError, LinkedNumber, UnderWay
from nightlatch.domain.links import CloudLink
from nightlatch.domain.vault import KeptPin, Vault
from nightlatch.faces import sentences_cloud as words
from tests.people import E164, NOON

DAY = timedelta(days=1)
PIN = KeptPin("k1", b"sealed", NOON)
OTHER = KeptPin("k2", b"sealed", NOON)
DETAILS: dict[str, Detail] = {
    "since": NOON.isoformat(), "at": NOON.isoformat(), "until": (NOON + DAY).isoformat(),
    "act": "pin", "status": "BANNED", "name": "Lucky Shrub", "pins": 2, "left": "1",
    "address": "https://other.example/hook", "entity": "WABA", "code": 141006,
    "description": "There is an error with the payment method.", "solution": "Add a card",
    "event": "PIN_CHANGED",
}  # fmt: skip


def number(**more: Any) -> LinkedNumber:
    facts = Facts(at=NOON, status="CONNECTED", platform="CLOUD_API", pin_on=True)
    told: dict[str, Any] = {
        "id": "106540352242922", "e164": E164, "cc": "1", "waba": "102290129340398",
        "found_at": NOON, "facts": facts, "holder": "main",
    }  # fmt: skip
    return LinkedNumber(**(told | more))


def is_a_sentence(text: str) -> bool:
    whole = text[0].isupper() or text[0].isdigit()
    return whole and text.endswith(".") and "{" not in text and "None" not in text


@pytest.mark.parametrize("trouble", Trouble)
def test_everything_that_can_be_found_has_a_sentence_with_what_to_do(trouble):
    told = words.finding(Finding(trouble, Level.WARNS, tuple(DETAILS.items())))

    assert is_a_sentence(told)
    assert ";" in told or trouble is Trouble.HEALTH
    assert "T12:00" not in told


def test_no_two_findings_read_the_same():
    told = [words.finding(Finding(one, Level.WARNS, tuple(DETAILS.items()))) for one in Trouble]

    assert len(set(told)) == len(told)


@pytest.mark.parametrize("act", Act)
def test_every_attempt_has_a_name_and_fits_its_sentences(act):
    low = Finding(Trouble.LEDGER_LOW, Level.WARNS, (("act", act.value), ("left", "2")))
    until = (NOON + DAY).isoformat()
    closed = Finding(Trouble.LEDGER_CLOSED, Level.WARNS, (("act", act.value), ("until", until)))

    name = words.act_name(act)

    assert name.split()[0].endswith("ing")
    assert f"2 safe tries are left for {name} within 72 hours" in words.finding(low)
    assert words.finding(closed) == (
        f"{name[0].upper()}{name[1:]} is not safe before 16 Jan 2026, 12:00:00 UTC; "
        "wait until then."
    )


@pytest.mark.parametrize("prospect", Prospect)
def test_it_is_told_what_registering_would_do(prospect):
    assert is_a_sentence(words.prospect(prospect, number(), NOON))


def test_a_registration_that_must_wait_says_until_when_or_for_what():
    spent = number(ledger=Ledger(closed=((Act.REGISTER, NOON + DAY),)))
    unknown = number(under_way=UnderWay(Act.PIN, "k", NOON, "main/admin"))

    assert "16 Jan 2026, 12:00:00 UTC" in words.prospect(Prospect.LATER, spent, NOON)
    assert "setting the PIN" in words.prospect(Prospect.LATER, unknown, NOON)


@pytest.mark.parametrize("pin_on", [True, False, None])
@pytest.mark.parametrize("step", Step)
def test_every_step_says_what_to_do(step, pin_on):
    told = words.step(step, number(facts=Facts(at=NOON, pin_on=pin_on)))

    assert is_a_sentence(told)


@pytest.mark.parametrize("item", Item)
def test_every_line_of_a_checklist_says_what_is_there_or_what_to_do(item):
    there, missing = words.check(Check(item, True)), words.check(Check(item, False))

    assert is_a_sentence(there)
    assert is_a_sentence(missing)
    assert ": " in missing
    assert there != missing


@pytest.mark.parametrize(
    ("pin_on", "vault", "said"),
    [
        (True, Vault(PIN), "on, in the vault"),
        (True, Vault(), "on, not in the vault"),
        (True, Vault(PIN, doubted=True), "on, perhaps another than the vault's"),
        (True, Vault(PIN, (OTHER,)), "on, one of several in the vault"),
        (True, Vault(None, (PIN, OTHER)), "on, one of several in the vault"),
        (True, Vault(None, (PIN,)), "on, perhaps the one in the vault"),
        (None, Vault(PIN), "not known whether on, in the vault"),
        (False, Vault(PIN, doubted=True), "off"),
    ],
)
def test_what_is_known_of_the_pin_fits_into_a_table(pin_on, vault, said):
    facts = Facts(at=NOON, pin_on=pin_on)

    assert words.pin_state(number(facts=facts, vault=vault)) == said


def test_a_pin_that_a_client_believes_off_is_told():
    told = words.pin_state(number(vault=Vault(PIN), off_asked_at=NOON))

    assert told == "on, in the vault; a client believes it off"


@pytest.mark.parametrize("by", ["", "61555822107539"])
@pytest.mark.parametrize("event", ["PIN_RESET_REQUEST", "PIN_CHANGED", "PIN_REQUEST_SUCCESS", "X"])
def test_every_alert_says_what_happened_and_what_to_do(event, by):
    told = words.alert(Alert(event, NOON, by))

    assert is_a_sentence(told)
    assert ";" in told
    assert "15 Jan 2026" in told


def test_an_alert_names_who_asked_where_meta_does():
    told = words.alert(Alert("PIN_RESET_REQUEST", NOON, "61555822107539"))

    assert told.startswith("User 61555822107539 of Meta's pressed")
    assert words.alert(Alert("PIN_RESET_REQUEST", NOON)).startswith("Somebody pressed")


def test_what_meta_says_of_an_entity_is_told_in_its_own_words():
    def said(**more: Detail) -> str:
        return words.finding(Finding(Trouble.HEALTH, Level.WARNS, tuple((DETAILS | more).items())))

    assert said() == (
        "Meta says of the WhatsApp account: There is an error with the payment method (141006). "
        "Add a card."
    )
    assert said(entity="CALLING", solution="", description="") == (
        "Meta says of CALLING: something is wrong (141006)."
    )


def test_one_pin_that_may_be_new_reads_otherwise_than_several():
    def said(pins: int) -> str:
        return words.finding(Finding(Trouble.PIN_MAYBE, Level.WARNS, (("pins", pins),)))

    assert "the newest PIN" in said(1)
    assert "which of 3 PINs" in said(3)


def test_a_name_that_nobody_knows_leaves_no_hole():
    told = words.finding(Finding(Trouble.NAME_WAITS, Level.WARNS, (("name", ""),)))

    assert "the display name;" in told


def test_what_a_diagnosis_finds_can_be_said():
    """The details that the rules give are those that the sentences take."""
    facts = Facts(
        at=NOON - 2 * DAY, status="BANNED", platform="ON_PREMISE", on_app=True, pin_on=True,
        name="Lucky Shrub", name_state="DECLINED", code_state="EXPIRED", webhook="https://x.example",
        health=(Health("BUSINESS", "1", "BLOCKED", (HealthError(1, "Bad", "Mend it"),)),),
    )  # fmt: skip
    ledger = Ledger(tuple((Act.PIN, NOON) for _ in range(18)), ((Act.REGISTER, NOON + DAY),))
    troubled = number(
        facts=facts, ledger=ledger, vault=Vault(PIN, (OTHER,)), off_asked_at=NOON,
        under_way=UnderWay(Act.CHECK, "k", NOON, "main/admin"),
        alerts=(Alert("PIN_CHANGED", NOON),),
    )  # fmt: skip
    link = CloudLink(
        waba="102290129340398", portfolio="1", name="Garden", token=b"", verify_token=b"",
        linked_at=NOON, lost_at=NOON, read_at=NOON, subscribed=False,
    )  # fmt: skip
    waiting = replace(troubled, facts=replace(facts, name_state="PENDING_REVIEW"))
    approved = replace(troubled, name_asked="Shrub", name_approved_at=NOON)

    for one in (troubled, waiting, approved):
        found = diagnosis.diagnose(one, link, NOON)
        for each in found.findings:
            assert is_a_sentence(words.finding(each))
        assert len(found.findings) > 10
