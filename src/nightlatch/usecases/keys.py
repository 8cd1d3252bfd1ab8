"""Sealing every stored value anew with the key ring's newest key. No PIN is needed."""

from collections.abc import Callable

from nightlatch.domain.errors import Unavailable
from nightlatch.ports import SealedValue, World

_AT_ONCE = 1_000


async def rewrap(
    world: World, kid: str, progress: Callable[[int, int], None]
) -> tuple[int, list[SealedValue]]:
    """Seal with the newest key whatever another key sealed.

    *kid* is that newest key; *progress* hears how many are done and how many
    there are. Returns how many were sealed anew, and those that could not be
    opened and were left alone. What others seal with an old key meanwhile is
    caught by calling this again.
    """
    values = await world.store.sealed_with_others(kid)
    unreadable: list[SealedValue] = []
    done = 0
    for start in range(0, len(values), _AT_ONCE):
        changes = []
        for value in values[start : start + _AT_ONCE]:
            try:
                plain = world.keys.unseal(value.sealed, value.bound_to)
            except Unavailable:
                unreadable.append(value)
            else:
                changes.append((value, world.keys.seal(plain, value.bound_to)))
        done += await world.store.replace_sealed(changes)
        progress(min(start + _AT_ONCE, len(values)), len(values))
    return done, unreadable
