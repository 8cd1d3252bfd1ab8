"""Owner and thief before a store of their own; nothing between them and the use cases."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from nightlatch.adapters.system import SteppedClock
from nightlatch.bootstrap import House
from nightlatch.domain.clients import User
from nightlatch.domain.codes import Method
from nightlatch.domain.mail import Letter
from nightlatch.domain.members import Member, MemberRole
from nightlatch.domain.numbers import Number
from nightlatch.ports import World
from nightlatch.usecases import (
    clients,
    codes,
    mail,
    members,
    numbers,
    portfolios,
    registration,
    signing_in,
    two_step,
)
from nightlatch.usecases.signing_in import SignedIn
from tests.fakes.letters import BareLetters
from tests.fakes.post import PostOffice
from tests.fakes.sign_in import FewCommonPasswords, PlainCodes
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
    return Scene(
        house,
        clock,
        world,
        owner,
        thief,
        numbers.certificate(world, await numbers.find_number(world, E164)),
    )


def wrong(code: str) -> str:
    """A code that is not *code*."""
    return f"{(int(code) + 1) % 1_000_000:06d}"


AGENT = "Firefox"
PLACE = "192.0.2.7"
"""Where the people of the Manager sit."""
COMMON = "correct horse battery"
"""A password that is long enough and common."""


@dataclass
class Office:
    """The Manager before its pages: the owner is a member, the thief one of another portfolio."""

    scene: Scene
    world: World
    portfolio: str
    """Id of the owner's."""
    begun: SignedIn
    """The owner's first session."""
    neighbour: Member
    """The thief, next door."""
    post: PostOffice = field(default_factory=PostOffice)
    codes: PlainCodes = field(default_factory=PlainCodes)

    def other_world(self, **ports: Any) -> World:
        return replace(self.world, **ports)

    async def owner(self) -> Member:
        """As stored now."""
        found = await self.world.store.member_by_email(OWNER.email)
        assert found is not None
        return found

    async def deliver(self) -> None:
        await mail.deliver(self.world, self.post)

    async def letters(self, letter: Letter | None = None) -> list[str]:
        """Who got letters, or those of one kind, in the order of their posting."""
        await self.deliver()
        found = [posted for posted, _ in self.post.taken if letter in (None, posted.letter)]
        return [posted.address for posted in sorted(found, key=lambda p: p.posted_at)]

    async def link(self, address: str, letter: Letter) -> str:
        """The token of the newest letter of this kind to *address*."""
        await self.deliver()
        token = self.post.to(address, letter)[-1][1].link
        assert token is not None
        return token

    async def sign_in(
        self, email: str = OWNER.email, password: str = OWNER.password, **ports: Any
    ) -> SignedIn:
        return await signing_in.sign_in(self.other_world(**ports), email, password, AGENT)

    async def add(self, name: str, role: MemberRole, portfolio: str | None = None) -> Member:
        """One more member, by the command line; the password is the owner's."""
        return await members.add_member(
            self.world, portfolio or self.portfolio, f"{name}@luckyshrub.example", name, role,
            OWNER.password,
        )  # fmt: skip

    async def turn_app_on(self) -> list[str]:
        """The owner gets an authenticator app; returns the recovery codes."""
        member = await self.owner()
        new = members.begin_app(self.world, member)
        code = self.codes.code_at(self.world.clock.now())
        return await members.turn_app_on(
            self.world, member, self.begun.session, new.sealed, code, OWNER.password
        )

    async def next_code(self) -> str:
        """The app's code, once the one before has gone by."""
        self.scene.pass_time(60)
        return self.codes.code_at(self.world.clock.now())

    async def number(self) -> Number:
        return await self.scene.number()

    async def owner_is_protected(self) -> None:
        await self.scene.owner_is_protected()

    async def kinds(self) -> list[str]:
        """What the portfolio's own trail tells, in order."""
        trail = self.world.store.audit(f"portfolio:{self.portfolio}")
        return [link.event.kind.value async for link in trail]


async def outcome(call: Awaitable[Any]) -> str:
    """The name of what it raised, or ``done``."""
    try:
        await call
    except Exception as refusal:
        return type(refusal).__name__
    return "done"


async def outcomes(*calls: Awaitable[Any]) -> Counter[str]:
    """How often what came of calls made at the same moment."""
    return Counter(await asyncio.gather(*(outcome(call) for call in calls)))


@pytest.fixture
async def office(scene: Scene) -> Office:
    """The owner joined by the first link; the thief has a portfolio of their own."""
    world = scene.other_world(
        letters=BareLetters(), one_time_codes=PlainCodes(), passwords=FewCommonPasswords(COMMON)
    ).seen_from(PLACE)
    token = await members.first_owner_link(world)
    assert token is not None
    (first,) = await world.store.portfolios()
    named = ("Lucky Shrub Inc.", "post@luckyshrub.example")
    begun = await members.join(world, token, OWNER.email, OWNER.name, OWNER.password, AGENT, named)
    other = await portfolios.add_portfolio(world, "Elsewhere", "post@elsewhere.example")
    neighbour = await members.add_member(
        world, other.id, THIEF.email, THIEF.name, MemberRole.OWNER, THIEF.password
    )
    office = Office(scene, world, first.id, begun, neighbour)
    await office.deliver()
    office.post.taken.clear()
    return office
