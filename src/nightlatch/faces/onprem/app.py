"""The table of ``routes.py`` as a Falcon application."""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Coroutine
from html import escape
from typing import Any

import falcon
import falcon.asgi
import structlog
from falcon.asgi import Request, Response

from nightlatch.domain.clients import FIRST_CLIENT, Role, Session
from nightlatch.domain.errors import (
    AdminOnly,
    LoginRefused,
    MethodNotAllowed,
    NotServed,
    ParameterUnexpected,
    PathUnknown,
    Refusal,
    RequestMalformed,
    TokenRefused,
)
from nightlatch.faces.bodies import raw_body
from nightlatch.faces.door import Note, Scope, note_of
from nightlatch.faces.metrics import Metrics
from nightlatch.faces.onprem.errors import ROWS, TITLES
from nightlatch.faces.onprem.openapi import document
from nightlatch.faces.onprem.routes import NOT_SERVED, served
from nightlatch.faces.onprem.wire import (
    Access,
    Call,
    Route,
    encode,
    envelope,
    read_body,
    read_fields,
)
from nightlatch.faces.readiness import PATH as READYZ
from nightlatch.faces.readiness import Readiness
from nightlatch.logs import frames
from nightlatch.ports import World
from nightlatch.usecases import clients

_LONGEST_TOKEN = 256
_LONGEST_LOGIN = 1_024
_JSON = "application/json"
_CLIENT = "nightlatch.client"
_FURTHER = re.compile(r"/clients/([^/]+)(?=/v1/)")
_ALIVE = b'{"status":"alive"}'
Responder = Callable[..., Coroutine[Any, Any, None]]


class OnPremises:
    """Mounts the routes on a Falcon application."""

    def __init__(
        self, world: World, metrics: Metrics, origin: str, api_key: str, readiness: Readiness
    ) -> None:
        self._world = world
        self._origin = origin
        self._api_key = api_key.encode()
        self._readiness = readiness
        self._routes = served(metrics)
        self._log = structlog.get_logger()

    def mount(self, app: "falcon.asgi.App[Request, Response]") -> None:
        paths: dict[str, dict[str, Responder]] = {}
        for route in self._routes:
            paths.setdefault(route.path, {})[route.method] = self._responder(route)
        for path, methods in NOT_SERVED.items():
            paths[path] = dict.fromkeys(methods, self._refusing(NotServed()))
        for path, responders in paths.items():
            app.add_route(f"/v1{path}", self._resource(responders))
        app.add_route("/metrics", self._resource(paths["/metrics"]))
        app.add_route("/livez", self._resource({"GET": self._alive}))
        app.add_route(READYZ, self._resource({"GET": self._ready}))
        app.add_route("/openapi.json", self._resource({"GET": self._openapi}))
        app.add_route("/docs/errors/{code:int}", self._resource({"GET": self._error_page}))
        app.add_sink(self._refusing(PathUnknown()), "/")

    @staticmethod
    def to_first(scope: Scope) -> None:
        """Let a request to a further client, below ``/clients``, find the routes of ``/v1``."""
        found = _FURTHER.match(scope["path"])
        if found is not None:
            scope[_CLIENT] = found[1]
            scope["path"] = scope["path"][found.end() :]

    def _resource(self, responders: dict[str, Responder]) -> object:
        allowed = tuple(sorted(responders))
        other = self._refusing(MethodNotAllowed(allowed))
        table = dict.fromkeys(falcon.constants.COMBINED_METHODS, other) | responders
        return type(
            "Resource",
            (),
            {f"on_{method.lower()}": staticmethod(r) for method, r in table.items()},
        )()

    def _refusing(self, refusal: Refusal) -> Responder:
        async def responder(req: Request, resp: Response, **_: Any) -> None:
            self._refuse(resp, refusal, note_of(req.scope))

        return responder

    def _responder(self, route: Route) -> Responder:
        name = route.name

        async def responder(req: Request, resp: Response, username: str = "") -> None:
            note = note_of(req.scope)
            client = req.scope.get(_CLIENT, FIRST_CLIENT)
            note.route = name
            try:
                call = await self._read(route, req, client, username)
                note.client = client
                answer = await route.handler(call)
            except Refusal as refusal:
                self._refuse(resp, refusal, note)
                return
            resp.status_code = answer.status
            if answer.text is None:
                resp.data = encode(answer.body)
                resp.content_type = _JSON
            else:
                resp.text = answer.text
                resp.content_type = "text/plain; version=0.0.4; charset=utf-8"

        return responder

    async def _read(self, route: Route, req: Request, client: str, username: str) -> Call:
        """Everything a handler needs; in this order: who asks, their role, what was sent."""
        world = self._world.seen_from(note_of(req.scope).place)
        session = None
        password = ""
        authorization = req.get_header("Authorization")
        if route.access is Access.LOGIN:
            username, password = _basic(authorization)
        else:
            session = await self._session(route, client, authorization)
        query = _query(req, route)
        body = await _body(req) if req.method not in ("GET", "HEAD") else {}
        fields = read_fields(body, route.fields)
        return Call(world, client, session, fields, username, password, query)

    async def _session(
        self, route: Route, client: str, authorization: str | None
    ) -> Session | None:
        scheme, _, rest = (authorization or "").partition(" ")
        scheme = scheme.lower()
        if route.access is Access.MONITOR and scheme == "apikey" and self._api_key:
            if not hmac.compare_digest(rest.strip().encode("utf-8", "replace"), self._api_key):
                raise TokenRefused
            await clients.find_client(self._world, client)
            return None
        if scheme != "apikey" and "," in rest:
            raise RequestMalformed("it carries more than one authorization")
        token = rest.strip()
        if scheme != "bearer" or not 0 < len(token) <= _LONGEST_TOKEN:
            raise TokenRefused
        session = await clients.authenticate(self._world, client, token)
        if route.access is Access.ADMIN and session.user.role is not Role.ADMIN:
            raise AdminOnly
        return session

    def _refuse(self, resp: Response, refusal: Refusal | None, note: Note) -> None:
        row, body = envelope(refusal, self._origin)
        resp.status_code = row.status
        resp.data = body
        resp.content_type = _JSON
        note.code = row.code
        if refusal is None:
            return
        note.refusal = type(refusal).__name__
        if refusal.retry_after is not None:
            resp.set_header("Retry-After", str(refusal.retry_after))
        if row.status == 401:
            scheme = "Basic" if isinstance(refusal, LoginRefused) else "Bearer"
            resp.set_header("WWW-Authenticate", f'{scheme} realm="nightlatch"')
        if isinstance(refusal, MethodNotAllowed):
            resp.set_header("Allow", ", ".join(refusal.allowed))

    async def on_error(
        self, req: Request, resp: Response, error: Exception, _: dict[str, Any]
    ) -> None:
        """Answer what Falcon refused, and what nobody expected."""
        note = note_of(req.scope)
        if isinstance(error, falcon.HTTPError):
            refusal: Refusal = RequestMalformed("it is not valid HTTP")
            if error.status_code == 404:
                refusal = PathUnknown()
            elif req.method not in falcon.constants.COMBINED_METHODS:
                refusal = MethodNotAllowed()
            self._refuse(resp, refusal, note)
            return
        self._log.error(
            "bug",
            request_id=note.request_id,
            route=note.route,
            error=type(error).__name__,
            where=frames(error),
        )
        self._refuse(resp, None, note)

    async def _alive(self, req: Request, resp: Response, **_: Any) -> None:
        """Says that the process answers; looks at nothing else."""
        note_of(req.scope).route = "GET_livez"
        resp.data = _ALIVE
        resp.content_type = _JSON

    async def _ready(self, req: Request, resp: Response, **_: Any) -> None:
        """Whether this node should be sent requests, and what stands in the way."""
        note_of(req.scope).route = "GET_readyz"
        resp.status_code, resp.data, headers = await self._readiness.answer()
        resp.content_type = _JSON
        resp.set_header("Cache-Control", "no-store")
        for name, value in headers:
            resp.set_header(name, value)

    async def _openapi(self, req: Request, resp: Response, **_: Any) -> None:
        note_of(req.scope).route = "GET_openapi"
        resp.data = encode(document(self._routes, self._origin))
        resp.content_type = _JSON

    async def _error_page(self, req: Request, resp: Response, code: int, **_: Any) -> None:
        note_of(req.scope).route = "GET_docs_errors"
        if code not in TITLES:
            self._refuse(resp, PathUnknown(), note_of(req.scope))
            return
        resp.text = error_page(code)
        resp.content_type = "text/html; charset=utf-8"
        resp.set_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")


