"""Webhooks from Meta: who may tell us what, and what follows from it."""

import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightlatch.domain.errors import RequestMalformed, Unavailable, WebhookForged
from nightlatch.domain.limits import CLOUD_NAME_LIFE
from nightlatch.domain.linked import Reason
from nightlatch.domain.mail import Letter
from nightlatch.usecases import inbound, linked, links, vault
from tests.fakes.cloud import LOST_BUT_DONE, LOST_UNDONE, TOKEN, UNSENT, WABA, Meanwhile, Refuse
from tests.fakes.stores import StoreWith
from tests.people import OWNER, THIEF
from tests.usecases.conftest import APP_SECRET, MOBILE, AtCloud

OTHER_WABA = "202290129340398"
OTHER_SECRET = "ffeeddccbbaa99887766554433221100"


def signed(body: bytes, secret: str = APP_SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def told(field: str, value: Any, *, waba: Any = WABA, at: Any = None) -> bytes:
    """A webhook as Meta writes it."""
    time = int(at.timestamp()) if isinstance(at, datetime) else at
    change = {"field": field, "value": value}
    entry = {"id": waba, "time": time, "changes": [change]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def security(
    event: str, *, at: Any, number: Any = MOBILE[1:], waba: Any = WABA, **more: Any
) -> bytes:
    value = {"display_phone_number": number, "event": event} | more
    return told("security", value, waba=waba, at=at)


def name_update(decision: str, name: str, *, at: datetime) -> bytes:
    value = {
        "display_phone_number": MOBILE[1:],
        "decision": decision,
        "requested_verified_name": name,
        "rejection_reason": None,
    }
    return told("phone_number_name_update", value, at=at)


async def hear(
    at: AtCloud, body: bytes, waba: str = WABA, signature: str | None = "", **ports: Any
) -> int:
    given = signed(body) if signature == "" else signature
    return await inbound.hear(at.other_world(**ports), waba, body, given)


# The handshake


async def test_meta_gets_its_challenge_back_for_the_verify_token(at_cloud):
    at = at_cloud
    token = links.verify_token_of(at.world, await at.link())

    assert await inbound.challenge(at.world, WABA, "subscribe", token, "1158201444") == "1158201444"
    for waba, mode, wrong in (
        (OTHER_WABA, "subscribe", token),
        (WABA, "unsubscribe", token),
        (WABA, "subscribe", token + "x"),
        (WABA, "subscribe", ""),
        (WABA, "subscribe", "ümlaut"),
    ):
        with pytest.raises(WebhookForged):
            await inbound.challenge(at.world, waba, mode, wrong, "1158201444")


# Signatures


async def test_only_what_the_app_signed_over_these_bytes_is_heard(at_cloud):
    at = at_cloud
    phone = await at.known()
    body = security("PIN_RESET_REQUEST", at=at.world.clock.now())
    right = signed(body)

    for signature in (
        None,
        right.removeprefix("sha256="),
        right.upper(),
        right[:-1],
        right + "0",
        signed(body, "another-secret"),
        signed(body + b" "),
        "sha1=" + hmac.new(APP_SECRET.encode(), body, hashlib.sha1).hexdigest(),
        "sha256=ümlaut",
    ):
        with pytest.raises(WebhookForged):
            await hear(at, body, signature=signature)
    with pytest.raises(WebhookForged):
        await hear(at, body + b" ", signature=right)
    with pytest.raises(WebhookForged):
        await hear(at, body, OTHER_WABA)

    assert (await at.number(phone)).alerts == ()
    assert await hear(at, body, signature=right) == 1


async def test_an_account_without_a_secret_hears_nothing(at_cloud):
    at = at_cloud
    at.cloud.accounts[OTHER_WABA] = "Flower shop"
    await links.link(at.world, at.portfolio, OTHER_WABA, TOKEN)
    body = security("PIN_CHANGED", at=at.world.clock.now(), waba=OTHER_WABA)

    for key in (APP_SECRET, ""):
        with pytest.raises(WebhookForged):
            await hear(at, body, OTHER_WABA, signed(body, key))


async def test_the_same_webhook_once_more_changes_nothing(at_cloud):
    at = at_cloud
    phone = await at.known()
    body = security("PIN_RESET_REQUEST", at=at.world.clock.now(), requester="123")

    first = await hear(at, body)
    before = await at.number(phone)
    spelled = json.dumps(json.loads(body), indent=1, sort_keys=True).encode()
    again = [await hear(at, body), await hear(at, spelled)]
    at.pass_time(7 * 24 * 3600)
    again.append(await hear(at, body))

    assert (first, again) == (1, [0, 0, 0])
    assert await at.number(phone) == before
    assert await at.letters(Letter.CLOUD_TURN_OFF_ASKED) == [OWNER.email]


async def test_several_changes_in_one_webhook_are_each_heard_once(at_cloud):
    at = at_cloud
    await at.known()
    other = await at.known(e164="+16505550101")
    now = at.world.clock.now()
    bodies = [
        json.loads(security("PIN_RESET_REQUEST", at=now)),
        json.loads(security("PIN_RESET_REQUEST", at=now, number="+1 650-555-0101")),
        json.loads(told("messages", {"messages": [{"text": "hello"}]}, at=now)),
    ]
    joined = dict(bodies[0], entry=[b["entry"][0] for b in bodies])

    assert await hear(at, json.dumps(joined).encode()) == 2
    assert await hear(at, security("PIN_RESET_REQUEST", at=now)) == 0
    assert len((await at.number(other)).alerts) == 1


# Whose numbers


async def test_one_address_serves_all_accounts_of_an_app_and_each_by_its_own_settings(at_cloud):
    at = at_cloud
    at.cloud.accounts[OTHER_WABA] = "Flower shop"
    await links.link(at.world, at.portfolio, OTHER_WABA, TOKEN, secret=APP_SECRET, set_again=True)
    phone = at.cloud.add_registered(MOBILE, OWNER.pin, waba=OTHER_WABA)
    await at.read(OTHER_WABA)
    await vault.keep(at.world, await at.number(phone), OWNER.pin)
    phone.pin = None
    at.pass_time(5)

    body = security("PIN_REQUEST_SUCCESS", at=at.world.clock.now(), waba=OTHER_WABA)

    assert await hear(at, body) == 1
    assert (await at.number(phone)).set_again
    await at.upkeep()
    assert phone.pin == OWNER.pin


@pytest.mark.parametrize("secret", [OTHER_SECRET, None])
async def test_another_app_says_nothing_about_an_accounts_numbers(at_cloud, secret):
    at = at_cloud
    at.cloud.accounts[OTHER_WABA] = "Flower shop"
    await links.link(at.world, at.office.neighbour.portfolio, OTHER_WABA, TOKEN, secret=secret)
    phone = at.cloud.add_registered(MOBILE, OWNER.pin, waba=OTHER_WABA)
    await at.read(OTHER_WABA)

    body = security("PIN_RESET_REQUEST", at=at.world.clock.now(), waba=OTHER_WABA)

    assert await hear(at, body) == 0
    assert (await at.number(phone)).alerts == ()


async def test_news_of_numbers_and_accounts_that_nobody_knows_are_taken_and_left(at_cloud):
    at = at_cloud
    phone = await at.known()
    now = at.world.clock.now()

    for body in (
        security("PIN_CHANGED", at=now, number="16505550199"),
        security("PIN_CHANGED", at=now, number=""),
        security("PIN_CHANGED", at=now, number=None),
        security("PIN_CHANGED", at=now, number=[MOBILE]),
        security("PIN_CHANGED", at=now, waba=OTHER_WABA),
        security("PIN_CHANGED", at=now, waba=None),
        security("SOMETHING_NEW", at=now),
        told("messages", {"display_phone_number": MOBILE[1:]}, at=now),
        told("security", None, at=now),
    ):
        assert await hear(at, body) == 0

    assert (await at.number(phone)).alerts == ()


async def test_a_number_that_is_unlinked_while_it_is_told_of_is_left(at_cloud):
    at = at_cloud
    await at.known()
    body = security("PIN_CHANGED", at=at.world.clock.now())

    async def too_late(*given: Any) -> bool:
        await links.unlink(at.world, await at.link())
        return bool(await at.world.store.hear(*given))

    assert await hear(at, body, store=StoreWith(at.world.store, hear=too_late)) == 0


async def test_what_could_not_be_kept_is_told_again_by_meta_and_heard_then(at_cloud):
    at = at_cloud
    await at.known()
    body = security("PIN_CHANGED", at=at.world.clock.now())

    async def broken(*_: Any) -> bool:
        raise Unavailable

    with pytest.raises(Unavailable):
        await hear(at, body, store=StoreWith(at.world.store, hear=broken))
    assert await hear(at, body) == 1


# Odd bodies


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"object":"page","entry":[]}',
        b'{"object":"whatsapp_business_account"',
        b"[" * 100_000,
        b'{"object":' + b"9" * 5_000 + b"}",
    ],
)
async def test_what_is_signed_and_no_webhook_is_refused(at_cloud, body):
    with pytest.raises(RequestMalformed):
        await hear(at_cloud, body)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        {},
        "text",
        [None],
        [[]],
        [{}],
        [{"changes": None}],
        [{"changes": [1, {}, {"value": 1}]}],
    ],
)
async def test_a_webhook_with_nothing_in_it_is_taken(at_cloud, entry):
    body = json.dumps({"object": "whatsapp_business_account", "entry": entry}).encode()

    assert await hear(at_cloud, body) == 0


