"""Parameters come as JSON, as a form, as multipart and in the query alike."""

from typing import Any

import pytest

from tests.faces.graph.desk import Desk, as_form, as_json, as_multipart
from tests.people import OWNER

WAYS: dict[str, Any] = {
    "JSON": as_json, "form": as_form, "multipart": as_multipart, "query": None,
}  # fmt: skip


@pytest.fixture(params=list(WAYS.values()), ids=list(WAYS))
def way(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_a_number_is_onboarded_whatever_way_parameters_come(desk: Desk, way):
    added = await desk.call(
        "POST",
        f"/{desk.waba}/phone_numbers",
        {"cc": "1", "phone_number": "(631) 555-2000", "verified_name": "Second Shrub"},
        way=way,
    )
    path = f"/{added.body['id']}"
    asked = await desk.call(
        "POST", f"{path}/request_code", {"code_method": "SMS", "language": "en_US"}, way=way
    )
    number = await desk.town.house.store.number(added.body["id"])
    assert number is not None
    code = await desk.code_of(number.e164)
    shown = f"{code[:3]}-{code[3:]}"
    verified = await desk.call("POST", f"{path}/verify_code", {"code": shown}, way=way)
    registered = await desk.call(
        "POST",
        f"{path}/register",
        {"messaging_product": "whatsapp", "pin": "012345"},
        way=way,
    )
    changed = await desk.call("POST", path, {"pin": OWNER.pin}, way=way)
    profile = await desk.call(
        "POST",
        f"{path}/whatsapp_business_profile",
        {
            "messaging_product": "whatsapp",
            "about": "Grüße & mehr",
            "websites": '["https://a.example"]',
        },
        way=way,
    )
    gone = await desk.call("POST", f"{path}/deregister", {}, way=way)

    assert number.e164 == "+16315552000"
    done = {"success": True}
    replies = (asked, verified, registered, changed, profile, gone)
    assert [reply.body for reply in replies] == [done] * 6
    read = await desk.call("GET", f"{path}/whatsapp_business_profile")
    assert read.body["data"] == [
        {
            "about": "Grüße & mehr",
            "websites": ["https://a.example"],
            "vertical": "UNDEFINED",
            "messaging_product": "whatsapp",
        }
    ]


async def test_the_token_comes_in_the_header_the_query_or_the_body(desk: Desk, way):
    await desk.move_in(OWNER.pin)

    sent = await desk.call(
        "POST",
        f"/{desk.number}",
        {"pin": OWNER.new_pin, "access_token": desk.token},
        way=way,
        token="",
    )
    read = await desk.call("GET", f"/{desk.number}", query={"access_token": desk.token}, token="")

    assert sent.body == {"success": True}
    assert read.status == 200


async def test_a_body_without_a_content_type_is_json_or_a_form(desk: Desk):
    await desk.move_in(OWNER.pin)

    for raw in (b'{"pin":"602214"}', b"pin=602214"):
        reply = await desk.call("POST", f"/{desk.number}", raw=raw, content_type="")
        assert reply.status == 200


async def test_an_empty_body_may_have_any_content_type(desk: Desk):
    await desk.move_in(OWNER.pin)
    desk.headers = [("Content-Type", "text/plain"), ("Content-Length", "0")]

    assert (await desk.deregister()).status == 200


async def test_lists_come_as_json_as_text_or_with_brackets(desk: Desk):
    path = f"/{desk.number}/whatsapp_business_profile"
    product = {"messaging_product": "whatsapp"}
    sites = ["https://a.example", "https://b.example"]
    sent = [
        await desk.call("POST", path, product | {"websites": sites}),
        await desk.call("POST", path, product | {"websites": ",".join(sites)}, way=as_form),
        await desk.call(
            "POST",
            path,
            raw=b"messaging_product=whatsapp&websites[0]=https://a.example&websites[1]=https://b.example",
            content_type="application/x-www-form-urlencoded",
        ),
        await desk.call(
            "POST",
            path,
            raw=b"messaging_product=whatsapp&websites[]=https://a.example&websites[]=https://b.example",
            content_type="application/x-www-form-urlencoded; charset=UTF-8",
        ),
    ]
    read = await desk.call("GET", path, query={"fields": "websites"})

    assert [reply.status for reply in sent] == [200] * 4
    assert read.body["data"][0]["websites"] == sites
