"""``kill -9`` of the bridge between vault, call and confirmation: Meta never has a PIN that the
vault has not, and never hears more tries than it allows."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nightlatch.adapters.hashing import CHEAP
from nightlatch.bootstrap import House, open_house, set_up
from nightlatch.domain.ledger import Act
from nightlatch.domain.limits import CLOUD_FRESH, CLOUD_SETTLED, LEDGER_WINDOW
from nightlatch.domain.linked import LinkedNumber
from nightlatch.settings import Settings
from nightlatch.usecases import bridge, clients, links, upkeep, vault
from nightlatch.usecases.linked import find_linked
from tests.faults.processes import ROOT, ClockFile, environment
from tests.faults.served import house_clock
from tests.people import OWNER
from tests.scripted_graph import WABA, Asked, ScriptedGraph, ScriptedNumber, a_scripted_graph

ROUNDS = int(os.environ.get("NIGHTLATCH_BRIDGE_KILLS", "15"))
SETTLED = CLOUD_SETTLED + timedelta(seconds=1)
HOUR = timedelta(hours=1, seconds=1)
ACTS = {"": Act.PIN, "register": Act.REGISTER, "deregister": Act.DEREGISTER}
"""What a call of a number with POST counts as."""
_PATIENCE = 30  # a hang, not a goal


@dataclass
class Nursery:
    """A prepared process that has one child at a time."""

    process: "subprocess.Popen[str]"
    child: int = 0

    async def begin(self, **job: Any) -> None:
        """Returns once the child is about to begin."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job, default=str) + "\n")
        self.process.stdin.flush()
        word, self.child = await self._line()
        assert word == "driving"

    async def dies(self, *, by_us: bool = True) -> None:
        """Killed with ``kill -9``, by us or by itself; returns once it is gone."""
        if by_us:
            os.kill(self.child, signal.SIGKILL)
        assert await self._line() == ("gone", -signal.SIGKILL)
        self.child = 0

    async def _line(self) -> tuple[str, int]:
        assert self.process.stdout is not None
        async with asyncio.timeout(_PATIENCE):
            line = await asyncio.to_thread(self.process.stdout.readline)
        word, number = line.split()
        return word, int(number)


