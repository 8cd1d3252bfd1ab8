"""The states of a number as people see them: a sign, a word and a colour for each."""

from dataclasses import dataclass
from datetime import datetime

from nightlatch.domain.limits import VERIFIED_LIFE
from nightlatch.domain.numbers import CodeState, NameState, Number, Status
from nightlatch.domain.overview import Show


@dataclass(frozen=True, slots=True)
class State:
    """One badge."""

    kind: str
    """``ok``, ``warn``, ``bad``, ``info`` or ``off``."""
    text: str
    until: datetime | None = None
    """When it ends by itself."""


_STATUS = {
    Status.PENDING: State("info", "Pending"),
    Status.CONNECTED: State("ok", "Connected"),
    Status.DISCONNECTED: State("off", "Disconnected"),
}
_NAME = {
    NameState.APPROVED: State("ok", "Approved"),
    NameState.PENDING_REVIEW: State("info", "In review"),
    NameState.DECLINED: State("warn", "Declined"),
}
_NO_CODE = State("off", "Not verified")
SHOWN = {
    Show.ALL: "All",
    Show.PROTECTED: "Protected",
    Show.UNPROTECTED: "Unprotected",
    Show.WAITING: "Waiting",
    Show.LOCKED: "Locked",
    Show.ATTACKED: "Under attack",
    Show.CONNECTED: "Connected",
    Show.PENDING: "Pending",
    Show.DISCONNECTED: "Disconnected",
}
"""What each list is called."""


def status(number: Number) -> State:
    """Whether a client holds it."""
    return _STATUS[number.status]


def name_state(number: Number) -> State:
    """Where the review of its display name stands."""
    return _NAME[number.name_state]


def code_state(number: Number, now: datetime) -> State:
    """Whether a right code still lets the number be registered over the Cloud API."""
    state = number.code_state(now)
    if state is CodeState.VERIFIED and number.code_verified_at is not None:
        return State("ok", "Verified", number.code_verified_at + VERIFIED_LIFE)
    return State("warn", "Verified too long ago") if state is CodeState.EXPIRED else _NO_CODE


def two_step(number: Number, now: datetime) -> list[State]:
    """The lock: on or off, and what keeps PINs from being compared."""
    found = [State("ok", "On") if number.two_step.is_on else State("warn", "Off")]
    if number.guesses.locked:
        found.append(State("bad", "Locked"))
    elif number.guesses.remaining(now):
        found.append(State("warn", "Waiting", now + number.guesses.remaining(now)))
    if number.guesses.is_under_attack(now):
        found.append(State("bad", "Under attack"))
    return found


def two_step_words(number: Number, now: datetime) -> str:
    """The same for an export: ``on, locked``."""
    return ", ".join(state.text.lower() for state in two_step(number, now))
