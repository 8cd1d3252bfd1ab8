"""Stores that break one promise of the Graph face's each, and the checks that must notice."""

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from nightlatch.adapters.sql.step import Step
from nightlatch.adapters.sqlite import SqliteStore
from nightlatch.domain.access import (
    AccessToken,
    AppDecision,
    GraphApp,
    Subscription,
    SystemUser,
    SystemUserDecision,
)
from nightlatch.domain.audit import Event
from nightlatch.domain.errors import (
    AppUnknown,
    NotSubscribed,
    TooManyAccessTokens,
    TooManyApps,
    Unavailable,
)
from nightlatch.domain.limits import ACCESS_TOKENS_PER_USER, APPS_PER_PORTFOLIO
from nightlatch.domain.numbers import CLOUD_API, Decision, Number
from nightlatch.domain.portfolios import PortfolioDecision
from nightlatch.domain.profiles import Profile
from nightlatch.domain.webhooks import Delivery, DeliveryState, Hook, Receiver
from nightlatch.ports import (
    AppChange,
    Backlog,
    Change,
    DeliveryChange,
    ProfileChange,
    SealedValue,
    SystemUserChange,
)
from tests.contracts import access, webhooks
from tests.contracts.broken import NeverTidies, ReadsBehindWriters, noticed_by
from tests.contracts.broken_manager import CONTROLS
from tests.contracts.makers import ELSEWHERE, PORTFOLIO, WABA

__all__ = ["CONTROLS"]

Who = tuple[AccessToken, SystemUser, GraphApp]

# Apps, system users, access tokens


@noticed_by(access.check_hundreds_of_changes_of_one_app_or_system_user_at_once_are_all_kept)
class ReadsAppsThenWrites(SqliteStore):
    async def update_app(self, id: str, change: AppChange) -> GraphApp:
        seen = await self.app(id)
        if seen is None:
            raise AppUnknown
        decision = change(seen)
        return await super().update_app(id, lambda _: decision)


@noticed_by(access.check_hundreds_of_changes_of_one_app_or_system_user_at_once_are_all_kept)
class ReadsSystemUsersThenWrites(SqliteStore):
    async def update_system_user(self, id: str, change: SystemUserChange) -> SystemUser:
        seen = await self.system_user(id)
        assert seen is not None
        decision = change(seen)
        return await super().update_system_user(id, lambda _: decision)


@noticed_by(access.check_nothing_about_apps_is_kept_without_its_event)
class WritesAppEventsAfterwards(SqliteStore):
    async def add_app(self, app: GraphApp, events: Sequence[Event]) -> None:
        await super().add_app(app, ())
        await self.update_portfolio(app.portfolio, lambda p: PortfolioDecision(p, tuple(events)))


@noticed_by(access.check_nothing_about_apps_is_kept_without_its_event)
class WritesProfileEventsAfterwards(SqliteStore):
    async def update_profile(
        self, number: str, change: ProfileChange, events: Sequence[Event]
    ) -> Profile:
        kept = await super().update_profile(number, change, ())
        await self.update(number, lambda n: Decision(n, tuple(events)))
        return kept


@noticed_by(access.check_what_a_change_of_an_app_raises_comes_back_and_nothing_is_kept)
class TakesAppsStumblesForItsOwn(SqliteStore):
    async def update_app(self, id: str, change: AppChange) -> GraphApp:
        def raising(app: GraphApp) -> AppDecision:
            try:
                return change(app)
            except Exception as error:
                raise sqlite3.OperationalError(str(error)) from error

        return await super().update_app(id, raising)


@noticed_by(access.check_what_a_change_of_an_app_raises_comes_back_and_nothing_is_kept)
class KeepsSystemUsersOfStumbles(SqliteStore):
    async def update_system_user(self, id: str, change: SystemUserChange) -> SystemUser:
        def swallowing(user: SystemUser) -> SystemUserDecision:
            try:
                return change(user)
            except Unavailable:
                raise
            except Exception:
                return SystemUserDecision(user)

        return await super().update_system_user(id, swallowing)


@noticed_by(access.check_a_portfolio_never_has_more_apps_or_system_users_than_it_may_even_in_a_race)
class CountsAppsBefore(SqliteStore):
    async def add_app(self, app: GraphApp, events: Sequence[Event]) -> None:
        if len(await self.apps(app.portfolio)) >= APPS_PER_PORTFOLIO:
            raise TooManyApps
        await asyncio.sleep(0)
        mine = replace(app, portfolio=ELSEWHERE.id)
        await super().add_app(mine, events)
        await self._execute("UPDATE apps SET portfolio = ? WHERE id = ?", (app.portfolio, app.id))


