"""``/v1/settings/account/two-step``: on, another PIN, off."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.faces.onprem.witness import GUESS, Witness
from tests.people import OWNER, THIEF
from tests.town import Town, a_town

PATH = "/settings/account/two-step"


async def test_turning_on_answers_200_and_an_empty_object(town: Town):
    await town.owner_has_registered()

    reply = await town.owner.set_pin(OWNER.pin)

    assert (reply.status, reply.body) == (200, {})
    assert reply.header("Content-Type") == "application/json"


async def test_turning_off_needs_no_pin_and_answers_200_and_an_empty_object(town: Town):
    await town.owner_is_protected()

    reply = await town.owner.turn_off()

    assert (reply.status, reply.body) == (200, {})
    assert (await town.owner.register()).status == 201


@pytest.mark.parametrize("body", [b"", b"{}", b"null"], ids=["empty", "an empty object", "null"])
async def test_turning_off_takes_every_empty_body(town: Town, body):
    await town.owner_is_protected()

    assert (await town.owner.call("DELETE", PATH, body)).status == 200


async def test_turning_off_takes_no_parameters(town: Town, witness: Witness):
    await town.owner_is_protected()

    await witness.refused(
        town.owner.call("DELETE", PATH, {"pin": OWNER.pin}), 400, 1010, secrets=[OWNER.pin]
    )


async def test_setting_another_pin_replaces_the_one_before(town: Town, witness: Witness):
    await town.owner_is_protected()

    assert (await town.owner.set_pin(OWNER.new_pin)).status == 200

    await witness.refused(
        town.owner.register(OWNER.pin),
        403,
        1005,
        secrets=[OWNER.pin],
        may_change=GUESS,
        hashes=1,
    )
    assert (await town.owner.register(OWNER.new_pin)).status == 201


async def test_the_pin_is_never_read_back(town: Town):
    await town.owner_is_protected()

    assert (await town.owner.call("GET", PATH)).verdict == (405, 1025)


async def test_a_pin_is_needed_to_turn_on(town: Town, witness: Witness):
    await town.owner_has_registered()

    bodies: list[Any] = [{}, None, b"null"]
    for body in bodies:
        reply = await witness.refused(town.owner.call("POST", PATH, body), 400, 1008)
        assert "`pin`" in reply.error["details"]


async def test_a_client_that_holds_no_number_has_nothing_to_protect(town: Town, witness: Witness):
    await witness.refused(town.owner.set_pin(OWNER.pin), 412, 1011, secrets=[OWNER.pin])
    await witness.refused(town.owner.turn_off(), 412, 1011)


async def test_a_client_whose_number_was_taken_over_protects_it_no_more(
    town: Town, witness: Witness
):
    await town.owner_is_protected()
    await town.thief.register(OWNER.pin)
    assert (await town.thief.verify(await town.code())).status == 201

    await witness.refused(town.owner.set_pin(OWNER.new_pin), 412, 1011, secrets=[OWNER.new_pin])
    await witness.refused(town.owner.turn_off(), 412, 1011)


async def test_row_27_the_same_pin_again_changes_nothing_and_is_told_nobody(
    town: Town, witness: Witness
):
    await town.owner_is_protected()
    before = witness.rows()

    again = await town.owner.set_pin(OWNER.pin)

    assert (again.status, again.body) == (200, {})
    assert witness.rows() == before


async def test_row_28_change_and_turn_off_at_one_moment_both_answer_and_the_trail_tells_which_was_last(
    town: Town,
):
    await town.owner_is_protected()

    changed, off = await asyncio.gather(town.owner.set_pin(OWNER.new_pin), town.owner.turn_off())

    assert (changed.status, off.status) == (200, 200)
    last = (await town.kinds())[-1]
    assert last in ("two_step.turned_off", "two_step.pin_changed", "two_step.turned_on")
    assert (await town.number()).two_step.is_on == (last != "two_step.turned_off")


async def test_row_29_on_twice_and_off_twice_leave_one_trace_each(town: Town):
    await town.owner_has_registered()

    replies = [
        await town.owner.turn_off(),
        await town.owner.set_pin(OWNER.pin),
        await town.owner.set_pin(OWNER.pin),
        await town.owner.turn_off(),
        await town.owner.turn_off(),
    ]

    assert [reply.status for reply in replies] == [200] * 5
    told = [kind for kind in await town.kinds() if kind.startswith("two_step")]
    assert told == ["two_step.turned_on", "two_step.turned_off"]


async def test_row_29_setting_a_pin_buys_the_thief_no_new_guesses(town: Town, witness: Witness):
    await town.owner_is_protected()
    for _ in range(5):
        assert (await town.thief.register(THIEF.wrong_pin)).verdict == (403, 1005)

    for pin in (OWNER.pin, OWNER.new_pin):
        assert (await town.owner.set_pin(pin)).status == 200
    assert (await town.owner.turn_off()).status == 200
    assert (await town.owner.set_pin(OWNER.pin)).status == 200

    await witness.refused(
        town.thief.register(THIEF.wrong_pin), 429, 1015, secrets=[THIEF.wrong_pin]
    )


async def test_a_weak_pin_is_taken_by_default_because_old_integrations_send_fixed_ones(
    town: Town,
):
    await town.owner_has_registered()

    assert (await town.owner.set_pin("123456")).status == 200


async def test_a_weak_pin_is_refused_where_the_operator_said_so(tmp_path: Path):
    async with a_town(tmp_path / "data", refuse_weak_pins=True) as town:
        await town.owner_has_registered()

        weak = await town.owner.set_pin("123456")
        strong = await town.owner.set_pin(OWNER.pin)

        assert weak.verdict == (400, 1009)
        assert "123456" not in weak.raw.decode()
        assert strong.status == 200
