"""Debian's Chromium for the tests of the Manager: it reaches this machine and nothing else.

``/usr/bin/chromium`` is installed by ``make chromium``, which ``make test`` runs first.
A page remembers what went wrong on it, whatever a test was looking for.
"""

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from axe_playwright_python.base import AXE_SCRIPT  # type: ignore[import-untyped]  # has none
from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    async_playwright,
)

_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # also for addresses as numbers
)
_WCAG: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
_AXE: Final = """options => axe.run(options).then(
    ({passes, violations}) => ({passes: passes.length, violations})
)"""
_CUT_OFF: Final = """() => [...document.querySelectorAll("body, body *:not(input, select)")].filter((one) => {
    const style = getComputedStyle(one);
    return ["hidden", "clip"].includes(style.overflowX)
        && one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 1
        && style.textOverflow != "ellipsis";
}).map((one) => `${one.tagName.toLowerCase()}.${one.className}#${one.id}`)"""
WIDE, TABLET, PHONE = 1280, 900, 360
"""Widths of a window, in CSS pixels."""
Scheme = Literal["light", "dark"]
SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")
_TABS: Final = 100
"""More presses of a key than any page needs."""
_BY_STATUS: Final = "Failed to load resource: the server responded with a status of"
_SECONDS: Final = 20.0
"""How long anything on a page may take; a hang, not a goal."""


@dataclass
class Window:
    """One window with cookies of its own."""

    page: Page
    scripts: bool = True
    """Whether the page's own scripts run."""
    foreign: list[str] = field(default_factory=list)
    """What was asked of other hosts, all in vain."""
    _failed: list[str] = field(default_factory=list)
    _said: list[ConsoleMessage] = field(default_factory=list)
    _pages: set[str] = field(default_factory=set)

    @property
    def faults(self) -> list[str]:
        """Errors and warnings of the console, CSP's among them, and requests that failed.

        That a page of ours came with the status of a refusal is no fault.
        """
        said = [
            f"{one.type}: {one.text}"
            for one in self._said
            if not (one.text.startswith(_BY_STATUS) and one.location["url"] in self._pages)
        ]
        return said + self._failed

    def listen(self) -> None:
        """Remember what goes wrong from now on."""
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self._failed.append(f"script: {error}"))
        self.page.on("requestfailed", self._fail)
        self.page.on("request", self._ask)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._said.append(message)

    def _fail(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # left for another page
            self._failed.append(f"{request.failure}: {request.url}")

    def _ask(self, request: Request) -> None:
        if request.is_navigation_request():
            self._pages.add(request.url)
        if not request.url.startswith(("http://127.0.0.1:", "data:")):
            self.foreign.append(request.url)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window."""
    program = shutil.which("chromium")
    assert program is not None, "no Chromium on the PATH; run: make chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=[*_FLAGS])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def a_window(
    browser: Browser,
    *,
    scheme: Scheme = "light",
    width: int = WIDE,
    height: int = 800,
    scripts: bool = True,
    cookies: Any = None,
) -> AsyncIterator[Window]:
    """A window; *cookies* are what another window's ``page.context.storage_state()`` gave."""
    context = await browser.new_context(
        color_scheme=scheme,
        viewport={"width": width, "height": height},
        java_script_enabled=scripts,
        storage_state=cookies,
        locale="en-GB",
        timezone_id="UTC",
        reduced_motion="reduce",
        service_workers="block",
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(_SECONDS * 1_000)
    page = await context.new_page()
    window = Window(page, scripts)
    window.listen()
    try:
        yield window
    finally:
        await context.close()


async def axe_violations(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA: rule, place and reason, one line each.

    The page's own scripts may be off, as long as the window allows them.
    """
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE_SCRIPT)
    found = await page.evaluate(_AXE, {"runOnly": {"type": "tag", "values": [*_WCAG]}})
    assert found["passes"], "axe-core looked at nothing"
    return [
        f"{one['id']} at {' '.join(map(str, node['target']))}: {_reasons(node)}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def _reasons(node: dict[str, Any]) -> str:
    checks = [*node["any"], *node["all"], *node["none"]]
    return "; ".join(check["message"] for check in checks)


async def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return int(
        await page.evaluate(
            "document.scrollingElement.scrollWidth - document.documentElement.clientWidth"
        )
    )


async def cut_off(page: Page) -> list[str]:
    """Elements that hide a part of what is in them for want of width, and cannot be scrolled."""
    found: list[str] = await page.evaluate(_CUT_OFF)
    return found


@dataclass(frozen=True)
class Weight:
    """What a page costs with an empty cache."""

    requests: int
    """Before it is useful: the page, and what it waits for before it is drawn."""
    size: int
    """Bytes of the page, its styles and its scripts, with their headers."""
    late: tuple[str, ...]
    """What it loads besides: scripts that run after the page is read, pictures."""


async def weigh(page: Page) -> Weight:
    """Load the page again with an empty cache and see what comes."""
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    await session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    await page.reload()
    loads = await page.evaluate(
        """[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
           .map(e => [e.name, e.entryType == "navigation" || e.renderBlockingStatus == "blocking",
                      e.transferSize])"""
    )
    await session.detach()
    needed = [name for name, blocks, _ in loads if blocks]
    return Weight(
        len(needed),
        sum(size for *_, size in loads),
        tuple(name for name, blocks, _ in loads if not blocks),
    )


class Keyboard:
    """Somebody without a mouse: Tab, Enter, and letters."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def go_to(self, wanted: Locator) -> None:
        """Press Tab until the control has the focus, which has to be seen there."""
        for _ in range(_TABS):
            if await wanted.evaluate("one => one === document.activeElement"):
                assert await self._is_marked(), f"the focus on {wanted} cannot be seen"
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"the Tab key never reaches {wanted}")

    async def type(self, label: str, text: str) -> None:
        """Into the field of this label."""
        await self.go_to(self.page.get_by_label(label, exact=True))
        await self.page.keyboard.type(text)

    async def press(self, wanted: Locator) -> None:
        """Enter on a link or a button, and wait for the page that it brings."""
        await self.go_to(wanted)
        async with self.page.expect_navigation():
            await self.page.keyboard.press("Enter")

    async def _is_marked(self) -> bool:
        return bool(
            await self.page.evaluate(
                """() => {
                    const style = getComputedStyle(document.activeElement);
                    return style.outlineStyle != "none" && parseFloat(style.outlineWidth) >= 2;
                }"""
            )
        )


def faults_of(windows: Sequence[Window]) -> list[str]:
    """Everything that went wrong, or went abroad, in any of the windows."""
    return [fault for window in windows for fault in (*window.faults, *window.foreign)]
