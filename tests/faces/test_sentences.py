"""What happened, in sentences: a row for every kind, and guesses told once."""

from datetime import timedelta

import pytest

from nightlatch.domain.audit import Event, Kind, Link
from nightlatch.domain.ledger import Act
from nightlatch.domain.linked import Reason
from nightlatch.faces import sentences
from nightlatch.faces.sentences_cloud import act_name
from tests.people import NOON

_DETAILS = {
    "client": "main", "from": "main", "name": "Lucky <Shrub>", "checks": 2, "path": "account",
    "in_a_row": 3, "weak": True, "username": "mia", "member": "vito@luckyshrub.example",
    "role": "viewer", "left": 4, "method": "voice", "shards": 2, "second_step": "app",
    "already_held": True, "address_changed": True, "invited": True, "guess": 7,
    "app": "512345678901234", "system_user": "612345678901234", "waba": "312345678901234",
    "token": "0123456789ab", "scopes": "whatsapp_business_management", "fields": "security",
    "wabas": "312345678901234", "act": "register", "reason": "wrong_pin", "code": 133005,
    "attempts": 2, "outcome": "failed", "what": "PIN_CHANGED", "alerts": 1,
}  # fmt: skip


def links(*events: Event) -> list[Link]:
    """The newest first, as a store gives them."""
    return [Link("number:1", seq, event, b"") for seq, event in enumerate(events, 1)][::-1]


def guess(kind: Kind, second: int, by: str = "thief/admin", path: str = "account") -> Event:
    return Event(kind, by, NOON + timedelta(seconds=second), (("path", path), ("in_a_row", 1)))


@pytest.mark.parametrize("details", [_DETAILS, {}], ids=["with details", "without"])
@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_sentence_and_a_sign(kind, details):
    event = Event(kind, "main/admin", NOON, tuple(details.items()))

    sentence = sentences.says(event)

    assert sentence[0].isupper() or sentence[0] in "?v"
    assert sentence.endswith(".")
    assert "{" not in sentence
    assert "None" not in sentence
    assert ("?" in sentence) <= (not details)
    assert sentences.tone(event) in ("ok", "warn", "bad", "info", "off")


def test_no_two_kinds_read_the_same():
    told = [sentences.says(Event(kind, "main/admin", NOON)) for kind in Kind]

    assert len(set(told)) == len(told)


@pytest.mark.parametrize(
    ("by", "who"),
    [
        ("operator", "the operator, by the command line"),
        ("main/admin", "admin of client main"),
        ("thief/eve@example.com", "eve@example.com of client thief"),
        ("olivia@luckyshrub.example", "olivia@luckyshrub.example"),
        ("member:412345678901234", "a member who may not do this"),
        ("meta", "Meta"),
        ("app:512345678901234", "app 512345678901234"),
        ("system-user:612345678901234", "system user 612345678901234"),
    ],
)
def test_it_is_told_who_did_it(by, who):
    assert sentences.who(by) == who


def test_a_guess_is_told_once_it_is_settled_and_not_twice():
    told = sentences.lines(
        links(guess(Kind.GUESS_PAID, 1), guess(Kind.GUESS_WRONG, 2), guess(Kind.GUESS_RIGHT, 4))
    )

    assert [line.what for line in told] == [
        "Right PIN while registering.",
        "Wrong PIN while registering.",
    ]
    assert [line.seq for line in told] == [3, 2]


def test_a_guess_that_was_never_settled_is_told():
    told = sentences.lines(
        links(
            guess(Kind.GUESS_PAID, 1),
            guess(Kind.GUESS_PAID, 2, by="olivia@luckyshrub.example", path="manager"),
            guess(Kind.GUESS_WRONG, 3, by="olivia@luckyshrub.example", path="manager"),
        )
    )

    assert [line.seq for line in told] == [3, 1]
    assert told[1].what == (
        "A PIN was counted as a guess while registering; whether it was right was never settled."
    )
    assert told[1].who == "admin of client thief"


def test_guesses_of_two_clients_at_once_are_not_mixed_up():
    told = sentences.lines(
        links(
            guess(Kind.GUESS_PAID, 1, by="main/admin"),
            guess(Kind.GUESS_PAID, 2),
            guess(Kind.GUESS_WRONG, 3),
        )
    )

    assert [(line.seq, line.who) for line in told] == [
        (3, "admin of client thief"),
        (1, "admin of client main"),
    ]


