"""The answers on the page of the API are those of a running server."""

from typing import Any

from nightlatch.faces.metrics import Metrics
from nightlatch.faces.onprem.routes import served
from tests.docs.reference import ANSWERS, BESIDE
from tests.people import CC, NATIONAL, OWNER
from tests.town import Reply, Town, exchange

USER = {"username": "berta", "password": "Bertas-Pass-1"}


def form(value: Any) -> Any:
    """The keys and the kinds of *value*, with the first of each list."""
    if isinstance(value, dict):
        return {name: form(one) for name, one in value.items()}
    return [form(value[0])] if isinstance(value, list) else type(value).__name__


def test_every_success_of_every_route_has_an_answer_on_the_page():
    promised = {(route.name, status) for route in served(Metrics()) for status in route.success}

    assert promised == {*ANSWERS}


async def test_the_server_answers_as_the_page_says(town: Town):
    seen: dict[tuple[str, int], Any] = {}

    async def see(name: str, reply: Reply) -> None:
        seen[name, reply.status] = reply.body

    async def call(method: str, path: str, body: Any = None) -> None:
        name = f"{method}_v1{path.replace('berta', 'username')}".replace("/", "_")
        await see(name, await town.owner.call(method, path, body))

    await see("POST_v1_users_login", await town.owner.login())
    await call("POST", "/users", USER)
    await call("GET", "/users/berta")
    await call("PUT", "/users/berta", {"password": "Bertas-Pass-2"})
    await call("DELETE", "/users/berta")
    await see("POST_v1_account", await town.owner.register())
    await see("POST_v1_account_verify", await town.owner.verify(await town.code()))
    await see("POST_v1_account", await town.owner.register())
    await call("POST", "/account/shards", {"cc": CC, "phone_number": NATIONAL, "shards": 2})
    await call("GET", "/account/shards")
    await call("POST", "/settings/account/two-step", {"pin": OWNER.pin})
    await call("DELETE", "/settings/account/two-step")
    await call("GET", "/health")
    await call("GET", "/metrics")
    await call("POST", "/users/logout")

    metrics = seen["GET_v1_metrics", 200]["metrics"]
    assert metrics["web_requests"]["data"][0]["value"] == 1, "the request that asks"
    seen["GET_v1_metrics", 200]["metrics"] = {"web_uptime": metrics["web_uptime"]}
    assert {name: form(body) for name, body in seen.items()} == {
        name: form(body) for name, body in ANSWERS.items()
    }


async def test_what_lies_beside_the_api_answers(town: Town):
    for path in BESIDE:
        bearer = [("Authorization", f"Bearer {town.owner.token}")] if path == "/metrics" else []

        reply = await exchange(town.port, "GET", path, headers=bearer)

        assert reply.status == 200, path
