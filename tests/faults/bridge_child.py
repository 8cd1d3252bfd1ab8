"""A bridge without its socket, to be killed: children of a prepared process, one after the other.

``python -m tests.faults.bridge_child`` reads one job a line from standard input and forks a child
for it, which opens the data folder and sets PINs, registers and deregisters until it is killed::

    {"data", "clock", "clients", "seed", "deed", "broken", "die"}

Written for each: ``driving`` with the child's id once it begins, ``gone`` once it is dead. *deed*
is one thing that each client does before the child falls silent, ``set`` or ``register``; without
it they do this and that with no end. *die* names a change of a linked number, ``before:2`` or
``after:1``, at which the child kills itself.
"""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import nightlatch.adapters.cloudapi.graph  # noqa: F401 - loaded once, for all children
from nightlatch.adapters.hashing import CHEAP
from nightlatch.bootstrap import open_house
from nightlatch.domain.clients import User
from nightlatch.domain.errors import Refusal
from nightlatch.ports import World
from nightlatch.settings import Settings
from nightlatch.usecases import bridge, networks, upkeep
from nightlatch.usecases.linked import find_linked
from tests.faults.served import house_clock

SECONDS = 5
"""What one call may take; longer than any that is answered."""


class Dying:
    """A store whose process is killed before or after the nth change of a linked number."""

    def __init__(self, store: Any, place: str) -> None:
        self._store = store
        self._when, _, nth = place.partition(":")
        self._left = int(nth)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def update_linked(self, *all: Any) -> Any:
        return await self._around(self._store.update_linked(*all))

    async def take_linked(self, *all: Any) -> Any:
        return await self._around(self._store.take_linked(*all))

    async def _around(self, change: Any) -> Any:
        self._left -= 1
        if self._left == 0 and self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = await change
        if self._left == 0 and self._when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return done


class TooLate:
    """A store that keeps a part of a linked number only once an attempt has its outcome: what is
    to be written before the call is written after it."""

    def __init__(self, store: Any, part: str) -> None:
        self._store, self._part = store, part
        self._ahead: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def update_linked(self, id: str, change: Any) -> Any:
        return await self._store.update_linked(id, self._late(id, change))

    async def take_linked(self, id: str, client: str, change: Any, *more: Any) -> Any:
        return await self._store.take_linked(id, client, self._late(id, change), *more)

    def _late(self, id: str, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def late(number: Any) -> Any:
            if number.under_way is not None and id in self._ahead:
                number = replace(number, **{self._part: self._ahead.pop(id)})
            decision = change(number)
            after = decision.number
            if number.under_way is None and after.under_way is not None:
                self._ahead[id] = getattr(after, self._part)
                kept = replace(after, **{self._part: getattr(number, self._part)})
                return replace(decision, number=kept)
            return decision

        return late


BROKEN = {"vault-after-call": "vault", "ledger-after-call": "ledger"}


async def _live(world: World, user: User, chance: random.Random) -> None:
    """One client with its number: sets PINs, and loses and registers the number now and then."""
    while True:
        held = await world.store.linked_of(user.client) is not None
        deed = chance.choices(("set", "register", "deregister"), (5, 3, 2))[0]
        with suppress(Refusal):
            await _do(world, user, deed if held else "register", chance)
        await asyncio.sleep(chance.uniform(0, 0.004))


async def _do(world: World, user: User, deed: str, chance: random.Random) -> None:
    if deed == "set":
        await networks.turn_on(world, user, f"{chance.randrange(10**6):06d}")
        return
    number = await find_linked(world, e164_of(user.client))
    if deed == "register":
        await bridge.register(world, number, None, user.client)
    else:
        await bridge.deregister(world, number)


def e164_of(client: str) -> str:
    """A client is named after its number."""
    return "+" + client.removeprefix("shop-")


async def _drive(job: dict[str, Any]) -> None:
    settings = Settings(data=Path(job["data"]), cloud_seconds=SECONDS)
    clock = house_clock(Path(job["clock"]))
    async with open_house(settings, clock=clock, cost=CHEAP) as house:
        world = house.world
        if job.get("broken"):
            world = replace(world, store=TooLate(house.store, BROKEN[job["broken"]]))
        if job.get("die"):
            world = replace(world, store=Dying(house.store, job["die"]))
        users = [await world.store.user(name, "admin") for name in job["clients"]]
        os.write(1, f"driving {os.getpid()}\n".encode())
        chance = random.Random(job["seed"])
        if job.get("deed"):
            await asyncio.gather(*(_do(world, u, job["deed"], chance) for u in users if u))
            await asyncio.Event().wait()
        lives = (_live(world, u, random.Random(chance.random())) for u in users if u)
        await asyncio.gather(_look_after(world), *lives)


async def _look_after(world: World) -> None:
    """As the bridge's worker does, and oftener."""
    while True:
        await upkeep.look_after(world)
        await asyncio.sleep(0.02)


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(_drive(json.loads(line)))
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        os.write(1, f"gone {os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    main()
