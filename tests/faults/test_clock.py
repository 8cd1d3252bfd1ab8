"""A system clock that is set wrong, while servers run and across their restarts."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nightlatch.domain.limits import GUESS_WAITS
from tests.faults.processes import ClockFile, Process, served
from tests.people import OWNER, THIEF
from tests.town import Api, Town, a_town

DAY, YEAR = timedelta(days=1), timedelta(days=365)
Story = Callable[[Town], Awaitable[None]]


class Machine:
    """A data folder on a machine whose clock somebody sets."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.clock = ClockFile(folder / "clock")
        self.wall = ClockFile(folder / "wall")
        self.certificate = ""

    async def lived(self, story: Story) -> None:
        """What happened before, on a right clock."""
        async with a_town(self.data) as town:
            await town.owner_is_protected()
            await story(town)
            self.certificate = town.owner.certificate

    def set_wrong(self, by: timedelta) -> None:
        self.wall.step(by - timedelta(seconds=self.wall.seconds))

    def on(self, *more: str):  # a context of one server
        return served(self.data, self.clock, "--share", "--wall", self.wall.path, *more)

    async def thief(self, server: Process) -> Api:
        api = Api(server.port, THIEF.base, THIEF.password, certificate=self.certificate)
        assert (await api.login()).status == 200
        return api

    async def owner(self, server: Process) -> Api:
        api = Api(server.port, OWNER.base, OWNER.password, certificate=self.certificate)
        assert (await api.login()).status == 200
        return api


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


async def _five_wrong(town: Town) -> None:
    for _ in range(5):
        assert (await town.thief.register(THIEF.wrong_pin)).status == 403


async def _ten_wrong(town: Town) -> None:
    for wait in GUESS_WAITS:
        assert (await town.thief.register(THIEF.wrong_pin)).status == 403
        if wait < DAY:
            town.pass_time(wait)


async def _compared(api: Api) -> int:
    """How many wrong PINs in a row are compared before one is refused unread."""
    count = 0
    while (reply := await api.register(THIEF.wrong_pin)).status == 403 and count < 100:
        count += 1
    assert reply.verdict == (429, 1015)
    assert 0 < int(reply.header("Retry-After") or 0) <= DAY.total_seconds()
    return count


async def test_setting_the_clock_while_the_server_runs_neither_ends_nor_stretches_a_wait(
    machine: Machine,
):
    await machine.lived(_five_wrong)

    with machine.on() as (server,):
        thief = await machine.thief(server)
        for jump in (DAY, -DAY, 10 * YEAR, -10 * YEAR, timedelta(hours=1), timedelta(0)):
            machine.set_wrong(jump)
            refused = await thief.register(OWNER.pin)
            assert refused.verdict == (429, 1015), jump
            assert 0 < int(refused.header("Retry-After") or 0) <= 60, jump
            assert await thief.status() == "unregistered"  # the token lives on
        machine.clock.step(timedelta(seconds=60))
        assert (await thief.register(OWNER.pin)).status == 202  # real time still ends it


async def test_this_check_notices_a_server_that_believes_the_wall_clock(machine: Machine):
    await machine.lived(_five_wrong)

    with machine.on("--broken", "wall-clock") as (server,):
        thief = await machine.thief(server)
        machine.set_wrong(timedelta(hours=1))
        believed = await thief.register(OWNER.pin)

    assert believed.status == 202


@pytest.mark.parametrize("back", [DAY, 10 * YEAR])
async def test_a_clock_set_back_across_a_restart_refills_nothing_and_stretches_no_wait(
    machine: Machine, back: timedelta
):
    await machine.lived(_five_wrong)
    machine.set_wrong(-back)

    with machine.on() as (server,):
        thief = await machine.thief(server)
        assert await _compared(thief) == 0
        refused = await thief.register(OWNER.pin)
        assert 0 < int(refused.header("Retry-After") or 0) <= 60
        machine.clock.step(timedelta(seconds=60))
        assert await _compared(thief) == 1


@pytest.mark.parametrize("ahead", [DAY + timedelta(hours=2), 10 * YEAR])
async def test_a_clock_set_ahead_across_a_restart_buys_one_guess_and_setting_it_right_buys_none(
    machine: Machine, ahead: timedelta
):
    await machine.lived(_ten_wrong)

    with machine.on() as (server,):
        assert await _compared(await machine.thief(server)) == 0
    machine.set_wrong(ahead)
    with machine.on() as (server,):
        assert await _compared(await machine.thief(server)) == 1
    machine.set_wrong(timedelta(0))
    with machine.on() as (server,):
        assert await _compared(await machine.thief(server)) == 0
        machine.clock.step(DAY)
        assert await _compared(await machine.thief(server)) == 1


async def test_a_code_that_expired_does_not_come_back_when_the_clock_is_set_back(machine: Machine):
    async def a_code_is_sent(town: Town) -> None:
        assert (await town.thief.register(OWNER.pin)).status == 202
        codes.append(await town.code())
        town.pass_time(timedelta(minutes=10))
        assert (await town.thief.verify(codes[0])).verdict == (400, 1009)
        assert (await town.thief.register(THIEF.wrong_pin)).status == 403  # time is written down

    codes: list[str] = []
    await machine.lived(a_code_is_sent)
    machine.set_wrong(-DAY)

    with machine.on() as (server,):
        thief = await machine.thief(server)
        assert (await thief.verify(codes[0])).verdict == (400, 1009)
        assert await thief.status() == "unregistered"


@pytest.mark.parametrize("year", [2038, 2106, 9000])
async def test_dates_in_the_far_future_overflow_nothing(machine: Machine, year: int):
    async def nothing(_: Town) -> None:
        return

    await machine.lived(nothing)
    machine.set_wrong(datetime(year, 6, 1, tzinfo=UTC) - datetime.now(UTC))

    with machine.on() as (server,):
        owner, thief = await machine.owner(server), await machine.thief(server)
        login = await owner.login()
        assert login.body["users"][0]["expires_after"].startswith(f"{year}-06-0")
        assert (await owner.set_pin(OWNER.new_pin)).status == 200
        assert (await owner.register(OWNER.new_pin)).status == 201
        assert await _compared(thief) == 5
        assert await owner.status() == "connected"
        assert server.stop() == 0
