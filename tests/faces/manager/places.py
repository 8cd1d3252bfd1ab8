"""Every row of the table with a real address, so that a test can go over all of them."""

import asyncio
from dataclasses import dataclass
from typing import Final

from nightlatch.domain import access as rules
from nightlatch.domain.access import Callback, Scope, SystemRole
from nightlatch.domain.audit import OPERATOR
from nightlatch.domain.members import MemberRole
from nightlatch.domain.webhooks import Delivery, Field
from nightlatch.faces.manager.routes import ROUTES
from nightlatch.faces.manager.wire import PREFIX, Route
from nightlatch.usecases import access, linked, links, members, numbers, two_step, vault, webhooks
from tests.fakes.cloud import TOKEN, WABA, AtMeta, FakeCloud
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

    async def nothing_is_sent_again(self, office: Office) -> None:
        """Give up the delivery, should somebody have asked to send it again: nobody takes it."""
        now = office.world.clock.now()
        await office.world.store.settle_deliveries(
            [int(self.parts["delivery"])], lambda d: d.failed("nobody takes it", now), now
        )

    def of(self, route: Route) -> str:
        """The route's address, with everything in it that exists."""
        path = route.path
        first = path.split("/")[1]
        for name, value in (self.parts | {"token": self.tokens.get(first, "")}).items():
            path = path.replace(f"{{{name}}}", value)
        assert "{" not in path, route
        return PREFIX + path.rstrip("/")


async def furnish(office: Office) -> Places:
    """A number with a PIN, a letter of each sort that has a link, an invitation, and their links;
    an app with a delivery that failed, and a system user with a token; a linked account with a
    number."""
    world = office.world
    olivia = office.people[OLIVIA.email]
    number = await numbers.find_number(world, E164)
    api = await furnish_api(office)
    await two_step.set_pin(world, olivia, number, OWNER.pin)
    number = await numbers.find_number(world, E164)
    await two_step.ask_to_turn_off(world, olivia, number)
    await members.invite(world, olivia, "ivan@luckyshrub.example", MemberRole.VIEWER)
    await members.ask_reset(world, VITO.email)
    phone = await furnish_cloud(office)
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
        "user": api.user,
        "app": api.app,
        "reference": api.reference,
        "link": WABA,
        "phone": phone.id,
        "delivery": str((await api.failed_delivery(office)).key),
    }
    return Places(parts, tokens)


NOWHERE = "https://127.0.0.1:9/hooks"
"""An address that no webhook may go to."""


@dataclass
class Api:
    """Ids of what API access is made of, and what must never be seen again."""

    app: str
    user: str
    reference: str
    secret: str
    token: str

    async def failed_delivery(self, office: Office) -> Delivery:
        """The first delivery, given up; from then on the app hears of nothing that happens here."""
        world = office.world
        while True:
            found = await webhooks.latest(world, (await office.portfolio()).id, 10)
            if found and all(one.attempts for one in found):
                break
            world.nudge()
            await asyncio.sleep(0.01)
        await listen(office, self.app, Field.ACCOUNT)
        now = world.clock.now()
        keys = [one.key for one in found]
        settled = await world.store.settle_deliveries(
            keys, lambda d: d.failed("it answered HTTP 500", now), now
        )
        first: Delivery = min(settled, key=lambda delivery: delivery.key)
        return first


PHONE: Final = "+16315552001"
PHONE_PIN: Final = "271828"


async def furnish_cloud(office: Office) -> AtMeta:
    """An account of the portfolio is linked; its one number is registered at Meta, and its PIN is
    in the vault."""
    world, cloud = office.world, cloud_of(office)
    phone = cloud.add_registered(PHONE, PHONE_PIN)
    one = await links.link(world, (await office.portfolio()).id, WABA, TOKEN, secret="s" * 32)
    await links.read_numbers(world, one, lambda _: None)
    number = await linked.find_linked(world, PHONE)
    await linked.refresh(world, await vault.keep(world, number, PHONE_PIN))
    await office.at_rest()
    return phone


def cloud_of(office: Office) -> FakeCloud:
    """The town's Meta."""
    cloud: FakeCloud = office.world.cloud
    return cloud


async def furnish_api(office: Office) -> Api:
    """An app that hears about the number's PIN, at an address that nobody reaches."""
    world, portfolio = office.world, (await office.portfolio()).id
    new = await access.add_app(world, portfolio, "Shop floor")
    await listen(office, new.app.id, Field.SECURITY)
    waba = (await world.store.wabas(portfolio))[0]
    await webhooks.subscribe(world, rules.Caller(new.app), waba)
    user = await access.add_system_user(world, portfolio, "Till", SystemRole.EMPLOYEE, [waba.id])
    token = await access.issue_token(world, user, new.app, [Scope.MANAGEMENT])
    (kept,) = await access.access_tokens(world, user)
    return Api(new.app.id, user.id, kept.reference, new.secret, token)


async def listen(office: Office, app: str, *fields: Field) -> None:
    """As if NOWHERE had answered the challenge."""
    world = office.world
    callback, now = Callback(NOWHERE, frozenset(fields)), world.clock.now()
    await world.store.update_app(app, lambda a: rules.change_callback(a, callback, OPERATOR, now))
