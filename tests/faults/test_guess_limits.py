"""Many wrong PINs at the same moment, from many processes, over every path that compares one."""

import json
import os
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from nightlatch.domain.limits import GUESS_WAITS
from nightlatch.usecases import clients, numbers
from tests.faults.processes import ROOT, ClockFile, Process, environment, served
from tests.people import CC, E164, NATIONAL, OWNER, THIEF
from tests.town import Api, a_house, a_town

ROUNDS = int(os.environ.get("NIGHTLATCH_ROUNDS", "5"))
PARALLEL, CLIENTS = 200, 4
DAY = timedelta(days=1)
BURST = sum(1 for wait in GUESS_WAITS if not wait) + 1
WRONG = ("The two-step verification PIN is wrong", "(#133005)")


@dataclass
class Guessers:
    """Client processes that shoot together."""

    crew: list[subprocess.Popen[str]]

    def volley(self, requests: list[list[Any]]) -> list[list[Any]]:
        """Send all *requests* at once, spread over the processes."""
        for n, one in enumerate(self.crew):
            assert one.stdin is not None
            one.stdin.write(json.dumps(requests[n :: len(self.crew)]) + "\n")
            one.stdin.flush()
        return [answer for one in self.crew for answer in json.loads(_line(one))]


def _line(one: subprocess.Popen[str]) -> str:
    assert one.stdout is not None
    return one.stdout.readline()


@contextmanager
def guessers() -> Iterator[Guessers]:
    crew = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.faults.guesser"],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(CLIENTS)
    ]
    try:
        assert [_line(one) for one in crew] == ["ready\n"] * CLIENTS
        yield Guessers(crew)
    finally:
        for one in crew:
            with one:  # closes its pipes and waits
                one.kill()


@dataclass
class Siege:
    """A protected number, its holder's client, three clients of thieves, and servers."""

    data: Path
    clock: ClockFile
    servers: list[Process]
    crew: Guessers
    certificate: str
    seed: int = 0

    WRONG_CODES: ClassVar[frozenset[int]] = frozenset({1005})
    REFUSED: ClassVar[frozenset[tuple[int, int]]] = frozenset({(429, 1015), (503, 1016)})
    """Answers that say that nothing was compared."""

    async def tokens(self) -> dict[str, str]:
        """Everybody logs in again: time passes, and tokens end."""
        found = {}
        for base, password in _everybody():
            api = Api(self.servers[0].port, base, password)
            assert (await api.login()).status == 200
            found[base] = api.token
        return found

    def requests(self, tokens: dict[str, str]) -> list[list[Any]]:
        """Wrong PINs by every path: register as a thief or as the holder, and set shards."""
        chance = random.Random(self.seed)
        self.seed += 1
        number = {"cc": CC, "phone_number": NATIONAL, "cert": self.certificate}
        found = []
        for n in range(PARALLEL):
            body: dict[str, Any] = {**number, "pin": f"{chance.randrange(100_000):06d}"}
            base = OWNER.base if chance.random() < 0.5 else chance.choice(list(tokens)[1:])
            if base == OWNER.base and chance.random() < 0.8:
                path, body["shards"] = "/account/shards", 2
            else:
                path, body["method"] = "/account", "sms"
            found.append(
                [self.servers[n % len(self.servers)].port, base + path, tokens[base], body]
            )
        return found

    def guess(self, tokens: dict[str, str]) -> int:
        """One volley; how many of the PINs were compared, as the clients were told."""
        answers = self.crew.volley(self.requests(tokens))
        assert len(answers) == PARALLEL
        told = Counter(
            "wrong" if code in self.WRONG_CODES and details.startswith(WRONG) else (status, code)
            for status, code, details in answers
        )
        compared = told.pop("wrong", 0)
        assert told.keys() <= self.REFUSED, told
        return compared

    async def unlock(self) -> None:
        """The owner vouches between two rounds, as an operator would."""
        async with a_house(self.data) as house:
            await numbers.unlock(house.world, await numbers.find_number(house.world, E164))

    def stored(self) -> tuple[int, int, int]:
        """Guesses ever paid for by the counter, by the trail, and those written down as wrong."""
        ((ticket,),) = self._ask("SELECT guess_ticket FROM numbers")
        kinds = dict(self._ask("SELECT kind, count(*) FROM audit GROUP BY kind"))
        return ticket, kinds.get("guess.paid", 0), kinds.get("guess.wrong", 0)

    def paths(self) -> set[str]:
        """Every path that a paid guess came by."""
        paid = self._ask("SELECT details FROM audit WHERE kind = 'guess.paid'")
        return {dict(json.loads(details))["path"] for (details,) in paid}

    def _ask(self, sql: str) -> list[Any]:
        database = sqlite3.connect(self.data / "nightlatch.db")
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()

    async def a_day(self) -> list[int]:
        """Volleys before and after every wait of the first day; what each compared."""
        tokens = await self.tokens()
        found = [self.guess(tokens)]
        passed = timedelta(0)
        for wait in GUESS_WAITS[BURST - 1 : -1]:
            self.clock.step(wait)
            passed += wait
            found.append(self.guess(tokens))
        self.clock.step(DAY - passed - timedelta(minutes=1))
        found.append(self.guess(tokens))
        return found


def _everybody() -> list[tuple[str, str]]:
    thieves = [(f"/clients/{name}/v1", THIEF.password) for name in ("thief", "thief-2", "thief-3")]
    return [(OWNER.base, OWNER.password), *thieves]


@pytest.fixture
async def protected(tmp_path: Path) -> tuple[Path, str]:
    """A data folder with a protected number and four clients; nobody serves it."""
    data = tmp_path / "data"
    async with a_town(data) as town:
        await town.owner_is_protected()
        for name in ("thief-2", "thief-3"):
            await clients.add_client(town.house.world, name)
            await Api(town.port, f"/clients/{name}/v1", THIEF.password).move_in()
        return data, town.owner.certificate


@pytest.mark.parametrize("processes", [1, 4])
async def test_parallel_wrong_pins_get_exactly_five_comparisons_and_ten_a_day(
    protected, tmp_path: Path, processes: int
):
    data, certificate = protected
    clock = ClockFile(tmp_path / "clock")

    days, stored = [], []
    with (
        served(data, clock, "--share", count=processes) as servers,
        guessers() as crew,
    ):
        siege = Siege(data, clock, servers, crew, certificate)
        for _ in range(ROUNDS):
            days.append(await siege.a_day())
            stored.append(siege.stored())
            await siege.unlock()
        paths = siege.paths()

    print(f"\n{processes} servers, {ROUNDS} rounds: compared {Counter(map(tuple, days))}")
    assert days == [[BURST, 1, 1, 1, 1, 1, 0]] * ROUNDS
    assert paths == {"account", "shards"}
    assert stored == [(10 * n,) * 3 for n in range(1, ROUNDS + 1)]


async def test_this_check_notices_a_store_that_checks_and_then_counts(protected, tmp_path: Path):
    data, certificate = protected
    clock = ClockFile(tmp_path / "clock")

    with (
        served(data, clock, "--share", "--broken", "check-then-count") as servers,
        guessers() as crew,
    ):
        siege = Siege(data, clock, servers, crew, certificate)
        compared = siege.guess(await siege.tokens())

    assert compared > BURST
