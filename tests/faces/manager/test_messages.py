"""Every refusal has its words, and the words stay words."""

import inspect
from datetime import timedelta

import pytest

from nightlatch.domain import errors
from nightlatch.domain.errors import Refusal
from nightlatch.domain.ledger import Act
from nightlatch.faces.manager.messages import BUG, ELSEWHERE, ROWS, SAID, problem_of, row_of

REFUSALS = [
    found
    for name, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, Refusal) and not name.startswith("_") and found is not Refusal
]


def made(kind: type[Refusal]) -> Refusal:
    """One of its kind, with something to say."""
    if kind is errors.LedgerWait:
        return kind(timedelta(seconds=61), Act.REGISTER.value, kept_back=True)
    if kind is errors.OutcomeUnknown:
        return kind(Act.PIN.value, timedelta(seconds=61))
    if kind is errors.CloudRefused:
        return kind(131000)
    if issubclass(kind, errors._Wait):
        return kind(timedelta(seconds=61))
    if kind is errors.PinNeeded:
        return errors.PinNeeded()
    if issubclass(kind, errors._Parameter):
        return kind("email", "an e-mail address like name@example.com")
    if kind in (
        errors.CertificateRefused, errors.RequestMalformed, errors.CallbackRefused,
        errors.TokenUnfit,
    ):  # fmt: skip
        return kind("a field stands twice")
    return kind()


def test_no_refusal_is_without_words_and_none_has_two_places():
    assert set(REFUSALS) == ROWS.keys() | ELSEWHERE
    assert not ROWS.keys() & ELSEWHERE


@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: kind.__name__)
def test_each_refusal_reads_as_sentences_and_fits_its_status(kind):
    row, sentence = ROWS[kind], problem_of(made(kind)).sentence

    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert not row.title.endswith(".")
    assert 400 <= row.status <= 599
    assert "None" not in sentence
    assert "`" not in sentence
    assert "  " not in sentence
    assert (row.status in (429, 503)) == (made(kind).retry_after is not None)


def test_no_two_refusals_read_the_same():
    sentences = [ROWS[kind].sentence(made(kind)) for kind in ROWS]

    assert len(sentences) == len(set(sentences))


def test_a_refusal_that_no_page_should_meet_reads_as_a_fault_of_ours():
    assert row_of(errors.AdminStays()) is BUG
    assert row_of(None) is BUG
    assert BUG.status == 500


def test_a_problem_names_the_field_it_is_about():
    assert problem_of(errors.ParameterInvalid("pin", "six digits")).field == "pin"
    assert problem_of(errors.ParameterMissing("name")).field == "name"
    assert problem_of(errors.WrongPin()).field == "current"
    assert problem_of(errors.MemberExists()).field == "email"
    assert problem_of(errors.LinkRefused()).field == ""


def test_a_wait_is_told_in_seconds_for_the_page_to_spell():
    assert problem_of(errors.GuessWait(timedelta(seconds=60))).retry_after == 60


@pytest.mark.parametrize("sentence", SAID.values())
def test_what_is_said_once_is_a_sentence(sentence):
    assert sentence[0].isupper()
    assert sentence.endswith(".")
