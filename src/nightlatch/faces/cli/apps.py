"""``nightlatch app``: what access tokens are issued for, and where webhooks go."""

import json

import click

from nightlatch.domain.access import Caller
from nightlatch.domain.audit import OPERATOR
from nightlatch.domain.webhooks import Field
from nightlatch.faces.cli import output
from nightlatch.faces.cli.frame import as_json, in_portfolio, portfolio_of, stop, with_house
from nightlatch.faces.cli.house import House
from nightlatch.usecases import access, webhooks
from nightlatch.usecases.portfolios import known_waba


@click.group("app")
def group() -> None:
    """The apps: for access tokens and webhooks."""


@group.command("add")
@click.argument("name")
@in_portfolio
@as_json
@with_house
async def add(house: House, name: str, portfolio: str | None, as_json: bool) -> None:
    """Add the app NAME, and print its secret this once."""
    new = await access.add_app(house.world, await portfolio_of(house, portfolio), name)
    if as_json:
        told = {"id": new.app.id, "name": new.app.name, "secret": new.secret}
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    click.echo(f"added {new.app.id} ({new.app.name}); its secret, shown this once:\n")
    click.echo(f"  {new.secret}")


@group.command("list")
@click.option("--portfolio", help="Only those of the portfolio with this id.")
@as_json
@with_house
async def list_(house: House, portfolio: str | None, as_json: bool) -> None:
    """List every app, and where its webhooks go."""
    found = []
    for one in await house.world.store.portfolios():
        if portfolio not in (None, one.id):
            continue
        for app in await access.apps(house.world, one.id):
            callback = app.callback
            found.append(
                {
                    "id": app.id,
                    "name": app.name,
                    "portfolio": one.id,
                    "webhooks_to": None if callback is None else callback.url,
                    "fields": None if callback is None else ", ".join(sorted(callback.fields)),
                    "accounts": len(await webhooks.subscribed_to(house.world, app)),
                    "proof": "required" if app.needs_proof else "not required",
                }
            )
    output.rows(found, as_json=as_json, empty="no apps; see: nightlatch app add --help")


@group.command("secret")
@click.argument("app")
@with_house
async def secret(house: House, app: str) -> None:
    """Renew the secret of APP and print the new one, alone.

    The one before is worthless at once.
    """
    found = await access.find_app(house.world, app)
    click.echo(await access.renew_secret(house.world, found))


@group.command("webhook")
@click.argument("app")
@click.argument("url", required=False)
@click.option(
    "--verify-token",
    default="",
    envvar="NIGHTLATCH_VERIFY_TOKEN",
    help="What the receiver expects as hub.verify_token; also NIGHTLATCH_VERIFY_TOKEN.",
)
@click.option(
    "--field", "fields", multiple=True, type=click.Choice([field.value for field in Field]),
    help="What to tell; may be repeated. Default: everything.",
)  # fmt: skip
@click.option("--remove", is_flag=True, help="Send them nowhere instead.")
@with_house
async def webhook(
    house: House,
    app: str,
    url: str | None,
    verify_token: str,
    fields: tuple[str, ...],
    remove: bool,
) -> None:
    """Send the webhooks of APP to URL, which must answer a challenge now.

    An app hears about the accounts it is subscribed to; see: nightlatch app subscribe --help
    """
    if remove == (url is not None):
        raise click.UsageError("give either a URL or --remove")
    found = await access.find_app(house.world, app)
    if url is None:
        await webhooks.remove_callback(house.world, found)
        click.echo(f"webhooks of {found.name} go nowhere any more")
        return
    chosen = [Field(name) for name in fields] or list(Field)
    await webhooks.set_callback(house.world, found, url, verify_token, chosen)
    click.echo(f"{url} answered the challenge; webhooks of {found.name} go there from now on")


@group.command("subscribe")
@click.argument("app")
@click.option("--waba", help="Id of the WhatsApp account; needed when there are several.")
@click.option("--remove", is_flag=True, help="End the subscription instead.")
@with_house
async def subscribe(house: House, app: str, waba: str | None, remove: bool) -> None:
    """Let APP hear about a WhatsApp account."""
    found = await access.find_app(house.world, app)
    if waba is None:
        several = await house.world.store.wabas(found.portfolio)
        if len(several) != 1:
            stop("choose a WhatsApp account with --waba; see: nightlatch wabas list")
        waba = several[0].id
    account = await known_waba(house.world, waba)
    if remove:
        await webhooks.unsubscribe(house.world, Caller(found), account, OPERATOR)
        click.echo(f"{found.name} hears no more about {account.name}")
        return
    await webhooks.subscribe(house.world, Caller(found), account, by=OPERATOR)
    click.echo(f"{found.name} hears about {account.name} from now on")


@group.command("proof")
@click.argument("app")
@click.argument("needed", type=click.Choice(["on", "off"]))
@with_house
async def proof(house: House, app: str, needed: str) -> None:
    """Require an appsecret_proof of calls with tokens of APP, or not."""
    found = await access.find_app(house.world, app)
    await access.require_proof(house.world, found, needed == "on")
    click.echo(f"calls with tokens of {found.name} need {'a' if needed == 'on' else 'no'} proof")


@group.command("remove")
@click.argument("app")
@with_house
async def remove(house: House, app: str) -> None:
    """Remove APP with its access tokens, subscriptions and deliveries."""
    found = await access.find_app(house.world, app)
    await access.remove_app(house.world, found)
    click.echo(f"removed {found.id} ({found.name})")
