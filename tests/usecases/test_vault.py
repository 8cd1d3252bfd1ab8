"""The vault: who sees PINs, and how they are set anew, one or many."""

from datetime import timedelta

import pytest

from nightlatch.domain.errors import (
    CloudCallsSpent,
    CloudUnreached,
    LedgerWait,
    NotOnCloud,
    OutcomeUnknown,
    PinNotInVault,
    RoleTooLow,
    SignInRefused,
    Unavailable,
)
from nightlatch.domain.linked import Reason
from nightlatch.domain.members import MemberRole
from nightlatch.usecases import linked, links, vault
from tests.fakes.cloud import LOST_BUT_DONE, LOST_UNDONE, UNSENT, WABA, AtMeta, Meanwhile, Refuse
from tests.fakes.stores import StoreWith
from tests.people import OWNER, THIEF
from tests.usecases.conftest import MOBILE, AtCloud


async def test_an_owner_sees_the_pin_after_the_password_and_the_trail_tells(at_cloud):
    at = at_cloud
    phone = await at.served()

    shown = await vault.reveal_by_member(
        at.world, await at.office.owner(), OWNER.password, await at.number(phone)
    )

    assert shown == vault.Revealed(OWNER.pin, (), doubted=False)
    trail = [e.event async for e in at.world.store.audit(f"linked:{phone.id}")]
    assert (trail[-1].kind.value, trail[-1].by) == ("vault.pin_revealed", OWNER.email)


async def test_nobody_else_sees_it_and_nothing_is_told(at_cloud):
    at = at_cloud
    phone = await at.served()
    number, kinds = await at.number(phone), await at.kinds(phone)
    low = await at.office.add("otto", MemberRole.ADMIN)

    with pytest.raises(RoleTooLow):
        await vault.reveal_by_member(at.world, low, OWNER.password, number)
    with pytest.raises(SignInRefused):
        await vault.reveal_by_member(at.world, await at.office.owner(), "wrong", number)

    assert await at.kinds(phone) == kinds


async def test_an_empty_vault_has_nothing_to_show(at_cloud):
    at = at_cloud
    phone = await at.known(None)

    with pytest.raises(PinNotInVault):
        await vault.reveal(at.world, await at.number(phone))


async def test_every_pin_that_meta_may_have_is_shown(at_cloud):
    at = at_cloud
    phone = await at.known(None)
    at.cloud.script("set_pin", LOST_UNDONE)
    with pytest.raises(OutcomeUnknown):
        await vault.rotate(at.world, await at.number(phone), pin=OWNER.new_pin)

    first = await vault.reveal(at.world, await at.number(phone))
    await at.upkeep()
    later = await vault.reveal(at.world, await at.number(phone))

    assert first == vault.Revealed(None, (OWNER.new_pin,), doubted=False)
    assert (later, phone.pin) == (first, None)


async def test_what_somebody_says_is_kept_and_meta_is_not_asked(at_cloud):
    at = at_cloud
    phone = await at.known(None)
    phone.pin = OWNER.pin
    await linked.refresh(at.world, await at.number(phone))
    calls = len(at.cloud.calls)

    after = await vault.keep(at.world, await at.number(phone), OWNER.pin, OWNER.email)

    assert len(at.cloud.calls) == calls
    assert after.vault.is_good
    assert await at.pins(phone) == (OWNER.pin, [])
    seen = await linked.refresh(at.world, await at.number(phone))
    assert seen.vault.confirmed_at is not None


async def test_a_pin_is_rotated_to_one_that_nobody_said(at_cloud):
    at = at_cloud
    phone = await at.served()

    await vault.rotate(at.world, await at.number(phone), OWNER.email)
    drawn = phone.pin
    await vault.rotate(at.world, await at.number(phone), pin=OWNER.new_pin)

    assert drawn not in (OWNER.pin, None)
    assert phone.pin == OWNER.new_pin
    await at.agrees(phone)


async def test_a_lost_key_shows_nothing(at_cloud):
    at = at_cloud
    phone = await at.served()

    def lost(*_: object) -> bytes:
        raise Unavailable

    world = at.other_world(keys=StoreWith(at.world.keys, unseal=lost))

    with pytest.raises(Unavailable):
        await vault.reveal(world, await at.number(phone))


# Many


async def many(at: AtCloud, count: int = 4) -> list[AtMeta]:
    return [await at.known(e164=f"+165055501{n:02d}") for n in range(10, 10 + count)]


async def rotate(at: AtCloud, older_than, **more) -> list[tuple[str, str]]:
    """What became of each number."""
    told = []
    one = await at.link()
    async for done in vault.rotate_many(at.world, one, OWNER.email, older_than=older_than, **more):
        told.append((done.number.e164[-2:], type(done.refusal).__name__))
    return told


