"""A real server with the Cloud API at the root of its second port, and somebody's app there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nightlatch.adapters.system import SteadyClock
from nightlatch.bootstrap import House, free_port
from nightlatch.domain.access import Scope, SystemRole
from nightlatch.usecases import access, members
from tests.faults.processes import ClockFile, nightlatch, serving, start_served
from tests.manager_client import OLIVIA, PASSWORD
from tests.people import E164
from tests.town import a_house

VERSION: Final = "v23.0"


@dataclass(frozen=True)
class Access:
    """What an integration is given: an app and the token of a system user."""

    waba: str
    number: str
    """The id of the number that the first start made."""
    app: str
    app_secret: str
    token: str


@dataclass(frozen=True)
class Cloud:
    """A running server, and what its owner's integration knows."""

    port: int
    graph_port: int
    data: Path
    access: Access

    @property
    def base(self) -> str:
        """Where ``https://graph.facebook.com`` is otherwise."""
        return f"http://127.0.0.1:{self.graph_port}"

    async def code(self, e164: str = E164) -> str:
        """The newest code on the phone, once one has arrived."""
        while True:
            words = ("codes", e164, "--plain", "--data", self.data)
            told = await asyncio.to_thread(nightlatch, *words)
            if told.returncode == 0 and told.stdout.strip():
                return told.stdout.strip()


@asynccontextmanager
async def cloud(folder: Path, **env: Any) -> AsyncIterator[Cloud]:
    """``nightlatch serve``, with a folder that was empty; *env* are settings."""
    data, graph_port = folder / "data", free_port()
    given = await _move_in(data)
    running = serving(data, "--graph-port", str(graph_port), **env)
    process = await asyncio.to_thread(running.__enter__)
    try:
        yield Cloud(process.port, graph_port, data, given)
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


@asynccontextmanager
async def clocked_cloud(folder: Path, **env: Any) -> AsyncIterator[tuple[Cloud, ClockFile]]:
    """The same with cheap hashing, and a clock that is stepped by a file."""
    data, graph_port, clock = folder / "data", free_port(), ClockFile(folder / "passed")
    given = await _move_in(data)
    env = {"NIGHTLATCH_GRAPH_PORT": str(graph_port), **env}
    process = start_served(data, clock, "--share", **env)
    try:
        await asyncio.to_thread(process.wait_until_ready)
        yield Cloud(process.port, graph_port, data, given), clock
    finally:
        process.end()


async def _move_in(data: Path) -> Access:
    """Set the folder up before any server has it open; the owner gets a login to the Manager."""
    async with a_house(data, clock=SteadyClock) as house:
        given = await give_access(house)
        [portfolio] = await house.store.portfolios()
        await members.add_member(
            house.world, portfolio.id, OLIVIA.email, OLIVIA.name, OLIVIA.role, PASSWORD
        )
        return given


async def give_access(house: House) -> Access:
    """An app of the first portfolio, and a system user's token that never expires."""
    waba = await house.first_waba()
    found = await house.store.waba(waba)
    assert found is not None
    number = await house.store.number_by_e164(E164)
    assert number is not None
    new = await access.add_app(house.world, found.portfolio, "Garden shop")
    user = await access.add_system_user(
        house.world, found.portfolio, "Integration", SystemRole.ADMIN
    )
    token = await access.issue_token(house.world, user, new.app, list(Scope))
    return Access(waba, number.id, new.app.id, new.secret, token)
