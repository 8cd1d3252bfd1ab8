"""``nightlatch token``: access tokens for the Cloud API's endpoints."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NoReturn

import click

from nightlatch.domain.access import GraphApp, Scope, SystemRole, SystemUser
from nightlatch.domain.errors import AccessTokenUnknown
from nightlatch.domain.limits import ACCESS_TOKEN_LONGEST
from nightlatch.faces.cli import output
from nightlatch.faces.cli.frame import as_json, in_portfolio, portfolio_of, stop, with_house
from nightlatch.faces.cli.house import House
from nightlatch.ports import World
from nightlatch.usecases import access

_USUAL = (Scope.MANAGEMENT.value, Scope.MESSAGING.value)


@click.group("token")
def group() -> None:
    """Access tokens for the Cloud API's endpoints."""


@group.command("issue")
@click.option("--app", help="Id of the app; needed when there are several.")
@click.option("--system-user", help="Id of the system user; needed when there are several.")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice([scope.value for scope in Scope]),
    default=_USUAL, show_default=True, help="What it may do; may be repeated.",
)  # fmt: skip
@click.option(
    "--days", type=click.IntRange(1, ACCESS_TOKEN_LONGEST.days),
    help="How long it is good for. Default: for ever.",
)  # fmt: skip
@in_portfolio
@with_house
async def issue(
    house: House,
    app: str | None,
    system_user: str | None,
    scopes: tuple[str, ...],
    days: int | None,
    portfolio: str | None,
) -> None:
    """Print a new access token, alone and this once.

    TOKEN=$(nightlatch token issue) keeps it. Where there is no app or no system user yet, one is
    made: "My app", and "My system user" with the role admin.
    """
    world, chosen = house.world, await _portfolio(house, app, system_user, portfolio)
    used = await _app(world, chosen, app)
    user = await _system_user(world, chosen, system_user)
    life = None if days is None else timedelta(days=days)
    token = await access.issue_token(world, user, used, [Scope(name) for name in scopes], life)
    reference = (await access.access_tokens(world, user))[0].reference
    until = "until it is revoked" if days is None else f"for {days} days"
    click.echo(f"{reference} speaks for {user.name}, for {used.name}, {until}", err=True)
    click.echo(token)


async def _portfolio(
    house: House, app: str | None, system_user: str | None, portfolio: str | None
) -> str:
    """The one that is named, or else that of what is named; or the only one."""
    if portfolio is None and app is not None:
        return (await access.find_app(house.world, app)).portfolio
    if portfolio is None and system_user is not None:
        return (await access.find_system_user(house.world, system_user)).portfolio
    return await portfolio_of(house, portfolio)


async def _app(world: World, portfolio: str, chosen: str | None) -> GraphApp:
    if chosen is not None:
        return await access.find_app(world, chosen, portfolio)
    found = await access.apps(world, portfolio)
    if len(found) > 1:
        _choose("app", "--app", [(one.id, one.name) for one in found])
    if found:
        return found[0]
    made = (await access.add_app(world, portfolio, "My app")).app
    click.echo(f"made the app {made.id} ({made.name})", err=True)
    return made


async def _system_user(world: World, portfolio: str, chosen: str | None) -> SystemUser:
    if chosen is not None:
        return await access.find_system_user(world, chosen, portfolio)
    found = await access.system_users(world, portfolio)
    if len(found) > 1:
        _choose("system user", "--system-user", [(one.id, one.name) for one in found])
    if found:
        return found[0]
    made = await access.add_system_user(world, portfolio, "My system user", SystemRole.ADMIN)
    click.echo(f"made the system user {made.id} ({made.name}, {made.role.value})", err=True)
    return made


def _choose(what: str, option: str, found: Sequence[tuple[str, str]]) -> NoReturn:
    several = ", ".join(f"{id} ({name})" for id, name in found)
    stop(f"there are several {what}s; choose one with {option}: {several}")


@group.command("list")
@click.option("--system-user", help="Only those of the system user with this id.")
@as_json
@with_house
async def list_(house: House, system_user: str | None, as_json: bool) -> None:
    """List access tokens by their references.

    The tokens themselves are kept nowhere.
    """
    now = house.world.clock.now()
    found = [
        {
            "reference": token.reference,
            "system_user": user.id,
            "app": token.app,
            "scopes": " ".join(token.scopes),
            "issued": output.moment(token.issued_at),
            "expires": None if token.expires_at is None else output.moment(token.expires_at),
            "state": "live" if token.lives(now) else "expired",
        }
        for user in await _users(house.world, system_user)
        for token in await access.access_tokens(house.world, user)
    ]
    output.rows(
        found, as_json=as_json, empty="no access tokens; see: nightlatch token issue --help"
    )


@group.command("revoke")
@click.argument("reference")
@with_house
async def revoke(house: House, reference: str) -> None:
    """Revoke the access token with REFERENCE; it opens nothing any more."""
    for user in await _users(house.world, None):
        for token in await access.access_tokens(house.world, user):
            if token.reference == reference:
                await access.revoke_token(house.world, user, reference)
                click.echo(f"revoked {reference} of {user.name}")
                return
    raise AccessTokenUnknown


async def _users(world: World, chosen: str | None) -> list[SystemUser]:
    """Raises SystemUserUnknown."""
    if chosen is not None:
        return [await access.find_system_user(world, chosen)]
    portfolios = await world.store.portfolios()
    return [user for one in portfolios for user in await access.system_users(world, one.id)]
