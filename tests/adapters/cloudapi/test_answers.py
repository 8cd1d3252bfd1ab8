"""What Graph's answers mean: real bodies, localised ones, odd ones, and any JSON there is."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.adapters.cloudapi import answers
from nightlatch.adapters.cloudapi.calls import Usage
from nightlatch.domain.linked import Facts, Health, HealthError, MetaRefusal, Reason
from nightlatch.domain.links import MANAGES, MESSAGES, TokenFacts
from nightlatch.ports import CloudNoAnswer, CloudNotSent, CloudRefusal
from tests.people import NOON

PORT_ERRORS = (CloudRefusal, CloudNoAnswer, CloudNotSent)
BUSINESS_USE = "X-Business-Use-Case-Usage"


def error(code: Any, subcode: Any = None, **more: Any) -> bytes:
    found: dict[str, Any] = {"message": "?", "type": "OAuthException", "code": code, **more}
    if subcode is not None:
        found["error_subcode"] = subcode
    return json.dumps({"error": found}).encode()


def refusal(body: bytes, status: int = 400, usage: Usage | None = None) -> MetaRefusal:
    with pytest.raises(CloudRefusal) as refused:
        answers.read(status, body, usage or Usage())
    return refused.value.answer


def is_no_answer(status: int, body: bytes) -> None:
    with pytest.raises(CloudNoAnswer):
        answers.read(status, body, Usage())


# Reasons


@pytest.mark.parametrize(
    ("code", "subcode", "reason"),
    [
        (133005, None, Reason.WRONG_PIN),
        (133008, None, Reason.TOO_MANY),
        (133009, None, Reason.TOO_FAST),
        (133006, None, Reason.CODE_NEEDED),
        (133010, None, Reason.NOT_REGISTERED),
        (100, 133010, Reason.NOT_REGISTERED),
        (133015, None, Reason.JUST_DELETED),
        (133016, None, Reason.SPENT),
        (131031, None, Reason.LOCKED),
        (133000, None, Reason.INCOMPLETE),
        (136024, 2388091, Reason.CODE_UNSENT),
        (136024, 2388093, Reason.CODE_UNSENT),
        (136024, 2388367, Reason.CODE_RATE),
        (136024, None, Reason.CODE_UNSENT),
        (136024, 1, Reason.CODE_UNSENT),
        (136025, None, Reason.CODE_WRONG),
        (100, 2388001, Reason.NAME),
        (131037, None, Reason.NAME),
        (100, 2388012, Reason.OTHER),
        (190, None, Reason.TOKEN),
        (190, 463, Reason.TOKEN),
        (0, None, Reason.TOKEN),
        (102, None, Reason.TOKEN),
        (467, None, Reason.TOKEN),
        (3, None, Reason.PERMISSION),
        (10, None, Reason.PERMISSION),
        (200, None, Reason.PERMISSION),
        (299, None, Reason.PERMISSION),
        (131005, None, Reason.PERMISSION),
        (4, None, Reason.CALLS),
        (17, None, Reason.CALLS),
        (32, None, Reason.CALLS),
        (613, None, Reason.CALLS),
        (80007, None, Reason.CALLS),
        (130429, None, Reason.CALLS),
        (100, 33, Reason.GONE),
        (33, None, Reason.GONE),
        (803, None, Reason.GONE),
        (100, None, Reason.OTHER),
        (300, None, Reason.OTHER),
        (368, None, Reason.OTHER),
        (999999, None, Reason.OTHER),
    ],
)
def test_each_code_has_its_reason(code: int, subcode: int | None, reason: Reason):
    assert refusal(error(code, subcode)) == MetaRefusal(reason, code, subcode)
    assert refusal(error(str(code), str(subcode or 0))).reason is reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            error(100, message="Register endpoint is not available for SMB businesses."),
            Reason.ON_APP,
        ),
        (
            error(
                136025, error_user_msg="Phone number registration not available for SMB accounts"
            ),
            Reason.ON_APP,
        ),
        (
            error(
                100,
                2388001,
                error_user_title="Cannot Create Certificate",
                error_user_msg="This number is registered to an existing WhatsApp account. To use"
                " this number, disconnect it from the existing account.",
            ),
            Reason.ELSEWHERE,
        ),
        (
            error(
                100,
                2388001,
                error_user_title="Cannot Create Certificate",
                error_user_msg="Your display name could not be processed. Please edit your display"
                " name and try again.",
            ),
            Reason.NAME,
        ),
        (
            error(
                100, 2388001, error_user_msg="Two-step verification must be disabled for the number"
            ),
            Reason.ELSEWHERE,
        ),
        (
            error(
                100,
                133010,
                message="(#100) Invalid parameter",
                error_data="Phone number not registered on the Whatsapp Business Platform.",
            ),
            Reason.NOT_REGISTERED,
        ),
        (
            error(100, message="Invalid appsecret_proof provided in the API argument"),
            Reason.PERMISSION,
        ),
        (error(100, message="(#100) Missing Permission"), Reason.OTHER),
        (error(100, message="(#100) Param pin must be 6 characters long."), Reason.OTHER),
    ],
)
def test_words_tell_where_one_code_stands_for_several(body: bytes, reason: Reason):
    assert refusal(body).reason is reason


@pytest.mark.parametrize(
    ("body", "reason", "wait"),
    [
        (
            error(
                136024,
                2388367,
                error_user_title="Limite de solicitações de código atingido",
                error_user_msg="Você pediu um código muitas vezes. Tente novamente em 24 horas.",
            ),
            Reason.CODE_RATE,
            timedelta(hours=24),
        ),
        (
            error(
                136024,
                2388091,
                error_user_title="No se pudo enviar el código",
                error_user_msg="Espera 1 hora y 5 minutos.",
            ),
            Reason.CODE_UNSENT,
            timedelta(minutes=65),
        ),
        (
            error(
                133005,
                message="(#133005) A verificação em duas etapas não confere",
                error_user_title="Register endpoint is not available for SMB businesses",
            ),
            Reason.WRONG_PIN,
            None,
        ),
        (
            error(100, error_user_title="Not available for SMB. Try again in 24 hours"),
            Reason.OTHER,
            None,
        ),
    ],
)
def test_titles_in_any_language_are_not_read(body: bytes, reason: Reason, wait: timedelta | None):
    found = refusal(body)

    assert (found.reason, found.wait) == (reason, wait)


@pytest.mark.parametrize(
    ("data", "wait"),
    [
        ({"details": "Too many attempts. Try again after 24 hours."}, timedelta(hours=24)),
        ("Try again in 88 seconds", timedelta(seconds=88)),
        ({"details": "?", "wait_time": 3600}, timedelta(hours=1)),
        ({"retry_after": "45"}, timedelta(seconds=45)),
        ({"details": ["24 hours"]}, None),
        ({"details": None}, None),
        (None, None),
        (7, None),
        (["24 hours"], None),
    ],
)
def test_the_wait_is_in_the_details_whatever_their_form(data: Any, wait: timedelta | None):
    assert refusal(error(133008, error_data=data)).wait == wait


def test_how_long_no_calls_are_taken_is_in_the_headers():
    used = {BUSINESS_USE: json.dumps({"1": [use(100, regain=12)]}), "Retry-After": "60"}

    assert refusal(error(80007), 400, answers.read_usage(used)).wait == timedelta(minutes=12)
    after = answers.read_usage({"Retry-After": "60"})
    assert refusal(error(4), 429, after).wait == timedelta(minutes=1)
    assert refusal(error(133008), 400, after).wait is None
    assert refusal(error(17, message="Try again in 5 minutes")).wait == timedelta(minutes=5)


@pytest.mark.parametrize("code", [133000, 131031, 3])
@pytest.mark.parametrize("status", [200, 400, 403, 500, 503])
def test_these_say_that_nothing_was_done_whatever_the_status(code: int, status: int):
    assert refusal(error(code), status).code == code


@pytest.mark.parametrize("code", [1, 2, 131000, 131016, 131057, 133004])
@pytest.mark.parametrize("status", [400, 500, 503])
def test_these_do_not_say_whether_anything_was_done(code: int, status: int):
    is_no_answer(status, error(code))


@pytest.mark.parametrize("status", [200, 201, 302, 500, 502, 503])
def test_a_refusal_counts_with_its_status_only(status: int):
    is_no_answer(status, error(133005))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"true",
        b"[]",
        b'"success"',
        b"<html><body>403 Forbidden</body></html>",
        b'{"success": tr',
        b'{"success": true',
        b'{"success": true}}',
        b'{"success": true, "success": false}',
        b'{"success": true, "id": NaN}',
        b'{"success": true, "id": "\xff"}',
        b'{"id": ' + b"9" * 5_000 + b"}",
        b"[" * 1_000 + b"]" * 1_000,
        b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
        b"[" * 100_000,
        b'{"error": null}',
        b'{"error": []}',
        b'{"error": "wrong PIN"}',
        b'{"error": {}}',
        b'{"error": {"code": null}}',
        b'{"error": {"code": true}}',
        b'{"error": {"code": "x"}}',
        b'{"error": {"code": -1}}',
        b'{"error": {"code": 1e3}}',
        b'{"error": {"code": 133005, "code": 133005}}',
        b'{"error": {"code": ' + b"9" * 50 + b"}}",
        b'{"error": {"message": "(#133005) Two step verification PIN Mismatch"}}',
    ],
)
def test_what_cannot_be_understood_is_no_answer(body: bytes):
    is_no_answer(400, body)
    if body.startswith(b'{"error": {"code": 133005, "code"'):
        return
    with pytest.raises(CloudNoAnswer):
        answers.done(answers.read(200, body, Usage()))


@pytest.mark.parametrize("value", ["false", "null", "0", "1", '"true"', "[true]", "{}"])
def test_only_a_success_is_a_success(value: str):
    with pytest.raises(CloudNoAnswer):
        answers.done(answers.read(200, f'{{"success": {value}}}'.encode(), Usage()))
    with pytest.raises(CloudNoAnswer):
        answers.done(answers.read(200, b"{}", Usage()))
    with pytest.raises(CloudNoAnswer):
        answers.done(answers.read(202, b'{"success": true}', Usage()))

    answers.done(answers.read(200, b'{"id": "7", "success": true}', Usage()))


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (
            "(#100) Tried accessing nonexisting field (is_on_biz_app) on node type (X)",
            "is_on_biz_app",
        ),
        ("Invalid field requested", ""),
    ],
)
def test_an_unknown_field_is_told_from_other_refusals(said: str, field: str):
    with pytest.raises(answers.FieldRefused) as refused:
        answers.read(400, error(100, message=said), Usage())

    assert refused.value.field == field


def test_a_refusal_holds_nothing_of_the_answer():
    with pytest.raises(CloudRefusal) as refused:
        answers.read(400, error(133005, message="wrong PIN 271828", fbtrace_id="A1"), Usage())

    assert "271828" not in repr(refused.value) + str(refused.value) + repr(refused.value.answer)
    with pytest.raises(CloudNoAnswer) as lost:
        answers.read(200, b'{"token": "EAA271828"', Usage())
    assert lost.value.args == ()
    assert lost.value.__context__ is None


# Usage


def use(percent: Any, regain: Any = 0, **more: Any) -> dict[str, Any]:
    return {
        "type": "whatsapp_business_management_api",
        "call_count": percent,
        "total_cputime": 1,
        "total_time": 1,
        "estimated_time_to_regain_access": regain,
        **more,
    }


@pytest.mark.parametrize(
    ("header", "usage"),
    [
        ({"1": [use(28)]}, Usage(28.0)),
        ({"1": [use(28, total_time=90)]}, Usage(90.0)),
        ({"1": [use(28)], "2": [use(101, 5)]}, Usage(101.0, timedelta(minutes=5))),
        ({"1": [use("28", "5", total_time=None, total_cputime=True)]}, Usage()),
        ({"1": [use(-1, -1)]}, Usage(1.0)),
        ({"1": use(28)}, Usage()),
        ({"1": [[use(28)]]}, Usage()),
        ([use(28)], Usage()),
        (None, Usage()),
        (28, Usage()),
    ],
)
def test_what_the_headers_say_of_the_use(header: Any, usage: Usage):
    assert answers.read_usage({BUSINESS_USE: json.dumps(header)}) == usage


@pytest.mark.parametrize("text", ["", "{", "28%", "\ud800", "[" * 2_000, '{"1": [{}], "1": []}'])
def test_a_header_that_cannot_be_read_says_nothing(text: str):
    assert answers.read_usage({BUSINESS_USE: text, "Retry-After": text}) == Usage()


# Numbers

SHOWN: dict[str, Any] = {
    "verified_name": "Lucky Shrub",
    "display_phone_number": "+1 631-555-1000",
    "name_status": "APPROVED",
    "new_display_name": "Luckier Shrub",
    "new_name_status": "PENDING_REVIEW",
    "code_verification_status": "VERIFIED",
    "is_pin_enabled": True,
    "status": "CONNECTED",
    "platform_type": "CLOUD_API",
    "is_on_biz_app": False,
    "account_mode": "LIVE",
    "quality_rating": "GREEN",
    "webhook_configuration": {"application": "https://a.example/hook"},
    "health_status": {
        "can_send_message": "BLOCKED",
        "entities": [
            {"entity_type": "PHONE_NUMBER", "id": "1063", "can_send_message": "AVAILABLE"},
            {
                "entity_type": "BUSINESS",
                "id": "9",
                "can_send_message": "BLOCKED",
                "errors": [
                    {
                        "error_code": 141010,
                        "error_description": "Not verified",
                        "possible_solution": "Verify it",
                    }
                ],
                "additional_info": ["?"],
            },
        ],
    },
    "id": "1063",
}


def test_everything_that_meta_shows_of_a_number_is_read():
    found = answers.read_number(SHOWN, NOON)

    assert (found.id, found.shown) == ("1063", "+1 631-555-1000")
    assert found.facts == Facts(
        at=NOON,
        name="Lucky Shrub",
        name_state="APPROVED",
        new_name="Luckier Shrub",
        new_name_state="PENDING_REVIEW",
        code_state="VERIFIED",
        pin_on=True,
        status="CONNECTED",
        platform="CLOUD_API",
        on_app=False,
        mode="LIVE",
        quality="GREEN",
        webhook="",
        health=(
            Health("PHONE_NUMBER", "1063", "AVAILABLE"),
            Health("BUSINESS", "9", "BLOCKED", (HealthError(141010, "Not verified", "Verify it"),)),
        ),
    )
    assert {*answers.CERTAIN, *answers.DOUBTFUL} == set(SHOWN)


def test_what_meta_does_not_show_is_not_made_up():
    assert answers.read_number({"id": 1063}, NOON).facts == Facts(at=NOON)
    nulls = dict.fromkeys(SHOWN) | {"id": "1063"}
    assert answers.read_number(nulls, NOON).facts == Facts(at=NOON)


@pytest.mark.parametrize(
    ("where", "webhook"),
    [
        ({"application": "https://a"}, ""),
        ({"application": "https://a", "whatsapp_business_account": "https://w"}, "https://w"),
        (
            {"application": "https://a", "whatsapp_business_account": "https://w",
             "phone_number": "https://n"},
            "https://n",
        ),
        ({"application": "https://a", "phone_number": "https://a"}, ""),
        ({"phone_number": ["https://n"]}, ""),
        ("https://n", ""),
    ],
)  # fmt: skip
def test_an_address_that_replaces_the_apps_is_seen(where: Any, webhook: str):
    found = answers.read_number(SHOWN | {"webhook_configuration": where}, NOON)

    assert found.facts.webhook == webhook


@pytest.mark.parametrize(
    ("value", "pin_on"),
    [(True, True), (False, False), ("true", True), ("false", False), (1, None), (0, None),
     ("", None), (None, None), ([], None), ("yes", None)],
)  # fmt: skip
def test_whether_a_pin_is_on_is_known_or_it_is_not(value: Any, pin_on: bool | None):
    assert answers.read_number(SHOWN | {"is_pin_enabled": value}, NOON).facts.pin_on is pin_on


def test_texts_can_be_stored_and_shown_whatever_is_in_them():
    odd = "Lucky\x00 \ud800Shrub\u202e\n" + "x" * 100_000

    found = answers.read_number(SHOWN | {"verified_name": odd, "status": odd}, NOON)

    assert found.facts.name.startswith("Lucky Shrub")
    assert found.facts.name.isprintable()
    assert len(found.facts.name) <= 256
    assert len(found.facts.status) <= 64


@pytest.mark.parametrize("id", [None, "", "x", "1/2", -1, True, 1.5, "9" * 33, 10**40, "١٢", [1]])
def test_a_number_without_an_id_is_none(id: Any):
    with pytest.raises(CloudNoAnswer):
        answers.read_number(SHOWN | {"id": id}, NOON)


def page(data: Any, paging: Any = None, after: str = "", limit: int = 2) -> tuple[list[str], str]:
    answer = {"data": data} if paging is None else {"data": data, "paging": paging}
    found = answers.read_page(answer, NOON, after, limit)
    return [one.id for one in found.numbers], found.next


ONE, TWO = {"id": "1"}, {"id": "2"}
NEXT = {"cursors": {"before": "b", "after": "c"}, "next": "https://graph.facebook.com/?after=c"}
LAST = {"cursors": {"before": "b", "after": "c"}}


@pytest.mark.parametrize(
    ("data", "paging", "after", "found"),
    [
        ([], None, "", ([], "")),
        ([ONE, TWO], NEXT, "", (["1", "2"], "c")),
        ([ONE], NEXT, "", (["1"], "c")),
        ([ONE], LAST, "", (["1"], "")),
        ([ONE, TWO], LAST, "", (["1", "2"], "c")),
        ([ONE, TWO], NEXT, "c", (["1", "2"], "")),
        ([ONE, None, [], "2", {}, {"id": None}, TWO], NEXT, "", (["1", "2"], "c")),
        ([ONE], {"cursors": {"after": 7}, "next": "x"}, "", (["1"], "")),
        ([ONE], {"cursors": {"after": "x" * 5_000}, "next": "x"}, "", (["1"], "")),
        ([ONE], {"cursors": [], "next": "x"}, "", (["1"], "")),
        ([ONE], "c", "", (["1"], "")),
    ],
)
def test_a_list_goes_on_where_it_says(data: Any, paging: Any, after: str, found: Any):
    assert page(data, paging, after) == found


@pytest.mark.parametrize("data", [None, {}, "", {"1": ONE}])
def test_what_is_no_list_is_no_answer(data: Any):
    with pytest.raises(CloudNoAnswer):
        page(data)


# Tokens, accounts, apps


def test_what_meta_says_about_a_token_is_read():
    answer = {
        "data": {
            "app_id": "634",
            "type": "SYSTEM_USER",
            "is_valid": True,
            "expires_at": 1_800_000_000,
            "data_access_expires_at": "1900000000",
            "scopes": [MANAGES, MESSAGES, 7, None],
            "granular_scopes": [
                {"scope": MESSAGES, "target_ids": ["1"]},
                {"scope": MANAGES, "target_ids": ["2", 3, None, "x"]},
                {"scope": "business_management"},
            ],
        }
    }

    assert answers.read_token(answer) == TokenFacts(
        True,
        frozenset({MANAGES, MESSAGES}),
        "634",
        "SYSTEM_USER",
        datetime.fromtimestamp(1_800_000_000, UTC),
        datetime.fromtimestamp(1_900_000_000, UTC),
        frozenset({"2", "3"}),
    )


@pytest.mark.parametrize("never", [0, "0", None, -1, 10**12, "soon", True, 1.5])
def test_a_token_that_never_expires_has_no_end(never: Any):
    facts = answers.read_token({"data": {"is_valid": True, "expires_at": never}})

    assert facts == TokenFacts(True)


@pytest.mark.parametrize("data", [None, {}, [], {"is_valid": None}, {"is_valid": 1}])
def test_a_token_of_which_nothing_is_said_is_neither_good_nor_bad(data: Any):
    with pytest.raises(CloudNoAnswer):
        answers.read_token({"data": data})


def test_a_token_may_be_for_no_account_at_all():
    granted = [{"scope": MANAGES, "target_ids": []}]

    facts = answers.read_token({"data": {"is_valid": True, "granular_scopes": granted}})

    assert facts.accounts == frozenset()


@pytest.mark.parametrize(
    ("data", "apps"),
    [
        ([], set()),
        ([{"whatsapp_business_api_data": {"id": "7", "name": "App"}}], {"7"}),
        ([{"whatsapp_business_api_data": {"id": 7}}, {"whatsapp_business_api_data": []}], {"7"}),
        ([None, 7, "7", {"id": "7"}], set()),
    ],
)
def test_the_apps_that_are_subscribed_are_read(data: Any, apps: set[str]):
    assert answers.read_apps({"data": data}) == apps


# Any JSON there is

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "error", "code", "error_subcode", "message", "error_data", "details", "data",
                    "error_user_msg", "id", "success", "paging", "cursors", "after", "next",
                    "is_valid", "scopes", "granular_scopes", "scope", "target_ids", "expires_at",
                    "health_status", "entities", "errors", "error_code", "verified_name",
                    "webhook_configuration", "whatsapp_business_api_data", "is_pin_enabled",
                ]
            )
            | st.text(max_size=8),
            inner,
            max_size=5,
        )
    ),
    max_leaves=8,
)  # fmt: skip
READERS = [
    lambda answer: answers.read_number(answer, NOON),
    lambda answer: answers.read_page(answer, NOON, "", 2),
    answers.read_token,
    answers.read_name,
    answers.read_apps,
    answers.created,
    answers.done,
]


@given(JSON, st.sampled_from([200, 400, 401, 403, 404, 429, 500, 503]))
def test_no_json_raises_anything_but_what_the_port_promises(value: Any, status: int):
    body = json.dumps(value).encode()
    try:
        answer = answers.read(status, body, Usage())
    except PORT_ERRORS:
        return

    for read in READERS:
        try:
            read(answer)
        except PORT_ERRORS:
            continue


@given(st.dictionaries(st.sampled_from([*SHOWN, "data", "paging"]), JSON, max_size=6))
def test_no_number_raises_anything_but_what_the_port_promises(value: dict[str, Any]):
    for read in READERS:
        try:
            read(value)
        except PORT_ERRORS:
            continue
    found = answers.read_number({**value, "id": "1"}, NOON)
    assert json.dumps(found.facts.name).isascii()
    found.facts.name.encode()


@given(st.binary(max_size=200), st.sampled_from([200, 400, 500]))
def test_no_bytes_raise_anything_but_what_the_port_promises(body: bytes, status: int):
    try:
        answers.read(status, body, Usage())
    except PORT_ERRORS:
        return


@given(JSON)
def test_no_header_raises_anything(value: Any):
    usage = answers.read_usage({BUSINESS_USE: json.dumps(value), "Retry-After": str(value)})

    assert usage.percent is None or usage.percent >= 0
