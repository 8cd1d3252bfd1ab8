"""The PIN's form, weak PINs, turning the lock on and off, the mailed link."""

import re
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nightlatch.domain import two_step
from nightlatch.domain.audit import Kind
from nightlatch.domain.errors import (
    LinkRefused,
    ParameterInvalid,
    PinChangedMeanwhile,
    TwoStepIsOff,
    TwoStepIsOn,
)
from nightlatch.domain.guesses import Guesses
from nightlatch.domain.mail import Letter, To
from nightlatch.domain.numbers import Number, TurnOffLink
from nightlatch.domain.two_step import is_weak, read_pin, weakness
from nightlatch.domain.webhooks import Field
from tests.domain.samples import DAY, MICRO, MINUTE, OWNER_PIN, a_number
from tests.people import E164, NOON, OWNER, THIEF

VERIFIER = b"sealed verifier of another PIN"


@pytest.mark.parametrize("pin", ["012345", "000000", "999999", OWNER.pin])
def test_a_pin_is_taken_exactly_as_sent_zeros_kept(pin):
    assert read_pin(pin) == pin


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param("12345", id="five digits"),
        pytest.param("1234567", id="seven digits"),
        pytest.param(123456, id="int"),
        pytest.param(1e5, id="float"),
        pytest.param(True, id="bool"),
        pytest.param(None, id="null"),
        pytest.param(["1", "2", "3", "4", "5", "6"], id="list"),
        pytest.param({"pin": "123456"}, id="object"),
        pytest.param(b"123456", id="bytes"),
        pytest.param("١٢٣٤٥٦", id="Arabic-Indic digits"),
        pytest.param("１２３４５６", id="full-width digits"),  # noqa: RUF001 - the very point
        pytest.param("12345²", id="superscript"),
        pytest.param(" 23456", id="space first"),
        pytest.param("12345 ", id="space last"),
        pytest.param("123 456", id="space inside"),
        pytest.param(" 123456", id="space before six digits"),
        pytest.param("123456\n", id="newline after six digits"),
        pytest.param("123456\x00", id="NUL after six digits"),
        pytest.param("\ufeff123456", id="BOM before six digits"),
        pytest.param("123456\u200b", id="zero-width space after six digits"),
        pytest.param("123-456", id="hyphen, as in a code"),
        pytest.param("+12345", id="plus"),
        pytest.param("-12345", id="minus"),
        pytest.param("1_2345", id="underscore"),
        pytest.param("0x1234", id="hex"),
    ],
)
def test_anything_else_is_refused_and_not_repeated(value):
    with pytest.raises(ParameterInvalid) as refused:
        read_pin(value)

    assert refused.value.name == "pin"
    assert not re.search(r"\d{5}", str(refused.value))


@given(st.from_regex(r"[0-9]{6}", fullmatch=True, alphabet="0123456789"))
def test_every_string_of_six_ascii_digits_is_a_pin(text):
    assert read_pin(text) == text


DIGITS_OF_ALL_SCRIPTS = st.characters(categories=["Nd", "No", "Nl", "Cf", "Zs", "Cc"])


@given(
    st.one_of(
        st.text(alphabet=DIGITS_OF_ALL_SCRIPTS, max_size=8),
        st.text(max_size=8),
        st.integers(),
        st.booleans(),
        st.none(),
        st.lists(st.text(max_size=2), max_size=6),
    )
)
def test_nothing_but_six_ascii_digits_is_a_pin(value):
    good = isinstance(value, str) and len(value) == 6 and set(value) <= set("0123456789")

    try:
        taken = read_pin(value)
    except ParameterInvalid:
        assert not good
    else:
        assert good
        assert taken is value


@pytest.mark.parametrize(
    "pin",
    ["123456", "111111", "000000", "123123", "654321", "666666", "121212", "112233", "159753",
     "789456"],
)  # fmt: skip
def test_each_of_the_published_top_ten_is_weak(pin):
    assert is_weak(pin)


