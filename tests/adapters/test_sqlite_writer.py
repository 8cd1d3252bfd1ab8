"""One writing thread, many changes in a commit: who is told what when something fails."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from nightlatch.adapters.sql.step import ConstraintBroken, Step
from nightlatch.adapters.sqlite import SqliteStore, StoreRefused
from nightlatch.adapters.sqlite.writer import Writer, connect
from nightlatch.domain.errors import Unavailable
from nightlatch.domain.numbers import Decision
from tests.contracts.checks import assert_chains_hold, count_one, outcomes, ticket, trail
from tests.contracts.makers import NUMBER_ID, MakeSqlite


@pytest.fixture
async def make_store(tmp_path: Path) -> AsyncIterator[MakeSqlite]:
    made = MakeSqlite(tmp_path)
    yield made
    await made.close()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    path = tmp_path / "plain.db"
    made = Writer(path)
    made._connection.execute("CREATE TABLE kept (value INTEGER UNIQUE CHECK (value >= 0))")
    yield made
    made.close()


def keep(value: int):
    return lambda step: step.run("INSERT INTO kept VALUES (?)", (value,))


def kept(writer: Writer) -> list[int]:
    return [value for (value,) in writer._connection.execute("SELECT value FROM kept ORDER BY 1")]


@asynccontextmanager
async def busy(writer: Writer) -> AsyncIterator[None]:
    """The writer is in the middle of an earlier commit until the context ends."""
    begun, go_on = threading.Event(), threading.Event()

    async def wait(_: Step) -> None:
        begun.set()
        go_on.wait()

    first = asyncio.ensure_future(writer.run(wait))
    await asyncio.to_thread(begun.wait)
    try:
        yield
    finally:
        go_on.set()
        await first


async def in_one_commit(writer: Writer, *works) -> list[object]:
    """What each of *works* returned or raised, when all of them share one commit."""
    async with busy(writer):
        running = asyncio.ensure_future(outcomes([writer.run(work) for work in works]))
        while writer._queue.qsize() < len(works):
            await asyncio.sleep(0)
    return await running


# Durable


def test_every_connection_waits_for_the_disk(tmp_path: Path):
    for readonly in (False, True):
        connection = connect(tmp_path / "new.db", readonly=readonly)

        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
        connection.close()


def test_a_database_that_cannot_be_durable_is_refused(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(StoreRefused, match=r"durably here \(journal memory"):
        connect(Path(":memory:"))


def test_a_reading_connection_cannot_write(tmp_path: Path):
    writing, reading = connect(tmp_path / "a.db"), connect(tmp_path / "a.db", readonly=True)
    writing.execute("CREATE TABLE kept (value)")

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reading.execute("INSERT INTO kept VALUES (1)")

    writing.close()
    reading.close()


# One commit for many


async def test_changes_of_one_moment_share_a_commit_and_each_gets_its_own_answer(writer: Writer):
    answers = await in_one_commit(writer, *(keep(n) for n in range(50)))

    assert answers == [1] * 50
    assert kept(writer) == list(range(50))


async def test_work_that_raises_is_undone_alone(writer: Writer):
    async def half(step: Step) -> None:
        await keep(7)(step)
        raise LookupError("half way")

    answers = await in_one_commit(writer, keep(1), half, keep(2))

    assert answers[0] == answers[2] == 1
    assert isinstance(answers[1], LookupError)
    assert kept(writer) == [1, 2]


async def test_a_broken_constraint_undoes_its_own_step_alone(writer: Writer):
    answers = await in_one_commit(writer, keep(1), keep(-1), keep(2))

    assert answers[0] == answers[2] == 1
    assert isinstance(answers[1], ConstraintBroken)
    assert kept(writer) == [1, 2]


async def test_when_the_database_fails_nobody_of_that_commit_hears_a_false_success(
    writer: Writer,
):
    """The whole commit is given up: what is not certain is called unavailable."""

    async def failing(step: Step) -> None:
        await step.run("INSERT INTO nowhere VALUES (1)")

    answers = await in_one_commit(writer, keep(1), failing, keep(2))

    assert kept(writer) == []
    assert [type(answer) for answer in answers] == [Unavailable] * 3
    assert await writer.run(keep(3)) == 1
    assert kept(writer) == [3]


async def test_a_failing_commit_is_told_to_everybody_in_it(writer: Writer):
    connection = writer._connection
    connection.execute("CREATE TABLE late (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
    connection.execute("CREATE TABLE parent (id PRIMARY KEY)")

    answers = await in_one_commit(
        writer, keep(1), lambda step: step.run("INSERT INTO late VALUES (1)"), keep(2)
    )

    assert [type(answer) for answer in answers] == [Unavailable] * 3
    assert kept(writer) == []
    assert await writer.run(keep(3)) == 1


async def test_a_caller_who_is_gone_before_the_step_begins_leaves_nothing(writer: Writer):
    async def give_up() -> None:
        task = asyncio.ensure_future(writer.run(keep(1)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})

    async with busy(writer):
        await give_up()
    await writer.run(keep(2))

    assert kept(writer) == [2]


async def test_a_loop_that_is_closed_leaves_the_writer_to_the_others(writer: Writer):
    def begin_and_leave() -> None:
        async def begin() -> None:
            asyncio.ensure_future(writer.run(keep(1)))  # noqa: RUF006 - abandoned on purpose
            await asyncio.sleep(0)

        asyncio.run(begin())

    await asyncio.to_thread(begin_and_leave)

    assert await writer.run(keep(2)) == 1
    assert 2 in kept(writer)


async def test_closing_finishes_what_is_queued_and_may_be_repeated(tmp_path: Path):
    writer = Writer(tmp_path / "a.db")
    await writer.run(lambda step: step.run("CREATE TABLE kept (value)"))
    running = [asyncio.ensure_future(writer.run(keep(n))) for n in range(600)]
    await asyncio.sleep(0)

    await asyncio.to_thread(writer.close)
    writer.close()

    assert await asyncio.gather(*running) == [1] * 600
    reader = sqlite3.connect(tmp_path / "a.db")
    assert reader.execute("SELECT count(*) FROM kept").fetchone() == (600,)
    reader.close()


# A full disk


async def test_a_full_disk_is_unavailable_and_all_is_well_once_there_is_room(
    make_store: MakeSqlite,
):
    store = await make_store.with_owner_and_thief()
    await store.update(NUMBER_ID, count_one("owner"))

    async def limit(step: Step) -> None:
        (pages,) = await step.one("PRAGMA page_count")
        await step.one(f"PRAGMA max_page_count = {pages}")

    await store._writer.run(limit)
    big = replace(await _number(store), name="x" * 100_000)
    refused = await outcomes(
        [store.update(NUMBER_ID, lambda _: Decision(big)) for _ in range(5)]
        + [store.update(NUMBER_ID, lambda n: replace(count_one("x")(n), number=big))]
    )
    seen_when_full = await ticket(store)
    await store._writer.run(lambda step: step.one("PRAGMA max_page_count = 100000"))
    await store.update(NUMBER_ID, count_one("owner"))

    assert [type(end) for end in refused] == [Unavailable] * 6
    assert seen_when_full == 1
    assert await ticket(store) == 2
    assert len(await trail(store)) == 2
    await assert_chains_hold(store)
    assert await store.faults() == []


async def _number(store: SqliteStore):
    number = await store.number(NUMBER_ID)
    assert number is not None
    return number
