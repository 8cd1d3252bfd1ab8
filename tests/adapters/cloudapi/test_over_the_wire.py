"""The Cloud API's client against a server that answers what a test says: what goes over the wire,
what is never sent twice, and every way in which an answer can be none."""

import asyncio
import hashlib
import hmac
import io
import json
import socket
import ssl
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nightlatch.adapters.cloudapi import LateCloudApi
from nightlatch.adapters.cloudapi.answers import CERTAIN, DOUBTFUL
from nightlatch.adapters.cloudapi.graph import ANSWER_BYTES, GraphCloudApi
from nightlatch.adapters.tls import self_signed
from nightlatch.bootstrap import free_port
from nightlatch.domain.limits import CLOUD_CALLS, CLOUD_CALLS_SPARED
from nightlatch.domain.linked import Reason
from nightlatch.ports import (
    CloudAccess,
    CloudApi,
    CloudNoAnswer,
    CloudNotSent,
    CloudRefusal,
)
from tests.adapters.cloudapi.scripted import (
    DONE,
    Reply,
    Scripted,
    a_scripted_server,
    answer,
    close,
    cut,
    hang,
    reset,
    stall,
)
from tests.fakes.cloud import CODE, TOKEN, WABA
from tests.people import NAME, NATIONAL, OWNER

ID, SECRET = "106540352242922", "0123456789abcdef0123456789abcdef"
NUMBER = {"id": ID, "display_phone_number": "+1 631-555-1000", "verified_name": NAME}
HTML = b"<!doctype html><html><head><title>Error</title></head><body>Sorry</body></html>"
PATIENCE = 30


@pytest.fixture
async def meta() -> AsyncIterator[Scripted]:
    async with a_scripted_server() as running:
        yield running


@pytest.fixture
async def cloud() -> AsyncIterator[GraphCloudApi]:
    made = GraphCloudApi("1.2.3", PATIENCE)
    yield made
    await made.close()


@pytest.fixture
async def hasty() -> AsyncIterator[GraphCloudApi]:
    """Nobody has long."""
    made = GraphCloudApi("1.2.3", 0.4)
    yield made
    await made.close()


@pytest.fixture
def access(meta: Scripted) -> CloudAccess:
    return CloudAccess(WABA, meta.base, "v23.0", TOKEN, SECRET)


Ask = Callable[[CloudApi, CloudAccess], Awaitable[Any]]

WRITES: dict[str, tuple[Ask, str, Any]] = {
    "register": (
        lambda c, a: c.register(a, ID, OWNER.pin),
        f"/{ID}/register",
        {"messaging_product": "whatsapp", "pin": OWNER.pin},
    ),
    "set_pin": (lambda c, a: c.set_pin(a, ID, "012345"), f"/{ID}", {"pin": "012345"}),
    "deregister": (lambda c, a: c.deregister(a, ID), f"/{ID}/deregister", None),
    "ask_code": (
        lambda c, a: c.ask_code(a, ID, "SMS", "en_US"),
        f"/{ID}/request_code",
        {"code_method": "SMS", "language": "en_US"},
    ),
    "enter_code": (lambda c, a: c.enter_code(a, ID, CODE), f"/{ID}/verify_code", {"code": CODE}),
    "subscribe": (lambda c, a: c.subscribe(a), f"/{WABA}/subscribed_apps", None),
    "add_number": (
        lambda c, a: c.add_number(a, "1", NATIONAL, NAME),
        f"/{WABA}/phone_numbers",
        {"cc": "1", "phone_number": NATIONAL, "verified_name": NAME},
    ),
}
FIELDS = ",".join((*CERTAIN, *DOUBTFUL))
READS: dict[str, tuple[Ask, str, dict[str, str], Any]] = {
    "token": (
        lambda c, a: c.token(a),
        "/debug_token",
        {"input_token": TOKEN},
        {"data": {"is_valid": True}},
    ),
    "account_name": (
        lambda c, a: c.account_name(a),
        f"/{WABA}",
        {"fields": "name"},
        {"id": WABA, "name": "Garden shop"},
    ),
    "numbers": (
        lambda c, a: c.numbers(a, "c", 50),
        f"/{WABA}/phone_numbers",
        {"limit": "50", "after": "c", "fields": FIELDS},
        {"data": [NUMBER]},
    ),
    "number": (lambda c, a: c.number(a, ID), f"/{ID}", {"fields": FIELDS}, NUMBER),
    "is_subscribed": (
        lambda c, a: c.is_subscribed(a, ""),
        f"/{WABA}/subscribed_apps",
        {},
        {"data": []},
    ),
}
ASKS: dict[str, Ask] = {
    **{name: ask for name, (ask, *_) in WRITES.items()},
    **{name: ask for name, (ask, *_) in READS.items()},
}


