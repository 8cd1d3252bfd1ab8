"""A WhatsApp account: its numbers, and the apps that hear about it."""

from typing import Any, Final
from urllib.parse import urlencode

from nightlatch.domain.errors import NumberExists, ParameterInvalid
from nightlatch.domain.limits import NODES_PER_PAGE
from nightlatch.faces.graph.errors import NotMigrated, NumberHere, OverrideUnsubscribed
from nightlatch.faces.graph.fields import View, listed, subscription
from nightlatch.faces.graph.wire import SUCCESS, Answer, Call
from nightlatch.faces.graph.wire import listed as as_list
from nightlatch.faces.spelling import spell
from nightlatch.usecases import nodes, webhooks

_ASCENDING: Final = "last_onboarded_time_ascending"
SORTS: Final = (_ASCENDING, "last_onboarded_time_descending")
MODES: Final = ("LIVE", "SANDBOX")
_FILTER: Final = "a list of filters like"
_EXAMPLE: Final = '[{"field":"account_mode","operator":"EQUAL","value":"LIVE"}]'


async def numbers(call: Call) -> Answer:
    """A page of the account's numbers, with links to its neighbours."""
    given = call.given
    usual, most = NODES_PER_PAGE
    limit = min(given.get("limit", usual), most)
    if given.get("filtering", "LIVE") != "LIVE":
        return {"data": []}  # every number here is a live one
    page = await nodes.numbers_of(
        call.world,
        call.waba,
        limit,
        newest_first=given.get("sort") != _ASCENDING,
        after=given.get("after"),
        before=given.get("before"),
    )
    view = View(call.world, call.caller, call.waba)
    shown = await listed(view, page, given.get("fields", ()))
    if page.has_previous and page.before is not None:
        shown["paging"]["previous"] = _link(call, limit, before=page.before)
    if page.has_next and page.after is not None:
        shown["paging"]["next"] = _link(call, limit, after=page.after)
    return shown


def _link(call: Call, limit: int, **cursor: str) -> str:
    """Without the access token: links end in logs."""
    query = {
        name: call.asked[name] for name in ("fields", "sort", "filtering") if name in call.asked
    }
    return f"{call.url()}?{urlencode({**query, 'limit': limit, **cursor})}"


async def add_number(call: Call) -> Answer:
    given = call.given
    if given.get("migrate_phone_number"):
        raise NotMigrated
    e164, cc = spell(given["cc"], given["phone_number"])
    try:
        number = await nodes.add_number(
            call.world, call.caller, call.waba, e164, cc, given["verified_name"]
        )
    except NumberExists as error:
        if await nodes.is_here(call.world, call.waba, e164):
            raise NumberHere from error
        raise
    return {"id": number.id}


async def subscribed_apps(call: Call) -> Answer:
    found = await webhooks.subscriptions(call.world, call.waba)
    return {"data": [subscription(app, one.url) for one, app in found]}


async def subscribe(call: Call) -> Answer:
    url = call.given.get("override_callback_uri")
    if url is not None:
        found = await webhooks.subscriptions(call.world, call.waba)
        if call.caller.app.id not in {app.id for _, app in found}:
            raise OverrideUnsubscribed
    token = call.given.get("verify_token", "")
    await webhooks.subscribe(call.world, call.caller, call.waba, url, token)
    return SUCCESS


async def unsubscribe(call: Call) -> Answer:
    await webhooks.unsubscribe(call.world, call.caller, call.waba)
    return SUCCESS


def read_sort(value: Any) -> str:
    """``last_onboarded_time_ascending``, alone or as the one entry of a list."""
    found = as_list("sort", value)
    if len(found) != 1 or found[0] not in SORTS:
        raise ParameterInvalid("sort", f"one of {{{', '.join(SORTS)}}}")
    return str(found[0])


def read_filtering(value: Any) -> str:
    """Which account mode is asked for."""
    wanted = "LIVE"
    for one in as_list("filtering", value):
        mode = one.get("value") if isinstance(one, dict) else None
        if (
            not isinstance(one, dict)
            or one.get("field") != "account_mode"
            or one.get("operator") != "EQUAL"
            or mode not in MODES
        ):
            raise ParameterInvalid("filtering", f"{_FILTER} {_EXAMPLE}")
        wanted = mode if mode != "LIVE" else wanted
    return wanted


def read_digits(name: str) -> Any:
    """A rule for the parts of a phone number: a text, or a number where JSON wrote one."""

    def read(value: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            raise ParameterInvalid(name, "a string of digits")
        return value

    return read
