"""``nightlatch doctor``: what is true of numbers at the Cloud API, and what to do next."""

import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import click

from nightlatch.domain.diagnosis import Diagnosis, Finding, Level, Step, Trouble
from nightlatch.domain.errors import Refusal
from nightlatch.domain.linked import LinkedNumber
from nightlatch.domain.links import CloudLink
from nightlatch.faces import sentences_cloud
from nightlatch.faces.cli import output, words
from nightlatch.faces.cli.cloud_numbers import find
from nightlatch.faces.cli.frame import REFUSED, as_json, with_house
from nightlatch.faces.cli.house import House
from nightlatch.faces.formats import phone
from nightlatch.usecases import doctor, linked, links

_OF_ACCOUNT: Final = frozenset({
    Trouble.ACCESS_LOST, Trouble.TOKEN_ENDS, Trouble.MESSAGES_MISSING, Trouble.NOT_SUBSCRIBED,
    Trouble.NO_SECRET,
})  # fmt: skip
"""What all numbers of an account share, and is told once."""

_COMMANDS: Final = {
    Step.RENEW_TOKEN: "cloud token {waba}",
    Step.SEE_ALERTS: "cloud seen {number}",
    Step.SET_PIN: "vault rotate {number}",
    Step.FIND_PIN: "vault keep {number}",
    Step.REGISTER: "cloud register {number}",
    Step.APPLY_NAME: "cloud register {number}",
    Step.SUBSCRIBE: "cloud subscribe {waba}",
}
"""How a step is taken here, where it can be."""


@dataclass
class _Seen:
    """What was found in all."""

    fine: int = 0
    warned: int = 0
    blocked: int = 0
    unasked: list[str] = field(default_factory=list)
    """What Meta did not tell of, and why."""
    told: list[dict[str, Any]] = field(default_factory=list)

    def count(self, found: Diagnosis) -> None:
        if found.is_blocked:
            self.blocked += 1
        elif any(one.level is Level.WARNS for one in found.findings):
            self.warned += 1
        else:
            self.fine += 1


@click.command("doctor")
@click.argument("number", required=False)
@click.option("--account", "waba", help="Every number of this linked account. Default: of all.")
@click.option("--known", is_flag=True, help="Ask nobody; tell what is known already.")
@as_json
@with_house
async def command(
    house: House, number: str | None, waba: str | None, known: bool, as_json: bool
) -> None:
    """Examine numbers at the Cloud API.

    Tells what is true, what registering would do, and what to do next. Only reads, so it spends
    nothing that Meta counts. Exits with 1 when a number is blocked, or Meta could not be asked.
    """
    if number is not None and waba is not None:
        raise click.UsageError("give either a number or --account")
    seen, accounts = _Seen(), 1
    if number is not None:
        diagnosis = await _one(house, await find(house, number), seen, known=known)
        if not as_json:
            _tell_account(diagnosis.link, diagnosis)
        _take(seen, diagnosis, house, as_json=as_json)
    else:
        chosen = (
            await links.links(house.world)
            if waba is None
            else [await links.find_link(house.world, waba)]
        )
        accounts = len(chosen)
        for link in chosen:
            await _account(house, link, seen, known=known, as_json=as_json)
    _sum_up(seen, accounts, as_json=as_json)
    if seen.blocked or seen.unasked:
        sys.exit(REFUSED)


async def _one(house: House, number: LinkedNumber, seen: _Seen, *, known: bool) -> Diagnosis:
    """One number; by what is known already where Meta cannot be asked."""
    if not known:
        try:
            return await doctor.examine_one(house.world, number)
        except Refusal as refusal:
            _not_read(seen, number.e164, refusal)
    return await doctor.known_of(house.world, await linked.find_linked(house.world, number.e164))


def _not_read(seen: _Seen, what: str, refusal: Refusal) -> None:
    seen.unasked.append(f"{what}: {words.of(refusal)}")
    click.echo(f"{what} could not be read: {words.of(refusal)}", err=True)


