"""The table of ``routes.py`` as a Falcon application."""

import contextlib
import hashlib
import hmac
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import falcon
import falcon.asgi
import structlog
from falcon.asgi import Request, Response

from nightlatch.domain.errors import (
    FormForged,
    MethodNotAllowed,
    Overloaded,
    PathUnknown,
    Refusal,
    RequestMalformed,
    SignedOut,
    Unavailable,
)
from nightlatch.domain.members import Member, MemberRole, MemberSession
from nightlatch.faces.bodies import raw_body
from nightlatch.faces.door import Note, Refused, note_of
from nightlatch.faces.exports import Download
from nightlatch.faces.manager.forms import only, read_form, read_pairs
from nightlatch.faces.manager.messages import SAID, problem_of, row_of
from nightlatch.faces.manager.rendering import ASSETS, Frame, frame_of, render
from nightlatch.faces.manager.routes import ROUTES
from nightlatch.faces.manager.wire import (
    PREFIX,
    Access,
    Answer,
    Call,
    Redirect,
    Route,
)
from nightlatch.logs import frames
from nightlatch.ports import World
from nightlatch.settings import Settings
from nightlatch.usecases import signing_in

Responder = Callable[..., Coroutine[Any, Any, None]]

COOKIE: Final = "__Host-nightlatch"
_COOKIE_TAIL: Final = "; Secure; HttpOnly; SameSite=Lax; Path=/"
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_TOKEN_BYTES: Final = 32
_GZIP: Final = re.compile(r"(?:^|,) *gzip *(?:$|,|; *q=(?:1|0\.0*[1-9]))")
_UNSAFE_NAME: Final = re.compile(r"[^A-Za-z0-9._+-]+", re.ASCII)
_ROLES: Final = {
    Access.VIEWER: MemberRole.VIEWER,
    Access.ADMIN: MemberRole.ADMIN,
    Access.OWNER: MemberRole.OWNER,
}
_HTML: Final = "text/html; charset=utf-8"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE_AND_POST: Final = ("GET", "HEAD", "POST")
_PORTS: Final = {"http": 80, "https": 443}
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    ("Content-Security-Policy", _POLICY),
    # "no-referrer" would also make browsers send forms with `Origin: null`, which is refused
    ("Referrer-Policy", "strict-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    (
        "Permissions-Policy",
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
)


_BARE: Final[dict[str, Any]] = {
    "member": None, "frame": None, "waba": None, "csrf": "", "said": "", "problem": None, "form": {}
}  # fmt: skip


