"""Letters on their way: none lost, none stranded, none with a dead link, no secret left behind."""

import asyncio
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from nightlatch.domain.errors import MailEnded, MailUnknown, TwoStepIsOn, WrongPin
from nightlatch.domain.mail import Letter, MailState, Posted
from nightlatch.domain.members import MemberRole
from nightlatch.ports import MailPutOff, MailRefused, World
from nightlatch.usecases import codes, mail, members, numbers, portfolios, two_step
from nightlatch.usecases.mail import Delivered
from tests.fakes.post import BrokenPost, ForgetfulPost, HangingPost, PostOffice, SlowPost
from tests.people import OWNER, THIEF
from tests.usecases.conftest import Office, Scene, outcome

POST = "post@luckyshrub.example"


async def pin_set(office: Office) -> Posted:
    """The owner sets a PIN; the one letter that tells of it, still waiting."""
    await two_step.set_pin(office.world, await office.owner(), await office.number(), OWNER.pin)
    (posted,) = await office.world.store.mails(office.portfolio, 1)
    return posted


async def link_asked(office: Office) -> Posted:
    """The owner asks for the link; its letter, still waiting."""
    await office.owner_is_protected()
    await office.deliver()
    await two_step.ask_to_turn_off(office.world, await office.owner(), await office.number())
    (posted,) = await office.world.store.mails(office.portfolio, 1)
    return posted


async def now_is(office: Office, key: str) -> Posted:
    posted = await office.world.store.mail(key)
    assert posted is not None
    return posted


# Who gets what


@pytest.fixture
async def crowd(office: Office) -> Office:
    """An admin and a viewer besides the owner."""
    await office.add("anna", MemberRole.ADMIN)
    await office.add("vera", MemberRole.VIEWER)
    return office


TOLD = [OWNER.email, "anna@luckyshrub.example"]


async def test_each_owner_and_admin_gets_one_letter_and_no_viewer_and_nobody_next_door(
    crowd: Office,
):
    await pin_set(crowd)

    assert sorted(await crowd.letters()) == sorted(TOLD)


async def test_every_change_of_the_pin_is_mailed_once(crowd: Office):
    owner, session = await crowd.owner(), crowd.begun.session
    await crowd.scene.owner_has_registered()
    await pin_set(crowd)
    await two_step.change_pin(
        crowd.world, owner, session, await crowd.number(), OWNER.pin, OWNER.new_pin
    )
    await two_step.turn_off(crowd.world, crowd.scene.owner)
    await two_step.turn_off(crowd.world, crowd.scene.owner)
    await two_step.turn_on(crowd.world, crowd.scene.owner, OWNER.pin)
    await two_step.turn_on(crowd.world, crowd.scene.owner, OWNER.pin)
    assert (
        await outcome(two_step.set_pin(crowd.world, owner, await crowd.number(), OWNER.new_pin))
        == TwoStepIsOn.__name__
    )

    await crowd.deliver()

    for address in TOLD:
        posted = sorted((one for one, _ in crowd.post.to(address)), key=lambda p: p.posted_at)
        assert [one.letter for one in posted] == [
            Letter.PIN_SET, Letter.PIN_CHANGED, Letter.PIN_TURNED_OFF, Letter.PIN_SET,
        ]  # fmt: skip
    assert {posted.address for posted, _ in crowd.post.taken} == set(TOLD)


async def test_a_thief_who_guesses_a_hundred_times_makes_two_letters(crowd: Office):
    await crowd.owner_is_protected()
    await crowd.deliver()
    crowd.post.taken.clear()

    for _ in range(100):
        with pytest.raises(WrongPin):
            await crowd.scene.register(crowd.scene.thief, THIEF.wrong_pin)
        crowd.scene.pass_time(86_400)
    await crowd.deliver()
    await crowd.deliver()

    assert sorted(await crowd.letters(Letter.FIRST_WRONG_GUESS)) == sorted(TOLD)
    assert sorted(await crowd.letters(Letter.NUMBER_LOCKED)) == sorted(TOLD)
    assert len(crowd.post.taken) == 4


async def test_of_many_wrong_guesses_at_once_one_is_mailed(crowd: Office):
    await crowd.owner_is_protected()
    await crowd.deliver()

    await asyncio.gather(
        *(outcome(crowd.scene.register(crowd.scene.thief, f"{n:06d}")) for n in range(20))
    )

    assert sorted(await crowd.letters(Letter.FIRST_WRONG_GUESS)) == sorted(TOLD)


async def test_a_number_that_is_taken_over_is_mailed(crowd: Office):
    await crowd.owner_is_protected()
    await crowd.scene.register(crowd.scene.thief, OWNER.pin)
    await crowd.scene.enter(crowd.scene.thief, await crowd.scene.code())

    assert sorted(await crowd.letters(Letter.NUMBER_TAKEN_OVER)) == sorted(TOLD)


