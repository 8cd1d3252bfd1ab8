"""Numbers that live at the Cloud API: what is attempted there, and what became of it.

Meta cannot be asked what became of a call that it did not answer. So each
attempt is written down before it is made, and one that was not answered stays
unknown, and keeps others from being made, until what Meta shows tells.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from nightlatch.domain.audit import Detail, Event, Kind
from nightlatch.domain.errors import (
    CloudAccessLost,
    CloudCallsSpent,
    CloudIncomplete,
    CloudLocked,
    CloudRefused,
    CodeNeeded,
    CodesSpent,
    GuessWait,
    HeldElsewhere,
    LinkedNumberUnknown,
    NameNotApproved,
    NoNumberHeld,
    NotOnCloud,
    OnBusinessApp,
    OutcomeUnknown,
    PinNotInVault,
    Refusal,
    RegistrationWait,
    WrongCode,
    WrongPin,
)
from nightlatch.domain.guesses import Guesses
from nightlatch.domain.ledger import Act, Ledger
from nightlatch.domain.limits import (
    ALERTS_KEPT,
    CLOUD_CODE_WAITS,
    CLOUD_DELETED_WAIT,
    CLOUD_LOCKED_WAIT,
    CLOUD_LONGEST_WAIT,
    CLOUD_NAME_LIFE,
    CLOUD_OWN_CHANGE,
    CLOUD_SECONDS,
    CLOUD_SETTLED,
    CLOUD_TOO_FAST_WAIT,
    CLOUD_TOO_MANY_WAIT,
    CLOUD_WRONG_PIN_WAIT,
    LEDGER_WINDOW,
)
from nightlatch.domain.mail import Letter, Mail, To
from nightlatch.domain.vault import KeptPin, Vault

META_SAID: Final = "meta"
"""Who did what a webhook tells of, or what Meta's own answers show."""
_OVERDUE: Final = timedelta(seconds=CLOUD_SECONDS + 10)
_PAUSES: Final = tuple(timedelta(seconds=s) for s in (15, 30, 60, 300, 900, 3_600))
_MINUTE: Final = timedelta(minutes=1)
_LONG: Final = timedelta(hours=1)


class TurnOff(StrEnum):
    """What ``DELETE two-step`` does for a number that Meta will not turn it off for."""

    SHADOW = "shadow"
    """Answered as done and remembered; the next PIN that is set replaces the one at Meta."""
    REJECT = "reject"
    """Refused, with the steps that a person can take."""
    ROTATE = "rotate"
    """A PIN drawn by chance is set and kept in the vault."""


class Reason(StrEnum):
    """Why Meta refused, whatever words it used."""

    WRONG_PIN = "wrong_pin"
    TOO_FAST = "too_fast"
    TOO_MANY = "too_many"
    CODE_NEEDED = "code_needed"
    NOT_REGISTERED = "not_registered"
    JUST_DELETED = "just_deleted"
    SPENT = "spent"
    LOCKED = "locked"
    INCOMPLETE = "incomplete"
    CODE_UNSENT = "code_unsent"
    CODE_RATE = "code_rate"
    CODE_WRONG = "code_wrong"
    ON_APP = "on_business_app"
    NAME = "name"
    ELSEWHERE = "held_elsewhere"
    TOKEN = "token"  # noqa: S105 - the name of a reason
    PERMISSION = "permission"
    CALLS = "calls"
    GONE = "gone"
    OTHER = "other"


_FREE: Final = frozenset({Reason.TOKEN, Reason.PERMISSION, Reason.CALLS, Reason.GONE})
"""Refused before the number was looked at: the attempt does not count."""
_NOT_NOW: Final = _FREE - {Reason.GONE}
"""What was to be done all the same is done when Meta takes our calls again."""
_WAITS: Final = {
    Reason.WRONG_PIN: CLOUD_WRONG_PIN_WAIT,
    Reason.TOO_FAST: CLOUD_TOO_FAST_WAIT,
    Reason.TOO_MANY: CLOUD_TOO_MANY_WAIT,
    Reason.LOCKED: CLOUD_LOCKED_WAIT,
    Reason.JUST_DELETED: CLOUD_DELETED_WAIT,
    Reason.SPENT: LEDGER_WINDOW,
    Reason.CODE_UNSENT: CLOUD_CODE_WAITS[0],
    Reason.CODE_RATE: CLOUD_CODE_WAITS[1],
}
"""How long the same is not attempted again, when Meta does not say."""