@pytest.mark.parametrize(
    ("pin", "why"),
    [
        ("024680", None),
        ("975310", None),
        ("135791", None),
        ("246802", None),
        ("333337", "two different digits"),
        ("747474", "a pair three times"),
        ("482482", "a half twice"),
        ("482284", "a palindrome"),
        ("447700", "three pairs"),
        ("147369", "two lines of the keypad"),
        ("311299", "DDMMYY"),
        ("123199", "MMDDYY"),
        ("991231", "YYMMDD"),
        ("290200", "29 February"),
        ("194907", "YYYYMM"),
        ("204912", "YYYYMM"),
        ("071949", "MMYYYY"),
        ("122049", "MMYYYY"),
        ("300299", None),
        ("190013", None),
        ("205001", None),
        ("189912", None),
        ("132049", None),
        ("147852", "two lines of the keypad"),
        ("148256", None),
        (OWNER.pin, None),
        (OWNER.new_pin, None),
        (THIEF.wrong_pin, None),
    ],
)
def test_dates_and_patterns_are_weak_and_their_neighbours_are_not(pin, why):
    assert is_weak(pin) is (why is not None)


REPEATS, FOLLOWS = "it repeats itself", "its digits follow one another"


@pytest.mark.parametrize(
    ("pin", "why"),
    [
        ("111111", REPEATS),
        ("121211", REPEATS),
        ("123123", REPEATS),
        ("121212", REPEATS),
        ("112233", REPEATS),
        ("123456", FOLLOWS),
        ("975310", None),
        ("987654", FOLLOWS),
        ("123321", "it reads the same backwards"),
        ("159753", "it is a line on the keypad"),
        ("311299", "it is a date"),
        ("198407", "it is a date"),
        (OWNER.pin, None),
    ],
)
def test_a_weak_pin_is_refused_with_its_reason(pin, why):
    assert weakness(pin) == why


COUNT = """
import hashlib
from nightlatch.domain.two_step import is_weak
weak = [f"{value:06d}" for value in range(1_000_000) if is_weak(f"{value:06d}")]
print(len(weak), hashlib.sha256("".join(weak).encode()).hexdigest())
"""
WEAK = "cb700894a1f20779cd6724c8075b86a2eef09ca079e14036438688812f97b4ff"
"""SHA-256 of all weak PINs, one after the other: the same ones since the first release."""


def test_nine_percent_of_all_pins_are_weak_and_always_the_same():
    counted = subprocess.run(  # in a process of its own, where nothing is traced
        [sys.executable, "-c", COUNT], capture_output=True, check=True
    )

    assert counted.stdout.decode().split() == ["90508", WEAK]


def test_turning_on_keeps_the_verifier_and_tells_whether_the_pin_is_weak():
    decision = two_step.turn_on(a_number(), "123456", VERIFIER, None, "main/admin", NOON)

    assert decision.number.two_step.is_on
    assert decision.number.two_step.verifier == VERIFIER
    assert decision.number.two_step.version == 1
    (event,) = decision.events
    assert (event.kind, event.by, event.at) == (Kind.TWO_STEP_ON, "main/admin", NOON)
    assert event.details == (("weak", True),)


def test_another_pin_is_a_change_and_a_new_version():
    number = a_number(two_step=OWNER_PIN)

    decision = two_step.turn_on(number, OWNER.new_pin, VERIFIER, None, "main/admin", NOON)

    assert decision.number.two_step.version == OWNER_PIN.version + 1
    assert [event.kind for event in decision.events] == [Kind.TWO_STEP_CHANGED]
    assert decision.events[0].details == (("weak", False),)


def test_the_same_pin_again_changes_nothing_and_tells_nobody():
    number = a_number(two_step=OWNER_PIN)

    decision = two_step.turn_on(number, OWNER.pin, VERIFIER, OWNER_PIN.version, "by", NOON)

    assert decision.number == number
    assert decision.events == ()


def test_the_same_pin_is_set_when_somebody_changed_it_meanwhile():
    number = a_number(two_step=replace(OWNER_PIN, version=2))

    decision = two_step.turn_on(number, OWNER.pin, VERIFIER, OWNER_PIN.version, "by", NOON)

    assert decision.number.two_step.verifier == VERIFIER
    assert decision.number.two_step.version == 3


