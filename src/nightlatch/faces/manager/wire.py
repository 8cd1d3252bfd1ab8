"""What the pages share: what a handler is given, and what it may answer."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from nightlatch.domain.errors import Refusal, SignedOut
from nightlatch.domain.members import Member, MemberSession
from nightlatch.faces.exports import Download
from nightlatch.ports import World
from nightlatch.settings import Settings

PREFIX = "/manager"


class Access(Enum):
    """Who may use a route."""

    ANYONE = auto()
    HALF = auto()
    """Somebody between the password and the authenticator's code."""
    VIEWER = auto()
    ADMIN = auto()
    OWNER = auto()


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a form was not accepted, for the page that shows it again."""

    sentence: str
    field: str = ""
    """The name of the field it is about; empty when it is about none."""
    status: int = 400
    retry_after: int | None = None
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, checked and taken apart."""

    world: World
    """Already ``seen_from`` the requester's address."""
    settings: Settings
    path: Mapping[str, str]
    """Parts of the path by the names they have in the route."""
    query: Mapping[str, str]
    """Only those the route names; absent ones are missing."""
    form: Mapping[str, str]
    """Every field the route names; absent ones are ``""``. Nothing is trimmed."""
    agent: str = ""
    maybe_member: Member | None = None
    maybe_session: MemberSession | None = None
    problem: Problem | None = None
    """Set when a form is shown again."""
    csrf: str = ""
    here: str = ""
    """Path and query of this page."""

    @property
    def member(self) -> Member:
        """Who is signed in, where the route's access makes sure of it."""
        if self.maybe_member is None:
            raise SignedOut
        return self.maybe_member

    @property
    def session(self) -> MemberSession:
        if self.maybe_session is None:
            raise SignedOut
        return self.maybe_session


@dataclass(frozen=True, slots=True)
class Page:
    """A page made of a template and what it shows."""

    template: str
    shows: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Redirect:
    """303 to another page of ours; *said* is shown there once, above everything."""

    to: str
    """Begins with PREFIX."""
    said: str = ""
    """Key of a sentence in ``messages.SAID``; never text of a request."""
    token: str | None = None
    """A session's token to keep in the cookie; "" takes the cookie away."""


Answer = Page | Redirect | Download
Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One row of the table."""

    method: str
    path: str
    """Below PREFIX, in Falcon's spelling: ``/numbers/{number}``."""
    name: str
    """As logs and metrics call it."""
    access: Access
    handler: Handler
    query: tuple[str, ...] = ()
    form: tuple[str, ...] = ()
    """Fields of the form besides ``csrf``."""
    again: Handler | None = None
    """Shows the form again when the handler refuses; it finds the reason in ``call.problem``."""


Problems = Callable[[Refusal], Problem]
