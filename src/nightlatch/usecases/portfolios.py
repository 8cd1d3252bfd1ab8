"""Portfolios and their WhatsApp accounts."""

from nightlatch.domain import portfolios
from nightlatch.domain.audit import OPERATOR, Kind
from nightlatch.domain.errors import PortfolioUnknown, WabaUnknown
from nightlatch.domain.members import Member, MemberRole
from nightlatch.domain.portfolios import Portfolio, Waba
from nightlatch.ports import World
from nightlatch.usecases.signing_in import confirm_password

_ID_DIGITS = 14


async def add_portfolio(world: World, name: str, email: str) -> Portfolio:
    """A further portfolio, with one account; nobody is a member of it yet."""
    added = Portfolio(
        "2" + world.chance.digits(_ID_DIGITS),
        portfolios.read_title(name),
        portfolios.read_email(email),
    )
    await world.store.add_portfolio(added)
    await add_waba(world, added.id, name)
    return added


async def find_portfolio(world: World, id: str) -> Portfolio:
    """Raises PortfolioUnknown."""
    portfolio = await world.store.portfolio(id)
    if portfolio is None:
        raise PortfolioUnknown
    return portfolio


async def change_portfolio(
    world: World, portfolio: str, name: str, email: str, by: str = OPERATOR
) -> Portfolio:
    """Another name or address. Raises PortfolioUnknown, ParameterInvalid."""
    name, email = portfolios.read_title(name), portfolios.read_email(email)
    now = world.clock.now()
    return await world.update_portfolio(
        portfolio, lambda p: portfolios.change(p, name, email, by, now)
    )


async def change_by_member(
    world: World, member: Member, name: str, email: str, password: str
) -> Portfolio:
    """``change_portfolio`` by an owner, whose password is asked for again: the address decides
    who may turn two-step verification off.

    Raises:
        RoleTooLow, SignInRefused, SignInWait, ParameterInvalid: nothing changed.
    """
    member.refuse_below(MemberRole.OWNER)
    portfolios.read_title(name)
    portfolios.read_email(email)
    await confirm_password(world, member, password)
    return await change_portfolio(world, member.portfolio, name, email, member.email)


async def add_waba(world: World, portfolio: str, name: str, by: str = OPERATOR) -> Waba:
    """A WhatsApp account. Raises PortfolioUnknown, ParameterInvalid."""
    await find_portfolio(world, portfolio)
    waba = Waba("3" + world.chance.digits(_ID_DIGITS), portfolio, portfolios.read_title(name))
    event = world.event(Kind.WABA_ADDED, by, world.clock.now(), name=waba.name, waba=waba.id)
    await world.store.add_waba(waba, (event,))
    return waba


async def add_waba_by_member(world: World, member: Member, name: str) -> Waba:
    """``add_waba`` in the member's portfolio. Raises RoleTooLow."""
    member.refuse_below(MemberRole.ADMIN)
    return await add_waba(world, member.portfolio, name, member.email)


async def find_waba(world: World, member: Member, id: str) -> Waba:
    """Raises WabaUnknown, also for another portfolio's."""
    waba = await known_waba(world, id)
    if waba.portfolio != member.portfolio:
        raise WabaUnknown
    return waba


async def known_waba(world: World, id: str) -> Waba:
    """A WhatsApp account of any portfolio, for the command line. Raises WabaUnknown."""
    waba = await world.store.waba(id)
    if waba is None:
        raise WabaUnknown
    return waba
