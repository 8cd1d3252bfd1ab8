"""Refusal -> status and words: one row per refusal that a page can meet; and what pages say once.

Nothing that a request brought is ever repeated in these sentences.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from nightlatch.domain import errors as e
from nightlatch.domain.errors import Refusal
from nightlatch.domain.ledger import Act
from nightlatch.faces.manager.wire import Problem
from nightlatch.faces.sentences_cloud import act_name


@dataclass(frozen=True, slots=True)
class Row:
    """How a refusal reads on a page."""

    status: int
    title: str
    """What happened, without a full stop."""
    remedy: Callable[[Any], str]
    """What to do; empty when the title says it, or when there is only a wait."""
    field: Callable[[Any], str]
    """The form's field it is about; empty when it is about none."""

    def sentence(self, refusal: Refusal | None) -> str:
        return f"{self.title}. {self.remedy(refusal)}".rstrip()


def _row(status: int, title: str, remedy: str | Callable[[Any], str] = "", field: str = "") -> Row:
    return Row(status, title, remedy if callable(remedy) else lambda _: remedy, lambda _: field)


def _parameter(title: str, remedy: Callable[[Any], str]) -> Row:
    return Row(400, title, remedy, lambda refusal: refusal.name)


def _act(refusal: Any) -> str:
    return act_name(Act(refusal.act))


