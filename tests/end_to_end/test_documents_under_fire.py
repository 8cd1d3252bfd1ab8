"""Schemathesis against the served OpenAPI documents of both faces, on a real server.

It looks for a 5xx, a status or a kind of content that is in no document, a body or a header that
breaks its schema, bad data that is taken, and calls that are answered without credentials.
``NIGHTLATCH_SCHEMATHESIS_EXAMPLES=1000`` makes it a long campaign, with other examples each time.
"""

import base64
import contextlib
import http.client
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.end_to_end.cloud import VERSION, Cloud, cloud
from tests.faults.processes import environment, nightlatch
from tests.people import CC, E164, NATIONAL, OWNER, THIEF

_CAMPAIGN: Final = os.environ.get("NIGHTLATCH_SCHEMATHESIS_EXAMPLES")
EXAMPLES: Final = int(_CAMPAIGN or "12")
"""How many calls are made up for each operation, beside those that follow from its schema."""
CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "ignored_auth",
)
"""All that hold of any call; whether good data is taken is up to guesses, codes and budgets."""
REFUSALS: Final = [400, 401, 403, 404, 405, 412, 413, 415, 429, 503]
"""How bad data may be refused."""
_PATIENCE: Final = 600 if _CAMPAIGN is None else 24 * 3_600  # a hang, not a goal
_GRAPH_CHECKS: Final = [
    c for c in CHECKS if c not in ("unsupported_method", "negative_data_rejection")
]
"""Graph answers another method as an unknown object, with 400; and takes parameters in more ways
than a schema tells: a list as a list, as JSON or with commas, ``null`` for what is left out."""
_LOGIN, _LOGOUT = "POST /v1/users/login", "POST /v1/users/logout"


@dataclass(frozen=True)
class Words:
    """What is put into parameters now and then, so that calls get beyond the first refusal."""

    lists: Mapping[str, Sequence[str]]
    """Parameter, like ``body.pin``, and what may stand there."""

    def toml(self) -> list[str]:
        names = {parameter: f"words{n}" for n, parameter in enumerate(self.lists)}
        lines = ["[dictionaries]"]
        lines += [
            f"{names[p]} = {{ values = {json.dumps(list(v))} }}" for p, v in self.lists.items()
        ]
        lines.append("[parameters]")
        lines += [f'"{p}" = {{ dictionary = "{n}", probability = 0.8 }}' for p, n in names.items()]
        return lines


@dataclass(frozen=True)
class Verdict:
    """How a campaign ended."""

    exit_code: int
    told: str
    report: Mapping[str, Any]

    @property
    def failures(self) -> set[str]:
        return {failure["type"] for failure in self.report["failures"]}

    def found_nothing(self) -> None:
        """Everything was tried, got beyond the credentials, and nothing was found."""
        assert self.exit_code == 0, self.told
        assert self.report["operations"]["tested"] > 0, self.told
        assert self.report["operations"]["errored"] == 0, self.told
        assert not self.report["warnings"]["missing_auth"], self.told
        assert not self.report["warnings"]["dictionary_mismatch"], self.told


def campaign(
    folder: Path,
    document: str,
    url: str,
    schemes: Mapping[str, Mapping[str, str]],
    *more: str,
    checks: Sequence[str] = CHECKS,
    words: Words | None = None,
) -> Verdict:
    """Run schemathesis; *schemes* are credentials by their name in the document."""
    config, report = folder / "schemathesis.toml", folder / "report.json"
    credentials = [
        f"{scheme} = {{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in values.items()) + " }"
        for scheme, values in schemes.items()
    ]
    lines = [
        *(["[auth.openapi]", *credentials] if credentials else []),
        "[checks]",
        f"negative_data_rejection.expected-statuses = {REFUSALS}",
        *(words.toml() if words else []),
    ]
    config.write_text("\n".join(lines))
    chosen = [
        *("--config-file", str(config), "run", document, "--url", url),
        *("--checks", ",".join(checks), "--max-examples", str(EXAMPLES), "--continue-on-failure"),
        *("--report", "json", "--report-json-path", str(report), *more),
    ]
    if _CAMPAIGN is None:
        chosen += ["--seed", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "--no-color", *chosen],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    told = done.stdout + done.stderr
    assert report.exists(), told
    return Verdict(done.returncode, told, json.loads(report.read_text()))


