"""A real receiver of webhooks, which checks signatures with code of its own and misbehaves to order.

In the process of a test it is ``a_receiver()``. As a process of its own,
``python -m tests.webhook_receiver --port P --secret S --log FILE [--pause SECONDS] [--forgets]``
writes a line of JSON to *FILE* for each update that came with a right signature, before it answers.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from nightlatch.bootstrap import free_port

_PATIENCE = 30
_BLOCK = 64


def signed(secret: str, body: bytes) -> str:
    """``sha256=`` and the HMAC of RFC 2104, written out: nothing of ours is asked."""
    key = secret.encode()
    key = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    inner = hashlib.sha256(bytes(k ^ 0x36 for k in key) + body).digest()
    return "sha256=" + hashlib.sha256(bytes(k ^ 0x5C for k in key) + inner).hexdigest()


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
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def updates(self) -> list[dict[str, Any]]:
        """Each update's ``value``, in the order of the body."""
        return [
            change["value"]
            for entry in json.loads(self.body)["entry"]
            for change in entry["changes"]
        ]


Answer = Callable[[Request], bytes | None]
"""The whole answer to a POST with a right signature; None for none, ever."""


def answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Receiver:
    """Takes everything that is signed with *secret*, until told otherwise."""

    port: int
    secret: str = ""
    """The app's; an empty one takes every signature."""
    token: str = "let me in"
    host: str = "127.0.0.1"
    tls: ssl.SSLContext | None = None

    answers: Answer = lambda _: answer(200)
    pause: float = 0.0
    """Seconds it takes to think about each."""
    requests: list[Request] = field(default_factory=list)
    """Every request, in order of arrival."""
    forged: list[Request] = field(default_factory=list)
    """Those whose signature was wrong."""
    talks: int = 0
    """How many connections there were."""
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    _server: asyncio.Server | None = None
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://{self.host}:{self.port}/hook"

    @property
    def updates(self) -> list[dict[str, Any]]:
        """Every update that came with a right signature, in order of arrival."""
        return [
            update
            for request in self.requests
            if request.method == "POST" and request not in self.forged
            for update in request.updates
        ]

    async def start(self) -> None:
        """Begin to listen; also again after ``stop``."""
        self._server = await asyncio.start_server(self._talk, self.host, self.port, ssl=self.tls)

    async def stop(self) -> None:
        """Cut every connection and listen no more."""
        if self._server is not None:
            self._server.close()
            for task in tuple(self._open):
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
            self._server = None

    async def until(self, enough: Callable[["Receiver"], bool]) -> None:
        """Wait until something is so; looked at after each request."""
        async with self._arrived, asyncio.timeout(_PATIENCE):
            await self._arrived.wait_for(lambda: enough(self))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.talks += 1
        try:
            await self._converse(reader, writer, self.talks)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, talk: int
    ) -> None:
        while True:
            request = await _read(reader, talk)
            said = self._react(request)
            self.requests.append(request)
            async with self._arrived:
                self._arrived.notify_all()
            await asyncio.sleep(self.pause)
            if said is None:
                await asyncio.Event().wait()
            else:
                writer.write(said)
                await writer.drain()
                if not said or b"Connection: close" in said:
                    return

    def _react(self, request: Request) -> bytes | None:
        if request.method == "GET":
            query = request.query
            if (query.get("hub.mode"), query.get("hub.verify_token")) != ("subscribe", self.token):
                return answer(403)
            return answer(200, query["hub.challenge"].encode())
        signature = request.headers.get("x-hub-signature-256", "")
        if self.secret and signature != signed(self.secret, request.body):
            self.forged.append(request)
            return answer(403)
        return self.answers(request)


async def _read(reader: asyncio.StreamReader, talk: int) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, target, _ = first.split(" ")
    return Request(method, target, headers, body, talk)


@asynccontextmanager
async def a_receiver(**chosen: Any) -> AsyncIterator[Receiver]:
    """A receiver that listens."""
    receiver = Receiver(**{"port": free_port(), **chosen})
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()


# As a process of its own


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.webhook_receiver")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--secret", default="", help="of the app; without it nothing is checked")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--forgets", action="store_true", help="hang up on every third request")
    return parser.parse_args(words)


async def run(chosen: argparse.Namespace) -> None:
    with chosen.log.open("a") as log:

        def take(request: Request) -> bytes:
            log.writelines(json.dumps(update) + "\n" for update in request.updates)
            log.flush()
            forgets = chosen.forgets and len(receiver.requests) % 3 == 0
            return b"" if forgets else answer(200)

        receiver = Receiver(chosen.port, chosen.secret, answers=take, pause=chosen.pause)
        await receiver.start()
        print("ready", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(arguments()))


if __name__ == "__main__":
    main()
