"""The PIN's form, weak PINs, turning the lock on and off."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain import two_step
from nightlatch.domain.audit import Kind
from nightlatch.domain.errors import ParameterInvalid
from nightlatch.domain.guesses import Guesses
from nightlatch.domain.two_step import is_weak, read_pin
from tests.domain.samples import OWNER_PIN, a_number
from tests.people import NOON, OWNER, THIEF

VERIFIER = b"sealed verifier of another PIN"


@pytest.mark.parametrize("pin", ["012345", "000000", "999999", OWNER.pin])
def test_a_pin_is_taken_exactly_as_sent_zeros_kept(pin):
    assert read_pin(pin) == pin


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param("12345", id="five digits"),
        pytest.param("1234567", id="seven digits"),
        pytest.param(123456, id="int"),
        pytest.param(1e5, id="float"),
        pytest.param(True, id="bool"),
        pytest.param(None, id="null"),
        pytest.param(["1", "2", "3", "4", "5", "6"], id="list"),
        pytest.param({"pin": "123456"}, id="object"),
        pytest.param(b"123456", id="bytes"),
        pytest.param("١٢٣٤٥٦", id="Arabic-Indic digits"),
        pytest.param("１２３４５６", id="full-width digits"),  # noqa: RUF001 - the very point
        pytest.param("12345²", id="superscript"),
        pytest.param(" 23456", id="space first"),
        pytest.param("12345 ", id="space last"),
        pytest.param("123 456", id="space inside"),
        pytest.param(" 123456", id="space before six digits"),
        pytest.param("123456\n", id="newline after six digits"),
        pytest.param("123456\x00", id="NUL after six digits"),
        pytest.param("\ufeff123456", id="BOM before six digits"),
        pytest.param("123456\u200b", id="zero-width space after six digits"),
        pytest.param("123-456", id="hyphen, as in a code"),
        pytest.param("+12345", id="plus"),
        pytest.param("-12345", id="minus"),
        pytest.param("1_2345", id="underscore"),
        pytest.param("0x1234", id="hex"),
    ],
)
def test_anything_else_is_refused_and_not_repeated(value):
    with pytest.raises(ParameterInvalid) as refused:
        read_pin(value)

    assert refused.value.name == "pin"
    assert not re.search(r"\d{5}", str(refused.value))


@given(st.from_regex(r"[0-9]{6}", fullmatch=True, alphabet="0123456789"))
def test_every_string_of_six_ascii_digits_is_a_pin(text):
    assert read_pin(text) == text


DIGITS_OF_ALL_SCRIPTS = st.characters(categories=["Nd", "No", "Nl", "Cf", "Zs", "Cc"])


@given(
    st.one_of(
        st.text(alphabet=DIGITS_OF_ALL_SCRIPTS, max_size=8),
        st.text(max_size=8),
        st.integers(),
        st.booleans(),
        st.none(),
        st.lists(st.text(max_size=2), max_size=6),
    )
)
def test_nothing_but_six_ascii_digits_is_a_pin(value):
    good = isinstance(value, str) and len(value) == 6 and set(value) <= set("0123456789")

    try:
        taken = read_pin(value)
    except ParameterInvalid:
        assert not good
    else:
        assert good
        assert taken is value


@pytest.mark.parametrize(
    "pin",
    ["123456", "111111", "000000", "123123", "654321", "666666", "121212", "112233", "159753",
     "789456"],
)  # fmt: skip
def test_each_of_the_published_top_ten_is_weak(pin):
    assert is_weak(pin)


@pytest.mark.parametrize(
    ("pin", "why"),
    [
        ("024680", None),
        ("975310", None),
        ("135791", None),
        ("246802", None),
        ("333337", "two different digits"),
        ("747474", "a pair three times"),
        ("482482", "a half twice"),
        ("482284", "a palindrome"),
        ("447700", "three pairs"),
        ("147369", "two lines of the keypad"),
        ("311299", "DDMMYY"),
        ("123199", "MMDDYY"),
        ("991231", "YYMMDD"),
        ("290200", "29 February"),
        ("194907", "YYYYMM"),
        ("204912", "YYYYMM"),
        ("071949", "MMYYYY"),
        ("122049", "MMYYYY"),
        ("300299", None),
        ("190013", None),
        ("205001", None),
        ("189912", None),
        ("132049", None),
        ("147852", "two lines of the keypad"),
        ("148256", None),
        (OWNER.pin, None),
        (OWNER.new_pin, None),
        (THIEF.wrong_pin, None),
    ],
)
def test_dates_and_patterns_are_weak_and_their_neighbours_are_not(pin, why):
    assert is_weak(pin) is (why is not None)


COUNT = """
from nightlatch.domain.two_step import is_weak
print(sum(is_weak(f"{value:06d}") for value in range(1_000_000)))
"""


def test_nine_percent_of_all_pins_are_weak():
    counted = subprocess.run(  # in a process of its own, where nothing is traced
        [sys.executable, "-c", COUNT], capture_output=True, check=True
    )

    assert int(counted.stdout) == 90_508


def test_turning_on_keeps_the_verifier_and_tells_whether_the_pin_is_weak():
    decision = two_step.turn_on(a_number(), "123456", VERIFIER, None, "main/admin", NOON)

    assert decision.number.two_step.is_on
    assert decision.number.two_step.verifier == VERIFIER
    assert decision.number.two_step.version == 1
    (event,) = decision.events
    assert (event.kind, event.by, event.at) == (Kind.TWO_STEP_ON, "main/admin", NOON)
    assert event.details == (("weak", True),)


def test_another_pin_is_a_change_and_a_new_version():
    number = a_number(two_step=OWNER_PIN)

    decision = two_step.turn_on(number, OWNER.new_pin, VERIFIER, None, "main/admin", NOON)

    assert decision.number.two_step.version == OWNER_PIN.version + 1
    assert [event.kind for event in decision.events] == [Kind.TWO_STEP_CHANGED]
    assert decision.events[0].details == (("weak", False),)


def test_the_same_pin_again_changes_nothing_and_tells_nobody():
    number = a_number(two_step=OWNER_PIN)

    decision = two_step.turn_on(number, OWNER.pin, VERIFIER, OWNER_PIN.version, "by", NOON)

    assert decision.number == number
    assert decision.events == ()


def test_the_same_pin_is_set_when_somebody_changed_it_meanwhile():
    number = a_number(two_step=replace(OWNER_PIN, version=2))

    decision = two_step.turn_on(number, OWNER.pin, VERIFIER, OWNER_PIN.version, "by", NOON)

    assert decision.number.two_step.verifier == VERIFIER
    assert decision.number.two_step.version == 3


def test_turning_off_forgets_the_verifier_and_makes_a_new_version():
    decision = two_step.turn_off(a_number(two_step=OWNER_PIN), "main/admin", NOON)

    assert not decision.number.two_step.is_on
    assert decision.number.two_step.version == OWNER_PIN.version + 1
    assert [event.kind for event in decision.events] == [Kind.TWO_STEP_OFF]


def test_turning_off_what_is_off_leaves_no_trace():
    number = a_number(two_step=OWNER_PIN.turn_off())

    decision = two_step.turn_off(number, "main/admin", NOON)

    assert decision.number == number
    assert decision.number.two_step.turn_off() == number.two_step
    assert decision.events == ()


@pytest.mark.parametrize("wrong", [0, 3, 9])
def test_neither_setting_nor_turning_off_touches_the_guess_counter(wrong):
    guesses = Guesses(ticket=wrong, run=wrong, since=NOON if wrong else None)
    number = a_number(two_step=OWNER_PIN, guesses=guesses)

    after_set = two_step.turn_on(number, OWNER.new_pin, VERIFIER, None, "by", NOON).number
    after_off = two_step.turn_off(after_set, "by", NOON).number

    assert after_off.guesses is guesses
