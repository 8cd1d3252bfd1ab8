"""What the ``Store`` port promises, as checks that any store can be put to.

``test_store.py`` runs all of them on every store; ``test_controls.py`` runs them
on stores that break a promise, and there each must fail with AssertionError.
"""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from nightlatch.domain.audit import Event, Kind, Link, first_break
from nightlatch.domain.clients import ADMIN, Client, Token, UserDecision
from nightlatch.domain.codes import Method, Pending
from nightlatch.domain.errors import (
    ClientExists,
    LoginRefused,
    NumberExists,
    NumberUnknown,
    Overloaded,
    TooManyUsers,
    Unavailable,
    UserExists,
    UserUnknown,
    WrongCode,
)
from nightlatch.domain.limits import TOKENS_PER_USER, USERS_PER_CLIENT
from nightlatch.domain.numbers import CodeMessage, Decision, Number
from nightlatch.ports import HandsetMessage, SealedValue, Store
from tests.contracts.makers import AUDIT_KEY, NUMBER_ID, Make, a_number, a_user
from tests.people import E164, NOON, OWNER, THIEF

Check = Callable[[Make[Any]], Coroutine[Any, Any, None]]

CHECKS: list[Check] = []
SUBJECT = f"number:{NUMBER_ID}"
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def promise(check: Check) -> Check:
    """Make *check* part of the contract."""
    CHECKS.append(check)
    return check


# Words for the checks


def count_one(by: str) -> Callable[[Number], Decision]:
    """A change that must never be lost: one more ticket, and one event that names it."""

    def change(number: Number) -> Decision:
        ticket = number.guesses.ticket + 1
        return Decision(
            replace(number, guesses=replace(number.guesses, ticket=ticket)),
            (Event(Kind.GUESS_PAID, by, NOON, (("ticket", ticket),)),),
        )

    return change


def a_message(life: timedelta = HOUR, sealed: bytes = b"\x01kid-0001sealed code") -> CodeMessage:
    return CodeMessage(E164, "sms", sealed, NOON + life)


def send(*messages: CodeMessage) -> Callable[[Number], Decision]:
    return lambda number: Decision(number, messages=messages)


def on_handset(number: str = NUMBER_ID, at: timedelta = timedelta(), **changes: Any) -> Any:
    message = HandsetMessage(E164, "sms", number, b"\x01kid-0001text", NOON + at, NOON + HOUR)
    return replace(message, **changes)


def register(client: str) -> Callable[[Number], Decision]:
    event = Event(Kind.NUMBER_REGISTERED, client, NOON)
    return lambda number: Decision(replace(number, holder=client, registered_at=NOON), (event,))


def release(number: Number) -> Decision:
    return Decision(replace(number, holder=None), (Event(Kind.NUMBER_RELEASED, "x", NOON),))


async def outcome(work: Awaitable[object]) -> object:
    """What *work* returned or raised."""
    try:
        return await work
    except Exception as error:
        return error


async def outcomes(works: Sequence[Awaitable[object]]) -> list[object]:
    return list(await asyncio.gather(*(outcome(work) for work in works)))


async def ticket(store: Store, id: str = NUMBER_ID) -> int:
    number = await store.number(id)
    assert number is not None, "the number is gone"
    return number.guesses.ticket


async def trail(store: Store, subject: str | None = SUBJECT) -> list[Link]:
    return [link async for link in store.audit(subject)]


async def assert_chains_hold(store: Store) -> None:
    for subject, seq, head in await store.audit_heads():
        broken_at = first_break(AUDIT_KEY, await trail(store, subject), seq, head)
        assert broken_at is None, f"the chain of {subject} breaks at {broken_at}"


async def everything(store: Store) -> list[object]:
    """All that the port shows, to see that nothing changed."""
    numbers, clients = await store.numbers(), await store.clients()
    users = [
        await store.user(client.name, username)
        for client in clients
        for username in (ADMIN, "guest-1")
    ]
    return [
        list(numbers), list(clients), users, await trail(store, None),
        list(await store.audit_heads()), await store.waiting_for(E164),
    ]  # fmt: skip


class Stumble(Exception):
    """Raised by a change on purpose."""


def stumble(_: object) -> Any:
    raise Stumble


UNWRITABLE = Event(Kind.GUESS_PAID, "x", NOON, (("no such detail", object()),))  # type: ignore[arg-type]  # what no store can write down


# All or nothing


@promise
async def check_update_returns_what_is_kept_and_another_store_object_reads_it(make_store):
    store, other = await make_store.with_owner_and_thief(), await make_store()

    returned = await store.update(NUMBER_ID, count_one("owner"))

    assert returned == a_number(guesses=replace(a_number().guesses, ticket=1))
    assert await store.number(NUMBER_ID) == returned
    assert await other.number(NUMBER_ID) == returned


@promise
async def check_what_a_change_raises_comes_back_unchanged_and_nothing_is_kept(make_store):
    store = await make_store.with_owner_and_thief()
    before = await everything(store)
    complaint = Stumble("this very one")

    def change(number):
        raise complaint

    raised = [
        await outcome(store.update(NUMBER_ID, change)),
        await outcome(store.update_user(OWNER.client, ADMIN, change)),
        await outcome(store.take_over(NUMBER_ID, OWNER.client, change, release)),
    ]

    assert raised == [complaint] * 3
    assert await everything(store) == before


