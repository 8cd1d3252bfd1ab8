"""The story every release must be able to play, through ``/v1`` on a number of the Cloud API; and
what an old client is told when the Cloud API fails it. Meta is another Nightlatch process."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from nightlatch.domain.ledger import Act
from nightlatch.domain.limits import CLOUD_SETTLED
from nightlatch.domain.linked import LinkedNumber
from nightlatch.usecases import links
from tests.end_to_end.bridged import (
    VERIFY_TOKEN,
    Scene,
    Shop,
    another_token,
    revoke_all_tokens,
    set_the_scene,
)
from tests.end_to_end.cloud import VERSION
from tests.manager_client import OLIVIA, Browserless
from tests.people import OWNER, THIEF
from tests.scripted_graph import ScriptedGraph, ScriptedNumber, a_scripted_graph
from tests.town import Reply, exchange

_MORE: Final[dict[str, dict[str, Any]]] = {"slow": {"seconds": 3}}
_REMEDY = re.compile(r"[Tt]ry again|Send|Check|Ask for|Look in|Its operator|turns it off")
"""Each refusal says what to do, or who does it."""
_PATIENCE = 60  # a hang, not a goal
SCRIPTED: Final = "202290129340398"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    found = asyncio.run(set_the_scene(tmp_path_factory.mktemp("bridge")))
    yield found
    found.end()


@pytest.fixture
async def shop(scene: Scene) -> Shop:
    """A number that is registered and protected, on which nothing went wrong yet."""
    return await scene.next_shop().opens()


def told(reply: Reply, status: int, code: int, *words: str) -> int:
    """Check a refusal as an old client reads it; the seconds it is told to wait, or 0."""
    assert reply.verdict == (status, code), reply.raw
    details = str(reply.error["details"])
    assert _REMEDY.search(details), details
    for word in words:
        assert word in details, details
    for secret in (OWNER.pin, OWNER.new_pin, THIEF.wrong_pin, VERIFY_TOKEN, "EAA", "Bearer"):
        assert secret not in reply.raw.decode()
    return int(reply.header("Retry-After") or 0)


# The story


async def test_the_story_is_played_through_v1_on_a_cloud_number(scene: Scene):
    shop = scene.next_shop()
    owner, thief = shop.owner, scene.client(THIEF.client)
    assert (await shop.register(scene.client("stranger"))).verdict == (403, 1005)

    asked = await shop.register(owner)
    assert (asked.status, asked.body["account"][0]["vname"]) == (202, "Lucky Shrub")
    told(await owner.verify("000000"), 400, 1009, "Check the newest message")
    assert (await owner.verify(await shop.code())).status == 201
    assert (await owner.set_pin(OWNER.pin)).status == 200
    assert (await shop.at_meta("GET"))["status"] == "CONNECTED"
    assert await owner.status() == "connected"

    told(await shop.register(thief), 400, 1008, "Send its six-digit PIN")
    told(await shop.register(thief, THIEF.wrong_pin), 403, 1005, "PIN is wrong")
    assert (await shop.at_meta("GET"))["guesses_in_a_row"] == 0
    await shop.agrees()

    assert (await shop.register(owner, OWNER.pin)).status == 201
    assert (await owner.turn_off()).status == 200
    assert (await shop.at_meta("GET"))["two_step"]
    assert (await owner.set_pin(OWNER.new_pin)).status == 200
    told(await shop.register(owner, OWNER.pin), 403, 1005)
    assert (await shop.register(owner, OWNER.new_pin)).status == 201
    assert await owner.status() == "connected"
    assert await shop.takes(OWNER.new_pin) == 0
    letters = await asyncio.to_thread(scene.bridge.controls.call, "GET", "/mail")
    assert {one["letter"] for one in letters["mail"]} >= {
        "first_wrong_guess",
        "cloud_off_remembered",
    }


async def test_the_thief_is_locked_out_at_the_bridge_and_meta_never_hears_of_it(shop: Shop):
    thief = shop.scene.client(THIEF.client)

    refused = [await shop.register(thief, THIEF.wrong_pin) for _ in range(5)]
    waiting = await shop.register(shop.owner, OWNER.pin)

    assert {one.verdict for one in refused} == {(403, 1005)}
    assert 0 < told(waiting, 429, 1015, "Try again in") <= 60
    assert (await shop.at_meta("GET"))["guesses_in_a_row"] == 0
    await shop.agrees()


# Meta is not there, or does not answer


async def test_meta_that_is_down_changes_nothing_and_costs_nothing(shop: Shop):
    meta = shop.scene.meta
    meta.end()

    try:
        refused = await shop.owner.set_pin(OWNER.new_pin)
        told(refused, 503, 1011, "cannot be reached", "try again soon")
        told(await shop.register(shop.spare, OWNER.pin), 503, 1011, "cannot be reached")
        counted = (await shop.known()).ledger.count(Act.PIN, (await shop.known()).facts.at)
    finally:
        await asyncio.to_thread(meta.start)

    assert counted == 1
    assert (await shop.revealed()).pin == OWNER.pin
    assert (await shop.owner.set_pin(OWNER.new_pin)).status == 200
    assert (await shop.revealed()).pin == OWNER.new_pin
    await shop.agrees()


async def test_frozen_meta_leaves_an_unknown_outcome_that_keeps_the_next_call_back(shop: Shop):
    meta = shop.scene.meta
    meta.freeze()

    try:
        lost = await shop.owner.set_pin(OWNER.new_pin)
        kept_back = await shop.owner.set_pin(OWNER.pin)
    finally:
        meta.thaw()

    assert told(lost, 503, 1011, "did not answer", "Nothing is sent") > 0
    assert 0 < told(kept_back, 503, 1011, "did not answer") <= CLOUD_SETTLED.total_seconds()
    held = await shop.revealed()
    assert (held.pin, held.maybe) == (OWNER.pin, (OWNER.new_pin,))
    await shop.agrees()
    assert (await shop.revealed()).pin == OWNER.new_pin


@pytest.mark.parametrize("fault", ["slow", "lost_answer", "133004"])
async def test_a_new_pin_that_was_not_answered_is_found_out_and_is_the_one_of_both(
    shop: Shop, fault: str
):
    await shop.fault(fault, **_MORE.get(fault, {}))

    told(await shop.owner.set_pin(OWNER.new_pin), 503, 1011, "did not answer the new PIN")

    held = await shop.revealed()
    assert (held.pin, held.maybe) == (OWNER.pin, (OWNER.new_pin,))
    await shop.agrees()
    assert (await shop.revealed()).pin == OWNER.new_pin


async def test_a_slow_answer_in_time_is_an_answer(shop: Shop):
    await shop.fault("slow", seconds=0.5)

    assert (await shop.owner.set_pin(OWNER.new_pin)).status == 200
    await shop.agrees()


async def test_a_registration_whose_answer_was_lost_is_found_out(scene: Scene):
    shop = scene.next_shop()
    assert (await shop.register(shop.owner, OWNER.pin)).status == 202
    await shop.fault("lost_answer", "register")

    lost = await shop.owner.verify(await shop.code())
    told(lost, 503, 1011, "did not answer the registration")
    told(await shop.register(shop.owner, OWNER.pin), 503, 1011)

    await shop.agrees()
    assert (await shop.register(shop.owner, OWNER.pin)).status == 201
    assert (await shop.revealed()).pin == OWNER.pin


async def test_a_code_whose_request_was_not_answered_can_still_be_entered(scene: Scene):
    shop = scene.next_shop()
    await shop.fault("lost_answer", "request_code")

    told(await shop.register(shop.owner), 503, 1011, "did not answer the request for a code")
    await shop.settled()

    assert (await shop.owner.verify(await shop.code())).status == 201
    await shop.agrees()


# Meta says no


@pytest.mark.parametrize(
    ("fault", "status", "code", "words"),
    [
        ("133000", 503, 1011, "deregisters it again"),
        ("131031", 403, 1031, "Look in WhatsApp Manager"),
    ],
)
async def test_what_meta_refuses_undone_is_told_and_counted(
    shop: Shop, fault: str, status: int, code: int, words: str
):
    await shop.fault(fault, "register")

    told(await shop.register(shop.spare, OWNER.pin), status, code, words)

    ours, meta = await shop.counts()
    assert ours[Act.REGISTER] == meta[Act.REGISTER] + 1  # this Meta did not count it; another may
    assert (await shop.revealed()).pin == OWNER.pin
    assert await shop.owner.status() == "connected"
    assert await shop.takes(OWNER.pin) == 0


async def test_after_131031_the_same_is_not_tried_again_for_a_day(shop: Shop):
    await shop.fault("131031", "register")
    told(await shop.register(shop.spare, OWNER.pin), 403, 1031)
    before = await shop.counts()

    waits = told(await shop.register(shop.spare, OWNER.pin), 429, 1015, "Not sent")

    assert waits > 86_000
    assert await shop.counts() == before


async def test_133005_a_pin_that_others_changed_is_told_and_doubted_until_the_next_one(shop: Shop):
    assert await shop.graph(pin=THIEF.wrong_pin) == 0

    told(await shop.register(shop.spare, OWNER.pin), 403, 1005, "PIN is wrong")

    assert (await shop.revealed()).doubted
    letters = await asyncio.to_thread(shop.scene.bridge.controls.call, "GET", "/mail")
    assert letters["mail"][0]["letter"] == "cloud_pin_refused"
    assert (await shop.owner.set_pin(OWNER.new_pin)).status == 200
    await shop.agrees()


async def _wrong_pins(shop: Shop, count: int, pause: int) -> None:
    """Somebody guesses at Meta, where the bridge does not see it."""
    for _ in range(count):
        wrong = {"button": "change_pin", "pin": OWNER.new_pin, "current_pin": THIEF.wrong_pin}
        with pytest.raises(Exception, match="WrongPin"):
            await shop.at_meta("POST", f"/numbers/{shop.id}/press", wrong)
        if pause:
            await shop.at_meta("POST", "/clock", {"seconds": pause})


async def test_133009_too_fast_waits_as_long_as_meta_says(shop: Shop):
    await _wrong_pins(shop, 5, 0)

    first = told(await shop.register(shop.spare, OWNER.pin), 429, 1015, "Too many wrong PINs")
    before = await shop.counts()
    again = told(await shop.register(shop.spare, OWNER.pin), 429, 1015, "Not sent")

    assert 0 < again <= first <= 61
    assert await shop.counts() == before
    ours, meta = before
    assert ours[Act.REGISTER] == meta[Act.REGISTER] + 1  # refused before Meta counted it
    await shop.at_meta("POST", "/clock", {"seconds": 61})
    await asyncio.to_thread(shop.scene.bridge.step, timedelta(seconds=61))
    assert (await shop.register(shop.spare, OWNER.pin)).status == 201
    assert (await shop.revealed()).pin == OWNER.pin
    assert await shop.takes(OWNER.pin) == 0


async def test_133008_too_many_closes_registering_for_as_long_as_meta_says(shop: Shop):
    await _wrong_pins(shop, 10, 3_601)

    first = told(await shop.register(shop.spare, OWNER.pin), 429, 1015, "Too many wrong PINs")
    again = told(await shop.register(shop.spare, OWNER.pin), 429, 1015, "Not sent")

    assert 3_600 < again <= first <= 86_400
    assert (await shop.revealed()).pin == OWNER.pin
    assert (await shop.owner.set_pin(OWNER.new_pin)).status == 200  # asks for no PIN
    assert (await shop.revealed()).pin == OWNER.new_pin


async def test_133016_spent_registrations_are_not_tried_again_for_72_hours(shop: Shop):
    others = 0
    while await shop.takes(OWNER.pin) == 0:
        others += 1

    first = told(await shop.register(shop.spare, OWNER.pin), 429, 1015, "72 hours")
    before = await shop.counts()
    again = told(await shop.register(shop.spare, OWNER.pin), 429, 1015, "Not sent")

    assert others > 5
    assert 70 * 3_600 < again <= first <= 72 * 3_600
    assert await shop.counts() == before
    assert (await shop.revealed()).pin == OWNER.pin
    assert (await shop.owner.set_pin(OWNER.new_pin)).status == 200
    assert (await shop.revealed()).pin == OWNER.new_pin


_CODES: Final[dict[int, tuple[str, tuple[int, int], str]]] = {
    133000: ("", (503, 1011), "deregisters it again"),
    133005: ("", (403, 1005), "PIN is wrong"),
    133006: ("", (400, 1009), "Ask for a registration code"),
    133008: ("Try again after 24 hours.", (429, 1015), "Try again in 86400 seconds"),
    133009: ("", (429, 1015), "Try again in 600 seconds"),
    133015: ("Please wait 5 minutes.", (429, 1015), "Try again in 300 seconds"),
    133016: ("", (429, 1015), "Try again in 259200 seconds"),
    131031: ("", (403, 1031), "Look in WhatsApp Manager"),
}
"""Code of Meta's -> its details, and what an old client reads."""


