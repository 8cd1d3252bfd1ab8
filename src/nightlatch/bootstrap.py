"""The only file that knows all the parts: opens a data folder and serves it."""

import asyncio
import contextlib
import gc
import itertools
import os
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import falcon
import falcon.asgi
import structlog
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.net import SocketHolder  # type: ignore[attr-defined]  # Granian exports it untyped
from granian.server.embed import Server

from nightlatch import __version__, logs, traces
from nightlatch.adapters.cloudapi import LateCloudApi
from nightlatch.adapters.codes import HandsetSender
from nightlatch.adapters.hashing import OWASP, Argon2Pool, Cost, keep_blocks
from nightlatch.adapters.keyring import KeyInfo, KeyRing, KeyRingRefused
from nightlatch.adapters.mail import MailboxSender, PaperLetters, SmtpSender
from nightlatch.adapters.passwords import CommonPasswords
from nightlatch.adapters.postgres import PostgresStore, migrate
from nightlatch.adapters.sql.step import StoreRefused
from nightlatch.adapters.sqlite import SqliteStore
from nightlatch.adapters.sqlite.disks import network_filesystem
from nightlatch.adapters.system import CheckedClock, SteadyClock, SteppedClock, SystemChance
from nightlatch.adapters.tls import self_signed
from nightlatch.adapters.totp import AuthenticatorCodes
from nightlatch.adapters.webhooks import LateReceivers
from nightlatch.domain.clients import FIRST_CLIENT
from nightlatch.domain.cloud import Quirks
from nightlatch.domain.errors import Refusal, Unavailable
from nightlatch.domain.limits import (
    BODY_BYTES,
    HASH_PLACES,
    HEADER_BYTES,
    HEADER_SECONDS,
    INBOUND_BYTES,
    NODE_CLOCK_SECONDS,
    STOP_SECONDS,
    STORE_SECONDS,
)
from nightlatch.domain.linked import TurnOff
from nightlatch.domain.portfolios import PLACEHOLDER, Portfolio, Waba
from nightlatch.domain.webhooks import Receiver
from nightlatch.faces.cli.demo import Stage
from nightlatch.faces.cloudhooks import PREFIX, CloudHooks
from nightlatch.faces.door import App, AtRoot, Door, Receive, Refused, Scope, Send
from nightlatch.faces.faults import Faults
from nightlatch.faces.graph.app import Graph
from nightlatch.faces.manager.app import Manager
from nightlatch.faces.metrics import Metrics
from nightlatch.faces.onprem.app import OnPremises
from nightlatch.faces.onprem.wire import envelope
from nightlatch.faces.readiness import PATH as READYZ
from nightlatch.faces.readiness import Readiness
from nightlatch.faces.sandbox.app import Sandbox
from nightlatch.ports import Clock, CodeSender, MailSender, SealedValue, StoreWatch, World
from nightlatch.settings import Settings
from nightlatch.usecases import (
    audit,
    census,
    clients,
    codes,
    keys,
    mail,
    numbers,
    upkeep,
    webhooks,
)
from nightlatch.watching import (
    WatchedCodes,
    WatchedHasher,
    WatchedKeys,
    WatchedMail,
    WatchedReceivers,
    backlog_shown,
    watched,
    watched_cloud,
)
from nightlatch.watching.checks import (
    CLOCK_TOLERANCE,
    NEWEST_KEY,
    KeysThere,
    clock_is_right,
    durable,
    store_answers,
)

_FIRST_NUMBER = ("+16315551000", "1", "Lucky Shrub")  # a fictional number, as examples use
_MOUNTS = Path("/proc/self/mountinfo")
_UNDER_WAY = 2 * STORE_SECONDS  # no request seals a value and stores it later than this
_DELIVER_EVERY = 1.0
_TIDY_EVERY = 60.0
_COMPARE_EVERY = 5.0
_BACKLOG = 1_024
_QUEUED = struct.Struct("@24xI")
"""Of Linux's tcp_info: ``tcpi_unacked``, which for a listener is the length of its queue."""
_COUNT_EVERY = 300.0
_LONGEST_MISS = timedelta(seconds=60)
_COLLECT = (
    20_000,
    20,
    50,
)  # requests leave few cycles; looking for them less often is a tenth faster
_NO_DATA = "there is no Nightlatch in {}; start one with: nightlatch serve --data {}"


_RANGE = 400
_first_port = 12_000 + os.getpid() % 50 * _RANGE  # below the ports that the system gives away
_ports = itertools.cycle(range(_first_port, _first_port + _RANGE))


class StartRefused(Exception):
    """The data folder cannot be opened, served or copied; the message says why and what to do."""


