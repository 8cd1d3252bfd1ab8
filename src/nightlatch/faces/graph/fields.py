"""What objects show: one function per field and kind of object.

A field whose value is None is left out, as Graph leaves it out.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import phonenumbers

from nightlatch.domain.access import Caller, GraphApp
from nightlatch.domain.errors import FieldUnknown, ParameterInvalid
from nightlatch.domain.limits import NODES_PER_PAGE
from nightlatch.domain.numbers import CLOUD_API, NameState, Number, Status
from nightlatch.domain.portfolios import Portfolio, Waba
from nightlatch.faces.formats import phone
from nightlatch.faces.graph import health
from nightlatch.faces.graph.wire import Kind, words
from nightlatch.ports import World
from nightlatch.usecases import nodes, numbers, webhooks

Wanted = tuple[tuple[str, int | None, str | None], ...]
"""Fields that were asked for: name, limit, and what of it."""
_FIELD: Final = re.compile(r"([A-Za-z0-9_]+)((?:\.[a-z_]+\([^(){}]*\))*)(?:\{(.*)\})?", re.DOTALL)
_LIMIT: Final = re.compile(r"\.limit\(([0-9]{1,6})\)")
_DEEPEST: Final = 5


@dataclass(slots=True)
class View:
    """An object, and who looks at it."""

    world: World
    caller: Caller
    node: Any


Shown = Callable[[View], Any]
Looked = Callable[[View], Awaitable[Any]]


def _platform(number: Number) -> str:
    if number.holder is None:
        return "NOT_APPLICABLE"
    return "CLOUD_API" if number.holder == CLOUD_API else "ON_PREMISE"


def _is_connected(view: View) -> bool:
    return bool(view.node.status is Status.CONNECTED)


def _renamed(number: Number) -> bool:
    """Whether another display name was asked for while one is approved."""
    return bool(number.name) and number.asked_name is not None


def _name_status(number: Number) -> str:
    return (NameState.APPROVED if number.name else number.name_state).value


@lru_cache(maxsize=4_096)
def _country(e164: str) -> str | None:
    region = phonenumbers.region_code_for_number(phonenumbers.parse(e164))
    return None if region is None else str(region)


def _always(value: Any) -> Shown:
    """What is the same for every number of a local registry."""
    return lambda _: value


_NUMBER: Final[Mapping[str, Shown]] = {
    "id": lambda v: v.node.id,
    "display_phone_number": lambda v: phone(v.node.e164),
    "verified_name": lambda v: v.node.name or v.node.asked_name,
    "name_status": lambda v: _name_status(v.node),
    "new_display_name": lambda v: v.node.asked_name if _renamed(v.node) else None,
    "new_name_status": lambda v: v.node.name_state.value if _renamed(v.node) else "NONE",
    "certificate": lambda v: numbers.certificate(v.world, v.node) if v.node.name else None,
    "new_certificate": _always(None),  # an approved name has its certificate at once
    "code_verification_status": lambda v: v.node.code_state(v.world.clock.now()).value,
    "is_pin_enabled": lambda v: v.node.two_step.is_on,
    "status": lambda v: v.node.status.value,
    "platform_type": lambda v: _platform(v.node),
    "host_platform": lambda v: _platform(v.node),
    "account_mode": _always("LIVE"),
    "quality_rating": lambda v: "GREEN" if _is_connected(v) else "UNKNOWN",
    "quality_score": lambda v: {"score": "GREEN" if _is_connected(v) else "UNKNOWN"},
    "messaging_limit_tier": _always("TIER_250"),
    "whatsapp_business_manager_messaging_limit": _always("TIER_250"),
    "throughput": lambda v: {"level": "STANDARD" if _is_connected(v) else "NOT_APPLICABLE"},
    "is_official_business_account": _always(False),
    "is_preverified_number": _always(False),
    "is_on_biz_app": _always(False),
    "search_visibility": _always("NON_VISIBLE"),
    "last_onboarded_time": lambda v: (
        v.node.registered_at and f"{v.node.registered_at:%Y-%m-%dT%H:%M:%S+0000}"
    ),
    "country_code": lambda v: _country(v.node.e164),
    "country_dial_code": lambda v: v.node.cc,
    # Clients ask for these as well; a local registry has nothing to show there.
    "conversational_automation": _always(None),
    "eligibility_for_api_business_global_search": _always(None),
    "username": _always(None),
}


async def _number_health(view: View) -> Any:
    waba = await view.world.store.waba(view.node.waba)
    return health.of_number(view.node, waba, view.caller.app)


async def _webhooks(view: View) -> Any:
    """Where the caller's app hears about the number."""
    app = view.caller.app
    if app.callback is None:
        return None
    found = {"application": app.callback.url}
    for subscription in await view.world.store.subscriptions(view.node.waba):
        if subscription.app == app.id and subscription.url is not None:
            found["whatsapp_business_account"] = subscription.url
    return found


_WABA: Final[Mapping[str, Shown]] = {
    "id": lambda v: v.node.id,
    "name": lambda v: v.node.name,
    "status": _always("ACTIVE"),
    "account_review_status": _always("APPROVED"),
    "ownership_type": _always("SELF"),
    "health_status": lambda v: health.of_waba(v.node, v.caller.app),
}


async def _owner(view: View) -> Any:
    owner = await view.world.store.portfolio(view.node.portfolio)
    return None if owner is None else {"name": owner.name, "id": owner.id}


async def _subscribed(view: View) -> Any:
    found = await webhooks.subscriptions(view.world, view.node)
    return {"data": [subscription(app, one.url) for one, app in found]}


