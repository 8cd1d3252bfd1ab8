"""Server processes that tests start, signal and kill; and the clock file they share."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from nightlatch.bootstrap import free_port

ROOT = Path(__file__).parents[2]
_START_SECONDS = 30.0  # a hang, not a goal
_OURS = ("NIGHTLATCH_", "WA_")


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without anybody's Nightlatch settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "100", **(more or {})}


def nightlatch(
    *words: str | Path, timeout: float = 60, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "nightlatch", *map(str, words)],
        cwd=ROOT,
        env=environment(more),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


class ClockFile:
    """The time that has passed beyond real time, for every process that reads this file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds = 0.0
        self._write()

    def step(self, by: timedelta) -> None:
        self.seconds += by.total_seconds()
        self._write()

    def _write(self) -> None:
        fresh = self.path.with_suffix(".new")
        fresh.write_text(str(self.seconds))
        fresh.replace(self.path)


class Process:
    """One server process. Its output goes to files, so that nobody waits for a reader."""

    def __init__(self, words: Sequence[str | Path], port: int, folder: Path, **more: str) -> None:
        self.port = port
        self.out = folder / f"stdout-{port}.log"
        self.err = folder / f"stderr-{port}.log"
        self._began = time.perf_counter()
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self._popen = subprocess.Popen(
                [sys.executable, *map(str, words)],
                cwd=ROOT,
                env=environment(more),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def wait_until_ready(self) -> float:
        """Seconds from the start of the process to its first answer."""
        while time.perf_counter() - self._began < _START_SECONDS:
            assert self._popen.poll() is None, self.err.read_text()
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
                try:
                    connection.request("GET", "/v1/health")
                    assert connection.getresponse().status == 401
                    return time.perf_counter() - self._began
                finally:
                    connection.close()
            time.sleep(0.005)
        raise AssertionError("the server did not come up")

    def send(self, signal_number: int) -> None:
        self._popen.send_signal(signal_number)

    def kill(self) -> None:
        """``kill -9``, and wait until it is gone."""
        self._popen.kill()
        self._popen.wait(10)

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Ask it to end; its exit code."""
        self.send(signal_number)
        return self.wait()

    def wait(self) -> int:
        return self._popen.wait(30)

    def end(self) -> None:
        """Whatever state it is in, gone afterwards."""
        if self._popen.poll() is None:
            self.kill()


@contextmanager
def served(
    data: Path, clock: ClockFile, *more: str | Path, count: int = 1
) -> Iterator[list[Process]]:
    """*count* ready servers of ``tests.faults.served`` on one data folder."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            process = start_served(data, clock, *more)
            stack.callback(process.end)
            found.append(process)
        for process in found:
            process.wait_until_ready()
        yield found


def start_served(
    data: Path, clock: ClockFile, *more: str | Path, port: int | None = None, **env: str
) -> Process:
    port = port or free_port()
    words: list[str | Path] = [
        "-m", "tests.faults.served", "--data", data, "--port", str(port), "--clock", clock.path,
    ]  # fmt: skip
    return Process([*words, *more], port, data.parent, **env)


@contextmanager
def serving(data: Path, *more: str | Path, ready: bool = True, **env: str) -> Iterator[Process]:
    """A ready ``nightlatch serve`` on a free port."""
    port = free_port()
    process = Process(
        ["-m", "nightlatch", "serve", "--data", data, "--port", str(port), *more],
        port,
        data.parent,
        **env,
    )
    try:
        if ready:
            process.wait_until_ready()
        yield process
    finally:
        process.end()