@dataclass(frozen=True, slots=True)
class MetaRefusal:
    """An error of Meta's, read once and for all."""

    reason: Reason
    code: int
    subcode: int | None = None
    wait: timedelta | None = None
    """How long to wait, where its words say so."""

    @property
    def pause(self) -> timedelta | None:
        """How long the same must not be attempted again; None when it may."""
        if self.wait is not None and self.reason in _WAITS:
            return min(self.wait, CLOUD_LONGEST_WAIT)
        return _WAITS.get(self.reason)

    def as_refusal(self) -> Refusal:
        """How we pass it on."""
        pause = self.pause or _MINUTE
        match self.reason:
            case Reason.TOO_FAST | Reason.TOO_MANY:
                return GuessWait(pause, spent=self.reason is Reason.TOO_MANY)
            case Reason.JUST_DELETED | Reason.SPENT:
                return RegistrationWait(pause)
            case Reason.CODE_UNSENT | Reason.CODE_RATE:
                return CodesSpent(pause)
            case Reason.CALLS:
                return CloudCallsSpent(self.wait or _MINUTE)
            case Reason.OTHER:
                return CloudRefused(self.code, self.subcode)
        return _REFUSALS[self.reason]()


_REFUSALS: Final[dict[Reason, type[Refusal]]] = {
    Reason.WRONG_PIN: WrongPin,
    Reason.CODE_NEEDED: CodeNeeded,
    Reason.NOT_REGISTERED: NotOnCloud,
    Reason.LOCKED: CloudLocked,
    Reason.INCOMPLETE: CloudIncomplete,
    Reason.CODE_WRONG: WrongCode,
    Reason.ON_APP: OnBusinessApp,
    Reason.NAME: NameNotApproved,
    Reason.ELSEWHERE: HeldElsewhere,
    Reason.TOKEN: CloudAccessLost,
    Reason.PERMISSION: CloudAccessLost,
    Reason.GONE: LinkedNumberUnknown,
}


@dataclass(frozen=True, slots=True)
class HealthError:
    """One thing that Meta says is wrong with an entity, in its own words."""

    code: int
    description: str
    solution: str


