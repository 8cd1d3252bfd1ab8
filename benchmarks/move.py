"""``nightlatch move`` there and back, each time killed twice, against the bare copying of the rows.

``python benchmarks/move.py`` moves 1,000,000 numbers; ``... 20000`` fewer, but not so few that it is
over before it can be killed; ``... 20000 FOLDER`` those of a data folder that is filled already and
was never moved. Loopback only; ends by itself.

The bare copying reads a table in one go and writes it in one transaction, by the fastest way that
each driver has, and makes the indexes afterwards, as a move does. It cannot be gone on with, and
compares nothing.
"""

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import asyncpg
import crowd
import stage
from rich.console import Console
from rich.table import Table

from nightlatch.adapters.postgres import migrate
from nightlatch.adapters.sqlite.schema import migrate as migrate_file
from nightlatch.adapters.sqlite.writer import connect

sys.path.insert(0, str(stage.HERE.parent))
from tests.postgres import Postgres

NUMBERS = 1_000_000
KILLS = {
    "postgresql": ("copying rows: 30 %", "copying rows: 70 %"),
    "sqlite": ("copying rows: 50 %", "comparing rows: 50 %"),
}
"""What a process has told last when it is killed."""
_LIMIT = 3_600.0
_AT_ONCE = 10_000
_LATEST_KILL = 0.05
_COPYING, _INDEXING, _COMPARING = "copying rows", "making indexes", "comparing rows"


@dataclass
class Way:
    """One direction: what was done in how many seconds."""

    to: str
    phases: dict[str, float] = field(default_factory=dict)
    whole: float = 0.0
    kills: int = 0
    bare: float = 0.0


def move(way: Way, data: Path, url: str) -> None:
    """Until it is done; killed on the way in the middle of whatever it does just then."""
    begun = time.perf_counter()
    for told in (*KILLS[way.to], None):
        code = _once(way, data, url, told)
        if code == -signal.SIGKILL and told is not None:
            way.kills += 1
        elif code or told is not None:
            raise RuntimeError(f"the move to {way.to} ended with {code}")
    way.whole = time.perf_counter() - begun


def _once(way: Way, data: Path, url: str, told: str | None) -> int:
    words = (sys.executable, "-m", "nightlatch", "move")
    environment = {**os.environ, "NIGHTLATCH_DATABASE": url, "NIGHTLATCH_DATA": str(data)}
    with subprocess.Popen(
        [*words, "--to", way.to], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        phase, since = "", time.perf_counter()
        for line in process.stderr:
            name = line.partition(":")[0].strip()
            if name != phase:
                _add(way, phase, since)
                phase, since = name, time.perf_counter()
            if told is not None and line.startswith(told):
                time.sleep(random.uniform(0, _LATEST_KILL))
                process.kill()
                break
        _add(way, phase, since)
        return process.wait(_LIMIT)


def _add(way: Way, phase: str, since: float) -> None:
    if phase:
        way.phases[phase] = way.phases.get(phase, 0.0) + time.perf_counter() - since


# Plain copying


async def bare_to_postgresql(path: Path, url: str) -> float:
    """Seconds for the rows of the file at *path*, into an empty database."""
    await migrate(url)
    target = await asyncpg.connect(url)
    with closing(sqlite3.connect(path)) as source:
        names = _tables(source)
        dropped = [
            (name, statement)
            for name, statement in await target.fetch(
                "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND NOT"
                " EXISTS (SELECT 1 FROM pg_constraint WHERE conname = indexname)"
            )
        ]
        for name, _ in dropped:
            await target.execute(f'DROP INDEX "{name}"')
        await target.execute("SET session_replication_role = replica")  # in any order
        await target.execute("SET maintenance_work_mem = '256MB'")
        begun = time.perf_counter()
        for name in names:
            cursor = source.execute(f'SELECT * FROM "{name}"')
            columns = [column for column, *_ in cursor.description]
            async with target.transaction():
                await target.copy_records_to_table(name, records=cursor, columns=columns)
        for _, statement in dropped:
            await target.execute(statement)
        seconds = time.perf_counter() - begun
    await target.close()
    return seconds


async def bare_to_sqlite(url: str, path: Path) -> float:
    """Seconds for the rows of a database that ``bare_to_postgresql`` filled, into a new file."""
    source = await asyncpg.connect(url)
    with closing(connect(path)) as target:
        migrate_file(target)
        names = _tables(target)
        found = target.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
        for name, _ in found:
            target.execute(f'DROP INDEX "{name}"')
        target.execute("PRAGMA foreign_keys = OFF")
        begun = time.perf_counter()
        for name in names:
            columns = [row[1] for row in target.execute(f"PRAGMA table_info({name})")]
            listed = ", ".join(f'"{column}"' for column in columns)
            keys = [row for row in target.execute(f"PRAGMA table_info({name})") if row[5]]
            order = ", ".join(f'"{row[1]}"' for row in sorted(keys, key=lambda row: row[5]))
            target.execute("BEGIN")
            async with source.transaction():
                cursor = await source.cursor(f'SELECT {listed} FROM "{name}" ORDER BY {order}')
                while rows := await cursor.fetch(_AT_ONCE):
                    marks = ", ".join("?" * len(columns))
                    target.executemany(
                        f'INSERT INTO "{name}" ({listed}) VALUES ({marks})', map(tuple, rows)
                    )
            target.execute("COMMIT")
        for _, statement in found:
            target.execute(statement)
        seconds = time.perf_counter() - begun
    await source.close()
    return seconds


def _tables(file: sqlite3.Connection) -> list[str]:
    found = file.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'meta'"
        " AND name NOT LIKE 'sqlite_%'"
    )
    return [name for (name,) in found]


