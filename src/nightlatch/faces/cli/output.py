"""Tables for people, JSON for programs, progress on what takes long."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click


def rows(found: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str) -> None:
    """Print *found* as a table or as one JSON array; *empty* says what nothing means."""
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
    elif not found:
        click.echo(empty)
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in found[0]:
            table.add_column(name.replace("_", " "), overflow="fold")
        for row in found:
            table.add_row(*("" if value is None else str(value) for value in row.values()))
        Console(width=None if sys.stdout.isatty() else 200).print(table)


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal; tell it how much is done, of how much."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
