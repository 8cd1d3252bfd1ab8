"""The clock, which steps forward only."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from nightlatch.domain.errors import MethodNotAllowed
from nightlatch.faces.sandbox.wire import Call, between
from nightlatch.usecases import sandbox

LONGEST_STEP: Final = 400 * 86_400
"""Seconds: longer than anything the registry waits for."""


async def show(call: Call) -> Mapping[str, Any]:
    return {"now": call.world.clock.now().isoformat()}


async def step(call: Call) -> Mapping[str, Any]:
    if call.step is None:
        raise MethodNotAllowed(("GET",))
    seconds = between(call.body, "seconds", 1, LONGEST_STEP, whole=True)
    await sandbox.step_clock(call.world, call.step, timedelta(seconds=seconds))
    return await show(call)
