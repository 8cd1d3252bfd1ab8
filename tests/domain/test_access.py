"""Apps, system users and access tokens: who sees what, proofs, addresses, what is written down."""

import hashlib
import hmac
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain import access
from nightlatch.domain.access import (
    AccessToken,
    AppDecision,
    Callback,
    Caller,
    GraphApp,
    Scope,
    SystemRole,
    SystemUser,
    SystemUserDecision,
)
from nightlatch.domain.audit import Kind
from nightlatch.domain.errors import (
    AccessTokenExpired,
    ParameterInvalid,
    ProofRefused,
    ScopeMissing,
)
from nightlatch.domain.webhooks import Field
from tests.domain.samples import DAY, MICRO, PORTFOLIO
from tests.people import NOON, OWNER

BY = OWNER.email
WABA, OTHER_WABA, FOREIGN = "300000000000001", "300000000000002", "200000000000009"
SECRET, TOKEN = "0123456789abcdef0123456789abcdef", "EAANLtoken"
NOON_SECONDS = int(NOON.timestamp())


def an_app(**changes: Any) -> GraphApp:
    known: dict[str, Any] = {
        "id": "500000000000001",
        "portfolio": PORTFOLIO.id,
        "name": "Shrub Sender",
        "secret": b"sealed secret",
        "created_at": NOON,
    }
    return GraphApp(**(known | changes))


def a_user(role: SystemRole = SystemRole.ADMIN, **changes: Any) -> SystemUser:
    known: dict[str, Any] = {
        "id": "600000000000001",
        "portfolio": PORTFOLIO.id,
        "name": "Sender",
        "role": role,
        "created_at": NOON,
    }
    return SystemUser(**(known | changes))


def a_token(**changes: Any) -> AccessToken:
    known: dict[str, Any] = {
        "hash": hashlib.sha256(TOKEN.encode()).digest(),
        "user": a_user().id,
        "app": an_app().id,
        "scopes": (Scope.MANAGEMENT,),
        "issued_at": NOON,
    }
    return AccessToken(**(known | changes))


# Who sees what


@pytest.mark.parametrize(
    ("user", "waba", "portfolio", "sees"),
    [
        (a_user(), WABA, PORTFOLIO.id, True),
        (a_user(), OTHER_WABA, PORTFOLIO.id, True),
        (a_user(), WABA, FOREIGN, False),
        (a_user(SystemRole.EMPLOYEE), WABA, PORTFOLIO.id, False),
        (a_user(SystemRole.EMPLOYEE, wabas=(WABA,)), WABA, PORTFOLIO.id, True),
        (a_user(SystemRole.EMPLOYEE, wabas=(WABA,)), OTHER_WABA, PORTFOLIO.id, False),
        (a_user(SystemRole.EMPLOYEE, wabas=(WABA,)), WABA, FOREIGN, False),
        (a_user(SystemRole.EMPLOYEE, wabas=(WABA,)), WABA[:-1], PORTFOLIO.id, False),
    ],
)
def test_an_admin_sees_the_portfolio_and_an_employee_what_was_granted(user, waba, portfolio, sees):
    assert user.sees(waba, portfolio) is sees
    assert Caller(an_app(), user, a_token()).sees(waba, portfolio) is sees


def test_the_token_of_an_app_sees_no_account_and_may_do_nothing():
    caller = Caller(an_app())

    assert not caller.sees(WABA, PORTFOLIO.id)
    for scope in Scope:
        with pytest.raises(ScopeMissing):
            caller.refuse_without(scope)


@pytest.mark.parametrize("scope", list(Scope))
def test_a_token_may_do_what_its_scopes_say_and_nothing_else(scope):
    caller = Caller(an_app(), a_user(), a_token(scopes=(scope,)))

    caller.refuse_without(scope)
    for other in set(Scope) - {scope}:
        with pytest.raises(ScopeMissing) as refused:
            caller.refuse_without(other)
        assert refused.value.scope == other.value


def test_events_name_the_system_user_or_the_app():
    assert Caller(an_app(), a_user(), a_token()).name == "system-user:600000000000001"
    assert Caller(an_app()).name == "app:500000000000001"


def test_a_reference_names_a_token_and_holds_nothing_of_it():
    assert a_token().reference == hashlib.sha256(TOKEN.encode()).hexdigest()[:12]


# Expiry


