"""Sends requests and counts the answers: a process of its own, kept as cheap as can be.

Reads jobs from standard input, one JSON object a line, and writes one result a
line: ``{"port", "requests", "connections", "count", "first"}`` sends *count*
requests, taken from *requests* in turn beginning with number *first*. Each
connection is kept alive and has one request on its way at a time; with
``"pause"`` it waits so many seconds after each answer.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

import uvloop

_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_SPELLED = b"Content-Length: "
"""As servers write it that are not ours."""


class Run:
    """One job under way."""

    def __init__(self, requests: list[bytes], count: int, first: int, pause: float = 0.0) -> None:
        self.requests = requests
        self.pause = pause
        self.next = first
        self.last = first + count
        self.waiting = count
        self.statuses: Counter[bytes] = Counter()
        self.took: list[float] = []
        self.done = asyncio.get_running_loop().create_future()

    def request(self) -> bytes | None:
        if self.next >= self.last:
            return None
        self.next += 1
        return self.requests[(self.next - 1) % len(self.requests)]

    def answered(self, status: bytes, seconds: float) -> None:
        self.statuses[status] += 1
        self.took.append(seconds)
        self.waiting -= 1
        if not self.waiting:
            self.done.set_result(None)

    def lost(self) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server closed a connection"))


class Connection(asyncio.Protocol):
    """Keeps one request on its way."""

    def __init__(self) -> None:
        self._run: Run | None = None
        self._got = b""
        self._sent = 0.0
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def begin(self, run: Run, after: float = 0.0) -> None:
        self._run = run
        self._send_after(after)

    def _send_after(self, seconds: float) -> None:
        if seconds:
            asyncio.get_running_loop().call_later(seconds, self._send)
        else:
            self._send()

    def close(self) -> None:
        self._run = None
        self._transport.close()

    def _send(self) -> None:
        request = self._run.request() if self._run else None
        if request is not None:
            self._sent = time.perf_counter()
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        got = self._got + data
        head = got.find(_END)
        if head < 0:
            self._got = got
            return
        at = got.find(_LENGTH, 0, head)
        at = (at if at >= 0 else got.find(_SPELLED, 0, head)) + len(_LENGTH)
        if len(got) < head + 4 + int(got[at : got.find(b"\r", at)]):
            self._got = got
            return
        self._got = b""
        if self._run is not None:
            self._run.answered(got[9:12], time.perf_counter() - self._sent)
            self._send_after(self._run.pause)

    def connection_lost(self, _: Exception | None) -> None:
        if self._run is not None:
            self._run.lost()


async def play(job: dict[str, Any]) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(Connection, "127.0.0.1", job["port"]))[1]
        for _ in range(job["connections"])
    ]
    requests, pause = [request.encode() for request in job["requests"]], job.get("pause", 0.0)
    run = Run(requests, job["count"], job["first"], pause)
    began = time.perf_counter()
    for n, connection in enumerate(connections):
        connection.begin(run, pause * n / len(connections))
    try:
        async with asyncio.timeout(job["patience"]):
            await run.done
    finally:
        seconds = time.perf_counter() - began
        for connection in connections:
            connection.close()
    took = sorted(run.took)
    return {
        "per_second": len(took) / seconds,
        "statuses": {status.decode(): count for status, count in run.statuses.items()},
        "p50_ms": took[len(took) // 2] * 1_000,
        "p99_ms": took[len(took) * 99 // 100] * 1_000,
    }


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(uvloop.run(play(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
