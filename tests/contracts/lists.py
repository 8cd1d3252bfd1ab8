"""What the ``Store`` port promises of lists, searches, counts and days."""

import asyncio
import base64
import json
import random
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.errors import NumberUnknown
from nightlatch.domain.guesses import Guesses
from nightlatch.domain.numbers import Decision, Number, TurnOffLink
from nightlatch.domain.overview import Show, Tally
from nightlatch.domain.portfolios import Waba
from nightlatch.ports import NumberLine, Store
from tests.contracts import model
from tests.contracts.checks import (
    HOUR,
    SECOND,
    SUBJECT,
    assert_chains_hold,
    count_one,
    outcomes,
    promise,
    register,
    release,
    trail,
)
from tests.contracts.makers import (
    ELSEWHERE,
    NUMBER_ID,
    PORTFOLIO,
    WABA,
    Make,
    a_number,
)
from tests.contracts.people import STRANGE
from tests.people import E164, NOON, OWNER, THIEF

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
OTHER_WABA, THIEFS_WABA = "300000000000002", "300000000000003"
WORDS = ("Lucky", "Luck", "Shrub", "Bush", "Büro", "24/7", "~0001", "O'Hara", "%", "100%")


async def with_accounts(make_store: Make[Any]) -> Any:
    """Two accounts of the owner's and one of the thief's."""
    store = await make_store.with_people()
    await store.add_waba(Waba(OTHER_WABA, PORTFOLIO.id, "Other"))
    await store.add_waba(Waba(THIEFS_WABA, ELSEWHERE.id, "Thief's"))
    return store


async def everything(
    store: Store, show: Show, text: str, now: Any, limit: int, waba: str = WABA
) -> list[NumberLine]:
    """All pages, one after the other."""
    lines: list[NumberLine] = []
    after: str | None = None
    for _ in range(10_000):
        page = await store.list_numbers(waba, show, text, now, after, limit)
        assert len(page.lines) <= limit
        lines += page.lines
        after = page.next
        if after is None:
            return lines
    raise AssertionError("the list never ends")


def e164s(lines: Any) -> list[str]:
    return [line.number.e164 for line in lines]


def wrong(by: str, at: Any) -> Any:
    """A change: one more wrong guess, with its event."""

    def change(number: Number) -> Decision:
        guesses = replace(number.guesses, since=None, locked=False).pay(at)
        event = Event(Kind.GUESS_WRONG, by, at, (("in_a_row", guesses.run),), "192.0.2.9")
        return Decision(replace(number, guesses=guesses), (event,))

    return change


def some_change(chance: random.Random, at: Any) -> Any:
    """What might happen to a number."""
    name = " ".join(chance.sample(WORDS, chance.randint(1, 3)))
    changes: list[Any] = [
        lambda n: replace(n, two_step=n.two_step.turn_on(b"\x01kid-0001pin")),
        lambda n: replace(n, two_step=n.two_step.turn_off()),
        lambda n: replace(n, name=name),
        lambda n: replace(n, asked_name=name),
        lambda n: replace(n, asked_name=None, name=n.asked_name or n.name),
        lambda n: replace(n, guesses=replace(n.guesses, run=5, since=at)),
        lambda n: replace(n, guesses=replace(n.guesses, run=99, since=None, locked=False).pay(at)),
        lambda n: wrong("x", at)(n).number,
        lambda n: wrong("x", at)(wrong("x", at)(n).number).number,
        lambda n: replace(n, guesses=n.guesses.unlock()),
        lambda n: replace(n, guesses=n.guesses.right(n.guesses.ticket, at)),
        lambda n: replace(n, registered_at=at),
        lambda n: replace(n, holder=None),
        lambda n: n,
    ]
    change = chance.choice(changes)
    return lambda number: Decision(change(number))


async def lived_in(make_store: Make[Any], seed: int, steps: int) -> tuple[Any, random.Random, Any]:
    """A store after *steps* of anything, and the time then."""
    store, chance, at = await with_accounts(make_store), random.Random(seed), NOON
    ids = [NUMBER_ID]
    for step in range(2, 2 + steps):
        at += timedelta(seconds=chance.choice((0, 1, 61, 3_600)))
        if chance.random() < 0.4:
            number = a_number(
                step,
                e164=f"+{chance.choice((1631, 44, 4930))}{chance.randint(10**6, 10**7 - 1)}",
                waba=chance.choice((WABA, WABA, OTHER_WABA, THIEFS_WABA)),
                name=" ".join(chance.sample(WORDS, chance.randint(1, 3))),
            )
            await store.add_number(number, ())
            ids.append(number.id)
        else:
            await store.update(chance.choice(ids), some_change(chance, at))
    return store, chance, at


