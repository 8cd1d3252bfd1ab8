"""What a newcomer does in the Manager, scene by scene, with a browser and curl.

Every scene begins where the one before ended and follows only links and
buttons by the names that people and screen readers are given. So each scene is
also the proof that the page shows the way.
"""

import asyncio
import base64
import json
import re
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from playwright.async_api import Locator, Page, expect

from nightlatch.faces.formats import phone
from tests.browser import Keyboard, Window
from tests.faults.processes import environment, nightlatch, serving
from tests.people import CC, E164, NATIONAL, OWNER, THIEF
from tests.town import Api

MEMBER_PASSWORD: Final = "seven brass keys by the door"
PORTFOLIO: Final = "Lucky Shrub Garden Centre"
ADDRESS: Final = "management@luckyshrub.example"
NUMBER: Final = phone(E164)
Role = Literal["link", "button"]
_STAND_IN: Final = Path(__file__).parents[1] / "docs" / "curl.py"
_LINK: Final = re.compile(r"http://127\.0\.0\.1:\d+/manager/welcome/\S+")
LETTER: Final = "Link that turns two-step verification off"
_LOOKS: Final = 50
PATIENCE: Final = 60_000
"""Milliseconds to wait for what a page shows by itself; a hang, not a goal."""


@dataclass(frozen=True)
class Served:
    """A real ``nightlatch serve`` with a folder that was empty."""

    port: int
    data: Path
    link: str
    """The one it printed."""

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def served(folder: Path, *more: str) -> AsyncIterator[Served]:
    data = folder / "data"
    running = serving(data, *more, ready=False)
    process = await asyncio.to_thread(running.__enter__)
    try:
        await asyncio.to_thread(process.wait_until_ready)
        printed = process.out.read_text()
        while not (found := _LINK.search(printed)):
            await asyncio.sleep(0.05)
            printed = process.out.read_text()
        yield Served(process.port, data, found[0])
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


