"""``/v1/settings/account/two-step``: the PIN that registering the number needs."""

from nightlatch.faces.onprem.wire import Answer, Call
from nightlatch.usecases import networks


async def turn_on(call: Call) -> Answer:
    await networks.turn_on(call.world, call.who.user, call.fields["pin"])
    return Answer(200, {})


async def turn_off(call: Call) -> Answer:
    await networks.turn_off(call.world, call.who.user)
    return Answer(200, {})
