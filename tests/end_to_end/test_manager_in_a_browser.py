"""The Manager as people meet it: Chromium against a real ``nightlatch serve``."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser import a_window, chromium, faults_of
from tests.end_to_end.inspector import PAGES, Inspector
from tests.end_to_end.newcomer import (
    LETTER,
    MEMBER_PASSWORD,
    NUMBER,
    PATIENCE,
    Newcomer,
    app_code,
    served,
    thief,
)
from tests.people import OWNER, THIEF
from tests.webhook_receiver import a_receiver

_FIRST_WRONG = "First wrong PIN"
_GUEST = "vera@luckyshrub.example"


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_newcomer_plays_the_story_following_only_what_the_pages_say(
    tmp_path: Path, *, scripts: bool
):
    async with (
        served(tmp_path) as server,
        chromium() as browser,
        a_window(browser, scripts=scripts) as window,
    ):
        newcomer = Newcomer(server, window)

        await newcomer.begins()
        await newcomer.gets_the_certificate()
        await newcomer.registers_with_curl()
        await newcomer.sets_the_pin(OWNER.pin)
        await newcomer.changes_the_pin_with_keys_alone(OWNER.pin, OWNER.new_pin)
        await newcomer.asks_for_the_turn_off_link()
        await newcomer.follows_the_mailed_link()
        await newcomer.sets_the_pin(OWNER.pin)
        await newcomer.signs_out()
        await newcomer.signs_in()

    assert faults_of([window]) == []


async def test_the_thief_shows_up_by_itself_and_the_owner_gets_one_mail(tmp_path: Path):
    async with served(tmp_path) as server, chromium() as browser, a_window(browser) as window:
        newcomer = Newcomer(server, window)
        await newcomer.begins()
        await newcomer.gets_the_certificate()
        await newcomer.registers_with_curl()
        await newcomer.sets_the_pin(OWNER.pin)
        await newcomer.open_number()
        robber = await thief(server, newcomer.certificate)
        session = await window.page.context.storage_state()
        async with a_window(browser, cookies=session) as second:
            await second.page.goto(f"{server.origin}/manager")
            for one in (window, second):
                await one.page.evaluate("document.documentElement.dataset.same = 'page'")

            tries = [(await robber.register(THIEF.wrong_pin)).status for _ in range(10)]

            attacked = second.page.get_by_role("region", name="Under attack now")
            await expect(attacked.get_by_role("link", name=NUMBER)).to_be_visible(timeout=PATIENCE)
            timeline = window.page.get_by_role("region", name="Timeline")
            fifth = timeline.get_by_text("Wrong PIN while registering: 5 wrong in a row.")
            await expect(fifth).to_be_visible(timeout=PATIENCE)
            await expect(timeline.get_by_text("admin of client thief").first).to_be_visible()
            await expect(window.page.get_by_text("Waiting after wrong PINs")).to_be_visible()
            for one in (window, second):
                await expect(one.page.locator("html[data-same=page]")).to_be_attached()
            await newcomer.press("link", "Mail", "Manager")
            letters = window.page.get_by_role("rowheader")
            await expect(letters).to_have_text(
                [f"{_FIRST_WRONG} {NUMBER}", f"PIN set {NUMBER}", "Portfolio's address changed"]
            )
            await expect(window.page.get_by_role("row", name=_FIRST_WRONG)).to_contain_text(
                OWNER.email
            )

    assert tries == [403] * 5 + [429] * 5
    assert faults_of([window, second]) == []


async def test_every_page_is_accessible_light_and_fits_a_phone(tmp_path: Path):
    inspector = Inspector()
    async with (
        served(tmp_path, "--private-receivers") as server,
        a_receiver() as receiver,
        chromium() as browser,
        a_window(browser) as window,
        a_window(browser) as other,
    ):
        newcomer = Newcomer(server, window)
        page = window.page

        async def look(*names: str, menu: str = "") -> None:
            """At the page, or at each page that following these links brings."""
            for name in names:
                await newcomer.press("link", name, menu)
                await inspector.look(page)
            if not names:
                await inspector.look(page)

        # Coming in, and a number without a PIN
        await page.goto(server.link)
        await look()
        await newcomer.begins()
        await look("Add account", "Overview")
        await newcomer.gets_the_certificate()
        await newcomer.registers_with_curl()
        await look()
        await newcomer.open_number()
        await look("Two-step verification", menu="This number")
        await look("Set PIN")
        await newcomer.fill({"New PIN": "123456", "New PIN again": "123456"})
        await newcomer.press("button", "Set PIN")
        await inspector.look(page, again=False)

        # API access
        await look("System users", menu="Manager")
        await look("Add a system user")
        await newcomer.fill({"Name": "Till"})
        await newcomer.press("button", "Add system user")
        await look()
        await look("Change the role", "Cancel", "Issue an access token", "Add an app")
        await newcomer.fill({"Name": "Shop floor", "Your password": MEMBER_PASSWORD})
        await newcomer.press("button", "Add app")
        await inspector.look(page, again=False)
        await look("I have kept it", "Set an address")
        await newcomer.fill({"Callback URL": receiver.url, "Verify token (optional)": "wrong"})
        await newcomer.press("button", "Verify and save")
        await inspector.look(page, again=False)
        await newcomer.fill({"Verify token (optional)": receiver.token})
        await newcomer.press("button", "Verify and save")
        await newcomer.is_told("The address answered the challenge. Webhooks go there from now on.")
        await newcomer.press("button", "Subscribe")
        await look()
        await look("Send nowhere", "Cancel", "Renew the secret", "Cancel", "Remove Shop floor")
        await look("Apps", "System users", menu="Manager")
        await look("Till", "Issue an access token")
        await newcomer.fill({"Your password": MEMBER_PASSWORD})
        await newcomer.press("button", "Issue the token")
        await inspector.look(page, again=False)
        await look("I have kept it")
        reference = await page.get_by_role("rowheader").inner_text()
        await look(f"Revoke the token {reference}", "Cancel", "Remove Till")

        # Under attack
        await newcomer.sets_the_pin(OWNER.pin)
        await receiver.until(lambda r: bool(r.updates))
        await look("Webhooks", menu="Manager")
        await page.get_by_role("link", name="security number").click()
        await look()
        robber = await thief(server, newcomer.certificate)
        for _ in range(6):
            await robber.register(THIEF.wrong_pin)
        await look("Overview", "Phone numbers", menu="Manager")
        await look(f"Settings of {NUMBER}", "End the wait")
        await look("Settings", "Display name", "Certificate", menu="This number")
        await look("Renew")
        await newcomer.press("link", "Settings", "This number")
        await look("Deregister")
        await look("Two-step verification", menu="This number")
        await look("Change PIN", "Cancel", "Turn off two-step verification")
        await newcomer.press("button", "Mail the link")
        await look()
        await newcomer.press("link", "Phone numbers", "Manager")
        await look("Add number")

        # The portfolio
        await newcomer.press("link", "Members", "Manager")
        await look("Invite somebody")
        await newcomer.fill({"E-mail address": _GUEST})
        await newcomer.press("button", "Mail the invitation")
        await look(f"Change the role of {OWNER.email}")
        await look("Members", menu="Manager")
        await look(f"Remove {OWNER.email}")
        await look("Portfolio", "Events", menu="Manager")

        # Somebody who is signed out
        await other.page.goto(f"{server.origin}/manager")
        await inspector.look(other.page)
        await other.page.get_by_role("link", name="Password forgotten?").click()
        await inspector.look(other.page)
        await other.page.get_by_label("E-mail address").fill(OWNER.email)
        await other.page.get_by_role("button", name="Mail the link").click()
        await expect(other.page.get_by_role("status")).to_be_visible()

        # The mailbox, and where its letters lead
        for letter in ("Invitation", "Password reset"):
            await look("Mail", menu="Manager")
            await look(letter)
            link = await newcomer.control("link", "Open the link").get_attribute("href")
            await other.page.goto(link or "")
            await inspector.look(other.page)
        await newcomer.press("link", "Mail", "Manager")
        await newcomer.press("link", LETTER)
        await look("Open the link")

        # One's own account
        await page.get_by_label(f"Your account: {OWNER.name}").click()
        await inspector.look(page, again=False)
        await look("Your account", "Change password", "Cancel", "Set up an app")
        key = (await page.locator("#key").inner_text()).replace(" ", "")
        await newcomer.fill({"Code": app_code(key), "Your password": MEMBER_PASSWORD})
        await newcomer.press("button", "Turn it on")
        await inspector.look(page, again=False)
        await look("I have kept them", "Turn it off")
        await other.page.goto(f"{server.origin}/manager")
        await other.page.get_by_label("E-mail address").fill(OWNER.email)
        await other.page.get_by_label("Password").fill(MEMBER_PASSWORD)
        await other.page.get_by_role("button", name="Sign in").click()
        await expect(other.page.get_by_label("Code")).to_be_visible()
        await inspector.look(other.page)

        # Nothing there
        for one in (window, other):
            await one.page.goto(f"{server.origin}/manager/nothing")
            await inspector.look(one.page)

    assert not inspector.wrong, "\n".join(inspector.wrong)
    assert inspector.seen - {"?"} == {path for path in PAGES if not path.startswith("/cloud")}
    assert faults_of([window, other]) == []
