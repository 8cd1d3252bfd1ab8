"""The page of the Cloud API's endpoints, as ``docs/reference/cloud-api.md`` has it.

``tests/docs/reference.py`` writes it with the others.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from nightlatch.domain import errors
from nightlatch.domain.access import Scope
from nightlatch.domain.errors import Refusal
from nightlatch.domain.webhooks import Field
from nightlatch.faces.graph import errors as own
from nightlatch.faces.graph.errors import BUG, DOCS, INJECTED, OPENAPI, Asked, Row
from nightlatch.faces.graph.fields import names_of
from nightlatch.faces.graph.routes import EVERY_ROUTE, ROUTES, WITH_TOKEN
from nightlatch.faces.graph.versions import KNOWN, NEWEST
from nightlatch.faces.graph.wire import Access, Kind, Param, Route
from tests.docs.markdown import code, page, sentences, table

_NAMES: Final = {
    Kind.NUMBER: "{phone-number-id}",
    Kind.WABA: "{waba-id}",
    Kind.PORTFOLIO: "{business-id}",
    Kind.APP: "{app-id}",
}
_KINDS: Final = {
    Kind.NUMBER.value: "A phone number",
    Kind.WABA.value: "A WhatsApp account",
    Kind.PORTFOLIO.value: "A portfolio",
    Kind.APP.value: "An app",
    "SystemUser": "A system user, at `me`",
}
_ID: Final = "106540352242922"
_WABA: Final = "302490129340398"
_DONE: Final = {"success": True}


def path_of(route: Route) -> str:
    """As Meta's pages write it: ``/{phone-number-id}/register``."""
    return "/" + "/".join(filter(None, (_NAMES.get(route.kind, ""), route.edge)))


# What fields show

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    Kind.NUMBER.value: {
        "account_mode": "Always `LIVE`.",
        "certificate": "The verified-name certificate, for `cert` of `POST /v1/account`; once a name is approved.",
        "code_verification_status": "The registration code's state: `NOT_VERIFIED`, `VERIFIED`, or `EXPIRED` after 14 days.",
        "conversational_automation": "Never shown: nothing is automated here.",
        "country_code": "Two letters; left out for numbers of no country.",
        "country_dial_code": "The country calling code, digits only.",
        "display_phone_number": "In international spelling.",
        "eligibility_for_api_business_global_search": "Never shown.",
        "health_status": "Whether messages could be sent, and what stands in the way: `141000` while the Cloud API does not hold the number.",
        "host_platform": "As `platform_type`.",
        "id": "Always shown.",
        "is_official_business_account": "Always false.",
        "is_on_biz_app": "Always false.",
        "is_pin_enabled": "Whether two-step verification is on. No field shows the PIN.",
        "is_preverified_number": "Always false.",
        "last_onboarded_time": "When it was registered last; left out before.",
        "messaging_limit_tier": "Always `TIER_250`.",
        "name_status": "`APPROVED`, `PENDING_REVIEW`, `DECLINED`, `NONE`.",
        "new_certificate": "Never shown: an approved name has its certificate at once.",
        "new_display_name": "A name that waits while another one is approved.",
        "new_name_status": "That name's state, or `NONE`.",
        "platform_type": "Who holds the number: `CLOUD_API`, `ON_PREMISE` for a client at `/v1`, `NOT_APPLICABLE` for nobody.",
        "quality_rating": "`GREEN` while the number is held, else `UNKNOWN`.",
        "quality_score": "The same, as an object.",
        "search_visibility": "Always `NON_VISIBLE`.",
        "status": "`PENDING`, `CONNECTED`, `DISCONNECTED`.",
        "throughput": "`STANDARD` while the number is held, else `NOT_APPLICABLE`.",
        "username": "Never shown: there are no usernames here.",
        "verified_name": "The display name, approved or not.",
        "webhook_configuration": "Where the token's app hears about the number; left out when nowhere.",
        "whatsapp_business_manager_messaging_limit": "Always `TIER_250`.",
    },
    Kind.WABA.value: {
        "account_review_status": "Always `APPROVED`.",
        "health_status": "As of a number, from the account upwards.",
        "id": "Always shown.",
        "name": "Its name.",
        "owner_business_info": "Name and id of the portfolio.",
        "ownership_type": "Always `SELF`.",
        "phone_numbers": "The edge, asked for as a field: `phone_numbers.limit(5){id,status}`.",
        "status": "Always `ACTIVE`.",
        "subscribed_apps": "The edge, asked for as a field.",
    },
    Kind.PORTFOLIO.value: {
        "health_status": "As of a number, from the portfolio upwards.",
        "id": "Always shown.",
        "name": "Its name.",
    },
    Kind.APP.value: {
        "health_status": "Of the app alone.",
        "id": "Always shown.",
        "link": "Where Meta would show it; nothing is there.",
        "name": "Its name.",
    },
    "SystemUser": {"id": "Always shown.", "name": "Its name."},
}
"""What each field shows; a test holds it against those that are served."""


