"""Where webhooks go: an app's subscriptions, and the apps that hear about an account."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.faces.graph.desk import Desk, GraphReply, a_desk
from tests.faces.graph.sight import Sight
from tests.people import OWNER
from tests.town import Town, a_town
from tests.webhook_receiver import Receiver, a_receiver


@pytest.fixture
async def town(tmp_path) -> AsyncIterator[Town]:
    """A server that may send webhooks to this machine."""
    async with a_town(tmp_path / "data", private_receivers=True) as running:
        yield running


@pytest.fixture
async def receiver(desk: Desk) -> AsyncIterator[Receiver]:
    async with a_receiver(secret=desk.secret) as listening:
        yield listening


async def send_to(desk: Desk, receiver: Receiver, **changes: Any) -> GraphReply:
    params = {
        "object": "whatsapp_business_account",
        "callback_url": receiver.url,
        "verify_token": receiver.token,
    }
    path = f"/{desk.app.id}/subscriptions"
    return await desk.call("POST", path, params | changes, token=desk.app_token)


async def listed(desk: Desk) -> Any:
    path = f"/{desk.app.id}/subscriptions"
    return (await desk.call("GET", path, token=desk.app_token)).body["data"]


async def hear(desk: Desk, **params: Any) -> GraphReply:
    return await desk.call("POST", f"/{desk.waba}/subscribed_apps", params)


async def test_an_apps_webhooks_go_where_the_challenge_was_answered(desk: Desk, receiver: Receiver):
    none = await listed(desk)
    done = await send_to(desk, receiver)
    after = await listed(desk)

    challenge = receiver.requests[0].query
    assert none == []
    assert done.body == {"success": True}
    assert challenge["hub.mode"] == "subscribe"
    assert challenge["hub.verify_token"] == receiver.token
    assert after == [
        {
            "object": "whatsapp_business_account",
            "callback_url": receiver.url,
            "active": True,
            "fields": [
                {"name": name, "version": "v23.0"}
                for name in ("security", "phone_number_name_update", "account_update")
            ],
        }
    ]


async def test_fields_are_those_that_were_asked_for(desk: Desk, receiver: Receiver):
    for fields, names in (
        ("security,messages", ["security"]),
        (["account_update", "security"], ["security", "account_update"]),
        ('["messages"]', []),
    ):
        assert (await send_to(desk, receiver, fields=fields)).status == 200
        assert [one["name"] for one in (await listed(desk))[0]["fields"]] == names
        assert (await send_to(desk, receiver)).status == 200
        assert [one["name"] for one in (await listed(desk))[0]["fields"]] == names


async def test_a_challenge_that_is_not_answered_is_error_2200(
    desk: Desk, sight: Sight, receiver: Receiver
):
    wrong = await sight.refused(send_to(desk, receiver, verify_token="no"), 400, 2200)
    await receiver.stop()
    silent = await sight.refused(send_to(desk, receiver), 400, 2200)

    assert wrong.error["message"].startswith(
        "(#2200) Callback verification failed with the following errors: "
    )
    assert "403" in wrong.error["message"]
    assert silent.error["message"].startswith("(#2200)")


@pytest.mark.parametrize(
    "changes",
    [
        {"callback_url": "ftp://x"}, {"callback_url": ""}, {"callback_url": 7},
        {"callback_url": "https://user@host/"}, {"callback_url": "https://x#y"},
        {"verify_token": ""}, {"verify_token": None}, {"object": "page"}, {"object": None},
        {"fields": "security,nonsense"}, {"fields": 7}, {"fields": [7]},
    ],
    ids=str,
)  # fmt: skip
async def test_what_is_no_subscription_is_refused(
    desk: Desk, sight: Sight, receiver: Receiver, changes
):
    await sight.refused(send_to(desk, receiver, **changes), 400, 100)

    assert receiver.requests == []


async def test_subscriptions_need_the_apps_own_token(desk: Desk, sight: Sight, receiver: Receiver):
    path = f"/{desk.app.id}/subscriptions"
    for method in ("GET", "POST", "DELETE"):
        reply = await sight.refused(desk.call(method, path, {}), 400, 15)
        assert reply.error["message"] == (
            "(#15) This method must be called with an app access_token."
        )


async def test_webhooks_may_go_nowhere_again(desk: Desk, sight: Sight, receiver: Receiver):
    assert (await send_to(desk, receiver)).status == 200
    path = f"/{desk.app.id}/subscriptions"

    some = await sight.refused(
        desk.call("DELETE", path, {"fields": "security"}, token=desk.app_token), 400, 100
    )
    done = await desk.call(
        "DELETE", path, query={"object": "whatsapp_business_account"}, token=desk.app_token
    )

    assert "fields" in some.error["message"]
    assert done.body == {"success": True}
    assert await listed(desk) == []


# Accounts


async def test_an_app_hears_about_an_account_until_it_does_not(desk: Desk, sight: Sight):
    path = f"/{desk.waba}/subscribed_apps"
    none = await desk.call("GET", path)
    absent = await sight.refused(desk.call("DELETE", path), 400, 100)
    done = await hear(desk)
    again = await hear(desk)
    heard = await desk.call("GET", path)
    gone = await desk.call("DELETE", path)

    assert none.body == {"data": []}
    assert "not subscribed" in absent.error["message"]
    assert done.body == again.body == gone.body == {"success": True}
    assert heard.body == {
        "data": [
            {
                "whatsapp_business_api_data": {
                    "link": f"https://www.facebook.com/games/?app_id={desk.app.id}",
                    "name": "Lucky app",
                    "id": desk.app.id,
                }
            }
        ]
    }
    assert (await desk.call("GET", path)).body == {"data": []}


async def test_another_address_needs_a_subscription_first(
    desk: Desk, sight: Sight, receiver: Receiver
):
    params = {"override_callback_uri": receiver.url, "verify_token": receiver.token}

    early = await sight.refused(hear(desk, **params), 400, 100)
    assert (await hear(desk)).status == 200
    wrong = await sight.refused(hear(desk, **(params | {"verify_token": "no"})), 400, 2200)
    bad = await sight.refused(hear(desk, override_callback_uri="x"), 400, 100)
    done = await hear(desk, **params)
    shown = await desk.call("GET", f"/{desk.waba}/subscribed_apps")
    back = await hear(desk)

    assert early.error["message"] == (
        "(#100) Before override the current callback uri, your app must be subscribed to receive"
        " messages for WhatsApp Business Account"
    )
    assert wrong.error["code"] == 2200
    assert bad.error["code"] == 100
    assert done.body == back.body == {"success": True}
    assert shown.body["data"][0]["override_callback_uri"] == receiver.url
    after = await desk.call("GET", f"/{desk.waba}/subscribed_apps")
    assert "override_callback_uri" not in after.body["data"][0]


async def test_a_number_shows_where_its_webhooks_go(desk: Desk, receiver: Receiver):
    async def shown() -> Any:
        return (await desk.read("webhook_configuration")).body.get("webhook_configuration")

    none = await shown()
    assert (await send_to(desk, receiver)).status == 200
    app = await shown()
    assert (await hear(desk)).status == 200
    params = {"override_callback_uri": receiver.url + "2", "verify_token": receiver.token}
    assert (await hear(desk, **params)).status == 200
    both = await shown()

    assert none is None
    assert app == {"application": receiver.url}
    assert both == {
        "application": receiver.url,
        "whatsapp_business_account": receiver.url + "2",
    }


async def test_taking_a_number_over_by_graph_is_told_to_its_apps(desk: Desk, receiver: Receiver):
    assert (await send_to(desk, receiver)).status == 200
    assert (await hear(desk)).status == 200
    await desk.town.owner_is_protected()

    assert (await desk.register(OWNER.pin)).status == 200
    await receiver.until(lambda r: bool(r.updates))

    assert receiver.updates == [
        {"display_phone_number": "16315551000", "event": "ACCOUNT_RECONNECTED"}
    ]
    assert receiver.forged == []


async def test_private_receivers_are_refused_unless_allowed(tmp_path, log):
    async with a_town(tmp_path / "other") as town, a_receiver() as receiver:
        desk = await a_desk(town)
        sight = Sight(desk, log)

        reply = await sight.refused(send_to(desk, receiver), 400, 2200)

        assert receiver.requests == []
        assert reply.error["message"].startswith("(#2200)")
