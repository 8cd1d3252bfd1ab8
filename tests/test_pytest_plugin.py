"""The fixture ``nightlatch`` in the test suites of others, run as they would run it."""

import gc
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import structlog

from nightlatch.testing import Registry, SandboxRefused, running
from tests.docs.reference import ROOT

GUIDE = ROOT / "docs" / "guides" / "test-your-integration.md"
_FILE = re.compile(r"`(\w+\.py)`:\n\n```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_EXAMPLES = (
    "test_registration",
    "test_waits",
    "test_faults",
    "test_webhooks",
    "test_reviewed_name",
)

TEST = """
def test_it(nightlatch):
    assert nightlatch.state()["status"] == "PENDING"
"""
LEAVES_NOTHING = """
import os, threading, pytest
from pathlib import Path
from tempfile import gettempdir

@pytest.fixture(autouse=True)
def nothing_is_left():
    found = lambda: (
        {thread.name for thread in threading.enumerate()},
        {path.name for path in Path(gettempdir()).glob("nightlatch-*")},
    )
    before = found()
    yield
    assert found() == before
    open_files.append({os.readlink(link) for link in links() if os.path.islink(link)})

@pytest.mark.parametrize("time", range(3))
def test_it(nothing_is_left, nightlatch, time):
    assert any(thread.name == "nightlatch" for thread in threading.enumerate())
    assert nightlatch.number.id not in seen
    seen.add(nightlatch.number.id)

def test_no_files_stay_open():
    assert open_files[-1] == open_files[-2]

def links():
    return [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]

seen, open_files = set(), []
"""
FAILS = """
import threading
from pathlib import Path
from tempfile import gettempdir

def test_that_fails(nightlatch):
    raise LookupError("as it should")

def test_that_nothing_is_left_of_it():
    assert [thread for thread in threading.enumerate() if thread.name == "nightlatch"] == []
    assert list(Path(gettempdir()).glob("nightlatch-*")) == []
"""
ASYNC = """
import asyncio

async def test_it(nightlatch):
    state = await asyncio.to_thread(nightlatch.state)
    assert state == nightlatch.state()
"""


