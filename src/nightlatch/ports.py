"""What the use cases need of the world, promised in prose.

Every time is an aware UTC ``datetime`` with microseconds and is always passed
in: no implementation reads a clock of its own, except ``Clock``.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Protocol, TypeVar

from nightlatch.domain.access import (
    AccessToken,
    AppDecision,
    GraphApp,
    Subscription,
    SystemUser,
    SystemUserDecision,
)
from nightlatch.domain.audit import Event, Kind, Link
from nightlatch.domain.clients import Client, Session, User, UserDecision
from nightlatch.domain.cloud import Quirks
from nightlatch.domain.linked import Facts, LinkedDecision, LinkedNumber, MetaRefusal, TurnOff
from nightlatch.domain.links import CloudLink, LinkDecision, TokenFacts
from nightlatch.domain.mail import Mail, Posted
from nightlatch.domain.members import (
    Invitation,
    Member,
    MemberDecision,
    MemberSession,
    SignIns,
)
from nightlatch.domain.numbers import CodeMessage, Decision, Number
from nightlatch.domain.overview import Show, Tally
from nightlatch.domain.portfolios import Portfolio, PortfolioDecision, Waba
from nightlatch.domain.profiles import Profile
from nightlatch.domain.webhooks import Delivery, Receiver

Change = Callable[[Number], Decision]
UserChange = Callable[[User], UserDecision]
MemberChange = Callable[[Member], MemberDecision]
PortfolioChange = Callable[[Portfolio], PortfolioDecision]
MailChange = Callable[[Posted], Posted]
SignInsChange = Callable[[SignIns], SignIns]
AppChange = Callable[[GraphApp], AppDecision]
SystemUserChange = Callable[[SystemUser], SystemUserDecision]
ProfileChange = Callable[[Profile], Profile]
LinkChange = Callable[[CloudLink], LinkDecision]
LinkedChange = Callable[[LinkedNumber], LinkedDecision]
DeliveryChange = Callable[[Delivery], Delivery]


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
class Rendered:
    """A letter as its reader sees it."""

    subject: str
    text: str
    html: str
    link: str | None = None


class Letters(Protocol):
    """Writes letters."""

    def write(self, posted: Posted, token: str | None) -> Rendered:
        """The letter; *token* goes into its link, whose host is always the configured one.

        Without the token, which is erased once it is used up, the letter says
        so in the link's place.
        """


class MailRefused(Exception):
    """A mail server said no to this letter, for good. The message holds nothing of the letter."""


class MailPutOff(Exception):
    """A mail server said: not now. The message holds nothing of the letter."""


class MailSender(Protocol):
    """Brings letters to a mail server, or to the embedded mailbox."""

    keeps: bool
    """Whether letters end in the embedded mailbox instead of going out."""

    async def send(self, posted: Posted, letter: Rendered) -> None:
        """Hand the letter over; the same ``key`` again is a second copy of one Message-ID.

        Raises:
            MailRefused: never try again.
            MailPutOff: the server was reached; try again later.
            Exception: any other; the server was not reached.
        """


@dataclass(frozen=True, slots=True)
class Answered:
    """What a receiver of webhooks answered."""

    status: int
    body: bytes
    """The beginning of it."""


class Receivers(Protocol):
    """Reaches the receivers of webhooks."""

    async def challenge(self, url: str, query: Mapping[str, str]) -> Answered:
        """GET *url* with *query* added to its own; at most HOOK_ANSWER bytes come back.

        Raises:
            CallbackRefused: the address must not be used: plain http, or not public.
            Exception: any other; nothing answered in HOOK_SECONDS.
        """

    async def post(self, url: str, body: bytes, signature: str) -> Answered:
        """POST the JSON in *body*, whose bytes are what *signature* is over. No redirect is
        followed. Raises as ``challenge``."""


@dataclass(frozen=True, slots=True)
class CloudAccess:
    """How to speak to the Cloud API for one account. Holds secrets: never logged, never kept."""

    waba: str
    base: str
    """Like ``https://graph.facebook.com``."""
    version: str
    token: str = field(repr=False)
    secret: str | None = field(default=None, repr=False)
    """With it, every call carries ``appsecret_proof``."""
    patient: bool = False
    """The call can wait: it is refused while the rest of the hour's calls should be spared."""