async def _account(
    house: House, link: CloudLink, seen: _Seen, *, known: bool, as_json: bool
) -> None:
    first = True
    async for found in _examined(house, link, seen, known=known):
        if first and not as_json:
            _tell_account(found.link, found)
        first = False
        _take(seen, found, house, as_json=as_json)
    if first and not as_json:
        _tell_account(link, None)


async def _examined(
    house: House, link: CloudLink, seen: _Seen, *, known: bool
) -> AsyncIterator[Diagnosis]:
    """Every number; by what is known already where Meta cannot be asked."""
    found = doctor.known(house.world, link)
    if not known:
        total = await house.world.store.linked_count(link.waba)
        try:
            with output.progress(f"reading {link.name}") as tell:  # until the first is there
                found = doctor.examine(
                    house.world, link, progress=lambda done: tell(done, max(total, done))
                )
                first = await anext(found, None)
            if first is not None:
                yield first
        except Refusal as refusal:
            _not_read(seen, link.waba, refusal)
            found = doctor.known(house.world, await links.find_link(house.world, link.waba))
    async for one in found:
        yield one


def _tell_account(link: CloudLink, found: Diagnosis | None) -> None:
    click.echo(f"{link.name} ({link.waba})")
    for one in () if found is None else found.findings:
        if one.trouble in _OF_ACCOUNT:
            _tell_finding(one)
    click.echo("  no numbers\n" if found is None else "")


def _take(seen: _Seen, found: Diagnosis, house: House, *, as_json: bool) -> None:
    seen.count(found)
    number, now = found.number, house.world.clock.now()
    prospect = sentences_cloud.prospect(found.prospect, number, now)
    step, command = sentences_cloud.step(found.step, number), _command(found)
    if as_json:
        seen.told.append({
            "number": number.e164,
            "name": number.name,
            "waba": number.waba,
            "blocked": found.is_blocked,
            "pin": sentences_cloud.pin_state(number),
            "findings": [
                {
                    "trouble": one.trouble.value,
                    "level": one.level.value,
                    "says": sentences_cloud.finding(one),
                }
                for one in found.findings
            ],
            "registering": found.prospect.value,
            "registering_says": prospect,
            "next": found.step.value,
            "next_says": step,
            "command": command,
        })  # fmt: skip
        return
    click.echo(f"{phone(number.e164)}  {number.name}".rstrip())
    output.line("PIN", sentences_cloud.pin_state(number), column=13, indent=2)
    for one in found.findings:
        if one.trouble not in _OF_ACCOUNT:
            _tell_finding(one)
    output.line("registering", prospect, column=13, indent=2)
    output.line("next", step, column=13, indent=2)
    if command is not None:
        output.line("", command, column=13, indent=2)
    click.echo()


def _tell_finding(one: Finding) -> None:
    output.line(one.level.value, sentences_cloud.finding(one), column=13, indent=2)


def _command(found: Diagnosis) -> str | None:
    front = _COMMANDS.get(found.step)
    if front is None:
        return None
    return f"nightlatch {front.format(waba=found.link.waba, number=found.number.e164)}"


def _sum_up(seen: _Seen, accounts: int, *, as_json: bool) -> None:
    if as_json:
        counts = {"fine": seen.fine, "warned": seen.warned, "blocked": seen.blocked}
        whole = {"numbers": seen.told, "summary": counts, "not_read": seen.unasked}
        click.echo(json.dumps(whole, ensure_ascii=False, indent=2))
        return
    total = seen.fine + seen.warned + seen.blocked
    if not total and not accounts:
        click.echo("no linked accounts; see: nightlatch cloud link -h")
        return
    numbers = "1 number" if total == 1 else f"{total} numbers"
    click.echo(f"{numbers}: {seen.fine} fine, {seen.warned} with warnings, {seen.blocked} blocked")
