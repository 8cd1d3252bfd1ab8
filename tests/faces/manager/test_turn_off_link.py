"""The mailed link that turns two-step verification off: T1-T4, T8, rows 43-49."""

import asyncio
import io
import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from nightlatch.domain.errors import LinkRefused
from nightlatch.domain.limits import LINK_LIFE
from nightlatch.domain.mail import Letter
from nightlatch.domain.members import MemberRole
from nightlatch.usecases import mail, members, portfolios
from tests.manager_client import (
    ADA,
    NEW_PASSWORD,
    OLIVIA,
    PASSWORD,
    VITO,
    Browserless,
    Office,
    Person,
    dump,
    refuses,
    text_of,
)
from tests.people import OWNER, THIEF
from tests.town import Reply


@dataclass
class Desk:
    """The owner's number with a PIN, and an admin in front of its page."""

    office: Office
    ada: Browserless
    at: str

    async def ask(self) -> Reply:
        """Press *Turn off two-step verification*."""
        await self.ada.get(f"{self.at}/turn-off")
        return await self.ada.post(f"{self.at}/turn-off")

    async def letters(self) -> list[Any]:
        address = (await self.office.portfolio()).email
        found = await self.office.letters(address)
        return [one for one in found if one.letter is Letter.TURN_OFF_LINK]

    async def link(self) -> str:
        """Path of the newest link."""
        link = mail.read(self.office.world, (await self.letters())[0]).link
        assert link is not None
        assert link.startswith(self.office.town.house.settings.origin + "/manager/turn-off/")
        return link.removeprefix(self.office.town.house.settings.origin)

    async def asked(self) -> str:
        assert (await self.ask()).status == 303
        return await self.link()

    async def is_on(self) -> bool:
        return bool((await self.office.town.number()).two_step.is_on)


@pytest.fixture
async def desk(office: Office) -> Desk:
    await office.town.owner_is_protected()
    number = await office.town.number()
    return Desk(office, await office.signed_in(ADA), f"/manager/numbers/{number.id}/two-step")


async def thief_elsewhere(office: Office) -> Browserless:
    """The thief, signed in as the owner of another portfolio."""
    other = await portfolios.add_portfolio(office.world, "Elsewhere", THIEF.email)
    await members.add_member(
        office.world, other.id, THIEF.email, THIEF.name, MemberRole.OWNER, PASSWORD
    )
    return await office.signed_in(Person(THIEF.email, THIEF.name, MemberRole.OWNER))


# Asking


async def test_the_link_is_mailed_to_the_portfolios_address_and_the_page_says_so_masked(desk: Desk):
    page = await desk.ada.follow(await desk.ask())

    (letter,) = await desk.letters()
    address = (await desk.office.portfolio()).email
    assert letter.address == address
    assert f"A link was mailed to {address[0]}…@{address.partition('@')[2]}" in text_of(page)
    assert address not in text_of(page)
    assert re.search(r"It expires in (30 min|29 min \d+ s)", text_of(page))
    assert "Mail it again" in text_of(page)
    assert await desk.is_on()


async def test_t8_one_link_a_minute_and_five_a_day_with_the_same_answer(desk: Desk):
    answers = []
    mailed = []

    async def ask() -> None:
        reply = await desk.ask()
        answers.append((reply.status, reply.header("Location"), reply.raw))
        mailed.append(len(await desk.letters()))

    await ask()
    await ask()
    for _ in range(5):
        desk.office.town.pass_time(61)
        await ask()
    desk.office.town.pass_time(86_400)
    desk.ada = await desk.office.signed_in(ADA)
    await ask()

    assert mailed == [1, 1, 2, 3, 4, 5, 5, 6]
    assert len(set(answers)) == 1


