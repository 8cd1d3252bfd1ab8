"""Numbers at the Cloud API: what is attempted, what is not known, what Meta's news do."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from nightlatch.domain import errors, linked
from nightlatch.domain.audit import Kind
from nightlatch.domain.errors import LedgerWait, OutcomeUnknown, PinNotInVault
from nightlatch.domain.ledger import Act
from nightlatch.domain.limits import (
    ALERTS_KEPT,
    CLOUD_LONGEST_WAIT,
    CLOUD_NAME_LIFE,
    CLOUD_OWN_CHANGE,
    CLOUD_SETTLED,
    GUESS_LOCK,
    LEDGER_WINDOW,
    PINS_KEPT,
)
from nightlatch.domain.linked import (
    Alert,
    Facts,
    LinkedDecision,
    MetaRefusal,
    Outcome,
    Reason,
    UnderWay,
    Waiting,
)
from nightlatch.domain.mail import Letter
from nightlatch.domain.vault import KeptPin, Vault
from tests.domain.samples import DAY, GOOD, HOUR, MICRO, MINUTE, SECOND, a_linked, a_pin, shown
from tests.people import E164, NATIONAL, NOON, OWNER, THIEF

BY = OWNER.client + "/admin"
NEW = a_pin("drawn")
SETTLED = NOON + CLOUD_SETTLED
OFF: dict[str, Any] = {"pin_on": False}
AWAY: dict[str, Any] = {"status": "DISCONNECTED", "platform": "NOT_APPLICABLE"}


def begun(act=Act.PIN, pin=NEW, number=None, at=NOON, **more) -> Any:
    """A number with an attempt under way, whose key is ``key``."""
    number = a_linked() if number is None else number
    return linked.begin(number, act, "key", BY, at, pin=pin, **more).number


def lost(*args, **kwargs) -> Any:
    """The same, and no answer came."""
    return linked.unanswered(begun(*args, **kwargs), "key", NOON + 30 * SECOND).number


def kinds(decision: LinkedDecision) -> list[Kind]:
    return [event.kind for event in decision.events]


def letters(decision: LinkedDecision) -> list[Letter]:
    return [mail.letter for mail in decision.mails]


def no(reason, wait=None, code=1) -> MetaRefusal:
    return MetaRefusal(reason, code, wait=wait)


# The number


def test_a_number_is_split_where_its_country_code_ends():
    number = a_linked()

    assert (number.national, number.digits, number.name) == (NATIONAL, E164[1:], "Lucky Shrub")


@pytest.mark.parametrize(
    ("changes", "needs"),
    [
        ({}, True),
        ({"facts": shown(pin_on=None)}, True),
        ({"facts": shown(pin_on=False)}, False),
        ({"off_asked_at": NOON}, False),
    ],
)
def test_a_pin_is_needed_unless_none_is_on_or_the_client_turned_it_off(changes, needs):
    assert a_linked(**changes).needs_pin is needs


def test_only_the_client_that_serves_it_may_set_its_pin():
    a_linked().refuse_others(OWNER.client)

    for number in (a_linked(holder=THIEF.client), a_linked(holder=None)):
        with pytest.raises(errors.NoNumberHeld):
            number.refuse_others(OWNER.client)


@pytest.mark.parametrize(
    ("facts", "registered"),
    [
        ({}, True),
        ({"status": "FLAGGED"}, True),
        ({"platform": ""}, True),
        ({"status": ""}, None),
        ({"status": "UNKNOWN"}, None),
        ({"status": "PENDING"}, False),
        ({"platform": "ON_PREMISE"}, False),
        (AWAY, False),
    ],
)
def test_a_number_is_registered_when_the_cloud_api_says_that_it_holds_it(facts, registered):
    assert shown(**facts).registered is registered


# Beginning


def test_before_a_call_is_made_it_is_counted_and_its_pin_is_kept():
    decision = linked.begin(a_linked(), Act.PIN, "key", BY, NOON, pin=NEW)
    number = decision.number

    assert number.vault == GOOD.keep(replace(NEW, key="key"))
    assert number.ledger.count(Act.PIN, NOON) == 1
    assert number.under_way == UnderWay(
        Act.PIN, "key", NOON, BY, None, was_registered=True, was_pin_on=True, pin_key="key"
    )
    assert number.due_at == NOON + 40 * SECOND
    (event,) = decision.events
    assert (event.kind, event.details) == (Kind.ACT_BEGUN, (("act", "pin"), ("attempts", 1)))


def test_a_pin_that_is_in_the_vault_already_is_not_kept_twice():
    number = begun(Act.REGISTER, GOOD.current)

    assert number.vault == GOOD
    assert number.under_way.pin_key == a_pin().key
    assert not number.under_way.kept_its_pin


def test_a_pin_that_was_claimed_before_counts_as_set_once_it_is_set():
    claimed = Vault().keep(a_pin("set")).keep(a_pin("claimed"), claimed=True)
    assert claimed.to_set_again == a_pin("set")

    number = begun(Act.PIN, a_pin("claimed"), a_linked(vault=claimed))

    assert number.vault.to_set_again == a_pin("claimed")
    assert len(number.vault.maybe) == 2


def test_while_something_is_unknown_nothing_is_begun_and_no_pin_is_kept():
    number = begun()

    for act in Act:
        with pytest.raises(OutcomeUnknown) as refused:
            linked.begin(number, act, "other", BY, NOON + HOUR, force=True)
        assert refused.value.act == "pin"
        assert refused.value.retry_after == 5
    with pytest.raises(OutcomeUnknown):
        linked.keep_pin(number, NEW, BY, NOON)
    with pytest.raises(OutcomeUnknown):
        linked.ask_code(number, "other", OWNER.client, None, BY, NOON)


def test_the_wait_for_an_outcome_is_told_until_somebody_looks():
    number = lost()
    later = linked.look_later(replace(number, looks=5), NOON).number
    undated = replace(number, due_at=None)

    for waiting, seconds in ((number, 60), (later, 3_600), (undated, 60)):
        with pytest.raises(OutcomeUnknown) as refused:
            waiting.refuse_unknown(NOON)
        assert refused.value.retry_after == seconds


@pytest.mark.parametrize(
    ("due_at", "seconds"), [(None, 3_600), (NOON, 60), (NOON + 2 * HOUR, 7_200)]
)
def test_a_full_vault_lets_no_other_pin_be_sent_but_those_it_holds(due_at, seconds):
    pins = tuple(a_pin(str(n)) for n in range(PINS_KEPT))
    number = a_linked(vault=replace(GOOD, maybe=pins), due_at=due_at)

    with pytest.raises(OutcomeUnknown) as refused:
        begun(number=number)

    assert refused.value.retry_after == seconds
    for pin in (GOOD.current, *pins):
        assert set(begun(pin=pin, number=number).vault.maybe) == set(pins)
    assert begun(Act.DEREGISTER, None, number).under_way


def test_an_attempt_that_the_ledger_refuses_changes_nothing_unless_it_is_forced():
    number = a_linked()
    for n in range(9):
        key = str(n)
        number = linked.begin(number, Act.REGISTER, key, BY, NOON, pin=GOOD.current).number
        number = linked.done(number, key, NOON).number

    with pytest.raises(LedgerWait):
        begun(Act.REGISTER, GOOD.current, number)

    assert begun(Act.REGISTER, GOOD.current, number, force=True).ledger.count(
        Act.REGISTER, NOON
    ) == 10  # fmt: skip


def test_who_asks_for_a_code_waits_for_it_with_the_pin_that_came_along():
    number: Any = linked.ask_code(a_linked(), "key", OWNER.client, b"sealed", BY, NOON).number

    assert number.waiting == Waiting(OWNER.client, NOON, b"sealed")
    assert number.under_way.act is Act.CODE
    assert number.vault == GOOD


# Done


def test_a_pin_that_meta_took_is_the_only_one_and_is_to_be_confirmed():
    before = a_linked(vault=GOOD.doubt(), off_asked_at=NOON, set_again=True, looks=3)

    decision = linked.done(begun(number=before), "key", NOON + SECOND)

    number = decision.number
    assert number.vault == Vault(current=replace(NEW, key="key"))
    assert (number.off_asked_at, number.set_again, number.looks) == (None, False, 0)
    assert (number.facts.pin_on, number.facts.at) == (True, NOON + SECOND)
    assert (number.under_way, number.due_at) == (None, NOON + SECOND)
    assert kinds(decision) == [Kind.ACT_DONE]


def test_a_registration_hands_the_number_to_the_client_and_applies_its_new_name():
    before = a_linked(
        holder=None, facts=shown(**AWAY, **OFF), vault=Vault(), name_asked="New", name_approved_at=NOON,
        waiting=Waiting(OWNER.client, NOON),
    )  # fmt: skip

    decision = linked.done(
        begun(Act.REGISTER, number=before, client=OWNER.client), "key", NOON + SECOND
    )

    number = decision.number
    assert (number.holder, number.registered_at) == (OWNER.client, NOON + SECOND)
    assert (number.waiting, number.name_asked, number.name_approved_at) == (None, "", None)
    assert number.facts.registered
    assert number.facts.pin_on
    assert number.vault.is_good
    assert kinds(decision) == [Kind.ACT_DONE, Kind.NUMBER_REGISTERED]


def test_other_acts_change_what_they_change():
    away = linked.done(begun(Act.DEREGISTER, None), "key", NOON).number
    unverified = a_linked(facts=shown(code_state="EXPIRED"))
    checked = linked.done(begun(Act.CHECK, None, unverified), "key", NOON).number
    asked = linked.done(begun(Act.CODE, None), "key", NOON).number

    assert (away.facts.registered, away.holder, away.vault) == (False, None, GOOD)
    assert checked.facts.verified
    assert asked == replace(begun(Act.CODE, None), under_way=None, due_at=NOON)


def test_an_attempt_that_brought_no_pin_leaves_the_vault_alone():
    assert linked.done(begun(Act.PIN, None), "key", NOON).number.vault == GOOD


@pytest.mark.parametrize("number", [a_linked(), begun()])
def test_an_answer_to_what_is_not_under_way_changes_nothing(number):
    nothing = LinkedDecision(number)

    assert linked.done(number, "late", NOON) == nothing
    assert linked.refused(number, "late", no(Reason.WRONG_PIN), NOON) == nothing
    assert linked.not_sent(number, "late", NOON) == nothing
    assert linked.unanswered(number, "late", NOON) == nothing


# Refused


@pytest.mark.parametrize(
    ("reason", "refusal", "closed"),
    [
        (Reason.WRONG_PIN, errors.WrongPin, MINUTE),
        (Reason.TOO_FAST, errors.GuessWait, 10 * MINUTE),
        (Reason.TOO_MANY, errors.GuessWait, DAY),
        (Reason.CODE_NEEDED, errors.CodeNeeded, None),
        (Reason.NOT_REGISTERED, errors.NotOnCloud, None),
        (Reason.JUST_DELETED, errors.RegistrationWait, 5 * MINUTE),
        (Reason.SPENT, errors.RegistrationWait, LEDGER_WINDOW),
        (Reason.LOCKED, errors.CloudLocked, DAY),
        (Reason.INCOMPLETE, errors.CloudIncomplete, None),
        (Reason.CODE_UNSENT, errors.CodesSpent, HOUR),
        (Reason.CODE_RATE, errors.CodesSpent, DAY),
        (Reason.CODE_WRONG, errors.WrongCode, None),
        (Reason.ON_APP, errors.OnBusinessApp, None),
        (Reason.NAME, errors.NameNotApproved, None),
        (Reason.ELSEWHERE, errors.HeldElsewhere, None),
        (Reason.TOKEN, errors.CloudAccessLost, None),
        (Reason.PERMISSION, errors.CloudAccessLost, None),
        (Reason.CALLS, errors.CloudCallsSpent, None),
        (Reason.GONE, errors.LinkedNumberUnknown, None),
        (Reason.OTHER, errors.CloudRefused, None),
    ],
)
def test_each_refusal_of_metas_has_a_name_and_closes_the_act_for_its_time(reason, refusal, closed):
    answer = no(reason)

    number = linked.refused(begun(Act.REGISTER), "key", answer, NOON).number

    assert type(answer.as_refusal()) is refusal
    until = number.ledger.closed_until(Act.REGISTER, NOON)
    assert until == (None if closed is None else NOON + closed)


def test_every_reason_is_in_that_table():
    (mark,) = test_each_refusal_of_metas_has_a_name_and_closes_the_act_for_its_time.pytestmark

    assert {row[0] for row in mark.args[1]} == set(Reason)


def test_how_long_meta_says_to_wait_counts_where_waiting_helps():
    assert no(Reason.TOO_MANY, 7 * HOUR).pause == 7 * HOUR
    assert no(Reason.TOO_MANY, 365 * DAY).pause == CLOUD_LONGEST_WAIT
    assert no(Reason.OTHER, HOUR).pause is None
    assert no(Reason.TOO_MANY, 7 * HOUR).as_refusal().retry_after == 7 * 3_600
    assert no(Reason.CALLS, HOUR).as_refusal().retry_after == 3_600
    assert no(Reason.CALLS).as_refusal().retry_after == 60
    many: Any = no(Reason.TOO_MANY).as_refusal()
    fast: Any = no(Reason.TOO_FAST).as_refusal()
    assert (many.spent, fast.spent) == (True, False)


def test_an_unknown_error_is_passed_on_with_metas_numbers():
    refusal: Any = MetaRefusal(Reason.OTHER, 100, 2388).as_refusal()

    assert (refusal.code, refusal.subcode) == (100, 2388)


def test_a_pin_that_meta_refused_leaves_the_vault_and_stays_counted():
    decision = linked.refused(begun(), "key", no(Reason.OTHER, code=131000), NOON)

    assert decision.number.vault == GOOD
    assert decision.number.ledger.count(Act.PIN, NOON) == 1
    assert decision.number.under_way is None
    (event,) = decision.events
    assert event.kind is Kind.ACT_REFUSED
    assert dict(event.details) == {"act": "pin", "reason": "other", "code": 131000}
    assert not decision.mails


@pytest.mark.parametrize("reason", [Reason.TOKEN, Reason.PERMISSION, Reason.CALLS, Reason.GONE])
def test_what_was_refused_before_the_number_was_looked_at_does_not_count(reason):
    number = linked.refused(begun(Act.REGISTER), "key", no(reason), NOON).number

    assert number.ledger.count(Act.REGISTER, NOON) == 0


@pytest.mark.parametrize("act", [Act.REGISTER, Act.DEREGISTER])
def test_a_spent_budget_closes_registering_and_deregistering(act):
    number = linked.refused(begun(act, None), "key", no(Reason.SPENT), NOON).number

    for closed in (Act.REGISTER, Act.DEREGISTER):
        assert number.ledger.closed_until(closed, NOON) == NOON + LEDGER_WINDOW
    assert number.ledger.closed_until(Act.PIN, NOON) is None


def test_the_owners_hear_when_meta_refuses_the_pin_in_the_vault():
    number = a_linked(name_asked="New", name_approved_at=NOON)

    decision = linked.refused(
        begun(Act.REGISTER, GOOD.current, number), "key", no(Reason.WRONG_PIN), NOON
    )

    assert letters(decision) == [Letter.CLOUD_PIN_REFUSED]
    assert decision.number.vault == GOOD.doubt()
    assert (decision.number.name_asked, decision.number.name_approved_at) == ("", None)


def test_a_wrong_pin_of_somebody_else_says_nothing_of_the_one_in_the_vault():
    number = a_linked(name_asked="New", name_approved_at=NOON)

    decision = linked.refused(begun(Act.REGISTER, NEW, number), "key", no(Reason.WRONG_PIN), NOON)

    assert decision.number.vault == GOOD
    assert not decision.mails
    assert decision.number.name_asked == "New"


def test_a_refused_call_says_nothing_of_an_earlier_one_with_the_same_pin():
    maybe = GOOD.keep(a_pin("maybe"))
    for reason in set(Reason) - {Reason.WRONG_PIN}:
        for act in (Act.PIN, Act.REGISTER):
            number = begun(act, a_pin("maybe"), a_linked(vault=maybe))
            assert linked.refused(number, "key", no(reason), NOON).number.vault == maybe


def test_a_pin_that_meta_compared_and_found_wrong_is_not_its_own():
    number = a_linked(vault=GOOD.keep(a_pin("maybe")), set_again=True)

    number = linked.refused(
        begun(Act.REGISTER, a_pin("maybe"), number), "key", no(Reason.WRONG_PIN), NOON
    ).number

    assert number.vault == GOOD
    assert not number.set_again


def test_a_code_that_has_run_out_must_be_asked_for_again():
    number = linked.refused(begun(Act.REGISTER), "key", no(Reason.CODE_NEEDED), NOON).number

    assert number.facts.code_state == "EXPIRED"


@pytest.mark.parametrize(
    ("reason", "again"),
    [(Reason.CALLS, True), (Reason.TOKEN, True), (Reason.GONE, False), (Reason.LOCKED, False)],
)
def test_what_is_to_be_done_is_done_later_only_when_meta_did_not_look_at_it(reason, again):
    doubted = a_linked(vault=GOOD.doubt(), set_again=True)
    named = a_linked(name_asked="New", name_approved_at=NOON, vault=GOOD.confirm(NOON))

    pin = linked.refused(begun(Act.PIN, GOOD.current, doubted), "key", no(reason), NOON).number
    name = linked.refused(begun(Act.REGISTER, GOOD.current, named), "key", no(reason), NOON).number

    assert pin.set_again is again
    assert bool(name.name_asked) is again
    assert pin.due_at == name.due_at == (NOON + 15 * SECOND if again else None)


# Not sent, not answered


def test_what_was_never_sent_leaves_no_trace_but_in_the_trail():
    decision = linked.not_sent(begun(), "key", NOON)

    assert decision.number == replace(
        a_linked(), ledger=decision.number.ledger, looks=1, due_at=NOON + 15 * SECOND
    )
    assert decision.number.ledger.used == ()
    assert kinds(decision) == [Kind.ACT_NOT_SENT]


def test_a_pin_of_an_earlier_call_stays_when_a_later_one_was_never_sent():
    number = a_linked(vault=GOOD.keep(a_pin("maybe")))

    unsent = linked.not_sent(begun(Act.PIN, a_pin("maybe"), number), "key", NOON).number

    assert unsent.vault == number.vault


def test_a_call_without_an_answer_stays_under_way_until_meta_can_have_settled():
    decision = linked.unanswered(begun(), "key", NOON + 30 * SECOND)

    assert decision.number.under_way == replace(begun().under_way, unknown=True)
    assert decision.number.due_at == SETTLED
    assert kinds(decision) == [Kind.ACT_UNKNOWN]


# What readings tell

REGISTER, PIN, DEREGISTER, CHECK, CODE = (
    Act.REGISTER, Act.PIN, Act.DEREGISTER, Act.CHECK, Act.CODE,
)  # fmt: skip
HERE: dict[str, Any] = {}
UNSAID: dict[str, Any] = {"status": ""}
NO_PIN, PIN_UNSAID = OFF, {"pin_on": None}


@pytest.mark.parametrize(
    ("act", "before", "after", "told"),
    [
        (PIN, NO_PIN, HERE, Outcome.SUCCEEDED),
        (PIN, NO_PIN, NO_PIN, Outcome.FAILED),
        (PIN, HERE, NO_PIN, Outcome.FAILED),
        (PIN, HERE, HERE, Outcome.EITHER),
        (PIN, PIN_UNSAID, HERE, Outcome.EITHER),
        (PIN, HERE, PIN_UNSAID, Outcome.LATER),
        (REGISTER, AWAY, HERE, Outcome.SUCCEEDED),
        (REGISTER, AWAY, AWAY, Outcome.FAILED),
        (REGISTER, HERE, AWAY, Outcome.FAILED),
        (REGISTER, AWAY, UNSAID, Outcome.LATER),
        (REGISTER, HERE, HERE, Outcome.EITHER),
        (REGISTER, UNSAID, HERE, Outcome.EITHER),
        (REGISTER, NO_PIN, HERE, Outcome.SUCCEEDED),
        (REGISTER, HERE, NO_PIN, Outcome.FAILED),
        (REGISTER, HERE, PIN_UNSAID, Outcome.LATER),
        (DEREGISTER, HERE, AWAY, Outcome.SUCCEEDED),
        (DEREGISTER, HERE, HERE, Outcome.FAILED),
        (DEREGISTER, AWAY, AWAY, Outcome.EITHER),
        (DEREGISTER, UNSAID, AWAY, Outcome.EITHER),
        (DEREGISTER, HERE, UNSAID, Outcome.LATER),
        (CHECK, HERE, HERE, Outcome.SUCCEEDED),
        (CHECK, HERE, {"code_state": "NOT_VERIFIED"}, Outcome.FAILED),
        (CODE, HERE, HERE, Outcome.EITHER),
    ],
)
def test_what_a_reading_tells_of_an_attempt(act, before, after, told):
    number = lost(act, number=a_linked(facts=shown(**before)))

    assert linked.outcome(number.under_way, shown(SETTLED, **after), SETTLED) is told


@pytest.mark.parametrize(
    ("number", "read_at", "now"),
    [
        (lost(), SETTLED - MICRO, SETTLED + HOUR),  # Meta may still be at it
        (begun(), NOON + 39 * SECOND, NOON + 39 * SECOND),
    ],
)
def test_what_was_read_too_early_tells_nothing(number, read_at, now):
    assert linked.outcome(number.under_way, shown(read_at), now) is Outcome.LATER


def test_a_call_that_was_never_heard_of_again_is_over_after_its_time():
    under_way = begun().under_way

    assert not under_way.overdue(NOON + 40 * SECOND - MICRO)
    assert under_way.overdue(NOON + 40 * SECOND)
    assert replace(under_way, unknown=True).overdue(NOON)
    early = replace(under_way, at=NOON + 30 * SECOND)
    assert linked.outcome(early, shown(NOON + HOUR), NOON + 60 * SECOND) is Outcome.LATER


def reconciled(number, **facts) -> Any:
    return linked.reconcile(number, "key", shown(SETTLED, **facts), SETTLED)


def test_of_a_pin_that_may_have_been_taken_both_stay_and_the_newer_is_set_again():
    decision = reconciled(lost())

    number = decision.number
    assert number.vault == begun().vault
    assert (number.under_way, number.set_again, number.due_at) == (None, True, SETTLED)
    assert number.vault.to_set_again.sealed == NEW.sealed
    assert [dict(event.details)["outcome"] for event in decision.events] == ["either"]


def test_nothing_is_set_again_over_what_somebody_else_may_have_set():
    number = reconciled(lost(number=a_linked(vault=GOOD.doubt()))).number

    assert not number.set_again
    assert len(number.vault.maybe) == 1


def test_the_pin_that_was_there_already_need_not_be_set_again():
    number = reconciled(lost(pin=GOOD.current)).number

    assert not number.set_again
    assert number.vault.is_good


def test_a_pin_that_meta_shows_to_have_taken_is_confirmed():
    decision = reconciled(lost(number=a_linked(vault=Vault(), facts=shown(**OFF))))

    assert decision.number.vault == Vault(replace(NEW, key="key"), confirmed_at=SETTLED)
    assert decision.number.facts == shown(SETTLED)
    assert kinds(decision) == [Kind.ACT_RECONCILED]
    assert decision.number.due_at is None


def test_a_pin_that_meta_shows_while_another_may_be_meant_is_set_again():
    before = a_linked(vault=Vault().keep(a_pin("older")), facts=shown(**OFF))

    number = reconciled(lost(number=before)).number

    assert number.set_again
    assert number.vault.to_set_again.sealed == NEW.sealed
    assert number.vault.find("older")
    assert not number.vault.is_good


def test_a_registration_that_meta_shows_hands_the_number_over():
    before = a_linked(vault=Vault(), facts=shown(**AWAY), holder=None)

    decision = reconciled(lost(Act.REGISTER, number=before, client=OWNER.client))

    assert decision.number.holder == OWNER.client
    assert decision.number.vault.is_good
    assert kinds(decision) == [Kind.ACT_RECONCILED, Kind.NUMBER_REGISTERED]


def test_a_registration_that_meta_shows_leaves_a_pin_that_it_may_have_had_instead():
    before = a_linked(vault=GOOD.doubt(), facts=shown(**AWAY))

    number = reconciled(lost(Act.REGISTER, number=before)).number

    assert number.vault.find(a_pin().key)
    assert not number.vault.is_good
    assert not number.set_again  # which could make a wrong PIN right


@pytest.mark.parametrize("act", [Act.PIN, Act.REGISTER])
@pytest.mark.parametrize("facts", [{}, OFF, AWAY])
def test_no_reading_takes_a_pin_out_of_the_vault(act, facts):
    number = reconciled(lost(act), **facts).number

    assert number.under_way is None
    assert {pin.sealed for pin in (*number.vault.maybe, number.vault.current)} == {
        NEW.sealed, a_pin().sealed,
    }  # fmt: skip


def test_what_a_reading_shows_of_the_pin_counts_once_the_attempt_is_over():
    decision = reconciled(lost(Act.DEREGISTER, None), **OFF)

    assert decision.number.vault == GOOD.doubt()
    assert kinds(decision) == [Kind.ACT_RECONCILED, Kind.PIN_DOUBTED]


def test_a_deregistration_that_meta_shows_ends_the_service():
    assert reconciled(lost(Act.DEREGISTER, None), **AWAY).number.holder is None


def test_a_reading_that_tells_nothing_is_repeated_after_growing_pauses():
    number, dues = lost(), []
    for _ in range(8):
        number = reconciled(number, **PIN_UNSAID).number
        dues.append((number.due_at - SETTLED) / SECOND)

    assert dues == [15, 30, 60, 300, 900, 3_600, 3_600, 3_600]
    assert number.under_way


def test_nobody_looks_before_meta_can_have_settled():
    assert linked.look_later(lost(), NOON).number.due_at == SETTLED
    assert linked.look_later(a_linked(), NOON).number.due_at == NOON + 15 * SECOND


@pytest.mark.parametrize(
    ("act", "pin", "changes"),
    [
        (Act.PIN, GOOD.current, {"vault": GOOD.doubt(), "set_again": True}),
        (Act.REGISTER, GOOD.current, {"name_asked": "New", "name_approved_at": NOON}),
    ],
)
def test_what_is_tried_by_itself_and_stays_unknown_is_tried_ever_more_rarely(act, pin, changes):
    number: Any = a_linked(**changes)
    at, pauses = NOON, []
    for _ in range(4):
        begun_ = linked.begin(number, act, "key", "meta", at, pin=pin).number
        at += CLOUD_SETTLED
        number = linked.reconcile(begun_, "key", shown(at), at).number
        pauses.append((number.due_at - at) / SECOND)
        at = number.due_at

    assert pauses == [15, 30, 60, 300]


def test_an_attempt_of_another_key_is_not_settled_by_a_reading():
    number = lost()

    assert linked.reconcile(number, "other", shown(SETTLED), SETTLED).number.under_way


def test_an_older_reading_never_replaces_a_newer_one():
    number = a_linked(facts=shown(NOON + HOUR))

    assert linked.observe(number, shown(NOON, **OFF), NOON) == LinkedDecision(number)
    told = replace(lost(number=a_linked(facts=shown(**OFF))), facts=shown(NOON + HOUR))
    after = linked.reconcile(told, "key", shown(SETTLED), NOON + HOUR).number
    assert after.under_way is None
    assert after.facts.at == NOON + HOUR


def test_a_reading_confirms_a_pin_once():
    decision = linked.observe(a_linked(), shown(NOON + SECOND), NOON + MINUTE)

    assert decision.number.vault == GOOD.confirm(NOON + MINUTE)
    assert kinds(decision) == [Kind.PIN_CONFIRMED]
    assert not linked.observe(decision.number, shown(NOON + HOUR), NOON + HOUR).events


def test_a_reading_without_a_pin_raises_a_doubt_once_and_ends_what_was_remembered():
    number = a_linked(off_asked_at=NOON)

    decision = linked.observe(number, shown(**OFF), NOON)

    assert decision.number.vault == GOOD.doubt()
    assert decision.number.off_asked_at is None
    assert kinds(decision) == [Kind.PIN_DOUBTED]
    assert not linked.observe(decision.number, shown(**OFF), NOON).events
    assert not linked.observe(a_linked(vault=Vault()), shown(**OFF), NOON).events


def test_a_reading_that_does_not_speak_of_the_pin_says_nothing_of_it():
    assert linked.observe(a_linked(), shown(pin_on=None), NOON).number.vault == GOOD


def test_a_pin_that_is_under_way_is_neither_confirmed_nor_doubted():
    for facts in ({}, OFF):
        number = linked.observe(begun(pin=GOOD.current), shown(**facts), NOON).number
        assert number.vault == GOOD


# What is due


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({}, NOON),
        ({"looks": 1}, NOON + 15 * SECOND),
        ({"looks": 99}, NOON + HOUR),
        ({"vault": GOOD.confirm(NOON)}, None),
        ({"vault": Vault()}, None),
        ({"facts": shown(**AWAY)}, None),
        ({"facts": shown(**UNSAID)}, None),
        ({"vault": GOOD.doubt()}, None),
        ({"vault": GOOD.doubt(), "set_again": True}, NOON),
        ({"vault": GOOD.confirm(NOON), "name_asked": "New", "name_approved_at": NOON}, NOON),
    ],
)
def test_somebody_must_look_after_what_is_unconfirmed_or_to_be_set_again(changes, due):
    number = a_linked(**changes)

    heard = linked.name_reviewed(number, "DECLINED", "Other", NOON, NOON).number

    assert heard.due_at == due


# PINs that are compared here


def test_a_guess_is_counted_before_it_is_compared_and_the_owners_hear_of_the_first_wrong_one():
    paid = linked.pay_guess(a_linked(), THIEF.client, NOON)
    ticket = paid.number.guesses.ticket
    wrong = linked.settle_guess(paid.number, ticket, THIEF.client, NOON, right=False)
    again = linked.pay_guess(wrong.number, THIEF.client, NOON)
    second = linked.settle_guess(
        again.number, again.number.guesses.ticket, THIEF.client, NOON, right=False
    )

    assert kinds(paid) == [Kind.GUESS_PAID]
    assert paid.number.guesses.run == 1
    assert kinds(wrong) == [Kind.GUESS_WRONG]
    assert letters(wrong) == [Letter.FIRST_WRONG_GUESS]
    assert not second.mails
    assert second.number.ledger == a_linked().ledger


def test_a_right_guess_ends_the_run():
    paid = linked.pay_guess(a_linked(), BY, NOON).number

    right = linked.settle_guess(paid, paid.guesses.ticket, BY, NOON, right=True)

    assert kinds(right) == [Kind.GUESS_RIGHT]
    assert not right.mails
    assert right.number.guesses.run == 0


def test_the_guess_that_locks_is_told_of_and_a_right_one_opens_again():
    number, at = a_linked(), NOON
    for _ in range(GUESS_LOCK):
        at += number.guesses.remaining(at)
        decision = linked.pay_guess(number, THIEF.client, at)
        number = decision.number

    assert kinds(decision) == [Kind.GUESS_PAID, Kind.NUMBER_LOCKED]
    assert letters(decision) == [Letter.NUMBER_LOCKED]
    with pytest.raises(errors.NumberLocked):
        linked.pay_guess(number, BY, at + 365 * DAY)
    right = linked.settle_guess(number, number.guesses.ticket, BY, at, right=True)
    assert kinds(right) == [Kind.GUESS_RIGHT, Kind.NUMBER_UNLOCKED]
    assert not right.mails
    wrong = linked.settle_guess(number, number.guesses.ticket, BY, at, right=False)
    assert letters(wrong) == [Letter.FIRST_WRONG_GUESS]
    unlocked = linked.unlock(wrong.number, OWNER.email, at)
    assert kinds(unlocked) == [Kind.NUMBER_UNLOCKED]
    linked.pay_guess(unlocked.number, BY, at)


# What clients and people do


def test_a_turning_off_that_meta_does_not_do_is_remembered_once_and_told():
    decision = linked.remember_off(a_linked(), BY, NOON)

    assert decision.number.off_asked_at == NOON
    assert kinds(decision) == [Kind.OFF_REMEMBERED]
    assert letters(decision) == [Letter.CLOUD_OFF_REMEMBERED]
    again = decision.number
    assert linked.remember_off(again, BY, NOON + HOUR) == LinkedDecision(again)
    off = a_linked(facts=shown(**OFF))
    assert linked.remember_off(off, BY, NOON) == LinkedDecision(off)


def test_a_pin_that_a_person_tells_replaces_what_was_known_and_is_set_nowhere():
    number = a_linked(vault=GOOD.keep(NEW).doubt(), set_again=True)

    decision = linked.keep_pin(number, a_pin("told", NOON + HOUR), OWNER.email, NOON + HOUR)

    assert decision.number.vault == Vault(current=a_pin("told", NOON + HOUR))
    assert not decision.number.set_again
    assert kinds(decision) == [Kind.PIN_KEPT]


@pytest.mark.parametrize("vault", [GOOD, GOOD.doubt(), Vault().keep(NEW)])
def test_whoever_sees_a_pin_is_written_down_first(vault):
    number = a_linked(vault=vault)

    decision = linked.reveal(number, OWNER.email, NOON)

    assert (decision.number, kinds(decision)) == (number, [Kind.PIN_REVEALED])
    assert decision.events[0].by == OWNER.email


def test_where_there_is_no_pin_none_is_shown():
    with pytest.raises(PinNotInVault):
        linked.reveal(a_linked(vault=Vault()), OWNER.email, NOON)


def test_a_number_is_released_once_and_stays_what_it_is_at_meta():
    number = a_linked(waiting=Waiting(OWNER.client, NOON))

    decision = linked.release(number, BY, NOON)

    assert decision.number == replace(number, holder=None, waiting=None)
    assert decision.events[0].details == (("from", OWNER.client),)
    assert linked.release(decision.number, BY, NOON) == LinkedDecision(decision.number)


def test_only_the_client_that_waits_forgets_what_it_waits_for():
    number = a_linked(waiting=Waiting(OWNER.client, NOON, b"sealed"))

    assert linked.forget_waiting(number, OWNER.client).number == a_linked()
    assert linked.forget_waiting(number, THIEF.client) == LinkedDecision(number)
    assert linked.forget_waiting(a_linked(), OWNER.client) == LinkedDecision(a_linked())


# What Meta's webhooks tell


def test_a_press_on_turn_off_is_told_with_who_pressed():
    decision = linked.turn_off_asked(a_linked(), "61555822107539", NOON - HOUR, NOON)

    assert decision.number.alerts == (Alert("PIN_RESET_REQUEST", NOON - HOUR, "61555822107539"),)
    assert letters(decision) == [Letter.CLOUD_TURN_OFF_ASKED]
    assert dict(decision.mails[0].facts)["by"] == "61555822107539"
    assert kinds(decision) == [Kind.HEARD]
    assert decision.number.vault == GOOD


def test_a_press_of_nobody_in_particular_is_metas():
    (mail,) = linked.turn_off_asked(a_linked(), "", NOON, NOON).mails

    assert dict(mail.facts)["by"] == "meta"


def test_the_latest_alerts_are_kept_until_somebody_has_seen_them():
    number = a_linked()
    for n in range(ALERTS_KEPT + 3):
        number = linked.turn_off_asked(number, str(n), NOON, NOON).number

    assert [alert.by for alert in number.alerts] == [str(n) for n in range(3, ALERTS_KEPT + 3)]
    seen = linked.see_alerts(number, OWNER.email, NOON)
    assert seen.number.alerts == ()
    assert seen.events[0].details == (("alerts", ALERTS_KEPT),)
    assert linked.see_alerts(seen.number, OWNER.email, NOON) == LinkedDecision(seen.number)


def test_a_pin_that_somebody_set_raises_a_doubt_and_the_alarm():
    number = a_linked(set_again=True, off_asked_at=NOON)

    decision = linked.pin_changed(number, NOON + HOUR, NOON + HOUR)

    assert decision.number.vault == GOOD.doubt()
    assert (decision.number.set_again, decision.number.off_asked_at) == (False, None)
    assert [alert.event for alert in decision.number.alerts] == ["PIN_CHANGED"]
    assert letters(decision) == [Letter.CLOUD_PIN_CHANGED]


@pytest.mark.parametrize("act", [Act.PIN, Act.REGISTER])
@pytest.mark.parametrize(
    ("after", "ours"),
    [
        (timedelta(0), True),
        (CLOUD_OWN_CHANGE, True),
        (CLOUD_OWN_CHANGE + MICRO, False),
    ],
)
def test_a_change_just_after_we_sent_a_pin_is_taken_for_ours(act, after, ours):
    number = linked.done(begun(act), "key", NOON + SECOND).number

    heard = linked.pin_changed(number, NOON + after, NOON + HOUR)

    assert heard.number.vault.is_good is ours
    assert bool(heard.mails) is not ours
    assert kinds(heard) == [Kind.HEARD]


def test_a_change_just_after_somebody_told_a_pin_is_not_ours():
    told = linked.keep_pin(a_linked(), a_pin("told"), BY, NOON).number

    changed = linked.pin_changed(told, NOON + SECOND, NOON + SECOND)

    assert changed.number.vault.doubted
    assert changed.mails


def test_a_change_while_our_own_is_unknown_is_not_taken_for_ours():
    changed = linked.pin_changed(lost(), NOON + 30 * SECOND, NOON + 30 * SECOND)

    assert changed.number.vault.doubted
    assert changed.mails


def test_news_of_a_change_before_ours_raises_the_alarm_and_no_doubt():
    late = linked.pin_changed(a_linked(off_asked_at=NOON), NOON - HOUR, NOON + HOUR)

    assert late.number.vault == GOOD
    assert late.number.off_asked_at == NOON
    assert late.number.alerts


def test_news_of_a_change_before_a_reading_raises_the_doubt_and_changes_no_facts():
    number = a_linked(facts=shown(NOON + 2 * HOUR, **OFF), set_again=True)

    late = linked.pin_changed(number, NOON + HOUR, NOON + 2 * HOUR).number

    assert late.vault.doubted
    assert late.facts == number.facts
    assert late.set_again


@pytest.mark.parametrize(("set_again", "vault", "again"), [
    (True, GOOD, True), (False, GOOD, False), (True, Vault(), False),
])  # fmt: skip
def test_when_somebody_turned_it_off_the_pin_in_the_vault_is_set_again_where_that_is_wanted(
    set_again, vault, again
):
    number = a_linked(vault=vault, off_asked_at=NOON, set_again=not again)

    decision = linked.turned_off(number, NOON, NOON, set_again=set_again)

    off = decision.number
    assert off.facts.pin_on is False
    assert off.vault == vault.doubt()
    assert off.off_asked_at is None
    assert (off.set_again, off.due_at) == (again, NOON if again else None)
    assert [alert.event for alert in off.alerts] == ["PIN_REQUEST_SUCCESS"]
    assert letters(decision) == [Letter.CLOUD_PIN_TURNED_OFF]


@pytest.mark.parametrize(
    "changes",
    [
        {"vault": Vault(current=a_pin("newer", NOON + MICRO))},
        {"facts": shown(NOON + CLOUD_SETTLED + MICRO)},
    ],
)
def test_news_of_a_turning_off_that_is_over_raises_the_alarm_and_changes_nothing(changes):
    number = a_linked(**changes)

    late = linked.turned_off(number, NOON, NOON + HOUR, set_again=True)

    assert replace(late.number, alerts=(), due_at=None) == number
    assert late.number.alerts
    assert late.mails


@pytest.mark.parametrize("set_again", [True, False])
def test_what_a_reading_saw_first_is_set_again_when_the_news_come(set_again):
    number = a_linked(facts=shown(NOON + HOUR, **OFF))

    late = linked.turned_off(number, NOON, NOON + HOUR, set_again=set_again).number

    assert late.vault == GOOD.doubt()
    assert late.set_again is set_again


def test_a_name_that_meta_approved_is_applied_by_registering_again():
    decision = linked.name_reviewed(a_linked(), "APPROVED", "New", NOON, NOON)

    number = decision.number
    assert (number.name_asked, number.name_approved_at) == ("New", NOON)
    assert (number.facts.new_name, number.facts.new_name_state) == ("New", "APPROVED")
    assert linked.name_is_due(number, NOON)
    assert not decision.mails


@pytest.mark.parametrize(
    "changes", [{"vault": Vault()}, {"vault": GOOD.doubt()}, {"vault": GOOD.keep(NEW)}]
)
def test_where_the_pin_is_not_known_the_owners_must_register_again(changes):
    decision = linked.name_reviewed(a_linked(**changes), "APPROVED", "New", NOON, NOON)

    assert letters(decision) == [Letter.CLOUD_NAME_APPROVED]
    assert not linked.name_is_due(decision.number, NOON)


@pytest.mark.parametrize(
    ("decision", "facts"), [("DECLINED", {}), ("APPROVED", AWAY), ("APPROVED", UNSAID)]
)
def test_a_name_that_needs_no_registration_is_only_heard_of(decision, facts):
    number = linked.name_reviewed(
        a_linked(facts=shown(**facts)), decision, "New", NOON, NOON
    ).number

    assert number.facts.new_name_state == decision
    assert number.name_approved_at is None


def test_a_name_is_applied_within_fourteen_days_and_only_with_half_of_the_registrations():
    number = linked.name_reviewed(a_linked(), "APPROVED", "New", NOON, NOON).number
    tried = number
    for _ in range(5):
        tried = replace(tried, ledger=tried.ledger.spend(Act.REGISTER, NOON))

    assert linked.name_is_due(number, NOON + CLOUD_NAME_LIFE - MICRO)
    assert not linked.name_is_due(number, NOON + CLOUD_NAME_LIFE)
    assert not linked.name_is_due(tried, NOON)
    assert linked.name_is_due(tried, NOON + LEDGER_WINDOW)
    assert not linked.name_is_due(a_linked(), NOON)


def test_a_name_that_meta_shows_is_applied():
    number = linked.name_reviewed(a_linked(), "APPROVED", "New", NOON, NOON).number

    assert linked.observe(number, shown(name="Old"), NOON).number.name_asked == "New"
    shown_ = linked.observe(number, shown(name="New"), NOON).number
    assert (shown_.name_asked, shown_.name_approved_at) == ("", None)
    assert linked.observe(a_linked(), shown(name=""), NOON).number.name_asked == ""


# Nothing secret is told


def test_no_event_and_no_letter_holds_a_sealed_pin():
    pin = KeptPin("drawn", b"canary", NOON)
    number = a_linked(vault=Vault(current=pin))
    decisions = [
        linked.begin(number, Act.PIN, "key", BY, NOON, pin=replace(pin, key="other")),
        linked.ask_code(number, "key", OWNER.client, b"canary", BY, NOON),
        linked.refused(begun(Act.REGISTER, pin, number), "key", no(Reason.WRONG_PIN), NOON),
        linked.done(begun(Act.PIN, pin, number), "key", NOON),
        linked.keep_pin(number, pin, BY, NOON),
        linked.reveal(number, BY, NOON),
        linked.turned_off(number, NOON, NOON, set_again=True),
    ]

    assert "canary" not in str([(one.events, one.mails) for one in decisions])


def test_facts_that_say_nothing_claim_nothing():
    facts = Facts(at=NOON)

    assert (facts.registered, facts.verified, facts.pin_on) == (None, False, None)