@promise
async def check_a_neighbour_that_raises_costs_nobody_else_their_change(make_store):
    store = await make_store.with_owner_and_thief()
    changes = [count_one("owner") if n % 3 else stumble for n in range(99)]

    ended = await outcomes([store.update(NUMBER_ID, change) for change in changes])

    assert [isinstance(end, Stumble) for end in ended] == [not n % 3 for n in range(99)]
    assert await ticket(store) == 66
    assert len(await trail(store)) == 66
    await assert_chains_hold(store)


@promise
async def check_a_refusing_decision_is_kept_first_and_then_raised(make_store):
    store = await make_store.with_owner_and_thief()
    refusal = WrongCode()

    def change(number):
        decision = count_one("thief")(number)
        return replace(decision, messages=(a_message(),), refusal=refusal)

    raised = await outcome(store.update(NUMBER_ID, change))

    assert raised is refusal, f"{raised!r} came instead of the refusal"
    assert await ticket(await make_store()) == 1, "the decision was not kept"
    assert len(await trail(store)) == 1
    assert await store.waiting_for(E164) == 1


@promise
async def check_a_refusing_decision_about_a_user_is_kept_first_and_then_raised(make_store):
    store = await make_store.with_owner_and_thief()
    refusal = LoginRefused()
    event = Event(Kind.LOGIN_WRONG, "x", NOON)

    raised = await outcome(
        store.update_user(
            OWNER.client,
            ADMIN,
            lambda u: UserDecision(replace(u, wrong_logins=7), (event,), refusal=refusal),
        )
    )
    kept = await (await make_store()).user(OWNER.client, ADMIN)

    assert raised is refusal
    assert kept is not None
    assert kept.wrong_logins == 7, "the decision was not kept"
    assert [link.event for link in await trail(store, f"client:{OWNER.client}")] == [event]


@promise
async def check_a_change_of_a_number_is_not_kept_without_its_event(make_store):
    store = await make_store.with_owner_and_thief()
    before = await everything(store)

    ended = await outcome(
        store.update(
            NUMBER_ID,
            lambda n: Decision(replace(n, name="Changed"), (UNWRITABLE,), (a_message(),)),
        )
    )

    assert isinstance(ended, Exception)
    assert await everything(store) == before, "the change was kept without its event"


@promise
async def check_nothing_is_added_removed_or_set_without_its_event(make_store):
    store = await make_store.with_owner_and_thief()
    guest = a_user(username="guest-1")
    await store.add_user(guest, ())
    before = await everything(store)

    for work in (
        lambda: store.add_number(a_number(2), (UNWRITABLE,)),
        lambda: store.add_client(Client("third", NOON), a_user("third"), (UNWRITABLE,)),
        lambda: store.add_user(a_user(THIEF.client, "guest-1"), (UNWRITABLE,)),
        lambda: store.update_user(
            OWNER.client, ADMIN, lambda u: UserDecision(replace(u, verifier=b"x"), (UNWRITABLE,))
        ),
        lambda: store.remove_user(OWNER.client, "guest-1", (UNWRITABLE,)),
        lambda: store.set_shards(OWNER.client, 4, (UNWRITABLE,)),
    ):
        assert isinstance(await outcome(work()), Exception)

        assert await everything(store) == before, "a change was kept without its event"


@promise
async def check_nobody_ever_reads_a_change_before_its_event(make_store):
    store, reader = await make_store.with_owner_and_thief(), await make_store()
    writing = asyncio.gather(*(store.update(NUMBER_ID, count_one("owner")) for _ in range(300)))

    while not writing.done():
        counted = await ticket(reader)
        written = len(await trail(reader))
        assert written >= counted, f"{counted} changes are seen, {written} events"
        await asyncio.sleep(0)

    await writing


@promise
async def check_a_new_client_comes_with_its_admin(make_store):
    store = await make_store.with_owner_and_thief()
    admin = a_user("third", must_change=True)
    event = Event(Kind.CLIENT_ADDED, "operator", NOON)

    await store.add_client(Client("third", NOON), admin, (event,))
    again = await outcome(store.add_client(Client("third", NOON + HOUR), admin, (event,)))

    assert await store.client("third") == Client("third", NOON)
    assert await store.user("third", ADMIN) == admin
    assert isinstance(again, ClientExists)
    assert len(await trail(store, "client:third")) == 1
    assert [c.name for c in await store.clients()] == [OWNER.client, THIEF.client, "third"]


# Taking over


@promise
async def check_a_take_over_moves_the_number_the_pointer_and_the_other_number_in_one_step(
    make_store,
):
    store = await make_store.with_owner_and_thief()
    first, second = a_number(), a_number(2)
    await store.add_number(second, ())
    await store.take_over(first.id, OWNER.client, register(OWNER.client), release)

    kept = await store.take_over(second.id, OWNER.client, register(OWNER.client), release)

    other, client = await store.number(first.id), await store.client(OWNER.client)
    assert other is not None
    assert client is not None
    assert (kept.holder, other.holder, client.number) == (OWNER.client, None, second.id)
    assert [link.event.kind for link in await trail(store)] == [
        Kind.NUMBER_REGISTERED,
        Kind.NUMBER_RELEASED,
    ]
    await assert_chains_hold(store)


