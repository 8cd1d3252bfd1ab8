"""The catalogue of refusals, and how errors look in both profiles."""

import inspect
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from nightlatch.domain import errors
from nightlatch.domain.errors import Refusal
from nightlatch.faces.graph import errors as own
from nightlatch.faces.graph.errors import (
    DOCS,
    ELSEWHERE,
    OPENAPI,
    PROFILES,
    Asked,
    body_of,
    kind_of,
    row_of,
    trace_of,
    wait_in_words,
)
from nightlatch.faces.graph.versions import KNOWN
from tests.faces.graph.desk import Desk
from tests.faces.graph.sight import Sight
from tests.people import OWNER, THIEF
from tests.town import Town, a_town

PINNED = {
    "AccessTokenMissing": (401, 104, None),
    "AccessTokenRefused": (401, 190, None),
    "AccessTokenExpired": (401, 190, 463),
    "ProofMissing": (400, 100, None),
    "ProofRefused": (400, 100, None),
    "ScopeMissing": (403, 200, None),
    "AppTokenNeeded": (400, 15, None),
    "UserTokenNeeded": (400, 2500, None),
    "SecretRefused": (400, 1, None),
    "NodeUnknown": (400, 100, 33),
    "NumberUnknown": (400, 100, 33),
    "WabaUnknown": (400, 100, 33),
    "AppUnknown": (400, 100, 33),
    "MethodNotAllowed": (400, 100, 33),
    "EdgeUnknown": (400, 2500, None),
    "PathUnknown": (400, 2500, None),
    "FieldUnknown": (400, 100, None),
    "ParameterMissing": (400, 100, None),
    "ParameterInvalid": (400, 100, None),
    "ParameterUnexpected": (400, 100, None),
    "NotMigrated": (400, 100, 2388103),
    "NumberExists": (400, 100, 2388001),
    "NumberHere": (400, 100, 2388012),
    "RegistrationWait": (400, 133016, None),
    "CodeNeeded": (400, 133006, None),
    "GuessWait": (400, 133009, None),
    "TooManyGuesses": (400, 133008, None),
    "WrongPin": (400, 133005, None),
    "NumberLocked": (403, 131031, None),
    "RegistrationOutdated": (503, 133004, None),
    "NotOnCloud": (400, 133010, None),
    "DeregisteredBefore": (400, 100, 133010),
    "CodeVerified": (400, 136024, None),
    "CodesSpent": (400, 136024, 2388367),
    "WrongCode": (400, 136025, None),
    "NoCodePending": (400, 136025, None),
    "CodeWait": (400, 136025, None),
    "NameWait": (400, 100, None),
    "NotSubscribed": (400, 100, None),
    "OverrideUnsubscribed": (400, 100, None),
    "CallbackRefused": (400, 2200, None),
    "Unavailable": (503, 2, None),
    "Overloaded": (503, 2, None),
    "BodyTooLarge": (413, 100, None),
    "RequestMalformed": (400, 100, None),
    "IncompleteDeregistration": (500, 133000, None),
    "ServerUnavailable": (503, 133004, None),
    "AccountLocked": (403, 131031, None),
}
"""What clients may rely on. A change here breaks somebody."""

OPENAPI_PINNED = {
    "NodeUnknown": (404, 803, None),
    "NumberUnknown": (404, 803, None),
    "WabaUnknown": (404, 803, None),
    "AppUnknown": (404, 803, None),
    "AccessTokenRefused": (401, 190, 463),
    "ScopeMissing": (403, 200, 1349176),
    "NotMigrated": (422, 100, None),
    "NumberExists": (409, 100, None),
    "NumberHere": (409, 100, None),
    "RegistrationWait": (429, 4, 2446079),
    "GuessWait": (429, 4, 2446079),
    "TooManyGuesses": (429, 4, 2446079),
    "CodesSpent": (429, 4, 2446079),
    "CodeWait": (429, 4, 2446079),
    "NameWait": (429, 4, 2446079),
    "CodeNeeded": (422, 100, None),
    "NotOnCloud": (422, 100, None),
    "DeregisteredBefore": (400, 100, 2207051),
    "CodeVerified": (422, 100, None),
    "WrongCode": (422, 100, None),
    "NoCodePending": (422, 100, None),
    "NotSubscribed": (404, 803, None),
    "CallbackRefused": (422, 100, None),
    "RegistrationOutdated": (500, 2, None),
    "Unavailable": (500, 2, None),
    "Overloaded": (500, 2, None),
}
"""Where the other profile differs."""


