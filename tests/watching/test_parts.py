"""Hashing, keys and what goes out are watched, and do what they did."""

import contextlib
from typing import Any

import pytest

from nightlatch.adapters.hashing import CHEAP, Argon2Pool
from nightlatch.domain.errors import Overloaded, Unavailable
from nightlatch.domain.linked import MetaRefusal, Reason
from nightlatch.domain.mail import Letter, Posted
from nightlatch.faces.metrics import Metrics
from nightlatch.ports import (
    Answered,
    CloudNoAnswer,
    CloudNotSent,
    CloudRefusal,
    OutboxMessage,
    Rendered,
)
from nightlatch.watching import (
    WatchedCodes,
    WatchedHasher,
    WatchedKeys,
    WatchedMail,
    WatchedReceivers,
    watched_cloud,
)
from tests.counted import counted
from tests.people import NOON


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


async def test_places_are_counted_while_they_are_held_and_hashes_when_they_are_done(house):
    metrics = Metrics()
    with contextlib.closing(Argon2Pool(house.keyring, CHEAP, 1, 1)) as pool:
        hasher = WatchedHasher(pool, metrics)
        async with hasher.place() as place:
            busy = counted(metrics, "nightlatch_hash_places_busy")
            verifier = await place.make("271828", "it")
            right = await place.matches(verifier, "271828", "it")
            wrong = await place.matches(verifier, "314159", "it")
            with pytest.raises(Overloaded):
                async with hasher.place():
                    pass

    assert (right, wrong) == (True, False)
    assert (busy, counted(metrics, "nightlatch_hash_places_busy")) == (1, 0)
    assert counted(metrics, "nightlatch_hash_refused_total") == 1
    assert counted(metrics, "nightlatch_hash_seconds_count") == 3


async def test_a_place_is_given_back_when_its_holder_fails(house):
    metrics = Metrics()
    hasher = WatchedHasher(house.pool, metrics)

    with pytest.raises(Overloaded):
        async with hasher.place():
            raise Overloaded

    assert counted(metrics, "nightlatch_hash_places_busy") == 0
    assert counted(metrics, "nightlatch_hash_refused_total") == 0, "a place there was"


async def test_a_value_that_cannot_be_opened_is_counted(house):
    metrics = Metrics()
    keys = WatchedKeys(house.keyring, metrics)
    sealed = keys.seal(b"plain", "it")

    with pytest.raises(Unavailable):
        keys.unseal(sealed, "something else")

    assert keys.unseal(sealed, "it") == b"plain"
    assert keys.signed(b"x", keys.sign(b"x"))
    assert keys.keyed_hash("p", b"x") == house.keyring.keyed_hash("p", b"x")
    assert counted(metrics, "nightlatch_unseal_failures_total") == 1


class Out:
    """Sends anything, or fails with what it was given."""

    keeps = False

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def send(self, *_: Any) -> None:
        if self.error is not None:
            raise self.error

    async def post(self, _url: str, body: bytes, _signature: str) -> Answered:
        await self.send()
        return Answered(200, body)

    async def challenge(self, *_: Any) -> Answered:
        return Answered(200, b"challenge")

    async def set_pin(self, _access: Any, _id: str, pin: str) -> str:
        await self.send()
        return pin

    def close(self) -> str:
        return "closed"


async def test_codes_are_counted_as_delivered_or_failed(metrics):
    message: Any = OutboxMessage("key", "1", None, 1)  # type: ignore[arg-type]  # nobody reads it

    await WatchedCodes(Out(), metrics).send(message)
    with pytest.raises(OSError):
        await WatchedCodes(Out(OSError()), metrics).send(message)

    results = [
        counted(metrics, "nightlatch_codes_total", result=one) for one in ("delivered", "failed")
    ]
    assert results == [1, 1]


async def test_each_sending_is_timed_also_one_that_fails(metrics):
    posted = Posted(
        key="k", portfolio="p", address="a@example.com", letter=Letter.FIRST_WRONG_GUESS,
        facts=(), posted_at=NOON, due_at=NOON,
    )  # fmt: skip
    letter = Rendered("s", "t", "h")

    await WatchedMail(Out(), metrics).send(posted, letter)
    with pytest.raises(OSError):
        await WatchedMail(Out(OSError()), metrics).send(posted, letter)
    receivers = WatchedReceivers(Out(), metrics)
    answered = await receivers.post("http://127.0.0.1/", b"{}", "s")
    asked = await receivers.challenge("http://127.0.0.1/", {})

    assert (answered.body, asked.body) == (b"{}", b"challenge")
    assert counted(metrics, "nightlatch_send_seconds_count", queue="mail") == 2
    assert counted(metrics, "nightlatch_send_seconds_count", queue="webhooks") == 1


@pytest.mark.parametrize(
    ("error", "result"),
    [(None, "ok"), (CloudRefusal(MetaRefusal(Reason.WRONG_PIN, 133005)), "refused"),
     (CloudNotSent(), "not_sent"), (CloudNoAnswer(), "no_answer"), (RuntimeError(), "error")],
)  # fmt: skip
async def test_calls_to_the_cloud_api_are_counted_by_how_they_ended(metrics, error, result):
    cloud: Any = watched_cloud(Out(error), metrics)  # type: ignore[arg-type]  # one call of it
    answer = None

    with contextlib.suppress(Exception):
        answer = await cloud.set_pin(None, "1", "271828")

    assert answer == ("271828" if error is None else None)
    assert counted(metrics, "nightlatch_cloud_calls_total", call="set_pin", result=result) == 1
    assert counted(metrics, "nightlatch_cloud_call_seconds_count", call="set_pin") == 1
    assert cloud.close() == "closed"
