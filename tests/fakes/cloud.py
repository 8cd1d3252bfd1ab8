"""A small Meta in memory: accounts, numbers, PINs, codes, limits, and every way to go wrong.

A fault is scripted for the next call of a method and then used up::

    cloud.script("register", Refuse(Reason.SPENT), LOST_BUT_DONE)
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from nightlatch.domain.linked import Facts, Health, MetaRefusal, Reason
from nightlatch.domain.links import MANAGES, MESSAGES, TokenFacts
from nightlatch.ports import (
    Clock,
    CloudAccess,
    CloudNoAnswer,
    CloudNotSent,
    CloudRefusal,
    FoundNumber,
    FoundPage,
)

WABA = "102290129340398"
TOKEN = "EAA-the-token-of-the-town"
APP = "634974688087057"
CODE = "123830"
"""The registration code that this Meta sends to everybody."""
_WINDOW = timedelta(hours=72)
_ATTEMPTS = 10
_CODE_LIFE = timedelta(minutes=10)
_VERIFIED = timedelta(days=14)
_LOCKED = timedelta(hours=24)

T = TypeVar("T")

CODES = {
    Reason.WRONG_PIN: 133005,
    Reason.TOO_FAST: 133009,
    Reason.TOO_MANY: 133008,
    Reason.CODE_NEEDED: 133006,
    Reason.NOT_REGISTERED: 133010,
    Reason.JUST_DELETED: 133015,
    Reason.SPENT: 133016,
    Reason.LOCKED: 131031,
    Reason.INCOMPLETE: 133000,
    Reason.CODE_UNSENT: 136024,
    Reason.CODE_RATE: 136024,
    Reason.CODE_WRONG: 136025,
    Reason.ON_APP: 100,
    Reason.NAME: 100,
    Reason.ELSEWHERE: 100,
    Reason.TOKEN: 190,
    Reason.PERMISSION: 200,
    Reason.CALLS: 80007,
    Reason.GONE: 100,
    Reason.OTHER: 100,
}
SUBCODES = {
    Reason.CODE_UNSENT: 2388091,
    Reason.CODE_RATE: 2388367,
    Reason.NAME: 2388001,
    Reason.ELSEWHERE: 2388001,
    Reason.TOKEN: 463,
    Reason.GONE: 33,
}


def no(reason: Reason, wait: timedelta | None = None) -> CloudRefusal:
    """Meta's refusal for this reason, with the code that it has for it."""
    return CloudRefusal(MetaRefusal(reason, CODES[reason], SUBCODES.get(reason), wait))


# What can happen to a call


@dataclass(frozen=True)
class Refuse:
    """Refused, without a look at anything."""

    reason: Reason
    wait: timedelta | None = None


@dataclass(frozen=True)
class Lost:
    """Sent, and no answer came."""

    done: bool
    """Whether it was done all the same; when Meta would refuse it, it is refused unheard."""


@dataclass(frozen=True)
class Unsent:
    """Meta was not reached."""


@dataclass(frozen=True)
class Meanwhile:
    """Something happens while the call is on its way, *before* Meta does anything or after."""

    happen: Callable[[], Awaitable[Any]]
    before: bool = True


@dataclass(frozen=True)
class Answer:
    """This is answered (or raised), and nothing is done."""

    what: Any


Fault = Refuse | Lost | Unsent | Meanwhile | Answer

LOST_BUT_DONE = Lost(done=True)
LOST_UNDONE = Lost(done=False)
UNSENT = Unsent()


@dataclass
class Frozen:
    """Calls wait at ``hold`` until ``thaw``; ``arrived`` is set once one does."""

    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    thawed: asyncio.Event = field(default_factory=asyncio.Event)

    async def hold(self) -> None:
        self.arrived.set()
        await self.thawed.wait()

    def thaw(self) -> None:
        self.thawed.set()


# What there is


