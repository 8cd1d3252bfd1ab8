"""The ``Store`` port, counted and timed.

Events are counted when the store has kept them, and only then: whatever face, command or
worker a decision comes from, it passes here.
"""

import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, cast

from nightlatch import traces
from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.errors import Overloaded, Refusal, Unavailable
from nightlatch.faces.metrics import Metrics
from nightlatch.ports import Store

READS: Final = frozenset(
    {
        "access_token", "access_tokens", "alarmed", "app", "apps", "attacked", "audit",
        "audit_heads", "backlog", "client", "clients", "daily", "deliveries", "delivery",
        "events", "failed_deliveries", "failed_mails", "handset", "holds", "invitation",
        "invitations", "kids_in_use", "latest_time", "link", "linked", "linked_by_e164",
        "linked_count", "linked_numbers", "linked_of", "linked_waiting_for", "links",
        "list_numbers", "mail", "mails", "member", "member_by_email", "member_session",
        "member_sessions", "members", "newest_events", "number", "number_by_e164",
        "number_by_link", "number_pending_for", "numbers", "onboarded", "portfolio",
        "portfolios", "profile", "receivers_due", "recall", "sealed_with_others", "session",
        "subscriptions", "system_user", "system_users", "tally", "user", "waba", "wabas",
        "waiting_for", "first_waba",
    }
)  # fmt: skip
"""The methods that change nothing."""
Method = Callable[..., Awaitable[Any]]


def watched(store: Store, metrics: Metrics) -> Store:
    """*store*, with every operation counted, and every event that it kept."""
    return cast("Store", _Watched(store, metrics))


class _Watched:
    """Every method of the store, made when it is asked for the first time."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not inspect.iscoroutinefunction(found):
            return found
        made = self._timed(name, found) if name in READS else self._counted(name, found)
        setattr(self, name, made)
        return made

    def _timed(self, name: str, method: Method, kind: str = "read") -> Method:
        took, ended = self._metrics.store_operation(name, kind)
        well = ended("ok")
        clock = time.perf_counter

        async def timed(*given: Any, **named: Any) -> Any:
            began = clock()
            try:
                found = await method(*given, **named)
            except BaseException as error:
                ended(_how(error))()
                raise
            finally:
                took(clock() - began)
            well()
            return found

        return timed

    def _counted(self, name: str, method: Method) -> Method:
        """As ``_timed``, with a span, and with the events that were kept."""
        step = self._timed(name, method, "write")
        span = f"store {name}"

        async def counted(*given: Any, **named: Any) -> Any:
            kept = _Kept()
            with traces.span(span):
                try:
                    value = await step(
                        *map(kept.seen, given),
                        **{key: kept.seen(one) for key, one in named.items()},
                    )
                except Refusal as refusal:
                    if kept.carried(refusal):
                        kept.tell(self._metrics)
                    raise
            if value is not False:  # `hear` changed nothing: it was heard before
                kept.tell(self._metrics)
            return value

        return counted


def _how(error: BaseException) -> str:
    """How an operation ended, in a word."""
    match error:
        case Unavailable():
            return "unavailable"
        case Overloaded():
            return "overloaded"
        case Refusal():
            return "refused"
    return "error"


class _Kept:
    """What one step of the store keeps. A change may run more than once; the last time counts."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._decisions: dict[tuple[int, Any], Any] = {}
        self._changes = 0

    def seen(self, given: Any) -> Any:
        """An argument of the step, so that what it decides is noticed."""
        if callable(given):
            return self._noticed(given)
        if isinstance(given, Sequence) and given and not isinstance(given, str | bytes):
            first = given[0]
            if isinstance(first, Event):
                self._events += given
            elif isinstance(first, tuple) and callable(first[-1]):
                return [(*rest, self._noticed(change)) for *rest, change in given]
        return given

    def _noticed(self, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
        self._changes += 1
        place = self._changes

        def noticed(before: Any) -> Any:
            decision = change(before)
            key = (place, getattr(before, "id", None))
            if getattr(decision, "events", ()):
                self._decisions[key] = decision
            else:
                self._decisions.pop(key, None)
            return decision

        return noticed

    def carried(self, refusal: Refusal) -> bool:
        """Whether *refusal* came with a decision, which is kept then."""
        return any(
            getattr(decision, "refusal", None) is refusal for decision in self._decisions.values()
        )

    def tell(self, metrics: Metrics) -> None:
        metrics.happened(self._events)
        for decision in self._decisions.values():
            metrics.happened(decision.events)
            if any(event.kind is Kind.GUESS_WRONG for event in decision.events):
                guesses = decision.number.guesses
                if guesses.since is not None:
                    metrics.wait_began()
