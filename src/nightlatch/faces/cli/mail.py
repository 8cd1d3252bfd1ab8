"""``nightlatch mail``: letters on their way, and the embedded mailbox."""

import json
from typing import Any

import click

from nightlatch.domain.mail import MailState, Posted
from nightlatch.faces.cli import output
from nightlatch.faces.cli.frame import as_json, with_house
from nightlatch.faces.cli.house import House
from nightlatch.usecases import mail

_KEPT = (
    "Kept letters were mailed to nobody: no mail server was configured, so they lie only in this "
    "embedded mailbox. To mail them: nightlatch serve --smtp-host"
)


@click.group("mail")
def group() -> None:
    """Letters, and the embedded mailbox."""


@group.command("list")
@click.option("--portfolio", help="Only those of the portfolio with this id.")
@click.option("--last", default=50, show_default=True, help="How many letters.")
@as_json
@with_house
async def list_(house: House, portfolio: str | None, last: int, as_json: bool) -> None:
    """List the newest letters."""
    posted = await house.world.store.mails(portfolio, last)
    found = [_shown(one) for one in posted]
    output.rows(found, as_json=as_json, empty="no letters")
    if not as_json:
        _say_kept(*posted)


@group.command("show")
@click.argument("key")
@as_json
@with_house
async def show(house: House, key: str, as_json: bool) -> None:
    """Show the letter KEY as its reader sees it.

    Its link is shown as long as it is good and the letter is not on its reader's side.
    """
    posted = await mail.find(house.world, key)
    letter = mail.read(house.world, posted)
    shown = _shown(posted) | {"subject": letter.subject}
    if as_json:
        told = {**shown, "link": letter.link, "text": letter.text}
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    for name, value in shown.items():
        click.echo(f"{name.replace('_', ' '):<10} {'' if value is None else value}")
    click.echo(f"\n{letter.text}", nl=False)
    _say_kept(posted)


@group.command("retry")
@click.argument("key")
@with_house
async def retry(house: House, key: str) -> None:
    """Send the letter KEY again, which failed or waits.

    It goes out at once while a server runs on this folder, else with the next start.
    """
    posted = await mail.retry(house.world, key)
    click.echo(f"the letter to {posted.address} is on its way again")


def _say_kept(*posted: Posted) -> None:
    if any(one.state is MailState.KEPT for one in posted):
        click.echo(f"\n{_KEPT}", err=True)


def _shown(posted: Posted) -> dict[str, Any]:
    return {
        "key": posted.key,
        "letter": posted.letter.value.replace("_", " "),
        "to": posted.address,
        "posted": output.moment(posted.posted_at),
        "state": posted.state.value,
        "attempts": posted.attempts,
        "fault": posted.fault or None,
    }
