"""What the ``Store`` port promises of linked accounts and their numbers at the Cloud API."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.errors import (
    LinkedNumberUnknown,
    LinkExists,
    LinkUnknown,
    NumberExists,
    OutcomeUnknown,
    PortfolioUnknown,
    TooManyLinks,
    WrongPin,
)
from nightlatch.domain.guesses import Guesses, Paid
from nightlatch.domain.ledger import Act, Ledger
from nightlatch.domain.limits import INBOUND_KEPT, LINKS_PER_PORTFOLIO
from nightlatch.domain.linked import (
    Alert,
    Facts,
    Health,
    HealthError,
    LinkedDecision,
    LinkedNumber,
    MetaRefusal,
    Reason,
    UnderWay,
    Waiting,
    begin,
    done,
    keep_pin,
    not_sent,
    observe,
    refused,
    unanswered,
)
from nightlatch.domain.links import CloudLink, LinkDecision, TokenFacts
from nightlatch.domain.mail import Letter, Mail, To
from nightlatch.domain.overview import Show
from nightlatch.domain.vault import KeptPin, Vault
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
    register,
    release,
    stumble,
    trail,
)
from tests.contracts.makers import ELSEWHERE, NUMBER_ID, PORTFOLIO, WABA, a_number
from tests.contracts.people import STRANGE
from tests.people import E164, NOON, OWNER, THIEF

MICRO, DAY = timedelta(microseconds=1), timedelta(days=1)
SUBJECT = f"portfolio:{PORTFOLIO.id}"
ADDED = Event(Kind.LINK_ADDED, "operator", NOON, place="192.0.2.7")
HEARD = Event(Kind.HEARD, "meta", NOON)
RELEASED = Event(Kind.LINKED_RELEASED, "x", NOON)


def a_link(index: int = 1, **changes: Any) -> CloudLink:
    values: dict[str, Any] = {
        "waba": str(700_000_000_000_000 + index),
        "portfolio": PORTFOLIO.id,
        "name": f"Linked {index}",
        "token": b"\x01kid-0001 token of %d" % index,
        "verify_token": b"\x01kid-0001 verify token of %d" % index,
        "linked_at": NOON + index * SECOND,
    }
    return CloudLink(**(values | changes))


def a_linked(index: int = 1, **changes: Any) -> LinkedNumber:
    values: dict[str, Any] = {
        "id": str(800_000_000_000_000 + index),
        "e164": f"+1631{5_570_000 + index}",
        "cc": "1",
        "waba": a_link().waba,
        "found_at": NOON,
        "facts": Facts(at=NOON, name=f"Linked {index}", status="CONNECTED", platform="CLOUD_API"),
    }
    return LinkedNumber(**(values | changes))


LINK, LINKED, SECOND_ID, THIRD_ID = a_link().waba, a_linked().id, a_linked(2).id, a_linked(3).id
CHAIN = f"linked:{LINKED}"
FIRST = a_linked().e164


def a_pin(key: str, at: datetime = NOON) -> KeptPin:
    return KeptPin(key, b"\x01kid-0001 PIN of " + key.encode(), at)


async def with_links(make_store: Any) -> Any:
    """The owner's portfolio has a link with two numbers, the thief's one with a third."""
    store = await make_store.with_people()
    await store.add_link(a_link(), ())
    await store.add_link(a_link(9, portfolio=ELSEWHERE.id), ())
    for number in (a_linked(), a_linked(2), a_linked(3, waba=a_link(9).waba)):
        await store.add_linked(number, ())
    return store


async def cupboard(store: Store) -> list[Any]:
    """All that the port shows of links and their numbers, to see that nothing changed."""
    links = list(await store.links())
    numbers = [list(await store.linked_numbers(link.waba)) for link in links]
    return [
        links, numbers, list(await store.numbers()), list(await store.clients()),
        list(await store.mails(None, 99)), await trail(store, None),
    ]  # fmt: skip


async def the(store: Store, id: str = LINKED) -> LinkedNumber:
    number = await store.linked(id)
    assert number is not None, "the number is gone"
    return number


def count(by: str) -> Callable[[LinkedNumber], LinkedDecision]:
    """A change that must never be lost."""

    def change(number: LinkedNumber) -> LinkedDecision:
        told = Event(Kind.GUESS_PAID, by, NOON, (("looks", number.looks + 1),))
        return LinkedDecision(replace(number, looks=number.looks + 1), (told,))

    return change


def serve(client: str) -> Callable[[LinkedNumber], LinkedDecision]:
    event = Event(Kind.NUMBER_REGISTERED, client, NOON)
    return lambda n: LinkedDecision(replace(n, holder=client, registered_at=NOON), (event,))


def let_go(number: LinkedNumber) -> LinkedDecision:
    return LinkedDecision(replace(number, holder=None), (RELEASED,))


def due(at: datetime | None) -> Callable[[LinkedNumber], LinkedDecision]:
    return lambda n: LinkedDecision(replace(n, due_at=at))


def attempt(
    key: str, now: datetime = NOON, act: Act = Act.PIN
) -> Callable[[LinkedNumber], LinkedDecision]:
    return lambda n: begin(n, act, key, "x", now, pin=a_pin(key, now), client=OWNER.client)


def a_letter(**changes: Any) -> Mail:
    facts = (("number", FIRST),)
    return replace(
        Mail(letter=Letter.CLOUD_PIN_CHANGED, to=To.OWNERS, at=NOON, facts=facts), **changes
    )


async def take(store: Store, id: str, client: str = OWNER.client, change: Any = None) -> object:
    return await store.take_linked(id, client, change or serve(client), let_go, release)


# Kept whole


@promise
async def check_links_and_their_numbers_are_read_back_whole(make_store):
    store, other = await make_store.with_people(), await make_store()
    facts = TokenFacts(
        True, frozenset({"a", "b"}), "1", "SYSTEM_USER", NOON, NOON + MICRO, frozenset({LINK})
    )
    bare, whole = a_link(2, subscribed=False), a_link(
        secret=b"\x01kid-0001 secret", base="http://127.0.0.1:1", version="v22.0",
        clients=("main", "thief"), set_again=True, facts=facts, facts_at=NOON, subscribed=True,
        lost_at=NOON + MICRO, read_at=NOON + DAY, cursor="c",
    )  # fmt: skip
    plain, full = a_linked(2), a_linked(
        facts=Facts(
            at=NOON + MICRO, name="Ä", name_state="APPROVED", new_name="B",
            new_name_state="DECLINED", code_state="VERIFIED", pin_on=False, status="CONNECTED",
            platform="CLOUD_API", on_app=True, mode="LIVE", quality="GREEN", webhook="https://x",
            health=(Health("PHONE_NUMBER", "1", "BLOCKED", (HealthError(1, "d", "s"),)),),
        ),
        holder="main", registered_at=NOON, waiting=Waiting("thief", NOON, b"\x01kid-0001 w"),
        vault=Vault(a_pin("a"), (a_pin("c"), a_pin("b")), NOON + DAY, doubted=True),
        ledger=Ledger(((Act.PIN, NOON), (Act.CODE, NOON)), ((Act.REGISTER, NOON + DAY),)),
        guesses=Guesses(3, 2, 1, (Paid(3, NOON),), NOON, locked=True, warned=True),
        under_way=UnderWay(Act.PIN, "b", NOON, "m", "main", True, False, "b", unknown=True),
        off_asked_at=NOON, name_asked="C", name_approved_at=NOON, set_again=True,
        alerts=(Alert("PIN_CHANGED", NOON), Alert("PIN_RESET_REQUEST", NOON, "who")), looks=7,
        due_at=NOON + MINUTE,
    )  # fmt: skip

    for link in (bare, whole):
        await store.add_link(link, ())
    for number in (plain, full):
        await store.add_linked(number, ())

    for one in (store, other):
        assert [await one.link(LINK), await one.link(bare.waba)] == [whole, bare]
        read = [await one.linked(LINKED), await one.linked_by_e164(plain.e164)]
        assert repr(read) == repr([full, plain])  # True is not 1
        assert await one.linked_of("main") == await one.linked_waiting_for("thief") == full
        assert (await one.linked_of("thief"), await one.linked_waiting_for("main")) == (None, None)


@promise
async def check_links_come_by_when_they_were_linked_of_one_portfolio_or_of_all(make_store):
    store = await make_store.with_people()
    links = [
        a_link(1, linked_at=NOON + DAY), a_link(2, portfolio=ELSEWHERE.id, linked_at=NOON + HOUR),
        a_link(3, linked_at=NOON),
    ]  # fmt: skip
    for link in links:
        await store.add_link(link, ())

    assert list(await (await make_store()).links()) == [links[2], links[1], links[0]]
    assert list(await store.links(PORTFOLIO.id)) == [links[2], links[0]]
    assert list(await store.links("7")) == []


@promise
async def check_numbers_and_all_their_pins_come_by_e164_a_page_at_a_time(make_store):
    store = await with_links(make_store)
    numbers = [a_linked(), a_linked(2)]
    for n in (12, 10, 11, 13):
        vault = Vault(a_pin("x"), tuple(a_pin(f"{n}-{i}") for i in range(n - 10)))
        numbers.append(a_linked(n, vault=vault))
        await store.add_linked(numbers[-1], ())
    wanted = sorted(numbers, key=lambda n: n.e164)

    found: list[LinkedNumber] = []
    while page := await store.linked_numbers(LINK, found[-1].e164 if found else "", 2):
        assert len(page) <= 2
        found += page

    assert found == list(await store.linked_numbers(LINK)) == wanted
    assert [await store.linked_count(waba) for waba in (LINK, a_link(9).waba)] == [6, 1]


@promise
async def check_numbers_with_alerts_are_those_of_the_portfolio_until_somebody_saw_them(
    make_store,
):
    store = await with_links(make_store)

    def alarm(number: LinkedNumber) -> LinkedDecision:
        return LinkedDecision(replace(number, alerts=(Alert("PIN_CHANGED", NOON),)))

    for id_ in (SECOND_ID, THIRD_ID, LINKED):
        await store.update_linked(id_, alarm)
    both = [n.id for n in await (await make_store()).alarmed(PORTFOLIO.id, 9)]
    first = [n.id for n in await store.alarmed(PORTFOLIO.id, 1)]
    await store.update_linked(LINKED, lambda n: LinkedDecision(replace(n, alerts=())))
    seen = [n.id for n in await store.alarmed(PORTFOLIO.id, 9)]
    await store.update_linked(LINKED, lambda n: LinkedDecision(replace(n, off_asked_at=NOON)))

    assert (both, first) == ([LINKED, SECOND_ID], [LINKED])
    assert seen == [SECOND_ID]
    assert [n.id for n in await store.alarmed(PORTFOLIO.id, 9)] == [LINKED, SECOND_ID]


@promise
async def check_linked_numbers_are_found_as_they_are_now_by_whatever_they_are_looked_for(
    make_store,
):
    store, other = await with_links(make_store), await make_store()

    async def seen() -> list[str | None]:
        found = [
            await other.linked_of(OWNER.client), await other.linked_waiting_for(OWNER.client),
            await other.linked_by_e164("+16315570099"), await other.linked(a_linked(99).id),
        ]  # fmt: skip
        return [None if number is None else number.id for number in found]

    def wait(at: datetime) -> Any:
        return lambda n: LinkedDecision(replace(n, waiting=Waiting(OWNER.client, at)))

    nobody = await seen()
    await store.update_linked(LINKED, wait(NOON + SECOND))
    await store.update_linked(SECOND_ID, wait(NOON))
    await take(store, SECOND_ID)
    await store.add_linked(a_linked(99), ())
    somebody = await seen()
    await store.update_linked(SECOND_ID, let_go)
    await store.update_linked(LINKED, wait(NOON - SECOND))

    assert nobody == [None] * 4
    assert somebody == [SECOND_ID, LINKED, a_linked(99).id, a_linked(99).id]
    assert await seen() == [None, SECOND_ID, a_linked(99).id, a_linked(99).id]


@promise
async def check_a_number_and_its_pins_are_what_its_rules_made_of_them_after_every_step(make_store):
    store, other, chance = await with_links(make_store), await make_store(), random.Random(3)
    model, now = a_linked(), NOON

    for step in range(120):
        now += timedelta(hours=chance.choice([1, 9, 30]))
        key = "" if model.under_way is None else model.under_way.key
        facts = Facts(at=now, pin_on=chance.choice([True, False, None]), status="CONNECTED")
        wrong = MetaRefusal(chance.choice([Reason.WRONG_PIN, Reason.TOKEN, Reason.TOO_FAST]), 1)
        changes: list[Callable[[LinkedNumber], LinkedDecision]] = [
            attempt(f"{step}", now),
            attempt(f"{step}", now, Act.REGISTER),
            partial(done, key=key, now=now),
            partial(refused, key=key, answer=wrong, now=now),
            partial(not_sent, key=key, now=now),
            partial(unanswered, key=key, now=now),
            partial(_give_up, now=now),
            partial(observe, facts=facts, now=now),
            partial(keep_pin, pin=a_pin(f"{step}", now), by="x", now=now),
        ]
        change = chance.choice(changes)
        told = await outcome(_pure(change, model))
        kept = await outcome(store.update_linked(LINKED, change))

        if isinstance(told, LinkedDecision):
            model = told.number
            assert kept == model
        else:
            assert type(kept) is type(told)
        assert await the(other) == model
    await assert_chains_hold(store)


def _give_up(number: LinkedNumber, now: datetime) -> LinkedDecision:
    """Nothing is under way any more, and nobody knows which PINs Meta took."""
    return LinkedDecision(replace(number, under_way=None, due_at=now))


async def _pure(
    change: Callable[[LinkedNumber], LinkedDecision], number: LinkedNumber
) -> LinkedDecision:
    return change(number)


@promise
async def check_nobody_ever_reads_a_number_with_the_pins_of_another_moment(make_store):
    store, reader = await with_links(make_store), await make_store()

    async def write() -> None:
        for n in range(25):
            at = NOON + n * 4 * DAY
            await store.update_linked(LINKED, attempt(f"{n}", at))
            await store.update_linked(LINKED, lambda one, k=f"{n}", t=at: done(one, k, t))

    writing = asyncio.create_task(write())
    fits: list[bool] = []
    while not writing.done():
        for number in (await the(reader), (await reader.linked_numbers(LINK))[0]):
            fits.append(len(number.vault.maybe) == int(number.under_way is not None))
        await asyncio.sleep(0)
    await writing

    assert all(fits), "number and PINs do not fit together"


# All or nothing


@promise
async def check_nothing_about_links_and_their_numbers_is_kept_without_its_event(make_store):
    store = await with_links(make_store)
    before = await cupboard(store)
    refused_, mails = (UNWRITABLE,), (a_letter(),)

    for work in (
        lambda: store.add_link(a_link(2), refused_),
        lambda: store.update_link(
            LINK, lambda k: LinkDecision(replace(k, name="x"), refused_, mails)
        ),
        lambda: store.remove_link(LINK, refused_),
        lambda: store.add_linked(a_linked(4), refused_),
        lambda: store.update_linked(
            LINKED, lambda n: LinkedDecision(replace(n, vault=Vault(a_pin("x"))), refused_, mails)
        ),
        lambda: store.hear(b"h", LINKED, lambda n: LinkedDecision(n, refused_), NOON),
        lambda: take(store, LINKED, change=lambda n: LinkedDecision(n, refused_)),
    ):
        assert isinstance(await outcome(work()), Exception)

        assert await cupboard(store) == before, "a change was kept without its event"


@promise
async def check_what_a_change_of_a_link_or_its_number_raises_comes_back_and_nothing_is_kept(
    make_store,
):
    store = await with_links(make_store)
    await take(store, LINKED)
    await store.take_over(NUMBER_ID, THIEF.client, register(THIEF.client), release)
    before = await cupboard(store)

    ended = [
        await outcome(work)
        for work in (
            store.update_link(LINK, stumble),
            store.update_linked(LINKED, stumble),
            store.observe_linked([(LINKED, count("x")), (SECOND_ID, stumble)]),
            store.take_linked(SECOND_ID, OWNER.client, stumble, let_go, release),
            store.take_linked(SECOND_ID, OWNER.client, serve(OWNER.client), stumble, release),
            store.take_linked(SECOND_ID, THIEF.client, serve(THIEF.client), let_go, stumble),
            store.hear(b"h", LINKED, stumble, NOON),
        )
    ]

    assert [type(end) for end in ended] == [Stumble] * 7
    assert await cupboard(store) == before, "half of it was kept"
    assert await store.hear(b"h", LINKED, count("x"), NOON), "what raised counts as heard"


@promise
async def check_a_refusing_decision_about_a_linked_number_is_kept_first_and_then_raised(
    make_store,
):
    store, refusal = await with_links(make_store), WrongPin()

    def refusing(number: LinkedNumber) -> LinkedDecision:
        return replace(count("x")(number), mails=(a_letter(),), refusal=refusal)

    ended = [
        await outcome(store.update_linked(LINKED, refusing)),
        await outcome(store.hear(b"h", LINKED, refusing, NOON)),
        await outcome(store.observe_linked([(LINKED, refusing), (LINKED, count("x"))])),
        await outcome(take(store, LINKED, change=refusing)),
    ]

    assert ended == [refusal] * 4
    assert (await the(await make_store())).looks == 5, "a decision was not kept"
    assert len(await trail(store, CHAIN)) == 5
    assert len(await store.mails(None, 99)) == 4


# Steps never overlap


@promise
async def check_hundreds_of_changes_of_one_link_or_linked_number_at_once_are_all_kept(make_store):
    store, other = await with_links(make_store), await make_store()

    def longer(link: CloudLink) -> LinkDecision:
        return LinkDecision(replace(link, cursor=link.cursor + "x"), (ADDED,))

    await make_store.at_once(
        (store, other)[n % 2].update_link(LINK, longer)
        if n % 5 < 2
        else (store, other)[n % 2].update_linked(LINKED, count("x"))
        for n in range(250)
    )

    link = await other.link(LINK)
    assert link is not None
    assert ((await the(other)).looks, link.cursor) == (150, "x" * 100)
    assert [len(await trail(store, chain)) for chain in (CHAIN, SUBJECT)] == [150, 100]
    await assert_chains_hold(store)


@promise
async def check_of_attempts_on_one_number_by_two_processes_at_once_exactly_one_begins(make_store):
    store, other = await with_links(make_store), await make_store()
    ids = [a_linked(n).id for n in range(10, 40)]
    for n in range(10, 40):
        await store.add_linked(a_linked(n), ())
    child = make_store.elsewhere("begin", LINK)
    assert await asyncio.to_thread(child.stdout.readline) == b"ready\n"

    child.stdin.write(b"go\n")
    child.stdin.flush()
    here = []
    for id_ in (SECOND_ID, LINKED, *ids):
        tries = [store.update_linked(id_, attempt("a")), other.update_linked(id_, attempt("b"))]
        here += await outcomes(tries)
    said = (await asyncio.to_thread(child.communicate))[0].split()

    begun = [end.id for end in here if isinstance(end, LinkedNumber)]
    losers = [end for end in here if isinstance(end, OutcomeUnknown)]
    there = [word.decode() for word in said]
    assert sorted(begun + there) == sorted((LINKED, SECOND_ID, *ids)), "one began twice or never"
    assert len(begun) + len(losers) == len(here)
    for number in await store.linked_numbers(LINK):
        assert number.ledger.count(Act.PIN, NOON) == 1
        assert [pin.key for pin in number.vault.maybe] == [getattr(number.under_way, "key", "")]


@promise
async def check_a_portfolio_never_has_more_links_than_it_may_even_in_a_race(make_store):
    store, other = await make_store.with_people(), await make_store()

    ended = await outcomes(
        [
            (store, other)[n % 2].add_link(a_link(n // 2), ())
            for n in range(2 * LINKS_PER_PORTFOLIO + 6)
        ]
    )

    kept = await store.links(PORTFOLIO.id)
    assert len(kept) == len([end for end in ended if end is None]) == LINKS_PER_PORTFOLIO
    assert {type(end) for end in ended} == {type(None), LinkExists, TooManyLinks}
    assert isinstance(await outcome(store.add_link(kept[0], (ADDED,))), LinkExists)
    assert await outcome(store.add_link(a_link(99, portfolio=ELSEWHERE.id), ())) is None
    assert await trail(store, SUBJECT) == []


@promise
async def check_a_number_is_in_one_registry_once_and_never_in_both_even_in_a_race(make_store):
    store, other = await with_links(make_store), await make_store()

    for twin in (
        a_linked(4, e164=E164), a_linked(4, e164=FIRST), a_linked(1, e164="+16315579999"),
        a_linked(4, waba=a_link(9).waba, e164=FIRST),
    ):  # fmt: skip
        assert isinstance(await outcome(store.add_linked(twin, (HEARD,))), NumberExists)
    assert isinstance(await outcome(store.add_number(a_number(2, e164=FIRST), ())), NumberExists)
    numbers = [f"+1631558{n:04}" for n in range(20)]
    works: list[Any] = []
    for n, e164 in enumerate(numbers):
        works += [
            store.add_number(a_number(50 + n, e164=e164), ()),
            other.add_linked(a_linked(50 + n, e164=e164), (HEARD,)),
            store.add_linked(a_linked(90 + n, e164=e164), (HEARD,)),
        ]
    ended = await outcomes(works)

    assert [sum(e is None for e in ended[n : n + 3]) for n in range(0, 60, 3)] == [1] * 20
    assert {type(end) for end in ended} == {type(None), NumberExists}
    local = {n.e164 for n in await store.numbers()}
    linked = {n.e164 for waba in (LINK, a_link(9).waba) for n in await store.linked_numbers(waba)}
    assert not local & linked
    await assert_chains_hold(store)


# Removing a link


@promise
async def check_a_link_takes_its_numbers_along_and_their_chains_hold_and_go_on_when_they_come_back(
    make_store,
):
    store, other = await with_links(make_store), await make_store()
    await store.update_linked(LINKED, attempt("a"))
    await store.update_linked(LINKED, lambda n: LinkedDecision(n, (HEARD,)))
    head = [one for one in await store.audit_heads() if one[0] == CHAIN]

    await store.remove_link(LINK, (ADDED,))
    gone = [await other.link(LINK), await other.linked(LINKED), await other.linked_by_e164(FIRST)]
    left = [one for one in await other.audit_heads() if one[0] == CHAIN]
    sealed = {v.owner for v in await store.sealed_with_others("kid-0002") if v.kind != "password"}

    assert gone == [None] * 3
    assert await other.linked_count(LINK) == 0
    assert not sealed & {LINK, LINKED}, "a secret outlived its link"
    assert [link.waba for link in await store.links()] == [a_link(9).waba]
    assert await store.linked_count(a_link(9).waba) == 1
    assert left == head, "the end of a chain was forgotten"
    assert [one.event for one in await trail(store, SUBJECT)] == [ADDED]
    await store.add_link(a_link(), ())
    await store.add_linked(a_linked(), (HEARD,))
    assert await other.linked(LINKED) == a_linked()
    assert [link.seq for link in await trail(store, CHAIN)] == [1, 2, 3]
    await assert_chains_hold(store)


# Taking


@promise
async def check_taking_a_linked_number_releases_what_the_client_served_before(make_store):
    store, other = await with_links(make_store), await make_store()
    await store.take_over(NUMBER_ID, OWNER.client, register(OWNER.client), release)

    await take(store, LINKED)
    local, pointer = await store.number(NUMBER_ID), await store.client(OWNER.client)
    shown = await store.list_numbers(WABA, Show.DISCONNECTED, "", NOON, None, 9)
    kept = await take(store, SECOND_ID)

    assert local is not None
    assert pointer is not None
    assert (local.holder, pointer.number) == (None, None)
    assert await other.holds(OWNER.client) is None
    assert [line.number.id for line in shown.lines] == [NUMBER_ID]
    assert kept == await other.linked_of(OWNER.client) == await the(other, SECOND_ID)
    assert (await the(other)).holder is None
    kinds = [link.event.kind for link in await trail(store, CHAIN)]
    assert kinds == [Kind.NUMBER_REGISTERED, Kind.LINKED_RELEASED]
    assert (await trail(store))[-1].event.kind is Kind.NUMBER_RELEASED
    await assert_chains_hold(store)


@promise
async def check_a_taking_that_is_refused_or_leaves_another_holder_releases_nothing(make_store):
    store = await with_links(make_store)
    await store.take_over(NUMBER_ID, OWNER.client, register(OWNER.client), release)
    await store.update_linked(LINKED, serve(OWNER.client))

    def refusing(number: LinkedNumber) -> LinkedDecision:
        return replace(serve(OWNER.client)(number), refusal=WrongPin())

    no = await outcome(take(store, SECOND_ID, change=refusing))
    late = await take(store, THIRD_ID, change=count("x"))

    local, client = await store.number(NUMBER_ID), await store.client(OWNER.client)
    assert isinstance(no, WrongPin)
    assert isinstance(late, LinkedNumber)
    assert (late.looks, late.holder) == (1, None)
    assert local is not None
    assert client is not None
    assert (local.holder, client.number) == (OWNER.client, NUMBER_ID)
    assert (await the(store)).holder == OWNER.client


@promise
async def check_parallel_takings_leave_every_client_one_number(make_store):
    store, other = await with_links(make_store), await make_store()
    clients, ids = (OWNER.client, THIEF.client), (LINKED, SECOND_ID, THIRD_ID)

    await make_store.at_once(
        take((store, other)[n % 2], ids[n % 3], clients[n // 2 % 2]) for n in range(48)
    )

    holders = [(await the(store, id_)).holder for id_ in ids]
    served = [holder for holder in holders if holder is not None]
    assert len(served) == len(set(served)), "a client serves two numbers"
    assert served
    await assert_chains_hold(store)


# What is due


@promise
async def check_what_is_due_comes_longest_due_first_and_not_again_before_the_lease_ends(
    make_store,
):
    store, other = await with_links(make_store), await make_store()
    for id_, at in ((LINKED, NOON), (SECOND_ID, NOON + DAY), (THIRD_ID, NOON - SECOND)):
        await store.update_linked(id_, due(at))
    until = NOON + MINUTE

    early = await other.linked_due(NOON - SECOND - MICRO, until, 9)
    first = [n.id for n in await store.linked_due(NOON, until, 1)]
    second = list(await other.linked_due(NOON, until, 9))
    again = await store.linked_due(until - MICRO, until, 9)
    over = {n.id for n in await store.linked_due(until, until + HOUR, 9)}
    await store.update_linked(LINKED, due(None))

    assert (list(early), first, list(again)) == ([], [THIRD_ID], [])
    assert second == [a_linked(due_at=until)], "what was leased is not as it is kept"
    assert over == {LINKED, THIRD_ID}
    assert [n.id for n in await store.linked_due(NOON + 9 * DAY, NOON, 9)] == [THIRD_ID, SECOND_ID]


@promise
async def check_parallel_lookers_never_get_the_same_number(make_store):
    store, other = await with_links(make_store), await make_store()
    for n in range(10, 40):
        await store.add_linked(a_linked(n, due_at=NOON), ())

    leased = await asyncio.gather(
        *((store, other)[n % 2].linked_due(NOON, NOON + HOUR, 4) for n in range(12))
    )

    ids = [number.id for some in leased for number in some]
    assert len(ids) == len(set(ids)) == 30


# Hearing and observing


@promise
async def check_what_was_heard_counts_once_however_often_and_by_whom_it_is_told(make_store):
    store, other = await with_links(make_store), await make_store()

    ended = await make_store.at_once(
        (store, other)[n % 2].hear(b"one", LINKED, count("x"), NOON) for n in range(30)
    )
    again = await other.hear(b"one", SECOND_ID, count("x"), NOON + DAY)
    unknown = await outcome(store.hear(b"two", a_linked(4).id, count("x"), NOON))
    second = await store.hear(b"two", LINKED, count("x"), NOON)

    assert sorted(ended) == [False] * 29 + [True]
    assert again is False
    assert isinstance(unknown, LinkedNumberUnknown)
    assert second is True
    assert (await the(store)).looks == len(await trail(store, CHAIN)) == 2


@promise
async def check_tidying_forgets_what_was_heard_long_ago_and_nothing_else(make_store):
    store = await with_links(make_store)
    await store.hear(b"old", LINKED, count("x"), NOON)
    await store.hear(b"new", LINKED, count("x"), NOON + MICRO)

    await store.tidy(NOON + INBOUND_KEPT - MICRO)
    early = await store.hear(b"old", LINKED, count("x"), NOON)
    await store.tidy(NOON + INBOUND_KEPT)

    assert early is False
    assert await store.hear(b"new", LINKED, count("x"), NOON) is False
    assert await store.hear(b"old", LINKED, count("x"), NOON) is True
    assert (await the(store)).looks == 3


@promise
async def check_many_are_observed_in_order_and_in_one_step_and_the_unknown_are_left_out(
    make_store,
):
    store, reader = await with_links(make_store), await make_store()
    for n in range(10, 50):
        await store.add_linked(a_linked(n), ())
    ids = [a_linked(n).id for n in range(10, 50)]

    def show(status: str) -> Callable[[LinkedNumber], LinkedDecision]:
        facts = Facts(at=NOON, status=status)
        return lambda n: LinkedDecision(replace(n, facts=facts), (HEARD,))

    def both(status: str) -> Sequence[Any]:
        return [("x", stumble), *((id_, show(status)) for id_ in ids), (LINKED, show(status))]

    seen: list[set[str]] = []
    observing = asyncio.gather(*(store.observe_linked(both(f"{n}")) for n in range(4)))
    while not observing.done():
        page = await reader.linked_numbers(LINK)
        seen.append({n.facts.status for n in page if n.id in ids})
        await asyncio.sleep(0.005)  # and let them go on
    await observing
    assert {len(states) for states in seen} == {1}, "half of an observation was seen"
    await store.observe_linked([(LINKED, show("a")), (LINKED, show("b")), (LINKED, count("x"))])

    last = await the(reader)
    assert (last.facts.status, last.looks) == ("b", 1)
    assert len(await trail(store, f"linked:{ids[0]}")) == 4
    await store.observe_linked([])


# Letters and secrets


@promise
async def check_letters_about_links_and_their_numbers_go_to_the_links_portfolio(make_store):
    store = await with_links(make_store)

    await store.update_link(LINK, lambda k: LinkDecision(k, mails=(a_letter(),)))
    await store.update_linked(THIRD_ID, lambda n: LinkedDecision(n, mails=(a_letter(),)))
    await store.hear(b"h", LINKED, lambda n: LinkedDecision(n, mails=(a_letter(),)), NOON)
    many = [(LINKED, lambda n: LinkedDecision(n, mails=(a_letter(),)))]
    await store.observe_linked(many)

    posted = [(one.portfolio, one.address) for one in await store.mails(None, 99)]
    assert sorted(posted) == [(PORTFOLIO.id, OWNER.email)] * 3 + [(ELSEWHERE.id, THIEF.email)]


@promise
async def check_the_secrets_of_links_and_the_pins_in_the_vault_are_known_and_sealed_anew(
    make_store,
):
    store = await make_store.with_people()
    link = a_link(secret=b"\x01kid-0001 secret")
    vault = Vault(a_pin("a"), (a_pin("b"), a_pin("c")))
    waiting = Waiting("main", NOON, b"\x01kid-0001 waits")
    await store.add_link(link, ())
    await store.add_linked(a_linked(vault=vault, waiting=waiting), ())
    before = await store.kids_in_use()
    old = [v for v in await store.sealed_with_others("kid-0003") if v.kind in ("link", "vault")]
    await store.update_linked(  # one of the PINs moves to another place meanwhile, one goes
        LINKED, lambda n: LinkedDecision(replace(n, vault=Vault(a_pin("c"), (a_pin("a"),))))
    )

    done_ = await store.replace_sealed([(v, b"\x01kid-0003" + v.sealed[9:]) for v in old])

    def anew(sealed: bytes) -> bytes:
        return b"\x01kid-0003" + sealed[9:]

    found, number = await (await make_store()).link(LINK), await the(await make_store())
    bound = [f"link|v1|{LINK}"] * 3 + [f"vault|v1|{LINKED}"] * 4
    assert sorted(v.bound_to for v in old) == bound
    assert {v.sealed for v in old if v.kind == "link"} == {
        link.token, link.secret, link.verify_token,
    }  # fmt: skip
    assert done_ == 6
    assert found is not None
    assert (found.token, found.verify_token) == (anew(link.token), anew(link.verify_token))
    assert found.secret == b"\x01kid-0003 secret"
    kept = [number.vault.current, *number.vault.maybe]
    assert kept == [replace(a_pin(k), sealed=anew(a_pin(k).sealed)) for k in "ca"]
    assert number.waiting == Waiting("main", NOON, b"\x01kid-0003 waits")
    after = await store.kids_in_use()
    assert before["kid-0001"] - after["kid-0001"] == 7
    assert after["kid-0003"] == 6


# The unknown, and writers


@promise
async def check_links_and_numbers_that_are_unknown_are_named_however_they_are_spelled(make_store):
    store = await with_links(make_store)
    before = await cupboard(store)

    for id_ in STRANGE:
        read = [
            await store.link(id_), await store.linked(id_), await store.linked_by_e164(id_),
            await store.linked_of(id_), await store.linked_waiting_for(id_),
        ]  # fmt: skip
        listed = [
            await store.links(id_), await store.linked_numbers(id_), await store.alarmed(id_, 9),
        ]  # fmt: skip
        ended = await outcomes(
            [
                store.add_link(a_link(2, portfolio=id_), ()),
                store.update_link(id_, LinkDecision),
                store.remove_link(id_, ()),
                store.add_linked(a_linked(4, waba=id_), ()),
                store.update_linked(id_, LinkedDecision),
                store.take_linked(id_, OWNER.client, LinkedDecision, LinkedDecision, release),
                store.hear(b"h", id_, LinkedDecision, NOON),
                store.observe_linked([(id_, LinkedDecision)]),
            ]
        )
        assert read == [None] * 5
        assert [list(one) for one in listed] == [[]] * 3
        assert await store.linked_count(id_) == 0
        assert [type(end) for end in ended] == [
            PortfolioUnknown, LinkUnknown, LinkUnknown, LinkUnknown, LinkedNumberUnknown,
            LinkedNumberUnknown, LinkedNumberUnknown, type(None),
        ]  # fmt: skip

    assert await cupboard(store) == before


@promise
async def check_reads_of_links_and_their_numbers_never_wait_for_writers(make_store):
    store = await with_links(make_store)

    async with make_store.writers_locked_out():
        read = await outcomes(
            [
                store.link(LINK),
                store.linked(LINKED),
                store.linked_by_e164(FIRST),
                store.linked_of(OWNER.client),
                store.linked_waiting_for(OWNER.client),
                store.links(),
                store.linked_numbers(LINK),
                store.linked_count(LINK),
                store.alarmed(PORTFOLIO.id, 9),
                store.linked_due(NOON, NOON + HOUR, 9),  # nothing is due: nothing is written
            ]
        )

    assert read[:5] == [a_link(), a_linked(), a_linked(), None, None]
    assert not [end for end in read if isinstance(end, Exception)]
