"""The whole table: every path of ``/v1`` we serve, and every documented one we do not."""

from typing import Final

from nightlatch.domain import clients, codes, errors, limits, two_step
from nightlatch.domain.errors import ParameterInvalid
from nightlatch.faces.metrics import Metrics
from nightlatch.faces.onprem import account, health, users
from nightlatch.faces.onprem import two_step as two_step_face
from nightlatch.faces.onprem.wire import Access, Field, Route, text

_PIN_SCHEMA: Final = {
    "type": "string",
    "pattern": f"^[0-9]{{{limits.PIN_DIGITS}}}$",
    "description": "The two-step verification PIN.",
}
_PASSWORD_SCHEMA: Final = {
    "type": "string",
    "minLength": limits.PASSWORD_LENGTH[0],
    "maxLength": limits.PASSWORD_LENGTH[1],
    "description": "At least one digit, one upper-case, one lower-case and one special character.",
}


def _read_shards(value: object) -> int:
    if type(value) is int and value in limits.SHARDS:
        return value
    raise ParameterInvalid("shards", f"one of {', '.join(map(str, limits.SHARDS))}")


def _read_new_password(value: object) -> str:
    return clients.read_password(value, "new_password")


_CC: Final = Field(
    "cc",
    text("cc", 8),
    {"type": "string", "minLength": 1, "maxLength": 8, "description": "Country calling code."},
)
_PHONE_NUMBER: Final = Field(
    "phone_number",
    text("phone_number", 40),
    {
        "type": "string",
        "minLength": 1,
        "maxLength": 40,
        "description": "National number, in any usual spelling.",
    },
)
_CERT: Final = Field(
    "cert",
    text("cert", limits.CERTIFICATE_LENGTH),
    {
        "type": "string",
        "minLength": 1,
        "maxLength": limits.CERTIFICATE_LENGTH,
        "description": "The number's verified-name certificate, base64.",
    },
)
_PIN: Final = Field("pin", two_step.read_pin, _PIN_SCHEMA)
_PIN_IF_ON: Final = Field(
    "pin", two_step.read_pin, _PIN_SCHEMA, required=False, empty_is_absent=True
)
_PASSWORD: Final = Field("password", clients.read_password, _PASSWORD_SCHEMA)

_PIN_REFUSALS: Final = (
    errors.PinNeeded,
    errors.GuessWait,
    errors.NumberLocked,
    errors.WrongPin,
    errors.CertificateRefused,
    errors.RegistrationOutdated,
    errors.Overloaded,
)


_CLOUD_REFUSALS: Final = (
    errors.OutcomeUnknown, errors.LedgerWait, errors.CloudUnreached, errors.CloudAccessLost,
    errors.CloudCallsSpent, errors.CloudLocked, errors.CloudIncomplete, errors.CloudRefused,
    errors.CodeNeeded, errors.NotOnCloud, errors.LinkedNumberUnknown, errors.LinkUnknown,
)  # fmt: skip
"""What calls may meet for a number that lives at the Cloud API."""
_CLOUD_REGISTERING: Final = (
    *_CLOUD_REFUSALS, errors.OnBusinessApp, errors.NameNotApproved, errors.HeldElsewhere,
    errors.PinNotInVault,
)  # fmt: skip


