"""Households, thieves and a probe at several nodes of one database, while nodes are shot."""

import asyncio
import itertools
import json
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg

from nightlatch.adapters.sql.moving import TABLES
from nightlatch.domain.codes import Method
from nightlatch.domain.limits import GUESS_WAITS
from nightlatch.usecases import clients, codes, numbers, portfolios, registration
from tests.faults.households import Person
from tests.faults.nodes import Place
from tests.faults.processes import ROOT, Process, environment
from tests.faults.test_kill import Village, settle
from tests.mail_server import MailServer, a_mail_server
from tests.people import CC, E164, NATIONAL, OWNER, THIEF
from tests.town import Api

DAY = timedelta(days=1)
MONTH = timedelta(days=31)
BURST = sum(1 for wait in GUESS_WAITS if not wait) + 1
_BESIEGERS = 8
_WRONG = (403, 1005)
_PATIENCE = 90.0  # a hang, not a goal


def _steps() -> list[timedelta]:
    """Between the rounds of one day of guesses; the next day is a month later."""
    waits = list(GUESS_WAITS[BURST - 1 : -1])
    return [*waits, DAY - sum(waits, timedelta()) - timedelta(minutes=10), MONTH]


async def as_sqlite(url: str, tables: Iterable[str] = ("meta", *TABLES)) -> sqlite3.Connection:
    """A copy of some tables, of one moment, for those who ask in the words of SQLite."""
    copy = sqlite3.connect(":memory:")
    there = await asyncpg.connect(url, timeout=30)
    try:
        async with there.transaction(isolation="repeatable_read", readonly=True):
            for table in tables:
                rows = await there.fetch(f'SELECT * FROM "{table}"')
                names = await there.fetch(
                    "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass"
                    " AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                    table,
                )
                columns = ", ".join(f'"{name}"' for (name,) in names)
                copy.execute(f'CREATE TABLE "{table}" ({columns})')
                marks = ", ".join("?" * len(names))
                copy.executemany(
                    f'INSERT INTO "{table}" VALUES ({marks})', [tuple(row) for row in rows]
                )
    finally:
        await there.close()
    return copy


