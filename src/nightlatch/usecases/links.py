"""Linked accounts: WhatsApp accounts whose numbers live at the Cloud API."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from nightlatch.domain import linked
from nightlatch.domain import links as rules
from nightlatch.domain.audit import OPERATOR, Kind
from nightlatch.domain.clients import FIRST_CLIENT
from nightlatch.domain.errors import (
    CloudRefused,
    CloudUnreached,
    LinkExists,
    LinkUnknown,
    NumberExists,
    ParameterInvalid,
    Refusal,
)
from nightlatch.domain.limits import DISPLAY_NAME_LENGTH
from nightlatch.domain.linked import META_SAID, LinkedDecision, LinkedNumber, MetaRefusal, Reason
from nightlatch.domain.links import META, CloudLink, TokenFacts
from nightlatch.domain.members import Member, MemberRole
from nightlatch.domain.numbers import read_e164
from nightlatch.domain.registration import release as release_local
from nightlatch.ports import (
    CloudAccess,
    CloudNoAnswer,
    CloudNotSent,
    CloudRefusal,
    FoundNumber,
    FoundPage,
    LinkedChange,
    World,
    bound_to,
)
from nightlatch.usecases.clients import find_client
from nightlatch.usecases.portfolios import find_portfolio
from nightlatch.usecases.signing_in import confirm_password

_VERIFY_BYTES = 24
_PER_PAGE = 100

T = TypeVar("T")


async def link(
    world: World,
    portfolio: str,
    waba: str,
    token: str,
    *,
    secret: str | None = None,
    verify_token: str | None = None,
    base: str = META,
    version: str = "v23.0",
    clients: Sequence[str] = (FIRST_CLIENT,),
    set_again: bool = False,
    by: str = OPERATOR,
) -> CloudLink:
    """Link an account, once Meta says that the token is good for it.

    Raises:
        ParameterInvalid, PortfolioUnknown, ClientUnknown, LinkExists, TooManyLinks: not kept.
        TokenUnfit: the token does not live, or lacks what managing numbers needs.
        CloudUnreached, CloudAccessLost, CloudCallsSpent, CloudRefused: Meta could not be asked.
    """
    rules.read_account(waba)
    await find_portfolio(world, portfolio)
    await _refuse_unknown_clients(world, clients)
    if await world.store.link(waba) is not None:
        raise LinkExists
    now = world.clock.now()
    verify = rules.read_secret(verify_token or world.chance.token(_VERIFY_BYTES), "verify_token")
    fresh = CloudLink(
        waba=waba,
        portfolio=portfolio,
        name="",
        token=_sealed(world, waba, rules.read_token(token)),
        secret=None if secret is None else _sealed(world, waba, rules.read_secret(secret)),
        verify_token=_sealed(world, waba, verify),
        base=rules.read_base(base),
        version=rules.read_version(version),
        clients=tuple(dict.fromkeys(clients)),
        set_again=set_again,
        linked_at=now,
    )
    known = await _known_token(world, fresh)
    shown = await _called(lambda: world.cloud.account_name(speaking(world, fresh)))
    name = "".join(c for c in shown if c.isprintable())[:DISPLAY_NAME_LENGTH].strip()
    named = replace(known, name=name or waba)
    event = world.event(Kind.LINK_ADDED, by, now, waba=waba, name=named.name)
    await world.store.add_link(named, (event,))
    return named


async def _known_token(world: World, one: CloudLink) -> CloudLink:
    """With what Meta says about the token. Raises TokenUnfit, and what ``asked`` raises."""
    facts = await _called(lambda: world.cloud.token(speaking(world, one)))
    now = world.clock.now()
    facts.refuse_unfit(one.waba, now)
    return rules.told_of_token(one, facts, now).link


async def links(world: World, portfolio: str | None = None) -> Sequence[CloudLink]:
    """Of one portfolio, or all."""
    return await world.store.links(portfolio)


async def find_link(world: World, waba: str, portfolio: str | None = None) -> CloudLink:
    """Raises LinkUnknown, also for another portfolio's."""
    found = await world.store.link(waba)
    if found is None or portfolio not in (None, found.portfolio):
        raise LinkUnknown
    return found


async def link_of(world: World, number: LinkedNumber) -> CloudLink:
    """The link of a number's account. Raises LinkUnknown."""
    return await find_link(world, number.waba)


