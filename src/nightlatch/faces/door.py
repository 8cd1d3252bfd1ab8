"""The door every request comes through, whatever face it is for.

Refuses what no face should see (foreign hosts, two of a header that must be
one, bodies too large), counts and logs every answer, and lets requests in
flight finish when the server stops.
"""

import asyncio
import contextlib
import ipaddress
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from nightlatch import traces
from nightlatch.domain.errors import (
    BodyTooLarge,
    PathUnknown,
    Refusal,
    RequestMalformed,
    Unavailable,
)
from nightlatch.domain.limits import BODY_BYTES
from nightlatch.faces.metrics import Metrics

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer to a refusal, in the form of the face whose path it was."""

    status: int
    code: int | None
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"),)


Envelope = Callable[[Refusal, str], Refused]
"""The answer to a refusal of a request to a path."""

_ONCE: Final = (b"authorization", b"content-length", b"content-type")
_ROUND: Final = 0.01  # seconds
_QUIET_ROUNDS: Final = 4
"""How many rounds without a request end a door that closes. Rounds, because on a busy machine
they take longer, as does what is still on its way."""
_FAREWELL: Final = 0.5
"""Seconds without a request after which a door that retires is not expected to get one."""
_CODINGS: Final = {b"content-encoding": b"identity", b"transfer-encoding": b"chunked"}


class Note:
    """What the faces tell the door about the request under way."""

    __slots__ = (
        "answered",
        "client",
        "code",
        "cut_short",
        "first_chunk",
        "place",
        "refusal",
        "request_id",
        "route",
        "status",
    )

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.route = "unknown"
        self.client = ""
        self.place = ""
        """The address the request came from; a trusted proxy's word counts."""
        self.answered = False
        self.cut_short = False
        self.first_chunk = b""
        """What of the body has come first; mostly all of it."""
        self.status = 500
        self.code: int | None = None
        self.refusal: str | None = None


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of this name, which is given in lower case."""
    for found, value in scope["headers"]:
        if found == name:
            return str(value.decode("latin-1"))
    return None


def note_of(scope: Scope) -> Note:
    note: Note = scope["nightlatch"]
    return note


class Door:
    """An ASGI application in front of another."""

    def __init__(
        self,
        app: App,
        hosts: frozenset[str],
        proxies: Sequence[Network],
        metrics: Metrics,
        envelope: Envelope,
        largest: Callable[[str], int] = lambda _: BODY_BYTES,
    ) -> None:
        """*largest* is how many bytes a request to a path may bring."""
        self._app = app
        self._hosts = hosts
        self._proxies = proxies
        self._metrics = metrics
        self._envelope = envelope
        self._largest = largest
        self._log = structlog.get_logger()
        self._in_flight: set[asyncio.Task[Any] | None] = set()
        self._closing = False
        self._retiring = False
        self._begun = 0

    async def retire(self, seconds: float) -> float:
        """Let each answer end its connection, until nothing has come for a while, for *seconds*
        at most; how many it took.

        For a process that gets no new connections: who kept one open learns from an answer
        that the next request needs another, which leads elsewhere.
        """
        self._retiring = True
        loop = asyncio.get_running_loop()
        started = asked = loop.time()
        begun = self._begun
        while (now := loop.time()) < started + seconds:
            if self._in_flight or begun != self._begun:
                begun, asked = self._begun, now
            elif now > asked + _FAREWELL:
                break
            await asyncio.sleep(_ROUND)
        return loop.time() - started

    async def close(self, seconds: float) -> int:
        """Take no more requests, and wait for those in flight; how many did not finish in time.

        Those are refused then: a body that trickles must not keep the server from ending.
        What had been sent when this was called is on its way through the HTTP server's own
        threads, so the door stays, refusing, until nothing has come for a while.
        """
        self._closing = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                begun, rounds = self._begun, 0
                while self._in_flight or rounds < _QUIET_ROUNDS:
                    await asyncio.sleep(_ROUND)
                    rounds = rounds + 1 if begun == self._begun else 0
                    begun = self._begun
        late = [task for task in self._in_flight if task is not None]
        for task in late:
            task.cancel()
        return len(late)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        note = scope["nightlatch"] = Note(secrets.token_hex(8))
        note.place = self._place(scope)
        request_id = (b"x-request-id", note.request_id.encode())

        async def told(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                note.answered = True
                note.status = message["status"]
                message["headers"] = [*message["headers"], request_id]
                if self._retiring:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        async def heard() -> MutableMapping[str, Any]:
            message = await receive()
            if message["type"] == "http.disconnect":
                note.cut_short = True
            elif not note.first_chunk:
                note.first_chunk = message.get("body", b"")
            return message

        traceparent = header(scope, b"traceparent") if traces.are_on() else None
        with traces.serving(_method(scope), traceparent) as span:
            task = asyncio.current_task()
            self._in_flight.add(task)
            self._begun += 1
            self._metrics.arrived()
            try:
                refusal = Unavailable() if self._closing else self._look(scope)
                if refusal is None:
                    refusal = await self._let_in(scope, heard, told, note)
                if refusal is not None:
                    await self._refuse(refusal, scope["path"], note, told)
            finally:
                self._in_flight.discard(task)
                self._count(_method(scope), note, (time.perf_counter() - started) * 1000)
                _describe(span, _method(scope), note)

    async def _let_in(
        self, scope: Scope, receive: Receive, send: Send, note: Note
    ) -> Refusal | None:
        """Let the application answer; how to refuse when it did not."""
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if note.answered or not self._closing:
                raise
            return Unavailable()  # the server stops, and no time is left
        if not note.answered:  # Falcon leaves when nothing of a body arrives
            return RequestMalformed("its body is cut short")
        return None

    def _look(self, scope: Scope) -> Refusal | None:
        host = None
        seen = set()
        for name, value in scope["headers"]:
            if name == b"host":
                if host is not None:
                    return RequestMalformed("it names more than one host")
                host = value
            elif name in _ONCE:
                if name in seen:
                    return RequestMalformed(f"the header {name.decode().title()} stands twice")
                seen.add(name)
                if name == b"content-length" and int(value) > self._largest(scope["path"]):
                    return BodyTooLarge()
            elif name in _CODINGS and value.lower() != _CODINGS[name]:
                return RequestMalformed("send the body without compression")
        if host is None or _name(host) not in self._hosts:
            return RequestMalformed("the Host header names no host of this server")
        if "//" in scope["path"] or b"%2f" in scope["raw_path"].lower():
            return PathUnknown()  # what a proxy in front would not take for the same path
        return None

    def _place(self, scope: Scope) -> str:
        """The peer's address; behind trusted proxies, the nearest address that is none of them."""
        peer = str(scope["client"][0]) if scope.get("client") else ""
        if not self._proxies:
            return peer
        told = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        hops = [hop.strip() for hop in b",".join(told).decode("latin-1").split(",")]
        for hop in reversed([*hops, peer]):
            try:
                address = ipaddress.ip_address(hop)
            except ValueError:
                return peer  # nobody we trust wrote that
            peer = str(address)
            if not any(address in network for network in self._proxies):
                break
        return peer

    async def _refuse(self, refusal: Refusal, path: str, note: Note, send: Send) -> None:
        refused = self._envelope(refusal, path)
        note.code = refused.code
        note.refusal = type(refusal).__name__
        headers = [
            *refused.headers,
            (b"content-length", str(len(refused.body)).encode()),
            (b"connection", b"close"),
        ]
        if refusal.retry_after is not None:
            headers.append((b"retry-after", str(refusal.retry_after).encode()))
        await send({"type": "http.response.start", "status": refused.status, "headers": headers})
        await send({"type": "http.response.body", "body": refused.body})

    def _count(self, method: str, note: Note, milliseconds: float) -> None:
        self._metrics.answered(note.route, note.status, milliseconds)
        if note.refusal is not None:
            self._metrics.refused(note.refusal)
        self._log.info(
            "request",
            request_id=note.request_id,
            method=method,
            route=note.route,
            client=note.client,
            status=note.status,
            code=note.code,
            refusal=note.refusal,
            ms=round(milliseconds, 3),
        )


