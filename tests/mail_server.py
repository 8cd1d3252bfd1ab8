"""A real mail server on a free port of this machine, which misbehaves when it is told to."""

# ruff: noqa: ARG002, N802 - aiosmtpd gives the hooks their names and arguments

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from nightlatch.adapters.tls import self_signed
from nightlatch.bootstrap import free_port

_LINK = re.compile(r"https?://\S+/manager/(?:turn-off|join|reset)/\S+")
_PATIENCE = 30


@dataclass(frozen=True)
class Received:
    """One message, as the server took it."""

    sender: str
    recipient: str
    raw: bytes
    tls: bool
    login: str
    """Who was logged in; empty for nobody."""

    @property
    def message(self) -> EmailMessage:
        found = message_from_string(self.raw.decode(), policy=default)
        assert isinstance(found, EmailMessage)
        return found

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        return self._body("plain")

    @property
    def html(self) -> str:
        return self._body("html")

    @property
    def link(self) -> str:
        """The one link that does something."""
        (found,) = set(_LINK.findall(self.text))
        return str(found)

    def _body(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        assert part is not None
        return str(part.get_content()).replace("\r\n", "\n")


@dataclass
class MailServer:
    """Takes every message until told otherwise."""

    port: int
    host: str = "127.0.0.1"
    security: str = "none"
    """``none``, ``starttls`` (which is then required) or ``tls``."""
    login: tuple[str, str] | None = None
    """The one user and password; when given, a login is required."""
    folder: Path | None = None
    """Where its certificate lies; needed for TLS."""

    answers: dict[str, str] = field(default_factory=dict)
    """What to answer ``MAIL``, ``RCPT`` or ``DATA`` (all of it read) with, such as ``550 no``."""
    hangs: set[str] = field(default_factory=set)
    """Commands that are never answered."""
    drops: set[str] = field(default_factory=set)
    """Commands at which the connection is cut; ``DATA`` is read first, and thrown away."""
    international: bool = True
    """Whether it takes addresses in UTF-8."""
    forgets: bool = False
    """Whether the connection is cut after a message was taken, before that was said."""

    inbox: list[Received] = field(default_factory=list)
    talks: int = 0
    """How many connections there were."""
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    _server: asyncio.Server | None = None
    _open: set[Any] = field(default_factory=set)

    @property
    def ca(self) -> Path | None:
        """What its certificate leads to: itself."""
        return self._certificate()[0] if self.security != "none" else None

    async def start(self) -> None:
        """Begin to listen; also again after ``stop``."""
        tls = None
        if self.security != "none":
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*self._certificate())
        starttls = tls if self.security == "starttls" else None

        def talk() -> SMTP:
            self.talks += 1
            return _Talk(
                self,
                hostname="mail.test",
                enable_SMTPUTF8=self.international,
                tls_context=starttls,
                require_starttls=starttls is not None,
                authenticator=self._authenticate if self.login else None,
                auth_required=self.login is not None,
                auth_require_tls=True,
            )

        self._server = await asyncio.get_running_loop().create_server(
            talk, self.host, self.port, ssl=tls if self.security == "tls" else None
        )

    async def stop(self) -> None:
        """Cut every connection and listen no more."""
        if self._server is not None:
            self._server.close()
            for transport in tuple(self._open):
                transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def received(self, count: int = 1) -> list[Received]:
        """The inbox, once there are *count* messages in it."""
        async with self._arrived, asyncio.timeout(_PATIENCE):
            await self._arrived.wait_for(lambda: len(self.inbox) >= count)
        return self.inbox

    def _certificate(self) -> tuple[Path, Path]:
        assert self.folder is not None, "a mail server with TLS needs a folder"
        return self_signed(self.folder, "127.0.0.1", datetime.now(UTC))

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        given = (data.login.decode(), data.password.decode())
        return AuthResult(success=given == self.login, handled=False, auth_data=given[0])

    # What aiosmtpd calls

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await self._behave("MAIL", server)
        if answer.startswith("250"):
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return answer

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await self._behave("RCPT", server)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = await self._behave("DATA", server)
        if answer.startswith("250"):
            content = envelope.content
            assert isinstance(content, bytes)
            (recipient,) = envelope.rcpt_tos
            login = str(session.auth_data or "")
            self.inbox.append(
                Received(
                    str(envelope.mail_from), recipient, content, session.ssl is not None
                    or self.security == "tls", login,
                )
            )  # fmt: skip
            async with self._arrived:
                self._arrived.notify_all()
            if self.forgets:
                await _cut(server)
        return answer

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        await self._behave("QUIT", server)
        return "221 2.0.0 Bye"

    async def _behave(self, command: str, server: SMTP) -> str:
        if command in self.hangs:
            await asyncio.Event().wait()
        if command in self.drops:
            await _cut(server)
        return self.answers.get(command, "250 2.0.0 OK")


class _Talk(SMTP):
    """One connection, which the server knows of so that it can cut it."""

    def __init__(self, server: MailServer, **options: Any) -> None:
        super().__init__(server, **options)
        self._of = server

    def connection_made(self, transport: Any) -> None:
        self._of._open.add(transport)
        if self._of.security == "tls":
            self._tls_protocol = transport  # or it would think that the talk is in the clear
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._of._open.discard(self.transport)
        super().connection_lost(error)


async def _cut(server: SMTP) -> None:
    assert isinstance(server.transport, asyncio.Transport)
    server.transport.abort()
    await asyncio.Event().wait()  # the end of the connection ends this


@asynccontextmanager
async def a_mail_server(**chosen: Any) -> AsyncIterator[MailServer]:
    """A server that listens."""
    server = MailServer(free_port(), **chosen)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
