"""The lock: on, another PIN, off, and what none of it may do."""

import asyncio
from typing import Any

import pytest

from nightlatch.domain.errors import (
    GuessWait,
    LinkRefused,
    NoNumberHeld,
    NumberLocked,
    Overloaded,
    ParameterInvalid,
    PinChangedMeanwhile,
    PinUnchanged,
    TwoStepIsOff,
    TwoStepIsOn,
    WrongPin,
)
from nightlatch.domain.mail import Letter
from nightlatch.domain.members import Member, MemberRole
from nightlatch.domain.two_step import is_weak
from nightlatch.usecases import members, two_step
from nightlatch.usecases.signing_in import whose
from tests.fakes.chances import KnownCodes
from tests.fakes.hashers import FullHasher, WatchedHasher
from tests.fakes.stores import StoreWith
from tests.people import OWNER, THIEF
from tests.usecases.conftest import Office, Scene, outcome, outcomes

POST = "post@luckyshrub.example"


async def test_once_it_is_on_the_thief_needs_the_pin(scene: Scene):
    await scene.owner_has_registered()

    await two_step.turn_on(scene.world, scene.owner, OWNER.pin)

    with pytest.raises(WrongPin):
        await scene.register(scene.thief, THIEF.wrong_pin)
    assert (await scene.kinds()).count("two_step.turned_on") == 1


async def test_the_verifier_at_rest_is_sealed_and_bound_to_the_number(scene: Scene):
    await scene.owner_is_protected()

    number = await scene.number()
    assert number.two_step.verifier is not None
    assert OWNER.pin.encode() not in number.two_step.verifier
    assert scene.world.keys.unseal(number.two_step.verifier, f"pin|v1|{number.id}")


async def test_another_pin_replaces_the_old_one_without_asking_for_it(scene: Scene):
    await scene.owner_is_protected()

    await two_step.turn_on(scene.world, scene.owner, OWNER.new_pin)

    with pytest.raises(WrongPin):
        await scene.register(scene.owner, OWNER.pin)
    assert await scene.register(scene.owner, OWNER.new_pin) is None
    assert (await scene.kinds()).count("two_step.pin_changed") == 1


async def test_the_same_pin_again_changes_nothing_and_is_not_told(scene: Scene):
    await scene.owner_is_protected()
    before = (await scene.number(), await scene.kinds())

    for _ in range(20):
        await two_step.turn_on(scene.world, scene.owner, OWNER.pin)

    assert (await scene.number(), await scene.kinds()) == before


async def test_the_same_pin_is_set_anew_when_another_came_between(scene: Scene):
    await scene.owner_is_protected()
    others = [OWNER.new_pin]

    async def another() -> None:
        if others:
            await two_step.turn_on(scene.world, scene.owner, others.pop())

    world = scene.other_world(hasher=WatchedHasher(scene.world.hasher, before_make=another))
    await two_step.turn_on(world, scene.owner, OWNER.pin)

    assert await scene.register(scene.owner, OWNER.pin) is None


async def test_it_can_be_turned_off_and_a_second_time_leaves_no_trace(scene: Scene):
    await scene.owner_is_protected()

    await two_step.turn_off(scene.world, scene.owner)
    before = (await scene.number(), await scene.kinds())
    await two_step.turn_off(scene.world, scene.owner)

    assert (await scene.number(), await scene.kinds()) == before
    assert before[1].count("two_step.turned_off") == 1
    assert await scene.register(scene.owner) is None


async def test_no_setting_changing_or_turning_off_gives_a_thief_new_guesses(scene: Scene):
    await scene.owner_is_protected()
    for _ in range(5):
        with pytest.raises(WrongPin):
            await scene.register(scene.thief, THIEF.wrong_pin)
    before = (await scene.number()).guesses

    await two_step.turn_on(scene.world, scene.owner, OWNER.pin)
    await two_step.turn_on(scene.world, scene.owner, OWNER.new_pin)
    await two_step.turn_off(scene.world, scene.owner)
    await two_step.turn_off(scene.world, scene.owner)
    await two_step.turn_on(scene.world, scene.owner, OWNER.pin)

    assert (await scene.number()).guesses == before
    with pytest.raises(GuessWait):
        await scene.register(scene.thief, THIEF.wrong_pin)


