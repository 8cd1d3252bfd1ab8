"""Stores that break one promise of the Manager's each, and the checks that must notice."""

import asyncio
import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from nightlatch.adapters.sql import rows
from nightlatch.adapters.sql.base import insert
from nightlatch.adapters.sql.step import Step
from nightlatch.adapters.sqlite import SqliteStore
from nightlatch.domain.audit import Event, Kind, Link
from nightlatch.domain.errors import (
    LastOwner,
    LinkRefused,
    MemberUnknown,
    TooManyMembers,
    Unavailable,
)
from nightlatch.domain.limits import MEMBERS_PER_PORTFOLIO
from nightlatch.domain.mail import Mail, Posted, To
from nightlatch.domain.members import (
    Invitation,
    Member,
    MemberDecision,
    MemberRole,
    MemberSession,
    SignIns,
)
from nightlatch.domain.numbers import Decision, Number
from nightlatch.domain.overview import Show, wanted
from nightlatch.domain.portfolios import Portfolio, PortfolioDecision
from nightlatch.ports import (
    Change,
    MailChange,
    MemberChange,
    NumberLine,
    NumberPage,
    PortfolioChange,
    SealedValue,
    SignInsChange,
)
from tests.contracts import checks, letters, lists, people
from tests.contracts.broken import (
    CONTROLS,
    NeverTidies,
    ReadsBehindWriters,
    noticed_by,
)
from tests.people import NOON

__all__ = ["CONTROLS"]

# People


@noticed_by(people.check_hundreds_of_changes_of_one_member_at_once_are_all_counted)
class ReadsMembersThenWrites(SqliteStore):
    async def update_member(self, id: str, change: MemberChange) -> Member:
        seen = await self.member(id)
        if seen is None:
            raise MemberUnknown
        decision = change(seen)
        return await super().update_member(id, lambda _: decision)


@noticed_by(people.check_hundreds_of_changes_of_one_portfolio_at_once_are_all_kept)
class ReadsPortfoliosThenWrites(SqliteStore):
    async def update_portfolio(self, id: str, change: PortfolioChange) -> Portfolio:
        seen = await self.portfolio(id)
        assert seen is not None
        decision = change(seen)
        return await super().update_portfolio(id, lambda _: decision)


@noticed_by(people.check_of_hundreds_of_parallel_sign_ins_exactly_the_free_ones_get_through)
class ReadsSignInsThenWrites(SqliteStore):
    async def update_sign_ins(self, key: bytes, change: SignInsChange) -> SignIns:
        seen = await super().update_sign_ins(key, lambda s: s)
        after = change(seen)
        return await super().update_sign_ins(key, lambda _: after)


@noticed_by(people.check_the_sign_ins_of_each_address_are_counted_apart_and_can_be_forgiven)
class CountsAllSignInsTogether(SqliteStore):
    async def update_sign_ins(self, key: bytes, change: SignInsChange) -> SignIns:
        return await super().update_sign_ins(key[:0], change)


@noticed_by(people.check_nothing_about_people_is_kept_without_its_event)
class WritesMembersEventsAfterwards(SqliteStore):
    async def remove_member(self, id: str, events: Sequence[Event]) -> None:
        found = await self.member(id)
        await super().remove_member(id, ())
        assert found is not None
        await self.update_portfolio(found.portfolio, lambda p: PortfolioDecision(p, tuple(events)))


@noticed_by(people.check_only_the_newest_invitation_of_an_address_is_good)
class KeepsOldInvitations(SqliteStore):
    async def invite(
        self, invitation: Invitation, events: Sequence[Event], mails: Sequence[Mail]
    ) -> None:
        await self._execute(
            "UPDATE invitations SET email = hex(hash) WHERE email = ?", (invitation.email,)
        )
        await super().invite(invitation, events, mails)


@noticed_by(people.check_an_invitation_ends_by_itself_and_by_withdrawing)
class InvitesForEver(SqliteStore):
    async def invitation(self, token_hash: bytes, now: datetime) -> Invitation | None:
        return await super().invitation(token_hash, min(now, NOON))


@noticed_by(people.check_an_invitation_ends_by_itself_and_by_withdrawing)
class WithdrawsNothing(SqliteStore):
    async def withdraw(self, portfolio: str, email: str, events: Sequence[Event]) -> None:
        await super().withdraw(portfolio, email + "x", events)


