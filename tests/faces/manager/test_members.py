"""Members: roles, removal, invitations, and that an owner stays."""

import asyncio

import pytest

from nightlatch.domain.errors import LastOwner, MemberUnknown, ParameterInvalid
from nightlatch.domain.members import MemberRole
from tests.manager_client import ADA, EVERYBODY, OLIVIA, VITO, Office, dump, refuses, text_of


async def test_the_list_shows_everybody_and_who_is_invited(office: Office):
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in(
        "/manager/members/invite", email="ivan@luckyshrub.example", role="viewer"
    )

    text = text_of(page)
    assert "The invitation is on its way." in text
    for person in EVERYBODY:
        assert person.email in text
        assert person.name in text
    assert "ivan@luckyshrub.example" in text
    assert "3 members" in text


async def test_the_invitation_names_who_invited_whom_as_what(office: Office):
    browser = await office.signed_in(OLIVIA)
    await browser.fill_in("/manager/members/invite", email="ivan@luckyshrub.example", role="admin")

    page = text_of(await office.browser().get(await office.link("ivan@luckyshrub.example")))

    assert OLIVIA.email in page
    assert "ivan@luckyshrub.example" in page
    assert "admin" in page
    assert (await office.portfolio()).name in page


@pytest.mark.parametrize(
    ("email", "role", "field"),
    [("ivan", "viewer", "email"), ("", "viewer", "email"), ("ivan@luckyshrub.example", "king", "role"),
     ("a@b.example,c@d.example", "viewer", "email"), ("a@b.example\r\nBcc: c@d.example", "viewer", "email"),
     ("x" * 260 + "@luckyshrub.example", "viewer", "email"), ("<b>@luckyshrub.example", "viewer", "email")],
)  # fmt: skip
async def test_row_50_what_is_no_address_or_no_role_invites_nobody(
    office: Office, email, role, field
):
    browser = await office.signed_in(OLIVIA)

    page = await browser.fill_in("/manager/members/invite", email=email, role=role)

    assert refuses(page, ParameterInvalid)
    assert f'href="#{field}"' in page.raw.decode()
    assert await office.letters() == []


async def test_a_role_is_changed_by_an_owner_and_written_down(office: Office):
    browser = await office.signed_in(OLIVIA)
    id_ = office.people[VITO.email].id

    page = await browser.fill_in(f"/manager/members/{id_}/role", role="admin")

    assert "The role is changed." in text_of(page)
    assert (await office.people_now())[VITO.email].role is MemberRole.ADMIN
    assert (await office.trail())[-1] == "member.role_changed"


async def test_the_last_owner_stays_owner_and_member(office: Office):
    browser = await office.signed_in(OLIVIA)
    id_ = office.people[OLIVIA.email].id

    changed = await browser.fill_in(f"/manager/members/{id_}/role", role="viewer")
    removed = await browser.fill_in(f"/manager/members/{id_}/remove")

    assert refuses(changed, LastOwner)
    assert refuses(removed, LastOwner)
    assert (await office.people_now())[OLIVIA.email].role is MemberRole.OWNER


async def test_two_owners_who_demote_each_other_at_once_leave_one(office: Office):
    olivia = await office.signed_in(OLIVIA)
    ids = {person: office.people[person.email].id for person in (OLIVIA, ADA)}
    await olivia.fill_in(f"/manager/members/{ids[ADA]}/role", role="owner")
    ada = await office.signed_in(ADA)
    for browser in (olivia, ada):
        await browser.get("/manager/members")

    await asyncio.gather(
        olivia.post(f"/manager/members/{ids[ADA]}/role", {"role": "viewer"}),
        ada.post(f"/manager/members/{ids[OLIVIA]}/role", {"role": "viewer"}),
    )

    roles = [member.role for member in (await office.people_now()).values()]
    assert roles.count(MemberRole.OWNER) == 1


async def test_who_leaves_is_signed_out_and_told_so(office: Office):
    olivia = await office.signed_in(OLIVIA)
    ids = {person: office.people[person.email].id for person in (OLIVIA, ADA)}
    await olivia.fill_in(f"/manager/members/{ids[ADA]}/role", role="owner")

    page = await olivia.fill_in(f"/manager/members/{ids[OLIVIA]}/remove")

    assert "You are no longer a member of the portfolio." in text_of(page)
    assert (await olivia.get("/manager/account")).status == 303
    assert OLIVIA.email not in await office.people_now()


async def test_an_owner_who_steps_down_lands_on_a_page_they_may_see(office: Office):
    olivia = await office.signed_in(OLIVIA)
    ids = {person: office.people[person.email].id for person in (OLIVIA, ADA)}
    await olivia.fill_in(f"/manager/members/{ids[ADA]}/role", role="owner")

    page = await olivia.fill_in(f"/manager/members/{ids[OLIVIA]}/role", role="viewer")

    assert page.status == 200
    assert "The role is changed." in text_of(page)


async def test_removing_twice_says_that_there_is_no_such_member(office: Office):
    browser = await office.signed_in(OLIVIA)
    id_ = office.people[VITO.email].id
    await browser.get(f"/manager/members/{id_}/remove")

    first = await browser.post(f"/manager/members/{id_}/remove")
    before = dump(office.town)
    second = await browser.post(f"/manager/members/{id_}/remove")

    assert first.status == 303
    assert refuses(second, MemberUnknown)
    assert dump(office.town) == before


@pytest.mark.parametrize("after", ["0", "1", "-1", "x", "", "99999", "999999999", "٣", "1.5"])
async def test_the_list_goes_on_from_any_place_without_a_fault(office: Office, after):
    browser = await office.signed_in(OLIVIA)

    page = await browser.ask(
        "GET", "/manager/members?after=" + "".join(f"%{byte:02x}" for byte in after.encode())
    )

    assert page.status == 200