@pytest.mark.parametrize(
    ("life", "after", "good"),
    [
        (None, 9_999 * DAY, True),
        (DAY, DAY - MICRO, True),
        (DAY, DAY, False),
        (DAY, 2 * DAY, False),
    ],
)
def test_a_token_is_good_to_the_last_microsecond_of_its_life_or_for_ever(life, after, good):
    token = a_token(expires_at=None if life is None else NOON + life)

    if good:
        access.refuse_expired(token, NOON + after)
    else:
        with pytest.raises(AccessTokenExpired) as refused:
            access.refuse_expired(token, NOON + after)
        assert refused.value.at == NOON + life


# Proofs


def proof(signed: str = TOKEN, secret: str = SECRET) -> str:
    """As Meta's documents have it made."""
    return hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()


def test_a_proof_is_the_hmac_of_the_token_under_the_apps_secret():
    access.check_proof(SECRET, TOKEN, proof(), None, NOON)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0" * 64,
        proof()[:-1],
        proof() + "0",
        proof() + "\n",
        proof().upper(),
        proof(TOKEN + "x"),
        proof(secret=SECRET[::-1]),
        proof(f"{TOKEN}|{NOON_SECONDS}"),
        "\ud800" * 64,
        "٣" * 64,
    ],
)
def test_another_proof_is_refused(text):
    with pytest.raises(ProofRefused):
        access.check_proof(SECRET, TOKEN, text, None, NOON)


@pytest.mark.parametrize(
    ("off", "good"),
    [
        (0, True),
        (-300, True),
        (300, True),
        (-301, False),
        (301, False),
        (-(10**12), False),
        (10**400, False),
        (-(10**400), False),
    ],
)
def test_a_proof_with_a_time_is_good_five_minutes_either_way(off, good):
    made_at = NOON_SECONDS + off
    dated = proof(f"{TOKEN}|{made_at}")

    if good:
        access.check_proof(SECRET, TOKEN, dated, made_at, NOON)
    else:
        with pytest.raises(ProofRefused):
            access.check_proof(SECRET, TOKEN, dated, made_at, NOON)


@pytest.mark.parametrize("later", [MICRO, timedelta(milliseconds=1)])
def test_a_moment_after_five_minutes_the_proof_is_too_old(later):
    made_at = NOON_SECONDS - 300
    dated = proof(f"{TOKEN}|{made_at}")

    with pytest.raises(ProofRefused):
        access.check_proof(SECRET, TOKEN, dated, made_at, NOON + later)


@pytest.mark.parametrize(
    ("text", "made_at"),
    [
        (proof(), NOON_SECONDS),
        (proof(f"{TOKEN}|{NOON_SECONDS}"), NOON_SECONDS + 1),
        (proof(f"{TOKEN}|{NOON_SECONDS}"), None),
    ],
)
def test_the_time_is_part_of_what_is_proved(text, made_at):
    with pytest.raises(ProofRefused):
        access.check_proof(SECRET, TOKEN, text, made_at, NOON)


# Addresses


@pytest.mark.parametrize(
    "url",
    [
        "https://shrub.example/hooks",
        "http://127.0.0.1:8080/hooks?app=1&x=%20",
        "https://shrub.example",
        "https://[::1]/hooks",
        "https://shrub.example/a@b",
        "https://s.example/" + "x" * (2_048 - 18),
    ],
)
def test_an_address_of_a_webhook_is_taken_as_it_is(url):
    assert access.read_callback(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shrub.example/hooks",
        "https:shrub.example",
        "https://",
        "ftp://shrub.example/",
        "file:///etc/passwd",
        "gopher://shrub.example/",
        "HTTPS://shrub.example/",
        "javascript:alert(1)//https://shrub.example",
        "https://user:word@shrub.example/",
        "https://shrub.example@evil.example/",
        "https://shrub.example/#there",
        "https://shrub.example/a b",
        "https://shrub.example/a\nHost: evil.example",
        "https://shrub.example/a\r\n",
        "https://shrub.example\\@evil.example/",
        "https://shrub.example/\x00",
        "https://shrüb.example/",
        "https://shrub.example/\ud800",
        "https://s.example/" + "x" * (2_049 - 18),
    ],
)
def test_another_address_is_refused(url):
    with pytest.raises(ParameterInvalid) as refused:
        access.read_callback(url)

    assert refused.value.name == "callback_url"


@given(st.text(max_size=60))
def test_an_address_that_is_taken_is_one_line_of_printable_ascii(text):
    try:
        url = access.read_callback("https://" + text)
    except ParameterInvalid:
        return

    assert url.encode("ascii").isascii()
    assert url.isprintable()
    assert not set(url) & set(' "<>\\^`{|}#')