# Lists


@promise
async def check_every_list_and_search_shows_what_the_model_says(make_store):
    store, chance, at = await lived_in(make_store, seed=7, steps=160)
    every = await store.numbers()
    some = chance.sample(list(every), 6)
    texts = [
        "", " ", "lucky", "LUCK", "bü", "luck shrub", "bush o'hara", "24/7", "24/7 ", "~0001", "~",
        "%", "100%", "_", "'", '"', "+", "nobody", "lucky lucky", "x" * 500, "\x1f", "٣",
        *(f"{n.e164[:4]} {n.e164[4:7]}" for n in some),
        *(f"-{n.e164[-4:]}" for n in some),
        *(f"lucky {n.e164[1:4]}" for n in some[:2]),
    ]  # fmt: skip

    for waba in (WABA, OTHER_WABA):
        for show in Show:
            for text in texts:
                found = e164s(await everything(store, show, text, at, 7, waba))
                wanted = [
                    n.e164
                    for n in every
                    if n.waba == waba and model.shows(show, n, at) and model.finds(text, n)
                ]
                assert sorted(found) == sorted(wanted), f"{show} {text!r}"
                if not text.strip() and show not in (Show.ATTACKED, Show.WAITING):
                    assert found == sorted(found), f"{show} is not in the order of E.164"


@promise
async def check_a_line_shows_the_number_as_it_is_and_the_last_thing_that_happened(make_store):
    store = await with_accounts(make_store)
    await store.add_number(a_number(2), ())
    await store.update(NUMBER_ID, count_one("owner"))
    kept = await store.update(NUMBER_ID, wrong("thief/admin", NOON + SECOND))

    first, second = await everything(await make_store(), Show.ALL, "", NOON, 10)
    (found,) = await everything(await make_store(), Show.ALL, E164, NOON, 10)

    assert first == found
    assert first.number == kept
    assert first.last == Event(
        Kind.GUESS_WRONG, "thief/admin", NOON + SECOND, (("in_a_row", 1),), "192.0.2.9"
    )
    assert second == NumberLine(a_number(2), None)


@promise
async def check_pages_lose_and_double_nothing_while_numbers_come_and_change(make_store):
    store, other = await with_accounts(make_store), await make_store()
    there = [NUMBER_ID]
    for n in range(2, 40):
        name = ("Lucky Shrub", "Lucky", "Shrub Lucky")[n % 3]
        await store.add_number(a_number(n, name=name), ())
        there.append(a_number(n).id)

    for text in ("", "lucky", "lucky shrub", "shrub luck", "1631", "0"):
        wanted = {n.e164 for n in await store.numbers() if n.id in there and model.finds(text, n)}
        found: list[str] = []
        after: str | None = None
        for step in range(200):
            page = await store.list_numbers(WABA, Show.ALL, text, NOON, after, 3)
            found += e164s(page.lines)
            after = page.next
            if after is None:
                break
            fresh = 1_000 + 10_000 * len(text) + 2 * step
            for k in (0, 1):  # of one word many, so that what is rare changes
                number = a_number(fresh + k, name=("Shrub", "Lucky")[step < 4])
                await other.add_number(replace(number, e164=f"+1631{5_000_000 + fresh + k}"), ())
            await other.update(there[step % len(there)], count_one("x"))

        assert len(found) == len(set(found)), f"{text!r} doubles"
        assert wanted <= set(found), f"{text!r} loses"


def made_up() -> list[str]:
    """What is no ``after``, and what looks like one."""
    values: list[Any] = [
        [], [""], [1], ["\ud800"], [None], {}, "x", 7, [10**30], [-1, 0], [-1, -1, "", 0],
        [0, -100, "", 0], [0, 10**9, "", 0], [10**9, 0, "", 0], [0, 0, "\ud800", 0], [True, True],
        [1.5], [[[]]], ["a", "b", "c", "d"], [0, "", 0], [0, 0],
    ]  # fmt: skip
    coded = [base64.urlsafe_b64encode(json.dumps(v).encode()).decode().rstrip("=") for v in values]
    return ["", "x", "====", "é", "\x00", "٣", "[" * 5_000, "A" * 100_000, *coded]


