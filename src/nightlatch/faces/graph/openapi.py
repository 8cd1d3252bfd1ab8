"""The OpenAPI document of what is served, made from the route table."""

from collections.abc import Mapping
from typing import Any, Final

from nightlatch import __version__
from nightlatch.domain.errors import NodeUnknown, Refusal, ScopeMissing
from nightlatch.domain.limits import HEADER_BYTES
from nightlatch.faces.graph.errors import BUG, INJECTED, AppTokenNeeded, Row
from nightlatch.faces.graph.fields import names_of
from nightlatch.faces.graph.routes import EVERY_ROUTE, ROUTES, WITH_TOKEN
from nightlatch.faces.graph.versions import KNOWN, NEWEST
from nightlatch.faces.graph.wire import Access, Kind, Param, Route

_BODIES: Final = (
    "application/json", "application/x-www-form-urlencoded", "multipart/form-data",
)  # fmt: skip
_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code", "fbtrace_id"],
            "additionalProperties": False,
            "properties": {
                "message": {"type": "string", "minLength": 1},
                "type": {"type": "string", "enum": ["OAuthException", "GraphMethodException"]},
                "code": {"type": "integer"},
                "error_subcode": {"type": "integer"},
                "error_data": {
                    "oneOf": [
                        {"type": "string"},
                        {
                            "type": "object",
                            "required": ["messaging_product", "details"],
                            "properties": {
                                "messaging_product": {"const": "whatsapp"},
                                "details": {"type": "string", "minLength": 1},
                            },
                        },
                    ]
                },
                "is_transient": {"type": "boolean"},
                "error_user_title": {"type": "string"},
                "error_user_msg": {"type": "string"},
                "fbtrace_id": {"type": "string", "minLength": 1},
            },
        }
    },
}
_NODE: Final = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "string", "pattern": "^[0-9]+$"}},
}
_CURSORS: Final = {
    "type": "object",
    "required": ["before", "after"],
    "properties": {"before": {"type": "string"}, "after": {"type": "string"}},
}
_LIST: Final = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "data": {"type": "array", "items": {"type": "object"}},
        "paging": {
            "type": "object",
            "required": ["cursors"],
            "properties": {
                "cursors": _CURSORS,
                "previous": {"type": "string"},
                "next": {"type": "string"},
            },
        },
    },
}
_NAMES: Final = {
    Kind.NUMBER: "phone_number_id",
    Kind.WABA: "waba_id",
    Kind.APP: "app_id",
}
_DESCRIPTION: Final = (
    "Cloud API calls on numbers, served from this registry. Unknown parameters are ignored. Those"
    " of a body may also stand in the query. `/graph/{id}` without a version is the newest one."
)


def document(rows: Mapping[type[Refusal], Row]) -> dict[str, Any]:
    """OpenAPI 3.1, as plain values, for one profile of errors."""
    paths: dict[str, Any] = {}
    for path, routes in _by_path().items():
        for method in sorted({route.method for route in routes}):
            same = [route for route in routes if route.method == method]
            paths.setdefault(path, {})[method.lower()] = _operation(path, same, rows)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Nightlatch: the Cloud API",
            "version": __version__,
            "description": _DESCRIPTION,
        },
        "servers": [{"url": "/graph"}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The parameter `access_token` does as well, in place of it.",
                }
            },
            "schemas": {"Error": _ERROR, "Node": _NODE, "List": _LIST},
        },
    }


def _by_path() -> dict[str, list[Route]]:
    """Objects of every kind share one path, since an id does not show its kind."""
    found: dict[str, list[Route]] = {}
    for route in ROUTES:
        found.setdefault(_path(route), []).append(route)
    return found


def _path(route: Route) -> str:
    if route.kind is Kind.ROOT:
        return f"/{{version}}/{route.edge}"
    if not route.edge:
        return "/{version}/{id}"
    return f"/{{version}}/{{{_NAMES[route.kind]}}}/{route.edge}"


def _operation(path: str, routes: list[Route], rows: Mapping[type[Refusal], Row]) -> dict[str, Any]:
    first = routes[0]
    node = len(routes) > 1
    params = {one.name: one for route in routes for one in route.params}
    operation: dict[str, Any] = {
        "operationId": f"{first.method}_graph_node" if node else first.name,
        "summary": "Read an object" if node else first.summary,
        "description": _needs(routes),
        "security": [] if first.access is Access.NOBODY else [{"bearer": []}],
        "parameters": [*_in_path(path)],
        "responses": _responses(routes, rows),
    }
    if first.method == "GET":
        operation["parameters"] += [_in_query(one) for one in params.values()]
    elif params:
        operation["requestBody"] = _body(list(params.values()))
    return operation


def _needs(routes: list[Route]) -> str:
    said = []
    for route in routes:
        permission = f" with `{route.scope.value}`" if route.scope is not None else ""
        kind = f" ({route.kind.value})" if len(routes) > 1 else ""
        said.append(f"Needs{kind}: {route.access.value.lower()}{permission}.")
    if routes[0].method == "GET" and not routes[0].edge:
        for route in routes:
            names = ", ".join(names_of(route.kind.value))
            said.append(f"Fields of {route.kind.value}: {names}.")
    return " ".join(said)


def _in_path(path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": "version",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "enum": [one.name for one in reversed(KNOWN)]},
            "example": NEWEST.name,
        }
    ]
    for name in ("id", *_NAMES.values()):
        if f"{{{name}}}" in path:
            schema = {"type": "string", "pattern": "^[0-9]{1,18}$"}
            found.append({"name": name, "in": "path", "required": True, "schema": schema})
    return found


def _in_query(one: Param) -> dict[str, Any]:
    return {"name": one.name, "in": "query", "required": one.required, "schema": dict(one.schema)}


def _body(params: list[Param]) -> dict[str, Any]:
    required = [one.name for one in params if one.required]
    schema = {
        "type": "object",
        "required": required,
        "properties": {one.name: dict(one.schema) for one in params},
    }
    return {
        "required": False,  # everything may stand in the query instead
        "content": {kind: {"schema": schema} for kind in _BODIES},
    }


def _responses(routes: list[Route], rows: Mapping[type[Refusal], Row]) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {
            "description": "Done",
            "content": {"application/json": {"schema": dict(routes[0].success)}},
        }
    }
    found = {_told(rows[one]) for route in routes for one in _refusals(route)}
    for status, code, words in sorted(found | {_told(BUG)}):
        entry = responses.setdefault(
            str(status),
            {
                "description": "",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        )
        told = f"{code} {words}".strip()
        entry["description"] = ", ".join(filter(None, [entry["description"], told]))
    responses["431"] = {
        "description": f"The request's head has more than {HEADER_BYTES} bytes; without a body."
    }
    return responses


def _told(row: Row) -> tuple[int, int, str]:
    """Status, code and subcode."""
    return row.status, row.code, "" if row.subcode is None else f"({row.subcode})"


def _refusals(route: Route) -> list[type[Refusal]]:
    """An unknown version is read as an object's id, so every call may meet what objects meet."""
    found = [*EVERY_ROUTE, *WITH_TOKEN, NodeUnknown, *route.refusals]
    if route.access is Access.APP:
        found.append(AppTokenNeeded)
    if route.scope is not None:
        found.append(ScopeMissing)
    if route.kind is Kind.NUMBER and route.method == "POST":
        found += INJECTED.values()
    return found
