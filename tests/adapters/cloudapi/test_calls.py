"""How many calls an hour an account has left."""

from datetime import timedelta

import pytest

from nightlatch.adapters.cloudapi.calls import Calls, Usage
from nightlatch.domain.limits import CLOUD_CALLS, CLOUD_CALLS_SPARED
from tests.fakes.cloud import WABA

FEW, MANY = CLOUD_CALLS
SPARED = 1 - CLOUD_CALLS_SPARED
HOUR = 3_600.0


class Ticker:
    """A monotonic clock that a test steps."""

    def __init__(self) -> None:
        self.at = 12_345.6

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Ticker:
    return Ticker()


@pytest.fixture
def calls(clock: Ticker) -> Calls:
    return Calls(clock)


def spend(calls: Calls, count: int, *, patient: bool = False) -> timedelta | None:
    """The wait of the last one."""
    return [calls.spend(WABA, patient=patient) for _ in range(count)][-1]


def test_all_calls_of_the_hour_can_be_made_and_no_more(calls: Calls):
    assert spend(calls, FEW) is None

    assert spend(calls, 1) is not None


def test_who_can_wait_leaves_some_to_others(calls: Calls):
    assert spend(calls, int(FEW * SPARED), patient=True) is None

    assert spend(calls, 1, patient=True) is not None
    assert spend(calls, 1) is None


def test_a_registered_number_gives_the_account_more(calls: Calls):
    spend(calls, FEW)
    calls.saw_registered(WABA)

    assert spend(calls, MANY - FEW) is None
    assert spend(calls, 1) is not None


def test_each_account_has_its_own(calls: Calls):
    spend(calls, FEW)

    assert calls.spend("1", patient=False) is None


def test_the_wait_is_long_enough_and_at_most_a_minute_too_long(calls: Calls, clock: Ticker):
    spend(calls, 1)
    clock.at += 600
    spend(calls, FEW - 1)
    wait = spend(calls, 1)

    assert wait is not None
    assert HOUR - 600 <= wait.total_seconds() <= HOUR - 600 + 60
    clock.at += wait.total_seconds()
    assert spend(calls, 1) is None
    assert spend(calls, 1) is not None


def test_a_refused_call_is_not_counted(calls: Calls, clock: Ticker):
    spend(calls, FEW + 100)
    clock.at += HOUR + 60

    assert spend(calls, FEW) is None


def test_no_more_than_an_hour_is_remembered(calls: Calls, clock: Ticker):
    for _ in range(500):
        clock.at += 60
        assert calls.spend(WABA, patient=False) is None

    assert len(calls._accounts[WABA].used) <= 61


def test_who_can_wait_believes_what_meta_says_about_the_use(calls: Calls, clock: Ticker):
    calls.heard(WABA, Usage(79.0))
    assert calls.spend(WABA, patient=True) is None

    calls.heard(WABA, Usage(80.0))
    wait = calls.spend(WABA, patient=True)

    assert wait is not None
    assert calls.spend(WABA, patient=False) is None
    clock.at += wait.total_seconds()
    assert calls.spend(WABA, patient=True) is None


def test_an_answer_that_says_nothing_about_the_use_changes_nothing(calls: Calls):
    calls.heard(WABA, Usage(95.0))
    calls.heard(WABA, Usage())

    assert calls.spend(WABA, patient=True) is not None


def test_nobody_calls_while_meta_takes_no_calls(calls: Calls, clock: Ticker):
    calls.heard(WABA, Usage(100.0, timedelta(minutes=7)))

    assert calls.spend(WABA, patient=False) == timedelta(minutes=7)
    clock.at += 7 * 60
    assert calls.spend(WABA, patient=False) is None


def test_an_absurd_time_closes_an_account_for_an_hour_at_most(calls: Calls):
    calls.heard(WABA, Usage(100.0, timedelta(days=29)))

    assert calls.spend(WABA, patient=False) == timedelta(hours=1)
