"""Refusal -> code, subcode, words and HTTP status: one row per refusal, in two profiles.

``docs`` is what Meta's pages and field reports show, where practically every
refusal is HTTP 400; ``openapi`` is what the examples of Meta's OpenAPI document
show. Where both are silent the choice is ours, see ``docs/decisions/``. Feeds
the answers, the OpenAPI document and the tests.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from nightlatch.domain import errors as e
from nightlatch.domain.errors import Refusal
from nightlatch.domain.limits import BODY_BYTES
from nightlatch.faces.faults import FaultKind
from nightlatch.faces.graph.versions import NEWEST, Version

_OAUTH: Final = "OAuthException"
_METHOD: Final = "GraphMethodException"
_DOCS: Final = "https://developers.facebook.com/docs/graph-api"
_LONGEST_ECHO: Final = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """What an error may repeat of the request."""

    method: str = "get"
    id: str = ""
    edge: str = ""
    version: Version = NEWEST


Words = Callable[[Any, Asked], str]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """How a refusal reads on this wire."""

    status: int
    code: int
    message: Words
    type: str = _OAUTH
    subcode: int | None = None
    details: Words | None = None
    bare_details: bool = False
    """``error_data`` is the details themselves, as in older versions."""
    user: tuple[str, str] | None = None
    """Title and sentence for people."""
    transient: bool | None = None


# Refusals that only this wire tells apart


class TooManyGuesses(e.GuessWait):
    """The day's guesses are spent; a GuessWait otherwise is one that came too fast."""


class DeregisteredBefore(e.NotOnCloud):
    """Deregistering what is not registered, as older versions word it."""


class NumberHere(e.NumberExists):
    """The number is in this very account already."""


class NotMigrated(e.ParameterUnexpected):
    """Numbers do not move here from another provider."""

    def __init__(self) -> None:
        super().__init__("migrate_phone_number", "a number of this registry never moves")


class OverrideUnsubscribed(e.NotSubscribed):
    """Another address for an account that the app hears nothing about."""


class AppTokenNeeded(Refusal):
    """The call is for the app itself, not for one of its system users."""


class UserTokenNeeded(Refusal):
    """The call asks about the system user, and an app has none."""


class SecretRefused(Refusal):
    """``oauth/access_token`` with an unknown app or another secret."""


class Injected(Refusal):
    """The sandbox was told to make this go wrong."""

    def __init__(self, fault: FaultKind) -> None:
        super().__init__(fault)
        self.fault = fault


class IncompleteDeregistration(Injected):
    """Injected 133000."""


class ServerUnavailable(Injected):
    """Injected 133004."""


class AccountLocked(Injected):
    """Injected 131031."""


INJECTED: Final[dict[FaultKind, type[Injected]]] = {
    FaultKind.INCOMPLETE_DEREGISTRATION: IncompleteDeregistration,
    FaultKind.UNAVAILABLE: ServerUnavailable,
    FaultKind.LOCKED: AccountLocked,
}


def kind_of(refusal: Refusal, asked: Asked) -> type[Refusal]:
    """The row's key: mostly the refusal's own class."""
    kind = type(refusal)
    if isinstance(refusal, e.GuessWait) and refusal.spent:
        return TooManyGuesses
    if (
        kind is e.NotOnCloud
        and asked.edge == "deregister"
        and asked.version.words_deregister_as_parameter
    ):
        return DeregisteredBefore
    return kind


