"""Business profiles."""

import pytest

from nightlatch.domain.errors import ParameterInvalid
from nightlatch.domain.profiles import Profile
from nightlatch.usecases import profiles
from tests.usecases.conftest import Scene

BY = "system-user:600000000000001"


async def test_a_profile_is_empty_at_first(scene: Scene):
    assert await profiles.profile(scene.world, await scene.number()) == Profile()


async def test_what_was_given_is_kept_and_told_by_name_only(scene: Scene):
    number = await scene.number()

    await profiles.change_profile(
        scene.world, number, BY, about="We sell shrubs", websites=("https://luckyshrub.example",)
    )
    changed = await profiles.change_profile(scene.world, number, BY, vertical="RETAIL")

    assert changed == Profile(
        about="We sell shrubs", websites=("https://luckyshrub.example",), vertical="RETAIL"
    )
    assert await profiles.profile(scene.world, number) == changed
    trail = [link.event async for link in scene.world.store.audit(f"number:{number.id}")]
    assert [(e.kind.value, e.by, e.details) for e in trail[-2:]] == [
        ("profile.changed", BY, (("fields", "about,websites"),)),
        ("profile.changed", BY, (("fields", "vertical"),)),
    ]


async def test_one_bad_thing_changes_nothing_and_tells_nobody(scene: Scene):
    number = await scene.number()
    before = await scene.kinds()

    with pytest.raises(ParameterInvalid):
        await profiles.change_profile(scene.world, number, BY, address="x", vertical="SHRUBS")

    assert await profiles.profile(scene.world, number) == Profile()
    assert await scene.kinds() == before


async def test_nothing_given_leaves_no_trace(scene: Scene):
    number = await scene.number()
    await profiles.change_profile(scene.world, number, BY, about="We sell shrubs")
    before = await scene.kinds()

    same = await profiles.change_profile(scene.world, number, BY)

    assert same == Profile(about="We sell shrubs")
    assert await scene.kinds() == before
