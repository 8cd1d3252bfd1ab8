"""Owner and thief before a store of their own; nothing between them and the use cases."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from nightlatch.adapters.system import SteppedClock
from nightlatch.bootstrap import House
from nightlatch.domain.clients import User
from nightlatch.domain.codes import Method
from nightlatch.domain.numbers import Number
from nightlatch.ports import World
from nightlatch.usecases import clients, codes, numbers, registration, two_step
from tests.people import E164, OWNER, THIEF


@dataclass
class Scene:
    """The number with its two clients."""

    house: House
    clock: SteppedClock
    world: World
    owner: User
    thief: User
    certificate: str

    def pass_time(self, seconds: float) -> None:
        self.clock.step(timedelta(seconds=seconds))

    def other_world(self, **ports: Any) -> World:
        """The same world with some ports replaced."""
        return replace(self.world, **ports)

    async def register(
        self, user: User, pin: str | None = None, *, world: World | None = None, **changes: Any
    ) -> registration.CodeSent | None:
        given = {"e164": E164, "method": Method.SMS, "certificate": self.certificate, "pin": pin}
        return await registration.request_code(world or self.world, user, **(given | changes))

    async def code(self) -> str:
        """The newest code on the phone, delivered first: the thief has the SIM, too."""
        await codes.deliver(self.world, self.house.sender)
        return (await codes.handset(self.world, E164))[0].code

    async def enter(self, user: User, code: str, *, world: World | None = None) -> None:
        await registration.enter_code(world or self.world, user, code)

    async def owner_has_registered(self) -> None:
        await self.register(self.owner)
        await self.enter(self.owner, await self.code())

    async def owner_is_protected(self) -> None:
        await self.owner_has_registered()
        await two_step.turn_on(self.world, self.owner, OWNER.pin)

    async def number(self) -> Number:
        return await numbers.find_number(self.world, E164)

    async def kinds(self) -> list[str]:
        """What the number's trail tells, in order."""
        trail = self.world.store.audit(f"number:{(await self.number()).id}")
        return [link.event.kind.value async for link in trail]


@pytest.fixture
async def scene(house: House) -> Scene:
    """The town's number, not registered; owner and thief have a client and the certificate."""
    world = house.world
    await clients.add_client(world, THIEF.client)
    owner = await world.store.user(OWNER.client, "admin")
    thief = await world.store.user(THIEF.client, "admin")
    assert owner is not None
    assert thief is not None
    clock: Any = house.clock
    return Scene(house, clock, world, owner, thief, await numbers.certificate(world, E164))


def wrong(code: str) -> str:
    """A code that is not *code*."""
    return f"{(int(code) + 1) % 1_000_000:06d}"