ROWS: Final[dict[type[Refusal], Row]] = {
    # Who is asking
    e.SignInRefused: _row(
        403, "That did not match", "Check what you typed and try again; capital letters count."
    ),
    e.SignInWait: _row(
        429, "There were too many wrong tries", "What you typed was not looked at this time."
    ),
    e.SignedOut: _row(401, "You are signed out", "Sign in to go on."),
    e.FormForged: _row(
        403,
        "This form was not accepted",
        "It came from another page, from before you signed in, or without our cookie. "
        "Nothing changed. Open the page anew and send the form again.",
    ),
    e.RoleTooLow: _row(
        403, "Your role does not include this", "Ask an owner of the portfolio for it."
    ),
    e.LinkRefused: _row(
        410,
        "This link is not good, or no longer",
        "Links work once, for a limited time, and only the newest one does. Ask for another.",
    ),
    # What is asked
    e.ParameterMissing: _parameter("A field is empty", lambda _: "Fill it in."),
    e.ParameterInvalid: _parameter(
        "This does not fit", lambda r: f"Give {r.why.replace('`', '')}." if r.why else ""
    ),
    e.ParameterUnexpected: _row(
        400, "The form holds a field that this page does not know",
        "Open the page anew and send the form again.",
    ),
    e.NumberExists: _row(
        409, "This number is here already", "Search for it among the phone numbers.",
        "phone_number",
    ),
    e.NumberUnknown: _row(404, "There is no such number in this portfolio",
        "Look for it among the phone numbers."),
    # Two-step verification
    e.WrongPin: _row(
        403, "The current PIN is wrong", "The try was counted, as when registering.", "current"
    ),
    e.GuessWait: _row(
        429, "There were too many wrong PINs",
        "Until the wait is over no PIN is looked at, not even the right one.",
    ),
    e.NumberLocked: _row(
        403, "The number is locked after too many wrong PINs",
        "Unlock it on the number's page first.",
    ),
    e.TwoStepIsOff: _row(409, "Two-step verification is off", "There is no PIN. Set one."),
    e.TwoStepIsOn: _row(
        409, "Two-step verification is on already", "To change the PIN, give the current one."
    ),
    e.PinUnchanged: _row(
        409, "The new PIN is the current one", "Nothing changed. Choose another.", "pin"
    ),
    e.PinChangedMeanwhile: _row(
        409, "Somebody else changed the PIN at the same moment",
        "Your change was not made. Look at the number's timeline before you try again.",
    ),
    e.RegistrationOutdated: _row(
        409, "The PIN changed in the meantime", "Nothing was done. Begin again."
    ),
    # Registration and names
    e.RegistrationWait: _row(429, "This number was registered or deregistered too often"),
    e.NoNumberHeld: _row(
        409, "No client holds this number", "There is nothing to deregister."
    ),
    e.CertificateNotReady: _row(
        409, "There is no certificate yet",
        "It comes with the display name's approval.",
    ),
    e.NameWait: _row(429, "The display name was changed a short time ago"),
    e.NoNameAsked: _row(409, "No display name waits for review"),
    # Portfolios and their members
    e.PortfolioUnknown: _row(404, "There is no such portfolio"),
    e.WabaUnknown: _row(
        404, "There is no such WhatsApp account in this portfolio", "Choose one from the menu."
    ),
    e.MemberExists: _row(
        409, "This address belongs to a member already", "Use another address.", "email"
    ),
    e.MemberUnknown: _row(
        404, "There is no such member in this portfolio", "Look at the list of members."
    ),
    e.LastOwner: _row(
        409, "A portfolio keeps at least one owner", "Make somebody else an owner first."
    ),
    e.TooManyMembers: _row(
        409, "The portfolio has as many members and invitations as it may have",
        "Remove a member or withdraw an invitation first.",
    ),
    e.AppAlreadyOn: _row(
        409, "An authenticator app is on already", "Turn it off before you set up another."
    ),
    e.AppCodeRefused: _row(
        400, "The code does not fit the key on this page",
        "Wait for the app's next code and enter that one. "
        "The clock of the phone must be right.",
        "code",
    ),
    e.MailUnknown: _row(404, "There is no such letter", "Letters are erased after 30 days."),
    e.MailEnded: _row(
        409, "This letter cannot be sent again",
        "It arrived, or its link is no longer good. Ask for a new one where it was asked for.",
    ),
    # API access
    e.AppUnknown: _row(404, "There is no such app in this portfolio", "Look at the list of apps."),
    e.TooManyApps: _row(
        409, "The portfolio has as many apps as it may have", "Remove one first."
    ),
    e.SystemUserUnknown: _row(
        404, "There is no such system user in this portfolio",
        "Look at the list of system users.",
    ),
    e.TooManySystemUsers: _row(
        409, "The portfolio has as many system users as it may have", "Remove one first."
    ),
    e.AccessTokenUnknown: _row(
        404, "There is no such access token", "It was revoked, or belongs to another system user."
    ),
    e.TooManyAccessTokens: _row(
        409, "The system user has as many live access tokens as it may have",
        "Revoke one that nobody uses.",
    ),
    e.NotSubscribed: _row(
        409, "The app is not subscribed to this WhatsApp account", "There is nothing to undo."
    ),
    e.CallbackRefused: _row(
        400, "The address was not accepted",
        lambda r: f"The reason: {r.why}. Nothing changed.", "callback_url",
    ),
    e.DeliveryUnknown: _row(
        404, "There is no such delivery", "Deliveries are erased 7 days after they end."
    ),
    # The Cloud API, behind us
    e.LinkUnknown: _row(
        404, "There is no such linked account in this portfolio",
        "Look at the list of linked accounts.",
    ),
    e.LinkExists: _row(409, "This account is linked already", "Renew its token there.", "waba"),
    e.TooManyLinks: _row(
        409, "The portfolio has as many linked accounts as it may have", "Unlink one first."
    ),
    e.LinkedNumberUnknown: _row(
        404, "There is no such number in a linked account",
        "It was unlinked, or the account at Meta has it no more. Look at the linked accounts.",
    ),
    e.TokenUnfit: _row(
        400, "This access token cannot be used for the account",
        lambda r: f"The reason: {r.why}. Nothing changed.", "token",
    ),
    e.ClientUnknown: _row(
        400, "There is no such client", "Give the names of clients that exist here.", "clients"
    ),
    e.LedgerWait: _row(
        429, "It is not safe to try this again yet",
        lambda r: f"Meta locks a number out for 72 hours after too much {_act(r)}."
        f"{' One last try is kept back.' if r.kept_back else ''} Nothing was sent.",
    ),
    e.OutcomeUnknown: _row(
        503, "It is not known what became of an attempt that Meta did not answer",
        lambda r: f"It was {_act(r)}. Nothing else is sent until that is found out, "
        "which happens by itself.",
    ),
    e.CloudUnreached: _row(
        503, "Meta could not be reached, or did not answer", "Nothing was changed or counted."
    ),
    e.CloudAccessLost: _row(
        503, "Meta refuses the account's access token",
        "An owner can renew it on the account's page. Nothing was changed or counted.",
    ),
    e.CloudCallsSpent: _row(
        429, "Meta wants no more calls for this account just now", "Nothing was changed."
    ),
    e.CloudLocked: _row(
        403, "Meta says that the number's account is locked",
        "See in WhatsApp Manager why. It was counted as an attempt.",
    ),
    e.CloudIncomplete: _row(
        409, "An earlier deregistration stopped half-way at Meta",
        "Deregister the number again, then register it.",
    ),
    e.CloudRefused: _row(
        400, "Meta refused",
        lambda r: f"Its error code is {r.code}"
        f"{'' if r.subcode is None else f', subcode {r.subcode}'}.",
    ),
    e.NameNotApproved: _row(
        409, "Meta does not take the number's display name",
        "Wait for its review, or ask for another name in WhatsApp Manager.",
    ),
    e.HeldElsewhere: _row(
        409, "The number is registered to another WhatsApp account",
        "That one must let go of it first.",
    ),
    e.OnBusinessApp: _row(
        409, "The number is used with the WhatsApp Business app",
        "Disconnect it there first. Nothing was sent.",
    ),
    e.PinNotInVault: _row(
        409, "The vault holds no PIN of this number that is known to be good",
        "Give the PIN, note it, or set a new one.", "pin",
    ),
    e.CodeNeeded: _row(
        409, "The number needs a registration code first",
        "A client asks for one when it registers the number at /v1.",
    ),
    e.NotOnCloud: _row(
        409, "The Cloud API does not hold this number", "Register it first."
    ),
    # What we cannot do just now
    e.Unavailable: _row(
        503, "The server cannot use its storage or its keys just now",
        "Nothing was compared. Whoever runs it finds the reason with: nightlatch check.",
    ),
    e.Overloaded: _row(
        503, "The server is busy", "Nothing was done or counted."
    ),
    # The request itself
    e.PathUnknown: _row(404, "There is no page at this address", "Begin at the overview."),
    e.MethodNotAllowed: _row(
        405, "This address does not take that kind of request", "Begin at the overview."
    ),
    e.BodyTooLarge: _row(413, "The form is too long", "Send less text."),
    e.RequestMalformed: _row(
        400, "The request cannot be read", lambda r: f"Its fault: {r.why}."
    ),
}  # fmt: skip

