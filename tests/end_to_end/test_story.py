"""The story every release must be able to play, over a real socket."""

from datetime import timedelta

from tests.people import OWNER, THIEF
from tests.town import Town


async def test_the_thief_with_sim_and_certificate_is_refused_for_want_of_the_pin(town: Town):
    await town.owner_is_protected()

    without = await town.thief.register()
    wrong = [await town.thief.register(THIEF.wrong_pin) for _ in range(5)]
    while_waiting = await town.thief.register(OWNER.pin)

    assert without.verdict == (400, 1008)
    assert [reply.verdict for reply in wrong] == [(403, 1005)] * 5
    assert while_waiting.verdict == (429, 1015)
    assert while_waiting.header("Retry-After") == "60"
    assert await town.owner.status() == "connected"
    assert await town.thief.status() == "unregistered"


async def test_the_owner_registers_again_with_the_pin_and_changes_and_resets_it(town: Town):
    await town.owner_is_protected()

    assert (await town.owner.register(OWNER.pin)).status == 201
    assert (await town.owner.set_pin(OWNER.new_pin)).status == 200
    assert (await town.owner.register(OWNER.pin)).verdict == (403, 1005)
    assert (await town.owner.turn_off()).status == 200
    assert (await town.owner.register()).status == 201
    assert (await town.owner.set_pin(OWNER.pin)).status == 200
    assert (await town.owner.register(OWNER.pin)).status == 201


async def test_who_has_code_certificate_and_pin_takes_the_number_over(town: Town):
    await town.owner_is_protected()

    assert (await town.thief.register(OWNER.pin)).status == 202
    assert (await town.thief.verify(await town.code())).status == 201

    assert await town.thief.status() == "connected"
    assert await town.owner.status() == "disconnected"
    assert (await town.owner.turn_off()).verdict == (412, 1011)
    assert (await town.kinds())[-2:] == ["number.registered", "number.taken_over"]


async def test_a_day_of_guessing_compares_ten_pins_and_no_more(town: Town):
    await town.owner_is_protected()

    compared = 0
    for _ in range(24 * 60):
        while (await town.thief.register(THIEF.wrong_pin)).status == 403:
            compared += 1
        town.pass_time(timedelta(minutes=1))

    assert compared == 10
