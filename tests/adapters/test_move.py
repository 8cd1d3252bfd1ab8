"""Moving every row from a file of SQLite to PostgreSQL and back: all of it, or neither is opened."""

import asyncio
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nightlatch.adapters.postgres import PostgresStore, migrate
from nightlatch.adapters.sql.moving import TABLES, Differ, Mark, Progress, State, give_up, move
from nightlatch.adapters.sql.step import StoreRefused
from nightlatch.adapters.sqlite import SqliteStore
from nightlatch.adapters.sqlite.schema import migrate as migrate_file
from nightlatch.adapters.sqlite.writer import connect
from tests.adapters.mover import books
from tests.contracts.makers import AUDIT_KEY, ROOT
from tests.postgres import shared

PAGE, ROWS = 5, 12
PLACES = {"meta": "key <> 'move'"}
# In another order by the alphabet, by UTF-16 and by bytes; and what other encodings stumble over.
ODD = (
    "",
    "Z",
    "a",
    "é",
    "É",
    "ß",
    "\uffff",
    "\U0001f600",
    "'",
    '"',
    "?",
    "\\",
    "\n",
    "%",
    "a\u0301",
)
SMALL = {"SMALLINT": (0, 1), "INTEGER": (-(2**31), 2**31 - 1), "BIGINT": (-(2**63), 2**63 - 1)}


@pytest.fixture(scope="module")
def types() -> dict[tuple[str, str], str]:
    """The type of each column, as PostgreSQL has it, which is the stricter one."""
    url = shared().fresh_database()
    asyncio.run(migrate(url))
    told = shared().sql(
        "SELECT table_name, column_name, upper(data_type) FROM information_schema.columns"
        " WHERE table_schema = 'public'",
        url,
    )
    return {(table, column): type for table, column, type in map(_fields, told.splitlines())}


def _fields(line: str) -> list[str]:
    return line.split("|")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, types: dict[tuple[str, str], str]) -> Path:
    """A file with rows in every table, of everything that its columns can hold."""
    path = tmp_path_factory.mktemp("full") / "nightlatch.db"
    chance = random.Random(7)
    with closing(connect(path)) as file:
        migrate_file(file)
        file.execute("BEGIN")
        for name in TABLES:
            _fill(file, name, types, chance)
        file.execute("INSERT INTO meta VALUES ('keyring', 'a fingerprint'), ('é', '\U0001f600')")
        file.execute("DELETE FROM deliveries WHERE key = (SELECT max(key) FROM deliveries)")
        file.execute("COMMIT")
        empty = [name for name in TABLES if not file.execute(f"SELECT 1 FROM {name}").fetchone()]
    assert empty == []
    return path


def _fill(
    file: sqlite3.Connection, name: str, types: dict[tuple[str, str], str], chance: random.Random
) -> None:
    columns = file.execute(f"PRAGMA table_info({name})").fetchall()
    points = file.execute(f"PRAGMA foreign_key_list({name})").fetchall()
    for index in range(ROWS):
        row = {}
        for _, column, _, strict, _, key in columns:
            empty = not strict and not key and chance.random() < 0.3
            row[column] = None if empty else _value(types[name, column], index, chance, key=key)
        if name == "deliveries":
            row["key"] = index + 1
        for link in {link[0] for link in points}:
            parent = next(point[2] for point in points if point[0] == link)
            keys = [c for _, c, *_, place in file.execute(f"PRAGMA table_info({parent})") if place]
            found = file.execute(f"SELECT {', '.join(keys)} FROM {parent}").fetchall()
            own = [point[3] for point in points if point[0] == link]
            row |= zip(own, found[index % len(found)], strict=True)
        marks = ", ".join("?" * len(row))
        file.execute(
            f"INSERT OR IGNORE INTO {name} ({', '.join(row)}) VALUES ({marks})",
            tuple(row.values()),
        )


def _value(type: str, index: int, chance: random.Random, *, key: int) -> Any:
    if type == "TEXT":
        return ODD[index % len(ODD)] + chance.choice(ODD) + str(index)
    if type == "BYTEA":
        return bytes([index * 20]) + chance.randbytes(index)
    low, high = SMALL[type]
    return chance.randint(low, high) if key else chance.choice((low, high, index % 2))


