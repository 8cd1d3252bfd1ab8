"""The portfolio itself: its name, its address, what happened in it."""

from nightlatch.faces import sentences
from nightlatch.faces.manager.wire import PREFIX, Answer, Call, Page, Redirect
from nightlatch.faces.spelling import spell_email
from nightlatch.usecases import overview, portfolios

_PORTFOLIO = PREFIX + "/portfolio"
_EVENTS = PREFIX + "/events"
_SHOWN = 30


async def change_form(call: Call) -> Answer:
    """Its name, and the address that turn-off links go to."""
    found = await portfolios.find_portfolio(call.world, call.member.portfolio)
    return Page("portfolio.html", {"here": "portfolio", "found": found})


async def change(call: Call) -> Answer:
    """Raises ParameterInvalid, SignInRefused, SignInWait."""
    await portfolios.change_by_member(
        call.world,
        call.member,
        call.form["name"],
        spell_email(call.form["email"]),
        call.form["password"],
    )
    return Redirect(_PORTFOLIO, "portfolio_changed")


async def events(call: Call) -> Answer:
    """What happened in the portfolio: the newest first, or those before a place in its trail."""
    before = call.query.get("before", "")
    known = before.isdecimal() and before.isascii() and len(before) < 16
    links = await overview.portfolio_events(
        call.world, call.member, int(before) if known else None, _SHOWN
    )
    further = len(links) == _SHOWN and links[-1].seq > 1
    return Page(
        "events.html",
        {
            "here": "events",
            "lines": sentences.lines(links),
            "next_url": f"{_EVENTS}?before={links[-1].seq}" if further else "",
            "first_url": _EVENTS if known else "",
        },
    )
