"""Access tokens: missing, bad, expired, without a permission, with a proof."""

import hashlib
import hmac
from datetime import timedelta
from typing import Any

import pytest

from nightlatch.domain.access import Scope, SystemRole
from nightlatch.usecases import access
from tests.faces.graph.desk import Desk
from tests.faces.graph.sight import Sight
from tests.people import OWNER

EDGES = [
    ("GET", ""), ("POST", ""), ("POST", "/register"), ("POST", "/deregister"),
    ("POST", "/request_code"), ("POST", "/verify_code"), ("GET", "/whatsapp_business_profile"),
    ("POST", "/whatsapp_business_profile"),
]  # fmt: skip


def proof(desk: Desk, made_at: int | None = None) -> str:
    text = desk.token if made_at is None else f"{desk.token}|{made_at}"
    return hmac.new(desk.secret.encode(), text.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(("method", "edge"), EDGES)
async def test_every_call_needs_a_token_before_anything_is_read(
    desk: Desk, sight: Sight, method, edge
):
    raw = b'{"pin": "not even JSON' if method == "POST" else b""

    none = await sight.refused(
        desk.call(method, f"/{desk.number}{edge}", raw=raw, token=""), 401, 104
    )
    bad = await sight.refused(
        desk.call(method, f"/{desk.number}{edge}", raw=raw, token="EAANLnope"), 401, 190
    )

    assert none.error["message"] == "An access token is required to request this resource."
    assert bad.error["message"].startswith("Invalid OAuth access token")
    for reply in (none, bad):
        assert reply.error["type"] == "OAuthException"
        assert (reply.header("WWW-Authenticate") or "").startswith("OAuth ")


async def test_every_path_needs_a_token(desk: Desk, sight: Sight):
    for path in (
        f"/{desk.waba}", f"/{desk.waba}/phone_numbers", f"/{desk.waba}/subscribed_apps",
        f"/{desk.portfolio}", f"/{desk.app.id}", f"/{desk.app.id}/subscriptions", "/me",
        "/debug_token", "/999999999999999", "/x", f"/{desk.number}/nowhere",
    ):  # fmt: skip
        await sight.refused(desk.call("GET", path, token=""), 401, 104)


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1],
        lambda token: token + "A",
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token.lower(),
        lambda token: token * 200,
        lambda _: "|",
        lambda _: "1|2",
        lambda _: "x y",
    ],
    ids=[
        "truncated",
        "longer",
        "one letter off",
        "lower case",
        "9 KB",
        "a bar",
        "no app",
        "two words",
    ],
)
async def test_what_is_no_token_is_refused(desk: Desk, sight: Sight, change):
    await sight.refused(desk.call("GET", f"/{desk.number}", token=change(desk.token)), 401, 190)


@pytest.mark.parametrize("value", [1, [], {}, True, "é"])
async def test_a_token_in_a_body_is_a_text(desk: Desk, sight: Sight, value):
    params = {"pin": OWNER.pin, "access_token": value}

    await sight.refused(desk.call("POST", f"/{desk.number}", params, token=""), 401, 190)


async def test_another_scheme_counts_as_no_token(desk: Desk, sight: Sight):
    for header in (f"Basic {desk.token}", desk.token, "Bearer", "Bearer ", ""):
        desk.headers = [("Authorization", header)]
        await sight.refused(desk.call("GET", f"/{desk.number}", token=""), 401, 104)


async def test_the_older_scheme_is_taken_too(desk: Desk):
    for scheme in ("OAuth", "bearer", "BEARER"):
        desk.headers = [("Authorization", f"{scheme} {desk.token}")]
        assert (await desk.call("GET", f"/{desk.number}", token="")).status == 200


async def test_two_authorizations_are_refused(desk: Desk, sight: Sight):
    desk.headers = [("Authorization", "Bearer x")]

    await sight.refused(desk.call("GET", f"/{desk.number}"), 400, 100)


async def test_a_token_among_the_parameters_goes_before_the_one_in_the_header(
    desk: Desk, sight: Sight
):
    good, bad = {"access_token": desk.token}, {"access_token": "x"}
    path = f"/{desk.number}"

    await sight.refused(desk.call("GET", path, query=bad), 401, 190)
    assert (await desk.call("GET", path, query=good, token="x")).status == 200
    assert (await desk.call("GET", path, query={"access_token": ""})).status == 200


