"""Receivers of webhooks as the world has them: friendly, choosy, broken, silent."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nightlatch.ports import Answered

TAKEN = Answered(200, b"")


@dataclass(frozen=True)
class Request:
    """One webhook request."""

    url: str
    body: bytes
    signature: str

    @property
    def updates(self) -> list[dict[str, Any]]:
        """Each update's ``value``, in the order of the body."""
        return [
            change["value"]
            for entry in json.loads(self.body)["entry"]
            for change in entry["changes"]
        ]

    @property
    def events(self) -> list[str]:
        return [update["event"] for update in self.updates]


async def take(_: Request) -> Answered:
    return TAKEN


@dataclass
class Postboxes:
    """One behind every address; each knows the same verify token."""

    answers: Callable[[Request], Awaitable[Answered]] = take
    token: str = "let me in"
    requests: list[Request] = field(default_factory=list)
    """What was posted, in order."""
    challenges: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    async def challenge(self, url: str, query: Mapping[str, str]) -> Answered:
        self.challenges.append((url, dict(query)))
        if query["hub.verify_token"] != self.token:
            return Answered(403, b"")
        return Answered(200, query["hub.challenge"].encode())

    async def post(self, url: str, body: bytes, signature: str) -> Answered:
        request = Request(url, body, signature)
        self.requests.append(request)
        return await self.answers(request)

    @property
    def events(self) -> list[str]:
        """What arrived, in order; again when it arrived again."""
        return [event for request in self.requests for event in request.events]


@dataclass
class Challenged:
    """Answers a challenge with this, and nothing else."""

    outcome: Answered | Exception

    async def challenge(
        self,
        url: str,  # noqa: ARG002 - the port's
        query: Mapping[str, str],  # noqa: ARG002 - the port's
    ) -> Answered:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    async def post(self, url: str, body: bytes, signature: str) -> Answered:
        raise AssertionError(f"posted to {url}: {body!r} {signature}")


async def hang(_: Request) -> Answered:
    await asyncio.Event().wait()
    raise AssertionError
