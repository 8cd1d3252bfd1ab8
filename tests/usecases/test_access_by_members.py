"""What owners and admins do about API access; nobody else, and with the password where it matters."""

from datetime import timedelta

import pytest

from nightlatch.domain import errors as e
from nightlatch.domain.access import Scope, SystemRole
from nightlatch.domain.audit import Kind
from nightlatch.domain.limits import ACCESS_TOKEN_LONGEST
from nightlatch.domain.members import Member, MemberRole
from nightlatch.domain.webhooks import Field
from nightlatch.usecases import access, portfolios, webhooks
from tests.people import OWNER
from tests.usecases.conftest import Office

SCOPES = (Scope.MANAGEMENT,)
WRONG = "not the password"


class Api:
    """One app and one system user of the owner's portfolio."""

    def __init__(self, office: Office, app: str, user: str, waba: str) -> None:
        self.office, self.world = office, office.world
        self.app, self.user, self.waba = app, user, waba

    async def app_now(self):
        return await access.find_app(self.world, self.app)

    async def user_now(self):
        return await access.find_system_user(self.world, self.user)

    async def tokens(self):
        return await access.access_tokens(self.world, await self.user_now())


@pytest.fixture
async def api(office: Office) -> Api:
    app = (await access.add_app(office.world, office.portfolio, "Shop floor")).app
    user = await access.add_system_user(office.world, office.portfolio, "Till", SystemRole.EMPLOYEE)
    (waba,) = await office.world.store.wabas(office.portfolio)
    return Api(office, app.id, user.id, waba.id)


async def issue(api: Api, member: Member, password: str = OWNER.password, **changes) -> str:
    given = {"scopes": SCOPES, "life": None, "app": api.app} | changes
    return await access.issue_token_by_member(
        api.world, member, api.user, given["app"], given["scopes"], given["life"], password
    )


async def every_act(api: Api, member: Member):
    """Each thing that only an owner may do, not begun yet."""
    world = api.world
    return {
        "add app": access.add_app_by_member(world, member, "Second", OWNER.password),
        "renew secret": access.renew_secret_by_member(world, member, api.app, OWNER.password),
        "proof": access.require_proof_by_member(world, member, api.app, True),
        "callback": webhooks.set_callback_by_member(
            world, member, api.app, "https://receiver.example/", "", [Field.SECURITY]
        ),
        "no callback": webhooks.remove_callback_by_member(world, member, api.app),
        "subscribe": webhooks.subscribe_by_member(world, member, api.app, api.waba),
        "unsubscribe": webhooks.unsubscribe_by_member(world, member, api.app, api.waba),
        "add user": access.add_system_user_by_member(world, member, "Second", SystemRole.ADMIN),
        "role": access.change_role_by_member(world, member, api.user, SystemRole.ADMIN),
        "grant": access.grant_account_by_member(world, member, api.user, api.waba),
        "withdraw": access.withdraw_account_by_member(world, member, api.user, api.waba),
        "issue": issue(api, member),
        "revoke": access.revoke_token_by_member(world, member, api.user, "0" * 12),
        "remove user": access.remove_system_user_by_member(world, member, api.user),
        "remove app": access.remove_app_by_member(world, member, api.app),
    }


@pytest.mark.parametrize("role", [MemberRole.VIEWER, MemberRole.ADMIN])
async def test_only_an_owner_changes_anything(api: Api, role: MemberRole):
    member = await api.office.add("mia", role)
    before = await api.office.kinds()

    for act in (await every_act(api, member)).values():
        with pytest.raises(e.RoleTooLow):
            await act

    assert await api.office.kinds() == before


async def test_an_owner_of_another_portfolio_finds_none_of_it(api: Api):
    acts = await every_act(api, api.office.neighbour)
    own = {"add app", "add user"}
    before = await api.office.kinds()

    for name, act in acts.items():
        if name in own:
            act.close()
            continue
        with pytest.raises((e.AppUnknown, e.SystemUserUnknown)):
            await act

    assert await api.office.kinds() == before


async def test_an_owner_does_each_and_is_named_in_the_trail(api: Api):
    owner = await api.office.owner()
    before = len(await api.office.kinds())

    new = await access.add_app_by_member(api.world, owner, "Second", OWNER.password)
    secret = await access.renew_secret_by_member(api.world, owner, api.app, OWNER.password)
    await access.require_proof_by_member(api.world, owner, api.app, True)
    user = await access.add_system_user_by_member(api.world, owner, "Second", SystemRole.ADMIN)
    await access.grant_account_by_member(api.world, owner, api.user, api.waba)
    granted = (await api.user_now()).wabas
    await access.withdraw_account_by_member(api.world, owner, api.user, api.waba)
    await access.change_role_by_member(api.world, owner, api.user, SystemRole.ADMIN)
    await issue(api, owner)
    (kept,) = await api.tokens()
    await access.revoke_token_by_member(api.world, owner, api.user, kept.reference)
    await webhooks.subscribe_by_member(api.world, owner, api.app, api.waba)
    heard = await webhooks.subscribed_to(api.world, await api.app_now())
    await webhooks.unsubscribe_by_member(api.world, owner, api.app, api.waba)
    await access.remove_system_user_by_member(api.world, owner, user.id)
    await access.remove_app_by_member(api.world, owner, new.app.id)

    assert access.app_secret(api.world, await api.app_now()) == secret
    assert (await api.app_now()).needs_proof
    assert granted == (api.waba,)
    assert (await api.user_now()).role is SystemRole.ADMIN
    assert await api.tokens() == []
    assert [waba.id for waba, _ in heard] == [api.waba]
    trail = [
        link.event async for link in api.world.store.audit(f"portfolio:{api.office.portfolio}")
    ][before:]
    assert {event.by for event in trail} == {owner.email}
    assert [event.kind for event in trail] == [
        Kind.APP_ADDED, Kind.APP_SECRET, Kind.APP_CHANGED, Kind.SYSTEM_USER_ADDED,
        Kind.SYSTEM_USER_CHANGED, Kind.SYSTEM_USER_CHANGED, Kind.SYSTEM_USER_CHANGED,
        Kind.TOKEN_ISSUED, Kind.TOKEN_REVOKED, Kind.WABA_SUBSCRIBED, Kind.WABA_UNSUBSCRIBED,
        Kind.SYSTEM_USER_REMOVED, Kind.APP_REMOVED,
    ]  # fmt: skip


