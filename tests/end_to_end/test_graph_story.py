"""The story every release must be able to play, over Graph with curl.

After each step the other face is asked as well: what one of them did, ``/v1`` and Graph see at once.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from nightlatch.domain.limits import VERIFIED_LIFE
from tests.end_to_end.cloud import VERSION, Cloud, clocked_cloud, cloud
from tests.end_to_end.newcomer import curl
from tests.faults.processes import ClockFile, nightlatch
from tests.manager_client import OLIVIA, Browserless, text_of
from tests.people import CC, E164, NATIONAL, OWNER, THIEF

PRODUCT: Final = {"messaging_product": "whatsapp"}
_FIELDS: Final = "status,platform_type,code_verification_status,is_pin_enabled"
_JSON: Final = ("-H", "Content-Type: application/json")
_LOCKED: Final = (403, 1031)
_MOST: Final = 200

UNREGISTERED: Final = ("PENDING", "NOT_APPLICABLE")
ON_PREMISES: Final = ("CONNECTED", "ON_PREMISE")
ON_CLOUD: Final = ("CONNECTED", "CLOUD_API")
LET_GO: Final = ("DISCONNECTED", "NOT_APPLICABLE")


@dataclass
class Graph:
    """Somebody with an access token and curl."""

    cloud: Cloud

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        words = ["-X", method, "-H", f"Authorization: Bearer {self.cloud.access.token}"]
        if body is not None:
            words += [*_JSON, "-d", json.dumps(body)]
        return await curl(*words, f"{self.cloud.base}/{VERSION}/{path}")

    async def post(self, edge: str = "", **body: str) -> int:
        """0 when it is done, else the code of the error."""
        path = f"{self.cloud.access.number}/{edge}".rstrip("/")
        status, answer = await self.ask("POST", path, body)
        if status == 200:
            assert answer == {"success": True}
            return 0
        return int(answer["error"]["code"])

    async def details(self, edge: str, **body: str) -> str:
        """What the refusal says beside its code."""
        _, answer = await self.ask("POST", f"{self.cloud.access.number}/{edge}", body)
        return str(answer["error"]["error_data"]["details"])

    async def verify(self) -> None:
        """Ask for a code, read it from the phone, enter it."""
        assert await self.post("request_code", code_method="SMS", language="en_US") == 0
        assert await self.post("verify_code", code=await self.cloud.code()) == 0

    async def register(self, pin: str) -> int:
        return await self.post("register", **PRODUCT, pin=pin)

    async def sees(self) -> tuple[tuple[str, str], bool]:
        """Where the number is, and whether two-step verification is on."""
        path = f"{self.cloud.access.number}?fields={_FIELDS}"
        status, seen = await self.ask("GET", path)
        assert status == 200
        return (seen["status"], seen["platform_type"]), seen["is_pin_enabled"]


@dataclass
class OnPremises:
    """A client of ``/v1``, with the number's certificate and curl."""

    cloud: Cloud
    base: str
    password: str
    certificate: str = ""
    token: str = ""

    async def move_in(self) -> None:
        told = await asyncio.to_thread(
            nightlatch, "numbers", "certificate", E164, "--data", self.cloud.data
        )
        self.certificate = told.stdout.strip()
        await self.log_in("secret", json.dumps({"new_password": self.password}))

    async def log_in(self, password: str = "", body: str = "{}") -> None:
        basic = ("-u", f"admin:{password or self.password}")
        status, answer = await curl(*basic, *_JSON, "-d", body, f"{self._url}/users/login")
        assert status == 200, answer
        self.token = answer["users"][0]["token"]

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.cloud.port}{self.base}"

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        words = ["-X", method, "-H", f"Authorization: Bearer {self.token}"]
        if body is not None:
            words += [*_JSON, "-d", json.dumps(body)]
        return await curl(*words, f"{self._url}{path}")

    async def register(self, pin: str = "") -> tuple[int, int]:
        """Status and code of the error; 0 for none."""
        body = {"cc": CC, "phone_number": NATIONAL, "method": "sms", "cert": self.certificate}
        status, answer = await self.ask("POST", "/account", body | ({"pin": pin} if pin else {}))
        return status, answer["errors"][0]["code"] if "errors" in answer else 0

    async def takes_the_number(self, pin: str = "") -> None:
        assert await self.register(pin) == (202, 0)
        code = {"code": await self.cloud.code()}
        assert (await self.ask("POST", "/account/verify", code))[0] == 201

    async def set_pin(self, pin: str) -> int:
        return (await self.ask("POST", "/settings/account/two-step", {"pin": pin}))[0]

    async def turn_off(self) -> int:
        return (await self.ask("DELETE", "/settings/account/two-step"))[0]

    async def status(self) -> str:
        return str((await self.ask("GET", "/health"))[1]["health"]["gateway_status"])


@dataclass
class Scene:
    """Both faces of one server, and who stands before them."""

    cloud: Cloud
    graph: Graph
    v1: OnPremises
    thief: OnPremises

    async def letters(self) -> list[str]:
        """Whom a letter went to and which, the newest first."""
        told = await asyncio.to_thread(
            nightlatch, "mail", "list", "--json", "--data", self.cloud.data
        )
        return [f"{one['to']}: {one['letter']}" for one in json.loads(told.stdout)]


