"""Reading the audit trail and checking that nobody changed it."""

from dataclasses import dataclass

from nightlatch.domain.audit import first_break
from nightlatch.ports import World

AUDIT_KEY = "audit"
"""The purpose of the key that chains are hashed with."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A chain that is not what it was; *seq* is the first place that does not fit."""

    subject: str
    seq: int


async def verify(world: World) -> tuple[int, list[Broken]]:
    """How many chains there are, and those that do not hold."""
    key = audit_key(world)
    heads = await world.store.audit_heads()
    broken = []
    for subject, seq, head in heads:
        links = [found async for found in world.store.audit(subject)]
        place = first_break(key, links, seq, head)
        if place is not None:
            broken.append(Broken(subject, place))
    return len(heads), broken


def audit_key(world: World) -> bytes:
    return world.keys.keyed_hash(AUDIT_KEY, b"")
