"""The first page: the portfolio at a glance; and adding an account to it."""

from nightlatch.domain.overview import Show, Tally
from nightlatch.faces import sentences, sentences_cloud
from nightlatch.faces.manager import chart, states
from nightlatch.faces.manager.wire import PREFIX, Answer, Call, Page, Redirect
from nightlatch.usecases import linked, links, overview, portfolios

_ACCOUNTS = 6
_ATTACKED = 6
_ALARMED = 6
"""Shown at once; a page stays below 30 KB."""


async def show(call: Call) -> Answer:
    """Counts, numbers under attack, the last thirty days, each account."""
    found = await overview.overview(call.world, call.member)
    now = call.world.clock.now()
    accounts = await links.links(call.world, call.member.portfolio)
    alarmed = await linked.alarmed(call.world, call.member.portfolio) if accounts else []
    first = _place(call.query.get("accounts", ""))
    last = first + _ACCOUNTS
    return Page(
        "overview.html",
        {
            "here": "overview",
            "total": found.total,
            "tiles": _tiles(found.total),
            "only": found.accounts[0][0] if len(found.accounts) == 1 else None,
            "accounts": found.accounts[first:last],
            "accounts_in_all": len(found.accounts),
            "next_url": _from(last) if last < len(found.accounts) else None,
            "first_url": _from(0) if first else None,
            "attacked": [
                (line, states.two_step(line.number, now)) for line in found.attacked[:_ATTACKED]
            ],
            "attacked_in_all": found.total.attacked,
            "linked": accounts,
            "lost": [one for one in accounts if one.lost_at is not None][:_ALARMED],
            "alarmed": [(number, sentences_cloud.alarm(number)) for number in alarmed[:_ALARMED]],
            "alarmed_more": len(alarmed) > _ALARMED,
            "says": sentences.says,
            "chart": chart.draw(found.days),
        },
    )


def _place(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 6 else 0


def _from(place: int) -> str:
    return f"{PREFIX}?accounts={place}#per-account"


def _tiles(total: Tally) -> list[tuple[str, str, str, int]]:
    """List, sign, name and count of each state."""
    return [
        (Show.PROTECTED.value, "ok", "Protected", total.protected),
        (Show.UNPROTECTED.value, "warn", "Unprotected", total.unprotected),
        (Show.WAITING.value, "warn", "Waiting", total.waiting),
        (Show.LOCKED.value, "bad", "Locked", total.locked),
        (Show.ATTACKED.value, "bad", "Under attack", total.attacked),
    ]


async def add_account_form(_call: Call) -> Answer:
    """A name for another WhatsApp account."""
    return Page("account_add.html", {"here": "overview"})


async def add_account(call: Call) -> Answer:
    """Raises ParameterInvalid, RoleTooLow."""
    waba = await portfolios.add_waba_by_member(call.world, call.member, call.form["name"])
    return Redirect(f"{PREFIX}/accounts/{waba.id}/numbers", "account_added")
