"""What ``deploy/`` says is true of the code: settings, ports, paths, commands, limits.

Whether the files are good nginx, Caddy, systemd, Docker and Kubernetes is for the linters of
those; the guides say which were run. ``tests.fronts`` drives nginx and Caddy for real.
"""

import configparser
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from nightlatch import __version__, workers
from nightlatch.domain.limits import INBOUND_BYTES
from nightlatch.faces.cli.commands import cli
from nightlatch.settings import Settings, load
from tests.docs.reference import ROOT
from tests.town import Town, exchange

DEPLOY = ROOT / "deploy"
FILES = [path for path in sorted(DEPLOY.rglob("*")) if path.is_file()]
VARIABLES = {one.metadata["env"] for one in Settings.__dataclass_fields__.values()}
PORT = Settings().port
ENDS_WITHIN = workers._END_SECONDS


def read(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(read(name)))


COMPOSE = documents("compose.yaml")[0]
SERVICES = COMPOSE["services"]
NODES = [name for name in SERVICES if name.startswith("node-")]
OURS = [*NODES, "migrate"]
MANIFESTS = {
    path.name: documents(f"kubernetes/{path.name}") for path in DEPLOY.glob("kubernetes/*")
}
(DEPLOYMENT,) = MANIFESTS["deployment.yaml"]
(JOB,) = MANIFESTS["migrate.yaml"]
(SETTINGS,) = MANIFESTS["settings.yaml"]
PODS = {"deployment": DEPLOYMENT["spec"]["template"], "job": JOB["spec"]["template"]}


def image_variables() -> dict[str, str]:
    return dict(re.findall(r"(NIGHTLATCH_\w+)=([^\s\\]+)", read("Dockerfile")))


def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    parser.read_string(read("systemd/nightlatch.service"))
    return parser["Service"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_variable_is_a_setting(path: Path):
    named = set(re.findall(r"\b(?:NIGHTLATCH|WA)_[A-Z_]+\b", path.read_text(encoding="utf-8")))

    assert named - VARIABLES == set()


def test_nobody_finds_a_secret_in_a_file_that_is_not_an_example():
    secrets = {one.metadata["env"] for one in Settings.__dataclass_fields__.values()
               if one.metadata["secret"]} | {"NIGHTLATCH_DATABASE", "POSTGRES_PASSWORD"}  # fmt: skip

    for path in FILES:
        if ".example" not in path.name:
            text = path.read_text(encoding="utf-8")
            assert {name for name in secrets if re.search(rf"{name}\s*[=:]", text)} == set(), path


@pytest.mark.parametrize(
    "chosen",
    [SETTINGS["data"], *(SERVICES[name]["environment"] for name in NODES)],
    ids=["kubernetes", *NODES],
)
def test_the_chosen_settings_are_safe_ones(chosen: dict[str, str]):
    settings = load(image_variables() | chosen)

    settings.refuse_if_unsafe()
    assert settings.host == "0.0.0.0"
    assert settings.hash_threads > 0  # the machine's cores are not the container's
    assert settings.proxies()


def test_the_image_runs_what_the_project_needs_as_nobody_in_particular():
    text = read("Dockerfile")
    (python,) = re.findall(r"^ARG PYTHON=(\d+)\.(\d+)$", text, re.MULTILINE)
    needs = re.findall(r'requires-python = ">=(\d+)\.(\d+)"', (ROOT / "pyproject.toml").read_text())
    context = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)

    assert tuple(map(int, python)) >= tuple(map(int, needs[0]))
    assert f"\nEXPOSE {PORT}\n" in text
    assert f"or {PORT})" in text
    assert "\nUSER 10001:10001\n" in text
    assert "--require-hashes -r requirements.txt" in text
    assert {f"!{name}" for line in copied for name in line.split()} <= set(context)
    assert context[0] == "*"


def test_every_image_of_ours_is_of_this_version():
    tags = {SERVICES[name]["image"] for name in OURS}
    tags |= {one["image"] for one in JOB["spec"]["template"]["spec"]["containers"]}
    (chosen,) = MANIFESTS["kustomization.yaml"][0]["images"]

    assert tags == {f"nightlatch:{__version__}"}
    assert (chosen["name"], chosen["newTag"]) == ("nightlatch", __version__)
    assert f"-t nightlatch:{__version__} " in read("Dockerfile")


def test_every_command_exists():
    used = [re.findall(r'^CMD \["(\w+)"\]', read("Dockerfile"), re.MULTILINE)]
    used += [SERVICES["migrate"]["command"], unit()["ExecStart"].split()[1:]]
    used += [one["args"] for pod in PODS.values() for one in pod["spec"]["containers"]]

    assert {word for words in used for word in words} - set(cli.commands) == set()


async def test_every_path_that_is_probed_is_served(town: Town):
    paths = {
        probe["httpGet"]["path"]
        for one in DEPLOYMENT["spec"]["template"]["spec"]["containers"]
        for name, probe in one.items()
        if name.endswith("Probe")
    }
    paths |= set(re.findall(r"'GET', '([^']+)'", read("Dockerfile")))
    paths |= set(re.findall(r"health_uri (\S+)", read("caddy/Caddyfile")))

    assert {"/livez"} < paths
    for path in paths:
        assert (await exchange(town.port, "GET", path)).status == 200