def wait_in_words(seconds: int) -> str:
    """``60 seconds``, ``5 minutes``, ``23 hours 59 minutes``: never shorter than the wait is."""
    if seconds <= 120:
        return _counted(seconds, "second")
    minutes = -(-seconds // 60)
    if minutes < 60:
        return _counted(minutes, "minute")
    hours, minutes = divmod(minutes, 60)
    rest = f" {_counted(minutes, 'minute')}" if minutes else ""
    return _counted(hours, "hour") + rest


def _counted(amount: int, unit: str) -> str:
    return f"{amount} {unit}" if amount == 1 else f"{amount} {unit}s"


# How rows are written


def _say(text: str) -> Words:
    return lambda *_: text


def _wait(text: str) -> Words:
    return lambda refusal, _: f"{text} Try again after {wait_in_words(refusal.retry_after)}."


def _row(status: int, code: int, message: str | Words, **more: Any) -> Row:
    """*details* may be a plain text as well."""
    if isinstance(more.get("details"), str):
        more["details"] = _say(more["details"])
    return Row(status, code, _say(message) if isinstance(message, str) else message, **more)


def _unsupported(_: Refusal, asked: Asked) -> str:
    return (
        f"Unsupported {asked.method} request. Object with ID '{asked.id[:_LONGEST_ECHO]}' does not"
        " exist, cannot be loaded due to missing permissions, or does not support this operation."
        f" Please read the Graph API documentation at {_DOCS}"
    )


def _expired(refusal: e.AccessTokenExpired, _: Asked) -> str:
    return f"Error validating access token: {expiry_in_words(refusal)}"


def expiry_in_words(refusal: e.AccessTokenExpired) -> str:
    return f"Session has expired on {refusal.at:%A, %d-%b-%y %H:%M:%S} UTC."


_CODE_SPENT: Final = _wait("Too many codes were asked for.")
_ATTEMPTS: Final = (
    "Registration or Deregistration failed because there were too many attempts for this phone"
    " number in a short period of time."
)
_ANOTHERS: Final = (
    "This number is registered to an existing WhatsApp account. To use this number, disconnect it"
    " from the existing account."
)
_UNSUPPORTED: Final = _row(400, 100, _unsupported, type=_METHOD, subcode=33)
_VERIFY: Final = "Verify code error"
_REQUEST: Final = "Request code error"

DOCS: Final[Mapping[type[Refusal], Row]] = {
    # Who asks
    e.AccessTokenMissing: _row(
        401, 104, "An access token is required to request this resource."
    ),
    e.AccessTokenRefused: _row(
        401, 190, "Invalid OAuth access token - Cannot parse access token"
    ),
    e.AccessTokenExpired: _row(401, 190, _expired, subcode=463),
    e.ProofMissing: _row(
        400, 100, "API calls from the server require an appsecret_proof argument", type=_METHOD
    ),
    e.ProofRefused: _row(
        400, 100, "Invalid appsecret_proof provided in the API argument", type=_METHOD
    ),
    e.ScopeMissing: _row(
        403, 200, lambda r, _: f"(#200) Requires {r.scope} permission to manage the object"
    ),
    AppTokenNeeded: _row(
        400, 15, "(#15) This method must be called with an app access_token."
    ),
    UserTokenNeeded: _row(
        400,
        2500,
        "An active access token must be used to query information about the current user.",
    ),
    SecretRefused: _row(400, 1, "Error validating client secret."),
    # What is asked
    e.NodeUnknown: _UNSUPPORTED,
    e.NumberUnknown: _UNSUPPORTED,
    e.WabaUnknown: _UNSUPPORTED,
    e.AppUnknown: _UNSUPPORTED,
    e.MethodNotAllowed: _UNSUPPORTED,
    e.EdgeUnknown: _row(
        400, 2500, lambda r, _: f"(#2500) Unknown path components: {r.path[:_LONGEST_ECHO]}"
    ),
    e.PathUnknown: _row(400, 2500, "(#2500) Unknown path components"),
    e.FieldUnknown: _row(
        400,
        100,
        lambda r, _: (
            f"(#100) Tried accessing nonexisting field ({r.field[:_LONGEST_ECHO]}) on node type"
            f" ({r.kind})"
        ),
    ),
    e.ParameterMissing: _row(400, 100, lambda r, _: f"(#100) The parameter {r.name} is required"),
    e.ParameterInvalid: _row(400, 100, lambda r, _: f"(#100) Param {r.name} must be {r.why}."),
    e.ParameterUnexpected: _row(
        400, 100, lambda r, _: f"(#100) Param {r.name} cannot be used here: {r.why}."
    ),
    NotMigrated: _row(
        400, 100, "(#100) Invalid parameter", subcode=2388103,
        user=(
            "Cannot Migrate Phone Number",
            "A number of this registry never moves. Leave migrate_phone_number out.",
        ),
    ),
    e.NumberExists: _row(
        400, 100, "(#100) Invalid parameter", subcode=2388001,
        user=(
            "Cannot Create Certificate",
            _ANOTHERS,
        ),
    ),
    NumberHere: _row(
        400, 100, "(#100) Invalid parameter", subcode=2388012,
        user=(
            "Phone Number Already Added",
            "This number is in this WhatsApp Business Account already.",
        ),
    ),
    # Registering a number
    e.RegistrationWait: _row(
        400, 133016, "(#133016) Account register deregister rate limit exceeded",
        details=_wait(_ATTEMPTS),
    ),
    e.CodeNeeded: _row(
        400, 133006, "(#133006) Phone number re-verification needed",
        details="Verify the number with request_code and verify_code before registering it.",
    ),
    e.GuessWait: _row(
        400, 133009, "(#133009) Two step verification PIN Guessed Too Fast",
        details=_wait("The PIN was not looked at."),
    ),
    TooManyGuesses: _row(
        400, 133008, "(#133008) Too Many two step verification PIN Guesses",
        details=_wait("Too many attempts."),
    ),
    e.WrongPin: _row(400, 133005, "(#133005) Two step verification PIN Mismatch"),
    e.NumberLocked: _row(
        403, 131031, "(#131031) Account has been locked",
        details="Too many wrong PINs were entered for this number. A person must unlock it in the"
        " Manager.",
    ),
    e.RegistrationOutdated: _row(
        503, 133004, "(#133004) Server Temporarily Unavailable",
        details="Two-step verification was changed while this number was being registered. Try"
        " again.",
    ),
    e.NotOnCloud: _row(
        400, 133010, "(#133010) Phone number Not Registered",
        details="Register the number first.",
    ),
    DeregisteredBefore: _row(
        400, 100, "(#100) Invalid parameter", subcode=133010,
        details="Phone number not registered on the Whatsapp Business Platform.",
        bare_details=True,
    ),
    e.CodeVerified: _row(
        400, 136024, _REQUEST, transient=False,
        user=(
            "Code Could Not Be Sent",
            "This number is verified already. Register it, no code is needed.",
        ),
    ),
    e.CodesSpent: _row(
        400, 136024, _REQUEST, subcode=2388367, transient=False, details=_CODE_SPENT,
        user=(
            "Code Request Rate Limit",
            "You asked for a verification code too many times. Try again later.",
        ),
    ),
    e.WrongCode: _row(
        400, 136025, _VERIFY, transient=False, details="The code is wrong; the try was counted.",
        user=("Code Could Not Be Verified", "The code you entered is incorrect."),
    ),
    e.NoCodePending: _row(
        400, 136025, _VERIFY, transient=False,
        details="No code is waiting: it expired, was used or replaced, or none was asked for.",
        user=("Code Could Not Be Verified", "The code has expired. Ask for another one."),
    ),
    e.CodeWait: _row(
        400, 136025, _VERIFY, transient=False,
        details=_wait("The code was entered too soon after the last try."),
        user=("Code Could Not Be Verified", "You tried too often. Try again later."),
    ),
    e.NameWait: _row(
        400, 100, "(#100) Invalid parameter",
        details=_wait("The display name was changed not long ago."),
        user=("Display Name Cannot Be Changed", "The display name was changed not long ago."),
    ),
    # Webhooks
    e.NotSubscribed: _row(
        400, 100, "(#100) The app is not subscribed to this WhatsApp Business Account"
    ),
    OverrideUnsubscribed: _row(
        400,
        100,
        "(#100) Before override the current callback uri, your app must be subscribed to receive"
        " messages for WhatsApp Business Account",
    ),
    e.CallbackRefused: _row(
        400,
        2200,
        lambda r, _: (
            f"(#2200) Callback verification failed with the following errors: {r.why}"
        ),
    ),
    # What cannot be done just now
    e.Unavailable: _row(503, 2, "(#2) Service temporarily unavailable", transient=True),
    e.Overloaded: _row(
        503,
        2,
        "(#2) An unexpected error has occurred. Please retry your request later.",
        transient=True,
    ),
    # The request itself
    e.BodyTooLarge: _row(
        413, 100, f"(#100) The request body is too large. Send at most {BODY_BYTES} bytes."
    ),
    e.RequestMalformed: _row(
        400, 100, lambda r, _: f"(#100) The request cannot be read: {r.why}."
    ),
    # The sandbox
    IncompleteDeregistration: _row(
        500, 133000, "(#133000) Incomplete Deregistration",
        details="An earlier deregistration failed half-way. Deregister the number again, then"
        " register it.",
    ),
    ServerUnavailable: _row(
        503, 133004, "(#133004) Server Temporarily Unavailable", details="Try again later."
    ),
    AccountLocked: _row(
        403, 131031, "(#131031) Account has been locked",
        details="The account was locked, or data in the request could not be verified.",
    ),
}  # fmt: skip

_NOT_FOUND: Final = _row(404, 803, "Object not found", type=_METHOD)
_DENIED: Final = ("Permission Denied", "Your app doesn't have permission to access this resource")


def _limited(message: str) -> Row:
    return _row(
        429, 4, message, subcode=2446079, transient=True, details=_wait("Too many attempts.")
    )


def _unprocessable(message: str, **more: Any) -> Row:
    return _row(422, 100, message, type=_METHOD, **more)


def _invalid(refusal: e.ParameterInvalid, _: Asked) -> str:
    if refusal.name == "pin":
        return "Invalid PIN format. PIN must be exactly 6 digits"
    return f"Invalid parameter: {refusal.name} must be {refusal.why}"


_CODE_REFUSED: Final = _unprocessable(
    "The verification code is invalid or has expired",
    user=("Verification Failed", "The verification code you entered is invalid or has expired"),
)
_TRY_AGAIN: Final = _row(
    500, 2, "An unexpected error occurred. Please retry your request", type=_METHOD, transient=True
)

OPENAPI: Final[Mapping[type[Refusal], Row]] = {
    **DOCS,
    e.AccessTokenMissing: _row(401, 104, "An access token is required to request this resource"),
    e.AccessTokenRefused: _row(401, 190, "Invalid OAuth access token", subcode=463),
    e.AccessTokenExpired: _row(
        401, 190, "Error validating access token: Session has expired", subcode=463
    ),
    e.ScopeMissing: _row(
        403, 200, lambda r, _: f"Requires {r.scope} permission", subcode=1349176, user=_DENIED
    ),
    e.NodeUnknown: _NOT_FOUND,
    e.NumberUnknown: _NOT_FOUND,
    e.WabaUnknown: _NOT_FOUND,
    e.AppUnknown: _NOT_FOUND,
    e.FieldUnknown: _row(400, 100, "Invalid field requested"),
    e.ParameterMissing: _row(
        400, 100, lambda r, _: f"Invalid parameter: {r.name} is required"
    ),
    e.ParameterInvalid: _row(400, 100, _invalid),
    NotMigrated: _unprocessable("Phone number cannot be migrated"),
    e.NumberExists: _row(
        409, 100, "Phone number is already registered with WhatsApp Business", type=_METHOD
    ),
    NumberHere: _row(
        409, 100, "Phone number is already registered with WhatsApp Business", type=_METHOD
    ),
    e.RegistrationWait: _limited("Registration rate limit exceeded"),
    e.CodeNeeded: _unprocessable(
        "Phone number is already registered or in invalid state for registration"
    ),
    e.GuessWait: _limited("Registration rate limit exceeded"),
    TooManyGuesses: _limited("Registration rate limit exceeded"),
    e.NotOnCloud: _unprocessable("The phone number is not registered"),
    DeregisteredBefore: _row(
        400, 100, "Phone number not registered on the WhatsApp Business Platform.",
        subcode=2207051,
    ),
    e.CodeVerified: _unprocessable("Phone number is not eligible for verification at this time"),
    e.CodesSpent: _limited("Application request limit reached"),
    e.WrongCode: _CODE_REFUSED,
    e.NoCodePending: _CODE_REFUSED,
    e.CodeWait: _limited("Too many verification attempts. Please try again later"),
    e.NameWait: _limited("Application request limit reached"),
    e.NotSubscribed: _row(
        404, 803, "WhatsApp Business Account not found or not subscribed", type=_METHOD
    ),
    e.CallbackRefused: _unprocessable(
        "Webhook callback URL is not reachable or invalid", details=lambda r, _: f"{r.why}."
    ),
    e.RegistrationOutdated: _TRY_AGAIN,
    e.Unavailable: _TRY_AGAIN,
    e.Overloaded: _TRY_AGAIN,
}  # fmt: skip

PROFILES: Final = {"docs": DOCS, "openapi": OPENAPI}

BUG: Final = _row(500, 1, "An unknown error occurred", transient=False)
"""For what should never happen."""

ELSEWHERE: Final[frozenset[type[Refusal]]] = frozenset(
    {
        e.AccessTokenUnknown, e.AdminOnly, e.AdminStays, e.AppAlreadyOn, e.AppCodeRefused,
        e.CertificateNotReady, e.CertificateRefused, e.ClientExists, e.ClientUnknown,
        e.DeliveryUnknown, e.FormForged, e.LastOwner, e.LinkRefused, e.LoginRefused, e.LoginWait,
        e.MailEnded, e.MailUnknown, e.MemberExists, e.MemberUnknown, e.NoNameAsked,
        e.NoNumberHeld, e.NotServed, e.PasswordChangeRequired, e.PinChangedMeanwhile, e.PinNeeded,
        e.PinUnchanged, e.PortfolioUnknown, e.RoleTooLow, e.SignInRefused, e.SignInWait,
        e.SignedOut, e.SystemUserUnknown, e.TokenRefused, e.TooManyAccessTokens, e.TooManyApps,
        e.TooManyMembers, e.TooManySystemUsers, e.TooManyUsers, e.TwoStepIsOff, e.TwoStepIsOn,
        e.UserExists, e.UserUnknown,
        # what the Cloud API behind us refuses: this face is that API
        e.CloudAccessLost, e.CloudCallsSpent, e.CloudIncomplete, e.CloudLocked, e.CloudRefused,
        e.CloudUnreached, e.HeldElsewhere, e.LedgerWait, e.LinkExists, e.LinkUnknown,
        e.LinkedNumberHeld, e.LinkedNumberUnknown, e.NameNeeded, e.NameNotApproved,
        e.OnBusinessApp, e.OutcomeUnknown, e.PinNotInVault, e.TokenUnfit, e.TooManyLinks,
        e.TurnOffElsewhere, e.WebhookForged,
    }
)  # fmt: skip
"""Refusals that no call of this face can meet."""


def row_of(rows: Mapping[type[Refusal], Row], refusal: Refusal | None, asked: Asked) -> Row:
    """The refusal's own row, or BUG for none and for one that this face cannot meet."""
    return BUG if refusal is None else rows.get(kind_of(refusal, asked), BUG)


def trace_of(request_id: str) -> str:
    """``fbtrace_id`` of a request: it begins with an A, as Meta's do, and then is the id that
    stands in the log."""
    return "A" + request_id


def body_of(row: Row, refusal: Refusal | None, asked: Asked, trace: str) -> bytes:
    """The error as it is sent."""
    details = None if row.details is None else row.details(refusal, asked)
    front = _front(row, row.message(refusal, asked), details)
    return front + trace.encode() + b'"}}'


@lru_cache(maxsize=1_024)
def _front(row: Row, message: str, details: str | None) -> bytes:
    """Everything up to the one part that differs from request to request."""
    error: dict[str, Any] = {"message": message, "type": row.type, "code": row.code}
    if details is not None:
        error["error_data"] = (
            details if row.bare_details else {"messaging_product": "whatsapp", "details": details}
        )
    if row.subcode is not None:
        error["error_subcode"] = row.subcode
    if row.transient is not None:
        error["is_transient"] = row.transient
    if row.user is not None:
        error["error_user_title"], error["error_user_msg"] = row.user
    whole = json.dumps({"error": {**error, "fbtrace_id": ""}}, separators=(",", ":"))
    return whole[: -len('"}}')].encode()
