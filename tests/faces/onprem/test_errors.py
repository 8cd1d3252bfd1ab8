"""The catalogue of refusals: every row is met, every documented path answers, roles hold."""

import asyncio
import inspect
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from nightlatch.adapters.hashing import Argon2Pool
from nightlatch.adapters.system import SteppedClock
from nightlatch.domain import errors
from nightlatch.domain.errors import Overloaded, Refusal
from nightlatch.faces.metrics import Metrics
from nightlatch.faces.onprem.errors import ELSEWHERE, ROWS, TITLES
from nightlatch.faces.onprem.routes import NOT_SERVED, served
from nightlatch.faces.onprem.wire import Access, Route
from tests.faces.onprem.test_users import CLERK, a_clerk
from tests.faces.onprem.witness import GUESS, LOGIN, Witness
from tests.people import OWNER, THIEF
from tests.town import Api, Town, a_town, exchange

ROUTES = served(Metrics())
META_DOCUMENT = Path(__file__).parents[3] / ".." / "shared" / "reference" / "onprem-openapi.yaml"

PINNED = {
    "LoginRefused": (401, 1005),
    "TokenRefused": (401, 1005),
    "LoginWait": (429, 1015),
    "AdminOnly": (403, 1005),
    "PasswordChangeRequired": (403, 1024),
    "PinNeeded": (400, 1008),
    "ParameterMissing": (400, 1008),
    "ParameterInvalid": (400, 1009),
    "ParameterUnexpected": (400, 1010),
    "UserExists": (400, 1014),
    "UserUnknown": (404, 1006),
    "ClientUnknown": (404, 1006),
    "AdminStays": (403, 1005),
    "TooManyUsers": (400, 1014),
    "CertificateRefused": (403, 1005),
    "RegistrationWait": (429, 1015),
    "WrongPin": (403, 1005),
    "GuessWait": (429, 1015),
    "NumberLocked": (403, 1031),
    "CodesSpent": (429, 1015),
    "CodeWait": (429, 1015),
    "WrongCode": (400, 1009),
    "NoCodePending": (400, 1009),
    "RegistrationOutdated": (400, 1009),
    "NoNumberHeld": (412, 1011),
    "CodeNeeded": (400, 1009),
    "NotOnCloud": (412, 1011),
    "LedgerWait": (429, 1015),
    "OutcomeUnknown": (503, 1011),
    "CloudUnreached": (503, 1011),
    "CloudAccessLost": (503, 1011),
    "CloudCallsSpent": (429, 1015),
    "CloudLocked": (403, 1031),
    "CloudIncomplete": (503, 1011),
    "CloudRefused": (400, 1014),
    "NameNeeded": (403, 1005),
    "NameNotApproved": (403, 1005),
    "HeldElsewhere": (403, 1005),
    "OnBusinessApp": (403, 1005),
    "TurnOffElsewhere": (403, 1005),
    "PinNotInVault": (400, 1008),
    "LinkedNumberUnknown": (404, 1006),
    "LinkUnknown": (503, 1011),
    "LinkedNumberHeld": (403, 1005),
    "Unavailable": (503, 1011),
    "Overloaded": (503, 1016),
    "PathUnknown": (404, 1006),
    "NotServed": (404, 1006),
    "MethodNotAllowed": (405, 1025),
    "BodyTooLarge": (413, 1025),
    "RequestMalformed": (400, 1025),
}
"""What old clients may rely on. A change here breaks somebody."""


# The catalogue


def test_status_and_code_of_every_refusal_are_pinned():
    assert {one.__name__: (row.status, row.code) for one, row in ROWS.items()} == PINNED


def test_every_refusal_of_the_domain_has_a_row_or_is_met_elsewhere():
    named = {
        one
        for name, one in inspect.getmembers(errors, inspect.isclass)
        if issubclass(one, Refusal) and one is not Refusal and not name.startswith("_")
    }

    assert named == set(ROWS) | ELSEWHERE
    assert not set(ROWS) & ELSEWHERE


@pytest.mark.parametrize("code", TITLES)
async def test_the_page_of_a_code_names_every_refusal_that_has_it(town: Town, code):
    reply = await exchange(town.port, "GET", f"/docs/errors/{code}")

    page = reply.raw.decode()
    assert reply.status == 200
    assert reply.header("Content-Type") == "text/html; charset=utf-8"
    assert f"<h1>{code} {TITLES[code]}</h1>" in page
    for refusal, row in ROWS.items():
        assert (f"<td>{refusal.__name__}</td>" in page) == (row.code == code)


@pytest.mark.parametrize("code", ["1", "1007", "-1005", "x", "1005x", "99999999999999999999"])
async def test_a_code_that_is_not_used_has_no_page(town: Town, code):
    assert (await exchange(town.port, "GET", f"/docs/errors/{code}")).verdict == (404, 1006)


# Documented and not served


def filled(path: str) -> str:
    """A path with something in each of its places."""
    return "/".join("x1" if part.startswith("{") else part for part in path.split("/"))


