"""Webhooks from a real server to real receivers, in peace and while the server is shot."""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from nightlatch.adapters.hashing import CHEAP
from nightlatch.bootstrap import House, free_port, open_house, set_up
from nightlatch.domain.access import Caller, GraphApp
from nightlatch.domain.limits import HOOK_PAUSES, HOOK_SECONDS
from nightlatch.domain.members import MemberRole
from nightlatch.domain.numbers import Decision, Number
from nightlatch.domain.webhooks import DeliveryState, Field, Hook
from nightlatch.ports import Chance
from nightlatch.settings import Settings
from nightlatch.usecases import access, members, numbers, two_step, webhooks
from tests.faults.processes import ROOT, ClockFile, environment, serving, start_served
from tests.faults.served import house_clock
from tests.people import OWNER
from tests.town import a_town
from tests.webhook_receiver import a_receiver

KILLS = int(os.environ.get("NIGHTLATCH_KILLS", "8"))
LONGEST = HOOK_PAUSES[-1] + timedelta(seconds=1)  # longer than any lease or pause
TOKEN = "let me in"
PRIVATE: dict[str, Any] = {"NIGHTLATCH_PRIVATE_RECEIVERS": "true"}
PASSWORD = "four unrelated plain words"
STORY = ["PIN_CHANGED", "PIN_RESET_REQUEST", "PIN_REQUEST_SUCCESS"]
_PATIENCE = 60  # a hang, not a goal


@dataclass
class Watched:
    """A receiver process and what it wrote down."""

    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def updates(self) -> list[dict[str, Any]]:
        whole, _, _ = self.log.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    async def until(self, count: int) -> list[dict[str, Any]]:
        """What it got, once that is so much."""
        async with asyncio.timeout(_PATIENCE):
            while len(self.updates()) < count:
                await asyncio.sleep(0.005)
        return self.updates()


