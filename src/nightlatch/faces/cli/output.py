"""Tables for people, JSON for programs, files, and progress on what takes long."""

import csv
import io
import json
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click

from nightlatch.domain.audit import Link
from nightlatch.faces.exports import Format, safe_cell

_SOON = 1.0
"""Seconds that something may take without a word."""
_NARROW = 20
"""Where less than so many characters are left for a text it is not broken."""


def rows(found: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str) -> None:
    """Print *found* as a table or as one JSON array; *empty* says what nothing means."""
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
    elif not found:
        click.echo(empty)
    else:
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in found[0]:
            table.add_column(name.replace("_", " "), overflow="fold")
        for row in found:
            table.add_row(*("" if value is None else escape(str(value)) for value in row.values()))
        Console(width=None if sys.stdout.isatty() else 200).print(table)


def facts(shown: Mapping[str, Any]) -> None:
    """Print *shown* as one line each, its names before its values."""
    for name, value in shown.items():
        line(name.replace("_", " "), "" if value is None else str(value), column=18)


def line(name: str, text: str, *, column: int, indent: int = 0) -> None:
    """Print *text* behind its *name*; on a terminal it is broken where it is too long."""
    front = f"{'':<{indent}}{name:<{column}}"
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    whole = f"{front}{text}".rstrip()
    if width <= column + indent + _NARROW or len(whole) <= width:
        click.echo(whole)
        return
    hang = " " * (column + indent)
    for row in textwrap.wrap(
        text, width, initial_indent=front, subsequent_indent=hang,
        break_long_words=False, break_on_hyphens=False,
    ):  # fmt: skip
        click.echo(row)


def row_of_file(row: Mapping[str, Any], written: Format, *, first: bool) -> None:
    """Print one row of a file; the first brings the names of the columns when there are any."""
    if written is Format.JSONL:
        click.echo(json.dumps(row, ensure_ascii=False))
        return
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    if first:
        writer.writerow(row)
    writer.writerow([safe_cell(value) for value in row.values()])
    click.echo(line.getvalue(), nl=False)


def event(link: Link) -> dict[str, Any]:
    """One event of the audit trail."""
    told = link.event
    return {
        "subject": link.subject,
        "seq": link.seq,
        "at": told.at.isoformat(),
        "event": told.kind.value,
        "by": told.by,
        "place": told.place,
        "details": " ".join(f"{name}={value}" for name, value in told.details),
    }


def moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


@contextmanager
def progress(title: str, *, beside_output: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal for what takes longer than _SOON.

    Tell it how much is done, of how much (0 when nobody knows). With
    *beside_output* there is none while standard output goes to the same terminal.
    """
    from rich.console import Console
    from rich.progress import Progress, TaskID

    console = Console(stderr=True)
    quiet = not console.is_terminal or (beside_output and sys.stdout.isatty())
    begun = time.monotonic()
    bars: list[tuple[Progress, TaskID]] = []

    def tell(done: int, total: int) -> None:
        if quiet or (not bars and time.monotonic() < begun + _SOON):
            return
        if not bars:
            bar = Progress(console=console, transient=True)
            bar.start()
            bars.append((bar, bar.add_task(title)))
        for bar, task in bars:
            bar.update(task, completed=done, total=total or None)

    try:
        yield tell
    finally:
        for bar, _ in bars:
            bar.stop()
