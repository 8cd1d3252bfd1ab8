"""Registering over the Cloud API: a code first, then the PIN, on the same counters as ever."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nightlatch.domain import cloud, registration
from nightlatch.domain.audit import Kind
from nightlatch.domain.cloud import Quirks
from nightlatch.domain.codes import CodeBudget, Method
from nightlatch.domain.errors import (
    CodeNeeded,
    CodesSpent,
    CodeVerified,
    CodeWait,
    GuessWait,
    NoCodePending,
    NotOnCloud,
    NumberLocked,
    Refusal,
    RegistrationOutdated,
    RegistrationWait,
    WrongCode,
)
from nightlatch.domain.guesses import Guesses
from nightlatch.domain.limits import VERIFIED_LIFE
from nightlatch.domain.mail import Letter, To
from nightlatch.domain.numbers import (
    CLOUD_API,
    CodeState,
    Decision,
    Number,
    RegistrationBudget,
    Status,
    TwoStep,
)
from nightlatch.domain.webhooks import Field, Hook
from tests.domain.samples import (
    DAY,
    HOUR,
    MICRO,
    MINUTE,
    OWNER_PIN,
    RIGHT_HASH,
    SECOND,
    WRONG_HASH,
    a_code,
    a_number,
)
from tests.people import E164, NOON, OWNER, THIEF

BY = "system-user:600000000000001"
VERIFIER = b"sealed verifier of another PIN"
DEFAULT = Quirks()
NEW_PIN = (OWNER.pin, VERIFIER)


def ask(number: Number, session="session-1", now=NOON) -> Decision:
    return cloud.ask_code(number, Method.SMS, a_code(session), BY, now)


def enter(number: Number, code=RIGHT_HASH, session="session-1", now=NOON) -> Decision:
    return cloud.enter_code(number, session, code, BY, now)


def register(
    number: Number, checked: int | None = None, new_pin=None, quirks=DEFAULT, now=NOON
) -> Decision:
    version = number.two_step.version if checked is None else checked
    return cloud.register(number, version, new_pin, quirks, BY, now)


def verified(**changes) -> Number:
    """The town's number, whose code was right at noon."""
    return a_number(**({"code_verified_at": NOON} | changes))


def on_cloud(**changes) -> Number:
    """The town's number, protected and registered with the Cloud API."""
    known = {"two_step": OWNER_PIN, "holder": CLOUD_API, "registered_at": NOON}
    return verified(**(known | changes))


def spent(count: int, at=NOON) -> RegistrationBudget:
    return RegistrationBudget((at,) * count)


def kinds(decision: Decision) -> list[Kind]:
    return [event.kind for event in decision.events]


def letters(decision: Decision) -> list[Letter]:
    assert {mail.to for mail in decision.mails} <= {To.OWNERS}
    return [mail.letter for mail in decision.mails]


def told(decision: Decision) -> list[str | None]:
    """What apps hear of it: the event of each hook."""
    assert {hook.line for hook in decision.hooks} <= {a_number().id}
    return [dict(hook.value)["event"] for hook in decision.hooks]


# The code


def test_a_code_is_sent_and_spends_the_one_budget_of_codes():
    decision = ask(a_number(codes=CodeBudget((NOON - HOUR,))))

    pending = decision.number.pending
    assert pending is not None
    assert (pending.client, pending.session, pending.checks) == (CLOUD_API, "session-1", 0)
    assert decision.number.codes.sent == (NOON - HOUR, NOON)
    assert decision.number.registrations.used == ()
    assert decision.messages == (a_code().message,)
    assert [(e.kind, e.by, e.details) for e in decision.events] == [
        (Kind.CODE_SENT, BY, (("method", "sms"),))
    ]


def test_the_sixth_code_of_a_day_is_refused_whoever_asked_for_the_others():
    with pytest.raises(CodesSpent):
        ask(a_number(codes=CodeBudget((NOON,) * 5)))