# What calls answer

_NUMBER: Final = {
    "verified_name": "Lucky Shrub",
    "code_verification_status": "NOT_VERIFIED",
    "display_phone_number": "+1 631-555-1000",
    "quality_rating": "UNKNOWN",
    "id": _ID,
}
_CURSORS: Final = {"before": "MC4x", "after": "MC4x"}
ANSWERS: Final[Mapping[str, Any]] = {
    "GET_graph_number": _NUMBER,
    "POST_graph_number": _DONE,
    "POST_graph_number_register": _DONE,
    "POST_graph_number_deregister": _DONE,
    "POST_graph_number_request_code": _DONE,
    "POST_graph_number_verify_code": _DONE,
    "GET_graph_number_whatsapp_business_profile": {
        "data": [
            {
                "about": "Plants that thrive",
                "vertical": "UNDEFINED",
                "messaging_product": "whatsapp",
            }
        ]
    },
    "POST_graph_number_whatsapp_business_profile": _DONE,
    "GET_graph_waba": {"name": "My WhatsApp account", "id": _WABA},
    "GET_graph_waba_phone_numbers": {"data": [_NUMBER], "paging": {"cursors": _CURSORS}},
    "POST_graph_waba_phone_numbers": {"id": "111201345501442"},
    "GET_graph_waba_subscribed_apps": {
        "data": [
            {
                "whatsapp_business_api_data": {
                    "link": "https://www.facebook.com/games/?app_id=537689400186386",
                    "name": "My app",
                    "id": "537689400186386",
                }
            }
        ]
    },
    "POST_graph_waba_subscribed_apps": _DONE,
    "DELETE_graph_waba_subscribed_apps": _DONE,
    "GET_graph_portfolio": {"name": "My portfolio", "id": "237723443088486"},
    "GET_graph_app": {
        "link": "https://www.facebook.com/games/?app_id=537689400186386",
        "name": "My app",
        "id": "537689400186386",
    },
    "GET_graph_app_subscriptions": {
        "data": [
            {
                "object": "whatsapp_business_account",
                "callback_url": "https://shop.example.com/hooks",
                "active": True,
                "fields": [{"name": "security", "version": "v23.0"}],
            }
        ]
    },
    "POST_graph_app_subscriptions": _DONE,
    "DELETE_graph_app_subscriptions": _DONE,
    "GET_graph_me": {"name": "My system user", "id": "651128323024310"},
    "GET_graph_debug_token": {
        "data": {
            "app_id": "537689400186386",
            "type": "SYSTEM_USER",
            "application": "My app",
            "is_valid": True,
            "scopes": ["whatsapp_business_management"],
            "data_access_expires_at": 0,
            "expires_at": 0,
            "issued_at": 1_764_000_000,
            "granular_scopes": [{"scope": "whatsapp_business_management"}],
            "user_id": "651128323024310",
        }
    },
    "GET_graph_oauth_access_token": {
        "access_token": "537689400186386|SECRET",
        "token_type": "bearer",
    },
    "POST_graph_oauth_access_token": {
        "access_token": "537689400186386|SECRET",
        "token_type": "bearer",
    },
}
"""What each success looks like; ``test_graph_answers.py`` holds it against a running server."""


# What is told by webhooks

TOLD: Final[Mapping[Field, tuple[tuple[str, str], ...]]] = {
    Field.SECURITY: (
        ("`event` `PIN_CHANGED`", "A PIN was set or changed in the Manager; with `--graph-pin-events` by an API, too."),
        ("`event` `PIN_RESET_REQUEST`", "*Turn off two-step verification* was pressed; `requester` is the member's id."),
        ("`event` `PIN_REQUEST_SUCCESS`", "The mailed link was used; two-step verification is off."),
    ),
    Field.NAME: (
        ("`decision` `APPROVED`", "The display name in `requested_verified_name` is good; register again to apply it."),
        ("`decision` `REJECTED`", "It is not; `rejection_reason` says why."),
    ),
    Field.ACCOUNT: (
        ("`event` `ACCOUNT_OFFBOARDED`", "A client of the On-Premises API took the number from the Cloud API."),
        ("`event` `ACCOUNT_RECONNECTED`", "The Cloud API took it back."),
    ),
}  # fmt: skip
"""Every webhook there is; a test holds it against what the code sends."""


