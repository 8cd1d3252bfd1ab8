"""The database file: opened, brought to the current schema, refused, copied."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from nightlatch.adapters.sql import rows
from nightlatch.adapters.sqlite import SqliteStore, StoreRefused
from nightlatch.adapters.sqlite.schema import migrate, migrations
from nightlatch.adapters.sqlite.writer import connect
from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.errors import NumberExists
from nightlatch.domain.guesses import Guesses, Paid
from nightlatch.domain.linked import LinkedDecision
from nightlatch.domain.numbers import CLOUD_API, Decision
from nightlatch.domain.overview import Show
from tests.contracts.checks import assert_chains_hold, count_one, ticket, trail
from tests.contracts.linked import a_link, a_linked
from tests.contracts.makers import AUDIT_KEY, NUMBER_ID, ROOT, WABA, MakeSqlite, a_number
from tests.people import NOON

OPEN = (
    "import sys; from pathlib import Path; from nightlatch.adapters.sqlite import SqliteStore;"
    "sys.stdin.readline(); SqliteStore(Path(sys.argv[1]), b'key').close()"
)


@pytest.fixture
async def make_store(tmp_path: Path) -> AsyncIterator[MakeSqlite]:
    made = MakeSqlite(tmp_path)
    yield made
    await made.close()


def version(path: Path) -> int:
    connection = sqlite3.connect(path)
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return int(found)


def schema(path: Path) -> list[object]:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()
    connection.close()
    return found


async def test_only_its_owner_may_read_the_database_and_its_log(make_store: MakeSqlite):
    before = os.umask(0)
    try:
        store = await make_store.with_owner_and_thief()
    finally:
        os.umask(before)
    await store.update(NUMBER_ID, count_one("owner"))

    modes = {file.name: file.stat().st_mode & 0o777 for file in make_store.folder.iterdir()}
    assert modes == dict.fromkeys(("store.db", "store.db-wal", "store.db-shm"), 0o600)


# The schema


def test_opening_again_changes_nothing(tmp_path: Path):
    path = tmp_path / "store.db"
    SqliteStore(path, AUDIT_KEY).close()
    first = schema(path)

    SqliteStore(path, AUDIT_KEY).close()

    assert version(path) == len(migrations())
    assert schema(path) == first


def test_several_processes_may_open_a_new_file_at_once(tmp_path: Path):
    path = tmp_path / "store.db"
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(6)
    ]

    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.write(b"go\n")
        opener.stdin.flush()
    said = [opener.communicate()[1] for opener in openers]

    assert said == [b""] * 6
    assert version(path) == len(migrations())


def test_several_threads_may_open_a_new_file_at_once(tmp_path: Path):
    begin = threading.Barrier(6)
    opened: list[SqliteStore | Exception] = []

    def start() -> None:
        begin.wait()
        try:
            opened.append(SqliteStore(tmp_path / "store.db", AUDIT_KEY))
        except Exception as error:
            opened.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in opened:
        if isinstance(store, SqliteStore):
            store.close()

    assert [type(store) for store in opened] == [SqliteStore] * 6


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path):
    path = tmp_path / "store.db"
    SqliteStore(path, AUDIT_KEY).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(migrations()) + 1}")
    connection.close()
    threads = threading.active_count()

    with pytest.raises(StoreRefused, match="start the newer version again"):
        SqliteStore(path, AUDIT_KEY)

    assert version(path) == len(migrations()) + 1
    assert threading.active_count() == threads, "a writing thread was left behind"


def test_a_migration_that_fails_leaves_the_schema_it_found(tmp_path: Path):
    path = tmp_path / "store.db"
    connection = connect(path)
    connection.execute("CREATE TABLE wabas (in_the_way)")  # the first script stumbles over it
    before = schema(path)

    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        migrate(connection)
    connection.close()

    assert version(path) == 0
    assert schema(path) == before


# What is no database of ours


@pytest.mark.parametrize("content", [b"not a database, but long enough " * 200, b"x" * 4096])
def test_a_file_that_is_no_database_is_refused_with_a_clear_message(tmp_path: Path, content: bytes):
    path = tmp_path / "store.db"
    path.write_bytes(content)

    with pytest.raises(StoreRefused, match=f"{path} cannot be opened as a database"):
        SqliteStore(path, AUDIT_KEY)

    assert path.read_bytes() == content


def test_a_database_with_a_spoilt_beginning_is_refused_with_a_clear_message(tmp_path: Path):
    path = tmp_path / "store.db"
    SqliteStore(path, AUDIT_KEY).close()
    raw = bytearray(path.read_bytes())
    raw[100:4000] = os.urandom(3900)
    path.write_bytes(bytes(raw))

    with pytest.raises(StoreRefused, match=f"{path} cannot be opened as a database"):
        SqliteStore(path, AUDIT_KEY)


def test_a_folder_in_the_place_of_the_file_is_refused_with_a_clear_message(tmp_path: Path):
    with pytest.raises(StoreRefused, match=f"{tmp_path} cannot be opened as a database"):
        SqliteStore(tmp_path, AUDIT_KEY)


def test_a_missing_folder_is_refused_with_a_clear_message(tmp_path: Path):
    with pytest.raises(StoreRefused, match="cannot be opened as a database"):
        SqliteStore(tmp_path / "nowhere" / "store.db", AUDIT_KEY)


# Copies


async def test_a_copy_is_whole_and_consistent_while_others_write(make_store: MakeSqlite):
    store, copy = await make_store.with_owner_and_thief(), make_store.folder / "copy.db"
    events = tuple(Event(Kind.GUESS_PAID, "x" * 900, NOON, (("ticket", 0),)) for _ in range(4_000))
    await store.update(NUMBER_ID, lambda n: Decision(n, events))  # more than one piece of a copy
    heard: list[tuple[int, int]] = []
    written = 0
    stop = threading.Event()

    def progress(left: int, total: int) -> None:
        """Let a change come between each two pieces."""
        heard.append((left, total))
        if len(heard) > 100:
            raise TimeoutError("the copy begins anew with every change")
        before = written
        while written == before and not stop.is_set():
            time.sleep(0.001)

    async def write() -> None:
        nonlocal written
        while not stop.is_set():
            await store.update(NUMBER_ID, count_one("owner"))
            written += 1

    writing = asyncio.create_task(write())
    while written < 10:
        await asyncio.sleep(0)
    try:
        await asyncio.to_thread(store.backup, copy, progress)
    finally:
        stop.set()
        await writing

    restored = SqliteStore(copy, AUDIT_KEY)
    counted = await ticket(restored)
    assert 10 <= counted <= written
    assert len(await trail(restored)) == 4_000 + counted
    assert await restored.faults() == []
    assert copy.stat().st_mode & 0o777 == 0o600
    assert heard[-1][0] == 0
    assert len(heard) > 1
    await assert_chains_hold(restored)
    restored.close()


async def test_a_copy_never_takes_the_place_of_a_file(make_store: MakeSqlite):
    store = await make_store.with_owner_and_thief()
    there = make_store.folder / "there"
    there.write_text("mine")

    with pytest.raises(StoreRefused, match="is there already"):
        store.backup(there, lambda _left, _total: None)

    assert there.read_text() == "mine"


async def test_a_row_that_points_nowhere_is_found_and_a_good_file_has_no_fault(
    make_store: MakeSqlite,
):
    store = await make_store.with_owner_and_thief()
    good = await store.faults()
    store._writer._connection.execute("PRAGMA foreign_keys = OFF")
    store._writer._connection.execute("DELETE FROM wabas")

    assert good == []
    assert await store.faults() == ["a row of numbers points nowhere"]


@pytest.mark.parametrize("holder", ["main", CLOUD_API, "nobody we know"])
async def test_a_number_that_somebody_unknown_holds_is_a_fault(make_store: MakeSqlite, holder: str):
    store = await make_store.with_owner_and_thief()

    await store.update(NUMBER_ID, lambda n: Decision(replace(n, holder=holder)))

    known = holder != "nobody we know"
    assert [holder in fault for fault in await store.faults()] == ([] if known else [True])


@pytest.mark.parametrize("holder", [None, "main", "nobody we know"])
async def test_a_linked_number_that_somebody_unknown_serves_is_a_fault(
    make_store: MakeSqlite, holder: str | None
):
    store = await make_store.with_owner_and_thief()
    await store.add_link(a_link(), ())
    await store.add_linked(a_linked(), ())

    await store.update_linked(a_linked().id, lambda n: LinkedDecision(replace(n, holder=holder)))

    fault = f"linked number {a_linked().e164} is held by {holder}, who is unknown"
    assert await store.faults() == ([fault] if holder == "nobody we know" else [])


async def test_a_file_from_before_the_manager_is_counted_and_found_once_it_is_opened(
    tmp_path: Path,
):
    path = tmp_path / "store.db"
    old = sqlite3.connect(path, isolation_level=None)
    for statement in migrations()[0].split(";\n"):
        old.execute(statement)
    old.execute("PRAGMA user_version = 1")
    old.execute("INSERT INTO portfolios (id, name, email) VALUES ('2', 'P', 'p@shop.example')")
    old.execute(
        "INSERT INTO wabas (id, portfolio, name, network) VALUES (?, '2', 'A', 'local')", (WABA,)
    )
    for number in (a_number(), a_number(2, guesses=Guesses(3, 3, 0, (Paid(3, NOON),)))):
        known = {row[1] for row in old.execute("PRAGMA table_info(numbers)")}
        row = dict(zip(rows.NUMBER_COLUMNS, rows.number_to_row(number), strict=True))
        row = {name: value for name, value in row.items() if name in known}
        row |= {"audit_seq": 0, "audit_head": bytes(32)}
        marks = ", ".join("?" * len(row))
        old.execute(f"INSERT INTO numbers ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
    old.close()

    store = SqliteStore(path, AUDIT_KEY)
    try:
        found = await store.list_numbers(WABA, Show.ALL, "5560002", NOON, None, 10)
        attacked = await store.list_numbers(WABA, Show.ATTACKED, "", NOON, None, 10)
        tally = await store.tally(WABA, NOON)
    finally:
        store.close()

    assert [line.number.id for line in found.lines] == [a_number(2).id]
    assert [line.number.id for line in attacked.lines] == [a_number(2).id]
    assert (tally.numbers, tally.attacked) == (2, 1)


async def test_who_held_a_number_before_the_cloud_api_holds_it_still_and_may_lose_it_to_that(
    tmp_path: Path,
):
    path = tmp_path / "store.db"
    old = sqlite3.connect(path, isolation_level=None)
    for script in migrations()[:2]:
        for statement in script.split(";\n"):
            old.execute(statement)
    old.execute("PRAGMA user_version = 2")
    old.execute("INSERT INTO portfolios (id, name, email) VALUES ('2', 'P', 'p@shop.example')")
    old.execute(
        "INSERT INTO wabas (id, portfolio, name, network) VALUES (?, '2', 'A', 'local')", (WABA,)
    )
    old.execute(
        "INSERT INTO clients (name, created_at, number, shards, audit_seq, audit_head)"
        " VALUES ('main', 0, ?, 1, 0, x'00')", (int(NUMBER_ID),)
    )  # fmt: skip
    held = a_number(holder="main", registered_at=NOON)
    columns = (*rows.NUMBER_COLUMNS, "audit_seq", "audit_head")
    values = (*rows.number_to_row(held), 0, bytes(32))
    marks = ", ".join("?" * len(columns))
    old.execute(f"INSERT INTO numbers ({', '.join(columns)}) VALUES ({marks})", values)
    old.close()

    store = SqliteStore(path, AUDIT_KEY)
    try:
        before = (await store.number(NUMBER_ID), await store.holds("main"), await store.faults())
        listed = await store.list_numbers(WABA, Show.CONNECTED, "", NOON, None, 10)
        await store.update(NUMBER_ID, lambda n: Decision(replace(n, holder=CLOUD_API)))
        after = (await store.holds("main"), await store.faults())
    finally:
        store.close()

    assert before == (held, True, [])
    assert [line.number for line in listed.lines] == [held]
    assert after == (False, [])


async def test_a_file_from_before_the_bridge_keeps_all_it_had_and_takes_linked_numbers(
    tmp_path: Path,
):
    path = tmp_path / "store.db"
    old = sqlite3.connect(path, isolation_level=None)
    for script in migrations()[:3]:
        for statement in script.split(";\n"):
            old.execute(statement)
    old.execute("PRAGMA user_version = 3")
    old.execute("INSERT INTO portfolios (id, name, email) VALUES ('2', 'P', 'p@shop.example')")
    old.execute(
        "INSERT INTO wabas (id, portfolio, name, network) VALUES (?, '2', 'A', 'local')", (WABA,)
    )
    old.execute(
        "INSERT INTO clients (name, created_at, number, shards, audit_seq, audit_head)"
        " VALUES ('main', 0, ?, 1, 0, zeroblob(32))", (int(NUMBER_ID),)
    )  # fmt: skip
    held = a_number(holder="main", registered_at=NOON)
    columns = (*rows.NUMBER_COLUMNS, "audit_seq", "audit_head")
    marks = ", ".join("?" * len(columns))
    old.execute(
        f"INSERT INTO numbers ({', '.join(columns)}) VALUES ({marks})",
        (*rows.number_to_row(held), 0, bytes(32)),
    )
    old.close()

    store = SqliteStore(path, AUDIT_KEY)
    try:
        before = (await store.number(NUMBER_ID), await store.holds("main"), await store.links())
        heads = [subject for subject, *_ in await store.audit_heads()]
        await store.update(NUMBER_ID, count_one("owner"))
        await store.add_link(a_link(), (Event(Kind.LINK_ADDED, "operator", NOON),))
        with pytest.raises(NumberExists):
            await store.add_linked(a_linked(e164=held.e164), ())
        await store.add_linked(a_linked(), (Event(Kind.HEARD, "meta", NOON),))
        await assert_chains_hold(store)
        after = (await store.linked(a_linked().id), await ticket(store), await store.faults())
    finally:
        store.close()

    assert before == (held, True, [])
    assert heads == ["client:main", f"number:{NUMBER_ID}", "portfolio:2"]
    assert after == (a_linked(), 1, [])
    assert version(path) == len(migrations())