def test_a_number_that_was_verified_lately_needs_no_code():
    with pytest.raises(CodeVerified):
        ask(verified())


@pytest.mark.parametrize(
    ("after", "state"),
    [
        (timedelta(0), CodeState.VERIFIED),
        (VERIFIED_LIFE - MICRO, CodeState.VERIFIED),
        (VERIFIED_LIFE, CodeState.EXPIRED),
        (VERIFIED_LIFE + 365 * DAY, CodeState.EXPIRED),
    ],
)
def test_a_right_code_is_good_for_fourteen_days_to_the_last_microsecond(after, state):
    number, now = verified(), NOON + after

    assert number.code_state(now) is state
    if state is CodeState.VERIFIED:
        cloud.admit(number, now)
        assert register(number, new_pin=NEW_PIN, now=now).number.holder == CLOUD_API
        with pytest.raises(CodeVerified):
            ask(number, now=now)
    else:
        with pytest.raises(CodeNeeded):
            cloud.admit(number, now)
        with pytest.raises(CodeNeeded):
            register(number, new_pin=NEW_PIN, now=now)
        assert ask(number, now=now).messages


def test_fourteen_days_are_what_meta_says():
    assert timedelta(days=14) == VERIFIED_LIFE


def test_a_number_that_never_had_a_right_code_is_not_verified():
    assert a_number().code_state(NOON) is CodeState.NOT_VERIFIED
    with pytest.raises(CodeNeeded):
        cloud.admit(a_number(), NOON)
    with pytest.raises(CodeNeeded):
        register(a_number(), new_pin=NEW_PIN)


def test_the_right_code_verifies_and_hands_nothing_over():
    number = ask(a_number(holder=OWNER.client, registered_at=NOON - DAY)).number

    decision = enter(number, now=NOON + SECOND)

    assert decision.number == replace(number, pending=None, code_verified_at=NOON + SECOND)
    assert kinds(decision) == [Kind.CODE_VERIFIED]
    assert (decision.mails, decision.hooks, decision.refusal) == ((), (), None)


def test_a_wrong_code_is_kept_as_a_check_and_refused():
    decision = enter(ask(a_number()).number, WRONG_HASH)

    assert isinstance(decision.refusal, WrongCode)
    assert decision.number.pending is not None
    assert decision.number.pending.checks == 1
    assert decision.number.code_state(NOON) is CodeState.NOT_VERIFIED
    assert [(e.kind, e.details) for e in decision.events] == [(Kind.CODE_WRONG, (("checks", 1),))]


def test_the_right_code_after_five_wrong_ones_is_refused():
    number, at = ask(a_number()).number, NOON
    for wait in (0, 0, 0, 60, 120):
        at += wait * SECOND
        number = enter(number, WRONG_HASH, now=at).number

    with pytest.raises(NoCodePending):
        enter(number, now=at + SECOND)


def test_too_soon_after_the_third_check_even_the_right_code_waits():
    number = ask(a_number()).number
    for _ in range(3):
        number = enter(number, WRONG_HASH).number

    with pytest.raises(CodeWait):
        enter(number, now=NOON + MINUTE - MICRO)

    assert enter(number, now=NOON + MINUTE).number.code_verified_at == NOON + MINUTE


@pytest.mark.parametrize(
    ("after", "good"), [(10 * MINUTE - MICRO, True), (10 * MINUTE, False), (-MICRO, False)]
)
def test_a_code_lives_ten_minutes(after, good):
    number = ask(a_number()).number

    if good:
        assert enter(number, now=NOON + after).number.pending is None
    else:
        with pytest.raises(NoCodePending):
            enter(number, now=NOON + after)


def test_a_code_works_once():
    with pytest.raises(NoCodePending):
        enter(enter(ask(a_number()).number).number)


def test_without_asking_there_is_no_code_to_enter():
    with pytest.raises(NoCodePending):
        enter(a_number())


