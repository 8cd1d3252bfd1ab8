"""Members signing in and out of the Manager."""

from collections.abc import Sequence
from dataclasses import dataclass

from nightlatch.domain import members
from nightlatch.domain.audit import Kind
from nightlatch.domain.clients import hash_token
from nightlatch.domain.errors import MemberUnknown, SignedOut, SignInRefused
from nightlatch.domain.limits import APP_CODE_WAITS, SIGN_IN_WAITS
from nightlatch.domain.members import Member, MemberDecision, MemberSession, SignIns
from nightlatch.ports import MemberChange, World, bound_to

_AGENT_LENGTH = 120
_SESSION_BYTES = 32


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that has begun. ``token`` goes to the browser and is kept nowhere."""

    token: str
    session: MemberSession


async def sign_in(world: World, email: str, password: str, agent: str) -> SignedIn:
    """Begin a session; only half of one when the member has an authenticator app.

    The sign-in is paid for before anything is compared, and an unknown address
    costs, counts and answers the same as a known one.

    Raises:
        SignInRefused: unknown, or the wrong password.
        SignInWait: refused unread.
        Overloaded: nothing counted.
    """
    member = await world.store.member_by_email(email)
    async with world.hasher.place() as place:
        await _pay(world, "sign-in", email)
        verifier = None if member is None else member.verifier
        bound = bound_to("member", "" if member is None else member.id)
        right = await place.matches(verifier, password, bound)
    if member is None or not right:
        if member is not None:
            await _tell_wrong(world, member)
        raise SignInRefused
    begun = new_session(world, member, agent, whole=member.app is None)
    version, now = member.version, world.clock.now()
    await _update(world, member, lambda m: members.signed_in(m, version, begun.session, "", now))
    if begun.session.whole:
        await _forgive(world, "sign-in", email)
    return begun


async def enter_app_code(world: World, half: MemberSession, code: str, agent: str) -> SignedIn:
    """Finish signing in with the authenticator's code, or with a recovery code; a new session
    takes the place of the half one. Only who knows the password comes here, so the tries
    are counted apart from those at the sign-in page.

    Raises:
        SignInRefused: wrong, or used before. The try is counted.
        SignInWait: refused unread.
        SignedOut: the half session has ended.
    """
    found = await world.store.member_session(half.hash, world.clock.now())
    if found is None or found[0].whole:
        raise SignedOut
    member = found[1]
    if member.app is None:
        raise SignedOut
    code = in_one_piece(code)
    await _pay(world, "app-code", _by_now(member))
    now = world.clock.now()
    begun = new_session(world, member, agent, whole=True)
    recovery = hash_recovery(world, member.id, code)
    step = None
    if is_app_code(code):
        key = world.keys.unseal(member.app.sealed, bound_to("app", member.id))
        step = world.one_time_codes.step_of(key, code, now)
    version = member.version

    def finish(m: Member) -> MemberDecision:
        by_app = is_app_code(code)
        used = members.use_app(m, step) if by_app else members.use_recovery(m, recovery, now)
        way = "app" if by_app else "recovery code"
        inside = members.signed_in(used.member, version, begun.session, way, now)
        return MemberDecision(
            used.member,
            (*used.events, *inside.events),
            session=begun.session,
            end_session=half.hash,
        )

    try:
        await _update(world, member, finish)
    except SignInRefused:
        await _tell_wrong(world, member)
        raise
    await _forgive(world, "app-code", _by_now(member))
    await _forgive(world, "sign-in", member.email)
    return begun


async def whose(world: World, token: str) -> tuple[MemberSession, Member]:
    """Who the browser with this token is.

    Raises:
        SignedOut: nobody, or no longer.
    """
    now = world.clock.now()
    found = await world.store.member_session(hash_token(token), now)
    if found is None:
        raise SignedOut
    return found


async def touch(world: World, session: MemberSession) -> None:
    """The member did something: the session lives on."""
    now = world.clock.now()
    if session.whole and session.should_touch(now):
        await world.store.touch_session(session.hash, now)


async def sign_out(world: World, session: MemberSession) -> None:
    """End this session; once this returns its token opens nothing."""
    await world.store.end_member_session(session.hash)


async def sessions(world: World, member: Member) -> Sequence[MemberSession]:
    """The member's own sessions, the latest first."""
    return await world.store.member_sessions(member.id, world.clock.now())


