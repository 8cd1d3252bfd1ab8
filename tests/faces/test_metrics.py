"""The metrics as such: names, units, what is read when they are shown, several processes."""

import asyncio
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from nightlatch import __version__
from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.ledger import Act
from nightlatch.faces.graph.routes import ROUTES as GRAPH_ROUTES
from nightlatch.faces.manager.routes import ROUTES as MANAGER_ROUTES
from nightlatch.faces.metrics import FAMILIES, Metrics, Of, face_of
from nightlatch.faces.onprem.routes import served
from nightlatch.ports import Backlog, Waiting
from tests.counted import counted
from tests.people import NOON
from tests.town import Town

_OLD = ("web_", "api_")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.exposed)
def test_a_metric_is_named_as_prometheus_wants_it(family):
    name = family.exposed

    assert re.fullmatch(r"[a-z][a-z_]*[a-z]", name)
    assert name.endswith("_total") == (family.kind is Of.COUNTER)
    if not name.startswith(_OLD):
        assert "milli" not in family.unit
        assert family.unit != "seconds" or "_seconds" in name
        assert family.unit != "bytes" or name.endswith("_bytes")
    assert family.unit
    assert family.says


def test_no_two_metrics_share_a_name():
    names = [family.exposed for family in FAMILIES]

    assert len(names) == len(set(names))


def test_every_route_belongs_to_a_face():
    names = [route.name for route in served(Metrics())]
    names += [route.name for route in GRAPH_ROUTES]
    names += [route.name for route in MANAGER_ROUTES]

    assert {face_of(name) for name in names} == {"onprem", "graph", "manager"}
    assert face_of("GET_cloud_webhook") == "cloud"
    assert face_of("POST_sandbox_clock") == face_of("sandbox") == "sandbox"
    assert face_of("unknown") == face_of("GET_livez") == "other"


def test_requests_are_counted_by_face_route_and_status():
    metrics = Metrics()

    metrics.arrived()
    during = metrics.as_json()["web_requests"]["data"]
    metrics.answered("POST_v1_account", 403, 250.0)
    afterwards = metrics.as_json()["web_requests"]["data"]

    labels = {"face": "onprem", "route": "POST_v1_account"}
    assert (during[0]["value"], afterwards[0]["value"]) == (1, 0)
    assert counted(metrics, "nightlatch_requests_total", **labels, status="403") == 1
    assert counted(metrics, "nightlatch_request_seconds_sum", **labels) == 0.25


@pytest.mark.parametrize(
    ("refusal", "face", "why"),
    [("LoginRefused", "onprem", "wrong"), ("LoginWait", "onprem", "wait"),
     ("SignInRefused", "manager", "wrong"), ("SignInWait", "manager", "wait")],
)  # fmt: skip
def test_refused_logins_are_told_by_where_and_why(refusal, face, why):
    metrics = Metrics()

    metrics.refused(refusal)

    assert counted(metrics, "nightlatch_logins_refused_total", face=face, why=why) == 1
    assert counted(metrics, "nightlatch_refusals_total", refusal=refusal) == 1


@pytest.mark.parametrize(("refusal", "why"), [("GuessWait", "wait"), ("NumberLocked", "lock")])
def test_guesses_that_were_refused_unread_are_told_by_why(refusal, why):
    metrics = Metrics()

    metrics.refused(refusal)

    assert counted(metrics, "nightlatch_guesses_refused_total", why=why) == 1


def test_attempts_at_the_cloud_api_are_counted_by_act_and_outcome():
    metrics = Metrics()

    metrics.happened([Event(Kind.ACT_UNKNOWN, "main/admin", NOON, (("act", "pin"),))])

    labels = {"act": "pin", "outcome": "unknown"}
    assert counted(metrics, "nightlatch_cloud_attempts_total", **labels) == 1


def test_the_backlog_shows_how_many_and_how_late():
    metrics = Metrics()
    codes, mail, none = (
        Waiting(3, NOON - timedelta(seconds=90)),
        Waiting(1, NOON + timedelta(seconds=5)),
        Waiting(0, None),
    )

    metrics.show_backlog(Backlog(codes, mail, none), NOON)

    waiting, late = (
        [counted(metrics, name, queue=queue) for queue in ("codes", "mail", "webhooks")]
        for name in ("nightlatch_waiting", "nightlatch_oldest_waiting_seconds")
    )
    assert waiting == [3, 1, 0]
    assert late == [90, 0, 0]


