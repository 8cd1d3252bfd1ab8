"""A running registry inside a test process, and what a test asks of it.

What the pytest fixture ``nightlatch`` gives; usable without pytest, too.
"""

import asyncio
import gc
import json
import secrets
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog

from nightlatch.bootstrap import House, free_port, open_house, serve, set_up
from nightlatch.domain.access import Scope, SystemRole
from nightlatch.domain.errors import CallbackRefused
from nightlatch.domain.webhooks import Field
from nightlatch.settings import Settings
from nightlatch.usecases import access, members, numbers, webhooks

GRAPH_VERSION = "v23.0"
_HOST = "127.0.0.1"
_ANSWER_SECONDS = 30
_START_SECONDS = 60
_STOP_SECONDS = 30
_CODE_SECONDS = 5.0
_LOOK_EVERY = 0.05


class SandboxRefused(Exception):
    """The sandbox said no."""

    def __init__(self, status: int, name: str, says: str) -> None:
        super().__init__(f"{name}: {says}")
        self.status = status
        """Of HTTP."""
        self.name = name
        """Of the refusal: ``WrongPin``."""


@dataclass(frozen=True)
class Controls:
    """``/sandbox`` of the running registry, for what has no method of its own."""

    port: int
    token: str = field(repr=False)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON that the sandbox answers. *path* begins behind ``/sandbox``.

        Raises:
            SandboxRefused: it said no.
        """
        connection = HTTPConnection(_HOST, self.port, timeout=_ANSWER_SECONDS)
        try:
            connection.request(
                method,
                f"/sandbox{path}",
                None if body is None else json.dumps(body),
                {"Authorization": f"Bearer {self.token}"},
            )
            answer = connection.getresponse()
            found = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            error = found["sandbox_error"]
            raise SandboxRefused(answer.status, error["name"], error["says"])
        return found


@dataclass(frozen=True)
class RegistryNumber:
    """The registry's one number. It is neither verified nor registered yet."""

    id: str
    """What the Graph API calls the phone number id."""
    e164: str
    cc: str
    """Country calling code, digits only."""
    phone_number: str
    """The number without ``+`` and country code, as ``/v1`` takes it."""
    certificate: str
    """For ``cert`` of ``POST /v1/account``."""
    waba: str
    """Id of its WhatsApp Business Account."""


@dataclass(frozen=True)
class Handset:
    """The phone that has the number."""

    _controls: Controls
    _number: str

    def messages(self) -> list[dict[str, Any]]:
        """What it received and is still good, newest first: ``code``, ``method``,
        ``received_at``, ``expires_at``."""
        return list(self._controls.call("GET", f"/handset/{self._number}")["handset"])

    def code(self) -> str:
        """The newest registration code, six digits; waits until one has arrived.

        Raises:
            TimeoutError: none arrived in five seconds; was one asked for?
        """
        deadline = time.monotonic() + _CODE_SECONDS
        while True:
            for message in self.messages():
                return str(message["code"])
            if time.monotonic() > deadline:
                raise TimeoutError("no registration code is on the handset; was one asked for?")
            time.sleep(_LOOK_EVERY)


