"""What the ``Store`` port promises of apps, system users, access tokens, profiles, and of numbers
as the Graph face has them."""

import hashlib
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

from nightlatch.domain.access import (
    AccessToken,
    AppDecision,
    Callback,
    GraphApp,
    Scope,
    Subscription,
    SystemRole,
    SystemUser,
    SystemUserDecision,
)
from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.errors import (
    AccessTokenUnknown,
    AppUnknown,
    NotSubscribed,
    NumberUnknown,
    PortfolioUnknown,
    SystemUserUnknown,
    TooManyAccessTokens,
    TooManyApps,
    TooManySystemUsers,
    WabaUnknown,
)
from nightlatch.domain.limits import (
    ACCESS_TOKEN_KEPT,
    ACCESS_TOKENS_PER_USER,
    APPS_PER_PORTFOLIO,
    SYSTEM_USERS_PER_PORTFOLIO,
)
from nightlatch.domain.numbers import CLOUD_API, Decision, Number
from nightlatch.domain.overview import Show
from nightlatch.domain.portfolios import Waba
from nightlatch.domain.profiles import Profile
from nightlatch.domain.webhooks import Field
from nightlatch.ports import Store
from tests.contracts.checks import (
    SECOND,
    UNWRITABLE,
    Stumble,
    assert_chains_hold,
    outcome,
    outcomes,
    promise,
    register,
    release,
    stumble,
    trail,
)
from tests.contracts.makers import ELSEWHERE, NUMBER_ID, PORTFOLIO, WABA, a_number
from tests.contracts.people import STRANGE
from tests.people import NOON, OWNER

MICRO, DAY = timedelta(microseconds=1), timedelta(days=1)
SUBJECT = f"portfolio:{PORTFOLIO.id}"
ADDED = Event(Kind.APP_ADDED, "operator", NOON, place="192.0.2.7")
CALLBACK = Callback("https://shrub.example/hooks", frozenset(Field))


def an_app(index: int = 1, **changes: Any) -> GraphApp:
    values: dict[str, Any] = {
        "id": str(500_000_000_000_000 + index),
        "portfolio": PORTFOLIO.id,
        "name": f"App {index}",
        "secret": b"\x01kid-0001 secret of app %d" % index,
        "created_at": NOON + index * SECOND,
    }
    return GraphApp(**(values | changes))


def a_system_user(index: int = 1, **changes: Any) -> SystemUser:
    values: dict[str, Any] = {
        "id": str(600_000_000_000_000 + index),
        "portfolio": PORTFOLIO.id,
        "name": f"User {index}",
        "role": SystemRole.ADMIN,
        "created_at": NOON + index * SECOND,
    }
    return SystemUser(**(values | changes))


def a_token(index: int = 1, **changes: Any) -> AccessToken:
    values: dict[str, Any] = {
        "hash": hashlib.sha256(b"token %d" % index).digest(),
        "user": a_system_user().id,
        "app": an_app().id,
        "scopes": (Scope.MANAGEMENT,),
        "issued_at": NOON + index * SECOND,
    }
    return AccessToken(**(values | changes))


async def with_apps(make_store: Any) -> Any:
    """The owner's portfolio has an app and a system user with a token; so has the thief's."""
    store = await make_store.with_people()
    thiefs = {"portfolio": ELSEWHERE.id}
    for index, whose in ((1, {}), (9, thiefs)):
        await store.add_app(an_app(index, **whose), ())
        await store.add_system_user(a_system_user(index, **whose), ())
        token = a_token(index, user=a_system_user(index).id, app=an_app(index).id)
        await store.add_access_token(token, (), NOON)
    return store


async def household(store: Store) -> list[Any]:
    """All that the port shows of the Graph face, to see that nothing changed."""
    found: list[Any] = [await store.profile(NUMBER_ID), list(await store.subscriptions(WABA))]
    for portfolio in (PORTFOLIO, ELSEWHERE):
        users = await store.system_users(portfolio.id)
        found += [
            list(await store.apps(portfolio.id)), list(users),
            [list(await store.access_tokens(user.id)) for user in users],
            list(await store.deliveries(portfolio.id, None, 99)),
        ]  # fmt: skip
    return [*found, await trail(store, None)]


async def knows(store: Store, *tokens: AccessToken) -> list[bool]:
    return [await store.access_token(token.hash) is not None for token in tokens]


# Kept whole


