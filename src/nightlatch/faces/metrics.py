"""What the server counts about itself.

``FAMILIES`` is the whole table; ``docs/reference/metrics.md`` is written from it. Names
follow Prometheus: base units, ``_total`` for what only grows. Each label takes its values
from the code, never from a request. The names that begin with ``web`` and ``api`` are those
of the On-Premises web application.

With ``PROMETHEUS_MULTIPROC_DIR`` set, several processes share what they counted and each
answers for all: so nothing here is read by a callback, and no collector is of our own.
"""

import asyncio
import contextlib
import math
import os
import platform
import resource
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Summary,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from nightlatch import __version__
from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.ledger import Act
from nightlatch.ports import Backlog

NODE = "nightlatch"
_PULSE: Final = 1.0  # seconds between two looks at the event loop
_READ_EVERY: Final = 1.0  # seconds that a reading is good for
_READ_SECONDS: Final = 2.0  # what one reading may take
_QUICK: Final = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0)
_REQUEST: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_HASH: Final = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_CALL: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0)
_LAG: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_CHANGES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)

Reading = Callable[[], Awaitable[None]]
"""Brings some gauges up to date."""


class Of(StrEnum):
    """Kinds of metrics."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


class Across(StrEnum):
    """How a gauge of several processes becomes one."""

    NONE = "all"
    SUM = "livesum"
    LATEST = "livemostrecent"
    LEAST = "min"
    MOST = "livemax"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric."""

    kind: Of
    exposed: str
    """Its name, with ``_total`` where it has that."""
    unit: str
    says: str
    labels: Mapping[str, str]
    """Each label, and what its values are."""
    buckets: tuple[float, ...] = ()
    across: Across = Across.NONE

    def made(self, registry: CollectorRegistry) -> Any:
        given: dict[str, Any] = {"labelnames": tuple(self.labels), "registry": registry}
        name = self.exposed.removesuffix("_total")
        match self.kind:
            case Of.COUNTER:
                return Counter(name, self.says, **given)
            case Of.GAUGE:
                return Gauge(name, self.says, multiprocess_mode=self.across.value, **given)
            case Of.HISTOGRAM:
                return Histogram(name, self.says, buckets=self.buckets, **given)
            case Of.SUMMARY:
                return Summary(name, self.says, **given)


def _counter(exposed: str, unit: str, says: str, **labels: str) -> Family:
    return Family(Of.COUNTER, exposed, unit, says, labels)


def _gauge(exposed: str, unit: str, says: str, across: Across, **labels: str) -> Family:
    return Family(Of.GAUGE, exposed, unit, says, labels, across=across)


def _histogram(
    exposed: str, unit: str, says: str, within: tuple[float, ...], **labels: str
) -> Family:
    return Family(Of.HISTOGRAM, exposed, unit, says, labels, within)


_FACES: Final = "`onprem`, `graph`, `manager`, `sandbox`, `cloud`, `other`"
_ROUTES: Final = "a row of a face's table, as logs name it"
_QUEUES: Final = "`codes`, `mail`, `webhooks`"
_ACTS: Final = "`register`, `deregister`, `code`, `check`, `pin`"

