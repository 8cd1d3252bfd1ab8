"""What a client says of its own connection."""

from nightlatch.ports import World


async def gateway_status(world: World, client_name: str) -> str:
    """``connected``, ``disconnected`` (another client took the number) or ``unregistered``."""
    client = await world.store.client(client_name)
    if client is None or client.number is None:
        return "unregistered"
    number = await world.store.number(client.number)
    held = number is not None and number.holder == client_name
    return "connected" if held else "disconnected"
