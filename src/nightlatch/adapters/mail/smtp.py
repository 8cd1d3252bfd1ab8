"""Letters by SMTP: STARTTLS or TLS from the start, with a login when there is one."""

import contextlib
import re
import ssl
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.policy import SMTPUTF8 as WIRE_UTF8
from email.utils import parseaddr
from pathlib import Path

from aiosmtplib import SMTP, SMTPResponseException, SMTPSenderRefused
from email_validator import validate_email

from nightlatch.domain.limits import MAIL_SECONDS
from nightlatch.domain.mail import Posted
from nightlatch.ports import MailPutOff, MailRefused, Rendered

_GOODBYE_SECONDS = 1.0
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?!\S)", re.ASCII)  # RFC 3463
_LOGIN_CODES = frozenset({530, 534, 535, 538})  # RFC 4954: about our login, never about a letter


class SmtpSender:
    """The ``MailSender`` port over SMTP; each letter on a connection of its own."""

    keeps = False

    def __init__(
        self,
        host: str,
        port: int,
        security: str,
        sender: str,
        *,
        user: str = "",
        password: str = "",
        ca: Path | None = None,
        seconds: float = MAIL_SECONDS,
    ) -> None:
        """*security* is ``starttls``, ``tls`` or ``none``; *sender* stands in ``From``.

        *ca* replaces the system's certificates; *seconds* is what one answer may take.
        """
        self._host, self._port, self._security = host, port, security
        self._user, self._password = user, password
        self._ca, self._seconds = ca, seconds
        self._from = sender
        self._tls: ssl.SSLContext | None = None

    async def send(self, posted: Posted, letter: Rendered) -> None:
        sender = self._sender()
        message = _message(sender, posted, letter)
        client = SMTP(
            hostname=self._host,
            port=self._port,
            local_hostname=sender.domain,  # the default asks the DNS, and waits for it
            timeout=self._seconds,
            use_tls=self._security == "tls",
            start_tls=self._security == "starttls",
            tls_context=None if self._security == "none" else self._context(),
            username=self._user or None,
            password=self._password or None,
        )
        try:
            await client.connect()
            await _hand_over(client, sender, message)
            with contextlib.suppress(Exception):  # it has the letter; how it parts is no matter
                await client.quit(timeout=_GOODBYE_SECONDS)
        finally:
            client.close()

    def _sender(self) -> Address:
        name, address = parseaddr(self._from)
        return _address(address, name)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=self._ca)
            self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        return self._tls


async def _hand_over(client: SMTP, sender: Address, message: EmailMessage) -> None:
    """The letter's own part of the conversation, whose refusals are about the letter."""
    (to,) = message["To"].addresses
    international = not (sender.addr_spec + to.addr_spec).isascii()
    if international:
        if client.is_ehlo_or_helo_needed:
            await client.ehlo()
        if not client.supports_extension("smtputf8"):
            raise MailRefused("the mail server takes no international addresses")
    options = ["SMTPUTF8", "BODY=8BITMIME"] if international else []
    encoding = "utf-8" if international else "ascii"
    raw = message.as_bytes(policy=WIRE_UTF8 if international else WIRE)
    try:
        await client.mail(sender.addr_spec, options=options, encoding=encoding)
        await client.rcpt(to.addr_spec, encoding=encoding)
        await client.data(raw)
    except SMTPSenderRefused as reply:
        # Our own address: whoever runs this can put it right, so the letter waits.
        if reply.code in _LOGIN_CODES:
            raise
        raise MailPutOff(f"our own address was refused: {_told(reply)}") from None
    except SMTPResponseException as reply:
        if reply.code in _LOGIN_CODES or not 400 <= reply.code < 600:
            raise
        if reply.code < 500:
            raise MailPutOff(f"put off: {_told(reply)}") from None
        raise MailRefused(f"refused: {_told(reply)}") from None


def _message(sender: Address, posted: Posted, letter: Rendered) -> EmailMessage:
    """The message, the same for each copy but for its boundary. Raises MailRefused."""
    message = EmailMessage()
    try:
        message["From"] = sender
        message["To"] = _address(posted.address)
    except ValueError:
        raise MailRefused("the address cannot be written to") from None
    subject = "".join(c if c.isprintable() else " " for c in letter.subject)
    # EmailMessage's own folding loses spaces between encoded words
    message.set_raw("Subject", Header(subject, header_name="Subject").encode())
    message["Date"] = posted.posted_at
    message["Message-ID"] = f"<{posted.key}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation answers
    message.set_content(letter.text, cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    return message


def _address(address: str, name: str = "") -> Address:
    """As it goes over the wire: the domain in ASCII, the rest as it is.

    Raises:
        ValueError: it is no address; EmailNotValidError is one, too.
    """
    local, _, domain = address.rpartition("@")
    if not (local and domain and address.isprintable()) or " " in address:
        raise ValueError("no address")
    if not domain.isascii():
        found = validate_email(f"x@{domain}", check_deliverability=False, test_environment=True)
        domain = found.ascii_domain
    return Address(name, local, domain)


def _told(reply: SMTPResponseException) -> str:
    """The code and, where there is one, the enhanced status; never the server's own text,
    which may quote the address or the letter."""
    enhanced = _ENHANCED.match(reply.message)
    return f"{reply.code} {enhanced[0]}" if enhanced else str(reply.code)
