"""The watched store counts what was kept, whatever way it came, and nothing else."""

import inspect
from dataclasses import replace
from typing import Any

import pytest

from nightlatch.domain.audit import Kind
from nightlatch.domain.errors import (
    GuessWait,
    LoginRefused,
    NumberLocked,
    NumberUnknown,
    Overloaded,
    Unavailable,
    WrongPin,
)
from nightlatch.domain.guesses import Guesses
from nightlatch.domain.limits import GUESS_LOCK
from nightlatch.domain.numbers import Decision
from nightlatch.ports import Store
from nightlatch.usecases import clients, two_step
from nightlatch.watching import watched
from nightlatch.watching.store import READS
from tests.counted import counted
from tests.fakes.stores import StoreWith
from tests.people import OWNER, THIEF
from tests.usecases.conftest import Scene, scene

__all__ = ["scene"]


def told(scene: Scene, name: str, **labels: str) -> float:
    return counted(scene.house.metrics, name, **labels)


async def guess(scene: Scene, pin: str) -> None:
    await scene.register(scene.thief, pin)


async def test_guesses_are_counted_as_paid_and_then_as_wrong_or_right(scene: Scene):
    await scene.owner_is_protected()

    with pytest.raises(WrongPin):
        await guess(scene, THIEF.wrong_pin)
    await guess(scene, OWNER.pin)

    results = {
        result: told(scene, "nightlatch_guesses_total", result=result)
        for result in ("paid", "wrong", "right")
    }
    assert results == {"paid": 2, "wrong": 1, "right": 1}


async def test_a_wait_and_a_lock_are_counted_when_they_begin(scene: Scene):
    await scene.owner_is_protected()
    number = await scene.number()

    for _ in range(5):
        with pytest.raises(WrongPin):
            await guess(scene, THIEF.wrong_pin)
    with pytest.raises(GuessWait):
        await guess(scene, THIEF.wrong_pin)
    waits = told(scene, "nightlatch_guess_waits_total")
    await scene.house.store.update(
        number.id, lambda n: Decision(replace(n, guesses=Guesses(run=GUESS_LOCK - 1)))
    )
    with pytest.raises(WrongPin):
        await guess(scene, THIEF.wrong_pin)
    with pytest.raises(NumberLocked):
        await guess(scene, OWNER.pin)

    assert waits == 1
    assert told(scene, "nightlatch_numbers_locked_total") == 1
    assert told(scene, "nightlatch_guesses_total", result="paid") == 6


async def test_registrations_and_the_life_of_two_step_verification_are_counted(scene: Scene):
    await scene.owner_is_protected()
    await two_step.turn_on(scene.world, scene.owner, OWNER.new_pin)
    await two_step.turn_off(scene.world, scene.owner)

    changes = [
        told(scene, "nightlatch_two_step_changes_total", change=change)
        for change in ("on", "changed", "off")
    ]
    steps = [
        told(scene, "nightlatch_registrations_total", step=step)
        for step in ("accepted", "completed", "taken_over")
    ]
    assert changes == [1, 1, 1]
    assert steps == [1, 1, 0]


async def test_every_event_of_the_trail_is_counted_once(scene: Scene):
    before = scene.house.metrics.as_json()["nightlatch_events_total"]["data"]
    await scene.owner_is_protected()
    with pytest.raises(LoginRefused):
        await clients.log_in(scene.world, OWNER.client, "admin", THIEF.wrong_pin, None)

    links = await scene.house.store.newest_events(1_000)
    trail = [link.event.kind for link in links]
    counts = {
        one["labels"]["event"]: one["value"]
        for one in scene.house.metrics.as_json()["nightlatch_events_total"]["data"]
    }
    since = {one["labels"]["event"] for one in before}
    assert counts[Kind.LOGIN_WRONG] == trail.count(Kind.LOGIN_WRONG) == 1
    assert counts[Kind.REGISTRATION_ACCEPTED] == trail.count(Kind.REGISTRATION_ACCEPTED) == 1
    assert counts[Kind.TWO_STEP_ON] == trail.count(Kind.TWO_STEP_ON) == 1
    assert Kind.TWO_STEP_ON not in since


async def test_what_a_change_decided_before_it_was_run_again_is_not_counted(scene: Scene):
    await scene.owner_is_protected()
    number = await scene.number()

    async def twice(id: str, change: Any) -> Any:
        change(number)
        return await scene.house.store.update(id, change)

    store = watched(StoreWith(scene.house.store, update=twice), scene.house.metrics)
    world = scene.other_world(store=store)
    await two_step.turn_on(world, scene.owner, OWNER.new_pin)

    assert told(scene, "nightlatch_two_step_changes_total", change="changed") == 1


async def test_what_was_not_kept_is_not_counted(scene: Scene):
    await scene.owner_is_protected()

    async def fails(id: str, change: Any) -> Any:
        change(await scene.number())
        raise Unavailable

    store = watched(StoreWith(scene.house.store, update=fails), scene.house.metrics)
    with pytest.raises(Unavailable):
        await two_step.turn_on(scene.other_world(store=store), scene.owner, OWNER.new_pin)

    assert told(scene, "nightlatch_two_step_changes_total", change="changed") == 0


@pytest.mark.parametrize(
    ("error", "result"),
    [(Unavailable(), "unavailable"), (Overloaded(), "overloaded"), (NumberUnknown(), "refused"),
     (RuntimeError(), "error")],
)  # fmt: skip
@pytest.mark.parametrize("operation", ["number", "update"])
async def test_each_operation_is_counted_by_how_it_ended(scene: Scene, operation, error, result):
    async def ends(*_: Any) -> Any:
        raise error

    store = watched(StoreWith(scene.house.store, **{operation: ends}), scene.house.metrics)
    with pytest.raises(type(error)):
        await getattr(store, operation)("1", lambda n: n)

    labels = {"operation": operation, "result": result}
    assert told(scene, "nightlatch_store_operations_total", **labels) == 1


async def test_reads_and_writes_are_timed_apart(scene: Scene):
    before = [
        told(scene, "nightlatch_store_seconds_count", kind=kind) for kind in ("read", "write")
    ]
    await scene.world.store.client(OWNER.client)
    await scene.world.store.set_shards(OWNER.client, 2, ())

    after = [told(scene, "nightlatch_store_seconds_count", kind=kind) for kind in ("read", "write")]
    assert [later - sooner for sooner, later in zip(before, after, strict=True)] == [1, 1]


def test_the_methods_that_are_taken_for_reads_are_the_stores_own():
    port = {name for name, _ in inspect.getmembers(Store, inspect.isfunction)}

    assert READS - port <= {"recall", "first_waba", "backlog"}
    writing = ("add", "update", "set", "remove", "lease", "end", "put", "take", "settle", "touch")
    assert [name for name in READS if name.split("_")[0] in writing] == []


async def test_what_is_no_operation_comes_through_as_it_is(scene: Scene):
    assert [link async for link in scene.world.store.audit()]
    assert scene.world.store.path == scene.house.settings.database_file  # type: ignore[attr-defined]  # no port
