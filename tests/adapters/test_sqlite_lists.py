"""What a page of many numbers costs, counted in steps of SQLite's virtual machine, not in time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from nightlatch.adapters.sql.step import Values
from nightlatch.adapters.sqlite import SqliteStore
from nightlatch.domain.guesses import Guesses, Paid
from nightlatch.domain.numbers import Number, TwoStep
from nightlatch.domain.overview import Show
from tests.contracts.makers import WABA, MakeSqlite, a_number
from tests.people import NOON

FEW, MANY = 100, 5_000
LIMIT = 25


def crowd(count: int) -> list[Number]:
    """A third of the first hundred waits, a third is locked, a third is attacked; all later ones
    are quiet."""
    found = []
    for n in range(2, count + 2):
        guesses = Guesses()
        kind = n % 3 if n < FEW else None
        at = NOON - timedelta(seconds=n)
        if kind == 0:
            guesses = Guesses(ticket=10, run=10, paid=(Paid(10, at),), since=at)
        elif kind == 1:
            guesses = Guesses(ticket=100, run=100, locked=True)
        elif kind == 2:
            guesses = Guesses(ticket=3, run=3, paid=(Paid(3, at),))
        number = a_number(n, name=f"Shop {n}", guesses=guesses)
        found.append(replace(number, two_step=TwoStep(1, b"x")) if n % 3 else number)
    return found


@asynccontextmanager
async def a_store(folder: Path, count: int) -> AsyncIterator[SqliteStore]:
    folder.mkdir()
    make = MakeSqlite(folder)
    store = await make.with_owner_and_thief()
    numbers = iter(crowd(count))
    while some := list(islice(numbers, 200)):
        await asyncio.gather(*(store.add_number(number, ()) for number in some))
    yield store
    await make.close()


async def steps(store: SqliteStore, ask: Callable[[SqliteStore], Awaitable[Any]]) -> int:
    """How many instructions SQLite runs to answer."""
    taken = 0

    def one() -> int:
        nonlocal taken
        taken += 1
        return 0

    store._reading.set_progress_handler(one, 1)
    await ask(store)
    store._reading.set_progress_handler(None, 1)
    return taken


def listed(
    show: Show = Show.ALL, text: str = "", pages: int = 1
) -> Callable[[SqliteStore], Awaitable[Any]]:
    async def ask(store: SqliteStore) -> None:
        after = None
        for _ in range(pages):
            page = await store.list_numbers(WABA, show, text, NOON, after, LIMIT)
            assert len(page.lines) == (1 if text.isdigit() else LIMIT)
            after = page.next

    return ask


async def tallied(store: SqliteStore) -> None:
    assert (await store.tally(WABA, NOON)).numbers > FEW


async def attacked(store: SqliteStore) -> None:
    assert len(await store.attacked("2", NOON, 10)) == 10


ASKED = {
    "the list": listed(),
    "its third page": listed(pages=3),
    **{show.value: listed(show) for show in Show if show not in {Show.CONNECTED, Show.DISCONNECTED}},
    "the last digits": listed(text="60077"),
    "a word": listed(text="shop"),
    "a word among the unprotected": listed(Show.UNPROTECTED, "shop"),
    "numbers under attack": attacked,
    "the counts": tallied,
}  # fmt: skip


async def test_a_page_costs_the_same_with_fifty_times_as_many_numbers(tmp_path: Path):
    async with a_store(tmp_path / "few", FEW) as few, a_store(tmp_path / "many", MANY) as many:
        costs = {
            what: (await steps(few, ask), await steps(many, ask)) for what, ask in ASKED.items()
        }

    assert {what: (a, b) for what, (a, b) in costs.items() if b > 1.5 * a} == {}


async def test_two_words_that_are_common_cost_the_same_once_they_are_common(tmp_path: Path):
    both = listed(text="sho 1")
    async with a_store(tmp_path / "a", 2_500) as less, a_store(tmp_path / "b", MANY) as more:
        cost = (await steps(less, both), await steps(more, both))

    assert cost[1] <= 1.5 * cost[0]


async def test_a_list_that_reads_every_number_is_noticed(tmp_path: Path):
    async def everything(store: SqliteStore) -> None:
        await store._all("SELECT count(*) FROM numbers WHERE name LIKE ?", ("%7%",))

    async with a_store(tmp_path / "few", FEW) as few, a_store(tmp_path / "many", MANY) as many:
        cost = (await steps(few, everything), await steps(many, everything))

    assert cost[1] > 1.5 * cost[0]


@pytest.mark.parametrize("show", Show)
async def test_every_list_has_an_index_in_its_order(tmp_path: Path, show: Show):
    async with a_store(tmp_path / "few", 1) as store:
        plans: list[str] = []

        async def explained(sql: str, values: Values = ()) -> list[Any]:
            plans.extend(
                row[3] for row in store._reading.execute(f"EXPLAIN QUERY PLAN {sql}", values)
            )
            return []

        store._all = explained  # type: ignore[method-assign]  # to see the statement, not its rows
        await store.list_numbers(WABA, show, "", NOON, None, LIMIT)

    assert any("USING INDEX numbers_" in step for step in plans), plans
    assert not any("TEMP B-TREE" in step for step in plans), plans