@promise
async def check_a_take_over_whose_release_raises_keeps_nothing(make_store):
    store = await make_store.with_owner_and_thief()
    second = a_number(2)
    await store.add_number(second, ())
    await store.take_over(NUMBER_ID, OWNER.client, register(OWNER.client), release)
    before = await everything(store)

    ended = await outcome(store.take_over(second.id, OWNER.client, register(OWNER.client), stumble))

    assert isinstance(ended, Stumble)
    assert await everything(store) == before, "half of the take-over was kept"


@promise
async def check_a_refused_take_over_keeps_its_decision_and_moves_nothing(make_store):
    store = await make_store.with_owner_and_thief()
    second = a_number(2)
    await store.add_number(second, ())
    await store.take_over(NUMBER_ID, OWNER.client, register(OWNER.client), release)

    ended = await outcome(
        store.take_over(
            second.id,
            OWNER.client,
            lambda n: replace(count_one("thief")(n), refusal=WrongCode()),
            release,
        )
    )

    held, client = await store.number(NUMBER_ID), await store.client(OWNER.client)
    assert isinstance(ended, WrongCode)
    assert await ticket(store, second.id) == 1, "the refused decision was not kept"
    assert held is not None
    assert client is not None
    assert (held.holder, client.number) == (OWNER.client, NUMBER_ID)


@promise
async def check_parallel_take_overs_leave_one_holder_and_every_client_one_number(make_store):
    store, other = await make_store.with_owner_and_thief(), await make_store()
    await store.add_number(a_number(2), ())
    stores, clients = (store, other), (OWNER.client, THIEF.client)

    await make_store.at_once(
        stores[n % 2].take_over(
            a_number(1 + n // 2 % 2).id, clients[n % 2], register(clients[n % 2]), release
        )
        for n in range(60)
    )

    holders = [number.holder for number in await store.numbers() if number.holder is not None]
    assert len(holders) == len(set(holders)), "a client holds two numbers"
    for number in await store.numbers():
        if number.holder is not None:
            client = await store.client(number.holder)
            assert client is not None
            assert client.number == number.id, "a client points to another number than it holds"
    await assert_chains_hold(store)


# Steps never overlap


@promise
async def check_hundreds_of_changes_at_once_are_all_counted(make_store):
    store = await make_store.with_owner_and_thief()

    await asyncio.gather(*(store.update(NUMBER_ID, count_one("owner")) for _ in range(400)))

    assert await ticket(store) == 400
    assert [dict(link.event.details)["ticket"] for link in await trail(store)] == list(
        range(1, 401)
    )
    await assert_chains_hold(store)


@promise
async def check_hundreds_of_changes_of_one_user_at_once_are_all_counted(make_store):
    store = await make_store.with_owner_and_thief()
    change = lambda u: UserDecision(replace(u, wrong_logins=u.wrong_logins + 1))  # noqa: E731 - one line

    await make_store.at_once(store.update_user(OWNER.client, ADMIN, change) for _ in range(300))

    user = await store.user(OWNER.client, ADMIN)
    assert user is not None
    assert user.wrong_logins == 300


@promise
async def check_threads_with_stores_and_loops_of_their_own_lose_nothing(make_store):
    store = await make_store.with_owner_and_thief()
    failed: list[BaseException] = []

    async def count():
        mine = await make_store()
        try:
            for _ in range(5):
                await asyncio.gather(
                    *(mine.update(NUMBER_ID, count_one("owner")) for _ in range(20))
                )
        finally:
            await make_store.shut(mine)

    def run():
        try:
            asyncio.run(count())
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)

    assert not failed, failed
    assert await ticket(store) == 300
    assert len(await trail(store)) == 300
    await assert_chains_hold(store)


@promise
async def check_one_store_object_serves_several_loops_at_once(make_store):
    store = await make_store.with_owner_and_thief()

    async def count():
        await asyncio.gather(*(store.update(NUMBER_ID, count_one("owner")) for _ in range(50)))

    await asyncio.gather(*(asyncio.to_thread(asyncio.run, count()) for _ in range(3)))

    assert await ticket(store) == 150


@promise
async def check_four_processes_count_together_to_the_exact_sum(make_store):
    store = await make_store.with_owner_and_thief()
    each, at_once = 120, 12
    children = [make_store.elsewhere("count", each, at_once) for _ in range(4)]
    for child in children:
        assert await asyncio.to_thread(child.stdout.readline) == b"ready\n"

    for child in children:
        child.stdin.write(b"go\n")
        child.stdin.flush()
    said = [(await asyncio.to_thread(child.communicate))[0].split() for child in children]
    kept, unknown = (sum(int(words[n]) for words in said) for n in (0, 1))

    assert kept + unknown == 4 * each, "a process failed"
    counted = await ticket(store)
    assert kept <= counted <= kept + unknown, f"{kept} were kept, {counted} are there"
    assert len(await trail(store)) == counted
    await assert_chains_hold(store)


