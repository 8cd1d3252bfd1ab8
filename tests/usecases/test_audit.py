"""Checking the trail: what somebody does to the database is found."""

import sqlite3
from typing import Any

import pytest

from nightlatch.domain.errors import WrongPin
from nightlatch.usecases import audit, numbers
from nightlatch.usecases.audit import Broken
from tests.fakes.stores import StoreWith
from tests.people import E164, OWNER, THIEF
from tests.usecases.conftest import Scene


async def a_trail(scene: Scene) -> str:
    """The owner's first day and one wrong guess; the number's subject."""
    await scene.owner_is_protected()
    with pytest.raises(WrongPin):
        await scene.register(scene.thief, THIEF.wrong_pin)
    return f"number:{(await scene.number()).id}"


def tamper(scene: Scene, sql: str, *values: Any) -> None:
    """Change the database behind Nightlatch's back."""
    connection = sqlite3.connect(scene.house.settings.database_file)
    try:
        with connection:
            assert connection.execute(sql, values).rowcount == 1
    finally:
        connection.close()


async def test_untouched_chains_hold(scene: Scene):
    await a_trail(scene)
    heard: list[tuple[int, int]] = []

    count, broken = await audit.verify(scene.world, lambda done, of: heard.append((done, of)))

    assert (count, broken) == (4, [])
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    "change",
    [
        "kind = 'guess.right'",
        "kind = 'no such kind'",
        "kind = x'ff'",
        "by = 'operator'",
        "by = x'00'",
        "at = at + 1",
        "at = 'noon'",
        "at = 9223372036854775807",
        "details = '[]'",
        "details = 'no JSON'",
        "details = '7'",
        "hash = zeroblob(32)",
        "hash = 'text'",
        "seq = 99",
    ],
)
async def test_an_edit_is_found_where_it_was_made(scene: Scene, change):
    subject = await a_trail(scene)

    tamper(scene, f"UPDATE audit SET {change} WHERE subject = ? AND seq = 3", subject)

    assert await audit.verify(scene.world) == (4, [Broken(subject, 3)])


async def test_a_deletion_is_found(scene: Scene):
    subject = await a_trail(scene)

    tamper(scene, "DELETE FROM audit WHERE subject = ? AND seq = 2", subject)

    assert (await audit.verify(scene.world))[1] == [Broken(subject, 2)]


async def test_a_cut_tail_is_found(scene: Scene):
    subject = await a_trail(scene)
    last = len(await scene.kinds())

    tamper(scene, "DELETE FROM audit WHERE subject = ? AND seq = ?", subject, last)

    assert (await audit.verify(scene.world))[1] == [Broken(subject, last)]


async def test_a_head_that_was_put_back_is_found(scene: Scene):
    subject = await a_trail(scene)
    last = len(await scene.kinds())

    tamper(
        scene,
        "UPDATE numbers SET audit_seq = audit_seq - 1, audit_head ="
        " (SELECT hash FROM audit WHERE subject = ? AND seq = audit_seq - 1)",
        subject,
    )

    assert (await audit.verify(scene.world))[1] == [Broken(subject, last + 1)]


async def test_an_unreadable_row_behind_the_end_is_found(scene: Scene):
    subject = await a_trail(scene)
    last = len(await scene.kinds())

    tamper(
        scene,
        "INSERT INTO audit (subject, seq, at, kind, by, details, hash)"
        " VALUES (?, ?, 0, 'no such kind', 'x', '[]', zeroblob(32))",
        subject,
        last + 1,
    )

    assert (await audit.verify(scene.world))[1] == [Broken(subject, last + 1)]


async def test_a_chain_that_grows_while_it_is_read_is_no_false_alarm(scene: Scene):
    await a_trail(scene)
    real = scene.world.store.audit_heads
    grown: list[Any] = []

    async def heads_then_an_event() -> Any:
        heads = await real()
        if not grown:
            grown.append(
                await numbers.unlock(scene.world, await numbers.find_number(scene.world, E164))
            )
        return heads

    world = scene.other_world(store=StoreWith(scene.world.store, audit_heads=heads_then_an_event))

    assert (await audit.verify(world))[1] == []
    assert grown


async def test_a_chain_that_never_stops_growing_is_not_waited_for(scene: Scene):
    subject = await a_trail(scene)
    real = scene.world.store.audit_heads
    heads: list[Any] = []

    async def heads_then_an_event() -> Any:
        heads.append(await real())
        await numbers.unlock(scene.world, await numbers.find_number(scene.world, E164))
        return heads[-1]

    world = scene.other_world(store=StoreWith(scene.world.store, audit_heads=heads_then_an_event))
    broken = (await audit.verify(world))[1]

    assert [one.subject for one in broken] == [subject]
    assert len(heads) == 11


async def test_the_trail_names_who_did_what_and_holds_no_secret(scene: Scene):
    subject = await a_trail(scene)

    trail = [link.event async for link in scene.world.store.audit(subject)]

    assert {event.by for event in trail} == {"operator", "main/admin", "thief/admin"}
    told = repr(trail)
    for secret in (OWNER.pin, THIEF.wrong_pin, scene.certificate):
        assert secret not in told
