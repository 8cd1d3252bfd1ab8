"""An integration of the Cloud API, as it would call the Graph face of a town."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from nightlatch.domain.access import GraphApp, Scope, SystemRole, SystemUser
from nightlatch.usecases import access, codes
from tests.town import Reply, Town, exchange

VERSION = "v23.0"
_BOUNDARY = "----between"


@dataclass(frozen=True)
class GraphReply:
    """One answer of the Graph face, taken apart."""

    reply: Reply

    @property
    def status(self) -> int:
        return self.reply.status

    @property
    def body(self) -> Any:
        return self.reply.body

    @property
    def error(self) -> dict[str, Any]:
        """The error of a refusal, which is checked to be whole."""
        body = self.reply.body
        assert set(body) == {"error"}, body
        error = dict(body["error"])
        assert {"message", "type", "code", "fbtrace_id"} <= set(error), error
        assert self.reply.header("x-fb-trace-id") in (None, error["fbtrace_id"])
        return error

    @property
    def verdict(self) -> tuple[int, int | None]:
        """HTTP status and error code (None for a success)."""
        return self.status, self.error["code"] if self.status >= 400 else None

    @property
    def details(self) -> str:
        return str(self.error["error_data"]["details"])

    def header(self, name: str) -> str | None:
        return self.reply.header(name)


def as_json(params: dict[str, Any]) -> tuple[str, bytes]:
    return "application/json", json.dumps(params).encode()


def as_form(params: dict[str, Any]) -> tuple[str, bytes]:
    return "application/x-www-form-urlencoded", urlencode(params).encode()


def as_multipart(params: dict[str, Any]) -> tuple[str, bytes]:
    parts = "".join(
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in params.items()
    )
    return f"multipart/form-data; boundary={_BOUNDARY}", f"{parts}--{_BOUNDARY}--\r\n".encode()


@dataclass
class Desk:
    """A program with an access token."""

    town: Town
    app: GraphApp
    secret: str
    user: SystemUser
    token: str
    number: str
    waba: str
    portfolio: str
    version: str = VERSION
    headers: list[tuple[str, str]] = field(default_factory=list)

    async def call(
        self,
        method: str,
        path: str,
        params: dict[str, Any] | None = None,
        *,
        way: Any = as_json,
        query: dict[str, Any] | None = None,
        token: str | None = None,
        version: str | None = None,
        raw: bytes | None = None,
        content_type: str = "application/json",
    ) -> GraphReply:
        """*params* go into the body, or into the query when *way* is None or for a GET."""
        query = dict(query or {})
        used = self.token if token is None else token
        headers = [*self.headers]
        if used:
            headers.append(("Authorization", f"Bearer {used}"))
        body = b""
        if params is not None and (method == "GET" or way is None):
            query |= params
        elif params is not None:
            content_type, body = way(params)
        if raw is not None:
            body = raw
        if body:
            headers.append(("Content-Type", content_type))
        version = self.version if version is None else version
        target = f"/graph{'/' if version else ''}{version}{path}"
        if query:
            target += "?" + urlencode(query)
        return GraphReply(
            await exchange(self.town.port, method, target, headers=headers, body=body)
        )

    async def read(self, fields: str = "", **query: Any) -> GraphReply:
        """``GET /{number-id}``."""
        if fields:
            query["fields"] = fields
        return await self.call("GET", f"/{self.number}", query=query)

    async def set_pin(self, pin: Any, **more: Any) -> GraphReply:
        return await self.call("POST", f"/{self.number}", {"pin": pin}, **more)

    async def register(self, pin: Any, **more: Any) -> GraphReply:
        params = {"messaging_product": "whatsapp", "pin": pin}
        return await self.call("POST", f"/{self.number}/register", params, **more)

    async def deregister(self, **more: Any) -> GraphReply:
        return await self.call("POST", f"/{self.number}/deregister", **more)

    async def request_code(self, method: Any = "SMS", language: Any = "en_US") -> GraphReply:
        params = {"code_method": method, "language": language}
        return await self.call("POST", f"/{self.number}/request_code", params)

    async def verify_code(self, code: Any) -> GraphReply:
        return await self.call("POST", f"/{self.number}/verify_code", {"code": code})

    async def verify(self) -> None:
        """A code is asked for, arrives, and is entered."""
        assert (await self.request_code()).status == 200
        assert (await self.verify_code(await self.town.code())).status == 200

    async def move_in(self, pin: str) -> None:
        """The number's first registration."""
        await self.verify()
        assert (await self.register(pin)).body == {"success": True}

    async def code_of(self, e164: str) -> str:
        """The newest code on the phone of another number."""
        house = self.town.house
        while await house.store.waiting_for(e164):
            await asyncio.sleep(0.005)
        return (await codes.handset(house.world, e164))[0].code

    @property
    def app_token(self) -> str:
        """The app's own."""
        return f"{self.app.id}|{self.secret}"

    async def colleague(
        self,
        *scopes: Scope,
        role: SystemRole = SystemRole.ADMIN,
        wabas: tuple[str, ...] = (),
        life: Any = None,
    ) -> "Desk":
        """Another system user of the same app, with these permissions."""
        world = self.town.house.world
        user = await access.add_system_user(world, self.portfolio, "Colleague", role, wabas)
        token = await access.issue_token(world, user, self.app, scopes, life)
        return Desk(
            self.town, self.app, self.secret, user, token, self.number, self.waba, self.portfolio
        )


async def a_desk(town: Town) -> Desk:
    """A program of the owner, with every permission."""
    house = town.house
    waba = await house.store.waba(await house.first_waba())
    assert waba is not None
    added = await access.add_app(house.world, waba.portfolio, "Lucky app")
    user = await access.add_system_user(house.world, waba.portfolio, "Robot", SystemRole.ADMIN)
    token = await access.issue_token(house.world, user, added.app, tuple(Scope))
    number = (await town.number()).id
    return Desk(town, added.app, added.secret, user, token, number, waba.id, waba.portfolio)
