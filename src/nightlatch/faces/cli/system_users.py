"""``nightlatch system-user``: programs' accounts, which access tokens speak for."""

import click

from nightlatch.domain.access import SystemRole
from nightlatch.faces.cli import output
from nightlatch.faces.cli.frame import as_json, in_portfolio, one_of, portfolio_of, with_house
from nightlatch.faces.cli.house import House
from nightlatch.usecases import access

_wabas = click.option(
    "--waba", "wabas", multiple=True,
    help="Id of a WhatsApp account that an employee sees; may be repeated.",
)  # fmt: skip


@click.group("system-user")
def group() -> None:
    """The system users: programs' accounts."""


@group.command("add")
@click.argument("name")
@one_of(SystemRole, "--role", default=SystemRole.ADMIN, help="An admin sees every account.")
@_wabas
@in_portfolio
@with_house
async def add(
    house: House, name: str, role: SystemRole, wabas: tuple[str, ...], portfolio: str | None
) -> None:
    """Add the system user NAME."""
    chosen = await portfolio_of(house, portfolio)
    added = await access.add_system_user(house.world, chosen, name, role, wabas)
    click.echo(f"added {added.id} ({added.name}) as {added.role.value}")


@group.command("list")
@click.option("--portfolio", help="Only those of the portfolio with this id.")
@as_json
@with_house
async def list_(house: House, portfolio: str | None, as_json: bool) -> None:
    """List every system user."""
    now, found = house.world.clock.now(), []
    for one in await house.world.store.portfolios():
        if portfolio not in (None, one.id):
            continue
        for user in await access.system_users(house.world, one.id):
            tokens = await access.access_tokens(house.world, user)
            sees = "all" if user.role is SystemRole.ADMIN else " ".join(user.wabas)
            found.append(
                {
                    "id": user.id,
                    "name": user.name,
                    "role": user.role.value,
                    "portfolio": one.id,
                    "accounts": sees,
                    "live_tokens": sum(token.lives(now) for token in tokens),
                }
            )
    output.rows(
        found, as_json=as_json, empty="no system users; see: nightlatch system-user add --help"
    )


@group.command("grant")
@click.argument("system_user")
@one_of(SystemRole, "--role", help="An admin sees every account.")
@_wabas
@with_house
async def grant(house: House, system_user: str, role: SystemRole, wabas: tuple[str, ...]) -> None:
    """Give SYSTEM_USER another role, or other accounts in place of those it sees."""
    found = await access.find_system_user(house.world, system_user)
    changed = await access.grant(house.world, found, role, wabas)
    sees = "every account" if role is SystemRole.ADMIN else " ".join(changed.wabas) or "no account"
    click.echo(f"{changed.id} ({changed.name}) is {changed.role.value} and sees {sees}")


@group.command("remove")
@click.argument("system_user")
@with_house
async def remove(house: House, system_user: str) -> None:
    """Remove SYSTEM_USER with its access tokens."""
    found = await access.find_system_user(house.world, system_user)
    await access.remove_system_user(house.world, found)
    click.echo(f"removed {found.id} ({found.name})")
