"""The registry's numbers: add, find, certify, unlock."""

from nightlatch.domain import certificates, numbers
from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.errors import NumberUnknown
from nightlatch.domain.numbers import Number
from nightlatch.ports import World

_ID_DIGITS = 14


async def add_number(world: World, waba: str, e164: str, cc: str, name: str) -> Number:
    """A number with its display name; a local registry approves it at once.

    Raises:
        ParameterInvalid: the number or the name does not fit.
        NumberExists: the number is there already, however it was spelled.
    """
    now = world.clock.now()
    number = Number(
        id="1" + world.chance.digits(_ID_DIGITS),
        e164=numbers.read_e164(e164),
        cc=cc,
        waba=waba,
        name=numbers.read_name(name),
        serial=world.chance.token(12),
        created_at=now,
    )
    await world.store.add_number(number, (Event(Kind.NUMBER_ADDED, "operator", now),))
    return number


async def find_number(world: World, e164: str) -> Number:
    """Raises NumberUnknown."""
    number = await world.store.number_by_e164(e164)
    if number is None:
        raise NumberUnknown
    return number


async def certificate(world: World, e164: str) -> str:
    """The verified-name certificate, one line of base64. Raises NumberUnknown."""
    number = await find_number(world, e164)
    signed = certificates.to_sign(number.certificate)
    return certificates.to_text(signed, world.keys.sign(signed))


async def unlock(world: World, e164: str) -> Number:
    """End the lock or the wait after wrong PINs. Raises NumberUnknown."""
    number = await find_number(world, e164)
    now = world.clock.now()
    return await world.store.update(number.id, lambda n: numbers.unlock(n, "operator", now))
