"""Hashers that let a test look, act or fail while a secret is being compared."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from nightlatch.domain.errors import Overloaded
from nightlatch.ports import Hasher, HashPlace

Hook = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    pass


@dataclass
class WatchedHasher:
    """The real hasher, with something done just before each comparison and each making."""

    inner: Hasher
    before_compare: Hook = _nothing
    before_make: Hook = _nothing
    compared: list[str] = field(default_factory=list)
    """Every secret that was compared, in order."""
    against: list[bytes | None] = field(default_factory=list)
    """The verifier of each comparison."""

    @asynccontextmanager
    async def place(self) -> AsyncIterator[HashPlace]:
        async with self.inner.place() as inner:
            yield _WatchedPlace(self, inner)


@dataclass
class _WatchedPlace:
    hasher: WatchedHasher
    inner: HashPlace

    async def make(self, secret: str, bound_to: str) -> bytes:
        await self.hasher.before_make()
        return await self.inner.make(secret, bound_to)

    async def matches(self, verifier: bytes | None, secret: str, bound_to: str) -> bool:
        await self.hasher.before_compare()
        self.hasher.compared.append(secret)
        self.hasher.against.append(verifier)
        return await self.inner.matches(verifier, secret, bound_to)


class FullHasher:
    """A pool in which every place is taken."""

    @asynccontextmanager
    async def place(self) -> AsyncIterator[HashPlace]:
        raise Overloaded
        yield
