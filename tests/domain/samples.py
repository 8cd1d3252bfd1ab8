"""Numbers as the rules meet them, without a store."""

from datetime import timedelta
from typing import Any

from nightlatch.domain.codes import Method
from nightlatch.domain.numbers import CodeMessage, Number, TwoStep
from nightlatch.domain.registration import NewCode
from tests.people import CC, E164, NAME, NOON

OWNER_PIN = TwoStep(version=1, verifier=b"sealed verifier of the owner's PIN")
SECOND = timedelta(seconds=1)
RIGHT_HASH, WRONG_HASH = b"hash of the right code", b"hash of a wrong code"


def a_number(**changes) -> Number:
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
