"""Apps, system users and access tokens: who may use the Graph face."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from nightlatch.domain import access, portfolios
from nightlatch.domain.access import (
    AccessToken,
    Caller,
    GraphApp,
    Scope,
    SystemRole,
    SystemUser,
)
from nightlatch.domain.audit import OPERATOR, Kind
from nightlatch.domain.clients import hash_token
from nightlatch.domain.errors import (
    AccessTokenRefused,
    AppUnknown,
    ParameterInvalid,
    ProofMissing,
    SystemUserUnknown,
    WabaUnknown,
)
from nightlatch.domain.members import Member, MemberRole
from nightlatch.ports import World, bound_to
from nightlatch.usecases.portfolios import find_portfolio, find_waba
from nightlatch.usecases.signing_in import confirm_password

_ID_DIGITS = 14
_TOKEN_BYTES = 33
_TOKEN_FRONT = "EAANL"  # noqa: S105 - how every token begins, as Meta's begin with EAA


# Apps


@dataclass(frozen=True, slots=True)
class NewApp:
    """An app and its secret, which is shown once."""

    app: GraphApp
    secret: str


async def add_app(world: World, portfolio: str, name: str, by: str = OPERATOR) -> NewApp:
    """Raises PortfolioUnknown, ParameterInvalid, TooManyApps."""
    await find_portfolio(world, portfolio)
    now, id = world.clock.now(), "5" + world.chance.digits(_ID_DIGITS)
    secret = _draw_secret(world)
    app = GraphApp(
        id=id,
        portfolio=portfolio,
        name=portfolios.read_title(name),
        secret=_sealed(world, id, secret),
        created_at=now,
    )
    event = world.event(Kind.APP_ADDED, by, now, app=id, name=app.name)
    await world.store.add_app(app, (event,))
    return NewApp(app, secret)


async def apps(world: World, portfolio: str) -> Sequence[GraphApp]:
    return await world.store.apps(portfolio)


async def find_app(world: World, id: str, portfolio: str | None = None) -> GraphApp:
    """An app, of one portfolio or of any. Raises AppUnknown."""
    app = await world.store.app(id)
    if app is None or portfolio not in (None, app.portfolio):
        raise AppUnknown
    return app


async def renew_secret(world: World, app: GraphApp, by: str = OPERATOR) -> str:
    """Another secret, shown once; the one before is worthless at once."""
    secret, now = _draw_secret(world), world.clock.now()
    sealed = _sealed(world, app.id, secret)
    await world.update_app(app.id, lambda a: access.renew_secret(a, sealed, by, now))
    return secret


async def require_proof(world: World, app: GraphApp, needed: bool, by: str = OPERATOR) -> None:
    """Whether calls with the app's tokens must bring an ``appsecret_proof``."""
    now = world.clock.now()
    await world.update_app(app.id, lambda a: access.require_proof(a, needed, by, now))


async def remove_app(world: World, app: GraphApp, by: str = OPERATOR) -> None:
    """With its access tokens, subscriptions and deliveries. Raises AppUnknown."""
    event = world.event(Kind.APP_REMOVED, by, world.clock.now(), app=app.id, name=app.name)
    await world.store.remove_app(app.id, (event,))


def app_secret(world: World, app: GraphApp) -> str:
    """The secret in the clear, for signing and for checking proofs. Raises Unavailable."""
    return world.keys.unseal(app.secret, bound_to("graph-app", app.id)).decode()


# System users


async def add_system_user(
    world: World,
    portfolio: str,
    name: str,
    role: SystemRole,
    wabas: Sequence[str] = (),
    by: str = OPERATOR,
) -> SystemUser:
    """An employee sees the accounts *wabas* only, an admin all of the portfolio.

    Raises:
        PortfolioUnknown, WabaUnknown, ParameterInvalid, TooManySystemUsers: nothing changed.
    """
    await find_portfolio(world, portfolio)
    now = world.clock.now()
    user = SystemUser(
        id="6" + world.chance.digits(_ID_DIGITS),
        portfolio=portfolio,
        name=portfolios.read_title(name),
        role=role,
        created_at=now,
        wabas=await _granted(world, portfolio, role, wabas),
    )
    event = world.event(
        Kind.SYSTEM_USER_ADDED, by, now, system_user=user.id, name=user.name, role=role.value
    )
    await world.store.add_system_user(user, (event,))
    return user


async def system_users(world: World, portfolio: str) -> Sequence[SystemUser]:
    return await world.store.system_users(portfolio)


async def find_system_user(world: World, id: str, portfolio: str | None = None) -> SystemUser:
    """A system user, of one portfolio or of any. Raises SystemUserUnknown."""
    user = await world.store.system_user(id)
    if user is None or portfolio not in (None, user.portfolio):
        raise SystemUserUnknown
    return user


async def grant(
    world: World, user: SystemUser, role: SystemRole, wabas: Sequence[str], by: str = OPERATOR
) -> SystemUser:
    """Another role, or other accounts. Raises WabaUnknown."""
    granted = await _granted(world, user.portfolio, role, wabas)
    now = world.clock.now()
    return await world.update_system_user(
        user.id, lambda u: access.grant(u, role, granted, by, now)
    )


