"""Refusals: named once, with whole seconds to wait, and without secrets."""

import inspect
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain import errors
from nightlatch.domain.errors import Refusal
from tests.people import NOON

REFUSALS = [
    found
    for name, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, Refusal) and not name.startswith("_") and found is not Refusal
]
WAITS = [found for found in REFUSALS if issubclass(found, errors._Wait)]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_every_refusal_says_in_a_sentence_what_it_means(refusal):
    assert refusal.__doc__
    assert refusal.__doc__ != Refusal.__doc__


def test_the_waits_are_these():
    assert {wait.__name__ for wait in WAITS} == {
        "LoginWait", "RegistrationWait", "GuessWait", "CodesSpent", "CodeWait", "SignInWait",
        "NameWait", "LedgerWait", "CloudCallsSpent",
    }  # fmt: skip


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize(
    ("left", "seconds"), [(0.000001, 1), (1, 1), (1.000001, 2), (59.5, 60), (86_400, 86_400)]
)
def test_a_wait_is_told_in_whole_seconds_and_never_too_few(wait, left, seconds):
    more = ("register",) if wait is errors.LedgerWait else ()

    assert wait(timedelta(seconds=left), *more).retry_after == seconds


@given(st.timedeltas(max_value=timedelta(days=4)))
def test_a_wait_is_at_least_a_second(left):
    retry_after = errors.GuessWait(left).retry_after

    assert retry_after is not None
    assert retry_after >= 1
    assert timedelta(seconds=retry_after) >= left


@pytest.mark.parametrize("refusal", [errors.Unavailable, errors.Overloaded])
def test_what_we_cannot_do_just_now_may_be_tried_again_in_a_second(refusal):
    assert refusal().retry_after == 1


@pytest.mark.parametrize(
    "refusal",
    [
        errors.WrongPin, errors.NumberLocked, errors.NoCodePending, errors.CodeVerified,
        errors.CodeNeeded, errors.NotOnCloud, errors.CloudLocked, errors.CloudIncomplete,
        errors.NameNeeded, errors.NameNotApproved, errors.HeldElsewhere, errors.OnBusinessApp,
        errors.TurnOffElsewhere, errors.PinNotInVault, errors.LinkedNumberHeld,
    ],
)  # fmt: skip
def test_what_time_does_not_heal_names_no_time(refusal):
    assert refusal().retry_after is None


@pytest.mark.parametrize(("left", "seconds"), [(-60, 1), (0, 1), (59.5, 60)])
def test_an_unknown_outcome_names_a_time_to_look_again_of_a_second_at_least(left, seconds):
    refusal = errors.OutcomeUnknown("pin", timedelta(seconds=left))

    assert (refusal.act, refusal.retry_after) == ("pin", seconds)


def test_a_cloud_api_that_does_not_answer_or_take_our_token_may_be_asked_again_later():
    assert (errors.CloudUnreached().retry_after, errors.CloudAccessLost().retry_after) == (30, 300)


def test_a_needed_pin_is_a_missing_parameter():
    assert isinstance(errors.PinNeeded(), errors.ParameterMissing)
    assert errors.PinNeeded().name == "pin"


def test_refusals_keep_what_the_faces_need_to_say_them():
    assert errors.ParameterInvalid("pin", "six digits").why == "six digits"
    assert errors.MethodNotAllowed(("GET",)).allowed == ("GET",)
    assert errors.RequestMalformed("it is no JSON").why == "it is no JSON"
    assert errors.CertificateRefused("it was revoked").why == "it was revoked"
    assert errors.AccessTokenExpired(NOON).at == NOON
    assert errors.ScopeMissing("business_management").scope == "business_management"
    assert (errors.NodeUnknown("7").id, errors.NodeUnknown().id) == ("7", "")
    assert (errors.EdgeUnknown("7/x").path, errors.EdgeUnknown().path) == ("7/x", "")
    assert vars(errors.FieldUnknown("x", "Waba")) == {"field": "x", "kind": "Waba"}
    assert errors.CallbackRefused("it is not public").why == "it is not public"
    assert errors.TokenUnfit("it has expired").why == "it has expired"
    assert vars(errors.CloudRefused(100, 33)) == {"code": 100, "subcode": 33}
    assert errors.CloudRefused(1).subcode is None
    wait = errors.LedgerWait(timedelta(minutes=1), "pin", kept_back=True)
    assert (wait.act, wait.kept_back, wait.retry_after) == ("pin", True, 60)
    assert not errors.LedgerWait(timedelta(minutes=1), "pin").kept_back