def subscription(app: GraphApp, url: str | None) -> dict[str, Any]:
    """An app as ``subscribed_apps`` lists it."""
    link = f"https://www.facebook.com/games/?app_id={app.id}"
    shown: dict[str, Any] = {
        "whatsapp_business_api_data": {"link": link, "name": app.name, "id": app.id}
    }
    if url is not None:
        shown["override_callback_uri"] = url
    return shown


_PORTFOLIO: Final[Mapping[str, Shown]] = {
    "id": lambda v: v.node.id,
    "name": lambda v: v.node.name,
    "health_status": lambda v: health.of_portfolio(v.node, v.caller.app),
}

_APP: Final[Mapping[str, Shown]] = {
    "id": lambda v: v.node.id,
    "name": lambda v: v.node.name,
    "link": lambda v: f"https://www.facebook.com/games/?app_id={v.node.id}",
    "health_status": lambda v: health.of_app(v.node),
}

_SYSTEM_USER: Final[Mapping[str, Shown]] = {
    "id": lambda v: v.node.id,
    "name": lambda v: v.node.name,
}

_SHOWN: Final[Mapping[str, Mapping[str, Shown]]] = {
    Kind.NUMBER.value: _NUMBER,
    Kind.WABA.value: _WABA,
    Kind.PORTFOLIO.value: _PORTFOLIO,
    Kind.APP.value: _APP,
    "SystemUser": _SYSTEM_USER,
}
_LOOKED: Final[Mapping[str, Mapping[str, Looked]]] = {
    Kind.NUMBER.value: {"health_status": _number_health, "webhook_configuration": _webhooks},
    Kind.WABA.value: {"owner_business_info": _owner, "subscribed_apps": _subscribed},
}
_DEFAULT: Final[Mapping[str, tuple[str, ...]]] = {
    Kind.NUMBER.value: (
        "verified_name", "code_verification_status", "display_phone_number", "quality_rating",
    ),
    Kind.WABA.value: ("name",),
    Kind.PORTFOLIO.value: ("name",),
    Kind.APP.value: ("link", "name"),
    "SystemUser": ("name",),
}  # fmt: skip
_KINDS: Final[Mapping[type, str]] = {
    Number: Kind.NUMBER.value,
    Waba: Kind.WABA.value,
    Portfolio: Kind.PORTFOLIO.value,
    GraphApp: Kind.APP.value,
}
_NUMBERS: Final = "phone_numbers"
"""The one edge that may be asked for as a field, too."""


def names_of(kind: str) -> tuple[str, ...]:
    """Every field of a kind of object, for the OpenAPI document."""
    edges = (_NUMBERS,) if kind == Kind.WABA.value else ()
    return tuple(sorted({*_SHOWN[kind], *_LOOKED.get(kind, {}), *edges}))


async def show(view: View, wanted: Wanted, kind: str = "") -> dict[str, Any]:
    """The object with the *wanted* fields, or those that Graph shows when none is named.

    Raises:
        FieldUnknown: the kind of object has no such field.
    """
    kind = kind or _KINDS[type(view.node)]
    shown, looked = _SHOWN[kind], _LOOKED.get(kind, {})
    found: dict[str, Any] = {}
    for name, limit, inner in wanted or ((name, None, None) for name in _DEFAULT[kind]):
        if name in shown:
            value = shown[name](view)
        elif name in looked:
            value = await looked[name](view)
        elif name == _NUMBERS and kind == Kind.WABA.value:
            value = await _expanded(view, limit, inner)
        else:
            raise FieldUnknown(name, kind)
        if value is not None:
            found[name] = _only(value, inner) if name != _NUMBERS else value
    found.pop("id", None)
    found["id"] = view.node.id
    return found


def _only(value: Any, inner: str | None) -> Any:
    """What of a nested value was asked for."""
    if inner is None or not isinstance(value, dict):
        return value
    names = {name for name, _, _ in parse(inner)}
    return {name: part for name, part in value.items() if name in names}


async def _expanded(view: View, limit: int | None, inner: str | None) -> Any:
    usual, most = NODES_PER_PAGE
    page = await nodes.numbers_of(view.world, view.node, min(max(limit or usual, 1), most))
    return await listed(view, page, parse(inner or ""))


async def listed(view: View, page: nodes.Page, wanted: Wanted) -> dict[str, Any]:
    """A page of numbers, with its cursors."""
    data = [await show(View(view.world, view.caller, number), wanted) for number in page.numbers]
    if not data:
        return {"data": data}
    return {"data": data, "paging": {"cursors": {"before": page.before, "after": page.after}}}


def read_fields(value: Any) -> Wanted:
    """``fields``: names with commas, or a list. Raises ParameterInvalid."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return parse(value)
    return parse(",".join(words("fields")(value)))


@lru_cache(maxsize=256)
def parse(text: str) -> Wanted:
    """``a,b.limit(5){c,d}``. Raises ParameterInvalid."""
    found = []
    for part in _split(text):
        match = _FIELD.fullmatch(part)
        if match is None:
            raise ParameterInvalid("fields", "names of fields, separated by commas")
        limit = _LIMIT.search(match[2])
        found.append((match[1], int(limit[1]) if limit else None, match[3]))
    return tuple(found)


def _split(text: str) -> list[str]:
    """At the commas that are not inside of braces or parentheses."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(text):
        if sign in "{(":
            depth += 1
        elif sign in ")}":
            depth -= 1
        elif sign == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
        if not 0 <= depth <= _DEEPEST:
            raise ParameterInvalid("fields", "names of fields, separated by commas")
    if depth:
        raise ParameterInvalid("fields", "names of fields, separated by commas")
    return [part for part in map(str.strip, [*parts, text[start:]]) if part]