async def test_no_depth_of_nesting_is_a_bug(at_cloud):
    at = at_cloud
    await at.known()
    front, back = security("PIN_CHANGED", at=1, requester="@").split(b'"@"')

    for depth in (*range(940, 1_010, 3), 5_000, 50_000):
        body = front + b"[" * depth + b"]" * depth + back
        try:
            await hear(at, body)
        except RequestMalformed:
            continue

    assert await hear(at, security("PIN_CHANGED", at=at.world.clock.now())) == 1


odd = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["PIN_CHANGED", "PIN_RESET_REQUEST", "PIN_REQUEST_SUCCESS", "APPROVED"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(event=odd, who=odd, time=odd, name=odd, decision=odd)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_meta_signs_is_kept_or_left_and_never_a_bug(
    at_cloud, event, who, time, name, decision
):
    at = at_cloud
    if not at.cloud.phones:
        await at.known()
    value = {
        "display_phone_number": MOBILE[1:],
        "event": event,
        "requester": who,
        "decision": decision,
        "requested_verified_name": name,
    }

    for field in ("security", "phone_number_name_update"):
        assert await hear(at, told(field, value, at=time)) in (0, 1)


@pytest.mark.parametrize("who", ["\ud800", "a\r\nBcc: x", "\u202e\x00", "x" * 5_000])
async def test_whoever_asked_is_shown_in_one_line(at_cloud, who):
    at = at_cloud
    phone = await at.known()

    await hear(at, security("PIN_RESET_REQUEST", at=at.world.clock.now(), requester=who))

    (alert,) = (await at.number(phone)).alerts
    assert alert.by.isprintable()
    assert len(alert.by) <= 200
    assert await at.letters(Letter.CLOUD_TURN_OFF_ASKED) == [OWNER.email]


@pytest.mark.parametrize(
    "time", [None, "soon", -(10**20), 10**20, 1.5, True, [], "9" * 5_000, 10**12]
)
async def test_without_a_time_that_can_be_it_happened_now(at_cloud, time):
    at = at_cloud
    phone = await at.known()
    before = at.world.clock.now()

    await hear(at, security("PIN_RESET_REQUEST", at=time))

    (alert,) = (await at.number(phone)).alerts
    assert before <= alert.at <= at.world.clock.now()


async def test_a_time_in_the_near_future_is_a_clock_that_differs(at_cloud):
    at = at_cloud
    phone = await at.known()

    await hear(at, security("PIN_RESET_REQUEST", at=at.world.clock.now() + timedelta(hours=2)))

    assert (await at.number(phone)).alerts[0].at <= at.world.clock.now()


# What follows


async def test_somebody_asking_to_turn_it_off_alarms_the_owners_and_changes_nothing(at_cloud):
    at = at_cloud
    phone = await at.served()
    vaulted = (await at.number(phone)).vault

    await hear(at, security("PIN_RESET_REQUEST", at=at.world.clock.now(), requester="12345"))

    number = await at.number(phone)
    assert [(a.event, a.by) for a in number.alerts] == [("PIN_RESET_REQUEST", "12345")]
    assert number.vault == vaulted
    assert await at.letters(Letter.CLOUD_TURN_OFF_ASKED) == [OWNER.email]
    assert at.cloud.count("set_pin") == 0


async def test_a_change_of_our_own_is_no_alarm(at_cloud):
    at = at_cloud
    phone = await at.served()
    at.pass_time(3_600)
    await at.turn_on(OWNER.new_pin)

    for seconds in (0, 30):
        at.pass_time(seconds)
        await hear(at, security("PIN_CHANGED", at=at.world.clock.now()))

    number = await at.number(phone)
    assert (number.alerts, number.vault.is_good) == ((), True)
    assert await at.letters(Letter.CLOUD_PIN_CHANGED) == []


async def test_a_foreign_change_is_doubted_told_and_met_by_the_next_pin(at_cloud):
    at = at_cloud
    phone = await at.served()
    at.pass_time(3_600)
    phone.pin = THIEF.wrong_pin

    await hear(at, security("PIN_CHANGED", at=at.world.clock.now()))

    number = await at.number(phone)
    assert ([a.event for a in number.alerts], number.vault.doubted) == (["PIN_CHANGED"], True)
    assert await at.letters(Letter.CLOUD_PIN_CHANGED) == [OWNER.email]
    await at.turn_on(OWNER.pin)
    assert phone.pin == OWNER.pin
    await at.agrees(phone)


async def test_late_news_of_a_change_before_ours_doubts_nothing(at_cloud):
    at = at_cloud
    phone = await at.served()
    at.pass_time(3_600)
    happened = at.world.clock.now()
    phone.pin = THIEF.wrong_pin
    at.pass_time(3_600)
    await at.turn_on(OWNER.new_pin)

    await hear(at, security("PIN_CHANGED", at=happened))

    assert (await at.number(phone)).vault.is_good
    assert [a.event for a in (await at.number(phone)).alerts] == ["PIN_CHANGED"]
    await at.agrees(phone)


@pytest.mark.parametrize("event", ["PIN_REQUEST_SUCCESS", "PIN_RESET_SUCCESS"])
@pytest.mark.parametrize("again", [True, False])
async def test_when_it_was_turned_off_the_vaults_pin_is_set_again_where_that_is_wanted(
    at_cloud, event, again
):
    at = at_cloud
    phone = await at.served()
    await links.change_link(at.world, await at.link(), set_again=again)
    at.pass_time(3_600)
    phone.pin = None

    await hear(at, security(event, at=at.world.clock.now()))
    await at.upkeep()

    assert phone.pin == (OWNER.pin if again else None)
    assert at.cloud.count("set_pin") == again
    assert await at.letters(Letter.CLOUD_PIN_TURNED_OFF) == [OWNER.email]
    await at.agrees(phone)


@pytest.mark.parametrize("fault", [LOST_BUT_DONE, LOST_UNDONE, UNSENT, Refuse(Reason.CALLS)])
async def test_setting_it_again_gets_through_whatever_happens_first(at_cloud, fault):
    at = at_cloud
    phone = await at.served()
    await links.change_link(at.world, await at.link(), set_again=True)
    at.pass_time(3_600)
    phone.pin = None
    at.cloud.script("set_pin", fault)

    await hear(at, security("PIN_REQUEST_SUCCESS", at=at.world.clock.now()))
    await at.upkeep(6)

    assert phone.pin == OWNER.pin
    await at.agrees(phone)


async def test_an_empty_vault_sets_nothing_again(at_cloud):
    at = at_cloud
    phone = await at.known(None)
    await links.change_link(at.world, await at.link(), set_again=True)

    await hear(at, security("PIN_REQUEST_SUCCESS", at=at.world.clock.now()))
    await at.upkeep()

    assert (phone.pin, at.writes()) == (None, 0)


# Display names


async def approved(at: AtCloud, phone: Any, name: str = "Lucky Tree") -> None:
    phone.new_name, phone.new_name_state = name, "APPROVED"
    await hear(at, name_update("APPROVED", name, at=at.world.clock.now()))


async def test_an_approved_name_is_applied_by_registering_again_with_the_vaults_pin(at_cloud):
    at = at_cloud
    phone = await at.served()
    at.pass_time(3_600)

    await approved(at, phone)
    await at.upkeep()

    assert phone.name == "Lucky Tree"
    assert [c.what for c in at.cloud.calls if c.method == "register"] == [OWNER.pin] * 2
    number = await at.number(phone)
    assert (number.name, number.name_asked, number.holder) == ("Lucky Tree", "", OWNER.client)
    await at.agrees(phone)


async def test_a_number_that_no_client_serves_gets_its_name_and_still_no_client(at_cloud):
    at = at_cloud
    phone = await at.known()

    await approved(at, phone)
    await at.upkeep()

    assert phone.name == "Lucky Tree"
    assert (await at.number(phone)).holder is None


async def test_with_a_vault_in_doubt_nobody_registers_and_the_owners_are_asked(at_cloud):
    at = at_cloud
    phone = await at.served()
    at.pass_time(3_600)
    await hear(at, security("PIN_CHANGED", at=at.world.clock.now()))

    await approved(at, phone)
    await at.upkeep()

    assert (phone.name, len(phone.registers)) == ("Lucky Shrub", 1)
    assert await at.letters(Letter.CLOUD_NAME_APPROVED) == [OWNER.email]
    at.pass_time(24 * 3_600)
    await at.turn_on(OWNER.new_pin)
    await at.upkeep()
    assert phone.name == "Lucky Tree"


async def test_after_fourteen_days_an_approval_is_worth_nothing(at_cloud):
    at = at_cloud
    phone = await at.served()
    happened = at.world.clock.now()
    at.pass_time(CLOUD_NAME_LIFE.total_seconds())
    phone.new_name, phone.new_name_state = "Lucky Tree", "APPROVED"

    await hear(at, name_update("APPROVED", "Lucky Tree", at=happened))
    await at.upkeep()

    assert len(phone.registers) == 1


async def test_a_declined_name_is_only_written_down(at_cloud):
    at = at_cloud
    phone = await at.served()

    await hear(at, name_update("REJECTED", "Lucky Tree", at=at.world.clock.now()))
    await at.upkeep()

    assert (await at.number(phone)).facts.new_name_state in ("REJECTED", "NONE")
    assert len(phone.registers) == 1


async def test_registering_for_a_name_does_not_go_on_when_meta_refuses_the_pin(at_cloud):
    at = at_cloud
    phone = await at.served()
    at.pass_time(3_600)
    phone.pin = THIEF.wrong_pin  # and no webhook told

    await approved(at, phone)
    for _ in range(5):
        await at.upkeep()
        at.pass_time(24 * 3_600)

    assert phone.wrong == 1
    assert await at.letters(Letter.CLOUD_PIN_REFUSED) == [OWNER.email]
    assert (await at.number(phone)).vault.doubted


async def test_a_name_that_is_never_shown_does_not_eat_the_registrations(at_cloud):
    at = at_cloud
    phone = await at.served()
    at.pass_time(100 * 3_600)
    at.cloud.script("register", *[LOST_UNDONE] * 30)

    await approved(at, phone)
    for _ in range(60):
        await at.upkeep()
        at.pass_time(3_600)

    assert at.cloud.count("register") <= 1 + 5
    await linked.refresh(at.world, await at.number(phone))
    await at.upkeep()
    await at.agrees(phone)


async def test_news_that_come_while_an_attempt_runs_do_not_disturb_it(at_cloud):
    at = at_cloud
    phone = await at.served()
    at.pass_time(3_600)

    async def changed() -> None:
        await hear(at, security("PIN_CHANGED", at=at.world.clock.now()))

    at.cloud.script("set_pin", Meanwhile(changed, before=False))
    await at.turn_on(OWNER.new_pin)

    assert (await at.number(phone)).vault.is_good
    await at.agrees(phone)


async def test_the_trail_says_where_a_webhook_came_from(at_cloud):
    at = at_cloud
    phone = await at.known()
    body = security("PIN_RESET_REQUEST", at=at.world.clock.now())

    await inbound.hear(at.world.seen_from("203.0.113.9"), WABA, body, signed(body))

    trail = [row async for row in at.world.store.audit(f"linked:{phone.id}")]
    assert trail[-1].event.place == "203.0.113.9"