def pytest_on(folder: Path, *options: str, **files: str) -> "subprocess.CompletedProcess[str]":
    """Run pytest as a stranger does, in a folder with these files, every warning an error."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "scratch").mkdir()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "-rA"]
    command += ["-o", "asyncio_default_fixture_loop_scope=function", *options]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "TMPDIR": str(folder / "scratch")},
    )  # fmt: skip


def post(url: str, token: str) -> int:
    request = Request(url, b"{}", {"Authorization": f"Bearer {token}"})
    try:
        with urlopen(request) as answer:
            return int(answer.status)
    except HTTPError as refused:
        with refused:
            return refused.code


def test_the_examples_of_the_guide_pass(tmp_path: Path):
    files = dict(_FILE.findall(GUIDE.read_text(encoding="utf-8")))

    ran = pytest_on(tmp_path, **{name.removesuffix(".py"): text for name, text in files.items()})

    assert {*_EXAMPLES, "registration"} == {name.removesuffix(".py") for name in files}
    assert ran.returncode == 0, ran.stdout
    assert "6 passed" in ran.stdout
    assert all(f"PASSED {name}.py" in ran.stdout for name in _EXAMPLES)


def test_the_first_example_is_five_lines(tmp_path: Path):
    files = dict(_FILE.findall(GUIDE.read_text(encoding="utf-8")))

    _, _, test = files["test_registration.py"].partition("def ")
    assert len(test.strip().splitlines()) == 5


def test_an_example_that_is_wrong_is_noticed(tmp_path: Path):
    files = dict(_FILE.findall(GUIDE.read_text(encoding="utf-8")))
    wrong = files["test_registration.py"].replace('"141421") == "ask', '"271828") == "ask')

    ran = pytest_on(tmp_path, registration=files["registration.py"], test_registration=wrong)

    assert ran.returncode == 1
    assert "1 failed" in ran.stdout


def test_one_test_after_another_leaves_no_thread_no_folder_and_no_open_file(tmp_path: Path):
    ran = pytest_on(tmp_path, test_leaves_nothing=LEAVES_NOTHING)

    assert ran.returncode == 0, ran.stdout
    assert "4 passed" in ran.stdout


def test_a_test_that_fails_leaves_nothing_either(tmp_path: Path):
    ran = pytest_on(tmp_path, test_fails=FAILS)

    assert "1 failed, 1 passed" in ran.stdout
    assert "LookupError: as it should" in ran.stdout


def test_it_says_nothing_into_the_output_of_others(tmp_path: Path):
    ran = pytest_on(tmp_path, "-s", "-q", test_quiet=TEST)

    assert ran.returncode == 0
    assert "request" not in ran.stdout + ran.stderr
    assert "started" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_it_gets_along_with_asynchronous_tests(tmp_path: Path, mode):
    mark = "" if mode == "auto" else "\nimport pytest\npytestmark = pytest.mark.asyncio\n"

    ran = pytest_on(tmp_path, f"--asyncio-mode={mode}", test_async=ASYNC + mark, test_plain=TEST)

    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout


def test_a_run_that_does_not_use_it_does_not_load_the_server(tmp_path: Path):
    loaded = "import sys\ndef test_it():\n    assert not [m for m in sys.modules if m in HEAVY]\n"
    heavy = (
        'HEAVY = {"nightlatch.testing", "nightlatch.bootstrap", "falcon", "granian", "argon2"}\n'
    )

    ran = pytest_on(tmp_path, test_light=heavy + loaded)

    assert ran.returncode == 0, ran.stdout


# In this process


def test_two_registries_side_by_side_know_nothing_of_each_other():
    with running() as one, running() as other:
        one.press("set_pin", pin="271828")
        one.clock.step(timedelta(days=2))

        assert one.state()["two_step"]
        assert not other.state()["two_step"]
        assert one.clock.now() - other.clock.now() > timedelta(days=1)
        with pytest.raises(SandboxRefused) as refused:
            Registry.state(_with_the_token_of(one, other))
        assert (refused.value.status, refused.value.name) == (401, "TokenRefused")


def _with_the_token_of(one: Registry, other: Registry) -> Registry:
    from dataclasses import replace

    return replace(one, controls=replace(one.controls, token=other.controls.token))


def test_the_token_opens_the_same_number_on_both_ports():
    with running() as registry:
        for base in (registry.graph, f"{registry.graph_origin}/v23.0"):
            assert post(f"{base}/{registry.number.id}/register", registry.token) == 400
            assert post(f"{base}/{registry.number.id}/register", "EAANLwrong") == 401


def test_what_a_test_may_print_holds_no_secret():
    with running() as registry:
        shown = repr(registry)

        for secret in (registry.token, registry.app_secret, registry.controls.token):
            assert secret not in shown


def test_a_code_that_nobody_asked_for_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr("nightlatch.testing._CODE_SECONDS", 0.1)
    with running() as registry, pytest.raises(TimeoutError, match="was one asked for"):
        registry.handset.code()


def test_a_receiver_that_is_not_there_is_told():
    with running() as registry, pytest.raises(RuntimeError, match="cannot be used"):
        registry.receive_webhooks("http://127.0.0.1:9/", "token")


def test_a_setting_that_cannot_be_is_raised_in_the_test():
    with pytest.raises(Exception, match="graph-errors"), running(graph_errors="plain"):
        pass

    assert [thread for thread in threading.enumerate() if thread.name == "nightlatch"] == []


@pytest.fixture
def thresholds() -> Iterator[tuple[int, int, int]]:
    """Of our own, and nothing frozen, whatever tests before this one left."""
    left = gc.get_threshold()
    gc.unfreeze()
    gc.set_threshold(701, 11, 9)
    yield gc.get_threshold()
    gc.set_threshold(*left)


def test_what_was_tuned_for_the_server_is_put_back(thresholds: tuple[int, int, int]):
    before = gc.get_threshold(), gc.get_freeze_count(), structlog.get_config()["processors"]

    with running():
        during = gc.get_threshold()

    assert during != thresholds
    after = gc.get_threshold(), gc.get_freeze_count(), structlog.get_config()["processors"]
    assert after == before


def test_the_logs_of_others_go_on_meanwhile(log):
    with running():
        structlog.get_logger().warning("of the test")

    assert "of the test" in log.getvalue()
    assert "sandbox" not in log.getvalue()
