"""Seeing at a glance: what the pages show agrees with what happened."""

from typing import Any

import pytest

from nightlatch.domain.errors import WabaUnknown, WrongPin
from nightlatch.domain.members import Member
from nightlatch.domain.overview import Show, Tally
from nightlatch.usecases import numbers, overview, portfolios
from nightlatch.usecases.overview import CHART_DAYS, Day
from tests.people import CC, E164, OWNER, THIEF
from tests.usecases.conftest import Office


async def waba(office: Office) -> str:
    return (await office.world.store.wabas(office.portfolio))[0].id


async def add(office: Office, count: int, where: str | None = None) -> list[str]:
    """More numbers; their E.164."""
    to = where or await waba(office)
    e164s = [f"+1631556{2000 + n}" for n in range(count)]
    for n, e164 in enumerate(e164s):
        await numbers.add_number(office.world, to, e164, CC, f"Shrub {n}")
    return e164s


async def attack(office: Office, guesses: int) -> None:
    for _ in range(guesses):
        with pytest.raises(WrongPin):
            await office.scene.register(office.scene.thief, THIEF.wrong_pin)


async def seen(office: Office, member: Member | None = None) -> overview.Overview:
    return await overview.overview(office.world, member or await office.owner())


async def all_of(lines: Any) -> list[str]:
    return [line.number.e164 async for line in lines]


async def test_the_thief_shows_up_with_the_last_thing_that_happened(office: Office):
    await office.owner_is_protected()
    quiet = await seen(office)

    await attack(office, 5)
    loud = await seen(office)

    account = (await office.world.store.wabas(office.portfolio))[0]
    assert await overview.tally(office.world, account) == loud.total
    assert quiet.total == Tally(1, protected=1)
    assert quiet.attacked == []
    assert loud.total == Tally(1, protected=1, waiting=1, attacked=1)
    (line,) = loud.attacked
    assert line.number.e164 == E164
    assert line.last is not None
    assert (line.last.kind.value, line.last.by) == ("guess.wrong", "thief/admin")


async def test_a_wait_and_an_attack_leave_the_overview_by_themselves(office: Office):
    await office.owner_is_protected()
    await attack(office, 5)

    office.scene.pass_time(60)
    after_the_wait = (await seen(office)).total
    office.scene.pass_time(86_400)
    after_a_day = await seen(office)

    assert after_the_wait == Tally(1, protected=1, attacked=1)
    assert after_a_day.total == Tally(1, protected=1)
    assert after_a_day.attacked == []


async def test_the_accounts_of_a_portfolio_add_up_and_hold_nobody_elses(office: Office):
    second = await portfolios.add_waba(office.world, office.portfolio, "A second one")
    elsewhere = (await office.world.store.wabas(office.neighbour.portfolio))[0]
    await add(office, 3, second.id)
    await numbers.add_number(office.world, elsewhere.id, "+16315570000", CC, "Thief's")

    found = await seen(office)
    thiefs = await seen(office, office.neighbour)

    assert [(account.name, tally.numbers) for account, tally in found.accounts] == [
        ("A second one", 3), ("My WhatsApp account", 1),
    ]  # fmt: skip
    assert found.total.numbers == 4
    assert thiefs.total.numbers == 1


async def test_the_chart_has_thirty_days_and_each_thing_on_its_day(office: Office):
    await office.owner_is_protected()
    await attack(office, 3)
    await office.scene.register(office.scene.owner, OWNER.pin)
    first = office.world.clock.now().date()
    office.scene.pass_time(2 * 86_400)
    await attack(office, 1)

    days = await overview.chart(office.world, await office.owner())

    today = office.world.clock.now().date()
    assert len(days) == CHART_DAYS
    assert [day.date for day in days] == sorted({day.date for day in days})
    assert days[-1] == Day(today, 1, 0, 0)
    assert days[-3] == Day(first, 3, 1, 1)
    assert {(day.wrong, day.right, day.registered) for day in days[:-3]} == {(0, 0, 0)}


async def test_after_thirty_days_a_day_has_left_the_chart(office: Office):
    await office.owner_is_protected()
    await attack(office, 1)

    office.scene.pass_time(29 * 86_400)
    still = sum(day.wrong for day in await overview.chart(office.world, await office.owner()))
    office.scene.pass_time(86_400)
    gone = sum(day.wrong for day in await overview.chart(office.world, await office.owner()))

    assert (still, gone) == (1, 0)


async def test_the_thief_next_door_sees_none_of_it(office: Office):
    await office.owner_is_protected()
    await attack(office, 3)

    found = await seen(office, office.neighbour)

    assert (found.total, found.attacked) == (Tally(), [])
    assert sum(day.wrong + day.registered for day in found.days) == 0
    with pytest.raises(WabaUnknown):
        await overview.numbers(
            office.world, office.neighbour, await waba(office), Show.ALL, "", None, 10
        )
    with pytest.raises(WabaUnknown):
        await all_of(
            overview.all_numbers(office.world, office.neighbour, await waba(office), Show.ALL, "")
        )


async def test_a_list_comes_a_page_at_a_time_and_an_export_whole(office: Office):
    added = await add(office, 25)
    owner, account = await office.owner(), await waba(office)

    pages, after = [], None
    while True:
        page = await overview.numbers(office.world, owner, account, Show.ALL, "", after, 10)
        pages.append([line.number.e164 for line in page.lines])
        after = page.next
        if after is None:
            break

    assert [len(page) for page in pages] == [10, 10, 6]
    paged = [e164 for page in pages for e164 in page]
    assert paged == sorted([E164, *added])
    exported = overview.all_numbers(office.world, owner, account, Show.ALL, "")
    assert await all_of(exported) == paged


async def test_an_export_longer_than_one_reading_is_whole(office: Office):
    await add(office, 600)
    owner, account = await office.owner(), await waba(office)

    exported = await all_of(overview.all_numbers(office.world, owner, account, Show.ALL, ""))
    found = await all_of(overview.all_numbers(office.world, owner, account, Show.ALL, "shrub"))

    assert len(exported) == len(set(exported)) == 601
    assert sorted(found) == exported


async def test_a_search_finds_a_number_by_its_last_digits(office: Office):
    await add(office, 25)

    page = await overview.numbers(
        office.world, await office.owner(), await waba(office), Show.ALL, "5-1000", None, 10
    )

    assert [line.number.e164 for line in page.lines] == [E164]


async def test_a_timeline_is_read_from_its_end_a_page_at_a_time(office: Office):
    await office.owner_is_protected()
    await attack(office, 4)
    number = await office.number()

    first = await overview.timeline(office.world, number, None, 5)
    second = await overview.timeline(office.world, number, first[-1].seq, 500)
    whole = [link async for link in overview.whole_timeline(office.world, number)]

    assert [*first, *second] == whole[::-1]
    assert len(first) == 5


async def test_the_portfolios_own_trail_is_read_the_same_way(office: Office):
    await office.sign_in()

    found = await overview.portfolio_events(office.world, await office.owner(), None, 10)
    thiefs = await overview.portfolio_events(office.world, office.neighbour, None, 10)

    assert [link.event.kind.value for link in found] == [
        "member.signed_in", "portfolio.changed", "member.joined",
    ]  # fmt: skip
    assert not {link.subject for link in found} & {link.subject for link in thiefs}
