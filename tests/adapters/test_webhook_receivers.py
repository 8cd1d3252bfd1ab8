"""Receivers by HTTP: what goes over the wire, which addresses are refused, and bad receivers."""

import asyncio
import gzip
import json
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nightlatch.adapters.tls import self_signed
from nightlatch.adapters.webhooks import LateReceivers
from nightlatch.adapters.webhooks.addresses import Resolver, is_public, look_up, refuse_literal
from nightlatch.adapters.webhooks.http import HttpReceivers
from nightlatch.bootstrap import free_port
from nightlatch.domain.errors import CallbackRefused
from nightlatch.domain.limits import HOOK_ANSWER
from nightlatch.usecases.webhooks import signature
from tests.webhook_receiver import Receiver, Request, a_receiver, answer, signed

SECRET = "0123456789abcdef0123456789abcdef"
BODY = b'{"object":"whatsapp_business_account","entry":[]}'


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with a_receiver(secret=SECRET) as running:
        yield running


@pytest.fixture
async def receivers() -> AsyncIterator[HttpReceivers]:
    """Any address will do, and nobody has long."""
    made = HttpReceivers(True, "1.2.3", seconds=2)
    yield made
    await made.close()


@pytest.fixture
async def careful() -> AsyncIterator[HttpReceivers]:
    """Public addresses only."""
    made = HttpReceivers(False, "1.2.3", seconds=2)
    yield made
    await made.close()


async def refusal(call: Awaitable[Any]) -> str:
    with pytest.raises(CallbackRefused) as refused:
        await call
    return refused.value.why


def leads_to(addresses: list[str]) -> Callable[[str], Awaitable[list[str]]]:
    async def found(_: str) -> list[str]:
        return addresses

    return found


# What goes over the wire


@pytest.mark.parametrize("secret", [SECRET, "short", "x" * 100])
def test_the_receivers_own_code_finds_the_same_signature(secret: str):
    assert signature(secret, BODY) == signed(secret, BODY)


async def test_a_post_brings_the_very_bytes_and_says_who_sends_them(
    receiver: Receiver, receivers: HttpReceivers
):
    body = BODY + " — é\n".encode()

    answered = await receivers.post(receiver.url, body, signature(SECRET, body))

    (request,) = receiver.requests
    assert (answered.status, answered.body) == (200, b"")
    assert (request.method, request.target, request.body) == ("POST", "/hook", body)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-hub-signature-256"] == signed(SECRET, body)
    assert request.headers["user-agent"] == "nightlatch/1.2.3"
    assert request.headers["accept-encoding"] == "identity"
    assert receiver.forged == []


async def test_a_challenge_is_added_to_the_query_that_the_address_has(
    receiver: Receiver, receivers: HttpReceivers
):
    query = {"hub.mode": "subscribe", "hub.challenge": "1234567890", "hub.verify_token": "a b+&=ü"}
    receiver.token = "a b+&=ü"

    answered = await receivers.challenge(receiver.url + "?shop=7&hub.mode=mine", query)

    (request,) = receiver.requests
    assert (answered.status, answered.body) == (200, b"1234567890")
    assert request.method == "GET"
    assert request.query == {"shop": "7", **query}
    assert request.target.startswith("/hook?shop=7&hub.mode=mine&")


async def test_requests_one_after_another_use_one_connection(
    receiver: Receiver, receivers: HttpReceivers
):
    for _ in range(5):
        await receivers.post(receiver.url, BODY, signature(SECRET, BODY))

    assert (len(receiver.requests), receiver.talks) == (5, 1)


async def test_a_receiver_that_hangs_gets_fifty_requests_at_once_and_holds_up_no_other(
    receivers: HttpReceivers,
):
    async with a_receiver() as hanging, a_receiver() as quick:
        hanging.answers = lambda _: None
        tasks = [asyncio.create_task(receivers.post(hanging.url, BODY, "")) for _ in range(60)]
        await hanging.until(lambda r: len(r.requests) == 50)

        answered = await receivers.post(quick.url, BODY, "")

        assert answered.status == 200
        assert len(hanging.requests) == 50
        assert not any(task.done() for task in tasks)
        await receivers.close()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_after_closing_it_can_be_used_anew(receiver: Receiver, receivers: HttpReceivers):
    await receivers.close()
    await receivers.post(receiver.url, BODY, signature(SECRET, BODY))
    await receivers.close()
    await receivers.close()

    answered = await receivers.post(receiver.url, BODY, signature(SECRET, BODY))

    assert (answered.status, receiver.talks) == (200, 2)


