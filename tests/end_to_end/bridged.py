"""Two real servers: one is Meta (its Graph face), the other one a bridge to it; and old clients."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from nightlatch.adapters.hashing import CHEAP
from nightlatch.adapters.system import SteadyClock
from nightlatch.bootstrap import House, free_port, open_house
from nightlatch.domain.access import Scope
from nightlatch.domain.ledger import Act
from nightlatch.domain.limits import CLOUD_SETTLED
from nightlatch.domain.linked import LinkedNumber
from nightlatch.settings import Settings
from nightlatch.testing import Controls
from nightlatch.usecases import access, clients, links, members, numbers, vault
from nightlatch.usecases.linked import find_linked
from nightlatch.usecases.numbers import find_number
from nightlatch.usecases.vault import Revealed
from tests.end_to_end.cloud import VERSION, Access, give_access
from tests.faults.processes import Process
from tests.manager_client import OLIVIA, PASSWORD
from tests.people import CC, NAME, OWNER, THIEF
from tests.town import Api, Reply, a_house, exchange

SHOPS: Final = 30
VERIFY_TOKEN: Final = "the-verify-token-of-the-bridge"
SECONDS: Final = 2
"""What a call of the bridge may take."""
SETTLED: Final = CLOUD_SETTLED + timedelta(seconds=1)
_SANDBOX: Final = "the-sandbox-token-of-both-servers"
_PATIENCE: Final = 60  # a hang, not a goal


class Server:
    """``nightlatch serve`` on ports that it keeps when it is started again."""

    def __init__(self, data: Path, **env: str) -> None:
        self.data, self.port, self.graph_port = data, free_port(), free_port()
        self.controls = Controls(self.port, _SANDBOX)
        self._env = {"NIGHTLATCH_SANDBOX_TOKEN": _SANDBOX, **env}
        self.process: Process | None = None

    def start(self) -> "Server":
        ports = ["--port", str(self.port), "--graph-port", str(self.graph_port)]
        words: list[str | Path] = ["-m", "nightlatch", "serve", "--data", self.data, *ports]
        self.process = Process(words, self.port, self.data.parent, **self._env)
        self.process.wait_until_ready()
        return self

    @property
    def running(self) -> Process:
        assert self.process is not None
        return self.process

    def end(self) -> None:
        """Whatever state it is in, gone afterwards."""
        if self.process is not None:
            self.process.end()

    def freeze(self) -> None:
        self.running.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.running.send(signal.SIGCONT)

    def step(self, by: timedelta) -> None:
        self.controls.call("POST", "/clock", {"seconds": int(by.total_seconds())})

    @property
    def graph(self) -> str:
        """Where ``https://graph.facebook.com`` is otherwise."""
        return f"http://127.0.0.1:{self.graph_port}"

    @asynccontextmanager
    async def house(self) -> AsyncIterator[House]:
        """The data folder beside the running server, as a command opens it."""
        settings = Settings(data=self.data, private_receivers=True)
        async with open_house(settings, clock=SteadyClock, cost=CHEAP) as house:
            yield house


@dataclass
class Scene:
    """Meta, the bridge, and what was set up before they ran."""

    meta: Server
    bridge: Server
    access: Access = field(init=False)
    ids: dict[str, str] = field(default_factory=dict)
    """E.164 -> the id that Meta knows it by."""
    certificate: str = ""
    """Of another number; the bridge asks for one, and looks at it only to add a number."""
    tokens: dict[str, str] = field(default_factory=dict)
    """The login of each client at the bridge."""
    shops: int = 0
    """How many tests have a number of their own."""

    def end(self) -> None:
        for server in (self.bridge, self.meta):
            server.end()

    def client(self, name: str) -> Api:
        base = f"/clients/{name}/v1"
        return Api(self.bridge.port, base, OWNER.password, self.tokens[name], self.certificate)

    def next_shop(self) -> "Shop":
        n, self.shops = self.shops, self.shops + 1
        e164 = e164_of(n)
        return Shop(self, e164, self.ids[e164], self.client(f"shop-{n}"), self.client(f"spare-{n}"))


def e164_of(n: int) -> str:
    return f"+16315552{n:03d}"


_BUSY = 133004  # what an upstream says on a machine that is busy with other tests