def documented_by_meta() -> Iterator[tuple[str, str]]:
    """Method and path of everything in Meta's own document; without it, of our own list."""
    if META_DOCUMENT.exists():
        document = yaml.safe_load(META_DOCUMENT.read_text())
        for path, operations in document["paths"].items():
            for method in operations:
                if method in ("get", "put", "post", "patch", "delete"):
                    yield method.upper(), path
    for path, methods in NOT_SERVED.items():
        for method in methods:
            yield method, path


async def test_every_documented_path_is_served_or_refused_cleanly(town: Town, witness: Witness):
    """Meta's document is read when it lies beside this repository. Elsewhere only the list in
    ``routes.py`` is tried, so a documented path that is missing from that list goes unnoticed.
    """
    ours = {(route.method, filled(route.path)) for route in ROUTES}
    tried = 0

    for method, path in sorted(set(documented_by_meta())):
        if (method, filled(path)) in ours or path.startswith("/users/{"):
            continue
        for base in ("/v1", THIEF.base):
            await witness.refused(exchange(town.port, method, base + filled(path)), 404, 1006)
        tried += 1

    assert tried >= 50


@pytest.mark.parametrize("path", NOT_SERVED)
async def test_a_wrong_method_on_a_documented_path_is_told_the_right_ones(town: Town, path):
    wrong = {"GET", "POST", "PUT", "PATCH", "DELETE"} - set(NOT_SERVED[path])

    for method in sorted(wrong):
        reply = await exchange(town.port, method, "/v1" + filled(path))

        assert reply.verdict == (405, 1025)
        allowed = (reply.header("Allow") or "").split(", ")
        assert set(allowed) == set(NOT_SERVED[path])
        assert all(name in reply.error["details"] for name in allowed)


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES}))
async def test_a_wrong_method_on_a_served_path_is_told_the_right_ones(
    town: Town, witness: Witness, path
):
    right = {route.method for route in ROUTES if route.path == path}

    for method in sorted({"GET", "POST", "PUT", "PATCH", "DELETE"} - right):
        reply = await witness.refused(
            town.owner.call(method, filled(path), {"pin": OWNER.pin}),
            405,
            1025,
            secrets=[OWNER.pin],
        )
        assert set((reply.header("Allow") or "").split(", ")) == right


# Who may


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.access is Access.ADMIN], ids=lambda r: r.name
)
async def test_row_21_an_ordinary_user_is_refused_before_anything_is_read(
    town: Town, witness: Witness, route: Route
):
    await town.owner_is_protected()
    clerk = await a_clerk(town)
    body = b'{"pin": "not even JSON' if route.fields else None

    await witness.refused(clerk.call(route.method, filled(route.path), body), 403, 1005)


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.access is not Access.LOGIN], ids=lambda r: r.name
)
async def test_every_call_but_the_login_needs_a_token_before_anything_is_read(
    town: Town, witness: Witness, route: Route
):
    body = b'{"pin": "not even JSON' if route.fields else None

    reply = await witness.refused(
        town.owner.call(route.method, filled(route.path), body, token=""), 401, 1005
    )

    assert reply.header("WWW-Authenticate") == 'Bearer realm="nightlatch"'


async def test_an_ordinary_user_reads_health_and_metrics_and_logs_out(town: Town):
    clerk = await a_clerk(town)

    replies = [
        await clerk.call("GET", "/health"),
        await clerk.call("GET", "/metrics"),
        await clerk.call("GET", f"/users/{CLERK}"),
        await clerk.call("POST", "/users/logout"),
    ]

    assert [reply.status for reply in replies] == [200] * 4


# What we cannot do just now


@asynccontextmanager
async def every_place_taken(pool: Argon2Pool) -> AsyncIterator[None]:
    async with AsyncExitStack() as taken:
        full = False
        while not full:
            try:
                await taken.enter_async_context(pool.place())
            except Overloaded:
                full = True
        yield


async def test_an_overloaded_server_says_so_and_counts_nothing(town: Town, witness: Witness):
    await town.owner_is_protected()
    owner, thief = town.owner, town.thief
    secrets = [OWNER.pin, OWNER.password, THIEF.wrong_pin]
    body = {"username": CLERK, "password": OWNER.password}

    async with every_place_taken(town.house.pool):
        for answer in (
            thief.register(THIEF.wrong_pin),
            owner.register(OWNER.pin),
            owner.set_pin(OWNER.new_pin),
            owner.login(),
            owner.login("wrong"),
            owner.call("POST", "/users", body),
            owner.call("PUT", "/users/admin", {"password": OWNER.password}),
        ):
            reply = await witness.refused(answer, 503, 1016, secrets=secrets)
            assert reply.header("Retry-After") == "1"
        assert (await owner.call("GET", "/health")).status == 200
        assert (await owner.turn_off()).status == 200

    assert (await owner.set_pin(OWNER.pin)).status == 200


