"""What the tests of the sandbox may ask for."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nightlatch.bootstrap import House, free_port, serve
from nightlatch.domain.members import MemberRole
from nightlatch.domain.numbers import Number
from nightlatch.ports import World
from nightlatch.usecases import members, numbers
from tests.people import E164, OWNER
from tests.town import Reply, Town, a_house, a_town, exchange

TOKEN = "sandbox-token-of-these-tests"


@dataclass
class Sandbox:
    """The controls of a town, for who has their token."""

    house: House
    number: Number
    """As it was at the start."""
    maybe_town: Town | None = None

    @property
    def town(self) -> Town:
        """Of a server that has one."""
        assert self.maybe_town is not None
        return self.maybe_town

    @property
    def world(self) -> World:
        return self.house.world

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        authorization: str | None = f"Bearer {TOKEN}",
    ) -> Reply:
        """*body* is sent as JSON, or as it is when it is bytes."""
        headers = [] if authorization is None else [("Authorization", authorization)]
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        return await exchange(
            self.house.settings.port, method, "/sandbox" + path, headers=headers, body=raw
        )

    async def refused(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Status and name of a refusal, whose envelope is checked to be whole."""
        return verdict(await self.call(method, path, body))

    async def press(self, button: str, **fields: Any) -> Reply:
        path = f"/numbers/{self.number.id}/press"
        return await self.call("POST", path, {"button": button, **fields})

    async def state(self) -> dict[str, Any]:
        reply = await self.call("GET", f"/numbers/{self.number.id}")
        assert reply.status == 200
        return dict(reply.body)

    async def an_owner_joins(self) -> None:
        world = self.world
        (portfolio,) = await world.store.portfolios()
        await members.add_member(
            world, portfolio.id, OWNER.email, OWNER.name, MemberRole.OWNER, "violet tram quarry 58"
        )


def verdict(reply: Reply) -> tuple[int, str]:
    assert set(reply.body) == {"sandbox_error"}
    error = reply.body["sandbox_error"]
    assert set(error) == {"name", "says"}
    assert error["says"].strip()
    assert reply.header("Content-Type") == "application/json"
    assert reply.header("Cache-Control") == "no-store"
    return reply.status, error["name"]


async def opened(town: Town) -> Sandbox:
    return Sandbox(town.house, await town.number(), town)


@asynccontextmanager
async def a_server(folder: Path, **settings: Any) -> AsyncIterator[Sandbox]:
    """A server without clients that have logged in, with the sandbox on."""
    port = free_port()
    async with a_house(folder, port=port, sandbox_token=TOKEN, **settings) as house:
        started, stop = asyncio.Event(), asyncio.Event()

        async def ready() -> None:
            started.set()

        serving = asyncio.create_task(serve(house, stop, ready))
        waiting = asyncio.create_task(started.wait())
        try:
            await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
            yield Sandbox(house, await numbers.find_number(house.world, E164))
        finally:
            waiting.cancel()
            stop.set()
            await serving


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """A running server with the sandbox on; its portfolio has an owner."""
    async with a_town(tmp_path / "data", sandbox_token=TOKEN) as town:
        found = await opened(town)
        await found.an_owner_joins()
        yield found
