"""Numbers of linked accounts: lists, the doctor's page, and everything that can be done there."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from nightlatch.domain import errors as e
from nightlatch.domain import linked as rules
from nightlatch.domain.ledger import Act
from nightlatch.domain.linked import Health, HealthError, LinkedDecision, Reason
from nightlatch.domain.links import LinkDecision
from nightlatch.usecases import linked, links, vault
from tests.faces.manager.places import PHONE, PHONE_PIN, cloud_of, furnish_cloud
from tests.fakes.cloud import LOST_BUT_DONE, WABA, Refuse
from tests.manager_client import (
    ADA,
    NEW_PASSWORD,
    OLIVIA,
    PASSWORD,
    VITO,
    Office,
    heading,
    refuses,
    text_of,
)
from tests.people import OWNER

NEW_PIN = "161803"


async def number_now(office: Office, e164: str = PHONE):
    return await linked.find_linked(office.world, e164)


async def page_of(office: Office, e164: str = PHONE) -> str:
    return f"/manager/cloud/numbers/{(await number_now(office, e164)).id}"


async def change(office: Office, fresh) -> None:
    """Let the number be something else, whatever led there."""
    number = await number_now(office)
    await office.world.update_linked(number.id, lambda n: LinkedDecision(fresh(n)))


async def kinds(office: Office) -> list[str]:
    number = await number_now(office)
    trail = office.world.store.audit(f"linked:{number.id}")
    return [link.event.kind.value async for link in trail]


async def read_all(office: Office) -> None:
    one = await links.find_link(office.world, WABA)
    await links.read_numbers(office.world, one, lambda _: None)


# Lists


async def test_the_list_tells_the_state_of_each_number_in_words(office: Office):
    cloud = cloud_of(office)
    await furnish_cloud(office)
    cloud.add("+16315552002")
    cloud.add("+16315552003", status="BANNED")
    cloud.add_registered("+16315552004", "271828", status="FLAGGED")
    cloud.add("+16315552005", status="", platform="ON_PREMISE", hidden_pin_state=True)
    cloud.add("+16315552006", pin="161803", platform="ELSEWHERE")
    await read_all(office)
    browser = await office.signed_in(VITO)

    page = await browser.get(f"/manager/cloud/{WABA}/numbers")

    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", page.raw.decode(), re.DOTALL)
    told = [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in rows]
    assert [re.sub(r"^.*Lucky Shrub ", "", one) for one in told] == [
        "Registered On, in the vault Cloud API none 9 of 9",
        "Not registered Off nowhere none 9 of 9",
        "Banned Off nowhere none 9 of 9",
        "Flagged On, not in the vault Cloud API none 9 of 9",
        "Not known Not known whether on, not in the vault On-Premises API none 9 of 9",
        "Not registered On, not in the vault ELSEWHERE none 9 of 9",
    ]
    assert told[0].startswith("+1 631-555-2001")


async def test_a_long_list_goes_on_and_each_page_is_small(office: Office):
    cloud = cloud_of(office)
    for i in range(40):
        cloud.add_registered(f"+1631555{2100 + i}", "271828", name="A display name of some length")
    await furnish_cloud(office)
    browser = await office.signed_in(ADA)

    seen, target = [], f"/manager/cloud/{WABA}/numbers"
    while target:
        page = await browser.get(target)
        assert len(page.raw) <= 30 * 1024
        seen += re.findall(r"\+1 631-555-\d{4}", page.raw.decode())
        found = re.search(r'href="([^"]+)" rel="next"', page.raw.decode())
        target = found[1] if found else ""

    assert len(seen) == len(set(seen)) == 41
    assert seen == sorted(seen)


async def test_a_place_in_the_list_that_is_none_is_the_beginning(office: Office):
    await furnish_cloud(office)
    browser = await office.signed_in(VITO)

    for after in ("x", "%2B", "1", "%2B999999999999999999"):
        page = await browser.get(f"/manager/cloud/{WABA}/numbers?after={after}")
        assert "+1 631-555-2001" in text_of(page)


# The doctor's page


async def test_a_number_with_nothing_wrong_says_so_and_what_registering_would_do(office: Office):
    await furnish_cloud(office)
    await links.subscribe(office.world, await links.find_link(office.world, WABA))
    await change(office, lambda n: replace(n, holder="main"))
    browser = await office.signed_in(VITO)

    page = text_of(await browser.get(await page_of(office)))

    assert "Nothing is left to do." in page
    assert "it is registered, and client main serves it" in page
    assert "Nothing is wrong" in page
    assert "Registering 0 9 of 9 now" in page
    assert "Setting the PIN 0 19 of 19 now" in page


async def test_what_is_wrong_stands_with_its_level_and_the_button_of_the_next_step(office: Office):
    phone = await furnish_cloud(office)
    phone.registered, phone.verified_at, phone.pin = False, None, None
    await linked.refresh(office.world, await number_now(office))
    await office.at_rest()
    await change(office, lambda n: replace(n, facts=replace(n.facts, code_state="VERIFIED")))
    pages = {
        person: (await (await office.signed_in(person)).get(await page_of(office))).raw.decode()
        for person in (OLIVIA, ADA, VITO)
    }

    button = f'class="button primary" href="{await page_of(office)}/register">Register<'
    assert button in pages[OLIVIA]
    assert button in pages[ADA]
    assert button not in pages[VITO]
    text = re.sub(r"<[^>]*>", " ", pages[ADA])
    assert re.search(r"Warning\s+Two-step verification is off", text)


async def test_the_ledger_shows_what_is_used_up_and_when_it_is_safe_again(office: Office):
    await furnish_cloud(office)
    now = office.world.clock.now()
    used = tuple((Act.REGISTER, now - timedelta(hours=i + 1)) for i in range(8, -1, -1))
    await change(office, lambda n: replace(n, ledger=replace(n.ledger, used=used)))
    browser = await office.signed_in(ADA)

    page = await browser.get(await page_of(office))

    assert re.search(r"Registering 9 0 of 9 \d+ \w+ \d+", text_of(page))
    assert re.search(r"Blocks\s+Registering is not safe before", text_of(page))


async def test_what_meta_says_of_sending_stands_there_word_for_word(office: Office):
    phone = await furnish_cloud(office)
    error = HealthError(141006, "A payment method is <missing>.", "Add one in Billing & payments.")
    phone.health = (
        Health("PHONE_NUMBER", phone.id, "AVAILABLE"),
        Health("BUSINESS", "2", "BLOCKED", (error,)),
        Health("APP", "3", "SOMETHING_NEW"),
    )
    browser = await office.signed_in(ADA)
    await browser.get(await page_of(office))

    page = await browser.follow(await browser.post(f"{await page_of(office)}/ask"))

    assert "Meta was asked just now." in text_of(page)
    assert (
        "BLOCKED BUSINESS 2 141006: A payment method is <missing>. Add one in Billing & payments."
    ) in text_of(page)
    assert "SOMETHING_NEW APP 3" in text_of(page)
    assert "&lt;missing&gt;" in page.raw.decode()


async def test_looking_asks_meta_nothing_and_the_button_asks(office: Office):
    await furnish_cloud(office)
    cloud = cloud_of(office)
    browser = await office.signed_in(ADA)
    before = len(cloud.calls)

    await browser.get(await page_of(office))
    looked = len(cloud.calls)
    await browser.post(f"{await page_of(office)}/ask")

    assert looked == before
    assert [call.method for call in cloud.calls[before:]] == ["token", "is_subscribed", "number"]


async def test_when_meta_cannot_be_asked_the_page_says_so_and_shows_what_is_known(office: Office):
    await furnish_cloud(office)
    browser = await office.signed_in(ADA)
    await browser.get(await page_of(office))
    cloud_of(office).revoke()

    page = await browser.post(f"{await page_of(office)}/ask")

    assert refuses(page, e.CloudAccessLost)
    assert "Give the account a new access token." in text_of(page)
    assert "+1 631-555-2001" in heading(page)


async def test_an_owner_is_led_to_the_new_token_and_an_admin_is_not(office: Office):
    await furnish_cloud(office)
    one = await links.find_link(office.world, WABA)
    lost = replace(one, lost_at=office.world.clock.now())
    await office.world.update_link(WABA, lambda _: LinkDecision(lost))

    for person, shown in ((OLIVIA, True), (ADA, False)):
        page = await (await office.signed_in(person)).get(await page_of(office))
        assert (f'href="/manager/cloud/{WABA}/token"' in page.raw.decode()) is shown


async def test_alerts_stand_on_the_number_and_the_overview_until_somebody_has_seen_them(
    office: Office,
):
    await furnish_cloud(office)
    number, now = await number_now(office), office.world.clock.now()
    await office.world.update_linked(number.id, lambda n: rules.turn_off_asked(n, "99", now, now))
    await office.world.update_linked(
        number.id, lambda n: rules.pin_changed(n, now + timedelta(hours=1), now)
    )
    browser = await office.signed_in(ADA)

    overview = text_of(await browser.get("/manager"))
    page = await browser.get(await page_of(office))
    seen = await browser.follow(await browser.post(f"{await page_of(office)}/seen"))
    calm = text_of(await browser.get("/manager"))

    assert "Somebody set another PIN in WhatsApp Manager" in overview
    assert "and 1 alert before" in overview
    assert "User 99 of Meta's pressed" in text_of(page)
    assert "Nothing is wrong" not in text_of(page)
    assert 'href="#alerts"' in page.raw.decode()
    assert "I have seen this" not in text_of(seen)
    assert "Nobody touched two-step verification at Meta" in calm
    assert (await kinds(office))[-1] == "cloud.alerts_seen"


async def test_the_overview_has_no_box_without_a_linked_account(office: Office):
    browser = await office.signed_in(OLIVIA)

    assert 'id="at-cloud"' not in (await browser.get("/manager")).raw.decode()


async def test_many_alarmed_numbers_do_not_make_the_overview_long(office: Office):
    cloud = cloud_of(office)
    for i in range(8):
        cloud.add_registered(f"+1631555{2100 + i}")
    await furnish_cloud(office)
    now = office.world.clock.now()
    for number in await office.world.store.linked_numbers(WABA):
        await office.world.update_linked(number.id, lambda n: rules.turn_off_asked(n, "", now, now))
    browser = await office.signed_in(VITO)

    page = await browser.get("/manager")

    assert len(page.raw) <= 30 * 1024
    assert page.raw.decode().count("pressed “Turn off") == 6
    assert "There are more such numbers" in text_of(page)


async def test_the_timeline_goes_back_page_by_page_and_leaves_nothing_out(office: Office):
    await furnish_cloud(office)
    number = await number_now(office)
    for _ in range(14):
        await vault.keep(office.world, number, NEW_PIN)
    browser = await office.signed_in(VITO)

    told, target = 0, await page_of(office)
    while target:
        page = await browser.get(target)
        told += page.raw.decode().count('class="event ')
        found = re.search(r'href="([^"]+)" rel="next"', page.raw.decode())
        target = found[1] if found else ""

    assert told == len(await kinds(office))


async def test_what_is_missing_before_a_number_moves_stands_on_a_page_of_its_own(office: Office):
    phone = await furnish_cloud(office)
    phone.on_app = True
    await linked.refresh(office.world, await number_now(office))
    browser = await office.signed_in(VITO)
    calls = len(cloud_of(office).calls)

    page = text_of(await browser.get(f"{await page_of(office)}/checks"))

    here, away = page.split("Before it is registered here")[1].split("Before another provider")
    assert "There The PIN is known, or none is set." in here
    assert "Missing The number is used with the WhatsApp Business app" in here
    assert "Missing Two-step verification is not off" in away
    assert len(cloud_of(office).calls) == calls


async def test_of_many_alerts_the_latest_are_shown_and_the_others_counted(office: Office):
    await furnish_cloud(office)
    number, now = await number_now(office), office.world.clock.now()
    for i in range(9):
        at = now + timedelta(hours=i)
        await office.world.update_linked(
            number.id,
            lambda n: rules.turn_off_asked(n, f"77{i}", at, now),  # noqa: B023 - awaited at once
        )
    browser = await office.signed_in(VITO)

    page = await browser.get(await page_of(office))

    assert re.findall(r"User (77\d)", page.raw.decode()) == [f"77{i}" for i in range(3, 9)]
    assert "9 alerts" in text_of(page)
    assert "And 3 before" in text_of(page)
    assert len(page.raw) <= 30 * 1024


# PINs


async def test_a_typed_pin_is_set_at_meta_and_kept_in_the_vault(office: Office):
    phone = await furnish_cloud(office)
    browser = await office.signed_in(ADA)

    page = await browser.fill_in(f"{await page_of(office)}/pin", pin=NEW_PIN)

    assert "The new PIN is set at Meta" in text_of(page)
    assert phone.pin == NEW_PIN
    assert (await vault.reveal(office.world, await number_now(office))).pin == NEW_PIN
    assert NEW_PIN not in page.raw.decode()


async def test_without_a_pin_one_is_drawn_by_chance(office: Office):
    phone = await furnish_cloud(office)
    browser = await office.signed_in(ADA)

    page = await browser.fill_in(f"{await page_of(office)}/pin", pin="")

    assert "The new PIN is set at Meta" in text_of(page)
    assert phone.pin != PHONE_PIN
    assert (await vault.reveal(office.world, await number_now(office))).pin == phone.pin
    assert str(phone.pin) not in page.raw.decode()


@pytest.mark.parametrize("form", ["pin", "keep", "register"])
async def test_a_pin_that_is_none_is_marked_and_sent_nowhere(office: Office, form):
    await furnish_cloud(office)
    cloud = cloud_of(office)
    browser = await office.signed_in(ADA)
    before = len(cloud.calls)

    fields = {"pin": "12345x"} | ({"client": "main"} if form == "register" else {})
    page = await browser.fill_in(f"{await page_of(office)}/{form}", **fields)

    assert refuses(page, e.ParameterInvalid)
    assert 'href="#pin"' in page.raw.decode()
    assert "12345x" not in page.raw.decode()
    assert len(cloud.calls) == before


async def test_when_meta_does_not_answer_the_pin_is_not_lost_and_nothing_more_is_sent(
    office: Office,
):
    phone = await furnish_cloud(office)
    cloud_of(office).script("set_pin", LOST_BUT_DONE)
    browser = await office.signed_in(OLIVIA)

    lost = await browser.fill_in(f"{await page_of(office)}/pin", pin=NEW_PIN)
    again = await browser.fill_in(f"{await page_of(office)}/pin", pin="141421")
    page = await browser.get(await page_of(office))
    shown = await browser.fill_in(f"{await page_of(office)}/reveal", password=PASSWORD)

    assert refuses(lost, e.OutcomeUnknown)
    assert refuses(again, e.OutcomeUnknown)
    assert phone.pin == NEW_PIN
    assert "Outcome unknown" in text_of(page)
    assert "Ask Meta now" in text_of(page)
    assert PHONE_PIN in text_of(shown)
    assert NEW_PIN in text_of(shown)


async def test_an_owner_sees_the_pin_once_and_the_trail_tells(office: Office):
    await furnish_cloud(office)
    browser = await office.signed_in(OLIVIA)
    target = f"{await page_of(office)}/reveal"

    wrong = await browser.fill_in(target, password=NEW_PASSWORD)
    untold = await kinds(office)
    page = await browser.fill_in(target, password=PASSWORD)

    assert refuses(wrong, e.SignInRefused)
    assert PHONE_PIN not in wrong.raw.decode()
    assert "vault.pin_revealed" not in untold
    assert f'id="kept-pin">{PHONE_PIN}<' in page.raw.decode()
    assert page.header("Cache-Control") == "no-store"
    assert (await kinds(office))[-1] == "vault.pin_revealed"
    for path in ("", "/reveal", "/pin", "/register"):
        again = await browser.get(await page_of(office) + path)
        assert PHONE_PIN not in again.raw.decode()


async def test_a_doubted_pin_is_shown_with_the_doubt(office: Office):
    await furnish_cloud(office)
    await change(office, lambda n: replace(n, vault=n.vault.doubt()))
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in(f"{await page_of(office)}/reveal", password=PASSWORD)

    assert PHONE_PIN in text_of(page)
    assert "It may be an old one" in text_of(page)


async def test_an_empty_vault_has_nothing_to_show(office: Office):
    cloud_of(office).add_registered("+16315552002", "161803")
    await furnish_cloud(office)
    browser = await office.signed_in(OLIVIA)
    here = await page_of(office, "+16315552002")

    page = await browser.fill_in(f"{here}/reveal", password=PASSWORD)

    assert refuses(page, e.PinNotInVault)
    assert "Go to the field" not in text_of(page)
    assert f"{here}/reveal" not in (await browser.get(here)).raw.decode()


async def test_a_noted_pin_goes_into_the_vault_and_nowhere_else(office: Office):
    phone = await furnish_cloud(office)
    browser = await office.signed_in(ADA)
    done = len(cloud_of(office).done)

    page = await browser.fill_in(f"{await page_of(office)}/keep", pin=NEW_PIN)

    assert "The PIN is noted in the vault." in text_of(page)
    assert (await vault.reveal(office.world, await number_now(office))).pin == NEW_PIN
    assert len(cloud_of(office).done) == done
    assert phone.pin == PHONE_PIN


# Registering


async def test_a_number_is_registered_with_the_pin_in_the_vault(office: Office):
    phone = await furnish_cloud(office)
    phone.registered = False
    browser = await office.signed_in(ADA)

    page = await browser.fill_in(f"{await page_of(office)}/register", client="main")

    assert "The number is registered with the Cloud API." in text_of(page)
    assert phone.registered
    assert (await number_now(office)).holder == "main"


async def test_a_pin_that_is_not_the_vaults_never_reaches_meta(office: Office):
    phone = await furnish_cloud(office)
    browser = await office.signed_in(ADA)
    before = cloud_of(office).count("register")

    page = await browser.fill_in(f"{await page_of(office)}/register", client="main", pin=NEW_PIN)
    for _ in range(4):
        await browser.fill_in(f"{await page_of(office)}/register", client="main", pin=NEW_PIN)
    closed = await browser.get(await page_of(office))
    unlocked = await browser.fill_in(f"{await page_of(office)}/unlock")

    assert refuses(page, e.WrongPin)
    assert 'href="#pin"' in page.raw.decode()
    assert 'href="#current"' not in page.raw.decode()
    assert cloud_of(office).count("register") == before
    assert phone.wrong == 0
    assert "Unlock after wrong PINs" in text_of(closed)
    assert "The number is unlocked." in text_of(unlocked)
    assert "Unlock after wrong PINs" not in text_of(unlocked)


async def test_a_number_is_not_registered_for_a_client_that_may_not_have_it(office: Office):
    phone = await furnish_cloud(office)
    phone.registered = False
    browser = await office.signed_in(OLIVIA)

    for client in ("thief", "nobody", ""):
        page = await browser.fill_in(f"{await page_of(office)}/register", client=client)
        assert refuses(page, e.ParameterInvalid)
        assert 'href="#client"' in page.raw.decode()
    assert not phone.registered


@pytest.mark.parametrize("act", [Act.REGISTER, Act.DEREGISTER])
async def test_the_last_try_is_offered_only_when_one_is_kept_back(office: Office, act):
    phone = await furnish_cloud(office)
    phone.registered = act is Act.DEREGISTER
    browser = await office.signed_in(ADA)
    target = f"{await page_of(office)}/{act.value}"
    now = office.world.clock.now()
    before = (await browser.get(target)).raw.decode()

    used = ((act, now - timedelta(hours=1)),) * 9
    await change(office, lambda n: replace(n, ledger=replace(n.ledger, used=used)))
    refused = await browser.fill_in(target, **({"client": "main"} if act is Act.REGISTER else {}))
    forced = await browser.fill_in(
        target, force="1", **({"client": "main"} if act is Act.REGISTER else {})
    )
    spent = (await browser.get(target)).raw.decode()

    assert 'name="force"' not in before
    assert refuses(refused, e.LedgerWait)
    assert "One last try is kept back." in text_of(refused)
    assert 'name="force"' in refused.raw.decode()
    assert forced.status == 200
    assert phone.registered is (act is Act.REGISTER)
    assert 'name="force"' not in spent


async def test_what_meta_refuses_is_told_in_words_and_shown_in_the_ledger(office: Office):
    phone = await furnish_cloud(office)
    phone.registered = False
    cloud_of(office).script("register", Refuse(Reason.SPENT), Refuse(Reason.OTHER))
    browser = await office.signed_in(ADA)

    page = await browser.fill_in(f"{await page_of(office)}/register", client="main")
    after = text_of(await browser.get(await page_of(office)))

    assert refuses(page, e.RegistrationWait)
    assert "Try again in 3 d." in text_of(page)
    assert re.search(r"Registering 1 0 of 9 \d+ \w+ \d+", after)


async def test_deregistering_and_releasing_are_asked_for_once_more(office: Office):
    phone = await furnish_cloud(office)
    await change(office, lambda n: replace(n, holder="main"))
    browser = await office.signed_in(ADA)
    here = await page_of(office)

    await browser.get(f"{here}/release")
    await browser.get(f"{here}/deregister")
    untouched = (await number_now(office)).holder
    released = await browser.fill_in(f"{here}/release")
    held = phone.registered
    gone = await browser.fill_in(f"{here}/deregister")

    assert untouched == "main"
    assert "No client serves the number any more." in text_of(released)
    assert (await number_now(office)).holder is None
    assert held
    assert "The Cloud API let go of the number." in text_of(gone)
    assert not phone.registered


async def test_no_log_line_holds_a_pin_or_a_token_of_meta(office: Office, log):
    await furnish_cloud(office)
    browser = await office.signed_in(OLIVIA)
    here = await page_of(office)

    await browser.fill_in(f"{here}/pin", pin=NEW_PIN)
    await browser.fill_in(f"{here}/register", client="main", pin=OWNER.pin)
    await browser.fill_in(f"{here}/reveal", password=PASSWORD)

    for secret in (NEW_PIN, PHONE_PIN, OWNER.pin, PASSWORD, "EAA-the-token"):
        assert secret not in log.getvalue()
        assert secret not in office.town.house.metrics.as_text()