@dataclass(frozen=True)
class Clock:
    """The registry's clock. It runs, and can be stepped forward; waits end and links die by it."""

    _controls: Controls

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.fromisoformat(self._controls.call("GET", "/clock")["now"])

    def step(self, by: float | timedelta) -> datetime:
        """Let seconds, rounded up to whole ones, pass at once; the time after that."""
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        answer = self._controls.call("POST", "/clock", {"seconds": -int(-seconds // 1)})
        return datetime.fromisoformat(answer["now"])


@dataclass(frozen=True)
class FaultList:
    """What the Graph API is made to get wrong."""

    _controls: Controls

    def add(
        self,
        fault: str,
        *,
        number: str | None = None,
        edge: str | None = None,
        times: int = 1,
        seconds: float | None = None,
    ) -> None:
        """Make the next *times* calls with POST go wrong.

        *fault* is ``133000``, ``133004`` or ``131031`` for that error with nothing
        done, ``slow`` for an answer that waits *seconds*, ``lost_answer`` for a
        connection that closes when all is done. *edge* is ``register`` and the
        like, ``""`` for the number itself; without it any. *number* is an id;
        without it any.
        """
        wanted = {
            "fault": fault, "number": number, "edge": edge, "times": times, "seconds": seconds
        }  # fmt: skip
        self._controls.call(
            "POST", "/faults", {name: one for name, one in wanted.items() if one is not None}
        )

    def waiting(self) -> list[dict[str, Any]]:
        """Those that have not happened as often as they shall."""
        return list(self._controls.call("GET", "/faults")["faults"])

    def clear(self) -> None:
        self._controls.call("DELETE", "/faults")


@dataclass(frozen=True)
class Registry:
    """A running Nightlatch with one number, and everything a test needs to speak with it.

    Its methods block, so call them from the test, not from the coroutine that
    answers the registry's own webhooks.
    """

    graph: str
    """The Cloud API with its version, for clients with a base URL: append ``/{id}``."""
    graph_origin: str
    """The same at the root of a port, for clients that put ``/v23.0`` there themselves."""
    v1: str
    """The On-Premises API; its first login is ``admin`` with ``secret``."""
    number: RegistryNumber
    token: str = field(repr=False)
    """A Graph access token of a system user that may do everything; it never expires."""
    app_id: str
    app_secret: str = field(repr=False)
    """Signs webhooks, and makes an ``appsecret_proof``."""
    handset: Handset
    clock: Clock
    faults: FaultList
    controls: Controls
    _call_back: Callable[[str, str], None] = field(repr=False)

    @property
    def waba(self) -> str:
        """Id of the WhatsApp Business Account."""
        return self.number.waba

    def state(self) -> dict[str, Any]:
        """The number as it is now: ``status``, ``two_step``, ``guesses_in_a_row``,
        ``waiting_seconds`` and more."""
        return dict(self.controls.call("GET", f"/numbers/{self.number.id}"))

    def mail(self) -> list[dict[str, Any]]:
        """The portfolio's letters, newest first: ``to``, ``letter``, ``subject``, ``text``,
        ``link`` and more."""
        return list(self.controls.call("GET", "/mail")["mail"])

    def webhooks(self) -> list[dict[str, Any]]:
        """Webhooks and what became of them, newest first: ``field``, ``state``, ``payload`` and
        more. There are some once ``receive_webhooks`` was called."""
        return list(self.controls.call("GET", "/webhooks")["webhooks"])

    def press(self, button: str, **fields: str) -> dict[str, Any]:
        """What an owner does in the Manager; the number as it is then.

        ``press("set_pin", pin=...)``, ``press("change_pin", pin=..., current_pin=...)``,
        ``press("turn_off")``, and ``press("follow_link")`` for the link that was mailed then.

        Raises:
            SandboxRefused: the Manager would say no.
        """
        path = f"/numbers/{self.number.id}/press"
        return dict(self.controls.call("POST", path, {"button": button, **fields}))

    def receive_webhooks(self, url: str, verify_token: str) -> None:
        """Send the app's webhooks to *url* from now on, once it has answered the challenge.

        Plain http on this machine is fine. What answers must run in another thread or process.

        Raises:
            Exception: it did not answer the challenge; the message says how.
        """
        self._call_back(url, verify_token)


@contextmanager
def running(**settings: Any) -> Iterator[Registry]:
    """A registry that runs until the block ends. For fixtures of other scopes, or with *settings*.

    *settings* are those of ``nightlatch.settings.Settings``.
    """
    started: Future[Registry] = Future()
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="nightlatch-"))
        server = _Server(folder, settings, started)
        thread = threading.Thread(target=server.run, name="nightlatch", daemon=True)
        stack.enter_context(_undone_afterwards(thread))
        thread.start()
        try:
            yield started.result(_START_SECONDS)
        finally:
            server.stop()
            thread.join(_STOP_SECONDS)
            if thread.is_alive():
                raise RuntimeError("the registry does not end")


class _Server:
    """The registry, in a thread with an event loop of its own."""

    def __init__(
        self, folder: str, settings: Mapping[str, Any], started: "Future[Registry]"
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._started = started
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:  # the test raises it
            if self._started.done():
                raise
            self._started.set_exception(error)

    def stop(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        chosen = {
            "data": Path(self._folder),
            "port": free_port(),
            "graph_port": free_port(),
            "private_receivers": True,
            "sandbox_token": secrets.token_urlsafe(24),
            **self._settings,
        }
        async with open_house(Settings(**chosen), create=True) as house:
            await set_up(house)
            registry = await self._furnish(house)

            async def ready() -> None:
                self._started.set_result(registry)

            await serve(house, self._stop, ready)

    async def _furnish(self, house: House) -> Registry:
        """An owner, a system user with a token, and an app that is subscribed."""
        world, settings = house.world, house.settings
        link = await members.first_owner_link(world)
        await members.join(
            world, link or "", "owner@example.com", "Olivia Owner",
            world.chance.token(24), "pytest",
        )  # fmt: skip
        (portfolio, *_) = await world.store.portfolios()
        (number, *_) = await world.store.numbers()
        made = await access.add_app(world, portfolio.id, "Tests")
        user = await access.add_system_user(world, portfolio.id, "Tests", SystemRole.ADMIN)
        token = await access.issue_token(world, user, made.app, list(Scope))
        waba = await world.store.waba(number.waba)
        if waba is not None:
            await webhooks.subscribe(world, await access.authenticate(world, token), waba)
        controls = Controls(settings.port, settings.sandbox_token)
        return Registry(
            graph=f"{settings.origin}/graph/{GRAPH_VERSION}",
            graph_origin=f"http://{_HOST}:{settings.graph_port}",
            v1=f"{settings.origin}/v1",
            number=RegistryNumber(
                number.id, number.e164, number.cc, number.national,
                numbers.certificate(world, number) if number.name else "", number.waba,
            ),
            token=token,
            app_id=made.app.id,
            app_secret=made.secret,
            handset=Handset(controls, number.id),
            clock=Clock(controls),
            faults=FaultList(controls),
            controls=controls,
            _call_back=self._calling_back(house, made.app.id),
        )  # fmt: skip

    def _calling_back(self, house: House, app: str) -> Callable[[str, str], None]:
        async def change(url: str, token: str) -> None:
            found = await access.find_app(house.world, app)
            await webhooks.set_callback(house.world, found, url, token, list(Field))

        def call_back(url: str, token: str) -> None:
            try:
                self._ask(change(url, token))
            except CallbackRefused as refused:
                raise RuntimeError(f"{url} cannot be used: {refused.why}") from refused

        return call_back

    def _ask(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the registry's thread, and wait for it."""
        if self._loop is None:
            raise RuntimeError("the registry does not run")
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_ANSWER_SECONDS)


@contextmanager
def _undone_afterwards(thread: threading.Thread) -> Iterator[None]:
    """Put back what a server tunes for its process, which here is the process of the tests.

    What the registry logs is left out, errors aside: it is not what is being tested.
    """

    def ours_apart(_: Any, level: str, event: Any) -> Any:
        if threading.current_thread() is not thread:
            return event
        if level in ("error", "critical"):
            sys.stderr.write(f"nightlatch: {dict(event)}\n")
        raise structlog.DropEvent

    configured, before = structlog.is_configured(), structlog.get_config()
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    structlog.configure(processors=[ours_apart, *before["processors"]])
    try:
        yield
    finally:
        if configured:
            structlog.configure(**before)
        else:
            structlog.reset_defaults()
        gc.set_threshold(*thresholds)
        if not frozen:
            gc.unfreeze()