@dataclass(frozen=True, slots=True)
class FoundNumber:
    """A number of an account, as Meta lists it."""

    id: str
    shown: str
    """However Meta spells it: ``+1 631-555-5555`` or digits alone."""
    facts: Facts


@dataclass(frozen=True, slots=True)
class FoundPage:
    """Some numbers of an account, and where the list goes on; empty at the end."""

    numbers: Sequence[FoundNumber]
    next: str


class CloudRefusal(Exception):
    """Meta refused. The message holds nothing of the call."""

    def __init__(self, answer: MetaRefusal) -> None:
        super().__init__(answer.reason.value, answer.code, answer.subcode)
        self.answer = answer


class CloudNotSent(Exception):
    """Meta was not reached: nothing was sent."""


class CloudNoAnswer(Exception):
    """It was sent, and no answer came that says whether it was done."""


class CloudApi(Protocol):
    """Reaches Meta's Cloud API. Every call ends within CLOUD_SECONDS.

    Every method raises:
        CloudRefusal: Meta said no.
        CloudNotSent: nothing reached Meta.
        CloudNoAnswer: no answer, or none that can be understood. What only reads is tried once
            more before; what changes something is never sent twice.
    """

    async def token(self, access: CloudAccess) -> TokenFacts:
        """What Meta says about the access token (``debug_token``)."""

    async def account_name(self, access: CloudAccess) -> str:
        """The account's name."""

    async def numbers(self, access: CloudAccess, after: str, limit: int) -> FoundPage:
        """At most *limit* of the account's numbers with all that Meta shows of them, from where
        *after* says."""

    async def number(self, access: CloudAccess, id: str) -> FoundNumber:
        """One number."""

    async def add_number(self, access: CloudAccess, cc: str, national: str, name: str) -> str:
        """Add a number to the account; Meta's id of it."""

    async def ask_code(self, access: CloudAccess, id: str, method: str, language: str) -> None:
        """Send a registration code; *method* is ``SMS`` or ``VOICE``."""

    async def enter_code(self, access: CloudAccess, id: str, code: str) -> None: ...

    async def register(self, access: CloudAccess, id: str, pin: str) -> None: ...

    async def deregister(self, access: CloudAccess, id: str) -> None: ...

    async def set_pin(self, access: CloudAccess, id: str, pin: str) -> None: ...

    async def is_subscribed(self, access: CloudAccess, app: str) -> bool:
        """Whether the account's webhooks go to *app*; to any app when that is empty."""

    async def subscribe(self, access: CloudAccess) -> None:
        """Let the account's webhooks go to the token's app."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in one queue."""

    count: int
    """How many; a store may stop counting at 10,000."""
    oldest: datetime | None
    """When the longest due of those counted was due; None when nothing is due yet."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be sent."""

    codes: Waiting
    mail: Waiting
    webhooks: Waiting

    def queues(self) -> tuple[tuple[str, Waiting], ...]:
        """Each queue with its name."""
        return ("codes", self.codes), ("mail", self.mail), ("webhooks", self.webhooks)


class StoreWatch(Protocol):
    """Hears what a store does inside. Every method returns at once, never raises, and may be
    called by any thread."""

    def retried(self, why: str) -> None:
        """Something was done again: after a ``conflict`` of versions, a ``serialization``
        failure, a ``deadlock``, or a ``lock`` that was not to be had."""

    def committed(self, changes: int) -> None:
        """So many changes became durable with one commit."""

    def connections(self, connected: int, busy: int) -> None:
        """Of so many connections to the database so many are in use."""


class OneTimeCodes(Protocol):
    """Codes of authenticator apps (RFC 6238: SHA-1, 30 s, six digits)."""

    def step_of(self, key: bytes, code: str, now: datetime) -> int | None:
        """The time step, the present one or a neighbour of it, whose code this is."""

    def address(self, key: bytes, account: str) -> str:
        """The ``otpauth:`` address that an app reads from a QR code."""


class Passwords(Protocol):
    """Knows which passwords people choose."""

    def is_common(self, password: str, about: Sequence[str]) -> bool:
        """Whether it is easily guessed, also by who knows *about* its owner."""


@dataclass(frozen=True, slots=True)
class NumberLine:
    """One number in a list."""

    number: Number
    last: Event | None
    """The last thing that happened to it."""


