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
    except (
        binascii.Error, struct.error, ValueError, KeyError, TypeError,
        RecursionError,  # JSON nested deeper than Python's stack
    ) as error:  # fmt: skip
        raise CertificateRefused("it is not a certificate in base64") from error
    return SignedCertificate(certificate, signed, signature)
