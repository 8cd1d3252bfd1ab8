"""Opening a data folder: what is begun, what is refused, and that nothing is replaced."""

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightlatch.adapters.hashing import CHEAP
from nightlatch.adapters.keyring import KeyRing
from nightlatch.adapters.system import SteppedClock
from nightlatch.bootstrap import StartRefused, open_house, set_up
from nightlatch.domain.clients import ADMIN, FACTORY_PASSWORD, FIRST_CLIENT
from nightlatch.domain.portfolios import Portfolio, Waba
from nightlatch.ports import bound_to
from nightlatch.settings import Settings
from nightlatch.usecases import audit
from tests.people import E164, NOON, OWNER
from tests.town import a_house

WORD = bound_to("password", f"{OWNER.client}/{ADMIN}")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


async def lived_in(data: Path, **settings: Any) -> None:
    """Make *data* a folder with values that a key of its ring has sealed."""
    async with a_house(data, **settings):
        pass


async def refusal(data: Path, *, create: bool = True, **settings: Any) -> str:
    """Why *data* is not opened."""
    with pytest.raises(StartRefused) as refused:
        async with open_house(Settings(data=data, **settings), create=create, cost=CHEAP):
            pass
    return str(refused.value)


def contents(data: Path) -> dict[str, bytes]:
    """The lasting files; the log of the database comes and goes."""
    return {
        file.name: file.read_bytes()
        for file in data.iterdir()
        if not file.name.endswith(("-wal", "-shm"))
    }


# Beginning


async def test_a_first_start_makes_a_private_folder_with_all_that_the_owner_needs(data: Path):
    async with a_house(data) as house:
        number = await house.store.number_by_e164(E164)
        admin = await house.store.user(FIRST_CLIENT, ADMIN)
        chains, broken = await audit.verify(house.world)

        assert number is not None
        assert admin is not None
        assert admin.must_change
        async with house.pool.place() as place:
            assert await place.matches(admin.verifier, FACTORY_PASSWORD, WORD)
    assert (chains, broken) == (3, [])
    assert data.stat().st_mode & 0o777 == 0o700
    assert {file.name for file in data.iterdir()} == {"nightlatch.db", "keyring.json"}
    assert {file.stat().st_mode & 0o777 for file in data.iterdir()} == {0o600}


async def test_a_later_start_changes_nothing(data: Path):
    await lived_in(data)
    ring = (data / "keyring.json").read_bytes()

    async with a_house(data) as house:
        again = await set_up(house)
        numbers, clients = await house.store.numbers(), await house.store.clients()

    assert not again
    assert (data / "keyring.json").read_bytes() == ring
    assert (len(numbers), [client.name for client in clients]) == (1, [FIRST_CLIENT])


async def test_a_set_up_that_was_cut_short_is_finished_by_the_next_start(data: Path):
    async with open_house(
        Settings(data=data), create=True, clock=SteppedClock, cost=CHEAP
    ) as house:
        await house.store.add_portfolio(Portfolio("2", "My portfolio", "owner@example.com"))
        await house.store.add_waba(Waba("3", "2", "My WhatsApp account"))

    async with a_house(data) as house:
        number = await house.store.number_by_e164(E164)

        assert number is not None
        assert number.waba == "3"
        assert await house.store.client(FIRST_CLIENT) is not None


async def test_a_ring_made_just_before_a_crash_is_used_by_the_next_start(data: Path):
    data.mkdir()
    made = KeyRing.create(data / "keyring.json", NOON)

    async with a_house(data) as house:
        assert house.keyring.fingerprint() == made.fingerprint()


async def test_time_goes_on_from_what_is_stored_when_the_wall_is_behind(data: Path):
    async with a_house(data) as house:
        later = house.clock.now() + timedelta(days=400)
        await house.store.tidy(later)

    async with a_house(data) as house:
        assert house.clock.now() >= later


# Refusing


async def test_where_nothing_is_nothing_is_opened_or_made(data: Path):
    said = await refusal(data, create=False)

    assert (
        said == f"there is no Nightlatch in {data}; start one with: nightlatch serve --data {data}"
    )
    assert not data.exists()


@pytest.mark.parametrize("create", [True, False])
async def test_a_ring_that_is_missing_over_existing_data_is_never_made_anew(
    data: Path, create: bool
):
    await lived_in(data)
    (data / "keyring.json").unlink()
    before = contents(data)

    said = await refusal(data, create=create)

    assert "is missing; put it back" in said
    assert contents(data) == before


