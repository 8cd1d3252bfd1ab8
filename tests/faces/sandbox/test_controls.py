"""Each control does what it says, and the rules stay what they are."""

from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from nightlatch.adapters.system import SteadyClock
from nightlatch.faces.faults import ANY_EDGE, EDGES
from nightlatch.usecases import numbers
from tests.faces.sandbox.conftest import TOKEN, Sandbox, a_server, opened, verdict
from tests.people import CC, E164, NAME, NATIONAL, OWNER, THIEF
from tests.town import a_house, a_town

DAY = 86_400


# The handset


@pytest.mark.parametrize("named", ["id", "digits"])
async def test_the_handset_shows_the_code_that_was_asked_for(sandbox: Sandbox, named):
    await sandbox.town.owner.register()

    name = sandbox.number.id if named == "id" else sandbox.number.digits
    reply = await sandbox.call("GET", f"/handset/{name}")

    (received,) = reply.body["handset"]
    assert set(received) == {"code", "method", "received_at", "expires_at"}
    assert received["method"] == "sms"
    received_at = datetime.fromisoformat(received["received_at"])
    assert datetime.fromisoformat(received["expires_at"]) > received_at
    assert (await sandbox.town.owner.verify(received["code"])).status == 201


async def test_the_newest_code_comes_first_and_an_expired_one_not_at_all(sandbox: Sandbox):
    await sandbox.town.owner.register()
    first = (await sandbox.call("GET", f"/handset/{sandbox.number.id}")).body["handset"]
    await sandbox.town.owner.register()
    both = (await sandbox.call("GET", f"/handset/{sandbox.number.id}")).body["handset"]
    await sandbox.call("POST", "/clock", {"seconds": 601})

    assert both[1] == first[0]
    assert (await sandbox.call("GET", f"/handset/{sandbox.number.id}")).body == {"handset": []}


# The clock


async def test_the_clock_is_the_registrys_and_steps_it(sandbox: Sandbox):
    before = datetime.fromisoformat((await sandbox.call("GET", "/clock")).body["now"])

    reply = await sandbox.call("POST", "/clock", {"seconds": 400 * DAY})

    after = datetime.fromisoformat(reply.body["now"])
    assert timedelta(0) <= after - before - timedelta(days=400) < timedelta(seconds=30)
    assert abs(sandbox.town.clock.now() - after) < timedelta(seconds=30)


async def test_a_step_ends_a_wait_after_wrong_pins(sandbox: Sandbox):
    await sandbox.town.owner_is_protected()
    for _ in range(5):
        await sandbox.town.thief.register(THIEF.wrong_pin)
    waiting = await sandbox.state()

    await sandbox.call("POST", "/clock", {"seconds": waiting["waiting_seconds"]})

    assert waiting["guesses_in_a_row"] == 5
    assert 55 <= waiting["waiting_seconds"] <= 60
    assert (await sandbox.state())["waiting_seconds"] == 0
    assert (await sandbox.town.owner.register(OWNER.pin)).status == 201


@pytest.mark.parametrize(
    "seconds", [0, -1, 400 * DAY + 1, 1.5, "60", True, None, [60], 10**300, 1e300]
)
async def test_a_step_that_is_none_is_refused(sandbox: Sandbox, seconds):
    refused = await sandbox.refused("POST", "/clock", {"seconds": seconds})

    assert refused == (400, "ParameterInvalid")


async def test_a_step_without_seconds_is_refused(sandbox: Sandbox):
    assert await sandbox.refused("POST", "/clock", {}) == (400, "ParameterMissing")
    assert await sandbox.refused("POST", "/clock") == (400, "ParameterMissing")


# Numbers