@promise
async def check_apps_system_users_and_tokens_are_read_back_whole(make_store):
    store = await make_store.with_people()
    app = an_app(2, needs_proof=True, callback=CALLBACK)
    bare = an_app(1, callback=Callback("http://127.0.0.1:1/", frozenset()))
    clerk = a_system_user(2, role=SystemRole.EMPLOYEE, wabas=(WABA, "300000000000002"))
    token = a_token(user=clerk.id, app=app.id, scopes=tuple(Scope), expires_at=NOON + MICRO)
    never = a_token(2, user=clerk.id, app=app.id, scopes=())

    await store.add_app(app, (ADDED,))
    await store.add_app(bare, ())
    await store.add_system_user(clerk, (ADDED,))
    await store.add_system_user(a_system_user(1), ())
    for one in (token, never):
        await store.add_access_token(one, (ADDED,), NOON)

    again = await make_store()
    assert (await again.app(app.id), await again.app(bare.id)) == (app, bare)
    assert list(await again.apps(PORTFOLIO.id)) == [bare, app]
    assert list(await again.system_users(PORTFOLIO.id)) == [a_system_user(1), clerk]
    assert await again.system_user(clerk.id) == clerk
    assert list(await again.access_tokens(clerk.id)) == [never, token]
    assert await again.access_token(token.hash) == (token, clerk, app)
    assert list(await again.apps(ELSEWHERE.id)) == []
    assert [link.event for link in await trail(again, SUBJECT)] == [ADDED] * 4
    await assert_chains_hold(again)


@promise
async def check_hundreds_of_changes_of_one_app_or_system_user_at_once_are_all_kept(make_store):
    store, other = await with_apps(make_store), await make_store()

    def longer(app):
        return AppDecision(replace(app, name=app.name + "x"), (ADDED,))

    def longer_user(user):
        return SystemUserDecision(replace(user, name=user.name + "x"), (ADDED,))

    await make_store.at_once(
        change
        for n in range(100)
        for change in (
            (store, other)[n % 2].update_app(an_app().id, longer),
            (store, other)[n % 2].update_system_user(a_system_user().id, longer_user),
        )
    )

    assert await store.app(an_app().id) == an_app(name="App 1" + "x" * 100)
    assert await store.system_user(a_system_user().id) == a_system_user(name="User 1" + "x" * 100)
    assert len(await trail(store, SUBJECT)) == 200
    await assert_chains_hold(store)


@promise
async def check_nothing_about_apps_is_kept_without_its_event(make_store):
    store = await with_apps(make_store)
    await store.subscribe(Subscription(WABA, an_app().id), ())
    before = await household(store)
    bad = (UNWRITABLE,)
    app, user, token = an_app(), a_system_user(), a_token()

    for work in (
        lambda: store.add_app(an_app(2), bad),
        lambda: store.update_app(app.id, lambda a: AppDecision(replace(a, name="x"), bad)),
        lambda: store.remove_app(app.id, bad),
        lambda: store.add_system_user(a_system_user(2), bad),
        lambda: store.update_system_user(
            user.id, lambda u: SystemUserDecision(replace(u, name="x"), bad)
        ),
        lambda: store.remove_system_user(user.id, bad),
        lambda: store.add_access_token(a_token(2), bad, NOON),
        lambda: store.revoke_access_token(user.id, token.reference, bad),
        lambda: store.subscribe(Subscription(WABA, app.id, "https://b.example"), bad),
        lambda: store.unsubscribe(WABA, app.id, bad),
        lambda: store.update_profile(NUMBER_ID, lambda p: replace(p, about="x"), bad),
    ):
        assert isinstance(await outcome(work()), Exception)

        assert await household(store) == before, "a change was kept without its event"


@promise
async def check_what_a_change_of_an_app_raises_comes_back_and_nothing_is_kept(make_store):
    store = await with_apps(make_store)
    before = await household(store)

    ended = await outcomes(
        [
            store.update_app(an_app().id, stumble),
            store.update_system_user(a_system_user().id, stumble),
            store.update_profile(NUMBER_ID, stumble, (ADDED,)),
        ]
    )

    assert [type(end) for end in ended] == [Stumble] * 3
    assert await household(store) == before


# How many


@promise
async def check_a_portfolio_never_has_more_apps_or_system_users_than_it_may_even_in_a_race(
    make_store,
):
    store, other = await with_apps(make_store), await make_store()
    both = (store, other)
    for n in range(2, APPS_PER_PORTFOLIO - 2):
        await store.add_app(an_app(100 + n), ())
    for n in range(2, SYSTEM_USERS_PER_PORTFOLIO - 2):
        await store.add_system_user(a_system_user(100 + n), ())

    apps = await outcomes([both[n % 2].add_app(an_app(500 + n), ()) for n in range(12)])
    users = await outcomes(
        [both[n % 2].add_system_user(a_system_user(500 + n), ()) for n in range(12)]
    )

    for ended, refusal in ((apps, TooManyApps), (users, TooManySystemUsers)):
        assert sum(end is None for end in ended) == 3, "more than there is room for"
        assert sum(isinstance(end, refusal) for end in ended) == 9
    assert len(await store.apps(PORTFOLIO.id)) == APPS_PER_PORTFOLIO
    assert len(await store.system_users(PORTFOLIO.id)) == SYSTEM_USERS_PER_PORTFOLIO
    await store.add_app(an_app(900, portfolio=ELSEWHERE.id), ())
    await store.add_system_user(a_system_user(900, portfolio=ELSEWHERE.id), ())


