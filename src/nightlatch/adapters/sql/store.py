"""The ``Store`` port: numbers, clients, the trail, messages, upkeep; the other parts join here."""

import secrets
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final

from nightlatch.adapters.sql import rows
from nightlatch.adapters.sql.access import Access
from nightlatch.adapters.sql.base import ALL, changes, insert, select, update, upsert
from nightlatch.adapters.sql.linked import Linked
from nightlatch.adapters.sql.lists import Lists, count_events, count_number
from nightlatch.adapters.sql.mail import Mails
from nightlatch.adapters.sql.members import Members
from nightlatch.adapters.sql.rows import micros, moment
from nightlatch.adapters.sql.step import ConstraintBroken, Step
from nightlatch.adapters.sql.webhooks import Webhooks
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
    Backlog,
    Change,
    HandsetMessage,
    LinkedChange,
    OutboxMessage,
    ProfileChange,
    SealedValue,
    UserChange,
    Waiting,
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
    "SELECT coalesce(n.holder = c.name, FALSE)"
    " FROM clients c JOIN numbers n ON n.id = c.number WHERE c.name = ?"
)
_MOST_COUNTED: Final = 10_000
_PROFILE: Final = select("profiles", rows.PROFILE_COLUMNS)
_LINK: Final = select("audit", rows.AUDIT_COLUMNS)
_SEALED: Final = {  # place -> table, column, owner, rows of an owner
    "pin": ("numbers", "pin_verifier", "id", "id = ?"),
    "password": ("users", "verifier", "client || '/' || username", "client = ? AND username = ?"),
    "code": ("outbox", "sealed", "number", "number = ?"),
    "handset": ("handset", "sealed", "number", "number = ?"),
    "member": ("members", "verifier", "id", "id = ?"),
    "app": ("members", "app_sealed", "id", "id = ?"),
    "mail": ("mail", "sealed", "about", "about = ?"),
    "graph-app": ("apps", "secret", "id", "id = ?"),
    "link": ("links", "token", "waba", "waba = ?"),
    "link-secret": ("links", "secret", "waba", "waba = ?"),
    "link-verify": ("links", "verify_token", "waba", "waba = ?"),
    "vault": ("vault", "sealed", "number", "number = ?"),
    "waiting": ("linked", "waiting_sealed", "id", "id = ?"),
}
_KINDS: Final = {
    "handset": "code",
    "link-secret": "link",
    "link-verify": "link",
    "waiting": "vault",
}
"""What is kept in more than one place."""
_REMEMBER: Final = upsert("meta", ("key", "value"), "key")
_ID_DIGITS: Final = 18
_KEY_BYTES: Final = 16
_LAST_SEQ: Final = 1 << 62


