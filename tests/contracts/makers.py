"""How each store is made. A further store joins the contract by one more entry in MAKERS."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

from nightlatch.adapters.sqlite import SqliteStore
from nightlatch.domain.clients import ADMIN, Client, Role, User
from nightlatch.domain.members import Invitation, Member, MemberRole, MemberSession
from nightlatch.domain.numbers import Number
from nightlatch.domain.portfolios import Portfolio, Waba
from tests.people import CC, E164, NAME, NOON, OWNER, THIEF

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


async def add_member(store: SqliteStore, index: int = 1, **changes: Any) -> Member:
    """Invited and joined, with one session of their own."""
    member = a_member(index, **changes)
    invited = an_invitation(index, portfolio=member.portfolio, email=member.email)
    session = a_session(1_000_000 + index, member=member.id)
    await store.invite(invited, (), ())
    await store.join(invited.hash, member, session, (), None, NOON)
    return member


class MakeSqlite:
    """Opens stores over one SQLite file: each call is one more store object of its own.

    What a contract needs of a store besides the port stands here.
    """

    name: ClassVar[str] = "sqlite"
    store_class: ClassVar[type[SqliteStore]] = SqliteStore

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._opened: list[SqliteStore] = []

    def __call__(self) -> SqliteStore:
        store = self.store_class(self.folder / "store.db", AUDIT_KEY)
        self._opened.append(store)
        return store

    async def with_owner_and_thief(self) -> SqliteStore:
        """A store that holds both clients and one number that nobody has registered yet."""
        store = self()
        await store.add_portfolio(PORTFOLIO)
        await store.add_waba(Waba(WABA, "2", "Account"))
        for client in (OWNER.client, THIEF.client):
            await store.add_client(Client(client, NOON), a_user(client), ())
        await store.add_number(a_number(), ())
        return store

    async def with_people(self) -> SqliteStore:
        """As before, with the owner as a member, and the thief's portfolio next door."""
        store = await self.with_owner_and_thief()
        await store.add_portfolio(ELSEWHERE)
        await add_member(store)
        await add_member(store, 2, portfolio=ELSEWHERE.id, email=THIEF.email, name=THIEF.name)
        return store

    @contextmanager
    def writers_locked_out(self) -> Iterator[None]:
        """Somebody else holds the storage in the middle of a write."""
        other = sqlite3.connect(self.folder / "store.db", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            yield
        finally:
            other.close()

    async def syncs_before_it_answers(self, store: SqliteStore) -> bool:
        """Whether the storage itself says that a commit waits for the disk."""
        level = await store._writer.run(lambda c: c.execute("PRAGMA synchronous").fetchone()[0])
        return int(level) >= 2

    def elsewhere(self, task: str, *arguments: object) -> "subprocess.Popen[bytes]":
        """Begin *task* of ``elsewhere.py`` in a process of its own, on this storage."""
        return subprocess.Popen(
            [sys.executable, "-m", "tests.contracts.elsewhere", self.name, str(self.folder), task,
             *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip

    def close(self) -> None:
        for store in self._opened:
            store.close()


MAKERS: Final[list[type[MakeSqlite]]] = [MakeSqlite]
