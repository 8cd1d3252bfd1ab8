"""Who sends what while the server is killed, and what each answer promises.

Every person sends one request after the other and remembers it: what was
asked, what came back, and which rows of the audit trail that means. A request
without a whole answer has an unknown outcome: any number of its steps may have
been kept, in their order.
"""

import hashlib
import random
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nightlatch.adapters.keyring import KeyRing
from nightlatch.ports import bound_to
from tests.town import Api, Reply

Row = tuple[str, str]
"""Chain and kind of one audit event."""
Steps = Sequence[tuple[Row, ...]]
"""What one request writes, commit by commit."""
Verdict = tuple[int, int | None]


@dataclass(frozen=True)
class State:
    """What the acknowledged answers say about one number and its two clients."""

    holder: str
    pin: str | None = None
    users: frozenset[str] = frozenset()
    shards: tuple[tuple[str, int], ...] = ()


@dataclass
class Deed:
    """One request: what it was, and the rows it may have written."""

    what: str
    verdict: Verdict | None = None
    alternatives: list[tuple[Row, ...]] = field(default_factory=list)


@dataclass
class Person:
    """Somebody with one or two clients, and a memory of everything asked and answered."""

    clients: dict[str, Api]
    chains: tuple[str, ...]
    deeds: list[Deed] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    read: dict[str, int] = field(default_factory=dict)
    """How many of this person's rows of each chain were explained already."""
    free_of_doubt: bool = True

    @property
    def names(self) -> set[str]:
        return {f"{client}/admin" for client in self.clients}

    async def ask(self, what: str, call: Any, outcomes: dict[Verdict, Sequence[Steps]]) -> Any:
        """Do it and remember it; the answer, or None when there was no whole one."""
        deed = Deed(what)
        self.deeds.append(deed)
        reply = await _whole(call)
        deed.verdict = None if reply is None else reply.verdict
        if reply is None or deed.verdict == (503, 1011):
            every = [steps for way in outcomes.values() for steps in way]
            deed.alternatives = [()] + [
                sum(steps[:n], ()) for steps in every for n in range(1, len(steps) + 1)
            ]
            self.free_of_doubt = False
            return None
        if deed.verdict == (503, 1016):  # overloaded: nothing was begun
            deed.alternatives = [()]
            return reply
        assert deed.verdict in outcomes, (what, deed.verdict, reply.raw)
        deed.alternatives = [sum(steps, ()) for steps in outcomes[deed.verdict]]
        return reply

    async def log_in(self, client: str) -> None:
        reply = await self.ask("log in", self.clients[client].login(), {(200, None): [()]})
        if reply is not None:
            self.tokens.append(self.clients[client].token)

    async def log_in_wrong(self, client: str) -> None:
        api = self.clients[client]
        wrong = ((f"client:{client}", "login.wrong"),)
        await self.ask(
            "log in wrong",
            Api(api.port, api.base, "").login("Wrong-Pass-1"),
            {(401, 1005): [(wrong,)], (429, 1015): [()]},
        )

    def explain(self, rows: Iterable[tuple[str, str, str]]) -> str | None:
        """Whether the new *rows* (chain, kind, who) are what the deeds say; else, what is odd."""
        mine: dict[str, list[str]] = {chain: [] for chain in self.chains}
        for chain, kind, who in rows:
            if who in self.names and chain in mine:
                mine[chain].append(kind)
        fresh = {chain: kinds[self.read.get(chain, 0) :] for chain, kinds in mine.items()}
        places = {(0,) * len(self.chains)}
        for deed in self.deeds:
            places = {
                place
                for before in places
                for rows_ in deed.alternatives
                if (place := self._walk(before, rows_, fresh)) is not None
            }
            if not places:
                return f"the trail does not fit {deed.what} -> {deed.verdict}: {fresh}"
        if tuple(len(fresh[chain]) for chain in self.chains) not in places:
            return f"the trail has more than was done: {fresh}"
        self.read = {chain: len(kinds) for chain, kinds in mine.items()}
        self.deeds.clear()
        return None

    def _walk(
        self, place: tuple[int, ...], rows: tuple[Row, ...], found: dict[str, list[str]]
    ) -> tuple[int, ...] | None:
        at = dict(zip(self.chains, place, strict=True))
        for chain, kind in rows:
            if at[chain] >= len(found[chain]) or found[chain][at[chain]] != kind:
                return None
            at[chain] += 1
        return tuple(at.values())


