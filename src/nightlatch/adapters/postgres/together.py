"""Changes of numbers, those of one moment together: read at once, kept by one statement.

The statement compares before it writes: a row that anybody changed since it was
read keeps what it has, and the changes meant for it are made again on what it
says now. PostgreSQL's own version of a row (``xmin``) is what is compared.
So a row that was just written need not be read again for the next change: if
it is another one by now, nothing is kept, and then it is read. What would
write nothing, a refusal above all, is always decided on a row just read.
Changes of the same number wait for each other here and not in the database.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from nightlatch.adapters.postgres.connections import Again, Connections, in_our_words
from nightlatch.adapters.sql import rows
from nightlatch.adapters.sql.lists import counts
from nightlatch.domain.audit import CHARTED, Link, link
from nightlatch.domain.errors import NumberUnknown, Overloaded, Unavailable
from nightlatch.domain.limits import STORE_SECONDS
from nightlatch.domain.numbers import Decision, Number
from nightlatch.ports import Change

_MOST_WAITING: Final = 10_000
_MOST_TOGETHER: Final = 256
_MOST_KNOWN: Final = 2_000
_KNOWN_SECONDS: Final = 30.0
"""How long a written row is good for another try: no database counts its versions round in it."""
_READ: Final = (
    f"SELECT {', '.join(rows.NUMBER_COLUMNS)}, xmin::text, audit_seq, audit_head"  # noqa: S608
    " FROM numbers WHERE id = ANY($1::bigint[])"
)
_WIDTH: Final = len(rows.NUMBER_COLUMNS)
_TEXT: Final = frozenset(
    {
        "e164", "cc", "waba", "name", "serial", "holder", "guess_paid", "registrations", "codes",
        "pending_session", "pending_client", "pending_method", "asked_name", "link_by",
        "links_sent", "deregistrations",
    }
)  # fmt: skip
_BYTES: Final = frozenset({"pin_verifier", "pending_hash", "link_hash"})
_NOTHING: Final = (0, 0, 0)


@dataclass(slots=True)
class _Wish:
    """A change that somebody waits for."""

    id: int
    change: Change
    done: "asyncio.Future[Decision]"


@dataclass(slots=True)
class _Plan:
    """What the wishes for one number come to."""

    id: int
    version: str
    before: rows.Row
    first: Number
    seq: int
    head: bytes
    known: bool
    """Whether the row was not read for this plan, but written by one before."""
    outcomes: list[tuple[_Wish, Decision | Exception]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    after: rows.Row = ()
    number: Number = field(init=False)

    def __post_init__(self) -> None:
        self.number = self.first

    def keep(self, key: bytes, decision: Decision) -> None:
        """One more decision on top of those before."""
        for event in decision.events:
            self.seq += 1
            new = link(key, f"number:{self.id}", self.seq, self.head, event)
            self.head = new.hash
            self.links.append(new)
        self.number = decision.number

    @property
    def changed(self) -> set[str]:
        """The columns that are not as they were."""
        return {
            column
            for column, old, new in zip(rows.NUMBER_COLUMNS, self.before, self.after, strict=True)
            if old != new
        }


@dataclass(frozen=True, slots=True)
class _Known:
    """A row as this node wrote it."""

    version: str
    row: rows.Row
    number: Number
    seq: int
    head: bytes
    opened: int
    """How many connections there had been: a database that took over has only new ones."""
    until: float


class Together:
    """Makes changes of numbers; *alone* makes one that needs more than the number's own row."""

    def __init__(
        self,
        connections: Connections,
        audit_key: bytes,
        alone: Callable[[int, Change], Awaitable[Decision]],
        slot: Callable[[], int],
    ) -> None:
        self._connections = connections
        self._audit_key = audit_key
        self._alone = alone
        self._slot = slot
        self._waiting: deque[_Wish] = deque()
        self._behind: dict[int, list[_Wish]] = {}
        """Numbers of which one change is made alone just now, with those that wait for it."""
        self._known: dict[int, _Known] = {}
        self._round: asyncio.Task[None] | None = None
        self._others: set[asyncio.Task[None]] = set()

    async def change(self, id: int, change: Change) -> Decision:
        """Apply *change* to one number; returns once that is durable.

        What *change* raises comes back unchanged.

        Raises:
            NumberUnknown: no such number.
            Unavailable: the database failed, or did not answer in STORE_SECONDS;
                in the second case the change may be kept or not.
            Overloaded: too much is waiting; not begun.
        """
        if len(self._waiting) >= _MOST_WAITING:
            raise Overloaded
        loop = asyncio.get_running_loop()
        wish = _Wish(id, change, loop.create_future())
        late = loop.call_later(STORE_SECONDS, _give_up, wish.done)
        self._put([wish])
        try:
            return await wish.done
        finally:
            late.cancel()

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._round is not None or self._others:
            under_way = {*self._others, *([self._round] if self._round else [])}
            await asyncio.wait(under_way)

    def _put(self, wishes: Sequence[_Wish], *, first: bool = False) -> None:
        if first:
            self._waiting.extendleft(reversed(wishes))
        else:
            self._waiting.extend(wishes)
        if self._round is None and self._waiting:
            self._round = asyncio.create_task(self._go_round())

    async def _go_round(self) -> None:
        try:
            while self._waiting:
                wishes = self._take()
                try:
                    await self._make(wishes)
                except Again:
                    self._waiting.extendleft(
                        wish
                        for some in reversed(wishes.values())
                        for wish in reversed(some)
                        if not wish.done.done()
                    )
                except Exception as error:  # noqa: BLE001 - told to everybody who waits
                    self._known.clear()
                    for some in wishes.values():
                        for wish in some:
                            _settle(wish, error)
        finally:
            self._round = None

    def _take(self) -> dict[int, list[_Wish]]:
        """The next wishes, by number; those behind a change that is made alone stay aside."""
        taken: dict[int, list[_Wish]] = {}
        for _ in range(min(len(self._waiting), _MOST_TOGETHER)):
            wish = self._waiting.popleft()
            if wish.done.done():
                continue  # nobody waits for it any more, and it was never begun
            if wish.id in self._behind:
                self._behind[wish.id].append(wish)
            else:
                taken.setdefault(wish.id, []).append(wish)
        return taken

    async def _make(self, wishes: dict[int, list[_Wish]]) -> None:
        if not wishes:
            return
        async with self._connections.one() as connection:
            to_keep, unread = self._on_known(wishes)
            if unread:
                to_keep += await self._on_read(connection, unread)
            kept = await self._written(connection, to_keep) if to_keep else {}
        for plan in to_keep:
            if plan.id in kept:
                self._remember(plan, kept[plan.id])
                _tell(plan)
            else:  # somebody was quicker
                self._connections.watch.retried("conflict")
                again = [wish for wish, _ in plan.outcomes]
                self._waiting.extendleft(reversed(again))

    def _on_known(
        self, wishes: dict[int, list[_Wish]]
    ) -> tuple[list[_Plan], dict[int, list[_Wish]]]:
        """Plans for numbers whose row is known, and the wishes for the others.

        What is known may be old. So only a plan that writes counts, for that is compared.
        """
        opened, now = self._connections.opened, asyncio.get_running_loop().time()
        plans: list[_Plan] = []
        unread: dict[int, list[_Wish]] = {}
        for id, some in wishes.items():
            known = self._known.pop(id, None)
            if known is None or known.opened != opened or known.until < now:
                unread[id] = some
                continue
            plan = _Plan(
                id, known.version, known.row, known.number, known.seq, known.head, known=True
            )
            if self._decide(plan, some) and _writes(plan):
                plans.append(plan)
            else:
                unread[id] = some
        return plans, unread

    async def _on_read(self, connection: Any, wishes: dict[int, list[_Wish]]) -> list[_Plan]:
        """Plans on what the database says now; those that write nothing are told at once."""
        with in_our_words():
            found = {row[0]: row for row in await connection.fetch(_READ, sorted(wishes))}
        plans = []
        for id, some in wishes.items():
            row = found.get(id)
            if row is None:
                for wish in some:
                    _settle(wish, NumberUnknown())
                continue
            before = tuple(row[:_WIDTH])
            version, seq, head = row[_WIDTH:]
            number = rows.number_from_row(before)
            plan = _Plan(id, version, before, number, seq, head, known=False)
            self._decide(plan, some)
            if _writes(plan):
                plans.append(plan)
            else:
                _tell(plan)
        return plans

    def _remember(self, plan: _Plan, version: str) -> None:
        while len(self._known) >= _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[plan.id] = _Known(
            version, plan.after, plan.number, plan.seq, plan.head, self._connections.opened,
            asyncio.get_running_loop().time() + _KNOWN_SECONDS,
        )  # fmt: skip

    def _decide(self, plan: _Plan, wishes: list[_Wish]) -> bool:
        """Make the wishes one after the other; the first that goes alone takes the rest along.

        Whether all were made, when the row is not just read: then none goes alone yet.
        """
        for index, wish in enumerate(wishes):
            try:
                decision = wish.change(plan.number)
            except Exception as error:  # noqa: BLE001 - comes back to the caller unchanged
                plan.outcomes.append((wish, error))
                continue
            if _goes_alone(plan.number, decision):
                if plan.known:
                    return False
                self._begin_alone(wish, wishes[index + 1 :])
                break
            plan.keep(self._audit_key, decision)
            plan.outcomes.append((wish, decision))
        return True

    async def _written(self, connection: Any, plans: list[_Plan]) -> dict[int, str]:
        """As ``_keep``, also where another step is in the way."""
        watch = self._connections.watch
        try:
            kept = await self._keep(connection, plans)
        except Again as error:  # as if somebody had been quicker with each of them
            watch.retried(error.why)
            return {}
        if kept:
            watch.committed(sum(len(plan.outcomes) for plan in plans if plan.id in kept))
        return kept

    async def _keep(self, connection: Any, plans: list[_Plan]) -> dict[int, str]:
        """Write the plans; the ids of those whose rows were still what they were, with their
        new versions."""
        columns = tuple(sorted(set().union(*(plan.changed for plan in plans))))
        places = [rows.NUMBER_COLUMNS.index(column) for column in columns]
        values: list[list[Any]] = [
            [plan.id for plan in plans],
            [plan.version for plan in plans],
            [plan.seq for plan in plans],
            [plan.head for plan in plans],
            *([plan.after[place] for plan in plans] for place in places),
        ]
        links = [(plan.id, *rows.link_to_row(one)) for plan in plans for one in plan.links]
        values += _columns(links, 9)
        days = Counter(
            (plan.id, plan.number.waba, one.event.at.toordinal(), one.event.kind.value)
            for plan in plans
            for one in plan.links
            if one.event.kind in CHARTED
        )
        values += _columns([(*key, times) for key, times in days.items()], 5)
        tallies = (
            [
                (plan.id, plan.number.waba, *added)
                for plan in plans
                if (added := counts(plan.first, plan.number)) != _NOTHING
            ]
            if _COUNTED & set(columns)
            else []
        )
        values += _columns(tallies, 5)
        with in_our_words():
            kept = await connection.fetch(_statement(columns), self._slot(), *values)
        return dict(kept)

    def _begin_alone(self, wish: _Wish, behind: list[_Wish]) -> None:
        self._behind[wish.id] = behind
        task = asyncio.create_task(self._go_alone(wish))
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    async def _go_alone(self, wish: _Wish) -> None:
        try:
            _settle(wish, await self._alone(wish.id, wish.change))
        except Exception as error:  # noqa: BLE001 - comes back to the caller unchanged
            _settle(wish, error)
        finally:
            self._put(self._behind.pop(wish.id), first=True)


