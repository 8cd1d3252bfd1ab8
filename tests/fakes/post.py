"""Mail servers as the world has them: friendly, busy, rude, silent, forgetful."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from nightlatch.domain.mail import Letter, Posted
from nightlatch.ports import MailSender, Rendered


@dataclass
class PostOffice:
    """Takes every letter and remembers it."""

    keeps: bool = False
    taken: list[tuple[Posted, Rendered]] = field(default_factory=list)

    async def send(self, posted: Posted, letter: Rendered) -> None:
        self.taken.append((posted, letter))

    def to(self, address: str, letter: Letter | None = None) -> list[tuple[Posted, Rendered]]:
        """What came for *address*, the first one first."""
        return [
            (posted, rendered)
            for posted, rendered in self.taken
            if posted.address == address and letter in (None, posted.letter)
        ]


@dataclass
class BrokenPost:
    """Fails every time, with this."""

    error: Exception
    keeps: bool = False
    tried: list[Posted] = field(default_factory=list)

    async def send(self, posted: Posted, letter: Rendered) -> None:  # noqa: ARG002 - the port's
        self.tried.append(posted)
        raise self.error


@dataclass
class SlowPost:
    """Takes letters, but something happens in the meantime."""

    inner: MailSender
    meanwhile: Callable[[], Awaitable[None]]
    keeps: bool = False

    async def send(self, posted: Posted, letter: Rendered) -> None:
        await self.meanwhile()
        await self.inner.send(posted, letter)


@dataclass
class ForgetfulPost:
    """Takes the letter, then breaks off as if it had not."""

    inner: MailSender
    keeps: bool = False

    async def send(self, posted: Posted, letter: Rendered) -> None:
        await self.inner.send(posted, letter)
        raise ConnectionResetError


@dataclass
class HangingPost:
    """Never answers; what to give up after is up to the caller."""

    keeps: bool = False
    hung: int = 0

    async def send(self, posted: Posted, letter: Rendered) -> None:  # noqa: ARG002 - the port's
        self.hung += 1
        await asyncio.Event().wait()