async def test_each_code_of_metas_is_a_clear_error_of_the_old_api_and_counts_once(scene: Scene):
    async with scripted(scene, len(_CODES)) as (graph, shops):
        for shop, (code, (details, verdict, words)) in zip(shops, _CODES.items(), strict=True):
            assert (await shop.register(shop.owner)).status == 201  # verified already
            assert (await shop.owner.set_pin(OWNER.pin)).status == 200
            graph.refuse(shop.id, "register", code, details)

            told(await shop.register(shop.spare, OWNER.pin), *verdict, words)

            known, shown = await shop.known(), await shop.revealed()
            assert [one.edge for one in graph.writes(shop.id)] == ["register", "", "register"]
            assert [act for act, _ in known.ledger.used] == [Act.REGISTER, Act.PIN, Act.REGISTER]
            assert known.under_way is None
            assert (shown.pin, shown.maybe, shown.doubted) == (OWNER.pin, (), code == 133005)
            assert graph.numbers[shop.id].pin == OWNER.pin


@asynccontextmanager
async def scripted(scene: Scene, count: int) -> AsyncIterator[tuple[ScriptedGraph, list[Shop]]]:
    """Another account, at a Graph that answers as it is told; its numbers are verified."""
    async with a_scripted_graph(ScriptedGraph()) as graph:
        shops = [scene.next_shop() for _ in range(count)]
        for n, shop in enumerate(shops):
            shop.id, shop.e164 = f"20663{n:03d}", f"+16315553{n:03d}"
            graph.add(ScriptedNumber(shop.id, shop.e164))
        names = [api.base.split("/")[2] for shop in shops for api in (shop.owner, shop.spare)]
        async with scene.bridge.house() as house:
            (portfolio,) = await house.store.portfolios()
            one = await links.link(
                house.world, portfolio.id, SCRIPTED, "EAAscripted", base=graph.base, clients=names
            )
            await links.read_numbers(house.world, one, lambda _: None)
        yield graph, shops
        async with scene.bridge.house() as house:
            await links.unlink(house.world, await links.find_link(house.world, SCRIPTED))


