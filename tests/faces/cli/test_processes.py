"""Commands as real processes: beside a server that runs, in scripts, and the demonstration."""

import asyncio
import json
import re
import stat
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner

from nightlatch import __version__, bootstrap, moving, workers
from nightlatch.faces.cli.commands import Parts, cli
from nightlatch.faces.cli.demo import Stage
from tests.faces.cli.conftest import Line
from tests.faults.processes import ClockFile, nightlatch, served, serving
from tests.people import E164, NAME, OWNER, THIEF
from tests.town import Api

_IN_SCRIPTS = (
    ("numbers", "certificate", E164), ("codes", E164, "--plain"),
    ("clients", "list", "--json"), ("keys", "list", "--json"), ("audit", "export"),
    ("audit", "verify"), ("check",),
)  # fmt: skip


async def _run(*words: str | Path) -> str:
    """One command beside whatever else goes on here; its output, when it succeeds."""
    done = await asyncio.to_thread(nightlatch, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_version_is_told():
    assert nightlatch("--version").stdout == f"nightlatch, version {__version__}\n"


def test_a_script_gets_the_same_from_a_process_as_a_person_and_nothing_besides(line: Line):
    for words in _IN_SCRIPTS:
        done = nightlatch(*words, NIGHTLATCH_DATA=str(line.data))

        assert (done.returncode, done.stderr) == (0, ""), words
        assert done.stdout == line(*words).stdout


def test_a_real_process_exits_with_0_1_2_or_3(line: Line, spoil):
    refused = nightlatch("numbers", "show", "+16315559999", "--data", line.data)
    wrong = nightlatch("numbers", "shwo")
    spoil("DELETE FROM audit WHERE kind = 'guess.wrong'")
    broken = nightlatch("audit", "verify", "--data", line.data)

    assert (refused.returncode, wrong.returncode, broken.returncode) == (1, 2, 3)
    assert refused.stderr.startswith("nightlatch: ")
    assert wrong.stderr.startswith("Usage: ")


def test_the_first_start_sets_everything_up_and_says_how_to_begin(tmp_path: Path):
    data = tmp_path / "data"
    with serving(data) as server:
        assert server.stop() == 0

    told = server.out.read_text()
    assert f"http://127.0.0.1:{server.port}/v1" in told
    assert "admin / secret" in told
    assert f"{E164} ({NAME})" in told
    assert f"numbers certificate {E164} --data {data}" in told
    assert f"codes {E164} --data {data}" in told
    assert str(data / "keyring.json") in told
    assert stat.S_IMODE((data / "keyring.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((data / "nightlatch.db").stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_later_starts_change_nothing_and_say_less(line: Line):
    before = line("audit", "export").stdout
    keys = (line.data / "keyring.json").read_bytes()

    for _ in range(2):
        with serving(line.data) as server:
            assert server.stop() == 0

        assert "secret" not in server.out.read_text()
        assert f":{server.port}/v1" in server.out.read_text()
    assert line("audit", "export").stdout == before
    assert (line.data / "keyring.json").read_bytes() == keys


async def test_a_client_added_while_the_server_runs_logs_in_with_the_factory_password(line: Line):
    with served(line.data, ClockFile(line.data.parent / "clock"), "--share") as (server,):
        api = Api(server.port, "/clients/shop/v1", OWNER.password)
        before = await api.login("secret", {"new_password": OWNER.password})
        await _run("clients", "add", "shop", "--data", line.data)

        without = await api.login("secret")
        first = await api.login("secret", {"new_password": OWNER.password})

        assert before.verdict == (401, 1005)
        assert without.verdict == (403, 1024)
        assert first.status == 200
        assert await api.status() == "unregistered"


async def test_a_reset_password_works_once_and_ends_every_token(line: Line):
    with served(line.data, ClockFile(line.data.parent / "clock"), "--share") as (server,):
        api = Api(server.port, OWNER.base, OWNER.password)
        assert (await api.login()).status == 200

        told = await _run("users", "reset-password", "--data", line.data)

        assert "main/admin logs in with secret once more" in told
        assert (await api.call("GET", "/health")).verdict == (401, 1005)
        assert (await api.login()).verdict == (401, 1005)
        assert (await api.login("secret")).verdict == (403, 1024)
        assert (await api.login("secret", {"new_password": "Another-Pass-2"})).status == 200
        assert (await api.login("secret")).verdict == (401, 1005)


async def test_another_clients_user_is_reset_by_name(line: Line):
    with served(line.data, ClockFile(line.data.parent / "clock"), "--share") as (server,):
        await _run("users", "reset-password", "--client", "thief", "admin", "--data", line.data)

        api = Api(server.port, THIEF.base, THIEF.password)
        assert (await api.login()).verdict == (401, 1005)
        assert (await api.login("secret")).verdict == (403, 1024)
        assert (await Api(server.port, OWNER.base, OWNER.password).login()).status == 200


async def test_codes_that_arrive_while_the_server_runs_are_shown_at_once(line: Line):
    await _run("numbers", "unlock", E164, "--data", line.data)
    with served(line.data, ClockFile(line.data.parent / "clock"), "--share") as (server,):
        thief = Api(server.port, THIEF.base, THIEF.password)
        thief.certificate = (
            await _run("numbers", "certificate", E164, "--data", line.data)
        ).strip()
        assert (await thief.login()).status == 200
        assert (await thief.register(OWNER.pin)).status == 202

        code = (await _run("codes", E164, "--plain", "--data", line.data)).strip()

        assert (await thief.verify(code)).status == 201
        assert await thief.status() == "connected"


@asynccontextmanager
async def _under_load(port: int) -> AsyncIterator[Counter[int]]:
    """Logins all the time, four at once; counts their answers."""
    told: Counter[int] = Counter()
    going = True

    async def log_in(person) -> None:
        api = Api(port, person.base, person.password)
        while going:
            told[(await api.login()).status] += 1
            await asyncio.sleep(0.005)

    people = [asyncio.create_task(log_in(one)) for one in (OWNER, THIEF, OWNER, THIEF)]
    try:
        yield told
    finally:
        going = False
        await asyncio.gather(*people)


async def test_keys_rotate_under_load_without_one_failed_login(line: Line):
    with served(line.data, ClockFile(line.data.parent / "clock"), "--share") as (server,):
        async with _under_load(server.port) as told:
            for _ in range(3):
                await _run("keys", "rotate", "--data", line.data)
            await _run("keys", "rotate", "--drop-old", "--data", line.data)

        owner = Api(server.port, OWNER.base, OWNER.password)
        assert (await owner.login()).status == 200
        assert (await owner.set_pin(OWNER.new_pin)).status == 200
    assert told.keys() == {200}
    assert told.total() > 100
    (key,) = json.loads(await _run("keys", "list", "--json", "--data", line.data))
    assert key["sealed_values"] == 4
    await _run("check", "--data", line.data)


async def test_a_backup_under_load_is_whole(line: Line, tmp_path: Path):
    folder = tmp_path / "restored"
    folder.mkdir(mode=0o700)
    with served(line.data, ClockFile(line.data.parent / "clock"), "--share") as (server,):
        async with _under_load(server.port):
            await _run("backup", folder / "nightlatch.db", "--data", line.data)

    ring = folder / "keyring.json"
    ring.write_bytes((line.data / "keyring.json").read_bytes())
    ring.chmod(0o600)
    await _run("check", "--data", folder)
    assert sorted(path.name for path in folder.iterdir() if "-" not in path.name) == [
        "keyring.json",
        "nightlatch.db",
    ]


# The demonstration


def test_the_demonstration_plays_the_story_and_exits_with_0():
    done = nightlatch("demo", "--no-color")

    assert done.returncode == 0, done.stdout[-2_000:]
    assert done.stderr == ""
    assert "✗" not in done.stdout
    assert done.stdout.count("✓") > 30
    assert done.stdout.rstrip().endswith("every step ended as it should")
    assert "wrong guess 10, counted" in done.stdout
    assert not re.search("\x1b", done.stdout)


def _other_certificate(stage: Stage) -> Stage:
    """Of a registry that nobody here trusts: one character is another."""
    text = stage.certificate
    return replace(stage, certificate=text[:-8] + ("A" if text[-8] != "A" else "B") + text[-7:])


def test_the_demonstration_of_a_story_that_goes_wrong_says_so_and_exits_with_3():
    @asynccontextmanager
    async def spoiled() -> AsyncIterator[Stage]:
        async with bootstrap.throw_away() as stage:
            yield _other_certificate(stage)

    parts = Parts(
        bootstrap.open_house, bootstrap.set_up, bootstrap.serve, lambda *_: None,
        bootstrap.StartRefused, spoiled, bootstrap.migrate_database, workers.serve_many,
        moving.move, moving.give_up,
    )  # fmt: skip
    done = CliRunner().invoke(cli, ["demo", "--no-color"], obj=parts)

    assert done.exit_code == 3
    assert "\u2717 a code is sent to the phone" in done.stdout
    assert done.stdout.rstrip().endswith("SOMETHING WENT WRONG")
