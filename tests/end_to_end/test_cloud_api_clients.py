"""Cloud API clients that integrations use, unchanged but for the base address.

pywa (Python) and two of the npm registry (Node) drive a real ``nightlatch serve``.
The versions are locked in ``requirements-dev.txt`` and in ``clients/package-lock.json``.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pywa.client import WhatsApp
from pywa.errors import ExpiredAccessToken, WhatsAppError
from pywa.handlers import RawUpdateHandler
from pywa.types.base_update import RawUpdate

from tests.end_to_end.cloud import VERSION, Cloud, cloud
from tests.end_to_end.node_clients import Clients, Thrown, installed, node_clients
from tests.faults.processes import ROOT
from tests.people import CC, NAME, OWNER, THIEF

SECOND, SECOND_E164, SECOND_NAME = "6315551001", "+16315551001", "Lucky Shrub Two"
VERIFY_TOKEN: Final = "only the two of us know"
_LOOKS: Final = 400


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Cloud]:
    """Tells an app also of PINs that an API has set, and apps may listen on loopback."""
    told = {"NIGHTLATCH_PRIVATE_RECEIVERS": "true", "NIGHTLATCH_GRAPH_PIN_EVENTS": "true"}
    async with cloud(tmp_path, **told) as running:
        yield running


class Pywa(Protocol):
    def __call__(self, token: str = "", **more: Any) -> WhatsApp: ...


@pytest.fixture
def pywa(server: Cloud) -> Iterator[Pywa]:
    """Makes clients with a session of ours, which is told where Graph is."""
    with ExitStack() as sessions:

        def make(token: str = "", **more: Any) -> WhatsApp:
            session = sessions.enter_context(httpx.Client(trust_env=False))
            client = WhatsApp(
                phone_id=server.access.number,
                token=token or server.access.token,
                session=session,
                waba_id=server.access.waba,
                api_version=VERSION.removeprefix("v"),
                **more,
            )
            session.base_url = httpx.URL(f"{server.base}/{VERSION}")
            return client

        yield make


def in_thread(call: Any, *given: Any, **named: Any) -> Any:
    """pywa waits for its answers."""
    return asyncio.to_thread(partial(call, *given, **named))


# pywa


async def test_pywa_registers_a_number_and_is_refused_with_a_wrong_pin(server: Cloud, pywa: Pywa):
    wa = pywa()

    before = await in_thread(wa.get_business_phone_number)
    await in_thread(wa.request_verification_code, code_method="SMS", language_code="en")
    await in_thread(wa.verify_phone_number, await server.code())
    verified = await in_thread(wa.get_business_phone_number)
    registered = await in_thread(wa.register_phone_number, OWNER.pin)
    after = await in_thread(wa.get_business_phone_number)
    with pytest.raises(WhatsAppError) as mismatch:
        await in_thread(wa.register_phone_number, THIEF.wrong_pin)
    again = await in_thread(wa.register_phone_number, OWNER.pin)

    assert registered.success
    assert again.success
    assert (before.status, before.code_verification_status) == ("PENDING", "NOT_VERIFIED")
    assert (before.platform_type, before.is_pin_enabled) == ("NOT_APPLICABLE", False)
    assert verified.code_verification_status == "VERIFIED"
    assert (after.status, after.platform_type) == ("CONNECTED", "CLOUD_API")
    assert (after.verified_name, after.is_pin_enabled) == (NAME, True)
    assert (mismatch.value.code, mismatch.value.status_code) == (133005, 400)
    assert mismatch.value.message == "(#133005) Two step verification PIN Mismatch"


async def test_pywa_deregisters_a_number_and_lists_what_the_account_has(server: Cloud, pywa: Pywa):
    wa = pywa()
    await _is_registered(server, wa)

    gone = await in_thread(wa.deregister_phone_number)
    left = await in_thread(wa.get_business_phone_number)
    numbers = await in_thread(wa.get_business_phone_numbers)

    assert gone.success
    assert (left.status, left.platform_type) == ("DISCONNECTED", "NOT_APPLICABLE")
    assert left.is_pin_enabled
    assert [number.id for number in numbers] == [server.access.number]


async def test_pywa_is_refused_with_a_wrong_code_and_with_another_token(server: Cloud, pywa: Pywa):
    wa, stranger = pywa(), pywa("EAANLnobodys")
    await in_thread(wa.request_verification_code, code_method="SMS", language_code="en")
    right = await server.code()

    with pytest.raises(WhatsAppError) as wrong:
        await in_thread(wa.verify_phone_number, f"{(int(right) + 1) % 1_000_000:06}")
    with pytest.raises(ExpiredAccessToken) as refused:
        await in_thread(stranger.get_business_phone_number)

    assert wrong.value.code == 136025
    assert (refused.value.code, refused.value.status_code) == (190, 401)


async def test_pywa_names_a_new_numbers_country_as_graph_does_not_and_registers_it_all_the_same(
    server: Cloud, pywa: Pywa
):
    """Graph asks for ``cc``, and pywa sends ``country_code``; so the number is added without it."""
    wa = pywa()
    new = {"country_calling_code": CC, "phone_number": SECOND, "verified_name": SECOND_NAME}

    with pytest.raises(WhatsAppError) as refused:
        await in_thread(wa.create_phone_number, **new)
    second = await _create(server, SECOND, SECOND_NAME)
    asked = {"code_method": "SMS", "language_code": "en", "phone_id": second}
    await in_thread(wa.request_verification_code, **asked)
    await in_thread(wa.verify_phone_number, await server.code(SECOND_E164), phone_id=second)
    registered = await in_thread(wa.register_phone_number, OWNER.new_pin, phone_id=second)
    numbers = await in_thread(wa.get_business_phone_numbers)

    assert refused.value.code == 100
    assert refused.value.message == "(#100) The parameter cc is required"
    assert registered.success
    assert [number.id for number in numbers] == [second, server.access.number]


async def _create(server: Cloud, national: str, name: str) -> str:
    body = {"cc": CC, "phone_number": national, "verified_name": name}
    headers = {"Authorization": f"Bearer {server.access.token}"}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            f"{server.base}/{VERSION}/{server.access.waba}/phone_numbers",
            json=body,
            headers=headers,
        )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


# Webhooks, received by pywa


@dataclass
class Receiver:
    """Hands what arrives to pywa, as the server of an integration does."""

    wa: WhatsApp
    statuses: list[int] = field(default_factory=list)
    """What pywa answered to each delivery."""
    updates: list[RawUpdate] = field(default_factory=list)

    def challenged(self, query: dict[str, list[str]]) -> tuple[str | None, int]:
        [token], [challenge] = query["hub.verify_token"], query["hub.challenge"]
        return self.wa.webhook_challenge_handler(token, challenge)

    def brought(self, body: bytes, signature: str | None) -> tuple[str, int]:
        refused = self.wa.webhook_update_validator(body, signature)
        answer = refused or self.wa.webhook_update_handler(body)
        self.statuses.append(answer[1])
        return answer


@contextmanager
def listening(receiver: Receiver) -> Iterator[str]:
    """The address where *receiver* is reached."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(*receiver.challenged(parse_qs(urlsplit(self.path).query)))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(*receiver.brought(body, self.headers["X-Hub-Signature-256"]))

        def answer(self, text: str | None, status: int) -> None:
            raw = (text or "").encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


