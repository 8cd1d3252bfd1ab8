"""Mail: which letters there are, who gets each, when to try again and when to give up."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from nightlatch.domain.audit import Detail
from nightlatch.domain.errors import MailEnded
from nightlatch.domain.limits import MAIL_GIVE_UP, MAIL_PAUSES, MAIL_UNREACHED_PAUSE


class Letter(StrEnum):
    """Every message that is ever mailed."""

    TURN_OFF_LINK = "turn_off_link"
    PIN_SET = "pin_set"
    PIN_CHANGED = "pin_changed"
    PIN_TURNED_OFF = "pin_turned_off"
    FIRST_WRONG_GUESS = "first_wrong_guess"
    NUMBER_LOCKED = "number_locked"
    NUMBER_TAKEN_OVER = "number_taken_over"
    INVITATION = "invitation"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - the name of a letter
    ADDRESS_CHANGED = "address_changed"
    CLOUD_TURN_OFF_ASKED = "cloud_turn_off_asked"
    CLOUD_PIN_CHANGED = "cloud_pin_changed"
    CLOUD_PIN_TURNED_OFF = "cloud_pin_turned_off"
    CLOUD_OFF_REMEMBERED = "cloud_off_remembered"
    CLOUD_NAME_APPROVED = "cloud_name_approved"
    CLOUD_PIN_REFUSED = "cloud_pin_refused"
    CLOUD_ACCESS_LOST = "cloud_access_lost"


class To(StrEnum):
    """Who gets a letter."""

    OWNERS = "owners"
    """Each owner and admin of the portfolio; while it has none, the portfolio's address."""
    PORTFOLIO = "portfolio"
    """The portfolio's own address."""
    PERSON = "person"
    """The address that the letter names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A letter to be posted. ``facts`` are what it tells; they never hold a secret."""

    letter: Letter
    to: To
    at: datetime
    facts: tuple[tuple[str, Detail], ...]
    address: str = ""
    """For ``To.PERSON``."""
    sealed: bytes | None = None
    """The token of its link, sealed and bound to ``about``; opaque here."""
    about: str = ""
    good_until: datetime | None = None
    """When its link dies; it is not sent after that. None for a notice, which has no link."""


class MailState(StrEnum):
    """Where a posted letter is."""

    WAITING = "waiting"
    SENT = "sent"
    KEPT = "kept"
    """In the embedded mailbox, because no mail server is configured."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One letter to one address, from the moment it was posted."""

    key: str
    """32 hexadecimal digits; its Message-ID is made of it, so a second copy is known as one."""
    portfolio: str
    address: str
    letter: Letter
    facts: tuple[tuple[str, Detail], ...]
    posted_at: datetime
    """Of the last retry by a person, if there was one."""
    due_at: datetime
    sealed: bytes | None = None
    about: str = ""
    good_until: datetime | None = None
    state: MailState = MailState.WAITING
    attempts: int = 0
    ended_at: datetime | None = None
    fault: str = ""
    """Why the last attempt failed, in words that hold nothing of the letter."""

    def delivered(self, now: datetime) -> "Posted":
        """A mail server took it, whatever a slower attempt says: the secret is erased."""
        return replace(self, state=MailState.SENT, ended_at=now, sealed=None, fault="")

    def kept(self, now: datetime) -> "Posted":
        """It lies in the embedded mailbox; the secret stays until its link dies."""
        if self.state is not MailState.WAITING:
            return self
        return replace(self, state=MailState.KEPT, ended_at=now, fault="")

    def put_off(self, fault: str, now: datetime, *, reached: bool) -> "Posted":
        """Try again later; given up after MAIL_GIVE_UP, or when the link is dead.

        *reached* tells a mail server that said "not now" to this letter from
        one that could not be reached at all, which is tried more often. An attempt
        that comes after the letter's end changes nothing.
        """
        if self.state is not MailState.WAITING:
            return self
        pause = MAIL_PAUSES[min(max(self.attempts, 1), len(MAIL_PAUSES)) - 1]
        if not reached:
            pause = min(pause, MAIL_UNREACHED_PAUSE)
        due = now + pause
        if due >= self.posted_at + MAIL_GIVE_UP or self.is_dead(due):
            return self.failed(fault, now)
        return replace(self, due_at=due, fault=fault)

    def failed(self, fault: str, now: datetime) -> "Posted":
        """Given up; a person may try again while its link lives. Not once it has ended."""
        if self.state is not MailState.WAITING:
            return self
        return replace(self, state=MailState.FAILED, ended_at=now, fault=fault)

    def is_dead(self, now: datetime) -> bool:
        """Whether it holds a link that is no longer good."""
        return self.good_until is not None and now >= self.good_until

    def retry(self, now: datetime) -> "Posted":
        """Begin anew, because a person asks for it.

        Raises:
            MailEnded: it arrived, or its link is dead.
        """
        if self.state not in (MailState.FAILED, MailState.WAITING) or self.is_dead(now):
            raise MailEnded
        return replace(
            self, state=MailState.WAITING, posted_at=now, due_at=now, attempts=0, ended_at=None
        )


def masked(address: str) -> str:
    """``m…@example.com``: enough to know one's own address by."""
    name, _, domain = address.rpartition("@")
    return f"{name[:1]}…@{domain}"
