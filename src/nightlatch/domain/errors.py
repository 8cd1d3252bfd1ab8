"""Every refusal by name.

The domain names a refusal; each face numbers it and words it. A refusal never
holds a secret, so it may be logged and shown.
"""

from datetime import datetime, timedelta
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


class SignInRefused(Refusal):
    """Unknown member, wrong password or wrong code; they are not told apart."""


class SignInWait(_Wait):
    """Too many wrong sign-ins for this address; refused unread."""


class SignedOut(Refusal):
    """No session, or one that has ended."""


class FormForged(Refusal):
    """The form was not one of ours, or not of this session."""


class RoleTooLow(Refusal):
    """The member's role does not include this."""


class LinkRefused(Refusal):
    """The link is unknown, used, expired, replaced, or of somebody else; not told apart."""


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

    def __init__(self, wait: timedelta, *, spent: bool = False) -> None:
        super().__init__(wait)
        self.spent = spent
        """The day's guesses are spent; otherwise they came too fast."""


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


class CodeVerified(Refusal):
    """The number was verified by a code not long ago; another one is not needed."""


class CodeNeeded(Refusal):
    """The number must be verified by a registration code first."""


class NotOnCloud(Refusal):
    """The number is not registered with the Cloud API."""


class RegistrationOutdated(Refusal):
    """The PIN changed while the registration was under way; it must start again."""


class NoNumberHeld(Refusal):
    """The client holds no number, so it has nothing to protect or to shard."""


class TwoStepIsOff(Refusal):
    """There is no PIN to change or to turn off."""


class TwoStepIsOn(Refusal):
    """There is a PIN already, so another one needs the current one."""


class PinUnchanged(Refusal):
    """The new PIN is the current one, which was right; nothing changed."""


class PinChangedMeanwhile(Refusal):
    """Somebody else changed the PIN, or turned it off, while this was under way."""


class CertificateNotReady(Refusal):
    """There is no certificate before the display name is approved."""


class NameWait(_Wait):
    """The display name was changed less than NAME_WINDOW ago."""


class NoNameAsked(Refusal):
    """No display name waits for review."""


# Portfolios and their members
class PortfolioUnknown(Refusal):
    """No such portfolio."""


class WabaUnknown(Refusal):
    """No such WhatsApp account in this portfolio."""


class MemberExists(Refusal):
    """The e-mail address belongs to a member already."""


class MemberUnknown(Refusal):
    """No such member in this portfolio."""


class LastOwner(Refusal):
    """A portfolio keeps at least one owner."""


class TooManyMembers(Refusal):
    """The portfolio has as many members and invitations as it may have."""


class AppAlreadyOn(Refusal):
    """The member has an authenticator app already."""


class AppCodeRefused(Refusal):
    """The authenticator's code does not fit the key that was shown."""


class MailUnknown(Refusal):
    """No such letter."""


class MailEnded(Refusal):
    """The letter arrived already, or its link is dead; nothing to send again."""


# Apps, system users, access tokens, webhooks
class AccessTokenMissing(Refusal):
    """No access token came along."""


class AccessTokenRefused(Refusal):
    """An access token that is unknown or was revoked."""


class AccessTokenExpired(Refusal):
    """An access token whose time is over.

    ``at`` says when that was.
    """

    def __init__(self, at: datetime) -> None:
        super().__init__(at)
        self.at = at


class ProofMissing(Refusal):
    """The app requires an appsecret_proof, and none came along."""


class ProofRefused(Refusal):
    """The appsecret_proof does not belong to this token and this app."""


class ScopeMissing(Refusal):
    """The access token lacks a permission.

    ``scope`` names it.
    """

    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.scope = scope


class NodeUnknown(Refusal):
    """No object with this id, or none that the access token may see; not told apart."""

    def __init__(self, id: str = "") -> None:
        super().__init__(id)
        self.id = id


class EdgeUnknown(Refusal):
    """The kind of object has no such edge.

    ``path`` is what was asked for.
    """

    def __init__(self, path: str = "") -> None:
        super().__init__(path)
        self.path = path


