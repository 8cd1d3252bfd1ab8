"""``nightlatch webhook``: what apps were told, and what they answered."""

import json
from typing import Any

import click

from nightlatch.domain.webhooks import Delivery, DeliveryState
from nightlatch.faces.cli import output
from nightlatch.faces.cli.frame import as_json, with_house
from nightlatch.faces.cli.house import House
from nightlatch.usecases import access, webhooks


@click.group("webhook")
def group() -> None:
    """The deliveries of webhooks.

    Where they go: nightlatch app webhook --help
    """


@group.command("list")
@click.option("--app", help="Only those to the app with this id.")
@click.option(
    "--last", default=50, show_default=True, type=click.IntRange(1), help="How many deliveries."
)
@as_json
@with_house
async def list_(house: House, app: str | None, last: int, as_json: bool) -> None:
    """List the newest deliveries."""
    portfolios = (
        [one.id for one in await house.world.store.portfolios()]
        if app is None
        else [(await access.find_app(house.world, app)).portfolio]
    )
    found = [
        delivery
        for portfolio in portfolios
        for delivery in await webhooks.latest(house.world, portfolio, last, app=app)
    ]
    found.sort(key=lambda delivery: delivery.key, reverse=True)
    shown = [_shown(delivery) for delivery in found[:last]]
    output.rows(shown, as_json=as_json, empty="no deliveries")


@group.command("show")
@click.argument("key", type=int)
@as_json
@with_house
async def show(house: House, key: int, as_json: bool) -> None:
    """Show the delivery KEY: what is sent, and what the receiver answered."""
    found = await webhooks.find(house.world, key)
    payload = json.loads(webhooks.payload([found]))
    waits = found.state is DeliveryState.WAITING
    shown = _shown(found) | {
        "waba": found.waba,
        "next_attempt": output.moment(found.due_at) if waits else None,
        "answer": found.answer or None,
    }
    if as_json:
        click.echo(json.dumps({**shown, "payload": payload}, ensure_ascii=False, indent=2))
        return
    for name, value in shown.items():
        click.echo(f"{name.replace('_', ' '):<12} {'' if value is None else value}")
    click.echo("\n" + json.dumps(payload, ensure_ascii=False, indent=2))


@group.command("send-again")
@click.argument("key", type=int)
@with_house
async def send_again(house: House, key: int) -> None:
    """Send the delivery KEY once more, also one that arrived.

    It goes out at once while a server runs on this folder, else with the next start.
    """
    await webhooks.send_again(house.world, await webhooks.find(house.world, key))
    click.echo(f"delivery {key} is on its way again")


def _shown(delivery: Delivery) -> dict[str, Any]:
    return {
        "key": delivery.key,
        "field": delivery.field.value,
        "about": delivery.line,
        "app": delivery.app,
        "happened": output.moment(delivery.at),
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "status": delivery.status,
        "fault": delivery.fault or None,
    }
