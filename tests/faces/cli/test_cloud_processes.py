"""The commands for the Cloud API as real processes: a second Nightlatch is Meta; a terminal."""

import json
import os
import pty
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faces.cli.conftest import Line
from tests.faces.cli.test_cloud import GARDEN, CloudLine
from tests.faults.processes import ROOT, environment, nightlatch, serving
from tests.people import OWNER


def _ask(base: str, path: str, token: str, method: str = "GET", **more: str) -> Any:
    query = urllib.parse.urlencode({"access_token": token, **more})
    request = urllib.request.Request(f"{base}/v23.0/{path}?{query}", method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def _verified(meta: Line, base: str, waba: str, token: str) -> None:
    """The number at Meta, its code entered."""
    found = _ask(base, f"{waba}/phone_numbers", token, fields="id,display_phone_number")["data"]
    (id,) = (one["id"] for one in found if one["display_phone_number"] == "+1 631-555-2001")
    _ask(base, f"{id}/request_code", token, "POST", code_method="SMS", language="en_US")
    code = meta("codes", GARDEN, "--plain").stdout.strip()
    _ask(base, f"{id}/verify_code", token, "POST", code=code)


def test_a_number_of_a_real_upstream_is_linked_registered_and_rotated(line: Line, tmp_path: Path):
    meta = Line(Path(shutil.copytree(line.data, tmp_path / "meta")))
    assert meta("numbers", "add", GARDEN, "--name", "Garden Shop").exit_code == 0
    app = json.loads(meta("app", "add", "Bridge", "--json").stdout)
    assert meta("system-user", "add", "Bridge").exit_code == 0
    token = meta("token", "issue").stdout.strip()
    (account,) = meta.json("wabas", "list")
    with serving(meta.data) as server:
        base = f"http://127.0.0.1:{server.port}/graph"
        _verified(meta, base, account["id"], token)

        linked = nightlatch(
            "cloud", "link", account["id"], "--base", base, "--data", line.data,
            NIGHTLATCH_CLOUD_TOKEN=token, NIGHTLATCH_CLOUD_SECRET=app["secret"],
        )  # fmt: skip
        subscribed = line("cloud", "subscribe", account["id"])
        registered = line("cloud", "register", GARDEN, NIGHTLATCH_PIN=OWNER.pin)
        rotated = nightlatch("vault", "rotate", "--account", account["id"], "--data", line.data)
        shown = line.json("vault", "show", GARDEN, "--yes")
        opened = line("cloud", "change", account["id"], "--client", "main", "--client", "thief")
        again = line("cloud", "register", GARDEN, "--client", "thief")
        doctor = line("doctor", "--json")

    assert (linked.returncode, linked.stderr) == (0, "")
    assert "2 numbers in" in linked.stdout  # the other one is in this registry, too
    assert (subscribed.exit_code, registered.exit_code) == (0, 0)
    assert (rotated.returncode, rotated.stdout, rotated.stderr) == (0, "1 PIN is new\n", "")
    assert shown["pin"] != OWNER.pin
    assert opened.exit_code == 0
    assert again.exit_code == 0  # Meta compared the vault's PIN
    assert json.loads(doctor.stdout)["summary"] == {"fine": 1, "warned": 0, "blocked": 0}
    for done in (linked, rotated):
        assert token not in done.stdout
        assert app["secret"] not in done.stdout


def test_a_pin_that_is_typed_on_a_terminal_is_not_shown(line: Line):
    cloud = CloudLine(line.data)
    cloud.cloud.add_registered(GARDEN, OWNER.pin)
    assert cloud.link().exit_code == 0
    ours, theirs = pty.openpty()

    process = subprocess.Popen(
        [sys.executable, "-m", "nightlatch", "vault", "keep", GARDEN, "--data", str(line.data)],
        cwd=ROOT, env=environment(), stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    seen = _until(ours, lambda text: text.endswith(b"PIN: "))
    os.write(ours, f"{OWNER.pin}\n".encode())
    seen += _until(ours, lambda text: text.endswith(b"confirmation: "))
    os.write(ours, f"{OWNER.pin}\n".encode())
    seen += _until(ours, lambda _: False)
    os.close(ours)

    assert process.wait() == 0
    assert f"the vault has the PIN of {GARDEN}".encode() in seen
    assert OWNER.pin.encode() not in seen
    assert cloud.revealed(GARDEN)["pin"] == OWNER.pin


def _until(file: int, enough: Callable[[bytes], bool]) -> bytes:
    """What comes on a terminal, until it is *enough* or the other side is gone."""
    seen = b""
    while not enough(seen):
        try:
            more = os.read(file, 1_024)
        except OSError:  # how Linux tells that the last one has closed it
            return seen
        if not more:
            return seen
        seen += more
    return seen
