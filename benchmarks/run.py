"""Every figure of ``results.md``: two things side by side in one run, as a ratio.

``python benchmarks/run.py`` runs all parts; ``python benchmarks/run.py pins writers`` only those.
Loopback only; ends by itself.
"""

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import aiosqlite
import crowd
import stage
import uvloop
from rich.console import Console
from rich.table import Table

from nightlatch.adapters.sqlite import SqliteStore
from nightlatch.domain import registration
from nightlatch.domain.numbers import Decision, Number

ROUNDS = 15
WRITERS = 64


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    promised: str
    measured: str
    figures: str
    good: bool | None
    """None for what is only told for orientation."""


def at_least(what: str, least: float, ratios: list[float], unit: str, figures: str) -> Row:
    found = median(ratios)
    spread = f"{min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} rounds"
    return Row(
        what, f"{least:g}{unit}", f"{found:.2f}{unit}", f"{figures}; {spread}", found >= least
    )


def told(what: str, ratios: list[float], figures: str) -> Row:
    return Row(what, "", f"{median(ratios):.2f}", figures, None)


def _per_second(results: list[dict[str, Any]]) -> str:
    return f"{median(r['per_second'] for r in results):,.0f}/s"


def ratios_of(ours: list[float], theirs: list[float]) -> list[float]:
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def expect(result: dict[str, Any], *statuses: str) -> dict[str, Any]:
    """A figure counts only when every answer was the one that was asked for."""
    if set(result["statuses"]) != set(statuses):
        raise RuntimeError(f"expected {statuses}, got {result['statuses']}")
    return result


# PIN checks


def pins(folder: stage.Folder) -> list[Row]:
    """Wrong PINs over many numbers, 32 on their way at once; and with every other one right."""
    checks = 120
    attacked, owned = folder.open[: stage.OPEN // 2], folder.open[stage.OPEN // 2 :]
    wrong = [folder.register(number, stage.WRONG_PIN) for number in attacked]
    mixed = [
        folder.register(number, pin) for number in owned for pin in (stage.WRONG_PIN, stage.PIN)
    ]
    kinds = {"wrong": (wrong, ("403",)), "mixed": (mixed, ("202", "403"))}
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    bare = []
    load, argon2 = stage.Load(), stage.Crew("bare_argon2.py")
    with stage.nightlatch(folder.path) as server:
        for requests, _ in kinds.values():
            load.play(server, requests, checks, connections=32)  # not counted
        argon2.tell("60")
        for n in range(1, ROUNDS + 1):
            for kind, (requests, statuses) in kinds.items():
                result = load.play(server, requests, checks, connections=32, first=n * checks)
                found[kind].append(expect(result, *statuses))
            bare.append(float(argon2.tell(str(checks))))
    load.close()
    argon2.close()

    def compare(kind: str) -> tuple[list[float], str]:
        rates = [result["per_second"] for result in found[kind]]
        return ratios_of(rates, bare), f"{median(rates):.1f}/s against {median(bare):.1f}/s"

    ratios, figures = compare("wrong")
    return [
        at_least("wrong PINs over many numbers, of bare Argon2id", 0.85, ratios, "", figures),
        told("  the same, every other one right, with a code sent", *compare("mixed")),
    ]


# Answers without a hash


def answers(folder: stage.Folder) -> list[Row]:
    """Refusals and health against the constant answers of the same server process."""
    count = 2_500
    closed = [folder.register(number, stage.PIN) for number in folder.closed]
    live = [stage.request("GET", "/livez")]
    kinds = {
        "live": (live, ("200",)),
        "refusals": (closed, ("429", "403")),
        "constant post": ([r.replace("/account", "/messages", 1) for r in closed], ("404",)),
        "health": ([stage.request("GET", "/v1/health", folder.token)], ("200",)),
    }
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in (*kinds, "bare")}
    load = stage.Load()
    with stage.nightlatch(folder.path) as server, stage.bare_server() as bare:
        for requests, _ in kinds.values():
            load.play(server, requests, count)  # not counted
        for _ in range(ROUNDS):
            for kind, (requests, statuses) in kinds.items():
                found[kind].append(expect(load.play(server, requests, count), *statuses))
            found["bare"].append(load.play(bare, live, count))
    load.close()

    def compare(ours: str, theirs: str) -> tuple[list[float], str]:
        rates = {kind: [r["per_second"] for r in results] for kind, results in found.items()}
        figures = f"{_per_second(found[ours])} against {_per_second(found[theirs])}"
        return ratios_of(rates[ours], rates[theirs]), figures

    rows = []
    for ours, what in (
        ("refusals", "refusals while waiting or locked, of a constant answer to them"),
        ("health", "GET /v1/health with a token, of a constant answer"),
    ):
        ratios, figures = compare(ours, "constant post" if ours == "refusals" else "live")
        p99 = median(r["p99_ms"] for r in found[ours])
        rows.append(at_least(what, 0.60, ratios, "", f"{figures}, p99 {p99:.0f} ms"))
    rows.insert(
        1,
        told("  the same, of GET /livez", *compare("refusals", "live")),
    )
    rows.append(told("  GET /livez, of bare Falcon on Granian", *compare("live", "bare")))
    return rows


