"""``nightlatch migrate``."""

import pytest

from tests.faces.cli.conftest import Line
from tests.postgres import shared


def test_it_says_how_many_steps_it_took_and_the_second_time_that_there_are_none(line: Line):
    url = shared().fresh_database()

    first = line("migrate", data=False, NIGHTLATCH_DATABASE=url)
    again = line("migrate", data=False, NIGHTLATCH_DATABASE=url)

    assert (first.exit_code, again.exit_code) == (0, 0)
    assert first.output.startswith("migrated, ")
    assert again.output == "nothing to do\n"


@pytest.mark.parametrize(
    ("words", "environment", "says"),
    [
        ((), {}, "no PostgreSQL database is named"),
        (("--database", "nightlatch.db"), {}, "must begin with postgresql://"),
        (("--database", "postgresql://me:Word-1@localhost/n"), {}, "holds a password"),
        ((), {"NIGHTLATCH_DATABASE": "postgresql://me:Word-1@127.0.0.1:9/n"}, "cannot be reached"),
    ],
)
def test_what_cannot_be_migrated_is_refused_in_a_sentence(
    line: Line, words: tuple[str, ...], environment: dict[str, str], says: str
):
    done = line("migrate", *words, data=False, **environment)

    assert done.exit_code == 1
    assert says in done.output
    assert "Word-1" not in done.output
