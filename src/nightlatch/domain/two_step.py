"""Two-step verification: the PIN's form, turning it on, turning it off."""

import hmac
import re
from calendar import monthrange
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.errors import (
    LinkRefused,
    ParameterInvalid,
    PinChangedMeanwhile,
    TwoStepIsOff,
    TwoStepIsOn,
)
from nightlatch.domain.limits import LINK_PAUSE, LINK_WINDOW, LINKS_PER_WINDOW, PIN_DIGITS
from nightlatch.domain.mail import Letter, Mail, To
from nightlatch.domain.numbers import Decision, Number, TurnOffLink, notice, told
from nightlatch.domain.webhooks import Field

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


def weakness(pin: str) -> str | None:
    """Why people choose this PIN far more often than chance, or None when they do not."""
    digits = [int(digit) for digit in pin]
    steps = {b - a for a, b in pairwise(digits)}
    if len(set(pin)) <= 2 or pin[:3] == pin[3:] or pin[:2] == pin[2:4] == pin[4:]:
        return "it repeats itself"  # 111111, 121211, 123123, 121212
    if len(steps) == 1:
        return "its digits follow one another"  # 123456, 987654
    if pin == pin[::-1]:
        return "it reads the same backwards"  # 123321
    if pin[0] == pin[1] and pin[2] == pin[3] and pin[4] == pin[5]:
        return "it repeats itself"  # 112233
    if {pin[:3], pin[3:]} <= _KEYPAD_LINES:
        return "it is a line on the keypad"  # 159753, 789456
    return "it is a date" if _is_date(pin) else None


def is_weak(pin: str) -> bool:
    """Whether people choose this PIN far more often than chance: dates and patterns."""
    return weakness(pin) is not None


def _is_date(pin: str) -> bool:
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
    return _with_pin(number, pin, verifier, by, now)


def set_pin(number: Number, pin: str, verifier: bytes, by: str, now: datetime) -> Decision:
    """Turn two-step verification on; for whoever may not replace a PIN without knowing it.

    Raises:
        TwoStepIsOn: there is a PIN already.
    """
    if number.two_step.is_on:
        raise TwoStepIsOn
    return telling(_with_pin(number, pin, verifier, by, now), now)


def change_pin(
    number: Number, checked: int, pin: str, verifier: bytes, by: str, now: datetime
) -> Decision:
    """Replace the PIN, for somebody whose current PIN matched version *checked*.

    Raises:
        PinChangedMeanwhile: that version is not the current one any more.
    """
    if not number.two_step.is_on or number.two_step.version != checked:
        raise PinChangedMeanwhile
    return telling(_with_pin(number, pin, verifier, by, now), now)


def telling(decision: Decision, now: datetime) -> Decision:
    """*decision*, of which apps hear as PIN_CHANGED."""
    hook = told(Field.SECURITY, decision.number, now, event="PIN_CHANGED")
    return replace(decision, hooks=(*decision.hooks, hook))


def _with_pin(number: Number, pin: str, verifier: bytes, by: str, now: datetime) -> Decision:
    changed = number.two_step.is_on
    kind = Kind.TWO_STEP_CHANGED if changed else Kind.TWO_STEP_ON
    event = Event(kind, by, now, (("weak", is_weak(pin)),))
    letter = Letter.PIN_CHANGED if changed else Letter.PIN_SET
    return Decision(
        replace(number, two_step=number.two_step.turn_on(verifier)),
        (event,),
        mails=(notice(letter, number, by, now),),
    )


def turn_off(number: Number, by: str, now: datetime) -> Decision:
    """Turn two-step verification off; off already is fine and leaves no trace."""
    if not number.two_step.is_on:
        return Decision(number)
    return Decision(
        replace(number, two_step=number.two_step.turn_off()),
        (Event(Kind.TWO_STEP_OFF, by, now),),
        mails=(notice(Letter.PIN_TURNED_OFF, number, by, now),),
    )


def ask_to_turn_off(
    number: Number, link: TurnOffLink, sealed: bytes, by: str, now: datetime
) -> Decision:
    """Mail *link* to the portfolio; any link before it is void.

    Asked too often, nothing is mailed and nothing changes, and the asker is
    told the same.

    Raises:
        TwoStepIsOff: there is nothing to turn off.
    """
    if not number.two_step.is_on:
        raise TwoStepIsOff
    recent = tuple(at for at in number.links_sent if at > now - LINK_WINDOW)
    if len(recent) >= LINKS_PER_WINDOW or (recent and now < recent[-1] + LINK_PAUSE):
        return Decision(number)
    plain = notice(Letter.TURN_OFF_LINK, number, by, now)
    mail = Mail(
        letter=plain.letter,
        to=To.PORTFOLIO,
        at=now,
        facts=plain.facts,
        sealed=sealed,
        about=number.id,
        good_until=link.expires_at,
    )
    return Decision(
        replace(
            number,
            link=replace(link, pin_version=number.two_step.version),
            links_sent=(*recent, now),
        ),
        (Event(Kind.TURN_OFF_ASKED, by, now),),
        mails=(mail,),
        hooks=(
            told(Field.SECURITY, number, now, event="PIN_RESET_REQUEST", requester=link.asked_by),
        ),
    )


def refuse_dead_link(
    number: Number, token_hash: bytes, asker_version: int | None, now: datetime
) -> None:
    """Raise LinkRefused unless the link of *token_hash* would turn two-step off now.

    *asker_version* is the present ``version`` of the member who asked for the
    link; None when they are gone.
    """
    link = number.link
    if (
        link is None
        or not hmac.compare_digest(link.hash, token_hash)
        or link.pin_version != number.two_step.version
        or not number.two_step.is_on
        or link.asked_version != asker_version
        or now >= link.expires_at
    ):
        raise LinkRefused


def follow_link(
    number: Number, token_hash: bytes, asker_version: int | None, by: str, now: datetime
) -> Decision:
    """Turn two-step verification off by the mailed link, which is good once.

    Raises:
        LinkRefused: used, replaced, expired, or void because a PIN or a password changed.
    """
    refuse_dead_link(number, token_hash, asker_version, now)
    decision = turn_off(number, by, now)
    (off,) = decision.events
    hook = told(Field.SECURITY, number, now, event="PIN_REQUEST_SUCCESS")
    return replace(
        decision,
        hooks=(hook,),
        number=replace(decision.number, link=None),
        events=(replace(off, details=(("path", "link"),)),),
    )


def refused_link(number: Number, by: str, now: datetime) -> Decision:
    """Somebody followed a link of this number who may not; write that down."""
    return Decision(number, (Event(Kind.TURN_OFF_REFUSED, by, now),))