class SqlStore(Members, Mails, Lists, Access, Webhooks, Linked):
    """All of the port but how statements are run, which the database's own store adds."""

    # Numbers

    async def number(self, id: str) -> Number | None:
        return await self._remembered(("id", id), lambda: self._number(_NUMBER_BY_ID, row_id(id)))

    async def number_by_e164(self, e164: str) -> Number | None:
        return await self._remembered(("e164", e164), lambda: self._number(_NUMBER_BY_E164, e164))

    async def number_pending_for(self, client: str) -> Number | None:
        return await self._number(_NUMBER_PENDING, client)

    async def number_by_link(self, token_hash: bytes) -> Number | None:
        return await self._number(_NUMBER_BY_LINK, token_hash)

    async def numbers(self, after: str = "", limit: int = 1_000) -> Sequence[Number]:
        found = await self._all(_NUMBER + "WHERE e164 > ? ORDER BY e164 LIMIT ?", (after, limit))
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
        found = await self._all(
            f"{_NUMBER}WHERE waba = ?{where}"
            f" ORDER BY coalesce(registered_at, 0) {order}, id {order} LIMIT ?",
            (waba, *values, limit),
        )
        return [rows.number_from_row(row) for row in found]

    async def profile(self, number: str) -> Profile:
        row = await self._one(_PROFILE + "WHERE number = ?", (row_id(number),))
        return Profile() if row is None else rows.profile_from_row(row)

    async def update_profile(
        self, number: str, change: ProfileChange, events: Sequence[Event]
    ) -> Profile:
        async def work(step: Step) -> Profile:
            id = row_id(number)
            if (await step.one("SELECT 1 FROM numbers WHERE id = ?", (id,))) is None:
                raise NumberUnknown
            row = await step.one(_PROFILE + "WHERE number = ?", (id,))
            profile = change(Profile() if row is None else rows.profile_from_row(row))
            await step.run(
                upsert("profiles", rows.PROFILE_COLUMNS, "number"),
                rows.profile_to_row(number, profile),
            )
            await self._append_to_number(step, number, events)
            return profile

        return await self._step(work)

    async def add_number(self, number: Number, events: Sequence[Event]) -> None:
        async def add(step: Step) -> None:
            if await step.one("SELECT 1 FROM linked WHERE e164 = ?", (number.e164,)):
                raise NumberExists
            columns = (*rows.NUMBER_COLUMNS, "audit_seq", "audit_head")
            try:
                await step.run(
                    insert("numbers", columns), (*rows.number_to_row(number), 0, GENESIS)
                )
            except ConstraintBroken as error:
                raise NumberExists from error
            await count_number(step, None, number, self._slot(number))
            await self._append_to_number(step, number.id, events)

        await self._step(add)

    async def update(self, id: str, change: Change) -> Number:
        decision = await self._step(lambda step: self._decide(step, row_id(id), change))
        if decision.refusal is not None:
            raise decision.refusal
        return decision.number

    async def take_over(self, id: str, client: str, change: Change, release: Change) -> Number:
        async def work(step: Step) -> Decision:
            decision = await self._decide(step, row_id(id), change)
            if decision.refusal is None:
                others = await step.all(
                    "SELECT id FROM numbers WHERE holder = ? AND id <> ?", (client, int(id))
                )
                for (other,) in others:
                    await self._decide(step, other, release)
                await step.run("UPDATE clients SET number = ? WHERE name = ?", (int(id), client))
            return decision

        decision = await self._step(work)
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
        async def work(step: Step) -> LinkedDecision:
            decision = await self._decide_linked(step, id, change)
            if decision.refusal is None and decision.number.holder == client:
                held = "SELECT id FROM {} WHERE holder = ? AND id <> ?"
                for (other,) in await step.all(held.format("linked"), (client, id)):
                    await self._decide_linked(step, other, release)
                for (other,) in await step.all(held.format("numbers"), (client, 0)):
                    await self._decide(step, other, release_local)
                await step.run("UPDATE clients SET number = NULL WHERE name = ?", (client,))
            return decision

        decision = await self._step(work)
        if decision.refusal is not None:
            raise decision.refusal
        return decision.number

    async def _decide(self, step: Step, id: int, change: Change) -> Decision:
        """Apply *change* to one number inside the step that is under way."""
        before = await step.one(_NUMBER_BY_ID, (id,))
        if before is None:
            raise NumberUnknown
        old = rows.number_from_row(before)
        decision = change(old)
        number = decision.number
        changed = changes(rows.NUMBER_COLUMNS, before, rows.number_to_row(number))
        if changed:
            await update(step, "numbers", changed, "id", id)
            await count_number(step, old, number, self._slot(number))
        if decision.events:
            await self._append_to_number(step, str(id), decision.events)
            await count_events(step, number, decision.events, self._slot(number))
        if decision.mails:
            (portfolio,) = await step.one(
                "SELECT portfolio FROM wabas WHERE id = ?", (number.waba,)
            )
            await self._post(step, portfolio, decision.mails)
        for hook in decision.hooks:
            await self._tell(step, number.waba, hook)
        for message in decision.messages:
            await step.run(
                "INSERT INTO outbox"
                " (key, number, e164, method, sealed, expires_at, due_at, attempts)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
                (
                    secrets.token_hex(_KEY_BYTES),
                    id,
                    message.e164,
                    message.method,
                    message.sealed,
                    micros(message.expires_at),
                    micros(decision.events[-1].at) if decision.events else 0,  # at once
                ),
            )
        return decision

    # Clients, users, tokens

    async def client(self, name: str) -> Client | None:
        row = await self._one(
            "SELECT name, created_at, number, shards FROM clients WHERE name = ?", (name,)
        )
        return None if row is None else _client(row)

    async def holds(self, client: str) -> bool | None:
        async def read() -> bool | None:
            row = await self._one(_HOLDS, (client,))
            return None if row is None else bool(row[0])

        return await self._remembered(("holds", client), read)

    async def clients(self) -> Sequence[Client]:
        found = await self._all(
            "SELECT name, created_at, number, shards FROM clients ORDER BY name", ()
        )
        return [_client(row) for row in found]

    async def add_client(self, client: Client, admin: User, events: Sequence[Event]) -> None:
        async def add(step: Step) -> None:
            try:
                await step.run(
                    "INSERT INTO clients (name, created_at, number, shards, audit_seq, audit_head)"
                    " VALUES (?, ?, NULL, ?, 0, ?)",
                    (client.name, micros(client.created_at), client.shards, GENESIS),
                )
            except ConstraintBroken as error:
                raise ClientExists from error
            await step.run(insert("users", rows.USER_COLUMNS), rows.user_to_row(admin))
            await self._append_to_client(step, client.name, events)

        await self._step(add)

    async def set_shards(self, client: str, shards: int, events: Sequence[Event]) -> None:
        async def work(step: Step) -> None:
            await step.run("UPDATE clients SET shards = ? WHERE name = ?", (shards, client))
            await self._append_to_client(step, client, events)

        await self._step(work)

    async def user(self, client: str, username: str) -> User | None:
        row = await self._one(_USER + "WHERE client = ? AND username = ?", (client, username))
        return None if row is None else rows.user_from_row(row)

    async def add_user(self, user: User, events: Sequence[Event]) -> None:
        async def add(step: Step) -> None:
            held = (await step.one("SELECT count(*) FROM users WHERE client = ?", (user.client,)))[
                0
            ]
            if held >= USERS_PER_CLIENT:
                raise TooManyUsers
            try:
                await step.run(insert("users", rows.USER_COLUMNS), rows.user_to_row(user))
            except ConstraintBroken as error:
                raise UserExists from error
            await self._append_to_client(step, user.client, events)

        await self._step(add)

    async def update_user(self, client: str, username: str, change: UserChange) -> User:
        async def work(step: Step) -> Any:
            row = await step.one(_USER + "WHERE client = ? AND username = ?", (client, username))
            if row is None:
                raise UserUnknown
            decision = change(rows.user_from_row(row))
            after = rows.user_to_row(decision.user)
            if after != row:
                await step.run(
                    "UPDATE users SET role = ?, verifier = ?, must_change = ?, wrong_logins = ?,"
                    " last_wrong_at = ? WHERE client = ? AND username = ?",
                    (*after[2:], client, username),
                )
            if decision.end_tokens:
                await step.run(
                    "DELETE FROM tokens WHERE client = ? AND username = ? AND hash <> ?",
                    (client, username, decision.keep or b""),
                )
            if decision.token is not None:
                await step.run(
                    "INSERT INTO tokens (hash, client, username, expires_at) VALUES (?, ?, ?, ?)",
                    (decision.token.hash, client, username, micros(decision.token.expires_at)),
                )
                await step.run(
                    "DELETE FROM tokens WHERE hash IN (SELECT hash FROM tokens"
                    " WHERE client = ? AND username = ?"
                    " ORDER BY expires_at DESC LIMIT ? OFFSET ?)",
                    (client, username, ALL, TOKENS_PER_USER),
                )
            await self._append_to_client(step, client, decision.events)
            return decision

        decision = await self._step(work)
        if decision.refusal is not None:
            raise decision.refusal
        return decision.user  # type: ignore[no-any-return]  # a UserDecision, through the writer

    async def remove_user(self, client: str, username: str, events: Sequence[Event]) -> None:
        async def work(step: Step) -> None:
            gone = await step.run(
                "DELETE FROM users WHERE client = ? AND username = ?", (client, username)
            )
            if not gone:
                raise UserUnknown
            await self._append_to_client(step, client, events)

        await self._step(work)

    async def session(self, client: str, token_hash: bytes, now: datetime) -> Session | None:
        async def read() -> Session | None:
            row = await self._one(_SESSION, (token_hash, client))
            if row is None:
                return None
            return Session(rows.user_from_row(row[:-1]), token_hash, moment(row[-1]))

        found = await self._remembered(("session", client, token_hash), read)
        return found if found is not None and now < found.expires_at else None

    async def end_session(self, token_hash: bytes) -> None:
        await self._execute("DELETE FROM tokens WHERE hash = ?", (token_hash,))

    # The audit trail

    async def audit(self, subject: str | None = None) -> AsyncIterator[Link]:
        last: tuple[str, int] = ("", 0)
        only = "" if subject is None else " AND subject = ?"
        while True:
            found = await self._all(
                _LINK + f"WHERE (subject, seq) > (?, ?){only} ORDER BY subject, seq LIMIT 1000",
                last if subject is None else (*last, subject),
            )
            for row in found:
                yield rows.link_from_row(row)
            if not found:
                return
            last = (found[-1][0], found[-1][1])

    async def newest_events(self, limit: int, subject: str | None = None) -> Sequence[Link]:
        if subject is None:
            found = await self._all(_LINK + "ORDER BY at DESC, subject, seq DESC LIMIT ?", (limit,))
        else:
            found = await self._all(
                _LINK + "WHERE subject = ? ORDER BY seq DESC LIMIT ?", (subject, limit)
            )
        return [rows.link_from_row(row) for row in reversed(found)]

    async def events(self, subject: str, before: int | None, limit: int) -> Sequence[Link]:
        found = await self._all(
            _LINK + "WHERE subject = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
            (subject, _LAST_SEQ if before is None else max(0, min(before, _LAST_SEQ)), limit),
        )
        return [rows.link_from_row(row) for row in found]

    async def audit_heads(self) -> Sequence[tuple[str, int, bytes]]:
        return await self._all(
            "SELECT 'number:' || id, audit_seq, audit_head FROM numbers UNION ALL"
            " SELECT 'client:' || name, audit_seq, audit_head FROM clients UNION ALL"
            " SELECT 'portfolio:' || id, audit_seq, audit_head FROM portfolios UNION ALL"
            " SELECT 'linked:' || id, audit_seq, audit_head FROM linked UNION ALL"
            " SELECT 'linked:' || id, audit_seq, audit_head FROM past_chains ORDER BY 1",
            (),
        )

    # Messages on their way

    async def lease(self, now: datetime, until: datetime, limit: int) -> Sequence[OutboxMessage]:
        async def work(step: Step) -> list[OutboxMessage]:
            await step.run("DELETE FROM outbox WHERE expires_at <= ?", (micros(now),))
            found = await step.all(
                "UPDATE outbox SET due_at = ?, attempts = attempts + 1 WHERE key IN"  # noqa: S608 - constants
                " (SELECT key FROM outbox WHERE due_at <= ? ORDER BY due_at LIMIT ?"
                f"{self._UNLOCKED})"
                " RETURNING key, number, e164, method, sealed, expires_at, attempts",
                (micros(until), micros(now), limit),
            )
            return [
                OutboxMessage(
                    key, str(number), CodeMessage(e164, method, sealed, moment(expires)), attempts
                )
                for key, number, e164, method, sealed, expires, attempts in found
            ]

        if (
            await self._one("SELECT 1 FROM outbox WHERE due_at <= ? LIMIT 1", (micros(now),))
        ) is None:
            return []
        return await self._step(work)

    async def sent(self, key: str) -> None:
        if (await self._one("SELECT 1 FROM outbox WHERE key = ?", (key,))) is not None:
            await self._execute("DELETE FROM outbox WHERE key = ?", (key,))

    async def postpone(self, key: str, due_at: datetime) -> None:
        await self._execute("UPDATE outbox SET due_at = ? WHERE key = ?", (micros(due_at), key))

    async def backlog(self, now: datetime) -> Backlog:
        async def waiting(what: str, *values: int) -> Waiting:
            count, due = await self._one(
                "SELECT count(*), min(due_at) FROM"  # noqa: S608 - constants
                f" (SELECT due_at FROM {what} LIMIT {_MOST_COUNTED}) q",
                values,
            )
            return Waiting(count, moment(due) if count and due <= micros(now) else None)

        return Backlog(
            codes=await waiting("outbox WHERE expires_at > ? ORDER BY due_at", micros(now)),
            mail=await waiting("mail WHERE state = 'waiting' ORDER BY due_at"),
            webhooks=await waiting("deliveries WHERE state = 'waiting'"),  # in no index's order
        )

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

        async def work(step: Step) -> None:
            await step.run(
                "INSERT INTO handset"
                " (key, number, e164, method, sealed, received_at, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
                values,
            )
            await step.run("DELETE FROM outbox WHERE key = ?", (key,))

        await self._step(work)

    async def handset(self, e164: str, now: datetime) -> Sequence[HandsetMessage]:
        found = await self._all(
            "SELECT e164, method, number, sealed, received_at, expires_at FROM handset"
            " WHERE e164 = ? AND expires_at > ? ORDER BY expires_at DESC, received_at DESC",
            (e164, micros(now)),
        )
        return [
            HandsetMessage(e, method, str(number), sealed, moment(received), moment(expires))
            for e, method, number, sealed, received, expires in found
        ]

    async def waiting_for(self, e164: str) -> int:
        row = await self._one("SELECT count(*) FROM outbox WHERE e164 = ?", (e164,))
        return int(row[0]) if row else 0

    # Upkeep

    async def sealed_with_others(self, kid: str) -> Sequence[SealedValue]:
        found = []
        for place, (table, column, owner, _) in _SEALED.items():
            found += [
                SealedValue(_KINDS.get(place, place), str(whose), place, sealed)
                for whose, sealed in await self._all(
                    f"SELECT {owner}, {column} FROM {table}"  # noqa: S608 - constants
                    f" WHERE {column} IS NOT NULL AND substr({column}, 2, 8) <> ?",
                    (kid.encode(),),
                )
            ]
        return found

    async def replace_sealed(self, changes: Sequence[tuple[SealedValue, bytes]]) -> int:
        async def work(step: Step) -> int:
            done = 0
            for old, fresh in changes:
                table, column, _, owned = _SEALED[old.place]
                done += await step.run(
                    f"UPDATE {table} SET {column} = ?"  # noqa: S608 - constants
                    f" WHERE {owned} AND {column} = ?",
                    (fresh, *_owner(old), old.sealed),
                )
            return done

        return await self._step(work)

    async def kids_in_use(self) -> dict[str, int]:
        return await self._kids(self._reader)

    async def _kids(self, reader: Step) -> dict[str, int]:
        counts: dict[str, int] = {}
        for table, column, *_ in _SEALED.values():
            for kid, count in await reader.all(
                f"SELECT substr({column}, 2, 8), count(*)"  # noqa: S608 - constants
                f" FROM {table}"
                f" WHERE {column} IS NOT NULL GROUP BY 1",
                (),
            ):
                name = bytes(kid).decode("ascii", "replace")
                counts[name] = counts.get(name, 0) + count
        return counts

    async def tidy(self, now: datetime) -> None:
        async def work(step: Step) -> None:
            at = micros(now)
            await step.run("DELETE FROM tokens WHERE expires_at <= ?", (at,))
            await step.run("DELETE FROM handset WHERE expires_at <= ?", (at,))
            await step.run("DELETE FROM outbox WHERE expires_at <= ?", (at,))
            await step.run("DELETE FROM invitations WHERE expires_at <= ?", (at,))
            await step.run(
                "DELETE FROM member_sessions WHERE started_at <= ?", (micros(now - SESSION_LIFE),)
            )
            await step.run(
                "DELETE FROM sign_ins WHERE last_at <= ?", (micros(now - SIGN_IN_MEMORY),)
            )
            await step.run(
                "UPDATE mail SET sealed = NULL WHERE sealed IS NOT NULL AND good_until <= ?", (at,)
            )
            await step.run("DELETE FROM mail WHERE ended_at <= ?", (micros(now - MAIL_KEPT),))
            await step.run(
                "DELETE FROM access_tokens WHERE expires_at <= ?",
                (micros(now - ACCESS_TOKEN_KEPT),),
            )
            await step.run("DELETE FROM heard WHERE at <= ?", (micros(now - INBOUND_KEPT),))
            known = await step.one("SELECT value FROM meta WHERE key = 'latest_time'")
            if known is None or int(known[0]) < at:
                await step.run(_REMEMBER, ("latest_time", str(at)))

        await self._step(work)
        while await self._step(lambda step: self._forget_deliveries(step, now)):
            pass

    async def latest_time(self) -> datetime | None:
        row = await self._one(
            "SELECT max(at) FROM (SELECT max(at) AS at FROM audit UNION ALL"
            " SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'latest_time') AS times"
        )
        return None if row is None or row[0] is None else moment(row[0])

    # The house around the numbers

    async def remember(self, key: str, value: str) -> None:
        """Keep a plain fact about this database; never a secret."""
        await self._execute(_REMEMBER, (key, value))

    async def remember_first(self, key: str, value: str) -> str:
        """``remember``, unless something is there already; what is there afterwards."""

        async def work(step: Step) -> str:
            await step.run(
                "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING",
                (key, value),
            )
            return str((await step.one("SELECT value FROM meta WHERE key = ?", (key,)))[0])

        known = await self.recall(key)
        return await self._step(work) if known is None else known

    async def recall(self, key: str) -> str | None:
        row = await self._one("SELECT value FROM meta WHERE key = ?", (key,))
        return None if row is None else str(row[0])

    async def first_waba(self) -> str | None:
        """The id of an account; the one of the first start while there is no other."""
        row = await self._one(
            "SELECT coalesce((SELECT value FROM meta WHERE key = 'first_waba'),"
            " (SELECT min(id) FROM wabas))"
        )
        return None if row[0] is None else str(row[0])

    async def _unknown_holders(self) -> list[str]:
        """Numbers that nobody known holds."""
        found = [
            *await self._all(
                "SELECT 'number ' || e164 || ' is held by ' || holder || ', who is unknown'"
                " FROM numbers WHERE holder <> ? AND holder NOT IN (SELECT name FROM clients)",
                (CLOUD_API,),
            ),
            *await self._all(
                "SELECT 'linked number ' || e164 || ' is held by ' || holder || ', who is unknown'"
                " FROM linked WHERE holder NOT IN (SELECT name FROM clients)"
            ),
        ]
        return [str(text) for (text,) in found]

    async def _number(self, sql: str, value: int | str | bytes) -> Number | None:
        row = await self._one(sql, (value,))
        return None if row is None else rows.number_from_row(row)


def _owner(value: SealedValue) -> tuple[int | str, ...]:
    """As the rows of *value* name whom it belongs to."""
    if value.place == "password":
        client, _, username = value.owner.partition("/")
        return client, username
    if value.place in ("pin", "code", "handset"):
        return (row_id(value.owner),)
    return (value.owner,)


def row_id(id: str) -> int:
    """The key of a number's row; 0, which no number has, for any other spelling."""
    known = id.isascii() and id.isdecimal() and len(id) <= _ID_DIGITS and id[0] != "0"
    return int(id) if known else 0


def _client(row: Any) -> Client:
    name, created_at, number, shards = row
    return Client(name, moment(created_at), None if number is None else str(number), shards)
