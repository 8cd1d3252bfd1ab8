"""Registering: the order of the checks, codes, take-over, shards."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from nightlatch.domain import certificates
from nightlatch.domain.codes import Method
from nightlatch.domain.errors import (
    CertificateRefused,
    ClientUnknown,
    CodesSpent,
    CodeWait,
    NoCodePending,
    NoNumberHeld,
    PinNeeded,
    RegistrationOutdated,
    RegistrationWait,
    WrongCode,
    WrongPin,
)
from nightlatch.domain.numbers import Status
from nightlatch.usecases import clients, codes, numbers, registration, two_step
from tests.fakes.chances import KnownCodes
from tests.fakes.hashers import WatchedHasher
from tests.fakes.stores import StoreWith
from tests.people import CC, E164, NAME, OWNER, THIEF
from tests.usecases.conftest import Scene, wrong

OTHER = "+16315551001"


async def another_number(scene: Scene) -> str:
    """A second number in the registry; its certificate."""
    waba = await scene.house.store.first_waba()
    assert waba is not None
    await numbers.add_number(scene.world, waba, OTHER, CC, "Second Shrub")
    return numbers.certificate(scene.world, await numbers.find_number(scene.world, OTHER))


# The story


async def test_the_owner_registers_with_certificate_and_code(scene: Scene):
    sent = await scene.register(scene.owner)
    await scene.enter(scene.owner, await scene.code())

    number = await scene.number()
    assert sent == registration.CodeSent(NAME)
    assert (number.holder, number.status) == (OWNER.client, Status.CONNECTED)
    assert await scene.kinds() == [
        "number.added", "registration.accepted", "code.sent", "number.registered",
    ]  # fmt: skip


async def test_the_owner_registers_again_without_a_code(scene: Scene):
    await scene.owner_is_protected()

    assert await scene.register(scene.owner, OWNER.pin) is None

    number = await scene.number()
    assert number.pending is None
    assert len(number.registrations.used) == 2
    assert len(number.codes.sent) == 1


async def test_the_outbox_is_nudged_only_when_a_code_is_on_its_way(scene: Scene):
    nudges: list[int] = []
    world = scene.other_world(nudge=lambda: nudges.append(1))

    await scene.register(scene.owner, world=world)
    await scene.enter(scene.owner, await scene.code())
    after_the_code = len(nudges)
    await scene.register(scene.owner, world=world)

    assert (after_the_code, len(nudges)) == (1, 1)


async def test_who_has_code_certificate_and_pin_takes_the_number_over(scene: Scene):
    await scene.owner_is_protected()

    await scene.register(scene.thief, OWNER.pin)
    await scene.enter(scene.thief, await scene.code())

    assert (await scene.number()).holder == THIEF.client
    assert (await scene.kinds())[-2:] == ["number.registered", "number.taken_over"]
    with pytest.raises(NoNumberHeld):
        await two_step.turn_off(scene.world, scene.owner)


async def test_a_registration_that_is_only_pending_takes_nothing_from_the_holder(scene: Scene):
    await scene.owner_has_registered()

    await scene.register(scene.thief)

    assert (await scene.number()).holder == OWNER.client
    await two_step.turn_on(scene.world, scene.owner, OWNER.pin)


async def test_a_client_that_registers_another_number_lets_go_of_the_first(scene: Scene):
    await scene.owner_has_registered()
    certificate = await another_number(scene)

    await scene.register(scene.owner, e164=OTHER, certificate=certificate)
    held_meanwhile = (await registration.held_number(scene.world, OWNER.client)).e164
    await registration.enter_code(scene.world, scene.owner, await code_of(scene, OTHER))

    assert held_meanwhile == E164
    assert (await registration.held_number(scene.world, OWNER.client)).e164 == OTHER
    assert (await scene.number()).holder is None
    assert (await scene.kinds())[-1] == "number.released"


async def code_of(scene: Scene, e164: str) -> str:
    await codes.deliver(scene.world, scene.house.sender)
    return (await codes.handset(scene.world, e164))[0].code


async def test_the_thief_cannot_finish_what_the_owner_began(scene: Scene):
    await scene.register(scene.owner)
    code = await scene.code()

    with pytest.raises(NoCodePending):
        await scene.enter(scene.thief, code)

    await scene.enter(scene.owner, code)
    assert (await scene.number()).holder == OWNER.client


async def test_only_the_newest_registration_can_be_finished(scene: Scene):
    await scene.register(scene.owner)
    old = await scene.code()
    await scene.register(scene.thief)

    with pytest.raises(NoCodePending):
        await scene.enter(scene.owner, old)


async def test_the_code_of_the_first_request_is_wrong_for_the_second(scene: Scene):
    await scene.register(scene.owner)
    old = await scene.code()
    chance = KnownCodes([wrong(old)])
    await scene.register(scene.owner, world=scene.other_world(chance=chance))

    with pytest.raises(WrongCode):
        await scene.enter(scene.owner, old)

    await scene.enter(scene.owner, wrong(old))


async def test_the_same_digits_in_a_new_registration_have_another_hash(scene: Scene):
    chance = KnownCodes(["123456", "123456"])
    world = scene.other_world(chance=chance)
    await scene.register(scene.owner, world=world)
    first = (await scene.number()).pending
    await scene.register(scene.owner, world=world)
    second = (await scene.number()).pending

    assert first is not None
    assert second is not None
    assert first.code_hash != second.code_hash


# The order of the checks


def foreign(scene: Scene) -> str:
    """A certificate for the town's number that another registry signed."""
    number = certificates.read(scene.certificate).certificate
    signed = certificates.to_sign(number)
    return certificates.to_text(signed, bytes(64))