async def test_a_number_is_shown_without_secrets(sandbox: Sandbox):
    await sandbox.town.owner_is_protected()

    assert await sandbox.state() == {
        "id": sandbox.number.id,
        "e164": E164,
        "cc": CC,
        "phone_number": NATIONAL,
        "waba": sandbox.number.waba,
        "status": "CONNECTED",
        "holder": "main",
        "code": "VERIFIED",
        "name": NAME,
        "asked_name": None,
        "name_state": "APPROVED",
        "certificate": sandbox.town.owner.certificate,
        "two_step": True,
        "guesses_in_a_row": 0,
        "waiting_seconds": 0,
        "locked": False,
    }


async def test_a_display_name_waits_for_its_decision(tmp_path: Path):
    async with a_house(tmp_path / "data") as house:  # its own name is approved at once
        number = await numbers.find_number(house.world, E164)
        certificate = numbers.certificate(house.world, number)
    async with a_server(tmp_path / "data", review_names=True) as sandbox:
        path = f"/numbers/{number.id}/name"

        refused = await sandbox.refused("POST", path, {"decision": "APPROVED"})
        await numbers.ask_name(sandbox.world, number, "Lucky Shrub 2")
        waiting = await sandbox.state()
        declined = await sandbox.call("POST", path, {"decision": "REJECTED"})
        approved = await sandbox.call("POST", path, {"decision": "APPROVED"})

        assert refused == (409, "NoNameAsked")
        assert (waiting["name_state"], waiting["asked_name"]) == ("PENDING_REVIEW", "Lucky Shrub 2")
        assert (declined.status, declined.body["name_state"]) == (200, "DECLINED")
        assert declined.body["certificate"] == waiting["certificate"] == certificate
        assert (approved.body["name"], approved.body["name_state"]) == ("Lucky Shrub 2", "APPROVED")
        assert approved.body["certificate"] != certificate


async def test_a_number_without_an_approved_name_has_no_certificate(tmp_path: Path):
    async with a_server(tmp_path / "data", review_names=True) as sandbox:
        state = await sandbox.state()

        assert (state["name"], state["asked_name"], state["certificate"]) == ("", NAME, None)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({}, "ParameterMissing"),
        ({"decision": "approved"}, "ParameterInvalid"),
        ({"decision": None}, "ParameterInvalid"),
        ({"decision": ["APPROVED"]}, "ParameterInvalid"),
        ({"decision": "APPROVED", "by": "me"}, "ParameterUnexpected"),
    ],
)
async def test_a_decision_that_is_none_is_refused(sandbox: Sandbox, body, name):
    path = f"/numbers/{sandbox.number.id}/name"

    assert await sandbox.refused("POST", path, body) == (400, name)


# What a person does


async def test_an_owner_sets_and_changes_the_pin_and_gets_mail_of_it(sandbox: Sandbox):
    await sandbox.town.owner_has_registered()

    on = await sandbox.press("set_pin", pin=OWNER.pin)
    changed = await sandbox.press("change_pin", pin=OWNER.new_pin, current_pin=OWNER.pin)

    assert (on.status, on.body["two_step"]) == (200, True)
    assert (changed.status, changed.body["two_step"]) == (200, True)
    assert (await sandbox.town.owner.register(OWNER.new_pin)).status == 201
    letters = (await sandbox.call("GET", "/mail")).body["mail"]
    assert [letter["letter"] for letter in letters] == ["pin_changed", "pin_set"]
    assert {letter["to"] for letter in letters} == {OWNER.email}
    assert {letter["state"] for letter in letters} == {"kept"}
    assert all(E164 in letter["text"] and letter["link"] is None for letter in letters)


async def test_the_link_that_was_mailed_turns_the_pin_off(sandbox: Sandbox):
    await sandbox.town.owner_is_protected()

    asked = await sandbox.press("turn_off")
    (letter,) = [
        letter
        for letter in (await sandbox.call("GET", "/mail")).body["mail"]
        if letter["letter"] == "turn_off_link"
    ]
    followed = await sandbox.press("follow_link")

    assert (asked.status, asked.body["two_step"]) == (200, True)
    assert letter["link"].startswith(f"http://127.0.0.1:{sandbox.town.port}/manager/turn-off/")
    assert letter["link"] in letter["text"]
    assert (followed.status, followed.body["two_step"]) == (200, False)
    assert await sandbox.town.kinds() == [
        *(await sandbox.town.kinds())[:-2], "two_step.turn_off_asked", "two_step.turned_off",
    ]  # fmt: skip
    assert verdict(await sandbox.press("follow_link")) == (409, "LinkRefused")


