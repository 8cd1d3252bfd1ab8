"""What the ``Store`` port promises of letters on their way."""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.errors import MailUnknown, Overloaded, Unavailable, WrongCode
from nightlatch.domain.mail import Letter, Mail, MailState, Posted, To
from nightlatch.domain.members import MemberDecision, MemberRole
from nightlatch.domain.numbers import Decision
from nightlatch.domain.portfolios import PortfolioDecision
from nightlatch.ports import Store
from tests.contracts.checks import (
    HOUR,
    MINUTE,
    SECOND,
    UNWRITABLE,
    Stumble,
    outcome,
    outcomes,
    promise,
    release,
)
from tests.contracts.makers import (
    ELSEWHERE,
    NUMBER_ID,
    PORTFOLIO,
    a_member,
    a_number,
    a_session,
    add_member,
    an_invitation,
)
from tests.contracts.people import MICRO, OWNER_ID, STRANGE
from tests.people import NOON, OWNER, THIEF

DAY = timedelta(days=1)


def a_mail(**changes: Any) -> Mail:
    """A notice to the owners."""
    values: dict[str, Any] = {
        "letter": Letter.PIN_SET,
        "to": To.OWNERS,
        "at": NOON,
        "facts": (("number", "+16315551000"), ("weak", False), ("n", 7), ("é", "ü\n")),
    }
    return Mail(**(values | changes))


def a_link(**changes: Any) -> Mail:
    """A letter with a link that lives for half an hour."""
    return a_mail(
        letter=Letter.TURN_OFF_LINK, to=To.PORTFOLIO, sealed=b"\x01kid-0001token",
        about=NUMBER_ID, good_until=NOON + 30 * MINUTE, **changes,
    )  # fmt: skip


async def post(store: Store, *mails: Mail, id: str = NUMBER_ID) -> list[Posted]:
    """Post them with a change of a number; the letters, in no order."""
    before = {posted.key for posted in await store.mails(None, 9_999)}
    await store.update(id, lambda n: Decision(n, mails=mails))
    return [posted for posted in await store.mails(None, 9_999) if posted.key not in before]


async def addresses(store: Store) -> list[str]:
    return sorted(posted.address for posted in await store.mails(None, 9_999))


# In the same step


@promise
async def check_a_letter_is_read_back_whole(make_store):
    store = await make_store.with_people()

    (notice,) = await post(store, a_mail(at=NOON + MICRO))
    (link,) = await post(store, a_link())

    again = await make_store()
    assert await again.mail(notice.key) == notice
    assert await again.mail(link.key) == link
    assert re.fullmatch("[0-9a-f]{32}", notice.key)
    assert notice == Posted(
        key=notice.key, portfolio=PORTFOLIO.id, address=OWNER.email, letter=Letter.PIN_SET,
        facts=a_mail().facts, posted_at=NOON + MICRO, due_at=NOON + MICRO,
    )  # fmt: skip
    assert (link.sealed, link.about, link.good_until) == (
        a_link().sealed, NUMBER_ID, NOON + 30 * MINUTE,
    )  # fmt: skip


@promise
async def check_a_letter_is_posted_with_its_change_or_not_at_all(make_store):
    store = await make_store.with_people()
    await store.add_number(a_number(2), ())
    unwritable = a_mail(facts=(("no such fact", object()),))
    event = Event(Kind.TWO_STEP_ON, "x", NOON)
    await store.invite(an_invitation(5), (), ())

    for mails, events in (((a_mail(),), (UNWRITABLE,)), ((a_mail(), unwritable), (event,))):
        ended = await outcomes(
            [
                store.update(
                    NUMBER_ID,
                    lambda n, m=mails, e=events: Decision(replace(n, name="x"), e, mails=m),
                ),
                store.update_member(
                    OWNER_ID,
                    lambda p, m=mails, e=events: MemberDecision(replace(p, name="x"), e, m),
                ),
                store.update_portfolio(
                    PORTFOLIO.id,
                    lambda p, m=mails, e=events: PortfolioDecision(replace(p, name="x"), e, m),
                ),
                store.invite(an_invitation(6), events, mails),
                store.join(
                    an_invitation(5).hash, a_member(5), a_session(5, member=a_member(5).id), (),
                    lambda p, m=mails, e=events: PortfolioDecision(p, e, m), NOON,
                ),
            ]
        )  # fmt: skip

        assert all(isinstance(end, Exception) for end in ended)
        assert await store.mails(None, 99) == [], "a letter was posted without its change"

    number, owner, portfolio = (
        await store.number(NUMBER_ID), await store.member(OWNER_ID),
        await store.portfolio(PORTFOLIO.id),
    )  # fmt: skip
    assert (number, owner, portfolio) == (a_number(), a_member(), PORTFOLIO), (
        "a change was kept without its letter"
    )
    assert await store.invitation(an_invitation(6).hash, NOON) is None