def refusals_in(module: object) -> set[type[Refusal]]:
    return {
        one
        for name, one in inspect.getmembers(module, inspect.isclass)
        if issubclass(one, Refusal) and one is not Refusal and not name.startswith("_")
    }


def test_every_refusal_of_the_domain_has_a_row_or_is_met_elsewhere():
    assert refusals_in(errors) <= set(DOCS) | ELSEWHERE
    assert not set(DOCS) & ELSEWHERE
    assert refusals_in(errors) >= ELSEWHERE


def test_every_refusal_that_only_this_wire_tells_apart_has_a_row():
    assert refusals_in(own) - {own.Injected} <= set(DOCS)


@pytest.mark.parametrize(("profile", "pinned"), [("docs", {}), ("openapi", OPENAPI_PINNED)])
def test_status_code_and_subcode_of_every_refusal_are_pinned(profile, pinned):
    rows = {one.__name__: (r.status, r.code, r.subcode) for one, r in PROFILES[profile].items()}

    assert rows == PINNED | pinned


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"), (60, "60 seconds"), (120, "120 seconds"), (121, "3 minutes"),
        (300, "5 minutes"), (900, "15 minutes"), (3_599, "1 hour"), (3_600, "1 hour"),
        (3_601, "1 hour 1 minute"), (86_399, "24 hours"), (86_400, "24 hours"),
        (72 * 3_600 - 60, "71 hours 59 minutes"), (259_200, "72 hours"),
    ],
)  # fmt: skip
def test_a_wait_in_words_is_never_shorter_than_it_is(seconds, words):
    assert wait_in_words(seconds) == words


def test_a_guess_that_came_too_fast_is_not_one_too_many():
    fast = errors.GuessWait(timedelta(seconds=60))
    spent = errors.GuessWait(timedelta(hours=24), spent=True)

    assert kind_of(fast, Asked()) is errors.GuessWait
    assert kind_of(spent, Asked()) is own.TooManyGuesses


def test_only_old_versions_word_a_deregistration_of_nothing_as_a_parameter():
    old, new = KNOWN[0], KNOWN[-1]

    for version, edge, kind in (
        (old, "deregister", own.DeregisteredBefore),
        (old, "", errors.NotOnCloud),
        (new, "deregister", errors.NotOnCloud),
    ):
        assert kind_of(errors.NotOnCloud(), Asked("post", "1", edge, version)) is kind


def test_what_this_face_cannot_meet_is_a_bug():
    row = row_of(DOCS, errors.FormForged(), Asked())

    assert (row.status, row.code) == (500, 1)
    assert row_of(DOCS, None, Asked()) is row


def test_the_trace_is_made_of_the_request_id_and_differs_with_it():
    one, other = trace_of("0123456789abcdef"), trace_of("0123456789abcdee")

    assert one != other
    assert one.startswith("A")
    assert one == "A0123456789abcdef"


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_repeated_of_a_request_is_cut(profile):
    long = "x" * 5_000
    for refusal in (
        errors.NodeUnknown(long), errors.EdgeUnknown(long), errors.FieldUnknown(long, "Business"),
    ):  # fmt: skip
        asked = Asked("get", long, long)
        body = body_of(row_of(PROFILES[profile], refusal, asked), refusal, asked, "A")
        assert len(body) < 1_000


