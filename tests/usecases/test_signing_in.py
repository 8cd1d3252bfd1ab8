"""Signing in: counted before compared, the same for everybody, never shut for good."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from nightlatch.domain.errors import (
    Overloaded,
    SignedOut,
    SignInRefused,
    SignInWait,
    Unavailable,
)
from nightlatch.domain.mail import Letter
from nightlatch.domain.members import MemberRole, SignIns
from nightlatch.usecases import members, signing_in
from nightlatch.usecases.signing_in import enter_app_code, session_reference, whose
from tests.fakes.hashers import FullHasher, WatchedHasher
from tests.fakes.stores import StoreWith
from tests.people import OWNER, THIEF
from tests.usecases.conftest import AGENT, PLACE, Office, outcome, outcomes

WRONG, NEW = "Thieves-guess-1", "Owners-Next-Pass-2"
NOBODY = "nobody@luckyshrub.example"


async def hammer(office: Office, email: str = OWNER.email) -> None:
    """The thief tries until nothing is compared any more."""
    for _ in range(20):
        if await outcome(office.sign_in(email, WRONG)) == "SignInWait":
            return
    raise AssertionError("the thief is never made to wait")


# The password


async def test_the_right_password_begins_a_session_that_knows_where_it_came_from(office: Office):
    begun = await office.sign_in()

    session, member = await whose(office.world, begun.token)
    assert member == await office.owner()
    assert session == begun.session
    assert (session.whole, session.agent, session.place) == (True, AGENT, PLACE)
    assert begun.token.encode() not in session.hash
    assert (await office.kinds())[-1] == "member.signed_in"


async def test_what_a_browser_calls_itself_is_kept_short_and_printable(office: Office):
    begun = await signing_in.sign_in(
        office.world, OWNER.email, OWNER.password, "Evil\r\n\x00\u202e" + "x" * 500
    )

    assert begun.session.agent == "Evil" + "x" * 116


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (OWNER.email, WRONG),
        (OWNER.email, ""),
        (NOBODY, OWNER.password),
        (OWNER.email, THIEF.password),
    ],
)
async def test_a_wrong_password_and_an_unknown_address_are_refused_the_same(
    office: Office, email, password
):
    with pytest.raises(SignInRefused) as refused:
        await office.sign_in(email, password)

    assert (refused.value.args, refused.value.retry_after) == ((), None)


@pytest.mark.parametrize("email", [OWNER.email, NOBODY])
async def test_known_or_not_an_address_costs_one_hash_and_waits_after_five_wrong_ones(
    office: Office, email
):
    computed = office.scene.house.pool.computed

    ends = [await outcome(office.sign_in(email, WRONG)) for _ in range(7)]

    assert ends == ["SignInRefused"] * 5 + ["SignInWait"] * 2
    assert office.scene.house.pool.computed == computed + 5


async def test_a_wrong_sign_in_of_a_member_is_told_and_one_of_nobody_is_not(office: Office):
    before = await office.kinds()

    for email in (OWNER.email, NOBODY):
        with pytest.raises(SignInRefused):
            await office.sign_in(email, WRONG)

    assert (await office.kinds())[len(before) :] == ["member.sign_in_wrong"]
    trail = [link.event async for link in office.world.store.audit(f"portfolio:{office.portfolio}")]
    assert (trail[-1].by, trail[-1].place) == (OWNER.email, PLACE)
    assert WRONG not in repr(trail)


async def test_a_sign_in_is_durably_counted_before_the_password_is_compared(office: Office):
    order: list[str] = []
    pay = office.world.store.update_sign_ins

    async def paying(key: bytes, change: Any) -> SignIns:
        kept = await pay(key, change)
        order.append(f"counted {kept.wrong}")
        return kept

    async def comparing() -> None:
        order.append("compared")

    hasher = WatchedHasher(office.world.hasher, before_compare=comparing)
    for _ in range(2):
        with pytest.raises(SignInRefused):
            await office.sign_in(
                password=WRONG,
                hasher=hasher,
                store=StoreWith(office.world.store, update_sign_ins=paying),
            )

    assert order == ["counted 1", "compared", "counted 2", "compared"]


async def test_when_the_store_cannot_count_nothing_is_compared(office: Office):
    async def fail(key: bytes, change: Any) -> SignIns:
        raise Unavailable

    hasher = WatchedHasher(office.world.hasher)
    with pytest.raises(Unavailable):
        await office.sign_in(
            hasher=hasher, store=StoreWith(office.world.store, update_sign_ins=fail)
        )

    assert hasher.compared == []


async def test_when_every_place_is_taken_nothing_is_counted(office: Office):
    for _ in range(20):
        with pytest.raises(Overloaded):
            await office.sign_in(password=WRONG, hasher=FullHasher())

    await office.sign_in()


async def test_of_forty_parallel_wrong_sign_ins_five_are_compared(office: Office):
    hasher = WatchedHasher(office.world.hasher)

    ends = await outcomes(*(office.sign_in(password=WRONG, hasher=hasher) for _ in range(40)))

    assert ends["SignInRefused"] == len(hasher.compared) == 5
    assert set(ends) <= {"SignInRefused", "SignInWait", "Overloaded"}


async def test_while_a_wait_runs_the_right_password_is_refused_without_a_hash(office: Office):
    await hammer(office)
    computed = office.scene.house.pool.computed

    with pytest.raises(SignInWait) as refused:
        await office.sign_in()

    assert refused.value.retry_after == 5
    assert office.scene.house.pool.computed == computed


async def test_the_owner_is_let_in_when_the_wait_is_over_and_starts_anew(office: Office):
    await hammer(office)

    office.scene.pass_time(5)
    await office.sign_in()

    ends = [await outcome(office.sign_in(password=WRONG)) for _ in range(6)]
    assert ends == ["SignInRefused"] * 5 + ["SignInWait"]


async def test_the_waits_of_one_address_keep_nobody_else_out(office: Office):
    await hammer(office)

    assert (await office.sign_in(THIEF.email, THIEF.password)).session.whole


async def test_however_long_a_thief_hammers_the_wait_is_a_minute_at_most(office: Office):
    for _ in range(40):
        await outcome(office.sign_in(password=WRONG))
        office.scene.pass_time(60)
    await outcome(office.sign_in(password=WRONG))

    with pytest.raises(SignInWait) as refused:
        await office.sign_in()

    assert refused.value.retry_after is not None
    assert refused.value.retry_after <= 60


async def test_a_reset_lets_the_owner_in_while_a_thief_hammers(office: Office):
    await hammer(office)

    await members.ask_reset(office.world, OWNER.email)
    token = await office.link(OWNER.email, Letter.PASSWORD_RESET)
    begun = await members.follow_reset(office.world, token, NEW, AGENT)

    assert (await whose(office.world, begun.token))[0].whole
    assert await outcome(office.sign_in(password=NEW)) == "SignInWait"


async def test_a_password_that_changes_while_it_is_compared_opens_nothing(office: Office):
    async def reset() -> None:
        token = await members.reset_token(office.world, OWNER.email)
        await members.follow_reset(office.world, token, NEW, AGENT)

    hasher = WatchedHasher(office.world.hasher, before_compare=reset)
    before = await signing_in.sessions(office.world, await office.owner())
    with pytest.raises(SignInRefused):
        await office.sign_in(hasher=hasher)

    after = await signing_in.sessions(office.world, await office.owner())
    assert len(before) == len(after) == 1
    assert before[0].hash != after[0].hash


async def test_an_app_that_is_turned_on_while_the_password_is_compared_is_asked_for(
    office: Office,
):
    async def turn_on() -> None:
        await office.turn_app_on()

    hasher = WatchedHasher(office.world.hasher, before_compare=turn_on)
    with pytest.raises(SignInRefused):
        await office.sign_in(hasher=hasher)


async def test_a_member_who_is_removed_while_signing_in_is_refused(office: Office):
    other = await office.add("anna", MemberRole.ADMIN)

    async def remove() -> None:
        await members.remove(office.world, await office.owner(), other.id)

    hasher = WatchedHasher(office.world.hasher, before_compare=remove)
    with pytest.raises(SignInRefused):
        await office.sign_in(other.email, hasher=hasher)


# The second step


async def test_with_an_app_the_password_opens_half_a_session_that_is_in_no_list(office: Office):
    await office.turn_app_on()

    half = await office.sign_in()

    assert not half.session.whole
    assert not (await whose(office.world, half.token))[0].whole
    listed = await signing_in.sessions(office.world, await office.owner())
    assert [session.hash for session in listed] == [office.begun.session.hash]
    assert (await office.kinds())[-1] == "member.authenticator_on"


async def test_the_apps_code_makes_it_whole_under_another_token(office: Office):
    await office.turn_app_on()
    half = await office.sign_in()

    code = await office.next_code()
    begun = await enter_app_code(office.world, half.session, code, AGENT)

    assert begun.token != half.token
    assert (await whose(office.world, begun.token))[0].whole
    with pytest.raises(SignedOut):
        await whose(office.world, half.token)
    trail = [link.event async for link in office.world.store.audit(f"portfolio:{office.portfolio}")]
    assert dict(trail[-1].details) == {"second_step": "app"}


async def test_a_code_may_be_typed_as_the_app_shows_it(office: Office):
    await office.turn_app_on()
    half = await office.sign_in()
    code = await office.next_code()

    begun = await enter_app_code(office.world, half.session, f" {code[:3]} {code[3:]} ", AGENT)

    assert begun.session.whole


async def test_a_code_that_was_used_is_refused_to_whoever_saw_it(office: Office):
    await office.turn_app_on()
    mine, thiefs = await office.sign_in(), await office.sign_in()
    code = await office.next_code()
    await enter_app_code(office.world, mine.session, code, AGENT)

    with pytest.raises(SignInRefused):
        await enter_app_code(office.world, thiefs.session, code, AGENT)


async def test_of_twenty_parallel_entries_of_one_code_one_opens(office: Office):
    await office.turn_app_on()
    halves = [await office.sign_in() for _ in range(4)]
    code = await office.next_code()

    ends = await outcomes(
        *(enter_app_code(office.world, half.session, code, AGENT) for half in halves * 5)
    )

    assert ends["done"] == 1
    assert set(ends) <= {"done", "SignInRefused", "SignInWait", "SignedOut"}


@pytest.mark.parametrize("code", ["000000", "", "12345", "abcdef", "١٢٣٤٥٦", "\x00" * 6])
async def test_a_wrong_code_is_refused_counted_and_told(office: Office, code):
    await office.turn_app_on()
    half = await office.sign_in()

    ends = [
        await outcome(enter_app_code(office.world, half.session, code, AGENT)) for _ in range(6)
    ]

    assert ends == ["SignInRefused"] * 5 + ["SignInWait"]
    assert (await office.kinds())[-5:] == ["member.sign_in_wrong"] * 5


async def test_a_recovery_code_opens_once_however_it_is_typed(office: Office):
    first, *_ = await office.turn_app_on()
    one, two = await office.sign_in(), await office.sign_in()

    typed = f"  {first.lower().replace('-', ' ')} "
    begun = await enter_app_code(office.world, one.session, typed, AGENT)

    assert begun.session.whole
    with pytest.raises(SignInRefused):
        await enter_app_code(office.world, two.session, first, AGENT)
    trail = [link.event async for link in office.world.store.audit(f"portfolio:{office.portfolio}")]
    used = [event for event in trail if event.kind.value == "member.recovery_code_used"]
    assert [dict(event.details) for event in used] == [{"left": 9}]
    app = (await office.owner()).app
    assert app is not None
    assert len(app.recovery) == 9


async def test_of_parallel_entries_of_one_recovery_code_one_opens(office: Office):
    first, *_ = await office.turn_app_on()
    halves = [await office.sign_in() for _ in range(4)]

    ends = await outcomes(
        *(enter_app_code(office.world, half.session, first, AGENT) for half in halves)
    )

    assert ends == {"done": 1, "SignInRefused": 3}


async def test_the_recovery_codes_of_another_member_open_nothing(office: Office):
    first, *_ = await office.turn_app_on()
    other = await office.add("anna", MemberRole.ADMIN)
    begun = await office.sign_in(other.email)
    new = members.begin_app(office.world, other)
    code = office.codes.code_at(office.world.clock.now())
    await members.turn_app_on(office.world, other, begun.session, new.sealed, code, OWNER.password)
    half = await office.sign_in(other.email)

    with pytest.raises(SignInRefused):
        await enter_app_code(office.world, half.session, first, AGENT)


async def test_half_a_session_ends_after_five_minutes(office: Office):
    await office.turn_app_on()
    half = await office.sign_in()

    office.scene.pass_time(300)

    with pytest.raises(SignedOut):
        await enter_app_code(office.world, half.session, await office.next_code(), AGENT)


async def test_a_whole_session_takes_no_second_step(office: Office):
    begun = await office.sign_in()

    with pytest.raises(SignedOut):
        await enter_app_code(office.world, begun.session, "123456", AGENT)


async def test_half_a_session_is_good_for_nothing_once_the_password_was_changed(office: Office):
    await office.turn_app_on()
    half = await office.sign_in()
    token = await members.reset_token(office.world, OWNER.email)
    await members.follow_reset(office.world, token, NEW, AGENT)

    with pytest.raises(SignedOut):
        await enter_app_code(office.world, half.session, await office.next_code(), AGENT)


async def test_half_a_session_is_good_for_nothing_once_the_app_was_turned_off(office: Office):
    await office.turn_app_on()
    half = await office.sign_in()

    await members.drop_app(office.world, OWNER.email)

    with pytest.raises(SignedOut):
        await enter_app_code(office.world, half.session, await office.next_code(), AGENT)


async def test_a_thief_at_the_sign_in_page_does_not_keep_an_owner_with_an_app_out(
    office: Office,
):
    await office.turn_app_on()
    await hammer(office)

    await members.ask_reset(office.world, OWNER.email)
    token = await office.link(OWNER.email, Letter.PASSWORD_RESET)
    half = await members.follow_reset(office.world, token, NEW, AGENT)
    begun = await enter_app_code(office.world, half.session, await office.next_code(), AGENT)

    assert not half.session.whole
    assert begun.session.whole


async def test_a_reset_lets_an_owner_with_an_app_in_when_a_thief_knew_the_password(
    office: Office,
):
    await office.turn_app_on()
    thiefs = await office.sign_in()
    ends = [
        await outcome(enter_app_code(office.world, thiefs.session, "000000", AGENT))
        for _ in range(20)
    ]

    token = await members.reset_token(office.world, OWNER.email)
    half = await members.follow_reset(office.world, token, NEW, AGENT)
    coming = office.codes.code_at(office.world.clock.now() + timedelta(seconds=30))
    begun = await enter_app_code(office.world, half.session, coming, AGENT)

    assert ends[-1] == "SignInWait"
    assert begun.session.whole


async def test_wrong_codes_wait_longer_than_wrong_passwords(office: Office):
    await office.turn_app_on()
    compared = 0

    for _ in range(24 * 60):
        half = await office.sign_in()
        compared += (
            await outcome(enter_app_code(office.world, half.session, "000000", AGENT))
            == "SignInRefused"
        )
        office.scene.pass_time(60)
        if compared > 9:
            break

    with pytest.raises(SignInWait) as refused:
        await enter_app_code(office.world, half.session, "000000", AGENT)
    assert refused.value.retry_after is not None
    assert 600 < refused.value.retry_after <= 900


async def test_who_signs_in_with_an_app_ten_times_a_day_never_waits(office: Office):
    await office.turn_app_on()

    for _ in range(10):
        half = await office.sign_in()
        await enter_app_code(office.world, half.session, await office.next_code(), AGENT)


# Sessions


async def test_a_session_ends_a_quarter_of_an_hour_after_the_last_request(office: Office):
    office.scene.pass_time(14 * 60)
    session, _ = await whose(office.world, office.begun.token)
    await signing_in.touch(office.world, session)
    office.scene.pass_time(14 * 60)
    await whose(office.world, office.begun.token)

    office.scene.pass_time(60)

    with pytest.raises(SignedOut):
        await whose(office.world, office.begun.token)


async def test_a_session_ends_after_twelve_hours_however_busy(office: Office):
    for _ in range(12 * 6 - 1):
        office.scene.pass_time(600)
        session, _ = await whose(office.world, office.begun.token)
        await signing_in.touch(office.world, session)

    office.scene.pass_time(600)

    with pytest.raises(SignedOut):
        await whose(office.world, office.begun.token)


async def test_requests_within_thirty_seconds_write_nothing(office: Office):
    touched: list[bytes] = []

    async def touch(token_hash: bytes, now: Any) -> None:
        touched.append(token_hash)

    world = office.other_world(store=StoreWith(office.world.store, touch_session=touch))
    session, _ = await whose(office.world, office.begun.token)
    for _ in range(10):
        await signing_in.touch(world, session)
    office.scene.pass_time(30)
    await signing_in.touch(world, session)

    assert touched == [session.hash]


async def test_half_a_session_never_lives_on(office: Office):
    await office.turn_app_on()
    half = await office.sign_in()
    office.scene.pass_time(240)

    await signing_in.touch(office.world, half.session)
    office.scene.pass_time(60)

    with pytest.raises(SignedOut):
        await whose(office.world, half.token)


@pytest.mark.parametrize("token", ["", "x", "\ud800", "a" * 100_000])
async def test_an_unknown_token_is_nobodys(office: Office, token):
    with pytest.raises(SignedOut):
        await whose(office.world, token)


async def test_once_signed_out_a_token_opens_nothing(office: Office):
    other = await office.sign_in()

    await signing_in.sign_out(office.world, office.begun.session)

    with pytest.raises(SignedOut):
        await whose(office.world, office.begun.token)
    await whose(office.world, other.token)


async def test_a_member_ends_one_of_their_sessions_by_its_reference_and_nobody_elses(
    office: Office,
):
    other = await office.sign_in()
    thiefs = await office.sign_in(THIEF.email, THIEF.password)
    owner = await office.owner()

    await signing_in.end_session(office.world, owner, session_reference(thiefs.session))
    await signing_in.end_session(office.world, owner, session_reference(other.session))
    await signing_in.end_session(office.world, owner, "no such session")

    assert await outcome(whose(office.world, other.token)) == "SignedOut"
    await whose(office.world, office.begun.token)
    await whose(office.world, thiefs.token)
    assert other.session.hash.hex()[:16] != session_reference(other.session)


async def test_ending_the_others_spares_the_session_at_hand_and_is_told(office: Office):
    others = [await office.sign_in() for _ in range(3)]
    thiefs = await office.sign_in(THIEF.email, THIEF.password)

    await signing_in.end_other_sessions(
        office.world, await office.owner(), office.begun.session.hash
    )

    for other in others:
        assert await outcome(whose(office.world, other.token)) == "SignedOut"
    await whose(office.world, office.begun.token)
    await whose(office.world, thiefs.token)
    assert (await office.kinds())[-1] == "member.sessions_ended"


async def test_a_twenty_first_session_ends_the_oldest(office: Office):
    begun = [await office.sign_in() for _ in range(20)]

    assert await outcome(whose(office.world, office.begun.token)) == "SignedOut"
    ends = await asyncio.gather(*(outcome(whose(office.world, one.token)) for one in begun))
    assert ends == ["done"] * 20


# Once more, before something that matters


async def test_a_wrong_password_is_not_confirmed_and_counts_apart_from_sign_ins(office: Office):
    owner = await office.owner()

    ends = [
        await outcome(signing_in.confirm_password(office.world, owner, WRONG)) for _ in range(6)
    ]

    assert ends == ["SignInRefused"] * 5 + ["SignInWait"]
    assert await outcome(office.sign_in()) == "done"


async def test_a_thief_at_the_sign_in_page_does_not_keep_the_owner_from_confirming(
    office: Office,
):
    await hammer(office)

    await signing_in.confirm_password(office.world, await office.owner(), OWNER.password)


async def test_a_right_password_starts_the_count_anew(office: Office):
    owner = await office.owner()
    for _ in range(3):
        for _ in range(3):
            await outcome(signing_in.confirm_password(office.world, owner, WRONG))
        await signing_in.confirm_password(office.world, owner, OWNER.password)