class FieldUnknown(Refusal):
    """The kind of object has no such field."""

    def __init__(self, field: str, kind: str) -> None:
        super().__init__(field, kind)
        self.field = field
        self.kind = kind


class AppUnknown(Refusal):
    """No such app in this portfolio."""


class TooManyApps(Refusal):
    """The portfolio has as many apps as it may have."""


class SystemUserUnknown(Refusal):
    """No such system user in this portfolio."""


class TooManySystemUsers(Refusal):
    """The portfolio has as many system users as it may have."""


class AccessTokenUnknown(Refusal):
    """No such access token of this system user."""


class TooManyAccessTokens(Refusal):
    """The system user has as many live access tokens as it may have."""


class NotSubscribed(Refusal):
    """The app is not subscribed to this WhatsApp account."""


class CallbackRefused(Refusal):
    """The webhook address cannot be used, or did not answer the challenge.

    ``why`` says which.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class DeliveryUnknown(Refusal):
    """No such webhook delivery."""


# The Cloud API, behind us
class LinkUnknown(Refusal):
    """No such linked account, or another portfolio's."""


class LinkExists(Refusal):
    """The account is linked already."""


class TooManyLinks(Refusal):
    """The portfolio has as many linked accounts as it may have."""


class LinkedNumberUnknown(Refusal):
    """No such number in a linked account."""


class TokenUnfit(Refusal):
    """An access token that cannot be used for an account.

    ``why`` says what it lacks.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class LedgerWait(_Wait):
    """So many attempts were made that the next would risk a lockout, or Meta told us to wait.

    ``act`` is what was attempted; ``kept_back`` says that one try is left, which only force spends.
    """

    def __init__(self, wait: timedelta, act: str, *, kept_back: bool = False) -> None:
        super().__init__(wait)
        self.act = act
        self.kept_back = kept_back


class OutcomeUnknown(Refusal):
    """A call to the Cloud API was not answered; nothing is sent for the number until it is known
    what became of it.

    ``act`` is what was attempted.
    """

    def __init__(self, act: str, wait: timedelta) -> None:
        super().__init__(act)
        self.act = act
        self.retry_after = max(1, ceil(wait.total_seconds()))


class CloudUnreached(Refusal):
    """The Cloud API could not be reached, or did not answer a question; nothing was changed."""

    retry_after = 30


class CloudAccessLost(Refusal):
    """The Cloud API refuses our access token, or it lacks a permission."""

    retry_after = 300


class CloudCallsSpent(_Wait):
    """So many calls were made to the Cloud API that it, or our own count, wants no more now."""


class CloudLocked(Refusal):
    """The Cloud API says that the account is locked, or that the PIN was not the right one."""


class CloudIncomplete(Refusal):
    """An earlier deregistration stopped half-way: deregister again, then register."""


class CloudRefused(Refusal):
    """The Cloud API refused, with a code of its own for which there is nothing better to say.

    ``code`` and ``subcode`` are Meta's.
    """

    def __init__(self, code: int, subcode: int | None = None) -> None:
        super().__init__(code, subcode)
        self.code = code
        self.subcode = subcode


class NameNeeded(Refusal):
    """The number must be added to the account first, and no certificate said its display name."""


class NameNotApproved(Refusal):
    """The Cloud API does not take the number's display name."""


class HeldElsewhere(Refusal):
    """The number is registered to another WhatsApp account, which must let go of it first."""


class OnBusinessApp(Refusal):
    """The number is used with the WhatsApp Business app too; it cannot be registered here."""


class TurnOffElsewhere(Refusal):
    """Two-step verification of a number of the Cloud API can only be turned off by a person."""


class PinNotInVault(Refusal):
    """The vault holds no PIN of this number that is known to be good."""


class LinkedNumberHeld(Refusal):
    """The client serves a number of the Cloud API, so it cannot register one of this registry."""


class WebhookForged(Refusal):
    """The signature or the verify token of a webhook from Meta is missing or wrong."""


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