NOT_SERVED: Final[Mapping[tuple[Kind, str], tuple[str, ...]]] = {
    (Kind.NUMBER, "messages"): ("POST",),
    (Kind.NUMBER, "media"): ("POST",),
    (Kind.NUMBER, "settings"): ("GET", "POST"),
    (Kind.NUMBER, "message_qrdls"): ("GET", "POST"),
    (Kind.NUMBER, "block_users"): ("GET", "POST", "DELETE"),
    (Kind.NUMBER, "whatsapp_business_encryption"): ("GET", "POST"),
    (Kind.NUMBER, "whatsapp_commerce_settings"): ("GET", "POST"),
    (Kind.NUMBER, "smb_app_data"): ("POST",),
    (Kind.WABA, "message_templates"): ("GET", "POST", "DELETE"),
    (Kind.WABA, "assigned_users"): ("GET", "POST", "DELETE"),
    (Kind.WABA, "flows"): ("GET", "POST"),
    (Kind.PORTFOLIO, "owned_whatsapp_business_accounts"): ("GET",),
    (Kind.PORTFOLIO, "client_whatsapp_business_accounts"): ("GET",),
    (Kind.PORTFOLIO, "system_users"): ("GET", "POST"),
}
"""Edges that Meta documents and that are answered as unknown."""


# Refusals


def sample(refusal: type[Refusal]) -> Refusal:
    """One refusal of this kind, with capitals where a real one holds facts."""
    if issubclass(refusal, own.NotMigrated):
        return refusal()
    if issubclass(refusal, own.Injected):
        return refusal(next(kind for kind, one in INJECTED.items() if one is refusal))
    if issubclass(refusal, errors.AccessTokenExpired):
        return refusal(datetime(2026, 1, 22, 12, tzinfo=UTC))
    if issubclass(refusal, errors.LedgerWait):
        return refusal(timedelta(seconds=60), "register")
    if issubclass(refusal, errors.OutcomeUnknown):
        return refusal("register", timedelta(seconds=60))
    if issubclass(refusal, errors.CloudRefused):
        return refusal(100, 33)
    if issubclass(refusal, errors._Wait):
        return refusal(timedelta(seconds=60))
    if issubclass(refusal, errors._Parameter):
        return refusal("NAME", "WHAT FITS")
    if issubclass(refusal, errors.ScopeMissing):
        return refusal("SCOPE")
    if issubclass(refusal, errors.FieldUnknown):
        return refusal("FIELD", "KIND")
    if issubclass(refusal, errors.EdgeUnknown):
        return refusal("/PATH")
    if issubclass(refusal, errors.CallbackRefused | errors.RequestMalformed | errors.TokenUnfit):
        return refusal("WHY")
    return refusal()


def refusals_of(route: Route) -> list[type[Refusal]]:
    """Every refusal this route can answer with, in the order of the table of errors."""
    found = {*EVERY_ROUTE, *route.refusals}
    if route.access is not Access.NOBODY:
        found |= {*WITH_TOKEN}
    if route.access is Access.APP:
        found.add(own.AppTokenNeeded)
    if route.scope is not None:
        found.add(errors.ScopeMissing)
    if route.kind is not Kind.ROOT:
        found.add(errors.NodeUnknown)
    if route.kind is Kind.NUMBER and route.method == "POST":
        found |= {*INJECTED.values()}
    return [one for one in DOCS if one in found]


def _everywhere() -> list[type[Refusal]]:
    """Refusals that stand in front of every call alike, told once."""
    shared = {*EVERY_ROUTE, *WITH_TOKEN, errors.ScopeMissing, errors.NodeUnknown}
    return [one for one in DOCS if one in shared]


def anchor(refusal: type[Refusal]) -> str:
    """Where the page tells of it."""
    return refusal.__name__.lower()


def _code(row: Row) -> str:
    return f"{row.code}" + (f" / {row.subcode}" if row.subcode is not None else "")


def _words(refusal: type[Refusal], row: Row) -> str:
    one, asked = sample(refusal), Asked(id="ID")
    parts = [row.message(one, asked)]
    if row.details is not None:
        parts.append(f"`error_data`: {row.details(one, asked)}")
    if row.user is not None:
        parts.append("`error_user_msg`: " + row.user[1])
    return "<br>".join(parts)


