"""Settings: where each comes from, what is refused, and what would be unsafe."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from nightlatch.adapters.tls import self_signed
from nightlatch.settings import SettingRefused, Settings, load
from tests.people import NOON

KEY = "a-key-of-16-long"
PASSWORD = "Mail-Pass-1"
SANDBOX = "a-sandbox-of-our-own"
DATABASE = "postgresql://night:Word-1@one.gate.test:5433,two.gate.test/latch?sslmode=verify-full"
ENVIRONMENT: dict[str, tuple[str, str, Any]] = {
    "NIGHTLATCH_DATA": ("/srv/nightlatch", "data", Path("/srv/nightlatch")),
    "NIGHTLATCH_KEYRING": ("/etc/keyring.json", "keyring", Path("/etc/keyring.json")),
    "NIGHTLATCH_HOST": ("192.0.2.7", "host", "192.0.2.7"),
    "NIGHTLATCH_PORT": ("8443", "port", 8443),
    "NIGHTLATCH_TLS": ("true", "tls", True),
    "NIGHTLATCH_TLS_CERT": ("/etc/cert.pem", "tls_cert", Path("/etc/cert.pem")),
    "NIGHTLATCH_TLS_KEY": ("/etc/key.pem", "tls_key", Path("/etc/key.pem")),
    "NIGHTLATCH_BEHIND_PROXY": ("yes", "behind_proxy", True),
    "NIGHTLATCH_PUBLIC_URL": ("https://gate.test", "public_url", "https://gate.test"),
    "NIGHTLATCH_HOSTS": ("gate.test,door.test", "hosts", "gate.test,door.test"),
    "WA_API_KEY": (KEY, "api_key", KEY),
    "NIGHTLATCH_REFUSE_WEAK_PINS": ("1", "refuse_weak_pins", True),
    "NIGHTLATCH_REVIEW_NAMES": ("on", "review_names", True),
    "NIGHTLATCH_SMTP_HOST": ("mail.gate.test", "smtp_host", "mail.gate.test"),
    "NIGHTLATCH_SMTP_PORT": ("465", "smtp_port", 465),
    "NIGHTLATCH_SMTP_SECURITY": ("tls", "smtp_security", "tls"),
    "NIGHTLATCH_SMTP_USER": ("mailer", "smtp_user", "mailer"),
    "NIGHTLATCH_SMTP_PASSWORD": (PASSWORD, "smtp_password", PASSWORD),
    "NIGHTLATCH_SMTP_CA": ("/etc/ca.pem", "smtp_ca", Path("/etc/ca.pem")),
    "NIGHTLATCH_MAIL_FROM": ("Gate <post@gate.test>", "mail_from", "Gate <post@gate.test>"),
    "NIGHTLATCH_TRUSTED_PROXIES": ("10.0.0.0/8", "trusted_proxies", "10.0.0.0/8"),
    "NIGHTLATCH_GRAPH_PORT": ("8444", "graph_port", 8444),
    "NIGHTLATCH_GRAPH_HOSTS": ("graph.gate.test", "graph_hosts", "graph.gate.test"),
    "NIGHTLATCH_GRAPH_ERRORS": ("openapi", "graph_errors", "openapi"),
    "NIGHTLATCH_GRAPH_WRONG_PIN_FREE": ("1", "graph_wrong_pin_free", True),
    "NIGHTLATCH_GRAPH_DEREGISTER_TURNS_OFF": ("1", "graph_deregister_turns_off", True),
    "NIGHTLATCH_GRAPH_PIN_UNREGISTERED": ("1", "graph_pin_unregistered", True),
    "NIGHTLATCH_GRAPH_PIN_EVENTS": ("1", "graph_pin_events", True),
    "NIGHTLATCH_GRAPH_EMPTY_PIN": ("1", "graph_empty_pin", True),
    "NIGHTLATCH_CLOUD_TURN_OFF": ("rotate", "cloud_turn_off", "rotate"),
    "NIGHTLATCH_CLOUD_SECONDS": ("7", "cloud_seconds", 7),
    "NIGHTLATCH_PRIVATE_RECEIVERS": ("1", "private_receivers", True),
    "NIGHTLATCH_SANDBOX_TOKEN": (SANDBOX, "sandbox_token", SANDBOX),
    "NIGHTLATCH_LOG_FORMAT": ("json", "log_format", "json"),
    "NIGHTLATCH_LOG_LEVEL": ("debug", "log_level", "debug"),
    "NIGHTLATCH_TRACES": ("http://traces.gate.test:4318", "traces", "http://traces.gate.test:4318"),
    "NIGHTLATCH_HASH_THREADS": ("3", "hash_threads", 3),
    "NIGHTLATCH_DATABASE": (DATABASE, "database", DATABASE),
    "NIGHTLATCH_DATABASE_POOL": ("20", "database_pool", 20),
    "NIGHTLATCH_WORKERS": ("4", "workers", 4),
}
TRUE_OR_FALSE = [one.metadata["env"] for one in fields(Settings) if isinstance(one.default, bool)]


def test_every_setting_has_its_row_here():
    assert {one.metadata["env"]: one.name for one in fields(Settings)} == {
        env: name for env, (_, name, _) in ENVIRONMENT.items()
    }


def test_every_setting_says_what_it_is():
    for one in fields(Settings):
        assert one.metadata["says"].endswith("."), one.name


@pytest.mark.parametrize(("env", "row"), ENVIRONMENT.items(), ids=ENVIRONMENT)
def test_each_setting_is_read_from_its_variable_alone(env: str, row: tuple[str, str, Any]):
    text, name, value = row

    assert load({env: text}) == replace(Settings(), **{name: value})


def test_all_settings_together_are_read_and_are_safe(tmp_path: Path):
    settings = load({env: text for env, (text, _, _) in ENVIRONMENT.items()})

    assert settings == Settings(**{name: value for _, name, value in ENVIRONMENT.values()})
    ca, _ = self_signed(tmp_path / "tls", "mail.gate.test", NOON)
    replace(settings, smtp_ca=ca, sandbox_token="").refuse_if_unsafe()  # it wants one worker


@pytest.mark.parametrize("env", ENVIRONMENT)
def test_an_empty_variable_is_as_good_as_none(env: str):
    assert load({env: ""}) == Settings()


def test_without_variables_the_defaults_hold_and_are_safe():
    settings = load({})

    assert settings == Settings()
    assert (settings.data, settings.host, settings.port) == (
        Path("nightlatch-data"),
        "127.0.0.1",
        9090,
    )
    settings.refuse_if_unsafe()


def test_what_was_chosen_wins_over_the_environment_and_none_is_no_choice():
    environment = {"NIGHTLATCH_PORT": "1111", "NIGHTLATCH_HOST": "192.0.2.7", "NIGHTLATCH_TLS": "1"}

    settings = load(environment, port=2222, host=None, tls=False, data="elsewhere")

    assert (settings.port, settings.host, settings.tls) == (2222, "192.0.2.7", False)
    assert settings.data == Path("elsewhere")


def test_the_machines_environment_is_read_by_default(monkeypatch):
    monkeypatch.setenv("NIGHTLATCH_PORT", "4321")

    assert load().port == 4321


@pytest.mark.parametrize("env", TRUE_OR_FALSE)
@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, True) for text in ("1", "TRUE", "Yes", "on")),
        *((text, False) for text in ("0", "False", "NO", "off")),
    ],
)
def test_true_and_false_are_read_however_they_are_spelled(env: str, text: str, value: bool):
    assert getattr(load({env: text}), ENVIRONMENT[env][1]) is value


@pytest.mark.parametrize("env", TRUE_OR_FALSE)
@pytest.mark.parametrize("text", ["2", "-1", "ja", "truee", " true", "none"])
def test_what_is_neither_true_nor_false_is_refused_by_name(env: str, text: str):
    with pytest.raises(SettingRefused, match=f"{env} must be true or false"):
        load({env: text})


@pytest.mark.parametrize(
    "env",
    [
        "NIGHTLATCH_PORT",
        "NIGHTLATCH_HASH_THREADS",
        "NIGHTLATCH_SMTP_PORT",
        "NIGHTLATCH_GRAPH_PORT",
    ],
)
@pytest.mark.parametrize("text", ["nine", "1.5", "0x10", "1e3", "--1"])
def test_what_is_no_whole_number_is_refused_by_name(env: str, text: str):
    with pytest.raises(SettingRefused, match=f"{env} must be a whole number"):
        load({env: text})


# What would be unsafe

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tls": {"tls": True},
    "own certificate": {"tls_cert": Path("c"), "tls_key": Path("k")},
    "behind a proxy": {"behind_proxy": True},
}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1"])
@pytest.mark.parametrize("way", WAYS)
def test_on_loopback_every_way_is_safe(host: str, way: str):
    Settings(host=host, **WAYS[way]).refuse_if_unsafe()


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "192.0.2.7", "10.0.0.1", "2001:db8::7", "gate.test", "", "127.gate.test",
     "127.0.0.1.gate.test", "localhost.gate.test", "::ffff:192.0.2.7", "0"],
)  # fmt: skip
@pytest.mark.parametrize("way", WAYS)
def test_on_any_other_address_only_https_or_a_proxy_is_safe(host: str, way: str):
    settings = Settings(host=host, **WAYS[way])

    if way == "plain":
        with pytest.raises(SettingRefused, match="without https would send PINs in the clear"):
            settings.refuse_if_unsafe()
    else:
        settings.refuse_if_unsafe()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tls_cert": Path("c")}, "--tls-cert and --tls-key go together"),
        ({"tls_key": Path("k")}, "--tls-cert and --tls-key go together"),
        ({"tls": True, "tls_key": Path("k")}, "--tls-cert and --tls-key go together"),
        ({"api_key": "x" * 11}, "WA_API_KEY must have 12 to 128 characters"),
        ({"api_key": "x" * 129}, "WA_API_KEY must have 12 to 128 characters"),
        ({"port": 0}, "--port must be 1 to 65535"),
        ({"port": -1}, "--port must be 1 to 65535"),
        ({"port": 65_536}, "--port must be 1 to 65535"),
        ({"smtp_port": 0}, "--smtp-port must be 1 to 65535"),
        ({"smtp_port": 65_536}, "--smtp-port must be 1 to 65535"),
        ({"smtp_security": "ssl"}, "--smtp-security must be starttls, tls or none"),
        ({"graph_errors": "meta"}, "--graph-errors must be docs or openapi"),
        ({"graph_port": -1}, "--graph-port must be another port"),
        ({"graph_port": 65_536}, "--graph-port must be another port"),
        ({"graph_port": 9090}, "--graph-port must be another port"),
        ({"sandbox_token": "x" * 15}, "NIGHTLATCH_SANDBOX_TOKEN must have 16 to 128"),
        ({"sandbox_token": "x" * 129}, "NIGHTLATCH_SANDBOX_TOKEN must have 16 to 128"),
        ({"smtp_security": ""}, "--smtp-security must be starttls, tls or none"),
        ({"smtp_user": "mailer"}, "--smtp-user and NIGHTLATCH_SMTP_PASSWORD go together"),
        ({"smtp_password": PASSWORD}, "--smtp-user and NIGHTLATCH_SMTP_PASSWORD go together"),
        ({"smtp_ca": Path("/nowhere.pem")}, "--smtp-ca /nowhere.pem cannot be read"),
        ({"smtp_ca": Path(__file__)}, "cannot be read as certificates in PEM"),
        ({"mail_from": ""}, "--mail-from must be an address"),
        ({"mail_from": "Nightlatch"}, "--mail-from must be an address"),
        ({"mail_from": "Nightlatch <@gate.test>"}, "--mail-from must be an address"),
        ({"mail_from": "N <n@gate.test>\r\nBcc: t@else.test"}, "--mail-from must be an address"),
        ({"mail_from": "n@gate.test\nx"}, "--mail-from must be an address"),
        ({"trusted_proxies": "gate.test"}, "--trusted-proxies: gate.test is no IP address"),
        ({"trusted_proxies": "10.0.0.1, 10.0.0.300"}, "10.0.0.300 is no IP address or network"),
        ({"trusted_proxies": "10.0.0.1/8"}, "10.0.0.1/8 is no IP address or network"),
        ({"hash_threads": -1}, "--hash-threads must be 0 or more"),
        ({"database": "mysql://gate.test/n"}, "--database must begin with postgresql://"),
        ({"database": "nightlatch.db"}, "--database must begin with postgresql://"),
        ({"database_pool": 1}, "--database-pool must be 2 to 1000"),
        ({"database_pool": 1_001}, "--database-pool must be 2 to 1000"),
        ({"workers": 0}, "--workers must be 1 to 64"),
        ({"workers": 65}, "--workers must be 1 to 64"),
        ({"workers": 2, "sandbox_token": SANDBOX}, "steps the clock of one process"),
        ({"traces": "gate.test:4318"}, "--traces must be an OTLP address"),
        ({"traces": "http://"}, "--traces must be an OTLP address"),
        ({"traces": "http://me:word@gate.test"}, "--traces must be an OTLP address"),
        ({"public_url": "gate.test"}, "--public-url must begin with http"),
        ({"public_url": "ftp://gate.test"}, "--public-url must begin with http"),
        ({"log_format": "xml"}, "--log-format must be auto, json or console"),
        ({"log_format": ""}, "--log-format must be auto, json or console"),
        ({"log_level": "INFO"}, "--log-level must be debug, info, warning or error"),
        ({"log_level": "trace"}, "--log-level must be debug, info, warning or error"),
    ],
)
def test_what_cannot_work_is_refused_and_says_what_fits(changes: dict[str, Any], says: str):
    with pytest.raises(SettingRefused, match=says):
        Settings(**changes).refuse_if_unsafe()


@pytest.mark.parametrize(
    "changes",
    [
        {"api_key": "x" * 12}, {"api_key": "x" * 128}, {"api_key": ""},
        {"port": 1}, {"port": 65_535}, {"hash_threads": 0}, {"hash_threads": 64},
        {"database": DATABASE}, {"database": "postgres:///n?host=/run/postgresql"},
        {"database_pool": 2}, {"database_pool": 1_000},
        {"workers": 1, "sandbox_token": SANDBOX}, {"workers": 64},
        {"public_url": "http://gate.test"}, {"public_url": "https://gate.test:8443/"},
        {"smtp_port": 1}, {"smtp_port": 65_535}, {"mail_from": "n@gate.test"},
        {"mail_from": '"Nachtschloß, die" <n+tag@bücher.test>'}, {"trusted_proxies": " , "},
        {"smtp_user": "mailer", "smtp_password": PASSWORD},
        *({"log_format": one} for one in ("auto", "json", "console")),
        *({"log_level": one} for one in ("debug", "info", "warning", "error")),
    ],
)  # fmt: skip
def test_what_lies_just_within_the_bounds_is_taken(changes: dict[str, Any]):
    Settings(**changes).refuse_if_unsafe()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_mail_may_go_in_the_clear_to_loopback(host: str):
    Settings(smtp_host=host, smtp_security="none").refuse_if_unsafe()


@pytest.mark.parametrize("host", ["mail.gate.test", "192.0.2.7", "10.0.0.1", "localhost.gate.test"])
def test_mail_may_not_go_in_the_clear_anywhere_else(host: str):
    with pytest.raises(SettingRefused, match=f"mail to {host} without TLS"):
        Settings(smtp_host=host, smtp_security="none").refuse_if_unsafe()
    for security in ("starttls", "tls"):
        Settings(smtp_host=host, smtp_security=security).refuse_if_unsafe()


def test_secrets_are_not_shown_with_the_settings():
    shown = repr(Settings(api_key=KEY, smtp_password=PASSWORD, sandbox_token=SANDBOX))

    assert KEY not in shown
    assert PASSWORD not in shown
    assert SANDBOX not in shown
    assert [one.name for one in fields(Settings) if one.metadata["secret"]] == [
        "api_key", "smtp_password", "sandbox_token",
    ]  # fmt: skip


def test_a_refused_key_is_not_repeated():
    with pytest.raises(SettingRefused) as refused:
        Settings(api_key="shortkey").refuse_if_unsafe()

    assert "shortkey" not in str(refused.value)


# What follows from them


@pytest.mark.parametrize(
    ("changes", "origin"),
    [
        ({}, "http://127.0.0.1:9090"),
        ({"tls": True}, "https://127.0.0.1:9090"),
        ({"tls_cert": Path("c"), "tls_key": Path("k"), "port": 443}, "https://127.0.0.1:443"),
        ({"host": "::1"}, "http://[::1]:9090"),
        ({"public_url": "https://gate.test/", "tls": True}, "https://gate.test"),
    ],
)
def test_the_origin_follows_from_the_settings_alone(changes: dict[str, Any], origin: str):
    assert Settings(**changes).origin == origin


def test_the_key_ring_lies_in_the_data_folder_unless_it_is_put_elsewhere(tmp_path: Path):
    assert Settings(data=tmp_path).keyring_file == tmp_path / "keyring.json"
    assert Settings(data=tmp_path, keyring=Path("/safe/ring")).keyring_file == Path("/safe/ring")
    assert Settings(data=tmp_path).database_file == tmp_path / "nightlatch.db"


def test_without_a_mail_server_letters_are_kept():
    assert Settings().keeps_mail
    assert not Settings(smtp_host="mail.gate.test").keeps_mail


def test_trusted_proxies_are_addresses_and_networks():
    settings = Settings(trusted_proxies="10.0.0.0/8, 192.0.2.7,2001:db8::/32,")

    assert [str(one) for one in settings.proxies()] == [
        "10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32",
    ]  # fmt: skip
    assert Settings().proxies() == ()


@pytest.mark.parametrize(
    "address",
    [
        DATABASE,
        "postgres://night:Word-1@gate.test/latch",
        "postgresql://gate.test/latch?user=night&password=Word-1",
    ],
)
def test_the_databases_password_is_no_argument_and_not_shown(address: str):
    with pytest.raises(SettingRefused, match="holds a password") as refused:
        load({}, database=address)

    assert "Word-1" not in str(refused.value)
    assert "Word-1" not in repr(load({"NIGHTLATCH_DATABASE": address}))


def test_an_address_without_a_password_is_an_argument():
    address = "postgresql://night@[::1]:5433/latch?sslmode=require"

    assert load({}, database=address).database == address
