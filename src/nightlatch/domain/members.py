"""Members: people with a login to the Manager and a role in a portfolio."""

import hmac
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.errors import (
    AppAlreadyOn,
    LinkRefused,
    ParameterInvalid,
    Refusal,
    RoleTooLow,
    SignInRefused,
    SignInWait,
)
from nightlatch.domain.limits import (
    HALF_SESSION,
    INVITATION_LIFE,
    MEMBER_PASSWORD_LENGTH,
    PERSON_NAME_LENGTH,
    RESET_LIFE,
    RESET_PAUSE,
    SESSION_IDLE,
    SESSION_LIFE,
    SESSION_TOUCH,
    SIGN_IN_MEMORY,
    SIGN_IN_WAITS,
)
from nightlatch.domain.mail import Letter, Mail, To


class MemberRole(StrEnum):
    """What a member may do; each role includes those below it."""

    OWNER = "owner"
    """Also members, the portfolio and its address, the mailbox."""
    ADMIN = "admin"
    """Also numbers, names, certificates, codes and PINs."""
    VIEWER = "viewer"
    """Sees states and events, never a certificate or a code."""

    def includes(self, other: "MemberRole") -> bool:
        order = list(MemberRole)
        return order.index(self) <= order.index(other)


@dataclass(frozen=True, slots=True)
class App:
    """An authenticator app."""

    sealed: bytes
    """Its key, sealed and bound to the member; opaque here."""
    step: int
    """The last time step whose code was used; none is good twice."""
    recovery: tuple[bytes, ...]
    """Hashes of the recovery codes that are left."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The newest mailed link that sets another password."""

    hash: bytes
    asked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A person with a login to the Manager and a role in one portfolio."""

    id: str
    portfolio: str
    email: str
    """Identity of the login; lower case."""
    name: str
    role: MemberRole
    verifier: bytes
    """The sealed verifier of the password; opaque here."""
    joined_at: datetime
    version: int = 1
    """Grows with every change of the password."""
    app: App | None = None
    reset: Reset | None = None

    def refuse_below(self, role: MemberRole) -> None:
        """Raise RoleTooLow unless the member's role includes *role*."""
        if not self.role.includes(role):
            raise RoleTooLow


@dataclass(frozen=True, slots=True)
class Invitation:
    """A one-time link that makes somebody a member."""

    hash: bytes
    portfolio: str
    role: MemberRole
    email: str
    """Who is invited; empty in the link that the first start prints for the first owner."""
    by: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSession:
    """One browser that is signed in, or half-way there."""

    hash: bytes
    member: str
    started_at: datetime
    seen_at: datetime
    whole: bool
    """False between the password and the authenticator's code."""
    agent: str = ""
    """What the browser calls itself, shortened."""
    place: str = ""
    """The address it signed in from."""

    @property
    def ends_at(self) -> datetime:
        """When it ends unless there is a request before."""
        if not self.whole:
            return self.started_at + HALF_SESSION
        return min(self.seen_at + SESSION_IDLE, self.started_at + SESSION_LIFE)

    def should_touch(self, now: datetime) -> bool:
        """Whether a request now is worth writing down."""
        return now >= self.seen_at + SESSION_TOUCH


@dataclass(frozen=True, slots=True)
class MemberDecision:
    """What a rule decided about a member; a store keeps all of it in one atomic step."""

    member: Member
    events: tuple[Event, ...] = ()
    mails: tuple[Mail, ...] = ()
    session: MemberSession | None = None
    """To be added."""
    end_sessions: bool = False
    """End every session of the member that there was before, but *keep*."""
    keep: bytes | None = None
    end_session: bytes | None = None
    """End this one."""
    refusal: Refusal | None = None
    """Raised to the caller after the rest is durable."""


