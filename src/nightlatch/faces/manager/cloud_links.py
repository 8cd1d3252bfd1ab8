"""Linked accounts: WhatsApp accounts whose numbers live at the Cloud API."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from nightlatch.domain.clients import FIRST_CLIENT
from nightlatch.domain.errors import (
    CloudAccessLost,
    LinkedNumberUnknown,
    ParameterInvalid,
    TokenUnfit,
)
from nightlatch.domain.links import CloudLink
from nightlatch.domain.members import MemberRole
from nightlatch.faces.manager.paging import cut
from nightlatch.faces.manager.states import State
from nightlatch.faces.manager.wire import PREFIX, Answer, Call, Page, Redirect
from nightlatch.usecases import links

CLOUD: Final = PREFIX + "/cloud"
VERSION: Final = "v23.0"
"""Offered for a new account."""
_ROWS: Final = 15
_CLIENTS: Final = 12
_SKIPPED: Final = 40
"""Shown at once; a page stays below 30 KB."""


async def listed(call: Call) -> Answer:
    """The linked accounts, by when they were linked."""
    everything = await links.links(call.world, call.member.portfolio)
    found, pages = cut(call, everything, _ROWS, CLOUD)
    lines = [
        (one, await call.world.store.linked_count(one.waba), access(one), hears(one), ends(one))
        for one in found
    ]
    return Page(
        "cloud_links.html", {"here": "cloud", "count": len(everything), "lines": lines} | pages
    )


async def link_form(call: Call) -> Answer:
    """Account, token, secret, version, clients, and the member's password."""
    return Page(
        "cloud_link.html",
        {
            "here": "cloud",
            "version": VERSION,
            "first": FIRST_CLIENT,
            "known": await _clients(call),
            "again": bool(call.form["set_again"]),
        },
    )


async def link(call: Call) -> Answer:
    """Raises what ``links.link_by_member`` raises, TokenUnfit for a token that Meta refuses."""
    form = call.form
    with _about_the_form():
        one = await links.link_by_member(
            call.world, call.member, form["password"], form["waba"].strip(),
            form["token"].strip(), secret=form["secret"].strip() or None,
            version=form["version"].strip(), clients=_names(form["clients"]),
            set_again=bool(form["set_again"]),
        )  # fmt: skip
    return Redirect(_to(one), "account_linked")


async def show(call: Call) -> Answer:
    """Its token, its webhooks, its settings, its numbers. Raises LinkUnknown."""
    one, shown = await shows(call)
    facts = one.facts
    return Page(
        "cloud_account.html",
        shown
        | {
            "access": access(one),
            "hears": hears(one),
            "ends": ends(one),
            "scopes": sorted(facts.scopes) if facts is not None else [],
            "numbers": await call.world.store.linked_count(one.waba),
            "callback": call.settings.origin + links.callback_path(one.waba),
            "verify_token": links.verify_token_of(call.world, one) if shown["owner"] else "",
        },
    )


async def subscribe(call: Call) -> Answer:
    """Raises LinkUnknown, CloudUnreached, CloudAccessLost, CloudCallsSpent, CloudRefused."""
    one = await found(call)
    await links.subscribe(call.world, one, call.member.email)
    return Redirect(_to(one), "link_subscribed")


async def read(call: Call) -> Answer:
    """Asks Meta about the token and all numbers; how many there are, and which were left out.

    Raises:
        LinkUnknown, CloudUnreached, CloudAccessLost, CloudCallsSpent, CloudRefused: what was read
            before is kept.
    """
    one = await links.check_token(call.world, await found(call))
    told = await links.read_numbers(call.world, one, lambda _: None)
    _, shown = await shows(call)
    return Page(
        "cloud_read.html",
        shown
        | {
            "found": told,
            "skipped": told.skipped[:_SKIPPED],
            "skipped_in_all": len(told.skipped),
        },
    )


