"""Reading requests and writing answers, the same for every route.

Graph takes parameters as JSON, as a form, as multipart and in the query alike,
so a parameter is either what JSON says or a text.
"""

import io
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import falcon
from falcon.media.multipart import MultipartForm, MultipartParseOptions

from nightlatch.domain.access import Caller, Scope
from nightlatch.domain.errors import (
    NumberUnknown,
    ParameterInvalid,
    ParameterMissing,
    Refusal,
    RequestMalformed,
    WabaUnknown,
)
from nightlatch.domain.numbers import Number
from nightlatch.domain.portfolios import Waba
from nightlatch.faces.bodies import read_json
from nightlatch.faces.graph.versions import Version
from nightlatch.ports import World
from nightlatch.usecases.nodes import Node

PREFIX: Final = "/graph"
SUCCESS: Final = b'{"success":true}'
_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"
_MULTIPART: Final = "multipart/form-data"
_MOST_FIELDS: Final = 64
_ESCAPES: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODE: Final = json.JSONEncoder(separators=(",", ":")).encode
_PARTS: Final = MultipartParseOptions()
_PARTS.max_body_part_count = _MOST_FIELDS


class Kind(Enum):
    """What an id may name, as Graph calls it."""

    NUMBER = "WhatsAppBusinessPhoneNumber"
    WABA = "WhatsAppBusinessAccount"
    PORTFOLIO = "Business"
    APP = "Application"
    ROOT = ""
    """No object: the call itself has a name."""


class Access(Enum):
    """What a caller must bring."""

    TOKEN = "An access token"  # noqa: S105 - a description
    APP = "The app's own access token"
    NOBODY = "Nothing but its parameters"


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter."""

    name: str
    read: Callable[[Any], Any]
    """Raises ParameterInvalid."""
    schema: Mapping[str, Any]
    required: bool = True


@dataclass(slots=True)
class Call:
    """One request, read and checked."""

    world: World
    caller_or_nobody: Caller | None
    node: Node | None
    given: Mapping[str, Any]
    """Those parameters of the route that were given."""
    asked: Mapping[str, Any]
    """Every parameter, as it was sent."""
    version: Version
    url: Callable[[], str]
    """Where this call stands, without its query."""

    @property
    def caller(self) -> Caller:
        """Who asks; only routes that need a token ask for it."""
        if self.caller_or_nobody is None:
            raise LookupError("this route has no caller")
        return self.caller_or_nobody

    @property
    def by(self) -> str:
        return self.caller.name

    @property
    def number(self) -> Number:
        """The number that the call is about. Raises NumberUnknown."""
        if not isinstance(self.node, Number):
            raise NumberUnknown
        return self.node

    @property
    def waba(self) -> Waba:
        """The account that the call is about. Raises WabaUnknown."""
        if not isinstance(self.node, Waba):
            raise WabaUnknown
        return self.node


Answer = bytes | Mapping[str, Any]
Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One row of the table in ``routes.py``."""

    method: str
    kind: Kind
    edge: str
    """What follows the id; empty for the object itself. The call's name where there is none."""
    handler: Handler
    scope: Scope | None
    summary: str
    success: Mapping[str, Any]
    """Schema of the answer."""
    params: tuple[Param, ...] = ()
    refusals: tuple[type[Refusal], ...] = ()
    """Beside those that every route may meet."""
    access: Access = Access.TOKEN

    @property
    def name(self) -> str:
        """As metrics and logs name it: ``POST_graph_number_register``."""
        kind = "" if self.kind is Kind.ROOT else f"_{self.kind.name.lower()}"
        edge = f"_{self.edge.replace('/', '_')}" if self.edge else ""
        return f"{self.method}_graph{kind}{edge}"


def encode(answer: Answer) -> bytes:
    return answer if isinstance(answer, bytes) else _ENCODE(answer).encode()


# Reading


def read_query(raw: bytes) -> dict[str, Any]:
    """``a=1&b=2``. Raises RequestMalformed."""
    return _pairs(raw) if raw else {}


def read_body(raw: bytes, content_type: str | None) -> dict[str, Any]:
    """The parameters in a request's body; an empty one has none.

    Raises:
        RequestMalformed: it is nothing that Graph reads, or a name stands twice.
    """
    if not raw.strip():
        return {}
    kind, _, parameters = (content_type or "").partition(";")
    kind = kind.strip().lower()
    if kind == _MULTIPART:
        return _multipart(raw, content_type or "")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if charset not in ("", "charset=utf-8"):
        raise RequestMalformed("send it in UTF-8")
    if kind == _JSON or (not kind and raw.lstrip()[:1] == b"{"):
        return _object(raw)
    if kind in ("", _FORM):
        return _pairs(raw.strip())
    raise RequestMalformed(f"send {_JSON}, {_FORM} or {_MULTIPART}")