@noticed_by(access.check_a_system_user_never_has_more_live_tokens_than_it_may_even_in_a_race)
class CountsExpiredTokens(SqliteStore):
    async def add_access_token(
        self, token: AccessToken, events: Sequence[Event], now: datetime
    ) -> None:
        if len(await self.access_tokens(token.user)) >= ACCESS_TOKENS_PER_USER:
            raise TooManyAccessTokens
        await super().add_access_token(token, events, now)


@noticed_by(
    access.check_a_revoked_token_is_known_no_more_anywhere,
    access.check_what_is_removed_takes_its_tokens_along_and_nobody_elses,
    access.check_a_token_speaks_for_its_user_and_app_as_they_are_now,
)
class RemembersTokens(SqliteStore):
    """Looks each token up once."""

    async def access_token(self, token_hash: bytes) -> Who | None:
        self._seen: dict[bytes, Who] = getattr(self, "_seen", {})
        if token_hash not in self._seen:
            found = await super().access_token(token_hash)
            if found is None:
                return None
            self._seen[token_hash] = found
        return self._seen[token_hash]


@noticed_by(access.check_a_token_is_revoked_as_its_own_users_only)
class RevokesAnybodysTokens(SqliteStore):
    async def revoke_access_token(self, user: str, reference: str, events: Sequence[Event]) -> None:
        row = await self._one(
            "SELECT system_user FROM access_tokens WHERE lower(hex(hash)) LIKE ? || '%'",
            (reference,),
        )
        await super().revoke_access_token(row[0] if row else user, reference, events)


@noticed_by(access.check_an_expired_token_is_still_named_until_it_is_tidied_away)
class NeverTidiesTokens(NeverTidies):
    pass


@noticed_by(access.check_the_secrets_of_apps_are_known_and_sealed_anew)
class ForgetsTheSecretsOfApps(SqliteStore):
    async def sealed_with_others(self, kid: str) -> Sequence[SealedValue]:
        return [v for v in await super().sealed_with_others(kid) if v.kind != "graph-app"]


@noticed_by(access.check_reads_of_apps_never_wait_for_writers)
class ReadsAppsBehindWriters(ReadsBehindWriters):
    pass


# Profiles and numbers


@noticed_by(access.check_hundreds_of_changes_of_one_profile_at_once_are_all_kept)
class ReadsProfilesThenWrites(SqliteStore):
    async def update_profile(
        self, number: str, change: ProfileChange, events: Sequence[Event]
    ) -> Profile:
        after = change(await self.profile(number))
        return await super().update_profile(number, lambda _: after, events)


@noticed_by(access.check_a_number_of_the_cloud_api_is_held_by_it_and_lost_to_its_client_at_once)
class HasNoPlaceForTheCloudApi(SqliteStore):
    """Only clients are holders; the Cloud API is none."""

    async def update(self, id: str, change: Change) -> Number:
        def only_clients(number: Number) -> Decision:
            decision = change(number)
            if decision.number.holder != CLOUD_API:
                return decision
            return replace(decision, number=replace(decision.number, holder=None))

        return await super().update(id, only_clients)


@noticed_by(access.check_a_number_of_the_cloud_api_is_held_by_it_and_lost_to_its_client_at_once)
class AsksOnlyWhatTheClientRegisteredLast(SqliteStore):
    async def holds(self, client: str) -> bool | None:
        return None if await super().holds(client) is None else True


@noticed_by(access.check_numbers_come_by_when_they_were_registered_either_way_and_page_by_page)
class ForgetsTies(SqliteStore):
    """Goes on behind the moment, and skips who was registered at the same one."""

    async def onboarded(
        self,
        waba: str,
        after: tuple[datetime | None, str] | None,
        limit: int,
        *,
        newest_first: bool,
    ) -> Sequence[Number]:
        if after is not None:
            after = (after[0], "0" if newest_first else "9" * 18)
        return await super().onboarded(waba, after, limit, newest_first=newest_first)


