"""Every setting: type, default, unit, one sentence.

Each is an option of ``nightlatch serve`` and an environment variable; the
option wins. Secrets are no options. ``docs/reference/settings.md`` is written from this class.
"""

import ipaddress
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from email.utils import parseaddr
from pathlib import Path
from typing import Any

from nightlatch.domain.limits import API_KEY_LENGTH, CLOUD_SECONDS
from nightlatch.domain.linked import TurnOff
from nightlatch.traces import TracesRefused, refuse_bad_endpoint

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


_SANDBOX_TOKEN = (16, 128)
_POSTGRESQL = ("postgresql://", "postgres://")
_PASSWORD = re.compile(r"[a-z]+://[^/@]*:[^/@]*@|.*[?&]password=")
_WORKERS = (1, 64)


class SettingRefused(Exception):
    """A setting cannot be used; the message says which and what fits."""


def _setting(
    default: Any,
    says: str,
    env: str,
    unit: str = "",
    *,
    secret: bool = False,
    shown: bool = True,
) -> Any:
    """*secret* ones come from the environment alone: everybody on the machine sees arguments."""
    told = {"says": says, "env": env, "unit": unit, "secret": secret}
    return field(default=default, repr=shown and not secret, metadata=told)


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may choose."""

    data: Path = _setting(
        Path("nightlatch-data"), "Folder of the database and the key ring.", "NIGHTLATCH_DATA"
    )
    keyring: Path | None = _setting(
        None,
        "File of the key ring, when it should not lie in the data folder.",
        "NIGHTLATCH_KEYRING",
    )
    database: str = _setting(
        "",
        "PostgreSQL database that several nodes share, as postgresql://user@host/name; without"
        " one, a file of SQLite in the data folder. A password in it is only taken from the"
        " environment.",
        "NIGHTLATCH_DATABASE",
        shown=False,
    )
    database_pool: int = _setting(
        10, "Connections to PostgreSQL that one process opens at most.",
        "NIGHTLATCH_DATABASE_POOL", "2-1000",
    )  # fmt: skip
    host: str = _setting("127.0.0.1", "Address to listen on.", "NIGHTLATCH_HOST")
    port: int = _setting(9090, "Port to listen on.", "NIGHTLATCH_PORT", "1-65535")
    tls: bool = _setting(
        False,
        "Serve https; makes a self-signed certificate unless one is given.",
        "NIGHTLATCH_TLS",
    )
    tls_cert: Path | None = _setting(
        None, "Certificate chain to serve https with, PEM.", "NIGHTLATCH_TLS_CERT"
    )
    tls_key: Path | None = _setting(None, "Its private key, PEM.", "NIGHTLATCH_TLS_KEY")
    behind_proxy: bool = _setting(
        False,
        "A proxy in front speaks https to the world, so plain http on any address is fine.",
        "NIGHTLATCH_BEHIND_PROXY",
    )
    public_url: str = _setting(
        "",
        "Origin under which clients reach this server; links in answers start with it.",
        "NIGHTLATCH_PUBLIC_URL",
    )
    hosts: str = _setting(
        "",
        "Further host names that requests may name, separated by commas.",
        "NIGHTLATCH_HOSTS",
    )
    api_key: str = _setting(
        "",
        "Key for `Authorization: Apikey` on health and metrics.",
        "WA_API_KEY",
        "12-128 characters",
        secret=True,
    )
    refuse_weak_pins: bool = _setting(
        False, "Refuse dates and patterns as PINs on every face.", "NIGHTLATCH_REFUSE_WEAK_PINS"
    )
    review_names: bool = _setting(
        False,
        "Display names wait until somebody approves them, instead of being approved at once.",
        "NIGHTLATCH_REVIEW_NAMES",
    )
    smtp_host: str = _setting(
        "",
        "Mail server that letters go to; without one they are kept in the embedded mailbox.",
        "NIGHTLATCH_SMTP_HOST",
    )
    smtp_port: int = _setting(587, "Its port.", "NIGHTLATCH_SMTP_PORT", "1-65535")
    smtp_security: str = _setting(
        "starttls",
        "`starttls`, `tls` from the first byte, or `none`, which only a server on loopback may be.",
        "NIGHTLATCH_SMTP_SECURITY",
    )
    smtp_user: str = _setting("", "User to log in to it as.", "NIGHTLATCH_SMTP_USER")
    smtp_password: str = _setting(
        "", "That user's password.", "NIGHTLATCH_SMTP_PASSWORD", secret=True
    )
    smtp_ca: Path | None = _setting(
        None,
        "Certificates that its own must lead to, PEM, in place of the system's.",
        "NIGHTLATCH_SMTP_CA",
    )
    mail_from: str = _setting(
        "Nightlatch <nightlatch@localhost>", "Who letters are from.", "NIGHTLATCH_MAIL_FROM"
    )
    trusted_proxies: str = _setting(
        "",
        "Proxies whose X-Forwarded-For is believed: addresses or networks, separated by commas.",
        "NIGHTLATCH_TRUSTED_PROXIES",
    )
    graph_port: int = _setting(
        0,
        "A second port, at whose root the Cloud API is served; 0 for none.",
        "NIGHTLATCH_GRAPH_PORT",
        "0-65535",
    )
    graph_hosts: str = _setting(
        "",
        "Host names at whose root the Cloud API is served, separated by commas.",
        "NIGHTLATCH_GRAPH_HOSTS",
    )
    graph_errors: str = _setting(
        "docs",
        "How the Cloud API words errors: `docs`, as field reports have them, or `openapi`, as"
        " Meta's OpenAPI document has them.",
        "NIGHTLATCH_GRAPH_ERRORS",
    )
    graph_wrong_pin_free: bool = _setting(
        False,
        "Over the Cloud API a wrong PIN does not count as a registration.",
        "NIGHTLATCH_GRAPH_WRONG_PIN_FREE",
    )
    graph_deregister_turns_off: bool = _setting(
        False,
        "Deregistering over the Cloud API turns two-step verification off.",
        "NIGHTLATCH_GRAPH_DEREGISTER_TURNS_OFF",
    )
    graph_pin_unregistered: bool = _setting(
        False,
        "The Cloud API sets PINs of numbers that are not registered, too.",
        "NIGHTLATCH_GRAPH_PIN_UNREGISTERED",
    )
    graph_pin_events: bool = _setting(
        False,
        "A PIN set by an API is told as PIN_CHANGED, as one set in the Manager is.",
        "NIGHTLATCH_GRAPH_PIN_EVENTS",
    )
    graph_empty_pin: bool = _setting(
        False,
        "An empty PIN over the Cloud API turns two-step verification off.",
        "NIGHTLATCH_GRAPH_EMPTY_PIN",
    )
    cloud_turn_off: str = _setting(
        "shadow",
        "What `DELETE two-step` does for a number that lives at the Cloud API, which does not turn"
        " it off for programs: `shadow` answers as if and remembers it, `reject` refuses, `rotate`"
        " sets a PIN drawn by chance.",
        "NIGHTLATCH_CLOUD_TURN_OFF",
    )
    cloud_seconds: int = _setting(
        CLOUD_SECONDS,
        "How long one call to the Cloud API may take.",
        "NIGHTLATCH_CLOUD_SECONDS",
        f"seconds, 1-{CLOUD_SECONDS}",
    )
    private_receivers: bool = _setting(
        False,
        "Webhooks may go to private, link-local and loopback addresses, and by plain http.",
        "NIGHTLATCH_PRIVATE_RECEIVERS",
    )
    sandbox_token: str = _setting(
        "",
        "Token for `/sandbox`, which reads codes and letters, steps the clock and injects faults;"
        " without one there is no `/sandbox`.",
        "NIGHTLATCH_SANDBOX_TOKEN",
        "16-128 characters",
        secret=True,
    )
    log_format: str = _setting(
        "auto", "`json`, `console`, or `auto`: console on a terminal.", "NIGHTLATCH_LOG_FORMAT"
    )
    log_level: str = _setting(
        "info", "`debug`, `info`, `warning` or `error`.", "NIGHTLATCH_LOG_LEVEL"
    )
    traces: str = _setting(
        "",
        "Where traces are sent as OTLP over HTTP; needs the extra `nightlatch[otel]`.",
        "NIGHTLATCH_TRACES",
        "like `http://127.0.0.1:4318/v1/traces`",
    )
    hash_threads: int = _setting(
        0, "Threads that hash PINs and passwords; 0 means one for each core.",
        "NIGHTLATCH_HASH_THREADS", "threads of 19 MiB",
    )  # fmt: skip

    workers: int = _setting(
        1,
        "Server processes that share the port, for machines with several cores.",
        "NIGHTLATCH_WORKERS",
        "processes, {}-{}".format(*_WORKERS),
    )

    @property
    def database_file(self) -> Path:
        return self.data / "nightlatch.db"

    @property
    def keyring_file(self) -> Path:
        return self.keyring or self.data / "keyring.json"

    @property
    def https(self) -> bool:
        return self.tls or self.tls_cert is not None

    @property
    def origin(self) -> str:
        """Where clients find us; never taken from a request."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.https else 'http'}://{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return _is_loopback(self.host)

    @property
    def keeps_mail(self) -> bool:
        """Whether letters end in the embedded mailbox."""
        return not self.smtp_host

    def proxies(self) -> tuple[Network, ...]:
        """``trusted_proxies``, read. Raises SettingRefused."""
        found = []
        for text in filter(None, map(str.strip, self.trusted_proxies.split(","))):
            try:
                found.append(ipaddress.ip_network(text))
            except ValueError as error:
                raise SettingRefused(
                    f"--trusted-proxies: {text} is no IP address or network, like 10.0.0.0/8"
                ) from error
        return tuple(found)

    def refuse_if_unsafe(self) -> None:
        """Raises SettingRefused for what would be unsafe or cannot work."""
        if not self.is_loopback and not self.https and not self.behind_proxy:
            raise SettingRefused(
                f"listening on {self.host} without https would send PINs in the clear; "
                "add --tls, or --behind-proxy when a proxy in front speaks https"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingRefused("--tls-cert and --tls-key go together")
        low, high = API_KEY_LENGTH
        if self.api_key and not low <= len(self.api_key) <= high:
            raise SettingRefused(f"WA_API_KEY must have {low} to {high} characters")
        if not 1 <= self.port <= 65_535:
            raise SettingRefused("--port must be 1 to 65535")
        if self.hash_threads < 0:
            raise SettingRefused("--hash-threads must be 0 or more")
        self._refuse_unfit_workers()
        if self.public_url and not self.public_url.startswith(("http://", "https://")):
            raise SettingRefused("--public-url must begin with http:// or https://")
        if self.log_format not in ("auto", "json", "console"):
            raise SettingRefused("--log-format must be auto, json or console")
        if self.log_level not in ("debug", "info", "warning", "error"):
            raise SettingRefused("--log-level must be debug, info, warning or error")
        self.proxies()
        self.refuse_unsafe_database()
        self._refuse_unsafe_traces()
        self._refuse_unsafe_graph()
        self._refuse_unsafe_mail()

    def refuse_unsafe_database(self) -> None:
        """Raises SettingRefused."""
        if self.database and not self.database.startswith(_POSTGRESQL):
            raise SettingRefused("--database must begin with postgresql://")
        if not 2 <= self.database_pool <= 1_000:
            raise SettingRefused("--database-pool must be 2 to 1000")

    def _refuse_unfit_workers(self) -> None:
        low, high = _WORKERS
        if not low <= self.workers <= high:
            raise SettingRefused(f"--workers must be {low} to {high}")
        if self.workers > 1 and self.sandbox_token:
            raise SettingRefused(
                "--workers and NIGHTLATCH_SANDBOX_TOKEN do not go together: the sandbox steps the"
                " clock of one process"
            )

    def _refuse_unsafe_graph(self) -> None:
        if self.graph_errors not in ("docs", "openapi"):
            raise SettingRefused("--graph-errors must be docs or openapi")
        if not 0 <= self.graph_port <= 65_535 or self.graph_port == self.port:
            raise SettingRefused("--graph-port must be another port than --port, 1 to 65535")
        if self.cloud_turn_off not in list(TurnOff):
            raise SettingRefused("--cloud-turn-off must be shadow, reject or rotate")
        if not 1 <= self.cloud_seconds <= CLOUD_SECONDS:
            raise SettingRefused(f"--cloud-seconds must be 1 to {CLOUD_SECONDS}")
        low, high = _SANDBOX_TOKEN
        if self.sandbox_token and not low <= len(self.sandbox_token) <= high:
            raise SettingRefused(f"NIGHTLATCH_SANDBOX_TOKEN must have {low} to {high} characters")

    def _refuse_unsafe_traces(self) -> None:
        if self.traces:
            try:
                refuse_bad_endpoint(self.traces)
            except TracesRefused as refused:
                raise SettingRefused(str(refused)) from refused

    def _refuse_unsafe_mail(self) -> None:
        if self.smtp_security not in ("starttls", "tls", "none"):
            raise SettingRefused("--smtp-security must be starttls, tls or none")
        if self.smtp_security == "none" and self.smtp_host and not _is_loopback(self.smtp_host):
            raise SettingRefused(
                f"mail to {self.smtp_host} without TLS would send links in the clear; "
                "--smtp-security none is for a mail server on loopback"
            )
        if not 1 <= self.smtp_port <= 65_535:
            raise SettingRefused("--smtp-port must be 1 to 65535")
        if bool(self.smtp_user) != bool(self.smtp_password):
            raise SettingRefused("--smtp-user and NIGHTLATCH_SMTP_PASSWORD go together")
        if self.smtp_ca is not None:
            try:
                ssl.create_default_context(cafile=self.smtp_ca)
            except OSError as error:  # ssl.SSLError is one
                raise SettingRefused(
                    f"--smtp-ca {self.smtp_ca} cannot be read as certificates in PEM"
                ) from error
        _, address = parseaddr(self.mail_from)
        name, _, domain = address.rpartition("@")
        if not (name and domain and self.mail_from.isprintable()) or " " in address:
            raise SettingRefused(
                "--mail-from must be an address, like Nightlatch <nightlatch@example.com>"
            )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, which may lead anywhere
        return False


def load(environment: Mapping[str, str] | None = None, **chosen: Any) -> Settings:
    """Settings from *chosen* (None means not chosen), then the environment, then defaults.

    Raises:
        SettingRefused: a value does not fit its setting.
    """
    if _PASSWORD.match(chosen.get("database") or ""):
        raise SettingRefused(
            "--database holds a password, and everybody on the machine sees arguments;"
            " give it in NIGHTLATCH_DATABASE, PGPASSWORD or a password file"
        )
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    for one in fields(Settings):
        value = chosen.get(one.name)
        if value is None:
            text = environment.get(one.metadata["env"])
            if not text:
                continue
            value = _read(one.metadata["env"], text, one.default)
        values[one.name] = Path(value) if one.name in _PATHS else value
    return Settings(**values)


_PATHS = {"data", "keyring", "smtp_ca", "tls_cert", "tls_key"}


def _read(name: str, text: str, default: Any) -> Any:
    if isinstance(default, bool):
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise SettingRefused(f"{name} must be true or false")
    if isinstance(default, int):
        try:
            return int(text)
        except ValueError as error:
            raise SettingRefused(f"{name} must be a whole number") from error
    return text