def test_turning_off_forgets_the_verifier_and_makes_a_new_version():
    decision = two_step.turn_off(a_number(two_step=OWNER_PIN), "main/admin", NOON)

    assert not decision.number.two_step.is_on
    assert decision.number.two_step.version == OWNER_PIN.version + 1
    assert [event.kind for event in decision.events] == [Kind.TWO_STEP_OFF]


def test_turning_off_what_is_off_leaves_no_trace():
    number = a_number(two_step=OWNER_PIN.turn_off())

    decision = two_step.turn_off(number, "main/admin", NOON)

    assert decision.number == number
    assert decision.number.two_step.turn_off() == number.two_step
    assert decision.events == ()


@pytest.mark.parametrize("wrong", [0, 3, 9])
def test_neither_setting_nor_turning_off_touches_the_guess_counter(wrong):
    guesses = Guesses(ticket=wrong, run=wrong, since=NOON if wrong else None)
    number = a_number(two_step=OWNER_PIN, guesses=guesses)

    after_set = two_step.turn_on(number, OWNER.new_pin, VERIFIER, None, "by", NOON).number
    after_off = two_step.turn_off(after_set, "by", NOON).number

    assert after_off.guesses is guesses


# By somebody who must know the current PIN

BY = OWNER.email


def test_a_pin_is_set_where_there_is_none():
    decision = two_step.set_pin(a_number(), OWNER.pin, VERIFIER, BY, NOON)

    assert (decision.number.two_step.verifier, decision.number.two_step.version) == (VERIFIER, 1)
    assert [event.kind for event in decision.events] == [Kind.TWO_STEP_ON]
    assert [(mail.letter, mail.to) for mail in decision.mails] == [(Letter.PIN_SET, To.OWNERS)]


def test_a_pin_is_not_set_over_another_one():
    with pytest.raises(TwoStepIsOn):
        two_step.set_pin(a_number(two_step=OWNER_PIN), OWNER.new_pin, VERIFIER, BY, NOON)


def test_a_pin_is_changed_by_who_knew_the_current_one():
    number = a_number(two_step=OWNER_PIN)

    decision = two_step.change_pin(number, OWNER_PIN.version, OWNER.new_pin, VERIFIER, BY, NOON)

    assert (decision.number.two_step.verifier, decision.number.two_step.version) == (VERIFIER, 2)
    assert [event.kind for event in decision.events] == [Kind.TWO_STEP_CHANGED]
    assert [(mail.letter, mail.to) for mail in decision.mails] == [(Letter.PIN_CHANGED, To.OWNERS)]


@pytest.mark.parametrize(
    "meanwhile",
    [OWNER_PIN.turn_off(), replace(OWNER_PIN, version=2), OWNER_PIN.turn_off().turn_on(b"new")],
    ids=["turned off", "changed", "turned off and set"],
)
def test_a_pin_that_changed_since_it_was_checked_is_not_changed(meanwhile):
    number = a_number(two_step=meanwhile)

    with pytest.raises(PinChangedMeanwhile):
        two_step.change_pin(number, OWNER_PIN.version, OWNER.new_pin, VERIFIER, BY, NOON)


def test_whoever_turns_it_off_the_owners_hear_of_it_once():
    off = two_step.turn_off(a_number(two_step=OWNER_PIN), "main/admin", NOON)
    again = two_step.turn_off(off.number, "main/admin", NOON)

    assert [(mail.letter, mail.to) for mail in off.mails] == [(Letter.PIN_TURNED_OFF, To.OWNERS)]
    assert again.mails == ()


def test_setting_the_same_pin_again_mails_nothing():
    number = a_number(two_step=OWNER_PIN)

    decision = two_step.turn_on(number, OWNER.pin, VERIFIER, OWNER_PIN.version, "by", NOON)

    assert decision.mails == ()


def test_no_letter_tells_the_pin_or_its_verifier():
    decision = two_step.set_pin(a_number(), OWNER.pin, VERIFIER, BY, NOON)

    assert OWNER.pin not in repr(decision.mails)
    assert "verifier" not in repr(decision.mails)


# The mailed link

TOKEN, OTHER = b"hash of the link", b"hash of another"
ASKER, ASKER_VERSION = "400000000000001", 3


