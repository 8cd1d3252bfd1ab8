"""The checks can fail: each promise, broken, is noticed by the check that stands for it."""

from pathlib import Path
from typing import Any

import pytest

from tests.contracts.broken_postgres import CONTROLS
from tests.contracts.checks import Check
from tests.contracts.makers import Make
from tests.contracts.promises import CHECKS

UNCONTROLLED = {
    # reading back, and naming what is unknown: a store that fails here fails everywhere
    "check_update_returns_what_is_kept_and_another_store_object_reads_it",
    "check_another_process_reads_what_was_returned",
    "check_all_of_it_is_there_after_closing_and_opening_again",
    "check_numbers_come_by_e164_a_page_at_a_time",
    "check_the_pending_number_is_the_one_that_the_client_asked_for_last",
    "check_the_unknown_is_named_and_reads_of_it_answer_none",
    "check_the_handset_shows_what_has_not_expired",
    "check_a_value_of_a_removed_owner_is_nobodys",
    "check_portfolios_and_accounts_are_read_back",
    "check_a_member_is_read_back_whole",
    "check_a_letter_is_read_back_whole",
    "check_a_number_is_read_back_with_all_that_is_new_about_it",
    "check_people_that_are_unknown_are_named_however_they_are_spelled",
    "check_letters_that_are_unknown_are_named_however_they_are_spelled",
    "check_apps_system_users_and_tokens_are_read_back_whole",
    "check_apps_and_their_kind_that_are_unknown_are_named_however_they_are_spelled",
    "check_links_and_their_numbers_are_read_back_whole",
    "check_links_and_numbers_that_are_unknown_are_named_however_they_are_spelled",
    "check_a_profile_is_empty_until_it_is_changed_and_then_read_back_whole",
}


@pytest.mark.parametrize(
    ("maker", "check"),
    CONTROLS,
    ids=[f"{maker.name}-{check.__name__}" for maker, check in CONTROLS],
)
async def test_a_store_that_breaks_a_promise_is_noticed(
    maker: type[Make[Any]], check: Check, tmp_path: Path
):
    make_store = maker(tmp_path)

    try:
        with pytest.raises(AssertionError):
            await check(make_store)
    finally:
        await make_store.close()


def test_every_promise_has_a_control():
    promised = {check.__name__ for check in CHECKS}
    controlled = {check.__name__ for _, check in CONTROLS}

    assert promised - controlled == UNCONTROLLED
