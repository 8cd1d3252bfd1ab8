"""HTTP itself: hosts, bodies, headers, paths and methods, over raw sockets."""

import asyncio
import contextlib
import gzip
import socket

import pytest

from nightlatch.domain.limits import BODY_BYTES
from tests.faces.onprem.witness import Witness
from tests.people import OWNER
from tests.town import Reply, Town, exchange, parse, send_raw

TWO_STEP = "/v1/settings/account/two-step"
PIN = b'{"pin":"271828"}'


def bearer(town: Town) -> tuple[str, str]:
    return "Authorization", f"Bearer {town.owner.token}"


def head(town: Town, *lines: str, target: str = TWO_STEP, method: str = "POST") -> bytes:
    """A request's head that closes the connection; *lines* are added as they are."""
    fixed = [
        f"{method} {target} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {town.owner.token}",
        "Content-Type: application/json",
        "Connection: close",
    ]
    return "\r\n".join([*fixed, *lines]).encode("latin-1") + b"\r\n\r\n"


async def raw(town: Town, sent: bytes) -> Reply:
    return parse(await send_raw(town.port, sent))


async def half_sent(town: Town, sent: bytes) -> Reply:
    """Send this and no more, and wait for the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", town.port)
    try:
        writer.write(sent)
        await writer.drain()
        writer.write_eof()
        async with asyncio.timeout(15):
            return parse(await reader.read())
    finally:
        writer.close()


def _push(port: int, sent: bytes) -> bytes:
    """Send all that the server takes, then read what it answered."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        with contextlib.suppress(ConnectionError):  # once the server has heard enough
            connection.sendall(sent)
        with contextlib.suppress(ConnectionError):  # it closes without reading the rest
            while part := connection.recv(65_536):
                received += part
    return received


async def pushed(town: Town, sent: bytes) -> Reply:
    return parse(await asyncio.to_thread(_push, town.port, sent))


# Host


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:9090", "127.0.0.1:1", "localhost", "LOCALHOST:9090", "[::1]",
     "[::1]:9090"],
)  # fmt: skip
async def test_a_host_of_this_server_is_taken_with_or_without_port(town: Town, host):
    reply = await exchange(town.port, "GET", "/v1/health", headers=[bearer(town)], host=host)

    assert reply.status == 200


@pytest.mark.parametrize(
    "host",
    [None, "", " ", "evil.example", "evil.example:9090", "127.0.0.1.evil.example", "127.0.0.2",
     "evil.example#127.0.0.1", "admin@127.0.0.1", "127.0.0.1,evil.example", "::1", "[::2]",
     "[::1", "[::1]x", "[2001:db8::1]:9090", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:80:80",
     "localhost.", "\xff"],
    ids=repr,
)  # fmt: skip
async def test_a_missing_or_foreign_host_is_refused(town: Town, witness: Witness, host):
    reply = await witness.refused(
        exchange(town.port, "GET", "/v1/health", headers=[bearer(town)], host=host), 400, 1025
    )

    assert "evil" not in reply.raw.decode()


@pytest.mark.parametrize("second", ["127.0.0.1", "evil.example"])
async def test_two_hosts_are_refused(town: Town, witness: Witness, second):
    await witness.refused(
        exchange(town.port, "GET", "/v1/health", headers=[bearer(town), ("Host", second)]),
        400,
        1025,
    )


async def test_a_forwarded_host_changes_no_link(town: Town):
    headers = [
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "host=evil.example;proto=https"),
        ("X-Original-URL", "/v1/users/admin"),
    ]

    reply = await exchange(town.port, "GET", "/v1/nowhere", headers=headers)

    assert reply.error["href"] == f"http://127.0.0.1:{town.port}/docs/errors/1006"


# Framing


async def test_a_length_beside_chunks_never_makes_two_requests_of_one(town: Town):
    smuggled = f"DELETE {TWO_STEP} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {town.owner.token}\r\n\r\n"
    await town.owner_is_protected()

    for lines in (
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
    ):
        answer = await send_raw(
            town.port,
            f"POST {TWO_STEP} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n\r\n0\r\n\r\n{smuggled}".encode(),
        )
        assert answer.count(b"HTTP/1.1 ") == 1
        assert 400 <= parse(answer).status < 500
        assert parse(answer).header("Connection") == "close"

    assert (await town.number()).two_step.is_on


