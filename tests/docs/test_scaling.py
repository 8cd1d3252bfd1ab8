"""docs/scaling.md: its figures are those that were measured, and no table is forgotten."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
COSTS = json.loads((ROOT / "benchmarks/costs.json").read_text(encoding="utf-8"))
SCHEMA = ROOT / "src/nightlatch/adapters/postgres/migrations"


def rows() -> dict[str, list[str]]:
    """The cells of each row before the schema is spread, by its first."""
    lines = PAGE.partition("## Where one")[0].splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return {first: [one.replace(",", "") for one in rest] for first, *rest in cells}


def test_what_a_request_costs_is_what_was_measured():
    for kind, cost in COSTS["requests"].items():
        names = ("node_ms", "postgresql_ms", "log_bytes", "syncs", "commits")

        assert rows()[kind] == [str(cost[name]) for name in names]


def test_what_a_number_costs_is_what_was_measured():
    for table, cost in COSTS["number"].items():
        assert rows()[f"`{table}`"] == [
            str(cost[name]) for name in ("rows", "bytes", "index_bytes")
        ]


def test_every_table_has_its_place_among_several_servers():
    schema = "".join(path.read_text(encoding="utf-8") for path in sorted(SCHEMA.glob("*.sql")))
    section = PAGE.partition("## Spread over several")[2].partition("\n## ")[0]

    tables = re.findall(r"CREATE TABLE (\w+)", schema)
    assert len(tables) > 1
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == sorted(tables)
