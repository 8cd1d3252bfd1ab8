"""What a person looks for among many numbers."""

from dataclasses import dataclass
from enum import StrEnum

from nightlatch.domain.numbers import Number


class Show(StrEnum):
    """Which numbers a list shows."""

    ALL = "all"
    PROTECTED = "protected"
    UNPROTECTED = "unprotected"
    WAITING = "waiting"
    LOCKED = "locked"
    ATTACKED = "attacked"
    CONNECTED = "connected"
    PENDING = "pending"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class Tally:
    """How many numbers of one WhatsApp account are in each state."""

    numbers: int = 0
    protected: int = 0
    waiting: int = 0
    locked: int = 0
    attacked: int = 0

    @property
    def unprotected(self) -> int:
        return self.numbers - self.protected

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.numbers + other.numbers,
            self.protected + other.protected,
            self.waiting + other.waiting,
            self.locked + other.locked,
            self.attacked + other.attacked,
        )


BACKWARDS = "\x1f"
"""Begins a term that is read from its end; no word of a name or of a search begins with it."""


def terms(number: Number) -> frozenset[str]:
    """What the number is found by: its digits from the front, from the end, its name's words."""
    digits = number.e164[1:]
    words = f"{number.name} {number.asked_name or ''}".casefold().split()
    return frozenset({digits, number.national, BACKWARDS + digits[::-1], *words})


def wanted(text: str) -> tuple[tuple[str, ...], ...]:
    """What a search asks for: each group is met when one of its prefixes begins a term.

    Digits, however they are spaced, are looked for at the front and at the end
    of the number; words at the beginning of words. Empty for an empty search.
    """
    compact = "".join(c for c in text if c not in "+-() ./")
    if compact.isdecimal() and compact.isascii():
        return ((compact, BACKWARDS + compact[::-1]),)
    return tuple((word,) for word in text.casefold().split())
