"""What the Cloud API's client sends, judged by Meta's own OpenAPI document, served by Prism.

The document is no part of this repository; without it the test says what it misses.
"""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nightlatch import __version__
from nightlatch.adapters.cloudapi import answers
from nightlatch.adapters.cloudapi.calls import Usage
from nightlatch.adapters.cloudapi.graph import GraphCloudApi
from nightlatch.domain.linked import Reason
from nightlatch.ports import CloudAccess, CloudNoAnswer, CloudRefusal
from tests.end_to_end.prism import NAMED_BY, PATHS, described, document, missing, prism
from tests.fakes.cloud import CODE, TOKEN, WABA
from tests.people import CC, NAME, NATIONAL, OWNER

ID = "106853218861309"
"""Of the number that the document's example shows."""


@pytest.fixture
def whole(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Meta's document. Where there is none the test ends, and is loud about it."""
    if missing():
        with capsys.disabled():
            print(f"\n{missing()}")
        if NAMED_BY in os.environ:
            pytest.fail(missing())
        pytest.skip(missing())
    return described()


@pytest.fixture
async def access(whole: dict[str, Any], tmp_path: Path) -> AsyncIterator[CloudAccess]:
    async with prism(tmp_path, whole, WABA) as base:
        yield CloudAccess(WABA, base, "v23.0", TOKEN, "the app's secret")


async def test_meta_s_document_allows_every_request_and_no_broken_one(
    access: CloudAccess, whole: dict[str, Any]
):
    async with a_client(__version__) as cloud:
        await every_call(cloud, access)
        await broken_calls(cloud, access)
    async with a_client("not a version") as nameless:
        await is_refused(nameless.deregister(access, ID))
    assert "debug_token" not in json.dumps(whole)  # the one call that it does not describe


@asynccontextmanager
async def a_client(version: str) -> AsyncIterator[GraphCloudApi]:
    cloud = GraphCloudApi(version)
    try:
        yield cloud
    finally:
        await cloud.close()


async def every_call(cloud: GraphCloudApi, access: CloudAccess) -> None:
    """Each gets an answer that is understood, and no refusal."""
    assert (await cloud.number(access, ID)).facts.name
    assert (await cloud.numbers(access, "", 100)).numbers
    assert await cloud.numbers(access, "QVFIUjRfV2", 25)
    await cloud.account_name(access)
    assert await cloud.is_subscribed(access, "")
    await cloud.subscribe(access)
    assert await cloud.add_number(access, CC, NATIONAL, NAME)
    for method in ("SMS", "VOICE"):
        await cloud.ask_code(access, ID, method, "en_US")
    await cloud.enter_code(access, ID, CODE)
    await cloud.register(access, ID, OWNER.pin)
    await cloud.register(access, ID, "000000")
    await cloud.set_pin(access, ID, OWNER.pin)
    await cloud.deregister(access, ID)


async def broken_calls(cloud: GraphCloudApi, access: CloudAccess) -> None:
    unheard: Any = 271828
    await is_refused(cloud.register(access, ID, "12345"))
    await is_refused(cloud.register(access, ID, unheard))
    await is_refused(cloud.set_pin(access, ID, unheard))
    await is_refused(cloud.set_pin(access, "x", OWNER.pin))
    await is_refused(cloud.ask_code(access, ID, "sms", "en_US"))
    await is_refused(cloud.ask_code(access, ID, "SMS", "English"))
    await is_refused(cloud.enter_code(access, ID, "123-830"))
    await is_refused(cloud.add_number(access, "+1", NATIONAL, NAME))
    await is_refused(cloud.numbers(replace(access, version="23"), "", 1))


async def is_refused(call: Awaitable[Any]) -> None:
    """With a 422: whatever else went wrong would be a CloudNoAnswer, or another reason."""
    with pytest.raises(CloudRefusal) as refused:
        await call
    assert refused.value.answer.reason in (Reason.OTHER, Reason.GONE)


def examples(whole: dict[str, Any]) -> Iterator[tuple[int, Any]]:
    """Every answer that the document shows for what we call: its status, and what it is."""
    for path in PATHS:
        for method in ("get", "post"):
            operation = whole["paths"][path].get(method, {"responses": {}})
            for status, response in operation["responses"].items():
                content = response.get("content", {}).get("application/json", {})
                for example in content.get("examples", {}).values():
                    if "value" in example:
                        yield int(status), example["value"]


def test_every_answer_that_the_document_shows_is_understood(whole: dict[str, Any]):
    found = list(examples(whole))

    assert len(found) > 40
    for status, value in found:
        body = json.dumps(value).encode()
        if status < 300:
            assert answers.read(status, body, Usage()) == value
        elif status < 500:
            with pytest.raises(CloudRefusal):
                answers.read(status, body, Usage())
        else:
            with pytest.raises(CloudNoAnswer):
                answers.read(status, body, Usage())


def test_a_document_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv(NAMED_BY, str(tmp_path / "meta.yaml"))

    assert str(document()) in missing()
    assert NAMED_BY in missing()
