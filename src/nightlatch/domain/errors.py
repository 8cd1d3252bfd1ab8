"""Every refusal by name.

The domain names a refusal; each face numbers it and words it. A refusal never
holds a secret, so it may be logged and shown.
"""

from datetime import timedelta
from math import ceil


class Refusal(Exception):
    """Why we said no. Nothing was changed unless the subclass says otherwise."""

    retry_after: int | None = None
    """Whole seconds after which the same request may succeed, at least 1."""


class _Wait(Refusal):
    def __init__(self, wait: timedelta) -> None:
        super().__init__()
        self.retry_after = max(1, ceil(wait.total_seconds()))


# Who is asking
class LoginRefused(Refusal):
    """Unknown user, or the wrong password; the two are not told apart."""


class LoginWait(_Wait):
    """Too many wrong passwords in a row; refused unread."""


class TokenRefused(Refusal):
    """No token, or one that is unknown, expired or revoked."""


class AdminOnly(Refusal):
    """The user is known and may not do this."""


class PasswordChangeRequired(Refusal):
    """The first password is still in use."""


# What is asked
class _Parameter(Refusal):
    def __init__(self, name: str, why: str = "") -> None:
        super().__init__(name, why)
        self.name = name
        self.why = why


class ParameterMissing(_Parameter):
    """A required parameter was not given."""


class PinNeeded(ParameterMissing):
    """Two-step verification is on and no PIN came along. No guess was spent."""

    def __init__(self) -> None:
        super().__init__("pin", "two-step verification is on for this number")


class ParameterInvalid(_Parameter):
    """A parameter has the wrong type or value.

    ``why`` says what is right.
    """


class ParameterUnexpected(_Parameter):
    """A parameter this call does not know."""


class UserExists(Refusal):
    """The username is taken."""


class UserUnknown(Refusal):
    """No such user in this client."""


class AdminStays(Refusal):
    """The admin account cannot be removed."""


class TooManyUsers(Refusal):
    """The client has as many users as it may have."""


class ClientExists(Refusal):
    """The client's name is taken."""


class ClientUnknown(Refusal):
    """No such client."""


class NumberExists(Refusal):
    """The number is already in the registry, however it was spelled."""


class NumberUnknown(Refusal):
    """The registry does not know this number."""


# Registering a number
class CertificateRefused(Refusal):
    """The certificate does not fit.

    ``why`` says how, for people.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class RegistrationWait(_Wait):
    """The number's registration budget is spent."""


class WrongPin(Refusal):
    """Compared, and did not match. The guess is counted."""


class GuessWait(_Wait):
    """A wait after wrong PINs is running; refused unread, right or wrong."""


class NumberLocked(Refusal):
    """Too many wrong PINs; refused unread until a person unlocks the number."""


class CodesSpent(_Wait):
    """No more codes for this number in this window. A right PIN stays counted as right."""


class CodeWait(_Wait):
    """A wait between two checks of one code; refused unread."""


class WrongCode(Refusal):
    """Compared, and did not match. The check is counted."""


class NoCodePending(Refusal):
    """There is no code to check: none asked for, expired, used, or used up."""


class RegistrationOutdated(Refusal):
    """The PIN changed while the registration was under way; it must start again."""


class NoNumberHeld(Refusal):
    """The client holds no number, so it has nothing to protect or to shard."""


# What we cannot do just now
class Unavailable(Refusal):
    """The store or the key ring cannot be relied on; nothing was compared."""

    retry_after = 1


class Overloaded(Refusal):
    """More work than we take on at once; nothing was compared or counted."""

    retry_after = 1


# The request itself
class PathUnknown(Refusal):
    """Nothing lives at this path."""


class NotServed(Refusal):
    """Part of the On-Premises API that Nightlatch does not serve."""


class MethodNotAllowed(Refusal):
    """The path does not take this method.

    ``allowed`` are the ones it takes.
    """

    def __init__(self, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(allowed)
        self.allowed = allowed


class BodyTooLarge(Refusal):
    """The request body is longer than we read."""


class RequestMalformed(Refusal):
    """The request cannot be read as what it claims to be.

    ``why`` says how.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
