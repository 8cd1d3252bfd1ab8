"""Letters by SMTP, to a real server over a real socket."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtplib import SMTPAuthenticationError, SMTPException, SMTPServerDisconnected

from nightlatch.adapters.mail import MailboxSender, SmtpSender
from nightlatch.bootstrap import free_port
from nightlatch.ports import MailPutOff, MailRefused, Rendered
from tests.domain.samples import MINUTE, a_letter
from tests.mail_server import MailServer, a_mail_server
from tests.people import NOON, OWNER

SENDER = "Nightlatch <nightlatch@gate.test>"
TOKEN = "s3cret-t0ken"
LINK = f"https://gate.test/manager/turn-off/{TOKEN}"
LETTER = Rendered(
    "WhatsApp Two-Step Verification Reset",
    f"Grüße. Follow this link:\n\n  {LINK}\n",
    f'<p>Grüße. <a href="{LINK}">Turn off</a></p>\n',
    LINK,
)
LOGIN = ("mailer", "Mail-Pass-1")
A_MOMENT = 0.2


def sender_to(server: MailServer, **changes: Any) -> SmtpSender:
    """A sender that trusts *server* and knows its login, unless told otherwise."""
    user, password = server.login or ("", "")
    known: dict[str, Any] = {
        "host": server.host,
        "port": server.port,
        "security": server.security,
        "sender": SENDER,
        "user": user,
        "password": password,
        "ca": server.ca,
    }
    return SmtpSender(**(known | changes))


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with a_mail_server() as running:
        yield running


# What arrives


async def test_a_letter_arrives_with_both_bodies_and_its_headers(server: MailServer):
    posted = a_letter(key="0123456789abcdef" * 2)

    await sender_to(server).send(posted, LETTER)

    (received,) = server.inbox
    message = received.message
    assert (received.sender, received.recipient) == ("nightlatch@gate.test", OWNER.email)
    assert message["From"] == SENDER
    assert message["To"] == OWNER.email
    assert received.subject == LETTER.subject
    assert message["Message-ID"] == "<0123456789abcdef0123456789abcdef@gate.test>"
    assert parsedate_to_datetime(message["Date"]) == NOON
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert received.text == LETTER.text
    assert received.html == LETTER.html
    assert received.link == LINK


async def test_a_letter_stays_whole_whatever_its_lines_look_like(server: MailServer):
    odd = "a line with a dot:\n.\n..\nQUIT\n" + "long " * 400 + f"\n{LINK}\nFrom here on =20 é €\n"

    await sender_to(server).send(a_letter(), replace(LETTER, text=odd))

    assert server.inbox[0].text == odd
    assert all(len(line) <= 998 for line in server.inbox[0].raw.split(b"\r\n"))


async def test_a_second_copy_of_a_letter_has_the_same_message_id(server: MailServer):
    sender, posted = sender_to(server), a_letter()

    await sender.send(posted, LETTER)
    await sender.send(replace(posted, attempts=7, posted_at=NOON + MINUTE), LETTER)
    await sender.send(a_letter(key="1" * 32), LETTER)

    first, second, other = (str(one.message["Message-ID"]) for one in server.inbox)
    assert first == second != other


async def test_a_copy_goes_out_again_when_the_server_took_it_but_could_not_say_so(
    server: MailServer,
):
    sender, posted = sender_to(server), a_letter()
    server.forgets = True

    with pytest.raises(SMTPServerDisconnected):
        await sender.send(posted, LETTER)
    server.forgets = False
    await sender.send(posted, LETTER)

    assert len({str(one.message["Message-ID"]) for one in server.inbox}) == 1
    assert len(server.inbox) == 2


@pytest.mark.parametrize(
    ("address", "envelope"),
    [
        ("olivia+nightlatch@luckyshrub.example", "olivia+nightlatch@luckyshrub.example"),
        ("o'hara/x=y@luckyshrub.example", "o'hara/x=y@luckyshrub.example"),
        ("olivia@bücher.example", "olivia@xn--bcher-kva.example"),
        ("olivia@straße.example", "olivia@xn--strae-oqa.example"),
        ("ölivia@bücher.example", "ölivia@xn--bcher-kva.example"),
        ("olivia@localhost", "olivia@localhost"),
        ("olivia@mail.local", "olivia@mail.local"),
    ],
)
async def test_addresses_of_every_kind_are_reached(server: MailServer, address: str, envelope: str):
    await sender_to(server).send(a_letter(address=address), LETTER)

    (received,) = server.inbox
    assert received.recipient == envelope
    assert received.message["To"].addresses[0].addr_spec == envelope


async def test_an_international_address_is_refused_for_a_server_that_takes_none(
    server: MailServer,
):
    server.international = False

    with pytest.raises(MailRefused, match="takes no international addresses"):
        await sender_to(server).send(a_letter(address="ölivia@bücher.example"), LETTER)

    assert server.inbox == []


@pytest.mark.parametrize("sender", ["nightlatch@gate.test", "Nachtschloß <nightlatch@bücher.test>"])
async def test_the_sender_is_the_configured_one(server: MailServer, sender: str):
    await sender_to(server, sender=sender).send(a_letter(), LETTER)

    (received,) = server.inbox
    assert received.sender in ("nightlatch@gate.test", "nightlatch@xn--bcher-kva.test")
    name = sender.partition(" <")[0] if "<" in sender else ""
    assert received.message["From"].addresses[0].display_name == name


# Nobody slips a header in


@pytest.mark.parametrize(
    "address",
    [
        "olivia@luckyshrub.example\r\nBcc: theo@elsewhere.example",
        "olivia@luckyshrub.example\nRCPT TO:<theo@elsewhere.example>",
        "olivia@luckyshrub.example, theo@elsewhere.example",
        "<olivia@luckyshrub.example> theo@elsewhere.example",
        "olivia@luckyshrub.example\0",
        "olivia", "@luckyshrub.example", "olivia@", "", "olivia@-ü-.example",
    ],
)  # fmt: skip
async def test_what_is_no_address_is_refused_and_nothing_goes_out(server: MailServer, address: str):
    with pytest.raises(MailRefused) as refused:
        await sender_to(server).send(a_letter(address=address), LETTER)

    assert str(refused.value) == "the address cannot be written to"
    assert server.talks == 0


async def test_an_address_with_odd_characters_stays_one_recipient(server: MailServer):
    await sender_to(server).send(a_letter(address="a,b<c>;d@luckyshrub.example"), LETTER)

    (received,) = server.inbox
    assert received.recipient == '"a,b<c>;d"@luckyshrub.example'
    assert len(received.message["To"].addresses) == 1


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\u2028", "\x0b", "\x85"])
async def test_a_line_break_in_a_subject_starts_no_header(server: MailServer, end: str):
    subject = f"Invitation to{end}Bcc: theo@elsewhere.example{end}{end}body"

    await sender_to(server).send(a_letter(), replace(LETTER, subject=subject))

    (received,) = server.inbox
    assert received.message["Bcc"] is None
    assert received.recipient == OWNER.email
    assert received.subject.startswith("Invitation to")
    assert received.text == LETTER.text


async def test_a_very_long_subject_arrives_whole(server: MailServer):
    subject = "Invitation to " + "Glück " * 60 + "end"

    await sender_to(server).send(a_letter(), replace(LETTER, subject=subject))

    assert server.inbox[0].subject == subject


# TLS and logging in


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("login", [None, LOGIN])
async def test_a_letter_goes_out_encrypted(
    tmp_path: Path, security: str, login: tuple[str, str] | None
):
    async with a_mail_server(security=security, login=login, folder=tmp_path / "m") as server:
        await sender_to(server).send(a_letter(), LETTER)

    (received,) = server.inbox
    assert received.tls
    assert received.login == (login or ("",))[0]


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_leads_nowhere_is_not_believed(tmp_path: Path, security: str):
    async with a_mail_server(security=security, folder=tmp_path / "m") as server:
        with pytest.raises((ssl.SSLCertVerificationError, SMTPException)) as failed:
            await sender_to(server, ca=None).send(a_letter(), LETTER)

    assert "certificate" in str(failed.value).lower()
    assert server.inbox == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_of_another_host_is_not_believed(tmp_path: Path, security: str):
    async with a_mail_server(security=security, host="127.0.0.2", folder=tmp_path / "m") as server:
        with pytest.raises((ssl.SSLCertVerificationError, SMTPException)) as failed:
            await sender_to(server).send(a_letter(), LETTER)

    assert "certificate" in str(failed.value).lower()
    assert server.inbox == []


async def test_a_server_without_starttls_gets_neither_letter_nor_password(server: MailServer):
    with pytest.raises(SMTPException, match="STARTTLS"):
        await sender_to(
            server, security="starttls", user=LOGIN[0], password=LOGIN[1]
        ).send(a_letter(), LETTER)  # fmt: skip

    assert server.inbox == []


async def test_a_wrong_login_is_no_fault_of_the_letter(tmp_path: Path):
    async with a_mail_server(security="tls", login=LOGIN, folder=tmp_path / "m") as server:
        with pytest.raises(SMTPAuthenticationError):
            await sender_to(server, password="wrong").send(a_letter(), LETTER)

    assert server.inbox == []


async def test_a_missing_login_is_no_fault_of_the_letter(tmp_path: Path):
    async with a_mail_server(security="tls", login=LOGIN, folder=tmp_path / "m") as server:
        with pytest.raises(SMTPException) as failed:
            await sender_to(server, user="", password="").send(a_letter(), LETTER)

    assert not isinstance(failed.value, MailRefused | MailPutOff)
    assert server.inbox == []


# No for good, not now, and no answer


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("550 5.1.1 olivia@luckyshrub.example: no such user", "refused: 550 5.1.1"),
        ("552 5.2.2 mailbox full", "refused: 552 5.2.2"),
        ("554 olivia is not here", "refused: 554"),
        ("550 5.1.1x is no status", "refused: 550"),
        ("571 5.7.1", "refused: 571 5.7.1"),
    ],
)
async def test_a_permanent_refusal_tells_its_code_and_nothing_of_the_letter(
    server: MailServer, command: str, answer: str, told: str
):
    server.answers[command] = answer

    with pytest.raises(MailRefused) as refused:
        await sender_to(server).send(a_letter(), LETTER)

    assert str(refused.value) == told
    assert refused.value.__suppress_context__
    assert server.inbox == []


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("450 4.2.0 olivia is greylisted", "450 4.2.0"),
        ("451 later", "451"),
        ("421 4.3.2 bye", "421 4.3.2"),
    ],
)
async def test_not_now_is_put_off(server: MailServer, command: str, answer: str, code: str):
    server.answers[command] = answer

    with pytest.raises(MailPutOff) as put_off:
        await sender_to(server).send(a_letter(), LETTER)

    assert str(put_off.value).endswith(f": {code}")
    assert "olivia" not in str(put_off.value)


async def test_our_own_address_refused_is_put_off_as_no_letter_can_help_it(server: MailServer):
    server.answers["MAIL"] = "550 5.1.8 nightlatch@gate.test may not"

    with pytest.raises(MailPutOff) as put_off:
        await sender_to(server).send(a_letter(), LETTER)

    assert str(put_off.value) == "our own address was refused: 550 5.1.8"


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
async def test_a_server_that_falls_silent_is_not_waited_for_for_ever(
    server: MailServer, command: str
):
    server.hangs.add(command)

    with pytest.raises(TimeoutError):
        await sender_to(server, seconds=A_MOMENT).send(a_letter(), LETTER)

    assert server.inbox == []


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
async def test_a_connection_that_is_cut_was_not_reached(server: MailServer, command: str):
    server.drops.add(command)

    with pytest.raises(ConnectionError):
        await sender_to(server).send(a_letter(), LETTER)

    assert server.inbox == []


async def test_once_the_server_has_the_letter_its_goodbye_does_not_matter(server: MailServer):
    server.drops.add("QUIT")

    await sender_to(server).send(a_letter(), LETTER)

    assert len(server.inbox) == 1


@pytest.mark.parametrize(
    "greeting", [b"", b"554 go away\r\n", b"421 busy\r\n", b"HTTP/1.1 400 Bad\r\n\r\n", b"\xff\r\n"]
)
async def test_a_server_that_does_not_greet_was_not_reached(greeting: bytes):
    over = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        over.set()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        sender = SmtpSender("127.0.0.1", port, "none", SENDER, seconds=A_MOMENT)
        with pytest.raises(Exception) as failed:
            await sender.send(a_letter(), LETTER)
        await over.wait()

    assert not isinstance(failed.value, MailRefused | MailPutOff)


async def test_nobody_listening_was_not_reached():
    with pytest.raises(OSError):
        await SmtpSender("127.0.0.1", free_port(), "none", SENDER).send(a_letter(), LETTER)


async def test_a_server_that_comes_back_gets_the_letter(server: MailServer):
    sender = sender_to(server)
    await server.stop()
    with pytest.raises(OSError):
        await sender.send(a_letter(), LETTER)

    await server.start()
    await sender.send(a_letter(), LETTER)

    assert [one.link for one in await server.received()] == [LINK]


async def test_letters_go_out_side_by_side(server: MailServer):
    sender = sender_to(server)

    await asyncio.gather(*(sender.send(a_letter(key=f"{i:032d}"), LETTER) for i in range(20)))

    assert len({str(one.message["Message-ID"]) for one in server.inbox}) == 20


SENDERS: list[Callable[[], Any]] = [
    lambda: SmtpSender("127.0.0.1", 1, "none", "no address"),
    lambda: SmtpSender("127.0.0.1", 1, "tls", SENDER, ca=Path("/nowhere.pem")),
]


@pytest.mark.parametrize("make", SENDERS)
async def test_settings_that_cannot_work_are_found_when_sending_not_before(
    make: Callable[[], SmtpSender],
):
    sender = make()

    with pytest.raises((ValueError, OSError)):
        await sender.send(a_letter(), LETTER)


# The embedded mailbox


async def test_the_embedded_mailbox_takes_everything_and_says_that_it_keeps():
    sender = MailboxSender()

    await sender.send(a_letter(), LETTER)

    assert sender.keeps
    assert not SmtpSender("127.0.0.1", 25, "none", SENDER).keeps
