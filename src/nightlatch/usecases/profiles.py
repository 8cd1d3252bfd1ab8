"""Business profiles."""

from nightlatch.domain import profiles
from nightlatch.domain.audit import Kind
from nightlatch.domain.numbers import Number
from nightlatch.domain.profiles import Profile
from nightlatch.ports import World


async def profile(world: World, number: Number) -> Profile:
    """The number's business profile."""
    return await world.store.profile(number.id)


async def change_profile(
    world: World, number: Number, by: str, **given: str | tuple[str, ...]
) -> Profile:
    """Put what was *given* in place of what the profile says. Raises ParameterInvalid."""
    if not given:
        return await profile(world, number)
    event = world.event(Kind.PROFILE_CHANGED, by, world.clock.now(), fields=",".join(sorted(given)))
    return await world.store.update_profile(
        number.id, lambda before: profiles.change(before, **given), (event,)
    )
