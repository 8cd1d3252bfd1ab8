"""Registering a number with a client: ask for a code, enter it, set shards."""

from dataclasses import dataclass
from datetime import datetime

from nightlatch.domain import certificates, registration
from nightlatch.domain.audit import Kind
from nightlatch.domain.clients import User
from nightlatch.domain.codes import Method
from nightlatch.domain.errors import (
    CertificateRefused,
    ClientUnknown,
    NoCodePending,
    NoNumberHeld,
    PinNeeded,
)
from nightlatch.domain.limits import CODE_DIGITS, CODE_LIFE
from nightlatch.domain.numbers import CodeMessage, Number
from nightlatch.ports import World, bound_to
from nightlatch.usecases.guesses import check_pin


@dataclass(frozen=True, slots=True)
class CodeSent:
    """A code is on its way; *vname* is the name in the certificate."""

    vname: str


async def request_code(
    world: World, user: User, e164: str, method: Method, certificate: str, pin: str | None
) -> CodeSent | None:
    """Begin to register *e164* with the user's client; None when the client holds it already.

    Raises:
        CertificateRefused: before anything else is looked at; costs the owner nothing.
        RegistrationWait, PinNeeded, GuessWait, NumberLocked, WrongPin: see ``admit``
            and ``check_pin``.
        CodesSpent: the PIN was right, but no more codes may be sent today.
        RegistrationOutdated: the PIN was changed while this ran.
    """
    number = await certified_number(world, e164, certificate)
    registration.admit(number, pin, world.clock.now())
    version = number.two_step.version
    if pin is not None:
        version = await check_pin(world, number, pin, user.full_name, "account")
    now = world.clock.now()
    code = draw_code(world, number, method, now)
    kept = await world.update(
        number.id,
        lambda n: registration.accept(n, user.client, method, version, code, user.full_name, now),
    )
    if kept.pending is None or kept.pending.session != code.session:
        return None
    world.nudge()
    return CodeSent(number.name)


async def enter_code(world: World, user: User, code: str) -> None:
    """Finish the registration: the number changes hands if *code* is right.

    Raises:
        NoCodePending, CodeWait, WrongCode, RegistrationOutdated: see ``domain.registration``.
    """
    number = await world.store.number_pending_for(user.client)
    if number is None or number.pending is None:
        raise NoCodePending
    session = number.pending.session
    code_hash = hash_code(world, session, code)
    now = world.clock.now()
    await world.take_over(
        number.id,
        user.client,
        lambda n: registration.enter_code(n, user.client, session, code_hash, user.full_name, now),
        lambda other: registration.release(other, user.full_name, now),
    )


async def set_shards(
    world: World, user: User, e164: str, shards: int, certificate: str | None, pin: str | None
) -> None:
    """Set the shard count of the client that holds *e164*; needs the PIN when one is on.

    Raises:
        CertificateRefused: a certificate was given and does not fit.
        NoNumberHeld: the client does not hold this number.
        PinNeeded, GuessWait, NumberLocked, WrongPin: as when registering.
    """
    number = await held_number(world, user.client)
    if number.e164 != e164:
        raise NoNumberHeld
    if certificate is not None:
        await certified_number(world, e164, certificate)
    now = world.clock.now()
    if number.two_step.is_on:
        if pin is None:
            raise PinNeeded
        number.guesses.refuse_while_closed(now)
    if pin is not None:
        await check_pin(world, number, pin, user.full_name, "shards")
    await keep_shards(world, user, shards)


async def keep_shards(world: World, user: User, shards: int) -> None:
    """Keep the client's shard count. The caller has checked everything."""
    event = world.event(Kind.SHARDS_SET, user.full_name, world.clock.now(), shards=shards)
    await world.store.set_shards(user.client, shards, (event,))


async def shards(world: World, user: User) -> int:
    """The client's shard count."""
    client = await world.store.client(user.client)
    if client is None:
        raise ClientUnknown
    return client.shards


async def certified_number(world: World, e164: str, text: str) -> Number:
    """The number that *text* certifies, which must be *e164*.

    Raises:
        CertificateRefused: malformed, not signed by us, for another number, or revoked.
    """
    shown = certificates.read(text)
    if not world.keys.signed(shown.signed, shown.signature):
        raise CertificateRefused("this registry did not sign it")
    number = await world.store.number_by_e164(e164)
    if number is None:
        raise CertificateRefused("it was revoked, or belongs to another number or name")
    number.accept_certificate(shown.certificate)
    return number


async def held_number(world: World, client_name: str) -> Number:
    """The number that the client holds. Raises NoNumberHeld."""
    client = await world.store.client(client_name)
    number = None
    if client is not None and client.number is not None:
        number = await world.store.number(client.number)
    if number is None or number.holder != client_name:
        raise NoNumberHeld
    return number


def draw_code(world: World, number: Number, method: Method, now: datetime) -> registration.NewCode:
    """A fresh code for *number*, sealed for the phone and hashed for us."""
    session = world.chance.token(16)
    digits = world.chance.digits(CODE_DIGITS)
    message = CodeMessage(
        number.e164,
        method.value,
        world.keys.seal(digits.encode(), bound_to("code", number.id)),
        now + CODE_LIFE,
    )
    return registration.NewCode(session, hash_code(world, session, digits), message)


def hash_code(world: World, session: str, digits: str) -> bytes:
    """How a code is kept: bound to one attempt, useless without the key ring."""
    return world.keys.keyed_hash("code", f"{session}|{digits}".encode())
