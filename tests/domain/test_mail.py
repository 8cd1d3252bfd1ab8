"""Letters: when they are tried again, when they are given up, what erases their secret."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain.errors import MailEnded
from nightlatch.domain.mail import MailState, Posted, masked
from tests.domain.samples import DAY, HOUR, MICRO, MINUTE, SECOND, a_letter
from tests.people import NOON, OWNER

PAUSES = (1, 2, 5, 15, 30, 60, 120, 300)
LINK = {"sealed": b"sealed token", "about": "100000000000001", "good_until": NOON + 30 * MINUTE}


def put_off(attempts: int, *, reached: bool, at=NOON, **changes) -> Posted:
    return a_letter(attempts=attempts, **changes).put_off("busy", at, reached=reached)


# Trying again


@pytest.mark.parametrize(("attempt", "seconds"), [*enumerate(PAUSES, 1), (9, 300), (400, 300)])
def test_a_letter_that_the_server_puts_off_waits_longer_each_time(attempt, seconds):
    letter = put_off(attempt, reached=True)

    assert letter.due_at == NOON + seconds * SECOND
    assert (letter.state, letter.fault) == (MailState.WAITING, "busy")


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [(1, 1), (2, 2), (3, 5), (4, 15), (5, 30), (6, 30), (7, 30), (8, 30), (9, 30), (400, 30)],
)
def test_a_server_that_is_not_reached_is_tried_at_least_every_thirty_seconds(attempt, seconds):
    assert put_off(attempt, reached=False).due_at == NOON + seconds * SECOND


def test_a_letter_that_was_never_leased_waits_the_first_pause():
    assert put_off(0, reached=True).due_at == NOON + SECOND


@pytest.mark.parametrize("reached", [True, False])
@pytest.mark.parametrize(
    ("late", "state"), [(-MICRO, MailState.WAITING), (timedelta(0), MailState.FAILED)]
)
def test_a_letter_is_given_up_when_the_next_try_would_come_a_day_after_posting(
    reached, late, state
):
    at = NOON + DAY - SECOND + late

    letter = put_off(1, reached=reached, at=at)

    assert letter.state is state
    assert letter.ended_at == (at if state is MailState.FAILED else None)
    assert letter.fault == "busy"


@pytest.mark.parametrize(
    ("late", "state"), [(-MICRO, MailState.WAITING), (timedelta(0), MailState.FAILED)]
)
def test_a_letter_is_given_up_when_the_next_try_would_find_its_link_dead(late, state):
    assert put_off(1, reached=True, at=NOON + 30 * MINUTE - SECOND + late, **LINK).state is state


def test_given_up_a_letter_keeps_its_secret_for_a_person_who_tries_again():
    assert a_letter(**LINK).failed("refused", NOON).sealed == b"sealed token"


# The end


def test_a_delivered_letter_forgets_its_secret_and_its_fault():
    letter = a_letter(fault="busy", **LINK).delivered(NOON + SECOND)

    assert (letter.state, letter.ended_at) == (MailState.SENT, NOON + SECOND)
    assert (letter.sealed, letter.fault) == (None, "")


def test_a_kept_letter_keeps_its_secret():
    letter = a_letter(fault="busy", **LINK).kept(NOON + SECOND)

    assert (letter.state, letter.ended_at) == (MailState.KEPT, NOON + SECOND)
    assert (letter.sealed, letter.fault) == (b"sealed token", "")


@pytest.mark.parametrize(
    ("after", "dead"), [(30 * MINUTE - MICRO, False), (30 * MINUTE, True), (HOUR, True)]
)
def test_a_letter_with_a_link_dies_with_it_to_the_microsecond(after, dead):
    assert a_letter(**LINK).is_dead(NOON + after) is dead


def test_a_notice_never_dies():
    assert not a_letter().is_dead(NOON + 365 * DAY)


# By a person


@pytest.mark.parametrize("state", [MailState.FAILED, MailState.WAITING])
def test_a_person_begins_a_letter_anew(state):
    letter = a_letter(state=state, attempts=40, due_at=NOON + HOUR, ended_at=NOON, fault="refused")

    again = letter.retry(NOON + 2 * DAY)

    assert (again.state, again.attempts, again.ended_at) == (MailState.WAITING, 0, None)
    assert again.posted_at == again.due_at == NOON + 2 * DAY


@pytest.mark.parametrize("state", [MailState.SENT, MailState.KEPT])
def test_a_letter_that_arrived_is_not_sent_again(state):
    with pytest.raises(MailEnded):
        a_letter(state=state).retry(NOON)


@pytest.mark.parametrize("state", [MailState.FAILED, MailState.WAITING])
def test_a_letter_whose_link_is_dead_is_not_sent_again(state):
    a_letter(state=state, **LINK).retry(NOON + 30 * MINUTE - MICRO)

    with pytest.raises(MailEnded):
        a_letter(state=state, **LINK).retry(NOON + 30 * MINUTE)


# Laws


STEPS = {
    "delivered": lambda letter, at: letter.delivered(at),
    "kept": lambda letter, at: letter.kept(at),
    "failed": lambda letter, at: letter.failed("refused", at),
    "put off": lambda letter, at: letter.put_off("busy", at, reached=True),
    "not reached": lambda letter, at: letter.put_off("not reached", at, reached=False),
}
life = st.lists(st.tuples(st.sampled_from([*STEPS, "retry"]), st.integers(0, 90_000)), max_size=30)
letters = st.sampled_from([a_letter(), a_letter(**LINK)])


def lived(letter: Posted, steps) -> list[Posted]:
    """The letter after each step; workers and people come in any order."""
    states, at = [letter], NOON
    for name, seconds in steps:
        at += seconds * SECOND
        if name == "retry":
            try:
                letter = letter.retry(at)
            except MailEnded:
                continue
        else:
            letter = STEPS[name](replace(letter, attempts=letter.attempts + 1), at)
        states.append(letter)
    return states


@given(letters, life)
def test_a_sent_letter_stays_sent_whatever_comes_late(letter, steps):
    states = [one.state for one in lived(letter, steps)]

    sent = states.index(MailState.SENT) if MailState.SENT in states else len(states)
    assert set(states[sent:]) <= {MailState.SENT}


@given(letters, life)
def test_only_a_person_brings_a_letter_back_that_has_ended(letter, steps):
    letters_ = lived(letter, [step for step in steps if step[0] not in ("retry", "delivered")])

    states = [one.state for one in letters_]
    ended = next((n for n, state in enumerate(states) if state is not MailState.WAITING), None)
    if ended is not None:
        assert len(set(states[ended:])) == 1


@given(letters, life)
def test_a_letter_has_an_end_exactly_when_it_waits_no_more_and_a_secret_until_it_is_sent(
    letter, steps
):
    for one in lived(letter, steps):
        assert (one.ended_at is None) is (one.state is MailState.WAITING)
        assert one.sealed == (None if one.state is MailState.SENT else letter.sealed)
        assert (one.key, one.address, one.facts) == (letter.key, letter.address, letter.facts)


@given(letters, st.integers(0, 1_000), st.booleans(), st.timedeltas(timedelta(0), 2 * DAY))
def test_the_next_try_is_never_late_never_after_a_day_and_never_with_a_dead_link(
    letter, attempts, reached, after
):
    at = NOON + after

    next_ = replace(letter, attempts=attempts).put_off("busy", at, reached=reached)

    if next_.state is MailState.WAITING:
        assert SECOND <= next_.due_at - at <= (300 if reached else 30) * SECOND
        assert next_.due_at < NOON + DAY
        assert not next_.is_dead(next_.due_at)


# Addresses


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (OWNER.email, "o…@luckyshrub.example"),
        ("a@b.example", "a…@b.example"),
        ('"x@y"@b.example', '"…@b.example'),
        ("", "…@"),
    ],
)
def test_a_masked_address_shows_its_first_letter_and_its_domain(address, shown):
    assert masked(address) == shown
