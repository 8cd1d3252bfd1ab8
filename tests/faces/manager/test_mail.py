"""The mailbox: letters kept here, sent elsewhere, failed and tried again."""

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nightlatch.domain.errors import MailEnded, MailUnknown
from nightlatch.domain.mail import MailState
from tests.manager_client import ADA, OLIVIA, Office, open_office, refuses, text_of
from tests.town import a_town

KEPT = "Mail is not sent anywhere; it is kept here"


async def a_letter(office: Office) -> str:
    """Key of a letter with a reset link for Ada."""
    await office.browser().fill_in("/manager/forgotten", email=ADA.email)
    return str((await office.letters(ADA.email))[0].key)


async def with_state(office: Office, key: str, state: MailState) -> None:
    """As if the mail server had treated the letter so."""
    await office.world.store.update_mail(key, lambda p: replace(p, state=state))


async def test_without_a_mail_server_the_mailbox_says_so_and_shows_what_it_holds(office: Office):
    browser = await office.signed_in(OLIVIA)

    empty = text_of(await browser.get("/manager/mail"))
    key = await a_letter(office)
    page = await browser.get("/manager/mail")

    assert KEPT in empty
    assert "No letters yet" in empty
    assert KEPT in text_of(page)
    assert f'href="/manager/mail/{key}"' in page.raw.decode()
    assert "Password reset" in text_of(page)
    assert "Kept here" in text_of(page)
    assert ADA.email in text_of(page)


async def test_a_kept_letter_is_read_here_and_its_link_is_a_link(office: Office):
    key = await a_letter(office)
    browser = await office.signed_in(OLIVIA)

    page = await browser.get(f"/manager/mail/{key}")

    (link,) = re.findall(r'<a class="button primary" href="([^"]+)"', page.raw.decode())
    assert urlsplit(link).netloc == f"127.0.0.1:{office.town.port}"
    assert urlsplit(link).path == await office.link(ADA.email)
    assert (await office.browser().get(urlsplit(link).path)).status == 200
    assert KEPT in text_of(page)


async def test_a_link_that_is_dead_is_not_shown(office: Office):
    key = await a_letter(office)
    office.town.pass_time(30 * 60)
    browser = await office.signed_in(OLIVIA)

    page = await browser.get(f"/manager/mail/{key}")

    assert page.status == 200
    assert "/manager/reset/" not in page.raw.decode()


async def test_with_a_mail_server_no_letters_link_is_shown_to_anybody_here(tmp_path: Path):
    async with a_town(tmp_path / "data", smtp_host="127.0.0.1", smtp_port=9) as town:
        office = await open_office(town)
        await office.browser().fill_in("/manager/forgotten", email=ADA.email)
        (letter,) = await office.world.store.mails(None, 10)
        browser = await office.signed_in(OLIVIA)

        listed = await browser.get("/manager/mail")
        page = await browser.get(f"/manager/mail/{letter.key}")

        assert letter.sealed is not None
        assert KEPT not in text_of(listed)
        assert KEPT not in text_of(page)
        assert "/manager/reset/" not in page.raw.decode()
        assert "shown only to who receives the mail" in text_of(page)


async def test_a_letter_that_failed_is_sent_again_on_request(office: Office):
    key = await a_letter(office)
    await with_state(office, key, MailState.FAILED)
    browser = await office.signed_in(OLIVIA)

    page = await browser.get(f"/manager/mail/{key}")
    assert "Failed" in text_of(page)
    assert "1 failed" in text_of(page)  # in the menu, on every page
    done = await browser.follow(await browser.post(f"/manager/mail/{key}/retry"))

    assert "The letter is being sent again." in text_of(done)
    assert (await office.letters(ADA.email))[0].state is MailState.KEPT


@pytest.mark.parametrize("state", [MailState.KEPT, MailState.SENT])
async def test_a_letter_that_arrived_is_not_sent_again(office: Office, state):
    key = await a_letter(office)
    await with_state(office, key, state)
    browser = await office.signed_in(OLIVIA)
    page = await browser.get(f"/manager/mail/{key}")

    reply = await browser.post(f"/manager/mail/{key}/retry")

    assert "Send it again" not in text_of(page)
    assert refuses(reply, MailEnded)


async def test_only_this_portfolios_letters_are_here(office: Office):
    browser = await office.signed_in(OLIVIA)
    await browser.get("/manager/mail")

    for key in ("0" * 32, "x", "../members"):
        reply = await browser.get(f"/manager/mail/{key}")
        assert refuses(reply, MailUnknown) or reply.status == 404
    assert refuses(await browser.post(f"/manager/mail/{'0' * 32}/retry"), MailUnknown)


async def test_the_mailbox_shows_the_latest_letters_in_one_small_page(office: Office):
    for i in range(60):
        await office.browser().fill_in("/manager/forgotten", email=ADA.email)
        office.town.pass_time(60 + i % 2)
    browser = await office.signed_in(OLIVIA)

    page = await browser.get("/manager/mail")

    assert len(page.raw) <= 30 * 1024
    assert page.raw.decode().count('href="/manager/mail/') == 40
    assert "The latest 40 letters" in text_of(page)