@dataclass
class House:
    """A data folder that is open, with everything that works on it."""

    settings: Settings
    origin: str
    """What links begin with: where the server on this folder is, or was last."""
    store: SqliteStore | PostgresStore
    keyring: KeyRing
    pool: Argon2Pool
    clock: Clock
    world: World
    sender: CodeSender
    mail_sender: MailSender
    codes_due: asyncio.Event
    mail_due: asyncio.Event
    hooks_due: asyncio.Event
    metrics: Metrics
    readiness: Readiness
    step: Callable[[timedelta], None] | None
    """Lets time pass, where the clock is one for tests."""

    async def first_waba(self) -> str:
        """The WABA that new numbers belong to. Raises Unavailable before ``set_up``."""
        waba = await self.store.first_waba()
        if waba is None:
            raise Unavailable
        return waba

    def backup(self, path: Path, progress: Callable[[int, int], None]) -> None:
        """A copy of the database at *path*; the key ring is not in it.

        Raises:
            StartRefused: something is there already, or nothing can be written there; or the
                database is PostgreSQL, which has its own.
        """
        if isinstance(self.store, PostgresStore):
            raise StartRefused("the database is PostgreSQL; back it up with pg_dump or pgBackRest")
        try:
            self.store.backup(path, progress)
        except StoreRefused as refused:
            raise StartRefused(str(refused)) from refused

    async def faults(self, progress: Callable[[int, int], None]) -> list[str]:
        """Everything that is wrong with the folder, in sentences; empty when nothing is."""
        found = [f"database: {fault}" for fault in await self.store.faults()]
        if isinstance(self.store, PostgresStore):
            found += [f"database: {fault}" for fault in await self.store.durability()]
        _, broken = await audit.verify(self.world, progress)
        found += [f"audit: the chain of {b.subject} breaks at {b.seq}" for b in broken]
        known = {key.kid for key in self.keyring.listed()}
        for kid, count in (await self.store.kids_in_use()).items():
            if kid not in known:
                found.append(f"key ring: key {kid} is missing, {count} values need it")
        return found

    async def key_list(self) -> list[tuple[KeyInfo, int]]:
        """Each key, and how many stored values it seals."""
        used = await self.store.kids_in_use()
        return [(key, used.get(key.kid, 0)) for key in self.keyring.listed()]

    def add_key(self) -> str:
        """A new key that only opens, for rings that are copied to other nodes. Its kid."""
        return self.keyring.add_key(self.clock.now())

    async def rotate(
        self, progress: Callable[[int, int], None], *, drop_old: bool
    ) -> tuple[str, int, list[SealedValue]]:
        """Another key; all sealed anew with it. Its kid, how many values, and the unreadable.

        It is the one that was added and waits, or else a new one. Servers on this folder seal
        with it from their next request on.
        A request that was under way may still have used the old one, so a second
        pass follows, after a while when old keys are to be dropped. Otherwise
        they stay in the ring, for old backups.

        Raises:
            StartRefused: old keys are to be dropped, and the key was added to be copied: nodes
                with copies write with an old one until they have this ring.
        """
        waiting = self.keyring.waiting
        if drop_old and waiting is not None:
            raise StartRefused(
                f"key {waiting} was added to be copied to other nodes, which seal with the old one"
                " until they have this ring. Rotate without --drop-old, copy the ring, and then"
                " run: nightlatch keys drop-old"
            )
        kid = self.keyring.write_with_next(self.clock.now())
        await self.store.remember(NEWEST_KEY, kid)
        done, unreadable = await keys.rewrap(self.world, kid, progress)
        if drop_old:
            again, unreadable = await self.drop_old_keys(progress)
        else:
            again, unreadable = await keys.rewrap(self.world, kid, progress)
        return kid, done + again, unreadable

    async def drop_old_keys(
        self, progress: Callable[[int, int], None]
    ) -> tuple[int, list[SealedValue]]:
        """Seal anew what old keys still seal, and forget those that seal nothing any more. How
        many values that were, and the unreadable."""
        kid = self.keyring.writable
        kids = [key.kid for key in self.keyring.listed()]
        old = set(kids[: kids.index(kid)])
        await asyncio.sleep(_UNDER_WAY)
        done, unreadable = await keys.rewrap(self.world, kid, progress)
        used = await self.store.kids_in_use()
        self.keyring.drop_keys(old - used.keys())
        return done, unreadable


