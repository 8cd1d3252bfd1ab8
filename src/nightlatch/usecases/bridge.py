"""Registering numbers that live at the Cloud API, and setting their PINs there.

An attempt is written down, with the PIN it brings, before it is sent; what
became of it is kept before anybody hears of it.
"""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from nightlatch.domain import certificates, linked
from nightlatch.domain.audit import OPERATOR, Kind
from nightlatch.domain.clients import User
from nightlatch.domain.codes import Method
from nightlatch.domain.errors import (
    CertificateRefused,
    CloudRefused,
    CloudUnreached,
    HeldElsewhere,
    LinkedNumberUnknown,
    NameNeeded,
    NoCodePending,
    NumberExists,
    OnBusinessApp,
    OutcomeUnknown,
    ParameterInvalid,
    PinNeeded,
    PinNotInVault,
    TurnOffElsewhere,
    WrongPin,
)
from nightlatch.domain.ledger import Act
from nightlatch.domain.limits import CLOUD_SETTLED
from nightlatch.domain.linked import Facts, LinkedDecision, LinkedNumber, TurnOff
from nightlatch.domain.links import CloudLink
from nightlatch.domain.vault import KeptPin
from nightlatch.ports import CloudAccess, CloudNoAnswer, CloudNotSent, CloudRefusal, World, bound_to
from nightlatch.usecases.links import (
    asked,
    link_of,
    read_number,
    read_numbers,
    speaking,
    take,
    told_no,
)
from nightlatch.usecases.registration import CodeSent
from nightlatch.usecases.two_step import refuse_weak_where_told, suggest_pin

_KEY_BYTES = 12
_LANGUAGE = "en_US"

