"""The ledger: tables for its edges, laws for every order of attempts, waits and times."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain.errors import LedgerWait
from nightlatch.domain.ledger import Act, Ledger
from nightlatch.domain.limits import LEDGER_LIMITS, LEDGER_WINDOW
from tests.domain.samples import HOUR, MICRO, MINUTE, SECOND
from tests.people import NOON

acts = pytest.mark.parametrize("act", list(Act))


def after(count: int, act: Act = Act.REGISTER, *, force: bool = True) -> Ledger:
    """*count* attempts, a minute apart, the first at noon."""
    ledger = Ledger()
    for n in range(count):
        ledger = ledger.spend(act, NOON + n * MINUTE, force=force)
    return ledger


# Edges


def test_every_act_has_a_limit():
    assert {act.value: act.limit for act in Act} == LEDGER_LIMITS


@acts
def test_one_attempt_of_each_kind_is_kept_back_and_the_refusal_says_when_the_next_is_safe(act):
    ledger = after(act.limit - 1, act, force=False)
    at = NOON + act.limit * MINUTE

    with pytest.raises(LedgerWait) as refused:
        ledger.spend(act, at)

    assert refused.value.act == act.value
    assert refused.value.kept_back
    assert refused.value.retry_after == (NOON + LEDGER_WINDOW - at) / SECOND


@acts
def test_force_spends_what_is_kept_back_and_no_more(act):
    ledger = after(act.limit, act)

    with pytest.raises(LedgerWait) as forced:
        ledger.spend(act, NOON + HOUR, force=True)
    with pytest.raises(LedgerWait) as plain:
        ledger.spend(act, NOON + HOUR)

    assert not forced.value.kept_back
    assert not plain.value.kept_back
    assert (plain.value.retry_after or 0) - (forced.value.retry_after or 0) == 60


@acts
def test_acts_are_counted_apart(act):
    ledger = after(act.limit, act)

    assert ledger.left(act, NOON + HOUR) == 0
    for other in set(Act) - {act}:
        assert ledger.left(other, NOON + HOUR) == other.limit - 1
        ledger.refuse_if_spent(other, NOON + HOUR)


@pytest.mark.parametrize(("late", "count"), [(-MICRO, 1), (timedelta(0), 0)])
def test_an_attempt_is_counted_for_72_hours_to_the_microsecond(late, count):
    assert after(1).count(Act.REGISTER, NOON + LEDGER_WINDOW + late) == count


def test_what_is_left_tells_the_attempt_that_is_kept_back_apart():
    assert [after(n).left(Act.REGISTER, NOON + HOUR) for n in range(11)] == [
        9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0,
    ]  # fmt: skip


def test_what_was_never_sent_does_not_count():
    ledger = after(3)

    given_back = ledger.give_back(Act.REGISTER, NOON + MINUTE)

    assert given_back.count(Act.REGISTER, NOON + HOUR) == 2
    assert given_back.give_back(Act.REGISTER, NOON + MINUTE) == given_back
    assert given_back.give_back(Act.PIN, NOON) == given_back


def test_only_one_of_two_attempts_of_the_same_moment_is_given_back():
    twice = Ledger().spend(Act.PIN, NOON).spend(Act.PIN, NOON)

    assert twice.give_back(Act.PIN, NOON).count(Act.PIN, NOON) == 1


def test_what_meta_closed_opens_when_it_said_and_force_does_not_open_it():
    ledger = Ledger().close(Act.REGISTER, HOUR, NOON)

    for force in (False, True):
        with pytest.raises(LedgerWait) as refused:
            ledger.refuse_if_spent(Act.REGISTER, NOON + HOUR - MICRO, force=force)
        assert not refused.value.kept_back
        ledger.refuse_if_spent(Act.REGISTER, NOON + HOUR, force=force)
    assert ledger.left(Act.REGISTER, NOON) == 0
    assert ledger.left(Act.REGISTER, NOON + HOUR) == 9
    assert ledger.closed_until(Act.REGISTER, NOON) == NOON + HOUR
    assert ledger.closed_until(Act.REGISTER, NOON + HOUR) is None


def test_a_longer_wait_that_runs_is_not_cut_short_and_others_stay():
    ledger = Ledger().close(Act.REGISTER, HOUR, NOON).close(Act.PIN, HOUR, NOON)

    ledger = ledger.close(Act.REGISTER, MINUTE, NOON + MINUTE)

    assert ledger.closed_until(Act.REGISTER, NOON + MINUTE) == NOON + HOUR
    assert ledger.closed_until(Act.PIN, NOON + MINUTE) == NOON + HOUR


def test_a_wait_that_is_over_is_forgotten():
    ledger = Ledger().close(Act.REGISTER, HOUR, NOON)

    assert ledger.close(Act.PIN, MINUTE, NOON + HOUR).closed == ((Act.PIN, NOON + HOUR + MINUTE),)
    assert ledger.spend(Act.PIN, NOON + HOUR).closed == ()


def test_a_clock_that_was_set_back_earns_no_attempt():
    ledger = Ledger()
    for n in range(9):  # the last of them is the earliest
        ledger = ledger.spend(Act.REGISTER, NOON - n * MINUTE)

    safe = ledger.next_safe(Act.REGISTER, NOON)

    assert safe == NOON - 8 * MINUTE + LEDGER_WINDOW
    with pytest.raises(LedgerWait):
        ledger.refuse_if_spent(Act.REGISTER, safe - MICRO)
    ledger.refuse_if_spent(Act.REGISTER, safe)


# Laws

spans = st.sampled_from(
    [timedelta(0), MICRO, SECOND, MINUTE, HOUR, 8 * HOUR, LEDGER_WINDOW - MICRO, LEDGER_WINDOW]
)
steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["spend", "spend", "spend", "force", "give back", "close", "wait till safe"]
        ),
        st.sampled_from([Act.REGISTER, Act.REGISTER, Act.PIN]),
        spans,
    ),
    max_size=60,
)


def lived(todo) -> tuple[Ledger, list[tuple[Act, datetime, bool]], datetime]:
    """A ledger after all of it, what it let be sent, and when it ended."""
    ledger, at = Ledger(), NOON
    sent: list[tuple[Act, datetime, bool]] = []
    for what, act, span in todo:
        if what == "close":
            ledger = ledger.close(act, span, at)
            continue
        if what == "give back":
            for one in [one for one in sent if one[0] is act][-1:]:
                ledger = ledger.give_back(act, one[1])
                sent.remove(one)
            continue
        at = max(at, ledger.next_safe(act, at)) if what == "wait till safe" else at + span
        force = what == "force"
        try:
            ledger = ledger.spend(act, at, force=force)
        except LedgerWait:
            assert what != "wait till safe"
            continue
        sent.append((act, at, force))
    return ledger, sent, at


@given(steps)
def test_no_72_hours_hold_more_attempts_than_the_limit_and_only_force_makes_the_last_of_them(todo):
    _, sent, _ = lived(todo)

    for act, at, force in sent:
        window = [one for one in sent if one[0] is act and at - LEDGER_WINDOW < one[1] <= at]
        before = window[: window.index((act, at, force)) + 1]
        assert len(before) <= act.limit - (0 if force else 1)


@given(steps, st.sampled_from([Act.REGISTER, Act.PIN]), st.booleans())
def test_the_next_safe_time_is_exact(todo, act, force):
    ledger, _, at = lived(todo)

    safe = ledger.next_safe(act, at, force=force)

    ledger.refuse_if_spent(act, safe, force=force)
    if safe > at:
        with pytest.raises(LedgerWait) as refused:
            ledger.refuse_if_spent(act, safe - MICRO, force=force)
        assert refused.value.retry_after == 1
    assert ledger.next_safe(act, at, force=True) <= ledger.next_safe(act, at)
    assert (ledger.left(act, at) > 0) is (ledger.next_safe(act, at) == at)


@given(steps)
def test_a_ledger_keeps_no_more_than_the_window_holds(todo):
    ledger, sent, at = lived(todo)

    fresh = ledger.spend(Act.CHECK, at)

    assert sorted(fresh.used) == sorted(
        [(act, when) for act, when, _ in sent if when > at - LEDGER_WINDOW] + [(Act.CHECK, at)]
    )
    assert len({act for act, _ in fresh.closed}) == len(fresh.closed)
