"""``/v1/account``: registering the number, taking it over, and shards."""

import asyncio
import base64
from typing import Any

import pytest

from nightlatch.domain.certificates import Certificate, to_sign, to_text
from nightlatch.domain.limits import (
    CODE_CHECKS,
    CODE_LIFE,
    CODE_WINDOW,
    CODES_PER_WINDOW,
    REGISTRATION_WINDOW,
    REGISTRATIONS,
    SHARDS,
)
from nightlatch.domain.numbers import Number
from nightlatch.faces.onprem.wire import META
from nightlatch.ports import CodeSender, OutboxMessage
from nightlatch.usecases import codes, numbers
from tests.faces.onprem.digits import arabic_indic, full_width
from tests.faces.onprem.witness import CODE, GUESS, Witness
from tests.people import CC, E164, NAME, NATIONAL, OWNER, THIEF
from tests.town import Town

OTHER_E164, OTHER_CC, OTHER_NATIONAL = "+4930901820", "49", "30901820"


def certificate_saying(town: Town, e164: str, name: str, serial: str) -> str:
    """Signed by the town's own registry, whatever it says."""
    signed = to_sign(Certificate(serial, e164, name))
    return to_text(signed, town.house.keyring.sign(signed))


async def another_number(town: Town) -> tuple[Number, str]:
    """A second number of the registry, with its certificate."""
    waba = await town.house.store.first_waba()
    assert waba is not None
    number = await numbers.add_number(town.house.world, waba, OTHER_E164, OTHER_CC, "Second Shrub")
    return number, numbers.certificate(
        town.house.world, await numbers.find_number(town.house.world, OTHER_E164)
    )


def another(code: str) -> str:
    """A code that is not *code*."""
    return f"{(int(code) + 1) % 1_000_000:06d}"


# Success


async def test_a_new_registration_is_accepted_with_the_name_and_finished_with_the_code(
    town: Town,
):
    asked = await town.owner.register()
    verified = await town.owner.verify(await town.code())

    assert (asked.status, asked.body) == (202, {"account": [{"vname": NAME}], "meta": META})
    assert (verified.status, verified.body) == (201, {"meta": META})
    assert await town.owner.status() == "connected"


async def test_registering_again_needs_no_code_while_the_client_holds_the_number(town: Town):
    await town.owner_has_registered()

    again = await town.owner.register()

    assert (again.status, again.body) == (201, {"meta": META})


async def test_the_code_is_taken_as_the_message_spells_it(town: Town):
    await town.owner.register()
    code = await town.code()

    assert (await town.owner.verify(f"{code[:3]}-{code[3:]}")).status == 201


async def test_the_code_travels_by_voice_when_asked_to(town: Town):
    assert (await town.owner.register(method="voice")).status == 202

    await town.code()
    assert (await codes.handset(town.house.world, E164))[0].method == "voice"


@pytest.mark.parametrize("pin", [None, ""], ids=["no pin", "an empty pin"])
async def test_no_pin_is_needed_while_two_step_is_off(town: Town, pin):
    assert (await town.owner.register(pin)).status == 202


async def test_a_client_that_registers_another_number_releases_the_first(town: Town):
    await town.owner_has_registered()
    _, certificate = await another_number(town)

    asked = await town.owner.register(cc=OTHER_CC, phone_number=OTHER_NATIONAL, cert=certificate)
    while await town.house.store.waiting_for(OTHER_E164):
        await asyncio.sleep(0.005)
    code = (await codes.handset(town.house.world, OTHER_E164))[0].code
    verified = await town.owner.verify(code)

    assert asked.body["account"] == [{"vname": "Second Shrub"}]
    assert verified.status == 201
    assert (await town.number()).holder is None


# Parameters

