"""``doctor``: what is true of numbers at the Cloud API, before anything is spent."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

from nightlatch.domain import diagnosis
from nightlatch.domain.diagnosis import Check, Diagnosis
from nightlatch.domain.linked import LinkedNumber
from nightlatch.domain.links import CloudLink
from nightlatch.ports import World
from nightlatch.usecases.links import check_token, find_link, link_of, read_number, read_numbers

_AT_ONCE = 200


async def examine(
    world: World,
    one: CloudLink,
    *,
    max_age: timedelta = timedelta(0),
    progress: Callable[[int], None] = lambda _: None,
) -> AsyncIterator[Diagnosis]:
    """Every number of an account.

    Meta is asked first, unless it was less than *max_age* ago: one call for a hundred numbers,
    and two for the account. Cut short, the next call goes on where it stopped.

    Raises:
        CloudUnreached, CloudAccessLost, CloudCallsSpent, CloudRefused: before the first one.
    """
    now = world.clock.now()
    if one.read_at is None or one.cursor or abs(now - one.read_at) >= max_age:
        one = await check_token(world, one)
        await read_numbers(world, one, progress, patient=True)
        one = await find_link(world, one.waba)
    async for told in known(world, one):
        yield told


async def known(world: World, one: CloudLink) -> AsyncIterator[Diagnosis]:
    """Every number of an account, by what is known already; nobody is asked."""
    after = ""
    while page := await world.store.linked_numbers(one.waba, after, _AT_ONCE):
        for number in page:
            yield diagnosis.diagnose(number, one, world.clock.now())
        after = page[-1].e164


async def examine_one(world: World, number: LinkedNumber) -> Diagnosis:
    """One number. Raises as ``read_number`` and ``check_token``."""
    one = await check_token(world, await link_of(world, number))
    number = await read_number(world, one, number)
    return diagnosis.diagnose(number, one, world.clock.now())


async def known_of(world: World, number: LinkedNumber) -> Diagnosis:
    """One number, by what is known already."""
    return diagnosis.diagnose(number, await link_of(world, number), world.clock.now())


async def checklist(world: World, number: LinkedNumber, *, moving: bool) -> tuple[Check, ...]:
    """What is missing before the number is registered here, or taken over by another provider.

    Raises as ``examine_one``.
    """
    found = await examine_one(world, number)
    return diagnosis.checklist(found.number, found.link, world.clock.now(), moving=moving)
