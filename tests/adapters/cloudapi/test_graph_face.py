"""The Cloud API's client against Nightlatch's own Graph face over real sockets; and the same of the
fake that stands for Meta in the tests of use cases, so that both tell the same story."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count

import pytest

from nightlatch.adapters.cloudapi import LateCloudApi
from nightlatch.adapters.cloudapi.answers import CERTAIN, DOUBTFUL
from nightlatch.adapters.cloudapi.graph import GraphCloudApi
from nightlatch.adapters.system import SteppedClock
from nightlatch.domain.linked import MetaRefusal, Reason
from nightlatch.domain.links import MANAGES, MESSAGES
from nightlatch.faces.graph.fields import names_of
from nightlatch.faces.graph.wire import Kind
from nightlatch.ports import CloudAccess, CloudApi, CloudNoAnswer, CloudRefusal
from nightlatch.testing import Handset, Registry, running
from tests.fakes import cloud as fake
from tests.people import NAME, OWNER, THIEF

HOURS = timedelta(hours=1)


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with running() as found:
        yield found


@dataclass
class Meta:
    """Something that speaks for Meta, and how to speak to it."""

    cloud: CloudApi
    access: CloudAccess
    registry: Registry | None
    nationals: Iterator[int]

    async def add(self) -> str:
        """A number of its own for the test, nothing done with it yet."""
        return await self.cloud.add_number(
            self.access, "1", str(6315552000 + next(self.nationals)), NAME
        )

    async def add_registered(self) -> str:
        id = await self.add()
        await self.cloud.ask_code(self.access, id, "SMS", "en_US")
        await self.cloud.enter_code(self.access, id, await self.code(id))
        await self.cloud.register(self.access, id, OWNER.pin)
        return id

    async def code(self, id: str) -> str:
        if self.registry is None:
            return fake.CODE
        return await asyncio.to_thread(Handset(self.registry.controls, id).code)


NATIONALS = count()


@pytest.fixture(params=["face", "fake"])
async def meta(request: pytest.FixtureRequest) -> AsyncIterator[Meta]:
    if request.param == "fake":
        access = CloudAccess(fake.WABA, "", "", fake.TOKEN)
        yield Meta(fake.FakeCloud(SteppedClock()), access, None, NATIONALS)
        return
    async with face(request.getfixturevalue("registry")) as found:
        yield found


@asynccontextmanager
async def face(registry: Registry) -> AsyncIterator[Meta]:
    """The client, and the registry that it speaks to."""
    cloud = LateCloudApi("1.2.3", 30)
    access = CloudAccess(
        registry.waba, registry.graph_origin, "v23.0", registry.token, registry.app_secret
    )
    try:
        yield Meta(cloud, access, registry, NATIONALS)
    finally:
        await cloud.close()


async def refusal(call: object) -> MetaRefusal:
    with pytest.raises(CloudRefusal) as refused:
        await call  # type: ignore[misc]  # any call of the port
    return refused.value.answer


# The same of both


async def test_a_number_is_added_verified_registered_and_let_go(meta: Meta):
    cloud, access = meta.cloud, meta.access
    id = await meta.add()
    new = (await cloud.number(access, id)).facts
    assert (new.name, new.pin_on, new.code_state, new.registered) == (
        NAME, False, "NOT_VERIFIED", False,
    )  # fmt: skip
    assert (await refusal(cloud.register(access, id, OWNER.pin))).reason is Reason.CODE_NEEDED
    assert (await refusal(cloud.set_pin(access, id, OWNER.pin))).reason is Reason.NOT_REGISTERED
    assert (await refusal(cloud.enter_code(access, id, "000000"))).reason is Reason.CODE_WRONG

    await cloud.ask_code(access, id, "SMS", "en_US")
    code = await meta.code(id)
    wrong = "000000" if code != "000000" else "000001"
    assert (await refusal(cloud.enter_code(access, id, wrong))).reason is Reason.CODE_WRONG
    await cloud.enter_code(access, id, code)
    verified = (await cloud.number(access, id)).facts
    assert (verified.verified, verified.registered, verified.platform) == (
        True, False, "NOT_APPLICABLE",
    )  # fmt: skip
    again = await refusal(cloud.ask_code(access, id, "SMS", "en_US"))
    assert again.reason is Reason.CODE_UNSENT

    await cloud.register(access, id, OWNER.pin)
    registered = (await cloud.number(access, id)).facts
    assert (registered.registered, registered.pin_on, registered.platform, registered.status) == (
        True, True, "CLOUD_API", "CONNECTED",
    )  # fmt: skip
    wrong_pin = await refusal(cloud.register(access, id, THIEF.wrong_pin))
    assert (wrong_pin.reason, wrong_pin.code) == (Reason.WRONG_PIN, 133005)
    await cloud.set_pin(access, id, OWNER.new_pin)

    await cloud.deregister(access, id)
    gone = (await cloud.number(access, id)).facts
    assert (gone.registered, gone.pin_on) == (False, True)
    assert (await refusal(cloud.deregister(access, id))).reason is Reason.NOT_REGISTERED
    old_pin = await refusal(cloud.register(access, id, OWNER.pin))
    assert old_pin.reason is Reason.WRONG_PIN
    await cloud.register(access, id, OWNER.new_pin)
    assert (await cloud.number(access, id)).facts.registered


async def test_all_numbers_of_an_account_are_listed_page_by_page(meta: Meta):
    added = [await meta.add() for _ in range(3)]

    found: list[str] = []
    after = ""
    for _ in range(200):
        page = await meta.cloud.numbers(meta.access, after, 2)
        found += [number.id for number in page.numbers]
        after = page.next
        if not after:
            break

    assert not after
    assert len(found) == len(set(found))
    assert set(added) <= set(found)
    whole = await meta.cloud.numbers(meta.access, "", 100)
    assert [number.id for number in whole.numbers] == found
    assert all(number.shown and number.facts.name for number in whole.numbers)


async def test_what_a_token_is_good_for_is_known(meta: Meta):
    facts = await meta.cloud.token(meta.access)

    assert facts.valid
    assert {MANAGES, MESSAGES} <= facts.scopes
    assert (facts.kind, facts.expires_at, facts.accounts) == ("SYSTEM_USER", None, None)
    assert await meta.cloud.account_name(meta.access)


async def test_a_token_that_meta_does_not_know_is_refused_everywhere(meta: Meta):
    id = await meta.add_registered()
    revoked = replace(meta.access, token="EAANLrevoked", secret=None)

    for call in (
        meta.cloud.token(revoked),
        meta.cloud.account_name(revoked),
        meta.cloud.numbers(revoked, "", 10),
        meta.cloud.number(revoked, id),
        meta.cloud.register(revoked, id, OWNER.pin),
        meta.cloud.set_pin(revoked, id, OWNER.pin),
        meta.cloud.subscribe(revoked),
    ):
        assert (await refusal(call)).reason is Reason.TOKEN


async def test_what_is_not_there_is_gone(meta: Meta):
    assert (await refusal(meta.cloud.number(meta.access, "99999999"))).reason is Reason.GONE
    elsewhere = replace(meta.access, waba="99999999")
    assert (await refusal(meta.cloud.account_name(elsewhere))).reason is Reason.GONE
    setting = meta.cloud.set_pin(meta.access, "99999999", OWNER.pin)
    assert (await refusal(setting)).reason is Reason.GONE


async def test_an_account_is_subscribed(meta: Meta):
    app = (await meta.cloud.token(meta.access)).app

    await meta.cloud.subscribe(meta.access)

    assert await meta.cloud.is_subscribed(meta.access, app)
    assert await meta.cloud.is_subscribed(meta.access, "")
    assert not await meta.cloud.is_subscribed(meta.access, "99999999")


async def test_a_number_that_the_account_has_is_not_added_again(meta: Meta):
    await meta.add()
    meta.nationals = iter([next(meta.nationals) - 1])

    assert (await refusal(meta.add())).reason is Reason.OTHER


async def test_after_ten_registrations_there_are_no_more_for_72_hours(meta: Meta):
    id = await meta.add_registered()
    for _ in range(9):
        await meta.cloud.register(meta.access, id, OWNER.pin)

    spent = await refusal(meta.cloud.register(meta.access, id, OWNER.pin))

    assert (spent.reason, spent.code) == (Reason.SPENT, 133016)
    assert spent.wait is not None
    assert 71 * HOURS < spent.wait <= 72 * HOURS


# The face alone


def test_the_face_shows_every_field_that_is_asked_for():
    assert {*CERTAIN, *DOUBTFUL} <= set(names_of(Kind.NUMBER.value))


async def test_the_registrys_health_is_read(registry: Registry):
    async with face(registry) as meta:
        found = await meta.cloud.number(meta.access, await meta.add())

    assert [one.entity for one in found.facts.health] == ["PHONE_NUMBER", "WABA", "BUSINESS", "APP"]
    assert found.facts.health[0].can_send == "BLOCKED"
    assert found.facts.health[0].errors[0].code == 141000
    assert found.facts.quality == "UNKNOWN"


async def test_wrong_pins_are_slowed_down_and_the_answer_says_for_how_long(registry: Registry):
    async with face(registry) as meta:
        id = await meta.add_registered()
        for _ in range(5):
            wrong = await refusal(meta.cloud.register(meta.access, id, THIEF.wrong_pin))
            assert wrong.reason is Reason.WRONG_PIN

        waits = await refusal(meta.cloud.register(meta.access, id, OWNER.pin))

    assert waits.reason in (Reason.TOO_FAST, Reason.TOO_MANY)
    assert waits.wait is not None
    assert timedelta(0) < waits.wait <= timedelta(minutes=1)


async def test_a_proof_with_another_secret_is_refused(registry: Registry):
    async with face(registry) as meta:
        wrong = replace(meta.access, secret="another secret")

        assert (await refusal(meta.cloud.account_name(wrong))).reason is Reason.PERMISSION


@pytest.mark.parametrize(
    ("fault", "reason"), [("133000", Reason.INCOMPLETE), ("131031", Reason.LOCKED)]
)
async def test_what_the_sandbox_refuses_is_refused(fault: str, reason: Reason, registry: Registry):
    async with face(registry) as meta:
        id = await meta.add_registered()
        await asyncio.to_thread(registry.faults.add, fault, number=id)

        refused = await refusal(meta.cloud.register(meta.access, id, OWNER.pin))

        assert (refused.reason, refused.code) == (reason, int(fault))
        await meta.cloud.register(meta.access, id, OWNER.pin)


@pytest.mark.parametrize(("fault", "done"), [("lost_answer", True), ("133004", False)])
async def test_what_the_sandbox_does_not_answer_is_unknown_until_it_is_read(
    fault: str, done: bool, registry: Registry
):
    async with face(registry) as meta:
        id = await meta.add_registered()
        await asyncio.to_thread(registry.faults.add, fault, number=id, edge="deregister")

        with pytest.raises(CloudNoAnswer):
            await meta.cloud.deregister(meta.access, id)

        assert (await meta.cloud.number(meta.access, id)).facts.registered is not done
        assert not await asyncio.to_thread(registry.faults.waiting)


async def test_a_slow_answer_is_not_waited_for_and_the_call_is_not_repeated(registry: Registry):
    async with face(registry) as meta:
        id = await meta.add_registered()
        await asyncio.to_thread(registry.faults.add, "slow", number=id, edge="", seconds=0.8)
        hasty = GraphCloudApi("1.2.3", 0.25)

        with pytest.raises(CloudNoAnswer):
            await hasty.set_pin(meta.access, id, OWNER.new_pin)

        await hasty.close()
        assert not await asyncio.to_thread(registry.faults.waiting)
