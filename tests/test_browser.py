"""The browser of the tests: it finds faults, and reaches no other host."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.browser import (
    PHONE,
    SCHEMES,
    Keyboard,
    Scheme,
    a_window,
    axe_violations,
    chromium,
    cut_off,
    overflow,
    weigh,
)

_COOKIE = "__Host-nightlatch=one; Secure; HttpOnly; SameSite=Lax; Path=/"
_CSP = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'"
_HEAD = "<!doctype html><html lang=en><title>A page</title><main><h1>A page</h1>"


@contextmanager
def pages(
    headers: dict[str, str] | None = None, **bodies: str
) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server of these pages; its origin, and the headers of each request for one of them."""
    heard: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bodies.get(self.path[1:].partition(".")[0])
            self.send_response(404 if body is None else 200)
            kind = "css" if self.path.endswith(".css") else "html"
            self.send_header("Content-Type", f"text/{kind}; charset=utf-8")
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write((body or "").encode())
            if body is not None:
                heard.append(dict(self.headers.items()))

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running = threading.Thread(target=server.serve_forever, args=(0.02,))
        running.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", heard
        finally:
            server.shutdown()
            running.join()


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_what_is_wrong_with_a_page_and_says_where(scheme: Scheme):
    style = "<style>p { color: #bbb; background: #fff } @media (prefers-color-scheme: dark) { p { color: #222; background: #000 } }</style>"
    bad = (
        f"{_HEAD}{style}<p id=faint>Too faint to read</p><label>Name</label><input id=bare></main>"
    )

    with pages(bad=bad, good=f"{_HEAD}<p>Clear</p></main>") as (origin, _):
        async with chromium() as browser, a_window(browser, scheme=scheme) as window:
            await window.page.goto(f"{origin}/bad")
            found = await axe_violations(window.page)
            await window.page.goto(f"{origin}/good")
            clean = await axe_violations(window.page)

    assert [line.partition(":")[0] for line in sorted(found)] == [
        "color-contrast at #faint",
        "label at #bare",
    ]
    assert clean == []


@pytest.mark.parametrize(
    "there",
    ["http://outside.example/x.png", "http://192.0.2.1/x.png", "http://[2001:db8::1]/x.png"],
)
async def test_a_page_reaches_no_other_host(there: str):
    with pages(page=f"{_HEAD}<img alt='' src='{there}'></main>") as (origin, _):
        async with chromium() as browser, a_window(browser) as window:
            await window.page.goto(f"{origin}/page")

    assert window.foreign == [there]
    assert f"net::ERR_NAME_NOT_RESOLVED: {there}" in window.faults


async def test_what_the_content_security_policy_stops_is_a_fault():
    body = f"{_HEAD}<p style='color: red'>Red</p><script>document.title = 'ran'</script></main>"

    with pages({"Content-Security-Policy": _CSP}, page=body) as (origin, _):
        async with chromium() as browser, a_window(browser) as window:
            await window.page.goto(f"{origin}/page")
            title = await window.page.title()

    assert title == "A page"
    assert len([fault for fault in window.faults if "Content Security Policy" in fault]) == 2


async def test_a_host_bound_secure_cookie_works_on_the_loopback_address_without_https():
    with pages({"Set-Cookie": _COOKIE}, page=f"{_HEAD}</main>") as (origin, heard):
        async with chromium() as browser, a_window(browser) as first:
            await first.page.goto(f"{origin}/page")
            await first.page.goto(f"{origin}/page")
            kept = await first.page.context.storage_state()
            async with a_window(browser, cookies=kept) as second:
                await second.page.goto(f"{origin}/page")

    sent = [one.get("Cookie") for one in heard]
    assert sent == [None, "__Host-nightlatch=one", "__Host-nightlatch=one"]


async def test_a_page_that_is_too_wide_for_a_phone_is_noticed():
    wide = "<meta name=viewport content='width=device-width'><div style='width: 500px'>x</div>"
    box = f"<div class=box id=card style='overflow: hidden'>{wide}</div>"

    with pages(wide=_HEAD + wide, cut=_HEAD + box, fits=_HEAD) as (origin, _):
        async with chromium() as browser, a_window(browser, width=PHONE) as window:
            await window.page.goto(f"{origin}/wide")
            too_wide = await overflow(window.page)
            await window.page.goto(f"{origin}/cut")
            hidden = await overflow(window.page), await cut_off(window.page)
            await window.page.goto(f"{origin}/fits")
            fits = await overflow(window.page), await cut_off(window.page)

    assert too_wide > 100
    assert hidden == (0, ["div.box#card"])
    assert fits == (0, [])


async def test_weighing_a_page_counts_what_it_waits_for_and_every_byte():
    linked = "<link rel=stylesheet href=style.css><script defer src=late.js></script>"
    page = f"<!doctype html><title>A page</title>{linked}<p>{'x' * 5_000}</p>"

    with pages(page=page, style="p { color: red }" * 100, late="//" * 100) as (origin, _):
        async with chromium() as browser, a_window(browser) as window:
            await window.page.goto(f"{origin}/page")
            weight = await weigh(window.page)

    assert weight.requests == 2
    assert f"{origin}/late.js" in weight.late  # the icon may come as well
    assert 6_800 < weight.size < 8_500


async def test_keys_alone_reach_what_is_in_the_order_and_nothing_else():
    style = "<style>:focus { outline: 3px solid }</style>"
    body = "<label>Name <input></label> <a href=next>Go on</a> <a tabindex=-1 href=next>Aside</a>"

    with pages(page=_HEAD + style + body, next=_HEAD) as (origin, _):
        async with chromium() as browser, a_window(browser) as window:
            await window.page.goto(f"{origin}/page")
            keys = Keyboard(window.page)
            await keys.type("Name", "Lucky")
            typed = await window.page.get_by_label("Name").input_value()
            with pytest.raises(AssertionError, match="never reaches"):
                await keys.go_to(window.page.get_by_role("link", name="Aside"))
            await keys.press(window.page.get_by_role("link", name="Go on"))

    assert typed == "Lucky"
    assert window.page.url == f"{origin}/next"


async def test_a_focus_that_cannot_be_seen_is_noticed():
    style = "<style>:focus { outline: none }</style>"

    with pages(page=_HEAD + style + "<button>Send</button>") as (origin, _):
        async with chromium() as browser, a_window(browser) as window:
            await window.page.goto(f"{origin}/page")
            with pytest.raises(AssertionError, match="cannot be seen"):
                await Keyboard(window.page).go_to(window.page.get_by_role("button", name="Send"))