def test_only_the_newest_code_is_good():
    number = ask(ask(a_number()).number, "session-2", NOON + SECOND).number

    with pytest.raises(NoCodePending):
        enter(number, now=NOON + SECOND)

    assert enter(number, session="session-2", now=NOON + SECOND).number.pending is None


def test_a_code_that_a_client_asked_for_is_none_over_the_cloud_api_and_costs_no_check():
    number = registration.accept(
        a_number(), OWNER.client, Method.SMS, 0, a_code(), "main/admin", NOON
    ).number

    with pytest.raises(NoCodePending):
        enter(number)
    with pytest.raises(NoCodePending):
        enter(number, WRONG_HASH)


@pytest.mark.parametrize("client", [OWNER.client, THIEF.client])
def test_a_code_of_the_cloud_api_is_none_for_a_client(client):
    number = ask(a_number()).number

    with pytest.raises(NoCodePending):
        registration.enter_code(number, client, "session-1", RIGHT_HASH, f"{client}/admin", NOON)


# The order of the checks

CLOSED = Guesses(run=5, since=NOON)
LOCKED = Guesses(locked=True)


@pytest.mark.parametrize(
    ("number", "refusal"),
    [
        (a_number(two_step=OWNER_PIN, registrations=spent(10), guesses=CLOSED), RegistrationWait),
        (a_number(two_step=OWNER_PIN, guesses=CLOSED), CodeNeeded),
        (a_number(two_step=OWNER_PIN, guesses=LOCKED), CodeNeeded),
        (verified(two_step=OWNER_PIN, guesses=CLOSED), GuessWait),
        (verified(two_step=OWNER_PIN, guesses=LOCKED), NumberLocked),
        (on_cloud(guesses=CLOSED), GuessWait),
        (on_cloud(guesses=LOCKED), NumberLocked),
        (on_cloud(registrations=spent(10)), RegistrationWait),
    ],
)
def test_the_budget_is_looked_at_first_then_the_code_then_the_counter(number, refusal):
    with pytest.raises(refusal):
        cloud.admit(number, NOON)


@pytest.mark.parametrize(
    "number",
    [
        verified(),
        verified(two_step=OWNER_PIN),
        verified(guesses=LOCKED),
        verified(registrations=spent(9)),
        verified(holder=OWNER.client, registered_at=NOON),
        on_cloud(code_verified_at=None),
        on_cloud(code_verified_at=NOON - VERIFIED_LIFE),
    ],
)
def test_who_may_be_looked_at(number):
    cloud.admit(number, NOON)


# Registering


def test_with_two_step_off_the_pin_that_comes_along_is_set_and_the_owners_hear_of_it():
    decision = register(verified(), new_pin=NEW_PIN)

    number = decision.number
    assert (number.holder, number.status) == (CLOUD_API, Status.CONNECTED)
    assert number.registered_at == NOON
    assert number.two_step == TwoStep(1, VERIFIER)
    assert number.registrations.used == (NOON,)
    assert kinds(decision) == [Kind.TWO_STEP_ON, Kind.NUMBER_REGISTERED]
    assert decision.events[1].details == (("client", CLOUD_API),)
    assert letters(decision) == [Letter.PIN_SET]
    assert decision.hooks == ()


@pytest.mark.parametrize(("pin", "weak"), [("123456", True), (OWNER.pin, False)])
def test_a_weak_pin_that_is_set_by_registering_is_written_down_as_weak(pin, weak):
    decision = register(verified(), new_pin=(pin, VERIFIER))

    assert decision.events[0].details == (("weak", weak),)
    assert pin not in repr(decision)


def test_with_two_step_on_the_pin_stays_as_it_is():
    decision = register(verified(two_step=OWNER_PIN))

    assert decision.number.two_step == OWNER_PIN
    assert decision.number.holder == CLOUD_API
    assert kinds(decision) == [Kind.NUMBER_REGISTERED]
    assert (decision.mails, decision.hooks) == ((), ())