@pytest.fixture
def file(full: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(full, tmp_path / "here.db"))


@pytest.fixture
def url() -> str:
    """An empty database."""
    return shared().fresh_database()


def when(chosen: str, work: Callable[[], Any]) -> Progress:
    """Does *work* when the part called *chosen* begins."""

    @contextmanager
    def progress(title: str) -> Iterator[Callable[[int, int], None]]:
        if title == chosen:
            work()
        yield lambda *_: None

    return progress


silent: Progress = when("", lambda: None)


async def moved(to: str, file: Path, url: str, progress: Progress = silent) -> int:
    source, target = await books(to, file, url)
    try:
        return await move(source, target, progress)
    finally:
        await source.close()
        await target.close()


async def given_up(to: str, file: Path, url: str) -> str:
    source, target = await books(to, file, url)
    try:
        return await give_up(source)
    finally:
        await source.close()
        await target.close()


def contents(file: Path) -> dict[str, list[Any]]:
    """Every row of a file, and how it finds them."""
    with closing(sqlite3.connect(file)) as read:
        found = {
            name: sorted(
                read.execute(f"SELECT * FROM {name} WHERE {PLACES.get(name, 'true')}"), key=repr
            )
            for name in (*TABLES, "meta", "sqlite_sequence")
        }
        found["indexes"] = sorted(
            read.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'")
        )
    return found


def change(file: Path, sql: str) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        assert database.execute(sql).rowcount > 0


async def _indexes(url: str) -> str:
    await migrate(url)
    return shared().sql(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1", url
    )


def test_both_databases_have_the_same_tables_and_columns_and_the_move_knows_them_all(
    full: Path, types: dict[tuple[str, str], str]
):
    with closing(sqlite3.connect(full)) as read:
        names = read.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        ours = {
            (name, column)
            for (name,) in names
            for _, column, *_ in read.execute(f"PRAGMA table_info({name})")
        }

    assert ours == set(types)
    assert {name for (name,) in names} == {*TABLES, "meta"}
    assert set(types.values()) == {"TEXT", "BYTEA", *SMALL}


async def test_every_text_in_postgresql_is_in_the_order_of_its_bytes_as_in_sqlite(url: str):
    await migrate(url)

    other = shared().sql(
        "SELECT table_name, column_name FROM information_schema.columns WHERE data_type = 'text'"
        " AND table_schema = 'public' AND collation_name IS DISTINCT FROM 'C'",
        url,
    )

    assert other == ""


