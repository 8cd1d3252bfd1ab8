"""Stores that break one promise about linked accounts each, and the checks that must notice."""

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from nightlatch.adapters.sql.rows import micros
from nightlatch.adapters.sql.step import Step
from nightlatch.adapters.sqlite import SqliteStore
from nightlatch.domain.audit import Event
from nightlatch.domain.errors import LinkedNumberUnknown, LinkExists, LinkUnknown, TooManyLinks
from nightlatch.domain.limits import LINKS_PER_PORTFOLIO
from nightlatch.domain.linked import LinkedDecision, LinkedNumber
from nightlatch.domain.links import CloudLink, LinkDecision
from nightlatch.domain.numbers import Decision, Number
from nightlatch.domain.vault import Vault
from nightlatch.ports import Change, LinkChange, LinkedChange, SealedValue
from tests.contracts import linked
from tests.contracts.broken import NeverTidies, ReadsBehindWriters, noticed_by
from tests.contracts.broken_graph import CONTROLS
from tests.contracts.makers import ELSEWHERE, PORTFOLIO

__all__ = ["CONTROLS"]

# Reading


@noticed_by(linked.check_links_come_by_when_they_were_linked_of_one_portfolio_or_of_all)
class ListsLinksByAccount(SqliteStore):
    async def links(self, portfolio: str | None = None) -> Sequence[CloudLink]:
        return sorted(await super().links(portfolio), key=lambda link: link.waba)


@noticed_by(linked.check_links_come_by_when_they_were_linked_of_one_portfolio_or_of_all)
class ListsEverybodysLinks(SqliteStore):
    async def links(self, portfolio: str | None = None) -> Sequence[CloudLink]:  # noqa: ARG002 - the port's
        return await super().links()


@noticed_by(linked.check_numbers_and_all_their_pins_come_by_e164_a_page_at_a_time)
class CountsPinsAsNumbers(SqliteStore):
    """A page holds so many rows, not so many numbers."""

    async def linked_numbers(
        self, waba: str, after: str = "", limit: int = 1_000
    ) -> Sequence[LinkedNumber]:
        page: list[LinkedNumber] = []
        for number in await super().linked_numbers(waba, after, limit):
            room = limit - sum(max(1, len(n.vault.maybe) + 1) for n in page)
            if room <= 0:
                break
            vault = replace(number.vault, maybe=number.vault.maybe[: room - 1])
            page.append(replace(number, vault=vault))
        return page


@noticed_by(linked.check_numbers_with_alerts_are_those_of_the_portfolio_until_somebody_saw_them)
class ShowsEverybodysAlerts(SqliteStore):
    async def alarmed(self, portfolio: str, limit: int) -> Sequence[LinkedNumber]:  # noqa: ARG002 - the port's
        every = [await super(ShowsEverybodysAlerts, self).alarmed(p.id, limit)
                 for p in await self.portfolios()]  # fmt: skip
        return [number for some in every for number in some][:limit]


@noticed_by(
    linked.check_linked_numbers_are_found_as_they_are_now_by_whatever_they_are_looked_for,
)
class RemembersThatThereIsNone(SqliteStore):
    async def linked_of(self, client: str) -> LinkedNumber | None:
        known: dict[str, LinkedNumber | None] = self.__dict__.setdefault("_none", {})
        if client not in known:
            known[client] = await super().linked_of(client)
        return known[client]


@noticed_by(linked.check_linked_numbers_are_found_as_they_are_now_by_whatever_they_are_looked_for)
class FindsTheFirstThatWaits(SqliteStore):
    async def linked_waiting_for(self, client: str) -> LinkedNumber | None:
        waiting = [
            number
            for link in await self.links()
            for number in await self.linked_numbers(link.waba)
            if number.waiting is not None and number.waiting.client == client
        ]
        return waiting[-1] if waiting else None


@noticed_by(linked.check_a_number_and_its_pins_are_what_its_rules_made_of_them_after_every_step)
class ForgetsNoPin(SqliteStore):
    async def _change_linked(
        self, step: Step, id: str, change: LinkedChange
    ) -> LinkedDecision | None:
        def hoarding(number: LinkedNumber) -> LinkedDecision:
            decision = change(number)
            vault = decision.number.vault
            more = tuple(pin for pin in number.vault.maybe if pin not in vault.maybe)
            vault = replace(vault, maybe=(*more, *vault.maybe))
            return replace(decision, number=replace(decision.number, vault=vault))

        return await super()._change_linked(step, id, hoarding)


