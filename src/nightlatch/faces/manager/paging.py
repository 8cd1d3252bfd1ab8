"""Long lists in pages, so that each page stays small."""

from collections.abc import Sequence
from typing import Any, TypeVar

from nightlatch.faces.manager.wire import Call

Row = TypeVar("Row")
_PLACE_DIGITS = 5


def cut(
    call: Call, found: Sequence[Row], size: int, base: str
) -> tuple[Sequence[Row], dict[str, Any]]:
    """The rows behind ``after`` many, and the links that a pager needs; any text is a place."""
    text = call.query.get("after", "")
    fits = text.isascii() and text.isdecimal() and len(text) <= _PLACE_DIGITS
    start = int(text) if fits else 0
    end = start + size
    return found[start:end], {
        "next_url": f"{base}?after={end}" if end < len(found) else "",
        "first_url": base if start else "",
    }
