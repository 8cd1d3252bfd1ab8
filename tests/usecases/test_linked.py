"""Numbers of linked accounts: finding, reading, seeing."""

import pytest

from nightlatch.domain.errors import CloudUnreached, LinkedNumberUnknown, RoleTooLow
from nightlatch.domain.members import MemberRole
from nightlatch.usecases import inbound, linked, links
from tests.fakes.cloud import UNSENT, WABA
from tests.people import OWNER
from tests.usecases.conftest import MOBILE
from tests.usecases.test_inbound import security, signed


async def test_a_number_is_found_by_its_e164(at_cloud):
    at = at_cloud
    phone = await at.known()

    assert (await linked.find_linked(at.world, MOBILE)).id == phone.id
    with pytest.raises(LinkedNumberUnknown):
        await linked.find_linked(at.world, "+16505550199")


async def test_members_see_the_numbers_of_their_portfolio_by_their_role(at_cloud):
    at = at_cloud
    phone = await at.known()
    viewer = await at.office.add("vera", MemberRole.VIEWER)

    assert (await linked.linked_seen_by(at.world, viewer, phone.id)).id == phone.id
    with pytest.raises(RoleTooLow):
        await linked.linked_seen_by(at.world, viewer, phone.id, MemberRole.OWNER)
    with pytest.raises(LinkedNumberUnknown):
        await linked.linked_seen_by(at.world, at.office.neighbour, phone.id)
    with pytest.raises(LinkedNumberUnknown):
        await linked.linked_seen_by(at.world, viewer, "no-such-number")


async def test_numbers_are_listed_by_e164_from_any_place(at_cloud):
    at = at_cloud
    for n in (3, 1, 2):
        at.cloud.add(f"+1650555010{n}")
    await at.read()
    one = await at.link()

    shown = [n.e164[-1] for n in await linked.numbers_of(at.world, one)]
    rest = [n.e164[-1] for n in await linked.numbers_of(at.world, one, "+16505550101", 1)]

    assert (shown, rest) == (["1", "2", "3"], ["2"])


async def test_a_number_is_read_anew_when_somebody_asks(at_cloud):
    at = at_cloud
    phone = await at.known()
    phone.name = "Lucky Tree"
    at.cloud.script("number", UNSENT)

    with pytest.raises(CloudUnreached):
        await linked.refresh(at.world, await at.number(phone))
    assert (await at.number(phone)).name == "Lucky Shrub"
    assert (await linked.refresh(at.world, await at.number(phone))).name == "Lucky Tree"


async def test_alerts_stay_until_somebody_has_seen_them(at_cloud):
    at = at_cloud
    phone = await at.known()
    body = security("PIN_RESET_REQUEST", at=at.world.clock.now(), requester="123")
    await inbound.hear(at.world, WABA, body, signed(body))

    (shown,) = await linked.alarmed(at.world, at.portfolio)
    elsewhere = await linked.alarmed(at.world, at.office.neighbour.portfolio)
    after = await linked.see_alerts(at.world, shown, OWNER.email)

    assert [(a.event, a.by) for a in shown.alerts] == [("PIN_RESET_REQUEST", "123")]
    assert (list(elsewhere), after.alerts) == ([], ())
    assert await linked.alarmed(at.world, at.portfolio) == []
    assert (await at.kinds(phone))[-1] == "cloud.alerts_seen"
    assert await linked.see_alerts(at.world, after) == after


async def test_a_released_number_is_served_by_nobody_and_meta_still_has_it(at_cloud):
    at = at_cloud
    phone = await at.served()
    writes = at.writes()

    after = await linked.release(at.world, await at.number(phone), OWNER.email)
    again = await linked.release(at.world, after)

    assert (after.holder, again) == (None, after)
    assert (phone.registered, at.writes()) == (True, writes)


async def test_a_timeline_is_read_page_by_page_the_newest_first(at_cloud):
    at = at_cloud
    phone = await at.served()
    number = await at.number(phone)

    newest = await linked.timeline(at.world, number, None, 2)
    older = await linked.timeline(at.world, number, newest[-1].seq, 100)

    told = [link.event.kind.value for link in (*newest, *older)]
    assert told == list(reversed(await at.kinds(phone)))
    assert (await links.link_of(at.world, number)).waba == WABA