@promise
async def check_a_change_that_raises_posts_nothing_and_one_that_refuses_posts_first(make_store):
    store = await make_store.with_people()
    refusal = WrongCode()

    def raising(number):
        _ = Decision(number, mails=(a_mail(),))
        raise Stumble

    raised = await outcome(store.update(NUMBER_ID, raising))
    posted_by_raising = await addresses(store)
    refused = await outcome(
        store.update(NUMBER_ID, lambda n: Decision(n, mails=(a_mail(),), refusal=refusal))
    )

    assert isinstance(raised, Stumble)
    assert posted_by_raising == []
    assert refused is refusal
    assert await addresses(store) == [OWNER.email], "the refused decision's letter was not posted"


@promise
async def check_nobody_ever_reads_a_change_before_its_letter(make_store):
    store, reader = await make_store.with_people(), await make_store()

    def grow(member):
        return MemberDecision(replace(member, version=member.version + 1), mails=(a_mail(),))

    changes = (store.update_member(OWNER_ID, grow) for _ in range(100))
    writing = asyncio.create_task(make_store.at_once(changes))
    while not writing.done():
        found = await reader.member(OWNER_ID)
        posted = len(await reader.mails(None, 9_999))
        assert found is not None
        assert posted >= found.version - 1, f"{found.version - 1} changes, {posted} letters"
        await asyncio.sleep(0)

    await writing


@promise
async def check_a_take_over_posts_the_letters_of_both_numbers(make_store):
    store = await make_store.with_people()
    await store.add_number(a_number(2, holder=OWNER.client, registered_at=NOON), ())

    def register(number):
        return Decision(replace(number, holder=OWNER.client, registered_at=NOON), mails=(a_mail(),))

    def let_go(number):
        return replace(release(number), mails=(a_mail(letter=Letter.NUMBER_TAKEN_OVER),))

    await store.take_over(NUMBER_ID, OWNER.client, register, let_go)

    letters = sorted(posted.letter for posted in await store.mails(None, 9))
    assert letters == [Letter.NUMBER_TAKEN_OVER, Letter.PIN_SET]


# To whom


@promise
async def check_owners_and_admins_get_one_letter_each_and_viewers_and_neighbours_none(make_store):
    store = await make_store.with_people()
    await add_member(store, 3)
    await add_member(store, 4, role=MemberRole.ADMIN)
    await add_member(store, 5, role=MemberRole.VIEWER)

    posted = await post(store, a_mail())

    assert sorted(one.address for one in posted) == sorted(
        [OWNER.email, a_member(3).email, a_member(4).email]
    )
    assert len({one.key for one in posted}) == 3
    assert {one.portfolio for one in posted} == {PORTFOLIO.id}


@promise
async def check_the_portfolios_address_hears_what_is_for_it_and_what_nobody_else_would(
    make_store,
):
    store = await make_store.with_owner_and_thief()

    nobody = await post(store, a_mail())
    await add_member(store, 3, role=MemberRole.VIEWER)
    viewer = await post(store, a_mail())
    await add_member(store)
    owner = await post(store, a_mail())
    link = await post(store, a_link())
    person = await post(store, a_mail(to=To.PERSON, address="new@b.example"))

    assert [[one.address for one in posted] for posted in (nobody, viewer, owner, link, person)] == [
        [PORTFOLIO.email], [PORTFOLIO.email], [OWNER.email], [PORTFOLIO.email], ["new@b.example"],
    ]  # fmt: skip


