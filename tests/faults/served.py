"""A server process for tests: cheap hashing, a clock that is stepped from outside, faults to order.

``python -m tests.faults.served --data D --port P --clock FILE [--wall FILE] [--share] [--broken HOW]``

*FILE* of ``--clock`` holds the seconds that have passed beyond real time; every
process that is given the same file sees the same step at once. *FILE* of
``--wall`` holds the seconds by which the system's clock is set wrong.
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import signal
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any


def _read(file: Path) -> timedelta:
    return timedelta(seconds=float(file.read_text()))


def set_the_system_clock_wrong(wall: Path) -> None:
    """Let everything that reads the wall clock after this be wrong by what *wall* holds.

    No test may set the machine's own clock. Must run before anything imports
    ``datetime.datetime``.
    """

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + _read(wall)

    dt.datetime = Wrong  # type: ignore[misc]  # the machine's clock, replaced


def house_clock(passed: Path) -> Any:
    """What ``open_house`` takes as its clock: the real one, and *passed* on top."""
    from nightlatch.adapters.system import SteadyClock

    class Passed:
        def __init__(self, not_before: datetime | None) -> None:
            self._steady = SteadyClock(not_before and not_before - _read(passed))

        def now(self) -> datetime:
            return self._steady.now() + _read(passed)

    return Passed


class WallClock:
    """A clock that believes the system's, whatever it says."""

    def __init__(self, _: datetime | None) -> None:
        return

    def now(self) -> datetime:
        return dt.datetime.now(dt.UTC)


class CheckThenCount:
    """A store that reads, decides and then writes: what ``Store.update`` promises not to be."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def update(self, id: str, change: Any) -> Any:
        decision = change(await self._store.number(id))
        await asyncio.sleep(0.02)
        return await self._store.update(id, lambda _: decision)


class ReplyBeforeCommit:
    """A store that says it is done and writes a little later; until then it answers from memory."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._ahead: dict[str, Any] = {}
        self._late: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def number(self, id: str) -> Any:
        return self._ahead.get(id) or await self._store.number(id)

    async def number_by_e164(self, e164: str) -> Any:
        found = await self._store.number_by_e164(e164)
        return found and await self.number(found.id)

    async def update(self, id: str, change: Any) -> Any:
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        decision = change(await self.number(id))
        self._ahead[id] = decision.number
        self._late.put_nowait((id, change))
        if decision.refusal is not None:
            raise decision.refusal
        return decision.number

    async def take_over(self, *all: Any) -> Any:
        await self._late.join()
        return await self._store.take_over(*all)

    async def number_pending_for(self, client: str) -> Any:
        await self._late.join()
        return await self._store.number_pending_for(client)

    async def _write(self) -> None:
        from nightlatch.domain.errors import Refusal

        while True:
            id, change = await self._late.get()
            await asyncio.sleep(0.02)
            with contextlib.suppress(Refusal):
                await self._store.update(id, change)
            self._late.task_done()
            if self._late.empty():
                self._ahead.clear()


def comparing_nothing(store: Any) -> Any:
    """PostgreSQL's store, which writes what it made of a row, whatever the row says by then.

    The trail's own key is a second wall, for two events cannot have one place; it is down, too.
    """
    from tests.contracts.broken_postgres import ComparesNothing, _Rewording

    trail = "= l.id), days"
    without_wall = trail.replace("id)", "id ON CONFLICT DO NOTHING)")
    return ComparesNothing(_Rewording(store._connections, trail, without_wall), store._audit_key)


class Hanging:
    """A store that stops for ever before or after the nth change of a number, and says so."""

    def __init__(self, store: Any, place: str) -> None:
        self._store = store
        self._when, _, nth = place.partition(":")
        self._left = int(nth)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def update(self, *all: Any) -> Any:
        return await self._around(self._store.update(*all))

    async def take_over(self, *all: Any) -> Any:
        return await self._around(self._store.take_over(*all))

    async def _around(self, change: Any) -> Any:
        self._left -= 1
        if self._left == 0 and self._when == "before":
            await self._hang()
        done = await change
        if self._left == 0 and self._when == "after":
            await self._hang()
        return done

    async def _hang(self) -> None:
        print("hanging", flush=True)
        await asyncio.Event().wait()


class LoudCloud:
    """A client of Meta's Cloud API in which every call is a bug that says all it was told."""

    def __getattr__(self, name: str) -> Any:
        async def fail(access: Any, *more: Any) -> None:
            secrets = (access.token, access.secret)
            raise RuntimeError(f"{name} with {secrets} and {more} went wrong in {access}")

        return fail

    async def close(self) -> None:
        """There is nothing to close."""


BROKEN_CLOUDS = {"loud-cloud": LoudCloud}
BROKEN_STORES: dict[str, Any] = {
    "check-then-count": CheckThenCount,
    "reply-before-commit": ReplyBeforeCommit,
    "compares-nothing": comparing_nothing,
}
BROKEN_CLOCKS = {"wall-clock": WallClock}


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.served")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clock", type=Path, required=True)
    parser.add_argument("--wall", type=Path)
    parser.add_argument("--share", action="store_true", help="join a folder that is set up already")
    parser.add_argument(
        "--broken", choices=sorted({*BROKEN_STORES, *BROKEN_CLOCKS, *BROKEN_CLOUDS})
    )
    parser.add_argument("--hang", metavar="before:N|after:N", help="stop at the Nth change")
    return parser.parse_args(words)


async def run(chosen: argparse.Namespace) -> None:
    from nightlatch import logs
    from nightlatch.adapters.hashing import CHEAP
    from nightlatch.bootstrap import open_house, serve, set_up
    from nightlatch.settings import load

    logs.configure("json", "warning")
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    settings = load(data=chosen.data, port=chosen.port)
    clock = BROKEN_CLOCKS.get(chosen.broken) or house_clock(chosen.clock)
    async with open_house(settings, create=not chosen.share, clock=clock, cost=CHEAP) as house:
        if not chosen.share:
            await set_up(house)
        if chosen.broken in BROKEN_STORES:
            broken = BROKEN_STORES[chosen.broken]
            house.world = replace(house.world, store=broken(house.store))
        if chosen.broken in BROKEN_CLOUDS:
            cloud: Any = BROKEN_CLOUDS[chosen.broken]()
            house.world = replace(house.world, cloud=cloud)
        if chosen.hang:
            house.world = replace(house.world, store=Hanging(house.store, chosen.hang))

        async def ready() -> None:
            print("ready", flush=True)

        await serve(house, stop, ready)


def main() -> None:
    chosen = arguments()
    if chosen.wall is not None:
        set_the_system_clock_wrong(chosen.wall)
    import uvloop

    uvloop.run(run(chosen))


if __name__ == "__main__":
    main()
