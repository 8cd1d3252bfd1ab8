"""Refusals in words for the person at the command line."""

from collections.abc import Callable
from typing import Any, Final

from nightlatch.domain import errors as e
from nightlatch.domain.errors import Refusal
from nightlatch.domain.ledger import Act
from nightlatch.faces.formats import span
from nightlatch.faces.sentences_cloud import act_name

_PASSWORD = "That user or password is wrong."  # noqa: S105 - a sentence
_API_ONLY = "This is refused by the API only; the commands do not come across it."


def _must(refusal: Any) -> str:
    return (
        f"{refusal.name} must be {refusal.why}." if refusal.why else f"{refusal.name} is missing."
    )


def _wait(sentence: str) -> Callable[[Any], str]:
    return lambda refusal: f"{sentence} Try again in {span(refusal.retry_after)}."


def _spent(refusal: Any) -> str:
    act = act_name(Act(refusal.act))
    why = (
        "the one try that is left is kept back, and --force spends it"
        if refusal.kept_back
        else "Meta could lock the number out"
    )
    again = f"Try again in {span(refusal.retry_after)}."
    return f"Nothing was sent: {act} is not safe now, because {why}. {again}"


def _unknown(refusal: Any) -> str:
    act = act_name(Act(refusal.act))
    return (
        f"Meta did not answer {act}, and it is not known yet what became of it; nothing else is "
        f"sent until then. Try again in {span(refusal.retry_after)}."
    )


def _meta_refused(refusal: Any) -> str:
    codes = str(refusal.code) if refusal.subcode is None else f"{refusal.code}/{refusal.subcode}"
    return f"Meta refused, with its code {codes}; see: nightlatch doctor --help"