def test_ledgers_show_numbers_by_act():
    metrics = Metrics()

    metrics.show_ledgers(7, 1, dict.fromkeys(Act, 0) | {Act.PIN: 2}, {Act.REGISTER: 1})

    assert counted(metrics, "nightlatch_linked_numbers") == 7
    assert counted(metrics, "nightlatch_outcomes_unknown") == 1
    assert counted(metrics, "nightlatch_ledger_near_limit", act="pin") == 2
    assert counted(metrics, "nightlatch_ledger_closed", act="register") == 1


def test_a_store_tells_what_it_does_inside():
    metrics = Metrics()

    metrics.retried("deadlock")
    metrics.committed(12)
    metrics.connections(10, 3)

    assert counted(metrics, "nightlatch_store_retries_total", why="deadlock") == 1
    assert counted(metrics, "nightlatch_store_batch_changes_sum") == 12
    assert counted(metrics, "nightlatch_store_connections", state="open") == 10
    assert counted(metrics, "nightlatch_store_connections", state="busy") == 3


async def test_what_is_read_when_metrics_are_shown_is_read_once_a_second_at_most():
    metrics, read = Metrics(), 0

    async def reading() -> None:
        nonlocal read
        read += 1

    metrics.reads(reading)
    await asyncio.gather(*(metrics.read() for _ in range(20)))

    assert read == 1


async def test_a_reading_that_fails_is_counted_and_keeps_nothing_from_being_shown():
    metrics, read = Metrics(), []

    async def fails() -> None:
        raise OSError

    async def reading() -> None:
        read.append(1)

    metrics.reads(fails)
    metrics.reads(reading)
    await metrics.read()

    assert read == [1]
    assert counted(metrics, "nightlatch_reading_failures_total") == 1


async def test_a_server_tells_of_itself(town: Town):
    reply = await town.owner.call("GET", "/metrics?format=prometheus")

    text = reply.raw.decode()
    assert f'nightlatch_build_info{{python="3.{sys.version_info[1]}' in text
    assert f'store="sqlite",version="{__version__}"}} 1.0' in text
    assert "nightlatch_ready 1.0" in text
    assert 'nightlatch_check_failing{check="keys"} 0.0' in text
    assert 'nightlatch_keys{state="held"} 1.0' in text
    assert "nightlatch_clock_skew_seconds 0.0" in text
    assert re.search(r"process_resident_memory_bytes [1-9]", text)
    assert re.search(r"process_open_fds [1-9]", text)
    assert re.search(r'store_operations_total\{operation="session",result="ok"\} [1-9]', text)


async def test_the_event_loop_is_looked_at_each_second(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("nightlatch.faces.metrics._PULSE", 0.001)
    metrics = Metrics()
    pulse = asyncio.create_task(metrics.pulse())

    async with asyncio.timeout(10):
        while counted(metrics, "nightlatch_event_loop_lag_seconds_count") < 2:
            await asyncio.sleep(0.001)
    pulse.cancel()

    assert counted(metrics, "process_cpu_seconds_total") > 0


_WORKER = """
import sys
from nightlatch.faces.metrics import Metrics
metrics = Metrics()
metrics.arrived()
metrics.arrived()
metrics.answered("POST_v1_account", 403, 250.0)
metrics.refused("WrongPin")
metrics.hash_busy.inc()
metrics.show_build("sqlite")
fails = len(sys.argv) > 1
metrics.show_readiness({"store": fails}, ready=not fails)
print(metrics.as_text() if len(sys.argv) > 1 else "")
"""


def test_several_processes_answer_for_all(tmp_path: Path):
    """The second shows what both counted; of the first, which ended, no gauge is left."""
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    first = [sys.executable, "-c", _WORKER]
    subprocess.run(first, env=env, check=True, timeout=60)
    shown = subprocess.run(
        [*first, "show"], env=env, check=True, timeout=60, capture_output=True, text=True
    ).stdout

    assert 'nightlatch_refusals_total{refusal="WrongPin"} 2.0' in shown
    assert 'face="onprem",route="POST_v1_account",status="403"} 2.0' in shown
    assert 'request_seconds_count{face="onprem",route="POST_v1_account"} 2.0' in shown
    assert 'nightlatch_check_failing{check="store"} 1.0' in shown
    assert "nightlatch_ready 0.0" in shown
    assert "nightlatch_build_info{" in shown
    assert "pid=" not in shown
