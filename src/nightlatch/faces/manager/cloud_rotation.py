"""New PINs for all numbers of a linked account, a few with each form that is sent.

The form carries where it is: since when, behind which number, how many were
done. Only a form that somebody sent goes on by itself; opening an address changes nothing.
"""

import re
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from nightlatch.domain.errors import ParameterInvalid, Refusal
from nightlatch.domain.ledger import Act
from nightlatch.domain.links import CloudLink
from nightlatch.faces.manager.cloud_links import found, shows
from nightlatch.faces.manager.messages import ROWS, problem_of, row_of
from nightlatch.faces.manager.wire import Answer, Call, Page
from nightlatch.usecases import vault

_AT_ONCE: Final = 5
"""Numbers that one form gives another PIN to."""
_PATIENCE: Final = timedelta(seconds=10)
"""After which a form takes no further number."""
_KEPT: Final = 20
"""Numbers that kept their PIN, shown with the reason."""
_E164: Final = re.compile(r"(\+[1-9][0-9]{1,14})?", re.ASCII)
_KEPT_ONE: Final = re.compile(r"([0-9]{1,32}):([A-Za-z]{1,40})", re.ASCII)
_COUNT: Final = re.compile(r"[0-9]{0,9}", re.ASCII)
_TITLES: Final = {kind.__name__: row.title for kind, row in ROWS.items()}


@dataclass(frozen=True, slots=True)
class Way:
    """How far a rotation is."""

    since: datetime
    """PINs from before are replaced."""
    of: int
    """How many numbers there were to do when it began."""
    after: str = ""
    done: int = 0
    failed: int = 0
    kept: tuple[tuple[str, str], ...] = ()
    """Ids of the first numbers that kept their PIN, and the names of the refusals."""

    @property
    def gone(self) -> int:
        """How many were tried."""
        return min(self.done + self.failed, self.of)

    @property
    def fields(self) -> dict[str, str]:
        """What the form carries."""
        return {
            "since": self.since.isoformat(),
            "after": self.after,
            "of": str(self.of),
            "done": str(self.done),
            "failed": str(self.failed),
            "kept": ",".join(f"{id}:{name}" for id, name in self.kept),
        }

    def past(self, e164: str, id: str, refusal: Refusal | None) -> "Way":
        """One number further."""
        if refusal is None:
            return replace(self, after=e164, done=self.done + 1)
        kept = (*self.kept, (id, type(refusal).__name__))[:_KEPT]
        return replace(self, after=e164, failed=self.failed + 1, kept=kept)


async def form(call: Call) -> Answer:
    """Says what it does, and for how many. Raises LinkUnknown."""
    one, shown = await shows(call)
    left = await vault.left_to_rotate(call.world, one, call.world.clock.now())
    return Page("cloud_rotate.html", shown | {"left": left, "tries": Act.PIN.safe_limit})


async def go_on(call: Call) -> Answer:
    """The next few numbers, and a form for those after them.

    Raises:
        LinkUnknown, ParameterInvalid: nothing was changed.
    """
    one = await found(call)
    way = await _read(call, one)
    way, ended, stopped = await _step(call, one, way)
    _, shown = await shows(call)
    return Page(
        "cloud_rotating.html",
        shown
        | {
            "way": way,
            "ended": ended,
            "stopped": stopped and problem_of(stopped),
            "kept": [
                (number, _TITLES[name])
                for id, name in way.kept
                if (number := await call.world.store.linked(id)) is not None
                and number.waba == one.waba
            ],
        },
        200 if stopped is None else row_of(stopped).status,
    )


async def _step(call: Call, one: CloudLink, way: Way) -> tuple[Way, bool, Refusal | None]:
    """How far it is now, whether nothing is left, and what stopped it."""
    world, until = call.world, call.world.clock.now() + _PATIENCE
    rotating = vault.rotate_many(
        world, one, call.member.email, older_than=way.since, after=way.after
    )
    tried = 0
    async with aclosing(rotating):
        async for told in rotating:
            if told.stops:
                return way, False, told.refusal
            way = way.past(told.number.e164, told.number.id, told.refusal)
            tried += 1
            if tried == _AT_ONCE or world.clock.now() >= until:
                return way, False, None
    return way, True, None


async def _read(call: Call, one: CloudLink) -> Way:
    """Where the form says that it is; a new one begins now. Raises ParameterInvalid."""
    given, now = call.form, call.world.clock.now()
    if not given["since"]:
        return Way(now, await vault.left_to_rotate(call.world, one, now))
    try:
        since = min(datetime.fromisoformat(given["since"]), now)
    except (ValueError, TypeError) as error:
        raise ParameterInvalid("since", "the time that the page gave") from error
    kept = [_KEPT_ONE.fullmatch(pair) for pair in given["kept"].split(",") if pair]
    counts = [_COUNT.fullmatch(given[name]) for name in ("of", "done", "failed")]
    if not (_E164.fullmatch(given["after"]) and all(kept) and all(counts)) or len(kept) > _KEPT:
        raise ParameterInvalid("after", "the place that the page gave")
    told = tuple((one[1], one[2]) for one in kept if one and one[2] in _TITLES)
    of, done, failed = (int(one[0] or 0) for one in counts if one)
    return Way(since, of, given["after"], done, failed, told)