async def check_token(world: World, one: CloudLink) -> CloudLink:
    """Ask Meta what the token is good for, and whether webhooks come; keeps the answers.

    Raises:
        CloudUnreached, CloudCallsSpent, CloudRefused: Meta could not be asked.
        CloudAccessLost: Meta refuses the token; that is kept, too.
    """
    facts = await asked(world, one, lambda access: _facts_of_token(world, access))
    app = facts.app
    subscribed = await asked(world, one, lambda access: world.cloud.is_subscribed(access, app))
    now = world.clock.now()
    return await world.update_link(
        one.waba,
        lambda stored: rules.told_of_token(replace(stored, subscribed=subscribed), facts, now),
    )


async def _facts_of_token(world: World, access: CloudAccess) -> TokenFacts:
    facts = await world.cloud.token(access)
    if not facts.valid:  # which Meta says without refusing
        raise CloudRefusal(MetaRefusal(Reason.TOKEN, 0))
    return facts


async def renew_token(world: World, one: CloudLink, token: str, by: str = OPERATOR) -> CloudLink:
    """Another access token, once Meta says that it is good. Raises as ``link``."""
    sealed = _sealed(world, one.waba, rules.read_token(token))
    known = await _known_token(world, replace(one, token=sealed))
    now = world.clock.now()

    def change(stored: CloudLink) -> rules.LinkDecision:
        fresh = replace(stored, token=sealed, facts=known.facts, facts_at=now, lost_at=None)
        return rules.changed(stored, fresh, "token", by, now)

    return await world.update_link(one.waba, change)


async def change_link(
    world: World,
    one: CloudLink,
    *,
    secret: str | None = None,
    version: str | None = None,
    base: str | None = None,
    clients: Sequence[str] | None = None,
    set_again: bool | None = None,
    by: str = OPERATOR,
) -> CloudLink:
    """Other settings; None leaves one as it is. Raises ParameterInvalid, ClientUnknown."""
    fresh: dict[str, object] = {}
    if secret is not None:
        fresh["secret"] = _sealed(world, one.waba, rules.read_secret(secret))
    if version is not None:
        fresh["version"] = rules.read_version(version)
    if base is not None:
        fresh["base"] = rules.read_base(base)
    if clients is not None:
        await _refuse_unknown_clients(world, clients)
        fresh["clients"] = tuple(dict.fromkeys(clients))
    if set_again is not None:
        fresh["set_again"] = set_again
    what, now = ", ".join(fresh), world.clock.now()

    def change(stored: CloudLink) -> rules.LinkDecision:
        if not fresh:
            return rules.LinkDecision(stored)
        return rules.changed(stored, replace(stored, **fresh), what, by, now)  # type: ignore[arg-type]  # the names above

    return await world.update_link(one.waba, change)


async def unlink(world: World, one: CloudLink, by: str = OPERATOR) -> None:
    """Forget the account, its numbers and their PINs; at Meta nothing changes.

    Raises LinkUnknown.
    """
    event = world.event(Kind.LINK_REMOVED, by, world.clock.now(), waba=one.waba, name=one.name)
    await world.store.remove_link(one.waba, (event,))


async def subscribe(world: World, one: CloudLink, by: str = OPERATOR) -> CloudLink:
    """Let the account's webhooks come to the token's app. Raises as ``check_token``."""
    await asked(world, one, world.cloud.subscribe)
    now = world.clock.now()
    return await world.update_link(
        one.waba,
        lambda stored: rules.changed(
            stored, replace(stored, subscribed=True), "subscription", by, now
        ),
    )


def verify_token_of(world: World, one: CloudLink) -> str:
    """What Meta is to be told when the webhook address is set."""
    return world.keys.unseal(one.verify_token, bound_to("link", one.waba)).decode()


def callback_path(waba: str) -> str:
    """Where Meta sends the account's webhooks."""
    return f"/cloud/{waba}/webhook"


# Numbers


@dataclass(frozen=True, slots=True)
class Found:
    """What a reading of an account's numbers found."""

    added: int
    seen: int
    skipped: tuple[str, ...]
    """Numbers that this registry has itself, or that cannot be read, as Meta shows them."""