def error_page(code: int) -> str:
    """The page that an error's ``href`` leads to."""
    rows = "".join(
        f"<tr><td>{escape(refusal.__name__)}</td><td>{row.status}</td>"
        f"<td>{escape((refusal.__doc__ or '').split(chr(10))[0])}</td></tr>"
        for refusal, row in ROWS.items()
        if row.code == code
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{code} {escape(TITLES[code])} - Nightlatch</title>"
        "<style>:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;"
        "max-width:44rem;margin:3rem auto;padding:0 1rem}td,th{padding:.3rem .8rem .3rem 0;"
        "text-align:left;vertical-align:top}</style>"
        f"<h1>{code} {escape(TITLES[code])}</h1>"
        "<p>Answers with this code, and when they are given:</p>"
        f"<table><tr><th>Refusal<th>HTTP status<th>When</tr>{rows}</table>"
        "<p>The <code>details</code> of each answer say what to do.</p></html>"
    )


def _basic(authorization: str | None) -> tuple[str, str]:
    scheme, _, rest = (authorization or "").partition(" ")
    if "," in rest:
        raise RequestMalformed("it carries more than one authorization")
    if scheme.lower() != "basic":
        raise LoginRefused
    try:
        if len(rest) > _LONGEST_LOGIN:
            raise LoginRefused
        username, colon, password = (
            base64.b64decode(rest.strip(), validate=True).decode().partition(":")
        )
    except (binascii.Error, ValueError) as error:
        raise LoginRefused from error
    if not colon:
        raise LoginRefused
    return username, password


def _query(req: Request, route: Route) -> dict[str, str]:
    if not req.query_string:
        return {}
    found = {name: req.get_param_as_list(name) or [] for name in req.params}
    if found.keys() - set(route.query) or any(len(values) != 1 for values in found.values()):
        raise ParameterUnexpected(
            "query",
            f"only `{'`, `'.join(route.query)}` in its query, once"
            if route.query
            else "no parameters in its query",
        )
    return {name: values[0] for name, values in found.items()}


async def _body(req: Request) -> dict[str, Any]:
    if not req.content_length and "transfer-encoding" not in req.headers:
        return {}
    return read_body(await raw_body(req), req.content_type)
