"""PIN guesses: paid for before they are compared, with waits and a lock.

There is one counter per number, whatever path a guess takes. A guess that is
paid for and never settled (a crash, say) stays counted as wrong.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypedDict

from nightlatch.domain.errors import GuessWait, NumberLocked
from nightlatch.domain.limits import (
    ATTACK_GUESSES,
    ATTACK_WINDOW,
    GUESS_LOCK,
    GUESS_WAITS,
    GUESS_WINDOW,
)

_NONE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Paid:
    """A guess that was paid for and is not known to have been right."""

    ticket: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Guesses:
    """What one number remembers of the PINs tried on it."""

    ticket: int = 0
    """Number of the latest guess; tickets are never used twice."""
    run: int = 0
    """Wrong guesses in a row."""
    forgiven: int = 0
    """Guesses up to this ticket left the run when a right PIN came."""
    paid: tuple[Paid, ...] = ()
    """Guesses within GUESS_WINDOW, oldest first; right ones are taken out."""
    since: datetime | None = None
    """When the running wait began; None when none runs."""
    locked: bool = False
    warned: bool = False
    """Whether the owners were told of the wrong guesses of this run."""

    @property
    def attacked_at(self) -> datetime | None:
        """When the last of ATTACK_GUESSES or more wrong guesses in a row was made, else None."""
        return self.paid[-1].at if self.run >= ATTACK_GUESSES and self.paid else None

    def is_under_attack(self, now: datetime) -> bool:
        """Whether that is less than ATTACK_WINDOW ago."""
        at = self.attacked_at
        return at is not None and at > now - ATTACK_WINDOW

    @property
    def wait_ends_at(self) -> datetime | None:
        """When the latest wait ends or ended; None when no guess began one."""
        if self.since is None:
            return None
        return self.since + GUESS_WAITS[min(self.run, len(GUESS_WAITS)) - 1]

    def remaining(self, now: datetime) -> timedelta:
        """Time until the running wait ends: zero when none runs, never above its own length."""
        if self.since is None:
            return _NONE
        length = GUESS_WAITS[min(self.run, len(GUESS_WAITS)) - 1]
        return min(length, max(_NONE, self.since + length - now))

    def refuse_while_closed(self, now: datetime) -> None:
        """Raise when no PIN may be compared now.

        Raises:
            NumberLocked: until a person unlocks the number.
            GuessWait: ``retry_after`` says how long.
        """
        if self.locked:
            raise NumberLocked
        remaining = self.remaining(now)
        if remaining:
            raise GuessWait(remaining, spent=self.run >= len(GUESS_WAITS))

    def pay(self, now: datetime) -> "Guesses":
        """Count one guess as if it were wrong; its ticket is the result's ``ticket``.

        Raises:
            NumberLocked, GuessWait: as ``refuse_while_closed``; nothing is counted.
        """
        self.refuse_while_closed(now)
        ticket = self.ticket + 1
        recent = tuple(guess for guess in self.paid if guess.at > now - GUESS_WINDOW)
        return replace(
            self,
            ticket=ticket,
            paid=(*recent, Paid(ticket, now)),
            **_closing(self.run + 1, len(recent) + 1, now),
        )

    def right(self, ticket: int, now: datetime) -> "Guesses":
        """Settle a guess as right: its run ends, guesses paid for after it stay counted."""
        forgiven = max(ticket, self.forgiven)
        later = sum(1 for guess in self.paid if guess.ticket > forgiven)
        others = tuple(guess for guess in self.paid if guess.ticket != ticket)
        return replace(
            self,
            forgiven=forgiven,
            paid=others,
            warned=self.warned and later > 0,
            **_closing(later, len(others), now),
        )

    def wrong(self, ticket: int, now: datetime) -> "Guesses":
        """Settle a guess as wrong; one that a right PIN overtook counts again from here."""
        if ticket > self.forgiven:
            return self
        return replace(self, **_closing(self.run + 1, len(self.paid), now))

    def unlock(self) -> "Guesses":
        """A person vouches: the run, the wait and the 30-day total start anew."""
        return replace(
            self, run=0, forgiven=self.ticket, paid=(), since=None, locked=False,
            warned=False,
        )  # fmt: skip


class _Closing(TypedDict):
    run: int
    since: datetime | None
    locked: bool


def _closing(run: int, total: int, now: datetime) -> _Closing:
    """What follows from *run* wrong guesses in a row and *total* in the window."""
    waits = run > 0 and GUESS_WAITS[min(run, len(GUESS_WAITS)) - 1] > _NONE
    return {
        "run": run,
        "since": now if waits else None,
        "locked": run >= GUESS_LOCK or total >= GUESS_LOCK,
    }
