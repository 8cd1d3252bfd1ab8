"""A number: its spelling, its names, its certificates, its life, its unlock."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain import numbers
from nightlatch.domain.audit import Kind
from nightlatch.domain.certificates import Certificate
from nightlatch.domain.clients import read_client_name
from nightlatch.domain.errors import (
    CertificateNotReady,
    CertificateRefused,
    NameWait,
    NoNameAsked,
    NoNumberHeld,
    ParameterInvalid,
    RegistrationWait,
)
from nightlatch.domain.guesses import Guesses
from nightlatch.domain.mail import Letter, To
from nightlatch.domain.numbers import (
    CLOUD_API,
    NameState,
    RegistrationBudget,
    Status,
    read_e164,
    read_name,
)
from nightlatch.domain.webhooks import Field
from tests.domain.samples import DAY, MICRO, OWNER_PIN, SECOND, a_number
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


# Display names

NEW_NAME = "Lucky Bush"
BY = OWNER.email


def ask(number, name=NEW_NAME, now=NOON, *, approve=True):
    return numbers.ask_name(number, name, "serial-2", BY, now, approve=approve)


def test_a_name_that_is_approved_at_once_comes_with_another_certificate():
    decision = ask(a_number())

    number = decision.number
    assert (number.name, number.serial, number.name_set_at) == (NEW_NAME, "serial-2", NOON)
    assert (number.asked_name, number.name_state) == (None, NameState.APPROVED)
    assert [(event.kind, event.by, event.details) for event in decision.events] == [
        (Kind.NAME_ASKED, BY, (("name", NEW_NAME),)),
        (Kind.NAME_APPROVED, BY, (("name", NEW_NAME),)),
    ]
    with pytest.raises(CertificateRefused):
        number.accept_certificate(a_number().certificate)


def test_a_name_in_review_leaves_the_name_and_the_certificate_as_they_are():
    decision = ask(a_number(), approve=False)

    number = decision.number
    assert (number.name, number.serial, number.name_set_at) == (NAME, "serial-1", None)
    assert (number.asked_name, number.name_state) == (NEW_NAME, NameState.PENDING_REVIEW)
    assert [event.kind for event in decision.events] == [Kind.NAME_ASKED]
    number.accept_certificate(a_number().certificate)


def test_the_same_name_again_changes_nothing():
    decision = ask(a_number(registered_at=NOON, name_set_at=NOON), NAME)

    assert decision.number == a_number(registered_at=NOON, name_set_at=NOON)
    assert decision.events == ()


def test_the_approved_name_asked_for_again_takes_the_place_of_one_in_review():
    waiting = ask(a_number(), approve=False).number

    number = ask(waiting, NAME).number

    assert (number.name, number.asked_name) == (NAME, None)


@pytest.mark.parametrize("after", [timedelta(0), 30 * DAY - MICRO])
def test_a_number_that_was_registered_once_keeps_a_name_for_thirty_days(after):
    number = a_number(registered_at=NOON, name_set_at=NOON)

    with pytest.raises(NameWait):
        ask(number, now=NOON + after)

    assert ask(number, now=NOON + 30 * DAY).number.name == NEW_NAME


@pytest.mark.parametrize(
    ("after", "seconds"), [(timedelta(0), 2_592_000), (SECOND, 2_591_999), (-9 * DAY, 2_592_000)]
)
def test_the_refusal_says_when_another_name_may_be_asked_for(after, seconds):
    with pytest.raises(NameWait) as refused:
        ask(a_number(registered_at=NOON, name_set_at=NOON), now=NOON + after)

    assert refused.value.retry_after == seconds


def test_before_the_first_registration_names_may_change_freely():
    number = a_number()

    for n in range(5):
        number = ask(number, f"Shrub {n}").number

    assert number.name == "Shrub 4"


def test_the_first_change_after_registering_is_free():
    assert ask(a_number(registered_at=NOON)).number.name == NEW_NAME


def test_a_name_in_review_is_approved_with_the_serial_of_its_certificate():
    waiting = ask(a_number(), approve=False).number

    decision = numbers.approve_name(waiting, "serial-3", "operator", NOON + DAY)

    number = decision.number
    assert (number.name, number.serial, number.name_set_at) == (NEW_NAME, "serial-3", NOON + DAY)
    assert number.name_state is NameState.APPROVED
    assert [(event.kind, event.by) for event in decision.events] == [
        (Kind.NAME_APPROVED, "operator")
    ]


def test_a_declined_name_leaves_the_one_before():
    waiting = ask(a_number(), approve=False).number

    decision = numbers.decline_name(waiting, "operator", NOON)

    assert (decision.number.name, decision.number.serial) == (NAME, "serial-1")
    assert decision.number.name_state is NameState.DECLINED
    (event,) = decision.events
    assert (event.kind, event.details) == (Kind.NAME_DECLINED, (("name", NEW_NAME),))


def test_after_a_declined_name_another_one_is_in_review():
    declined = numbers.decline_name(ask(a_number(), approve=False).number, "operator", NOON)

    number = ask(declined.number, "Lucky Tree", approve=False).number

    assert (number.asked_name, number.name_state) == ("Lucky Tree", NameState.PENDING_REVIEW)


def test_without_a_name_in_review_there_is_nothing_to_approve_or_decline():
    declined = numbers.decline_name(ask(a_number(), approve=False).number, "operator", NOON).number

    for number in (a_number(), declined):
        with pytest.raises(NoNameAsked):
            numbers.decline_name(number, "operator", NOON)
    with pytest.raises(NoNameAsked):
        numbers.approve_name(a_number(), "serial-3", "operator", NOON)


# Certificates


def test_before_a_name_is_approved_there_is_no_certificate():
    number = a_number(name="", asked_name=NAME)

    with pytest.raises(CertificateNotReady):
        _ = number.certificate
    with pytest.raises(CertificateNotReady):
        numbers.renew_certificate(number, "serial-2", BY, NOON)
    with pytest.raises(CertificateRefused):
        number.accept_certificate(Certificate("serial-1", E164, ""))


def test_another_certificate_revokes_the_one_before():
    decision = numbers.renew_certificate(a_number(), "serial-2", BY, NOON)

    assert decision.number == a_number(serial="serial-2")
    assert [event.kind for event in decision.events] == [Kind.CERTIFICATE_RENEWED]
    with pytest.raises(CertificateRefused):
        decision.number.accept_certificate(a_number().certificate)


# Letting go


def test_a_deregistered_number_is_held_by_nobody_and_keeps_its_pin():
    number = a_number(holder=OWNER.client, registered_at=NOON, two_step=OWNER_PIN)

    decision = numbers.deregister(number, BY, NOON)

    assert (decision.number.holder, decision.number.status) == (None, Status.DISCONNECTED)
    assert decision.number.two_step == OWNER_PIN
    (event,) = decision.events
    assert (event.kind, event.details) == (Kind.NUMBER_RELEASED, (("from", OWNER.client),))


def test_a_number_that_nobody_holds_cannot_be_let_go():
    with pytest.raises(NoNumberHeld):
        numbers.deregister(a_number(registered_at=NOON), BY, NOON)


def test_deregistering_has_a_budget_of_its_own():
    registrations = RegistrationBudget((NOON,) * 10)
    number = a_number(holder=OWNER.client, registered_at=NOON, registrations=registrations)
    at = NOON
    for _ in range(10):
        released = numbers.deregister(number, BY, at).number
        number = a_number(
            holder=OWNER.client, registered_at=NOON, deregistrations=released.deregistrations
        )

    with pytest.raises(RegistrationWait):
        numbers.deregister(number, BY, at + timedelta(hours=72) - MICRO)

    assert released.deregistrations == registrations
    assert numbers.deregister(number, BY, at + timedelta(hours=72)).number.holder is None


# What is mailed


def test_a_notice_tells_the_owners_which_number_who_and_when():
    mail = numbers.notice(Letter.PIN_SET, a_number(), BY, NOON)

    assert (mail.letter, mail.to, mail.sealed, mail.good_until) == (
        Letter.PIN_SET, To.OWNERS, None, None,
    )  # fmt: skip
    assert dict(mail.facts) == {
        "number": E164, "name": NAME, "number_id": a_number().id, "by": BY, "at": NOON.isoformat(),
    }  # fmt: skip


# What apps hear of a name


def reviewed(decision) -> list[dict[str, str | None]]:
    assert {(hook.field, hook.line, hook.at) for hook in decision.hooks} <= {
        (Field.NAME, a_number().id, NOON)
    }
    return [dict(hook.value) for hook in decision.hooks]


def test_apps_hear_of_a_name_once_it_is_reviewed():
    asked = ask(a_number(), approve=False)
    approved = numbers.approve_name(asked.number, "serial-2", BY, NOON)
    declined = numbers.decline_name(asked.number, BY, NOON)

    name = {"display_phone_number": E164[1:], "requested_verified_name": NEW_NAME}
    assert asked.hooks == ()
    assert reviewed(approved) == [name | {"decision": "APPROVED", "rejection_reason": None}]
    assert reviewed(declined) == [name | {"decision": "REJECTED", "rejection_reason": "UNKNOWN"}]


def test_a_name_that_is_approved_at_once_is_told_once():
    assert reviewed(ask(a_number())) == reviewed(
        numbers.approve_name(ask(a_number(), approve=False).number, "serial-2", BY, NOON)
    )
    assert ask(a_number(), NAME).hooks == ()


def test_the_digits_of_a_number_are_all_of_it_without_the_plus():
    assert a_number().digits == E164[1:]


def test_no_client_can_bear_the_name_of_the_cloud_api():
    with pytest.raises(ParameterInvalid):
        read_client_name(CLOUD_API)
