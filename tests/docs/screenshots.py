"""The pictures of the Manager: real pages of a staged server. ``make screenshots`` takes them.

The stage is one portfolio after a month: some numbers protected, some not, and
a thief at work on one of them. Its clock stands still, so that every run
shows the same moments.
"""

import asyncio
import shutil
import struct
import tempfile
import zlib
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, FloatRect, Page

from nightlatch import logs
from nightlatch.bootstrap import House, free_port, serve
from nightlatch.domain.linked import turn_off_asked
from nightlatch.domain.mail import MailState
from nightlatch.domain.members import MemberRole
from nightlatch.faces.formats import phone
from nightlatch.faces.spelling import spell_whole
from nightlatch.usecases import (
    bridge,
    clients,
    codes,
    linked,
    links,
    mail,
    members,
    numbers,
    vault,
)
from tests.browser import PHONE, WIDE, Scheme, a_window, chromium, faults_of
from tests.docs.reference import ROOT
from tests.end_to_end.newcomer import (
    ADDRESS,
    LETTER,
    MEMBER_PASSWORD,
    NUMBER,
    PORTFOLIO,
    Newcomer,
    Served,
)
from tests.fakes.cloud import TOKEN, WABA
from tests.people import E164, NOON, OWNER, THIEF
from tests.town import Api, a_house

FOLDER: Final = ROOT / "docs" / "manager"
LARGEST: Final = 80_000
"""Bytes of one picture."""
LOOKS: Final[dict[str, tuple[Scheme, int, int]]] = {
    "light": ("light", WIDE, 800),
    "dark": ("dark", WIDE, 800),
    "phone": ("light", PHONE, 760),
}
"""Colours, width and height of the window."""
_TALLEST: Final = 1200
"""Pixels of a page's upper part that a picture shows."""
NAMES: Final = (
    "welcome", "sign-in", "overview", "phone-numbers", "number", "certificate", "handset",
    "two-step", "two-step-change", "turn-off-mail", "turn-off", "members", "mailbox",
    "linked-numbers", "linked-number",
)  # fmt: skip
_COLOURS: Final = """async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes]));
    const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
    context.drawImage(image, 0, 0);
    const pixels = new Uint32Array(
        context.getImageData(0, 0, image.width, image.height).data.buffer
    );
    const counts = new Map();
    for (const one of pixels) counts.set(one, (counts.get(one) || 0) + 1);
    const parts = (one) => [one & 255, (one >> 8) & 255, (one >> 16) & 255];
    const colours = [...counts].map(([one, count]) => ({
        one, count, parts: parts(one), far: Infinity, place: 0,
    }));
    const palette = [];
    while (palette.length < Math.min(256, colours.length)) {
        let next = colours[0], most = -1;
        for (const colour of colours) {
            const gain = Math.min(colour.far, 1e6) * colour.count;
            if (gain > most) [next, most] = [colour, gain];
        }
        const [r, g, b] = next.parts;
        for (const colour of colours) {
            const [cr, cg, cb] = colour.parts;
            const far = (r - cr) ** 2 + (g - cg) ** 2 + (b - cb) ** 2;
            if (far < colour.far) [colour.far, colour.place] = [far, palette.length];
        }
        palette.push(next.parts);
    }
    const places = new Map(colours.map(({ one, place }) => [one, place]));
    let text = "";
    for (const one of pixels) text += String.fromCharCode(places.get(one));
    return { width: image.width, palette: palette.flat(), pixels: btoa(text) };
}"""
"""256 colours of a picture, each the one that was missed most, and for each pixel the nearest."""
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_DAYS: Final = 28
_COLLEAGUES: Final = (
    ("vera@luckyshrub.example", "Vera Viewer", MemberRole.VIEWER),
    ("adam@luckyshrub.example", "Adam Admin", MemberRole.ADMIN),
)
_BRANCHES: Final = (
    ("+16315551001", "Lucky Shrub Deliveries", 3, True),
    ("+16315551002", "Lucky Shrub Roses", 7, True),
    ("+16315551003", "Lucky Shrub Weddings", 11, False),
    ("+442079460123", "Lucky Shrub London", 16, True),
    ("+4930901820", "Lucky Shrub Berlin", 22, True),
    ("+16315551006", "Lucky Shrub Orders", 0, False),
)
"""Number, name, day of registration (0: never), whether it has a PIN."""

_AT_META: Final = (
    ("+16315552010", "Lucky Shrub Chat", OWNER.pin),
    ("+16315552011", "Lucky Shrub Deliveries Chat", None),
    ("+16315552012", "Lucky Shrub Seeds", ""),
    ("+442079460124", "Lucky Shrub London Chat", OWNER.new_pin),
)
"""Number, name and PIN at the Cloud API, which the vault knows; None where it does not know it,
empty where the number is not registered."""
_ACCOUNT: Final = "Lucky Shrub Chats"


class Standing:
    """A clock that moves only when somebody moves it."""

    def __init__(self, _: datetime | None) -> None:
        self._now = NOON - timedelta(days=_DAYS)

    def now(self) -> datetime:
        return self._now

    def step(self, by: timedelta) -> None:
        self._now += by