@promise
async def check_a_system_user_never_has_more_live_tokens_than_it_may_even_in_a_race(make_store):
    store, other = await with_apps(make_store), await make_store()
    for n in range(2, ACCESS_TOKENS_PER_USER - 2):
        await store.add_access_token(a_token(100 + n, expires_at=NOON + DAY), (), NOON)

    ended = await outcomes(
        [
            (store, other)[n % 2].add_access_token(a_token(500 + n), (), NOON + DAY - MICRO)
            for n in range(12)
        ]
    )
    at_their_end = await outcome(store.add_access_token(a_token(900), (), NOON + DAY))

    assert sum(end is None for end in ended) == 3, "more than there is room for"
    assert sum(isinstance(end, TooManyAccessTokens) for end in ended) == 9
    assert at_their_end is None, "expired tokens were counted"


# Ending tokens


@promise
async def check_a_revoked_token_is_known_no_more_anywhere(make_store):
    store, other = await with_apps(make_store), await make_store()
    kept, gone = a_token(2), a_token()
    await store.add_access_token(kept, (), NOON)
    before = [await knows(one, kept, gone) for one in (store, other)]

    await store.revoke_access_token(gone.user, gone.reference, (ADDED,))

    assert before == [[True, True]] * 2
    assert await knows(store, kept, gone) == [True, False]
    assert await knows(other, kept, gone) == [True, False]
    assert await knows(await make_store(), kept, gone) == [True, False]


@promise
async def check_a_token_is_revoked_as_its_own_users_only(make_store):
    store = await with_apps(make_store)
    reference = a_token().reference

    ended = await outcomes(
        [
            store.revoke_access_token(user, wrong, (ADDED,))
            for user, wrong in (
                (a_system_user(9).id, reference), ("", reference), (a_system_user().id, ""),
                (a_system_user().id, reference[:-1]), (a_system_user().id, "%"),
                (a_system_user().id, reference + "0"),
            )
        ]
    )  # fmt: skip

    assert await knows(store, a_token()) == [True], "somebody else's token was revoked"
    assert [type(end) for end in ended] == [AccessTokenUnknown] * 6
    assert await trail(store, SUBJECT) == []


@promise
async def check_what_is_removed_takes_its_tokens_along_and_nobody_elses(make_store):
    store, other = await with_apps(make_store), await make_store()
    second, third = a_token(2, app=an_app(2).id), a_token(3, user=a_system_user(3).id)
    await store.add_app(an_app(2), ())
    await store.add_system_user(a_system_user(3), ())
    for token in (second, third):
        await store.add_access_token(token, (), NOON)
    await store.subscribe(Subscription(WABA, an_app().id), ())
    every = (a_token(), second, third, a_token(9))
    before = await knows(other, *every)

    await store.remove_app(an_app().id, (ADDED,))
    after_app = await knows(other, *every)
    subscribed = list(await other.subscriptions(WABA))
    await store.remove_system_user(a_system_user().id, (ADDED,))

    assert before == [True] * 4
    assert after_app == [False, True, False, True]
    assert subscribed == []
    assert await knows(other, *every) == [False, False, False, True]
    assert await other.app(an_app().id) is None
    assert await other.system_user(a_system_user().id) is None
    assert len(await trail(other, SUBJECT)) == 2


@promise
async def check_a_token_speaks_for_its_user_and_app_as_they_are_now(make_store):
    store, other = await with_apps(make_store), await make_store()
    assert await other.access_token(a_token().hash) == (a_token(), a_system_user(), an_app())
    clerk = a_system_user(role=SystemRole.EMPLOYEE)
    stricter = an_app(needs_proof=True)

    await store.update_system_user(clerk.id, lambda _: SystemUserDecision(clerk))
    await store.update_app(stricter.id, lambda _: AppDecision(stricter))

    for one in (store, other):
        assert await one.access_token(a_token().hash) == (a_token(), clerk, stricter)
        assert await one.app(stricter.id) == stricter


