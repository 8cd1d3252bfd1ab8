"""The table of ``routes.py`` as an ASGI application of its own.

What a path means here depends on the object that its id names, so a framework's
router would not help; without the framework an answer costs a fifth less.
"""

import asyncio
import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import structlog

from nightlatch.domain.access import Caller, GraphApp
from nightlatch.domain.errors import (
    AccessTokenMissing,
    AccessTokenRefused,
    EdgeUnknown,
    MethodNotAllowed,
    NodeUnknown,
    PathUnknown,
    ProofRefused,
    Refusal,
)
from nightlatch.domain.numbers import Number
from nightlatch.domain.portfolios import Portfolio, Waba
from nightlatch.faces.bodies import whole_body
from nightlatch.faces.door import Note, Receive, Refused, Scope, Send, header, note_of
from nightlatch.faces.faults import Fault, FaultKind, Faults
from nightlatch.faces.graph.errors import (
    INJECTED,
    PROFILES,
    AppTokenNeeded,
    Asked,
    body_of,
    row_of,
    trace_of,
)
from nightlatch.faces.graph.openapi import document
from nightlatch.faces.graph.routes import ROUTES
from nightlatch.faces.graph.versions import NEWEST, Version, find, looks_like_version
from nightlatch.faces.graph.wire import (
    PREFIX,
    Access,
    Call,
    Kind,
    Route,
    encode,
    merge,
    read_body,
    read_params,
    read_query,
)
from nightlatch.faces.metrics import Metrics
from nightlatch.logs import frames
from nightlatch.ports import World
from nightlatch.usecases import access, nodes
from nightlatch.usecases.nodes import Node

_JSON: Final = b"application/json; charset=UTF-8"
_DOCUMENT: Final = f"{PREFIX}/openapi.json"
_CHALLENGE: Final = b'OAuth "Facebook Platform" "invalid_token" "no good token"'
_LONGEST_TOKEN: Final = 512
_METHODS: Final = ("DELETE", "GET", "HEAD", "POST")
_SCHEMES: Final = frozenset({"bearer", "oauth"})
_ID_BYTES: Final = 8
_LONGEST_ID: Final = 32
Headers = list[tuple[bytes, bytes]]
_KINDS: Final[Mapping[type, Kind]] = {
    Number: Kind.NUMBER,
    Waba: Kind.WABA,
    Portfolio: Kind.PORTFOLIO,
    GraphApp: Kind.APP,
}
_NAMES: Final = {route: route.name for route in ROUTES}
_TABLE: Final = {(route.method, route.kind, route.edge): route for route in ROUTES}
_ALLOWED: Final[dict[tuple[Kind, str], tuple[str, ...]]] = {
    (kind, edge): tuple(
        sorted({one.method for one in ROUTES if (one.kind, one.edge) == (kind, edge)})
    )
    for _, kind, edge in _TABLE
}
_NAMED: Final = frozenset(route.edge for route in ROUTES if route.kind is Kind.ROOT)
"""Calls that have a name in the place of an object's id."""


class AnswerLost(Exception):
    """The sandbox was told to lose this answer, and it was begun already."""