def _killed(to: str, file: Path, url: str, after: int) -> tuple[int, str]:
    words = [sys.executable, "-m", "tests.adapters.mover", to, file, url, PAGE, after]
    done = subprocess.run(
        list(map(str, words)), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode, done.stdout.strip()


@pytest.mark.parametrize(
    ("to", "kills"), [("postgresql", (2, 30, 75, 90)), ("sqlite", (20, 85, 90))]
)
async def test_a_move_that_is_killed_again_and_again_goes_on_and_ends_equal(
    to: str, kills: tuple[int, ...], file: Path, url: str
):
    before, back, made = contents(file), file.with_name("back.db"), await _indexes(url)
    if to == "sqlite":
        await moved("postgresql", file, url)
    moving = file if to == "postgresql" else back

    ends = [await asyncio.to_thread(_killed, to, moving, url, after) for after in kills]
    opened = [await _opens(file), await _opens(back) if back.exists() else None, await _opens(url)]
    await moved(to, moving, url)

    parts = ["copying rows"] * (len(kills) - 2) + ["making indexes", "comparing rows"]
    assert [title for _, title in ends] == parts
    assert {code for code, _ in ends[:-1]} == {-signal.SIGKILL}
    if ends[-1][0]:  # it may have ended in its last moment
        assert not any(opened)
    if to == "postgresql":
        await moved("sqlite", back, url)
    assert contents(back) == before
    assert await _indexes(url) == made


async def _opens(place: Path | str) -> bool:
    """Whether a server would start on it."""
    try:
        if isinstance(place, Path):
            SqliteStore(place, AUDIT_KEY).close()
        else:
            await (await PostgresStore.open(place, AUDIT_KEY)).aclose()
    except StoreRefused:
        return False
    return True


@pytest.mark.parametrize("to", ["postgresql", "sqlite"])
async def test_what_is_moved_is_opened_by_nobody_and_changed_by_nobody_until_it_is_given_up(
    to: str, file: Path, url: str
):
    back = file.with_name("back.db")
    if to == "sqlite":
        await moved("postgresql", file, url)
    moving = back if to == "sqlite" else file
    tried: list[bool] = []

    def spoil() -> None:
        if to == "sqlite":
            shared().sql("UPDATE numbers SET name = 'changed'", url)
        else:
            change(file, "UPDATE numbers SET name = 'changed'")

    def look() -> None:
        opened = (_opens(moving), _opens(url))
        with ThreadPoolExecutor(1) as apart:  # with a loop of its own; ours waits here
            tried.extend(apart.submit(asyncio.run, one).result() for one in opened)
        with pytest.raises((RuntimeError, sqlite3.IntegrityError), match="is moved elsewhere"):
            spoil()

    await moved(to, moving, url, when("copying rows", look))

    assert tried == [False, False]
    assert [await _opens(moving), await _opens(url)] == [to == "sqlite", to == "postgresql"]
    with pytest.raises((RuntimeError, sqlite3.IntegrityError), match="is moved elsewhere"):
        spoil()
    await given_up(to, moving, url)
    assert [await _opens(moving), await _opens(url)] == [True, True]
    spoil()


SPOILT = {
    "numbers": ("UPDATE numbers SET name = 'a secret' || name", "UPDATE numbers SET name = substr(name, 9)"),
    "audit": (
        "CREATE TABLE kept AS SELECT * FROM audit; DELETE FROM audit WHERE subject LIKE '%1'",
        "DELETE FROM audit; INSERT INTO audit SELECT * FROM kept; DROP TABLE kept",
    ),
    "heard ffffff": ("INSERT INTO heard VALUES ('\\xffffff', 1)", "DELETE FROM heard WHERE key = '\\xffffff'"),
    "meta": (
        "UPDATE meta SET value = 'a secret' WHERE key = 'keyring'",
        "UPDATE meta SET value = 'a fingerprint' WHERE key = 'keyring'",
    ),
    "the last key of deliveries": (
        "SELECT setval('deliveries_key_seq', 99)",
        f"SELECT setval('deliveries_key_seq', {ROWS})",
    ),
}  # fmt: skip


async def test_what_is_changed_after_it_was_copied_is_noticed_and_neither_side_is_opened(
    file: Path, url: str
):
    for named, (spoil, mend) in SPOILT.items():
        progress = when("making indexes", partial(shared().sql, spoil, url))

        with pytest.raises(Differ, match=f"differ in {named}") as differ:
            await moved("postgresql", file, url, progress)

        assert "a secret" not in str(differ.value)
        assert [await _opens(file), await _opens(url)] == [False, False]
        shared().sql(mend, url)

    assert await moved("postgresql", file, url) > 0


async def test_a_move_that_is_given_up_leaves_the_source_as_it_was(file: Path, url: str):
    before = contents(file)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(StoreRefused, match="no move from"):
        await given_up("postgresql", file, url)
    with pytest.raises(KeyboardInterrupt):
        await moved("postgresql", file, url, when("comparing rows", stop))
    assert await given_up("postgresql", file, url) == f"postgresql://{url.rpartition('@')[2]}"

    assert contents(file) == before
    assert [await _opens(file), await _opens(url)] == [True, False]
    change(file, "UPDATE numbers SET name = name")
    with pytest.raises(StoreRefused, match="it holds something already"):
        await moved("postgresql", file, url)


async def test_a_target_that_holds_something_is_refused_and_nothing_happens_to_either(
    file: Path, url: str
):
    full_file, foreign = file.with_name("full.db"), shared().fresh_database()
    shutil.copy(file, full_file)
    shared().sql("CREATE TABLE theirs (n int)", foreign)
    await moved("postgresql", full_file, url)
    before = contents(file)

    for target in (url, foreign):
        with pytest.raises(StoreRefused, match="cannot be moved to: it holds something already"):
            await moved("postgresql", file, target)
    with pytest.raises(StoreRefused, match="cannot be moved to: it holds something already"):
        await moved("sqlite", file, url)
    with pytest.raises(StoreRefused, match="it holds what was moved to postgresql://"):
        await moved("sqlite", full_file, url)
    with pytest.raises(StoreRefused, match="holds no Nightlatch"):
        await moved("sqlite", file.with_name("new.db"), foreign)

    assert contents(file) == before
    assert [await _opens(file), await _opens(url)] == [True, True]


async def test_a_source_or_a_target_that_is_in_use_is_refused(file: Path, url: str):
    held = SqliteStore(file, AUDIT_KEY)
    with pytest.raises(StoreRefused, match="in use"):
        await moved("postgresql", file, url)
    held.close()
    node = await PostgresStore.open(url, AUDIT_KEY)
    with pytest.raises(StoreRefused, match="in use"):
        await moved("postgresql", file, url)
    await node.aclose()

    await moved("postgresql", file, url)

    node = await PostgresStore.open(url, AUDIT_KEY)
    with pytest.raises(StoreRefused, match="in use"):
        await moved("sqlite", file.with_name("back.db"), url)
    await node.aclose()
    await moved("sqlite", file.with_name("back.db"), url)


async def test_a_move_that_ended_is_over_and_one_that_died_in_its_last_moment_ends_too(
    file: Path, url: str
):
    before = contents(file)
    await moved("postgresql", file, url)
    assert await moved("postgresql", file, url) == 0

    source, target = await books("postgresql", file, url)
    gone = await source.mark()
    assert gone is not None
    assert gone.state is State.GONE
    await target.remark(None, Mark(gone.id, State.COMES, source.where))
    await source.close()
    await target.close()

    assert not await _opens(url)
    assert await moved("postgresql", file, url) == sum(len(before[name]) for name in TABLES)
    assert [await _opens(file), await _opens(url)] == [False, True]

    await given_up("postgresql", file, url)

    assert contents(file) == before
    assert await _opens(file)


async def test_a_move_that_died_before_anything_was_copied_begins_again(file: Path, url: str):
    source, target = await books("postgresql", file, url)
    await target.begin(None, Mark("0123", State.COMES, source.where))
    await source.close()
    await target.close()

    assert [await _opens(file), await _opens(url)] == [True, False]
    await moved("postgresql", file, url)

    assert [await _opens(file), await _opens(url)] == [False, True]


async def test_half_a_move_from_elsewhere_is_refused(file: Path, url: str):
    other = file.with_name("other.db")
    shutil.copy(file, other)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await moved("postgresql", other, url, when("making indexes", stop))

    with pytest.raises(StoreRefused, match="it holds something already"):
        await moved("postgresql", file, url)
    assert await _opens(file)


async def test_a_text_that_postgresql_cannot_keep_is_named_by_its_key_alone(file: Path, url: str):
    change(
        file,
        "UPDATE numbers SET name = 'a secret' || char(0) WHERE id = (SELECT max(id) FROM numbers)",
    )
    with closing(sqlite3.connect(file)) as read:
        (key,) = read.execute("SELECT max(id) FROM numbers").fetchone()

    with pytest.raises(StoreRefused) as refused:
        await moved("postgresql", file, url)

    assert (
        str(refused.value)
        == f"PostgreSQL cannot keep numbers {key}: a text holds the character NUL"
    )


@pytest.mark.parametrize("to", ["postgresql", "sqlite"])
async def test_a_database_of_a_newer_version_is_refused(to: str, file: Path, url: str):
    await migrate(url)
    if to == "postgresql":
        change(file, "UPDATE meta SET value = value")
        with closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA user_version = 99")
    else:
        shared().sql("UPDATE meta SET value = '99' WHERE key = 'schema'", url)

    with pytest.raises(StoreRefused, match="has schema 99"):
        await moved(to, file if to == "postgresql" else file.with_name("new.db"), url)