@asynccontextmanager
async def open_house(
    settings: Settings,
    *,
    create: bool = False,
    clock: Callable[[datetime | None], Clock] = SteadyClock,
    cost: Cost = OWASP,
) -> AsyncIterator[House]:
    """Open *settings.data*; with *create*, begin an empty folder with a fresh key ring.

    *clock* is given the latest time the store knows.

    Raises:
        StartRefused: nothing there, not safe, damaged, or a key is missing.
    """
    keep_blocks()
    metrics = Metrics()
    keyring, store = await _open_folder(settings, create, metrics)
    watched_keys = WatchedKeys(keyring, metrics)
    pool = Argon2Pool(watched_keys, cost, settings.hash_threads or None)
    metrics.show_hashing(pool.threads, pool.threads * HASH_PLACES)
    metrics.show_build("postgresql" if settings.database else "sqlite")
    receivers = LateReceivers(settings.private_receivers, __version__)
    cloud = LateCloudApi(__version__, settings.cloud_seconds)
    try:
        await _refuse_wrong_ring(store, keyring)
        if settings.sandbox_token and clock is SteadyClock:
            clock = SteppedClock
        time = await _clock(store, clock)
        codes_due, mail_due, hooks_due = asyncio.Event(), asyncio.Event(), asyncio.Event()

        def nudge() -> None:
            for due in (codes_due, mail_due, hooks_due):
                due.set()

        origin = settings.origin
        if not create and not settings.public_url:  # a command beside a server, or after it
            origin = await store.recall("origin") or origin
        world = World(
            store=watched(store, metrics),
            hasher=WatchedHasher(pool, metrics),
            keys=watched_keys,
            clock=time,
            chance=SystemChance(),
            nudge=nudge,
            one_time_codes=AuthenticatorCodes(),
            passwords=CommonPasswords(),
            letters=PaperLetters(origin),
            receivers=WatchedReceivers(receivers, metrics),
            cloud=watched_cloud(cloud, metrics),
            turn_off=TurnOff(settings.cloud_turn_off),
            quirks=_quirks(settings),
            refuse_weak_pins=settings.refuse_weak_pins,
            review_names=settings.review_names,
        )
        house = House(
            settings=settings,
            origin=origin,
            store=store,
            keyring=keyring,
            pool=pool,
            clock=time,
            world=world,
            sender=WatchedCodes(HandsetSender(store, time), metrics),
            mail_sender=WatchedMail(_mail_sender(settings), metrics),
            codes_due=codes_due,
            mail_due=mail_due,
            hooks_due=hooks_due,
            metrics=metrics,
            readiness=_readiness(store, keyring, time, metrics),
            step=time.step if isinstance(time, SteppedClock) else None,
        )
        yield house
    finally:
        await receivers.close()
        await cloud.close()
        await store.aclose()
        pool.close()


def _readiness(
    store: SqliteStore | PostgresStore, ring: KeyRing, clock: Clock, metrics: Metrics
) -> Readiness:
    """What ``/readyz`` looks at."""
    keys_there = KeysThere(
        lambda: [key.kid for key in ring.listed()], store.kids_in_use, store.recall, metrics
    )

    async def skew() -> float:
        if isinstance(clock, SteppedClock):  # ahead because somebody wants it to be
            return 0.0
        if isinstance(clock, CheckedClock):
            return clock.off
        return (clock.now() - datetime.now(UTC)).total_seconds()

    tolerance = NODE_CLOCK_SECONDS if isinstance(clock, CheckedClock) else CLOCK_TOLERANCE
    readiness = Readiness(
        {
            "store": store_answers(store.recall),
            "keys": keys_there.check,
            "clock": clock_is_right(skew, tolerance, metrics),
        },
        metrics,
        {"durability": durable(store.durability)} if isinstance(store, PostgresStore) else {},
    )
    metrics.reads(readiness.read)
    metrics.reads(backlog_shown(store.backlog, clock.now, metrics))
    return readiness


def _mail_sender(settings: Settings) -> MailSender:
    if settings.keeps_mail:
        return MailboxSender()
    return SmtpSender(
        settings.smtp_host,
        settings.smtp_port,
        settings.smtp_security,
        settings.mail_from,
        user=settings.smtp_user,
        password=settings.smtp_password,
        ca=settings.smtp_ca,
    )


def _quirks(settings: Settings) -> Quirks:
    return Quirks(
        wrong_pin_spends_registration=not settings.graph_wrong_pin_free,
        deregistering_turns_off=settings.graph_deregister_turns_off,
        pin_needs_connected=not settings.graph_pin_unregistered,
        pin_events=settings.graph_pin_events,
        empty_pin_turns_off=settings.graph_empty_pin,
    )