@noticed_by(linked.check_nobody_ever_reads_a_number_with_the_pins_of_another_moment)
class ReadsPinsApart(SqliteStore):
    """The number first, and its PINs a moment later."""

    async def linked(self, id: str) -> LinkedNumber | None:
        first = await super().linked(id)
        await asyncio.sleep(0.001)
        second = await super().linked(id)
        if first is None or second is None:
            return None
        return replace(first, vault=second.vault)


@noticed_by(linked.check_reads_of_links_and_their_numbers_never_wait_for_writers)
class ReadsLinksBehindWriters(ReadsBehindWriters):
    pass


# All or nothing


@noticed_by(linked.check_nothing_about_links_and_their_numbers_is_kept_without_its_event)
class WritesLinkEventsAfterwards(SqliteStore):
    async def add_link(self, link: CloudLink, events: Sequence[Event]) -> None:
        await super().add_link(link, ())
        await self.update_link(link.waba, lambda kept: LinkDecision(kept, tuple(events)))


@noticed_by(linked.check_nothing_about_links_and_their_numbers_is_kept_without_its_event)
class WritesLinkedEventsAfterwards(SqliteStore):
    async def add_linked(self, number: LinkedNumber, events: Sequence[Event]) -> None:
        await super().add_linked(number, ())
        await self.update_linked(number.id, lambda kept: LinkedDecision(kept, tuple(events)))


@noticed_by(
    linked.check_what_a_change_of_a_link_or_its_number_raises_comes_back_and_nothing_is_kept
)
class TakesLinkStumblesForItsOwn(SqliteStore):
    async def update_link(self, waba: str, change: LinkChange) -> CloudLink:
        def raising(link: CloudLink) -> LinkDecision:
            try:
                return change(link)
            except Exception as error:
                raise sqlite3.OperationalError(str(error)) from error

        return await super().update_link(waba, raising)


@noticed_by(
    linked.check_what_a_change_of_a_link_or_its_number_raises_comes_back_and_nothing_is_kept
)
class HearsBeforeItKeeps(SqliteStore):
    """What was heard is written down in a step of its own, and lost when the next one fails."""

    async def hear(self, key: bytes, id: str, change: LinkedChange, now: datetime) -> bool:
        fresh = await super().hear(key, id, LinkedDecision, now)
        if fresh:
            await self.update_linked(id, change)
        return fresh


@noticed_by(
    linked.check_what_a_change_of_a_link_or_its_number_raises_comes_back_and_nothing_is_kept,
    linked.check_many_are_observed_in_order_and_in_one_step_and_the_unknown_are_left_out,
)
class ObservesOneByOne(SqliteStore):
    async def observe_linked(self, changes: Sequence[tuple[str, LinkedChange]]) -> None:
        for change in changes:
            await super().observe_linked([change])


@noticed_by(linked.check_a_refusing_decision_about_a_linked_number_is_kept_first_and_then_raised)
class ForgetsRefusedLinkedDecisions(SqliteStore):
    async def _change_linked(
        self, step: Step, id: str, change: LinkedChange
    ) -> LinkedDecision | None:
        decision = await super()._change_linked(step, id, change)
        if decision is not None and decision.refusal is not None:
            raise decision.refusal
        return decision


# Steps never overlap


@noticed_by(
    linked.check_hundreds_of_changes_of_one_link_or_linked_number_at_once_are_all_kept,
    linked.check_of_attempts_on_one_number_by_two_processes_at_once_exactly_one_begins,
)
class ReadsLinkedThenWrites(SqliteStore):
    async def update_linked(self, id: str, change: LinkedChange) -> LinkedNumber:
        seen = await self.linked(id)
        if seen is None:
            raise LinkedNumberUnknown
        decision = change(seen)
        return await super().update_linked(id, lambda _: decision)


@noticed_by(linked.check_hundreds_of_changes_of_one_link_or_linked_number_at_once_are_all_kept)
class ReadsLinksThenWrites(SqliteStore):
    async def update_link(self, waba: str, change: LinkChange) -> CloudLink:
        seen = await self.link(waba)
        if seen is None:
            raise LinkUnknown
        decision = change(seen)
        return await super().update_link(waba, lambda _: decision)


