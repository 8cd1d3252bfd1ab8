"""Codes of authenticator apps: RFC 6238 with SHA-1, 30 seconds and six digits."""

from datetime import datetime

from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

_STEP = 30
_DIGITS = 6
_ISSUER = "Nightlatch"


class AuthenticatorCodes:
    """The ``OneTimeCodes`` port. An app's clock may be one step behind or ahead."""

    def step_of(self, key: bytes, code: str, now: datetime) -> int | None:
        totp, tried = _totp(key), code.encode("utf-8", "surrogatepass")
        present = int(now.timestamp()) // _STEP
        found = None
        for step in (present - 1, present, present + 1):  # all three, however early one fits
            if bytes_eq(totp.generate(step * _STEP), tried):
                found = step
        return found

    def address(self, key: bytes, account: str) -> str:
        return _totp(key).get_provisioning_uri(account, _ISSUER)


def _totp(key: bytes) -> TOTP:
    return TOTP(key, _DIGITS, SHA1(), _STEP)  # noqa: S303 - what every app knows; HMAC needs no more