async def test_the_owner_can_set_and_turn_off_the_pin_while_the_number_waits(scene: Scene):
    await scene.owner_is_protected()
    for _ in range(5):
        with pytest.raises(WrongPin):
            await scene.register(scene.thief, THIEF.wrong_pin)

    await two_step.turn_on(scene.world, scene.owner, OWNER.new_pin)
    await two_step.turn_off(scene.world, scene.owner)

    assert await scene.register(scene.owner) is None


async def test_turning_on_and_off_spends_no_registration(scene: Scene):
    await scene.owner_has_registered()
    before = (await scene.number()).registrations

    await two_step.turn_on(scene.world, scene.owner, OWNER.pin)
    await two_step.turn_off(scene.world, scene.owner)

    assert (await scene.number()).registrations == before


async def test_who_does_not_hold_the_number_can_neither_set_nor_turn_off(scene: Scene):
    await scene.owner_is_protected()
    await scene.register(scene.thief, OWNER.pin)  # pending is not holding

    with pytest.raises(NoNumberHeld):
        await two_step.turn_on(scene.world, scene.thief, THIEF.wrong_pin)
    with pytest.raises(NoNumberHeld):
        await two_step.turn_off(scene.world, scene.thief)

    assert await scene.register(scene.owner, OWNER.pin) is None


async def taken_over(scene: Scene) -> None:
    """The thief, who was told the PIN, takes the number over."""
    await scene.register(scene.thief, OWNER.pin)
    await scene.enter(scene.thief, await scene.code())


async def test_a_pin_set_while_the_number_is_taken_over_is_not_set(scene: Scene):
    await scene.owner_is_protected()

    async def meanwhile() -> None:
        await taken_over(scene)

    world = scene.other_world(hasher=WatchedHasher(scene.world.hasher, before_make=meanwhile))
    with pytest.raises(NoNumberHeld):
        await two_step.turn_on(world, scene.owner, OWNER.new_pin)

    assert await scene.register(scene.thief, OWNER.pin) is None


async def test_a_lock_turned_off_while_the_number_is_taken_over_stays_on(scene: Scene):
    await scene.owner_is_protected()
    read = scene.world.store.number

    async def then_taken_over(id: str) -> Any:
        number = await read(id)
        await taken_over(scene)
        return number

    world = scene.other_world(store=StoreWith(scene.world.store, number=then_taken_over))
    with pytest.raises(NoNumberHeld):
        await two_step.turn_off(world, scene.owner)

    assert (await scene.number()).two_step.is_on


async def test_when_every_place_is_taken_nothing_changes(scene: Scene):
    await scene.owner_is_protected()
    before = await scene.number()

    with pytest.raises(Overloaded):
        await two_step.turn_on(scene.other_world(hasher=FullHasher()), scene.owner, OWNER.new_pin)

    assert await scene.number() == before


async def test_a_weak_pin_is_taken_with_a_note_unless_weak_ones_are_refused(scene: Scene):
    await scene.owner_has_registered()

    with pytest.raises(ParameterInvalid) as refused:
        await two_step.turn_on(scene.other_world(refuse_weak_pins=True), scene.owner, "123456")
    before = await scene.number()
    await two_step.turn_on(scene.world, scene.owner, "123456")
    await two_step.turn_on(scene.other_world(refuse_weak_pins=True), scene.owner, OWNER.pin)

    subject = f"number:{before.id}"
    told = [link.event.details async for link in scene.world.store.audit(subject)]
    assert refused.value.name == "pin"
    assert not before.two_step.is_on
    assert told[-2:] == [(("weak", True),), (("weak", False),)]


# In the Manager


async def change(
    office: Office, current: str = OWNER.pin, pin: str = OWNER.new_pin, **ports: Any
) -> None:
    """The owner changes the PIN in the Manager."""
    await two_step.change_pin(
        office.other_world(**ports), await office.owner(), office.begun.session,
        await office.number(), current, pin,
    )  # fmt: skip


