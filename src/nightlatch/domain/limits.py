"""Every number Nightlatch enforces: its value, its unit and where it comes from.

``docs/reference/limits.md`` is written from this table, so a limit that is not
here does not exist.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limit:
    """One row of the table."""

    name: str
    value: object
    unit: str
    source: str


TABLE: Final[list[Limit]] = []


def _limit(name: str, value: T, unit: str, source: str) -> T:
    TABLE.append(Limit(name, value, unit, source))
    return value


# PINs and guesses
PIN_DIGITS: Final = _limit(
    "PIN_DIGITS", 6, "ASCII digits", "Meta, Two-Step Verification: six-digit PIN"
)
GUESS_WAITS: Final = _limit(
    "GUESS_WAITS",
    tuple(timedelta(seconds=s) for s in (0, 0, 0, 0, 60, 300, 900, 900, 3_600, 86_400)),
    "wait after wrong guess 1, 2, … in a row; the last repeats",
    "our choice: 10 guesses on the first day, then one a day",
)
GUESS_LOCK: Final = _limit(
    "GUESS_LOCK",
    100,
    "wrong guesses in a row, or within GUESS_WINDOW, until a person must unlock",
    "NIST SP 800-63B: at most 100 consecutive failures",
)
GUESS_WINDOW: Final = _limit(
    "GUESS_WINDOW", timedelta(days=30), "rolling", "our choice: right PINs do not clear this total"
)

# Registration
REGISTRATIONS: Final = _limit(
    "REGISTRATIONS",
    10,
    "accepted registration calls per number and REGISTRATION_WINDOW",
    "Meta, Cloud API registration: 10 per number per 72 hours",
)
REGISTRATION_WINDOW: Final = _limit(
    "REGISTRATION_WINDOW",
    timedelta(hours=72),
    "rolling; also the wait once the budget is spent",
    "Meta, Cloud API registration: then blocked for 72 hours",
)
CERTIFICATE_LENGTH: Final = _limit(
    "CERTIFICATE_LENGTH", 4_096, "characters of base64, at most", "our choice"
)
DISPLAY_NAME_LENGTH: Final = _limit("DISPLAY_NAME_LENGTH", 128, "characters, at most", "our choice")
SHARDS: Final = _limit("SHARDS", (1, 2, 4, 8, 16, 32), "shards", "Meta, On-Premises account/shards")

# Registration codes
CODE_DIGITS: Final = _limit("CODE_DIGITS", 6, "ASCII digits", "Meta: code 123-830")
CODE_LIFE: Final = _limit(
    "CODE_LIFE", timedelta(minutes=10), "from sending", "Meta's Cloud API document: about 10 min"
)
CODE_WAITS: Final = _limit(
    "CODE_WAITS",
    tuple(timedelta(seconds=s) for s in (0, 0, 60, 120)),
    "wait after check 1, 2, 3, 4 of one code; the fifth check is its last",
    "Signal's registration service",
)
CODE_CHECKS: Final = _limit("CODE_CHECKS", 5, "checks per code", "Signal's registration service")
CODES_PER_WINDOW: Final = _limit(
    "CODES_PER_WINDOW", 5, "codes per number and CODE_WINDOW", "our choice"
)
CODE_WINDOW: Final = _limit("CODE_WINDOW", timedelta(hours=24), "rolling", "our choice")

SEND_SECONDS: Final = _limit(
    "SEND_SECONDS",
    20,
    "seconds a sender may take for one code, then it is tried again",
    "our choice",
)

# Users and tokens of a client
USERNAME_LENGTH: Final = _limit("USERNAME_LENGTH", (4, 32), "characters", "Meta, On-Premises users")
PASSWORD_LENGTH: Final = _limit("PASSWORD_LENGTH", (8, 64), "characters", "Meta, On-Premises users")
TOKEN_LIFE: Final = _limit(
    "TOKEN_LIFE", timedelta(days=7), "from login", "Meta: bearer tokens expire every 7 days"
)
TOKENS_PER_USER: Final = _limit(
    "TOKENS_PER_USER", 1_000, "live tokens; a further login ends the oldest", "our choice"
)
LOGIN_FREE: Final = _limit(
    "LOGIN_FREE", 10, "wrong passwords in a row without a wait", "our choice"
)
LOGIN_WAIT: Final = _limit(
    "LOGIN_WAIT",
    timedelta(seconds=10),
    "wait after each further wrong password; never a lock, so nobody is kept out for good",
    "our choice",
)
USERS_PER_CLIENT: Final = _limit("USERS_PER_CLIENT", 1_000, "users", "our choice")
API_KEY_LENGTH: Final = _limit(
    "API_KEY_LENGTH", (12, 128), "characters", "Meta, On-Premises health: WA_API_KEY"
)

# The wire
BODY_BYTES: Final = _limit("BODY_BYTES", 16_384, "bytes of a request body", "our choice")
HEADER_BYTES: Final = _limit("HEADER_BYTES", 16_384, "bytes of a request's head", "our choice")
HEADER_SECONDS: Final = _limit("HEADER_SECONDS", 5, "seconds to send the head", "our choice")
BODY_SECONDS: Final = _limit("BODY_SECONDS", 20, "seconds to send the body", "our choice")
STORE_SECONDS: Final = _limit(
    "STORE_SECONDS", 1.8, "seconds a change may wait for the store before 503", "our choice"
)
STOP_SECONDS: Final = _limit(
    "STOP_SECONDS", 10, "seconds that requests in flight get when the server stops", "our choice"
)
HASH_PLACES: Final = _limit(
    "HASH_PLACES",
    32,
    "PINs or passwords being hashed or waiting for it, per core; more are refused with 503",
    "our choice: about a second of work",
)
