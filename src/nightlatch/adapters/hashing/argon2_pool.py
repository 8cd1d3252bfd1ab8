"""Argon2id in a pool of threads, one a core, made nicer than the event loop.

A verifier is ``parameters | salt | hash``, sealed with the key ring for one
owner. Memory is bounded by threads times the cost's memory, and given back
when nobody hashes.
"""

import asyncio
import contextlib
import hmac
import os
import secrets
import struct
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final

from argon2.low_level import Type, hash_secret_raw

from nightlatch.adapters.hashing.memory import give_back
from nightlatch.domain.errors import Overloaded, Unavailable
from nightlatch.domain.limits import HASH_PLACES
from nightlatch.ports import Keys

_SALT = 16
_HASH = 32
_HEAD = struct.Struct(">BIBB")  # version, memory in KiB, passes, lanes
_VERSION = 1
_MOST_MEMORY = 65_536  # KiB; stored parameters beyond these bounds are not believed
_MOST_PASSES = 10
_MOST_LANES = 4
_NICER = 10
_TOLD_TOGETHER: Final = 4
_IDLE = 1.0  # seconds without work after which memory is given back


@dataclass(frozen=True, slots=True)
class Cost:
    """Argon2id parameters: memory in KiB, passes, lanes."""

    memory: int
    passes: int
    lanes: int


OWASP: Final = Cost(19_456, 2, 1)
"""OWASP Password Storage Cheat Sheet: 19 MiB, t=2, p=1."""
CHEAP: Final = Cost(8, 1, 1)
"""For tests only: the least the algorithm takes."""


class Argon2Pool:
    """The ``Hasher`` port."""

    def __init__(
        self, keys: Keys, cost: Cost = OWASP, threads: int | None = None, places: int | None = None
    ) -> None:
        self._keys = keys
        self.cost = cost
        self.threads = threads or os.cpu_count() or 1
        self._free = places or self.threads * HASH_PLACES
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._finished: list[Callable[[], None]] = []
        self._telling = threading.Lock()
        self._crew = [
            threading.Thread(target=self._run, name=f"argon2-{n}", daemon=True)
            for n in range(self.threads)
        ]
        for thread in self._crew:
            thread.start()
        self.computed = 0
        """Slow hashes computed since the start."""

    def close(self) -> None:
        """Finish what is queued and end the threads."""
        for _ in self._crew:
            self._work.put(None)
        for thread in self._crew:
            thread.join()

    @asynccontextmanager
    async def place(self) -> AsyncIterator["Argon2Pool"]:
        if self._free <= 0:
            raise Overloaded
        self._free -= 1
        try:
            yield self
        finally:
            self._free += 1

    async def make(self, secret: str, bound_to: str) -> bytes:
        salt = secrets.token_bytes(_SALT)
        head = _HEAD.pack(_VERSION, self.cost.memory, self.cost.passes, self.cost.lanes)
        return self._keys.seal(head + salt + await self._hash(secret, salt, self.cost), bound_to)

    async def matches(self, verifier: bytes | None, secret: str, bound_to: str) -> bool:
        if verifier is None:
            await self._hash(secret, bytes(_SALT), self.cost)
            return False
        plain = self._keys.unseal(verifier, bound_to)
        cost, salt, expected = _parse(plain)
        return hmac.compare_digest(await self._hash(secret, salt, cost), expected)

    async def _hash(self, secret: str, salt: bytes, cost: Cost) -> bytes:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bytes] = loop.create_future()

        def work() -> None:
            if done.done():  # nobody waits any more, and the place is somebody else's
                return
            try:
                value = hash_secret_raw(
                    secret.encode(), salt, cost.passes, cost.memory, cost.lanes, _HASH, Type.ID
                )
            except Exception as error:  # noqa: BLE001 - handed to whoever waits
                settle = partial(done.set_exception, error)
            else:
                settle = partial(done.set_result, value)
            self._finished.append(partial(_tell, loop, done, settle))

        self._work.put(work)
        self.computed += 1
        return await done

    def _run(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # not every system nices one thread
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICER)
        while (work := self._next()) is not None:
            work()
            self._tell_finished()
        self._tell_finished()

    def _tell_finished(self) -> None:
        """Tell who waits, some at a time while others still queue.

        Each hash sweeps the processor's caches, so waking the loop and the
        writer for one answer costs nearly as much as for several. Whoever takes
        what is left in the queue asks again, so nobody is forgotten.
        """
        with self._telling:
            if len(self._finished) < _TOLD_TOGETHER and not self._work.empty():
                return
            finished, self._finished = self._finished, []
        for tell in finished:
            tell()

    def _next(self) -> Callable[[], None] | None:
        try:
            return self._work.get(timeout=_IDLE)
        except Empty:
            give_back()
            return self._work.get()


def _tell(
    loop: asyncio.AbstractEventLoop, done: "asyncio.Future[bytes]", settle: Callable[[], None]
) -> None:
    with contextlib.suppress(RuntimeError):  # the loop may be closed by now
        loop.call_soon_threadsafe(lambda: None if done.done() else settle())


def _parse(plain: bytes) -> tuple[Cost, bytes, bytes]:
    if len(plain) != _HEAD.size + _SALT + _HASH:
        raise Unavailable
    version, memory, passes, lanes = _HEAD.unpack_from(plain)
    if (
        version != _VERSION
        or not 8 * lanes <= memory <= _MOST_MEMORY
        or not 1 <= passes <= _MOST_PASSES
        or not 1 <= lanes <= _MOST_LANES
    ):
        raise Unavailable
    salt = plain[_HEAD.size : _HEAD.size + _SALT]
    return Cost(memory, passes, lanes), salt, plain[_HEAD.size + _SALT :]
