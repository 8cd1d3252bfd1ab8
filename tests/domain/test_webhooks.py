"""When a delivery is tried again, and when it is given up."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain.limits import HOOK_GIVE_UP, HOOK_PAUSES
from nightlatch.domain.webhooks import Delivery, DeliveryState, Field

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def waiting(**changes: object) -> Delivery:
    """A delivery that was leased for the first time."""
    made: dict[str, object] = {
        "key": 1,
        "app": "500000000000001",
        "waba": "300000000000001",
        "line": "100000000000001",
        "field": Field.SECURITY,
        "value": (("event", "PIN_CHANGED"),),
        "at": NOW,
        "posted_at": NOW,
        "due_at": NOW,
        "attempts": 1,
    }
    return Delivery(**(made | changes))  # type: ignore[arg-type]  # fields by name


ENDS = [
    waiting().delivered(200, "ok", NOW),
    waiting().failed("why", NOW),
]


def test_a_delivery_that_was_taken_is_over():
    taken = waiting(fault="it answered HTTP 500").delivered(200, "ok", NOW + SECOND)

    assert taken.state is DeliveryState.DELIVERED
    assert (taken.ended_at, taken.status, taken.answer) == (NOW + SECOND, 200, "ok")
    assert taken.fault == ""


def test_a_delivery_that_was_given_up_counts_as_taken_when_a_slower_attempt_says_so():
    late = waiting().failed("why", NOW).delivered(200, "", NOW + SECOND)

    assert (late.state, late.ended_at, late.fault) == (DeliveryState.DELIVERED, NOW + SECOND, "")


@pytest.mark.parametrize(
    ("attempts", "pause"),
    [
        *((n + 1, pause) for n, pause in enumerate(HOOK_PAUSES)),
        (len(HOOK_PAUSES) + 1, HOOK_PAUSES[-1]),
        (0, HOOK_PAUSES[0]),  # begun anew while it was on its way
    ],
)
def test_the_gap_grows_with_each_attempt_and_then_stays(attempts: int, pause: timedelta):
    off = waiting(attempts=attempts).put_off("not reached: OSError", None, "", NOW)

    assert off.state is DeliveryState.WAITING
    assert off.due_at == NOW + pause


def test_what_a_delivery_was_put_off_for_is_written_down():
    off = waiting().put_off("it answered HTTP 500", 500, "oops", NOW)

    assert (off.fault, off.status, off.answer) == ("it answered HTTP 500", 500, "oops")
    assert off.ended_at is None


def test_only_an_answer_makes_a_delivery_go_alone_and_then_it_stays_so():
    silent = waiting().put_off("not reached: OSError", None, "", NOW)
    answered = silent.put_off("it answered HTTP 400", 400, "", NOW)

    assert not silent.alone
    assert answered.alone
    assert answered.put_off("not reached: OSError", None, "", NOW).alone


@pytest.mark.parametrize(
    ("age", "state", "due"),
    [
        (HOOK_GIVE_UP - 2 * SECOND, DeliveryState.WAITING, HOOK_GIVE_UP - SECOND),
        (HOOK_GIVE_UP - SECOND, DeliveryState.WAITING, HOOK_GIVE_UP),
        (HOOK_GIVE_UP - SECOND / 2, DeliveryState.WAITING, HOOK_GIVE_UP),
        (HOOK_GIVE_UP, DeliveryState.FAILED, timedelta(0)),
        (HOOK_GIVE_UP * 2, DeliveryState.FAILED, timedelta(0)),
    ],
)
def test_the_last_attempt_is_seven_days_after_posting(
    age: timedelta, state: DeliveryState, due: timedelta
):
    off = waiting().put_off("not reached: OSError", None, "", NOW + age)

    assert (off.state, off.due_at) == (state, NOW + due)
    assert off.fault == "not reached: OSError"


@given(st.lists(st.integers(0, 600), min_size=1, max_size=60))
def test_however_slow_the_attempts_a_delivery_ends_and_no_gap_shrinks_before_the_last(
    slowness: list[int],
):
    delivery, now, gaps = waiting(attempts=0), NOW, []
    for n in range(200):
        now = delivery.due_at + SECOND * slowness[n % len(slowness)]
        delivery = waiting(
            attempts=delivery.attempts + 1, alone=delivery.alone, due_at=delivery.due_at
        ).put_off("why", 503, "", now)
        if delivery.state is DeliveryState.FAILED:
            break
        gaps.append(delivery.due_at - now)

    assert delivery.state is DeliveryState.FAILED
    assert delivery.ended_at is not None
    assert HOOK_GIVE_UP <= delivery.ended_at - NOW <= HOOK_GIVE_UP + SECOND * 600
    assert gaps[:-1] == sorted(gaps[:-1])


def test_a_delivery_that_was_not_sent_after_all_has_not_been_tried():
    over = waiting(attempts=3, due_at=NOW + 60 * SECOND).passed_over(NOW + SECOND)

    assert (over.attempts, over.due_at, over.state) == (2, NOW + SECOND, DeliveryState.WAITING)
    assert waiting(attempts=0).passed_over(NOW).attempts == 0


def test_a_delivery_that_was_given_up_says_why_and_since_when():
    given_up = waiting().failed("the app is not subscribed any more", NOW + SECOND)

    assert given_up.state is DeliveryState.FAILED
    assert (given_up.ended_at, given_up.fault) == (
        NOW + SECOND, "the app is not subscribed any more",
    )  # fmt: skip


@pytest.mark.parametrize("ended", ENDS, ids=lambda d: d.state.value)
def test_an_attempt_that_comes_after_the_end_changes_nothing(ended: Delivery):
    later = NOW + SECOND

    assert ended.put_off("why", 500, "", later) == ended
    assert ended.passed_over(later) == ended
    assert ended.failed("another why", later) == ended


@pytest.mark.parametrize(
    "delivery", [waiting(attempts=7, due_at=NOW + 60 * SECOND), *ENDS], ids=lambda d: d.state.value
)
def test_a_person_may_have_any_delivery_sent_again_from_the_beginning(delivery: Delivery):
    later = NOW + timedelta(days=30)

    again = delivery.again(later)

    assert (again.state, again.due_at, again.attempts) == (DeliveryState.WAITING, later, 0)
    assert again.ended_at is None
    assert again.at == delivery.at
    assert again.put_off("why", None, "", later + HOOK_GIVE_UP - SECOND).state is (
        DeliveryState.WAITING
    )
