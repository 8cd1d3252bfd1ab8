"""Guess counters on PostgreSQL: the store, pgbench and bare asyncpg on the same rows."""

import asyncio
import re
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import asyncpg
import run
import uvloop

from nightlatch.adapters.postgres import PostgresStore, migrate, together
from nightlatch.adapters.system import SteadyClock
from nightlatch.domain import registration
from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.numbers import Decision, Number, TwoStep
from nightlatch.domain.portfolios import Portfolio, Waba
from tests.postgres import Postgres, programs

WRITERS = 64
POOL = 10
"""What a node has when nobody sets it."""
ROUNDS = 7
SECONDS = 1.0
FIRST = 100_000_000_000_000
IN_FLIGHT = (1, 8, 64, 256)

_PLAIN = "UPDATE numbers SET guess_ticket = guess_ticket + 1 WHERE id = {}"
_BATCHED = (
    "UPDATE numbers n SET guess_ticket = guess_ticket + 1 FROM unnest($1::bigint[]) AS g (id)"
    " WHERE n.id = g.id RETURNING n.id, n.guess_ticket"
)
_COMPARED = (
    "UPDATE numbers n SET guess_ticket = g.ticket"
    " FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS g (id, version, ticket)"
    " WHERE n.id = g.id AND n.xmin::text = g.version RETURNING n.id"
)
_TPS = re.compile(r"tps = ([\d.]+)")


def counters(server: Postgres) -> list[run.Row]:
    """64 writers, each with a number of its own: how many durable updates a second."""
    url = server.fresh_database()
    try:
        return uvloop.run(_counters(url))
    finally:
        server.drop(url)


async def _counters(url: str) -> list[run.Row]:
    await migrate(url)
    async with _filled(url) as (store, ids, now):
        bare = [await asyncpg.connect(url) for _ in range(2)]
        batch, compared = Batched(partial(_raise, bare[0])), Batched(partial(_compare, bare[1]))

        async def ours(change: Callable[[Number], Decision], id: str) -> None:
            await store.update(id, change)

        sides: dict[str, Callable[[], Awaitable[float]]] = {
            "ours": lambda: rate(partial(ours, counted), ids),
            "pgbench": lambda: pgbench(url, POOL),
            "batched": lambda: rate(batch.change, ids),
            "compared": lambda: rate(compared.change, ids),
            "audited": lambda: rate(partial(ours, partial(paid, now)), ids),
            "same statement": lambda: same(bare[0], ids),
            "pgbench 64": lambda: pgbench(url, WRITERS),
        }
        found: dict[str, list[float]] = {side: [] for side in sides}
        for n in range(ROUNDS + 1):
            for side, measure in sides.items():
                figure = await measure()
                if n:  # the first round is not counted
                    found[side].append(figure)
        for one in bare:
            await one.close()

    def compare(ours: str, theirs: str) -> tuple[list[float], str]:
        figures = f"{median(found[ours]):,.0f}/s against {median(found[theirs]):,.0f}/s"
        return run.ratios_of(found[ours], found[theirs]), figures

    rows = []
    for what, least, theirs in (
        (f"counter updates, 64 in flight, of pgbench with the pool's {POOL} connections", 1, "pgbench"),
        ("  of bare asyncpg, batched", 0.8, "batched"),
    ):  # fmt: skip
        ratios, figures = compare("ours", theirs)
        rows.append(run.at_least(what, least, ratios, " x", figures))
    return [
        *rows,
        run.told("  of bare asyncpg, batched, that reads and compares", *compare("ours", "compared")),
        run.told("  of pgbench with 64 connections", *compare("ours", "pgbench 64")),
        run.told("  a guess paid for, with its audit event, of pgbench", *compare("audited", "pgbench")),
        run.told("  the same, of bare asyncpg, batched, by the same statement", *compare("audited", "same statement")),
    ]  # fmt: skip


def curve(server: Postgres) -> dict[str, list[tuple[float, float]]]:
    """Updates a second by how many are in flight: the store, pgbench, bare asyncpg batched."""
    url = server.fresh_database()
    try:
        return uvloop.run(_curve(url))
    finally:
        server.drop(url)


async def _curve(url: str) -> dict[str, list[tuple[float, float]]]:
    await migrate(url)
    found: dict[str, list[tuple[float, float]]] = {}
    async with _filled(url, max(IN_FLIGHT)) as (store, ids, _):
        bare = await asyncpg.connect(url)
        batch = Batched(partial(_raise, bare))

        async def ours(id: str) -> None:
            await store.update(id, counted)

        for n in IN_FLIGHT:
            sides: dict[str, Callable[[], Awaitable[float]]] = {
                "the store": partial(rate, ours, ids[:n]),
                "bare asyncpg, batched": partial(rate, batch.change, ids[:n]),
                f"pgbench, at most {POOL} connections": partial(pgbench, url, min(n, POOL)),
            }
            rates: dict[str, list[float]] = {side: [] for side in sides}
            for _ in range(3):
                for side, measure in sides.items():
                    rates[side].append(await measure())
            for side, some in rates.items():
                found.setdefault(side, []).append((n, median(some)))
        await bare.close()
    return found


