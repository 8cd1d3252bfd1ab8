"""What a path and a method may look like, and the head of an answer."""

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime

from nightlatch.adapters.system import SteppedClock
from nightlatch.domain.errors import Overloaded
from tests.faces.graph.desk import Desk, a_desk
from tests.faces.graph.sight import Sight
from tests.people import OWNER
from tests.town import a_town, exchange


async def status(desk: Desk, target: str, method: str = "GET") -> int:
    headers = [("Authorization", f"Bearer {desk.token}")]
    return (await exchange(desk.town.port, method, target, headers=headers)).status


async def test_a_trailing_slash_is_fine(desk: Desk):
    assert await status(desk, f"/graph/v23.0/{desk.number}/") == 200
    assert await status(desk, f"/graph/v23.0/{desk.waba}/phone_numbers/") == 200


async def test_paths_that_two_would_read_differently_are_refused(desk: Desk):
    for target in (
        f"/graph//v23.0/{desk.number}",
        f"/graph/v23.0//{desk.number}",
        f"/graph/v23.0%2f{desk.number}",
        f"/graph/v23.0/{desk.number}%2Fregister",
        f"/graph/v23.0/../v23.0/{desk.number}",
        f"/graph/V23.0/{desk.number}",
        f"/graph/v23.0/{desk.number};x",
        f"/graph/v23.0/{desk.number}/Register",
        f"/GRAPH/v23.0/{desk.number}",
        f"/graphs/v23.0/{desk.number}",
    ):
        assert await status(desk, target) in (400, 404), target


async def test_a_percent_encoded_path_is_the_path_it_spells(desk: Desk):
    encoded = "".join(f"%{ord(sign):02x}" for sign in desk.number)

    assert await status(desk, f"/graph/v23.0/{encoded}") == 200


async def test_head_is_get_without_a_body(desk: Desk):
    headers = [("Authorization", f"Bearer {desk.token}")]
    target = f"/graph/v23.0/{desk.number}"

    reply = await exchange(desk.town.port, "HEAD", target, headers=headers)

    assert reply.status == 200
    assert reply.raw == b""
    assert reply.header("Content-Type") == "application/json; charset=UTF-8"


async def test_every_answer_names_its_version_and_trace(desk: Desk):
    for reply in (await desk.read(), await desk.call("GET", "/1")):
        assert reply.header("facebook-api-version") == "v23.0"
        assert reply.header("x-fb-request-id") == reply.header("x-request-id")
        assert reply.header("x-fb-trace-id")
        assert reply.header("x-fb-rev")
        assert reply.header("Content-Type") == "application/json; charset=UTF-8"


async def test_what_the_door_refuses_is_worded_as_graph_does(desk: Desk):
    for target, host in (
        (f"/graph/v23.0/{desk.number}", "elsewhere.example"),
        (f"/graph//{desk.number}", "127.0.0.1"),
    ):
        reply = await exchange(desk.town.port, "GET", target, host=host)
        assert reply.status == 400
        assert set(reply.body["error"]) == {"message", "type", "code", "fbtrace_id"}


async def test_the_graph_is_served_at_the_root_of_another_host(tmp_path):
    async with a_town(tmp_path / "data", graph_hosts="graph.example") as town:
        desk = await a_desk(town)
        headers = [("Authorization", f"Bearer {desk.token}")]
        reply = await exchange(
            town.port, "GET", f"/v23.0/{desk.number}", headers=headers, host="graph.example"
        )
        await desk.call(
            "POST",
            f"/{desk.waba}/phone_numbers",
            {"cc": "1", "phone_number": "6315552000", "verified_name": "Second Shrub"},
        )
        page = await exchange(
            town.port,
            "GET",
            f"/v23.0/{desk.waba}/phone_numbers?limit=1",
            headers=headers,
            host="graph.example",
        )
        unknown = await exchange(town.port, "GET", "/v99.0/1", host="graph.example")

    assert reply.status == 200
    assert page.body["paging"]["next"].startswith(
        f"http://graph.example/v23.0/{desk.waba}/phone_numbers?"
    )
    assert unknown.body["error"]["message"] == "(#2500) Unknown path components: /v99.0/1"


# What cannot be done just now


async def test_an_overloaded_server_says_so_and_counts_nothing(desk: Desk, sight: Sight):
    await desk.move_in(OWNER.pin)
    pool = desk.town.house.pool

    async with AsyncExitStack() as taken:
        full = False
        while not full:
            try:
                await taken.enter_async_context(pool.place())
            except Overloaded:
                full = True
        for answer in (desk.register(OWNER.pin), desk.set_pin(OWNER.new_pin)):
            reply = await sight.refused(answer, 503, 2)
            assert reply.error["is_transient"] is True
            assert reply.header("Retry-After") == "1"
        assert (await desk.read()).status == 200

    assert (await desk.register(OWNER.pin)).status == 200


async def test_without_its_key_ring_the_server_compares_nothing(desk: Desk):
    await desk.move_in(OWNER.pin)
    ring = desk.town.house.settings.keyring_file
    away = ring.with_name("put away")
    computed = desk.town.house.pool.computed
    ring.rename(away)

    replies = [await desk.register(OWNER.pin), await desk.set_pin(OWNER.new_pin)]
    reading = await desk.read("id")
    away.rename(ring)

    assert replies[0].verdict == (503, 2)
    assert replies[0].error["is_transient"] is True
    assert reading.status == 200
    assert desk.town.house.pool.computed - computed <= 1
    assert (await desk.register(OWNER.pin)).status == 200


class BrokenClock(SteppedClock):
    """A clock that fails when told to: nothing the product expects."""

    broken = ""

    def now(self) -> datetime:
        if self.broken:
            raise ZeroDivisionError(self.broken)
        return super().now()


async def test_a_bug_is_answered_500_and_logged_without_what_was_sent(tmp_path, log):
    async with a_town(tmp_path / "data", clock=BrokenClock) as town:
        desk = await a_desk(town)
        await desk.move_in(OWNER.pin)
        clock: BrokenClock = town.clock  # type: ignore[assignment]  # given to a_town above
        clock.broken = f"division of {OWNER.pin} by zero"
        reply = await desk.register(OWNER.pin)
        clock.broken = ""
        after = await desk.register(OWNER.pin)

    assert reply.verdict == (500, 1)
    assert OWNER.pin not in reply.reply.raw.decode()
    assert OWNER.pin not in log.getvalue()
    assert '"error": "ZeroDivisionError"' in log.getvalue()
    assert after.status == 200


async def test_right_pins_at_once_are_taken_or_asked_to_wait_and_leave_no_mark(desk: Desk):
    """While they are under way they count as wrong; afterwards none of them does."""
    await desk.move_in(OWNER.pin)

    replies = await asyncio.gather(*(desk.register(OWNER.pin) for _ in range(9)))
    number = await desk.town.number()

    assert {reply.verdict for reply in replies} <= {(200, None), (400, 133009)}
    assert (200, None) in {reply.verdict for reply in replies}
    assert number.guesses.run == 0
    assert (await desk.set_pin(OWNER.new_pin)).status == 200
