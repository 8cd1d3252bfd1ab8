"""Registering a number: budget, order of checks, codes, who holds it afterwards."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain import registration
from nightlatch.domain.audit import Kind
from nightlatch.domain.codes import CodeBudget, Method
from nightlatch.domain.errors import (
    CodesSpent,
    CodeWait,
    GuessWait,
    NoCodePending,
    NumberLocked,
    PinNeeded,
    RegistrationOutdated,
    RegistrationWait,
    WrongCode,
)
from nightlatch.domain.guesses import Guesses
from nightlatch.domain.mail import Letter, To
from nightlatch.domain.numbers import Number, RegistrationBudget, Status
from tests.domain.samples import OWNER_PIN, RIGHT_HASH, SECOND, WRONG_HASH, a_code, a_number
from tests.people import NOON, OWNER, THIEF

MICRO = timedelta(microseconds=1)
WINDOW = timedelta(hours=72)
BY = f"{OWNER.client}/admin"


def accept(number: Number, client=OWNER.client, *, version=None, session="session-1", now=NOON):
    pin_version = number.two_step.version if version is None else version
    return registration.accept(
        number, client, Method.SMS, pin_version, a_code(session), f"{client}/admin", now
    )


def enter(number: Number, code=RIGHT_HASH, client=OWNER.client, session="session-1", now=NOON):
    return registration.enter_code(number, client, session, code, f"{client}/admin", now)


def spent(count: int, at=NOON) -> RegistrationBudget:
    return RegistrationBudget((at,) * count)


def kinds(decision) -> list[Kind]:
    return [event.kind for event in decision.events]


def letters(decision) -> list[Letter]:
    assert {mail.to for mail in decision.mails} <= {To.OWNERS}
    return [mail.letter for mail in decision.mails]


# The budget


@pytest.mark.parametrize(
    ("count", "after", "refused"),
    [
        (9, timedelta(0), False),
        (10, timedelta(0), True),
        (10, WINDOW - MICRO, True),
        (10, WINDOW, False),
    ],
)
def test_after_ten_registrations_a_whole_window_must_pass(count, after, refused):
    budget = spent(count)

    if refused:
        with pytest.raises(RegistrationWait):
            budget.refuse_if_spent(NOON + after)
        with pytest.raises(RegistrationWait):
            budget.spend(NOON + after)
    else:
        assert budget.spend(NOON + after).used[-1] == NOON + after


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        (timedelta(0), 259_200),
        (SECOND, 259_199),
        (MICRO, 259_200),
        (WINDOW - MICRO, 1),
        (timedelta(days=-9), 259_200),
    ],
)
def test_the_refusal_says_to_the_second_when_it_ends(after, seconds):
    with pytest.raises(RegistrationWait) as refused:
        spent(10).refuse_if_spent(NOON + after)

    assert refused.value.retry_after == seconds


def test_the_wait_is_counted_from_the_tenth_registration():
    budget = RegistrationBudget((NOON,) * 9).spend(NOON + WINDOW - SECOND)

    with pytest.raises(RegistrationWait):
        budget.refuse_if_spent(NOON + 2 * WINDOW - 2 * SECOND)

    assert budget.spend(NOON + 2 * WINDOW - SECOND).used == (NOON + 2 * WINDOW - SECOND,)


@given(st.lists(st.integers(0, 3 * 86_400), max_size=80))
def test_no_timing_registers_more_than_ten_times_in_any_window(pauses):
    at, budget, told = NOON, RegistrationBudget(), []
    accepted: list[datetime] = []

    for pause in pauses:
        at += pause * SECOND
        try:
            budget = budget.spend(at)
        except RegistrationWait as refused:
            told.append((refused.retry_after, (accepted[-1] + WINDOW - at).total_seconds()))
            continue
        accepted.append(at)

    assert all(b - a >= WINDOW for a, b in zip(accepted, accepted[10:], strict=False))
    tenth = [n for n in range(9, len(accepted) - 1) if accepted[n] - accepted[n - 9] < WINDOW]
    assert all(accepted[n + 1] - accepted[n] >= WINDOW for n in tenth)
    assert all(said == true for said, true in told)


# Who is looked at


def test_without_two_step_nobody_is_asked_for_a_pin():
    registration.admit(a_number(), None, NOON)
    registration.admit(a_number(), THIEF.wrong_pin, NOON)


def test_with_two_step_a_missing_pin_is_asked_for():
    with pytest.raises(PinNeeded):
        registration.admit(a_number(two_step=OWNER_PIN), None, NOON)


def test_the_budget_is_looked_at_before_the_pin():
    number = a_number(two_step=OWNER_PIN, registrations=spent(10))

    with pytest.raises(RegistrationWait):
        registration.admit(number, None, NOON)


@pytest.mark.parametrize(
    ("guesses", "refusal"),
    [(Guesses(run=5, since=NOON), GuessWait), (Guesses(locked=True), NumberLocked)],
)
def test_while_guesses_are_closed_a_pin_is_refused_unread_and_a_missing_one_asked_for(
    guesses, refusal
):
    number = a_number(two_step=OWNER_PIN, guesses=guesses)

    with pytest.raises(refusal):
        registration.admit(number, OWNER.pin, NOON)
    with pytest.raises(PinNeeded):
        registration.admit(number, None, NOON)


# Guesses and what is written down of them


def test_a_guess_is_counted_and_told_before_it_is_compared():
    number = a_number(two_step=OWNER_PIN)

    decision = registration.pay_guess(number, BY, "account", NOON)

    assert decision.number.guesses == Guesses().pay(NOON)
    (event,) = decision.events
    assert event.kind is Kind.GUESS_PAID
    assert event.details == (("path", "account"), ("in_a_row", 1))


def test_no_guess_is_paid_once_two_step_was_turned_off():
    with pytest.raises(RegistrationOutdated):
        registration.pay_guess(a_number(), BY, "account", NOON)


def test_a_guess_that_registers_is_counted_in_both_budgets_in_one_step():
    number = a_number(two_step=OWNER_PIN, registrations=spent(9))

    decision = registration.pay_guess(number, BY, "graph", NOON, registers=True)

    assert decision.number.guesses == Guesses().pay(NOON)
    assert decision.number.registrations == spent(10)
    assert kinds(decision) == [Kind.GUESS_PAID]


def test_a_guess_that_does_not_register_leaves_the_other_budget_alone():
    number = a_number(two_step=OWNER_PIN, registrations=spent(10))

    assert registration.pay_guess(number, BY, "account", NOON).number.registrations == spent(10)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"registrations": spent(10)}, RegistrationWait),
        ({"guesses": Guesses(run=5, since=NOON)}, GuessWait),
        ({"guesses": Guesses(locked=True)}, NumberLocked),
    ],
)
def test_a_guess_that_registers_is_not_compared_when_either_budget_is_closed(changes, refusal):
    with pytest.raises(refusal):
        registration.pay_guess(
            a_number(two_step=OWNER_PIN, **changes), BY, "graph", NOON, registers=True
        )


def test_a_wrong_guess_is_told_with_its_place_in_the_run():
    number = registration.pay_guess(a_number(two_step=OWNER_PIN), BY, "shards", NOON).number

    decision = registration.settle_wrong(number, 1, BY, "shards", NOON)

    assert kinds(decision) == [Kind.GUESS_WRONG]
    assert decision.events[0].details == (("path", "shards"), ("in_a_row", 1))


def test_the_guess_that_locks_is_told_as_a_lock_once_and_before_it_is_compared():
    number = a_number(two_step=OWNER_PIN, guesses=Guesses(ticket=99, run=99))

    paid = registration.pay_guess(number, BY, "account", NOON)
    wrong = registration.settle_wrong(paid.number, 100, BY, "account", NOON)

    assert kinds(paid) == [Kind.GUESS_PAID, Kind.NUMBER_LOCKED]
    assert kinds(wrong) == [Kind.GUESS_WRONG]
    assert wrong.number.guesses.locked


def test_a_lock_ends_again_when_the_guess_that_began_it_is_right():
    number = a_number(two_step=OWNER_PIN, guesses=Guesses(ticket=99, run=99))

    paid = registration.pay_guess(number, BY, "account", NOON)
    right = registration.settle_right(paid.number, 100, BY, "account", NOON)

    assert kinds(right) == [Kind.GUESS_RIGHT, Kind.NUMBER_UNLOCKED]
    assert not right.number.guesses.locked


def guess(number: Number, right: bool = False, now=NOON):
    """Pay and settle; both decisions."""
    paid = registration.pay_guess(number, BY, "account", now)
    settle = registration.settle_right if right else registration.settle_wrong
    return paid, settle(paid.number, paid.number.guesses.ticket, BY, "account", now)


def test_the_first_wrong_guess_of_a_run_is_mailed_and_those_that_follow_are_not():
    number, mailed = a_number(two_step=OWNER_PIN), []

    for right in (False, False, False, True, True, False, False):
        paid, settled = guess(number, right)
        number = settled.number
        mailed.append((letters(paid), letters(settled)))

    told: tuple[list[Letter], list[Letter]] = ([], [Letter.FIRST_WRONG_GUESS])
    assert mailed == [told, ([], []), ([], []), ([], []), ([], []), told, ([], [])]


def test_a_guess_that_was_never_settled_leaves_the_mail_to_the_next_wrong_one():
    crashed = registration.pay_guess(a_number(two_step=OWNER_PIN), BY, "account", NOON).number

    _, settled = guess(crashed)

    assert settled.number.guesses.run == 2
    assert letters(settled) == [Letter.FIRST_WRONG_GUESS]


def test_of_wrong_guesses_in_flight_together_one_is_mailed():
    number = a_number(two_step=OWNER_PIN)
    for _ in range(4):
        number = registration.pay_guess(number, BY, "account", NOON).number

    mailed = []
    for ticket in (3, 1, 4, 2):
        settled = registration.settle_wrong(number, ticket, BY, "account", NOON)
        number = settled.number
        mailed += letters(settled)

    assert mailed == [Letter.FIRST_WRONG_GUESS]


def test_after_an_unlock_the_next_wrong_guess_is_mailed_again():
    number = guess(a_number(two_step=OWNER_PIN))[1].number

    _, settled = guess(replace(number, guesses=number.guesses.unlock()))

    assert letters(settled) == [Letter.FIRST_WRONG_GUESS]


def test_a_lock_is_mailed_once_when_it_begins():
    number = a_number(two_step=OWNER_PIN, guesses=Guesses(ticket=99, run=99, warned=True))

    paid, settled = guess(number)

    assert letters(paid) == [Letter.NUMBER_LOCKED]
    assert letters(settled) == []


def test_a_lock_that_ends_with_the_right_pin_is_not_mailed_again():
    number = a_number(two_step=OWNER_PIN, guesses=Guesses(ticket=99, run=99, warned=True))

    paid, settled = guess(number, right=True)

    assert letters(paid) == [Letter.NUMBER_LOCKED]
    assert letters(settled) == []


@given(st.lists(st.sampled_from(["wrong", "right", "crash", "unlock"]), max_size=60))
def test_each_run_of_wrong_guesses_is_mailed_at_most_once_and_never_not_at_all(steps):
    number, at, mailed, wrong = a_number(two_step=OWNER_PIN), NOON, 0, 0

    for step in steps:
        at += timedelta(days=1)
        if step == "unlock":
            number = replace(number, guesses=number.guesses.unlock())
        elif step == "crash":
            number = registration.pay_guess(number, BY, "account", at).number
        else:
            _, settled = guess(number, step == "right", at)
            number, mailed = settled.number, mailed + len(settled.mails)
            wrong += step == "wrong"
        if step in ("right", "unlock"):
            mailed = wrong = 0
        assert mailed == min(wrong, 1)


def test_a_right_guess_ends_the_run_and_is_told():
    number = registration.pay_guess(a_number(two_step=OWNER_PIN), BY, "account", NOON).number

    decision = registration.settle_right(number, 1, BY, "account", NOON)

    assert decision.number.guesses.run == 0
    assert kinds(decision) == [Kind.GUESS_RIGHT]


def test_an_unreadable_verifier_is_told_and_the_guess_stays_counted():
    number = registration.pay_guess(a_number(two_step=OWNER_PIN), BY, "account", NOON).number

    decision = registration.unreadable(number, 1, BY, NOON)

    assert decision.number.guesses.run == 1
    assert kinds(decision) == [Kind.VERIFIER_UNREADABLE]
    assert decision.events[0].details == (("guess", 1),)


# Accepting


def test_an_accepted_registration_sends_a_code_and_waits_for_it():
    decision = accept(a_number())

    number = decision.number
    assert number.pending is not None
    assert (number.pending.session, number.pending.client) == ("session-1", OWNER.client)
    assert (number.registrations.used, number.codes.sent) == ((NOON,), (NOON,))
    assert kinds(decision) == [Kind.REGISTRATION_ACCEPTED, Kind.CODE_SENT]
    assert decision.messages == (a_code().message,)
    assert number.holder is None


def test_the_client_that_holds_the_number_needs_no_code():
    number = a_number(holder=OWNER.client, registered_at=NOON)

    decision = accept(number)

    assert decision.number == replace(number, registrations=spent(1))
    assert kinds(decision) == [Kind.REGISTRATION_ACCEPTED]
    assert decision.events[0].details == (("already_held", True),)
    assert decision.messages == ()


def test_a_pin_that_changed_since_it_was_checked_makes_the_registration_start_again():
    with pytest.raises(RegistrationOutdated):
        accept(a_number(two_step=OWNER_PIN), version=OWNER_PIN.version - 1)


def test_a_budget_that_was_spent_meanwhile_refuses():
    with pytest.raises(RegistrationWait):
        accept(a_number(registrations=spent(10)))


def test_the_sixth_code_of_a_day_is_refused_and_costs_no_registration():
    number = a_number(codes=CodeBudget((NOON,) * 5))

    decision = accept(number)

    assert isinstance(decision.refusal, CodesSpent)
    assert decision.number == number
    assert (decision.events, decision.messages) == ((), ())


# Entering the code


def test_the_right_code_hands_the_number_over():
    decision = enter(accept(a_number()).number, now=NOON + SECOND)

    number = decision.number
    assert (number.holder, number.status) == (OWNER.client, Status.CONNECTED)
    assert number.pending is None
    assert number.registered_at == number.code_verified_at == NOON + SECOND
    assert kinds(decision) == [Kind.NUMBER_REGISTERED]
    assert decision.events[0].details == (("client", OWNER.client),)


def test_taking_a_number_over_tells_from_whom():
    number = accept(a_number(holder=OWNER.client, registered_at=NOON), THIEF.client).number

    decision = enter(number, client=THIEF.client)

    assert decision.number.holder == THIEF.client
    assert kinds(decision) == [Kind.NUMBER_REGISTERED, Kind.NUMBER_TAKEN_OVER]
    assert decision.events[1].details == (("from", OWNER.client),)
    assert letters(decision) == [Letter.NUMBER_TAKEN_OVER]


@pytest.mark.parametrize("holder", [None, OWNER.client])
def test_a_number_that_is_taken_from_nobody_is_mailed_to_nobody(holder):
    number = replace(accept(a_number(registered_at=NOON)).number, holder=holder)

    assert letters(enter(number)) == []
    assert letters(enter(number, WRONG_HASH)) == []


def test_a_client_that_came_to_hold_the_number_meanwhile_takes_nothing_over():
    number = replace(accept(a_number()).number, holder=OWNER.client)

    assert kinds(enter(number)) == [Kind.NUMBER_REGISTERED]


def test_a_wrong_code_is_kept_as_a_check_and_refused():
    number = accept(a_number()).number

    decision = enter(number, WRONG_HASH)

    assert isinstance(decision.refusal, WrongCode)
    assert decision.number.pending is not None
    assert decision.number.pending.checks == 1
    assert decision.number.holder is None
    assert kinds(decision) == [Kind.CODE_WRONG]
    assert decision.events[0].details == (("checks", 1),)


def test_the_right_code_after_five_wrong_ones_is_refused():
    number, at = accept(a_number()).number, NOON
    for wait in (0, 0, 0, 60, 120):
        at += wait * SECOND
        number = enter(number, WRONG_HASH, now=at).number

    with pytest.raises(NoCodePending):
        enter(number, now=at + SECOND)


def test_too_soon_after_the_third_check_even_the_right_code_waits():
    number = accept(a_number()).number
    for _ in range(3):
        number = enter(number, WRONG_HASH).number

    with pytest.raises(CodeWait):
        enter(number, now=NOON + 60 * SECOND - MICRO)

    assert enter(number, now=NOON + 60 * SECOND).number.holder == OWNER.client


def test_a_code_works_once():
    registered = enter(accept(a_number()).number).number

    with pytest.raises(NoCodePending):
        enter(registered)


@pytest.mark.parametrize(
    ("client", "session"),
    [(THIEF.client, "session-1"), (OWNER.client, "session-2"), (THIEF.client, "session-2")],
)
def test_a_code_is_good_only_for_the_client_and_the_attempt_it_was_sent_for(client, session):
    with pytest.raises(NoCodePending):
        enter(accept(a_number()).number, client=client, session=session)


def test_only_the_newest_code_is_good():
    number = accept(accept(a_number()).number, session="session-2").number

    with pytest.raises(NoCodePending):
        enter(number, session="session-1")

    assert enter(number, session="session-2").number.holder == OWNER.client


def test_a_newer_attempt_starts_with_all_its_checks():
    number = accept(a_number()).number
    for _ in range(3):
        number = enter(number, WRONG_HASH).number

    number = accept(number, session="session-2").number

    assert enter(number, session="session-2").number.holder == OWNER.client


@pytest.mark.parametrize("change", ["set", "changed", "turned off"])
def test_a_pin_set_changed_or_turned_off_meanwhile_voids_the_registration(change):
    before = a_number() if change == "set" else a_number(two_step=OWNER_PIN)
    number = accept(before).number
    meanwhile = (
        number.two_step.turn_off() if change == "turned off" else number.two_step.turn_on(b"new")
    )

    decision = enter(replace(number, two_step=meanwhile))

    assert isinstance(decision.refusal, RegistrationOutdated)
    assert decision.number.pending is None
    assert decision.number.holder is None
    assert decision.events == ()


def test_a_pin_set_and_turned_off_again_meanwhile_voids_the_registration_too():
    number = accept(a_number()).number

    meanwhile = number.two_step.turn_on(b"new").turn_off()

    assert isinstance(enter(replace(number, two_step=meanwhile)).refusal, RegistrationOutdated)


def test_a_released_number_is_held_by_nobody():
    number = a_number(holder=OWNER.client, registered_at=NOON)

    decision = registration.release(number, BY, NOON)

    assert decision.number.holder is None
    assert decision.number.status is Status.DISCONNECTED
    assert kinds(decision) == [Kind.NUMBER_RELEASED]