@dataclass(frozen=True, slots=True)
class SignIns:
    """The wrong sign-ins for one e-mail address, whether or not it is a member's."""

    wrong: int = 0
    last_at: datetime | None = None

    def pay(self, now: datetime, waits: tuple[timedelta, ...] = SIGN_IN_WAITS) -> "SignIns":
        """Count a sign-in as wrong before anything is compared.

        Raises:
            SignInWait: too soon; nothing is counted.
        """
        if self.last_at is None or now >= self.last_at + SIGN_IN_MEMORY:
            return SignIns(1, now)
        if self.wrong:
            wait = waits[min(self.wrong, len(waits)) - 1]
            remaining = min(wait, self.last_at + wait - now)
            if remaining > timedelta(0):
                raise SignInWait(remaining)
        return SignIns(self.wrong + 1, now)


def read_person_name(text: str) -> str:
    """1 to PERSON_NAME_LENGTH printable characters. Raises ParameterInvalid."""
    if not text.strip() or len(text) > PERSON_NAME_LENGTH or not text.isprintable():
        raise ParameterInvalid("name", f"1 to {PERSON_NAME_LENGTH} printable characters")
    return text.strip()


def read_new_password(text: str) -> str:
    """A password of MEMBER_PASSWORD_LENGTH; whether it is common is for a port to say.

    Raises:
        ParameterInvalid: too short or too long.
    """
    low, high = MEMBER_PASSWORD_LENGTH
    if not low <= len(text) <= high:
        raise ParameterInvalid("password", f"{low} to {high} characters; a few words are fine")
    return text


def read_role(text: str) -> MemberRole:
    """Raises ParameterInvalid."""
    try:
        return MemberRole(text)
    except ValueError as error:
        raise ParameterInvalid("role", "owner, admin or viewer") from error


def signed_in(
    member: Member, verifier_version: int, session: MemberSession, by_app: str, now: datetime
) -> MemberDecision:
    """Begin *session*; *by_app* says what the second step was, if there was one.

    Raises:
        SignInRefused: the password was changed, or an app turned on, while this ran.
    """
    if member.version != verifier_version:
        raise SignInRefused
    if session.whole and not by_app and member.app is not None:
        raise SignInRefused
    if not session.whole:
        return MemberDecision(member, session=session)
    details = (("second_step", by_app),) if by_app else ()
    return MemberDecision(
        member, (Event(Kind.SIGNED_IN, member.email, now, details),), session=session
    )


def use_app(member: Member, step: int | None) -> MemberDecision:
    """Use up the code of a time step.

    Raises:
        SignInRefused: the code was wrong (*step* is None), or was used before.
    """
    if member.app is None or step is None or step <= member.app.step:
        raise SignInRefused
    return MemberDecision(replace(member, app=replace(member.app, step=step)))


def use_recovery(member: Member, code_hash: bytes, now: datetime) -> MemberDecision:
    """Use up a recovery code.

    Raises:
        SignInRefused: there is no such code, or no longer.
    """
    app = member.app
    left = tuple(h for h in app.recovery if not hmac.compare_digest(h, code_hash)) if app else ()
    if app is None or len(left) == len(app.recovery):
        raise SignInRefused
    event = Event(Kind.MEMBER_RECOVERY, member.email, now, (("left", len(left)),))
    return MemberDecision(replace(member, app=replace(app, recovery=left)), (event,))


def turn_app_on(member: Member, app: App, keep: bytes, now: datetime) -> MemberDecision:
    """From now on signing in takes the app's code; other sessions end.

    Raises:
        AppAlreadyOn: there is one; it must be turned off first.
    """
    if member.app is not None:
        raise AppAlreadyOn
    event = Event(Kind.MEMBER_APP_ON, member.email, now)
    return MemberDecision(replace(member, app=app), (event,), end_sessions=True, keep=keep)


def turn_app_off(member: Member, by: str, now: datetime) -> MemberDecision:
    """The password alone signs in; off already leaves no trace."""
    if member.app is None:
        return MemberDecision(member)
    event = Event(Kind.MEMBER_APP_OFF, by, now, (("member", member.email),))
    return MemberDecision(replace(member, app=None), (event,))