@dataclass
class Town(Village):
    """A village whose people go to whichever node is up, as behind a proxy."""

    place: Place = field(kw_only=True)
    nodes: list[Process] = field(default_factory=list)
    up: list[Process] = field(default_factory=list)
    kills: list[tuple[float, float, int]] = field(default_factory=list)
    """When a node was shot, when it answered again, and its port."""
    sent: int = 0
    told_wrong: int = 0
    """Of the thieves at the number whose owner keeps silent."""

    async def database(self) -> sqlite3.Connection:
        return await as_sqlite(self.place.url)

    async def letter_box(self) -> sqlite3.Connection:
        return await as_sqlite(self.place.url, ("outbox", "handset"))

    def somewhere(self, chance: random.Random) -> int:
        return chance.choice(self.up or self.nodes).port

    async def everybody_logs_in(self) -> None:
        chance = random.Random()
        for person in self.people:
            for client, api in person.clients.items():
                api.port = self.somewhere(chance)
                await person.log_in(client)

    async def live(self, stop: asyncio.Event) -> None:
        """Everybody acts, one request after the other, at any node."""
        await asyncio.gather(*(self._go_on(one, stop) for one in self.people))

    async def _go_on(self, person: Person, stop: asyncio.Event) -> None:
        chance = random.Random()
        while person.free_of_doubt and not stop.is_set():
            port = self.somewhere(chance)
            for api in person.clients.values():
                api.port = port
            await person.act(chance)  # type: ignore[attr-defined]  # owners and thieves both do

    async def besiege(self, name: str) -> None:
        """Wrong PINs for the silent number, for ever."""
        chance = random.Random()
        api = Api(0, f"/clients/{name}/v1", THIEF.password)
        number = {
            "cc": CC, "phone_number": NATIONAL, "cert": self.place.site.certificate,
            "method": "sms",
        }  # fmt: skip
        while True:
            api.port = self.somewhere(chance)
            with suppress(OSError, AssertionError, ValueError, IndexError):
                if not api.token and (await api.login()).status != 200:
                    continue
                self.sent += 1
                pin = f"{chance.randrange(100_000):06d}"
                reply = await api.call("POST", "/account", {**number, "pin": pin})
                assert reply.status < 500 or reply.status == 503, reply.raw
                if reply.status == 401:
                    api.token = ""
                self.told_wrong += reply.verdict == _WRONG and b"PIN is wrong" in reply.raw
            await asyncio.sleep(0.1)

    async def shoot(self, chance: random.Random) -> None:
        """``kill -9`` to one of the nodes; it is started again at once."""
        node = chance.choice(self.up)
        self.up.remove(node)
        shot = time.monotonic()
        node.kill()
        place = self.nodes.index(node)
        self.nodes[place] = fresh = self.place.start(port=node.port)
        await asyncio.to_thread(fresh.wait_until_ready)
        self.kills.append((shot, time.monotonic(), node.port))
        self.up.append(fresh)

    async def a_round(self, chance: random.Random, seconds: float, *, shots: int) -> list[str]:
        """Everybody acts for so long while so many nodes are shot; what is odd afterwards."""
        await self.everybody_logs_in()
        stop = asyncio.Event()
        living = asyncio.create_task(self.live(stop))
        for _ in range(shots):
            await asyncio.sleep(chance.uniform(0.1, seconds / max(shots, 1)))
            await self.shoot(chance)
        await asyncio.sleep(seconds if not shots else chance.uniform(0.0, 0.5))
        stop.set()
        await living
        return await self.odd()

    async def next_day_part(self, n: int) -> None:
        """Let the wait pass after which the besieged number takes one more guess."""
        steps = _steps()
        self.clock.step(steps[n % len(steps)])
        if steps[n % len(steps)] == MONTH:
            async with self.place.house() as house:
                await numbers.unlock(house.world, await numbers.find_number(house.world, E164))

    async def guesses(self) -> "Guesses":
        """What the trail tells of the besieged number."""
        told = self.told_wrong
        rows = await self.place.ask(  # in one statement, for thieves go on
            "SELECT kind, at, guess_ticket FROM audit JOIN numbers"
            " ON subject = 'number:' || id WHERE e164 = $1 ORDER BY seq",
            E164,
        )
        return Guesses([row[:2] for row in rows], rows[-1][2], self.sent, told)


@dataclass(frozen=True)
class Guesses:
    """Of one number whose owner never enters the PIN."""

    trail: list[tuple[Any, ...]]
    ticket: int
    sent: int
    told_wrong: int

    def days(self) -> list[list[timedelta]]:
        """The moments of paid guesses, from one unlocking to the next."""
        found: list[list[timedelta]] = [[]]
        for kind, at in self.trail:
            if kind == "number.unlocked":
                found.append([])
            elif kind == "guess.paid":
                found[-1].append(timedelta(microseconds=at))
        return found

    def most_in_a_day(self) -> int:
        """The most that were paid within 24 hours, from one unlocking to the next."""
        return max(
            sum(first <= one < first + DAY for one in day) for day in self.days() for first in day
        )

    def odd(self) -> list[str]:
        """Each guess that came before its wait had passed; and counts that contradict."""
        found = []
        for day in self.days():
            for n, (before, after) in enumerate(itertools.pairwise(day)):
                wait = GUESS_WAITS[min(n, len(GUESS_WAITS) - 1)]
                if wait and after - before < wait:  # clocks of nodes differ by milliseconds
                    found.append(f"guess {n + 2} came {after - before} after the one before")
        kinds = Counter(kind for kind, _ in self.trail)
        paid, wrong = kinds["guess.paid"], kinds["guess.wrong"]
        if not self.told_wrong <= wrong <= paid == self.ticket <= self.sent:
            found.append(
                f"told wrong {self.told_wrong}, written wrong {wrong}, paid {paid},"
                f" counted {self.ticket}, sent {self.sent}"
            )
        return found


@dataclass(frozen=True)
class Letters:
    """What became of the mail."""

    states: dict[str, int]
    missing: int
    """Said to be sent, and never received."""
    twice: int
    received: int


