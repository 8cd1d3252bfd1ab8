"""The registry's numbers: added, found, certified, unlocked."""

import pytest

from nightlatch.domain import certificates
from nightlatch.domain.errors import (
    CertificateNotReady,
    CertificateRefused,
    NameWait,
    NoNameAsked,
    NoNumberHeld,
    NumberExists,
    NumberUnknown,
    ParameterInvalid,
    RoleTooLow,
    WabaUnknown,
    WrongPin,
)
from nightlatch.domain.members import MemberRole
from nightlatch.domain.numbers import NameState, Status
from nightlatch.usecases import numbers
from nightlatch.usecases.health import gateway_status
from tests.people import CC, E164, NAME, OWNER, THIEF
from tests.usecases.conftest import PLACE, Office, Scene, outcomes

OTHER = "+16315551001"


async def waba(scene: Scene) -> str:
    found = await scene.house.store.first_waba()
    assert found is not None
    return found


async def test_an_added_number_is_pending_and_told(scene: Scene):
    added = await numbers.add_number(scene.world, await waba(scene), OTHER, CC, "Second Shrub")

    found = await numbers.find_number(scene.world, OTHER)
    assert found == added
    assert (found.status, found.national, len(found.id)) == (Status.PENDING, "6315551001", 15)
    trail = [link.event async for link in scene.world.store.audit(f"number:{added.id}")]
    assert [(event.kind.value, event.by) for event in trail] == [("number.added", "operator")]


async def test_a_number_is_there_once(scene: Scene):
    with pytest.raises(NumberExists):
        await numbers.add_number(scene.world, await waba(scene), E164, CC, "Unlucky Shrub")

    assert (await scene.number()).name == NAME


@pytest.mark.parametrize(("e164", "name"), [("16315551001", NAME), (OTHER, ""), (OTHER, "a\nb")])
async def test_a_number_or_name_that_does_not_fit_is_not_added(scene: Scene, e164, name):
    with pytest.raises(ParameterInvalid):
        await numbers.add_number(scene.world, await waba(scene), e164, CC, name)

    with pytest.raises(NumberUnknown):
        await numbers.find_number(scene.world, e164)


async def test_an_unknown_number_has_no_certificate_and_no_lock_to_end(scene: Scene):
    with pytest.raises(NumberUnknown):
        numbers.certificate(scene.world, await numbers.find_number(scene.world, OTHER))
    with pytest.raises(NumberUnknown):
        await numbers.unlock(scene.world, await numbers.find_number(scene.world, OTHER))


async def test_a_certificate_is_signed_with_the_registrys_key(scene: Scene):
    shown = certificates.read(scene.certificate)

    assert scene.world.keys.signed(shown.signed, shown.signature)
    assert not scene.world.keys.signed(shown.signed + b" ", shown.signature)
    assert shown.certificate == (await scene.number()).certificate


async def test_the_certificate_is_the_same_whenever_it_is_asked_for(scene: Scene):
    assert (
        numbers.certificate(scene.world, await numbers.find_number(scene.world, E164))
        == scene.certificate
    )


async def test_an_unlock_ends_the_wait_and_is_told(scene: Scene):
    await scene.owner_is_protected()
    for _ in range(5):
        with pytest.raises(WrongPin):
            await scene.register(scene.thief, THIEF.wrong_pin)

    await numbers.unlock(scene.world, await numbers.find_number(scene.world, E164))

    assert (await scene.kinds())[-1] == "number.unlocked"
    assert await scene.register(scene.owner, OWNER.pin) is None


# Display names and certificates


async def test_a_name_that_is_approved_at_once_revokes_the_certificate_before(scene: Scene):
    renamed = await numbers.ask_name(scene.world, await scene.number(), "Lucky Bush")

    with pytest.raises(CertificateRefused):
        await scene.register(scene.owner)
    scene.certificate = numbers.certificate(scene.world, renamed)
    sent = await scene.register(scene.owner)
    assert sent is not None
    assert sent.vname == "Lucky Bush"


async def test_where_names_are_reviewed_a_number_waits_for_its_first_certificate(scene: Scene):
    world = scene.other_world(review_names=True)

    added = await numbers.add_number(world, await waba(scene), OTHER, CC, "Second Shrub")
    with pytest.raises(CertificateNotReady):
        numbers.certificate(world, added)
    with pytest.raises(CertificateNotReady):
        await numbers.renew_certificate(world, added)
    approved = await numbers.approve_name(world, added, "operator")

    assert (added.name, approved.name) == ("", "Second Shrub")
    assert approved.serial != added.serial
    assert numbers.certificate(world, approved)