def test_hostile_text_stays_inside_of_its_string():
    refusal = errors.EdgeUnknown('/"},{"error":{\u2028<script>')
    asked = Asked()

    body = body_of(row_of(DOCS, refusal, asked), refusal, asked, "A")

    assert json.loads(body)["error"]["message"].endswith(refusal.path)
    assert body.isascii()


def test_when_a_token_expired_is_said_in_words():
    refusal = errors.AccessTokenExpired(datetime(2026, 1, 15, 12, 0, tzinfo=UTC))
    asked = Asked()

    body = json.loads(body_of(row_of(DOCS, refusal, asked), refusal, asked, "A"))

    assert body["error"]["message"] == (
        "Error validating access token: Session has expired on Thursday, 15-Jan-26 12:00:00 UTC."
    )


async def test_an_error_carries_the_id_under_which_it_is_logged(desk: Desk, log):
    reply = await desk.call("GET", "/1")

    request_id = reply.header("x-request-id")
    assert request_id is not None
    assert reply.error["fbtrace_id"] == trace_of(request_id)
    assert request_id in log.getvalue()
    assert reply.header("x-fb-trace-id") == reply.error["fbtrace_id"]
    assert reply.header("facebook-api-version") == "v23.0"


async def test_refusals_are_counted_by_name(desk: Desk):
    await desk.move_in(OWNER.pin)
    await desk.register(THIEF.wrong_pin)

    metrics = desk.town.house.metrics.as_text()
    assert 'nightlatch_refusals_total{refusal="WrongPin"} 1.0' in metrics
    assert 'method="POST_graph_number_register",node="nightlatch",result="failure"' in metrics


# Worded as in Meta's OpenAPI document


class TestOpenApiProfile:
    """The second profile, over a socket."""

    @pytest.fixture(params=["openapi"])
    def profile(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    async def town(self, tmp_path) -> AsyncIterator[Town]:
        async with a_town(tmp_path / "data", graph_errors="openapi") as running:
            yield running

    async def test_statuses_are_those_of_the_document(self, desk: Desk, sight: Sight):
        await sight.refused(desk.call("GET", "/1"), 404, 803)
        await sight.refused(desk.call("GET", f"/{desk.number}", token=""), 401, 104)
        await sight.refused(desk.call("GET", f"/{desk.number}", token="x"), 401, 190)
        await sight.refused(desk.register(OWNER.pin), 422, 100)
        await sight.refused(desk.set_pin(OWNER.pin), 422, 100)
        await sight.refused(desk.deregister(), 422, 100)
        await sight.refused(desk.read("pin"), 400, 100)
        await desk.move_in(OWNER.pin)
        await sight.refused(desk.request_code(), 422, 100)
        pin = await sight.refused(desk.set_pin("12345"), 400, 100)
        for _ in range(5):
            await sight.refused(desk.register(THIEF.wrong_pin), 400, 133005, guesses=1)
        waiting = await sight.refused(desk.register(OWNER.pin), 429, 4)
        old = await desk.deregister(version="v14.0")
        twice = await desk.deregister(version="v14.0")

        assert pin.error["message"] == "Invalid PIN format. PIN must be exactly 6 digits"
        assert waiting.error["is_transient"] is True
        assert waiting.error["error_subcode"] == 2446079
        assert waiting.details == "Too many attempts. Try again after 60 seconds."
        assert waiting.header("Retry-After") == "60"
        assert old.status == 200
        assert twice.verdict == (400, 100)

    async def test_a_number_that_exists_is_a_conflict(self, desk: Desk, sight: Sight):
        params = {"cc": "1", "phone_number": "6315551000", "verified_name": "Twice"}
        path = f"/{desk.waba}/phone_numbers"

        await sight.refused(desk.call("POST", path, params), 409, 100)

    async def test_a_proof_is_refused_as_in_the_other_profile(self, desk: Desk):
        reply = await desk.read("id", appsecret_proof="0" * 64)

        assert reply.verdict == (400, 100)


def test_the_profiles_name_the_same_refusals():
    assert set(DOCS) == set(OPENAPI)