def test_a_weak_pin_is_told_beside_the_change():
    weak = Event(Kind.TWO_STEP_CHANGED, "main/admin", NOON, (("weak", True),))
    fine = Event(Kind.TWO_STEP_CHANGED, "main/admin", NOON, (("weak", False),))

    assert sentences.says(weak) == "The PIN was changed. The PIN is easy to guess."
    assert sentences.says(fine) == "The PIN was changed."


@pytest.mark.parametrize(
    ("kind", "details", "says"),
    [
        (Kind.NUMBER_REGISTERED, {"client": "Cloud API"}, "Registered with the Cloud API."),
        (Kind.NUMBER_REGISTERED, {"client": "main"}, "Registered by client main."),
        (Kind.NUMBER_TAKEN_OVER, {"from": "Cloud API"}, "Taken over from the Cloud API."),
        (Kind.NUMBER_TAKEN_OVER, {"from": "main"}, "Taken over from client main."),
        (
            Kind.NUMBER_RELEASED,
            {"from": "Cloud API"},
            "Deregistered: the Cloud API let go of the number.",
        ),
        (
            Kind.GUESS_WRONG,
            {"path": "graph", "in_a_row": 1},
            "Wrong PIN while registering over the Cloud API.",
        ),
    ],
)
def test_a_number_that_lives_on_the_cloud_api_reads_so(kind, details, says):
    assert sentences.says(Event(kind, "operator", NOON, tuple(details.items()))) == says


@pytest.mark.parametrize(
    ("details", "says"),
    [
        ({"needs_proof": True}, "Each call with tokens of app 5 needs a proof now."),
        ({"needs_proof": False}, "Each call with tokens of app 5 needs no proof any more."),
        ({"fields": "security"}, "Webhooks of app 5 go to another address, for security."),
        ({"fields": ""}, "Webhooks of app 5 go nowhere any more."),
    ],
)
def test_what_changed_about_an_app_is_told(details, says):
    event = Event(Kind.APP_CHANGED, "operator", NOON, (("app", "5"), *details.items()))

    assert sentences.says(event) == says


def test_what_a_system_user_sees_is_told_where_it_is_not_everything():
    def told(*details: tuple[str, str]) -> str:
        return sentences.says(Event(Kind.SYSTEM_USER_CHANGED, "operator", NOON, details))

    employee = (("system_user", "6"), ("role", "employee"), ("wabas", "31,32"))
    admin = (("system_user", "6"), ("role", "admin"), ("wabas", ""))

    assert told(*employee) == "System user 6 has the role employee now; it sees 31,32."
    assert told(*admin) == "System user 6 has the role admin now."


def _told(kind: Kind, **details: str | int) -> str:
    return sentences.says(Event(kind, "meta", NOON, tuple(details.items())))


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("act", Act)
def test_what_meta_refused_is_told_with_its_reason_and_its_code(act, reason):
    told = _told(Kind.ACT_REFUSED, act=act.value, reason=reason.value, code=100)

    begun, _, why = told.partition(" was refused by Meta: ")
    assert begun.lower() == act_name(act).lower()
    assert why.endswith(" (100).")
    assert ("of its own" in why) == (reason is Reason.OTHER)


@pytest.mark.parametrize(
    ("outcome", "came"),
    [("succeeded", "had worked"), ("failed", "had not worked"), ("either", "may have worked")],
)
def test_what_became_of_a_call_that_was_not_answered_is_told(outcome, came):
    told = _told(Kind.ACT_RECONCILED, act="pin", outcome=outcome)

    assert told.startswith("Setting the PIN was not answered before; ")
    assert came in told


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("PIN_RESET_REQUEST", "Somebody pressed “Turn off two-step verification”"),
        ("PIN_CHANGED", "Somebody set a PIN in WhatsApp Manager."),
        ("PIN_REQUEST_SUCCESS", "Somebody turned two-step verification off"),
        ("name APPROVED", "Meta decided about the display name: APPROVED."),
        ("SOMETHING_NEW", "Meta told of SOMETHING_NEW."),
    ],
)
def test_what_meta_told_of_is_told(what, said):
    assert _told(Kind.HEARD, what=what).startswith(said)


def test_a_pin_that_was_compared_with_the_vaults_reads_so():
    wrong = _told(Kind.GUESS_WRONG, path="vault", in_a_row=2)

    assert wrong == "Wrong PIN against the vault: 2 wrong in a row."
