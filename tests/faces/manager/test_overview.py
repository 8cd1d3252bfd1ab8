"""The first page: counts, numbers under attack, thirty days, each account."""

import re
from datetime import date, timedelta
from urllib.parse import urlencode

import pytest

from nightlatch.domain.errors import RoleTooLow
from nightlatch.faces.manager import chart
from nightlatch.usecases import numbers, portfolios
from nightlatch.usecases.overview import Day
from tests.manager_client import ADA, VITO, Office, refuses, text_of
from tests.people import CC, THIEF
from tests.town import Reply


async def wrong(office: Office, times: int) -> None:
    for _ in range(times):
        await office.town.thief.register(THIEF.wrong_pin)


def tiles(reply: Reply) -> dict[str, int]:
    """Name and count of each tile."""
    found = re.findall(
        r'class="tally-name">.*?</svg>([^<]+)</span>\s*<span class="tally-count">([^<]+)<',
        reply.raw.decode(),
        re.DOTALL,
    )
    return {name: int(count) for name, count in found}


async def test_the_portfolio_is_counted_by_state(office: Office):
    await office.town.owner_is_protected()
    waba = (await office.waba()).id
    await numbers.add_number(office.world, waba, "+16315551001", CC, "Two")
    await numbers.add_number(office.world, waba, "+16315551002", CC, "Three")
    browser = await office.signed_in(VITO)

    calm = await browser.get("/manager")
    await wrong(office, 5)
    attacked = await browser.get("/manager")

    assert tiles(calm) == {
        "Protected": 1, "Unprotected": 2, "Waiting": 0, "Locked": 0, "Under attack": 0,
    }  # fmt: skip
    assert tiles(attacked) == tiles(calm) | {"Waiting": 1, "Under attack": 1}
    assert "No number had two or more wrong PINs" in text_of(calm)
    assert "No number had two or more wrong PINs" not in text_of(attacked)


async def test_each_count_leads_to_its_list(office: Office):
    await office.town.owner_is_protected()
    browser = await office.signed_in(VITO)

    page = await browser.get("/manager")
    links = re.findall(r'class="tally[^"]*" href="([^"]+)"', page.raw.decode())

    assert len(links) == 5
    for link in links:
        listed = await browser.get(link)
        assert listed.status == 200
        count = tiles(page)[
            {"protected": "Protected", "unprotected": "Unprotected", "waiting": "Waiting",
             "locked": "Locked", "attacked": "Under attack"}[link.rpartition("=")[2]]
        ]  # fmt: skip
        assert listed.raw.count(b'class="number-link"') == count


async def test_a_number_under_attack_is_named_with_its_last_event(office: Office):
    await office.town.owner_is_protected()
    browser = await office.signed_in(VITO)

    await wrong(office, 1)
    slip = await browser.get("/manager")
    await wrong(office, 1)
    page = await browser.get("/manager")
    office.town.pass_time(timedelta(hours=24))
    browser = await office.signed_in(VITO)
    later = await browser.get("/manager")

    assert b'class="number-link"' not in slip.raw
    assert "+1 631-555-1000 Lucky Shrub 2 On Under attack Wrong PIN while" in text_of(page)
    assert b'class="number-link"' not in later.raw


async def test_the_chart_counts_guesses_and_registrations_and_has_a_table(office: Office):
    await office.town.owner_is_protected()
    await wrong(office, 3)
    browser = await office.signed_in(VITO)

    page = await browser.get("/manager")

    said = page.raw.decode()
    assert 'role="img" aria-label="In the last 30 days: 3 wrong PINs, 0 right PINs, 1 ' in said
    rows = re.findall(r'<tr><th scope="row">\d+ \w+ \d{4}</th>(.*?)</tr>', said)
    assert len(rows) == 30
    assert re.findall(r">(\d+)<", rows[0]) == ["3", "0", "1"]
    assert all(re.findall(r">(\d+)<", row) == ["0", "0", "0"] for row in rows[1:])
    assert said.count('class="wrong-bar"') == 2  # the legend's and today's


async def test_each_account_has_its_own_counts(office: Office):
    await office.town.owner_is_protected()
    second = await portfolios.add_waba(
        office.world, (await office.portfolio()).id, "Nordic <i>Shrubs</i>"
    )
    await numbers.add_number(office.world, second.id, "+4915112345678", "49", "Nord")
    browser = await office.signed_in(VITO)

    page = await browser.get("/manager")

    assert "My WhatsApp account 1 1 0 0 0 0" in text_of(page)
    assert "Nordic <i>Shrubs</i> 1 0 1 0 0 0" in text_of(page)
    assert b"<i>Shrubs" not in page.raw
    assert f"/manager/accounts/{second.id}/numbers?show=unprotected" in page.raw.decode()


