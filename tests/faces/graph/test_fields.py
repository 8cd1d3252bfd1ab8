"""Reading objects: fields, defaults, health."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from nightlatch.domain.numbers import Decision
from nightlatch.faces.graph.fields import names_of
from nightlatch.faces.graph.wire import Kind
from nightlatch.usecases import numbers
from tests.faces.graph.desk import Desk
from tests.faces.graph.sight import Sight
from tests.people import OWNER


async def test_without_fields_a_number_shows_what_the_documents_show(desk: Desk):
    assert (await desk.read()).body == {
        "verified_name": "Lucky Shrub",
        "code_verification_status": "NOT_VERIFIED",
        "display_phone_number": "+1 631-555-1000",
        "quality_rating": "UNKNOWN",
        "id": desk.number,
    }


async def test_every_field_of_a_number_can_be_read(desk: Desk):
    await desk.move_in(OWNER.pin)

    body = (await desk.read(",".join(names_of(Kind.NUMBER.value)))).body

    certificate = body.pop("certificate")
    health = body.pop("health_status")
    assert certificate == desk.town.owner.certificate
    assert health["can_send_message"] == "AVAILABLE"
    assert body.pop("last_onboarded_time").endswith("+0000")
    assert body == {
        "account_mode": "LIVE",
        "code_verification_status": "VERIFIED",
        "country_code": "US",
        "country_dial_code": "1",
        "display_phone_number": "+1 631-555-1000",
        "host_platform": "CLOUD_API",
        "is_official_business_account": False,
        "is_on_biz_app": False,
        "is_pin_enabled": True,
        "is_preverified_number": False,
        "messaging_limit_tier": "TIER_250",
        "name_status": "APPROVED",
        "new_name_status": "NONE",
        "platform_type": "CLOUD_API",
        "quality_rating": "GREEN",
        "quality_score": {"score": "GREEN"},
        "search_visibility": "NON_VISIBLE",
        "status": "CONNECTED",
        "throughput": {"level": "STANDARD"},
        "verified_name": "Lucky Shrub",
        "whatsapp_business_manager_messaging_limit": "TIER_250",
        "id": desk.number,
    }


@pytest.mark.parametrize(
    "fields",
    ["status,is_pin_enabled", "status, is_pin_enabled,", '["status","is_pin_enabled"]',
     "['status','is_pin_enabled']", "id,status,is_pin_enabled,id"],
)  # fmt: skip
async def test_fields_come_as_a_list_or_with_commas(desk: Desk, fields):
    assert (await desk.read(fields)).body == {
        "status": "PENDING",
        "is_pin_enabled": False,
        "id": desk.number,
    }


async def test_fields_may_come_with_brackets(desk: Desk):
    query = {"fields[0]": "status", "fields[1]": "id"}

    assert (await desk.call("GET", f"/{desk.number}", query=query)).body == {
        "status": "PENDING",
        "id": desk.number,
    }


async def test_an_empty_list_of_fields_is_none_at_all(desk: Desk):
    assert (await desk.read(fields="", token=None)).body == (await desk.read()).body
    reply = await desk.call("GET", f"/{desk.number}", query={"fields": ""})
    assert "verified_name" in reply.body


async def test_parts_of_a_nested_field_can_be_chosen(desk: Desk):
    body = (
        await desk.read("health_status{can_send_message},throughput{level},quality_score{x}")
    ).body

    assert body["health_status"] == {"can_send_message": "BLOCKED"}
    assert body["throughput"] == {"level": "NOT_APPLICABLE"}
    assert body["quality_score"] == {}


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("number", "WhatsAppBusinessPhoneNumber"),
        ("waba", "WhatsAppBusinessAccount"),
        ("portfolio", "Business"),
        ("app", "Application"),
    ],
)
async def test_an_unknown_field_is_named_with_the_kind_of_object(
    desk: Desk, sight: Sight, kind, named
):
    id = {"number": desk.number, "waba": desk.waba, "portfolio": desk.portfolio}.get(kind)

    reply = await sight.refused(
        desk.call("GET", f"/{id or desk.app.id}", query={"fields": "id,pin"}), 400, 100
    )

    assert reply.error["message"] == (
        f"(#100) Tried accessing nonexisting field (pin) on node type ({named})"
    )


@pytest.mark.parametrize(
    "fields", ["a b", "{", "}", "a{b", "a}", "a.limit(", "((((((((", "a,é", "-"]
)
async def test_what_is_no_list_of_fields_is_refused(desk: Desk, sight: Sight, fields):
    await sight.refused(desk.read(fields), 400, 100)


@pytest.mark.parametrize("fields", ['["a"', "[1]", "[[]]"])
async def test_what_is_no_list_of_names_is_refused(desk: Desk, sight: Sight, fields):
    await sight.refused(desk.read(fields), 400, 100)


async def test_a_name_under_review_shows_where_it_stands(desk: Desk):
    world = replace(desk.town.house.world, review_names=True)
    number = await numbers.add_number(world, desk.waba, "+16315552000", "1", "New Shrub")
    fields = "verified_name,name_status,new_display_name,new_name_status,certificate"

    async def shown() -> dict[str, Any]:
        reply = await desk.call("GET", f"/{number.id}", query={"fields": fields})
        return dict(reply.body)

    waiting = await shown()
    await numbers.approve_name(world, number)
    await numbers.ask_name(world, number, "Newer Shrub")
    renamed = await shown()
    await numbers.decline_name(world, number)
    declined = await shown()

    assert waiting == {
        "verified_name": "New Shrub",
        "name_status": "PENDING_REVIEW",
        "new_name_status": "NONE",
        "id": number.id,
    }
    assert renamed["verified_name"] == "New Shrub"
    assert renamed["name_status"] == "APPROVED"
    assert renamed["new_display_name"] == "Newer Shrub"
    assert renamed["new_name_status"] == "PENDING_REVIEW"
    assert "certificate" in renamed
    assert declined["new_name_status"] == "DECLINED"


async def test_a_verification_that_ran_out_shows(desk: Desk):
    await desk.verify()
    verified = (await desk.read("code_verification_status")).body
    desk.town.pass_time(timedelta(days=14))

    assert verified["code_verification_status"] == "VERIFIED"
    assert (await desk.read()).body["code_verification_status"] == "EXPIRED"


# Health


async def test_a_number_that_is_not_registered_cannot_send(desk: Desk):
    health = (await desk.read("health_status")).body["health_status"]

    assert health["can_send_message"] == "BLOCKED"
    number, *others = health["entities"]
    assert number["entity_type"] == "PHONE_NUMBER"
    assert number["id"] == desk.number
    assert number["errors"][0]["error_code"] == 141000
    assert set(number["errors"][0]) == {"error_code", "error_description", "possible_solution"}
    assert [(one["entity_type"], one["id"], one["can_send_message"]) for one in others] == [
        ("WABA", desk.waba, "AVAILABLE"),
        ("BUSINESS", desk.portfolio, "AVAILABLE"),
        ("APP", desk.app.id, "AVAILABLE"),
    ]


async def test_a_number_that_a_client_holds_cannot_send_either(desk: Desk):
    world = desk.town.house.world
    now = world.clock.now()
    await world.update(
        desk.number, lambda n: Decision(replace(n, holder="main", registered_at=now))
    )

    body = (await desk.read("status,platform_type,health_status")).body

    assert (body["status"], body["platform_type"]) == ("CONNECTED", "ON_PREMISE")
    assert body["health_status"]["entities"][0]["errors"][0]["error_code"] == 141000


async def test_a_registered_number_without_an_approved_name_is_limited(desk: Desk):
    await desk.move_in(OWNER.pin)
    world = desk.town.house.world
    await world.update(desk.number, lambda n: Decision(replace(n, name="", asked_name="Shrub")))

    health = (await desk.read("health_status")).body["health_status"]

    assert health["can_send_message"] == "LIMITED"
    assert health["entities"][0]["additional_info"]


async def test_every_kind_of_object_tells_its_health(desk: Desk):
    kinds = []
    for id in (desk.waba, desk.portfolio, desk.app.id):
        reply = await desk.call("GET", f"/{id}", query={"fields": "health_status"})
        health = reply.body["health_status"]
        assert health["can_send_message"] == "AVAILABLE"
        assert reply.body["id"] == id
        kinds.append([one["entity_type"] for one in health["entities"]])

    assert kinds == [["WABA", "BUSINESS", "APP"], ["BUSINESS", "APP"], ["APP"]]


# Other objects


async def test_accounts_portfolios_and_apps_show_their_names(desk: Desk):
    account = await desk.call("GET", f"/{desk.waba}")
    portfolio = await desk.call("GET", f"/{desk.portfolio}")
    app = await desk.call("GET", f"/{desk.app.id}")
    owner = await desk.call("GET", f"/{desk.waba}", query={"fields": "owner_business_info"})

    assert account.body == {"name": "My WhatsApp account", "id": desk.waba}
    assert portfolio.body == {"name": "My portfolio", "id": desk.portfolio}
    assert app.body == {
        "link": f"https://www.facebook.com/games/?app_id={desk.app.id}",
        "name": "Lucky app",
        "id": desk.app.id,
    }
    assert owner.body["owner_business_info"] == portfolio.body


async def test_numbers_and_apps_of_an_account_can_be_read_as_its_fields(desk: Desk):
    fields = "phone_numbers.limit(1){id,is_pin_enabled},subscribed_apps,status"
    reply = await desk.call("GET", f"/{desk.waba}", query={"fields": fields})

    numbers_read = reply.body["phone_numbers"]
    assert numbers_read["data"] == [{"is_pin_enabled": False, "id": desk.number}]
    assert set(numbers_read["paging"]["cursors"]) == {"before", "after"}
    assert reply.body["subscribed_apps"] == {"data": []}
    assert reply.body["status"] == "ACTIVE"
