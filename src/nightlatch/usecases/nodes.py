"""The objects that an access token may see: numbers, WhatsApp accounts, portfolios, apps."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nightlatch.domain.access import Caller, GraphApp
from nightlatch.domain.errors import NodeUnknown, ParameterInvalid
from nightlatch.domain.numbers import Number
from nightlatch.domain.portfolios import Portfolio, Waba
from nightlatch.ports import World
from nightlatch.usecases import numbers

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Node = Number | Waba | Portfolio | GraphApp


async def find(world: World, caller: Caller, id: str) -> Node:
    """The object with this id.

    Raises:
        NodeUnknown: none, or none that the caller may see.
    """
    node: Node | None = await world.store.number(id)
    node = node or await world.store.waba(id)
    node = node or await world.store.portfolio(id)
    node = node or await world.store.app(id)
    if node is None or not await _is_seen(world, caller, node):
        raise NodeUnknown(id)
    return node


async def _is_seen(world: World, caller: Caller, node: Node) -> bool:
    if isinstance(node, GraphApp):
        return node.id == caller.app.id
    if isinstance(node, Portfolio):
        return caller.user is not None and caller.user.portfolio == node.id
    waba = node if isinstance(node, Waba) else await world.store.waba(node.waba)
    return waba is not None and caller.sees(waba.id, waba.portfolio)


@dataclass(frozen=True, slots=True)
class Page:
    """Some numbers of an account, and where to go from there."""

    numbers: Sequence[Number]
    before: str | None
    """A cursor at the first of them."""
    after: str | None
    """A cursor at the last of them."""
    has_previous: bool
    has_next: bool


async def numbers_of(
    world: World,
    waba: Waba,
    limit: int,
    *,
    newest_first: bool = True,
    after: str | None = None,
    before: str | None = None,
) -> Page:
    """The numbers of an account by when they were registered, behind or ahead of a cursor.

    Who follows the pages one way meets each number that was there at the beginning exactly
    once, whatever is added; one that is registered meanwhile changes its place, and may be
    met twice or not at all. With *after*, *before* is not looked at.

    Raises:
        ParameterInvalid: the cursor is none of ours.
    """
    backwards = before is not None and after is None
    cursor = before if backwards else after
    found = list(
        await world.store.onboarded(
            waba.id,
            None if cursor is None else _place(cursor),
            limit + 1,
            newest_first=newest_first is not backwards,
        )
    )
    more, found = len(found) > limit, found[:limit]
    if backwards:
        found.reverse()
    return Page(
        found,
        _cursor(found[0]) if found else None,
        _cursor(found[-1]) if found else None,
        has_previous=more if backwards else bool(found) and cursor is not None,
        has_next=bool(found) if backwards else more,
    )


async def add_number(
    world: World, caller: Caller, waba: Waba, e164: str, cc: str, name: str
) -> Number:
    """A further number of the account. Raises as ``numbers.add_number``."""
    return await numbers.add_number(world, waba.id, e164, cc, name, caller.name)


async def is_here(world: World, waba: Waba, e164: str) -> bool:
    """Whether the number exists and is this account's."""
    number = await world.store.number_by_e164(e164)
    return number is not None and number.waba == waba.id


def _cursor(number: Number) -> str:
    at = 0
    if number.registered_at is not None:
        at = (number.registered_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(f"{at}.{number.id}".encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[datetime | None, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        at, dot, id = text.partition(".")
        if not (dot and at.isdecimal() and id.isdecimal() and len(id) <= 18):
            raise ValueError
        return (_EPOCH + timedelta(microseconds=int(at)) if int(at) else None), id
    except (ValueError, OverflowError, binascii.Error) as error:
        raise ParameterInvalid("cursor", "one that an earlier page gave") from error
