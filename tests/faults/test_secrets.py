"""Looking for secrets where none may be: in a stolen database, in logs, metrics, files, backups."""

import asyncio
import base64
import json
import multiprocessing
import re
import secrets
import sqlite3
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
from argon2.low_level import Type, hash_secret_raw

from nightlatch.adapters.hashing import CHEAP
from nightlatch.adapters.keyring import KeyRing
from nightlatch.domain.errors import Unavailable
from nightlatch.faces.metrics import Metrics
from nightlatch.faces.onprem.routes import NOT_SERVED, served
from nightlatch.ports import bound_to
from tests.faults.processes import nightlatch, serving
from tests.people import E164, NAME, OWNER
from tests.town import Api, Reply, a_town, exchange

_HASH = 32


# A stolen database


def _guess(salt: bytes, first: int, last: int, haystack: frozenset[bytes]) -> list[str]:
    """Which of the PINs *first* to *last* have a hash that stands in *haystack*."""
    cost = CHEAP.passes, CHEAP.memory, CHEAP.lanes, _HASH, Type.ID
    return [
        pin
        for pin in (f"{n:06d}" for n in range(first, last))
        if hash_secret_raw(pin.encode(), salt, *cost) in haystack
    ]


def _windows(data: bytes) -> set[bytes]:
    """Every run of bytes that could be a hash."""
    return {data[at : at + _HASH] for at in range(len(data) - _HASH + 1)}


def _try_every_pin(salt: bytes, haystacks: list[frozenset[bytes]]) -> list[list[str]]:
    """All 10^6 PINs, each hashed once, against each haystack."""
    together = frozenset().union(*haystacks)
    step = 50_000
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as crew:
        parts = [
            crew.submit(_guess, salt, first, first + step, together)
            for first in range(0, 1_000_000, step)
        ]
        found = [pin for part in parts for pin in part.result()]
    return [[pin for pin in found if _guess(salt, int(pin), int(pin) + 1, h)] for h in haystacks]


async def test_a_stolen_database_matches_none_of_all_pins_and_with_the_key_ring_exactly_one(
    tmp_path: Path,
):
    async with a_town(tmp_path / "data") as town:
        await town.owner_is_protected()
    stolen = b"".join(path.read_bytes() for path in sorted((tmp_path / "data").glob("*.db*")))
    with closing(sqlite3.connect(tmp_path / "data" / "nightlatch.db")) as database:
        number, verifier = database.execute("SELECT id, pin_verifier FROM numbers").fetchone()
    ring = KeyRing(tmp_path / "data" / "keyring.json")
    other = KeyRing.create(tmp_path / "other.json", town.clock.now())
    opened = ring.unseal(verifier, bound_to("pin", str(number)))
    salt = opened[-_HASH - 16 : -_HASH]  # sealed, too; the thief gets it as a present

    without, with_ring = _try_every_pin(
        salt, [frozenset(_windows(stolen)), frozenset(_windows(opened))]
    )

    assert verifier in stolen
    assert without == []
    assert with_ring == [OWNER.pin]
    assert salt not in stolen
    with pytest.raises(Unavailable):
        other.unseal(verifier, bound_to("pin", str(number)))


# Canaries