_UPTIME: Final = _gauge("web_uptime", "seconds", "Seconds since the server started", Across.LATEST)
_IN_FLIGHT: Final = _gauge(
    "web_requests", "requests", "Requests being handled", Across.SUM,
    node="always `nightlatch`", state="always `handle-request`",
)  # fmt: skip
_DURATIONS: Final = Family(
    Of.SUMMARY, "api_requests_duration_ms", "milliseconds",
    "Time to answer, in milliseconds",
    {"node": "always `nightlatch`", "method": _ROUTES, "result": "`success`, `failure`"},
)  # fmt: skip
_REQUESTS: Final = _counter(
    "nightlatch_requests_total", "requests", "Requests answered",
    face=_FACES, route=_ROUTES, status="the HTTP status",
)  # fmt: skip
_REQUEST_SECONDS: Final = _histogram(
    "nightlatch_request_seconds", "seconds", "Time to answer", _REQUEST,
    face=_FACES, route=_ROUTES,
)  # fmt: skip
_REFUSALS: Final = _counter(
    "nightlatch_refusals_total", "requests", "Requests refused, by the refusal's name",
    refusal="a name of the table of errors",
)  # fmt: skip
_LOGINS: Final = _counter(
    "nightlatch_logins_refused_total", "logins",
    "Logins with a wrong password or code, or within a wait",
    face="`onprem`, `manager`", why="`wrong`, `wait`",
)  # fmt: skip
_EVENTS: Final = _counter(
    "nightlatch_events_total", "events", "Events written to the audit trail",
    event="a name of the table of events",
)  # fmt: skip
_GUESSES: Final = _counter(
    "nightlatch_guesses_total", "guesses",
    "PIN guesses: paid for before they are compared, then right or wrong",
    result="`paid`, `right`, `wrong`",
)  # fmt: skip
_UNREAD: Final = _counter(
    "nightlatch_guesses_refused_total", "guesses",
    "PIN guesses refused unread, because of a wait or a lock",
    why="`wait`, `lock`",
)  # fmt: skip
_WAITS: Final = _counter(
    "nightlatch_guess_waits_total", "waits", "Waits that began with a wrong PIN"
)
_LOCKED: Final = _counter(
    "nightlatch_numbers_locked_total", "locks", "Times that a number was locked"
)
_TWO_STEP: Final = _counter(
    "nightlatch_two_step_changes_total", "changes",
    "Times that two-step verification was turned on or off, or its PIN changed",
    change="`on`, `changed`, `off`",
)  # fmt: skip
_REGISTRATIONS: Final = _counter(
    "nightlatch_registrations_total", "registrations",
    "Registrations: accepted ones wait for their code, completed ones got it",
    step="`accepted`, `completed`, `taken_over`",
)  # fmt: skip
_CODES: Final = _counter(
    "nightlatch_codes_total", "messages", "Registration codes handed to the sender",
    result="`delivered`, `failed` (tried again until it expires)",
)  # fmt: skip
_MAIL: Final = _counter(
    "nightlatch_mail_total", "letters",
    "Letters that were sent or kept in the embedded mailbox, or given up",
    result="`delivered`, `failed`",
)  # fmt: skip
_WEBHOOKS: Final = _counter(
    "nightlatch_webhooks_total", "deliveries",
    "Webhook deliveries that arrived, were put off, or were given up",
    result="`delivered`, `put_off`, `failed`",
)  # fmt: skip
_WAITING: Final = _gauge(
    "nightlatch_waiting", "messages", "What waits to be sent, of all nodes", Across.LATEST,
    queue=_QUEUES,
)  # fmt: skip
_OLDEST: Final = _gauge(
    "nightlatch_oldest_waiting_seconds", "seconds",
    "How long ago the longest due of them was due; 0 when nothing is", Across.LATEST,
    queue=_QUEUES,
)  # fmt: skip
_SENDING: Final = _histogram(
    "nightlatch_send_seconds", "seconds", "Time that one message took to send", _CALL,
    queue=_QUEUES,
)  # fmt: skip
_ATTEMPTS: Final = _counter(
    "nightlatch_cloud_attempts_total", "attempts",
    "Attempts for numbers at the Cloud API, as the ledger counts them",
    act=_ACTS, outcome="`begun`, `done`, `refused`, `not_sent`, `unknown`, `reconciled`",
)  # fmt: skip
_CALLS: Final = _counter(
    "nightlatch_cloud_calls_total", "calls", "Calls to the Cloud API",
    call="what was asked", result="`ok`, `refused`, `not_sent`, `no_answer`, `error`",
)  # fmt: skip
_CALL_SECONDS: Final = _histogram(
    "nightlatch_cloud_call_seconds", "seconds", "Time that one call to the Cloud API took",
    _CALL, call="what was asked",
)  # fmt: skip
_LINKED: Final = _gauge(
    "nightlatch_linked_numbers", "numbers", "Numbers at the Cloud API", Across.LATEST
)
_NEAR: Final = _gauge(
    "nightlatch_ledger_near_limit", "numbers",
    "Numbers at the Cloud API with one attempt of an act left, or none, before the next safe time",
    Across.LATEST, act=_ACTS,
)  # fmt: skip
_CLOSED: Final = _gauge(
    "nightlatch_ledger_closed", "numbers",
    "Numbers at the Cloud API for which Meta wants no more of an act for now",
    Across.LATEST, act=_ACTS,
)  # fmt: skip
_UNKNOWN: Final = _gauge(
    "nightlatch_outcomes_unknown", "numbers",
    "Numbers at the Cloud API of which it is not known what became of an attempt", Across.LATEST,
)  # fmt: skip
_HASH_SECONDS: Final = _histogram(
    "nightlatch_hash_seconds", "seconds",
    "Time that one slow hash took, with its wait for a thread", _HASH,
)  # fmt: skip
_HASH_BUSY: Final = _gauge(
    "nightlatch_hash_places_busy", "places",
    "Places for slow hashes that are taken; those above the number of threads wait", Across.SUM,
)  # fmt: skip
_HASH_PLACES: Final = _gauge(
    "nightlatch_hash_places", "places", "Places for slow hashes that there are", Across.SUM
)
_HASH_THREADS: Final = _gauge(
    "nightlatch_hash_threads", "threads", "Threads that compute slow hashes", Across.SUM
)
_HASH_REFUSED: Final = _counter(
    "nightlatch_hash_refused_total", "hashes",
    "Times that no place was free; the request was refused and nothing counted",
)  # fmt: skip
_STORE_SECONDS: Final = _histogram(
    "nightlatch_store_seconds", "seconds",
    "Time that one operation of the store took; a write is durable by then", _QUICK,
    kind="`read`, `write`",
)  # fmt: skip
_STORE: Final = _counter(
    "nightlatch_store_operations_total", "operations", "Operations of the store",
    operation="a method of the `Store` port",
    result="`ok`, `refused` (by a rule), `unavailable`, `overloaded`, `error`",
)  # fmt: skip
_STORE_RETRIES: Final = _counter(
    "nightlatch_store_retries_total", "retries",
    "Times that the store did something again by itself",
    why="`conflict`, `serialization`, `deadlock`, `lock`",
)  # fmt: skip
_STORE_BATCH: Final = _histogram(
    "nightlatch_store_batch_changes", "changes", "Changes that shared one commit", _CHANGES
)
_STORE_CONNECTIONS: Final = _gauge(
    "nightlatch_store_connections", "connections", "Connections to the database", Across.SUM,
    state="`open`, `busy`",
)  # fmt: skip
_KEYS: Final = _gauge(
    "nightlatch_keys", "keys",
    "Keys in the key ring, and keys that stored values need and the ring lacks", Across.LATEST,
    state="`held`, `missing`",
)  # fmt: skip
_UNSEALING: Final = _counter(
    "nightlatch_unseal_failures_total",
    "values",
    "Stored values that the key ring could not open: a key is missing, or the value was changed",
)
_READY: Final = _gauge(
    "nightlatch_ready", "1 or 0", "Whether the node is ready, as `/readyz` says", Across.LATEST
)
_FAILING: Final = _gauge(
    "nightlatch_check_failing", "1 or 0", "Whether a check of `/readyz` fails", Across.LATEST,
    check="a check of `/readyz`",
)  # fmt: skip
_SKEW: Final = _gauge(
    "nightlatch_clock_skew_seconds",
    "seconds",
    "How far the node's clock is ahead of the one it is held against; negative when behind",
    Across.LATEST,
)
_LOOP_LAG: Final = _histogram(
    "nightlatch_event_loop_lag_seconds", "seconds",
    "How late the event loop was, looked at each second", _LAG,
)  # fmt: skip
_SCRAPE_FAILURES: Final = _counter(
    "nightlatch_reading_failures_total",
    "readings",
    "Times that gauges could not be read, so that they show what was read before",
)
_BUILD: Final = _gauge(
    "nightlatch_build_info", "always 1", "What runs here", Across.MOST,
    version="of Nightlatch", python="of Python", store="`sqlite`, `postgresql`",
)  # fmt: skip
_STARTED: Final = _gauge(
    "nightlatch_start_time_seconds", "seconds since 1970", "When the server started", Across.LEAST
)
_CPU: Final = _counter(
    "process_cpu_seconds_total", "seconds", "Processor time used by the server's processes"
)
_MEMORY: Final = _gauge(
    "process_resident_memory_bytes", "bytes", "Memory of the server's processes", Across.SUM
)
_FILES: Final = _gauge(
    "process_open_fds", "files", "Open files and sockets of the server's processes", Across.SUM
)

