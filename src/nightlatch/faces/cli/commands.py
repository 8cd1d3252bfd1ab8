"""Every command. Each opens the data folder, calls a use case and prints what it got."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, fields
from datetime import datetime
from functools import update_wrapper
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from nightlatch import __version__
from nightlatch.domain.audit import Link
from nightlatch.domain.clients import ADMIN, FACTORY_PASSWORD, FIRST_CLIENT
from nightlatch.domain.errors import Refusal
from nightlatch.domain.numbers import Number
from nightlatch.faces.cli import output, words
from nightlatch.faces.cli.demo import Stage, play
from nightlatch.faces.cli.house import House
from nightlatch.faces.spelling import spell_whole
from nightlatch.settings import SettingRefused, Settings, load
from nightlatch.usecases import clients, codes, numbers
from nightlatch.usecases.audit import verify

T = TypeVar("T")
REFUSED, BROKEN = 1, 3
_LAST = 20
"""Events that ``numbers show`` shows."""


@dataclass(frozen=True)
class Parts:
    """What the command line is given by the bootstrap, which alone knows all the parts."""

    open_house: Callable[..., AbstractAsyncContextManager[House]]
    set_up: Callable[[Any], Awaitable[bool]]
    serve: Callable[..., Awaitable[None]]
    configure_logs: Callable[[str, str], None]
    start_refused: type[Exception]
    throw_away: Callable[[], AbstractAsyncContextManager[Stage]]


def _stop(message: str, code: int = REFUSED) -> None:
    click.echo(f"nightlatch: {message}", err=True)
    sys.exit(code)


def _run(parts: Parts, work: Coroutine[Any, Any, T]) -> T:
    """Run *work* and turn what it raises into a sentence and an exit code."""
    try:
        try:
            import uvloop
        except ImportError:  # pragma: no cover - not on Windows
            return asyncio.run(work)
        return uvloop.run(work)
    except Refusal as refusal:
        _stop(words.of(refusal))
    except (SettingRefused, parts.start_refused) as refused:
        _stop(str(refused))
    except OSError as error:
        _stop(f"{error.filename or 'the system'}: {error.strerror}")
    raise SystemExit(REFUSED)


def _with_house(work: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Open the data folder, hand the house to *work*, close it again."""

    @click.pass_context
    def command(context: click.Context, /, **arguments: Any) -> None:
        parts: Parts = context.obj
        data = arguments.pop("data", None) or context.meta.get("data")

        async def run() -> None:
            parts.configure_logs("auto", "warning")
            async with parts.open_house(load(data=data)) as house:
                await work(house, **arguments)

        _run(parts, run())

    wrapped = click.option("--data", type=Path, help=_DATA_HELP)(command)
    return update_wrapper(wrapped, work)


_DATA_HELP = "The data folder; also NIGHTLATCH_DATA. Default: nightlatch-data."
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="nightlatch")
@click.option("--data", type=Path, help=_DATA_HELP)
@click.pass_context
def cli(context: click.Context, /, data: Path | None) -> None:
    """The WhatsApp Business API Client, alive again, with two-step verification at its heart.

    Start with `nightlatch serve`, or watch the whole story with `nightlatch demo`.

    Exit codes: 0 done, 1 refused, 2 wrong command, 3 something is broken.
    """
    context.meta["data"] = data


def _settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """One option for each setting, in the words of ``Settings``."""
    for one in reversed(fields(Settings)):
        if one.name in ("data", "api_key"):  # --data is everywhere; a key is no argument
            continue
        name = f"--{one.name.replace('_', '-')}"
        says = f"{one.metadata['says']} [{one.metadata['env']}]"
        if isinstance(one.default, bool):
            command = click.option(name, one.name, flag_value=True, default=None, help=says)(
                command
            )
        else:
            kind = int if one.type is int else Path if Path in get_args(one.type) else str
            command = click.option(name, one.name, type=kind, help=says)(command)
    return command


