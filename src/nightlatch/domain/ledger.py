"""The ledger: what was attempted at the Cloud API, and when it may be attempted again.

Meta locks a number out for 72 hours once too much was attempted. So every
attempt is counted before it is made, one of each kind is kept back, and what
Meta says about waiting is obeyed.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from nightlatch.domain.errors import LedgerWait
from nightlatch.domain.limits import LEDGER_KEPT_BACK, LEDGER_LIMITS, LEDGER_WINDOW


class Act(StrEnum):
    """What can be attempted."""

    REGISTER = "register"
    DEREGISTER = "deregister"
    CODE = "code"
    """Ask for a registration code."""
    CHECK = "check"
    """Enter one."""
    PIN = "pin"
    """Set the PIN."""

    @property
    def limit(self) -> int:
        """How many LEDGER_WINDOW may hold."""
        return LEDGER_LIMITS[self.value]

    @property
    def safe_limit(self) -> int:
        """``limit``, without the one that is kept back."""
        return self.limit - LEDGER_KEPT_BACK


@dataclass(frozen=True, slots=True)
class Ledger:
    """The attempts of one number."""

    used: tuple[tuple[Act, datetime], ...] = ()
    """Those within LEDGER_WINDOW, oldest first."""
    closed: tuple[tuple[Act, datetime], ...] = ()
    """What Meta wants no more of, until when."""

    def count(self, act: Act, now: datetime) -> int:
        """How often *act* was attempted within the window."""
        return len(self._times(act, now))

    def left(self, act: Act, now: datetime) -> int:
        """How many attempts are left, without the one that is kept back."""
        if self.closed_until(act, now) is not None:
            return 0
        return max(0, act.safe_limit - self.count(act, now))

    def closed_until(self, act: Act, now: datetime) -> datetime | None:
        """Until when Meta wants no more of *act*; None when it may be attempted."""
        until = dict(self.closed).get(act)
        return until if until is not None and until > now else None

    def next_safe(self, act: Act, now: datetime, *, force: bool = False) -> datetime:
        """When *act* may be attempted next; *now* when it may be at once."""
        most = act.limit if force else act.safe_limit
        times = self._times(act, now)
        free = times[-most] + LEDGER_WINDOW if len(times) >= most else now
        return max(free, self.closed_until(act, now) or now)

    def refuse_if_spent(self, act: Act, now: datetime, *, force: bool = False) -> None:
        """Raise unless *act* may be attempted; *force* spends what is kept back, too.

        Raises:
            LedgerWait: with the time until it may be, and what it was.
        """
        at = self.next_safe(act, now, force=force)
        if at > now:
            kept = not force and self.next_safe(act, now, force=True) <= now
            raise LedgerWait(at - now, act.value, kept_back=kept)

    def spend(self, act: Act, now: datetime, *, force: bool = False) -> "Ledger":
        """Count one attempt. Raises LedgerWait as ``refuse_if_spent``."""
        self.refuse_if_spent(act, now, force=force)
        recent = tuple(one for one in self.used if one[1] > now - LEDGER_WINDOW)
        open_ = tuple(one for one in self.closed if one[1] > now)
        return Ledger((*recent, (act, now)), open_)

    def give_back(self, act: Act, at: datetime) -> "Ledger":
        """The attempt counted at *at* was never sent."""
        used = list(self.used)
        if (act, at) in used:
            used.remove((act, at))
        return replace(self, used=tuple(used))

    def close(self, act: Act, wait: timedelta, now: datetime) -> "Ledger":
        """Meta wants no more of *act* for so long; a longer wait that runs stays."""
        until = max(now + wait, self.closed_until(act, now) or now)
        others = tuple(one for one in self.closed if one[0] is not act and one[1] > now)
        return replace(self, closed=(*others, (act, until)))

    def _times(self, act: Act, now: datetime) -> list[datetime]:
        """Sorted: a clock that was set back counted later attempts earlier."""
        return sorted(at for one, at in self.used if one is act and at > now - LEDGER_WINDOW)