@noticed_by(linked.check_a_portfolio_never_has_more_links_than_it_may_even_in_a_race)
class CountsLinksBefore(SqliteStore):
    async def add_link(self, link: CloudLink, events: Sequence[Event]) -> None:
        if len(await self.links(link.portfolio)) >= LINKS_PER_PORTFOLIO:
            raise TooManyLinks
        if await self.link(link.waba) is not None:
            raise LinkExists
        await asyncio.sleep(0)
        mine = replace(link, portfolio=ELSEWHERE.id)
        await super().add_link(mine, events)
        await self._execute(
            "UPDATE links SET portfolio = ? WHERE waba = ?", (link.portfolio, link.waba)
        )


@noticed_by(linked.check_a_number_is_in_one_registry_once_and_never_in_both_even_in_a_race)
class AddsWhatIsLinkedAlready(SqliteStore):
    async def add_number(self, number: Number, events: Sequence[Event]) -> None:
        await super().add_number(replace(number, e164=f"+99{number.id}"), events)
        await self._execute(
            "UPDATE numbers SET e164 = ? WHERE id = ?", (number.e164, int(number.id))
        )


@noticed_by(linked.check_a_number_is_in_one_registry_once_and_never_in_both_even_in_a_race)
class LinksWhatIsHereAlready(SqliteStore):
    async def add_linked(self, number: LinkedNumber, events: Sequence[Event]) -> None:
        local = await self.number_by_e164(number.e164)
        if local is None:
            await super().add_linked(number, events)
            return
        await super().add_linked(replace(number, e164=f"+99{number.id}"), events)
        await self._execute("UPDATE linked SET e164 = ? WHERE id = ?", (number.e164, number.id))


# Removing


@noticed_by(
    linked.check_a_link_takes_its_numbers_along_and_their_chains_hold_and_go_on_when_they_come_back
)
class ForgetsHowChainsEnd(SqliteStore):
    async def remove_link(self, waba: str, events: Sequence[Event]) -> None:
        await super().remove_link(waba, events)
        await self._execute("DELETE FROM past_chains", ())


@noticed_by(
    linked.check_a_link_takes_its_numbers_along_and_their_chains_hold_and_go_on_when_they_come_back
)
class KeepsTheNumbersOfRemovedLinks(SqliteStore):
    async def remove_link(self, waba: str, events: Sequence[Event]) -> None:
        numbers = await self.linked_numbers(waba)
        await super().remove_link(waba, events)
        spare = replace(linked.a_link(), waba="1", verify_token=b"v", token=b"t")
        await self.add_link(spare, ())
        for number in numbers:
            await self.add_linked(replace(number, waba=spare.waba), ())


# Taking


@noticed_by(
    linked.check_taking_a_linked_number_releases_what_the_client_served_before,
    linked.check_parallel_takings_leave_every_client_one_number,
)
class TakesAndReleasesNothing(SqliteStore):
    async def take_linked(
        self,
        id: str,
        client: str,  # noqa: ARG002 - the port's
        change: LinkedChange,
        release: LinkedChange,  # noqa: ARG002 - the port's
        release_local: Change,  # noqa: ARG002 - the port's
    ) -> LinkedNumber:
        return await self.update_linked(id, change)


@noticed_by(linked.check_taking_a_linked_number_releases_what_the_client_served_before)
class TakesAndForgetsTheLocalNumber(SqliteStore):
    async def take_linked(
        self,
        id: str,
        client: str,
        change: LinkedChange,
        release: LinkedChange,
        release_local: Change,  # noqa: ARG002 - the port's
    ) -> LinkedNumber:
        return await super().take_linked(id, client, change, release, Decision)


@noticed_by(
    linked.check_what_a_change_of_a_link_or_its_number_raises_comes_back_and_nothing_is_kept
)
class TakesInTwoSteps(SqliteStore):
    async def take_linked(
        self,
        id: str,
        client: str,
        change: LinkedChange,
        release: LinkedChange,
        release_local: Change,
    ) -> LinkedNumber:
        await self.update_linked(id, change)
        return await super().take_linked(id, client, LinkedDecision, release, release_local)


