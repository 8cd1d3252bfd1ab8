"""The hashing pool and the key ring, watched."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from nightlatch import traces
from nightlatch.domain.errors import Overloaded, Unavailable
from nightlatch.faces.metrics import Metrics
from nightlatch.ports import Hasher, HashPlace, Keys


class WatchedHasher:
    """The ``Hasher`` port around another."""

    def __init__(self, hasher: Hasher, metrics: Metrics) -> None:
        self._hasher = hasher
        self._metrics = metrics

    @asynccontextmanager
    async def place(self) -> AsyncIterator[HashPlace]:
        async with AsyncExitStack() as held:
            try:
                place = await held.enter_async_context(self._hasher.place())
            except Overloaded:
                self._metrics.hash_refused.inc()
                raise
            self._metrics.hash_busy.inc()
            held.callback(self._metrics.hash_busy.dec)
            yield _WatchedPlace(place, self._metrics)


class _WatchedPlace:
    """The ``HashPlace`` port around another."""

    def __init__(self, place: HashPlace, metrics: Metrics) -> None:
        self._place = place
        self._seconds = metrics.hash_seconds

    async def make(self, secret: str, bound_to: str) -> bytes:
        with traces.span("hash"), self._seconds.time():
            return await self._place.make(secret, bound_to)

    async def matches(self, verifier: bytes | None, secret: str, bound_to: str) -> bool:
        began = time.perf_counter()
        with traces.span("hash"):
            right = await self._place.matches(verifier, secret, bound_to)
        self._seconds.observe(time.perf_counter() - began)
        return right


class WatchedKeys:
    """The ``Keys`` port around another."""

    def __init__(self, keys: Keys, metrics: Metrics) -> None:
        self._keys = keys
        self._failed = metrics.unsealing_failed
        self.seal = keys.seal
        self.keyed_hash = keys.keyed_hash
        self.sign = keys.sign
        self.signed = keys.signed

    def unseal(self, sealed: bytes, bound_to: str) -> bytes:
        try:
            return self._keys.unseal(sealed, bound_to)
        except Unavailable:
            self._failed.inc()
            raise
