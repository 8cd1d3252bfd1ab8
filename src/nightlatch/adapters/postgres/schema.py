"""Bringing a database to the current schema, forward only."""

from importlib.resources import files
from typing import Final

from nightlatch.adapters.postgres.connections import PostgresStep, connect, leave
from nightlatch.adapters.sql.step import Step, StoreRefused

_LOCK: Final = 0x6E6C6174
"""The advisory lock of whoever migrates: two nodes may start at once."""
_SCHEMA: Final = "SELECT to_regclass('meta') IS NOT NULL"
_AT: Final = "SELECT value FROM meta WHERE key = 'schema'"


def migrations() -> list[str]:
    """The numbered scripts, in order."""
    folder = files("nightlatch.adapters.postgres") / "migrations"
    scripts = sorted(
        (script for script in folder.iterdir() if script.name.endswith(".sql")),
        key=lambda script: script.name,
    )
    return [script.read_text() for script in scripts]


async def schema_of(step: Step) -> int:
    """The schema that a database is at; 0 for an empty one."""
    (there,) = await step.one(_SCHEMA)
    if not there:
        return 0
    row = await step.one(_AT)
    return int(row[0]) if row is not None else 0


async def migrate(url: str) -> int:
    """Apply what is missing, all in one transaction; how many scripts that were.

    Raises:
        StoreRefused: the database cannot be reached, or was written by a newer Nightlatch.
    """
    connection = await connect(url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            at = await schema_of(PostgresStep(connection))
            scripts = migrations()
            refuse_newer(at)
            for script in scripts[at:]:
                await connection.execute(script)
            if at < len(scripts):
                await connection.execute(
                    "INSERT INTO meta (key, value) VALUES ('schema', $1)"
                    " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    str(len(scripts)),
                )
            return len(scripts) - at
    finally:
        await leave(connection)


def refuse_newer(at: int) -> None:
    """Raises StoreRefused."""
    known = len(migrations())
    if at > known:
        raise StoreRefused(
            f"the database has schema {at}, this Nightlatch knows {known};"
            " start the newer version again"
        )
