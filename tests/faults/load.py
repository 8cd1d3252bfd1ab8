"""Constant load from a process of its own: ``python -m tests.faults.load PORT``.

Half of the callers open a connection for each request, half keep theirs until an answer ends
it. Nobody tries anything twice. Ends with its standard input, and prints how often what came back.
"""

import asyncio
import json
import sys
from collections import Counter

KEY = "an-api-key-of-32-characters-long"
_CALLERS = 4
_LONGEST = 60.0  # seconds
_REQUEST = (
    f"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nAuthorization: Apikey {KEY}\r\n\r\n".encode()
)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """The status, and whether the connection ends with it."""
    head = await reader.readuntil(b"\r\n\r\n")
    status, *lines = head.decode().lower().splitlines()
    headers = dict(line.split(": ", 1) for line in lines if line)
    await reader.readexactly(int(headers["content-length"]))
    return int(status.split()[1]), headers.get("connection") == "close"


async def _call(port: int, told: Counter[str], end: asyncio.Event, *, keeps: bool) -> None:
    streams: Streams | None = None
    while not end.is_set():
        try:
            if streams is None:
                streams = await asyncio.open_connection("127.0.0.1", port)
                told["connections"] += 1
            streams[1].write(_REQUEST)
            status, last = await _answer(streams[0])
            told[str(status)] += 1
        except (OSError, asyncio.IncompleteReadError) as error:
            told[type(error).__name__] += 1
            last = True
        if streams is not None and (last or not keeps):
            streams[1].close()
            streams = None
        await asyncio.sleep(0.002)


async def run(port: int) -> Counter[str]:
    told: Counter[str] = Counter()
    end = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), end.set)
    asyncio.get_running_loop().call_later(_LONGEST, end.set)
    callers = [_call(port, told, end, keeps=n % 2 == 0) for n in range(2 * _CALLERS)]
    await asyncio.gather(*callers)
    return told


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(int(sys.argv[1])))))
