"""/readyz: which check fails, told without secrets, and cheaply."""

import asyncio
import json
from typing import Any

import pytest

from nightlatch.bootstrap import House, application
from nightlatch.domain.errors import Unavailable
from nightlatch.faces import readiness
from nightlatch.faces.metrics import Metrics
from nightlatch.faces.readiness import Readiness
from nightlatch.watching.checks import NEWEST_KEY
from tests.counted import counted
from tests.town import Town, exchange


async def fine() -> None:
    return None


class Checked:
    """A check whose answer a test chooses."""

    def __init__(self) -> None:
        self.why: Any = None
        self.asked = 0

    async def __call__(self) -> str | None:
        self.asked += 1
        if isinstance(self.why, Exception):
            raise self.why
        return self.why  # type: ignore[no-any-return]  # as a test says


async def test_a_server_says_that_it_is_ready(town: Town):
    reply = await exchange(town.port, "GET", "/readyz")

    assert reply.status == 200
    assert reply.header("Cache-Control") == "no-store"
    assert reply.body == {
        "status": "ready",
        "checks": {"store": "ok", "keys": "ok", "clock": "ok", "stopping": "ok"},
    }


async def test_a_server_without_a_key_says_which_and_for_how_long_to_wait(town: Town, log):
    await town.house.store.remember(NEWEST_KEY, "0badcafe")
    town.house.readiness._looked_at = -1e9

    reply = await exchange(town.port, "GET", "/readyz")
    alive = await exchange(town.port, "GET", "/livez")

    assert reply.status == 503
    assert reply.header("Retry-After") == "1"
    assert reply.body["checks"]["keys"] == (
        "the key ring lacks key 0badcafe, which stored values need"
    )
    assert reply.body["checks"]["store"] == "ok"
    assert alive.status == 200
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    (told,) = [line for line in lines if line["event"] == "not ready"]
    assert (told["check"], told["level"]) == ("keys", "error")


async def test_a_rotation_leaves_a_node_with_the_same_ring_ready(house: House):
    await house.rotate(lambda _done, _of: None, drop_old=False)

    assert (await house.readiness.answer())[0] == 200


async def test_a_server_that_stops_is_not_ready(house: House):
    house.readiness.stop()

    status, body, headers = await house.readiness.answer()

    assert status == 503
    assert json.loads(body)["checks"]["stopping"] == "the server is stopping"
    assert headers == (("Retry-After", "1"),)
    assert json.loads(house.readiness.stopping_body) == {
        "status": "not ready", "checks": {"stopping": "the server is stopping"},
    }  # fmt: skip


async def test_a_door_that_closes_still_says_that_it_is_not_ready(house: House):
    door, sent = application(house), []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    house.readiness.stop()
    await door.close(1)
    headers = [(b"host", b"127.0.0.1")]
    await door(
        {"type": "http", "method": "GET", "path": "/readyz", "raw_path": b"/readyz",
         "client": ("127.0.0.1", 1), "headers": headers, "query_string": b""},
        receive, send,
    )  # fmt: skip

    assert sent[0]["status"] == 503
    assert (b"retry-after", b"1") in sent[0]["headers"]
    assert json.loads(sent[1]["body"])["checks"] == {"stopping": "the server is stopping"}


async def test_many_who_ask_at_once_cost_one_look():
    check = Checked()
    ready = Readiness({"it": check}, Metrics())

    answers = await asyncio.gather(*(ready.answer() for _ in range(50)))

    assert {status for status, _, _ in answers} == {200}
    assert check.asked == 1


async def test_a_check_that_raises_fails_by_the_name_of_its_error_alone():
    check = Checked()
    check.why = OSError("the password is 271828")

    status, body, _ = await Readiness({"it": check, "other": fine}, Metrics()).answer()

    assert status == 503
    assert json.loads(body)["checks"] == {
        "it": "it cannot be looked at: OSError", "other": "ok", "stopping": "ok",
    }  # fmt: skip


async def test_a_check_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    async def hangs() -> str | None:
        await asyncio.Event().wait()
        return None

    monkeypatch.setattr(readiness, "_CHECK_SECONDS", 0.01)

    faults = await Readiness({"it": hangs}, Metrics()).faults()

    assert faults["it"] == "no answer in time"


async def test_each_check_is_a_metric(log):
    metrics, check = Metrics(), Checked()
    ready = Readiness({"it": check}, metrics)

    check.why = "it is broken"
    await ready.read()
    failing = counted(metrics, "nightlatch_check_failing", check="it")
    unready = metrics.registry.get_sample_value("nightlatch_ready")
    check.why = None
    ready._looked_at = -1e9
    await ready.read()

    assert (failing, unready) == (1, 0)
    assert counted(metrics, "nightlatch_check_failing", check="it") == 0
    assert counted(metrics, "nightlatch_ready") == 1
    events = [json.loads(line)["event"] for line in log.getvalue().splitlines()]
    assert events == ["not ready", "ready again"]


async def test_a_check_that_only_warns_is_told_and_the_node_is_ready_all_the_same(log):
    metrics, check = Metrics(), Checked()
    ready = Readiness({"it": fine}, metrics, {"durability": check})

    check.why = "a failover loses commits."
    status, body, _ = await ready.answer()
    await ready.read()

    assert status == 200
    assert json.loads(body) == {
        "status": "ready",
        "checks": {"it": "ok", "durability": "a failover loses commits.", "stopping": "ok"},
    }
    assert counted(metrics, "nightlatch_check_failing", check="durability") == 1
    assert counted(metrics, "nightlatch_ready") == 1
    events = [json.loads(line)["event"] for line in log.getvalue().splitlines()]
    assert events == ["not safe"]


async def test_a_refusing_store_is_a_failing_check(house: House):
    async def gone(_: str) -> str | None:
        raise Unavailable

    ready = Readiness({"it": lambda: gone("")}, house.metrics)

    assert (await ready.faults())["it"] == "it cannot be looked at: Unavailable"