@dataclass
class Shop:
    """A number at Meta, and two old clients of its owner; the first one holds it."""

    scene: Scene
    e164: str
    id: str
    owner: Api
    spare: Api

    # What the old clients do

    async def register(self, client: Api, pin: str | None = None) -> Reply:
        return await client.register(pin, phone_number=self.e164[2:])

    async def opens(self) -> "Shop":
        """Registered with a code, and protected with a PIN."""
        assert (await self.register(self.owner)).status == 202
        assert (await self.owner.verify(await self.code())).status == 201
        assert (await self.owner.set_pin(OWNER.pin)).status == 200
        return self

    # What is true at Meta

    async def code(self) -> str:
        """The newest code on the phone."""
        found = await self.at_meta("GET", f"/handset/{self.id}")
        return str(found["handset"][0]["code"])

    async def at_meta(self, method: str, path: str = "", body: Any = None) -> dict[str, Any]:
        """What Meta's sandbox says of the number, or of *path*."""
        where = path or f"/numbers/{self.id}"
        call = self.scene.meta.controls.call
        return dict(await asyncio.to_thread(call, method, where, body))

    async def fault(self, fault: str, edge: str = "", **more: Any) -> None:
        await self.at_meta(
            "POST", "/faults", {"fault": fault, "number": self.id, "edge": edge, **more}
        )

    async def graph(self, edge: str = "", **body: str) -> int:
        """Somebody else's program with a token of its own: 0 when it is done, else the code."""
        path = f"/{VERSION}/{self.id}/{edge}".rstrip("/")
        headers = [
            ("Authorization", f"Bearer {self.scene.access.token}"),
            ("Content-Type", "application/json"),
        ]
        port, raw = self.scene.meta.graph_port, json.dumps(body).encode()
        reply = await exchange(port, "POST", path, headers=headers, body=raw)
        return 0 if reply.status == 200 else int(reply.body["error"]["code"])

    async def takes(self, pin: str) -> int:
        """Whether Meta takes this PIN for the number's, found out by registering with it."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                code = await self.graph("register", messaging_product="whatsapp", pin=pin)
                if code != _BUSY:
                    return code
                await asyncio.sleep(0.2)

    # What the bridge knows

    async def known(self) -> LinkedNumber:
        async with self.scene.bridge.house() as house:
            return await find_linked(house.world, self.e164)

    async def revealed(self) -> Revealed:
        async with self.scene.bridge.house() as house:
            return await vault.reveal(house.world, await find_linked(house.world, self.e164))

    async def settled(self) -> LinkedNumber:
        """The number once the bridge's worker has found out what became of everything."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                await asyncio.to_thread(self.scene.bridge.step, SETTLED)
                for _ in range(8):
                    known = await self.known()
                    if known.under_way is None and not known.set_again:
                        return known
                    await asyncio.sleep(0.25)

    async def counts(self) -> tuple[dict[Act, int], dict[Act, int]]:
        """How many attempts the bridge's ledger has, and how many Meta took, of the kinds that
        Meta counts."""
        known = await self.known()
        async with self.scene.meta.house() as house:
            there = await find_number(house.world, self.e164)
        ours = {act: sum(one is act for one, _ in known.ledger.used) for act in Act}
        meta = {
            Act.REGISTER: len(there.registrations.used),
            Act.CODE: len(there.codes.sent),
            Act.DEREGISTER: len(there.deregistrations.used),
        }
        return {act: ours[act] for act in meta}, meta

    async def agrees(self) -> None:
        """Vault and ledger say what is true at Meta."""
        known = await self.settled()
        ours, meta = await self.counts()
        shown = await self.revealed()
        assert ours == meta
        assert known.vault.is_good
        assert known.facts.registered
        assert (shown.maybe, shown.doubted) == ((), False)
        assert shown.pin is not None
        code = await self.takes(shown.pin)
        assert code == 0, f"Meta refuses the vault's PIN with {code}"


@asynccontextmanager
async def a_scene(folder: Path, **bridge: str) -> AsyncIterator[Scene]:
    """Both servers run; *bridge* are settings of its own."""
    scene = await set_the_scene(folder, **bridge)
    try:
        yield scene
    finally:
        scene.end()


async def set_the_scene(folder: Path, **bridge: str) -> Scene:
    """As ``a_scene``, for who ends it by hand."""
    here = {"NIGHTLATCH_CLOUD_SECONDS": str(SECONDS), **bridge}
    meta = Server(folder / "meta" / "data", NIGHTLATCH_PRIVATE_RECEIVERS="true")
    scene = Scene(meta, Server(folder / "bridge" / "data", **here))
    for server in (scene.meta, scene.bridge):
        server.data.parent.mkdir()
    try:
        await _move_in(scene)
        await asyncio.to_thread(meta.start)
        await _link(scene)
        await asyncio.to_thread(scene.bridge.start)
    except BaseException:
        scene.end()
        raise
    return scene


async def _move_in(scene: Scene) -> None:
    async with a_house(scene.meta.data, clock=SteadyClock) as house:
        scene.access = await give_access(house)
        await _let_olivia_in(house)
        for n in range(SHOPS):
            number = await numbers.add_number(house.world, scene.access.waba, e164_of(n), CC, NAME)
            scene.ids[number.e164] = number.id
        scene.certificate = numbers.certificate(house.world, number)


async def _let_olivia_in(house: House) -> str:
    """The portfolio's id."""
    (portfolio,) = await house.store.portfolios()
    await members.add_member(
        house.world, portfolio.id, OLIVIA.email, OLIVIA.name, OLIVIA.role, PASSWORD
    )
    return portfolio.id


async def _link(scene: Scene) -> None:
    """Before the bridge serves; its token is not the one that others have."""
    async with scene.meta.house() as house:
        token = await another_token(house)
    names = [f"{kind}-{n}" for n in range(SHOPS) for kind in ("shop", "spare")]
    async with a_house(scene.bridge.data, clock=SteadyClock, cloud=None) as house:
        portfolio = await _let_olivia_in(house)
        for name in (*names, THIEF.client, "stranger"):
            await clients.add_client(house.world, name)
            scene.tokens[name], _ = await clients.log_in(
                house.world, name, "admin", "secret", OWNER.password
            )
        one = await links.link(
            house.world, portfolio, scene.access.waba, token, secret=scene.access.app_secret,
            verify_token=VERIFY_TOKEN, base=scene.meta.graph, clients=[*names, THIEF.client],
            set_again=True,
        )  # fmt: skip
        await links.read_numbers(house.world, one, lambda _: None)


async def another_token(house: House) -> str:
    """Of Meta's, for the system user of ``give_access``."""
    (portfolio,) = await house.store.portfolios()
    (user,) = await access.system_users(house.world, portfolio.id)
    app = (await access.apps(house.world, portfolio.id))[0]
    return await access.issue_token(house.world, user, app, list(Scope))


async def revoke_all_tokens(house: House) -> None:
    (portfolio,) = await house.store.portfolios()
    (user,) = await access.system_users(house.world, portfolio.id)
    for token in await access.access_tokens(house.world, user):
        await access.revoke_token(house.world, user, token.reference)
