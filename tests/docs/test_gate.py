"""`make test` runs every test there is."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_file_is_named_by_exactly_one_target():
    named = re.findall(r"\btests/[\w/.]+", (ROOT / "Makefile").read_text().split("chromium:")[0])
    files = [path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py")]

    runs = {
        str(path): sum(path.is_relative_to(name) for name in named)
        for path in files
        if "node_modules" not in path.parts
    }

    assert runs
    assert {name: times for name, times in runs.items() if times != 1} == {}
