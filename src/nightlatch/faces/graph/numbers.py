"""A phone number: reading it, its PIN, its codes, registering it."""

import re
from typing import Any, Final

from nightlatch.domain import numbers as rules
from nightlatch.domain import two_step
from nightlatch.domain.codes import Method, read_code
from nightlatch.domain.errors import ParameterInvalid, ParameterMissing, ParameterUnexpected
from nightlatch.faces.graph.fields import View, show
from nightlatch.faces.graph.versions import REGIONS
from nightlatch.faces.graph.wire import SUCCESS, Answer, Call, one_of
from nightlatch.usecases import cloud, numbers

_LENGTH: Final = "6 characters long"
_METHODS: Final = {"SMS": Method.SMS, "VOICE": Method.VOICE}
METHODS: Final = tuple(_METHODS)
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?:_[A-Za-z]{2,4})?", re.ASCII)


async def read(call: Call) -> Answer:
    """Any object: the fields that were asked for."""
    view = View(call.world, call.caller, call.node)
    return await show(view, call.given.get("fields", ()))


async def change(call: Call) -> Answer:
    """The PIN, or the display name."""
    pin, name = call.given.get("pin"), call.given.get("new_display_name")
    if name is not None and pin is not None:
        raise ParameterUnexpected("new_display_name", "send it in a call without pin")
    if name is not None:
        await numbers.ask_name(call.world, call.number, name, call.by)
    elif pin is None:
        raise ParameterMissing("pin")
    elif pin:
        await cloud.set_pin(call.world, call.number, pin, call.by)
    else:
        await _turn_off(call)
    return SUCCESS


async def _turn_off(call: Call) -> None:
    try:
        await cloud.turn_off(call.world, call.number, call.by)
    except ParameterInvalid as error:
        raise ParameterInvalid("pin", _LENGTH) from error


async def register(call: Call) -> Answer:
    region = call.given.get("data_localization_region")
    if region is not None and call.version.localizes_by_register:
        one_of("data_localization_region", REGIONS)(region)
    await cloud.register(call.world, call.number, call.given["pin"], call.by)
    return SUCCESS


async def deregister(call: Call) -> Answer:
    await cloud.deregister(call.world, call.number, call.by)
    return SUCCESS


async def request_code(call: Call) -> Answer:
    await cloud.request_code(call.world, call.number, call.given["code_method"], call.by)
    return SUCCESS


async def verify_code(call: Call) -> Answer:
    await cloud.enter_code(call.world, call.number, call.given["code"], call.by)
    return SUCCESS


def read_pin(value: Any) -> str:
    """As ``two_step.read_pin``, refused in Graph's words."""
    try:
        return two_step.read_pin(value)
    except ParameterInvalid as error:
        if not isinstance(value, str):
            raise ParameterInvalid("pin", "a string") from error
        fits = len(value) == len("000000")
        why = "made of the digits 0-9" if fits else _LENGTH
        raise ParameterInvalid("pin", why) from error


def read_pin_or_empty(value: Any) -> str:
    """As ``read_pin``; an empty one may turn two-step verification off."""
    return "" if value == "" else read_pin(value)


def read_code_method(value: Any) -> Method:
    method = _METHODS.get(value) if isinstance(value, str) else None
    if method is None:
        raise ParameterInvalid("code_method", "one of {SMS, VOICE}")
    return method


def read_language(value: Any) -> str:
    if isinstance(value, str) and _LANGUAGE.fullmatch(value):
        return value
    raise ParameterInvalid("language", "a locale such as en_US")


def read_verification(value: Any) -> str:
    try:
        return read_code(value)
    except ParameterInvalid as error:
        raise ParameterInvalid("code", "the 6 digits of the code, as a string") from error


def read_display_name(name: str) -> Any:
    """A rule for a display name that is sent as *name*."""

    def read(value: Any) -> str:
        try:
            return rules.read_name(value if isinstance(value, str) else "")
        except ParameterInvalid as error:
            raise ParameterInvalid(name, error.why) from error

    return read
