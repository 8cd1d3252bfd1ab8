"""The bad inputs of the threat model, over a real socket: refused, and nothing changed."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from tests.faces.graph.desk import Desk, as_form, as_multipart
from tests.faces.graph.sight import Sight
from tests.people import OWNER, THIEF
from tests.town import exchange

NOT_SIX = "(#100) Param pin must be 6 characters long."
NO_DIGITS = "(#100) Param pin must be made of the digits 0-9."
NO_STRING = "(#100) Param pin must be a string."

BAD_PINS: dict[str, tuple[Any, str]] = {
    "five digits": ("12345", NOT_SIX),
    "seven digits": ("1234567", NOT_SIX),
    "empty": ("", NOT_SIX),
    "a number": (123456, NO_STRING),
    "a number with an exponent": (1e5, NO_STRING),
    "true": (True, NO_STRING),
    "null": (None, "(#100) The parameter pin is required"),
    "a list": (["123456"], NO_STRING),
    "an object": ({"pin": "123456"}, NO_STRING),
    "a space before": (" 123456", NOT_SIX),
    "a space inside": ("123 56", NO_DIGITS),
    "a newline behind": ("123456\n", NOT_SIX),
    "NUL at the end": ("12345\0", NO_DIGITS),
    "a byte order mark before": ("\ufeff123456", NOT_SIX),
    "a zero-width space inside": ("123\u200b56", NO_DIGITS),
    "Arabic-Indic digits": ("١٢٣٤٥٦", NO_DIGITS),
    "full-width digits": ("\uff11\uff12\uff13\uff14\uff15\uff16", NO_DIGITS),
    "superscript digits": ("¹²³⁴⁵⁶", NO_DIGITS),
    "letters": ("12345a", NO_DIGITS),
    "a sign": ("+12345", NO_DIGITS),
    "an underscore, as Python allows in numbers": ("12_456", NO_DIGITS),
    "two lines": ("123456\r\nX-Evil: 1", NOT_SIX),
}


@pytest.mark.parametrize(("pin", "says"), BAD_PINS.values(), ids=BAD_PINS)
async def test_what_is_no_pin_is_refused_and_costs_no_guess(desk: Desk, sight: Sight, pin, says):
    await desk.move_in(OWNER.pin)

    for answer in (desk.register(pin), desk.set_pin(pin)):
        reply = await sight.refused(answer, 400, 100)
        assert reply.error["message"] == says
        assert reply.error["type"] == "OAuthException"


@pytest.mark.parametrize("way", [as_form, as_multipart, None], ids=["form", "multipart", "query"])
@pytest.mark.parametrize("pin", ["12345", "1234567", "", "١٢٣٤٥٦", " 12345", "12345a"])
async def test_what_is_no_pin_is_refused_whatever_way_it_comes(desk: Desk, sight: Sight, pin, way):
    await desk.move_in(OWNER.pin)

    await sight.refused(desk.register(pin, way=way), 400, 100)
    await sight.refused(desk.set_pin(pin, way=way), 400, 100)


async def test_a_pin_with_leading_zeros_is_taken_exactly(desk: Desk):
    await desk.move_in("012345")

    assert (await desk.register("012345")).status == 200
    assert (await desk.set_pin("000000")).status == 200
    assert (await desk.register("012345")).verdict == (400, 133005)
    assert (await desk.register("000000")).status == 200


async def test_registering_without_messaging_product_names_it_first(desk: Desk, sight: Sight):
    await desk.move_in(OWNER.pin)
    path = f"/{desk.number}/register"

    nothing = await sight.refused(desk.call("POST", path, {}), 400, 100)
    alone = await sight.refused(desk.call("POST", path, {"pin": THIEF.wrong_pin}), 400, 100)
    other = await sight.refused(
        desk.call("POST", path, {"messaging_product": "telegram", "pin": OWNER.pin}), 400, 100
    )

    missing = "(#100) The parameter messaging_product is required"
    assert nothing.error["message"] == alone.error["message"] == missing
    assert other.error["message"] == "(#100) Param messaging_product must be one of {whatsapp}."


async def test_registering_without_a_pin_is_refused_and_costs_nothing(desk: Desk, sight: Sight):
    await desk.move_in(OWNER.pin)
    product = {"messaging_product": "whatsapp"}

    reply = await sight.refused(desk.call("POST", f"/{desk.number}/register", product), 400, 100)

    assert reply.error["message"] == "(#100) The parameter pin is required"


async def test_a_call_on_the_number_that_says_nothing_known_misses_the_pin(
    desk: Desk, sight: Sight
):
    await desk.move_in(OWNER.pin)

    for params in ({}, {"username": "lucky"}, {"messaging_product": "whatsapp"}):
        reply = await sight.refused(desk.call("POST", f"/{desk.number}", params), 400, 100)
        assert reply.error["message"] == "(#100) The parameter pin is required"


async def test_extra_parameters_are_ignored_and_never_stored(desk: Desk):
    await desk.move_in(OWNER.pin)
    before = await desk.town.number()

    replies = [
        await desk.call("POST", f"/{desk.number}", {"pin": OWNER.pin, "tries": 0, "admin": True}),
        await desk.read(admin="true"),
    ]

    assert [reply.status for reply in replies] == [200, 200]
    after = await desk.town.number()
    assert (after.guesses, after.holder) == (before.guesses, before.holder)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"messaging_product":"whatsapp","pin":"123456","pin":"654321"}',
        b'{"pin":',
        b'["pin"]',
        b'"123456"',
        b'{"pin":"\xff\xfe"}',
        b'{"pin":"\\ud800"}',
        b'{"pin":NaN}',
        b"[" * 5_000,
        b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
        b"null",
    ],
    ids=[
        "a key twice", "cut short", "a list", "a string", "no UTF-8", "half a character", "NaN",
        "deep and cut short", "deep", "null",
    ],
)  # fmt: skip
async def test_a_malformed_body_is_refused_and_nothing_changed(desk: Desk, sight: Sight, raw):
    await desk.move_in(OWNER.pin)

    for path in (f"/{desk.number}", f"/{desk.number}/register"):
        await sight.refused(desk.call("POST", path, raw=raw), 400, 100)


@pytest.mark.parametrize(
    ("content_type", "raw"),
    [
        ("application/x-www-form-urlencoded", b"pin=123456&pin=123456"),
        ("application/x-www-form-urlencoded", b"pin=%zz"),
        ("application/x-www-form-urlencoded", b"pin=%ff"),
        ("application/x-www-form-urlencoded", b"pin=\xd9\xa1"),
        ("application/x-www-form-urlencoded", b"pin[]=1&pin=2"),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(100))),
        ("multipart/form-data", b"--x\r\n\r\n"),
        ("multipart/form-data; boundary=x", b"--y\r\nnothing"),
        ("multipart/form-data; boundary=" + "x" * 71, b"--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="pin"\r\n\r\n\xff\r\n--x--\r\n',
        ),
        ("text/plain", b'{"pin":"123456"}'),
        ("application/json; charset=utf-7", b'{"pin":"123456"}'),
        ("application/xml", b"<pin/>"),
    ],
)
async def test_what_is_no_form_is_refused_and_nothing_changed(
    desk: Desk, sight: Sight, content_type, raw
):
    await desk.move_in(OWNER.pin)

    path = f"/{desk.number}"
    await sight.refused(desk.call("POST", path, raw=raw, content_type=content_type), 400, 100)


async def test_a_parameter_in_query_and_body_must_say_the_same(desk: Desk, sight: Sight):
    await desk.move_in(OWNER.pin)
    path = f"/{desk.number}"

    await sight.refused(
        desk.call("POST", path, {"pin": OWNER.new_pin}, query={"pin": OWNER.pin}), 400, 100
    )
    same = await desk.call("POST", path, {"pin": OWNER.new_pin}, query={"pin": OWNER.new_pin})

    assert same.status == 200


async def test_an_oversized_body_is_refused_unread(desk: Desk, sight: Sight):
    await desk.move_in(OWNER.pin)

    reply = await sight.refused(desk.set_pin("1" * 20_000), 413, 100)

    assert "16384 bytes" in reply.error["message"]


async def test_a_compressed_body_is_refused(desk: Desk, sight: Sight):
    await desk.move_in(OWNER.pin)
    desk.headers = [("Content-Encoding", "gzip")]

    await sight.refused(desk.set_pin(OWNER.new_pin), 400, 100)


# Objects


@pytest.mark.parametrize(
    "id", ["1", "0", "999999999999999", "9" * 40, "x", "-1", "1e5", "١٢٣", "%00"]
)
@pytest.mark.parametrize("edge", ["", "/register", "/phone_numbers", "/nowhere"])
async def test_an_unknown_object_is_refused_the_same_for_every_edge(
    desk: Desk, sight: Sight, id, edge
):
    path = f"/{quote(id, safe='%')}{edge}"

    read = await sight.refused(desk.call("GET", path), 400, 100)
    written = await sight.refused(desk.call("POST", path, {"pin": OWNER.pin}), 400, 100)

    for method, reply in (("get", read), ("post", written)):
        assert reply.error["error_subcode"] == 33
        assert reply.error["type"] == "GraphMethodException"
        assert reply.error["message"].startswith(f"Unsupported {method} request. Object with ID '")


async def test_an_unknown_edge_names_itself(desk: Desk, sight: Sight):
    for path, named in (
        (f"/{desk.number}/foo", "/foo"),
        (f"/{desk.number}/register/again", "/register/again"),
        (f"/{desk.number}/phone_numbers", "/phone_numbers"),
        (f"/{desk.waba}/register", "/register"),
        (f"/{desk.portfolio}/phone_numbers", "/phone_numbers"),
        ("/me/accounts", None),
    ):
        reply = await desk.call("GET", path)
        if named is None:
            assert reply.verdict == (400, 100)
        else:
            assert reply.verdict == (400, 2500)
            assert reply.error["message"] == f"(#2500) Unknown path components: {named}"


async def test_a_method_that_an_object_does_not_take_is_unsupported(desk: Desk, sight: Sight):
    for method, path, allowed in (
        ("DELETE", f"/{desk.number}", "GET, POST"),
        ("GET", f"/{desk.number}/register", "POST"),
        ("POST", f"/{desk.waba}", "GET"),
        ("PUT", f"/{desk.number}", "DELETE, GET, HEAD, POST"),
        ("OPTIONS", f"/{desk.number}", "DELETE, GET, HEAD, POST"),
        ("BREW", f"/{desk.number}", "DELETE, GET, HEAD, POST"),
    ):
        reply = await sight.refused(desk.call(method, path), 400, 100)
        assert reply.error["message"].startswith(f"Unsupported {method.lower()} request.")
        assert reply.header("Allow") == allowed


# Registering


async def test_the_eleventh_registration_is_refused_for_72_hours(desk: Desk, sight: Sight):
    await desk.move_in(OWNER.pin)
    for _ in range(9):
        assert (await desk.register(OWNER.pin)).status == 200

    reply = await sight.refused(desk.register(OWNER.pin), 400, 133016)
    desk.town.pass_time(timedelta(hours=71, minutes=59))
    still = await desk.register(OWNER.pin)
    desk.town.pass_time(timedelta(minutes=1))
    again = await desk.register(OWNER.pin)

    assert reply.details == (
        "Registration or Deregistration failed because there were too many attempts for this phone"
        " number in a short period of time. Try again after 72 hours."
    )
    assert reply.error["message"] == "(#133016) Account register deregister rate limit exceeded"
    assert int(reply.header("Retry-After") or 0) == 72 * 3_600
    assert still.verdict == (400, 133016)
    assert again.status == 200


async def test_an_unverified_number_is_not_registered_whatever_its_pin(desk: Desk, sight: Sight):
    reply = await sight.refused(desk.register(OWNER.pin), 400, 133006)

    assert reply.error["message"] == "(#133006) Phone number re-verification needed"


async def test_a_verification_is_good_for_14_days(desk: Desk, sight: Sight):
    await desk.verify()
    desk.town.pass_time(timedelta(days=14))

    await sight.refused(desk.register(OWNER.pin), 400, 133006)

    assert (await desk.read("code_verification_status")).body["code_verification_status"] == (
        "EXPIRED"
    )
    await desk.verify()
    assert (await desk.register(OWNER.pin)).status == 200


async def test_the_order_of_checks_is_parameters_budget_code_wait_pin(desk: Desk):
    """Each call fails in more than one way, and the earlier one is told."""
    unverified = await desk.register("12345")
    assert unverified.verdict == (400, 100)
    await desk.move_in(OWNER.pin)
    assert (await desk.deregister()).status == 200
    desk.town.pass_time(timedelta(days=15))
    for _ in range(5):
        # the number is not verified any more, so no PIN is compared
        assert (await desk.register(THIEF.wrong_pin)).verdict == (400, 133006)
    assert (await desk.town.number()).guesses.ticket == 0
    await desk.verify()
    for _ in range(5):
        assert (await desk.register(THIEF.wrong_pin)).verdict == (400, 133005)
    assert (await desk.register("12345")).verdict == (400, 100)
    assert (await desk.register(OWNER.pin)).verdict == (400, 133009)


# Codes


@pytest.mark.parametrize("method", ["sms", "Sms", "voice", "", "EMAIL", 1, None, ["SMS"]])
async def test_a_code_travels_by_sms_or_voice_only(desk: Desk, sight: Sight, method):
    await sight.refused(desk.request_code(method), 400, 100)


@pytest.mark.parametrize("language", ["", "english", "EN", "en-US", 7, None, "en_US\n"])
async def test_a_code_needs_a_language(desk: Desk, sight: Sight, language):
    await sight.refused(desk.request_code("SMS", language), 400, 100)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "١٢٣٤٥٦", 123456, None, "12-3456"])
async def test_what_is_no_code_costs_no_check(desk: Desk, sight: Sight, code):
    assert (await desk.request_code()).status == 200
    await desk.town.code()

    await sight.refused(desk.verify_code(code), 400, 100)


async def test_a_code_of_an_earlier_request_is_refused(desk: Desk):
    assert (await desk.request_code()).status == 200
    old = await desk.town.code()
    desk.town.pass_time(1)
    assert (await desk.request_code("VOICE")).status == 200
    new = await desk.town.code()

    if old != new:
        assert (await desk.verify_code(old)).verdict == (400, 136025)
    assert (await desk.verify_code(new)).status == 200
    assert (await desk.verify_code(new)).verdict == (400, 136025)


async def test_a_verified_number_gets_no_further_code(desk: Desk, sight: Sight):
    await desk.verify()

    reply = await sight.refused(desk.request_code(), 400, 136024)

    assert reply.error["message"] == "Request code error"
    assert reply.error["is_transient"] is False
    assert "error_subcode" not in reply.error


async def test_the_sixth_code_of_a_day_is_refused_in_the_documented_words(desk: Desk, sight: Sight):
    for _ in range(5):
        assert (await desk.request_code()).status == 200

    reply = await sight.refused(desk.request_code(), 400, 136024)

    assert reply.error["error_subcode"] == 2388367
    assert reply.error["error_user_msg"] == (
        "You asked for a verification code too many times. Try again later."
    )
    assert reply.details.endswith("Try again after 24 hours.")
    assert reply.header("Retry-After") == "86400"


async def test_codes_are_checked_five_times_with_waits(desk: Desk):
    assert (await desk.request_code()).status == 200
    right = await desk.town.code()
    wrong = "000000" if right != "000000" else "000001"

    first = await desk.verify_code(wrong)
    for wait in (0, 0):
        desk.town.pass_time(wait)
        assert (await desk.verify_code(wrong)).verdict == (400, 136025)
    waiting = await desk.verify_code(right)

    assert first.verdict == (400, 136025)
    assert first.details == "The code is wrong; the try was counted."
    assert waiting.verdict == (400, 136025)
    assert waiting.details.endswith("Try again after 60 seconds.")
    assert waiting.header("Retry-After") == "60"


# Text that is not what it seems


@pytest.mark.parametrize("name", ["' OR 1=1 --", "{{7*7}}${7*7}", "a</script>", "ü" * 40], ids=str)
async def test_text_is_kept_literally(desk: Desk, name):
    params = {"cc": "49", "phone_number": "3012345678", "verified_name": name}
    added = await desk.call("POST", f"/{desk.waba}/phone_numbers", params)
    read = await desk.call("GET", f"/{added.body['id']}", query={"fields": "verified_name"})

    assert read.body["verified_name"] == name


async def test_what_was_asked_for_is_never_in_the_log(desk: Desk, log):
    await desk.move_in(OWNER.pin)
    await desk.set_pin(OWNER.new_pin, way=None)
    await desk.call(
        "GET", "/debug_token", query={"input_token": desk.token, "access_token": desk.token}
    )
    target = f"/graph/v23.0/{desk.number}?access_token={desk.token}&pin={OWNER.pin}"
    await exchange(desk.town.port, "POST", target)

    written = log.getvalue()
    for secret in (OWNER.pin, OWNER.new_pin, desk.token, desk.secret):
        assert secret not in written
    seen = [json.loads(line) for line in written.splitlines()]
    assert any(line.get("client") == f"system-user:{desk.user.id}" for line in seen)
