"""Attempts at Meta: every way a call can end, and what is true afterwards."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from nightlatch.domain.errors import (
    CloudLocked,
    CloudRefused,
    CloudUnreached,
    CodeNeeded,
    GuessWait,
    HeldElsewhere,
    LedgerWait,
    LinkedNumberUnknown,
    NameNeeded,
    NoCodePending,
    NoNumberHeld,
    NumberLocked,
    OnBusinessApp,
    OutcomeUnknown,
    ParameterInvalid,
    PinNeeded,
    PinNotInVault,
    Refusal,
    TurnOffElsewhere,
    Unavailable,
    WrongCode,
    WrongPin,
)
from nightlatch.domain.guesses import Guesses
from nightlatch.domain.ledger import Act
from nightlatch.domain.linked import LinkedDecision, Reason, TurnOff
from nightlatch.domain.mail import Letter
from nightlatch.ports import CloudNoAnswer, CloudNotSent
from nightlatch.usecases import bridge, linked, links, networks, vault
from nightlatch.usecases.registration import CodeSent
from tests.fakes.chances import KnownCodes
from tests.fakes.cloud import (
    CODE,
    LOST_BUT_DONE,
    LOST_UNDONE,
    UNSENT,
    WABA,
    Answer,
    AtMeta,
    Meanwhile,
    Refuse,
    no,
)
from tests.fakes.stores import StoreWith
from tests.people import OWNER, THIEF
from tests.usecases.conftest import MOBILE, AtCloud, outcomes

MAIN, OTHER = OWNER.client, THIEF.client
FREE = {Reason.TOKEN, Reason.PERMISSION, Reason.CALLS, Reason.GONE}


def phones() -> Iterator[str]:
    """Numbers that nobody has."""
    return (f"+1650555{n:04d}" for n in range(200, 10_000))


class Story:
    """One kind of attempt: what stands before it, how the old client makes it, which call."""

    def __init__(
        self,
        act: Act,
        method: str,
        prepare: Callable[[AtCloud, str], Awaitable[AtMeta]],
        go: Callable[[AtCloud, AtMeta], Awaitable[Any]],
    ) -> None:
        self.act, self.method, self.prepare, self.go = act, method, prepare, go


async def verified(at: AtCloud, e164: str) -> AtMeta:
    phone = at.cloud.add_verified(e164)
    await at.read()
    return phone


async def fresh(at: AtCloud, e164: str) -> AtMeta:
    phone = at.cloud.add(e164)
    await at.read()
    return phone


async def asked(at: AtCloud, e164: str) -> AtMeta:
    phone = await fresh(at, e164)
    await at.register(at.owner, OWNER.pin, e164=e164)
    return phone


async def served(at: AtCloud, e164: str) -> AtMeta:
    return await at.served(e164=e164)


def registers(at: AtCloud, phone: AtMeta) -> Awaitable[Any]:
    return at.register(at.owner, OWNER.pin, e164=phone.e164)


def sets_pin(at: AtCloud, phone: AtMeta) -> Awaitable[Any]:
    return at.turn_on(OWNER.new_pin)


def enters(at: AtCloud, phone: AtMeta) -> Awaitable[Any]:
    return at.enter(at.owner, CODE)


async def deregisters(at: AtCloud, phone: AtMeta) -> Any:
    return await bridge.deregister(at.world, await at.number(phone))


STORIES = [
    Story(Act.REGISTER, "register", verified, registers),
    Story(Act.PIN, "set_pin", served, sets_pin),
    Story(Act.CODE, "ask_code", fresh, registers),
    Story(Act.CHECK, "enter_code", asked, enters),
    Story(Act.DEREGISTER, "deregister", served, deregisters),
]
every_story = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.act.value)


async def refused(call: Awaitable[Any]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await call
    return caught.value


async def retried(at: AtCloud, story: Story, phone: AtMeta) -> Refusal:
    """The old client tries again at once; whatever it hears, nothing was sent."""
    before = at.writes()

    refusal = await refused(story.go(at, phone))

    assert at.writes() == before
    return refusal


async def what_was_written_is_known(at: AtCloud, phone: AtMeta) -> None:
    await at.upkeep()
    await linked.refresh(at.world, await at.number(phone))
    await at.agrees(phone)


@every_story
async def test_whatever_meta_refuses_is_told_and_tried_again_only_when_it_may_be(at_cloud, story):
    at, numbers = at_cloud, phones()
    for reason in Reason:
        phone = await story.prepare(at, next(numbers))
        spent = (await at.number(phone)).ledger.count(story.act, at.world.clock.now())
        at.cloud.script(story.method, Refuse(reason, timedelta(minutes=7)))

        refusal = await refused(story.go(at, phone))

        answer = no(reason, timedelta(minutes=7)).answer
        assert type(refusal) is type(answer.as_refusal()), reason
        number = await at.number(phone)
        cost = number.ledger.count(story.act, at.world.clock.now()) - spent
        assert cost == (reason not in FREE), reason
        assert number.vault.maybe == (), reason
        if answer.pause is not None:
            assert isinstance(await retried(at, story, phone), LedgerWait), reason
        if reason is Reason.TOKEN:
            assert (await at.link()).lost_at is not None
        await what_was_written_is_known(at, phone)


@every_story
async def test_a_call_that_was_not_answered_is_unknown_until_meta_shows_what_became_of_it(
    at_cloud, story
):
    at, numbers = at_cloud, phones()
    for fault in (LOST_BUT_DONE, LOST_UNDONE):
        phone = await story.prepare(at, next(numbers))
        at.cloud.script(story.method, fault)

        refusal = await refused(story.go(at, phone))

        assert isinstance(refusal, OutcomeUnknown)
        assert refusal.act == story.act.value
        assert isinstance(await retried(at, story, phone), OutcomeUnknown)
        number = await at.number(phone)
        for call in (
            lambda number: bridge.deregister(at.world, number),
            lambda number: bridge.register(at.world, number, None, MAIN),
            lambda number: vault.rotate(at.world, number),
            lambda number: vault.keep(at.world, number, "000001"),
        ):
            assert isinstance(await refused(call(number)), OutcomeUnknown)
        await what_was_written_is_known(at, phone)


@every_story
async def test_what_never_reached_meta_costs_nothing_and_may_be_tried_at_once(at_cloud, story):
    at = at_cloud
    phone = await story.prepare(at, MOBILE)
    at.cloud.script(story.method, UNSENT)

    refusal = await refused(story.go(at, phone))
    spent = (await at.number(phone)).ledger.count(story.act, at.world.clock.now())
    await story.go(at, phone)

    assert isinstance(refusal, CloudUnreached)
    after = (await at.number(phone)).ledger.count(story.act, at.world.clock.now())
    assert after == spent + 1
    await what_was_written_is_known(at, phone)


@every_story
async def test_a_client_that_hangs_up_leaves_nothing_unknown_for_good(at_cloud, story):
    at, numbers = at_cloud, phones()
    for before in (True, False):
        phone = await story.prepare(at, next(numbers))
        arrived = asyncio.Event()

        async def hang(arrived: asyncio.Event = arrived) -> None:
            arrived.set()
            await asyncio.Event().wait()

        at.cloud.script(story.method, Meanwhile(hang, before=before))
        call = asyncio.ensure_future(story.go(at, phone))
        await arrived.wait()

        call.cancel()
        await asyncio.wait([call])

        assert isinstance(await retried(at, story, phone), OutcomeUnknown)
        await what_was_written_is_known(at, phone)


@every_story
async def test_a_store_that_fails_when_the_outcome_is_to_be_kept_leaves_it_to_be_found_out(
    at_cloud, story
):
    at, numbers = at_cloud, phones()
    whole = at.world.store
    broken: list[bool] = []

    async def no_more(*_: Any, **__: Any) -> Any:
        raise Unavailable

    class Failing(StoreWith):
        def __getattribute__(self, name: str) -> Any:
            if broken and name in ("update_linked", "take_linked"):
                return no_more
            return super().__getattribute__(name)

    for ending in (None, CloudNotSent(), CloudNoAnswer(), no(Reason.OTHER)):
        phone = await story.prepare(at, next(numbers))
        frail = AtCloud(at.office, at.other_world(store=Failing(whole)), at.cloud)

        async def breaks(ending: Exception | None = ending) -> None:
            broken.append(True)
            if ending is not None:
                raise ending

        at.cloud.script(story.method, Meanwhile(breaks, before=ending is not None))

        refusal = await refused(story.go(frail, phone))

        broken.clear()
        assert isinstance(refusal, Unavailable)
        assert (await at.number(phone)).under_way is not None
        assert isinstance(await retried(at, story, phone), OutcomeUnknown)
        await what_was_written_is_known(at, phone)


async def test_an_answer_that_comes_after_the_outcome_was_found_out_changes_nothing(at_cloud):
    at = at_cloud
    phone = await at.served()
    thawed, arrived = asyncio.Event(), asyncio.Event()

    async def late() -> None:
        arrived.set()
        await thawed.wait()

    at.cloud.script("set_pin", Meanwhile(late, before=False))
    call = asyncio.ensure_future(at.turn_on(OWNER.new_pin))
    await arrived.wait()
    await at.upkeep()
    before = await at.number(phone)

    thawed.set()
    await call

    assert await at.number(phone) == before
    await at.agrees(phone)


async def test_a_number_that_is_unlinked_while_a_call_runs_is_simply_gone(at_cloud):
    at = at_cloud
    await at.served()
    frozen = at.cloud.freeze("set_pin")
    call = asyncio.ensure_future(at.turn_on(OWNER.new_pin))
    await frozen.arrived.wait()

    await links.unlink(at.world, await at.link())
    frozen.thaw()

    with pytest.raises(LinkedNumberUnknown):
        await call


async def test_without_the_key_ring_nothing_is_begun(at_cloud):
    at = at_cloud
    phone = await at.served()
    before = await at.number(phone)

    def lost(*_: Any) -> bytes:
        raise Unavailable

    world = at.other_world(keys=StoreWith(at.world.keys, unseal=lost))
    refusal = await refused(networks.turn_on(world, at.owner, OWNER.new_pin))

    assert isinstance(refusal, Unavailable)
    assert await at.number(phone) == before


# At the same time


async def test_two_clients_at_once_make_one_attempt(at_cloud):
    at = at_cloud
    phone = await verified(at, MOBILE)
    frozen = at.cloud.freeze("register")
    first = asyncio.ensure_future(at.register(at.owner, OWNER.pin))
    await frozen.arrived.wait()

    refusal = await refused(at.register(at.thief, THIEF.wrong_pin))
    frozen.thaw()
    await first

    assert isinstance(refusal, OutcomeUnknown)
    assert at.cloud.count("register") == 1
    assert (await at.number(phone)).holder == MAIN
    await at.agrees(phone)


async def test_of_many_at_the_very_same_moment_one_is_sent(at_cloud):
    at = at_cloud
    phone = await verified(at, MOBILE)

    told = await outcomes(
        *(at.register(user, OWNER.pin) for user in (at.owner, at.thief) for _ in range(5))
    )

    assert told == {"done": 1, "OutcomeUnknown": 9}
    assert len(phone.registers) == 1
    await at.agrees(phone)


async def test_two_nodes_that_set_a_pin_at_once_send_one(at_cloud):
    at = at_cloud
    phone = await at.served()
    nodes = [AtCloud(at.office, at.other_world(), at.cloud) for _ in range(2)]

    told = await outcomes(*(node.turn_on(f"90210{n}") for n, node in enumerate(nodes)))

    assert told == {"done": 1, "OutcomeUnknown": 1}
    assert at.cloud.count("set_pin") == 1
    await at.agrees(phone)


# PINs


async def test_a_wrong_pin_is_compared_with_the_vault_and_never_goes_to_meta(at_cloud):
    at = at_cloud
    phone = await at.served()
    writes = at.writes()

    for _ in range(3):
        assert isinstance(await refused(at.register(at.thief, THIEF.wrong_pin)), WrongPin)

    assert at.writes() == writes
    assert phone.wrong == 0
    number = await at.number(phone)
    assert (number.guesses.run, number.holder) == (3, MAIN)
    assert await at.letters(Letter.FIRST_WRONG_GUESS) == [OWNER.email]


async def test_a_pin_is_compared_also_when_meta_hides_whether_one_is_on(at_cloud):
    at = at_cloud
    phone = await at.served()
    phone.hidden_pin_state = True

    refusal = await refused(at.register(at.thief, THIEF.wrong_pin))

    assert isinstance(refusal, WrongPin)
    assert phone.wrong == 0


async def test_guesses_wait_and_lock_whoever_makes_them_until_a_person_unlocks(at_cloud):
    at = at_cloud
    phone = await at.served()
    for _ in range(5):
        await refused(at.register(at.thief, THIEF.wrong_pin))

    assert isinstance(await refused(at.register(at.thief, OWNER.pin)), GuessWait)
    many = Guesses(ticket=98, run=98)
    await at.world.update_linked(phone.id, lambda n: LinkedDecision(replace(n, guesses=many)))
    for _ in range(2):
        at.pass_time(25 * 3600)
        await refused(at.register(at.thief, THIEF.wrong_pin))
    assert isinstance(await refused(at.register(at.thief, OWNER.pin)), NumberLocked)
    assert (phone.wrong, len(phone.registers)) == (0, 1)
    await linked.unlock(at.world, await at.number(phone))
    await at.register(at.thief, OWNER.pin)

    assert (await at.number(phone)).holder == OTHER


async def test_a_guess_pays_nothing_while_an_attempt_may_change_the_pin(at_cloud):
    at = at_cloud
    phone = await at.served()
    before = await at.number(phone)
    at.cloud.script("set_pin", LOST_UNDONE)
    await refused(at.turn_on(OWNER.new_pin))

    refusal = await refused(bridge.compare_if_known(at.world, before, OWNER.pin, "main/admin"))

    assert isinstance(refusal, OutcomeUnknown)
    assert (await at.number(phone)).guesses == before.guesses


async def test_a_vault_that_was_emptied_meanwhile_compares_nothing(at_cloud):
    at = at_cloud
    phone = await at.served()
    before = await at.number(phone)
    await links.unlink(at.world, await at.link())
    await links.link(at.world, at.portfolio, WABA, "EAA-the-token-of-the-town")
    await at.read()

    refusal = await refused(bridge.compare_if_known(at.world, before, OWNER.pin, "main/admin"))

    assert isinstance(refusal, PinNotInVault)
    assert phone.pin == OWNER.pin


async def test_with_a_vault_in_doubt_the_pin_goes_to_meta_which_decides(at_cloud):
    at = at_cloud
    phone = await at.served()
    phone.pin = None
    await linked.refresh(at.world, await at.number(phone))
    phone.pin = OWNER.new_pin  # in WhatsApp Manager
    wrong = await refused(at.register(at.thief, THIEF.wrong_pin))
    at.pass_time(61)
    at_meta, here = phone.wrong, (await at.number(phone)).guesses.run

    await at.register(at.thief, OWNER.new_pin)

    assert isinstance(wrong, WrongPin)
    assert (at_meta, here) == (1, 0)
    assert await at.pins(phone) == (OWNER.new_pin, [])
    await at.agrees(phone)


async def test_meta_refusing_the_vaults_own_pin_is_told_to_the_owners_and_doubted(at_cloud):
    at = at_cloud
    phone = await at.served()
    phone.pin = OWNER.new_pin  # somebody, and no webhook came

    refusal = await refused(bridge.register(at.world, await at.number(phone), None, MAIN))

    assert isinstance(refusal, WrongPin)
    assert (await at.number(phone)).vault.doubted
    assert await at.letters(Letter.CLOUD_PIN_REFUSED) == [OWNER.email]
    assert isinstance(
        await refused(bridge.register(at.world, await at.number(phone), None, MAIN)), PinNotInVault
    )
    assert phone.wrong == 1


async def test_nobody_registers_a_number_for_a_client_that_its_account_is_not_open_to(at_cloud):
    at = at_cloud
    phone = await at.served()
    calls = len(at.cloud.calls)

    refusal = await refused(bridge.register(at.world, await at.number(phone), None, "nobody"))

    assert isinstance(refusal, ParameterInvalid)
    assert len(at.cloud.calls) == calls


async def test_the_same_pin_once_more_makes_no_call_and_another_one_does(at_cloud):
    at = at_cloud
    phone = await at.served()
    calls = len(at.cloud.calls)

    await at.turn_on(OWNER.pin)
    assert len(at.cloud.calls) == calls
    await at.turn_on(OWNER.new_pin)

    assert at.cloud.count("set_pin") == 1
    assert phone.pin == OWNER.new_pin
    await at.agrees(phone)


async def test_a_weak_pin_is_refused_where_the_operator_says_so(at_cloud):
    at = at_cloud
    await at.served()
    strict = at.other_world(refuse_weak_pins=True)

    assert isinstance(await refused(networks.turn_on(strict, at.owner, "123456")), ParameterInvalid)
    assert at.cloud.count("set_pin") == 0


async def test_only_the_client_that_serves_the_number_sets_and_deletes_its_pin(at_cloud):
    at = at_cloud
    phone = await at.served()
    number = await at.number(phone)

    for call in (
        bridge.turn_on(at.world, at.thief, number, THIEF.wrong_pin),
        bridge.turn_off(at.world, at.thief, number),
    ):
        assert isinstance(await refused(call), NoNumberHeld)
    assert phone.pin == OWNER.pin


# Turning off


async def test_a_forgotten_pin_is_replaced_by_delete_and_post_and_the_owners_hear_of_it(at_cloud):
    at = at_cloud
    phone = await at.served()

    await at.turn_off()
    await at.turn_off()
    remembered = await at.number(phone)
    assert await at.letters(Letter.CLOUD_OFF_REMEMBERED) == [OWNER.email]
    await at.turn_on(OWNER.new_pin)

    assert remembered.off_asked_at is not None
    assert (phone.pin, (await at.number(phone)).off_asked_at) == (OWNER.new_pin, None)
    await at.agrees(phone)


async def test_after_delete_the_very_same_pin_is_sent_again(at_cloud):
    at = at_cloud
    phone = await at.served()
    await at.turn_off()

    await at.turn_on(OWNER.pin)

    assert at.cloud.count("set_pin") == 1
    assert (await at.number(phone)).off_asked_at is None


async def test_after_delete_the_client_registers_without_a_pin_by_the_vaults(at_cloud):
    at = at_cloud
    phone = await at.served()
    assert isinstance(await refused(at.register(at.thief)), PinNeeded)

    await at.turn_off()
    await at.register(at.thief)

    assert (await at.number(phone)).holder == OTHER
    assert at.cloud.calls[-1].what == OWNER.pin


async def test_delete_is_refused_where_only_people_may_turn_it_off(at_cloud):
    at = at_cloud
    phone = await at.served()

    refusal = await refused(at.turn_off(turn_off=TurnOff.REJECT))

    assert isinstance(refusal, TurnOffElsewhere)
    assert (await at.number(phone)).off_asked_at is None


async def test_delete_sets_a_pin_that_only_the_vault_knows_where_it_is_told_to_rotate(at_cloud):
    at = at_cloud
    phone = await at.served()

    await at.turn_off(turn_off=TurnOff.ROTATE, chance=KnownCodes(["805917"]))

    assert phone.pin == "805917"
    assert await at.pins(phone) == ("805917", [])
    assert isinstance(await refused(at.register(at.thief)), PinNeeded)


@pytest.mark.parametrize("how", TurnOff)
async def test_delete_of_a_pin_that_is_off_is_done_already(at_cloud, how):
    at = at_cloud
    phone = await at.served()
    phone.pin = None
    await linked.refresh(at.world, await at.number(phone))

    await at.turn_off(turn_off=how)

    assert (await at.number(phone)).off_asked_at is None
    assert at.cloud.count("set_pin") == 0


# Codes


async def test_a_code_is_asked_for_entered_and_the_number_registered_with_the_pin(at_cloud):
    at = at_cloud
    phone = await fresh(at, MOBILE)

    sent = await at.register(at.owner, OWNER.pin)
    await at.enter(at.owner, CODE)

    assert sent == CodeSent("Lucky Shrub")
    assert (phone.registered, phone.pin) == (True, OWNER.pin)
    assert await at.register(at.owner, OWNER.pin) is None
    assert at.cloud.count("register") == 1
    await at.agrees(phone)


async def test_without_a_pin_one_is_drawn_and_kept(at_cloud):
    at = at_cloud
    phone = await fresh(at, MOBILE)
    at = AtCloud(at.office, at.other_world(chance=KnownCodes(["805917"])), at.cloud)

    await at.register(at.owner)
    await at.enter(at.owner, CODE)

    assert phone.pin == "805917"
    await at.agrees(phone)


async def test_a_code_is_entered_only_by_the_client_that_asked_for_it(at_cloud):
    at = at_cloud
    phone = await asked(at, MOBILE)

    assert isinstance(await refused(at.enter(at.thief, CODE)), NoCodePending)
    refusal = await refused(bridge.enter_code(at.world, at.thief, await at.number(phone), CODE))
    assert isinstance(refusal, NoCodePending)
    await at.register(at.thief, THIEF.wrong_pin)
    assert isinstance(await refused(at.enter(at.owner, CODE)), NoCodePending)


async def test_a_wrong_code_is_refused_and_the_right_one_still_works(at_cloud):
    at = at_cloud
    phone = await asked(at, MOBILE)

    assert isinstance(await refused(at.enter(at.owner, "000000")), WrongCode)
    await at.enter(at.owner, CODE)

    assert (await at.number(phone)).holder == MAIN


@pytest.mark.parametrize("fault", [UNSENT, Refuse(Reason.CALLS)])
async def test_the_code_that_meta_took_is_not_sent_twice_when_registering_failed(at_cloud, fault):
    at = at_cloud
    phone = await asked(at, MOBILE)
    at.cloud.script("register", fault)
    await refused(at.enter(at.owner, CODE))

    await at.enter(at.owner, CODE)

    assert at.cloud.count("enter_code") == 1
    assert (phone.registered, phone.pin) == (True, OWNER.pin)
    await at.agrees(phone)


async def test_a_lost_answer_to_the_code_does_not_cost_the_registration(at_cloud):
    at = at_cloud
    phone = await asked(at, MOBILE)
    at.cloud.script("enter_code", LOST_BUT_DONE)
    assert isinstance(await refused(at.enter(at.owner, CODE)), OutcomeUnknown)
    assert isinstance(await refused(at.enter(at.owner, CODE)), OutcomeUnknown)
    at.pass_time(61)

    await at.enter(at.owner, CODE)

    assert at.cloud.count("enter_code") == 1
    await at.agrees(phone)


async def test_a_lost_answer_to_the_registration_is_found_out_by_trying_again(at_cloud):
    at = at_cloud
    phone = await asked(at, MOBILE)
    at.cloud.script("register", LOST_BUT_DONE)
    assert isinstance(await refused(at.enter(at.owner, CODE)), OutcomeUnknown)
    at.pass_time(61)

    await at.enter(at.owner, CODE)

    assert at.cloud.count("register") == 1
    assert (await at.number(phone)).holder == MAIN
    await at.agrees(phone)


async def test_a_wrong_pin_that_came_with_a_code_must_be_given_anew(at_cloud):
    at = at_cloud
    phone = await asked(at, MOBILE)
    phone.pin = OWNER.new_pin  # set where nobody looked

    assert isinstance(await refused(at.enter(at.owner, CODE)), WrongPin)
    assert isinstance(await refused(at.enter(at.owner, CODE)), NoCodePending)
    at.pass_time(61)
    await at.register(at.owner, OWNER.new_pin)

    assert phone.wrong == 0
    assert len(phone.registers) == 2
    await at.agrees(phone)


async def test_a_pin_that_came_with_a_code_is_compared_again_with_what_the_vault_knows_now(
    at_cloud,
):
    at = at_cloud
    phone = await asked(at, MOBILE)
    phone.pin = OWNER.new_pin
    await linked.refresh(at.world, await at.number(phone))
    await vault.keep(at.world, await at.number(phone), OWNER.new_pin)

    assert isinstance(await refused(at.enter(at.owner, CODE)), WrongPin)

    assert at.cloud.count("register") == 0
    assert (await at.number(phone)).guesses.run == 1


async def test_a_number_of_the_business_app_is_left_alone(at_cloud):
    at = at_cloud
    phone = await verified(at, MOBILE)
    phone.on_app = True

    for call in (
        at.register(at.owner, OWNER.pin),
        bridge.register(at.world, await at.number(phone), OWNER.pin, MAIN),
    ):
        assert isinstance(await refused(call), OnBusinessApp)
    assert at.writes() == 0


# People


async def test_people_register_with_the_vaults_pin_or_a_fresh_one_while_none_is_on(at_cloud):
    at = at_cloud
    phone = await verified(at, MOBILE)

    await bridge.register(at.world, await at.number(phone), None, MAIN, OWNER.email)
    drawn = phone.pin
    assert isinstance(
        await refused(bridge.register(at.world, await at.number(phone), "000001", OTHER)), WrongPin
    )
    await bridge.deregister(at.world, await at.number(phone))
    await bridge.register(at.world, await at.number(phone), None, OTHER)

    assert phone.pin == drawn
    assert (await at.number(phone)).holder == OTHER
    await at.agrees(phone)


async def test_people_must_know_a_pin_that_the_vault_does_not(at_cloud):
    at = at_cloud
    phone = await at.known(None)
    phone.pin = OWNER.pin

    refusal = await refused(bridge.register(at.world, await at.number(phone), None, MAIN))
    await bridge.register(at.world, await at.number(phone), OWNER.pin, MAIN)

    assert isinstance(refusal, PinNotInVault)
    assert await at.pins(phone) == (OWNER.pin, [])


async def test_one_registration_is_kept_back_which_only_force_spends(at_cloud):
    at = at_cloud
    phone = await at.known()
    for _ in range(9):
        await bridge.register(at.world, await at.number(phone), None, MAIN)
        at.pass_time(60)

    kept = await refused(bridge.register(at.world, await at.number(phone), None, MAIN))
    await bridge.register(at.world, await at.number(phone), None, MAIN, force=True)
    spent = await refused(bridge.register(at.world, await at.number(phone), None, MAIN, force=True))

    assert isinstance(kept, LedgerWait)
    assert isinstance(spent, LedgerWait)
    assert (kept.kept_back, spent.kept_back) == (True, False)
    assert len(phone.registers) == 10
    assert phone.blocked_until is None
    at.pass_time(spent.retry_after or 0)
    await bridge.register(at.world, await at.number(phone), None, MAIN, force=True)
    assert phone.blocked_until is None


async def test_with_force_the_tenth_deregistration_is_sent(at_cloud):
    at = at_cloud
    phone = await at.known()
    for _ in range(9):
        await bridge.deregister(at.world, await at.number(phone))
        phone.registered = True

    assert isinstance(
        await refused(bridge.deregister(at.world, await at.number(phone))), LedgerWait
    )
    await bridge.deregister(at.world, await at.number(phone), force=True)

    assert (len(phone.deregisters), phone.blocked_until) == (10, None)


# Taking over


async def test_a_lost_registration_that_succeeded_takes_the_client_from_what_it_served(at_cloud):
    at = at_cloud
    await at.office.scene.owner_has_registered()
    old = await at.known(e164="+16505550101")
    await bridge.register(at.world, await at.number(old), None, OTHER)
    phone = await verified(at, MOBILE)
    at.cloud.script("register", LOST_BUT_DONE)
    await refused(bridge.register(at.world, await at.number(phone), OWNER.pin, OTHER))

    await at.upkeep()

    assert (await at.number(phone)).holder == OTHER
    assert (await at.number(old)).holder is None


async def test_a_lost_registration_takes_the_local_number_from_its_client_too(at_cloud):
    at = at_cloud
    await at.office.scene.owner_has_registered()
    phone = await verified(at, MOBILE)
    at.cloud.script("register", LOST_BUT_DONE)
    await refused(at.register(at.owner, OWNER.pin))
    at.pass_time(61)

    await at.read()

    assert (await at.number(phone)).holder == MAIN
    assert (await at.office.scene.number()).holder is None


async def test_a_lost_registration_does_not_take_back_a_client_that_went_on(at_cloud):
    at = at_cloud
    phone = await verified(at, MOBILE)
    at.cloud.script("register", LOST_BUT_DONE)
    await refused(at.register(at.owner, OWNER.pin))
    at.pass_time(5)
    newer = await at.served(e164="+16505550101")

    await at.upkeep()

    assert (await at.number(newer)).holder == MAIN
    assert (await at.number(phone)).holder is None
    await at.agrees(phone)


# Numbers that are not at Meta yet


CERTIFICATE_BY_META = "ChQIARIJMTYzMTU1NTEyIgVPbGl2ZRJA" + "A" * 84


@pytest.mark.parametrize("by", ["us", "meta"])
async def test_an_unknown_number_is_added_with_the_name_in_its_certificate(at_cloud, by):
    at = at_cloud
    certificate, name = at.office.scene.certificate, "Lucky Shrub"
    if by == "meta":
        certificate, name = CERTIFICATE_BY_META, "Olive"

    sent = await at.register(at.owner, OWNER.pin, certificate=certificate)
    await at.enter(at.owner, CODE)

    (phone,) = at.cloud.phones.values()
    assert sent == CodeSent(name)
    assert (phone.e164, phone.name, phone.pin) == (MOBILE, name, OWNER.pin)
    number = await at.number(phone)
    assert (number.cc, number.national, number.digits) == ("1", "6505550100", "16505550100")
    assert (await at.kinds(phone))[0] == "cloud.number_created"
    await at.agrees(phone)


async def test_without_a_name_an_unknown_number_is_not_added(at_cloud):
    at = at_cloud

    assert isinstance(await refused(at.register(at.owner, OWNER.pin)), NameNeeded)
    assert at.cloud.phones == {}


async def test_a_number_whose_adding_was_not_answered_is_found_by_the_next_try(at_cloud):
    at = at_cloud
    certificate = at.office.scene.certificate
    at.cloud.add_registered("+16505550101")
    at.cloud.script("add_number", LOST_BUT_DONE)
    assert isinstance(await refused(at.register(at.owner, certificate=certificate)), CloudUnreached)

    sent = await at.register(at.owner, certificate=certificate)

    assert sent is not None
    assert len(at.cloud.phones) == 2
    assert await at.world.store.linked_by_e164(MOBILE) is not None


async def test_a_number_that_cannot_be_added_keeps_metas_answer(at_cloud):
    at = at_cloud
    at.cloud.add_registered(MOBILE, waba="202290129340398")

    refusal = await refused(at.register(at.owner, certificate=at.office.scene.certificate))

    assert isinstance(refusal, HeldElsewhere)
    at.cloud.script("add_number", Refuse(Reason.OTHER))
    refusal = await refused(
        at.register(at.owner, e164="+16505550101", certificate=at.office.scene.certificate)
    )
    assert isinstance(refusal, CloudRefused)


async def test_a_number_added_twice_at_once_is_added_once(at_cloud):
    at = at_cloud
    certificate = at.office.scene.certificate

    told = await outcomes(*(at.register(at.owner, certificate=certificate) for _ in range(3)))

    assert told["done"] >= 1
    assert set(told) <= {"done", "OutcomeUnknown"}
    assert len(at.cloud.phones) == 1


async def test_a_number_that_a_reading_found_first_is_the_same_number(at_cloud):
    at = at_cloud

    async def read() -> None:
        await at.read()

    at.cloud.script("add_number", Meanwhile(read, before=False))

    assert await at.register(at.owner, certificate=at.office.scene.certificate) is not None


async def test_a_number_that_this_registry_got_meanwhile_stays_here(at_cloud):
    at = at_cloud
    at.cloud.script("add_number", Answer("106540352249999"))

    number = await at.office.scene.number()
    refusal = await refused(
        bridge.add_number(
            at.world, await at.link(), number.e164, "1", at.office.scene.certificate, "main/admin"
        )
    )

    assert isinstance(refusal, LinkedNumberUnknown)


async def test_a_code_that_is_too_old_for_meta_is_asked_for_again(at_cloud):
    at = at_cloud
    phone = await verified(at, MOBILE)
    at.cloud.script("register", Refuse(Reason.CODE_NEEDED))

    assert isinstance(await refused(at.register(at.owner, OWNER.pin)), CodeNeeded)
    phone.verified_at = None
    assert await at.register(at.owner, OWNER.pin) is not None
    await at.enter(at.owner, CODE)

    await at.agrees(phone)


async def test_a_locked_account_is_not_tried_again_for_a_day(at_cloud):
    at = at_cloud
    await verified(at, MOBILE)
    at.cloud.script("register", Refuse(Reason.LOCKED))

    assert isinstance(await refused(at.register(at.owner, OWNER.pin)), CloudLocked)
    at.pass_time(23 * 3600)
    assert isinstance(await refused(at.register(at.owner, OWNER.pin)), LedgerWait)
    at.pass_time(3600)
    await at.register(at.owner, OWNER.pin)
