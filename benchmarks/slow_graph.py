"""Graph as a bridge needs it, every answer after a fixed time: a process of its own.

The first line of standard input is ``{"port", "numbers", "accounts", "ms"}``, answered once it
listens; account *n* has the numbers whose place in the list leaves *n* when divided by *accounts*.
Each line after that is answered with how many calls came since the one before, reads and writes.
"""

import asyncio
import json
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import uvloop

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
FIRST_ID, FIRST_ACCOUNT, FIRST_NUMBER = 1_066_000_000, 102_290_000, 16_315_552_000
_SCOPES = ["whatsapp_business_management", "whatsapp_business_messaging"]


class Graph:
    """What it has, and what it was asked."""

    def __init__(self, numbers: int, accounts: int, ms: float) -> None:
        self.numbers, self.accounts, self.seconds = numbers, accounts, ms / 1_000
        self.on: set[int] = set()
        """Numbers with a PIN, by their place."""
        self.reads = self.writes = 0

    def answer(self, method: bytes, target: str) -> bytes:
        parts = urlsplit(target)
        _, _, first, *edge = parts.path.split("/")
        if method == b"POST":
            self.writes += 1
            self.on.add(int(first) - FIRST_ID)
            return b'{"success":true}'
        self.reads += 1
        return json.dumps(self._shown(first, edge, parse_qs(parts.query))).encode()

    def _shown(self, first: str, edge: list[str], query: dict[str, list[str]]) -> dict[str, Any]:
        if first == "debug_token":
            return {"data": {"is_valid": True, "app_id": "1", "scopes": _SCOPES, "expires_at": 0}}
        if edge == ["subscribed_apps"]:
            return {"data": [{"whatsapp_business_api_data": {"id": "1"}}]}
        if edge == ["phone_numbers"]:
            mine = range(int(first) - FIRST_ACCOUNT, self.numbers, self.accounts)
            begin, limit = (int(query.get(name, ["0"])[0]) for name in ("after", "limit"))
            page = mine[begin : begin + limit]
            paging = {"cursors": {"after": str(begin + limit)}}
            more = {"next": "more"} if begin + limit < len(mine) else {}
            return {"data": [self._number(n) for n in page], "paging": {**paging, **more}}
        if int(first) >= FIRST_ID:
            return self._number(int(first) - FIRST_ID)
        return {"id": first, "name": "Lucky Shrub"}

    def _number(self, n: int) -> dict[str, Any]:
        return {
            "id": str(FIRST_ID + n), "display_phone_number": f"+{FIRST_NUMBER + n}",
            "verified_name": "Lucky Shrub", "name_status": "APPROVED", "status": "CONNECTED",
            "code_verification_status": "VERIFIED", "platform_type": "CLOUD_API",
            "is_pin_enabled": n in self.on, "quality_rating": "GREEN",
        }  # fmt: skip


class Connection(asyncio.Protocol):
    """One request at a time, as HTTP clients send them."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._got = b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._got += data
        head = self._got.find(_END)
        if head < 0:
            return
        lowered = self._got[:head].lower()
        at = lowered.find(_LENGTH)
        length = int(lowered[at + len(_LENGTH) :].split(b"\r", 1)[0]) if at >= 0 else 0
        if len(self._got) < head + 4 + length:
            return
        method, target, _ = self._got.split(b" ", 2)
        self._got = b""
        body = self._graph.answer(method, target.decode())
        asyncio.get_running_loop().call_later(self._graph.seconds, self._reply, body)

    def _reply(self, body: bytes) -> None:
        if not self._transport.is_closing():
            head = (
                f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
            )
            self._transport.write(head.encode() + _END + body)


async def main() -> None:
    loop = asyncio.get_running_loop()
    job = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    graph = Graph(job["numbers"], job["accounts"], job["ms"])
    server = await loop.create_server(lambda: Connection(graph), "127.0.0.1", job["port"])
    print("{}", flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps({"reads": graph.reads, "writes": graph.writes}), flush=True)
        graph.reads = graph.writes = 0
    server.close()


if __name__ == "__main__":
    uvloop.run(main())
