"""``nightlatch cloud``: accounts that are linked to the Cloud API."""

import json
from datetime import datetime
from typing import Any

import click

from nightlatch.domain.clients import FIRST_CLIENT
from nightlatch.domain.links import META, CloudLink
from nightlatch.faces.cli import asking, output
from nightlatch.faces.cli.frame import as_json, in_portfolio, portfolio_of, with_house
from nightlatch.faces.cli.house import House
from nightlatch.usecases import links

_SHOWN_SKIPPED = 10

_version = click.option("--version", help="Version of the Graph API, such as v23.0.")
_base = click.option("--base", help=f"Where the Cloud API is. Default: {META}.")
_clients = click.option(
    "--client", "clients", multiple=True,
    help="A client whose /v1 may register the account's numbers; may be repeated.",
)  # fmt: skip


@click.group("cloud")
def group() -> None:
    """The WhatsApp accounts whose numbers live at the Cloud API."""


@group.command("link")
@click.argument("waba")
@in_portfolio
@_version
@_base
@_clients
@click.option("--set-again", is_flag=True, help="Set a PIN again when somebody turned it off.")
@as_json
@with_house
async def link(
    house: House,
    waba: str,
    portfolio: str | None,
    version: str | None,
    base: str | None,
    clients: tuple[str, ...],
    set_again: bool,
    as_json: bool,
) -> None:
    """Link the account WABA, and find its numbers.

    WABA is Meta's id of it. Asks for an access token with whatsapp_business_management, and for
    the app secret, which the signatures of webhooks are checked with. They may also come in
    NIGHTLATCH_CLOUD_TOKEN and NIGHTLATCH_CLOUD_SECRET, or as two lines on standard input. They
    are no arguments, which everybody on the machine could see.
    """
    chosen = await portfolio_of(house, portfolio)
    token, secret = asking.token_and_secret()
    one = await links.link(
        house.world, chosen, waba, token, secret=secret, base=base or META,
        version=version or "v23.0", clients=clients or (FIRST_CLIENT,), set_again=set_again,
    )  # fmt: skip
    told: dict[str, Any] = {
        "waba": one.waba,
        "name": one.name,
        "callback_address": _callback(house, one),
        "verify_token": links.verify_token_of(house.world, one),
    }
    if not as_json:
        click.echo(f"linked {one.waba} ({one.name})\n")
        click.echo("To hear what happens at Meta, set in the app's dashboard there:\n")
        output.line("callback URL", told["callback_address"], column=14, indent=2)
        output.line("verify token", told["verify_token"], column=14, indent=2)
        click.echo(f"\nand then: nightlatch cloud subscribe {one.waba}\n")
    found = await _read(house, one)
    if as_json:
        numbers = {"numbers": found.added, "skipped": list(found.skipped)}
        click.echo(json.dumps(told | numbers, ensure_ascii=False, indent=2))
    else:
        _tell(one, found)


def _callback(house: House, one: CloudLink) -> str:
    return f"{house.origin}{links.callback_path(one.waba)}"


async def _read(house: House, one: CloudLink) -> links.Found:
    total = await house.world.store.linked_count(one.waba)
    with output.progress("reading numbers") as tell:
        return await links.read_numbers(house.world, one, lambda seen: tell(seen, max(total, seen)))


def _tell(one: CloudLink, found: links.Found) -> None:
    click.echo(f"{_numbers(found.seen)} in {one.name}, {found.added} of them new here")
    for shown in found.skipped[:_SHOWN_SKIPPED]:
        click.echo(f"left out, because this registry has it or it cannot be read: {shown}")
    if len(found.skipped) > _SHOWN_SKIPPED:
        click.echo(f"left out in all: {len(found.skipped)}")


def _numbers(count: int) -> str:
    return f"{count} number" if count == 1 else f"{count} numbers"


@group.command("list")
@click.option("--portfolio", help="Only those of the portfolio with this id.")
@as_json
@with_house
async def list_(house: House, portfolio: str | None, as_json: bool) -> None:
    """List every linked account."""
    found = [
        {
            "waba": one.waba,
            "name": one.name,
            "numbers": await house.world.store.linked_count(one.waba),
            "token": _token(one),
            "webhooks": _webhooks(one),
            "read": _moment(one.read_at),
        }
        | ({"portfolio": one.portfolio} if as_json else {})
        for one in await links.links(house.world, portfolio)
    ]
    output.rows(found, as_json=as_json, empty="no linked accounts; see: nightlatch cloud link -h")


