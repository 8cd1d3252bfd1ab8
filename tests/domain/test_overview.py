"""Searches and counts: what is found by what, and what adds up."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain.guesses import Guesses
from nightlatch.domain.numbers import Number
from nightlatch.domain.overview import Tally, terms
from tests.contracts.model import finds
from tests.domain.samples import a_number
from tests.people import E164, NOON


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "+16315551000", "16315551000", "1631", "+1 631", "(631) 555-1000", "6315551000",
        "631", "1000", "5551000", "51000", "0", "00", "+1 (631) 555.10/00", "lucky", "LUCKY", "luc",
        "shrub", "shrub lucky", "l s", "lucky 1631",
    ],
)  # fmt: skip
def test_the_number_is_found_by_its_digits_from_either_end_and_by_its_words(text):
    assert finds(text, a_number())


@pytest.mark.parametrize(
    "text",
    [
        "555", "155510000", "2", "10001", "+44", "ucky", "hrub", "luckyshrub", "lucky bush",
        "shrub x", "lucky 555", "١٦٣١", "x1000", "\x1f0001", "~0001",
    ],
)  # fmt: skip
def test_the_number_is_not_found_by_what_stands_in_the_middle_or_nowhere(text):
    assert not finds(text, a_number())


def test_a_number_is_found_by_the_name_that_waits_for_review_too():
    number = a_number(asked_name="Fortunate Fern")

    assert finds("fern", number)
    assert finds("shrub fern", number)


def test_a_number_without_any_name_is_found_by_its_digits():
    assert finds("1000", a_number(name=""))
    assert not finds("lucky", a_number(name=""))


def test_no_name_can_pass_for_digits_that_are_read_from_the_end():
    number = a_number(name="~9999 \u2028".strip())

    assert not finds("9999", number)
    assert finds("~9999", number)


words = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=6)
names = st.lists(words, max_size=4).map(" ".join)
e164s = st.from_regex(r"\+[1-9][0-9]{4,8}", fullmatch=True, alphabet="+0123456789")
separators = st.sampled_from(["", "+", "-", " ", "(", ")", ".", "/"])


@st.composite
def searches(draw: Any, number: Number) -> Any:
    """Often something of the number itself, spaced somehow; sometimes anything."""
    digits = number.e164[1:]
    start, end = sorted((draw(st.integers(0, len(digits))), draw(st.integers(0, len(digits)))))
    part = "".join(draw(separators) + digit for digit in digits[start:end])
    found = [word[: draw(st.integers(1, 6))] for word in number.name.split()]
    return draw(
        st.one_of(
            st.just(part),
            st.permutations(found).map(" ".join),
            st.permutations([*found, part]).map(" ".join),
            st.text(max_size=8),
        )
    )


def naive(text: str, number: Number) -> bool:
    """As a person would say it."""
    digits, name = number.e164[1:], (number.name + " " + (number.asked_name or "")).casefold()
    bare = "".join(c for c in text if c not in "+-() ./")
    if bare and all(c in "0123456789" for c in bare):
        return (
            digits.startswith(bare) or digits.endswith(bare) or number.national.startswith(bare)
            or any(word.startswith(bare) for word in name.split())
        )  # fmt: skip
    return all(
        digits.startswith(word) or number.national.startswith(word)
        or any(other.startswith(word) for other in name.split())
        for word in text.casefold().split()
    )  # fmt: skip


@given(e164s, st.integers(1, 3), names, st.none() | names, st.data())
def test_a_search_agrees_with_a_naive_reading_of_it(e164, cc, name, asked, data):
    number = a_number(e164=e164, cc=e164[1 : 1 + cc], name=name, asked_name=asked)
    text = data.draw(searches(number))

    assert finds(text, number) is naive(text, number)


@given(e164s, st.data())
def test_any_beginning_and_any_end_of_the_digits_finds_however_it_is_spaced(e164, data):
    digits = e164[1:]
    length = data.draw(st.integers(1, len(digits)))
    spaces = data.draw(st.lists(separators, min_size=length, max_size=length))

    for part in (digits[:length], digits[-length:]):
        text = "".join(space + digit for space, digit in zip(spaces, part, strict=True))
        assert finds(text, a_number(e164=e164))


# Counts


def test_accounts_add_up():
    one, other = Tally(5, 3, 1, 1, 0), Tally(7, 0, 2, 0, 4)

    both = one + other

    assert both == Tally(12, 3, 3, 1, 4)
    assert (both.unprotected, one.unprotected, other.unprotected) == (9, 2, 7)
    assert sum([one, other], Tally()) == both


def test_the_number_of_the_story_is_found_as_the_owner_types_it():
    typed = "+1 631 555 1000"

    assert all(finds(typed[:length], a_number(e164=E164)) for length in range(2, len(typed) + 1))


def test_what_is_found_goes_on_being_found_while_guesses_come():
    number = a_number(guesses=Guesses().pay(NOON + timedelta(days=1)))

    assert terms(number) == terms(a_number())
