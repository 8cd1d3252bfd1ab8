"""A number: its spelling, its name, its life, its unlock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain import numbers
from nightlatch.domain.audit import Kind
from nightlatch.domain.certificates import Certificate
from nightlatch.domain.errors import CertificateRefused, NoNumberHeld, ParameterInvalid
from nightlatch.domain.guesses import Guesses
from nightlatch.domain.numbers import Status, read_e164, read_name
from tests.domain.samples import a_number
from tests.people import E164, NAME, NATIONAL, NOON, OWNER, THIEF


@pytest.mark.parametrize("text", [E164, "+12345", "+123456789012345", "+99999999"])
def test_e164_is_a_plus_and_five_to_fifteen_digits(text):
    assert read_e164(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "+", NATIONAL, "+1234", "+1234567890123456", "+0123456789", "+1 631 555", "+1631-555",
        "++16315551000", "+16315551000\n", " +16315551000", "+١٢٣٤٥٦٧", "+1631555\x00", "+1e10000",
    ],
)  # fmt: skip
def test_another_form_is_refused(text):
    with pytest.raises(ParameterInvalid) as refused:
        read_e164(text)

    assert refused.value.name == "phone_number"


@pytest.mark.parametrize("name", ["L", NAME, "Кофейня № 1", "x" * 128])
def test_a_name_is_one_to_128_printable_characters(name):
    assert read_name(name) == name


@pytest.mark.parametrize("name", ["", " ", "x" * 129, "a\nb", "a\x00b", "a\u202eb", "a\ud800b"])
def test_another_name_is_refused(name):
    with pytest.raises(ParameterInvalid) as refused:
        read_name(name)

    assert refused.value.name == "name"


@given(st.text(max_size=200))
def test_a_name_that_is_taken_can_be_certified_and_shown_on_one_line(text):
    try:
        name = read_name(text)
    except ParameterInvalid:
        return

    assert len(name.splitlines()) == 1
    assert name.encode()


@pytest.mark.parametrize(
    ("registered_at", "holder", "status"),
    [
        (None, None, Status.PENDING),
        (NOON, OWNER.client, Status.CONNECTED),
        (NOON, None, Status.DISCONNECTED),
    ],
)
def test_the_life_of_a_number(registered_at, holder, status):
    assert a_number(registered_at=registered_at, holder=holder).status is status


def test_the_national_number_is_what_follows_the_country_code():
    assert a_number().national == NATIONAL
    assert a_number(e164="+3726315551", cc="372").national == "6315551"


def test_a_number_accepts_the_certificate_that_is_good_now():
    a_number().accept_certificate(Certificate("serial-1", E164, NAME))


@pytest.mark.parametrize(
    "shown",
    [
        Certificate("serial-0", E164, NAME),
        Certificate("serial-1", "+16315551001", NAME),
        Certificate("serial-1", E164, "Unlucky Shrub"),
    ],
)
def test_a_number_refuses_a_revoked_certificate_and_that_of_another_number_or_name(shown):
    with pytest.raises(CertificateRefused):
        a_number().accept_certificate(shown)


@pytest.mark.parametrize("holder", [None, THIEF.client])
def test_only_the_client_that_holds_the_number_has_a_say_in_it(holder):
    a_number(holder=OWNER.client).refuse_others(OWNER.client)

    with pytest.raises(NoNumberHeld):
        a_number(holder=holder).refuse_others(OWNER.client)


def test_an_unlock_ends_the_lock_and_is_told():
    number = a_number(guesses=Guesses(ticket=100, run=100, locked=True))

    decision = numbers.unlock(number, "operator", NOON)

    decision.number.guesses.refuse_while_closed(NOON)
    (event,) = decision.events
    assert (event.kind, event.by, event.at) == (Kind.NUMBER_UNLOCKED, "operator", NOON)
