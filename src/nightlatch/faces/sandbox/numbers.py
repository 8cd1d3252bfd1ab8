"""A number as the sandbox shows it, the review of its name, and the Manager's buttons."""

from collections.abc import Awaitable, Callable, Mapping
from math import ceil
from typing import Any, Final

from nightlatch.domain.errors import CertificateNotReady, ParameterInvalid
from nightlatch.domain.numbers import Number
from nightlatch.domain.two_step import read_pin
from nightlatch.faces.sandbox.wire import Call, choice, given, only
from nightlatch.ports import World
from nightlatch.usecases import numbers, sandbox


async def show(call: Call) -> Mapping[str, Any]:
    return _shown(call.world, await _number(call))


async def decide_name(call: Call) -> Mapping[str, Any]:
    """Approve or decline the display name that was asked for."""
    decision = choice(call.body, "decision", _DECISIONS)
    number = await _number(call)
    decided = await _DECISIONS[decision](call.world, number, sandbox.BY)
    return _shown(call.world, decided)


async def press(call: Call) -> Mapping[str, Any]:
    """A button of the Manager, pressed by the portfolio's first owner."""
    button = choice(call.body, "button", _BUTTONS)
    fields, push = _BUTTONS[button]
    only(call.body, ("button", *fields), "body")
    pins = {name: _pin(call.body, name) for name in fields}
    number = await _number(call)
    await push(call.world, number, **pins)
    return _shown(call.world, await sandbox.find_number(call.world, number.id))


async def _number(call: Call) -> Number:
    return await sandbox.find_number(call.world, call.path["number"])


def _pin(body: Mapping[str, Any], name: str) -> str:
    value = given(body, name)
    try:
        return read_pin(value)
    except ParameterInvalid as invalid:
        raise ParameterInvalid(name, invalid.why) from invalid


async def _change_pin(world: World, number: Number, pin: str, current_pin: str) -> None:
    await sandbox.change_pin(world, number, current_pin, pin)


_DECISIONS: Final[Mapping[str, Callable[[World, Number, str], Awaitable[Number]]]] = {
    "APPROVED": numbers.approve_name,
    "REJECTED": numbers.decline_name,
}
_BUTTONS: Final[Mapping[str, tuple[tuple[str, ...], Callable[..., Awaitable[None]]]]] = {
    "set_pin": (("pin",), sandbox.set_pin),
    "change_pin": (("pin", "current_pin"), _change_pin),
    "turn_off": ((), sandbox.ask_to_turn_off),
    "follow_link": ((), sandbox.follow_link),
}


def _shown(world: World, number: Number) -> dict[str, Any]:
    now = world.clock.now()
    return {
        "id": number.id,
        "e164": number.e164,
        "cc": number.cc,
        "phone_number": number.national,
        "waba": number.waba,
        "status": number.status.value,
        "holder": number.holder,
        "code": number.code_state(now).value,
        "name": number.name,
        "asked_name": number.asked_name,
        "name_state": number.name_state.value,
        "certificate": _certificate(world, number),
        "two_step": number.two_step.is_on,
        "guesses_in_a_row": number.guesses.run,
        "waiting_seconds": ceil(number.guesses.remaining(now).total_seconds()),
        "locked": number.guesses.locked,
    }


def _certificate(world: World, number: Number) -> str | None:
    try:
        return numbers.certificate(world, number)
    except CertificateNotReady:
        return None
