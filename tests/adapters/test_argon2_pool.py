"""The slow hash: bounded places, one hash for each comparison, and nothing believed unchecked."""

import asyncio
import hashlib
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2.low_level import Type, hash_secret_raw

from nightlatch.adapters.hashing import CHEAP, OWASP, Argon2Pool
from nightlatch.adapters.keyring import KeyRing
from nightlatch.domain.errors import Overloaded, Unavailable
from nightlatch.domain.limits import HASH_PLACES
from tests.people import NOON, OWNER, THIEF

OWNERS, THIEFS = f"pin|v1|{OWNER.client}", f"pin|v1|{THIEF.client}"
UNENCODABLE = "\ud800"
"""A lone surrogate: no bytes can be made of it, so hashing it fails inside the thread."""


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    return KeyRing.create(tmp_path / "keyring.json", NOON)


@pytest.fixture
def pool(keys: KeyRing) -> Iterator[Argon2Pool]:
    made = Argon2Pool(keys, CHEAP, threads=2, places=3)
    yield made
    made.close()


async def test_a_verifier_matches_the_secret_it_was_made_of_and_no_other(pool: Argon2Pool):
    async with pool.place() as place:
        verifier = await place.make(OWNER.pin, OWNERS)

        assert await place.matches(verifier, OWNER.pin, OWNERS)
        assert not await place.matches(verifier, THIEF.wrong_pin, OWNERS)
        assert not await place.matches(verifier, OWNER.pin + "\0", OWNERS)


async def test_the_same_secret_makes_another_verifier_each_time(pool: Argon2Pool):
    async with pool.place() as place:
        one, two = [await place.make(OWNER.pin, OWNERS) for _ in range(2)]

    assert one != two
    assert OWNER.pin.encode() not in one


async def test_a_verifier_is_no_good_for_another_owner_and_costs_no_hash(pool: Argon2Pool):
    async with pool.place() as place:
        verifier = await place.make(OWNER.pin, OWNERS)
        before = pool.computed

        with pytest.raises(Unavailable):
            await place.matches(verifier, OWNER.pin, THIEFS)

    assert pool.computed == before


async def test_each_comparison_is_exactly_one_hash_also_with_nothing_to_compare(pool: Argon2Pool):
    async with pool.place() as place:
        verifier = await place.make(OWNER.pin, OWNERS)
        counts = [pool.computed]
        for compared in (verifier, None):
            await place.matches(compared, OWNER.pin, OWNERS)
            counts.append(pool.computed)

        assert not await place.matches(None, "", OWNERS)

    assert counts == [1, 2, 3]


async def test_the_real_cost_makes_and_matches_what_plain_argon2id_makes(keys: KeyRing):
    pool = Argon2Pool(keys, OWASP, threads=1)

    async with pool.place() as place:
        verifier = await place.make(OWNER.pin, OWNERS)
        right = await place.matches(verifier, OWNER.pin, OWNERS)
        wrong = await place.matches(verifier, THIEF.wrong_pin, OWNERS)
    pool.close()

    plain = keys.unseal(verifier, OWNERS)
    assert (right, wrong) == (True, False)
    assert (OWASP.memory, OWASP.passes, OWASP.lanes) == (19 * 1024, 2, 1)
    assert plain[-32:] == hash_secret_raw(
        OWNER.pin.encode(), plain[-48:-32], 2, 19 * 1024, 1, 32, Type.ID
    )


async def test_a_verifier_made_at_another_cost_still_matches(keys: KeyRing, pool: Argon2Pool):
    dearer = Argon2Pool(keys, OWASP, threads=1)
    async with dearer.place() as place:
        verifier = await place.make(OWNER.pin, OWNERS)
    dearer.close()

    async with pool.place() as place:
        assert await place.matches(verifier, OWNER.pin, OWNERS)


# Places


async def test_whoever_comes_when_all_places_are_taken_is_refused_at_once(pool: Argon2Pool):
    async with pool.place(), pool.place(), pool.place():
        for _ in range(2):
            with pytest.raises(Overloaded):
                await pool.place().__aenter__()

    async with pool.place(), pool.place(), pool.place():
        pass


async def test_there_are_as_many_places_as_the_table_of_limits_says(keys: KeyRing):
    pool = Argon2Pool(keys, CHEAP, threads=2)
    taken = [pool.place() for _ in range(2 * HASH_PLACES)]
    for place in taken:
        await place.__aenter__()

    with pytest.raises(Overloaded):
        await pool.place().__aenter__()

    for place in taken:
        await place.__aexit__(None, None, None)
    pool.close()


async def test_a_place_comes_back_after_errors_and_cancellations(pool: Argon2Pool):
    async def fail() -> None:
        async with pool.place() as place:
            await place.make(UNENCODABLE, OWNERS)

    async def linger() -> None:
        async with pool.place():
            await asyncio.Event().wait()

    for _ in range(5):
        with pytest.raises(UnicodeEncodeError):
            await fail()
        task = asyncio.create_task(linger())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})

    async with pool.place(), pool.place(), pool.place():
        pass


