"""Two-step verification of the number a client holds: on, another PIN, off."""

from nightlatch.domain import two_step
from nightlatch.domain.clients import User
from nightlatch.domain.errors import ParameterInvalid
from nightlatch.domain.numbers import Decision, Number
from nightlatch.ports import World, bound_to
from nightlatch.usecases.registration import held_number


async def turn_on(world: World, user: User, pin: str) -> None:
    """Turn two-step verification on, or set another PIN; the admin need not know the old one.

    The same PIN again changes nothing and tells nobody. The caller has
    checked that *user* is an admin.

    Raises:
        NoNumberHeld: the client holds no number.
        ParameterInvalid: the PIN is weak, where weak PINs are refused.
        Overloaded, Unavailable: nothing changed.
    """
    if world.refuse_weak_pins and two_step.is_weak(pin):
        raise ParameterInvalid("pin", "six digits that are not a date or a pattern")
    number = await held_number(world, user.client)
    unchanged_since = None
    async with world.hasher.place() as place:
        current = number.two_step
        if current.is_on and await place.matches(current.verifier, pin, bound_to("pin", number.id)):
            unchanged_since = current.version
        verifier = await place.make(pin, bound_to("pin", number.id))
    now = world.clock.now()

    def change(n: Number) -> Decision:
        n.refuse_others(user.client)
        return two_step.turn_on(n, pin, verifier, unchanged_since, user.full_name, now)

    await world.store.update(number.id, change)


async def turn_off(world: World, user: User) -> None:
    """Turn two-step verification off; off already is fine. The caller has checked the role.

    Raises:
        NoNumberHeld: the client holds no number.
    """
    number = await held_number(world, user.client)
    now = world.clock.now()

    def change(n: Number) -> Decision:
        n.refuse_others(user.client)
        return two_step.turn_off(n, user.full_name, now)

    await world.store.update(number.id, change)
