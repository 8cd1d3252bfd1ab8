"""Numbers of linked accounts: what is true of each, what to do next, and doing it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from nightlatch.domain import diagnosis, two_step
from nightlatch.domain.audit import Link
from nightlatch.domain.diagnosis import Diagnosis, Level, Step
from nightlatch.domain.errors import ParameterInvalid
from nightlatch.domain.ledger import Act
from nightlatch.domain.linked import LinkedNumber
from nightlatch.domain.members import MemberRole
from nightlatch.faces import sentences, sentences_cloud
from nightlatch.faces.manager import cloud_links
from nightlatch.faces.manager.cloud_links import CLOUD
from nightlatch.faces.manager.states import State
from nightlatch.faces.manager.wire import Answer, Call, Page, Problem, Redirect
from nightlatch.usecases import bridge, doctor, linked, links, vault

NUMBERS: Final = CLOUD + "/numbers"
_ROWS: Final = 15
_EVENTS: Final = 10
_OVERLAP: Final = 6
_HEALTH: Final = 8
_ALERTS: Final = 6
"""Shown at once; a page stays below 30 KB."""
_E164: Final = re.compile(r"\+[1-9][0-9]{1,14}", re.ASCII)
_SEQ: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_SIX: Final = "exactly six digits 0-9"
_TONES: Final = {Level.BLOCKS: "bad", Level.WARNS: "warn", Level.TELLS: "info"}
_STOPPED: Final = frozenset({"BANNED", "DELETED", "MIGRATED"})
_PLACES: Final = {
    "CLOUD_API": "Cloud API", "ON_PREMISE": "On-Premises API", "NOT_APPLICABLE": "nowhere",
}  # fmt: skip
_SENDS: Final = {"AVAILABLE": "ok", "LIMITED": "warn", "BLOCKED": "bad"}


# Many


async def listed(call: Call) -> Answer:
    """An account's numbers, by E.164. Raises LinkUnknown."""
    one, shown = await cloud_links.shows(call)
    given = call.query.get("after", "")
    after = given if _E164.fullmatch(given) else ""
    read = await linked.numbers_of(call.world, one, after, _ROWS + 1)
    now, base = call.world.clock.now(), f"{CLOUD}/{one.waba}/numbers"
    lines = read[:_ROWS]
    more = f"{base}?{urlencode({'after': lines[-1].e164})}" if len(read) > _ROWS else ""
    return Page(
        "cloud_numbers.html",
        shown
        | {
            "lines": [(n, state(n), pin(n), place(n), spent(n, Act.REGISTER, now)) for n in lines],
            "count": await call.world.store.linked_count(one.waba),
            "next_url": more,
            "first_url": base if after else "",
        },
    )


def state(number: LinkedNumber) -> State:
    """Whether the Cloud API holds it."""
    facts = number.facts
    if number.under_way is not None:
        return State("warn", "Outcome unknown")
    if facts.status in _STOPPED:
        return State("bad", facts.status.capitalize())
    if facts.registered is None:
        return State("off", "Not known")
    if not facts.registered:
        return State("off", "Not registered")
    return State("ok", "Registered") if facts.status == "CONNECTED" else State(
        "warn", facts.status.replace("_", " ").capitalize()
    )  # fmt: skip


def pin(number: LinkedNumber) -> State:
    """What is known of its PIN."""
    kept, words = number.vault, sentences_cloud.pin_state(number)
    if number.facts.pin_on is None:
        kind = "off"
    elif number.facts.pin_on and kept.is_good and number.off_asked_at is None:
        kind = "ok"
    else:
        kind = "warn"
    return State(kind, words[0].upper() + words[1:])


def place(number: LinkedNumber) -> str:
    """Where it is registered, as Meta shows it."""
    return _PLACES.get(number.facts.platform, number.facts.platform or "not known")


@dataclass(frozen=True, slots=True)
class Spent:
    """One line of the ledger."""

    name: str
    used: int
    of: int
    """How many may be attempted within the window, without the one that is kept back."""
    left: int
    safe_at: datetime | None
    """When it may be attempted next; None when it may be now."""


def spent(number: LinkedNumber, act: Act, now: datetime) -> Spent:
    """What was attempted, and what is left."""
    ledger, name = number.ledger, sentences_cloud.act_name(act)
    safe = ledger.next_safe(act, now)
    return Spent(
        name[0].upper() + name[1:], ledger.count(act, now), act.safe_limit,
        ledger.left(act, now), safe if safe > now else None,
    )  # fmt: skip


# One