ELSEWHERE: Final[frozenset[type[Refusal]]] = frozenset(
    {
        e.LoginRefused, e.LoginWait, e.TokenRefused, e.AdminOnly, e.PasswordChangeRequired,
        e.PinNeeded, e.UserExists, e.UserUnknown, e.AdminStays, e.TooManyUsers, e.ClientExists,
        e.CertificateRefused, e.CodesSpent, e.CodeWait, e.WrongCode,
        e.NoCodePending, e.NotServed, e.CodeVerified,
        e.AccessTokenMissing, e.AccessTokenRefused, e.AccessTokenExpired, e.ProofMissing,
        e.ProofRefused, e.ScopeMissing, e.NodeUnknown, e.EdgeUnknown, e.FieldUnknown,
        e.NameNeeded, e.TurnOffElsewhere, e.LinkedNumberHeld, e.WebhookForged,
    }
)  # fmt: skip
"""Refusals that only other faces can meet."""

BUG: Final = _row(
    500, "Something went wrong here",
    "This is a fault of the server. The log knows more under this answer's X-Request-Id.",
)  # fmt: skip


def row_of(refusal: Refusal | None) -> Row:
    """The row of a refusal; of a bug when there is none, or none that a page should meet."""
    if refusal is None:
        return BUG
    return next((ROWS[kind] for kind in type(refusal).__mro__ if kind in ROWS), BUG)