async def end_session(world: World, member: Member, reference: str) -> None:
    """End one of the member's own sessions, named by ``reference``. Unknown is fine."""
    for session in await world.store.member_sessions(member.id, world.clock.now()):
        if session_reference(session) == reference:
            await world.store.end_member_session(session.hash)


async def end_other_sessions(world: World, member: Member, keep: bytes) -> None:
    """End every session of the member but *keep*."""
    event = world.event(Kind.SESSIONS_ENDED, member.email, world.clock.now())
    await world.update_member(
        member.id, lambda m: MemberDecision(m, (event,), end_sessions=True, keep=keep)
    )


def session_reference(session: MemberSession) -> str:
    """A name for a session that opens nothing."""
    return hash_token(session.hash.hex()).hex()[:16]


async def confirm_password(world: World, member: Member, password: str) -> None:
    """Check the member's password once more, before something that matters.

    Raises:
        SignInRefused: wrong; counted like a wrong sign-in, but apart from those: somebody who
            tries to sign in elsewhere does not stand in the way of who has.
        SignInWait: refused unread.
    """
    async with world.hasher.place() as place:
        await _pay(world, "confirm", _by_now(member))
        right = await place.matches(member.verifier, password, bound_to("member", member.id))
    if not right:
        await _tell_wrong(world, member)
        raise SignInRefused
    await _forgive(world, "confirm", _by_now(member))


def new_session(world: World, member: Member, agent: str, *, whole: bool) -> SignedIn:
    """A session that is not kept yet."""
    token, now = world.chance.token(_SESSION_BYTES), world.clock.now()
    session = MemberSession(
        hash=hash_token(token),
        member=member.id,
        started_at=now,
        seen_at=now,
        whole=whole,
        agent="".join(c for c in agent if c.isprintable())[:_AGENT_LENGTH],
        place=world.place,
    )
    return SignedIn(token, session)


def in_one_piece(code: str) -> str:
    """Without the space that apps show in the middle of a code."""
    return "".join(code.split())


def is_app_code(code: str) -> bool:
    """Whether it has the form of an authenticator's code; others are recovery codes."""
    return len(code) == 6 and code.isascii() and code.isdecimal()


def hash_recovery(world: World, member: str, code: str) -> bytes:
    """Of a recovery code, however it was spaced and spelled."""
    plain = "".join(c for c in code.upper() if c.isalnum())
    return world.keys.keyed_hash("recovery", f"{member}|{plain}".encode())


async def _pay(world: World, what: str, who: str) -> None:
    """*what* is tried by *who*: an address for ``sign-in``, else ``_by_now`` of a member."""
    now = world.clock.now()
    waits = APP_CODE_WAITS if what == "app-code" else SIGN_IN_WAITS
    await world.store.update_sign_ins(_sign_ins_key(world, what, who), lambda s: s.pay(now, waits))


async def _forgive(world: World, what: str, who: str) -> None:
    await world.store.update_sign_ins(_sign_ins_key(world, what, who), lambda _: SignIns())


def _by_now(member: Member) -> str:
    """The member under the present password: another one begins the count anew, so that a reset
    lets the owner in whatever a thief tried who knew the old one."""
    return f"{member.id}|{member.version}"


def _sign_ins_key(world: World, what: str, who: str) -> bytes:
    return world.keys.keyed_hash(what, who.encode("utf-8", "surrogatepass"))


async def _tell_wrong(world: World, member: Member) -> None:
    wrong = world.event(Kind.SIGN_IN_WRONG, member.email, world.clock.now())
    await _update(world, member, lambda m: MemberDecision(m, (wrong,)))


async def _update(world: World, member: Member, change: MemberChange) -> Member:
    """As the store's, for somebody who is signing in."""
    try:
        return await world.update_member(member.id, change)
    except MemberUnknown as gone:  # removed while this ran
        raise SignInRefused from gone