@cli.command()
@click.option("--data", type=Path, help=_DATA_HELP)
@_settings_options
@click.pass_context
def serve(context: click.Context, /, data: Path | None, **chosen: Any) -> None:
    """Serve the API.

    The first start sets everything up and says how to begin.
    """
    parts: Parts = context.obj

    async def run() -> None:
        settings = load(data=data or context.meta.get("data"), **chosen)
        settings.refuse_if_unsafe()
        parts.configure_logs(settings.log_format, settings.log_level)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        async with parts.open_house(settings, create=True) as house:
            first = await parts.set_up(house)

            async def ready() -> None:
                number = (await house.world.store.numbers(limit=1))[0]
                click.echo(_welcome(settings, number, first=first))

            await parts.serve(house, stop, ready)

    _run(parts, run())


def _welcome(settings: Settings, number: Number, *, first: bool) -> str:
    lines = [f"Nightlatch {__version__} serves the On-Premises API at {settings.origin}/v1"]
    if first:
        us = "nightlatch" if Path(sys.argv[0]).is_absolute() else sys.argv[0]  # as it was called
        flag = "" if settings.data == Settings().data else f" --data {settings.data}"
        lines += [
            "",
            f"  first login   {ADMIN} / {FACTORY_PASSWORD}; it must bring a `new_password`",
            f"  number        {number.e164} ({number.name})",
            f"  certificate   {us} numbers certificate {number.e164}{flag}",
            f"  codes         {us} codes {number.e164}{flag}",
            f"  key ring      {settings.keyring_file}",
            "                keep a copy elsewhere: without it nothing stored can be opened",
        ]
    if settings.tls and settings.tls_cert is None:
        lines.append(f"  TLS           self-signed, {settings.data / 'tls' / 'cert.pem'}")
    return "\n".join([*lines, ""])


@cli.command()
@click.option("--color/--no-color", default=None, help="Colours; by default on a terminal.")
@click.pass_context
def demo(context: click.Context, /, color: bool | None) -> None:
    """Play the whole story against a throw-away server.

    Prints every exchange. Exits with 0 when each step ended as it should, else with 3.
    """
    parts: Parts = context.obj

    async def run() -> bool:
        parts.configure_logs("json", "error")
        async with parts.throw_away() as stage:
            colour = sys.stdout.isatty() if color is None else color
            return await play(stage, lambda line: click.echo(line, color=colour))

    if not _run(parts, run()):
        sys.exit(BROKEN)


# Numbers


@cli.group("numbers")
def numbers_() -> None:
    """The phone numbers of the registry."""


@numbers_.command("add")
@click.argument("number")
@click.option("--name", required=True, help="The display name.")
@_with_house
async def numbers_add(house: House, number: str, name: str) -> None:
    """Add NUMBER, in any spelling with its country code."""
    e164, cc = spell_whole(number)
    added = await numbers.add_number(house.world, await house.first_waba(), e164, cc, name)
    click.echo(f"added {added.e164} ({added.name})")


@numbers_.command("list")
@_json
@_with_house
async def numbers_list(house: House, as_json: bool) -> None:
    """List every number."""
    found, after = [], ""
    while page := await house.world.store.numbers(after):
        found += [_shown(number, house.world.clock.now()) for number in page]
        after = page[-1].e164
    output.rows(found, as_json=as_json, empty="no numbers; see: nightlatch numbers add --help")


@numbers_.command("show")
@click.argument("number")
@_json
@_with_house
async def numbers_show(house: House, number: str, as_json: bool) -> None:
    """Show one number and what last happened to it."""
    found = await numbers.find_number(house.world, spell_whole(number)[0])
    last = await house.world.store.newest_events(_LAST, f"number:{found.id}")
    links = [_line(link) for link in last]
    shown = _shown(found, house.world.clock.now())
    if as_json:
        click.echo(json.dumps({**shown, "events": links}, ensure_ascii=False, indent=2))
        return
    for name, value in shown.items():
        click.echo(f"{name.replace('_', ' '):<16} {'' if value is None else value}")
    click.echo()
    output.rows(links, as_json=False, empty="nothing happened yet")