@promise
async def check_who_is_an_owner_in_the_moment_of_the_change_hears_of_it(make_store):
    store = await make_store.with_people()
    await add_member(store, 3)

    await store.remove_member(a_member(3).id, ())
    posted = await post(store, a_mail())

    assert [one.address for one in posted] == [OWNER.email]


# Leases


@promise
async def check_parallel_leasers_never_get_the_same_letter(make_store):
    store, other = await make_store.with_people(), await make_store()
    await post(store, *(a_mail() for _ in range(60)))

    leases = await asyncio.gather(
        *((store, other)[n % 2].lease_mail(NOON, NOON + MINUTE, 7) for n in range(20))
    )

    keys = [posted.key for lease in leases for posted in lease]
    assert len(keys) == len(set(keys)), "a letter was leased twice"
    assert len(keys) == 60
    assert max(len(lease) for lease in leases) == 7


@promise
async def check_a_lease_of_a_letter_hides_it_counts_an_attempt_and_runs_out(make_store):
    store = await make_store.with_people()
    (posted,) = await post(store, a_link())

    early = await store.lease_mail(NOON - MICRO, NOON + MINUTE, 10)
    (first,) = await store.lease_mail(NOON, NOON + MINUTE, 10)
    meanwhile = await store.lease_mail(NOON + MINUTE - MICRO, NOON + HOUR, 10)
    (again,) = await store.lease_mail(NOON + MINUTE, NOON + HOUR, 10)

    assert list(early) == []
    assert first == replace(posted, attempts=1, due_at=NOON + MINUTE)
    assert list(meanwhile) == [], "a leased letter was shown again"
    assert again == replace(posted, attempts=2, due_at=NOON + HOUR)


@promise
async def check_only_what_waits_and_is_due_is_leased_the_longest_due_first(make_store):
    store = await make_store.with_people()
    ends = [
        lambda p: p.delivered(NOON),
        lambda p: p.kept(NOON),
        lambda p: p.failed("refused", NOON),
    ]
    for end, posted in zip(ends, await post(store, *(a_mail() for _ in ends)), strict=True):
        await store.update_mail(posted.key, end)
    for seconds in (3, 1, 2, 9):
        await post(store, a_mail(at=NOON + seconds * SECOND))

    leased = await store.lease_mail(NOON + 5 * SECOND, NOON + HOUR, 2)

    assert sorted(one.posted_at for one in leased) == [NOON + SECOND, NOON + 2 * SECOND]


# Changing and reading


@promise
async def check_hundreds_of_changes_of_one_letter_at_once_are_all_counted(make_store):
    store, other = await make_store.with_people(), await make_store()
    (posted,) = await post(store, a_mail())

    await make_store.at_once(
        (store, other)[n % 2].update_mail(posted.key, lambda p: replace(p, attempts=p.attempts + 1))
        for n in range(200)
    )

    assert await store.mail(posted.key) == replace(posted, attempts=200)


@promise
async def check_a_changed_letter_is_read_back_and_a_change_that_raises_keeps_nothing(make_store):
    store, other = await make_store.with_people(), await make_store()
    (posted,) = await post(store, a_link())

    def raising(_):
        raise Stumble

    raised = await outcome(store.update_mail(posted.key, raising))
    untouched = await other.mail(posted.key)
    put_off = await store.update_mail(posted.key, lambda p: p.put_off("451", NOON, reached=True))
    read_put_off = await other.mail(posted.key)
    sent = await store.update_mail(posted.key, lambda p: p.delivered(NOON + MICRO))

    assert isinstance(raised, Stumble)
    assert untouched == posted
    assert read_put_off == put_off
    assert await other.mail(posted.key) == sent
    assert sent.sealed is None
    assert (await other.kids_in_use()).get("kid-0001") == 4, "the secret is still there"


