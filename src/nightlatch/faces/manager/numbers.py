"""Pages of the phone numbers: the list, adding one, and one number's own pages."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

from nightlatch.domain.audit import Link
from nightlatch.domain.errors import NoNumberHeld, ParameterInvalid
from nightlatch.domain.limits import NAME_WINDOW
from nightlatch.domain.members import MemberRole
from nightlatch.domain.numbers import CLOUD_API, NameState, Number
from nightlatch.domain.overview import Show, Tally
from nightlatch.faces import exports, sentences
from nightlatch.faces.manager import states
from nightlatch.faces.manager.wire import PREFIX, Answer, Call, Page, Redirect
from nightlatch.faces.spelling import spell
from nightlatch.ports import NumberLine
from nightlatch.usecases import numbers, overview, portfolios

_ROWS = 15
"""A page stays below 30 KB."""
_EVENTS = 25
_OVERLAP = 8
"""Events before the page's own that are read along, to find the outcome of a guess."""
_TEXT_LENGTH = 80
_COLUMNS = (
    "number", "name", "status", "two_step", "held_by", "wrong_in_a_row",
    "last_event", "last_event_at", "added_at", "id", "account",
)  # fmt: skip
_EVENT_COLUMNS = ("seq", "at", "kind", "what", "by", "place", "details")


def to(number: Number, rest: str = "") -> str:
    """The address of a number's page."""
    return f"{PREFIX}/numbers/{number.id}{rest}"


async def shows(
    call: Call, tab: str, role: MemberRole = MemberRole.VIEWER
) -> tuple[Number, dict[str, Any]]:
    """The number in the path, and what every one of its pages shows.

    Raises:
        NumberUnknown, RoleTooLow: as ``seen_by``.
    """
    number = await numbers.seen_by(call.world, call.member, call.path["number"], role)
    now = call.world.clock.now()
    return number, {
        "here": "numbers",
        "tab": tab,
        "number": number,
        "waba": await portfolios.find_waba(call.world, call.member, number.waba),
        "status": states.status(number),
        "on_cloud": number.holder == CLOUD_API,
        "lock": states.two_step(number, now),
    }


# The list


async def listed(call: Call) -> Answer:
    """An account's numbers."""
    waba = await portfolios.find_waba(call.world, call.member, call.path["waba"])
    show, text = _wanted(call)
    after = call.query.get("after") or None
    page = await overview.numbers(call.world, call.member, waba.id, show, text, after, _ROWS)
    tally = await overview.tally(call.world, waba)
    now = call.world.clock.now()
    base = f"{PREFIX}/accounts/{waba.id}/numbers"
    same = _query(show, text)
    return Page(
        "numbers.html",
        {
            "here": "numbers",
            "waba": waba,
            "base": base,
            "show": show,
            "text": text,
            "chips": [
                (base + _asked(_query(one, text)), name, one is show, _amount(one, tally))
                for one, name in states.SHOWN.items()
            ],
            "lines": [
                (line, states.status(line.number), states.two_step(line.number, now))
                for line in page.lines
            ],
            "says": sentences.says,
            "next_url": page.next and base + _asked({**same, "after": page.next}),
            "first_url": after and base + _asked(same),
            "rows": "" if text else _amount(show, tally),
            "csv": f"{base}/export" + _asked({"format": "csv", **same}),
            "jsonl": f"{base}/export" + _asked({"format": "jsonl", **same}),
        },
    )


async def export(call: Call) -> Answer:
    """The whole list as a file."""
    written = exports.read_format(call.query.get("format", ""))
    waba = await portfolios.find_waba(call.world, call.member, call.path["waba"])
    show, text = _wanted(call)
    rows = overview.all_numbers(call.world, call.member, waba.id, show, text)
    now = call.world.clock.now()

    def cells(line: NumberLine) -> exports.Cells:
        number = line.number
        return {
            "number": number.e164,
            "name": number.name,
            "status": number.status.value,
            "two_step": states.two_step_words(number, now),
            "held_by": number.holder,
            "wrong_in_a_row": number.guesses.run,
            "last_event": None if line.last is None else sentences.says(line.last),
            "last_event_at": None if line.last is None else line.last.at.isoformat(),
            "added_at": number.created_at.isoformat(),
            "id": number.id,
            "account": number.waba,
        }

    return exports.download("numbers", written, _COLUMNS, rows, cells)


def _wanted(call: Call) -> tuple[Show, str]:
    text = call.query.get("text", "")[:_TEXT_LENGTH]
    asked = call.query.get("show") or Show.ALL
    try:
        return Show(asked), text
    except ValueError as error:
        raise ParameterInvalid("show", "one of the lists of the page") from error


def _amount(show: Show, tally: Tally) -> int | str:
    """How many rows an export of the list has, where that is counted anyway."""
    if show is Show.ALL:
        return tally.numbers
    counted = (Show.PROTECTED, Show.UNPROTECTED, Show.WAITING, Show.LOCKED, Show.ATTACKED)
    return int(getattr(tally, show.value)) if show in counted else ""


