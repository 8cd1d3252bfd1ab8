"""Looking for the bridge's secrets where none may be: Meta's tokens, app secrets, PINs and codes,
in logs, answers, metrics, letters, files, commands and on the process's command line."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightlatch.adapters.hashing import CHEAP
from nightlatch.adapters.system import SteadyClock
from nightlatch.bootstrap import open_house
from nightlatch.domain.limits import CLOUD_SETTLED
from nightlatch.settings import Settings
from nightlatch.testing import Controls
from nightlatch.usecases import clients, links
from nightlatch.usecases.linked import find_linked
from tests.faces.cli.conftest import Line
from tests.faults.processes import ClockFile, Process, serving, start_served
from tests.faults.test_secrets import Canaries, hits
from tests.people import OWNER
from tests.scripted_graph import WABA, Asked, ScriptedGraph, ScriptedNumber, a_scripted_graph
from tests.town import Api, a_house, exchange

NUMBER, SANDBOX = "+16315552001", "the-sandbox-token-of-the-bridge"
PRODUCT = "whatsapp_business_account"
_PATIENCE = 60  # a hang, not a goal


@dataclass
class Bridge:
    """A linked account with one number, and all that is secret about it."""

    data: Path
    graph: ScriptedGraph
    number: ScriptedNumber
    canaries: Canaries
    token: str
    secret: str
    verify_token: str = ""

    async def command(self, *words: str, **env: Any) -> str:
        """Run it; all that it prints may hold no secret."""
        done = await asyncio.to_thread(lambda: Line(self.data)(*words, **env))
        self.canaries.answers[f"nightlatch {' '.join(words)}"] = done.output.encode()
        return done.stdout

    def refuse_loudly(self, edge: str, code: int, *, status: int = 400) -> None:
        """The next call is refused with an error that repeats everything it was told."""
        known = " ".join([self.token, self.secret, *self.canaries.secrets.values()])
        error = {
            "code": code, "message": known, "error_data": {"details": known},
            "error_user_msg": known, "fbtrace_id": known,
        }  # fmt: skip
        self.graph.answers.setdefault((self.number.id, edge), []).append((status, {"error": error}))

    async def settled(self, controls: Controls) -> None:
        """Returns once the worker knows what became of the last call."""
        async with asyncio.timeout(_PATIENCE):
            while await self._is_open():
                seconds = int(CLOUD_SETTLED.total_seconds()) + 1
                await asyncio.to_thread(controls.call, "POST", "/clock", {"seconds": seconds})
                await asyncio.sleep(0.3)

    async def _is_open(self) -> bool:
        async with open_house(Settings(data=self.data), clock=SteadyClock, cost=CHEAP) as house:
            known = await find_linked(house.world, NUMBER)
            return known.under_way is not None or known.set_again


@asynccontextmanager
async def a_bridge(folder: Path) -> AsyncIterator[Bridge]:
    """Linked by the command, before anything serves."""
    canaries, data = Canaries(), folder / "data"
    token, secret = canaries.text("access token"), canaries.text("app secret")
    proof = hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()
    canaries.secrets["appsecret_proof"] = proof
    async with a_house(data) as house:
        await clients.log_in(house.world, "main", "admin", "secret", OWNER.password)
    async with a_scripted_graph(ScriptedGraph()) as graph:
        number = graph.add(ScriptedNumber("10660", NUMBER, verified=False))
        bridge = Bridge(data, graph, number, canaries, token, secret)
        told = await bridge.command(
            "cloud", "link", WABA, "--base", graph.base, "--set-again", "--json",
            NIGHTLATCH_CLOUD_TOKEN=token, NIGHTLATCH_CLOUD_SECRET=secret,
        )  # fmt: skip
        bridge.verify_token = canaries.secrets["verify token"] = json.loads(told)["verify_token"]
        printed = canaries.answers.popitem()[1]  # which shows the verify token, as it says
        canaries.answers["cloud link"] = printed.replace(bridge.verify_token.encode(), b"")
        assert {one.query["appsecret_proof"] for one in graph.asked} == {proof}
        yield bridge


async def _every_way(bridge: Bridge, port: int) -> None:
    """Registered, protected, refused, not answered: each with a PIN of its own."""
    graph, canaries, number = bridge.graph, bridge.canaries, bridge.number
    controls, heard = Controls(port, SANDBOX), canaries.heard
    owner = Api(port, "/v1", OWNER.password)
    assert (await owner.login()).status == 200
    register = {"phone_number": NUMBER[2:], "cert": "bm9uZQ=="}

    assert heard(await owner.register(canaries.digits("first PIN"), **register)).status == 202
    bridge.refuse_loudly("verify_code", 136025)
    assert heard(await owner.verify(canaries.digits("wrong code"))).verdict == (400, 1009)
    assert heard(await owner.verify(canaries.digits("code"))).status == 201
    assert heard(await owner.set_pin(canaries.digits("next PIN"))).status == 200
    wrong = await owner.register(canaries.digits("wrong PIN"), **register)
    assert heard(wrong).verdict == (403, 1005)
    for code, verdict in ((100, (400, 1014)), (190, (503, 1011)), (2, (503, 1011))):
        refused = canaries.digits(f"PIN refused with {code}")
        bridge.refuse_loudly("", code)
        assert heard(await owner.set_pin(refused)).verdict == verdict
    await bridge.settled(controls)
    for name, answer in (
        ("PIN and HTML", f"<html>{bridge.token}</html>".encode()),
        ("PIN and half an answer", b'{"success": tr'),
    ):
        graph.answers[number.id, ""] = [(500, answer)]
        assert heard(await owner.set_pin(canaries.digits(name))).verdict == (503, 1011)
        await bridge.settled(controls)

    async def fall_silent(_: Asked) -> None:
        await asyncio.Event().wait()

    graph.before = fall_silent
    assert heard(await owner.set_pin(canaries.digits("silent PIN"))).verdict == (503, 1011)
    graph.before = None
    await bridge.settled(controls)
    bridge.refuse_loudly("", 131031)
    assert heard(await owner.set_pin(canaries.digits("locked PIN"))).verdict == (403, 1031)
    assert heard(await owner.turn_off()).status == 200
    for place, pin in enumerate(number.pins):
        canaries.secrets[f"PIN {place} at Meta"] = pin


async def _webhooks(bridge: Bridge, port: int) -> None:
    """Meta's, and such that only look like it."""
    canaries, path = bridge.canaries, links.callback_path(WABA)
    forged = canaries.text("forged verify token")
    for token, status in ((bridge.verify_token, 200), (forged, 403)):
        query = f"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}"
        reply = canaries.heard(await exchange(port, "GET", f"{path}?{query}"))
        assert reply.status == status
    change = {"display_phone_number": NUMBER[1:], "event": "PIN_RESET_REQUEST", "requester": "1"}
    entry = {"id": WABA, "time": 1, "changes": [{"field": "security", "value": change}]}
    true = json.dumps({"object": PRODUCT, "entry": [entry]}).encode()
    odd = f'{{"{bridge.token} {bridge.secret}'.encode()
    for body, secret, status in (
        (true, bridge.secret, 200), (odd, bridge.secret, 400), (true, forged, 403),
    ):  # fmt: skip
        sign = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        canaries.secrets[f"signature {len(canaries.secrets)}"] = sign.removeprefix("sha256=")
        headers = [("X-Hub-Signature-256", sign), ("Content-Type", "application/json")]
        reply = await exchange(port, "POST", path, headers=headers, body=body)
        assert canaries.heard(reply).status == status


