"""Traces: how long each part of a request took, told to a collector by OpenTelemetry.

Off until ``start``, and then ``span`` costs one call. Nothing of OpenTelemetry is loaded before:
it is the extra ``nightlatch[otel]``. A span holds names from the code, the request's id and an
HTTP status; never what a client sent, never a number, never the message of an error.
"""

import importlib
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Protocol, Self
from urllib.parse import urlsplit

INSIDE: Final = "internal"
OUT: Final = "client"
"""A span that waits for another server."""

Fact = str | int | float | bool


class TracesRefused(Exception):
    """Traces cannot be told; the message says why and what to do."""


class Span(Protocol):
    """A stretch of time that is under way."""

    def tell(self, **facts: Fact) -> None:
        """Add attributes."""

    def called(self, name: str) -> None:
        """Give it another name."""


class Tracer(Protocol):
    """Makes spans; ``nightlatch.traces.otel`` is the one there is."""

    def span(
        self, name: str, kind: str, facts: dict[str, Fact]
    ) -> AbstractContextManager[Span]: ...

    def serving(self, name: str, traceparent: str | None) -> AbstractContextManager[Span]: ...

    def trace_id(self) -> str | None: ...

    def stop(self) -> None: ...


class _Nothing:
    """The span of a server that traces nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def tell(self, **facts: Fact) -> None:
        """Tell nobody."""

    def called(self, name: str) -> None:
        """Stay nameless."""


class _Held:
    tracer: Tracer | None = None


_NOTHING: Final = _Nothing()
_HELD: Final = _Held()


def span(name: str, kind: str = INSIDE, **facts: Fact) -> AbstractContextManager[Span]:
    """A span around what happens in the context, below the one that is under way.

    An error that passes through marks it by its name.
    """
    tracer = _HELD.tracer
    return _NOTHING if tracer is None else tracer.span(name, kind, facts)


def are_on() -> bool:
    return _HELD.tracer is not None


def serving(name: str, traceparent: str | None) -> AbstractContextManager[Span]:
    """A span around a request; it belongs to the trace that a W3C *traceparent* names, if any."""
    tracer = _HELD.tracer
    return _NOTHING if tracer is None else tracer.serving(name, traceparent)


def trace_id() -> str | None:
    """The trace that is under way, as 32 hexadecimal digits."""
    tracer = _HELD.tracer
    return None if tracer is None else tracer.trace_id()


def refuse_bad_endpoint(endpoint: str) -> None:
    """Raises TracesRefused unless *endpoint* can be an OTLP receiver by HTTP."""
    found = urlsplit(endpoint)
    if found.scheme not in ("http", "https") or not found.hostname or "@" in found.netloc:
        raise TracesRefused(
            "--traces must be an OTLP address without a password, like "
            "http://127.0.0.1:4318/v1/traces"
        )


def start(endpoint: str, version: str) -> None:
    """Send traces to *endpoint* from now on.

    Raises:
        TracesRefused: no such address, or the extra is not installed.
    """
    refuse_bad_endpoint(endpoint)
    try:
        otel = importlib.import_module("nightlatch.traces.otel")
    except ModuleNotFoundError as error:
        raise TracesRefused(
            "--traces needs OpenTelemetry, which is not installed; "
            "run: pip install 'nightlatch[otel]'"
        ) from error
    if not urlsplit(endpoint).path.strip("/"):
        endpoint = endpoint.rstrip("/") + "/v1/traces"
    _HELD.tracer = otel.OtelTracer(endpoint, version)


def stop() -> None:
    """Send what is left, and trace no more. Takes seconds when nobody answers."""
    tracer, _HELD.tracer = _HELD.tracer, None
    if tracer is not None:
        tracer.stop()