def forms(secret: str) -> dict[str, bytes]:
    """How *secret* may stand somewhere: plain, reversed, hex, base64 at any offset, URL-coded."""
    raw = secret.encode()
    found = {
        "plain": raw,
        "reversed": raw[::-1],
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "url": quote(secret, safe="").encode(),
        "URL": "".join(f"%{byte:02X}" for byte in raw).encode(),
        "url small": "".join(f"%{byte:02x}" for byte in raw).encode(),
    }
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + raw)
        inner = text[(shift * 8 + 5) // 6 : (shift + len(raw)) * 8 // 6]
        found[f"base64 {shift}"] = inner
        found[f"base64url {shift}"] = inner.translate(bytes.maketrans(b"+/", b"-_"))
    return found


def hits(canaries: dict[str, str], places: dict[str, bytes], *, words: bool = False) -> list[str]:
    """Every canary that stands anywhere in *places*, in any form.

    With *words*, six digits inside a longer number or a request id are chance, not a hit.
    """
    found = []
    for name, secret in canaries.items():
        for form, needle in forms(secret).items():
            pattern = re.escape(needle)
            if words and needle.isdigit():
                pattern = rb"(?<![0-9a-f.])" + pattern + rb"(?![0-9a-f])"
            found += [
                f"{name} ({form}) in {place}"
                for place, text in places.items()
                if re.search(pattern, text)
            ]
    return found


@pytest.mark.parametrize("form", forms("4711-Canary").keys())
def test_the_search_finds_a_planted_canary_in_every_form(form: str):
    secret = "4711-Canary/+~"
    text = b"..." + forms(secret)[form] + b"..."

    assert any(f"({form})" in hit for hit in hits({"it": secret}, {"there": text}))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b'{"pin": "471147"}', True),
        (b"pin=471147\n", True),
        (b"2026-01-15T12:00:00.471147Z", False),
        (b'"request_id": "a471147f00"', False),
    ],
)
def test_the_search_in_text_tells_a_pin_from_a_part_of_a_longer_number(text: bytes, found: bool):
    assert bool(hits({"it": "471147"}, {"there": text}, words=True)) == found


@pytest.mark.parametrize("shift", range(6))
def test_the_search_finds_a_canary_inside_a_longer_base64_text(shift: int):
    text = base64.b64encode(b"x" * shift + b"4711-Canary" + b"y" * 5)

    assert hits({"it": "4711-Canary"}, {"there": text})


@dataclass
class Canaries:
    """Secrets that nothing else would contain, some right, some wrong."""

    secrets: dict[str, str] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)

    def digits(self, name: str) -> str:
        return self._keep(name, f"{secrets.randbelow(10**6):06d}")

    def password(self, name: str) -> str:
        return self._keep(name, f"Aa1!{secrets.token_hex(8)}")

    def text(self, name: str) -> str:
        return self._keep(name, f"canary{secrets.token_hex(10)}")

    def _keep(self, name: str, secret: str) -> str:
        self.secrets[name] = secret
        return secret

    def heard(self, reply: Reply) -> Reply:
        """Answers may not repeat a secret either; but a login hands out its token."""
        if not (reply.status == 200 and b'"token"' in reply.raw):
            self.answers[f"answer {len(self.answers)}"] = reply.raw
        return reply


async def _every_endpoint_with_nonsense(port: int, token: str, canaries: Canaries) -> None:
    """Each path and method there is, with canaries wherever a client may put something."""
    paths = {(route.method, route.path) for route in served(Metrics())}
    paths |= {(method, path) for path, methods in NOT_SERVED.items() for method in methods}
    fields = (
        "pin", "code", "password", "new_password", "cert", "username", "method", "cc",
        "phone_number", "shards", "other",
    )  # fmt: skip
    odd = canaries.text("nonsense in a body")
    bad_token, bad_key = canaries.text("unknown token"), canaries.text("wrong API key")
    bad_login = canaries.password("wrong password")
    basic = base64.b64encode(f"admin:{bad_login}".encode()).decode()
    json_type = ("Content-Type", "application/json")
    for method, template in sorted(paths):
        path = template.replace("{", "").replace("}", "")
        if path == "/users/logout":
            continue  # would end the token that the others need
        for authorization in (
            f"Bearer {token}", f"Bearer {bad_token}", f"Apikey {bad_key}", f"Basic {basic}",
        ):  # fmt: skip
            headers = [("Authorization", authorization), json_type]
            for body in (
                json.dumps(dict.fromkeys(fields, odd)).encode(),
                json.dumps({"pin": odd}).encode(),
                f'{{"pin": {odd}'.encode(),
            ):
                canaries.heard(
                    await exchange(port, method, f"/v1{path}", headers=headers, body=body)
                )
        for target in (f"/v1{path}?pin={odd}&token={odd}", f"/v1{path}/{odd}", f"/{odd}"):
            canaries.heard(
                await exchange(port, method, target, headers=[("Authorization", f"Bearer {token}")])
            )
    canaries.heard(await exchange(port, "GET", f"/v1/users/{odd}", headers=[("X-Pin", odd)]))
    canaries.heard(await exchange(port, "GET", "/v1/health", host=odd))