def changed(text: str, at: int) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[at] ^= 1
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize("pin", [None, OWNER.pin, THIEF.wrong_pin])
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda _: "", id="none"),
        pytest.param(lambda _: "not a certificate", id="garbage"),
        pytest.param(foreign, id="signed by another registry"),
        pytest.param(lambda scene: changed(scene.certificate, 10), id="changed"),
        pytest.param(lambda scene: scene.certificate[:-4], id="cut short"),
    ],
)
async def test_without_the_certificate_nobody_is_told_anything_and_nothing_is_counted(
    scene: Scene, spoil: Callable[[Scene], str], pin: str | None
):
    await scene.owner_is_protected()
    before = (await scene.number(), await scene.kinds(), scene.house.pool.computed)

    with pytest.raises(CertificateRefused):
        await scene.register(scene.thief, pin, certificate=spoil(scene))

    assert (await scene.number(), await scene.kinds(), scene.house.pool.computed) == before


async def test_no_changed_byte_of_a_real_certificate_passes(scene: Scene):
    length = len(base64.b64decode(scene.certificate))

    for at in range(length):
        with pytest.raises(CertificateRefused):
            await registration.certified_number(scene.world, E164, changed(scene.certificate, at))

    assert await registration.certified_number(scene.world, E164, scene.certificate)


async def test_a_certificate_is_good_for_its_own_number_only(scene: Scene):
    certificate = await another_number(scene)

    with pytest.raises(CertificateRefused):
        await scene.register(scene.owner, certificate=certificate)
    with pytest.raises(CertificateRefused):
        await scene.register(scene.owner, e164=OTHER)
    with pytest.raises(CertificateRefused):
        await scene.register(scene.owner, e164="+16315559999")


async def test_a_certificate_with_a_serial_that_is_no_longer_good_is_refused(scene: Scene):
    number = await scene.number()
    old = certificates.to_sign(replace(number.certificate, serial="revoked"))

    with pytest.raises(CertificateRefused):
        await scene.register(
            scene.owner, certificate=certificates.to_text(old, scene.world.keys.sign(old))
        )


async def spend_registrations(scene: Scene, count: int = 10) -> None:
    for _ in range(count - len((await scene.number()).registrations.used)):
        assert await scene.register(scene.owner, OWNER.pin) is None


