"""nginx and Caddy, as ``deploy/`` configures them, in front of two real nodes.

``python -m tests.fronts nginx caddy``: for each, two nodes of two workers serve one data folder
on loopback, with the shipped configuration in front; only addresses, ports and certificates are
others. What it finds is printed; it ends with 1 when something is not as it should be. Not part
of ``make test``, which installs no proxy.
"""

import argparse
import base64
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nightlatch.adapters.tls import self_signed
from nightlatch.bootstrap import free_port
from tests.faults.load import KEY
from tests.faults.processes import ROOT, Process, nightlatch

SITE = "wa.example.com"
CLIENT = "127.0.0.2"
"""Where clients come from; the proxy itself comes from 127.0.0.1."""
NOBODY = 65_534
_UNCHECKED = ssl.create_default_context()
_UNCHECKED.check_hostname = False
_UNCHECKED.verify_mode = ssl.CERT_NONE  # the certificate is made for this one run

Answer = tuple[int, Mapping[str, str], bytes]


class Client:
    """Speaks https to the proxy."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: http.client.HTTPSConnection | None = None

    def ask(
        self, method: str, path: str, body: bytes = b"", *, keep: bool = False, **headers: str
    ) -> Answer:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(
                "127.0.0.1", self._port, timeout=30, context=_UNCHECKED, source_address=(CLIENT, 0)
            )
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            self._connection.request(method, path, body or None, {"Host": SITE, **sent})
            answer = self._connection.getresponse()
            found = answer.status, dict(answer.getheaders()), answer.read()
            keep = keep and not answer.will_close
        except BaseException:
            keep = False
            raise
        finally:
            if not keep:
                self._connection.close()
                self._connection = None
        return found


class Load(threading.Thread):
    """One caller, again and again; nothing is tried twice."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__(daemon=True)
        self.told: Counter[str] = Counter()
        self._client, self._keep, self._writes = Client(port), number % 2 == 0, number // 2 % 2
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.is_set():
            try:
                if self._writes:
                    status, _, _ = self._client.ask("POST", "/v1/users/login", keep=self._keep)
                else:
                    status, _, _ = self._client.ask(
                        "GET", "/v1/health", keep=self._keep, Authorization=f"Apikey {KEY}"
                    )
                self.told[str(status)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.told[type(error).__name__] += 1
            time.sleep(0.005)

    def end(self) -> Counter[str]:
        self._end.set()
        self.join(60)
        return self.told


@contextmanager
def load(port: int) -> Iterator[Callable[[], Counter[str]]]:
    callers = [Load(port, number) for number in range(8)]
    for caller in callers:
        caller.start()
    yield lambda: sum((caller.end() for caller in callers), Counter())


def node(data: Path, port: int) -> Process:
    words = (
        "-m", "nightlatch", "serve", "--data", data, "--port", str(port), "--workers", "2",
        "--public-url", f"https://{SITE}", "--trusted-proxies", "127.0.0.1/32",
        "--log-format", "json", "--hash-threads", "1",
    )  # fmt: skip
    return Process(words, port, data.parent, WA_API_KEY=KEY)


def ready_path(port: int) -> str:
    """``/readyz``, as the configurations have it, or ``/livez`` of a version without that."""
    plain = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    plain.request("GET", "/readyz")
    return "/livez" if plain.getresponse().status == 404 else "/readyz"


def nginx(folder: Path, port: int, nodes: Sequence[int]) -> Sequence[str]:
    """The command that runs nginx with the shipped file."""
    shipped = (ROOT / "deploy/nginx/nightlatch.conf").read_text()
    found = shipped.replace("/etc/nginx/nightlatch/chain.pem", str(folder / "tls/cert.pem"))
    found = found.replace("/etc/nginx/nightlatch/key.pem", str(folder / "tls/key.pem"))
    found = re.sub(r"^ *listen \[::\].*\n", "", found, flags=re.MULTILINE)
    found = found.replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
    found = found.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    found = found.replace("127.0.0.1:9090", f"127.0.0.1:{nodes[0]}")
    found = found.replace("# server 10.0.0.6:9090", f"server 127.0.0.1:{nodes[1]}")
    (folder / "site.conf").write_text(found)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "\n".join(f"{kind}_temp_path {folder / kind};" for kind in kinds)
    whole = folder / "nginx.conf"
    whole.write_text(
        f"daemon off;\npid {folder / 'pid'};\nerror_log {folder / 'error.log'};\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{places}\ninclude {folder / 'site.conf'};\n}}\n"
    )
    return ["nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(whole)]


def caddy(folder: Path, port: int, nodes: Sequence[int]) -> Sequence[str]:
    """The command that runs Caddy with the shipped file."""
    shipped = (ROOT / "deploy/caddy/Caddyfile").read_text()
    tls = f"tls {folder / 'tls/cert.pem'} {folder / 'tls/key.pem'}"
    found = shipped.replace("{\n", f"{{\n\tadmin off\n\thttp_port {free_port()}\n", 1)
    found = found.replace("\trequest_body {", f"\t{tls}\n\trequest_body {{")
    found = found.replace("health_uri /readyz", f"health_uri {ready_path(nodes[0])}")
    found = found.replace("{$NODES:127.0.0.1:9090}", " ".join(f"127.0.0.1:{one}" for one in nodes))
    found = found.replace("{$SITE:wa.example.com}", f"{SITE}:{port}, 127.0.0.1:{port}")
    (folder / "Caddyfile").write_text(found)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


@contextmanager
def front(kind: str, folder: Path, nodes: Sequence[int]) -> Iterator[int]:
    """The proxy, as a user without rights; the port it serves at."""
    port = free_port()
    self_signed(folder / "tls", SITE, datetime.now(UTC))
    command = {"nginx": nginx, "caddy": caddy}[kind](folder, port, nodes)
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, NOBODY, NOBODY)
    homes = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "out.log").open("wb") as out:
        process = subprocess.Popen(
            command, env={"PATH": os.environ["PATH"], **homes}, stdout=out, stderr=out, **user
        )
    try:
        for _ in range(500):
            assert process.poll() is None, (folder / "out.log").read_text()
            try:
                if Client(port).ask("GET", "/livez")[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.02)
        else:
            raise AssertionError((folder / "out.log").read_text())
        yield port
    finally:
        process.terminate()
        process.wait(10)


