"""``/v1/users``: logging in and out, first passwords, and accounts."""

import asyncio
import base64
import re
from datetime import UTC, datetime, timedelta

import pytest

from nightlatch.domain.clients import Role, User
from nightlatch.domain.limits import LOGIN_FREE, TOKEN_LIFE, USERS_PER_CLIENT
from nightlatch.faces.onprem.wire import META
from nightlatch.usecases import clients
from tests.faces.onprem.witness import LOGIN, Witness
from tests.people import OWNER, THIEF
from tests.town import Api, Reply, Town, exchange

WRONG = "Not-The-Pass-9"
CLERK, CLERK_PASSWORD = "clerk", "Clerks-Pass-1"
WEAK_PASSWORDS = {
    "seven characters": "Aa1-aaa",
    "65 characters": "Aa1-" + "a" * 61,
    "no digit": "Abcdefg-",
    "no upper-case letter": "abcdefg-1",
    "no lower-case letter": "ABCDEFG-1",
    "no special character": "Abcdefgh1",
    "a backslash is not special": "Abcdefg1\\",
    "empty": "",
    "a number": 12345678,
    "null": None,
    "a list": ["Abcdefg-1"],
}


async def a_clerk(town: Town) -> Api:
    """An ordinary user of the owner's client, logged in."""
    made = await town.owner.call("POST", "/users", {"username": CLERK, "password": CLERK_PASSWORD})
    assert made.status == 201
    clerk = Api(town.port, OWNER.base, CLERK_PASSWORD)
    assert (await clerk.login(username=CLERK)).status == 200
    return clerk


async def raw_login(
    town: Town, body: bytes | None, *, authorization: str | None = "", base: str = "/v1"
) -> Reply:
    """A login with these very bytes; the owner's credentials unless others are given."""
    owner = base64.b64encode(f"admin:{OWNER.password}".encode()).decode()
    chosen = f"Basic {owner}" if authorization == "" else authorization
    headers = [] if chosen is None else [("Authorization", chosen)]
    if body is not None:
        headers.append(("Content-Type", "application/json"))
    return await exchange(
        town.port, "POST", base + "/users/login", headers=headers, body=body or b""
    )


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


# Logging in


async def test_a_login_answers_a_token_of_three_parts_and_when_it_expires(town: Town):
    reply = await town.owner.login()

    assert reply.status == 200
    assert reply.header("Content-Type") == "application/json"
    assert set(reply.body) == {"users", "meta"}
    assert reply.body["meta"] == META
    (user,) = reply.body["users"]
    assert set(user) == {"token", "expires_after"}
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", user["token"], re.ASCII)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00", user["expires_after"], re.ASCII)
    expires = datetime.strptime(user["expires_after"], "%Y-%m-%d %H:%M:%S%z")
    remaining = expires.astimezone(UTC) - town.clock.now()
    assert TOKEN_LIFE - timedelta(minutes=5) < remaining <= TOKEN_LIFE


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(None, id="no body and no content type"),
        pytest.param(b"", id="an empty body with a content type"),
        pytest.param(b" \r\n", id="a body of white space"),
        pytest.param(b"{}", id="an empty object"),
        pytest.param(b"null", id="null"),
        pytest.param(
            f'{{"new_password":"{OWNER.password}"}}'.encode(), id="the password in use as new"
        ),
        pytest.param(b'{"new_password":""}', id="an empty new password, as old clients send it"),
    ],
)
async def test_a_login_without_a_change_of_password_takes_every_empty_body(town: Town, body):
    before = town.owner.token

    reply = await raw_login(town, body)

    assert reply.status == 200
    assert reply.body["users"][0]["token"] != before
    assert (await town.owner.call("GET", "/health", token=before)).status == 200


async def test_a_later_login_may_change_the_password_and_ends_the_earlier_tokens(town: Town):
    before = town.owner.token

    changed = await town.owner.login(body={"new_password": WRONG})

    assert changed.status == 200
    assert (await town.owner.call("GET", "/health")).status == 200
    assert (await town.owner.call("GET", "/health", token=before)).verdict == (401, 1005)
    assert (await town.owner.login()).verdict == (401, 1005)
    assert (await town.owner.login(WRONG)).status == 200


@pytest.mark.parametrize("name", [name for name in WEAK_PASSWORDS if name != "empty"])
async def test_a_login_with_a_weak_new_password_changes_nothing(town: Town, witness: Witness, name):
    weak = WEAK_PASSWORDS[name]
    secrets = [OWNER.password, *([weak] if isinstance(weak, str) else [])]

    await witness.refused(town.owner.login(body={"new_password": weak}), 400, 1009, secrets=secrets)


