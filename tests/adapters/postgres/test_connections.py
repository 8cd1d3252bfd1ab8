"""Finding the server that may be written to, whatever the others do."""

import asyncio
from collections.abc import Iterator

import pytest

from nightlatch.adapters.postgres import PostgresStore, migrate
from nightlatch.adapters.postgres.connections import connect, each_host
from nightlatch.adapters.sql.step import StoreRefused
from tests.postgres import Postgres, shared


@pytest.fixture(scope="module")
def other() -> Iterator[Postgres]:
    """One that is frozen."""
    started = Postgres.start()
    yield started
    started.stop()


def both(first: Postgres, url: str) -> str:
    """The address of a database, with another server named before its own."""
    return url.replace("@127.0.0.1:", f"@127.0.0.1:{first.port},127.0.0.1:")


def connected(server: Postgres) -> int:
    return int(
        server.sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
    )


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://gate.test/latch", ["postgresql://gate.test/latch"]),
        (
            "postgresql://me:p%40ss@one.test:5433,[::1],three.test/latch?sslmode=require",
            [
                "postgresql://me:p%40ss@one.test:5433/latch?sslmode=require",
                "postgresql://me:p%40ss@[::1]/latch?sslmode=require",
                "postgresql://me:p%40ss@three.test/latch?sslmode=require",
            ],
        ),
        ("postgresql:///latch?host=/run/a,/run/b", ["postgresql:///latch?host=/run/a,/run/b"]),
    ],
)
def test_each_server_that_an_address_names_is_tried(url: str, hosts: list[str]):
    assert each_host(url) == hosts


async def test_a_frozen_server_does_not_hold_up_the_one_behind_it(other: Postgres):
    url = shared().fresh_database()
    await migrate(url)
    other.freeze()
    try:
        store = await PostgresStore.open(both(other, url), b"key")
        try:
            assert await store.recall("schema") == "1"
        finally:
            await store.aclose()
    finally:
        other.thaw()


async def test_a_connection_that_came_second_is_closed(other: Postgres):
    before = connected(other) + connected(shared())

    first = await connect(both(other, shared().url()))
    try:
        async with asyncio.timeout(10):
            while connected(other) + connected(shared()) != before + 1:
                await asyncio.sleep(0.02)
    finally:
        await first.close()


async def test_of_servers_that_all_refuse_the_kind_of_refusal_is_told():
    with pytest.raises(StoreRefused, match=r"cannot be reached: \w+Error"):
        await connect("postgresql://night:Word-1@127.0.0.1:9,127.0.0.1:10/latch")
