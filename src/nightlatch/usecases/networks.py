"""Where a number lives: in this registry, or at the Cloud API. No face asks."""

from nightlatch.domain.clients import User
from nightlatch.domain.codes import Method
from nightlatch.domain.errors import (
    CertificateRefused,
    LinkedNumberHeld,
    NoCodePending,
    NoNumberHeld,
    PinNeeded,
)
from nightlatch.domain.linked import LinkedNumber
from nightlatch.domain.links import CloudLink
from nightlatch.ports import World
from nightlatch.usecases import bridge, health, registration, two_step
from nightlatch.usecases.links import link_of
from nightlatch.usecases.registration import CodeSent


async def request_code(
    world: World, user: User, e164: str, cc: str, method: Method, certificate: str, pin: str | None
) -> CodeSent | None:
    """Begin to register *e164* with the user's client; None when nothing is left to do.

    A number that nobody knows is added to the one linked account that is open to the client.
    Of a number at the Cloud API the certificate is not looked at otherwise: Meta knows whose
    number it is, and which clients may register it is a setting of the link.

    Raises:
        CertificateRefused: the number lives at the Cloud API, and is not open to this client.
        LinkedNumberHeld: the client serves a number of the Cloud API, and this is another one.
    """
    number = await world.store.linked_by_e164(e164)
    if number is None:
        one = await _account_for(world, user.client, e164)
        if one is None:
            if await world.store.linked_of(user.client) is not None:
                raise LinkedNumberHeld
            return await registration.request_code(world, user, e164, method, certificate, pin)
        number = await bridge.add_number(world, one, e164, cc, certificate, user.full_name)
    elif not (await link_of(world, number)).open_to(user.client):
        raise CertificateRefused("the number lives at the Cloud API, and not for this client")
    return await bridge.request_code(world, user, number, method, pin)


async def _account_for(world: World, client: str, e164: str) -> CloudLink | None:
    """The linked account that a number nobody knows is added to; None for no or several."""
    if await world.store.number_by_e164(e164) is not None:
        return None
    open_ = [one for one in await world.store.links() if one.open_to(client)]
    return open_[0] if len(open_) == 1 else None


async def enter_code(world: World, user: User, code: str) -> None:
    """Finish the registration that a code was asked for last.

    Raises:
        NoCodePending: none was asked for, or the account is not open to the client any more.
        LinkedNumberHeld: for a number of this registry, while the client serves another.
    """
    here = await world.store.number_pending_for(user.client)
    there = await world.store.linked_waiting_for(user.client)
    pending = None if here is None else here.pending
    waiting = None if there is None else there.waiting
    if there is None or waiting is None or (pending is not None and pending.sent_at > waiting.at):
        if await world.store.linked_of(user.client) is not None:
            raise LinkedNumberHeld
        await registration.enter_code(world, user, code)
    elif not (await link_of(world, there)).open_to(user.client):
        raise NoCodePending
    else:
        await bridge.enter_code(world, user, there, code)


async def turn_on(world: World, user: User, pin: str) -> None:
    """Turn two-step verification on, or set another PIN. Raises NoNumberHeld."""
    number = await world.store.linked_of(user.client)
    if number is None:
        await two_step.turn_on(world, user, pin)
    else:
        await bridge.turn_on(world, user, number, pin)


async def turn_off(world: World, user: User) -> None:
    """Turn two-step verification off. Raises NoNumberHeld."""
    number = await world.store.linked_of(user.client)
    if number is None:
        await two_step.turn_off(world, user)
    else:
        await bridge.turn_off(world, user, number)


async def set_shards(
    world: World, user: User, e164: str, shards: int, certificate: str | None, pin: str | None
) -> None:
    """Set the shard count; for a number at the Cloud API it is kept and means nothing there.

    Raises:
        NoNumberHeld, PinNeeded, WrongPin, GuessWait, NumberLocked: as when registering.
    """
    number = await world.store.linked_of(user.client)
    if number is None:
        await registration.set_shards(world, user, e164, shards, certificate, pin)
        return
    if number.e164 != e164:
        raise NoNumberHeld
    if pin is None and number.needs_pin:
        raise PinNeeded
    if pin is not None:
        await bridge.compare_if_known(world, number, pin, user.full_name)
    await registration.keep_shards(world, user, shards)


async def gateway_status(world: World, client: str) -> str:
    """``connected``, ``disconnected`` or ``unregistered``."""
    number = await world.store.linked_of(client)
    if number is None:
        return await health.gateway_status(world, client)
    return "connected" if _is_connected(number) else "disconnected"


def _is_connected(number: LinkedNumber) -> bool:
    return number.facts.registered is not False
