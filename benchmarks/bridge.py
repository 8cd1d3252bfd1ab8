"""What the bridge adds to a call of the Cloud API; what doctor asks; memory over many calls.

``python benchmarks/bridge.py`` measures 10,000 calls and 1,000 numbers; ``... 1000 300`` fewer of
both. Loopback only; ends by itself.

The Cloud API is a process of its own whose every answer takes 5 ms (``slow_graph.py``). The same
client sends the same PINs straight to it and through the bridge's ``/v1``, in turns, each time
for another number. Numbers are spread over several accounts, because Meta allows 5,000 calls an
hour for one, and each gets no more PINs than the ledger allows.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import stage
from rich.console import Console
from rich.table import Table
from run import Row, expect
from slow_graph import FIRST_ACCOUNT, FIRST_ID, FIRST_NUMBER

from nightlatch.adapters.hashing import CHEAP
from nightlatch.bootstrap import House, free_port, open_house, set_up
from nightlatch.domain.ledger import Act
from nightlatch.domain.limits import CLOUD_CALLS, LEDGER_KEPT_BACK
from nightlatch.settings import Settings
from nightlatch.usecases import bridge, clients, doctor, links
from nightlatch.usecases.linked import find_linked

CALLS, NUMBERS = 10_000, 1_000
IN_FLIGHT = 50
ANSWER_MS = 5
_ACCOUNTS = 6
_CALM = 4
_A_ROUND, _A_CALM_ROUND = 500, 250
_PER_NUMBER = Act.PIN.limit - LEDGER_KEPT_BACK - 1
_THINK = 1.0
"""Seconds that each of the clients leaves between two calls when it does not hurry."""
_TOKEN = "EAAbench"


def _sides() -> dict[str, list[dict[str, Any]]]:
    return {"bridge": [], "straight": []}


@dataclass
class Figures:
    """What one run came to."""

    hurried: dict[str, list[dict[str, Any]]] = field(default_factory=_sides)
    """Rounds in which each client sends the next call at once, through the bridge and straight."""
    calm: dict[str, list[dict[str, Any]]] = field(default_factory=_sides)
    """Rounds in which it thinks in between."""
    resident: list[float] = field(default_factory=list)
    """MiB of the bridge after each hurried round."""
    a_round: int = _A_ROUND

    def added(self, kind: str, figure: str) -> list[float]:
        """Milliseconds, round by round; the first one warms up."""
        rounds = getattr(self, kind)
        pairs = list(zip(rounds["bridge"], rounds["straight"], strict=True))
        return [ours[figure] - theirs[figure] for ours, theirs in pairs[1:] or pairs]


@contextmanager
def slow_graph(numbers: int, accounts: int) -> Iterator[tuple[int, stage.Crew]]:
    """A Cloud API; its port, and who counts its calls."""
    port, graph = free_port(), stage.Crew("slow_graph.py")
    job = {"port": port, "numbers": numbers, "accounts": accounts, "ms": ANSWER_MS}
    graph.tell(json.dumps(job))
    try:
        yield port, graph
    finally:
        graph.close()


# Setting PINs


async def prepare(path: Path, port: int, count: int) -> list[str]:
    """One client for each number, which it holds; their logins at the bridge."""
    tokens = []
    async with open_house(Settings(data=path), create=True, cost=CHEAP) as house:
        await set_up(house)
        names = [f"shop-{n}" for n in range(count)]
        for name in names:
            await clients.add_client(house.world, name)
            token, _ = await clients.log_in(house.world, name, "admin", "secret", "Bench-Pass-1")
            tokens.append(token)
        for n in range(_ACCOUNTS):
            await _link(house, port, n, names[n::_ACCOUNTS])
        for n, name in enumerate(names):
            number = await find_linked(house.world, f"+{FIRST_NUMBER + n}")
            await bridge.register(house.world, number, None, name)
    return tokens


async def _link(house: House, port: int, n: int, names: list[str]) -> None:
    (portfolio,) = await house.store.portfolios()
    one = await links.link(
        house.world, portfolio.id, str(FIRST_ACCOUNT + n), _TOKEN,
        base=f"http://127.0.0.1:{port}", clients=names or ["main"],
    )  # fmt: skip
    await links.read_numbers(house.world, one, lambda _: None)


def pins(place: Path, calls: int) -> Figures:
    """So many calls through the bridge; the hurried rounds are those that memory is told of."""
    found = Figures(a_round=min(_A_ROUND, calls // 4))
    rounds = calls // found.a_round
    total = (rounds + _CALM) * found.a_round
    count = max(found.a_round, -(-total // _PER_NUMBER))
    with slow_graph(count, _ACCOUNTS) as (port, _):
        tokens = asyncio.run(prepare(place / "data", port, count))
        meta, load = stage.Server(port, 0, 0), stage.Load()
        with stage.nightlatch(place / "data") as server:
            sent = 0
            for n in range(rounds + _CALM):
                kind, pause, length = ("hurried", 0.0, found.a_round)
                if n >= rounds:
                    kind, pause = "calm", _THINK
                    length = min(_A_CALM_ROUND, found.a_round)
                body = {"pin": f"{314_000 + n:06d}"}  # no number gets the one that it has
                through = [_through(tokens[m], m, body) for m in range(count)]
                straight = [_straight(m, body) for m in range(count)]
                for side, where, requests in (
                    ("straight", meta, straight), ("bridge", server, through),
                ):  # fmt: skip
                    played = load.play(
                        where, requests, length, connections=IN_FLIGHT, first=sent,
                        pause=pause,
                    )  # fmt: skip
                    getattr(found, kind)[side].append(expect(played, "200"))
                sent += length
                if kind == "hurried":
                    found.resident.append(server.resident())
        load.close()
    return found


def _through(token: str, n: int, body: Any) -> str:
    path = f"/clients/shop-{n}/v1/settings/account/two-step"
    return stage.request("POST", path, token, body)


def _straight(n: int, body: Any) -> str:
    return stage.request("POST", f"/v23.0/{FIRST_ID + n}", _TOKEN, body)


def rows_of_pins(found: Figures) -> list[Row]:
    rows = []
    for kind, says in (
        ("calm", f"{IN_FLIGHT} clients, each {_THINK:g} s after its last answer"),
        ("hurried", f"{IN_FLIGHT} calls in flight all the time"),
    ):
        for figure, most in (("p50_ms", 3), ("p99_ms", 10)):
            added = median(found.added(kind, figure))
            ours, theirs = (
                median(one[figure] for one in getattr(found, kind)[side])
                for side in ("bridge", "straight")
            )
            rate = median(one["per_second"] for one in getattr(found, kind)["bridge"])
            rows.append(
                Row(
                    f"what the bridge adds to a set-PIN call at {figure[:3]}, {says}",
                    f"<= {most} ms", f"{added:.1f} ms",
                    f"{ours:.1f} against {theirs:.1f} ms; {rate:,.0f}/s through the bridge",
                    added <= most,
                )
            )  # fmt: skip
    begin = max(0, 2_000 // found.a_round - 1) if len(found.resident) * found.a_round > 2_000 else 0
    growth = found.resident[-1] / found.resident[begin] - 1
    rows.append(
        Row(
            "growth of the bridge's memory over the calls", "<= 5 %", f"{growth:.1%}",
            f"{found.resident[begin]:.1f} MiB after {(begin + 1) * found.a_round:,} calls,"
            f" {found.resident[-1]:.1f} after {len(found.resident) * found.a_round:,}",
            growth <= 0.05,
        )
    )  # fmt: skip
    return rows


# Doctor


@dataclass
class Examined:
    """One account, examined twice: the second time after it was cut short."""

    numbers: int
    seconds: float = 0.0
    calls: int = 0
    cut_short: int = 0
    """Calls until it was interrupted half-way."""
    resumed: int = 0
    """Calls of the next one, which went on."""
    told: int = 0


class _Enough(Exception):
    """Somebody pressed Ctrl-C."""


def examine(place: Path, count: int) -> Examined:
    found = Examined(count)
    with slow_graph(count, 1) as (port, graph):

        async def run() -> None:
            settings = Settings(data=place / "data")
            async with open_house(settings, create=True, cost=CHEAP) as house:
                await set_up(house)
                await _link(house, port, 0, [])
                graph.tell("begin")
                began = asyncio.get_running_loop().time()
                found.told = await _examined(house)
                found.seconds = asyncio.get_running_loop().time() - began
                found.calls = _calls(graph)

                def interrupt(seen: int) -> None:
                    if seen >= count / 2:
                        raise _Enough

                try:
                    await _examined(house, interrupt)
                except _Enough:
                    found.cut_short = _calls(graph)
                found.told += await _examined(house)
                found.resumed = _calls(graph)

        asyncio.run(run())
    return found


async def _examined(house: House, progress: Any = lambda _: None) -> int:
    """How many numbers doctor told of."""
    one = await links.find_link(house.world, str(FIRST_ACCOUNT))
    told = doctor.examine(house.world, one, max_age=timedelta(0), progress=progress)
    return sum([1 async for _ in told])


def _calls(graph: stage.Crew) -> int:
    return int(sum(json.loads(graph.tell("how many")).values()))


def row_of_doctor(found: Examined) -> Row:
    good = (
        found.told == 2 * found.numbers
        and found.calls < CLOUD_CALLS[0] // 10
        and found.cut_short + found.resumed <= found.calls + 4
        and found.resumed < found.calls
    )
    return Row(
        f"calls of doctor over {found.numbers:,} numbers", f"of {CLOUD_CALLS[0]} an hour",
        f"{found.calls}",
        f"{found.seconds:.2f} s; interrupted half-way after {found.cut_short} calls, the next one"
        f" made {found.resumed}",
        good,
    )  # fmt: skip


def main(calls: int, numbers: int) -> None:
    with tempfile.TemporaryDirectory(prefix="nightlatch-bench-") as place:
        rows = rows_of_pins(pins(Path(place), calls))
    with tempfile.TemporaryDirectory(prefix="nightlatch-bench-") as place:
        rows.append(row_of_doctor(examine(Path(place), numbers)))
    table = Table("what", "promised", "measured", "", "figures")
    for row in rows:
        verdict = "met" if row.good else "MISSED"
        table.add_row(row.what, row.promised, row.measured, verdict, row.figures)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*given[:2], *(CALLS, NUMBERS)[len(given) :])