async def test_a_login_takes_no_parameter_but_new_password(town: Town, witness: Witness):
    await witness.refused(town.owner.login(body={"admin": True}), 400, 1010)


@pytest.mark.parametrize(
    ("authorization", "base", "hashes"),
    [
        pytest.param(basic(f"admin:{WRONG}"), "/v1", 1, id="a wrong password"),
        pytest.param(basic(f"nobody:{WRONG}"), "/v1", 1, id="an unknown user"),
        pytest.param(basic(f"admin:{WRONG}"), "/clients/nobody/v1", 1, id="an unknown client"),
        pytest.param(basic(f"Admin:{OWNER.password}"), "/v1", 1, id="another case of the name"),
        pytest.param(basic(f"admin:{OWNER.password} "), "/v1", 1, id="the password with a space"),
        pytest.param(basic(f"admin:{THIEF.password}"), "/v1", 1, id="another client's password"),
        pytest.param(basic("admin:"), "/v1", 1, id="an empty password"),
        pytest.param(basic(":"), "/v1", 1, id="an empty name"),
        pytest.param(basic(f"admin'--:{WRONG}"), "/v1", 1, id="SQL in the name"),
        pytest.param(basic("admin"), "/v1", 0, id="no colon"),
        pytest.param("Basic", "/v1", 0, id="nothing behind Basic"),
        pytest.param("Basic ====", "/v1", 0, id="not base64"),
        pytest.param("Basic /w==", "/v1", 0, id="not UTF-8"),
        pytest.param("Basic \xff\xfe", "/v1", 0, id="bytes that are not ASCII"),
        pytest.param(basic("admin:" + "x" * 1_024), "/v1", 0, id="more than a login can be"),
        pytest.param("Bearer token", "/v1", 0, id="Bearer"),
        pytest.param(None, "/v1", 0, id="no header"),
    ],
)
async def test_a_bad_login_is_refused_after_the_same_work_whoever_it_names(
    town: Town, witness: Witness, authorization, base, hashes
):
    reply = await witness.refused(
        raw_login(town, b"{}", authorization=authorization, base=base),
        401,
        1005,
        secrets=[WRONG, OWNER.password],
        may_change=LOGIN,
        hashes=hashes,
    )

    assert reply.header("WWW-Authenticate") == 'Basic realm="nightlatch"'


async def test_an_unknown_user_and_a_wrong_password_get_the_same_bytes(town: Town):
    unknown = await raw_login(town, None, authorization=basic(f"nobody:{WRONG}"))
    wrong = await raw_login(town, None, authorization=basic(f"admin:{WRONG}"))

    assert unknown.raw == wrong.raw
    assert _steady(unknown) == _steady(wrong)


async def test_many_wrong_passwords_in_a_row_bring_a_wait_that_ends_by_itself(
    town: Town, witness: Witness
):
    for _ in range(LOGIN_FREE):
        assert (await town.owner.login(WRONG)).verdict == (401, 1005)

    waiting = await witness.refused(town.owner.login(), 429, 1015, secrets=[OWNER.password])
    town.pass_time(int(waiting.header("Retry-After") or 0))

    assert waiting.header("Retry-After") == "10"
    assert (await town.owner.login()).status == 200


# The first password


async def test_the_factory_password_opens_nothing_but_its_own_change(town: Town, witness: Witness):
    await clients.add_client(town.house.world, "fresh")
    fresh = Api(town.port, "/clients/fresh/v1", "Fresh-Pass-1")

    await witness.refused(fresh.login("secret"), 403, 1024, hashes=1)
    await witness.refused(fresh.login("secret", {}), 403, 1024, hashes=1)
    await witness.refused(fresh.login("secret", {"new_password": "secret"}), 400, 1009)
    await witness.refused(fresh.set_pin(OWNER.pin), 401, 1005, secrets=[OWNER.pin])
    changed = await fresh.login("secret", {"new_password": fresh.password})

    assert changed.status == 200
    assert (await fresh.call("GET", "/health")).status == 200
    assert (await fresh.login("secret")).verdict == (401, 1005)


async def test_a_reset_password_must_be_changed_again_and_ends_every_token(
    town: Town, witness: Witness
):
    await clients.reset_password(town.house.world, OWNER.client, "admin")

    await witness.refused(town.owner.call("GET", "/health"), 401, 1005)
    await witness.refused(town.owner.login("secret"), 403, 1024, hashes=1)
    changed = await town.owner.login("secret", {"new_password": OWNER.password})

    assert changed.status == 200


