"""A browser without a window: forms and a cookie over a real socket, and who sits in front of it."""

import asyncio
import base64
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from html import unescape
from typing import Any
from urllib.parse import urlencode, urlsplit

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from nightlatch.domain.members import Member, MemberRole
from nightlatch.faces.manager.app import COOKIE
from nightlatch.faces.manager.messages import ROWS
from nightlatch.usecases import mail, members, upkeep
from tests.people import OWNER
from tests.town import Reply, Town, exchange

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PASSWORD = "violet tram quarry 58"
NEW_PASSWORD = "seven kettles under ice"


@dataclass(frozen=True)
class Person:
    """A member of the owner's portfolio; all have the same password, to be short."""

    email: str
    name: str
    role: MemberRole


OLIVIA = Person(OWNER.email, OWNER.name, MemberRole.OWNER)
ADA = Person("ada@luckyshrub.example", "Ada Admin", MemberRole.ADMIN)
VITO = Person("vito@luckyshrub.example", "Vito Viewer", MemberRole.VIEWER)
EVERYBODY = (OLIVIA, ADA, VITO)


@dataclass
class Browserless:
    """Keeps the cookie and the token of the last form it saw, as a browser would."""

    port: int
    cookie: str = ""
    csrf: str = ""
    agent: str = AGENT
    host: str = "127.0.0.1"
    at: str = ""
    """Path and query of the page it shows."""
    seen: list[Reply] = field(default_factory=list)
    """Every answer, in order."""

    async def ask(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Reply:
        """One request; the cookie is kept and sent."""
        sent = {"User-Agent": self.agent}
        if self.cookie:
            sent["Cookie"] = f"{COOKIE}={self.cookie}"
        sent |= headers or {}
        reply = await exchange(
            self.port, method, target, headers=list(sent.items()), body=body, host=self.host
        )
        self.seen.append(reply)
        for name, value in reply.headers:
            if name.lower() == "set-cookie":
                self.cookie = value.partition(";")[0].partition("=")[2]
        found = re.search(rb'name="csrf" value="([0-9a-f]+)"', reply.raw)
        if found:
            self.csrf = found[1].decode()
        return reply

    async def get(self, target: str, **headers: str) -> Reply:
        self.at = target
        return await self.ask(
            "GET",
            target,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    async def live(self, target: str, tag: str = "") -> Reply:
        """What the script asks for every three seconds."""
        headers = {"X-Nightlatch-Live": "1"} | ({"If-None-Match": tag} if tag else {})
        return await self.ask("GET", target, headers=headers)

    async def post(
        self,
        target: str,
        fields: Mapping[str, str] | None = None,
        *,
        csrf: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """A form as a browser sends it; *csrf* replaces the token of the last form seen."""
        token = self.csrf if csrf is None else csrf
        body = urlencode({"csrf": token} | dict(fields or {})).encode()
        sent = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": f"http://{self.host}:{self.port}",
            "Sec-Fetch-Site": "same-origin",
        }
        return await self.ask("POST", target, headers=sent | dict(headers or {}), body=body)

    async def fill_in(self, target: str, **fields: str) -> Reply:
        """Open the page, send its form, and follow where that leads."""
        page = await self.get(target)
        assert page.status in (200, 401), (target, page.status, page.raw[-900:])
        return await self.follow(await self.post(urlsplit(target).path, fields))

    async def follow(self, reply: Reply) -> Reply:
        """Go where redirects lead."""
        for _ in range(5):
            if reply.status != 303:
                return reply
            to = reply.header("Location")
            assert to is not None
            assert to.startswith("/manager"), to
            reply = await self.get(to)
        raise AssertionError("redirected in a circle")

    async def sign_in(self, email: str, password: str = PASSWORD) -> Reply:
        return await self.fill_in("/manager/sign-in", email=email, password=password)


def text_of(reply: Reply) -> str:
    """The words of a page, without its tags."""
    plain = re.sub(r"<[^>]*>", " ", reply.raw.decode())
    return " ".join(unescape(plain).split())


def heading(reply: Reply) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", reply.raw.decode(), re.DOTALL)
    assert found, reply.raw[-900:]
    return " ".join(unescape(re.sub(r"<[^>]*>", "", found[1])).split())


def refuses(reply: Reply, refusal: type[Exception]) -> bool:
    """Whether the answer is this refusal's."""
    row = ROWS[refusal]  # type: ignore[index]  # refusals are exceptions
    return reply.status == row.status and row.title in text_of(reply)


def app_code(key: str, now: datetime) -> str:
    """What an authenticator app shows that was given *key*."""
    raw = base64.b32decode(key + "=" * (-len(key) % 8))
    return TOTP(raw, 6, SHA1(), 30).generate(int(now.timestamp())).decode()


def dump(town: Town) -> dict[str, list[Any]]:
    """Every row of every table, as it is in the file."""
    with sqlite3.connect(f"file:{town.house.settings.database_file}?mode=ro", uri=True) as database:
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        tables = {
            name: sorted(database.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr)
            for (name,) in names
        }
    database.close()
    return tables


@dataclass
class Office:
    """A town whose owner, admin and viewer have a login to the Manager."""

    town: Town
    people: dict[str, Member]
    """By e-mail address."""

    @property
    def world(self) -> Any:
        return self.town.house.world

    def browser(self, **how: Any) -> Browserless:
        return Browserless(self.town.port, **how)

    async def signed_in(self, person: Person = OLIVIA, **how: Any) -> Browserless:
        """A browser in which *person* has signed in."""
        browser = self.browser(**how)
        page = await browser.sign_in(person.email)
        assert page.status == 200, (page.status, text_of(page))
        return browser

    async def portfolio(self) -> Any:
        return (await self.world.store.portfolios())[0]

    async def waba(self) -> Any:
        return (await self.world.store.wabas((await self.portfolio()).id))[0]

    async def people_now(self) -> dict[str, Member]:
        found = await self.world.store.members((await self.portfolio()).id)
        return {member.email: member for member in found}

    async def letters(self, address: str = "") -> list[Any]:
        """What was mailed, the newest first, once nothing waits any more."""
        while True:
            found = await self.world.store.mails(None, 1_000)
            if all(one.state.value != "waiting" for one in found):
                return [one for one in found if address in ("", one.address)]
            await asyncio.sleep(0.01)

    async def at_rest(self) -> None:
        """Nothing is left to do by itself: no letter waits, no linked number is due."""
        await self.letters()
        while await self._is_due():
            if not await upkeep.look_after(self.world):  # the server does it, or does it later
                await asyncio.sleep(0.01)

    async def _is_due(self) -> bool:
        store = self.world.store
        for one in await store.links():
            if any(number.due_at is not None for number in await store.linked_numbers(one.waba)):
                return True
        return False

    async def link(self, address: str) -> str:
        """Path of the link in the newest letter to *address*."""
        rendered = mail.read(self.world, (await self.letters(address))[0])
        assert rendered.link is not None
        return urlsplit(rendered.link).path

    async def trail(self) -> list[str]:
        """Kinds of the portfolio's events, in order."""
        subject = f"portfolio:{(await self.portfolio()).id}"
        return [link.event.kind.value async for link in self.world.store.audit(subject)]


async def open_office(town: Town) -> Office:
    """Everybody joins the first portfolio."""
    world = town.house.world
    portfolio = (await world.store.portfolios())[0].id
    people = {}
    for person in EVERYBODY:
        people[person.email] = await members.add_member(
            world, portfolio, person.email, person.name, person.role, PASSWORD
        )
    return Office(town, people)