@promise
async def check_of_parallel_additions_of_one_number_exactly_one_succeeds(make_store):
    store, other = await make_store.with_owner_and_thief(), await make_store()
    event = Event(Kind.NUMBER_ADDED, "operator", NOON)
    same = [replace(a_number(2), id=a_number(10 + n).id) for n in range(40)]

    ended = await make_store.at_once(
        outcome((store, other)[n % 2].add_number(number, (event,))) for n, number in enumerate(same)
    )

    assert sum(end is None for end in ended) == 1
    assert sum(isinstance(end, NumberExists) for end in ended) == 39
    assert len(await store.numbers()) == 2
    await assert_chains_hold(store)


@promise
async def check_of_parallel_additions_of_one_client_or_user_exactly_one_succeeds(make_store):
    store, other = await make_store.with_owner_and_thief(), await make_store()
    event = Event(Kind.USER_ADDED, "operator", NOON)

    clients = await make_store.at_once(
        outcome((store, other)[n % 2].add_client(Client("third", NOON), a_user("third"), ()))
        for n in range(40)
    )
    users = await make_store.at_once(
        outcome((store, other)[n % 2].add_user(a_user(username="guest-1"), (event,)))
        for n in range(40)
    )

    assert [sum(end is None for end in ended) for ended in (clients, users)] == [1, 1]
    assert sum(isinstance(end, ClientExists) for end in clients) == 39
    assert sum(isinstance(end, UserExists) for end in users) == 39
    assert len(await trail(store, f"client:{OWNER.client}")) == 1


@promise
async def check_a_client_never_has_more_users_than_it_may_even_in_a_race(make_store):
    store, other = await make_store.with_owner_and_thief(), await make_store()
    room = USERS_PER_CLIENT - 1  # the admin is there
    await make_store.with_users(store, (a_user(username=f"user-{n}") for n in range(room - 5)))

    ended = await outcomes(
        [(store, other)[n % 2].add_user(a_user(username=f"late-{n}"), ()) for n in range(20)]
    )

    assert sum(end is None for end in ended) == 5
    assert sum(isinstance(end, TooManyUsers) for end in ended) == 15
    await store.add_user(a_user(THIEF.client, "guest-1"), ())


# What is unknown


@promise
async def check_the_unknown_is_named_and_reads_of_it_answer_none(make_store):
    store = await make_store.with_owner_and_thief()
    nobody = a_number(9).id

    ended = await outcomes(
        [
            store.update(nobody, count_one("x")),
            store.take_over(nobody, OWNER.client, register(OWNER.client), release),
            store.update_user(OWNER.client, "nobody", UserDecision),
            store.update_user("nobody", ADMIN, UserDecision),
            store.remove_user(OWNER.client, "nobody", ()),
        ]
    )

    assert [type(end) for end in ended] == [NumberUnknown] * 2 + [UserUnknown] * 3
    assert await store.number(nobody) is None
    assert await store.number_by_e164("+4930111111") is None
    assert await store.number_pending_for(OWNER.client) is None
    assert await store.client("nobody") is None
    assert await store.user(OWNER.client, "nobody") is None
    assert await trail(store, "number:nobody") == []


# Durable on return


@promise
async def check_what_was_acknowledged_survives_the_death_of_its_process_in_the_same_moment(
    make_store,
):
    store = await make_store.with_owner_and_thief()

    for kills in range(1, 4):
        said, _ = await asyncio.to_thread(make_store.elsewhere("acknowledge_and_die").communicate)

        assert said == b"."
        assert await ticket(store) == kills, "an acknowledged change is lost"


@promise
async def check_what_was_acknowledged_survives_kill_9_under_load(make_store):
    store = await make_store.with_owner_and_thief()
    acknowledged, at_once = 0, 8

    for kills in range(1, 13):
        child = make_store.elsewhere("acknowledge", at_once)
        said = await asyncio.to_thread(os.read, child.stdout.fileno(), 1)
        said += await asyncio.to_thread(child.stdout.read, 7 * kills)
        child.kill()
        said += await asyncio.to_thread(child.stdout.read)
        await asyncio.to_thread(child.wait)
        child.stdin.close()
        child.stdout.close()

        acknowledged += len(said)
        kept = await ticket(store)
        assert acknowledged <= kept <= acknowledged + at_once * kills
        assert len(await trail(store)) == kept
    await assert_chains_hold(store)


@promise
async def check_a_commit_waits_for_the_disk(make_store):
    store = await make_store.with_owner_and_thief()

    assert await make_store.syncs_before_it_answers(store)


@promise
async def check_another_process_reads_what_was_returned(make_store):
    store = await make_store.with_owner_and_thief()
    for _ in range(3):
        await store.update(NUMBER_ID, count_one("owner"))

    said, _ = await asyncio.to_thread(make_store.elsewhere("read").communicate)

    assert said == b"3"


