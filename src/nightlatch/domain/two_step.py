"""Two-step verification: the PIN's form, turning it on, turning it off."""

import re
from calendar import monthrange
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.errors import ParameterInvalid
from nightlatch.domain.limits import PIN_DIGITS
from nightlatch.domain.numbers import Decision, Number

_PIN = re.compile(rf"[0-9]{{{PIN_DIGITS}}}", re.ASCII)
_LINES = ("123", "456", "789", "147", "258", "369", "159", "357")
_KEYPAD_LINES = frozenset(_LINES) | {line[::-1] for line in _LINES}
"""Three keys in a line on a keypad, either way."""


def read_pin(value: object) -> str:
    """The PIN as it was sent: exactly six ASCII digits in a string. Nothing is trimmed or coerced.

    Raises:
        ParameterInvalid: for anything else; the value is not repeated.
    """
    if isinstance(value, str) and _PIN.fullmatch(value):
        return value
    raise ParameterInvalid("pin", "a string of exactly six digits 0-9")


def is_weak(pin: str) -> bool:
    """Whether people choose this PIN far more often than chance: dates and patterns."""
    digits = [int(digit) for digit in pin]
    steps = {b - a for a, b in pairwise(digits)}
    if len(steps) == 1 or len(set(pin)) <= 2:  # 111111, 123456, 975310, 121211
        return True
    if pin[:3] == pin[3:] or pin[:2] == pin[2:4] == pin[4:] or pin == pin[::-1]:
        return True  # 123123, 121212, 123321
    if pin[0] == pin[1] and pin[2] == pin[3] and pin[4] == pin[5]:
        return True  # 112233
    if {pin[:3], pin[3:]} <= _KEYPAD_LINES:
        return True  # 159753, 789456
    a, b, c = int(pin[:2]), int(pin[2:4]), int(pin[4:])
    year, month = int(pin[:4]), int(pin[4:])
    return (
        _is_day(a, b)  # DDMMYY
        or _is_day(b, a)  # MMDDYY
        or _is_day(c, b)  # YYMMDD
        or (1900 <= year <= 2049 and 1 <= month <= 12)  # YYYYMM
        or (1900 <= int(pin[2:]) <= 2049 and 1 <= a <= 12)  # MMYYYY
    )


def _is_day(day: int, month: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= monthrange(2000, month)[1]


def turn_on(
    number: Number, pin: str, verifier: bytes, unchanged_since: int | None, by: str, now: datetime
) -> Decision:
    """Turn two-step verification on with *verifier*, or replace the PIN.

    *unchanged_since* is the version whose PIN was found to be this very one;
    while it is current nothing changes: no event, no new version. The guess
    counter is never touched: setting a PIN must not buy a thief new guesses.
    """
    if unchanged_since is not None and number.two_step.version == unchanged_since:
        return Decision(number)
    kind = Kind.TWO_STEP_CHANGED if number.two_step.is_on else Kind.TWO_STEP_ON
    event = Event(kind, by, now, (("weak", is_weak(pin)),))
    return Decision(replace(number, two_step=number.two_step.turn_on(verifier)), (event,))


def turn_off(number: Number, by: str, now: datetime) -> Decision:
    """Turn two-step verification off; off already is fine and leaves no trace."""
    if not number.two_step.is_on:
        return Decision(number)
    event = Event(Kind.TWO_STEP_OFF, by, now)
    return Decision(replace(number, two_step=number.two_step.turn_off()), (event,))
