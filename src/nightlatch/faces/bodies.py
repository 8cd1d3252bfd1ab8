"""Reading the body of a request, whatever is in it."""

import asyncio
import json
from typing import Any, Final, NoReturn

import falcon
from falcon.asgi import Request

from nightlatch.domain.errors import BodyTooLarge, RequestMalformed
from nightlatch.domain.limits import BODY_BYTES, BODY_SECONDS
from nightlatch.faces.door import Receive, Scope, header, note_of


async def raw_body(req: Request) -> bytes:
    """The whole body, at most BODY_BYTES.

    Raises:
        BodyTooLarge: it is longer.
        RequestMalformed: it is cut short, or takes longer than BODY_SECONDS.
    """
    if not req.content_length and "transfer-encoding" not in req.headers:
        return b""
    note = note_of(req.scope)
    if len(note.first_chunk) == req.content_length:  # most bodies come with the head
        return note.first_chunk
    try:
        async with asyncio.timeout(BODY_SECONDS):
            raw = await req.stream.read(BODY_BYTES + 1)
    except TimeoutError as error:
        raise RequestMalformed("its body did not arrive in time") from error
    except falcon.HTTPError as error:
        raise RequestMalformed("its body is cut short") from error
    if len(raw) > BODY_BYTES:
        raise BodyTooLarge
    if note.cut_short:
        raise RequestMalformed("its body is cut short")
    return bytes(raw)


async def whole_body(scope: Scope, receive: Receive, most: int = BODY_BYTES) -> bytes:
    """As ``raw_body``, for a face that is an ASGI application itself; at most *most* bytes."""
    if header(scope, b"content-length") in (None, "0") and not header(scope, b"transfer-encoding"):
        return b""
    parts, size, more = [], 0, True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RequestMalformed("its body is cut short")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > most:
                    raise BodyTooLarge
                more = message.get("more_body", False)
    except TimeoutError as error:
        raise RequestMalformed("its body did not arrive in time") from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_json(raw: bytes) -> Any:
    """What JSON says, when it says it in one way only.

    Raises:
        RequestMalformed: not JSON in UTF-8, a key twice, nested too deep, half a character.
    """
    try:
        text = raw.decode()
        value = _DECODER.decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # lone surrogates end here
    except (ValueError, RecursionError) as error:
        raise RequestMalformed("the body is not JSON in UTF-8") from error
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RequestMalformed("a key stands twice in one object")
    return found


def _refuse_constant(_: str) -> NoReturn:
    raise RequestMalformed("NaN and Infinity are not JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