@promise
async def check_all_of_it_is_there_after_closing_and_opening_again(make_store):
    store = await make_store.with_owner_and_thief()
    await store.update(NUMBER_ID, lambda n: replace(count_one("x")(n), messages=(a_message(),)))
    await store.add_user(a_user(username="guest-1"), (Event(Kind.USER_ADDED, "x", NOON),))
    await store.put_on_handset("key", on_handset())
    before = await everything(store)
    await make_store.shut(store)

    again = await make_store()

    assert await everything(again) == before
    assert await again.handset(E164, NOON) == [on_handset()]
    await assert_chains_hold(again)


# Reads


@promise
async def check_reads_see_every_step_that_returned_before(make_store):
    store, other = await make_store.with_owner_and_thief(), await make_store()

    for n in range(1, 40):
        writer, reader = ((store, other), (other, store))[n % 2]
        await writer.update(NUMBER_ID, count_one("owner"))

        by_e164 = await reader.number_by_e164(E164)
        assert await ticket(reader) == n
        assert by_e164 is not None
        assert by_e164.guesses.ticket == n
        assert len(await trail(reader)) == n


@promise
async def check_reads_never_wait_for_writers(make_store):
    store = await make_store.with_owner_and_thief()
    token = Token(b"h" * 32, NOON + HOUR)
    await store.update_user(OWNER.client, ADMIN, lambda u: UserDecision(u, token=token))

    async with make_store.writers_locked_out():
        read = await outcomes(
            [
                store.number(NUMBER_ID),
                store.number_by_e164(E164),
                store.client(OWNER.client),
                store.user(OWNER.client, ADMIN),
                store.session(OWNER.client, token.hash, NOON),
            ]
        )
        rest = await outcomes(
            [
                store.numbers(),
                store.clients(),
                store.audit_heads(),
                store.handset(E164, NOON),
                store.waiting_for(E164),
                store.kids_in_use(),
                store.sealed_with_others("kid-9999"),
                store.latest_time(),
                store.number_pending_for(OWNER.client),
                trail(store),
            ]
        )

    assert read[:2] == [a_number(), a_number()]
    assert not [end for end in (*read, *rest) if isinstance(end, Exception)]


@promise
async def check_numbers_come_by_e164_a_page_at_a_time(make_store):
    store = await make_store.with_owner_and_thief()
    added = [a_number(n) for n in (5, 3, 4, 2)]
    for number in added:
        await store.add_number(number, ())
    every = sorted([a_number(), *added], key=lambda n: n.e164)

    first = await store.numbers(limit=2)
    rest = await store.numbers(after=first[-1].e164)

    assert list(first) == every[:2]
    assert list(rest) == every[2:]
    assert list(await store.numbers(after=every[-1].e164)) == []


@promise
async def check_the_pending_number_is_the_one_that_the_client_asked_for_last(make_store):
    store = await make_store.with_owner_and_thief()
    await store.add_number(a_number(2), ())

    async def ask(number, client, at):
        pending = Pending(f"session {at}", client, Method.SMS, b"h" * 32, 0, NOON + at)
        await store.update(number.id, lambda n: Decision(replace(n, pending=pending)))

    await ask(a_number(1), OWNER.client, 1 * MINUTE)
    await ask(a_number(2), OWNER.client, 2 * MINUTE)
    last = await store.number_pending_for(OWNER.client)
    await ask(a_number(2), THIEF.client, 3 * MINUTE)
    left = await store.number_pending_for(OWNER.client)

    assert last is not None
    assert left is not None
    assert (last.id, left.id) == (a_number(2).id, a_number(1).id)


@promise
async def check_times_keep_their_microseconds(make_store):
    store = await make_store.with_owner_and_thief()
    odd = datetime(2026, 7, 1, 23, 59, 59, 999_999, tzinfo=UTC)
    late = datetime(2099, 12, 31, 0, 0, 0, 1, tzinfo=UTC)
    event = Event(Kind.GUESS_PAID, "x", odd)
    token = Token(b"h" * 32, late)

    await store.update(
        NUMBER_ID,
        lambda n: Decision(
            replace(n, registered_at=odd, code_verified_at=late),
            (event,),
            (replace(a_message(), expires_at=late),),
        ),
    )
    await store.update_user(
        OWNER.client, ADMIN, lambda u: UserDecision(replace(u, last_wrong_at=odd), token=token)
    )
    await store.put_on_handset("key", on_handset(received_at=odd, expires_at=late))

    again = await make_store()
    number, user = await again.number(NUMBER_ID), await again.user(OWNER.client, ADMIN)
    session = await again.session(OWNER.client, token.hash, NOON)
    (leased,) = await again.lease(odd, odd + MINUTE, 10)
    assert number is not None
    assert user is not None
    assert session is not None
    assert (number.registered_at, number.code_verified_at) == (odd, late)
    assert user.last_wrong_at == odd
    assert session.expires_at == late
    assert leased.message.expires_at == late
    assert [link.event for link in await trail(again)] == [event]
    assert await again.handset(E164, odd) == [on_handset(received_at=odd, expires_at=late)]


# The trail


