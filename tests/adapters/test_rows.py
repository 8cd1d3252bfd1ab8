"""What goes into a row comes out of it, whatever it is."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.adapters.sql import linked_rows, rows
from nightlatch.adapters.sqlite.schema import migrate
from nightlatch.domain.audit import Event, Kind, Link
from nightlatch.domain.clients import Role, User
from nightlatch.domain.codes import CodeBudget, Method, Pending
from nightlatch.domain.guesses import Guesses, Paid
from nightlatch.domain.ledger import Act, Ledger
from nightlatch.domain.linked import (
    Alert,
    Facts,
    Health,
    HealthError,
    LinkedNumber,
    UnderWay,
    Waiting,
)
from nightlatch.domain.links import CloudLink, TokenFacts
from nightlatch.domain.mail import Letter, MailState, Posted
from nightlatch.domain.members import App, Invitation, Member, MemberRole, MemberSession, Reset
from nightlatch.domain.numbers import Number, RegistrationBudget, TurnOffLink, TwoStep
from nightlatch.domain.vault import KeptPin, Vault

times = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)).map(
    lambda at: at.replace(tzinfo=UTC, fold=0)
)
texts = st.text(max_size=40)
blobs = st.binary(max_size=60)
counts = st.integers(0, 2**62)
budgets = st.lists(times, max_size=12).map(tuple)

pendings = st.builds(
    Pending,
    session=texts,
    client=texts,
    method=st.sampled_from(Method),
    code_hash=blobs,
    pin_version=counts,
    sent_at=times,
    checks=counts,
    checked_at=st.none() | times,
)
guessings = st.builds(
    Guesses,
    ticket=counts,
    run=counts,
    forgiven=counts,
    paid=st.lists(st.builds(Paid, counts, times), max_size=12).map(tuple),
    since=st.none() | times,
    locked=st.booleans(),
    warned=st.booleans(),
)
numbers = st.builds(
    Number,
    id=st.integers(10**14, 10**15 - 1).map(str),
    e164=st.from_regex(r"\+[1-9][0-9]{4,14}", fullmatch=True),
    cc=st.from_regex(r"[1-9][0-9]{0,2}", fullmatch=True),
    waba=texts,
    name=texts,
    serial=texts,
    created_at=times,
    holder=st.none() | texts,
    registered_at=st.none() | times,
    code_verified_at=st.none() | times,
    two_step=st.builds(TwoStep, counts, st.none() | blobs),
    guesses=guessings,
    registrations=st.builds(RegistrationBudget, budgets),
    codes=st.builds(CodeBudget, budgets),
    pending=st.none() | pendings,
    asked_name=st.none() | texts,
    name_declined=st.booleans(),
    name_set_at=st.none() | times,
    link=st.none() | st.builds(TurnOffLink, blobs, counts, texts, counts, times),
    links_sent=st.lists(times, max_size=5).map(tuple),
    deregistrations=st.builds(RegistrationBudget, budgets),
)
hashes = st.binary(min_size=32, max_size=32)
members = st.builds(
    Member,
    id=texts,
    portfolio=texts,
    email=texts,
    name=texts,
    role=st.sampled_from(MemberRole),
    verifier=blobs,
    joined_at=times,
    version=counts,
    app=st.none() | st.builds(App, blobs, counts, st.lists(hashes, max_size=10).map(tuple)),
    reset=st.none() | st.builds(Reset, hashes, times),
)
sessions = st.builds(
    MemberSession,
    hash=hashes,
    member=texts,
    started_at=times,
    seen_at=times,
    whole=st.booleans(),
    agent=texts,
    place=texts,
)
invitations = st.builds(Invitation, hashes, texts, st.sampled_from(MemberRole), texts, texts, times)
users = st.builds(
    User,
    client=texts,
    username=texts,
    role=st.sampled_from(Role),
    verifier=blobs,
    must_change=st.booleans(),
    wrong_logins=counts,
    last_wrong_at=st.none() | times,
)
details = st.tuples(texts, texts | st.integers() | st.booleans())
links = st.builds(
    Link,
    subject=texts,
    seq=counts,
    event=st.builds(
        Event,
        kind=st.sampled_from(Kind),
        by=texts,
        at=times,
        details=st.lists(details, max_size=5).map(tuple),
        place=texts,
    ),
    hash=blobs,
)
letters = st.builds(
    Posted,
    key=texts,
    portfolio=texts,
    address=texts,
    letter=st.sampled_from(Letter),
    facts=st.lists(details, max_size=5).map(tuple),
    posted_at=times,
    due_at=times,
    sealed=st.none() | blobs,
    about=texts,
    good_until=st.none() | times,
    state=st.sampled_from(MailState),
    attempts=counts,
    ended_at=st.none() | times,
    fault=texts,
)
flags = st.none() | st.booleans()
text_sets = st.frozensets(texts, max_size=4)
cloud_links = st.builds(
    CloudLink,
    waba=texts,
    portfolio=texts,
    name=texts,
    token=blobs,
    secret=st.none() | blobs,
    verify_token=blobs,
    base=texts,
    version=texts,
    clients=st.lists(texts, max_size=3).map(tuple),
    set_again=st.booleans(),
    linked_at=times,
    facts=st.none()
    | st.builds(
        TokenFacts,
        valid=st.booleans(),
        scopes=text_sets,
        app=texts,
        kind=texts,
        expires_at=st.none() | times,
        data_ends_at=st.none() | times,
        accounts=st.none() | text_sets,
    ),
    facts_at=st.none() | times,
    subscribed=flags,
    lost_at=st.none() | times,
    read_at=st.none() | times,
    cursor=texts,
)
pins = st.builds(KeptPin, texts, blobs, times)
spent = st.lists(st.tuples(st.sampled_from(Act), times), max_size=5).map(tuple)
healths = st.builds(
    Health,
    texts,
    texts,
    texts,
    st.lists(st.builds(HealthError, st.integers(), texts, texts), max_size=2).map(tuple),
)
linked_numbers = st.builds(
    LinkedNumber,
    id=texts,
    e164=texts,
    cc=texts,
    waba=texts,
    found_at=times,
    facts=st.builds(
        Facts,
        at=times,
        name=texts,
        name_state=texts,
        new_name=texts,
        new_name_state=texts,
        code_state=texts,
        pin_on=flags,
        status=texts,
        platform=texts,
        on_app=st.booleans(),
        mode=texts,
        quality=texts,
        webhook=texts,
        health=st.lists(healths, max_size=2).map(tuple),
    ),
    holder=st.none() | texts,
    registered_at=st.none() | times,
    waiting=st.none() | st.builds(Waiting, texts, times, st.none() | blobs),
    vault=st.builds(
        Vault,
        st.none() | pins,
        st.lists(pins, max_size=4).map(tuple),
        st.none() | times,
        st.booleans(),
    ),
    ledger=st.builds(Ledger, spent, spent),
    guesses=guessings,
    under_way=st.none()
    | st.builds(
        UnderWay,
        act=st.sampled_from(Act),
        key=texts,
        at=times,
        by=texts,
        client=st.none() | texts,
        was_registered=flags,
        was_pin_on=flags,
        pin_key=st.none() | texts,
        unknown=st.booleans(),
    ),
    off_asked_at=st.none() | times,
    name_asked=texts,
    name_approved_at=st.none() | times,
    set_again=st.booleans(),
    alerts=st.lists(st.builds(Alert, texts, times, texts), max_size=3).map(tuple),
    looks=counts,
    due_at=st.none() | times,
)


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    """The real tables, because columns have a say in what comes back."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    yield connection
    connection.close()