SENTENCES: Final[dict[type[Refusal], str | Callable[[Any], str]]] = {
    # Who is asking
    e.LoginRefused: _PASSWORD,
    e.LoginWait: _wait("There were too many wrong passwords."),
    e.TokenRefused: _API_ONLY,
    e.AdminOnly: _API_ONLY,
    e.PasswordChangeRequired: _API_ONLY,
    e.SignInRefused: "The e-mail address, the password or the code is wrong.",
    e.SignInWait: _wait("There were too many wrong sign-ins for this address."),
    e.SignedOut: "Nobody is signed in.",
    e.FormForged: "The form was not one of the Manager's.",
    e.RoleTooLow: "The member's role does not include this.",
    e.LinkRefused: "The link is not good, or not any more.",
    # What is asked
    e.ParameterMissing: _must,
    e.ParameterInvalid: _must,
    e.ParameterUnexpected: lambda refusal: f"Nothing here is called {refusal.name}.",
    e.UserExists: "There is a user of this name already.",
    e.UserUnknown: "There is no such client or user; see: nightlatch clients list",
    e.AdminStays: "The user admin stays.",
    e.TooManyUsers: "The client has as many users as it may have.",
    e.ClientExists: "There is a client of this name already; see: nightlatch clients list",
    e.ClientUnknown: "There is no such client or user; see: nightlatch clients list",
    e.NumberExists: "The registry has this number already, perhaps in another spelling.",
    e.NumberUnknown: "The registry does not know this number; see: nightlatch numbers list",
    # Registering a number
    e.CertificateRefused: lambda refusal: f"The certificate does not fit: {refusal.why}.",
    e.RegistrationWait: _wait("The number was registered or deregistered too often."),
    e.WrongPin: "The PIN is wrong, and was counted.",
    e.GuessWait: _wait("There were too many wrong PINs; none is looked at now."),
    e.NumberLocked: "The number is locked after wrong PINs; see: nightlatch numbers unlock --help",
    e.CodesSpent: _wait("The number got as many codes as it may get."),
    e.CodeWait: _wait("The code was checked too often in a row."),
    e.WrongCode: "The code is wrong, and was counted.",
    e.NoCodePending: "There is no code to check.",
    e.RegistrationOutdated: "The PIN changed meanwhile; begin again.",
    e.NoNumberHeld: "No client holds the number.",
    e.TwoStepIsOff: "Two-step verification is off; there is no PIN.",
    e.TwoStepIsOn: "Two-step verification is on already.",
    e.PinUnchanged: "The new PIN is the current one; nothing changed.",
    e.PinChangedMeanwhile: "Somebody else changed the PIN meanwhile; nothing changed.",
    e.CertificateNotReady: (
        "There is no certificate before the display name is approved; "
        "see: nightlatch numbers approve --help"
    ),
    e.NameWait: _wait("The display name was changed a short time ago."),
    e.NoNameAsked: "No display name waits for review.",
    # Portfolios and their members
    e.PortfolioUnknown: "There is no such portfolio; see: nightlatch portfolios list",
    e.WabaUnknown: "There is no such WhatsApp account; see: nightlatch wabas list",
    e.MemberExists: "The address belongs to a member already; see: nightlatch members list",
    e.MemberUnknown: "There is no such member; see: nightlatch members list",
    e.LastOwner: "A portfolio keeps at least one owner; make somebody else an owner first.",
    e.TooManyMembers: "The portfolio has as many members and invitations as it may have.",
    e.AppAlreadyOn: "The member has an authenticator app already.",
    e.AppCodeRefused: "The authenticator's code does not fit.",
    e.MailUnknown: "There is no such letter; see: nightlatch mail list",
    e.MailEnded: (
        "The letter cannot be sent again: it arrived, or its link is not good any more. "
        "Ask for a new one where it was asked for."
    ),
    # The Cloud API
    e.CodeVerified: "The number was verified not long ago; it needs no other code.",
    e.CodeNeeded: "The number must be verified by a registration code first.",
    e.NotOnCloud: "The number is not registered with the Cloud API.",
    e.AccessTokenMissing: _API_ONLY,
    e.AccessTokenRefused: _API_ONLY,
    e.AccessTokenExpired: _API_ONLY,
    e.ProofMissing: _API_ONLY,
    e.ProofRefused: _API_ONLY,
    e.ScopeMissing: _API_ONLY,
    e.NodeUnknown: _API_ONLY,
    e.EdgeUnknown: _API_ONLY,
    e.FieldUnknown: _API_ONLY,
    e.AppUnknown: "There is no such app; see: nightlatch app list",
    e.TooManyApps: "The portfolio has as many apps as it may have; remove one first.",
    e.SystemUserUnknown: "There is no such system user; see: nightlatch system-user list",
    e.TooManySystemUsers: "The portfolio has as many system users as it may have.",
    e.AccessTokenUnknown: "There is no such access token; see: nightlatch token list",
    e.TooManyAccessTokens: "The system user has as many live access tokens as it may have.",
    e.NotSubscribed: "The app is not subscribed to this WhatsApp account.",
    e.CallbackRefused: lambda refusal: f"The address was not accepted: {refusal.why}.",
    e.DeliveryUnknown: "There is no such delivery; see: nightlatch webhook list",
    # The Cloud API, behind us
    e.LinkUnknown: "No such account is linked; see: nightlatch cloud list",
    e.LinkExists: "The account is linked already; see: nightlatch cloud list",
    e.TooManyLinks: "The portfolio has as many linked accounts as it may have; unlink one first.",
    e.LinkedNumberUnknown: (
        "No linked account has this number, or not any more; see: nightlatch cloud read --help"
    ),
    e.TokenUnfit: lambda refusal: f"The access token cannot be used: {refusal.why}.",
    e.LedgerWait: _spent,
    e.OutcomeUnknown: _unknown,
    e.CloudUnreached: "Meta could not be reached, or gave no answer; nothing was changed.",
    e.CloudAccessLost: (
        "Meta refuses the access token or the app secret, or a permission is missing; "
        "see: nightlatch cloud token --help"
    ),
    e.CloudCallsSpent: _wait("Meta wants no more calls for this account now."),
    e.CloudLocked: (
        "Meta says that the account is locked, or that the PIN is wrong; "
        "do not try again before you know: nightlatch doctor --help"
    ),
    e.CloudIncomplete: (
        "An earlier deregistration stopped half-way; deregister again, then register: "
        "nightlatch cloud deregister --help"
    ),
    e.CloudRefused: _meta_refused,
    e.NameNeeded: "The number must be added to the account first, with a display name.",
    e.NameNotApproved: "Meta does not take the display name; see it in WhatsApp Manager.",
    e.HeldElsewhere: "Another WhatsApp account has the number, and must let go of it first.",
    e.OnBusinessApp: (
        "The number is used with the WhatsApp Business app too; disconnect it there first."
    ),
    e.TurnOffElsewhere: (
        "Only a person can turn two-step verification off, in WhatsApp Manager > Account tools > "
        "Phone numbers > the number > Two-step verification."
    ),
    e.PinNotInVault: (
        "The vault has no PIN of this number that is known to be good; "
        "see: nightlatch vault keep --help"
    ),
    e.LinkedNumberHeld: "The client serves a number of the Cloud API; release that one first.",
    e.WebhookForged: _API_ONLY,
    # What we cannot do just now
    e.Unavailable: "The store or the key ring does not answer; see: nightlatch check",
    e.Overloaded: "Too much is going on just now; try again.",
    # The request itself
    e.PathUnknown: _API_ONLY,
    e.NotServed: _API_ONLY,
    e.MethodNotAllowed: _API_ONLY,
    e.BodyTooLarge: _API_ONLY,
    e.RequestMalformed: _API_ONLY,
}


def of(refusal: Refusal) -> str:
    """One sentence that says what is wrong and what to do."""
    for kind in type(refusal).__mro__:
        if kind in SENTENCES:
            sentence = SENTENCES[kind]
            return sentence if isinstance(sentence, str) else sentence(refusal)
    return f"Refused: {type(refusal).__name__}"
