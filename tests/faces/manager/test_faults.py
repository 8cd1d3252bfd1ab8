"""When the store fails, or we do: a page that says so, and nothing of what was asked."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import falcon.asgi
import pytest

from nightlatch.domain.audit import Link
from nightlatch.domain.errors import Overloaded, Unavailable
from nightlatch.faces.door import Door
from nightlatch.faces.manager.app import COOKIE, Manager
from nightlatch.faces.metrics import Metrics
from tests.fakes.stores import StoreWith
from tests.manager_client import OLIVIA, Browserless, Office
from tests.town import exchange

SECRET = "violet tram quarry 58"


@dataclass
class Answer:
    """What was sent before the call ended."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False
    error: Exception | None = None


async def look(office: Office, browser: Browserless, target: str, **methods: Any) -> Answer:
    """GET over a store whose *methods* were replaced, without a socket."""
    app = falcon.asgi.App()
    world = replace(office.world, store=StoreWith(office.town.house.store, **methods))
    manager = Manager(world, office.town.house.settings)
    manager.mount(app)
    door = Door(app, frozenset({"127.0.0.1"}), (), Metrics(), lambda r, _: manager.refused(r))
    path, _, query = target.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [(b"host", b"127.0.0.1"), (b"cookie", f"{COOKIE}={browser.cookie}".encode())],
        "client": ("127.0.0.1", 1), "scheme": "http",
    }  # fmt: skip
    answer = Answer()

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            answer.body += message.get("body", b"")
            answer.whole = not message.get("more_body", False)

    try:
        await door(scope, receive, send)
    except ValueError as error:
        answer.error = error
    return answer


def failing(error: Exception) -> Any:
    async def method(*_: object, **__: object) -> None:
        raise error

    return method


async def test_a_bug_is_told_without_what_was_asked_and_logged_without_it(office: Office, log):
    browser = await office.signed_in(OLIVIA)

    answer = await look(office, browser, "/manager/mail", mails=failing(ValueError(SECRET)))

    assert answer.status == 500
    assert answer.whole
    assert "Something went wrong here" in answer.body.decode()
    assert answer.headers["cache-control"] == "no-store"
    assert SECRET not in answer.body.decode()
    assert SECRET not in log.getvalue()
    assert '"event": "bug"' in log.getvalue()


@pytest.mark.parametrize("method", ["member_session", "portfolio", "wabas", "mails"])
@pytest.mark.parametrize("refusal", [Unavailable, Overloaded])
async def test_without_its_store_the_manager_says_when_to_come_back(
    office: Office, method, refusal
):
    browser = await office.signed_in(OLIVIA)

    answer = await look(office, browser, "/manager/mail", **{method: failing(refusal())})

    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert "Try again in 1 s" in answer.body.decode()
    assert answer.headers["content-type"].startswith("text/html")


async def test_a_session_that_cannot_be_written_down_still_reads(office: Office):
    browser = await office.signed_in(OLIVIA)
    office.town.pass_time(60)

    answer = await look(office, browser, "/manager/mail", touch_session=failing(Unavailable()))

    assert answer.status == 200


async def test_static_files_and_unknown_pages_need_no_store(office: Office):
    browser = await office.signed_in(OLIVIA)
    down = {"member_session": failing(Unavailable()), "portfolio": failing(Unavailable())}

    answer = await look(office, browser, "/manager/nowhere", **down)

    assert answer.status == 404


async def test_an_export_that_cannot_begin_is_a_page(office: Office):
    browser = await office.signed_in(OLIVIA)
    number = await office.town.number()

    async def broken(*_: object) -> AsyncIterator[Link]:
        raise Unavailable
        yield

    answer = await look(
        office, browser, f"/manager/numbers/{number.id}/timeline/export?format=csv", audit=broken
    )

    assert answer.status == 503
    assert "content-disposition" not in answer.headers
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("written", ["csv", "jsonl"])
async def test_an_export_that_fails_in_the_middle_is_cut_and_never_looks_whole(
    office: Office, log, written
):
    browser = await office.signed_in(OLIVIA)
    number = await office.town.number()
    (link,) = [one async for one in office.world.store.audit(f"number:{number.id}")]

    async def broken(*_: object) -> AsyncIterator[Link]:
        for _again in range(3_000):
            yield link
        raise ValueError(SECRET)

    answer = await look(
        office,
        browser,
        f"/manager/numbers/{number.id}/timeline/export?format={written}",
        audit=broken,
    )

    assert answer.status == 200
    assert len(answer.body) > 64 * 1024
    assert not answer.whole
    assert answer.error is not None
    assert '"event": "bug"' in log.getvalue()
    assert SECRET not in log.getvalue()


async def test_a_download_has_a_name_of_plain_characters(office: Office):
    browser = await office.signed_in(OLIVIA)
    number = await office.town.number()

    for target in (
        f"/manager/numbers/{number.id}/timeline/export?format=csv",
        f"/manager/accounts/{number.waba}/numbers/export?format=jsonl",
        f"/manager/numbers/{number.id}/certificate/download",
    ):
        reply = await browser.get(target)
        name = reply.header("Content-Disposition") or ""
        assert name.startswith('attachment; filename="')
        assert (
            name.removeprefix('attachment; filename="')
            .rstrip('"')
            .replace("-", "")
            .replace(".", "")
            .isalnum()
        ), name


@pytest.mark.parametrize("method", ["BREW", "get", "PROPFIND"])
async def test_a_method_that_nobody_knows_is_refused_by_a_page(office: Office, method: str):
    reply = await exchange(office.town.port, method, "/manager/sign-in")

    assert reply.status == 405
    assert reply.header("Allow") == "GET, HEAD, POST"
    assert reply.header("Content-Type") == "text/html; charset=utf-8"
    assert reply.header("Content-Security-Policy") is not None