@noticed_by(access.check_a_place_between_numbers_is_one_to_go_on_from)
class GoesOnFromNumbersOnly(SqliteStore):
    """A place must be that of a number."""

    async def onboarded(
        self,
        waba: str,
        after: tuple[datetime | None, str] | None,
        limit: int,
        *,
        newest_first: bool,
    ) -> Sequence[Number]:
        if after is not None and await self.number(after[1]) is None:
            return []
        return await super().onboarded(waba, after, limit, newest_first=newest_first)


@noticed_by(access.check_a_change_of_a_number_and_its_place_is_one_step)
class OrdersByAge(SqliteStore):
    async def onboarded(
        self,
        waba: str,
        after: tuple[datetime | None, str] | None,
        limit: int,
        *,
        newest_first: bool,
    ) -> Sequence[Number]:
        found = await super().onboarded(waba, after, limit, newest_first=newest_first)
        return sorted(found, key=lambda n: n.id, reverse=newest_first)


# Webhooks


@noticed_by(webhooks.check_what_waits_is_counted_with_how_long_it_is_due)
class CountsWhatHasExpired(SqliteStore):
    async def backlog(self, now: datetime) -> Backlog:
        return await super().backlog(now - timedelta(hours=1))


@noticed_by(webhooks.check_subscriptions_come_by_app_and_once_more_replaces_the_address)
class KeepsTheFirstAddress(SqliteStore):
    async def subscribe(self, subscription: Subscription, events: Sequence[Event]) -> None:
        for known in await self.subscriptions(subscription.waba):
            if known.app == subscription.app:
                subscription = known
        await super().subscribe(subscription, events)


@noticed_by(webhooks.check_who_unsubscribed_hears_no_more_and_cannot_do_so_twice)
class UnsubscribesAgainAndAgain(SqliteStore):
    async def unsubscribe(self, waba: str, app: str, events: Sequence[Event]) -> None:
        try:
            await super().unsubscribe(waba, app, events)
        except NotSubscribed:
            return


@noticed_by(webhooks.check_every_subscribed_app_that_wants_the_field_is_told_and_no_other_one)
class TellsAppsWhatTheyDidNotAskFor(SqliteStore):
    async def _tell(self, step: Step, waba: str, hook: Hook) -> None:
        await step.run("UPDATE apps SET callback_fields = ',security,phone_number_name_update,'")
        await super()._tell(step, waba, hook)


class _TellsAfterwards(SqliteStore):
    async def _tell(self, step: Step, waba: str, hook: Hook) -> None:
        if getattr(self, "_telling", False):
            await super()._tell(step, waba, hook)

    async def _tell_later(self, hooks: Sequence[Hook]) -> None:
        self._telling = True
        for hook in hooks:
            await self._step(partial(self._tell, waba=WABA, hook=hook))
        self._telling = False


@noticed_by(webhooks.check_apps_are_told_in_the_step_of_the_change_or_not_at_all)
class TellsAppsWhateverComesOfIt(_TellsAfterwards):
    async def update(self, id: str, change: Change) -> Number:
        hooks: list[Hook] = []

        def listening(number: Number) -> Decision:
            decision = change(number)
            hooks.extend(decision.hooks)
            return decision

        try:
            return await super().update(id, listening)
        finally:
            await self._tell_later(hooks)


@noticed_by(
    webhooks.check_nothing_of_a_leased_line_is_leased_again_before_the_lease_runs_out,
    webhooks.check_parallel_leasers_never_get_the_same_delivery_or_line,
    webhooks.check_who_has_something_due_is_known_and_nobody_else,
    webhooks.check_the_order_of_a_line_holds_whatever_fails_and_whoever_delivers,
)
class LeasesDeliveriesWithoutHiding(SqliteStore):
    async def lease_deliveries(
        self,
        receiver: Receiver,
        now: datetime,
        until: datetime,  # noqa: ARG002 - the port's
        limit: int,
    ) -> Sequence[Delivery]:
        return await super().lease_deliveries(receiver, now, now, limit)


@noticed_by(webhooks.check_due_deliveries_are_leased_in_order_and_each_lease_is_an_attempt)
class CountsNoAttempts(SqliteStore):
    async def lease_deliveries(
        self, receiver: Receiver, now: datetime, until: datetime, limit: int
    ) -> Sequence[Delivery]:
        leased = await super().lease_deliveries(receiver, now, until, limit)
        await self._execute("UPDATE deliveries SET attempts = 1", ())
        return [replace(delivery, attempts=1) for delivery in leased]