async def show(call: Call) -> Answer:
    """Everything that is known of the number, and what to do next. Raises LinkedNumberUnknown."""
    number, shown = await _shows(call)
    told = await doctor.known_of(call.world, number)
    now = call.world.clock.now()
    given = call.query.get("before", "")
    before = int(given) if _SEQ.fullmatch(given) else None
    read_from = None if before is None else before + _OVERLAP
    trail = await linked.timeline(call.world, number, read_from, _EVENTS + _OVERLAP)
    lines, older = _cut(trail, before)
    here = shown["here_url"]
    return Page(
        "cloud_number.html",
        shown
        | {
            "told": told,
            "findings": [
                (_TONES[one.level], sentences_cloud.finding(one))
                for one in sorted(told.findings, key=lambda one: list(Level).index(one.level))
                if one.trouble not in (diagnosis.Trouble.ALERT, diagnosis.Trouble.HEALTH)
            ],
            "prospect": sentences_cloud.prospect(told.prospect, number, now),
            "step": sentences_cloud.step(told.step, number),
            "act": _act(told, shown),
            "place": place(number),
            "ledger": [spent(number, act, now) for act in Act],
            "alerts": [sentences_cloud.alert(one) for one in number.alerts[-_ALERTS:]],
            "alerts_in_all": len(number.alerts),
            "health": [(one, _SENDS.get(one.can_send, "off")) for one in _health(number)],
            "closed": number.guesses.locked or bool(number.guesses.remaining(now)),
            "has_pin": number.vault.current is not None or bool(number.vault.maybe),
            "lines": lines,
            "next_url": f"{here}?before={older}" if older else "",
            "first_url": here if before is not None else "",
        },
    )


def _health(number: LinkedNumber) -> Sequence[Any]:
    return number.facts.health[:_HEALTH]


def _act(told: Diagnosis, shown: dict[str, Any]) -> tuple[str, str, bool] | None:
    """Address and words of the button that does the next step, and whether it is a form's; None
    when there is none, or it is not for this member."""
    here, account = shown["here_url"], f"{CLOUD}/{told.link.waba}"
    for_owners = {
        Step.RENEW_TOKEN: (f"{account}/token", "Renew the token", False),
        Step.SUBSCRIBE: (f"{account}/subscribe", "Subscribe", True),
    }
    for_admins = {
        Step.WAIT_FOR_OUTCOME: (f"{here}/ask", "Ask Meta now", True),
        Step.SET_PIN: (f"{here}/pin", "Set a new PIN", False),
        Step.FIND_PIN: (f"{here}/keep", "Note the PIN", False),
        Step.REGISTER: (f"{here}/register", "Register", False),
        Step.APPLY_NAME: (f"{here}/register", "Register again", False),
    }
    for_all = {Step.SEE_ALERTS: ("#alerts", "See the alerts", False)}
    offered = for_all | (for_admins if shown["admin"] else {}) | (
        for_owners if shown["owner"] else {}
    )  # fmt: skip
    return offered.get(told.step)


def _cut(trail: Sequence[Link], before: int | None) -> tuple[list[sentences.Line], int | None]:
    """The lines of one page, and the seq that the next one begins below, if there is one."""
    own = [link for link in trail if before is None or link.seq < before][:_EVENTS]
    if not own:
        return [], None
    last = own[-1].seq
    shown = {link.seq for link in own}
    told = sentences.lines([link for link in trail if link.seq >= last])
    return [line for line in told if line.seq in shown], last if last > 1 else None


async def checks(call: Call) -> Answer:
    """What is missing before the number moves, by what is known. Raises LinkedNumberUnknown."""
    number, shown = await _shows(call)
    told = await doctor.known_of(call.world, number)
    lists = _checklists(told, call.world.clock.now())
    return Page(
        "cloud_checks.html",
        shown
        | {
            "lists": [
                (title, [(one.passed, sentences_cloud.check(one)) for one in lines])
                for title, lines in lists
            ]
        },
    )


def _checklists(told: Diagnosis, now: datetime) -> list[tuple[str, Sequence[diagnosis.Check]]]:
    return [
        (title, diagnosis.checklist(told.number, told.link, now, moving=moving))
        for title, moving in (
            ("Before it is registered here", False),
            ("Before another provider takes it over", True),
        )
    ]


async def ask(call: Call) -> Answer:
    """Raises LinkedNumberUnknown, CloudUnreached, CloudAccessLost, CloudCallsSpent."""
    number = await _admins(call)
    await doctor.examine_one(call.world, number)
    return Redirect(_to(number), "meta_asked")


async def see(call: Call) -> Answer:
    """Raises LinkedNumberUnknown."""
    number = await _admins(call)
    await linked.see_alerts(call.world, number, call.member.email)
    return Redirect(_to(number), "alerts_seen")


# Its PIN


async def pin_form(call: Call) -> Answer:
    """A PIN to set at Meta, or none to have one drawn. Raises LinkedNumberUnknown."""
    number, shown = await _shows(call)
    now = call.world.clock.now()
    return Page("cloud_pin.html", shown | {"spent": spent(number, Act.PIN, now)})


async def set_pin(call: Call) -> Answer:
    """Raises ParameterInvalid, and what ``bridge.attempt`` raises."""
    number, given = await _admins(call), call.form["pin"]
    chosen = _pin(given) if given else None
    await vault.rotate(call.world, number, call.member.email, chosen)
    return Redirect(_to(number), "cloud_pin_set")


async def keep_form(call: Call) -> Answer:
    """Raises LinkedNumberUnknown."""
    _, shown = await _shows(call)
    return Page("cloud_keep.html", shown)


