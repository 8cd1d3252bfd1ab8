"""The examples of the sandbox's page, pasted by the letter."""

import json
import re
from pathlib import Path
from typing import Any

from nightlatch.faces.faults import EDGES, FaultKind
from nightlatch.faces.sandbox.routes import ROUTES
from tests.docs.reference import ROOT
from tests.docs.story import play, steps

PAGE = ROOT / "docs" / "guides" / "sandbox.md"
TOKEN = "a-token-for-tests-only"
OTHERS_EACH_TIME = {"certificate", "code", "expires_at", "id", "now", "received_at", "waba"}


def likened(output: str) -> list[Any]:
    return [_plain(json.loads(line)) if line[:1] == "{" else line for line in output.splitlines()]


def _plain(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _plain(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return type(value).__name__ if name in OTHERS_EACH_TIME else value


def test_the_examples_print_what_the_page_shows(tmp_path: Path):
    story = steps(PAGE, "## Ask")

    played = play(tmp_path, story, settings={"NIGHTLATCH_SANDBOX_TOKEN": TOKEN})

    assert len(played) == 9
    for shown, came in played:
        assert likened(came) == likened(shown)


def test_the_page_names_every_path_and_every_fault():
    text = PAGE.read_text(encoding="utf-8")

    for route in ROUTES:
        assert f"/sandbox{route.path}".split("{")[0] in text
    assert all(f"| `{kind.value}` |" in text for kind in FaultKind)
    assert all(f"`{edge}`" in text for edge in EDGES if edge)
    assert re.search(rf"NIGHTLATCH_SANDBOX_TOKEN={TOKEN}", text)