async def test_a_declined_name_leaves_the_certificate_good(scene: Scene):
    world = scene.other_world(review_names=True)
    asked = await numbers.ask_name(world, await scene.number(), "WhatsApp Support")

    declined = await numbers.decline_name(world, asked)

    assert (declined.name, declined.name_state) == (NAME, NameState.DECLINED)
    await scene.register(scene.owner)
    assert (await scene.kinds())[1:3] == ["name.asked", "name.declined"]


async def test_nothing_is_approved_or_declined_that_nobody_asked_for(scene: Scene):
    number = await scene.number()

    with pytest.raises(NoNameAsked):
        await numbers.approve_name(scene.world, number)
    with pytest.raises(NoNameAsked):
        await numbers.decline_name(scene.world, number)


async def test_a_number_that_was_registered_keeps_a_new_name_for_thirty_days(scene: Scene):
    await scene.owner_has_registered()
    renamed = await numbers.ask_name(scene.world, await scene.number(), "Lucky Bush")

    with pytest.raises(NameWait):
        await numbers.ask_name(scene.world, renamed, "Lucky Tree")
    scene.pass_time(30 * 86_400)
    await numbers.ask_name(scene.world, renamed, "Lucky Tree")

    assert (await scene.number()).name == "Lucky Tree"


async def test_another_certificate_revokes_the_one_before(scene: Scene):
    renewed = await numbers.renew_certificate(scene.world, await scene.number())

    with pytest.raises(CertificateRefused):
        await scene.register(scene.thief)
    assert numbers.certificate(scene.world, renewed) != scene.certificate
    assert (await scene.kinds())[-1] == "certificate.renewed"


# Letting go


async def test_a_deregistered_number_is_free_and_still_protected(scene: Scene):
    await scene.owner_is_protected()

    await numbers.deregister(scene.world, await scene.number())

    number = await scene.number()
    assert (number.holder, number.two_step.is_on) == (None, True)
    assert await gateway_status(scene.world, OWNER.client) == "disconnected"
    with pytest.raises(WrongPin):
        await scene.register(scene.thief, THIEF.wrong_pin)
    with pytest.raises(NoNumberHeld):
        await numbers.deregister(scene.world, number)


async def test_of_parallel_deregistrations_one_counts(scene: Scene):
    await scene.owner_has_registered()
    number = await scene.number()

    ends = await outcomes(*(numbers.deregister(scene.world, number) for _ in range(20)))

    assert ends == {"done": 1, "NoNumberHeld": 19}
    assert len((await scene.number()).deregistrations.used) == 1


# By members


async def test_a_member_adds_a_number_to_an_account_of_their_portfolio(office: Office):
    account = await waba(office.scene)
    anna = await office.add("anna", MemberRole.ADMIN)

    added = await numbers.add_by_member(office.world, anna, account, OTHER, CC, "Second Shrub")

    trail = [link.event async for link in office.world.store.audit(f"number:{added.id}")]
    assert [(event.by, event.place) for event in trail] == [(anna.email, PLACE)]


async def test_who_may_not_adds_no_number(office: Office):
    account = await waba(office.scene)
    vera = await office.add("vera", MemberRole.VIEWER)

    for member, refusal in ((vera, RoleTooLow), (office.neighbour, WabaUnknown)):
        with pytest.raises(refusal):
            await numbers.add_by_member(office.world, member, account, OTHER, CC, "Shrub")

    assert await office.world.store.number_by_e164(OTHER) is None


async def test_a_viewer_sees_a_number_and_the_thief_next_door_does_not(office: Office):
    number = await office.number()
    vera = await office.add("vera", MemberRole.VIEWER)

    seen = await numbers.seen_by(office.world, vera, number.id)
    with pytest.raises(RoleTooLow):
        await numbers.seen_by(office.world, vera, number.id, MemberRole.ADMIN)

    assert seen == number
    for role in MemberRole:
        with pytest.raises(NumberUnknown):
            await numbers.seen_by(office.world, office.neighbour, number.id, role)


@pytest.mark.parametrize("id_", ["", "x", "9" * 30, "0" * 15, "٣" * 15, "-1", "1e14"])
async def test_what_is_no_id_is_seen_by_nobody(office: Office, id_):
    with pytest.raises(NumberUnknown):
        await numbers.seen_by(office.world, await office.owner(), id_)
