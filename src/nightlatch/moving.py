"""Moving a Nightlatch from a file of SQLite to PostgreSQL, and back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from nightlatch.adapters.postgres.book import PostgresBook
from nightlatch.adapters.sql import moving
from nightlatch.adapters.sql.moving import Book, Progress
from nightlatch.adapters.sql.step import StoreRefused
from nightlatch.adapters.sqlite.book import SqliteBook
from nightlatch.bootstrap import StartRefused, refuse_far_disk
from nightlatch.settings import Settings

POSTGRESQL, SQLITE = "postgresql", "sqlite"


@dataclass(frozen=True)
class Moved:
    """How a move ended."""

    source: str
    target: str
    rows: int = 0
    """0 when all was moved before."""
    fault: str = ""
    """The row that is not the same on both sides, and what to do."""


async def move(settings: Settings, to: str, progress: Progress) -> Moved:
    """Move everything to the file or the database that *settings* name, or go on with it.

    Killed at any time, the same call goes on where it was.

    Raises:
        StartRefused: it cannot begin or go on; says why and what to do.
    """
    try:
        async with _source(settings, to) as source, _target(settings, to) as target:
            done = Moved(source.where, target.where)
            try:
                rows = await moving.move(source, target, progress)
            except moving.Differ as differ:
                return Moved(done.source, done.target, fault=str(differ))
            return Moved(done.source, done.target, rows)
    except StoreRefused as refused:
        raise StartRefused(str(refused)) from refused


async def give_up(settings: Settings, to: str) -> Moved:
    """Let the source be opened again, as it was when the move began.

    Raises:
        StartRefused: nothing was moved from there.
    """
    try:
        async with _source(settings, to) as source:
            return Moved(source.where, await moving.give_up(source))
    except StoreRefused as refused:
        raise StartRefused(str(refused)) from refused


@asynccontextmanager
async def _source(settings: Settings, to: str) -> AsyncIterator[Book]:
    _refuse_unnamed(settings)
    book: Book
    if to == SQLITE:
        book = await PostgresBook.open(settings.database)
    elif settings.database_file.exists():
        book = SqliteBook(settings.database_file)
    else:
        raise StartRefused(f"there is no Nightlatch in {settings.data}; nothing to move")
    try:
        yield book
    finally:
        await book.close()


@asynccontextmanager
async def _target(settings: Settings, to: str) -> AsyncIterator[Book]:
    book: Book
    if to == SQLITE:
        try:
            settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StartRefused(
                f"cannot make the folder {settings.data}: {error.strerror}"
            ) from error
        refuse_far_disk(settings.data)
        book = SqliteBook.create(settings.database_file)
    else:
        book = await PostgresBook.create(settings.database)
    try:
        yield book
    finally:
        await book.close()


def _refuse_unnamed(settings: Settings) -> None:
    if not settings.database:
        raise StartRefused(
            "no PostgreSQL database is named; set NIGHTLATCH_DATABASE, also to move away from it"
        )
