"""Any number of nodes keep the same promises as one: nodes that die, a database that is away."""

import asyncio
import itertools
import json
import os
import random
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from nightlatch.usecases import numbers
from tests.faults.crowds import Town, a_crowd, all_mail_is_out
from tests.faults.nodes import Place, Site, found
from tests.faults.outages import freeze
from tests.faults.processes import Process
from tests.faults.test_guess_limits import BURST, PARALLEL, Siege, guessers
from tests.faults.test_webhooks import an_app, by_number, listen, settled, some_numbers, tell
from tests.people import CC, E164, NATIONAL, OWNER
from tests.postgres import Postgres
from tests.town import Api, Reply, exchange
from tests.webhook_receiver import Receiver, a_receiver

ROUNDS = int(os.environ.get("NIGHTLATCH_ROUNDS", "1"))


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One of our own, for it is frozen and killed."""
    started = Postgres.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def site(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Site:
    return found(server, tmp_path_factory.mktemp("site"))


@pytest.fixture
def place(site: Site, tmp_path: Path) -> Iterator[Place]:
    with site.place(tmp_path) as place:
        yield place


# Guesses


@dataclass
class NodesSiege(Siege):
    """The same siege; the thieves also have a token for the Graph."""

    place: Place | None = None

    REFUSED: ClassVar[frozenset[tuple[int, int]]] = Siege.REFUSED | {
        (400, 133009),
        (400, 133008),
        (503, 2),
    }
    WRONG_CODES: ClassVar[frozenset[int]] = Siege.WRONG_CODES | {133005}

    @property
    def _at(self) -> Place:
        assert self.place is not None
        return self.place

    def requests(self, tokens: dict[str, str]) -> list[list[Any]]:
        """As on one node, and every third one registers over the Graph."""
        found = super().requests(tokens)
        chance = random.Random(self.seed)
        site = self._at.site
        for n, request in enumerate(found):
            if chance.random() < 1 / 3:
                pin = f"{chance.randrange(100_000):06d}"
                body = {"messaging_product": "whatsapp", "pin": pin}
                found[n] = [request[0], f"/graph/v23.0/{site.number}/register", site.token, body]
        return found

    async def unlock(self) -> None:
        async with self._at.house() as house:
            await numbers.unlock(house.world, await numbers.find_number(house.world, E164))

    async def told_everywhere(self) -> tuple[int, ...]:
        """Guesses ever paid for by the counter and by the trail; wrong ones by trail and days."""
        ((ticket,),) = await self._at.ask("SELECT guess_ticket FROM numbers")
        rows = await self._at.ask("SELECT kind, count(*) FROM audit GROUP BY kind")
        days = await self._at.ask("SELECT kind, sum(times)::bigint FROM daily GROUP BY kind")
        kinds, daily = dict(rows), dict(days)
        return (
            ticket, kinds.get("guess.paid", 0), kinds.get("guess.wrong", 0),
            daily.get("guess.wrong", 0),
        )  # fmt: skip

    async def paths_taken(self) -> set[str]:
        paid = await self._at.ask("SELECT details FROM audit WHERE kind = 'guess.paid'")
        return {dict(json.loads(details))["path"] for (details,) in paid}


@pytest.mark.parametrize("count", [1, 2, 4])
async def test_any_number_of_nodes_compares_exactly_five_at_once_and_ten_a_day(
    place: Place, count: int
):
    days, told = [], []
    with place.nodes(count) as nodes, guessers() as crew:
        siege = NodesSiege(
            place.data, place.clock, nodes, crew, place.site.certificate, place=place
        )
        for _ in range(ROUNDS):
            days.append(await siege.a_day())
            told.append(await siege.told_everywhere())
            await siege.unlock()
        paths = await siege.paths_taken()

    print(f"\n{count} nodes, {ROUNDS} rounds: compared {Counter(map(tuple, days))}")
    assert days == [[BURST, 1, 1, 1, 1, 1, 0]] * ROUNDS
    assert told == [(10 * n,) * 4 for n in range(1, ROUNDS + 1)]
    assert paths <= {"account", "shards", "graph"}
    assert len(paths) == 3 or ROUNDS < 10, "which of many gets one of the ten is chance"


class Lenient(NodesSiege):
    """Takes a server that breaks for one that compared nothing."""

    REFUSED: ClassVar[frozenset[tuple[int, int]]] = NodesSiege.REFUSED | {(500, 1), (500, 1014)}

    async def unlock(self) -> None:
        await self._at.ask(
            "UPDATE numbers SET guess_run = 0, guess_since = NULL, guess_locked = 0, audit_seq ="
            " (SELECT max(seq) FROM audit WHERE subject = 'number:' || numbers.id) RETURNING 1"
        )


async def test_this_check_notices_a_store_that_writes_whatever_the_row_says_by_then(place: Place):
    compared = 0
    with place.nodes(2, "--broken", "compares-nothing") as nodes, guessers() as crew:
        siege = Lenient(place.data, place.clock, nodes, crew, place.site.certificate, place=place)
        tokens = await siege.tokens()
        for _ in range(30):
            compared = siege.guess(tokens)
            if compared > BURST:
                break
            await siege.unlock()

    assert PARALLEL >= compared > BURST


# A database that is away


async def test_while_the_database_is_frozen_everything_is_answered_with_later_and_then_as_before(
    place: Place, server: Postgres
):
    with place.serving(2) as nodes:
        outage = await freeze(place, server, [node.port for node in nodes], 3.0)

    refused = {(answer.kind, answer.port) for answer in outage.meanwhile}
    assert refused == outage.kinds
    assert outage.odd == []
    assert outage.back().keys() == refused


@pytest.mark.parametrize("greeted", [True, False], ids=["that serves", "that just starts"])
async def test_a_node_ends_when_it_is_told_to_while_the_database_is_frozen(
    place: Place, server: Postgres, greeted: bool
):
    """Nothing of it waits for a server that is silent."""
    with place.serving(1) as (node,):
        async with asyncio.timeout(30):
            while greeted and "Manager at" not in node.out.read_text():
                await asyncio.sleep(0.01)
        server.freeze()
        try:
            await asyncio.sleep(0.2)
            code = await asyncio.to_thread(node.stop)
        finally:
            server.thaw()

    assert code in ((0,) if greeted else (0, 1))  # a start may have failed by then
    assert "Traceback" not in node.err.read_text()


# Nodes that die


async def test_letters_and_webhooks_of_four_nodes_come_once_and_when_nodes_are_shot_all_is_kept(
    place: Place,
):
    """Limits, changes and the trail are looked at after each round."""
    chance = random.Random()
    told: dict[str, list[str]] = {}
    async with a_receiver() as receiver, a_crowd(place, 2, nodes=4) as (town, post):
        async with place.house(private_receivers=True) as house:
            app, receiver.secret = await an_app(house, receiver.url)
            await listen(house, app, receiver.url)
            extra = await some_numbers(house, 3)

            async def much_happens() -> None:
                for _, number in itertools.product(range(10), extra):
                    of = told.setdefault(number.digits, [])
                    of.append(f"E{len(of)}")
                    await tell(house, number, of[-1])

            assert await _everything(town, much_happens(), chance, 0.5, shots=0) == []
            in_peace = await all_mail_is_out(town, post)
            await settled(house)
            once = _of(told, receiver)
            expected = {number: list(events) for number, events in told.items()}

            for n in range(2):
                await town.next_day_part(n)
                odd = await _everything(town, much_happens(), chance, 0.5, shots=1)
                assert odd == [], f"in round {n + 1}"
            letters = await all_mail_is_out(town, post)
            await settled(house, place.clock)
        guesses = await town.guesses()

    assert (in_peace.twice, in_peace.missing, in_peace.received > 0) == (0, 0, True)
    assert once == expected
    assert guesses.odd() == []
    assert guesses.told_wrong > 0
    assert set(letters.states) <= {"sent", "kept"}  # kept: those from before there was a server
    assert letters.missing == 0
    assert {number: list(dict.fromkeys(of)) for number, of in _of(told, receiver).items()} == told
    assert len(town.kills) == 2
    assert town.answered > 0


async def _everything(
    town: Town, more: Coroutine[Any, Any, None], chance: random.Random, seconds: float, shots: int
) -> list[str]:
    """A round of the town, and *more* beside it."""
    beside = asyncio.create_task(more)
    odd = await town.a_round(chance, seconds, shots=shots)
    await beside
    return odd


def _of(told: dict[str, list[str]], receiver: Receiver) -> dict[str, list[str]]:
    """What the receiver heard of these numbers."""
    return {n: events for n, events in by_number(receiver.updates).items() if n in told}


# A clock that is wrong


def _with_a_clock_of_its_own(place: Place, server: Postgres) -> str:
    """The database's address for one whom it tells another time: as if their clock were wrong."""
    server.sql(
        "CREATE SCHEMA wrong; CREATE TABLE wrong.skew AS SELECT 5.0::float8 AS seconds;"
        " CREATE FUNCTION wrong.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$"
        " SELECT pg_catalog.clock_timestamp() - make_interval(secs => seconds)"
        " FROM wrong.skew $$",
        place.url,
    )
    server.sql("CREATE ROLE elsewhere SUPERUSER LOGIN")
    server.sql("ALTER ROLE elsewhere SET search_path = wrong, pg_catalog, public")
    return place.url.replace("postgres@", "elsewhere@")


