"""What is true of a number at the Cloud API, what registering it would do, and the next step.

Symbols only; a face words them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from nightlatch.domain.audit import Detail
from nightlatch.domain.ledger import Act
from nightlatch.domain.linked import LinkedNumber
from nightlatch.domain.links import MESSAGES, CloudLink

_SOON: Final = timedelta(days=14)
_LIST_TAKES: Final = timedelta(hours=1)
"""A number last seen so long before the account's list was read to its end is not on it."""
_FEW: Final = 2
_GOOD_STATUS: Final = frozenset({"CONNECTED", "PENDING", "DISCONNECTED", "UNVERIFIED", ""})


class Level(StrEnum):
    """How bad it is."""

    BLOCKS = "blocks"
    """Registering or setting a PIN cannot work."""
    WARNS = "warns"
    TELLS = "tells"


class Trouble(StrEnum):
    """Everything that can be found."""

    ACCESS_LOST = "access_lost"
    TOKEN_ENDS = "token_ends"  # noqa: S105 - the name of a finding
    MESSAGES_MISSING = "messages_missing"
    NOT_SUBSCRIBED = "not_subscribed"
    NO_SECRET = "no_secret"  # noqa: S105 - the name of a finding
    NOT_LISTED = "not_listed"
    OUTCOME_UNKNOWN = "outcome_unknown"
    ON_APP = "on_business_app"
    HELD_ELSEWHERE = "held_elsewhere"
    STATUS = "status"
    NOT_VERIFIED = "not_verified"
    CODE_EXPIRED = "code_expired"
    NOT_REGISTERED = "not_registered"
    NOT_SERVED = "not_served"
    NAME_WAITS = "name_waits"
    NAME_DECLINED = "name_declined"
    NAME_TO_APPLY = "name_to_apply"
    PIN_OFF = "pin_off"
    PIN_NOT_IN_VAULT = "pin_not_in_vault"
    PIN_DOUBTED = "pin_doubted"
    PIN_MAYBE = "pin_maybe"
    OFF_REMEMBERED = "off_remembered"
    LEDGER_LOW = "ledger_low"
    LEDGER_CLOSED = "ledger_closed"
    GUESSES_CLOSED = "guesses_closed"
    WEBHOOKS_ELSEWHERE = "webhooks_elsewhere"
    HEALTH = "health"
    ALERT = "alert"


class Prospect(StrEnum):
    """What registering the number now would do."""

    NOTHING = "nothing"
    """It is registered and served; nothing would be sent."""
    SUCCEED = "succeed"
    """The vault's PIN would be brought."""
    SET_PIN = "set_pin"
    """It would succeed, and the PIN that is brought becomes the number's."""
    NEEDS_PIN = "needs_pin"
    NEEDS_CODE = "needs_code"
    REFUSED = "refused"
    """For one of the findings that block."""
    LATER = "later"
    """The ledger, or an attempt that was not answered, keeps it from being sent."""