def _query(show: Show, text: str) -> dict[str, str]:
    asked = {"show": show.value} if show is not Show.ALL else {}
    return asked | ({"text": text} if text else {})


def _asked(query: dict[str, str]) -> str:
    return f"?{urlencode(query)}" if query else ""


# Adding


async def add_form(call: Call) -> Answer:
    """Country code, number, display name."""
    waba = await portfolios.find_waba(call.world, call.member, call.path["waba"])
    return Page("number_add.html", {"here": "numbers", "waba": waba})


async def add(call: Call) -> Answer:
    """Raises ParameterInvalid, NumberExists, WabaUnknown, RoleTooLow."""
    form = call.form
    e164, cc = spell(form["cc"].strip().removeprefix("+"), form["phone_number"])
    name = form["name"].strip()
    added = await numbers.add_by_member(call.world, call.member, call.path["waba"], e164, cc, name)
    return Redirect(to(added), "number_added")


# One number


async def settings(call: Call) -> Answer:
    """What the number is, and everything that happened to it."""
    number, shown = await shows(call, "number")
    before = _seq(call.query.get("before", ""))
    read_from = None if before is None else before + _OVERLAP
    links = await overview.timeline(call.world, number, read_from, _EVENTS + _OVERLAP)
    told, older = _cut(list(links), before)
    now = call.world.clock.now()
    next_wait = number.guesses.remaining(now)
    return Page(
        "number.html",
        shown
        | {
            "lines": told,
            "name_state": states.name_state(number),
            "code_state": states.code_state(number, now),
            "wait_until": now + next_wait if next_wait else None,
            "next_url": older and to(number, f"?before={older}"),
            "first_url": before and to(number),
        },
    )


def _cut(links: list[Link], before: int | None) -> tuple[list[sentences.Line], int | None]:
    """The lines of one page, and the seq that the next one begins below, if there is one."""
    own = [link for link in links if before is None or link.seq < before][:_EVENTS]
    if not own:
        return [], None
    last = own[-1].seq
    read = [link for link in links if link.seq >= last]
    shown = {link.seq for link in own}
    told = [line for line in sentences.lines(read) if line.seq in shown]
    return told, last if last > 1 else None


def _seq(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else None


async def export_timeline(call: Call) -> Answer:
    """Every event of the number, the oldest first."""
    written = exports.read_format(call.query.get("format", ""))
    number = await numbers.seen_by(call.world, call.member, call.path["number"])

    def cells(link: Link) -> exports.Cells:
        event = link.event
        return {
            "seq": link.seq,
            "at": event.at.isoformat(),
            "kind": event.kind.value,
            "what": sentences.says(event),
            "by": event.by,
            "place": event.place,
            "details": "; ".join(f"{name}={value}" for name, value in event.details),
        }

    rows: AsyncIterator[Link] = overview.whole_timeline(call.world, number)
    return exports.download(f"timeline-{number.e164[1:]}", written, _EVENT_COLUMNS, rows, cells)


# Its display name


async def name_form(call: Call) -> Answer:
    """The name, its review, and when it may change again."""
    number, shown = await shows(call, "name", MemberRole.ADMIN)
    again = None
    if number.registered_at is not None and number.name_set_at is not None:
        again = number.name_set_at + NAME_WINDOW
        again = again if again > call.world.clock.now() else None
    return Page(
        "number_name.html", shown | {"name_state": states.name_state(number), "again": again}
    )


async def change_name(call: Call) -> Answer:
    """Raises ParameterInvalid, NameWait."""
    number = await _admins(call)
    changed = await numbers.ask_name(
        call.world, number, call.form["name"].strip(), call.member.email
    )
    done = "name_changed" if changed.name_state is NameState.APPROVED else "name_asked"
    return Redirect(to(number, "/name"), done)


# Unlocking and letting go


async def unlock_form(call: Call) -> Answer:
    """Asks once more."""
    _, shown = await shows(call, "number", MemberRole.ADMIN)
    return Page("number_unlock.html", shown)


async def unlock(call: Call) -> Answer:
    """The count of wrong PINs starts anew."""
    number = await _admins(call)
    await numbers.unlock(call.world, number, call.member.email)
    return Redirect(to(number), "number_unlocked")


async def deregister_form(call: Call) -> Answer:
    """Asks once more. Raises NoNumberHeld."""
    number, shown = await shows(call, "number", MemberRole.ADMIN)
    if number.holder is None and call.problem is None:
        raise NoNumberHeld
    return Page("number_deregister.html", shown)


async def deregister(call: Call) -> Answer:
    """Raises NoNumberHeld, RegistrationWait."""
    number = await _admins(call)
    await numbers.deregister(call.world, number, call.member.email)
    return Redirect(to(number), "number_deregistered")


async def _admins(call: Call) -> Number:
    return await numbers.seen_by(call.world, call.member, call.path["number"], MemberRole.ADMIN)
