"""One line an event, with named fields only: what is not on the list is not written."""

import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

ALLOWED: Final = frozenset(
    {
        "event", "level", "timestamp", "request_id", "method", "route", "status", "code",
        "refusal", "ms", "client", "origin", "port", "numbers", "behind", "error", "where",
        "sent", "seconds", "waiting", "letters", "app", "deliveries",
    }
)  # fmt: skip
"""Every field a log line may have. None of them ever holds what a client sent."""


def _only_allowed(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in event.keys() - ALLOWED:
        del event[name]
    return event


def configure(form: str, level: str) -> None:
    """Write to standard error: ``json``, ``console``, or ``auto`` (console on a terminal)."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            _only_allowed,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def frames(error: BaseException) -> str:
    """Where an error came from, without its message: that may quote what a client sent."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}:{code.co_name}")
        trace = trace.tb_next
    return " ".join(places)
