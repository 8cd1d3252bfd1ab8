"""The PostgreSQL server of the tests does to itself what they ask."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.postgres import Postgres, has_ended, shared

_PATIENCE = 30.0


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One of our own, for nobody else's is to be killed."""
    started = Postgres.start()
    yield started
    started.stop()


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, timeout=_PATIENCE)
    try:
        yield connection
    finally:
        connection.terminate()


async def test_it_is_a_version_that_we_support_and_shows_the_settings_it_was_given():
    async with _connected(shared().url()) as connection:
        shown = {
            name: await connection.fetchval(f"SHOW {name}")
            for name in ("synchronous_commit", "fsync", "full_page_writes")
        }

        assert connection.get_server_version().major == 16
        assert shown == {"synchronous_commit": "on", "fsync": "on", "full_page_writes": "on"}


async def test_a_fresh_database_is_empty_or_a_copy_of_its_template():
    original = shared().fresh_database()
    shared().sql("CREATE TABLE kept AS SELECT 7 AS n", original)

    copy = shared().fresh_database(template=original)
    shared().sql("UPDATE kept SET n = 8", copy)

    assert shared().sql("SELECT n FROM kept", original) == "7"
    assert shared().sql("SELECT n FROM kept", copy) == "8"
    for url in (original, copy):
        shared().drop(url)
    with pytest.raises(RuntimeError, match="does not exist"):
        shared().sql("SELECT", original)


async def test_a_frozen_server_answers_nobody_until_it_thaws(server: Postgres):
    async with _connected(server.url()) as connection:
        server.freeze()

        with pytest.raises(TimeoutError):
            await connection.fetchval("SELECT 1", timeout=0.3)
        with pytest.raises(TimeoutError):
            await asyncpg.connect(server.url(), timeout=0.3)

        server.thaw()
    async with _connected(server.url()) as connection:
        assert await connection.fetchval("SELECT 1", timeout=_PATIENCE) == 1


async def test_a_killed_server_refuses_and_comes_back_on_its_port_with_every_commit(
    server: Postgres,
):
    server.sql("CREATE TABLE counted AS SELECT 41 AS n")
    async with _connected(server.url()) as connection:
        await connection.execute("UPDATE counted SET n = n + 1")

        server.kill()

        assert server.pids == []
        with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
            await connection.fetchval("SELECT 1", timeout=_PATIENCE)
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect(server.url(), timeout=_PATIENCE)

    server.restart()

    assert server.sql("SELECT n FROM counted") == "42"


def test_a_frozen_server_can_be_killed_and_restarted(server: Postgres):
    server.freeze()
    server.kill()

    server.restart()

    assert server.sql("SELECT 1") == "1"


def test_a_server_whose_test_run_was_killed_ends_by_itself():
    starter = (
        "import time\n"
        "from tests.postgres import Postgres\n"
        "server = Postgres.start()\n"
        "server.freeze()\n"
        "print(server.folder, *server.pids, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", starter],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        folder, *pids = run.stdout.readline().split()
        os.kill(run.pid, signal.SIGKILL)

    give_up = time.monotonic() + _PATIENCE
    while time.monotonic() < give_up and Path(folder).exists():
        time.sleep(0.05)

    assert len(pids) > 1
    assert not Path(folder).exists()
    assert all(has_ended(int(pid)) for pid in pids)