class AtRoot:
    """An ASGI application in front of another: requests to *hosts*, or to any host when None,
    find what lies below *prefix* at the root. ``scope["nightlatch.below"]`` says that they did."""

    def __init__(self, app: App, prefix: str, hosts: frozenset[str] | None = None) -> None:
        self._app = app
        self._prefix = prefix
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_for_us(scope):
            scope["nightlatch.below"] = self._prefix
            scope["path"] = self._prefix + scope["path"]
            scope["raw_path"] = self._prefix.encode() + scope["raw_path"]
        await self._app(scope, receive, send)

    def _is_for_us(self, scope: Scope) -> bool:
        if self._hosts is None:
            return True
        named = [value for name, value in scope["headers"] if name == b"host"]
        return any(_name(host) in self._hosts for host in named)


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _method(scope: Scope) -> str:
    return str(scope["method"]) if scope["method"] in _METHODS else "other"


def _describe(span: traces.Span, method: str, note: Note) -> None:
    """What a trace tells of a request: nothing that it brought."""
    if not traces.are_on():
        return
    span.called(note.route)
    facts: dict[str, traces.Fact] = {
        "http.request.method": method,
        "http.route": note.route,
        "http.response.status_code": note.status,
        "nightlatch.request_id": note.request_id,
    }
    if note.refusal is not None:
        facts["nightlatch.refusal"] = note.refusal
    span.tell(**facts)


def _name(host: bytes) -> str:
    """The host without its port, in lower case."""
    text = host.decode("latin-1").lower()
    name, colon, port = text.rpartition(":")
    return name if colon and port.isdigit() and not name.endswith(":") else text