@promise
async def check_an_expired_token_is_still_named_until_it_is_tidied_away(make_store):
    store = await with_apps(make_store)
    short, long = a_token(2, expires_at=NOON), a_token(3, expires_at=NOON + MICRO)
    for token in (short, long):
        await store.add_access_token(token, (), NOON - DAY)

    await store.tidy(NOON + ACCESS_TOKEN_KEPT - MICRO)
    kept = await knows(store, short, long, a_token())
    await store.tidy(NOON + ACCESS_TOKEN_KEPT)

    assert kept == [True, True, True]
    assert await knows(store, short, long, a_token()) == [False, True, True]


# The unknown


@promise
async def check_apps_and_their_kind_that_are_unknown_are_named_however_they_are_spelled(
    make_store,
):
    store = await with_apps(make_store)
    before = await household(store)

    for id_ in STRANGE:
        read = [await store.app(id_), await store.system_user(id_)]
        listed = [
            await store.apps(id_), await store.system_users(id_), await store.access_tokens(id_),
            await store.subscriptions(id_), await store.deliveries(id_, None, 9),
        ]  # fmt: skip
        ended = await outcomes(
            [
                store.update_app(id_, AppDecision),
                store.remove_app(id_, ()),
                store.update_system_user(id_, SystemUserDecision),
                store.remove_system_user(id_, ()),
                store.add_app(an_app(2, portfolio=id_), ()),
                store.add_system_user(a_system_user(2, portfolio=id_), ()),
                store.add_access_token(a_token(2, user=id_), (), NOON),
                store.add_access_token(a_token(2, app=id_), (), NOON),
                store.revoke_access_token(id_, id_, ()),
                store.subscribe(Subscription(id_, an_app().id), ()),
                store.subscribe(Subscription(WABA, id_), ()),
                store.unsubscribe(id_, an_app().id, ()),
                store.unsubscribe(WABA, id_, ()),
                store.update_profile(id_, lambda p: p, ()),
            ]
        )
        assert read == [None] * 2
        assert [list(one) for one in listed] == [[]] * 5
        assert await store.profile(id_) == Profile()
        assert await store.failed_deliveries(id_) == 0
        assert [type(end) for end in ended] == [
            AppUnknown, AppUnknown, SystemUserUnknown, SystemUserUnknown, PortfolioUnknown,
            PortfolioUnknown, SystemUserUnknown, AppUnknown, AccessTokenUnknown, WabaUnknown,
            AppUnknown, NotSubscribed, NotSubscribed, NumberUnknown,
        ]  # fmt: skip

    assert await store.access_token(b"") is None
    assert await household(store) == before


@promise
async def check_the_secrets_of_apps_are_known_and_sealed_anew(make_store):
    store = await with_apps(make_store)
    old = [v for v in await store.sealed_with_others("kid-0003") if v.kind == "graph-app"]

    done = await store.replace_sealed([(v, b"\x01kid-0003" + v.sealed[9:]) for v in old])

    found = await store.app(an_app().id)
    assert sorted(v.bound_to for v in old) == [
        f"graph-app|v1|{an_app().id}", f"graph-app|v1|{an_app(9).id}",
    ]  # fmt: skip
    assert done == 2
    assert found == an_app(secret=b"\x01kid-0003" + an_app().secret[9:])


@promise
async def check_reads_of_apps_never_wait_for_writers(make_store):
    store = await with_apps(make_store)

    async with make_store.writers_locked_out():
        read = await outcomes(
            [
                store.app(an_app().id),
                store.access_token(a_token().hash),
                store.apps(PORTFOLIO.id),
                store.system_users(PORTFOLIO.id),
                store.onboarded(WABA, None, 9, newest_first=True),
                store.profile(NUMBER_ID),
                store.subscriptions(WABA),
                store.receivers_due(NOON),
                store.deliveries(PORTFOLIO.id, None, 9),
            ]
        )

    assert read[:2] == [an_app(), (a_token(), a_system_user(), an_app())]
    assert not [end for end in read if isinstance(end, Exception)]


# Profiles


@promise
async def check_a_profile_is_empty_until_it_is_changed_and_then_read_back_whole(make_store):
    store = await make_store.with_owner_and_thief()
    await store.add_number(a_number(2), ())
    whole = Profile(
        "About", "Address\n2", "Über", "a@b.example", ("https://a.example", "http://b"), "RETAIL"
    )
    event = Event(Kind.PROFILE_CHANGED, "x", NOON)

    before = await store.profile(NUMBER_ID)
    returned = await store.update_profile(NUMBER_ID, lambda _: whole, (event,))

    assert before == Profile()
    assert returned == whole
    assert await (await make_store()).profile(NUMBER_ID) == whole
    assert await (await make_store()).profile(a_number(2).id) == Profile()
    assert [link.event for link in await trail(store)] == [event]


