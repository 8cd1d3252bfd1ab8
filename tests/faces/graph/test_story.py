"""The story of the design, played over Graph and /v1: one registry, two faces."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from nightlatch.domain.limits import GUESS_LOCK
from nightlatch.domain.numbers import Decision
from nightlatch.usecases import numbers
from tests.faces.graph.desk import Desk, a_desk
from tests.faces.graph.sight import Sight
from tests.people import OWNER, THIEF
from tests.town import a_town

STATE = "status,platform_type,is_pin_enabled,code_verification_status,quality_rating"


async def test_a_number_is_verified_registered_and_its_pin_replaced(desk: Desk):
    before = (await desk.read(STATE)).body
    await desk.verify()
    registered = await desk.register(OWNER.pin)
    after = (await desk.read(STATE)).body
    replaced = await desk.set_pin(OWNER.new_pin)

    assert before == {
        "status": "PENDING",
        "platform_type": "NOT_APPLICABLE",
        "is_pin_enabled": False,
        "code_verification_status": "NOT_VERIFIED",
        "quality_rating": "UNKNOWN",
        "id": desk.number,
    }
    assert registered.body == {"success": True}
    assert after == {
        "status": "CONNECTED",
        "platform_type": "CLOUD_API",
        "is_pin_enabled": True,
        "code_verification_status": "VERIFIED",
        "quality_rating": "GREEN",
        "id": desk.number,
    }
    assert replaced.body == {"success": True}
    assert (await desk.register(OWNER.pin)).verdict == (400, 133005)
    assert (await desk.register(OWNER.new_pin)).body == {"success": True}


async def test_a_thief_with_a_right_code_does_not_get_past_the_pin(desk: Desk, sight: Sight):
    """The wrong PIN is compared, counted, slowed, and in the end refused unread."""
    await desk.move_in(OWNER.pin)

    for _ in range(5):
        wrong = await sight.refused(
            desk.register(THIEF.wrong_pin), 400, 133005, secrets=[THIEF.wrong_pin], guesses=1
        )
    fast = await sight.refused(desk.register(OWNER.pin), 400, 133009, secrets=[OWNER.pin])
    for wait in (60, 300, 900, 900, 3_600):
        desk.town.pass_time(wait)
        assert (await desk.register(THIEF.wrong_pin)).verdict[1] in (133005, 133016)
    number = await desk.town.number()

    assert wrong.body["error"] == {
        "message": "(#133005) Two step verification PIN Mismatch",
        "type": "OAuthException",
        "code": 133005,
        "fbtrace_id": wrong.error["fbtrace_id"],
    }
    assert fast.error["message"] == "(#133009) Two step verification PIN Guessed Too Fast"
    assert fast.details == "The PIN was not looked at. Try again after 60 seconds."
    assert fast.header("Retry-After") == "60"
    assert number.two_step.is_on
    assert number.holder is not None


async def test_the_tenth_wrong_pin_closes_the_number_for_a_day(tmp_path):
    async with a_town(tmp_path / "data", graph_wrong_pin_free=True) as town:
        desk = await a_desk(town)
        await desk.move_in(OWNER.pin)
        for wait in (0, 0, 0, 0, 0, 60, 300, 900, 900, 3_600):
            town.pass_time(wait)
            assert (await desk.register(THIEF.wrong_pin)).verdict == (400, 133005)

        closed = await desk.register(OWNER.pin)
        town.pass_time(timedelta(hours=23, minutes=10))
        still = await desk.register(OWNER.pin)
        town.pass_time(timedelta(minutes=50))
        open_again = await desk.register(OWNER.pin)

    assert closed.verdict == (400, 133008)
    assert closed.error["message"] == "(#133008) Too Many two step verification PIN Guesses"
    assert closed.details == "Too many attempts. Try again after 24 hours."
    assert closed.header("Retry-After") == "86400"
    assert still.details == "Too many attempts. Try again after 50 minutes."
    assert open_again.status == 200


async def test_a_locked_number_is_refused_until_a_person_unlocks_it(desk: Desk, sight: Sight):
    await desk.move_in(OWNER.pin)
    world, number = desk.town.house.world, await desk.town.number()
    await world.update(
        number.id,
        lambda n: Decision(replace(n, guesses=replace(n.guesses, run=GUESS_LOCK, locked=True))),
    )

    locked = await sight.refused(desk.register(OWNER.pin), 403, 131031)
    await numbers.unlock(world, number)

    assert locked.header("Retry-After") is None
    assert (await desk.register(OWNER.pin)).status == 200


async def test_both_faces_draw_on_one_counter(desk: Desk):
    """Two wrong PINs over /v1 and three over Graph are five."""
    await desk.move_in(OWNER.pin)
    thief = desk.town.thief

    assert (await thief.register(THIEF.wrong_pin)).verdict == (403, 1005)
    assert (await desk.register(THIEF.wrong_pin)).verdict == (400, 133005)
    assert (await thief.register(THIEF.wrong_pin)).verdict == (403, 1005)
    assert (await desk.register(THIEF.wrong_pin)).verdict == (400, 133005)
    assert (await desk.register(THIEF.wrong_pin)).verdict == (400, 133005)

    assert (await thief.register(OWNER.pin)).verdict == (429, 1015)
    assert (await desk.register(OWNER.pin)).verdict == (400, 133009)


async def test_of_forty_guesses_at_once_over_both_faces_five_are_compared(desk: Desk):
    await desk.move_in(OWNER.pin)
    pool = desk.town.house.pool
    computed = pool.computed

    graph = [desk.register(THIEF.wrong_pin) for _ in range(20)]
    onprem = [desk.town.thief.register(THIEF.wrong_pin) for _ in range(20)]
    codes = [reply.verdict[1] for reply in await asyncio.gather(*graph)]
    codes += [reply.verdict[1] for reply in await asyncio.gather(*onprem)]

    assert pool.computed - computed == 5
    assert codes.count(133005) + codes.count(1005) == 5
    assert (await desk.town.number()).guesses.ticket == 5


async def test_each_face_sees_what_the_other_did_at_once(desk: Desk):
    owner = desk.town.owner
    await desk.town.owner_is_protected()

    before = (await desk.read(STATE)).body
    from_v1 = await desk.register(OWNER.pin)
    connected = await owner.status()
    after = (await desk.read(STATE)).body
    assert (await desk.set_pin(OWNER.new_pin)).status == 200
    old = await owner.register(OWNER.pin)
    new = await owner.register(OWNER.new_pin)
    assert (await owner.verify(await desk.town.code())).status == 201
    back = (await desk.read(STATE)).body

    assert before["platform_type"] == "ON_PREMISE"
    assert before["code_verification_status"] == "VERIFIED"
    assert from_v1.status == 200
    assert connected == "disconnected"
    assert after["platform_type"] == "CLOUD_API"
    assert old.verdict == (403, 1005)
    assert new.status == 202
    assert back["platform_type"] == "ON_PREMISE"
    assert await owner.status() == "connected"


async def test_what_the_owner_turns_off_over_v1_is_off_over_graph(desk: Desk):
    await desk.town.owner_is_protected()
    assert (await desk.town.owner.turn_off()).status == 200

    read = (await desk.read("is_pin_enabled")).body
    registered = await desk.register(OWNER.new_pin)

    assert read["is_pin_enabled"] is False
    assert registered.status == 200
    assert (await desk.read("is_pin_enabled")).body["is_pin_enabled"] is True


async def test_deregistering_keeps_the_pin_and_registering_needs_it(desk: Desk, sight: Sight):
    await desk.move_in(OWNER.pin)

    gone = await desk.deregister()
    state = (await desk.read(STATE)).body
    set_anew = await sight.refused(desk.set_pin(OWNER.new_pin), 400, 133010)
    twice = await sight.refused(desk.deregister(), 400, 133010)
    wrong = await desk.register(THIEF.wrong_pin)
    right = await desk.register(OWNER.pin)

    assert gone.body == {"success": True}
    assert state["status"] == "DISCONNECTED"
    assert state["platform_type"] == "NOT_APPLICABLE"
    assert state["is_pin_enabled"] is True
    assert set_anew.error["message"] == "(#133010) Phone number Not Registered"
    assert twice.error["message"] == "(#133010) Phone number Not Registered"
    assert wrong.verdict == (400, 133005)
    assert right.status == 200


async def test_the_pin_of_a_number_that_was_never_registered_cannot_be_set(
    desk: Desk, sight: Sight
):
    await sight.refused(desk.set_pin(OWNER.pin), 400, 133010)
    await desk.verify()
    await sight.refused(desk.set_pin(OWNER.pin), 400, 133010)


async def test_the_eleventh_deregistration_is_refused(desk: Desk):
    await desk.move_in(OWNER.pin)
    for _ in range(9):
        assert (await desk.deregister()).status == 200
        assert (await desk.register(OWNER.pin)).status == 200
    assert (await desk.deregister()).status == 200

    assert (await desk.register(OWNER.pin)).verdict == (400, 133016)
    assert (await desk.deregister()).verdict == (400, 133010)
    desk.town.pass_time(timedelta(hours=72))
    assert (await desk.register(OWNER.pin)).status == 200


async def test_another_display_name_comes_by_the_number_alone(desk: Desk, sight: Sight):
    path = f"/{desk.number}"
    asked = await desk.call("POST", path, {"new_display_name": "Luckier Shrub"})
    both = await sight.refused(
        desk.call("POST", path, {"new_display_name": "Shrub", "pin": OWNER.pin}), 400, 100
    )
    bad = await sight.refused(desk.call("POST", path, {"new_display_name": " "}), 400, 100)
    read = (await desk.read("verified_name,name_status,new_name_status")).body

    assert asked.body == {"success": True}
    assert "pin" in both.error["message"]
    assert "new_display_name" in bad.error["message"]
    assert read["verified_name"] == "Luckier Shrub"
    assert read["name_status"] == "APPROVED"
    assert read["new_name_status"] == "NONE"


async def test_a_display_name_is_changed_once_in_30_days(desk: Desk, sight: Sight):
    await desk.move_in(OWNER.pin)
    path = f"/{desk.number}"
    assert (await desk.call("POST", path, {"new_display_name": "Shrub One"})).status == 200

    reply = await sight.refused(
        desk.call("POST", path, {"new_display_name": "Shrub Two"}), 400, 100
    )

    assert reply.details.startswith("The display name was changed not long ago. Try again after")
    assert reply.header("Retry-After") == str(30 * 86_400)
