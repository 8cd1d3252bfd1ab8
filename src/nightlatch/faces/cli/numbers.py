"""``nightlatch numbers``: the phone numbers of the registry."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from typing import Any, TextIO

import click

from nightlatch.domain.errors import NumberExists, ParameterInvalid
from nightlatch.domain.numbers import Number, read_name
from nightlatch.domain.overview import Show, Tally
from nightlatch.faces import sentences
from nightlatch.faces.cli import output, words
from nightlatch.faces.cli.frame import as_file, as_json, one_of, stop, with_house
from nightlatch.faces.cli.house import House
from nightlatch.faces.exports import Format
from nightlatch.faces.spelling import spell_whole
from nightlatch.ports import NumberLine, World
from nightlatch.usecases import numbers
from nightlatch.usecases.overview import every_number
from nightlatch.usecases.portfolios import known_waba

_LAST = 20
"""Events that ``show`` shows."""
_AT_ONCE = 50
_FAULTS_SHOWN = 10

_waba = click.option("--waba", help="Id of the WhatsApp account; see: nightlatch wabas list.")
_show = one_of(Show, "--show", default=Show.ALL, help="Only these.")
_search = click.option(
    "--search", "text", default="", help="Digits at either end of the number, or words of the name."
)


@click.group("numbers")
def group() -> None:
    """The phone numbers of the registry."""


@group.command("add")
@click.argument("number")
@click.option("--name", required=True, help="The display name.")
@_waba
@with_house
async def add(house: House, number: str, name: str, waba: str | None) -> None:
    """Add NUMBER, in any spelling with its country code.

    It belongs to the first WhatsApp account unless --waba names another.
    """
    e164, cc = spell_whole(number)
    added = await numbers.add_number(house.world, await _account(house, waba), e164, cc, name)
    click.echo(f"added {added.e164} ({added.name or added.asked_name})")


async def _account(house: House, waba: str | None) -> str:
    """Raises WabaUnknown."""
    if waba is None:
        return await house.first_waba()
    return (await known_waba(house.world, waba)).id


@group.command("list")
@_waba
@_show
@_search
@as_json
@with_house
async def list_(house: House, waba: str | None, show: Show, text: str, as_json: bool) -> None:
    """List numbers: all of them, or those that are asked for."""
    now = house.world.clock.now()
    found = [
        _shown(line.number, now)
        | ({"id": line.number.id, "waba": line.number.waba} if as_json else {})
        async for line in _lines(house.world, waba, show, text)
    ]
    output.rows(found, as_json=as_json, empty="no numbers; see: nightlatch numbers add --help")


async def _lines(
    world: World, waba: str | None, show: Show, text: str
) -> AsyncIterator[NumberLine]:
    """The numbers of one account or of all, account by account."""
    for account in await _accounts(world, waba):
        async for line in every_number(world, account, show, text):
            yield line


async def _accounts(world: World, waba: str | None) -> list[str]:
    """Raises WabaUnknown."""
    if waba is not None:
        return [(await known_waba(world, waba)).id]
    portfolios = await world.store.portfolios()
    return [one.id for portfolio in portfolios for one in await world.store.wabas(portfolio.id)]


@group.command("show")
@click.argument("number")
@as_json
@with_house
async def show(house: House, number: str, as_json: bool) -> None:
    """Show one number and what last happened to it."""
    found = await numbers.find_number(house.world, spell_whole(number)[0])
    last = await house.world.store.newest_events(_LAST, f"number:{found.id}")
    links = [output.event(link) for link in last]
    shown = _shown(found, house.world.clock.now()) | {
        "id": found.id,
        "waba": found.waba,
        "asked_name": found.asked_name,
        "name_state": found.name_state.value,
        "code_state": found.code_state(house.world.clock.now()).value,
    }
    if as_json:
        click.echo(json.dumps({**shown, "events": links}, ensure_ascii=False, indent=2))
        return
    for name, value in shown.items():
        click.echo(f"{name.replace('_', ' '):<16} {'' if value is None else value}")
    click.echo()
    output.rows(links, as_json=False, empty="nothing happened yet")


@group.command("certificate")
@click.argument("number")
@click.option("--new", is_flag=True, help="Make another one; the one before is good no more.")
@with_house
async def certificate(house: House, number: str, new: bool) -> None:
    """Print the number's certificate.

    It is the verified-name certificate, one line of base64, that registering needs as `cert`.
    """
    found = await numbers.find_number(house.world, spell_whole(number)[0])
    if new:
        found = await numbers.renew_certificate(house.world, found)
    click.echo(numbers.certificate(house.world, found))


@group.command("name")
@click.argument("number")
@click.argument("name")
@with_house
async def name_(house: House, number: str, name: str) -> None:
    """Give NUMBER the display name NAME, with a new certificate.

    Where names are reviewed it waits for `numbers approve`.
    """
    found = await numbers.find_number(house.world, spell_whole(number)[0])
    changed = await numbers.ask_name(house.world, found, name)
    if changed.asked_name is None:
        click.echo(f"{changed.e164} is {changed.name} now, with a new certificate")
    else:
        click.echo(f"{changed.e164} waits for review as {changed.asked_name}")


@group.command("approve")
@click.argument("number")
@with_house
async def approve(house: House, number: str) -> None:
    """Approve the display name that NUMBER waits for.

    A new certificate comes with it.
    """
    found = await numbers.find_number(house.world, spell_whole(number)[0])
    approved = await numbers.approve_name(house.world, found)
    click.echo(f"{approved.e164} is {approved.name} now, with a new certificate")


@group.command("decline")
@click.argument("number")
@with_house
async def decline(house: House, number: str) -> None:
    """Decline the display name that NUMBER waits for.

    The one before stays.
    """
    found = await numbers.find_number(house.world, spell_whole(number)[0])
    declined = await numbers.decline_name(house.world, found)
    click.echo(f"declined {declined.asked_name} for {declined.e164}")


@group.command("unlock")
@click.argument("number")
@with_house
async def unlock(house: House, number: str) -> None:
    """End the lock, or the wait, after wrong PINs."""
    found = await numbers.find_number(house.world, spell_whole(number)[0])
    await numbers.unlock(house.world, found)
    click.echo(f"unlocked {found.e164}")


@group.command("deregister")
@click.argument("number")
@with_house
async def deregister(house: House, number: str) -> None:
    """Take NUMBER from the client that holds it.

    Two-step verification stays as it is.
    """
    found = await numbers.find_number(house.world, spell_whole(number)[0])
    await numbers.deregister(house.world, found)
    click.echo(f"{found.e164} was let go of by {sentences.held_by(found.holder)}")


def _shown(number: Number, now: datetime) -> dict[str, Any]:
    wait = number.guesses.remaining(now).total_seconds()
    return {
        "e164": number.e164,
        "cc": number.cc,
        "phone_number": number.national,
        "name": number.name,
        "status": number.status.value,
        "two_step": "on" if number.two_step.is_on else "off",
        "held_by": number.holder,
        "guesses": "locked" if number.guesses.locked else f"wait {wait:.0f} s" if wait else "open",
        "wrong_in_a_row": number.guesses.run,
    }


# Many at once


@group.command("export")
@_waba
@_show
@_search
@as_file
@with_house
async def export(house: House, waba: str | None, show: Show, text: str, written: Format) -> None:
    """Print numbers as a file, with what last happened to each."""
    world = house.world
    now = world.clock.now()
    total = Tally()
    for account in await _accounts(world, waba):
        total += await world.store.tally(account, now)
    known = total.numbers if show is Show.ALL and not text else 0
    done = 0
    with output.progress("exporting numbers", beside_output=True) as tell:
        async for line in _lines(world, waba, show, text):
            output.row_of_file(_exported(line, now), written, first=not done)
            done += 1
            tell(done, known)


def _exported(line: NumberLine, now: datetime) -> dict[str, Any]:
    """As the Manager exports it, but for the guesses: in a form that programs can read."""
    number = line.number
    shown = _shown(number, now)
    return {
        "number": number.e164,
        "name": number.name,
        "status": shown["status"],
        "two_step": shown["two_step"],
        "guesses": shown["guesses"],
        "held_by": number.holder,
        "wrong_in_a_row": number.guesses.run,
        "last_event": line.last and sentences.says(line.last),
        "last_event_at": line.last and line.last.at.isoformat(),
        "added_at": number.created_at.isoformat(),
        "id": number.id,
        "account": number.waba,
    }


@group.command("import")
@click.argument("file", type=click.File(encoding="utf-8-sig"))
@_waba
@with_house
async def import_(house: House, file: TextIO, waba: str | None) -> None:
    """Add the numbers of FILE, or of standard input for `-`.

    FILE is CSV whose first line names at least the columns `number` and `name`. Nothing is added
    when a line does not fit. Numbers that are there already stay as they are, so an import that
    was interrupted can be repeated.
    """
    account = await _account(house, waba)
    read = _read(file)
    added = there = 0
    with output.progress("adding numbers") as tell:
        for begin in range(0, len(read), _AT_ONCE):
            done = await asyncio.gather(
                *(_add(house.world, account, *one) for one in read[begin : begin + _AT_ONCE])
            )
            added += sum(done)
            there += len(done) - sum(done)
            tell(added + there, len(read))
    click.echo(f"added {added} numbers" + (f"; {there} were there already" if there else ""))


async def _add(world: World, waba: str, e164: str, cc: str, name: str) -> bool:
    try:
        await numbers.add_number(world, waba, e164, cc, name)
    except NumberExists:
        return False
    return True


def _read(file: Iterable[str]) -> list[tuple[str, str, str]]:
    """E.164, country code and name of each line, when all of them fit."""
    found: list[tuple[str, str, str]] = []
    faults: list[str] = []
    try:
        for place, row in _rows(file):
            try:
                e164, cc = spell_whole((row["number"] or "").removeprefix("'"))
                found.append((e164, cc, read_name((row["name"] or "").strip())))
            except ParameterInvalid as refusal:
                faults.append(f"line {place}: {words.of(refusal)}")
    except (csv.Error, UnicodeDecodeError) as error:
        stop(f"the file cannot be read as CSV in UTF-8: {type(error).__name__}")
    for fault in faults[:_FAULTS_SHOWN]:
        click.echo(fault, err=True)
    if faults:
        stop(f"{len(faults)} lines do not fit; nothing was added")
    return found


def _rows(file: Iterable[str]) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Each row with the line it ends on."""
    reader = csv.DictReader(file, strict=True)
    if not {"number", "name"} <= set(reader.fieldnames or ()):
        stop("the first line of the file must name the columns number and name")
    for row in reader:
        yield reader.line_num, row
