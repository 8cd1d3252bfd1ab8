"""Refusal -> code, title, status and a sentence: one row per refusal.

Codes and titles are Meta's; which refusal gets which is ``design`` where the
documents are silent, see ``docs/decisions/``. Feeds the answers, the error
pages, the OpenAPI document and the tests. A number is never used for
something else later.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from nightlatch.domain import errors as e
from nightlatch.domain.errors import Refusal

TITLES: Final = {
    1005: "Access denied",
    1006: "Resource not found",
    1008: "Required parameter is missing",
    1009: "Parameter value is not valid",
    1010: "Parameter is not required",
    1011: "Service not ready",
    1014: "Internal error",
    1015: "Too many requests",
    1016: "System overloaded",
    1024: "Password Change Required",
    1025: "Invalid Request",
    1031: "Sender account has been locked",
}


@dataclass(frozen=True, slots=True)
class Row:
    """How a refusal reads on this wire."""

    status: int
    code: int
    details: Callable[[Any], str]

    @property
    def title(self) -> str:
        return TITLES[self.code]


def _row(status: int, code: int, details: str | Callable[[Any], str]) -> Row:
    return Row(status, code, details if callable(details) else lambda _: details)


def _wait(what: str) -> Callable[[Refusal], str]:
    return lambda refusal: f"{what} Try again in {refusal.retry_after} seconds."


_ACTS: Final = {
    "register": "the registration",
    "deregister": "the deregistration",
    "code": "the request for a code",
    "check": "the registration code",
    "pin": "the new PIN",
}


_FORCED: Final = frozenset({"register", "deregister"})


def _ledger(refusal: e.LedgerWait) -> str:
    why = "Once more, and the Cloud API could lock this number out"
    if refusal.kept_back and refusal.act in _FORCED:
        why = "One more try is left at the Cloud API and is kept back; its operator may force it"
    return f"Not sent: {_ACTS[refusal.act]}. {why}. Try again in {refusal.retry_after} seconds."


ROWS: Final[dict[type[Refusal], Row]] = {
    e.LoginRefused: _row(
        401, 1005, "The username or the password is wrong. Log in with Basic authentication."
    ),
    e.TokenRefused: _row(
        401,
        1005,
        "The token is missing, expired or unknown. Log in at /v1/users/login for another.",
    ),
    e.LoginWait: _row(429, 1015, _wait("Too many wrong passwords for this user.")),
    e.AdminOnly: _row(403, 1005, "Only the admin may do this. Log in as `admin`."),
    e.PasswordChangeRequired: _row(
        403, 1024, "The first password must be changed. Log in again and send `new_password`."
    ),
    e.PinNeeded: _row(
        400,
        1008,
        "Two-step verification is on for this number. Send its six-digit PIN as `pin`.",
    ),
    e.ParameterMissing: _row(400, 1008, lambda r: f"Send the parameter `{r.name}`."),
    e.ParameterInvalid: _row(400, 1009, lambda r: f"`{r.name}` must be {r.why}."),
    e.ParameterUnexpected: _row(400, 1010, lambda r: f"This call takes {r.why}."),
    e.UserExists: _row(400, 1014, "Unable to create user. Already exist?"),
    e.ClientUnknown: _row(404, 1006, "There is no client with this name. Check the path."),
    e.UserUnknown: _row(404, 1006, "There is no user with this name. Check the spelling."),
    e.AdminStays: _row(
        403, 1005, "The admin account cannot be removed. Change its password instead."
    ),
    e.TooManyUsers: _row(
        400, 1014, "This client has as many users as it may have. Delete one first."
    ),
    e.CertificateRefused: _row(
        403,
        1005,
        lambda r: (
            f"The verified-name certificate was refused: {r.why}. "
            "Get the number's current certificate and send it as `cert`."
        ),
    ),
    e.RegistrationWait: _row(
        429, 1015, _wait("This number was registered too often in the last 72 hours.")
    ),
    e.WrongPin: _row(
        403,
        1005,
        "The two-step verification PIN is wrong; the guess was counted. If it is forgotten, the "
        "client that holds the number turns it off with DELETE /v1/settings/account/two-step "
        "and sets a new one with POST.",
    ),
    e.GuessWait: _row(
        429, 1015, _wait("Too many wrong PINs for this number. The PIN was not looked at.")
    ),
    e.NumberLocked: _row(
        403,
        1031,
        "This number is locked after too many wrong PINs. Its operator must unlock it, or the "
        "client that holds it turns two-step verification off.",
    ),
    e.CodesSpent: _row(429, 1015, _wait("Too many codes were sent to this number today.")),
    e.CodeWait: _row(429, 1015, _wait("The code was entered too soon after the last try.")),
    e.WrongCode: _row(
        400, 1009, "The registration code is wrong; the try was counted. Check the newest message."
    ),
    e.NoCodePending: _row(
        400,
        1009,
        "No registration code is waiting: it expired, was used or replaced, or none was asked "
        "for. Ask for another with POST /v1/account.",
    ),
    e.RegistrationOutdated: _row(
        400,
        1009,
        "Two-step verification was changed while this number was being registered. Start again "
        "with POST /v1/account.",
    ),
    e.NoNumberHeld: _row(
        412,
        1011,
        "This client does not hold the number. Register it first with POST /v1/account.",
    ),
    e.CodeNeeded: _row(
        400,
        1009,
        "The Cloud API wants the number to be verified again. Ask for a registration code with "
        "POST /v1/account and enter it.",
    ),
    e.NotOnCloud: _row(
        412,
        1011,
        "The number is not registered with the Cloud API. Register it with POST /v1/account.",
    ),
    e.LedgerWait: _row(429, 1015, _ledger),
    e.OutcomeUnknown: _row(
        503,
        1011,
        lambda r: (
            f"The Cloud API did not answer {_ACTS[r.act]}, so nobody knows yet whether it was "
            "done. Nothing is sent for this number until that is found out; try again in "
            f"{r.retry_after} seconds."
        ),
    ),
    e.CloudUnreached: _row(
        503, 1011, "The Cloud API cannot be reached. Nothing was changed; try again soon."
    ),
    e.CloudAccessLost: _row(
        503,
        1011,
        "The Cloud API refuses the access token of this number's account. Its operator must give "
        "Nightlatch another one.",
    ),
    e.CloudCallsSpent: _row(
        429, 1015, _wait("The Cloud API takes no more calls for this number's account.")
    ),
    e.CloudLocked: _row(
        403,
        1031,
        "The Cloud API says that the account is locked, or that the PIN is not the right one. "
        "Look in WhatsApp Manager before trying again.",
    ),
    e.CloudIncomplete: _row(
        503,
        1011,
        "An earlier deregistration of this number stopped half-way at the Cloud API. Its operator "
        "deregisters it again, then registers it.",
    ),
    e.CloudRefused: _row(
        400,
        1014,
        lambda r: (
            f"The Cloud API refused with its code {r.code}"
            + (f", subcode {r.subcode}" if r.subcode else "")
            + ". Its operator looks that up and runs `nightlatch doctor`."
        ),
    ),
    e.NameNeeded: _row(
        403,
        1005,
        "The number is not in the linked WhatsApp account yet, and `cert` says no display name. "
        "Add the number in WhatsApp Manager, or send its verified-name certificate.",
    ),
    e.NameNotApproved: _row(
        403,
        1005,
        "The Cloud API does not take the number's display name. Change it in WhatsApp Manager.",
    ),
    e.HeldElsewhere: _row(
        403,
        1005,
        "The number is registered to another WhatsApp account, which must let go of it first.",
    ),
    e.OnBusinessApp: _row(
        403,
        1005,
        "The number is used with the WhatsApp Business app too, so it cannot be registered here. "
        "Disconnect it from the app first.",
    ),
    e.TurnOffElsewhere: _row(
        403,
        1005,
        "Only a person can turn two-step verification off for this number: in WhatsApp Manager, "
        "Phone numbers, Two-step verification, Turn off; then by the link that is mailed. To "
        "replace a forgotten PIN, POST a new one here.",
    ),
    e.PinNotInVault: _row(
        400,
        1008,
        "Two-step verification is on for this number and its PIN is not known here. Send it as "
        "`pin`.",
    ),
    e.LinkedNumberUnknown: _row(
        404, 1006, "The Cloud API does not show this number in the linked WhatsApp account."
    ),
    e.LinkUnknown: _row(503, 1011, "The number's WhatsApp account was unlinked just now."),
    e.LinkedNumberHeld: _row(
        403,
        1005,
        "This client serves a number of the Cloud API. Its operator releases that one before this "
        "client registers another.",
    ),
    e.Unavailable: _row(503, 1011, "The store or the key ring does not answer. Try again soon."),
    e.Overloaded: _row(503, 1016, "Too much is going on at this moment. Try again soon."),
    e.PathUnknown: _row(404, 1006, "Nothing is served at this path. Check its spelling."),
    e.NotServed: _row(
        404,
        1006,
        "Nightlatch does not serve this part of the On-Premises API. "
        "See the list of served paths in its reference.",
    ),
    e.MethodNotAllowed: _row(
        405,
        1025,
        lambda r: (
            "This path does not take this method. "
            + (f"It takes {', '.join(r.allowed)}." if r.allowed else "Use one that is documented.")
        ),
    ),
    e.BodyTooLarge: _row(413, 1025, "The body is too large. Send at most 16384 bytes."),
    e.RequestMalformed: _row(400, 1025, lambda r: f"The request cannot be read: {r.why}."),
}

BUG: Final = _row(
    500,
    1014,
    "Something went wrong here. Try again, and report it with the request id if it stays.",
)
"""For what should never happen."""

ELSEWHERE: Final[frozenset[type[Refusal]]] = frozenset(
    {
        e.AccessTokenExpired, e.AccessTokenMissing, e.AccessTokenRefused, e.AccessTokenUnknown,
        e.AppAlreadyOn, e.AppCodeRefused, e.AppUnknown, e.CallbackRefused, e.CertificateNotReady,
        e.ClientExists, e.CodeVerified, e.DeliveryUnknown, e.EdgeUnknown, e.FieldUnknown,
        e.FormForged, e.LastOwner, e.LinkExists, e.LinkRefused, e.MailEnded, e.MailUnknown,
        e.MemberExists, e.MemberUnknown, e.NameWait, e.NoNameAsked, e.NodeUnknown, e.NotSubscribed,
        e.NumberExists, e.NumberUnknown, e.PinChangedMeanwhile, e.PinUnchanged, e.PortfolioUnknown,
        e.ProofMissing, e.ProofRefused, e.RoleTooLow, e.ScopeMissing, e.SignInRefused,
        e.SignInWait, e.SignedOut, e.SystemUserUnknown, e.TokenUnfit, e.TooManyAccessTokens,
        e.TooManyApps, e.TooManyLinks, e.TooManyMembers, e.TooManySystemUsers, e.TwoStepIsOff,
        e.TwoStepIsOn, e.WabaUnknown, e.WebhookForged,
    }
)  # fmt: skip
"""Refusals that no call of this face can meet; the other faces word them."""


def row_of(refusal: Refusal) -> Row:
    """The refusal's own row, or BUG for one that this face cannot meet."""
    return ROWS.get(type(refusal), BUG)