async def _whole(call: Any) -> Reply | None:
    """The answer, unless it was cut off anywhere."""
    try:
        reply: Reply = await call
        if int(reply.header("Content-Length") or 0) != len(reply.raw):
            return None
        return reply
    except (OSError, AssertionError, ValueError, IndexError, TimeoutError):
        return None


@dataclass
class Thief(Person):
    """Has the certificate and tries PINs, none of them ever the owner's."""

    register: dict[str, str] = field(default_factory=dict)
    number: str = ""
    sent: int = 0
    told_wrong: int = 0

    async def act(self, chance: random.Random) -> None:
        (client,) = self.clients
        if chance.random() < 0.05:
            await self.log_in_wrong(client)
            return
        self.sent += 1
        pin = f"{chance.randrange(500_000):06d}"
        guess = (((self.number, "guess.paid"),), ((self.number, "guess.wrong"),))
        code = (((self.number, "registration.accepted"), (self.number, "code.sent")),)
        await self.ask(
            "guess",
            self.clients[client].call("POST", "/account", {**self.register, "pin": pin}),
            {
                (403, 1005): [guess],
                (429, 1015): [()],
                (400, 1009): [()],  # two-step was turned off meanwhile
                (202, None): [code],  # it was off
            },
        )
        if self.deeds[-1].verdict == (403, 1005):
            self.told_wrong += 1


