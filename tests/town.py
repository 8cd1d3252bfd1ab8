"""A running Nightlatch with real sockets, and clients that speak to it like old integrations do."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Any

from nightlatch.adapters.hashing import CHEAP, Cost
from nightlatch.adapters.system import SteppedClock
from nightlatch.bootstrap import House, free_port, open_house, serve, set_up
from nightlatch.settings import Settings
from nightlatch.usecases import clients, codes, numbers
from tests.fakes.cloud import FakeCloud
from tests.people import CC, E164, NATIONAL, OWNER, THIEF


@dataclass(frozen=True)
class Reply:
    """One answer, taken apart."""

    status: int
    headers: list[tuple[str, str]]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return found[0] if found else None

    @property
    def error(self) -> dict[str, Any]:
        """The one error of a refusal's envelope, which is checked to be whole."""
        body = self.body
        assert set(body) == {"meta", "errors"}, body
        assert set(body["meta"]) == {"version", "api_status"}
        (error,) = body["errors"]
        assert set(error) == {"code", "title", "details", "href"}
        assert error["details"].strip()
        return dict(error)

    @property
    def verdict(self) -> tuple[int, int | None]:
        """HTTP status and error code (None for a success)."""
        return self.status, self.error["code"] if self.status >= 400 else None


async def send_raw(port: int, raw: bytes, *, timeout: float = 15) -> bytes:
    """Write *raw* on a fresh connection and read until the server closes or falls silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(raw)
        await writer.drain()
        async with asyncio.timeout(timeout):
            return await reader.read()
    finally:
        writer.close()


async def exchange(
    port: int,
    method: str,
    target: str,
    *,
    headers: list[tuple[str, str]] | None = None,
    body: bytes = b"",
    host: str | None = "127.0.0.1",
) -> Reply:
    """One request on a connection of its own, exactly as given plus Host and Content-Length."""
    head = [f"{method} {target} HTTP/1.1"]
    if host is not None:
        head.append(f"Host: {host}")
    head += [f"{name}: {value}" for name, value in headers or []]
    if body and not any(name.lower() == "content-length" for name, _ in headers or []):
        head.append(f"Content-Length: {len(body)}")
    head.append("Connection: close")
    raw = await send_raw(port, "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)
    return parse(raw)


def parse(raw: bytes) -> Reply:
    """Take the first answer in *raw* apart."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    assert head, "the server closed without an answer"
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = [(line.partition(":")[0], line.partition(":")[2].strip()) for line in lines]
    return Reply(int(first.split(" ")[1]), headers, rest)


@dataclass
class Api:
    """One client of the On-Premises API, as an integration would hold it."""

    port: int
    base: str
    password: str
    token: str = ""
    certificate: str = ""

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None
    ) -> Reply:
        """*body* is sent as JSON unless None; *token* replaces the one at hand."""
        used = self.token if token is None else token
        headers = [("Authorization", f"Bearer {used}")] if used else []
        raw = b""
        if body is not None:
            headers.append(("Content-Type", "application/json"))
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await exchange(self.port, method, self.base + path, headers=headers, body=raw)

    async def login(
        self, password: str | None = None, body: Any = None, username: str = "admin"
    ) -> Reply:
        """Log in and keep the token when there is one."""
        basic = base64.b64encode(f"{username}:{password or self.password}".encode()).decode()
        headers = [("Authorization", f"Basic {basic}"), ("Content-Type", "application/json")]
        reply = await exchange(
            self.port,
            "POST",
            self.base + "/users/login",
            headers=headers,
            body=b"" if body is None else json.dumps(body).encode(),
        )
        if reply.status == 200:
            self.token = reply.body["users"][0]["token"]
        return reply

    async def move_in(self) -> "Api":
        """The first login, with its change of password."""
        reply = await self.login("secret", {"new_password": self.password})
        assert reply.status == 200, reply
        return self

    async def register(self, pin: Any = None, **changes: Any) -> Reply:
        """``POST /account`` for the town's number; *changes* replace or add parameters."""
        body = {"cc": CC, "phone_number": NATIONAL, "method": "sms", "cert": self.certificate}
        if pin is not None:
            body["pin"] = pin
        return await self.call("POST", "/account", body | changes)

    async def verify(self, code: Any) -> Reply:
        return await self.call("POST", "/account/verify", {"code": code})

    async def set_pin(self, pin: Any) -> Reply:
        return await self.call("POST", "/settings/account/two-step", {"pin": pin})

    async def turn_off(self) -> Reply:
        return await self.call("DELETE", "/settings/account/two-step")

    async def status(self) -> str:
        reply = await self.call("GET", "/health")
        return str(reply.body["health"]["gateway_status"])