async def link(office: Office) -> str:
    """The owner asks for the link, and somebody reads the mailbox."""
    await two_step.ask_to_turn_off(office.world, await office.owner(), await office.number())
    return await office.link(POST, Letter.TURN_OFF_LINK)


async def follow(office: Office, token: str, member: Member | None = None) -> Any:
    return await two_step.follow_link(office.world, member or await office.owner(), token)


async def test_a_member_sets_a_pin_where_there_is_none(office: Office):
    await office.scene.owner_has_registered()

    await two_step.set_pin(office.world, await office.owner(), await office.number(), OWNER.pin)

    assert await office.scene.register(office.scene.owner, OWNER.pin) is None
    subject = f"number:{(await office.number()).id}"
    told = [one.event async for one in office.world.store.audit(subject)]
    (on,) = [event for event in told if event.kind.value == "two_step.turned_on"]
    assert (on.by, on.place) == (OWNER.email, "192.0.2.7")


async def test_a_member_sets_no_pin_over_another_one(office: Office):
    await office.owner_is_protected()

    with pytest.raises(TwoStepIsOn):
        await two_step.set_pin(
            office.world, await office.owner(), await office.number(), OWNER.new_pin
        )

    assert await office.scene.register(office.scene.owner, OWNER.pin) is None


async def test_of_twenty_pins_that_are_set_at_the_same_moment_one_is_kept(office: Office):
    owner, number = await office.owner(), await office.number()

    ends = await outcomes(
        *(two_step.set_pin(office.world, owner, number, f"60221{n}") for n in range(10))
    )

    assert ends == {"done": 1, "TwoStepIsOn": 9}
    assert (await office.number()).two_step.version == 1


@pytest.mark.parametrize("pin", ["123456", "111111", "311299"])
async def test_a_weak_pin_is_refused_with_its_reason_and_costs_no_guess(office: Office, pin):
    await office.owner_is_protected()
    owner, number = await office.owner(), await office.number()

    with pytest.raises(ParameterInvalid) as set_:
        await two_step.set_pin(office.world, owner, number, pin)
    with pytest.raises(ParameterInvalid) as changed:
        await change(office, pin=pin)

    assert set_.value.name == changed.value.name == "pin"
    assert set_.value.why.startswith("a PIN that is harder to guess: it")
    assert pin not in str(set_.value)
    assert (await office.number()).guesses.ticket == 0


async def test_the_pin_that_is_offered_is_never_weak(office: Office):
    chance = KnownCodes(["123456", "111111", "311299", OWNER.new_pin])

    offered = two_step.suggest_pin(office.other_world(chance=chance))
    drawn = {two_step.suggest_pin(office.world) for _ in range(200)}

    assert offered == OWNER.new_pin
    assert not any(is_weak(pin) for pin in drawn)
    assert len(drawn) > 190


async def test_a_member_changes_the_pin_who_knows_the_current_one(office: Office):
    await office.owner_is_protected()

    await change(office)

    assert await office.scene.register(office.scene.owner, OWNER.new_pin) is None
    with pytest.raises(WrongPin):
        await office.scene.register(office.scene.thief, OWNER.pin)


async def test_a_changed_pin_ends_the_members_other_sessions_and_nobody_elses(office: Office):
    await office.owner_is_protected()
    anna = await office.add("anna", MemberRole.ADMIN)
    other, annas = await office.sign_in(), await office.sign_in(anna.email)

    await change(office)

    assert await outcome(whose(office.world, other.token)) == "SignedOut"
    await whose(office.world, office.begun.token)
    await whose(office.world, annas.token)


@pytest.mark.parametrize("current", [THIEF.wrong_pin, "000000", OWNER.new_pin])
async def test_a_wrong_current_pin_changes_nothing_and_is_counted(office: Office, current):
    await office.owner_is_protected()
    other = await office.sign_in()

    with pytest.raises(WrongPin):
        await change(office, current)

    assert (await office.number()).guesses.run == 1
    assert await office.scene.register(office.scene.owner, OWNER.pin) is None
    await whose(office.world, other.token)