# Logging out


async def test_a_logout_ends_its_own_token_and_no_other(town: Town, witness: Witness):
    kept = town.owner.token
    await town.owner.login()

    reply = await town.owner.call("POST", "/users/logout")

    assert (reply.status, reply.body) == (200, {"meta": META})
    await witness.refused(town.owner.call("GET", "/health"), 401, 1005, secrets=[town.owner.token])
    await witness.refused(town.owner.call("POST", "/users/logout"), 401, 1005)
    assert (await town.owner.call("GET", "/health", token=kept)).status == 200


async def test_a_logout_takes_no_parameters(town: Town, witness: Witness):
    await witness.refused(town.owner.call("POST", "/users/logout", {"all": True}), 400, 1010)


async def test_nothing_asked_after_the_answer_to_a_logout_succeeds(town: Town):
    ended = asyncio.Event()
    asked_after: list[Reply] = []

    async def ask() -> None:
        after = False
        while not after:
            after = ended.is_set()
            reply = await town.owner.call("GET", "/health")
        asked_after.append(reply)

    async def log_out() -> None:
        assert (await town.owner.call("POST", "/users/logout")).status == 200
        ended.set()

    async with asyncio.timeout(60):
        await asyncio.gather(*(ask() for _ in range(8)), log_out())

    assert len(asked_after) == 8
    assert {reply.verdict for reply in asked_after} == {(401, 1005)}


# Accounts


async def test_the_admin_creates_reads_changes_and_deletes_a_user(town: Town):
    path = f"/users/{CLERK}"
    named = {"users": [{"username": CLERK}], "meta": META}

    created = await town.owner.call(
        "POST", "/users", {"username": CLERK, "password": CLERK_PASSWORD}
    )
    read = await town.owner.call("GET", path)
    changed = await town.owner.call("PUT", path, {"password": WRONG})
    deleted = await town.owner.call("DELETE", path)
    gone = await town.owner.call("GET", path)

    assert (created.status, created.body) == (201, named)
    assert (read.status, read.body) == (
        200,
        {"users": [{"ROLES": "ROLE_USER", "username": CLERK}], "meta": META},
    )
    assert (changed.status, changed.body) == (200, named)
    assert (deleted.status, deleted.body) == (200, named)
    assert gone.verdict == (404, 1006)


async def test_the_admin_reads_itself_as_admin(town: Town):
    reply = await town.owner.call("GET", "/users/admin")

    assert reply.body["users"] == [{"ROLES": "ROLE_ADMIN", "username": "admin"}]


async def test_a_taken_username_is_refused_with_the_documented_details(
    town: Town, witness: Witness
):
    await a_clerk(town)
    body = {"username": CLERK, "password": CLERK_PASSWORD}

    reply = await witness.refused(
        town.owner.call("POST", "/users", body), 400, 1014, secrets=[CLERK_PASSWORD], hashes=1
    )

    assert reply.error["title"] == "Internal error"
    assert reply.error["details"] == "Unable to create user. Already exist?"


async def test_the_name_admin_is_taken_from_the_start(town: Town, witness: Witness):
    body = {"username": "admin", "password": CLERK_PASSWORD}

    await witness.refused(town.owner.call("POST", "/users", body), 400, 1014, hashes=1)


async def test_the_same_username_in_two_clients_is_two_users(town: Town):
    await a_clerk(town)

    other = await town.thief.call("POST", "/users", {"username": CLERK, "password": CLERK_PASSWORD})

    assert other.status == 201


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param({"password": CLERK_PASSWORD}, 1008, id="no username"),
        pytest.param({"username": CLERK}, 1008, id="no password"),
        pytest.param({}, 1008, id="nothing"),
        pytest.param({"username": "abc", "password": CLERK_PASSWORD}, 1009, id="3 characters"),
        pytest.param({"username": "a" * 33, "password": CLERK_PASSWORD}, 1009, id="33 characters"),
        pytest.param({"username": "a clerk", "password": CLERK_PASSWORD}, 1009, id="a space"),
        pytest.param({"username": "cl:erk", "password": CLERK_PASSWORD}, 1009, id="a colon"),
        pytest.param({"username": "../clerk", "password": CLERK_PASSWORD}, 1009, id="a slash"),
        pytest.param({"username": "clérk", "password": CLERK_PASSWORD}, 1009, id="not ASCII"),
        pytest.param({"username": "cl\0rk", "password": CLERK_PASSWORD}, 1009, id="NUL"),
        pytest.param({"username": 12345, "password": CLERK_PASSWORD}, 1009, id="a number"),
        pytest.param({"username": None, "password": CLERK_PASSWORD}, 1009, id="null"),
        pytest.param(
            {"username": CLERK, "password": CLERK_PASSWORD, "role": "ROLE_ADMIN"},
            1010,
            id="a role, which nobody chooses",
        ),
    ],
)
async def test_a_user_that_cannot_be_is_not_created(town: Town, witness: Witness, body, code):
    await witness.refused(
        town.owner.call("POST", "/users", body), 400, code, secrets=[CLERK_PASSWORD]
    )