@dataclass
class Street:
    """Shops with a number each at a scripted Graph, and the bridge that is to be killed."""

    data: Path
    clock: ClockFile
    graph: ScriptedGraph
    nursery: Nursery
    shops: list[str] = field(default_factory=list)
    cut_off: int = 0
    """Attempts whose outcome was unknown when the bridge came up again."""
    in_the_dark: int = 0
    """How often a PIN stayed unsure until somebody sets or proves one."""

    @property
    def numbers(self) -> list[ScriptedNumber]:
        return list(self.graph.numbers.values())

    @asynccontextmanager
    async def house(self) -> AsyncIterator[House]:
        settings = Settings(data=self.data, cloud_seconds=5)
        clock = house_clock(self.clock.path)
        async with open_house(settings, clock=clock, cost=CHEAP) as house:
            yield house

    async def begin(self, **job: Any) -> None:
        job = {"clients": self.shops, "seed": random.randrange(2**32), **job}
        await self.nursery.begin(data=self.data, clock=self.clock.path, **job)

    async def calls(self, count: int) -> None:
        """Returns when Meta got so many more; or after a while, when the bridge is silent."""
        enough, tries = len(self.graph.asked) + count, 0
        while len(self.graph.asked) < enough and tries < 100:
            await asyncio.sleep(0.002)
            tries += 1

    async def killed_at(self, place: str, **job: Any) -> Callable[[], Awaitable[None]]:
        """Let the one shop do one deed, and kill the bridge at *place*; what the result does
        happens at Meta afterwards."""
        if place not in ("asked", "done"):
            await self.begin(**job, die=place)
            await self.nursery.dies(by_us=False)
            return _nothing
        there, go_on = asyncio.Event(), asyncio.Event()

        async def hold(asked: Asked) -> None:
            self.graph.before = self.graph.after = None
            there.set()
            await go_on.wait()

        if place == "asked":
            self.graph.before = hold
        else:
            self.graph.after = hold
        await self.begin(**job)
        async with asyncio.timeout(_PATIENCE):
            await there.wait()
        await self.nursery.dies()

        async def still() -> None:
            go_on.set()
            await asyncio.sleep(0.01)

        return still

    async def look_after(self, house: House) -> None:
        """As the worker does after a restart, with enough time between."""
        for looks in range(100):
            done = await upkeep.look_after(house.world)
            if not done and all(one.due_at is None for one in await self._kept(house)):
                return
            self.clock.step(SETTLED if looks < 5 else HOUR)  # the ledger may want more patience

    async def odd(self) -> list[str]:
        """What may never be, once the bridge is up again: before anybody looks after it, and
        after."""
        async with self.house() as house:
            found = [*await self._not_in_vault(house), *self._too_many()]
            before = await self._kept(house)
            self.cut_off += sum(one.under_way is not None for one in before)
            self.clock.step(SETTLED)
            await self.look_after(house)
            self.clock.step(CLOUD_FRESH)
            await upkeep.refresh_links(house.world)
            found += [*await self._not_in_vault(house), *self._too_many()]
            for one, kept in zip(before, await self._kept(house), strict=True):
                found += await self._odd_state(house, kept)
                found += self._unsure(one, kept)
            return found

    async def _kept(self, house: House) -> list[LinkedNumber]:
        return [await find_linked(house.world, number.e164) for number in self.numbers]

    async def _not_in_vault(self, house: House) -> list[str]:
        found = []
        for number, kept in zip(self.numbers, await self._kept(house), strict=True):
            known = await _pins(house, kept)
            if number.pin is not None and number.pin not in known:
                found.append(f"the PIN of {number.e164} is not in the vault")
        return found

    def _too_many(self) -> list[str]:
        """More calls than Meta allows, in any LEDGER_WINDOW."""
        return [
            f"{most} calls of {act.value}" for act, most in self.most().items() if most > act.limit
        ]

    def most(self) -> dict[Act, int]:
        """How many calls of a kind one number got at most within LEDGER_WINDOW."""
        found = dict.fromkeys(ACTS.values(), 0)
        for number in self.numbers:
            for edge, act in ACTS.items():
                times = [one.at for one in self.graph.writes(number.id) if one.edge == edge]
                for at in times:
                    within = sum(at - LEDGER_WINDOW < one <= at for one in times)
                    found[act] = max(found[act], within)
        return found

    async def _odd_state(self, house: House, kept: LinkedNumber) -> list[str]:
        """Of a number that was looked after."""
        number = self.graph.numbers[kept.id]
        found = []
        if kept.under_way is not None:
            found.append(f"{kept.under_way.act.value} of {kept.e164} is still under way")
        if kept.vault.is_good and (await vault.reveal(house.world, kept)).pin != number.pin:
            found.append(f"the vault is sure of a wrong PIN of {kept.e164}")
        if kept.facts.registered is not number.registered:
            found.append(f"{kept.e164} is not as Meta shows it")
        return found

    def _unsure(self, before: LinkedNumber, kept: LinkedNumber) -> list[str]:
        """A vault that was sure stays so, and becomes so again when a new PIN was cut off: unless
        somebody else had a hand in it. Of a cut off registration Meta may keep it in the dark."""
        number, act = self.graph.numbers[kept.id], before.under_way and before.under_way.act
        was_sure = before.vault.is_good or act is Act.PIN
        if kept.vault.is_good or kept.vault.doubted or not number.registered:
            return []
        self.in_the_dark += 1
        return [f"the vault is no longer sure of {kept.e164}"] if was_sure else []


async def _nothing() -> None:
    """All that Meta got was done before."""


async def _pins(house: House, kept: LinkedNumber) -> set[str]:
    if kept.vault.current is None and not kept.vault.maybe:
        return set()
    shown = await vault.reveal(house.world, kept)
    return {*shown.maybe, *([] if shown.pin is None else [shown.pin])}


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.bridge_child"],
        cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        one = Nursery(process)
        yield one
        if one.child:
            os.kill(one.child, signal.SIGKILL)


@asynccontextmanager
async def a_street(folder: Path, nursery: Nursery, shops: int) -> AsyncIterator["Street"]:
    """A street with so many *shops*, none of them registered yet."""
    clock = ClockFile(folder / "clock")
    graph = ScriptedGraph(now=lambda: datetime.now(UTC) + timedelta(seconds=clock.seconds))
    async with a_scripted_graph(graph):
        yield await _found(Street(folder / "data", clock, graph, nursery), shops)


@pytest.fixture
async def street(tmp_path: Path, nursery: Nursery) -> AsyncIterator[Street]:
    async with a_street(tmp_path, nursery, 3) as found:
        yield found


@pytest.fixture
async def shop(tmp_path: Path, nursery: Nursery) -> AsyncIterator[Street]:
    """A street with one shop."""
    async with a_street(tmp_path, nursery, 1) as found:
        yield found


