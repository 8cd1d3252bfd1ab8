"""Business profiles."""

from typing import Any

import pytest

from nightlatch.domain.profiles import VERTICALS
from tests.faces.graph.desk import Desk, GraphReply
from tests.faces.graph.sight import Sight

PRODUCT = {"messaging_product": "whatsapp"}
WHOLE: dict[str, Any] = {
    "about": "Open day and night",
    "address": "1 Hacker Way",
    "description": "Shrubs, and what grows beside them",
    "email": "olivia@luckyshrub.example",
    "websites": ["https://luckyshrub.example", "http://other.example"],
    "vertical": "RETAIL",
}


async def read(desk: Desk, fields: str | None = None) -> GraphReply:
    query = {} if fields is None else {"fields": fields}
    return await desk.call("GET", f"/{desk.number}/whatsapp_business_profile", query=query)


async def change(desk: Desk, **given: Any) -> GraphReply:
    return await desk.call("POST", f"/{desk.number}/whatsapp_business_profile", PRODUCT | given)


async def test_a_profile_is_written_and_read_in_parts(desk: Desk):
    empty = await read(desk)
    assert (await change(desk, **WHOLE)).body == {"success": True}
    whole = await read(desk)
    assert (await change(desk, about="Closed", websites=[])).status == 200
    parts = await read(desk, "about,websites,email,profile_picture_url,messaging_product")

    assert empty.body == {"data": [{"vertical": "UNDEFINED", "messaging_product": "whatsapp"}]}
    assert whole.body == {"data": [WHOLE | PRODUCT]}
    assert parts.body == {"data": [{"about": "Closed", "email": WHOLE["email"]} | PRODUCT]}


async def test_saying_nothing_changes_nothing(desk: Desk, sight: Sight):
    before = await sight.state()

    assert (await change(desk)).body == {"success": True}
    assert await sight.state() == before


async def test_changing_needs_the_messaging_product(desk: Desk, sight: Sight):
    path = f"/{desk.number}/whatsapp_business_profile"

    reply = await sight.refused(desk.call("POST", path, {"about": "x"}), 400, 100)

    assert reply.error["message"] == "(#100) The parameter messaging_product is required"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"about": ""}, "about"),
        ({"about": "x" * 140}, "about"),
        ({"about": 1}, "about"),
        ({"about": "\0"}, "about"),
        ({"address": "x" * 257}, "address"),
        ({"description": "x" * 513}, "description"),
        ({"email": "nobody"}, "email"),
        ({"email": ["a@b.example"]}, "email"),
        ({"websites": ["https://a.example"] * 3}, "websites"),
        ({"websites": ["ftp://a.example"]}, "websites"),
        ({"websites": ["javascript:alert(1)"]}, "websites"),
        ({"websites": [1]}, "websites"),
        ({"websites": {"0": "https://a.example"}}, "websites"),
        ({"websites": ["https://\0"]}, "websites"),
        ({"vertical": "retail"}, "vertical"),
        ({"vertical": ""}, "vertical"),
        ({"profile_picture_handle": "4:abc"}, "profile_picture_handle"),
    ],
    ids=str,
)
async def test_what_does_not_fit_is_refused_and_nothing_changed(
    desk: Desk, sight: Sight, given, named
):
    assert (await change(desk, **WHOLE)).status == 200

    reply = await sight.refused(change(desk, **(WHOLE | {"address": "2"} | given)), 400, 100)

    assert f" {named} " in reply.error["message"]


@pytest.mark.parametrize("vertical", VERTICALS)
async def test_every_documented_vertical_is_taken(desk: Desk, vertical):
    assert (await change(desk, vertical=vertical)).status == 200
    assert (await read(desk, "vertical")).body["data"][0]["vertical"] == vertical


async def test_an_unknown_field_is_named(desk: Desk, sight: Sight):
    reply = await sight.refused(read(desk, "about,pin"), 400, 100)

    assert "(pin) on node type (WhatsAppBusinessProfile)" in reply.error["message"]
