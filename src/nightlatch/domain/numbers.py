"""A business phone number, as WhatsApp's side of the world knows it."""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.certificates import Certificate
from nightlatch.domain.codes import CodeBudget, Pending
from nightlatch.domain.errors import (
    CertificateRefused,
    NoNumberHeld,
    ParameterInvalid,
    Refusal,
    RegistrationWait,
)
from nightlatch.domain.guesses import Guesses
from nightlatch.domain.limits import DISPLAY_NAME_LENGTH, REGISTRATION_WINDOW, REGISTRATIONS

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
    """The display name, approved."""
    serial: str
    """Serial of the one certificate that is good now; older ones are revoked."""
    created_at: datetime
    holder: str | None = None
    """The client that holds the number; its registration is the only one."""
    registered_at: datetime | None = None
    code_verified_at: datetime | None = None
    two_step: TwoStep = field(default_factory=TwoStep)
    guesses: Guesses = field(default_factory=Guesses)
    registrations: RegistrationBudget = field(default_factory=RegistrationBudget)
    codes: CodeBudget = field(default_factory=CodeBudget)
    pending: Pending | None = None

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
    def certificate(self) -> Certificate:
        return Certificate(self.serial, self.e164, self.name)

    def refuse_others(self, client: str) -> None:
        """Raise NoNumberHeld unless *client* holds the number."""
        if self.holder != client:
            raise NoNumberHeld

    def accept_certificate(self, shown: Certificate) -> None:
        """Raise CertificateRefused unless *shown* is the one that is good now."""
        if shown != self.certificate:
            raise CertificateRefused("it was revoked, or belongs to another number or name")


@dataclass(frozen=True, slots=True)
class Decision:
    """What a rule decided about a number; a store keeps all of it in one atomic step."""

    number: Number
    events: tuple[Event, ...] = ()
    messages: tuple["CodeMessage", ...] = ()
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


def unlock(number: Number, by: str, now: datetime) -> Decision:
    """A person ends the lock, or a wait, and starts the guess counter anew."""
    return Decision(
        replace(number, guesses=number.guesses.unlock()), (Event(Kind.NUMBER_UNLOCKED, by, now),)
    )