# Whether all is there


def compare(one: Path, other: Path) -> int:
    """Read both files row by row; how many rows are the same. Raises RuntimeError unless all are."""
    same = 0
    with closing(sqlite3.connect(one)) as ours, closing(sqlite3.connect(other)) as theirs:
        for name in ["meta", "sqlite_sequence", *_tables(ours)]:
            for row, twin in zip_longest(_rows(ours, name), _rows(theirs, name)):
                if row != twin:
                    raise RuntimeError(f"{name} differs")
                same += name not in ("meta", "sqlite_sequence")
        if _indexes(ours) != _indexes(theirs):
            raise RuntimeError("the indexes differ")
    return same


def _rows(file: sqlite3.Connection, name: str) -> Iterator[Any]:
    keys = [row for row in file.execute(f"PRAGMA table_info({name})") if row[5]]
    order = ", ".join(f'"{row[1]}"' for row in sorted(keys, key=lambda row: row[5])) or "1"
    where = " WHERE key <> 'move'" if name == "meta" else ""
    if name == "sqlite_sequence":
        where = " WHERE seq > 0"  # a table that never had a row may be named or not
    return file.execute(f'SELECT * FROM "{name}"{where} ORDER BY {order}')


def _indexes(file: sqlite3.Connection) -> list[Any]:
    return file.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name"
    ).fetchall()


# The figures


def _timed(what: str, work: Callable[[], Any]) -> Any:
    print(f"{what} ...", end=" ", flush=True)
    begun = time.perf_counter()
    result = work()
    print(f"{time.perf_counter() - begun:.1f} s", flush=True)
    return result


def main(numbers: int, filled: Path | None) -> None:
    folder = Path(tempfile.mkdtemp(prefix="nightlatch-move-"))
    server = Postgres.start(limit=_LIMIT, shared_buffers="512MB", max_wal_size="4GB")
    try:
        here, there = filled or folder / "here", folder / "there"
        if filled is None:
            _timed(
                f"filling with {numbers:,} numbers",
                lambda: asyncio.run(crowd.gather(here, numbers)),
            )
        ways = {to: Way(to) for to in KILLS}
        bare, url = server.fresh_database(), server.fresh_database()
        file = here / "nightlatch.db"
        ways["postgresql"].bare = _timed(
            "bare copying to PostgreSQL", lambda: asyncio.run(bare_to_postgresql(file, bare))
        )
        ways["sqlite"].bare = _timed(
            "bare copying to SQLite", lambda: asyncio.run(bare_to_sqlite(bare, folder / "bare.db"))
        )
        server.drop(bare)
        (folder / "bare.db").unlink()
        _timed("moving to PostgreSQL", lambda: move(ways["postgresql"], here, url))
        there.mkdir()
        shutil.copy(here / "keyring.json", there / "keyring.json")
        _timed("moving to SQLite", lambda: move(ways["sqlite"], there, url))
        rows = _timed("comparing the files", lambda: compare(file, there / "nightlatch.db"))
        _timed("nightlatch check", lambda: _check(there))
        print(f"{rows:,} rows are the same in both files")
        _print(ways, rows)
    finally:
        server.stop()
        shutil.rmtree(folder)


def _check(data: Path) -> None:
    words = [sys.executable, "-m", "nightlatch", "check", "--data", str(data)]
    subprocess.run(words, check=True, timeout=_LIMIT, stdout=subprocess.DEVNULL)


def _print(ways: dict[str, Way], rows: int) -> None:
    table = Table(
        "to", "killed", "whole", "copying", "indexes", "comparing", "rows/s", "bare", "ratio"
    )
    for way in ways.values():
        kept = way.phases[_COPYING] + way.phases.get(_INDEXING, 0.0)
        table.add_row(
            way.to,
            str(way.kills),
            f"{way.whole:.0f} s",
            *(f"{way.phases.get(phase, 0.0):.0f} s" for phase in (_COPYING, _INDEXING, _COMPARING)),
            f"{rows / way.whole:,.0f}",
            f"{way.bare:.0f} s",
            f"{way.bare / kept:.2f} copied, {way.bare / way.whole:.2f} whole",
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else NUMBERS, Path(given[1]) if given[1:] else None)
