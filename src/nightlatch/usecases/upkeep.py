"""Looking after numbers at the Cloud API: what became of attempts, and what is left to do."""

from datetime import timedelta

from nightlatch.domain import linked
from nightlatch.domain.errors import LinkedNumberUnknown, Refusal
from nightlatch.domain.limits import CLOUD_FRESH, CLOUD_SECONDS
from nightlatch.domain.linked import META_SAID, LinkedNumber
from nightlatch.domain.links import CloudLink
from nightlatch.ports import World
from nightlatch.usecases import bridge
from nightlatch.usecases.links import link_of, links, read_number, read_numbers

_AT_ONCE = 20
_LEASE = timedelta(seconds=3 * CLOUD_SECONDS)


async def look_after(world: World) -> int:
    """See to the numbers that are due, one after the other; how many there were.

    Several nodes may call it at once: each number is looked after by one.
    """
    now = world.clock.now()
    due = await world.store.linked_due(now, now + _LEASE, _AT_ONCE)
    for number in due:
        try:
            one = await link_of(world, number)
            await _see_to(world, one, await read_number(world, one, number))
        except Refusal:
            await _later(world, number)
    return len(due)


async def _later(world: World, number: LinkedNumber) -> None:
    now = world.clock.now()
    try:
        await world.update_linked(number.id, lambda n: linked.look_later(n, now))
    except LinkedNumberUnknown:
        return  # unlinked meanwhile


async def _see_to(world: World, one: CloudLink, number: LinkedNumber) -> None:
    """What is left to do once Meta was read. Raises what the attempt raises."""
    if number.under_way is not None:
        return
    vault = number.vault
    kept = vault.to_set_again
    if number.set_again and kept is not None:
        what = bridge.setting_pin(world, number, kept, META_SAID)
        await bridge.attempt(world, one, number, what)
    elif linked.name_is_due(number, world.clock.now()) and vault.current is not None:
        what = bridge.registering(world, number, vault.current, number.holder, META_SAID)
        await bridge.attempt(world, one, number, what)
    elif number.due_at is not None:  # Meta does not show what we want to see
        await _later(world, number)


async def refresh_links(world: World) -> int:
    """Read all the numbers of the accounts that were not read for CLOUD_FRESH; how many were.

    Meta's limits of calls are spared. An account that cannot be read is left for the next time.
    """
    done = 0
    for one in await links(world):
        now = world.clock.now()
        if one.read_at is not None and now < one.read_at + CLOUD_FRESH:
            continue
        try:
            await read_numbers(world, one, lambda _: None, patient=True)
        except Refusal:
            continue
        done += 1
    return done
