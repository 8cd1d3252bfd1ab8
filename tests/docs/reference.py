"""The pages of ``docs/reference`` that come from the code. ``make docs`` writes them.

A page is a function that returns its text; ``PAGES`` names them all. The
tests compare what is in the folder with what would be written now.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click

from nightlatch import logs
from nightlatch.domain import errors, limits
from nightlatch.domain.audit import Kind
from nightlatch.domain.errors import Refusal
from nightlatch.faces.cli import words
from nightlatch.faces.cli.commands import BROKEN, REFUSED, cli
from nightlatch.faces.graph.errors import DOCS
from nightlatch.faces.graph.openapi import document as graph_document
from nightlatch.faces.metrics import FAMILIES, Across, Family, Metrics, Of
from nightlatch.faces.onprem.errors import BUG, ELSEWHERE, ROWS, TITLES, Row
from nightlatch.faces.onprem.openapi import document
from nightlatch.faces.onprem.routes import EVERY_ROUTE, NOT_SERVED, served
from nightlatch.faces.onprem.wire import VERSION, Access, Field, Route
from nightlatch.settings import Settings
from tests.docs import graph_reference
from tests.docs.markdown import code, page, sentences, table

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "docs" / "reference"
ORIGIN: Final = "http://127.0.0.1:9090"

# Limits


def duration(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    for size, unit, least in ((86_400, "d", 4), (3_600, "h", 1), (60, "min", 1)):
        if seconds % size == 0 and seconds // size >= least:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def value_of(limit: limits.Limit) -> str:
    match limit.value:
        case timedelta():
            return duration(limit.value)
        case dict():
            return ", ".join(f"{name} {most}" for name, most in limit.value.items())
        case (int() as low, int() as high):
            return f"{low} to {high}"
        case tuple():
            return ", ".join(
                duration(one) if isinstance(one, timedelta) else str(one) for one in limit.value
            )
        case int():
            return f"{limit.value:,}"
    return str(limit.value)


def limits_page() -> str:
    return page(
        "Limits",
        "Every number that Nightlatch enforces.\n"
        "The names are those of `src/nightlatch/domain/limits.py`.\n"
        "None of them is a setting: a limit that can be switched off protects nobody.",
        table(
            ("limit", "value", "unit", "source"),
            ((code(one.name), value_of(one), one.unit, one.source) for one in limits.TABLE),
        ),
    )


# Settings


def settings_page() -> str:
    rows = []
    for one in fields(Settings):
        option = "" if one.metadata["secret"] else code("--" + one.name.replace("_", "-"))
        default = "none" if one.default in ("", None) else code(one.default)
        if one.default is False:
            default = "off"
        rows.append(
            (
                option,
                code(one.metadata["env"]),
                default,
                one.metadata["unit"],
                one.metadata["says"],
            )
        )
    return page(
        "Settings",
        "Each setting is an option of `nightlatch serve` and an environment variable.\n"
        "The option wins over the variable, and the variable over the default.\n"
        "`--data` is an option of every command that opens a data folder.\n"
        "The other commands take the rest from the environment: "
        "set `NIGHTLATCH_KEYRING` there when the key ring lies elsewhere.\n"
        "Secrets have no option, because other users of a machine can read the arguments "
        "of a process.\n"
        "A switch in the environment is on with `1`, `true`, `yes` or `on`, "
        "and off with `0`, `false`, `no` or `off`.\n"
        "A variable that is empty counts as not set.",
        table(("option of `serve`", "variable", "default", "unit", "what it does"), rows),
    )


# Errors


def sample(refusal: type[Refusal]) -> Refusal:
    """One refusal of this kind, with placeholders where a real one holds facts."""
    if refusal is errors.PinNeeded:
        return refusal()
    if issubclass(refusal, errors.LedgerWait):
        return refusal(timedelta(seconds=60), "register")
    if issubclass(refusal, errors._Wait):
        return refusal(timedelta(seconds=60))
    if issubclass(refusal, errors._Parameter):
        return refusal("<name>", "<what fits>")
    if issubclass(refusal, errors.MethodNotAllowed):
        return refusal(("POST",))
    if issubclass(refusal, errors.CertificateRefused | errors.RequestMalformed):
        return refusal("<why>")
    return graph_reference.sample(refusal)


def _details(refusal: type[Refusal], row: Row) -> str:
    text = row.details(sample(refusal)).replace("`<name>`", "`NAME`")
    return text.replace("<what fits>", "WHAT FITS").replace("<why>", "WHY")


def errors_page() -> str:
    blocks = [
        "A refusal is always this envelope, and `details` always says what to do.",
        "```json\n"
        + json.dumps(
            {
                "meta": {"version": "v2.53.0", "api_status": "stable"},
                "errors": [
                    {
                        "code": 1008,
                        "title": TITLES[1008],
                        "details": ROWS[errors.PinNeeded].details(errors.PinNeeded()),
                        "href": f"{ORIGIN}/docs/errors/1008",
                    }
                ],
            },
            indent=1,
        )
        + "\n```",
        (
            "`href` leads to a page that the server itself shows for the code.\n"
            "Every answer bears an `X-Request-Id`, which the log line of the request bears, too.\n"
            "Where the answer says `Retry-After`, it counts whole seconds.\n"
            "In the sentences below, capitals such as `NAME` stand for what differs from case to case, "
            "and 60 seconds stand for any wait."
        ),
    ]
    for number, title in TITLES.items():
        rows = [
            (
                code(refusal.__name__),
                str(row.status),
                "yes" if sample(refusal).retry_after is not None else "",
                sentences((refusal.__doc__ or "").split("\n")[0]).replace("\n", " "),
                _details(refusal, row),
            )
            for refusal, row in ROWS.items()
            if row.code == number
        ]
        if BUG.code == number:
            rows.append(
                ("a bug", str(BUG.status), "", "What should never happen.", BUG.details(None))
            )
        blocks += [
            f'<a id="{number}"></a>\n\n## {number} {title}',
            table(("refusal", "HTTP", "`Retry-After`", "when", "`details`"), rows),
        ]
    blocks += [
        "## Without an envelope",
        (
            "What is not HTTP at all never reaches the API.\n"
            "A head that is longer than "
            f"{limits.HEADER_BYTES:,} bytes is answered with a bare 431, and a line that is not HTTP with a bare 400.\n"
            f"A connection that does not send its head within {limits.HEADER_SECONDS} seconds is closed."
        ),
        "## Refusals elsewhere",
        (
            "No call of the On-Premises API can meet these; the commands say them on standard error and exit with "
            f"{REFUSED}.\n"
            "What the Cloud API answers is on [its own page](cloud-api.md#errors)."
        ),
        table(
            ("refusal", "sentence"),
            (
                (code(one.__name__), words.of(sample(one)))
                for one in sorted(ELSEWHERE, key=lambda one: one.__name__)
            ),
        ),
    ]
    return page("Errors", *blocks)


# Commands


def commands(
    command: click.Command = cli, path: str = "nightlatch"
) -> Iterable[tuple[str, click.Command]]:
    """Every command with its full name, groups first."""
    yield path, command
    if isinstance(command, click.Group):
        for name, one in sorted(command.commands.items()):
            yield from commands(one, f"{path} {name}")


def _parameters(command: click.Command) -> list[tuple[str, str]]:
    rows = []
    for one in command.params:
        if not isinstance(one, click.Option):
            continue
        name = " / ".join([*one.opts, *one.secondary_opts])
        if not one.is_flag:
            name += f" {one.make_metavar(click.Context(command, **cli.context_settings))}"
        says = (one.help or "").replace("[NIGHTLATCH_", "[`NIGHTLATCH_").replace("]", "`]")
        says += " Required." if one.required else ""
        if one.show_default:
            says += f" Default: `{one.default}`."
        rows.append((code(name), says))
    return rows


def commands_page() -> str:
    blocks = [
        (
            "Human tables on a terminal, `--json` for programs, sentences about trouble on standard error.\n"
            "After `make install` the command is `.venv/bin/nightlatch`.\n"
            "`-h` and `--help` explain each command.\n"
            "What a command ends with is on [the page of exit codes](exit-codes.md)."
        ),
    ]
    for path, command in commands():
        usage = " ".join(
            command.collect_usage_pieces(click.Context(command, **cli.context_settings))
        )
        blocks.append(f"## {path}")
        blocks.append(f"```text\n{path} {usage}\n```")
        blocks.append(sentences(command.help))
        if isinstance(command, click.Group):
            blocks.append(
                "Commands: "
                + ", ".join(
                    f"[{name}](#{f'{path} {name}'.replace(' ', '-')})"
                    for name in sorted(command.commands)
                )
                + "."
            )
        rows = _parameters(command)
        if rows:
            blocks.append(table(("option", "what it does"), rows))
    return page("Commands", *blocks)


def exit_codes_page() -> str:
    return page(
        "Exit codes",
        "Every command ends with one of these.",
        table(
            ("code", "meaning"),
            (
                (
                    "0",
                    "Done. `serve` ends so after SIGTERM or SIGINT, once requests in flight have finished.",
                ),
                (
                    str(REFUSED),
                    "Refused: what was asked for cannot be done; the sentence on standard error says why.",
                ),
                (
                    str(click.UsageError.exit_code),
                    "The command itself was wrong: an unknown option, a missing argument.",
                ),
                (
                    str(BROKEN),
                    (
                        "Something is broken: `check` or `audit verify` found a fault, `keys rotate` or `keys drop-old` met a value "
                        "it could not open, `move` found a row that is not the same on both sides, or a "
                        "step of `demo` did not end as it should."
                    ),
                ),
            ),
        ),
    )


# The API


_NEEDS: Final[Mapping[Access, str]] = {
    Access.LOGIN: "`Authorization: Basic` with username and password.",
    Access.TOKEN: "`Authorization: Bearer` with a token of any user.",
    Access.ADMIN: "`Authorization: Bearer` with a token of `admin`.",
    Access.MONITOR: "`Authorization: Bearer` with a token of any user, or `Authorization: Apikey` with the API key.",
}


def _shape(field: Field) -> str:
    schema = dict(field.schema)
    parts = [str(schema["type"])]
    if "enum" in schema:
        parts.append("one of " + ", ".join(code(one) for one in schema["enum"]))
    if "pattern" in schema:
        parts.append(f"matches `{schema['pattern']}`")
    if "maxLength" in schema:
        parts.append(f"{schema['minLength']} to {schema['maxLength']:,} characters")
    says = schema.get("description")
    return "; ".join(parts) + (f". {says}" if says else "")


_META: Final = {"version": VERSION, "api_status": "stable"}
ANSWERS: Final[Mapping[tuple[str, int], Any]] = {
    ("POST_v1_users_login", 200): {
        "users": [
            {
                "token": "eyJ0eXAiOiJvcGFxdWUifQ.AbCd.EfGh",
                "expires_after": "2026-01-22 12:00:00+00:00",
            }
        ],
        "meta": _META,
    },
    ("POST_v1_users_logout", 200): {"meta": _META},
    ("POST_v1_users", 201): {"users": [{"username": "berta"}], "meta": _META},
    ("GET_v1_users_username", 200): {
        "users": [{"ROLES": "ROLE_USER", "username": "berta"}],
        "meta": _META,
    },
    ("PUT_v1_users_username", 200): {"users": [{"username": "berta"}], "meta": _META},
    ("DELETE_v1_users_username", 200): {"users": [{"username": "berta"}], "meta": _META},
    ("POST_v1_account", 201): {"meta": _META},
    ("POST_v1_account", 202): {"account": [{"vname": "Lucky Shrub"}], "meta": _META},
    ("POST_v1_account_verify", 201): {"meta": _META},
    ("GET_v1_account_shards", 200): {"account": {"shards": 2}, "meta": _META},
    ("POST_v1_account_shards", 201): {"meta": _META},
    ("POST_v1_settings_account_two-step", 200): {},
    ("DELETE_v1_settings_account_two-step", 200): {},
    ("GET_v1_health", 200): {"health": {"gateway_status": "connected"}, "meta": _META},
    ("GET_v1_metrics", 200): {
        "metrics": {
            "web_uptime": {
                "type": "gauge",
                "help": "Seconds since the server started",
                "data": [{"labels": {}, "value": 12.5}],
            }
        },
        "meta": _META,
    },
}
"""What each success looks like; ``test_answers.py`` holds it against a running server."""

BESIDE: Final[Mapping[str, str]] = {
    "/livez": "200 while the process answers at all; it looks at nothing else.",
    "/readyz": "200 when the node should be sent requests, 503 with `Retry-After` when not; JSON names each check.",
    "/openapi.json": "The OpenAPI document.",
    "/docs/errors/1005": "The page that `href` leads to, one for each code.",
    "/metrics": "As `/v1/metrics`, with the same tokens.",
}


def refusals_of(route: Route) -> list[type[Refusal]]:
    """Every refusal this route can answer with, in the order of the table of errors."""
    found = {*EVERY_ROUTE, *route.refusals, errors.ParameterUnexpected}
    if route.access is not Access.LOGIN:
        found.add(errors.TokenRefused)
    if route.access is Access.ADMIN:
        found.add(errors.AdminOnly)
    if route.fields or route.query:
        found |= {errors.ParameterMissing, errors.ParameterInvalid}
    return [one for one in ROWS if one in found]


def api_page() -> str:
    blocks = [
        (
            "The client `main` is served at `/v1`, every other client at `/clients/NAME/v1` with the same paths below.\n"
            "A trailing slash is accepted.\n"
            "A body is one JSON object sent as `Content-Type: application/json`; an empty body or `null` counts as `{}`.\n"
            "No parameter may be added that is not listed, no key may stand twice, and nothing is coerced.\n"
            "A parameter marked *may be empty* counts as not given when it is an empty string.\n"
            "Success bodies bear `meta` with `version` and `api_status`, except those of two-step verification, which are `{}`.\n"
            "The order in which a registration is checked is in [the rules](rules.md), "
            "and every code in [the errors](errors.md).\n"
            "The same table as an OpenAPI 3.1 document: [openapi.json](openapi.json), "
            "served at `/openapi.json` by every running Nightlatch."
        ),
        "## Served",
    ]
    for route in served(Metrics()):
        blocks.append(f"### {route.method} /v1{route.path}")
        blocks.append(f"{route.summary}.\n\nNeeds {_NEEDS[route.access]}")
        if route.fields:
            blocks.append(
                table(
                    ("parameter", "given", "value"),
                    (
                        (
                            code(one.name),
                            ("always" if one.required else "optional")
                            + (", may be empty" if one.empty_is_absent else ""),
                            _shape(one),
                        )
                        for one in route.fields
                    ),
                )
            )
        if route.query:
            blocks.append("In the query: " + ", ".join(f"`{name}`" for name in route.query) + ".")
        rows = [(str(status), says, "") for status, says in sorted(route.success.items())]
        by_answer: dict[tuple[int, int], list[str]] = {}
        for one in refusals_of(route):
            by_answer.setdefault((ROWS[one].status, ROWS[one].code), []).append(one.__name__)
        rows += [
            (
                str(status),
                f"[{number}](errors.md#{number})",
                ", ".join(code(name) for name in names),
            )
            for (status, number), names in sorted(by_answer.items())
        ]
        blocks.append(table(("HTTP", "answer", "refusals"), rows))
        bodies = [
            json.dumps(body, ensure_ascii=False)
            for (name, _), body in ANSWERS.items()
            if name == route.name
        ]
        blocks.append("```json\n" + "\n".join(bodies) + "\n```")
    blocks += [
        "## Beside the API",
        "These belong to no client and, but for the metrics, ask for no token.",
        table(("GET", "answers"), ((code(path), says) for path, says in BESIDE.items())),
        "## Documented by Meta, not served",
        (
            "These answer 404 with [1006](errors.md#1006) for the methods listed, and 405 with [1025](errors.md#1025) for others.\n"
            "They ask for no token.\n"
            "Nothing there touches registration or the PIN; "
            "[why they are refused in this way](../decisions/unserved-paths-answer-404.md)."
        ),
        table(
            ("path", "methods"),
            ((code(f"/v1{path}"), ", ".join(methods)) for path, methods in NOT_SERVED.items()),
        ),
    ]
    return page("The On-Premises API", *blocks)


def openapi() -> str:
    return json.dumps(document(served(Metrics()), ORIGIN), ensure_ascii=False, indent=2) + "\n"


# Events

EVENTS: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.NUMBER_ADDED: ("The registry took the number in.", ""),
    Kind.NUMBER_REGISTERED: (
        "The right code was entered; the client holds the number now.",
        "`client`",
    ),
    Kind.NUMBER_TAKEN_OVER: (
        "Another client held the number until then; it is disconnected.",
        "`from`",
    ),
    Kind.NUMBER_RELEASED: (
        "The client that held the number let go of it: it registered another one, or was made to.",
        "`from`, when it was made to",
    ),
    Kind.NUMBER_UNLOCKED: (
        "An operator ended the lock or the wait; the guess counter starts anew.",
        "",
    ),
    Kind.NAME_ASKED: ("Another display name was asked for.", "`name`"),
    Kind.NAME_APPROVED: ("The display name is good; a new certificate comes with it.", "`name`"),
    Kind.NAME_DECLINED: ("The display name is not good; the one before stays.", "`name`"),
    Kind.CERTIFICATE_RENEWED: ("A new certificate took the place of the one before.", ""),
    Kind.REGISTRATION_ACCEPTED: (
        "Certificate and PIN were right; one call of the registration budget is spent.",
        "`already_held`",
    ),
    Kind.CODE_SENT: ("A registration code was put on its way.", "`method`"),
    Kind.CODE_WRONG: ("A wrong registration code was entered.", "`checks`"),
    Kind.GUESS_PAID: ("A PIN is about to be compared and was counted.", "`path`, `in_a_row`"),
    Kind.GUESS_RIGHT: ("The PIN was right; the run of wrong ones ends.", "`path`"),
    Kind.GUESS_WRONG: ("The PIN was wrong.", "`path`, `in_a_row`"),
    Kind.NUMBER_LOCKED: ("The number locked after too many wrong PINs.", ""),
    Kind.VERIFIER_UNREADABLE: (
        "The stored PIN could not be opened with the key ring; the guess stays counted.",
        "`guess`",
    ),
    Kind.TWO_STEP_ON: (
        "Two-step verification was turned on.",
        "`weak`: whether the PIN is a date or a pattern",
    ),
    Kind.TWO_STEP_CHANGED: ("Another PIN was set.", "`weak`"),
    Kind.TWO_STEP_OFF: (
        "Two-step verification was turned off.",
        "`path`: `link`, when it was by the mailed link",
    ),
    Kind.TURN_OFF_ASKED: ("The link that turns two-step verification off was mailed.", ""),
    Kind.TURN_OFF_REFUSED: (
        "Somebody followed the number's link who may not; `by` is `member:` and their id.",
        "",
    ),
    Kind.SHARDS_SET: ("The client's shard count was set.", "`shards`"),
    Kind.CLIENT_ADDED: ("A client was added.", ""),
    Kind.USER_ADDED: ("A user was created.", "`username`"),
    Kind.USER_REMOVED: ("A user was deleted with all its tokens.", "`username`"),
    Kind.PASSWORD_CHANGED: (
        "A user's password was changed.",
        "`username`, when it was set with PUT",
    ),
    Kind.PASSWORD_RESET: ("An operator set a password back to the factory one.", "`username`"),
    Kind.LOGIN_WRONG: ("A login with a wrong password.", ""),
    Kind.PORTFOLIO_CHANGED: (
        "The portfolio got another name or e-mail address.",
        "`name`, `address_changed`",
    ),
    Kind.WABA_ADDED: ("A WhatsApp account was added.", "`name`, `waba`"),
    Kind.MEMBER_INVITED: ("Somebody was invited to become a member.", "`member`, `role`"),
    Kind.MEMBER_JOINED: ("Somebody became a member.", "`role`"),
    Kind.MEMBER_REMOVED: (
        "A member was removed with all sessions, or an invitation withdrawn.",
        "`member`; `invited`, when it was an invitation",
    ),
    Kind.MEMBER_ROLE: ("A member got another role.", "`member`, `role`"),
    Kind.MEMBER_PASSWORD: ("A member's password was changed; other sessions end.", "`member`"),
    Kind.MEMBER_RESET_ASKED: (
        "A link that sets another password was mailed, or printed for an operator.",
        "`member`, when it was printed",
    ),
    Kind.MEMBER_APP_ON: ("Signing in takes an authenticator app's code from now on.", ""),
    Kind.MEMBER_APP_OFF: ("The password alone signs in from now on.", "`member`"),
    Kind.MEMBER_RECOVERY: (
        "A recovery code took the place of the authenticator's.",
        "`left`: how many there are still",
    ),
    Kind.SIGNED_IN: ("A member signed in.", "`second_step`, when there was one"),
    Kind.SIGN_IN_WRONG: ("A sign-in with a wrong password or a wrong code.", ""),
    Kind.SESSIONS_ENDED: ("A member ended all other sessions.", ""),
    Kind.CODE_VERIFIED: (
        "The right code was entered over the Cloud API; the number counts as verified.",
        "",
    ),
    Kind.PROFILE_CHANGED: ("The number's business profile was changed.", "`fields`"),
    Kind.APP_ADDED: ("An app was added.", "`app`, `name`"),
    Kind.APP_CHANGED: (
        "An app's webhooks go elsewhere or tell other fields, or its calls need a proof or do not.",
        "`app`; `fields`, or `needs_proof`",
    ),
    Kind.APP_SECRET: ("An app got another secret; the one before is worthless.", "`app`"),
    Kind.APP_REMOVED: (
        "An app was removed with its access tokens, subscriptions and deliveries.",
        "`app`, `name`",
    ),
    Kind.WABA_SUBSCRIBED: ("An app hears about a WhatsApp account.", "`waba`, `app`"),
    Kind.WABA_UNSUBSCRIBED: ("It hears no more about it.", "`waba`, `app`"),
    Kind.SYSTEM_USER_ADDED: ("A system user was added.", "`system_user`, `name`, `role`"),
    Kind.SYSTEM_USER_CHANGED: (
        "A system user got another role, or sees other accounts.",
        "`system_user`, `role`, `wabas`",
    ),
    Kind.SYSTEM_USER_REMOVED: (
        "A system user was removed with its access tokens.",
        "`system_user`, `name`",
    ),
    Kind.TOKEN_ISSUED: (
        "An access token was issued; `token` is its reference, good for nothing else.",
        "`system_user`, `app`, `token`, `scopes`",
    ),
    Kind.TOKEN_REVOKED: (
        "An access token was revoked; it opens nothing any more.",
        "`system_user`, `token`",
    ),
    Kind.LINK_ADDED: ("A WhatsApp account was linked to the Cloud API.", "`waba`, `name`"),
    Kind.LINK_CHANGED: (
        "A linked account got another access token, app secret or setting.",
        "`waba`, `what`",
    ),
    Kind.LINK_REMOVED: (
        "A linked account was forgotten with its numbers and their PINs.",
        "`waba`, `name`",
    ),
    Kind.ACCESS_LOST: ("Meta refuses the access token of a linked account.", "`waba`"),
    Kind.ACCESS_BACK: ("Meta takes it again.", "`waba`"),
    Kind.LINKED_FOUND: ("A number was found in a linked account.", "`number`"),
    Kind.LINKED_CREATED: ("A number was added to a linked account, at Meta.", "`number`"),
    Kind.ACT_BEGUN: (
        "Something is about to be sent to the Cloud API, and was counted.",
        "`act`: `register`, `deregister`, `code`, `check` or `pin`; `attempts` within 72 hours",
    ),
    Kind.ACT_DONE: ("Meta took it.", "`act`"),
    Kind.ACT_REFUSED: ("Meta refused it.", "`act`, `reason`, `code`: Meta's"),
    Kind.ACT_NOT_SENT: ("Meta was not reached; the attempt does not count.", "`act`"),
    Kind.ACT_UNKNOWN: ("It was sent, and no answer came.", "`act`"),
    Kind.ACT_RECONCILED: (
        "Meta was read, and what it shows tells what became of an attempt.",
        "`act`, `outcome`: `succeeded`, `failed` or `either`",
    ),
    Kind.PIN_CONFIRMED: ("Meta shows that a PIN is on after the vault's was set.", ""),
    Kind.PIN_DOUBTED: ("Meta shows that no PIN is on, though the vault has one.", ""),
    Kind.PIN_REVEALED: ("Somebody is about to see the PIN in the vault.", ""),
    Kind.PIN_KEPT: ("Somebody said what the number's PIN is.", ""),
    Kind.OFF_REMEMBERED: (
        "A client turned two-step verification off, which Meta does not do for a program.",
        "",
    ),
    Kind.HEARD: ("A webhook of Meta told of something.", "`what`, `at`"),
    Kind.ALERTS_SEEN: ("Somebody saw the number's alerts.", "`alerts`"),
    Kind.LINKED_RELEASED: ("A client serves the number no more.", "`from`"),
}


def graph_openapi() -> str:
    return json.dumps(graph_document(DOCS), ensure_ascii=False, indent=2) + "\n"


def events_page() -> str:
    return page(
        "Events",
        "The audit trail has one chain for each number, each client and each portfolio; the chain of a number at the "
        "Cloud API is `linked:` and Meta's id of it.\n"
        "An event says what happened, when, by whom, from which address, and sometimes a detail.\n"
        "Whom: `client/username`, a member's e-mail address, `system-user:` or `app:` with an id over the Cloud API, "
        "`operator` for the command line, or `meta` for what Meta told or what followed from it.\n"
        "No event holds a PIN, a code, a password or a token.\n"
        "Each bears a hash that is keyed with a secret of the key ring, over itself and the event before; "
        "the hash of the last one is kept on the number's, the client's or the portfolio's own row.\n"
        "`nightlatch audit verify` checks every chain.",
        table(
            ("event", "what happened", "details"),
            ((code(kind.value), *EVENTS[kind]) for kind in Kind),
        ),
    )


# Metrics and logs

_SUMMED: Final = {
    Across.SUM: "summed over its processes",
    Across.LATEST: "as the process that was asked last found it",
    Across.LEAST: "the least of its processes",
    Across.MOST: "one for all its processes",
    Across.NONE: "",
}


def _of_several(family: Family) -> str:
    return _SUMMED[family.across] if family.kind is Of.GAUGE else "summed over its processes"


def _buckets(family: Family) -> str:
    return ", ".join(f"{bound:g}" for bound in family.buckets)


def metrics_page() -> str:
    blocks = [
        (
            "What `/metrics?format=prometheus` and `/v1/metrics` show.\n"
            "How to read them, and what to be woken by, is in [the guide](../guides/watching.md).\n"
            "Every label takes its values from the code: none holds a number, a name that somebody chose, or a secret.\n"
            "Counters only grow, and begin anew with the process.\n"
            "A histogram has `_bucket`, `_sum` and `_count`; `api_requests_duration_ms` has `_sum` and `_count`.\n"
            "The names that begin with `web` and `api` are those of the On-Premises web application, in its units.\n"
            "With several processes (`PROMETHEUS_MULTIPROC_DIR`) one of them answers for all, as the last column says."
        ),
        table(
            ("metric", "kind", "unit", "says", "labels", "of a node with several processes"),
            (
                (
                    code(one.exposed),
                    one.kind.value,
                    one.unit,
                    one.says,
                    "; ".join(f"`{name}`: {says}" for name, says in one.labels.items()),
                    _of_several(one),
                )
                for one in FAMILIES
            ),
        ),
        "## Buckets",
        table(
            ("histogram", "upper bounds"),
            ((code(one.exposed), _buckets(one)) for one in FAMILIES if one.buckets),
        ),
    ]
    return page("Metrics", *blocks)


def logs_page() -> str:
    return page(
        "Logs",
        "One line an event on standard error; with `--log-format json` each is one JSON object.\n"
        "Every line has `timestamp`, `level` and `event`, and further fields of this list alone.\n"
        "None of them holds what a client sent: no PIN, code, password, token, phone number or path.",
        "## Fields",
        table(("field", "holds"), ((code(name), says) for name, says in logs.FIELDS.items())),
        "## Events",
        table(
            ("event", "level", "means"),
            ((code(event), code(level), says) for event, (level, says) in logs.EVENTS.items()),
        ),
        "A line `library` has the level with which the library logged: `warning` or above.",
    )


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "limits.md": limits_page,
    "settings.md": settings_page,
    "errors.md": errors_page,
    "commands.md": commands_page,
    "exit-codes.md": exit_codes_page,
    "on-premises-api.md": api_page,
    "openapi.json": openapi,
    "cloud-api.md": graph_reference.cloud_api_page,
    "graph-openapi.json": graph_openapi,
    "events.md": events_page,
    "metrics.md": metrics_page,
    "logs.md": logs_page,
}


def written(name: str) -> Any:
    """What is in the folder now; None when there is nothing."""
    path = FOLDER / name
    return path.read_text(encoding="utf-8") if path.exists() else None


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, make in PAGES.items():
        text = make()
        if written(name) != text:
            (FOLDER / name).write_text(text, encoding="utf-8")
            print(f"wrote docs/reference/{name}")


if __name__ == "__main__":
    main()