async def test_a_revoked_token_opens_nothing(desk: Desk, sight: Sight):
    other = await desk.colleague(Scope.MANAGEMENT)
    assert (await other.read("id")).status == 200
    world = desk.town.house.world
    (kept,) = await access.access_tokens(world, other.user)
    await access.revoke_token(world, other.user, kept.reference)

    await sight.refused(other.read("id"), 401, 190)


async def test_an_expired_token_says_when(desk: Desk, sight: Sight):
    other = await desk.colleague(Scope.MANAGEMENT, life=timedelta(hours=1))
    ends = desk.town.clock.now() + timedelta(hours=1)
    assert (await other.read("id")).status == 200
    desk.town.pass_time(timedelta(hours=1))

    reply = await sight.refused(other.read("id"), 401, 190)

    assert reply.error["error_subcode"] == 463
    assert reply.error["message"].startswith(
        "Error validating access token: Session has expired on "
    )
    assert f"{ends:%d-%b-%y}" in reply.error["message"]


# Permissions


@pytest.mark.parametrize(("method", "edge"), EDGES)
async def test_numbers_need_the_management_permission(desk: Desk, sight: Sight, method, edge):
    other = await desk.colleague(Scope.MESSAGING, Scope.BUSINESS)
    raw = b'{"pin": "not even JSON' if method == "POST" else b""

    reply = await sight.refused(other.call(method, f"/{desk.number}{edge}", raw=raw), 403, 200)

    assert reply.error["message"] == (
        "(#200) Requires whatsapp_business_management permission to manage the object"
    )


async def test_accounts_need_management_and_portfolios_their_own_permission(
    desk: Desk, sight: Sight
):
    management = await desk.colleague(Scope.MANAGEMENT)
    business = await desk.colleague(Scope.BUSINESS)

    for path in (f"/{desk.waba}", f"/{desk.waba}/phone_numbers", f"/{desk.waba}/subscribed_apps"):
        await sight.refused(business.call("GET", path), 403, 200)
        assert (await management.call("GET", path)).status == 200
    reply = await sight.refused(management.call("GET", f"/{desk.portfolio}"), 403, 200)
    assert "business_management" in reply.error["message"]
    assert (await business.call("GET", f"/{desk.portfolio}")).status == 200


async def test_management_alone_registers_and_sets_pins(desk: Desk):
    other = await desk.colleague(Scope.MANAGEMENT)

    await other.move_in(OWNER.pin)

    assert (await other.set_pin(OWNER.new_pin)).status == 200


async def test_a_token_without_any_permission_knows_whose_it_is(desk: Desk):
    other = await desk.colleague()

    assert (await other.call("GET", "/me")).body == {"name": "Colleague", "id": other.user.id}
    assert (await other.call("GET", f"/{desk.app.id}")).status == 200


# Proofs


async def test_a_proof_is_checked_where_one_is_sent(desk: Desk, sight: Sight):
    right = await desk.read("id", appsecret_proof=proof(desk))
    now = int(desk.town.clock.now().timestamp())
    timed = await desk.read("id", appsecret_proof=proof(desk, now), appsecret_time=now)
    wrong: list[dict[str, Any]] = [
        {"appsecret_proof": "0" * 64},
        {"appsecret_proof": ""},
        {"appsecret_proof": proof(desk).upper()},
        {"appsecret_proof": proof(desk), "appsecret_time": now},
        {"appsecret_proof": proof(desk, now - 301), "appsecret_time": now - 301},
        {"appsecret_proof": proof(desk), "appsecret_time": "x"},
        {"appsecret_proof": proof(desk), "appsecret_time": "9" * 13},
    ]

    assert right.status == timed.status == 200
    for query in wrong:
        reply = await sight.refused(desk.read("id", **query), 400, 100)
        assert reply.error["type"] == "GraphMethodException"
        assert reply.error["message"] == "Invalid appsecret_proof provided in the API argument"


async def test_an_app_may_require_proofs(desk: Desk, sight: Sight):
    await access.require_proof(desk.town.house.world, desk.app, True)

    reply = await sight.refused(desk.read("id"), 400, 100)

    assert reply.error["message"] == "API calls from the server require an appsecret_proof argument"
    assert reply.error["type"] == "GraphMethodException"
    assert (await desk.read("id", appsecret_proof=proof(desk))).status == 200
    in_body = {"code_method": "SMS", "language": "en_US", "appsecret_proof": proof(desk)}
    assert (await desk.call("POST", f"/{desk.number}/request_code", in_body)).status == 200
    assert (await desk.call("GET", f"/{desk.app.id}", token=desk.app_token)).status == 200


# What a token is