def test_the_registration_that_the_guess_paid_for_is_not_paid_for_again():
    number = verified(two_step=OWNER_PIN)
    paid = registration.pay_guess(number, BY, "graph", NOON, registers=True).number

    assert register(paid).number.registrations.used == (NOON,)


def test_where_a_wrong_pin_spends_no_registration_a_right_one_spends_one():
    quirks = Quirks(wrong_pin_spends_registration=False)
    number = verified(two_step=OWNER_PIN)
    paid = registration.pay_guess(number, BY, "graph", NOON).number

    assert paid.registrations.used == ()
    assert register(paid, quirks=quirks).number.registrations.used == (NOON,)


def test_where_a_wrong_pin_spends_no_registration_a_budget_spent_meanwhile_still_refuses():
    quirks = Quirks(wrong_pin_spends_registration=False)

    with pytest.raises(RegistrationWait):
        register(verified(two_step=OWNER_PIN, registrations=spent(10)), quirks=quirks)


def test_a_budget_spent_meanwhile_refuses_who_would_set_a_pin():
    with pytest.raises(RegistrationWait):
        register(verified(registrations=spent(10)), new_pin=NEW_PIN)


@pytest.mark.parametrize(
    ("before", "now_is"),
    [
        (OWNER_PIN, OWNER_PIN.turn_on(b"new")),
        (OWNER_PIN, OWNER_PIN.turn_off()),
        (OWNER_PIN, OWNER_PIN.turn_off().turn_on(b"new")),
        (TwoStep(), OWNER_PIN),
        (TwoStep(), TwoStep().turn_on(b"new").turn_off()),
    ],
    ids=["changed", "turned off", "turned off and set", "set", "set and turned off"],
)
def test_a_pin_that_changed_since_it_was_checked_makes_it_start_again(before, now_is):
    new_pin = None if before.is_on else NEW_PIN

    with pytest.raises(RegistrationOutdated):
        register(verified(two_step=now_is), before.version, new_pin)


def test_the_holder_registers_again_without_a_code_and_takes_nothing_over():
    decision = register(on_cloud(code_verified_at=None), now=NOON + DAY)

    assert decision.number.registered_at == NOON + DAY
    assert kinds(decision) == [Kind.NUMBER_REGISTERED]
    assert (decision.mails, decision.hooks) == ((), ())


def test_once_the_cloud_api_let_go_meanwhile_a_code_is_needed():
    with pytest.raises(CodeNeeded):
        register(on_cloud(holder=None, code_verified_at=NOON - VERIFIED_LIFE))


@pytest.mark.parametrize("two_step", [TwoStep(), OWNER_PIN])
def test_taking_a_number_from_a_client_is_written_mailed_and_told(two_step):
    number = verified(two_step=two_step, holder=OWNER.client, registered_at=NOON - DAY)

    decision = register(number, new_pin=None if two_step.is_on else NEW_PIN)

    assert decision.number.holder == CLOUD_API
    assert kinds(decision)[-2:] == [Kind.NUMBER_REGISTERED, Kind.NUMBER_TAKEN_OVER]
    assert decision.events[-1].details == (("from", OWNER.client),)
    assert letters(decision)[-1] == Letter.NUMBER_TAKEN_OVER
    assert decision.hooks == (
        Hook(
            Field.ACCOUNT,
            number.id,
            NOON,
            (("display_phone_number", E164[1:]), ("event", "ACCOUNT_RECONNECTED")),
        ),
    )


def test_a_client_that_takes_the_number_back_offboards_the_cloud_api():
    number = registration.accept(
        on_cloud(), OWNER.client, Method.SMS, OWNER_PIN.version, a_code(), "main/admin", NOON
    ).number

    decision = registration.enter_code(
        number, OWNER.client, "session-1", RIGHT_HASH, "main/admin", NOON
    )

    assert decision.number.holder == OWNER.client
    assert kinds(decision) == [Kind.NUMBER_REGISTERED, Kind.NUMBER_TAKEN_OVER]
    assert decision.events[1].details == (("from", CLOUD_API),)
    assert letters(decision) == [Letter.NUMBER_TAKEN_OVER]
    assert told(decision) == ["ACCOUNT_OFFBOARDED"]
    assert [hook.field for hook in decision.hooks] == [Field.ACCOUNT]