# What is written down

CALLBACK = Callback("https://shrub.example/hooks", frozenset({Field.SECURITY, Field.NAME}))


def test_an_apps_webhooks_go_elsewhere_and_that_is_told():
    decision = access.change_callback(an_app(), CALLBACK, BY, NOON)

    assert decision.app == an_app(callback=CALLBACK)
    (event,) = decision.events
    assert (event.kind, event.by, event.at) == (Kind.APP_CHANGED, BY, NOON)
    assert event.details == (
        ("app", an_app().id),
        ("fields", "phone_number_name_update,security"),
    )


def test_an_apps_webhooks_go_nowhere_and_that_is_told():
    decision = access.change_callback(an_app(callback=CALLBACK), None, BY, NOON)

    assert decision.app.callback is None
    assert decision.events[0].details == (("app", an_app().id), ("fields", ""))


@pytest.mark.parametrize("callback", [None, CALLBACK])
def test_the_same_address_again_leaves_no_trace(callback):
    app = an_app(callback=callback)

    assert access.change_callback(app, callback, BY, NOON) == AppDecision(app)


@pytest.mark.parametrize("needed", [True, False])
def test_whether_proofs_are_needed_is_told_when_it_changes(needed):
    decision = access.require_proof(an_app(needs_proof=not needed), needed, BY, NOON)
    again = access.require_proof(decision.app, needed, BY, NOON)

    assert decision.app == an_app(needs_proof=needed)
    assert [(e.kind, e.details) for e in decision.events] == [
        (Kind.APP_CHANGED, (("app", an_app().id), ("needs_proof", needed)))
    ]
    assert again == AppDecision(decision.app)


def test_another_secret_is_told_without_it():
    decision = access.renew_secret(an_app(), b"another sealed secret", BY, NOON)

    assert decision.app == an_app(secret=b"another sealed secret")
    assert [(e.kind, e.details) for e in decision.events] == [
        (Kind.APP_SECRET, (("app", an_app().id),))
    ]


@pytest.mark.parametrize(
    ("before", "role", "wabas", "kept"),
    [
        ((), SystemRole.EMPLOYEE, (OTHER_WABA, WABA, WABA), (WABA, OTHER_WABA)),
        ((WABA,), SystemRole.EMPLOYEE, (), ()),
        ((WABA,), SystemRole.ADMIN, (WABA,), ()),
    ],
)
def test_a_grant_is_kept_in_order_once_each_and_told(before, role, wabas, kept):
    user = a_user(SystemRole.EMPLOYEE, wabas=before)

    decision = access.grant(user, role, wabas, BY, NOON)

    assert decision.user == replace(user, role=role, wabas=kept)
    assert [(e.kind, e.by, e.details) for e in decision.events] == [
        (
            Kind.SYSTEM_USER_CHANGED,
            BY,
            (("system_user", user.id), ("role", role.value), ("wabas", ",".join(kept))),
        )
    ]


@pytest.mark.parametrize(
    ("user", "wabas"),
    [
        (a_user(), ()),
        (a_user(), (WABA,)),
        (a_user(SystemRole.EMPLOYEE, wabas=(WABA, OTHER_WABA)), (OTHER_WABA, WABA)),
    ],
)
def test_the_same_grant_again_leaves_no_trace(user, wabas):
    assert access.grant(user, user.role, wabas, BY, NOON) == SystemUserDecision(user)


def test_the_scopes_are_named_as_meta_names_them():
    assert {scope.value for scope in Scope} == {
        "whatsapp_business_management",
        "whatsapp_business_messaging",
        "business_management",
    }


# How long a token lives


@pytest.mark.parametrize(
    ("life", "ends"),
    [(None, None), (MICRO, NOON + MICRO), (DAY, NOON + DAY), (3_650 * DAY, NOON + 3_650 * DAY)],
)
def test_a_token_is_issued_for_a_time_of_up_to_ten_years_or_for_ever(life, ends):
    assert access.expiry(life, NOON) == ends


@pytest.mark.parametrize("life", [timedelta(0), -MICRO, -DAY, 3_650 * DAY + MICRO, timedelta.max])
def test_no_token_is_issued_for_no_time_or_for_longer(life):
    with pytest.raises(ParameterInvalid) as refused:
        access.expiry(life, NOON)

    assert (refused.value.name, refused.value.why) == ("days", "1 to 3650")


def test_an_app_needs_no_proof_until_that_is_asked_for():
    assert not an_app().needs_proof
