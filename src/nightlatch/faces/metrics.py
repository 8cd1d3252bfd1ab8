"""What the server counts about itself, in the names of the On-Premises web application."""

import math
import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary, generate_latest

NODE = "nightlatch"


class Metrics:
    """One set of counters for one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._started = time.monotonic()
        uptime = Gauge("web_uptime", "Seconds since the server started", registry=self.registry)
        uptime.set_function(lambda: round(time.monotonic() - self._started, 3))
        self.in_flight = Gauge(
            "web_requests", "Requests being handled", ["node", "state"], registry=self.registry
        ).labels(NODE, "handle-request")
        self._durations = Summary(
            "api_requests_duration_ms",
            "Time to answer, in milliseconds",
            ["node", "method", "result"],
            registry=self.registry,
        )
        self._refusals = Counter(
            "nightlatch_refusals",
            "Requests refused, by the refusal's name",
            ["refusal"],
            registry=self.registry,
        )
        self.mail = Counter(
            "nightlatch_mail",
            "Letters that were sent, kept in the embedded mailbox, or given up",
            ["result"],
            registry=self.registry,
        )
        self.webhooks = Counter(
            "nightlatch_webhooks",
            "Webhook deliveries that arrived, were put off, or were given up",
            ["result"],
            registry=self.registry,
        )
        self._known: dict[tuple[str, str], Summary] = {}
        self._known_refusals: dict[str, Counter] = {}

    def answered(self, route: str, status: int, milliseconds: float) -> None:
        key = (route, "success" if status < 400 else "failure")
        child = self._known.get(key)
        if child is None:
            child = self._known[key] = self._durations.labels(NODE, *key)
        child.observe(milliseconds)

    def refused(self, name: str) -> None:
        child = self._known_refusals.get(name)
        if child is None:
            child = self._known_refusals[name] = self._refusals.labels(name)
        child.inc()

    def as_text(self) -> str:
        """Prometheus' text format."""
        return generate_latest(self.registry).decode()

    def as_json(self) -> dict[str, Any]:
        """``{name: {type, help, data: [{labels, value}]}}``, one entry a sample name."""
        found: dict[str, Any] = {}
        for family in self.registry.collect():
            for sample in family.samples:
                if sample.name.endswith("_created") or not math.isfinite(sample.value):
                    continue
                kind = "gauge" if family.type == "gauge" else "counter"
                entry = found.setdefault(
                    sample.name, {"type": kind, "help": family.documentation, "data": []}
                )
                entry["data"].append({"labels": dict(sample.labels), "value": sample.value})
        return found