@pytest.mark.parametrize("weak", WEAK_PASSWORDS.values(), ids=WEAK_PASSWORDS)
async def test_no_account_gets_a_weak_password(town: Town, witness: Witness, weak):
    secrets = [weak] if isinstance(weak, str) and weak else []

    await witness.refused(
        town.owner.call("POST", "/users", {"username": CLERK, "password": weak}),
        400,
        1009,
        secrets=secrets,
    )
    await witness.refused(
        town.owner.call("PUT", "/users/admin", {"password": weak}), 400, 1009, secrets=secrets
    )


async def test_a_full_client_takes_no_further_user(town: Town, witness: Witness):
    store = town.house.store
    admin = await store.user(OWNER.client, "admin")
    assert admin is not None
    for start in range(1, USERS_PER_CLIENT, 100):
        await asyncio.gather(
            *(
                store.add_user(
                    User(
                        client=OWNER.client,
                        username=f"user{n}",
                        role=Role.USER,
                        verifier=admin.verifier,
                    ),
                    (),
                )
                for n in range(start, min(start + 100, USERS_PER_CLIENT))
            )
        )

    await witness.refused(
        town.owner.call("POST", "/users", {"username": CLERK, "password": CLERK_PASSWORD}),
        400,
        1014,
        hashes=1,
    )


async def test_an_ordinary_user_reads_and_changes_itself_and_nobody_else(
    town: Town, witness: Witness
):
    clerk = await a_clerk(town)

    itself = await clerk.call("GET", f"/users/{CLERK}")
    changed = await clerk.call("PUT", f"/users/{CLERK}", {"password": WRONG})

    assert itself.body["users"] == [{"ROLES": "ROLE_USER", "username": CLERK}]
    assert changed.status == 200
    await witness.refused(clerk.call("GET", "/users/admin"), 403, 1005)
    await witness.refused(clerk.call("GET", "/users/nobody"), 403, 1005)
    await witness.refused(
        clerk.call("PUT", "/users/admin", {"password": WRONG}), 403, 1005, secrets=[WRONG]
    )


async def test_a_new_password_ends_every_token_but_the_one_that_set_it(town: Town):
    clerk = await a_clerk(town)
    older = clerk.token
    await clerk.login(username=CLERK)

    assert (await clerk.call("PUT", f"/users/{CLERK}", {"password": WRONG})).status == 200

    assert (await clerk.call("GET", "/health")).status == 200
    assert (await clerk.call("GET", "/health", token=older)).verdict == (401, 1005)
    assert (await clerk.login(username=CLERK)).verdict == (401, 1005)
    assert (await clerk.login(WRONG, username=CLERK)).status == 200


async def test_the_tokens_of_a_deleted_user_open_nothing(town: Town, witness: Witness):
    clerk = await a_clerk(town)

    assert (await town.owner.call("DELETE", f"/users/{CLERK}")).status == 200

    await witness.refused(clerk.call("GET", "/health"), 401, 1005)
    await witness.refused(
        clerk.login(username=CLERK), 401, 1005, secrets=[CLERK_PASSWORD], hashes=1
    )


async def test_the_admin_account_cannot_be_removed(town: Town, witness: Witness):
    await witness.refused(town.owner.call("DELETE", "/users/admin"), 403, 1005)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("name", ["nobody", "ADMIN", "admin%00", "%ff", "admin'--", "..."])
async def test_an_unknown_user_is_not_found(town: Town, witness: Witness, method, name):
    body = {"password": CLERK_PASSWORD} if method == "PUT" else None

    await witness.refused(town.owner.call(method, f"/users/{name}", body), 404, 1006)


def _steady(reply: Reply) -> list[tuple[str, str]]:
    return [(name, value) for name, value in reply.headers if name not in ("date", "x-request-id")]
