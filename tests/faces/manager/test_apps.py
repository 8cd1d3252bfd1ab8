"""Apps: their secret, where their webhooks go, which accounts they hear about."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nightlatch.domain import errors as e
from nightlatch.domain.access import Caller
from nightlatch.domain.limits import APPS_PER_PORTFOLIO
from nightlatch.domain.webhooks import Field
from nightlatch.usecases import access, portfolios, webhooks
from tests.faces.manager.places import NOWHERE, furnish_api
from tests.manager_client import (
    NEW_PASSWORD,
    OLIVIA,
    PASSWORD,
    Office,
    dump,
    open_office,
    refuses,
    text_of,
)
from tests.town import Reply, a_town
from tests.webhook_receiver import a_receiver


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Office]:
    """An office whose webhooks may go to private addresses."""
    async with a_town(tmp_path / "data", private_receivers=True) as town:
        yield await open_office(town)


async def an_app(office: Office) -> str:
    """Address of the page of a new app."""
    new = await access.add_app(office.world, (await office.portfolio()).id, "Shop floor")
    return f"/manager/apps/{new.app.id}"


async def app_now(office: Office):
    (app,) = await access.apps(office.world, (await office.portfolio()).id)
    return app


def secret_on(page: Reply) -> str:
    (secret,) = re.findall(r'id="app-secret">([^<]+)<', page.raw.decode())
    return str(secret)


# The app and its secret


async def test_an_owner_adds_an_app_and_sees_its_secret_once(office: Office):
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in("/manager/apps/add", name="Shop floor", password=PASSWORD)

    app = await app_now(office)
    secret = secret_on(page)
    assert access.app_secret(office.world, app) == secret
    assert app.id in text_of(page)
    for path in ("/manager/apps", f"/manager/apps/{app.id}", "/manager/events"):
        assert secret not in (await browser.get(path)).raw.decode()
    assert (await office.trail())[-1] == "app.added"


@pytest.mark.parametrize("password", ["", NEW_PASSWORD])
async def test_without_the_password_a_stolen_session_gets_no_secret(office: Office, password):
    app = await an_app(office)
    before = access.app_secret(office.world, await app_now(office))
    browser = await office.signed_in(OLIVIA)

    added = await browser.fill_in("/manager/apps/add", name="Second", password=password)
    renewed = await browser.fill_in(f"{app}/secret", password=password)

    assert refuses(added, e.SignInRefused)
    assert refuses(renewed, e.SignInRefused)
    assert access.app_secret(office.world, await app_now(office)) == before


async def test_a_name_that_does_not_fit_is_marked_and_costs_no_password(office: Office):
    browser = await office.signed_in(OLIVIA)

    for name in ("", " ", "a\x00b", "x" * 129):
        page = await browser.fill_in("/manager/apps/add", name=name, password=NEW_PASSWORD)
        assert refuses(page, e.ParameterInvalid)
        assert 'href="#name"' in page.raw.decode()


async def test_a_portfolio_has_so_many_apps_and_no_more(office: Office):
    portfolio = (await office.portfolio()).id
    for i in range(APPS_PER_PORTFOLIO):
        await access.add_app(office.world, portfolio, f"App {i}")
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in("/manager/apps/add", name="One more", password=PASSWORD)
    listed = await browser.get("/manager/apps")

    assert refuses(page, e.TooManyApps)
    assert len(listed.raw) <= 22 * 1024
    assert 'rel="next"' in listed.raw.decode()


async def test_a_renewed_secret_makes_the_one_before_worthless(office: Office):
    app = await an_app(office)
    before = access.app_secret(office.world, await app_now(office))
    browser = await office.signed_in(OLIVIA)

    secret = secret_on(await browser.fill_in(f"{app}/secret", password=PASSWORD))

    assert secret != before
    assert access.app_secret(office.world, await app_now(office)) == secret
    assert (await office.trail())[-1] == "app.secret_renewed"


async def test_a_proof_is_required_and_not_required_any_more(office: Office):
    app = await an_app(office)
    browser = await office.signed_in(OLIVIA)
    await browser.get(app)

    on = await browser.follow(await browser.post(f"{app}/proof", {"needed": "yes"}))
    required = (await app_now(office)).needs_proof
    off = await browser.follow(await browser.post(f"{app}/proof", {"needed": ""}))

    assert required
    assert not (await app_now(office)).needs_proof
    assert "must bring a proof from now on" in text_of(on)
    assert "need no proof any more" in text_of(off)


async def test_removing_an_app_takes_its_tokens_and_deliveries_along(office: Office):
    api = await furnish_api(office)
    browser = await office.signed_in(OLIVIA)
    await access.authenticate(office.world, api.token)

    page = await browser.fill_in(f"/manager/apps/{api.app}/remove")

    assert "The app was removed." in text_of(page)
    with pytest.raises(e.AccessTokenRefused):
        await access.authenticate(office.world, api.token)
    assert refuses(await browser.get(f"/manager/apps/{api.app}"), e.AppUnknown)


# Where webhooks go


async def test_an_address_that_answers_the_challenge_is_kept(lab: Office):
    app = await an_app(lab)
    browser = await lab.signed_in(OLIVIA)

    async with a_receiver() as receiver:
        page = await browser.fill_in(
            f"{app}/callback", callback_url=receiver.url, verify_token=receiver.token, security="1"
        )

    assert "The address answered the challenge." in text_of(page)
    assert receiver.url in text_of(page)
    callback = (await app_now(lab)).callback
    assert callback is not None
    assert (callback.url, callback.fields) == (receiver.url, {Field.SECURITY})
    (asked,) = receiver.requests
    assert asked.query["hub.mode"] == "subscribe"
    assert receiver.token not in repr(dump(lab.town))


async def test_the_form_comes_with_what_was_chosen_before(lab: Office):
    app = await an_app(lab)
    browser = await lab.signed_in(OLIVIA)
    fresh = await browser.get(f"{app}/callback")

    async with a_receiver() as receiver:
        await browser.fill_in(
            f"{app}/callback", callback_url=receiver.url, verify_token=receiver.token, security="1"
        )
        page = await browser.get(f"{app}/callback")

    assert re.findall(r'name="(\w+)" value="1" checked', fresh.raw.decode()) == [
        "security", "phone_number_name_update", "account_update",
    ]  # fmt: skip
    assert re.findall(r'name="(\w+)" value="1" checked', page.raw.decode()) == ["security"]
    assert f'value="{receiver.url}"' in page.raw.decode()


async def test_an_address_that_fails_the_challenge_changes_nothing(lab: Office):
    app = await an_app(lab)
    browser = await lab.signed_in(OLIVIA)

    async with a_receiver() as receiver:
        wrong = await browser.fill_in(
            f"{app}/callback", callback_url=receiver.url, verify_token="another", security="1"
        )
    gone = await browser.fill_in(
        f"{app}/callback", callback_url=receiver.url, verify_token=receiver.token, security="1"
    )

    for page in (wrong, gone):
        assert refuses(page, e.CallbackRefused)
        assert 'href="#callback_url"' in page.raw.decode()
        assert f'value="{receiver.url}"' in page.raw.decode()
    assert "HTTP 403" in text_of(wrong)
    assert "it was not reached" in text_of(gone)
    assert (await app_now(lab)).callback is None


@pytest.mark.parametrize(
    ("url", "refusal"),
    [
        ("http://127.0.0.1:9/hooks", e.CallbackRefused), (NOWHERE, e.CallbackRefused),
        ("https://169.254.169.254/latest/meta-data", e.CallbackRefused),
        ("http://receiver.example/hooks", e.CallbackRefused),
        ("https://[::1]/hooks", e.CallbackRefused), ("", e.ParameterInvalid),
        ("ftp://receiver.example/", e.ParameterInvalid), ("receiver.example", e.ParameterInvalid),
        ("https://user:secret@receiver.example/", e.ParameterInvalid),
        ("https://receiver.example/#x", e.ParameterInvalid),
        ("https://receiver.example/" + "x" * 2_048, e.ParameterInvalid),
        ("javascript:alert(1)", e.ParameterInvalid),
    ],
)  # fmt: skip
async def test_no_webhook_goes_where_none_may(office: Office, url, refusal):
    app = await an_app(office)
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in(f"{app}/callback", callback_url=url, security="1")

    assert refuses(page, refusal)
    assert 'href="#callback_url"' in page.raw.decode()
    assert (await app_now(office)).callback is None


async def test_without_a_field_there_is_nothing_to_tell(office: Office):
    app = await an_app(office)
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in(f"{app}/callback", callback_url="https://receiver.example/")

    assert refuses(page, e.ParameterInvalid)
    assert 'href="#fields"' in page.raw.decode()


async def test_webhooks_are_sent_nowhere_any_more(office: Office):
    api = await furnish_api(office)
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in(f"/manager/apps/{api.app}/callback/remove")

    assert "go nowhere any more" in text_of(page)
    assert (await app_now(office)).callback is None
    assert "nowhere" in text_of(await browser.get("/manager/apps"))


# Accounts


async def test_accounts_are_subscribed_and_unsubscribed_here(office: Office):
    app, waba = await an_app(office), await office.waba()
    browser = await office.signed_in(OLIVIA)
    await browser.get(app)

    on = await browser.follow(await browser.post(f"{app}/subscribe", {"waba": waba.id}))
    heard = await webhooks.subscriptions(office.world, waba)
    off = await browser.follow(await browser.post(f"{app}/unsubscribe", {"waba": waba.id}))
    again = await browser.post(f"{app}/unsubscribe", {"waba": waba.id})

    assert "hears about the account from now on" in text_of(on)
    assert [one.id for _, one in heard] == [app.rpartition("/")[2]]
    assert "hears about the account no more" in text_of(off)
    assert not await webhooks.subscriptions(office.world, waba)
    assert refuses(again, e.NotSubscribed)
    last = [link async for link in office.world.store.audit(f"portfolio:{waba.portfolio}")][-1]
    assert (last.event.kind.value, last.event.by) == ("waba.unsubscribed", OLIVIA.email)


async def test_an_app_hears_about_no_foreign_account(office: Office):
    app = await an_app(office)
    elsewhere = await portfolios.add_portfolio(office.world, "Elsewhere", "e@elsewhere.example")
    (foreign,) = await office.world.store.wabas(elsewhere.id)
    browser = await office.signed_in(OLIVIA)
    await browser.get(app)

    for act in ("subscribe", "unsubscribe"):
        for waba in (foreign.id, "3" * 15, ""):
            page = await browser.post(f"{app}/{act}", {"waba": waba})
            assert refuses(page, e.WabaUnknown)
    assert not await webhooks.subscriptions(office.world, foreign)


async def test_a_subscription_with_an_address_of_its_own_shows_it(lab: Office):
    app, waba = await an_app(lab), await lab.waba()
    browser = await lab.signed_in(OLIVIA)

    async with a_receiver() as receiver:
        await webhooks.subscribe(
            lab.world, Caller(await app_now(lab)), waba, receiver.url, receiver.token
        )

    assert f"sent to {receiver.url}" in text_of(await browser.get(app))