@promise
async def check_what_is_no_place_in_a_list_begins_anew_or_ends_and_never_fails(make_store):
    store = await with_accounts(make_store)
    for n in range(2, 9):
        await store.add_number(a_number(n), ())
    await store.update(NUMBER_ID, wrong("x", NOON))
    await store.update(NUMBER_ID, wrong("x", NOON))

    for show, text in (
        (Show.ALL, ""),
        (Show.ALL, "lucky"),
        (Show.ATTACKED, ""),
        (Show.ALL, "1631"),
    ):
        first = e164s((await store.list_numbers(WABA, show, text, NOON, None, 3)).lines)
        ended = await outcomes(
            [store.list_numbers(WABA, show, text, NOON, after, 3) for after in made_up()]
        )
        failed = [end for end in ended if isinstance(end, Exception)]
        assert not failed, f"{failed[0]!r} for a made-up place"
        assert e164s(ended[0].lines) == e164s(ended[1].lines) == first  # type: ignore[attr-defined]  # pages


@promise
async def check_the_latest_attack_and_the_longest_wait_come_first(make_store):
    store = await with_accounts(make_store)
    for n in range(2, 8):
        await store.add_number(a_number(n), ())
    order = (3, 6, 2, 5)
    for seconds, n in enumerate(order):
        for _ in range(2):
            await store.update(a_number(n).id, wrong("x", NOON + seconds * SECOND))
        await store.update(
            a_number(n).id,
            lambda m, s=seconds: Decision(
                replace(m, guesses=replace(m.guesses, run=5, since=NOON + s * SECOND))
            ),
        )

    attacked = await everything(store, Show.ATTACKED, "", NOON + 10 * SECOND, 2)
    waiting = await everything(store, Show.WAITING, "", NOON + 10 * SECOND, 3)

    assert e164s(attacked) == e164s(waiting) == [a_number(n).e164 for n in reversed(order)]


# Counts


@promise
async def check_the_tally_always_equals_a_recount(make_store):
    store, chance, at = await with_accounts(make_store), random.Random(11), NOON
    ids = [NUMBER_ID]

    for step in range(2, 180):
        at += timedelta(seconds=chance.choice((0, 1, 61, 86_399)))
        if chance.random() < 0.2:
            waba = chance.choice((WABA, OTHER_WABA))
            await store.add_number(a_number(step, waba=waba), ())
            ids.append(a_number(step).id)
        else:
            await store.update(chance.choice(ids), some_change(chance, at))
        every = await store.numbers()
        for waba in (WABA, OTHER_WABA, THIEFS_WABA):
            counted = await store.tally(waba, at)
            recount = model.tally((n for n in every if n.waba == waba), at)
            assert counted == recount, f"after step {step}"


@promise
async def check_parallel_changes_are_all_in_the_tally(make_store):
    store, other = await with_accounts(make_store), await make_store()
    numbers = [a_number(n) for n in range(2, 42)]
    await make_store.at_once(
        (store, other)[n % 2].add_number(one, ()) for n, one in enumerate(numbers)
    )

    def turn(number):
        lock = number.two_step
        return Decision(
            replace(number, two_step=lock.turn_off() if lock.is_on else lock.turn_on(b"pin"))
        )

    await asyncio.gather(
        *((store, other)[n % 2].update(numbers[n % 40].id, turn) for n in range(60))
    )

    assert await store.tally(WABA, NOON) == Tally(41, protected=20)