async def _found(street: Street, shops: int) -> Street:
    for n in range(shops):
        digits = f"1631555200{n}"
        street.graph.add(ScriptedNumber(id=f"1066{n}", e164=f"+{digits}"))
        street.shops.append(f"shop-{digits}")
    settings, clock = Settings(data=street.data), house_clock(street.clock.path)
    async with open_house(settings, create=True, clock=clock, cost=CHEAP) as house:
        await set_up(house)
        for shop in street.shops:
            await clients.add_client(house.world, shop)
            await clients.log_in(house.world, shop, "admin", "secret", OWNER.password)
        (portfolio,) = await house.store.portfolios()
        one = await links.link(
            house.world, portfolio.id, WABA, "EAAtoken", base=street.graph.base,
            clients=street.shops,
        )  # fmt: skip
        await links.read_numbers(house.world, one, lambda _: None)
    return street


async def _registered(street: Street) -> None:
    async with street.house() as house:
        for shop, number in zip(street.shops, street.numbers, strict=True):
            kept = await find_linked(house.world, number.e164)
            await bridge.register(house.world, kept, OWNER.pin, shop)


async def test_kill_9_at_random_moments_leaves_no_pin_at_meta_that_is_not_in_the_vault(
    street: Street,
):
    chance = random.Random()

    async def dawdle(_: Asked) -> None:
        await asyncio.sleep(chance.uniform(0, 0.005))

    street.graph.before = street.graph.after = dawdle
    for kill in range(ROUNDS):
        await street.begin()
        await street.calls(chance.randrange(12))
        await asyncio.sleep(chance.uniform(0, 0.01))
        await street.nursery.dies()
        if chance.random() < 0.2:  # somebody followed the mailed link
            chance.choice(street.numbers).pin = None
        odd = await street.odd()
        assert odd == [], f"after kill {kill + 1}"
        street.clock.step(timedelta(hours=chance.choice((1, 1, 2, 8, 24))))

    pins = sum(len(number.pins) for number in street.numbers)
    most = ", ".join(f"{count} {act.value}" for act, count in street.most().items())
    print(
        f"\n{ROUNDS} kills, {street.cut_off} attempts cut off, {pins} PINs at Meta, 0 of them lost;"
    )
    print(f"{street.in_the_dark} times a vault was unsure until the next PIN was set;")
    print(f"at most in 72 hours for one number: {most}")
    assert street.cut_off > 0
    assert pins > ROUNDS


@pytest.mark.parametrize(
    ("deed", "place", "late"),
    [
        pytest.param("set", "before:1", False, id="before the vault"),
        pytest.param("set", "after:1", False, id="between vault and call"),
        pytest.param("set", "asked", False, id="while Meta is asked"),
        pytest.param("set", "asked", True, id="long before Meta does it"),
        pytest.param("set", "done", False, id="when Meta has it"),
        pytest.param("set", "before:2", False, id="between answer and confirmation"),
        pytest.param("set", "after:2", False, id="after the confirmation"),
        pytest.param("register", "after:2", False, id="between vault and registration"),
        pytest.param("register", "asked", False, id="while Meta is asked to register"),
        pytest.param("register", "asked", True, id="long before Meta registers"),
        pytest.param("register", "done", False, id="when Meta has registered"),
        pytest.param("register", "before:3", False, id="between registration and confirmation"),
    ],
)
async def test_kill_9_at_each_step_leaves_the_vault_with_the_pin_that_meta_has(
    shop: Street, deed: str, place: str, late: bool
):
    if deed == "set":
        await _registered(shop)

    still = await shop.killed_at(place, deed=deed)
    odd = await shop.odd() if late else []
    await still()
    odd += await shop.odd()

    (number,), (name,) = shop.numbers, shop.shops
    assert odd == []
    async with shop.house() as house:
        kept = await find_linked(house.world, number.e164)
        if not kept.vault.is_good:  # a person tries what the vault has
            assert (deed, place) in (("register", "after:2"), ("register", "asked"))
            pin = (await vault.reveal(house.world, kept)).maybe[-1] if kept.facts.pin_on else None
            await bridge.register(house.world, kept, pin, name)
        shown = await vault.reveal(house.world, await find_linked(house.world, number.e164))
        assert (shown.pin, shown.maybe, shown.doubted) == (number.pin, (), False)


async def test_this_check_notices_a_vault_that_is_written_after_the_call(shop: Street):
    await _registered(shop)

    still = await shop.killed_at("done", deed="set", broken="vault-after-call")
    await still()

    assert "the PIN of +16315552000 is not in the vault" in await shop.odd()


async def test_this_check_notices_attempts_that_are_counted_after_the_call(shop: Street):
    await _registered(shop)

    for _ in range(Act.REGISTER.limit):
        still = await shop.killed_at("done", deed="register", broken="ledger-after-call")
        await still()
        shop.clock.step(SETTLED)

    assert f"{Act.REGISTER.limit + 1} calls of register" in await shop.odd()
