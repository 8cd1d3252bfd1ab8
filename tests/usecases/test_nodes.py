"""Objects of the Graph face: who sees which, and pages of numbers."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain.access import Caller, SystemRole
from nightlatch.domain.errors import NodeUnknown, NumberExists, ParameterInvalid
from nightlatch.domain.numbers import Decision, Number
from nightlatch.domain.portfolios import Waba
from nightlatch.ports import World
from nightlatch.usecases import access, nodes, numbers, portfolios
from nightlatch.usecases.nodes import Page
from tests.people import CC, E164
from tests.usecases.conftest import Scene

SECOND = timedelta(seconds=1)
TWO_WAYS = pytest.mark.parametrize("newest_first", [True, False])


async def first_waba(world: World) -> Waba:
    waba = await world.store.waba((await numbers.find_number(world, E164)).waba)
    assert waba is not None
    return waba


async def caller(
    world: World, portfolio: str, role: SystemRole = SystemRole.ADMIN, *wabas: str
) -> Caller:
    app = (await access.add_app(world, portfolio, "App")).app
    return Caller(app, await access.add_system_user(world, portfolio, "User", role, wabas))


# Who sees which


async def test_each_caller_sees_its_own_and_of_the_rest_not_even_that_it_exists(scene: Scene):
    world = scene.world
    waba = await first_waba(world)
    second = await portfolios.add_waba(world, waba.portfolio, "Second")
    other = await portfolios.add_portfolio(world, "Elsewhere", "post@elsewhere.example")
    (foreign,) = await world.store.wabas(other.id)
    number = await scene.number()
    in_second = await numbers.add_number(world, second.id, "+16315551777", CC, "Second Shrub")
    in_foreign = await numbers.add_number(world, foreign.id, "+16315551888", CC, "Foreign")
    admin = await caller(world, waba.portfolio)
    clerk = await caller(world, waba.portfolio, SystemRole.EMPLOYEE, waba.id)
    idle = await caller(world, waba.portfolio, SystemRole.EMPLOYEE)
    thief = await caller(world, other.id)
    the_app = Caller(admin.app)

    everybody = {"admin": admin, "clerk": clerk, "idle": idle, "thief": thief, "app": the_app}
    seen_by = {
        number.id: {"admin", "clerk"},
        in_second.id: {"admin"},
        in_foreign.id: {"thief"},
        waba.id: {"admin", "clerk"},
        second.id: {"admin"},
        foreign.id: {"thief"},
        waba.portfolio: {"admin", "clerk", "idle"},
        other.id: {"thief"},
        admin.app.id: {"admin", "app"},
        clerk.app.id: {"clerk"},
        thief.app.id: {"thief"},
        "100000000000000": set(),
        "": set(),
        "x": set(),
        "9" * 40: set(),
        f"0{number.id}": set(),
        "٣" * 15: set(),
    }
    for id_, wanted in seen_by.items():
        for name, one in everybody.items():
            if name in wanted:
                assert (await nodes.find(world, one, id_)).id == id_
            else:
                with pytest.raises(NodeUnknown) as refused:
                    await nodes.find(world, one, id_)
                assert refused.value.id == id_


async def test_a_number_is_added_in_the_name_of_the_caller(scene: Scene):
    world = scene.world
    waba = await first_waba(world)
    one = await caller(world, waba.portfolio)

    number = await nodes.add_number(world, one, waba, "+16315551777", CC, "Second Shrub")

    trail = [link.event async for link in world.store.audit(f"number:{number.id}")]
    assert (number.waba, trail[0].by) == (waba.id, one.name)
    with pytest.raises(NumberExists):
        await nodes.add_number(world, one, waba, "+16315551777", CC, "Second Shrub")


async def test_a_number_is_here_or_elsewhere_or_nowhere(scene: Scene):
    world = scene.world
    waba = await first_waba(world)
    second = await portfolios.add_waba(world, waba.portfolio, "Second")

    assert await nodes.is_here(world, waba, E164)
    assert not await nodes.is_here(world, second, E164)
    assert not await nodes.is_here(world, waba, "+16315559999")


# Pages


async def with_numbers(scene: Scene, count: int) -> tuple[Waba, list[str]]:
    """An account of *count* numbers, some never registered, some at the same moment; their ids
    by when they were registered, the oldest first."""
    world = scene.world
    owner = await first_waba(world)
    waba = await portfolios.add_waba(world, owner.portfolio, "Many")
    now = world.clock.now()
    placed: list[tuple[int, int]] = []
    for n in range(count):
        number = await numbers.add_number(world, waba.id, f"+1631556{n:04d}", CC, f"Shrub {n}")
        at = (n * 7) % 5  # 0: never; the others in groups
        placed.append((at, int(number.id)))
        if at:
            await registered(world, number.id, now + at * SECOND)
    await numbers.add_number(world, owner.id, "+16315569999", CC, "Not of this account")
    return waba, [str(id_) for _, id_ in sorted(placed)]


async def registered(world: World, id_: str, at: datetime) -> None:
    await world.store.update(
        id_, lambda n: Decision(replace(n, holder="Cloud API", registered_at=at))
    )


async def follow(
    world: World,
    waba: Waba,
    limit: int,
    *,
    back: bool = False,
    begin: str | None = None,
    meanwhile: Callable[[], Any] | None = None,
    **how: Any,
) -> list[str]:
    """All ids, page after page, from the beginning on or from *begin* back."""
    found: list[str] = []
    cursor = begin
    for _ in range(200):
        place: dict[str, Any] = {"before" if back else "after": cursor}
        page = await nodes.numbers_of(world, waba, limit, **place, **how)
        ids = [number.id for number in page.numbers]
        assert len(ids) <= limit
        found = ids + found if back else found + ids
        if not (page.has_previous if back else page.has_next):
            return found
        cursor = page.before if back else page.after
        if meanwhile is not None:
            await meanwhile()
    raise AssertionError("the pages never end")


@TWO_WAYS
async def test_following_pages_gives_every_number_once_in_order(scene: Scene, newest_first: bool):
    waba, ids = await with_numbers(scene, 13)
    wanted = ids[::-1] if newest_first else ids

    for limit in (1, 2, 3, 7, 12, 13, 14, 100):
        assert await follow(scene.world, waba, limit, newest_first=newest_first) == wanted


@TWO_WAYS
async def test_following_pages_back_gives_every_number_before_once_in_order(
    scene: Scene, newest_first: bool
):
    waba, ids = await with_numbers(scene, 13)
    wanted = ids[::-1] if newest_first else ids
    last = await nodes.numbers_of(scene.world, waba, 100, newest_first=newest_first)

    for limit in (1, 2, 3, 7, 12, 13, 100):
        found = await follow(
            scene.world, waba, limit, back=True, begin=last.after, newest_first=newest_first
        )
        assert found == wanted[:-1]


@TWO_WAYS
async def test_a_page_back_from_the_next_page_is_the_page_one_came_from(
    scene: Scene, newest_first: bool
):
    waba, _ = await with_numbers(scene, 16)

    async def page(**cursor: str | None) -> Page:
        return await nodes.numbers_of(scene.world, waba, 5, newest_first=newest_first, **cursor)

    first = await page()
    second = await page(after=first.after)
    third = await page(after=second.after)
    back = await page(before=third.before)

    assert list(back.numbers) == list(second.numbers)
    assert (back.before, back.after) == (second.before, second.after)
    assert [p.has_previous for p in (first, second, back)] == [False, True, True]
    assert [p.has_next for p in (first, second, back)] == [True, True, True]
    assert not (await page(before=second.before)).has_previous


async def test_a_page_of_nothing_leads_nowhere(scene: Scene):
    world = scene.world
    waba = await portfolios.add_waba(world, (await first_waba(world)).portfolio, "Empty")
    full, _ = await with_numbers(scene, 3)
    whole = await nodes.numbers_of(world, full, 25)
    nothing = Page([], None, None, has_previous=False, has_next=False)

    assert await nodes.numbers_of(world, waba, 25) == nothing
    assert await nodes.numbers_of(world, full, 25, after=whole.after) == nothing
    assert await nodes.numbers_of(world, full, 25, before=whole.before) == nothing


async def test_the_newest_come_first_unless_asked_for_otherwise(scene: Scene):
    waba, ids = await with_numbers(scene, 6)

    page = await nodes.numbers_of(scene.world, waba, 25)

    assert [number.id for number in page.numbers] == ids[::-1]


async def test_with_both_cursors_the_one_to_go_behind_counts(scene: Scene):
    waba, ids = await with_numbers(scene, 6)
    first = await nodes.numbers_of(scene.world, waba, 2)

    page = await nodes.numbers_of(scene.world, waba, 2, after=first.after, before=first.before)

    assert [number.id for number in page.numbers] == ids[::-1][2:4]


@TWO_WAYS
@pytest.mark.parametrize("back", [True, False])
async def test_what_was_there_is_met_once_whatever_is_added_meanwhile(
    scene: Scene, newest_first: bool, back: bool
):
    waba, ids = await with_numbers(scene, 12)
    whole = await nodes.numbers_of(scene.world, waba, 100, newest_first=newest_first)
    added = 0

    async def add() -> None:
        nonlocal added
        added += 1
        number = await numbers.add_number(
            scene.world, waba.id, f"+1631557{added:04d}", CC, "Late Shrub"
        )
        if added % 2:
            await registered(scene.world, number.id, scene.world.clock.now())

    found = await follow(
        scene.world, waba, 3, back=back, begin=whole.after if back else None,
        newest_first=newest_first, meanwhile=add,
    )  # fmt: skip

    wanted = ids[::-1] if newest_first else ids
    assert [id_ for id_ in found if id_ in ids] == (wanted[:-1] if back else wanted)


@TWO_WAYS
async def test_what_is_registered_meanwhile_costs_no_other_number_its_place(
    scene: Scene, newest_first: bool
):
    waba, ids = await with_numbers(scene, 12)
    moved: list[str] = []

    async def move() -> None:
        id_ = ids[(len(moved) * 3) % 12]
        moved.append(id_)
        await registered(scene.world, id_, scene.world.clock.now() + timedelta(hours=1))

    found = await follow(scene.world, waba, 3, newest_first=newest_first, meanwhile=move)

    stayed = [id_ for id_ in ids if id_ not in moved]
    wanted = stayed[::-1] if newest_first else stayed
    assert [id_ for id_ in found if id_ in stayed] == wanted
    if newest_first:
        assert len(found) == len(set(found)), "a number that went ahead was met twice"
    else:
        assert set(found) == set(ids), "a number that went behind was missed"


# Cursors that are none


def cursor(text: str | bytes) -> str:
    raw = text.encode() if isinstance(text, str) else text
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x",
        "=",
        "....",
        "٣٣٣٣",
        "\ud800",
        "\x00",
        cursor("1"),
        cursor("1."),
        cursor(".1"),
        cursor("."),
        cursor("-1.1"),
        cursor("1.-1"),
        cursor("1e3.1"),
        cursor("1.0x1"),
        cursor("1. 1"),
        cursor("1.1.1"),
        cursor("٣.٣"),
        cursor(b"\xff.1"),
        cursor("1." + "9" * 19),
        cursor("9" * 30 + ".1"),
        cursor("9" * 5_000 + ".1"),
        cursor("1.1 OR 1=1"),
        "A" * 100_000,
    ],
)
async def test_a_cursor_that_is_none_is_refused(scene: Scene, bad: str):
    waba = await first_waba(scene.world)

    ways: tuple[dict[str, Any], ...] = ({"after": bad}, {"before": bad})
    for way in ways:
        with pytest.raises(ParameterInvalid) as refused:
            await nodes.numbers_of(scene.world, waba, 25, **way)
        assert refused.value.name == "cursor"


@given(st.one_of(st.text(max_size=40), st.binary(max_size=40).map(cursor)))
def test_any_cursor_is_a_place_or_refused(text: str):
    try:
        at, id_ = nodes._place(text)
    except ParameterInvalid:
        return

    assert at is None or at.tzinfo is UTC
    assert 0 <= int(id_) < 10**18


@pytest.mark.parametrize(
    "place", ["0.0", "0." + "9" * 18, "1.1", "253402300799999999." + "9" * 18, "1700000000000000.5"]
)
async def test_a_cursor_that_somebody_made_up_is_a_place_and_shows_nothing_foreign(
    scene: Scene, place: str
):
    waba, ids = await with_numbers(scene, 6)

    for newest_first in (True, False):
        for way in ({"after": cursor(place)}, {"before": cursor(place)}):
            page = await nodes.numbers_of(scene.world, waba, 25, newest_first=newest_first, **way)
            assert {number.id for number in page.numbers} <= set(ids)


async def test_a_cursor_of_another_account_shows_nothing_of_it(scene: Scene):
    world = scene.world
    mine = await first_waba(world)
    other, ids = await with_numbers(scene, 6)
    foreign = await nodes.numbers_of(world, other, 3)

    page = await nodes.numbers_of(world, mine, 25, after=foreign.after)
    back = await nodes.numbers_of(world, mine, 25, before=foreign.before)

    found: list[Number] = [*page.numbers, *back.numbers]
    assert not {number.id for number in found} & set(ids)
