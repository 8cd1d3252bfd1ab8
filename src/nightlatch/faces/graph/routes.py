"""Every call of the Graph face, in one column.

``{id}`` on the wire is an object of the row's kind; ``edge`` follows it. All of
it stands below ``/graph/v{N}.0``, or below ``/graph`` for the newest version.
"""

from collections.abc import Mapping
from typing import Any, Final

from nightlatch.domain import errors, limits
from nightlatch.domain.access import Scope
from nightlatch.domain.profiles import VERTICALS
from nightlatch.faces.graph import accounts, apps, numbers, profiles, tokens
from nightlatch.faces.graph import errors as own
from nightlatch.faces.graph.fields import read_fields
from nightlatch.faces.graph.versions import REGIONS
from nightlatch.faces.graph.wire import (
    Access,
    Kind,
    Param,
    Route,
    flag,
    one_of,
    text,
    whole,
)

_TEXT: Final[Mapping[str, Any]] = {"type": "string"}
_DIGITS: Final = {"type": "string", "pattern": "^[0-9]{6}$"}
_DONE: Final = {
    "type": "object",
    "required": ["success"],
    "properties": {"success": {"const": True}},
}
_CREATED: Final = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "string", "pattern": "^[0-9]+$"}},
}
_NODE: Final = {"$ref": "#/components/schemas/Node"}
_LIST: Final = {"$ref": "#/components/schemas/List"}

_FIELDS: Final = Param("fields", read_fields, _TEXT, required=False)
_PRODUCT: Final = Param(
    "messaging_product",
    one_of("messaging_product", ("whatsapp",)),
    {"type": "string", "enum": ["whatsapp"]},
)
_PIN: Final = Param("pin", numbers.read_pin, _DIGITS)


def _optional(name: str, read: Any, schema: Mapping[str, Any] = _TEXT) -> Param:
    return Param(name, read, schema, required=False)


def _read(kind: Kind, scope: Scope | None, summary: str) -> Route:
    return Route(
        "GET", kind, "", numbers.read, scope, summary, _NODE, (_FIELDS,), (errors.FieldUnknown,)
    )


_MANAGEMENT: Final = Scope.MANAGEMENT
_PIN_REFUSALS: Final = (
    errors.RegistrationWait, errors.CodeNeeded, errors.GuessWait, own.TooManyGuesses,
    errors.WrongPin, errors.NumberLocked, errors.RegistrationOutdated,
)  # fmt: skip
_CALLBACK_REFUSALS: Final = (errors.CallbackRefused,)