@dataclass
class Town:
    """A server of its own for one test, with the owner and the thief as its clients."""

    house: House
    clock: SteppedClock
    port: int
    owner: Api
    thief: Api
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def pass_time(self, by: timedelta | float) -> None:
        self.clock.step(by if isinstance(by, timedelta) else timedelta(seconds=by))

    async def code(self) -> str:
        """The newest code on the phone: the thief has the SIM, so both may read it."""
        while await self.house.store.waiting_for(E164):
            await asyncio.sleep(0.005)
        return (await codes.handset(self.house.world, E164))[0].code

    async def owner_has_registered(self) -> None:
        """The owner's first day, without a PIN."""
        assert (await self.owner.register()).status == 202
        assert (await self.owner.verify(await self.code())).status == 201

    async def owner_is_protected(self) -> None:
        """The owner's first day, with a PIN."""
        await self.owner_has_registered()
        assert (await self.owner.set_pin(OWNER.pin)).status == 200

    async def number(self) -> Any:
        return await self.house.store.number_by_e164(E164)

    async def kinds(self) -> list[str]:
        """What the number's audit trail tells, in order."""
        number = await self.number()
        trail = self.house.store.audit(f"number:{number.id}")
        return [link.event.kind.value async for link in trail]


_SHAPING = {"keyring", "review_names"}
"""Settings that a fresh data folder depends on."""


@cache
def _fresh() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="fresh-house-")


async def _copy_of_a_fresh_one(folder: Path) -> None:
    """Begin *folder* as a copy of one that was set up once for all tests of this process: making
    one takes longer than most tests."""
    fresh = Path(_fresh().name) / "data"
    if not fresh.exists():
        chosen = Settings(data=fresh)
        async with open_house(chosen, create=True, cost=CHEAP, clock=SteppedClock) as house:
            await set_up(house)
    copytree(fresh, folder)
    folder.chmod(0o700)


@asynccontextmanager
async def a_house(
    folder: Path,
    *,
    cost: Cost = CHEAP,
    clock: Callable[[datetime | None], Any] = SteppedClock,
    cloud: Callable[[Any], Any] | None = FakeCloud,
    **settings: Any,
) -> AsyncIterator[House]:
    """A data folder that is set up, with cheap hashing and a clock to step, but no server; and
    with a Meta of its own (``house.world.cloud``), or the real adapter when *cloud* is None."""
    chosen = Settings(data=folder, **settings)
    if cost is CHEAP and not folder.exists() and not settings.keys() & _SHAPING:
        await _copy_of_a_fresh_one(folder)
    async with open_house(chosen, create=True, clock=clock, cost=cost) as house:
        if cloud is not None:
            house.world = replace(house.world, cloud=cloud(house.clock))
        await set_up(house)
        yield house


@asynccontextmanager
async def a_town(folder: Path, *, cost: Cost = CHEAP, **settings: Any) -> AsyncIterator[Town]:
    """A server on a free port. Owner and thief have logged in; both have the certificate."""
    port = free_port()
    async with a_house(folder, cost=cost, port=port, **settings) as house:
        await clients.add_client(house.world, THIEF.client)
        certificate = numbers.certificate(house.world, await numbers.find_number(house.world, E164))
        started = asyncio.Event()

        async def ready() -> None:
            started.set()

        clock: Any = house.clock
        town = Town(
            house,
            clock,
            port,
            Api(port, OWNER.base, OWNER.password, certificate=certificate),
            Api(port, THIEF.base, THIEF.password, certificate=certificate),
        )
        serving = asyncio.create_task(serve(house, town.stop, ready))
        waiting = asyncio.create_task(started.wait())
        try:
            await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
            await town.owner.move_in()
            await town.thief.move_in()
            yield town
        finally:
            waiting.cancel()
            town.stop.set()
            await serving
