"""Where a number lives: here or at Meta; the old client cannot tell."""

import pytest

from nightlatch.domain.errors import (
    CertificateRefused,
    GuessWait,
    LinkedNumberHeld,
    NoCodePending,
    NoNumberHeld,
    PinNeeded,
    WrongPin,
)
from nightlatch.usecases import linked, links, networks, registration
from tests.fakes.cloud import CODE, TOKEN
from tests.people import E164, OWNER, THIEF
from tests.usecases.conftest import MOBILE, AtCloud, wrong

OTHER_WABA = "202290129340398"


async def here(at: AtCloud, user=None, pin=None):
    """The number of this registry, which needs its certificate."""
    certificate = at.office.scene.certificate
    return await at.register(user or at.owner, pin, e164=E164, certificate=certificate)


async def test_a_number_of_this_registry_stays_here_whatever_is_linked(at_cloud):
    at = at_cloud

    await here(at)
    await at.enter(at.owner, await at.office.scene.code())
    await at.turn_on(OWNER.pin)

    assert (await at.office.scene.number()).two_step.is_on
    assert at.writes() == 0
    assert await networks.gateway_status(at.world, OWNER.client) == "connected"
    await at.turn_off()
    assert not (await at.office.scene.number()).two_step.is_on


async def test_a_number_that_both_have_is_left_to_this_registry(at_cloud):
    at = at_cloud
    at.cloud.add_verified(E164)

    found = await at.read()
    await here(at)

    assert (found.added, found.skipped) == (0, (E164,))
    assert await at.world.store.linked_by_e164(E164) is None


async def test_an_account_that_is_not_open_to_the_client_refuses_its_numbers(at_cloud):
    at = at_cloud
    at.cloud.add_verified(MOBILE)
    await at.read()
    await links.change_link(at.world, await at.link(), clients=(OWNER.client,))

    with pytest.raises(CertificateRefused):
        await at.register(at.thief)

    assert at.writes() == 0


async def test_a_client_that_the_account_was_closed_to_meanwhile_enters_no_code(at_cloud):
    at = at_cloud
    at.cloud.add(MOBILE)
    await at.read()
    await at.register(at.thief)
    await links.change_link(at.world, await at.link(), clients=(OWNER.client,))

    with pytest.raises(NoCodePending):
        await at.enter(at.thief, CODE)

    assert at.cloud.count("enter_code") == 0


async def test_a_number_that_nobody_knows_is_refused_here_when_several_accounts_are_open(at_cloud):
    at = at_cloud
    at.cloud.accounts[OTHER_WABA] = "Flower shop"
    await links.link(
        at.world, at.portfolio, OTHER_WABA, TOKEN, clients=(OWNER.client, THIEF.client)
    )

    with pytest.raises(CertificateRefused):
        await at.register(at.owner, certificate=at.office.scene.certificate)

    assert at.cloud.phones == {}


async def test_of_several_accounts_the_one_that_is_open_to_the_client_gets_a_new_number(at_cloud):
    at = at_cloud
    at.cloud.accounts[OTHER_WABA] = "Flower shop"
    await links.link(at.world, at.portfolio, OTHER_WABA, TOKEN, clients=(THIEF.client,))
    await links.change_link(at.world, await at.link(), clients=(OWNER.client,))

    await at.register(at.thief, certificate=at.office.scene.certificate)

    (phone,) = at.cloud.phones.values()
    assert (phone.waba, (await at.number(phone)).waba) == (OTHER_WABA, OTHER_WABA)


async def test_the_same_number_is_found_in_whichever_account_has_it(at_cloud):
    at = at_cloud
    phone = at.cloud.add_verified(MOBILE, waba=OTHER_WABA)
    other = await links.link(at.world, at.portfolio, OTHER_WABA, TOKEN, clients=(THIEF.client,))
    await links.read_numbers(at.world, other, lambda _: None)

    await at.register(at.thief, THIEF.wrong_pin)

    assert phone.registered
    assert at.cloud.calls[-1].waba == OTHER_WABA


async def test_a_client_that_serves_a_number_at_meta_registers_none_of_this_registry(at_cloud):
    at = at_cloud
    phone = await at.served()

    with pytest.raises(LinkedNumberHeld):
        await here(at)
    await linked.release(at.world, await at.number(phone))
    await here(at)

    assert (await at.office.scene.number()).pending is not None


