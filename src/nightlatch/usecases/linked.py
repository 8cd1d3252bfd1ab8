"""Numbers of linked accounts: find, read, see what happened."""

from collections.abc import Sequence

from nightlatch.domain import linked
from nightlatch.domain.audit import OPERATOR, Link
from nightlatch.domain.errors import LinkedNumberUnknown
from nightlatch.domain.linked import LinkedNumber
from nightlatch.domain.links import CloudLink
from nightlatch.domain.members import Member, MemberRole
from nightlatch.ports import World
from nightlatch.usecases.links import link_of, read_number

ALARMED_SHOWN = 20


async def find_linked(world: World, e164: str) -> LinkedNumber:
    """Raises LinkedNumberUnknown."""
    number = await world.store.linked_by_e164(e164)
    if number is None:
        raise LinkedNumberUnknown
    return number


async def linked_seen_by(
    world: World, member: Member, id: str, role: MemberRole = MemberRole.VIEWER
) -> LinkedNumber:
    """A linked number of the member's portfolio.

    Raises:
        LinkedNumberUnknown: no such number, or another portfolio's.
        RoleTooLow: the member's role does not include *role*.
    """
    number = await world.store.linked(id)
    one = None if number is None else await world.store.link(number.waba)
    if number is None or one is None or one.portfolio != member.portfolio:
        raise LinkedNumberUnknown
    member.refuse_below(role)
    return number


async def numbers_of(
    world: World, one: CloudLink, after: str = "", limit: int = 100
) -> Sequence[LinkedNumber]:
    """By E.164, those behind *after*."""
    return await world.store.linked_numbers(one.waba, after, limit)


async def refresh(world: World, number: LinkedNumber) -> LinkedNumber:
    """The number as Meta shows it now. Raises as ``read_number``."""
    return await read_number(world, await link_of(world, number), number)


async def see_alerts(world: World, number: LinkedNumber, by: str = OPERATOR) -> LinkedNumber:
    """Somebody has seen the number's alerts."""
    now = world.clock.now()
    return await world.update_linked(number.id, lambda n: linked.see_alerts(n, by, now))


async def unlock(world: World, number: LinkedNumber, by: str = OPERATOR) -> LinkedNumber:
    """End the lock or the wait after PINs that were not the vault's."""
    now = world.clock.now()
    return await world.update_linked(number.id, lambda n: linked.unlock(n, by, now))


async def release(world: World, number: LinkedNumber, by: str = OPERATOR) -> LinkedNumber:
    """The client serves the number no more; at Meta nothing changes."""
    now = world.clock.now()
    return await world.update_linked(number.id, lambda n: linked.release(n, by, now))


async def alarmed(world: World, portfolio: str) -> Sequence[LinkedNumber]:
    """Numbers with alerts that nobody has seen, or that a client believes to be turned off."""
    return await world.store.alarmed(portfolio, ALARMED_SHOWN)


async def timeline(
    world: World, number: LinkedNumber, before: int | None, limit: int
) -> Sequence[Link]:
    """What happened to a number, the newest first."""
    return await world.store.events(f"linked:{number.id}", before, limit)
