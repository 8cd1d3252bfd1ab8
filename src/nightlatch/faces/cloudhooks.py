"""``/cloud/{waba}/webhook``: where Meta sends the webhooks of a linked account."""

import json
import re
from typing import Any, Final
from urllib.parse import parse_qs

import structlog

from nightlatch.domain.errors import (
    BodyTooLarge,
    LinkUnknown,
    MethodNotAllowed,
    Overloaded,
    ParameterInvalid,
    PathUnknown,
    Refusal,
    RequestMalformed,
    Unavailable,
    WebhookForged,
)
from nightlatch.domain.limits import INBOUND_BYTES
from nightlatch.faces.bodies import whole_body
from nightlatch.faces.door import Note, Receive, Refused, Scope, Send, header, note_of
from nightlatch.logs import frames
from nightlatch.ports import World
from nightlatch.usecases import inbound

PREFIX: Final = "/cloud"
_PATH = re.compile(r"/cloud/([0-9]{1,32})/webhook/?", re.ASCII)
_LONGEST: Final = 4_096
_JSON: Final = (b"content-type", b"application/json")
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_ROWS: Final[dict[type[Refusal], tuple[int, str]]] = {
    WebhookForged: (403, "The verify token or the signature is not the one of this account."),
    PathUnknown: (404, "Nothing is served at this path."),
    MethodNotAllowed: (405, "This path takes GET and POST."),
    BodyTooLarge: (413, f"The body is longer than {INBOUND_BYTES} bytes."),
    RequestMalformed: (400, "The request cannot be read."),
    ParameterInvalid: (400, "A parameter does not fit."),
    LinkUnknown: (403, "The verify token or the signature is not the one of this account."),
    Unavailable: (503, "The store or the key ring does not answer."),
    Overloaded: (503, "Too much is going on at this moment."),
}
_BUG: Final = (500, "Something went wrong here.")


class CloudHooks:
    """An ASGI application. Meta repeats for 7 days what is not answered with 200."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._log = structlog.get_logger()

    def serves(self, path: str) -> bool:
        """Whether requests to *path* are answered here."""
        return path == PREFIX or path.startswith(PREFIX + "/")

    def refused(self, refusal: Refusal | None) -> Refused:
        """What the door answers instead of us; None for a bug."""
        status, says = _BUG if refusal is None else _ROWS.get(type(refusal), _BUG)
        return Refused(status, None, json.dumps({"error": says}).encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        note = note_of(scope)
        note.route = f"{scope['method']}_cloud_webhook"
        try:
            body = await self._answer(scope, receive, note)
        except Refusal as refusal:
            await self._refuse(refusal, note, send)
        except Exception as error:  # noqa: BLE001 - logged, and answered as a bug
            self._log.error(
                "bug", request_id=note.request_id, route=note.route,
                error=type(error).__name__, where=frames(error),
            )  # fmt: skip
            await self._refuse(None, note, send)
        else:
            await _send(send, 200, _TEXT if scope["method"] == "GET" else _JSON, body)

    async def _answer(self, scope: Scope, receive: Receive, note: Note) -> bytes:
        found = _PATH.fullmatch(scope["path"])
        if found is None:
            note.route = "unknown"
            raise PathUnknown
        world, waba = self._world.seen_from(note.place), found[1]
        if scope["method"] == "GET":
            query = _query(scope)
            text = await inbound.challenge(
                world, waba, query.get("hub.mode", ""), query.get("hub.verify_token", ""),
                query.get("hub.challenge", ""),
            )  # fmt: skip
            return text.encode()
        if scope["method"] != "POST":
            note.route = "unknown"
            raise MethodNotAllowed(("GET", "POST"))
        body = await whole_body(scope, receive, INBOUND_BYTES)
        await inbound.hear(world, waba, body, header(scope, b"x-hub-signature-256"))
        return b'{"success":true}'

    async def _refuse(self, refusal: Refusal | None, note: Note, send: Send) -> None:
        answer = self.refused(refusal)
        note.refusal = None if refusal is None else type(refusal).__name__
        more = []
        if refusal is not None and refusal.retry_after is not None:
            more.append((b"retry-after", str(refusal.retry_after).encode()))
        if isinstance(refusal, MethodNotAllowed):
            more.append((b"allow", b"GET, POST"))
        await _send(send, answer.status, _JSON, answer.body, more)


def _query(scope: Scope) -> dict[str, str]:
    raw = scope["query_string"]
    if len(raw) > _LONGEST:
        raise RequestMalformed("its query is too long")
    try:
        read = parse_qs(raw.decode("ascii"), strict_parsing=False, max_num_fields=20)
    except ValueError:
        raise RequestMalformed("its query cannot be read") from None
    return {name: values[0] for name, values in read.items() if len(values) == 1}


async def _send(
    send: Send,
    status: int,
    kind: tuple[bytes, bytes],
    body: bytes,
    more: list[tuple[bytes, bytes]] | None = None,
) -> None:
    headers: list[Any] = [kind, (b"content-length", str(len(body)).encode()), *(more or [])]
    headers += [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
