"""Looking at every page for what no page may have."""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from playwright.async_api import Page

from nightlatch.faces.manager.routes import ROUTES
from nightlatch.faces.manager.wire import PREFIX
from tests.browser import (
    PHONE,
    SCHEMES,
    TABLET,
    WIDE,
    axe_violations,
    cut_off,
    overflow,
    weigh,
)

LARGEST: Final = 30_000
"""Bytes of a page with its styles and its script, before pictures."""
_HEIGHT: Final = 800
_FILES: Final = ("/export", "/download")
PAGES: Final = frozenset(
    route.path for route in ROUTES if route.method == "GET" and not route.path.endswith(_FILES)
)
"""Every page there is, by its row in the table of routes."""


@dataclass
class Inspector:
    """Remembers which pages it saw and what was wrong with them."""

    seen: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    async def look(self, page: Page, *, again: bool = True) -> None:
        """At the page as it is now; *again* loads it anew to weigh it."""
        path = _route(page.url)
        self.seen.add(path)
        if again:
            await self._weigh(page, path)
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            self._tell(path, scheme, await axe_violations(page))
        await page.emulate_media(color_scheme="light")
        for width in (TABLET, PHONE):
            await page.set_viewport_size({"width": width, "height": _HEIGHT})
            too_wide = await overflow(page)
            if too_wide:
                self._tell(path, f"{width}", [f"{too_wide} pixels too wide"])
            self._tell(path, f"{width}", [f"{one} is cut off" for one in await cut_off(page)])
        self._tell(path, "phone", await axe_violations(page))
        await page.set_viewport_size({"width": WIDE, "height": _HEIGHT})

    def knows(self, page: Page) -> bool:
        """Whether a page of this row of the table was looked at."""
        return _route(page.url) in self.seen

    async def _weigh(self, page: Page, path: str) -> None:
        weight = await weigh(page)
        if weight.requests > 2:
            self._tell(path, "weight", [f"waits for {weight.requests} requests"])
        if weight.size > LARGEST:
            self._tell(path, "weight", [f"{weight.size} bytes"])

    def _tell(self, path: str, when: str, found: list[str]) -> None:
        self.wrong += [f"{path} ({when}): {one}" for one in found]


def _route(url: str) -> str:
    """The row in the table of routes that this address belongs to."""
    path = urlsplit(url).path.removeprefix(PREFIX) or "/"
    fits = [one for one in PAGES if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", one), path)]
    return min(fits, key=lambda one: one.count("{"), default="?")
