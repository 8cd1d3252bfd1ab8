"""PIN guesses: tables for the edges, laws for every timing, a model for every order."""

import itertools
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nightlatch.domain.errors import GuessWait, NumberLocked
from nightlatch.domain.guesses import Guesses
from tests.people import NOON

WAITS = (0, 0, 0, 0, 60, 300, 900, 900, 3_600, 86_400)
SECOND, DAY, MONTH = timedelta(seconds=1), timedelta(days=1), timedelta(days=30)
ZERO, MICRO = timedelta(0), timedelta(microseconds=1)


def after_wrong(count: int, at=NOON) -> tuple[Guesses, list[datetime]]:
    """*count* wrong guesses, each as early as it is allowed; and when they were compared."""
    guesses, times = Guesses(), []
    for _ in range(count):
        at += guesses.remaining(at)
        guesses = guesses.pay(at)
        guesses = guesses.wrong(guesses.ticket, at)
        times.append(at)
    return guesses, times


@pytest.mark.parametrize(("wrong", "seconds"), list(enumerate(WAITS, 1)))
def test_a_wrong_guess_starts_the_wait_of_its_place_in_the_run(wrong, seconds):
    guesses, times = after_wrong(wrong)

    assert guesses.remaining(times[-1]) == timedelta(seconds=seconds)


@pytest.mark.parametrize("wrong", [11, 12, 50, 99])
def test_after_the_tenth_wrong_guess_every_further_one_waits_a_day(wrong):
    guesses, times = after_wrong(wrong)

    assert guesses.remaining(times[-1]) == DAY


@pytest.mark.parametrize("wrong", range(1, 5))
def test_the_first_four_wrong_guesses_do_not_close_anything(wrong):
    guesses, times = after_wrong(wrong)

    guesses.refuse_while_closed(times[-1])


@pytest.mark.parametrize("wrong", range(5, 12))
def test_a_microsecond_before_its_end_the_wait_still_refuses(wrong):
    guesses, times = after_wrong(wrong)
    end = times[-1] + guesses.remaining(times[-1])

    with pytest.raises(GuessWait) as refused:
        guesses.pay(end - timedelta(microseconds=1))

    assert refused.value.retry_after == 1


@pytest.mark.parametrize("wrong", range(5, 12))
def test_exactly_at_its_end_the_wait_is_over(wrong):
    guesses, times = after_wrong(wrong)
    end = times[-1] + guesses.remaining(times[-1])

    assert guesses.pay(end).run == wrong + 1


def test_the_refusal_says_how_many_seconds_are_left():
    guesses, times = after_wrong(6)

    with pytest.raises(GuessWait) as at_once:
        guesses.refuse_while_closed(times[-1])
    with pytest.raises(GuessWait) as later:
        guesses.refuse_while_closed(times[-1] + 100.5 * SECOND)

    assert (at_once.value.retry_after, later.value.retry_after) == (300, 200)


def test_a_refused_guess_counts_nothing():
    guesses, times = after_wrong(5)

    with pytest.raises(GuessWait):
        guesses.pay(times[-1])

    assert (guesses.run, guesses.ticket, len(guesses.paid)) == (5, 5, 5)


def test_the_hundredth_wrong_guess_in_a_row_locks():
    before, _ = after_wrong(99)
    guesses, times = after_wrong(100)

    assert not before.locked
    with pytest.raises(NumberLocked):
        guesses.pay(times[-1] + 365 * DAY)


def test_a_right_pin_ends_the_run_and_its_wait():
    guesses, times = after_wrong(9)
    at = times[-1] + guesses.remaining(times[-1])

    guesses = guesses.pay(at)
    guesses = guesses.right(guesses.ticket, at)

    assert (guesses.run, guesses.remaining(at)) == (0, ZERO)


