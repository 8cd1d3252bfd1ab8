"""The Manager's pages of linked accounts in Chromium, against a Meta in memory."""

from playwright.async_api import Page, expect

from nightlatch.domain.linked import turn_off_asked
from nightlatch.domain.links import lose
from nightlatch.usecases import linked
from tests.browser import a_window, chromium, faults_of
from tests.end_to_end.inspector import PAGES, Inspector
from tests.faces.manager.places import PHONE, cloud_of
from tests.fakes.cloud import LOST_UNDONE, TOKEN, WABA
from tests.manager_client import OLIVIA, PASSWORD, Office, open_office
from tests.town import Town

CLOUD_PAGES = {path for path in PAGES if path.startswith("/cloud")}


async def signs_in(page: Page, office: Office) -> None:
    await page.goto(f"http://127.0.0.1:{office.town.port}/manager")
    await page.get_by_label("E-mail address").fill(OLIVIA.email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("link", name="Cloud API").click()


async def links_the_account(page: Page) -> None:
    await page.get_by_label("WhatsApp account ID").fill(WABA)
    await page.get_by_label("Access token").fill(TOKEN)
    await page.get_by_label("App secret (optional)").fill("s" * 32)
    await page.get_by_label("Your password").fill(PASSWORD)
    await page.get_by_role("button", name="Link account").click()


async def test_every_page_of_linked_accounts_is_accessible_light_and_fits_a_phone(town: Town):
    office, inspector = await open_office(town), Inspector()
    cloud = cloud_of(office)
    cloud.add_registered(PHONE, "271828")
    for i in range(18):
        cloud.add(f"+1631555{2100 + i}", name="A display name of some length")
    async with chromium() as browser, a_window(browser) as window:
        page = window.page

        async def go(*names: str) -> None:
            for name in names:
                await page.get_by_role("link", name=name, exact=True).first.click()

        async def look(*names: str) -> None:
            """At each page that following these links brings, unless it was looked at."""
            for name in names:
                await go(name)
                if not inspector.knows(page):
                    await inspector.look(page)

        async def press(name: str) -> None:
            await page.get_by_role("button", name=name, exact=True).click()

        await signs_in(page, office)
        await look("Link an account")
        await links_the_account(page)
        await press("Ask Meta now")
        await inspector.look(page, again=False)
        await look("See the numbers", "New PINs", "Garden shop", "Renew the token", "Cancel")
        await look("Change", "Cancel", "Unlink Garden shop", "Cancel", "19 numbers")
        await go("+1 631-555-2001")
        await look("Set a new PIN")
        await press("Set the PIN")
        await look("See what is missing before it moves")
        await go("+1 631-555-2001")
        await look("Show the PIN in the vault")
        await page.get_by_label("Your password").fill(PASSWORD)
        await press("Show the PIN")
        await inspector.look(page, again=False)
        await go("Done")
        await look("Note a PIN that you know")
        await go("Cancel")
        await look("Register")
        await press("Register")
        await look("Release from client main")
        await go("Cancel")
        await look("Deregister")
        await page.goto(page.url.replace("deregister", "unlock"))
        await inspector.look(page)
        await press("Unlock")

        # Everything at once
        number, now = await linked.find_linked(office.world, PHONE), office.world.clock.now()
        await office.world.update_linked(
            number.id, lambda n: turn_off_asked(n, "1234567", now, now)
        )
        cloud.script("set_pin", LOST_UNDONE)
        await go("Set a new PIN")
        await press("Set the PIN")
        await look("Cancel")
        await office.world.update_link(WABA, lambda one: lose(one, now))
        await look("Cloud API", "Overview")

    assert not inspector.wrong, "\n".join(inspector.wrong)
    assert inspector.seen - {"?", "/"} == CLOUD_PAGES
    assert faults_of([window]) == []


async def test_new_pins_for_all_numbers_go_on_by_themselves(town: Town):
    office, inspector = await open_office(town), Inspector()
    cloud = cloud_of(office)
    for i in range(12):
        cloud.add_registered(f"+1631555{2100 + i}", "271828")
    async with chromium() as browser, a_window(browser) as window:
        page = window.page
        await signs_in(page, office)
        await page.get_by_role("link", name="Link an account").click()
        await links_the_account(page)
        await page.get_by_role("button", name="Ask Meta now").click()
        await page.get_by_role("link", name="Back to the account").click()
        await page.get_by_role("link", name="New PINs for all numbers").click()

        await page.get_by_role("button", name="Set new PINs").click()
        await expect(page.get_by_role("heading", name="New PINs are set")).to_be_visible()

        await expect(page.get_by_role("progressbar")).to_have_accessible_name("12 of 12 numbers")
        await inspector.look(page, again=False)

    assert cloud.count("set_pin") == 12
    assert not inspector.wrong, "\n".join(inspector.wrong)
    assert faults_of([window]) == []
