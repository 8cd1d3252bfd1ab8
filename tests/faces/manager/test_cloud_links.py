"""Linked accounts: linking, what Meta says of the token, webhooks, settings, unlinking."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from nightlatch.domain import errors as e
from nightlatch.domain.links import MANAGES, MESSAGES, TokenFacts
from nightlatch.usecases import links, portfolios
from tests.faces.manager.places import PHONE, cloud_of, furnish_cloud
from tests.fakes.cloud import APP, TOKEN, UNSENT, WABA
from tests.manager_client import (
    ADA,
    NEW_PASSWORD,
    OLIVIA,
    PASSWORD,
    VITO,
    Office,
    dump,
    refuses,
    text_of,
)
from tests.people import THIEF

LIST = "/manager/cloud"
PAGE = f"/manager/cloud/{WABA}"
SECRET = "an-app-secret-of-meta-0123456789"
FORM = {
    "waba": WABA, "token": TOKEN, "secret": SECRET, "version": "v23.0", "clients": "main",
    "set_again": "1", "password": PASSWORD,
}  # fmt: skip


async def link_now(office: Office):
    return await links.find_link(office.world, WABA)


async def test_an_owner_links_an_account_and_reads_its_numbers(office: Office):
    cloud = cloud_of(office)
    cloud.add_registered(PHONE, "271828")
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in(f"{LIST}/add", **FORM)
    read = await browser.post(f"{PAGE}/read")
    listed = await browser.get(LIST)

    one = await link_now(office)
    assert "The account is linked." in text_of(page)
    assert (one.name, one.portfolio, one.set_again) == (
        "Garden shop", (await office.portfolio()).id, True,
    )  # fmt: skip
    assert "1 number was read" in text_of(read)
    assert "Garden shop" in text_of(listed)
    assert "does not end" in text_of(listed)
    assert re.search(rf'href="{PAGE}/numbers">1<', listed.raw.decode())
    assert "cloud.linked" in await office.trail()
    assert TOKEN not in repr(dump(office.town))
    assert SECRET not in repr(dump(office.town))


@pytest.mark.parametrize("password", ["", NEW_PASSWORD])
async def test_without_the_password_a_stolen_session_links_renews_and_unlinks_nothing(
    office: Office, password
):
    await furnish_cloud(office)
    browser = await office.signed_in(OLIVIA)
    before = await link_now(office)

    for target, fields in (
        (f"{LIST}/add", FORM | {"waba": "102290129340399"}),
        (f"{PAGE}/token", {"token": TOKEN}),
        (f"{PAGE}/unlink", {}),
    ):
        page = await browser.fill_in(target, **(fields | {"password": password}))
        assert refuses(page, e.SignInRefused), target
    assert await link_now(office) == before
    assert len(await links.links(office.world)) == 1


@pytest.mark.parametrize(
    ("field", "value", "refusal"),
    [
        ("waba", "", e.ParameterInvalid), ("waba", "12a45", e.ParameterInvalid),
        ("waba", "102290129340399", e.ParameterInvalid), ("token", "", e.ParameterInvalid),
        ("token", "two words", e.ParameterInvalid), ("token", "EAAnother", e.TokenUnfit),
        ("secret", "two words", e.ParameterInvalid), ("version", "23", e.ParameterInvalid),
        ("clients", " , ", e.ParameterInvalid), ("clients", "main nobody", e.ClientUnknown),
    ],
)  # fmt: skip
async def test_a_field_that_does_not_fit_is_marked_and_nothing_is_linked(
    office: Office, field, value, refusal
):
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in(f"{LIST}/add", **(FORM | {field: value}))

    assert refuses(page, refusal)
    assert f'href="#{field}"' in page.raw.decode()
    secrets = [TOKEN, SECRET, PASSWORD, "EAAnother", "two words"]
    assert not any(secret in page.raw.decode() for secret in secrets)
    assert not await links.links(office.world)


async def test_a_token_that_lacks_a_permission_is_told_what_it_lacks(office: Office):
    cloud_of(office).tokens[TOKEN] = TokenFacts(True, frozenset({MESSAGES}), APP)
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in(f"{LIST}/add", **FORM)

    assert refuses(page, e.TokenUnfit)
    assert MANAGES in text_of(page)


async def test_an_account_is_linked_once_even_when_another_portfolio_has_it(office: Office):
    elsewhere = await portfolios.add_portfolio(office.world, "Elsewhere", THIEF.email)
    await links.link(office.world, elsewhere.id, WABA, TOKEN)
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in(f"{LIST}/add", **FORM)

    assert refuses(page, e.LinkExists)
    assert "No linked account yet" in text_of(await browser.get(LIST))
    for path in (PAGE, f"{PAGE}/numbers", f"{PAGE}/token"):
        assert refuses(await browser.get(path), e.LinkUnknown)


async def test_only_owners_see_the_verify_token_and_what_is_theirs_to_do(office: Office):
    await furnish_cloud(office)
    verify = links.verify_token_of(office.world, await link_now(office))
    pages = {
        person: (await (await office.signed_in(person)).get(PAGE)).raw.decode()
        for person in (OLIVIA, ADA, VITO)
    }

    assert verify in pages[OLIVIA]
    assert f"/cloud/{WABA}/webhook" in pages[OLIVIA]
    for person in (ADA, VITO):
        assert verify not in pages[person]
        assert f"/cloud/{WABA}/webhook" not in pages[person]
        for rest in ("/token", "/settings", "/unlink", "/subscribe"):
            assert f'"{PAGE}{rest}"' not in pages[person], rest
    for rest in ("/read", "/rotate"):
        assert f'"{PAGE}{rest}"' in pages[ADA]
        assert f'"{PAGE}{rest}"' not in pages[VITO]


async def test_the_app_is_subscribed_from_the_account_page(office: Office):
    await furnish_cloud(office)
    browser = await office.signed_in(OLIVIA)

    before = await browser.get(PAGE)
    after = await browser.follow(await browser.post(f"{PAGE}/subscribe"))

    assert "Subscribe the app" in text_of(before)
    assert "Subscribe again" in text_of(after)
    assert cloud_of(office).subscribed == {WABA: {APP}}
    assert (await link_now(office)).subscribed is True
    portfolio = (await office.portfolio()).id
    last = [one async for one in office.world.store.audit(f"portfolio:{portfolio}")]
    assert (last[-1].event.kind.value, last[-1].event.by) == ("cloud.link_changed", OLIVIA.email)


async def test_when_meta_is_away_the_account_page_says_so_and_nothing_is_lost(office: Office):
    await furnish_cloud(office)
    browser = await office.signed_in(ADA)
    await browser.get(PAGE)
    cloud_of(office).down = UNSENT

    page = await browser.post(f"{PAGE}/read")

    assert refuses(page, e.CloudUnreached)
    assert page.header("Retry-After") == "30"
    assert "1 number" in text_of(page)


async def test_a_refused_token_is_seen_everywhere_until_it_is_renewed(office: Office):
    await furnish_cloud(office)
    cloud = cloud_of(office)
    browser = await office.signed_in(OLIVIA)
    await browser.get(PAGE)
    cloud.revoke()

    refused = await browser.post(f"{PAGE}/read")
    seen = [text_of(await browser.get(path)) for path in ("/manager", LIST, PAGE)]
    wrong = await browser.fill_in(f"{PAGE}/token", token=TOKEN, password=PASSWORD)
    cloud.tokens["EAAfresh"] = TokenFacts(
        True, frozenset({MANAGES, MESSAGES}), APP, "USER",
        expires_at=office.world.clock.now() + timedelta(days=60),
    )  # fmt: skip
    renewed = await browser.fill_in(f"{PAGE}/token", token="EAAfresh", password=PASSWORD)
    after = [text_of(await browser.get(path)) for path in ("/manager", LIST, PAGE)]

    assert refuses(refused, e.CloudAccessLost)
    assert all("Refused by Meta" in one or "refuses the access token" in one for one in seen)
    assert refuses(wrong, e.TokenUnfit)
    assert 'href="#token"' in wrong.raw.decode()
    assert "The access token is renewed; Meta takes it." in text_of(renewed)
    assert not any("Refused by Meta" in one or "refuses the acc" in one for one in after)
    assert "does not end" not in after[1]


async def test_settings_are_changed_and_a_secret_that_is_left_empty_stays(office: Office):
    await furnish_cloud(office)
    before = await link_now(office)
    browser = await office.signed_in(OLIVIA)

    form = await browser.get(f"{PAGE}/settings")
    page = await browser.fill_in(
        f"{PAGE}/settings", version="v24.0", clients="main, thief", secret="", set_again="1"
    )
    wrong = await browser.fill_in(f"{PAGE}/settings", version="v24.0", clients="nobody")

    after = await link_now(office)
    assert 'value="v23.0"' in form.raw.decode()
    assert "The settings are changed." in text_of(page)
    assert after == replace(before, version="v24.0", clients=("main", "thief"), set_again=True)
    assert refuses(wrong, e.ClientUnknown)


async def test_unlinking_forgets_the_numbers_and_says_so(office: Office):
    await furnish_cloud(office)
    browser = await office.signed_in(OLIVIA)

    asked = await browser.get(f"{PAGE}/unlink")
    page = await browser.fill_in(f"{PAGE}/unlink", password=PASSWORD)

    assert "1 number and their PINs are forgotten" in text_of(asked)
    assert "The account is unlinked." in text_of(page)
    assert not await links.links(office.world)
    assert (await office.trail())[-1] == "cloud.unlinked"
    assert not cloud_of(office).done


async def test_a_number_that_this_registry_has_is_told_of_and_left_out(office: Office):
    cloud = cloud_of(office)
    await furnish_cloud(office)
    cloud.add((await office.town.number()).e164, shown="+1 631-555-1000")
    browser = await office.signed_in(ADA)
    await browser.get(PAGE)

    page = await browser.post(f"{PAGE}/read")

    assert "2 numbers were read" in text_of(page)
    assert "1 number was left out" in text_of(page)
    assert "+1 631-555-1000" in text_of(page)


async def test_the_address_of_meta_is_not_a_members_to_choose(office: Office):
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in(f"{LIST}/add", **FORM, base="https://evil.example")

    assert refuses(page, e.ParameterUnexpected)
    assert not await links.links(office.world)


async def test_many_linked_accounts_stay_in_small_pages(office: Office):
    cloud, portfolio = cloud_of(office), (await office.portfolio()).id
    for i in range(20):
        cloud.accounts[f"10229012934{i:04}"] = f"Shop {i}"
        await links.link(office.world, portfolio, f"10229012934{i:04}", TOKEN)
    browser = await office.signed_in(VITO)

    first = await browser.get(LIST)
    further = re.search(r'href="([^"]+)" rel="next"', first.raw.decode())
    assert further
    second = await browser.get(further[1])

    assert len(first.raw) <= 30 * 1024
    shown = re.findall(r">Shop \d+<", first.raw.decode() + second.raw.decode())
    assert len(shown) == len(set(shown)) == 20
