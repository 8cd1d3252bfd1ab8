"""The examples of the documentation, pasted by the letter."""

from pathlib import Path

import pytest

from tests.docs.reference import ROOT
from tests.docs.story import Step, likened, play, steps

STORIES = {
    "README.md": "## The story, in curl",
    "docs/tutorial/first-number.md": "## Start the server",
}


@pytest.mark.parametrize("name", STORIES)
def test_the_examples_of_a_page_print_what_the_page_shows(name: str, tmp_path: Path):
    story = steps(ROOT / name, STORIES[name])

    played = play(tmp_path, story)

    assert len(played) > 5
    for shown, came in played:
        assert likened(came) == likened(shown)


@pytest.mark.parametrize("curl", [True, False])
def test_an_answer_that_differs_from_the_page_is_noticed(tmp_path: Path, *, curl: bool):
    ask = "curl -s -w '\\n%{http_code}\\n' http://127.0.0.1:9090/v1/health\n"
    shown = '{"health":{"gateway_status":"connected"}}\n200\n'

    ((shown, came),) = play(tmp_path, [Step(ask, shown)], curl=curl)

    assert likened(came)[0]["errors"][0]["code"] == 1005
    assert likened(came)[1] == "401"
    assert likened(came) != likened(shown)
