"""The served ``/graph/openapi.json``. That it knows every status met is in ``conftest.py``."""

import json
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from nightlatch import __version__
from nightlatch.faces.graph.errors import PROFILES
from nightlatch.faces.graph.openapi import document as written
from nightlatch.faces.graph.routes import ROUTES
from nightlatch.faces.graph.wire import Access, Kind
from tests.faces.graph.desk import Desk
from tests.town import exchange


@pytest.fixture
async def document(desk: Desk) -> dict[str, Any]:
    """As anybody may read it, without a token."""
    reply = await exchange(desk.town.port, "GET", "/graph/openapi.json")
    assert reply.status == 200
    assert reply.header("Content-Type") == "application/json; charset=UTF-8"
    return dict(reply.body)


def operations(document: dict[str, Any]) -> dict[str, Any]:
    return {
        operation["operationId"]: operation
        for item in document["paths"].values()
        for operation in item.values()
    }


@pytest.mark.parametrize("profile", PROFILES)
def test_the_document_is_valid_openapi_3_1(profile):
    made = written(PROFILES[profile])
    OpenAPIV31SpecValidator(made).validate()

    assert made["openapi"].startswith("3.1")
    assert made["info"]["version"] == __version__


async def test_it_lists_the_route_table_and_nothing_else(document):
    listed = {(method.upper(), path) for path, item in document["paths"].items() for method in item}

    edges = {(route.method, route.edge) for route in ROUTES}
    assert {(method, path.split("/", 2)[2]) for method, path in listed if path.count("/") == 2} == {
        ("GET", "{id}"), ("POST", "{id}"), ("GET", "me"), ("GET", "debug_token"),
    }  # fmt: skip
    assert {(method, path.split("/", 3)[3]) for method, path in listed if path.count("/") == 3} == {
        (method, edge.removeprefix("oauth/")) for method, edge in edges if edge
    } - {("GET", "me"), ("GET", "debug_token")}


async def test_calls_tell_what_they_take(document):
    for route in ROUTES:
        name = route.name if route.edge else f"{route.method}_graph_node"
        operation = operations(document).get(name) or operations(document)[route.name]
        query = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
        bodies = operation.get("requestBody", {}).get("content", {})
        named = set().union(query, *(one["schema"]["properties"] for one in bodies.values()))
        assert {one.name for one in route.params} <= named
        assert len(bodies) in (0, 3)
        wants = {tuple(one) for one in operation["security"]}
        assert wants == (set() if route.access is Access.NOBODY else {("bearer",)})


async def test_errors_fit_the_schema_they_are_documented_with(document, desk: Desk):
    schema = document["components"]["schemas"]["Error"]
    check = OAS31Validator(schema)

    for reply in (
        await desk.set_pin("12345"),
        await desk.deregister(version="v13.0"),
        await desk.deregister(),
        await desk.read("pin"),
        await desk.call("GET", "/1"),
        await desk.call("GET", "/1", token=""),
        await desk.verify_code("000000"),
    ):
        assert reply.status >= 400
        check.validate(reply.body)
        assert not check.is_valid(reply.body | {"more": 1})


async def test_answers_fit_the_schema_they_are_documented_with(document, desk: Desk):
    schemas = document["components"]["schemas"]

    OAS31Validator(schemas["Node"]).validate((await desk.read()).body)
    listing = await desk.call("GET", f"/{desk.waba}/phone_numbers", query={"limit": 1})
    OAS31Validator(schemas["List"]).validate(listing.body)


async def test_fields_of_each_kind_of_object_are_listed(document):
    says = operations(document)["GET_graph_node"]["description"]

    for kind in (Kind.NUMBER, Kind.WABA, Kind.PORTFOLIO, Kind.APP):
        assert f"Fields of {kind.value}: " in says
    assert "is_pin_enabled" in says


async def test_it_holds_no_secret_of_this_server(document, desk: Desk):
    text = json.dumps(document)

    for secret in (desk.token, desk.secret, desk.number):
        assert secret not in text
