"""``nightlatch cloud``: the numbers of linked accounts."""

import json
import sys
from typing import Any

import click

from nightlatch.domain.clients import FIRST_CLIENT
from nightlatch.domain.ledger import Act
from nightlatch.domain.linked import LinkedNumber
from nightlatch.faces import sentences, sentences_cloud
from nightlatch.faces.cli import asking, output
from nightlatch.faces.cli.cloud import group
from nightlatch.faces.cli.frame import REFUSED, as_json, with_house
from nightlatch.faces.cli.house import House
from nightlatch.faces.spelling import spell_whole
from nightlatch.usecases import bridge, doctor, linked, links

__all__ = ["find", "group"]

_LAST = 20
"""Events that ``number`` shows."""
_AT_ONCE = 200

_force = click.option(
    "--force", is_flag=True, help="Spend the one try that is kept back within 72 hours, too."
)


async def find(house: House, number: str) -> LinkedNumber:
    """The linked number that is meant, in whatever spelling.

    Raises:
        ParameterInvalid: it cannot be a number.
        LinkedNumberUnknown: no linked account has it.
    """
    return await linked.find_linked(house.world, spell_whole(number)[0])


@group.command("numbers")
@click.argument("waba")
@as_json
@with_house
async def numbers(house: House, waba: str, as_json: bool) -> None:
    """List the numbers of a linked account."""
    one = await links.find_link(house.world, waba)
    found: list[dict[str, Any]] = []
    after = ""
    while page := await linked.numbers_of(house.world, one, after, _AT_ONCE):
        found += [_row(number) for number in page]
        after = page[-1].e164
    output.rows(found, as_json=as_json, empty=f"no numbers; see: nightlatch cloud read {one.waba}")


def _row(number: LinkedNumber) -> dict[str, Any]:
    return {
        "number": number.e164,
        "name": number.name,
        "status": number.facts.status or None,
        "pin": sentences_cloud.pin_state(number),
        "served_by": number.holder,
        "alerts": len(number.alerts),
    }


@group.command("number")
@click.argument("number")
@as_json
@with_house
async def number_(house: House, number: str, as_json: bool) -> None:
    """Show one number and what last happened to it.

    Tells what is known already; `nightlatch doctor` asks Meta.
    """
    found = await find(house, number)
    now, facts, ledger = house.world.clock.now(), found.facts, found.ledger
    events = await linked.timeline(house.world, found, None, _LAST)
    shown: dict[str, Any] = _row(found) | {
        "waba": found.waba,
        "id": found.id,
        "code_state": facts.code_state or None,
        "name_state": facts.name_state or None,
        "platform": facts.platform or None,
        "quality": facts.quality or None,
        "under_way": None if found.under_way is None else found.under_way.act.value,
        "seen_at_meta": output.moment(facts.at),
    }
    tries = [
        {
            "of": sentences_cloud.act_name(act),
            "made": ledger.count(act, now),
            "safe_tries_left": ledger.left(act, now),
            "next": "now" if ledger.left(act, now) else output.moment(ledger.next_safe(act, now)),
        }
        for act in Act
    ]
    if as_json:
        whole = shown | {"tries": tries, "events": [output.event(one) for one in events]}
        whole["alerts"] = [sentences_cloud.alert(one) for one in found.alerts]
        click.echo(json.dumps(whole, ensure_ascii=False, indent=2))
        return
    output.facts(shown)
    for one in found.alerts:
        output.line("alert", sentences_cloud.alert(one), column=18)
    click.echo("\nwithin 72 hours")
    output.rows(tries, as_json=False, empty="")
    click.echo()
    last = [
        {"at": output.moment(one.at), "who": one.who, "what": one.what}
        for one in sentences.lines(events)
    ]
    output.rows(last, as_json=False, empty="nothing happened yet")


@group.command("register")
@click.argument("number")
@click.option("--client", default=FIRST_CLIENT, show_default=True, help="Who is to serve it.")
@click.option("--ask-pin", is_flag=True, help="Ask for the PIN; also NIGHTLATCH_PIN.")
@_force
@with_house
async def register(house: House, number: str, client: str, ask_pin: bool, force: bool) -> None:
    """Register NUMBER at Meta, for a client here to serve.

    Brings the PIN of the vault unless another is given; where no PIN is on, it becomes the
    number's, and one is drawn by chance where the vault has none.
    """
    found = await find(house, number)
    pin = asking.pin_if_given(ask=ask_pin)
    done = await bridge.register(house.world, found, pin, client, force=force)
    click.echo(f"{done.e164} is registered, and client {client} serves it")
    click.echo(f"its PIN is in the vault; see: nightlatch vault show {done.e164}")


@group.command("deregister")
@click.argument("number")
@_force
@with_house
async def deregister(house: House, number: str, force: bool) -> None:
    """Let the Cloud API let go of NUMBER.

    It sends and gets nothing more. Its PIN stays on.
    """
    done = await bridge.deregister(house.world, await find(house, number), force=force)
    click.echo(f"{done.e164} is registered no more")


@group.command("release")
@click.argument("number")
@with_house
async def release(house: House, number: str) -> None:
    """Let no client here serve NUMBER any more.

    At Meta nothing changes.
    """
    before = await find(house, number)
    done = await linked.release(house.world, before)
    if before.holder is None:
        click.echo(f"no client served {done.e164}")
    else:
        click.echo(f"client {before.holder} serves {done.e164} no more")


@group.command("unlock")
@click.argument("number")
@with_house
async def unlock(house: House, number: str) -> None:
    """End the lock, or the wait, after wrong PINs.

    They were not the vault's, and never went to Meta.
    """
    done = await linked.unlock(house.world, await find(house, number))
    click.echo(f"unlocked {done.e164}")


@group.command("seen")
@click.argument("number")
@with_house
async def seen(house: House, number: str) -> None:
    """Print the alerts of NUMBER, as seen from now on."""
    found = await find(house, number)
    await linked.see_alerts(house.world, found)
    for one in found.alerts:
        output.line("alert", sentences_cloud.alert(one), column=7)
    click.echo(f"{found.e164} has no alert that nobody has seen")


@group.command("checklist")
@click.argument("number")
@click.option("--moving", is_flag=True, help="Before another provider takes the number over.")
@as_json
@with_house
async def checklist(house: House, number: str, moving: bool, as_json: bool) -> None:
    """Check what is missing before NUMBER moves here.

    Asks Meta. Exits with 1 when something is missing.
    """
    found = await doctor.checklist(house.world, await find(house, number), moving=moving)
    missing = sum(not one.passed for one in found)
    if as_json:
        told = [
            {"item": one.item.value, "passed": one.passed, "says": sentences_cloud.check(one)}
            for one in found
        ]
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        for one in found:
            output.line("there" if one.passed else "MISSING", sentences_cloud.check(one), column=9)
        click.echo(f"\nmissing: {missing} of {len(found)}" if missing else "\nnothing is missing")
    if missing:
        sys.exit(REFUSED)