async def test_wrong_current_pins_draw_on_the_counter_of_the_registration(office: Office):
    await office.owner_is_protected()

    ends = [
        await outcome(office.scene.register(office.scene.thief, THIEF.wrong_pin)),
        await outcome(change(office, "000001")),
        await outcome(change(office, "000002")),
        await outcome(office.scene.register(office.scene.thief, "000003")),
        await outcome(change(office, "000004")),
    ]

    assert ends == ["WrongPin"] * 5
    with pytest.raises(GuessWait):
        await change(office)
    with pytest.raises(GuessWait):
        await office.scene.register(office.scene.owner, OWNER.pin)


async def test_while_the_number_waits_or_is_locked_the_current_pin_is_not_compared(
    office: Office,
):
    await office.owner_is_protected()
    for _ in range(100):
        await outcome(change(office, THIEF.wrong_pin))
        office.scene.pass_time(86_400)
    hasher = WatchedHasher(office.world.hasher)

    with pytest.raises(NumberLocked):
        await change(office, hasher=hasher)

    assert hasher.compared == []


async def test_the_same_pin_again_is_named_only_to_who_knows_it(office: Office):
    await office.owner_is_protected()
    before = await office.number()

    with pytest.raises(PinUnchanged):
        await change(office, OWNER.pin, OWNER.pin)
    with pytest.raises(WrongPin):
        await change(office, OWNER.new_pin, OWNER.new_pin)

    assert (await office.number()).two_step == before.two_step


async def test_where_there_is_no_pin_there_is_none_to_change_or_turn_off(office: Office):
    with pytest.raises(TwoStepIsOff):
        await change(office)
    with pytest.raises(TwoStepIsOff):
        await two_step.ask_to_turn_off(office.world, await office.owner(), await office.number())


async def test_of_ten_changes_at_the_same_moment_one_wins(office: Office):
    await office.owner_is_protected()

    ends = await outcomes(*(change(office, pin=f"60221{n}") for n in range(4)))

    assert ends["done"] == 1
    assert set(ends) <= {"done", "PinChangedMeanwhile", "WrongPin"}
    assert (await office.number()).two_step.version == 2


async def test_a_pin_that_is_turned_off_before_it_is_compared_is_not_changed(office: Office):
    await office.owner_is_protected()
    stale = await office.number()
    await two_step.turn_off(office.world, office.scene.owner)

    with pytest.raises(PinChangedMeanwhile):
        await two_step.change_pin(
            office.world, await office.owner(), office.begun.session, stale, OWNER.pin,
            OWNER.new_pin,
        )  # fmt: skip

    assert not (await office.number()).two_step.is_on


async def test_when_the_link_is_followed_while_the_pin_is_changed_the_change_is_lost(
    office: Office,
):
    await office.owner_is_protected()
    token = await link(office)

    async def meanwhile() -> None:
        await follow(office, token)

    hasher = WatchedHasher(office.world.hasher, before_make=meanwhile)
    with pytest.raises(PinChangedMeanwhile):
        await change(office, hasher=hasher)

    assert not (await office.number()).two_step.is_on
    assert (await office.scene.kinds())[-1] == "two_step.turned_off"


async def test_when_the_pin_is_changed_while_the_link_is_followed_the_link_is_void(
    office: Office,
):
    await office.owner_is_protected()
    token = await link(office)
    real = office.world.store.number_by_link

    async def then_changed(token_hash: bytes) -> Any:
        found = await real(token_hash)
        await change(office)
        return found

    world = office.other_world(store=StoreWith(office.world.store, number_by_link=then_changed))
    with pytest.raises(LinkRefused):
        await two_step.follow_link(world, await office.owner(), token)

    assert (await office.number()).two_step.is_on