async def test_while_nobody_is_a_member_the_portfolios_address_hears(scene: Scene):
    post = PostOffice()
    (first,) = await scene.world.store.portfolios()
    await portfolios.change_portfolio(scene.world, first.id, "Lucky Shrub", POST)

    await scene.owner_is_protected()
    await mail.deliver(scene.world, post)

    assert [posted.address for posted, _ in post.taken if posted.letter is Letter.PIN_SET] == [POST]


async def test_while_it_has_no_address_its_letters_fail_instead_of_going_to_a_stranger(
    scene: Scene,
):
    post = PostOffice()

    await scene.owner_is_protected()
    done = await mail.deliver(scene.world, post)

    assert (done, post.taken) == (Delivered(0, 1), [])
    (posted,) = await scene.world.store.mails(None, 9)
    assert "no address" in posted.fault


async def test_in_the_embedded_mailbox_they_are_kept_for_the_first_owner(scene: Scene):
    await scene.owner_is_protected()

    done = await mail.deliver(scene.world, PostOffice(keeps=True))

    assert done == Delivered(1, 0)


async def test_only_viewers_are_nobody_to_tell(scene: Scene):
    post = PostOffice()
    (first,) = await scene.world.store.portfolios()
    await portfolios.change_portfolio(scene.world, first.id, "Lucky Shrub", POST)
    await members.add_member(
        scene.world, first.id, "vera@luckyshrub.example", "Vera", MemberRole.VIEWER, OWNER.password
    )

    await scene.owner_is_protected()
    await mail.deliver(scene.world, post)

    assert {posted.address for posted, _ in post.taken} == {POST}


async def test_a_letter_knows_from_where_it_happened(office: Office):
    posted = await pin_set(office)

    facts = dict(posted.facts)
    assert (facts["place"], facts["by"]) == ("192.0.2.7", OWNER.email)
    assert datetime.fromisoformat(str(facts["at"])) == posted.posted_at


# Sending


async def test_a_letter_is_sent_once_and_then_it_is_done(office: Office):
    posted = await pin_set(office)

    first = await mail.deliver(office.world, office.post)
    second = await mail.deliver(office.world, office.post)

    sent = await now_is(office, posted.key)
    assert (first, second) == (Delivered(1, 0), Delivered(0, 0))
    assert (sent.state, sent.attempts, sent.fault) == (MailState.SENT, 1, "")
    assert sent.ended_at is not None


async def test_a_delivered_letter_leaves_no_secret_behind(office: Office):
    asked = await link_asked(office)
    token = await office.link(POST, Letter.TURN_OFF_LINK)

    sent = await now_is(office, asked.key)

    assert asked.sealed is not None
    assert token.encode() not in asked.sealed
    assert (sent.state, sent.sealed) == (MailState.SENT, None)
    assert mail.read(office.world, sent).link is None


async def test_a_kept_letter_is_read_with_its_link_until_the_link_dies(office: Office):
    asked = await link_asked(office)

    done = await mail.deliver(office.world, PostOffice(keeps=True))
    kept = await mail.find(office.world, asked.key)
    token = mail.read(office.world, kept).link
    assert token is not None
    number = await two_step.number_of_link(office.world, await office.owner(), token)
    office.scene.pass_time(1_800)
    late = mail.read(office.world, kept).link
    await office.world.store.tidy(office.world.clock.now())

    assert (done, kept.state) == (Delivered(1, 0), MailState.KEPT)
    assert number.id == (await office.number()).id
    assert late is None
    assert (await now_is(office, asked.key)).sealed is None


async def test_a_letter_whose_link_died_is_never_sent(office: Office):
    asked = await link_asked(office)
    office.scene.pass_time(1_800)

    done = await mail.deliver(office.world, office.post)

    failed = await now_is(office, asked.key)
    assert done == Delivered(0, 1)
    assert failed.state is MailState.FAILED
    assert "died" in failed.fault
    assert office.post.to(POST, Letter.TURN_OFF_LINK) == []
    with pytest.raises(MailEnded):
        await mail.retry(office.world, asked.key)


async def tries(office: Office, sender: BrokenPost, seconds: int, step: int = 1) -> list[float]:
    """The pauses between tries, when a worker looks every *step* seconds."""
    at: list[int] = []
    for second in range(0, seconds, step):
        before = len(sender.tried)
        await mail.deliver(office.world, sender)
        at += [second] if len(sender.tried) > before else []
        office.scene.pass_time(step)
    return [later - first for first, later in pairwise(at)]