_COUNTED: Final = frozenset({"pin_verifier", "guess_locked"})
"""The columns that counts of an account depend on."""


def _writes(plan: _Plan) -> bool:
    """Whether it changes anything; then also to what."""
    plan.after = rows.number_to_row(plan.number)
    return bool(plan.links) or plan.after != plan.before


def _goes_alone(before: Number, decision: Decision) -> bool:
    """Whether more than the number's own row, its trail and the counts are to be written."""
    number = decision.number
    return bool(decision.mails or decision.hooks or decision.messages) or (
        (before.name, before.asked_name) != (number.name, number.asked_name)
    )


@lru_cache(maxsize=256)
def _statement(columns: tuple[str, ...]) -> str:
    """Keeps plans that change *columns*. $1 is the slot of counts, the rest are lists: id,
    version, seq and head of each number, its columns; then links, days and counts."""
    marks = iter(range(2, 100))

    def lists(*types: str) -> str:
        return ", ".join(f"${next(marks)}::{type}[]" for type in types)

    given = lists("bigint", "text", "bigint", "bytea", *map(_type, columns))
    names = ", ".join(["id", "version", "audit_seq", "audit_head", *columns])
    written = ", ".join(f"{name} = g.{name}" for name in ("audit_seq", "audit_head", *columns))
    links = lists("bigint", "text", "bigint", "bigint", "text", "text", "text", "text", "bytea")
    days = lists("bigint", "text", "bigint", "text", "bigint")
    tallies = lists("bigint", "text", "bigint", "bigint", "bigint")
    return (
        "WITH done AS ("  # noqa: S608 - our own columns
        f"UPDATE numbers n SET {written} FROM unnest({given}) AS g ({names})"
        " WHERE n.id = g.id AND n.xmin::text = g.version RETURNING n.id, n.xmin::text AS version"
        "), trail AS ("
        f"INSERT INTO audit ({', '.join(rows.AUDIT_COLUMNS)})"
        f" SELECT {', '.join('l.' + column for column in rows.AUDIT_COLUMNS)}"
        f" FROM unnest({links}) AS l (id, {', '.join(rows.AUDIT_COLUMNS)})"
        " JOIN done ON done.id = l.id"
        "), days AS ("
        "INSERT INTO daily (waba, day, kind, slot, times)"
        " SELECT d.waba, d.day, d.kind, $1::bigint, sum(d.times)"
        f" FROM unnest({days}) AS d (id, waba, day, kind, times) JOIN done ON done.id = d.id"
        " GROUP BY d.waba, d.day, d.kind ORDER BY d.waba, d.day, d.kind"
        " ON CONFLICT (waba, day, kind, slot) DO UPDATE SET times = daily.times + excluded.times"
        "), added AS ("
        "INSERT INTO tallies (waba, slot, numbers, protected, locked)"
        " SELECT t.waba, $1::bigint, sum(t.numbers), sum(t.protected), sum(t.locked)"
        f" FROM unnest({tallies}) AS t (id, waba, numbers, protected, locked)"
        " JOIN done ON done.id = t.id GROUP BY t.waba ORDER BY t.waba"
        " ON CONFLICT (waba, slot) DO UPDATE SET numbers = tallies.numbers + excluded.numbers,"
        " protected = tallies.protected + excluded.protected,"
        " locked = tallies.locked + excluded.locked"
        ") SELECT id, version FROM done"
    )


def _type(column: str) -> str:
    if column in _TEXT:
        return "text"
    return "bytea" if column in _BYTES else "bigint"


def _columns(table: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """The columns of a table of that *width*, also of one without rows."""
    return [[row[place] for row in table] for place in range(width)]


def _tell(plan: _Plan) -> None:
    for wish, outcome in plan.outcomes:
        _settle(wish, outcome)


def _settle(wish: _Wish, outcome: Decision | Exception) -> None:
    if wish.done.done():
        return
    if isinstance(outcome, Exception):
        wish.done.set_exception(outcome)
    else:
        wish.done.set_result(outcome)


def _give_up(done: "asyncio.Future[Decision]") -> None:
    if not done.done():
        done.set_exception(Unavailable())