@promise
async def check_letters_are_listed_the_latest_first_and_each_portfolios_apart(make_store):
    store = await make_store.with_people()
    for seconds in (2, 3, 1):
        await post(store, a_mail(at=NOON + seconds * SECOND))
    await store.update_portfolio(
        ELSEWHERE.id, lambda p: PortfolioDecision(p, mails=(a_mail(at=NOON + HOUR),))
    )

    mine = [one.posted_at - NOON for one in await store.mails(PORTFOLIO.id, 2)]
    every = [one.address for one in await store.mails(None, 2)]

    assert mine == [3 * SECOND, 2 * SECOND]
    assert every == [THIEF.email, OWNER.email]
    assert len(await store.mails(None, 99)) == 4


@promise
async def check_failed_letters_are_counted_for_each_portfolio_and_for_all(make_store):
    store = await make_store.with_people()
    one, *_ = await post(store, a_mail(), a_mail())
    await store.update_portfolio(
        ELSEWHERE.id, lambda p: PortfolioDecision(p, mails=(a_mail(), a_mail()))
    )
    for posted in [one, *await store.mails(ELSEWHERE.id, 9)]:
        await store.update_mail(posted.key, lambda p: p.failed("550", NOON))

    counted = [await store.failed_mails(who) for who in (PORTFOLIO.id, ELSEWHERE.id, None)]
    await store.update_mail(one.key, lambda p: p.retry(NOON))

    assert counted == [1, 2, 3]
    assert [await store.failed_mails(who) for who in (PORTFOLIO.id, None)] == [0, 2]


# Upkeep and the unknown


@promise
async def check_tidying_erases_dead_secrets_and_letters_that_ended_long_ago(make_store):
    store = await make_store.with_people()
    (waiting,), (kept,), (failed,) = [await post(store, a_link()) for _ in range(3)]
    (later,) = await post(store, replace(a_link(), good_until=NOON + HOUR))
    await store.update_mail(kept.key, lambda p: p.kept(NOON))
    await store.update_mail(failed.key, lambda p: p.failed("550", NOON))

    await store.tidy(NOON + 30 * MINUTE)
    erased = [await store.mail(one.key) for one in (waiting, kept, failed, later)]
    await store.tidy(NOON + 30 * DAY)

    assert [one is not None and one.sealed for one in erased] == [
        None, None, None, later.sealed,
    ]  # fmt: skip
    left = {one.key: one.state for one in await store.mails(None, 99)}
    assert left == {waiting.key: MailState.WAITING, later.key: MailState.WAITING}


@promise
async def check_the_secrets_of_letters_are_known_and_sealed_anew(make_store):
    store = await make_store.with_people()
    (posted,) = await post(store, a_link())
    (old,) = [v for v in await store.sealed_with_others("kid-0003") if v.kind == "mail"]

    done = await store.replace_sealed([(old, b"\x01kid-0003token")])
    stale = await store.replace_sealed([(old, b"\x01kid-0003stale")])

    assert old.bound_to == f"mail|v1|{NUMBER_ID}"
    assert (done, stale) == (1, 0)
    assert await store.mail(posted.key) == replace(posted, sealed=b"\x01kid-0003token")


@promise
async def check_letters_that_are_unknown_are_named_however_they_are_spelled(make_store):
    store = await make_store.with_people()
    await post(store, a_mail())

    for key in STRANGE:
        assert await store.mail(key) is None
        assert isinstance(await outcome(store.update_mail(key, lambda p: p)), MailUnknown)
        assert list(await store.mails(key, 9)) == []
        assert await store.failed_mails(key) == 0


@promise
async def check_while_the_storage_is_locked_letters_and_people_are_unavailable(make_store):
    store = await make_store.with_people()
    (posted,) = await post(store, a_mail())

    async with make_store.writers_locked_out():
        async with asyncio.timeout(30):
            ended = await outcomes(
                [
                    store.lease_mail(NOON, NOON + MINUTE, 9),
                    store.update_mail(posted.key, lambda p: p.delivered(NOON)),
                    store.update_member(
                        OWNER_ID, lambda m: MemberDecision(replace(m, name="Changed"))
                    ),
                    store.update_sign_ins(b"k" * 32, lambda s: s.pay(NOON)),
                    store.invite(an_invitation(9), (), ()),
                ]
            )
    (leased,) = await store.lease_mail(NOON, NOON + MINUTE, 9)

    assert {type(end) for end in ended} <= {Unavailable, Overloaded}
    assert leased.key == posted.key