async def test_a_letter_that_is_put_off_is_tried_again_after_the_pauses_of_the_table(
    office: Office,
):
    await pin_set(office)
    busy = BrokenPost(MailPutOff("451 busy"))

    pauses = await tries(office, busy, 1_200)

    wanted = (1, 2, 5, 15, 30, 60, 120, 300, 300, 300)
    assert len(pauses) == len(wanted)
    assert all(want <= took <= want + 1 for took, want in zip(pauses, wanted, strict=True))
    assert {posted.key for posted in busy.tried} == {busy.tried[0].key}
    assert [posted.attempts for posted in busy.tried] == list(range(1, 12))


async def test_a_server_that_is_down_is_tried_at_least_every_half_minute(office: Office):
    posted = await pin_set(office)
    down = BrokenPost(ConnectionRefusedError("host 10.0.0.1"))

    pauses = await tries(office, down, 300)
    waiting = await now_is(office, posted.key)
    office.scene.pass_time(31)
    done = await mail.deliver(office.world, office.post)

    assert max(pauses) <= 31
    assert waiting.fault == "not reached: ConnectionRefusedError"
    assert done.sent == 1
    assert (await now_is(office, posted.key)).state is MailState.SENT


async def test_a_letter_is_given_up_after_a_day_and_once(office: Office):
    posted = await pin_set(office)
    busy = BrokenPost(MailPutOff("451 busy"))
    given_up = 0

    for _ in range(400):
        given_up += (await mail.deliver(office.world, busy)).failed
        office.scene.pass_time(300)

    failed = await now_is(office, posted.key)
    assert given_up == 1
    assert (failed.state, failed.fault) == (MailState.FAILED, "451 busy")
    assert failed.ended_at is not None
    assert 0.9 < (failed.ended_at - posted.posted_at).total_seconds() / 86_400 <= 1


async def test_a_letter_that_is_refused_is_never_tried_again_but_by_a_person(office: Office):
    posted = await pin_set(office)
    refused = BrokenPost(MailRefused("550 no such user"))

    done = await mail.deliver(office.world, refused)
    office.scene.pass_time(86_400)
    later = await mail.deliver(office.world, refused)
    failed = await now_is(office, posted.key)
    again = await mail.retry(office.world, posted.key)
    sent = await mail.deliver(office.world, office.post)

    assert (done, later) == (Delivered(0, 1), Delivered(0, 0))
    assert len(refused.tried) == 1
    assert (failed.state, failed.fault) == (MailState.FAILED, "550 no such user")
    assert (again.state, again.attempts) == (MailState.WAITING, 0)
    assert sent == Delivered(1, 0)
    with pytest.raises(MailEnded):
        await mail.retry(office.world, posted.key)


async def test_a_link_that_a_person_sends_again_still_works(office: Office):
    asked = await link_asked(office)
    await mail.deliver(office.world, BrokenPost(MailRefused("550")))

    await mail.retry(office.world, asked.key, office.portfolio)
    token = await office.link(POST, Letter.TURN_OFF_LINK)

    await two_step.follow_link(office.world, await office.owner(), token)


async def test_a_server_that_hangs_is_left_and_tried_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(mail, "MAIL_SECONDS", 0.01)
    posted = await pin_set(office)
    hanging = HangingPost()

    done = await mail.deliver(office.world, hanging)
    office.scene.pass_time(2)
    again = await mail.deliver(office.world, office.post)

    assert (done, hanging.hung) == (Delivered(0, 0), 1)
    assert again == Delivered(1, 0)
    assert (await now_is(office, posted.key)).attempts == 2


async def test_a_server_that_took_the_letter_and_broke_off_gets_it_again_under_the_same_key(
    office: Office,
):
    await pin_set(office)

    await mail.deliver(office.world, ForgetfulPost(office.post))
    office.scene.pass_time(2)
    await mail.deliver(office.world, office.post)

    assert len(office.post.taken) == 2
    assert len({posted.key for posted, _ in office.post.taken}) == 1


async def test_no_letter_waits_for_one_that_fails(crowd: Office):
    await pin_set(crowd)
    tried = []

    async def first_fails() -> None:
        tried.append(1)
        if len(tried) == 1:
            raise ConnectionError

    done = await mail.deliver(crowd.world, SlowPost(crowd.post, first_fails))

    assert done == Delivered(1, 0)


async def test_while_a_slow_server_takes_a_letter_no_other_worker_sends_it(office: Office):
    await pin_set(office)
    others: list[Delivered] = []

    async def another_worker() -> None:
        office.scene.pass_time(30)
        others.append(await mail.deliver(office.world, office.post))

    done = await mail.deliver(office.world, SlowPost(office.post, another_worker))

    assert (done, others) == (Delivered(1, 0), [Delivered(0, 0)])
    assert len(office.post.taken) == 1