async def token_form(call: Call) -> Answer:
    """Raises LinkUnknown."""
    _, shown = await shows(call)
    return Page("cloud_token.html", shown)


async def renew_token(call: Call) -> Answer:
    """Raises what ``links.renew_token_by_member`` raises, and LinkUnknown."""
    one = await found(call)
    with _about_the_form():
        await links.renew_token_by_member(
            call.world, call.member, call.form["password"], one, call.form["token"].strip()
        )
    return Redirect(_to(one), "link_token_renewed")


async def settings_form(call: Call) -> Answer:
    """Raises LinkUnknown."""
    one, shown = await shows(call)
    again = bool(call.form["set_again"]) if call.problem is not None else one.set_again
    return Page(
        "cloud_settings.html",
        shown | {"known": await _clients(call), "again": again, "chosen": ", ".join(one.clients)},
    )


async def change(call: Call) -> Answer:
    """Raises LinkUnknown, ParameterInvalid, ClientUnknown."""
    one, form = await found(call), call.form
    await links.change_by_member(
        call.world, call.member, one,
        secret=form["secret"].strip() or None, version=form["version"].strip(),
        clients=_names(form["clients"]), set_again=bool(form["set_again"]),
    )  # fmt: skip
    return Redirect(_to(one), "link_changed")


async def unlink_form(call: Call) -> Answer:
    """Asks whether it is meant. Raises LinkUnknown."""
    one, shown = await shows(call)
    count = await call.world.store.linked_count(one.waba)
    return Page("cloud_unlink.html", shown | {"numbers": count})


async def unlink(call: Call) -> Answer:
    """Raises LinkUnknown, SignInRefused, SignInWait."""
    one = await found(call)
    await links.unlink_by_member(call.world, call.member, call.form["password"], one)
    return Redirect(CLOUD, "account_unlinked")


async def found(call: Call) -> CloudLink:
    """The account of the path. Raises LinkUnknown, also for another portfolio's."""
    return await links.find_link(call.world, call.path["link"], call.member.portfolio)


async def shows(call: Call) -> tuple[CloudLink, dict[str, Any]]:
    """The account, and what all its pages show. Raises LinkUnknown."""
    one = await found(call)
    role = call.member.role
    return one, {
        "here": "cloud",
        "link": one,
        "owner": role is MemberRole.OWNER,
        "admin": role is not MemberRole.VIEWER,
    }


def access(one: CloudLink) -> State:
    """Whether Meta takes the token, as far as is known."""
    if one.lost_at is not None:
        return State("bad", "Refused by Meta")
    return State("off", "Not asked yet") if one.facts is None else State("ok", "Good")


def ends(one: CloudLink) -> datetime | None:
    """Until when the token is good; None when it does not end."""
    if one.facts is None:
        return None
    given = (one.facts.expires_at, one.facts.data_ends_at)
    return min((at for at in given if at is not None), default=None)


def hears(one: CloudLink) -> State:
    """Whether the account's webhooks come to our app."""
    if one.subscribed is None:
        return State("off", "Not known")
    return State("ok", "Subscribed") if one.subscribed else State("warn", "Not subscribed")


@contextmanager
def _about_the_form() -> Iterator[None]:
    """What Meta says of a token or an account that was typed just now, as a fault of the form."""
    try:
        yield
    except CloudAccessLost:
        raise TokenUnfit("Meta refuses it") from None
    except LinkedNumberUnknown:
        raise ParameterInvalid("waba", "the id of an account that the token may see") from None


def _to(one: CloudLink) -> str:
    return f"{CLOUD}/{one.waba}"


def _names(text: str) -> Sequence[str]:
    names = text.replace(",", " ").split()
    if not names:
        raise ParameterInvalid("clients", "the name of at least one client")
    return names


async def _clients(call: Call) -> list[str]:
    return [client.name for client in (await call.world.store.clients())[:_CLIENTS]]
