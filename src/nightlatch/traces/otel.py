"""Spans by the SDK of OpenTelemetry, sent as OTLP over HTTP. Loaded only when traces are on."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import requests
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from nightlatch.traces import Fact

_SEND_SECONDS: Final = 5.0
_KINDS: Final = {
    "internal": trace.SpanKind.INTERNAL,
    "client": trace.SpanKind.CLIENT,
    "server": trace.SpanKind.SERVER,
}
_HEADER: Final = "traceparent"


class OtelSpan:
    """The ``Span`` of the interface."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def tell(self, **facts: Fact) -> None:
        self._span.set_attributes(facts)

    def called(self, name: str) -> None:
        self._span.update_name(name)


class OtelTracer:
    """The ``Tracer`` of the interface.

    How many traces are kept, and headers for the receiver, are what OpenTelemetry's own
    environment variables say.
    """

    def __init__(self, endpoint: str, version: str) -> None:
        session = requests.Session()
        session.trust_env = False  # as everything that goes out: no proxy of the environment
        resource = Resource.create(
            {
                "service.name": "nightlatch",
                "service.version": version,
                "service.instance.id": secrets.token_hex(8),
            }
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint, timeout=_SEND_SECONDS, session=session)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("nightlatch", version)
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def span(self, name: str, kind: str, facts: dict[str, Fact]) -> Iterator[OtelSpan]:
        with self._begun(name, kind, None) as span:
            span.tell(**facts)
            yield span

    @contextmanager
    def serving(self, name: str, traceparent: str | None) -> Iterator[OtelSpan]:
        context = Context()
        if traceparent is not None:  # and no tracestate: whoever calls could write anything there
            context = self._propagator.extract({_HEADER: traceparent}, context)
        with self._begun(name, "server", context) as span:
            yield span

    @contextmanager
    def _begun(self, name: str, kind: str, context: Context | None) -> Iterator[OtelSpan]:
        with self._tracer.start_as_current_span(
            name,
            context,
            _KINDS[kind],
            record_exception=False,  # its message may quote what a client sent
            set_status_on_exception=False,
        ) as span:
            try:
                yield OtelSpan(span)
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(trace.StatusCode.ERROR)
                raise

    def trace_id(self) -> str | None:
        found = trace.get_current_span().get_span_context()
        return trace.format_trace_id(found.trace_id) if found.is_valid else None

    def stop(self) -> None:
        self._provider.shutdown()