async def _the_story(server_port: int, data: Path, canaries: Canaries) -> str:
    """Registered, protected, attacked, changed: every secret is used rightly and wrongly."""
    password, pin, new_pin, wrong_pin = (
        canaries.password("admin password"), canaries.digits("PIN"), canaries.digits("new PIN"),
        canaries.digits("wrong PIN"),
    )  # fmt: skip
    user_password, next_password = (
        canaries.password("user password"), canaries.password("next password"),
    )  # fmt: skip
    owner = Api(server_port, "/v1", password)
    await owner.move_in()
    canaries.secrets["token"] = owner.token.rpartition(".")[2]
    canaries.secrets["token name"] = owner.token.split(".")[1]
    owner.certificate = nightlatch("numbers", "certificate", E164, "--data", data).stdout.strip()
    heard = canaries.heard
    assert heard(await owner.register()).status == 202
    shown = await asyncio.to_thread(nightlatch, "codes", E164, "--plain", "--data", data)
    code = canaries.secrets["registration code"] = shown.stdout.strip()
    wrong_code = canaries.digits("wrong code")
    assert heard(await owner.verify(wrong_code)).status == 400
    assert heard(await owner.verify(code)).status == 201
    assert heard(await owner.verify(code)).status == 400
    assert heard(await owner.set_pin(pin)).status == 200
    assert heard(await owner.register(pin)).status == 201
    assert heard(await owner.set_pin(new_pin)).status == 200
    assert heard(await owner.register(new_pin)).status == 201
    for _ in range(6):
        assert heard(await owner.register(wrong_pin)).status in (403, 429)
    users = {"username": "somebody", "password": user_password}
    assert heard(await owner.call("POST", "/users", users)).status == 201
    assert heard(await owner.call("POST", "/users", users)).status == 400
    changed = await owner.call("PUT", "/users/somebody", {"password": next_password})
    assert heard(changed).status == 200
    return owner.token


async def test_no_secret_reaches_logs_metrics_answers_files_or_backups(tmp_path: Path):
    data = tmp_path / "data"
    canaries = Canaries()
    key = canaries.text("API key")[:40]

    with serving(data, "--log-level", "debug", "--log-format", "json", WA_API_KEY=key) as server:
        token = await _the_story(server.port, data, canaries)
        await _every_endpoint_with_nonsense(server.port, token, canaries)
        by_key = [("Authorization", f"Apikey {key}")]
        for target in ("/v1/health", "/metrics", "/metrics?format=prometheus"):
            reply = await exchange(server.port, "GET", target, headers=by_key)
            assert reply.status == 200, target
            canaries.heard(reply)
        copied = await asyncio.to_thread(
            nightlatch, "backup", tmp_path / "backup.db", "--data", data
        )
        assert copied.returncode == 0, copied.stderr
        running = _contents(data)
        assert server.stop() == 0

    texts = {
        **canaries.answers,
        "stdout": server.out.read_bytes(),
        "stderr": server.err.read_bytes(),
        "backup command": (copied.stdout + copied.stderr).encode(),
    }
    files = {
        **{f"{name} (running)": text for name, text in running.items()},
        **_contents(data),
        "backup": (tmp_path / "backup.db").read_bytes(),
    }
    assert hits(canaries.secrets, texts, words=True) == []
    assert hits(canaries.secrets, files) == []
    assert texts["stderr"].count(b'"route"') > 500  # it did log
    assert NAME.encode() in files["backup"]  # and the files do hold what is no secret
    assert {"nightlatch.db", "nightlatch.db-wal (running)"} <= files.keys()


def _contents(data: Path) -> dict[str, bytes]:
    """Every file of the data folder but the key ring."""
    return {
        path.name: path.read_bytes()
        for path in data.rglob("*")
        if path.is_file() and path.name != "keyring.json"
    }
