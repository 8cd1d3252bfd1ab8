"""What happened, in an order nobody can change unseen.

Each subject (a number, a client) has its own chain: every link is a keyed hash
over the one before and the event itself.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """Everything that is written down."""

    NUMBER_ADDED = "number.added"
    NUMBER_REGISTERED = "number.registered"
    NUMBER_TAKEN_OVER = "number.taken_over"
    NUMBER_RELEASED = "number.released"
    NUMBER_UNLOCKED = "number.unlocked"
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
    SHARDS_SET = "shards.set"
    CLIENT_ADDED = "client.added"
    USER_ADDED = "user.added"
    USER_REMOVED = "user.removed"
    PASSWORD_CHANGED = "user.password_changed"  # noqa: S105 - the name of an event
    PASSWORD_RESET = "user.password_reset"  # noqa: S105 - the name of an event
    LOGIN_WRONG = "login.wrong"


Detail = str | int | bool


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the trail. ``details`` never hold a secret."""

    kind: Kind
    by: str
    """Who: ``client/username``, or ``operator`` for the command line."""
    at: datetime
    details: tuple[tuple[str, Detail], ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """An event in its place in the chain."""

    subject: str
    """``number:<id>`` or ``client:<name>``."""
    seq: int
    """1, 2, 3 … without gaps."""
    event: Event
    hash: bytes


GENESIS = bytes(32)


def link(key: bytes, subject: str, seq: int, head: bytes, event: Event) -> Link:
    """Put *event* behind the link whose hash is *head* (GENESIS before the first)."""
    text = json.dumps(
        [subject, seq, event.kind, event.by, event.at.isoformat(), event.details],
        ensure_ascii=True,
        separators=(",", ":"),
    )
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
