"""Two-step verification of a number: its state, another PIN, turning it off."""

from nightlatch.domain import two_step as rules
from nightlatch.domain.errors import ParameterInvalid, TwoStepIsOff, TwoStepIsOn
from nightlatch.domain.mail import masked
from nightlatch.domain.members import MemberRole
from nightlatch.faces.manager.numbers import shows, to
from nightlatch.faces.manager.wire import Answer, Call, Page, Redirect
from nightlatch.usecases import numbers, portfolios, two_step


async def show(call: Call) -> Answer:
    """On or off, what keeps PINs from being compared, and what can be done."""
    number, shown = await shows(call, "two-step")
    now = call.world.clock.now()
    portfolio = await portfolios.find_portfolio(call.world, call.member.portfolio)
    link = number.link
    alive = link is not None and (
        number.two_step.is_on
        and link.pin_version == number.two_step.version
        and now < link.expires_at
    )
    remaining = number.guesses.remaining(now)
    return Page(
        "two_step.html",
        shown
        | {
            "address": masked(portfolio.email),
            "link_until": link.expires_at if alive and link else None,
            "wait_until": now + remaining if remaining else None,
        },
    )


async def set_form(call: Call) -> Answer:
    """A PIN, twice; and one that nobody would guess. Raises TwoStepIsOn."""
    number, shown = await shows(call, "two-step", MemberRole.ADMIN)
    if number.two_step.is_on and call.problem is None:
        raise TwoStepIsOn
    return Page("two_step_set.html", shown | {"offered": two_step.suggest_pin(call.world)})


async def set_pin(call: Call) -> Answer:
    """Raises ParameterInvalid, TwoStepIsOn."""
    number = await numbers.seen_by(call.world, call.member, call.path["number"], MemberRole.ADMIN)
    await two_step.set_pin(call.world, call.member, number, _new_pin(call))
    return Redirect(to(number, "/two-step"), "pin_set")


async def change_form(call: Call) -> Answer:
    """The current PIN, and another one twice. Raises TwoStepIsOff."""
    number, shown = await shows(call, "two-step", MemberRole.ADMIN)
    if not number.two_step.is_on and call.problem is None:
        raise TwoStepIsOff
    now = call.world.clock.now()
    remaining = number.guesses.remaining(now)
    return Page(
        "two_step_change.html",
        shown
        | {
            "offered": two_step.suggest_pin(call.world),
            "wait_until": now + remaining if remaining else None,
        },
    )


async def change_pin(call: Call) -> Answer:
    """What was typed is checked before any guess is spent.

    Raises:
        ParameterInvalid: a field does not fit, or the two new PINs differ.
        TwoStepIsOff, GuessWait, NumberLocked, WrongPin, PinUnchanged, PinChangedMeanwhile: as
            the use case.
    """
    number = await numbers.seen_by(call.world, call.member, call.path["number"], MemberRole.ADMIN)
    current = _pin(call, "current")
    await two_step.change_pin(
        call.world, call.member, call.session, number, current, _new_pin(call)
    )
    return Redirect(to(number, "/two-step"), "pin_changed")


async def turn_off_form(call: Call) -> Answer:
    """Says where the link would be mailed to. Raises TwoStepIsOff."""
    number, shown = await shows(call, "two-step", MemberRole.ADMIN)
    if not number.two_step.is_on and call.problem is None:
        raise TwoStepIsOff
    portfolio = await portfolios.find_portfolio(call.world, call.member.portfolio)
    return Page("two_step_turn_off.html", shown | {"address": masked(portfolio.email)})


async def ask_to_turn_off(call: Call) -> Answer:
    """Mails the link; asked too often it answers the same. Raises TwoStepIsOff."""
    number = await numbers.seen_by(call.world, call.member, call.path["number"], MemberRole.ADMIN)
    await two_step.ask_to_turn_off(call.world, call.member, number)
    return Redirect(to(number, "/two-step"), "turn_off_mailed")


def _pin(call: Call, field: str) -> str:
    try:
        return rules.read_pin(call.form[field])
    except ParameterInvalid as refused:
        raise ParameterInvalid(field, "exactly six digits 0-9") from refused


def _new_pin(call: Call) -> str:
    pin = _pin(call, "pin")
    if call.form["again"] != pin:
        raise ParameterInvalid("again", "the same six digits as the new PIN")
    return pin
