"""Members of a portfolio: inviting, joining, roles, passwords, authenticator apps."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from nightlatch.domain import members, portfolios
from nightlatch.domain.audit import OPERATOR, Kind
from nightlatch.domain.clients import hash_token
from nightlatch.domain.errors import (
    AppCodeRefused,
    LinkRefused,
    MemberUnknown,
    ParameterInvalid,
    SignInRefused,
)
from nightlatch.domain.limits import MEMBER_PASSWORD_LENGTH, RECOVERY_CODES
from nightlatch.domain.members import (
    App,
    Invitation,
    Member,
    MemberDecision,
    MemberRole,
    MemberSession,
    SignIns,
)
from nightlatch.domain.portfolios import Portfolio, PortfolioDecision
from nightlatch.ports import PortfolioChange, World, bound_to
from nightlatch.usecases.portfolios import find_portfolio
from nightlatch.usecases.signing_in import (
    SignedIn,
    confirm_password,
    hash_recovery,
    in_one_piece,
    new_session,
)

_LINK_BYTES = 32
_KEY_BYTES = 20
_RECOVERY_BYTES = 10
_ID_DIGITS = 14
FIRST_OWNER_LIFE = timedelta(hours=24)


async def first_owner_link(world: World) -> str | None:
    """The token of a fresh one-time link for the first portfolio's first owner.

    Links given before are void. None once anybody is a member.
    """
    first = (await world.store.portfolios())[0]
    if await world.store.members(first.id):
        return None
    token, now = world.chance.token(_LINK_BYTES), world.clock.now()
    invitation = Invitation(
        hash_token(token), first.id, MemberRole.OWNER, "", OPERATOR, now + FIRST_OWNER_LIFE
    )
    await world.store.invite(invitation, (), ())
    return token


async def invite(world: World, member: Member, email: str, role: MemberRole) -> None:
    """Mail an invitation, which makes whoever has the mail a member.

    Raises:
        RoleTooLow, MemberExists, TooManyMembers, ParameterInvalid: nothing changed.
    """
    member.refuse_below(MemberRole.OWNER)
    token, now = world.chance.token(_LINK_BYTES), world.clock.now()
    address = portfolios.read_email(email)
    portfolio = await find_portfolio(world, member.portfolio)
    sealed = world.keys.seal(token.encode(), bound_to("mail", address))
    open_, event, mail = members.invitation(
        hash_token(token), sealed, (portfolio.id, portfolio.name), role, address, member, now
    )
    placed = replace(event, place=world.place)
    await world.store.invite(open_, (placed,), (world.placed_mail(mail),))
    world.nudge()


async def withdraw(world: World, member: Member, email: str) -> None:
    """End an open invitation. Raises RoleTooLow."""
    member.refuse_below(MemberRole.OWNER)
    event = world.event(
        Kind.MEMBER_REMOVED, member.email, world.clock.now(), member=email, invited=True
    )
    await world.store.withdraw(member.portfolio, email, (event,))


async def invitation(world: World, token: str) -> Invitation:
    """The open invitation of a link. Raises LinkRefused."""
    found = await world.store.invitation(hash_token(token), world.clock.now())
    if found is None:
        raise LinkRefused
    return found


async def join(
    world: World,
    token: str,
    email: str,
    name: str,
    password: str,
    agent: str,
    portfolio: tuple[str, str] | None = None,
    by: str = "",
) -> SignedIn:
    """Become a member by an invitation, and sign in.

    *email* is taken only from whoever has the first owner's link; they may
    also give the portfolio's name and address.

    Raises:
        LinkRefused: the link is not good.
        ParameterInvalid: something does not fit; the link stays good.
        MemberExists: the address is a member's.
    """
    invited = await invitation(world, token)
    now = world.clock.now()
    address = portfolios.read_email(invited.email or email)
    person = members.read_person_name(name)
    _refuse_common(world, password, address, person)
    change: PortfolioChange | None = None
    if not invited.email and portfolio is not None:
        title, post = portfolios.read_title(portfolio[0]), portfolios.read_email(portfolio[1])

        def change(p: Portfolio) -> PortfolioDecision:
            return world.placed(portfolios.change(p, title, post, address, now))

    member_id = "4" + world.chance.digits(_ID_DIGITS)
    async with world.hasher.place() as place:
        verifier = await place.make(password, bound_to("member", member_id))
    member = Member(
        id=member_id,
        portfolio=invited.portfolio,
        email=address,
        name=person,
        role=invited.role,
        verifier=verifier,
        joined_at=now,
    )
    begun = new_session(world, member, agent, whole=True)
    joined = world.event(
        Kind.MEMBER_JOINED, by or address, now, member=address, role=member.role.value
    )
    await world.store.join(hash_token(token), member, begun.session, (joined,), change, now)
    world.nudge()
    return begun


async def add_member(
    world: World, portfolio: str, email: str, name: str, role: MemberRole, password: str
) -> Member:
    """A member straight away, by the command line.

    Raises:
        PortfolioUnknown, MemberExists, TooManyMembers, ParameterInvalid: nothing changed.
    """
    await find_portfolio(world, portfolio)
    address, person = portfolios.read_email(email), members.read_person_name(name)
    _refuse_common(world, password, address, person)
    token, now = world.chance.token(_LINK_BYTES), world.clock.now()
    opened = Invitation(
        hash_token(token), portfolio, role, address, OPERATOR, now + FIRST_OWNER_LIFE
    )
    await world.store.invite(opened, (), ())
    begun = await join(world, token, "", name, password, "command line", by=OPERATOR)
    await world.store.end_member_session(begun.session.hash)
    found = await world.store.member(begun.session.member)
    if found is None:
        raise MemberUnknown
    return found


async def people(world: World, member: Member) -> tuple[Sequence[Member], Sequence[Invitation]]:
    """Everybody in the member's portfolio, and who is invited. Raises RoleTooLow."""
    member.refuse_below(MemberRole.OWNER)
    now = world.clock.now()
    return (
        await world.store.members(member.portfolio),
        await world.store.invitations(member.portfolio, now),
    )


