"""``kill -9`` at random moments under load: nothing guessed for free, nothing acknowledged lost."""

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightlatch.adapters.hashing import CHEAP, Argon2Pool
from nightlatch.adapters.keyring import KeyRing
from nightlatch.adapters.sql.rows import link_from_row
from nightlatch.bootstrap import House
from nightlatch.domain.audit import first_break
from nightlatch.domain.codes import Method
from nightlatch.ports import bound_to
from nightlatch.usecases import clients, codes, numbers, registration
from nightlatch.usecases.audit import AUDIT_KEY
from tests.faults.households import Owner, Person, State, Thief, token_hash
from tests.faults.processes import ClockFile, Process, start_served
from tests.people import OWNER
from tests.town import Api, a_house

KILLS = int(os.environ.get("NIGHTLATCH_KILLS", "20"))
HOUSEHOLDS = 3
MONTH = timedelta(days=31)  # what was guessed before no longer counts towards a lock


@dataclass
class Village:
    """Numbers with their owners and thieves, and the server they all speak to."""

    data: Path
    clock: ClockFile
    broken: tuple[str, ...] = ()
    owners: list[Owner] = field(default_factory=list)
    thieves: list[Thief] = field(default_factory=list)
    server: Process | None = None
    ready: list[float] = field(default_factory=list)
    answered: int = 0
    unknown: int = 0

    @property
    def people(self) -> list[Person]:
        return [*self.owners, *self.thieves]

    def start(self, *, killed_while_starting: float | None = None) -> None:
        port = None if self.server is None else self.server.port
        if killed_while_starting is not None:
            starting = start_served(self.data, self.clock, "--share", *self.broken, port=port)
            time.sleep(killed_while_starting)
            starting.kill()
        self.server = start_served(self.data, self.clock, "--share", *self.broken, port=port)
        self.ready.append(self.server.wait_until_ready())

    async def everybody_logs_in(self) -> None:
        assert self.server is not None
        for person in self.people:
            for client, api in person.clients.items():
                api.port = self.server.port
                await person.log_in(client)

    async def live_until_killed(self, chance: random.Random) -> None:
        """Everybody acts, one request after the other, until the server is shot."""
        assert self.server is not None
        lives = [asyncio.create_task(self._live(one, chance.random())) for one in self.people]
        try:
            await asyncio.sleep(chance.uniform(0.02, 0.5))
        finally:
            self.server.kill()
        await asyncio.gather(*lives)

    async def _live(self, person: Person, seed: float) -> None:
        chance = random.Random(seed)
        while person.free_of_doubt:
            await person.act(chance)  # type: ignore[attr-defined]  # owners and thieves both do

    async def database(self) -> sqlite3.Connection:
        """What is stored."""
        return sqlite3.connect(self.data / "nightlatch.db")

    async def odd(self) -> list[str]:
        """Everything in the data folder that the answers do not allow; explains all deeds."""
        ring = KeyRing(self.data / "keyring.json")
        with closing(await self.database()) as database:
            found = [
                f"integrity: {text}"
                for (text,) in database.execute("PRAGMA integrity_check")
                if text != "ok"
            ]
            found += _broken_chains(database, ring.keyed_hash(AUDIT_KEY, b""))
            trail = database.execute(
                "SELECT subject, kind, by FROM audit ORDER BY subject, seq"
            ).fetchall()
            for person in self.people:
                self.answered += sum(deed.verdict is not None for deed in person.deeds)
                self.unknown += sum(deed.verdict is None for deed in person.deeds)
                fault = person.explain(trail)
                found += [] if fault is None else [fault]
                found += self._lost_tokens(database, person)
                person.free_of_doubt = True
            for owner, thief in zip(self.owners, self.thieves, strict=True):
                found += await self._odd_state(database, ring, owner)
                found += _odd_counts(database, owner, thief)
                found += _odd_mail(database, owner)
        return found

    def _lost_tokens(self, database: sqlite3.Connection, person: Person) -> list[str]:
        lost = [
            token
            for token in person.tokens
            if not database.execute(
                "SELECT 1 FROM tokens WHERE hash = ?", (token_hash(token),)
            ).fetchone()
        ]
        person.tokens.clear()
        return [f"{len(lost)} acknowledged logins are gone"] if lost else []

    async def _odd_state(
        self, database: sqlite3.Connection, ring: KeyRing, owner: Owner
    ) -> list[str]:
        """The store says what was acknowledged last, or what the unknown request asked for."""
        allowed = [owner.state] + ([] if owner.doubt is None else [owner.doubt])
        owner.doubt = None
        stored = await _stored_state(database, ring, owner, {state.pin for state in allowed})
        if stored not in allowed:
            return [f"acknowledged {allowed}, stored {stored}"]
        owner.state = stored
        return []


