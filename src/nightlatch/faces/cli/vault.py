"""``nightlatch vault``: the PINs of numbers at the Cloud API."""

import json
import re
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from nightlatch.domain.errors import Refusal
from nightlatch.faces.cli import asking, output, words
from nightlatch.faces.cli.cloud_numbers import find
from nightlatch.faces.cli.frame import REFUSED, as_json, with_house
from nightlatch.faces.cli.house import House
from nightlatch.usecases import links, vault
from nightlatch.usecases.vault import Rotated

_UNITS = {"d": "days", "h": "hours", "min": "minutes"}


@click.group("vault")
def group() -> None:
    """The PINs of numbers at the Cloud API."""


@group.command("show")
@click.argument("number")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@with_house
async def show(house: House, number: str, yes: bool, as_json: bool) -> None:
    """Print the PIN of NUMBER.

    It is written down that you saw it.
    """
    found = await find(house, number)
    if not yes:
        asked = f"Show the PIN of {found.e164}? The audit trail will tell of it."
        click.confirm(asked, abort=True, err=True)
    seen = await vault.reveal(house.world, found)
    if as_json:
        told = {"pin": seen.pin, "maybe": list(seen.maybe), "doubted": seen.doubted}
        click.echo(json.dumps(told, indent=2))
        return
    if seen.pin is not None:
        click.echo(f"{seen.pin}  {_known(seen)}".rstrip())
    for one in seen.maybe:
        click.echo(f"{one}  sent later, and it is not known whether Meta took it")


def _known(seen: vault.Revealed) -> str:
    if seen.doubted:
        return "perhaps an old one: somebody may have set another at Meta"
    return "taken by Meta last, as far as is known" if seen.maybe else ""


@group.command("keep")
@click.argument("number")
@with_house
async def keep(house: House, number: str) -> None:
    """Tell the vault what the PIN of NUMBER is.

    Asks for it, or takes it from NIGHTLATCH_PIN or standard input. Meta is not asked whether it
    is right, because a wrong one would count.
    """
    found = await find(house, number)
    kept = await vault.keep(house.world, found, asking.pin(again=True))
    click.echo(f"the vault has the PIN of {kept.e164}")


@group.command("set")
@click.argument("number")
@with_house
async def set_(house: House, number: str) -> None:
    """Set a PIN of your choice for NUMBER at Meta.

    Meta wants no old one. Asks for it, or takes it from NIGHTLATCH_PIN or standard input.
    """
    found = await find(house, number)
    done = await vault.rotate(house.world, found, pin=asking.pin(again=True))
    click.echo(f"{done.e164} has the new PIN, and the vault, too")


class _Moment(click.ParamType[datetime | timedelta]):
    """A time, or how long ago it was."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | timedelta:
        text = str(value)
        ago = re.fullmatch(r"(\d{1,4}) ?(d|h|min)", text, re.ASCII)
        if ago:
            return timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            self.fail("must be like 90d, 12h, 30min or 2026-01-15T12:00:00+00:00", param, ctx)
        return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


@group.command("rotate")
@click.argument("numbers", nargs=-1, metavar="[NUMBER]...")
@click.option("--account", "waba", help="Every registered number of this linked account.")
@click.option(
    "--older-than", type=_Moment(),
    help="Only PINs set before this time, or so long ago: 90d, 12h. Default: every PIN.",
)  # fmt: skip
@as_json
@with_house
async def rotate(
    house: House,
    numbers: tuple[str, ...],
    waba: str | None,
    older_than: datetime | timedelta | None,
    as_json: bool,
) -> None:
    """Set PINs drawn by chance at Meta, and keep them in the vault.

    Give numbers, or an account. When an account's rotation stops early it says how to go on.
    Exits with 1 when a number has no new PIN.
    """
    if bool(numbers) == bool(waba) or (older_than is not None and not waba):
        raise click.UsageError("give either numbers, or --account and perhaps --older-than")
    now = house.world.clock.now()
    before = now - older_than if isinstance(older_than, timedelta) else older_than or now
    on = f"nightlatch vault rotate --account {waba} --older-than {before.isoformat()}"
    found: list[Rotated] = []
    ended = False
    try:
        if waba is None:
            await _one_by_one(house, numbers, found)
        else:
            await _whole(house, waba, before, found)
        ended = True
    finally:
        refused = [one for one in found if one.refusal is not None]
        if found or ended:
            _tell(found, refused, as_json=as_json)
        if waba is not None and (refused or (found and not ended)):
            click.echo(f"to go on with those that are left: {on}", err=True)
    if refused:
        sys.exit(REFUSED)


async def _one_by_one(house: House, numbers: tuple[str, ...], found: list[Rotated]) -> None:
    chosen = [await find(house, number) for number in numbers]
    with output.progress("setting PINs") as tell:
        for number in chosen:
            refusal = None
            try:
                await vault.rotate(house.world, number)
            except Refusal as refused:
                refusal = refused
            found.append(Rotated(number, refusal))
            tell(len(found), len(chosen))


async def _whole(house: House, waba: str, before: datetime, found: list[Rotated]) -> None:
    one = await links.find_link(house.world, waba)
    total = await house.world.store.linked_count(waba)
    rotating: AsyncIterator[Rotated] = vault.rotate_many(house.world, one, older_than=before)
    with output.progress("setting PINs") as tell:
        async for each in rotating:
            found.append(each)
            tell(len(found), total)


def _tell(found: list[Rotated], refused: list[Rotated], *, as_json: bool) -> None:
    if as_json:
        told = [
            {
                "number": one.number.e164,
                "rotated": one.refusal is None,
                "why": None if one.refusal is None else words.of(one.refusal),
            }
            for one in found
        ]
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    for one in refused:
        if one.refusal is not None:
            click.echo(f"{one.number.e164}: {words.of(one.refusal)}", err=True)
    done = len(found) - len(refused)
    click.echo(f"{done} PIN is new" if done == 1 else f"{done} PINs are new")
