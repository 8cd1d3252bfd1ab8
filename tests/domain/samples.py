"""Numbers and members as the rules meet them, without a store."""

from datetime import datetime, timedelta
from typing import Any

from nightlatch.domain.codes import Method
from nightlatch.domain.linked import Facts, LinkedNumber
from nightlatch.domain.links import MANAGES, MESSAGES, CloudLink, TokenFacts
from nightlatch.domain.mail import Letter, Posted
from nightlatch.domain.members import App, Member, MemberRole, MemberSession
from nightlatch.domain.numbers import CodeMessage, Number, TwoStep
from nightlatch.domain.portfolios import Portfolio
from nightlatch.domain.registration import NewCode
from nightlatch.domain.vault import KeptPin, Vault
from tests.people import CC, E164, NAME, NOON, OWNER

OWNER_PIN = TwoStep(version=1, verifier=b"sealed verifier of the owner's PIN")
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
MICRO = timedelta(microseconds=1)
DAY = timedelta(days=1)
RIGHT_HASH, WRONG_HASH = b"hash of the right code", b"hash of a wrong code"
PORTFOLIO = Portfolio("200000000000001", "Lucky Shrub Inc.", "post@luckyshrub.example")
APP = App(b"sealed key", 10, (b"recovery 1", b"recovery 2"))


def a_number(**changes: Any) -> Number:
    """The town's number, never registered, without a PIN."""
    known: dict[str, Any] = {
        "id": "100000000000001",
        "e164": E164,
        "cc": CC,
        "waba": "300000000000001",
        "name": NAME,
        "serial": "serial-1",
        "created_at": NOON,
    }
    return Number(**(known | changes))


def a_code(session: str = "session-1") -> NewCode:
    """A code on its way by SMS, whose hash is RIGHT_HASH."""
    message = CodeMessage(E164, Method.SMS.value, b"sealed code", NOON)
    return NewCode(session, RIGHT_HASH, message)


def a_member(**changes: Any) -> Member:
    """The owner in the Manager, without an authenticator app."""
    known: dict[str, Any] = {
        "id": "400000000000001",
        "portfolio": PORTFOLIO.id,
        "email": OWNER.email,
        "name": OWNER.name,
        "role": MemberRole.OWNER,
        "verifier": b"sealed verifier of the owner's password",
        "joined_at": NOON,
    }
    return Member(**(known | changes))


def a_session(**changes: Any) -> MemberSession:
    """The owner's browser, signed in at noon."""
    known: dict[str, Any] = {
        "hash": b"hash of the session",
        "member": a_member().id,
        "started_at": NOON,
        "seen_at": NOON,
        "whole": True,
    }
    return MemberSession(**(known | changes))


def a_letter(**changes: Any) -> Posted:
    """A notice that was posted at noon."""
    known: dict[str, Any] = {
        "key": "0" * 32,
        "portfolio": PORTFOLIO.id,
        "address": OWNER.email,
        "letter": Letter.PIN_SET,
        "facts": (("number", E164),),
        "posted_at": NOON,
        "due_at": NOON,
    }
    return Posted(**(known | changes))


def a_pin(name: str = "first", at: datetime = NOON) -> KeptPin:
    """A PIN in the vault, of the attempt *name*."""
    return KeptPin(name, f"sealed {name}".encode(), at)


GOOD = Vault(current=a_pin())
TOKEN = TokenFacts(valid=True, scopes=frozenset({MANAGES, MESSAGES}))


def shown(at: datetime = NOON, **changes: Any) -> Facts:
    """What Meta shows of a number that is registered, with a PIN."""
    known: dict[str, Any] = {
        "name": NAME,
        "name_state": "APPROVED",
        "code_state": "VERIFIED",
        "pin_on": True,
        "status": "CONNECTED",
        "platform": "CLOUD_API",
    }
    return Facts(at=at, **(known | changes))


def a_link(**changes: Any) -> CloudLink:
    """An account whose numbers live at the Cloud API, with nothing amiss."""
    known: dict[str, Any] = {
        "waba": "102290129340398",
        "portfolio": PORTFOLIO.id,
        "name": "Lucky Shrub",
        "token": b"sealed token",
        "secret": b"sealed secret",
        "verify_token": b"sealed verify token",
        "linked_at": NOON,
        "facts": TOKEN,
        "subscribed": True,
    }
    return CloudLink(**(known | changes))


def a_linked(**changes: Any) -> LinkedNumber:
    """The town's number, but at the Cloud API: registered, served, its PIN in the vault."""
    known: dict[str, Any] = {
        "id": "106540352242922",
        "e164": E164,
        "cc": CC,
        "waba": "102290129340398",
        "found_at": NOON,
        "facts": shown(),
        "holder": OWNER.client,
        "vault": GOOD,
    }
    return LinkedNumber(**(known | changes))
