"""Clients and users: logging in, passwords, tokens, who may do what."""

import asyncio
from typing import Any

import pytest

from nightlatch.domain.clients import FACTORY_PASSWORD, Role, Session, User, UserDecision
from nightlatch.domain.errors import (
    AdminOnly,
    AdminStays,
    ClientExists,
    ClientUnknown,
    LoginRefused,
    LoginWait,
    Overloaded,
    ParameterInvalid,
    PasswordChangeRequired,
    TokenRefused,
    Unavailable,
    UserExists,
    UserUnknown,
)
from nightlatch.usecases import clients
from tests.fakes.hashers import FullHasher, WatchedHasher
from tests.people import OWNER, THIEF
from tests.usecases.conftest import Scene

WRONG = "Wrong-Pass-1"
NEW = "Newest-Pass-2"


async def log_in(
    scene: Scene,
    password: str = OWNER.password,
    new: str | None = None,
    *,
    username: str = "admin",
    client: str = OWNER.client,
    world: Any = None,
) -> str:
    text, _ = await clients.log_in(world or scene.world, client, username, password, new)
    return text


async def who(scene: Scene, token: str, client: str = OWNER.client) -> Session:
    return await clients.authenticate(scene.world, client, token)


@pytest.fixture
async def token(scene: Scene) -> str:
    """The owner has changed the first password and is logged in."""
    return await log_in(scene, FACTORY_PASSWORD, OWNER.password)


async def stored(scene: Scene, username: str = "admin") -> User:
    user = await scene.world.store.user(OWNER.client, username)
    assert user is not None
    return user


async def told(scene: Scene) -> list[str]:
    trail = scene.world.store.audit(f"client:{OWNER.client}")
    return [link.event.kind.value async for link in trail]


# The first login


async def test_the_factory_password_opens_nothing_but_its_own_change(scene: Scene):
    with pytest.raises(PasswordChangeRequired):
        await log_in(scene, FACTORY_PASSWORD)
    with pytest.raises(PasswordChangeRequired):
        await log_in(scene, FACTORY_PASSWORD, FACTORY_PASSWORD)

    token = await log_in(scene, FACTORY_PASSWORD, OWNER.password)

    assert (await who(scene, token)).user.username == "admin"
    assert not (await stored(scene)).must_change
    with pytest.raises(LoginRefused):
        await log_in(scene, FACTORY_PASSWORD)


async def test_asking_for_the_first_change_is_no_wrong_login(scene: Scene):
    for _ in range(12):
        with pytest.raises(PasswordChangeRequired):
            await log_in(scene, FACTORY_PASSWORD)

    assert (await stored(scene)).wrong_logins == 0


async def test_a_wrong_first_password_changes_nothing(scene: Scene):
    with pytest.raises(LoginRefused):
        await log_in(scene, WRONG, OWNER.password)

    assert (await stored(scene)).must_change


# Logging in


async def test_each_login_gives_a_fresh_token_that_opens_its_own_client_only(scene: Scene, token):
    second = await log_in(scene)

    assert second != token
    for text in (token, second):
        assert (await who(scene, text)).user.full_name == "main/admin"
        with pytest.raises(TokenRefused):
            await who(scene, text, THIEF.client)


@pytest.mark.parametrize("spoil", [str.upper, lambda t: t[:-1], lambda t: t + "A", lambda t: t[:0]])
async def test_a_token_that_is_not_exactly_it_opens_nothing(scene: Scene, token, spoil):
    with pytest.raises(TokenRefused):
        await who(scene, spoil(token))


async def test_the_text_of_a_token_is_not_stored(scene: Scene, token):
    session = await who(scene, token)

    assert token.encode() not in session.token_hash
    assert token.encode() not in scene.house.settings.database_file.read_bytes()


async def test_a_token_lives_seven_days(scene: Scene, token):
    scene.pass_time(7 * 86_400 - 60)
    session = await who(scene, token)
    scene.pass_time(60)

    assert session.user.role is Role.ADMIN
    with pytest.raises(TokenRefused):
        await who(scene, token)


async def test_after_logging_out_the_token_opens_nothing(scene: Scene, token):
    other = await log_in(scene)

    await clients.log_out(scene.world, await who(scene, token))

    with pytest.raises(TokenRefused):
        await who(scene, token)
    assert await who(scene, other)


@pytest.mark.parametrize(("username", "password"), [("admin", WRONG), ("nobody", WRONG)])
async def test_unknown_user_and_wrong_password_cost_the_same_one_hash_and_say_the_same(
    scene: Scene, token, username, password
):
    computed = scene.house.pool.computed

    with pytest.raises(LoginRefused) as refused:
        await log_in(scene, password, username=username)

    assert refused.value.args == ()
    assert scene.house.pool.computed == computed + 1


