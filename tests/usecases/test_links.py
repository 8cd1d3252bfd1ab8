"""Linking accounts: what Meta must say first, what is kept, and how their numbers are read."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from nightlatch.domain.audit import OPERATOR
from nightlatch.domain.errors import (
    ClientUnknown,
    CloudAccessLost,
    CloudCallsSpent,
    CloudRefused,
    CloudUnreached,
    LinkedNumberUnknown,
    LinkExists,
    LinkUnknown,
    ParameterInvalid,
    PortfolioUnknown,
    RoleTooLow,
    SignInRefused,
    TokenUnfit,
    TooManyLinks,
    Unavailable,
)
from nightlatch.domain.limits import LINKS_PER_PORTFOLIO
from nightlatch.domain.linked import Reason
from nightlatch.domain.links import MANAGES, MESSAGES, LinkDecision, TokenFacts
from nightlatch.domain.mail import Letter
from nightlatch.domain.members import MemberRole
from nightlatch.usecases import links
from tests.fakes.cloud import (
    APP,
    LOST_UNDONE,
    TOKEN,
    UNSENT,
    WABA,
    Answer,
    Meanwhile,
    Refuse,
)
from tests.fakes.stores import StoreWith
from tests.people import OWNER, THIEF
from tests.usecases.conftest import APP_SECRET, MOBILE, AtCloud

OTHER_WABA = "202290129340398"
GOOD = TokenFacts(True, frozenset({MANAGES, MESSAGES}), APP, "SYSTEM_USER")


async def link(at: AtCloud, waba: str = OTHER_WABA, token: str = TOKEN, **more):
    at.cloud.accounts.setdefault(waba, "Flower shop")
    return await links.link(at.world, at.portfolio, waba, token, **more)


def heard() -> tuple[list[int], Callable[[int], None]]:
    seen: list[int] = []
    return seen, seen.append


async def test_a_linked_account_is_kept_with_its_name_and_what_meta_says_of_the_token(at_cloud):
    at = at_cloud

    one = await link(at, version="v24.0", set_again=True, clients=(THIEF.client, THIEF.client))

    assert await links.find_link(at.world, OTHER_WABA, at.portfolio) == one
    assert (one.name, one.version, one.set_again) == ("Flower shop", "v24.0", True)
    assert (one.clients, one.facts) == ((THIEF.client,), GOOD)
    assert one in await links.links(at.world, at.portfolio)
    assert (await at.office.kinds())[-1] == "cloud.linked"
    assert links.callback_path(OTHER_WABA) == f"/cloud/{OTHER_WABA}/webhook"


async def test_the_token_the_secret_and_the_verify_token_are_sealed(at_cloud):
    at = at_cloud

    one = await link(at, secret=APP_SECRET, verify_token="please-verify-me")

    for clear, sealed in ((TOKEN, one.token), (APP_SECRET, one.secret)):
        assert clear.encode() not in (sealed or b"")
    assert links.verify_token_of(at.world, one) == "please-verify-me"
    access = links.speaking(at.world, one)
    assert (access.token, access.secret, access.patient) == (TOKEN, APP_SECRET, False)
    assert TOKEN not in repr(access)
    assert APP_SECRET not in repr(access)


async def test_a_verify_token_is_drawn_where_none_is_given(at_cloud):
    at = at_cloud

    first = links.verify_token_of(at.world, await at.link())
    second = links.verify_token_of(at.world, await link(at))

    assert len(first) >= 24
    assert first != second


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("waba", "0"),
        ("waba", "1e5"),
        ("token", ""),
        ("token", "with space"),
        ("secret", "ümlaut"),
        ("verify_token", "two\nlines"),
        ("base", "http://graph.example"),
        ("version", "23"),
    ],
)
async def test_what_cannot_be_is_refused_before_meta_is_asked(at_cloud, name, value):
    at = at_cloud
    calls = len(at.cloud.calls)
    given = {"waba": OTHER_WABA, "token": TOKEN} | {name: value}

    with pytest.raises(ParameterInvalid) as refused:
        await links.link(at.world, at.portfolio, **given)

    assert refused.value.name == name
    assert value not in str(refused.value) or not value or name in ("waba", "base", "version")
    assert len(at.cloud.calls) == calls


async def test_portfolio_clients_and_account_must_be_there_and_the_account_not_linked(at_cloud):
    at = at_cloud

    with pytest.raises(PortfolioUnknown):
        await links.link(at.world, "nobody", OTHER_WABA, TOKEN)
    with pytest.raises(ClientUnknown):
        await link(at, clients=("nobody",))
    with pytest.raises(LinkExists):
        await link(at, WABA)
    with pytest.raises(LinkUnknown):
        await links.find_link(at.world, OTHER_WABA)
    with pytest.raises(LinkUnknown):
        await links.find_link(at.world, WABA, at.office.neighbour.portfolio)


async def test_a_portfolio_has_no_more_accounts_than_it_may_have(at_cloud):
    at = at_cloud
    for n in range(LINKS_PER_PORTFOLIO - 1):
        await link(at, f"3022901293{n:05d}")

    with pytest.raises(TooManyLinks):
        await link(at)


@pytest.mark.parametrize(
    "facts",
    [
        replace(GOOD, valid=False),
        replace(GOOD, scopes=frozenset({MESSAGES})),
        replace(GOOD, accounts=frozenset({WABA})),
    ],
)
async def test_a_token_that_is_not_good_for_the_account_is_not_kept(at_cloud, facts):
    at = at_cloud
    at.cloud.script("token", Answer(facts))

    with pytest.raises(TokenUnfit):
        await link(at)

    assert await at.world.store.link(OTHER_WABA) is None


@pytest.mark.parametrize("method", ["token", "account_name"])
@pytest.mark.parametrize(
    ("fault", "refusal"),
    [
        (UNSENT, CloudUnreached),
        (LOST_UNDONE, CloudUnreached),
        (Refuse(Reason.TOKEN), CloudAccessLost),
        (Refuse(Reason.CALLS), CloudCallsSpent),
        (Refuse(Reason.OTHER), CloudRefused),
    ],
)
async def test_an_account_that_meta_cannot_be_asked_about_is_not_linked(
    at_cloud, method, fault, refusal
):
    at = at_cloud
    at.cloud.script(method, fault)

    with pytest.raises(refusal):
        await link(at)

    assert await at.world.store.link(OTHER_WABA) is None


@pytest.mark.parametrize(
    ("shown", "kept"),
    [
        ("  Flower shop ", "Flower shop"),
        ("", OTHER_WABA),
        ("\u200b\u0007", OTHER_WABA),
        ("Flo\u200bwer\nshop", "Flowershop"),
        ("x" * 300, "x" * 128),
    ],
)
async def test_whatever_meta_calls_the_account_it_gets_a_name(at_cloud, shown, kept):
    at = at_cloud
    at.cloud.accounts[OTHER_WABA] = shown

    assert (await link(at)).name == kept


# Looking after a link


async def test_asking_about_the_token_keeps_what_meta_says(at_cloud):
    at = at_cloud
    ends = at.world.clock.now() + timedelta(days=3)
    at.cloud.tokens[TOKEN] = replace(GOOD, expires_at=ends)

    one = await links.check_token(at.world, await at.link())

    assert one.facts is not None
    assert (one.facts.expires_at, one.subscribed) == (ends, False)
    one = await links.subscribe(at.world, one)
    assert one.subscribed
    assert (await links.check_token(at.world, one)).subscribed
    assert at.cloud.subscribed == {WABA: {APP}}


async def test_a_revoked_token_is_told_once_and_so_is_that_it_works_again(at_cloud):
    at = at_cloud
    at.cloud.revoke()

    for _ in range(3):
        with pytest.raises(CloudAccessLost):
            await links.check_token(at.world, await at.link())
    lost = await at.link()
    at.cloud.tokens[TOKEN] = GOOD
    back = await links.check_token(at.world, lost)

    assert lost.lost_at is not None
    assert back.lost_at is None
    assert await at.letters(Letter.CLOUD_ACCESS_LOST) == [OWNER.email]
    kinds = await at.office.kinds()
    assert (kinds.count("cloud.access_lost"), kinds.count("cloud.access_back")) == (1, 1)


async def test_a_token_that_meta_calls_invalid_without_refusing_is_lost_too(at_cloud):
    at = at_cloud
    at.cloud.script("token", *[Answer(replace(GOOD, valid=False))] * 3)

    for _ in range(3):
        with pytest.raises(CloudAccessLost):
            await links.check_token(at.world, await at.link())

    assert (await at.link()).lost_at is not None
    kinds = await at.office.kinds()
    assert (kinds.count("cloud.access_lost"), kinds.count("cloud.access_back")) == (1, 0)


async def test_a_token_lost_after_it_came_back_is_lost_whoever_knew_which(at_cloud):
    at = at_cloud
    at.cloud.script("token", Refuse(Reason.TOKEN))
    with pytest.raises(CloudAccessLost):
        await links.check_token(at.world, await at.link())
    stale = await at.link()
    at.cloud.script("is_subscribed", Refuse(Reason.TOKEN))

    with pytest.raises(CloudAccessLost):
        await links.check_token(at.world, stale)

    assert (await at.link()).lost_at is not None


async def test_a_missing_permission_is_no_lost_token(at_cloud):
    at = at_cloud
    at.cloud.script("subscribe", Refuse(Reason.PERMISSION))

    with pytest.raises(CloudAccessLost):
        await links.subscribe(at.world, await at.link())

    assert (await at.link()).lost_at is None


async def test_another_token_is_kept_once_meta_says_that_it_is_good(at_cloud):
    at = at_cloud
    at.cloud.revoke()
    with pytest.raises(CloudAccessLost):
        await links.check_token(at.world, await at.link())
    before = await at.link()

    with pytest.raises(CloudAccessLost):
        await links.renew_token(at.world, before, "EAA-unknown")
    with pytest.raises(ParameterInvalid):
        await links.renew_token(at.world, before, "two words")
    assert await at.link() == before
    at.cloud.tokens["EAA-another"] = GOOD
    after = await links.renew_token(at.world, before, "EAA-another")

    assert after.lost_at is None
    assert links.speaking(at.world, after).token == "EAA-another"


async def test_settings_change_one_by_one_and_nothing_is_no_change(at_cloud):
    at = at_cloud
    before = await at.link()

    assert await links.change_link(at.world, before) == before
    after = await links.change_link(
        at.world, before, secret="another", version="v25.0", base="https://graph.example/",
        clients=(OWNER.client,), set_again=True,
    )  # fmt: skip

    assert links.speaking(at.world, after).secret == "another"
    assert (after.version, after.base) == ("v25.0", "https://graph.example")
    assert (after.clients, after.set_again) == ((OWNER.client,), True)
    told = [e async for e in at.world.store.audit(f"portfolio:{at.portfolio}")][-1].event
    assert dict(told.details)["what"] == "secret, version, base, clients, set_again"
    with pytest.raises(ClientUnknown):
        await links.change_link(at.world, after, clients=("nobody",))


async def test_an_unlinked_account_is_forgotten_with_its_numbers_and_pins(at_cloud):
    at = at_cloud
    phone = await at.served()

    await links.unlink(at.world, await at.link())

    assert await at.world.store.linked(phone.id) is None
    with pytest.raises(LinkUnknown):
        await at.link()
    assert (phone.registered, phone.pin) == (True, OWNER.pin)


# Members


async def test_owners_link_change_and_unlink_with_their_password(at_cloud):
    at = at_cloud
    owner = await at.office.owner()
    at.cloud.accounts[OTHER_WABA] = "Flower shop"
    at.cloud.tokens["EAA-another"] = GOOD

    one = await links.link_by_member(
        at.world, owner, OWNER.password, OTHER_WABA, TOKEN, secret=APP_SECRET
    )
    await links.renew_token_by_member(at.world, owner, OWNER.password, one, "EAA-another")
    changed = await links.change_by_member(at.world, owner, one, set_again=True)
    await links.unlink_by_member(at.world, owner, OWNER.password, one)

    assert changed.set_again
    trail = [e.event async for e in at.world.store.audit(f"portfolio:{at.portfolio}")]
    assert [event.by for event in trail[-4:]] == [OWNER.email] * 4
    assert OPERATOR not in [event.by for event in trail[-4:]]


async def test_a_wrong_password_or_a_lower_role_changes_nothing(at_cloud):
    at = at_cloud
    owner, before = await at.office.owner(), await at.link()
    low = await at.office.add("otto", MemberRole.ADMIN)
    at.cloud.accounts[OTHER_WABA] = "Flower shop"

    for member, password, refusal in (
        (owner, "not-the-password", SignInRefused),
        (low, OWNER.password, RoleTooLow),
    ):
        with pytest.raises(refusal):
            await links.link_by_member(at.world, member, password, OTHER_WABA, TOKEN)
        with pytest.raises(refusal):
            await links.renew_token_by_member(at.world, member, password, before, TOKEN)
        with pytest.raises(refusal):
            await links.unlink_by_member(at.world, member, password, before)
    with pytest.raises(RoleTooLow):
        await links.change_by_member(at.world, low, before, set_again=True)
    assert [one.waba for one in await links.links(at.world)] == [WABA]
    assert await at.link() == before


# Numbers


async def test_numbers_are_added_once_and_brought_up_to_date(at_cloud):
    at = at_cloud
    phone = at.cloud.add_registered(MOBILE, OWNER.pin, shown="+1 650-555-0100")
    seen, progress = heard()

    first = await links.read_numbers(at.world, await at.link(), progress)
    phone.name = "Lucky Tree"
    at.pass_time(1)
    second = await links.read_numbers(at.world, await at.link(), progress)

    assert (first, second) == (links.Found(1, 1, ()), links.Found(0, 1, ()))
    assert seen == [1, 1]
    number = await at.number(phone)
    assert (number.e164, number.name) == (MOBILE, "Lucky Tree")
    assert (await at.link()).read_at is not None
    assert await at.kinds(phone) == ["cloud.number_found"]


async def test_a_number_that_cannot_be_read_is_left_out_and_told(at_cloud):
    at = at_cloud
    at.cloud.add(MOBILE, shown="(hidden)")
    at.cloud.add("+16505550101")

    found = await at.read()

    assert found == links.Found(1, 2, ("(hidden)",))


async def test_a_reading_that_was_cut_short_goes_on_where_it_stopped(at_cloud):
    at = at_cloud
    for n in range(250):
        at.cloud.add(f"+1650555{n:04d}")

    async def fails() -> None:
        at.cloud.script("numbers", UNSENT)

    at.cloud.script("numbers", Meanwhile(fails))
    with pytest.raises(CloudUnreached):
        await at.read()
    cut = await at.link()
    found = await at.read()

    assert (cut.cursor, cut.read_at) == ("100", None)
    assert (found.added, found.seen) == (150, 150)
    assert [c.what for c in at.cloud.calls if c.method == "numbers"] == ["", "100", "100", "200"]
    assert await at.world.store.linked_count(WABA) == 250
    assert ((await at.link()).cursor, (await at.link()).read_at is None) == ("", False)


async def test_where_a_list_went_on_is_forgotten_when_meta_has_forgotten_it(at_cloud):
    at = at_cloud
    for n in range(101):
        at.cloud.add(f"+1650555{n:04d}")
    await at.world.update_link(WABA, lambda one: LinkDecision(replace(one, cursor="9")))
    at.cloud.script("numbers", Refuse(Reason.OTHER))

    found = await at.read()

    assert found.added == 101


async def test_a_list_that_meta_refuses_from_the_beginning_is_refused(at_cloud):
    at = at_cloud
    at.cloud.script("numbers", Refuse(Reason.OTHER))
    with pytest.raises(CloudRefused):
        await at.read()
    await at.world.update_link(WABA, lambda one: LinkDecision(replace(one, cursor="9")))
    at.cloud.script("numbers", Refuse(Reason.OTHER), Refuse(Reason.OTHER))

    with pytest.raises(CloudRefused):
        await at.read()

    assert at.cloud.faults["numbers"] == []


async def test_a_reading_that_can_wait_says_so(at_cloud):
    at = at_cloud

    await links.read_numbers(at.world, await at.link(), lambda _: None, patient=True)

    assert at.cloud.calls[-1].patient


async def test_one_number_is_read_and_nothing_is_known_when_it_cannot_be(at_cloud):
    at = at_cloud
    phone = await at.known()
    number, one = await at.number(phone), await at.link()
    phone.name = "Lucky Tree"
    at.pass_time(1)

    assert (await links.read_number(at.world, one, number)).name == "Lucky Tree"
    at.cloud.script("number", UNSENT, Refuse(Reason.GONE))
    with pytest.raises(CloudUnreached):
        await links.read_number(at.world, one, number)
    with pytest.raises(LinkedNumberUnknown):
        await links.read_number(at.world, one, number)
    await links.unlink(at.world, one)
    with pytest.raises(LinkedNumberUnknown):
        await links.read_number(at.world, one, number)


async def test_an_older_reading_does_not_overwrite_a_newer_one(at_cloud):
    at = at_cloud
    phone = await at.known()
    number, one = await at.number(phone), await at.link()

    async def renamed() -> None:
        at.pass_time(5)
        phone.name = "Lucky Tree"
        await links.read_number(at.world, one, number)
        phone.name = "Lucky Shrub"

    at.cloud.script("number", Meanwhile(renamed))
    after = await links.read_number(at.world, one, number)

    assert after.name == "Lucky Tree"


async def test_without_the_key_meta_is_not_asked(at_cloud):
    at = at_cloud
    calls = len(at.cloud.calls)

    def lost(*_: object) -> bytes:
        raise Unavailable

    world = at.other_world(keys=StoreWith(at.world.keys, unseal=lost))

    with pytest.raises(Unavailable):
        await links.check_token(world, await at.link())
    assert len(at.cloud.calls) == calls
