"""Reading requests and writing answers, the same for every route."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any, Final

from nightlatch.domain.clients import Session
from nightlatch.domain.errors import (
    ParameterInvalid,
    ParameterMissing,
    ParameterUnexpected,
    Refusal,
    RequestMalformed,
)
from nightlatch.faces.bodies import read_json
from nightlatch.faces.onprem.errors import BUG, Row, row_of
from nightlatch.ports import World

VERSION: Final = "v2.53.0"
"""The client version we speak like: the last one with new features."""
META: Final = {"version": VERSION, "api_status": "stable"}


class Access(Enum):
    """What a caller must bring."""

    LOGIN = "Basic username and password"
    TOKEN = "Bearer token of any user"  # noqa: S105 - a description
    ADMIN = "Bearer token of the admin"
    MONITOR = "Bearer token of any user, or the API key"


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter of a JSON body."""

    name: str
    read: Callable[[object], Any]
    """Raises ParameterInvalid."""
    schema: Mapping[str, Any]
    required: bool = True
    empty_is_absent: bool = False
    """An empty string counts as not given: old clients send every field, filled or not."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read and checked."""

    world: World
    client: str
    session: Session | None
    fields: Mapping[str, Any]
    """Those that were given."""
    username: str = ""
    """From the path, or from Basic authentication."""
    password: str = ""
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def who(self) -> Session:
        """The session; only routes that need a token ask for it."""
        if self.session is None:
            raise LookupError("this route has no session")
        return self.session


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. *body* without ``meta`` is sent as it is."""

    status: int
    body: Mapping[str, Any]
    text: str | None = None
    """Sent instead of the body, as plain text."""


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table in ``routes.py``."""

    method: str
    path: str
    """Below ``/v1``."""
    handler: Handler
    access: Access
    summary: str
    success: Mapping[int, str]
    """Status -> what it means."""
    fields: tuple[Field, ...] = ()
    query: tuple[str, ...] = ()
    refusals: tuple[type[Refusal], ...] = ()
    """Beside those that every route may meet."""

    @property
    def name(self) -> str:
        """As metrics and logs name it: ``POST_v1_account_verify``."""
        return f"{self.method}_v1{self.path}".replace("/", "_").replace("{", "").replace("}", "")


def with_meta(body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {**(body or {}), "meta": META}


def encode(body: Any) -> bytes:
    return _ENCODER.encode(body).encode()


def envelope(refusal: Refusal | None, origin: str) -> tuple[Row, bytes]:
    """The answer to a refusal, or to a bug when there is none."""
    row = BUG if refusal is None else row_of(refusal)
    return row, _envelope(row.code, row.title, row.details(refusal), origin)


@lru_cache(maxsize=256)
def _envelope(code: int, title: str, details: str, origin: str) -> bytes:
    href = f"{origin}/docs/errors/{code}"
    error = {"code": code, "title": title, "details": details, "href": href}
    return encode({"meta": META, "errors": [error]})


def read_body(raw: bytes, content_type: str | None) -> dict[str, Any]:
    """The JSON object in a request body; an empty body or ``null`` is an empty object.

    Raises:
        RequestMalformed: not JSON in UTF-8, a key twice, nested too deep, not an object.
    """
    if not raw.strip():
        return {}
    if content_type not in (None, "application/json"):
        kind, _, parameters = content_type.partition(";")
        if kind.strip().lower() != "application/json":
            raise RequestMalformed("send the body as `Content-Type: application/json`")
        charset = parameters.replace(" ", "").replace('"', "").lower()
        if charset not in ("", "charset=utf-8"):
            raise RequestMalformed("send JSON in UTF-8")
    body = read_json(raw)
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise RequestMalformed("the body must be a JSON object")
    return body


def read_fields(body: Mapping[str, Any], fields: tuple[Field, ...]) -> dict[str, Any]:
    """The parameters that *fields* name, each read by its own rule.

    Missing ones are told before invalid ones, those before unexpected ones.

    Raises:
        ParameterMissing, ParameterInvalid, ParameterUnexpected
    """
    found = {}
    for one in fields:
        value = body.get(one.name, _ABSENT)
        if value is _ABSENT or (one.empty_is_absent and value == ""):
            if one.required:
                raise ParameterMissing(one.name)
        else:
            found[one.name] = value
    for one in fields:
        if one.name in found:
            found[one.name] = one.read(found[one.name])
    if len(body) > len(found) and body.keys() - {one.name for one in fields}:
        names = ", ".join(f"`{one.name}`" for one in fields)
        raise ParameterUnexpected("body", f"only {names} in its body" if names else "no parameters")
    return found


def text(name: str, longest: int) -> Callable[[object], str]:
    """A rule for a string of at most *longest* characters."""

    def read(value: object) -> str:
        if isinstance(value, str) and 0 < len(value) <= longest and "\0" not in value:
            return value
        raise ParameterInvalid(name, f"a string of 1 to {longest} characters")

    return read


_ABSENT: Final = object()


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