async def test_a_worker_that_dies_while_sending_is_replaced_when_its_lease_is_over(
    office: Office,
):
    await pin_set(office)
    hanging = HangingPost()
    worker = asyncio.create_task(mail.deliver(office.world, hanging))
    while not hanging.hung:
        await asyncio.sleep(0)
    worker.cancel()
    await asyncio.wait({worker})

    at_once = await mail.deliver(office.world, office.post)
    office.scene.pass_time(60)
    later = await mail.deliver(office.world, office.post)

    assert (at_once, later) == (Delivered(0, 0), Delivered(1, 0))


@pytest.mark.parametrize(
    "error",
    [MailRefused("550"), MailPutOff("451"), ConnectionError()],
    ids=lambda e: type(e).__name__,
)
async def test_a_worker_that_comes_back_late_does_not_undo_what_another_one_did(
    office: Office, error
):
    posted = await pin_set(office)

    async def suspended() -> None:
        office.scene.pass_time(61)
        await mail.deliver(office.world, office.post)
        raise error

    done = await mail.deliver(office.world, SlowPost(office.post, suspended))

    sent = await now_is(office, posted.key)
    assert done.failed == 0
    assert (sent.state, sent.fault) == (MailState.SENT, "")


async def test_a_letter_that_cannot_be_opened_fails_no_other(office: Office):
    asked = await link_asked(office)
    await office.world.store.update_mail(
        asked.key,
        lambda p: Posted(**{**_fields(p), "sealed": office.world.keys.seal(b"x", "mail|v1|other")}),
    )
    office.scene.pass_time(60)
    await numbers.unlock(office.world, await office.number())
    await two_step.turn_off(office.world, office.scene.owner)

    await mail.deliver(office.world, office.post)

    waiting = await now_is(office, asked.key)
    assert (waiting.state, waiting.fault) == (MailState.WAITING, "not reached: Unavailable")
    assert len(office.post.to(OWNER.email, Letter.PIN_TURNED_OFF)) == 1


def _fields(posted: Posted) -> dict[str, Any]:
    return {name: getattr(posted, name) for name in Posted.__dataclass_fields__}


async def test_a_refused_change_posts_nothing(office: Office):
    await office.owner_is_protected()
    before = await office.world.store.mails(None, 99)
    owner = await office.owner()

    for call in (
        two_step.set_pin(office.world, owner, await office.number(), OWNER.new_pin),
        two_step.follow_link(office.world, owner, "no such link"),
        members.invite(office.world, owner, OWNER.email, MemberRole.ADMIN),
    ):
        assert await outcome(call) != "done"

    assert await office.world.store.mails(None, 99) == before


# Reading


async def test_letters_are_listed_latest_first_and_only_ones_own(office: Office):
    first = await pin_set(office)
    office.scene.pass_time(1)
    await members.ask_reset(office.world, THIEF.email)
    await members.ask_reset(office.world, OWNER.email)

    mine = await mail.latest(office.world, office.portfolio, 99)
    thiefs = await mail.latest(office.world, office.neighbour.portfolio, 99)

    assert [posted.letter for posted in mine][:2] == [Letter.PASSWORD_RESET, Letter.PIN_SET]
    assert mine[1].key == first.key
    assert {posted.address for posted in thiefs} == {THIEF.email}


async def test_a_letter_of_another_portfolio_is_unknown(office: Office):
    posted = await pin_set(office)

    for call in (
        mail.find(office.world, posted.key, office.neighbour.portfolio),
        mail.retry(office.world, posted.key, office.neighbour.portfolio),
        mail.find(office.world, "no such key"),
        mail.find(office.world, ""),
    ):
        with pytest.raises(MailUnknown):
            await call

    assert await mail.find(office.world, posted.key, office.portfolio) == posted


async def test_a_change_nudges_the_workers(office: Office):
    nudged: list[str] = []
    world: World = office.other_world(nudge=lambda: nudged.append("now"))
    owner = await office.owner()

    await two_step.set_pin(world, owner, await office.number(), OWNER.pin)
    await two_step.ask_to_turn_off(world, owner, await office.number())
    await members.ask_reset(world, OWNER.email)
    await members.invite(world, owner, "b@b.example", MemberRole.ADMIN)

    assert len(nudged) == 4


async def test_codes_and_letters_do_not_wait_for_each_other(office: Office):
    await office.scene.register(office.scene.owner)
    await pin_set(office)

    assert await codes.deliver(office.world, office.scene.house.sender) == 1
    assert await mail.deliver(office.world, office.post) == Delivered(1, 0)
