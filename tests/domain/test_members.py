"""Members: roles, sign-ins, sessions, authenticator apps, passwords, mailed links."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain import members
from nightlatch.domain.audit import Kind
from nightlatch.domain.errors import (
    AppAlreadyOn,
    LinkRefused,
    ParameterInvalid,
    RoleTooLow,
    SignInRefused,
    SignInWait,
)
from nightlatch.domain.limits import APP_CODE_WAITS
from nightlatch.domain.mail import Letter, To
from nightlatch.domain.members import (
    MemberRole,
    Reset,
    SignIns,
    read_new_password,
    read_person_name,
    read_role,
)
from tests.domain.samples import (
    APP,
    DAY,
    HOUR,
    MICRO,
    MINUTE,
    PORTFOLIO,
    SECOND,
    a_member,
    a_session,
)
from tests.people import NOON, OWNER, THIEF

WAITS = (0, 0, 0, 0, 5, 10, 20, 40, 60)
TOKEN, OTHER = b"hash of the link", b"hash of another"
VERIFIER = b"sealed verifier of another password"
ADMIN, VIEWER = MemberRole.ADMIN, MemberRole.VIEWER
KEEP = b"hash of the session at hand"


def kinds(decision) -> list[Kind]:
    return [event.kind for event in decision.events]


# Roles


@pytest.mark.parametrize(
    ("role", "included"),
    [
        (MemberRole.OWNER, {MemberRole.OWNER, ADMIN, VIEWER}),
        (ADMIN, {ADMIN, VIEWER}),
        (VIEWER, {VIEWER}),
    ],
)
def test_a_role_includes_itself_and_those_below_it(role, included):
    member = a_member(role=role)

    refused = set()
    for other in MemberRole:
        try:
            member.refuse_below(other)
        except RoleTooLow:
            refused.add(other)

    assert refused == set(MemberRole) - included


@pytest.mark.parametrize("role", MemberRole)
def test_a_role_is_read_by_its_word(role):
    assert read_role(role.value) is role


@pytest.mark.parametrize("text", ["", "Owner", "root", " owner", "owner\n"])
def test_another_role_is_refused(text):
    with pytest.raises(ParameterInvalid) as refused:
        read_role(text)

    assert refused.value.name == "role"


def test_another_role_is_told():
    decision = members.change_role(a_member(), VIEWER, "by", NOON)

    assert decision.member == a_member(role=VIEWER)
    (event,) = decision.events
    assert (event.kind, event.by, event.at) == (Kind.MEMBER_ROLE, "by", NOON)
    assert event.details == (("member", OWNER.email), ("role", "viewer"))


def test_the_same_role_again_leaves_no_trace():
    decision = members.change_role(a_member(), MemberRole.OWNER, "by", NOON)

    assert (decision.member, decision.events) == (a_member(), ())


# Names and passwords


@pytest.mark.parametrize(("text", "name"), [(" Olivia ", "Olivia"), ("x" * 80, "x" * 80)])
def test_a_persons_name_is_one_to_80_printable_characters(text, name):
    assert read_person_name(text) == name


@pytest.mark.parametrize("text", ["", " ", "x" * 81, "a\nb", "a\x00b", "a\u202eb", "a\ud800"])
def test_another_name_is_refused(text):
    with pytest.raises(ParameterInvalid) as refused:
        read_person_name(text)

    assert refused.value.name == "name"


@pytest.mark.parametrize("length", [12, 13, 128])
def test_a_password_is_12_to_128_characters_of_any_kind(length):
    assert read_new_password("ü" * length) == "ü" * length


@pytest.mark.parametrize("length", [0, 11, 129, 10_000])
def test_a_password_of_another_length_is_refused_and_not_repeated(length):
    with pytest.raises(ParameterInvalid) as refused:
        read_new_password("x" * length)

    assert refused.value.name == "password"
    assert "xx" not in str(refused.value)


# Wrong sign-ins


def after_wrong(count: int, at=NOON) -> tuple[SignIns, datetime]:
    """*count* sign-ins, each as early as it is allowed, and when the last one was."""
    tried = SignIns()
    for n in range(count):
        at += WAITS[min(n, len(WAITS)) - 1] * SECOND if n else timedelta(0)
        tried = tried.pay(at)
    return tried, at


@pytest.mark.parametrize(("wrong", "seconds"), [*enumerate(WAITS, 1), (10, 60), (500, 60)])
def test_each_wrong_sign_in_waits_as_the_table_says_to_the_microsecond(wrong, seconds):
    tried, at = after_wrong(wrong)
    end = at + seconds * SECOND

    if seconds:
        with pytest.raises(SignInWait) as refused:
            tried.pay(end - MICRO)
        assert refused.value.retry_after == 1
        with pytest.raises(SignInWait) as at_once:
            tried.pay(at)
        assert at_once.value.retry_after == seconds

    assert tried.pay(end) == SignIns(wrong + 1, end)


@pytest.mark.parametrize(
    ("wrong", "seconds"), [(1, 0), (4, 0), (5, 60), (6, 300), (7, 900), (8, 900), (500, 900)]
)
def test_each_wrong_app_code_waits_as_its_own_table_says(wrong, seconds):
    tried = SignIns(wrong, NOON)

    if seconds:
        with pytest.raises(SignInWait):
            tried.pay(NOON + seconds * SECOND - MICRO, APP_CODE_WAITS)

    assert tried.pay(NOON + seconds * SECOND, APP_CODE_WAITS).wrong == wrong + 1


def test_an_hour_after_the_last_wrong_sign_in_all_are_forgotten():
    tried, at = after_wrong(30)

    assert tried.pay(at + HOUR - MICRO).wrong == 31
    assert tried.pay(at + HOUR) == SignIns(1, at + HOUR)


def test_a_clock_that_steps_back_makes_nobody_wait_longer_than_a_minute():
    tried, at = after_wrong(30)

    with pytest.raises(SignInWait) as refused:
        tried.pay(at - 3_650 * DAY)

    assert refused.value.retry_after == 60


@given(
    st.integers(0, 10_000), st.none() | st.integers(-(10**8), 10**8), st.integers(-(10**8), 10**8)
)
def test_a_sign_in_never_waits_more_than_a_minute_and_never_less_than_nothing(wrong, last, now):
    tried = SignIns(wrong, None if last is None else NOON + last * SECOND)

    waited, paid = None, None
    try:
        paid = tried.pay(NOON + now * SECOND)
    except SignInWait as refused:
        waited = refused.retry_after

    assert (waited is None) is (paid is not None)
    assert waited is None or 1 <= waited <= 60
    assert paid is None or (paid.wrong >= 1 and paid.last_at == NOON + now * SECOND)


@given(st.lists(st.integers(0, 120), max_size=200))
def test_no_timing_of_wrong_sign_ins_beats_the_allowance(pauses):
    tried, at, compared = SignIns(), NOON, []

    for pause in pauses:
        at += pause * SECOND
        try:
            tried = tried.pay(at)
        except SignInWait:
            continue
        compared.append(at)

    assert all(later - first >= 60 * SECOND for first, later in pairwise(compared[8:]))
    assert all(
        later - first >= 5 * SECOND for first, later in zip(compared, compared[5:], strict=False)
    )


# Sessions


@pytest.mark.parametrize(
    ("started", "seen", "whole", "ends"),
    [
        (NOON, NOON, True, NOON + 15 * MINUTE),
        (NOON, NOON + 10 * MINUTE, True, NOON + 25 * MINUTE),
        (NOON, NOON + 12 * HOUR - MINUTE, True, NOON + 12 * HOUR),
        (NOON, NOON, False, NOON + 5 * MINUTE),
        (NOON, NOON + 4 * MINUTE, False, NOON + 5 * MINUTE),
    ],
)
def test_a_session_ends_when_idle_when_old_and_half_ones_soon(started, seen, whole, ends):
    assert a_session(started_at=started, seen_at=seen, whole=whole).ends_at == ends


@pytest.mark.parametrize(("after", "worth"), [(30 * SECOND - MICRO, False), (30 * SECOND, True)])
def test_a_request_is_written_down_once_in_thirty_seconds(after, worth):
    assert a_session().should_touch(NOON + after) is worth


# Signing in


def test_signing_in_begins_a_session_and_is_told():
    decision = members.signed_in(a_member(), 1, a_session(), "", NOON)

    assert (decision.member, decision.session) == (a_member(), a_session())
    (event,) = decision.events
    assert (event.kind, event.by, event.at, event.details) == (
        Kind.SIGNED_IN, OWNER.email, NOON, (),
    )  # fmt: skip


def test_the_second_step_is_told_with_it():
    decision = members.signed_in(a_member(app=APP), 1, a_session(), "recovery code", NOON)

    assert decision.events[0].details == (("second_step", "recovery code"),)


def test_half_a_session_is_not_told():
    half = a_session(whole=False)

    decision = members.signed_in(a_member(app=APP), 1, half, "", NOON)

    assert (decision.session, decision.events) == (half, ())


@pytest.mark.parametrize("whole", [True, False])
def test_a_password_that_changed_meanwhile_begins_nothing(whole):
    with pytest.raises(SignInRefused):
        members.signed_in(a_member(version=2), 1, a_session(whole=whole), "", NOON)


def test_an_app_that_was_turned_on_meanwhile_cannot_be_stepped_over():
    with pytest.raises(SignInRefused):
        members.signed_in(a_member(app=APP), 1, a_session(whole=True), "", NOON)
    with pytest.raises(SignInRefused):
        members.and_sign_in(members.MemberDecision(a_member(app=APP)), a_session(), NOON)


# Authenticator apps


def test_an_app_ends_the_other_sessions_and_is_told():
    decision = members.turn_app_on(a_member(), APP, KEEP, NOON)

    assert decision.member.app == APP
    assert (decision.end_sessions, decision.keep) == (True, KEEP)
    assert kinds(decision) == [Kind.MEMBER_APP_ON]


def test_a_second_app_is_refused():
    with pytest.raises(AppAlreadyOn):
        members.turn_app_on(a_member(app=APP), APP, KEEP, NOON)


def test_turning_the_app_off_is_told_with_whose_it_was():
    decision = members.turn_app_off(a_member(app=APP), "operator", NOON)

    assert decision.member.app is None
    (event,) = decision.events
    assert (event.kind, event.by) == (Kind.MEMBER_APP_OFF, "operator")
    assert event.details == (("member", OWNER.email),)


def test_turning_off_no_app_leaves_no_trace():
    assert members.turn_app_off(a_member(), "operator", NOON) == members.MemberDecision(a_member())


def test_a_code_of_a_later_step_is_used_up():
    decision = members.use_app(a_member(app=APP), APP.step + 1)

    assert decision.member.app == replace(APP, step=APP.step + 1)


@pytest.mark.parametrize("step", [None, APP.step, APP.step - 1, 0])
def test_a_wrong_code_and_one_of_a_step_that_was_used_are_refused(step):
    with pytest.raises(SignInRefused):
        members.use_app(a_member(app=APP), step)


def test_without_an_app_no_code_is_right():
    with pytest.raises(SignInRefused):
        members.use_app(a_member(), 11)
    with pytest.raises(SignInRefused):
        members.use_recovery(a_member(), APP.recovery[0], NOON)


@given(st.lists(st.none() | st.integers(0, 40), max_size=30))
def test_no_step_is_ever_good_twice_and_none_before_one_that_was_used(steps):
    member, used = a_member(app=APP), [APP.step]

    for step in steps:
        try:
            member = members.use_app(member, step).member
        except SignInRefused:
            continue
        used.append(step)

    assert used == sorted(set(used))


def test_a_recovery_code_is_used_up_and_told_with_how_many_are_left():
    decision = members.use_recovery(a_member(app=APP), APP.recovery[1], NOON)

    assert decision.member.app == replace(APP, recovery=APP.recovery[:1])
    (event,) = decision.events
    assert (event.kind, event.by) == (Kind.MEMBER_RECOVERY, OWNER.email)
    assert event.details == (("left", 1),)


def test_a_recovery_code_is_good_once_and_an_unknown_one_never():
    member = members.use_recovery(a_member(app=APP), APP.recovery[1], NOON).member

    for code in (APP.recovery[1], b"recovery 3", b""):
        with pytest.raises(SignInRefused):
            members.use_recovery(member, code, NOON)


# Passwords


def test_another_password_ends_the_other_sessions_and_voids_the_links_before():
    member = a_member(reset=Reset(TOKEN, NOON))

    decision = members.with_password(member, VERIFIER, "by", NOON, keep=KEEP)

    assert (decision.member.verifier, decision.member.version) == (VERIFIER, 2)
    assert decision.member.reset is None
    assert (decision.end_sessions, decision.keep) == (True, KEEP)
    (event,) = decision.events
    assert (event.kind, event.by) == (Kind.MEMBER_PASSWORD, "by")
    assert event.details == (("member", OWNER.email),)


def asked(member=None, token=TOKEN, at=NOON):
    return members.ask_reset(member or a_member(), token, b"sealed", at)


def test_asking_for_another_password_mails_a_link_to_the_member():
    decision = asked()

    assert decision.member.reset == Reset(TOKEN, NOON)
    assert kinds(decision) == [Kind.MEMBER_RESET_ASKED]
    (mail,) = decision.mails
    assert (mail.letter, mail.to, mail.address) == (
        Letter.PASSWORD_RESET, To.PERSON, OWNER.email,
    )  # fmt: skip
    assert (mail.sealed, mail.about, mail.good_until) == (
        b"sealed", a_member().id, NOON + 30 * MINUTE,
    )  # fmt: skip
    assert dict(mail.facts) == {"name": OWNER.name, "at": NOON.isoformat()}


@pytest.mark.parametrize(
    ("after", "mails"), [(timedelta(0), 0), (MINUTE - MICRO, 0), (MINUTE, 1), (HOUR, 1)]
)
def test_asked_again_within_a_minute_nothing_happens(after, mails):
    member = asked().member

    decision = asked(member, OTHER, NOON + after)

    assert len(decision.mails) == len(decision.events) == mails
    assert decision.member == (member if not mails else a_member(reset=Reset(OTHER, NOON + after)))


def test_the_link_sets_another_password_once():
    member = asked().member

    decision = members.follow_reset(member, TOKEN, VERIFIER, NOON + MINUTE)

    assert (decision.member.verifier, decision.member.version) == (VERIFIER, 2)
    assert (decision.end_sessions, decision.keep) == (True, None)
    with pytest.raises(LinkRefused):
        members.follow_reset(decision.member, TOKEN, VERIFIER, NOON + MINUTE)


def test_a_link_is_good_for_thirty_minutes_to_the_microsecond():
    member = asked().member

    members.refuse_dead_reset(member, TOKEN, NOON + 30 * MINUTE - MICRO)

    with pytest.raises(LinkRefused):
        members.refuse_dead_reset(member, TOKEN, NOON + 30 * MINUTE)


@pytest.mark.parametrize(
    "member",
    [
        a_member(),
        asked(asked().member, OTHER, NOON + MINUTE).member,
        members.with_password(asked().member, VERIFIER, "by", NOON).member,
    ],
    ids=["never asked for", "replaced", "another password since"],
)
def test_a_link_that_is_not_the_newest_or_is_void_is_refused(member):
    with pytest.raises(LinkRefused):
        members.refuse_dead_reset(member, TOKEN, NOON + MINUTE)


def test_a_session_begins_with_the_new_password():
    decision = members.follow_reset(asked().member, TOKEN, VERIFIER, NOON)

    inside = members.and_sign_in(decision, a_session(), NOON)

    assert inside.session == a_session()
    assert kinds(inside) == [Kind.MEMBER_PASSWORD, Kind.SIGNED_IN]
    assert inside.end_sessions
    assert inside.member == decision.member


@given(st.lists(st.tuples(st.sampled_from(["ask", "follow"]), st.integers(0, 3_600)), max_size=40))
def test_whatever_is_asked_and_followed_each_link_works_once_and_only_while_it_is_the_newest(steps):
    member, at, mailed, used = a_member(), NOON, [], []

    for n, (step, seconds) in enumerate(steps):
        at += seconds * SECOND
        if step == "ask":
            decision = asked(member, b"link %d" % n, at)
            member = decision.member
            mailed += [(b"link %d" % n, at)] if decision.mails else []
            continue
        for token, sent_at in mailed:
            try:
                member = members.follow_reset(member, token, VERIFIER, at).member
            except LinkRefused:
                continue
            used.append(token)
            assert (token, sent_at) == mailed[-1]
            assert at < sent_at + 30 * MINUTE

    assert len(used) == len(set(used))
    assert all(b - a >= MINUTE for (_, a), (_, b) in pairwise(mailed) if a != b)


# Invitations


def test_an_invitation_is_good_for_a_week_and_names_who_invites():
    invited, event, mail = members.invitation(
        TOKEN, b"sealed", (PORTFOLIO.id, PORTFOLIO.name), ADMIN, THIEF.email, a_member(), NOON
    )

    assert (invited.hash, invited.portfolio, invited.role) == (TOKEN, PORTFOLIO.id, ADMIN)
    assert (invited.email, invited.by) == (THIEF.email, OWNER.email)
    assert invited.expires_at == mail.good_until == NOON + 7 * DAY
    assert (event.kind, event.by) == (Kind.MEMBER_INVITED, OWNER.email)
    assert event.details == (("member", THIEF.email), ("role", "admin"))
    assert (mail.letter, mail.to, mail.address) == (Letter.INVITATION, To.PERSON, THIEF.email)
    assert (mail.sealed, mail.about) == (b"sealed", THIEF.email)
    assert dict(mail.facts) == {
        "portfolio": PORTFOLIO.name, "role": "admin", "by": OWNER.email, "by_name": OWNER.name,
        "at": NOON.isoformat(),
    }  # fmt: skip