async def test_a_revoked_token_is_told_costs_nothing_and_works_again_once_renewed(shop: Shop):
    scene = shop.scene
    async with scene.meta.house() as house:
        await revoke_all_tokens(house)
    before = await shop.counts()

    told(await shop.owner.set_pin(OWNER.new_pin), 503, 1011, "give Nightlatch another one")
    told(await shop.register(shop.spare, OWNER.pin), 503, 1011, "give Nightlatch another one")

    letters = await asyncio.to_thread(scene.bridge.controls.call, "GET", "/mail")
    assert letters["mail"][0]["letter"] == "cloud_access_lost"
    assert await shop.counts() == before
    assert (await shop.revealed()).pin == OWNER.pin
    async with scene.meta.house() as house:
        token = await another_token(house)
        scene.access = replace(scene.access, token=await another_token(house))
    async with scene.bridge.house() as house:
        one = await links.find_link(house.world, scene.access.waba)
        await links.renew_token(house.world, one, token)
    assert (await shop.owner.set_pin(OWNER.new_pin)).status == 200
    await shop.agrees()


# Meta's webhooks


async def test_meta_tells_who_pressed_turn_off_and_the_pin_of_the_vault_is_set_again(shop: Shop):
    scene = shop.scene
    await _webhooks_come_to_the_bridge(scene)
    browser = Browserless(scene.meta.port)
    await browser.sign_in(OLIVIA.email)
    page = f"/manager/numbers/{shop.id}/two-step/turn-off"

    await browser.get(page)
    assert (await browser.post(page)).status == 303
    asked = await _until(shop, lambda known: bool(known.alerts))
    async with scene.meta.house() as house:
        (portfolio,) = await house.store.portfolios()
        (olivia,) = await house.store.members(portfolio.id)
    assert [(one.event, one.by) for one in asked.alerts] == [("PIN_RESET_REQUEST", olivia.id)]
    assert asked.vault.is_good
    await browser.get(await _mailed_link(scene))
    done = await browser.follow(await browser.post(await _mailed_link(scene)))
    assert done.status == 200

    again = await _until(shop, lambda known: len(known.alerts) > 1 and known.vault.is_good)
    assert [one.event for one in again.alerts] == ["PIN_RESET_REQUEST", "PIN_REQUEST_SUCCESS"]
    assert (await shop.at_meta("GET"))["two_step"]
    assert (await shop.revealed()).pin == OWNER.pin
    assert await shop.takes(OWNER.pin) == 0
    letters = await asyncio.to_thread(scene.bridge.controls.call, "GET", "/mail")
    mailed = [one["letter"] for one in letters["mail"]]
    assert {"cloud_turn_off_asked", "cloud_pin_turned_off"} <= set(mailed)