ROUTES: Final[tuple[Route, ...]] = (
    # Numbers
    _read(Kind.NUMBER, _MANAGEMENT, "Read a number"),
    Route(
        "POST", Kind.NUMBER, "", numbers.change, _MANAGEMENT,
        "Set or replace the PIN, or ask for another display name", _DONE,
        (
            _optional("pin", numbers.read_pin_or_empty, _DIGITS),
            _optional("new_display_name", numbers.read_display_name("new_display_name")),
        ),
        (errors.NotOnCloud, errors.NameWait, errors.ParameterUnexpected),
    ),
    Route(
        "POST", Kind.NUMBER, "register", numbers.register, _MANAGEMENT,
        "Register a verified number; needs its PIN, or sets one", _DONE,
        (
            _PRODUCT,
            _PIN,
            _optional(
                "data_localization_region",
                text("data_localization_region", 2),
                {"type": "string", "enum": list(REGIONS)},
            ),
        ),
        _PIN_REFUSALS,
    ),
    Route(
        "POST", Kind.NUMBER, "deregister", numbers.deregister, _MANAGEMENT,
        "Let go of a number; its PIN stays", _DONE,
        refusals=(errors.NotOnCloud, own.DeregisteredBefore, errors.RegistrationWait),
    ),
    Route(
        "POST", Kind.NUMBER, "request_code", numbers.request_code, _MANAGEMENT,
        "Have a registration code sent", _DONE,
        (
            Param(
                "code_method", numbers.read_code_method,
                {"type": "string", "enum": list(numbers.METHODS)},
            ),
            Param(
                "language", numbers.read_language,
                {"type": "string", "pattern": "^[a-z]{2,3}(_[A-Za-z]{2,4})?$"},
            ),
        ),
        (errors.CodeVerified, errors.CodesSpent),
    ),
    Route(
        "POST", Kind.NUMBER, "verify_code", numbers.verify_code, _MANAGEMENT,
        "Enter the registration code", _DONE,
        (
            Param(
                "code", numbers.read_verification,
                {"type": "string", "pattern": "^[0-9]{3}-?[0-9]{3}$"},
            ),
        ),
        (errors.NoCodePending, errors.WrongCode, errors.CodeWait),
    ),
    Route(
        "GET", Kind.NUMBER, "whatsapp_business_profile", profiles.read, _MANAGEMENT,
        "Read a business profile", _LIST, (_FIELDS,), (errors.FieldUnknown,),
    ),
    Route(
        "POST", Kind.NUMBER, "whatsapp_business_profile", profiles.change, _MANAGEMENT,
        "Change a business profile", _DONE,
        (
            _PRODUCT,
            *(
                _optional(name, profiles.read_text(name), {"type": "string", "maxLength": longest})
                for name, longest in limits.PROFILE_LENGTHS.items()
                if name != "website"
            ),
            _optional(
                "websites", profiles.read_websites,
                {
                    "type": "array",
                    "maxItems": limits.PROFILE_WEBSITES,
                    "items": {"type": "string", "pattern": "^https?://"},
                },
            ),
            _optional(
                "vertical", profiles.read_text("vertical"),
                {"type": "string", "enum": list(VERTICALS)},
            ),
            _optional("profile_picture_handle", profiles.read_picture),
        ),
    ),
    # WhatsApp accounts
    _read(Kind.WABA, _MANAGEMENT, "Read a WhatsApp account"),
    Route(
        "GET", Kind.WABA, "phone_numbers", accounts.numbers, _MANAGEMENT,
        "List the account's numbers, the last registered first", _LIST,
        (
            _FIELDS,
            _optional("sort", accounts.read_sort, {"type": "string", "enum": list(accounts.SORTS)}),
            _optional("filtering", accounts.read_filtering),
            _optional("limit", whole("limit", 1), {"type": "integer", "minimum": 1}),
            _optional("after", text("after", 64)),
            _optional("before", text("before", 64)),
        ),
        (errors.FieldUnknown,),
    ),
    Route(
        "POST", Kind.WABA, "phone_numbers", accounts.add_number, _MANAGEMENT,
        "Add a number to the account", _CREATED,
        (
            Param(
                "cc", accounts.read_digits("cc"), {"type": "string", "pattern": "^[1-9][0-9]{0,2}$"}
            ),
            Param("phone_number", accounts.read_digits("phone_number"), _TEXT),
            Param("verified_name", numbers.read_display_name("verified_name"), _TEXT),
            _optional(
                "migrate_phone_number", flag("migrate_phone_number"), {"type": "boolean"}
            ),
        ),
        (errors.NumberExists, own.NumberHere, own.NotMigrated),
    ),
    Route(
        "GET", Kind.WABA, "subscribed_apps", accounts.subscribed_apps, _MANAGEMENT,
        "List the apps that hear about the account", _LIST,
    ),
    Route(
        "POST", Kind.WABA, "subscribed_apps", accounts.subscribe, _MANAGEMENT,
        "Let the token's app hear about the account", _DONE,
        (
            _optional(
                "override_callback_uri", text("override_callback_uri", limits.CALLBACK_LENGTH)
            ),
            _optional("verify_token", text("verify_token", limits.CALLBACK_LENGTH)),
        ),
        (own.OverrideUnsubscribed, *_CALLBACK_REFUSALS),
    ),
    Route(
        "DELETE", Kind.WABA, "subscribed_apps", accounts.unsubscribe, _MANAGEMENT,
        "Let the token's app hear no more about the account", _DONE,
        refusals=(errors.NotSubscribed,),
    ),
    # Portfolios and apps
    _read(Kind.PORTFOLIO, Scope.BUSINESS, "Read a portfolio"),
    _read(Kind.APP, None, "Read the token's app"),
    Route(
        "GET", Kind.APP, "subscriptions", apps.subscriptions, None,
        "Read where the app's webhooks go", _LIST, access=Access.APP,
    ),
    Route(
        "POST", Kind.APP, "subscriptions", apps.subscribe, None,
        "Send the app's webhooks somewhere, once that answered a challenge", _DONE,
        (
            Param(
                "object",
                one_of("object", ("whatsapp_business_account",)),
                {"type": "string", "enum": ["whatsapp_business_account"]},
            ),
            Param("callback_url", text("callback_url", limits.CALLBACK_LENGTH), _TEXT),
            Param("verify_token", text("verify_token", limits.CALLBACK_LENGTH), _TEXT),
            _optional("fields", apps.read_fields),
        ),
        _CALLBACK_REFUSALS,
        access=Access.APP,
    ),
    Route(
        "DELETE", Kind.APP, "subscriptions", apps.unsubscribe, None,
        "Send the app's webhooks nowhere", _DONE,
        (
            _optional(
                "object",
                one_of("object", ("whatsapp_business_account",)),
                {"type": "string", "enum": ["whatsapp_business_account"]},
            ),
            _optional("fields", text("fields", limits.CALLBACK_LENGTH)),
        ),
        (errors.ParameterUnexpected,),
        access=Access.APP,
    ),
    # Tokens
    Route(
        "GET", Kind.ROOT, "me", tokens.me, None, "Read whose token it is", _NODE, (_FIELDS,),
        (errors.FieldUnknown, own.UserTokenNeeded),
    ),
    Route(
        "GET", Kind.ROOT, "debug_token", tokens.debug, None,
        "Look at a token of the same app",
        {
            "type": "object",
            "required": ["data"],
            "properties": {
                "data": {
                    "type": "object",
                    "required": ["is_valid", "scopes"],
                    "properties": {
                        "is_valid": {"type": "boolean"},
                        "scopes": {"type": "array", "items": {"type": "string"}},
                    },
                }
            },
        },
        (Param("input_token", text("input_token", 512), _TEXT),),
    ),
    *(
        Route(
            method, Kind.ROOT, "oauth/access_token", tokens.of_app, None,
            "Get the app's own token",
            {
                "type": "object",
                "required": ["access_token", "token_type"],
                "properties": {"access_token": _TEXT, "token_type": _TEXT},
            },
            (
                Param("client_id", text("client_id", 64), _TEXT),
                Param("client_secret", text("client_secret", 256), _TEXT),
                Param(
                    "grant_type",
                    one_of("grant_type", ("client_credentials",)),
                    {"type": "string", "enum": ["client_credentials"]},
                ),
            ),
            (own.SecretRefused,),
            access=Access.NOBODY,
        )
        for method in ("GET", "POST")
    ),
)  # fmt: skip

EVERY_ROUTE: Final[tuple[type[errors.Refusal], ...]] = (
    errors.RequestMalformed,
    errors.BodyTooLarge,
    errors.ParameterMissing,
    errors.ParameterInvalid,
    errors.EdgeUnknown,
    errors.MethodNotAllowed,
    errors.Unavailable,
    errors.Overloaded,
)
WITH_TOKEN: Final[tuple[type[errors.Refusal], ...]] = (
    errors.AccessTokenMissing,
    errors.AccessTokenRefused,
    errors.AccessTokenExpired,
    errors.ProofMissing,
    errors.ProofRefused,
)
