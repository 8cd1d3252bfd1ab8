"""How a PIN check and a health check grow with the numbers, and what a node then occupies.

Two databases, one that stays small and one that grows, each served by a process of its own; both
are asked in turns. Rows are made inside the database, each of another number, with their audit
event; the numbers that are asked for lie anywhere among them. The terms that the Manager searches
by are left out: no check touches them.
"""

import asyncio
import random
import sqlite3
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import pins
import run
import stage

from nightlatch.bootstrap import open_house
from nightlatch.domain.numbers import Decision, TwoStep
from nightlatch.ports import bound_to
from nightlatch.settings import Settings
from nightlatch.usecases import numbers
from tests.postgres import Postgres

SMALLEST = 1_000
SIZES = {
    "SQLite": (10_000, 100_000, 1_000_000),
    "PostgreSQL": (10_000, 100_000, 1_000_000, 10_000_000),
}
ASKED = 80
ROUNDS = 6
CHECKS = 20
HEALTHS = 300
MEASURED_AT = 1_000_000
_FIRST = 200_000_000_000_000
_STEP = 7_919

_NUMBERS = (
    "INSERT INTO numbers (id, e164, cc, waba, name, serial, created_at, registered_at, pin_version,"
    " pin_verifier, guess_ticket, guess_run, guess_forgiven, guess_paid, guess_locked,"
    " registrations, codes, audit_seq, audit_head)"
    " SELECT {first} + n * {step}, '+1' || (7000000000 + n), '1', {waba},"
    " 'Lucky Shrub ' || n, 's' || n, {now}, CASE WHEN n % 3 > 0 THEN {now} END, 1,"
    " CASE WHEN n % 10 < 7 THEN {verifier} END,"
    " n % 5, CASE WHEN n % 51 = 2 THEN 4 ELSE 0 END, 0, '', CASE WHEN n % 99 = 1 THEN 1 ELSE 0 END,"
    " '', '', 1, {digest} FROM {series}"
)
_AUDIT = (
    "INSERT INTO audit (subject, seq, at, kind, by, details, hash, place)"
    " SELECT 'number:' || ({first} + n * {step}), 1, {now} + n, 'number.added', 'operator', '{{}}',"
    " {digest}, '' FROM {series}"
)


@dataclass
class Crowd:
    """A database, served or not; *url* is empty with SQLite."""

    folder: stage.Folder
    url: str
    size: int = 0

    @property
    def settings(self) -> Settings:
        return Settings(data=self.folder.path, database=self.url)


@dataclass(frozen=True)
class Grown:
    """What was found: medians in milliseconds, small and grown, by size; and MiB at MEASURED_AT."""

    pin: dict[int, tuple[float, float]]
    health: dict[int, tuple[float, float]]
    memory: float


_found: dict[str, Grown] = {}


def growth(server: Postgres) -> list[run.Row]:
    rows = []
    for kind, sizes in SIZES.items():
        with ExitStack() as s:
            place = Path(s.enter_context(tempfile.TemporaryDirectory(prefix="nightlatch-bench-")))
            urls = [server.fresh_database() if kind == "PostgreSQL" else "" for _ in range(2)]
            crowds = [_begin(place / str(n), url) for n, url in enumerate(urls)]
            grown = _found[kind] = _measure(crowds[0], crowds[1], sizes)
            for url in filter(None, urls):
                server.drop(url)
        most = max(sizes)
        for what, found in (("PIN check", grown.pin), ("GET /v1/health", grown.health)):
            ours, theirs = found[most][1], found[most][0]
            figures = "; ".join(f"{n:,}: {b:.2f} against {a:.2f} ms" for n, (a, b) in found.items())
            text = f"p50 of a {what}, {kind}, {most:,} numbers, of {SMALLEST:,}"
            rows.append(
                run.Row(text, "<= 1.2", f"{ours / theirs:.2f}", figures, ours / theirs <= 1.2)
            )
        text = f"memory of a node, {kind}, {MEASURED_AT:,} numbers, MiB"
        rows.append(
            run.Row(text, "<= 120", f"{grown.memory:.0f}", "after the load", grown.memory <= 120)
        )
    return rows