@group.command("show")
@click.argument("waba")
@click.option("--verify-token", is_flag=True, help="Print the verify token, alone.")
@as_json
@with_house
async def show(house: House, waba: str, verify_token: bool, as_json: bool) -> None:
    """Show a linked account and its access token's state."""
    one = await links.find_link(house.world, waba)
    if verify_token:
        click.echo(links.verify_token_of(house.world, one))
        return
    scopes = [] if one.facts is None else sorted(one.facts.scopes)
    shown = {
        "waba": one.waba,
        "name": one.name,
        "portfolio": one.portfolio,
        "numbers": await house.world.store.linked_count(one.waba),
        "clients": ", ".join(one.clients),
        "token": _token(one),
        "permissions": ", ".join(scopes),
        "app_secret": "none" if one.secret is None else "kept",
        "webhooks": _webhooks(one),
        "callback_address": _callback(house, one),
        "set_again": "yes" if one.set_again else "no",
        "base": one.base,
        "version": one.version,
        "linked": _moment(one.linked_at),
        "read": _moment(one.read_at),
    }
    if as_json:
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    else:
        output.facts(shown)


def _token(one: CloudLink) -> str:
    if one.lost_at is not None:
        return f"refused since {output.moment(one.lost_at)}"
    facts = one.facts
    ends = [] if facts is None else [facts.expires_at, facts.data_ends_at]
    known = [at for at in ends if at is not None]
    return f"good until {output.moment(min(known))}" if known else "good"


def _webhooks(one: CloudLink) -> str:
    if one.subscribed is None:
        return "not known"
    if not one.subscribed:
        return "not subscribed"
    return "subscribed" if one.secret is not None else "subscribed, refused without app secret"


def _moment(at: datetime | None) -> str | None:
    return None if at is None else output.moment(at)


@group.command("token")
@click.argument("waba")
@with_house
async def token(house: House, waba: str) -> None:
    """Give the account another access token.

    It is kept once Meta says that it is good. Asks for it, or takes it from
    NIGHTLATCH_CLOUD_TOKEN or standard input.
    """
    one = await links.find_link(house.world, waba)
    renewed = await links.renew_token(house.world, one, asking.token())
    click.echo(f"{renewed.waba} ({renewed.name}) has another access token, {_token(renewed)}")


@group.command("change")
@click.argument("waba")
@_version
@_base
@_clients
@click.option(
    "--set-again/--no-set-again", default=None, help="Set a PIN again when somebody turned it off."
)
@click.option(
    "--ask-secret", is_flag=True, help="Ask for another app secret; also NIGHTLATCH_CLOUD_SECRET."
)
@with_house
async def change(
    house: House,
    waba: str,
    version: str | None,
    base: str | None,
    clients: tuple[str, ...],
    set_again: bool | None,
    ask_secret: bool,
) -> None:
    """Change how the account is spoken for.

    What is not named stays as it is.
    """
    if not (version or base or clients or ask_secret) and set_again is None:
        raise click.UsageError("name what is to be changed")
    one = await links.find_link(house.world, waba)
    secret = asking.secret() if ask_secret else None
    changed = await links.change_link(
        house.world, one, secret=secret, version=version, base=base, clients=clients or None,
        set_again=set_again,
    )  # fmt: skip
    click.echo(f"changed {changed.waba} ({changed.name})")


@group.command("read")
@click.argument("waba")
@with_house
async def read(house: House, waba: str) -> None:
    """Read token and numbers of the account from Meta.

    Cut short, the next reading goes on where this one stopped. A server does this by itself.
    """
    one = await links.find_link(house.world, waba)
    one = await links.check_token(house.world, one)
    _tell(one, await _read(house, one))


@group.command("subscribe")
@click.argument("waba")
@with_house
async def subscribe(house: House, waba: str) -> None:
    """Let the account's webhooks come to the app.

    It is the app that the access token was issued for.
    """
    one = await links.find_link(house.world, waba)
    done = await links.subscribe(house.world, one)
    click.echo(f"webhooks of {done.name} come to the app of its access token from now on;")
    click.echo(f"the app must send them to {_callback(house, done)}")


@group.command("unlink")
@click.argument("waba")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_house
async def unlink(house: House, waba: str, yes: bool) -> None:
    """Forget the account, its numbers and their PINs.

    At Meta nothing changes: the numbers keep their PINs, which nobody can read there.
    """
    one = await links.find_link(house.world, waba)
    count = await house.world.store.linked_count(one.waba)
    if not yes:
        click.confirm(
            f"Forget {one.name} with {_numbers(count)} and every PIN that the vault has of them?",
            abort=True, err=True,
        )  # fmt: skip
    await links.unlink(house.world, one)
    click.echo(f"unlinked {one.waba} ({one.name})")
