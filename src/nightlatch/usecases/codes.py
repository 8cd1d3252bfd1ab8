"""Registration codes on their way to a phone, and what the handset shows."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from nightlatch.domain.limits import SEND_SECONDS
from nightlatch.ports import CodeSender, OutboxMessage, World, bound_to

_LEASE = timedelta(seconds=60)
_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(minutes=1)
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class ReceivedCode:
    """A message on the handset, readable."""

    code: str
    method: str
    received_at: datetime
    expires_at: datetime

    @property
    def shown(self) -> str:
        """As the message spells it: ``123-456``."""
        return f"{self.code[:3]}-{self.code[3:]}"


async def deliver(world: World, sender: CodeSender) -> int:
    """Send what is due; returns how many messages arrived.

    One that fails, or takes longer than SEND_SECONDS, is tried again, later and
    later, until its code expires. None waits for another. Nothing about the code
    or its budget changes with the sending.
    """
    now = world.clock.now()
    due = await world.store.lease(now, now + _LEASE, _AT_ONCE)
    return sum(await asyncio.gather(*(_send(world, sender, waiting) for waiting in due)))


async def _send(world: World, sender: CodeSender, waiting: OutboxMessage) -> bool:
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await sender.send(waiting)
    except Exception:  # noqa: BLE001 - a sender may fail in any way; the message stays
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(waiting.attempts, 10))
        await world.store.postpone(waiting.key, world.clock.now() + pause)
        return False
    await world.store.sent(waiting.key)
    return True


async def handset(world: World, e164: str) -> list[ReceivedCode]:
    """What the phone with this number received and is still good, newest first."""
    messages = await world.store.handset(e164, world.clock.now())
    return [
        ReceivedCode(
            world.keys.unseal(message.sealed, bound_to("code", message.number)).decode(),
            message.method,
            message.received_at,
            message.expires_at,
        )
        for message in messages
    ]
