"""Stores that break one promise each, and the checks that must notice.

Every store here is the real one with one thing done wrong, as somebody might
well do it.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final

from nightlatch.adapters.sql import base, rows
from nightlatch.adapters.sql.step import Step, Values
from nightlatch.adapters.sqlite import SqliteStore
from nightlatch.domain.audit import Event
from nightlatch.domain.clients import Client, Session, User, UserDecision
from nightlatch.domain.errors import (
    NumberExists,
    NumberUnknown,
    TooManyUsers,
    Unavailable,
    UserExists,
)
from nightlatch.domain.limits import USERS_PER_CLIENT
from nightlatch.domain.numbers import Decision, Number
from nightlatch.ports import Change, HandsetMessage, OutboxMessage, SealedValue, UserChange
from tests.contracts import checks
from tests.contracts.checks import Check
from tests.contracts.makers import Make, MakeSqlite

CONTROLS: Final[list[tuple[type[Make[Any]], Check]]] = []


def noticed_by(*noticing: Check) -> Any:
    """The store breaks a promise, and each of these checks must fail on it."""

    def listed(broken: type[SqliteStore]) -> type[SqliteStore]:
        class MakeBroken(MakeSqlite):
            name: ClassVar[str] = broken.__name__
            store_class: ClassVar[type[SqliteStore]] = broken

        CONTROLS.extend((MakeBroken, check) for check in noticing)
        return broken

    return listed


@noticed_by(
    checks.check_hundreds_of_changes_at_once_are_all_counted,
    checks.check_threads_with_stores_and_loops_of_their_own_lose_nothing,
    checks.check_one_store_object_serves_several_loops_at_once,
    checks.check_four_processes_count_together_to_the_exact_sum,
)
class ReadsThenWrites(SqliteStore):
    """Decides about what it read before, instead of about what is there."""

    async def update(self, id: str, change: Change) -> Number:
        seen = await self.number(id)
        if seen is None:
            raise NumberUnknown
        decision = change(seen)
        return await super().update(id, lambda _: decision)


@noticed_by(checks.check_hundreds_of_changes_of_one_user_at_once_are_all_counted)
class ReadsUsersThenWrites(SqliteStore):
    async def update_user(self, client: str, username: str, change: UserChange) -> User:
        seen = await self.user(client, username)
        assert seen is not None
        decision = change(seen)
        return await super().update_user(client, username, lambda _: decision)


@noticed_by(
    checks.check_a_change_of_a_number_is_not_kept_without_its_event,
    checks.check_nothing_is_added_removed_or_set_without_its_event,
    checks.check_nobody_ever_reads_a_change_before_its_event,
)
class WritesEventsAfterwards(SqliteStore):
    """Events in a second step; whoever dies or looks in between has a change without them."""

    async def update(self, id: str, change: Change) -> Number:
        events: list[Event] = []

        def silent(number: Number) -> Decision:
            decision = change(number)
            events.extend(decision.events)
            return replace(decision, events=())

        kept = await super().update(id, silent)
        await asyncio.sleep(0)
        await super().update(id, lambda number: Decision(number, tuple(events)))
        return kept

    async def add_number(self, number: Number, events: Sequence[Event]) -> None:
        await super().add_number(number, ())
        await super().update(number.id, lambda kept: Decision(kept, tuple(events)))


@noticed_by(checks.check_nothing_is_added_removed_or_set_without_its_event)
class WritesUserEventsAfterwards(SqliteStore):
    async def add_user(self, user: User, events: Sequence[Event]) -> None:
        await super().add_user(user, ())
        await self.set_shards(user.client, 1, events)


@noticed_by(
    checks.check_a_refusing_decision_is_kept_first_and_then_raised,
    checks.check_a_refused_take_over_keeps_its_decision_and_moves_nothing,
    checks.check_a_refusing_decision_about_a_user_is_kept_first_and_then_raised,
)
class ForgetsRefusedDecisions(SqliteStore):
    """Raises the refusal inside the step, which takes the step back."""

    async def _decide(self, step: Step, id: int, change: Change) -> Decision:
        decision = await super()._decide(step, id, change)
        if decision.refusal is not None:
            raise decision.refusal
        return decision

    async def update_user(self, client: str, username: str, change: UserChange) -> User:
        def raising(user: User) -> UserDecision:
            decision = change(user)
            if decision.refusal is not None:
                raise decision.refusal
            return decision

        return await super().update_user(client, username, raising)


@noticed_by(
    checks.check_a_refusing_decision_is_kept_first_and_then_raised,
    checks.check_a_refused_take_over_keeps_its_decision_and_moves_nothing,
)
class SwallowsRefusals(SqliteStore):
    """Keeps the decision and forgets to say no."""

    async def _decide(self, step: Step, id: int, change: Change) -> Decision:
        return replace(await super()._decide(step, id, change), refusal=None)


@noticed_by(
    checks.check_what_a_change_raises_comes_back_unchanged_and_nothing_is_kept,
    checks.check_a_neighbour_that_raises_costs_nobody_else_their_change,
)
class FailsTheWholeBatch(SqliteStore):
    """One change that raises takes everything of its moment with it, as some other error."""

    async def update(self, id: str, change: Change) -> Number:
        def raising(number: Number) -> Decision:
            try:
                return change(number)
            except Exception as error:
                raise sqlite3.OperationalError(str(error)) from error

        return await super().update(id, raising)


@noticed_by(checks.check_what_was_acknowledged_survives_the_death_of_its_process_in_the_same_moment)
class AnswersBeforeTheCommit(SqliteStore):
    """Says done, and does it a moment later."""

    _later: "set[asyncio.Task[Number]]"

    async def update(self, id: str, change: Change) -> Number:
        self._later = getattr(self, "_later", set())
        seen = await self.number(id)
        assert seen is not None
        self._later.add(asyncio.create_task(super().update(id, change)))
        return change(seen).number


@noticed_by(checks.check_what_was_acknowledged_survives_kill_9_under_load)
class AnswersInTheMiddle(SqliteStore):
    """Commits every hundredth change with those before it; they were answered already."""

    _waiting: "list[Change]"

    async def update(self, id: str, change: Change) -> Number:
        self._waiting = [*getattr(self, "_waiting", []), change]
        if len(self._waiting) == 100:
            together, self._waiting = self._waiting, []
            await asyncio.gather(*(super(AnswersInTheMiddle, self).update(id, c) for c in together))
        seen = await self.number(id)
        assert seen is not None
        return seen


@noticed_by(checks.check_a_commit_waits_for_the_disk)
class AcceptsWeakerCommits(SqliteStore):
    """``synchronous=NORMAL``: quick, and a power cut takes the last changes back."""

    def __init__(self, path: Path, audit_key: bytes) -> None:
        super().__init__(path, audit_key)
        self._writer._connection.execute("PRAGMA synchronous = NORMAL")


@noticed_by(checks.check_a_take_over_whose_release_raises_keeps_nothing)
class TakesOverInTwoSteps(SqliteStore):
    """The number first, then the rest; whoever dies in between has done half."""

    async def take_over(self, id: str, client: str, change: Change, release: Change) -> Number:
        kept = await self.update(id, change)
        await asyncio.sleep(0)
        held = [n for n in await self.numbers() if n.holder == client and n.id != id]
        for other in held:
            await self.update(other.id, release)
        await self._execute("UPDATE clients SET number = ? WHERE name = ?", (int(id), client))
        return kept


@noticed_by(
    checks.check_a_take_over_moves_the_number_the_pointer_and_the_other_number_in_one_step,
    checks.check_parallel_take_overs_leave_one_holder_and_every_client_one_number,
)
class TakesOverWithoutReleasing(SqliteStore):
    async def take_over(self, id: str, client: str, change: Change, release: Change) -> Number:  # noqa: ARG002 - the port's
        return await super().take_over(id, client, change, Decision)


@noticed_by(
    checks.check_parallel_leasers_never_get_the_same_message,
    checks.check_a_lease_shows_the_whole_message_and_runs_out,
)
class LeasesWithoutHiding(SqliteStore):
    async def lease(self, now: datetime, until: datetime, limit: int) -> Sequence[OutboxMessage]:  # noqa: ARG002 - the port's
        return await super().lease(now, now, limit)


@noticed_by(checks.check_an_expired_message_is_erased_and_never_leased)
class LeasesWhatHasExpired(SqliteStore):
    async def lease(self, now: datetime, until: datetime, limit: int) -> Sequence[OutboxMessage]:
        await self._execute("UPDATE outbox SET expires_at = expires_at + 9000000000", ())
        return await super().lease(now, until, limit)


@noticed_by(checks.check_a_sent_message_is_erased_and_a_postponed_one_waits)
class KeepsWhatWasSent(SqliteStore):
    async def sent(self, key: str) -> None:
        await self._execute("UPDATE outbox SET due_at = ? WHERE key = ?", (2**60, key))


@noticed_by(checks.check_the_handset_takes_a_message_once_by_its_key)
class TakesMessagesTwice(SqliteStore):
    _times = 0

    async def put_on_handset(self, key: str, message: HandsetMessage) -> None:
        self._times += 1
        await super().put_on_handset(f"{key} {self._times}", message)


@noticed_by(
    checks.check_of_parallel_additions_of_one_number_exactly_one_succeeds,
    checks.check_of_parallel_additions_of_one_client_or_user_exactly_one_succeeds,
)
class TakesDuplicatesForDone(SqliteStore):
    async def add_number(self, number: Number, events: Sequence[Event]) -> None:
        try:
            await super().add_number(number, events)
        except NumberExists:
            return

    async def add_user(self, user: User, events: Sequence[Event]) -> None:
        try:
            await super().add_user(user, events)
        except UserExists:
            return


@noticed_by(checks.check_a_client_never_has_more_users_than_it_may_even_in_a_race)
class CountsUsersBefore(SqliteStore):
    """Counts, and adds later: a race gets past the limit."""

    async def add_user(self, user: User, events: Sequence[Event]) -> None:  # noqa: ARG002 - the port's
        sql = "SELECT count(*) FROM users WHERE client = ?"
        if (await self._one(sql, (user.client,)))[0] >= USERS_PER_CLIENT:
            raise TooManyUsers
        await asyncio.sleep(0)
        row = rows.user_to_row(user)
        await self._execute(base.insert("users", rows.USER_COLUMNS), row)


@noticed_by(checks.check_a_new_client_comes_with_its_admin)
class AddsClientsAlone(SqliteStore):
    async def add_client(self, client: Client, admin: User, events: Sequence[Event]) -> None:
        await super().add_client(client, admin, events)
        if client.name == "third":
            await self.remove_user(client.name, admin.username, ())


@noticed_by(
    checks.check_a_token_is_unknown_to_every_other_client,
    checks.check_a_token_speaks_for_its_user_until_it_expires,
)
class AsksOnlyForTheToken(SqliteStore):
    async def session(self, client: str, token_hash: bytes, now: datetime) -> Session | None:  # noqa: ARG002 - the port's
        row = await self._one("SELECT client FROM tokens WHERE hash = ?", (token_hash,))
        before = rows.moment(0)
        return None if row is None else await super().session(row[0], token_hash, before)


@noticed_by(
    checks.check_ending_tokens_spares_the_one_to_keep_and_the_new_one_and_other_users,
    checks.check_ending_tokens_without_one_to_keep_ends_all,
)
class EndsTheWrongTokens(SqliteStore):
    """``hash <> NULL`` is never true, and what is to be kept goes."""

    async def update_user(self, client: str, username: str, change: UserChange) -> User:
        def wrong(user: User) -> UserDecision:
            decision = change(user)
            ends = decision.end_tokens and decision.keep is not None
            return replace(decision, keep=None, end_tokens=ends)

        return await super().update_user(client, username, wrong)


@noticed_by(checks.check_an_ended_session_is_known_no_more_anywhere)
class EndsSessionsOnlyHere(SqliteStore):
    """Remembers ended tokens in the process, where no other one sees them."""

    async def end_session(self, token_hash: bytes) -> None:
        self._ended = {*getattr(self, "_ended", ()), token_hash}

    async def session(self, client: str, token_hash: bytes, now: datetime) -> Session | None:
        if token_hash in getattr(self, "_ended", ()):
            return None
        return await super().session(client, token_hash, now)


@noticed_by(checks.check_a_removed_user_takes_the_tokens_along)
class LeavesTokensBehind(SqliteStore):
    def __init__(self, path: Path, audit_key: bytes) -> None:
        super().__init__(path, audit_key)
        self._writer._connection.execute("PRAGMA foreign_keys = OFF")


@noticed_by(checks.check_a_login_beyond_the_cap_ends_the_oldest_token)
class LetsTokensPileUp(SqliteStore):
    async def update_user(self, client: str, username: str, change: UserChange) -> User:
        decisions: list[UserDecision] = []

        def remember(user: User) -> UserDecision:
            decisions.append(change(user))
            return replace(decisions[-1], token=None)

        kept = await super().update_user(client, username, remember)
        token = decisions[-1].token
        if token is not None:
            values = (token.hash, client, username, rows.micros(token.expires_at))
            await self._execute("INSERT INTO tokens VALUES (?, ?, ?, ?)", values)
        return kept


@noticed_by(checks.check_reads_never_wait_for_writers)
class ReadsBehindWriters(SqliteStore):
    async def _one(self, sql: str, values: Values = ()) -> Any:
        try:
            self._reading.execute("PRAGMA query_only = OFF")
            self._reading.execute("PRAGMA busy_timeout = 20")
            self._reading.execute("BEGIN IMMEDIATE")
            self._reading.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise Unavailable from error
        return await super()._one(sql, values)


@noticed_by(checks.check_reads_see_every_step_that_returned_before)
class ReadsFromMemory(SqliteStore):
    async def number(self, id: str) -> Number | None:
        self._seen: dict[str, Number | None] = getattr(self, "_seen", {})
        if id not in self._seen:
            self._seen[id] = await super().number(id)
        return self._seen[id]


@noticed_by(checks.check_times_keep_their_microseconds)
class RoundsTimes(SqliteStore):
    async def _decide(self, step: Step, id: int, change: Change) -> Decision:
        def rounded(number: Number) -> Decision:
            decision = change(number)
            at = decision.number.registered_at
            kept = replace(decision.number, registered_at=at and at.replace(microsecond=999_000))
            return replace(decision, number=kept)

        return await super()._decide(step, id, rounded)


@noticed_by(checks.check_a_value_that_changed_meanwhile_is_never_replaced)
class ReplacesBlindly(SqliteStore):
    """Puts the re-sealed old PIN over a new one."""

    async def replace_sealed(self, changes: Sequence[tuple[SealedValue, bytes]]) -> int:
        for old, fresh in changes:
            if old.place == "pin":
                sql = "UPDATE numbers SET pin_verifier = ? WHERE id = ?"
                await self._execute(sql, (fresh, int(old.owner)))
        return await super().replace_sealed([c for c in changes if c[0].place != "pin"])


@noticed_by(
    checks.check_every_sealed_value_is_known_by_its_key_and_what_it_is_bound_to,
    checks.check_a_value_sealed_anew_takes_the_old_ones_place,
)
class OverlooksTheHandset(SqliteStore):
    async def sealed_with_others(self, kid: str) -> Sequence[SealedValue]:
        return [v for v in await super().sealed_with_others(kid) if v.place != "handset"]


@noticed_by(checks.check_tidying_erases_what_has_expired_and_nothing_else)
class NeverTidies(SqliteStore):
    async def tidy(self, now: datetime) -> None:
        await self.remember("latest_time", str(rows.micros(now)))


@noticed_by(checks.check_the_latest_time_is_the_latest_event_or_tidying_and_never_goes_back)
class ForgetsTheLatestTime(SqliteStore):
    async def tidy(self, now: datetime) -> None:
        await super().tidy(now)
        await self.remember("latest_time", str(rows.micros(now)))


@noticed_by(checks.check_a_locked_storage_is_unavailable_and_works_again_by_itself)
class SaysDoneWhenItIsNot(SqliteStore):
    async def update(self, id: str, change: Change) -> Number:
        try:
            return await super().update(id, change)
        except Unavailable:
            seen = await self.number(id)
            assert seen is not None
            return change(seen).number


@noticed_by(checks.check_a_store_that_is_given_too_much_refuses_at_once_and_keeps_all_it_took)
class TakesEverythingOn(SqliteStore):
    """A queue without an end."""

    def __init__(self, path: Path, audit_key: bytes) -> None:
        super().__init__(path, audit_key)
        self._writer._waiting = -1_000_000


@noticed_by(
    checks.check_hundreds_of_changes_at_once_are_all_counted,
    checks.check_one_step_may_write_thousands_of_events_and_all_are_read_in_order,
)
class ChainsFromTheBeginning(SqliteStore):
    """Every step begins its chain anew, so that nothing ties it to the one before."""

    async def _append(self, step: Step, subject: str, *rest: Any) -> None:
        await super()._append(step, subject, *rest)
        await step.run(
            "UPDATE audit SET hash = zeroblob(32) WHERE subject = ? AND seq = 1", (subject,)
        )
