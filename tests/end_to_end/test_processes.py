"""More than one process on one data folder."""

import asyncio
import sys

from tests.people import OWNER
from tests.town import Town


async def test_commands_that_come_and_go_leave_the_running_server_its_log(town: Town):
    await town.owner_has_registered()

    for _ in range(3):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nightlatch", "--data", str(town.house.settings.data)),
            *("numbers", "list", "--json"),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        assert b"CONNECTED" in out

    assert (await town.owner.set_pin(OWNER.pin)).status == 200
    assert (await town.owner.register(OWNER.pin)).status == 201
    assert town.house.settings.database_file.with_name("nightlatch.db-wal").exists()