@contextmanager
def a_receiver_process(watched: Watched, *more: str) -> Iterator[None]:
    """A receiver in a process of its own, with code of its own for signatures."""
    words = ["-m", "tests.webhook_receiver", "--port", str(watched.port), "--log", watched.log]
    process = subprocess.Popen(
        [sys.executable, *map(str, words), *more],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


@asynccontextmanager
async def beside(data: Path, clock: ClockFile) -> AsyncIterator[House]:
    """The data folder as a command opens it, whatever becomes of the server."""
    async with open_house(
        Settings(data=data, private_receivers=True),
        create=True,
        clock=house_clock(clock.path),
        cost=CHEAP,
    ) as house:
        await set_up(house)
        yield house


async def some_numbers(house: House, count: int) -> list[Number]:
    waba = await house.first_waba()
    return [
        await numbers.add_number(house.world, waba, f"+1631555{n:04d}", "1", "Lucky Shrub")
        for n in range(count)
    ]


async def an_app(house: House, url: str, name: str = "Shop") -> tuple[GraphApp, str]:
    """An app that hears about the first account, and its secret."""
    world = house.world
    (portfolio,) = await world.store.portfolios()
    waba = await world.store.waba(await house.first_waba())
    assert waba is not None
    new = await access.add_app(world, portfolio.id, name)
    await webhooks.subscribe(world, Caller(new.app), waba)
    return new.app, new.secret


async def listen(house: House, app: GraphApp, url: str) -> None:
    await webhooks.set_callback(house.world, app, url, TOKEN, Field)


async def tell(house: House, number: Number, *events: str) -> None:
    """Something that can be told apart happens to the number, and then more."""
    now = house.world.clock.now()
    hooks = tuple(Hook(Field.SECURITY, number.id, now, _value(number, e)) for e in events)
    await house.world.update(number.id, lambda n: Decision(n, hooks=hooks))


def _value(number: Number, event: str) -> tuple[tuple[str, str | None], ...]:
    return (("display_phone_number", number.digits), ("event", event))


async def settled(house: House, clock: ClockFile | None = None) -> None:
    """Wait until nothing waits any more, stepping *clock* past the leases and pauses of the dead."""
    (portfolio,) = await house.store.portfolios()
    async with asyncio.timeout(_PATIENCE):
        while any(
            delivery.state is DeliveryState.WAITING
            for delivery in await house.store.deliveries(portfolio.id, None, 100_000)
        ):
            if clock is not None:
                clock.step(LONGEST)
            await asyncio.sleep(0.5)


def by_number(updates: list[dict[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for update in updates:
        found.setdefault(update["display_phone_number"], []).append(update["event"])
    return found


class Overheard:
    """The real chance, of which a test keeps what it drew last."""

    def __init__(self, inner: Chance) -> None:
        self._inner = inner
        self.last = ""

    def digits(self, count: int) -> str:
        return self._inner.digits(count)

    def token(self, size: int) -> str:
        self.last = self._inner.token(size)
        return self.last


async def test_in_a_quiet_run_each_security_event_arrives_once_and_in_order(tmp_path: Path):
    data, clock = tmp_path / "data", ClockFile(tmp_path / "clock")
    watched = Watched(free_port(), tmp_path / "received")
    async with beside(data, clock) as house:
        chance = Overheard(house.world.chance)
        world = replace(house.world, chance=chance)
        found = await some_numbers(house, 4)
        (portfolio,) = await house.store.portfolios()
        owner = await members.add_member(
            world, portfolio.id, OWNER.email, OWNER.name, MemberRole.OWNER, PASSWORD
        )
        app, secret = await an_app(house, watched.url)
        with (
            a_receiver_process(watched, "--secret", secret),
            serving(data, **PRIVATE) as server,
        ):
            await listen(house, app, watched.url)
            for number in found:
                await two_step.set_pin(world, owner, number, "271828")
            for number in found:
                await two_step.ask_to_turn_off(
                    world, owner, await numbers.find_number(world, number.e164)
                )
                await two_step.follow_link(world, owner, chance.last)

            await watched.until(len(found) * len(STORY))
            await settled(house)
            assert server.stop() == 0

    assert by_number(watched.updates()) == {number.digits: STORY for number in found}


async def test_kill_9_in_the_middle_of_delivering_strands_nothing_and_keeps_the_order(
    tmp_path: Path,
):
    data, clock, chance = tmp_path / "data", ClockFile(tmp_path / "clock"), random.Random(7)
    watched = Watched(free_port(), tmp_path / "received")
    told: dict[str, list[str]] = {}
    async with beside(data, clock) as house:
        found = await some_numbers(house, 3)
        app, secret = await an_app(house, watched.url)

        async def something_happens() -> None:
            for number in found:
                of = told.setdefault(number.digits, [])
                events = [f"E{len(of) + n:04d}" for n in range(10)]
                await tell(house, number, *events)
                of += events

        with a_receiver_process(watched, "--secret", secret, "--pause", "0.03", "--forgets"):
            await listen(house, app, watched.url)
            for _ in range(KILLS):
                await something_happens()
                got = len(watched.updates())
                process = start_served(data, clock, "--share", port=free_port(), **PRIVATE)
                try:
                    await watched.until(got + 1)
                    await something_happens()
                    await asyncio.sleep(chance.uniform(0, 0.08))
                finally:
                    process.kill()
                clock.step(LONGEST)
        killed_with = len(watched.updates())

        with a_receiver_process(watched, "--secret", secret):
            process = start_served(data, clock, "--share", port=free_port(), **PRIVATE)
            try:
                await settled(house, clock)
            finally:
                process.stop()
        states = {
            delivery.state
            for delivery in await house.store.deliveries(app.portfolio, None, 100_000)
        }

    arrived = by_number(watched.updates())
    assert killed_with
    assert states == {DeliveryState.DELIVERED}
    assert {number: list(dict.fromkeys(events)) for number, events in arrived.items()} == told


async def test_neither_a_dead_receiver_nor_one_that_hangs_slows_another(tmp_path: Path):
    """Each event is caused by the arrival of the one before: were they held up by the one
    that hangs for ten seconds a request, this would not end."""
    async with (
        a_receiver() as quick,
        a_receiver() as hanging,
        a_receiver() as dead,
        a_town(tmp_path / "data", private_receivers=True) as town,
    ):
        house = town.house
        (number,) = await some_numbers(house, 1)
        hanging.answers = lambda _: None
        for name, receiver in (("dead", dead), ("hanging", hanging), ("quick", quick)):
            app, receiver.secret = await an_app(house, receiver.url, name)
            await listen(house, app, receiver.url)
        await dead.stop()

        began = time.monotonic()
        async with asyncio.timeout(2 * _PATIENCE):
            for n in range(60):
                await tell(house, number, f"E{n}")
                while len(quick.updates) <= n:
                    await asyncio.sleep(0.002)
        seconds = time.monotonic() - began

        assert by_number(quick.updates) == {number.digits: [f"E{n}" for n in range(60)]}
        assert quick.forged == []
        rounds = 1 + seconds / HOOK_SECONDS
        assert len(hanging.requests) <= 2 + rounds, "the challenge, and one round after the other"
        await dead.start()
        async with asyncio.timeout(_PATIENCE):
            while len(set(by_number(dead.updates).get(number.digits, []))) < 60:
                town.pass_time(LONGEST)
                await asyncio.sleep(0.05)
        assert by_number(dead.updates) == by_number(quick.updates)