def wrong_and_right(days: int, a_day: int = 4) -> Guesses:
    """Each day *a_day* wrong guesses, then the owner comes with the right PIN."""
    guesses = Guesses()
    for day in range(days):
        at = NOON + day * DAY
        for _ in range(a_day):
            guesses = guesses.pay(at)
            guesses = guesses.wrong(guesses.ticket, at)
        guesses = guesses.pay(at)
        guesses = guesses.right(guesses.ticket, at)
    return guesses


def test_right_pins_never_clear_the_thirty_day_total():
    guesses = wrong_and_right(days=24)  # 96 wrong
    at = NOON + 24 * DAY

    for _ in range(4):
        guesses = guesses.pay(at)

    assert guesses.run == 4
    assert guesses.locked


def test_the_last_guess_before_the_lock_is_free_again_when_it_was_right():
    guesses = wrong_and_right(days=24)
    at = NOON + 24 * DAY
    for _ in range(3):
        guesses = guesses.pay(at)
    guesses = guesses.pay(at)

    guesses = guesses.right(guesses.ticket, at)

    assert not guesses.locked
    assert len(guesses.paid) == 99


@pytest.mark.parametrize(
    ("later", "total"), [(timedelta(microseconds=-1), 3), (ZERO, 1), (SECOND, 1)]
)
def test_a_guess_leaves_the_total_exactly_thirty_days_after_it_was_paid(later, total):
    guesses = Guesses().pay(NOON).pay(NOON)

    guesses = guesses.pay(NOON + MONTH + later)

    assert len(guesses.paid) == total
    assert guesses.run == 3


def test_a_guess_paid_after_the_right_one_stays_counted_when_that_one_settles():
    guesses = Guesses().pay(NOON)
    right = guesses.ticket
    guesses = guesses.pay(NOON).pay(NOON)

    guesses = guesses.right(right, NOON)

    assert guesses.run == 2


def test_a_wrong_guess_that_settles_after_a_later_right_one_counts_again():
    guesses = Guesses().pay(NOON)
    wrong = guesses.ticket
    guesses = guesses.pay(NOON)
    guesses = guesses.right(guesses.ticket, NOON)

    guesses = guesses.wrong(wrong, NOON)

    assert guesses.run == 1
    assert [paid.ticket for paid in guesses.paid] == [wrong]


def test_an_unlock_starts_everything_anew_but_the_ticket_numbers():
    guesses, times = after_wrong(100)

    guesses = guesses.unlock()

    assert guesses == Guesses(ticket=100, forgiven=100)
    assert guesses.pay(times[-1]).ticket == 101


def test_a_guess_in_flight_over_an_unlock_counts_from_there():
    guesses = Guesses().pay(NOON)

    guesses = guesses.unlock().wrong(1, NOON)

    assert guesses.run == 1


def test_a_clock_that_steps_back_neither_ends_nor_stretches_a_wait():
    guesses, times = after_wrong(5)

    assert guesses.remaining(times[-1] - 3_650 * DAY) == 60 * SECOND


# Under attack


def test_one_wrong_guess_is_a_slip_and_two_in_a_row_are_an_attack():
    one = Guesses().pay(NOON)
    two = one.pay(NOON + SECOND)

    assert (one.attacked_at, two.attacked_at) == (None, NOON + SECOND)
    assert not one.is_under_attack(NOON)
    assert two.is_under_attack(NOON + SECOND)


@pytest.mark.parametrize(("after", "attacked"), [(DAY - MICRO, True), (DAY, False)])
def test_an_attack_is_over_a_day_after_its_last_guess_to_the_microsecond(after, attacked):
    guesses = Guesses().pay(NOON).pay(NOON + SECOND)

    assert guesses.is_under_attack(NOON + SECOND + after) is attacked


def test_a_right_pin_or_a_person_ends_an_attack():
    guesses = Guesses().pay(NOON).pay(NOON).pay(NOON)

    assert not guesses.right(guesses.ticket, NOON).is_under_attack(NOON)
    assert not guesses.unlock().is_under_attack(NOON)


def test_a_locked_number_is_no_longer_under_attack_after_a_day():
    guesses, times = after_wrong(100)

    assert guesses.is_under_attack(times[-1])
    assert not guesses.is_under_attack(times[-1] + DAY)


