"""Authenticator apps and lists of common passwords that a test knows beforehand."""

from collections.abc import Sequence
from datetime import datetime

STEP = 30


class PlainCodes:
    """The code of a time step is the step itself; every key has the same."""

    def step_of(self, key: bytes, code: str, now: datetime) -> int | None:  # noqa: ARG002 - the port's
        present = int(now.timestamp()) // STEP
        return next((s for s in (present - 1, present, present + 1) if self.code(s) == code), None)

    def address(self, key: bytes, account: str) -> str:
        return f"otpauth://totp/{account}?secret={key.hex()}"

    def code(self, step: int) -> str:
        return f"{step % 1_000_000:06d}"

    def code_at(self, now: datetime) -> str:
        return self.code(int(now.timestamp()) // STEP)


class FewCommonPasswords:
    """These are common, and whatever holds something about its owner."""

    def __init__(self, *common: str) -> None:
        self._common = common

    def is_common(self, password: str, about: Sequence[str]) -> bool:
        return password in self._common or any(known and known in password for known in about)