async def _commands(bridge: Bridge) -> None:
    """Those that may know a secret, and do not show it unless that is what they are for."""
    bridge.refuse_loudly("", 100)
    await bridge.command("vault", "set", NUMBER, NIGHTLATCH_PIN=bridge.canaries.digits("set PIN"))
    bridge.graph.answers[WABA, "subscribed_apps"] = [(400, {"error": {"code": 190}})]
    for words in (
        ["cloud", "subscribe", WABA], ["cloud", "show", WABA], ["cloud", "number", NUMBER],
        ["doctor", "--json"], ["audit", "export"],
    ):  # fmt: skip
        await bridge.command(*words)


async def _wrong_again(bridge: Bridge, port: int) -> None:
    """What is logged of refusals."""
    owner, heard = Api(port, "/v1", OWNER.password), bridge.canaries.heard
    assert (await owner.login()).status == 200
    wrong = bridge.canaries.digits("other wrong PIN")
    reply = await owner.register(wrong, phone_number=NUMBER[2:], cert="bm9uZQ==")
    assert heard(reply).verdict == (403, 1005)
    assert heard(await owner.set_pin(bridge.canaries.digits("late PIN"))).verdict == (429, 1015)
    await _webhooks(bridge, port)


@asynccontextmanager
async def _debugging(bridge: Bridge, form: str, texts: dict[str, bytes]) -> AsyncIterator[Process]:
    """A bridge that logs all it can; what it and others tell of it is in *texts* at the end."""
    chosen = ("--log-level", "debug", "--log-format", form, "--cloud-seconds", "2")
    running = serving(bridge.data, *chosen, NIGHTLATCH_SANDBOX_TOKEN=SANDBOX)
    server = await asyncio.to_thread(running.__enter__)
    try:
        yield server
        letters = await asyncio.to_thread(Controls(server.port, SANDBOX).call, "GET", "/mail")
        texts[f"letters ({form})"] = json.dumps(letters).encode()
        texts[f"metrics ({form})"] = await _metrics(server)
        texts[f"command line ({form})"] = Path(f"/proc/{server.pid}/cmdline").read_bytes()
        assert await asyncio.to_thread(server.stop) == 0
        texts[f"stdout ({form})"] = server.out.read_bytes()
        texts[f"stderr ({form})"] = server.err.read_bytes()
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