async def curl(*words: str) -> tuple[int, Any]:
    """Run curl; the status and the body of the answer. Where there is none, a stand-in does it."""
    program = shutil.which("curl")
    command = [program, "-q"] if program else [sys.executable, str(_STAND_IN)]
    kept = {k: v for k, v in environment().items() if not k.lower().endswith("_proxy")}
    process = await asyncio.create_subprocess_exec(
        *command, "-s", "-w", "\n%{http_code}", *words, env=kept, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    body, _, status = out.decode().rpartition("\n")
    return int(status), json.loads(body)


@dataclass
class Newcomer:
    """Somebody who has just started Nightlatch, with one window and a terminal."""

    served: Served
    window: Window
    certificate: str = ""
    _bearer: list[str] = field(default_factory=list)

    @property
    def page(self) -> Page:
        return self.window.page

    def control(self, role: Role, name: str, menu: str = "") -> Locator:
        """What has exactly this name, on the page or in one of its menus."""
        place = self.page.get_by_role("navigation", name=menu, exact=True) if menu else self.page
        return place.get_by_role(role, name=name, exact=True)

    async def press(self, role: Role, name: str, menu: str = "") -> None:
        """Click it, and wait for the page that it brings."""
        async with self.page.expect_navigation():
            await self.control(role, name, menu).click()

    async def fill(self, fields: dict[str, str]) -> None:
        """Type into the fields of these labels."""
        for label, text in fields.items():
            await self.page.get_by_label(label, exact=True).fill(text)

    async def is_told(self, text: str) -> None:
        """The page says so at its top, once, for screen readers too."""
        await expect(self.page.get_by_role("status")).to_have_text(text)

    async def open_number(self) -> None:
        """By the way that WhatsApp Manager has: Account tools, Phone numbers, the gear."""
        await self.press("link", "Phone numbers", "Manager")
        await self.press("link", f"Settings of {NUMBER}")

    async def sees(self, wanted: Locator) -> None:
        """It appears, by itself where scripts run; else with another look at the page."""
        for _ in range(_LOOKS):
            if self.window.scripts or await wanted.count():
                break
            await self.page.reload()
        await expect(wanted).to_be_visible(timeout=PATIENCE)

    # The scenes

    async def begins(self) -> None:
        """The link that the first start printed makes its reader the owner."""
        await self.page.goto(self.served.link)
        await self.fill(
            {
                "Your name": OWNER.name,
                "Your e-mail address": OWNER.email,
                "Password": MEMBER_PASSWORD,
                "Name of the portfolio": PORTFOLIO,
                "E-mail address of the portfolio (optional)": ADDRESS,
            }
        )
        await self.press("button", "Begin")
        await self.is_told("Welcome. You are signed in as the owner of this portfolio.")

    async def signs_in(self) -> None:
        """With the address and the password chosen before."""
        await self.page.goto(f"{self.served.origin}/manager")
        await self.fill({"E-mail address": OWNER.email, "Password": MEMBER_PASSWORD})
        await self.press("button", "Sign in")
        await expect(self.page.get_by_role("heading", level=1)).to_have_text(PORTFOLIO)

    async def signs_out(self) -> None:
        await self.page.get_by_label(f"Your account: {OWNER.name}").click()
        await self.press("button", "Sign out")
        await self.is_told("You are signed out.")

    async def gets_the_certificate(self) -> None:
        """By the button that copies it, where scripts run."""
        await self.open_number()
        await self.press("link", "Get the certificate")
        if self.window.scripts:
            await self.page.get_by_role("button", name="Copy the certificate").click()
            await expect(self.page.get_by_role("button", name="Copied")).to_be_visible()
            self.certificate = await self.page.evaluate("navigator.clipboard.readText()")
        else:
            self.certificate = (await self.page.locator("#certificate").inner_text()).strip()

    async def registers_with_curl(self) -> None:
        """Asks for a code with the certificate, reads it from the handset's page, enters it."""
        await self._logs_in_with_curl()
        await self.press("link", "Handset", "This number")
        base = f"{self.served.origin}{OWNER.base}"
        asked = {"cc": CC, "phone_number": NATIONAL, "method": "sms", "cert": self.certificate}
        status, _ = await curl(*self._bearer, "-d", json.dumps(asked), f"{base}/account")
        assert status == 202
        code = self.page.get_by_text(re.compile(r"^\d{3}-\d{3}$"))
        await self.sees(code)
        entered = json.dumps({"code": (await code.inner_text()).replace("-", "")})
        status, _ = await curl(*self._bearer, "-d", entered, f"{base}/account/verify")
        assert status == 201

    async def _logs_in_with_curl(self) -> None:
        """The first login, with its change of password, and another for a token."""
        login = f"{self.served.origin}{OWNER.base}/users/login"
        kind = ("-H", "Content-Type: application/json")
        change = json.dumps({"new_password": OWNER.password})
        status, _ = await curl("-u", "admin:secret", *kind, "-d", change, login)
        assert status == 200
        status, body = await curl("-u", f"admin:{OWNER.password}", "-X", "POST", login)
        assert status == 200
        self._bearer = ["-H", f"Authorization: Bearer {body['users'][0]['token']}", *kind]

    async def sets_the_pin(self, pin: str) -> None:
        await self.open_number()
        await self.press("link", "Two-step verification", "This number")
        await self.press("link", "Set PIN")
        await self.fill({"New PIN": pin, "New PIN again": pin})
        await self.press("button", "Set PIN")
        await self.is_told("Two-step verification is on.")

    async def changes_the_pin_with_keys_alone(self, current: str, pin: str) -> None:
        """From the overview on, no mouse."""
        keys = Keyboard(self.page)
        await keys.press(self.control("link", "Phone numbers", "Manager"))
        await keys.press(self.control("link", f"Settings of {NUMBER}"))
        await keys.press(self.control("link", "Two-step verification", "This number"))
        await keys.press(self.control("link", "Change PIN"))
        await keys.type("Current PIN", current)
        await keys.type("New PIN", pin)
        await keys.type("New PIN again", pin)
        await keys.press(self.control("button", "Change PIN"))
        await self.is_told("The PIN is changed. Your other sessions were ended.")

    async def asks_for_the_turn_off_link(self) -> None:
        await self.open_number()
        await self.press("link", "Two-step verification", "This number")
        await self.press("link", "Turn off two-step verification")
        await self.press("button", "Mail the link")
        await self.is_told("The link is on its way to the portfolio's address.")

    async def follows_the_mailed_link(self) -> None:
        """The letter lies in the embedded mailbox; looking at its link changes nothing."""
        await self.press("link", "Mail", "Manager")
        letter = self.page.get_by_role("link", name=LETTER, exact=True)
        await self.sees(letter)
        await self.press("link", LETTER)
        await self.press("link", "Open the link")
        async with self.page.expect_request(self.page.url) as sent:
            await self.press("button", "Turn off two-step verification")
        headers = await (await sent.value).all_headers()
        assert headers["origin"] == self.served.origin
        assert headers.get("referer", "") in ("", f"{self.served.origin}/")  # never the token
        await self.is_told("Two-step verification is off.")


async def thief(served: Served, certificate: str) -> Api:
    """Another client, whose owner has come by the SIM and the certificate."""
    added = await asyncio.to_thread(
        nightlatch, "clients", "add", THIEF.client, "--data", served.data
    )
    assert added.returncode == 0, added.stderr
    api = Api(served.port, THIEF.base, THIEF.password, certificate=certificate)
    return await api.move_in()


def app_code(key: str) -> str:
    """What an authenticator app with this key shows now."""
    raw = base64.b32decode(key + "=" * (-len(key) % 8))
    return TOTP(raw, 6, SHA1(), 30).generate(int(time.time())).decode()