class Findings:
    """Prints each, and remembers whether all were good."""

    def __init__(self) -> None:
        self.all_good = True

    def note(self, what: str, found: object, *, good: bool) -> None:
        self.all_good &= good
        print(f"{'  ' if good else '! '}{what}: {found}", flush=True)


def look_at_faces(port: int, data: Path, link: str, findings: Findings) -> None:
    client = Client(port)
    forged: Any = {"X_Forwarded_For": "203.0.113.9"}
    basic = "Basic " + base64.b64encode(b"admin:secret").decode()
    status, _, body = client.ask(
        "POST", "/v1/users/login", b'{"new_password":"Some-Pass-1"}',
        Authorization=basic, Content_Type="application/json", **forged,
    )  # fmt: skip
    findings.note("/v1 login", status, good=status == 200)
    token = json.loads(body)["users"][0]["token"] if status == 200 else ""
    bearer = f"Bearer {token}"
    status, _, body = client.ask("GET", "/v1/health", Authorization=bearer)
    findings.note("/v1 with the token", status, good=status == 200)
    status, _, body = client.ask("GET", "/graph/v23.0/1", Authorization="Bearer nobody")
    findings.note("/graph without a token", status, good=status == 401 and b"fbtrace_id" in body)

    path = urllib.parse.urlsplit(link).path
    status, headers, body = client.ask("GET", path, **forged)
    csrf = re.search(rb'name="csrf" value="([0-9a-f]+)"', body)
    cookie = headers.get("set-cookie") or headers.get("Set-Cookie") or ""
    findings.note("the Manager's welcome", status, good=status == 200 and csrf is not None)
    form = {
        "csrf": csrf[1].decode() if csrf else "", "name": "Olivia", "email": "olivia@example.com",
        "password": "violet tram quarry 58", "portfolio": "Lucky Shrub", "address": "",
    }  # fmt: skip
    status, headers, _ = client.ask(
        "POST", path, urllib.parse.urlencode(form).encode(), Origin=f"https://{SITE}",
        Content_Type="application/x-www-form-urlencoded", Sec_Fetch_Site="same-origin",
        Cookie=cookie.partition(";")[0], **forged,
    )  # fmt: skip
    findings.note("a form of the Manager", status, good=status == 303)
    shown = nightlatch("--data", data, "audit", "show", "--json", "--last", "10").stdout
    places = {event["place"] for event in json.loads(shown) if event.get("place")}
    findings.note("where that came from", places, good=places == {CLIENT})