FORGED = [
    {"X-Forwarded-Host": "evil.example"},
    {"X-Forwarded-Host": "evil.example, 127.0.0.1"},
    {"X-Forwarded-Host": "evil.example:9090"},
    {"X-Forwarded-Server": "evil.example"},
    {"X-Forwarded-Proto": "https"},
    {"X-Forwarded-Proto": "javascript"},
    {"X-Forwarded-Port": "1"},
    {"X-Forwarded-Prefix": "/evil"},
    {"X-Forwarded-For": "198.51.100.9"},
    {"X-Original-Host": "evil.example"},
    {"X-Original-URL": "/evil"},
    {"X-Rewrite-URL": "/evil"},
    {"X-Host": "evil.example"},
    {"X-HTTP-Host-Override": "evil.example"},
    {"Forwarded": "host=evil.example;proto=https"},
    {"Forwarded": "for=198.51.100.9;host=evil.example"},
    {"Referer": "https://evil.example/"},
    {"Host": "evil.example"},
    {"Host": "127.0.0.1:1@evil.example"},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": "evil.example#127.0.0.1"},
]


async def test_t4_row_48_no_header_moves_the_link_to_another_host(desk: Desk):
    origin = desk.office.town.house.settings.origin
    mailed = 0

    for forged in FORGED:
        desk.office.town.pass_time(86_400 / 4)  # the day's five links are not spent
        browser = await desk.office.signed_in(ADA)
        await browser.get(f"{desk.at}/turn-off")
        headers = {"Origin": origin} | forged
        browser.host = headers.pop("Host", browser.host)
        reply = await browser.post(f"{desk.at}/turn-off", headers=headers)
        letters = await desk.letters()

        taken = "Host" not in forged
        mailed += taken
        assert reply.status == (303 if taken else 400), forged
        assert len(letters) == mailed, forged
        rendered = mail.read(desk.office.world, letters[0])
        whole = f"{rendered.text} {rendered.html} {rendered.link}"
        links = re.findall(r"https?://[^\s\"<>]+", whole)
        assert links
        assert all(link == origin or link.startswith(f"{origin}/") for link in links), forged
        assert "evil" not in whole
        assert "198.51.100.9" not in whole
    assert len(FORGED) > 20
    assert mailed > 15


# Looking


async def test_row_43_a_hundred_looks_change_nothing_and_the_click_still_works(desk: Desk):
    link = await desk.asked()
    stranger = desk.office.browser()
    await desk.ada.get(link)
    before = dump(desk.office.town)

    for method in ("GET", "HEAD", "OPTIONS") * 17:
        await stranger.ask(method, link, headers={"Purpose": "prefetch"})
        stranger.cookie = ""
        await desk.ada.ask(method, link, headers={"Sec-Purpose": "prefetch;prerender"})

    assert dump(desk.office.town) == before
    done = await desk.ada.post(link)
    assert done.status == 303
    assert not await desk.is_on()


async def test_the_page_says_what_will_happen_and_acts_only_by_its_button(desk: Desk):
    link = await desk.asked()

    page = await desk.ada.get(link)
    still_on = await desk.is_on()
    after = await desk.ada.follow(await desk.ada.post(link))

    assert "Nothing has changed yet." in text_of(page)
    assert still_on
    assert "Two-step verification is off" in text_of(after)
    assert (await desk.office.town.kinds())[-1] == "two_step.turned_off"
    trail = [one async for one in desk.office.world.store.audit(await subject(desk))]
    assert trail[-1].event.by == ADA.email
    assert dict(trail[-1].event.details) == {"path": "link"}


async def subject(desk: Desk) -> str:
    return f"number:{(await desk.office.town.number()).id}"


async def test_who_is_signed_out_gets_the_sign_in_form_and_comes_back_to_the_link(desk: Desk):
    link = await desk.asked()
    browser = desk.office.browser()

    page = await browser.get(link)
    back = await browser.follow(
        await browser.post(
            "/manager/sign-in", {"email": ADA.email, "password": PASSWORD, "next": link}
        )
    )

    assert "Sign in" in text_of(page)
    assert f'name="next" value="{link}"'.encode() in page.raw
    assert "Turn off two-step verification?" in text_of(back)
    assert all("?" not in (reply.header("Location") or "") for reply in browser.seen)
    assert await desk.is_on()


async def test_a_signed_out_button_press_does_nothing(desk: Desk):
    link = await desk.asked()
    browser = desk.office.browser()
    await browser.get(link)

    reply = await browser.post(link)

    assert reply.status == 401
    assert await desk.is_on()