async def read_numbers(
    world: World, one: CloudLink, progress: Callable[[int], None], *, patient: bool = False
) -> Found:
    """Read all the account's numbers: new ones are added, known ones brought up to date.

    Cut short, the next call goes on where it stopped. *progress* hears how many were read.

    Raises:
        CloudUnreached, CloudAccessLost, CloudCallsSpent, CloudRefused: what was read is kept.
    """
    added = seen = 0
    skipped: list[str] = []
    cursor, kept = one.cursor, bool(one.cursor)
    while True:
        began = world.clock.now()
        try:
            page = await _page(world, one, cursor, patient=patient)
        except CloudRefused:
            if not kept:
                raise
            cursor, kept = "", False  # Meta forgets where a list went on
            continue
        kept = False
        more, left_out = await _take_in(world, one, page, began)
        added += more
        skipped += left_out
        seen += len(page.numbers)
        progress(seen)
        cursor = page.next
        await world.update_link(one.waba, _read_until(cursor, world))
        if not cursor:
            return Found(added, seen, tuple(skipped))


async def _page(world: World, one: CloudLink, after: str, *, patient: bool) -> FoundPage:
    return await asked(
        world, one, lambda access: world.cloud.numbers(access, after, _PER_PAGE), patient=patient
    )


async def _take_in(
    world: World, one: CloudLink, page: FoundPage, began: datetime
) -> tuple[int, list[str]]:
    """Keep what a page shows; how many numbers were added, and which were left out."""
    added, skipped = 0, []
    changes: list[tuple[str, LinkedChange]] = []
    for found in page.numbers:
        facts = replace(found.facts, at=began)
        known = await world.store.linked(found.id)
        if known is None:
            if await _add(world, one, found, facts):
                added += 1
            else:
                skipped.append(found.shown)
        elif known.under_way is None:
            changes.append((found.id, _observing(world, facts)))
        else:
            await _settle(world, known, facts)
    await world.store.observe_linked(changes)
    return added, skipped


def _observing(world: World, facts: linked.Facts) -> LinkedChange:
    now = world.clock.now()
    return lambda n: linked.reconcile(n, _key_of(n), facts, now)


def _key_of(number: LinkedNumber) -> str:
    return "" if number.under_way is None else number.under_way.key


def _read_until(cursor: str, world: World) -> Callable[[CloudLink], rules.LinkDecision]:
    now = world.clock.now()

    def change(stored: CloudLink) -> rules.LinkDecision:
        read_at = stored.read_at if cursor else now
        return rules.LinkDecision(replace(stored, cursor=cursor, read_at=read_at))

    return change


async def _add(world: World, one: CloudLink, found: FoundNumber, facts: linked.Facts) -> bool:
    """Whether the number was added; not when this registry has it, or Meta hides it."""
    now = world.clock.now()
    try:
        e164 = read_e164("+" + "".join(c for c in found.shown if c in "0123456789"))
        number = LinkedNumber(
            id=found.id, e164=e164, cc="", waba=one.waba, found_at=now, facts=facts
        )
        event = world.event(Kind.LINKED_FOUND, "meta", now, number=e164)
        await world.store.add_linked(number, (event,))
    except (ParameterInvalid, NumberExists):
        return False
    return True


async def read_number(world: World, one: CloudLink, number: LinkedNumber) -> LinkedNumber:
    """The number as Meta shows it now; tells what became of an attempt that was not answered.

    Raises:
        CloudUnreached, CloudAccessLost, CloudCallsSpent, LinkedNumberUnknown, CloudRefused:
            nothing is known, so nothing may be attempted.
    """
    began = world.clock.now()
    found = await asked(world, one, lambda access: world.cloud.number(access, number.id))
    stored = await world.store.linked(number.id)
    return await _settle(world, stored or number, replace(found.facts, at=began))


async def _settle(world: World, number: LinkedNumber, facts: linked.Facts) -> LinkedNumber:
    """Keep what Meta shows; a registration that this shows to have succeeded takes the client."""
    under_way, change = number.under_way, _observing(world, facts)
    if under_way is None or under_way.client is None:
        return await world.update_linked(number.id, change)
    now, served = world.clock.now(), await world.store.linked_of(under_way.client)
    at = None if served is None or served.id == number.id else served.registered_at
    if at is None or at < under_way.at:
        return await take(world, number, under_way.client, META_SAID, change)
    # The client registered another number since, and goes on serving that one.
    await world.update_linked(number.id, change)
    return await world.update_linked(number.id, lambda n: linked.release(n, META_SAID, now))


