"""Registering a number over the Cloud API: a code, then ``register`` with the PIN."""

from nightlatch.domain import cloud, two_step
from nightlatch.domain.codes import Method
from nightlatch.domain.errors import NoCodePending, ParameterInvalid
from nightlatch.domain.numbers import Decision, Number
from nightlatch.ports import World
from nightlatch.usecases.guesses import check_pin
from nightlatch.usecases.registration import draw_code, hash_code
from nightlatch.usecases.two_step import new_verifier, refuse_weak_where_told

_PATH = "graph"


async def request_code(world: World, number: Number, method: Method, by: str) -> None:
    """Send a code to the number.

    Raises:
        CodeVerified: it needs none.
        CodesSpent: no more codes today.
    """
    now = world.clock.now()
    cloud.refuse_verified(number, now)
    code = draw_code(world, number, method, now)
    await world.update(number.id, lambda n: cloud.ask_code(n, method, code, by, now))
    world.nudge()


async def enter_code(world: World, number: Number, code: str, by: str) -> None:
    """The number is verified if *code* is the newest one.

    Raises:
        NoCodePending, CodeWait, WrongCode: see ``domain.cloud``.
    """
    if number.pending is None:
        raise NoCodePending
    session = number.pending.session
    code_hash = hash_code(world, session, code)
    now = world.clock.now()
    await world.update(number.id, lambda n: cloud.enter_code(n, session, code_hash, by, now))


async def register(world: World, number: Number, pin: str, by: str) -> None:
    """Register the number with the Cloud API; its PIN is needed, or is set by this.

    Raises:
        RegistrationWait, CodeNeeded, GuessWait, NumberLocked: before any PIN is looked at.
        WrongPin: compared, and counted.
        ParameterInvalid: it would set a weak PIN, where those are refused.
        RegistrationOutdated: two-step verification was changed while this ran.
    """
    quirks = world.quirks
    cloud.admit(number, world.clock.now())
    checked, new_pin = number.two_step.version, None
    if number.two_step.is_on:
        checked = await check_pin(
            world, number, pin, by, _PATH, registers=quirks.wrong_pin_spends_registration
        )
    else:
        refuse_weak_where_told(world, pin)
        verifier, _ = await new_verifier(world, number, pin)
        new_pin = pin, verifier
    now = world.clock.now()
    await world.update(number.id, lambda n: cloud.register(n, checked, new_pin, quirks, by, now))


async def deregister(world: World, number: Number, by: str) -> None:
    """The Cloud API lets go of the number.

    Raises:
        NotOnCloud: it does not hold it.
        RegistrationWait: deregistered too often.
    """
    now = world.clock.now()
    await world.update(number.id, lambda n: cloud.deregister(n, world.quirks, by, now))


async def set_pin(world: World, number: Number, pin: str, by: str) -> None:
    """Set or replace the PIN; the old one is not asked for, and the same one changes nothing.

    Raises:
        ParameterInvalid: the PIN is weak, where weak PINs are refused.
        NotOnCloud: the Cloud API does not hold the number.
    """
    quirks = world.quirks
    refuse_weak_where_told(world, pin)
    cloud.refuse_unregistered(number, quirks)
    verifier, unchanged_since = await new_verifier(world, number, pin)
    now = world.clock.now()

    def change(n: Number) -> Decision:
        cloud.refuse_unregistered(n, quirks)
        return cloud.with_pin(n, pin, verifier, unchanged_since, quirks, by, now)

    await world.update(number.id, change)


async def turn_off(world: World, number: Number, by: str) -> None:
    """Turn two-step verification off by an empty PIN, where that is allowed.

    Raises:
        ParameterInvalid: it is not.
        NotOnCloud: the Cloud API does not hold the number.
    """
    quirks = world.quirks
    if not quirks.empty_pin_turns_off:
        raise ParameterInvalid("pin", "a string of exactly six digits 0-9")
    now = world.clock.now()

    def change(n: Number) -> Decision:
        cloud.refuse_unregistered(n, quirks)
        return two_step.turn_off(n, by, now)

    await world.update(number.id, change)
