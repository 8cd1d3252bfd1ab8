"""Each refusal has its sentence for the person at the command line."""

import pytest

from nightlatch.domain.errors import ParameterInvalid, Refusal
from nightlatch.faces.cli import words
from tests.docs.reference import sample
from tests.domain.test_errors import REFUSALS, WAITS


@pytest.mark.parametrize("refusal", REFUSALS)
def test_every_refusal_has_a_sentence_of_its_own(refusal: type[Refusal]):
    assert any(kind in words.SENTENCES for kind in refusal.__mro__)
    sentence = words.of(sample(refusal))
    assert sentence[0].isupper() or sentence.startswith("<name>") or "pin" in sentence
    assert "Refused:" not in sentence
    assert "None" not in sentence


@pytest.mark.parametrize("refusal", WAITS)
def test_a_wait_says_how_long(refusal: type[Refusal]):
    assert words.of(sample(refusal)).endswith(" Try again in 1 min.")


def test_what_does_not_fit_is_named_with_what_does():
    assert words.of(ParameterInvalid("email", "an address")) == "email must be an address."


def test_a_refusal_that_is_new_falls_back_to_its_kind_or_its_name():
    class Finer(ParameterInvalid):
        pass

    class Unheard(Refusal):
        pass

    assert words.of(Finer("pin", "six digits")) == "pin must be six digits."
    assert words.of(Unheard()) == "Refused: Unheard"
