"""Receivers of webhooks, reached by HTTP."""

import ssl
from collections.abc import Mapping
from typing import Any

from aiohttp import (
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from yarl import URL

from nightlatch.adapters.webhooks.addresses import LookUp, Resolver, look_up, refuse_literal
from nightlatch.domain.errors import CallbackRefused
from nightlatch.domain.limits import HOOK_ANSWER, HOOK_SECONDS
from nightlatch.ports import Answered

_AT_ONCE = 50  # connections to one receiver
_KEEP_ALIVE = 4.0  # s; many servers close after 5, and a request must not meet that
_BUFFER = 4_096  # bytes of an answer that wait to be read, about


class HttpReceivers:
    """The ``Receivers`` port.

    Only https and public addresses, whatever a name leads to at the moment of
    connecting; with *private* any address, and plain http as well.
    """

    def __init__(
        self,
        private: bool,
        version: str,
        *,
        seconds: float = HOOK_SECONDS,
        look_up: LookUp = look_up,
    ) -> None:
        """*version* is our own; *seconds* is what one request may take, all of it."""
        self._private, self._version = private, version
        self._seconds, self._look_up = seconds, look_up
        self._session: ClientSession | None = None

    async def challenge(self, url: str, query: Mapping[str, str]) -> Answered:
        return await self._ask("GET", self._read(url).extend_query(query))

    async def post(self, url: str, body: bytes, signature: str) -> Answered:
        headers = {"Content-Type": "application/json", "X-Hub-Signature-256": signature}
        return await self._ask("POST", self._read(url), data=body, headers=headers)

    async def close(self) -> None:
        """End every connection. Idempotent; a later request begins anew."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _read(self, url: str) -> URL:
        try:
            found = URL(url)
        except ValueError:
            raise CallbackRefused("it cannot be read as an address") from None
        if found.scheme not in ("http", "https") or not found.host:
            raise CallbackRefused("it cannot be read as an address")
        if not self._private:
            if found.scheme != "https":
                raise CallbackRefused("it is not https; plain http needs --private-receivers")
            refuse_literal(found.host)
        return found

    async def _ask(self, method: str, url: URL, **more: Any) -> Answered:
        async with self._open().request(method, url, allow_redirects=False, **more) as response:
            return Answered(response.status, await _beginning(response))

    def _open(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                connector=TCPConnector(
                    limit=0,  # the sum over all receivers: no limit that they could share
                    limit_per_host=_AT_ONCE,
                    keepalive_timeout=_KEEP_ALIVE,
                    resolver=Resolver(self._private, self._look_up),
                    ssl=_tls(),
                ),
                headers={
                    "User-Agent": f"nightlatch/{self._version}",
                    "Accept-Encoding": "identity",
                },
                timeout=ClientTimeout(
                    total=self._seconds,
                    connect=self._seconds,
                    sock_connect=self._seconds,
                    sock_read=self._seconds,
                ),
                cookie_jar=DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                read_bufsize=_BUFFER,
            )
        return self._session


async def _beginning(response: ClientResponse) -> bytes:
    """At most HOOK_ANSWER bytes. The status is the answer: that the rest of it stays out
    changes nothing."""
    begun = b""
    try:
        while len(begun) < HOOK_ANSWER and (
            more := await response.content.read(HOOK_ANSWER - len(begun))
        ):
            begun += more
    except (TimeoutError, ClientError):
        pass
    return begun


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
