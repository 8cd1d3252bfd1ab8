"""What the parts measure on: a prepared data folder, the real server, and who calls it."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from nightlatch.adapters.hashing import OWASP, Argon2Pool
from nightlatch.bootstrap import House, free_port, open_house, set_up
from nightlatch.domain.guesses import Guesses
from nightlatch.domain.limits import GUESS_LOCK, GUESS_WAITS
from nightlatch.domain.numbers import Decision, Number, TwoStep
from nightlatch.ports import bound_to
from nightlatch.settings import Settings
from nightlatch.usecases import clients, numbers

HERE = Path(__file__).parent
PIN, WRONG_PIN = "271828", "141421"
_FIRST = 6_315_552_000
OPEN, WAITING, LOCKED = 900, 100, 100
_PATIENCE = 60


@dataclass(frozen=True)
class Folder:
    """A data folder in which everything has happened already."""

    path: Path
    token: str
    certificates: dict[str, str]
    """National number -> certificate: first OPEN ones, then WAITING, then LOCKED ones."""

    def register(self, national: str, pin: str) -> str:
        """``POST /v1/account``, as it goes over the wire."""
        return request(
            "POST",
            "/v1/account",
            self.token,
            {
                "cc": "1",
                "phone_number": national,
                "method": "sms",
                "cert": self.certificates[national],
                "pin": pin,
            },
        )

    @property
    def open(self) -> list[str]:
        return list(self.certificates)[:OPEN]

    @property
    def closed(self) -> list[str]:
        return list(self.certificates)[OPEN:]


def request(method: str, path: str, token: str = "", body: Any = None) -> str:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    text = ""
    if body is not None:
        text = json.dumps(body)
        lines += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
    return "\r\n".join([*lines, "", text])


async def prepare(path: Path, **more: Any) -> Folder:
    """Numbers with two-step on: open, waiting for a day, locked. The first client holds one.

    *more* are settings.
    """
    async with open_house(Settings(data=path, **more), create=True) as house:
        await set_up(house)
        text, _ = await clients.log_in(
            house.world, "main", "admin", "secret", new_password="Bench-Pass-1"
        )
        certificates = {}
        verifier = await one_verifier(house)
        for n in range(OPEN + WAITING + LOCKED):
            e164 = f"+1{_FIRST + n}"
            waba = await house.first_waba()
            number = await numbers.add_number(house.world, waba, e164, "1", "Lucky Shrub")
            certificates[number.national] = numbers.certificate(
                house.world, await numbers.find_number(house.world, e164)
            )
            guesses = Guesses()
            if n >= OPEN + WAITING:
                guesses = Guesses(ticket=GUESS_LOCK, run=GUESS_LOCK, locked=True)
            elif n >= OPEN:
                guesses = Guesses(run=len(GUESS_WAITS), since=house.clock.now())
            sealed = house.keyring.seal(verifier, bound_to("pin", number.id))
            await _keep(house, number, TwoStep(1, sealed), guesses)
        held = await numbers.find_number(house.world, "+16315551000")
        await house.store.take_over(
            held.id,
            "main",
            lambda n: Decision(replace(n, holder="main", registered_at=n.created_at)),
            Decision,
        )
    return Folder(path, text, certificates)


async def one_verifier(house: House) -> bytes:
    """Of PIN, not sealed yet: one hash for all numbers makes the preparation quick."""
    pool = Argon2Pool(house.keyring, OWASP, 1)
    try:
        return house.keyring.unseal(await pool.make(PIN, "bench"), "bench")
    finally:
        pool.close()


async def _keep(house: House, number: Number, two_step: TwoStep, guesses: Guesses) -> None:
    await house.store.update(
        number.id, lambda n: Decision(replace(n, two_step=two_step, guesses=guesses))
    )


@dataclass(frozen=True)
class Server:
    """A server process that answers."""

    port: int
    pid: int
    seconds: float
    """From its start to its first answer."""

    def resident(self) -> float:
        """MiB of memory it occupies."""
        return _resident(self.pid)

    def workers(self) -> dict[int, float]:
        """MiB of memory of each worker that it started, by process id."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return {int(pid): _resident(int(pid)) for pid in children}


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1_024
    raise LookupError("the process is gone")


@contextmanager
def nightlatch(folder: Path, *words: str, **environment: str) -> Iterator[Server]:
    """``nightlatch serve`` as in production: JSON logs, here into a file."""
    port = free_port()
    arguments = ["serve", "--data", str(folder), "--port", str(port), "--log-format", "json"]
    command = [sys.executable, "-m", "nightlatch", *arguments, *words]
    with _serving(command, port, environment) as server:
        yield server


@contextmanager
def bare_server() -> Iterator[Server]:
    """Falcon on Granian without us."""
    port = free_port()
    with _serving([sys.executable, str(HERE / "bare_server.py"), str(port)], port) as server:
        yield server


@contextmanager
def _serving(
    command: list[str], port: int, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    with tempfile.TemporaryFile() as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, **(environment or {})},
        )
        try:
            _first_answer(process, port)
            yield Server(port, process.pid, time.perf_counter() - began)
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _first_answer(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", "/livez")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.002)
    raise RuntimeError("the server did not start")


class Crew:
    """Another process that is told what to do line by line, and answers line by line."""

    def __init__(self, script: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(HERE)},
        )

    def tell(self, line: str) -> str:
        """What it answers to *line*."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("a helping process ended")
        return answer

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(15)


class Load(Crew):
    """The load generator."""

    def __init__(self) -> None:
        super().__init__("load.py")

    def play(
        self,
        server: Server,
        requests: list[str],
        count: int,
        *,
        connections: int = 64,
        first: int = 0,
        pause: float = 0.0,
    ) -> dict[str, Any]:
        """Send *count* requests and see what comes back; with *pause*, each connection waits so
        many seconds after each answer."""
        job = {
            "port": server.port,
            "requests": requests,
            "connections": connections,
            "count": count,
            "first": first,
            "pause": pause,
            "patience": _PATIENCE,
        }
        result: dict[str, Any] = json.loads(self.tell(json.dumps(job)))
        return result