async def colleague(world: World, member: Member, id: str) -> Member:
    """Somebody of the member's portfolio. Raises MemberUnknown."""
    found = await world.store.member(id)
    if found is None or found.portfolio != member.portfolio:
        raise MemberUnknown
    return found


async def change_role(world: World, member: Member, id: str, role: MemberRole) -> None:
    """Raises RoleTooLow, MemberUnknown, LastOwner."""
    member.refuse_below(MemberRole.OWNER)
    other = await colleague(world, member, id)
    now = world.clock.now()
    await world.update_member(other.id, lambda m: members.change_role(m, role, member.email, now))


async def remove(world: World, member: Member, id: str) -> None:
    """Remove a member, or oneself, with all sessions.

    Raises:
        RoleTooLow, MemberUnknown, LastOwner: nothing changed.
    """
    if id != member.id:
        member.refuse_below(MemberRole.OWNER)
    other = await colleague(world, member, id)
    event = world.event(Kind.MEMBER_REMOVED, member.email, world.clock.now(), member=other.email)
    await world.store.remove_member(other.id, (event,))


async def change_password(
    world: World, member: Member, session: MemberSession, current: str, password: str
) -> None:
    """Another password; every other session ends.

    Raises:
        SignInRefused, SignInWait: the current one is wrong.
        ParameterInvalid: the new one is too short, too long or too common.
    """
    _refuse_common(world, password, member.email, member.name)
    await confirm_password(world, member, current)
    async with world.hasher.place() as place:
        verifier = await place.make(password, bound_to("member", member.id))
    now, version = world.clock.now(), member.version

    def change(m: Member) -> MemberDecision:
        if m.version != version:
            raise SignInRefused  # changed by somebody else while this ran
        return members.with_password(m, verifier, m.email, now, keep=session.hash)

    await world.update_member(member.id, change)


async def ask_reset(world: World, email: str) -> None:
    """Mail a link that sets another password. Says nothing about who is a member."""
    member = await world.store.member_by_email(email)
    token, now = world.chance.token(_LINK_BYTES), world.clock.now()
    id_ = "" if member is None else member.id
    sealed = world.keys.seal(f"{id_}.{token}".encode(), bound_to("mail", id_))
    if member is None:
        nobody = world.keys.keyed_hash("reset", b"")
        await world.store.update_sign_ins(nobody, lambda _: SignIns(1, now))  # as durable as below
        return
    await world.update_member(
        member.id, lambda m: members.ask_reset(m, hash_token(token), sealed, now)
    )


async def reset_token(world: World, email: str) -> str:
    """A reset link's token for the command line, which mails nothing. Raises MemberUnknown."""
    member = await world.store.member_by_email(email)
    if member is None:
        raise MemberUnknown
    token, now = world.chance.token(_LINK_BYTES), world.clock.now()
    event = world.event(Kind.MEMBER_RESET_ASKED, OPERATOR, now, member=email)
    await world.update_member(
        member.id,
        lambda m: MemberDecision(members.with_reset(m, hash_token(token), now), (event,)),
    )
    return f"{member.id}.{token}"


async def member_of_reset(world: World, link: str) -> Member:
    """The member whose reset link this is. Raises LinkRefused."""
    id_, _, token = link.partition(".")
    member = await world.store.member(id_)
    if member is None:
        raise LinkRefused
    members.refuse_dead_reset(member, hash_token(token), world.clock.now())
    return member


