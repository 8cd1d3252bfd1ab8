"""Webhooks: what apps are told, when a delivery is tried again and when it is given up."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from nightlatch.domain.limits import HOOK_GIVE_UP, HOOK_PAUSES


class Field(StrEnum):
    """What an app may be told about, as Meta names it."""

    SECURITY = "security"
    NAME = "phone_number_name_update"
    ACCOUNT = "account_update"


Value = tuple[tuple[str, str | None], ...]
"""What a payload says, in order; it never holds a secret."""


@dataclass(frozen=True, slots=True)
class Hook:
    """Something to tell every app that is subscribed to the account and to the field."""

    field: Field
    line: str
    """Id of the number, or of the account, that it is about: what is about one thing is
    told in the order in which it happened."""
    at: datetime
    value: Value


@dataclass(frozen=True, slots=True)
class Receiver:
    """One address that an app's webhooks go to; each has rounds of its own."""

    app: str
    url: str | None = None
    """The one that some accounts were subscribed with; None for the app's own callback."""


class DeliveryState(StrEnum):
    """Where a delivery is."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One hook on its way to one app."""

    key: int
    """Grows with time; the order of a line."""
    app: str
    waba: str
    line: str
    field: Field
    value: Value
    at: datetime
    """When it happened."""
    posted_at: datetime
    """When it happened, or when a person asked to send it again."""
    due_at: datetime
    attempts: int = 0
    alone: bool = False
    """A request that held it was answered, but not taken: no other line goes with it again."""
    state: DeliveryState = DeliveryState.WAITING
    ended_at: datetime | None = None
    status: int | None = None
    """HTTP status of the receiver's last answer."""
    answer: str = ""
    """The beginning of what the receiver answered last."""
    fault: str = ""
    """Why the last attempt failed."""

    def delivered(self, status: int, answer: str, now: datetime) -> "Delivery":
        """The receiver took it, whatever a slower attempt says."""
        return replace(
            self, state=DeliveryState.DELIVERED, ended_at=now, status=status, answer=answer,
            fault="",
        )  # fmt: skip

    def put_off(self, fault: str, status: int | None, answer: str, now: datetime) -> "Delivery":
        """Try again later, the last time HOOK_GIVE_UP after it was posted. *status* is None when
        no answer came.

        An attempt that comes after the delivery's end changes nothing.
        """
        if self.state is not DeliveryState.WAITING:
            return self
        told = replace(
            self, fault=fault, status=status, answer=answer,
            alone=self.alone or status is not None,
        )  # fmt: skip
        end = self.posted_at + HOOK_GIVE_UP
        if now >= end:
            return told.failed(fault, now)
        pause = HOOK_PAUSES[min(max(self.attempts, 1), len(HOOK_PAUSES)) - 1]
        return replace(told, due_at=min(now + pause, end))

    def passed_over(self, now: datetime) -> "Delivery":
        """Leased, but not sent, because one before it was not taken: that was no attempt."""
        if self.state is not DeliveryState.WAITING:
            return self
        return replace(self, attempts=max(self.attempts - 1, 0), due_at=now)

    def failed(self, fault: str, now: datetime) -> "Delivery":
        """Given up; a person may send it again. Not once it has ended."""
        if self.state is not DeliveryState.WAITING:
            return self
        return replace(self, state=DeliveryState.FAILED, ended_at=now, fault=fault)

    def again(self, now: datetime) -> "Delivery":
        """Begin anew, because a person asks for it; also one that arrived."""
        return replace(
            self, state=DeliveryState.WAITING, posted_at=now, due_at=now, attempts=0,
            ended_at=None,
        )  # fmt: skip
