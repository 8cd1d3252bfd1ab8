"""The ledgers of all numbers at the Cloud API, counted."""

from nightlatch.domain.ledger import Act
from nightlatch.usecases import census, vault
from tests.fakes.cloud import LOST_BUT_DONE
from tests.people import OWNER
from tests.usecases.test_upkeep import lose


async def test_without_linked_accounts_there_is_nothing_to_count(scene):
    found = await census.ledgers(scene.world)

    assert found == census.Ledgers(near=found.near, closed=found.closed)
    assert dict(found.near) == dict.fromkeys(Act, 0)


async def test_a_number_for_which_nothing_was_attempted_is_far_from_every_limit(at_cloud):
    at = at_cloud
    await at.known()

    found = await census.ledgers(at.world)

    assert found.linked >= 1
    assert sum(found.near.values()) == sum(found.closed.values()) == 0


async def test_numbers_near_a_limit_are_counted_by_act(at_cloud):
    at = at_cloud
    phone = await at.served()
    fresh = await census.ledgers(at.world)

    number = await at.number(phone)
    while number.ledger.left(Act.PIN, at.world.clock.now()) > 1:
        await vault.rotate(
            at.world, number, pin=f"{number.ledger.count(Act.PIN, at.world.clock.now()) + 271828}"
        )
        number = await at.number(phone)
    spent = await census.ledgers(at.world)

    assert (fresh.linked, fresh.near[Act.PIN]) == (spent.linked, 0)
    assert fresh.linked >= 1
    assert spent.near[Act.PIN] == 1
    assert spent.closed[Act.PIN] == 0


async def test_a_number_whose_outcome_is_unknown_is_counted(at_cloud):
    at = at_cloud
    phone = await at.served()
    before = await census.ledgers(at.world)

    await lose(at, phone, LOST_BUT_DONE, OWNER.new_pin)

    assert before.unknown == 0
    assert (await census.ledgers(at.world)).unknown == 1