async def test_a_token_is_looked_at_by_its_app(desk: Desk):
    other = await desk.colleague(
        Scope.MANAGEMENT, role=SystemRole.EMPLOYEE, wabas=(desk.waba,), life=timedelta(days=1)
    )
    for token in (desk.token, desk.app_token):
        mine = await desk.call(
            "GET", "/debug_token", query={"input_token": desk.token}, token=token
        )
        its = await desk.call(
            "GET", "/debug_token", query={"input_token": other.token}, token=token
        )
        issued = int(desk.town.clock.now().timestamp())

        data = mine.body["data"]
        assert data.pop("issued_at") == pytest.approx(issued, abs=60)
        assert data == {
            "app_id": desk.app.id,
            "type": "SYSTEM_USER",
            "application": "Lucky app",
            "is_valid": True,
            "scopes": [scope.value for scope in Scope],
            "data_access_expires_at": 0,
            "expires_at": 0,
            "granular_scopes": [{"scope": scope.value} for scope in Scope],
            "user_id": desk.user.id,
        }
        assert its.body["data"]["granular_scopes"] == [
            {"scope": "whatsapp_business_management", "target_ids": [desk.waba]}
        ]
        assert its.body["data"]["expires_at"] == its.body["data"]["issued_at"] + 86_400
        assert its.body["data"]["user_id"] == other.user.id


async def test_the_apps_own_token_is_looked_at_too(desk: Desk):
    reply = await desk.call("GET", "/debug_token", query={"input_token": desk.app_token})

    assert reply.body["data"] == {
        "app_id": desk.app.id,
        "type": "APP",
        "application": "Lucky app",
        "is_valid": True,
        "scopes": [],
    }


async def test_a_token_that_is_no_good_is_not_valid_and_not_repeated(desk: Desk):
    other = await desk.colleague(life=timedelta(hours=1))
    added = await access.add_app(desk.town.house.world, desk.portfolio, "Another app")
    desk.town.pass_time(timedelta(hours=1))

    for token, subcode in (
        ("EAANLnope", None), (other.token, 463), (f"{added.app.id}|{added.secret}", None),
    ):  # fmt: skip
        reply = await desk.call("GET", "/debug_token", query={"input_token": token})
        assert reply.status == 200
        data = reply.body["data"]
        assert data["is_valid"] is False
        assert data["scopes"] == []
        assert data["error"]["code"] == 190
        assert data["error"].get("subcode") == subcode
        assert token not in reply.reply.raw.decode()


async def test_looking_at_a_token_needs_one_to_look_at(desk: Desk, sight: Sight):
    await sight.refused(desk.call("GET", "/debug_token"), 400, 100)
    await sight.refused(desk.call("GET", "/debug_token", query={"input_token": ""}), 400, 100)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_app_gets_its_own_token_for_its_secret(desk: Desk, sight: Sight, method):
    right = {
        "client_id": desk.app.id,
        "client_secret": desk.secret,
        "grant_type": "client_credentials",
    }
    given = await desk.call(method, "/oauth/access_token", right, token="")
    wrong = await sight.refused(
        desk.call(method, "/oauth/access_token", right | {"client_secret": "x"}, token=""), 400, 1
    )
    other = right | {"grant_type": "fb_exchange_token"}
    unserved = await sight.refused(
        desk.call(method, "/oauth/access_token", other, token=""), 400, 100
    )

    assert given.body == {"access_token": desk.app_token, "token_type": "bearer"}
    assert wrong.error["message"] == "Error validating client secret."
    assert "grant_type" in unserved.error["message"]
    app = await desk.call("GET", f"/{desk.app.id}", token=given.body["access_token"])
    assert app.status == 200


async def test_me_is_the_system_user_and_never_an_app(desk: Desk, sight: Sight):
    mine = await desk.call("GET", "/me", query={"fields": "id,name"})
    app = await sight.refused(desk.call("GET", "/me", token=desk.app_token), 400, 2500)
    field = await sight.refused(desk.call("GET", "/me", query={"fields": "email"}), 400, 100)

    assert mine.body == {"name": "Robot", "id": desk.user.id}
    assert app.error["message"].startswith("An active access token must be used")
    assert "(SystemUser)" in field.error["message"]


async def test_an_app_sees_no_number_and_no_account(desk: Desk, sight: Sight):
    for id in (desk.number, desk.waba, desk.portfolio):
        reply = await sight.refused(desk.call("GET", f"/{id}", token=desk.app_token), 400, 100)
        assert reply.error["error_subcode"] == 33
