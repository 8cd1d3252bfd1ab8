"""The real server, in which so many things a second happen that apps are told of.

The first line of standard input is ``{"data", "waba", "port", "urls"}``; it is answered with the
secret of each app once the server answers. ``{"a_second"}`` begins to tell, ``{}`` asks how much
was told, how much waits for each app and what memory is in use, ``{"a_second": 0}`` ends it.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from nightlatch import logs
from nightlatch.bootstrap import House, open_house, serve
from nightlatch.domain import access
from nightlatch.domain.access import Callback, Caller
from nightlatch.domain.numbers import Decision, Number, told
from nightlatch.domain.webhooks import DeliveryState, Field
from nightlatch.settings import Settings
from nightlatch.usecases import access as apps
from nightlatch.usecases import webhooks

_NUMBERS = 2_000
_AT_ONCE = 10  # events of one change
_SIDE_BY_SIDE = 16  # changes, as of requests that come at once


class Teller:
    """Tells at an even pace, as long as it is running."""

    def __init__(self, house: House, numbers: list[Number]) -> None:
        self._house, self._numbers = house, numbers
        self._task: asyncio.Task[None] | None = None
        self._a_second = 0
        self._begun = 0
        self.told = 0

    async def pace(self, a_second: int) -> None:
        """From now on so many a second; once this returns for 0, ``told`` stands."""
        self._a_second = 0
        if self._task is not None:
            await self._task
        self._a_second = a_second
        self._task = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        began, before = time.perf_counter(), self._begun
        while self._a_second:
            due = (time.perf_counter() - began) * self._a_second - (self._begun - before)
            happens = min(int(due) // _AT_ONCE, _SIDE_BY_SIDE)
            await asyncio.gather(*(self._something_happens() for _ in range(happens)))
            await asyncio.sleep(0.01)

    async def _something_happens(self) -> None:
        number = self._numbers[self._begun // _AT_ONCE % len(self._numbers)]
        self._begun += _AT_ONCE
        hook = told(Field.SECURITY, number, self._house.clock.now(), event="PIN_CHANGED")
        await self._house.world.update(number.id, lambda n: Decision(n, hooks=(hook,) * _AT_ONCE))
        self.told += _AT_ONCE


async def an_app(house: House, waba: str, url: str) -> tuple[str, str]:
    """An app that is told of *waba*: its id and its secret."""
    world = house.world
    account = await world.store.waba(waba)
    assert account is not None
    new = await apps.add_app(world, account.portfolio, "benchmark")
    callback, now = Callback(url, frozenset(Field)), world.clock.now()
    await world.store.update_app(
        new.app.id, lambda a: access.change_callback(a, callback, "operator", now)
    )
    await webhooks.subscribe(world, Caller(new.app), account)
    return new.app.id, new.secret


async def waiting(house: House, app: str) -> int:
    """How many deliveries wait for *app*."""
    (portfolio,) = await house.store.portfolios()
    count, before = 0, None
    while page := await house.store.deliveries(portfolio.id, before, 1_000, app):
        count += sum(delivery.state is DeliveryState.WAITING for delivery in page)
        before = page[-1].key
    return count


def resident() -> float:
    """MiB of memory that this process occupies."""
    (line,) = (
        one for one in Path("/proc/self/status").read_text().splitlines() if one[:6] == "VmRSS:"
    )
    return int(line.split()[1]) / 1_024


async def main() -> None:
    loop = asyncio.get_running_loop()

    async def read() -> Any:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        return json.loads(line) if line else None

    job = await read()
    logs.configure("json", "warning")
    settings = Settings(data=Path(job["data"]), port=job["port"], private_receivers=True)
    async with open_house(settings) as house:
        found = [await an_app(house, job["waba"], url) for url in job["urls"]]
        teller = Teller(house, list(await house.store.numbers(limit=_NUMBERS)))
        stop, started = asyncio.Event(), asyncio.Event()

        async def ready() -> None:
            started.set()

        serving = asyncio.create_task(serve(house, stop, ready))
        await started.wait()
        print(json.dumps([secret for _, secret in found]), flush=True)
        while (line := await read()) is not None:
            if "a_second" in line:
                await teller.pace(line["a_second"])
            answer: dict[str, Any] = {"told": teller.told, "resident": resident()}
            if "waiting" in line:
                answer["waiting"] = [await waiting(house, app) for app, _ in found]
            print(json.dumps(answer), flush=True)
        stop.set()
        await serving


if __name__ == "__main__":
    uvloop.run(main())
