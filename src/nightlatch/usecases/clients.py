"""Clients, their users, and how users log in."""

from nightlatch.domain.audit import OPERATOR, Kind
from nightlatch.domain.clients import (
    ADMIN,
    FACTORY_PASSWORD,
    Client,
    Role,
    Session,
    User,
    UserDecision,
    hash_token,
    new_token,
    read_client_name,
)
from nightlatch.domain.clients import Token as StoredToken
from nightlatch.domain.errors import (
    AdminOnly,
    ClientUnknown,
    LoginRefused,
    PasswordChangeRequired,
    TokenRefused,
    UserUnknown,
)
from nightlatch.ports import UserChange, World, bound_to

_TOKEN_HEAD = "eyJ0eXAiOiJvcGFxdWUifQ"  # noqa: S105 - base64url of {"typ":"opaque"}, the same in every token


def _bound_to(client: str, username: str) -> str:
    return bound_to("password", f"{client}/{username}")


async def add_client(world: World, name: str) -> Client:
    """A further client with the factory password, which its admin must change first.

    Raises:
        ParameterInvalid: the name does not fit.
        ClientExists: it is taken.
    """
    now = world.clock.now()
    client = Client(read_client_name(name), now)
    async with world.hasher.place() as place:
        verifier = await place.make(FACTORY_PASSWORD, _bound_to(name, ADMIN))
    admin = User(client=name, username=ADMIN, role=Role.ADMIN, verifier=verifier, must_change=True)
    await world.store.add_client(client, admin, (world.event(Kind.CLIENT_ADDED, OPERATOR, now),))
    return client


async def find_client(world: World, name: str) -> Client:
    """Raises ClientUnknown."""
    client = await world.store.client(name)
    if client is None:
        raise ClientUnknown
    return client


async def log_in(
    world: World, client: str, username: str, password: str, new_password: str | None
) -> tuple[str, StoredToken]:
    """A fresh bearer token, as text and as kept.

    *new_password* changes the password at once, as the first login must; the
    one in use already changes nothing. Another one ends all earlier tokens.

    Raises:
        LoginRefused: unknown user or wrong password, after the same work.
        LoginWait: too many wrong passwords; refused unread.
        PasswordChangeRequired: right, but the first password must be changed.
        Overloaded: nothing counted.
    """
    known = await world.store.user(client, username)
    now = world.clock.now()
    bound = _bound_to(client, username)
    async with world.hasher.place() as place:
        if known is None:
            await place.matches(None, password, bound)
            raise LoginRefused
        paid = await _update(world, known, lambda u: UserDecision(u.pay_login(now)))
        if not await place.matches(paid.verifier, password, bound):
            wrong = world.event(Kind.LOGIN_WRONG, paid.full_name, now)
            await _update(world, known, lambda u: UserDecision(u, (wrong,)))
            raise LoginRefused
        changes = new_password is not None and new_password != password
        if paid.must_change and not changes:
            await _update(world, known, lambda u: UserDecision(u.logged_in()))
            raise PasswordChangeRequired
        verifier = (
            await place.make(new_password, bound)
            if new_password is not None and changes
            else paid.verifier
        )
    text = f"{_TOKEN_HEAD}.{world.chance.token(16)}.{world.chance.token(32)}"
    token = new_token(text, now)
    changed = world.event(Kind.PASSWORD_CHANGED, paid.full_name, now)

    def logged_in(user: User) -> UserDecision:
        if not _same(world, user.verifier, paid.verifier, bound):
            raise LoginRefused  # changed by somebody else while this ran
        user = user.logged_in()
        if changes:
            return UserDecision(user.with_password(verifier), (changed,), token, end_tokens=True)
        return UserDecision(user, token=token)

    await _update(world, known, logged_in)
    return text, token


def _same(world: World, one: bytes, other: bytes, bound: str) -> bool:
    """Whether two sealed verifiers hold the same: a rotation of keys seals them anew."""
    return one == other or world.keys.unseal(one, bound) == world.keys.unseal(other, bound)


async def _update(world: World, known: User, change: UserChange) -> User:
    """As the store's, for somebody who is logging in."""
    try:
        return await world.store.update_user(known.client, known.username, change)
    except UserUnknown as gone:  # removed while this ran
        raise LoginRefused from gone


async def authenticate(world: World, client: str, token: str) -> Session:
    """Who *token* speaks for in *client*. Raises TokenRefused."""
    session = await world.store.session(client, hash_token(token), world.clock.now())
    if session is None:
        raise TokenRefused
    return session


async def log_out(world: World, session: Session) -> None:
    """End the token; once this returns it opens nothing."""
    await world.store.end_session(session.token_hash)


async def add_user(world: World, by: User, username: str, password: str) -> None:
    """An ordinary user of *by*'s client.

    Raises:
        UserExists, TooManyUsers: nothing changed.
    """
    async with world.hasher.place() as place:
        verifier = await place.make(password, _bound_to(by.client, username))
    user = User(client=by.client, username=username, role=Role.USER, verifier=verifier)
    now = world.clock.now()
    event = world.event(Kind.USER_ADDED, by.full_name, now, username=username)
    await world.store.add_user(user, (event,))


async def find_user(world: World, by: User, username: str) -> User:
    """An admin reads everybody, others themselves.

    Raises:
        AdminOnly: somebody else, asked for by an ordinary user.
        UserUnknown: no such user.
    """
    _refuse_others(by, username)
    user = await world.store.user(by.client, username)
    if user is None:
        raise UserUnknown
    return user


async def set_password(world: World, by: Session, username: str, password: str) -> None:
    """Another password; ends every token of that user but the one this is done with.

    Raises:
        AdminOnly, UserUnknown: as ``find_user``.
    """
    await find_user(world, by.user, username)
    client = by.user.client
    async with world.hasher.place() as place:
        verifier = await place.make(password, _bound_to(client, username))
    event = world.event(
        Kind.PASSWORD_CHANGED, by.user.full_name, world.clock.now(), username=username
    )
    await world.store.update_user(
        client,
        username,
        lambda u: UserDecision(
            u.with_password(verifier), (event,), end_tokens=True, keep=by.token_hash
        ),
    )


async def remove_user(world: World, by: User, username: str) -> None:
    """Remove an ordinary user and end its tokens.

    Raises:
        AdminStays: the admin account cannot be removed.
        UserUnknown: no such user.
    """
    (await find_user(world, by, username)).refuse_removal()
    event = world.event(Kind.USER_REMOVED, by.full_name, world.clock.now(), username=username)
    await world.store.remove_user(by.client, username, (event,))


async def reset_password(world: World, client: str, username: str) -> None:
    """Back to the factory password, which must be changed at the next login; ends all tokens.

    Raises:
        UserUnknown: no such user or client.
    """
    async with world.hasher.place() as place:
        verifier = await place.make(FACTORY_PASSWORD, _bound_to(client, username))
    event = world.event(Kind.PASSWORD_RESET, OPERATOR, world.clock.now(), username=username)
    await world.store.update_user(
        client,
        username,
        lambda u: UserDecision(
            u.logged_in().with_password(verifier, must_change=True), (event,), end_tokens=True
        ),
    )


def _refuse_others(by: User, username: str) -> None:
    if by.role is not Role.ADMIN and by.username != username:
        raise AdminOnly
