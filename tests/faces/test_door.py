"""The door in front of every face, with a small application behind it and no socket."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import pytest

from nightlatch.domain.errors import BodyTooLarge, Refusal, Unavailable
from nightlatch.domain.limits import BODY_BYTES
from nightlatch.faces.door import Door, Refused, note_of
from nightlatch.faces.metrics import Metrics

App = Callable[[Any, Any, Any], Awaitable[None]]
HOST = (b"host", b"example.com")


def envelope(refusal: Refusal, path: str) -> Refused:
    status = {BodyTooLarge: 413, Unavailable: 503}.get(type(refusal), 400)
    if path.startswith("/pages"):
        return Refused(status, None, b"<p>refused</p>", ((b"content-type", b"text/html"),))
    return Refused(status, 1025, b'{"refused":true}')


async def answering(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-app", b"yes")]})
    await send({"type": "http.response.body", "body": b"hello"})


class Street:
    """Sends requests to a door and keeps what comes back."""

    def __init__(self, app: App = answering, proxies: str = "") -> None:
        self.metrics = Metrics()
        trusted = tuple(ip_network(text) for text in proxies.split())
        hosts = frozenset({"example.com", "[::1]"})
        self.door = Door(app, hosts, trusted, self.metrics, envelope)

    async def knock(
        self,
        *headers: tuple[bytes, bytes],
        path: str = "/v1/health",
        method: str = "GET",
        incoming: Any = None,
        peer: str = "192.0.2.1",
    ) -> list[Any]:
        sent: list[Any] = []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "client": (peer, 40_000),
            "headers": list(headers),
        }

        async def receive() -> Any:
            return incoming or {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.door(scope, receive, send)
        return sent


async def test_what_the_application_answers_goes_out_with_a_request_id():
    start, body = await Street().knock(HOST)

    assert (start["status"], body["body"]) == (200, b"hello")
    headers = dict(start["headers"])
    assert headers[b"x-app"] == b"yes"
    assert len(headers[b"x-request-id"]) == 16


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param([HOST, (b"content-length", str(BODY_BYTES).encode())], 200, id="a full body"),
        pytest.param(
            [HOST, (b"content-length", str(BODY_BYTES + 1).encode())], 413, id="one byte more"
        ),
        pytest.param([], 400, id="no host"),
        pytest.param([HOST, HOST], 400, id="two hosts"),
        pytest.param([(b"host", b"example.com:65535")], 200, id="a port"),
        pytest.param([(b"host", b"EXAMPLE.com")], 200, id="another case"),
        pytest.param([(b"host", b"[::1]:80")], 200, id="an IPv6 literal with a port"),
        pytest.param([(b"host", b"[::1]")], 200, id="an IPv6 literal"),
        pytest.param([(b"host", b"::1")], 400, id="an IPv6 address without brackets"),
        pytest.param([(b"host", b"example.org")], 400, id="a foreign host"),
        pytest.param(
            [HOST, (b"authorization", b"a"), (b"authorization", b"b")], 400, id="two keys"
        ),
        pytest.param([HOST, (b"content-type", b"a"), (b"content-type", b"a")], 400, id="two types"),
        pytest.param([HOST, (b"x-other", b"a"), (b"x-other", b"b")], 200, id="two of another"),
        pytest.param([HOST, (b"content-encoding", b"gzip")], 400, id="gzip"),
        pytest.param([HOST, (b"content-encoding", b"Identity")], 200, id="identity"),
        pytest.param([HOST, (b"transfer-encoding", b"Chunked")], 200, id="chunked"),
        pytest.param([HOST, (b"transfer-encoding", b"gzip, chunked")], 400, id="gzip in chunks"),
    ],
)
async def test_what_no_face_should_see_is_refused_at_the_door(headers, status):
    reached = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)
        await answering(scope, receive, send)

    start, *_ = await Street(app).knock(*headers)

    assert start["status"] == status
    assert bool(reached) == (status == 200)
    assert status == 200 or (b"connection", b"close") in start["headers"]


@pytest.mark.parametrize("path", ["//v1/health", "/v1//health", "/v1/health//", "/v1%2Fhealth"])
async def test_a_path_that_a_proxy_would_read_differently_is_refused(path):
    start, *_ = await Street().knock(HOST, path=path)

    assert start["status"] == 400


async def test_an_application_that_leaves_without_a_word_is_spoken_for():
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    start, body = await Street(silent).knock(HOST, incoming={"type": "http.disconnect"})

    assert (start["status"], body["body"]) == (400, b'{"refused":true}')


async def test_a_face_is_told_when_the_client_hangs_up_within_the_body():
    noted = []

    async def reading(scope: Any, receive: Any, send: Any) -> None:
        noted.append(note_of(scope).cut_short)
        await receive()
        noted.append(note_of(scope).cut_short)
        await answering(scope, receive, send)

    await Street(reading).knock(HOST, incoming={"type": "http.disconnect"})

    assert noted == [False, True]


async def test_only_http_comes_in():
    sent: list[Any] = []

    await Street().door({"type": "lifespan"}, None, sent.append)  # type: ignore[arg-type]  # unused

    assert sent == []


async def test_a_closed_door_refuses_and_waits_for_who_is_inside():
    inside, leave = asyncio.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        inside.set()
        await leave.wait()
        await answering(scope, receive, send)

    street = Street(slow)
    first = asyncio.create_task(street.knock(HOST))
    await inside.wait()
    closing = asyncio.create_task(street.door.close(30))
    await asyncio.sleep(0)
    late, *_ = await street.knock(HOST)
    still_waiting = not closing.done()
    leave.set()
    start, *_ = await first
    left = await closing

    assert late["status"] == 503
    assert (b"retry-after", b"1") in late["headers"]
    assert still_waiting
    assert start["status"] == 200
    assert left == 0


async def test_a_door_that_closes_over_somebody_who_stays_says_how_many():
    inside = asyncio.Event()

    async def staying(scope: Any, receive: Any, send: Any) -> None:
        inside.set()
        await asyncio.Event().wait()

    street = Street(staying)
    guest = asyncio.create_task(street.knock(HOST))
    await inside.wait()

    left = await street.door.close(0.01)
    guest.cancel()

    assert left == 1


async def test_a_door_with_nobody_inside_closes_at_once():
    assert await Street().door.close(30) == 0


async def test_every_answer_is_one_log_line_and_one_count(log):
    async def noting(scope: Any, receive: Any, send: Any) -> None:
        note = note_of(scope)
        note.route, note.client, note.code, note.refusal = "GET_it", "main", 1005, "WrongPin"
        await answering(scope, receive, send)

    street = Street(noting)
    await street.knock(HOST, method="GET")
    await street.knock(HOST, method="MAKE-UP-A-METHOD")
    await street.knock()

    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(line["method"], line["status"]) for line in lines] == [
        ("GET", 200), ("other", 200), ("GET", 400),
    ]  # fmt: skip
    assert [line["refusal"] for line in lines] == ["WrongPin", "WrongPin", "RequestMalformed"]
    assert lines[0]["code"] == 1005
    assert len({line["request_id"] for line in lines}) == 3
    text = street.metrics.as_text()
    assert 'nightlatch_refusals_total{refusal="WrongPin"} 2.0' in text
    assert 'method="GET_it"' in text


async def test_a_request_whose_application_breaks_is_still_counted_and_logged(log):
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("271828")

    street = Street(broken)
    with pytest.raises(RuntimeError):
        await street.knock(HOST)

    line = json.loads(log.getvalue())
    assert line["status"] == 500
    assert "271828" not in log.getvalue()
    assert await street.door.close(0) == 0


async def where(*forwarded: bytes, peer: str, proxies: str = "") -> str:
    """The place that a request is said to come from."""
    places = []

    async def telling(scope: Any, receive: Any, send: Any) -> None:
        places.append(note_of(scope).place)
        await answering(scope, receive, send)

    street = Street(telling, proxies)
    headers = [(b"x-forwarded-for", value) for value in forwarded]
    await street.knock(HOST, *headers, peer=peer)
    return str(places[0])


@pytest.mark.parametrize(
    ("forwarded", "peer", "proxies", "place"),
    [
        pytest.param((), "192.0.2.1", "", "192.0.2.1", id="nothing in between"),
        pytest.param((b"203.0.113.9",), "192.0.2.1", "", "192.0.2.1", id="nobody is trusted"),
        pytest.param(
            (b"203.0.113.9",), "192.0.2.1", "198.51.100.0/24", "192.0.2.1", id="another is trusted"
        ),
        pytest.param((b"203.0.113.9",), "192.0.2.1", "192.0.2.1", "203.0.113.9", id="a proxy"),
        pytest.param(
            (b"198.51.100.7, 203.0.113.9, 192.0.2.2",), "192.0.2.1", "192.0.2.0/24", "203.0.113.9",
            id="two proxies, and a first hop that the client made up",
        ),
        pytest.param(
            (b"203.0.113.8", b"203.0.113.9"), "192.0.2.1", "192.0.2.1", "203.0.113.9",
            id="the header stands twice",
        ),
        pytest.param((b"<script>",), "192.0.2.1", "192.0.2.1", "192.0.2.1", id="no address"),
        pytest.param((b"",), "192.0.2.1", "192.0.2.1", "192.0.2.1", id="empty"),
        pytest.param((b"2001:db8::1",), "::1", "::1", "2001:db8::1", id="IPv6"),
    ],
)  # fmt: skip
async def test_the_place_is_the_nearest_address_that_is_no_trusted_proxy(
    forwarded, peer, proxies, place
):
    assert await where(*forwarded, peer=peer, proxies=proxies) == place


async def test_a_refusal_at_the_door_speaks_the_language_of_its_path():
    street = Street()

    (start, body) = await street.knock(path="/pages/one")

    assert (start["status"], body["body"]) == (400, b"<p>refused</p>")
    assert (b"content-type", b"text/html") in start["headers"]
