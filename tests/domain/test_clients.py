"""Clients: names, users, passwords, tokens, waits after wrong logins."""

import hashlib
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain.clients import (
    FACTORY_PASSWORD,
    Role,
    User,
    hash_token,
    new_token,
    read_client_name,
    read_password,
    read_username,
)
from nightlatch.domain.errors import AdminStays, LoginWait, ParameterInvalid
from tests.domain.samples import SECOND
from tests.people import NOON, OWNER, THIEF

MICRO = timedelta(microseconds=1)


def admin(**changes) -> User:
    known: dict[str, Any] = {
        "client": "main",
        "username": "admin",
        "role": Role.ADMIN,
        "verifier": b"sealed",
    }
    return User(**(known | changes))


@pytest.mark.parametrize("name", ["main", "a", "0", "a-b", "x" * 32, "a--b"])
def test_a_client_name_is_lower_case_letters_digits_and_inner_hyphens(name):
    assert read_client_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a b", "a/b", "a.b", "..", "x" * 33, "é", "a\n", "٣", "-"]
)
def test_another_client_name_is_refused(name):
    with pytest.raises(ParameterInvalid) as refused:
        read_client_name(name)

    assert refused.value.name == "name"


@pytest.mark.parametrize("username", ["anna", "admin", "x" * 32, "a.b+c@example.com", "!~#$"])
def test_a_username_is_4_to_32_printable_ascii_characters(username):
    assert read_username(username) == username


@pytest.mark.parametrize(
    "value",
    ["", "abc", "x" * 33, "an na", "an:na", "an/na", "ann\u00e9", "anna\n", "an\x00na", "an\x7fna",
     None, 1234, True, ["anna"], b"anna"],
)  # fmt: skip
def test_another_username_is_refused(value):
    with pytest.raises(ParameterInvalid) as refused:
        read_username(value)

    assert refused.value.name == "username"


@pytest.mark.parametrize(
    "password",
    [OWNER.password, THIEF.password, "Aa1!aaaa", "Aa1!" + "a" * 60, "Aa1 ~ééé", "Ünï-c0de"],
)
def test_a_password_has_a_digit_upper_lower_and_special_character(password):
    assert read_password(password) == password


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(FACTORY_PASSWORD, id="the factory's"),
        pytest.param("Aa1!aaa", id="seven characters"),
        pytest.param("Aa1!" + "a" * 61, id="65 characters"),
        pytest.param("Aa!aaaaa", id="no digit"),
        pytest.param("Aa!aaaa٣", id="a digit of another script"),
        pytest.param("aa1!aaaa", id="no upper case"),
        pytest.param("AA1!AAAA", id="no lower case"),
        pytest.param("Aa1aaaaa", id="nothing special"),
        pytest.param("Aa1 aaaa", id="only a space"),
        pytest.param(None, id="null"),
        pytest.param(12345678, id="a number"),
        pytest.param(["A", "a", "1", "!"] * 2, id="a list"),
    ],
)
def test_another_password_is_refused_and_not_repeated(value):
    with pytest.raises(ParameterInvalid) as refused:
        read_password(value, "new_password")

    assert refused.value.name == "new_password"
    assert not isinstance(value, str) or value not in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "after", "waits"),
    [
        (9, timedelta(0), None),
        (10, timedelta(0), 10),
        (10, SECOND, 9),
        (10, 10 * SECOND - MICRO, 1),
        (10, 10 * SECOND, None),
        (500, 10 * SECOND, None),
        (500, timedelta(days=-1), 10),
    ],
)
def test_after_ten_wrong_passwords_each_further_one_waits_ten_seconds(wrong, after, waits):
    user = admin(wrong_logins=wrong, last_wrong_at=NOON)

    if waits is None:
        assert user.pay_login(NOON + after).wrong_logins == wrong + 1
    else:
        with pytest.raises(LoginWait) as refused:
            user.pay_login(NOON + after)
        assert refused.value.retry_after == waits


def test_a_login_is_counted_as_wrong_until_it_is_known_to_be_right():
    paid = admin().pay_login(NOON)

    assert (paid.wrong_logins, paid.last_wrong_at) == (1, NOON)
    assert paid.logged_in() == admin()


@given(st.lists(st.integers(0, 20), max_size=100))
def test_no_timing_of_wrong_passwords_beats_the_allowance(pauses):
    user, at, compared = admin(), NOON, []

    for pause in pauses:
        at += pause * SECOND
        try:
            user = user.pay_login(at)
        except LoginWait:
            continue
        compared.append(at)

    further = compared[9:]
    assert all(b - a >= 10 * SECOND for a, b in pairwise(further))


def test_a_new_password_need_not_be_changed_unless_it_is_said():
    first = admin(must_change=True)

    assert first.with_password(b"new") == admin(verifier=b"new")
    assert admin().with_password(b"new", must_change=True).must_change


def test_the_admin_account_stays_and_others_go():
    with pytest.raises(AdminStays):
        admin().refuse_removal()

    admin(username="anna", role=Role.USER).refuse_removal()


def test_events_name_a_user_by_client_and_username():
    assert admin().full_name == "main/admin"


def test_a_token_is_kept_as_its_hash_for_seven_days():
    token = new_token("text", NOON)

    assert token.hash == hashlib.sha256(b"text").digest()
    assert token.expires_at == NOON + timedelta(days=7)


@given(st.text())
def test_whatever_comes_as_a_token_has_a_hash(text):
    assert len(hash_token(text)) == 32
