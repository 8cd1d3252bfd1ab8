"""A WhatsApp Business API Client: its users, their passwords and their tokens."""

import hashlib
import re
import string
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from nightlatch.domain.audit import Event
from nightlatch.domain.errors import AdminStays, LoginWait, ParameterInvalid, Refusal
from nightlatch.domain.limits import (
    LOGIN_FREE,
    LOGIN_WAIT,
    PASSWORD_LENGTH,
    TOKEN_LIFE,
    USERNAME_LENGTH,
)

FIRST_CLIENT = "main"
"""The client that is served at ``/v1``."""
ADMIN = "admin"
FACTORY_PASSWORD = "secret"  # noqa: S105 - documented by Meta, and good for nothing but its own change

_CLIENT_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?", re.ASCII)
_USERNAME = re.compile(r"[\x21-\x7e]+", re.ASCII)
_SPECIAL = frozenset("!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~")


class Role(StrEnum):
    """What a user may do."""

    ADMIN = "ROLE_ADMIN"
    USER = "ROLE_USER"


@dataclass(frozen=True, slots=True)
class Client:
    """One client. It holds *number* only while that number's ``holder`` says so."""

    name: str
    created_at: datetime
    number: str | None = None
    """Id of the number it registered last."""
    shards: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account of one client."""

    client: str
    username: str
    role: Role
    verifier: bytes
    """The sealed verifier of the password; opaque here."""
    must_change: bool = False
    wrong_logins: int = 0
    """Wrong passwords in a row."""
    last_wrong_at: datetime | None = None

    @property
    def full_name(self) -> str:
        """As audit events name the user."""
        return f"{self.client}/{self.username}"

    def pay_login(self, now: datetime) -> "User":
        """Count a login as wrong before its password is compared.

        Raises:
            LoginWait: too soon; nothing is counted.
        """
        if self.wrong_logins >= LOGIN_FREE and self.last_wrong_at is not None:
            remaining = min(LOGIN_WAIT, self.last_wrong_at + LOGIN_WAIT - now)
            if remaining > timedelta(0):
                raise LoginWait(remaining)
        return replace(self, wrong_logins=self.wrong_logins + 1, last_wrong_at=now)

    def logged_in(self) -> "User":
        """The password was right."""
        return replace(self, wrong_logins=0, last_wrong_at=None)

    def with_password(self, verifier: bytes, *, must_change: bool = False) -> "User":
        return replace(self, verifier=verifier, must_change=must_change)

    def refuse_removal(self) -> None:
        """Raises AdminStays for the one account that cannot be removed."""
        if self.role is Role.ADMIN:
            raise AdminStays


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token as it is kept: only its hash."""

    hash: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class UserDecision:
    """What a rule decided about a user; a store keeps all of it in one atomic step."""

    user: User
    events: tuple[Event, ...] = ()
    token: Token | None = None
    """To be added."""
    end_tokens: bool = False
    """End every token of the user that there was before, but *keep*."""
    keep: bytes | None = None
    refusal: Refusal | None = None
    """Raised to the caller after the rest is durable."""


@dataclass(frozen=True, slots=True)
class Session:
    """Who a good token speaks for."""

    user: User
    token_hash: bytes
    expires_at: datetime


def hash_token(token: str) -> bytes:
    """SHA-256: a token has 256 random bits, so nothing slower is needed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def new_token(token: str, now: datetime) -> Token:
    return Token(hash_token(token), now + TOKEN_LIFE)


def read_client_name(name: str) -> str:
    """Lower-case letters, digits and inner hyphens, 1 to 32. Raises ParameterInvalid."""
    if not _CLIENT_NAME.fullmatch(name):
        raise ParameterInvalid("name", "1 to 32 of a-z, 0-9 and inner hyphens")
    return name


def read_username(value: object) -> str:
    """4 to 32 printable ASCII characters, no space, ``:`` or ``/``. Raises ParameterInvalid."""
    low, high = USERNAME_LENGTH
    if (
        isinstance(value, str)
        and low <= len(value) <= high
        and _USERNAME.fullmatch(value)
        and not set(value) & {":", "/"}
    ):
        return value
    raise ParameterInvalid(
        "username", f"{low} to {high} printable characters, no space, `:` or `/`"
    )


def read_password(value: object, name: str = "password") -> str:
    """8 to 64 characters, at least one digit, upper, lower and special. Raises ParameterInvalid."""
    low, high = PASSWORD_LENGTH
    if (
        isinstance(value, str)
        and low <= len(value) <= high
        and set(value) & set(string.digits)
        and any(c.isupper() for c in value)
        and any(c.islower() for c in value)
        and set(value) & _SPECIAL
    ):
        return value
    raise ParameterInvalid(
        name,
        f"{low} to {high} characters with a digit, an upper-case letter, "
        "a lower-case letter and a special character",
    )