@numbers_.command("certificate")
@click.argument("number")
@_with_house
async def numbers_certificate(house: House, number: str) -> None:
    """Print the number's certificate.

    It is the verified-name certificate, one line of base64, that registering needs as `cert`.
    """
    click.echo(await numbers.certificate(house.world, spell_whole(number)[0]))


@numbers_.command("unlock")
@click.argument("number")
@_with_house
async def numbers_unlock(house: House, number: str) -> None:
    """End the lock, or the wait, after wrong PINs."""
    found = await numbers.unlock(house.world, spell_whole(number)[0])
    click.echo(f"unlocked {found.e164}")


def _shown(number: Number, now: datetime) -> dict[str, Any]:
    wait = number.guesses.remaining(now).total_seconds()
    return {
        "e164": number.e164,
        "cc": number.cc,
        "phone_number": number.national,
        "name": number.name,
        "status": number.status.value,
        "two_step": "on" if number.two_step.is_on else "off",
        "held_by": number.holder,
        "guesses": "locked" if number.guesses.locked else f"wait {wait:.0f} s" if wait else "open",
        "wrong_in_a_row": number.guesses.run,
    }


# Clients


@cli.group("clients")
def clients_() -> None:
    """The clients: each has its own users and holds at most one number."""


@clients_.command("add")
@click.argument("name")
@_with_house
async def clients_add(house: House, name: str) -> None:
    """Add a client, served at /clients/NAME/v1."""
    await clients.add_client(house.world, name)
    click.echo(f"added {name}, served at {_base(name)}; first login {ADMIN} / {FACTORY_PASSWORD}")


@clients_.command("list")
@_json
@_with_house
async def clients_list(house: House, as_json: bool) -> None:
    """List every client."""
    found = []
    for client in await house.world.store.clients():
        number = None if client.number is None else await house.world.store.number(client.number)
        held = number is not None and number.holder == client.name
        found.append(
            {
                "name": client.name,
                "path": _base(client.name),
                "number": number.e164 if number is not None and held else None,
                "shards": client.shards,
            }
        )
    output.rows(found, as_json=as_json, empty="no clients")


def _base(name: str) -> str:
    return "/v1" if name == FIRST_CLIENT else f"/clients/{name}/v1"


@cli.group("users")
def users_() -> None:
    """The users of a client."""


@users_.command("reset-password")
@click.option("--client", default=FIRST_CLIENT, show_default=True, help="The client's name.")
@click.argument("username", default=ADMIN)
@_with_house
async def users_reset_password(house: House, client: str, username: str) -> None:
    """Set a user's password back to the factory one.

    USERNAME is `admin` unless given. Ends all tokens of the user.
    """
    await clients.reset_password(house.world, client, username)
    click.echo(f"{client}/{username} logs in with {FACTORY_PASSWORD} once more, and must change it")


# Codes


@cli.command("codes")
@click.argument("number")
@click.option("--plain", is_flag=True, help="Print just the newest code's six digits.")
@_json
@_with_house
async def codes_(house: House, number: str, plain: bool, as_json: bool) -> None:
    """Show the registration codes that the phone with NUMBER received."""
    e164, _ = spell_whole(number)
    await numbers.find_number(house.world, e164)
    deadline = time.monotonic() + 2
    while await house.world.store.waiting_for(e164) and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    found = await codes.handset(house.world, e164)
    if plain:
        if not found:
            _stop("no code has arrived that is still good")
        click.echo(found[0].code)
        return
    output.rows(
        [
            {
                "code": one.shown,
                "by": one.method,
                "received": _time(one.received_at),
                "good_until": _time(one.expires_at),
            }
            for one in found
        ],
        as_json=as_json,
        empty="no code has arrived that is still good",
    )