# Durable writes


def writers(folder: stage.Folder) -> list[Row]:
    """64 writers that each count up on a number of their own, one durable change at a time."""
    with tempfile.TemporaryDirectory(dir=folder.path.parent) as copies:
        path = Path(copies) / "nightlatch.db"
        shutil.copy(folder.path / "nightlatch.db", path)
        return uvloop.run(_writers(path))


async def _writers(path: Path) -> list[Row]:
    store = SqliteStore(path, bytes(32))
    found = [n for n in await store.numbers() if n.two_step.is_on and not n.guesses.run][:WRITERS]
    ids = [number.id for number in found]
    now = found[0].created_at
    plain = await aiosqlite.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "fullfsync = ON"):
        await (await plain.execute(f"PRAGMA {pragma}")).close()

    def counted(number: Number) -> Decision:
        guesses = replace(number.guesses, ticket=number.guesses.ticket + 1)
        return Decision(replace(number, guesses=guesses))

    def paid(number: Number) -> Decision:
        opened = replace(number, guesses=number.guesses.unlock())
        return registration.pay_guess(opened, "main/admin", "account", now)

    async def ours(change: Callable[[Number], Decision], id: str) -> None:
        await store.update(id, change)

    turn = asyncio.Lock()

    async def decided(id: str) -> None:
        async with turn:
            await plain.execute("BEGIN IMMEDIATE")
            found = await plain.execute("SELECT guess_ticket FROM numbers WHERE id = ?", (int(id),))
            row = await found.fetchone()
            values = (row[0] + 1 if row else 0, int(id))
            await plain.execute("UPDATE numbers SET guess_ticket = ? WHERE id = ?", values)
            await plain.execute("COMMIT")

    async def theirs(id: str) -> None:
        sql = "UPDATE numbers SET guess_ticket = guess_ticket + 1 WHERE id = ?"
        await (await plain.execute(sql, (int(id),))).close()

    rates: dict[str, list[float]] = {"ours": [], "audited": [], "theirs": [], "decided": []}
    for _ in range(ROUNDS):
        rates["ours"].append(await _rate(partial(ours, counted), ids, 100))
        rates["audited"].append(await _rate(partial(ours, paid), ids, 40))
        rates["theirs"].append(await _rate(theirs, ids, 40))
        rates["decided"].append(await _rate(decided, ids, 12))
    await plain.close()
    store.close()

    def compare(ours: str, theirs: str) -> tuple[list[float], str]:
        figures = f"{median(rates[ours]):,.0f}/s against {median(rates[theirs]):,.0f}/s"
        return ratios_of(rates[ours], rates[theirs]), figures

    ratios, figures = compare("ours", "theirs")
    return [
        at_least("durable counter updates, of aiosqlite's bare UPDATE", 6, ratios, " x", figures),
        told("  of BEGIN, SELECT, UPDATE, COMMIT with aiosqlite", *compare("ours", "decided")),
        told(
            "  a guess paid for, with its audit event, of the bare UPDATE",
            *compare("audited", "theirs"),
        ),
    ]


async def _rate(step: Callable[[str], Awaitable[None]], ids: list[str], times: int) -> float:
    async def writer(id: str) -> None:
        for _ in range(times):
            await step(id)

    began = time.perf_counter()
    await asyncio.gather(*(writer(id) for id in ids))
    return len(ids) * times / (time.perf_counter() - began)


# Memory and start