def _warn_of_wrong_clock(latest: datetime | None) -> None:
    """Time never runs backwards here, so one start with a clock far ahead stays in the dates."""
    behind = (latest - datetime.now(UTC)).total_seconds() if latest else 0
    if behind > CLOCK_TOLERANCE:
        structlog.get_logger().warning("the system clock is behind what is stored", behind=behind)


async def _clock(
    store: SqliteStore | PostgresStore, clock: Callable[[datetime | None], Clock]
) -> Clock:
    """The time of this process; with PostgreSQL never far from that of the other nodes.

    Raises:
        StartRefused: it is far from it.
    """
    if isinstance(store, SqliteStore) or clock is not SteadyClock:
        return clock(await store.latest_time())
    time = CheckedClock()
    time.compare(await store.time())
    if time.wrong:
        raise StartRefused(
            f"this machine's clock is {time.off:+.1f} s off the database's; waits and locks would"
            " not be what they are on other nodes. Set it right, and start again"
        )
    return time


async def _open_folder(
    settings: Settings, create: bool, watch: StoreWatch
) -> tuple[KeyRing, SqliteStore | PostgresStore]:
    """The key ring and the database that *settings* name. Raises StartRefused."""
    if settings.database:
        return await _open_node(settings, create, watch)
    return _open_file(settings, create, watch)


def _open_file(settings: Settings, create: bool, watch: StoreWatch) -> tuple[KeyRing, SqliteStore]:
    """Those of the data folder. Raises StartRefused."""
    if create:
        try:
            settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StartRefused(
                f"cannot make the folder {settings.data}: {error.strerror}"
            ) from error
    elif not settings.database_file.exists():
        raise StartRefused(_NO_DATA.format(settings.data, settings.data))
    refuse_far_disk(settings.data)
    try:
        fresh = not settings.database_file.exists()
        if fresh and not settings.keyring_file.exists():
            keyring = KeyRing.create(settings.keyring_file, datetime.now(UTC))
        else:
            keyring = KeyRing(settings.keyring_file)
        store = SqliteStore(settings.database_file, keyring.keyed_hash(audit.AUDIT_KEY, b""), watch)
    except (KeyRingRefused, StoreRefused) as refused:
        raise StartRefused(str(refused)) from refused
    except OSError as error:
        raise StartRefused(
            f"cannot make the key ring {settings.keyring_file}: {error.strerror}"
        ) from error
    return keyring, store


def refuse_far_disk(folder: Path) -> None:
    """Raises StartRefused when the folder is not on a disk of this machine."""
    with contextlib.suppress(OSError):
        kind = network_filesystem(folder, _MOUNTS.read_text())
        if kind is not None:
            raise StartRefused(
                f"{folder} lies on {kind}, where SQLite cannot keep its promises; use a local disk"
            )


async def _open_node(
    settings: Settings, create: bool, watch: StoreWatch
) -> tuple[KeyRing, PostgresStore]:
    """The same for a node of several: the database must be migrated, and the ring of the first
    node is everybody's."""
    try:
        there = settings.keyring_file.exists()
        if not there and not create:
            raise StartRefused(
                f"there is no key ring at {settings.keyring_file};"
                " say with NIGHTLATCH_KEYRING where that of the nodes is"
            )
        if not there:
            await _refuse_used(settings)
            settings.keyring_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(KeyRingRefused):  # another node was quicker with this file
                KeyRing.create(settings.keyring_file, datetime.now(UTC))
        keyring = KeyRing(settings.keyring_file)
        store = await PostgresStore.open(
            settings.database,
            keyring.keyed_hash(audit.AUDIT_KEY, b""),
            pool=settings.database_pool,
            watch=watch,
        )
    except (KeyRingRefused, StoreRefused) as refused:
        raise StartRefused(str(refused)) from refused
    except OSError as error:
        raise StartRefused(
            f"cannot make the key ring {settings.keyring_file}: {error.strerror}"
        ) from error
    return keyring, store


async def _refuse_used(settings: Settings) -> None:
    """A new key ring is for a new database. Raises StartRefused, StoreRefused."""
    store = await PostgresStore.open(settings.database, b"", pool=2)
    try:
        if await store.recall("keyring") is not None:
            raise StartRefused(
                f"there is no key ring at {settings.keyring_file}, and the database is in use;"
                " put the key ring of the other nodes there"
            )
    finally:
        await store.aclose()


async def migrate_database(settings: Settings) -> int:
    """Bring the PostgreSQL database to the current schema; how many steps that were.

    Raises:
        StartRefused: none is set, it cannot be reached, or is of a newer Nightlatch.
    """
    if not settings.database:
        raise StartRefused(
            "no PostgreSQL database is named; set NIGHTLATCH_DATABASE."
            " A file of SQLite is migrated by nightlatch serve"
        )
    try:
        return await migrate(settings.database)
    except StoreRefused as refused:
        raise StartRefused(str(refused)) from refused


