"""A WhatsApp account: adding its numbers, and paging through them."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from nightlatch.domain.access import Scope, SystemRole
from nightlatch.domain.portfolios import Portfolio, Waba
from nightlatch.usecases import access, numbers
from tests.faces.graph.desk import Desk, GraphReply
from tests.faces.graph.sight import Sight
from tests.people import OWNER
from tests.town import exchange

NEW = {"cc": "1", "phone_number": "6315552000", "verified_name": "Second Shrub"}


async def add(desk: Desk, **changes: Any) -> GraphReply:
    return await desk.call("POST", f"/{desk.waba}/phone_numbers", NEW | changes)


async def listing(desk: Desk, **query: Any) -> GraphReply:
    return await desk.call("GET", f"/{desk.waba}/phone_numbers", query=query)


def ids(reply: GraphReply) -> list[str]:
    assert reply.status == 200, reply
    return [one["id"] for one in reply.body["data"]]


# Adding


async def test_a_number_is_added_however_it_is_split(desk: Desk):
    first = await add(desk)
    read = await desk.call("GET", f"/{first.body['id']}")
    whole = await add(desk, phone_number="+1 631 555 2001")
    german = await add(desk, cc="49", phone_number="030/12345678")

    assert set(first.body) == {"id"}
    assert read.body["display_phone_number"] == "+1 631-555-2000"
    assert read.body["verified_name"] == "Second Shrub"
    assert whole.status == german.status == 200


async def test_json_numbers_are_fine_where_they_lose_nothing(desk: Desk):
    assert (await add(desk, cc=1, phone_number=6315552000)).status == 200


async def test_a_number_of_this_account_is_not_added_twice(desk: Desk, sight: Sight):
    assert (await add(desk)).status == 200

    reply = await sight.refused(add(desk, phone_number="(631) 555-2000"), 400, 100)

    assert reply.error["error_subcode"] == 2388012


async def test_a_number_of_another_account_is_refused_in_the_documented_words(
    desk: Desk, sight: Sight
):
    store = desk.town.house.store
    await store.add_waba(Waba("3" + "7" * 14, desk.portfolio, "Other"))
    await numbers.add_number(
        desk.town.house.world, "3" + "7" * 14, "+16315552000", "1", "Elsewhere"
    )

    reply = await sight.refused(add(desk), 400, 100)

    assert reply.error["error_subcode"] == 2388001
    assert reply.error["error_user_title"] == "Cannot Create Certificate"
    assert reply.error["error_user_msg"] == (
        "This number is registered to an existing WhatsApp account. To use this number, disconnect"
        " it from the existing account."
    )


@pytest.mark.parametrize("value", [True, "true", "1"])
async def test_numbers_never_migrate(desk: Desk, sight: Sight, value):
    reply = await sight.refused(add(desk, migrate_phone_number=value), 400, 100)

    assert reply.error["error_subcode"] == 2388103
    assert (await add(desk, migrate_phone_number=False)).status == 200


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"cc": ""}, "cc"),
        ({"cc": "0"}, "cc"),
        ({"cc": "x"}, "cc"),
        ({"cc": None}, "cc"),
        ({"cc": ["1"]}, "cc"),
        ({"cc": True}, "cc"),
        ({"phone_number": ""}, "phone_number"),
        ({"phone_number": "1"}, "phone_number"),
        ({"phone_number": "9" * 30}, "phone_number"),
        ({"phone_number": "+49 30 12345678"}, "phone_number"),
        ({"phone_number": {}}, "phone_number"),
        ({"verified_name": ""}, "verified_name"),
        ({"verified_name": "\n"}, "verified_name"),
        ({"verified_name": "x" * 129}, "verified_name"),
        ({"verified_name": 7}, "verified_name"),
        ({"migrate_phone_number": "perhaps"}, "migrate_phone_number"),
    ],
)
async def test_what_is_no_number_is_refused_and_nothing_changed(
    desk: Desk, sight: Sight, changes, named
):
    reply = await sight.refused(add(desk, **changes), 400, 100)

    assert f" {named} " in reply.error["message"]


# Paging


async def three_numbers(desk: Desk) -> list[str]:
    """Ids, those registered last first; the third never was."""
    second = (await add(desk)).body["id"]
    third = (await add(desk, phone_number="6315553000")).body["id"]
    await desk.move_in(OWNER.pin)
    desk.town.pass_time(60)
    other = Desk(**{**vars(desk), "number": second})
    assert (await other.request_code()).status == 200
    assert (await other.verify_code(await desk.code_of("+16315552000"))).status == 200
    assert (await other.register(OWNER.pin)).status == 200
    return [second, desk.number, third]


async def follow(desk: Desk, link: str) -> GraphReply:
    """As a client follows a link: as it is, with the header it always sends."""
    parts = urlsplit(link)
    assert parts.netloc == "127.0.0.1"
    headers = [("Authorization", f"Bearer {desk.token}")]
    target = f"{parts.path}?{parts.query}"
    return GraphReply(await exchange(desk.town.port, "GET", target, headers=headers))


async def test_numbers_are_listed_as_the_documents_show_them(desk: Desk):
    reply = await listing(desk)

    assert reply.body["data"] == [
        {
            "verified_name": "Lucky Shrub",
            "code_verification_status": "NOT_VERIFIED",
            "display_phone_number": "+1 631-555-1000",
            "quality_rating": "UNKNOWN",
            "id": desk.number,
        }
    ]
    assert set(reply.body["paging"]) == {"cursors"}
    assert set(reply.body["paging"]["cursors"]) == {"before", "after"}


async def test_those_registered_last_come_first_unless_asked_otherwise(desk: Desk):
    expected = await three_numbers(desk)

    assert ids(await listing(desk)) == expected
    assert ids(await listing(desk, sort="last_onboarded_time_descending")) == expected
    for spelled in (
        "last_onboarded_time_ascending",
        "['last_onboarded_time_ascending']",
        '["last_onboarded_time_ascending"]',
    ):
        assert ids(await listing(desk, sort=spelled)) == expected[::-1]


async def test_pages_are_followed_by_links_in_both_directions(desk: Desk):
    expected = await three_numbers(desk)

    first = await listing(desk, limit=1, fields="id,status", sort="last_onboarded_time_descending")
    second = await follow(desk, first.body["paging"]["next"])
    third = await follow(desk, second.body["paging"]["next"])
    back = await follow(desk, third.body["paging"]["previous"])
    begin = await follow(desk, back.body["paging"]["previous"])

    assert [ids(page) for page in (first, second, third, back, begin)] == [
        [expected[0]], [expected[1]], [expected[2]], [expected[1]], [expected[0]],
    ]  # fmt: skip
    assert "previous" not in first.body["paging"]
    assert "next" not in third.body["paging"]
    assert "previous" not in begin.body["paging"]
    assert set(second.body["data"][0]) == {"id", "status"}
    asked = dict(parse_qsl(urlsplit(first.body["paging"]["next"]).query))
    assert asked["fields"] == "id,status"
    assert desk.token not in first.reply.raw.decode()


async def test_pages_are_followed_by_cursors(desk: Desk):
    expected = await three_numbers(desk)

    first = await listing(desk, limit=2)
    after = first.body["paging"]["cursors"]["after"]
    second = await listing(desk, limit=2, after=after)
    before = second.body["paging"]["cursors"]["before"]
    back = await listing(desk, limit=2, before=before)
    beyond = await listing(desk, after=second.body["paging"]["cursors"]["after"])

    assert ids(first) == expected[:2]
    assert ids(second) == expected[2:]
    assert ids(back) == expected[:2]
    assert beyond.body == {"data": []}


async def test_numbers_are_filtered_by_account_mode(desk: Desk):
    def rule(mode: str) -> str:
        return f'[{{"field":"account_mode","operator":"EQUAL","value":"{mode}"}}]'

    assert ids(await listing(desk, filtering=rule("LIVE"))) == [desk.number]
    assert ids(await listing(desk, filtering="[]")) == [desk.number]
    assert (await listing(desk, filtering=rule("SANDBOX"))).body == {"data": []}


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"}, {"limit": "-1"}, {"limit": "x"}, {"limit": "1.5"}, {"limit": ""},
        {"limit": "٣"}, {"limit": "9" * 20}, {"sort": "name"}, {"sort": "[]"}, {"sort": "["},
        {"filtering": "x"}, {"filtering": "[1]"}, {"filtering": "{}"},
        {"filtering": '[{"field":"status","operator":"EQUAL","value":"LIVE"}]'},
        {"filtering": '[{"field":"account_mode","operator":"IN","value":"LIVE"}]'},
        {"filtering": '[{"field":"account_mode","operator":"EQUAL","value":["LIVE"]}]'},
        {"after": "x"}, {"after": "!!!"}, {"after": ""}, {"before": "MTIz"}, {"after": "a" * 65},
        {"after": "OTk5OTk5OTk5OTk5OTk5OTk5OTk5LjE"},
    ],
    ids=str,
)  # fmt: skip
async def test_what_is_no_page_is_refused(desk: Desk, sight: Sight, query):
    await sight.refused(listing(desk, **query), 400, 100)


async def test_a_limit_above_the_most_is_the_most(desk: Desk):
    reply = await listing(desk, limit=100_000)

    assert ids(reply) == [desk.number]


# Who sees what


async def test_a_portfolio_never_sees_anothers_objects(desk: Desk, sight: Sight):
    """The answers are the same as for objects that do not exist, to the byte but for the id."""
    world, store = desk.town.house.world, desk.town.house.store
    await store.add_portfolio(Portfolio("2" + "8" * 14, "Stranger", "s@elsewhere.example"))
    waba = Waba("3" + "8" * 14, "2" + "8" * 14, "Strange")
    await store.add_waba(waba)
    number = await numbers.add_number(world, waba.id, "+16315558000", "1", "Strange")
    added = await access.add_app(world, waba.portfolio, "Strange app")
    unknown = "999999999999999"

    for id, edges in (
        (number.id, ("", "/register", "/deregister", "/request_code", "/verify_code")),
        (number.id, ("/whatsapp_business_profile",)),
        (waba.id, ("", "/phone_numbers", "/subscribed_apps")),
        (waba.portfolio, ("",)),
        (added.app.id, ("", "/subscriptions")),
    ):
        for edge in edges:
            for method in ("GET", "POST", "DELETE"):
                params = {"pin": OWNER.pin} if method == "POST" else None
                foreign = await sight.refused(desk.call(method, f"/{id}{edge}", params), 400, 100)
                absent = await desk.call(method, f"/{unknown}{edge}", params)
                trace, other = foreign.error["fbtrace_id"], absent.error["fbtrace_id"]
                text = foreign.reply.raw.decode().replace(id, unknown).replace(trace, other)
                assert text == absent.reply.raw.decode()


async def test_an_employee_sees_the_accounts_it_was_granted(desk: Desk, sight: Sight):
    world, store = desk.town.house.world, desk.town.house.store
    await store.add_waba(Waba("3" + "9" * 14, desk.portfolio, "Other account"))
    number = await numbers.add_number(world, "3" + "9" * 14, "+16315559000", "1", "Other")
    employee = await desk.colleague(Scope.MANAGEMENT, role=SystemRole.EMPLOYEE, wabas=(desk.waba,))

    own = await employee.read("id")
    other = await sight.refused(employee.call("GET", f"/{number.id}"), 400, 100)

    assert own.body == {"id": desk.number}
    assert other.error["error_subcode"] == 33
    assert (await desk.call("GET", f"/{number.id}")).status == 200