@pytest.mark.parametrize(
    ("wrong", "seconds"), [(0, None), (4, None), (5, 60), (9, 3_600), (50, 86_400)]
)
def test_the_end_of_a_wait_is_when_it_began_and_its_length(wrong, seconds):
    guesses, times = after_wrong(wrong)

    expected = None if seconds is None else times[-1] + seconds * SECOND
    assert guesses.wait_ends_at == expected


@given(st.integers(0, 99), st.integers(-(10**9), 10**9))
def test_a_wait_runs_exactly_until_its_end(wrong, shift):
    guesses, times = after_wrong(wrong)
    now = (times or [NOON])[-1] + shift * SECOND

    assert bool(guesses.remaining(now)) is (
        guesses.wait_ends_at is not None and now < guesses.wait_ends_at
    )


# Whether the owners were told


def test_a_right_pin_makes_the_next_wrong_guess_the_first_again():
    guesses = replace(Guesses().pay(NOON), warned=True).pay(NOON)

    assert not guesses.right(guesses.ticket, NOON).warned
    assert not replace(guesses, warned=True).unlock().warned


def test_a_right_pin_that_leaves_wrong_guesses_in_the_run_leaves_the_owners_told():
    guesses = replace(Guesses().pay(NOON).pay(NOON), warned=True)

    assert guesses.right(1, NOON).warned
    assert not replace(guesses, warned=False).right(1, NOON).warned


def apart(times: list[datetime], count: int, least: timedelta) -> bool:
    """Whether *count* + 1 of *times* never fall into less than *least*."""
    return all(later - first >= least for first, later in zip(times, times[count:], strict=False))


# Seconds around the end of the running wait, or of the clock alone.
pauses = st.one_of(
    st.tuples(st.just(True), st.sampled_from([-1, 0, 0, 0, 1, 60])),
    st.tuples(st.just(False), st.one_of(st.just(0), st.integers(0, 40 * 86_400))),
)


@settings(max_examples=50)
@given(st.lists(pauses, min_size=20, max_size=150))
def test_no_timing_of_wrong_guesses_beats_the_allowance(timing):
    guesses, at, compared = Guesses(), NOON, []

    for from_the_end, seconds in timing:
        rest = guesses.remaining(at) if from_the_end else ZERO
        at += max(ZERO, rest + seconds * SECOND)
        try:
            guesses = guesses.pay(at)
        except (GuessWait, NumberLocked):
            continue
        guesses = guesses.wrong(guesses.ticket, at)
        compared.append(at)

    assert apart(compared, 5, 60 * SECOND)
    assert apart(compared, 10, DAY)
    assert len(compared) <= 100


def test_a_thief_who_tries_at_every_end_of_a_wait_is_compared_a_hundred_times_and_no_more():
    guesses, times = after_wrong(100)

    with pytest.raises(NumberLocked):
        guesses.pay(times[-1] + 3_650 * DAY)

    assert [int((b - a) / SECOND) for a, b in itertools.pairwise(times[:11])] == list(WAITS)


@given(st.integers(0, 99), st.integers(-(10**9), 10**9))
def test_what_remains_is_never_negative_and_never_longer_than_the_wait(wrong, shift):
    guesses, times = after_wrong(wrong)
    length = timedelta(seconds=WAITS[min(wrong, 10) - 1]) if wrong else ZERO

    remaining = guesses.remaining((times or [NOON])[-1] + shift * SECOND)

    assert ZERO <= remaining <= length


