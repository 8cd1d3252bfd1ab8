"""Who may use the Graph face: apps, system users, and the access tokens that join the two."""

import hashlib
import hmac
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.errors import (
    AccessTokenExpired,
    ParameterInvalid,
    ProofRefused,
    ScopeMissing,
)
from nightlatch.domain.limits import ACCESS_TOKEN_LONGEST, CALLBACK_LENGTH, PROOF_LIFE
from nightlatch.domain.webhooks import Field

_PROOF = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Scope(StrEnum):
    """What an access token may do, as Meta names it."""

    MANAGEMENT = "whatsapp_business_management"
    MESSAGING = "whatsapp_business_messaging"
    BUSINESS = "business_management"


class SystemRole(StrEnum):
    """Which WhatsApp accounts of the portfolio a system user sees."""

    ADMIN = "admin"
    """All of them."""
    EMPLOYEE = "employee"
    """Those it was granted."""


@dataclass(frozen=True, slots=True)
class Callback:
    """Where an app's webhooks go."""

    url: str
    fields: frozenset[Field]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphApp:
    """What access tokens are issued for and webhooks are sent to."""

    id: str
    portfolio: str
    name: str
    secret: bytes
    """Sealed and bound to the app; opaque here."""
    created_at: datetime
    needs_proof: bool = False
    """Whether each call must bring an ``appsecret_proof``."""
    callback: Callback | None = None


@dataclass(frozen=True, slots=True)
class AppDecision:
    """What a rule decided about an app; a store keeps all of it in one atomic step."""

    app: GraphApp
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Subscription:
    """An app hears about one WhatsApp account."""

    waba: str
    app: str
    url: str | None = None
    """Its webhooks about this account go here instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemUser:
    """A program's account in a portfolio."""

    id: str
    portfolio: str
    name: str
    role: SystemRole
    created_at: datetime
    wabas: tuple[str, ...] = ()
    """What an employee was granted; empty for an admin."""

    def sees(self, waba: str, portfolio: str) -> bool:
        """Whether it may see the account *waba* of *portfolio*."""
        if portfolio != self.portfolio:
            return False
        return self.role is SystemRole.ADMIN or waba in self.wabas


@dataclass(frozen=True, slots=True)
class SystemUserDecision:
    """What a rule decided about a system user; a store keeps all of it in one atomic step."""

    user: SystemUser
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A token as it is kept: only its hash."""

    hash: bytes
    user: str
    app: str
    scopes: tuple[Scope, ...]
    issued_at: datetime
    expires_at: datetime | None = None
    """None: never."""

    @property
    def reference(self) -> str:
        """Names the token in lists; good for nothing else."""
        return self.hash.hex()[:12]

    def lives(self, now: datetime) -> bool:
        """Whether its time is not over yet."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a good access token speaks for."""

    app: GraphApp
    user: SystemUser | None = None
    """None for the app's own token."""
    token: AccessToken | None = None

    @property
    def name(self) -> str:
        """As audit events name the caller."""
        return f"app:{self.app.id}" if self.user is None else f"system-user:{self.user.id}"

    @property
    def scopes(self) -> tuple[Scope, ...]:
        return () if self.token is None else self.token.scopes

    def sees(self, waba: str, portfolio: str) -> bool:
        """Whether it may see the account *waba* of *portfolio*."""
        return self.user is not None and self.user.sees(waba, portfolio)

    def refuse_without(self, scope: Scope) -> None:
        """Raise ScopeMissing unless the token has the permission."""
        if scope not in self.scopes:
            raise ScopeMissing(scope.value)


def refuse_expired(token: AccessToken, now: datetime) -> None:
    """Raise AccessTokenExpired once the token's time is over."""
    if token.expires_at is not None and not token.lives(now):
        raise AccessTokenExpired(token.expires_at)


def expiry(life: timedelta | None, now: datetime) -> datetime | None:
    """When a token issued *now* expires; never when it has no *life* of its own.

    Raises:
        ParameterInvalid: no token may live that long, or it would be dead already.
    """
    if life is None:
        return None
    if not timedelta(0) < life <= ACCESS_TOKEN_LONGEST:
        raise ParameterInvalid("days", f"1 to {ACCESS_TOKEN_LONGEST.days}")
    return now + life


def check_proof(secret: str, token: str, proof: str, made_at: int | None, now: datetime) -> None:
    """Check an ``appsecret_proof``: HMAC-SHA256 of the token, in hex, under the app's secret.

    *made_at* is ``appsecret_time``, in seconds since 1970; then the proof is over
    ``token|time`` and good for PROOF_LIFE.
    Source: https://developers.facebook.com/docs/graph-api/guides/secure-requests

    Raises:
        ProofRefused: it is another one, or too old.
    """
    signed = token if made_at is None else f"{token}|{made_at}"
    right = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
    if not _PROOF.fullmatch(proof) or not hmac.compare_digest(right, proof):
        raise ProofRefused
    life = PROOF_LIFE.total_seconds()
    if made_at is not None and not now.timestamp() - life <= made_at <= now.timestamp() + life:
        raise ProofRefused


def read_callback(url: str) -> str:
    """What could be the address of a webhook; where it leads is looked at when it is used.

    Raises:
        ParameterInvalid: it could not.
    """
    scheme, _, rest = url.partition("://")
    if (
        scheme not in ("http", "https")
        or not rest
        or len(url) > CALLBACK_LENGTH
        or not url.isascii()
        or not url.isprintable()
        or any(c in url for c in ' "<>\\^`{|}#')
        or "@" in rest.partition("/")[0]
    ):
        raise ParameterInvalid("callback_url", "an https address without user or fragment")
    return url


def change_callback(
    app: GraphApp, callback: Callback | None, by: str, now: datetime
) -> AppDecision:
    """Send the app's webhooks there from now on, also those that wait; None for nowhere."""
    if callback == app.callback:
        return AppDecision(app)
    fields = "" if callback is None else ",".join(sorted(callback.fields))
    event = Event(Kind.APP_CHANGED, by, now, (("app", app.id), ("fields", fields)))
    return AppDecision(replace(app, callback=callback), (event,))


def require_proof(app: GraphApp, needed: bool, by: str, now: datetime) -> AppDecision:
    """Whether each call with the app's tokens must bring a proof."""
    if needed == app.needs_proof:
        return AppDecision(app)
    event = Event(Kind.APP_CHANGED, by, now, (("app", app.id), ("needs_proof", needed)))
    return AppDecision(replace(app, needs_proof=needed), (event,))


def renew_secret(app: GraphApp, secret: bytes, by: str, now: datetime) -> AppDecision:
    """Another secret; webhooks are signed with it from now on, and old proofs are worthless."""
    event = Event(Kind.APP_SECRET, by, now, (("app", app.id),))
    return AppDecision(replace(app, secret=secret), (event,))


def grant(
    user: SystemUser, role: SystemRole, wabas: tuple[str, ...], by: str, now: datetime
) -> SystemUserDecision:
    """Another role, or other accounts."""
    wabas = () if role is SystemRole.ADMIN else tuple(sorted(set(wabas)))
    if (role, wabas) == (user.role, user.wabas):
        return SystemUserDecision(user)
    event = Event(
        Kind.SYSTEM_USER_CHANGED, by, now,
        (("system_user", user.id), ("role", role.value), ("wabas", ",".join(wabas))),
    )  # fmt: skip
    return SystemUserDecision(replace(user, role=role, wabas=wabas), (event,))
