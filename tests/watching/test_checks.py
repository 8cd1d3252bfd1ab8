"""What /readyz looks at, and what is read when the metrics are shown."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from nightlatch.domain.errors import Unavailable
from nightlatch.faces.metrics import Metrics
from nightlatch.ports import Backlog, Waiting
from nightlatch.watching import backlog_shown
from nightlatch.watching.checks import KeysThere, clock_is_right, store_answers
from tests.counted import counted
from tests.people import NOON


class Keys:
    """A ring and a store in which a test takes keys away."""

    def __init__(self) -> None:
        self.ring = {"first", "second"}
        self.used = {"first": 3}
        self.newest: str | None = None
        self.counted = 0
        self.metrics = Metrics()
        self.look: Callable[[], Awaitable[str | None]] = KeysThere(
            self.kids, self.in_use, self.recall, self.metrics
        ).check

    def kids(self) -> set[str]:
        if not self.ring:
            raise Unavailable
        return self.ring

    async def in_use(self) -> dict[str, int]:
        self.counted += 1
        return self.used

    async def recall(self, _: str) -> str | None:
        return self.newest

    @property
    def missing(self) -> float:
        return counted(self.metrics, "nightlatch_keys", state="missing")


async def test_with_every_key_nothing_is_wrong_and_nothing_is_counted():
    keys = Keys()

    assert [await keys.look() for _ in range(3)] == [None, None, None]
    assert keys.counted == 0
    assert counted(keys.metrics, "nightlatch_keys", state="held") == 2


async def test_a_key_that_went_is_missed_while_values_need_it():
    keys = Keys()
    keys.ring = {"second"}

    told = [await keys.look(), await keys.look()]
    missing = keys.missing
    keys.used = {"second": 3}
    again = await keys.look()

    assert told == ["the key ring lacks key first, which stored values need"] * 2
    assert missing == 1
    assert again is None
    assert keys.missing == 0


async def test_a_key_that_no_value_needs_may_go():
    keys = Keys()
    keys.ring = {"first"}

    assert await keys.look() is None
    assert await keys.look() is None
    assert keys.counted == 1


async def test_a_rotation_that_has_not_come_here_is_noticed():
    keys = Keys()
    keys.newest = "third"

    assert "lacks key third" in str(await keys.look())
    assert keys.missing == 1
    keys.ring = {"first", "second", "third"}
    assert await keys.look() is None


async def test_a_ring_that_cannot_be_read_is_wrong():
    keys = Keys()
    keys.ring = set()

    assert await keys.look() == "the key ring cannot be read"


async def test_a_store_that_does_not_answer_is_wrong():
    async def gone(_: str) -> Any:
        raise Unavailable

    async def there(_: str) -> Any:
        return None

    assert await store_answers(gone)() == "the store does not answer"
    assert await store_answers(there)() is None


@pytest.mark.parametrize(
    ("skew", "why"),
    [(0.0, None), (2.0, None), (-2.0, None), (2.1, "2.1 s ahead of"), (-3.0, "3.0 s behind")],
)
async def test_a_clock_may_be_off_a_little(skew, why):
    metrics = Metrics()

    async def ahead() -> float:
        return float(skew)

    found = await clock_is_right(ahead, 2.0, metrics)()

    assert found is None if why is None else f"the clock is {why}" in str(found)
    assert counted(metrics, "nightlatch_clock_skew_seconds") == skew


async def test_the_backlog_is_read_when_the_metrics_are_shown():
    metrics, asked = Metrics(), []

    async def backlog(now: datetime) -> Backlog:
        asked.append(now)
        return Backlog(Waiting(2, NOON - timedelta(minutes=1)), Waiting(0, None), Waiting(0, None))

    metrics.reads(backlog_shown(backlog, lambda: NOON, metrics))
    await metrics.read()

    assert asked == [NOON]
    assert counted(metrics, "nightlatch_waiting", queue="codes") == 2
    assert counted(metrics, "nightlatch_oldest_waiting_seconds", queue="codes") == 60
