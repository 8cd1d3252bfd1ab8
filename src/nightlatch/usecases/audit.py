"""Reading the audit trail and checking that nobody changed it."""

from collections.abc import Callable
from dataclasses import dataclass

from nightlatch.domain.audit import Link, first_break
from nightlatch.ports import World

AUDIT_KEY = "audit"
"""The purpose of the key that chains are hashed with."""
_READINGS = 10


@dataclass(frozen=True, slots=True)
class Broken:
    """A chain that is not what it was; *seq* is the first place that does not fit."""

    subject: str
    seq: int


async def verify(
    world: World, progress: Callable[[int, int], None] = lambda _done, _of: None
) -> tuple[int, list[Broken]]:
    """How many chains there are, and those that do not hold.

    *progress* hears after each chain how many are done, of how many.
    """
    heads = await world.store.audit_heads()
    broken = []
    for done, (subject, seq, head) in enumerate(heads, 1):
        place = await _first_break(world, subject, seq, head)
        if place is not None:
            broken.append(Broken(subject, place))
        progress(done, len(heads))
    return len(heads), broken


async def _first_break(world: World, subject: str, seq: int, head: bytes) -> int | None:
    """As the rule says; a chain that grew while it was read is read again."""
    place = None
    for _ in range(_READINGS):
        place = await _read(world, subject, seq, head)
        if place is None:
            break
        ends = {whose: (seq, head) for whose, seq, head in await world.store.audit_heads()}
        if ends.get(subject, (seq, head)) == (seq, head):
            break
        seq, head = ends[subject]
    return place


async def _read(world: World, subject: str, seq: int, head: bytes) -> int | None:
    links: list[Link] = []
    readable = True
    try:
        async for found in world.store.audit(subject):
            links.append(found)  # noqa: PERF401 - those before an unreadable one are kept
    except ValueError:
        readable = False
    place = first_break(audit_key(world), links, seq, head)
    return place if readable else place or len(links) + 1


def audit_key(world: World) -> bytes:
    return world.keys.keyed_hash(AUDIT_KEY, b"")