# What goes over the wire


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_is_a_post_of_json_with_token_and_proof(
    name: str, meta: Scripted, cloud: GraphCloudApi, access: CloudAccess
):
    ask, path, body = WRITES[name]
    meta.replies = [answer({"id": ID, "success": True})]

    await ask(cloud, access)

    (request,) = meta.requests
    assert (request.method, request.path) == ("POST", "/v23.0" + path)
    assert (json.loads(request.body) if request.body else None) == body
    assert request.headers.get("content-type") == (
        None if body is None else "application/json"
    ) or (body is None and not request.body)
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["user-agent"] == "nightlatch/1.2.3"
    proof = hmac.new(SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()
    assert request.query == {"appsecret_proof": proof}
    assert OWNER.pin not in request.target


@pytest.mark.parametrize("name", READS)
async def test_a_read_is_a_get_with_token_and_proof(
    name: str, meta: Scripted, cloud: GraphCloudApi, access: CloudAccess
):
    ask, path, query, body = READS[name]
    meta.replies = [answer(body)]

    await ask(cloud, access)

    (request,) = meta.requests
    assert (request.method, request.path, request.body) == ("GET", "/v23.0" + path, b"")
    proof = hmac.new(SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()
    assert request.query == query | {"appsecret_proof": proof}
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["user-agent"] == "nightlatch/1.2.3"
    assert "cookie" not in request.headers


async def test_without_a_secret_there_is_no_proof(
    meta: Scripted, cloud: GraphCloudApi, access: CloudAccess
):
    await cloud.set_pin(replace(access, secret=None), ID, OWNER.pin)

    assert meta.requests[0].query == {}


async def test_calls_one_after_another_use_one_connection_and_keep_no_cookies(
    meta: Scripted, cloud: GraphCloudApi, access: CloudAccess
):
    meta.replies = [answer({"success": True}, Set_Cookie="a=b")] * 5
    by_name = replace(access, base=meta.base.replace("127.0.0.1", "localhost"))

    for _ in range(5):
        await cloud.set_pin(by_name, ID, OWNER.pin)

    assert (len(meta.requests), meta.connections) == (5, 1)
    assert not any("cookie" in request.headers for request in meta.requests)


async def test_no_proxy_of_the_environment_is_asked(
    meta: Scripted,
    cloud: GraphCloudApi,
    access: CloudAccess,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")

    await cloud.set_pin(access, ID, OWNER.pin)

    assert len(meta.requests) == 1


async def test_it_is_loaded_when_first_needed_and_does_all_that_the_port_promises(
    meta: Scripted, access: CloudAccess
):
    late = LateCloudApi("1.2.3", PATIENCE)
    await late.close()
    meta.replies = [answer({"id": ID, "success": True}) for _ in WRITES]
    meta.replies += [answer(body) for *_, body in READS.values()]

    for ask in ASKS.values():
        await ask(late, access)
    await late.close()

    assert [request.path for request in meta.requests] == [
        *("/v23.0" + path for _, path, _ in WRITES.values()),
        *("/v23.0" + path for _, path, *_ in READS.values()),
    ]
    meta.replies = [DONE]
    await late.set_pin(access, ID, OWNER.pin)
    await late.close()
    await late.close()


async def test_what_is_answered_is_given(meta: Scripted, cloud: GraphCloudApi, access: CloudAccess):
    apps = {"data": [{"whatsapp_business_api_data": {"id": "7"}}]}
    meta.replies = [answer({"id": "77"}), answer({"id": WABA, "name": "Garden shop"})]
    meta.replies += [answer(apps)] * 3 + [answer({"data": []})]

    assert await cloud.add_number(access, "1", NATIONAL, NAME) == "77"
    assert await cloud.account_name(access) == "Garden shop"
    assert await cloud.is_subscribed(access, "7")
    assert not await cloud.is_subscribed(access, "8")
    assert await cloud.is_subscribed(access, "")
    assert not await cloud.is_subscribed(access, "")


async def test_more_numbers_than_graph_gives_at_once_are_not_asked_for(
    meta: Scripted, cloud: GraphCloudApi, access: CloudAccess
):
    meta.replies = [answer({"data": []})] * 2

    await cloud.numbers(access, "", 1_000)
    await cloud.numbers(access, "", 0)

    assert [request.query["limit"] for request in meta.requests] == ["100", "1"]
    assert "after" not in meta.requests[0].query


async def test_another_numbers_answer_is_no_answer(
    meta: Scripted, cloud: GraphCloudApi, access: CloudAccess
):
    meta.replies = [answer(NUMBER | {"id": "1"})] * 2

    with pytest.raises(CloudNoAnswer):
        await cloud.number(access, ID)


# Fields that a version of Graph does not have


def nonexisting(field: str) -> bytes:
    said = f"(#100) Tried accessing nonexisting field ({field}) on node type (X)"
    return answer({"error": {"message": said, "code": 100}}, 400)


async def test_a_field_that_meta_does_not_know_is_left_out_from_then_on(
    meta: Scripted, cloud: GraphCloudApi, access: CloudAccess
):
    meta.replies = [nonexisting("is_on_biz_app"), answer(NUMBER), answer(NUMBER)]

    first = await cloud.number(access, ID)
    await cloud.number(access, ID)

    fields = [request.query["fields"].split(",") for request in meta.requests]
    assert first.facts.name == NAME
    assert fields[1] == [*CERTAIN]
    assert fields[2] == [*CERTAIN, *(one for one in DOUBTFUL if one != "is_on_biz_app")]
    other = replace(access, version="v24.0")
    meta.replies = [answer(NUMBER)]
    await cloud.number(other, ID)
    assert meta.requests[-1].query["fields"] == FIELDS


@pytest.mark.parametrize("field", ["id", "something", ""])
async def test_a_strange_complaint_about_fields_ends_after_one_more_read(
    field: str, meta: Scripted, cloud: GraphCloudApi, access: CloudAccess
):
    meta.replies = [nonexisting(field), nonexisting(field), answer({"data": [NUMBER]})]

    with pytest.raises(CloudRefusal) as refused:
        await cloud.numbers(access, "", 10)
    await cloud.numbers(access, "", 10)

    assert refused.value.answer.reason is Reason.OTHER
    assert [request.query["fields"] for request in meta.requests] == [
        FIELDS, ",".join(CERTAIN), FIELDS,
    ]  # fmt: skip


# Never twice

ODD: dict[str, Reply] = {
    "closes after reading": close,
    "breaks after reading": reset(b""),
    "closes in the status line": cut(b"HTTP/1.1 20"),
    "closes in the head": cut(b"HTTP/1.1 200 OK\r\nContent-Type: appl"),
    "closes in the body": cut(b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"success"'),
    "breaks in the body": reset(b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"success"'),
    "closes in a chunk": cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{"),
    "no HTTP": cut(b"SSH-2.0-OpenSSH_9.7\r\n\r\n"),
    "an absurd length": cut(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    "empty": answer(b""),
    "HTML 200": answer(HTML, 200, Content_Type="text/html"),
    "HTML 400": answer(HTML, 400, Content_Type="text/html"),
    "HTML 403": answer(HTML, 403, Content_Type="text/html"),
    "HTML 502": answer(HTML, 502, Content_Type="text/html"),
    "HTML 503": answer(HTML, 503, Content_Type="text/html"),
    "truncated JSON": answer(b'{"success": tru'),
    "truncated error": answer(b'{"error": {"code": 133005', 400),
    "an array": answer([{"success": True}]),
    "a string": answer("success"),
    "null": answer(None),
    "success false": answer({"success": False}),
    "success as a string": answer({"success": "true"}),
    "success null": answer({"success": None}),
    "success and not": answer(b'{"success": false, "success": true}'),
    "an error and a success": answer({"success": True, "error": {"code": 133005}}),
    "a deep one": answer(b'{"success": ' + b"[" * 1_000 + b"]" * 1_000 + b"}"),
    "compressed": answer(b"\x1f\x8b\x08\x00", Content_Encoding="gzip"),
    "too large": answer(b" " * ANSWER_BYTES + b'{"success": true}'),
    "endless": stall(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (ANSWER_BYTES + 1)),
    "redirected": answer(b"", 307, Location="/v23.0/elsewhere"),
    "moved": answer(b"", 301, Location="/v23.0/elsewhere"),
    "created": answer({"success": True}, 201),
    "code 1": answer({"error": {"code": 1}}, 400),
    "code 2": answer({"error": {"code": 2, "is_transient": True}}, 503),
    "131000": answer({"error": {"code": 131000}}, 500),
    "131016": answer({"error": {"code": 131016}}, 500),
    "131057": answer({"error": {"code": 131057}}, 500),
    "133004": answer({"error": {"code": 133004}}, 503),
    "133005 with 500": answer({"error": {"code": 133005}}, 500),
    "a huge header": cut(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
}


@pytest.mark.parametrize("fresh", [True, False], ids=["first", "kept-alive"])
@pytest.mark.parametrize("odd", ODD)
async def test_a_write_without_a_clear_answer_is_unknown_and_sent_once(
    odd: str, fresh: bool, meta: Scripted, cloud: GraphCloudApi, access: CloudAccess
):
    if not fresh:
        await cloud.set_pin(access, ID, OWNER.pin)
    before = len(meta.requests)
    meta.replies = [ODD[odd]]

    with pytest.raises(CloudNoAnswer):
        await cloud.register(access, ID, OWNER.pin)

    assert len(meta.requests) == before + 1
    assert fresh or meta.requests[-1].connection == meta.requests[0].connection
    await cloud.set_pin(access, ID, OWNER.pin)


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("odd", ["closes after reading", "code 2", "empty"])
async def test_no_write_of_any_kind_is_sent_twice(
    odd: str, name: str, meta: Scripted, cloud: GraphCloudApi, access: CloudAccess
):
    meta.replies = [ODD[odd]]

    with pytest.raises(CloudNoAnswer):
        await WRITES[name][0](cloud, access)

    assert len(meta.requests) == 1


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"])
async def test_after_a_silence_a_write_is_unknown_and_sent_once(
    begun: bytes, meta: Scripted, hasty: GraphCloudApi, access: CloudAccess
):
    meta.replies = [stall(begun)]

    with pytest.raises(CloudNoAnswer):
        await hasty.register(access, ID, OWNER.pin)

    assert len(meta.requests) == 1


async def test_an_answer_that_trickles_is_not_waited_for(
    meta: Scripted, hasty: GraphCloudApi, access: CloudAccess
):
    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    meta.replies = [trickle]

    with pytest.raises(CloudNoAnswer):
        await hasty.register(access, ID, OWNER.pin)


# Once more


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize(
    "odd",
    ["closes after reading", "breaks in the body", "HTML 502", "empty", "code 2", "an array",
     "success false"],
)  # fmt: skip
async def test_a_read_is_tried_once_more(
    odd: str, name: str, meta: Scripted, cloud: GraphCloudApi, access: CloudAccess
):
    ask, _, _, body = READS[name]
    meta.replies = [ODD[odd], answer(body), ODD[odd], ODD[odd]]

    await ask(cloud, access)
    assert len(meta.requests) == 2

    with pytest.raises(CloudNoAnswer):
        await ask(cloud, access)
    assert len(meta.requests) == 4


async def test_a_silent_read_is_tried_once_more_within_its_time(
    meta: Scripted, hasty: GraphCloudApi, access: CloudAccess
):
    meta.replies = [hang, answer(NUMBER), hang, hang]

    assert (await hasty.number(access, ID)).id == ID
    with pytest.raises(CloudNoAnswer):
        await hasty.number(access, ID)

    assert len(meta.requests) == 4


async def test_a_refused_read_is_not_tried_again(
    meta: Scripted, cloud: GraphCloudApi, access: CloudAccess
):
    meta.replies = [answer({"error": {"code": 190, "error_subcode": 463}}, 401)]

    with pytest.raises(CloudRefusal) as refused:
        await cloud.account_name(access)

    assert refused.value.answer.reason is Reason.TOKEN
    assert len(meta.requests) == 1


# Not sent


async def test_nothing_is_sent_where_nobody_listens(cloud: GraphCloudApi, access: CloudAccess):
    nobody = replace(access, base=f"http://127.0.0.1:{free_port()}")

    with pytest.raises(CloudNotSent):
        await cloud.register(nobody, ID, OWNER.pin)
    with pytest.raises(CloudNotSent):
        await cloud.number(nobody, ID)


async def test_nothing_is_sent_to_a_name_that_leads_nowhere(
    cloud: GraphCloudApi, access: CloudAccess
):
    with pytest.raises(CloudNotSent):
        await cloud.register(replace(access, base="http://nobody.invalid"), ID, OWNER.pin)


async def test_nothing_is_sent_when_connecting_takes_too_long(
    hasty: GraphCloudApi, access: CloudAccess
):
    with ExitStack() as sockets:
        full = sockets.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        for _ in range(8):  # nobody accepts: the queue is full, and connecting hangs
            one = sockets.enter_context(socket.socket())
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(("127.0.0.1", port))

        with pytest.raises(CloudNotSent):
            await hasty.register(replace(access, base=f"http://127.0.0.1:{port}"), ID, OWNER.pin)


def server_tls(folder: Path) -> ssl.SSLContext:
    files = self_signed(folder / "tls", "127.0.0.1", datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context


async def test_nothing_is_sent_to_who_cannot_prove_who_they_are(
    cloud: GraphCloudApi, tmp_path: Path
):
    async with a_scripted_server(server_tls(tmp_path)) as meta:
        access = CloudAccess(WABA, meta.base, "v23.0", TOKEN, SECRET)

        with pytest.raises(CloudNotSent):
            await cloud.register(access, ID, OWNER.pin)

        assert meta.requests == []


async def test_who_proves_who_they_are_is_spoken_to(
    cloud: GraphCloudApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tls = server_tls(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "tls" / "cert.pem"))
    async with a_scripted_server(tls) as meta:
        await cloud.register(CloudAccess(WABA, meta.base, "v23.0", TOKEN), ID, OWNER.pin)

        assert len(meta.requests) == 1
        await cloud.close()


async def test_nothing_is_sent_where_tls_is_not_spoken(
    meta: Scripted, hasty: GraphCloudApi, access: CloudAccess
):
    with pytest.raises(CloudNotSent):
        await hasty.register(
            replace(access, base=meta.base.replace("http:", "https:")), ID, OWNER.pin
        )

    assert meta.requests == []


# Calls


class Ticker:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


async def test_who_can_wait_leaves_calls_to_who_cannot(meta: Scripted, access: CloudAccess):
    clock = Ticker()
    cloud = GraphCloudApi("1.2.3", PATIENCE, clock=clock)
    few = CLOUD_CALLS[0]
    patient = replace(access, patient=True)
    for _ in range(int(few * (1 - CLOUD_CALLS_SPARED))):
        await cloud.deregister(patient, ID)
    sent = len(meta.requests)

    with pytest.raises(CloudRefusal) as refused:
        await cloud.deregister(patient, ID)

    assert refused.value.answer.reason is Reason.CALLS
    assert len(meta.requests) == sent
    wait = refused.value.answer.wait
    assert wait is not None
    await cloud.deregister(access, ID)
    clock.at += wait.total_seconds()
    await cloud.deregister(patient, ID)
    await cloud.close()


@pytest.mark.parametrize("seen", ["number", "numbers", "register", "set_pin"])
async def test_a_registered_number_that_is_seen_gives_more_calls(
    seen: str, meta: Scripted, access: CloudAccess
):
    cloud = GraphCloudApi("1.2.3", PATIENCE, clock=Ticker())
    number = NUMBER | {"status": "CONNECTED", "platform_type": "CLOUD_API"}
    shown = {"number": number, "numbers": {"data": [number]}}
    meta.replies = [answer(shown.get(seen, {"success": True}))]
    for _ in range(CLOUD_CALLS[0] + 10):
        await ASKS["set_pin" if meta.requests else seen](cloud, replace(access, patient=True))

    await cloud.close()

    assert len(meta.requests) == CLOUD_CALLS[0] + 10


async def test_what_meta_says_about_calls_is_believed(meta: Scripted, access: CloudAccess):
    cloud = GraphCloudApi("1.2.3", PATIENCE, clock=Ticker())
    use = {"call_count": 100, "estimated_time_to_regain_access": 12}
    meta.replies = [
        answer(
            {"error": {"code": 80007}},
            400,
            X_Business_Use_Case_Usage=json.dumps({WABA: [use]}),
        )
    ]

    for _ in range(2):
        with pytest.raises(CloudRefusal) as refused:
            await cloud.set_pin(access, ID, OWNER.pin)
        assert refused.value.answer.reason is Reason.CALLS
        assert refused.value.answer.wait == timedelta(minutes=12)

    await cloud.close()
    assert len(meta.requests) == 1


# Secrets


@pytest.mark.parametrize("odd", ["no HTTP", "an absurd length", "closes after reading", "a string"])
async def test_no_error_shows_a_secret(
    odd: str, meta: Scripted, cloud: GraphCloudApi, access: CloudAccess, log: io.StringIO
):
    meta.replies = [ODD[odd]] * 4
    nobody = replace(access, base=f"http://127.0.0.1:{free_port()}")

    for ask in (ASKS["register"], ASKS["token"]):
        for one in (access, nobody):
            with pytest.raises((CloudNoAnswer, CloudNotSent)) as failed:
                await ask(cloud, one)
            error = failed.value
            shown = "".join(traceback.format_exception(error)) + repr(error) + log.getvalue()
            assert error.__context__ is None
            assert error.__cause__ is None
            proof = hmac.new(SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()
            assert not [s for s in (TOKEN, SECRET, OWNER.pin, proof) if s in shown]
    assert TOKEN not in repr(access)