def curves() -> dict[str, dict[str, list[tuple[float, float]]]]:
    """What the part found, as lines: the share of the smallest by size."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for kind, grown in _found.items():
        for what, points in (("PIN check", grown.pin), ("GET /v1/health", grown.health)):
            line = [(float(n), large / small) for n, (small, large) in points.items()]
            found.setdefault(what, {})[kind] = [(float(SMALLEST), 1.0), *line]
    return found


def _begin(path: Path, url: str) -> Crowd:
    if url:
        return Crowd(asyncio.run(pins.prepare(path, url)), url)
    return Crowd(asyncio.run(stage.prepare(path)), url)


def _measure(small: Crowd, large: Crowd, sizes: tuple[int, ...]) -> Grown:
    grown = Grown({}, {}, 0.0)
    _fill(small, SMALLEST)
    for size in sizes:
        began = time.monotonic()
        _fill(large, size)
        print(f"  {size:,} numbers after {time.monotonic() - began:.0f} s", flush=True)
        asked = [asyncio.run(_choose(one)) for one in (small, large)]
        with ExitStack() as s:
            load = stage.Load()
            s.callback(load.close)
            servers = [
                s.enter_context(stage.nightlatch(one.folder.path, NIGHTLATCH_DATABASE=one.url))
                for one in (small, large)
            ]
            pin, health = _probe(load, servers, asked, (small, large))
            grown.pin[size], grown.health[size] = pin, health
            print(f"    PIN check {pin}, health {health}", flush=True)
            if size == MEASURED_AT:
                time.sleep(3)
                grown = replace(grown, memory=servers[1].resident())
                print(f"    {grown.memory:.0f} MiB", flush=True)
    return grown


def _probe(
    load: stage.Load,
    servers: list[stage.Server],
    asked: list[list[str]],
    crowds: tuple[Crowd, Crowd],
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The medians of PIN checks and of health checks, small and large, asked in turns."""
    took: dict[tuple[str, int], list[float]] = {}
    for n in range(ROUNDS):
        for side in (0, 1):
            health = stage.request("GET", "/v1/health", crowds[side].folder.token)
            for kind, requests, count, status in (
                ("pin", asked[side], CHECKS, "403"),
                ("health", [health], HEALTHS, "200"),
            ):
                result = load.play(servers[side], requests, count, connections=1, first=n * count)
                if n:  # the first round is not counted
                    took.setdefault((kind, side), []).append(run.expect(result, status)["p50_ms"])
    pin, health_ = ((median(took[kind, 0]), median(took[kind, 1])) for kind in ("pin", "health"))
    return pin, health_


def _fill(crowd: Crowd, size: int) -> None:
    """Add numbers up to *size*."""
    at, now = crowd.size, int(time.time() * 1_000_000)
    digest = {True: "decode(md5(n::text) || md5('x' || n), 'hex')", False: "randomblob(32)"}[
        bool(crowd.url)
    ]
    head = asyncio.run(_sealed_head(crowd))
    if crowd.url:
        verifier = (
            f"decode('{head.hex()}' || md5('a' || n) || md5('b' || n) || md5('c' || n)"
            " || md5('d' || n) || md5('e' || n), 'hex')"
        )
        series = f"generate_series({at}::bigint, {size - 1}) n"
    else:
        verifier = f"CAST(x'{head.hex()}' || randomblob(80) AS BLOB)"
        series = (
            f"(WITH RECURSIVE s (n) AS (SELECT {at} UNION ALL SELECT n + 1 FROM s WHERE n < {size - 1})"
            " SELECT n FROM s)"
        )
    words = {
        "first": _FIRST, "step": _STEP, "waba": "(SELECT min(id) FROM wabas)", "now": now,
        "verifier": verifier, "digest": digest, "series": series,
    }  # fmt: skip
    statements = [_NUMBERS.format(**words), _AUDIT.format(**words)]
    if crowd.url:
        asyncio.run(_on_postgres(crowd.url, statements))
    else:
        with sqlite3.connect(crowd.settings.database_file) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.execute("ANALYZE")
        connection.close()
    crowd.size = size


async def _on_postgres(url: str, statements: list[str]) -> None:
    """Without the indexes meanwhile, which are then built whole."""
    connection = await asyncpg.connect(url)
    await connection.execute("SET maintenance_work_mem = '512MB'")
    indexes = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('numbers', 'audit')"
        " AND indexname NOT IN (SELECT conname FROM pg_constraint)"
    )
    for name, _ in indexes:
        await connection.execute(f"DROP INDEX {name}")
    for statement in statements:
        await connection.execute(statement)
    for _, definition in indexes:
        await connection.execute(definition)
    await connection.execute("VACUUM ANALYZE numbers")
    await connection.execute("VACUUM ANALYZE audit")
    await connection.execute("CHECKPOINT")
    await connection.close()


async def _sealed_head(crowd: Crowd) -> bytes:
    """How sealed values of this folder begin: with the id of the key."""
    async with open_house(crowd.settings) as house:
        return house.keyring.seal(b"x", "bench")[:9]


async def _choose(crowd: Crowd) -> list[str]:
    """Wrong PINs for some numbers anywhere in the crowd, which have a real PIN from here on."""
    requests = []
    async with open_house(crowd.settings) as house:
        verifier = await stage.one_verifier(house)
        for n in random.sample(range(crowd.size), ASKED):
            id = str(_FIRST + n * _STEP)
            sealed = house.keyring.seal(verifier, bound_to("pin", id))

            def ready(number: Any, sealed: bytes = sealed) -> Decision:
                open_ = replace(number.guesses.unlock(), run=0, locked=False)
                return Decision(replace(number, two_step=TwoStep(1, sealed), guesses=open_))

            number = await house.store.update(id, ready)
            crowd.folder.certificates[number.national] = numbers.certificate(
                house.world, await numbers.find_number(house.world, number.e164)
            )
            requests.append(crowd.folder.register(number.national, stage.WRONG_PIN))
    return requests