@pytest.mark.parametrize("holder", [None, OWNER.client, THIEF.client])
def test_a_client_that_takes_the_number_from_elsewhere_offboards_nobody(holder):
    number = registration.accept(
        a_number(), OWNER.client, Method.SMS, 0, a_code(), "main/admin", NOON
    ).number

    decision = registration.enter_code(
        replace(number, holder=holder), OWNER.client, "session-1", RIGHT_HASH, "x", NOON
    )

    assert decision.hooks == ()


def test_a_wrong_code_of_a_client_offboards_nobody():
    number = registration.accept(
        on_cloud(), OWNER.client, Method.SMS, OWNER_PIN.version, a_code(), "main/admin", NOON
    ).number

    decision = registration.enter_code(number, OWNER.client, "session-1", WRONG_HASH, "x", NOON)

    assert (decision.number.holder, decision.hooks) == (CLOUD_API, ())


# The PIN


@pytest.mark.parametrize(
    ("holder", "registered_at"), [(None, None), (None, NOON), (OWNER.client, NOON)]
)
def test_who_does_not_hold_the_number_sets_no_pin(holder, registered_at):
    number = a_number(holder=holder, registered_at=registered_at)

    with pytest.raises(NotOnCloud):
        cloud.refuse_unregistered(number, DEFAULT)
    cloud.refuse_unregistered(number, Quirks(pin_needs_connected=False))


def test_while_the_cloud_api_holds_the_number_a_pin_may_be_set():
    cloud.refuse_unregistered(on_cloud(), DEFAULT)


def with_pin(number: Number, pin=OWNER.new_pin, unchanged_since=None, quirks=DEFAULT) -> Decision:
    return cloud.with_pin(number, pin, VERIFIER, unchanged_since, quirks, BY, NOON)


@pytest.mark.parametrize("quirks", [DEFAULT, Quirks(pin_events=True)])
@pytest.mark.parametrize(
    ("before", "kind", "letter"),
    [
        (TwoStep(), Kind.TWO_STEP_ON, Letter.PIN_SET),
        (OWNER_PIN, Kind.TWO_STEP_CHANGED, Letter.PIN_CHANGED),
    ],
)
def test_a_pin_that_is_set_is_mailed_and_told_to_apps_only_where_that_is_wanted(
    before, kind, letter, quirks
):
    decision = with_pin(on_cloud(two_step=before), quirks=quirks)

    assert decision.number.two_step == TwoStep(before.version + 1, VERIFIER)
    assert (kinds(decision), letters(decision)) == ([kind], [letter])
    assert told(decision) == (["PIN_CHANGED"] if quirks.pin_events else [])
    assert {hook.field for hook in decision.hooks} <= {Field.SECURITY}


@pytest.mark.parametrize("quirks", [DEFAULT, Quirks(pin_events=True)])
def test_the_same_pin_again_changes_nothing_and_tells_nobody(quirks):
    number = on_cloud()

    assert with_pin(number, OWNER.pin, OWNER_PIN.version, quirks) == Decision(number)


@pytest.mark.parametrize("guesses", [Guesses(), CLOSED, LOCKED, Guesses(ticket=9, run=9)])
def test_setting_a_pin_buys_no_new_guesses(guesses):
    assert with_pin(on_cloud(guesses=guesses)).number.guesses is guesses


def test_registering_with_a_new_pin_tells_apps_of_it_where_that_is_wanted():
    number = verified(holder=OWNER.client, registered_at=NOON)

    decision = register(number, new_pin=NEW_PIN, quirks=Quirks(pin_events=True))

    assert told(decision) == ["PIN_CHANGED", "ACCOUNT_RECONNECTED"]


