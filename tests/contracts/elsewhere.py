"""What another process does on the same storage while a check looks on.

Run as ``python -m tests.contracts.elsewhere MAKER PLACE TASK ...``.
"""

import asyncio
import os
import sys
from typing import Any

from nightlatch.adapters.sql.store import SqlStore
from nightlatch.domain.errors import Unavailable
from nightlatch.domain.linked import LinkedNumber
from nightlatch.domain.numbers import Number
from tests.contracts.checks import count_one, outcome, outcomes
from tests.contracts.linked import attempt
from tests.contracts.makers import NUMBER_ID, Make, MakeSqlite


async def count(store: SqlStore, times: str, at_once: str) -> None:
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


async def acknowledge(store: SqlStore, at_once: str) -> None:
    """Count until killed; one byte for each count that returned."""

    async def one() -> None:
        for _ in range(100_000):
            await store.update(NUMBER_ID, count_one("elsewhere"))
            os.write(1, b".")

    await asyncio.gather(*(one() for _ in range(int(at_once))))


async def acknowledge_and_die(store: SqlStore) -> None:
    """Count once, say so, and be gone in the same moment."""
    await store.update(NUMBER_ID, count_one("elsewhere"))
    os.write(1, b".")
    os._exit(0)


async def read(store: SqlStore) -> None:
    """Say what the counter is."""
    number = await store.number(NUMBER_ID)
    os.write(1, b"none" if number is None else str(number.guesses.ticket).encode())


async def begin(store: SqlStore, waba: str) -> None:
    """Say ``ready``, wait for a line, then begin an attempt on each number of an account.

    Says which numbers it began on.
    """
    ids = [number.id for number in await store.linked_numbers(waba)]
    os.write(1, b"ready\n")
    sys.stdin.readline()
    for id_ in ids:
        if isinstance(await outcome(store.update_linked(id_, attempt("there"))), LinkedNumber):
            os.write(1, f"{id_} ".encode())


TASKS: dict[str, Any] = {  # each with arguments of its own
    "begin": begin,
    "count": count,
    "acknowledge": acknowledge,
    "acknowledge_and_die": acknowledge_and_die,
    "read": read,
}


def named(maker: str) -> type[Make[Any]]:
    """The maker of that name. Only what it needs is loaded: these processes are many."""
    if maker == MakeSqlite.name:
        return MakeSqlite
    from tests.contracts.make_postgres import MakePostgres

    if maker == MakePostgres.name:
        return MakePostgres
    from tests.contracts.broken_postgres import CONTROLS

    return next(broken for broken, _ in CONTROLS if broken.name == maker)


async def main(maker: str, place: str, task: str, *arguments: str) -> None:
    make_store = named(maker).at(place)
    await TASKS[task](await make_store(), *arguments)
    await make_store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
