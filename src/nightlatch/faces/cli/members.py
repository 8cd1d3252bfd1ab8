"""``nightlatch members``: people with a login to the Manager."""

import sys

import click

from nightlatch.domain.members import MemberRole
from nightlatch.faces.cli import output
from nightlatch.faces.cli.frame import as_json, in_portfolio, one_of, portfolio_of, with_house
from nightlatch.faces.cli.house import House
from nightlatch.faces.spelling import spell_email
from nightlatch.usecases import members


@click.group("members")
def group() -> None:
    """The people with a login to the Manager."""


@group.command("add")
@click.argument("email")
@click.option("--name", required=True, help="The person's name.")
@one_of(MemberRole, "--role", help="What they may do.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@in_portfolio
@with_house
async def add(
    house: House,
    email: str,
    name: str,
    role: MemberRole,
    password_stdin: bool,
    portfolio: str | None,
) -> None:
    """Add a member with a password, without mailing anything.

    Asks for the password twice. It is no argument, which everybody on the machine could see.
    """
    address, chosen = spell_email(email), await portfolio_of(house, portfolio)
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    added = await members.add_member(house.world, chosen, address, name, role, password)
    click.echo(f"added {added.email} ({added.name}) as {added.role.value}")


@group.command("list")
@in_portfolio
@as_json
@with_house
async def list_(house: House, portfolio: str | None, as_json: bool) -> None:
    """List members and open invitations."""
    chosen, store = await portfolio_of(house, portfolio), house.world.store
    found = [
        {
            "email": one.email,
            "name": one.name,
            "role": one.role.value,
            "authenticator": "on" if one.app is not None else "off",
            "joined": output.moment(one.joined_at),
            "invited_until": None,
        }
        for one in await store.members(chosen)
    ]
    found += [
        {
            "email": one.email,
            "name": None,
            "role": one.role.value,
            "authenticator": None,
            "joined": None,
            "invited_until": output.moment(one.expires_at),
        }
        for one in await store.invitations(chosen, house.world.clock.now())
    ]
    output.rows(found, as_json=as_json, empty="no members yet; see: nightlatch members add --help")


@group.command("reset-password")
@click.argument("email")
@click.option("--drop-app", is_flag=True, help="Also turn the authenticator app off.")
@with_house
async def reset_password(house: House, email: str, drop_app: bool) -> None:
    """Print a link by which a member sets another password.

    It is good once, for 30 minutes, and opens whoever has it the member's login. For who lost the
    authenticator app and the recovery codes, too, there is --drop-app.
    """
    address = spell_email(email)
    token = await members.reset_token(house.world, address)
    if drop_app:
        await members.drop_app(house.world, address)
        click.echo("the authenticator app is off")
    click.echo(f"{address} sets another password here, once, within 30 minutes:\n")
    click.echo(f"  {house.origin}/manager/reset/{token}")