async def test_an_error_inside_the_hash_thread_reaches_the_caller_and_the_thread_lives_on(
    pool: Argon2Pool,
):
    async with pool.place() as place:
        for _ in range(4):  # more than there are threads
            with pytest.raises(UnicodeEncodeError):
                await place.matches(None, UNENCODABLE, OWNERS)

        verifier = await place.make(OWNER.pin, OWNERS)
        assert await place.matches(verifier, OWNER.pin, OWNERS)


class Watched(str):
    """A secret that knows whether anybody began to hash it."""

    __slots__ = ()
    begun: list[str] = []  # noqa: RUF012 - shared on purpose

    def encode(self, *how: str) -> bytes:
        self.begun.append(self)
        return super().encode(*how)


async def test_a_hash_that_nobody_waits_for_any_more_is_not_computed(keys: KeyRing):
    pool = Argon2Pool(keys, CHEAP, threads=1, places=1)
    go_on = threading.Event()

    def hold() -> None:
        go_on.wait()

    pool._work.put(hold)

    async def ask(secret: str) -> None:
        async with pool.place() as place:
            await place.make(secret, OWNERS)

    for _ in range(50):
        task = asyncio.create_task(ask(Watched("given up")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    waited_for = asyncio.create_task(ask(Watched("waited for")))
    await asyncio.sleep(0)
    go_on.set()
    await waited_for
    pool.close()

    assert Watched.begun == ["waited for"]


async def test_closing_finishes_what_is_queued(keys: KeyRing):
    pool = Argon2Pool(keys, CHEAP, threads=1)
    async with pool.place() as place:
        making = [asyncio.create_task(place.make(OWNER.pin, OWNERS)) for _ in range(20)]
        await asyncio.sleep(0)

        await asyncio.to_thread(pool.close)

        assert len({bytes(made) for made in await asyncio.gather(*making)}) == 20


# What is stored is not believed unchecked

_HEAD = struct.Struct(">BIBB")
GOOD = (1, CHEAP.memory, CHEAP.passes, CHEAP.lanes)


@pytest.mark.parametrize(
    "head",
    [
        (0, *GOOD[1:]),
        (2, *GOOD[1:]),
        (1, 7, 1, 1),
        (1, 15, 1, 2),
        (1, 65_537, 1, 1),
        (1, 2**32 - 1, 1, 1),
        (1, 8, 0, 1),
        (1, 8, 11, 1),
        (1, 8, 255, 1),
        (1, 8, 1, 0),
        (1, 40, 1, 5),
    ],
)
async def test_parameters_out_of_bounds_are_refused_before_any_hash(
    pool: Argon2Pool, keys: KeyRing, head: tuple[int, int, int, int]
):
    verifier = keys.seal(_HEAD.pack(*head) + bytes(16) + bytes(32), OWNERS)

    async with pool.place() as place:
        with pytest.raises(Unavailable):
            await place.matches(verifier, OWNER.pin, OWNERS)

    assert pool.computed == 0


@pytest.mark.parametrize("head", [GOOD, (1, 65_536, 1, 4), (1, 8, 10, 1)])
async def test_parameters_at_the_bounds_are_taken(
    pool: Argon2Pool, keys: KeyRing, head: tuple[int, int, int, int]
):
    _, memory, passes, lanes = head
    value = hash_secret_raw(b"271828", bytes(16), passes, memory, lanes, 32, Type.ID)
    verifier = keys.seal(_HEAD.pack(*head) + bytes(16) + value, OWNERS)

    async with pool.place() as place:
        assert await place.matches(verifier, "271828", OWNERS)


@pytest.mark.parametrize("length", [0, 1, 54, 56])
async def test_a_verifier_of_the_wrong_length_is_refused(
    pool: Argon2Pool, keys: KeyRing, length: int
):
    plain = (_HEAD.pack(*GOOD) + hashlib.sha512(b"x").digest())[:length].ljust(length, b"\0")

    async with pool.place() as place:
        with pytest.raises(Unavailable):
            await place.matches(keys.seal(plain, OWNERS), OWNER.pin, OWNERS)

    assert pool.computed == 0


@pytest.mark.parametrize("many", [1, 2, 3, 4, 5, 9, 33])
async def test_however_many_wait_each_is_told_their_own_result(keys: KeyRing, many: int):
    pool = Argon2Pool(keys, CHEAP, threads=2, places=many)

    async def check(n: int) -> bool:
        async with pool.place() as place:
            verifier = await place.make(f"{n:06}", OWNERS)
            return await place.matches(verifier, f"{n:06}" if n % 2 else OWNER.pin, OWNERS)

    async with asyncio.timeout(30):
        told = await asyncio.gather(*map(check, range(many)))

    pool.close()
    assert told == [bool(n % 2) for n in range(many)]


async def test_who_waits_when_the_pool_closes_is_told(keys: KeyRing):
    pool = Argon2Pool(keys, CHEAP, threads=1, places=3)

    async def make() -> bytes:
        async with pool.place() as place:
            return await place.make(OWNER.pin, OWNERS)

    waiting = [asyncio.create_task(make()) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.to_thread(pool.close)

    async with asyncio.timeout(30):
        assert len(set(await asyncio.gather(*waiting))) == 3
