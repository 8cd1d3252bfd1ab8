"""How each store is made, and what is in it at first."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

from nightlatch.adapters.sql import rows
from nightlatch.adapters.sql.base import insert
from nightlatch.adapters.sql.store import SqlStore
from nightlatch.adapters.sqlite import SqliteStore
from nightlatch.domain.clients import ADMIN, Client, Role, Token, User
from nightlatch.domain.members import Invitation, Member, MemberRole, MemberSession
from nightlatch.domain.numbers import Number
from nightlatch.domain.portfolios import Portfolio, Waba
from tests.people import CC, E164, NAME, NOON, OWNER, THIEF

S = TypeVar("S", bound=SqlStore)
T = TypeVar("T")

AUDIT_KEY: Final = b"a key for the chains of a test.."
WABA: Final = "300000000000001"
NUMBER_ID: Final = "100000000000001"
PORTFOLIO: Final = Portfolio("2", "Portfolio", "post@luckyshrub.example")
ELSEWHERE: Final = Portfolio("3", "Elsewhere", "post@elsewhere.example")
ROOT: Final = Path(__file__).parents[2]


def a_number(index: int = 1, **changes: Any) -> Number:
    """The owner's number, or another one of the same kind."""
    if index == 1:
        same = {"id": NUMBER_ID, "e164": E164}
    else:
        same = {"id": str(100_000_000_000_000 + index), "e164": f"+1631{5_560_000 + index}"}
    values: dict[str, Any] = {
        **same, "cc": CC, "waba": WABA, "name": NAME, "serial": f"serial-{index}",
        "created_at": NOON,
    }  # fmt: skip
    return Number(**(values | changes))


def a_user(client: str = OWNER.client, username: str = ADMIN, **changes: Any) -> User:
    values: dict[str, Any] = {
        "client": client,
        "username": username,
        "role": Role.ADMIN if username == ADMIN else Role.USER,
        "verifier": b"\x01kid-0001 verifier of " + username.encode(),
    }
    return User(**(values | changes))


def a_member(index: int = 1, **changes: Any) -> Member:
    """The owner in the Manager, or another member of the same portfolio."""
    values: dict[str, Any] = {
        "id": str(400_000_000_000_000 + index),
        "portfolio": PORTFOLIO.id,
        "email": OWNER.email if index == 1 else f"m{index}@luckyshrub.example",
        "name": OWNER.name if index == 1 else f"Member {index}",
        "role": MemberRole.OWNER,
        "verifier": b"\x01kid-0001 verifier of %d" % index,
        "joined_at": NOON + timedelta(seconds=index),
    }
    return Member(**(values | changes))


def an_invitation(index: int = 1, **changes: Any) -> Invitation:
    """Of the member with the same *index*."""
    values: dict[str, Any] = {
        "hash": b"invitation %021d" % index,
        "portfolio": PORTFOLIO.id,
        "role": MemberRole.OWNER,
        "email": a_member(index).email,
        "by": "operator",
        "expires_at": NOON + timedelta(days=7),
    }
    return Invitation(**(values | changes))


def a_session(index: int = 1, **changes: Any) -> MemberSession:
    """A browser of the owner's."""
    values: dict[str, Any] = {
        "hash": b"session %024d" % index,
        "member": a_member().id,
        "started_at": NOON + timedelta(seconds=index),
        "seen_at": NOON + timedelta(seconds=index),
        "whole": True,
        "agent": "Firefox",
        "place": "192.0.2.7",
    }
    return MemberSession(**(values | changes))


async def add_member(store: SqlStore, index: int = 1, **changes: Any) -> Member:
    """Invited and joined, with one session of their own."""
    member = a_member(index, **changes)
    invited = an_invitation(index, portfolio=member.portfolio, email=member.email)
    session = a_session(1_000_000 + index, member=member.id)
    await store.invite(invited, (), ())
    await store.join(invited.hash, member, session, (), None, NOON)
    return member


