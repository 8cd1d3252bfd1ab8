"""Noticing commits by the head of the WAL-index."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from nightlatch.adapters.sqlite import SqliteStore
from nightlatch.adapters.sqlite.changes import Changes
from nightlatch.adapters.sqlite.writer import connect
from nightlatch.domain.portfolios import Portfolio


@pytest.fixture
def database(tmp_path: Path):
    """A database with one row, and the connection that keeps its log there."""
    path = tmp_path / "d.db"
    connection = connect(path)
    connection.execute("CREATE TABLE kept (n INTEGER)")
    yield path, connection
    connection.close()


def elsewhere(path: Path, code: str) -> None:
    """Run *code* in another process, with a connection ``c`` to the database."""
    program = f"import sqlite3; c = sqlite3.connect({str(path)!r}, isolation_level=None); {code}"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_nothing_is_seen_while_nobody_commits(database):
    path, connection = database
    changes = Changes.of(path)

    before = changes.seen()
    connection.execute("SELECT * FROM kept").fetchall()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO kept VALUES (1)")
    connection.execute("ROLLBACK")
    elsewhere(path, "c.execute('SELECT * FROM kept').fetchall(); c.close()")

    assert changes.seen() == before
    changes.release()


def test_every_commit_is_seen_once_it_returned_in_this_process_and_in_another(database):
    path, connection = database
    changes = Changes.of(path)
    seen = [changes.seen()]

    for n in range(5):
        connection.execute("INSERT INTO kept VALUES (?)", (n,))
        seen.append(changes.seen())
        elsewhere(path, "c.execute('UPDATE kept SET n = n + 1')")
        seen.append(changes.seen())

    assert len(set(seen)) == 11
    changes.release()


def test_a_commit_after_the_log_began_anew_is_seen(database):
    path, connection = database
    changes = Changes.of(path)
    connection.execute("INSERT INTO kept VALUES (1)")
    before = changes.seen()

    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("INSERT INTO kept VALUES (1)")

    assert changes.seen() != before
    changes.release()


def test_closing_one_store_leaves_the_other_of_this_process_its_locks(tmp_path: Path):
    """Closing any descriptor of the index would drop them, and the next process to leave
    would take the log away."""
    path = tmp_path / "nightlatch.db"
    staying, leaving = SqliteStore(path, bytes(32)), SqliteStore(path, bytes(32))

    leaving.close()
    elsewhere(path, "c.execute('CREATE TABLE theirs (n)'); c.close()")

    assert path.with_name("nightlatch.db-wal").exists()
    staying.close()
    assert not path.with_name("nightlatch.db-wal").exists()


async def test_a_row_that_somebody_else_changed_is_never_remembered(tmp_path: Path):
    path = tmp_path / "nightlatch.db"
    store = SqliteStore(path, bytes(32))
    await store.add_portfolio(Portfolio("1", "P", "p@example.com"))
    await store.remember("what", "old")
    first = await store.client("main")

    elsewhere(
        path,
        "c.execute(\"INSERT INTO clients VALUES ('main', 0, NULL, 4, 0, zeroblob(32))\"); c.close()",
    )
    added = await store.holds("main"), await store.client("main")
    other = sqlite3.connect(path)
    other.execute("UPDATE clients SET shards = 8")
    other.commit()
    other.close()
    changed = await store.client("main")

    assert first is None
    assert added[1] is not None
    assert added[1].shards == 4
    assert changed is not None
    assert changed.shards == 8
    store.close()