def a_link(token=TOKEN, at=NOON, pin_version=OWNER_PIN.version) -> TurnOffLink:
    return TurnOffLink(token, pin_version, ASKER, ASKER_VERSION, at + 30 * MINUTE)


def ask(number: Number | None = None, token=TOKEN, at=NOON):
    number = number or a_number(two_step=OWNER_PIN)
    link = a_link(token, at, number.two_step.version)
    return two_step.ask_to_turn_off(number, link, b"sealed token", BY, at)


def test_asking_mails_a_link_to_the_portfolio_and_turns_nothing_off():
    decision = ask()

    assert decision.number == a_number(two_step=OWNER_PIN, link=a_link(), links_sent=(NOON,))
    assert [(event.kind, event.by) for event in decision.events] == [(Kind.TURN_OFF_ASKED, BY)]
    (mail,) = decision.mails
    assert (mail.letter, mail.to, mail.address) == (Letter.TURN_OFF_LINK, To.PORTFOLIO, "")
    assert (mail.sealed, mail.about) == (b"sealed token", a_number().id)
    assert mail.good_until == a_link().expires_at == NOON + 30 * MINUTE
    assert dict(mail.facts)["by"] == BY
    assert TOKEN.hex() not in repr(mail)


def test_where_there_is_no_pin_there_is_no_link():
    with pytest.raises(TwoStepIsOff):
        ask(a_number())


@pytest.mark.parametrize(("after", "mailed"), [(MINUTE - MICRO, 0), (MINUTE, 1)])
def test_a_second_link_is_mailed_a_minute_after_the_first_to_the_microsecond(after, mailed):
    number = ask().number

    decision = ask(number, OTHER, NOON + after)

    assert len(decision.mails) == len(decision.events) == mailed
    assert decision.number.link == a_link(*((OTHER, NOON + after) if mailed else ()))
    assert mailed or decision.number == number


@pytest.mark.parametrize(("after", "mailed"), [(DAY - MICRO, 0), (DAY, 1)])
def test_a_sixth_link_is_mailed_a_day_after_the_first_to_the_microsecond(after, mailed):
    number = a_number(two_step=OWNER_PIN)
    for n in range(5):
        number = ask(number, b"link %d" % n, NOON + n * MINUTE).number

    assert len(ask(number, OTHER, NOON + after).mails) == mailed


def test_a_clock_that_steps_back_mails_no_further_link():
    number = ask().number

    assert ask(number, OTHER, NOON - 3_650 * DAY).mails == ()


def test_links_that_left_the_window_are_forgotten():
    number = a_number(two_step=OWNER_PIN, links_sent=(NOON, NOON + MINUTE))

    assert ask(number, at=NOON + DAY).number.links_sent == (NOON + MINUTE, NOON + DAY)


@given(st.lists(st.integers(0, 20_000) | st.integers(0, 70), max_size=120))
def test_no_timing_mails_more_than_five_links_in_a_day_or_two_in_a_minute(pauses):
    number, at, mailed = a_number(two_step=OWNER_PIN), NOON, []

    for pause in pauses:
        at += timedelta(seconds=pause)
        decision = ask(number, at=at)
        number = decision.number
        mailed += [at] if decision.mails else []

    assert all(later - first >= MINUTE for first, later in pairwise(mailed))
    assert all(later - first >= DAY for first, later in zip(mailed, mailed[5:], strict=False))


def follow(number: Number, token=TOKEN, version=ASKER_VERSION, at=NOON):
    return two_step.follow_link(number, token, version, BY, at)


def test_the_link_turns_two_step_off_and_is_gone():
    number = ask().number

    decision = follow(number, at=NOON + MINUTE)

    assert not decision.number.two_step.is_on
    assert decision.number.two_step.version == OWNER_PIN.version + 1
    assert decision.number.link is None
    (event,) = decision.events
    assert (event.kind, event.by, event.details) == (Kind.TWO_STEP_OFF, BY, (("path", "link"),))
    assert [(mail.letter, mail.to) for mail in decision.mails] == [
        (Letter.PIN_TURNED_OFF, To.OWNERS)
    ]