def test_registering_with_a_new_pin_buys_no_new_guesses():
    guesses = Guesses(ticket=9, run=9, since=NOON)

    assert register(verified(guesses=guesses), new_pin=NEW_PIN).number.guesses is guesses


# Deregistering


def test_deregistering_lets_go_and_keeps_the_pin():
    number = on_cloud()

    decision = cloud.deregister(number, DEFAULT, BY, NOON)

    assert decision.number == replace(number, holder=None, deregistrations=spent(1))
    assert decision.number.status is Status.DISCONNECTED
    assert [(e.kind, e.by, e.details) for e in decision.events] == [
        (Kind.NUMBER_RELEASED, BY, (("from", CLOUD_API),))
    ]
    assert (decision.mails, decision.hooks) == ((), ())


@pytest.mark.parametrize("two_step", [TwoStep(), OWNER_PIN])
def test_where_deregistering_turns_off_it_is_written_and_mailed_if_it_was_on(two_step):
    quirks = Quirks(deregistering_turns_off=True)

    decision = cloud.deregister(on_cloud(two_step=two_step), quirks, BY, NOON)

    assert not decision.number.two_step.is_on
    assert decision.number.holder is None
    off = [Kind.TWO_STEP_OFF] if two_step.is_on else []
    assert kinds(decision) == [Kind.NUMBER_RELEASED, *off]
    assert letters(decision) == ([Letter.PIN_TURNED_OFF] if two_step.is_on else [])


@pytest.mark.parametrize("holder", [None, OWNER.client, THIEF.client])
def test_what_the_cloud_api_does_not_hold_it_cannot_let_go_of(holder):
    with pytest.raises(NotOnCloud):
        cloud.deregister(on_cloud(holder=holder), DEFAULT, BY, NOON)


@pytest.mark.parametrize(
    ("used", "after", "refused"),
    [
        (9, timedelta(0), False),
        (10, timedelta(0), True),
        (10, 72 * HOUR - MICRO, True),
        (10, 72 * HOUR, False),
    ],
)
def test_ten_deregistrations_in_72_hours_and_then_72_hours_none(used, after, refused):
    number = on_cloud(deregistrations=spent(used))

    if refused:
        with pytest.raises(RegistrationWait):
            cloud.deregister(number, DEFAULT, BY, NOON + after)
    else:
        assert cloud.deregister(number, DEFAULT, BY, NOON + after).number.holder is None


def test_registrations_and_deregistrations_have_budgets_of_their_own():
    cloud.admit(on_cloud(deregistrations=spent(10)), NOON)
    cloud.deregister(on_cloud(registrations=spent(10)), DEFAULT, BY, NOON)


# Laws