async def _refuse_wrong_ring(store: SqliteStore | PostgresStore, keyring: KeyRing) -> None:
    if await store.remember_first("keyring", keyring.fingerprint()) != keyring.fingerprint():
        raise StartRefused("the key ring belongs to another Nightlatch; put back the right one")
    missing = (await store.kids_in_use()).keys() - {key.kid for key in keyring.listed()}
    if missing:
        raise StartRefused(
            f"the key ring lacks key {', '.join(sorted(missing))}, which stored values need; "
            "put back a key ring that has it"
        )


async def set_up(house: House) -> bool:
    """Portfolio, WABA, one number and the first client, unless they are there. Whether it was now.

    Killed in the middle, the next start goes on from there.
    """
    async with house.store.alone("set_up"):
        return await _set_up_once(house)


async def _set_up_once(house: House) -> bool:
    store = house.store
    if await store.recall("set_up") is not None:
        return False
    waba = await store.first_waba()
    if waba is None:
        chance = house.world.chance
        portfolio, waba = "2" + chance.digits(14), "3" + chance.digits(14)
        await store.add_portfolio(Portfolio(portfolio, "My portfolio", PLACEHOLDER))
        await store.add_waba(Waba(waba, portfolio, "My WhatsApp account"))
        await store.remember("first_waba", waba)
    if await store.client(FIRST_CLIENT) is None:
        await clients.add_client(house.world, FIRST_CLIENT)
    e164, cc, name = _FIRST_NUMBER
    if await store.number_by_e164(e164) is None:
        await numbers.add_number(house.world, waba, e164, cc, name)
    await store.remember("set_up", house.clock.now().isoformat())
    return True


def application(house: House) -> Door:
    """Every face behind one door."""
    settings, world = house.settings, house.world
    faults = Faults()
    manager = Manager(world, settings)
    others: list[tuple[Face, App]] = [
        _itself(Graph(world, house.metrics, settings.graph_errors, faults)),
        _itself(CloudHooks(world)),
        (manager, _mounted_late(manager)),
    ]
    if settings.sandbox_token:
        sandbox = Sandbox(world, settings.sandbox_token, house.step, faults)
        others.append((sandbox, _mounted_late(sandbox)))
    onprem = OnPremises(world, house.metrics, settings.origin, settings.api_key, house.readiness)
    first = _mounted(onprem)

    def refuse(refusal: Refusal, path: str) -> Refused:
        if path == READYZ and house.readiness.is_stopping:
            return Refused(503, None, house.readiness.stopping_body)
        for face, _ in others:
            if face.serves(path):
                return face.refused(refusal)
        row, body = envelope(refusal, settings.origin)
        return Refused(row.status, row.code, body)

    async def faces(scope: Scope, receive: Receive, send: Send) -> None:
        for face, app in others:
            if face.serves(scope["path"]):
                await app(scope, receive, send)
                return
        onprem.to_first(scope)
        await first(scope, receive, send)

    return Door(faces, _hosts(settings), settings.proxies(), house.metrics, refuse, _largest)


class Face(Protocol):
    """Answers whatever lies below its prefix."""

    def serves(self, path: str) -> bool: ...

    def refused(self, refusal: Refusal) -> Refused: ...


def _itself(face: Graph | CloudHooks) -> tuple[Face, App]:
    return face, face


def _mounted(face: OnPremises | Manager | Sandbox) -> App:
    """The face as an application of Falcon's."""
    app = falcon.asgi.App()
    app.req_options.strip_url_path_trailing_slash = True
    face.mount(app)
    app.add_error_handler(falcon.HTTPError, face.on_error)  # Falcon's own would win otherwise
    app.add_error_handler(Exception, face.on_error)
    return app


def _mounted_late(face: Manager | Sandbox) -> App:
    """The same, made with the first request: a server whose pages nobody looks at starts sooner."""
    made: list[App] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not made:
            made.append(_mounted(face))
        await made[0](scope, receive, send)

    return app


def _largest(path: str) -> int:
    """How many bytes a request may bring: Meta's webhooks tell of much at once."""
    return INBOUND_BYTES if path.startswith(f"{PREFIX}/") else BODY_BYTES


def _hosts(settings: Settings) -> frozenset[str]:
    names = {"localhost", "127.0.0.1", "[::1]", settings.host.lower(), f"[{settings.host}]"}
    names |= _names(settings.hosts) | _names(settings.graph_hosts)
    if settings.public_url:
        rest = settings.public_url.partition("://")[2].partition("/")[0]
        names.add(rest.lower() if rest.endswith("]") else rest.rpartition(":")[0] or rest)
        names.add(rest.lower())
    return frozenset(names)


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in text.split(",") if name.strip())


