"""The key ring in its file: who may read it, what it opens, and what it never gives away."""

import base64
import json
import os
import shutil
import threading
import traceback
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightlatch.adapters.keyring import KeyRing, KeyRingRefused
from nightlatch.domain.errors import Unavailable
from tests.people import NOON, OWNER, THIEF

PIN = OWNER.pin.encode()
OWNERS, THIEFS = f"pin|v1|{OWNER.client}", f"pin|v1|{THIEF.client}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyring.json"


@pytest.fixture
def ring(path: Path) -> KeyRing:
    return KeyRing.create(path, NOON)


def told(error: BaseException) -> str:
    """All that a log or a terminal could show of *error* and what led to it."""
    return "".join(traceback.format_exception(error))


def secrets_in(path: Path) -> Iterator[str]:
    """Every key in the file, in the spellings in which it might slip out."""
    found = json.loads(path.read_text())
    for text in (found["registry"], *(key["key"] for key in found["sealing"])):
        raw = base64.b64decode(text)
        yield from (text, raw.hex(), repr(raw)[2:-1])


# The file


def test_a_new_ring_is_readable_by_its_owner_only_whatever_the_umask(path: Path):
    before = os.umask(0)
    try:
        ring = KeyRing.create(path, NOON)
    finally:
        os.umask(before)

    (key,) = ring.listed()
    assert path.stat().st_mode & 0o777 == 0o600
    assert (key.created_at, key.writes, key.kid) == (NOON.isoformat(), True, ring.writable)


def test_two_rings_share_nothing(tmp_path: Path):
    one, two = (KeyRing.create(tmp_path / name, NOON) for name in ("one", "two"))

    assert one.fingerprint() != two.fingerprint()
    assert set(secrets_in(tmp_path / "one")).isdisjoint(secrets_in(tmp_path / "two"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666, 0o777])
def test_a_ring_that_others_can_reach_is_refused(ring: KeyRing, path: Path, mode: int):
    path.chmod(mode)

    with pytest.raises(KeyRingRefused, match=f"chmod 600 {path}"):
        KeyRing(path)


def test_a_missing_ring_is_refused_and_none_is_made(path: Path):
    with pytest.raises(KeyRingRefused, match="is missing; put it back"):
        KeyRing(path)

    assert not path.exists()


def test_a_ring_is_never_replaced(ring: KeyRing, path: Path):
    before = path.read_bytes()

    with pytest.raises(KeyRingRefused, match="never replaced"):
        KeyRing.create(path, NOON)

    assert path.read_bytes() == before


def test_of_two_who_begin_at_once_one_makes_the_ring_and_the_other_is_refused(path: Path):
    begin = threading.Barrier(8)
    made: list[str] = []
    refused: list[KeyRingRefused] = []

    def start() -> None:
        begin.wait()
        try:
            made.append(KeyRing.create(path, NOON).fingerprint())
        except KeyRingRefused as error:
            refused.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert made == [KeyRing(path).fingerprint()]
    assert len(refused) == 7


def _changed(found: dict[str, Any], **changes: object) -> str:
    return json.dumps(found | changes)