def problem_of(refusal: Refusal) -> Problem:
    """Why a form was not accepted."""
    row = row_of(refusal)
    return Problem(row.sentence(refusal), row.field(refusal), row.status, refusal.retry_after)


SAID: Final[dict[str, str]] = {
    # Members
    "signed_out": "You are signed out.",
    "welcome": "Welcome. You are signed in as the owner of this portfolio.",
    "joined": "Welcome. You are a member of this portfolio now.",
    "reset_asked": (
        "If this address belongs to a member, a letter with a link is on its way. "
        "The link is good for 30 minutes."
    ),
    "password_set": "Your new password is set. All other sessions were ended.",
    "password_changed": "Your password is changed. All other sessions were ended.",
    "app_off": "The authenticator app is off. Your password alone signs you in.",
    "session_ended": "The session was ended.",
    "sessions_ended": "All your other sessions were ended.",
    "invited": "The invitation is on its way. It is good for 7 days.",
    "withdrawn": "The invitation was withdrawn. Its link opens nothing any more.",
    "role_changed": "The role is changed.",
    "member_removed": "The member was removed and is signed out everywhere.",
    "left": "You are no longer a member of the portfolio.",
    "letter_retried": "The letter is being sent again.",
    "portfolio_changed": "The portfolio is changed.",
    # API access
    "system_user_added": "The system user was added. Issue it an access token.",
    "system_user_changed": "The system user's role is changed.",
    "system_user_removed": "The system user was removed. Its access tokens open nothing any more.",
    "account_granted": "The system user sees the account now.",
    "account_withdrawn": "The system user does not see the account any more.",
    "token_revoked": "The access token was revoked. It opens nothing any more.",
    "app_removed": "The app was removed. Its access tokens open nothing any more.",
    "callback_set": "The address answered the challenge. Webhooks go there from now on.",
    "callback_removed": "Webhooks of this app go nowhere any more.",
    "proof_on": "Each call with this app's access tokens must bring a proof from now on.",
    "proof_off": "Calls need no proof any more.",
    "subscribed": "The app hears about the account from now on.",
    "unsubscribed": "The app hears about the account no more.",
    "sent_again": "The delivery is on its way again.",
    # Linked accounts and their numbers
    "account_linked": "The account is linked. Read its numbers next.",
    "account_unlinked": "The account is unlinked. At Meta nothing changed.",
    "link_changed": "The settings are changed.",
    "link_token_renewed": "The access token is renewed; Meta takes it.",
    "link_subscribed": "The account's webhooks come here from now on, once their address is set.",
    "meta_asked": "Meta was asked just now. This is what it shows.",
    "alerts_seen": "The alerts are marked as seen.",
    "cloud_pin_set": "The new PIN is set at Meta and kept in the vault.",
    "cloud_pin_kept": "The PIN is noted in the vault. Meta was not asked.",
    "cloud_registered": "The number is registered with the Cloud API.",
    "cloud_deregistered": "The Cloud API let go of the number.",
    "cloud_released": "No client serves the number any more. At Meta nothing changed.",
    # Numbers
    "account_added": "The WhatsApp account was added.",
    "number_added": "The number was added.",
    "name_asked": "The display name was sent for review.",
    "name_changed": "The display name is changed. The number has a new certificate.",
    "number_unlocked": "The number is unlocked. The next PIN is compared at once.",
    "number_deregistered": "The number was deregistered.",
    "certificate_renewed": "There is a new certificate. The one before is no longer accepted.",
    "pin_set": "Two-step verification is on.",
    "pin_changed": "The PIN is changed. Your other sessions were ended.",
    "turn_off_mailed": "The link is on its way to the portfolio's address.",
    "turned_off": "Two-step verification is off.",
}
"""Sentences that a page shows once after a redirect, by the key in its query."""
