"""Deliveries: what was sent, what came back, and sending one again."""

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from nightlatch.domain import access as rules
from nightlatch.domain.access import Callback
from nightlatch.domain.audit import OPERATOR
from nightlatch.domain.errors import DeliveryUnknown, RoleTooLow
from nightlatch.domain.webhooks import DeliveryState, Field
from nightlatch.usecases import access, numbers, portfolios, two_step, webhooks
from tests.faces.manager.places import furnish, furnish_api
from tests.manager_client import (
    ADA,
    OLIVIA,
    VITO,
    Office,
    dump,
    open_office,
    refuses,
    text_of,
)
from tests.people import E164, OWNER
from tests.town import a_town
from tests.webhook_receiver import Receiver, a_receiver, answer


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Office]:
    """An office whose webhooks may go to private addresses."""
    async with a_town(tmp_path / "data", private_receivers=True) as town:
        yield await open_office(town)


async def connect(office: Office, receiver: Receiver) -> None:
    """An app that tells *receiver* about the number's PIN."""
    world, portfolio = office.world, (await office.portfolio()).id
    new = await access.add_app(world, portfolio, "Shop floor")
    receiver.secret = new.secret
    await webhooks.set_callback(world, new.app, receiver.url, receiver.token, [Field.SECURITY])
    await webhooks.subscribe(world, rules.Caller(new.app), await office.waba())


async def set_pin(office: Office) -> None:
    number = await numbers.find_number(office.world, E164)
    await two_step.set_pin(office.world, office.people[OLIVIA.email], number, OWNER.pin)


async def settled(office: Office, state: DeliveryState):
    """The newest delivery, once it is in this state and was tried."""
    while True:
        (found,) = await webhooks.latest(office.world, (await office.portfolio()).id, 1)
        if found.state is state and found.attempts:
            return found
        office.world.nudge()
        await asyncio.sleep(0.01)


async def many(office: Office, app: str, amount: int) -> None:
    """So many updates about declined names, which nobody takes."""
    world = replace(office.world, review_names=True)
    callback, now = Callback("https://127.0.0.1:9/", frozenset({Field.NAME})), world.clock.now()
    await world.store.update_app(app, lambda a: rules.change_callback(a, callback, OPERATOR, now))
    number = await numbers.find_number(world, E164)
    for i in range(amount):
        await numbers.ask_name(world, number, f"Lucky Shrub {i}")
        await numbers.decline_name(world, number)


async def test_a_delivery_that_arrived_shows_what_was_sent_and_answered(lab: Office):
    async with a_receiver() as receiver:
        receiver.answers = lambda _: answer(200, b"thank you")
        await connect(lab, receiver)
        await set_pin(lab)
        done = await settled(lab, DeliveryState.DELIVERED)
    browser = await lab.signed_in(ADA)

    listed = await browser.get("/manager/webhooks")
    page = await browser.get(f"/manager/webhooks/{done.key}")

    assert f'href="/manager/webhooks/{done.key}"' in listed.raw.decode()
    for word in ("security", "Delivered", "Shop floor", "HTTP 200"):
        assert word in text_of(listed)
        assert word in text_of(page)
    assert "thank you" in text_of(page)
    assert "X-Hub-Signature-256" in text_of(page)
    (payload,) = re.findall(r'aria-label="Payload">(.*?)</pre>', page.raw.decode(), re.DOTALL)
    (sent,) = [one for one in receiver.requests if one.method == "POST"]
    assert json.loads(html.unescape(payload)) == json.loads(sent.body)
    assert "Send it again" in text_of(page)


async def test_a_delivery_that_is_not_taken_says_why_and_when_it_is_tried_next(lab: Office):
    async with a_receiver() as receiver:
        receiver.answers = lambda _: answer(500, b"out of <paper>")
        await connect(lab, receiver)
        await set_pin(lab)
        await receiver.until(lambda r: len(r.requests) > 1)
        while not (await webhooks.latest(lab.world, (await lab.portfolio()).id, 1))[0].fault:
            await asyncio.sleep(0.01)
    waiting = await settled(lab, DeliveryState.WAITING)
    browser = await lab.signed_in(ADA)

    page = await browser.get(f"/manager/webhooks/{waiting.key}")

    assert "Waiting" in text_of(page)
    assert "Next attempt" in text_of(page)
    assert "it answered HTTP 500" in text_of(page)
    assert "out of &lt;paper&gt;" in page.raw.decode()