def merge(query: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Both, where nothing is said in two ways. Raises RequestMalformed."""
    if not query:
        return body
    for name in query.keys() & body.keys():
        if query[name] != body[name]:
            raise RequestMalformed("a parameter stands twice")
    return query | body


def read_params(found: Mapping[str, Any], params: tuple[Param, ...]) -> dict[str, Any]:
    """The parameters that *params* name, each read by its own rule; others are ignored.

    Missing ones are told before invalid ones. A JSON ``null`` counts as missing.

    Raises:
        ParameterMissing, ParameterInvalid
    """
    given = {}
    for one in params:
        value = found.get(one.name)
        if value is not None:
            given[one.name] = value
        elif one.required:
            raise ParameterMissing(one.name)
    for one in params:
        if one.name in given:
            given[one.name] = one.read(given[one.name])
    return given


def _object(raw: bytes) -> dict[str, Any]:
    body = read_json(raw)
    if not isinstance(body, dict):
        raise RequestMalformed("the body must be a JSON object")
    return body


def _pairs(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise RequestMalformed("it holds characters that are not escaped") from error
    if _ESCAPES.search(text):
        raise RequestMalformed("an escape with % is cut short")
    split = [pair.partition("=") for pair in text.split("&") if pair]
    try:
        return _collected([(_plain(name), _plain(value)) for name, _, value in split])
    except UnicodeDecodeError as error:
        raise RequestMalformed("it is not UTF-8") from error


def _plain(text: str) -> str:
    if "%" not in text and "+" not in text:
        return text
    return unquote_to_bytes(text.replace("+", " ")).decode()


def _multipart(raw: bytes, content_type: str) -> dict[str, Any]:
    _, parameters = falcon.parse_header(content_type)
    boundary = parameters.get("boundary", "")
    try:
        if not 0 < len(boundary) <= 70:
            raise RequestMalformed("its multipart boundary is missing")
        form = MultipartForm(io.BytesIO(raw), boundary.encode(), len(raw), _PARTS)
        return _collected([(part.name or "", part.get_data().decode()) for part in form])
    except (falcon.HTTPError, ValueError) as error:
        raise RequestMalformed("its multipart parts cannot be told apart") from error


def _collected(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Each name once; ``name[]`` and ``name[0]`` are entries of one list."""
    if len(pairs) > _MOST_FIELDS:
        raise RequestMalformed("it has too many parameters")
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name.endswith("]"):
            name, _, _ = name.partition("[")  # noqa: PLW2901 - the list's own name
            entries = found.setdefault(name, [])
            if not isinstance(entries, list):
                raise RequestMalformed("a parameter stands twice")
            entries.append(value)
        elif name in found:
            raise RequestMalformed("a parameter stands twice")
        else:
            found[name] = value
    return found


# Rules for parameters


def text(name: str, longest: int) -> Callable[[Any], str]:
    """A rule for a string of 1 to *longest* characters."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ParameterInvalid(name, "a string")
        if not 0 < len(value) <= longest or "\0" in value:
            raise ParameterInvalid(name, f"1 to {longest} characters long")
        return value

    return read


def one_of(name: str, values: tuple[str, ...]) -> Callable[[Any], str]:
    """A rule for one of a few words."""

    def read(value: Any) -> str:
        if value not in values or not isinstance(value, str):
            raise ParameterInvalid(name, f"one of {{{', '.join(values)}}}")
        return value

    return read


def listed(name: str, value: Any) -> list[Any]:
    """A list, however it was sent: as JSON, as JSON in a text, or with commas.

    Raises:
        ParameterInvalid: it is something else.
    """
    if isinstance(value, str):
        stripped = value.strip()
        if not stripped.startswith("["):
            return [part.strip() for part in stripped.split(",") if part.strip()]
        value = _from_text(stripped)
    if not isinstance(value, list):
        raise ParameterInvalid(name, "a list")
    return value


def _from_text(value: str) -> Any:
    """JSON; Meta's own examples write its strings in single quotes, too."""
    for written in (value, value.replace("'", '"')):
        try:
            return read_json(written.encode("utf-8", "replace"))
        except RequestMalformed:
            continue
    return None


def words(name: str) -> Callable[[Any], tuple[str, ...]]:
    """A rule for a list of strings."""

    def read(value: Any) -> tuple[str, ...]:
        found = listed(name, value)
        if not all(isinstance(one, str) for one in found):
            raise ParameterInvalid(name, "a list of strings")
        return tuple(found)

    return read


def flag(name: str) -> Callable[[Any], bool]:
    """A rule for true or false."""

    def read(value: Any) -> bool:
        if value in (True, "true", "True", "1"):
            return True
        if value in (False, "false", "False", "0"):
            return False
        raise ParameterInvalid(name, "true or false")

    return read


def whole(name: str, least: int) -> Callable[[Any], int]:
    """A rule for an integer of at least *least*."""

    def read(value: Any) -> int:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 15:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ParameterInvalid(name, f"an integer greater than or equal to {least}")
        return value

    return read
