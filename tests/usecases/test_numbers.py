"""The registry's numbers: added, found, certified, unlocked."""

import pytest

from nightlatch.domain import certificates
from nightlatch.domain.errors import NumberExists, NumberUnknown, ParameterInvalid, WrongPin
from nightlatch.domain.numbers import Status
from nightlatch.usecases import numbers
from tests.people import CC, E164, NAME, OWNER, THIEF
from tests.usecases.conftest import Scene

OTHER = "+16315551001"


async def waba(scene: Scene) -> str:
    found = await scene.house.store.waba()
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
        await numbers.certificate(scene.world, OTHER)
    with pytest.raises(NumberUnknown):
        await numbers.unlock(scene.world, OTHER)


async def test_a_certificate_is_signed_with_the_registrys_key(scene: Scene):
    shown = certificates.read(scene.certificate)

    assert scene.world.keys.signed(shown.signed, shown.signature)
    assert not scene.world.keys.signed(shown.signed + b" ", shown.signature)
    assert shown.certificate == (await scene.number()).certificate


async def test_the_certificate_is_the_same_whenever_it_is_asked_for(scene: Scene):
    assert await numbers.certificate(scene.world, E164) == scene.certificate


async def test_an_unlock_ends_the_wait_and_is_told(scene: Scene):
    await scene.owner_is_protected()
    for _ in range(5):
        with pytest.raises(WrongPin):
            await scene.register(scene.thief, THIEF.wrong_pin)

    await numbers.unlock(scene.world, E164)

    assert (await scene.kinds())[-1] == "number.unlocked"
    assert await scene.register(scene.owner, OWNER.pin) is None
