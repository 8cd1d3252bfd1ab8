"""Comparing a PIN: the one place where that happens, whatever path it comes by."""

from nightlatch.domain import registration
from nightlatch.domain.errors import Unavailable, WrongPin
from nightlatch.domain.numbers import Number
from nightlatch.ports import World, bound_to


async def check_pin(
    world: World, number: Number, pin: str, by: str, path: str, *, registers: bool = False
) -> int:
    """Compare *pin* with the number's own; returns the version of the PIN it matched.

    With *registers* the guess also counts as one registration, right or wrong.

    A place for the hash is taken before anything is counted. The guess is paid
    for, durably, before it is compared, and the outcome is durable before
    anybody hears of it. A number without a PIN costs the same one hash and
    counts nothing.

    Raises:
        Overloaded: no place; nothing counted.
        GuessWait, NumberLocked, RegistrationWait: refused unread.
        WrongPin: compared, and did not match.
        RegistrationOutdated: two-step verification was turned off meanwhile.
        Unavailable: the verifier cannot be opened; the guess stays counted.
    """
    clock = world.clock
    async with world.hasher.place() as place:
        if not number.two_step.is_on:
            await place.matches(None, pin, bound_to("pin", number.id))
            return number.two_step.version
        now = clock.now()
        paid = await world.update(
            number.id,
            lambda n: registration.pay_guess(n, by, path, now, registers=registers),
        )
        ticket = paid.guesses.ticket
        try:
            right = await place.matches(paid.two_step.verifier, pin, bound_to("pin", number.id))
        except Unavailable:
            now = clock.now()
            await world.update(number.id, lambda n: registration.unreadable(n, ticket, by, now))
            raise
    settle = registration.settle_right if right else registration.settle_wrong
    now = clock.now()
    await world.update(number.id, lambda n: settle(n, ticket, by, path, now))
    if not right:
        raise WrongPin
    return paid.two_step.version