def test_the_link_works_once_also_when_the_same_pin_is_set_again():
    number = follow(ask().number).number
    again = two_step.set_pin(number, OWNER.pin, OWNER_PIN.verifier or b"", BY, NOON).number

    for gone in (number, again):
        with pytest.raises(LinkRefused):
            follow(gone)


@pytest.mark.parametrize(("after", "good"), [(30 * MINUTE - MICRO, True), (30 * MINUTE, False)])
def test_the_link_lives_thirty_minutes_to_the_microsecond(after, good):
    number = ask().number

    if good:
        assert not follow(number, at=NOON + after).number.two_step.is_on
    else:
        with pytest.raises(LinkRefused):
            follow(number, at=NOON + after)


@pytest.mark.parametrize(
    ("changes", "token", "version"),
    [
        pytest.param({"link": None}, TOKEN, ASKER_VERSION, id="never asked for"),
        pytest.param({"link": a_link(OTHER)}, TOKEN, ASKER_VERSION, id="replaced"),
        pytest.param({}, OTHER, ASKER_VERSION, id="another token"),
        pytest.param({}, b"", ASKER_VERSION, id="no token"),
        pytest.param({}, TOKEN[:-1], ASKER_VERSION, id="half a token"),
        pytest.param(
            {"two_step": OWNER_PIN.turn_on(b"new")}, TOKEN, ASKER_VERSION, id="the PIN was changed"
        ),
        pytest.param(
            {"two_step": OWNER_PIN.turn_off()}, TOKEN, ASKER_VERSION, id="it was turned off"
        ),
        pytest.param(
            {"two_step": replace(OWNER_PIN, verifier=None)}, TOKEN, ASKER_VERSION, id="it is off"
        ),
        pytest.param({}, TOKEN, ASKER_VERSION + 1, id="the asker's password was changed"),
        pytest.param({}, TOKEN, None, id="the asker is gone"),
    ],
)
def test_a_dead_link_is_refused_without_a_reason(changes, token, version):
    number = a_number(**({"two_step": OWNER_PIN, "link": a_link()} | changes))

    with pytest.raises(LinkRefused) as seen:
        two_step.refuse_dead_link(number, token, version, NOON)
    with pytest.raises(LinkRefused) as followed:
        follow(number, token, version)

    assert (seen.value.args, followed.value.args) == ((), ())


def test_looking_at_a_live_link_changes_nothing():
    number = ask().number

    for _ in range(100):
        two_step.refuse_dead_link(number, TOKEN, ASKER_VERSION, NOON)

    assert not follow(number).number.two_step.is_on


def test_who_may_not_follow_a_link_leaves_a_trace_and_nothing_else():
    number = ask().number

    decision = two_step.refused_link(number, THIEF.email, NOON)

    assert decision.number == number
    assert [(event.kind, event.by) for event in decision.events] == [
        (Kind.TURN_OFF_REFUSED, THIEF.email)
    ]
    assert decision.mails == ()


