"""Webhooks to a fast receiver with a dead one beside it: deliveries a second, memory, backlog.

``python benchmarks/webhooks.py`` measures for thirty seconds; ``... 60 2000`` for sixty, with
2,000 events a second. Loopback only; ends by itself.

The server is the real one, in which the events happen (``telling_server.py``). The receiver is
a process of its own that checks each signature (``receiver.py``).
"""

import asyncio
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import crowd
import stage
from rich.console import Console
from rich.table import Table

from nightlatch.bootstrap import free_port

SECONDS = 30
A_SECOND = 1_200
_NUMBERS = 2_000
_WARM_UP = 5
_CATCH_UP = 60


@dataclass
class Figures:
    """What one run came to; the warming up is left out of it."""

    asked: int
    """Events a second that were asked for."""
    rates: list[float] = field(default_factory=list)
    """Deliveries to the fast receiver, second by second."""
    resident: list[float] = field(default_factory=list)
    """MiB of the server, second by second."""
    seconds: float = 0.0
    delivered: int = 0
    behind: int = 0
    """What the fast receiver had not got yet when the telling ended."""
    a_request: float = 0.0
    """Updates in one request."""
    dead_backlog: int = 0
    """What waits for the dead receiver at the end."""
    whole: bool = False
    """Whether in the end the fast receiver had got each event exactly once."""

    @property
    def per_second(self) -> float:
        return self.delivered / self.seconds

    @property
    def growth(self) -> float:
        return self.resident[-1] / self.resident[0] - 1


def measure(place: Path, seconds: int = SECONDS, a_second: int = A_SECOND) -> Figures:
    """One run in the empty folder *place*."""
    found = Figures(a_second)
    gathered = asyncio.run(crowd.gather(place / "data", _NUMBERS))
    receiver, server = stage.Crew("receiver.py"), stage.Crew("telling_server.py")
    port = free_port()
    secrets = _told(
        server,
        data=str(gathered.path),
        waba=gathered.waba,
        port=free_port(),
        urls=[f"http://127.0.0.1:{port}/hook", f"http://127.0.0.1:{free_port()}/dead"],
    )
    receiver.tell(json.dumps({"port": port, "secret": secrets[0]}))
    _told(server, a_second=a_second)
    time.sleep(_WARM_UP)
    began = since = time.perf_counter()
    first = before = _arrived(receiver)
    found.resident.append(_told(server)["resident"])
    for _ in range(seconds):
        time.sleep(1)
        now, at = _arrived(receiver), time.perf_counter()
        found.rates.append((now - before) / (at - since))
        found.resident.append(_told(server)["resident"])
        before, since = now, at
    found.seconds, found.delivered = since - began, before - first
    told = _told(server, a_second=0)["told"]
    found.behind = told - _arrived(receiver)
    deadline = time.perf_counter() + _CATCH_UP
    while _arrived(receiver) < told and time.perf_counter() < deadline:
        time.sleep(0.2)
    time.sleep(1)  # whatever would come twice
    counted = json.loads(receiver.tell("how many"))
    found.whole = counted["updates"] == told
    found.a_request = counted["updates"] / max(counted["requests"], 1)
    found.dead_backlog = _told(server, waiting=True)["waiting"][1]
    server.close()
    receiver.close()
    return found


def _told(server: stage.Crew, **line: Any) -> Any:
    return json.loads(server.tell(json.dumps(line)))


def _arrived(receiver: stage.Crew) -> int:
    counted = json.loads(receiver.tell("how many"))
    if counted["forged"]:
        raise RuntimeError("a signature was wrong")
    return int(counted["updates"])


def main(seconds: int, a_second: int) -> None:
    with tempfile.TemporaryDirectory(prefix="nightlatch-bench-") as place:
        found = measure(Path(place), seconds, a_second)
    table = Table("what", "promised", "measured", "", "figures")
    table.add_row(
        "webhooks to a fast receiver, a dead one beside it, a second",
        ">= 1,000", f"{found.per_second:,.0f}",
        "met" if found.per_second >= 1_000 and found.whole else "MISSED",
        f"{found.delivered:,} in {found.seconds:.1f} s, {a_second:,}/s asked for; seconds of"
        f" {min(found.rates):,.0f} to {max(found.rates):,.0f}; {found.behind:,} behind at the"
        f" end; {found.a_request:.0f} in a request; each exactly once:"
        f" {'yes' if found.whole else 'NO'}",
    )  # fmt: skip
    table.add_row(
        "growth of the server's memory meanwhile",
        "<= 5 %", f"{found.growth:.1%}", "met" if found.growth <= 0.05 else "MISSED",
        f"{found.resident[0]:.1f} to {found.resident[-1]:.1f} MiB,"
        f" {max(found.resident):.1f} at most; {found.dead_backlog:,} wait for the dead one",
    )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*given[:2], *(SECONDS, A_SECOND)[len(given) :])
