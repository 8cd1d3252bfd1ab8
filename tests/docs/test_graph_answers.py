"""The answers on the page of the Cloud API are those of a running server."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nightlatch.faces.graph.wire import Kind
from tests.docs.graph_reference import ANSWERS, NOT_SERVED
from tests.docs.test_answers import form
from tests.faces.graph.desk import Desk, GraphReply, a_desk
from tests.people import OWNER
from tests.town import a_town
from tests.webhook_receiver import a_receiver

PROFILE = {"messaging_product": "whatsapp", "about": "Plants that thrive"}
ANOTHER = {"cc": "1", "phone_number": "6315551001", "verified_name": "Lucky Shrub"}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A program that may have its webhooks sent to this machine."""
    async with a_town(tmp_path, private_receivers=True) as town:
        yield await a_desk(town)


async def test_the_server_answers_as_the_page_says(desk: Desk):
    seen: dict[str, Any] = {}
    number, waba, app = f"/{desk.number}", f"/{desk.waba}", f"/{desk.app.id}"

    async def see(name: str, reply: GraphReply) -> None:
        assert reply.status == 200, reply.body
        seen[name] = reply.body

    async def call(name: str, path: str, params: Any = None, **more: Any) -> None:
        await see(name, await desk.call(name.partition("_")[0], path, params, **more))

    await call("GET_graph_waba_phone_numbers", f"{waba}/phone_numbers")
    await call("GET_graph_number", number)
    await see("POST_graph_number_request_code", await desk.request_code())
    code = await desk.town.code()
    await see("POST_graph_number_verify_code", await desk.verify_code(code))
    await see("POST_graph_number_register", await desk.register(OWNER.pin))
    await see("POST_graph_number", await desk.set_pin(OWNER.pin))
    await call(
        "POST_graph_number_whatsapp_business_profile",
        f"{number}/whatsapp_business_profile",
        PROFILE,
    )
    await call("GET_graph_number_whatsapp_business_profile", f"{number}/whatsapp_business_profile")
    await see("POST_graph_number_deregister", await desk.deregister())
    await call("POST_graph_waba_phone_numbers", f"{waba}/phone_numbers", ANOTHER)
    await call("GET_graph_waba", waba)
    await call("GET_graph_portfolio", f"/{desk.portfolio}")
    await call("GET_graph_app", app)
    await call("GET_graph_me", "/me")
    await call("GET_graph_debug_token", "/debug_token", query={"input_token": desk.token})
    await call("POST_graph_waba_subscribed_apps", f"{waba}/subscribed_apps")
    await call("GET_graph_waba_subscribed_apps", f"{waba}/subscribed_apps")
    await call("DELETE_graph_waba_subscribed_apps", f"{waba}/subscribed_apps")
    async with a_receiver() as receiver:
        callback = {
            "object": "whatsapp_business_account",
            "callback_url": receiver.url,
            "verify_token": receiver.token,
            "fields": "security",
        }
        path, own = f"{app}/subscriptions", desk.app_token
        await call("POST_graph_app_subscriptions", path, callback, token=own)
        await call("GET_graph_app_subscriptions", path, token=own)
        await call("DELETE_graph_app_subscriptions", path, token=own)
    secret = {
        "client_id": desk.app.id,
        "client_secret": desk.secret,
        "grant_type": "client_credentials",
    }
    await call("GET_graph_oauth_access_token", "/oauth/access_token", secret, token="")
    await call("POST_graph_oauth_access_token", "/oauth/access_token", secret, token="")

    assert {name: form(body) for name, body in seen.items()} == {
        name: form(body) for name, body in ANSWERS.items()
    }


async def test_what_the_page_says_is_not_served_is_answered_as_unknown(desk: Desk):
    ids = {Kind.NUMBER: desk.number, Kind.WABA: desk.waba, Kind.PORTFOLIO: desk.portfolio}

    for (kind, edge), methods in NOT_SERVED.items():
        for method in methods:
            reply = await desk.call(method, f"/{ids[kind]}/{edge}")

            assert reply.verdict == (400, 2500), edge
