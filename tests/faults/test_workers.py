"""Several server processes on one port: replaced, killed, and left alone."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nightlatch.bootstrap import free_port
from tests.faults.load import KEY
from tests.faults.processes import ROOT, Process, environment, nightlatch, serving


def _until(holds: Callable[[], Any]) -> Any:
    """What *holds* returns, once that is true."""
    for _ in range(1_500):
        if found := holds():
            return found
        time.sleep(0.02)
    raise AssertionError("it never came")


def _events(server: Process, name: str) -> list[dict[str, Any]]:
    whole, _, _ = server.err.read_text().rpartition("\n")
    lines = whole.split("\n")
    return [json.loads(line) for line in lines if f'"event": "{name}"' in line]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _workers(server: Process) -> list[int]:
    return [event["worker"] for event in _events(server, "worker started")]


@contextmanager
def _crew(tmp_path: Path) -> Iterator[Process]:
    """A server of two workers that has said that it is ready."""
    settings = ("--workers", "2", "--log-format", "json")
    with serving(tmp_path / "data", *settings, ready=False, WA_API_KEY=KEY) as server:
        _until(lambda: "/manager" in server.out.read_text())
        yield server


@contextmanager
def _load(port: int) -> Iterator[Callable[[], dict[str, int]]]:
    """Callers in another process; what is yielded ends them and returns what they were told."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.load", str(port)],
        cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as callers:  # fmt: skip

        def end() -> dict[str, int]:
            out, _ = callers.communicate(timeout=30)
            told: dict[str, int] = json.loads(out)
            return told

        try:
            yield end
        finally:
            callers.kill()


def _metrics(port: int) -> str:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/metrics?format=prometheus",
        headers={"Authorization": f"Apikey {KEY}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def test_workers_are_replaced_under_load_without_a_refused_or_cut_request(tmp_path: Path):
    with _crew(tmp_path) as server, _load(server.port) as end:
        first = _workers(server)
        _until(lambda: len(_events(server, "request")) > 50)
        server.send(signal.SIGHUP)
        _until(lambda: _events(server, "workers replaced"))
        answered = len(_events(server, "request"))
        _until(lambda: len(_events(server, "request")) > answered + 50)
        told = end()
        second = _workers(server)[2:]
        counted = _metrics(server.port)
        code = server.stop()

    connections = told.pop("connections")
    assert list(told) == ["200"]
    assert connections < told["200"]  # some were kept, and used again
    labels = 'method="GET_v1_health",node="nightlatch",result="success"'
    assert f"api_requests_duration_ms_count{{{labels}}} {told['200']}.0" in counted
    assert len(first) == len(second) == 2
    assert {event["worker"] for event in _events(server, "worker ended")} == {*first, *second}
    assert _events(server, "worker died") == []
    assert code == 0
    assert not any(map(_alive, first + second))


def test_a_killed_worker_comes_back_and_none_outlives_a_killed_parent(tmp_path: Path):
    with _crew(tmp_path) as server:
        first = _workers(server)
        elsewhere = ("--data", tmp_path / "other", "--port", str(server.port))
        second = nightlatch("serve", *elsewhere, "--workers", "2")
        os.kill(first[0], signal.SIGKILL)
        _until(lambda: len(_events(server, "started")) == 3)
        counted = _metrics(server.port)
        (died,) = _events(server, "worker died")
        server.kill()
        workers = _workers(server)
        _until(lambda: not any(map(_alive, workers)))

    assert second.returncode == 1
    assert "Address already in use" in second.stderr
    assert "web_uptime" in counted
    assert (died["worker"], died["status"]) == (first[0], -signal.SIGKILL)
    assert len(set(workers)) == 3


def test_workers_that_die_again_and_again_at_their_start_are_given_up(tmp_path: Path):
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")

    done = nightlatch(
        "serve", "--data", tmp_path / "data", "--port", str(free_port()), "--workers", "2",
        "--log-format", "json", "--tls-cert", nonsense, "--tls-key", nonsense,
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.endswith("nightlatch: workers end again and again right at their start\n")
    assert done.stderr.count("worker died") >= 3
