"""Names, addresses and browsers that try to be markup: shown as what they are, everywhere."""

from dataclasses import dataclass, replace
from html import escape

import pytest

from nightlatch.domain.access import Scope, SystemRole
from nightlatch.domain.linked import Health, HealthError, turn_off_asked
from nightlatch.domain.links import LinkDecision
from nightlatch.domain.members import MemberRole
from nightlatch.usecases import access, linked, links, members, numbers, portfolios
from tests.faces.manager.places import PHONE, SAFE, UNSAFE, Places, cloud_of, furnish
from tests.fakes.cloud import WABA
from tests.manager_client import OLIVIA, PASSWORD, Browserless, Office
from tests.people import E164
from tests.town import Reply

MARK = "<img src=x onerror=alert(1)>"
QUOTES = "\"'><svg onload=alert(2)>"
BRACES = "{{7*7}}{% raw %}${7*7}"
TEXTS = (MARK, QUOTES, BRACES)
ADDRESS = "o'neil&lt;b&gt;{{7*7}}@luckyshrub.example".replace(";", "")
"""As hostile as an address may be."""


@dataclass
class Stage:
    places: Places
    owner: Browserless


async def set_with_hostile_text(office: Office) -> Stage:
    """Every text that somebody may choose is hostile."""
    world = office.world
    places = await furnish(office)
    portfolio = await office.portfolio()
    name = f"{MARK}{QUOTES}"
    hostile = await members.add_member(
        world, portfolio.id, ADDRESS, f"{QUOTES}{BRACES}", MemberRole.OWNER, PASSWORD
    )
    await portfolios.change_portfolio(world, portfolio.id, name, ADDRESS, MARK)
    await portfolios.add_waba(world, portfolio.id, f"{BRACES}{MARK}", QUOTES)
    number = await numbers.find_number(world, E164)
    await numbers.ask_name(world, number, name, MARK)
    await members.invite(world, hostile, f"b{ADDRESS}", MemberRole.ADMIN)
    app = (await access.add_app(world, portfolio.id, name, MARK)).app
    user = await access.add_system_user(world, portfolio.id, name, SystemRole.ADMIN, (), MARK)
    await access.issue_token(world, user, app, [Scope.MANAGEMENT], None, QUOTES)
    (token,) = await access.access_tokens(world, user)
    now = world.clock.now()
    await world.store.settle_deliveries(
        [int(places.parts["delivery"])],
        lambda d: replace(d, answer=f"{MARK}{QUOTES}{BRACES}", fault=MARK), now,
    )  # fmt: skip
    await set_meta_with_hostile_text(office)
    places.parts |= {"app": app.id, "user": user.id, "reference": token.reference}
    await members.ask_reset(world, ADDRESS)
    await office.letters()
    places.parts["member"] = hostile.id
    owner = office.browser(agent=f"{MARK}{QUOTES}")
    await owner.sign_in(ADDRESS)
    await office.browser(agent=QUOTES).sign_in(ADDRESS)
    return Stage(places, owner)


async def set_meta_with_hostile_text(office: Office) -> None:
    """Whatever Meta calls its accounts and numbers, and says of them."""
    world, cloud = office.world, cloud_of(office)
    cloud.accounts[WABA] = f"{MARK}{QUOTES}"
    phone = next(iter(cloud.phones.values()))
    phone.name, phone.new_name, phone.new_name_state = f"{MARK}{QUOTES}", BRACES, MARK
    phone.status, phone.platform, phone.webhook = QUOTES, MARK, f"https://{MARK}/"
    error = HealthError(1, f"{MARK}{BRACES}", QUOTES)
    phone.health = (Health(MARK, QUOTES, BRACES, (error,)),)
    one = await links.find_link(world, WABA)
    await world.update_link(WABA, lambda link: LinkDecision(replace(link, name=f"{MARK}{QUOTES}")))
    await links.read_numbers(world, one, lambda _: None)
    number, now = await linked.find_linked(world, PHONE), world.clock.now()
    await world.update_linked(number.id, lambda n: turn_off_asked(n, f"{MARK}{BRACES}", now, now))


def is_harmless(reply: Reply) -> None:
    page = reply.raw.decode()
    for bad in ("<img", "<svg onload", "onload=alert(2)>", "onerror=alert(1)>", "49{% raw", "$49"):
        assert bad not in page, page[page.find(bad) - 200 : page.find(bad) + 100]


async def test_hostile_text_is_only_text_on_every_page(office: Office):
    stage = await set_with_hostile_text(office)
    shown: dict[str, set[str]] = {text: set() for text in TEXTS}

    for route in SAFE:
        reply = await stage.owner.get(stage.places.of(route))
        if not (reply.header("Content-Type") or "").startswith("text/html"):
            continue
        is_harmless(reply)
        for text in TEXTS:
            if (
                escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
                in reply.raw.decode()
            ):
                shown[text].add(route.name)

    # The pages do show it, so that the test above has something to find.
    assert len(shown[MARK]) >= 20, shown[MARK]
    cloud = {name for name in shown[MARK] if name.startswith("GET_manager_cloud")}
    assert len(cloud) >= 10, cloud
    assert len(shown[QUOTES]) >= 5, shown[QUOTES]
    assert len(shown[BRACES]) >= 2, shown[BRACES]


@pytest.mark.parametrize("text", TEXTS)
async def test_hostile_text_in_a_form_comes_back_as_text(office: Office, text):
    places = await furnish(office)
    browser = await office.signed_in(OLIVIA)

    for route in UNSAFE:
        if (await browser.get("/manager/account")).status != 200:
            browser = await office.signed_in(OLIVIA)
            await browser.get("/manager/account")
        is_harmless(await browser.post(places.of(route), dict.fromkeys(route.form, text)))


@pytest.mark.parametrize("text", TEXTS)
async def test_hostile_text_in_an_address_comes_back_as_text_or_not_at_all(office: Office, text):
    places = await furnish(office)
    browser = await office.signed_in(OLIVIA)
    quoted = "".join(f"%{byte:02x}" for byte in text.encode())

    for route in SAFE:
        for name in (*route.query, "said", "problem", "anything"):
            is_harmless(await browser.get(f"{places.of(route)}?{name}={quoted}"))
    for base in ("/manager/", "/manager/numbers/", "/manager/mail/", "/manager/join/"):
        is_harmless(await browser.get(base + quoted))
        is_harmless(await office.browser().get(base + quoted))


@pytest.mark.parametrize("said", ["turned off by a thief", "", "<b>", "SAID", "__class__"])
async def test_no_sentence_of_a_request_is_ever_said(office: Office, said):
    browser = await office.signed_in(OLIVIA)
    quoted = "".join(f"%{byte:02x}" for byte in said.encode())

    page = await browser.get(f"/manager?said={quoted}")

    assert page.status == 200
    assert 'role="status"' not in page.raw.decode()
    assert 'role="status"' in (await browser.get("/manager?said=pin_changed")).raw.decode()
