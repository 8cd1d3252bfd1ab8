"""Two server processes on one database file: what one answered, the other knows."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.faults.processes import ClockFile, served
from tests.people import CC, NATIONAL, OWNER, THIEF
from tests.town import Api, a_town


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Any]:
    """The owner and the thief at the first server; and how to go to the second, token in hand."""
    data = tmp_path / "data"
    async with a_town(data) as town:
        await town.owner_has_registered()
        certificate = town.owner.certificate
    with served(data, ClockFile(tmp_path / "clock"), "--share", count=2) as (one, two):
        owner = Api(one.port, OWNER.base, OWNER.password, certificate=certificate)
        thief = Api(one.port, THIEF.base, THIEF.password, certificate=certificate)
        for person in (owner, thief):
            assert (await person.login()).status == 200
        yield owner, thief, lambda person: replace(person, port=two.port)


async def test_what_one_server_answered_the_other_knows_at_once(doors: Any):
    owner, thief, elsewhere = doors
    shards = {"cc": CC, "phone_number": NATIONAL, "shards": 2}  # no PIN: fine while it is off

    for _ in range(20):
        assert (await owner.set_pin(OWNER.pin)).status == 200
        assert (await elsewhere(thief).register()).verdict == (400, 1008)
        assert (await elsewhere(owner).turn_off()).status == 200
        assert (await owner.call("POST", "/account/shards", shards)).status == 201


async def test_a_token_ended_at_one_server_opens_nothing_at_the_other(doors: Any):
    owner, _, elsewhere = doors
    there = elsewhere(owner)

    for _ in range(20):
        assert (await there.call("GET", "/health")).status == 200
        assert (await owner.call("POST", "/users/logout")).status == 200
        assert (await there.call("GET", "/health")).verdict == (401, 1005)
        assert (await owner.login()).status == 200
        there = elsewhere(owner)


async def test_wrong_pins_at_two_servers_by_turns_share_one_counter(doors: Any):
    owner, thief, elsewhere = doors
    assert (await owner.set_pin(OWNER.pin)).status == 200

    verdicts = []
    for n in range(8):
        at = thief if n % 2 else elsewhere(thief)
        verdicts.append((await at.register(THIEF.wrong_pin)).verdict)

    assert verdicts == [(403, 1005)] * 5 + [(429, 1015)] * 3
