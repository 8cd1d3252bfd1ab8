"""Lists and counts of numbers that cost the same for a hundred and for a million."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from nightlatch.adapters.sql import rows
from nightlatch.adapters.sql.base import Base
from nightlatch.adapters.sql.rows import micros
from nightlatch.adapters.sql.step import Step
from nightlatch.domain.audit import CHARTED, Event, Kind
from nightlatch.domain.limits import ATTACK_WINDOW
from nightlatch.domain.numbers import Number
from nightlatch.domain.overview import Show, Tally, terms, wanted
from nightlatch.ports import NumberLine, NumberPage

_COLUMNS: Final = ", ".join(f"n.{column}" for column in rows.NUMBER_COLUMNS)
_LAST: Final = "a.at, a.kind, a.by, a.details, a.place"
_JOIN_LAST: Final = "LEFT JOIN audit a ON a.subject = 'number:' || n.id AND a.seq = n.audit_seq "
_LINE: Final = f"SELECT {_COLUMNS}, {_LAST} FROM numbers n {_JOIN_LAST}"  # noqa: S608 - constants
_WHERE: Final = {
    Show.ALL: "TRUE",
    Show.PROTECTED: "n.pin_verifier IS NOT NULL",
    Show.UNPROTECTED: "n.pin_verifier IS NULL",
    Show.LOCKED: "n.guess_locked = 1",
    Show.CONNECTED: "n.registered_at IS NOT NULL AND n.holder IS NOT NULL",
    Show.PENDING: "n.registered_at IS NULL",
    Show.DISCONNECTED: "n.registered_at IS NOT NULL AND n.holder IS NULL",
}
"""Each has an index of its own, in the order of E.164."""
_MOST_LOOKED_AT: Final = 1_000
_COMMON: Final = 2_000
_LAST_CHARACTER: Final = "\U0010ffff"


class Lists(Base):
    """The part of the ``Store`` port about many numbers."""

    async def list_numbers(
        self, waba: str, show: Show, text: str, now: datetime, after: str | None, limit: int
    ) -> NumberPage:
        groups = wanted(text)
        if groups:
            return await self._search(
                waba, show, groups, now, _place(after, (int, int, str, int)), limit
            )
        if show in (Show.ATTACKED, Show.WAITING):
            return await self._latest(waba, show, now, _place(after, (int, int)), limit)
        (last,) = _place(after, (str,)) or ("",)
        found = await self._all(
            _LINE + f"WHERE n.waba = ? AND {_WHERE[show]} AND n.e164 > ? ORDER BY n.e164 LIMIT ?",
            (waba, last, limit + 1),
        )
        lines = [_line(row) for row in found[:limit]]
        return NumberPage(lines, _after(lines[-1].number.e164) if len(found) > limit else None)

    async def _latest(
        self, waba: str, show: Show, now: datetime, after: tuple[Any, ...] | None, limit: int
    ) -> NumberPage:
        """The latest attack, or the longest wait, first."""
        column = "attacked_at" if show is Show.ATTACKED else "wait_ends_at"
        shown, values = _shown(show, now)
        at, id_ = after or (1 << 62, 0)
        found = await self._all(
            _LINE + f"WHERE n.waba = ? AND {shown} AND (n.{column}, n.id) < (?, ?)"
            f" ORDER BY n.{column} DESC, n.id DESC LIMIT ?",
            (waba, *values, at, id_, limit + 1),
        )
        lines = [_line(row) for row in found[:limit]]
        if len(found) <= limit:
            return NumberPage(lines, None)
        last = found[limit - 1]
        return NumberPage(lines, _after(last[rows.NUMBER_COLUMNS.index(column)], last[0]))

    async def _search(
        self,
        waba: str,
        show: Show,
        groups: tuple[tuple[str, ...], ...],
        now: datetime,
        after: tuple[Any, ...] | None,
        limit: int,
    ) -> NumberPage:
        """Walk the terms that meet the rarest group; what else is asked for is looked up.

        Every page of a list walks the same group, also when another one is the rarest by then.
        """
        if after is None or not (0 <= after[0] < len(groups) and after[1] >= 0):
            after = (await self._rarest(waba, groups), 0, "", 0)
        walked, part, term, id_ = after
        rarest = groups[walked]
        others = [group for group in groups if group is not rarest]
        lines: list[NumberLine] = []
        for room in (limit, 2 * limit, 4 * limit, 8 * limit, _MOST_LOOKED_AT):
            if part >= len(rarest):
                break
            found = await self._all(
                "SELECT term, number FROM number_terms WHERE waba = ? AND term >= ? AND term < ?"
                " AND (term, number) > (?, ?) ORDER BY term, number LIMIT ?",
                (waba, rarest[part], rarest[part] + _LAST_CHARACTER, term, id_, room),
            )
            fitting = await self._fitting([number for _, number in found], show, others, now)
            places = [place for place in found if place[1] in fitting]
            for begin in range(0, len(places), limit):
                some = places[begin : begin + limit]
                known = await self._lines([number for _, number in some])
                for place in some:
                    if _is_first(place[0], known[place[1]].number, rarest):
                        lines.append(known[place[1]])
                    if len(lines) == limit:
                        return NumberPage(lines, _after(walked, part, *place))
            if found:
                term, id_ = found[-1]
            if len(found) < room:
                part, term, id_ = part + 1, "", 0
        more = part < len(rarest)
        return NumberPage(lines, _after(walked, part, term, id_) if more else None)

    async def _lines(self, ids: Sequence[int]) -> dict[int, NumberLine]:
        """The lines of these numbers, by their ids."""
        found = await self._all(
            f"{_LINE}WHERE n.id IN (SELECT value FROM {self._EACH} AS wanted)",  # noqa: S608 - constants
            (json.dumps(ids),),
        )
        return {row[0]: _line(row) for row in found}

    async def _rarest(self, waba: str, groups: tuple[tuple[str, ...], ...]) -> int:
        """Which group the fewest terms meet; none is counted further than that it is common."""
        if len(groups) == 1:
            return 0
        met = [0] * len(groups)
        for index, group in enumerate(groups):
            for prefix in group:
                (few,) = await self._one(
                    "SELECT count(*) FROM (SELECT 1 FROM number_terms"
                    " WHERE waba = ? AND term >= ? AND term < ? LIMIT ?) AS few",
                    (waba, prefix, prefix + _LAST_CHARACTER, _COMMON),
                )
                met[index] += few
        return met.index(min(met))

    async def _fitting(
        self,
        ids: Sequence[int],
        show: Show,
        groups: Sequence[tuple[str, ...]],
        now: datetime,
    ) -> set[int]:
        """Those of *ids* that belong in the list *show* and meet every one of *groups*."""
        sql, values = _shown(show, now)
        for group in groups:
            either = " OR ".join("o.term >= ? AND o.term < ?" for _ in group)
            sql += (
                f" AND EXISTS (SELECT 1 FROM number_terms o WHERE o.number = n.id AND ({either}))"  # noqa: S608 - constants
            )
            values += [edge for prefix in group for edge in (prefix, prefix + _LAST_CHARACTER)]
        found = await self._all(
            f"SELECT n.id FROM {self._EACH} AS wanted"  # noqa: S608 - constants
            f" {self._IN_ORDER} numbers n ON n.id = wanted.value WHERE {sql}",
            (json.dumps(ids), *values),
        )
        return {id_ for (id_,) in found}

    async def tally(self, waba: str, now: datetime) -> Tally:
        numbers, protected, locked = await self._one(
            "SELECT coalesce(sum(numbers), 0), coalesce(sum(protected), 0),"
            " coalesce(sum(locked), 0) FROM tallies WHERE waba = ?",
            (waba,),
        )
        (waiting,) = await self._one(
            "SELECT count(*) FROM numbers WHERE waba = ? AND wait_ends_at > ? AND guess_locked = 0",
            (waba, micros(now)),
        )
        (attacked,) = await self._one(
            "SELECT count(*) FROM numbers WHERE waba = ? AND attacked_at > ?",
            (waba, micros(now - ATTACK_WINDOW)),
        )
        return Tally(int(numbers), int(protected), waiting, int(locked), attacked)

    async def attacked(self, portfolio: str, now: datetime, limit: int) -> Sequence[NumberLine]:
        wabas = await self._all("SELECT id FROM wabas WHERE portfolio = ?", (portfolio,))
        found: list[NumberLine] = []
        for (waba,) in wabas:
            found += (await self._latest(waba, Show.ATTACKED, now, None, limit)).lines
        return sorted(found, key=_attacked_at, reverse=True)[:limit]

    async def daily(self, portfolio: str, since: date) -> Sequence[tuple[date, Kind, int]]:
        found = await self._all(
            "SELECT d.day, d.kind, CAST(sum(d.times) AS BIGINT)"
            " FROM wabas w JOIN daily d ON d.waba = w.id"
            " WHERE w.portfolio = ? AND d.day >= ? GROUP BY d.day, d.kind ORDER BY d.day, d.kind",
            (portfolio, since.toordinal()),
        )
        return [(date.fromordinal(day), Kind(kind), times) for day, kind, times in found]


async def count_number(step: Step, before: Number | None, after: Number, slot: int) -> None:
    """Keep terms and tallies true to a number that changed or is new."""
    added = counts(before, after)
    if any(added):
        await step.run(
            "INSERT INTO tallies (waba, slot, numbers, protected, locked) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (waba, slot) DO UPDATE SET numbers = tallies.numbers + excluded.numbers,"
            " protected = tallies.protected + excluded.protected,"
            " locked = tallies.locked + excluded.locked",
            (after.waba, slot, *added),
        )
    if before is not None and (before.name, before.asked_name) == (after.name, after.asked_name):
        return
    gone = frozenset() if before is None else terms(before) - terms(after)
    fresh = terms(after) if before is None else terms(after) - terms(before)
    await step.many(
        "DELETE FROM number_terms WHERE waba = ? AND term = ? AND number = ?",
        [(after.waba, term, int(after.id)) for term in gone],
    )
    await step.many(
        "INSERT INTO number_terms (waba, term, number) VALUES (?, ?, ?)",
        [(after.waba, term, int(after.id)) for term in fresh],
    )


async def count_events(step: Step, number: Number, events: Sequence[Event], slot: int) -> None:
    """Keep the days true to what happened."""
    for event in events:
        if event.kind in CHARTED:
            await step.run(
                "INSERT INTO daily (waba, day, kind, slot, times) VALUES (?, ?, ?, ?, 1)"
                " ON CONFLICT (waba, day, kind, slot) DO UPDATE SET times = daily.times + 1",
                (number.waba, event.at.toordinal(), event.kind.value, slot),
            )


def counts(before: Number | None, after: Number) -> tuple[int, int, int]:
    """What a change adds to the counts of its account: numbers, protected, locked."""
    old = (0, 0, 0) if before is None else _counts(before)
    new = _counts(after)
    return new[0] - old[0], new[1] - old[1], new[2] - old[2]


def _counts(number: Number) -> tuple[int, int, int]:
    return 1, int(number.two_step.is_on), int(number.guesses.locked)


def _shown(show: Show, now: datetime) -> tuple[str, list[int | str]]:
    """The condition of a list, and its values."""
    if show is Show.ATTACKED:
        return "n.attacked_at > ?", [micros(now - ATTACK_WINDOW)]
    if show is Show.WAITING:
        return "n.wait_ends_at > ? AND n.guess_locked = 0", [micros(now)]
    return _WHERE[show], []


def _line(row: rows.Row) -> NumberLine:
    split = len(rows.NUMBER_COLUMNS)
    told = row[split:]
    return NumberLine(
        rows.number_from_row(row[:split]),
        None if told[0] is None else rows.event_from_row(told),
    )


def _attacked_at(line: NumberLine) -> datetime:
    at = line.number.guesses.attacked_at
    return line.number.created_at if at is None else at


def _is_first(term: str, number: Number, prefixes: tuple[str, ...]) -> bool:
    """Whether a walk over *prefixes* meets the number here for the first time."""
    for prefix in prefixes:
        begun = sorted(one for one in terms(number) if one.startswith(prefix))
        if begun:
            return begun[0] == term
    return False


def _after(*values: int | str) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _place(after: str | None, types: tuple[type, ...]) -> tuple[Any, ...] | None:
    """What ``_after`` was given; None for anything else."""
    if after is None:
        return None
    try:
        raw = base64.b64decode(after + "=" * (-len(after) % 4), altchars=b"-_", validate=True)
        values = json.loads(raw)
        json.dumps(values, ensure_ascii=False).encode()  # refuses lone surrogates
    except (binascii.Error, ValueError, RecursionError):
        return None
    fits = (
        isinstance(values, list)
        and len(values) == len(types)
        and all(type(value) is one for value, one in zip(values, types, strict=True))
        and all(not isinstance(value, int) or abs(value) < 1 << 63 for value in values)
    )
    return tuple(values) if fits else None