@dataclass
class AtMeta:
    """One number at Meta, as it truly is."""

    id: str
    e164: str
    waba: str
    name: str = "Lucky Shrub"
    name_state: str = "APPROVED"
    new_name: str = ""
    new_name_state: str = "NONE"
    pin: str | None = None
    registered: bool = False
    status: str | None = None
    """Shown in place of what ``registered`` says."""
    platform: str | None = None
    verified_at: datetime | None = None
    """When a code was entered last."""
    code_until: datetime | None = None
    """Until when CODE is good; None when none was asked for."""
    on_app: bool = False
    mode: str = "LIVE"
    webhook: str = ""
    health: tuple[Health, ...] = ()
    shown: str = ""
    """How Meta spells it; from ``e164`` when empty."""
    hidden_pin_state: bool = False
    """``is_pin_enabled`` is not shown."""
    wrong: int = 0
    """Wrong PINs in a row."""
    locked_until: datetime | None = None
    registers: list[datetime] = field(default_factory=list)
    deregisters: list[datetime] = field(default_factory=list)
    blocked_until: datetime | None = None
    """After too many of either."""


@dataclass(frozen=True)
class Call:
    """One call that reached Meta, or was meant to."""

    method: str
    waba: str
    id: str = ""
    what: str = ""
    """The PIN, the code, the method: what it brought."""
    patient: bool = False