@asynccontextmanager
async def a_crowd(
    place: Place, households: int, nodes: int
) -> AsyncIterator[tuple[Town, MailServer]]:
    """*households* at *nodes* nodes, thieves at the silent owner's number, and mail."""
    async with a_mail_server() as post:
        place.env = {
            "NIGHTLATCH_SMTP_HOST": post.host,
            "NIGHTLATCH_SMTP_PORT": str(post.port),
            "NIGHTLATCH_SMTP_SECURITY": "none",
            "NIGHTLATCH_PRIVATE_RECEIVERS": "true",
        }
        town = Town(place.data, place.clock, place=place)
        async with place.house() as house:
            (portfolio,) = await house.store.portfolios()
            await portfolios.change_portfolio(
                house.world, portfolio.id, "Shop", "office@shop.example"
            )
            await settle(house, town, households)
            for owner in town.owners:
                owner.database = town.letter_box
        thieves: list[asyncio.Task[None]] = []
        try:
            with place.nodes(nodes) as started:
                town.nodes, town.up = started, list(started)
                thieves += [
                    asyncio.create_task(town.besiege(("thief", "thief-2", "thief-3")[n % 3]))
                    for n in range(_BESIEGERS)
                ]
                yield town, post
        finally:
            for thief in thieves:
                thief.cancel()
            await asyncio.gather(*thieves, return_exceptions=True)


async def all_mail_is_out(town: Town, post: MailServer) -> Letters:
    """Let leases of the dead end, and wait until no letter waits."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            states = dict(await town.place.ask("SELECT state, count(*) FROM mail GROUP BY state"))
            if not states.get("waiting"):
                break
            town.clock.step(timedelta(seconds=61))
            await asyncio.sleep(0.5)
    keys = [key for (key,) in await town.place.ask("SELECT key FROM mail WHERE state = 'sent'")]
    got = Counter(str(one.message["Message-ID"]).strip("<>").split("@")[0] for one in post.inbox)
    return Letters(
        states,
        sum(key not in got for key in keys),
        sum(times > 1 for times in got.values()),
        len(post.inbox),
    )


# The probe


@dataclass(frozen=True)
class Probe:
    """One request of the probe."""

    moment: float
    port: int
    kind: str
    status: int
    seconds: float


@dataclass
class Probes:
    log: Path

    def between(self, begin: float, end: float) -> list[Probe]:
        whole, _, _ = self.log.read_text().rpartition("\n")
        found = [Probe(*json.loads(line)) for line in whole.splitlines()]
        return [one for one in found if begin <= one.moment < end]


async def a_probed_number(town: Town) -> dict[str, Any]:
    """A number that only the probe knows: its client, what it sends, and its PIN is right."""
    e164, name = "+16315553000", "prober"
    async with town.place.house() as house:
        world = house.world
        await numbers.add_number(world, await house.first_waba(), e164, "1", "Probed")
        cert = numbers.certificate(world, await numbers.find_number(world, e164))
        await clients.add_client(world, name)
        await clients.log_in(world, name, "admin", "secret", OWNER.password)
        admin = await house.store.user(name, "admin")
        assert admin is not None
        await registration.request_code(world, admin, e164, Method.SMS, cert, None)
        await codes.deliver(world, house.sender)
        (message,) = await codes.handset(world, e164)
        await registration.enter_code(world, admin, message.code)
    base = f"/clients/{name}/v1"
    api = Api(town.nodes[0].port, base, OWNER.password)
    assert (await api.login()).status == 200
    assert (await api.set_pin(OWNER.pin)).status == 200
    number = {
        "cc": "1", "phone_number": e164[2:], "cert": cert, "pin": OWNER.pin, "shards": 2,
    }  # fmt: skip
    return {"base": base, "password": OWNER.password, "number": number}


@contextmanager
def probing(town: Town, order: dict[str, Any], log: Path, pause: float = 0.1) -> Iterator[Probes]:
    ports = [node.port for node in town.nodes]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.prober"],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdin is not None
        more = {"ports": ports, "pause": pause, "log": str(log)}
        process.stdin.write(json.dumps({**order, **more}) + "\n")
        process.stdin.flush()
        yield Probes(log)
        process.stdin.close()
        process.wait(15)
    finally:
        process.kill()
        process.wait(10)