@dataclass
class Stage:
    """A served house whose clock its stage hands move."""

    house: House
    clock: Standing
    served: Served

    async def client(self, name: str, e164: str) -> Api:
        """A client that has logged in and has the number's certificate."""
        if name != OWNER.client:
            await clients.add_client(self.house.world, name)
        number = await numbers.find_number(self.house.world, e164)
        certificate = numbers.certificate(self.house.world, number)
        base = OWNER.base if name == OWNER.client else f"/clients/{name}/v1"
        api = Api(self.served.port, base, f"Some-Pass-{name}-1", certificate=certificate)
        return await api.move_in()

    async def register(self, api: Api, e164: str, pin: str | None = None) -> None:
        number = await numbers.find_number(self.house.world, e164)
        which = {"cc": number.cc, "phone_number": number.national}
        assert (await api.register(pin, **which)).status == 202
        while await self.house.store.waiting_for(e164):
            await asyncio.sleep(0.01)
        code = (await codes.handset(self.house.world, e164))[0].code
        assert (await api.verify(code)).status == 201

    async def mail_is_delivered(self) -> None:
        """Nothing waits in the outbox."""
        portfolio = (await self.house.store.portfolios())[0].id
        while any(
            one.state is MailState.WAITING
            for one in await mail.latest(self.house.world, portfolio, 40)
        ):
            await asyncio.sleep(0.02)


@asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[Stage]:
    """A served house on its first day; only its owner's link has been printed."""
    port = free_port()
    async with a_house(folder / "data", clock=Standing, port=port) as house:
        token = await members.first_owner_link(house.world)
        link = f"http://127.0.0.1:{port}/manager/welcome/{token}"
        stop, started = asyncio.Event(), asyncio.Event()

        async def ready() -> None:
            started.set()

        serving = asyncio.create_task(serve(house, stop, ready))
        try:
            await started.wait()
            clock: Any = house.clock
            yield Stage(house, clock, Served(port, folder / "data", link))
        finally:
            stop.set()
            await serving


async def play(stage: Stage) -> None:
    """A month of the portfolio, up to the thief's sixth guess."""
    world, clock = stage.house.world, stage.clock
    token = stage.served.link.rpartition("/")[2]
    titles = (PORTFOLIO, ADDRESS)
    await members.join(
        world, token, OWNER.email, OWNER.name, MEMBER_PASSWORD, "Firefox/146.0 Linux", titles
    )
    portfolio, waba = (await stage.house.store.portfolios())[0].id, await stage.house.first_waba()
    for email, name, role in _COLLEAGUES:
        await members.add_member(world, portfolio, email, name, role, f"{name} has a long password")
    for e164, name, *_ in _BRANCHES:
        await numbers.add_number(world, waba, *spell_whole(e164), name, OWNER.email)
    owner = await stage.client(OWNER.client, E164)
    await stage.register(owner, E164)
    assert (await owner.set_pin(OWNER.pin)).status == 200
    others: dict[str, Api] = {}
    for day in range(1, _DAYS):
        clock.step(timedelta(days=1))
        for e164, name, since, protected in _BRANCHES:
            if since == day:
                others[e164] = await stage.client(name.split()[-1].lower(), e164)
                await stage.register(others[e164], e164)
                if protected:
                    assert (await others[e164].set_pin(OWNER.pin)).status == 200
            elif protected and since < day and since and (day * since) % 5 == 1:
                await others[e164].login()
                number = await numbers.find_number(world, e164)
                which = {"cc": number.cc, "phone_number": number.national}
                for pin in (*[THIEF.wrong_pin] * (day * since % 3), OWNER.pin):
                    await others[e164].register(pin, **which)
    clock.step(timedelta(hours=23, minutes=40))
    robber = await stage.client(THIEF.client, E164)
    for wait in (0, 20, 25, 40, 30, 75):
        clock.step(timedelta(seconds=wait))
        assert (await robber.register(THIEF.wrong_pin)).verdict == (403, 1005)
    clock.step(timedelta(seconds=20))
    pending = _BRANCHES[-1][0]
    shop = await stage.client("orders", pending)
    number = await numbers.find_number(world, pending)
    await shop.register(cc=number.cc, phone_number=number.national)
    await _link(stage, portfolio)
    clock.step(timedelta(seconds=25))


