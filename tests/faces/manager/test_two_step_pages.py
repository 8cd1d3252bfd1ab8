"""Two-step verification in a browser: setting, changing and the one counter of guesses."""

import asyncio
import re

import pytest

from nightlatch.domain import two_step as rules
from nightlatch.domain.errors import (
    GuessWait,
    LinkRefused,
    NumberLocked,
    PinChangedMeanwhile,
    PinUnchanged,
    RoleTooLow,
    TwoStepIsOff,
    TwoStepIsOn,
    WrongPin,
)
from nightlatch.domain.mail import Letter
from nightlatch.usecases import numbers
from nightlatch.usecases.guesses import check_pin
from tests.manager_client import ADA, OLIVIA, VITO, Browserless, Office, refuses, text_of
from tests.people import OWNER, THIEF
from tests.town import Reply

DAY = 86_400
WAITS = (60, 300, 900, 900, 3_600)
"""After wrong guess 5, 6, 7, 8, 9."""


async def base(office: Office) -> str:
    return f"/manager/numbers/{(await office.town.number()).id}/two-step"


async def protected(office: Office) -> str:
    """The owner's number with a PIN; the address of its two-step verification."""
    await office.town.owner_is_protected()
    return await base(office)


async def change(
    browser: Browserless, at: str, current: str, pin: str = OWNER.new_pin, again: str | None = None
) -> Reply:
    await browser.get(f"{at}/change")
    return await browser.post(
        f"{at}/change", {"current": current, "pin": pin, "again": pin if again is None else again}
    )


async def paid(office: Office) -> int:
    """How many guesses were ever paid for."""
    return (await office.town.kinds()).count("guess.paid")


# Setting


async def test_a_pin_is_set_in_the_manager_and_asked_for_by_v1(office: Office):
    await office.town.owner_has_registered()
    at = await base(office)
    browser = await office.signed_in(ADA)

    page = await browser.fill_in(f"{at}/set", pin=OWNER.pin, again=OWNER.pin)

    assert "Two-step verification is on" in text_of(page)
    assert (await office.town.thief.register()).verdict == (400, 1008)
    assert (await office.town.owner.register(OWNER.pin)).status == 201


async def test_a_pin_is_not_set_over_another_one(office: Office):
    at = await protected(office)
    browser = await office.signed_in(ADA)

    page = await browser.get(f"{at}/set")
    sent = await browser.post(f"{at}/set", {"pin": OWNER.new_pin, "again": OWNER.new_pin})

    assert refuses(page, TwoStepIsOn)
    assert refuses(sent, TwoStepIsOn)
    assert (await office.town.owner.register(OWNER.pin)).status == 201


WEAK = {
    "111111": "repeats itself",
    "123123": "repeats itself",
    "112233": "repeats itself",
    "123456": "follow one another",
    "123321": "same backwards",
    "159753": "line on the keypad",
    "150184": "it is a date",
    "198401": "it is a date",
}


async def test_a_weak_pin_is_refused_with_the_reason_and_a_strong_one_offered(office: Office):
    at = await base(office)
    browser = await office.signed_in(ADA)
    await browser.get(f"{at}/set")

    for pin, why in WEAK.items():
        page = await browser.post(f"{at}/set", {"pin": pin, "again": pin})

        assert page.status == 400
        assert why in text_of(page), pin
        offered = re.search(rb'id="offered">([0-9]{6})<', page.raw)
        assert offered
        assert not rules.is_weak(offered[1].decode())
    assert not (await office.town.number()).two_step.is_on


NO_PINS = (
    "", "12345", "1234567", " 271828", "271 828", "27182a", "271828\n",
    "\uff12\uff17\uff11\uff18\uff12\uff18",  # full-width digits
    "\u0662\u0667\u0661\u0668\u0662\u0668",  # Arabic-Indic digits
)  # fmt: skip


async def test_only_six_plain_digits_are_a_pin(office: Office):
    at = await base(office)
    browser = await office.signed_in(ADA)
    await browser.get(f"{at}/set")

    for pin in NO_PINS:
        page = await browser.post(f"{at}/set", {"pin": pin, "again": pin})

        assert page.status == 400
        assert "exactly six digits" in text_of(page), pin
        assert b'aria-describedby="pin-wrong' in page.raw
    assert not (await office.town.number()).two_step.is_on