async def test_pywa_sets_its_callback_and_takes_a_signed_event(server: Cloud, pywa: Pywa):
    wa = pywa(verify_token=VERIFY_TOKEN, app_secret=server.access.app_secret)
    receiver = Receiver(wa)
    wa.add_handlers(RawUpdateHandler(lambda _, update: receiver.updates.append(update)))

    with listening(receiver) as url:
        await _listen(server, wa, url)
        await in_thread(wa.override_waba_callback_url, url, VERIFY_TOKEN)
        await _is_registered(server, wa)
        await _first(receiver.statuses)

    [update] = receiver.updates
    [change] = update["entry"][0]["changes"]
    assert receiver.statuses == [200]
    assert (change["field"], change["value"]["event"]) == ("security", "PIN_CHANGED")


async def test_pywa_refuses_an_event_that_another_secret_signed(server: Cloud, pywa: Pywa):
    wa = pywa(verify_token=VERIFY_TOKEN, app_secret="0" * 32)
    receiver = Receiver(wa)
    wa.add_handlers(RawUpdateHandler(lambda _, update: receiver.updates.append(update)))

    with listening(receiver) as url:
        await _listen(server, wa, url)
        await _is_registered(server, wa)
        await _first(receiver.statuses)

    assert receiver.statuses[0] == 403
    assert receiver.updates == []


async def _listen(server: Cloud, wa: WhatsApp, url: str) -> None:
    """Send the app's webhooks there, and subscribe it to the account."""
    id = int(server.access.app)
    token = await in_thread(wa.get_app_access_token, app_id=id, app_secret=server.access.app_secret)
    await in_thread(
        wa.set_app_callback_url,
        app_id=id,
        app_access_token=token,
        callback_url=url,
        verify_token=VERIFY_TOKEN,
        fields=["security"],
    )
    await in_thread(wa.delete_waba_callback_url)  # subscribes, without another address


