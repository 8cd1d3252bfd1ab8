"""PIN checks over the wire with PostgreSQL, by how many workers, beside bare Argon2id."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import run
import stage

from nightlatch.bootstrap import migrate_database
from nightlatch.settings import Settings
from tests.postgres import Postgres

CHECKS = 240
ROUNDS = 7
CONNECTIONS = 32


@contextmanager
def prepared(server: Postgres) -> Iterator[tuple[stage.Folder, str]]:
    """The numbers of ``stage`` in a new database, and its address."""
    url = server.fresh_database()
    with tempfile.TemporaryDirectory(prefix="nightlatch-bench-") as place:
        folder = asyncio.run(prepare(Path(place) / "data", url))
        yield folder, url
    server.drop(url)


async def prepare(path: Path, url: str) -> stage.Folder:
    await migrate_database(Settings(data=path, database=url))
    return await stage.prepare(path, database=url)


def pins(server: Postgres) -> list[run.Row]:
    """Wrong PINs over many numbers, 32 on their way at once, two workers."""
    with prepared(server) as (folder, url):
        rates, bare = _rates(folder, url, workers=2, rounds=ROUNDS)
    figures = f"{median(rates):.1f}/s against {median(bare):.1f}/s"
    ratios = run.ratios_of(rates, bare)
    what = "wrong PINs, PostgreSQL, 2 workers, of bare Argon2id on both cores"
    return [run.at_least(what, 0.85, ratios, "", figures)]


def curve(server: Postgres) -> dict[str, list[tuple[float, float]]]:
    """PIN checks as a share of bare Argon2id on all cores, by how many workers."""
    found = []
    for workers in (1, 2, 4):
        with prepared(server) as (folder, url):
            rates, bare = _rates(folder, url, workers=workers, rounds=2)
        found.append((float(workers), median(run.ratios_of(rates, bare))))
    return {"PIN checks, of bare Argon2id": found}


def _rates(
    folder: stage.Folder, url: str, *, workers: int, rounds: int
) -> tuple[list[float], list[float]]:
    wrong = [folder.register(number, stage.WRONG_PIN) for number in folder.open[: stage.OPEN // 2]]
    rates, bare = [], []
    load, argon2 = stage.Load(), stage.Crew("bare_argon2.py")
    words = ("--workers", str(workers))
    with stage.nightlatch(folder.path, *words, NIGHTLATCH_DATABASE=url) as served:
        load.play(served, wrong, CHECKS // 2, connections=CONNECTIONS)  # not counted
        argon2.tell("60")
        for n in range(1, rounds + 1):
            result = load.play(served, wrong, CHECKS, connections=CONNECTIONS, first=n * CHECKS)
            rates.append(float(run.expect(result, "403")["per_second"]))
            bare.append(float(argon2.tell(str(CHECKS))))
    load.close()
    argon2.close()
    return rates, bare