class Graph:
    """The calls as an ASGI application."""

    def __init__(
        self, world: World, metrics: Metrics, errors: str = "docs", faults: Faults | None = None
    ) -> None:
        self._world = world
        self._metrics = metrics
        self._rows = PROFILES[errors]
        self._faults = faults
        self._document = encode(document(self._rows))
        self._log = structlog.get_logger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        note = note_of(scope)
        asked = Asked(scope["method"].lower())
        try:
            await self._answer(scope, receive, send, note)
        except AnswerLost:
            raise  # and so the server hangs up
        except Exception as error:  # noqa: BLE001 - logged; whoever asked gets an answer
            self._log.error(
                "bug",
                request_id=note.request_id,
                route=note.route,
                error=type(error).__name__,
                where=frames(error),
            )
            if not note.answered:
                await self._refuse(send, None, note, asked)

    def serves(self, path: str) -> bool:
        """Whether requests to *path* are answered here."""
        return path == PREFIX or path.startswith(PREFIX + "/")

    def refused(self, refusal: Refusal | None) -> Refused:
        """What the door answers instead of us; None for a bug."""
        asked = Asked()
        row = row_of(self._rows, refusal, asked)
        body = body_of(row, refusal, asked, trace_of(secrets.token_hex(_ID_BYTES)))
        return Refused(row.status, row.code, body, ((b"content-type", _JSON),))

    # What is asked

    async def _answer(self, scope: Scope, receive: Receive, send: Send, note: Note) -> None:
        path: str = scope["path"].removesuffix("/")
        note.route = "graph"
        version, id, edge = NEWEST, "", ""
        try:
            if path == _DOCUMENT and scope["method"] in ("GET", "HEAD"):
                note.route = "GET_graph_openapi"
                body = self._document
            else:
                version, parts = _versioned(path)
                id, edge = _asked(parts)
                body = await self._call(scope, receive, send, note, version, id, edge)
        except Refusal as refusal:
            asked = Asked(scope["method"].lower(), id, edge, version)
            await self._refuse(send, refusal, note, asked)
            return
        await _send(send, 200, _head(note, version), body, scope["method"])

    async def _call(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        note: Note,
        version: Version,
        id: str,
        edge: str,
    ) -> bytes:
        """In this order: who asks, the object, their permission, what was sent."""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method not in _METHODS:
            raise MethodNotAllowed(_METHODS)
        world = self._world.seen_from(note.place)
        found, fault = await _parameters(scope, receive, method)
        if not id:
            route = _route(method, Kind.ROOT, edge)
            caller = None if route.access is Access.NOBODY else await _caller(world, scope, found)
            node: Node | None = None
        else:
            caller = await _caller(world, scope, found)
            node = await _node(world, caller, id)
            route = _route(method, _KINDS[type(node)], edge)
        note.route = _NAMES[route]
        if caller is not None:
            note.client = caller.name
            _refuse_unfit(route, caller)
        if fault is not None:
            raise fault
        given = read_params(found, route.params)
        call = Call(world, caller, node, given, found, version, partial(_url, scope))
        if self._faults is not None and route.kind is Kind.NUMBER and method == "POST":
            return await self._with_faults(self._faults, route, call, send, note)
        return encode(await route.handler(call))

    async def _with_faults(
        self, faults: Faults, route: Route, call: Call, send: Send, note: Note
    ) -> bytes:
        fault: Fault | None = faults.take(call.number.id, route.edge)
        if fault is None:
            return encode(await route.handler(call))
        if fault.kind in INJECTED:
            raise INJECTED[fault.kind](fault.kind)
        if fault.kind is FaultKind.SLOW:
            await asyncio.sleep(fault.seconds)
        answer = encode(await route.handler(call))
        if fault.kind is FaultKind.LOST:  # the head announces a body, and then nothing comes
            length = (b"content-length", str(len(answer)).encode())
            headers = [*_head(note, call.version), length]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            raise AnswerLost
        return answer

    # What is answered

    async def _refuse(self, send: Send, refusal: Refusal | None, note: Note, asked: Asked) -> None:
        row = row_of(self._rows, refusal, asked)
        headers = _head(note, asked.version)
        body = body_of(row, refusal, asked, trace_of(note.request_id))
        note.code = row.code
        if refusal is not None:
            note.refusal = type(refusal).__name__
            if refusal.retry_after is not None:
                headers.append((b"retry-after", str(refusal.retry_after).encode()))
            if row.status == 401:
                headers.append((b"www-authenticate", _CHALLENGE))
            if isinstance(refusal, MethodNotAllowed):
                headers.append((b"allow", ", ".join(refusal.allowed).encode()))
        await _send(send, row.status, headers, body, asked.method.upper())


def _head(note: Note, version: Version) -> Headers:
    return [
        (b"content-type", _JSON),
        (b"facebook-api-version", version.name.encode()),
        (b"x-fb-request-id", note.request_id.encode()),
        (b"x-fb-trace-id", trace_of(note.request_id).encode()),
        (b"x-fb-rev", b"1"),
    ]