class GuessesInAnyOrder(RuleBasedStateMachine):
    """Payments, right and wrong outcomes and unlocks in any order, against a list of tickets."""

    def __init__(self):
        super().__init__()
        self.guesses = Guesses()
        self.now = NOON
        self.tickets = 0
        self.run: list[int] = []
        self.closed_at = NOON
        self.forgiven = 0
        self.total: dict[int, datetime] = {}
        self.wrong_since_unlock: list[datetime] = []
        self.in_flight: dict[int, datetime] = {}
        self.locked = False

    def wait(self):
        length = WAITS[min(len(self.run), len(WAITS)) - 1] if self.run else 0
        return max(ZERO, self.closed_at + length * SECOND - self.now)

    def judge(self):
        self.closed_at = self.now
        self.locked = len(self.run) >= 100 or len(self.total) >= 100

    @rule(seconds=st.sampled_from([1, 60, 300, 900, 3_600, 86_400, 15 * 86_400]))
    def time_passes(self, seconds):
        self.now += seconds * SECOND

    @rule()
    def pay(self):
        if self.locked or self.wait():
            with pytest.raises(NumberLocked if self.locked else GuessWait):
                self.guesses.pay(self.now)
            return
        self.guesses = self.guesses.pay(self.now)
        self.tickets += 1
        self.run.append(self.tickets)
        self.total = {t: at for t, at in self.total.items() if at > self.now - MONTH}
        self.total[self.tickets] = self.now
        self.in_flight[self.tickets] = self.now
        self.judge()

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def settle_right(self, data):
        ticket = data.draw(st.sampled_from(sorted(self.in_flight)))
        del self.in_flight[ticket]
        before = [t for t in self.run if t > max(ticket, self.forgiven)]
        self.guesses = self.guesses.right(ticket, self.now)
        self.forgiven = max(ticket, self.forgiven)
        self.run = before
        self.total.pop(ticket, None)
        self.judge()

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def settle_wrong(self, data):
        ticket = data.draw(st.sampled_from(sorted(self.in_flight)))
        if ticket in self.total:
            self.wrong_since_unlock.append(self.in_flight[ticket])
        del self.in_flight[ticket]
        self.guesses = self.guesses.wrong(ticket, self.now)
        if ticket <= self.forgiven:
            self.run.append(ticket)
            self.judge()

    @rule(days=st.integers(1, 12))
    def owner_and_thief_take_turns(self, days):
        """Four wrong ones and a right one a day: the way to the 30-day lock."""
        for _ in range(days):
            self.now += DAY
            for right in (False, False, False, False, True):
                if self.locked or self.wait():
                    break
                self.pay()
                ticket = self.tickets
                paid_at = self.in_flight.pop(ticket)
                if right:
                    self.guesses = self.guesses.right(ticket, self.now)
                    self.forgiven, self.run = ticket, []
                    self.total.pop(ticket)
                    self.judge()
                else:
                    self.guesses = self.guesses.wrong(ticket, self.now)
                    self.wrong_since_unlock.append(paid_at)

    @rule()
    def unlock(self):
        self.guesses = self.guesses.unlock()
        self.run, self.total, self.wrong_since_unlock = [], {}, []
        self.forgiven, self.locked = self.tickets, False

    @invariant()
    def agrees_with_the_list(self):
        assert self.guesses.run == len(self.run)
        assert {paid.ticket: paid.at for paid in self.guesses.paid} == self.total
        assert self.guesses.locked == self.locked
        assert self.guesses.remaining(self.now) == self.wait()

    @invariant()
    def nothing_recorded_after_a_reset_is_erased_by_it(self):
        assert self.guesses.run >= sum(1 for ticket in self.total if ticket > self.forgiven)

    @invariant()
    def at_most_a_hundred_wrong_ones_are_compared_in_any_month(self):
        assert apart(sorted(self.wrong_since_unlock), 100, MONTH)


TestGuessesInAnyOrder = GuessesInAnyOrder.TestCase
TestGuessesInAnyOrder.settings = settings(max_examples=40, stateful_step_count=50)


@pytest.mark.parametrize(("run", "spent"), [(5, False), (9, False), (10, True), (11, True)])
def test_a_wait_says_whether_it_is_for_haste_or_for_the_day(run, spent):
    with pytest.raises(GuessWait) as refused:
        Guesses(run=run, since=NOON).pay(NOON + SECOND)

    assert refused.value.spent is spent
