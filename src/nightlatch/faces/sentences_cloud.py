"""Numbers at the Cloud API, in sentences for people: what is true of them, and what to do."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from nightlatch.domain.audit import Detail
from nightlatch.domain.diagnosis import Check, Finding, Item, Level, Prospect, Step, Trouble
from nightlatch.domain.ledger import Act
from nightlatch.domain.linked import Alert, LinkedNumber
from nightlatch.faces.formats import moment

Told = Mapping[str, Detail]

_MANAGER: Final = "WhatsApp Manager > Account tools > Phone numbers"
_TWO_STEP: Final = f"{_MANAGER} > this number > Two-step verification"


def _at(text: Detail) -> str:
    return moment(datetime.fromisoformat(str(text)))


# What can be attempted

_ACTS: Final[dict[Act, str]] = {
    Act.REGISTER: "registering",
    Act.DEREGISTER: "deregistering",
    Act.CODE: "asking for a code",
    Act.CHECK: "entering a code",
    Act.PIN: "setting the PIN",
}


def act_name(act: Act) -> str:
    """What is attempted, in the middle of a sentence: ``registering``."""
    return _ACTS[act]


def _act(told: Told) -> str:
    return act_name(Act(str(told["act"])))


def _begin(words: str) -> str:
    return words[0].upper() + words[1:]


# What was found

_ENTITIES: Final = {
    "PHONE_NUMBER": "this number", "WABA": "the WhatsApp account", "BUSINESS": "the business",
    "APP": "the app", "MESSAGE_TEMPLATE": "a template",
}  # fmt: skip


def _messages_missing(_: Told) -> str:
    return (
        "The access token may not send messages (whatsapp_business_messaging); "
        "registering and PINs do not need that."
    )


def _status(told: Told) -> str:
    return (
        f"Meta shows the number as {told['status']}; "
        "open it in WhatsApp Manager to see why, and what Meta wants."
    )


def _pins(told: Told) -> str:
    if told["pins"] == 1:
        return (
            "It is not known whether Meta took the newest PIN, which the vault keeps; "
            "set a new one, or wait for this to be found out."
        )
    return (
        f"It is not known which of {told['pins']} PINs Meta took last, all of which the vault "
        "keeps; set a new one."
    )


def _ledger_low(told: Told) -> str:
    left = "1 safe try is" if told["left"] == "1" else f"{told['left']} safe tries are"
    return (
        f"{left} left for {_act(told)} within 72 hours; "
        "find out what is wrong before you use another."
    )


def _health(told: Told) -> str:
    entity = str(told["entity"])
    said = str(told["description"]).strip().rstrip(".") or "something is wrong"
    mend = str(told["solution"]).strip().rstrip(".")
    sentence = f"Meta says of {_ENTITIES.get(entity, entity)}: {said} ({told['code']})."
    return f"{sentence} {mend}." if mend else sentence


def _alerted(told: Told) -> str:
    return alert(Alert(str(told["event"]), datetime.fromisoformat(str(told["at"]))))


_FINDINGS: Final[dict[Trouble, str | Callable[[Told], str]]] = {
    Trouble.ACCESS_LOST: lambda told: (
        f"Meta has refused the access token since {_at(told['since'])}; give the account a new one."
    ),
    Trouble.TOKEN_ENDS: lambda told: (
        f"The access token ends on {_at(told['at'])}; renew it before."
    ),
    Trouble.MESSAGES_MISSING: _messages_missing,
    Trouble.NOT_SUBSCRIBED: (
        "Nothing that happens at Meta is heard here, "
        "because the app is not subscribed to the account; subscribe it."
    ),
    Trouble.NO_SECRET: (
        "Webhooks of Meta cannot be checked without the app secret, so none are taken; "
        "add the secret."
    ),
    Trouble.NOT_LISTED: lambda told: (
        f"The account has not listed this number since {_at(told['since'])}; "
        "it was deleted or moved to another account, so look in WhatsApp Manager."
    ),
    Trouble.OUTCOME_UNKNOWN: lambda told: (
        f"{_begin(_act(told))} on {_at(told['since'])} was not answered by Meta; "
        "wait, because nothing else is sent until it is found out what became of it."
    ),
    Trouble.ON_APP: (
        "The number is used with the WhatsApp Business app too, so it cannot be registered here; "
        "disconnect it in the app first, or leave it there."
    ),
    Trouble.HELD_ELSEWHERE: (
        "An On-Premises client holds the number at Meta; "
        "registering here takes it over, and that client stops working."
    ),
    Trouble.STATUS: _status,
    Trouble.NOT_VERIFIED: (
        "No registration code was entered for this number; ask for one and enter it."
    ),
    Trouble.CODE_EXPIRED: (
        "The last registration code was entered more than 14 days ago; ask for a new one."
    ),
    Trouble.NOT_REGISTERED: "The Cloud API does not hold the number yet; register it.",
    Trouble.NOT_SERVED: (
        "The number is registered at Meta, and no client here serves it; "
        "register it with a client to use it at /v1."
    ),
    Trouble.NAME_WAITS: lambda told: (
        f"Meta is still reviewing the display name{_named(told)}; "
        "registering before it is approved may fail, so wait for the review."
    ),
    Trouble.NAME_DECLINED: lambda told: (
        f"Meta declined the display name{_named(told)}; ask for another one in WhatsApp Manager."
    ),
    Trouble.NAME_TO_APPLY: lambda told: (
        f"Meta approved the display name{_named(told)}; "
        "register again within 14 days, or it is lost."
    ),
    Trouble.PIN_OFF: (
        "Two-step verification is off, so anybody with the SIM can take the number; set a PIN."
    ),
    Trouble.PIN_NOT_IN_VAULT: (
        "A PIN is on at Meta and the vault does not know it; tell the vault, or set a new one."
    ),
    Trouble.PIN_DOUBTED: (
        "Somebody may have set another PIN at Meta, so the vault's may be an old one; "
        "tell the vault the right one, or set a new one."
    ),
    Trouble.PIN_MAYBE: _pins,
    Trouble.OFF_REMEMBERED: lambda told: (
        f"A client turned two-step verification off on {_at(told['since'])}, and at Meta it is "
        "still on, because only a person can turn it off there; the client's next PIN replaces it."
    ),
    Trouble.LEDGER_LOW: _ledger_low,
    Trouble.LEDGER_CLOSED: lambda told: (
        f"{_begin(_act(told))} is not safe before {_at(told['until'])}; wait until then."
    ),
    Trouble.GUESSES_CLOSED: (
        "Too many PINs came that are not the vault's, so none is looked at now; "
        "wait, or unlock the number."
    ),
    Trouble.WEBHOOKS_ELSEWHERE: lambda told: (
        f"The number's webhooks go to {told['address']} instead of here; "
        "remove that override at Meta if it is not wanted."
    ),
    Trouble.HEALTH: _health,
    Trouble.ALERT: _alerted,
}


def _named(told: Told) -> str:
    name = str(told.get("name", ""))
    return f" “{name}”" if name else ""


def finding(found: Finding) -> str:
    """What is true, and what to do about it."""
    sentence = _FINDINGS[found.trouble]
    return sentence if isinstance(sentence, str) else sentence(dict(found.details))


# What registering would do


def _later(number: LinkedNumber, now: datetime) -> str:
    if number.under_way is not None:
        return (
            "Nothing would be sent: it is not known yet what became of "
            f"{act_name(number.under_way.act)}."
        )
    at = number.ledger.next_safe(Act.REGISTER, now)
    return f"Nothing would be sent: the next safe time is {moment(at)}."


_PROSPECTS: Final[dict[Prospect, str | Callable[[LinkedNumber, datetime], str]]] = {
    Prospect.NOTHING: lambda number, _: (
        f"Nothing: it is registered, and client {number.holder} serves it."
    ),
    Prospect.SUCCEED: "It would work, with the PIN in the vault.",
    Prospect.SET_PIN: "It would work, and the PIN that is given becomes the number's PIN.",
    Prospect.NEEDS_PIN: "It needs the PIN that is set at Meta; a wrong one counts against you.",
    Prospect.NEEDS_CODE: "It needs a registration code first, by text message or call.",
    Prospect.REFUSED: "Meta would refuse it.",
    Prospect.LATER: _later,
}


def prospect(seen: Prospect, number: LinkedNumber, now: datetime) -> str:
    """What registering the number now would do."""
    sentence = _PROSPECTS[seen]
    return sentence if isinstance(sentence, str) else sentence(number, now)


# The next step


def _register(number: LinkedNumber) -> str:
    if number.facts.pin_on is False:
        return "Register the number with a new PIN, or with none to have one drawn by chance."
    return "Register the number; the PIN is in the vault."


_STEPS: Final[dict[Step, str | Callable[[LinkedNumber], str]]] = {
    Step.RENEW_TOKEN: "Give the account a new access token.",
    Step.WAIT_FOR_OUTCOME: "Wait some minutes; what became of the last attempt is found out.",
    Step.LEAVE_APP: (
        "Disconnect the number in the WhatsApp Business app (Settings > Account > Business "
        "platform), if it is to be used here."
    ),
    Step.SEE_ALERTS: "Look at the alerts: somebody touched two-step verification at Meta.",
    Step.SEE_META: f"Open {_MANAGER} and see what Meta wants; it cannot be mended from here.",
    Step.WAIT: "Wait, and try nothing before the time above.",
    Step.ASK_CODE: (
        "Ask for a registration code, as a client does with POST /v1/account, and enter it."
    ),
    Step.SET_PIN: "Set a new PIN; Meta asks for no old one.",
    Step.FIND_PIN: (
        "Find out the PIN and tell the vault; if nobody knows it, let an owner turn it off in "
        f"{_TWO_STEP}."
    ),
    Step.REGISTER: _register,
    Step.APPLY_NAME: "Register the number again, so that the approved name is shown.",
    Step.SUBSCRIBE: "Subscribe the app to the account, so that you hear what happens at Meta.",
    Step.NOTHING: "Nothing is left to do.",
}


def step(next_: Step, number: LinkedNumber) -> str:
    """What to do next."""
    sentence = _STEPS[next_]
    return sentence if isinstance(sentence, str) else sentence(number)


# Before a number moves

_CHECKS: Final[dict[Item, tuple[str, str]]] = {
    Item.ACCESS: (
        "Meta takes the access token.",
        "Meta refuses the access token: give the account a new one.",
    ),
    Item.LISTED: (
        "The account lists the number.",
        "The account does not list the number any more: look in WhatsApp Manager.",
    ),
    Item.NOT_ON_APP: (
        "The number is not used with the WhatsApp Business app.",
        "The number is used with the WhatsApp Business app: disconnect it there first.",
    ),
    Item.NAME_APPROVED: (
        "The display name is approved.",
        "The display name is not approved: wait for Meta's review, or ask for another name.",
    ),
    Item.CODE: (
        "No registration code is needed.",
        "A registration code is needed: ask for one and enter it.",
    ),
    Item.PIN_KNOWN: (
        "The PIN is known, or none is set.",
        "The PIN is not known: tell the vault, or let an owner turn it off in WhatsApp Manager.",
    ),
    Item.PIN_OFF: (
        "Two-step verification is off; turn it on again right after the move.",
        f"Two-step verification is not off: let an owner turn it off in {_TWO_STEP}.",
    ),
    Item.LEDGER: (
        "The number may be registered now.",
        "The number was registered too often: wait until the next safe time.",
    ),
    Item.NOTHING_UNKNOWN: (
        "The outcome of every attempt is known.",
        "An attempt was not answered: wait until it is known what became of it.",
    ),
    Item.WEBHOOKS: (
        "Webhooks come here and can be checked.",
        "Webhooks do not come here, or cannot be checked: subscribe the app, add its secret.",
    ),
}


def check(one: Check) -> str:
    """One line of a checklist: what is there, or what is missing and how to get it."""
    passed, missing = _CHECKS[one.item]
    return passed if one.passed else missing


# The PIN, in a few words


def pin_state(number: LinkedNumber) -> str:
    """What is known of the PIN, to stand in a table: ``on, in the vault``."""
    vault = number.vault
    if number.facts.pin_on is False:
        return "off"
    front = "on" if number.facts.pin_on else "not known whether on"
    if vault.maybe:
        back = (
            "one of several in the vault"
            if vault.current or vault.maybe[1:]
            else "perhaps the one in the vault"
        )
    elif vault.current is None:
        back = "not in the vault"
    elif vault.doubted:
        back = "perhaps another than the vault's"
    else:
        back = "in the vault"
    off = "; a client believes it off" if number.off_asked_at is not None else ""
    return f"{front}, {back}{off}"


# Alerts

_ALERTS: Final = {
    "PIN_RESET_REQUEST": (
        "{who} pressed “Turn off two-step verification” in WhatsApp Manager on {at}; if that was "
        "not agreed, keep the mailed link from being followed, and see who may do this at Meta."
    ),
    "PIN_CHANGED": (
        "Somebody set another PIN in WhatsApp Manager on {at}; if nobody of yours did, set a new "
        "one, otherwise tell the vault."
    ),
    "PIN_REQUEST_SUCCESS": (
        "Somebody turned two-step verification off at Meta on {at}; set a PIN again, so that "
        "nobody else can take the number."
    ),
}


def alarm(number: LinkedNumber) -> str:
    """Why somebody should look at a number: its latest alert, or what a client believes."""
    if number.alerts:
        return alert(number.alerts[-1])
    at = "" if number.off_asked_at is None else number.off_asked_at.isoformat()
    return finding(Finding(Trouble.OFF_REMEMBERED, Level.WARNS, (("since", at),)))


def alert(one: Alert) -> str:
    """What somebody did at Meta, and what to do about it."""
    who = f"User {one.by} of Meta's" if one.by else "Somebody"
    sentence = _ALERTS.get(one.event, "Meta told of {event} on {at}; look in WhatsApp Manager.")
    return sentence.format(who=who, at=moment(one.at), event=one.event)
