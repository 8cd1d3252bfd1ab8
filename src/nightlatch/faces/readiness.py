"""Whether this node should be sent requests: the checks behind ``/readyz``."""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from nightlatch.faces.metrics import Metrics

PATH: Final = "/readyz"
Check = Callable[[], Awaitable[str | None]]
"""What is wrong, in a sentence without secrets; None when nothing is. What it raises is wrong,
too, and shown by the name of its class."""
STOPPING: Final = "stopping"
_GOOD_FOR: Final = 1.0  # seconds; many who ask at once must cost one look
_CHECK_SECONDS: Final = 2.0
_LATER: Final = (("Retry-After", "1"),)
_IS_STOPPING: Final = "the server is stopping"


class Readiness:
    """Asks every check, at most once a second, and logs when one begins or ceases to fail."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        metrics: Metrics,
        warnings: Mapping[str, Check] | None = None,
    ) -> None:
        """What *warnings* find is told in the same way, and the node is ready all the same."""
        self._checks = {**checks, **(warnings or {})}
        self._warnings = frozenset(warnings or ())
        self._metrics = metrics
        self._found: dict[str, str | None] = {}
        self._looked_at = -math.inf
        self._looking = asyncio.Lock()
        self._log = structlog.get_logger()
        self.is_stopping = False

    def stop(self) -> None:
        """Not ready any more, so that whoever sends requests looks for another node."""
        self.is_stopping = True

    @property
    def stopping_body(self) -> bytes:
        """What ``/readyz`` answers with when nothing is looked at any more."""
        return _body({STOPPING: _IS_STOPPING}, ready=False)

    async def faults(self) -> dict[str, str | None]:
        """Each check by name, with what is wrong."""
        async with self._looking:
            if time.monotonic() >= self._looked_at + _GOOD_FOR:
                names = list(self._checks)
                found = await asyncio.gather(*(_ask(self._checks[name]) for name in names))
                self._note(dict(zip(names, found, strict=True)))
                self._looked_at = time.monotonic()
        stopping = _IS_STOPPING if self.is_stopping else None
        return {**self._found, STOPPING: stopping}

    async def read(self) -> None:
        """Bring the metrics of it up to date."""
        found = await self.faults()
        self._metrics.show_readiness(
            {name: why is not None for name, why in found.items()}, ready=self._ready(found)
        )

    async def answer(self) -> tuple[int, bytes, tuple[tuple[str, str], ...]]:
        """Status, body and headers of ``/readyz``."""
        found = await self.faults()
        ready = self._ready(found)
        body = _body(found, ready=ready)
        return (200, body, ()) if ready else (503, body, _LATER)

    def _ready(self, found: Mapping[str, str | None]) -> bool:
        return all(why is None or name in self._warnings for name, why in found.items())

    def _note(self, found: dict[str, str | None]) -> None:
        before, self._found = self._found, found
        for name, why in found.items():
            was = before.get(name)
            if why is not None and was is None:
                if name in self._warnings:
                    self._log.warning("not safe", check=name, why=why)
                else:
                    self._log.error("not ready", check=name, why=why)
            elif why is None and was is not None:
                self._log.info("ready again", check=name)


def _body(found: Mapping[str, str | None], *, ready: bool) -> bytes:
    shown = {name: why or "ok" for name, why in found.items()}
    status = "ready" if ready else "not ready"
    return json.dumps({"status": status, "checks": shown}).encode()


async def _ask(check: Check) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return "no answer in time"
    except Exception as error:  # noqa: BLE001 - whatever it is, this node is not ready
        return f"it cannot be looked at: {type(error).__name__}"
