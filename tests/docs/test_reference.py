"""The pages that come from the code say what the code says."""

import json
from dataclasses import fields

import pytest
from openapi_spec_validator import validate

from nightlatch import logs
from nightlatch.domain import limits
from nightlatch.domain.audit import Kind
from nightlatch.domain.errors import Refusal
from nightlatch.faces.metrics import FAMILIES, Metrics
from nightlatch.faces.onprem.errors import ELSEWHERE, ROWS, TITLES
from nightlatch.faces.onprem.routes import NOT_SERVED, served
from nightlatch.logs import FIELDS
from nightlatch.settings import Settings
from tests.docs.reference import EVENTS, FOLDER, PAGES, commands, written


def refusals(of: type[Refusal] = Refusal) -> list[type[Refusal]]:
    """Those of the domain; a face may tell some apart for itself."""
    found = []
    for one in of.__subclasses__():
        ours = one.__module__ == Refusal.__module__ and not one.__name__.startswith("_")
        found += ([one] if ours else []) + refusals(one)
    return found


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_would_be_written_now(name: str):
    assert written(name) == PAGES[name](), "run: make docs"


def test_nothing_else_lies_in_the_folder_but_the_rules():
    assert {path.name for path in FOLDER.iterdir()} == {*PAGES, "rules.md"}


def test_every_limit_has_a_row():
    page = written("limits.md")

    assert all(f"| `{one.name}` |" in page for one in limits.TABLE)


def test_every_setting_has_a_row_with_its_variable():
    page = written("settings.md")

    assert all(f"`{one.metadata['env']}`" in page for one in fields(Settings))


def test_every_refusal_has_its_place():
    page = written("errors.md")

    assert {*ROWS} | ELSEWHERE == {*refusals()}
    assert all(f"| `{one.__name__}` |" in page for one in refusals())


def test_every_code_has_a_section_that_can_be_linked_to():
    page = written("errors.md")

    assert all(
        f'<a id="{code}"></a>\n\n## {code} {title}\n' in page for code, title in TITLES.items()
    )


def test_no_details_are_left_with_a_placeholder_of_the_code():
    page = written("errors.md")

    assert "None" not in page
    assert "<name>" not in page


def test_every_command_has_a_section():
    page = written("commands.md")

    assert all(f"\n## {path}\n" in page for path, _ in commands())


def test_every_route_has_a_section_with_its_parameters():
    page = written("on-premises-api.md")

    for route in served(Metrics()):
        section = page.partition(f"\n### {route.method} /v1{route.path}\n")[2].partition("\n### ")[
            0
        ]
        assert route.summary in section
        assert all(f"| `{one.name}` |" in section for one in route.fields)
        assert all(f"| {status} |" in section for status in route.success)


def test_every_documented_path_that_is_not_served_is_listed():
    page = written("on-premises-api.md")

    assert all(f"| `/v1{path}` |" in page for path in NOT_SERVED)


def test_the_openapi_document_is_valid():
    validate(json.loads(written("openapi.json")))


def test_every_event_has_a_sentence():
    assert {*EVENTS} == {*Kind}
    assert all(f"| `{kind.value}` |" in written("events.md") for kind in Kind)


def test_every_field_and_event_of_a_log_line_has_a_row():
    page = written("logs.md")

    assert [name for name in (*FIELDS, *logs.EVENTS) if f"| `{name}` |" not in page] == []


def test_every_metric_has_a_row_under_the_name_that_is_shown():
    page = written("metrics.md")
    families = Metrics().registry.collect()
    shown = {one.name + ("_total" if one.type == "counter" else "") for one in families}

    assert {family.exposed for family in FAMILIES} == shown
    assert [name for name in shown if f"| `{name}` |" not in page] == []


def test_the_rules_give_the_waits_that_are_enforced():
    rules = (FOLDER / "rules.md").read_text()
    seconds = [int(wait.total_seconds()) for wait in limits.GUESS_WAITS]

    assert seconds == [0, 0, 0, 0, 60, 300, 900, 900, 3600, 86400]
    assert "| 5 | a wait of 60 seconds |\n| 6 | 5 minutes |\n| 7, 8 | 15 minutes each |" in rules
    assert "| 9 | 1 hour |\n| 10 and more | 24 hours each |" in rules
    assert (limits.GUESS_LOCK, limits.GUESS_WINDOW.days) == (100, 30)
    assert "| 100, or 100 within 30 days | a lock" in rules
