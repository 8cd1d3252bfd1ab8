"""``kill -9`` at each named step of a guess and of a change of the PIN."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from nightlatch.bootstrap import House
from nightlatch.domain.codes import Method
from nightlatch.domain.errors import GuessWait, PinNeeded, WrongPin
from nightlatch.usecases import numbers, registration
from tests.faults.processes import ClockFile, Process, served
from tests.people import E164, OWNER, THIEF
from tests.town import Api, a_house, a_town


async def _found(data: Path, *, protected: bool) -> str:
    """The owner has registered; the certificate."""
    async with a_town(data) as town:
        await (town.owner_is_protected() if protected else town.owner_has_registered())
        return town.owner.certificate


async def _killed_at(data: Path, place: str, who: str, deed: str, certificate: str) -> None:
    """Serve, let *who* do *deed*, and kill the server where it hangs at *place*."""
    with served(data, ClockFile(data.parent / "clock"), "--share", "--hang", place) as (server,):
        person = THIEF if who == "thief" else OWNER
        api = Api(server.port, person.base, person.password, certificate=certificate)
        assert (await api.login()).status == 200
        call = {
            "guess": lambda: api.register(THIEF.wrong_pin),
            "set": lambda: api.set_pin(OWNER.new_pin),
            "turn off": api.turn_off,
        }[deed]()
        request = asyncio.create_task(call)
        await _hangs(server)
        assert not request.done()
        server.kill()
        with suppress(OSError, AssertionError):  # it never hears
            await request


async def _hangs(server: Process) -> None:
    for _ in range(3_000):
        if "hanging" in server.out.read_text():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the server never came to that place")


async def _guess(house: House, client: str, pin: str | None) -> None:
    user = await house.store.user(client, "admin")
    assert user is not None
    certificate = numbers.certificate(house.world, await numbers.find_number(house.world, E164))
    await registration.request_code(house.world, user, E164, Method.SMS, certificate, pin)


async def _new_rows(house: House, since: int) -> list[str]:
    number = await numbers.find_number(house.world, E164)
    trail = house.store.audit(f"number:{number.id}")
    return [link.event.kind.value async for link in trail][since:]


async def _rows(data: Path) -> int:
    async with a_house(data) as house:
        return len(await _new_rows(house, 0))


@pytest.mark.parametrize(
    ("place", "rows"),
    [
        pytest.param("after:1", ["guess.paid"], id="between reserve and compare"),
        pytest.param("before:2", ["guess.paid"], id="between compare and settle"),
        pytest.param("after:2", ["guess.paid", "guess.wrong"], id="between commit and answer"),
    ],
)
async def test_a_guess_cut_off_by_kill_9_stays_counted(tmp_path: Path, place: str, rows: list[str]):
    data = tmp_path / "data"
    certificate = await _found(data, protected=True)
    before = await _rows(data)

    await _killed_at(data, place, "thief", "guess", certificate)

    async with a_house(data) as house:
        assert await _new_rows(house, before) == rows
        for _ in range(4):
            with pytest.raises(WrongPin):
                await _guess(house, THIEF.client, THIEF.wrong_pin)
        with pytest.raises(GuessWait):
            await _guess(house, THIEF.client, OWNER.pin)
        assert await house.faults(lambda *_: None) == []


@pytest.mark.parametrize(
    ("protected", "deed", "place", "pin", "rows"),
    [
        (False, "set", "before:1", None, []),
        (False, "set", "after:1", OWNER.new_pin, ["two_step.turned_on"]),
        (True, "set", "before:1", OWNER.pin, []),
        (True, "set", "after:1", OWNER.new_pin, ["two_step.pin_changed"]),
        (True, "turn off", "before:1", OWNER.pin, []),
        (True, "turn off", "after:1", None, ["two_step.turned_off"]),
    ],
)
async def test_kill_9_during_a_change_of_the_pin_leaves_the_old_or_the_new_state_and_the_trail_agrees(
    tmp_path: Path, protected: bool, deed: str, place: str, pin: str | None, rows: list[str]
):
    data = tmp_path / "data"
    certificate = await _found(data, protected=protected)
    before = await _rows(data)

    await _killed_at(data, place, "owner", deed, certificate)

    async with a_house(data) as house:
        assert await _new_rows(house, before) == rows
        if pin is not None:
            with pytest.raises(PinNeeded):
                await _guess(house, OWNER.client, None)
        await _guess(house, OWNER.client, pin)
        assert await house.faults(lambda *_: None) == []
