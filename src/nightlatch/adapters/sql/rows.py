"""What the domain knows as rows, and back."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from nightlatch.domain.access import (
    AccessToken,
    Callback,
    GraphApp,
    Scope,
    SystemRole,
    SystemUser,
)
from nightlatch.domain.audit import Detail, Event, Kind, Link
from nightlatch.domain.clients import Role, User
from nightlatch.domain.codes import CodeBudget, Method, Pending
from nightlatch.domain.guesses import Guesses, Paid
from nightlatch.domain.mail import Letter, MailState, Posted
from nightlatch.domain.members import App, Invitation, Member, MemberRole, MemberSession, Reset
from nightlatch.domain.numbers import Number, RegistrationBudget, TurnOffLink, TwoStep
from nightlatch.domain.profiles import Profile
from nightlatch.domain.webhooks import Delivery, DeliveryState, Field

Row = tuple[Any, ...]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)

NUMBER_COLUMNS: Final = (
    "id", "e164", "cc", "waba", "name", "serial", "created_at", "holder", "registered_at",
    "code_verified_at", "pin_version", "pin_verifier", "guess_ticket", "guess_run",
    "guess_forgiven", "guess_paid", "guess_since", "guess_locked", "registrations", "codes",
    "pending_session", "pending_client", "pending_method", "pending_hash",
    "pending_pin_version", "pending_sent_at", "pending_checks", "pending_checked_at",
    "asked_name", "name_declined", "name_set_at", "guess_warned", "link_hash",
    "link_pin_version", "link_by", "link_by_version", "link_expires_at", "links_sent",
    "deregistrations", "attacked_at", "wait_ends_at",
)  # fmt: skip
AUDIT_COLUMNS: Final = ("subject", "seq", "at", "kind", "by", "details", "place", "hash")
USER_COLUMNS: Final = (
    "client", "username", "role", "verifier", "must_change", "wrong_logins", "last_wrong_at",
)  # fmt: skip


PROFILE_COLUMNS: Final = (
    "number", "about", "address", "description", "email", "websites", "vertical",
)  # fmt: skip
APP_COLUMNS: Final = (
    "id", "portfolio", "name", "secret", "created_at", "needs_proof", "callback_url",
    "callback_fields",
)  # fmt: skip
SYSTEM_USER_COLUMNS: Final = ("id", "portfolio", "name", "role", "created_at", "wabas")
ACCESS_TOKEN_COLUMNS: Final = (
    "hash", '"system_user"', "app", "scopes", "issued_at", "expires_at",
)  # fmt: skip
DELIVERY_COLUMNS: Final = (
    "key", "app", "waba", "line", "field", "value", "at", "posted_at", "due_at", "attempts",
    "alone", "state", "ended_at", "status", "answer", "fault",
)  # fmt: skip


def micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICRO


def moment(value: int) -> datetime:
    return _EPOCH + timedelta(microseconds=value)


def maybe_micros(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def maybe_moment(value: int | None) -> datetime | None:
    return None if value is None else moment(value)


def _pack(times: tuple[datetime, ...]) -> str:
    return ",".join(str(micros(at)) for at in times)


def _unpack(text: str) -> tuple[datetime, ...]:
    return tuple(moment(int(part)) for part in text.split(",")) if text else ()


def number_to_row(number: Number) -> Row:
    """In the order of NUMBER_COLUMNS."""
    guesses, pending, link = number.guesses, number.pending, number.link
    return (
        int(number.id),
        number.e164,
        number.cc,
        number.waba,
        number.name,
        number.serial,
        micros(number.created_at),
        number.holder,
        maybe_micros(number.registered_at),
        maybe_micros(number.code_verified_at),
        number.two_step.version,
        number.two_step.verifier,
        guesses.ticket,
        guesses.run,
        guesses.forgiven,
        pack_paid(guesses.paid),
        maybe_micros(guesses.since),
        int(guesses.locked),
        _pack(number.registrations.used),
        _pack(number.codes.sent),
        *(
            (None,) * 8
            if pending is None
            else (
                pending.session,
                pending.client,
                pending.method.value,
                pending.code_hash,
                pending.pin_version,
                micros(pending.sent_at),
                pending.checks,
                maybe_micros(pending.checked_at),
            )
        ),
        number.asked_name,
        int(number.name_declined),
        maybe_micros(number.name_set_at),
        int(guesses.warned),
        *(
            (None,) * 5
            if link is None
            else (
                link.hash,
                link.pin_version,
                link.asked_by,
                link.asked_version,
                micros(link.expires_at),
            )
        ),
        _pack(number.links_sent),
        _pack(number.deregistrations.used),
        maybe_micros(guesses.attacked_at),
        maybe_micros(guesses.wait_ends_at),
    )


def number_from_row(row: Row) -> Number:
    """From the columns of NUMBER_COLUMNS."""
    (
        id_, e164, cc, waba, name, serial, created_at, holder, registered_at, code_verified_at,
        pin_version, pin_verifier, ticket, run, forgiven, paid, since, locked, registrations,
        codes, session, client, method, code_hash, pending_version, sent_at, checks, checked_at,
        asked_name, name_declined, name_set_at, warned, link_hash, link_pin_version, link_by,
        link_by_version, link_expires_at, links_sent, deregistrations, _attacked_at, _wait_ends_at,
    ) = row  # fmt: skip
    return Number(
        id=str(id_),
        e164=e164,
        cc=cc,
        waba=waba,
        name=name,
        serial=serial,
        created_at=moment(created_at),
        holder=holder,
        registered_at=maybe_moment(registered_at),
        code_verified_at=maybe_moment(code_verified_at),
        two_step=TwoStep(pin_version, pin_verifier),
        guesses=Guesses(
            ticket, run, forgiven, unpack_paid(paid), maybe_moment(since), bool(locked),
            bool(warned),
        ),
        registrations=RegistrationBudget(_unpack(registrations)),
        codes=CodeBudget(_unpack(codes)),
        pending=None
        if session is None
        else Pending(
            session, client, Method(method), code_hash, pending_version, moment(sent_at),
            checks, maybe_moment(checked_at),
        ),
        asked_name=asked_name,
        name_declined=bool(name_declined),
        name_set_at=maybe_moment(name_set_at),
        link=None
        if link_hash is None
        else TurnOffLink(
            link_hash, link_pin_version, link_by, link_by_version, moment(link_expires_at)
        ),
        links_sent=_unpack(links_sent),
        deregistrations=RegistrationBudget(_unpack(deregistrations)),
    )  # fmt: skip


def pack_paid(paid: tuple[Paid, ...]) -> str:
    return ",".join(f"{one.ticket}:{micros(one.at)}" for one in paid)


def unpack_paid(text: str) -> tuple[Paid, ...]:
    if not text:
        return ()
    pairs = (part.split(":") for part in text.split(","))
    return tuple(Paid(int(ticket), moment(int(at))) for ticket, at in pairs)


def user_to_row(user: User) -> Row:
    """In the order of USER_COLUMNS."""
    return (
        user.client,
        user.username,
        user.role.value,
        user.verifier,
        int(user.must_change),
        user.wrong_logins,
        maybe_micros(user.last_wrong_at),
    )


def user_from_row(row: Row) -> User:
    """From the columns of USER_COLUMNS."""
    client, username, role, verifier, must_change, wrong_logins, last_wrong_at = row
    return User(
        client=client,
        username=username,
        role=Role(role),
        verifier=verifier,
        must_change=bool(must_change),
        wrong_logins=wrong_logins,
        last_wrong_at=maybe_moment(last_wrong_at),
    )


def link_to_row(link: Link) -> Row:
    """In the order of AUDIT_COLUMNS."""
    event = link.event
    details = facts_to_text(event.details)
    return (
        link.subject, link.seq, micros(event.at), event.kind.value, event.by, details,
        event.place, link.hash,
    )  # fmt: skip


def link_from_row(row: Row) -> Link:
    """Raises ValueError when the row was changed so that it is no link any more."""
    subject, seq, *told, hash_ = row
    event = event_from_row(tuple(told))
    if not (isinstance(seq, int) and isinstance(hash_, bytes)):
        raise ValueError("not a link")  # noqa: TRY004 - a value in the database, not of a caller
    return Link(subject, seq, event, hash_)


def event_from_row(row: Row) -> Event:
    """From at, kind, by, details, place. Raises ValueError as ``link_from_row``."""
    at, kind, by, details, place = row
    try:
        event = Event(Kind(kind), by, moment(at), facts_from_text(details), place)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError("not an event") from error
    if not (isinstance(by, str) and isinstance(place, str)):
        raise ValueError("not an event")  # noqa: TRY004 - a value in the database
    return event


def facts_to_text(facts: tuple[tuple[str, Detail], ...]) -> str:
    return json.dumps(facts, separators=(",", ":"))


def facts_from_text(text: str) -> tuple[tuple[str, Detail], ...]:
    return tuple((name, value) for name, value in json.loads(text))


MEMBER_COLUMNS: Final = (
    "id", "portfolio", "email", "name", "role", "verifier", "joined_at", "version",
    "app_sealed", "app_step", "app_recovery", "reset_hash", "reset_at",
)  # fmt: skip
SESSION_COLUMNS: Final = ("hash", "member", "started_at", "seen_at", "whole", "agent", "place")
INVITATION_COLUMNS: Final = ("hash", "portfolio", "role", "email", "by", "expires_at")
MAIL_COLUMNS: Final = (
    "key", "portfolio", "address", "letter", "facts", "posted_at", "due_at", "sealed", "about",
    "good_until", "state", "attempts", "ended_at", "fault",
)  # fmt: skip
_HASH: Final = 32


def member_to_row(member: Member) -> Row:
    """In the order of MEMBER_COLUMNS."""
    app, reset = member.app, member.reset
    return (
        member.id,
        member.portfolio,
        member.email,
        member.name,
        member.role.value,
        member.verifier,
        micros(member.joined_at),
        member.version,
        *((None,) * 3 if app is None else (app.sealed, app.step, b"".join(app.recovery))),
        *((None,) * 2 if reset is None else (reset.hash, micros(reset.asked_at))),
    )


def member_from_row(row: Row) -> Member:
    """From the columns of MEMBER_COLUMNS."""
    (
        id_, portfolio, email, name, role, verifier, joined_at, version, sealed, step, recovery,
        reset_hash, reset_at,
    ) = row  # fmt: skip
    app = None
    if sealed is not None:
        left = tuple(recovery[i : i + _HASH] for i in range(0, len(recovery), _HASH))
        app = App(sealed, step, left)
    return Member(
        id=id_,
        portfolio=portfolio,
        email=email,
        name=name,
        role=MemberRole(role),
        verifier=verifier,
        joined_at=moment(joined_at),
        version=version,
        app=app,
        reset=None if reset_hash is None else Reset(reset_hash, moment(reset_at)),
    )


def session_to_row(session: MemberSession) -> Row:
    """In the order of SESSION_COLUMNS."""
    return (
        session.hash, session.member, micros(session.started_at), micros(session.seen_at),
        int(session.whole), session.agent, session.place,
    )  # fmt: skip


def session_from_row(row: Row) -> MemberSession:
    """From the columns of SESSION_COLUMNS."""
    hash_, member, started_at, seen_at, whole, agent, place = row
    return MemberSession(
        hash=hash_,
        member=member,
        started_at=moment(started_at),
        seen_at=moment(seen_at),
        whole=bool(whole),
        agent=agent,
        place=place,
    )


def invitation_to_row(invitation: Invitation) -> Row:
    """In the order of INVITATION_COLUMNS."""
    return (
        invitation.hash, invitation.portfolio, invitation.role.value, invitation.email,
        invitation.by, micros(invitation.expires_at),
    )  # fmt: skip


def invitation_from_row(row: Row) -> Invitation:
    """From the columns of INVITATION_COLUMNS."""
    hash_, portfolio, role, email, by, expires_at = row
    return Invitation(hash_, portfolio, MemberRole(role), email, by, moment(expires_at))


def posted_to_row(posted: Posted) -> Row:
    """In the order of MAIL_COLUMNS."""
    return (
        posted.key, posted.portfolio, posted.address, posted.letter.value,
        facts_to_text(posted.facts), micros(posted.posted_at), micros(posted.due_at),
        posted.sealed, posted.about, maybe_micros(posted.good_until), posted.state.value,
        posted.attempts, maybe_micros(posted.ended_at), posted.fault,
    )  # fmt: skip


def posted_from_row(row: Row) -> Posted:
    """From the columns of MAIL_COLUMNS."""
    (
        key, portfolio, address, letter, facts, posted_at, due_at, sealed, about, good_until,
        state, attempts, ended_at, fault,
    ) = row  # fmt: skip
    return Posted(
        key=key,
        portfolio=portfolio,
        address=address,
        letter=Letter(letter),
        facts=facts_from_text(facts),
        posted_at=moment(posted_at),
        due_at=moment(due_at),
        sealed=sealed,
        about=about,
        good_until=maybe_moment(good_until),
        state=MailState(state),
        attempts=attempts,
        ended_at=maybe_moment(ended_at),
        fault=fault,
    )


def profile_to_row(number: str, profile: Profile) -> Row:
    """In the order of PROFILE_COLUMNS."""
    return (
        int(number), profile.about, profile.address, profile.description, profile.email,
        json.dumps(profile.websites), profile.vertical,
    )  # fmt: skip


def profile_from_row(row: Row) -> Profile:
    """From the columns of PROFILE_COLUMNS."""
    _, about, address, description, email, websites, vertical = row
    return Profile(about, address, description, email, tuple(json.loads(websites)), vertical)


def app_to_row(app: GraphApp) -> Row:
    """In the order of APP_COLUMNS."""
    callback = app.callback
    return (
        app.id, app.portfolio, app.name, app.secret, micros(app.created_at), int(app.needs_proof),
        None if callback is None else callback.url,
        "" if callback is None else _join(sorted(callback.fields)),
    )  # fmt: skip


def app_from_row(row: Row) -> GraphApp:
    """From the columns of APP_COLUMNS."""
    id_, portfolio, name, secret, created_at, needs_proof, url, fields = row
    return GraphApp(
        id=id_,
        portfolio=portfolio,
        name=name,
        secret=secret,
        created_at=moment(created_at),
        needs_proof=bool(needs_proof),
        callback=None if url is None else Callback(url, frozenset(map(Field, _split(fields)))),
    )


def system_user_to_row(user: SystemUser) -> Row:
    """In the order of SYSTEM_USER_COLUMNS."""
    return (
        user.id, user.portfolio, user.name, user.role.value, micros(user.created_at),
        _join(user.wabas),
    )  # fmt: skip


def system_user_from_row(row: Row) -> SystemUser:
    """From the columns of SYSTEM_USER_COLUMNS."""
    id_, portfolio, name, role, created_at, wabas = row
    return SystemUser(
        id=id_,
        portfolio=portfolio,
        name=name,
        role=SystemRole(role),
        created_at=moment(created_at),
        wabas=_split(wabas),
    )


def access_token_to_row(token: AccessToken) -> Row:
    """In the order of ACCESS_TOKEN_COLUMNS."""
    return (
        token.hash, token.user, token.app, _join(token.scopes), micros(token.issued_at),
        maybe_micros(token.expires_at),
    )  # fmt: skip


def access_token_from_row(row: Row) -> AccessToken:
    """From the columns of ACCESS_TOKEN_COLUMNS."""
    hash_, user, app, scopes, issued_at, expires_at = row
    return AccessToken(
        hash=hash_,
        user=user,
        app=app,
        scopes=tuple(map(Scope, _split(scopes))),
        issued_at=moment(issued_at),
        expires_at=maybe_moment(expires_at),
    )


def delivery_to_row(delivery: Delivery) -> Row:
    """In the order of DELIVERY_COLUMNS."""
    return (
        delivery.key, delivery.app, delivery.waba, delivery.line, delivery.field.value,
        json.dumps(delivery.value), micros(delivery.at), micros(delivery.posted_at),
        micros(delivery.due_at), delivery.attempts, int(delivery.alone), delivery.state.value,
        maybe_micros(delivery.ended_at), delivery.status, delivery.answer, delivery.fault,
    )  # fmt: skip


def delivery_from_row(row: Row) -> Delivery:
    """From the columns of DELIVERY_COLUMNS."""
    (
        key, app, waba, line, field, value, at, posted_at, due_at, attempts, alone, state,
        ended_at, status, answer, fault,
    ) = row  # fmt: skip
    return Delivery(
        key=key,
        app=app,
        waba=waba,
        line=line,
        field=Field(field),
        value=tuple((name, said) for name, said in json.loads(value)),
        at=moment(at),
        posted_at=moment(posted_at),
        due_at=moment(due_at),
        attempts=attempts,
        alone=bool(alone),
        state=DeliveryState(state),
        ended_at=maybe_moment(ended_at),
        status=status,
        answer=answer,
        fault=fault,
    )


def _join(words: Iterable[str]) -> str:
    """With a comma on each side of every word, so that SQL finds a whole one."""
    joined = ",".join(words)
    return f",{joined}," if joined else ""


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.strip(",").split(",")) if text else ()