async def _webhooks_come_to_the_bridge(scene: Scene) -> None:
    """As an operator sets it up; Meta shakes hands before it takes the address."""
    path = links.callback_path(scene.access.waba)
    fields = {
        "object": "whatsapp_business_account",
        "callback_url": f"http://127.0.0.1:{scene.bridge.port}{path}",
        "verify_token": VERIFY_TOKEN,
        "fields": "security,phone_number_name_update",
    }
    app = f"{scene.access.app}|{scene.access.app_secret}"
    headers = [("Authorization", f"Bearer {app}"), ("Content-Type", "application/json")]
    where = f"/{VERSION}/{scene.access.app}/subscriptions"
    for token, status in (("not the one", 400), (VERIFY_TOKEN, 200)):
        body = json.dumps({**fields, "verify_token": token}).encode()
        reply = await exchange(
            scene.meta.graph_port, "POST", where, headers=headers, body=body
        )  # fmt: skip
        assert reply.status == status, reply.raw
    async with scene.bridge.house() as house:
        one = await links.find_link(house.world, scene.access.waba)
        assert (await links.subscribe(house.world, one)).subscribed


async def _until(shop: Shop, true: Callable[[LinkedNumber], bool]) -> LinkedNumber:
    async with asyncio.timeout(_PATIENCE):
        while not true(known := await shop.known()):
            await asyncio.sleep(0.1)
    return known


async def _mailed_link(scene: Scene) -> str:
    """Path of the link in Meta's newest letter that has one."""
    letters = await asyncio.to_thread(scene.meta.controls.call, "GET", "/mail")
    return urlsplit(str(next(one["link"] for one in letters["mail"] if one["link"]))).path
