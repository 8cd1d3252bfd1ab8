"""Bringing a database file to the current schema, forward only."""

import sqlite3
from importlib.resources import files

from nightlatch.adapters.sqlite.writer import StoreRefused


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
            connection.execute(f"PRAGMA user_version = {at + 1}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")