def memory(folder: stage.Folder) -> list[Row]:
    """Resident memory at rest, and after 10,000 requests of every kind, hashes among them."""
    wrong = [folder.register(number, stage.WRONG_PIN) for number in folder.open]
    closed = [folder.register(number, stage.PIN) for number in folder.closed]
    health = stage.request("GET", "/v1/health", folder.token)
    mixed = [
        one
        for n in range(200)
        for one in (
            *([health] * 20),
            *closed[n : n + 1] * 20,
            *[stage.request("GET", "/v1/health", "nobody")] * 4,
            *[stage.request("GET", "/v1/metrics", folder.token)] * 2,
            *[stage.request("POST", "/v1/account", folder.token, {"cc": "1"})] * 3,
            wrong[2 * n],
        )
    ]
    load = stage.Load()
    with stage.nightlatch(folder.path) as server:
        load.play(server, [health, wrong[1], wrong[3]], 30, connections=2)
        time.sleep(_SETTLE)
        before = server.resident()
        done = 0
        while done < 10_000:
            load.play(server, mixed, len(mixed), connections=32)
            done += len(mixed)
        busy = server.resident()
        time.sleep(_SETTLE)
        after = server.resident()
    load.close()
    growth = after / before - 1
    return [
        Row(
            "server at rest, MiB", "<= 80", f"{max(before, after):.0f}",
            f"{before:.1f} before, {busy:.1f} at the end of the load, {after:.1f} after", max(before, after) <= 80,
        ),
        Row("growth over 10,000 mixed requests", "<= 5 %", f"{growth:.1%}", f"{done:,} requests", growth <= 0.05),
    ]  # fmt: skip


_SETTLE = 3


def start(folder: stage.Folder) -> list[Row]:
    """From the start of the process to the first answer, on a folder that exists."""
    ours, nothing = [], []
    for _ in range(ROUNDS):
        with stage.nightlatch(folder.path) as server:
            ours.append(server.seconds)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        nothing.append(time.perf_counter() - began)
    found = median(ours)
    figures = (
        f"{min(ours):.2f} to {max(ours):.2f}; {found / median(nothing):.0f} x `python -c pass`"
    )
    return [Row("start to first answer, s", "<= 1", f"{found:.2f}", figures, found <= 1)]


# Pages


def pages(folder: stage.Folder) -> list[Row]:
    """Pages of the Manager with 100,000 numbers in the account, against the same with 100."""
    count = 60
    crowds = [
        asyncio.run(crowd.gather(folder.path.parent / str(size), size)) for size in (100, 100_000)
    ]
    kinds = list(crowds[0].pages())
    took: dict[tuple[int, str], list[float]] = {
        (one.count, kind): [] for one in crowds for kind in kinds
    }
    load = stage.Load()
    with (
        stage.nightlatch(crowds[0].path) as small,
        stage.nightlatch(crowds[1].path) as large,
    ):
        sides = list(zip((small, large), crowds, strict=True))
        for n in range(ROUNDS + 1):
            for kind in kinds:
                for server, one in sides:
                    result = load.play(server, [one.pages()[kind]], count, connections=1)
                    if n:  # the first round is not counted
                        expect(result, "200")
                        took[one.count, kind].append(1_000 / result["per_second"])
    load.close()
    rows = []
    for kind in kinds:
        searched = kind.startswith("search")  # what it finds differs, so a full page is the measure
        ours, theirs = took[100_000, kind], took[100, "numbers" if searched else kind]
        ratios = ratios_of(ours, theirs)
        found = median(ratios)
        figures = f"{median(ours):.1f} ms against {median(theirs):.1f} ms"
        spread = f"{min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} rounds"
        of = "of the numbers page with 100" if searched else "of the one with 100"
        what = f"page with 100,000 numbers, {of}: {kind}"
        rows.append(Row(what, "<= 1.5", f"{found:.2f}", f"{figures}; {spread}", found <= 1.5))
    return rows


PARTS: dict[str, Callable[[stage.Folder], list[Row]]] = {
    "pins": pins,
    "answers": answers,
    "writers": writers,
    "memory": memory,
    "start": start,
    "pages": pages,
}


def main(names: Iterable[str]) -> None:
    rows = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="nightlatch-bench-") as place:
            folder = asyncio.run(stage.prepare(Path(place) / "data"))
            print(f"{name} ...", file=sys.stderr, flush=True)
            rows += PARTS[name](folder)
    show(rows)


def show(rows: Iterable[Row]) -> None:
    table = Table("what", "promised", "measured", "", "figures")
    for row in rows:
        verdict = {True: "met", False: "MISSED", None: ""}[row.good]
        table.add_row(row.what, row.promised, row.measured, verdict, row.figures)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    main(chosen)