async def test_a_wrong_password_is_counted_and_told(scene: Scene, token):
    with pytest.raises(LoginRefused):
        await log_in(scene, WRONG)

    assert (await stored(scene)).wrong_logins == 1
    assert (await told(scene))[-1] == "login.wrong"


async def test_a_login_is_counted_before_the_password_is_compared(scene: Scene, token):
    seen = []

    async def look() -> None:
        seen.append((await stored(scene)).wrong_logins)

    world = scene.other_world(hasher=WatchedHasher(scene.world.hasher, before_compare=look))
    for _ in range(2):
        with pytest.raises(LoginRefused):
            await log_in(scene, WRONG, world=world)

    assert seen == [1, 2]


async def test_after_ten_wrong_passwords_even_the_right_one_waits_unread(scene: Scene, token):
    for _ in range(10):
        with pytest.raises(LoginRefused):
            await log_in(scene, WRONG)
    computed = scene.house.pool.computed

    with pytest.raises(LoginWait) as refused:
        await log_in(scene)
    unread = scene.house.pool.computed == computed
    scene.pass_time(10)
    await log_in(scene)

    assert refused.value.retry_after == 10
    assert unread
    assert (await stored(scene)).wrong_logins == 0


async def test_a_wait_keeps_nobodys_running_token_out(scene: Scene, token):
    for _ in range(10):
        with pytest.raises(LoginRefused):
            await log_in(scene, WRONG)

    assert await who(scene, token)


async def test_of_forty_parallel_wrong_passwords_ten_are_compared(scene: Scene, token):
    hasher = WatchedHasher(scene.world.hasher)
    world = scene.other_world(hasher=hasher)

    ends = await asyncio.gather(
        *(log_in(scene, WRONG, world=world) for _ in range(40)), return_exceptions=True
    )

    assert len(hasher.compared) == 10
    assert [type(end) for end in ends].count(LoginRefused) == 10


async def test_when_every_place_is_taken_no_login_is_counted(scene: Scene, token):
    with pytest.raises(Overloaded):
        await log_in(scene, WRONG, world=scene.other_world(hasher=FullHasher()))

    assert (await stored(scene)).wrong_logins == 0


async def test_a_password_that_cannot_be_opened_lets_nobody_in(scene: Scene, token):
    foreign = scene.world.keys.seal(b"of another user", "password|v1|main/anna")

    def swap(user: User) -> UserDecision:
        return UserDecision(user.with_password(foreign))

    await scene.world.store.update_user(OWNER.client, "admin", swap)

    with pytest.raises(Unavailable):
        await log_in(scene)
    assert (await stored(scene)).wrong_logins == 1


async def test_a_user_removed_while_the_password_is_compared_is_refused_like_any_other(
    scene: Scene, token
):
    admin = (await who(scene, token)).user
    await clients.add_user(scene.world, admin, "anna", OWNER.password)

    async def removed() -> None:
        await clients.remove_user(scene.world, admin, "anna")

    world = scene.other_world(hasher=WatchedHasher(scene.world.hasher, before_compare=removed))
    with pytest.raises(LoginRefused):
        await log_in(scene, username="anna", world=world)


# Passwords


async def test_a_new_password_at_login_ends_all_earlier_tokens(scene: Scene, token):
    fresh = await log_in(scene, OWNER.password, NEW)

    with pytest.raises(TokenRefused):
        await who(scene, token)
    assert await who(scene, fresh)
    with pytest.raises(LoginRefused):
        await log_in(scene, OWNER.password)
    assert (await told(scene)).count("user.password_changed") == 2


async def test_an_unneeded_new_password_that_is_the_old_one_changes_nothing(scene: Scene, token):
    before = await stored(scene)

    await log_in(scene, OWNER.password, OWNER.password)

    assert await stored(scene) == before
    assert await who(scene, token)
    assert (await told(scene)).count("user.password_changed") == 1


async def test_a_password_changed_by_somebody_else_meanwhile_refuses_the_login(scene: Scene, token):
    session = await who(scene, token)

    async def changed() -> None:
        await clients.set_password(scene.world, session, "admin", NEW)

    world = scene.other_world(hasher=WatchedHasher(scene.world.hasher, before_compare=changed))
    with pytest.raises(LoginRefused):
        await log_in(scene, OWNER.password, world=world)

    assert await log_in(scene, NEW)


async def test_of_two_parallel_changes_at_login_one_wins(scene: Scene, token):
    ends = await asyncio.gather(
        log_in(scene, OWNER.password, NEW),
        log_in(scene, OWNER.password, "Another-Pass-3"),
        return_exceptions=True,
    )

    assert sorted(isinstance(end, LoginRefused) for end in ends) == [False, True]


async def test_setting_a_password_keeps_the_session_it_is_done_with_and_ends_the_others(
    scene: Scene, token
):
    other = await log_in(scene)

    await clients.set_password(scene.world, await who(scene, token), "admin", NEW)

    assert await who(scene, token)
    with pytest.raises(TokenRefused):
        await who(scene, other)
    assert await log_in(scene, NEW)


