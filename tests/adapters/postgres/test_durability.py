"""What is said of databases that could forget an acknowledged commit, and of those that cannot."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from nightlatch.adapters.hashing import CHEAP
from nightlatch.adapters.postgres import PostgresStore, migrate
from nightlatch.adapters.postgres.durability import QUESTION, Row, durability
from nightlatch.adapters.sql.step import StoreRefused
from nightlatch.bootstrap import open_house
from nightlatch.settings import Settings
from tests.postgres import Postgres, programs

_GOOD = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "synchronous_standby_names": "",
}
_PATIENCE = 30.0


def _rows(*more: Row, **changed: str) -> list[Row]:
    return [*(("setting", name, value) for name, value in (_GOOD | changed).items()), *more]


@pytest.mark.parametrize(
    "safe",
    [
        _rows(),
        _rows(synchronous_commit="remote_apply"),
        _rows(("reader", "two", "streaming"), synchronous_standby_names="two"),
        _rows(("reader", None, None), synchronous_standby_names="ANY 1 (two, three)"),
        _rows(("slot", "two", "false"), synchronous_standby_names="*"),
        _rows(("reader", "pg_basebackup", "backup")),
    ],
)
def test_a_server_alone_or_with_a_standby_that_commits_wait_for_is_safe(safe: list[Row]):
    assert durability(safe) == []


@pytest.mark.parametrize(
    ("unsafe", "said"),
    [
        (_rows(fsync="off"), "fsync is off"),
        (_rows(full_page_writes="off"), "full_page_writes is off"),
        (_rows(synchronous_commit="off"), "synchronous_commit is off"),
        (_rows(synchronous_commit="local"), "synchronous_commit is local"),
        (_rows(synchronous_commit="remote_write"), "synchronous_commit is remote_write"),
        (_rows(("reader", "two", "streaming")), "standbys are attached (1)"),
        (_rows(("reader", "two", "catchup")), "standbys are attached (1)"),
        (_rows(("reader", None, None), ("reader", None, None)), "receives the log (2)"),
        (_rows(("slot", "two", "false")), "a standby is away"),
    ],
)
def test_each_way_to_lose_a_commit_gets_a_sentence(unsafe: list[Row], said: str):
    [sentence] = durability(unsafe)

    assert said in sentence


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One that keeps what it promises, for the settings are what is asked about."""
    started = Postgres.start(fsync="on")
    started.sql("CREATE ROLE ordinary LOGIN")
    yield started
    started.stop()


async def _asked(server: Postgres, role: str = "postgres") -> list[str]:
    connection = await asyncpg.connect(server.url(), user=role, timeout=_PATIENCE)
    try:
        return durability([tuple(row) for row in await connection.fetch(QUESTION)])
    finally:
        await connection.close()


@contextmanager
def _standby(server: Postgres, folder: Path) -> Iterator[None]:
    """Somebody who receives the log under the name `two` and says what is on its disk."""
    folder.mkdir(exist_ok=True)
    address = f"host=127.0.0.1 port={server.port} user=postgres application_name=two"
    words = ("--directory", folder, "--dbname", address, "--synchronous", "--no-loop")
    with subprocess.Popen([programs() / "pg_receivewal", *words]) as receiving:
        try:
            _wait_for(server, "SELECT count(*) FROM pg_stat_replication WHERE state='streaming'")
            yield
        finally:
            receiving.terminate()
            receiving.wait(_PATIENCE)
            _wait_for(server, "SELECT 1 - count(*) FROM pg_stat_replication")


@contextmanager
def _named(server: Postgres, names: str) -> Iterator[None]:
    """Commits wait for these standbys."""
    _set(server, names)
    try:
        yield
    finally:
        _set(server, "")


def _set(server: Postgres, names: str) -> None:
    server.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    server.sql("SELECT pg_reload_conf()")
    _wait_for(server, f"SELECT (current_setting('synchronous_standby_names') = '{names}')::int")


def _wait_for(server: Postgres, question: str) -> None:
    give_up = time.monotonic() + _PATIENCE
    while server.sql(question) != "1":
        assert time.monotonic() < give_up
        time.sleep(0.02)


async def test_a_real_server_on_its_own_is_safe(server: Postgres):
    assert await _asked(server) == []
    assert await _asked(server, "ordinary") == []


async def test_a_role_with_a_weaker_setting_of_its_own_is_seen(server: Postgres):
    server.sql("CREATE ROLE hasty LOGIN")
    server.sql("ALTER ROLE hasty SET synchronous_commit = off")

    assert [said.partition(":")[0] for said in await _asked(server, "hasty")] == [
        "synchronous_commit is off"
    ]


async def test_a_store_refuses_such_a_role_and_says_why(server: Postgres):
    server.sql("CREATE ROLE careless LOGIN")
    server.sql("ALTER ROLE careless SET synchronous_commit = local")
    url = server.url().replace("postgres@", "careless@")

    with pytest.raises(StoreRefused, match="synchronous_commit is local"):
        await PostgresStore.open(url, b"")


async def test_a_store_and_a_node_tell_of_a_standby_that_nobody_waits_for(
    server: Postgres, tmp_path: Path
):
    url = server.fresh_database()
    await migrate(url)
    settings = Settings(data=tmp_path / "data", database=url)
    async with open_house(settings, create=True, cost=CHEAP) as house:
        alone = await house.readiness.faults()
        with _standby(server, tmp_path / "log"):
            found = await house.faults(lambda _done, _of: None)
            house.readiness._looked_at = -1e9
            status, body, _ = await house.readiness.answer()

    assert alone["durability"] is None
    assert [fault for fault in found if "standbys are attached (1)" in fault]
    assert (status, json.loads(body)["status"]) == (200, "ready")
    assert "a failover loses" in json.loads(body)["checks"]["durability"]


async def test_a_real_standby_is_safe_only_while_commits_wait_for_it(
    server: Postgres, tmp_path: Path
):
    with _standby(server, tmp_path):
        [attached] = await _asked(server)
        [unseen] = await _asked(server, "ordinary")
        with _named(server, "two"):
            waited_for = await _asked(server)
            waited_for_unseen = await _asked(server, "ordinary")

    assert "standbys are attached (1)" in attached
    assert "cannot see" in unseen
    assert waited_for == waited_for_unseen == []
    assert await _asked(server) == []


async def test_a_standby_that_is_away_is_known_by_its_slot(server: Postgres):
    server.sql("SELECT pg_create_physical_replication_slot('two')")

    [away] = await _asked(server)
    server.sql("SELECT pg_drop_replication_slot('two')")

    assert "a standby is away" in away
