"""The Cloud API by HTTP."""

import asyncio
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientHandlerType,
    ClientOSError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    ServerDisconnectedError,
    TCPConnector,
)
from yarl import URL

from nightlatch.adapters.cloudapi import answers
from nightlatch.adapters.cloudapi.calls import Calls
from nightlatch.domain.limits import CLOUD_SECONDS
from nightlatch.domain.linked import MetaRefusal, Reason
from nightlatch.domain.links import TokenFacts
from nightlatch.ports import (
    CloudAccess,
    CloudNoAnswer,
    CloudNotSent,
    CloudRefusal,
    FoundNumber,
    FoundPage,
)

T = TypeVar("T")
Answer = Mapping[str, Any]
ANSWER_BYTES: Final = 4_194_304
_AT_ONCE: Final = 100  # connections to one address
_KEEP_ALIVE: Final = 4.0  # s; many servers close after 5, and a request must not meet that
_PER_PAGE: Final = 100  # numbers of a list that Graph gives at once
_TRIES: Final = 2  # of what only reads
_SHORTEST: Final = 0.05  # s; what is left of the time may be less, and 0 would mean no limit
_ACCOUNT_CALLS: Final = 80007
"""What Meta refuses with when an account's calls are spent."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """One answer, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Broken(ClientError):
    """The connection ended before the answer began."""