@noticed_by(people.check_of_parallel_joins_by_one_invitation_exactly_one_succeeds)
class LooksAtInvitationsBefore(SqliteStore):
    """Looks whether the invitation is there, and uses it up later."""

    async def join(
        self,
        token_hash: bytes,
        member: Member,
        session: MemberSession,
        events: Sequence[Event],
        change: PortfolioChange | None,
        now: datetime,
    ) -> None:
        seen = await self.invitation(token_hash, now)
        if seen is None:
            raise LinkRefused
        await asyncio.sleep(0)
        mine = replace(seen, hash=member.id.encode(), email=member.email)
        await super().invite(mine, (), ())
        await super().join(mine.hash, member, session, events, change, now)
        await self._execute("DELETE FROM invitations WHERE hash = ?", (token_hash,))


@noticed_by(people.check_a_join_is_kept_whole_or_not_at_all)
class JoinsInTwoSteps(SqliteStore):
    async def join(
        self,
        token_hash: bytes,
        member: Member,
        session: MemberSession,
        events: Sequence[Event],
        change: PortfolioChange | None,
        now: datetime,
    ) -> None:
        await super().join(token_hash, member, session, events, None, now)
        await asyncio.sleep(0)
        if change is not None:
            await self.update_portfolio(member.portfolio, change)


@noticed_by(people.check_the_link_without_an_address_makes_a_first_member_and_no_second)
class LetsTheFirstLinkLive(SqliteStore):
    async def join(
        self,
        token_hash: bytes,
        member: Member,
        session: MemberSession,
        events: Sequence[Event],
        change: PortfolioChange | None,
        now: datetime,
    ) -> None:
        await self._execute(
            "UPDATE invitations SET email = 'first' WHERE hash = ? AND email = ''", (token_hash,)
        )
        await super().join(token_hash, member, session, events, change, now)


@noticed_by(
    people.check_whose_address_is_a_members_is_not_invited,
    people.check_a_portfolio_never_has_more_members_and_invitations_than_it_may,
)
class CountsMembersBefore(SqliteStore):
    """Counts, and invites later: a race gets past the limit."""

    async def invite(
        self, invitation: Invitation, events: Sequence[Event], mails: Sequence[Mail]
    ) -> None:
        held = len(await self.members(invitation.portfolio)) + len(
            await self.invitations(invitation.portfolio, NOON)
        )
        if held >= MEMBERS_PER_PORTFOLIO:
            raise TooManyMembers
        await asyncio.sleep(0)

        async def work(step: Step) -> None:
            await step.run(
                insert("invitations", rows.INVITATION_COLUMNS).replace("INSERT", "REPLACE", 1),
                rows.invitation_to_row(invitation),
            )
            await self._append_to_portfolio(step, invitation.portfolio, events)
            await self._post(step, invitation.portfolio, mails)

        await self._step(work)


@noticed_by(
    people.check_the_last_owner_stays_whatever_is_tried_at_once,
    people.check_a_refused_demotion_keeps_nothing,
)
class LooksForOwnersBefore(SqliteStore):
    """Looks whether there is another owner, and demotes later."""

    async def update_member(self, id: str, change: MemberChange) -> Member:
        seen = await self.member(id)
        assert seen is not None
        decision = change(seen)
        if decision.member.role is seen.role:
            return await super().update_member(id, change)
        owners = [m for m in await self.members(seen.portfolio) if m.role is MemberRole.OWNER]
        await self._execute("DELETE FROM member_sessions WHERE member = ?", (id,))
        if len(owners) < 2:
            raise LastOwner
        await self._execute(
            "UPDATE members SET role = ? WHERE id = ?", (decision.member.role.value, id)
        )
        return decision.member


@noticed_by(people.check_what_a_change_of_a_member_raises_comes_back_and_nothing_is_kept)
class HidesWhatWasRaised(SqliteStore):
    async def update_member(self, id: str, change: MemberChange) -> Member:
        try:
            return await super().update_member(id, change)
        except checks.Stumble as error:
            raise Unavailable from error


