"""What the phone with the number received from the local registry."""

from nightlatch.domain.members import MemberRole
from nightlatch.faces.manager.numbers import shows
from nightlatch.faces.manager.wire import Answer, Call, Page
from nightlatch.usecases import codes


async def show(call: Call) -> Answer:
    """The codes that are still good, the newest first."""
    number, shown = await shows(call, "codes", MemberRole.ADMIN)
    return Page("handset.html", shown | {"messages": await codes.handset(call.world, number.e164)})