async def test_all_registered_numbers_of_an_account_get_another_pin_once(at_cloud):
    at = at_cloud
    phones = await many(at)
    unregistered = at.cloud.add(MOBILE)
    unknown = at.cloud.add_registered("+16505550190", THIEF.wrong_pin)
    await at.read()
    now = at.world.clock.now()

    left = await vault.left_to_rotate(at.world, await at.link(), now)
    told = await rotate(at, now)

    done = ["10", "11", "12", "13", "90"]
    assert (left, told) == (5, [(n, "NoneType") for n in done])
    assert len({phone.pin for phone in phones} - {OWNER.pin}) == 4
    assert (unregistered.pin, unknown.pin in (THIEF.wrong_pin, None)) == (None, False)
    assert all(call.patient for call in at.cloud.calls if call.method == "set_pin")
    assert await rotate(at, now) == []
    assert await vault.left_to_rotate(at.world, await at.link(), now) == 0
    for phone in (*phones, unknown):
        await at.agrees(phone)


async def test_a_rotation_that_was_cut_short_goes_on_where_it_stopped(at_cloud):
    at = at_cloud
    phones = await many(at)
    now = at.world.clock.now()

    async for done in vault.rotate_many(at.world, await at.link(), older_than=now):
        if done.number.e164.endswith("11"):
            break
    half = [phone.pin for phone in phones]
    told = await rotate(at, now)

    assert half[2:] == [OWNER.pin] * 2
    assert told == [("12", "NoneType"), ("13", "NoneType")]
    assert [phone.pin for phone in phones][:2] == half[:2]


@pytest.mark.parametrize(
    ("fault", "refusal"), [(UNSENT, CloudUnreached), (Refuse(Reason.CALLS), CloudCallsSpent)]
)
async def test_a_rotation_ends_when_meta_wants_no_more_and_is_taken_up_later(
    at_cloud, fault, refusal
):
    at = at_cloud
    phones = await many(at, 3)
    now = at.world.clock.now()
    at.cloud.script("set_pin", *[Meanwhile(nothing), fault])

    told = await rotate(at, now)
    later = await rotate(at, now)

    assert told == [("10", "NoneType"), ("11", refusal.__name__)]
    assert later == [("11", "NoneType"), ("12", "NoneType")]
    assert OWNER.pin not in [phone.pin for phone in phones]


async def nothing() -> None:
    pass


async def test_one_number_that_keeps_its_pin_does_not_stop_the_others(at_cloud):
    at = at_cloud
    phones = await many(at, 3)
    now = at.world.clock.now()
    at.cloud.script("set_pin", Refuse(Reason.NOT_REGISTERED))

    told = await rotate(at, now)

    assert told == [("10", NotOnCloud.__name__), ("11", "NoneType"), ("12", "NoneType")]
    assert await rotate(at, now, after=phones[2].e164) == []
    assert await rotate(at, now) == [("10", "NoneType")]


async def test_a_number_that_is_unknown_is_read_first_and_not_written_blindly(at_cloud):
    at = at_cloud
    phones = await many(at, 2)
    now = at.world.clock.now()
    at.cloud.script("set_pin", LOST_BUT_DONE)

    told = await rotate(at, now)
    at_once = await rotate(at, now)
    at.pass_time(61)
    later = await rotate(at, now)

    assert told == [("10", OutcomeUnknown.__name__), ("11", "NoneType")]
    assert at_once == [("10", OutcomeUnknown.__name__)]
    assert later == [("10", "NoneType")]
    for phone in phones:
        await at.agrees(phone)


async def test_two_rotations_side_by_side_rotate_each_number_once(at_cloud):
    at = at_cloud
    await many(at, 3)
    now = at.world.clock.now()
    first = vault.rotate_many(at.world, await at.link(), older_than=now)
    await anext(first)

    told = await rotate(at, now)

    assert told == [("11", "NoneType"), ("12", "NoneType")]
    assert [one async for one in first] == []
    assert at.cloud.count("set_pin") == 3


async def test_a_rotation_of_numbers_that_were_unlinked_meanwhile_ends(at_cloud):
    at = at_cloud
    await many(at, 3)
    rotating = vault.rotate_many(at.world, await at.link(), older_than=at.world.clock.now())
    await anext(rotating)

    await links.unlink(at.world, await at.link())

    assert [one async for one in rotating] == []
    assert await at.world.store.link(WABA) is None


async def test_a_rotation_never_goes_beyond_the_ledger(at_cloud):
    at = at_cloud
    (phone,) = await many(at, 1)
    for _ in range(19):
        await rotate(at, at.world.clock.now())
        at.pass_time(1)

    told = await rotate(at, at.world.clock.now())

    assert told == [("10", LedgerWait.__name__)]
    assert at.cloud.count("set_pin") == 19
    at.pass_time(timedelta(hours=72).total_seconds())
    assert await rotate(at, at.world.clock.now()) == [("10", "NoneType")]
    await at.agrees(phone)