@dataclass
class FakeCloud:
    """The ``CloudApi`` port. What Meta does not say is as the Graph face's defaults have it."""

    clock: Clock
    accounts: dict[str, str] = field(default_factory=lambda: {WABA: "Garden shop"})
    """Name of each account."""
    tokens: dict[str, TokenFacts] = field(
        default_factory=lambda: {
            TOKEN: TokenFacts(True, frozenset({MANAGES, MESSAGES}), APP, "SYSTEM_USER")
        }
    )
    """A token that is not here was revoked."""
    phones: dict[str, AtMeta] = field(default_factory=dict)
    """By Meta's id, in the order of listing."""
    subscribed: dict[str, set[str]] = field(default_factory=dict)
    """The apps that get each account's webhooks."""
    calls: list[Call] = field(default_factory=list)
    """Every call, also those that were not sent; in order."""
    done: list[Call] = field(default_factory=list)
    """The calls that changed something."""
    guesses: int = 5
    """Wrong PINs in a row until 133008."""
    pin_needs_registration: bool = True
    """Whether a PIN can only be set on a number that is registered."""
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    down: Fault | None = None
    """Happens to every call that no other fault is scripted for."""
    _ids: int = 106540352242922

    # What a test says

    def add(self, e164: str, **more: Any) -> AtMeta:
        """A number of WABA, or of ``waba``: not registered, no code entered, no PIN."""
        phone = AtMeta(str(self._ids), e164, **{"waba": WABA, **more})
        self._ids += 1
        self.phones[phone.id] = phone
        self.accounts.setdefault(phone.waba, "Garden shop")
        return phone

    def add_registered(self, e164: str, pin: str | None = None, **more: Any) -> AtMeta:
        """A number that the Cloud API holds, protected by *pin* if there is one."""
        return self.add(e164, pin=pin, registered=True, **{"verified_at": self.clock.now(), **more})

    def add_verified(self, e164: str, **more: Any) -> AtMeta:
        """A number whose code was entered just now, and that is not registered."""
        return self.add(e164, **{"verified_at": self.clock.now(), **more})

    def script(self, method: str, *faults: Fault) -> None:
        """What happens to the next calls of this method of the port, one each."""
        self.faults.setdefault(method, []).extend(faults)

    def freeze(self, method: str) -> Frozen:
        """Let the next call of this method wait before anything is done."""
        frozen = Frozen()
        self.script(method, Meanwhile(frozen.hold))
        return frozen

    def revoke(self, token: str = TOKEN) -> None:
        """Meta takes the token no more."""
        self.tokens.pop(token, None)

    def count(self, method: str) -> int:
        """How often this method was called, sent or not."""
        return sum(call.method == method for call in self.calls)

    # The port

    async def token(self, access: CloudAccess) -> TokenFacts:
        async def look() -> TokenFacts:
            return self._token(access)

        return await self._meet(Call("token", access.waba), access, look)

    async def account_name(self, access: CloudAccess) -> str:
        async def look() -> str:
            self._admit(access)
            return self.accounts[access.waba]

        return await self._meet(Call("account_name", access.waba), access, look)

    async def numbers(self, access: CloudAccess, after: str, limit: int) -> FoundPage:
        async def look() -> FoundPage:
            self._admit(access)
            mine = [one for one in self.phones.values() if one.waba == access.waba]
            first = int(after or 0)
            more = str(first + limit) if first + limit < len(mine) else ""
            return FoundPage([self._found(one) for one in mine[first : first + limit]], more)

        return await self._meet(Call("numbers", access.waba, what=after), access, look)

    async def number(self, access: CloudAccess, id: str) -> FoundNumber:
        async def look() -> FoundNumber:
            return self._found(self._phone(access, id))

        return await self._meet(Call("number", access.waba, id), access, look)

    async def add_number(self, access: CloudAccess, cc: str, national: str, name: str) -> str:
        async def do() -> str:
            self._admit(access)
            known = [one for one in self.phones.values() if one.e164 == f"+{cc}{national}"]
            if known:
                raise no(Reason.OTHER if known[0].waba == access.waba else Reason.ELSEWHERE)
            return self.add(f"+{cc}{national}", waba=access.waba, name=name).id

        return await self._meet(Call("add_number", access.waba, what=cc + national), access, do)

    async def ask_code(
        self,
        access: CloudAccess,
        id: str,
        method: str,
        language: str,  # noqa: ARG002 - the port's
    ) -> None:
        async def do() -> None:
            phone = self._phone(access, id)
            if self._code_state(phone) == "VERIFIED":
                raise no(Reason.CODE_UNSENT)
            phone.code_until = self.clock.now() + _CODE_LIFE

        await self._meet(Call("ask_code", access.waba, id, method), access, do)

    async def enter_code(self, access: CloudAccess, id: str, code: str) -> None:
        async def do() -> None:
            phone = self._phone(access, id)
            until = phone.code_until
            if until is None or self.clock.now() >= until or code != CODE:
                raise no(Reason.CODE_WRONG)
            phone.code_until, phone.verified_at = None, self.clock.now()

        await self._meet(Call("enter_code", access.waba, id, code), access, do)

    async def register(self, access: CloudAccess, id: str, pin: str) -> None:
        async def do() -> None:
            phone = self._phone(access, id)
            if phone.on_app:
                raise no(Reason.ON_APP)
            self._spend(phone, phone.registers)
            if self._code_state(phone) != "VERIFIED" and not phone.registered:
                raise no(Reason.CODE_NEEDED)
            self._compare(phone, pin)
            phone.registered, phone.pin = True, pin
            if phone.new_name_state == "APPROVED":
                phone.name, phone.new_name, phone.new_name_state = phone.new_name, "", "NONE"

        await self._meet(Call("register", access.waba, id, pin), access, do)

    async def deregister(self, access: CloudAccess, id: str) -> None:
        async def do() -> None:
            phone = self._phone(access, id)
            if not phone.registered:
                raise no(Reason.NOT_REGISTERED)
            self._spend(phone, phone.deregisters)
            phone.registered = False

        await self._meet(Call("deregister", access.waba, id), access, do)

    async def set_pin(self, access: CloudAccess, id: str, pin: str) -> None:
        async def do() -> None:
            phone = self._phone(access, id)
            if self.pin_needs_registration and not phone.registered:
                raise no(Reason.NOT_REGISTERED)
            phone.pin = pin

        await self._meet(Call("set_pin", access.waba, id, pin), access, do)

    async def is_subscribed(self, access: CloudAccess, app: str) -> bool:
        async def look() -> bool:
            self._admit(access)
            apps = self.subscribed.get(access.waba, set())
            return app in apps if app else bool(apps)

        return await self._meet(Call("is_subscribed", access.waba, what=app), access, look)

    async def subscribe(self, access: CloudAccess) -> None:
        async def do() -> None:
            self._admit(access)
            self.subscribed.setdefault(access.waba, set()).add(self._token(access).app)

        await self._meet(Call("subscribe", access.waba), access, do)

    # How it works

    async def _meet(self, call: Call, access: CloudAccess, do: Callable[[], Awaitable[T]]) -> T:
        """Do it, unless something is scripted to happen to it."""
        self.calls.append(replace(call, patient=access.patient))
        scripted = self.faults.get(call.method, [])
        fault = scripted.pop(0) if scripted else self.down
        match fault:
            case Unsent():
                raise CloudNotSent
            case Refuse(reason, wait):
                raise no(reason, wait)
            case Lost(done=False):
                raise CloudNoAnswer
            case Answer(Exception() as error):
                raise error
            case Answer(what):
                return what  # type: ignore[no-any-return]  # the test says what fits
            case Meanwhile(happen, before=True):
                await happen()
        try:
            found = await do()
        except CloudRefusal:
            if isinstance(fault, Lost):
                raise CloudNoAnswer from None
            raise
        if call.method not in {"token", "account_name", "numbers", "number", "is_subscribed"}:
            self.done.append(call)
        if isinstance(fault, Meanwhile) and not fault.before:
            await fault.happen()
        if isinstance(fault, Lost):
            raise CloudNoAnswer
        return found

    def _token(self, access: CloudAccess) -> TokenFacts:
        found = self.tokens.get(access.token)
        if found is None or not found.valid:
            raise no(Reason.TOKEN)
        if found.expires_at is not None and found.expires_at <= self.clock.now():
            raise no(Reason.TOKEN)
        return found

    def _admit(self, access: CloudAccess) -> None:
        facts = self._token(access)
        if access.waba not in self.accounts:
            raise no(Reason.GONE)
        not_given = facts.accounts is not None and access.waba not in facts.accounts
        if not_given or MANAGES not in facts.scopes:
            raise no(Reason.PERMISSION)

    def _phone(self, access: CloudAccess, id: str) -> AtMeta:
        self._admit(access)
        phone = self.phones.get(id)
        if phone is None or phone.waba != access.waba:
            raise no(Reason.GONE)
        return phone

    def _code_state(self, phone: AtMeta) -> str:
        if phone.verified_at is None:
            return "NOT_VERIFIED"
        fresh = phone.registered or self.clock.now() < phone.verified_at + _VERIFIED
        return "VERIFIED" if fresh else "EXPIRED"

    def _spend(self, phone: AtMeta, used: list[datetime]) -> None:
        now = self.clock.now()
        if phone.blocked_until is not None and now < phone.blocked_until:
            raise no(Reason.SPENT, phone.blocked_until - now)
        if sum(at > now - _WINDOW for at in used) >= _ATTEMPTS:
            phone.blocked_until = now + _WINDOW
            raise no(Reason.SPENT, _WINDOW)
        used.append(now)

    def _compare(self, phone: AtMeta, pin: str) -> None:
        now = self.clock.now()
        if phone.pin is None:
            return
        if phone.locked_until is not None and now < phone.locked_until:
            raise no(Reason.TOO_MANY, phone.locked_until - now)
        if pin == phone.pin:
            phone.wrong = 0
            return
        phone.wrong += 1
        if phone.wrong >= self.guesses:
            phone.wrong, phone.locked_until = 0, now + _LOCKED
        raise no(Reason.WRONG_PIN)

    def _found(self, phone: AtMeta) -> FoundNumber:
        here = "CLOUD_API" if phone.registered else "NOT_APPLICABLE"
        status = "CONNECTED" if phone.registered else "DISCONNECTED"
        facts = Facts(
            at=self.clock.now(),
            name=phone.name,
            name_state=phone.name_state,
            new_name=phone.new_name,
            new_name_state=phone.new_name_state,
            code_state=self._code_state(phone),
            pin_on=None if phone.hidden_pin_state else phone.pin is not None,
            status=status if phone.status is None else phone.status,
            platform=here if phone.platform is None else phone.platform,
            on_app=phone.on_app,
            mode=phone.mode,
            quality="GREEN" if phone.registered else "UNKNOWN",
            webhook=phone.webhook,
            health=phone.health,
        )
        return FoundNumber(phone.id, phone.shown or phone.e164, facts)
