"""A small Meta plays against the rules of linked numbers, with lost answers, late ones, crashes,
readings and news out of order, and people in WhatsApp Manager.

Whatever it does, a PIN that Meta took from us stays in the vault.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from nightlatch.domain import linked
from nightlatch.domain.errors import LedgerWait, OutcomeUnknown
from nightlatch.domain.ledger import Act
from nightlatch.domain.limits import LEDGER_WINDOW
from nightlatch.domain.linked import Facts, LinkedDecision, MetaRefusal, Reason
from nightlatch.domain.vault import KeptPin, Vault
from tests.domain.samples import HOUR, MINUTE, SECOND, a_linked, shown
from tests.people import NOON, OWNER

CODES = {Reason.WRONG_PIN: 133005, Reason.NOT_REGISTERED: 133010, Reason.CODE_NEEDED: 133006}
REFUSED = st.sampled_from([Reason.TOO_FAST, Reason.LOCKED, Reason.CALLS, Reason.OTHER])
FATES = (
    "answered", "answered", "lost, done", "lost, not done", "stuck", "slow", "refused", "unsent",
    "crash before", "crash after",
)  # fmt: skip
MOMENTS = st.sampled_from(
    [timedelta(0), SECOND, 15 * SECOND, 41 * SECOND, 59 * SECOND, 61 * SECOND, 6 * MINUTE, HOUR]
)
NONE = timedelta(0)


@dataclass
class AtMeta:
    """The number as it truly is."""

    pin: str | None = None
    ours: bool = False
    """Whether Meta took its PIN from us."""
    registered: bool = False
    verified: bool = True

    def take(self, act: Act, pin: str) -> Reason | None:
        """Why it refuses, or None once it is done."""
        match act:
            case Act.PIN:
                if not self.registered:
                    return Reason.NOT_REGISTERED
                self.pin, self.ours = pin, True
            case Act.REGISTER:
                if not self.registered and not self.verified:
                    return Reason.CODE_NEEDED
                if self.pin not in (None, pin):
                    return Reason.WRONG_PIN
                self.pin, self.ours, self.registered = pin, True, True
            case Act.DEREGISTER:
                self.registered = False
            case Act.CHECK:
                self.verified = True
        return None

    def show(self, at: datetime) -> Facts:
        state = ("CONNECTED", "CLOUD_API") if self.registered else ("DISCONNECTED", "")
        return shown(
            at, pin_on=self.pin is not None, status=state[0], platform=state[1],
            code_state="VERIFIED" if self.verified else "EXPIRED",
        )  # fmt: skip


class NumberAtMeta(RuleBasedStateMachine):
    """Attempts of every kind end in every way; what we hear of it comes in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.meta = AtMeta()
        self.now = NOON
        self.number = a_linked(vault=Vault(), facts=self.meta.show(NOON), holder=None)
        self.drawn = 0
        self.stuck: tuple[Act, str] | None = None
        self.late: list[tuple[str, Reason | None]] = []
        self.readings: list[Facts] = []
        self.news: list[tuple[str, datetime]] = []
        self.meant: set[str] = set()
        """PINs that somebody wanted to be the number's, or that were."""
        self.counted: list[tuple[Act, datetime, bool, str]] = []

    def keep(self, decision: LinkedDecision) -> None:
        self.number = decision.number
        current = self.number.vault.current
        if current is not None:
            self.meant.add(current.sealed.decode())

    def draw(self) -> str:
        self.drawn += 1
        return f"{self.drawn:06}"

    @property
    def plain(self) -> set[str]:
        """Every PIN in the vault."""
        vault = self.number.vault
        kept = (*vault.maybe, *(() if vault.current is None else (vault.current,)))
        return {pin.sealed.decode() for pin in kept}

    def land(self, *, really: bool) -> None:
        """What Meta has not looked at yet it looks at before any later call, or never."""
        if self.stuck is not None and really:
            self.meta.take(*self.stuck)
        self.stuck = None

    # What we do

    def attempt(
        self, act: Act, pin: KeptPin | None, fate: str, reason: Reason, *, force: bool = False
    ) -> None:
        key, busy = f"key {self.draw()}", self.number.under_way is not None
        try:
            begun = linked.begin(
                self.number, act, key, "x", self.now, pin=pin, client=OWNER.client, force=force
            )
        except OutcomeUnknown:
            assert busy or self.number.vault.is_full
            return
        except LedgerWait:
            assert not busy
            return
        assert not busy
        self.keep(begun)
        self.counted.append((act, self.now, force, key))
        plain = "" if pin is None else pin.sealed.decode()
        if act is Act.PIN:
            self.meant.add(plain)
        self.send(act, key, plain, fate, reason)

    def send(self, act: Act, key: str, plain: str, fate: str, reason: Reason) -> None:
        if fate == "crash before":
            return
        if fate == "unsent":
            self.counted.pop()
            self.keep(linked.not_sent(self.number, key, self.now))
            return
        if fate == "refused":
            if reason is Reason.CALLS:
                self.counted.pop()
            self.keep(linked.refused(self.number, key, MetaRefusal(reason, 1), self.now))
            return
        if fate == "stuck":
            self.stuck = (act, plain)
        said = None if fate in ("stuck", "lost, not done") else self.meta.take(act, plain)
        if fate == "slow":
            self.late.append((key, said))
        elif fate == "answered":
            self.hear_of(key, said)
        elif fate != "crash after":
            self.keep(linked.unanswered(self.number, key, self.now))

    def hear_of(self, key: str, said: Reason | None) -> None:
        if said is None:
            self.keep(linked.done(self.number, key, self.now))
        else:
            self.keep(linked.refused(self.number, key, MetaRefusal(said, CODES[said]), self.now))

    def chosen(self, which: str) -> KeptPin:
        vault = self.number.vault
        known = {"current": vault.current, "maybe": vault.maybe[0] if vault.maybe else None}
        pin = known.get(which)
        if pin is not None:
            return pin
        plain = self.meta.pin if which == "right" and self.meta.pin is not None else self.draw()
        return KeptPin(f"drawn {self.draw()}", plain.encode(), self.now)

    @rule(
        which=st.sampled_from(["new", "new", "current", "maybe"]), fate=st.sampled_from(FATES),
        reason=REFUSED, force=st.booleans(), landed=st.booleans(),
    )  # fmt: skip
    def set_pin(self, which, fate, reason, force, landed):
        self.land(really=landed)
        self.attempt(Act.PIN, self.chosen(which), fate, reason, force=force)

    @rule(
        which=st.sampled_from(["new", "current", "maybe", "right"]), fate=st.sampled_from(FATES),
        reason=REFUSED, landed=st.booleans(),
    )  # fmt: skip
    def register(self, which, fate, reason, landed):
        self.land(really=landed)
        self.attempt(Act.REGISTER, self.chosen(which), fate, reason)

    @initialize(registered=st.booleans())
    def begin(self, registered):
        if registered:
            self.attempt(Act.REGISTER, self.chosen("new"), "answered", Reason.OTHER)

    @rule(
        act=st.sampled_from([Act.PIN, Act.PIN, Act.REGISTER]),
        which=st.sampled_from(["new", "new", "current", "maybe"]),
        fate=st.sampled_from(["lost, done", "lost, not done", "stuck", "crash after"]),
        landed=st.booleans(),
    )  # fmt: skip
    def find_out_what_became_of_it(self, act, which, fate, landed):
        self.land(really=landed)
        self.attempt(act, self.chosen(which), fate, Reason.OTHER)
        self.read_truly(span=61 * SECOND)

    @rule(
        act=st.sampled_from([Act.DEREGISTER, Act.CHECK, Act.CODE]), fate=st.sampled_from(FATES),
        reason=REFUSED, landed=st.booleans(),
    )  # fmt: skip
    def do_something_without_a_pin(self, act, fate, reason, landed):
        self.land(really=landed)
        self.attempt(act, None, fate, reason)

    @rule(span=MOMENTS)
    def wait(self, span):
        self.now += span

    @rule(span=MOMENTS, pin_on=st.booleans(), status=st.booleans())
    def read(self, span, pin_on, status):
        facts = self.meta.show(self.now)
        if not pin_on:
            facts = replace(facts, pin_on=None)
        self.readings.append(facts if status else replace(facts, status=""))
        self.now += span

    @rule(span=MOMENTS)
    def read_truly(self, span):
        self.now += span
        self.reconcile(self.meta.show(self.now))

    @precondition(lambda self: self.readings)
    @rule(data=st.data())
    def hear_what_was_read(self, data):
        self.reconcile(self.readings.pop(data.draw(st.integers(0, len(self.readings) - 1))))

    def reconcile(self, facts: Facts) -> None:
        key = "" if self.number.under_way is None else self.number.under_way.key
        self.keep(linked.reconcile(self.number, key, facts, self.now))

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def hear_late(self, data):
        self.hear_of(*self.late.pop(data.draw(st.integers(0, len(self.late) - 1))))

    @precondition(lambda self: self.number.under_way is not None)
    @rule()
    def give_up_waiting_for_the_answer(self):
        assert self.number.under_way is not None
        self.keep(linked.unanswered(self.number, self.number.under_way.key, self.now))

    @rule(fate=st.sampled_from(FATES), reason=REFUSED, landed=st.booleans())
    def look_after(self, fate, reason, landed):
        self.land(really=landed)
        self.reconcile(self.meta.show(self.now))
        pin = self.number.vault.to_set_again
        if self.number.under_way is not None:
            self.keep(linked.look_later(self.number, self.now))
        elif self.number.set_again:
            assert pin is not None
            assert pin.sealed.decode() in self.meant  # and not what somebody only claimed
            self.attempt(Act.PIN, pin, fate, reason)
        elif linked.name_is_due(self.number, self.now):
            self.attempt(Act.REGISTER, self.number.vault.current, fate, reason)

    # What others do

    @rule(told=st.booleans())
    def somebody_sets_a_pin(self, told):
        self.meta.pin, self.meta.ours = f"their {self.draw()}", False
        if told:
            self.news.append(("changed", self.now.replace(microsecond=0)))

    @rule(told=st.booleans())
    def somebody_turns_it_off(self, told):
        self.meta.pin, self.meta.ours = None, False
        if told:
            self.news.append(("off", self.now.replace(microsecond=0)))

    @precondition(lambda self: self.news)
    @rule(data=st.data(), set_again=st.booleans())
    def hear_the_news(self, data, set_again):
        what, at = self.news.pop(data.draw(st.integers(0, len(self.news) - 1)))
        if what == "off":
            self.keep(linked.turned_off(self.number, at, self.now, set_again=set_again))
        else:
            self.keep(linked.pin_changed(self.number, at, self.now))

    @precondition(lambda self: self.meta.pin is not None and self.stuck is None)
    @rule()
    def somebody_says_what_the_pin_is(self):
        assert self.meta.pin is not None
        pin = KeptPin(f"told {self.draw()}", self.meta.pin.encode(), self.now)
        try:
            self.keep(linked.keep_pin(self.number, pin, "x", self.now))
        except OutcomeUnknown:
            assert self.number.under_way is not None
            return
        assert self.number.under_way is None
        self.meant.add(self.meta.pin)

    @rule()
    def a_name_is_approved(self):
        self.keep(linked.name_reviewed(self.number, "APPROVED", "New name", self.now, self.now))

    @rule()
    def a_client_turns_it_off(self):
        self.keep(linked.remember_off(self.number, "x", self.now))

    # What always holds

    @invariant()
    def a_pin_that_meta_took_from_us_is_in_the_vault(self):
        if self.meta.ours:
            assert self.meta.pin in self.plain

    @invariant()
    def a_good_vault_is_right(self):
        if self.meta.ours and self.number.vault.is_good:
            assert self.plain == {self.meta.pin}

    @invariant()
    def what_is_to_be_done_is_due(self):
        number = self.number
        if number.under_way is not None or number.set_again:
            assert number.due_at is not None

    @invariant()
    def nothing_is_attempted_too_often(self):
        for act in Act:
            window = [
                force for one, at, force, _ in self.counted
                if one is act and at > self.now - LEDGER_WINDOW
            ]  # fmt: skip
            assert len(window) <= act.limit
            assert len(window) < act.limit or any(window)

    def teardown(self):
        """Left alone with a Meta that answers, everything is found out, and a new PIN is known."""
        self.land(really=True)
        for _ in range(12):
            due = self.number.due_at
            if due is None:
                break
            self.now = max(self.now, due)
            for act in (Act.PIN, Act.REGISTER):
                self.now = max(self.now, self.number.ledger.next_safe(act, self.now))
            self.look_after("answered", Reason.OTHER, landed=True)
        number = self.number
        assert number.under_way is None
        assert not number.set_again
        assert number.due_at is None
        if self.meta.registered and not number.vault.is_full:
            self.now = number.ledger.next_safe(Act.PIN, self.now)
            self.attempt(Act.PIN, self.chosen("new"), "answered", Reason.OTHER)
            assert self.number.vault.is_good
            assert self.plain == {self.meta.pin}
            self.reconcile(self.meta.show(self.now))
            assert self.number.vault.confirmed_at == self.now


TestNumberAtMeta = NumberAtMeta.TestCase
TestNumberAtMeta.settings = settings(max_examples=60, stateful_step_count=40)
