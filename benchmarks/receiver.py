"""Takes webhooks and counts them: a process of its own, kept as cheap as can be.

The first line of standard input is ``{"port", "secret"}``; it is answered once the socket
listens. Each further line is answered with what has come so far: ``{"updates", "requests",
"forged"}``.
"""

import asyncio
import hashlib
import hmac
import json
import sys
from typing import Any

import uvloop

_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_SIGNATURE = b"x-hub-signature-256: "
_TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


class Counted:
    """What has come."""

    def __init__(self, secret: str) -> None:
        self.secret = secret.encode()
        self.found = {"updates": 0, "requests": 0, "forged": 0}

    def take(self, signature: bytes, body: bytes) -> bytes:
        right = b"sha256=" + hmac.digest(self.secret, body, hashlib.sha256).hex().encode()
        if signature != right:
            self.found["forged"] += 1
            return _REFUSED
        self.found["requests"] += 1
        self.found["updates"] += len(json.loads(body)["entry"])
        return _TAKEN


class Connection(asyncio.Protocol):
    """Answers one request after another."""

    def __init__(self, counted: Counted) -> None:
        self._counted, self._got = counted, b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._got += data
        while (head := self._got.find(_END)) >= 0:
            lower = self._got[:head].lower() + b"\r\n"
            body = head + len(_END)
            end = body + int(_header(lower, _LENGTH))
            if len(self._got) < end:
                return
            answer = self._counted.take(_header(lower, _SIGNATURE), self._got[body:end])
            self._got = self._got[end:]
            self._transport.write(answer)


def _header(lower: bytes, name: bytes) -> bytes:
    at = lower.index(name) + len(name)
    return lower[at : lower.index(b"\r", at)]


async def main() -> None:
    loop = asyncio.get_running_loop()
    job = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    counted = Counted(job["secret"])
    await loop.create_server(lambda: Connection(counted), "127.0.0.1", job["port"])
    print("ready", flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(counted.found), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
