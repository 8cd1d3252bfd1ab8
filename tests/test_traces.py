"""Traces as a collector receives them, by OTLP over a real socket."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from nightlatch import traces
from nightlatch.bootstrap import StartRefused, serve
from nightlatch.traces import TracesRefused, otel
from tests.people import OWNER, THIEF
from tests.town import Town, a_house, a_town, exchange

CALLER = "0af7651916cd43dd8448eb211c80319c"
CALLERS_SPAN = "b7ad6b7169203331"


@dataclass
class Collector:
    """An OTLP receiver that keeps what it gets."""

    address: str = ""
    paths: set[str] = field(default_factory=set)
    raw: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for body in self.raw
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


def facts(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


@contextmanager
def a_collector() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.paths.add(self.path)
            collector.raw.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        collector.address = f"http://127.0.0.1:{server.server_port}"
        yield collector
        server.shutdown()


@asynccontextmanager
async def a_traced_town(folder: Path, collector: Collector) -> AsyncIterator[Town]:
    """A server that sends its traces; all of them have arrived when it has ended."""
    async with a_town(folder, traces=collector.address) as town:
        yield town


async def test_a_guess_is_one_trace_from_the_request_to_the_hash_and_the_store(tmp_path: Path, log):
    with a_collector() as collector:
        async with a_traced_town(tmp_path / "data", collector) as town:
            await town.owner_is_protected()
            reply = await exchange(
                town.port, "POST", "/clients/thief/v1/account",
                headers=[
                    ("Authorization", f"Bearer {town.thief.token}"),
                    ("Content-Type", "application/json"),
                    ("traceparent", f"00-{CALLER}-{CALLERS_SPAN}-01"),
                    ("tracestate", "vendor=whatever-a-caller-writes"),
                ],
                body=json.dumps({
                    "cc": "1", "phone_number": "6315551000", "method": "sms",
                    "cert": town.thief.certificate, "pin": THIEF.wrong_pin,
                }).encode(),
            )  # fmt: skip
            secrets = [OWNER.pin, THIEF.wrong_pin, OWNER.password, town.owner.token,
                       town.thief.token, town.thief.certificate, "6315551000", "tracestate",
                       "whatever-a-caller-writes"]  # fmt: skip

    assert reply.status == 403
    assert collector.paths == {"/v1/traces"}
    ours = [span for span in collector.spans if span.trace_id.hex() == CALLER]
    (request,) = [span for span in ours if span.name == "POST_v1_account"]
    assert request.parent_span_id.hex() == CALLERS_SPAN
    assert request.kind == 2  # SPAN_KIND_SERVER
    assert facts(request) == {
        "http.request.method": "POST",
        "http.route": "POST_v1_account",
        "http.response.status_code": 403,
        "nightlatch.request_id": reply.header("X-Request-Id"),
        "nightlatch.refusal": "WrongPin",
    }
    below = [span.name for span in ours if span.parent_span_id == request.span_id]
    assert sorted(below) == ["hash", "store update", "store update"]
    for body in collector.raw:
        assert [secret for secret in secrets if secret.encode() in body] == []
    told = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["route"] for line in told if line.get("trace_id") == CALLER] == ["POST_v1_account"]


async def test_what_a_worker_sends_is_a_trace_of_its_own(tmp_path: Path):
    with a_collector() as collector:
        async with a_traced_town(tmp_path / "data", collector) as town:
            await town.owner_has_registered()

    (code,) = collector.named("code")
    assert code.kind == 3  # SPAN_KIND_CLIENT
    assert code.trace_id not in {span.trace_id for span in collector.named("POST_v1_account")}


async def test_a_traceparent_that_is_none_begins_a_trace(tmp_path: Path):
    with a_collector() as collector:
        async with a_traced_town(tmp_path / "data", collector) as town:
            for word in ("nonsense", f"00-{'0' * 32}-{CALLERS_SPAN}-01"):
                await exchange(town.port, "GET", "/livez", headers=[("traceparent", word)])

    first, second = collector.named("GET_livez")
    assert first.parent_span_id == second.parent_span_id == b""
    assert first.trace_id != second.trace_id


async def test_an_error_marks_its_span_by_its_name_alone():
    with a_collector() as collector:
        traces.start(f"{collector.address}/v1/traces", "1")
        try:
            with pytest.raises(OSError), traces.span("it", traces.OUT, number=7):
                raise OSError("the password is 271828")
        finally:
            await asyncio.to_thread(traces.stop)

    (span,) = collector.named("it")
    assert facts(span) == {"number": 7, "error.type": "OSError"}
    assert span.status.code == 2  # STATUS_CODE_ERROR
    assert not span.events
    assert b"271828" not in b"".join(collector.raw)


async def test_a_collector_that_is_away_costs_no_request(
    tmp_path: Path, log, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(otel, "_SEND_SECONDS", 0.1)
    with a_collector() as collector:
        pass  # its port is closed again

    async with a_town(tmp_path / "data", traces=collector.address) as town:
        reply = await town.owner.call("GET", "/health")

    assert reply.status == 200
    assert all(json.loads(line)["event"] for line in log.getvalue().splitlines())


def test_off_a_span_is_nothing():
    with traces.span("it", secret=1) as span:
        span.tell(status=200)
        span.called("other")

    assert not traces.are_on()
    assert traces.trace_id() is None
    assert traces.span("one") is traces.span("another") is traces.serving("third", None)


_WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
from nightlatch import traces
try:
    traces.start("http://127.0.0.1:4318", "1")
except traces.TracesRefused as refused:
    print(refused)
"""


def test_without_the_extra_the_message_says_what_to_install():
    told = subprocess.run(
        [sys.executable, "-c", _WITHOUT], capture_output=True, text=True, check=True, timeout=60
    ).stdout

    assert told == (
        "--traces needs OpenTelemetry, which is not installed; "
        "run: pip install 'nightlatch[otel]'\n"
    )


def test_a_server_that_does_not_trace_loads_nothing_of_it():
    told = subprocess.run(
        [sys.executable, "-c", "import sys, nightlatch.bootstrap; print(*sys.modules)"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip

    assert "nightlatch.traces" in told.split()
    assert not [name for name in told.split() if name.startswith("opentelemetry")]


async def test_traces_that_cannot_be_sent_end_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: Any) -> None:
        raise TracesRefused("no OpenTelemetry")

    async def ready() -> None:
        pytest.fail("it must not begin")

    monkeypatch.setattr(traces, "start", refuse)
    async with a_house(tmp_path / "data", traces="http://127.0.0.1:4318") as house:
        with pytest.raises(StartRefused, match="no OpenTelemetry"):
            await serve(house, asyncio.Event(), ready)
