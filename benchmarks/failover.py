"""Kill, crash, freeze, cut off and switch over a primary under load, and count what was lost.

Eight writers raise counters through the cluster's address and note every acknowledged step; a
step that was acknowledged has to be in the history when all is over, whoever was primary. Half
of them hand the address to asyncpg as it is, half ask every host at once. With --control the
same is done to asynchronous replication, until a loss is seen: else the count would prove nothing.

    python benchmarks/failover.py [--rounds N] [--control] [--parts FOLDER]
"""

import argparse
import asyncio
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from nightlatch.adapters.postgres.durability import QUESTION, durability

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "deploy" / "patroni"))
import cluster  # noqa: E402 - it lives beside what it deploys

EVENTS = ("switchover", "crash", "kill", "freeze", "partition", "sever")
_WRITERS = 8
_PATIENCE = 2.0  # seconds for one statement, and for one connection
_GIVE_UP = 90.0
_NEVER = 10.0
"""Who has not come back so long after the others does not before the old primary is healed."""
_TABLES = """
CREATE TABLE IF NOT EXISTS counters (writer int PRIMARY KEY, n bigint NOT NULL);
CREATE TABLE IF NOT EXISTS history (writer int, n bigint, attempt bigint, PRIMARY KEY (writer, n));
INSERT INTO counters SELECT w, 0 FROM generate_series(0, 63) w ON CONFLICT DO NOTHING;
"""
_STEP = """
WITH raised AS (UPDATE counters SET n = n + 1 WHERE writer = $1 RETURNING n)
INSERT INTO history SELECT $1, n, $2 FROM raised RETURNING n, host(inet_server_addr())
"""

