"""How long Meta's words say to wait. There is no field for it, and the words are localised."""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

_LONGEST_TEXT: Final = 2_000
_ABSURD: Final = timedelta(days=30)

_NAMES: Final = {
    1: "s sec secs second seconds seg segundo segundos seconde secondes sekunde sekunden secondi",
    60: "m min mins minute minutes minuto minutos minuten minuti",
    3_600: "h hr hrs hour hours hora horas heure heures stunde stunden ora ore",
    86_400: "d day days dia dias día días jour jours tag tage tagen giorno giorni",
    604_800: "week weeks semana semanas semaine semaines woche wochen settimana settimane",
}
_UNITS: Final = {
    name: timedelta(seconds=seconds) for seconds, names in _NAMES.items() for name in names.split()
}
_ONE: Final = frozenset(
    {"a", "an", "one", "um", "uma", "un", "una", "une", "ein", "eine", "einer", "einem", "einen"}
)
_WHOLE_WORDS: Final = frozenset(name for name in _UNITS if len(name) > 1)


def _any_of(words: Iterable[str]) -> str:
    """A pattern; the longest word first, so that no other one hides it."""
    return "|".join(sorted(words, key=len, reverse=True))


_LENGTH: Final = re.compile(
    r"(?<![\w.,:-])(?:([0-9]{1,7})(?:[.,]([0-9]))?[ \xa0-]?"
    rf"({_any_of(_UNITS)})|(?:{_any_of(_ONE)})[ \xa0]({_any_of(_WHOLE_WORDS)}))(?![^\W\d_])",
    re.IGNORECASE,
)
_BETWEEN: Final = re.compile(r"[ \xa0]?(?:,|and|e|y|et|und)?[ \xa0]?", re.IGNORECASE)
_SECONDS: Final = re.compile(
    r"(?:wait[ _-]?time|retry[ _-]after)[\"']?[ ]?[:=]?[ ]?([0-9]{1,9})(?![\w.])(?! ?[a-z])",
    re.IGNORECASE,
)


def in_words(text: str) -> timedelta | None:
    """The longest time that *text* names; None when it names none.

    The longest, because Meta punishes who comes back too early. ``1 hour and 5 minutes`` is
    one time.
    """
    text = text[:_LONGEST_TEXT]
    found = [*_lengths(text), *(seconds(match[1]) for match in _SECONDS.finditer(text))]
    return max((one for one in found if one is not None), default=None)


def seconds(value: object) -> timedelta | None:
    """A number of seconds, also as a string; None for anything else, and for an absurd one."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 < value <= _ABSURD.total_seconds():
        return None
    return timedelta(seconds=float(value))


def minutes(value: object) -> timedelta | None:
    """The same for a number of minutes."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return seconds(value * 60)


def _lengths(text: str) -> list[timedelta | None]:
    """What stands together in falling units is one length."""
    found: list[timedelta] = []
    unit_before, end = timedelta(0), -1
    for match in _LENGTH.finditer(text):
        unit = _UNITS[(match[3] or match[4]).lower()]
        length = _count(match) * unit
        joined = end >= 0 and _BETWEEN.fullmatch(text, end, match.start()) is not None
        if joined and unit < unit_before:
            found[-1] += length
        else:
            found.append(length)
        unit_before, end = unit, match.end()
    return [seconds(one.total_seconds()) for one in found]


def _count(match: "re.Match[str]") -> float:
    return int(match[1] or 1) + int(match[2] or 0) / 10
