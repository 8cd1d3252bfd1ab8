"""What a client says of its own connection."""

from nightlatch.ports import World


async def gateway_status(world: World, client_name: str) -> str:
    """``connected``, ``disconnected`` (another client took the number) or ``unregistered``."""
    held = await world.store.holds(client_name)
    if held is None:
        return "unregistered"
    return "connected" if held else "disconnected"