async def set_the_scene(cloud: Cloud) -> Scene:
    added = await asyncio.to_thread(
        nightlatch, "clients", "add", THIEF.client, "--data", cloud.data
    )
    assert added.returncode == 0, added.stderr
    owner = OnPremises(cloud, OWNER.base, OWNER.password)
    thief = OnPremises(cloud, THIEF.base, THIEF.password)
    await owner.move_in()
    await thief.move_in()
    return Scene(cloud, Graph(cloud), owner, thief)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with cloud(tmp_path) as running:
        yield await set_the_scene(running)


@pytest.fixture
async def clocked(tmp_path: Path) -> AsyncIterator[tuple[Scene, ClockFile]]:
    async with clocked_cloud(tmp_path) as (running, clock):
        yield await set_the_scene(running), clock


async def test_each_face_sees_at_once_what_the_other_one_did(scene: Scene):
    graph, v1 = scene.graph, scene.v1
    assert (await graph.sees(), await v1.status()) == ((UNREGISTERED, False), "unregistered")

    await graph.verify()
    assert await graph.register(OWNER.pin) == 0
    assert (await graph.sees(), await v1.status()) == ((ON_CLOUD, True), "unregistered")
    assert await v1.register() == (400, 1008)
    assert await v1.register(THIEF.wrong_pin) == (403, 1005)

    assert await graph.post(pin=OWNER.new_pin) == 0
    assert await v1.register(OWNER.pin) == (403, 1005)
    await v1.takes_the_number(OWNER.new_pin)
    assert (await graph.sees(), await v1.status()) == ((ON_PREMISES, True), "connected")
    assert await graph.post(pin=OWNER.pin) == 133010
    assert await graph.post("deregister") == 133010

    assert await v1.turn_off() == 200
    assert await graph.sees() == (ON_PREMISES, False)
    assert await v1.set_pin(OWNER.pin) == 200
    assert await graph.sees() == (ON_PREMISES, True)

    assert await graph.register(OWNER.new_pin) == 133005
    assert await v1.status() == "connected"
    assert await graph.register(OWNER.pin) == 0
    assert (await graph.sees(), await v1.status()) == ((ON_CLOUD, True), "disconnected")
    assert await v1.turn_off() == 412

    assert await graph.post("deregister") == 0
    assert await graph.sees() == (LET_GO, True)
    assert await v1.register() == (400, 1008)


async def test_the_thief_with_a_right_code_is_refused_and_locked_out_on_both_faces(
    clocked: tuple[Scene, ClockFile],
):
    scene, clock = clocked
    graph, v1, thief = scene.graph, scene.v1, scene.thief
    await v1.takes_the_number()
    assert await v1.set_pin(OWNER.pin) == 200
    clock.step(VERIFIED_LIFE)
    await v1.log_in()
    await thief.log_in()

    assert await graph.register(OWNER.pin) == 133006
    await graph.verify()
    assert await graph.post("register", **PRODUCT) == 100
    assert [await graph.register(THIEF.wrong_pin) for _ in range(5)] == [133005] * 5
    assert await graph.register(OWNER.pin) == 133009
    assert "seconds" in await graph.details("register", **PRODUCT, pin=OWNER.pin)
    assert await thief.register(OWNER.pin) == (429, 1015)
    assert await v1.register(OWNER.pin) == (429, 1015)
    assert await v1.status() == "connected"
    assert f"{OLIVIA.email}: first wrong guess" in await scene.letters()

    for _ in range(_MOST):
        clock.step(timedelta(days=1))
        await thief.log_in()
        refused = await thief.register(THIEF.wrong_pin)
        if refused == _LOCKED:
            break
        assert refused == (403, 1005)
    else:
        raise AssertionError("never locked")

    assert f"{OLIVIA.email}: number locked" in await scene.letters()
    await v1.log_in()
    await graph.verify()
    assert await graph.register(OWNER.pin) == 131031
    assert await v1.register(OWNER.pin) == _LOCKED
    assert (await graph.sees(), await v1.status()) == ((ON_PREMISES, True), "connected")


async def test_the_owner_who_forgot_the_pin_turns_it_off_by_the_mailed_link(scene: Scene):
    graph, v1 = scene.graph, scene.v1
    await graph.verify()
    assert await graph.register(OWNER.pin) == 0
    browser = Browserless(scene.cloud.port)
    await browser.sign_in(OLIVIA.email)
    page = f"/manager/numbers/{scene.cloud.access.number}/two-step/turn-off"

    await browser.get(page)
    assert (await browser.post(page)).status == 303
    assert await graph.sees() == (ON_CLOUD, True)
    link = await _link(scene)
    shown = await browser.get(link)
    assert shown.status == 200
    assert await graph.sees() == (ON_CLOUD, True)
    done = await browser.follow(await browser.post(link))

    assert "Two-step verification is off." in text_of(done)
    assert await graph.sees() == (ON_CLOUD, False)
    assert await v1.register() == (202, 0)
    assert await graph.post(pin=OWNER.new_pin) == 0
    assert await graph.sees() == (ON_CLOUD, True)
    assert await v1.register() == (400, 1008)
    assert await graph.register(OWNER.new_pin) == 0


async def _link(scene: Scene) -> str:
    """Path of the link in the newest letter that has one."""
    data = ("--json", "--data", scene.cloud.data)
    while True:
        listed = await asyncio.to_thread(nightlatch, "mail", "list", *data)
        for one in json.loads(listed.stdout):
            letter = await asyncio.to_thread(nightlatch, "mail", "show", one["key"], *data)
            told = json.loads(letter.stdout)
            if told.get("link"):
                return urlsplit(str(told["link"])).path
