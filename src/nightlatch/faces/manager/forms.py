"""Reading forms and queries: each name once, in UTF-8, nothing trimmed."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from nightlatch.domain.errors import ParameterUnexpected, RequestMalformed
from nightlatch.faces.manager.wire import PREFIX

_FORM: Final = "application/x-www-form-urlencoded"
_ESCAPES: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MOST_FIELDS: Final = 64
_NEXT: Final = re.compile(rf"{PREFIX}(/[\w.~%-]+)*(\?[\w.~%&=+-]*)?", re.ASCII)
_LONGEST_NEXT: Final = 512


def read_form(raw: bytes, content_type: str | None) -> dict[str, str]:
    """The fields of a posted form.

    Raises:
        RequestMalformed: it is something else, or a field stands twice.
    """
    kind, _, parameters = (content_type or "").partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if kind.strip().lower() != _FORM or charset not in ("", "charset=utf-8"):
        raise RequestMalformed(f"a form is sent as {_FORM}")
    return read_pairs(raw)


def read_pairs(raw: bytes) -> dict[str, str]:
    """``a=1&b=2``. Raises RequestMalformed."""
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise RequestMalformed("it holds characters that are not escaped") from error
    if _ESCAPES.search(text):
        raise RequestMalformed("an escape with % is cut short")
    pairs = [pair for pair in text.split("&") if pair]
    if len(pairs) > _MOST_FIELDS:
        raise RequestMalformed("it has too many fields")
    found: dict[str, str] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            key, text = _plain(name), _plain(value)
        except UnicodeDecodeError as error:
            raise RequestMalformed("it is not UTF-8") from error
        if key in found:
            raise RequestMalformed("a field stands twice")
        found[key] = text
    return found


def only(found: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """Every field of *names*, empty when absent. Raises ParameterUnexpected."""
    if found.keys() - set(names):
        raise ParameterUnexpected("form", "only the fields of the page")
    return {name: found.get(name, "") for name in names}


def read_next(text: str) -> str:
    """Where to go after signing in: a path of ours, or empty for anything else."""
    fits = len(text) <= _LONGEST_NEXT and _NEXT.fullmatch(text) and "/.." not in text
    return text if fits else ""


def _plain(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode()
