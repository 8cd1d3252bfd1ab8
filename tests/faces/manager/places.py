"""Every row of the table with a real address, so that a test can go over all of them."""

from dataclasses import dataclass

from nightlatch.domain.members import MemberRole
from nightlatch.faces.manager.routes import ROUTES
from nightlatch.faces.manager.wire import PREFIX, Route
from nightlatch.usecases import members, numbers, two_step
from tests.manager_client import ADA, OLIVIA, VITO, Office
from tests.people import E164, OWNER

NAMES = [route.name for route in ROUTES]
UNSAFE = [route for route in ROUTES if route.method != "GET"]
SAFE = [route for route in ROUTES if route.method == "GET"]


@dataclass
class Places:
    """What the addresses of an office hold."""

    parts: dict[str, str]
    tokens: dict[str, str]
    """A link that is good, by the page it leads to."""

    def of(self, route: Route) -> str:
        """The route's address, with everything in it that exists."""
        path = route.path
        first = path.split("/")[1]
        for name, value in (self.parts | {"token": self.tokens.get(first, "")}).items():
            path = path.replace(f"{{{name}}}", value)
        assert "{" not in path, route
        return PREFIX + path.rstrip("/")


async def furnish(office: Office) -> Places:
    """A number with a PIN, a letter of each sort that has a link, an invitation, and their links."""
    world = office.world
    olivia = office.people[OLIVIA.email]
    number = await numbers.find_number(world, E164)
    await two_step.set_pin(world, olivia, number, OWNER.pin)
    number = await numbers.find_number(world, E164)
    await two_step.ask_to_turn_off(world, olivia, number)
    await members.invite(world, olivia, "ivan@luckyshrub.example", MemberRole.VIEWER)
    await members.ask_reset(world, VITO.email)
    letters = await office.letters()
    address = (await office.portfolio()).email
    tokens = {
        "turn-off": (await office.link(address)).rpartition("/")[2],
        "join": (await office.link("ivan@luckyshrub.example")).rpartition("/")[2],
        "reset": (await office.link(VITO.email)).rpartition("/")[2],
        "welcome": "x" * 43,
    }
    parts = {
        "waba": number.waba,
        "number": number.id,
        "member": office.people[ADA.email].id,
        "key": letters[0].key,
    }
    return Places(parts, tokens)
