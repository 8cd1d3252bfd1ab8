"""Which passwords are refused because too many people choose them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightlatch.adapters.passwords import CommonPasswords, _few_spellings, _spellings
from tests.people import OWNER

ABOUT = (OWNER.email, *OWNER.email.split("@"), OWNER.name, "nightlatch")
LOOK_ALIKES = "4@8({[<369#&!1/|0$5+7%2"


@pytest.fixture
def passwords() -> CommonPasswords:
    return CommonPasswords()


@pytest.mark.parametrize(
    "password",
    ["password", "password1234", "P@ssw0rd!P@ssw0rd!", "123456789012", "qwertyuiop12",
     "aaaaaaaaaaaaaaaa", "abcabcabcabcabc", "letmeinletmein", "iloveyou2024", "19700101",
     "abcdefghijklmnop", "password" * 16, "1" * 128, "", " " * 20],
)  # fmt: skip
def test_what_many_people_choose_is_common(passwords: CommonPasswords, password: str):
    assert passwords.is_common(password, ())


@pytest.mark.parametrize(
    "password",
    ["correct horse battery staple", "vK7#pm2!xQz9", "lantern-orchid-gravel-mint",
     "8{5$7+k2!Lm9x[Q(", "Straßenbahn nach Übersee", "ключ лежит под ковриком", "🌵 сактус 🌵 im Topf",
     "Trellis-Pass-1 of Quito"],
)  # fmt: skip
def test_what_is_hard_to_guess_is_not(passwords: CommonPasswords, password: str):
    assert not passwords.is_common(password, ABOUT)


@pytest.mark.parametrize(
    "password",
    ["oliviaolivia", "luckyshrub.example", "Olivia Owner", OWNER.email, "nightlatch123",
     "oliviaowner1", "OliviaOwner2026"],
)  # fmt: skip
def test_what_is_known_about_the_owner_is_easily_guessed(passwords: CommonPasswords, password: str):
    assert passwords.is_common(password, ABOUT)


def test_what_was_known_about_one_person_says_nothing_about_the_next(passwords: CommonPasswords):
    unusual = "vexillology"
    assert passwords.is_common(unusual + "77", (unusual,))

    assert not passwords.is_common(unusual + "77", ())


def test_only_the_beginning_of_a_long_password_is_looked_at(passwords: CommonPasswords):
    assert passwords.is_common("1" * 72 + "vK7#pm2!xQz9", ())
    assert not passwords.is_common("vK7#pm2!xQz9" * 6 + "1" * 56, ())


@given(st.text(max_size=128), st.lists(st.text(max_size=20), max_size=4))
@settings(max_examples=100)
def test_no_password_whatever_makes_it_fail(password: str, about: list[str]):
    assert CommonPasswords().is_common(password, about) in (True, False)


@pytest.mark.parametrize("password", ["\0" * 72, "\ud800" * 20, "İ" * 72, "e\u0301" * 36])
def test_odd_characters_are_judged_too(passwords: CommonPasswords, password: str):
    assert passwords.is_common(password, ("\ud800",))


# A password of nothing but look-alikes would keep zxcvbn busy for seconds


@given(st.text(alphabet=LOOK_ALIKES + "ab", max_size=72))
def test_the_ways_to_read_a_password_are_few(password: str):
    read = _few_spellings(password)

    assert _spellings(set(read)) <= 8
    assert len(read) == len(password)
    assert [read.index(one) for one in read] == [password.index(one) for one in password]


@pytest.mark.parametrize("password", ["P@$$w0rd", "l3tm31n!", "19471231", "correct horse", ""])
def test_a_password_with_few_ways_is_read_as_it_is(password: str):
    assert _few_spellings(password) == password


def test_digits_stay_as_they_are_among_many_look_alikes():
    read = _few_spellings("({[<@!|$+%1947")

    assert read.endswith("1947")
    assert read != "({[<@!|$+%1947"