async def test_a_ring_that_is_missing_elsewhere_is_never_made_anew(data: Path, tmp_path: Path):
    ring = tmp_path / "safe.json"
    await lived_in(data, keyring=ring)
    ring.unlink()

    said = await refusal(data, keyring=ring)

    assert f"{ring} is missing; put it back" in said
    assert not ring.exists()
    assert "is missing" in await refusal(data)
    assert not (data / "keyring.json").exists()


async def test_the_ring_of_another_installation_is_refused(data: Path, tmp_path: Path):
    await lived_in(data)
    other = Settings(data=tmp_path / "other")
    async with open_house(other, create=True, cost=CHEAP):
        pass
    (tmp_path / "other" / "keyring.json").replace(data / "keyring.json")
    before = contents(data)

    said = await refusal(data)

    assert said == "the key ring belongs to another Nightlatch; put back the right one"
    assert contents(data) == before


async def test_a_ring_that_lacks_a_key_in_use_is_refused_and_the_key_is_named(data: Path):
    await lived_in(data)
    ring = KeyRing(data / "keyring.json")
    used = ring.writable
    fresh = ring.write_with_next(NOON)
    safe = (data / "keyring.json").read_bytes()
    ring.drop_keys({used})

    said = await refusal(data)
    (data / "keyring.json").write_bytes(safe)

    assert said.startswith(f"the key ring lacks key {used}, which stored values need")
    assert fresh not in said
    await lived_in(data)


async def test_a_ring_that_lacks_a_key_that_is_not_in_use_is_fine(data: Path):
    await lived_in(data)
    ring = KeyRing(data / "keyring.json")
    unused = ring.write_with_next(NOON)
    ring.write_with_next(NOON)
    ring.drop_keys({unused})

    await lived_in(data)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
async def test_a_ring_that_others_can_reach_is_refused_with_the_command_that_helps(
    data: Path, mode: int
):
    await lived_in(data)
    (data / "keyring.json").chmod(mode)

    said = await refusal(data)

    assert f"run: chmod 600 {data / 'keyring.json'}" in said


async def test_a_damaged_ring_is_refused_and_left_as_it_is(data: Path):
    await lived_in(data)
    (data / "keyring.json").write_text("{}")

    assert "is damaged" in await refusal(data)
    assert (data / "keyring.json").read_text() == "{}"


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(data: Path):
    await lived_in(data)
    (data / "nightlatch.db").write_bytes(b"not a database, but long enough " * 200)
    before = contents(data)

    assert "cannot be opened as a database" in await refusal(data)
    assert contents(data) == before


async def test_a_database_of_a_newer_version_is_refused(data: Path):
    await lived_in(data)
    connection = sqlite3.connect(data / "nightlatch.db")
    connection.execute("PRAGMA user_version = 999")
    connection.close()

    assert "start the newer version again" in await refusal(data)


async def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path):
    (tmp_path / "data").write_text("mine")

    said = await refusal(tmp_path / "data")

    assert said.startswith(f"cannot make the folder {tmp_path / 'data'}: ")


async def test_a_key_ring_in_a_folder_that_is_not_there_is_refused(data: Path, tmp_path: Path):
    ring = tmp_path / "nowhere" / "ring.json"

    assert (await refusal(data, keyring=ring)).startswith(f"cannot make the key ring {ring}: ")


async def test_a_refused_start_shows_no_key(data: Path):
    await lived_in(data)
    text = (data / "keyring.json").read_text()
    (data / "keyring.json").write_text(text[:-30])

    said = await refusal(data)

    assert not [line for line in text.split('"') if len(line) >= 40 and line in said]


# The house


async def test_a_good_house_has_no_faults_and_a_changed_row_is_one(data: Path):
    async with a_house(data) as house:
        before = await house.faults(lambda _done, _of: None)
        await house.store._execute(
            "UPDATE audit SET by = 'nobody' WHERE subject LIKE 'number:%'", ()
        )

        after = await house.faults(lambda _done, _of: None)

    assert before == []
    assert len(after) == 1
    assert after[0].startswith("audit: the chain of number:")
    assert after[0].endswith(" breaks at 1")


async def test_a_rotation_seals_everything_anew_and_may_forget_the_old_keys_later(data: Path):
    async with a_house(data) as house:
        old = house.keyring.writable
        kid, count, unreadable = await house.rotate(lambda _done, _of: None, drop_old=False)
        listed = [(key.kid, used) for key, used in await house.key_list()]
        admin = await house.store.user(FIRST_CLIENT, ADMIN)

        assert admin is not None
        async with house.pool.place() as place:
            assert await place.matches(admin.verifier, FACTORY_PASSWORD, WORD)
    assert (count, unreadable) == (1, [])
    assert listed == [(old, 0), (kid, 1)]
    await lived_in(data)
