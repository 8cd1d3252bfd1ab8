"""What the use cases need of the world, promised in prose.

Every time is an aware UTC ``datetime`` with microseconds and is always passed
in: no implementation reads a clock of its own, except ``Clock``.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from nightlatch.domain.audit import Event, Link
from nightlatch.domain.clients import Client, Session, User, UserDecision
from nightlatch.domain.numbers import CodeMessage, Decision, Number

Change = Callable[[Number], Decision]
UserChange = Callable[[User], UserDecision]


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Aware UTC. Never runs backwards, not even across a restart, and never jumps
        while the process lives, whatever happens to the system's clock."""


class Chance(Protocol):
    """Randomness that nobody can guess."""

    def digits(self, count: int) -> str:
        """*count* uniformly random ASCII digits."""

    def token(self, size: int) -> str:
        """*size* random bytes, as URL-safe base64 without padding."""


class Keys(Protocol):
    """The key ring, which lives outside the store, its dumps and its backups."""

    def seal(self, plain: bytes, bound_to: str) -> bytes:
        """Encrypt *plain* so that only this key ring opens it, and only for *bound_to*.

        Raises:
            Unavailable: the key ring cannot be read.
        """

    def unseal(self, sealed: bytes, bound_to: str) -> bytes:
        """What was sealed.

        Raises:
            Unavailable: the key it was sealed with is not in the ring, or the
                value was changed, or it was sealed for something else.
        """

    def keyed_hash(self, purpose: str, data: bytes) -> bytes:
        """32 bytes; useless without the key ring. The same for ever, also after a rotation."""

    def sign(self, data: bytes) -> bytes:
        """The registry's Ed25519 signature, 64 bytes."""

    def signed(self, data: bytes, signature: bytes) -> bool:
        """Whether ``sign`` made *signature* over *data*."""


class HashPlace(Protocol):
    """Room for one slow hash, held until the context ends."""

    async def make(self, secret: str, bound_to: str) -> bytes:
        """A sealed verifier of *secret*, good for *bound_to* only. Raises Unavailable."""

    async def matches(self, verifier: bytes | None, secret: str, bound_to: str) -> bool:
        """Whether *verifier* was made of *secret* for *bound_to*: exactly one slow hash,
        also when *verifier* is None (then the answer is no).

        Raises:
            Unavailable: the verifier cannot be opened; no hash was computed.
        """


