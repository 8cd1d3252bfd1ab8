"""Apps: what access tokens are issued for, and where webhooks go."""

from typing import Any, Final
from urllib.parse import urlsplit

from nightlatch.domain.access import GraphApp
from nightlatch.domain.members import MemberRole
from nightlatch.domain.webhooks import Field
from nightlatch.faces.manager.paging import cut
from nightlatch.faces.manager.wire import PREFIX, Answer, Call, Page, Redirect
from nightlatch.usecases import access, webhooks

_APPS: Final = PREFIX + "/apps"
_ROWS: Final = 15
_ACCOUNTS: Final = 20
"""Shown at once; a page stays below 30 KB."""
_FIELDS: Final = (
    (Field.SECURITY.value, "A PIN was changed, or turning it off was asked for"),
    (Field.NAME.value, "A display name was approved or declined"),
    (Field.ACCOUNT.value, "A number came to the Cloud API or left it"),
)


async def listed(call: Call) -> Answer:
    """The apps in the order they were added."""
    everything = await access.apps(call.world, call.member.portfolio)
    apps, pages = cut(call, everything, _ROWS, _APPS)
    lines = [(app, _host(app)) for app in apps]
    return Page("apps.html", {"here": "apps", "count": len(everything), "lines": lines} | pages)


async def add_form(_call: Call) -> Answer:
    """A name, and the member's password."""
    return Page("app_add.html", {"here": "apps"})


async def add(call: Call) -> Answer:
    """Shows the secret, this once.

    Raises:
        ParameterInvalid, SignInRefused, SignInWait, TooManyApps: as the use case.
    """
    form = call.form
    new = await access.add_app_by_member(call.world, call.member, form["name"], form["password"])
    return Page("app_secret_shown.html", {"here": "apps", "app": new.app, "secret": new.secret})


async def show(call: Call) -> Answer:
    """Where its webhooks go, which accounts it hears about. Raises AppUnknown."""
    app, shown = await _shows(call)
    subscribed = await webhooks.subscribed_to(call.world, app)
    heard = {waba.id for waba, _ in subscribed}
    wabas = await call.world.store.wabas(app.portfolio)
    return Page(
        "app.html",
        shown
        | {
            "subscribed": subscribed[:_ACCOUNTS],
            "subscribed_in_all": len(subscribed),
            "others": [(waba.id, waba.name) for waba in wabas if waba.id not in heard],
            "fields": _FIELDS,
        },
    )


async def callback_form(call: Call) -> Answer:
    """Address, fields and verify token. Raises AppUnknown."""
    app, shown = await _shows(call)
    chosen = (
        {field.value for field in (app.callback.fields if app.callback else Field)}
        if call.problem is None
        else {field.value for field in Field if call.form[field.value]}
    )
    return Page(
        "app_callback.html",
        shown
        | {
            "fields": [(name, says, name in chosen) for name, says in _FIELDS],
            "private": call.settings.private_receivers,
        },
    )


async def set_callback(call: Call) -> Answer:
    """Raises AppUnknown, ParameterInvalid, CallbackRefused."""
    form = call.form
    await webhooks.set_callback_by_member(
        call.world,
        call.member,
        call.path["app"],
        form["callback_url"].strip(),
        form["verify_token"],
        [field for field in Field if form[field.value]],
    )
    return Redirect(_here(call), "callback_set")


async def remove_callback_form(call: Call) -> Answer:
    """Asks whether it is meant. Raises AppUnknown."""
    _, shown = await _shows(call)
    return Page("app_callback_remove.html", shown)


async def remove_callback(call: Call) -> Answer:
    """Raises AppUnknown."""
    await webhooks.remove_callback_by_member(call.world, call.member, call.path["app"])
    return Redirect(_here(call), "callback_removed")


async def secret_form(call: Call) -> Answer:
    """Asks for the member's password. Raises AppUnknown."""
    _, shown = await _shows(call)
    return Page("app_secret.html", shown)


async def renew_secret(call: Call) -> Answer:
    """Shows the new secret, this once. Raises AppUnknown, SignInRefused, SignInWait."""
    secret = await access.renew_secret_by_member(
        call.world, call.member, call.path["app"], call.form["password"]
    )
    _, shown = await _shows(call)
    return Page("app_secret_shown.html", shown | {"secret": secret})


async def require_proof(call: Call) -> Answer:
    """Raises AppUnknown."""
    needed = call.form["needed"] == "yes"
    await access.require_proof_by_member(call.world, call.member, call.path["app"], needed)
    return Redirect(_here(call), "proof_on" if needed else "proof_off")


async def subscribe(call: Call) -> Answer:
    """Raises AppUnknown, WabaUnknown."""
    await webhooks.subscribe_by_member(call.world, call.member, call.path["app"], call.form["waba"])
    return Redirect(_here(call), "subscribed")


async def unsubscribe(call: Call) -> Answer:
    """Raises AppUnknown, WabaUnknown, NotSubscribed."""
    await webhooks.unsubscribe_by_member(
        call.world, call.member, call.path["app"], call.form["waba"]
    )
    return Redirect(_here(call), "unsubscribed")


async def remove_form(call: Call) -> Answer:
    """Asks whether it is meant. Raises AppUnknown."""
    _, shown = await _shows(call)
    return Page("app_remove.html", shown)


async def remove(call: Call) -> Answer:
    """Raises AppUnknown."""
    await access.remove_app_by_member(call.world, call.member, call.path["app"])
    return Redirect(_APPS, "app_removed")


async def _shows(call: Call) -> tuple[GraphApp, dict[str, Any]]:
    app = await access.app_seen_by(call.world, call.member, call.path["app"])
    owner = call.member.role is MemberRole.OWNER
    return app, {"here": "apps", "app": app, "owner": owner}


def _host(app: GraphApp) -> str:
    """Where its webhooks go, without path and query, which may hold a secret of the receiver."""
    return "" if app.callback is None else urlsplit(app.callback.url).netloc


def _here(call: Call) -> str:
    return f"{_APPS}/{call.path['app']}"
