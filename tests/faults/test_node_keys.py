"""Keys rotate on nodes that have copies of the key ring, and no request fails meanwhile."""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.nodes import Place
from tests.faults.test_nodes import place, server, site  # noqa: F401 - fixtures
from tests.people import CC, NATIONAL, OWNER
from tests.town import Api, Reply

_PAUSE = 0.02


def copy(ring: Path, to: Path) -> None:
    """As an operator would: whole, or not at all."""
    fresh = to.with_name(f"{to.name}.new")
    shutil.copy(ring, fresh)
    fresh.replace(to)


@dataclass
class Owner:
    """Sets the PIN at one node and proves it at the other one, again and again."""

    api: Api
    ports: list[int]
    certificate: str
    pins: int = 500_000
    failed: list[tuple[str, int, bytes]] = field(default_factory=list)

    def _note(self, what: str, port: int, reply: Reply) -> None:
        if reply.status >= 400:
            self.failed.append((what, port, reply.raw))

    async def go_round(self) -> None:
        """A new PIN at each node, and each of them is right at every node; logging in, too."""
        number = {"cc": CC, "phone_number": NATIONAL, "cert": self.certificate, "shards": 2}
        for port in self.ports:
            self.pins += 1
            self.api.port = port
            self._note("set the PIN", port, await self.api.set_pin(str(self.pins)))
            for other in self.ports:
                self.api.port = other
                body = {**number, "pin": str(self.pins)}
                reply = await self.api.call("POST", "/account/shards", body)
                self._note("check the PIN", other, reply)
        for port in self.ports:
            api = Api(port, OWNER.base, OWNER.password)
            self._note("log in", port, await api.login())

    @asynccontextmanager
    async def acting(self) -> AsyncIterator[None]:
        """All the while."""

        async def go_on() -> None:
            for _ in itertools.count():
                await self.go_round()
                await asyncio.sleep(_PAUSE)

        acting = asyncio.create_task(go_on())
        try:
            yield
        finally:
            acting.cancel()
            await asyncio.gather(acting, return_exceptions=True)


async def test_keys_rotate_on_nodes_with_copies_of_the_ring_without_one_request_that_fails(
    place: Place,  # noqa: F811 - the fixture
):
    ours, theirs = place.data / "ours.json", place.data / "theirs.json"
    for ring in (ours, theirs):
        copy(place.data / "keyring.json", ring)

    def quiet(_done: int, _of: int) -> None:
        return

    nodes = [place.serve(NIGHTLATCH_KEYRING=str(ring)) for ring in (ours, theirs)]
    try:
        for node in nodes:
            node.wait_until_ready()
        api = Api(nodes[0].port, OWNER.base, OWNER.password)
        assert (await api.login()).status == 200
        owner = Owner(api, [node.port for node in nodes], place.site.certificate)
        async with place.house(keyring=ours) as house:
            async with owner.acting():
                added = house.add_key()
                await owner_has_gone_round(owner)
                copy(ours, theirs)
                await owner_has_gone_round(owner)
                rotated, _, unreadable = await house.rotate(quiet, drop_old=False)
                await owner_has_gone_round(owner)
                copy(ours, theirs)
                await owner_has_gone_round(owner)
                _, left = await house.drop_old_keys(quiet)
                copy(ours, theirs)
                await owner_has_gone_round(owner)
            used = await house.store.kids_in_use()
            listed = [key.kid for key in house.keyring.listed()]
            good = list(owner.failed)
            await house.rotate(quiet, drop_old=False)  # a new key that was never copied
            await owner.go_round()
    finally:
        for node in nodes:
            node.end()

    assert good == []
    assert (rotated, unreadable, left) == (added, [], [])
    assert (set(used), listed) == ({added}, [added])
    assert {what for what, port, _ in owner.failed if port == nodes[1].port} >= {
        "log in", "check the PIN",
    }  # fmt: skip


async def owner_has_gone_round(owner: Owner) -> None:
    """Everybody tried everything since."""
    pins = owner.pins
    async with asyncio.timeout(30):
        while owner.pins <= pins + len(owner.ports):
            await asyncio.sleep(_PAUSE)
