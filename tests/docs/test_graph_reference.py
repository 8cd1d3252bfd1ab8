"""The page of the Cloud API says what the code serves, and all of it."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from nightlatch.domain import cloud, numbers, registration, two_step
from nightlatch.domain.access import Scope
from nightlatch.domain.webhooks import Field
from nightlatch.faces.graph.errors import DOCS, OPENAPI
from nightlatch.faces.graph.fields import names_of
from nightlatch.faces.graph.routes import ROUTES
from nightlatch.faces.graph.versions import KNOWN
from nightlatch.settings import Settings
from tests.docs.graph_reference import (
    ANSWERS,
    FIELDS,
    NOT_SERVED,
    TOLD,
    anchor,
    path_of,
    refusals_of,
)
from tests.docs.reference import written

PAGE = "cloud-api.md"


def section(heading: str) -> str:
    page = written(PAGE)
    assert f"\n{heading}\n" in page
    return str(page.partition(f"\n{heading}\n")[2].partition("\n### ")[0])


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_has_a_section_with_its_parameters_and_refusals(route):
    told = section(f"### {route.method} {path_of(route)}")

    assert route.summary in told
    assert all(f"| `{one.name}` |" in told for one in route.params)
    assert all(f"(#{anchor(one)}) `{one.__name__}`" in told for one in route.refusals)
    assert route.scope is None or f"`{route.scope.value}`" in told


def test_every_route_has_an_answer():
    assert {*ANSWERS} == {route.name for route in ROUTES}


def test_every_refusal_that_a_route_can_meet_has_a_row():
    page = written(PAGE)

    for refusal in {one for route in ROUTES for one in refusals_of(route)}:
        assert page.count(f'<a id="{anchor(refusal)}"></a>`{refusal.__name__}` |') == 1


def test_every_error_has_its_codes_in_both_profiles():
    rows = {
        line.partition('<a id="')[2].partition('"')[0]: line.split(" | ")
        for line in written(PAGE).splitlines()
        if line.startswith('| <a id="')
    }

    assert {*rows} == {anchor(refusal) for refusal in DOCS}
    for refusal, row in DOCS.items():
        _, _, status, code, says, other = rows[anchor(refusal)]
        assert status == str(row.status)
        assert code.split(" / ") == [str(one) for one in (row.code, row.subcode) if one is not None]
        assert says
        differs = OPENAPI[refusal] is not row
        assert other.startswith(f"{OPENAPI[refusal].status}, {OPENAPI[refusal].code}") == differs


def test_no_row_is_left_with_a_placeholder_of_the_code():
    page = written(PAGE)

    assert "None" not in page
    assert "object at 0x" not in page
    assert "<what" not in page


def test_every_field_of_every_object_has_a_sentence():
    for kind, sentences in FIELDS.items():
        told = section(f"### {kind}")
        assert {*sentences} == {*names_of(kind)}
        assert all(f"| `{name}` | {says} |" in told for name, says in sentences.items())


def test_every_version_setting_and_permission_is_named():
    page = written(PAGE)

    assert f"{KNOWN[0].name} to {KNOWN[-1].name}" in page
    settings = [one.name for one in fields(Settings) if one.name.startswith("graph_")]
    assert len(settings) == 8
    assert all(f"`--{name.replace('_', '-')}`" in page for name in settings)
    assert all(f"| `{scope.value}` |" in page for scope in Scope)


def test_every_webhook_has_a_row():
    sources = [
        Path(str(one.__file__)).read_text() for one in (cloud, numbers, registration, two_step)
    ]
    sent = set(re.findall(r'\bevent="([A-Z_]+)"|_reviewed\(number, "([A-Z]+)"', "".join(sources)))

    assert {*TOLD} == {*Field}
    told = {re.findall(r"[A-Z_]+", says)[0] for rows in TOLD.values() for says, _ in rows}
    assert told == {one or other for one, other in sent}
    assert all(f"| `{field.value}` |" in written(PAGE) for field in Field)


def test_what_is_not_served_is_listed_and_is_not_served():
    page = written(PAGE)

    for (kind, edge), methods in NOT_SERVED.items():
        assert f"/{edge}` | {', '.join(methods)} |" in page
        assert (kind, edge) not in {(route.kind, route.edge) for route in ROUTES}


def test_the_openapi_document_of_the_cloud_api_is_valid():
    validate(json.loads(written("graph-openapi.json")))