@dataclass(frozen=True, slots=True)
class NumberPage:
    """Some numbers of a list, and where it goes on."""

    lines: Sequence[NumberLine]
    next: str | None
    """To be given back for what follows; opaque. None at the end."""


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
    """``pin``, ``password``, ``code``, ``member``, ``app``, ``mail``, ``graph-app``, ``link`` or
    ``vault``."""
    owner: str
    place: str
    """Where it is stored; opaque."""
    sealed: bytes

    @property
    def bound_to(self) -> str:
        return bound_to(self.kind, self.owner)


def bound_to(kind: str, owner: str) -> str:
    """What a value is sealed for: a PIN or a code for its number's id, a password for
    ``client/username``, a member's password or app for the member's id, a mailed token for
    what its letter is ``about``, a Graph app's secret for the app's id, a link's secrets for its
    account's id, a PIN in the vault for Meta's id of its number."""
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

    async def number_by_link(self, token_hash: bytes) -> Number | None:
        """The number whose newest turn-off link has this hash."""

    async def list_numbers(
        self, waba: str, show: Show, text: str, now: datetime, after: str | None, limit: int
    ) -> NumberPage:
        """At most *limit* numbers of one account. Costs the same for a hundred and for a million.

        By E.164; those that a search found by what was found. A page may be
        short, even empty, and still have a ``next``: no call looks at more than
        a bounded number of rows. An *after* that is not one begins anew.
        """

    async def tally(self, waba: str, now: datetime) -> Tally: ...

    async def attacked(self, portfolio: str, now: datetime, limit: int) -> Sequence[NumberLine]:
        """Numbers under attack, the latest first."""

    async def daily(self, portfolio: str, since: date) -> Sequence[tuple[date, Kind, int]]:
        """How often each of CHARTED happened to the portfolio's numbers on each UTC day."""

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

    async def onboarded(
        self,
        waba: str,
        after: tuple[datetime | None, str] | None,
        limit: int,
        *,
        newest_first: bool,
    ) -> Sequence[Number]:
        """Numbers of one account by when they were registered, those never registered as the
        oldest, then by id; those behind *after*, which is one such time and id."""

    async def profile(self, number: str) -> Profile:
        """The number's business profile; an empty one until it is changed."""

    async def update_profile(
        self, number: str, change: ProfileChange, events: Sequence[Event]
    ) -> Profile:
        """As ``update``, for a profile. Raises NumberUnknown."""

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

    # Portfolios, WhatsApp accounts, members
    async def portfolio(self, id: str) -> Portfolio | None: ...

    async def portfolios(self) -> Sequence[Portfolio]:
        """All, in the order they were added."""

    async def add_portfolio(self, portfolio: Portfolio, events: Sequence[Event] = ()) -> None: ...

    async def update_portfolio(self, id: str, change: PortfolioChange) -> Portfolio:
        """As ``update``, for a portfolio. Raises PortfolioUnknown."""

    async def waba(self, id: str) -> Waba | None: ...

    async def wabas(self, portfolio: str) -> Sequence[Waba]:
        """By name."""

    async def add_waba(self, waba: Waba, events: Sequence[Event] = ()) -> None:
        """Its events are the portfolio's."""

    async def member(self, id: str) -> Member | None: ...

    async def member_by_email(self, email: str) -> Member | None: ...

    async def members(self, portfolio: str) -> Sequence[Member]:
        """By when they joined."""

    async def invite(
        self, invitation: Invitation, events: Sequence[Event], mails: Sequence[Mail]
    ) -> None:
        """Keep the invitation; an earlier one to the same address and portfolio is void.

        Raises:
            MemberExists: the address is a member's.
            TooManyMembers: no room.
        """

    async def invitation(self, token_hash: bytes, now: datetime) -> Invitation | None:
        """None when unknown, used, replaced, withdrawn or expired."""

    async def invitations(self, portfolio: str, now: datetime) -> Sequence[Invitation]:
        """Those to an address that are open, the oldest first."""

    async def withdraw(self, portfolio: str, email: str, events: Sequence[Event]) -> None:
        """End the invitation of an address. Unknown is fine."""

    async def join(
        self,
        token_hash: bytes,
        member: Member,
        session: MemberSession,
        events: Sequence[Event],
        change: PortfolioChange | None,
        now: datetime,
    ) -> None:
        """Use up the invitation, add the member with a session, apply *change* to the portfolio.

        Raises:
            LinkRefused: as ``invitation`` gives None; or it names no address, and the portfolio
                has a member.
            MemberExists: the address is a member's.
        """

    async def update_member(self, id: str, change: MemberChange) -> Member:
        """As ``update``, for a member; the events are the portfolio's.

        Raises:
            MemberUnknown: no such member.
            LastOwner: the portfolio would be left without an owner.
        """

    async def remove_member(self, id: str, events: Sequence[Event]) -> None:
        """With all sessions. Raises MemberUnknown, LastOwner."""

    async def member_session(
        self, token_hash: bytes, now: datetime
    ) -> tuple[MemberSession, Member] | None:
        """Who a session's token speaks for; None when unknown or ended."""

    async def member_sessions(self, member: str, now: datetime) -> Sequence[MemberSession]:
        """The whole ones that have not ended, the latest first."""

    async def touch_session(self, token_hash: bytes, now: datetime) -> None:
        """It was seen *now*. Unknown is fine."""

    async def end_member_session(self, token_hash: bytes) -> None:
        """After this returns, ``member_session`` knows it no more. Unknown is fine."""

    async def update_sign_ins(self, key: bytes, change: SignInsChange) -> SignIns:
        """As ``update``, for the wrong sign-ins of an address; *key* is its keyed hash."""

    # Apps, system users, access tokens; their events are the portfolio's
    async def app(self, id: str) -> GraphApp | None: ...

    async def apps(self, portfolio: str) -> Sequence[GraphApp]:
        """By when they were added."""

    async def add_app(self, app: GraphApp, events: Sequence[Event]) -> None:
        """Raises PortfolioUnknown, TooManyApps."""

    async def update_app(self, id: str, change: AppChange) -> GraphApp:
        """As ``update``, for an app. Raises AppUnknown."""

    async def remove_app(self, id: str, events: Sequence[Event]) -> None:
        """With its access tokens, subscriptions and deliveries. Raises AppUnknown."""

    async def system_user(self, id: str) -> SystemUser | None: ...

    async def system_users(self, portfolio: str) -> Sequence[SystemUser]:
        """By when they were added."""

    async def add_system_user(self, user: SystemUser, events: Sequence[Event]) -> None:
        """Raises PortfolioUnknown, TooManySystemUsers."""

    async def update_system_user(self, id: str, change: SystemUserChange) -> SystemUser:
        """As ``update``, for a system user. Raises SystemUserUnknown."""

    async def remove_system_user(self, id: str, events: Sequence[Event]) -> None:
        """With its access tokens. Raises SystemUserUnknown."""

    async def access_token(
        self, token_hash: bytes
    ) -> tuple[AccessToken, SystemUser, GraphApp] | None:
        """Who a token speaks for, expired or not; None when unknown or revoked."""

    async def access_tokens(self, user: str) -> Sequence[AccessToken]:
        """A system user's, the latest first, expired ones too."""

    async def add_access_token(
        self, token: AccessToken, events: Sequence[Event], now: datetime
    ) -> None:
        """Raises SystemUserUnknown, AppUnknown, TooManyAccessTokens (those that live *now*)."""

    async def revoke_access_token(self, user: str, reference: str, events: Sequence[Event]) -> None:
        """After this returns, ``access_token`` knows it no more. Raises AccessTokenUnknown."""

    # Webhooks
    async def subscriptions(self, waba: str) -> Sequence[Subscription]:
        """By app."""

    async def subscribe(self, subscription: Subscription, events: Sequence[Event]) -> None:
        """Once more replaces the address, also of what waits. Raises WabaUnknown, AppUnknown."""

    async def unsubscribe(self, waba: str, app: str, events: Sequence[Event]) -> None:
        """Raises NotSubscribed."""

    async def receivers_due(self, now: datetime) -> Sequence[Receiver]:
        """Those for which a delivery is due."""

    async def lease_deliveries(
        self, receiver: Receiver, now: datetime, until: datetime, limit: int
    ) -> Sequence[Delivery]:
        """The oldest due deliveries to one receiver, in order; each lease counts as an attempt.

        Nothing else of their lines is leased before *until*, or until they are settled.
        """

    async def settle_deliveries(
        self, keys: Sequence[int], change: DeliveryChange, now: datetime
    ) -> Sequence[Delivery]:
        """Apply *change* to each; unknown keys are left out.

        What else waits on their lines becomes due when the latest of them that
        still waits is due; *now* where none does.
        """

    async def delivery(self, key: int) -> Delivery | None: ...

    async def deliveries(
        self, portfolio: str, before: int | None, limit: int, app: str | None = None
    ) -> Sequence[Delivery]:
        """The newest first, those with a key below *before*; to one app, or to all."""

    async def failed_deliveries(self, portfolio: str) -> int:
        """How many deliveries are FAILED."""

    # Linked accounts and their numbers; a link's events are its portfolio's
    async def link(self, waba: str) -> CloudLink | None: ...

    async def links(self, portfolio: str | None = None) -> Sequence[CloudLink]:
        """Of one portfolio, or all; by when they were linked."""

    async def add_link(self, link: CloudLink, events: Sequence[Event]) -> None:
        """Raises PortfolioUnknown, LinkExists, TooManyLinks."""

    async def update_link(self, waba: str, change: LinkChange) -> CloudLink:
        """As ``update``, for a link. Raises LinkUnknown."""

    async def remove_link(self, waba: str, events: Sequence[Event]) -> None:
        """With its numbers and their PINs. Raises LinkUnknown."""

    async def linked(self, id: str) -> LinkedNumber | None: ...

    async def linked_by_e164(self, e164: str) -> LinkedNumber | None: ...

    async def linked_of(self, client: str) -> LinkedNumber | None:
        """The linked number that *client* serves."""

    async def linked_waiting_for(self, client: str) -> LinkedNumber | None:
        """The linked number whose registration *client* asked a code for last."""

    async def linked_numbers(
        self, waba: str, after: str = "", limit: int = 1_000
    ) -> Sequence[LinkedNumber]:
        """By E.164, those behind *after*."""

    async def linked_count(self, waba: str) -> int: ...

    async def alarmed(self, portfolio: str, limit: int) -> Sequence[LinkedNumber]:
        """Linked numbers with alerts that nobody has seen, or of which a client believes that
        two-step verification is off; by E.164."""

    async def add_linked(self, number: LinkedNumber, events: Sequence[Event]) -> None:
        """Raises LinkUnknown; NumberExists when it is linked already, or this registry has it."""

    async def update_linked(self, id: str, change: LinkedChange) -> LinkedNumber:
        """As ``update``, for a linked number. Raises LinkedNumberUnknown."""

    async def observe_linked(self, changes: Sequence[tuple[str, LinkedChange]]) -> None:
        """``update_linked`` for many at once, in one step; unknown ones are left out."""

    async def take_linked(
        self,
        id: str,
        client: str,
        change: LinkedChange,
        release: LinkedChange,
        release_local: Change,
    ) -> LinkedNumber:
        """``update_linked``; and unless the decision carried a refusal or left the number with
        another holder than *client*, *release* is applied to any other linked number that it
        served, and *release_local* to the number of this registry that it held. One step."""

    async def linked_due(
        self, now: datetime, until: datetime, limit: int
    ) -> Sequence[LinkedNumber]:
        """Those that are due, the longest due first; not due again before *until*."""

    async def hear(self, key: bytes, id: str, change: LinkedChange, now: datetime) -> bool:
        """``update_linked``, unless *key* was heard before; whether it was not. One step."""

    # Mail
    async def lease_mail(self, now: datetime, until: datetime, limit: int) -> Sequence[Posted]:
        """Waiting letters that are due, hidden from other leases until *until*; each lease
        counts as an attempt."""

    async def update_mail(self, key: str, change: MailChange) -> Posted:
        """As ``update``, for a letter. Raises MailUnknown."""

    async def mail(self, key: str) -> Posted | None: ...

    async def mails(self, portfolio: str | None, limit: int) -> Sequence[Posted]:
        """The latest posted first; of one portfolio, or of all."""

    async def failed_mails(self, portfolio: str | None) -> int:
        """How many letters are FAILED."""

    # The audit trail
    def audit(self, subject: str | None = None) -> AsyncIterator[Link]:
        """Every link, or those of one subject, in the order of their chains.

        Raises:
            ValueError: a row was changed so that it is no link any more; those
                before it have been given.
        """

    async def newest_events(self, limit: int, subject: str | None = None) -> Sequence[Link]:
        """The last *limit* links by time, of one subject or of all, oldest first."""

    async def events(self, subject: str, before: int | None, limit: int) -> Sequence[Link]:
        """The newest first, those with a ``seq`` below *before*."""

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

    async def backlog(self, now: datetime) -> Backlog:
        """What waits to be sent, without what has expired."""

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