async def test_changing_and_turning_off_at_the_same_moment_one_wins_and_the_trail_says_which(
    office: Office,
):
    await office.owner_is_protected()

    for _ in range(10):
        token = await link(office)
        current = OWNER.pin
        changed, followed = await asyncio.gather(
            outcome(change(office, current)), outcome(follow(office, token))
        )

        is_on = (await office.number()).two_step.is_on
        last = [k for k in await office.scene.kinds() if k.startswith("two_step.")][-1]
        if changed == "done":
            assert (followed, is_on, last) == ("LinkRefused", True, "two_step.pin_changed")
            await two_step.turn_off(office.world, office.scene.owner)
        else:
            assert (changed, followed) == ("PinChangedMeanwhile", "done")
            assert (is_on, last) == (False, "two_step.turned_off")
        await two_step.set_pin(office.world, await office.owner(), await office.number(), OWNER.pin)
        office.scene.pass_time(6 * 3_600)
        office.begun = await office.sign_in()


# The mailed link


async def test_the_link_goes_to_the_portfolio_and_its_address_is_shown_masked(office: Office):
    await office.owner_is_protected()

    shown = await two_step.ask_to_turn_off(
        office.world, await office.owner(), await office.number()
    )

    assert shown == "p…@luckyshrub.example"
    assert await office.letters(Letter.TURN_OFF_LINK) == [POST]
    assert (await office.number()).two_step.is_on


async def test_the_link_turns_two_step_off_and_everybody_hears(office: Office):
    await office.owner_is_protected()
    token = await link(office)

    done = await follow(office, token)

    assert not done.two_step.is_on
    assert await office.scene.register(office.scene.owner) is None
    assert await office.letters(Letter.PIN_TURNED_OFF) == [OWNER.email]


async def test_looking_at_the_link_a_hundred_times_changes_nothing(office: Office):
    await office.owner_is_protected()
    token = await link(office)
    before = (await office.number(), await office.scene.kinds())

    for _ in range(100):
        await two_step.number_of_link(office.world, await office.owner(), token)

    assert (await office.number(), await office.scene.kinds()) == before
    await follow(office, token)


async def test_of_fifty_who_follow_the_link_at_once_exactly_one_succeeds(office: Office):
    await office.owner_is_protected()
    token = await link(office)

    ends = await outcomes(*(follow(office, token) for _ in range(50)))

    assert ends == {"done": 1, "LinkRefused": 49}
    assert (await office.scene.kinds()).count("two_step.turned_off") == 1
    assert await office.letters(Letter.PIN_TURNED_OFF) == [OWNER.email]


async def test_asked_as_often_as_one_likes_five_links_a_day_and_one_a_minute_are_mailed(
    office: Office,
):
    await office.owner_is_protected()
    owner, answers = await office.owner(), set()

    for _ in range(20):
        for _ in range(3):
            answers.add(await two_step.ask_to_turn_off(office.world, owner, await office.number()))
        office.scene.pass_time(61)
    mailed = len(await office.letters(Letter.TURN_OFF_LINK))
    office.scene.pass_time(86_400)
    await two_step.ask_to_turn_off(office.world, owner, await office.number())

    assert answers == {"p…@luckyshrub.example"}
    assert mailed == 5
    assert len(await office.letters(Letter.TURN_OFF_LINK)) == 6


async def test_only_the_newest_link_is_good(office: Office):
    await office.owner_is_protected()
    first = await link(office)
    office.scene.pass_time(60)
    second = await link(office)

    with pytest.raises(LinkRefused):
        await follow(office, first)

    await follow(office, second)


async def test_the_link_is_good_for_thirty_minutes(office: Office):
    await office.owner_is_protected()
    token = await link(office)

    office.scene.pass_time(1_800)

    with pytest.raises(LinkRefused):
        await two_step.number_of_link(office.world, await office.owner(), token)
    with pytest.raises(LinkRefused):
        await follow(office, token)


