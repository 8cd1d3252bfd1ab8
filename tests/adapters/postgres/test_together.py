"""A row that a store wrote is remembered for the next change, and never believed when it is old."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from nightlatch.adapters.postgres import PostgresStore
from nightlatch.domain.errors import NumberLocked
from nightlatch.domain.numbers import Decision, Number
from tests.contracts.checks import count_one, ticket
from tests.contracts.make_postgres import MakePostgres
from tests.contracts.makers import NUMBER_ID


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    """Two stores on one database, as two nodes have them; the first has just written the number."""
    make = MakePostgres(tmp_path)
    try:
        here, there = await make.with_owner_and_thief(), await make()
        await here.update(NUMBER_ID, count_one("here"))
        yield here, there
    finally:
        await make.close()


def lock(number: Number) -> Decision:
    return Decision(replace(number, guesses=replace(number.guesses, locked=True)))


def unlock(number: Number) -> Decision:
    return Decision(replace(number, guesses=replace(number.guesses, locked=False)))


def refuse_a_locked_one(number: Number) -> Decision:
    if number.guesses.locked:
        raise NumberLocked
    return count_one("here")(number)


async def test_a_change_counts_on_top_of_what_another_store_kept(
    two: tuple[PostgresStore, PostgresStore],
):
    here, there = two
    for _ in range(3):
        await there.update(NUMBER_ID, count_one("there"))

    assert (await here.update(NUMBER_ID, count_one("here"))).guesses.ticket == 5
    assert await ticket(there, NUMBER_ID) == 5


async def test_a_lock_that_another_store_set_refuses_here(
    two: tuple[PostgresStore, PostgresStore],
):
    here, there = two
    await there.update(NUMBER_ID, lock)

    with pytest.raises(NumberLocked):
        await here.update(NUMBER_ID, refuse_a_locked_one)
    assert await ticket(there, NUMBER_ID) == 1


async def test_a_lock_that_another_store_opened_refuses_no_more(
    two: tuple[PostgresStore, PostgresStore],
):
    here, there = two
    await here.update(NUMBER_ID, lock)
    await there.update(NUMBER_ID, unlock)

    assert (await here.update(NUMBER_ID, refuse_a_locked_one)).guesses.ticket == 2


async def test_a_change_that_changes_nothing_returns_what_another_store_kept(
    two: tuple[PostgresStore, PostgresStore],
):
    here, there = two
    await there.update(NUMBER_ID, lock)

    assert (await here.update(NUMBER_ID, Decision)).guesses.locked