Call = Callable[[CloudAccess], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is about to be attempted."""

    act: Act
    by: str
    call: Call
    pin: KeptPin | None = None
    client: str | None = None
    force: bool = False
    patient: bool = False
    """Whether it can wait while Meta's limits of calls are to be spared."""


# What a client asks for


async def request_code(
    world: World, user: User, number: LinkedNumber, method: Method, pin: str | None
) -> CodeSent | None:
    """Begin to register the number with the user's client; None when nothing is left to do.

    A number that Meta has verified already is registered at once. A PIN that is
    not the vault's is refused here and never sent.

    Raises:
        PinNeeded: two-step verification is on, and no PIN came; nothing is counted.
        GuessWait, NumberLocked, WrongPin: compared with the vault's, or by Meta.
        OutcomeUnknown, LedgerWait: nothing was sent.
        OnBusinessApp, CloudUnreached, CloudAccessLost, ...: see ``attempt``.
    """
    one = await link_of(world, number)
    number = await read_number(world, one, number)
    number.refuse_unknown(world.clock.now())
    if number.facts.on_app:
        raise OnBusinessApp
    if pin is None and number.needs_pin:
        raise PinNeeded
    if pin is not None:
        await compare_if_known(world, number, pin, user.full_name)
    if number.facts.registered and number.holder == user.client:
        return None
    if number.facts.registered or number.facts.verified:
        await _register(world, one, number, _pin_to_bring(world, number, pin), user)
        return None
    sealed = None if pin is None else _seal(world, number, pin)
    key, by = world.chance.token(_KEY_BYTES), user.full_name
    now = world.clock.now()
    await world.update_linked(
        number.id, lambda n: linked.ask_code(n, key, user.client, sealed, by, now)
    )
    shown = method.value.upper()
    await _carry_out(
        world, one, speaking(world, one), number, key,
        Attempt(
            Act.CODE, by, lambda access: world.cloud.ask_code(access, number.id, shown, _LANGUAGE)
        ),
    )  # fmt: skip
    return CodeSent(number.name)


async def enter_code(world: World, user: User, number: LinkedNumber, code: str) -> None:
    """Finish the registration: the code goes to Meta, then the PIN that came before.

    Called again after Meta took the code, it goes on with the PIN.

    Raises:
        NoCodePending: none was asked for by this client.
        WrongCode, WrongPin, OutcomeUnknown, LedgerWait, ...: see ``attempt``.
    """
    waiting = number.waiting
    if waiting is None or waiting.client != user.client:
        raise NoCodePending
    one, by = await link_of(world, number), user.full_name
    if number.under_way is not None:
        number = await read_number(world, one, number)
        if number.waiting is None and number.holder == user.client:
            return  # it was the registration that was not answered
        number.refuse_unknown(world.clock.now())
    if not number.facts.verified:  # a code that Meta took is taken once
        id = number.id
        number = await attempt(
            world, one, number,
            Attempt(Act.CHECK, by, lambda access: world.cloud.enter_code(access, id, code)),
        )  # fmt: skip
    pin = None if waiting.sealed is None else unsealed(world, number, waiting.sealed)
    try:
        if pin is not None:
            await compare_if_known(world, number, pin, by)
        await _register(world, one, number, _pin_to_bring(world, number, pin), user)
    except WrongPin:
        await world.update_linked(number.id, lambda n: linked.forget_waiting(n, user.client))
        raise


async def turn_on(world: World, user: User, number: LinkedNumber, pin: str) -> None:
    """Set the PIN at Meta, which does not ask for the old one. The one it has already changes
    nothing and costs nothing.

    Raises:
        ParameterInvalid: the PIN is weak, where weak PINs are refused.
        OutcomeUnknown, LedgerWait, CloudUnreached, ...: see ``attempt``.
    """
    refuse_weak_where_told(world, pin)
    number.refuse_others(user.client)
    current = number.vault.current
    if (
        current is not None
        and number.vault.is_good
        and number.facts.pin_on
        and number.off_asked_at is None
        and hmac.compare_digest(unsealed(world, number, current.sealed), pin)
    ):
        return
    await set_pin(world, await link_of(world, number), number, pin, user.full_name)


async def turn_off(world: World, user: User, number: LinkedNumber) -> None:
    """What the setting says, because Meta does not turn two-step verification off for a program.

    Raises:
        TurnOffElsewhere: only a person can do it.
    """
    number.refuse_others(user.client)
    if number.facts.pin_on is False:
        return
    if world.turn_off is TurnOff.REJECT:
        raise TurnOffElsewhere
    if world.turn_off is TurnOff.ROTATE:
        one = await link_of(world, number)
        await set_pin(world, one, number, suggest_pin(world), user.full_name)
        return
    now, by = world.clock.now(), user.full_name
    await world.update_linked(number.id, lambda n: linked.remember_off(n, by, now))


async def add_number(
    world: World, one: CloudLink, e164: str, cc: str, certificate: str, by: str
) -> LinkedNumber:
    """Add a number to the account, with the display name that the certificate says.

    Raises:
        NameNeeded: the certificate says none that can be read.
        LinkedNumberUnknown: it was added, or was there, and cannot be seen yet.
        CloudUnreached, HeldElsewhere, NameNotApproved, ...: Meta said no, or did not answer.
    """
    try:
        name = certificates.read_name(certificate)
    except CertificateRefused:
        raise NameNeeded from None
    national = e164[1 + len(cc) :]
    began = world.clock.now()
    try:
        id = await asked(
            world, one, lambda access: world.cloud.add_number(access, cc, national, name)
        )
    except (CloudRefused, HeldElsewhere):
        # It is there already when the answer to an earlier call was lost.
        await read_numbers(world, replace(one, cursor=""), lambda _: None)
        there = await world.store.linked_by_e164(e164)
        if there is None:
            raise
        return there
    number = LinkedNumber(
        id=id, e164=e164, cc=cc, waba=one.waba, found_at=began, facts=Facts(at=began, name=name)
    )
    event = world.event(Kind.LINKED_CREATED, by, world.clock.now(), number=e164)
    try:
        await world.store.add_linked(number, (event,))
    except NumberExists:  # a reading of the account's numbers was quicker
        found = await world.store.linked(id)
        if found is None:
            raise LinkedNumberUnknown from None
        return found
    return number


# What people ask for


async def register(
    world: World,
    number: LinkedNumber,
    pin: str | None,
    client: str,
    by: str = OPERATOR,
    *,
    force: bool = False,
) -> LinkedNumber:
    """Register the number for *client*, with the vault's PIN when none is given.

    *force* spends the attempt that is kept back.

    Raises:
        ParameterInvalid: the account is not open to *client*.
        PinNotInVault: a PIN is on, none was given, and the vault's is not known to be good.
        OnBusinessApp, OutcomeUnknown, LedgerWait, WrongPin, CodeNeeded, ...: see ``attempt``.
    """
    one = await link_of(world, number)
    if not one.open_to(client):
        raise ParameterInvalid(
            "client", f"one that the account is open to: {', '.join(one.clients)}"
        )
    number = await read_number(world, one, number)
    number.refuse_unknown(world.clock.now())
    if number.facts.on_app:
        raise OnBusinessApp
    if pin is not None:
        await compare_if_known(world, number, pin, by)
    kept = _pin_to_bring(world, number, pin)
    what = registering(world, number, kept, client, by, force=force)
    return await attempt(world, one, number, what)


async def deregister(
    world: World, number: LinkedNumber, by: str = OPERATOR, *, force: bool = False
) -> LinkedNumber:
    """The Cloud API lets go of the number. Raises as ``attempt``."""
    one = await link_of(world, number)
    number = await read_number(world, one, number)
    return await attempt(
        world, one, number,
        Attempt(
            Act.DEREGISTER, by, lambda access: world.cloud.deregister(access, number.id),
            force=force,
        ),
    )  # fmt: skip


async def set_pin(
    world: World, one: CloudLink, number: LinkedNumber, pin: str, by: str, *, patient: bool = False
) -> LinkedNumber:
    """Set the PIN at Meta, which does not ask for the old one. Raises as ``attempt``."""
    kept = keep(world, number, pin)
    return await attempt(world, one, number, setting_pin(world, number, kept, by, patient=patient))


# Attempts


async def attempt(
    world: World, one: CloudLink, number: LinkedNumber, what: Attempt
) -> LinkedNumber:
    """Write it down, send it once, keep what became of it.

    Raises:
        OutcomeUnknown: another attempt is under way, or this one was not answered.
        LedgerWait: too many were made, or Meta wants no more now.
        CloudUnreached: nothing was sent, nothing counted.
        CloudAccessLost, CloudCallsSpent: Meta did not look at the number; nothing counted.
        WrongPin, GuessWait, CodeNeeded, RegistrationWait, CloudLocked, ...: Meta said no.
    """
    access = speaking(world, one, patient=what.patient)  # or nothing is begun
    key, now = world.chance.token(_KEY_BYTES), world.clock.now()
    await world.update_linked(
        number.id,
        lambda n: linked.begin(
            n, what.act, key, what.by, now, pin=what.pin, client=what.client, force=what.force
        ),
    )
    return await _carry_out(world, one, access, number, key, what)


async def _carry_out(
    world: World,
    one: CloudLink,
    access: CloudAccess,
    number: LinkedNumber,
    key: str,
    what: Attempt,
) -> LinkedNumber:
    """Send what was begun with *key*, and keep what became of it."""
    try:
        await what.call(access)
    except CloudNotSent:
        now = world.clock.now()
        await world.update_linked(number.id, lambda n: linked.not_sent(n, key, now))
        raise CloudUnreached from None
    except CloudNoAnswer:
        now = world.clock.now()
        await world.update_linked(number.id, lambda n: linked.unanswered(n, key, now))
        raise OutcomeUnknown(what.act.value, CLOUD_SETTLED) from None
    except CloudRefusal as said:
        answer, now = said.answer, world.clock.now()
        await world.update_linked(number.id, lambda n: linked.refused(n, key, answer, now))
        raise await told_no(world, one, answer) from None
    now = world.clock.now()

    def settle(stored: LinkedNumber) -> LinkedDecision:
        return linked.done(stored, key, now)

    if what.client is None:
        done = await world.update_linked(number.id, settle)
    else:
        done = await take(world, number, what.client, what.by, settle)
    world.nudge()
    return done


async def _register(
    world: World, one: CloudLink, number: LinkedNumber, kept: KeptPin, user: User
) -> None:
    what = registering(world, number, kept, user.client, user.full_name)
    await attempt(world, one, number, what)


def registering(
    world: World,
    number: LinkedNumber,
    kept: KeptPin,
    client: str | None,
    by: str,
    *,
    force: bool = False,
) -> Attempt:
    """To register the number with a PIN of the vault. Raises Unavailable."""
    pin = unsealed(world, number, kept.sealed)
    return Attempt(
        Act.REGISTER, by, lambda access: world.cloud.register(access, number.id, pin),
        pin=kept, client=client, force=force,
    )  # fmt: skip


def setting_pin(
    world: World, number: LinkedNumber, kept: KeptPin, by: str, *, patient: bool = False
) -> Attempt:
    """To set a PIN of the vault. Raises Unavailable."""
    pin = unsealed(world, number, kept.sealed)
    return Attempt(
        Act.PIN, by, lambda access: world.cloud.set_pin(access, number.id, pin), pin=kept,
        patient=patient,
    )  # fmt: skip


def _pin_to_bring(world: World, number: LinkedNumber, pin: str | None) -> KeptPin:
    """The PIN of a registration: the given one, the vault's, or one drawn while none is on.

    Raises:
        PinNotInVault: one is on, none was given, and the vault's is not known to be good.
    """
    current = number.vault.current
    if pin is not None:
        if current is not None and hmac.compare_digest(
            unsealed(world, number, current.sealed), pin
        ):
            return current
        return keep(world, number, pin)
    if current is not None and (number.vault.is_good or number.facts.pin_on is False):
        return current
    if number.facts.pin_on is False:
        return keep(world, number, suggest_pin(world))
    raise PinNotInVault


async def compare_if_known(world: World, number: LinkedNumber, pin: str, by: str) -> None:
    """Compare a PIN with the vault's, where that is known to be Meta's; paid for before, and
    durable before it is answered.

    Raises:
        GuessWait, NumberLocked, OutcomeUnknown: refused unread.
        WrongPin: it is not the vault's.
    """
    if number.facts.pin_on is False or not number.vault.is_good:
        return
    now = world.clock.now()

    def pay(stored: LinkedNumber) -> LinkedDecision:
        stored.refuse_unknown(now)  # whose PIN may be another one in a moment
        return linked.pay_guess(stored, by, now)

    paid = await world.update_linked(number.id, pay)
    ticket, current = paid.guesses.ticket, paid.vault.current
    if current is None:
        raise PinNotInVault
    right = hmac.compare_digest(unsealed(world, number, current.sealed), pin)
    now = world.clock.now()
    await world.update_linked(
        number.id, lambda n: linked.settle_guess(n, ticket, by, now, right=right)
    )
    if not right:
        raise WrongPin


def keep(world: World, number: LinkedNumber, pin: str) -> KeptPin:
    """A PIN, sealed for the vault."""
    key = world.chance.token(_KEY_BYTES)
    return KeptPin(key, _seal(world, number, pin), world.clock.now())


def _seal(world: World, number: LinkedNumber, pin: str) -> bytes:
    return world.keys.seal(pin.encode(), bound_to("vault", number.id))


def unsealed(world: World, number: LinkedNumber, sealed: bytes) -> str:
    """A PIN of the number. Raises Unavailable."""
    return world.keys.unseal(sealed, bound_to("vault", number.id)).decode()
