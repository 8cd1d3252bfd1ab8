"""The page behind the mailed link. Looking at it changes nothing; its button acts."""

from nightlatch.faces.manager.numbers import to
from nightlatch.faces.manager.wire import Answer, Call, Page, Redirect
from nightlatch.usecases import two_step


async def show(call: Call) -> Answer:
    """What the button will do. Raises LinkRefused."""
    number = await two_step.number_of_link(call.world, call.member, call.path["token"])
    return Page("turn_off.html", {"here": "numbers", "number": number, "link": number.link})


async def follow(call: Call) -> Answer:
    """Turns two-step verification off. Raises LinkRefused."""
    number = await two_step.follow_link(call.world, call.member, call.path["token"])
    return Redirect(to(number, "/two-step"), "turned_off")
