"""Numbers and users as rows, and back."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from nightlatch.domain.audit import Event, Kind, Link
from nightlatch.domain.clients import Role, User
from nightlatch.domain.codes import CodeBudget, Method, Pending
from nightlatch.domain.guesses import Guesses, Paid
from nightlatch.domain.numbers import Number, RegistrationBudget, TwoStep

Row = tuple[Any, ...]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)

NUMBER_COLUMNS: Final = (
    "id", "e164", "cc", "waba", "name", "serial", "created_at", "holder", "registered_at",
    "code_verified_at", "pin_version", "pin_verifier", "guess_ticket", "guess_run",
    "guess_forgiven", "guess_paid", "guess_since", "guess_locked", "registrations", "codes",
    "pending_session", "pending_client", "pending_method", "pending_hash",
    "pending_pin_version", "pending_sent_at", "pending_checks", "pending_checked_at",
)  # fmt: skip
USER_COLUMNS: Final = (
    "client", "username", "role", "verifier", "must_change", "wrong_logins", "last_wrong_at",
)  # fmt: skip


def micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICRO


def moment(value: int) -> datetime:
    return _EPOCH + timedelta(microseconds=value)


def _micros(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def _moment(value: int | None) -> datetime | None:
    return None if value is None else moment(value)


def _pack(times: tuple[datetime, ...]) -> str:
    return ",".join(str(micros(at)) for at in times)


def _unpack(text: str) -> tuple[datetime, ...]:
    return tuple(moment(int(part)) for part in text.split(",")) if text else ()


def number_to_row(number: Number) -> Row:
    """In the order of NUMBER_COLUMNS."""
    guesses, pending = number.guesses, number.pending
    return (
        int(number.id),
        number.e164,
        number.cc,
        number.waba,
        number.name,
        number.serial,
        micros(number.created_at),
        number.holder,
        _micros(number.registered_at),
        _micros(number.code_verified_at),
        number.two_step.version,
        number.two_step.verifier,
        guesses.ticket,
        guesses.run,
        guesses.forgiven,
        ",".join(f"{paid.ticket}:{micros(paid.at)}" for paid in guesses.paid),
        _micros(guesses.since),
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
                _micros(pending.checked_at),
            )
        ),
    )


def number_from_row(row: Row) -> Number:
    """From the columns of NUMBER_COLUMNS."""
    (
        id_, e164, cc, waba, name, serial, created_at, holder, registered_at, code_verified_at,
        pin_version, pin_verifier, ticket, run, forgiven, paid, since, locked, registrations,
        codes, session, client, method, code_hash, pending_version, sent_at, checks, checked_at,
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
        registered_at=_moment(registered_at),
        code_verified_at=_moment(code_verified_at),
        two_step=TwoStep(pin_version, pin_verifier),
        guesses=Guesses(
            ticket, run, forgiven, _paid(paid), _moment(since), bool(locked)
        ),
        registrations=RegistrationBudget(_unpack(registrations)),
        codes=CodeBudget(_unpack(codes)),
        pending=None
        if session is None
        else Pending(
            session, client, Method(method), code_hash, pending_version, moment(sent_at),
            checks, _moment(checked_at),
        ),
    )  # fmt: skip


def _paid(text: str) -> tuple[Paid, ...]:
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
        _micros(user.last_wrong_at),
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
        last_wrong_at=_moment(last_wrong_at),
    )


def link_to_row(link: Link) -> Row:
    event = link.event
    details = json.dumps(event.details, separators=(",", ":"))
    return (
        link.subject, link.seq, micros(event.at), event.kind.value, event.by, details, link.hash,
    )  # fmt: skip


def link_from_row(row: Row) -> Link:
    """Raises ValueError when the row was changed so that it is no link any more."""
    subject, seq, at, kind, by, details, hash_ = row
    try:
        pairs = tuple((name, value) for name, value in json.loads(details))
        event = Event(Kind(kind), by, moment(at), pairs)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError("not an event") from error
    if not (isinstance(by, str) and isinstance(seq, int) and isinstance(hash_, bytes)):
        raise ValueError("not a link")  # noqa: TRY004 - a value in the database, not of a caller
    return Link(subject, seq, event, hash_)