def _when(refusal: type[Refusal]) -> str:
    return sentences((refusal.__doc__ or "").split("\n")[0]).replace("\n", " ")


def _errors() -> Iterable[str]:
    rows = []
    for refusal, row in DOCS.items():
        other = OPENAPI[refusal]
        rows.append(
            (
                f'<a id="{anchor(refusal)}"></a>{code(refusal.__name__)}',
                _when(refusal),
                str(row.status),
                _code(row),
                _words(refusal, row),
                "the same"
                if other is row
                else f"{other.status}, {_code(other)}: {_words(refusal, other)}",
            )
        )
    rows.append(
        (
            "a bug",
            "What should never happen.",
            str(BUG.status),
            _code(BUG),
            BUG.message(None, Asked()),
            "the same",
        )
    )
    yield "## Errors"
    yield (
        "An error is always this body, with an `fbtrace_id` that is made of the request's id in the log.\n"
        "A subcode, `error_data` and `error_user_msg` are there where the table says so; `is_transient` and `error_user_title` come along where Meta's bodies have them."
    )
    yield (
        "```json\n"
        + json.dumps(
            {
                "error": {
                    "message": "(#133009) Two step verification PIN Guessed Too Fast",
                    "type": "OAuthException",
                    "code": 133009,
                    "error_data": {
                        "messaging_product": "whatsapp",
                        "details": "The PIN was not looked at. Try again after 60 seconds.",
                    },
                    "fbtrace_id": "A5c1f0de92b7a4413",
                }
            },
            indent=1,
        )
        + "\n```"
    )
    yield (
        "There are two profiles, chosen with `--graph-errors`.\n"
        "`docs`, the default, is what Meta's pages and field reports show, where nearly every refusal is HTTP 400.\n"
        "`openapi` is what the examples of Meta's OpenAPI document show.\n"
        "A refusal that a wait stands behind bears `Retry-After` in whole seconds, which Meta's do not; its `details` say the same in words.\n"
        "Capitals such as `NAME` stand for what differs from case to case, and 60 seconds for any wait."
    )
    yield table(
        ("refusal", "when", "HTTP", "code / subcode", "`docs`", "`openapi`, where it differs"), rows
    )
    yield (
        "`TooManyGuesses` (133008) takes the place of `GuessWait` (133009) once the day's guesses are spent, which is from the tenth wrong PIN in a row.\n"
        "Before v16.0 deregistering a number that is not registered is `DeregisteredBefore`, with a plain text as `error_data`.\n"
        + ", ".join(code(one.__name__) for one in INJECTED.values())
        + " happen only where [the sandbox](../guides/sandbox.md) was told to make them happen."
    )


# The page


def _shape(param: Param) -> str:
    schema = param.schema
    parts = [str(schema["type"])]
    if "enum" in schema:
        parts.append("one of " + ", ".join(code(one) for one in schema["enum"]))
    if "pattern" in schema:
        parts.append(f"matches `{schema['pattern']}`")
    if "minimum" in schema:
        parts.append(f"at least {schema['minimum']}")
    if "maxLength" in schema:
        parts.append(f"at most {schema['maxLength']:,} characters")
    if "maxItems" in schema:
        parts.append(f"at most {schema['maxItems']}")
    return "; ".join(parts)


def _needs(route: Route) -> str:
    scope = f" with `{route.scope.value}`" if route.scope is not None else ""
    return f"Needs: {route.access.value[0].lower()}{route.access.value[1:]}{scope}."


def _served() -> Iterable[str]:
    shared = {*_everywhere()}
    for route in ROUTES:
        yield f"### {route.method} {path_of(route)}"
        yield f"{route.summary}.\n\n{_needs(route)}"
        if route.params:
            yield table(
                ("parameter", "given", "value"),
                (
                    (code(one.name), "always" if one.required else "optional", _shape(one))
                    for one in route.params
                ),
            )
        own_ones = [
            one for one in refusals_of(route) if one not in shared and one not in INJECTED.values()
        ]
        if own_ones:
            yield (
                "Refused with "
                + ", ".join(
                    f"[{DOCS[one].code}](#{anchor(one)}) {code(one.__name__)}" for one in own_ones
                )
                + "."
            )
        yield "```json\n" + json.dumps(ANSWERS[route.name], ensure_ascii=False) + "\n```"


