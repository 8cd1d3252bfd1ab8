"""How many calls an hour each account has left.

Meta allows a number of management calls for an account in an hour, and refuses
them all for a while when they are spent. Counted here, in this process, and
corrected by what Meta's answers say.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import accumulate
from typing import Final

from nightlatch.domain.limits import CLOUD_CALLS, CLOUD_CALLS_SPARED

_HOUR: Final = 3_600.0
_MINUTE: Final = 60.0
_BELIEVED: Final = 300.0
"""Seconds that what Meta says of the use of an account is taken for true."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer's headers say."""

    percent: float | None = None
    """Of the hour's calls that are used."""
    regained: timedelta | None = None
    """When calls are taken again; None when they are."""
    retry_after: timedelta | None = None
    """When this call is to be made again; of other calls it says nothing."""


@dataclass(slots=True)
class _Account:
    used: dict[int, int] = field(default_factory=dict)
    """Calls by the minute they were made in: at most 61 minutes of them."""
    has_registered: bool = False
    said: float = 0.0
    """The part of the hour's calls that Meta said was used ..."""
    said_at: float = float("-inf")
    closed_until: float = float("-inf")
    """Until when Meta takes none."""


class Calls:
    """The calls of all accounts."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """*clock* gives seconds and never runs backwards."""
        self._clock = clock
        self._accounts: dict[str, _Account] = {}

    def spend(self, waba: str, *, patient: bool) -> timedelta | None:
        """Count a call; or how long to wait when it should not be made, and nothing is counted."""
        now = self._clock()
        account = self._accounts.setdefault(waba, _Account())
        if now < account.closed_until:
            return timedelta(seconds=account.closed_until - now)
        most = CLOUD_CALLS[account.has_registered]
        if patient:
            believed = now < account.said_at + _BELIEVED
            if believed and account.said >= 1 - CLOUD_CALLS_SPARED:
                return timedelta(seconds=account.said_at + _BELIEVED - now)
            most = int(most * (1 - CLOUD_CALLS_SPARED))
        wait = _wait(account, most, now)
        if wait is None:
            minute = int(now // _MINUTE)
            account.used[minute] = account.used.get(minute, 0) + 1
        return wait

    def saw_registered(self, waba: str) -> None:
        """The account has a registered number, so that Meta allows it more calls."""
        self._accounts.setdefault(waba, _Account()).has_registered = True

    def heard(self, waba: str, usage: Usage) -> None:
        """What Meta said about the account's calls."""
        now = self._clock()
        account = self._accounts.setdefault(waba, _Account())
        if usage.percent is not None:
            account.said, account.said_at = usage.percent / 100, now
        if usage.regained is not None:
            account.closed_until = now + min(usage.regained.total_seconds(), _HOUR)


def _wait(account: _Account, most: int, now: float) -> timedelta | None:
    """How long until fewer than *most* calls were made within the hour; None when that is so."""
    for minute in [one for one in account.used if (one + 1) * _MINUTE <= now - _HOUR]:
        del account.used[minute]
    too_many = sum(account.used.values()) - most + 1
    if too_many <= 0:
        return None
    totals = zip(account.used, accumulate(account.used.values()), strict=True)  # oldest first
    minute = next(minute for minute, total in totals if total >= too_many)
    return timedelta(seconds=(minute + 1) * _MINUTE + _HOUR - now)