# Keys


@cli.group("keys")
def keys_() -> None:
    """The key ring, which lives outside the database."""


@keys_.command("list")
@_json
@_with_house
async def keys_list(house: House, as_json: bool) -> None:
    """List the sealing keys and how much each of them seals.

    Prints no key.
    """
    found = [
        {
            "kid": key.kid,
            "created": key.created_at,
            "new_values": "yes" if key.writes else "no",
            "sealed_values": count,
        }
        for key, count in await house.key_list()
    ]
    output.rows(found, as_json=as_json, empty="no keys")


@keys_.command("rotate")
@click.option("--drop-old", is_flag=True, help="Forget old keys; older backups cannot be opened.")
@_with_house
async def keys_rotate(house: House, drop_old: bool) -> None:
    """Make a new key and seal everything with it.

    No PIN is needed, and servers go on running.
    """
    with output.progress("sealing anew") as tell:
        kid, done, unreadable = await house.rotate(tell, drop_old=drop_old)
    click.echo(f"new key {kid}; {done} values sealed anew")
    if unreadable:
        _stop(f"{len(unreadable)} values could not be opened; see: nightlatch check", BROKEN)


# The audit trail


@cli.group("audit")
def audit_() -> None:
    """What happened, in an order nobody can change unseen."""


@audit_.command("show")
@click.option("--number", help="Only this number.")
@click.option("--last", default=50, show_default=True, help="How many events.")
@_json
@_with_house
async def audit_show(house: House, number: str | None, last: int, as_json: bool) -> None:
    """Show the newest events."""
    subject = None
    if number is not None:
        found = await numbers.find_number(house.world, spell_whole(number)[0])
        subject = f"number:{found.id}"
    links = await house.world.store.newest_events(last, subject)
    output.rows([_line(link) for link in links], as_json=as_json, empty="nothing yet")


@audit_.command("verify")
@_with_house
async def audit_verify(house: House) -> None:
    """Check every chain of events.

    Exits with 3 when one was changed.
    """
    with output.progress("checking chains") as tell:
        count, broken = await verify(house.world, tell)
    for one in broken:
        click.echo(f"{one.subject}: does not hold from event {one.seq} on", err=True)
    if broken:
        _stop(f"{len(broken)} of {count} chains were changed", BROKEN)
    click.echo(f"{count} chains hold")


@audit_.command("export")
@_with_house
async def audit_export(house: House) -> None:
    """Print every event as JSON Lines, chain by chain."""
    links: AsyncIterator[Link] = house.world.store.audit()
    async for link in links:
        click.echo(json.dumps({**_line(link), "hash": link.hash.hex()}, ensure_ascii=False))


def _line(link: Link) -> dict[str, Any]:
    event = link.event
    return {
        "subject": link.subject,
        "seq": link.seq,
        "at": event.at.isoformat(),
        "event": event.kind.value,
        "by": event.by,
        "details": " ".join(f"{name}={value}" for name, value in event.details),
    }


# Upkeep


@cli.command("backup")
@click.argument("file", type=Path)
@_with_house
async def backup(house: House, file: Path) -> None:
    """Copy the database to FILE.

    The server may go on running. The key ring is not copied; keep a copy of it elsewhere.
    """
    with output.progress("copying") as tell:
        house.backup(file, lambda left, total: tell(total - left, total))
    click.echo(f"copied to {file}; the key ring {house.settings.keyring_file} is not in it")


@cli.command("check")
@_with_house
async def check(house: House) -> None:
    """Check database, audit trail and key ring.

    Exits with 3 when something is wrong.
    """
    with output.progress("checking") as tell:
        faults = await house.faults(tell)
    for fault in faults:
        click.echo(fault, err=True)
    if faults:
        _stop(f"{len(faults)} things are wrong", BROKEN)
    click.echo("database, audit trail and key ring are in order")


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
