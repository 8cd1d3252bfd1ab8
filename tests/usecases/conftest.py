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
from nightlatch.domain.ledger import Act
from nightlatch.domain.limits import LEDGER_WINDOW
from nightlatch.domain.linked import LinkedDecision, LinkedNumber
from nightlatch.domain.links import CloudLink
from nightlatch.domain.mail import Letter
from nightlatch.domain.members import Member, MemberRole
from nightlatch.domain.numbers import Number
from nightlatch.ports import World
from nightlatch.usecases import (
    bridge,
    clients,
    codes,
    links,
    mail,
    members,
    networks,
    numbers,
    portfolios,
    registration,
    signing_in,
    two_step,
    upkeep,
)
from nightlatch.usecases.signing_in import SignedIn
from tests.fakes.cloud import TOKEN, WABA, AtMeta, FakeCloud
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


MOBILE = "+16505550100"
"""The owner's number that lives at Meta."""
APP_SECRET = "00112233445566778899aabbccddeeff"
WRITES = {"register", "set_pin", "ask_code", "enter_code", "deregister", "add_number"}
_BLINK = 61


@dataclass
class AtCloud:
    """The owner's account is linked; both clients may register its numbers."""

    office: Office
    world: World
    cloud: FakeCloud

    @property
    def portfolio(self) -> str:
        return self.office.portfolio

    @property
    def owner(self) -> User:
        return self.office.scene.owner

    @property
    def thief(self) -> User:
        return self.office.scene.thief

    def pass_time(self, seconds: float) -> None:
        self.office.scene.pass_time(seconds)

    def other_world(self, **ports: Any) -> World:
        return replace(self.world, **ports)

    async def link(self, waba: str = WABA) -> CloudLink:
        return await links.find_link(self.world, waba)

    async def read(self, waba: str = WABA) -> links.Found:
        return await links.read_numbers(self.world, await self.link(waba), lambda _: None)

    async def number(self, phone: AtMeta) -> LinkedNumber:
        """As stored."""
        found = await self.world.store.linked(phone.id)
        assert found is not None
        return found

    async def known(self, pin: str | None = OWNER.pin, e164: str = MOBILE) -> AtMeta:
        """A registered number, taken in, whose PIN is in the vault."""
        phone = self.cloud.add_registered(e164, pin)
        await self.read()
        if pin is not None:
            number = await self.number(phone)
            kept = bridge.keep(self.world, number, pin)
            await self.world.update_linked(
                number.id, lambda n: replace_vault(n, kept, self.world.clock.now())
            )
        return phone

    async def served(self, pin: str | None = OWNER.pin, e164: str = MOBILE) -> AtMeta:
        """A number that the owner's client registered."""
        phone = self.cloud.add_verified(e164)
        await self.read()
        await self.register(self.owner, pin, e164=e164)
        return phone

    async def register(
        self, user: User, pin: str | None = None, *, e164: str = MOBILE, **changes: Any
    ) -> Any:
        given = {"cc": "1", "method": Method.SMS, "certificate": "none", "pin": pin}
        return await networks.request_code(self.world, user, e164, **(given | changes))

    async def enter(self, user: User, code: str) -> None:
        await networks.enter_code(self.world, user, code)

    async def turn_on(self, pin: str, user: User | None = None) -> None:
        await networks.turn_on(self.world, user or self.owner, pin)

    async def turn_off(self, user: User | None = None, **ports: Any) -> None:
        await networks.turn_off(self.other_world(**ports), user or self.owner)

    async def upkeep(self, rounds: int = 3) -> None:
        """Time goes by, and what is due is looked after."""
        for _ in range(rounds):
            self.pass_time(_BLINK)
            for _ in range(4):
                if not await upkeep.look_after(self.world):
                    break

    def writes(self) -> int:
        """How many calls that change something were made, sent or not."""
        return sum(call.method in WRITES for call in self.cloud.calls)

    async def pins(self, phone: AtMeta) -> tuple[str | None, list[str]]:
        """The vault's PIN, and those that Meta may have."""
        number = await self.number(phone)
        vault = number.vault
        current = None
        if vault.current is not None:
            current = bridge.unsealed(self.world, number, vault.current.sealed)
        return current, [bridge.unsealed(self.world, number, p.sealed) for p in vault.maybe]

    async def agrees(self, phone: AtMeta) -> None:
        """Ledger, vault and Meta tell the same story, and nothing is left unknown."""
        number, now = await self.number(phone), self.world.clock.now()
        current, maybe = await self.pins(phone)
        assert number.under_way is None
        assert phone.pin is None or phone.pin in (current, *maybe)
        if number.vault.is_good:
            assert current == phone.pin
        assert number.facts.registered is phone.registered
        assert number.facts.pin_on is (phone.pin is not None)
        for act, times in ((Act.REGISTER, phone.registers), (Act.DEREGISTER, phone.deregisters)):
            recent = sum(at > now - LEDGER_WINDOW for at in times)
            assert recent <= number.ledger.count(act, now) <= act.limit - 1

    async def kinds(self, phone: AtMeta) -> list[str]:
        """What the number's trail tells, in order."""
        trail = self.world.store.audit(f"linked:{phone.id}")
        return [link.event.kind.value async for link in trail]

    async def letters(self, letter: Letter | None = None) -> list[str]:
        return await self.office.letters(letter)


def replace_vault(number: LinkedNumber, kept: Any, now: Any) -> Any:
    """The vault knows that PIN, and Meta has shown that one is on."""
    vault = replace(number.vault.keep(kept).settle(kept.key), confirmed_at=now)
    return LinkedDecision(replace(number, vault=vault))


@pytest.fixture
async def at_cloud(office: Office) -> AtCloud:
    """The owner's account at Meta is linked; its numbers are open to both clients."""
    cloud = FakeCloud(office.world.clock)
    world = office.other_world(cloud=cloud)
    await links.link(
        world, office.portfolio, WABA, TOKEN, secret=APP_SECRET,
        clients=(OWNER.client, THIEF.client),
    )  # fmt: skip
    return AtCloud(office, world, cloud)
