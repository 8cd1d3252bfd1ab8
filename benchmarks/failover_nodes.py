"""Two nodes over the Patroni cluster while its primary is killed, frozen, cut off, switched over.

Clients set PINs and ask for the number's health, over and over, each bound to one node. Printed
for each event: how long a refusal took at most, when the first success came after the new primary
stood, and whether every acknowledged PIN is in the audit trail.

    python benchmarks/failover_nodes.py [--events kill,freeze] [--parts FOLDER]
"""

import argparse
import asyncio
import base64
import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from failover import ROOT, at_once, start

sys.path.insert(0, str(ROOT / "deploy" / "patroni"))
import cluster

EVENTS = ("switchover", "kill", "freeze", "partition")
NIGHTLATCH = Path(sys.executable).with_name("nightlatch")
E164, CC, LOCAL = "+16315551000", "1", "6315551000"
_PORTS = (19_191, 19_192)
_CLIENTS = 2
"""How many for each node."""
_CLIENT_SECONDS = 10.0
_GIVE_UP = 120.0
_SLOWEST_REFUSAL, _LATEST_SUCCESS = 2.0, 30.0  # seconds; what is promised


@dataclass(frozen=True)
class Seen:
    """One answer, or none: then the status is 0."""

    began: float
    ended: float
    status: int
    retry_after: str | None
    sets: bool
    """Whether a PIN was to be set."""


def ask(
    port: int, method: str, path: str, head: dict[str, str], body: Any = None
) -> tuple[int, Any, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_CLIENT_SECONDS)
    try:
        words = None if body is None else json.dumps(body)
        connection.request(method, path, words, {"Content-Type": "application/json", **head})
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text or "null"), answer.headers.get("Retry-After")
    finally:
        connection.close()


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()}


def register(port: int, environment: dict[str, str]) -> dict[str, str]:
    """Make the number the first client's; the header that speaks for its admin."""
    word = "Owners-Pass-1"
    ask(port, "POST", "/v1/users/login", basic("secret"), {"new_password": word})
    _, said, _ = ask(port, "POST", "/v1/users/login", basic(word))
    owner = {"Authorization": f"Bearer {said['users'][0]['token']}"}
    cert = command(environment, "numbers", "certificate", E164)
    number = {"cc": CC, "phone_number": LOCAL, "method": "sms", "cert": cert}
    assert ask(port, "POST", "/v1/account", owner, number)[0] == 202
    code = ""
    while not code.isdecimal():
        code = command(environment, "codes", E164, "--plain")
    assert ask(port, "POST", "/v1/account/verify", owner, {"code": code})[0] == 201
    return owner


