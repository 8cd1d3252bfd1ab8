"""Letters by the command line: sent, waiting, failed, kept."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from nightlatch import bootstrap
from nightlatch.adapters.hashing import CHEAP
from nightlatch.adapters.system import SteppedClock
from nightlatch.domain.mail import Posted
from nightlatch.ports import MailRefused, MailSender, Rendered
from nightlatch.settings import Settings
from nightlatch.usecases import mail
from tests.faces.cli.conftest import Line
from tests.people import E164

ADDRESS = "post@luckyshrub.com"


class NoSuchUser:
    """A mail server that knows nobody."""

    keeps = False

    async def send(self, posted: Posted, letter: Rendered) -> None:  # noqa: ARG002 - as the port
        raise MailRefused("refused: 550 5.1.1")


def deliver(line: Line, sender: MailSender | None = None) -> None:
    """A minute later, what a server would do."""

    def clock(not_before: datetime | None) -> SteppedClock:
        stepped = SteppedClock(not_before)
        stepped.step(timedelta(minutes=1))
        return stepped

    async def work() -> None:
        settings = Settings(data=line.data)
        async with bootstrap.open_house(settings, cost=CHEAP, clock=clock) as house:
            await mail.deliver(house.world, sender or house.mail_sender)

    asyncio.run(work())


@pytest.fixture
def letters(line: Line) -> list[dict[str, Any]]:
    """Two notices of the story, which are kept, and one about the new address, which waits."""
    assert line("portfolios", "change", "--email", ADDRESS).exit_code == 0
    return list(line.json("mail", "list"))


def test_letters_are_listed_the_newest_first(line: Line, letters: list[dict[str, Any]]):
    table = line("mail", "list")

    assert [one["letter"] for one in letters] == ["address changed", "first wrong guess", "pin set"]
    assert [one["state"] for one in letters] == ["waiting", "kept", "kept"]
    assert letters[0]["to"] == ADDRESS
    assert [row.split()[0] for row in table.stdout.splitlines()[1:]] == [
        one["key"] for one in letters
    ]
    assert "were mailed to nobody" in table.stderr
    assert line.json("mail", "list", "--last", "1") == letters[:1]


def test_letters_of_one_portfolio_only(line: Line, letters: list[dict[str, Any]]):
    (portfolio,) = line.json("portfolios", "list")

    assert line.json("mail", "list", "--portfolio", portfolio["id"]) == letters
    assert line.json("mail", "list", "--portfolio", "200") == []
    assert line("mail", "list", "--portfolio", "200").stdout == "no letters\n"


def test_a_letter_is_shown_as_its_reader_sees_it(line: Line, letters: list[dict[str, Any]]):
    shown = line.json("mail", "show", letters[2]["key"])
    done = line("mail", "show", letters[2]["key"])

    assert shown["subject"] == f"Two-step verification is on for {E164}"
    assert f"Two-step verification was turned on for {E164}" in shown["text"]
    assert "By          user admin of the client main" in shown["text"]
    assert "From        127.0.0.1" in shown["text"]
    assert shown["link"] is None
    assert shown["text"] in done.stdout
    assert shown["subject"] in done.stdout


def test_letters_that_are_only_kept_say_so(line: Line, letters: list[dict[str, Any]]):
    deliver(line)

    listed, shown = line("mail", "list"), line("mail", "show", letters[0]["key"])

    assert {one["state"] for one in line.json("mail", "list")} == {"kept"}
    for done in (listed, shown):
        assert "were mailed to nobody" in done.stderr
        assert "--smtp-host" in done.stderr
    assert line("mail", "list", "--json").stderr == ""


def test_a_letter_that_failed_says_why_and_is_sent_again(line: Line, letters: list[dict[str, Any]]):
    deliver(line, NoSuchUser())
    failed = line.json("mail", "list")[0]

    done = line("mail", "retry", failed["key"])

    assert (failed["state"], failed["fault"]) == ("failed", "refused: 550 5.1.1")
    assert done.stdout == f"the letter to {ADDRESS} is on its way again\n"
    assert line.json("mail", "show", failed["key"])["state"] == "waiting"
    deliver(line)
    assert line.json("mail", "show", failed["key"])["state"] == "kept"


def test_a_letter_that_arrived_is_not_sent_again(line: Line, letters: list[dict[str, Any]]):
    deliver(line)

    done = line("mail", "retry", letters[0]["key"])

    assert done.exit_code == 1
    assert "cannot be sent again" in done.stderr


@pytest.mark.parametrize("command", ["show", "retry"])
def test_an_unknown_letter_is_refused(line: Line, command: str):
    done = line("mail", command, "0" * 32)

    assert done.exit_code == 1
    assert done.stderr == "nightlatch: There is no such letter; see: nightlatch mail list\n"