async def _is_registered(server: Cloud, wa: WhatsApp) -> None:
    await in_thread(wa.request_verification_code, code_method="SMS", language_code="en")
    await in_thread(wa.verify_phone_number, await server.code())
    await in_thread(wa.register_phone_number, OWNER.pin)


async def _first(found: list[Any]) -> None:
    for _ in range(_LOOKS):
        if found:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("nothing was delivered")


# Node


@pytest.fixture(scope="session")
def packages() -> Path:
    return installed()


@pytest.fixture
async def node(packages: Path, server: Cloud) -> AsyncIterator[Clients]:
    async with node_clients(packages, server, server.access.number) as clients:
        yield clients


async def test_a_node_client_registers_a_number_and_changes_its_pin(node: Clients, server: Cloud):
    await node.call("types", "registration.requestCode", "SMS", "en_US")
    await node.call("types", "registration.verifyCode", await server.code())
    registered = await node.call("types", "registration.register", OWNER.pin)
    with pytest.raises(Thrown) as mismatch:
        await node.call("types", "registration.register", THIEF.wrong_pin)

    changed = await node.call("types", "twoStepVerification.setPin", OWNER.new_pin)
    with pytest.raises(Thrown) as old:
        await node.call("types", "registration.register", OWNER.pin)
    again = await node.call("types", "registration.register", OWNER.new_pin)

    assert [registered, changed, again] == [{"success": True}] * 3
    assert [thrown.value.name for thrown in (mismatch, old)] == ["WhatsAppApiError"] * 2
    assert [thrown.value.code for thrown in (mismatch, old)] == [133005] * 2


async def test_a_node_client_cannot_turn_two_step_off(node: Clients, server: Cloud):
    await node.call("types", "registration.requestCode", "VOICE", "en_US")
    await node.call("types", "registration.verifyCode", await server.code())
    await node.call("types", "registration.register", OWNER.pin)

    with pytest.raises(Thrown) as refused:
        await node.call("types", "twoStepVerification.removePin")
    gone = await node.call("types", "registration.deregister")
    with pytest.raises(Thrown) as unregistered:
        await node.call("types", "twoStepVerification.setPin", OWNER.new_pin)

    assert (refused.value.code, refused.value.message) == (
        100,
        "(#100) Param pin must be 6 characters long.",
    )
    assert gone == {"success": True}
    assert unregistered.value.code == 133010


async def test_another_node_client_registers_and_is_told_how_long_to_wait(
    node: Clients, server: Cloud
):
    number = {"phoneNumberId": server.access.number}
    await node.call(
        "kapso", "phoneNumbers.requestCode", {**number, "codeMethod": "SMS", "language": "en_US"}
    )
    await node.call("kapso", "phoneNumbers.verifyCode", {**number, "code": await server.code()})
    registered = await node.call("kapso", "phoneNumbers.register", {**number, "pin": OWNER.pin})
    wrong = []
    for _ in range(5):
        with pytest.raises(Thrown) as mismatch:
            await node.call("kapso", "phoneNumbers.register", {**number, "pin": THIEF.wrong_pin})
        wrong.append((mismatch.value.name, mismatch.value.code, mismatch.value.status))
    with pytest.raises(Thrown) as waiting:
        await node.call("kapso", "phoneNumbers.register", {**number, "pin": OWNER.pin})
    gone = await node.call("kapso", "phoneNumbers.deregister", number)

    assert registered == {"success": True}
    assert wrong == [("GraphApiError", 133005, 400)] * 5
    assert waiting.value.code == 133009
    assert "60 seconds" in waiting.value.details or "59 seconds" in waiting.value.details
    assert gone == {"success": True}


async def test_the_node_clients_read_and_change_the_profile(node: Clients, server: Cloud):
    number = {"phoneNumberId": server.access.number}

    changed = await node.call(
        "kapso",
        "phoneNumbers.businessProfile.update",
        {**number, "about": "Shrubs, with luck", "websites": ["https://luckyshrub.example"]},
    )
    read = await node.call("kapso", "phoneNumbers.businessProfile.get", number)

    assert changed == {"success": True}
    assert read["data"][0]["about"] == "Shrubs, with luck"
    assert read["data"][0]["websites"] == ["https://luckyshrub.example"]


@pytest.mark.parametrize("folder", ["tests/end_to_end/clients", "benchmarks/prism"])
def test_node_packages_are_locked_with_hashes_and_without_addresses(folder: str):
    lock = json.loads((ROOT / folder / "package-lock.json").read_text())
    locked = [one for name, one in lock["packages"].items() if name]

    assert lock["lockfileVersion"] == 3
    assert all(one["integrity"].startswith("sha512-") for one in locked)
    assert not any("resolved" in one for one in locked)
