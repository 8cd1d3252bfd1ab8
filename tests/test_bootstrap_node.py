"""Starting a node: what PostgreSQL and the key ring must be, and what is said when they are not."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nightlatch.adapters.hashing import CHEAP
from nightlatch.adapters.keyring import KeyRing
from nightlatch.adapters.postgres import migrate
from nightlatch.bootstrap import StartRefused, open_house, set_up
from nightlatch.settings import Settings
from nightlatch.usecases import audit
from tests.people import E164, NOON
from tests.postgres import shared


@pytest.fixture
def empty() -> str:
    """The address of a database without tables."""
    return shared().fresh_database()


@pytest.fixture
async def url(empty: str) -> str:
    """The address of one that was migrated."""
    await migrate(empty)
    return empty


def tables(url: str) -> list[str]:
    return shared().sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", url).split()


async def start(data: Path, url: str) -> tuple[str, str]:
    """Begin as ``serve`` does, and end; the id of the first number, and the ring's name."""
    async with open_house(Settings(data=data, database=url), create=True, cost=CHEAP) as house:
        await set_up(house)
        number = await house.store.number_by_e164(E164)
        assert number is not None
        assert len(await house.store.numbers(limit=9)) == 1
        _, broken = await audit.verify(house.world)
        assert list(broken) == []
        return number.id, house.keyring.fingerprint()


async def refusal(data: Path, url: str, *, create: bool = True, **settings: Any) -> str:
    chosen = Settings(data=data, database=url, **settings)
    with pytest.raises(StartRefused) as refused:
        async with open_house(chosen, create=create, cost=CHEAP):
            pass
    return str(refused.value)


# Beginning


async def test_a_database_is_migrated_once_however_many_try(empty: str):
    steps = await asyncio.gather(*(migrate(empty) for _ in range(4)))

    assert sorted(steps)[:3] == [0, 0, 0]
    assert max(steps) > 0
    assert "numbers" in tables(empty)


async def test_a_database_that_was_not_migrated_is_refused_and_stays_as_it_is(
    empty: str, tmp_path: Path
):
    said = await refusal(tmp_path / "data", empty)

    assert "run: nightlatch migrate" in said
    assert tables(empty) == []
    assert not (tmp_path / "data" / "keyring.json").exists()


async def test_a_second_node_with_the_same_ring_finds_everything(url: str, tmp_path: Path):
    first = await start(tmp_path / "data", url)

    again = await start(tmp_path / "data", url)

    assert again == first


async def test_two_first_starts_on_one_ring_file_at_once_make_one_of_everything(
    url: str, tmp_path: Path
):
    both = await asyncio.gather(*(start(tmp_path / "data", url) for _ in range(2)))

    assert both[0] == both[1]


# Refusals


async def test_no_ring_and_a_database_in_use_is_refused_and_no_ring_is_made(
    url: str, tmp_path: Path
):
    await start(tmp_path / "data", url)

    said = await refusal(tmp_path / "elsewhere", url)

    assert "put the key ring of the other nodes there" in said
    assert not (tmp_path / "elsewhere" / "keyring.json").exists()


async def test_a_command_does_not_begin_anything(url: str, tmp_path: Path):
    said = await refusal(tmp_path / "data", url, create=False)

    assert "NIGHTLATCH_KEYRING" in said
    assert shared().sql("SELECT count(*) FROM meta WHERE key = 'keyring'", url) == "0"


async def test_the_ring_of_another_nightlatch_is_refused(url: str, tmp_path: Path):
    await start(tmp_path / "data", url)
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    KeyRing.create(other / "keyring.json", NOON)

    assert "belongs to another Nightlatch" in await refusal(other, url)


async def test_a_ring_that_lacks_a_key_is_refused_and_named(url: str, tmp_path: Path):
    await start(tmp_path / "data", url)
    ring = KeyRing(tmp_path / "data" / "keyring.json")
    old = ring.listed()[0].kid
    ring.write_with_next(NOON)
    ring.drop_keys({old})

    assert f"lacks key {old}" in await refusal(tmp_path / "data", url)


async def test_a_database_of_a_newer_version_is_refused(url: str, tmp_path: Path):
    await start(tmp_path / "data", url)
    shared().sql("UPDATE meta SET value = '999' WHERE key = 'schema'", url)

    assert "999" in await refusal(tmp_path / "data", url)
    assert shared().sql("SELECT value FROM meta WHERE key = 'schema'", url) == "999"


async def test_a_database_that_is_not_there_is_refused_without_telling_the_password(tmp_path: Path):
    said = await refusal(tmp_path / "data", "postgresql://night:Word-1@127.0.0.1:9/latch")

    assert "cannot be reached" in said
    assert "Word-1" not in said
    assert not (tmp_path / "data" / "keyring.json").exists()