@pytest.mark.parametrize(
    "lines",
    ["Content-Length: 16\r\nContent-Length: 17", "Content-Length: +16", "Content-Length: -16",
     "Content-Length: 16, 17", "Content-Length: 0x10", "Content-Length: " + "9" * 30,
     "Transfer-Encoding: xchunked", "Transfer-Encoding: gzip, chunked",
     "Transfer-Encoding: chunked, identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
     "Content-Length : 16", "Content-Length: 16\r\nX-Fold: a\r\n b", "Content-Length: 16\r\nX: a\0b"],
    ids=repr,
)  # fmt: skip
async def test_a_body_whose_length_is_in_doubt_is_refused(town: Town, witness: Witness, lines):
    await town.owner_has_registered()
    before = witness.rows()

    reply = await raw(town, head(town, lines) + PIN)

    assert reply.status == 400
    assert witness.rows() == before


async def test_a_chunked_body_is_put_together(town: Town):
    await town.owner_has_registered()

    reply = await raw(
        town,
        head(town, "Transfer-Encoding: chunked")
        + b'7\r\n{"pin":\r\n9;name=value\r\n"271828"}\r\n0\r\n\r\n',
    )

    assert reply.status == 200
    assert (await town.number()).two_step.is_on


async def test_a_body_that_is_coded_before_it_is_chunked_is_refused(town: Town, witness: Witness):
    await town.owner_has_registered()
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(PIN), PIN)

    for coding in ("gzip, chunked", "identity, chunked"):
        sent = head(town, f"Transfer-Encoding: {coding}") + chunks
        await witness.refused(raw(town, sent), 400, 1025, secrets=["271828"])


async def test_a_body_that_arrives_in_pieces_is_put_together(town: Town):
    await town.owner_has_registered()
    reader, writer = await asyncio.open_connection("127.0.0.1", town.port)

    for part in (head(town, f"Content-Length: {len(PIN)}"), *(bytes([b]) for b in PIN)):
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0.002)
    reply = parse(await reader.read())
    writer.close()

    assert reply.status == 200


@pytest.mark.parametrize(
    "body",
    [b"", b'{"pin":', PIN],
    ids=["nothing of it", "half of it", "what would be a whole one"],
)
async def test_a_body_that_is_cut_short_is_never_taken_for_a_whole_one(
    town: Town, witness: Witness, body
):
    await town.owner_has_registered()
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""

    for sent in (
        head(town, "Content-Length: 100") + body,
        head(town, "Transfer-Encoding: chunked") + chunk,
    ):
        reply = await witness.refused(half_sent(town, sent), 400, 1025, secrets=["271828"])
        assert "cut short" in reply.error["details"]


async def test_a_turn_off_whose_body_is_cut_short_turns_nothing_off(town: Town, witness: Witness):
    await town.owner_is_protected()

    for body in (b"", b"{}"):
        await witness.refused(
            half_sent(town, head(town, "Content-Length: 9", method="DELETE") + body), 400, 1025
        )

    assert (await town.number()).two_step.is_on


@pytest.mark.parametrize(
    "chunks",
    [b"ZZ\r\n" + PIN + b"\r\n0\r\n\r\n", b"10\n" + PIN + b"\n0\n\n", b"-1\r\n\r\n",
     b"fffffffffffffffff\r\n" + PIN, b"11\r\n" + PIN + b"\r\n0\r\n\r\n",
     b"10\r\n" + PIN + b"XX0\r\n\r\n"],
    ids=["no number", "lines that end in LF", "below zero", "beyond 64 bits", "one too long",
         "no end of line"],
)  # fmt: skip
async def test_chunks_that_are_malformed_are_refused(town: Town, witness: Witness, chunks):
    await town.owner_has_registered()

    await witness.refused(
        half_sent(town, head(town, "Transfer-Encoding: chunked") + chunks),
        400,
        1025,
        secrets=["271828"],
    )


async def test_a_client_that_asks_first_whether_to_send_the_body_is_told_to(town: Town):
    await town.owner_has_registered()

    answer = await send_raw(
        town.port, head(town, "Expect: 100-continue", "Content-Length: 16") + PIN
    )

    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert parse(answer.partition(b"\r\n\r\n")[2]).status == 200


# Sizes


