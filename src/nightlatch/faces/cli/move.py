"""``nightlatch move``: everything from a file of SQLite to PostgreSQL, and back."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from nightlatch.faces.cli import output
from nightlatch.faces.cli.frame import BROKEN, DATA_HELP, DATABASE_HELP, Parts, run, stop
from nightlatch.faces.cli.house import Moved
from nightlatch.settings import load

_TENTHS: Final = 10


@click.command("move")
@click.option(
    "--to",
    type=click.Choice(["postgresql", "sqlite"]),
    required=True,
    help="Where to; the other one is moved from.",
)
@click.option("--data", type=Path, help=DATA_HELP)
@click.option("--database", help=DATABASE_HELP)
@click.option("--give-up", is_flag=True, help="Let what is moved from be opened again instead.")
@click.pass_context
def command(
    context: click.Context,
    /,
    to: str,
    data: Path | None,
    database: str | None,
    give_up: bool,
) -> None:
    """Move everything between SQLite and PostgreSQL.

    Stop every server first. Ended in the middle, the same command goes on.
    Every row is compared before the target can be opened; exits with 3 when
    one is not the same. The key ring is not moved.
    """
    parts: Parts = context.obj

    async def work() -> Moved:
        settings = load(data=data or context.meta.get("data"), database=database)
        settings.refuse_unsafe_database()
        parts.configure_logs("auto", "warning")
        if give_up:
            return await parts.give_up(settings, to)
        return await parts.move(settings, to, _shown)

    done = run(parts, work())
    if give_up:
        click.echo(f"{done.source} can be opened again, as it was when the move began;")
        click.echo(f"nothing that happened in {done.target} since is in it")
    elif done.fault:
        stop(done.fault, BROKEN)
    elif done.rows:
        click.echo(f"moved {done.rows:,} rows from {done.source} to {done.target}, each compared")
    else:
        click.echo(f"nothing to do; {done.source} was moved to {done.target} before")


@contextmanager
def _shown(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal; elsewhere a line, and one more for each tenth."""
    if sys.stderr.isatty():
        with output.progress(title) as tell:
            yield tell
        return
    click.echo(title, err=True)
    told = 0

    def tell_in_lines(done: int, total: int) -> None:
        nonlocal told
        tenths = done * _TENTHS // total if total else 0
        if tenths > told:
            told = tenths
            click.echo(f"{title}: {tenths * 100 // _TENTHS} %, {done:,} of {total:,}", err=True)

    yield tell_in_lines