def ask(
    port: int, method: str, path: str, headers: Mapping[str, str], body: Any = None
) -> tuple[int, Any]:
    raw = None if body is None else json.dumps(body)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as line:
        line.request(method, path, raw, {**headers, "Content-Type": "application/json"})
        answer = line.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Cloud]:
    async with cloud(tmp_path, WA_API_KEY="monitor-of-the-tests") as running:
        yield running


class Admin:
    """The owner of the client at ``/v1``, and a user that the calls may do anything to."""

    def __init__(self, server: Cloud) -> None:
        self._server = server
        status, _ = self._log_in("secret", {"new_password": OWNER.password})
        assert status == 200
        self.token = self.fresh_token()

    def _log_in(self, password: str, body: Any = None) -> tuple[int, Any]:
        basic = base64.b64encode(f"admin:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}"}
        return ask(self._server.port, "POST", "/v1/users/login", headers, body)

    def fresh_token(self) -> str:
        status, body = self._log_in(OWNER.password)
        assert status == 200
        return str(body["users"][0]["token"])

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        return ask(self._server.port, method, f"/v1{path}", headers, body)

    async def registers(self) -> str:
        """The number, with a PIN; its certificate."""
        words = ("numbers", "certificate", E164, "--data", self._server.data)
        certificate = nightlatch(*words).stdout.strip()
        asked = {"cc": CC, "phone_number": NATIONAL, "method": "sms", "cert": certificate}
        assert self.call("POST", "/account", asked)[0] == 202
        code = await self._server.code()
        assert self.call("POST", "/account/verify", {"code": code})[0] == 201
        assert self.call("POST", "/settings/account/two-step", {"pin": OWNER.pin})[0] == 200
        return certificate


async def test_the_on_premises_face_keeps_to_its_document(server: Cloud, tmp_path: Path):
    admin = Admin(server)
    certificate = await admin.registers()
    assert admin.call("POST", "/users", {"username": "fred", "password": THIEF.password})[0] == 201
    url = f"http://127.0.0.1:{server.port}"
    words = Words(
        {
            "path.username": ["admin", "fred"],
            "body.cc": [CC],
            "body.phone_number": [NATIONAL],
            "body.cert": [certificate],
            "body.pin": [OWNER.pin, OWNER.new_pin],
            "body.username": ["fred", "gina"],
            "body.password": [THIEF.password],
        }
    )

    schemes = {"bearer": {"bearer": admin.token}}
    without = ("--exclude-name", _LOGIN, "--exclude-name", _LOGOUT)  # each ends tokens
    verdict = campaign(tmp_path, f"{url}/openapi.json", url, schemes, *without, words=words)

    verdict.found_nothing()
    assert admin.call("GET", "/health")[0] == 200


async def test_logging_in_and_out_keep_to_the_document_too(server: Cloud, tmp_path: Path):
    token = Admin(server).token
    url = f"http://127.0.0.1:{server.port}"
    schemes = {
        "bearer": {"bearer": token},
        "basic": {"username": "admin", "password": OWNER.password},
    }

    verdict = campaign(
        tmp_path, f"{url}/openapi.json", url, schemes,
        "--include-name", _LOGIN, "--include-name", _LOGOUT,
        words=Words({"body.new_password": [OWNER.password, THIEF.password]}),
    )  # fmt: skip

    verdict.found_nothing()