def through(database: sqlite3.Connection, table: str, columns: tuple[str, ...], row: rows.Row):
    names = ", ".join(columns)
    marks = ", ".join("?" * len(row))
    chained = table in ("numbers", "linked")
    chain = ", audit_seq, audit_head" if chained else ""
    heads = ", 0, x''" if chained else ""
    database.execute(f"DELETE FROM {table}")
    database.execute(f"INSERT INTO {table} ({names}{chain}) VALUES ({marks}{heads})", row)
    return database.execute(f"SELECT {names} FROM {table}").fetchone()


@given(number=numbers)
def test_a_number_comes_back_as_it_was(database: sqlite3.Connection, number: Number):
    row = rows.number_to_row(number)

    stored = through(database, "numbers", rows.NUMBER_COLUMNS, row)

    assert stored == row
    assert rows.number_from_row(stored) == number
    assert repr(rows.number_from_row(stored)) == repr(number)  # True is not 1


@given(user=users)
def test_a_user_comes_back_as_it_was(database: sqlite3.Connection, user: User):
    stored = through(database, "users", rows.USER_COLUMNS, rows.user_to_row(user))

    assert rows.user_from_row(stored) == user
    assert repr(rows.user_from_row(stored)) == repr(user)


@given(link=links)
def test_a_link_comes_back_as_it_was(database: sqlite3.Connection, link: Link):
    columns = ("subject", "seq", "at", "kind", "by", "details", "place", "hash")

    stored = through(database, "audit", columns, rows.link_to_row(link))

    assert rows.link_from_row(stored) == link
    assert repr(rows.link_from_row(stored)) == repr(link)


