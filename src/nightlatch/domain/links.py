"""Links: WhatsApp accounts whose numbers live at the Cloud API, and how we may speak for them."""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.clients import FIRST_CLIENT
from nightlatch.domain.errors import ParameterInvalid, TokenUnfit
from nightlatch.domain.mail import Letter, Mail, To

MANAGES: Final = "whatsapp_business_management"
MESSAGES: Final = "whatsapp_business_messaging"
META: Final = "https://graph.facebook.com"
_ID = re.compile(r"[1-9][0-9]{4,31}", re.ASCII)
_VERSION = re.compile(r"v[1-9][0-9]\.0", re.ASCII)
_TOKEN_LENGTH: Final = 1_024
_SECRET_LENGTH: Final = 256
_URL_LENGTH: Final = 2_048


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What Meta says about an access token."""

    valid: bool
    scopes: frozenset[str] = frozenset()
    app: str = ""
    kind: str = ""
    expires_at: datetime | None = None
    """None when it never does, or nothing was said."""
    data_ends_at: datetime | None = None
    """When its access to data ends, which a login must renew; None when it does not."""
    accounts: frozenset[str] | None = None
    """Ids of the accounts that it may manage; None for every one."""

    def refuse_unfit(self, waba: str, now: datetime) -> None:
        """Raise TokenUnfit when it is not good for managing the numbers of *waba*."""
        if not self.valid:
            raise TokenUnfit("Meta does not know it, or it was revoked")
        ends = [at for at in (self.expires_at, self.data_ends_at) if at is not None]
        if ends and min(ends) <= now:
            raise TokenUnfit("it has expired")
        if MANAGES not in self.scopes:
            raise TokenUnfit(f"it lacks the permission {MANAGES}")
        if self.accounts is not None and waba not in self.accounts:
            raise TokenUnfit("it was not given for this account")


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudLink:
    """One linked account. Sealed values are bound to its id; opaque here."""

    waba: str
    """Meta's id of the account."""
    portfolio: str
    name: str
    token: bytes
    """The access token, sealed."""
    secret: bytes | None = None
    """The app secret, sealed: for ``appsecret_proof`` and for the signatures of webhooks."""
    verify_token: bytes
    """What Meta repeats when it verifies the webhook address, sealed."""
    base: str = META
    version: str = "v23.0"
    clients: tuple[str, ...] = (FIRST_CLIENT,)
    """The clients whose ``/v1`` may register the account's numbers."""
    set_again: bool = False
    """Whether the PIN in the vault is set again once somebody turned two-step verification off."""
    linked_at: datetime
    facts: TokenFacts | None = None
    """What Meta said last about the token."""
    facts_at: datetime | None = None
    subscribed: bool | None = None
    """Whether our app gets the account's webhooks; None when nobody asked."""
    lost_at: datetime | None = None
    """Since when Meta refuses the token."""
    read_at: datetime | None = None
    """When all numbers were read last."""
    cursor: str = ""
    """Where a reading of all numbers that was cut short goes on; empty for the beginning."""

    def open_to(self, client: str) -> bool:
        """Whether this client may register the account's numbers."""
        return client in self.clients


@dataclass(frozen=True, slots=True)
class LinkDecision:
    """What a rule decided about a link; its events are the portfolio's."""

    link: CloudLink
    events: tuple[Event, ...] = ()
    mails: tuple[Mail, ...] = ()


def read_account(text: str) -> str:
    """Meta's id of an account. Raises ParameterInvalid."""
    if not _ID.fullmatch(text):
        raise ParameterInvalid("waba", "the id of a WhatsApp account, digits only")
    return text


def read_version(text: str) -> str:
    """A version of the Graph API. Raises ParameterInvalid."""
    if not _VERSION.fullmatch(text):
        raise ParameterInvalid("version", "a version of the Graph API like v23.0")
    return text


def read_token(text: str) -> str:
    """An access token. Raises ParameterInvalid, which does not repeat it."""
    if not 1 <= len(text) <= _TOKEN_LENGTH or not _is_plain(text):
        raise ParameterInvalid("token", "an access token: one line, without spaces")
    return text


def read_secret(text: str, name: str = "secret") -> str:
    """An app secret, or a verify token. Raises ParameterInvalid, which does not repeat it."""
    if not 1 <= len(text) <= _SECRET_LENGTH or not _is_plain(text):
        raise ParameterInvalid(name, f"1 to {_SECRET_LENGTH} characters without spaces")
    return text


def read_base(text: str) -> str:
    """Where the Cloud API is: https; plain http for a loopback address only, as in tests.

    Raises:
        ParameterInvalid: it is something else.
    """
    wrong = ParameterInvalid(
        "base", "an https address like https://graph.facebook.com; http on loopback only"
    )
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    local = host in ("localhost", "127.0.0.1", "::1")
    scheme_fits = parts.scheme == "https" or (parts.scheme == "http" and local)
    bare = not (parts.query or parts.fragment or parts.username or parts.password)
    if not (host and scheme_fits and bare and len(text) <= _URL_LENGTH and _is_plain(text)):
        raise wrong
    return text.rstrip("/")


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def changed(link: CloudLink, fresh: CloudLink, what: str, by: str, now: datetime) -> LinkDecision:
    """*fresh* in its place, because somebody changed *what*."""
    told = (("waba", link.waba), ("what", what))
    return LinkDecision(fresh, (Event(Kind.LINK_CHANGED, by, now, told),))


def told_of_token(link: CloudLink, facts: TokenFacts, now: datetime) -> LinkDecision:
    """Meta said what the token is good for."""
    return LinkDecision(replace(link, facts=facts, facts_at=now))


def lose(link: CloudLink, now: datetime) -> LinkDecision:
    """Meta refused the token; the owners hear of it once."""
    if link.lost_at is not None:
        return LinkDecision(link)
    facts = (("account", link.name), ("waba", link.waba), ("by", "Meta"), ("at", now.isoformat()))
    return LinkDecision(
        replace(link, lost_at=now),
        (Event(Kind.ACCESS_LOST, "meta", now, (("waba", link.waba),)),),
        (Mail(letter=Letter.CLOUD_ACCESS_LOST, to=To.OWNERS, at=now, facts=facts),),
    )


def regain(link: CloudLink, now: datetime) -> LinkDecision:
    """Meta takes the token again."""
    if link.lost_at is None:
        return LinkDecision(link)
    event = Event(Kind.ACCESS_BACK, "meta", now, (("waba", link.waba),))
    return LinkDecision(replace(link, lost_at=None), (event,))
