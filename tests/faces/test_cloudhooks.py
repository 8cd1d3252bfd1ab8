"""``/cloud/{waba}/webhook`` on a real socket: what Meta sends, and what others send instead."""

import json
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import pytest

from nightlatch.domain.errors import Unavailable
from nightlatch.domain.limits import BODY_BYTES, INBOUND_BYTES
from nightlatch.faces.cloudhooks import CloudHooks
from nightlatch.faces.door import Note
from nightlatch.usecases import links
from tests.fakes.cloud import TOKEN, WABA, AtMeta
from tests.fakes.stores import StoreWith
from tests.people import OWNER
from tests.town import Reply, Town, exchange, send_raw
from tests.usecases.conftest import APP_SECRET, MOBILE
from tests.usecases.test_inbound import security, signed, told

PATH = f"/cloud/{WABA}/webhook"


@dataclass
class Hooks:
    """A town whose owner has linked an account with one number."""

    town: Town
    phone: AtMeta
    verify: str

    async def get(self, path: str = PATH, **query: str) -> Reply:
        pairs = "&".join(f"{k.replace('_', '.', 1)}={quote(v)}" for k, v in query.items())
        return await exchange(self.town.port, "GET", f"{path}?{pairs}")

    async def post(
        self, body: bytes, signature: str | None = "", path: str = PATH, method: str = "POST"
    ) -> Reply:
        given = signed(body) if signature == "" else signature
        headers = [("Content-Type", "application/json")]
        headers += [] if given is None else [("X-Hub-Signature-256", given)]
        return await exchange(self.town.port, method, path, headers=headers, body=body)

    def event(self, event: str = "PIN_RESET_REQUEST") -> bytes:
        return security(event, at=self.town.clock.now())

    async def alerts(self) -> int:
        number = await self.town.house.store.linked(self.phone.id)
        assert number is not None
        return len(number.alerts)


@pytest.fixture
async def hooks(town: Town) -> Hooks:
    world: Any = town.house.world
    (portfolio,) = await world.store.portfolios()
    phone = world.cloud.add_registered(MOBILE, OWNER.pin)
    one = await links.link(
        world, portfolio.id, WABA, TOKEN, secret=APP_SECRET, verify_token="verify"
    )
    await links.read_numbers(world, one, lambda _: None)
    return Hooks(town, phone, "verify")


def refused(reply: Reply) -> int:
    """The status of a refusal, whose body says something and nothing secret."""
    assert reply.body["error"].endswith(".")
    assert reply.header("content-type") == "application/json"
    return reply.status


async def test_meta_verifies_the_address_and_gets_its_challenge_as_plain_text(hooks):
    reply = await hooks.get(
        hub_mode="subscribe", hub_verify_token=hooks.verify, hub_challenge="<b>1158201444"
    )

    assert (reply.status, reply.raw) == (200, b"<b>1158201444")
    assert reply.header("content-type") == "text/plain; charset=utf-8"
    assert reply.header("x-content-type-options") == "nosniff"
    assert reply.header("cache-control") == "no-store"


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"hub_mode": "subscribe", "hub_challenge": "1"},
        {"hub_mode": "subscribe", "hub_verify_token": "wrong", "hub_challenge": "1"},
        {"hub_mode": "unsubscribe", "hub_verify_token": "verify", "hub_challenge": "1"},
        {"hub_mode": "subscribe", "hub_verify_token": "\udcff".encode("utf-8", "replace").decode()},
    ],
)
async def test_who_does_not_know_the_verify_token_verifies_nothing(hooks, query):
    assert refused(await hooks.get(**query)) == 403


async def test_a_verify_token_that_comes_twice_is_none(hooks):
    query = "hub.mode=subscribe&hub.verify_token=verify&hub.verify_token=verify&hub.challenge=1"

    assert refused(await exchange(hooks.town.port, "GET", f"{PATH}?{query}")) == 403


@pytest.mark.parametrize("query", ["a=" + "x" * 4_100, "&".join(f"a{n}=1" for n in range(30))])
async def test_a_query_that_is_too_much_is_refused(hooks, query):
    assert refused(await exchange(hooks.town.port, "GET", f"{PATH}?{query}")) == 400


