"""The table of limits is whole, and says what the documents say."""

from datetime import timedelta

import pytest

from nightlatch.domain import limits


def test_every_limit_stands_in_the_table_once_with_unit_and_source():
    constants = {name: value for name, value in vars(limits).items() if name.isupper()}
    del constants["TABLE"]

    assert {row.name: row.value for row in limits.TABLE} == {
        name: value for name, value in constants.items() if len(name) > 1
    }
    assert len({row.name for row in limits.TABLE}) == len(limits.TABLE)
    assert all(row.unit and row.source for row in limits.TABLE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PIN_DIGITS", 6),
        ("GUESS_LOCK", 100),
        ("GUESS_WINDOW", timedelta(days=30)),
        ("REGISTRATIONS", 10),
        ("REGISTRATION_WINDOW", timedelta(hours=72)),
        ("CODE_DIGITS", 6),
        ("CODE_LIFE", timedelta(minutes=10)),
        ("CODE_CHECKS", 5),
        ("CODES_PER_WINDOW", 5),
        ("CODE_WINDOW", timedelta(hours=24)),
        ("SHARDS", (1, 2, 4, 8, 16, 32)),
        ("USERNAME_LENGTH", (4, 32)),
        ("PASSWORD_LENGTH", (8, 64)),
        ("TOKEN_LIFE", timedelta(days=7)),
        ("BODY_BYTES", 16_384),
        ("HEADER_BYTES", 16_384),
    ],
)
def test_a_promised_limit_keeps_its_value(name, value):
    assert {row.name: row.value for row in limits.TABLE}[name] == value


def test_the_waits_and_checks_of_a_code_fit_together():
    assert len(limits.CODE_WAITS) == limits.CODE_CHECKS - 1


def test_waits_after_wrong_guesses_never_shrink_and_never_pass_a_day():
    assert list(limits.GUESS_WAITS) == sorted(limits.GUESS_WAITS)
    assert limits.GUESS_WAITS[-1] == timedelta(days=1)
