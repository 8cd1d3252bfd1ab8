"""A data folder with a story behind it, made once; and the command line on a copy of it."""

import asyncio
import json
import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nightlatch import bootstrap, moving, workers
from nightlatch.adapters.hashing import CHEAP
from nightlatch.bootstrap import House
from nightlatch.domain.mail import MailState
from nightlatch.faces.cli.commands import Parts, cli
from nightlatch.settings import Settings
from tests.people import THIEF
from tests.town import a_town


@dataclass(frozen=True)
class Line:
    """``nightlatch`` in this process, with cheap hashing, on one data folder."""

    data: Path

    def open_house(self, settings: Settings) -> AbstractAsyncContextManager[House]:
        return bootstrap.open_house(settings, cost=CHEAP)

    def __call__(
        self, *words: str | Path, data: bool = True, typed: str | None = None, **env: str
    ) -> Result:
        """*typed* is what comes in on standard input."""
        parts = Parts(
            self.open_house,
            bootstrap.set_up,
            bootstrap.serve,
            lambda *_: None,
            bootstrap.StartRefused,
            bootstrap.throw_away,
            bootstrap.migrate_database,
            workers.serve_many,
            move=moving.move,
            give_up=moving.give_up,
        )
        given = [*map(str, words), *(["--data", str(self.data)] if data else [])]
        done = CliRunner().invoke(
            cli, given, obj=parts, env=env, input=typed, prog_name="nightlatch"
        )
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception  # what a person would see as a traceback
        return done

    def json(self, *words: str) -> Any:
        """What it prints with ``--json``."""
        done = self(*words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


async def _story(data: Path) -> None:
    async with a_town(data) as town:
        await town.owner_is_protected()
        for guess in range(6):
            if guess == 5:
                town.pass_time(60)
            assert (await town.thief.register(THIEF.wrong_pin)).status == 403
        while {one.state for one in await town.house.store.mails(None, 9)} != {MailState.KEPT}:
            town.house.world.nudge()
            await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The owner's number is protected; a thief guessed six times and has to wait."""
    data = tmp_path_factory.mktemp("cli") / "data"
    asyncio.run(_story(data))
    return data


@pytest.fixture
def line(template: Path, tmp_path: Path) -> Line:
    """The command line on a data folder of the test's own."""
    return Line(Path(shutil.copytree(template, tmp_path / "data")))


Spoil = Callable[[str], None]


@pytest.fixture
def spoil(line: Line) -> Spoil:
    """Change the database behind Nightlatch's back, with one SQL statement."""
    import sqlite3
    from contextlib import closing

    def change(sql: str) -> None:
        with closing(sqlite3.connect(line.data / "nightlatch.db")) as database, database:
            assert database.execute(sql).rowcount > 0

    return change