class LinksInAnyOrder(RuleBasedStateMachine):
    """Asking, following, PINs and passwords in any order, against what a person would expect."""

    def __init__(self):
        super().__init__()
        self.number = a_number(two_step=OWNER_PIN)
        self.now: datetime = NOON
        self.asker_version = ASKER_VERSION
        self.links: list[bytes] = []
        self.live: tuple[bytes, datetime] | None = None
        """The one token that would work, and when it was mailed."""
        self.used: list[bytes] = []

    @rule(seconds=st.sampled_from([1, 59, 60, 600, 1_799, 1_800, 86_400]))
    def time_passes(self, seconds):
        self.now += timedelta(seconds=seconds)

    @rule()
    def ask(self):
        token = b"token %d" % len(self.links)
        link = TurnOffLink(
            token, self.number.two_step.version, ASKER, self.asker_version, self.now + 30 * MINUTE
        )
        try:
            decision = two_step.ask_to_turn_off(self.number, link, b"sealed", BY, self.now)
        except TwoStepIsOff:
            assert not self.number.two_step.is_on
            return
        self.number = decision.number
        if decision.mails:
            self.links.append(token)
            self.live = (token, self.now)

    @rule(data=st.data())
    def follow(self, data):
        token = data.draw(st.sampled_from([*self.links, b"never mailed"]))
        good = (
            self.live is not None
            and token == self.live[0]
            and self.now < self.live[1] + 30 * MINUTE
        )
        try:
            decision = follow(self.number, token, self.asker_version, self.now)
        except LinkRefused:
            assert not good
            return
        assert good
        self.number = decision.number
        self.used.append(token)
        self.live = None

    @rule(how=st.sampled_from(["set", "change", "turn off", "the same again"]))
    def somebody_changes_the_pin(self, how):
        before = self.number.two_step
        if how == "set" and not before.is_on:
            self.number = two_step.set_pin(self.number, OWNER.pin, b"v", BY, self.now).number
        elif how == "change" and before.is_on:
            self.number = two_step.change_pin(
                self.number, before.version, OWNER.new_pin, b"v", BY, self.now
            ).number
        elif how == "turn off":
            self.number = two_step.turn_off(self.number, BY, self.now).number
        elif how == "the same again" and before.is_on:
            self.number = two_step.turn_on(
                self.number, OWNER.pin, b"v", before.version, BY, self.now
            ).number
        if self.number.two_step != before:
            self.live = None

    @rule()
    def the_asker_changes_the_password(self):
        self.asker_version += 1
        self.live = None

    @invariant()
    def no_link_worked_twice(self):
        assert len(self.used) == len(set(self.used))


TestLinksInAnyOrder = LinksInAnyOrder.TestCase
TestLinksInAnyOrder.settings = settings(max_examples=60, stateful_step_count=40)


# What apps hear


def told(decision) -> list[tuple[Field, dict[str, str | None]]]:
    assert {hook.line for hook in decision.hooks} <= {a_number().id}
    assert {hook.at for hook in decision.hooks} <= {NOON}
    return [(hook.field, dict(hook.value)) for hook in decision.hooks]


def security(event: str, **more: str) -> list[tuple[Field, dict[str, str | None]]]:
    return [(Field.SECURITY, {"display_phone_number": E164[1:], "event": event, **more})]


def test_apps_hear_of_a_pin_that_is_set_or_changed_in_the_manager():
    number = a_number(two_step=OWNER_PIN)

    set_ = two_step.set_pin(a_number(), OWNER.pin, VERIFIER, BY, NOON)
    changed = two_step.change_pin(number, 1, OWNER.new_pin, VERIFIER, BY, NOON)

    assert told(set_) == told(changed) == security("PIN_CHANGED")


def test_apps_hear_who_asked_to_turn_off_and_that_it_was_done():
    number = a_number(two_step=OWNER_PIN)
    link = TurnOffLink(TOKEN, 0, "400000000000001", 7, NOON + MINUTE)

    asked = two_step.ask_to_turn_off(number, link, b"sealed", BY, NOON)
    done = two_step.follow_link(asked.number, TOKEN, 7, BY, NOON)

    assert told(asked) == security("PIN_RESET_REQUEST", requester="400000000000001")
    assert told(done) == security("PIN_REQUEST_SUCCESS")


def test_apps_hear_nothing_of_a_link_that_is_not_mailed():
    number = a_number(two_step=OWNER_PIN, links_sent=(NOON,))
    link = TurnOffLink(TOKEN, 0, "400000000000001", 7, NOON + MINUTE)

    assert two_step.ask_to_turn_off(number, link, b"sealed", BY, NOON).hooks == ()


def test_apps_hear_nothing_of_a_pin_that_a_clients_admin_sets_or_turns_off():
    number = a_number(two_step=OWNER_PIN)

    assert two_step.turn_on(number, OWNER.new_pin, VERIFIER, None, BY, NOON).hooks == ()
    assert two_step.turn_off(number, BY, NOON).hooks == ()
    assert two_step.refused_link(number, BY, NOON).hooks == ()


def test_no_hook_tells_the_pin_its_verifier_or_the_link():
    decision = two_step.telling(two_step.set_pin(a_number(), OWNER.pin, VERIFIER, BY, NOON), NOON)

    assert [value["event"] for _, value in told(decision)] == ["PIN_CHANGED"] * 2
    assert OWNER.pin not in repr(decision.hooks)
    assert "verifier" not in repr(decision.hooks)