def served(metrics: Metrics) -> tuple[Route, ...]:
    """Everything below ``/v1`` that is served."""
    return (
        Route(
            "POST", "/users/login", users.log_in, Access.LOGIN,
            "Log in with Basic authentication; the first login must change the password",
            {200: "A bearer token, good for seven days"},
            fields=(
                Field(
                    "new_password", _read_new_password, _PASSWORD_SCHEMA,
                    required=False, empty_is_absent=True,
                ),
            ),
            refusals=(
                errors.LoginRefused, errors.LoginWait, errors.PasswordChangeRequired,
                errors.Overloaded,
            ),
        ),
        Route(
            "POST", "/users/logout", users.log_out, Access.TOKEN,
            "End the token this is called with", {200: "Ended"},
        ),
        Route(
            "POST", "/users", users.create, Access.ADMIN,
            "Create an ordinary user", {201: "Created"},
            fields=(
                Field(
                    "username", clients.read_username,
                    {
                        "type": "string",
                        "minLength": limits.USERNAME_LENGTH[0],
                        "maxLength": limits.USERNAME_LENGTH[1],
                    },
                ),
                _PASSWORD,
            ),
            refusals=(errors.UserExists, errors.TooManyUsers, errors.Overloaded),
        ),
        Route(
            "GET", "/users/{username}", users.read, Access.TOKEN,
            "Read a user: oneself, or anybody as admin", {200: "The user"},
            refusals=(errors.UserUnknown, errors.AdminOnly),
        ),
        Route(
            "PUT", "/users/{username}", users.set_password, Access.TOKEN,
            "Set a password: one's own, or anybody's as admin; ends the user's other tokens",
            {200: "Set"},
            fields=(_PASSWORD,),
            refusals=(errors.UserUnknown, errors.AdminOnly, errors.Overloaded),
        ),
        Route(
            "DELETE", "/users/{username}", users.delete, Access.ADMIN,
            "Delete an ordinary user and end its tokens", {200: "Deleted"},
            refusals=(errors.UserUnknown, errors.AdminStays),
        ),
        Route(
            "POST", "/account", account.request_code, Access.ADMIN,
            "Ask for a registration code; needs the PIN while two-step verification is on",
            {201: "This client holds the number already", 202: "A code was sent"},
            fields=(
                _CC,
                _PHONE_NUMBER,
                Field(
                    "method", codes.read_method,
                    {"type": "string", "enum": [method.value for method in codes.Method]},
                ),
                _CERT,
                _PIN_IF_ON,
            ),
            refusals=(
                *_PIN_REFUSALS, errors.RegistrationWait, errors.CodesSpent,
                *_CLOUD_REGISTERING, errors.NameNeeded, errors.LinkedNumberHeld,
            ),
        ),
        Route(
            "POST", "/account/verify", account.verify, Access.ADMIN,
            "Enter the registration code; the number is registered with this client",
            {201: "Registered"},
            fields=(
                Field(
                    "code", codes.read_code,
                    {"type": "string", "pattern": "^[0-9]{3}-?[0-9]{3}$"},
                ),
            ),
            refusals=(
                errors.NoCodePending, errors.WrongCode, errors.CodeWait,
                errors.RegistrationOutdated, errors.WrongPin, errors.GuessWait,
                errors.RegistrationWait, errors.CodesSpent, *_CLOUD_REGISTERING,
            ),
        ),
        Route(
            "GET", "/account/shards", account.read_shards, Access.ADMIN,
            "Read the shard count", {200: "The shard count"},
        ),
        Route(
            "POST", "/account/shards", account.set_shards, Access.ADMIN,
            "Set the shard count; needs the PIN while two-step verification is on",
            {201: "Set"},
            fields=(
                _CC,
                _PHONE_NUMBER,
                Field(
                    "shards", _read_shards, {"type": "integer", "enum": list(limits.SHARDS)}
                ),
                Field(
                    "cert", _CERT.read, _CERT.schema, required=False, empty_is_absent=True
                ),
                _PIN_IF_ON,
            ),
            refusals=(*_PIN_REFUSALS, errors.NoNumberHeld),
        ),
        Route(
            "POST", "/settings/account/two-step", two_step_face.turn_on, Access.ADMIN,
            "Turn two-step verification on, or set another PIN", {200: "On"},
            fields=(_PIN,),
            refusals=(
                errors.NoNumberHeld, errors.Overloaded, errors.WrongPin, errors.GuessWait,
                errors.RegistrationWait, errors.CodesSpent, *_CLOUD_REFUSALS,
            ),
        ),
        Route(
            "DELETE", "/settings/account/two-step", two_step_face.turn_off, Access.ADMIN,
            "Turn two-step verification off", {200: "Off"},
            refusals=(
                errors.NoNumberHeld, errors.TurnOffElsewhere, errors.WrongPin, errors.GuessWait,
                errors.RegistrationWait, errors.CodesSpent, *_CLOUD_REFUSALS,
            ),
        ),
        Route(
            "GET", "/health", health.health, Access.MONITOR,
            "Whether the client holds its number", {200: "The gateway status"},
            refusals=(errors.ClientUnknown,),
        ),
        Route(
            "GET", "/metrics", health.metrics_of(metrics), Access.MONITOR,
            "Counters of this server, as JSON or for Prometheus", {200: "The metrics"},
            query=("format",),
            refusals=(errors.ClientUnknown,),
        ),
    )  # fmt: skip


NOT_SERVED: Final[dict[str, tuple[str, ...]]] = {
    "/settings/application": ("GET", "PATCH", "DELETE"),
    "/settings/application/media/providers": ("GET", "POST"),
    "/settings/application/media/providers/{name}": ("DELETE",),
    "/settings/backup": ("POST",),
    "/settings/restore": ("POST",),
    "/settings/business/profile": ("GET", "POST"),
    "/settings/business/compliance_info": ("GET", "POST"),
    "/settings/business/whatsapp_business_encryption": ("GET", "POST"),
    "/settings/profile/about": ("GET", "PATCH"),
    "/settings/profile/photo": ("GET", "POST", "DELETE"),
    "/contacts": ("POST",),
    "/contacts/{wa_id}/identity": ("GET", "PUT"),
    "/messages": ("POST",),
    "/messages/{id}": ("PUT",),
    "/media": ("POST",),
    "/media/{id}": ("GET", "DELETE"),
    "/stickerpacks": ("GET", "POST"),
    "/stickerpacks/{pack}": ("GET", "PATCH", "DELETE"),
    "/stickerpacks/{pack}/stickers": ("GET", "POST"),
    "/stickerpacks/{pack}/stickers/{index}": ("GET", "PATCH", "DELETE"),
    "/stats/app": ("GET",),
    "/stats/app/internal": ("GET",),
    "/stats/db": ("GET",),
    "/stats/db/internal": ("GET",),
    "/support": ("GET",),
    "/certificates/external": ("POST",),
    "/certificates/external/ca": ("GET",),
    "/certificates/webhooks/ca": ("GET", "POST", "DELETE"),
    "/services/message/gc": ("PUT",),
    "/groups": ("GET", "POST"),
    "/groups/{id}": ("GET", "PUT"),
    "/groups/{id}/icon": ("GET", "POST", "DELETE"),
    "/groups/{id}/invite": ("GET", "DELETE"),
    "/groups/{id}/leave": ("POST",),
    "/groups/{id}/participants": ("DELETE",),
    "/groups/{id}/admins": ("PATCH", "DELETE"),
}
"""Documented by Meta, answered with NotServed: nothing there touches registration or the PIN."""

EVERY_ROUTE: Final[tuple[type[errors.Refusal], ...]] = (
    errors.RequestMalformed,
    errors.BodyTooLarge,
    errors.Unavailable,
    errors.Overloaded,
    errors.MethodNotAllowed,
)
