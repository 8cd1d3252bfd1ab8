"""A business phone number, as WhatsApp's side of the world knows it."""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.certificates import Certificate
from nightlatch.domain.codes import CodeBudget, Pending
from nightlatch.domain.errors import (
    CertificateNotReady,
    CertificateRefused,
    NameWait,
    NoNameAsked,
    NoNumberHeld,
    ParameterInvalid,
    Refusal,
    RegistrationWait,
)
from nightlatch.domain.guesses import Guesses
from nightlatch.domain.limits import (
    DISPLAY_NAME_LENGTH,
    NAME_WINDOW,
    REGISTRATION_WINDOW,
    REGISTRATIONS,
    VERIFIED_LIFE,
)
from nightlatch.domain.mail import Letter, Mail, To
from nightlatch.domain.webhooks import Field, Hook

CLOUD_API: Final = "Cloud API"
"""The holder of numbers that were registered over Graph; no client bears a name with a space."""
_E164 = re.compile(r"\+[1-9][0-9]{4,14}", re.ASCII)


class Status(StrEnum):
    """The number's life."""

    PENDING = "PENDING"
    CONNECTED = "CONNECTED"
    DISCONNECTED = "DISCONNECTED"


@dataclass(frozen=True, slots=True)
class TwoStep:
    """The state of the lock. ``version`` grows with every change, so that a
    registration checked against one PIN cannot finish under another."""

    version: int = 0
    verifier: bytes | None = None
    """The sealed verifier of the PIN; opaque here. None while off."""

    @property
    def is_on(self) -> bool:
        return self.verifier is not None

    def turn_on(self, verifier: bytes) -> "TwoStep":
        """On with this PIN, whatever was before."""
        return replace(self, version=self.version + 1, verifier=verifier)

    def turn_off(self) -> "TwoStep":
        """Off; nothing changes when it is off already."""
        return replace(self, version=self.version + 1, verifier=None) if self.is_on else self


@dataclass(frozen=True, slots=True)
class RegistrationBudget:
    """When registrations of one number were accepted, oldest first."""

    used: tuple[datetime, ...] = ()

    def refuse_if_spent(self, now: datetime) -> None:
        """Raise once REGISTRATIONS fell into one window, until a whole window has passed.

        Raises:
            RegistrationWait: ``retry_after`` says how long.
        """
        if len(self.used) >= REGISTRATIONS:
            remaining = self.used[-1] + REGISTRATION_WINDOW - now
            if remaining.total_seconds() > 0:
                raise RegistrationWait(min(remaining, REGISTRATION_WINDOW))

    def spend(self, now: datetime) -> "RegistrationBudget":
        """Count one registration. Raises RegistrationWait as ``refuse_if_spent``."""
        self.refuse_if_spent(now)
        recent = tuple(at for at in self.used if at > now - REGISTRATION_WINDOW)
        return RegistrationBudget((*recent, now))


@dataclass(frozen=True, slots=True)
class TurnOffLink:
    """The newest mailed link that turns two-step verification off."""

    hash: bytes
    pin_version: int
    """It is void once the PIN has another version."""
    asked_by: str
    """Id of the member who asked for it."""
    asked_version: int
    """That member's ``version`` then; a changed password voids the link."""
    expires_at: datetime


class CodeState(StrEnum):
    """Whether somebody proved lately, by a registration code, that the number is theirs."""

    NOT_VERIFIED = "NOT_VERIFIED"
    VERIFIED = "VERIFIED"
    EXPIRED = "EXPIRED"