async def _stored_state(
    database: sqlite3.Connection, ring: KeyRing, owner: Owner, pins: set[str | None]
) -> State:
    id_ = owner.number.partition(":")[2]
    holder, verifier = database.execute(
        "SELECT holder, pin_verifier FROM numbers WHERE id = ?", (int(id_),)
    ).fetchone()
    pin = None
    if verifier is not None:
        pin = "none of those"
        with closing(Argon2Pool(ring, CHEAP, 1)) as pool:
            async with pool.place() as place:
                for one in pins - {None}:
                    if await place.matches(verifier, str(one), bound_to("pin", id_)):
                        pin = one
    marks = ", ".join("?" * len(owner.clients))
    users = database.execute(
        f"SELECT client || '/' || username FROM users WHERE client IN ({marks})"
        " AND username <> 'admin'",
        tuple(owner.clients),
    )
    shards = database.execute(
        f"SELECT name, shards FROM clients WHERE name IN ({marks}) ORDER BY name",
        tuple(owner.clients),
    )
    return State(holder, pin, frozenset(name for (name,) in users), tuple(shards))


def _odd_counts(database: sqlite3.Connection, owner: Owner, thief: Thief) -> list[str]:
    """Wrong guesses that were answered <= counted <= sent; and each counted one has its row."""
    (ticket,) = database.execute(
        "SELECT guess_ticket FROM numbers WHERE id = ?", (int(owner.number.partition(":")[2]),)
    ).fetchone()
    rows = dict(
        database.execute(
            "SELECT kind, count(*) FROM audit WHERE subject = ? GROUP BY kind", (owner.number,)
        )
    )
    paid, wrong = rows.get("guess.paid", 0), rows.get("guess.wrong", 0)
    if not thief.told_wrong <= wrong <= paid == ticket <= thief.sent + owner.sent:
        told = f"told wrong {thief.told_wrong}, written wrong {wrong}, paid {paid}"
        return [f"{told}, counted {ticket}, sent {thief.sent + owner.sent}"]
    return []


LETTERS = {
    "two_step.turned_on": "pin_set",
    "two_step.pin_changed": "pin_changed",
    "two_step.turned_off": "pin_turned_off",
    "number.locked": "number_locked",
    "number.taken_over": "number_taken_over",
}
"""What is mailed for each of these events, once, because one address gets it."""


def _odd_mail(database: sqlite3.Connection, owner: Owner) -> list[str]:
    """Each event that is told by mail has exactly one letter, and none is without its event.

    Those of the last weeks: what ended MAIL_KEPT before the store's latest time is gone, and that
    may be weeks after the last event.
    """
    (latest,) = database.execute(
        "SELECT max(at) FROM (SELECT max(at) AS at FROM audit UNION ALL"
        " SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'latest_time')"
    ).fetchone()
    since = latest - 20 * 86_400 * 1_000_000
    events = dict(
        database.execute(
            "SELECT kind, count(*) FROM audit WHERE subject = ? AND at > ? GROUP BY kind",
            (owner.number, since),
        )
    )
    letters = dict(
        database.execute(
            "SELECT letter, count(*) FROM mail, json_each(facts) AS fact"
            " WHERE json_extract(fact.value, '$[0]') = 'number_id'"
            " AND json_extract(fact.value, '$[1]') = ? AND posted_at > ? GROUP BY letter",
            (owner.number.partition(":")[2], since),
        )
    )
    return [
        f"{events.get(kind, 0)} events {kind}, {letters.get(letter, 0)} letters {letter}"
        for kind, letter in LETTERS.items()
        if events.get(kind, 0) != letters.get(letter, 0)
    ]


def _broken_chains(database: sqlite3.Connection, key: bytes) -> list[str]:
    heads = database.execute(
        "SELECT 'number:' || id, audit_seq, audit_head FROM numbers UNION ALL"
        " SELECT 'client:' || name, audit_seq, audit_head FROM clients UNION ALL"
        " SELECT 'portfolio:' || id, audit_seq, audit_head FROM portfolios"
    ).fetchall()
    found = []
    for subject, seq, head in heads:
        links = [
            link_from_row(row)
            for row in database.execute(
                "SELECT subject, seq, at, kind, by, details, place, hash FROM audit"
                " WHERE subject = ? ORDER BY seq",
                (subject,),
            )
        ]
        place = first_break(key, links, seq, head)
        if place is not None:
            found.append(f"the chain of {subject} breaks at {place}")
    return found


