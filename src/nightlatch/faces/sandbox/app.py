"""The table of ``routes.py`` as a Falcon application."""

import hmac
import re
from collections.abc import Callable, Coroutine
from typing import Any, Final

import falcon
import falcon.asgi
import structlog
from falcon.asgi import Request, Response

from nightlatch.domain.errors import (
    MethodNotAllowed,
    ParameterInvalid,
    PathUnknown,
    Refusal,
    TokenRefused,
)
from nightlatch.faces.bodies import raw_body
from nightlatch.faces.door import Note, Refused, note_of
from nightlatch.faces.faults import Faults
from nightlatch.faces.sandbox.errors import answer
from nightlatch.faces.sandbox.routes import ROUTES
from nightlatch.faces.sandbox.wire import PREFIX, Call, Route, Step, encode, only, read_body
from nightlatch.logs import frames
from nightlatch.ports import World

Responder = Callable[..., Coroutine[Any, Any, None]]
_JSON: Final = "application/json"
_HEADERS: Final = (("content-type", _JSON), ("cache-control", "no-store"))


class Sandbox:
    """Mounts the controls on a Falcon application. *step* makes the clock of *world* step; None
    where it does not."""

    def __init__(self, world: World, token: str, step: Step | None, faults: Faults) -> None:
        self._world = world
        self._token = token.encode()
        self._step = step
        self._faults = faults
        self._log = structlog.get_logger()

    def mount(self, app: "falcon.asgi.App[Request, Response]") -> None:
        paths: dict[str, dict[str, Responder]] = {}
        for route in ROUTES:
            paths.setdefault(route.path, {})[route.method] = self._responder(route)
        for path, responders in paths.items():
            app.add_route(PREFIX + path, self._resource(responders))
        nowhere = self._refusing(PathUnknown())
        app.add_sink(nowhere, re.compile(rf"{PREFIX}(?:/.*)?$", re.DOTALL))

    def serves(self, path: str) -> bool:
        """Whether requests to *path* are answered here."""
        return path == PREFIX or path.startswith(PREFIX + "/")

    def refused(self, refusal: Refusal | None) -> Refused:
        """What the door answers instead of us; None for a bug."""
        status, body = answer(refusal)
        headers = tuple((name.encode(), value.encode()) for name, value in _HEADERS)
        return Refused(status, None, body, headers)

    async def on_error(
        self, req: Request, resp: Response, error: Exception, _: dict[str, Any]
    ) -> None:
        """Answer what Falcon refuses before it looks for a route, and what nobody expected."""
        note = note_of(req.scope)
        if isinstance(error, falcon.HTTPError):  # a method that nobody knows
            self._refuse(resp, MethodNotAllowed(("GET", "POST", "DELETE")), note)
            return
        self._log.error(
            "bug",
            request_id=note.request_id,
            route=note.route,
            error=type(error).__name__,
            where=frames(error),
        )
        self._refuse(resp, None, note)

    def _resource(self, responders: dict[str, Responder]) -> object:
        other = self._refusing(MethodNotAllowed(tuple(responders)))
        table = dict.fromkeys(falcon.constants.COMBINED_METHODS, other) | responders
        return type(
            "Resource",
            (),
            {f"on_{method.lower()}": staticmethod(r) for method, r in table.items()},
        )()

    def _refusing(self, refusal: Refusal) -> Responder:
        """Says no to who has the token; to others as everywhere."""

        async def responder(req: Request, resp: Response, **_: Any) -> None:
            note = note_of(req.scope)
            note.route = "sandbox"
            known = self._is_known(req.get_header("Authorization"))
            self._refuse(resp, refusal if known else TokenRefused(), note)

        return responder

    def _responder(self, route: Route) -> Responder:
        async def responder(req: Request, resp: Response, **path: str) -> None:
            note = note_of(req.scope)
            note.route = route.name
            try:
                done = await route.handler(await self._read(route, req, path))
            except Refusal as refusal:
                self._refuse(resp, refusal, note)
                return
            resp.set_headers(_HEADERS)
            resp.data = encode(done)

        return responder

    async def _read(self, route: Route, req: Request, path: dict[str, str]) -> Call:
        """Everything a handler needs; who asks comes first."""
        if not self._is_known(req.get_header("Authorization")):
            raise TokenRefused
        query = {name: req.get_param_as_list(name) or [] for name in req.params}
        only(query, route.query, "query")
        for name, values in query.items():
            if len(values) != 1:
                raise ParameterInvalid(name, "given once")
        body = {} if req.method == "GET" else read_body(await raw_body(req))
        only(body, route.fields, "body")
        return Call(
            world=self._world.seen_from(note_of(req.scope).place),
            step=self._step,
            faults=self._faults,
            path=path,
            body=body,
            query={name: values[0] for name, values in query.items()},
        )

    def _is_known(self, authorization: str | None) -> bool:
        scheme, _, token = (authorization or "").partition(" ")
        given = token.strip().encode("utf-8", "replace")
        return hmac.compare_digest(given, self._token) and scheme.lower() == "bearer"

    def _refuse(self, resp: Response, refusal: Refusal | None, note: Note) -> None:
        status, resp.data = answer(refusal)
        resp.status_code = status
        resp.set_headers(_HEADERS)
        if refusal is None:
            return
        note.refusal = type(refusal).__name__
        if refusal.retry_after is not None:
            resp.set_header("Retry-After", str(refusal.retry_after))
        if isinstance(refusal, TokenRefused):
            resp.set_header("WWW-Authenticate", 'Bearer realm="nightlatch sandbox"')
        if isinstance(refusal, MethodNotAllowed):
            resp.set_header("Allow", ", ".join(refusal.allowed))