async def test_a_reset_brings_back_the_factory_password_and_ends_all_tokens(scene: Scene, token):
    for _ in range(10):
        with pytest.raises(LoginRefused):
            await log_in(scene, WRONG)

    await clients.reset_password(scene.world, OWNER.client, "admin")

    with pytest.raises(TokenRefused):
        await who(scene, token)
    with pytest.raises(PasswordChangeRequired):
        await log_in(scene, FACTORY_PASSWORD)
    assert (await told(scene))[-1] == "user.password_reset"
    with pytest.raises(UserUnknown):
        await clients.reset_password(scene.world, "nobody", "admin")


# Users


@pytest.fixture
async def anna(scene: Scene, token) -> Session:
    """An ordinary user of the owner's client, logged in."""
    await clients.add_user(scene.world, (await who(scene, token)).user, "anna", NEW)
    return await who(scene, await log_in(scene, NEW, username="anna"))


async def test_an_added_user_is_an_ordinary_one_and_logs_in_at_once(scene: Scene, anna):
    assert anna.user.role is Role.USER
    assert not anna.user.must_change
    assert (await told(scene))[-1] == "user.added"


async def test_a_taken_username_is_refused_and_the_first_user_stays(scene: Scene, token, anna):
    admin = (await who(scene, token)).user

    with pytest.raises(UserExists):
        await clients.add_user(scene.world, admin, "anna", WRONG)
    with pytest.raises(UserExists):
        await clients.add_user(scene.world, admin, "admin", WRONG)

    assert await log_in(scene, NEW, username="anna")


async def test_an_admin_reads_everybody_and_others_themselves(scene: Scene, token, anna):
    admin = (await who(scene, token)).user

    assert (await clients.find_user(scene.world, admin, "anna")).username == "anna"
    assert (await clients.find_user(scene.world, anna.user, "anna")).username == "anna"
    with pytest.raises(AdminOnly):
        await clients.find_user(scene.world, anna.user, "admin")
    with pytest.raises(AdminOnly):
        await clients.find_user(scene.world, anna.user, "nobody")
    with pytest.raises(UserUnknown):
        await clients.find_user(scene.world, admin, "nobody")


async def test_others_change_their_own_password_only(scene: Scene, anna):
    with pytest.raises(AdminOnly):
        await clients.set_password(scene.world, anna, "admin", WRONG)
    await clients.set_password(scene.world, anna, "anna", WRONG)

    assert await log_in(scene, WRONG, username="anna")
    assert await log_in(scene)


async def test_a_password_set_by_the_admin_ends_all_tokens_of_that_user(scene: Scene, token):
    admin = await who(scene, token)
    await clients.add_user(scene.world, admin.user, "anna", NEW)
    annas = await log_in(scene, NEW, username="anna")

    await clients.set_password(scene.world, admin, "anna", WRONG)

    with pytest.raises(TokenRefused):
        await who(scene, annas)
    assert await who(scene, token)
    with pytest.raises(UserUnknown):
        await clients.set_password(scene.world, admin, "nobody", WRONG)


async def test_a_removed_user_is_out_at_once(scene: Scene, token):
    admin = (await who(scene, token)).user
    await clients.add_user(scene.world, admin, "anna", NEW)
    annas = await log_in(scene, NEW, username="anna")

    await clients.remove_user(scene.world, admin, "anna")

    with pytest.raises(TokenRefused):
        await who(scene, annas)
    with pytest.raises(LoginRefused):
        await log_in(scene, NEW, username="anna")
    with pytest.raises(UserUnknown):
        await clients.remove_user(scene.world, admin, "anna")
    assert (await told(scene)).count("user.removed") == 1


async def test_the_admin_account_stays(scene: Scene, token):
    with pytest.raises(AdminStays):
        await clients.remove_user(scene.world, (await who(scene, token)).user, "admin")

    assert await who(scene, token)


async def test_a_client_is_found_by_its_name(scene: Scene):
    assert (await clients.find_client(scene.world, THIEF.client)).name == THIEF.client
    with pytest.raises(ClientUnknown):
        await clients.find_client(scene.world, "nobody")


async def test_a_further_client_has_users_of_its_own(scene: Scene, token):
    with pytest.raises(ClientExists):
        await clients.add_client(scene.world, OWNER.client)
    with pytest.raises(ParameterInvalid):
        await clients.add_client(scene.world, "../main")

    thiefs = await log_in(scene, FACTORY_PASSWORD, THIEF.password, client=THIEF.client)

    assert (await who(scene, thiefs, THIEF.client)).user.full_name == "thief/admin"
    with pytest.raises(LoginRefused):
        await log_in(scene, THIEF.password)
