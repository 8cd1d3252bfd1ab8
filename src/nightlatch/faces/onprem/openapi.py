"""The OpenAPI document of what is served, made from the route table."""

from collections.abc import Iterable
from typing import Any, Final

from nightlatch import __version__
from nightlatch.domain import errors
from nightlatch.domain.limits import HEADER_BYTES
from nightlatch.faces.onprem.errors import ROWS
from nightlatch.faces.onprem.routes import EVERY_ROUTE
from nightlatch.faces.onprem.wire import Access, Route

_SECURITY: Final[dict[Access, list[dict[str, list[str]]]]] = {
    Access.LOGIN: [{"basic": []}],
    Access.TOKEN: [{"bearer": []}],
    Access.ADMIN: [{"bearer": []}],
    Access.MONITOR: [{"bearer": []}, {"apiKey": []}],
}


def document(routes: Iterable[Route], origin: str) -> dict[str, Any]:
    """OpenAPI 3.1, as plain values."""
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(f"/v1{route.path}", {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Nightlatch: the On-Premises API",
            "version": __version__,
            "description": "Further clients are served at /clients/{name}/v1 in the same way.",
        },
        "servers": [{"url": origin}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`Apikey <key>`",
                },
            },
            "schemas": {
                "Meta": {
                    "type": "object",
                    "required": ["version", "api_status"],
                    "properties": {
                        "version": {"type": "string"},
                        "api_status": {"type": "string"},
                    },
                },
                "Refusal": {
                    "type": "object",
                    "required": ["meta", "errors"],
                    "properties": {
                        "meta": {"$ref": "#/components/schemas/Meta"},
                        "errors": {
                            "type": "array",
                            "minItems": 1,
                            "items": {
                                "type": "object",
                                "required": ["code", "title", "details", "href"],
                                "properties": {
                                    "code": {"type": "integer"},
                                    "title": {"type": "string"},
                                    "details": {"type": "string", "minLength": 1},
                                    "href": {"type": "string", "format": "uri"},
                                },
                            },
                        },
                    },
                },
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "description": f"Needs: {route.access.value}.",
        "security": _SECURITY[route.access],
        "responses": _responses(route),
    }
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "query", "schema": {"type": "string"}} for name in route.query
    ]
    if "{username}" in route.path:
        parameters.append(
            {"name": "username", "in": "path", "required": True, "schema": {"type": "string"}}
        )
    if parameters:
        operation["parameters"] = parameters
    if route.fields:
        needed = any(field.required for field in route.fields)
        operation["requestBody"] = {
            "required": needed,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object" if needed else ["object", "null"],
                        "additionalProperties": False,
                        "required": [field.name for field in route.fields if field.required],
                        "properties": {field.name: dict(field.schema) for field in route.fields},
                    }
                }
            },
        }
    return operation


def _responses(route: Route) -> dict[str, Any]:
    responses: dict[str, Any] = {
        str(status): {"description": says, "content": {"application/json": {}}}
        for status, says in route.success.items()
    }
    refusals = [*EVERY_ROUTE, *route.refusals, errors.ParameterUnexpected]
    if route.access is not Access.LOGIN:
        refusals.append(errors.TokenRefused)
    if route.access is Access.ADMIN:
        refusals.append(errors.AdminOnly)
    if route.fields or route.query:
        refusals += [errors.ParameterMissing, errors.ParameterInvalid]
    rows = sorted({(ROWS[one].status, ROWS[one].code, ROWS[one].title) for one in refusals})
    for status, code, title in rows:
        entry = responses.setdefault(
            str(status),
            {
                "description": "",
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}
                },
            },
        )
        entry["description"] = ", ".join(filter(None, [entry["description"], f"{code} {title}"]))
    responses["431"] = {
        "description": f"The request's head has more than {HEADER_BYTES} bytes; without a body."
    }
    return responses
