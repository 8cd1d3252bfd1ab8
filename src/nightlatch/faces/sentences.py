"""What happened, as a sentence for people: one row for each kind of event."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nightlatch.domain.audit import OPERATOR, Detail, Event, Kind, Link
from nightlatch.domain.ledger import Act
from nightlatch.domain.linked import META_SAID
from nightlatch.domain.numbers import CLOUD_API
from nightlatch.faces.sentences_cloud import act_name

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
    "graph": "while registering over the Cloud API",
    "vault": "against the vault",
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


def held_by(holder: Detail | None) -> str:
    """Who holds a number, in the middle of a sentence."""
    if holder is None:
        return "?"
    return f"the {CLOUD_API}" if holder == CLOUD_API else f"client {holder}"


def _registered(told: Told) -> str:
    if told.get("client") == CLOUD_API:
        return f"Registered with the {CLOUD_API}."
    return f"Registered by {held_by(told.get('client'))}."


def _released(told: Told) -> str:
    if told.get("from") == CLOUD_API:
        return f"Deregistered: the {CLOUD_API} let go of the number."
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


def _app_changed(told: Told) -> str:
    app = told.get("app", "?")
    if "needs_proof" in told:
        needs = "needs a proof now" if told["needs_proof"] else "needs no proof any more"
        return f"Each call with tokens of app {app} {needs}."
    if told.get("fields"):
        return f"Webhooks of app {app} go to another address, for {told['fields']}."
    return f"Webhooks of app {app} go nowhere any more."


def _system_user_changed(told: Told) -> str:
    user, role = told.get("system_user", "?"), told.get("role", "?")
    sees = f"; it sees {told['wabas']}" if told.get("wabas") else ""
    return f"System user {user} has the role {role} now{sees}."


def _signed_in(told: Told) -> str:
    step = told.get("second_step")
    return f"Signed in with password and {step}." if step else "Signed in."


def _act(sentence: str) -> Callable[[Told], str]:
    """A sentence that begins with what was attempted at the Cloud API."""

    def say(told: Told) -> str:
        known = told.get("act") in list(Act)
        act = act_name(Act(str(told["act"]))) if known else "?"
        left = _Left({key: str(value) for key, value in told.items()})
        return f"{act[0].upper()}{act[1:]} {sentence.format_map(left)}"

    return say


_REFUSED: Final = {
    "wrong_pin": "the PIN was wrong", "too_fast": "PINs came too fast",
    "too_many": "too many PINs were wrong", "code_needed": "a registration code is needed",
    "not_registered": "the number is not registered", "just_deleted": "it was deleted just before",
    "spent": "it was attempted too often", "locked": "the account is locked",
    "incomplete": "an earlier deregistration stopped half-way",
    "code_unsent": "no code could be sent", "code_rate": "too many codes were asked for",
    "code_wrong": "the code was wrong",
    "on_business_app": "the number is used with the WhatsApp Business app",
    "name": "of the display name", "held_elsewhere": "another account holds the number",
    "token": "of the access token", "permission": "the access token lacks a permission",
    "calls": "too many calls were made", "gone": "it knows no such number",
}  # fmt: skip
"""Why Meta refused, by the ``reason``."""


def _refused(told: Told) -> str:
    why = _REFUSED.get(str(told.get("reason")), "for a reason of its own")
    return _act(f"was refused by Meta: {why} ({{code}}).")(told)


_CAME: Final = {
    "succeeded": "had worked", "failed": "had not worked",
    "either": "may have worked or not",
}  # fmt: skip


def _reconciled(told: Told) -> str:
    came = _CAME.get(str(told.get("outcome")), "?")
    return _act(f"was not answered before; what Meta shows says that it {came}.")(told)


_HEARD: Final = {
    "PIN_RESET_REQUEST": "Somebody pressed “Turn off two-step verification” in WhatsApp Manager.",
    "PIN_CHANGED": "Somebody set a PIN in WhatsApp Manager.",
    "PIN_REQUEST_SUCCESS": "Somebody turned two-step verification off by the link Meta mailed.",
}


def _heard(told: Told) -> str:
    what = str(told.get("what", "?"))
    if what.startswith("name "):
        return f"Meta decided about the display name: {what.removeprefix('name ')}."
    return _HEARD.get(what, f"Meta told of {what}.")


def _link_changed(told: Told) -> str:
    what = str(told.get("what", "?")).replace("set_again", "whether PINs are set again")
    return f"The link of WhatsApp account {told.get('waba', '?')} was changed: {what}."


_SENTENCES: Final[dict[Kind, tuple[str, Callable[[Told], str]]]] = {
    Kind.NUMBER_ADDED: ("info", _named("The number was added.")),
    Kind.NUMBER_REGISTERED: ("ok", _registered),
    Kind.NUMBER_TAKEN_OVER: (
        "warn",
        lambda told: f"Taken over from {held_by(told.get('from'))}.",
    ),
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
    Kind.CODE_VERIFIED: (
        "ok",
        _named("The registration code was right; for 14 days the number needs no other."),
    ),
    Kind.PROFILE_CHANGED: ("info", _named("The business profile was changed.")),
    Kind.APP_ADDED: ("info", _named("The app {name} was added.")),
    Kind.APP_CHANGED: ("info", _app_changed),
    Kind.APP_SECRET: ("warn", _named("The secret of app {app} was renewed.")),
    Kind.APP_REMOVED: ("warn", _named("The app {name} was removed, with its access tokens.")),
    Kind.WABA_SUBSCRIBED: ("info", _named("App {app} hears about WhatsApp account {waba} now.")),
    Kind.WABA_UNSUBSCRIBED: (
        "info",
        _named("App {app} hears about WhatsApp account {waba} no more."),
    ),
    Kind.SYSTEM_USER_ADDED: ("info", _named("The system user {name} was added as {role}.")),
    Kind.SYSTEM_USER_CHANGED: ("info", _system_user_changed),
    Kind.SYSTEM_USER_REMOVED: (
        "warn",
        _named("The system user {name} was removed, with its access tokens."),
    ),
    Kind.TOKEN_ISSUED: (
        "warn",
        _named("Access token {token} was issued to system user {system_user}: {scopes}."),
    ),
    Kind.TOKEN_REVOKED: (
        "info",
        _named("Access token {token} of system user {system_user} was revoked."),
    ),
    Kind.LINK_ADDED: ("info", _named("The WhatsApp account {name} was linked to the Cloud API.")),
    Kind.LINK_CHANGED: ("info", _link_changed),
    Kind.LINK_REMOVED: (
        "warn",
        _named("The WhatsApp account {name} was unlinked, and the PINs of its numbers forgotten."),
    ),
    Kind.ACCESS_LOST: ("bad", _named("Meta refuses the access token of account {waba}.")),
    Kind.ACCESS_BACK: ("ok", _named("Meta takes the access token of account {waba} again.")),
    Kind.LINKED_FOUND: ("info", _named("The number was found in the linked account.")),
    Kind.LINKED_CREATED: ("info", _named("The number was added to the linked account.")),
    Kind.ACT_BEGUN: ("info", _act("was begun: attempt {attempts} within 72 hours.")),
    Kind.ACT_DONE: ("ok", _act("worked.")),
    Kind.ACT_REFUSED: ("bad", _refused),
    Kind.ACT_NOT_SENT: ("warn", _act("was not sent: Meta could not be reached.")),
    Kind.ACT_UNKNOWN: ("warn", _act("was sent, and Meta did not answer.")),
    Kind.ACT_RECONCILED: ("info", _reconciled),
    Kind.PIN_CONFIRMED: ("ok", _named("Meta shows that a PIN is on; the vault has it.")),
    Kind.PIN_DOUBTED: (
        "warn",
        _named("Meta shows that no PIN is on; the vault's may not be the next one."),
    ),
    Kind.PIN_REVEALED: ("warn", _named("The PIN in the vault was shown.")),
    Kind.PIN_KEPT: ("info", _named("The vault was told what the PIN is.")),
    Kind.OFF_REMEMBERED: (
        "warn",
        _named("A client turned two-step verification off; at Meta it is still on."),
    ),
    Kind.HEARD: ("warn", _heard),
    Kind.ALERTS_SEEN: ("info", _named("Alerts were looked at: {alerts}.")),
    Kind.LINKED_RELEASED: ("off", _named("Client {from} serves the number no more.")),
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
    if by == META_SAID:
        return "Meta"
    if by.startswith("member:"):
        return "a member who may not do this"
    for front, word in (("app:", "app"), ("system-user:", "system user")):
        if by.startswith(front):
            return f"{word} {by.removeprefix(front)}"
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