@promise
async def check_one_step_may_write_thousands_of_events_and_all_are_read_in_order(make_store):
    store = await make_store.with_owner_and_thief()
    events = tuple(
        Event(Kind.GUESS_PAID, "x", NOON + n * SECOND, (("n", n), ("ok", True), ("é", "ü")))
        for n in range(2_100)
    )

    await store.update(NUMBER_ID, lambda n: Decision(n, events))
    await store.set_shards(THIEF.client, 4, (Event(Kind.SHARDS_SET, "thief", NOON),))

    links = await trail(store)
    assert [link.seq for link in links] == list(range(1, 2_101))
    assert tuple(link.event for link in links) == events
    assert len(await trail(store, None)) == 2_101
    assert (SUBJECT, 2_100, links[-1].hash) in [tuple(h) for h in await store.audit_heads()]
    await assert_chains_hold(store)


# Tokens


async def _log_in(store: Store, token: Token, username: str = ADMIN, **how: Any) -> None:
    await store.update_user(
        OWNER.client, username, lambda user: UserDecision(user, token=token, **how)
    )


async def _opens(store: Store, *tokens: Token, client: str = OWNER.client) -> list[bool]:
    return [await store.session(client, t.hash, NOON) is not None for t in tokens]


def _tokens(count: int) -> list[Token]:
    return [Token(b"%032d" % n, NOON + HOUR + n * SECOND) for n in range(count)]


@promise
async def check_a_token_speaks_for_its_user_until_it_expires(make_store):
    store = await make_store.with_owner_and_thief()
    (token,) = _tokens(1)
    await _log_in(store, token)

    good = await store.session(OWNER.client, token.hash, token.expires_at - SECOND / 10**6)
    expired = await store.session(OWNER.client, token.hash, token.expires_at)

    assert good is not None
    assert (good.user, good.token_hash) == (a_user(), token.hash)
    assert expired is None, "an expired token still opens"


@promise
async def check_a_token_is_unknown_to_every_other_client(make_store):
    store = await make_store.with_owner_and_thief()
    (token,) = _tokens(1)
    await _log_in(store, token)

    assert await _opens(store, token) == [True]
    assert await _opens(store, token, client=THIEF.client) == [False]
    assert await store.session(OWNER.client, b"?" * 32, NOON) is None


@promise
async def check_an_ended_session_is_known_no_more_anywhere(make_store):
    store, other = await make_store.with_owner_and_thief(), await make_store()
    one, two = _tokens(2)
    await _log_in(store, one)
    await _log_in(store, two)

    await store.end_session(one.hash)
    await store.end_session(b"?" * 32)

    assert await _opens(other, one, two) == [False, True]


@promise
async def check_ending_tokens_spares_the_one_to_keep_and_the_new_one_and_other_users(make_store):
    store = await make_store.with_owner_and_thief()
    await store.add_user(a_user(username="guest-1"), ())
    old, kept, new, guests = _tokens(4)
    await _log_in(store, old)
    await _log_in(store, kept)
    await _log_in(store, guests, "guest-1")

    await _log_in(store, new, end_tokens=True, keep=kept.hash)

    assert await _opens(store, old, kept, new, guests) == [False, True, True, True]


@promise
async def check_ending_tokens_without_one_to_keep_ends_all(make_store):
    store = await make_store.with_owner_and_thief()
    one, two = _tokens(2)
    await _log_in(store, one)
    await _log_in(store, two)

    await store.update_user(OWNER.client, ADMIN, lambda u: UserDecision(u, end_tokens=True))

    assert await _opens(store, one, two) == [False, False]


@promise
async def check_a_login_beyond_the_cap_ends_the_oldest_token(make_store):
    store = await make_store.with_owner_and_thief()
    tokens = _tokens(TOKENS_PER_USER + 2)
    await make_store.with_tokens(store, a_user(), tokens[:-12])
    await asyncio.gather(*(_log_in(store, token) for token in tokens[-12:-2]))
    before = await _opens(store, *tokens[:3])

    await _log_in(store, tokens[-2])
    await _log_in(store, tokens[-1])

    assert before == [True] * 3
    assert await _opens(store, *tokens[:3], *tokens[-2:]) == [False, False, True, True, True]


@promise
async def check_a_removed_user_takes_the_tokens_along(make_store):
    store = await make_store.with_owner_and_thief()
    await store.add_user(a_user(username="guest-1"), ())
    one, two = _tokens(2)
    await _log_in(store, one)
    await _log_in(store, two, "guest-1")

    await store.remove_user(OWNER.client, "guest-1", (Event(Kind.USER_REMOVED, "x", NOON),))
    await store.add_user(a_user(username="guest-1"), ())  # the same name, somebody else

    assert await _opens(store, one, two) == [True, False]


# Messages on their way


@promise
async def check_parallel_leasers_never_get_the_same_message(make_store):
    store, other = await make_store.with_owner_and_thief(), await make_store()
    await store.update(NUMBER_ID, send(*(a_message() for _ in range(60))))

    leases = await asyncio.gather(
        *((store, other)[n % 2].lease(NOON, NOON + MINUTE, 7) for n in range(20))
    )

    keys = [message.key for lease in leases for message in lease]
    assert len(keys) == len(set(keys)), "a message was leased twice"
    assert len(keys) == 60
    assert max(len(lease) for lease in leases) == 7


