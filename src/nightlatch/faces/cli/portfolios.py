"""``nightlatch portfolios`` and ``nightlatch wabas``."""

import click

from nightlatch.faces.cli import output
from nightlatch.faces.cli.frame import as_json, in_portfolio, portfolio_of, with_house
from nightlatch.faces.cli.house import House
from nightlatch.faces.spelling import spell_email
from nightlatch.usecases import portfolios


@click.group("portfolios")
def group() -> None:
    """The portfolios and their e-mail addresses."""


@group.command("list")
@as_json
@with_house
async def list_(house: House, as_json: bool) -> None:
    """List every portfolio."""
    store = house.world.store
    found = [
        {
            "id": one.id,
            "name": one.name,
            "email": one.email,
            "accounts": len(await store.wabas(one.id)),
            "members": len(await store.members(one.id)),
        }
        for one in await store.portfolios()
    ]
    output.rows(found, as_json=as_json, empty="no portfolios")


@group.command("add")
@click.argument("name")
@click.option("--email", required=True, help="Where links that turn two-step verification off go.")
@with_house
async def add(house: House, name: str, email: str) -> None:
    """Add the portfolio NAME, with one WhatsApp account and no members."""
    added = await portfolios.add_portfolio(house.world, name, spell_email(email))
    click.echo(f"added {added.id} ({added.name}); it has no members, see: nightlatch members add")


@group.command("change")
@click.option("--name", help="Another name.")
@click.option("--email", help="Another address; the old and the new one are told.")
@in_portfolio
@with_house
async def change(house: House, name: str | None, email: str | None, portfolio: str | None) -> None:
    """Give a portfolio another name or e-mail address."""
    known = await portfolios.find_portfolio(house.world, await portfolio_of(house, portfolio))
    changed = await portfolios.change_portfolio(
        house.world,
        known.id,
        known.name if name is None else name,
        known.email if email is None else spell_email(email),
    )
    click.echo(f"{changed.id} is {changed.name}, {changed.email}")


# WhatsApp accounts


@click.group("wabas")
def wabas() -> None:
    """The WhatsApp accounts, which hold numbers."""


@wabas.command("list")
@click.option("--portfolio", help="Only those of the portfolio with this id.")
@as_json
@with_house
async def wabas_list(house: House, portfolio: str | None, as_json: bool) -> None:
    """List every WhatsApp account, with how many of its numbers are protected."""
    store, now = house.world.store, house.world.clock.now()
    chosen = (
        await store.portfolios()
        if portfolio is None
        else [await portfolios.find_portfolio(house.world, portfolio)]
    )
    found = []
    for one in chosen:
        for waba in await store.wabas(one.id):
            tally = await store.tally(waba.id, now)
            found.append(
                {
                    "id": waba.id,
                    "name": waba.name,
                    "portfolio": one.id,
                    "numbers": tally.numbers,
                    "protected": tally.protected,
                    "locked": tally.locked,
                }
            )
    output.rows(found, as_json=as_json, empty="no WhatsApp accounts")


@wabas.command("add")
@click.argument("name")
@in_portfolio
@with_house
async def wabas_add(house: House, name: str, portfolio: str | None) -> None:
    """Add the WhatsApp account NAME to a portfolio."""
    added = await portfolios.add_waba(house.world, await portfolio_of(house, portfolio), name)
    click.echo(f"added {added.id} ({added.name})")
