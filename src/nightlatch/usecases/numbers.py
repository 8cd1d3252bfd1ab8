"""The registry's numbers: add, find, name, certify, unlock, let go."""

from nightlatch.domain import certificates, numbers
from nightlatch.domain.audit import OPERATOR, Kind
from nightlatch.domain.errors import NumberUnknown
from nightlatch.domain.members import Member, MemberRole
from nightlatch.domain.numbers import Number
from nightlatch.ports import World
from nightlatch.usecases.portfolios import find_waba

_ID_DIGITS = 14


async def add_number(
    world: World, waba: str, e164: str, cc: str, name: str, by: str = OPERATOR
) -> Number:
    """A number with its display name; a local registry approves it at once, unless told otherwise.

    Raises:
        ParameterInvalid: the number or the name does not fit.
        NumberExists: the number is there already, however it was spelled.
    """
    now = world.clock.now()
    wanted = numbers.read_name(name)
    added = Number(
        id="1" + world.chance.digits(_ID_DIGITS),
        e164=numbers.read_e164(e164),
        cc=cc,
        waba=waba,
        name="" if world.review_names else wanted,
        asked_name=wanted if world.review_names else None,
        serial=world.chance.token(12),
        created_at=now,
    )
    await world.store.add_number(added, (world.event(Kind.NUMBER_ADDED, by, now),))
    return added


async def add_by_member(
    world: World, member: Member, waba: str, e164: str, cc: str, name: str
) -> Number:
    """``add_number``, to an account of the member's portfolio.

    Raises:
        RoleTooLow, WabaUnknown: nothing changed.
    """
    member.refuse_below(MemberRole.ADMIN)
    await find_waba(world, member, waba)
    return await add_number(world, waba, e164, cc, name, member.email)


async def find_number(world: World, e164: str) -> Number:
    """Raises NumberUnknown."""
    number = await world.store.number_by_e164(e164)
    if number is None:
        raise NumberUnknown
    return number


async def seen_by(
    world: World, member: Member, id: str, role: MemberRole = MemberRole.VIEWER
) -> Number:
    """A number of the member's portfolio.

    Raises:
        RoleTooLow: the member's role does not include *role*.
        NumberUnknown: no such number, or another portfolio's.
    """
    number = await world.store.number(id)
    waba = None if number is None else await world.store.waba(number.waba)
    if number is None or waba is None or waba.portfolio != member.portfolio:
        raise NumberUnknown
    member.refuse_below(role)
    return number


def certificate(world: World, number: Number) -> str:
    """The verified-name certificate, one line of base64.

    Raises:
        CertificateNotReady: no display name is approved yet.
    """
    signed = certificates.to_sign(number.certificate)
    return certificates.to_text(signed, world.keys.sign(signed))


async def renew_certificate(world: World, number: Number, by: str = OPERATOR) -> Number:
    """Another certificate; the one before is revoked. Raises CertificateNotReady."""
    serial, now = world.chance.token(12), world.clock.now()
    return await world.update(number.id, lambda n: numbers.renew_certificate(n, serial, by, now))


async def ask_name(world: World, number: Number, name: str, by: str = OPERATOR) -> Number:
    """Another display name, which comes with another certificate once it is approved.

    Raises:
        ParameterInvalid: it does not fit.
        NameWait: too soon after the last change.
    """
    wanted = numbers.read_name(name)
    serial, now = world.chance.token(12), world.clock.now()
    approve = not world.review_names
    return await world.update(
        number.id, lambda n: numbers.ask_name(n, wanted, serial, by, now, approve=approve)
    )


async def approve_name(world: World, number: Number, by: str = OPERATOR) -> Number:
    """Raises NoNameAsked."""
    serial, now = world.chance.token(12), world.clock.now()
    return await world.update(number.id, lambda n: numbers.approve_name(n, serial, by, now))


async def decline_name(world: World, number: Number, by: str = OPERATOR) -> Number:
    """Raises NoNameAsked."""
    now = world.clock.now()
    return await world.update(number.id, lambda n: numbers.decline_name(n, by, now))


async def unlock(world: World, number: Number, by: str = OPERATOR) -> Number:
    """End the lock or the wait after wrong PINs."""
    now = world.clock.now()
    return await world.update(number.id, lambda n: numbers.unlock(n, by, now))


async def deregister(world: World, number: Number, by: str = OPERATOR) -> Number:
    """The client that holds the number lets go of it.

    Raises:
        NoNumberHeld: nobody holds it.
        RegistrationWait: deregistered too often.
    """
    now = world.clock.now()
    return await world.update(number.id, lambda n: numbers.deregister(n, by, now))
