"""Markdown as the pages of ``docs/reference`` are made of."""

from collections.abc import Iterable
from typing import Final

_NOTE: Final = "Written from the code by `make docs`; change the code, not this page."


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *([*row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines
    )


def page(title: str, *blocks: str) -> str:
    return "\n\n".join([f"# {title}", _NOTE, *blocks]) + "\n"


def sentences(text: str | None) -> str:
    """A docstring as Markdown: one line a sentence, code in single backticks."""
    flat = " ".join((text or "").split()).replace("``", "`")
    return flat.replace(". ", ".\n")


def code(text: object) -> str:
    return f"`{text}`"