async def test_an_admin_sends_a_failed_delivery_again_and_it_arrives(lab: Office):
    async with a_receiver() as receiver:
        await connect(lab, receiver)
        receiver.answers = lambda _: answer(500)
        await set_pin(lab)
        first = await settled(lab, DeliveryState.WAITING)
        now = lab.world.clock.now()
        await lab.world.store.settle_deliveries(
            [first.key], lambda d: d.failed("it answered HTTP 500", now), now
        )
        receiver.answers = lambda _: answer(200)
        admin = await lab.signed_in(ADA)
        hint = text_of(await admin.get("/manager"))
        await admin.get(f"/manager/webhooks/{first.key}")

        page = await admin.follow(await admin.post(f"/manager/webhooks/{first.key}/send-again"))
        done = await settled(lab, DeliveryState.DELIVERED)

    assert "Webhooks 1 failed" in hint
    assert "The delivery is on its way again." in text_of(page)
    assert done.key == first.key
    assert receiver.updates[-1]["event"] == "PIN_CHANGED"
    assert "1 failed" not in text_of(await admin.get("/manager"))


async def test_a_viewer_sees_the_list_without_a_hint_and_opens_nothing(office: Office):
    places = await furnish(office)
    viewer = await office.signed_in(VITO)
    delivery = places.parts["delivery"]

    page = await viewer.get("/manager/webhooks")

    assert "Failed" in text_of(page)
    assert "1 failed" not in text_of(page)
    assert f"/manager/webhooks/{delivery}" not in page.raw.decode()
    before = dump(office.town)
    assert refuses(await viewer.get(f"/manager/webhooks/{delivery}"), RoleTooLow)
    assert refuses(await viewer.post(f"/manager/webhooks/{delivery}/send-again"), RoleTooLow)
    assert dump(office.town) == before


async def test_before_anything_happened_the_page_says_what_it_takes(office: Office):
    browser = await office.signed_in(OLIVIA)

    page = await browser.get("/manager/webhooks")

    assert "No delivery yet" in text_of(page)


async def test_many_deliveries_are_read_page_by_page_and_by_app(office: Office):
    api = await furnish_api(office)
    await many(office, api.app, 40)
    other = await access.add_app(office.world, (await office.portfolio()).id, "Another")
    browser = await office.signed_in(OLIVIA)

    for start, least in (("/manager/webhooks", 40), (f"/manager/webhooks?app={api.app}", 40)):
        seen, target = set(), start
        while target:
            page = await browser.get(target)
            assert len(page.raw) <= 22 * 1024
            seen |= set(re.findall(r'href="/manager/webhooks/(\d+)"', page.raw.decode()))
            found = re.search(r'href="([^"]+)" rel="next"', page.raw.decode())
            target = html.unescape(found[1]) if found else ""
        assert len(seen) >= least
    none = await browser.get(f"/manager/webhooks?app={other.app.id}")
    assert "No delivery yet" in text_of(none)


@pytest.mark.parametrize("before", ["0", "1", "-5", "x", "9" * 18, "9" * 30, "٣"])
async def test_any_place_may_be_asked_for(office: Office, before):
    await furnish(office)
    browser = await office.signed_in(OLIVIA)
    quoted = "".join(f"%{byte:02x}" for byte in before.encode())

    for query in (f"before={quoted}", f"app={quoted}"):
        assert (await browser.ask("GET", f"/manager/webhooks?{query}")).status == 200


@pytest.mark.parametrize("key", ["0", "999999", "9" * 18, "9" * 30, "x", "-1", "%d9%a3", "1.0"])
async def test_an_unknown_delivery_is_unknown(office: Office, key):
    await furnish(office)
    browser = await office.signed_in(OLIVIA)
    await browser.get("/manager/webhooks")

    assert refuses(await browser.get(f"/manager/webhooks/{key}"), DeliveryUnknown)
    assert refuses(await browser.post(f"/manager/webhooks/{key}/send-again"), DeliveryUnknown)


async def test_another_portfolios_deliveries_are_not_here(office: Office):
    places = await furnish(office)
    elsewhere = await portfolios.add_portfolio(office.world, "Elsewhere", "e@elsewhere.example")
    key = int(places.parts["delivery"])

    assert await webhooks.latest(office.world, elsewhere.id, 10) == []
    with pytest.raises(DeliveryUnknown):
        await webhooks.find(office.world, key, elsewhere.id)