@promise
async def check_attacked_numbers_of_a_portfolio_come_latest_first_until_a_day_has_passed(
    make_store,
):
    store = await with_accounts(make_store)
    await store.add_number(a_number(2, waba=OTHER_WABA), ())
    await store.add_number(a_number(3, waba=THIEFS_WABA), ())
    await store.add_number(a_number(4), ())
    for n, hours in ((1, 0), (2, 2), (3, 3), (4, 1)):
        for _ in range(2):
            await store.update(a_number(n).id, wrong("x", NOON + hours * HOUR))
    slip = a_number(5)
    await store.add_number(slip, ())
    await store.update(slip.id, wrong("x", NOON + 4 * HOUR))

    found = await store.attacked(PORTFOLIO.id, NOON + 4 * HOUR, 10)
    two = await store.attacked(PORTFOLIO.id, NOON + 4 * HOUR, 2)
    later = await store.attacked(PORTFOLIO.id, NOON + DAY, 10)
    thiefs = await store.attacked(ELSEWHERE.id, NOON + 4 * HOUR, 10)

    assert e164s(found) == [a_number(n).e164 for n in (2, 4, 1)]
    assert e164s(two) == e164s(found)[:2]
    assert e164s(later) == e164s(found)[:2], "an attack is shown for longer than a day"
    assert e164s(thiefs) == [a_number(3).e164]
    assert found[0].last is not None
    assert found[0].last.kind is Kind.GUESS_WRONG


@promise
async def check_the_days_count_what_is_charted_on_its_utc_day_for_its_portfolio(make_store):
    store, other = await with_accounts(make_store), await make_store()
    await store.add_number(a_number(2, waba=OTHER_WABA), ())
    await store.add_number(a_number(3, waba=THIEFS_WABA), ())
    midnight = NOON.replace(hour=0) + DAY
    await asyncio.gather(
        *((store, other)[n % 2].update(a_number(1 + n % 2).id, wrong("x", NOON)) for n in range(50))
    )
    for at in (midnight - SECOND / 10**6, midnight):
        await store.update(NUMBER_ID, wrong("x", at))
    await store.update(a_number(3).id, wrong("x", NOON))
    await store.update(NUMBER_ID, count_one("not charted"))
    await store.take_over(NUMBER_ID, OWNER.client, register(OWNER.client), release)

    counted = {
        (day, kind): count for day, kind, count in await store.daily(PORTFOLIO.id, NOON.date())
    }
    since_tomorrow = list(await store.daily(PORTFOLIO.id, midnight.date()))

    assert counted == {
        (NOON.date(), Kind.GUESS_WRONG): 51,
        (midnight.date(), Kind.GUESS_WRONG): 1,
        (NOON.date(), Kind.NUMBER_REGISTERED): 1,
    }
    assert since_tomorrow == [(midnight.date(), Kind.GUESS_WRONG, 1)]
    assert list(await store.daily(ELSEWHERE.id, date(1, 1, 1))) == [
        (NOON.date(), Kind.GUESS_WRONG, 1)
    ]


# Timelines


@promise
async def check_a_timeline_is_read_from_its_end_a_page_at_a_time(make_store):
    store = await with_accounts(make_store)
    await store.add_number(a_number(2), ())
    for n in range(30):
        await store.update(NUMBER_ID, count_one(f"{n}"))
        await store.update(a_number(2).id, count_one("another"))
    whole = (await trail(store))[::-1]

    pages, before = [], None
    while True:
        page = list(await store.events(SUBJECT, before, 7))
        if not page:
            break
        pages += page
        assert len(pages) <= len(whole), "a timeline never ends"
        before = page[-1].seq
        await store.update(NUMBER_ID, count_one("later"))

    assert pages == whole, "a timeline is not read from its end"
    for before in (1, 0, -1, -(10**30)):
        assert list(await store.events(SUBJECT, before, 7)) == []
    assert list(await store.events(SUBJECT, 10**30, 1)) == [(await trail(store))[-1]]
    assert list(await store.events("number:nobody", None, 7)) == []


@promise
async def check_the_place_of_an_event_is_kept_and_chained(make_store):
    store = await with_accounts(make_store)
    events = tuple(
        Event(Kind.GUESS_PAID, "x", NOON, (), place) for place in ("192.0.2.7", "", "2001:db8::1")
    )

    await store.update(NUMBER_ID, lambda n: Decision(n, events))

    assert tuple(link.event for link in await trail(await make_store())) == events
    await assert_chains_hold(store)


# Turn-off links


def with_link(token: bytes, **changes: Any) -> Any:
    link = TurnOffLink(token, 0, "400000000000001", 3, NOON + 30 * MINUTE)
    return lambda n: Decision(replace(n, link=link, links_sent=(*n.links_sent, NOON), **changes))


