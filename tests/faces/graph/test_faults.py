"""What the sandbox makes go wrong here."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nightlatch.faces.faults import FaultKind
from tests.faces.graph.desk import Desk
from tests.faces.graph.sight import Sight
from tests.people import OWNER
from tests.town import Town, a_town, exchange, send_raw

TOKEN = "a-token-of-the-sandbox"
CODES = {
    FaultKind.INCOMPLETE_DEREGISTRATION: (500, 133000),
    FaultKind.UNAVAILABLE: (503, 133004),
    FaultKind.LOCKED: (403, 131031),
}


@pytest.fixture
async def town(tmp_path) -> AsyncIterator[Town]:
    async with a_town(tmp_path / "data", sandbox_token=TOKEN) as running:
        yield running


async def inject(desk: Desk, **fault: Any) -> None:
    """As the sandbox's own call does it."""
    reply = await exchange(
        desk.town.port,
        "POST",
        "/sandbox/faults",
        headers=[("Authorization", f"Bearer {TOKEN}"), ("Content-Type", "application/json")],
        body=json.dumps(fault).encode(),
    )
    assert reply.status == 200, reply


@pytest.mark.parametrize("kind", CODES)
async def test_an_injected_error_is_answered_with_nothing_done(desk: Desk, sight: Sight, kind):
    await desk.move_in(OWNER.pin)
    await inject(desk, fault=kind.value, number=desk.number, edge="register", times=2)

    for _ in range(2):
        reply = await sight.refused(desk.register(OWNER.pin), *CODES[kind])
        assert reply.error["message"].startswith(f"(#{kind.value}) ")
        assert reply.details
    assert (await desk.set_pin(OWNER.pin)).status == 200
    assert (await desk.register(OWNER.pin)).status == 200


async def test_a_fault_waits_for_its_own_edge_and_for_a_good_request(desk: Desk, sight: Sight):
    await desk.move_in(OWNER.pin)
    await inject(desk, fault="133004", number=desk.number, edge="", times=1)

    assert (await desk.read("id")).status == 200
    assert (await desk.register(OWNER.pin)).status == 200
    await sight.refused(desk.set_pin("12345"), 400, 100)
    await sight.refused(desk.set_pin(OWNER.new_pin), 503, 133004)
    assert (await desk.set_pin(OWNER.new_pin)).status == 200


async def test_a_slow_answer_is_as_it_would_have_been(desk: Desk):
    await desk.move_in(OWNER.pin)
    await inject(desk, fault="slow", number=desk.number, edge="register", times=1, seconds=0.2)
    started = asyncio.get_running_loop().time()

    reply = await desk.register(OWNER.pin)

    assert reply.body == {"success": True}
    assert asyncio.get_running_loop().time() - started >= 0.2


async def test_a_lost_answer_does_everything_and_hangs_up(desk: Desk):
    """The head may arrive, the body never does: to a client the outcome is unknown."""
    await desk.move_in(OWNER.pin)
    await inject(desk, fault="lost_answer", number=desk.number, edge="", times=1)
    body = b'{"pin":"%s"}' % OWNER.new_pin.encode()
    head = (
        f"POST /graph/v23.0/{desk.number} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {desk.token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )

    raw = await send_raw(desk.town.port, head.encode() + body)

    assert b"success" not in raw
    assert raw.partition(b"\r\n\r\n")[2] == b""
    assert (await desk.register(OWNER.new_pin)).status == 200


async def test_no_fault_touches_the_other_face(desk: Desk):
    await desk.town.owner_is_protected()
    await inject(desk, fault="131031", times=9)

    assert (await desk.town.owner.set_pin(OWNER.pin)).status == 200