@pytest.mark.parametrize("size", [BODY_BYTES + 1, 100_000, 10_000_000])
@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in chunks"])
async def test_a_body_that_is_too_large_is_refused(town: Town, witness: Witness, size, chunked):
    await town.owner_has_registered()
    body = b'{"pin":"' + b"7" * (size - 10) + b'"}'
    line = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body) if chunked else body

    await witness.refused(
        pushed(town, head(town, line) + framed), 413, 1025, secrets=["7777777777"]
    )


async def test_a_body_of_exactly_the_limit_is_read(town: Town):
    await town.owner_has_registered()

    reply = await exchange(
        town.port,
        "POST",
        TWO_STEP,
        headers=[bearer(town)],
        body=PIN + b" " * (BODY_BYTES - len(PIN)),
    )

    assert reply.status == 200


async def test_a_large_body_is_refused_by_its_announced_length_alone(town: Town, witness: Witness):
    await witness.refused(raw(town, head(town, "Content-Length: 999999999")), 413, 1025)


async def test_a_gzip_bomb_is_not_unpacked(town: Town, witness: Witness):
    bomb = gzip.compress(b"[" * 5_000_000)
    assert len(bomb) < BODY_BYTES

    sent = head(town, "Content-Encoding: gzip", f"Content-Length: {len(bomb)}") + bomb

    await witness.refused(raw(town, sent), 400, 1025)


@pytest.mark.parametrize(
    "line",
    ["X-Long: " + "a" * 20_480, "Cookie: " + "a" * 20_480, "\r\n".join(f"X-{n}: a" for n in range(2_000))],
    ids=["one long header", "a long cookie", "many headers"],
)  # fmt: skip
async def test_a_head_that_is_too_large_is_refused(town: Town, witness: Witness, line):
    before = witness.rows()

    reply = await pushed(town, head(town, line, "Content-Length: 16") + PIN)

    assert reply.status == 431
    assert witness.rows() == before


async def test_a_path_that_is_too_long_is_refused(town: Town):
    reply = await pushed(town, head(town, target="/v1/" + "a" * 20_480, method="GET"))

    assert reply.status == 431


# Who asks


async def test_row_20_two_authorization_headers_are_refused(town: Town, witness: Witness):
    good = bearer(town)
    login = ("Authorization", "Basic YWRtaW46T3duZXJzLVBhc3MtMQ==")

    for pair in ([good, good], [good, login], [login, good]):
        for method, path in (("GET", "/v1/health"), ("POST", "/v1/users/login")):
            await witness.refused(
                exchange(town.port, method, path, headers=pair),
                400,
                1025,
                secrets=[town.owner.token, login[1]],
            )


@pytest.mark.parametrize("target", ["/v1/health", "/v1/users/login", TWO_STEP])
async def test_row_20_basic_and_bearer_in_one_header_are_refused(
    town: Town, witness: Witness, target
):
    login = "Basic YWRtaW46T3duZXJzLVBhc3MtMQ=="
    token = f"Bearer {town.owner.token}"
    method = "GET" if target == "/v1/health" else "POST"

    for both in (f"{login}, {token}", f"{token}, {login}", f"{token},{token}"):
        await witness.refused(
            exchange(town.port, method, target, headers=[("Authorization", both)]),
            400,
            1025,
            secrets=[town.owner.token],
        )


@pytest.mark.parametrize("name", ["Content-Type", "Content-Length"])
async def test_a_header_that_must_be_one_is_refused_twice(town: Town, witness: Witness, name):
    await town.owner_has_registered()
    before = witness.rows()
    value = "application/json" if name == "Content-Type" else "3"

    reply = await raw(town, head(town, "Content-Length: 16", f"{name}: {value}") + PIN)

    assert reply.status == 400
    assert witness.rows() == before


# Paths


async def test_row_17_a_trailing_slash_is_the_same_path(town: Town):
    await town.owner_has_registered()

    assert (await town.owner.call("GET", "/health/")).status == 200
    assert (await town.owner.call("GET", "/metrics/?format=json")).status == 200
    assert (await town.owner.call("POST", "/settings/account/two-step/", PIN)).status == 200
    assert (await town.owner.call("GET", "/users/admin/")).status == 200
    assert (await town.owner.call("POST", "/messages/")).verdict == (404, 1006)