@dataclass(frozen=True, slots=True)
class Health:
    """Whether one entity (number, account, business, app) can send messages."""

    entity: str
    id: str
    can_send: str
    """``AVAILABLE``, ``LIMITED`` or ``BLOCKED``."""
    errors: tuple[HealthError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What Meta shows of a number. States are Meta's own words; empty when it said nothing."""

    at: datetime
    """When we began to ask."""
    name: str = ""
    name_state: str = ""
    new_name: str = ""
    new_name_state: str = ""
    code_state: str = ""
    pin_on: bool | None = None
    status: str = ""
    platform: str = ""
    on_app: bool = False
    """Whether the number is used with the WhatsApp Business app too (coexistence)."""
    mode: str = ""
    quality: str = ""
    webhook: str = ""
    """Where the number's webhooks go, when that is not where the app's do."""
    health: tuple[Health, ...] = ()

    @property
    def registered(self) -> bool | None:
        """Whether the Cloud API holds the number; None when Meta does not say."""
        if not self.status or self.status == "UNKNOWN":
            return None
        here = self.platform in ("", "CLOUD_API")
        return here and self.status in ("CONNECTED", "FLAGGED", "RESTRICTED", "RATE_LIMITED")

    @property
    def verified(self) -> bool:
        """Whether a registration code was entered lately enough."""
        return self.code_state == "VERIFIED"


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The one attempt whose outcome is not known yet."""

    act: Act
    key: str
    at: datetime
    by: str
    client: str | None = None
    """The client that holds the number if it succeeds."""
    was_registered: bool | None = None
    """What Meta showed before."""
    was_pin_on: bool | None = None
    pin_key: str | None = None
    """The PIN in the vault that it brings; ``key`` when the PIN was kept for it."""
    unknown: bool = False
    """Whether the call ended without an answer; otherwise it may still run."""

    @property
    def kept_its_pin(self) -> bool:
        """Whether its PIN came into the vault with it, so that no earlier attempt sent it."""
        return self.pin_key == self.key

    def overdue(self, now: datetime) -> bool:
        """Whether no answer can come any more."""
        return self.unknown or now >= self.at + _OVERDUE


@dataclass(frozen=True, slots=True)
class Waiting:
    """A registration that waits for its code."""

    client: str
    at: datetime
    sealed: bytes | None = None
    """The PIN that came with it, sealed and bound to the number; opaque here."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that somebody should look at."""

    event: str
    at: datetime
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedNumber:
    """One number of a linked account."""

    id: str
    """Meta's phone number id."""
    e164: str
    cc: str
    waba: str
    found_at: datetime
    facts: Facts
    holder: str | None = None
    """The client that serves it at ``/v1``."""
    registered_at: datetime | None = None
    """When we registered it last."""
    waiting: Waiting | None = None
    vault: Vault = field(default_factory=Vault)
    ledger: Ledger = field(default_factory=Ledger)
    guesses: Guesses = field(default_factory=Guesses)
    """PINs that were compared with the vault's here, and never went to Meta when wrong."""
    under_way: UnderWay | None = None
    off_asked_at: datetime | None = None
    """Since when a client believes that two-step verification is off, which Meta does not do."""
    name_asked: str = ""
    """A display name that Meta approved and that needs another registration."""
    name_approved_at: datetime | None = None
    set_again: bool = False
    """Whether the PIN in the vault is to be set again, because somebody turned it off."""
    alerts: tuple[Alert, ...] = ()
    """Those that nobody has seen, oldest first."""
    looks: int = 0
    """How often Meta was asked in vain about what is due."""
    due_at: datetime | None = None
    """When somebody must look after it next; None when nothing is left to do."""

    @property
    def national(self) -> str:
        return self.e164[1 + len(self.cc) :]

    @property
    def digits(self) -> str:
        """The whole number without ``+``, as webhooks show it."""
        return self.e164[1:]

    @property
    def name(self) -> str:
        """The display name that Meta shows."""
        return self.facts.name

    @property
    def needs_pin(self) -> bool:
        """Whether registering needs a PIN of the client: one is on, and it did not turn it off."""
        return self.facts.pin_on is not False and self.off_asked_at is None

    def refuse_others(self, client: str) -> None:
        """Raise NoNumberHeld unless *client* serves the number."""
        if self.holder != client:
            raise NoNumberHeld

    def refuse_unknown(self, now: datetime) -> None:
        """Raise OutcomeUnknown while it is not known what became of an attempt."""
        if self.under_way is not None:
            at = self.under_way.at + CLOUD_SETTLED
            if self.due_at is not None:
                at = max(at, self.due_at)
            raise OutcomeUnknown(self.under_way.act.value, max(at - now, timedelta(seconds=5)))


@dataclass(frozen=True, slots=True)
class LinkedDecision:
    """What a rule decided about a linked number; a store keeps all of it in one atomic step."""

    number: LinkedNumber
    events: tuple[Event, ...] = ()
    mails: tuple[Mail, ...] = ()
    refusal: Refusal | None = None
    """Raised to the caller after the rest is durable."""


def begin(
    number: LinkedNumber,
    act: Act,
    key: str,
    by: str,
    now: datetime,
    *,
    pin: KeptPin | None = None,
    client: str | None = None,
    force: bool = False,
) -> LinkedDecision:
    """Before a call is made: count it, and keep its PIN. One that is not in the vault yet is
    kept there with *key*.

    Raises:
        OutcomeUnknown: another attempt is under way; or so many before brought PINs, of which
            nobody knows whether Meta took them, that the vault has no place for another.
        LedgerWait: too many were made, or Meta wants no more now.
    """
    number.refuse_unknown(now)
    vault, pin_key = number.vault, None
    if pin is not None:
        vault, pin_key = _keeping(number, act, pin, key, now)
    begun = UnderWay(
        act, key, now, by, client, number.facts.registered, number.facts.pin_on, pin_key
    )
    return _decided(
        replace(
            number,
            ledger=number.ledger.spend(act, now, force=force),
            vault=vault,
            under_way=begun,
        ),
        now,
        _event(Kind.ACT_BEGUN, by, now, act=act.value, attempts=number.ledger.count(act, now) + 1),
    )


def _keeping(
    number: LinkedNumber, act: Act, pin: KeptPin, key: str, now: datetime
) -> tuple[Vault, str]:
    """The vault with the PIN that is about to be sent, and the PIN's key there."""
    vault = number.vault
    found = vault.find(pin.key)
    if found is None:
        if vault.is_full:
            wait = _LONG if number.due_at is None else number.due_at - now
            raise OutcomeUnknown(act.value, max(wait, _MINUTE))
        return vault.keep(replace(pin, key=key), claimed=act is Act.REGISTER), key
    if act is Act.PIN and found in vault.maybe:  # set now, even if it was only claimed before
        vault = vault.drop(pin.key).keep(found)
    return vault, pin.key


def ask_code(
    number: LinkedNumber, key: str, client: str, sealed: bytes | None, by: str, now: datetime
) -> LinkedDecision:
    """``begin`` to ask for a code; *sealed* is the PIN that the registration brings, if any."""
    begun = begin(number, Act.CODE, key, by, now)
    return replace(begun, number=replace(begun.number, waiting=Waiting(client, now, sealed)))


def done(number: LinkedNumber, key: str, now: datetime) -> LinkedDecision:
    """Meta took it. An answer that comes after the outcome was found out changes nothing."""
    under_way = number.under_way
    if under_way is None or under_way.key != key:
        return LinkedDecision(number)
    told = _event(Kind.ACT_DONE, under_way.by, now, act=under_way.act.value)
    after, events = _succeeded(number, under_way, now)
    return _decided(after, now, told, *events)


def _succeeded(
    number: LinkedNumber, under_way: UnderWay, now: datetime, *, heard: bool = True
) -> tuple[LinkedNumber, tuple[Event, ...]]:
    """*heard* is false when Meta did not answer, and only showed it."""
    number = replace(number, under_way=None, looks=0)
    facts = replace(number.facts, at=now)
    match under_way.act:
        case Act.PIN:
            facts = replace(facts, pin_on=True)
            return _with_pin(number, under_way, facts, heard=heard), ()
        case Act.REGISTER:
            facts = replace(facts, pin_on=True, status="CONNECTED", platform="CLOUD_API")
            taken = _with_pin(number, under_way, facts, heard=heard)
            event = _event(Kind.NUMBER_REGISTERED, under_way.by, now, client=str(under_way.client))
            return replace(
                taken, holder=under_way.client, registered_at=now, waiting=None,
                name_asked="", name_approved_at=None,
            ), (event,)  # fmt: skip
        case Act.DEREGISTER:
            facts = replace(facts, status="DISCONNECTED", platform="NOT_APPLICABLE")
            return replace(number, facts=facts, holder=None), ()
        case Act.CHECK:
            return replace(number, facts=replace(facts, code_state="VERIFIED")), ()
    return replace(number, facts=facts), ()  # a code is on its way


def _with_pin(
    number: LinkedNumber, under_way: UnderWay, facts: Facts, *, heard: bool
) -> LinkedNumber:
    """Meta has the PIN of this attempt now, whatever it had before."""
    vault, key = number.vault, under_way.pin_key
    if key is not None:
        vault = vault.settle(key) if heard else vault.settle_unheard(key)
    return replace(number, vault=vault, facts=facts, off_asked_at=None, set_again=False)


def refused(number: LinkedNumber, key: str, answer: MetaRefusal, now: datetime) -> LinkedDecision:
    """Meta said no; the same is not attempted again for as long as it wants.

    The PIN that it brought leaves the vault unless an earlier attempt, of which nobody knows,
    brought it too.
    """
    under_way = number.under_way
    if under_way is None or under_way.key != key:
        return LinkedDecision(number)
    act, ledger = under_way.act, number.ledger
    if answer.reason in _FREE:
        ledger = ledger.give_back(act, under_way.at)
    if answer.pause is not None:
        ledger = ledger.close(act, answer.pause, now)
        if answer.reason is Reason.SPENT:
            ledger = ledger.close(Act.DEREGISTER, answer.pause, now)
            ledger = ledger.close(Act.REGISTER, answer.pause, now)
    vault, wrong = number.vault, act is Act.REGISTER and answer.reason is Reason.WRONG_PIN
    if under_way.kept_its_pin or wrong:
        vault = vault.drop(under_way.pin_key)
    current = vault.current
    ours = current is not None and current.key == under_way.pin_key
    if wrong and ours:
        vault = vault.doubt()
    event = _event(
        Kind.ACT_REFUSED, under_way.by, now,
        act=act.value, reason=answer.reason.value, code=answer.code,
    )  # fmt: skip
    facts = number.facts
    if answer.reason is Reason.CODE_NEEDED:
        facts = replace(facts, at=now, code_state="EXPIRED")
    later = answer.reason in _NOT_NOW
    moot = wrong and number.vault.to_set_again != vault.to_set_again
    after = replace(
        number, under_way=None, ledger=ledger, vault=vault, facts=facts,
        looks=number.looks + 1 if later else 0,
        set_again=number.set_again and (later or act is not Act.PIN) and not moot,
    )  # fmt: skip
    if act is Act.REGISTER and ours and not later:
        after = replace(after, name_asked="", name_approved_at=None)
    mails: tuple[Mail, ...] = ()
    if wrong and ours:
        mails = (_letter(Letter.CLOUD_PIN_REFUSED, number, META_SAID, now),)
    return replace(_decided(after, now, event), mails=mails)


def not_sent(number: LinkedNumber, key: str, now: datetime) -> LinkedDecision:
    """Meta was not reached at all: nothing was attempted."""
    under_way = number.under_way
    if under_way is None or under_way.key != key:
        return LinkedDecision(number)
    vault = number.vault
    after = replace(
        number,
        under_way=None,
        ledger=number.ledger.give_back(under_way.act, under_way.at),
        vault=vault.drop(under_way.pin_key) if under_way.kept_its_pin else vault,
        looks=number.looks + 1,
    )
    event = _event(Kind.ACT_NOT_SENT, under_way.by, now, act=under_way.act.value)
    return _decided(after, now, event)


def unanswered(number: LinkedNumber, key: str, now: datetime) -> LinkedDecision:
    """It was sent, and no answer came: nobody knows."""
    under_way = number.under_way
    if under_way is None or under_way.key != key:
        return LinkedDecision(number)
    event = _event(Kind.ACT_UNKNOWN, under_way.by, now, act=under_way.act.value)
    return _decided(replace(number, under_way=replace(under_way, unknown=True)), now, event)


class Outcome(StrEnum):
    """What a reading tells of an attempt that was not answered."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EITHER = "either"
    """Meta shows the same either way."""
    LATER = "later"
    """It may still be under way there, or Meta does not say."""


def outcome(under_way: UnderWay, facts: Facts, now: datetime) -> Outcome:
    """What *facts*, read after the attempt, tell of it."""
    if facts.at < under_way.at + CLOUD_SETTLED or not under_way.overdue(now):
        return Outcome.LATER
    match under_way.act:
        case Act.CHECK:
            return Outcome.SUCCEEDED if facts.verified else Outcome.FAILED
        case Act.CODE:
            return Outcome.EITHER
        case Act.DEREGISTER:
            return _change(under_way.was_registered, facts.registered, wanted=False)
        case Act.REGISTER:
            told = _change(under_way.was_registered, facts.registered, wanted=True)
            if told is not Outcome.EITHER:
                return told
    return _change(under_way.was_pin_on, facts.pin_on, wanted=True)


def _change(before: bool | None, after: bool | None, *, wanted: bool) -> Outcome:
    if after is None:
        return Outcome.LATER
    if after is not wanted:
        return Outcome.FAILED
    return Outcome.EITHER if before is not (not wanted) else Outcome.SUCCEEDED


def reconcile(number: LinkedNumber, key: str, facts: Facts, now: datetime) -> LinkedDecision:
    """Meta was read after an attempt that was not answered.

    No PIN leaves the vault for what Meta shows: a call that it has not got yet may
    still come true after the reading. Of a PIN that Meta may or may not have taken
    both stay, and the newer one is to be set again: nothing is lost by that when it
    was taken, unless somebody else has set another one since.
    """
    under_way = number.under_way
    if under_way is None or under_way.key != key:
        return observe(number, facts, now)
    told = outcome(under_way, facts, now)
    number = observe(number, facts, now).number
    if told is Outcome.LATER:
        return look_later(number, now)
    event = _event(Kind.ACT_RECONCILED, META_SAID, now, act=under_way.act.value, outcome=told.value)
    if told is Outcome.SUCCEEDED:
        after, events = _succeeded(number, under_way, now, heard=False)
        shown = replace(after, facts=number.facts)
        if under_way.act in (Act.PIN, Act.REGISTER) and shown.vault.is_good:
            shown = replace(shown, vault=shown.vault.confirm(now))
        elif under_way.act is Act.PIN:
            shown = replace(shown, set_again=True)
        seen = observe(shown, number.facts, now)
        return replace(seen, events=(event, *events, *seen.events))
    again = number.set_again
    if told is Outcome.EITHER and under_way.act is Act.PIN:
        newer = any(pin.key == under_way.pin_key for pin in number.vault.maybe)
        again = again or (newer and not number.vault.doubted)
    # What is tried again by itself is tried after growing pauses.
    looks = number.looks + 1 if number.set_again or number.name_asked else 0
    over = replace(number, under_way=None, set_again=again, looks=looks)
    seen = observe(over, number.facts, now)  # now what it shows of the PIN counts, too
    return replace(seen, events=(event, *seen.events))


def observe(number: LinkedNumber, facts: Facts, now: datetime) -> LinkedDecision:
    """Keep what Meta showed, unless something newer is known."""
    if facts.at < number.facts.at:
        return LinkedDecision(number)
    vault, events = number.vault, []
    if number.under_way is None and vault.current is not None:
        if facts.pin_on and vault.is_good and vault.confirmed_at is None:
            vault = vault.confirm(now)
            events.append(_event(Kind.PIN_CONFIRMED, META_SAID, now))
        elif facts.pin_on is False and not vault.doubted:
            vault = vault.doubt()
            events.append(_event(Kind.PIN_DOUBTED, META_SAID, now))
    shown = replace(number, facts=facts, vault=vault)
    if facts.pin_on is False:
        shown = replace(shown, off_asked_at=None)
    if facts.name and facts.name == number.name_asked:
        shown = replace(shown, name_asked="", name_approved_at=None)
    return _decided(shown, now, *events)


def look_later(number: LinkedNumber, now: datetime) -> LinkedDecision:
    """Meta could not be asked, or did not say."""
    due = now + _PAUSES[min(number.looks, len(_PAUSES) - 1)]
    if number.under_way is not None:
        due = max(due, number.under_way.at + CLOUD_SETTLED)
    return LinkedDecision(replace(number, looks=number.looks + 1, due_at=due))


def pay_guess(number: LinkedNumber, by: str, now: datetime) -> LinkedDecision:
    """Count a PIN before it is compared with the vault's.

    Raises:
        GuessWait, NumberLocked: refused unread.
    """
    return _guessed(number, number.guesses.pay(now), Kind.GUESS_PAID, by, now)


def settle_guess(
    number: LinkedNumber, ticket: int, by: str, now: datetime, *, right: bool
) -> LinkedDecision:
    """Write down whether it was the vault's; the owners hear of the first wrong one of a run."""
    if right:
        guesses, kind = number.guesses.right(ticket, now), Kind.GUESS_RIGHT
    else:
        guesses, kind = replace(number.guesses.wrong(ticket, now), warned=True), Kind.GUESS_WRONG
    decision = _guessed(number, guesses, kind, by, now)
    if right or number.guesses.warned:
        return decision
    first = _letter(Letter.FIRST_WRONG_GUESS, number, by, now)
    return replace(decision, mails=(first, *decision.mails))


def _guessed(
    number: LinkedNumber, guesses: Guesses, kind: Kind, by: str, now: datetime
) -> LinkedDecision:
    """Keep *guesses*, and tell of a lock that began or ended with them."""
    events = [_event(kind, by, now, path="vault", in_a_row=guesses.run)]
    mails = []
    if guesses.locked != number.guesses.locked:
        lock = Kind.NUMBER_LOCKED if guesses.locked else Kind.NUMBER_UNLOCKED
        events.append(_event(lock, by, now))
    if guesses.locked and not number.guesses.locked:
        mails.append(_letter(Letter.NUMBER_LOCKED, number, by, now))
    return LinkedDecision(replace(number, guesses=guesses), tuple(events), tuple(mails))


def unlock(number: LinkedNumber, by: str, now: datetime) -> LinkedDecision:
    """A person ends the lock, or a wait, after PINs that were not the vault's."""
    event = _event(Kind.NUMBER_UNLOCKED, by, now)
    return LinkedDecision(replace(number, guesses=number.guesses.unlock()), (event,))


def remember_off(number: LinkedNumber, by: str, now: datetime) -> LinkedDecision:
    """A client turned two-step verification off, which Meta does not do for us: remember it."""
    if number.off_asked_at is not None or number.facts.pin_on is False:
        return LinkedDecision(number)
    event = _event(Kind.OFF_REMEMBERED, by, now)
    letter = _letter(Letter.CLOUD_OFF_REMEMBERED, number, by, now)
    return LinkedDecision(replace(number, off_asked_at=now), (event,), (letter,))


def keep_pin(number: LinkedNumber, pin: KeptPin, by: str, now: datetime) -> LinkedDecision:
    """A person says what the number's PIN is: kept in the vault, sent to nobody.

    Raises:
        OutcomeUnknown: an attempt is under way.
    """
    number.refuse_unknown(now)
    vault = number.vault.keep(pin).settle(pin.key)
    kept = replace(number, vault=vault, set_again=False)
    return LinkedDecision(kept, (_event(Kind.PIN_KEPT, by, now),))


def reveal(number: LinkedNumber, by: str, now: datetime) -> LinkedDecision:
    """Somebody is about to see the PIN. Raises PinNotInVault."""
    if number.vault.current is None and not number.vault.maybe:
        raise PinNotInVault
    return LinkedDecision(number, (_event(Kind.PIN_REVEALED, by, now),))


def release(number: LinkedNumber, by: str, now: datetime) -> LinkedDecision:
    """The client serves the number no more; at Meta nothing changes."""
    if number.holder is None:
        return LinkedDecision(number)
    event = Event(Kind.LINKED_RELEASED, by, now, (("from", number.holder),))
    return LinkedDecision(replace(number, holder=None, waiting=None), (event,))


def forget_waiting(number: LinkedNumber, client: str) -> LinkedDecision:
    """The PIN that *client* asked a code with is wrong: it must come with another."""
    waiting = number.waiting
    theirs = waiting is not None and waiting.client == client
    return LinkedDecision(replace(number, waiting=None if theirs else waiting))


# What Meta's webhooks tell


def turn_off_asked(
    number: LinkedNumber, requester: str, at: datetime, now: datetime
) -> LinkedDecision:
    """Somebody pressed *Turn off two-step verification* in WhatsApp Manager."""
    return _alarmed(number, "PIN_RESET_REQUEST", requester, at, now, Letter.CLOUD_TURN_OFF_ASKED)


def pin_changed(number: LinkedNumber, at: datetime, now: datetime) -> LinkedDecision:
    """Somebody set a PIN in WhatsApp Manager; one that we set just before is taken for ours.

    News that is older than the PIN in the vault says nothing of that one.
    """
    if number.vault.is_good and _tried_just_before(number, at):
        return _heard(number, "PIN_CHANGED", at, now)
    current, changed = number.vault.current, number
    if not _is_old(number, at):
        changed = replace(number, facts=replace(number.facts, pin_on=True), off_asked_at=None)
    if current is not None and at >= current.at:
        changed = replace(changed, vault=number.vault.doubt())
    again = changed.set_again and changed.facts.pin_on is False
    return _alarmed(
        replace(changed, set_again=again), "PIN_CHANGED", "", at, now, Letter.CLOUD_PIN_CHANGED
    )


def _tried_just_before(number: LinkedNumber, at: datetime) -> bool:
    """Whether we sent a PIN to Meta so shortly before *at* that a change then is our own."""
    return any(
        act in (Act.PIN, Act.REGISTER)
        and tried.replace(microsecond=0) <= at <= tried + CLOUD_OWN_CHANGE  # Meta tells seconds
        for act, tried in number.ledger.used
    )


def turned_off(
    number: LinkedNumber, at: datetime, now: datetime, *, set_again: bool
) -> LinkedDecision:
    """Somebody followed the mailed link: there is no PIN any more, unless something newer is
    known, because the news came late.

    With *set_again* the one in the vault is to be set again.
    """
    off = number
    if not _is_old(number, at):
        again = set_again and number.vault.current is not None
        off = replace(
            number, facts=replace(number.facts, pin_on=False), vault=number.vault.doubt(),
            off_asked_at=None, set_again=again,
        )  # fmt: skip
    elif number.facts.pin_on is False:  # which a reading saw first
        again = set_again and number.vault.current is not None
        off = replace(number, vault=number.vault.doubt(), set_again=number.set_again or again)
    return _alarmed(off, "PIN_REQUEST_SUCCESS", "", at, now, Letter.CLOUD_PIN_TURNED_OFF)


def _is_old(number: LinkedNumber, at: datetime) -> bool:
    """Whether we know what was true after *at*: we set a PIN since, or Meta was read."""
    current = number.vault.current
    set_since = current is not None and at < current.at
    return set_since or at + CLOUD_SETTLED < number.facts.at


def name_reviewed(
    number: LinkedNumber, decision: str, name: str, at: datetime, now: datetime
) -> LinkedDecision:
    """Meta decided about a display name; an approved one needs another registration."""
    facts = replace(number.facts, new_name=name, new_name_state=decision)
    number = replace(number, facts=facts)
    if decision != "APPROVED" or not number.facts.registered:
        return _heard(number, f"name {decision}", at, now)
    asked = replace(number, name_asked=name, name_approved_at=at)
    told = _heard(asked, "name APPROVED", at, now)
    if number.vault.is_good:
        return told
    return replace(told, mails=(_letter(Letter.CLOUD_NAME_APPROVED, number, META_SAID, now),))


def name_is_due(number: LinkedNumber, now: datetime) -> bool:
    """Whether the number is to be registered again for a display name that was approved.

    Half of what the ledger allows is left to people.
    """
    at = number.name_approved_at
    spared = number.ledger.count(Act.REGISTER, now) < Act.REGISTER.limit // 2
    return at is not None and now < at + CLOUD_NAME_LIFE and number.vault.is_good and spared


def see_alerts(number: LinkedNumber, by: str, now: datetime) -> LinkedDecision:
    """Somebody has seen what there is to see."""
    if not number.alerts:
        return LinkedDecision(number)
    event = _event(Kind.ALERTS_SEEN, by, now, alerts=len(number.alerts))
    return LinkedDecision(replace(number, alerts=()), (event,))


def _heard(number: LinkedNumber, what: str, at: datetime, now: datetime) -> LinkedDecision:
    return _decided(number, now, _event(Kind.HEARD, META_SAID, now, what=what, at=at.isoformat()))


def _alarmed(
    number: LinkedNumber, event: str, by: str, at: datetime, now: datetime, letter: Letter
) -> LinkedDecision:
    alerts = (*number.alerts, Alert(event, at, by))[-ALERTS_KEPT:]
    told = _heard(replace(number, alerts=alerts, looks=0), event, at, now)
    return replace(told, mails=(_letter(letter, number, by or META_SAID, now),))


def _decided(number: LinkedNumber, now: datetime, *events: Event) -> LinkedDecision:
    """With the time at which somebody must look after the number next."""
    return LinkedDecision(replace(number, due_at=_due(number, now)), events)


def _due(number: LinkedNumber, now: datetime) -> datetime | None:
    under_way = number.under_way
    if under_way is not None:
        return under_way.at + (CLOUD_SETTLED if under_way.unknown else _OVERDUE)
    vault = number.vault
    unconfirmed = vault.is_good and vault.confirmed_at is None and bool(number.facts.registered)
    if unconfirmed or number.set_again or name_is_due(number, now):
        pause = _PAUSES[min(number.looks, len(_PAUSES)) - 1] if number.looks else timedelta(0)
        return now + pause
    return None


def _event(kind: Kind, by: str, now: datetime, **details: Detail) -> Event:
    return Event(kind, by, now, tuple(details.items()))


def _letter(letter: Letter, number: LinkedNumber, by: str, now: datetime) -> Mail:
    facts = (
        ("number", number.e164),
        ("name", number.name),
        ("linked_id", number.id),
        ("by", by),
        ("at", now.isoformat()),
    )
    return Mail(letter=letter, to=To.OWNERS, at=now, facts=facts)
