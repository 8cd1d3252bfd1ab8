"""Reading the body of a request, whatever is in it."""

import asyncio

import falcon
from falcon.asgi import Request

from nightlatch.domain.errors import BodyTooLarge, RequestMalformed
from nightlatch.domain.limits import BODY_BYTES, BODY_SECONDS
from nightlatch.faces.door import note_of


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
        raw = await asyncio.wait_for(req.stream.read(BODY_BYTES + 1), BODY_SECONDS)
    except TimeoutError as error:
        raise RequestMalformed("its body did not arrive in time") from error
    except falcon.HTTPError as error:
        raise RequestMalformed("its body is cut short") from error
    if len(raw) > BODY_BYTES:
        raise BodyTooLarge
    if note.cut_short:
        raise RequestMalformed("its body is cut short")
    return bytes(raw)