class Step(StrEnum):
    """What to do next; the first that applies."""

    RENEW_TOKEN = "renew_token"  # noqa: S105 - the name of a step
    WAIT_FOR_OUTCOME = "wait_for_outcome"
    LEAVE_APP = "leave_app"
    SEE_ALERTS = "see_alerts"
    SEE_META = "see_meta"
    """Something that only a person can mend at Meta."""
    WAIT = "wait"
    ASK_CODE = "ask_code"
    SET_PIN = "set_pin"
    """Set a new PIN over the API, which asks for no old one."""
    FIND_PIN = "find_pin"
    """Find the PIN out, or turn two-step verification off in WhatsApp Manager."""
    REGISTER = "register"
    APPLY_NAME = "apply_name"
    SUBSCRIBE = "subscribe"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found. ``details`` are facts, Meta's own words among them."""

    trouble: Trouble
    level: Level
    details: tuple[tuple[str, Detail], ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All about one number."""

    number: LinkedNumber
    link: CloudLink
    findings: tuple[Finding, ...]
    prospect: Prospect
    step: Step

    @property
    def is_blocked(self) -> bool:
        return any(one.level is Level.BLOCKS for one in self.findings)


def diagnose(number: LinkedNumber, link: CloudLink, now: datetime) -> Diagnosis:
    """What is known without asking anybody. Read the number before."""
    findings = (*_of_link(link, now), *_of_number(number, link), *_of_attempts(number, now))
    troubles = {one.trouble for one in findings}
    prospect = _prospect(number, troubles, now)
    return Diagnosis(number, link, findings, prospect, _step(number, troubles, prospect, now))


def _of_link(link: CloudLink, now: datetime) -> Iterator[Finding]:
    if link.lost_at is not None:
        yield Finding(Trouble.ACCESS_LOST, Level.BLOCKS, (("since", link.lost_at.isoformat()),))
    facts = link.facts
    if facts is not None:
        ends = [at for at in (facts.expires_at, facts.data_ends_at) if at is not None]
        if ends and min(ends) <= now + _SOON:
            yield Finding(Trouble.TOKEN_ENDS, Level.WARNS, (("at", min(ends).isoformat()),))
        if MESSAGES not in facts.scopes:
            yield Finding(Trouble.MESSAGES_MISSING, Level.TELLS)
    if link.subscribed is False:
        yield Finding(Trouble.NOT_SUBSCRIBED, Level.WARNS)
    if link.secret is None:
        yield Finding(Trouble.NO_SECRET, Level.WARNS)


def _of_number(number: LinkedNumber, link: CloudLink) -> Iterator[Finding]:
    facts = number.facts
    if link.read_at is not None and not link.cursor and facts.at + _LIST_TAKES < link.read_at:
        yield Finding(Trouble.NOT_LISTED, Level.BLOCKS, (("since", facts.at.isoformat()),))
    if facts.on_app:
        yield Finding(Trouble.ON_APP, Level.BLOCKS)
    yield from _of_state(number)
    yield from _of_name(number)
    yield from _of_pin(number)
    if facts.webhook:
        yield Finding(Trouble.WEBHOOKS_ELSEWHERE, Level.WARNS, (("address", facts.webhook),))
    yield from _of_health(number)


def _of_state(number: LinkedNumber) -> Iterator[Finding]:
    facts = number.facts
    if facts.platform == "ON_PREMISE":
        yield Finding(Trouble.HELD_ELSEWHERE, Level.WARNS)
    if facts.status not in _GOOD_STATUS:
        blocks = facts.status in ("BANNED", "DELETED", "MIGRATED")
        level = Level.BLOCKS if blocks else Level.WARNS
        yield Finding(Trouble.STATUS, level, (("status", facts.status),))
    if not facts.registered:
        if facts.code_state == "EXPIRED":
            yield Finding(Trouble.CODE_EXPIRED, Level.WARNS)
        elif not facts.verified:
            yield Finding(Trouble.NOT_VERIFIED, Level.WARNS)
        yield Finding(Trouble.NOT_REGISTERED, Level.WARNS)
    elif number.holder is None:
        yield Finding(Trouble.NOT_SERVED, Level.TELLS)


def _of_health(number: LinkedNumber) -> Iterator[Finding]:
    for one in number.facts.health:
        for error in one.errors:
            level = Level.WARNS if one.can_send == "BLOCKED" else Level.TELLS
            told: tuple[tuple[str, Detail], ...] = (
                ("entity", one.entity), ("code", error.code),
                ("description", error.description), ("solution", error.solution),
            )  # fmt: skip
            yield Finding(Trouble.HEALTH, level, told)


def _of_name(number: LinkedNumber) -> Iterator[Finding]:
    facts = number.facts
    if number.name_approved_at is not None:
        yield Finding(Trouble.NAME_TO_APPLY, Level.WARNS, (("name", number.name_asked),))
    elif "PENDING_REVIEW" in (facts.name_state, facts.new_name_state):
        yield Finding(Trouble.NAME_WAITS, Level.WARNS, (("name", facts.new_name or facts.name),))
    elif facts.name_state in ("DECLINED", "EXPIRED") or facts.new_name_state == "DECLINED":
        yield Finding(Trouble.NAME_DECLINED, Level.WARNS, (("name", facts.new_name or facts.name),))


def _of_pin(number: LinkedNumber) -> Iterator[Finding]:
    vault, facts = number.vault, number.facts
    if facts.pin_on is False:
        yield Finding(Trouble.PIN_OFF, Level.WARNS)
    elif vault.maybe:
        yield Finding(Trouble.PIN_MAYBE, Level.WARNS, (("pins", len(vault.maybe)),))
    elif vault.current is None:
        yield Finding(Trouble.PIN_NOT_IN_VAULT, Level.WARNS)
    elif vault.doubted:
        yield Finding(Trouble.PIN_DOUBTED, Level.WARNS)
    if number.off_asked_at is not None:
        at = number.off_asked_at.isoformat()
        yield Finding(Trouble.OFF_REMEMBERED, Level.WARNS, (("since", at),))


def _of_attempts(number: LinkedNumber, now: datetime) -> Iterator[Finding]:
    if number.under_way is not None:
        told = (("act", number.under_way.act.value), ("since", number.under_way.at.isoformat()))
        yield Finding(Trouble.OUTCOME_UNKNOWN, Level.BLOCKS, told)
    for act in Act:
        safe = number.ledger.next_safe(act, now)
        if safe > now:
            yield Finding(
                Trouble.LEDGER_CLOSED, Level.BLOCKS if act is Act.REGISTER else Level.WARNS,
                (("act", act.value), ("until", safe.isoformat())),
            )  # fmt: skip
        elif number.ledger.left(act, now) <= _FEW:
            told = (("act", act.value), ("left", str(number.ledger.left(act, now))))
            yield Finding(Trouble.LEDGER_LOW, Level.WARNS, told)
    if number.guesses.locked or number.guesses.remaining(now):
        yield Finding(Trouble.GUESSES_CLOSED, Level.WARNS)
    for alert in number.alerts:
        told = (("event", alert.event), ("at", alert.at.isoformat()))
        yield Finding(Trouble.ALERT, Level.WARNS, told)


def _prospect(number: LinkedNumber, troubles: set[Trouble], now: datetime) -> Prospect:
    if {Trouble.ACCESS_LOST, Trouble.NOT_LISTED, Trouble.ON_APP} & troubles:
        return Prospect.REFUSED
    if number.facts.status in ("BANNED", "DELETED", "MIGRATED"):
        return Prospect.REFUSED
    if number.under_way is not None or number.ledger.next_safe(Act.REGISTER, now) > now:
        return Prospect.LATER
    facts = number.facts
    if facts.registered and number.holder is not None:
        return Prospect.NOTHING
    if not facts.registered and not facts.verified:
        return Prospect.NEEDS_CODE
    if facts.pin_on is False:
        return Prospect.SET_PIN
    return Prospect.SUCCEED if number.vault.is_good else Prospect.NEEDS_PIN


def _step(number: LinkedNumber, troubles: set[Trouble], prospect: Prospect, now: datetime) -> Step:
    registered = bool(number.facts.registered)
    in_order = (
        (Step.RENEW_TOKEN, Trouble.ACCESS_LOST in troubles),
        (Step.WAIT_FOR_OUTCOME, number.under_way is not None),
        (Step.LEAVE_APP, number.facts.on_app),
        (Step.SEE_ALERTS, bool(number.alerts)),
        (Step.SEE_META, prospect is Prospect.REFUSED),
        (Step.SET_PIN, registered and _may_set_pin(number, now)),
        (Step.WAIT, prospect is Prospect.LATER),
        (Step.ASK_CODE, prospect is Prospect.NEEDS_CODE),
        (Step.FIND_PIN, prospect is Prospect.NEEDS_PIN),
        (Step.REGISTER, prospect is not Prospect.NOTHING),
        (Step.APPLY_NAME, Trouble.NAME_TO_APPLY in troubles),
        (Step.SUBSCRIBE, Trouble.NOT_SUBSCRIBED in troubles),
    )
    return next((step for step, applies in in_order if applies), Step.NOTHING)


def _may_set_pin(number: LinkedNumber, now: datetime) -> bool:
    return not number.vault.is_good and number.ledger.next_safe(Act.PIN, now) <= now


# Before a number moves


class Item(StrEnum):
    """What must be there before a number is moved."""

    ACCESS = "access"
    LISTED = "listed"
    NOT_ON_APP = "not_on_app"
    NAME_APPROVED = "name_approved"
    CODE = "code"
    """A registration code was entered, or the number is registered, so that none is needed."""
    PIN_KNOWN = "pin_known"
    """The PIN is off, or the vault knows it."""
    PIN_OFF = "pin_off"
    """For another provider to take the number over, two-step verification must be off."""
    LEDGER = "ledger"
    """A registration may be attempted."""
    NOTHING_UNKNOWN = "nothing_unknown"
    WEBHOOKS = "webhooks"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a checklist."""

    item: Item
    passed: bool


def checklist(
    number: LinkedNumber, link: CloudLink, now: datetime, *, moving: bool
) -> tuple[Check, ...]:
    """What is missing before the number is registered here; or, with *moving*, before another
    provider takes it over."""
    facts = number.facts
    troubles = {one.trouble for one in diagnose(number, link, now).findings}
    known = facts.pin_on is False or number.vault.is_good
    items = [
        (Item.ACCESS, link.lost_at is None),
        (Item.LISTED, Trouble.NOT_LISTED not in troubles),
        (Item.NOT_ON_APP, not facts.on_app),
        (Item.NAME_APPROVED, facts.name_state in ("APPROVED", "AVAILABLE_WITHOUT_REVIEW")),
        (Item.NOTHING_UNKNOWN, number.under_way is None),
    ]
    if moving:
        items.append((Item.PIN_OFF, facts.pin_on is False))
    else:
        items += [
            (Item.CODE, bool(facts.registered) or facts.verified),
            (Item.PIN_KNOWN, known),
            (Item.LEDGER, number.ledger.next_safe(Act.REGISTER, now) <= now),
            (Item.WEBHOOKS, link.subscribed is True and link.secret is not None),
        ]
    return tuple(Check(item, passed) for item, passed in items)
