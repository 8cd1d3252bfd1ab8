"""What a client says of its own connection."""

from nightlatch.usecases.health import gateway_status
from tests.people import OWNER, THIEF
from tests.usecases.conftest import Scene


async def test_a_client_without_a_number_is_unregistered(scene: Scene):
    assert await gateway_status(scene.world, OWNER.client) == "unregistered"
    assert await gateway_status(scene.world, "nobody") == "unregistered"


async def test_a_client_that_lost_its_number_says_so(scene: Scene):
    await scene.owner_has_registered()
    before = await gateway_status(scene.world, OWNER.client)

    await scene.register(scene.thief)
    pending = await gateway_status(scene.world, THIEF.client)
    await scene.enter(scene.thief, await scene.code())

    assert (before, pending) == ("connected", "unregistered")
    assert await gateway_status(scene.world, OWNER.client) == "disconnected"
    assert await gateway_status(scene.world, THIEF.client) == "connected"