class Hasher(Protocol):
    """The slow hash of PINs and passwords, in a pool that never grows a queue."""

    def place(self) -> AbstractAsyncContextManager[HashPlace]:
        """Take a place before anything is counted.

        Raises:
            Overloaded: at once, when every place is taken.
        """


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message waiting to be sent."""

    key: str
    number: str
    message: CodeMessage
    attempts: int


class CodeSender(Protocol):
    """Brings a registration code to a phone."""

    async def send(self, waiting: OutboxMessage) -> None:
        """Deliver the message; the same ``key`` again is the same message and arrives once.

        Raises:
            Exception: any; the message stays in the outbox and is tried again.
        """


@dataclass(frozen=True, slots=True)
class HandsetMessage:
    """What a phone received from the local registry."""

    e164: str
    method: str
    number: str
    sealed: bytes
    received_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SealedValue:
    """A stored value that only the key ring opens, bound to ``kind|v1|owner``."""

    kind: str
    """``pin``, ``password`` or ``code``."""
    owner: str
    place: str
    """Where it is stored; opaque."""
    sealed: bytes

    @property
    def bound_to(self) -> str:
        return bound_to(self.kind, self.owner)


def bound_to(kind: str, owner: str) -> str:
    """What a value is sealed for: a PIN or a code for its number's id, a password for
    ``client/username``."""
    return f"{kind}|v1|{owner}"


class Store(Protocol):
    """What lasts.

    Every method that changes something is one atomic step: all of it is kept
    or none of it. When it returns, the change survives ``kill -9`` and a power
    cut. When it raises, nothing was kept, except where a decision carried a
    refusal: then the decision was kept first. ``Unavailable`` after a time-out
    means unknown: the change may have been kept. Steps on one row never
    overlap, in one process or in many. Reads see every step that returned
    before they began and never wait for writers.

    Events are appended to their subject's chain in the same step as the
    change they tell of.

    Every method raises:
        Unavailable: the storage does not answer in STORE_SECONDS, or fails.
        Overloaded: too many changes are waiting already; this one was not begun.
    """

    # Numbers
    async def number(self, id: str) -> Number | None: ...

    async def number_by_e164(self, e164: str) -> Number | None: ...

    async def number_pending_for(self, client: str) -> Number | None:
        """The number whose pending registration *client* asked for last."""

    async def numbers(self, after: str = "", limit: int = 1_000) -> Sequence[Number]:
        """By E.164, those behind *after*."""

    async def add_number(self, number: Number, events: Sequence[Event]) -> None:
        """Raises NumberExists."""

    async def update(self, id: str, change: Change) -> Number:
        """Apply *change* to the number as it is now and keep its decision.

        *change* may run more than once and must be pure. What it raises comes
        back unchanged. Returns the number as kept.

        Raises:
            NumberUnknown: no such number.
        """

    async def take_over(self, id: str, client: str, change: Change, release: Change) -> Number:
        """``update``; and unless the decision carried a refusal, *client* now points to this
        number, and *release* is applied to any other number it held. One step."""

    # Clients, users, tokens
    async def client(self, name: str) -> Client | None: ...

    async def holds(self, client: str) -> bool | None:
        """Whether *client* is the holder of the number it registered last; None when it never
        registered one, or is unknown."""

    async def clients(self) -> Sequence[Client]:
        """All, by name."""

    async def add_client(self, client: Client, admin: User, events: Sequence[Event]) -> None:
        """Raises ClientExists."""

    async def set_shards(self, client: str, shards: int, events: Sequence[Event]) -> None: ...

    async def user(self, client: str, username: str) -> User | None: ...

    async def add_user(self, user: User, events: Sequence[Event]) -> None:
        """Raises UserExists, TooManyUsers."""

    async def update_user(self, client: str, username: str, change: UserChange) -> User:
        """As ``update``, for a user. Raises UserUnknown."""

    async def remove_user(self, client: str, username: str, events: Sequence[Event]) -> None:
        """With all its tokens. Raises UserUnknown."""

    async def session(self, client: str, token_hash: bytes, now: datetime) -> Session | None:
        """Who the token speaks for; None when unknown, of another client, or expired."""

    async def end_session(self, token_hash: bytes) -> None:
        """After this returns, ``session`` knows the token no more. Unknown is fine."""

    # The audit trail
    def audit(self, subject: str | None = None) -> AsyncIterator[Link]:
        """Every link, or those of one subject, in the order of their chains.

        Raises:
            ValueError: a row was changed so that it is no link any more; those
                before it have been given.
        """

    async def newest_events(self, limit: int, subject: str | None = None) -> Sequence[Link]:
        """The last *limit* links by time, of one subject or of all, oldest first."""

    async def audit_heads(self) -> Sequence[tuple[str, int, bytes]]:
        """Each subject, with the ``seq`` and hash that its own row says its chain ends with."""

    # Messages on their way
    async def lease(self, now: datetime, until: datetime, limit: int) -> Sequence[OutboxMessage]:
        """Due messages, hidden from other leases until *until*. Expired ones are erased."""

    async def sent(self, key: str) -> None:
        """Erase the message. Unknown is fine."""

    async def postpone(self, key: str, due_at: datetime) -> None: ...

    async def put_on_handset(self, key: str, message: HandsetMessage) -> None:
        """And out of the outbox. The same *key* again changes nothing."""

    async def handset(self, e164: str, now: datetime) -> Sequence[HandsetMessage]:
        """Unexpired messages, the newest code first, in whatever order they arrived."""

    async def waiting_for(self, e164: str) -> int:
        """How many messages to this phone are still in the outbox."""

    # Upkeep
    async def sealed_with_others(self, kid: str) -> Sequence[SealedValue]:
        """Values that were not sealed with *kid*."""

    async def replace_sealed(self, changes: Sequence[tuple[SealedValue, bytes]]) -> int:
        """Put each new value in the old one's place, unless it changed meanwhile; how many did."""

    async def kids_in_use(self) -> dict[str, int]:
        """How many stored values each key has sealed."""

    async def tidy(self, now: datetime) -> None:
        """Erase what has expired, and remember that it was *now* at least."""

    async def latest_time(self) -> datetime | None:
        """The latest time anything stored is known to have happened."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything a use case may reach."""

    store: Store
    hasher: Hasher
    keys: Keys
    clock: Clock
    chance: Chance
    nudge: Callable[[], None]
    """Say that the outbox has something new."""
    refuse_weak_pins: bool = False