async def test_a_store_that_takes_no_writes_compares_nothing_and_recovers(
    town: Town, witness: Witness
):
    await town.owner_is_protected()
    owner, thief = town.owner, town.thief
    other = sqlite3.connect(town.house.settings.database_file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    before = witness.rows()
    answers = await asyncio.gather(
        thief.register(THIEF.wrong_pin),
        owner.register(OWNER.pin),
        owner.turn_off(),
        owner.login(),
        owner.call("POST", "/users/logout"),
    )
    computed = town.house.pool.computed
    reading = await owner.call("GET", "/health")
    assert witness.rows() == before
    await witness.refused(thief.register(THIEF.wrong_pin), 503, 1011, secrets=[THIEF.wrong_pin])
    other.execute("ROLLBACK")
    other.close()

    assert [reply.verdict for reply in answers] == [(503, 1011)] * 5
    assert {reply.header("Retry-After") for reply in answers} == {"1"}
    assert reading.status == 200
    assert town.house.pool.computed == computed
    assert (await owner.register(OWNER.pin)).status == 201


async def test_row_61_without_its_key_ring_the_server_compares_nothing_and_makes_no_new_one(
    town: Town, witness: Witness
):
    await town.owner_is_protected()
    ring = town.house.settings.keyring_file
    away = ring.with_name("put away")
    ring.rename(away)

    await witness.refused(
        town.thief.register(THIEF.wrong_pin),
        503,
        1011,
        secrets=[THIEF.wrong_pin],
        may_change=GUESS,
    )
    await witness.refused(
        town.owner.register(OWNER.pin), 503, 1011, secrets=[OWNER.pin], may_change=GUESS
    )
    await witness.refused(town.owner.login(), 503, 1011, secrets=[OWNER.password], may_change=LOGIN)
    reading = await town.owner.call("GET", "/health")
    made_anew = ring.exists()
    away.rename(ring)

    assert reading.status == 200
    assert not made_anew
    assert (await town.owner.register(OWNER.pin)).status == 201
    assert (await town.owner.login()).status == 200


async def test_row_61_a_key_ring_that_others_may_read_opens_nothing(town: Town, witness: Witness):
    await town.owner_is_protected()
    ring = town.house.settings.keyring_file
    whole = ring.read_text()
    ring.write_text(whole + " ")
    ring.chmod(0o644)

    await witness.refused(
        town.owner.register(OWNER.pin), 503, 1011, secrets=[OWNER.pin], may_change=GUESS
    )
    ring.chmod(0o600)

    assert (await town.owner.register(OWNER.pin)).status == 201


async def test_row_61_a_key_that_the_ring_lost_opens_nothing_until_it_is_back(
    town: Town, witness: Witness
):
    await town.owner_is_protected()
    house = town.house
    whole = house.settings.keyring_file.read_text()
    old = {key.kid for key in house.keyring.listed()}
    house.keyring.write_with_next(house.clock.now())
    house.keyring.drop_keys(old)

    await witness.refused(town.thief.register(THIEF.wrong_pin), 503, 1011, may_change=GUESS)
    house.settings.keyring_file.write_text(whole)

    assert (await town.owner.register(OWNER.pin)).status == 201


# A bug


class BrokenClock(SteppedClock):
    """A clock that fails when told to: nothing the product expects."""

    def __init__(self, not_before: datetime | None = None) -> None:
        super().__init__(not_before)
        self.broken = ""

    def now(self) -> datetime:
        if self.broken:
            raise ZeroDivisionError(self.broken)
        return super().now()


async def test_a_bug_is_answered_500_and_logged_without_what_was_sent(tmp_path: Path, log):
    async with a_town(tmp_path / "data", clock=BrokenClock) as town:
        await town.owner_is_protected()
        clock: BrokenClock = town.clock  # type: ignore[assignment]  # given to a_town above
        clock.broken = f"division of {OWNER.pin} by zero"

        reply = await town.owner.register(OWNER.pin)
        clock.broken = ""
        after = await town.owner.register(OWNER.pin)
        page = await exchange(town.port, "GET", "/docs/errors/1014")

    assert reply.verdict == (500, 1014)
    assert reply.error["title"] == TITLES[1014]
    assert page.status == 200
    assert OWNER.pin not in reply.raw.decode()
    assert OWNER.pin not in log.getvalue()
    assert '"error": "ZeroDivisionError"' in log.getvalue()
    assert reply.header("X-Request-Id") in log.getvalue()
    assert after.status == 201


async def test_an_unknown_path_is_not_found_whatever_is_sent_along(town: Town, witness: Witness):
    for base in ("", "/v1", "/v2", "/clients", "/clients/thief", "/clients/thief/v2"):
        for method in ("GET", "POST", "DELETE"):
            api = Api(town.port, base, "", token=town.owner.token)
            body = {"pin": OWNER.pin} if method == "POST" else None
            await witness.refused(
                api.call(method, "/nowhere", body), 404, 1006, secrets=[OWNER.pin]
            )