async def test_row_49_no_log_line_and_no_address_on_the_page_leads_out(
    desk: Desk, log: io.StringIO
):
    link = await desk.asked()
    token = link.rpartition("/")[2]

    page = await desk.ada.get(link)
    await desk.ada.post(link)
    await desk.ada.get(link)

    assert token not in log.getvalue()
    assert token[:20] not in log.getvalue()
    assert log.getvalue().count("turn_off") >= 3
    assert not re.search(rb'(?:href|src|action)="(?!/manager|#)', page.raw)


# Once, in time, the newest


async def test_t3_row_44_of_fifty_presses_at_once_exactly_one_succeeds(desk: Desk):
    link = await desk.asked()
    olivia = await desk.office.signed_in(OLIVIA)
    await desk.ada.get(link)
    await olivia.get(link)

    replies = await asyncio.gather(*((desk.ada, olivia)[i % 2].post(link) for i in range(50)))

    assert sorted(reply.status for reply in replies) == [303] + [410] * 49
    assert (await desk.office.town.kinds()).count("two_step.turned_off") == 1
    for person in (OLIVIA, ADA):
        letters = [one.letter for one in await desk.office.letters(person.email)]
        assert letters.count(Letter.PIN_TURNED_OFF) == 1


async def test_a_used_link_is_dead_also_after_the_next_pin(desk: Desk):
    link = await desk.asked()
    await desk.ada.get(link)
    await desk.ada.post(link)
    await desk.office.town.owner.set_pin(OWNER.new_pin)

    again = await desk.ada.post(link)

    assert refuses(again, LinkRefused)
    assert await desk.is_on()


async def test_only_the_newest_link_is_good(desk: Desk):
    older = await desk.asked()
    desk.office.town.pass_time(61)
    newer = await desk.asked()

    refused = await desk.ada.post(older)
    done = await desk.ada.post(newer)

    assert older != newer
    assert refuses(refused, LinkRefused)
    assert done.status == 303
    assert not await desk.is_on()


async def test_a_link_lives_thirty_minutes_and_no_longer(desk: Desk):
    link = await desk.asked()
    number = await desk.office.town.number()
    asked_at = number.links_sent[-1]

    def left() -> timedelta:
        return timedelta(
            seconds=(number.link.expires_at - desk.office.world.clock.now()).total_seconds()
        )

    desk.office.town.pass_time(left() - timedelta(seconds=5))
    browser = await desk.office.signed_in(ADA)
    alive = await browser.get(link)
    desk.office.town.pass_time(left())
    looked, pressed = await browser.get(link), await browser.post(link)

    assert number.link.expires_at - asked_at == LINK_LIFE == timedelta(minutes=30)
    assert "Turn off two-step verification?" in text_of(alive)
    assert refuses(looked, LinkRefused)
    assert refuses(pressed, LinkRefused)
    assert await desk.is_on()


async def pin_changed_here(desk: Desk) -> None:
    olivia = await desk.office.signed_in(OLIVIA)
    await olivia.fill_in(
        f"{desk.at}/change", current=OWNER.pin, pin=OWNER.new_pin, again=OWNER.new_pin
    )


async def pin_changed_by_v1(desk: Desk) -> None:
    assert (await desk.office.town.owner.set_pin(OWNER.new_pin)).status == 200


async def off_and_on_by_v1(desk: Desk) -> None:
    assert (await desk.office.town.owner.turn_off()).status == 200
    assert (await desk.office.town.owner.set_pin(OWNER.pin)).status == 200


async def password_changed(desk: Desk) -> None:
    await desk.ada.fill_in("/manager/account/password", current=PASSWORD, password=NEW_PASSWORD)
    assert (await desk.office.world.store.member_by_email(ADA.email)).version == 2


async def asker_removed(desk: Desk) -> None:
    olivia = desk.office.people[OLIVIA.email]
    await members.remove(desk.office.world, olivia, desk.office.people[ADA.email].id)