async def _send(send: Send, status: int, headers: Headers, body: bytes, method: str) -> None:
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


def _versioned(path: str) -> tuple[Version, list[str]]:
    """The version that a path asks for, and what follows it.

    Raises:
        EdgeUnknown: there is no such version.
        PathUnknown: nothing follows.
    """
    parts = path[len(PREFIX) + 1 :].split("/")
    version = NEWEST
    if looks_like_version(parts[0]):
        known = find(parts[0])
        if known is None:
            raise EdgeUnknown(path[len(PREFIX) :])
        version, parts = known, parts[1:]
    if not parts or not parts[0]:
        raise PathUnknown
    return version, parts


def _asked(parts: list[str]) -> tuple[str, str]:
    """An object's id, empty where the call has a name of its own, and the edge."""
    whole = "/".join(parts)
    if whole in _NAMED:
        return "", whole
    return parts[0], "/".join(parts[1:])


def _route(method: str, kind: Kind, edge: str) -> Route:
    """Raises EdgeUnknown, MethodNotAllowed."""
    route = _TABLE.get((method, kind, edge))
    if route is not None:
        return route
    allowed = _ALLOWED.get((kind, edge))
    if allowed is None:
        raise EdgeUnknown(f"/{edge}")
    raise MethodNotAllowed(allowed)


async def _parameters(
    scope: Scope, receive: Receive, method: str
) -> tuple[dict[str, Any], Refusal | None]:
    """What was sent; what is wrong with it is told only once it is known who asks."""
    query: dict[str, Any] = {}
    try:
        query = read_query(scope["query_string"])
        if method == "GET":
            return query, None
        body = await whole_body(scope, receive)
        return merge(query, read_body(body, header(scope, b"content-type"))), None
    except Refusal as fault:
        return query, fault


async def _caller(world: World, scope: Scope, found: Mapping[str, Any]) -> Caller:
    """Raises AccessTokenMissing, and as ``access.authenticate``."""
    token = _token(scope, found)
    proof, made_at = found.get("appsecret_proof"), found.get("appsecret_time")
    if proof is None:
        return await access.authenticate(world, token)
    if made_at is not None:
        text = str(made_at)
        if not (text.isascii() and text.isdigit() and len(text) <= 12):
            raise ProofRefused
        made_at = int(text)
    return await access.authenticate(world, token, str(proof), made_at)


def _token(scope: Scope, found: Mapping[str, Any]) -> str:
    """The parameter goes before the header.

    Clients in use (pywa) bring the token of their system user in the header of every call, and
    their app's among the parameters of the calls that need that one.
    """
    given = found.get("access_token")
    if given is not None and given != "":
        return _plausible(given)
    scheme, _, token = (header(scope, b"authorization") or "").partition(" ")
    if scheme.lower() in _SCHEMES and token.strip():
        return _plausible(token.strip())
    raise AccessTokenMissing


def _plausible(token: Any) -> str:
    if not isinstance(token, str) or len(token) > _LONGEST_TOKEN or not token.isascii():
        raise AccessTokenRefused
    return token


async def _node(world: World, caller: Caller, id: str) -> Node:
    if not (id.isascii() and id.isdigit() and len(id) <= _LONGEST_ID):
        raise NodeUnknown(id)
    return await nodes.find(world, caller, id)


def _refuse_unfit(route: Route, caller: Caller) -> None:
    """Raises ScopeMissing, AppTokenNeeded."""
    if route.access is Access.APP and caller.user is not None:
        raise AppTokenNeeded
    if route.scope is not None:
        caller.refuse_without(route.scope)


def _url(scope: Scope) -> str:
    """Of the call as its client sees it, without the query."""
    told = header(scope, b"x-forwarded-proto") or scope["scheme"]
    path = scope["path"].removeprefix(scope.get("nightlatch.below", ""))
    return f"{'https' if told == 'https' else 'http'}://{header(scope, b'host')}{path}"