async def test_what_gives_away_a_secret_takes_the_password(api: Api):
    owner = await api.office.owner()
    before = access.app_secret(api.world, await api.app_now())

    for act in (
        access.add_app_by_member(api.world, owner, "Second", WRONG),
        access.renew_secret_by_member(api.world, owner, api.app, WRONG),
        issue(api, owner, WRONG),
    ):
        with pytest.raises(e.SignInRefused):
            await act

    assert [app.id for app in await access.apps(api.world, api.office.portfolio)] == [api.app]
    assert access.app_secret(api.world, await api.app_now()) == before
    assert await api.tokens() == []


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"scopes": ()}, e.ParameterInvalid),
        ({"life": timedelta(0)}, e.ParameterInvalid),
        ({"life": timedelta(days=-1)}, e.ParameterInvalid),
        ({"life": ACCESS_TOKEN_LONGEST + timedelta(days=1)}, e.ParameterInvalid),
        ({"app": "5" * 15}, e.AppUnknown),
    ],
)
async def test_a_token_that_cannot_be_costs_no_password(api: Api, changes, refusal):
    with pytest.raises(refusal):
        await issue(api, await api.office.owner(), WRONG, **changes)

    assert await api.tokens() == []


@pytest.mark.parametrize("life", [None, timedelta(days=1), ACCESS_TOKEN_LONGEST])
async def test_a_token_lives_as_long_as_was_chosen(api: Api, life):
    await issue(api, await api.office.owner(), life=life)

    (kept,) = await api.tokens()
    now = api.world.clock.now()
    assert kept.expires_at == (None if life is None else kept.issued_at + life)
    assert kept.lives(now)
    assert kept.lives(now + timedelta(days=4_000)) is (life is None)


async def test_somebody_elses_account_is_neither_granted_nor_heard_about(api: Api):
    owner = await api.office.owner()
    (foreign,) = await api.world.store.wabas(api.office.neighbour.portfolio)

    for act in (
        access.grant_account_by_member(api.world, owner, api.user, foreign.id),
        webhooks.subscribe_by_member(api.world, owner, api.app, foreign.id),
        webhooks.unsubscribe_by_member(api.world, owner, api.app, foreign.id),
    ):
        with pytest.raises(e.WabaUnknown):
            await act

    assert (await api.user_now()).wabas == ()


async def test_withdrawing_an_account_leaves_the_others(api: Api):
    owner = await api.office.owner()
    second = await portfolios.add_waba(api.world, api.office.portfolio, "Second shop")
    for waba in (api.waba, second.id):
        await access.grant_account_by_member(api.world, owner, api.user, waba)

    await access.withdraw_account_by_member(api.world, owner, api.user, api.waba)

    assert (await api.user_now()).wabas == (second.id,)


async def test_an_address_needs_a_field_to_be_told_about(api: Api):
    owner = await api.office.owner()

    with pytest.raises(e.ParameterInvalid) as refused:
        await webhooks.set_callback_by_member(
            api.world, owner, api.app, "https://receiver.example/", "", []
        )

    assert refused.value.name == "fields"


async def test_an_app_hears_only_of_the_accounts_it_subscribed_to(api: Api):
    owner = await api.office.owner()
    other = await access.add_app(api.world, api.office.portfolio, "Second")
    await portfolios.add_waba(api.world, api.office.portfolio, "Second shop")

    await webhooks.subscribe_by_member(api.world, owner, other.app.id, api.waba)

    assert await webhooks.subscribed_to(api.world, await api.app_now()) == []
    assert len(await webhooks.subscribed_to(api.world, other.app)) == 1


async def test_a_delivery_is_sent_again_by_an_admin_and_not_by_a_viewer(api: Api):
    viewer = await api.office.add("vito", MemberRole.VIEWER)
    admin = await api.office.add("ada", MemberRole.ADMIN)

    with pytest.raises(e.RoleTooLow):
        await webhooks.send_again_by_member(api.world, viewer, 1)
    with pytest.raises(e.DeliveryUnknown):
        await webhooks.send_again_by_member(api.world, admin, 1)