_GOOD = {"cc": CC, "phone_number": NATIONAL, "method": "sms", "cert": "x", "pin": OWNER.pin}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param({"cc": ...}, 1008, id="no cc"),
        pytest.param({"phone_number": ...}, 1008, id="no phone_number"),
        pytest.param({"method": ...}, 1008, id="no method"),
        pytest.param({"cert": ...}, 1008, id="no cert"),
        pytest.param({"cc": 1}, 1009, id="cc as a number"),
        pytest.param({"cc": ""}, 1009, id="an empty cc"),
        pytest.param({"cc": "999"}, 1009, id="a cc of no country"),
        pytest.param({"cc": "0"}, 1009, id="a cc of zero"),
        pytest.param({"cc": "1x"}, 1009, id="a cc with a letter"),
        pytest.param({"phone_number": 6315551000}, 1009, id="phone_number as a number"),
        pytest.param({"phone_number": ""}, 1009, id="an empty phone_number"),
        pytest.param({"phone_number": "631"}, 1009, id="a phone_number that is too short"),
        pytest.param({"phone_number": "6" * 41}, 1009, id="a phone_number of 41 digits"),
        pytest.param({"phone_number": "+4930901820"}, 1009, id="a phone_number of another country"),
        pytest.param({"phone_number": "6315551000 ext. 5"}, 1009, id="an extension"),
        pytest.param({"method": 1}, 1009, id="method as a number"),
        pytest.param({"cert": ["x"]}, 1009, id="cert as a list"),
        pytest.param({"cert": ""}, 1009, id="an empty cert"),
        pytest.param({"cert": "A" * 4_097}, 1009, id="a cert that is too long"),
        pytest.param({"force": True}, 1010, id="a parameter nobody knows"),
    ],
)
async def test_a_registration_with_bad_parameters_is_refused_before_anything_is_spent(
    town: Town, witness: Witness, change, code
):
    await town.owner_is_protected()
    body = {name: value for name, value in (_GOOD | change).items() if value is not ...}

    await witness.refused(town.thief.call("POST", "/account", body), 400, code, secrets=[OWNER.pin])


async def test_the_order_of_checks_is_token_role_parameters_certificate_pin(
    town: Town, witness: Witness
):
    await town.owner_is_protected()
    owner, thief = town.owner, town.thief
    await owner.call("POST", "/users", {"username": "clerk", "password": "Clerks-Pass-1"})
    clerk = type(owner)(town.port, OWNER.base, "Clerks-Pass-1")
    await clerk.login(username="clerk")

    await witness.refused(owner.call("POST", "/account", {"pin": 1}, token="x"), 401, 1005)
    await witness.refused(clerk.call("POST", "/account", {"pin": 1}), 403, 1005)
    await witness.refused(thief.register(1, cert="bad"), 400, 1009)
    certificate = await witness.refused(
        thief.register(THIEF.wrong_pin, cert="bad"), 403, 1005, secrets=[THIEF.wrong_pin]
    )
    assert "certificate" in certificate.error["details"]
    await witness.refused(thief.register(), 400, 1008)
    await witness.refused(
        thief.register(THIEF.wrong_pin),
        403,
        1005,
        secrets=[THIEF.wrong_pin],
        may_change=GUESS,
        hashes=1,
    )


# Certificates