DAMAGE = {
    "nothing": lambda _: "",
    "half of it": lambda f: json.dumps(f)[:150],
    "not json": lambda f: "registry: " + f["registry"],
    "not utf-8": lambda f: b"\xff" + json.dumps(f).encode(),
    "a list": lambda _: "[]",
    "no registry": lambda f: json.dumps({k: v for k, v in f.items() if k != "registry"}),
    "an empty registry": lambda f: _changed(f, registry=""),
    "a short registry": lambda f: _changed(f, registry=f["registry"][:20]),
    "a registry of the wrong type": lambda f: _changed(f, registry=7),
    "no keys": lambda f: _changed(f, sealing=[]),
    "keys of the wrong type": lambda f: _changed(f, sealing=3),
    "a short key": lambda f: _changed(
        f, sealing=[f["sealing"][0] | {"key": f["sealing"][0]["key"][:40]}]
    ),
    "not base64": lambda f: _changed(
        f, sealing=[f["sealing"][0] | {"key": f["sealing"][0]["key"][:-3]}]
    ),
    "an unknown writable key": lambda f: _changed(f, writable="00000000"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_ring_is_refused_and_tells_no_key(ring: KeyRing, path: Path, damage):
    secrets = list(secrets_in(path))
    text = damage(json.loads(path.read_text()))
    path.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(KeyRingRefused, match="damaged") as refused:
        KeyRing(path)

    assert not [secret for secret in secrets if secret in told(refused.value)]


def test_a_ring_that_cannot_be_read_is_refused(path: Path):
    path.mkdir(mode=0o700)

    with pytest.raises(KeyRingRefused, match="cannot be read"):
        KeyRing(path)


# Sealing


def test_what_was_sealed_opens_only_for_what_it_was_bound_to(ring: KeyRing):
    sealed = ring.seal(PIN, OWNERS)

    assert ring.unseal(sealed, OWNERS) == PIN
    with pytest.raises(Unavailable):
        ring.unseal(sealed, THIEFS)


def test_the_same_value_never_looks_the_same_twice(ring: KeyRing):
    assert len({ring.seal(PIN, OWNERS) for _ in range(100)}) == 100
    assert not any(PIN in ring.seal(PIN, OWNERS) for _ in range(100))


def test_every_flipped_bit_is_refused(ring: KeyRing):
    sealed = ring.seal(PIN, OWNERS)

    for place in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[place // 8] ^= 1 << place % 8

        with pytest.raises(Unavailable):
            ring.unseal(bytes(changed), OWNERS)


def test_every_shortened_or_lengthened_value_is_refused(ring: KeyRing):
    sealed = ring.seal(PIN, OWNERS)

    for changed in (*(sealed[:n] for n in range(len(sealed))), sealed + b"\0", b"\0" + sealed):
        with pytest.raises(Unavailable):
            ring.unseal(changed, OWNERS)


def test_another_ring_opens_nothing(ring: KeyRing, tmp_path: Path):
    foreign = KeyRing.create(tmp_path / "foreign.json", NOON)

    with pytest.raises(Unavailable):
        foreign.unseal(ring.seal(PIN, OWNERS), OWNERS)


def test_no_key_and_no_plain_text_stands_in_what_is_raised(ring: KeyRing, path: Path):
    sealed = ring.seal(PIN, OWNERS)

    with pytest.raises(Unavailable) as refused:
        ring.unseal(sealed, THIEFS)

    shown = told(refused.value)
    assert not [secret for secret in (*secrets_in(path), PIN.decode()) if secret in shown]


# Rotation


def test_a_rotation_is_seen_by_another_ring_at_once(ring: KeyRing, path: Path):
    other = KeyRing(path)
    old = ring.seal(PIN, OWNERS)

    kid = ring.write_with_next(NOON + timedelta(days=1))
    fresh = ring.seal(PIN, OWNERS)

    assert other.writable == kid
    assert other.unseal(fresh, OWNERS) == other.unseal(old, OWNERS) == PIN
    assert other.seal(PIN, OWNERS)[1:9] == kid.encode()
    assert [key.writes for key in other.listed()] == [False, True]
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_added_key_opens_everywhere_before_any_ring_seals_with_it(ring: KeyRing, path: Path):
    """Rings that are copied from one node to the other, one step after the other."""
    copied = path.with_name("copied.json")
    first = ring.writable
    kid = ring.add_key(NOON)
    shutil.copy(path, copied)
    copy = KeyRing(copied)

    assert (ring.waiting, copy.waiting, ring.writable, copy.writable) == (kid, kid, first, first)
    assert [(key.writes, key.waits) for key in ring.listed()] == [(True, False), (False, True)]

    assert ring.write_with_next(NOON) == kid

    assert copy.unseal(ring.seal(PIN, OWNERS), OWNERS) == PIN
    assert ring.unseal(copy.seal(PIN, OWNERS), OWNERS) == PIN
    assert (ring.writable, ring.waiting, copy.writable) == (kid, None, first)
    assert [(key.writes, key.waits) for key in ring.listed()] == [(False, False), (True, False)]


def test_of_two_keys_that_were_added_the_newer_one_is_next(ring: KeyRing):
    older, newer = ring.add_key(NOON), ring.add_key(NOON)

    assert ring.write_with_next(NOON) == newer
    assert [key.kid for key in ring.listed() if not key.writes][1:] == [older]
    assert ring.waiting is None


def test_a_dropped_key_opens_nothing_any_more_anywhere(ring: KeyRing, path: Path):
    other = KeyRing(path)
    first = ring.writable
    old = ring.seal(PIN, OWNERS)
    second = ring.write_with_next(NOON)

    ring.drop_keys({first})

    assert [key.kid for key in other.listed()] == [second]
    for one in (ring, other):
        with pytest.raises(Unavailable):
            one.unseal(old, OWNERS)


def test_the_key_that_writes_is_never_dropped(ring: KeyRing, path: Path):
    sealed = ring.seal(PIN, OWNERS)

    ring.drop_keys({ring.writable})

    assert KeyRing(path).unseal(sealed, OWNERS) == PIN


def test_rotations_at_the_same_moment_lose_no_key(ring: KeyRing, path: Path):
    def rotate() -> None:
        own = KeyRing(path)
        for _ in range(5):
            made.append(own.write_with_next(NOON))

    made = [ring.writable]
    threads = [threading.Thread(target=rotate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 21
    assert {key.kid for key in ring.listed()} == set(made)


def test_a_rotation_leaves_signatures_and_keyed_hashes_as_they_were(ring: KeyRing, path: Path):
    signature = ring.sign(b"certificate")
    hashed = ring.keyed_hash("code", b"data")

    ring.write_with_next(NOON)

    for one in (ring, KeyRing(path)):
        assert one.signed(b"certificate", signature)
        assert not one.signed(b"certificatf", signature)
        assert not one.signed(b"certificate", bytes(64))
        assert not one.signed(b"certificate", b"")
        assert one.keyed_hash("code", b"data") == hashed
        assert one.keyed_hash("audit", b"data") != hashed


def test_a_rotation_leaves_no_other_file_behind(ring: KeyRing, path: Path):
    ring.write_with_next(NOON)
    ring.drop_keys(set())

    assert [file.name for file in path.parent.iterdir()] == [path.name]


# While it runs


def _gone(path: Path) -> None:
    path.unlink()


def _open_to_others(path: Path) -> None:
    text = path.read_bytes()
    path.unlink()
    path.write_bytes(text)
    path.chmod(0o644)


def _damaged(path: Path) -> None:
    path.write_bytes(b"{}")


def _of_another(path: Path) -> None:
    other = path.with_name("other.json")
    KeyRing.create(other, NOON)
    other.replace(path)


@pytest.mark.parametrize("spoil", [_gone, _open_to_others, _damaged, _of_another])
def test_a_ring_that_is_spoilt_while_in_use_fails_closed_until_it_is_put_back(
    ring: KeyRing, path: Path, spoil
):
    sealed = ring.seal(PIN, OWNERS)
    safe, secrets = path.read_bytes(), list(secrets_in(path))
    spoil(path)

    for _ in range(2):
        with pytest.raises(Unavailable) as opening:
            ring.unseal(sealed, OWNERS)
        with pytest.raises(Unavailable):
            ring.seal(PIN, OWNERS)
        assert not [secret for secret in secrets if secret in told(opening.value)]

    path.unlink(missing_ok=True)
    path.write_bytes(safe)
    path.chmod(0o600)
    assert ring.unseal(sealed, OWNERS) == PIN
