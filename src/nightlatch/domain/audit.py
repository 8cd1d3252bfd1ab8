"""What happened, in an order nobody can change unseen.

Each subject (a number, a client, a portfolio) has its own chain: every link is a keyed hash
over the one before and the event itself.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """Everything that is written down."""

    NUMBER_ADDED = "number.added"
    NUMBER_REGISTERED = "number.registered"
    NUMBER_TAKEN_OVER = "number.taken_over"
    NUMBER_RELEASED = "number.released"
    NUMBER_UNLOCKED = "number.unlocked"
    NAME_ASKED = "name.asked"
    NAME_APPROVED = "name.approved"
    NAME_DECLINED = "name.declined"
    CERTIFICATE_RENEWED = "certificate.renewed"
    REGISTRATION_ACCEPTED = "registration.accepted"
    CODE_SENT = "code.sent"
    CODE_WRONG = "code.wrong"
    GUESS_PAID = "guess.paid"
    GUESS_RIGHT = "guess.right"
    GUESS_WRONG = "guess.wrong"
    NUMBER_LOCKED = "number.locked"
    VERIFIER_UNREADABLE = "two_step.verifier_unreadable"
    TWO_STEP_ON = "two_step.turned_on"
    TWO_STEP_CHANGED = "two_step.pin_changed"
    TWO_STEP_OFF = "two_step.turned_off"
    TURN_OFF_ASKED = "two_step.turn_off_asked"
    TURN_OFF_REFUSED = "two_step.turn_off_refused"
    SHARDS_SET = "shards.set"
    CLIENT_ADDED = "client.added"
    USER_ADDED = "user.added"
    USER_REMOVED = "user.removed"
    PASSWORD_CHANGED = "user.password_changed"  # noqa: S105 - the name of an event
    PASSWORD_RESET = "user.password_reset"  # noqa: S105 - the name of an event
    LOGIN_WRONG = "login.wrong"
    PORTFOLIO_CHANGED = "portfolio.changed"
    WABA_ADDED = "waba.added"
    MEMBER_INVITED = "member.invited"
    MEMBER_JOINED = "member.joined"
    MEMBER_REMOVED = "member.removed"
    MEMBER_ROLE = "member.role_changed"
    MEMBER_PASSWORD = "member.password_changed"  # noqa: S105 - the name of an event
    MEMBER_RESET_ASKED = "member.reset_asked"
    MEMBER_APP_ON = "member.authenticator_on"
    MEMBER_APP_OFF = "member.authenticator_off"
    MEMBER_RECOVERY = "member.recovery_code_used"
    SIGNED_IN = "member.signed_in"
    SIGN_IN_WRONG = "member.sign_in_wrong"
    SESSIONS_ENDED = "member.sessions_ended"
    CODE_VERIFIED = "code.verified"
    PROFILE_CHANGED = "profile.changed"
    APP_ADDED = "app.added"
    APP_CHANGED = "app.changed"
    APP_SECRET = "app.secret_renewed"  # noqa: S105 - the name of an event
    APP_REMOVED = "app.removed"
    WABA_SUBSCRIBED = "waba.subscribed"
    WABA_UNSUBSCRIBED = "waba.unsubscribed"
    SYSTEM_USER_ADDED = "system_user.added"
    SYSTEM_USER_CHANGED = "system_user.changed"
    SYSTEM_USER_REMOVED = "system_user.removed"
    TOKEN_ISSUED = "access_token.issued"  # noqa: S105 - the name of an event
    TOKEN_REVOKED = "access_token.revoked"  # noqa: S105 - the name of an event

    LINK_ADDED = "cloud.linked"
    LINK_CHANGED = "cloud.link_changed"
    LINK_REMOVED = "cloud.unlinked"
    ACCESS_LOST = "cloud.access_lost"
    ACCESS_BACK = "cloud.access_back"
    LINKED_FOUND = "cloud.number_found"
    LINKED_CREATED = "cloud.number_created"
    ACT_BEGUN = "cloud.begun"
    ACT_DONE = "cloud.done"
    ACT_REFUSED = "cloud.refused"
    ACT_NOT_SENT = "cloud.not_sent"
    ACT_UNKNOWN = "cloud.unknown"
    ACT_RECONCILED = "cloud.reconciled"
    PIN_CONFIRMED = "vault.pin_confirmed"
    PIN_DOUBTED = "vault.pin_doubted"
    PIN_REVEALED = "vault.pin_revealed"
    PIN_KEPT = "vault.pin_kept"
    OFF_REMEMBERED = "cloud.off_remembered"
    HEARD = "cloud.heard"
    ALERTS_SEEN = "cloud.alerts_seen"
    LINKED_RELEASED = "cloud.released"


CHARTED: Final = frozenset(
    {Kind.GUESS_WRONG, Kind.GUESS_RIGHT, Kind.REGISTRATION_ACCEPTED, Kind.NUMBER_REGISTERED}
)
"""What is counted for each day."""

OPERATOR: Final = "operator"
"""Who acts by the command line."""

Detail = str | int | bool


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the trail. ``details`` never hold a secret."""

    kind: Kind
    by: str
    """Who: ``client/username``, a member's e-mail address, or ``operator`` for the command line."""
    at: datetime
    details: tuple[tuple[str, Detail], ...] = ()
    place: str = ""
    """The address the request came from; empty for the command line."""


@dataclass(frozen=True, slots=True)
class Link:
    """An event in its place in the chain."""

    subject: str
    """``number:<id>``, ``client:<name>`` or ``portfolio:<id>``."""
    seq: int
    """1, 2, 3 … without gaps."""
    event: Event
    hash: bytes


GENESIS = bytes(32)


def link(key: bytes, subject: str, seq: int, head: bytes, event: Event) -> Link:
    """Put *event* behind the link whose hash is *head* (GENESIS before the first)."""
    told = [subject, seq, event.kind, event.by, event.at.isoformat(), event.details]
    if event.place:
        told.append(event.place)
    text = json.dumps(told, ensure_ascii=True, separators=(",", ":"))
    return Link(subject, seq, event, hmac.digest(key, head + text.encode(), hashlib.sha256))


def first_break(key: bytes, links: Iterable[Link], seq: int, head: bytes) -> int | None:
    """The first place where a subject's chain is not what it was, or None when it holds.

    *seq* and *head* are what the subject's own row says the chain ends with.
    """
    expected = GENESIS
    last = 0
    for found in links:
        last += 1
        again = link(key, found.subject, last, expected, found.event)
        if found.seq != last or not hmac.compare_digest(again.hash, found.hash):
            return last
        expected = found.hash
    return None if (last, expected) == (seq, head) else last + 1