async def test_the_new_pin_must_be_typed_twice_alike(office: Office):
    at = await base(office)
    browser = await office.signed_in(ADA)
    await browser.get(f"{at}/set")

    page = await browser.post(f"{at}/set", {"pin": OWNER.pin, "again": OWNER.new_pin})

    assert page.status == 400
    assert b'aria-describedby="again-wrong' in page.raw
    assert not (await office.town.number()).two_step.is_on


# Changing


async def test_who_knows_the_current_pin_changes_it(office: Office):
    at = await protected(office)
    browser = await office.signed_in(ADA)

    page = await browser.fill_in(
        f"{at}/change", current=OWNER.pin, pin=OWNER.new_pin, again=OWNER.new_pin
    )

    assert "The PIN is changed" in text_of(page)
    assert (await office.town.owner.register(OWNER.pin)).verdict == (403, 1005)
    assert (await office.town.owner.register(OWNER.new_pin)).status == 201


async def test_a_changed_pin_ends_the_members_other_sessions_and_nobody_elses(office: Office):
    at = await protected(office)
    here, elsewhere = await office.signed_in(ADA), await office.signed_in(ADA)
    olivia = await office.signed_in(OLIVIA)

    done = await change(here, at, OWNER.pin)

    assert done.status == 303
    assert (await here.get(at)).status == 200
    assert (await elsewhere.get(at)).status == 303
    assert (await olivia.get(at)).status == 200


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"current": "27182", "pin": OWNER.new_pin, "again": OWNER.new_pin}, "current"),
        ({"current": "", "pin": OWNER.new_pin, "again": OWNER.new_pin}, "current"),
        ({"current": THIEF.wrong_pin, "pin": "602", "again": "602"}, "pin"),
        ({"current": THIEF.wrong_pin, "pin": "123456", "again": "123456"}, "pin"),
        ({"current": THIEF.wrong_pin, "pin": OWNER.new_pin, "again": "602215"}, "again"),
        ({"current": THIEF.wrong_pin, "pin": OWNER.new_pin, "again": ""}, "again"),
    ],
)
async def test_what_is_mistyped_is_refused_before_any_guess_is_spent(office: Office, typed, field):
    at = await protected(office)
    browser = await office.signed_in(ADA)
    await browser.get(f"{at}/change")

    page = await browser.post(f"{at}/change", typed)

    assert page.status == 400
    assert f'aria-describedby="{field}-wrong'.encode() in page.raw
    assert await paid(office) == 0


async def test_row_27_the_same_pin_again_still_takes_the_current_one(office: Office):
    at = await protected(office)
    browser = await office.signed_in(ADA)

    right = await change(browser, at, OWNER.pin, OWNER.pin)
    wrong = await change(browser, at, THIEF.wrong_pin, THIEF.wrong_pin)

    assert refuses(right, PinUnchanged)
    assert refuses(wrong, WrongPin)
    assert (await office.town.number()).two_step.version == 1
    assert await paid(office) == 2


async def test_there_is_nothing_to_change_while_it_is_off(office: Office):
    at = await base(office)
    browser = await office.signed_in(ADA)

    page = await browser.get(f"{at}/change")
    sent = await change(browser, at, OWNER.pin)

    assert refuses(page, TwoStepIsOff)
    assert refuses(sent, TwoStepIsOff)


# The counter


async def by_manager(office: Office, browser: Browserless, at: str) -> bool:
    reply = await browser.post(
        f"{at}/change",
        {"current": THIEF.wrong_pin, "pin": OWNER.new_pin, "again": OWNER.new_pin},
    )
    assert refuses(reply, WrongPin) or refuses(reply, GuessWait), text_of(reply)
    return refuses(reply, WrongPin)


async def by_registration(office: Office, browser: Browserless, at: str) -> bool:
    reply = await office.town.thief.register(THIEF.wrong_pin)
    assert reply.verdict in ((403, 1005), (429, 1015))
    return reply.status == 403


async def by_shards(office: Office, browser: Browserless, at: str) -> bool:
    reply = await office.town.owner.call(
        "POST",
        "/account/shards",
        {
            "cc": "1",
            "phone_number": "6315551000",
            "shards": 2,
            "pin": THIEF.wrong_pin,
        },
    )
    assert reply.verdict in ((403, 1005), (429, 1015)), reply.raw
    return reply.status == 403