async def test_a_link_is_dead_after_half_an_hour(sandbox: Sandbox):
    await sandbox.town.owner_is_protected()
    await sandbox.press("turn_off")
    await sandbox.call("POST", "/clock", {"seconds": 1_801})

    assert verdict(await sandbox.press("follow_link")) == (409, "LinkRefused")
    assert (await sandbox.state())["two_step"]


async def test_a_pressed_pin_is_counted_on_the_one_counter(sandbox: Sandbox):
    await sandbox.town.owner_is_protected()
    for _ in range(4):
        await sandbox.town.thief.register(THIEF.wrong_pin)

    fifth = await sandbox.press("change_pin", pin=OWNER.new_pin, current_pin=THIEF.wrong_pin)
    sixth = await sandbox.press("change_pin", pin=OWNER.new_pin, current_pin=OWNER.pin)

    assert verdict(fifth) == (403, "WrongPin")
    assert verdict(sixth) == (429, "GuessWait")
    assert 55 <= int(sixth.header("Retry-After") or "") <= 60
    assert (await sandbox.state())["guesses_in_a_row"] == 5


async def test_what_the_manager_would_refuse_is_refused(sandbox: Sandbox):
    assert verdict(await sandbox.press("turn_off")) == (409, "TwoStepIsOff")
    change = await sandbox.press("change_pin", pin=OWNER.new_pin, current_pin=OWNER.pin)
    assert verdict(change) == (409, "TwoStepIsOff")
    assert verdict(await sandbox.press("set_pin", pin="123456")) == (400, "ParameterInvalid")
    await sandbox.press("set_pin", pin=OWNER.pin)
    assert verdict(await sandbox.press("set_pin", pin=OWNER.pin)) == (409, "TwoStepIsOn")
    same = await sandbox.press("change_pin", pin=OWNER.pin, current_pin=OWNER.pin)
    assert verdict(same) == (409, "PinUnchanged")


@pytest.mark.parametrize(
    "pin", [271828, "27182", "2718281", "", " 271828", "\u0662\u0667\u0661\u0668\u0662\u0668", None]
)
async def test_a_pin_that_is_none_is_refused_and_costs_no_guess(sandbox: Sandbox, pin):
    await sandbox.town.owner_is_protected()

    current = await sandbox.press("change_pin", pin=OWNER.new_pin, current_pin=pin)
    new = await sandbox.press("change_pin", pin=pin, current_pin=THIEF.wrong_pin)

    assert verdict(current) == (400, "ParameterInvalid")
    assert "`current_pin`" in current.body["sandbox_error"]["says"]
    assert verdict(new) == (400, "ParameterInvalid")
    assert (await sandbox.state())["guesses_in_a_row"] == 0


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({}, "ParameterMissing"),
        ({"button": "explode"}, "ParameterInvalid"),
        ({"button": {}}, "ParameterInvalid"),
        ({"button": "set_pin"}, "ParameterMissing"),
        ({"button": "change_pin", "pin": OWNER.pin}, "ParameterMissing"),
        ({"button": "turn_off", "pin": OWNER.pin}, "ParameterUnexpected"),
        ({"button": "set_pin", "pin": OWNER.pin, "current_pin": OWNER.pin}, "ParameterUnexpected"),
    ],
)
async def test_a_button_that_cannot_be_pressed_is_refused(sandbox: Sandbox, body, name):
    path = f"/numbers/{sandbox.number.id}/press"

    assert await sandbox.refused("POST", path, body) == (400, name)


async def test_without_an_owner_nobody_can_press(tmp_path: Path):
    async with a_town(tmp_path / "data", sandbox_token=TOKEN) as town:
        sandbox = await opened(town)

        assert verdict(await sandbox.press("set_pin", pin=OWNER.pin)) == (409, "MemberUnknown")
        assert not (await sandbox.state())["two_step"]