FAMILIES: Final = (
    _REQUESTS, _REQUEST_SECONDS, _REFUSALS, _LOGINS, _UPTIME, _IN_FLIGHT, _DURATIONS,
    _GUESSES, _UNREAD, _WAITS, _LOCKED, _TWO_STEP, _REGISTRATIONS, _EVENTS,
    _CODES, _MAIL, _WEBHOOKS, _WAITING, _OLDEST, _SENDING,
    _ATTEMPTS, _CALLS, _CALL_SECONDS, _LINKED, _NEAR, _CLOSED, _UNKNOWN,
    _HASH_SECONDS, _HASH_BUSY, _HASH_PLACES, _HASH_THREADS, _HASH_REFUSED,
    _STORE_SECONDS, _STORE, _STORE_RETRIES, _STORE_BATCH, _STORE_CONNECTIONS,
    _KEYS, _UNSEALING, _READY, _FAILING, _SKEW,
    _LOOP_LAG, _SCRAPE_FAILURES, _BUILD, _STARTED, _CPU, _MEMORY, _FILES,
)  # fmt: skip
"""Every metric there is."""

_TOLD: Final[Mapping[Kind, tuple[Family, tuple[str, ...]]]] = {
    Kind.GUESS_PAID: (_GUESSES, ("paid",)),
    Kind.GUESS_RIGHT: (_GUESSES, ("right",)),
    Kind.GUESS_WRONG: (_GUESSES, ("wrong",)),
    Kind.NUMBER_LOCKED: (_LOCKED, ()),
    Kind.TWO_STEP_ON: (_TWO_STEP, ("on",)),
    Kind.TWO_STEP_CHANGED: (_TWO_STEP, ("changed",)),
    Kind.TWO_STEP_OFF: (_TWO_STEP, ("off",)),
    Kind.REGISTRATION_ACCEPTED: (_REGISTRATIONS, ("accepted",)),
    Kind.NUMBER_REGISTERED: (_REGISTRATIONS, ("completed",)),
    Kind.NUMBER_TAKEN_OVER: (_REGISTRATIONS, ("taken_over",)),
}
"""Events that have a metric of their own beside ``nightlatch_events_total``."""
_OUTCOMES: Final[Mapping[Kind, str]] = {
    Kind.ACT_BEGUN: "begun",
    Kind.ACT_DONE: "done",
    Kind.ACT_REFUSED: "refused",
    Kind.ACT_NOT_SENT: "not_sent",
    Kind.ACT_UNKNOWN: "unknown",
    Kind.ACT_RECONCILED: "reconciled",
}
_REFUSED_LOGINS: Final = {
    "LoginRefused": ("onprem", "wrong"),
    "LoginWait": ("onprem", "wait"),
    "SignInRefused": ("manager", "wrong"),
    "SignInWait": ("manager", "wait"),
}
_UNREAD_GUESSES: Final = {"GuessWait": "wait", "NumberLocked": "lock"}
_BEGIN_AT_ZERO: Final[tuple[tuple[Family, tuple[tuple[str, ...], ...]], ...]] = (
    (_GUESSES, (("paid",), ("right",), ("wrong",))),
    (_UNREAD, (("wait",), ("lock",))),
    (_TWO_STEP, (("on",), ("changed",), ("off",))),
    (_REGISTRATIONS, (("accepted",), ("completed",), ("taken_over",))),
    (_LOGINS, tuple(_REFUSED_LOGINS.values())),
    (_CODES, (("delivered",), ("failed",))),
    (_MAIL, (("delivered",), ("failed",))),
    (_WEBHOOKS, (("delivered",), ("put_off",), ("failed",))),
)
"""Counters that are there before anything happened, so that the first time is an increase."""
_FACE_OF: Final = {
    "v1": "onprem", "graph": "graph", "manager": "manager", "sandbox": "sandbox", "cloud": "cloud",
}  # fmt: skip

disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types


class Metrics:
    """One set of metrics for one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._families = {one.exposed: one.made(self.registry) for one in FAMILIES}
        self._children: dict[tuple[str, tuple[str, ...]], Any] = {}
        for family, values in _BEGIN_AT_ZERO:
            for labels in values:
                self._of(family, *labels)
        self.mail = self._families[_MAIL.exposed]
        self.webhooks = self._families[_WEBHOOKS.exposed]
        self.hash_busy = self._of(_HASH_BUSY)
        self.hash_refused = self._of(_HASH_REFUSED)
        self.hash_seconds = self._of(_HASH_SECONDS)
        self.unsealing_failed = self._of(_UNSEALING)
        self._handling = 0
        self._answers: dict[tuple[str, int], tuple[Callable[..., None], ...]] = {}
        self._readings: list[Reading] = []
        self._read_at = -math.inf
        self._reading = asyncio.Lock()
        self._started = time.time()
        self._cpu = 0.0
        self._of(_STARTED).set(self._started)
        self._look_at_process()

    def _of(self, family: Family, *labels: str) -> Any:
        """The series with these values; made once."""
        key = (family.exposed, labels)
        child = self._children.get(key)
        if child is None:
            whole = self._families[family.exposed]
            child = self._children[key] = whole.labels(*labels) if labels else whole
        return child

    # Requests

    def arrived(self) -> None:
        """A request is being handled."""
        self._handling += 1

    def answered(self, route: str, status: int, milliseconds: float) -> None:
        """And was answered."""
        self._handling -= 1
        found = self._answers.get((route, status))
        if found is None:
            result = "success" if status < 400 else "failure"
            face = face_of(route)
            found = self._answers[route, status] = (
                self._of(_DURATIONS, NODE, route, result).observe,
                self._of(_REQUESTS, face, route, str(status)).inc,
                self._of(_REQUEST_SECONDS, face, route).observe,
            )
        in_milliseconds, count, in_seconds = found
        in_milliseconds(milliseconds)
        count()
        in_seconds(milliseconds / 1_000)

    def refused(self, name: str) -> None:
        self._of(_REFUSALS, name).inc()
        login = _REFUSED_LOGINS.get(name)
        if login is not None:
            self._of(_LOGINS, *login).inc()
        unread = _UNREAD_GUESSES.get(name)
        if unread is not None:
            self._of(_UNREAD, unread).inc()

    # What happened

    def happened(self, events: Iterable[Event]) -> None:
        """These events were written to the audit trail."""
        for event in events:
            self._of(_EVENTS, event.kind.value).inc()
            told = _TOLD.get(event.kind)
            if told is not None:
                self._of(told[0], *told[1]).inc()
            outcome = _OUTCOMES.get(event.kind)
            if outcome is not None:
                self._of(_ATTEMPTS, str(dict(event.details)["act"]), outcome).inc()

    def wait_began(self) -> None:
        self._of(_WAITS).inc()

    # What goes out

    def code_sent(self, delivered: bool) -> None:
        self._of(_CODES, "delivered" if delivered else "failed").inc()

    def took_to_send(self, queue: str, seconds: float) -> None:
        self._of(_SENDING, queue).observe(seconds)

    def called(self, call: str, result: str, seconds: float) -> None:
        """A call to the Cloud API ended."""
        self._of(_CALLS, call, result).inc()
        self._of(_CALL_SECONDS, call).observe(seconds)

    def show_backlog(self, backlog: Backlog, now: datetime) -> None:
        for queue, waiting in backlog.queues():
            since = waiting.oldest
            late = 0.0 if since is None else max(0.0, (now - since).total_seconds())
            self._of(_WAITING, queue).set(waiting.count)
            self._of(_OLDEST, queue).set(late)

    def show_ledgers(
        self, linked: int, unknown: int, near: Mapping[Act, int], closed: Mapping[Act, int]
    ) -> None:
        """*near* and *closed* are how many numbers, by act."""
        self._of(_LINKED).set(linked)
        self._of(_UNKNOWN).set(unknown)
        for act, count in near.items():
            self._of(_NEAR, act.value).set(count)
        for act, count in closed.items():
            self._of(_CLOSED, act.value).set(count)

    # The parts

    def show_hashing(self, threads: int, places: int) -> None:
        self._of(_HASH_THREADS).set(threads)
        self._of(_HASH_PLACES).set(places)

    def store_operation(
        self, operation: str, kind: str
    ) -> tuple[Callable[[float], None], Callable[[str], Callable[[], None]]]:
        """What to call with the seconds that *operation* took, and what gives, for each way it
        can end, what to call then. *kind* is ``read`` or ``write``."""

        def ended(result: str) -> Callable[[], None]:
            counting: Callable[[], None] = self._of(_STORE, operation, result).inc
            return counting

        return self._of(_STORE_SECONDS, kind).observe, ended

    def retried(self, why: str) -> None:
        """As ``StoreWatch``."""
        self._of(_STORE_RETRIES, why).inc()

    def committed(self, changes: int) -> None:
        """As ``StoreWatch``."""
        self._of(_STORE_BATCH).observe(changes)

    def connections(self, connected: int, busy: int) -> None:
        """As ``StoreWatch``."""
        self._of(_STORE_CONNECTIONS, "open").set(connected)
        self._of(_STORE_CONNECTIONS, "busy").set(busy)

    def show_keys(self, held: int, missing: int) -> None:
        self._of(_KEYS, "held").set(held)
        self._of(_KEYS, "missing").set(missing)

    def show_readiness(self, failing: Mapping[str, bool], *, ready: bool) -> None:
        """Each check, and whether it fails; and whether the node is ready all the same."""
        for check, fails in failing.items():
            self._of(_FAILING, check).set(fails)
        self._of(_READY).set(ready)

    def show_skew(self, seconds: float) -> None:
        self._of(_SKEW).set(seconds)

    def show_build(self, store: str) -> None:
        self._of(_BUILD, __version__, platform.python_version(), store).set(1)

    # Looking

    async def pulse(self) -> None:
        """Look at the event loop and the process each second, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(_PULSE)
            self._of(_LOOP_LAG).observe(max(0.0, loop.time() - before - _PULSE))
            self._look_at_process()

    def reads(self, reading: Reading) -> None:
        """Before metrics are shown, *reading* brings some up to date: something cheap and
        bounded. What it raises is counted, and the metrics show what they showed before."""
        self._readings.append(reading)

    async def read(self) -> None:
        """Bring everything up to date, unless that was done a second ago."""
        async with self._reading:
            if time.monotonic() < self._read_at + _READ_EVERY:
                return
            self._read_at = time.monotonic()
            for reading in self._readings:
                try:
                    async with asyncio.timeout(_READ_SECONDS):
                        await reading()
                except Exception:  # noqa: BLE001 - counted; the other metrics must still be shown
                    self._of(_SCRAPE_FAILURES).inc()

    def _look_at_process(self) -> None:
        self._of(_IN_FLIGHT, NODE, "handle-request").set(self._handling)
        self._of(_UPTIME).set(round(time.time() - self._started, 3))
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu = used.ru_utime + used.ru_stime
        self._of(_CPU).inc(max(0.0, cpu - self._cpu))
        self._cpu = cpu
        with contextlib.suppress(OSError):  # not every system has /proc
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self._of(_MEMORY).set(pages * resource.getpagesize())
            self._of(_FILES).set(sum(1 for _ in Path("/proc/self/fd").iterdir()))

    # Showing

    def _shared(self) -> CollectorRegistry:
        """What all processes counted, where there are several."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return self.registry
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]  # it has no types
        return shared

    def as_text(self) -> str:
        """Prometheus' text format."""
        self._look_at_process()
        return generate_latest(self._shared()).decode()

    def as_json(self) -> dict[str, Any]:
        """``{name: {type, help, data: [{labels, value}]}}``, one entry a sample name."""
        self._look_at_process()
        found: dict[str, Any] = {}
        for family in self._shared().collect():
            for sample in family.samples:
                if not math.isfinite(sample.value):
                    continue
                kind = "gauge" if family.type == "gauge" else "counter"
                entry = found.setdefault(
                    sample.name, {"type": kind, "help": family.documentation, "data": []}
                )
                entry["data"].append({"labels": dict(sample.labels), "value": sample.value})
        return found


def face_of(route: str) -> str:
    """The face that a route's name belongs to."""
    parts = route.split("_")
    return _FACE_OF.get(parts[1] if len(parts) > 1 else route, "other")
