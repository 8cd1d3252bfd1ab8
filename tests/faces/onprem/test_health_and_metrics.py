"""``/v1/health`` and the metrics, and who may read them."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nightlatch.faces.onprem.wire import META
from tests.people import OWNER, THIEF
from tests.town import Reply, Town, a_town, exchange

API_KEY = "an-api-key-with-a, comma"
METRICS = ["/v1/metrics", "/metrics", "/clients/thief/v1/metrics"]
MONITORED = ["/v1/health", "/clients/thief/v1/health", *METRICS]
_SAMPLE = re.compile(
    r'[a-z_]+(?:\{[a-z_]+="[^"\n]*"(?:,[a-z_]+="[^"\n]*")*\})? [0-9.e+-]+', re.ASCII
)


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Town]:
    """A town whose operator has set an API key."""
    async with a_town(tmp_path / "data", api_key=API_KEY) as running:
        yield running


async def get(town: Town, target: str, authorization: str | None) -> Reply:
    headers = [] if authorization is None else [("Authorization", authorization)]
    return await exchange(town.port, "GET", target, headers=headers)


async def test_health_tells_the_three_states_of_a_client(town: Town):
    fresh = await town.owner.call("GET", "/health")
    await town.owner_is_protected()
    registered = await town.owner.call("GET", "/health")
    await town.thief.register(OWNER.pin)
    await town.thief.verify(await town.code())
    taken_over = await town.owner.call("GET", "/health")

    assert fresh.body == {"health": {"gateway_status": "unregistered"}, "meta": META}
    assert registered.body == {"health": {"gateway_status": "connected"}, "meta": META}
    assert taken_over.body == {"health": {"gateway_status": "disconnected"}, "meta": META}
    assert await town.thief.status() == "connected"


@pytest.mark.parametrize("target", MONITORED)
async def test_a_monitor_comes_in_with_the_api_key(watched: Town, target):
    assert (await get(watched, target, f"Apikey {API_KEY}")).status == 200
    assert (await get(watched, target, f"APIKEY {API_KEY}")).status == 200


@pytest.mark.parametrize("target", MONITORED)
@pytest.mark.parametrize(
    "authorization",
    [None, "Apikey", "Apikey ", f"Apikey {API_KEY}x", f"Apikey {API_KEY[:-1]}",
     f"Apikey {API_KEY.upper()}", "Apikey \xff", f"Bearer {API_KEY[:12]}", API_KEY[:12]],
    ids=repr,
)  # fmt: skip
async def test_a_wrong_or_missing_api_key_is_refused(watched: Town, target, authorization, log):
    reply = await get(watched, target, authorization)

    assert reply.verdict == (401, 1005)
    assert API_KEY not in reply.raw.decode()
    assert API_KEY not in log.getvalue()


@pytest.mark.parametrize("authorization", ["Apikey ", "Apikey", "Apikey None", "Apikey x"])
async def test_without_an_api_key_in_the_settings_none_is_taken(town: Town, authorization):
    assert (await get(town, "/v1/health", authorization)).verdict == (401, 1005)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/account/shards"), ("GET", "/users/admin"), ("POST", "/users/logout"),
     ("POST", "/account"), ("POST", "/settings/account/two-step"),
     ("DELETE", "/settings/account/two-step")],
)  # fmt: skip
async def test_the_api_key_opens_nothing_else(watched: Town, method, path):
    reply = await exchange(
        watched.port, method, "/v1" + path, headers=[("Authorization", f"Apikey {API_KEY}")]
    )

    assert reply.verdict == (401, 1005)


async def test_the_api_key_does_not_invent_clients(watched: Town, log):
    for path in ("health", "metrics"):
        reply = await get(watched, f"/clients/nobody-here/v1/{path}", f"Apikey {API_KEY}")

        assert reply.verdict == (404, 1006)
    assert "nobody-here" not in log.getvalue()


@pytest.mark.parametrize("target", METRICS)
async def test_metrics_as_json_have_type_help_and_data(town: Town, target):
    token = town.thief.token if "thief" in target else town.owner.token
    plain = await get(town, target, f"Bearer {token}")
    asked = await get(town, target + "?format=json", f"Bearer {token}")

    for reply in (plain, asked):
        assert reply.status == 200
        assert reply.header("Content-Type") == "application/json"
        assert set(reply.body) == {"metrics", "meta"}
        for name, metric in reply.body["metrics"].items():
            assert re.fullmatch(r"[a-z_]+", name)
            assert set(metric) == {"type", "help", "data"}
            assert metric["type"] in ("gauge", "counter")
            assert metric["help"]
            for one in metric["data"]:
                assert set(one) == {"labels", "value"}
                assert all(isinstance(value, str) for value in one["labels"].values())
                assert isinstance(one["value"], int | float)


@pytest.mark.parametrize("target", METRICS)
async def test_metrics_for_prometheus_parse_line_by_line(town: Town, target):
    token = town.thief.token if "thief" in target else town.owner.token
    reply = await get(town, target + "?format=prometheus", f"Bearer {token}")

    assert reply.status == 200
    assert reply.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    lines = reply.raw.decode().splitlines()
    comments = [line for line in lines if line.startswith("#")]
    samples = [line for line in lines if not line.startswith("#")]
    assert all(re.match(r"# (HELP|TYPE) [a-z_]+ \S", line) for line in comments)
    assert all(_SAMPLE.fullmatch(line) for line in samples)
    assert any(line.startswith("web_uptime ") for line in samples)


async def test_metrics_count_calls_by_route_and_refusals_by_name(town: Town):
    await town.owner_is_protected()
    for _ in range(3):
        await town.thief.register(THIEF.wrong_pin)

    metrics = (await town.owner.call("GET", "/metrics")).body["metrics"]

    counted = {
        (one["labels"]["method"], one["labels"]["result"]): one["value"]
        for one in metrics["api_requests_duration_ms_count"]["data"]
    }
    refused = {
        one["labels"]["refusal"]: one["value"]
        for one in metrics["nightlatch_refusals_total"]["data"]
    }
    assert counted["POST_v1_account", "failure"] == 3
    assert counted["POST_v1_account", "success"] == 1
    assert refused == {"WrongPin": 3}


async def test_metrics_have_no_label_that_a_caller_chose(town: Town):
    for path in ("/nowhere-at-all", "/users/somebody-or-other", "/messages/some-id-or-other"):
        await town.owner.call("GET", path)
    await exchange(town.port, "BREW", "/v1/health")

    text = (await town.owner.call("GET", "/metrics?format=prometheus")).raw.decode()

    for chosen in ("nowhere", "somebody", "some-id", "BREW"):
        assert chosen not in text


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/v1/metrics?format=xml", 1009),
        ("/v1/metrics?format=", 1009),
        ("/v1/metrics?format=%ff", 1009),
        ("/v1/metrics?format=json,prometheus", 1009),
        ("/v1/metrics?format=json&format=json", 1010),
        ("/v1/metrics?verbose=1", 1010),
        ("/v1/health?verbose=1", 1010),
        ("/v1/health?verbose", 1010),
    ],
)
async def test_a_query_is_read_strictly(town: Town, target, code):
    reply = await get(town, target, f"Bearer {town.owner.token}")

    assert reply.verdict == (400, code)