# Mail and webhooks


@pytest.mark.parametrize("path", ["/mail", "/webhooks"])
async def test_another_portfolio_is_asked_for_by_its_id(sandbox: Sandbox, path):
    (portfolio,) = await sandbox.town.house.store.portfolios()

    assert (await sandbox.call("GET", f"{path}?portfolio={portfolio.id}")).status == 200
    assert await sandbox.refused("GET", f"{path}?portfolio=2") == (404, "PortfolioUnknown")


async def test_a_clock_that_does_not_step_takes_no_steps(tmp_path: Path):
    async with a_server(tmp_path / "data", clock=partial(SteadyClock)) as sandbox:
        reply = await sandbox.call("POST", "/clock", {"seconds": 60})

        assert verdict(reply) == (405, "MethodNotAllowed")
        assert reply.header("Allow") == "GET"
        assert (await sandbox.call("GET", "/clock")).status == 200


# Faults


async def test_faults_are_added_listed_and_cleared(sandbox: Sandbox):
    slow = {"fault": "slow", "seconds": 0.5, "number": sandbox.number.digits, "edge": "register"}

    await sandbox.call("POST", "/faults", slow | {"times": 3})
    added = await sandbox.call("POST", "/faults", {"fault": "lost_answer", "edge": ""})
    listed = await sandbox.call("GET", "/faults")
    cleared = await sandbox.call("DELETE", "/faults")

    assert (
        added.body
        == listed.body
        == {
            "faults": [
                {
                    "fault": "slow",
                    "number": sandbox.number.id,
                    "edge": "register",
                    "times": 3,
                    "seconds": 0.5,
                },
                {"fault": "lost_answer", "number": None, "edge": "", "times": 1, "seconds": 0.0},
            ]
        }
    )
    assert cleared.body == {"faults": []}


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({}, "ParameterMissing"),
        ({"fault": "133005"}, "ParameterInvalid"),
        ({"fault": 133000}, "ParameterInvalid"),
        ({"fault": "slow"}, "ParameterMissing"),
        ({"fault": "slow", "seconds": 0}, "ParameterInvalid"),
        ({"fault": "slow", "seconds": 61}, "ParameterInvalid"),
        ({"fault": "slow", "seconds": "1"}, "ParameterInvalid"),
        ({"fault": "133000", "seconds": 1}, "ParameterUnexpected"),
        ({"fault": "133000", "times": 0}, "ParameterInvalid"),
        ({"fault": "133000", "times": 1.0}, "ParameterInvalid"),
        ({"fault": "133000", "times": 1001}, "ParameterInvalid"),
        ({"fault": "133000", "edge": "regsiter"}, "ParameterInvalid"),
        ({"fault": "133000", "edge": ANY_EDGE}, "ParameterInvalid"),
        ({"fault": "133000", "edge": None}, "ParameterInvalid"),
        ({"fault": "133000", "number": 16315551000}, "ParameterInvalid"),
        ({"fault": "133000", "number": None}, "ParameterInvalid"),
        ({"fault": "133000", "often": 2}, "ParameterUnexpected"),
    ],
)
async def test_a_fault_that_cannot_be_is_refused(sandbox: Sandbox, body, name):
    assert await sandbox.refused("POST", "/faults", body) == (400, name)
    assert (await sandbox.call("GET", "/faults")).body == {"faults": []}


async def test_a_fault_of_an_unknown_number_is_refused(sandbox: Sandbox):
    body = {"fault": "133000", "number": "199999999999999"}

    assert await sandbox.refused("POST", "/faults", body) == (404, "NumberUnknown")


@pytest.mark.parametrize("edge", EDGES)
async def test_every_edge_can_be_named(sandbox: Sandbox, edge):
    assert (await sandbox.call("POST", "/faults", {"fault": "133004", "edge": edge})).status == 200
