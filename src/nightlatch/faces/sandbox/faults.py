"""What is made to go wrong on the Graph face."""

from collections.abc import Mapping
from typing import Any, Final

from nightlatch.domain.errors import ParameterInvalid, ParameterUnexpected
from nightlatch.faces.faults import ANY_EDGE, ANY_NUMBER, EDGES, Fault, FaultKind
from nightlatch.faces.sandbox.wire import Call, between, choice
from nightlatch.usecases import sandbox

_MOST_TIMES: Final = 1_000
_LONGEST_SECONDS: Final = 60


async def listed(call: Call) -> Mapping[str, Any]:
    return {
        "faults": [
            {
                "fault": fault.kind.value,
                "number": None if fault.number == ANY_NUMBER else fault.number,
                "edge": None if fault.edge == ANY_EDGE else fault.edge,
                "times": fault.times,
                "seconds": fault.seconds,
            }
            for fault in call.faults.listed()
        ]
    }


async def add(call: Call) -> Mapping[str, Any]:
    body = call.body
    kind = FaultKind(choice(body, "fault", [one.value for one in FaultKind]))
    fault = Fault(kind)
    if kind is FaultKind.SLOW:
        fault.seconds = between(body, "seconds", 0.001, _LONGEST_SECONDS, whole=False)
    elif "seconds" in body:
        raise ParameterUnexpected("seconds", "`seconds` for `slow` only")
    if "times" in body:
        fault.times = int(between(body, "times", 1, _MOST_TIMES, whole=True))
    if "edge" in body:
        fault.edge = choice(body, "edge", EDGES)
    if "number" in body:
        fault.number = (await sandbox.find_number(call.world, _name(body))).id
    call.faults.add(fault)
    return await listed(call)


def _name(body: Mapping[str, Any]) -> str:
    name = body["number"]
    if not isinstance(name, str):
        raise ParameterInvalid("number", "a string: the number's id, or its E.164 digits")
    return name


async def clear(call: Call) -> Mapping[str, Any]:
    call.faults.clear()
    return await listed(call)