class TwoWays(RuleBasedStateMachine):
    """One number, a client and the Cloud API, at any order of any time."""

    def __init__(self) -> None:
        super().__init__()
        self.number, self.now, self.sessions = a_number(), NOON, 0
        self.wrong: list[datetime] = []

    def keep(self, act: Callable[[Number], Decision]) -> bool:
        """Whether the act went through; its decision is kept as a store would."""
        before = self.number
        try:
            decision = act(before)
        except Refusal:
            assert self.number is before
            return False
        self.number = decision.number
        self.check(before, decision)
        return decision.refusal is None

    def check(self, before: Number, decision: Decision) -> None:
        after = decision.number
        if after.holder == CLOUD_API and before.holder != CLOUD_API:
            assert before.code_state(self.now) is CodeState.VERIFIED, "registered without a code"
            assert after.two_step.is_on, "registered without a PIN"
        if before.holder not in (None, after.holder) and after.holder is not None:
            assert Kind.NUMBER_TAKEN_OVER in kinds(decision)
            assert Letter.NUMBER_TAKEN_OVER in letters(decision)
            cloudy = CLOUD_API in (before.holder, after.holder)
            assert bool(decision.hooks) is cloudy, "apps heard nothing of a take-over"
        if after.two_step.version != before.two_step.version:
            assert decision.mails, "a PIN changed and the owners did not hear of it"

    @rule(seconds=st.sampled_from([0, 1, 61, 3_600, 86_400, 14 * 86_400]))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule()
    def ask_over_graph(self) -> None:
        self.sessions += 1
        self.keep(lambda n: ask(n, f"s{self.sessions}", self.now))

    @rule(right=st.booleans())
    def enter_over_graph(self, right: bool) -> None:
        code = RIGHT_HASH if right else WRONG_HASH
        pending = self.number.pending
        session = "" if pending is None else pending.session
        self.keep(lambda n: enter(n, code, session, self.now))

    def guess(self, right: bool, registers: bool) -> int | None:
        """Pay and settle; the version that was right."""
        version = self.number.two_step.version
        open_before = self.number.guesses.remaining(self.now)
        if not self.keep(
            lambda n: registration.pay_guess(n, BY, "x", self.now, registers=registers)
        ):
            return None
        assert not open_before, "compared while a wait ran"
        ticket = self.number.guesses.ticket
        settle = registration.settle_right if right else registration.settle_wrong
        self.keep(lambda n: settle(n, ticket, BY, "x", self.now))
        self.wrong = [] if right else [*self.wrong, self.now]
        return version if right else None

    @rule(right=st.booleans())
    def register_over_graph(self, right: bool) -> None:
        try:
            cloud.admit(self.number, self.now)
        except Refusal:
            return
        used = self.number.registrations.used
        if self.number.two_step.is_on:
            version = self.guess(right, registers=True)
            if version is None:
                return
            assert self.keep(lambda n: register(n, version, now=self.now))
        else:
            assert self.keep(lambda n: register(n, new_pin=NEW_PIN, now=self.now))
        assert self.number.registrations.used[-1] == self.now
        assert len(self.number.registrations.used) <= len(used) + 1, "counted twice"

    @rule(right=st.booleans(), code=st.booleans())
    def register_with_the_client(self, right: bool, code: bool) -> None:
        pin = OWNER.pin if self.number.two_step.is_on else None
        try:
            registration.admit(self.number, pin, self.now)
        except Refusal:
            return
        version: int | None = self.number.two_step.version
        if pin is not None:
            version = self.guess(right, registers=False)
        if version is None:
            return
        self.sessions += 1
        new, at = a_code(f"s{self.sessions}"), self.now
        checked = version
        self.keep(lambda n: registration.accept(n, OWNER.client, Method.SMS, checked, new, "x", at))
        entered = RIGHT_HASH if code else WRONG_HASH
        self.keep(lambda n: registration.enter_code(n, OWNER.client, new.session, entered, "x", at))

    @rule()
    def deregister_over_graph(self) -> None:
        held = self.number.holder
        if self.keep(lambda n: cloud.deregister(n, DEFAULT, BY, self.now)):
            assert held == CLOUD_API

    @rule()
    def set_pin_over_graph(self) -> None:
        held, guesses = self.number.holder, self.number.guesses
        try:
            cloud.refuse_unregistered(self.number, DEFAULT)
        except NotOnCloud:
            assert held != CLOUD_API
            return
        self.keep(with_pin)
        assert self.number.guesses is guesses

    @invariant()
    def no_window_has_more_than_ten_registrations(self) -> None:
        for used in (self.number.registrations.used, self.number.deregistrations.used):
            assert len([at for at in used if at > self.now - 72 * HOUR]) <= 10

    @invariant()
    def no_day_has_more_than_ten_wrong_guesses_whatever_the_way(self) -> None:
        assert len([at for at in self.wrong if at > self.now - DAY]) <= 10


TestTwoWays = TwoWays.TestCase
TestTwoWays.settings = settings(max_examples=120, stateful_step_count=40)
