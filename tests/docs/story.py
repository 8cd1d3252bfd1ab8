"""Running the examples of a page by the letter, against a server of their own."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from nightlatch.bootstrap import free_port

_ORIGIN: Final = "127.0.0.1:9090"
_RECEIVER: Final = "127.0.0.1:9191"
_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_MARK: Final = "--- step {} ---"
_START_SECONDS: Final = 30
_STORY_SECONDS: Final = 120
_CURL: Final = Path(__file__).with_name("curl.py")


@dataclass(frozen=True)
class Step:
    """One block to paste, and what the page says it prints."""

    paste: str
    shown: str


def steps(page: Path, heading: str) -> list[Step]:
    """The ``sh`` blocks behind *heading*, each with the ``text`` block that follows it."""
    blocks = _BLOCK.findall(page.read_text(encoding="utf-8").partition(f"\n{heading}\n")[2])
    found: list[Step] = []
    for kind, text in blocks:
        if kind == "sh":
            found.append(Step(text, ""))
        elif kind == "text":
            found[-1] = Step(found[-1].paste, text)
    return found


def play(
    folder: Path,
    story: list[Step],
    *,
    curl: bool = True,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> list[tuple[str, str]]:
    """Paste *story* into one shell beside a fresh server; what is shown and what came, a step each.

    *folder* gets the same ``.venv`` as the repository; only the ports differ from the page.
    Without *curl*, or where there is none, a stand-in takes its place. *settings* are the
    server's environment.
    """
    (folder / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    port, receiver = free_port(), free_port()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("NIGHTLATCH_", "WA_")) and not name.lower().endswith("_proxy")
    }
    if not curl or shutil.which("curl") is None:
        stand_in = folder / "bin" / "curl"
        stand_in.parent.mkdir()
        stand_in.write_text(f'#!/bin/sh\nexec {sys.executable} {_CURL} "$@"\n')
        stand_in.chmod(0o700)
        environment["PATH"] = f"{stand_in.parent}:{environment['PATH']}"
    with open(folder / "served.txt", "w") as log:
        server = subprocess.Popen(
            [".venv/bin/nightlatch", "serve", "--port", str(port)],
            cwd=folder,
            env=environment | dict(settings),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(port, server)
        pasted = "".join(
            f"echo '{_MARK.format(place)}'\n{step.paste}" for place, step in enumerate(story)
        )
        shell = subprocess.Popen(
            ["sh"],
            cwd=folder,
            env=environment | {"NIGHTLATCH_PORT": str(port)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # a terminal shows both, and so does the page
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = shell.communicate(
                pasted.replace(_ORIGIN, f"127.0.0.1:{port}").replace(
                    _RECEIVER, f"127.0.0.1:{receiver}"
                ),
                _STORY_SECONDS,
            )
        finally:
            with contextlib.suppress(ProcessLookupError):  # what it left in the background, too
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    came = re.split(r"^--- step \d+ ---\n", output, flags=re.MULTILINE)[1:]
    assert len(came) == len(story), output
    return [
        (
            step.shown,
            text.replace(f"127.0.0.1:{port}", _ORIGIN).replace(f"127.0.0.1:{receiver}", _RECEIVER),
        )
        for step, text in zip(story, came, strict=True)
    ]


def _wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/livez")
            connection.getresponse().read()
            connection.close()
            return
        except OSError:
            assert server.poll() is None, "the server ended before it began"
            assert time.monotonic() < deadline, "the server did not begin"
            time.sleep(0.05)


def likened(output: str) -> list[Any]:
    """Output without what differs each time: tokens, ids, codes, moments, seconds of a wait."""
    return [_likened(line) for line in output.splitlines()]


def _likened(line: str) -> Any:
    if line.startswith("{"):
        return _plain(json.loads(line))
    line = re.sub(r"\d{4}-\d\d-\d\d[ T][\d:.]+( UTC|\+00:00)?", "MOMENT", line)
    line = re.sub(r"\d\d? [A-Z][a-z]{2} \d{4}, [\d:]+ UTC", "MOMENT", line)
    line = re.sub(r"number:\d{15}", "NUMBER", line)
    line = re.sub(r"\b[1-6]\d{14}\b", "ID", line)
    line = re.sub(r"\b[0-9a-f]{12}\b", "REFERENCE", line)
    line = re.sub(r"\b\d{3}-\d{3}\b", "CODE", line)
    return re.sub(r" +", " ", line).strip()


def _plain(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _plain(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, name) for one in value]
    if name in _OWN_EACH_TIME:
        return type(value).__name__
    if not isinstance(value, str):
        return value
    value = re.sub(r"\b[1-6]\d{14}\b", "ID", value)
    return re.sub(r"(in|after) \d+ seconds", r"\1 N seconds", value)


_OWN_EACH_TIME: Final = {"token", "expires_after", "fbtrace_id", "before", "after", "time"}
"""Names in answers whose values no two runs share."""