@noticed_by(people.check_a_refusing_decision_about_a_member_is_kept_first_and_then_raised)
class ForgetsRefusalsOfMembers(SqliteStore):
    """Raises the refusal inside the step, which takes the step back."""

    async def _decide_member(self, step: Step, id: str, change: MemberChange) -> MemberDecision:
        decision = await super()._decide_member(step, id, change)
        if decision.refusal is not None:
            raise decision.refusal
        return decision


# Sessions


@noticed_by(
    people.check_a_members_session_is_known_until_it_ends_by_itself,
    people.check_a_touched_session_lives_on_but_never_backwards_or_for_ever,
)
class SessionsNeverEnd(SqliteStore):
    async def member_session(
        self, token_hash: bytes, now: datetime
    ) -> tuple[MemberSession, Member] | None:
        return await super().member_session(token_hash, min(now, NOON))


@noticed_by(people.check_a_touched_session_lives_on_but_never_backwards_or_for_ever)
class TouchesNothing(SqliteStore):
    async def touch_session(self, token_hash: bytes, now: datetime) -> None:
        pass


@noticed_by(
    people.check_the_sessions_of_a_member_are_listed_latest_first_without_half_or_ended_ones
)
class ListsHalfSessions(SqliteStore):
    async def member_sessions(self, member: str, now: datetime) -> Sequence[MemberSession]:
        found = await self._all("SELECT hash FROM member_sessions WHERE member = ?", (member,))
        known = [await self.member_session(row[0], now) for row in found]
        return [one[0] for one in known if one is not None]


@noticed_by(people.check_an_ended_session_of_a_member_is_known_no_more_anywhere)
class EndsMembersSessionsOnlyHere(SqliteStore):
    async def end_member_session(self, token_hash: bytes) -> None:
        self._ended = {*getattr(self, "_ended", ()), token_hash}

    async def member_session(
        self, token_hash: bytes, now: datetime
    ) -> tuple[MemberSession, Member] | None:
        if token_hash in getattr(self, "_ended", ()):
            return None
        return await super().member_session(token_hash, now)


@noticed_by(
    people.check_ending_sessions_spares_the_one_to_keep_and_the_new_one_and_other_members,
    people.check_a_whole_session_takes_the_place_of_the_half_one_in_one_step,
)
class EndsTheWrongSessions(SqliteStore):
    async def update_member(self, id: str, change: MemberChange) -> Member:
        def wrong(member: Member) -> MemberDecision:
            return replace(change(member), keep=None, end_session=None)

        return await super().update_member(id, wrong)


@noticed_by(people.check_a_further_session_beyond_the_cap_ends_the_oldest)
class LetsSessionsPileUp(SqliteStore):
    async def update_member(self, id: str, change: MemberChange) -> Member:
        begun: list[MemberSession | None] = []

        def remember(member: Member) -> MemberDecision:
            decision = change(member)
            begun.append(decision.session)
            return replace(decision, session=None)

        kept = await super().update_member(id, remember)
        session = begun[-1]
        if session is not None:
            sql = insert("member_sessions", rows.SESSION_COLUMNS)
            await self._execute(sql, tuple(rows.session_to_row(session)))
        return kept


@noticed_by(people.check_a_removed_member_takes_the_sessions_along)
class LeavesSessionsBehind(SqliteStore):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._writer._connection.execute("PRAGMA foreign_keys = OFF")


@noticed_by(people.check_a_session_shows_the_member_as_it_is_now)
class RemembersWhoASessionIs(SqliteStore):
    async def member_session(
        self, token_hash: bytes, now: datetime
    ) -> tuple[MemberSession, Member] | None:
        self._seen: dict[bytes, Any] = getattr(self, "_seen", {})
        if token_hash not in self._seen:
            self._seen[token_hash] = await super().member_session(token_hash, now)
        found: tuple[MemberSession, Member] | None = self._seen[token_hash]
        return found


# Letters


@noticed_by(
    letters.check_a_letter_is_posted_with_its_change_or_not_at_all,
    letters.check_nobody_ever_reads_a_change_before_its_letter,
)
class PostsAfterwards(SqliteStore):
    """Letters in a second step; whoever dies or looks in between has a change without them."""

    async def update_member(self, id: str, change: MemberChange) -> Member:
        mails: list[Mail] = []

        def silent(member: Member) -> MemberDecision:
            decision = change(member)
            mails.extend(decision.mails)
            return replace(decision, mails=())

        kept = await super().update_member(id, silent)
        await asyncio.sleep(0)
        await super().update_member(id, lambda m: MemberDecision(m, mails=tuple(mails)))
        return kept


