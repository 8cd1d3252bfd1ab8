"""Every command. Each opens the data folder, calls a use case and prints what it got."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import click

from nightlatch import __version__
from nightlatch.domain.clients import ADMIN, FACTORY_PASSWORD, FIRST_CLIENT
from nightlatch.domain.numbers import Number
from nightlatch.faces.cli import (
    apps,
    cloud_numbers,
    doctor,
    mail,
    members,
    move,
    numbers,
    output,
    portfolios,
    system_users,
    tokens,
    vault,
    webhooks,
)
from nightlatch.faces.cli.demo import play
from nightlatch.faces.cli.frame import (
    BROKEN,
    DATA_HELP,
    DATABASE_HELP,
    REFUSED,
    Parts,
    as_file,
    as_json,
    run,
    stop,
    with_house,
)
from nightlatch.faces.cli.house import House
from nightlatch.faces.exports import Format
from nightlatch.faces.spelling import spell_whole
from nightlatch.settings import Settings, load
from nightlatch.usecases import clients, codes
from nightlatch.usecases.audit import verify
from nightlatch.usecases.members import first_owner_link
from nightlatch.usecases.numbers import find_number

__all__ = ["BROKEN", "REFUSED", "Parts", "cli"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="nightlatch")
@click.option("--data", type=Path, help=DATA_HELP)
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
        if one.name == "data" or one.metadata["secret"]:  # --data is everywhere
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
@click.option("--data", type=Path, help=DATA_HELP)
@_settings_options
@click.pass_context
def serve(context: click.Context, /, data: Path | None, **chosen: Any) -> None:
    """Serve the API.

    The first start sets everything up and says how to begin.
    """
    parts: Parts = context.obj

    async def work() -> None:
        settings = load(data=data or context.meta.get("data"), **chosen)
        settings.refuse_if_unsafe()
        parts.configure_logs(settings.log_format, settings.log_level)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        if settings.workers > 1:
            await _serve_many(parts, settings, stop)
            return
        async with parts.open_house(settings, create=True) as house:
            first = await parts.set_up(house)

            async def ready() -> None:
                click.echo(await _greeting(house, first=first))

            await parts.serve(house, stop, ready)

    run(parts, work())


async def _serve_many(parts: Parts, settings: Settings, stop: asyncio.Event) -> None:
    """Set up in this process, then serve in others. SIGHUP replaces them one by one."""
    replace = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, replace.set)
    greetings = []

    async def prepare() -> None:
        async with parts.open_house(settings, create=True) as house:
            first = await parts.set_up(house)
            greetings.append(await _greeting(house, first=first))

    async def ready() -> None:
        click.echo(greetings[0])

    await parts.serve_many(settings, stop, replace, prepare, ready)


async def _greeting(house: House, *, first: bool) -> str:
    number = (await house.world.store.numbers(limit=1))[0]
    link = await first_owner_link(house.world)
    return _welcome(house.settings, number, link, first=first)


def _welcome(settings: Settings, number: Number, link: str | None, *, first: bool) -> str:
    lines = [
        f"Nightlatch {__version__} serves the On-Premises API at {settings.origin}/v1,",
        f"the Cloud API's endpoints at {settings.origin}/graph",
        f"and the Manager at {settings.origin}/manager",
    ]
    if link is not None:
        lines += [
            "",
            "  Nobody can sign in to the Manager yet. This link makes you its first owner;",
            "  it is good once, for 24 hours, until the next start:",
            "",
            f"  {settings.origin}/manager/welcome/{link}",
        ]
    if first:
        us = "nightlatch" if Path(sys.argv[0]).is_absolute() else sys.argv[0]  # as it was called
        flag = "" if settings.data == Settings().data else f" --data {settings.data}"
        lines += [
            "",
            f"  first login   {ADMIN} / {FACTORY_PASSWORD}; it must bring a `new_password`",
            f"  number        {number.e164} ({number.name})",
            f"  certificate   {us} numbers certificate {number.e164}{flag}",
            f"  codes         {us} codes {number.e164}{flag}",
            f"  access token  {us} token issue{flag}",
            f"  key ring      {settings.keyring_file}",
            "                keep a copy elsewhere: without it nothing stored can be opened",
        ]
    if settings.tls and settings.tls_cert is None:
        lines.append(f"  TLS           self-signed, {settings.data / 'tls' / 'cert.pem'}")
    return "\n".join([*lines, ""])


@cli.command()
@click.option("--database", help=DATABASE_HELP)
@click.pass_context
def migrate(context: click.Context, /, database: str | None) -> None:
    """Bring a PostgreSQL database to the schema of this version.

    Safe to run again, and by several at once. A file of SQLite
    is brought there by `nightlatch serve`.
    """
    parts: Parts = context.obj

    async def work() -> int:
        settings = load(database=database)
        settings.refuse_unsafe_database()
        return await parts.migrate(settings)

    done = run(parts, work())
    click.echo(f"migrated, {done} steps" if done else "nothing to do")


@cli.command()
@click.option("--color/--no-color", default=None, help="Colours; by default on a terminal.")
@click.pass_context
def demo(context: click.Context, /, color: bool | None) -> None:
    """Play the whole story against a throw-away server.

    Prints every exchange. Exits with 0 when each step ended as it should, else with 3.
    """
    parts: Parts = context.obj

    async def work() -> bool:
        parts.configure_logs("json", "error")
        async with parts.throw_away() as stage:
            colour = sys.stdout.isatty() if color is None else color
            return await play(stage, lambda line: click.echo(line, color=colour))

    if not run(parts, work()):
        sys.exit(BROKEN)


# Clients


@cli.group("clients")
def clients_() -> None:
    """The clients.

    Each has its own users and holds at most one number.
    """


@clients_.command("add")
@click.argument("name")
@with_house
async def clients_add(house: House, name: str) -> None:
    """Add a client, served at /clients/NAME/v1."""
    await clients.add_client(house.world, name)
    click.echo(f"added {name}, served at {_base(name)}; first login {ADMIN} / {FACTORY_PASSWORD}")


@clients_.command("list")
@as_json
@with_house
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
@with_house
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
@as_json
@with_house
async def codes_(house: House, number: str, plain: bool, as_json: bool) -> None:
    """Show the codes that the phone with NUMBER received."""
    e164, _ = spell_whole(number)
    await find_number(house.world, e164)
    deadline = time.monotonic() + 2
    while await house.world.store.waiting_for(e164) and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    found = await codes.handset(house.world, e164)
    if plain:
        if not found:
            stop("no code has arrived that is still good")
        click.echo(found[0].code)
        return
    output.rows(
        [
            {
                "code": one.shown,
                "by": one.method,
                "received": output.moment(one.received_at),
                "good_until": output.moment(one.expires_at),
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
@as_json
@with_house
async def keys_list(house: House, as_json: bool) -> None:
    """List the sealing keys and how much each of them seals.

    Prints no key.
    """
    found = [
        {
            "kid": key.kid,
            "created": key.created_at,
            "new_values": "yes" if key.writes else "next" if key.waits else "no",
            "sealed_values": count,
        }
        for key, count in await house.key_list()
    ]
    output.rows(found, as_json=as_json, empty="no keys")


@keys_.command("add")
@with_house
async def keys_add(house: House) -> None:
    """Add a key that opens values and seals none until the next rotation.

    For nodes that have copies of the key ring: copy it to all of them, then rotate.
    """
    kid = house.add_key()
    click.echo(f"added key {kid}; copy the key ring to all nodes, then run: nightlatch keys rotate")


@keys_.command("rotate")
@click.option("--drop-old", is_flag=True, help="Forget old keys; older backups cannot be opened.")
@with_house
async def keys_rotate(house: House, drop_old: bool) -> None:
    """Seal everything with the key that was added, or with a new one.

    No PIN is needed, and servers go on running.
    """
    with output.progress("sealing anew") as tell:
        kid, done, unreadable = await house.rotate(tell, drop_old=drop_old)
    click.echo(f"new key {kid}; {done} values sealed anew")
    _stop_if(unreadable)


@keys_.command("drop-old")
@with_house
async def keys_drop_old(house: House) -> None:
    """Forget the keys before the one that seals; older backups cannot be opened.

    What they still seal is sealed anew before. All nodes must have the key ring as it was after
    the last rotation: one that has an older copy would seal with a key that nobody has.
    """
    with output.progress("sealing anew") as tell:
        done, unreadable = await house.drop_old_keys(tell)
    click.echo(f"old keys are forgotten; {done} values sealed anew")
    _stop_if(unreadable)


def _stop_if(unreadable: Sequence[object]) -> None:
    if unreadable:
        stop(f"{len(unreadable)} values could not be opened; see: nightlatch check", BROKEN)


# The audit trail


@cli.group("audit")
def audit_() -> None:
    """What happened, in an order nobody can change unseen."""


@audit_.command("show")
@click.option("--number", help="Only this number.")
@click.option("--last", default=50, show_default=True, help="How many events.")
@as_json
@with_house
async def audit_show(house: House, number: str | None, last: int, as_json: bool) -> None:
    """Show the newest events."""
    subject = None if number is None else await _subject(house, spell_whole(number)[0])
    links = await house.world.store.newest_events(last, subject)
    output.rows([output.event(link) for link in links], as_json=as_json, empty="nothing yet")


async def _subject(house: House, e164: str) -> str:
    """The chain of a number, wherever it lives. Raises NumberUnknown."""
    linked = await house.world.store.linked_by_e164(e164)
    if linked is not None:
        return f"linked:{linked.id}"
    return f"number:{(await find_number(house.world, e164)).id}"


@audit_.command("verify")
@with_house
async def audit_verify(house: House) -> None:
    """Check every chain of events.

    Exits with 3 when one was changed.
    """
    with output.progress("checking chains") as tell:
        count, broken = await verify(house.world, tell)
    for one in broken:
        click.echo(f"{one.subject}: does not hold from event {one.seq} on", err=True)
    if broken:
        stop(f"{len(broken)} of {count} chains were changed", BROKEN)
    click.echo(f"{count} chains hold")


@audit_.command("export")
@as_file
@with_house
async def audit_export(house: House, written: Format) -> None:
    """Print every event as a file, chain by chain."""
    total = sum(seq for _, seq, _ in await house.world.store.audit_heads())
    done = 0
    with output.progress("exporting events", beside_output=True) as tell:
        async for link in house.world.store.audit():
            row = output.event(link) | {"hash": link.hash.hex()}
            output.row_of_file(row, written, first=not done)
            done += 1
            tell(done, total)


# Upkeep


@cli.command("backup")
@click.argument("file", type=Path)
@with_house
async def backup(house: House, file: Path) -> None:
    """Copy the database to FILE.

    The server may go on running. The key ring is not copied; keep a copy of it elsewhere.
    """
    with output.progress("copying") as tell:
        house.backup(file, lambda left, total: tell(total - left, total))
    click.echo(f"copied to {file}; the key ring {house.settings.keyring_file} is not in it")


@cli.command("check")
@with_house
async def check(house: House) -> None:
    """Check database, audit trail and key ring.

    Exits with 3 when something is wrong.
    """
    with output.progress("checking") as tell:
        faults = await house.faults(tell)
    for fault in faults:
        click.echo(fault, err=True)
    if faults:
        stop(f"{len(faults)} things are wrong", BROKEN)
    click.echo("database, audit trail and key ring are in order")


for _group in (
    members.group, mail.group, numbers.group, portfolios.group, portfolios.wabas,
    apps.group, system_users.group, tokens.group, webhooks.group, cloud_numbers.group, vault.group,
    doctor.command, move.command,
):  # fmt: skip
    cli.add_command(_group)
