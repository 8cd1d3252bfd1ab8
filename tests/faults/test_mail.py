"""Mail while the mail server is down, and while our own server is shot."""

import asyncio
import io
import os
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from nightlatch.bootstrap import free_port
from nightlatch.domain.limits import MAIL_GIVE_UP, MAIL_UNREACHED_PAUSE
from nightlatch.usecases import portfolios
from tests.faults.processes import ClockFile, start_served
from tests.mail_server import MailServer, a_mail_server
from tests.people import OWNER
from tests.town import Api, Town, a_town

KILLS = int(os.environ.get("NIGHTLATCH_KILLS", "8"))
LEASE = timedelta(seconds=61)
ADDRESS = "office@shop.example"


@asynccontextmanager
async def a_mailing_town(folder: Path, server: MailServer) -> AsyncIterator[Town]:
    """The owner is protected, and the portfolio has an address."""
    async with a_town(
        folder, smtp_host=server.host, smtp_port=server.port, smtp_security="none"
    ) as town:
        portfolio = (await town.house.store.portfolios())[0]
        await portfolios.change_portfolio(town.house.world, portfolio.id, "Shop", ADDRESS)
        await town.owner_has_registered()
        yield town


async def _until(town: Town, state: str) -> Any:
    """The letter about the PIN, once it is in *state*."""
    async with asyncio.timeout(20):
        while True:
            letters = await town.house.store.mails(None, 10)
            found = [one for one in letters if one.letter.value == "pin_set"]
            if found and found[0].state.value == state:
                return found[0]
            town.house.world.nudge()
            await asyncio.sleep(0.01)


async def _tried(town: Town, attempts: int) -> None:
    async with asyncio.timeout(20):
        while True:
            letters = await town.house.store.mails(None, 10)
            (letter,) = [one for one in letters if one.letter.value == "pin_set"]
            if letter.attempts >= attempts and letter.fault:
                return
            town.house.world.nudge()
            await asyncio.sleep(0.01)


async def test_a_mail_server_that_is_down_for_an_hour_makes_nobody_wait_and_loses_nothing(
    tmp_path: Path,
):
    async with a_mail_server() as server:
        await server.stop()
        async with a_mailing_town(tmp_path / "data", server) as town:
            answered = await town.owner.set_pin(OWNER.pin)
            for n in range(120):
                await _tried(town, min(n + 1, 3))
                town.pass_time(30)

            await server.start()
            town.pass_time(MAIL_UNREACHED_PAUSE)
            sent = await _until(town, "sent")

    assert answered.status == 200
    assert sum(sent.key in str(mail.message["Message-ID"]) for mail in server.inbox) == 1
    assert (sent.sealed, sent.fault) == (None, "")


async def test_a_mail_server_that_is_down_for_a_day_fails_the_letter_and_says_so(
    tmp_path: Path, log: io.StringIO
):
    async with a_mail_server() as server:
        await server.stop()
        async with a_mailing_town(tmp_path / "data", server) as town:
            await town.owner.set_pin(OWNER.pin)
            await _tried(town, 1)
            town.pass_time(MAIL_GIVE_UP)
            failed = await _until(town, "failed")
            async with asyncio.timeout(10):
                while '"mail failed"' not in log.getvalue():
                    await asyncio.sleep(0.01)
            metrics = await town.owner.call("GET", "/metrics?format=prometheus")

    assert failed.fault.startswith("not reached")
    assert 'nightlatch_mail_total{result="failed"}' in metrics.raw.decode()
    assert ADDRESS not in log.getvalue()


async def test_kill_9_in_the_middle_of_sending_strands_no_letter(tmp_path: Path):
    """Every change that was acknowledged is mailed in the end; a second copy of a letter has the
    first one's Message-ID."""
    data, clock, chance = tmp_path / "data", ClockFile(tmp_path / "clock"), random.Random(5)
    acknowledged = 0
    async with a_mail_server() as server:
        async with a_mailing_town(data, server):
            pass
        before = len(server.inbox)
        env = {
            "NIGHTLATCH_SMTP_HOST": server.host,
            "NIGHTLATCH_SMTP_PORT": str(server.port),
            "NIGHTLATCH_SMTP_SECURITY": "none",
        }
        for n in range(KILLS):
            server.hangs = {"DATA"} if n % 2 else set()
            server.forgets = n % 3 == 0
            process = start_served(data, clock, port=free_port(), **env)
            try:
                await asyncio.to_thread(process.wait_until_ready)
                api = Api(process.port, OWNER.base, OWNER.password)
                assert (await api.login()).status == 200
                with suppress(OSError, AssertionError):
                    for m in range(3):
                        reply = await api.set_pin(f"{271_828 + 10 * n + m}")
                        acknowledged += reply.status == 200
                    await asyncio.sleep(chance.uniform(0, 0.1))
            finally:
                process.kill()
            clock.step(LEASE)

        server.hangs, server.forgets = set(), False
        process = start_served(data, clock, port=free_port(), **env)
        try:
            await asyncio.to_thread(process.wait_until_ready)
            async with asyncio.timeout(60):
                while _states(data)["waiting"]:
                    clock.step(LEASE)
                    await asyncio.sleep(0.1)
        finally:
            process.stop()

    states = _states(data)
    received = [str(mail.message["Message-ID"]) for mail in server.inbox[before:]]
    assert set(states) <= {"sent", "waiting"}, states
    assert acknowledged >= 2 * KILLS
    assert len(set(received)) >= acknowledged
    assert _never_received(data, received) == set()


def _states(data: Path) -> Counter[str]:
    with closing(sqlite3.connect(data / "nightlatch.db")) as database:
        return Counter(dict(database.execute("SELECT state, count(*) FROM mail GROUP BY state")))


def _never_received(data: Path, received: list[str]) -> set[str]:
    """Letters about the PIN that are said to be sent, and were not."""
    with closing(sqlite3.connect(data / "nightlatch.db")) as database:
        keys = {
            key
            for (key,) in database.execute(
                "SELECT key FROM mail WHERE state = 'sent' AND letter IN ('pin_set', 'pin_changed')"
            )
        }
    return {key for key in keys if not any(key in one for one in received)}
