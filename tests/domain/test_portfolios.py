"""A portfolio: its name, its address, and who hears of a new one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain import portfolios
from nightlatch.domain.audit import Kind
from nightlatch.domain.errors import ParameterInvalid
from nightlatch.domain.mail import Letter, To
from nightlatch.domain.portfolios import PLACEHOLDER, Portfolio, read_email, read_title
from tests.domain.samples import PORTFOLIO
from tests.people import NOON, OWNER

NEW = "new@luckyshrub.example"


@pytest.mark.parametrize(
    ("text", "title"), [("L", "L"), (" Lucky Shrub ", "Lucky Shrub"), ("x" * 128, "x" * 128)]
)
def test_a_title_is_one_to_128_printable_characters_without_space_around(text, title):
    assert read_title(text) == title


@pytest.mark.parametrize("text", ["", "  ", "x" * 129, "a\nb", "a\x00b", "a\u202eb", "a\ud800b"])
def test_another_title_is_refused(text):
    with pytest.raises(ParameterInvalid) as refused:
        read_title(text)

    assert refused.value.name == "name"


@pytest.mark.parametrize(
    "text", [OWNER.email, "a@b", "a+tag@b.example", '"a@b"@c.example', "x" * 252 + "@b"]
)
def test_what_could_be_an_address_is_taken(text):
    assert read_email(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "a@", "@b", "a", "a b@c.example", "a@b.example ", "a@b.example\n",
        "a@b.example\r\nBcc: thief@elsewhere.example", "a\x00@b.example", "a\u200b@b.example",
        "a\u00a0b@c.example", "x" * 253 + "@b", "a\ud800@b.example",
    ],
)  # fmt: skip
def test_what_could_not_be_an_address_is_refused(text):
    with pytest.raises(ParameterInvalid) as refused:
        read_email(text)

    assert refused.value.name == "email"


@given(st.text(max_size=300))
def test_an_address_that_is_taken_fits_in_one_line_of_a_header(text):
    try:
        taken = read_email(text)
    except ParameterInvalid:
        return

    assert len(taken.splitlines()) == 1
    assert taken.encode()
    assert len(taken) <= 254


def changed(name=PORTFOLIO.name, email=PORTFOLIO.email, before=PORTFOLIO):
    return portfolios.change(before, name, email, OWNER.email, NOON)


def test_the_same_name_and_address_again_change_nothing_and_tell_nobody():
    decision = changed()

    assert decision.portfolio == PORTFOLIO
    assert (decision.events, decision.mails) == ((), ())


def test_another_name_is_told_in_the_trail_and_mailed_to_nobody():
    decision = changed(name="Lucky Bush")

    assert decision.portfolio == Portfolio(PORTFOLIO.id, "Lucky Bush", PORTFOLIO.email)
    (event,) = decision.events
    assert (event.kind, event.by, event.at) == (Kind.PORTFOLIO_CHANGED, OWNER.email, NOON)
    assert event.details == (("name", "Lucky Bush"), ("address_changed", False))
    assert decision.mails == ()


def test_of_another_address_the_old_and_the_new_one_hear():
    decision = changed(email=NEW)

    assert decision.portfolio.email == NEW
    assert decision.events[0].details[-1] == ("address_changed", True)
    assert [(mail.letter, mail.to, mail.address) for mail in decision.mails] == [
        (Letter.ADDRESS_CHANGED, To.PERSON, PORTFOLIO.email),
        (Letter.ADDRESS_CHANGED, To.PERSON, NEW),
    ]
    assert dict(decision.mails[0].facts) == {
        "portfolio": PORTFOLIO.name, "by": OWNER.email, "at": NOON.isoformat(),
    }  # fmt: skip
    assert {mail.good_until for mail in decision.mails} == {None}


def test_nothing_is_mailed_to_the_address_that_only_held_the_place():
    first = Portfolio(PORTFOLIO.id, PORTFOLIO.name, PLACEHOLDER)

    to_a_real_one, back = changed(email=NEW, before=first), changed(email=PLACEHOLDER)

    assert [mail.address for mail in to_a_real_one.mails] == [NEW]
    assert [mail.address for mail in back.mails] == [PORTFOLIO.email]