async def keep(call: Call) -> Answer:
    """Raises ParameterInvalid, OutcomeUnknown."""
    number = await _admins(call)
    await vault.keep(call.world, number, _pin(call.form["pin"]), call.member.email)
    return Redirect(_to(number), "cloud_pin_kept")


async def reveal_form(call: Call) -> Answer:
    """Asks for the member's password. Raises LinkedNumberUnknown."""
    _, shown = await _shows(call)
    return Page("cloud_reveal.html", shown | _about(call, ""))


async def reveal(call: Call) -> Answer:
    """Shows the PIN, this once. Raises PinNotInVault, SignInRefused, SignInWait."""
    number = await linked.linked_seen_by(call.world, call.member, call.path["phone"])
    told = await vault.reveal_by_member(call.world, call.member, call.form["password"], number)
    _, shown = await _shows(call)
    return Page("cloud_revealed.html", shown | {"told": told})


# Registering


async def register_form(call: Call) -> Answer:
    """A client, a PIN if the vault's is not to be brought. Raises LinkedNumberUnknown."""
    number, shown = await _shows(call)
    told = await doctor.known_of(call.world, number)
    now = call.world.clock.now()
    return Page(
        "cloud_register.html",
        shown
        | _about(call, "pin")
        | {
            "clients": [(name, name) for name in told.link.clients],
            "prospect": sentences_cloud.prospect(told.prospect, number, now),
            "spent": spent(number, Act.REGISTER, now),
            "kept_back": _kept_back(number, Act.REGISTER, now),
        },
    )


async def register(call: Call) -> Answer:
    """Raises ParameterInvalid, PinNotInVault, and what ``bridge.attempt`` raises."""
    number, form = await _admins(call), call.form
    given = _pin(form["pin"]) if form["pin"] else None
    await bridge.register(
        call.world, number, given, form["client"], call.member.email, force=bool(form["force"])
    )
    return Redirect(_to(number), "cloud_registered")


async def deregister_form(call: Call) -> Answer:
    """Asks whether it is meant. Raises LinkedNumberUnknown."""
    number, shown = await _shows(call)
    now = call.world.clock.now()
    return Page(
        "cloud_deregister.html",
        shown
        | {
            "spent": spent(number, Act.DEREGISTER, now),
            "kept_back": _kept_back(number, Act.DEREGISTER, now),
        },
    )


async def deregister(call: Call) -> Answer:
    """Raises what ``bridge.attempt`` raises."""
    number = await _admins(call)
    await bridge.deregister(call.world, number, call.member.email, force=bool(call.form["force"]))
    return Redirect(_to(number), "cloud_deregistered")


async def release_form(call: Call) -> Answer:
    """Asks whether it is meant. Raises LinkedNumberUnknown."""
    _, shown = await _shows(call)
    return Page("cloud_release.html", shown)


async def release(call: Call) -> Answer:
    """Raises LinkedNumberUnknown."""
    number = await _admins(call)
    await linked.release(call.world, number, call.member.email)
    return Redirect(_to(number), "cloud_released")


async def unlock_form(call: Call) -> Answer:
    """Asks whether it is meant. Raises LinkedNumberUnknown."""
    _, shown = await _shows(call)
    return Page("cloud_unlock.html", shown)


async def unlock(call: Call) -> Answer:
    """Raises LinkedNumberUnknown."""
    number = await _admins(call)
    await linked.unlock(call.world, number, call.member.email)
    return Redirect(_to(number), "number_unlocked")


async def _shows(call: Call) -> tuple[LinkedNumber, dict[str, Any]]:
    """The number, and what all its pages show."""
    number = await linked.linked_seen_by(call.world, call.member, call.path["phone"])
    role = call.member.role
    return number, {
        "here": "cloud",
        "number": number,
        "account": await links.link_of(call.world, number),
        "here_url": _to(number),
        "state": state(number),
        "pin": pin(number),
        "owner": role is MemberRole.OWNER,
        "admin": role is not MemberRole.VIEWER,
    }


async def _admins(call: Call) -> LinkedNumber:
    return await linked.linked_seen_by(
        call.world, call.member, call.path["phone"], MemberRole.ADMIN
    )


def _about(call: Call, field: str) -> dict[str, Problem]:
    """The problem, about *field* in place of one that the page has not."""
    problem = call.problem
    if problem is None or problem.field in call.form or not problem.field:
        return {}
    return {"problem": replace(problem, field=field)}


def _pin(text: str) -> str:
    try:
        return two_step.read_pin(text)
    except ParameterInvalid as refused:
        raise ParameterInvalid("pin", _SIX) from refused


def _kept_back(number: LinkedNumber, act: Act, now: datetime) -> bool:
    """Whether only the try that is kept back is left."""
    ledger = number.ledger
    return ledger.next_safe(act, now) > now >= ledger.next_safe(act, now, force=True)


def _to(number: LinkedNumber) -> str:
    return f"{NUMBERS}/{number.id}"
