"""What lists, searches and counts come to, said as plainly as can be, over all numbers."""

from collections.abc import Iterable
from datetime import datetime

from nightlatch.domain.numbers import Number, Status
from nightlatch.domain.overview import Show, Tally, terms, wanted


def shows(show: Show, number: Number, now: datetime) -> bool:
    """Whether *number* belongs in the list *show*."""
    if show in (Show.PROTECTED, Show.UNPROTECTED):
        return number.two_step.is_on is (show is Show.PROTECTED)
    if show is Show.WAITING:
        return bool(number.guesses.remaining(now)) and not number.guesses.locked
    if show is Show.LOCKED:
        return number.guesses.locked
    if show is Show.ATTACKED:
        return number.guesses.is_under_attack(now)
    return show is Show.ALL or number.status is Status(show.upper())


def finds(text: str, number: Number) -> bool:
    """Whether a search for *text* finds *number*: each group by one of its prefixes."""
    return all(
        any(term.startswith(prefix) for term in terms(number) for prefix in group)
        for group in wanted(text)
    )


def tally(numbers: Iterable[Number], now: datetime) -> Tally:
    """Counted one by one."""
    every = list(numbers)

    def count(show: Show) -> int:
        return sum(shows(show, number, now) for number in every)

    return Tally(
        numbers=len(every),
        protected=count(Show.PROTECTED),
        waiting=count(Show.WAITING),
        locked=count(Show.LOCKED),
        attacked=count(Show.ATTACKED),
    )
