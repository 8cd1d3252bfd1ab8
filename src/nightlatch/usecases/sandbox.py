"""What a test asks of the registry in place of the world: the phone, the mailbox, the person.

Nothing here gets around a rule. Each function does what somebody could do with
the phone in hand, at the mailbox, or in the Manager.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from urllib.parse import unquote

from nightlatch.domain.errors import LinkRefused, MemberUnknown, NumberUnknown
from nightlatch.domain.mail import Letter, MailState, Posted
from nightlatch.domain.members import Member, MemberRole
from nightlatch.domain.numbers import Number
from nightlatch.ports import Rendered, World
from nightlatch.usecases import codes, mail, signing_in, two_step
from nightlatch.usecases.codes import ReceivedCode
from nightlatch.usecases.portfolios import find_portfolio

BY = "sandbox"
"""As audit events name what was done here in nobody's name."""
_AGENT = "sandbox"
_LOOK_EVERY = 0.01
_PATIENCE = 2.0
_LETTERS = 100


async def find_number(world: World, name: str) -> Number:
    """The number with this id, or with these E.164 digits. Raises NumberUnknown."""
    found = await world.store.number(name) or await world.store.number_by_e164(f"+{name}")
    if found is None:
        raise NumberUnknown
    return found


async def portfolio_id(world: World, asked: str | None) -> str:
    """The portfolio that was asked for, else the first one's. Raises PortfolioUnknown."""
    if asked is not None:
        return (await find_portfolio(world, asked)).id
    return (await world.store.portfolios())[0].id


async def step_clock(world: World, step: Callable[[timedelta], None], by: timedelta) -> None:
    """Let *by* pass at once, and have sent what is due by then."""
    step(by)
    world.nudge()


# What arrives


async def handset(world: World, number: Number, patience: float = _PATIENCE) -> list[ReceivedCode]:
    """What the number's phone received, newest first; what is on its way is waited for,
    *patience* seconds at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while await world.store.waiting_for(number.e164):
                await asyncio.sleep(_LOOK_EVERY)
    return await codes.handset(world, number.e164)


async def letters(
    world: World, portfolio: str, patience: float = _PATIENCE
) -> list[tuple[Posted, Rendered]]:
    """A portfolio's letters as the mailbox shows them, newest first.

    Those that were not tried yet are waited for, *patience* seconds at most.
    """
    found = await mail.latest(world, portfolio, _LETTERS)
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while any(_is_fresh(posted) for posted in found):
                await asyncio.sleep(_LOOK_EVERY)
                found = await mail.latest(world, portfolio, _LETTERS)
    return [(posted, mail.read(world, posted)) for posted in found]


def _is_fresh(posted: Posted) -> bool:
    return posted.state is MailState.WAITING and not posted.fault


# What a person does in the Manager, as the portfolio's first owner


async def set_pin(world: World, number: Number, pin: str) -> None:
    """Raises MemberUnknown when the portfolio has no owner, and as ``two_step.set_pin``."""
    await two_step.set_pin(world, await _first_owner(world, number), number, pin)


async def change_pin(world: World, number: Number, current: str, pin: str) -> None:
    """Raises as ``two_step.change_pin``, and MemberUnknown."""
    owner = await _first_owner(world, number)
    session = signing_in.new_session(world, owner, _AGENT, whole=True).session
    await two_step.change_pin(world, owner, session, number, current, pin)


async def ask_to_turn_off(world: World, number: Number) -> None:
    """Raises as ``two_step.ask_to_turn_off``, and MemberUnknown."""
    await two_step.ask_to_turn_off(world, await _first_owner(world, number), number)


async def follow_link(world: World, number: Number, patience: float = _PATIENCE) -> None:
    """Follow the number's newest turn-off link, as the mailbox shows it.

    Raises:
        MemberUnknown: the portfolio has no owner.
        LinkRefused: the mailbox shows no such link, or it is not good any more.
    """
    owner = await _first_owner(world, number)
    for posted, letter in await letters(world, owner.portfolio, patience):
        if posted.letter is Letter.TURN_OFF_LINK and posted.about == number.id:
            token = unquote((letter.link or "").rpartition("/")[2])
            await two_step.follow_link(world, owner, token)
            return
    raise LinkRefused


async def _first_owner(world: World, number: Number) -> Member:
    waba = await world.store.waba(number.waba)
    for member in await world.store.members("" if waba is None else waba.portfolio):
        if member.role is MemberRole.OWNER:
            return member
    raise MemberUnknown