async def test_a_query_that_is_not_ascii_is_refused(hooks):
    raw = f"GET {PATH}?hub.mode=".encode() + b"\xff\xfe HTTP/1.1\r\nHost: 127.0.0.1\r\n"

    answer = await send_raw(hooks.town.port, raw + b"Connection: close\r\n\r\n")

    assert answer == b"" or answer.split()[1] == b"400"


@pytest.mark.parametrize("path", [PATH, PATH + "/"])
async def test_a_signed_webhook_is_kept_before_it_is_answered(hooks, path):
    reply = await hooks.post(hooks.event(), path=path)

    assert (reply.status, reply.body) == (200, {"success": True})
    assert await hooks.alerts() == 1
    assert (await hooks.post(hooks.event(), path=path)).status == 200


async def test_a_forged_webhook_changes_nothing(hooks, log):
    body = hooks.event()

    for signature in (None, "sha256=", signed(body, "another"), signed(body + b" "), "\xff"):
        assert refused(await hooks.post(body, signature)) == 403
    assert refused(await hooks.post(body, path="/cloud/999999/webhook")) == 403

    assert await hooks.alerts() == 0
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    told_of = [line for line in lines if line.get("route") == "POST_cloud_webhook"]
    assert {line.get("refusal") for line in told_of} == {"WebhookForged"}
    assert APP_SECRET not in log.getvalue()


async def test_what_is_signed_and_no_webhook_is_refused(hooks):
    for body in (b"", b"not json", b"[]", b'{"object":"page"}'):
        assert refused(await hooks.post(body)) == 400


async def test_a_webhook_may_be_as_long_as_meta_says_and_no_longer(hooks):
    front = told("messages", {"text": "@"}, at=1)
    longest = front.replace(b"@", b"x" * (INBOUND_BYTES - len(front) + 1))

    assert len(longest) == INBOUND_BYTES > BODY_BYTES
    assert (await hooks.post(longest)).status == 200
    assert refused(await hooks.post(longest + b" ")) == 413


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_not_taken(hooks, method):
    reply = await hooks.post(b"{}", method=method)

    assert refused(reply) == 405
    assert reply.header("allow") == "GET, POST"


@pytest.mark.parametrize(
    "path",
    ["/cloud", "/cloud/", "/cloud/webhook", "/cloud/abc/webhook", PATH + "/more"],
)
async def test_nothing_else_is_served_here(hooks, path):
    assert refused(await hooks.post(hooks.event(), path=path)) == 404


async def test_the_path_of_another_face_is_not_taken_from_it(hooks):
    reply = await exchange(hooks.town.port, "GET", "/cloudy")

    assert reply.error["code"] == 1006


# Without a socket: what a store or a bug does


async def answered(town: Town, **methods: Any) -> tuple[int, dict[str, str], bytes]:
    """One signed webhook, while these methods of the store do that."""
    body, sent = security("PIN_CHANGED", at=1), []
    world = town.house.world
    other = replace(world, store=StoreWith(world.store, **methods))
    scope = {
        "type": "http", "method": "POST", "path": PATH, "query_string": b"",
        "headers": [
            (b"content-length", str(len(body)).encode()),
            (b"x-hub-signature-256", signed(body).encode()),
        ],
        "nightlatch": Note("request-1"),
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await CloudHooks(other)(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, sent[1]["body"]


async def test_meta_is_told_to_come_again_while_the_store_does_not_answer(hooks):
    async def gone(*_: Any) -> Any:
        raise Unavailable

    status, headers, _ = await answered(hooks.town, hear=gone)

    assert (status, headers["retry-after"]) == (503, "1")


async def test_a_bug_is_answered_as_one_and_logged_without_what_it_was_about(hooks, log):
    async def bug(*_: Any) -> Any:
        raise ZeroDivisionError(OWNER.pin)

    status, _, body = await answered(hooks.town, hear=bug)

    assert (status, json.loads(body)) == (500, {"error": "Something went wrong here."})
    line = next(json.loads(ln) for ln in log.getvalue().splitlines() if '"bug"' in ln)
    assert line["error"] == "ZeroDivisionError"
    assert OWNER.pin not in log.getvalue()