@pytest.mark.parametrize("pin", [None, OWNER.pin, THIEF.wrong_pin])
async def test_once_the_budget_is_spent_no_pin_is_asked_for_or_compared(scene: Scene, pin):
    await scene.owner_is_protected()
    await spend_registrations(scene)
    before = (await scene.number(), scene.house.pool.computed)

    with pytest.raises(RegistrationWait) as refused:
        await scene.register(scene.thief, pin)

    assert refused.value.retry_after is not None
    assert 259_000 < refused.value.retry_after <= 259_200
    assert (await scene.number(), scene.house.pool.computed) == before


async def test_the_certificate_is_looked_at_before_the_budget(scene: Scene):
    await scene.owner_is_protected()
    await spend_registrations(scene)

    with pytest.raises(CertificateRefused):
        await scene.register(scene.thief, certificate="not a certificate")


async def test_after_72_hours_the_budget_is_whole_again(scene: Scene):
    await scene.owner_is_protected()
    await spend_registrations(scene)

    scene.pass_time(72 * 3_600)
    await spend_registrations(scene, count=20)

    with pytest.raises(RegistrationWait):
        await scene.register(scene.owner, OWNER.pin)


async def test_a_missing_or_wrong_pin_costs_no_code_and_no_registration(scene: Scene):
    await scene.owner_is_protected()
    before = await scene.number()

    with pytest.raises(PinNeeded):
        await scene.register(scene.thief)
    with pytest.raises(WrongPin):
        await scene.register(scene.thief, THIEF.wrong_pin)

    number = await scene.number()
    assert number.codes == before.codes
    assert number.registrations == before.registrations
    assert number.pending is None


async def test_a_pin_where_none_is_set_goes_the_same_way_as_without_one(scene: Scene):
    assert await scene.register(scene.owner, OWNER.pin) is not None

    await scene.enter(scene.owner, await scene.code())
    assert (await scene.number()).guesses.ticket == 0


async def test_the_right_pin_without_codes_left_is_refused_and_costs_no_registration(
    scene: Scene,
):
    for _ in range(5):
        await scene.register(scene.owner)
    await scene.enter(scene.owner, await scene.code())
    await two_step.turn_on(scene.world, scene.owner, OWNER.pin)

    with pytest.raises(CodesSpent) as refused:
        await scene.register(scene.thief, OWNER.pin)

    number = await scene.number()
    assert refused.value.retry_after is not None
    assert 86_000 < refused.value.retry_after <= 86_400
    assert (number.guesses.run, number.guesses.paid) == (0, ())
    assert len(number.registrations.used) == 5


# What happens meanwhile


def meanwhile(scene: Scene, do: Callable[[], Awaitable[Any]]) -> Any:
    """A world in which *do* happens while a PIN is being compared."""

    async def hook() -> None:
        await do()

    return scene.other_world(hasher=WatchedHasher(scene.world.hasher, before_compare=hook))


async def test_a_pin_changed_while_it_is_compared_makes_the_registration_start_again(
    scene: Scene,
):
    await scene.owner_is_protected()
    world = meanwhile(scene, lambda: two_step.turn_on(scene.world, scene.owner, OWNER.new_pin))

    with pytest.raises(RegistrationOutdated):
        await scene.register(scene.thief, OWNER.pin, world=world)

    assert (await scene.number()).pending is None


async def test_a_pin_set_while_an_unneeded_one_is_hashed_makes_the_registration_start_again(
    scene: Scene,
):
    await scene.owner_has_registered()
    world = meanwhile(scene, lambda: two_step.turn_on(scene.world, scene.owner, OWNER.pin))

    with pytest.raises(RegistrationOutdated):
        await scene.register(scene.thief, THIEF.wrong_pin, world=world)


async def test_a_code_lives_ten_minutes_from_when_it_was_drawn_however_long_the_hash_took(
    scene: Scene,
):
    await scene.owner_is_protected()

    async def slow() -> None:
        scene.pass_time(120)

    world = meanwhile(scene, slow)
    await scene.register(scene.thief, OWNER.pin, world=world)
    (sent,) = await scene.world.store.lease(
        scene.world.clock.now(), scene.world.clock.now() + timedelta(minutes=1), 10
    )

    pending = (await scene.number()).pending
    assert pending is not None
    assert sent.message.expires_at == pending.sent_at + timedelta(minutes=10)