@promise
async def check_hundreds_of_changes_of_one_profile_at_once_are_all_kept(make_store):
    store, other = await make_store.with_owner_and_thief(), await make_store()
    event = Event(Kind.PROFILE_CHANGED, "x", NOON)

    def longer(profile):
        return replace(profile, about=profile.about + "x")

    await make_store.at_once(
        (store, other)[n % 2].update_profile(NUMBER_ID, longer, (event,)) for n in range(100)
    )

    assert (await store.profile(NUMBER_ID)).about == "x" * 100
    assert len(await trail(store)) == 100
    await assert_chains_hold(store)


# Numbers, as the Graph face has them


@promise
async def check_a_number_of_the_cloud_api_is_held_by_it_and_lost_to_its_client_at_once(make_store):
    store, other = await make_store.with_owner_and_thief(), await make_store()
    await store.take_over(NUMBER_ID, OWNER.client, register(OWNER.client), release)
    before = await other.holds(OWNER.client)

    await store.update(NUMBER_ID, register(CLOUD_API))

    found = await (await make_store()).number(NUMBER_ID)
    connected = await other.list_numbers(WABA, Show.CONNECTED, "", NOON, None, 9)
    assert before is True
    assert await other.holds(OWNER.client) is False, "the client still holds what it lost"
    assert await other.holds(CLOUD_API) is None
    assert found is not None
    assert found.holder == CLOUD_API
    assert [line.number.id for line in connected.lines] == [NUMBER_ID]
    await store.take_over(NUMBER_ID, OWNER.client, register(OWNER.client), release)
    assert await other.holds(OWNER.client) is True


@promise
async def check_numbers_come_by_when_they_were_registered_either_way_and_page_by_page(make_store):
    store, chance = await make_store.with_people(), random.Random(11)
    await store.add_waba(Waba("300000000000002", PORTFOLIO.id, "Other"))
    numbers = [a_number()]
    for n in range(2, 40):
        at = chance.choice([None, NOON, NOON + MICRO, NOON + DAY, NOON + n * SECOND])
        number = a_number(n, registered_at=at, waba=chance.choice([WABA, WABA, "300000000000002"]))
        await store.add_number(number, ())
        numbers.append(number)

    def place(number: Number) -> tuple[Any, int]:
        return number.registered_at or NOON - 9_999 * DAY, int(number.id)

    wanted = [n.id for n in sorted(numbers, key=place) if n.waba == WABA]
    for newest_first in (True, False):
        for limit in (1, 3, 100):
            found: list[Number] = []
            after: tuple[Any, str] | None = None
            for _ in range(len(numbers) + 2):
                page = await store.onboarded(WABA, after, limit, newest_first=newest_first)
                assert len(page) <= limit
                found += page
                if len(page) < limit:
                    break
                after = (page[-1].registered_at, page[-1].id)
            ids = [number.id for number in found]
            assert ids == (wanted[::-1] if newest_first else wanted)
    assert list(await store.onboarded("7", None, 9, newest_first=True)) == []


@promise
async def check_a_place_between_numbers_is_one_to_go_on_from(make_store):
    store = await make_store.with_owner_and_thief()
    for n, at in ((2, NOON), (3, NOON + DAY)):
        await store.add_number(a_number(n, registered_at=at), ())

    def ids(page: Any) -> list[str]:
        return [number.id for number in page]

    up = {"newest_first": False}
    between = await store.onboarded(WABA, (NOON + SECOND, "0"), 9, **up)
    back = await store.onboarded(WABA, (NOON + SECOND, "9" * 18), 9, newest_first=True)
    never = await store.onboarded(WABA, (None, "0"), 9, **up)
    beyond = await store.onboarded(WABA, (NOON + 9 * DAY, "0"), 9, **up)

    assert ids(between) == [a_number(3).id]
    assert ids(back) == [a_number(2).id, NUMBER_ID]
    assert ids(never) == [NUMBER_ID, a_number(2).id, a_number(3).id]
    assert ids(beyond) == []


@promise
async def check_a_change_of_a_number_and_its_place_is_one_step(make_store):
    store = await make_store.with_owner_and_thief()
    await store.add_number(a_number(2, registered_at=NOON), ())

    await store.update(NUMBER_ID, lambda n: Decision(replace(n, registered_at=NOON + DAY)))

    page = await (await make_store()).onboarded(WABA, None, 9, newest_first=True)
    assert [number.id for number in page] == [NUMBER_ID, a_number(2).id]
