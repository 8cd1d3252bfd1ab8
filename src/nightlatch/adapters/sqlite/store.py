"""The ``Store`` port over one SQLite file."""

import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from nightlatch.adapters.sqlite import rows
from nightlatch.adapters.sqlite.access import Access
from nightlatch.adapters.sqlite.base import changes, insert, select, update
from nightlatch.adapters.sqlite.changes import Changes
from nightlatch.adapters.sqlite.linked import Linked
from nightlatch.adapters.sqlite.lists import Lists, count_events, count_number
from nightlatch.adapters.sqlite.mail import Mails
from nightlatch.adapters.sqlite.members import Members
from nightlatch.adapters.sqlite.rows import micros, moment
from nightlatch.adapters.sqlite.schema import migrate
from nightlatch.adapters.sqlite.webhooks import Webhooks
from nightlatch.adapters.sqlite.writer import StoreRefused, Writer, connect
from nightlatch.domain.audit import GENESIS, Event, Link
from nightlatch.domain.clients import Client, Session, User
from nightlatch.domain.errors import (
    ClientExists,
    NumberExists,
    NumberUnknown,
    TooManyUsers,
    UserExists,
    UserUnknown,
)
from nightlatch.domain.limits import (
    ACCESS_TOKEN_KEPT,
    INBOUND_KEPT,
    MAIL_KEPT,
    SESSION_LIFE,
    SIGN_IN_MEMORY,
    TOKENS_PER_USER,
    USERS_PER_CLIENT,
)
from nightlatch.domain.linked import LinkedDecision, LinkedNumber
from nightlatch.domain.numbers import CLOUD_API, CodeMessage, Decision, Number
from nightlatch.domain.profiles import Profile
from nightlatch.ports import (
    Change,
    HandsetMessage,
    LinkedChange,
    OutboxMessage,
    ProfileChange,
    SealedValue,
    UserChange,
)

_NUMBER: Final = f"SELECT {', '.join(rows.NUMBER_COLUMNS)} FROM numbers "  # noqa: S608 - constants
_NUMBER_BY_ID: Final = _NUMBER + "WHERE id = ?"
_NUMBER_BY_E164: Final = _NUMBER + "WHERE e164 = ?"
_NUMBER_BY_LINK: Final = _NUMBER + "WHERE link_hash = ?"
_USER: Final = f"SELECT {', '.join(rows.USER_COLUMNS)} FROM users "  # noqa: S608 - constants
_SESSION: Final = (
    f"SELECT {', '.join('u.' + column for column in rows.USER_COLUMNS)}, t.expires_at "  # noqa: S608
    "FROM tokens t JOIN users u ON u.client = t.client AND u.username = t.username "
    "WHERE t.hash = ? AND t.client = ?"
)
_NUMBER_PENDING: Final = _NUMBER + "WHERE pending_client = ? ORDER BY pending_sent_at DESC LIMIT 1"
_HOLDS: Final = (
    "SELECT n.holder IS c.name FROM clients c JOIN numbers n ON n.id = c.number WHERE c.name = ?"
)
_PROFILE: Final = select("profiles", rows.PROFILE_COLUMNS)
_LINK: Final = "SELECT subject, seq, at, kind, by, details, place, hash FROM audit "
_SEALED: Final = {  # place -> table, column, owner, rows of the owner ?1
    "pin": ("numbers", "pin_verifier", "id", "id = CAST(?1 AS INTEGER)"),
    "password": (
        "users",
        "verifier",
        "client || '/' || username",
        "client = substr(?1, 1, instr(?1, '/') - 1) AND username = substr(?1, instr(?1, '/') + 1)",
    ),
    "code": ("outbox", "sealed", "number", "number = CAST(?1 AS INTEGER)"),
    "handset": ("handset", "sealed", "number", "number = CAST(?1 AS INTEGER)"),
    "member": ("members", "verifier", "id", "id = ?1"),
    "app": ("members", "app_sealed", "id", "id = ?1"),
    "mail": ("mail", "sealed", "about", "about = ?1"),
    "graph-app": ("apps", "secret", "id", "id = ?1"),
    "link": ("links", "token", "waba", "waba = ?1"),
    "link-secret": ("links", "secret", "waba", "waba = ?1"),
    "link-verify": ("links", "verify_token", "waba", "waba = ?1"),
    "vault": ("vault", "sealed", "number", "number = ?1"),
    "waiting": ("linked", "waiting_sealed", "id", "id = ?1"),
}
_KINDS: Final = {
    "handset": "code",
    "link-secret": "link",
    "link-verify": "link",
    "waiting": "vault",
}
"""What is kept in more than one place."""
_ID_DIGITS: Final = 18
_LAST_SEQ: Final = 1 << 62


