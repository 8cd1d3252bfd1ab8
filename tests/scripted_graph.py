"""A small Graph on a real socket that writes down all it took, and can be told to go wrong.

Not Meta and not Nightlatch's Graph face: code of its own, as little as a bridge needs. It keeps
the newest PIN of each number, and never forgets one that it had.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

WABA: Final = "102290129340398"
APP: Final = "634974688087057"
SUCCESS: Final = (200, {"success": True})
_PER_PAGE = 100


@dataclass
class ScriptedNumber:
    """One number as this Graph has it."""

    id: str
    e164: str
    pin: str | None = None
    registered: bool = False
    verified: bool = True
    pins: list[str] = field(default_factory=list)
    """Every PIN that it ever had, oldest first."""

    def take(self, pin: str) -> None:
        self.pin = pin
        self.pins.append(pin)

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "display_phone_number": self.e164,
            "verified_name": "Lucky Shrub",
            "name_status": "APPROVED",
            "quality_rating": "GREEN",
            "code_verification_status": "VERIFIED" if self.verified else "EXPIRED",
            "is_pin_enabled": self.pin is not None,
            "status": "CONNECTED" if self.registered else "DISCONNECTED",
            "platform_type": "CLOUD_API" if self.registered else "NOT_APPLICABLE",
        }


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    number: str
    """The first part of the path; often the id of a number."""
    edge: str
    body: dict[str, Any]
    query: dict[str, str]
    at: datetime

    @property
    def place(self) -> tuple[str, str]:
        return self.number, self.edge

    @property
    def writes(self) -> bool:
        return self.method == "POST"


Watch = Callable[[Asked], Awaitable[None]]


@dataclass
class ScriptedGraph:
    """The server. *before* is awaited before a call is looked at, *after* once it is done."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    numbers: dict[str, ScriptedNumber] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    answers: dict[tuple[str, str], list[tuple[int, Any]]] = field(default_factory=dict)
    """What is answered instead, once each, to POST by number and edge; nothing is done then."""
    before: Watch | None = None
    after: Watch | None = None
    port: int = 0

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, number: ScriptedNumber) -> ScriptedNumber:
        self.numbers[number.id] = number
        return number

    def refuse(self, number: str, edge: str, code: int, details: str = "") -> None:
        """The next POST of it is answered with this error of Graph's."""
        error: dict[str, Any] = {"message": f"(#{code}) No", "type": "OAuthException", "code": code}
        if details:
            error["error_data"] = {"messaging_product": "whatsapp", "details": details}
        self.answers.setdefault((number, edge), []).append((400, {"error": error}))

    def writes(self, number: str) -> list[Asked]:
        return [one for one in self.asked if one.writes and one.number == number]

    async def answer(self, asked: Asked) -> tuple[int, Any]:
        self.asked.append(asked)
        if asked.writes and self.before is not None:
            await self.before(asked)
        scripted = self.answers.get(asked.place) if asked.writes else None
        found = scripted.pop(0) if scripted else self._done(asked)
        if asked.writes and self.after is not None:
            await self.after(asked)
        return found

    def _done(self, asked: Asked) -> tuple[int, Any]:
        number = self.numbers.get(asked.number)
        if number is not None:
            return self._of_number(number, asked)
        match asked.number, asked.edge:
            case "debug_token", _:
                scopes = ["whatsapp_business_management", "whatsapp_business_messaging"]
                facts = {"is_valid": True, "app_id": APP, "scopes": scopes, "expires_at": 0}
                return 200, {"data": facts}
            case _, "phone_numbers":
                return self._page(asked)
            case _, "subscribed_apps":
                return SUCCESS if asked.writes else (200, {"data": []})
        return 200, {"id": asked.number, "name": "Lucky Shrub"}

    def _page(self, asked: Asked) -> tuple[int, Any]:
        limit = min(int(asked.query.get("limit", "25")), _PER_PAGE)
        listed = list(self.numbers.values())
        first = int(asked.query.get("after", "0"))
        last = first + limit
        paging: dict[str, Any] = {"cursors": {"after": str(last)}}
        if last < len(listed):
            paging["next"] = "there is more"
        return 200, {"data": [one.shown() for one in listed[first:last]], "paging": paging}

    def _of_number(self, number: ScriptedNumber, asked: Asked) -> tuple[int, Any]:
        if not asked.writes:
            return 200, number.shown()
        pin = asked.body.get("pin")
        match asked.edge:
            case "":
                if not number.registered:
                    return _no(133010)
                number.take(str(pin))
            case "register":
                if not number.verified and not number.registered:
                    return _no(133006)
                if number.pin not in (None, pin):
                    return _no(133005)
                if number.pin is None:
                    number.take(str(pin))
                number.registered = True
            case "deregister":
                if not number.registered:
                    return _no(133010)
                number.registered = False
            case "verify_code":
                number.verified = True
        return SUCCESS


def _no(code: int) -> tuple[int, Any]:
    return 400, {"error": {"message": f"(#{code}) No", "code": code}}


@asynccontextmanager
async def a_scripted_graph(graph: ScriptedGraph) -> AsyncIterator[ScriptedGraph]:
    """*graph*, listening."""
    busy: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        busy.add(task)
        task.add_done_callback(busy.discard)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while (asked := await _read(reader, graph.now)) is not None:
                status, answer = await graph.answer(asked)
                raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(raw)}\r\n"
                writer.write(f"{head}Content-Type: application/json\r\n\r\n".encode() + raw)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", graph.port)
    graph.port = server.sockets[0].getsockname()[1]
    try:
        yield graph
    finally:
        server.close()
        for task in list(busy):
            task.cancel()
        await asyncio.gather(*busy)
        await server.wait_closed()


async def _read(reader: asyncio.StreamReader, now: Callable[[], datetime]) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    method, target, _ = first.split(" ")
    parts = urlsplit(target)
    _, _, number, *edge = parts.path.split("/")
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return Asked(method, number, "/".join(edge), json.loads(raw) if raw else {}, query, now())