def command(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [NIGHTLATCH, *words], env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def serve(port: int, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            [NIGHTLATCH, "serve", "--port", str(port)], env=environment, stdout=file, stderr=file
        )


def until_ready(port: int) -> None:
    give_up = time.monotonic() + _GIVE_UP
    while time.monotonic() < give_up:
        with suppress(OSError):
            if ask(port, "GET", "/readyz", {})[0] == 200:
                return
        time.sleep(0.1)
    raise TimeoutError(f"port {port} is not ready")


def drive(
    me: int, port: int, owner: dict[str, str], stop: threading.Event, notes: list[Seen]
) -> None:
    """Set a PIN, ask for the health, and so on; each is noted."""
    for n in itertools.count():
        if stop.is_set():
            return
        sets = n % 2 == 0
        began = time.monotonic()
        try:
            if sets:
                pin = {"pin": f"{me + 1}{n % 100_000:05d}"}  # the same one again would tell nothing
                path = "/v1/settings/account/two-step"
                status, _, after = ask(port, "POST", path, owner, pin)
            else:
                status, _, after = ask(port, "GET", "/v1/health", owner)
        except OSError:
            status, after = 0, None
        notes.append(Seen(began, time.monotonic(), status, after, sets))
        if status != 200:
            time.sleep(0.05)


async def kept(url: str) -> int:
    """How many PINs the audit trail says were set."""
    connection = await at_once(url)
    try:
        sql = "SELECT count(*) FROM audit WHERE kind IN ('two_step.turned_on', $1)"
        return int(await connection.fetchval(sql, "two_step.pin_changed"))
    finally:
        connection.terminate()


def one_event(event: str, folder: Path, url: str, owner: dict[str, str]) -> list[str]:
    """What is seen: a row of the table."""
    before = asyncio.run(kept(url))
    stop = threading.Event()
    notes: list[list[Seen]] = [[] for _ in range(_CLIENTS * len(_PORTS))]
    clients = [
        threading.Thread(target=drive, args=(n, _PORTS[n % len(_PORTS)], owner, stop, some))
        for n, some in enumerate(notes)
    ]
    for client in clients:
        client.start()
    time.sleep(3)
    old = cluster.tell(folder, "status")["leader"]
    began = time.monotonic()
    happening = threading.Thread(
        target=cluster.tell, args=(folder, event, *([old] if event == "partition" else []))
    )
    happening.start()
    promoted = _promotion(folder, old, began)
    happening.join()
    time.sleep(12)
    cluster.tell(folder, "heal")
    cluster.wait(folder)
    time.sleep(2)
    stop.set()
    for client in clients:
        client.join()
    after = asyncio.run(kept(url))

    seen = [one for some in notes for one in some]
    acknowledged = sum(one.sets and one.status == 200 for one in seen)
    refused = [one for one in seen if one.status != 200 and one.ended > began]
    silent = [one for one in refused if one.status != 503 or not one.retry_after]
    slowest = max((one.ended - one.began for one in refused), default=0.0)
    latest = max(_first_success(some, began) for some in notes) - promoted
    lost = max(0, acknowledged - (after - before))
    good = not lost and not silent and slowest <= _SLOWEST_REFUSAL
    good = good and latest <= _LATEST_SUCCESS
    print(dict(Counter(one.status for one in seen)), flush=True)
    return [
        event, f"{promoted - began:.1f} s", f"{slowest:.2f} s", f"{latest:.1f} s",
        str(len(refused)), str(len(silent)), str(acknowledged), str(lost),
        "met" if good else "missed",
    ]  # fmt: skip


def _promotion(folder: Path, old: str, began: float) -> float:
    while time.monotonic() < began + _GIVE_UP:
        for name, member in cluster.tell(folder, "status")["members"].items():
            if name != old and member["role"] == "primary" and member["state"] == "running":
                return time.monotonic()
        time.sleep(0.1)
    raise TimeoutError("nobody was promoted")


def _first_success(notes: list[Seen], began: float) -> float:
    """When a PIN was set again: after the last refusal, or at once when there was none."""
    refused = [one.ended for one in notes if one.status != 200 and one.ended > began]
    since = max(refused, default=began)
    return min((one.ended for one in notes if one.sets and one.status == 200 and one.ended > since),
               default=float("inf"))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", default=",".join(EVENTS))
    parser.add_argument("--parts", type=Path, help="where the programs are kept between runs")
    options = parser.parse_args()
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="nightlatch-failover-") as temporary,
        ExitStack() as ends,
    ):
        folder = Path(temporary) / "cluster"
        url = start(folder, options.parts or Path(temporary) / "parts", "synchronous")
        ends.callback(lambda: cluster.tell(folder, "down"))
        environment = {
            **os.environ,
            "NIGHTLATCH_DATABASE": url,
            "NIGHTLATCH_DATA": str(Path(temporary) / "data"),
            "NIGHTLATCH_LOG_FORMAT": "json",
        }
        print(command(environment, "migrate"))
        nodes = []
        for port in _PORTS:
            nodes.append(serve(port, environment, Path(temporary) / f"{port}.log"))
            ends.callback(_end, nodes[-1])
            until_ready(port)
        owner = register(_PORTS[0], environment)
        for event in options.events.split(","):
            rows.append(one_event(event, folder, url, owner))
            print("  ".join(rows[-1]), flush=True)
        print(ask(_PORTS[0], "GET", "/readyz", {})[1])
    heads = (
        *("event", "promoted after", "slowest refusal", "all clients succeed, after promotion"),
        *("refused", "of them not 503 with Retry-After", "acknowledged", "lost", ""),
    )
    print("\n| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    print("\n".join("| " + " | ".join(row) + " |" for row in rows))
    if any(row[-1] == "missed" for row in rows):
        sys.exit(1)


def _end(node: subprocess.Popen[bytes]) -> None:
    node.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        node.wait(30)
    node.kill()


if __name__ == "__main__":
    main()