@asynccontextmanager
async def _filled(
    url: str, count: int = WRITERS
) -> AsyncIterator[tuple[PostgresStore, list[str], Any]]:
    """A store with numbers that have a PIN, their ids, and the time."""
    store = await PostgresStore.open(url, bytes(32), pool=POOL)
    try:
        now = SteadyClock(None).now()
        event = Event(Kind.NUMBER_ADDED, "operator", now)
        await store.add_portfolio(Portfolio("1", "Bench", "owner@shop.test"), (event,))
        await store.add_waba(Waba("2", "1", "Bench"), (event,))
        ids = [str(FIRST + n) for n in range(count)]
        for n, id in enumerate(ids):
            number = Number(
                id=id, e164=f"+1631{5_550_000 + n}", cc="1", waba="2", name="Lucky Shrub",
                serial=f"s{n}", created_at=now, two_step=TwoStep(1, bytes(120)),
            )  # fmt: skip
            await store.add_number(number, (event,))
        yield store, ids, now
    finally:
        await store.aclose()


def counted(number: Number) -> Decision:
    guesses = replace(number.guesses, ticket=number.guesses.ticket + 1)
    return Decision(replace(number, guesses=guesses))


def paid(now: Any, number: Number) -> Decision:
    opened = replace(number, guesses=number.guesses.unlock())
    return registration.pay_guess(opened, "main/admin", "account", now)


async def rate(step: Callable[[str], Awaitable[None]], ids: list[str]) -> float:
    """How often a second all of them together came through *step*."""
    began = time.perf_counter()
    done = 0

    async def writer(id: str) -> None:
        nonlocal done
        while time.perf_counter() - began < SECONDS:
            await step(id)
            done += 1

    await asyncio.gather(*(writer(id) for id in ids))
    return done / (time.perf_counter() - began)


async def pgbench(url: str, connections: int) -> float:
    """PostgreSQL's own: each connection has numbers of its own, so that none waits for another."""
    each = max(1, WRITERS // connections)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(f"\\set id {FIRST} + :client_id * {each} + random(0, {each - 1})\n")
        script.write(_PLAIN.format(":id") + ";\n")
        script.flush()
        words = (
            *("--no-vacuum", "--file", script.name, "--client", str(connections)),
            *("--jobs", "1", "--protocol", "prepared", "--time", "2", url),
        )
        process = await asyncio.create_subprocess_exec(
            programs() / "pgbench", *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        async with asyncio.timeout(30):
            output, errors = await process.communicate()
    told = _TPS.search(output.decode())
    if told is None or process.returncode or b"aborted" in errors:
        raise RuntimeError(f"pgbench: {errors.decode()}")
    return float(told[1])


class Batched:
    """What asyncpg does at best: everything that waits, in one statement on one connection."""

    def __init__(self, make: Callable[[list[int]], Awaitable[Any]]) -> None:
        self._make = make
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._round: asyncio.Task[None] | None = None

    async def change(self, id: str) -> None:
        done = self._waiting[int(id)] = asyncio.get_running_loop().create_future()
        if self._round is None:
            self._round = asyncio.create_task(self._go_round())
        await done

    async def _go_round(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, {}
            kept = await self._make(list(taken))
            for row in kept:
                taken[row[0]].set_result(None)
        self._round = None


async def same(connection: Any, ids: list[str]) -> float:
    """The store's own statement for a guess, its event included, with values that nobody decided."""
    columns = ("guess_paid", "guess_run", "guess_ticket")
    sql = together._statement(columns)  # noqa: SLF001 - that very statement
    read = "SELECT id, xmin::text, audit_seq FROM numbers WHERE id = ANY($1::bigint[])"
    state = {
        id: (version, seq) for id, version, seq in await connection.fetch(read, [*map(int, ids)])
    }
    paid_ = "1700000000000000:1"

    async def make(some: list[int]) -> Any:
        seqs = [state[id][1] + 1 for id in some]
        n = len(some)
        links = (
            some, [f"number:{id}" for id in some], seqs, [0] * n, ["guess.paid"] * n, ["bench"] * n,
            ["{}"] * n, [""] * n, [bytes(32)] * n,
        )  # fmt: skip
        none: tuple[list[Any], ...] = ([],) * 10
        kept = await connection.fetch(
            sql, 1, some, [state[id][0] for id in some], seqs, [bytes(32)] * n,
            [paid_] * n, [1] * n, seqs, *links, *none,
        )  # fmt: skip
        for id, version in kept:
            state[id] = (version, state[id][1] + 1)
        return kept

    return await rate(Batched(make).change, ids)


async def _raise(connection: Any, ids: list[int]) -> Any:
    return await connection.fetch(_BATCHED, ids)


async def _compare(connection: Any, ids: list[int]) -> Any:
    read = "SELECT id, xmin::text, guess_ticket FROM numbers WHERE id = ANY($1::bigint[])"
    rows = await connection.fetch(read, ids)
    columns = list(zip(*rows, strict=True))
    return await connection.fetch(_COMPARED, columns[0], columns[1], [n + 1 for n in columns[2]])
