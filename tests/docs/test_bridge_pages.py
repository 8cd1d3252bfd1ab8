"""The tables of the bridge's guides say what the code does."""

import json
import re

import pytest

from nightlatch.adapters.cloudapi import answers
from nightlatch.adapters.cloudapi.calls import Usage
from nightlatch.domain.diagnosis import Prospect, Step, Trouble
from nightlatch.domain.errors import OutcomeUnknown, Refusal
from nightlatch.faces.onprem.errors import ROWS
from nightlatch.ports import CloudNoAnswer, CloudRefusal
from tests.docs.reference import ROOT

GUIDES = ROOT / "docs" / "guides"


def table(name: str, heading: str) -> list[list[str]]:
    """The cells of the rows of the first table behind *heading*."""
    text = (GUIDES / name).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    rows = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert rows is not None
    lines = rows[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("What is true", set(Trouble)),
        ("What registering would do", set(Prospect)),
        ("What to do next", set(Step)),
    ],
)
def test_the_guide_to_the_doctor_names_everything_that_it_says(heading: str, names: set[str]):
    told = [name for row in table("doctor.md", heading) for name in re.findall(r"`(\w+)`", row[0])]

    assert sorted(told) == sorted(names)


def refusal_for(code: int) -> type[Refusal]:
    """What becomes of an error of Meta's."""
    body = json.dumps({"error": {"message": f"(#{code}) Title", "code": code}}).encode()
    try:
        answers.read(400, body, Usage())
    except CloudRefusal as refused:
        return type(refused.answer.as_refusal())
    except CloudNoAnswer:
        return OutcomeUnknown
    raise AssertionError("an error was taken for a success")


def told_errors() -> list[tuple[int, int, int]]:
    """Meta's code, our HTTP status and our code, as the guide says them."""
    found = []
    for said, status, code, _ in table("bridge.md", "What Meta's errors become"):
        ours = re.match(r"\[(\d+)\]", code)
        assert ours is not None
        without_subcodes = re.sub(r"100 with \d+", "", said).replace("72 hours", "")
        codes = re.findall(r"\b\d+\b", without_subcodes)
        found += [(int(one), int(status), int(ours[1])) for one in codes]
    return found


def test_the_guide_tells_of_every_code_that_a_registration_meets():
    told = {code for code, _, _ in told_errors()}

    assert told >= {133000, 133004, 133005, 133006, 133008, 133009, 133010, 133015, 133016, 131031}


@pytest.mark.parametrize(("meta", "status", "code"), told_errors())
def test_metas_errors_become_what_the_guide_says(meta: int, status: int, code: int):
    row = ROWS[refusal_for(meta)]

    assert (row.status, row.code) == (status, code)
