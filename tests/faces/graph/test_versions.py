"""Graph versions: which are served, and what differs."""

import pytest

from nightlatch.faces.graph.versions import KNOWN, NEWEST
from tests.faces.graph.desk import Desk
from tests.faces.graph.sight import Sight
from tests.people import OWNER


@pytest.mark.parametrize("version", [one.name for one in KNOWN])
async def test_each_known_version_is_served_and_named_in_the_answer(desk: Desk, version):
    reply = await desk.read("id")
    reply = await desk.call("GET", f"/{desk.number}", query={"fields": "id"}, version=version)

    assert reply.body == {"id": desk.number}
    assert reply.header("facebook-api-version") == version


async def test_a_path_without_a_version_gets_the_newest(desk: Desk):
    reply = await desk.call("GET", f"/{desk.number}", version="")

    assert reply.status == 200
    assert reply.header("facebook-api-version") == NEWEST.name


@pytest.mark.parametrize("version", ["v1.0", "v2.12", "v12.0"])
async def test_a_version_that_expired_is_served_as_the_oldest(desk: Desk, version):
    reply = await desk.call("GET", f"/{desk.number}", version=version)

    assert reply.status == 200
    assert reply.header("facebook-api-version") == KNOWN[0].name


@pytest.mark.parametrize("version", ["v99.0", "v0.0", "v27.0", "v23", "v23.1", "v999.0", "v1e5"])
async def test_a_version_that_never_was_is_an_unknown_path(desk: Desk, sight: Sight, version):
    reply = await sight.refused(
        desk.call("GET", f"/{desk.number}", version=version, token=""), 400, 2500
    )

    assert reply.error["message"] == (f"(#2500) Unknown path components: /{version}/{desk.number}")


async def test_a_path_with_nothing_in_it_is_unknown(desk: Desk):
    for version in ("", "v23.0", "v23.0/"):
        reply = await desk.call("GET", "", version=version)
        assert reply.verdict == (400, 2500)


async def test_deregistering_twice_is_an_invalid_parameter_in_old_versions(
    desk: Desk, sight: Sight
):
    await desk.move_in(OWNER.pin)
    assert (await desk.deregister()).status == 200

    old = await sight.refused(desk.deregister(version="v15.0"), 400, 100)
    new = await sight.refused(desk.deregister(version="v16.0"), 400, 133010)

    assert old.body == {
        "error": {
            "message": "(#100) Invalid parameter",
            "type": "OAuthException",
            "code": 100,
            "error_data": "Phone number not registered on the Whatsapp Business Platform.",
            "error_subcode": 133010,
            "fbtrace_id": old.error["fbtrace_id"],
        }
    }
    assert new.details == "Register the number first."


async def test_register_reads_the_region_of_local_storage_before_v21(desk: Desk, sight: Sight):
    await desk.verify()
    path = f"/{desk.number}/register"
    params = {"messaging_product": "whatsapp", "pin": OWNER.pin}

    bad = params | {"data_localization_region": "XX"}
    refused = await sight.refused(desk.call("POST", path, bad, version="v20.0"), 400, 100)
    ignored = await desk.call("POST", path, bad, version="v21.0")
    good = params | {"data_localization_region": "CH"}
    taken = await desk.call("POST", path, good, version="v20.0")

    assert "data_localization_region" in refused.error["message"]
    assert ignored.status == 200
    assert taken.status == 200
