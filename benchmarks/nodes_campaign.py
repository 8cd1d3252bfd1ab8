"""Nodes shot for minutes, and a database frozen for one, under load: what was promised and seen.

Four nodes on one PostgreSQL serve households, thieves and a probe. First nobody dies, which gives
the quiet values; then a node dies every few seconds and is started again. After each round
everything that was answered is compared with what is stored, as in tests/faults, whose code this
is with other durations. Then the database of two nodes of `nightlatch serve` is frozen.

    python benchmarks/nodes_campaign.py [--minutes M] [--quiet SECONDS] [--frozen SECONDS]
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.faults.crowds import (  # noqa: E402 - the tests are beside this folder
    Guesses,
    Letters,
    Probe,
    Probes,
    Town,
    a_crowd,
    a_probed_number,
    all_mail_is_out,
    probing,
)  # fmt: skip
from tests.faults.nodes import Place, Site, found  # noqa: E402 - as above
from tests.faults.outages import Outage, freeze  # noqa: E402 - as above
from tests.postgres import Postgres  # noqa: E402 - as above

_NODES, _HOUSEHOLDS = 4, 2  # the site has thieves of the next names
_SHOTS, _SECONDS = 2, 8.0
_MOST_HOURS = 1


@dataclass
class Table:
    """What was promised, what was measured."""

    misses: int = 0
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(self, what: str, promised: str, measured: object, *, good: bool) -> None:
        self.misses += not good
        self.rows.append((what, promised, str(measured), "yes" if good else "NO"))
        print(f"    {what}: {measured} ({'kept' if good else 'MISSED'})", flush=True)

    def show(self) -> None:
        print("\n| what | promised | measured | kept |\n| --- | --- | --- | --- |")
        for row in self.rows:
            print(f"| {' | '.join(row)} |")


@dataclass
class Seen:
    """One run of the nodes."""

    rounds: int = 0
    odd: list[str] = field(default_factory=list)
    quiet: tuple[float, float] = (0.0, 0.0)
    shooting: tuple[float, float] = (0.0, 0.0)


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)] if seconds else float("nan")


async def rounds(town: Town, seen: Seen, seconds: float, shots: int) -> tuple[float, float]:
    """Round after round for so long; when they began and ended."""
    chance = random.Random()
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        odd = await town.a_round(chance, _SECONDS, shots=shots)
        seen.odd += odd
        for fault in odd:
            print(f"    ODD in round {seen.rounds + 1}: {fault}", flush=True)
        await town.next_day_part(seen.rounds)
        seen.rounds += 1
    return began, time.monotonic()


def survivors(town: Town, probes: Probes, seen: Seen) -> list[Probe]:
    """What the probe asked of nodes that lived all the while."""
    return [
        one
        for one in probes.between(*seen.shooting)
        if not any(
            port == one.port and one.moment < up and one.moment + one.seconds >= shot - 0.05
            for shot, up, port in town.kills
        )
    ]


def tell_probe(table: Table, town: Town, probes: Probes, seen: Seen) -> None:
    quiet, shot = probes.between(*seen.quiet), survivors(town, probes, seen)
    print(f"    probe, quiet: {Counter(one.status for one in quiet)}")
    print(f"    probe, survivors: {Counter(one.status for one in shot)}", flush=True)
    broken = sum(one.status == 0 or one.status >= 500 for one in shot)
    table.add("requests that survivors failed", "0", f"{broken} of {len(shot)}", good=not broken)
    for kind in ("health", "PIN check"):
        parts = []
        for node in town.nodes:
            q, s = (
                p99([o.seconds for o in of if (o.port, o.kind) == (node.port, kind)
                     and o.status in (200, 201)])
                for of in (quiet, shot)
            )  # fmt: skip
            parts.append((s / q, q, s))
        ratio, q, s = max(parts)
        table.add(
            f"p99 of {kind}, the worst of {len(town.nodes)} nodes",
            "≤ 4 times quiet",
            f"{ratio:.1f} times ({1_000 * q:.0f} ms, then {1_000 * s:.0f} ms)",
            good=ratio <= 4,
        )


def tell_town(table: Table, town: Town, seen: Seen, guesses: Guesses, letters: Letters) -> None:
    again = sorted(up - shot for shot, up, _ in town.kills)
    print(
        f"    {seen.rounds} rounds: {town.answered} requests of households answered,"
        f" {town.unknown} cut off, {sum(o.changes for o in town.owners)} acknowledged changes;"
        f" {guesses.sent} guesses at the besieged number, {guesses.told_wrong} answered wrong;"
        f" nodes were ready again after {again[len(again) // 2]:.1f} s, at most {again[-1]:.1f} s"
    )
    table.add("nodes shot", "all the time", len(town.kills), good=bool(town.kills))
    free = guesses.odd()
    for fault in free:
        print(f"    FREE: {fault}")
    days = [len(day) for day in guesses.days()]
    print(f"    guesses paid from one unlocking to the next: {Counter(days[:-1])}", flush=True)
    table.add("guesses beyond a limit", "0", len(free) or 0, good=not free)
    most = guesses.most_in_a_day()
    table.add("most guesses in 24 h", "10", most, good=most == 10)
    table.add("changes lost, doubled, or not in the trail", "0", len(seen.odd), good=not seen.odd)
    stranded = letters.missing + letters.states.get("waiting", 0) + letters.states.get("failed", 0)
    table.add(
        "letters stranded", "0", f"{stranded} of {letters.states.get('sent', 0)}", good=not stranded
    )
    table.add(
        "letters that came twice", "≤ one lease a kill", letters.twice,
        good=letters.twice <= 20 * len(town.kills),
    )  # fmt: skip


async def die(table: Table, place: Place, folder: Path, minutes: float, quiet: float) -> None:
    async with a_crowd(place, _HOUSEHOLDS, nodes=_NODES) as (town, post):
        order = await a_probed_number(town)
        with probing(town, order, folder / "probes") as probes:
            seen = Seen()
            seen.quiet = await rounds(town, seen, quiet, 0)
            print(f"    quiet: {town.answered} requests of households answered", flush=True)
            letters = await all_mail_is_out(town, post)
            table.add("letters that came twice, nobody dying", "0", letters.twice,
                      good=not letters.twice)  # fmt: skip
            seen.shooting = await rounds(town, seen, 60 * minutes, _SHOTS)
        letters = await all_mail_is_out(town, post)
        guesses = await town.guesses()
        tell_town(table, town, seen, guesses, letters)
        tell_probe(table, town, probes, seen)


def tell_outage(table: Table, outage: Outage) -> None:
    told = Counter(a.status for a in outage.meanwhile)
    last = sorted(outage.meanwhile, key=lambda a: -a.seconds)[:3]
    print(f"    answered meanwhile: {dict(told)}; slowest {[(a.kind, a.seconds) for a in last]}")
    table.add("answers other than 503 with Retry-After", "0", len(outage.odd), good=not outage.odd)
    table.add("slowest of them", "≤ 2 s", f"{outage.slowest:.2f} s", good=outage.slowest <= 2)
    back = max(outage.back().values())
    table.add(
        "first success after the thaw, the last of 12", "≤ 5 s", f"{back:.2f} s", good=back <= 5
    )


async def stall(table: Table, server: Postgres, site: Site, folder: Path, seconds: float) -> None:
    with site.place(folder) as place, place.serving(2) as nodes:
        tell_outage(table, await freeze(place, server, [node.port for node in nodes], seconds))


async def campaign(chosen: argparse.Namespace) -> int:
    table = Table()
    server = Postgres.start(limit=_MOST_HOURS * 3_600)
    try:
        with tempfile.TemporaryDirectory(prefix="nightlatch-nodes-") as name:
            folder = Path(name)
            site = found(server, folder / "site")
            for part in ("die", "stall"):
                (folder / part).mkdir()
            print(f"nodes die for {chosen.minutes:g} min, after {chosen.quiet:g} quiet s")
            with site.place(folder / "die") as place:
                await die(table, place, folder, chosen.minutes, chosen.quiet)
            print(f"the database is frozen for {chosen.frozen:g} s", flush=True)
            await stall(table, server, site, folder / "stall", chosen.frozen)
    finally:
        server.stop()
    table.show()
    return min(table.misses, 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--quiet", type=float, default=60.0)
    parser.add_argument("--frozen", type=float, default=60.0)
    with suppress(KeyboardInterrupt):
        return asyncio.run(campaign(parser.parse_args()))
    return 130


if __name__ == "__main__":
    sys.exit(main())
