"""Bringing a database file to the current schema, forward only."""

import sqlite3
from importlib.resources import files
from typing import Final

from nightlatch.adapters.sql import rows
from nightlatch.adapters.sql.lists import count_number
from nightlatch.adapters.sql.moving import MARK
from nightlatch.adapters.sql.step import StoreRefused
from nightlatch.adapters.sqlite.writer import SLOTS, SqliteStep, finish

_COUNTED: Final = 2
"""The schema since which numbers are counted and have terms."""


def migrations() -> list[str]:
    """The numbered scripts, in order."""
    folder = files("nightlatch.adapters.sqlite") / "migrations"
    scripts = sorted(
        (script for script in folder.iterdir() if script.name.endswith(".sql")),
        key=lambda script: script.name,
    )
    return [script.read_text() for script in scripts]


def migrate(connection: sqlite3.Connection) -> None:
    """Apply what is missing, each script in one transaction with its number.

    Raises:
        StoreRefused: the file was written by a newer Nightlatch.
    """
    scripts = migrations()
    while True:
        connection.execute("BEGIN IMMEDIATE")
        try:
            at = connection.execute("PRAGMA user_version").fetchone()[0]
            if at > len(scripts):
                raise StoreRefused(
                    f"the database has schema {at}, this Nightlatch knows {len(scripts)}; "
                    "start the newer version again"
                )
            if at == len(scripts):
                return
            for statement in scripts[at].split(";\n"):
                connection.execute(statement)
            if at + 1 == _COUNTED:
                _count(connection)
            connection.execute(f"PRAGMA user_version = {at + 1}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")


def mark_of(connection: sqlite3.Connection) -> str | None:
    """What is to be known about a move from here or to here."""
    there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
    if there is None:
        return None
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (MARK,)).fetchone()
    return None if row is None else str(row[0])


def _count(connection: sqlite3.Connection) -> None:
    """Count what earlier versions left, each number once."""
    step = SqliteStep(connection)
    found = connection.execute(f"SELECT {', '.join(rows.NUMBER_COLUMNS)} FROM numbers").fetchall()  # noqa: S608 - constants
    for row in found:
        number = rows.number_from_row(row)
        finish(count_number(step, None, number, int(number.id) % SLOTS))
        connection.execute(
            "UPDATE numbers SET attacked_at = ?, wait_ends_at = ? WHERE id = ?",
            (*rows.number_to_row(number)[-2:], int(number.id)),
        )