async def test_another_portfolio_is_not_counted(office: Office):
    other = await portfolios.add_portfolio(office.world, "Elsewhere", THIEF.email)
    waba = (await office.world.store.wabas(other.id))[0]
    await numbers.add_number(office.world, waba.id, "+4915112345678", "49", "Theirs")
    browser = await office.signed_in(VITO)

    page = await browser.get("/manager")

    assert sum(tiles(page)[name] for name in ("Protected", "Unprotected")) == 1
    assert "Elsewhere" not in text_of(page)


async def test_an_account_is_added_and_a_viewer_may_not(office: Office):
    admin, viewer = await office.signed_in(ADA), await office.signed_in(VITO)

    page = await admin.fill_in("/manager/accounts/add", name=" Nordic ")
    form = await viewer.get("/manager/accounts/add")
    bad = await admin.post("/manager/accounts/add", {"name": " "})

    assert "The WhatsApp account was added" in text_of(page)
    assert "No phone number yet" in text_of(page)
    assert {waba.name for waba in await office.world.store.wabas((await office.portfolio()).id)} == {
        "My WhatsApp account", "Nordic",
    }  # fmt: skip
    assert refuses(form, RoleTooLow)
    assert bad.status == 400
    assert b'aria-describedby="name-wrong' in bad.raw


async def test_a_portfolio_of_many_accounts_stays_a_small_page_and_shows_them_all(office: Office):
    portfolio = (await office.portfolio()).id
    for i in range(20):
        waba = await portfolios.add_waba(office.world, portfolio, f"Account {i:02} " + "x" * 100)
        await numbers.add_number(office.world, waba.id, f"+1631555{i:04}", CC, "y" * 128)
    browser = await office.signed_in(VITO)
    at: str | None = "/manager"
    found: list[str] = []

    while at is not None:
        page = await browser.get(at)
        assert len(page.raw) < 30 * 1024
        found += re.findall(r'role="rowheader"><a href="[^"]+">([^<]+)</a>', page.raw.decode())
        following = re.search(r'href="([^"#]+)#per-account" rel="next"', page.raw.decode())
        at = following[1] if following and len(found) < 40 else None

    assert len(found) == len(set(found)) == 21
    assert "21 phone numbers in 21 WhatsApp accounts" in text_of(page)
    assert "All 21 accounts" in text_of(page)


async def test_a_place_among_the_accounts_that_is_none_is_the_beginning(office: Office):
    browser = await office.signed_in(VITO)

    for place in ("-1", "x", "٣", "1" * 30):
        page = await browser.get(f"/manager?{urlencode({'accounts': place})}")

        assert "My WhatsApp account 1 0 1 0 0 0" in text_of(page)


# The picture


FIRST = date(2026, 1, 1)


def days(*counts: tuple[int, int, int]) -> list[Day]:
    return [Day(FIRST + timedelta(days=i), *count) for i, count in enumerate(counts)]


def test_a_month_without_events_is_a_picture_too():
    drawn = chart.draw(days(*[(0, 0, 0)] * 30))

    assert drawn.is_empty
    assert all(bar.right_height == bar.wrong_height == 0 for bar in drawn.bars)
    assert len(drawn.dates) == 5


@pytest.mark.parametrize("most", [1, 2, 3, 9, 10, 11, 99, 1_000, 123_456])
def test_no_bar_leaves_the_picture_and_none_is_too_small_to_see(most):
    drawn = chart.draw(days((most, 0, 0), (0, most, 0), (1, 1, 3), (0, 0, 0)))

    for bar in drawn.bars:
        assert 0 <= bar.wrong_y <= bar.right_y <= drawn.base
        assert drawn.left <= bar.x
        assert bar.x + bar.width <= drawn.width
        assert (bar.right_height > 1) == (bar.day.right > 0)
        assert (bar.wrong_height > 1) == (bar.day.wrong > 0)
        assert bar.wrong_y + bar.wrong_height == pytest.approx(bar.right_y)
    amounts = [amount for _, amount in drawn.lines]
    assert amounts == [0, amounts[2] // 2, amounts[2]]
    assert amounts[2] >= most