async def settle(house: House, village: Village, count: int) -> None:
    """*count* registered numbers, everybody with a changed password."""
    for n in range(count):
        e164 = f"+1631555200{n}"
        waba = await house.first_waba()
        number = await numbers.add_number(house.world, waba, e164, "1", f"Shop {n}")
        cert = numbers.certificate(house.world, await numbers.find_number(house.world, e164))
        names = [f"owner-{n}", f"spare-{n}", f"thief-{n}"]
        apis = {name: Api(0, f"/clients/{name}/v1", OWNER.password) for name in names}
        for name in names:
            await clients.add_client(house.world, name)
            await clients.log_in(house.world, name, "admin", "secret", OWNER.password)
        register: dict[str, Any] = {
            "cc": "1", "phone_number": e164[2:], "method": "sms", "cert": cert,
        }  # fmt: skip
        admin = await house.store.user(names[0], "admin")
        assert admin is not None
        await registration.request_code(house.world, admin, e164, Method.SMS, cert, None)
        await codes.deliver(house.world, house.sender)
        (message,) = await codes.handset(house.world, e164)
        await registration.enter_code(house.world, admin, message.code)
        subject = f"number:{number.id}"
        village.owners.append(
            Owner(
                {name: apis[name] for name in names[:2]},
                (subject, f"client:{names[0]}", f"client:{names[1]}"),
                state=State(names[0], shards=((names[0], 1), (names[1], 1))),
                register=register,
                number=subject,
                data=village.data,
                database=village.database,
            )
        )
        village.thieves.append(
            Thief(
                {names[2]: apis[names[2]]},
                (subject, f"client:{names[2]}"),
                register=register,
                number=subject,
            )
        )
    for person in village.people:
        for chain in person.chains:
            links = [link async for link in house.store.audit(chain)]
            person.read[chain] = sum(link.event.by in person.names for link in links)


async def _found(data: Path, clock: ClockFile, *broken: str) -> Village:
    """A village that nobody serves yet."""
    village = Village(data, clock, broken)
    async with a_house(data) as house:
        await settle(house, village, HOUSEHOLDS)
    return village


@pytest.fixture
async def village(tmp_path: Path) -> AsyncIterator[Village]:
    founded = await _found(tmp_path / "data", ClockFile(tmp_path / "clock"))
    yield founded
    if founded.server is not None:
        founded.server.end()


async def test_kill_9_at_random_moments_gives_no_free_guess_and_loses_no_acknowledged_change(
    village: Village,
):
    chance = random.Random()
    village.start()

    for kill in range(KILLS):
        await village.everybody_logs_in()
        await village.live_until_killed(chance)
        starting = chance.uniform(0.1, 0.7) if chance.random() < 0.1 else None
        village.start(killed_while_starting=starting)
        odd = await village.odd()
        assert odd == [], f"after kill {kill + 1}"
        village.clock.step(MONTH)

    again = village.ready[1:]
    print(
        f"\n{KILLS} kills: {village.answered} requests answered, {village.unknown} cut off, "
        f"{sum(owner.changes for owner in village.owners)} acknowledged changes, "
        f"{sum(thief.told_wrong for thief in village.thieves)} wrong guesses answered; "
        f"0 free, 0 lost; ready again after at most {max(again):.2f} s, "
        f"median {sorted(again)[len(again) // 2]:.2f} s"
    )
    assert village.answered > 0
    assert len(again) == KILLS


async def test_this_check_notices_a_store_that_answers_before_it_commits(tmp_path: Path):
    chance = random.Random()
    odd: list[str] = []

    for n in range(10):
        folder = tmp_path / str(n)
        folder.mkdir()
        village = await _found(
            folder / "data", ClockFile(folder / "clock"), "--broken", "reply-before-commit"
        )
        try:
            village.start()
            await village.everybody_logs_in()
            await village.live_until_killed(chance)
            odd += await village.odd()
        finally:
            if village.server is not None:
                village.server.end()
        kinds = {fault.partition(" ")[0] for fault in odd}
        if {"told", "acknowledged", "the"} <= kinds:
            break

    assert any(fault.startswith("told wrong") for fault in odd), odd  # free guesses
    assert any(fault.startswith("acknowledged") for fault in odd), odd  # lost changes
    assert any(fault.startswith("the trail") for fault in odd), odd
