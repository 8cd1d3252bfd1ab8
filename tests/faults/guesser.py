"""One client process that sends many requests at the same moment. Standard library only.

Reads one JSON list of ``[port, path, token, body]`` a line, answers with one
JSON list of ``[status, code, details]``, in the same order. A connection that
brings no whole answer is ``[0, null, why]``.
"""

import asyncio
import json
import sys
from typing import Any

_SECONDS = 30


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, token: str, body: Any
) -> list[Any]:
    raw = json.dumps(body).encode()
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n"
        "Connection: close\r\n\r\n".encode()
        + raw
    )
    try:
        async with asyncio.timeout(_SECONDS):
            answer = await reader.read()
        head, _, rest = answer.partition(b"\r\n\r\n")
        body = json.loads(rest)
        error = body.get("error") or body.get("errors", [{}])[0]  # of the Graph, or of /v1
        details = error.get("details") or error.get("message", "")
        return [int(head.split(b" ")[1]), error.get("code"), details]
    except (OSError, ValueError, IndexError, TimeoutError) as cut:
        return [0, None, repr(cut)]
    finally:
        writer.close()


async def _volley(requests: list[list[Any]]) -> list[list[Any]]:
    streams = [await asyncio.open_connection("127.0.0.1", request[0]) for request in requests]
    return await asyncio.gather(
        *(_ask(*stream, *request[1:]) for stream, request in zip(streams, requests, strict=True))
    )


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(asyncio.run(_volley(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
