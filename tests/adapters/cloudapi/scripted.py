"""A server on a real socket that answers what a test says, byte for byte, and misbehaves to order."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """One request, as it came."""

    method: str
    target: str
    headers: dict[str, str]
    """By name in small letters."""
    body: bytes
    connection: int
    """Which connection it came on."""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))


Act = Callable[[asyncio.StreamWriter], Awaitable[None]]
Reply = bytes | Act
"""What is written, after which the connection stays; or what is done."""


async def hang(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()


def cut(begun: bytes) -> Act:
    """Only this, and then the connection ends."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        await writer.drain()
        writer.close()

    return act


def reset(begun: bytes) -> Act:
    """Only this, and then the connection breaks."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        await writer.drain()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(1, 13, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # SO_LINGER 0: RST
        writer.transport.abort()

    return act


def stall(begun: bytes) -> Act:
    """Only this, and then nothing."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        await writer.drain()
        await hang(writer)

    return act


def answer(body: Any, status: int = 200, **headers: str) -> bytes:
    """*body* is bytes, or what is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"Content-Type": "application/json", "Content-Length": str(len(raw))}
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in (lines | more).items())
    return f"HTTP/1.1 {status} .\r\n{head}\r\n".encode() + raw


DONE = answer({"success": True})


@dataclass
class Scripted:
    """The server."""

    port: int = 0
    replies: list[Reply] = field(default_factory=list)
    """For the requests to come, in order; DONE for those after them."""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    scheme: str = "http"

    @property
    def base(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = self.connections
        try:
            while not writer.is_closing():
                self.requests.append(await _request(reader, connection))
                reply = self.replies.pop(0) if self.replies else DONE
                if isinstance(reply, bytes):
                    writer.write(reply)
                    await writer.drain()
                else:
                    await reply(writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


async def _request(reader: asyncio.StreamReader, connection: int) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body, connection)


@asynccontextmanager
async def a_scripted_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    scripted = Scripted(scheme="http" if tls is None else "https")
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            await scripted.serve(reader, writer)
        except asyncio.CancelledError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    scripted.port = server.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        server.close()
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