@pytest.mark.parametrize("change", ["set", "changed", "turned off"])
async def test_a_pin_set_changed_or_turned_off_voids_the_thiefs_pending_registration(
    scene: Scene, change
):
    await scene.owner_has_registered()
    if change != "set":
        await two_step.turn_on(scene.world, scene.owner, OWNER.pin)
    await scene.register(scene.thief, None if change == "set" else OWNER.pin)
    code = await scene.code()

    if change == "turned off":
        await two_step.turn_off(scene.world, scene.owner)
    else:
        await two_step.turn_on(scene.world, scene.owner, OWNER.new_pin)

    with pytest.raises(RegistrationOutdated):
        await scene.enter(scene.thief, code)
    with pytest.raises(NoCodePending):
        await scene.enter(scene.thief, code)
    assert (await scene.number()).holder == OWNER.client


async def test_the_same_pin_set_again_voids_nothing(scene: Scene):
    await scene.owner_is_protected()
    await scene.register(scene.thief, OWNER.pin)

    await two_step.turn_on(scene.world, scene.owner, OWNER.pin)
    await scene.enter(scene.thief, await scene.code())

    assert (await scene.number()).holder == THIEF.client


# Codes


async def test_without_a_pending_registration_there_is_no_code_to_check(scene: Scene):
    with pytest.raises(NoCodePending):
        await scene.enter(scene.owner, "123456")


async def test_a_registration_replaced_between_reading_and_checking_is_not_finished(
    scene: Scene,
):
    await scene.register(scene.owner)
    code = await scene.code()
    old = await scene.number()
    await scene.register(scene.thief)

    async def stale(client: str) -> Any:
        return old

    world = scene.other_world(store=StoreWith(scene.world.store, number_pending_for=stale))
    with pytest.raises(NoCodePending):
        await scene.enter(scene.owner, code, world=world)


async def test_the_checks_of_one_code_and_their_waits(scene: Scene):
    await scene.register(scene.owner)
    code = await scene.code()

    for _ in range(3):
        with pytest.raises(WrongCode):
            await scene.enter(scene.owner, wrong(code))
    with pytest.raises(CodeWait) as third:
        await scene.enter(scene.owner, code)
    scene.pass_time(60)
    with pytest.raises(WrongCode):
        await scene.enter(scene.owner, wrong(code))
    with pytest.raises(CodeWait) as fourth:
        await scene.enter(scene.owner, code)
    scene.pass_time(120)
    with pytest.raises(WrongCode):
        await scene.enter(scene.owner, wrong(code))
    with pytest.raises(NoCodePending):
        await scene.enter(scene.owner, code)

    assert (third.value.retry_after, fourth.value.retry_after) == (60, 120)
    assert (await scene.number()).holder is None


async def test_a_code_is_good_for_ten_minutes(scene: Scene):
    await scene.register(scene.owner)
    code = await scene.code()

    scene.pass_time(600)

    with pytest.raises(NoCodePending):
        await scene.enter(scene.owner, code)


async def test_a_code_works_once_and_after_success_every_code_is_refused(scene: Scene):
    await scene.register(scene.owner)
    code = await scene.code()
    await scene.enter(scene.owner, code)

    for again in (code, wrong(code)):
        with pytest.raises(NoCodePending):
            await scene.enter(scene.owner, again)


async def test_of_sixty_parallel_wrong_codes_three_are_compared_before_the_first_wait(
    scene: Scene,
):
    await scene.register(scene.owner)
    code = await scene.code()

    ends = await asyncio.gather(
        *(scene.enter(scene.owner, wrong(code)) for _ in range(60)), return_exceptions=True
    )

    kinds = [type(end) for end in ends]
    assert kinds.count(WrongCode) == 3
    assert kinds.count(CodeWait) == 57


# Shards


