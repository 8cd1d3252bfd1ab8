"""The machine's clock and randomness."""

import secrets
import time
from datetime import UTC, datetime, timedelta

from nightlatch.domain.errors import Unavailable
from nightlatch.domain.limits import NODE_CLOCK_SECONDS

_READ = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # BOOTTIME counts sleep, too


class SteadyClock:
    """Wall time at the start, then the kernel's own steady count.

    A clock that is set while the process lives changes nothing here, so it can
    neither end a wait nor stretch one. *not_before* is the latest time the
    store knows: after a restart time goes on from there at least.
    """

    def __init__(self, not_before: datetime | None = None) -> None:
        wall = datetime.now(UTC)
        self._start = max(wall, not_before) if not_before else wall
        self._count = time.clock_gettime_ns(_READ)

    def now(self) -> datetime:
        return self._start + timedelta(
            microseconds=(time.clock_gettime_ns(_READ) - self._count) // 1_000
        )


class CheckedClock:
    """A ``SteadyClock`` that is compared with the clock that all nodes share.

    While it is further off than NODE_CLOCK_SECONDS it tells no time: waits, locks and
    lives of codes would not be what they are on other nodes.
    """

    def __init__(self) -> None:
        self._steady = SteadyClock()
        self.off = 0.0
        """Seconds that this clock is ahead."""

    @property
    def wrong(self) -> bool:
        return abs(self.off) > NODE_CLOCK_SECONDS

    def now(self) -> datetime:
        """Raises Unavailable while it is wrong."""
        if self.wrong:
            raise Unavailable
        return self._steady.now()

    def compare(self, shared: datetime) -> None:
        """Hear what the shared clock said just now."""
        self.off = (self._steady.now() - shared).total_seconds()


class SystemChance:
    """The operating system's random numbers."""

    def digits(self, count: int) -> str:
        return "".join(secrets.choice("0123456789") for _ in range(count))

    def token(self, size: int) -> str:
        return secrets.token_urlsafe(size)


class SteppedClock:
    """A clock that somebody steps, for demonstrations and tests. Only forward."""

    def __init__(self, not_before: datetime | None = None) -> None:
        self._steady = SteadyClock(not_before)
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        return self._steady.now() + self._ahead

    def step(self, by: timedelta) -> None:
        """Let *by* pass at once."""
        self._ahead += max(timedelta(0), by)