async def serve(
    house: House,
    stop: asyncio.Event,
    ready: Callable[[], Awaitable[None]],
    listeners: Sequence[int] = (),
) -> None:
    """Serve until *stop* is set, then let requests in flight finish. *ready* is called once
    the socket answers.

    *listeners* are the listening sockets, one for each port, where another process opened them
    and lets several share them. Then new connections are left to the others from *stop* on, and
    what comes on the old ones is answered. So it is where other nodes serve the same database.

    Raises:
        StartRefused: the address is taken or cannot be bound.
    """
    settings = house.settings
    settings.refuse_if_unsafe()
    ports = [settings.port, settings.graph_port] if settings.graph_port else [settings.port]
    own = [] if listeners else listening(settings)  # Granian shares a port silently
    await _prepare(house, own)
    log = structlog.get_logger()
    door = application(house)
    apps: list[App] = [door, AtRoot(door, "/graph")]
    if settings.graph_hosts:
        apps[0] = AtRoot(door, "/graph", _names(settings.graph_hosts))
    now = house.clock.now()
    listeners = listeners or [one.detach() for one in own]
    servers = [
        _server(settings, app, port, now, listener)
        for app, port, listener in zip(apps, ports, listeners, strict=False)
    ]
    workers = [
        asyncio.create_task(_again_and_again(_deliver, house, log)),
        asyncio.create_task(_again_and_again(_post, house, log)),
        asyncio.create_task(_again_and_again(Rounds(log).begin, house, log)),
        asyncio.create_task(_again_and_again(_look_after, house, log)),
        asyncio.create_task(_again_and_again(_refresh, house, log)),
        asyncio.create_task(_again_and_again(_tidy, house, log)),
        asyncio.create_task(_again_and_again(_compare_clocks, house, log)),
        asyncio.create_task(_again_and_again(_count_ledgers, house, log)),
        asyncio.create_task(house.metrics.pulse()),
    ]
    serving = asyncio.gather(*(server.serve() for server in servers))
    try:
        for port in ports:
            await _until_answering(settings.host, port, serving)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT)
        log.info("started", origin=settings.origin, port=settings.port)
        await ready()
        stopping = asyncio.create_task(stop.wait())
        ends: set[asyncio.Future[Any]] = {stopping, serving}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if own:  # else others answer at the same address
            house.readiness.stop()
        seconds: float = STOP_SECONDS
        if settings.database or not own:  # others serve on
            if own:
                await _until_nobody_waits(listeners)
            _turn_away(listeners)
            seconds -= await door.retire(seconds)
        left = await door.close(seconds)
        log.info("stopped", waiting=left)
    finally:
        for server in servers:
            server.stop()  # type: ignore[no-untyped-call]  # Granian has no types here
        await serving
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        with contextlib.suppress(Unavailable):  # another node or the next start does it
            await house.store.tidy(house.clock.now())
        await asyncio.to_thread(traces.stop)


async def _prepare(house: House, own: Sequence[socket.socket]) -> None:
    """What comes before the first request; when that is refused, *own* sockets are closed."""
    try:
        if not isinstance(house.clock, CheckedClock):
            _warn_of_wrong_clock(await house.store.latest_time())
        await house.store.remember("origin", house.settings.origin)
        _start_traces(house.settings)
    except BaseException:
        for one in own:
            one.close()
        raise


def _start_traces(settings: Settings) -> None:
    if settings.traces:
        try:
            traces.start(settings.traces, __version__)
        except traces.TracesRefused as refused:
            raise StartRefused(str(refused)) from refused


class _Server(Server):
    """Granian's, on *listener*, a socket that listens already. Granian closes it."""

    listener: int

    def _init_shared_socket(self) -> None:
        holder: Any = SocketHolder  # its types forget the backlog
        self._shd = holder(self.listener, False, self.backlog)


def _server(settings: Settings, app: App, port: int, now: datetime, listener: int) -> Server:
    cert, key = settings.tls_cert, settings.tls_key
    if settings.tls and cert is None:
        cert, key = self_signed(settings.data / "tls", settings.host, now)
    server = _Server(
        app,
        address=settings.host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        backlog=_BACKLOG,
        backpressure=512,
        log_enabled=False,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_SECONDS * 1_000, max_buffer_size=HEADER_BYTES
        ),
        ssl_cert=cert,
        ssl_key=key,
        ssl_protocol_min=SSLProtocols.tls12,  # clients of the On-Premises era may not know 1.3
    )
    server.listener = listener
    return server


