"""Code senders as the world has them: down, slow, forgetful."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from nightlatch.ports import CodeSender, OutboxMessage


@dataclass
class BrokenSender:
    """Fails every time, with this."""

    error: Exception
    tried: list[OutboxMessage] = field(default_factory=list)

    async def send(self, waiting: OutboxMessage) -> None:
        self.tried.append(waiting)
        raise self.error


@dataclass
class SlowSender:
    """Sends, but something happens in the meantime."""

    inner: CodeSender
    meanwhile: Callable[[], Awaitable[None]]

    async def send(self, waiting: OutboxMessage) -> None:
        await self.meanwhile()
        await self.inner.send(waiting)


@dataclass
class ForgetfulSender:
    """Delivers, then fails as if it had not."""

    inner: CodeSender

    async def send(self, waiting: OutboxMessage) -> None:
        await self.inner.send(waiting)
        raise TimeoutError
