"""Reading requests and writing answers, the same for every route."""

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, NoReturn

from nightlatch.domain.errors import (
    ParameterInvalid,
    ParameterMissing,
    ParameterUnexpected,
    RequestMalformed,
)
from nightlatch.faces.faults import Faults
from nightlatch.ports import World

PREFIX: Final = "/sandbox"
Step = Callable[[timedelta], None]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read and checked."""

    world: World
    step: Step | None
    """None where the clock does not step."""
    faults: Faults
    path: Mapping[str, str]
    body: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table in ``routes.py``."""

    method: str
    path: str
    """Below PREFIX."""
    handler: Handler
    fields: tuple[str, ...] = ()
    """What its JSON body may hold."""
    query: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As metrics and logs name it: ``POST_sandbox_clock``."""
        return f"{self.method}_sandbox{self.path}".replace("/", "_").translate(_BRACES)


def encode(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def read_body(raw: bytes) -> dict[str, Any]:
    """The JSON object in a request body, whatever its content type says; empty counts as ``{}``.

    Raises:
        RequestMalformed: not JSON in UTF-8, a key twice, nested too deep, not an object.
    """
    if not raw.strip():
        return {}
    try:
        body = _DECODER.decode(raw.decode())
    except (ValueError, RecursionError) as error:
        raise RequestMalformed("the body is not JSON in UTF-8") from error
    if not isinstance(body, dict):
        raise RequestMalformed("the body is not a JSON object")
    return body


def only(found: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Raise ParameterUnexpected for a name that is not *known*."""
    if found.keys() - set(known):
        names = ", ".join(f"`{name}`" for name in known)
        raise ParameterUnexpected(where, f"only {names} in its {where}" if names else f"no {where}")


def choice(body: Mapping[str, Any], name: str, known: Collection[str]) -> str:
    """One of *known*. Raises ParameterMissing, ParameterInvalid."""
    value = given(body, name)
    if not isinstance(value, str) or value not in known:
        raise ParameterInvalid(name, "one of " + ", ".join(f'"{one}"' for one in known))
    return value


def between(body: Mapping[str, Any], name: str, low: float, high: float, *, whole: bool) -> float:
    """A number from *low* to *high*. Raises ParameterMissing, ParameterInvalid."""
    value = given(body, name)
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise ParameterInvalid(name, f"{kind} from {low} to {high}")
    return value


def given(body: Mapping[str, Any], name: str) -> Any:
    """Raises ParameterMissing."""
    if name not in body:
        raise ParameterMissing(name)
    return body[name]


_BRACES: Final = str.maketrans("", "", "{}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RequestMalformed("a key stands twice in one object")
    return found


def _refuse_constant(_: str) -> NoReturn:
    raise RequestMalformed("NaN and Infinity are not JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