def bound(host: str, port: int) -> socket.socket:
    """A socket that has the address for itself, and does not listen yet.

    Raises:
        StartRefused: the address is taken or cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise StartRefused(
            f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}; "
            "choose another with --port"
        ) from error
    return found


def listening(settings: Settings) -> list[socket.socket]:
    """A listening socket for each port, to be shared by several processes.

    Shared, and not one for each process: what waits in it to be accepted is lost to nobody when
    one of them ends. Raises StartRefused.
    """
    found: list[socket.socket] = []
    try:
        for port in filter(None, (settings.port, settings.graph_port)):
            found.append(bound(settings.host, port))
            found[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            found[-1].listen(_BACKLOG)
    except StartRefused:
        for one in found:
            one.close()
        raise
    return found


async def _until_nobody_waits(listeners: Sequence[int]) -> None:
    """Wait for a moment in which each connection was accepted, for not too long: one that waits
    is cut by a listener that ends."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DELIVER_EVERY):
            while any(map(_waiting, listeners)):
                await asyncio.sleep(0)


def _waiting(listener: int) -> int:
    """How many connections wait in it to be accepted; 0 where the system does not tell."""
    if not hasattr(socket, "TCP_INFO"):
        return 0
    with socket.socket(fileno=os.dup(listener)) as found:
        info = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _QUEUED.size)
    (count,) = _QUEUED.unpack(info)
    return int(count)


def _turn_away(listeners: Sequence[int]) -> None:
    """Accept no more connections, and leave the sockets and what waits in them to the others.

    Granian ends its connections when it stops accepting. So it goes on, at a socket that
    nobody is told of.
    """
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.setblocking(False)
        for listener in listeners:
            os.dup2(deaf.fileno(), listener)


def with_certificate(settings: Settings, now: datetime) -> None:
    """Make the self-signed certificate, if that is what is served with and there is none yet."""
    if settings.tls and settings.tls_cert is None:
        self_signed(settings.data / "tls", settings.host, now)


async def _until_answering(host: str, port: int, serving: "asyncio.Future[Any]") -> None:
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return
    await serving
    raise StartRefused("the server ended before it began")


async def _again_and_again(
    work: Callable[[House], Awaitable[None]], house: House, log: structlog.stdlib.BoundLogger
) -> None:
    """Upkeep that survives a bad moment of the store; cancelled, it ends, whoever below takes
    the cancellation for a failure of its own."""
    task = asyncio.current_task()
    while not (task and task.cancelling()):
        try:
            await work(house)
        except Exception as error:  # noqa: BLE001 - logged, and tried again
            said = isinstance(error, Unavailable) and isinstance(house.store, PostgresStore)
            if not said:  # PostgreSQL's store says once that it fails
                log.error("upkeep failed", error=type(error).__name__, where=logs.frames(error))
            await asyncio.sleep(_DELIVER_EVERY)


