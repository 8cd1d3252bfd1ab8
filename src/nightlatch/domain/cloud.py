"""Registering a number over the Cloud API: the code comes first, the PIN with ``register``.

Beside ``registration.py``, where the PIN comes first. Guesses, budgets, codes
and PINs are the same ones: a number has one of each, whatever way it is asked for.
The order of the checks is the one of ``docs/reference/rules.md``.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from nightlatch.domain import numbers, two_step
from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.codes import Method, Pending
from nightlatch.domain.errors import (
    CodeNeeded,
    CodeVerified,
    NoCodePending,
    NotOnCloud,
    RegistrationOutdated,
    WrongCode,
)
from nightlatch.domain.mail import Letter
from nightlatch.domain.numbers import CLOUD_API, CodeState, Decision, Number, notice, told
from nightlatch.domain.registration import NewCode
from nightlatch.domain.webhooks import Field


@dataclass(frozen=True, slots=True)
class Quirks:
    """What Meta's documents leave open; each is a setting."""

    wrong_pin_spends_registration: bool = True
    """A register call with a wrong PIN counts as one of the REGISTRATIONS."""
    deregistering_turns_off: bool = False
    """Deregistering turns two-step verification off."""
    pin_needs_connected: bool = True
    """A PIN can only be set while the Cloud API holds the number."""
    pin_events: bool = False
    """Setting a PIN by an API tells apps PIN_CHANGED, as doing it in the Manager does."""
    empty_pin_turns_off: bool = False
    """An empty PIN turns two-step verification off."""


def ask_code(number: Number, method: Method, code: NewCode, by: str, now: datetime) -> Decision:
    """Send a code, unless the number was verified lately.

    Raises:
        CodeVerified: it was.
        CodesSpent: no more codes in this window.
    """
    refuse_verified(number, now)
    pending = Pending(code.session, CLOUD_API, method, code.code_hash, number.two_step.version, now)
    sent = Event(Kind.CODE_SENT, by, now, (("method", method.value),))
    return Decision(
        replace(number, codes=number.codes.spend(now), pending=pending), (sent,), (code.message,)
    )


def refuse_verified(number: Number, now: datetime) -> None:
    """Raise CodeVerified when the number needs no code."""
    if number.code_state(now) is CodeState.VERIFIED:
        raise CodeVerified


def enter_code(number: Number, session: str, code_hash: bytes, by: str, now: datetime) -> Decision:
    """Check the code; if it is right the number counts as verified for VERIFIED_LIFE.

    A wrong code is kept as spent and refused with WrongCode.

    Raises:
        NoCodePending: none asked for over this API, replaced, expired, used up.
        CodeWait: too soon after the last check; nothing is counted.
    """
    pending = number.pending
    if pending is None or (pending.client, pending.session) != (CLOUD_API, session):
        raise NoCodePending
    paid = pending.pay_check(now)
    if not paid.matches(code_hash):
        wrong = Event(Kind.CODE_WRONG, by, now, (("checks", paid.checks),))
        return Decision(replace(number, pending=paid), (wrong,), refusal=WrongCode())
    verified = replace(number, pending=None, code_verified_at=now)
    return Decision(verified, (Event(Kind.CODE_VERIFIED, by, now),))


def admit(number: Number, now: datetime) -> None:
    """Raise unless a registration of this number may be looked at now.

    A number that the Cloud API holds already may be registered again without another code.

    Raises:
        RegistrationWait: the budget is spent.
        CodeNeeded: not verified, or too long ago.
        GuessWait, NumberLocked: two-step verification is on, and no PIN may be compared now.
    """
    number.registrations.refuse_if_spent(now)
    if number.holder != CLOUD_API and number.code_state(now) is not CodeState.VERIFIED:
        raise CodeNeeded
    if number.two_step.is_on:
        number.guesses.refuse_while_closed(now)


def register(
    number: Number,
    checked: int,
    new_pin: tuple[str, bytes] | None,
    quirks: Quirks,
    by: str,
    now: datetime,
) -> Decision:
    """The Cloud API holds the number from now on, and whoever held it does no more.

    *checked* is the version of two-step verification that the PIN was checked
    against. While it was off, *new_pin* (the PIN and its verifier) turns it on.

    Raises:
        RegistrationOutdated: somebody changed or set a PIN meanwhile.
        RegistrationWait: the budget was spent in the meantime.
        CodeNeeded: the code ran out in the meantime, or the Cloud API let go of the number.
    """
    if number.two_step.version != checked:
        raise RegistrationOutdated
    if number.holder != CLOUD_API and number.code_state(now) is not CodeState.VERIFIED:
        raise CodeNeeded
    paid = new_pin is None and quirks.wrong_pin_spends_registration
    registrations = number.registrations if paid else number.registrations.spend(now)
    decision = Decision(replace(number, registrations=registrations))
    if new_pin is not None:
        pin, verifier = new_pin
        decision = with_pin(decision.number, pin, verifier, None, quirks, by, now)
    before = number.holder
    events = [Event(Kind.NUMBER_REGISTERED, by, now, (("client", CLOUD_API),))]
    mails, hooks = list(decision.mails), list(decision.hooks)
    if before not in (None, CLOUD_API):
        events.append(Event(Kind.NUMBER_TAKEN_OVER, by, now, (("from", str(before)),)))
        mails.append(notice(Letter.NUMBER_TAKEN_OVER, number, by, now))
        hooks.append(told(Field.ACCOUNT, number, now, event="ACCOUNT_RECONNECTED"))
    return Decision(
        replace(decision.number, holder=CLOUD_API, registered_at=now),
        (*decision.events, *events),
        mails=tuple(mails),
        hooks=tuple(hooks),
    )


def refuse_unregistered(number: Number, quirks: Quirks) -> None:
    """Raise NotOnCloud unless a PIN may be set now.

    While a client of the On-Premises API holds the number, its PIN is that client's to set:
    otherwise an access token would be a way around a PIN that is not known.
    """
    if quirks.pin_needs_connected and number.holder != CLOUD_API:
        raise NotOnCloud


def with_pin(
    number: Number,
    pin: str,
    verifier: bytes,
    unchanged_since: int | None,
    quirks: Quirks,
    by: str,
    now: datetime,
) -> Decision:
    """Set or replace the PIN; whoever has the access token need not know the old one.

    *unchanged_since* is as in ``two_step.turn_on``: the same PIN again changes nothing.
    """
    decision = two_step.turn_on(number, pin, verifier, unchanged_since, by, now)
    return two_step.telling(decision, now) if quirks.pin_events and decision.events else decision


def deregister(number: Number, quirks: Quirks, by: str, now: datetime) -> Decision:
    """The Cloud API lets go of the number.

    Raises:
        NotOnCloud: it does not hold it.
        RegistrationWait: deregistered too often.
    """
    if number.holder != CLOUD_API:
        raise NotOnCloud
    decision = numbers.deregister(number, by, now)
    if not quirks.deregistering_turns_off:
        return decision
    off = two_step.turn_off(decision.number, by, now)
    return replace(off, events=(*decision.events, *off.events))
