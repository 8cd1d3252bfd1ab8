"""The vault: what enters it, what leaves it, and what is never left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain.limits import LEDGER_LIMITS, PINS_KEPT
from nightlatch.domain.vault import KeptPin, Vault
from tests.domain.samples import GOOD, MINUTE, a_pin
from tests.people import NOON

FIRST, SECOND, THIRD = a_pin(), a_pin("second"), a_pin("third")


def test_an_empty_vault_is_not_good_and_has_nothing_to_set():
    assert not Vault().is_good
    assert Vault().to_set_again is None
    assert Vault().find("first") is None


def test_a_pin_that_is_about_to_be_sent_stands_beside_the_one_that_meta_took():
    vault = GOOD.keep(SECOND)

    assert (vault.current, vault.maybe) == (FIRST, (SECOND,))
    assert not vault.is_good
    assert [vault.find(pin.key) for pin in (FIRST, SECOND, THIRD)] == [FIRST, SECOND, None]


def test_once_meta_took_one_every_other_is_worthless():
    vault = GOOD.keep(SECOND).keep(THIRD).doubt().confirm(NOON)

    assert vault.settle(THIRD.key) == Vault(current=THIRD)
    assert vault.settle(FIRST.key) == GOOD
    assert vault.settle("unknown") == vault


def test_once_meta_refused_one_the_others_stay():
    vault = GOOD.keep(SECOND).keep(THIRD)

    assert vault.drop(SECOND.key) == GOOD.keep(THIRD)
    assert vault.drop(FIRST.key) == vault
    assert vault.drop(None) == vault


def test_what_meta_only_shows_leaves_the_others_and_a_doubt():
    vault = GOOD.keep(SECOND).keep(THIRD)

    shown = vault.settle_unheard(SECOND.key)

    assert (shown.current, shown.maybe) == (SECOND, (THIRD, FIRST))
    assert shown.doubted
    assert not shown.is_good
    assert vault.settle_unheard("unknown") == vault


def test_what_meta_only_shows_is_good_when_it_can_be_no_other():
    assert Vault().keep(FIRST).settle_unheard(FIRST.key) == GOOD
    assert GOOD.doubt().settle_unheard(FIRST.key) == GOOD


def test_only_a_pin_that_meta_took_can_be_doubted():
    assert GOOD.doubt().doubted
    assert not GOOD.doubt().is_good
    assert Vault().keep(FIRST).doubt() == Vault().keep(FIRST)


def test_meta_shows_that_a_pin_is_on():
    assert GOOD.confirm(NOON + MINUTE).confirmed_at == NOON + MINUTE


@pytest.mark.parametrize(
    ("vault", "pin"),
    [
        (GOOD, FIRST),
        (GOOD.doubt(), FIRST),
        (GOOD.keep(SECOND).keep(THIRD), THIRD),
        (GOOD.keep(SECOND).doubt(), FIRST),
        (Vault().keep(SECOND), SECOND),
        (GOOD.keep(SECOND).keep(THIRD, claimed=True), SECOND),
    ],
)
def test_set_again_is_the_latest_unless_somebody_else_had_a_hand_in_it(vault, pin):
    assert vault.to_set_again == pin


def test_the_vault_has_a_place_for_every_pin_that_the_ledger_lets_be_sent():
    assert LEDGER_LIMITS["register"] + LEDGER_LIMITS["pin"] <= PINS_KEPT


@given(st.lists(st.booleans(), max_size=PINS_KEPT + 3))
def test_no_pin_is_ever_left_out_for_another(claims):
    vault = GOOD
    for n, claimed in enumerate(claims):
        assert vault.is_full is (n >= PINS_KEPT)
        vault = vault.keep(KeptPin(str(n), b"sealed", NOON), claimed=claimed)

    assert {pin.key for pin in vault.maybe} == {str(n) for n in range(len(claims))}
    assert vault.current == FIRST
