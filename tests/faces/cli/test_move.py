"""``nightlatch move``: from the data folder to PostgreSQL and back, in an operator's words."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.faces.cli.conftest import Line, Spoil
from tests.faults.processes import nightlatch
from tests.postgres import shared


@pytest.fixture
def url() -> str:
    """An empty database."""
    return shared().fresh_database()


def test_all_goes_there_and_back_and_the_chains_hold_on_either_side(line: Line, url: str):
    before = line("audit", "export").stdout
    back = Line(line.data.with_name("back"))
    back.data.mkdir()
    shutil.copy(line.data / "keyring.json", back.data)

    there = line("move", "--to", "postgresql", NIGHTLATCH_DATABASE=url)
    over_there = [
        line(*words, NIGHTLATCH_DATABASE=url)
        for words in (("audit", "export"), ("check",), ("move", "--to", "postgresql"))
    ]
    old = line("numbers", "list")
    into_the_old = line("move", "--to", "sqlite", NIGHTLATCH_DATABASE=url)
    back_again = back("move", "--to", "sqlite", NIGHTLATCH_DATABASE=url)
    gone = line("numbers", "list", NIGHTLATCH_DATABASE=url)

    file, place = line.data / "nightlatch.db", f"postgresql://{url.rpartition('@')[2]}"
    rows = there.stdout.split()[1]
    assert there.stdout == f"moved {rows} rows from {file} to {place}, each compared\n"
    assert f"copying rows: 100 %, {rows} of {rows}\n" in there.stderr
    assert f"comparing rows: 100 %, {rows} of {rows}\n" in there.stderr
    assert [done.exit_code for done in over_there] == [0, 0, 0]
    assert over_there[0].stdout == before
    assert over_there[2].stdout == f"nothing to do; {file} was moved to {place} before\n"
    assert (old.exit_code, into_the_old.exit_code, gone.exit_code) == (1, 1, 1)
    assert f"everything was moved to {place}; open that one" in old.stderr
    assert f"it holds what was moved to {place}; put it away" in into_the_old.stderr
    assert f"everything was moved to {back.data / 'nightlatch.db'}; open that" in gone.stderr
    assert back_again.exit_code == 0
    assert back("audit", "export").stdout == before
    assert back("check").exit_code == 0


def test_a_row_that_is_not_the_same_ends_with_3_and_the_move_can_be_given_up(
    line: Line, spoil: Spoil, url: str
):
    line("move", "--to", "postgresql", NIGHTLATCH_DATABASE=url)
    spoil("UPDATE meta SET value = replace(value, 'gone', 'leaves') WHERE key = 'move'")
    id = _mark_of(line.data)  # as if it had been killed while it compared
    shared().sql(f'INSERT INTO meta VALUES (\'move\', \'["{id}", "comes", "there"]\')', url)
    shared().sql("UPDATE audit SET at = at + 1 WHERE seq = 1", url)

    differs = line("move", "--to", "postgresql", NIGHTLATCH_DATABASE=url)
    opened = line("numbers", "list")
    served = nightlatch("serve", "--data", line.data, NIGHTLATCH_DATABASE=url)
    given_up = line("move", "--to", "postgresql", "--give-up", NIGHTLATCH_DATABASE=url)
    again = line("numbers", "list")

    assert differs.exit_code == 3
    assert "differ in audit 'client:main', 1: somebody changed one of them" in differs.stderr
    assert (opened.exit_code, served.returncode) == (1, 1)
    assert "a move to postgresql://" in opened.stderr
    assert "a move from there to here is under way; go on with it" in served.stderr
    assert given_up.exit_code == again.exit_code == 0
    assert "can be opened again" in given_up.stdout


def _mark_of(data: Path) -> str:
    with closing(sqlite3.connect(data / "nightlatch.db")) as database:
        (text,) = database.execute("SELECT value FROM meta WHERE key = 'move'").fetchone()
    return str(json.loads(text)[0])


def test_what_cannot_be_moved_is_refused_in_a_sentence(line: Line, tmp_path: Path, url: str):
    refused = {
        "no PostgreSQL database is named": line("move", "--to", "postgresql"),
        "--database holds a password": line(
            "move", "--to", "postgresql", "--database", "postgresql://me:word@127.0.0.1/x"
        ),
        "--database must begin with postgresql://": line(
            "move", "--to", "postgresql", "--database", "mysql://127.0.0.1/x"
        ),
        "the database cannot be reached": line(
            "move", "--to", "postgresql", "--database", "postgresql://me@127.0.0.1:1/x"
        ),
        f"there is no Nightlatch in {tmp_path}": Line(tmp_path)(
            "move", "--to", "postgresql", "--database", url
        ),
        "holds no Nightlatch": Line(tmp_path)("move", "--to", "sqlite", "--database", url),
        "no move from": line("move", "--to", "postgresql", "--give-up", "--database", url),
    }

    for sentence, done in refused.items():
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
        assert done.stderr.startswith("nightlatch: ")
        assert sentence in done.stderr
        assert "word@" not in done.output
    assert line("move").exit_code == line("move", "--to", "mysql").exit_code == 2
    assert line("check").exit_code == 0