class SqliteStore(Members, Mails, Lists, Access, Webhooks, Linked):
    """Writes go to one thread; reads run where they are called and never wait for writers."""

    def __init__(self, path: Path, audit_key: bytes) -> None:
        """Open, and bring to the current schema.

        Raises:
            StoreRefused: not durable here, damaged, or of a newer version.
        """
        self.path = path
        self._audit_key = audit_key
        self._closed = False
        self._known = {}
        self._known_at = b""
        try:
            _create(path)
            migrating = connect(path)
            try:
                migrate(migrating)
            finally:
                migrating.close()
            self._reader = connect(path, readonly=True)
            self._writer = Writer(path)
            self._changes = Changes.of(path)
        except (sqlite3.Error, OSError) as error:
            raise StoreRefused(f"{path} cannot be opened as a database: {error}") from error

    def close(self) -> None:
        """Finish what is queued and close. Idempotent."""
        if not self._closed:
            self._closed = True
            self._writer.close()
            self._reader.close()
            self._changes.release()

    # Numbers

    async def number(self, id: str) -> Number | None:
        return self._remembered(("id", id), lambda: self._number(_NUMBER_BY_ID, _row_id(id)))

    async def number_by_e164(self, e164: str) -> Number | None:
        return self._remembered(("e164", e164), lambda: self._number(_NUMBER_BY_E164, e164))

    async def number_pending_for(self, client: str) -> Number | None:
        return self._number(_NUMBER_PENDING, client)

    async def number_by_link(self, token_hash: bytes) -> Number | None:
        return self._number(_NUMBER_BY_LINK, token_hash)

    async def numbers(self, after: str = "", limit: int = 1_000) -> Sequence[Number]:
        found = self._all(_NUMBER + "WHERE e164 > ? ORDER BY e164 LIMIT ?", (after, limit))
        return [rows.number_from_row(row) for row in found]

    async def onboarded(
        self,
        waba: str,
        after: tuple[datetime | None, str] | None,
        limit: int,
        *,
        newest_first: bool,
    ) -> Sequence[Number]:
        beyond, order = ("<", "DESC") if newest_first else (">", "ASC")
        where = ""
        values: tuple[int, ...] = ()
        if after is not None:
            at, id = after
            where = f" AND (coalesce(registered_at, 0), id) {beyond} (?, ?)"
            values = (0 if at is None else micros(at), int(id))
        found = self._all(
            f"{_NUMBER}WHERE waba = ?{where}"
            f" ORDER BY coalesce(registered_at, 0) {order}, id {order} LIMIT ?",
            (waba, *values, limit),
        )
        return [rows.number_from_row(row) for row in found]

    async def profile(self, number: str) -> Profile:
        row = self._one(_PROFILE + "WHERE number = ?", (_row_id(number),))
        return Profile() if row is None else rows.profile_from_row(row)

    async def update_profile(
        self, number: str, change: ProfileChange, events: Sequence[Event]
    ) -> Profile:
        def work(connection: sqlite3.Connection) -> Profile:
            id = _row_id(number)
            if connection.execute("SELECT 1 FROM numbers WHERE id = ?", (id,)).fetchone() is None:
                raise NumberUnknown
            row = connection.execute(_PROFILE + "WHERE number = ?", (id,)).fetchone()
            profile = change(Profile() if row is None else rows.profile_from_row(row))
            connection.execute(
                insert("profiles", rows.PROFILE_COLUMNS).replace("INSERT", "INSERT OR REPLACE", 1),
                rows.profile_to_row(number, profile),
            )
            self._append_to_number(connection, number, events)
            return profile

        return await self._writer.run(work)

    async def add_number(self, number: Number, events: Sequence[Event]) -> None:
        def add(connection: sqlite3.Connection) -> None:
            linked = connection.execute("SELECT 1 FROM linked WHERE e164 = ?", (number.e164,))
            if linked.fetchone():
                raise NumberExists
            columns = (*rows.NUMBER_COLUMNS, "audit_seq", "audit_head")
            try:
                connection.execute(
                    insert("numbers", columns), (*rows.number_to_row(number), 0, GENESIS)
                )
            except sqlite3.IntegrityError as error:
                raise NumberExists from error
            count_number(connection, None, number)
            self._append_to_number(connection, number.id, events)

        await self._writer.run(add)

    async def update(self, id: str, change: Change) -> Number:
        decision = await self._writer.run(lambda c: self._decide(c, _row_id(id), change))
        if decision.refusal is not None:
            raise decision.refusal
        return decision.number

    async def take_over(self, id: str, client: str, change: Change, release: Change) -> Number:
        def work(connection: sqlite3.Connection) -> Decision:
            decision = self._decide(connection, _row_id(id), change)
            if decision.refusal is None:
                others = connection.execute(
                    "SELECT id FROM numbers WHERE holder = ? AND id <> ?", (client, int(id))
                ).fetchall()
                for (other,) in others:
                    self._decide(connection, other, release)
                connection.execute(
                    "UPDATE clients SET number = ? WHERE name = ?", (int(id), client)
                )
            return decision

        decision = await self._writer.run(work)
        if decision.refusal is not None:
            raise decision.refusal
        return decision.number

    async def take_linked(
        self,
        id: str,
        client: str,
        change: LinkedChange,
        release: LinkedChange,
        release_local: Change,
    ) -> LinkedNumber:
        def work(connection: sqlite3.Connection) -> LinkedDecision:
            decision = self._decide_linked(connection, id, change)
            if decision.refusal is None and decision.number.holder == client:
                held = "SELECT id FROM {} WHERE holder = ? AND id <> ?"
                for (other,) in connection.execute(held.format("linked"), (client, id)).fetchall():
                    self._decide_linked(connection, other, release)
                for (other,) in connection.execute(held.format("numbers"), (client, 0)).fetchall():
                    self._decide(connection, other, release_local)
                connection.execute("UPDATE clients SET number = NULL WHERE name = ?", (client,))
            return decision

        decision = await self._writer.run(work)
        if decision.refusal is not None:
            raise decision.refusal
        return decision.number

    def _decide(self, connection: sqlite3.Connection, id: int, change: Change) -> Decision:
        """Apply *change* to one number inside the step that is under way."""
        before = connection.execute(_NUMBER_BY_ID, (id,)).fetchone()
        if before is None:
            raise NumberUnknown
        old = rows.number_from_row(before)
        decision = change(old)
        number = decision.number
        changed = changes(rows.NUMBER_COLUMNS, before, rows.number_to_row(number))
        if changed:
            update(connection, "numbers", changed, "id", id)
            count_number(connection, old, number)
        if decision.events:
            self._append_to_number(connection, str(id), decision.events)
            count_events(connection, number, decision.events)
        if decision.mails:
            (portfolio,) = connection.execute(
                "SELECT portfolio FROM wabas WHERE id = ?", (number.waba,)
            ).fetchone()
            self._post(connection, portfolio, decision.mails)
        for hook in decision.hooks:
            self._tell(connection, number.waba, hook)
        for message in decision.messages:
            connection.execute(
                "INSERT INTO outbox"
                " (key, number, e164, method, sealed, expires_at, due_at, attempts)"
                " VALUES (lower(hex(randomblob(16))), ?, ?, ?, ?, ?, 0, 0)",
                (id, message.e164, message.method, message.sealed, micros(message.expires_at)),
            )
        return decision

    # Clients, users, tokens

    async def client(self, name: str) -> Client | None:
        row = self._one(
            "SELECT name, created_at, number, shards FROM clients WHERE name = ?", (name,)
        )
        return None if row is None else _client(row)

    async def holds(self, client: str) -> bool | None:
        def read() -> bool | None:
            row = self._one(_HOLDS, (client,))
            return None if row is None else bool(row[0])

        return self._remembered(("holds", client), read)

    async def clients(self) -> Sequence[Client]:
        found = self._all("SELECT name, created_at, number, shards FROM clients ORDER BY name", ())
        return [_client(row) for row in found]

    async def add_client(self, client: Client, admin: User, events: Sequence[Event]) -> None:
        def add(connection: sqlite3.Connection) -> None:
            try:
                connection.execute(
                    "INSERT INTO clients (name, created_at, number, shards, audit_seq, audit_head)"
                    " VALUES (?, ?, NULL, ?, 0, ?)",
                    (client.name, micros(client.created_at), client.shards, GENESIS),
                )
            except sqlite3.IntegrityError as error:
                raise ClientExists from error
            connection.execute(insert("users", rows.USER_COLUMNS), rows.user_to_row(admin))
            self._append_to_client(connection, client.name, events)

        await self._writer.run(add)

    async def set_shards(self, client: str, shards: int, events: Sequence[Event]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE clients SET shards = ? WHERE name = ?", (shards, client))
            self._append_to_client(connection, client, events)

        await self._writer.run(work)

    async def user(self, client: str, username: str) -> User | None:
        row = self._one(_USER + "WHERE client = ? AND username = ?", (client, username))
        return None if row is None else rows.user_from_row(row)

    async def add_user(self, user: User, events: Sequence[Event]) -> None:
        def add(connection: sqlite3.Connection) -> None:
            held = connection.execute(
                "SELECT count(*) FROM users WHERE client = ?", (user.client,)
            ).fetchone()[0]
            if held >= USERS_PER_CLIENT:
                raise TooManyUsers
            try:
                connection.execute(insert("users", rows.USER_COLUMNS), rows.user_to_row(user))
            except sqlite3.IntegrityError as error:
                raise UserExists from error
            self._append_to_client(connection, user.client, events)

        await self._writer.run(add)

    async def update_user(self, client: str, username: str, change: UserChange) -> User:
        def work(connection: sqlite3.Connection) -> Any:
            row = connection.execute(
                _USER + "WHERE client = ? AND username = ?", (client, username)
            ).fetchone()
            if row is None:
                raise UserUnknown
            decision = change(rows.user_from_row(row))
            after = rows.user_to_row(decision.user)
            if after != row:
                connection.execute(
                    "UPDATE users SET role = ?, verifier = ?, must_change = ?, wrong_logins = ?,"
                    " last_wrong_at = ? WHERE client = ? AND username = ?",
                    (*after[2:], client, username),
                )
            if decision.end_tokens:
                connection.execute(
                    "DELETE FROM tokens WHERE client = ? AND username = ? AND hash IS NOT ?",
                    (client, username, decision.keep),
                )
            if decision.token is not None:
                connection.execute(
                    "INSERT INTO tokens (hash, client, username, expires_at) VALUES (?, ?, ?, ?)",
                    (decision.token.hash, client, username, micros(decision.token.expires_at)),
                )
                connection.execute(
                    "DELETE FROM tokens WHERE hash IN (SELECT hash FROM tokens"
                    " WHERE client = ? AND username = ?"
                    " ORDER BY expires_at DESC LIMIT -1 OFFSET ?)",
                    (client, username, TOKENS_PER_USER),
                )
            self._append_to_client(connection, client, decision.events)
            return decision

        decision = await self._writer.run(work)
        if decision.refusal is not None:
            raise decision.refusal
        return decision.user  # type: ignore[no-any-return]  # a UserDecision, through the writer

    async def remove_user(self, client: str, username: str, events: Sequence[Event]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            gone = connection.execute(
                "DELETE FROM users WHERE client = ? AND username = ?", (client, username)
            )
            if not gone.rowcount:
                raise UserUnknown
            self._append_to_client(connection, client, events)

        await self._writer.run(work)

    async def session(self, client: str, token_hash: bytes, now: datetime) -> Session | None:
        def read() -> Session | None:
            row = self._one(_SESSION, (token_hash, client))
            if row is None:
                return None
            return Session(rows.user_from_row(row[:-1]), token_hash, moment(row[-1]))

        found = self._remembered(("session", client, token_hash), read)
        return found if found is not None and now < found.expires_at else None

    async def end_session(self, token_hash: bytes) -> None:
        await self._execute("DELETE FROM tokens WHERE hash = ?", (token_hash,))

    # The audit trail

    async def audit(self, subject: str | None = None) -> AsyncIterator[Link]:
        last = ("", 0)
        while True:
            found = self._all(
                _LINK + "WHERE (subject, seq) > (?, ?) AND (? IS NULL OR subject = ?)"
                " ORDER BY subject, seq LIMIT 1000",
                (*last, subject, subject),
            )
            for row in found:
                yield rows.link_from_row(row)
            if not found:
                return
            last = (found[-1][0], found[-1][1])

    async def newest_events(self, limit: int, subject: str | None = None) -> Sequence[Link]:
        if subject is None:
            found = self._all(_LINK + "ORDER BY at DESC, subject, seq DESC LIMIT ?", (limit,))
        else:
            found = self._all(
                _LINK + "WHERE subject = ? ORDER BY seq DESC LIMIT ?", (subject, limit)
            )
        return [rows.link_from_row(row) for row in reversed(found)]

    async def events(self, subject: str, before: int | None, limit: int) -> Sequence[Link]:
        found = self._all(
            _LINK + "WHERE subject = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
            (subject, _LAST_SEQ if before is None else max(0, min(before, _LAST_SEQ)), limit),
        )
        return [rows.link_from_row(row) for row in found]

    async def audit_heads(self) -> Sequence[tuple[str, int, bytes]]:
        return self._all(
            "SELECT 'number:' || id, audit_seq, audit_head FROM numbers UNION ALL"
            " SELECT 'client:' || name, audit_seq, audit_head FROM clients UNION ALL"
            " SELECT 'portfolio:' || id, audit_seq, audit_head FROM portfolios UNION ALL"
            " SELECT 'linked:' || id, audit_seq, audit_head FROM linked UNION ALL"
            " SELECT 'linked:' || id, audit_seq, audit_head FROM past_chains ORDER BY 1",
            (),
        )

    # Messages on their way

    async def lease(self, now: datetime, until: datetime, limit: int) -> Sequence[OutboxMessage]:
        def work(connection: sqlite3.Connection) -> list[OutboxMessage]:
            connection.execute("DELETE FROM outbox WHERE expires_at <= ?", (micros(now),))
            found = connection.execute(
                "UPDATE outbox SET due_at = ?, attempts = attempts + 1 WHERE key IN"
                " (SELECT key FROM outbox WHERE due_at <= ? ORDER BY due_at LIMIT ?)"
                " RETURNING key, number, e164, method, sealed, expires_at, attempts",
                (micros(until), micros(now), limit),
            ).fetchall()
            return [
                OutboxMessage(
                    key, str(number), CodeMessage(e164, method, sealed, moment(expires)), attempts
                )
                for key, number, e164, method, sealed, expires, attempts in found
            ]

        if self._one("SELECT 1 FROM outbox WHERE due_at <= ? LIMIT 1", (micros(now),)) is None:
            return []
        return await self._writer.run(work)

    async def sent(self, key: str) -> None:
        if self._one("SELECT 1 FROM outbox WHERE key = ?", (key,)) is not None:
            await self._execute("DELETE FROM outbox WHERE key = ?", (key,))

    async def postpone(self, key: str, due_at: datetime) -> None:
        await self._execute("UPDATE outbox SET due_at = ? WHERE key = ?", (micros(due_at), key))

    async def put_on_handset(self, key: str, message: HandsetMessage) -> None:
        values = (
            key,
            int(message.number),
            message.e164,
            message.method,
            message.sealed,
            micros(message.received_at),
            micros(message.expires_at),
        )

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR IGNORE INTO handset"
                " (key, number, e164, method, sealed, received_at, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            connection.execute("DELETE FROM outbox WHERE key = ?", (key,))

        await self._writer.run(work)

    async def handset(self, e164: str, now: datetime) -> Sequence[HandsetMessage]:
        found = self._all(
            "SELECT e164, method, number, sealed, received_at, expires_at FROM handset"
            " WHERE e164 = ? AND expires_at > ? ORDER BY expires_at DESC, received_at DESC",
            (e164, micros(now)),
        )
        return [
            HandsetMessage(e, method, str(number), sealed, moment(received), moment(expires))
            for e, method, number, sealed, received, expires in found
        ]

    async def waiting_for(self, e164: str) -> int:
        row = self._one("SELECT count(*) FROM outbox WHERE e164 = ?", (e164,))
        return int(row[0]) if row else 0

    # Upkeep

    async def sealed_with_others(self, kid: str) -> Sequence[SealedValue]:
        found = []
        for place, (table, column, owner, _) in _SEALED.items():
            found += [
                SealedValue(_KINDS.get(place, place), str(whose), place, sealed)
                for whose, sealed in self._all(
                    f"SELECT {owner}, {column} FROM {table}"  # noqa: S608 - constants
                    f" WHERE {column} IS NOT NULL AND substr({column}, 2, 8) <> ?",
                    (kid.encode(),),
                )
            ]
        return found

    async def replace_sealed(self, changes: Sequence[tuple[SealedValue, bytes]]) -> int:
        def work(connection: sqlite3.Connection) -> int:
            done = 0
            for old, fresh in changes:
                table, column, _, owned = _SEALED[old.place]
                done += connection.execute(
                    f"UPDATE {table} SET {column} = ?2"  # noqa: S608 - constants
                    f" WHERE {owned} AND {column} = ?3",
                    (old.owner, fresh, old.sealed),
                ).rowcount
            return done

        return await self._writer.run(work)

    async def kids_in_use(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for table, column, *_ in _SEALED.values():
            for kid, count in self._all(
                f"SELECT substr(CAST({column} AS BLOB), 2, 8), count(*)"  # noqa: S608 - constants
                f" FROM {table}"
                f" WHERE {column} IS NOT NULL GROUP BY 1",
                (),
            ):
                name = bytes(kid).decode("ascii", "replace")
                counts[name] = counts.get(name, 0) + count
        return counts

    async def tidy(self, now: datetime) -> None:
        def work(connection: sqlite3.Connection) -> None:
            at = micros(now)
            connection.execute("DELETE FROM tokens WHERE expires_at <= ?", (at,))
            connection.execute("DELETE FROM handset WHERE expires_at <= ?", (at,))
            connection.execute("DELETE FROM outbox WHERE expires_at <= ?", (at,))
            connection.execute("DELETE FROM invitations WHERE expires_at <= ?", (at,))
            connection.execute(
                "DELETE FROM member_sessions WHERE started_at <= ?", (micros(now - SESSION_LIFE),)
            )
            connection.execute(
                "DELETE FROM sign_ins WHERE last_at <= ?", (micros(now - SIGN_IN_MEMORY),)
            )
            connection.execute(
                "UPDATE mail SET sealed = NULL WHERE sealed IS NOT NULL AND good_until <= ?", (at,)
            )
            connection.execute("DELETE FROM mail WHERE ended_at <= ?", (micros(now - MAIL_KEPT),))
            connection.execute(
                "DELETE FROM access_tokens WHERE expires_at <= ?",
                (micros(now - ACCESS_TOKEN_KEPT),),
            )
            connection.execute("DELETE FROM heard WHERE at <= ?", (micros(now - INBOUND_KEPT),))
            connection.execute(
                "INSERT INTO meta (key, value) VALUES ('latest_time', ?) ON CONFLICT (key)"
                " DO UPDATE SET"
                " value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))",
                (at,),
            )

        await self._writer.run(work)
        while await self._writer.run(lambda c: self._forget_deliveries(c, now)):
            pass

    async def latest_time(self) -> datetime | None:
        row = self._one(
            "SELECT max(at) FROM (SELECT max(at) AS at FROM audit UNION ALL"
            " SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'latest_time')",
            (),
        )
        return None if row is None or row[0] is None else moment(row[0])

    # The house around the numbers

    async def remember(self, key: str, value: str) -> None:
        """Keep a plain fact about this database; never a secret."""
        await self._execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))

    async def recall(self, key: str) -> str | None:
        row = self._one("SELECT value FROM meta WHERE key = ?", (key,))
        return None if row is None else str(row[0])

    async def first_waba(self) -> str | None:
        """The id of an account; the one of the first start while there is no other."""
        row = self._one(
            "SELECT coalesce((SELECT value FROM meta WHERE key = 'first_waba'),"
            " (SELECT min(id) FROM wabas))"
        )
        return None if row[0] is None else str(row[0])

    def backup(self, path: Path, progress: Callable[[int, int], None]) -> None:
        """A consistent copy while others go on writing; *progress* hears pages left and total.

        Raises:
            StoreRefused: there is something at *path* already, or it cannot be written.
        """
        if path.exists():
            raise StoreRefused(f"{path} is there already; name a new file")
        try:
            _create(path)
        except OSError as error:
            raise StoreRefused(f"{path} cannot be written: {error.strerror}") from error
        source, target = connect(self.path, readonly=True), connect(path)
        try:
            target.execute("PRAGMA journal_mode = DELETE")
            source.execute("BEGIN")  # one snapshot; without it every write begins the copy anew
            source.execute("SELECT count(*) FROM meta").fetchone()
            source.backup(target, pages=500, progress=lambda _, left, total: progress(left, total))
        except sqlite3.Error as error:
            path.unlink()  # half a copy is worse than none
            raise StoreRefused(f"{path} cannot be written: {error}") from error
        finally:
            source.close()
            target.close()

    def faults(self) -> list[str]:
        """What SQLite's own integrity check finds, and numbers that nobody known holds."""
        found = self._all("PRAGMA integrity_check", ()) + [
            (f"a row of {table} points nowhere",)
            for table, *_ in self._all("PRAGMA foreign_key_check", ())
        ]
        found += self._all(
            "SELECT 'number ' || e164 || ' is held by ' || holder || ', who is unknown'"
            " FROM numbers WHERE holder <> ? AND holder NOT IN (SELECT name FROM clients)",
            (CLOUD_API,),
        )
        found += self._all(
            "SELECT 'linked number ' || e164 || ' is held by ' || holder || ', who is unknown'"
            " FROM linked WHERE holder NOT IN (SELECT name FROM clients)"
        )
        return [str(row[0]) for row in found if row != ("ok",)]

    def _number(self, sql: str, value: int | str | bytes) -> Number | None:
        row = self._one(sql, (value,))
        return None if row is None else rows.number_from_row(row)


def _create(path: Path) -> None:
    """Make the file, for its owner only, unless it is there.

    It must not be opened again beside SQLite: closing any descriptor of it
    would drop this process's locks, and the next process to leave would take
    the log away from under us.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _row_id(id: str) -> int:
    """The key of a number's row; 0, which no number has, for any other spelling."""
    known = id.isascii() and id.isdecimal() and len(id) <= _ID_DIGITS and id[0] != "0"
    return int(id) if known else 0


def _client(row: Any) -> Client:
    name, created_at, number, shards = row
    return Client(name, moment(created_at), None if number is None else str(number), shards)
