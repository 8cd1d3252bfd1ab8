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

ATTACK_GUESSES: Final = _limit(
    "ATTACK_GUESSES", 2, "wrong guesses in a row, then the number counts as under attack",
    "our choice: one is a slip of the finger",
)  # fmt: skip
ATTACK_WINDOW: Final = _limit(
    "ATTACK_WINDOW", timedelta(hours=24), "after the last of them", "our choice"
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

NAME_WINDOW: Final = _limit(
    "NAME_WINDOW",
    timedelta(days=30),
    "between two display names of a number that was registered once",
    "Meta, On-Premises getting started: freely before registration, then once per 30 days",
)

VERIFIED_LIFE: Final = _limit(
    "VERIFIED_LIFE",
    timedelta(days=14),
    "after a right code a number may be registered over Graph without another",
    "Meta, Graph reference: code_verification_status",
)

# The turn-off link
LINK_LIFE: Final = _limit("LINK_LIFE", timedelta(minutes=30), "from asking", "our choice")
LINKS_PER_WINDOW: Final = _limit(
    "LINKS_PER_WINDOW", 5, "turn-off links mailed per number and LINK_WINDOW", "our choice"
)
LINK_WINDOW: Final = _limit("LINK_WINDOW", timedelta(hours=24), "rolling", "our choice")
LINK_PAUSE: Final = _limit(
    "LINK_PAUSE", timedelta(minutes=1), "between two turn-off links of one number", "our choice"
)

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

# Members of a portfolio
EMAIL_LENGTH: Final = _limit("EMAIL_LENGTH", 254, "characters, at most", "RFC 5321, 4.5.3.1.3")
PERSON_NAME_LENGTH: Final = _limit("PERSON_NAME_LENGTH", 80, "characters, at most", "our choice")
MEMBER_PASSWORD_LENGTH: Final = _limit(
    "MEMBER_PASSWORD_LENGTH",
    (12, 128),
    "characters; a common one is refused at any length",
    "our choice, after NIST SP 800-63B: length and a blocklist, no rules of composition",
)
SIGN_IN_WAITS: Final = _limit(
    "SIGN_IN_WAITS",
    tuple(timedelta(seconds=s) for s in (0, 0, 0, 0, 5, 10, 20, 40, 60)),
    "wait after wrong sign-in 1, 2, … in a row for one e-mail address; the last repeats",
    "our choice: never a lock, so nobody is kept out for good",
)
APP_CODE_WAITS: Final = _limit(
    "APP_CODE_WAITS",
    tuple(timedelta(seconds=s) for s in (0, 0, 0, 0, 60, 300, 900)),
    "wait after wrong authenticator code 1, 2, … in a row, by who has the password; the last"
    " repeats",
    "our choice: some 120 codes a day at most, so a stranger with the password finds one in a year"
    " with about one chance in eight",
)
SIGN_IN_MEMORY: Final = _limit(
    "SIGN_IN_MEMORY", timedelta(hours=1), "after the last wrong sign-in they are forgotten",
    "our choice",
)  # fmt: skip
SESSION_IDLE: Final = _limit(
    "SESSION_IDLE", timedelta(minutes=15), "without a request, then signed out", "our choice"
)
SESSION_LIFE: Final = _limit(
    "SESSION_LIFE", timedelta(hours=12), "from signing in, then signed out", "our choice"
)
SESSION_TOUCH: Final = _limit(
    "SESSION_TOUCH", timedelta(seconds=30), "precision of the last request that is kept",
    "our choice: a write for each request would cost more than the page",
)  # fmt: skip
HALF_SESSION: Final = _limit(
    "HALF_SESSION", timedelta(minutes=5), "between the password and the authenticator's code",
    "our choice",
)  # fmt: skip
SESSIONS_PER_MEMBER: Final = _limit(
    "SESSIONS_PER_MEMBER", 20, "sessions; a further sign-in ends the oldest", "our choice"
)
RECOVERY_CODES: Final = _limit("RECOVERY_CODES", 10, "codes, each good once", "our choice")
INVITATION_LIFE: Final = _limit("INVITATION_LIFE", timedelta(days=7), "from inviting", "our choice")
RESET_LIFE: Final = _limit("RESET_LIFE", timedelta(minutes=30), "from asking", "our choice")
RESET_PAUSE: Final = _limit(
    "RESET_PAUSE", timedelta(minutes=1), "between two reset letters to one member", "our choice"
)
MEMBERS_PER_PORTFOLIO: Final = _limit(
    "MEMBERS_PER_PORTFOLIO", 200, "members and open invitations", "our choice"
)

# Mail
MAIL_PAUSES: Final = _limit(
    "MAIL_PAUSES",
    tuple(timedelta(seconds=s) for s in (1, 2, 5, 15, 30, 60, 120, 300)),
    "wait after attempt 1, 2, … that the mail server put off; the last repeats",
    "our choice",
)
MAIL_UNREACHED_PAUSE: Final = _limit(
    "MAIL_UNREACHED_PAUSE",
    timedelta(seconds=30),
    "longest wait after an attempt that did not reach the mail server",
    "our choice: mail arrives within a minute of the server's return",
)
MAIL_GIVE_UP: Final = _limit(
    "MAIL_GIVE_UP", timedelta(hours=24), "then a letter has failed", "our choice"
)
MAIL_SECONDS: Final = _limit(
    "MAIL_SECONDS", 20, "seconds a mail server may take for one letter", "our choice"
)
MAIL_KEPT: Final = _limit(
    "MAIL_KEPT", timedelta(days=30), "a letter's row is kept after its end", "our choice"
)

# The Graph face, its apps and webhooks
APPS_PER_PORTFOLIO: Final = _limit("APPS_PER_PORTFOLIO", 50, "apps", "our choice")
SYSTEM_USERS_PER_PORTFOLIO: Final = _limit(
    "SYSTEM_USERS_PER_PORTFOLIO", 100, "system users", "our choice"
)
ACCESS_TOKENS_PER_USER: Final = _limit(
    "ACCESS_TOKENS_PER_USER", 100, "live tokens of one system user", "our choice"
)
ACCESS_TOKEN_KEPT: Final = _limit(
    "ACCESS_TOKEN_KEPT", timedelta(days=30), "an expired access token's row is kept", "our choice"
)
ACCESS_TOKEN_LONGEST: Final = _limit(
    "ACCESS_TOKEN_LONGEST", timedelta(days=3_650),
    "from issuing, at most, for an access token that expires", "our choice",
)  # fmt: skip
PROOF_LIFE: Final = _limit(
    "PROOF_LIFE", timedelta(minutes=5), "an appsecret_proof with appsecret_time is good",
    "our choice, after Meta's Graph API: securing requests",
)  # fmt: skip
PROFILE_LENGTHS: Final = _limit(
    "PROFILE_LENGTHS",
    {"about": 139, "address": 256, "description": 512, "email": 128, "website": 256},
    "characters, at most; about has one at least",
    "Meta, business profiles; for description the longer of two documented figures",
)
PROFILE_WEBSITES: Final = _limit("PROFILE_WEBSITES", 2, "websites", "Meta, business profiles")
CALLBACK_LENGTH: Final = _limit("CALLBACK_LENGTH", 2_048, "characters, at most", "our choice")
NODES_PER_PAGE: Final = _limit(
    "NODES_PER_PAGE", (25, 100), "numbers on one page: when nothing is said, and at most",
    "Meta's Graph API: 25; the most is our choice",
)  # fmt: skip
HOOK_BATCH: Final = _limit(
    "HOOK_BATCH", 200, "updates in one webhook request, at most",
    "our choice; Meta, webhooks overview: at most 1,000",
)  # fmt: skip
HOOK_SECONDS: Final = _limit(
    "HOOK_SECONDS", 10, "seconds a receiver may take for one webhook request", "our choice"
)
HOOK_PAUSES: Final = _limit(
    "HOOK_PAUSES",
    tuple(timedelta(seconds=s) for s in (1, 5, 15, 60, 300, 900, 3_600, 10_800, 21_600)),
    "wait after attempt 1, 2, … that a receiver did not take; the last repeats",
    "our choice: growing gaps, as Meta's webhooks overview has them",
)
HOOK_GIVE_UP: Final = _limit(
    "HOOK_GIVE_UP", timedelta(days=7), "then a delivery has failed", "Meta, webhooks overview"
)
HOOK_KEPT: Final = _limit(
    "HOOK_KEPT", timedelta(days=7), "a delivery's row is kept after its end", "our choice"
)
HOOK_ANSWER: Final = _limit(
    "HOOK_ANSWER", 1_024, "bytes of a receiver's answer that are kept", "our choice"
)

# Numbers of the Cloud API: what one may ask of Meta, and how patiently
LINKS_PER_PORTFOLIO: Final = _limit("LINKS_PER_PORTFOLIO", 50, "linked accounts", "our choice")
LEDGER_WINDOW: Final = _limit(
    "LEDGER_WINDOW", timedelta(hours=72), "rolling", "Meta, Cloud API registration: 10 in 72 hours"
)
LEDGER_LIMITS: Final = _limit(
    "LEDGER_LIMITS",
    {"register": 10, "deregister": 10, "code": 10, "check": 20, "pin": 20},
    "attempts of a number within LEDGER_WINDOW, at most",
    "register and deregister: Meta, Cloud API registration; the others are our choice",
)
LEDGER_KEPT_BACK: Final = _limit(
    "LEDGER_KEPT_BACK", 1, "attempts of each kind that only --force spends", "our choice"
)
CLOUD_WRONG_PIN_WAIT: Final = _limit(
    "CLOUD_WRONG_PIN_WAIT", timedelta(minutes=1),
    "no registration after a wrong PIN (133005), unless Meta says how long", "our choice",
)  # fmt: skip
CLOUD_TOO_FAST_WAIT: Final = _limit(
    "CLOUD_TOO_FAST_WAIT", timedelta(minutes=10),
    "no registration after 133009, unless Meta says how long", "our choice",
)  # fmt: skip
CLOUD_TOO_MANY_WAIT: Final = _limit(
    "CLOUD_TOO_MANY_WAIT", timedelta(hours=24),
    "no registration after 133008, unless Meta says how long", "our choice",
)  # fmt: skip
CLOUD_LOCKED_WAIT: Final = _limit(
    "CLOUD_LOCKED_WAIT", timedelta(hours=24),
    "not again what was answered with 131031, unless Meta says how long", "our choice",
)  # fmt: skip
CLOUD_DELETED_WAIT: Final = _limit(
    "CLOUD_DELETED_WAIT", timedelta(minutes=5), "no registration after 133015",
    "Meta, Cloud API error codes",
)  # fmt: skip
CLOUD_CODE_WAITS: Final = _limit(
    "CLOUD_CODE_WAITS", (timedelta(hours=1), timedelta(hours=24)),
    "no code asked for: after it could not be sent, and after too many", "field reports",
)  # fmt: skip
CLOUD_LONGEST_WAIT: Final = _limit(
    "CLOUD_LONGEST_WAIT", timedelta(days=7), "that an answer of Meta's can make us wait",
    "our choice",
)  # fmt: skip
CLOUD_SECONDS: Final = _limit(
    "CLOUD_SECONDS", 30, "seconds one call to the Cloud API may take",
    "our choice; Meta: registering may take 15 s",
)  # fmt: skip
CLOUD_SETTLED: Final = _limit(
    "CLOUD_SETTLED", timedelta(seconds=60),
    "after an unanswered call, then what Meta shows is taken for its outcome", "our choice",
)  # fmt: skip
CLOUD_FRESH: Final = _limit(
    "CLOUD_FRESH", timedelta(minutes=15), "between two readings of a linked account's numbers",
    "our choice",
)  # fmt: skip
CLOUD_CALLS: Final = _limit(
    "CLOUD_CALLS", (200, 5_000),
    "calls an hour for one account, without and with a registered number",
    "Meta, Graph API rate limiting",
)  # fmt: skip
CLOUD_CALLS_SPARED: Final = _limit(
    "CLOUD_CALLS_SPARED", 0.2, "of CLOUD_CALLS that only what cannot wait may use", "our choice"
)
CLOUD_NAME_LIFE: Final = _limit(
    "CLOUD_NAME_LIFE", timedelta(days=14), "after an approval, to register with the new name",
    "Meta, display names",
)  # fmt: skip
CLOUD_OWN_CHANGE: Final = _limit(
    "CLOUD_OWN_CHANGE", timedelta(minutes=5),
    "after a PIN of our own was set, a PIN_CHANGED is taken for ours", "our choice",
)  # fmt: skip
PINS_KEPT: Final = _limit(
    "PINS_KEPT", 30, "PINs of one number in the vault that were sent and never confirmed, at most",
    "our choice: all that LEDGER_LIMITS lets be sent within LEDGER_WINDOW",
)  # fmt: skip
ALERTS_KEPT: Final = _limit(
    "ALERTS_KEPT", 20, "alerts of one number that nobody has seen, the latest", "our choice"
)
INBOUND_BYTES: Final = _limit(
    "INBOUND_BYTES", 3_145_728, "bytes of a webhook from Meta", "Meta, webhooks overview: 3 MB"
)
INBOUND_KEPT: Final = _limit(
    "INBOUND_KEPT", timedelta(days=8), "a webhook from Meta is known as heard",
    "our choice; Meta repeats for 7 days",
)  # fmt: skip

# The wire
BODY_BYTES: Final = _limit("BODY_BYTES", 16_384, "bytes of a request body", "our choice")
HEADER_BYTES: Final = _limit("HEADER_BYTES", 16_384, "bytes of a request's head", "our choice")
HEADER_SECONDS: Final = _limit("HEADER_SECONDS", 5, "seconds to send the head", "our choice")
BODY_SECONDS: Final = _limit("BODY_SECONDS", 20, "seconds to send the body", "our choice")
STORE_SECONDS: Final = _limit(
    "STORE_SECONDS", 1.6, "seconds a change may wait for the store before 503", "our choice"
)
NODE_CLOCK_SECONDS: Final = _limit(
    "NODE_CLOCK_SECONDS", 2, "seconds a node's clock may be off the database's", "our choice"
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