@pytest.mark.parametrize("how", ["changed", "replaced over the API", "turned off and set"])
async def test_the_link_is_void_after_any_change_of_the_pin(office: Office, how):
    await office.owner_is_protected()
    token = await link(office)

    if how == "changed":
        await change(office)
    else:
        if how == "turned off and set":
            await two_step.turn_off(office.world, office.scene.owner)
        await two_step.turn_on(office.world, office.scene.owner, OWNER.new_pin)

    with pytest.raises(LinkRefused):
        await follow(office, token)
    assert (await office.number()).two_step.is_on


async def test_the_link_is_void_when_who_asked_for_it_is_gone(office: Office):
    await office.owner_is_protected()
    anna = await office.add("anna", MemberRole.ADMIN)
    await two_step.ask_to_turn_off(office.world, anna, await office.number())
    token = await office.link(POST, Letter.TURN_OFF_LINK)
    await members.remove(office.world, await office.owner(), anna.id)

    with pytest.raises(LinkRefused):
        await follow(office, token)


async def test_an_admin_follows_a_link_that_a_colleague_asked_for(office: Office):
    await office.owner_is_protected()
    anna = await office.add("anna", MemberRole.ADMIN)
    token = await link(office)

    assert not (await follow(office, token, anna)).two_step.is_on


async def test_the_thief_next_door_with_the_link_turns_nothing_off_and_is_written_down(
    office: Office,
):
    await office.owner_is_protected()
    token = await link(office)

    with pytest.raises(LinkRefused):
        await two_step.number_of_link(office.world, office.neighbour, token)
    with pytest.raises(LinkRefused):
        await follow(office, token, office.neighbour)

    subject = f"number:{(await office.number()).id}"
    told = [one.event async for one in office.world.store.audit(subject)]
    refused = [event for event in told if event.kind.value == "two_step.turn_off_refused"]
    assert [(event.by, event.place) for event in refused] == [
        (f"member:{office.neighbour.id}", "192.0.2.7")  # looking left no trace
    ]
    assert (await office.number()).two_step.is_on
    await follow(office, token)


async def test_a_viewer_with_the_link_turns_nothing_off(office: Office):
    await office.owner_is_protected()
    vera = await office.add("vera", MemberRole.VIEWER)
    token = await link(office)

    with pytest.raises(LinkRefused):
        await follow(office, token, vera)

    assert (await office.number()).two_step.is_on


async def test_a_link_that_was_touched_is_refused_like_every_other_one(office: Office):
    await office.owner_is_protected()
    token = await link(office)

    for touched in (
        "", token[:-1], token + ".", token + "=", token.swapcase(), f" {token}", token + "\x00",
        f"{token}%00", "x" * 10_000, "\ud800",
    ):  # fmt: skip
        with pytest.raises(LinkRefused) as refused:
            await follow(office, touched)
        with pytest.raises(LinkRefused) as looked:
            await two_step.number_of_link(office.world, await office.owner(), touched)
        assert refused.value.args == looked.value.args == ()

    await follow(office, token)


async def test_a_pin_that_changes_while_a_link_is_asked_for_leaves_it_good_for_the_new_one(
    office: Office,
):
    await office.owner_is_protected()
    stale = await office.number()
    await change(office)

    await two_step.ask_to_turn_off(office.world, await office.owner(), stale)
    token = await office.link(POST, Letter.TURN_OFF_LINK)

    assert not (await follow(office, token)).two_step.is_on


async def test_the_link_of_a_number_whose_account_is_gone_is_refused(office: Office):
    await office.owner_is_protected()
    token = await link(office)

    async def gone(id: str) -> None:
        return None

    world = office.other_world(store=StoreWith(office.world.store, waba=gone))
    with pytest.raises(LinkRefused):
        await two_step.follow_link(world, await office.owner(), token)
    assert await two_step.ask_to_turn_off(world, await office.owner(), await office.number()) == (
        "…@"
    )


async def test_the_link_is_in_no_file_but_sealed(office: Office):
    await office.owner_is_protected()
    token = await link(office)

    path = office.scene.house.settings.database_file
    files = {file.name: file.read_bytes() for file in path.parent.glob(f"{path.name}*")}
    assert any(POST.encode() in held for held in files.values())
    assert not [name for name, held in files.items() if token.encode() in held]