class NameState(StrEnum):
    """Where the review of a display name stands."""

    APPROVED = "APPROVED"
    PENDING_REVIEW = "PENDING_REVIEW"
    DECLINED = "DECLINED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One number. E.164 is its identity, however it was split or spelled."""

    id: str
    """Fifteen digits, never reused; what the Graph face calls the phone number id."""
    e164: str
    cc: str
    """Country calling code, digits only; the rest of ``e164`` is the national number."""
    waba: str
    name: str
    """The display name that is approved; empty while none ever was."""
    serial: str
    """Serial of the one certificate that is good now; older ones are revoked."""
    created_at: datetime
    asked_name: str | None = None
    """A display name that waits for review, or was declined."""
    name_declined: bool = False
    name_set_at: datetime | None = None
    holder: str | None = None
    """The client that holds the number; its registration is the only one."""
    registered_at: datetime | None = None
    code_verified_at: datetime | None = None
    two_step: TwoStep = field(default_factory=TwoStep)
    guesses: Guesses = field(default_factory=Guesses)
    registrations: RegistrationBudget = field(default_factory=RegistrationBudget)
    codes: CodeBudget = field(default_factory=CodeBudget)
    pending: Pending | None = None
    link: TurnOffLink | None = None
    links_sent: tuple[datetime, ...] = ()
    """When turn-off links were mailed, oldest first."""
    deregistrations: RegistrationBudget = field(default_factory=RegistrationBudget)

    @property
    def national(self) -> str:
        """The number without ``+`` and country code, as ``phone_number`` on the wire."""
        return self.e164[1 + len(self.cc) :]

    @property
    def status(self) -> Status:
        if self.registered_at is None:
            return Status.PENDING
        return Status.CONNECTED if self.holder is not None else Status.DISCONNECTED

    @property
    def digits(self) -> str:
        """The whole number without ``+``, as webhooks show it."""
        return self.e164[1:]

    def code_state(self, now: datetime) -> CodeState:
        """A verified code is good for VERIFIED_LIFE."""
        if self.code_verified_at is None:
            return CodeState.NOT_VERIFIED
        fresh = now < self.code_verified_at + VERIFIED_LIFE
        return CodeState.VERIFIED if fresh else CodeState.EXPIRED

    @property
    def name_state(self) -> NameState:
        if self.asked_name is None:
            return NameState.APPROVED
        return NameState.DECLINED if self.name_declined else NameState.PENDING_REVIEW

    @property
    def certificate(self) -> Certificate:
        """The one that is good now. Raises CertificateNotReady before a name is approved."""
        if not self.name:
            raise CertificateNotReady
        return Certificate(self.serial, self.e164, self.name)

    def refuse_others(self, client: str) -> None:
        """Raise NoNumberHeld unless *client* holds the number."""
        if self.holder != client:
            raise NoNumberHeld

    def accept_certificate(self, shown: Certificate) -> None:
        """Raise CertificateRefused unless *shown* is the one that is good now."""
        if not self.name or shown != self.certificate:
            raise CertificateRefused("it was revoked, or belongs to another number or name")


@dataclass(frozen=True, slots=True)
class Decision:
    """What a rule decided about a number; a store keeps all of it in one atomic step."""

    number: Number
    events: tuple[Event, ...] = ()
    messages: tuple["CodeMessage", ...] = ()
    mails: tuple[Mail, ...] = ()
    hooks: tuple[Hook, ...] = ()
    refusal: Refusal | None = None
    """Raised to the caller after the rest is durable, as a wrong code must be."""


@dataclass(frozen=True, slots=True)
class CodeMessage:
    """A code on its way to a phone."""

    e164: str
    method: str
    sealed: bytes
    """The text, sealed and bound to the number; opaque here."""
    expires_at: datetime


def read_e164(text: str) -> str:
    """Check that *text* is E.164 in form: ``+``, then 5 to 15 digits. Raises ParameterInvalid."""
    if not _E164.fullmatch(text):
        raise ParameterInvalid("phone_number", "a possible phone number of that country code")
    return text


def read_name(text: str) -> str:
    """A display name: 1 to DISPLAY_NAME_LENGTH printable characters. Raises ParameterInvalid."""
    if not len(text.strip()) > 0 or len(text) > DISPLAY_NAME_LENGTH or not text.isprintable():
        raise ParameterInvalid("name", f"1 to {DISPLAY_NAME_LENGTH} printable characters")
    return text


