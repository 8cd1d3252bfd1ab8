"""Registration codes: form, life, checks, budget."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain.codes import CodeBudget, Method, Pending, read_code, read_method
from nightlatch.domain.errors import CodesSpent, CodeWait, NoCodePending, ParameterInvalid
from tests.domain.samples import RIGHT_HASH, SECOND, WRONG_HASH
from tests.people import NOON, OWNER

MICRO = timedelta(microseconds=1)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def pending() -> Pending:
    return Pending("session-1", OWNER.client, Method.SMS, RIGHT_HASH, 0, NOON)


@pytest.mark.parametrize("word", ["sms", "voice"])
def test_the_two_documented_methods_are_taken(word):
    assert read_method(word).value == word


@pytest.mark.parametrize("value", ["SMS", "Voice", "sms ", "", "fax", None, 1, True, ["sms"]])
def test_another_method_is_refused(value):
    with pytest.raises(ParameterInvalid) as refused:
        read_method(value)

    assert refused.value.name == "method"


@pytest.mark.parametrize(("sent", "digits"), [("012345", "012345"), ("012-345", "012345")])
def test_a_code_is_taken_bare_or_as_the_message_shows_it(sent, digits):
    assert read_code(sent) == digits


@pytest.mark.parametrize(
    "value",
    [
        "", "12345", "1234567", "12-3456", "123--456", "-123456", "123456-", "123 456", " 123456",
        "123456\n", "123456\x00", "\ufeff123456", "١٢٣٤٥٦", 123456, True, None, ["123456"],
        b"123456",
    ],
)  # fmt: skip
def test_anything_else_is_no_code(value):
    with pytest.raises(ParameterInvalid) as refused:
        read_code(value)

    assert refused.value.name == "code"


@pytest.mark.parametrize(
    ("after", "good"),
    [
        (-MICRO, False),
        (timedelta(0), True),
        (10 * MINUTE - MICRO, True),
        (10 * MINUTE, False),
        (365 * DAY, False),
    ],
)
def test_a_code_is_good_from_sending_until_ten_minutes_are_over(after, good):
    if good:
        assert pending().pay_check(NOON + after).checks == 1
    else:
        with pytest.raises(NoCodePending):
            pending().pay_check(NOON + after)


@pytest.mark.parametrize(("checks", "wait"), [(1, 0), (2, 0), (3, 60), (4, 120)])
def test_after_each_check_the_next_one_waits_a_little_longer(checks, wait):
    waiting = replace(pending(), checks=checks, checked_at=NOON)

    for early in range(wait):
        with pytest.raises(CodeWait) as refused:
            waiting.pay_check(NOON + early * SECOND)
        assert refused.value.retry_after == wait - early

    assert waiting.pay_check(NOON + wait * SECOND).checks == checks + 1


def test_the_fifth_check_is_the_last():
    waiting = replace(pending(), checks=5, checked_at=NOON)

    with pytest.raises(NoCodePending):
        waiting.pay_check(NOON + 9 * MINUTE)


def test_a_wait_counts_no_check_and_is_never_longer_than_itself():
    waiting = pending().pay_check(NOON + MINUTE)
    waiting = waiting.pay_check(NOON + MINUTE).pay_check(NOON + MINUTE)

    with pytest.raises(CodeWait) as refused:
        waiting.pay_check(NOON)

    assert refused.value.retry_after == 60
    assert waiting.checks == 3


def test_only_the_right_hash_matches():
    assert pending().matches(RIGHT_HASH)
    assert not pending().matches(WRONG_HASH)
    assert not pending().matches(b"")


@given(st.lists(st.integers(0, 200), max_size=40))
def test_no_timing_checks_one_code_more_than_five_times(pauses):
    at, waiting, checked = NOON, pending(), []

    for pause in pauses:
        at += pause * SECOND
        try:
            waiting = waiting.pay_check(at)
        except (CodeWait, NoCodePending):
            continue
        checked.append(at)

    gaps = [later - before for before, later in pairwise(checked)]
    assert len(checked) <= 5
    assert all(gap >= 60 * SECOND for gap in gaps[2:3])
    assert all(gap >= 120 * SECOND for gap in gaps[3:])
    assert all(at < NOON + 10 * MINUTE for at in checked)


def test_five_codes_a_day_and_the_sixth_when_the_oldest_is_a_day_old():
    budget = CodeBudget()
    for minute in range(5):
        budget = budget.spend(NOON + minute * MINUTE)

    with pytest.raises(CodesSpent) as at_once:
        budget.spend(NOON + 5 * MINUTE)
    with pytest.raises(CodesSpent) as at_last:
        budget.spend(NOON + DAY - MICRO)

    assert at_once.value.retry_after == 86_400 - 300
    assert at_last.value.retry_after == 1
    assert len(budget.spend(NOON + DAY).sent) == 5
    with pytest.raises(CodesSpent):
        budget.spend(NOON + DAY).spend(NOON + DAY)


def test_a_clock_that_steps_back_makes_nobody_wait_longer_than_a_day():
    budget = CodeBudget((NOON,) * 5)

    with pytest.raises(CodesSpent) as refused:
        budget.spend(NOON - 365 * DAY)

    assert refused.value.retry_after == 86_400


@given(st.lists(st.integers(0, 40_000), max_size=60))
def test_no_timing_sends_more_than_five_codes_in_a_day(pauses):
    at, budget, told = NOON, CodeBudget(), []
    sent: list[datetime] = []

    for pause in pauses:
        at += pause * SECOND
        try:
            budget = budget.spend(at)
        except CodesSpent as refused:
            told.append((refused.retry_after, (sent[-5] + DAY - at).total_seconds()))
            continue
        sent.append(at)

    assert all(later - first >= DAY for first, later in zip(sent, sent[5:], strict=False))
    assert all(said == true for said, true in told)
