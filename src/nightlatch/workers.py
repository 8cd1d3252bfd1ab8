"""Several server processes on one port: starts them, keeps them, replaces them, ends them.

The listening sockets belong to this process, and every worker inherits them. So a connection
that waits to be accepted is lost to nobody, whichever worker ends, and however.
"""

import asyncio
import contextlib
import itertools
import os
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from prometheus_client.multiprocess import mark_process_dead

from nightlatch.bootstrap import StartRefused, listening, with_certificate
from nightlatch.domain.limits import STOP_SECONDS
from nightlatch.settings import Settings
from nightlatch.worker import READY

_COUNTS: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable, known to prometheus_client, that names the folder where workers count together."""
_START_SECONDS: Final = 60.0
"""How long a worker may take until it answers."""
_END_SECONDS: Final = 2 * STOP_SECONDS + 5.0
"""How long one may take to end: requests in flight, then webhooks on their way."""
_STEADY_SECONDS: Final = 5.0
"""One that ends sooner than this after it answered has died at its start."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 30.0
_TRIES: Final = 3
"""How often in a row one may die at its start while no other serves."""

Step = Callable[[], Awaitable[None]]


async def serve_many(
    settings: Settings, stop: asyncio.Event, replace: asyncio.Event, prepare: Step, ready: Step
) -> None:
    """Serve with ``settings.workers`` processes until *stop* is set.

    *prepare* is awaited before the first is started, *ready* when all of them answer. Each time
    *replace* is set, new ones take the place of the old, one after the other, and no request is
    refused for it. One that ends by itself is started again.

    Raises:
        StartRefused: the address cannot be bound, or workers die again and again at their start.
    """
    listeners = listening(settings)
    try:
        await prepare()
        with_certificate(settings, datetime.now(UTC))
        with tempfile.TemporaryDirectory(prefix="nightlatch-") as folder:
            crew = _Crew(settings.workers, listeners, _environment(settings, folder))
            try:
                await crew.serve(stop, replace, ready)
            finally:
                for listener in listeners:
                    listener.close()
                await crew.end()
    finally:
        for listener in listeners:
            listener.close()


def _environment(settings: Settings, folder: str) -> dict[str, str]:
    """What workers find in theirs. Secrets are there already: they come from nowhere else."""
    found = dict(os.environ)
    for one in fields(settings):
        if not one.metadata["secret"]:
            value = getattr(settings, one.name)
            found[one.metadata["env"]] = "" if value is None else str(value)
    threads = settings.hash_threads or max(1, (os.cpu_count() or 1) // settings.workers)
    return found | {
        "NIGHTLATCH_HASH_THREADS": str(threads),
        "NIGHTLATCH_WORKERS": "1",
        _COUNTS: folder,
    }


class _Worker:
    """One process, from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self._process = process
        self.name = name
        self._answered_at: float | None = None
        self.retires = False
        """Whether it was asked to end."""

    @property
    def pid(self) -> int:
        return self._process.pid

    async def answers(self) -> bool:
        """Wait until it does; False when it ended instead, or was ended as it took too long."""
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                if await self._process.stdout.readline() == READY:
                    self._answered_at = asyncio.get_running_loop().time()
                    return True
        await self.end(0)
        return False

    async def ended(self) -> int:
        """Wait for it; its exit status, negative for a signal."""
        return await self._process.wait()

    @property
    def was_steady(self) -> bool:
        """Whether it answered for a while."""
        if self._answered_at is None:
            return False
        return asyncio.get_running_loop().time() - self._answered_at > _STEADY_SECONDS

    def retire(self) -> None:
        """Ask it to end."""
        self.retires = True
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    async def end(self, seconds: float) -> int:
        """Its exit status, after *seconds* at most."""
        try:
            async with asyncio.timeout(seconds):
                return await self.ended()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            return await self.ended()


class _Crew:
    """The workers of one server, each in its place."""

    def __init__(
        self, count: int, listeners: Sequence[socket.socket], environment: Mapping[str, str]
    ) -> None:
        self._count = count
        self._listeners = [listener.fileno() for listener in listeners]
        self._environment = environment
        self._at: dict[int, _Worker] = {}
        self._alive: dict[_Worker, asyncio.Task[None]] = {}
        self._names: set[str] = set()
        self._complete = asyncio.Event()
        self._log = structlog.get_logger()

    async def serve(self, stop: asyncio.Event, replace: asyncio.Event, ready: Step) -> None:
        """Until *stop* is set. Raises StartRefused when it is no use to go on."""
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(stop.wait()),
            asyncio.create_task(self._replace_all(replace, ready)),
            *(asyncio.create_task(self._keep(place)) for place in range(self._count)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def end(self) -> None:
        """End every worker."""
        alive = dict(self._alive)
        for worker in alive:
            worker.retire()
        await asyncio.gather(*(worker.end(_END_SECONDS) for worker in alive), *alive.values())

    async def _keep(self, place: int) -> None:
        """Start a worker, and another one whenever it has ended by itself."""
        misses = 0
        while True:
            worker = await self._start()
            if worker is not None:
                self._at[place] = worker
                if len(self._at) == self._count:
                    self._complete.set()
                worker = await self._last_at(place)
                del self._at[place]
            misses = 0 if worker is not None and worker.was_steady else misses + 1
            if misses >= _TRIES and not self._at:
                raise StartRefused("workers end again and again right at their start")
            await asyncio.sleep(min(_LONGEST_PAUSE, _SHORTEST_PAUSE * 2**misses))

    async def _last_at(self, place: int) -> _Worker:
        """Wait until the worker at *place* has ended, and no other has taken its place."""
        while True:
            worker = self._at[place]
            await worker.ended()
            if worker is self._at[place]:
                return worker

    async def _start(self) -> _Worker | None:
        """A worker that answers; None when it ended before."""
        name = next(name for name in map(str, itertools.count()) if name not in self._names)
        self._names.add(name)  # and with it what others have counted under it
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "nightlatch.worker", name, *map(str, self._listeners)),
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=self._listeners,
        )
        worker = _Worker(process, name)
        self._alive[worker] = asyncio.create_task(self._watch(worker))
        return worker if await worker.answers() else None

    async def _watch(self, worker: _Worker) -> None:
        self._log.info("worker started", worker=worker.pid)
        status = await worker.ended()
        del self._alive[worker]
        mark: Any = mark_process_dead  # it has no types
        mark(worker.name, self._environment[_COUNTS])
        self._names.discard(worker.name)
        if worker.retires:
            self._log.info("worker ended", worker=worker.pid, status=status)
        else:
            self._log.error("worker died", worker=worker.pid, status=status)

    async def _replace_all(self, replace: asyncio.Event, ready: Step) -> None:
        await self._complete.wait()
        await ready()
        while True:
            await replace.wait()
            replace.clear()
            done = [await self._replace(place) for place in range(self._count)]
            if all(done):
                self._log.info("workers replaced")
            else:
                self._log.error("workers not replaced", workers=done.count(False))

    async def _replace(self, place: int) -> bool:
        """Start another worker for *place*, then end the one that is there. Whether that went well.

        The old one stays when the new one does not start.
        """
        old = self._at.get(place)
        if old is None:
            return False  # it died, and is being started again
        new = await self._start()
        if new is None:
            return False
        if self._at.get(place) is not old:  # it died meanwhile, and was started again
            old = new
        else:
            self._at[place] = new
        old.retire()
        await old.end(_END_SECONDS)
        return True
