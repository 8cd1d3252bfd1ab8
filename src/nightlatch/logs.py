"""One line an event, with named fields only: what is not on the list is not written.

What libraries log by themselves comes here, too, from warnings upward, so that every line is
of this form. Their messages are left out: they may quote what a client sent.
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import structlog

from nightlatch import traces

FIELDS: Final[Mapping[str, str]] = {
    "timestamp": "When, in UTC: ISO 8601 with microseconds.",
    "level": "`debug`, `info`, `warning` or `error`.",
    "event": "What happened: one of the events below.",
    "request_id": "The request that it belongs to; the answer bears it as `X-Request-Id`.",
    "trace_id": "The trace that it belongs to, 32 hexadecimal digits; only while traces are on.",
    "method": "The method of HTTP; `other` for one that HTTP does not have.",
    "route": "The name of the row in a face's table; `unknown` when there is none. Never the path.",
    "status": "The HTTP status of the answer.",
    "code": "The code of the refusal, where the face has codes.",
    "refusal": "The name of the refusal.",
    "ms": "Milliseconds until it was answered.",
    "client": "The client that was served, when it is one that exists.",
    "origin": "Where the server is reached.",
    "port": "The port it listens on.",
    "numbers": "How many numbers.",
    "behind": "Seconds that the system's clock is behind what is stored.",
    "off": "Seconds that the system's clock is ahead of the database's.",
    "error": "The name of an error's class, never its message.",
    "where": "Files, lines and functions that the error came through.",
    "sent": "How many were sent.",
    "seconds": "Seconds that it took.",
    "waiting": "How many requests were still under way, and refused.",
    "letters": "How many letters were given up.",
    "app": "The id of the app whose webhooks it is about.",
    "deliveries": "How many deliveries were given up.",
    "worker": "The process id of a worker.",
    "workers": "How many workers.",
    "source": "The library that logged.",
    "check": "The check of `/readyz` that it is about.",
    "why": "What a check found, in a sentence of ours.",
}
"""Every field a log line may have, and what it holds. None ever holds what a client sent."""
ALLOWED: Final = frozenset(FIELDS)
EVENTS: Final[Mapping[str, tuple[str, str]]] = {
    "request": (
        "info", "A request was answered; one line for each.",
    ),
    "started": ("info", "The server answers from now on."),
    "stopped": ("info", "The server has ended; `waiting` requests were refused for it."),
    "not ready": ("error", "A check of `/readyz` fails since just now."),
    "not safe": (
        "warning", "A check of `/readyz` that only warns has found something; the node serves.",
    ),
    "ready again": ("info", "It fails no more."),
    "bug": ("error", "Something nobody expected; the request was answered with 500."),
    "upkeep failed": ("error", "A worker met an error, and goes on after a pause."),
    "mail failed": ("error", "Letters were given up."),
    "webhooks failed": ("error", "Deliveries to one app were given up."),
    "the system clock is behind what is stored": (
        "warning", "Time does not run backwards here, so dates are ahead until it has caught up.",
    ),
    "the database fails": ("error", "Since just now; requests that need it answer 503."),
    "the database is back": ("info", "It answers again."),
    "the clock is wrong": (
        "error", "It is too far off the database's, so nothing is decided until it is right.",
    ),
    "worker started": ("info", "`serve --workers` started a worker."),
    "worker ended": ("info", "A worker that was asked to end has ended, with `status`."),
    "worker died": ("error", "A worker has ended by itself, with `status`; another is started."),
    "workers replaced": ("info", "Each worker was replaced by a new one."),
    "workers not replaced": ("error", "`workers` new ones did not start; the old ones serve on."),
    "library": ("warning", "A library logged something; only its name and place are shown."),
}  # fmt: skip
"""Every event that is logged: its level, and what it means."""


def _only_allowed(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in event.keys() - ALLOWED:
        del event[name]
    return event


def _with_trace(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    found = traces.trace_id()
    if found is not None:
        event["trace_id"] = found
    return event


class _Libraries(logging.Handler):
    """Hears what libraries log, and writes who logged and where."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        structlog.get_logger().log(
            record.levelno,
            "library",
            source=record.name,
            where=f"{record.filename}:{record.lineno}:{record.funcName}",
            **({} if error is None else {"error": type(error).__name__}),
        )


def configure(form: str, level: str) -> None:
    """Write to standard error: ``json``, ``console``, or ``auto`` (console on a terminal)."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            _only_allowed,
            _with_trace,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    if not any(isinstance(one, _Libraries) for one in root.handlers):
        root.addHandler(_Libraries(logging.WARNING))


def frames(error: BaseException) -> str:
    """Where an error came from, without its message: that may quote what a client sent."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}:{code.co_name}")
        trace = trace.tb_next
    return " ".join(places)
