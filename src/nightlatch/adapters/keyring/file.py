"""A key ring in one JSON file, readable by its owner only.

It holds sealing keys, of which one is used for new values and all open old
ones, and the registry's own secret, from which the signing key and the keyed
hashes are derived and which never rotates.
"""

import base64
import fcntl
import hmac
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from nightlatch.domain.errors import Unavailable

_FORMAT = 1
_KID = 8
_NONCE = 12
_KEY = 32
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class KeyRingRefused(Exception):
    """The key ring may not be used; the message says why and what to do, and shows no key."""


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What may be told about a key."""

    kid: str
    created_at: str
    writes: bool
    waits: bool = False
    """Whether it has never written: the next rotation may begin with it."""


@dataclass(frozen=True)
class _Ring:
    registry: bytes
    sealing: dict[str, bytes]
    created: dict[str, str]
    writable: str

    @property
    def waiting(self) -> str | None:
        """The newest key, when it has never written."""
        newest = next(reversed(self.sealing))
        return None if newest == self.writable else newest

    @cached_property
    def signer(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.derive("sign"))

    def derive(self, purpose: str) -> bytes:
        return HKDF(SHA256(), _KEY, salt=None, info=f"nightlatch|{purpose}|v1".encode()).derive(
            self.registry
        )


class KeyRing:
    """The ``Keys`` port. Reads its file again when the file changes, so that a rotation
    by another process reaches this one at once."""

    def __init__(self, path: Path) -> None:
        """Raises KeyRingRefused: missing, unreadable, or open to others."""
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._ring = self._read()
        self._purposes: dict[str, bytes] = {}
        self._public = self._ring.signer.public_key()
        self._verified = lru_cache(maxsize=512)(self._verify)

    @classmethod
    def create(cls, path: Path, now: datetime) -> "KeyRing":
        """A new ring with one key. Raises KeyRingRefused when something is there already."""
        with _alone(path):
            if path.exists():
                raise KeyRingRefused(f"{path} is there already; it is never replaced")
            kid = _new_kid()
            _write(
                path,
                _Ring(
                    secrets.token_bytes(_KEY),
                    {kid: secrets.token_bytes(_KEY)},
                    {kid: now.isoformat()},
                    kid,
                ),
            )
        return cls(path)

    def fingerprint(self) -> str:
        """Names this ring's registry secret without telling it."""
        return self.keyed_hash("fingerprint", b"").hex()

    def listed(self) -> list[KeyInfo]:
        """Oldest first."""
        ring = self._current()
        waiting = ring.waiting
        return [
            KeyInfo(kid, ring.created[kid], kid == ring.writable, kid == waiting)
            for kid in ring.sealing
        ]

    @property
    def writable(self) -> str:
        """The kid that new values are sealed with."""
        return self._current().writable

    @property
    def waiting(self) -> str | None:
        """The kid of the key that ``write_with_next`` would take; None when it would make one."""
        return self._current().waiting

    def add_key(self, now: datetime) -> str:
        """Make a new key that opens, and does not write yet. Returns its kid."""
        with _alone(self._path):
            ring = _with_new_key(self._current(), now)
            _write(self._path, ring)
        return next(reversed(ring.sealing))

    def write_with_next(self, now: datetime) -> str:
        """Seal with the newest key from now on, with a new one when the newest does so already;
        the old ones still open. Returns its kid."""
        with _alone(self._path):
            ring = self._current()
            if ring.waiting is None:
                ring = _with_new_key(ring, now)
            kid = next(reversed(ring.sealing))
            _write(self._path, replace(ring, writable=kid))
        return kid

    def drop_keys(self, kids: set[str]) -> None:
        """Forget these keys for ever, but never the one that writes; what they sealed is lost."""
        with _alone(self._path):
            ring = self._current()
            gone = kids - {ring.writable}
            left = {kid: key for kid, key in ring.sealing.items() if kid not in gone}
            _write(
                self._path,
                _Ring(ring.registry, left, {kid: ring.created[kid] for kid in left}, ring.writable),
            )

    def seal(self, plain: bytes, bound_to: str) -> bytes:
        ring = self._current()
        nonce = os.urandom(_NONCE)
        box = AESGCM(ring.sealing[ring.writable]).encrypt(nonce, plain, bound_to.encode())
        return bytes([_FORMAT]) + ring.writable.encode() + nonce + box

    def unseal(self, sealed: bytes, bound_to: str) -> bytes:
        kid = sealed[1 : 1 + _KID].decode("ascii", "replace")
        key = self._current().sealing.get(kid)
        if sealed[:1] != bytes([_FORMAT]) or key is None:
            raise Unavailable
        nonce, box = sealed[1 + _KID : 1 + _KID + _NONCE], sealed[1 + _KID + _NONCE :]
        try:
            return AESGCM(key).decrypt(nonce, box, bound_to.encode())
        except (InvalidTag, ValueError) as error:
            raise Unavailable from error

    def keyed_hash(self, purpose: str, data: bytes) -> bytes:
        key = self._purposes.get(purpose)
        if key is None:
            key = self._purposes[purpose] = self._ring.derive(purpose)
        return hmac.digest(key, data, "sha256")

    def sign(self, data: bytes) -> bytes:
        return self._ring.signer.sign(data)

    def signed(self, data: bytes, signature: bytes) -> bool:
        return self._verified(data, signature)

    def _verify(self, data: bytes, signature: bytes) -> bool:
        try:
            self._public.verify(signature, data)
        except InvalidSignature:
            return False
        return True

    def _current(self) -> _Ring:
        try:
            info = self._path.stat()
            if self._seen != (info.st_ino, info.st_mtime_ns):
                ring = self._read()
                if ring.registry != self._ring.registry:
                    self._seen = None
                    raise KeyRingRefused(f"the key ring {self._path} is another one now")
                self._ring = ring
        except (OSError, KeyRingRefused) as error:
            raise Unavailable from error
        return self._ring

    def _read(self) -> _Ring:
        try:
            with self._path.open("rb") as file:
                info = os.fstat(file.fileno())
                if info.st_mode & _OTHERS:
                    raise KeyRingRefused(
                        f"the key ring {self._path} can be read or written by others; "
                        f"run: chmod 600 {self._path}"
                    )
                found: Any = json.loads(file.read())
            sealing = {key["kid"]: base64.b64decode(key["key"]) for key in found["sealing"]}
            ring = _Ring(
                base64.b64decode(found["registry"]),
                sealing,
                {key["kid"]: key["created"] for key in found["sealing"]},
                found["writable"],
            )
            lengths = {len(key) for key in (ring.registry, *sealing.values())}
            if ring.writable not in sealing or lengths != {_KEY}:
                raise ValueError
        except FileNotFoundError as error:
            raise KeyRingRefused(
                f"the key ring {self._path} is missing; put it back from your safe copy. "
                "A new one would open nothing that is stored"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise KeyRingRefused(f"the key ring {self._path} is damaged") from error
        except OSError as error:
            raise KeyRingRefused(f"the key ring {self._path} cannot be read") from error
        self._seen = (info.st_ino, info.st_mtime_ns)
        return ring


def _with_new_key(ring: _Ring, now: datetime) -> _Ring:
    """The same ring with one more key, which does not write."""
    kid = _new_kid()
    return replace(
        ring,
        sealing={**ring.sealing, kid: secrets.token_bytes(_KEY)},
        created={**ring.created, kid: now.isoformat()},
    )


def _new_kid() -> str:
    return secrets.token_hex(_KID // 2)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep every other process from changing the key ring meanwhile."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(path: Path, ring: _Ring) -> None:
    """Put the file in place whole and durable, or not at all."""
    text = json.dumps(
        {
            "registry": base64.b64encode(ring.registry).decode(),
            "sealing": [
                {
                    "kid": kid,
                    "created": ring.created[kid],
                    "key": base64.b64encode(key).decode(),
                }
                for kid, key in ring.sealing.items()
            ],
            "writable": ring.writable,
        },
        indent=1,
    )
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
