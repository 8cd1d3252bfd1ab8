"""How long Meta's words say to wait, in whatever language they are."""

import string
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.adapters.cloudapi import waits

HOUR, MINUTE, SECOND, DAY = (
    timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1), timedelta(days=1)
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("Too many attempts. Try again after 24 hours.", 24 * HOUR),
        ("Please wait 88 seconds before you try again", 88 * SECOND),
        ("Try again in 1 hour and 5 minutes.", 65 * MINUTE),
        ("Try again in 1 hour, 5 minutes and 10 seconds", 65 * MINUTE + 10 * SECOND),
        ("wait 2 days", 2 * DAY),
        ("2 days 3 hours", 51 * HOUR),
        ("try again in 5 min", 5 * MINUTE),
        ("in 5 mins.", 5 * MINUTE),
        ("1h 30m", 90 * MINUTE),
        ("a 24-hour wait", 24 * HOUR),
        ("1.5 hours", 90 * MINUTE),
        ("1,5 Stunden", 90 * MINUTE),
        ("1 week", 7 * DAY),
        ("wait an hour", HOUR),
        ("Wait A Minute", MINUTE),
        ("retry after 30 seconds", 30 * SECOND),
        ("retry_after: 45", 45 * SECOND),
        ("retry-after=45", 45 * SECOND),
        ('{"wait_time": 3600}', HOUR),
        ("wait_time 3600", HOUR),
        ("retry after 5 minutes", 5 * MINUTE),
        ("Aguarde 1 hora e 5 minutos", 65 * MINUTE),
        ("Tente novamente em 24 horas.", 24 * HOUR),
        ("Aguarde uma hora", HOUR),
        ("Faltam 30 segundos", 30 * SECOND),
        ("Espera 2 días", 2 * DAY),
        ("Inténtalo en 1 hora y 10 minutos", 70 * MINUTE),
        ("Réessayez dans 2 heures", 2 * HOUR),
        ("Versuche es in 2 Stunden und 3 Minuten noch einmal", 123 * MINUTE),
        ("Riprova tra 3 ore", 3 * HOUR),
        ("24\u00a0horas", 24 * HOUR),
        # Several: the longest, because who comes back too early is punished.
        ("Codes live for 10 minutes. Try again after 24 hours.", 24 * HOUR),
        ("10 in 72 hours are allowed; wait 5 minutes", 72 * HOUR),
        ("5 minutes and 2 hours", 2 * HOUR),
        ("0 hours and 5 minutes", 5 * MINUTE),
        # None
        ("", None),
        ("Please wait a few minutes before attempting to register this phone number", None),
        ("Try again later.", None),
        ("0 seconds", None),
        ("-5 minutes", None),
        ("9999999 hours", None),
        ("99999999999999999999 hours", None),
        ("400 days", None),
        ("at 10:05 hours", None),
        ("PIN must be 6 characters long", None),
        ("72 horsemen, 5 minuets", None),
        ("٢٤ hours", None),
        ("retry_after: 99999999", None),
    ],
)
def test_the_time_is_found(text: str, wait: timedelta | None):
    assert waits.in_words(text) == wait


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        (5, 5 * SECOND),
        ("5", 5 * SECOND),
        (0.5, SECOND / 2),
        (30 * 86_400, 30 * DAY),
        (0, None),
        (-5, None),
        ("-5", None),
        ("", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        (30 * 86_400 + 1, None),
        (10**400, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        (None, None),
        ([5], None),
    ],
)
def test_only_a_sane_number_of_seconds_counts(value: object, wait: timedelta | None):
    assert waits.seconds(value) == wait


@given(st.text(alphabet=string.printable + "áíéß٢\u00a0\x00", max_size=80))
def test_no_text_makes_it_fail_or_wait_for_an_absurd_time(text: str):
    found = waits.in_words(text)

    assert found is None or timedelta(0) < found <= 30 * DAY


@given(
    st.lists(
        st.sampled_from(
            ["1", "99999999", "0", " ", ",", " and ", "hour", "minutes", "d", "a", "."]
        ),
        max_size=60,
    )
)
def test_no_pile_of_its_own_words_makes_it_fail(words: list[str]):
    found = waits.in_words("".join(words))

    assert found is None or timedelta(0) < found <= 30 * DAY


def test_a_huge_text_is_read_only_at_its_beginning():
    assert waits.in_words("1 hour " + "1 " * 1_000_000 + "2 hours") == HOUR
