"""Verified-name certificates: the registry's signed word that a number may bear a name.

On the wire a certificate is one line of base64 over

    version (1 byte) | payload length (2 bytes, big endian) | payload | signature (64 bytes)

where the payload is JSON: ``{"serial", "number", "name"}``. The signature is
Ed25519 over everything before it.
"""

import base64
import binascii
import json
import struct
from dataclasses import dataclass
from functools import lru_cache

from nightlatch.domain.errors import CertificateRefused
from nightlatch.domain.limits import CERTIFICATE_LENGTH

_VERSION = 1
_HEAD = struct.Struct(">BH")
_SIGNATURE = 64


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says."""

    serial: str
    e164: str
    name: str


@dataclass(frozen=True, slots=True)
class SignedCertificate:
    """A certificate as it was read; nobody has checked the signature yet."""

    certificate: Certificate
    signed: bytes
    """The bytes the signature is over."""
    signature: bytes


def to_sign(certificate: Certificate) -> bytes:
    """The bytes that the registry signs."""
    payload = json.dumps(
        {"serial": certificate.serial, "number": certificate.e164, "name": certificate.name},
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()
    return _HEAD.pack(_VERSION, len(payload)) + payload


def to_text(signed: bytes, signature: bytes) -> str:
    """The one line of base64 that people copy."""
    return base64.b64encode(signed + signature).decode()


def read(text: str) -> SignedCertificate:
    """Take a certificate apart. White space is ignored: people paste certificates in lines.

    Raises:
        CertificateRefused: when it is not one of ours in form.
    """
    if len(text) > CERTIFICATE_LENGTH:
        raise CertificateRefused("it is longer than any certificate")
    return _read(text)


def read_name(text: str) -> str:
    """The display name in a certificate: one of ours, or one that Meta signed.

    Nobody checks the signature: whoever may add a number to an account may name it.

    Raises:
        CertificateRefused: there is none that can be read.
    """
    try:
        name = read(text).certificate.name
    except CertificateRefused:
        name = _name_by_meta(text)
    if not name.strip() or not name.isprintable():
        raise CertificateRefused("it says no display name")
    return name


_META_DETAILS = 1
"""Field of a verified-name certificate of Meta's: what it says, and what is signed."""
_META_NAME = 4
"""Field of the details: the verified name."""


def _name_by_meta(text: str) -> str:
    """Meta's certificates are two Protocol Buffers messages, one inside the other."""
    try:
        raw = base64.b64decode("".join(text[:CERTIFICATE_LENGTH].split()), validate=True)
        return _member(_member(raw, _META_DETAILS), _META_NAME).decode()
    except (binascii.Error, ValueError, IndexError) as error:
        raise CertificateRefused("it is not a certificate in base64") from error


def _member(raw: bytes, wanted: int) -> bytes:
    """The first length-delimited member with this number. Raises ValueError, IndexError."""
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        kind = tag & 7
        if kind == 0:
            _, at = _varint(raw, at)
            continue
        length, at = _varint(raw, at) if kind == 2 else (_fixed(kind), at)
        if at + length > len(raw):
            raise ValueError("cut short")
        if kind == 2 and tag >> 3 == wanted:
            return raw[at : at + length]
        at += length
    raise ValueError("not there")


def _fixed(kind: int) -> int:
    if kind in (1, 5):
        return 8 if kind == 1 else 4
    raise ValueError("unknown kind")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("too long")


@lru_cache(maxsize=512)  # an integration sends the same certificate again and again
def _read(text: str) -> SignedCertificate:
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
        version, length = _HEAD.unpack_from(raw)
        signed, signature = raw[: _HEAD.size + length], raw[_HEAD.size + length :]
        if version != _VERSION or len(signature) != _SIGNATURE:
            raise CertificateRefused("it is cut short or of an unknown kind")
        payload = json.loads(signed[_HEAD.size :])
        certificate = Certificate(payload["serial"], payload["number"], payload["name"])
        if not all(isinstance(said, str) for said in payload.values()):
            raise CertificateRefused("it is no certificate of ours")
    except (
        binascii.Error, struct.error, ValueError, KeyError, TypeError,
        RecursionError,  # JSON nested deeper than Python's stack
    ) as error:  # fmt: skip
        raise CertificateRefused("it is not a certificate in base64") from error
    return SignedCertificate(certificate, signed, signature)