@pytest.mark.parametrize("name", OURS)
def test_a_container_of_compose_may_do_nothing_it_need_not(name: str):
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "mem_limit" in service
    assert "ports" not in service  # only the proxy can be reached
    assert int(service["stop_grace_period"].removesuffix("s")) > ENDS_WITHIN
    assert (DEPLOY / f"{service['env_file']}.example").exists()


def test_compose_puts_every_node_behind_the_proxy_and_lets_it_call_them():
    named = SERVICES["proxy"]["environment"]["NODES"].split()

    assert named == [f"{name}:{PORT}" for name in NODES]
    for name in NODES:
        assert SERVICES[name]["environment"]["NIGHTLATCH_HOSTS"].split(",") == NODES
    (network,) = COMPOSE["networks"]["inside"]["ipam"]["config"]
    assert SERVICES["node-1"]["environment"]["NIGHTLATCH_TRUSTED_PROXIES"] == network["subnet"]


@pytest.mark.parametrize("kind", PODS)
def test_a_pod_may_do_nothing_it_need_not_and_has_limits(kind: str):
    pod = PODS[kind]["spec"]
    containers = pod["initContainers"] + pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10_001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for one in containers:
        assert one["securityContext"]["readOnlyRootFilesystem"] is True
        assert one["securityContext"]["allowPrivilegeEscalation"] is False
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert one["resources"]["limits"].keys() == {"cpu", "memory"}
        mounted = {mount["name"] for mount in one["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("kind", PODS)
def test_a_pod_gets_the_key_ring_where_the_settings_look_for_it(kind: str):
    pod = PODS[kind]["spec"]
    (copy,) = pod["initContainers"]

    assert copy["command"][-1] == SETTINGS["data"]["NIGHTLATCH_KEYRING"]
    assert copy["command"][:3] == ["install", "-m", "0600"]
    assert {"name": "keys", "mountPath": "/keys"} in pod["containers"][0]["volumeMounts"]


def test_the_deployment_is_replaced_without_a_gap():
    spec = DEPLOYMENT["spec"]
    (server,) = spec["template"]["spec"]["containers"]
    (disruption,) = MANIFESTS["disruption.yaml"]
    (service,) = MANIFESTS["service.yaml"]
    labels = spec["template"]["metadata"]["labels"]
    linger = int(server["lifecycle"]["preStop"]["exec"]["command"][1])

    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["replicas"] > disruption["spec"]["maxUnavailable"]
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= server.keys()
    assert server["ports"] == [{"name": "http", "containerPort": PORT}]
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > linger + ENDS_WITHIN
    assert disruption["spec"]["selector"]["matchLabels"] == labels
    assert service["spec"]["selector"] == spec["selector"]["matchLabels"] == labels
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    assert labels != JOB["spec"]["template"]["metadata"]["labels"]  # no requests for the job


def test_every_manifest_is_in_the_kustomization_or_for_its_own_moment():
    (whole,) = MANIFESTS["kustomization.yaml"]
    alone = {"kustomization.yaml", "migrate.yaml", "secret.example.yaml"}

    assert set(whole["resources"]) == MANIFESTS.keys() - alone
    for name in MANIFESTS.keys() - {"kustomization.yaml"}:
        assert {one["metadata"]["namespace"] for one in MANIFESTS[name]} == {whole["namespace"]}


def test_the_unit_can_be_reloaded_and_has_time_to_stop():
    text, service = read("systemd/nightlatch.service"), unit()
    chosen = dict(re.findall(r"^Environment=(\w+)=(.+)$", text, re.MULTILINE))

    assert load(chosen).workers > 1  # one alone would end at SIGHUP
    assert service["ExecReload"].endswith("-HUP $MAINPID")
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) > ENDS_WITHIN
    assert Path(chosen["NIGHTLATCH_DATA"]) == Path("/var/lib") / service["StateDirectory"]
    assert service["User"] == "nightlatch"


def test_proxies_lead_to_our_port_and_let_metas_webhooks_pass():
    nginx, caddy = read("nginx/nightlatch.conf"), read("caddy/Caddyfile")
    (megabytes,) = re.findall(r"client_max_body_size (\d+)m;", nginx)
    (most,) = re.findall(r"max_size (\d+)", caddy)

    assert f"server 127.0.0.1:{PORT} " in nginx
    assert f"{{$NODES:127.0.0.1:{PORT}}}" in caddy
    assert int(megabytes) * 1_048_576 >= INBOUND_BYTES
    assert int(most) >= INBOUND_BYTES


def test_nginx_believes_no_address_that_a_client_claims_and_repeats_no_post():
    text = read("nginx/nightlatch.conf")

    assert "proxy_set_header X-Forwarded-For $remote_addr;" in text
    assert re.findall(r"^ *proxy_next_upstream (.*);$", text, re.MULTILINE) == ["error timeout"]