async def _link(stage: Stage, portfolio: str) -> None:
    """An account whose numbers live at the Cloud API; somebody has just touched one of them."""
    world = stage.house.world
    cloud: Any = world.cloud
    cloud.accounts[WABA] = _ACCOUNT
    for e164, name, pin in _AT_META:
        if pin == "":
            cloud.add(e164, name=name)
        else:
            cloud.add_registered(e164, pin or THIEF.wrong_pin, name=name)
    await clients.add_client(world, "chat")
    one = await links.link(
        world, portfolio, WABA, TOKEN, secret="s" * 32, clients=("chat",), by=OWNER.email
    )
    one = await links.subscribe(world, one, OWNER.email)
    await links.read_numbers(world, one, lambda _: None)
    for e164, _, pin in _AT_META:
        if pin:
            number = await linked.find_linked(world, e164)
            await linked.refresh(world, await vault.keep(world, number, pin, OWNER.email))
    number = await linked.find_linked(world, _AT_META[0][0])
    await bridge.register(world, number, None, "chat", OWNER.email)
    stage.clock.step(timedelta(minutes=2))
    await linked.refresh(world, number)
    now = stage.clock.now()
    await world.update_linked(number.id, lambda n: turn_off_asked(n, "634974688087058", now, now))


async def take(folder: Path) -> list[Path]:
    """Every picture, in *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    taken: list[Path] = []
    with tempfile.TemporaryDirectory() as data:
        async with staged(Path(data)) as stage, chromium() as browser:
            await _each_look(stage, browser, folder, taken, {"welcome": stage.served.link})
            await play(stage)
            async with a_window(browser) as window:
                addresses = await _walk(stage, Newcomer(stage.served, window))
                cookies = await window.page.context.storage_state()
            origin = stage.served.origin
            signed_out = {"sign-in": f"{origin}/manager/sign-in"}
            await _each_look(stage, browser, folder, taken, signed_out)
            await _each_look(stage, browser, folder, taken, addresses, cookies)
    return taken


async def _walk(stage: Stage, owner: Newcomer) -> dict[str, str]:
    """Sign in, ask for the turn-off link, invite somebody; the address of each picture."""
    page = owner.page
    found: dict[str, str] = {}

    async def keep(name: str, link: str, menu: str = "") -> None:
        await owner.press("link", link, menu)
        found[name] = page.url

    await owner.signs_in()
    await owner.press("link", "Members", "Manager")
    await owner.press("link", "Invite somebody")
    await owner.fill({"E-mail address": "nina@luckyshrub.example"})
    await owner.press("button", "Mail the invitation")
    await owner.asks_for_the_turn_off_link()
    await stage.mail_is_delivered()
    await keep("overview", "Overview", "Manager")
    await keep("members", "Members", "Manager")
    await keep("mailbox", "Mail", "Manager")
    await keep("turn-off-mail", LETTER)
    await keep("turn-off", "Open the link")
    await keep("phone-numbers", "Phone numbers", "Manager")
    await keep("number", f"Settings of {NUMBER}")
    await keep("certificate", "Certificate", "This number")
    await keep("two-step", "Two-step verification", "This number")
    await keep("two-step-change", "Change PIN")
    await owner.press("link", "Phone numbers", "Manager")
    await owner.press("link", f"Settings of {phone(_BRANCHES[-1][0])}")
    await keep("handset", "Handset", "This number")
    await owner.press("link", "Cloud API", "Manager")
    await owner.press("link", _ACCOUNT)
    await keep("linked-numbers", f"{len(_AT_META)} numbers")
    await keep("linked-number", phone(_AT_META[0][0]))
    return found


async def _each_look(
    stage: Stage,
    browser: Browser,
    folder: Path,
    taken: list[Path],
    addresses: dict[str, str],
    cookies: Any = None,
) -> None:
    for look, (scheme, width, height) in LOOKS.items():
        async with a_window(
            browser, scheme=scheme, width=width, height=height, cookies=cookies
        ) as window:
            await window.page.clock.set_fixed_time(stage.clock.now())
            for name, address in addresses.items():
                await window.page.goto(address)
                file = folder / f"{name}-{look}.png"
                picture = await window.page.screenshot(
                    animations="disabled", full_page=True, clip=await _upper_part(window.page)
                )
                file.write_bytes(await _small(browser, picture))
                taken.append(file)
            assert faults_of([window]) == []


async def _upper_part(page: Page) -> FloatRect:
    width, height = await page.evaluate(
        "[document.documentElement.clientWidth, document.documentElement.scrollHeight]"
    )
    return {"x": 0, "y": 0, "width": width, "height": min(height, _TALLEST)}


async def _small(browser: Browser, picture: bytes) -> bytes:
    """The same as a PNG with a palette, a third of the size."""
    page = await browser.new_page()
    drawn = await page.evaluate(_COLOURS, b64encode(picture).decode())
    await page.close()
    width, pixels = drawn["width"], b64decode(drawn["pixels"])
    height = len(pixels) // width
    rows = b"".join(b"\0" + pixels[y * width : (y + 1) * width] for y in range(height))
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            (b"PLTE", bytes(drawn["palette"])),
            (b"IDAT", zlib.compress(rows, 9)),
            (b"IEND", b""),
        )
    )


def main() -> None:
    logs.configure("json", "error")
    shutil.rmtree(FOLDER, ignore_errors=True)
    taken = asyncio.run(take(FOLDER))
    assert {file.name for file in taken} == {
        f"{name}-{look}.png" for name in NAMES for look in LOOKS
    }
    for file in taken:
        print(f"wrote {file.relative_to(ROOT)}, {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
