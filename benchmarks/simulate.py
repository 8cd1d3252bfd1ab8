"""A hundred million numbers, one in a hundred registering within an hour, on so many cores.

Counts with ``costs.json``. Requests arrive at random, twice as many as on average at the peak, and
the peak minute is what is simulated: each waits for a core of a node, then for a core of the
shard that its number is on. Printed: the 99th percentile by cores, quiet and with a storm of
guesses on top. The standard library only, one seed, the same figures each time.

    python benchmarks/simulate.py [--check]

``--check`` simulates the machine that the costs were measured on, and compares.
"""

import heapq
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lines

HERE = Path(__file__).parent
COSTS: dict[str, Any] = json.loads((HERE / "costs.json").read_text())

NUMBERS = 100_000_000
REGISTERING = 0.01
PEAK = 2.0
"""Times the average, at the peak."""
STORM = 300.0
"""Wrong PINs a second on top, over many numbers."""
BOUND = 0.5
"""Seconds: what the 99th percentile should stay below."""
_MINUTE = 60.0
_SEED = 271_828


@dataclass(frozen=True)
class Cost:
    """Seconds on a core of a node and on one of PostgreSQL."""

    node: float
    database: float

    @classmethod
    def of(cls, kind: str) -> "Cost":
        row = COSTS["requests"][kind]
        return cls(row["node_ms"] / 1_000, row["postgresql_ms"] / 1_000)


ASKS = Cost.of("right PIN, and a code is sent")
GUESSES = Cost.of("wrong PIN")
VERIFIES = Cost(ASKS.node - COSTS["hash_ms"] / 1_000, ASKS.database)
"""The code is compared without a hash; its steps of the store are as many."""


def peak_rate() -> float:
    """Registrations a second at the peak."""
    return NUMBERS * REGISTERING / 3_600 * PEAK


def arrivals(rate: float, kinds: list[tuple[float, Cost]], seconds: float) -> list[Any]:
    """Times and costs; each kind comes so many times for one of *rate*."""
    chance = random.Random(_SEED)
    found = []
    for times, cost in kinds:
        at = 0.0
        while (at := at + chance.expovariate(rate * times)) < seconds:
            found.append((at, chance.random(), cost))
    return sorted(found, key=lambda one: one[0])


class Cores:
    """So many cores and one line before them."""

    def __init__(self, count: int) -> None:
        self._free = [0.0] * count

    def take(self, at: float, seconds: float) -> float:
        """When the work is done that came *at* this time."""
        done = max(at, heapq.heappop(self._free)) + seconds
        heapq.heappush(self._free, done)
        return done


def latencies(found: list[Any], nodes: int, shards: int, shard_cores: int) -> list[float]:
    """Seconds from arrival to answer, sorted."""
    crew = Cores(nodes)
    databases = [Cores(shard_cores) for _ in range(shards)]
    decided = sorted((crew.take(at, cost.node), at, where, cost) for at, where, cost in found)
    return sorted(
        databases[int(where * shards)].take(done, cost.database) - at
        for done, at, where, cost in decided
    )


def p99(found: list[float]) -> float:
    return found[int(len(found) * 0.99)]


def curves() -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """The 99th percentile in seconds by cores for hashing, quiet and in a storm."""
    registering = [(1.0, ASKS), (1.0, VERIFIES)]
    rate = peak_rate()
    for name, kinds in (
        ("quiet", registering),
        ("with a storm of guesses", [*registering, (STORM / rate, GUESSES)]),
    ):
        found = arrivals(rate, kinds, _MINUTE)
        busy = sum(cost.node for _, _, cost in found) / _MINUTE
        line = []
        for spare in (0.95, 1.0, 1.02, 1.05, 1.1, 1.2, 1.4):
            cores = round(busy * spare)
            line.append((float(cores), p99(latencies(found, cores, 4, 4))))
        print(f"{name}: {busy:.1f} cores are busy on average")
        for cores_there, seconds in line:
            mark = "" if seconds <= BOUND else "  too slow"
            print(f"  {cores_there:4.0f} cores for nodes: p99 {seconds:8.3f} s{mark}")
        yield name, line
    for shards in (1, 2, 4):
        found = arrivals(rate, registering, _MINUTE)
        busy = sum(cost.database for _, _, cost in found) / _MINUTE
        seconds = p99(latencies(found, 1_000, shards, 4))
        print(f"  {shards} shards of 4 cores, {busy:.1f} busy in all: p99 {seconds:.3f} s")


def check() -> None:
    """As many wrong PINs as the costs were measured with, all at once, on two cores for both."""
    row = COSTS["requests"]["wrong PIN"]
    both = Cost(GUESSES.node + GUESSES.database, 0.0)
    found = [(0.0, 0.0, both)] * 450
    simulated = 450 / latencies(found, COSTS["cores"], 1, 1)[-1]
    print(f"wrong PINs a second: simulated {simulated:.0f}, measured {row['per_second']},"
          f" {row['per_second'] / simulated:.2f} of it")  # fmt: skip


def main() -> None:
    check()
    if "--check" not in sys.argv:
        print(f"{peak_rate():.0f} registrations a second at the peak")
        found = dict(curves())
        shown = {name: [(x, min(y, 5.0)) for x, y in line] for name, line in found.items()}
        lines.draw(
            HERE / "simulation.svg", "100 million numbers, 1 % registering in an hour",
            "cores for nodes", "p99 in seconds (cut at 5)", shown, BOUND,
        )  # fmt: skip


if __name__ == "__main__":
    main()