_STUCK = """
SELECT a.pid, a.state, a.wait_event, now() - a.state_change AS since, a.client_addr, left(a.query, 60) AS query,
       (SELECT string_agg(l.mode || ' ' || l.granted, ', ') FROM pg_locks l
         WHERE l.pid = a.pid AND l.relation = 'history'::regclass) AS locks
  FROM pg_stat_activity a
 WHERE a.backend_type = 'client backend' AND a.datname = current_database()
   AND a.state <> 'idle' AND a.pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class Step:
    """One acknowledged change."""

    writer: int
    n: int
    attempt: int
    by: str
    """The member that acknowledged it."""
    at: float


@dataclass
class Notes:
    steps: list[Step] = field(default_factory=list)
    refused: list[tuple[float, str]] = field(default_factory=list)
    """When, and the class and SQLSTATE of what was raised instead."""


async def straight(url: str) -> asyncpg.Connection:
    """As asyncpg does it: one host after the other."""
    return await asyncpg.connect(url, timeout=_PATIENCE, statement_cache_size=0)


async def at_once(url: str) -> asyncpg.Connection:
    """Ask every host at the same time, each with the whole patience; the first primary wins."""
    parts = urlsplit(url)
    assert parse_qs(parts.query)["target_session_attrs"] == ["read-write"]
    login, _, hosts = parts.netloc.rpartition("@")
    tries = [
        asyncio.create_task(straight(parts._replace(netloc=f"{login}@{host}").geturl()))
        for host in hosts.split(",")
    ]
    waiting = set(tries)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if primaries := [one for one in done if one.exception() is None]:
            for other in waiting:
                other.cancel()
            return primaries[0].result()
    raise tries[-1].exception() or OSError("no host")


async def write(
    writer: int, url: str, connect: Callable[[str], Awaitable[Any]], notes: Notes
) -> None:
    """Raise one counter for ever, and note what was acknowledged and what was raised instead."""
    connection: Any = None
    attempt = 0
    while True:
        attempt += 1
        try:
            if connection is None:
                connection = await connect(url)
            n, by = await connection.fetchrow(_STEP, writer, attempt, timeout=_PATIENCE)
            notes.steps.append(Step(writer, n, attempt, by, time.monotonic()))
        except Exception as error:  # whatever it is: it is counted by its class
            when = "connecting" if connection is None else "statement"
            state = getattr(error, "sqlstate", None)
            name = f"{when}: {type(error).__name__}" + (f" {state}" if state else "")
            notes.refused.append((time.monotonic(), name))
            if connection is not None:
                connection.terminate()
                connection = None
            await asyncio.sleep(0.05)


@dataclass
class Seen:
    """What one event did."""

    event: str
    promoted: float | None
    """Seconds until another member said that it is primary; None when none did."""
    first: dict[str, float | None]
    """Seconds until the first step after the silence, by how the writer connects."""
    lost: int
    went_back: int
    """Steps that the old primary acknowledged after the new one had."""
    whole: float
    errors: Counter[str]
    acknowledged: int


async def ask(folder: Path, *words: str) -> Any:
    return await asyncio.to_thread(cluster.tell, folder, *words)


async def promotion(folder: Path, old: str, began: float) -> float | None:
    """Wait until a member other than the old one runs as primary."""
    while time.monotonic() - began < _GIVE_UP:
        status = await ask(folder, "status")
        for name, member in status["members"].items():
            if name != old and member["role"] == "primary" and member["state"] == "running":
                return time.monotonic() - began
        await asyncio.sleep(0.1)
    return None


async def one_round(folder: Path, url: str, event: str) -> Seen:
    """Writers, an event in the middle, everything healed, and the history compared."""
    notes = {"straight": Notes(), "at once": Notes()}
    ways = {"straight": straight, "at once": at_once}
    kinds = [("straight", "at once")[w % 2] for w in range(_WRITERS)]
    writers = [
        asyncio.create_task(write(w, url, ways[kind], notes[kind])) for w, kind in enumerate(kinds)
    ]
    await asyncio.sleep(2)
    old = (await ask(folder, "status"))["leader"]
    began = time.monotonic()
    doing = asyncio.create_task(ask(folder, event, *([old] if event == "partition" else [])))
    promoted = await promotion(folder, old, began) if event != "crash" else None
    async with asyncio.timeout(_GIVE_UP):
        await doing
    first = {"at once": await first_after_silence(notes["at once"], began, _GIVE_UP)}
    soon = time.monotonic() - began + _NEVER
    first["straight"] = await first_after_silence(notes["straight"], began, soon)
    if first["at once"] is None:
        raise TimeoutError("no writer came back")
    await asyncio.sleep(2)
    healed = time.monotonic()
    await ask(folder, "heal")  # with the writers running: the old one wakes up among them
    await asyncio.to_thread(cluster.wait, folder)
    whole = time.monotonic() - healed
    await asyncio.sleep(1)
    for writer in writers:
        writer.cancel()
    await asyncio.gather(*writers, return_exceptions=True)

    steps = sorted((s for kept in notes.values() for s in kept.steps), key=lambda s: s.at)
    return Seen(
        event,
        promoted,
        first,
        await lost_of(url, steps),
        went_back(steps),
        whole,
        Counter(name for kept in notes.values() for at, name in kept.refused if at > began),
        len(steps),
    )


async def first_after_silence(notes: Notes, began: float, seconds: float) -> float | None:
    """Seconds from the event to the end of the longest pause between two steps after it.

    A step that was on its way when the event came is no success after it. None when none came
    within so many seconds of the event.
    """
    give_up = began + seconds
    while time.monotonic() < give_up:
        later = [began] + [step.at for step in notes.steps if step.at > began]
        if len(later) > 20 and time.monotonic() - later[1] > 1:
            _, end = max((b - a, b) for a, b in itertools.pairwise(later))
            if notes.steps[-1].at > time.monotonic() - 0.5:
                return end - began
        await asyncio.sleep(0.1)
    return None


async def lost_of(url: str, steps: list[Step]) -> int:
    """How many acknowledged steps the history does not hold."""
    connection = await at_once(url)
    try:
        rows = await connection.fetch("SELECT writer, n, attempt FROM history", timeout=30)
        stuck = await connection.fetch(_STUCK)
        if stuck:
            print("still at it:", *stuck, sep="\n    ")
    finally:
        connection.terminate()
    kept = {tuple(row) for row in rows}
    return sum((s.writer, s.n, s.attempt) not in kept for s in steps)


def went_back(steps: list[Step]) -> int:
    """Steps by a member after a later primary had acknowledged its first."""
    order: list[str] = []
    back = 0
    for step in steps:
        if step.by not in order:
            order.append(step.by)
        back += step.by != order[-1]
    return back


async def said_of(url: str) -> list[str]:
    """What Nightlatch says of this database before anything happens to it."""
    connection = await at_once(url)
    try:
        return durability([tuple(row) for row in await connection.fetch(QUESTION)])
    finally:
        connection.terminate()


async def campaign(folder: Path, url: str, rounds: int, events: tuple[str, ...]) -> list[Seen]:
    connection = await at_once(url)
    await connection.execute(_TABLES)
    connection.terminate()
    seen = []
    for number in range(rounds):
        for event in events:
            seen.append(await one_round(folder, url, event))
            one = seen[-1]
            print(
                f"{number + 1:>3} {event:<11} promoted {_s(one.promoted)}  first step"
                f" {_s(one.first['straight'])} straight, {_s(one.first['at once'])} at once"
                f"  whole {_s(one.whole)}  {one.acknowledged} steps, {one.lost} lost,"
                f" {one.went_back} went back",
                flush=True,
            )
            print("   ", dict(one.errors.most_common()), flush=True)
    return seen


def _s(seconds: float | None) -> str:
    return " never" if seconds is None else f"{seconds:5.1f}s"


def table(seen: list[Seen]) -> str:
    """A row an event: median and worst."""
    heads = (
        *("event", "rounds", "promoted (median, worst)", "first step, hosts at once"),
        *("first step, asyncpg's own order", "acknowledged", "lost", "two primaries"),
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for event in dict.fromkeys(one.event for one in seen):
        mine = [one for one in seen if one.event == event]
        promoted = [one.promoted for one in mine if event != "crash"]
        cells = [
            event,
            str(len(mine)),
            _two(promoted),
            _two([one.first["at once"] for one in mine]),
            _two([one.first["straight"] for one in mine]),
            str(sum(one.acknowledged for one in mine)),
            str(sum(one.lost for one in mine)),
            str(sum(one.went_back for one in mine)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _two(found: list[float | None]) -> str:
    values = [value for value in found if value is not None]
    if len(values) < len(found):
        return f"never in {len(found) - len(values)} of {len(found)}"
    return f"{statistics.median(values):.1f} s, {max(values):.1f} s" if values else "none is"


def start(folder: Path, parts: Path, replication: str) -> str:
    words = ("--parts", str(parts), "--parent", str(os.getpid()), "--minutes", "120")
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "deploy" / "patroni" / "cluster.py", "up", folder),
            *(*words, "--replication", replication),
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", default=",".join(EVENTS))
    parser.add_argument("--control", action="store_true", help="asynchronous, until a loss is seen")
    parser.add_argument("--parts", type=Path, help="where the programs are kept between runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nightlatch-failover-") as temporary:
        folder = Path(temporary) / "cluster"
        parts = options.parts or Path(temporary) / "parts"
        replication = "asynchronous" if options.control else "synchronous"
        url = start(folder, parts, replication)
        try:
            said = asyncio.run(said_of(url))
            print(replication, said)
            events = ("sever",) if options.control else tuple(options.events.split(","))
            if options.control:
                seen: list[Seen] = []
                while not any(one.lost for one in seen) and len(seen) < options.rounds:
                    seen += asyncio.run(campaign(folder, url, 1, events))
            else:
                seen = asyncio.run(campaign(folder, url, options.rounds, events))
        finally:
            with suppress(RuntimeError, OSError):
                cluster.tell(folder, "down")
        print(f"\n{replication} replication\n\n{table(seen)}")
        lost = sum(one.lost for one in seen)
        if bool(said) != options.control:
            sys.exit(f"Of {replication} replication this was said: {said}")
        if options.control and not lost:
            sys.exit("The control lost nothing: the count above proves nothing.")
        if not options.control and lost:
            sys.exit(f"{lost} acknowledged steps were lost.")


if __name__ == "__main__":
    main()
