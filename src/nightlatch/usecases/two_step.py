"""Two-step verification: on, another PIN, off; by a client's admin, or by members."""

from nightlatch.domain import two_step
from nightlatch.domain.clients import User, hash_token
from nightlatch.domain.errors import (
    LinkRefused,
    NumberUnknown,
    ParameterInvalid,
    PinChangedMeanwhile,
    PinUnchanged,
    RegistrationOutdated,
    RoleTooLow,
    TwoStepIsOff,
    TwoStepIsOn,
)
from nightlatch.domain.limits import LINK_LIFE, PIN_DIGITS
from nightlatch.domain.mail import masked
from nightlatch.domain.members import Member, MemberRole, MemberSession
from nightlatch.domain.numbers import Decision, Number, TurnOffLink
from nightlatch.ports import World, bound_to
from nightlatch.usecases.guesses import check_pin
from nightlatch.usecases.numbers import seen_by
from nightlatch.usecases.registration import held_number
from nightlatch.usecases.signing_in import end_other_sessions

_LINK_BYTES = 32


async def turn_on(world: World, user: User, pin: str) -> None:
    """Turn two-step verification on, or set another PIN; the admin need not know the old one.

    The same PIN again changes nothing and tells nobody. The caller has
    checked that *user* is an admin.

    Raises:
        NoNumberHeld: the client holds no number.
        ParameterInvalid: the PIN is weak, where weak PINs are refused.
        Overloaded, Unavailable: nothing changed.
    """
    refuse_weak_where_told(world, pin)
    number = await held_number(world, user.client)
    verifier, unchanged_since = await new_verifier(world, number, pin)
    now = world.clock.now()

    def change(n: Number) -> Decision:
        n.refuse_others(user.client)
        return two_step.turn_on(n, pin, verifier, unchanged_since, user.full_name, now)

    await world.update(number.id, change)


def refuse_weak_where_told(world: World, pin: str) -> None:
    """Raise ParameterInvalid for a weak PIN, where a setting refuses those everywhere."""
    if world.refuse_weak_pins and two_step.is_weak(pin):
        raise ParameterInvalid("pin", "six digits that are not a date or a pattern")


async def new_verifier(world: World, number: Number, pin: str) -> tuple[bytes, int | None]:
    """A verifier of *pin*; and the version of the number's PIN when that is this very one.

    For who may replace the PIN without knowing it, so no guess is paid for.

    Raises:
        Overloaded, Unavailable: nothing was hashed, or the PIN's verifier cannot be opened.
    """
    current, unchanged_since = number.two_step, None
    async with world.hasher.place() as place:
        if current.is_on and await place.matches(current.verifier, pin, bound_to("pin", number.id)):
            unchanged_since = current.version
        return await place.make(pin, bound_to("pin", number.id)), unchanged_since


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

    await world.update(number.id, change)


# By members, in the Manager


async def set_pin(world: World, member: Member, number: Number, pin: str) -> None:
    """Turn two-step verification on; only while it is off.

    Raises:
        ParameterInvalid: the PIN is weak; ``why`` says how.
        TwoStepIsOn: there is a PIN, so changing it takes the current one.
    """
    refuse_weak(pin)
    if number.two_step.is_on:
        raise TwoStepIsOn
    async with world.hasher.place() as place:
        verifier = await place.make(pin, bound_to("pin", number.id))
    now = world.clock.now()
    await world.update(number.id, lambda n: two_step.set_pin(n, pin, verifier, member.email, now))


async def change_pin(
    world: World, member: Member, session: MemberSession, number: Number, current: str, pin: str
) -> None:
    """Another PIN, for who knows the current one. Ends the member's other sessions.

    Raises:
        ParameterInvalid: the new PIN is weak; no guess is spent.
        TwoStepIsOff: there is no PIN.
        GuessWait, NumberLocked, WrongPin: as when registering, on the same counter.
        PinUnchanged: the current PIN was right, and the new one is the same.
        PinChangedMeanwhile: somebody else was quicker.
    """
    refuse_weak(pin)
    if not number.two_step.is_on:
        raise TwoStepIsOff
    try:
        version = await check_pin(world, number, current, member.email, "manager")
    except RegistrationOutdated as off:
        raise PinChangedMeanwhile from off
    if pin == current:
        raise PinUnchanged
    async with world.hasher.place() as place:
        verifier = await place.make(pin, bound_to("pin", number.id))
    now = world.clock.now()
    await world.update(
        number.id,
        lambda n: two_step.change_pin(n, version, pin, verifier, member.email, now),
    )
    await end_other_sessions(world, member, session.hash)


async def ask_to_turn_off(world: World, member: Member, number: Number) -> str:
    """Mail the link that turns two-step verification off; returns the address, masked.

    Asked too often it answers the same and mails nothing.

    Raises:
        TwoStepIsOff: there is nothing to turn off.
    """
    token, now = world.chance.token(_LINK_BYTES), world.clock.now()
    link = TurnOffLink(
        hash_token(token), number.two_step.version, member.id, member.version, now + LINK_LIFE
    )
    sealed = world.keys.seal(token.encode(), bound_to("mail", number.id))
    await world.update(
        number.id, lambda n: two_step.ask_to_turn_off(n, link, sealed, member.email, now)
    )
    waba = await world.store.waba(number.waba)
    portfolio = None if waba is None else await world.store.portfolio(waba.portfolio)
    return masked("" if portfolio is None else portfolio.email)


async def number_of_link(world: World, member: Member, token: str) -> Number:
    """The number that the mailed link would turn two-step verification off for. Changes nothing.

    Raises:
        LinkRefused: the link is not good, or not for this member.
    """
    token_hash = hash_token(token)
    number = await world.store.number_by_link(token_hash)
    if number is None:
        raise LinkRefused
    try:
        await seen_by(world, member, number.id, MemberRole.ADMIN)
    except (NumberUnknown, RoleTooLow) as refused:
        raise LinkRefused from refused
    asker = await _asker_version(world, number)
    two_step.refuse_dead_link(number, token_hash, asker, world.clock.now())
    return number


async def follow_link(world: World, member: Member, token: str) -> Number:
    """Turn two-step verification off by the mailed link, which is good once.

    Somebody who may not leaves a trace on the number.

    Raises:
        LinkRefused: as ``number_of_link``.
    """
    token_hash = hash_token(token)
    number = await world.store.number_by_link(token_hash)
    if number is None:
        raise LinkRefused
    now = world.clock.now()
    try:
        await seen_by(world, member, number.id, MemberRole.ADMIN)
    except (NumberUnknown, RoleTooLow) as refused:
        who = f"member:{member.id}"
        await world.update(number.id, lambda n: two_step.refused_link(n, who, now))
        raise LinkRefused from refused
    asker = await _asker_version(world, number)
    return await world.update(
        number.id, lambda n: two_step.follow_link(n, token_hash, asker, member.email, now)
    )


def suggest_pin(world: World) -> str:
    """A PIN that nobody would guess first."""
    while True:
        pin = world.chance.digits(PIN_DIGITS)
        if not two_step.is_weak(pin):
            return pin


def refuse_weak(pin: str) -> None:
    """Raise ParameterInvalid, with the reason, for a PIN that people choose too often."""
    why = two_step.weakness(pin)
    if why is not None:
        raise ParameterInvalid("pin", f"a PIN that is harder to guess: {why}")


async def _asker_version(world: World, number: Number) -> int | None:
    asker = None if number.link is None else await world.store.member(number.link.asked_by)
    return None if asker is None else asker.version
