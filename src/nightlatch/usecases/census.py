"""How the ledgers of all numbers at the Cloud API stand, for whoever watches the whole."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from nightlatch.domain.ledger import Act
from nightlatch.ports import World

_PAGE = 100
_NEAR = 1
"""A number with so few attempts left is near its limit."""


@dataclass(frozen=True, slots=True)
class Ledgers:
    """What was found."""

    linked: int = 0
    unknown: int = 0
    """Numbers of which nobody knows what became of an attempt."""
    near: Counter[Act] = field(default_factory=Counter)
    """Numbers with one attempt or none left before the next safe time."""
    closed: Counter[Act] = field(default_factory=Counter)
    """Numbers for which Meta wants no more of an act for now."""


async def ledgers(world: World) -> Ledgers:
    """Read every linked number, some at a time, so that nobody waits for it."""
    near: Counter[Act] = Counter(dict.fromkeys(Act, 0))
    closed: Counter[Act] = Counter(dict.fromkeys(Act, 0))
    linked = unknown = 0
    for link in await world.store.links():
        after = ""
        while page := await world.store.linked_numbers(link.waba, after, _PAGE):
            now = world.clock.now()
            for number in page:
                ledger = number.ledger
                linked += 1
                unknown += number.under_way is not None and number.under_way.unknown
                if ledger.used or ledger.closed:
                    near.update(act for act in Act if ledger.left(act, now) <= _NEAR)
                    closed.update(act for act in Act if ledger.closed_until(act, now) is not None)
            after = page[-1].e164
            await asyncio.sleep(0)
    return Ledgers(linked, unknown, near, closed)