async def test_a_node_with_a_wrong_clock_does_not_start_and_one_that_gets_it_refuses_until_it_is_right(
    place: Place, server: Postgres
):
    url = _with_a_clock_of_its_own(place, server)
    refused = place.serve(NIGHTLATCH_DATABASE=url)
    assert refused.wait() == 1
    await place.ask("UPDATE wrong.skew SET seconds = 1.5")
    with place.serving(1) as nodes:
        nodes.append(place.serve(NIGHTLATCH_DATABASE=url))
        nodes[1].wait_until_ready()
        number = {"cc": CC, "phone_number": NATIONAL, "cert": place.site.certificate}
        api = Api(nodes[0].port, OWNER.base, OWNER.password)
        assert (await api.login()).status == 200

        async def guess(node: Process) -> Reply:
            api.port = node.port
            body = {**number, "pin": OWNER.pin, "shards": 2}
            return await api.call("POST", "/account/shards", body)

        before = [(await guess(node)).status for node in nodes]
        await place.ask("UPDATE wrong.skew SET seconds = 3.0")
        async with asyncio.timeout(30):
            while (ready := await exchange(nodes[1].port, "GET", "/readyz")).status == 200:
                await asyncio.sleep(0.05)
        after = [await guess(node) for node in nodes]
        other = await exchange(nodes[0].port, "GET", "/readyz")
        await place.ask("UPDATE wrong.skew SET seconds = 1.5")
        async with asyncio.timeout(30):
            while (await exchange(nodes[1].port, "GET", "/readyz")).status != 200:
                await asyncio.sleep(0.05)
        at_last = await guess(nodes[1])

    assert "this machine's clock is +5.0 s off the database's" in refused.err.read_text()
    assert before == [201, 201]
    assert ready.status == 503
    assert ready.body["checks"]["clock"].startswith("the clock is 3.0 s ahead")
    assert [reply.status for reply in after] == [201, 503]
    assert after[1].header("Retry-After")
    assert other.status == 200
    assert at_last.status == 201
