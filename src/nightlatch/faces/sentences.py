"""What happened, as a sentence for people: one row for each kind of event."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nightlatch.domain.audit import OPERATOR, Detail, Event, Kind, Link

Told = Mapping[str, Detail]


@dataclass(frozen=True, slots=True)
class Line:
    """One event of a timeline."""

    seq: int
    at: datetime
    who: str
    what: str
    place: str
    """The address it came from; empty when it came from the command line."""
    tone: str
    """``ok``, ``warn``, ``bad``, ``info`` or ``off``: the sign beside the sentence."""


_WHILE: Final = {
    "account": "while registering",
    "shards": "while setting shards",
    "manager": "while changing the PIN in the Manager",
}
"""What a PIN was given for, by the ``path`` of its guess."""


def _guess(word: str) -> Callable[[Told], str]:
    def say(told: Told) -> str:
        path = str(told.get("path", ""))
        said = f"{word} PIN {_WHILE.get(path, path)}".rstrip()
        row = int(told.get("in_a_row", 0))
        return f"{said}: {row} wrong in a row." if row > 1 else f"{said}."

    return say


def _paid(told: Told) -> str:
    path = str(told.get("path", ""))
    where = _WHILE.get(path, path)
    return f"A PIN was counted as a guess {where}; whether it was right was never settled."


def _pin(sentence: str) -> Callable[[Told], str]:
    def say(told: Told) -> str:
        return f"{sentence} The PIN is easy to guess." if told.get("weak") else sentence

    return say


def _named(sentence: str) -> Callable[[Told], str]:
    """A sentence with the event's details in it; what is missing is left out."""

    def say(told: Told) -> str:
        return sentence.format_map(_Left({key: str(value) for key, value in told.items()}))

    return say