@promise
async def check_a_lease_shows_the_whole_message_and_runs_out(make_store):
    store = await make_store.with_owner_and_thief()
    await store.update(NUMBER_ID, send(a_message()))

    (first,) = await store.lease(NOON, NOON + MINUTE, 10)
    meanwhile = await store.lease(NOON + MINUTE - SECOND / 10**6, NOON + HOUR, 10)
    (again,) = await store.lease(NOON + MINUTE, NOON + HOUR, 10)

    assert (first.number, first.message, first.attempts) == (NUMBER_ID, a_message(), 1)
    assert list(meanwhile) == [], "a leased message was shown again"
    assert again == replace(first, attempts=2)


@promise
async def check_a_sent_message_is_erased_and_a_postponed_one_waits(make_store):
    store = await make_store.with_owner_and_thief()
    await store.update(NUMBER_ID, send(a_message(), a_message()))
    gone, later = await store.lease(NOON, NOON + MINUTE, 10)

    await store.sent(gone.key)
    await store.sent("no such key")
    await store.postpone(later.key, NOON + 2 * MINUTE)

    too_early = await store.lease(NOON + MINUTE, NOON + HOUR, 10)
    due = await store.lease(NOON + 2 * MINUTE, NOON + HOUR, 10)
    assert list(too_early) == []
    assert [message.key for message in due] == [later.key]
    assert await store.waiting_for(E164) == 1


@promise
async def check_an_expired_message_is_erased_and_never_leased(make_store):
    store = await make_store.with_owner_and_thief()
    await store.update(NUMBER_ID, send(a_message(MINUTE), a_message(HOUR)))

    leased = await store.lease(NOON + MINUTE, NOON + HOUR, 10)

    assert [message.message for message in leased] == [a_message(HOUR)]
    assert await store.waiting_for(E164) == 1
    assert len(await store.sealed_with_others("kid-9999")) == 3  # two passwords, one code


@promise
async def check_the_handset_takes_a_message_once_by_its_key(make_store):
    store = await make_store.with_owner_and_thief()
    second = on_handset(at=SECOND)

    await store.put_on_handset("one", on_handset())
    await store.put_on_handset("two", second)
    await store.put_on_handset("one", on_handset(at=MINUTE, sealed=b"\x01kid-0001changed"))

    assert await store.handset(E164, NOON) == [second, on_handset()]


@promise
async def check_the_handset_shows_what_has_not_expired(make_store):
    store = await make_store.with_owner_and_thief()
    short = on_handset(expires_at=NOON + MINUTE)
    await store.put_on_handset("short", short)

    assert await store.handset(E164, NOON + MINUTE - SECOND / 10**6) == [short]
    assert await store.handset(E164, NOON + MINUTE) == []
    assert await store.handset("+4930111111", NOON) == []


# Upkeep


async def _with_sealed_values(make_store: Make[Any]) -> Any:
    """A store with one sealed value of each kind, of two keys."""
    store = await make_store.with_owner_and_thief()
    await store.update(
        NUMBER_ID,
        lambda n: Decision(
            replace(n, two_step=n.two_step.turn_on(b"\x01kid-0002pin")), messages=(a_message(),)
        ),
    )
    await store.put_on_handset("key", on_handset(sealed=b"\x01kid-0002text"))
    return store


@promise
async def check_every_sealed_value_is_known_by_its_key_and_what_it_is_bound_to(make_store):
    store = await _with_sealed_values(make_store)
    passwords = {f"password|v1|{client}/{ADMIN}" for client in (OWNER.client, THIEF.client)}

    async def others(kid):
        return [v.bound_to for v in await store.sealed_with_others(kid)]

    assert await store.kids_in_use() == {"kid-0001": 3, "kid-0002": 2}
    assert sorted(await others("kid-0001")) == [f"code|v1|{NUMBER_ID}", f"pin|v1|{NUMBER_ID}"]
    assert set(await others("kid-0002")) == {*passwords, f"code|v1|{NUMBER_ID}"}
    assert len(await others("kid-9999")) == 5


@promise
async def check_a_value_sealed_anew_takes_the_old_ones_place(make_store):
    store = await _with_sealed_values(make_store)
    old = await store.sealed_with_others("kid-0003")

    done = await store.replace_sealed([(v, b"\x01kid-0003" + v.sealed[9:]) for v in old])

    number, user = await store.number(NUMBER_ID), await store.user(OWNER.client, ADMIN)
    (waiting,) = await store.lease(NOON, NOON + MINUTE, 9)
    (shown,) = await store.handset(E164, NOON)
    assert done == 5
    assert await store.kids_in_use() == {"kid-0003": 5}
    assert await store.sealed_with_others("kid-0003") == []
    assert number is not None
    assert user is not None
    assert number.two_step.verifier == b"\x01kid-0003pin"
    assert number.two_step.version == 1
    assert user.verifier == b"\x01kid-0003" + a_user().verifier[9:]
    assert waiting.message.sealed == b"\x01kid-0003sealed code"
    assert shown.sealed == b"\x01kid-0003text"


