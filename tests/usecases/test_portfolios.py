"""Portfolios and their WhatsApp accounts."""

import pytest

from nightlatch.domain.errors import (
    ParameterInvalid,
    PortfolioUnknown,
    RoleTooLow,
    SignInRefused,
    WabaUnknown,
)
from nightlatch.domain.mail import Letter
from nightlatch.domain.members import MemberRole
from nightlatch.usecases import portfolios
from tests.people import OWNER
from tests.usecases.conftest import Office

POST, NEW = "post@luckyshrub.example", "new@luckyshrub.example"


async def test_a_further_portfolio_comes_with_one_account_and_without_members(office: Office):
    added = await portfolios.add_portfolio(office.world, "Third", "post@third.example")

    (waba,) = await office.world.store.wabas(added.id)
    assert (len(added.id), len(waba.id), waba.name) == (15, 15, "Third")
    assert await office.world.store.members(added.id) == []
    assert await portfolios.find_portfolio(office.world, added.id) == added
    trail = [link.event async for link in office.world.store.audit(f"portfolio:{added.id}")]
    assert [event.kind.value for event in trail] == ["waba.added"]


@pytest.mark.parametrize(("name", "email"), [("", POST), ("Third", "post"), ("a\nb", POST)])
async def test_what_does_not_fit_makes_no_portfolio(office: Office, name, email):
    before = await office.world.store.portfolios()

    with pytest.raises(ParameterInvalid):
        await portfolios.add_portfolio(office.world, name, email)

    assert await office.world.store.portfolios() == before


async def test_an_unknown_portfolio_is_named(office: Office):
    for id_ in ("", "0", "x", "٣", "9" * 30):
        with pytest.raises(PortfolioUnknown):
            await portfolios.find_portfolio(office.world, id_)
        with pytest.raises(PortfolioUnknown):
            await portfolios.add_waba(office.world, id_, "Account")
        with pytest.raises(PortfolioUnknown):
            await portfolios.change_portfolio(office.world, id_, "Name", POST)


async def test_of_another_address_both_hear_and_the_trail_says_who_and_from_where(office: Office):
    changed = await portfolios.change_by_member(
        office.world, await office.owner(), "Lucky Bush", NEW, OWNER.password
    )

    assert (changed.name, changed.email) == ("Lucky Bush", NEW)
    assert sorted(await office.letters(Letter.ADDRESS_CHANGED)) == [NEW, POST]
    trail = [link.event async for link in office.world.store.audit(f"portfolio:{office.portfolio}")]
    assert (trail[-1].kind.value, trail[-1].by) == ("portfolio.changed", OWNER.email)
    assert trail[-1].place == "192.0.2.7"
    posted, _ = office.post.taken[0]
    assert dict(posted.facts)["place"] == "192.0.2.7"


async def test_with_a_wrong_password_the_address_stays(office: Office):
    with pytest.raises(SignInRefused):
        await portfolios.change_by_member(
            office.world, await office.owner(), "Lucky Bush", NEW, "Thieves-guess-1"
        )

    assert (await portfolios.find_portfolio(office.world, office.portfolio)).email == POST
    assert await office.letters() == []


@pytest.mark.parametrize(("name", "email"), [("", NEW), ("Name", "new"), ("x" * 129, NEW)])
async def test_what_does_not_fit_is_refused_before_the_password_is_compared(
    office: Office, name, email
):
    computed = office.scene.house.pool.computed

    with pytest.raises(ParameterInvalid):
        await portfolios.change_by_member(
            office.world, await office.owner(), name, email, OWNER.password
        )

    assert office.scene.house.pool.computed == computed


@pytest.mark.parametrize("role", [MemberRole.ADMIN, MemberRole.VIEWER])
async def test_only_an_owner_changes_the_portfolio(office: Office, role):
    anna = await office.add("anna", role)

    with pytest.raises(RoleTooLow):
        await portfolios.change_by_member(office.world, anna, "Name", NEW, OWNER.password)


async def test_an_admin_adds_an_account_and_a_viewer_does_not(office: Office):
    admin, viewer = (
        await office.add("anna", MemberRole.ADMIN),
        await office.add("vera", MemberRole.VIEWER),
    )

    added = await portfolios.add_waba_by_member(office.world, admin, "Second")
    with pytest.raises(RoleTooLow):
        await portfolios.add_waba_by_member(office.world, viewer, "Third")
    with pytest.raises(ParameterInvalid):
        await portfolios.add_waba_by_member(office.world, admin, "")

    assert [waba.name for waba in await office.world.store.wabas(office.portfolio)] == [
        "My WhatsApp account", "Second",
    ]  # fmt: skip
    assert await portfolios.find_waba(office.world, viewer, added.id) == added
    assert (await office.kinds())[-1] == "waba.added"


async def test_the_accounts_of_another_portfolio_are_unknown(office: Office):
    (waba,) = await office.world.store.wabas(office.portfolio)

    for id_ in (waba.id, "", "x", "٣", "9" * 30):
        with pytest.raises(WabaUnknown):
            await portfolios.find_waba(office.world, office.neighbour, id_)