def notice(letter: Letter, number: Number, by: str, now: datetime) -> Mail:
    """Tell the owners what happened to *number*."""
    facts = (
        ("number", number.e164),
        ("name", number.name),
        ("number_id", number.id),
        ("by", by),
        ("at", now.isoformat()),
    )
    return Mail(letter=letter, to=To.OWNERS, at=now, facts=facts)


def told(field: Field, number: Number, now: datetime, **value: str | None) -> Hook:
    """Tell the apps that are subscribed to the number's account."""
    return Hook(field, number.id, now, (("display_phone_number", number.digits), *value.items()))


def ask_name(
    number: Number, name: str, serial: str, by: str, now: datetime, *, approve: bool
) -> Decision:
    """Give the number another display name; approved at once it comes with a new certificate.

    The same name again changes nothing.

    Raises:
        NameWait: registered once, and changed less than NAME_WINDOW ago.
    """
    if name == number.name and number.asked_name is None:
        return Decision(number)
    if number.registered_at is not None and number.name_set_at is not None:
        remaining = number.name_set_at + NAME_WINDOW - now
        if remaining.total_seconds() > 0:
            raise NameWait(min(remaining, NAME_WINDOW))
    asked = replace(number, asked_name=name, name_declined=False)
    event = Event(Kind.NAME_ASKED, by, now, (("name", name),))
    if not approve:
        return Decision(asked, (event,))
    approved = approve_name(asked, serial, by, now)
    return replace(approved, events=(event, *approved.events))


def approve_name(number: Number, serial: str, by: str, now: datetime) -> Decision:
    """The display name that was asked for is good; *serial* is that of its certificate.

    A name that was declined may still be approved.

    Raises:
        NoNameAsked: none was asked for.
    """
    if number.asked_name is None:
        raise NoNameAsked
    approved = replace(
        number,
        name=number.asked_name,
        serial=serial,
        asked_name=None,
        name_declined=False,
        name_set_at=now,
    )
    return Decision(
        approved,
        (Event(Kind.NAME_APPROVED, by, now, (("name", approved.name),)),),
        hooks=(_reviewed(number, "APPROVED", None, now),),
    )


def decline_name(number: Number, by: str, now: datetime) -> Decision:
    """The display name that was asked for is not good; the one before stays.

    Raises:
        NoNameAsked: none waits.
    """
    if number.name_state is not NameState.PENDING_REVIEW:
        raise NoNameAsked
    event = Event(Kind.NAME_DECLINED, by, now, (("name", str(number.asked_name)),))
    return Decision(
        replace(number, name_declined=True),
        (event,),
        hooks=(_reviewed(number, "REJECTED", "UNKNOWN", now),),
    )


def _reviewed(number: Number, decision: str, reason: str | None, now: datetime) -> Hook:
    return told(
        Field.NAME, number, now,
        decision=decision, requested_verified_name=number.asked_name, rejection_reason=reason,
    )  # fmt: skip


def renew_certificate(number: Number, serial: str, by: str, now: datetime) -> Decision:
    """Another certificate; the one before is good for nothing any more.

    Raises:
        CertificateNotReady: no name is approved yet.
    """
    if not number.name:
        raise CertificateNotReady
    return Decision(replace(number, serial=serial), (Event(Kind.CERTIFICATE_RENEWED, by, now),))


def deregister(number: Number, by: str, now: datetime) -> Decision:
    """The client that holds the number lets go of it; the PIN stays.

    Raises:
        NoNumberHeld: nobody holds it.
        RegistrationWait: deregistered too often.
    """
    if number.holder is None:
        raise NoNumberHeld
    released = Event(Kind.NUMBER_RELEASED, by, now, (("from", number.holder),))
    spent = number.deregistrations.spend(now)
    return Decision(replace(number, holder=None, deregistrations=spent), (released,))


def unlock(number: Number, by: str, now: datetime) -> Decision:
    """A person ends the lock, or a wait, and starts the guess counter anew."""
    return Decision(
        replace(number, guesses=number.guesses.unlock()), (Event(Kind.NUMBER_UNLOCKED, by, now),)
    )
