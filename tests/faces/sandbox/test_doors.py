"""Who may use the sandbox, and what it says to bad input."""

import io
import json
from datetime import timedelta
from pathlib import Path

import pytest

from nightlatch.adapters.system import SteppedClock
from nightlatch.domain.limits import BODY_BYTES
from nightlatch.faces.sandbox.routes import ROUTES
from tests.faces.sandbox.conftest import TOKEN, Sandbox, a_server, verdict
from tests.people import OWNER
from tests.town import Town, exchange, parse, send_raw


def paths(number: str) -> list[tuple[str, str]]:
    return [(route.method, route.path.replace("{number}", number)) for route in ROUTES]


async def test_without_the_setting_there_is_no_sandbox(town: Town):
    for method, path in paths((await town.number()).id):
        reply = await exchange(
            town.port, method, f"/sandbox{path}", headers=[("Authorization", f"Bearer {TOKEN}")]
        )

        assert reply.verdict == (404, 1006)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN.upper()}",
        f"Bearer {TOKEN}, Bearer {TOKEN}",
        "Bearer \u00e4\u00f6",
    ],
)
async def test_every_path_asks_for_the_token_first(sandbox: Sandbox, authorization):
    for method, path in [*paths("0"), ("GET", "/nowhere"), ("PUT", "/clock"), ("GET", "")]:
        reply = await sandbox.call(method, path, b"not json", authorization=authorization)

        assert verdict(reply) == (401, "TokenRefused"), path
        assert (reply.header("WWW-Authenticate") or "").startswith("Bearer")


async def test_a_token_of_a_client_opens_nothing(sandbox: Sandbox):
    token = f"Bearer {sandbox.town.owner.token}"

    reply = await sandbox.call("GET", "/clock", authorization=token)

    assert verdict(reply) == (401, "TokenRefused")


async def test_the_sandbox_token_opens_no_other_face(sandbox: Sandbox):
    reply = await sandbox.town.owner.call("GET", "/health", token=TOKEN)

    assert reply.verdict == (401, 1005)


@pytest.mark.parametrize("path", ["", "/", "/nowhere", "/numbers", "/clock/now", "/handset"])
async def test_a_path_that_is_not_there_is_not_found(sandbox: Sandbox, path):
    assert await sandbox.refused("GET", path) == (404, "PathUnknown")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/clock", "GET, POST"),
        ("PUT", "/faults", "GET, POST, DELETE"),
        ("POST", "/mail", "GET"),
        ("HEAD", "/webhooks", "GET"),
        ("BREW", "/clock", "GET, POST, DELETE"),
    ],
)
async def test_a_method_that_a_path_does_not_take_is_told_the_right_ones(
    sandbox: Sandbox, method, path, allowed
):
    reply = await sandbox.call(method, path)

    assert reply.status == 405
    assert reply.header("Allow") == allowed
    assert method == "HEAD" or verdict(reply) == (405, "MethodNotAllowed")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"seconds"',
        b"null",
        b"\xff\xfe",
        b'{"seconds": NaN}',
        b'{"seconds": 1, "seconds": 2}',
        b"[" * 5_000,
        b'{"seconds": ' + b"9" * 5_000 + b"}",
        b"seconds=60",
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(sandbox: Sandbox, body):
    before = sandbox.town.clock.now()

    assert await sandbox.refused("POST", "/clock", body) == (400, "RequestMalformed")
    assert (sandbox.town.clock.now() - before).total_seconds() < 30


async def test_a_body_that_is_too_large_is_refused(sandbox: Sandbox):
    body = json.dumps({"seconds": 1, "filler": "x" * BODY_BYTES}).encode()

    assert await sandbox.refused("POST", "/clock", body) == (413, "BodyTooLarge")


async def test_a_body_that_is_too_large_in_chunks_is_refused(sandbox: Sandbox):
    part = b"x" * 10_000
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for _ in range(2)) + b"0\r\n\r\n"
    head = (
        f"POST /sandbox/clock HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    ).encode()

    reply = parse(await send_raw(sandbox.town.port, head + chunks))

    assert reply.status == 413


async def test_a_foreign_host_is_refused_in_the_sandboxs_own_words(sandbox: Sandbox):
    reply = await exchange(sandbox.town.port, "GET", "/sandbox/clock", host="evil.example")

    assert verdict(reply) == (400, "RequestMalformed")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/clock", {"seconds": 1, "minutes": 1}),
        ("DELETE", "/faults", {"fault": "133000"}),
        ("GET", "/mail?colour=red", None),
        ("GET", "/clock?portfolio=1", None),
        ("POST", "/clock?seconds=60", None),
    ],
)
async def test_a_parameter_that_a_call_does_not_know_is_refused(
    sandbox: Sandbox, method, path, body
):
    assert await sandbox.refused(method, path, body) == (400, "ParameterUnexpected")


async def test_a_parameter_that_stands_twice_is_refused(sandbox: Sandbox):
    path = "/mail?portfolio=1&portfolio=2"

    assert await sandbox.refused("GET", path) == (400, "ParameterInvalid")


@pytest.mark.parametrize("number", ["0", "199999999999999", "16315559999", "x", "%00", "+1 2"])
async def test_an_unknown_number_is_not_found(sandbox: Sandbox, number):
    known = {
        "/name": {"decision": "APPROVED"},
        "/press": {"button": "turn_off"},
    }
    quoted = number.replace(" ", "%20")

    for method, path in [("GET", f"/handset/{quoted}"), ("GET", f"/numbers/{quoted}")]:
        assert await sandbox.refused(method, path) == (404, "NumberUnknown")
    for tail, body in known.items():
        refused = await sandbox.refused("POST", f"/numbers/{quoted}{tail}", body)
        assert refused == (404, "NumberUnknown")


async def test_neither_codes_nor_pins_nor_the_token_reach_the_log(
    sandbox: Sandbox, log: io.StringIO
):
    await sandbox.town.owner.register()
    code = (await sandbox.call("GET", f"/handset/{sandbox.number.id}")).body["handset"][0]["code"]
    await sandbox.press("set_pin", pin=OWNER.pin)
    await sandbox.press("change_pin", pin=OWNER.new_pin, current_pin=OWNER.pin)
    await sandbox.press("change_pin", pin=12, current_pin=OWNER.pin)
    await sandbox.call("GET", "/clock", authorization=f"Bearer {TOKEN}x")

    written = log.getvalue()
    assert "POST_sandbox_numbers_number_press" in written
    assert "GET_sandbox_handset_number" in written
    for secret in (code, OWNER.pin, OWNER.new_pin, TOKEN, sandbox.number.e164, sandbox.number.id):
        assert secret not in written


class BrokenClock(SteppedClock):
    def step(self, by: timedelta) -> None:
        raise RuntimeError(f"cannot let {by} pass")


async def test_a_bug_is_answered_as_one_and_logged_without_its_words(
    tmp_path: Path, log: io.StringIO
):
    async with a_server(tmp_path / "data", clock=BrokenClock) as sandbox:
        reply = await sandbox.call("POST", "/clock", {"seconds": 86_400})

    assert verdict(reply) == (500, "Bug")
    (bug,) = [
        line for line in map(json.loads, log.getvalue().splitlines()) if line["event"] == "bug"
    ]
    assert (bug["error"], bug["route"]) == ("RuntimeError", "POST_sandbox_clock")
    assert "step" in bug["where"]
    assert "1 day" not in log.getvalue()