def look_at_limits(port: int, findings: Findings) -> None:
    json_body: Any = {"Content_Type": "application/json"}
    for size, says in ((20_000, b"1025"), (3_500_000, b"")):
        try:
            status, _, body = Client(port).ask("POST", "/v1/users", b"x" * size, **json_body)
        except OSError as error:  # closed while it is still being sent
            findings.note(f"a body of {size}", type(error).__name__, good=not says)
        else:
            findings.note(f"a body of {size}", status, good=status == 413 and says in body)
    status, _, _ = Client(port).ask("POST", "/cloud/1/webhook", b"x" * 1_000_000, **json_body)
    findings.note("a webhook of 1,000,000 bytes", status, good=status not in (413, 502))
    status, _, _ = Client(port).ask("GET", "/v1//health")
    findings.note("a path with two slashes", status, good=status == 404)


def restart(nodes: list[Process], data: Path, port: int, findings: Findings) -> None:
    with load(port) as end:
        time.sleep(1)
        for one in nodes:
            before = one.err.read_text().count('"workers replaced"')
            one.send(signal.SIGHUP)
            while one.err.read_text().count('"workers replaced"') == before:
                time.sleep(0.05)
        told = end()
    good = set(told) <= {"200", "401"} and told.total() > 100
    findings.note("workers replaced under load", dict(told), good=good)
    with load(port) as end:
        time.sleep(1)
        for place, one in enumerate(nodes):
            findings.note("a node ended", one.stop(), good=True)
            nodes[place] = node(data, one.port)
            nodes[place].wait_until_ready()
            time.sleep(4)  # until the proxy has seen that it is back
        told = end()
    good = set(told) <= {"200", "401"} and told.total() > 100
    findings.note("nodes restarted under load", dict(told), good=good)


def drive(kind: str, findings: Findings) -> None:
    print(kind, flush=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nightlatch-front-")))
        folder.chmod(0o711)
        data = folder / "nodes" / "data"
        data.parent.mkdir(mode=0o700)
        nodes: list[Process] = []

        def end_all() -> None:
            for one in nodes:
                one.end()

        stack.callback(end_all)
        for _ in range(2):
            nodes.append(node(data, free_port()))
            nodes[-1].wait_until_ready()
            while "/manager/welcome/" not in nodes[-1].out.read_text():
                time.sleep(0.05)
        links = re.findall(rf"https://{SITE}/manager/welcome/\S+", nodes[1].out.read_text())
        (folder / "front").mkdir()
        port = stack.enter_context(front(kind, folder / "front", [one.port for one in nodes]))
        look_at_faces(port, data, links[-1], findings)
        look_at_limits(port, findings)
        restart(nodes, data, port, findings)
        for one in nodes:
            findings.note("exit status", code := one.stop(), good=code == 0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fronts")
    parser.add_argument("kinds", nargs="+", choices=("nginx", "caddy"))
    findings = Findings()
    for kind in parser.parse_args().kinds:
        drive(kind, findings)
    return 0 if findings.all_good else 1


if __name__ == "__main__":
    sys.exit(main())
