"""Registration codes: six digits that prove ownership of the number. Never called a PIN."""

import hmac
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from nightlatch.domain.errors import CodesSpent, CodeWait, NoCodePending, ParameterInvalid
from nightlatch.domain.limits import (
    CODE_CHECKS,
    CODE_DIGITS,
    CODE_LIFE,
    CODE_WAITS,
    CODE_WINDOW,
    CODES_PER_WINDOW,
)

_HALF = CODE_DIGITS // 2
_CODE = re.compile(rf"([0-9]{{{_HALF}}})-?([0-9]{{{CODE_DIGITS - _HALF}}})", re.ASCII)


class Method(StrEnum):
    """How a code travels."""

    SMS = "sms"
    VOICE = "voice"


_METHODS = {method.value: method for method in Method}


def read_method(value: object) -> Method:
    """Raises ParameterInvalid for anything but the two documented words, in lower case."""
    method = _METHODS.get(value) if isinstance(value, str) else None
    if method is not None:
        return method
    raise ParameterInvalid("method", "`sms` or `voice`")


def read_code(value: object) -> str:
    """Six digits, or ``123-456`` as the message shows them; returns the bare digits.

    Raises:
        ParameterInvalid: for anything else; no check is spent.
    """
    match = _CODE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ParameterInvalid("code", "the six digits of the code, as a string")
    return match[1] + match[2]


@dataclass(frozen=True, slots=True)
class Pending:
    """A registration that waits for its code."""

    session: str
    """Random name of this one attempt; the code's hash is bound to it."""
    client: str
    method: Method
    code_hash: bytes
    pin_version: int
    """The version of the PIN this attempt was checked against."""
    sent_at: datetime
    checks: int = 0
    checked_at: datetime | None = None

    def pay_check(self, now: datetime) -> "Pending":
        """Count one check of the code, before it is compared.

        Raises:
            NoCodePending: expired or used up.
            CodeWait: too soon after the last check; nothing is counted.
        """
        if self.checks >= CODE_CHECKS or not self.sent_at <= now < self.sent_at + CODE_LIFE:
            raise NoCodePending
        if self.checked_at is not None:
            wait = CODE_WAITS[self.checks - 1]
            remaining = min(wait, self.checked_at + wait - now)
            if remaining > timedelta(0):
                raise CodeWait(remaining)
        return replace(self, checks=self.checks + 1, checked_at=now)

    def matches(self, code_hash: bytes) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.code_hash, code_hash)


@dataclass(frozen=True, slots=True)
class CodeBudget:
    """When codes were sent for one number, within CODE_WINDOW, oldest first."""

    sent: tuple[datetime, ...] = ()

    def spend(self, now: datetime) -> "CodeBudget":
        """Count one code as sent.

        Raises:
            CodesSpent: ``retry_after`` says when the oldest leaves the window.
        """
        recent = tuple(at for at in self.sent if at > now - CODE_WINDOW)
        if len(recent) >= CODES_PER_WINDOW:
            raise CodesSpent(min(CODE_WINDOW, recent[0] + CODE_WINDOW - now))
        return CodeBudget((*recent, now))
