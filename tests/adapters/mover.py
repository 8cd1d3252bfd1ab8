"""``python -m tests.adapters.mover TO FILE URL PAGE KILL``: a move that kills itself.

KILL is after how much it has told of its progress; then it has a moment to get on, and dies by
SIGKILL wherever it is.
"""

import asyncio
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from nightlatch.adapters.postgres.book import PostgresBook
from nightlatch.adapters.sql.moving import Book, Progress, move
from nightlatch.adapters.sqlite.book import SqliteBook

_LATEST = 0.01


async def books(to: str, file: Path, url: str) -> tuple[Book, Book]:
    """What is moved from, and what is moved to."""
    if to == "postgresql":
        return SqliteBook(file), await PostgresBook.create(url)
    return await PostgresBook.open(url), SqliteBook.create(file)


def deadly(after: int) -> Progress:
    told = count(1)

    @contextmanager
    def progress(title: str) -> Iterator[Callable[[int, int], None]]:
        def tell(done: int, total: int) -> None:
            if next(told) == after:
                print(title, flush=True)
                threading.Timer(random.uniform(0, _LATEST), _die).start()

        yield tell

    return progress


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def _main(to: str, file: str, url: str, page: str, after: str) -> None:
    source, target = await books(to, Path(file), url)
    await move(source, target, deadly(int(after)), int(page))
    await source.close()
    await target.close()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