async def bad_certificates(town: Town) -> dict[str, str]:
    good = town.owner.certificate
    raw = bytearray(base64.b64decode(good))
    number = await town.number()
    _, other = await another_number(town)
    foreign = to_text(to_sign(number.certificate), bytes(64))
    flipped = bytearray(raw)
    flipped[20] ^= 1
    unsigned = bytearray(raw)
    unsigned[-1] ^= 1

    def shaped(payload: bytes) -> str:
        signed = b"\1" + len(payload).to_bytes(2, "big") + payload
        return to_text(signed, town.house.keyring.sign(signed))

    return {
        "not base64": "not a certificate!",
        "one letter": "A",
        "cut short": good[: len(good) // 2],
        "with more behind it": base64.b64encode(bytes(raw) + b"x").decode(),
        "of an unknown version": base64.b64encode(b"\2" + bytes(raw[1:])).decode(),
        "one bit of what it says flipped": base64.b64encode(flipped).decode(),
        "one bit of its signature flipped": base64.b64encode(unsigned).decode(),
        "signed by nobody": foreign,
        "of another number": other,
        "with another name": certificate_saying(town, E164, "Lucky Thief", number.serial),
        "revoked": certificate_saying(town, E164, NAME, "an older serial"),
        "without a name": shaped(b'{"serial":"s","number":"+16315551000"}'),
        "a list": shaped(b"[1,2,3]"),
        "a number": shaped(b"1"),
        "not UTF-8": shaped(b'{"serial":"\xff"}'),
        "nested deeper than anybody reads": shaped(b"[" * 2_900),
        "in full-width letters": good.translate({c: c + 0xFEE0 for c in range(0x41, 0x5B)}),
    }


async def test_a_certificate_that_is_bad_in_any_way_costs_neither_guess_nor_code_nor_budget(
    town: Town, witness: Witness
):
    await town.owner_is_protected()

    for certificate in (await bad_certificates(town)).values():
        for pin in (THIEF.wrong_pin, OWNER.pin, None):
            reply = await witness.refused(
                town.thief.register(pin, cert=certificate), 403, 1005, secrets=[OWNER.pin]
            )
            assert "certificate" in reply.error["details"]

    assert await town.house.store.waiting_for(E164) == 0
    assert (await town.kinds()).count("code.sent") == 1


async def test_a_certificate_of_another_number_does_not_register_this_one(
    town: Town, witness: Witness
):
    await town.owner_has_registered()

    await witness.refused(town.thief.register(cc=OTHER_CC, phone_number=OTHER_NATIONAL), 403, 1005)


async def test_an_unknown_number_reads_like_a_certificate_of_somebody_else(town: Town):
    _, other = await another_number(town)
    known = await town.thief.register(cert=other)
    unknown = await town.thief.register(phone_number="6315559999", cert=other)

    assert known.raw == unknown.raw


async def test_a_certificate_pasted_in_several_lines_is_taken(town: Town):
    good = town.owner.certificate
    pasted = "\n".join(good[start : start + 64] for start in range(0, len(good), 64)) + "\r\n"

    assert (await town.owner.register(cert=pasted)).status == 202


# The registration budget and the code budget


async def test_the_eleventh_registration_in_72_hours_waits_72_hours(town: Town, witness: Witness):
    await town.owner_has_registered()
    for _ in range(REGISTRATIONS - 1):
        assert (await town.owner.register()).status == 201

    reply = await witness.refused(town.owner.register(), 429, 1015)
    wait = int(reply.header("Retry-After") or 0)
    town.pass_time(REGISTRATION_WINDOW.total_seconds() - 60)
    almost = await witness.refused(town.owner.register(), 429, 1015)
    town.pass_time(61)

    window = int(REGISTRATION_WINDOW.total_seconds())
    assert window - 60 < wait <= window
    assert 1 <= int(almost.header("Retry-After") or 0) <= 60
    assert (await town.owner.register()).status == 201


async def test_a_spent_registration_budget_is_told_before_any_pin_is_compared(
    town: Town, witness: Witness
):
    await town.owner_is_protected()
    for _ in range(REGISTRATIONS - 1):
        assert (await town.owner.register(OWNER.pin)).status == 201

    await witness.refused(
        town.thief.register(THIEF.wrong_pin), 429, 1015, secrets=[THIEF.wrong_pin]
    )
    await witness.refused(town.thief.register(), 429, 1015)


async def test_the_sixth_code_in_a_day_is_not_sent(town: Town, witness: Witness):
    for _ in range(CODES_PER_WINDOW):
        assert (await town.thief.register()).status == 202

    reply = await witness.refused(town.thief.register(), 429, 1015)
    town.pass_time(int(reply.header("Retry-After") or 0))

    day = int(CODE_WINDOW.total_seconds())
    assert day - 60 < int(reply.header("Retry-After") or 0) <= day
    assert (await town.thief.register()).status == 202


# The code


async def test_entering_a_code_before_asking_for_one_is_refused(town: Town, witness: Witness):
    await witness.refused(town.owner.verify("123456"), 400, 1009, secrets=["123456"])


async def test_a_wrong_code_is_counted_and_the_right_one_still_taken(town: Town, witness: Witness):
    await town.owner.register()
    code = await town.code()
    wrong = another(code)

    await witness.refused(
        town.owner.verify(wrong), 400, 1009, secrets=[wrong, code], may_change=CODE
    )

    assert (await town.owner.verify(code)).status == 201


async def test_the_waits_between_checks_of_one_code_are_kept_and_the_sixth_finds_none(
    town: Town, witness: Witness
):
    await town.owner.register()
    code = await town.code()
    wrong = another(code)
    waits = []

    for _ in range(CODE_CHECKS):
        reply = await town.owner.verify(wrong)
        if reply.status == 429:
            waits.append(reply.header("Retry-After"))
            await witness.refused(town.owner.verify(code), 429, 1015, secrets=[code])
            town.pass_time(int(waits[-1] or 0))
            reply = await town.owner.verify(wrong)
        assert reply.verdict == (400, 1009)
    last = await witness.refused(town.owner.verify(code), 400, 1009, secrets=[code])

    assert waits == ["60", "120"]
    assert "No registration code is waiting" in last.error["details"]
    assert (await town.kinds()).count("code.wrong") == CODE_CHECKS


async def test_an_expired_code_is_refused(town: Town, witness: Witness):
    await town.owner.register()
    code = await town.code()

    town.pass_time(CODE_LIFE)

    await witness.refused(town.owner.verify(code), 400, 1009, secrets=[code])


@pytest.mark.parametrize(
    "code",
    ["12345", "1234567", "12345a", " 123456", "123456\n", "12-3456", "123--456", "", 123456,
     None, True, ["123456"], {"code": "123456"}, full_width("123456"),
     arabic_indic("123456")],
    ids=repr,
)  # fmt: skip
async def test_what_is_no_code_spends_no_check(town: Town, witness: Witness, code):
    await town.owner.register()
    await town.code()

    await witness.refused(town.owner.verify(code), 400, 1009)


async def test_verify_takes_the_code_and_nothing_else(town: Town, witness: Witness):
    await town.owner.register()
    code = await town.code()

    await witness.refused(town.owner.call("POST", "/account/verify", {}), 400, 1008)
    await witness.refused(
        town.owner.call("POST", "/account/verify", {"code": code, "pin": OWNER.pin}),
        400,
        1010,
        secrets=[code, OWNER.pin],
    )


async def test_a_pin_set_while_the_code_was_on_its_way_makes_the_registration_start_again(
    town: Town, witness: Witness
):
    await town.owner_has_registered()
    await town.thief.register()
    code = await town.code()
    assert (await town.owner.set_pin(OWNER.pin)).status == 200

    reply = await witness.refused(
        town.thief.verify(code),
        400,
        1009,
        secrets=[code],
        may_change=[f"pending_{part}" for part in (
            "session", "client", "method", "hash", "pin_version", "sent_at", "checks",
        )],
    )  # fmt: skip

    assert "Start again" in reply.error["details"]
    assert (await town.thief.register()).verdict == (400, 1008)
    assert await town.owner.status() == "connected"


async def test_a_pin_changed_while_the_code_was_on_its_way_makes_it_start_again(town: Town):
    await town.owner_is_protected()
    assert (await town.thief.register(OWNER.pin)).status == 202
    code = await town.code()
    assert (await town.owner.set_pin(OWNER.new_pin)).status == 200

    assert (await town.thief.verify(code)).verdict == (400, 1009)
    assert await town.thief.status() == "unregistered"


# Two-step verification is on


async def test_an_empty_pin_counts_as_none(town: Town, witness: Witness):
    await town.owner_is_protected()

    for pin in (None, ""):
        reply = await witness.refused(town.thief.register(pin), 400, 1008)
        assert "`pin`" in reply.error["details"]


async def test_the_wait_after_wrong_pins_is_answered_with_its_length(town: Town, witness: Witness):
    await town.owner_is_protected()
    for _ in range(5):
        await witness.refused(
            town.thief.register(THIEF.wrong_pin),
            403,
            1005,
            secrets=[THIEF.wrong_pin],
            may_change=GUESS,
            hashes=1,
        )

    wrong = await witness.refused(
        town.thief.register(THIEF.wrong_pin), 429, 1015, secrets=[THIEF.wrong_pin]
    )
    right = await witness.refused(town.thief.register(OWNER.pin), 429, 1015, secrets=[OWNER.pin])

    assert wrong.header("Retry-After") in ("59", "60")
    assert (
        right.error["details"].partition(" in ")[0] == wrong.error["details"].partition(" in ")[0]
    )


async def test_a_locked_number_stays_locked_for_every_client_until_the_owner_turns_two_step_off(
    town: Town, witness: Witness
):
    await town.owner_is_protected()
    while not (await town.number()).guesses.locked:
        town.pass_time((await town.number()).guesses.remaining(town.clock.now()))
        await town.thief.login()
        assert (await town.thief.register(THIEF.wrong_pin)).verdict == (403, 1005)
    await town.owner.login()

    for client in (town.thief, town.owner):
        await witness.refused(client.register(OWNER.pin), 403, 1031, secrets=[OWNER.pin])
        await witness.refused(client.register(), 400, 1008)
    await witness.refused(_shards(town, pin=OWNER.pin), 403, 1031, secrets=[OWNER.pin])
    assert (await town.kinds()).count("guess.wrong") == 100
    assert (await town.owner.turn_off()).status == 200
    assert (await town.owner.register()).status == 201


# The sender


class Failing:
    """A code sender that fails *times* times, before or after it has delivered."""

    def __init__(self, sender: CodeSender, times: int, *, delivers: bool) -> None:
        self._sender = sender
        self._times = times
        self._delivers = delivers
        self.tried = 0

    async def send(self, waiting: OutboxMessage) -> None:
        self.tried += 1
        if self.tried > self._times:
            await self._sender.send(waiting)
            return
        if self._delivers:
            await self._sender.send(waiting)
        raise TimeoutError


@pytest.mark.parametrize("delivers", [False, True], ids=["before", "after"])
async def test_row_62_a_sender_that_fails_is_tried_again_and_the_code_arrives_once(
    town: Town, delivers
):
    sender = town.house.sender = Failing(town.house.sender, 2, delivers=delivers)

    asked = await town.owner.register()
    while await town.house.store.waiting_for(E164):
        town.pass_time(5)
        town.house.world.nudge()
        await asyncio.sleep(0.01)
    shown = await codes.handset(town.house.world, E164)
    verified = await town.owner.verify(shown[0].code)

    assert (asked.status, verified.status) == (202, 201)
    assert sender.tried == (1 if delivers else 3)  # what has arrived is not sent again
    assert len(shown) == 1
    assert len((await town.number()).codes.sent) == 1


# Shards


def _shards(town: Town, **changes: Any) -> Any:
    body = {"cc": CC, "phone_number": NATIONAL, "shards": 2}
    return town.owner.call(
        "POST",
        "/account/shards",
        {name: value for name, value in (body | changes).items() if value is not ...},
    )


@pytest.mark.parametrize("shards", SHARDS)
async def test_the_shard_count_is_set_and_read(town: Town, shards):
    await town.owner_has_registered()

    changed = await _shards(town, shards=shards, cert=town.owner.certificate)
    read = await town.owner.call("GET", "/account/shards")

    assert (changed.status, changed.body) == (201, {"meta": META})
    assert (read.status, read.body) == (200, {"account": {"shards": shards}, "meta": META})


async def test_a_new_client_has_one_shard_and_its_own_count(town: Town):
    await town.owner_has_registered()
    assert (await _shards(town, shards=4)).status == 201

    assert (await town.thief.call("GET", "/account/shards")).body["account"] == {"shards": 1}


async def test_shards_need_the_pin_while_two_step_is_on_and_count_on_the_same_counter(
    town: Town, witness: Witness
):
    await town.owner_is_protected()

    await witness.refused(_shards(town), 400, 1008)
    await witness.refused(_shards(town, pin=""), 400, 1008)
    for _ in range(3):
        await witness.refused(
            _shards(town, pin=THIEF.wrong_pin),
            403,
            1005,
            secrets=[THIEF.wrong_pin],
            may_change=GUESS,
            hashes=1,
        )
    for _ in range(2):
        assert (await town.thief.register(THIEF.wrong_pin)).verdict == (403, 1005)
    await witness.refused(_shards(town, pin=OWNER.pin), 429, 1015, secrets=[OWNER.pin])
    town.pass_time(60)

    assert (await _shards(town, pin=OWNER.pin)).status == 201


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        pytest.param({"shards": ...}, 400, 1008, id="none"),
        pytest.param({"cc": ...}, 400, 1008, id="no cc"),
        pytest.param({"phone_number": ...}, 400, 1008, id="no phone_number"),
        pytest.param({"shards": 3}, 400, 1009, id="three"),
        pytest.param({"shards": 64}, 400, 1009, id="sixty-four"),
        pytest.param({"shards": "2"}, 400, 1009, id="a string"),
        pytest.param({"shards": True}, 400, 1009, id="true, which Python takes for one"),
        pytest.param({"shards": 2.0}, 400, 1009, id="a fraction"),
        pytest.param({"pin": "12345"}, 400, 1009, id="a pin of five digits"),
        pytest.param({"verbose": 1}, 400, 1010, id="a parameter nobody knows"),
        pytest.param({"cert": "bad"}, 403, 1005, id="a bad certificate"),
        pytest.param({"phone_number": "6315559999"}, 412, 1011, id="a number it does not hold"),
    ],
)
async def test_bad_shards_are_refused(town: Town, witness: Witness, change, status, code):
    await town.owner_is_protected()

    await witness.refused(
        _shards(town, **({"pin": OWNER.pin} | change)), status, code, secrets=[OWNER.pin]
    )


async def test_a_client_without_a_number_has_no_shards_to_set(town: Town, witness: Witness):
    await witness.refused(_shards(town), 412, 1011)
