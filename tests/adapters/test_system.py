"""Clocks that never run backwards, and randomness in the promised form."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from nightlatch.adapters.system import SteadyClock, SteppedClock, SystemChance

CLOCKS = pytest.mark.parametrize("clock", [SteadyClock, SteppedClock])
YEAR = timedelta(days=365)


@CLOCKS
def test_a_clock_tells_aware_utc_between_two_looks_at_the_wall(clock):
    before = datetime.now(UTC)
    told = clock().now()
    after = datetime.now(UTC)

    assert told.tzinfo is UTC
    assert before <= told <= after


@CLOCKS
def test_a_clock_never_runs_backwards(clock):
    running = clock()

    told = [running.now() for _ in range(10_000)]

    assert told == sorted(told)


@CLOCKS
def test_a_clock_goes_on_from_the_latest_stored_time_when_the_wall_is_behind(clock):
    stored = datetime.now(UTC) + YEAR

    told = clock(stored).now()

    assert stored <= told < stored + YEAR


@CLOCKS
def test_a_stored_time_in_the_past_changes_nothing(clock):
    before = datetime.now(UTC)

    assert before <= clock(before - YEAR).now() <= datetime.now(UTC)


def test_a_steady_clock_follows_the_kernels_count_and_not_the_wall(monkeypatch):
    clock = SteadyClock()
    count = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    wall = datetime.now(UTC)
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _: count + 3_600 * 10**9)

    told = clock.now()

    assert abs(told - wall - timedelta(hours=1)) < timedelta(minutes=1)


def test_a_stepped_clock_goes_forward_by_what_it_is_stepped_and_never_back():
    clock = SteppedClock()
    start = clock.now()

    clock.step(YEAR)
    stepped = clock.now()
    clock.step(-2 * YEAR)
    still = clock.now()

    assert start + YEAR <= stepped <= still


def test_random_digits_are_ascii_digits_of_the_length_asked_for():
    drawn = [SystemChance().digits(6) for _ in range(2_000)]

    assert all(len(one) == 6 and one.isascii() and one.isdigit() for one in drawn)
    assert set("".join(drawn)) == set("0123456789")
    assert any(one.startswith("0") for one in drawn)


def test_random_tokens_are_url_safe_and_never_repeat():
    drawn = {SystemChance().token(32) for _ in range(1_000)}

    assert len(drawn) == 1_000
    assert {len(one) for one in drawn} == {43}
    assert not set("".join(drawn)) & set("+/=")