MIXES = {
    "the Manager alone (row 26)": (by_manager,),
    "the Manager and registering in turn": (by_manager, by_registration),
    "registering, shards and the Manager in turn": (by_registration, by_shards, by_manager),
}


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
async def test_g2_ten_guesses_are_compared_on_the_first_day_whatever_the_mix(office: Office, mix):
    at = await protected(office)
    compared = 0
    tries = 0

    for wait in (0, *WAITS):
        office.town.pass_time(wait)
        browser = await office.signed_in(ADA)
        for _ in range(7):
            compared += await mix[tries % len(mix)](office, browser, at)
            tries += 1
    first_day = compared
    office.town.pass_time(DAY - 10)
    browser = await office.signed_in(ADA)
    too_early = [await guess(office, browser, at) for guess in mix]
    office.town.pass_time(11)
    browser = await office.signed_in(ADA)
    next_day = [await by_manager(office, browser, at) for _ in range(2)]

    assert tries == 42
    assert first_day == 10
    assert not any(too_early)
    assert next_day == [True, False]
    assert await paid(office) == 11


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
async def test_g2_five_are_compared_at_once_whatever_the_mix(office: Office, mix):
    at = await protected(office)
    browser = await office.signed_in(ADA)
    await browser.get(f"{at}/change")

    tried = await asyncio.gather(*(mix[i % len(mix)](office, browser, at) for i in range(40)))

    assert sum(tried) == 5
    assert await paid(office) == 5


async def test_g4_while_waiting_the_right_pin_is_refused_like_a_wrong_one(office: Office):
    at = await protected(office)
    browser = await office.signed_in(ADA)
    for _ in range(5):
        assert refuses(await change(browser, at, THIEF.wrong_pin), WrongPin)

    wrong = await change(browser, at, THIEF.wrong_pin)
    right = await change(browser, at, OWNER.pin)

    assert refuses(wrong, GuessWait)
    assert refuses(right, GuessWait)
    assert 0 < int(right.header("Retry-After") or 0) <= 60
    assert await paid(office) == 5


async def test_a_locked_number_compares_nothing_until_somebody_unlocks_it(office: Office):
    at = await protected(office)
    while not (number := await office.town.number()).guesses.locked:
        with pytest.raises(WrongPin):
            await check_pin(office.world, number, THIEF.wrong_pin, "thief/admin", "account")
        office.town.pass_time(DAY)
    browser = await office.signed_in(ADA)
    locked = await change(browser, at, OWNER.pin)
    state = await browser.get(at)

    await browser.fill_in(at.removesuffix("/two-step") + "/unlock")
    again = await change(browser, at, OWNER.pin)

    assert refuses(locked, NumberLocked)
    assert "Locked" in text_of(state)
    assert again.status == 303


async def test_row_28_changing_and_turning_off_at_once_has_one_winner(office: Office):
    at = await protected(office)
    winners = []

    for _ in range(4):
        browser = await office.signed_in(ADA)
        await browser.get(f"{at}/turn-off")
        await browser.post(f"{at}/turn-off")
        link = await office.link((await office.portfolio()).email)
        told = len(await office.town.kinds())
        changed, followed = await asyncio.gather(
            browser.post(
                f"{at}/change",
                {"current": OWNER.pin, "pin": OWNER.new_pin, "again": OWNER.new_pin},
            ),
            browser.post(link),
        )
        kinds = (await office.town.kinds())[told:]
        won = {"two_step.pin_changed", "two_step.turned_off"} & set(kinds)
        winners.append(won)
        if changed.status == 303:
            assert refuses(followed, LinkRefused)
            assert won == {"two_step.pin_changed"}
        else:
            assert followed.status == 303
            assert refuses(changed, PinChangedMeanwhile) or refuses(changed, TwoStepIsOff)
            assert won == {"two_step.turned_off"}
        assert (await office.town.owner.set_pin(OWNER.pin)).status == 200
        office.town.pass_time(61)

    assert all(len(won) == 1 for won in winners)


# What is shown, and to whom


async def test_the_state_page_tells_who_may_what(office: Office):
    at = await protected(office)
    admin, viewer = await office.signed_in(ADA), await office.signed_in(VITO)

    seen = await admin.get(at)
    watched = await viewer.get(at)

    assert f"{at}/change".encode() in seen.raw
    assert f"{at}/turn-off".encode() in seen.raw
    assert "Two-step verification is on" in text_of(watched)
    assert b"/change" not in watched.raw
    assert b"/two-step/turn-off" not in watched.raw


