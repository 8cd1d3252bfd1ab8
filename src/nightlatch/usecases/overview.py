"""Seeing at a glance: lists, counts, the last thirty days, a number's timeline."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from nightlatch.domain.audit import Kind, Link
from nightlatch.domain.members import Member
from nightlatch.domain.numbers import Number
from nightlatch.domain.overview import Show, Tally
from nightlatch.domain.portfolios import Waba
from nightlatch.ports import NumberLine, NumberPage, World
from nightlatch.usecases.portfolios import find_waba

CHART_DAYS = 30
ATTACKED_SHOWN = 10
_EXPORT_PAGE = 200


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day of the chart."""

    date: date
    wrong: int
    """Wrong PINs."""
    right: int
    """Right PINs."""
    registered: int
    """Registrations that were finished."""


@dataclass(frozen=True, slots=True)
class Overview:
    """A portfolio at a glance."""

    accounts: Sequence[tuple[Waba, Tally]]
    total: Tally
    attacked: Sequence[NumberLine]
    days: Sequence[Day]


async def overview(world: World, member: Member) -> Overview:
    """Everything the first page shows."""
    now = world.clock.now()
    wabas = await world.store.wabas(member.portfolio)
    accounts = [(waba, await world.store.tally(waba.id, now)) for waba in wabas]
    attacked = await world.store.attacked(member.portfolio, now, ATTACKED_SHOWN)
    total = sum((tally for _, tally in accounts), Tally())
    return Overview(accounts, total, attacked, await chart(world, member))


async def tally(world: World, waba: Waba) -> Tally:
    """How many numbers of an account are in each state."""
    return await world.store.tally(waba.id, world.clock.now())


async def chart(world: World, member: Member) -> list[Day]:
    """The last CHART_DAYS days, the oldest first, none left out."""
    today = world.clock.now().date()
    first = today - timedelta(days=CHART_DAYS - 1)
    counts = {
        (day, kind): count for day, kind, count in await world.store.daily(member.portfolio, first)
    }
    days = (first + timedelta(days=i) for i in range(CHART_DAYS))
    return [
        Day(
            day,
            counts.get((day, Kind.GUESS_WRONG), 0),
            counts.get((day, Kind.GUESS_RIGHT), 0),
            counts.get((day, Kind.NUMBER_REGISTERED), 0),
        )
        for day in days
    ]


async def numbers(
    world: World, member: Member, waba: str, show: Show, text: str, after: str | None, limit: int
) -> NumberPage:
    """A page of an account's numbers. Raises WabaUnknown."""
    await find_waba(world, member, waba)
    return await world.store.list_numbers(waba, show, text, world.clock.now(), after, limit)


async def all_numbers(
    world: World, member: Member, waba: str, show: Show, text: str
) -> AsyncIterator[NumberLine]:
    """Every number of a list, for an export. Raises WabaUnknown."""
    await find_waba(world, member, waba)
    async for line in every_number(world, waba, show, text):
        yield line


async def every_number(world: World, waba: str, show: Show, text: str) -> AsyncIterator[NumberLine]:
    """``all_numbers`` of any portfolio's account, for the command line."""
    after: str | None = None
    while True:
        now = world.clock.now()
        page = await world.store.list_numbers(waba, show, text, now, after, _EXPORT_PAGE)
        for line in page.lines:
            yield line
        after = page.next
        if after is None:
            return


async def timeline(world: World, number: Number, before: int | None, limit: int) -> Sequence[Link]:
    """What happened to a number, the newest first."""
    return await world.store.events(f"number:{number.id}", before, limit)


async def whole_timeline(world: World, number: Number) -> AsyncIterator[Link]:
    """Everything that happened to a number, the oldest first, for an export."""
    async for link in world.store.audit(f"number:{number.id}"):
        yield link


async def portfolio_events(
    world: World, member: Member, before: int | None, limit: int
) -> Sequence[Link]:
    """What happened in the portfolio itself: members, sign-ins, its address; newest first."""
    return await world.store.events(f"portfolio:{member.portfolio}", before, limit)
