"""What the ``Store`` port promises of portfolios, members, invitations and sessions."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.errors import (
    LastOwner,
    LinkRefused,
    MemberExists,
    MemberUnknown,
    PortfolioUnknown,
    SignInRefused,
    SignInWait,
    TooManyMembers,
)
from nightlatch.domain.limits import MEMBERS_PER_PORTFOLIO, SESSIONS_PER_MEMBER
from nightlatch.domain.members import (
    App,
    Member,
    MemberDecision,
    MemberRole,
    Reset,
    SignIns,
)
from nightlatch.domain.portfolios import Portfolio, PortfolioDecision, Waba
from nightlatch.ports import Store
from tests.contracts.checks import (
    HOUR,
    MINUTE,
    SECOND,
    UNWRITABLE,
    Stumble,
    assert_chains_hold,
    outcome,
    outcomes,
    promise,
    stumble,
    trail,
)
from tests.contracts.makers import (
    ELSEWHERE,
    PORTFOLIO,
    WABA,
    a_member,
    a_session,
    add_member,
    an_invitation,
)
from tests.people import NOON, OWNER, THIEF

MICRO, DAY = timedelta(microseconds=1), timedelta(days=1)
SUBJECT = f"portfolio:{PORTFOLIO.id}"
JOINED = Event(Kind.MEMBER_JOINED, OWNER.email, NOON, place="192.0.2.7")
OWNER_ID = a_member().id


async def community(store: Store) -> list[Any]:
    """All that the port shows of people, to see that nothing changed."""
    found: list[Any] = []
    for portfolio in await store.portfolios():
        members = await store.members(portfolio.id)
        found += [
            portfolio, list(await store.wabas(portfolio.id)), list(members),
            list(await store.invitations(portfolio.id, NOON)),
            [list(await store.member_sessions(member.id, NOON)) for member in members],
        ]  # fmt: skip
    return [*found, await trail(store, None), list(await store.mails(None, 999))]


async def opens(store: Store, *sessions: Any, at: Any = NOON) -> list[bool]:
    return [await store.member_session(one.hash, at) is not None for one in sessions]


def _with_session(member: Member, **how: Any) -> MemberDecision:
    return MemberDecision(member, **how)


async def begin(store: Store, *sessions: Any, **how: Any) -> None:
    for session in sessions:
        await store.update_member(session.member, partial(_with_session, session=session, **how))


# Portfolios


@promise
async def check_portfolios_and_accounts_are_read_back(make_store):
    store = await make_store.with_owner_and_thief()
    second = Waba("300000000000002", PORTFOLIO.id, "A second one")
    event = Event(Kind.WABA_ADDED, "operator", NOON, place="192.0.2.7")

    await store.add_portfolio(ELSEWHERE)
    await store.add_waba(second, (event,))

    again = await make_store()
    assert list(await again.portfolios()) == [PORTFOLIO, ELSEWHERE]
    assert list(await again.wabas(PORTFOLIO.id)) == [second, Waba(WABA, PORTFOLIO.id, "Account")]
    assert list(await again.wabas(ELSEWHERE.id)) == []
    assert await again.portfolio(ELSEWHERE.id) == ELSEWHERE
    assert await again.waba(second.id) == second
    assert [link.event for link in await trail(again, SUBJECT)] == [event]
    await assert_chains_hold(again)


@promise
async def check_hundreds_of_changes_of_one_portfolio_at_once_are_all_kept(make_store):
    store, other = await make_store.with_owner_and_thief(), await make_store()
    event = Event(Kind.PORTFOLIO_CHANGED, "x", NOON)

    def longer(portfolio):
        return PortfolioDecision(replace(portfolio, name=portfolio.name + "x"), (event,))

    await make_store.at_once(
        (store, other)[n % 2].update_portfolio(PORTFOLIO.id, longer) for n in range(100)
    )

    found = await store.portfolio(PORTFOLIO.id)
    assert found is not None
    assert found.name == PORTFOLIO.name + "x" * 100
    assert len(await trail(store, SUBJECT)) == 100
    await assert_chains_hold(store)


@promise
async def check_nothing_about_people_is_kept_without_its_event(make_store):
    store = await make_store.with_people()
    await add_member(store, 3, role=MemberRole.VIEWER)
    await store.invite(an_invitation(4), (), ())
    before = await community(store)
    bad = (UNWRITABLE,)

    for work in (
        lambda: store.add_portfolio(Portfolio("9", "Third", "a@b.example"), bad),
        lambda: store.add_waba(Waba("300000000000009", PORTFOLIO.id, "Third"), bad),
        lambda: store.update_portfolio(
            PORTFOLIO.id, lambda p: PortfolioDecision(replace(p, name="Changed"), bad)
        ),
        lambda: store.invite(an_invitation(5), bad, ()),
        lambda: store.invite(an_invitation(4, hash=b"newer".ljust(32)), bad, ()),
        lambda: store.withdraw(PORTFOLIO.id, an_invitation(4).email, bad),
        lambda: store.join(an_invitation(4).hash, a_member(4), a_session(4), bad, None, NOON),
        lambda: store.update_member(
            OWNER_ID, lambda m: MemberDecision(replace(m, name="x"), bad, session=a_session(9))
        ),
        lambda: store.remove_member(a_member(3).id, bad),
    ):
        assert isinstance(await outcome(work()), Exception)

        assert await community(store) == before, "a change was kept without its event"


# Inviting and joining


@promise
async def check_a_member_is_read_back_whole(make_store):
    store = await make_store.with_people()
    app = App(b"\x01kid-0001key", 58_000_000, (b"a" * 32, b"b" * 32))
    whole = a_member(
        version=7, app=app, reset=Reset(b"r" * 32, NOON + MICRO), role=MemberRole.ADMIN,
        email=OWNER.email,
    )  # fmt: skip
    await add_member(store, 3)

    await store.update_member(OWNER_ID, lambda m: MemberDecision(replace(whole, id=m.id)))

    again = await make_store()
    assert await again.member(OWNER_ID) == whole
    assert await again.member_by_email(OWNER.email) == whole
    assert [m.id for m in await again.members(PORTFOLIO.id)] == [OWNER_ID, a_member(3).id]
    for other in (App(b"\x01kid-0001key", 0, ()), None):
        await store.update_member(OWNER_ID, lambda m, a=other: MemberDecision(replace(m, app=a)))
        found = await again.member(OWNER_ID)
        assert found is not None
        assert found.app == other


@promise
async def check_only_the_newest_invitation_of_an_address_is_good(make_store):
    store = await make_store.with_people()
    old, new = an_invitation(3), an_invitation(3, hash=b"newer".ljust(32), role=MemberRole.VIEWER)
    other = an_invitation(3, hash=b"elsewhere".ljust(32), portfolio=ELSEWHERE.id)
    for invitation in (old, other, an_invitation(4), new):
        await store.invite(invitation, (), ())

    assert await store.invitation(old.hash, NOON) is None, "a replaced invitation is still good"
    assert await store.invitation(new.hash, NOON) == new
    assert await store.invitation(other.hash, NOON) == other
    assert await store.invitation(an_invitation(4).hash, NOON) == an_invitation(4)
    ended = await outcome(store.join(old.hash, a_member(3), a_session(3), (), None, NOON))
    assert isinstance(ended, LinkRefused)


@promise
async def check_an_invitation_ends_by_itself_and_by_withdrawing(make_store):
    store = await make_store.with_people()
    event = Event(Kind.MEMBER_REMOVED, "x", NOON)
    await store.invite(an_invitation(3), (), ())
    await store.invite(an_invitation(4, expires_at=NOON + DAY), (), ())
    await store.invite(an_invitation(5, email=""), (), ())
    listed = list(await store.invitations(PORTFOLIO.id, NOON))
    last = await store.invitation(an_invitation(4).hash, NOON + DAY - MICRO)

    await store.withdraw(PORTFOLIO.id, an_invitation(3).email, (event,))
    await store.withdraw(PORTFOLIO.id, "nobody@b.example", (event,))

    assert {one.email for one in listed} == {a_member(3).email, a_member(4).email}
    assert last is not None
    assert await store.invitation(an_invitation(3).hash, NOON) is None, "withdrawn, and good"
    assert await store.invitation(an_invitation(4).hash, NOON + DAY) is None, "expired, and good"
    assert list(await store.invitations(PORTFOLIO.id, NOON + DAY)) == []
    for index in (3, 4):
        ended = await outcome(
            store.join(
                an_invitation(index).hash, a_member(index), a_session(index), (), None, NOON + DAY
            )
        )
        assert isinstance(ended, LinkRefused)


@promise
async def check_of_parallel_joins_by_one_invitation_exactly_one_succeeds(make_store):
    store, other = await make_store.with_people(), await make_store()
    await store.invite(an_invitation(10), (), ())

    ended = await make_store.at_once(
        outcome(
            (store, other)[n % 2].join(
                an_invitation(10).hash, a_member(10 + n), a_session(n, member=a_member(10 + n).id),
                (JOINED,), None, NOON,
            )
        )
        for n in range(30)
    )  # fmt: skip

    assert sum(end is None for end in ended) == 1, "an invitation was good twice"
    assert sum(isinstance(end, LinkRefused) for end in ended) == 29
    assert len(await store.members(PORTFOLIO.id)) == 2
    assert len(await trail(store, SUBJECT)) == 1
    await assert_chains_hold(store)


@promise
async def check_a_join_is_kept_whole_or_not_at_all(make_store):
    store = await make_store.with_people()
    await store.invite(an_invitation(3), (), ())
    before = await community(store)
    session = a_session(3, member=a_member(3).id)

    def rename(portfolio):
        event = Event(Kind.PORTFOLIO_CHANGED, "x", NOON)
        return PortfolioDecision(replace(portfolio, name="Renamed"), (event,))

    async def join(member, change):
        return await store.join(an_invitation(3).hash, member, session, (JOINED,), change, NOON)

    taken = await outcome(join(a_member(3, email=THIEF.email), rename))
    stumbled = await outcome(join(a_member(3), stumble))
    assert isinstance(taken, MemberExists)
    assert isinstance(stumbled, Stumble)
    assert await community(store) == before, "half of a join was kept"

    await join(a_member(3), rename)

    found = await store.portfolio(PORTFOLIO.id)
    assert found is not None
    assert found.name == "Renamed"
    assert await store.member_session(session.hash, NOON) == (session, a_member(3))
    assert [link.event.kind for link in await trail(store, SUBJECT)] == [
        Kind.MEMBER_JOINED, Kind.PORTFOLIO_CHANGED,
    ]  # fmt: skip


@promise
async def check_the_link_without_an_address_makes_a_first_member_and_no_second(make_store):
    store = await make_store.with_owner_and_thief()
    first, late = an_invitation(7, email=""), an_invitation(8, email="late@b.example")
    await store.invite(first, (), ())
    await store.invite(late, (), ())
    await store.join(late.hash, a_member(), a_session(), (), None, NOON)

    ended = await outcome(store.join(first.hash, a_member(2), a_session(2), (), None, NOON))

    assert isinstance(ended, LinkRefused)
    assert len(await store.members(PORTFOLIO.id)) == 1


@promise
async def check_whose_address_is_a_members_is_not_invited(make_store):
    store = await make_store.with_people()
    before = await community(store)

    ended = await outcomes(
        [store.invite(an_invitation(5, email=email), (JOINED,), ()) for email in
         (OWNER.email, THIEF.email)]
    )  # fmt: skip

    assert [type(end) for end in ended] == [MemberExists] * 2
    assert await community(store) == before


@promise
async def check_a_portfolio_never_has_more_members_and_invitations_than_it_may(make_store):
    store, other = await make_store.with_people(), await make_store()
    room = MEMBERS_PER_PORTFOLIO - 1  # the owner is there
    await make_store.at_once(store.invite(an_invitation(100 + n), (), ()) for n in range(room - 5))

    ended = await outcomes(
        [(store, other)[n % 2].invite(an_invitation(1_000 + n), (), ()) for n in range(20)]
    )

    assert sum(end is None for end in ended) == 5
    assert sum(isinstance(end, TooManyMembers) for end in ended) == 15
    await store.invite(an_invitation(100, hash=b"again".ljust(32)), (), ())
    await store.invite(an_invitation(2_000, portfolio=ELSEWHERE.id), (), ())


# Changing members


@promise
async def check_hundreds_of_changes_of_one_member_at_once_are_all_counted(make_store):
    store, other = await make_store.with_people(), await make_store()
    event = Event(Kind.MEMBER_PASSWORD, "x", NOON)

    def grow(member):
        return MemberDecision(replace(member, version=member.version + 1), (event,))

    await make_store.at_once(
        (store, other)[n % 2].update_member(OWNER_ID, grow) for n in range(200)
    )

    found = await store.member(OWNER_ID)
    assert found is not None
    assert found.version == 201
    assert len(await trail(store, SUBJECT)) == 200
    await assert_chains_hold(store)


@promise
async def check_what_a_change_of_a_member_raises_comes_back_and_nothing_is_kept(make_store):
    store = await make_store.with_people()
    before = await community(store)

    ended = await outcomes(
        [
            store.update_member(OWNER_ID, stumble),
            store.update_portfolio(PORTFOLIO.id, stumble),
            store.update_sign_ins(b"k" * 32, stumble),
        ]
    )

    assert [type(end) for end in ended] == [Stumble] * 3
    assert await community(store) == before


@promise
async def check_a_refusing_decision_about_a_member_is_kept_first_and_then_raised(make_store):
    store = await make_store.with_people()
    refusal = SignInRefused()
    event = Event(Kind.SIGN_IN_WRONG, "x", NOON)

    raised = await outcome(
        store.update_member(
            OWNER_ID, lambda m: MemberDecision(replace(m, version=9), (event,), refusal=refusal)
        )
    )

    found = await (await make_store()).member(OWNER_ID)
    assert raised is refusal
    assert found is not None
    assert found.version == 9, "the decision was not kept"
    assert [link.event for link in await trail(store, SUBJECT)] == [event]


@promise
async def check_the_last_owner_stays_whatever_is_tried_at_once(make_store):
    store, other = await make_store.with_people(), await make_store()
    for index in range(3, 12):
        await add_member(store, index)
    await add_member(store, 20, role=MemberRole.ADMIN)
    owners = [m.id for m in await store.members(PORTFOLIO.id) if m.role is MemberRole.OWNER]

    def demote(member):
        event = Event(Kind.MEMBER_ROLE, "x", NOON)
        return MemberDecision(replace(member, role=MemberRole.VIEWER), (event,))

    ended = await outcomes(
        [
            (store, other)[n % 2].update_member(id_, demote)
            if n % 3
            else (store, other)[n % 2].remove_member(id_, ())
            for n, id_ in enumerate(owners)
        ]
    )

    left = [m.role for m in await store.members(PORTFOLIO.id)]
    assert left.count(MemberRole.OWNER) == 1, f"{left.count(MemberRole.OWNER)} owners are left"
    assert sum(isinstance(end, LastOwner) for end in ended) == 1
    assert len(await store.members(ELSEWHERE.id)) == 1


@promise
async def check_a_refused_demotion_keeps_nothing(make_store):
    store = await make_store.with_people()
    before = await community(store)
    event = Event(Kind.MEMBER_ROLE, "x", NOON)

    ended = await outcomes(
        [
            store.update_member(
                OWNER_ID,
                lambda m: MemberDecision(
                    replace(m, role=MemberRole.ADMIN), (event,), end_sessions=True
                ),
            ),
            store.remove_member(OWNER_ID, (event,)),
        ]
    )

    assert [type(end) for end in ended] == [LastOwner] * 2
    assert await community(store) == before


# Sessions


@promise
async def check_a_members_session_is_known_until_it_ends_by_itself(make_store):
    store = await make_store.with_people()
    half, whole = a_session(1, whole=False), a_session(2)
    await begin(store, half, whole)

    found = await store.member_session(whole.hash, NOON)
    last = [await opens(store, one, at=one.ends_at - MICRO) for one in (half, whole)]
    late = [await opens(store, one, at=one.ends_at) for one in (half, whole)]

    assert found == (whole, a_member())
    assert last == [[True], [True]]
    assert late == [[False], [False]], "a session outlives its end"
    assert await store.member_session(b"?" * 32, NOON) is None


@promise
async def check_a_touched_session_lives_on_but_never_backwards_or_for_ever(make_store):
    store = await make_store.with_people()
    session = a_session()
    await begin(store, session)

    await store.touch_session(session.hash, NOON + 10 * MINUTE)
    await store.touch_session(session.hash, NOON + 5 * MINUTE)
    await store.touch_session(b"?" * 32, NOON)
    seen = await (await make_store()).member_session(session.hash, NOON + 20 * MINUTE)
    for hours in range(1, 13):
        await store.touch_session(session.hash, NOON + hours * HOUR)

    assert seen is not None, "the session was not touched"
    assert seen[0].seen_at == NOON + 10 * MINUTE
    assert await opens(store, session, at=session.started_at + 12 * HOUR) == [False]


@promise
async def check_the_sessions_of_a_member_are_listed_latest_first_without_half_or_ended_ones(
    make_store,
):
    store = await make_store.with_people()
    one, two, half = a_session(1), a_session(2), a_session(3, whole=False)
    thiefs = a_session(4, member=a_member(2).id)
    await begin(store, one, two, half, thiefs)

    listed = [s.hash for s in await store.member_sessions(OWNER_ID, NOON + 2 * SECOND)]
    later = [s.hash for s in await store.member_sessions(OWNER_ID, one.ends_at)]

    assert listed[-2:] == [two.hash, one.hash]
    assert half.hash not in listed
    assert thiefs.hash not in listed
    assert later[-1] == two.hash


@promise
async def check_an_ended_session_of_a_member_is_known_no_more_anywhere(make_store):
    store, other = await make_store.with_people(), await make_store()
    one, two = a_session(1), a_session(2)
    await begin(store, one, two)
    seen = await opens(other, one, two)

    await store.end_member_session(one.hash)
    await store.end_member_session(b"?" * 32)

    assert seen == [True, True]
    assert await opens(other, one, two) == [False, True]


@promise
async def check_ending_sessions_spares_the_one_to_keep_and_the_new_one_and_other_members(
    make_store,
):
    store, other = await make_store.with_people(), await make_store()
    old, kept, new, half = a_session(1), a_session(2), a_session(3), a_session(4, whole=False)
    thiefs = a_session(5, member=a_member(2).id)
    await begin(store, old, kept, half, thiefs)

    await begin(store, new, end_sessions=True, keep=kept.hash)

    assert await opens(other, old, half, kept, new, thiefs) == [False, False, True, True, True]
    await store.update_member(OWNER_ID, lambda m: MemberDecision(m, end_sessions=True))
    assert await opens(other, kept, new, thiefs) == [False, False, True]


@promise
async def check_a_whole_session_takes_the_place_of_the_half_one_in_one_step(make_store):
    store = await make_store.with_people()
    half, whole = a_session(1, whole=False), a_session(2)
    await begin(store, half)

    await begin(store, whole, end_session=half.hash)

    assert await opens(store, half, whole) == [False, True]


@promise
async def check_a_further_session_beyond_the_cap_ends_the_oldest(make_store):
    store = await make_store.with_people()
    await store.update_member(OWNER_ID, lambda m: MemberDecision(m, end_sessions=True))
    sessions = [a_session(n) for n in range(1, SESSIONS_PER_MEMBER + 3)]

    await begin(store, *sessions)

    assert await opens(store, *sessions) == [False, False] + [True] * SESSIONS_PER_MEMBER


@promise
async def check_a_removed_member_takes_the_sessions_along(make_store):
    store, other = await make_store.with_people(), await make_store()
    await add_member(store, 3)
    mine, theirs = a_session(1), a_session(2, member=a_member(3).id)
    await begin(store, mine, theirs)
    event = Event(Kind.MEMBER_REMOVED, "x", NOON)

    await store.remove_member(a_member(3).id, (event,))
    again, session = an_invitation(3), a_session(9, member=a_member(3).id)
    await store.invite(again, (), ())
    await store.join(again.hash, a_member(3), session, (), None, NOON)  # somebody else, same id

    assert await opens(other, mine, theirs, session) == [True, False, True]
    assert (await trail(store, SUBJECT))[-1].event == event


@promise
async def check_a_session_shows_the_member_as_it_is_now(make_store):
    store, other = await make_store.with_people(), await make_store()
    await begin(store, a_session())
    before = await other.member_session(a_session().hash, NOON)
    await add_member(store, 3)

    await store.update_member(
        OWNER_ID, lambda m: MemberDecision(replace(m, role=MemberRole.VIEWER, version=2))
    )

    after = await other.member_session(a_session().hash, NOON)
    assert before is not None
    assert after is not None
    assert (before[1].role, after[1].role) == (MemberRole.OWNER, MemberRole.VIEWER)
    assert after[1].version == 2


# Wrong sign-ins


@promise
async def check_of_hundreds_of_parallel_sign_ins_exactly_the_free_ones_get_through(make_store):
    store, other = await make_store.with_people(), await make_store()

    ended = await make_store.at_once(
        outcome((store, other)[n % 2].update_sign_ins(b"k" * 32, lambda s: s.pay(NOON)))
        for n in range(200)
    )

    assert Counter(type(end) for end in ended) == {SignIns: 5, SignInWait: 195}
    after = await store.update_sign_ins(b"k" * 32, lambda s: s)
    assert after == SignIns(5, NOON)


@promise
async def check_the_sign_ins_of_each_address_are_counted_apart_and_can_be_forgiven(make_store):
    store = await make_store.with_people()
    odd = NOON + 999_999 * MICRO
    await store.update_sign_ins(b"a" * 32, lambda s: s.pay(odd))
    await store.update_sign_ins(b"b" * 32, lambda _: SignIns(7, odd))

    kept = [
        await (await make_store()).update_sign_ins(key * 32, lambda s: s) for key in (b"a", b"b")
    ]
    await store.update_sign_ins(b"b" * 32, lambda _: SignIns())
    forgiven = await (await make_store()).update_sign_ins(b"b" * 32, lambda s: s)

    assert kept == [SignIns(1, odd), SignIns(7, odd)]
    assert forgiven == SignIns()


# Upkeep and the unknown


@promise
async def check_tidying_erases_invitations_sessions_and_sign_ins_that_have_ended(make_store):
    store = await make_store.with_people()
    await store.invite(an_invitation(3, expires_at=NOON + DAY), (), ())
    await store.invite(an_invitation(4), (), ())
    await begin(store, a_session())
    await store.update_sign_ins(b"a" * 32, lambda s: s.pay(NOON))
    await store.update_sign_ins(b"b" * 32, lambda s: s.pay(NOON + DAY))

    await store.tidy(NOON + DAY)

    left = [await store.update_sign_ins(key * 32, lambda s: s) for key in (b"a", b"b")]
    assert [one.email for one in await store.invitations(PORTFOLIO.id, NOON)] == [a_member(4).email]
    assert await opens(store, a_session()) == [False]
    assert left == [SignIns(), SignIns(1, NOON + DAY)]


@promise
async def check_the_sealed_values_of_members_are_known_and_sealed_anew(make_store):
    store = await make_store.with_people()
    app = App(b"\x01kid-0002key", 1, ())
    await store.update_member(OWNER_ID, lambda m: MemberDecision(replace(m, app=app)))
    old = [v for v in await store.sealed_with_others("kid-0003") if v.kind in ("member", "app")]

    done = await store.replace_sealed([(v, b"\x01kid-0003" + v.sealed[9:]) for v in old])

    found = await store.member(OWNER_ID)
    assert sorted(v.bound_to for v in old) == sorted(
        [f"app|v1|{OWNER_ID}", f"member|v1|{OWNER_ID}", f"member|v1|{a_member(2).id}"]
    )
    assert done == 3
    assert found is not None
    assert found.app == replace(app, sealed=b"\x01kid-0003key")
    assert found.verifier == b"\x01kid-0003" + a_member().verifier[9:]


STRANGE = (
    "",
    "x",
    "0",
    "9" * 30,
    "-1",
    "1e3",
    " 1",
    "٣" * 15,
    "400000000000001 ",
    "\x00",
    "'",
    "%",
)


@promise
async def check_people_that_are_unknown_are_named_however_they_are_spelled(make_store):
    store = await make_store.with_people()
    before = await community(store)

    for id_ in STRANGE:
        read = [
            await store.portfolio(id_), await store.waba(id_), await store.member(id_),
            await store.member_by_email(id_),
        ]  # fmt: skip
        listed = [
            await store.wabas(id_), await store.members(id_), await store.invitations(id_, NOON),
            await store.member_sessions(id_, NOON),
        ]  # fmt: skip
        ended = await outcomes(
            [
                store.update_portfolio(id_, PortfolioDecision),
                store.update_member(id_, MemberDecision),
                store.remove_member(id_, ()),
            ]
        )
        assert read == [None] * 4
        assert [list(one) for one in listed] == [[]] * 4
        assert [type(end) for end in ended] == [PortfolioUnknown, MemberUnknown, MemberUnknown]
        await store.withdraw(id_, id_, (JOINED,))

    assert await store.invitation(b"", NOON) is None
    assert await community(store) == before


@promise
async def check_reads_of_people_never_wait_for_writers(make_store):
    store = await make_store.with_people()
    await begin(store, a_session())
    await store.invite(an_invitation(3), (), ())

    async with make_store.writers_locked_out():
        read = await outcomes(
            [
                store.portfolio(PORTFOLIO.id),
                store.member(OWNER_ID),
                store.member_by_email(OWNER.email),
                store.member_session(a_session().hash, NOON),
                store.invitation(an_invitation(3).hash, NOON),
                store.members(PORTFOLIO.id),
                store.member_sessions(OWNER_ID, NOON),
                store.invitations(PORTFOLIO.id, NOON),
                store.mails(None, 9),
                store.mail("x"),
            ]
        )

    assert read[:3] == [PORTFOLIO, a_member(), a_member()]
    assert not [end for end in read if isinstance(end, Exception)]