async def remove_system_user(world: World, user: SystemUser, by: str = OPERATOR) -> None:
    """With its access tokens. Raises SystemUserUnknown."""
    event = world.event(
        Kind.SYSTEM_USER_REMOVED, by, world.clock.now(), system_user=user.id, name=user.name
    )
    await world.store.remove_system_user(user.id, (event,))


# Access tokens


async def issue_token(
    world: World,
    user: SystemUser,
    app: GraphApp,
    scopes: Sequence[Scope],
    life: timedelta | None = None,
    by: str = OPERATOR,
) -> str:
    """An access token, shown once; without *life* it never expires.

    Raises:
        SystemUserUnknown, AppUnknown: gone meanwhile, or of another portfolio.
        ParameterInvalid: *life* is no token's.
        TooManyAccessTokens: nothing changed.
    """
    if app.portfolio != user.portfolio:
        raise AppUnknown
    token, now = _TOKEN_FRONT + world.chance.token(_TOKEN_BYTES), world.clock.now()
    kept = AccessToken(
        hash=hash_token(token),
        user=user.id,
        app=app.id,
        scopes=tuple(scope for scope in Scope if scope in scopes),
        issued_at=now,
        expires_at=access.expiry(life, now),
    )
    event = world.event(
        Kind.TOKEN_ISSUED, by, now,
        system_user=user.id, app=app.id, token=kept.reference, scopes=",".join(kept.scopes),
    )  # fmt: skip
    await world.store.add_access_token(kept, (event,), now)
    return token


async def access_tokens(world: World, user: SystemUser) -> Sequence[AccessToken]:
    """A system user's tokens, the latest first."""
    return await world.store.access_tokens(user.id)


async def revoke_token(world: World, user: SystemUser, reference: str, by: str = OPERATOR) -> None:
    """Once this returns the token opens nothing. Raises AccessTokenUnknown."""
    event = world.event(
        Kind.TOKEN_REVOKED, by, world.clock.now(), system_user=user.id, token=reference
    )
    await world.store.revoke_access_token(user.id, reference, (event,))


async def authenticate(
    world: World, token: str, proof: str | None = None, proof_made_at: int | None = None
) -> Caller:
    """Who a token speaks for: a system user, or an app when it is ``id|secret``.

    Raises:
        AccessTokenRefused, AccessTokenExpired: the token is no good.
        ProofMissing, ProofRefused: see ``domain.access``.
    """
    caller = await _caller(world, token)
    if proof is not None:
        right = app_secret(world, caller.app)
        access.check_proof(right, token, proof, proof_made_at, world.clock.now())
    elif caller.app.needs_proof and caller.user is not None:
        raise ProofMissing
    return caller


async def look_up(world: World, caller: Caller, token: str) -> Caller | None:
    """What ``debug_token`` says of *token*; None when it is no good, or of another app.

    Raises:
        AccessTokenExpired: it was good once, and is of the caller's app.
    """
    found = await _owner(world, token)
    if found is None or found.app.id != caller.app.id:
        return None
    _refuse_expired(world, found)
    return found


async def _caller(world: World, token: str) -> Caller:
    found = await _owner(world, token)
    if found is None:
        raise AccessTokenRefused
    _refuse_expired(world, found)
    return found


def _refuse_expired(world: World, caller: Caller) -> None:
    if caller.token is not None and caller.token.expires_at is not None:
        access.refuse_expired(caller.token, world.clock.now())


async def _owner(world: World, token: str) -> Caller | None:
    """Who the token speaks for, or spoke for before it expired."""
    id, bar, secret = token.partition("|")
    if bar:
        return await _app_of(world, id, secret)
    found = await world.store.access_token(hash_token(token))
    if found is None:
        return None
    kept, user, app = found
    return Caller(app, user, kept)


async def _app_of(world: World, id: str, secret: str) -> Caller | None:
    app = await world.store.app(id)
    if app is None:
        return None
    right = app_secret(world, app).encode()
    return Caller(app) if hmac.compare_digest(right, secret.encode("utf-8", "replace")) else None


async def _granted(
    world: World, portfolio: str, role: SystemRole, wabas: Sequence[str]
) -> tuple[str, ...]:
    if role is SystemRole.ADMIN:
        return ()
    own = {waba.id for waba in await world.store.wabas(portfolio)}
    if not own.issuperset(wabas):
        raise WabaUnknown
    return tuple(sorted(set(wabas)))


def _draw_secret(world: World) -> str:
    return hash_token(world.chance.token(_TOKEN_BYTES)).hex()[:32]


def _sealed(world: World, id: str, secret: str) -> bytes:
    return world.keys.seal(secret.encode(), bound_to("graph-app", id))


# By members of the portfolio. What gives away a secret asks for the owner's password again:
# an access token may set a PIN.


async def app_seen_by(
    world: World, member: Member, id: str, role: MemberRole = MemberRole.ADMIN
) -> GraphApp:
    """An app of the member's portfolio. Raises RoleTooLow, AppUnknown."""
    member.refuse_below(role)
    return await find_app(world, id, member.portfolio)


