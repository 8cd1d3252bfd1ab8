"""The served ``/openapi.json``. That it knows every status met is in ``conftest.py``."""

import json
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from nightlatch import __version__
from nightlatch.domain.errors import AdminOnly, TokenRefused
from nightlatch.faces.metrics import Metrics
from nightlatch.faces.onprem.errors import ROWS
from nightlatch.faces.onprem.routes import NOT_SERVED, served
from nightlatch.faces.onprem.wire import Access
from tests.town import Town, exchange

ROUTES = served(Metrics())


@pytest.fixture
async def document(town: Town) -> dict[str, Any]:
    """As anybody may read it, without a token."""
    reply = await exchange(town.port, "GET", "/openapi.json")
    assert reply.status == 200
    assert reply.header("Content-Type") == "application/json"
    return dict(reply.body)


def _operations(document: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


async def test_the_document_is_valid_openapi_3_1(document):
    OpenAPIV31SpecValidator(document).validate()

    assert document["openapi"].startswith("3.1")
    assert document["info"]["version"] == __version__


async def test_it_lists_the_route_table_and_nothing_else(document):
    listed = _operations(document)

    assert set(listed) == {f"{route.method} /v1{route.path}" for route in ROUTES}
    assert not {f"/v1{path}" for path in NOT_SERVED} & set(document["paths"])
    names = [operation["operationId"] for operation in listed.values()]
    assert len(set(names)) == len(names)


async def test_its_server_is_where_it_was_fetched(document, town: Town):
    assert document["servers"] == [{"url": f"http://127.0.0.1:{town.port}"}]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_an_operation_tells_what_its_route_takes_and_answers(document, route):
    operation = _operations(document)[f"{route.method} /v1{route.path}"]
    schema = (
        operation.get("requestBody", {})
        .get("content", {})
        .get("application/json", {})
        .get("schema", {})
    )
    named = {
        (one["in"], one["name"]): one.get("required", False)
        for one in operation.get("parameters", [])
    }

    assert set(schema.get("properties", {})) == {field.name for field in route.fields}
    assert schema.get("required", []) == [f.name for f in route.fields if f.required]
    assert schema.get("additionalProperties", False) is False
    assert set(named) == {("query", name) for name in route.query} | (
        {("path", "username")} if "{username}" in route.path else set()
    )
    assert all(required for (place, _), required in named.items() if place == "path")
    assert {str(status) for status in route.success} <= set(operation["responses"])
    refusals = {*route.refusals}
    refusals |= {TokenRefused} if route.access is not Access.LOGIN else set()
    refusals |= {AdminOnly} if route.access is Access.ADMIN else set()
    for refusal in refusals:
        row = ROWS[refusal]
        assert str(row.code) in operation["responses"][str(row.status)]["description"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_an_operation_tells_who_may_call_it(document, route):
    security = _operations(document)[f"{route.method} /v1{route.path}"]["security"]

    schemes = {name for one in security for name in one}
    assert (
        schemes
        == {
            Access.LOGIN: {"basic"},
            Access.TOKEN: {"bearer"},
            Access.ADMIN: {"bearer"},
            Access.MONITOR: {"bearer", "apiKey"},
        }[route.access]
    )


async def test_a_refusal_fits_the_schema_it_is_documented_with(document, town: Town):
    schema = document["components"]["schemas"]["Refusal"]
    refusal = (await town.owner.register("12345")).body

    (error,) = refusal["errors"]
    assert set(refusal) == set(schema["required"])
    assert set(error) == set(schema["properties"]["errors"]["items"]["required"])
    assert isinstance(error["code"], int)
    assert all(isinstance(error[name], str) for name in ("title", "details", "href"))


async def test_it_holds_no_secret_of_this_server(document, town: Town):
    text = json.dumps(document)

    for secret in (town.owner.token, town.owner.certificate, town.owner.password):
        assert secret not in text