@given(member=members)
def test_a_member_comes_back_as_it_was(database: sqlite3.Connection, member: Member):
    stored = through(database, "members", rows.MEMBER_COLUMNS, rows.member_to_row(member))

    assert rows.member_from_row(stored) == member
    assert repr(rows.member_from_row(stored)) == repr(member)


@given(session=sessions)
def test_a_session_comes_back_as_it_was(database: sqlite3.Connection, session: MemberSession):
    row = rows.session_to_row(session)

    stored = through(database, "member_sessions", rows.SESSION_COLUMNS, row)

    assert repr(rows.session_from_row(stored)) == repr(session)


@given(invitation=invitations)
def test_an_invitation_comes_back_as_it_was(database: sqlite3.Connection, invitation: Invitation):
    row = rows.invitation_to_row(invitation)

    stored = through(database, "invitations", rows.INVITATION_COLUMNS, row)

    assert repr(rows.invitation_from_row(stored)) == repr(invitation)


@given(letter=letters)
def test_a_letter_comes_back_as_it_was(database: sqlite3.Connection, letter: Posted):
    stored = through(database, "mail", rows.MAIL_COLUMNS, rows.posted_to_row(letter))

    assert repr(rows.posted_from_row(stored)) == repr(letter)


@given(link=cloud_links)
def test_a_linked_account_comes_back_as_it_was(database: sqlite3.Connection, link: CloudLink):
    row = linked_rows.link_to_row(link)

    stored = through(database, "links", linked_rows.LINK_COLUMNS, row)
    found = linked_rows.link_from_row(stored)

    assert found == link
    assert (type(found.subscribed), type(found.set_again)) == (type(link.subscribed), bool)


@given(number=linked_numbers)
def test_a_linked_number_comes_back_as_it_was_with_its_pins(
    database: sqlite3.Connection, number: LinkedNumber
):
    row = linked_rows.linked_to_row(number)
    stored = through(database, "linked", linked_rows.LINKED_COLUMNS, row)
    database.execute("DELETE FROM vault")
    kept = linked_rows.vault_to_rows(number.vault).values()
    database.executemany(
        "INSERT INTO vault (number, place, key, sealed, at) VALUES ('1', ?, ?, ?, ?)", kept
    )
    pins_ = database.execute("SELECT place, key, sealed, at FROM vault ORDER BY place").fetchall()

    found = linked_rows.linked_from_row(stored, pins_)

    assert stored == row
    assert repr(found) == repr(number)  # True is not 1


@given(at=st.datetimes(timezones=st.just(UTC)))
def test_a_time_comes_back_to_the_microsecond(at: datetime):
    assert rows.moment(rows.micros(at)) == at


def test_every_column_of_a_number_and_a_user_and_a_linked_number_is_written(
    database: sqlite3.Connection,
):
    def columns(table: str) -> set[str]:
        return {row[1] for row in database.execute(f"PRAGMA table_info({table})")}

    assert columns("numbers") == {*rows.NUMBER_COLUMNS, "audit_seq", "audit_head"}
    assert columns("linked") == {*linked_rows.LINKED_COLUMNS, "audit_seq", "audit_head"}
    assert columns("links") == set(linked_rows.LINK_COLUMNS)
    assert columns("vault") == {*linked_rows.VAULT_COLUMNS, "number"}
    assert columns("users") == set(rows.USER_COLUMNS)
