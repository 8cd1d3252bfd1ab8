"""What another process does on the same storage while a check looks on.

Run as ``python -m tests.contracts.elsewhere MAKER FOLDER TASK ...``.
"""

import asyncio
import os
import sys
from pathlib import Path

from nightlatch.adapters.sqlite import SqliteStore
from nightlatch.domain.errors import Unavailable
from nightlatch.domain.linked import LinkedNumber
from nightlatch.domain.numbers import Number
from tests.contracts import makers
from tests.contracts.broken_linked import CONTROLS
from tests.contracts.checks import count_one, outcome, outcomes
from tests.contracts.linked import attempt
from tests.contracts.makers import NUMBER_ID


async def count(store: SqliteStore, times: str, at_once: str) -> None:
    """Say ``ready``, wait for a line, then count *times*, *at_once* at a time.

    Says how many were kept, and of how many that is not known.
    """
    os.write(1, b"ready\n")
    sys.stdin.readline()
    ends: list[object] = []
    for _ in range(int(times) // int(at_once)):
        ends += await outcomes(
            [store.update(NUMBER_ID, count_one("elsewhere")) for _ in range(int(at_once))]
        )
    unknown = sum(isinstance(end, Unavailable) for end in ends)
    os.write(1, f"{sum(isinstance(end, Number) for end in ends)} {unknown}".encode())


async def acknowledge(store: SqliteStore, at_once: str) -> None:
    """Count until killed; one byte for each count that returned."""

    async def one() -> None:
        for _ in range(100_000):
            await store.update(NUMBER_ID, count_one("elsewhere"))
            os.write(1, b".")

    await asyncio.gather(*(one() for _ in range(int(at_once))))


async def acknowledge_and_die(store: SqliteStore) -> None:
    """Count once, say so, and be gone in the same moment."""
    await store.update(NUMBER_ID, count_one("elsewhere"))
    os.write(1, b".")
    os._exit(0)


async def read(store: SqliteStore) -> None:
    """Say what the counter is."""
    number = await store.number(NUMBER_ID)
    os.write(1, b"none" if number is None else str(number.guesses.ticket).encode())


async def begin(store: SqliteStore, waba: str) -> None:
    """Say ``ready``, wait for a line, then begin an attempt on each number of an account.

    Says which numbers it began on.
    """
    ids = [number.id for number in await store.linked_numbers(waba)]
    os.write(1, b"ready\n")
    sys.stdin.readline()
    for id_ in ids:
        if isinstance(await outcome(store.update_linked(id_, attempt("there"))), LinkedNumber):
            os.write(1, f"{id_} ".encode())


TASKS = {
    "begin": begin,
    "count": count,
    "acknowledge": acknowledge,
    "acknowledge_and_die": acknowledge_and_die,
    "read": read,
}


def main(maker: str, folder: str, task: str, *arguments: str) -> None:
    known = {one.name: one for one in (*makers.MAKERS, *(broken for broken, _ in CONTROLS))}
    make_store = known[maker](Path(folder))
    asyncio.run(TASKS[task](make_store(), *arguments))  # type: ignore[operator]  # each its own
    make_store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