async def registers_on_cloud(server: Cloud) -> None:
    """The number, with a PIN, over the Cloud API."""
    headers = {"Authorization": f"Bearer {server.access.token}"}

    def post(edge: str, body: Any) -> int:
        path = f"/{VERSION}/{server.access.number}/{edge}"
        return ask(server.graph_port, "POST", path, headers, body)[0]

    assert post("request_code", {"code_method": "SMS", "language": "en_US"}) == 200
    assert post("verify_code", {"code": await server.code()}) == 200
    assert post("register", {"messaging_product": "whatsapp", "pin": OWNER.pin}) == 200


@pytest.mark.parametrize("profile", ["docs", "openapi"])
async def test_the_graph_face_keeps_to_its_document(tmp_path: Path, profile: str):
    async with cloud(tmp_path, NIGHTLATCH_GRAPH_ERRORS=profile) as server:
        await registers_on_cloud(server)
        url, given = f"http://127.0.0.1:{server.port}/graph", server.access
        words = Words(
            {
                "path.id": [given.number, given.waba, given.app],
                "path.phone_number_id": [given.number],
                "path.waba_id": [given.waba],
                "body.pin": [OWNER.pin, OWNER.new_pin],
                "body.cc": [CC],
                "body.phone_number": ["6315551001", "6315551002"],
                "query.input_token": [given.token],
            }
        )

        verdict = campaign(
            tmp_path, f"{url}/openapi.json", url, {"bearer": {"bearer": given.token}},
            "--exclude-path-regex", "app_id|oauth", checks=_GRAPH_CHECKS, words=words,
        )  # fmt: skip

        verdict.found_nothing()


async def test_the_apps_own_calls_keep_to_the_document_too(server: Cloud, tmp_path: Path):
    url, given = f"http://127.0.0.1:{server.port}/graph", server.access
    token = f"{given.app}|{given.app_secret}"
    words = Words(
        {
            "path.app_id": [given.app],
            "body.callback_url": ["http://127.0.0.1:9/", "https://luckyshrub.example/hooks"],
        }
    )

    verdict = campaign(
        tmp_path, f"{url}/openapi.json", url, {"bearer": {"bearer": token}},
        "--include-path-regex", "app_id", checks=_GRAPH_CHECKS, words=words,
    )  # fmt: skip

    verdict.found_nothing()


async def test_getting_the_apps_token_keeps_to_the_document_too(server: Cloud, tmp_path: Path):
    """A campaign of its own: the others would take the token it gets for one that is made up."""
    url, given = f"http://127.0.0.1:{server.port}/graph", server.access
    secret = {"client_id": [given.app], "client_secret": [given.app_secret]}
    words = Words({f"{place}.{n}": v for place in ("query", "body") for n, v in secret.items()})

    verdict = campaign(
        tmp_path, f"{url}/openapi.json", url, {},
        "--include-path-regex", "oauth", checks=_GRAPH_CHECKS, words=words,
    )  # fmt: skip

    verdict.found_nothing()


async def test_a_campaign_notices_what_it_looks_for(server: Cloud, tmp_path: Path):
    """The control: the same server with a document that tells other things of it."""
    url = f"http://127.0.0.1:{server.port}"
    admin = Admin(server)
    document = ask(server.port, "GET", "/openapi.json", {})[1]
    read = document["paths"]["/v1/users/{username}"]["get"]
    del read["responses"]["404"]
    health = document["paths"]["/v1/health"]["get"]
    health["responses"]["200"]["content"]["application/json"] = {
        "schema": {"type": "object", "required": ["heart"]}
    }
    document["paths"] = {
        "/v1/users/{username}": {"get": read},
        "/v1/health": {"get": health},
        "/livez": {
            "get": {
                "security": [{"bearer": []}],
                "responses": {"200": {"description": "", "content": {"application/json": {}}}},
            }
        },
    }
    told = tmp_path / "told.json"
    told.write_text(json.dumps(document))

    verdict = campaign(tmp_path, str(told), url, {"bearer": {"bearer": admin.token}})

    assert verdict.exit_code == 1
    assert verdict.failures >= {"UndefinedStatusCode", "JsonSchemaError", "IgnoredAuth"}