async def test_no_secret_of_the_bridge_is_where_it_may_not_be(tmp_path: Path):
    texts: dict[str, bytes] = {}
    async with a_bridge(tmp_path) as bridge:
        data, canaries = bridge.data, bridge.canaries
        async with _debugging(bridge, "json", texts) as server:
            await _every_way(bridge, server.port)
            await _webhooks(bridge, server.port)
            files = {f"{path.name} (running)": path.read_bytes() for path in data.glob("*.db*")}
        async with _debugging(bridge, "console", texts) as server:
            await _wrong_again(bridge, server.port)
        await _commands(bridge)

    texts |= canaries.answers
    files |= {path.name: path.read_bytes() for path in data.glob("*.db*")}
    assert hits(canaries.secrets, texts, words=True) == []
    assert hits(canaries.secrets, files) == []
    for form in ("json", "console"):  # and all these places hold what is no secret
        assert b"POST_v1_account" in texts[f"stderr ({form})"]
        assert NUMBER[-10:].encode() in texts[f"letters ({form})"].replace(b"-", b"")
        assert b"nightlatch_refusals" in texts[f"metrics ({form})"]
        assert b"--log-level" in texts[f"command line ({form})"]
    assert WABA.encode() in files["nightlatch.db"]
    assert NUMBER.encode() in texts[f"nightlatch cloud number {NUMBER}"].replace(b" ", b"")


async def _metrics(server: Process) -> bytes:
    owner = Api(server.port, "/v1", OWNER.password)
    await owner.login()
    headers = [("Authorization", f"Bearer {owner.token}")]
    reply = await exchange(server.port, "GET", "/metrics?format=prometheus", headers=headers)
    assert reply.status == 200
    return reply.raw


async def test_a_bug_in_what_speaks_to_meta_is_logged_and_answered_without_a_secret(
    tmp_path: Path,
):
    async with a_bridge(tmp_path) as bridge:
        canaries, clock = bridge.canaries, ClockFile(tmp_path / "clock")
        server = start_served(bridge.data, clock, "--share", "--broken", "loud-cloud")
        try:
            await asyncio.to_thread(server.wait_until_ready)
            owner = Api(server.port, "/v1", OWNER.password)
            assert (await owner.login()).status == 200
            pin = canaries.digits("PIN")
            cert = {"phone_number": NUMBER[2:], "cert": "bm9uZQ=="}
            reply = canaries.heard(await owner.register(pin, **cert))
            assert await asyncio.to_thread(server.stop) == 0
        finally:
            server.end()

    assert reply.verdict == (500, 1014)
    texts = {**canaries.answers, "stderr": server.err.read_bytes()}
    assert b'"event": "bug"' in texts["stderr"]
    assert hits(canaries.secrets, texts, words=True) == []