async def test_shards_are_set_by_the_client_that_holds_the_number(scene: Scene):
    await scene.owner_has_registered()
    before = await registration.shards(scene.world, scene.owner)

    await registration.set_shards(scene.world, scene.owner, E164, 4, scene.certificate, None)

    assert (before, await registration.shards(scene.world, scene.owner)) == (1, 4)
    trail = [link async for link in scene.world.store.audit(f"client:{OWNER.client}")]
    assert trail[-1].event.kind.value == "shards.set"
    assert trail[-1].event.details == (("shards", 4),)


async def test_shards_of_a_protected_number_need_the_pin(scene: Scene):
    await scene.owner_is_protected()

    with pytest.raises(PinNeeded):
        await registration.set_shards(scene.world, scene.owner, E164, 4, None, None)
    with pytest.raises(WrongPin):
        await registration.set_shards(scene.world, scene.owner, E164, 4, None, THIEF.wrong_pin)
    after_refusals = await registration.shards(scene.world, scene.owner)
    await registration.set_shards(scene.world, scene.owner, E164, 4, None, OWNER.pin)

    assert after_refusals == 1
    assert await registration.shards(scene.world, scene.owner) == 4
    assert (await scene.number()).guesses.run == 0


async def test_shards_of_a_number_that_somebody_else_holds_cost_no_guess(scene: Scene):
    await scene.owner_is_protected()

    with pytest.raises(NoNumberHeld):
        await registration.set_shards(scene.world, scene.thief, E164, 4, None, THIEF.wrong_pin)
    with pytest.raises(NoNumberHeld):
        await registration.set_shards(scene.world, scene.owner, OTHER, 4, None, OWNER.pin)

    assert (await scene.number()).guesses.ticket == 0


async def test_shards_with_a_bad_certificate_cost_no_guess(scene: Scene):
    await scene.owner_is_protected()

    with pytest.raises(CertificateRefused):
        await registration.set_shards(
            scene.world, scene.owner, E164, 4, "not a certificate", OWNER.pin
        )

    assert (await scene.number()).guesses.ticket == 0


async def test_who_lost_the_number_sets_no_shards(scene: Scene):
    await scene.owner_has_registered()
    await scene.register(scene.thief)
    await scene.enter(scene.thief, await scene.code())

    with pytest.raises(NoNumberHeld):
        await registration.set_shards(scene.world, scene.owner, E164, 4, None, None)


async def test_a_client_that_does_not_exist_has_no_shards_and_holds_nothing(scene: Scene):
    nobody = replace(scene.owner, client="nobody")

    with pytest.raises(ClientUnknown):
        await registration.shards(scene.world, nobody)
    with pytest.raises(NoNumberHeld):
        await registration.held_number(scene.world, "nobody")


@pytest.mark.parametrize("method", list(Method))
async def test_the_code_travels_as_asked_for(scene: Scene, method):
    await scene.register(scene.owner, method=method)
    await codes.deliver(scene.world, scene.house.sender)

    (received,) = await codes.handset(scene.world, E164)
    assert received.method == method.value


async def test_fifty_numbers_register_at_once_and_none_waits_for_another(scene: Scene):
    waba = await scene.house.store.first_waba()
    assert waba is not None
    people = []
    for n in range(50):
        e164 = f"+1631555{2000 + n}"
        await numbers.add_number(scene.world, waba, e164, CC, f"Shrub {n}")
        await clients.add_client(scene.world, f"c{n}")
        user = await scene.world.store.user(f"c{n}", "admin")
        assert user is not None
        people.append(
            (
                user,
                e164,
                numbers.certificate(scene.world, await numbers.find_number(scene.world, e164)),
            )
        )

    await asyncio.gather(
        *(scene.register(user, e164=e164, certificate=cert) for user, e164, cert in people)
    )
    for user, e164, _ in people:
        await scene.enter(user, await code_of(scene, e164))
        await two_step.turn_on(scene.world, user, OWNER.pin)
    ends = []
    for start in range(0, 50, 25):  # no more than the pool has places
        ends += await asyncio.gather(
            *(
                scene.register(user, OWNER.pin, e164=e164, certificate=cert)
                for user, e164, cert in people[start : start + 25]
            )
        )

    assert ends == [None] * 50
