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
        ("NAME_WINDOW", timedelta(days=30)),
        ("VERIFIED_LIFE", timedelta(days=14)),
        ("PROOF_LIFE", timedelta(minutes=5)),
        ("NODES_PER_PAGE", (25, 100)),
        ("HOOK_GIVE_UP", timedelta(days=7)),
        ("LINK_LIFE", timedelta(minutes=30)),
        ("LINKS_PER_WINDOW", 5),
        ("LINK_WINDOW", timedelta(hours=24)),
        ("LINK_PAUSE", timedelta(minutes=1)),
        ("SESSION_IDLE", timedelta(minutes=15)),
        ("SESSION_LIFE", timedelta(hours=12)),
        ("RESET_LIFE", timedelta(minutes=30)),
        ("INVITATION_LIFE", timedelta(days=7)),
        ("MAIL_GIVE_UP", timedelta(hours=24)),
        ("LEDGER_WINDOW", timedelta(hours=72)),
        (
            "LEDGER_LIMITS",
            {"register": 10, "deregister": 10, "code": 10, "check": 20, "pin": 20},
        ),
        ("LEDGER_KEPT_BACK", 1),
        ("CLOUD_DELETED_WAIT", timedelta(minutes=5)),
        ("CLOUD_SECONDS", 30),
        ("CLOUD_SETTLED", timedelta(seconds=60)),
        ("CLOUD_CALLS", (200, 5_000)),
        ("CLOUD_NAME_LIFE", timedelta(days=14)),
        ("PINS_KEPT", 30),
        ("INBOUND_BYTES", 3_145_728),
        ("BODY_BYTES", 16_384),
        ("HEADER_BYTES", 16_384),
    ],
)
def test_a_promised_limit_keeps_its_value(name, value):
    assert {row.name: row.value for row in limits.TABLE}[name] == value


def test_the_waits_and_checks_of_a_code_fit_together():
    assert len(limits.CODE_WAITS) == limits.CODE_CHECKS - 1


def test_waits_after_wrong_app_codes_never_shrink_and_end_before_they_are_forgotten():
    assert list(limits.APP_CODE_WAITS) == sorted(limits.APP_CODE_WAITS)
    assert limits.APP_CODE_WAITS[-1] < limits.SIGN_IN_MEMORY


def test_waits_after_wrong_sign_ins_never_shrink_and_never_pass_a_minute():
    assert list(limits.SIGN_IN_WAITS) == sorted(limits.SIGN_IN_WAITS)
    assert limits.SIGN_IN_WAITS[-1] == timedelta(minutes=1)


def test_mail_is_tried_again_after_a_second_at_first_and_every_five_minutes_at_last():
    assert list(limits.MAIL_PAUSES) == sorted(limits.MAIL_PAUSES)
    assert limits.MAIL_PAUSES[0] == timedelta(seconds=1)
    assert limits.MAIL_PAUSES[-1] == timedelta(minutes=5)
    assert timedelta(seconds=limits.MAIL_SECONDS) + limits.MAIL_UNREACHED_PAUSE < timedelta(
        minutes=1
    )


def test_waits_after_wrong_guesses_never_shrink_and_never_pass_a_day():
    assert list(limits.GUESS_WAITS) == sorted(limits.GUESS_WAITS)
    assert limits.GUESS_WAITS[-1] == timedelta(days=1)


def test_webhooks_are_tried_again_after_growing_pauses():
    assert list(limits.HOOK_PAUSES) == sorted(set(limits.HOOK_PAUSES))
    assert limits.HOOK_PAUSES[-1] < limits.HOOK_GIVE_UP


def test_an_answer_of_the_cloud_api_comes_before_its_outcome_is_looked_for():
    assert timedelta(seconds=limits.CLOUD_SECONDS) < limits.CLOUD_SETTLED


def test_metas_repeats_of_a_webhook_are_known_for_longer_than_it_repeats():
    assert timedelta(days=7) < limits.INBOUND_KEPT


def test_no_wait_of_the_cloud_api_is_longer_than_the_longest():
    waits = [limits.CLOUD_WRONG_PIN_WAIT, limits.CLOUD_TOO_FAST_WAIT, limits.CLOUD_TOO_MANY_WAIT]
    waits += [limits.CLOUD_LOCKED_WAIT, limits.CLOUD_DELETED_WAIT, *limits.CLOUD_CODE_WAITS]
    assert max(*waits, limits.LEDGER_WINDOW) <= limits.CLOUD_LONGEST_WAIT
