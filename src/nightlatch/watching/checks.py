"""What ``/readyz`` looks at. Each is cheap: it is asked once a second."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from nightlatch.domain.errors import Refusal
from nightlatch.faces.metrics import Metrics
from nightlatch.faces.readiness import Check

CLOCK_TOLERANCE: Final = 5.0
"""Seconds that the clock may be off the machine's."""
NEWEST_KEY: Final = "newest_key"
"""Under this name the store remembers the key that new values are sealed with."""

Recall = Callable[[str], Awaitable[str | None]]


def store_answers(recall: Recall) -> Check:
    """Whether the store can be read."""

    async def check() -> str | None:
        try:
            await recall("keyring")
        except Refusal:
            return "the store does not answer"
        return None

    return check


class KeysThere:
    """Whether the key ring has every key that stored values need.

    Counting those values reads them all. So they are counted when a key has gone from the
    ring, and otherwise the newest key is looked for: that is what a node lacks to which a
    rotation has not come.
    """

    def __init__(
        self,
        kids: Callable[[], Iterable[str]],
        in_use: Callable[[], Awaitable[Mapping[str, int]]],
        recall: Recall,
        metrics: Metrics,
    ) -> None:
        """*in_use* is how many values each key has sealed; at the start none is missing."""
        self._kids = kids
        self._in_use = in_use
        self._recall = recall
        self._metrics = metrics
        self._held = frozenset(kids())
        self._missing: frozenset[str] = frozenset()

    async def check(self) -> str | None:
        try:
            held = frozenset(self._kids())
        except Refusal:
            return "the key ring cannot be read"
        if self._held - held or self._missing:
            self._missing = frozenset(await self._in_use()) - held
        self._held = held
        newest = await self._recall(NEWEST_KEY)
        missing = self._missing | ({newest} - held if newest else frozenset())
        self._metrics.show_keys(len(held), len(missing))
        if missing:
            return f"the key ring lacks key {', '.join(sorted(missing))}, which stored values need"
        return None


def durable(ask: Callable[[], Awaitable[list[str]]]) -> Check:
    """Whether the database keeps what it acknowledged; *ask* tells of each way it may not."""

    async def check() -> str | None:
        return " ".join(await ask()) or None

    return check


def clock_is_right(skew: Callable[[], Awaitable[float]], most: float, metrics: Metrics) -> Check:
    """Whether the clock is at most *most* seconds off; *skew* is how far it is ahead."""

    async def check() -> str | None:
        seconds = await skew()
        metrics.show_skew(seconds)
        if abs(seconds) <= most:
            return None
        side = "ahead of" if seconds > 0 else "behind"
        return f"the clock is {abs(seconds):.1f} s {side} the one it is held against"

    return check
