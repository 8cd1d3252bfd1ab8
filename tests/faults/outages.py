"""What clients are told while the database does not answer, and how soon all is well again."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tests.faults.nodes import Place
from tests.people import CC, NATIONAL, OWNER
from tests.postgres import Postgres
from tests.town import Api, Reply, exchange

_PATIENCE = 10.0  # a hang, not a goal
_PAUSE = 0.05
READYZ = "readyz"

Call = Callable[[], Awaitable[Reply]]


@dataclass(frozen=True)
class Answer:
    """What one request came to."""

    kind: str
    port: int
    began: float
    ended: float
    status: int
    retry_after: str | None

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass
class Outage:
    """Requests of every kind to every node, one after the other, until it is over."""

    answers: list[Answer] = field(default_factory=list)
    frozen: float = 0.0
    thawed: float = 0.0

    @property
    def meanwhile(self) -> list[Answer]:
        """What was answered while the database was frozen, and not by what was read before."""
        return [
            a
            for a in self.answers
            if self.frozen <= a.ended <= self.thawed and (a.began >= self.frozen or a.status == 503)
        ]

    @property
    def odd(self) -> list[Answer]:
        """What was answered meanwhile with anything but "later".

        /readyz looks once a second, so it may say what was right a moment ago, but not again.
        """
        found, not_ready = [], set()
        for a in self.meanwhile:
            later = a.status == 503 and a.retry_after is not None
            if a.kind == READYZ and not later and a.port not in not_ready:
                continue
            not_ready |= {a.port} if a.kind == READYZ else set()
            if not later:
                found.append(a)
        return found

    @property
    def slowest(self) -> float:
        """Seconds that the slowest refusal took."""
        return max(a.seconds for a in self.meanwhile)

    @property
    def kinds(self) -> set[tuple[str, int]]:
        return {(a.kind, a.port) for a in self.answers}

    def back(self) -> dict[tuple[str, int], float]:
        """Seconds from the thaw to the first success, of each kind at each node that had one."""
        found: dict[tuple[str, int], float] = {}
        for a in sorted(self.answers, key=lambda a: a.ended):
            if a.ended > self.thawed and a.status < 500:
                found.setdefault((a.kind, a.port), a.ended - self.thawed)
        return found

    async def ask_on(self, kind: str, port: int, call: Call) -> None:
        """One request after the other, for ever."""
        while True:
            began = time.monotonic()
            async with asyncio.timeout(_PATIENCE):
                reply = await call()
            self.answers.append(
                Answer(
                    kind, port, began, time.monotonic(), reply.status, reply.header("Retry-After")
                )
            )
            await asyncio.sleep(_PAUSE)


async def _calls(place: Place, port: int) -> dict[str, Call]:
    """One of each kind, at one node."""
    api = Api(port, OWNER.base, OWNER.password)
    assert (await api.login()).status == 200
    number = {"cc": CC, "phone_number": NATIONAL, "cert": place.site.certificate}
    bearer = [("Authorization", f"Bearer {place.site.token}")]
    return {
        "log in": Api(port, OWNER.base, OWNER.password).login,
        "health": lambda: api.call("GET", "/health"),
        "check the PIN": lambda: api.call(
            "POST", "/account/shards", {**number, "pin": OWNER.pin, "shards": 2}
        ),
        "set the PIN": lambda: api.set_pin(OWNER.pin),
        "read over the Graph": lambda: exchange(
            port, "GET", f"/graph/v23.0/{place.site.number}", headers=bearer
        ),
        READYZ: lambda: exchange(port, "GET", "/readyz"),
    }


async def freeze(place: Place, server: Postgres, ports: Sequence[int], seconds: float) -> Outage:
    """Stop the database for *seconds*, and go on until everything succeeds again."""
    outage = Outage()
    calls = {port: await _calls(place, port) for port in ports}
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(outage.ask_on(kind, port, call))
            for port, of in calls.items()
            for kind, call in of.items()
        ]
        await asyncio.sleep(0.5)
        await asyncio.to_thread(server.freeze)
        outage.frozen = time.monotonic()
        try:
            await asyncio.sleep(seconds)
        finally:
            outage.thawed = time.monotonic()
            await asyncio.to_thread(server.thaw)
        async with asyncio.timeout(60):
            while outage.back().keys() < outage.kinds:
                await asyncio.sleep(_PAUSE)
        for task in tasks:
            task.cancel()
    return outage
