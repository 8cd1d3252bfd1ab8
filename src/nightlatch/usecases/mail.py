"""Letters on their way, and the embedded mailbox."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nightlatch.domain.errors import MailUnknown
from nightlatch.domain.limits import MAIL_SECONDS
from nightlatch.domain.mail import MailState, Posted
from nightlatch.domain.portfolios import PLACEHOLDER
from nightlatch.ports import (
    MailPutOff,
    MailRefused,
    MailSender,
    Rendered,
    World,
    bound_to,
)

Outcome = Callable[[Posted, datetime], Posted]
_LEASE = timedelta(seconds=60)
_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one round of posting came to."""

    sent: int = 0
    failed: int = 0
    """Given up in this round; somebody should look."""


async def deliver(world: World, sender: MailSender) -> Delivered:
    """Send the letters that are due. None waits for another; one that fails is tried again."""
    now = world.clock.now()
    due = await world.store.lease_mail(now, now + _LEASE, _AT_ONCE)
    states = await asyncio.gather(*(_send(world, sender, posted) for posted in due))
    return Delivered(
        sum(state in (MailState.SENT, MailState.KEPT) for state in states),
        sum(state is MailState.FAILED for state in states),
    )


async def _send(world: World, sender: MailSender, posted: Posted) -> MailState:
    outcome = await _try(world, sender, posted)
    now = world.clock.now()
    return (await world.store.update_mail(posted.key, lambda p: outcome(p, now))).state


async def _try(world: World, sender: MailSender, posted: Posted) -> Outcome:
    """Send once; what is to be written down about it."""
    if posted.is_dead(world.clock.now()):
        return lambda p, now: p.failed("its link died before it could be sent", now)
    if sender.keeps:  # it is written when somebody reads it
        return Posted.kept
    if posted.address == PLACEHOLDER:
        return lambda p, now: p.failed("the portfolio has no address yet", now)
    try:
        async with asyncio.timeout(MAIL_SECONDS):
            await sender.send(posted, _written(world, posted))
    except MailRefused as refused:
        fault = str(refused)
        return lambda p, now: p.failed(fault, now)
    except MailPutOff as put_off:
        fault = str(put_off)
        return lambda p, now: p.put_off(fault, now, reached=True)
    except Exception as error:  # noqa: BLE001 - a sender may fail in any way; the letter stays
        fault = f"not reached: {type(error).__name__}"
        return lambda p, now: p.put_off(fault, now, reached=False)
    return Posted.delivered


def read(world: World, posted: Posted) -> Rendered:
    """The letter for the embedded mailbox. Only one that is kept there shows its link: what a
    mail server is to bring must not be had without the mail.

    Raises:
        Unavailable: the key ring cannot open the link.
    """
    if posted.state is not MailState.KEPT:
        return world.letters.write(posted, None)
    return _written(world, posted)


def _written(world: World, posted: Posted) -> Rendered:
    token = None
    if posted.sealed is not None and not posted.is_dead(world.clock.now()):
        token = world.keys.unseal(posted.sealed, bound_to("mail", posted.about)).decode()
    return world.letters.write(posted, token)


async def latest(world: World, portfolio: str, limit: int) -> Sequence[Posted]:
    """The letters of a portfolio, the latest first."""
    return await world.store.mails(portfolio, limit)


async def find(world: World, key: str, portfolio: str | None = None) -> Posted:
    """A letter, of one portfolio or of any. Raises MailUnknown."""
    posted = await world.store.mail(key)
    if posted is None or portfolio not in (None, posted.portfolio):
        raise MailUnknown
    return posted


async def retry(world: World, key: str, portfolio: str | None = None) -> Posted:
    """Send a letter that failed once more. Raises MailUnknown, MailEnded."""
    posted = await find(world, key, portfolio)
    now = world.clock.now()
    again = await world.store.update_mail(posted.key, lambda p: p.retry(now))
    world.nudge()
    return again
