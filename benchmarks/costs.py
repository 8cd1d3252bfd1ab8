"""What a request costs a node and PostgreSQL, and what a number occupies: into ``costs.json``.

One node with one worker, one PostgreSQL that waits for the disk, both on this machine. For each
kind of request: processor time of the node and of PostgreSQL, log written, commits and syncs.
``docs/scaling.md`` and ``simulate.py`` count with these figures. Loopback only; ends by itself.

    python benchmarks/costs.py
"""

import asyncio
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the server that the tests start

import crowd
import pins
import run
import stage
from argon2.low_level import Type, hash_secret_raw

from nightlatch.bootstrap import migrate_database, open_house, set_up
from nightlatch.settings import Settings
from tests.postgres import Postgres

COSTS = Path(__file__).with_name("costs.json")
_NUMBERS = 10_000
_HASHES = 20
_TICK = os.sysconf("SC_CLK_TCK")
_COUNTED = (
    "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn, (SELECT wal_sync FROM pg_stat_wal),"
    " (SELECT sum(xact_commit) FROM pg_stat_database),"
    " (SELECT sum(n_tup_upd) FROM pg_stat_user_tables WHERE relname = 'numbers'),"
    " (SELECT sum(n_tup_hot_upd) FROM pg_stat_user_tables WHERE relname = 'numbers')"
)


def seconds(pid: int) -> float:
    """Processor time that this process took, with the children that ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:  # a process of PostgreSQL's that just ended
        return 0.0
    return sum(map(int, fields[11:15])) / _TICK


def family(pid: int) -> Iterator[int]:
    """The process and its children."""
    yield pid
    yield from map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def postmaster(server: Postgres) -> int:
    return int((server.folder / "data" / "postmaster.pid").read_text().split()[0])


class Meter:
    """What was used since it was made."""

    def __init__(self, server: Postgres, url: str, node: int) -> None:
        self._server, self._url, self._node = server, url, node
        self._before = self._read()

    def _read(self) -> list[float]:
        time.sleep(1.2)  # PostgreSQL's counters come a second late
        counted = self._server.sql(_COUNTED, self._url).split("|")
        database = sum(map(seconds, family(postmaster(self._server))))
        return [time.perf_counter(), seconds(self._node), database, *map(float, counted)]

    def per(self, count: int, took: float) -> dict[str, float]:
        used = [now - then for now, then in zip(self._read(), self._before, strict=True)]
        _, node, database, log, syncs, commits, updates, hot = used
        return {
            "node_ms": round(node / count * 1_000, 3),
            "postgresql_ms": round(database / count * 1_000, 3),
            "log_bytes": round(log / count),
            "syncs": round(syncs / count, 2),
            "commits": round(commits / count, 2),
            "in_place": round(hot / updates, 2) if updates else 1.0,
            "per_second": round(count / took),
        }


def requests(server: Postgres) -> dict[str, dict[str, float]]:
    with pins.prepared(server) as (folder, url), closing(stage.Load()) as load:
        health = stage.request("GET", "/v1/health", folder.token)
        kinds = {
            "GET /v1/health": ([health], 4_000, "200"),
            "refused while waiting": (
                [folder.register(o, stage.PIN) for o in folder.closed[: stage.WAITING]], 2_000, "429",
            ),
            "wrong PIN": ([folder.register(o, stage.WRONG_PIN) for o in folder.open[:450]], 450, "403"),
            "right PIN, and a code is sent": (
                [folder.register(one, stage.PIN) for one in folder.open[450:]], 450, "202",
            ),
        }  # fmt: skip
        found = {}
        with stage.nightlatch(folder.path, NIGHTLATCH_DATABASE=url) as node:
            load.play(node, [health], 2_000, connections=16)  # not counted
            for kind, (asked, count, status) in kinds.items():
                meter = Meter(server, url, node.pid)
                began = time.perf_counter()
                run.expect(load.play(node, asked, count, connections=32), status)
                found[kind] = meter.per(count, time.perf_counter() - began)
        return found


def hash_ms() -> float:
    """Processor time of one bare Argon2id hash."""
    before = time.process_time()
    for _ in range(_HASHES):
        hash_secret_raw(b"271828", b"salt" * 4, 2, 19_456, 1, 32, Type.ID)
    return round((time.process_time() - before) / _HASHES * 1_000, 3)


async def fill(path: Path, url: str) -> None:
    """Numbers as the benchmarks of the pages have them, through the store."""
    await migrate_database(Settings(data=path, database=url))
    async with open_house(Settings(data=path, database=url), create=True) as house:
        await set_up(house)
        many = crowd.make_numbers(house, await house.first_waba(), _NUMBERS)
        while some := list(itertools.islice(many, 200)):
            await asyncio.gather(*(house.store.add_number(n, (crowd.added(n),)) for n in some))


def sizes(server: Postgres) -> dict[str, dict[str, float]]:
    """Rows and bytes of each table, for one number."""
    url = server.fresh_database()
    with tempfile.TemporaryDirectory(prefix="nightlatch-bench-") as place:
        asyncio.run(fill(Path(place) / "data", url))
    server.sql("VACUUM ANALYZE", url)
    rows = server.sql(
        "SELECT relname, n_live_tup, pg_relation_size(relid), pg_indexes_size(relid)"
        " FROM pg_stat_user_tables ORDER BY 1",
        url,
    )
    server.drop(url)
    found: dict[str, dict[str, float]] = {}
    for line in rows.splitlines():
        table, count, data, indexes = line.split("|")
        if int(count) >= _NUMBERS:
            found[table] = {
                "rows": round(int(count) / _NUMBERS, 2),
                "bytes": round(int(data) / _NUMBERS),
                "index_bytes": round(int(indexes) / _NUMBERS),
            }
    return found


def main() -> None:
    server = Postgres.start(limit=600.0, shared_buffers="512MB", max_wal_size="4GB")
    try:
        found: dict[str, Any] = {
            "cores": os.cpu_count(),
            "hash_ms": hash_ms(),
            "requests": requests(server),
            "number": sizes(server),
        }
    finally:
        server.stop()
    COSTS.write_text(json.dumps(found, indent=2) + "\n")
    print(COSTS.read_text())


if __name__ == "__main__":
    main()