def security_headers(settings: Settings) -> tuple[tuple[str, str], ...]:
    """What every answer of the Manager carries."""
    if urlsplit(settings.origin).scheme != "https":
        return _HEADERS
    return (*_HEADERS, ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"))


def refusal_page(refusal: Refusal | None) -> tuple[int, bytes]:
    """Status and page of a refusal, or of a bug when there is none, for nobody in particular."""
    return row_of(refusal).status, render("refused.html", _BARE | _words(refusal, "plain.html"))


@dataclass(slots=True)
class _Visit:
    """Whose browser it is."""

    cookie: str
    """A session's token, or a visitor's value; empty when the browser brought none."""
    session: MemberSession | None
    member: Member | None
    """Only once the session is whole."""
    world: World
    live: bool
    made: bool = False
    """Whether the cookie is new and must be kept by the browser."""

    def csrf(self) -> str:
        """The token of this browser's forms; a browser without a cookie gets one."""
        if not self.cookie:
            self.cookie, self.made = self.world.chance.token(_TOKEN_BYTES), True
        return self.world.keys.keyed_hash("csrf", self.cookie.encode()).hex()


class Manager:
    """Mounts the pages on a Falcon application, after what else is mounted there."""

    def __init__(self, world: World, settings: Settings) -> None:
        self._world = world
        self._settings = settings
        self._headers = security_headers(settings)
        address = urlsplit(settings.origin)
        self._origin_scheme = address.scheme
        self._origin = _origin(f"{address.scheme}://{address.netloc}")
        self._log = structlog.get_logger()
        self._assets = {one.name: one for one in ASSETS.values()}

    def mount(self, app: "falcon.asgi.App[Request, Response]") -> None:
        fields: dict[str, tuple[str, ...]] = {}
        for route in ROUTES:
            fields[route.path] = fields.get(route.path, ()) + route.form
        paths: dict[str, dict[str, Responder]] = {}
        for route in ROUTES:
            responder = self._responder(route, fields[route.path])
            paths.setdefault(route.path, {})[route.method] = responder
        for path, responders in paths.items():
            app.add_route(PREFIX + path.rstrip("/"), self._resource(responders))
        app.add_route(PREFIX + "/static/{file}", self._resource({"GET": self._static}))
        app.add_route("/", self._resource({"GET": self._begin}))
        app.add_sink(self._refusing(PathUnknown()), re.compile(rf"{PREFIX}(?:/.*)?$", re.DOTALL))

    def _resource(self, responders: dict[str, Responder]) -> object:
        if "GET" in responders:
            responders = responders | {"HEAD": responders["GET"]}
        other = self._refusing(MethodNotAllowed(tuple(sorted(responders))))
        table = dict.fromkeys(falcon.constants.COMBINED_METHODS, other) | responders
        return type(
            "Resource",
            (),
            {f"on_{method.lower()}": staticmethod(r) for method, r in table.items()},
        )()

    def serves(self, path: str) -> bool:
        """Whether requests to *path* are answered here."""
        return path in ("/", PREFIX) or path.startswith(PREFIX + "/")

    async def on_error(
        self, req: Request, resp: Response, error: Exception, _: dict[str, Any]
    ) -> None:
        """Answer what Falcon refuses before it looks for a route: a method that nobody knows."""
        note = note_of(req.scope)
        refusal = None
        if isinstance(error, falcon.HTTPError):
            refusal = MethodNotAllowed(_SAFE_AND_POST)
            note.refusal = MethodNotAllowed.__name__
        else:
            self._report(error, note)
        refused = self.refused(refusal)
        resp.status_code = refused.status
        resp.data = refused.body
        for name, value in refused.headers:
            resp.set_header(name.decode(), value.decode())

    def refused(self, refusal: Refusal | None) -> Refused:
        """What the door answers instead of us; None for a bug."""
        status, body = refusal_page(refusal)
        headers = [("content-type", _HTML), *self._headers]
        if isinstance(refusal, MethodNotAllowed):
            headers.append(("allow", ", ".join(refusal.allowed)))
        return Refused(
            status,
            None,
            body,
            tuple((name.lower().encode(), value.encode()) for name, value in headers),
        )

    # What is asked

    def _responder(self, route: Route, fields: tuple[str, ...]) -> Responder:
        async def responder(req: Request, resp: Response, **path: str) -> None:
            note = note_of(req.scope)
            note.route = route.name
            resp.set_headers(self._headers)
            visit = self._stranger(req, note)
            try:
                form = await self._form(route, req) if route.method != "GET" else {}
                await self._recognize(visit)
                await self._answer(route, req, resp, visit, (path, form, fields))
            except Refusal as refusal:
                await self._refuse(req, resp, visit, refusal)
            except Exception as error:  # noqa: BLE001 - answered as a bug, and logged as one
                self._report(error, note)
                await self._refuse(req, resp, visit, None)

        return responder

    def _refusing(self, refusal: Refusal) -> Responder:
        async def responder(req: Request, resp: Response, **_: Any) -> None:
            note = note_of(req.scope)
            note.route = "manager"
            resp.set_headers(self._headers)
            visit = self._stranger(req, note)
            with contextlib.suppress(Refusal):  # the page need not know who sees it
                await self._recognize(visit)
            await self._refuse(req, resp, visit, refusal)

        return responder

    def _stranger(self, req: Request, note: Note) -> _Visit:
        live = req.method == "GET" and req.get_header("X-Nightlatch-Live") == "1"
        return _Visit(_cookie(req), None, None, self._world.seen_from(note.place), live)

    async def _recognize(self, visit: _Visit) -> None:
        if not visit.cookie:
            return
        try:
            visit.session, member = await signing_in.whose(visit.world, visit.cookie)
        except SignedOut:
            return
        visit.member = member if visit.session.whole else None

    async def _form(self, route: Route, req: Request) -> dict[str, str]:
        """The fields of a form that is one of ours. Nothing else was looked at before.

        Raises:
            FormForged, RequestMalformed, BodyTooLarge, ParameterUnexpected
        """
        origin = req.get_header("Origin")
        if origin is not None and (_origin(origin) or "none") != self._origin:
            raise FormForged
        if req.get_header("Sec-Fetch-Site") not in (None, "same-origin", "none"):
            raise FormForged
        found = read_form(await raw_body(req), req.content_type)
        cookie = _cookie(req)
        right = self._world.keys.keyed_hash("csrf", cookie.encode()).hex()
        given = found.pop("csrf", "")
        if not cookie or not hmac.compare_digest(given.encode(), right.encode()):
            raise FormForged
        if req.query_string:
            raise RequestMalformed("a form is sent to an address without a query")
        return only(found, route.form)

    # What is answered

    async def _answer(
        self,
        route: Route,
        req: Request,
        resp: Response,
        visit: _Visit,
        asked: tuple[Mapping[str, str], Mapping[str, str], tuple[str, ...]],
    ) -> None:
        path, form, fields = asked
        if route.method == "GET" and self._by_another_name(req):
            _lead(resp, self._settings.origin + _asked(req))
            return
        instead = self._let_in(route, visit, req)
        if instead is not None:
            _redirect(resp, instead)
            return
        if visit.session is not None and not visit.live:
            with contextlib.suppress(Unavailable, Overloaded):  # then it only ends earlier
                await signing_in.touch(visit.world, visit.session)
        query = read_pairs(req.query_string.encode())
        call = Call(
            world=visit.world,
            settings=self._settings,
            path=path,
            query={name: query[name] for name in route.query if name in query},
            form=form or dict.fromkeys(fields, ""),
            agent=req.get_header("User-Agent") or "",
            maybe_member=visit.member,
            maybe_session=visit.session,
            csrf=visit.csrf(),
            here=_here(req.path, query, route.query),
        )
        status = None
        try:
            answer = await route.handler(call)
        except Refusal as refusal:
            if route.again is None or isinstance(refusal, SignedOut):
                raise
            problem = problem_of(refusal)
            self._note(req, resp, refusal)
            call, status = replace(call, problem=problem), problem.status
            answer = await route.again(call)
        await self._send(req, resp, visit, call, answer, status, query.get("said", ""))

    def _by_another_name(self, req: Request) -> bool:
        """Whether this machine was called ``localhost`` and calls itself ``127.0.0.1``, or the
        other way round. To a browser these are two sites, and forms of one are forged on the
        other."""
        asked = _origin(f"{self._origin_scheme}://{req.get_header('Host')}")
        if asked is None or self._origin is None or asked == self._origin:
            return False
        names = {asked[1], self._origin[1]}
        return names <= _LOOPBACK and asked[2] == self._origin[2]

    def _let_in(self, route: Route, visit: _Visit, req: Request) -> Redirect | None:
        """Where to send who may not see this, or is further already.

        Raises:
            SignedOut, RoleTooLow
        """
        if route.access is Access.ANYONE:
            return None
        if route.access is Access.HALF:
            if visit.member is not None:
                return Redirect(PREFIX)
            if visit.session is not None:
                return None
            if route.method != "GET" or visit.live:
                raise SignedOut
            return Redirect(f"{PREFIX}/sign-in")
        if visit.member is None:
            secret = "{token}" in route.path  # must not stand in the query of another page
            if route.method != "GET" or visit.live or secret:
                raise SignedOut
            names = route.query
            here = _here(req.path, read_pairs(req.query_string.encode()), names)
            return Redirect(f"{PREFIX}/sign-in?{urlencode({'next': here})}")
        visit.member.refuse_below(_ROLES[route.access])
        return None

    async def _send(
        self,
        req: Request,
        resp: Response,
        visit: _Visit,
        call: Call,
        answer: Answer,
        status: int | None,
        said: str,
    ) -> None:
        if isinstance(answer, Redirect):
            _redirect(resp, answer)
            return
        if isinstance(answer, Download):
            await self._stream(req, resp, answer)
            return
        frame = await frame_of(visit.world, visit.member) if visit.member is not None else None
        shows = {
            "member": visit.member,
            "frame": frame,
            "waba": _waba(frame, call.path.get("waba")),
            "csrf": visit.csrf(),
            "said": SAID.get(said, "") if call.problem is None else "",
            "problem": call.problem,
            "form": call.form,
            "now": visit.world.clock.now(),
            "path": req.path,
            "origin": self._settings.origin,
            **answer.shows,
        }
        body = render(answer.template, shows)
        resp.status_code = status if status is not None and answer.status == 200 else answer.status
        if visit.live:
            tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            resp.set_header("ETag", tag)
            if req.get_header("If-None-Match") == tag:
                resp.status_code = 304
                return
        _html(resp, body)
        if visit.made:
            _keep(resp, visit.cookie)

    async def _stream(self, req: Request, resp: Response, answer: Download) -> None:
        note = note_of(req.scope)
        chunks = aiter(answer.chunks)
        first = await anext(chunks, b"")  # a refusal now is still a page

        async def rest() -> AsyncIterator[bytes]:
            yield first
            try:
                async for chunk in chunks:
                    yield chunk
            except Exception as error:
                self._report(error, note)
                raise  # cuts the answer short, so that nobody takes it for whole

        resp.content_type = answer.media_type
        name = _UNSAFE_NAME.sub("_", answer.name).strip("._") or "download"
        resp.set_header("Content-Disposition", f'attachment; filename="{name}"')
        resp.stream = rest()
        if req.method == "HEAD" and isinstance(chunks, AsyncGenerator):
            await chunks.aclose()

    async def _refuse(
        self, req: Request, resp: Response, visit: _Visit, refusal: Refusal | None
    ) -> None:
        """A page that says why, with the menus of who is signed in when that is possible."""
        self._note(req, resp, refusal)
        resp.status_code = row_of(refusal).status
        if isinstance(refusal, SignedOut):
            next_ = _here(req.path, {}, ()) if req.method in ("GET", "HEAD") else ""
            told = {"csrf": visit.csrf(), "next": next_, "problem": problem_of(refusal)}
            _html(resp, render("sign_in.html", _BARE | told))
            if visit.made:
                _keep(resp, visit.cookie)
            return
        _, body = refusal_page(refusal)
        if visit.member is not None and not isinstance(refusal, Unavailable | None):
            with contextlib.suppress(Refusal):  # then the page without menus has to do
                body = render(
                    "refused.html",
                    _BARE
                    | _words(refusal, "base.html")
                    | {
                        "member": visit.member,
                        "frame": await frame_of(visit.world, visit.member),
                        "csrf": visit.csrf(),
                    },
                )
        _html(resp, body)

    def _note(self, req: Request, resp: Response, refusal: Refusal | None) -> None:
        if refusal is None:
            return
        note_of(req.scope).refusal = type(refusal).__name__
        if refusal.retry_after is not None:
            resp.set_header("Retry-After", str(refusal.retry_after))
        if isinstance(refusal, MethodNotAllowed):
            resp.set_header("Allow", ", ".join(refusal.allowed))

    def _report(self, error: Exception, note: Note) -> None:
        self._log.error(
            "bug",
            request_id=note.request_id,
            route=note.route,
            error=type(error).__name__,
            where=frames(error),
        )

    # Beside the table

    async def _begin(self, req: Request, resp: Response, **_: Any) -> None:
        note_of(req.scope).route = "GET_root"
        resp.set_headers(self._headers)
        _redirect(resp, Redirect(PREFIX))

    async def _static(self, req: Request, resp: Response, file: str) -> None:
        found = self._assets.get(file)
        if found is None:
            await self._refusing(PathUnknown())(req, resp)
            return
        note_of(req.scope).route = "GET_manager_static"
        resp.set_headers(self._headers)
        resp.set_header("Cache-Control", "public, max-age=31536000, immutable")
        resp.set_header("Vary", "Accept-Encoding")
        resp.content_type = found.media_type
        resp.data = found.data
        if _GZIP.search(req.get_header("Accept-Encoding") or ""):
            resp.set_header("Content-Encoding", "gzip")
            resp.data = found.packed


def _words(refusal: Refusal | None, layout: str) -> dict[str, Any]:
    row = row_of(refusal)
    return {
        "title": row.title,
        "remedy": row.remedy(refusal),
        "retry_after": None if refusal is None else refusal.retry_after,
        "layout": layout,
    }


def _html(resp: Response, body: bytes) -> None:
    resp.content_type = _HTML
    resp.data = body


def _redirect(resp: Response, answer: Redirect) -> None:
    if answer.to != PREFIX and not answer.to.startswith((PREFIX + "/", PREFIX + "?")):
        raise ValueError("a redirect leads to a page of ours")
    to = answer.to
    if answer.said:
        if answer.said not in SAID:
            raise KeyError("said")
        to += ("&" if "?" in to else "?") + urlencode({"said": answer.said})
    _lead(resp, quote(to, safe="/?&=%~+-._"))
    if answer.token is not None:
        _keep(resp, answer.token)


def _lead(resp: Response, to: str) -> None:
    resp.status_code = 303
    resp.content_type = _HTML
    resp.set_header("Location", to)


def _asked(req: Request) -> str:
    """Path and query as they were asked for, with everything odd in them escaped."""
    query = quote(req.query_string, safe="%&=+")
    return _here(req.path, {}, ()) + (f"?{query}" if query else "")


def _keep(resp: Response, token: str) -> None:
    """Give the browser its cookie, or take it away."""
    end = "" if token else "; Max-Age=0"
    resp.append_header("Set-Cookie", f"{COOKIE}={token}{_COOKIE_TAIL}{end}")


def _cookie(req: Request) -> str:
    """The one cookie of ours; empty when there is none, or more than one, or no token in it."""
    found = [
        value.strip()
        for name, header in req.scope["headers"]
        if name == b"cookie"
        for key, _, value in (pair.partition("=") for pair in header.decode("latin-1").split(";"))
        if key.strip() == COOKIE
    ]
    return found[0] if len(found) == 1 and _TOKEN.fullmatch(found[0]) else ""


def _here(path: str, query: Mapping[str, str], names: tuple[str, ...]) -> str:
    asked = {name: query[name] for name in names if name in query}
    here = quote(path, safe="/~-._")
    return f"{here}?{urlencode(asked)}" if asked else here


def _origin(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for ``null`` and whatever else is no origin."""
    try:
        parts = urlsplit(text)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    if not parts.hostname or parts.path or parts.query or parts.fragment or parts.username:
        return None
    return parts.scheme, parts.hostname, port


def _waba(frame: Frame | None, id: str | None) -> Any:
    if frame is None or id is None:
        return None
    return next((waba for waba in frame.wabas if waba.id == id), None)
