"""A portfolio with many numbers, and somebody who is signed in to look at them."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from nightlatch.bootstrap import House, open_house, set_up
from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.guesses import Guesses, Paid
from nightlatch.domain.members import MemberRole
from nightlatch.domain.numbers import Number, TwoStep
from nightlatch.settings import Settings
from nightlatch.usecases import members, signing_in

_NAMES = ("Lucky", "Harbour", "Maple", "Corner", "Shrub", "Bakery", "Taxi", "Florist", "Kiosk")
_AT_ONCE = 1_000
EMAIL, PASSWORD = "owner@shop.test", "four unrelated plain words"


@dataclass(frozen=True)
class Crowd:
    """A data folder with *count* numbers in one account."""

    path: Path
    count: int
    waba: str
    cookie: str

    def get(self, path: str) -> str:
        """A page, as a browser asks for it."""
        return (
            f"GET /manager{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Cookie: __Host-nightlatch={self.cookie}\r\n\r\n"
        )

    def pages(self) -> dict[str, str]:
        """What is measured: the same pages in every crowd."""
        listed = f"/accounts/{self.waba}/numbers"
        return {
            "numbers": self.get(listed),
            "search: the last digits": self.get(f"{listed}?text=00042"),
            "search: a common word": self.get(f"{listed}?text=shrub"),
            "search: two words, rarely together": self.get(f"{listed}?text=lucky%2042"),
            "unprotected": self.get(f"{listed}?show=unprotected"),
            "under attack": self.get(f"{listed}?show=attacked"),
            "locked": self.get(f"{listed}?show=locked"),
            "overview": self.get("/"),
        }


async def gather(path: Path, count: int) -> Crowd:
    """A page full of numbers in each state among the first hundred, and some among the rest."""
    async with open_house(Settings(data=path), create=True) as house:
        await set_up(house)
        waba = await house.first_waba()
        numbers = make_numbers(house, waba, count)
        while some := list(itertools.islice(numbers, _AT_ONCE)):
            adding = (house.store.add_number(number, (added(number),)) for number in some)
            await asyncio.gather(*adding)
        portfolio = (await house.store.portfolios())[0].id
        await members.add_member(house.world, portfolio, EMAIL, "Owner", MemberRole.OWNER, PASSWORD)
        begun = await signing_in.sign_in(house.world, EMAIL, PASSWORD, "benchmark")
    return Crowd(path, count, waba, begun.token)


def added(number: Number) -> Event:
    return Event(Kind.NUMBER_ADDED, "operator", number.created_at)


def make_numbers(house: House, waba: str, count: int) -> Iterator[Number]:
    now = house.clock.now()
    sealed = house.keyring.seal(b"no PIN was ever made of this", "bench")
    for n in range(count):
        first, second = _NAMES[n % len(_NAMES)], _NAMES[n // 7 % len(_NAMES)]
        guesses = Guesses()
        few = n < 100  # every list fills its page also in the smallest crowd
        if n % (3 if few else 99) == 1:
            guesses = Guesses(ticket=100, run=100, locked=True)
        elif n % (3 if few else 51) == 2:
            at = now - timedelta(minutes=n % 600)
            guesses = Guesses(ticket=4, run=4, paid=(Paid(4, at),))
        number = Number(
            id=str(100_000_000_000_000 + n * 7_919),
            e164=f"+1631{1_000_000 + n}",
            cc="1",
            waba=waba,
            name=f"{first} {second} {n}",
            serial=f"s{n}",
            created_at=now,
            guesses=guesses,
        )
        yield replace(number, two_step=TwoStep(1, sealed)) if n % (3 if few else 10) else number