@pytest.mark.parametrize(
    "event",
    [pin_changed_here, pin_changed_by_v1, off_and_on_by_v1, password_changed, asker_removed],
)
async def test_t1_row_45_a_link_is_void_once_the_pin_or_the_askers_password_changed(
    desk: Desk, event
):
    link = await desk.asked()
    await event(desk)
    olivia = await desk.office.signed_in(OLIVIA)

    looked, pressed = await olivia.get(link), await olivia.post(link)

    assert refuses(looked, LinkRefused)
    assert refuses(pressed, LinkRefused)
    assert await desk.is_on()


async def test_every_dead_link_has_one_and_the_same_page(desk: Desk):
    used = await desk.asked()
    await desk.ada.get(used)
    await desk.ada.post(used)
    await desk.office.town.owner.set_pin(OWNER.pin)
    desk.office.town.pass_time(61)
    replaced = await desk.asked()
    desk.office.town.pass_time(61)
    void = await desk.asked()
    await desk.office.town.owner.set_pin(OWNER.new_pin)
    unknown = f"/manager/turn-off/{'x' * 43}"

    pages = [await desk.ada.get(link) for link in (used, replaced, void, unknown)]

    assert [page.status for page in pages] == [410] * 4
    assert len({page.raw for page in pages}) == 1


ALTERED = {
    "one character altered": lambda t: t[:-2] + ("A" if t[-2] != "A" else "B") + t[-1],
    "upper-cased": str.upper,
    "lower-cased": str.lower,
    "padded": lambda t: t + "=",
    "a trailing dot": lambda t: t + ".",
    "a NUL behind it": lambda t: t + "%00",
    "a NUL before it": lambda t: "%00" + t,
    "a space behind it": lambda t: t + "%20",
    "a line end behind it": lambda t: t + "%0d%0a",
    "cut short": lambda t: t[:-1],
    "twice": lambda t: t + t,
    "ten thousand characters": lambda t: t + "A" * 10_000,
    "another script": lambda t: t[:-1] + "%EF%BC%A1",
    "bytes that are no text": lambda t: t + "%ff%fe",
}


async def test_row_47_an_altered_token_opens_nothing(desk: Desk):
    link = await desk.asked()
    start, _, token = link.rpartition("/")
    await desk.ada.get(link)

    for how, alter in ALTERED.items():
        altered = f"{start}/{alter(token)}"
        looked, pressed = await desk.ada.get(altered), await desk.ada.post(altered)

        assert altered != link
        assert refuses(looked, LinkRefused) or looked.status in (400, 404), how
        assert refuses(pressed, LinkRefused) or pressed.status in (400, 404), how
        assert await desk.is_on(), how
    assert (await desk.ada.post(link)).status == 303
    assert not await desk.is_on()


# Whose


async def test_row_46_a_link_of_another_portfolio_is_refused_like_none_and_written_down(desk: Desk):
    link = await desk.asked()
    theo = await thief_elsewhere(desk.office)
    unknown = f"/manager/turn-off/{'x' * 43}"

    none = await theo.get(unknown)
    looked, pressed = await theo.get(link), await theo.post(link)

    assert looked.raw == none.raw
    assert refuses(pressed, LinkRefused)
    assert await desk.is_on()
    trail = [one.event async for one in desk.office.world.store.audit(await subject(desk))]
    refused = [event for event in trail if event.kind == "two_step.turn_off_refused"]
    assert [event.place for event in refused] == ["127.0.0.1"]
    assert THIEF.email not in json.dumps([event.by for event in refused])
    assert "followed the link that was mailed: refused" in text_of(
        await desk.ada.get(desk.at.removesuffix("/two-step"))
    )
    assert (await desk.ada.post(link)).status == 303


async def test_a_viewer_cannot_use_the_link_and_leaves_a_trace(desk: Desk):
    link = await desk.asked()
    vito = await desk.office.signed_in(VITO)
    await vito.get("/manager/account/password")

    looked, pressed = await vito.get(link), await vito.post(link)

    assert refuses(looked, LinkRefused)
    assert refuses(pressed, LinkRefused)
    assert await desk.is_on()
    assert (await desk.office.town.kinds()).count("two_step.turn_off_refused") == 1