def with_password(
    member: Member, verifier: bytes, by: str, now: datetime, keep: bytes | None = None
) -> MemberDecision:
    """Another password: every session but *keep* ends, and links mailed before are void."""
    event = Event(Kind.MEMBER_PASSWORD, by, now, (("member", member.email),))
    changed = replace(member, verifier=verifier, version=member.version + 1, reset=None)
    return MemberDecision(changed, (event,), end_sessions=True, keep=keep)


def ask_reset(member: Member, token_hash: bytes, sealed: bytes, now: datetime) -> MemberDecision:
    """Mail a link that sets another password; asked too soon again, nothing happens."""
    if member.reset is not None and now < member.reset.asked_at + RESET_PAUSE:
        return MemberDecision(member)
    mail = Mail(
        letter=Letter.PASSWORD_RESET,
        to=To.PERSON,
        at=now,
        address=member.email,
        facts=(("name", member.name), ("at", now.isoformat())),
        sealed=sealed,
        about=member.id,
        good_until=now + RESET_LIFE,
    )
    return MemberDecision(
        with_reset(member, token_hash, now),
        (Event(Kind.MEMBER_RESET_ASKED, member.email, now),),
        (mail,),
    )


def with_reset(member: Member, token_hash: bytes, now: datetime) -> Member:
    """The newest link; earlier ones are void."""
    return replace(member, reset=Reset(token_hash, now))


def refuse_dead_reset(member: Member, token_hash: bytes, now: datetime) -> None:
    """Raise LinkRefused unless the link of *token_hash* sets another password now."""
    reset = member.reset
    if (
        reset is None
        or not hmac.compare_digest(reset.hash, token_hash)
        or now >= reset.asked_at + RESET_LIFE
    ):
        raise LinkRefused


def follow_reset(
    member: Member, token_hash: bytes, verifier: bytes, now: datetime
) -> MemberDecision:
    """Another password by the mailed link, which is good once.

    Raises:
        LinkRefused: used, replaced or expired.
    """
    refuse_dead_reset(member, token_hash, now)
    return with_password(member, verifier, member.email, now)


def and_sign_in(decision: MemberDecision, session: MemberSession, now: datetime) -> MemberDecision:
    """*decision*, and a session that begins with it."""
    begun = signed_in(decision.member, decision.member.version, session, "", now)
    return replace(decision, events=(*decision.events, *begun.events), session=session)


def change_role(member: Member, role: MemberRole, by: str, now: datetime) -> MemberDecision:
    """Another role; that a portfolio keeps an owner is the store's to see to, in one step."""
    if role is member.role:
        return MemberDecision(member)
    event = Event(Kind.MEMBER_ROLE, by, now, (("member", member.email), ("role", role.value)))
    return MemberDecision(replace(member, role=role), (event,))


def invitation(
    token_hash: bytes,
    sealed: bytes,
    portfolio: tuple[str, str],
    role: MemberRole,
    email: str,
    by: Member,
    now: datetime,
) -> tuple[Invitation, Event, Mail]:
    """An invitation with its event and its letter. *portfolio* is id and name."""
    expires_at = now + INVITATION_LIFE
    mail = Mail(
        letter=Letter.INVITATION,
        to=To.PERSON,
        at=now,
        address=email,
        facts=(
            ("portfolio", portfolio[1]),
            ("role", role.value),
            ("by", by.email),
            ("by_name", by.name),
            ("at", now.isoformat()),
        ),
        sealed=sealed,
        about=email,
        good_until=expires_at,
    )
    event = Event(Kind.MEMBER_INVITED, by.email, now, (("member", email), ("role", role.value)))
    return Invitation(token_hash, portfolio[0], role, email, by.email, expires_at), event, mail