class Make(ABC, Generic[S]):
    """Opens stores over one storage: each call is one more store object of its own.

    What a contract needs of a store besides the port stands here.
    """

    name: ClassVar[str]
    without: ClassVar[dict[str, str]] = {}
    """Checks that say nothing about stores of this kind, each with the reason."""
    most_at_once: ClassVar[int] = 1_000
    """Steps on one row that are all made within STORE_SECONDS, also on a busy machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._opened: list[S] = []

    async def __call__(self) -> S:
        store = await self._open()
        self._opened.append(store)
        return store

    async def at_once(self, works: Iterable[Awaitable[T]]) -> list[T]:
        """What the works return, as many of them at the same time as a store answers in time."""
        waiting, done = iter(works), []
        while some := list(islice(waiting, self.most_at_once)):
            done += await asyncio.gather(*some)
        return done

    async def with_users(self, store: S, users: Iterable[User]) -> None:
        """Put so many users there that it would take long to add them one by one."""
        values = [rows.user_to_row(user) for user in users]
        await store._step(lambda step: step.many(insert("users", rows.USER_COLUMNS), values))

    async def with_tokens(self, store: S, user: User, tokens: Iterable[Token]) -> None:
        """Put so many of one user's tokens there that it would take long to log in for each."""
        columns = ("hash", "client", "username", "expires_at")
        values = [(t.hash, user.client, user.username, rows.micros(t.expires_at)) for t in tokens]
        await store._step(lambda step: step.many(insert("tokens", columns), values))

    async def shut(self, store: S) -> None:
        """Close a store that is no longer needed, on the loop that opened it."""
        self._opened.remove(store)
        await self._close(store)

    async def close(self) -> None:
        """Close what is open, and leave nothing behind."""
        while self._opened:
            await self._close(self._opened.pop())

    async def with_owner_and_thief(self) -> S:
        """A store that holds both clients and one number that nobody has registered yet."""
        store = await self()
        await store.add_portfolio(PORTFOLIO)
        await store.add_waba(Waba(WABA, "2", "Account"))
        for client in (OWNER.client, THIEF.client):
            await store.add_client(Client(client, NOON), a_user(client), ())
        await store.add_number(a_number(), ())
        return store

    async def with_people(self) -> S:
        """As before, with the owner as a member, and the thief's portfolio next door."""
        store = await self.with_owner_and_thief()
        await store.add_portfolio(ELSEWHERE)
        await add_member(store)
        await add_member(store, 2, portfolio=ELSEWHERE.id, email=THIEF.email, name=THIEF.name)
        return store

    def elsewhere(self, task: str, *arguments: object) -> "subprocess.Popen[bytes]":
        """Begin *task* of ``elsewhere.py`` in a process of its own, on this storage."""
        return subprocess.Popen(
            [sys.executable, "-m", "tests.contracts.elsewhere", self.name, self._place(), task,
             *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip

    @classmethod
    @abstractmethod
    def at(cls, place: str) -> "Make[S]":
        """On the storage that another process named."""

    @abstractmethod
    def writers_locked_out(self) -> AbstractAsyncContextManager[None]:
        """Somebody else holds the storage in the middle of a write."""

    @abstractmethod
    async def syncs_before_it_answers(self, store: S) -> bool:
        """Whether the storage itself says that a commit waits for the disk."""

    @abstractmethod
    def _place(self) -> str:
        """Names this storage to another process."""

    @abstractmethod
    async def _open(self) -> S: ...

    @abstractmethod
    async def _close(self, store: S) -> None: ...


class MakeSqlite(Make[SqliteStore]):
    """Opens stores over one SQLite file."""

    name: ClassVar[str] = "sqlite"
    store_class: ClassVar[type[SqliteStore]] = SqliteStore

    @classmethod
    def at(cls, place: str) -> "MakeSqlite":
        return cls(Path(place))

    @asynccontextmanager
    async def writers_locked_out(self) -> AsyncIterator[None]:
        other = sqlite3.connect(self.folder / "store.db", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            yield
        finally:
            other.close()

    async def syncs_before_it_answers(self, store: SqliteStore) -> bool:
        (level,) = await store._step(lambda step: step.one("PRAGMA synchronous"))
        return int(level) >= 2

    def _place(self) -> str:
        return str(self.folder)

    async def _open(self) -> SqliteStore:
        return self.store_class(self.folder / "store.db", AUDIT_KEY)

    async def _close(self, store: SqliteStore) -> None:
        store.close()
