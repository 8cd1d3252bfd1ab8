"""The examples of the documentation, pasted by the letter."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from nightlatch.testing import running
from tests.docs.reference import ROOT
from tests.docs.story import Step, likened, play, steps

STORIES = {
    "README.md": "## The story, in curl",
    "docs/tutorial/first-number.md": "## Start the server",
    "docs/tutorial/cloud-api.md": "## Start the server",
    "docs/tutorial/bridge.md": "## Start the server",
}
SETTINGS = {"docs/tutorial/cloud-api.md": ("PRIVATE_RECEIVERS", "GRAPH_PIN_EVENTS")}
"""Switches that a page has its reader turn on."""


@pytest.mark.parametrize("name", STORIES)
def test_the_examples_of_a_page_print_what_the_page_shows(name: str, tmp_path: Path):
    story = steps(ROOT / name, STORIES[name])
    settings = {f"NIGHTLATCH_{one}": "1" for one in SETTINGS.get(name, ())}

    played = play(tmp_path, story, settings=settings)

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


@pytest.mark.parametrize("name", SETTINGS)
def test_a_page_says_how_to_start_the_server_that_its_examples_need(name: str):
    page = (ROOT / name).read_text(encoding="utf-8")

    switches = " ".join(f"NIGHTLATCH_{one}=1" for one in SETTINGS[name])
    assert f"`{switches} make run`" in page


class OurClient:
    """What the README's test calls an integration: a client of the Cloud API; errors are codes."""

    def __init__(self, base: str, token: str) -> None:
        self._base, self._token = base, token

    def request_code(self, number: str) -> Any:
        return self._post(f"{number}/request_code", code_method="SMS", language="en_US")

    def verify_code(self, number: str, code: str) -> Any:
        return self._post(f"{number}/verify_code", code=code)

    def register(self, number: str, pin: str) -> Any:
        return self._post(f"{number}/register", messaging_product="whatsapp", pin=pin)

    def _post(self, path: str, **fields: str) -> Any:
        headers = {"Authorization": f"Bearer {self._token}"}
        request = Request(f"{self._base}/{path}", urlencode(fields).encode(), headers)
        try:
            with urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except HTTPError as refused:
            with refused:
                return json.load(refused)["error"]["code"]


def test_the_test_in_the_readme_passes():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"OurClient": OurClient}
    exec(example, names)

    with running() as registry:
        names["test_we_say_so_when_the_pin_is_wrong"](registry)

        assert registry.state()["guesses_in_a_row"] == 1