async def system_user_seen_by(
    world: World, member: Member, id: str, role: MemberRole = MemberRole.ADMIN
) -> SystemUser:
    """A system user of the member's portfolio. Raises RoleTooLow, SystemUserUnknown."""
    member.refuse_below(role)
    return await find_system_user(world, id, member.portfolio)


async def add_app_by_member(world: World, member: Member, name: str, password: str) -> NewApp:
    """``add_app`` by an owner.

    Raises:
        RoleTooLow, ParameterInvalid, SignInRefused, SignInWait, TooManyApps: nothing changed.
    """
    member.refuse_below(MemberRole.OWNER)
    portfolios.read_title(name)
    await confirm_password(world, member, password)
    return await add_app(world, member.portfolio, name, member.email)


async def renew_secret_by_member(world: World, member: Member, app: str, password: str) -> str:
    """``renew_secret`` by an owner.

    Raises:
        RoleTooLow, AppUnknown, SignInRefused, SignInWait: nothing changed.
    """
    found = await app_seen_by(world, member, app, MemberRole.OWNER)
    await confirm_password(world, member, password)
    return await renew_secret(world, found, member.email)


async def require_proof_by_member(world: World, member: Member, app: str, needed: bool) -> None:
    """``require_proof`` by an owner. Raises RoleTooLow, AppUnknown."""
    found = await app_seen_by(world, member, app, MemberRole.OWNER)
    await require_proof(world, found, needed, member.email)


async def remove_app_by_member(world: World, member: Member, app: str) -> None:
    """``remove_app`` by an owner. Raises RoleTooLow, AppUnknown."""
    found = await app_seen_by(world, member, app, MemberRole.OWNER)
    await remove_app(world, found, member.email)


async def add_system_user_by_member(
    world: World, member: Member, name: str, role: SystemRole
) -> SystemUser:
    """``add_system_user`` by an owner; an employee sees no account yet.

    Raises:
        RoleTooLow, ParameterInvalid, TooManySystemUsers: nothing changed.
    """
    member.refuse_below(MemberRole.OWNER)
    return await add_system_user(world, member.portfolio, name, role, (), member.email)


async def change_role_by_member(world: World, member: Member, user: str, role: SystemRole) -> None:
    """Another role; who becomes an employee sees no account yet.

    Raises:
        RoleTooLow, SystemUserUnknown: nothing changed.
    """
    found = await system_user_seen_by(world, member, user, MemberRole.OWNER)
    now = world.clock.now()
    await world.update_system_user(
        found.id, lambda u: access.grant(u, role, u.wabas, member.email, now)
    )


async def grant_account_by_member(world: World, member: Member, user: str, waba: str) -> None:
    """An employee sees one more account. Raises RoleTooLow, SystemUserUnknown, WabaUnknown."""
    found = await system_user_seen_by(world, member, user, MemberRole.OWNER)
    added, now = (await find_waba(world, member, waba)).id, world.clock.now()
    await world.update_system_user(
        found.id, lambda u: access.grant(u, u.role, (*u.wabas, added), member.email, now)
    )


async def withdraw_account_by_member(world: World, member: Member, user: str, waba: str) -> None:
    """An employee sees an account no more; unknown is fine.

    Raises:
        RoleTooLow, SystemUserUnknown: nothing changed.
    """
    found = await system_user_seen_by(world, member, user, MemberRole.OWNER)
    now = world.clock.now()
    await world.update_system_user(
        found.id,
        lambda u: access.grant(
            u, u.role, tuple(one for one in u.wabas if one != waba), member.email, now
        ),
    )


async def remove_system_user_by_member(world: World, member: Member, user: str) -> None:
    """``remove_system_user`` by an owner. Raises RoleTooLow, SystemUserUnknown."""
    found = await system_user_seen_by(world, member, user, MemberRole.OWNER)
    await remove_system_user(world, found, member.email)


async def issue_token_by_member(
    world: World,
    member: Member,
    user: str,
    app: str,
    scopes: Sequence[Scope],
    life: timedelta | None,
    password: str,
) -> str:
    """``issue_token`` by an owner; with one permission at least.

    Raises:
        RoleTooLow, SystemUserUnknown, AppUnknown, ParameterInvalid, SignInRefused, SignInWait,
        TooManyAccessTokens: nothing changed.
    """
    found = await system_user_seen_by(world, member, user, MemberRole.OWNER)
    used = await find_app(world, app, member.portfolio)
    if not scopes:
        raise ParameterInvalid("scopes", "one permission at least")
    access.expiry(life, world.clock.now())
    await confirm_password(world, member, password)
    return await issue_token(world, found, used, scopes, life, member.email)


async def revoke_token_by_member(world: World, member: Member, user: str, reference: str) -> None:
    """``revoke_token`` by an owner.

    Raises:
        RoleTooLow, SystemUserUnknown, AccessTokenUnknown: nothing changed.
    """
    found = await system_user_seen_by(world, member, user, MemberRole.OWNER)
    await revoke_token(world, found, reference, member.email)
