"""Refusal -> status and a sentence: one row per refusal.

The envelope is the sandbox's own, so that nobody takes it for an answer of Meta's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from nightlatch.domain import errors as e
from nightlatch.domain.errors import Refusal
from nightlatch.faces.sandbox.wire import encode


@dataclass(frozen=True, slots=True)
class Row:
    """How a refusal reads here."""

    status: int
    says: Callable[[Any], str]


def _row(status: int, says: str | Callable[[Any], str]) -> Row:
    return Row(status, says if callable(says) else lambda _: says)


ROWS: Final[dict[type[Refusal], Row]] = {
    e.TokenRefused: _row(
        401, "Send `Authorization: Bearer` with the token from NIGHTLATCH_SANDBOX_TOKEN."
    ),
    e.PathUnknown: _row(404, "There is nothing at this path of the sandbox."),
    e.MethodNotAllowed: _row(405, lambda r: f"This path takes {' and '.join(r.allowed)}."),
    e.BodyTooLarge: _row(413, "The body is too large. Send at most 16384 bytes."),
    e.RequestMalformed: _row(400, lambda r: f"The request cannot be read: {r.why}."),
    e.ParameterMissing: _row(400, lambda r: f"Send `{r.name}`."),
    e.ParameterInvalid: _row(400, lambda r: f"`{r.name}` must be {r.why}."),
    e.ParameterUnexpected: _row(400, lambda r: f"This call takes {r.why}."),
    e.NumberUnknown: _row(
        404, "There is no such number. Name it by its id, or by its E.164 digits without +."
    ),
    e.PortfolioUnknown: _row(404, "There is no portfolio with this id."),
    e.NoNameAsked: _row(409, "No display name of this number waits for a decision."),
    e.MemberUnknown: _row(
        409,
        "Nobody can press this: the number's portfolio has no owner. "
        "Follow the link that the first start printed, or use `nightlatch members add`.",
    ),
    e.LinkRefused: _row(
        409,
        "The mailbox shows no turn-off link of this number that is good now. Press `turn_off` "
        "for one; it lives for 30 minutes, and only as long as the PIN stays.",
    ),
    e.TwoStepIsOn: _row(409, "Two-step verification is on already; press `change_pin`."),
    e.TwoStepIsOff: _row(409, "Two-step verification is off; press `set_pin`."),
    e.PinUnchanged: _row(409, "The new PIN is the current one, which was right."),
    e.PinChangedMeanwhile: _row(409, "Somebody else changed the PIN, or turned it off, meanwhile."),
    e.WrongPin: _row(403, "The current PIN is wrong; the guess was counted."),
    e.GuessWait: _row(
        429,
        lambda r: f"Too many wrong PINs; the PIN was not looked at. Wait {r.retry_after} seconds.",
    ),
    e.NumberLocked: _row(403, "The number is locked after too many wrong PINs."),
    e.Unavailable: _row(503, "The store or the key ring does not answer. Try again soon."),
    e.Overloaded: _row(503, "Too much is going on at this moment. Try again soon."),
}
_BUG: Final = _row(500, "Something went wrong here.")


def answer(refusal: Refusal | None) -> tuple[int, bytes]:
    """Status and body for a refusal, or for a bug when there is none."""
    row = _BUG if refusal is None else ROWS.get(type(refusal), _BUG)
    name = "Bug" if row is _BUG else type(refusal).__name__
    return row.status, encode({"sandbox_error": {"name": name, "says": row.says(refusal)}})
