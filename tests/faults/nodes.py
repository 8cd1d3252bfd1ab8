"""Several nodes on one PostgreSQL database and one key ring, and clients who find them."""

import asyncio
import contextlib
import itertools
import shutil
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from nightlatch.adapters.hashing import CHEAP
from nightlatch.adapters.postgres import migrate
from nightlatch.bootstrap import House, free_port, open_house
from nightlatch.settings import Settings
from nightlatch.usecases import clients
from tests.faces.graph.desk import a_desk
from tests.faults.processes import ClockFile, Process, start_served
from tests.faults.served import house_clock
from tests.people import THIEF
from tests.postgres import Postgres
from tests.town import Api, a_town

THIEVES = ("thief", "thief-2", "thief-3")


@dataclass(frozen=True)
class Site:
    """A database that was set up once, as the template of those of the tests, and its key ring."""

    server: Postgres
    template: str
    ring: Path
    certificate: str
    number: str
    token: str
    """Of a program that may do everything over the Graph."""

    @contextmanager
    def place(self, folder: Path) -> Iterator["Place"]:
        """A copy of it all for one test."""
        data = folder / "data"
        data.mkdir(mode=0o700)
        shutil.copy(self.ring, data / "keyring.json")
        url = self.server.fresh_database(self.template)
        place = Place(self, url, data, ClockFile(folder / "clock"))
        try:
            yield place
        finally:
            self.server.drop(url)


@dataclass
class Place:
    """One database, and what is needed to start nodes on it."""

    site: Site
    url: str
    data: Path
    clock: ClockFile
    env: dict[str, str] = field(default_factory=dict)

    def start(self, *more: str, port: int | None = None, data: Path | None = None) -> Process:
        env = {"NIGHTLATCH_DATABASE": self.url, "NIGHTLATCH_GRAPH_WRONG_PIN_FREE": "true"}
        return start_served(
            data or self.data, self.clock, "--share", *more, port=port, **env, **self.env
        )

    def serve(self, *more: str, port: int | None = None, **other: str) -> Process:
        """``nightlatch serve`` itself, with its own clock; *other* are settings of this node."""
        port = port or free_port()
        env = {"NIGHTLATCH_DATABASE": self.url, **self.env, **other}
        words = ["-m", "nightlatch", "serve", "--data", str(self.data), "--port", str(port)]
        return Process([*words, *more], port, self.data.parent, **env)

    @contextmanager
    def serving(self, count: int, *more: str) -> Iterator[list[Process]]:
        """*count* of these that answer; gone afterwards, as are those that were put beside them."""
        nodes: list[Process] = []
        with ExitStack() as stack:
            stack.callback(lambda: _end(nodes))
            nodes += [self.serve(*more) for _ in range(count)]
            for node in nodes:
                node.wait_until_ready()
            yield nodes

    @contextmanager
    def nodes(self, count: int, *more: str) -> Iterator[list[Process]]:
        """*count* nodes that answer; gone afterwards, as are those that were put beside them."""
        nodes: list[Process] = []
        with ExitStack() as stack:
            stack.callback(lambda: _end(nodes))
            nodes += [self.start(*more) for _ in range(count)]
            for node in nodes:
                node.wait_until_ready()
            yield nodes

    @asynccontextmanager
    async def house(self, **settings: Any) -> AsyncIterator[House]:
        """The database as a command opens it, whatever becomes of the nodes."""
        chosen = Settings(data=self.data, database=self.url, database_pool=4, **settings)
        async with open_house(chosen, clock=house_clock(self.clock.path), cost=CHEAP) as house:
            yield house

    async def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of one statement, on a connection of its own."""
        connection = await asyncpg.connect(self.url, timeout=30)
        try:
            return [tuple(row) for row in await connection.fetch(sql, *values)]
        finally:
            await connection.close()


def _end(nodes: list[Process]) -> None:
    for node in nodes:
        node.end()


def found(server: Postgres, folder: Path) -> Site:
    """A protected number, its owner's client, thieves and a program; nobody serves them."""

    async def settle() -> Site:
        url = server.fresh_database()
        await migrate(url)
        data = folder / "first"
        async with a_town(data, database=url, database_pool=4) as town:
            await town.owner_is_protected()
            for name in THIEVES[1:]:
                await clients.add_client(town.house.world, name)
                await Api(town.port, f"/clients/{name}/v1", THIEF.password).move_in()
            desk = await a_desk(town)
            return Site(
                server, url, data / "keyring.json", town.owner.certificate, desk.number, desk.token
            )

    with ThreadPoolExecutor(1) as apart:  # the tests have loops of their own
        return apart.submit(asyncio.run, settle()).result()


class Front:
    """What stands before the nodes, as a proxy does: each connection goes to one of them in turn,
    and to the next one when that refuses it. It never repeats a request."""

    def __init__(self, nodes: list[Process]) -> None:
        self.nodes = nodes
        """May be changed at any time; new connections go to those that are in it then."""
        self.port = 0
        self.refused = 0
        """Connections for which no node was found."""
        self._turn = itertools.count()
        self._talks: set[asyncio.Task[None]] = set()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)
        try:
            there = await self._next_node()
            if there is None:
                self.refused += 1
                return
            back = asyncio.create_task(_pass_on(there[0], writer))
            await _pass_on(reader, there[1])
            await back
        finally:
            writer.close()

    async def _next_node(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        nodes, first = list(self.nodes), next(self._turn)
        for n in range(len(nodes)):
            with contextlib.suppress(OSError):
                port = nodes[(first + n) % len(nodes)].port
                return await asyncio.open_connection("127.0.0.1", port)
        return None

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Front"]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for talk in tuple(self._talks):
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side ends or breaks."""
    with contextlib.suppress(OSError):
        while some := await reader.read(65_536):
            writer.write(some)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        return
    writer.close()