@pytest.mark.parametrize(
    "target",
    ["//v1/settings/account/two-step", "///v1/settings/account/two-step",
     "/v1//settings/account/two-step", "/v1/settings//account/two-step",
     "/v1/settings/account/two-step//", "/v1/settings/account/two-step/.",
     "/v1/health/%2e%2e/settings/account/two-step", "/v1/health/../settings/account/two-step",
     "/v1/./settings/account/two-step", "/v1/settings/account%2ftwo-step",
     "/v1%2Fsettings/account/two-step", "/v1/settings/account%5ctwo-step",
     "/v1/settings/account\\two-step", "/v1/settings/account/two-step;x",
     "/v1/settings;x=y/account/two-step", "/v1/settings/account/two-step%00",
     "/v1/settings/account/two-step%20", "/v1/settings/account/two-step.json",
     "/v1/settings/account/Two-Step", "/V1/SETTINGS/ACCOUNT/TWO-STEP",
     "/v1/settings/account/two-step%23", "/v1/settings/account/two%C2%ADstep",
     "/clients//v1/settings/account/two-step", "/clients/main/v1/../two-step"],
)  # fmt: skip
async def test_row_17_path_tricks_lead_nowhere_with_or_without_a_token(
    town: Town, witness: Witness, target
):
    await town.owner_is_protected()

    for headers in ([bearer(town)], []):
        await witness.refused(exchange(town.port, "DELETE", target, headers=headers), 404, 1006)


async def test_row_17_an_escaped_letter_is_that_letter_and_still_needs_the_token(
    town: Town, witness: Witness
):
    await town.owner_is_protected()
    target = "/v1/settings/account/%74wo-step"

    await witness.refused(exchange(town.port, "DELETE", target), 401, 1005)
    assert (await exchange(town.port, "DELETE", target, headers=[bearer(town)])).status == 200


async def test_the_first_client_has_a_name_like_every_other(town: Town):
    reply = await exchange(town.port, "GET", "/clients/main/v1/health", headers=[bearer(town)])

    assert reply.status == 200


# Methods


@pytest.mark.parametrize(
    "method", ["TRACE", "OPTIONS", "HEAD", "BREW", "delete", "DELETE2", "PROPFIND", "PURGE"]
)
async def test_row_18_a_method_nobody_documented_is_refused_and_changes_nothing(
    town: Town, witness: Witness, method
):
    await town.owner_is_protected()
    before = witness.rows()

    for target in (TWO_STEP, "/v1/health", "/v1/messages", "/clients/thief/v1/account"):
        reply = await exchange(town.port, method, target, headers=[bearer(town)])

        assert reply.status == 405
        assert reply.header("Allow") is not None
        assert town.owner.token.encode() not in reply.raw
        if method == "HEAD":
            assert reply.raw == b""
        else:
            assert reply.verdict == (405, 1025)
    assert witness.rows() == before


@pytest.mark.parametrize(
    "name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"]
)
async def test_row_18_no_header_turns_one_method_into_another(town: Town, witness: Witness, name):
    await town.owner_is_protected()
    headers = [bearer(town), (name, "DELETE")]

    await witness.refused(exchange(town.port, "GET", TWO_STEP, headers=headers), 405, 1025)
    await witness.refused(exchange(town.port, "POST", TWO_STEP, headers=headers), 400, 1008)
    assert (await town.number()).two_step.is_on


async def test_the_asterisk_is_no_path(town: Town, witness: Witness):
    await witness.refused(exchange(town.port, "OPTIONS", "*"), 404, 1006)


# Connections


async def test_one_connection_carries_many_requests_one_after_the_other(town: Town):
    one = (
        f"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {town.owner.token}\r\n\r\n"
    ).encode()
    last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

    answer = await send_raw(town.port, one * 3 + last)

    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 4


async def test_every_answer_has_a_request_id_of_its_own_that_the_log_knows(town: Town, log):
    replies = [
        await town.owner.call("GET", "/health"),
        await town.owner.call("GET", "/nowhere"),
        await exchange(town.port, "GET", "/v1/health", host="evil.example"),
    ]

    ids = [reply.header("X-Request-Id") for reply in replies]
    assert len(set(ids)) == 3
    assert all(f'"request_id": "{one}"' in log.getvalue() for one in ids)


async def test_what_a_client_calls_its_request_is_not_repeated(town: Town, log):
    reply = await exchange(
        town.port, "GET", "/v1/health", headers=[bearer(town), ("X-Request-Id", OWNER.pin)]
    )

    assert reply.header("X-Request-Id") != OWNER.pin
    assert OWNER.pin not in log.getvalue()