@dataclass
class Owner(Person):
    """Holds the number with one of two clients, and changes whatever can be changed."""

    state: State = State("")
    doubt: State | None = None
    """What the state is, if the last request was kept."""
    register: dict[str, str] = field(default_factory=dict)
    number: str = ""
    data: Path = Path()
    database: Callable[[], Awaitable[sqlite3.Connection]] = field(kw_only=True)
    """What is stored, as SQLite."""
    sent: int = 0
    changes: int = 0
    """Acknowledged changes of what is stored."""

    async def act(self, chance: random.Random) -> None:
        deeds = {
            self.set_pin: 4,
            self.turn_off: 1,
            self.prove_pin: 4,
            self.register_again: 1,
            self.move: 1,
            self.add_user: 2,
            self.remove_user: 2,
            self.log_in_somewhere: 1,
        }
        deed = chance.choices(list(deeds), list(deeds.values()))[0]
        await deed(chance)

    async def _change(
        self, what: str, call: Any, outcomes: dict[Verdict, Sequence[Steps]], after: State
    ) -> Any:
        """As ``ask``; a success leads to *after*."""
        reply = await self.ask(what, call, outcomes)
        if reply is None:
            self.doubt = after
        elif reply.status < 400:
            self.changes += after != self.state
            self.state = after
        return reply

    @property
    def _api(self) -> Api:
        return self.clients[self.state.holder]

    async def set_pin(self, chance: random.Random) -> None:
        pin = f"{chance.randrange(500_000, 1_000_000):06d}"
        if pin == self.state.pin:
            return
        kind = "two_step.turned_on" if self.state.pin is None else "two_step.pin_changed"
        await self._change(
            "set the PIN",
            self._api.set_pin(pin),
            {(200, None): [(((self.number, kind),),)]},
            replace(self.state, pin=pin),
        )

    async def turn_off(self, _: random.Random) -> None:
        rows = () if self.state.pin is None else (((self.number, "two_step.turned_off"),),)
        await self._change(
            "turn off", self._api.turn_off(), {(200, None): [rows]}, replace(self.state, pin=None)
        )

    async def prove_pin(self, chance: random.Random) -> None:
        shards = chance.choice((1, 2, 4, 8, 16, 32))
        body = {
            **{name: self.register[name] for name in ("cc", "phone_number", "cert")},
            **self._pin(),
            "shards": shards,
        }
        holder = self.state.holder
        kept = dict(self.state.shards) | {holder: shards}
        await self._change(
            "set shards with the PIN",
            self._api.call("POST", "/account/shards", body),
            {
                (201, None): [(*self._right(), ((f"client:{holder}", "shards.set"),))],
                (429, 1015): [()],
            },
            replace(self.state, shards=tuple(sorted(kept.items()))),
        )

    async def register_again(self, _: random.Random) -> None:
        await self._change(
            "register again",
            self._api.call("POST", "/account", {**self.register, **self._pin()}),
            {
                (201, None): [(*self._right(), ((self.number, "registration.accepted"),))],
                (429, 1015): [(), self._right()],  # a wait, or the registrations are spent
            },
            self.state,
        )

    async def move(self, _: random.Random) -> None:
        """Register the number with the other client: PIN, code, take-over."""
        other = next(name for name in self.clients if name != self.state.holder)
        api = self.clients[other]
        code = ((self.number, "registration.accepted"), (self.number, "code.sent"))
        reply = await self.ask(
            "ask for a code elsewhere",
            api.call("POST", "/account", {**self.register, **self._pin()}),
            {(202, None): [(*self._right(), code)], (429, 1015): [(), self._right()]},
        )
        if reply is None or reply.status != 202:
            return
        digits = await self._code()
        if digits is None:
            return
        over = ((self.number, "number.registered"), (self.number, "number.taken_over"))
        await self._change(
            "enter the code",
            api.verify(digits),
            # a thief's request without a PIN may have replaced this one meanwhile
            {(201, None): [(over,)], (400, 1009): [(), (((self.number, "code.wrong"),),)]},
            replace(self.state, holder=other),
        )

    async def _code(self) -> str | None:
        """The newest code in the database, opened with the key ring: where it waits or arrived."""
        id_ = self.number.partition(":")[2]
        with closing(await self.database()) as database:
            found = database.execute(
                "SELECT sealed, expires_at FROM outbox WHERE number = ?1 UNION ALL"
                " SELECT sealed, expires_at FROM handset WHERE number = ?1 ORDER BY 2 DESC LIMIT 1",
                (int(id_),),
            ).fetchone()
        if found is None:
            return None
        return KeyRing(self.data / "keyring.json").unseal(found[0], bound_to("code", id_)).decode()

    async def add_user(self, chance: random.Random) -> None:
        name = f"user-{chance.randrange(10**12)}"
        client = chance.choice(list(self.clients))
        await self._change(
            "add a user",
            self.clients[client].call(
                "POST", "/users", {"username": name, "password": "Some-Pass-1"}
            ),
            {(201, None): [(((f"client:{client}", "user.added"),),)]},
            replace(self.state, users=self.state.users | {f"{client}/{name}"}),
        )

    async def remove_user(self, chance: random.Random) -> None:
        if not self.state.users:
            return
        full = chance.choice(sorted(self.state.users))
        client, _, name = full.partition("/")
        await self._change(
            "remove a user",
            self.clients[client].call("DELETE", f"/users/{name}"),
            {(200, None): [(((f"client:{client}", "user.removed"),),)]},
            replace(self.state, users=self.state.users - {full}),
        )

    async def log_in_somewhere(self, chance: random.Random) -> None:
        client = chance.choice(list(self.clients))
        await (self.log_in_wrong if chance.random() < 0.3 else self.log_in)(client)

    def _pin(self) -> dict[str, str]:
        if self.state.pin is None:
            return {}
        self.sent += 1
        return {"pin": self.state.pin}

    def _right(self) -> Steps:
        if self.state.pin is None:
            return ()
        return (((self.number, "guess.paid"),), ((self.number, "guess.right"),))


def token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