async def _until_due(due: asyncio.Event) -> None:
    """Until somebody says that there is something to send, at most _DELIVER_EVERY."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DELIVER_EVERY):
            await due.wait()
    due.clear()


async def _deliver(house: House) -> None:
    await _until_due(house.codes_due)
    await codes.deliver(house.world, house.sender)


async def _post(house: House) -> None:
    await _until_due(house.mail_due)
    done = await mail.deliver(house.world, house.mail_sender)
    house.metrics.mail.labels("delivered").inc(done.sent)
    house.metrics.mail.labels("failed").inc(done.failed)
    if done.failed:
        structlog.get_logger().error("mail failed", letters=done.failed)


class Rounds:
    """Webhooks on their way: one round after another for each receiver, all side by side.

    A receiver that is not reached is left alone for longer and longer, so that a
    dead one costs little, whatever happens meanwhile.
    """

    def __init__(self, log: structlog.stdlib.BoundLogger) -> None:
        self._log = log
        self._under_way: dict[Receiver, asyncio.Task[None]] = {}
        self._misses: dict[Receiver, int] = {}
        self._not_before: dict[Receiver, datetime] = {}

    async def begin(self, house: House) -> None:
        """Begin a round for each receiver that has something due and none under way.

        Cancelled, it lets the rounds under way come to their end first.
        """
        try:
            await _until_due(house.hooks_due)
            now = house.clock.now()
            for one in await house.store.receivers_due(now):
                if one not in self._under_way and now >= self._not_before.get(one, now):
                    self._under_way[one] = asyncio.create_task(self._go(house, one))
        except asyncio.CancelledError:
            rounds = list(self._under_way.values())
            if rounds:
                _, late = await asyncio.wait(rounds, timeout=STOP_SECONDS)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)
            raise

    async def _go(self, house: House, receiver: Receiver) -> None:
        try:
            done = await webhooks.deliver(house.world, receiver)
        except Exception as error:  # noqa: BLE001 - logged, and tried again
            self._log.error("upkeep failed", error=type(error).__name__, where=logs.frames(error))
            self._leave_alone(house, receiver)
        else:
            self._count(house, receiver, done)
        finally:
            del self._under_way[receiver]
        house.hooks_due.set()  # there may be more for it

    def _count(self, house: House, receiver: Receiver, done: webhooks.Round) -> None:
        counts = house.metrics.webhooks
        counts.labels("delivered").inc(done.delivered)
        counts.labels("put_off").inc(done.put_off)
        counts.labels("failed").inc(done.failed)
        if done.failed:
            self._log.error("webhooks failed", app=receiver.app, deliveries=done.failed)
        if done.reached:
            self._misses.pop(receiver, None)
            self._not_before.pop(receiver, None)
        else:
            self._leave_alone(house, receiver)

    def _leave_alone(self, house: House, receiver: Receiver) -> None:
        misses = self._misses[receiver] = self._misses.get(receiver, 0) + 1
        pause = min(_LONGEST_MISS, timedelta(seconds=2 ** min(misses, 10)))
        self._not_before[receiver] = house.clock.now() + pause


async def _look_after(house: House) -> None:
    """Numbers at the Cloud API of which something is due."""
    if not await upkeep.look_after(house.world):
        await asyncio.sleep(_DELIVER_EVERY)


async def _refresh(house: House) -> None:
    """All numbers at the Cloud API, now and then; an account that fails is not tried at once."""
    async with house.store.alone("refresh", wait=False) as mine:
        if mine:
            await upkeep.refresh_links(house.world)
    await asyncio.sleep(_TIDY_EVERY)


async def _compare_clocks(house: House) -> None:
    """A node whose clock left the others' refuses everything until it is back."""
    await asyncio.sleep(_COMPARE_EVERY)
    if isinstance(house.clock, CheckedClock) and isinstance(house.store, PostgresStore):
        was = house.clock.wrong
        house.clock.compare(await house.store.time())
        if house.clock.wrong and not was:
            structlog.get_logger().error("the clock is wrong", off=house.clock.off)


async def _tidy(house: House) -> None:
    await house.store.tidy(house.clock.now())
    await asyncio.sleep(_TIDY_EVERY)


async def _count_ledgers(house: House) -> None:
    """How near numbers at the Cloud API are to Meta's limits, for the metrics."""
    found = await census.ledgers(house.world)
    house.metrics.show_ledgers(found.linked, found.unknown, found.near, found.closed)
    await asyncio.sleep(_COUNT_EVERY)


@asynccontextmanager
async def throw_away() -> AsyncIterator[Stage]:
    """A server on a free port with a folder that is gone afterwards, and a clock to step."""
    stepped: list[SteppedClock] = []

    def clock(not_before: datetime | None) -> Clock:
        stepped.append(SteppedClock(not_before))
        return stepped[0]

    with tempfile.TemporaryDirectory(prefix="nightlatch-") as folder:
        settings = Settings(data=Path(folder), port=free_port())
        async with open_house(settings, create=True, clock=clock) as house:
            await set_up(house)
            await clients.add_client(house.world, "thief")
            number = await numbers.find_number(house.world, _FIRST_NUMBER[0])

            async def newest_code() -> str:
                while await house.store.waiting_for(number.e164):
                    await asyncio.sleep(0.01)
                found = await codes.handset(house.world, number.e164)
                return found[0].code if found else "no code"

            async def unlock() -> None:
                await numbers.unlock(house.world, number)

            stop, started = asyncio.Event(), asyncio.Event()

            async def ready() -> None:
                started.set()

            serving = asyncio.create_task(serve(house, stop, ready))
            waiting = asyncio.create_task(started.wait())
            await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
            try:
                yield Stage(
                    port=settings.port,
                    e164=number.e164,
                    cc=number.cc,
                    phone_number=number.national,
                    certificate=numbers.certificate(house.world, number),
                    newest_code=newest_code,
                    pass_time=stepped[0].step,
                    in_thread=asyncio.to_thread,
                    unlock=unlock,
                )
            finally:
                stop.set()
                await serving


def free_port() -> int:
    """A port of this machine that nobody listens on just now.

    Each process looks in a range of its own, so that two which look at the
    same time do not find the same.
    """
    for port in itertools.islice(_ports, _RANGE):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise StartRefused("no port is free")