@promise
async def check_a_number_is_found_by_its_newest_link_only(make_store):
    store, other = await with_accounts(make_store), await make_store()
    await store.add_number(a_number(2), ())
    old, new, another = b"o" * 32, b"n" * 32, b"a" * 32

    await store.update(NUMBER_ID, with_link(old))
    first = await other.number_by_link(old)
    kept = await store.update(NUMBER_ID, with_link(new))
    await store.update(a_number(2).id, with_link(another))

    assert first is not None
    assert first.id == NUMBER_ID
    assert await other.number_by_link(old) is None, "a replaced link still finds"
    assert await other.number_by_link(new) == kept
    assert kept.links_sent == (NOON, NOON)
    await store.update(NUMBER_ID, lambda n: Decision(replace(n, link=None)))
    assert await other.number_by_link(new) is None, "a used link still finds"
    for nothing in (b"", b"?" * 32, old[:-1]):
        assert await other.number_by_link(nothing) is None


@promise
async def check_a_number_is_read_back_with_all_that_is_new_about_it(make_store):
    store = await with_accounts(make_store)
    odd = NOON + SECOND / 10**6

    kept = await store.update(
        NUMBER_ID,
        lambda n: Decision(
            replace(
                n,
                name="",
                asked_name="Büro ~ 100%",
                name_declined=True,
                name_set_at=odd,
                guesses=Guesses(ticket=2, run=2, since=odd, warned=True),
                link=TurnOffLink(b"l" * 32, 1, "400000000000001", 3, odd),
                links_sent=(NOON, odd),
                deregistrations=n.deregistrations.spend(NOON).spend(odd),
            )
        ),
    )

    assert await (await make_store()).number(NUMBER_ID) == kept
    assert kept.guesses.warned
    assert kept.deregistrations.used == (NOON, odd)


# What is unknown


@promise
async def check_an_id_has_one_spelling_and_others_are_unknown(make_store):
    store = await with_accounts(make_store)
    before = await store.number(NUMBER_ID)
    arabic = NUMBER_ID.translate({ord("0") + n: chr(0x0660 + n) for n in range(10)})

    for id_ in (
        *STRANGE, arabic, f"0{NUMBER_ID}", f"{NUMBER_ID} ", f"+{NUMBER_ID}", f"{NUMBER_ID}.0",
        f"{NUMBER_ID[:1]}_{NUMBER_ID[1:]}", f"{NUMBER_ID}\n",
    ):  # fmt: skip
        read = [await store.number(id_), await store.number_by_e164(id_)]
        ended = await outcomes(
            [
                store.update(id_, count_one("x")),
                store.take_over(id_, THIEF.client, register(THIEF.client), release),
            ]
        )
        page = await store.list_numbers(id_, Show.ALL, "", NOON, None, 9)
        assert read == [None, None], f"{id_!r} is read as an id"
        assert [type(end) for end in ended] == [NumberUnknown] * 2, f"{id_!r} is changed"
        assert (list(page.lines), page.next) == ([], None)
        assert await store.tally(id_, NOON) == Tally()
        assert list(await store.attacked(id_, NOON, 9)) == []
        assert list(await store.daily(id_, date(1, 1, 1))) == []

    assert await store.number(NUMBER_ID) == before


@promise
async def check_lists_never_wait_for_writers(make_store):
    store = await with_accounts(make_store)

    async with make_store.writers_locked_out():
        read = await outcomes(
            [
                store.list_numbers(WABA, Show.ALL, "", NOON, None, 9),
                store.list_numbers(WABA, Show.ALL, "lucky", NOON, None, 9),
                store.list_numbers(WABA, Show.ATTACKED, "", NOON, None, 9),
                store.tally(WABA, NOON),
                store.attacked(PORTFOLIO.id, NOON, 9),
                store.daily(PORTFOLIO.id, NOON.date()),
                store.events(SUBJECT, None, 9),
                store.number_by_link(b"?" * 32),
                store.lease_mail(NOON, NOON + MINUTE, 9),
            ]
        )

    kinds = Counter(isinstance(end, Exception) for end in read)
    assert kinds == {False: 9}, [end for end in read if isinstance(end, Exception)]
