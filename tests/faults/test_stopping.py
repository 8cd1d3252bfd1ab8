"""Ending a server that is busy, and starting one where it may not."""

import asyncio
import contextlib
import json
import signal
import socket
import sqlite3
import ssl
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nightlatch.bootstrap import application, free_port
from tests.faults.processes import Process, nightlatch, serving
from tests.people import CC, NATIONAL, OWNER, THIEF
from tests.town import Api, Reply, a_house, a_town, parse

SLOW, GUESSES = 40, 10


@pytest.fixture
async def protected(tmp_path: Path) -> tuple[Path, str]:
    """A data folder with a protected number; and the certificate."""
    async with a_town(tmp_path / "data") as town:
        await town.owner_is_protected()
        return tmp_path / "data", town.owner.certificate


async def _token(port: int, base: str, password: str) -> str:
    api = Api(port, base, password)
    assert (await api.login()).status == 200
    return api.token


def _request(path: str, token: str, body: dict[str, Any]) -> bytes:
    raw = json.dumps(body).encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
    ).encode() + raw


async def _fifty(server: Process, certificate: str) -> list[bytes]:
    """Wrong PINs and new users, whose hashes take the server most of a second."""
    owner = await _token(server.port, OWNER.base, OWNER.password)
    thief = await _token(server.port, THIEF.base, THIEF.password)
    guess = {
        "cc": CC, "phone_number": NATIONAL, "method": "sms", "cert": certificate,
        "pin": THIEF.wrong_pin,
    }  # fmt: skip
    return [_request(f"{THIEF.base}/account", thief, guess)] * GUESSES + [
        _request("/v1/users", owner, {"username": f"user-{n}", "password": "Some-Pass-1"})
        for n in range(SLOW)
    ]


async def _signal_in_the_middle(
    server: Process, requests: list[bytes], signal_number: int, after: float
) -> list[Reply]:
    streams = [await asyncio.open_connection("127.0.0.1", server.port) for _ in requests]
    try:
        for (_, writer), request in zip(streams, requests, strict=True):
            writer.write(request)
        await asyncio.sleep(after)
        server.send(signal_number)
        return [parse(await reader.read()) for reader, _ in streams]
    finally:
        for _, writer in streams:
            writer.close()


def _stored(data: Path) -> tuple[int, Counter[str]]:
    with closing(sqlite3.connect(data / "nightlatch.db")) as database:
        (ticket,) = database.execute("SELECT guess_ticket FROM numbers").fetchone()
        kinds = dict(database.execute("SELECT kind, count(*) FROM audit GROUP BY kind"))
    return ticket, Counter(kinds)


@pytest.mark.parametrize(
    ("signal_number", "after"),
    [(signal.SIGTERM, 0), (signal.SIGTERM, 0.1), (signal.SIGINT, 0.1)],
    ids=["term as they arrive", "term while they are hashed", "int while they are hashed"],
)
async def test_a_signal_with_fifty_requests_in_flight_answers_or_refuses_each_and_exits_with_zero(
    protected: tuple[Path, str], signal_number: int, after: float
):
    data, certificate = protected

    with serving(data) as server:
        requests = await _fifty(server, certificate)
        replies = await _signal_in_the_middle(server, requests, signal_number, after)
        code = server.wait()

    told = Counter(reply.verdict for reply in replies)  # every envelope is whole
    ticket, kinds = _stored(data)
    assert code == 0
    assert told.total() == SLOW + GUESSES
    assert told.keys() <= {(201, None), (403, 1005), (429, 1015), (503, 1011)}
    unknown = told[(503, 1011)]  # refused when the time was over, some of them half done
    assert told[(403, 1005)] <= kinds["guess.wrong"] <= ticket == kinds["guess.paid"]
    assert ticket <= told[(403, 1005)] + unknown
    assert told[(201, None)] <= kinds["user.added"] <= told[(201, None)] + unknown
    if after:
        assert told[(201, None)] + told[(403, 1005)] > 0
    async with a_house(data) as house:
        assert await house.faults(lambda *_: None) == []


async def test_a_request_that_does_not_end_in_time_is_refused_when_the_server_stops(
    tmp_path: Path,
):
    async def a_body_that_never_comes() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def keep(message: Any) -> None:
        sent.append(message)

    sent: list[dict[str, Any]] = []
    async with a_house(tmp_path / "data") as house:
        door = application(house)
        headers = [
            (b"host", b"localhost"), (b"authorization", b"Basic YWRtaW46c2VjcmV0"),
            (b"content-length", b"20"), (b"content-type", b"application/json"),
        ]  # fmt: skip
        scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
            "scheme": "http", "path": "/v1/users/login", "raw_path": b"/v1/users/login",
            "query_string": b"", "headers": headers,
        }  # fmt: skip
        request = asyncio.create_task(door(scope, a_body_that_never_comes, keep))
        await asyncio.sleep(0.05)

        late = await door.close(0.05)
        await request

    assert late == 1
    assert sent[0]["status"] == 503
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_silent_connections_do_not_keep_a_server_from_stopping(protected):
    data, _ = protected

    with serving(data) as server:
        silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(10)]
        code = await asyncio.to_thread(server.stop)
        for reader, writer in silent:
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()

    assert code == 0


def test_a_taken_port_is_refused_with_one_sentence(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        done = nightlatch("serve", "--data", tmp_path / "data", "--port", str(port))

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"nightlatch: cannot listen on 127.0.0.1 port {port}: Address already in use; "
        "choose another with --port\n"
    )


def test_a_second_server_on_the_same_port_is_refused(tmp_path: Path):
    with serving(tmp_path / "data") as first:
        done = nightlatch("serve", "--data", tmp_path / "other", "--port", str(first.port))

        assert done.returncode == 1
        assert "Address already in use" in done.stderr
        assert first.stop() == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_another_address_without_tls_is_refused_before_anything_is_made(tmp_path: Path, host: str):
    done = nightlatch(
        "serve", "--data", tmp_path / "data", "--host", host, "--port", str(free_port())
    )

    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "--tls" in done.stderr
    assert "--behind-proxy" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_serves_https_with_a_certificate_that_clients_can_verify(
    tmp_path: Path, version: ssl.TLSVersion
):
    data = tmp_path / "data"
    with serving(data, "--tls", ready=False) as server:
        trust = _trust(data / "tls" / "cert.pem")
        trust.minimum_version = trust.maximum_version = version

        status, spoken = _get_over_tls(server.port, trust)

        assert status == b"HTTP/1.1 401 Unauthorized"
        assert spoken == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
        with pytest.raises(ssl.SSLCertVerificationError):
            _get_over_tls(server.port, ssl.create_default_context())
        assert server.stop() == 0


def _trust(certificate: Path) -> ssl.SSLContext:
    """Trust this one certificate, once it is there."""
    for _ in range(1_000):
        with contextlib.suppress(FileNotFoundError, ssl.SSLError):
            return ssl.create_default_context(cafile=str(certificate))
        time.sleep(0.01)
    raise AssertionError("no certificate was made")


def _get_over_tls(port: int, trust: ssl.SSLContext) -> tuple[bytes, str | None]:
    for _ in range(1_000):
        with contextlib.suppress(ConnectionRefusedError):
            plain = socket.create_connection(("127.0.0.1", port), timeout=10)
            break
        time.sleep(0.01)
    with plain, trust.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
        secured.sendall(b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return secured.recv(4_096).split(b"\r\n")[0], secured.version()