@noticed_by(
    webhooks.check_nothing_of_a_leased_line_is_leased_again_before_the_lease_runs_out,
    webhooks.check_the_order_of_a_line_holds_whatever_fails_and_whoever_delivers,
)
class HidesOnlyWhatItLeased(SqliteStore):
    """What waits behind on the same line stays due, and overtakes."""

    async def lease_deliveries(
        self, receiver: Receiver, now: datetime, until: datetime, limit: int
    ) -> Sequence[Delivery]:
        leased = await super().lease_deliveries(receiver, now, until, limit)
        marks = ",".join(str(delivery.key) for delivery in leased)
        sql = f"UPDATE deliveries SET due_at = 0 WHERE state = 'waiting' AND key NOT IN ({marks})"
        await self._execute(sql, ())
        return leased


@noticed_by(webhooks.check_what_was_delivered_frees_its_line_and_what_was_put_off_holds_it)
class LeavesLinesWaiting(SqliteStore):
    async def settle_deliveries(
        self, keys: Sequence[int], change: DeliveryChange, now: datetime
    ) -> Sequence[Delivery]:
        due = await self._all("SELECT due_at, key FROM deliveries WHERE state = 'waiting'")
        settled = await super().settle_deliveries(keys, change, now)
        for row in due:
            if row[1] not in keys:
                await self._execute("UPDATE deliveries SET due_at = ? WHERE key = ?", row)
        return settled


@noticed_by(webhooks.check_settling_leaves_unknown_keys_out_and_what_a_change_raises_keeps_nothing)
class SettlesOneByOne(SqliteStore):
    async def settle_deliveries(
        self, keys: Sequence[int], change: DeliveryChange, now: datetime
    ) -> Sequence[Delivery]:
        settled: list[Delivery] = []
        for key in keys:
            settled += await super().settle_deliveries([key], change, now)
        return settled


@noticed_by(webhooks.check_each_address_is_a_receiver_of_its_own_also_for_what_waits)
class LeavesWhatWaitsWhereItWas(SqliteStore):
    async def subscribe(self, subscription: Subscription, events: Sequence[Event]) -> None:
        before = await self._all("SELECT receiver, key FROM deliveries")
        await super().subscribe(subscription, events)
        for row in before:
            await self._execute("UPDATE deliveries SET receiver = ? WHERE key = ?", row)


@noticed_by(webhooks.check_deliveries_are_listed_newest_first_a_page_at_a_time)
class ListsDeliveriesByTime(SqliteStore):
    async def deliveries(
        self, portfolio: str, before: int | None, limit: int, app: str | None = None
    ) -> Sequence[Delivery]:
        found = await super().deliveries(portfolio, before, limit, app)
        return sorted(found, key=lambda d: d.at, reverse=True)


@noticed_by(webhooks.check_failed_deliveries_are_counted_until_they_are_sent_again)
class RemembersFailures(SqliteStore):
    async def failed_deliveries(self, portfolio: str) -> int:
        now = await super().failed_deliveries(portfolio)
        most: dict[str, int] = getattr(self, "_most", {})
        self._most = most | {portfolio: max(now, most.get(portfolio, 0))}
        return self._most[portfolio]


@noticed_by(webhooks.check_tidying_erases_what_ended_long_ago_and_nothing_that_waits)
class TidiesWhatWaits(SqliteStore):
    async def tidy(self, now: datetime) -> None:
        await super().tidy(now)
        state = DeliveryState.WAITING.value
        await self._execute("DELETE FROM deliveries WHERE state = ?", (state,))


@noticed_by(webhooks.check_tidying_erases_what_ended_long_ago_and_nothing_that_waits)
class NeverTidiesDeliveries(NeverTidies):
    pass


@noticed_by(webhooks.check_a_removed_app_takes_its_deliveries_along)
class KeepsTheDeliveriesOfRemovedApps(SqliteStore):
    async def remove_app(self, id: str, events: Sequence[Event]) -> None:
        last = await self.deliveries(PORTFOLIO.id, None, 99, id)
        self._last = {delivery.key: delivery for delivery in last}
        await super().remove_app(id, events)

    async def delivery(self, key: int) -> Delivery | None:
        kept: dict[int, Delivery] = getattr(self, "_last", {})
        return kept.get(key) or await super().delivery(key)