@promise
async def check_a_value_that_changed_meanwhile_is_never_replaced(make_store):
    store = await _with_sealed_values(make_store)
    old = await store.sealed_with_others("kid-0003")
    newer = b"\x01kid-0003a newer PIN"
    await store.update(
        NUMBER_ID, lambda n: Decision(replace(n, two_step=n.two_step.turn_on(newer)))
    )
    await store.update_user(OWNER.client, ADMIN, lambda u: UserDecision(u.with_password(newer)))
    await store.put_on_handset("another", on_handset(sealed=b"\x01kid-0003another"))

    done = await store.replace_sealed([(v, b"\x01kid-0003stale") for v in old])

    number, user = await store.number(NUMBER_ID), await store.user(OWNER.client, ADMIN)
    assert number is not None
    assert user is not None
    assert (number.two_step.verifier, user.verifier) == (newer, newer), "the new PIN is lost"
    assert done == 3


@promise
async def check_a_value_of_a_removed_owner_is_nobodys(make_store):
    store = await make_store.with_owner_and_thief()
    gone = SealedValue("password", f"{OWNER.client}/nobody", "password", a_user().verifier)

    assert await store.replace_sealed([(gone, b"\x01kid-0003x")]) == 0
    assert await store.kids_in_use() == {"kid-0001": 2}


@promise
async def check_tidying_erases_what_has_expired_and_nothing_else(make_store):
    store = await make_store.with_owner_and_thief()
    short, long = Token(b"s" * 32, NOON + MINUTE), Token(b"l" * 32, NOON + HOUR)
    await _log_in(store, short)
    await _log_in(store, long)
    await store.update(NUMBER_ID, send(a_message(MINUTE), a_message(HOUR)))
    await store.put_on_handset("short", on_handset(expires_at=NOON + MINUTE))
    await store.put_on_handset("long", on_handset())

    await store.tidy(NOON + MINUTE)

    assert await _opens(store, short, long) == [False, True]
    assert await store.waiting_for(E164) == 1
    assert await store.handset(E164, NOON) == [on_handset()]
    assert await store.kids_in_use() == {"kid-0001": 4}


@promise
async def check_the_latest_time_is_the_latest_event_or_tidying_and_never_goes_back(make_store):
    store = await make_store.with_owner_and_thief()
    seen = [await store.latest_time()]

    for at in (HOUR, 2 * HOUR, MINUTE):
        await store.tidy(NOON + at)
        seen.append(await (await make_store()).latest_time())
    for at in (3 * HOUR, SECOND):
        event = Event(Kind.GUESS_PAID, "x", NOON + at)
        await store.update(NUMBER_ID, lambda n, event=event: Decision(n, (event,)))
        seen.append(await store.latest_time())

    assert seen == [None, *(NOON + n * HOUR for n in (1, 2, 2, 3, 3))]


# When the storage does not answer


@promise
async def check_a_locked_storage_is_unavailable_and_works_again_by_itself(make_store):
    store = await make_store.with_owner_and_thief()

    async with make_store.writers_locked_out():
        async with asyncio.timeout(30):
            ended = await outcomes(
                [
                    store.update(NUMBER_ID, count_one("owner")),
                    store.add_number(a_number(2), ()),
                    store.update_user(
                        OWNER.client, ADMIN, lambda u: UserDecision(replace(u, wrong_logins=1))
                    ),
                    store.end_session(b"?" * 32),
                    store.tidy(NOON),
                ]
            )
        seen_meanwhile = await ticket(store)
    await store.update(NUMBER_ID, count_one("owner"))

    assert [type(end) for end in ended] == [Unavailable] * 5
    assert seen_meanwhile == 0
    assert await ticket(store) in (1, 2)  # what was unavailable for too long may be late
    assert len(await trail(store)) == await ticket(store)
    assert len(await store.numbers()) == 1


@promise
async def check_a_store_that_is_given_too_much_refuses_at_once_and_keeps_all_it_took(make_store):
    store = await make_store.with_owner_and_thief()

    def count(number):
        return replace(count_one("owner")(number), events=())

    async with make_store.writers_locked_out():
        waiting: list[asyncio.Future[object]] = []
        refused = False
        while not refused and len(waiting) < 15_000:
            more = [
                asyncio.ensure_future(outcome(store.update(NUMBER_ID, count))) for _ in range(500)
            ]
            waiting += more
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            refused = any(one.done() and isinstance(one.result(), Overloaded) for one in more)
    ended = await asyncio.gather(*waiting)
    kept = sum(isinstance(end, Number) for end in ended)
    unknown = sum(isinstance(end, Unavailable) for end in ended)

    assert refused, "nothing was refused"
    assert {type(end) for end in ended} <= {Number, Overloaded, Unavailable}
    assert kept <= await ticket(store) <= kept + unknown
    before = await ticket(store)
    await store.update(NUMBER_ID, count)
    assert before + 1 <= await ticket(store) <= kept + unknown + 1  # what was unknown may be late