async def _sent_once(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
    """Of its own, aiohttp sends some again when a connection breaks; that is for us to decide."""
    try:
        return await send(request)
    except (ClientConnectorError, ConnectionTimeoutError):
        raise
    except (ClientOSError, ServerDisconnectedError):
        raise _Broken from None


class GraphCloudApi:
    """The ``CloudApi`` port."""

    def __init__(
        self,
        version: str,
        seconds: float = CLOUD_SECONDS,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*version* is our own; *seconds* is what one call may take, all of it; *clock* is for
        counting calls."""
        self._version, self._seconds = version, seconds
        self._calls = Calls(clock)
        self._missing: set[tuple[str, str, str]] = set()
        """Fields that a version of Graph at some address does not have."""
        self._session: ClientSession | None = None

    async def token(self, access: CloudAccess) -> TokenFacts:
        query = {"input_token": access.token}
        return await self._read(access, "debug_token", query, answers.read_token)

    async def account_name(self, access: CloudAccess) -> str:
        return await self._read(access, access.waba, {"fields": "name"}, answers.read_name)

    async def numbers(self, access: CloudAccess, after: str, limit: int) -> FoundPage:
        limit, began = min(max(limit, 1), _PER_PAGE), datetime.now(UTC)
        query = {"limit": str(limit), **({"after": after} if after else {})}

        def read(answer: Answer) -> FoundPage:
            return answers.read_page(answer, began, after, limit)

        page = await self._read_numbers(access, f"{access.waba}/phone_numbers", query, read)
        for found in page.numbers:
            self._note(access, found)
        return page

    async def number(self, access: CloudAccess, id: str) -> FoundNumber:
        began = datetime.now(UTC)

        def read(answer: Answer) -> FoundNumber:
            found = answers.read_number(answer, began)
            if found.id != id:
                raise CloudNoAnswer
            return found

        found = await self._read_numbers(access, id, {}, read)
        self._note(access, found)
        return found

    async def add_number(self, access: CloudAccess, cc: str, national: str, name: str) -> str:
        body = {"cc": cc, "phone_number": national, "verified_name": name}
        return answers.created(await self._write(access, f"{access.waba}/phone_numbers", body))

    async def ask_code(self, access: CloudAccess, id: str, method: str, language: str) -> None:
        body = {"code_method": method, "language": language}
        answers.done(await self._write(access, f"{id}/request_code", body))

    async def enter_code(self, access: CloudAccess, id: str, code: str) -> None:
        answers.done(await self._write(access, f"{id}/verify_code", {"code": code}))

    async def register(self, access: CloudAccess, id: str, pin: str) -> None:
        body = {"messaging_product": "whatsapp", "pin": pin}
        answers.done(await self._write(access, f"{id}/register", body))
        self._calls.saw_registered(access.waba)

    async def deregister(self, access: CloudAccess, id: str) -> None:
        answers.done(await self._write(access, f"{id}/deregister"))

    async def set_pin(self, access: CloudAccess, id: str, pin: str) -> None:
        answers.done(await self._write(access, id, {"pin": pin}))
        self._calls.saw_registered(access.waba)  # Meta takes no PIN of any other number

    async def is_subscribed(self, access: CloudAccess, app: str) -> bool:
        path = f"{access.waba}/subscribed_apps"
        apps = await self._read(access, path, {}, answers.read_apps)
        return app in apps if app else bool(apps)

    async def subscribe(self, access: CloudAccess) -> None:
        answers.done(await self._write(access, f"{access.waba}/subscribed_apps"))

    async def close(self) -> None:
        """End every connection. Idempotent; a later call begins anew."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _note(self, access: CloudAccess, found: FoundNumber) -> None:
        if found.facts.registered:
            self._calls.saw_registered(access.waba)

    # Reading and writing

    async def _write(
        self, access: CloudAccess, path: str, body: Mapping[str, str] | None = None
    ) -> Answer:
        """Sent once, whatever happens to it."""
        return await self._call("POST", access, path, {}, body, self._seconds)

    async def _read(
        self,
        access: CloudAccess,
        path: str,
        query: Mapping[str, str],
        read: Callable[[Answer], T],
        ends: float | None = None,
    ) -> T:
        """What *read* makes of the answer.

        Sent once more when no answer came that can be understood; each try gets its share of the
        time until *ends*.
        """
        now = asyncio.get_running_loop().time
        ends = now() + self._seconds if ends is None else ends
        for tries in range(_TRIES, 1, -1):
            try:
                seconds = (ends - now()) / tries
                return read(await self._call("GET", access, path, query, None, seconds))
            except CloudNoAnswer:
                continue
        return read(await self._call("GET", access, path, query, None, ends - now()))

    async def _read_numbers(
        self,
        access: CloudAccess,
        path: str,
        query: Mapping[str, str],
        read: Callable[[Answer], T],
    ) -> T:
        """All that Meta shows of numbers; or what it always shows, when it does not know a field.

        Such a field is not asked for again.
        """
        ends = asyncio.get_running_loop().time() + self._seconds
        where = (access.base, access.version)
        doubtful = [one for one in answers.DOUBTFUL if (*where, one) not in self._missing]
        try:
            fields = ",".join((*answers.CERTAIN, *doubtful))
            return await self._read(access, path, {**query, "fields": fields}, read, ends)
        except answers.FieldRefused as refused:
            if refused.field in doubtful:
                self._missing.add((*where, refused.field))
        fields = ",".join(answers.CERTAIN)
        return await self._read(access, path, {**query, "fields": fields}, read, ends)

    async def _call(
        self,
        method: str,
        access: CloudAccess,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, str] | None,
        seconds: float,
    ) -> Answer:
        """One request, and the object that was answered."""
        wait = self._calls.spend(access.waba, patient=access.patient)
        if wait is not None:
            raise CloudRefusal(MetaRefusal(Reason.CALLS, _ACCOUNT_CALLS, wait=wait))
        heard = await self._send(method, access, path, query, body, seconds)
        usage = answers.read_usage(heard.headers)
        self._calls.heard(access.waba, usage)
        return answers.read(heard.status, heard.body, usage)

    async def _send(
        self,
        method: str,
        access: CloudAccess,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, str] | None,
        seconds: float,
    ) -> _Heard:
        """Raises CloudNotSent, CloudNoAnswer: without the cause, which holds the token."""
        failure: Exception
        try:
            async with self._open().request(
                method,
                _address(access, path, query),
                headers=_headers(access, body),
                data=None if body is None else json.dumps(body).encode(),
                timeout=_limits(seconds),
                allow_redirects=False,
                middlewares=(_sent_once,),
            ) as response:
                return _Heard(response.status, response.headers, await _whole(response))
        except (ClientConnectorError, ConnectionTimeoutError):
            failure = CloudNotSent()
        except (TimeoutError, ClientError, OSError, ValueError, CloudNoAnswer):
            failure = CloudNoAnswer()
        raise failure

    def _open(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                connector=TCPConnector(
                    limit=0,  # the sum over all addresses: no limit that they could share
                    limit_per_host=_AT_ONCE,
                    keepalive_timeout=_KEEP_ALIVE,
                    ssl=_tls(),
                ),
                headers={
                    "User-Agent": f"nightlatch/{self._version}",
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                },
                cookie_jar=DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


def _address(access: CloudAccess, path: str, query: Mapping[str, str]) -> URL:
    proof = {} if access.secret is None else {"appsecret_proof": _proof(access)}
    return URL(f"{access.base}/{access.version}/{path}").with_query({**query, **proof})


def _proof(access: CloudAccess) -> str:
    key = (access.secret or "").encode()
    return hmac.new(key, access.token.encode(), hashlib.sha256).hexdigest()


def _headers(access: CloudAccess, body: Mapping[str, str] | None) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {access.token}"}
    return headers if body is None else {**headers, "Content-Type": "application/json"}


def _limits(seconds: float) -> ClientTimeout:
    """Connecting ends well before the whole does, so that what ends while connecting is known
    not to have been sent."""
    seconds = max(seconds, _SHORTEST)
    return ClientTimeout(
        total=seconds,
        connect=seconds / 3,
        sock_connect=seconds / 3,
        sock_read=seconds,
        ceil_threshold=2 * seconds,  # to the point, and not at the next whole second
    )


async def _whole(response: ClientResponse) -> bytes:
    """Raises CloudNoAnswer when there is more than ANSWER_BYTES of it."""
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > ANSWER_BYTES:
            raise CloudNoAnswer
    return bytes(body)


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
