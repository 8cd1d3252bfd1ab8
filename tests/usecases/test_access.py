"""Apps, system users and access tokens: who may use the Graph face, and for how long."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from nightlatch.domain import access as rules
from nightlatch.domain.access import AccessToken, GraphApp, Scope, SystemRole, SystemUser
from nightlatch.domain.errors import (
    AccessTokenExpired,
    AccessTokenRefused,
    AccessTokenUnknown,
    AppUnknown,
    ParameterInvalid,
    PortfolioUnknown,
    ProofMissing,
    ProofRefused,
    SystemUserUnknown,
    TooManyAccessTokens,
    Unavailable,
    WabaUnknown,
)
from nightlatch.domain.limits import ACCESS_TOKENS_PER_USER
from nightlatch.domain.portfolios import Portfolio, Waba
from nightlatch.ports import bound_to
from nightlatch.usecases import access, portfolios
from tests.usecases.conftest import Scene, outcome

EVERY = tuple(Scope)
HOUR = timedelta(hours=1)


@dataclass
class Home:
    """The owner's portfolio with an app and a system user, and the thief's next door."""

    scene: Scene
    portfolio: Portfolio
    wabas: Sequence[Waba]
    app: GraphApp
    secret: str
    user: SystemUser
    elsewhere: Portfolio
    other_app: GraphApp
    other_user: SystemUser

    @property
    def world(self) -> Any:
        return self.scene.world

    async def issue(self, scopes: Sequence[Scope] = EVERY, life: timedelta | None = None) -> str:
        return await access.issue_token(self.world, self.user, self.app, scopes, life)

    async def kinds(self) -> list[str]:
        trail = self.world.store.audit(f"portfolio:{self.portfolio.id}")
        return [link.event.kind.value async for link in trail]


@pytest.fixture
async def home(scene: Scene) -> Home:
    world = scene.world
    (mine,) = await world.store.portfolios()
    other = await portfolios.add_portfolio(world, "Elsewhere", "post@elsewhere.example")
    new = await access.add_app(world, mine.id, "Shrub Sender")
    return Home(
        scene, mine, await world.store.wabas(mine.id), new.app, new.secret,
        await access.add_system_user(world, mine.id, "Sender", SystemRole.ADMIN),
        other, (await access.add_app(world, other.id, "Thief's")).app,
        await access.add_system_user(world, other.id, "Thief's", SystemRole.ADMIN),
    )  # fmt: skip


def proof(token: str, secret: str, made_at: int | None = None) -> str:
    signed = token if made_at is None else f"{token}|{made_at}"
    return hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()


# Apps


async def test_an_app_is_added_with_a_secret_that_is_sealed_and_shown_once(home: Home):
    found = await access.find_app(home.world, home.app.id)

    assert found == home.app
    assert len(home.secret) == 32
    assert int(home.secret, 16) >= 0
    assert home.secret.encode() not in found.secret
    assert access.app_secret(home.world, found) == home.secret
    assert (found.id[0], len(found.id)) == ("5", 15)
    assert list(await access.apps(home.world, home.portfolio.id)) == [home.app]
    assert (await home.kinds())[:2] == ["app.added", "system_user.added"]


async def test_two_apps_have_two_secrets(home: Home):
    again = await access.add_app(home.world, home.portfolio.id, "Shrub Sender")

    assert again.secret != home.secret
    assert again.app.id != home.app.id


@pytest.mark.parametrize(
    ("portfolio", "name", "refusal"),
    [
        ("2", "Sender", PortfolioUnknown),
        (None, "", ParameterInvalid),
        (None, "a\nb", ParameterInvalid),
    ],
)
async def test_an_app_needs_a_portfolio_and_a_name(
    home: Home, portfolio: str | None, name: str, refusal: type[Exception]
):
    before = list(await access.apps(home.world, home.portfolio.id))

    with pytest.raises(refusal):
        await access.add_app(home.world, portfolio or home.portfolio.id, name)

    assert list(await access.apps(home.world, home.portfolio.id)) == before


async def test_an_app_of_another_portfolio_is_unknown(home: Home):
    for id_, portfolio in (
        (home.other_app.id, home.portfolio.id), ("7", None), ("7", home.portfolio.id), ("", None),
    ):  # fmt: skip
        with pytest.raises(AppUnknown):
            await access.find_app(home.world, id_, portfolio)

    assert await access.find_app(home.world, home.app.id, home.portfolio.id) == home.app


async def test_a_renewed_secret_ends_the_one_before_at_once(home: Home):
    token = await home.issue()
    secret = await access.renew_secret(home.world, home.app)

    for app_token in (f"{home.app.id}|{home.secret}", f"{home.app.id}|"):
        with pytest.raises(AccessTokenRefused):
            await access.authenticate(home.world, app_token)
    with pytest.raises(ProofRefused):
        await access.authenticate(home.world, token, proof(token, home.secret))

    assert secret != home.secret
    assert await access.authenticate(home.world, f"{home.app.id}|{secret}")
    assert await access.authenticate(home.world, token, proof(token, secret))
    assert (await home.kinds())[-1] == "app.secret_renewed"


async def test_a_secret_that_another_app_sealed_cannot_be_opened(home: Home):
    stolen = await home.world.store.update_app(
        home.app.id,
        lambda a: rules.renew_secret(a, home.other_app.secret, "x", a.created_at),
    )

    with pytest.raises(Unavailable):
        access.app_secret(home.world, stolen)
    with pytest.raises(Unavailable):
        home.world.keys.unseal(home.other_app.secret, bound_to("graph-app", home.app.id))


async def test_a_removed_app_takes_its_tokens_along(home: Home):
    token = await home.issue()

    await access.remove_app(home.world, home.app)

    assert await outcome(access.authenticate(home.world, token)) == "AccessTokenRefused"
    assert await outcome(access.authenticate(home.world, f"{home.app.id}|{home.secret}")) == (
        "AccessTokenRefused"
    )
    assert await outcome(access.remove_app(home.world, home.app)) == "AppUnknown"
    assert (await home.kinds())[-1] == "app.removed"


# System users


async def test_a_system_user_is_added_with_what_it_was_granted(home: Home):
    second = await portfolios.add_waba(home.world, home.portfolio.id, "Second")
    granted = (second.id, home.wabas[0].id, second.id)

    user = await access.add_system_user(
        home.world, home.portfolio.id, "Clerk", SystemRole.EMPLOYEE, granted
    )

    assert user.wabas == tuple(sorted({second.id, home.wabas[0].id}))
    assert (user.id[0], len(user.id)) == ("6", 15)
    assert list(await access.system_users(home.world, home.portfolio.id)) == [home.user, user]
    assert await access.find_system_user(home.world, user.id, home.portfolio.id) == user


async def test_an_admin_is_granted_no_single_account(home: Home):
    user = await access.add_system_user(
        home.world, home.portfolio.id, "Boss", SystemRole.ADMIN, (home.wabas[0].id,)
    )

    assert user.wabas == ()


async def test_nobody_is_granted_the_account_of_another_portfolio(home: Home):
    (foreign,) = await home.world.store.wabas(home.elsewhere.id)
    before = list(await access.system_users(home.world, home.portfolio.id))
    clerk = await access.add_system_user(
        home.world, home.portfolio.id, "Clerk", SystemRole.EMPLOYEE
    )

    for granted in ((foreign.id,), (home.wabas[0].id, foreign.id), ("7",)):
        with pytest.raises(WabaUnknown):
            await access.add_system_user(
                home.world, home.portfolio.id, "Clerk", SystemRole.EMPLOYEE, granted
            )
        with pytest.raises(WabaUnknown):
            await access.grant(home.world, clerk, SystemRole.EMPLOYEE, granted)

    assert list(await access.system_users(home.world, home.portfolio.id)) == [*before, clerk]


async def test_a_system_user_needs_a_portfolio_and_a_name(home: Home):
    with pytest.raises(PortfolioUnknown):
        await access.add_system_user(home.world, "2", "Sender", SystemRole.ADMIN)
    with pytest.raises(ParameterInvalid):
        await access.add_system_user(home.world, home.portfolio.id, " ", SystemRole.ADMIN)


async def test_a_system_user_of_another_portfolio_is_unknown(home: Home):
    for id_, portfolio in ((home.other_user.id, home.portfolio.id), ("7", None)):
        with pytest.raises(SystemUserUnknown):
            await access.find_system_user(home.world, id_, portfolio)

    assert await access.find_system_user(home.world, home.user.id) == home.user


async def test_another_grant_counts_for_tokens_that_are_out_already(home: Home):
    token = await home.issue()
    waba = home.wabas[0]

    async def sees() -> bool:
        caller = await access.authenticate(home.world, token)
        return caller.sees(waba.id, waba.portfolio)

    seen = [await sees()]
    user = await access.grant(home.world, home.user, SystemRole.EMPLOYEE, ())
    seen.append(await sees())
    await access.grant(home.world, user, SystemRole.EMPLOYEE, (waba.id,))
    seen.append(await sees())

    assert seen == [True, False, True]
    assert (await home.kinds())[-2:] == ["system_user.changed"] * 2


async def test_a_removed_system_user_takes_its_tokens_along(home: Home):
    token = await home.issue()

    await access.remove_system_user(home.world, home.user)

    assert await outcome(access.authenticate(home.world, token)) == "AccessTokenRefused"
    assert await outcome(access.find_system_user(home.world, home.user.id)) == "SystemUserUnknown"
    assert await outcome(access.remove_system_user(home.world, home.user)) == "SystemUserUnknown"
    assert await outcome(home.issue()) == "SystemUserUnknown"


# Access tokens


async def test_a_token_speaks_for_its_user_and_app_with_its_scopes(home: Home):
    token = await home.issue((Scope.MESSAGING, Scope.MANAGEMENT, Scope.MESSAGING))

    caller = await access.authenticate(home.world, token)

    assert token.startswith("EAANL")
    assert (caller.app, caller.user) == (home.app, home.user)
    assert caller.scopes == (Scope.MANAGEMENT, Scope.MESSAGING)


async def test_only_the_hash_of_a_token_is_kept_and_events_name_its_beginning(home: Home):
    token = await home.issue()

    (kept,) = await access.access_tokens(home.world, home.user)
    trail = [link async for link in home.world.store.audit(f"portfolio:{home.portfolio.id}")]

    assert kept.hash == hashlib.sha256(token.encode()).digest()
    assert token not in repr((kept, trail))
    assert dict(trail[-1].event.details)["token"] == kept.reference
    assert trail[-1].event.kind.value == "access_token.issued"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "",
        lambda token: token[:-1],
        lambda token: token + "x",
        lambda token: token.swapcase(),
        lambda token: token[::-1],
        lambda token: " " + token,
        lambda token: token + "\n",
        lambda token: token + "\ud800",
        lambda _: "x" * 100_000,
        lambda _: "|",
        lambda token: "|" + token,
        lambda token: token + "|",
    ],
)
async def test_another_token_is_refused(home: Home, spoil: Any):
    token = await home.issue()

    with pytest.raises(AccessTokenRefused):
        await access.authenticate(home.world, spoil(token))


async def test_a_token_lives_as_long_as_it_was_issued_for(home: Home):
    short, long = await home.issue(life=HOUR), await home.issue()
    home.scene.pass_time(3_590)
    assert await access.authenticate(home.world, short)

    home.scene.pass_time(10)

    with pytest.raises(AccessTokenExpired) as refused:
        await access.authenticate(home.world, short)
    found: list[AccessToken] = list(await access.access_tokens(home.world, home.user))
    assert refused.value.at in [token.expires_at for token in found]
    home.scene.pass_time(10 * 365 * 86_400)
    assert await access.authenticate(home.world, long)


async def test_a_revoked_token_opens_nothing_any_more_and_others_stay(home: Home):
    token, other = await home.issue(), await home.issue()
    reference = hashlib.sha256(token.encode()).hexdigest()[:12]
    assert await access.authenticate(home.world, token)

    await access.revoke_token(home.world, home.user, reference)

    assert await outcome(access.authenticate(home.world, token)) == "AccessTokenRefused"
    assert await access.authenticate(home.world, other)
    assert (await home.kinds())[-1] == "access_token.revoked"
    with pytest.raises(AccessTokenUnknown):
        await access.revoke_token(home.world, home.user, reference)


async def test_nobody_revokes_the_token_of_another_system_user(home: Home):
    token = await home.issue()
    reference = hashlib.sha256(token.encode()).hexdigest()[:12]

    for wrong in (reference.upper(), reference[:-1], "", "%", reference + "0"):
        if wrong != reference:
            with pytest.raises(AccessTokenUnknown):
                await access.revoke_token(home.world, home.user, wrong)
    with pytest.raises(AccessTokenUnknown):
        await access.revoke_token(home.world, home.other_user, reference)

    assert await access.authenticate(home.world, token)


async def test_no_token_joins_a_user_and_an_app_of_two_portfolios(home: Home):
    with pytest.raises(AppUnknown):
        await access.issue_token(home.world, home.user, home.other_app, EVERY)
    with pytest.raises(AppUnknown):
        await access.issue_token(home.world, home.other_user, home.app, EVERY)

    assert list(await access.access_tokens(home.world, home.user)) == []


async def test_a_system_user_has_so_many_live_tokens_and_no_more(home: Home):
    for _ in range(ACCESS_TOKENS_PER_USER):
        await home.issue(life=HOUR)

    with pytest.raises(TooManyAccessTokens):
        await home.issue()

    home.scene.pass_time(3_600)
    assert await access.authenticate(home.world, await home.issue())


async def test_the_token_of_an_app_is_its_id_and_its_secret(home: Home):
    caller = await access.authenticate(home.world, f"{home.app.id}|{home.secret}")

    assert (caller.app, caller.user, caller.scopes) == (home.app, None, ())
    assert not any(caller.sees(waba.id, waba.portfolio) for waba in home.wabas)


async def test_another_secret_or_app_is_refused(home: Home):
    for token in (
        f"{home.app.id}|", f"{home.app.id}|{home.secret}x", f"{home.app.id}|{home.secret.upper()}x",
        f"{home.other_app.id}|{home.secret}", f"7|{home.secret}", f"|{home.secret}",
        f"{home.app.id}|\ud800", f"{home.app.id}||{home.secret}", f" {home.app.id}|{home.secret}",
    ):  # fmt: skip
        with pytest.raises(AccessTokenRefused):
            await access.authenticate(home.world, token)


# Proofs


async def test_a_proof_that_comes_along_is_checked_also_where_none_is_needed(home: Home):
    token = await home.issue()
    now = int(home.world.clock.now().timestamp())

    assert await access.authenticate(home.world, token, proof(token, home.secret))
    assert await access.authenticate(home.world, token, proof(token, home.secret, now), now)
    for wrong, made_at in (
        ("0" * 64, None), ("", None), (proof(token, "x"), None),
        (proof(token, home.secret), now), (proof(token, home.secret, now), None),
        (proof(token, home.secret, now - 400), now - 400),
        (proof(token, home.secret, now + 400), now + 400),
        (proof(token, home.secret, 10**400), 10**400),
    ):  # fmt: skip
        with pytest.raises(ProofRefused):
            await access.authenticate(home.world, token, wrong, made_at)


async def test_where_a_proof_is_needed_a_call_without_one_is_refused(home: Home):
    token = await home.issue()
    await access.require_proof(home.world, home.app, True)

    with pytest.raises(ProofMissing):
        await access.authenticate(home.world, token)
    assert await access.authenticate(home.world, token, proof(token, home.secret))
    assert await access.authenticate(home.world, f"{home.app.id}|{home.secret}")

    await access.require_proof(home.world, home.app, False)
    assert await access.authenticate(home.world, token)
    assert (await home.kinds())[-2:] == ["app.changed"] * 2


async def test_a_bad_token_is_refused_before_its_proof_is_looked_at(home: Home):
    token = await home.issue(life=HOUR)
    await access.require_proof(home.world, home.app, True)
    home.scene.pass_time(3_600)

    assert await outcome(access.authenticate(home.world, "EAANLx", "0")) == "AccessTokenRefused"
    assert await outcome(access.authenticate(home.world, token)) == "AccessTokenExpired"


# Looking tokens up


async def test_a_token_of_the_same_app_is_looked_up(home: Home):
    caller = await access.authenticate(home.world, f"{home.app.id}|{home.secret}")
    token = await home.issue((Scope.MESSAGING,))

    found = await access.look_up(home.world, caller, token)
    itself = await access.look_up(home.world, caller, f"{home.app.id}|{home.secret}")

    assert found is not None
    assert (found.user, found.scopes) == (home.user, (Scope.MESSAGING,))
    assert itself == caller


async def test_a_token_is_looked_up_also_where_calls_need_a_proof(home: Home):
    caller = await access.authenticate(home.world, f"{home.app.id}|{home.secret}")
    token = await home.issue()
    await access.require_proof(home.world, home.app, True)

    assert await access.look_up(home.world, caller, token) is not None


async def test_a_token_that_is_no_good_is_not_found(home: Home):
    caller = await access.authenticate(home.world, f"{home.app.id}|{home.secret}")
    for token in ("", "EAANLx", f"{home.app.id}|x", "7|x", "|"):
        assert await access.look_up(home.world, caller, token) is None


async def test_an_expired_token_is_told_to_the_app_it_was_for(home: Home):
    caller = await access.authenticate(home.world, f"{home.app.id}|{home.secret}")
    token = await home.issue(life=HOUR)
    home.scene.pass_time(3_600)

    with pytest.raises(AccessTokenExpired):
        await access.look_up(home.world, caller, token)


@pytest.mark.parametrize("passed", [0, 3_600])
async def test_of_another_apps_token_nothing_is_told_not_even_that_it_expired(
    home: Home, passed: int
):
    caller = await access.authenticate(home.world, f"{home.app.id}|{home.secret}")
    second = (await access.add_app(home.world, home.portfolio.id, "Second")).app
    tokens = [
        await access.issue_token(home.world, home.other_user, home.other_app, EVERY, HOUR),
        await access.issue_token(home.world, home.user, second, EVERY, HOUR),
    ]
    home.scene.pass_time(passed)

    assert [await access.look_up(home.world, caller, token) for token in tokens] == [None, None]


async def test_what_happens_to_apps_and_system_users_knows_where_it_came_from(home: Home):
    world = home.world.seen_from("192.0.2.9")

    await access.renew_secret(world, home.app)
    await access.grant(world, home.user, SystemRole.EMPLOYEE, [home.wabas[0].id])

    trail = [link async for link in world.store.audit(f"portfolio:{home.portfolio.id}")]
    assert [(link.event.kind, link.event.place) for link in trail[-2:]] == [
        ("app.secret_renewed", "192.0.2.9"),
        ("system_user.changed", "192.0.2.9"),
    ]