def _fields() -> Iterable[str]:
    yield "## Fields"
    yield (
        "`fields=a,b` asks for fields by name; `id` always comes along.\n"
        "A field that has no value is left out, as at Meta.\n"
        "`fields=health_status{can_send_message}` takes a part of one.\n"
        "An unknown one is refused with [100](#fieldunknown)."
    )
    for kind, says in _KINDS.items():
        yield f"### {kind}"
        yield f"{says}."
        yield table(
            ("field", "what it shows"),
            ((code(name), FIELDS[kind].get(name, "")) for name in names_of(kind)),
        )


def _quirks() -> str:
    rows = (
        ("`--graph-wrong-pin-free`", "A wrong PIN counts as one of the ten registrations.", "It does not."),
        ("`--graph-deregister-turns-off`", "Deregistering leaves the PIN as it is.", "It turns two-step verification off."),
        ("`--graph-pin-unregistered`", "A PIN is set only while the Cloud API holds the number.", "At any time."),
        ("`--graph-pin-events`", "A PIN set by a call is not told as `PIN_CHANGED`.", "It is."),
        ("`--graph-empty-pin`", "An empty PIN is refused.", "It turns two-step verification off."),
    )  # fmt: skip
    return table(("setting", "without it", "with it"), rows)


def cloud_api_page() -> str:
    first, last = KNOWN[0].name, NEWEST.name
    return page(
        "The Cloud API",
        (
            f"Served at `/graph/{{version}}`, with versions {first} to {last}, and at `/graph` without one, which is {last}.\n"
            "With `--graph-port` the same stands at the root of a second port, and with `--graph-hosts` at the root of those host names: for clients that only take another host.\n"
            f"Versions that have expired at Meta are served as {first}.\n"
            "What differs between versions: before v16.0 the error of deregistering what is not registered, before v21.0 whether `register` reads `data_localization_region`."
        ),
        (
            "The access token comes as `Authorization: Bearer`, or as the parameter `access_token`.\n"
            "[Access tokens](../guides/access-tokens.md) says where it comes from, and what `appsecret_proof` is.\n"
            "Parameters of a `POST` or `DELETE` are JSON, a form, multipart, or stand in the query; those of a `GET` stand in the query.\n"
            "Unknown parameters are ignored, and a JSON `null` counts as not given.\n"
            "No parameter may stand twice, but the query may repeat what the body says.\n"
            "A PIN is a string of six digits: in JSON a number is refused.\n"
            "Answers bear `facebook-api-version` and `x-fb-trace-id`, as Meta's do."
        ),
        (
            "In which order a call is checked, and what it costs, is in [the rules](rules.md).\n"
            "The same numbers are served at `/v1`; [one counter, one budget and one PIN](../decisions/one-registry-two-faces.md) belong to each.\n"
            "The same table as an OpenAPI 3.1 document: [graph-openapi.json](graph-openapi.json), served at `/graph/openapi.json` with the errors of the profile in use."
        ),
        "## Served",
        (
            "What every call may be refused with is left out below: "
            + ", ".join(f"[{code(one.__name__)}](#{anchor(one)})" for one in _everywhere())
            + "."
        ),
        *_served(),
        *_fields(),
        "## Permissions",
        table(
            ("permission", "needed for"),
            ((code(scope.value), PERMISSIONS[scope]) for scope in Scope),
        ),
        (
            "A system user with the role `admin` sees every account of its portfolio, an `employee` those it was granted.\n"
            "What it does not see is answered like what does not exist."
        ),
        "## Webhooks",
        "How to receive them is in [the guide](../guides/webhooks.md); every one of them bears `display_phone_number` in digits.",
        table(
            ("field", "what it says", "when"),
            (
                (code(field.value), says, when)
                for field, rows in TOLD.items()
                for says, when in rows
            ),
        ),
        *_errors(),
        "## What Meta leaves open",
        "Each is [a setting](../decisions/what-meta-leaves-open.md).",
        _quirks(),
        "## Documented by Meta, not served",
        (
            "These are answered with 400 and [2500](#edgeunknown), once the access token and the object are good.\n"
            "Nightlatch sends no messages, so there are no messages, media or templates."
        ),
        table(
            ("path", "methods"),
            (
                (code(f"/{_NAMES[kind]}/{edge}"), ", ".join(methods))
                for (kind, edge), methods in NOT_SERVED.items()
            ),
        ),
    )


PERMISSIONS: Final[Mapping[Scope, str]] = {
    Scope.MANAGEMENT: "Numbers, codes, registering, PINs, business profiles, subscriptions: everything here that is about numbers.",
    Scope.MESSAGING: "Nothing here needs it; it is there because integrations check for it.",
    Scope.BUSINESS: "Reading the portfolio.",
}