@noticed_by(linked.check_a_taking_that_is_refused_or_leaves_another_holder_releases_nothing)
class ReleasesWhateverComesOfIt(SqliteStore):
    async def take_linked(
        self,
        id: str,
        client: str,
        change: LinkedChange,
        release: LinkedChange,
        release_local: Change,
    ) -> LinkedNumber:
        other = await self.linked_of(client)
        if other is not None:
            await self.update_linked(other.id, release)
        return await super().take_linked(id, client, change, release, release_local)


# What is due


@noticed_by(
    linked.check_what_is_due_comes_longest_due_first_and_not_again_before_the_lease_ends,
    linked.check_parallel_lookers_never_get_the_same_number,
)
class LooksWithoutHiding(SqliteStore):
    async def linked_due(
        self,
        now: datetime,
        until: datetime,  # noqa: ARG002 - the port's
        limit: int,
    ) -> Sequence[LinkedNumber]:
        return await super().linked_due(now, now, limit)


@noticed_by(linked.check_what_is_due_comes_longest_due_first_and_not_again_before_the_lease_ends)
class LooksByNumber(SqliteStore):
    async def linked_due(
        self, now: datetime, until: datetime, limit: int
    ) -> Sequence[LinkedNumber]:
        found = await super().linked_due(now, until, 999)
        return sorted(found, key=lambda number: number.e164)[:limit]


# Hearing


@noticed_by(linked.check_what_was_heard_counts_once_however_often_and_by_whom_it_is_told)
class HearsAgainAndAgain(SqliteStore):
    async def hear(self, key: bytes, id: str, change: LinkedChange, now: datetime) -> bool:
        await self._execute("DELETE FROM heard WHERE key = ?", (key,))
        return await super().hear(key, id, change, now)


@noticed_by(linked.check_what_was_heard_counts_once_however_often_and_by_whom_it_is_told)
class LooksThenHears(SqliteStore):
    """Asks whether it was heard, and keeps it in a step of its own."""

    async def hear(self, key: bytes, id: str, change: LinkedChange, now: datetime) -> bool:
        if await self._one("SELECT 1 FROM heard WHERE key = ?", (key,)) is not None:
            return False
        await self.update_linked(id, change)
        await self._execute("INSERT OR IGNORE INTO heard VALUES (?, ?)", (key, micros(now)))
        return True


@noticed_by(linked.check_tidying_forgets_what_was_heard_long_ago_and_nothing_else)
class NeverForgetsWhatWasHeard(NeverTidies):
    pass


@noticed_by(linked.check_tidying_forgets_what_was_heard_long_ago_and_nothing_else)
class ForgetsAllThatWasHeard(SqliteStore):
    async def tidy(self, now: datetime) -> None:
        await super().tidy(now)
        await self._execute("DELETE FROM heard", ())


# Letters and secrets


@noticed_by(linked.check_letters_about_links_and_their_numbers_go_to_the_links_portfolio)
class PostsToTheFirstPortfolio(SqliteStore):
    async def _post(self, step: Step, portfolio: str, mails: Any) -> None:  # noqa: ARG002 - the store's
        await super()._post(step, PORTFOLIO.id, mails)


@noticed_by(linked.check_letters_about_links_and_their_numbers_go_to_the_links_portfolio)
class PostsNothingAboutLinks(SqliteStore):
    async def update_link(self, waba: str, change: LinkChange) -> CloudLink:
        return await super().update_link(waba, lambda link: replace(change(link), mails=()))


@noticed_by(linked.check_the_secrets_of_links_and_the_pins_in_the_vault_are_known_and_sealed_anew)
class OverlooksThePinsNobodyKnowsAbout(SqliteStore):
    async def sealed_with_others(self, kid: str) -> Sequence[SealedValue]:
        every = await super().sealed_with_others(kid)
        vaults: dict[str, Vault] = {}
        for owner in {value.owner for value in every if value.kind == "vault"}:
            number = await self.linked(owner)
            vaults[owner] = Vault() if number is None else number.vault
        return [
            value
            for value in every
            if value.owner not in vaults
            or value.sealed not in [pin.sealed for pin in vaults[value.owner].maybe]
        ]


@noticed_by(linked.check_the_secrets_of_links_and_the_pins_in_the_vault_are_known_and_sealed_anew)
class OverlooksLinks(SqliteStore):
    async def sealed_with_others(self, kid: str) -> Sequence[SealedValue]:
        return [value for value in await super().sealed_with_others(kid) if value.kind != "link"]