async def follow_reset(world: World, link: str, password: str, agent: str) -> SignedIn:
    """Set another password by the mailed link, and sign in: half-way only when the member has
    an authenticator app. Wrong sign-ins by others do not stand in the way.

    Raises:
        LinkRefused: the link is not good.
        ParameterInvalid: the password does not fit; the link stays good.
    """
    member = await member_of_reset(world, link)
    _refuse_common(world, password, member.email, member.name)
    async with world.hasher.place() as place:
        verifier = await place.make(password, bound_to("member", member.id))
    token_hash = hash_token(link.partition(".")[2])
    begun = new_session(world, member, agent, whole=member.app is None)
    now = world.clock.now()

    def change(m: Member) -> MemberDecision:
        decision = members.follow_reset(m, token_hash, verifier, now)
        return members.and_sign_in(decision, begun.session, now)

    try:
        await world.update_member(member.id, change)
    except MemberUnknown as gone:
        raise LinkRefused from gone
    return begun


# Authenticator apps


@dataclass(frozen=True, slots=True)
class NewApp:
    """A key for an authenticator app, shown once and kept only when its code was entered."""

    sealed: str
    """The key, sealed, to come back with the code."""
    key: str
    """Base32, for typing it in."""
    address: str
    """``otpauth:``, for a QR code."""


def begin_app(world: World, member: Member) -> NewApp:
    """A fresh key."""
    text = world.chance.token(_KEY_BYTES)
    key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    sealed = world.keys.seal(key, bound_to("app", member.id))
    return _shown(world, member, key, sealed)


def again(world: World, member: Member, sealed: str) -> NewApp:
    """The key that ``begin_app`` made, after a wrong code. Raises AppCodeRefused."""
    key, blob = _opened(world, member, sealed)
    return _shown(world, member, key, blob)


async def turn_app_on(
    world: World, member: Member, session: MemberSession, sealed: str, code: str, password: str
) -> list[str]:
    """From now on signing in takes the app's code. Returns the recovery codes, shown once.

    Raises:
        AppCodeRefused: the code does not fit the key.
        AppAlreadyOn: there is an app already.
        SignInRefused, SignInWait: the password is wrong.
    """
    key, blob = _opened(world, member, sealed)
    now = world.clock.now()
    step = world.one_time_codes.step_of(key, in_one_piece(code), now)
    if step is None:
        raise AppCodeRefused
    await confirm_password(world, member, password)
    codes = [_recovery_code(world) for _ in range(RECOVERY_CODES)]
    app = App(blob, step, tuple(hash_recovery(world, member.id, code) for code in codes))
    await world.update_member(member.id, lambda m: members.turn_app_on(m, app, session.hash, now))
    return codes


async def turn_app_off(world: World, member: Member, password: str) -> None:
    """The password alone signs in. Raises SignInRefused, SignInWait."""
    await confirm_password(world, member, password)
    now = world.clock.now()
    await world.update_member(member.id, lambda m: members.turn_app_off(m, m.email, now))


async def drop_app(world: World, email: str) -> None:
    """``turn_app_off`` by the command line, for who lost the app and the recovery codes.

    Raises:
        MemberUnknown: no such member.
    """
    member = await world.store.member_by_email(email)
    if member is None:
        raise MemberUnknown
    now = world.clock.now()
    await world.update_member(member.id, lambda m: members.turn_app_off(m, OPERATOR, now))


def _shown(world: World, member: Member, key: bytes, sealed: bytes) -> NewApp:
    return NewApp(
        base64.urlsafe_b64encode(sealed).decode(),
        base64.b32encode(key).decode().rstrip("="),
        world.one_time_codes.address(key, member.email),
    )


def _opened(world: World, member: Member, sealed: str) -> tuple[bytes, bytes]:
    try:
        blob = base64.urlsafe_b64decode(sealed.encode("ascii"))
        return world.keys.unseal(blob, bound_to("app", member.id)), blob
    except Exception as error:
        raise AppCodeRefused from error


def _recovery_code(world: World) -> str:
    text = world.chance.token(_RECOVERY_BYTES)
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    code = base64.b32encode(raw).decode()
    return "-".join(code[i : i + 4] for i in range(0, len(code), 4))


def _refuse_common(world: World, password: str, email: str, name: str) -> None:
    members.read_new_password(password)
    if world.passwords.is_common(password, (email, *email.split("@"), name, "nightlatch")):
        low, high = MEMBER_PASSWORD_LENGTH
        raise ParameterInvalid(
            "password", f"{low} to {high} characters that are not easily guessed; "
            "a few unrelated words are fine",
        )  # fmt: skip
