"""Asks every node at a steady pace, and writes down how long each answer took. A process of its
own, so that it is not held up by those who make the load. Standard library only.

Reads one line of JSON, ``{"ports", "base", "password", "number", "pause", "log"}``, and asks until
its input ends. Each answer is a line of JSON in the log: ``[moment, port, kind, status, seconds]``;
the moment is that of the monotonic clock when it was asked, the status 0 when none came.
"""

import asyncio
import base64
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

_SECONDS = 10


async def _ask(port: int, method: str, path: str, login: str, body: Any = None) -> tuple[int, Any]:
    raw = b"" if body is None else json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {login}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n"
            "Connection: close\r\n\r\n".encode()
            + raw
        )
        head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), json.loads(rest)
    finally:
        writer.close()


class Prober:
    """A client that knows its PIN."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._token = ""

    async def _log_in(self, port: int) -> None:
        basic = base64.b64encode(f"admin:{self._order['password']}".encode()).decode()
        path = f"{self._order['base']}/users/login"
        status, body = await _ask(port, "POST", path, f"Basic {basic}")
        if status == 200:
            self._token = body["users"][0]["token"]

    async def _once(self, port: int, kind: str) -> int:
        try:
            async with asyncio.timeout(_SECONDS):
                login = f"Bearer {self._token}"
                base = self._order["base"]
                if kind == "health":
                    status, _ = await _ask(port, "GET", f"{base}/health", login)
                else:
                    body = self._order["number"]
                    status, _ = await _ask(port, "POST", f"{base}/account/shards", login, body)
                if status == 401:
                    await self._log_in(port)
                return status
        except (OSError, ValueError, IndexError, TimeoutError):
            return 0

    async def run(self) -> None:
        ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        with Path(self._order["log"]).open("w", buffering=1) as log:
            turns = [asyncio.create_task(self._node(port, log)) for port in self._order["ports"]]
            await ended
            for turn in turns:
                turn.cancel()
            await asyncio.gather(*turns, return_exceptions=True)

    async def _node(self, port: int, log: Any) -> None:
        for kind in itertools.cycle(("health", "PIN check")):
            began = time.monotonic()
            status = await self._once(port, kind)
            took = time.monotonic() - began
            log.write(json.dumps([began, port, kind, status, took]) + "\n")
            await asyncio.sleep(max(0.0, self._order["pause"] - took))


if __name__ == "__main__":
    asyncio.run(Prober(json.loads(sys.stdin.readline())).run())
