"""Registering a number: who must bring what, in which order, and who holds it afterwards.

Every function takes the number as stored and returns what to keep. The order
of the checks is the one of ``docs/reference/rules.md``: certificate, budget,
PIN, and only then a code.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.codes import Method, Pending
from nightlatch.domain.errors import (
    CodesSpent,
    NoCodePending,
    PinNeeded,
    RegistrationOutdated,
    WrongCode,
)
from nightlatch.domain.guesses import Guesses
from nightlatch.domain.mail import Letter
from nightlatch.domain.numbers import CLOUD_API, CodeMessage, Decision, Number, notice, told
from nightlatch.domain.webhooks import Field


def admit(number: Number, pin: str | None, now: datetime) -> None:
    """Raise unless a registration of this number, with this PIN or none, may be looked at now.

    Raises:
        RegistrationWait: the budget is spent.
        PinNeeded: two-step verification is on and no PIN came; nothing is counted.
        GuessWait, NumberLocked: no PIN may be compared now.
    """
    number.registrations.refuse_if_spent(now)
    if number.two_step.is_on:
        if pin is None:
            raise PinNeeded
        number.guesses.refuse_while_closed(now)


def pay_guess(
    number: Number, by: str, path: str, now: datetime, *, registers: bool = False
) -> Decision:
    """Count a guess before it is compared; with *registers* also as one registration.

    Raises:
        GuessWait, NumberLocked, RegistrationWait: refused unread.
        RegistrationOutdated: two-step verification was turned off meanwhile.
    """
    if not number.two_step.is_on:
        raise RegistrationOutdated
    guesses = number.guesses.pay(now)
    if registers:
        number = replace(number, registrations=number.registrations.spend(now))
    return _told(number, guesses, Kind.GUESS_PAID, by, path, now)


def settle_wrong(number: Number, ticket: int, by: str, path: str, now: datetime) -> Decision:
    """Write down that the guess was wrong; it was counted when it was paid for.

    The owners hear of the first one of a run, and not of those that follow.
    """
    guesses = replace(number.guesses.wrong(ticket, now), warned=True)
    decision = _told(number, guesses, Kind.GUESS_WRONG, by, path, now)
    if number.guesses.warned:
        return decision
    first = notice(Letter.FIRST_WRONG_GUESS, number, by, now)
    return replace(decision, mails=(first, *decision.mails))


def settle_right(number: Number, ticket: int, by: str, path: str, now: datetime) -> Decision:
    """Write down that the guess was right: the run of wrong ones ends."""
    return _told(number, number.guesses.right(ticket, now), Kind.GUESS_RIGHT, by, path, now)


def _told(
    number: Number, guesses: Guesses, kind: Kind, by: str, path: str, now: datetime
) -> Decision:
    """Keep *guesses*, and tell of a lock that began or ended with them.

    The guess that reaches the limit locks when it is paid for, so that a crash
    cannot lose the lock or its event; should it be right, the lock ends again.
    """
    events = [Event(kind, by, now, (("path", path), ("in_a_row", guesses.run)))]
    mails = []
    if guesses.locked != number.guesses.locked:
        events.append(
            Event(Kind.NUMBER_LOCKED if guesses.locked else Kind.NUMBER_UNLOCKED, by, now)
        )
    if guesses.locked and not number.guesses.locked:
        mails.append(notice(Letter.NUMBER_LOCKED, number, by, now))
    return Decision(replace(number, guesses=guesses), tuple(events), mails=tuple(mails))


@dataclass(frozen=True, slots=True)
class NewCode:
    """A code drawn for one registration, as it will be kept and sent."""

    session: str
    code_hash: bytes
    message: CodeMessage


def accept(
    number: Number,
    client: str,
    method: Method,
    pin_version: int,
    code: NewCode,
    by: str,
    now: datetime,
) -> Decision:
    """The certificate and the PIN were right: send a code, unless the client holds the number.

    Either way one registration is counted. ``pending.session`` of the result
    is *code*'s exactly when the code is sent.

    Raises:
        RegistrationOutdated: the PIN changed since it was checked.
        RegistrationWait: the budget was spent in the meantime.
    """
    if number.two_step.version != pin_version:
        raise RegistrationOutdated
    registrations = number.registrations.spend(now)
    held = number.holder == client
    accepted = Event(Kind.REGISTRATION_ACCEPTED, by, now, (("already_held", held),))
    if held:
        return Decision(replace(number, registrations=registrations), (accepted,))
    try:
        codes = number.codes.spend(now)
    except CodesSpent as refusal:
        return Decision(number, refusal=refusal)
    pending = Pending(code.session, client, method, code.code_hash, pin_version, now)
    return Decision(
        replace(number, registrations=registrations, codes=codes, pending=pending),
        (accepted, Event(Kind.CODE_SENT, by, now, (("method", method.value),))),
        (code.message,),
    )


def enter_code(
    number: Number, client: str, session: str, code_hash: bytes, by: str, now: datetime
) -> Decision:
    """Check the code and, if it is right, hand the number to *client*.

    A wrong code is kept as spent and refused with WrongCode.

    Raises:
        NoCodePending: none asked for by this client, replaced, expired, used up.
        CodeWait: too soon after the last check; nothing is counted.
    """
    pending = number.pending
    if pending is None or (pending.client, pending.session) != (client, session):
        raise NoCodePending
    paid = pending.pay_check(now)
    if not paid.matches(code_hash):
        wrong = Event(Kind.CODE_WRONG, by, now, (("checks", paid.checks),))
        return Decision(replace(number, pending=paid), (wrong,), refusal=WrongCode())
    if pending.pin_version != number.two_step.version:
        return Decision(replace(number, pending=None), refusal=RegistrationOutdated())
    events = [Event(Kind.NUMBER_REGISTERED, by, now, (("client", client),))]
    mails, hooks = [], []
    if number.holder == CLOUD_API:
        hooks.append(told(Field.ACCOUNT, number, now, event="ACCOUNT_OFFBOARDED"))
    if number.holder not in (None, client):
        events.append(Event(Kind.NUMBER_TAKEN_OVER, by, now, (("from", str(number.holder)),)))
        mails.append(notice(Letter.NUMBER_TAKEN_OVER, number, by, now))
    return Decision(
        replace(number, pending=None, holder=client, registered_at=now, code_verified_at=now),
        tuple(events),
        mails=tuple(mails),
        hooks=tuple(hooks),
    )


def release(number: Number, by: str, now: datetime) -> Decision:
    """The client that held this number has registered another one."""
    return Decision(replace(number, holder=None), (Event(Kind.NUMBER_RELEASED, by, now),))


def unreadable(number: Number, ticket: int, by: str, now: datetime) -> Decision:
    """The stored verifier could not be opened; the guess stays counted. Write that down."""
    return Decision(number, (Event(Kind.VERIFIER_UNREADABLE, by, now, (("guess", ticket),)),))