# What may come back


async def test_a_redirect_is_an_answer_and_is_not_followed(
    receiver: Receiver, receivers: HttpReceivers
):
    receiver.answers = lambda _: answer(307, b"", f"Location: {receiver.url}")

    answered = await receivers.post(receiver.url, BODY, signature(SECRET, BODY))

    assert (answered.status, len(receiver.requests)) == (307, 1)


async def test_cookies_are_not_kept(receiver: Receiver, receivers: HttpReceivers):
    receiver.answers = lambda _: answer(200, b"", "Set-Cookie: a=b; Path=/")

    for _ in range(2):
        await receivers.post(receiver.url, BODY, signature(SECRET, BODY))

    assert all("cookie" not in request.headers for request in receiver.requests)


async def test_no_proxy_of_the_environment_is_used(
    receiver: Receiver, receivers: HttpReceivers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")

    answered = await receivers.post(receiver.url, BODY, signature(SECRET, BODY))

    assert answered.status == 200


async def test_only_the_beginning_of_a_long_answer_is_read(
    receiver: Receiver, receivers: HttpReceivers
):
    receiver.answers = lambda _: answer(500, b"x" * 1_000_000)

    answered = await receivers.post(receiver.url, BODY, signature(SECRET, BODY))
    again = await receivers.post(receiver.url, BODY, signature(SECRET, BODY))

    assert (answered.status, answered.body) == (500, b"x" * HOOK_ANSWER)
    assert again == answered
    assert receiver.talks == 2  # the rest of the first was not waited for


async def test_a_packed_answer_is_not_unpacked(receiver: Receiver, receivers: HttpReceivers):
    bomb = gzip.compress(b"\0" * 10_000_000)
    receiver.answers = lambda _: answer(200, bomb, "Content-Encoding: gzip")

    answered = await receivers.post(receiver.url, BODY, signature(SECRET, BODY))

    assert answered.body == bomb[:HOOK_ANSWER]


@pytest.mark.parametrize(
    "unfinished",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
async def test_the_status_counts_also_when_the_answer_never_ends(
    receiver: Receiver, unfinished: bytes
):
    receivers = HttpReceivers(True, "1.2.3", seconds=1)
    receiver.answers = lambda _: unfinished

    answered = await receivers.post(receiver.url, BODY, signature(SECRET, BODY))
    await receivers.close()

    assert (answered.status, answered.body) == (200, b"half")


async def test_an_answer_cut_off_in_its_body_still_counts(
    receiver: Receiver, receivers: HttpReceivers
):
    receiver.answers = lambda _: (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nhalf"
    )

    answered = await receivers.post(receiver.url, BODY, signature(SECRET, BODY))

    assert (answered.status, answered.body) == (200, b"half")


@pytest.mark.parametrize(
    "said",
    [
        None,
        b"",
        b"HTTP/1.1 200 OK\r\nX-Half:",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: x\r\n" * 10_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
    ids=["hangs", "hangs up", "half a head", "not HTTP", "long head", "many heads", "two lengths"],
)
async def test_what_is_no_answer_raises_in_time(receiver: Receiver, said: bytes | None):
    receivers = HttpReceivers(True, "1.2.3", seconds=1)
    receiver.answers = lambda _: said

    async with asyncio.timeout(20):
        with pytest.raises(Exception) as raised:
            await receivers.post(receiver.url, BODY, signature(SECRET, BODY))
    await receivers.close()

    assert not isinstance(raised.value, CallbackRefused)


async def test_a_receiver_that_is_not_there_raises(receivers: HttpReceivers):
    with pytest.raises(OSError, match="Connect call failed"):
        await receivers.post(f"http://127.0.0.1:{free_port()}/", BODY, "")


async def test_a_server_that_takes_no_connection_raises_in_time():
    receivers = HttpReceivers(True, "1.2.3", seconds=1)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        crowd = [socket.socket() for _ in range(4)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))

        async with asyncio.timeout(20):
            with pytest.raises(TimeoutError):
                await receivers.post(f"http://127.0.0.1:{port}/", BODY, "")
        for one in crowd:
            one.close()
    await receivers.close()


async def test_an_idle_connection_that_the_receiver_closed_is_not_used_again(
    receiver: Receiver, receivers: HttpReceivers
):
    await receivers.post(receiver.url, BODY, signature(SECRET, BODY))
    await receiver.stop()
    await receiver.start()

    answered = await receivers.post(receiver.url, BODY, signature(SECRET, BODY))

    assert answered.status == 200


# TLS


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return self_signed(tmp_path, "localhost", datetime.now(UTC))


def _serving(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


async def test_https_arrives_when_the_certificate_is_trusted(
    receivers: HttpReceivers, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with a_receiver(secret=SECRET, tls=_serving(certificate)) as receiver:
        answered = await receivers.post(receiver.url, BODY, signature(SECRET, BODY))

    assert answered.status == 200
    assert receiver.requests[0].body == BODY


async def test_https_with_a_strange_certificate_brings_nothing(
    receivers: HttpReceivers, certificate: tuple[Path, Path]
):
    async with a_receiver(tls=_serving(certificate)) as receiver:
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            await receivers.post(receiver.url, BODY, "")

    assert receiver.requests == []


# Addresses


PUBLIC = ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
NOT_PUBLIC = {
    "this host": ["0.0.0.0", "0.1.2.3", "::"],
    "loopback": ["127.0.0.1", "127.255.0.1", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12::1"],
    "shared by a provider's customers": ["100.64.0.1", "100.127.255.255"],
    "link-local": ["169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1"],
    "site-local": ["fec0::1"],
    "multicast": ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "192.0.0.8", "198.18.0.1", "100::1", "4000::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "IPv4 in IPv6": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"],
    "IPv4 in IPv6, the old way": ["::127.0.0.1", "::10.0.0.1"],
    "6to4": ["2002:7f00:1::", "2002:a00:1::1", "2002:808:808::", "192.88.99.1"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::a00:1"],
    "Teredo": ["2001:0:7f00:1::"],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_on_the_internet_is_public(address: str):
    refuse_literal(address)

    assert is_public(address)


@pytest.mark.parametrize(
    "address", [pytest.param(a, id=f"{why}: {a}") for why, some in NOT_PUBLIC.items() for a in some]
)
async def test_an_address_that_is_not_public_is_refused_however_it_is_come_by(
    careful: HttpReceivers, address: str
):
    """As a literal, and as what a name leads to."""
    literal = f"[{address.replace('%', '%25')}]" if ":" in address else address

    told = await refusal(careful.post(f"https://{literal}/hook", BODY, ""))
    by_name = HttpReceivers(False, "1", look_up=leads_to([address]))
    told_by_name = await refusal(by_name.challenge("https://hook.example/", {}))
    await by_name.close()

    assert told == told_by_name
    assert "--private-receivers" in told
    assert address not in told


@pytest.mark.parametrize(
    "host",
    [
        "127.1", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "127.0.0.1.",
        "localhost", "LOCALHOST.", "%6Cocalhost", "\uff11\uff12\uff17.0.0.1", "[::ffff:7f00:1]",
    ],
)  # fmt: skip
async def test_no_spelling_of_this_machine_is_reached(careful: HttpReceivers, host: str):
    """By any way: refused, or not an address at all; the server that listens hears nothing."""
    async with a_receiver() as receiver:
        with pytest.raises(Exception):  # noqa: B017 - refused, or not reached
            await careful.post(f"https://{host}:{receiver.port}/hook", BODY, "")

    assert receiver.talks == 0


async def test_the_spellings_that_the_system_reads_are_seen_where_they_lead():
    """What aiohttp takes for a name and the system for an address."""
    resolver = Resolver(False, look_up)

    for name in ("localhost", "0x7f.0.0.1", "0x7f000001"):
        assert "not public" in await refusal(resolver.resolve(name, 443))


@pytest.mark.parametrize("url", ["http://hook.example/", "http://8.8.8.8/", "HTTP://8.8.8.8/"])
async def test_plain_http_is_refused_and_the_setting_named(careful: HttpReceivers, url: str):
    told = await refusal(careful.challenge(url, {}))

    assert "not https" in told
    assert "--private-receivers" in told


@pytest.mark.parametrize(
    "url",
    ["https://[::1", "https://hook.example:99999/", "https://", "ftp://hook.example/", "hook"],
)
async def test_what_is_no_address_is_refused(receivers: HttpReceivers, url: str):
    assert await refusal(receivers.post(url, BODY, "")) == "it cannot be read as an address"


async def test_of_a_name_with_both_kinds_only_public_addresses_are_connected_to():
    found = await Resolver(
        False, leads_to(["10.0.0.1", "8.8.8.8", "::1", "2606:4700:4700::1111"])
    ).resolve("hook.example", 443)

    assert [(one["host"], one["port"], one["family"]) for one in found] == [
        ("8.8.8.8", 443, socket.AF_INET),
        ("2606:4700:4700::1111", 443, socket.AF_INET6),
    ]


async def test_a_name_is_looked_at_each_time_so_that_leading_elsewhere_later_gains_nothing():
    """DNS rebinding: public when it was set up, this machine when it is used."""
    leads: list[str] = ["8.8.8.8"]
    resolver = Resolver(False, leads_to(leads))
    first = await resolver.resolve("hook.example", 443)

    leads[:] = ["127.0.0.1"]

    assert [one["host"] for one in first] == ["8.8.8.8"]
    assert "not public" in await refusal(resolver.resolve("hook.example", 443))


async def test_with_the_setting_a_name_may_lead_anywhere(receiver: Receiver):
    receivers = HttpReceivers(True, "1", look_up=leads_to(["127.0.0.1"]))

    answered = await receivers.post(
        f"http://hook.example:{receiver.port}/hook", BODY, signature(SECRET, BODY)
    )
    await receivers.close()

    assert answered.status == 200
    assert receiver.requests[0].headers["host"] == f"hook.example:{receiver.port}"


# Names


async def test_the_system_looks_up_names():
    assert set(await look_up("localhost")) <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize("name", ["no-such-name.invalid", "x" * 64 + ".invalid", "a..invalid"])
async def test_a_name_that_leads_nowhere_raises(receivers: HttpReceivers, name: str):
    with pytest.raises(OSError, match=r".+"):
        await receivers.post(f"http://{name}/", BODY, "")


async def test_a_look_up_that_never_ends_is_given_up_and_holds_up_no_other_name(
    receiver: Receiver,
):
    asked: list[str] = []

    async def stuck(name: str) -> list[str]:
        asked.append(name)
        if name == "stuck.example":
            await asyncio.Event().wait()
        return ["127.0.0.1"]

    receivers = HttpReceivers(True, "1", seconds=1, look_up=stuck)
    stuck_ones = [
        asyncio.create_task(receivers.post("http://stuck.example/", BODY, "")) for _ in range(30)
    ]
    while not asked:
        await asyncio.sleep(0)

    answered = await receivers.post(
        f"http://other.example:{receiver.port}/", BODY, signature(SECRET, BODY)
    )
    outcomes = await asyncio.gather(*stuck_ones, return_exceptions=True)
    await receivers.close()

    assert answered.status == 200
    assert all(isinstance(outcome, TimeoutError) for outcome in outcomes)
    assert asked == ["stuck.example", "other.example"]


async def test_a_look_up_that_nobody_waits_for_any_more_ends_quietly():
    waiting = asyncio.create_task(look_up("localhost"))
    await asyncio.sleep(0)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert await look_up("localhost")


def test_a_look_up_that_outlives_its_loop_ends_quietly(recwarn: pytest.WarningsRecorder):
    async def begin() -> None:
        task = asyncio.create_task(look_up("localhost"))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(begin())

    assert not [str(warning.message) for warning in recwarn]


# The receiver itself


async def test_the_receiver_takes_no_forged_update(receiver: Receiver, receivers: HttpReceivers):
    """Or a wrong signature could pass every test that uses it."""
    body = json.dumps({"entry": []}).encode()

    answered = await receivers.post(receiver.url, body, signature("another secret", body))
    changed = await receivers.post(receiver.url, body + b" ", signature(SECRET, body))

    assert (answered.status, changed.status) == (403, 403)
    assert len(receiver.forged) == 2
    assert isinstance(receiver.forged[0], Request)


async def test_the_http_client_is_loaded_with_the_first_webhook_and_not_before(tmp_path: Path):
    told = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import sys, nightlatch.bootstrap; print('aiohttp' in sys.modules)",
        stdout=asyncio.subprocess.PIPE, cwd=tmp_path,
    )  # fmt: skip

    assert (await told.communicate())[0] == b"False\n"


async def test_what_is_loaded_late_reaches_receivers_and_can_be_closed_at_any_time(
    receiver: Receiver,
):
    late = LateReceivers(private=True, version="1.2.3")
    await late.close()

    signed_by_us = signature(SECRET, BODY)
    answered = await asyncio.gather(
        *(late.post(receiver.url, BODY, signed_by_us) for _ in range(3))
    )
    await late.close()

    assert [one.status for one in answered] == [200, 200, 200]
    assert {request.headers["user-agent"] for request in receiver.requests} == {"nightlatch/1.2.3"}