async def take(
    world: World,
    number: LinkedNumber,
    client: str,
    by: str,
    settle: Callable[[LinkedNumber], LinkedDecision],
) -> LinkedNumber:
    """Settle a registration; whatever else the client held or served it does no more."""
    now = world.clock.now()
    return await world.store.take_linked(
        number.id,
        client,
        lambda n: world.placed(settle(n)),
        lambda other: world.placed(linked.release(other, by, now)),
        lambda local: world.placed(release_local(local, by, now)),
    )


# Speaking to Meta


def speaking(world: World, one: CloudLink, *, patient: bool = False) -> CloudAccess:
    """How to speak for the account. Raises Unavailable when the key ring lacks a key."""
    owner = bound_to("link", one.waba)
    secret = None if one.secret is None else world.keys.unseal(one.secret, owner).decode()
    token = world.keys.unseal(one.token, owner).decode()
    return CloudAccess(one.waba, one.base, one.version, token, secret, patient)


async def asked(
    world: World,
    one: CloudLink,
    ask: Callable[[CloudAccess], Awaitable[T]],
    *,
    patient: bool = False,
) -> T:
    """Ask Meta something that changes nothing there, and keep whether it takes the token.

    Raises:
        CloudUnreached: no answer.
        CloudAccessLost, CloudCallsSpent, LinkedNumberUnknown, CloudRefused ...: what it said.
    """
    access = speaking(world, one, patient=patient)
    try:
        answer = await ask(access)
    except CloudRefusal as said:
        raise await told_no(world, one, said.answer) from None
    except (CloudNotSent, CloudNoAnswer):
        raise CloudUnreached from None
    if one.lost_at is not None:
        now = world.clock.now()
        await world.update_link(one.waba, lambda stored: rules.regain(stored, now))
    return answer


async def told_no(world: World, one: CloudLink, answer: MetaRefusal) -> Refusal:
    """Our refusal for Meta's; that it refuses the token is kept."""
    if answer.reason is Reason.TOKEN:
        now = world.clock.now()
        await world.update_link(one.waba, lambda stored: rules.lose(stored, now))
    return answer.as_refusal()


async def _called(call: Callable[[], Awaitable[T]]) -> T:
    """The same for an account that is not linked yet."""
    try:
        return await call()
    except CloudRefusal as said:
        raise said.answer.as_refusal() from None
    except (CloudNotSent, CloudNoAnswer):
        raise CloudUnreached from None


def _sealed(world: World, waba: str, text: str) -> bytes:
    return world.keys.seal(text.encode(), bound_to("link", waba))


async def _refuse_unknown_clients(world: World, clients: Sequence[str]) -> None:
    for name in clients:
        await find_client(world, name)


# By members


async def link_by_member(
    world: World,
    member: Member,
    password: str,
    waba: str,
    token: str,
    *,
    secret: str | None = None,
    base: str = META,
    version: str = "v23.0",
    clients: Sequence[str] = (FIRST_CLIENT,),
    set_again: bool = False,
) -> CloudLink:
    """``link`` to the member's portfolio, by an owner whose password is asked for again.

    Raises:
        RoleTooLow, SignInRefused, SignInWait: nothing changed.
    """
    member.refuse_below(MemberRole.OWNER)
    await confirm_password(world, member, password)
    return await link(
        world, member.portfolio, waba, token, secret=secret, base=base, version=version,
        clients=clients, set_again=set_again, by=member.email,
    )  # fmt: skip


async def renew_token_by_member(
    world: World, member: Member, password: str, one: CloudLink, token: str
) -> CloudLink:
    """``renew_token`` by an owner, as ``link_by_member``."""
    member.refuse_below(MemberRole.OWNER)
    await confirm_password(world, member, password)
    return await renew_token(world, one, token, member.email)


async def change_by_member(
    world: World,
    member: Member,
    one: CloudLink,
    *,
    secret: str | None = None,
    version: str | None = None,
    clients: Sequence[str] | None = None,
    set_again: bool | None = None,
) -> CloudLink:
    """``change_link`` by an owner. Raises RoleTooLow."""
    member.refuse_below(MemberRole.OWNER)
    return await change_link(
        world, one, secret=secret, version=version, clients=clients, set_again=set_again,
        by=member.email,
    )  # fmt: skip


async def unlink_by_member(world: World, member: Member, password: str, one: CloudLink) -> None:
    """``unlink`` by an owner, as ``link_by_member``."""
    member.refuse_below(MemberRole.OWNER)
    await confirm_password(world, member, password)
    await unlink(world, one, member.email)