Kept = TypeVar("Kept", Number, Member, Portfolio, CloudLink, LinkedNumber)
Posting = TypeVar(
    "Posting", Decision, MemberDecision, PortfolioDecision, LinkDecision, LinkedDecision
)
"""A decision that may post letters."""


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Everything a use case may reach."""

    store: Store
    hasher: Hasher
    keys: Keys
    clock: Clock
    chance: Chance
    nudge: Callable[[], None]
    """Say that there is something new to send."""
    one_time_codes: OneTimeCodes
    passwords: Passwords
    letters: Letters
    receivers: Receivers
    cloud: CloudApi
    quirks: Quirks = field(default_factory=Quirks)
    turn_off: TurnOff = TurnOff.SHADOW
    """What ``DELETE two-step`` does for a number that lives at the Cloud API."""
    refuse_weak_pins: bool = False
    review_names: bool = False
    """Whether display names wait until somebody approves them."""
    place: str = ""
    """The address that the request under way came from."""

    def seen_from(self, place: str) -> "World":
        """The same world, for a request from *place*."""
        return _seen_from(self, place)

    def event(self, kind: Kind, by: str, at: datetime, **details: str | int | bool) -> Event:
        """An event that knows where the request came from."""
        return Event(kind, by, at, tuple(details.items()), self.place)

    def placed(self, decision: Posting) -> Posting:
        """*decision* with events and letters that know where the request came from."""
        if not self.place:
            return decision
        return replace(
            decision,
            events=self._placed_events(decision.events),
            mails=tuple(self.placed_mail(mail) for mail in decision.mails),
        )

    def _placed_events(self, events: Sequence[Event]) -> tuple[Event, ...]:
        return tuple(replace(event, place=self.place) for event in events)

    def placed_mail(self, mail: Mail) -> Mail:
        if not self.place:
            return mail
        return replace(mail, facts=(*mail.facts, ("place", self.place)))

    async def update(self, id: str, change: Change) -> Number:
        """``store.update``, with the place; says so when there is something to send.

        So do the others.
        """
        return await self._telling(lambda placed: self.store.update(id, placed), change)

    async def take_over(self, id: str, client: str, change: Change, release: Change) -> Number:
        return await self._telling(
            lambda placed: self.store.take_over(
                id, client, placed, lambda other: self.placed(release(other))
            ),
            change,
        )

    async def update_member(self, id: str, change: MemberChange) -> Member:
        return await self._telling(lambda placed: self.store.update_member(id, placed), change)

    async def update_portfolio(self, id: str, change: PortfolioChange) -> Portfolio:
        return await self._telling(lambda placed: self.store.update_portfolio(id, placed), change)

    async def update_link(self, waba: str, change: LinkChange) -> CloudLink:
        return await self._telling(lambda placed: self.store.update_link(waba, placed), change)

    async def update_linked(self, id: str, change: LinkedChange) -> LinkedNumber:
        return await self._telling(lambda placed: self.store.update_linked(id, placed), change)

    async def hear(self, key: bytes, id: str, change: LinkedChange, now: datetime) -> bool:
        return await self.store.hear(key, id, lambda n: self.placed(change(n)), now)

    async def update_app(self, id: str, change: AppChange) -> GraphApp:
        def placed(app: GraphApp) -> AppDecision:
            decision = change(app)
            return replace(decision, events=self._placed_events(decision.events))

        return await self.store.update_app(id, placed)

    async def update_system_user(self, id: str, change: SystemUserChange) -> SystemUser:
        def placed(user: SystemUser) -> SystemUserDecision:
            decision = change(user)
            return replace(decision, events=self._placed_events(decision.events))

        return await self.store.update_system_user(id, placed)

    async def _telling(
        self,
        keep: Callable[[Callable[[Kept], Posting]], Awaitable[Kept]],
        change: Callable[[Kept], Posting],
    ) -> Kept:
        posted = False

        def placed(before: Kept) -> Posting:
            nonlocal posted
            decision = self.placed(change(before))
            posted = bool(decision.mails)
            if isinstance(decision, Decision):
                posted |= bool(decision.hooks)
            return decision

        try:
            return await keep(placed)
        finally:
            if posted:
                self.nudge()


@lru_cache(maxsize=256)
def _seen_from(world: World, place: str) -> World:
    """Most requests come from a few places, and each would copy the whole world."""
    return replace(world, place=place)