@noticed_by(letters.check_a_change_that_raises_posts_nothing_and_one_that_refuses_posts_first)
class PostsNothingWhenRefusing(SqliteStore):
    async def _decide(self, step: Step, id: int, change: Change) -> Decision:
        def without(number: Number) -> Decision:
            decision = change(number)
            return decision if decision.refusal is None else replace(decision, mails=())

        return await super()._decide(step, id, without)


@noticed_by(letters.check_a_take_over_posts_the_letters_of_both_numbers)
class PostsNothingOnRelease(SqliteStore):
    async def take_over(self, id: str, client: str, change: Change, release: Change) -> Number:
        return await super().take_over(id, client, change, lambda n: replace(release(n), mails=()))


@noticed_by(
    letters.check_owners_and_admins_get_one_letter_each_and_viewers_and_neighbours_none,
    letters.check_the_portfolios_address_hears_what_is_for_it_and_what_nobody_else_would,
    letters.check_who_is_an_owner_in_the_moment_of_the_change_hears_of_it,
)
class PostsToThePortfolioOnly(SqliteStore):
    async def _post(self, step: Step, portfolio: str, mails: Sequence[Mail]) -> None:
        await super()._post(step, portfolio, [replace(mail, to=To.PORTFOLIO) for mail in mails])


@noticed_by(letters.check_owners_and_admins_get_one_letter_each_and_viewers_and_neighbours_none)
class PostsToViewersToo(SqliteStore):
    async def _post(self, step: Step, portfolio: str, mails: Sequence[Mail]) -> None:
        found = await step.all("SELECT email FROM members WHERE portfolio = ?", (portfolio,))
        for (email,) in found:
            await super()._post(
                step, portfolio,
                [replace(mail, to=To.PERSON, address=email) for mail in mails],
            )  # fmt: skip


@noticed_by(
    letters.check_parallel_leasers_never_get_the_same_letter,
    letters.check_a_lease_of_a_letter_hides_it_counts_an_attempt_and_runs_out,
)
class LeasesLettersWithoutHiding(SqliteStore):
    async def lease_mail(self, now: datetime, until: datetime, limit: int) -> Sequence[Posted]:  # noqa: ARG002 - the port's
        return await super().lease_mail(now, now, limit)


@noticed_by(letters.check_a_lease_of_a_letter_hides_it_counts_an_attempt_and_runs_out)
class LeasesLettersWithoutCounting(SqliteStore):
    async def lease_mail(self, now: datetime, until: datetime, limit: int) -> Sequence[Posted]:
        leased = await super().lease_mail(now, until, limit)
        await self._execute("UPDATE mail SET attempts = 0", ())
        return leased


@noticed_by(letters.check_only_what_waits_and_is_due_is_leased_the_longest_due_first)
class LeasesLettersThatEnded(SqliteStore):
    async def lease_mail(self, now: datetime, until: datetime, limit: int) -> Sequence[Posted]:
        await self._execute("UPDATE mail SET state = 'waiting' WHERE state = 'failed'", ())
        return await super().lease_mail(now, until, limit)


@noticed_by(letters.check_hundreds_of_changes_of_one_letter_at_once_are_all_counted)
class ReadsLettersThenWrites(SqliteStore):
    async def update_mail(self, key: str, change: MailChange) -> Posted:
        seen = await self.mail(key)
        assert seen is not None
        after = change(seen)
        return await super().update_mail(key, lambda _: after)


@noticed_by(letters.check_a_changed_letter_is_read_back_and_a_change_that_raises_keeps_nothing)
class KeepsTheSecretsOfLetters(SqliteStore):
    async def update_mail(self, key: str, change: MailChange) -> Posted:
        changed: list[Posted] = []

        def keeping(posted: Posted) -> Posted:
            changed.append(change(posted))
            return replace(changed[-1], sealed=posted.sealed)

        await super().update_mail(key, keeping)
        return changed[-1]


@noticed_by(letters.check_letters_are_listed_the_latest_first_and_each_portfolios_apart)
class ListsEverybodysLetters(SqliteStore):
    async def mails(self, portfolio: str | None, limit: int) -> Sequence[Posted]:  # noqa: ARG002 - the port's
        return await super().mails(None, limit)


