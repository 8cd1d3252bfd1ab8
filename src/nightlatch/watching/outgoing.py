"""What goes out, watched: webhooks, letters, codes, calls to the Cloud API."""

import inspect
import time
from collections.abc import Mapping
from typing import Any, cast

from nightlatch import traces
from nightlatch.domain.mail import Posted
from nightlatch.faces.metrics import Metrics
from nightlatch.ports import (
    Answered,
    CloudApi,
    CloudNoAnswer,
    CloudNotSent,
    CloudRefusal,
    CodeSender,
    MailSender,
    OutboxMessage,
    Receivers,
    Rendered,
)


class WatchedReceivers:
    """The ``Receivers`` port around another."""

    def __init__(self, receivers: Receivers, metrics: Metrics) -> None:
        self._receivers = receivers
        self._metrics = metrics

    async def challenge(self, url: str, query: Mapping[str, str]) -> Answered:
        with traces.span("webhook challenge", traces.OUT):
            return await self._receivers.challenge(url, query)

    async def post(self, url: str, body: bytes, signature: str) -> Answered:
        began = time.perf_counter()
        try:
            with traces.span("webhook", traces.OUT) as span:
                answered = await self._receivers.post(url, body, signature)
                span.tell(**{"http.response.status_code": answered.status})
                return answered
        finally:
            self._metrics.took_to_send("webhooks", time.perf_counter() - began)


class WatchedMail:
    """The ``MailSender`` port around another."""

    def __init__(self, sender: MailSender, metrics: Metrics) -> None:
        self._sender = sender
        self._metrics = metrics
        self.keeps = sender.keeps

    async def send(self, posted: Posted, letter: Rendered) -> None:
        began = time.perf_counter()
        try:
            with traces.span("mail", traces.OUT, **{"nightlatch.letter": posted.letter.value}):
                await self._sender.send(posted, letter)
        finally:
            self._metrics.took_to_send("mail", time.perf_counter() - began)


class WatchedCodes:
    """The ``CodeSender`` port around another."""

    def __init__(self, sender: CodeSender, metrics: Metrics) -> None:
        self._sender = sender
        self._metrics = metrics

    async def send(self, waiting: OutboxMessage) -> None:
        began = time.perf_counter()
        delivered = False
        try:
            with traces.span("code", traces.OUT):
                await self._sender.send(waiting)
            delivered = True
        finally:
            self._metrics.code_sent(delivered)
            self._metrics.took_to_send("codes", time.perf_counter() - began)


def watched_cloud(cloud: CloudApi, metrics: Metrics) -> CloudApi:
    """*cloud*, with every call counted and timed."""
    return cast("CloudApi", _WatchedCloud(cloud, metrics))


class _WatchedCloud:
    """Every method of the ``CloudApi`` port, made when it is asked for the first time."""

    def __init__(self, cloud: CloudApi, metrics: Metrics) -> None:
        self._cloud = cloud
        self._metrics = metrics

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cloud, name)
        if not inspect.iscoroutinefunction(found):
            return found
        span = f"cloud {name}"

        async def call(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            result = "error"
            try:
                with traces.span(span, traces.OUT):
                    answer = await found(*given, **named)
                result = "ok"
                return answer
            except CloudRefusal:
                result = "refused"
                raise
            except CloudNotSent:
                result = "not_sent"
                raise
            except CloudNoAnswer:
                result = "no_answer"
                raise
            finally:
                self._metrics.called(name, result, time.perf_counter() - began)

        setattr(self, name, call)
        return call