class _Left(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def _released(told: Told) -> str:
    if "from" in told:
        return f"Deregistered: client {told['from']} let go of the number."
    return "Released: the client that held it has registered another number."


def _accepted(told: Told) -> str:
    if told.get("already_held"):
        return "Registration asked for by the client that holds the number: nothing to do."
    return "Registration accepted: the certificate was right, and the PIN where one is set."


def _code_sent(told: Told) -> str:
    way = {"sms": "a text message", "voice": "a call"}.get(str(told.get("method")), "a message")
    return f"A registration code was sent by {way}."


def _turned_off(told: Told) -> str:
    way = " by the mailed link" if told.get("path") == "link" else ""
    return f"Two-step verification was turned off{way}."


def _password(told: Told) -> str:
    whose = f" of {told['username']}" if "username" in told else ""
    return f"The password{whose} was changed."


def _removed(told: Told) -> str:
    who = told.get("member", "?")
    if told.get("invited"):
        return f"The invitation of {who} was withdrawn."
    return f"{who} is not a member any more."


def _changed(told: Told) -> str:
    if told.get("address_changed"):
        return f"The portfolio is called {told.get('name', '?')}; its e-mail address was changed."
    return f"The portfolio is called {told.get('name', '?')}."


def _signed_in(told: Told) -> str:
    step = told.get("second_step")
    return f"Signed in with password and {step}." if step else "Signed in."


_SENTENCES: Final[dict[Kind, tuple[str, Callable[[Told], str]]]] = {
    Kind.NUMBER_ADDED: ("info", _named("The number was added.")),
    Kind.NUMBER_REGISTERED: ("ok", _named("Registered by client {client}.")),
    Kind.NUMBER_TAKEN_OVER: ("warn", _named("Taken over from client {from}.")),
    Kind.NUMBER_RELEASED: ("off", _released),
    Kind.NUMBER_UNLOCKED: ("ok", _named("Unlocked: wrong PINs are counted from the beginning.")),
    Kind.NAME_ASKED: ("info", _named("The display name “{name}” was asked for.")),
    Kind.NAME_APPROVED: ("ok", _named("The display name “{name}” was approved.")),
    Kind.NAME_DECLINED: ("warn", _named("The display name “{name}” was declined.")),
    Kind.CERTIFICATE_RENEWED: (
        "info",
        _named("The certificate was renewed; the one before is revoked."),
    ),
    Kind.REGISTRATION_ACCEPTED: ("info", _accepted),
    Kind.CODE_SENT: ("info", _code_sent),
    Kind.CODE_WRONG: ("warn", _named("Wrong registration code: check {checks} of this code.")),
    Kind.GUESS_PAID: ("warn", _paid),
    Kind.GUESS_RIGHT: ("ok", _guess("Right")),
    Kind.GUESS_WRONG: ("bad", _guess("Wrong")),
    Kind.NUMBER_LOCKED: ("bad", _named("Locked: too many wrong PINs.")),
    Kind.VERIFIER_UNREADABLE: (
        "bad",
        _named("The stored PIN could not be opened; the guess stays counted."),
    ),
    Kind.TWO_STEP_ON: ("ok", _pin("Two-step verification was turned on.")),
    Kind.TWO_STEP_CHANGED: ("ok", _pin("The PIN was changed.")),
    Kind.TWO_STEP_OFF: ("warn", _turned_off),
    Kind.TURN_OFF_ASKED: (
        "warn",
        _named("A link that turns two-step verification off was mailed."),
    ),
    Kind.TURN_OFF_REFUSED: (
        "bad",
        _named("Somebody who may not use it followed the link that was mailed: refused."),
    ),
    Kind.SHARDS_SET: ("info", _named("The client was set to {shards} shards.")),
    Kind.CLIENT_ADDED: ("info", _named("The client was added.")),
    Kind.USER_ADDED: ("info", _named("The user {username} was added.")),
    Kind.USER_REMOVED: ("info", _named("The user {username} was removed.")),
    Kind.PASSWORD_CHANGED: ("info", _password),
    Kind.PASSWORD_RESET: ("warn", _named("The password of {username} was reset.")),
    Kind.LOGIN_WRONG: ("warn", _named("Wrong password at the client's login.")),
    Kind.PORTFOLIO_CHANGED: ("info", _changed),
    Kind.WABA_ADDED: ("info", _named("The WhatsApp account {name} was added.")),
    Kind.MEMBER_INVITED: ("info", _named("{member} was invited as {role}.")),
    Kind.MEMBER_JOINED: ("ok", _named("Joined as {role}.")),
    Kind.MEMBER_REMOVED: ("warn", _removed),
    Kind.MEMBER_ROLE: ("info", _named("{member} has the role {role} now.")),
    Kind.MEMBER_PASSWORD: ("info", _named("The password of {member} was changed.")),
    Kind.MEMBER_RESET_ASKED: ("info", _named("A link that sets another password was asked for.")),
    Kind.MEMBER_APP_ON: ("ok", _named("Signing in takes an authenticator's code from now on.")),
    Kind.MEMBER_APP_OFF: (
        "warn",
        _named("Signing in as {member} takes no authenticator's code any more."),
    ),
    Kind.MEMBER_RECOVERY: ("warn", _named("A recovery code was used; {left} are left.")),
    Kind.SIGNED_IN: ("info", _signed_in),
    Kind.SIGN_IN_WRONG: ("warn", _named("Wrong password or code at sign-in.")),
    Kind.SESSIONS_ENDED: ("info", _named("All other sessions were ended.")),
}


def says(event: Event) -> str:
    """The sentence of an event."""
    return _SENTENCES[event.kind][1](dict(event.details))


def tone(event: Event) -> str:
    """How the event is marked: ``ok``, ``warn``, ``bad``, ``info`` or ``off``."""
    return _SENTENCES[event.kind][0]


def who(by: str) -> str:
    """Who did it, spelled out: a member's address stays as it is."""
    if by == OPERATOR:
        return "the operator, by the command line"
    if by.startswith("member:"):
        return "a member who may not do this"
    client, slash, username = by.partition("/")
    return f"{username} of client {client}" if slash else by


def lines(links: Sequence[Link]) -> list[Line]:
    """*links* (the newest first) as lines of a timeline.

    A guess is written down when it is paid for and again when it is settled;
    people want to see it once, so a payment whose settlement is among the
    *links* is left out.
    """
    settled: Counter[tuple[str, Detail]] = Counter()
    told = []
    for link in links:
        event = link.event
        guess = (event.by, dict(event.details).get("path", ""))
        if event.kind in (Kind.GUESS_WRONG, Kind.GUESS_RIGHT):
            settled[guess] += 1
        elif event.kind is Kind.GUESS_PAID and settled[guess]:
            settled[guess] -= 1
            continue
        told.append(Line(link.seq, event.at, who(event.by), says(event), event.place, tone(event)))
    return told