@noticed_by(letters.check_failed_letters_are_counted_for_each_portfolio_and_for_all)
class CountsEverybodysFailures(SqliteStore):
    async def failed_mails(self, portfolio: str | None) -> int:  # noqa: ARG002 - the port's
        return await super().failed_mails(None)


@noticed_by(
    letters.check_tidying_erases_dead_secrets_and_letters_that_ended_long_ago,
    people.check_tidying_erases_invitations_sessions_and_sign_ins_that_have_ended,
)
class NeverTidiesTheManager(NeverTidies):
    pass


@noticed_by(
    letters.check_the_secrets_of_letters_are_known_and_sealed_anew,
    people.check_the_sealed_values_of_members_are_known_and_sealed_anew,
)
class OverlooksTheManager(SqliteStore):
    async def replace_sealed(self, changes: Sequence[tuple[SealedValue, bytes]]) -> int:
        return await super().replace_sealed(
            [one for one in changes if one[0].place not in ("mail", "app", "member")]
        )


@noticed_by(letters.check_while_the_storage_is_locked_letters_and_people_are_unavailable)
class SaysLettersAreDoneWhenTheyAreNot(SqliteStore):
    async def update_mail(self, key: str, change: MailChange) -> Posted:
        try:
            return await super().update_mail(key, change)
        except Unavailable:
            seen = await self.mail(key)
            assert seen is not None
            return change(seen)


@noticed_by(
    people.check_reads_of_people_never_wait_for_writers, lists.check_lists_never_wait_for_writers
)
class ReadsPeopleBehindWriters(ReadsBehindWriters):
    pass


# Lists and counts


@noticed_by(lists.check_every_list_and_search_shows_what_the_model_says)
class LooksForOneWordOnly(SqliteStore):
    async def list_numbers(
        self, waba: str, show: Show, text: str, now: datetime, after: str | None, limit: int
    ) -> NumberPage:
        word = "".join(text.split(" ")[:1])
        return await super().list_numbers(waba, show, word, now, after, limit)


@noticed_by(lists.check_every_list_and_search_shows_what_the_model_says)
class ShowsLockedNumbersAsWaiting(SqliteStore):
    async def list_numbers(
        self, waba: str, show: Show, text: str, now: datetime, after: str | None, limit: int
    ) -> NumberPage:
        page = await super().list_numbers(waba, show, text, now, after, limit)
        if show is not Show.LOCKED or text:
            return page
        return replace(page, lines=[one for one in page.lines if one.number.guesses.since is None])


@noticed_by(lists.check_a_line_shows_the_number_as_it_is_and_the_last_thing_that_happened)
class ShowsTheFirstThing(SqliteStore):
    async def list_numbers(
        self, waba: str, show: Show, text: str, now: datetime, after: str | None, limit: int
    ) -> NumberPage:
        page = await super().list_numbers(waba, show, text, now, after, limit)
        lines = [await self._first(one) for one in page.lines]
        return replace(page, lines=lines)

    async def _first(self, line: NumberLine) -> NumberLine:
        async for link in self.audit(f"number:{line.number.id}"):
            return replace(line, last=link.event)
        return line


@noticed_by(
    lists.check_pages_lose_and_double_nothing_while_numbers_come_and_change,
    lists.check_what_is_no_place_in_a_list_begins_anew_or_ends_and_never_fails,
)
class CountsPages(SqliteStore):
    """``OFFSET``: what comes in before the place moves everything behind it."""

    async def list_numbers(
        self, waba: str, show: Show, text: str, now: datetime, after: str | None, limit: int
    ) -> NumberPage:
        start = int(after) if after else 0
        lines = await lists.everything(_Whole(self), show, text, now, 500, waba)
        more = str(start + limit) if start + limit < len(lines) else None
        return NumberPage(lines[start : start + limit], more)

    async def whole(self, *place: Any) -> NumberPage:
        return await super().list_numbers(*place)


class _Whole:
    """A store whose lists are read by the real one."""

    def __init__(self, store: CountsPages) -> None:
        self._store = store

    async def list_numbers(self, *place: Any) -> NumberPage:
        return await self._store.whole(*place)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@noticed_by(lists.check_pages_lose_and_double_nothing_while_numbers_come_and_change)