async def test_a_code_of_this_registry_comes_too_late_once_the_client_serves_a_number_at_meta(
    at_cloud,
):
    at = at_cloud
    await here(at)
    code = await at.office.scene.code()
    phone = await at.served()

    with pytest.raises(LinkedNumberHeld):
        await at.enter(at.owner, code)

    assert (await at.number(phone)).holder == OWNER.client
    assert (await at.office.scene.number()).holder is None


async def test_a_code_belongs_to_the_registration_that_was_begun_last(at_cloud):
    at = at_cloud
    at.cloud.add(MOBILE)
    await at.read()
    await at.register(at.owner, OWNER.pin)
    at.pass_time(60)
    await here(at)

    await at.enter(at.owner, await at.office.scene.code())
    assert at.cloud.count("enter_code") == 0
    at.pass_time(60)
    await at.register(at.owner, OWNER.pin)
    await at.enter(at.owner, CODE)

    assert (await at.office.scene.number()).holder is None
    assert at.cloud.count("enter_code") == 1


async def test_without_any_code_there_is_none_to_enter(at_cloud):
    with pytest.raises(NoCodePending):
        await at_cloud.enter(at_cloud.owner, wrong("000000"))


async def test_clients_take_a_number_from_each_other_with_its_pin(at_cloud):
    at = at_cloud
    phone = await at.served()

    with pytest.raises(WrongPin):
        await at.register(at.thief, THIEF.wrong_pin)
    await at.register(at.thief, OWNER.pin)

    assert (await at.number(phone)).holder == THIEF.client
    assert await networks.gateway_status(at.world, OWNER.client) == "unregistered"
    with pytest.raises(NoNumberHeld):
        await at.turn_on(OWNER.new_pin)
    with pytest.raises(NoNumberHeld):
        await at.turn_off()
    await at.agrees(phone)


async def test_a_client_that_registers_another_number_lets_go_of_the_one_before(at_cloud):
    at = at_cloud
    first = await at.served()
    second = await at.served(e164="+16505550101")

    assert (await at.number(first)).holder is None
    assert (await at.number(second)).holder == OWNER.client
    assert (await at.kinds(first))[-1] == "cloud.released"


async def test_a_number_at_meta_takes_the_place_of_one_of_this_registry(at_cloud):
    at = at_cloud
    await at.office.scene.owner_has_registered()

    await at.served()

    assert (await at.office.scene.number()).holder is None
    assert await networks.gateway_status(at.world, OWNER.client) == "connected"


async def test_a_number_that_meta_let_go_of_is_shown_as_disconnected(at_cloud):
    at = at_cloud
    phone = await at.served()
    phone.registered = False

    await linked.refresh(at.world, await at.number(phone))

    assert await networks.gateway_status(at.world, OWNER.client) == "disconnected"


async def test_shards_are_kept_and_mean_nothing_at_meta_but_need_the_pin(at_cloud):
    at = at_cloud
    phone = await at.served()
    writes = at.writes()

    async def shards(e164: str = MOBILE, pin: str | None = OWNER.pin) -> None:
        await networks.set_shards(at.world, at.owner, e164, 4, None, pin)

    await shards()
    assert await registration.shards(at.world, at.owner) == 4
    with pytest.raises(NoNumberHeld):
        await shards(E164)
    with pytest.raises(PinNeeded):
        await shards(pin=None)
    for _ in range(5):
        with pytest.raises(WrongPin):
            await shards(pin=THIEF.wrong_pin)
    with pytest.raises(GuessWait):
        await shards()
    assert at.writes() == writes
    phone.pin = None
    await linked.refresh(at.world, await at.number(phone))
    await shards(pin=None)


async def test_shards_of_a_number_of_this_registry_are_its_own(at_cloud):
    at = at_cloud
    await at.office.scene.owner_has_registered()

    await networks.set_shards(at.world, at.owner, E164, 2, None, None)

    assert await registration.shards(at.world, at.owner) == 2


async def test_the_whole_first_day_on_a_number_at_meta(at_cloud):
    at = at_cloud
    phone = at.cloud.add(MOBILE)
    await at.read()

    await at.register(at.owner)
    await at.enter(at.owner, CODE)
    await at.turn_on(OWNER.pin)
    for _ in range(2):
        with pytest.raises(WrongPin):
            await at.register(at.thief, THIEF.wrong_pin)
    with pytest.raises(PinNeeded):
        await at.register(at.thief)
    assert await at.register(at.owner, OWNER.pin) is None
    await at.turn_off()
    await at.turn_on(OWNER.new_pin)

    assert phone.pin == OWNER.new_pin
    assert at.cloud.count("register") == 1
    await at.upkeep()
    await at.agrees(phone)