@pytest.mark.parametrize("form", ["change", "set", "turn-off"])
async def test_a_viewer_opens_none_of_the_forms_and_spends_no_guess(office: Office, form):
    at = await protected(office)
    viewer = await office.signed_in(VITO)
    await viewer.get(at)
    await viewer.get("/manager/account/password")
    fields = {
        "change": {"current": OWNER.pin, "pin": OWNER.new_pin, "again": OWNER.new_pin},
        "set": {"pin": OWNER.new_pin, "again": OWNER.new_pin},
        "turn-off": {},
    }[form]

    page = await viewer.get(f"{at}/{form}")
    sent = await viewer.post(f"{at}/{form}", fields)

    assert refuses(page, RoleTooLow)
    assert refuses(sent, RoleTooLow)
    assert await paid(office) == 0
    assert (await office.town.number()).two_step.version == 1


async def test_no_pin_ever_comes_back_in_a_page(office: Office):
    await office.town.owner_has_registered()
    at = await base(office)
    browser = await office.signed_in(ADA)
    weak = "123456"

    await browser.fill_in(f"{at}/set", pin=weak, again=weak)
    await browser.fill_in(f"{at}/set", pin=OWNER.pin, again=OWNER.new_pin)
    await browser.fill_in(f"{at}/set", pin=OWNER.pin, again=OWNER.pin)
    await change(browser, at, THIEF.wrong_pin)
    await change(browser, at, OWNER.pin, OWNER.pin)
    await change(browser, at, OWNER.pin, weak)
    await change(browser, at, OWNER.pin, OWNER.new_pin, THIEF.wrong_pin)
    await browser.follow(await change(browser, at, OWNER.pin))
    await browser.get(at.removesuffix("/two-step"))
    await browser.get(at.removesuffix("/two-step") + "/timeline/export?format=jsonl")

    assert len(browser.seen) > 15
    for reply in browser.seen:
        text = text_of(reply) + "".join(re.findall(r'value="([^"]*)"', reply.raw.decode()))
        for pin in (weak, OWNER.pin, OWNER.new_pin, THIEF.wrong_pin):
            assert not re.search(rf"(?<![0-9a-f]){pin}(?![0-9a-f])", text)


async def test_each_change_is_told_to_each_owner_and_admin_once(office: Office):
    at = await base(office)
    browser = await office.signed_in(ADA)

    await browser.fill_in(f"{at}/set", pin=OWNER.pin, again=OWNER.pin)
    await change(browser, at, OWNER.pin)
    await change(browser, at, THIEF.wrong_pin)
    await change(browser, at, THIEF.wrong_pin)

    for person in (OLIVIA, ADA):
        letters = [one.letter for one in await office.letters(person.email)]
        assert sorted(letters) == sorted(
            [Letter.PIN_SET, Letter.PIN_CHANGED, Letter.FIRST_WRONG_GUESS]
        )
    assert await office.letters(VITO.email) == []


async def test_the_timeline_tells_who_guessed_from_where_and_by_which_client(office: Office):
    at = await protected(office)
    browser = await office.signed_in(VITO)
    await office.town.thief.register(THIEF.wrong_pin)
    await office.town.thief.register(THIEF.wrong_pin)

    page = text_of(await browser.get(at.removesuffix("/two-step")))

    assert "Wrong PIN while registering: 2 wrong in a row." in page
    assert "admin of client thief · from 127.0.0.1" in page
    assert "Under attack" in page
    assert "never settled" not in page


async def test_unlocking_ends_the_wait_and_says_what_that_means(office: Office):
    at = await protected(office)
    browser = await office.signed_in(ADA)
    for _ in range(5):
        await change(browser, at, THIEF.wrong_pin)
    number = await numbers.find_number(office.world, (await office.town.number()).e164)
    waiting = await browser.get(at.removesuffix("/two-step"))

    page = await browser.fill_in(at.removesuffix("/two-step") + "/unlock")

    assert number.guesses.run == 5
    assert "Waiting after wrong PINs" in text_of(waiting)
    assert "Waiting after wrong PINs" not in text_of(page)
    assert (await change(browser, at, OWNER.pin)).status == 303