class WalksAnotherGroupOnEachPage(SqliteStore):
    """The words of a search change places between two pages."""

    async def list_numbers(
        self, waba: str, show: Show, text: str, now: datetime, after: str | None, limit: int
    ) -> NumberPage:
        groups = wanted(text)
        if after is not None and len(groups) > 1:
            place = json.loads(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))
            place[0] = (place[0] + 1) % len(groups)
            after = base64.urlsafe_b64encode(json.dumps(place).encode()).decode()
        return await super().list_numbers(waba, show, text, now, after and after.rstrip("="), limit)


@noticed_by(lists.check_the_latest_attack_and_the_longest_wait_come_first)
class ListsAttacksInAnyOrder(SqliteStore):
    async def list_numbers(
        self, waba: str, show: Show, text: str, now: datetime, after: str | None, limit: int
    ) -> NumberPage:
        page = await super().list_numbers(waba, show, text, now, after, limit)
        return replace(page, lines=sorted(page.lines, key=lambda one: one.number.id))


@noticed_by(lists.check_the_tally_always_equals_a_recount)
class NeverCountsDown(SqliteStore):
    """A number whose lock was turned off stays in the count of protected ones."""

    async def update(self, id: str, change: Change) -> Number:
        (before,) = await self._one("SELECT total(protected) FROM tallies")
        kept = await super().update(id, change)
        (after,) = await self._one("SELECT total(protected) FROM tallies")
        if after < before:
            await self._execute(
                "UPDATE tallies SET protected = protected + 1 WHERE (waba, slot) ="
                " (SELECT waba, slot FROM tallies LIMIT 1)", (),
            )  # fmt: skip
        return kept


@noticed_by(lists.check_parallel_changes_are_all_in_the_tally)
class CountsOutsideTheStep(SqliteStore):
    """Reads the count, and writes it back a moment later."""

    async def update(self, id: str, change: Change) -> Number:
        before = await self._all("SELECT protected, waba, slot FROM tallies", ())
        kept = await super().update(id, change)
        for row in before[:3]:
            await self._execute("UPDATE tallies SET protected = ? WHERE waba = ? AND slot = ?", row)
        return kept


@noticed_by(lists.check_attacked_numbers_of_a_portfolio_come_latest_first_until_a_day_has_passed)
class ShowsAttacksForEver(SqliteStore):
    async def attacked(self, portfolio: str, now: datetime, limit: int) -> Sequence[NumberLine]:
        return await super().attacked(portfolio, now - timedelta(hours=23), limit)


@noticed_by(lists.check_the_days_count_what_is_charted_on_its_utc_day_for_its_portfolio)
class CountsDaysFromNoon(SqliteStore):
    async def daily(self, portfolio: str, since: date) -> Sequence[tuple[date, Kind, int]]:
        found = await super().daily(portfolio, since)
        return [(day - timedelta(days=1), kind, count) for day, kind, count in found]


@noticed_by(lists.check_a_timeline_is_read_from_its_end_a_page_at_a_time)
class ReadsTimelinesFromTheBeginning(SqliteStore):
    async def events(self, subject: str, before: int | None, limit: int) -> Sequence[Link]:
        links = [link async for link in self.audit(subject)]
        return links[:limit] if before is None else links[before : before + limit]


@noticed_by(lists.check_the_place_of_an_event_is_kept_and_chained)
class ForgetsPlaces(SqliteStore):
    async def _append_to_number(self, step: Step, id: str, events: Sequence[Event]) -> None:
        await super()._append_to_number(step, id, [replace(event, place="") for event in events])


@noticed_by(lists.check_a_number_is_found_by_its_newest_link_only)
class RemembersOldLinks(SqliteStore):
    async def number_by_link(self, token_hash: bytes) -> Number | None:
        found = await super().number_by_link(token_hash)
        self._links: dict[bytes, str] = getattr(self, "_links", {})
        if found is not None:
            self._links[token_hash] = found.id
        elif token_hash in self._links:
            return await self.number(self._links[token_hash])
        return found


@noticed_by(lists.check_an_id_has_one_spelling_and_others_are_unknown)
class ReadsIdsHoweverTheyAreSpelled(SqliteStore):
    async def number(self, id: str) -> Number | None:
        try:
            return await super().number(str(int(id)))
        except ValueError:
            return None
