"""The mailbox: letters on their way, kept, sent and failed."""

from typing import Final

from nightlatch.domain.mail import Letter, MailState
from nightlatch.faces.manager.wire import PREFIX, Answer, Call, Page, Redirect
from nightlatch.usecases import mail

_SHOWN = 40
_TITLES: Final = {
    Letter.TURN_OFF_LINK: "Link that turns two-step verification off",
    Letter.PIN_SET: "PIN set",
    Letter.PIN_CHANGED: "PIN changed",
    Letter.PIN_TURNED_OFF: "Two-step verification turned off",
    Letter.FIRST_WRONG_GUESS: "First wrong PIN",
    Letter.NUMBER_LOCKED: "Number locked",
    Letter.NUMBER_TAKEN_OVER: "Number taken over",
    Letter.INVITATION: "Invitation",
    Letter.PASSWORD_RESET: "Password reset",
    Letter.ADDRESS_CHANGED: "Portfolio's address changed",
    Letter.CLOUD_TURN_OFF_ASKED: "Turning off asked for at Meta",
    Letter.CLOUD_PIN_CHANGED: "PIN changed at Meta",
    Letter.CLOUD_PIN_TURNED_OFF: "Two-step verification turned off at Meta",
    Letter.CLOUD_OFF_REMEMBERED: "Turning off remembered",
    Letter.CLOUD_NAME_APPROVED: "Display name approved at Meta",
    Letter.CLOUD_PIN_REFUSED: "Kept PIN refused by Meta",
    Letter.CLOUD_ACCESS_LOST: "Access to an account lost",
}
_STATES: Final = {
    MailState.WAITING: ("warn", "Waiting"),
    MailState.SENT: ("ok", "Sent"),
    MailState.KEPT: ("info", "Kept here"),
    MailState.FAILED: ("bad", "Failed"),
}


async def listed(call: Call) -> Answer:
    """The latest letters."""
    letters = await mail.latest(call.world, call.member.portfolio, _SHOWN)
    return Page(
        "mail.html",
        {
            "here": "mail",
            "letters": letters,
            "most": _SHOWN,
            "titles": _TITLES,
            "states": _STATES,
            "keeps": call.settings.keeps_mail,
        },
    )


async def show(call: Call) -> Answer:
    """One letter as its reader sees it. Raises MailUnknown."""
    posted = await mail.find(call.world, call.path["key"], call.member.portfolio)
    letter = mail.read(call.world, posted)
    now = call.world.clock.now()
    return Page(
        "mail_letter.html",
        {
            "here": "mail",
            "posted": posted,
            "letter": letter,
            "link": letter.link,
            "withheld": posted.sealed is not None and posted.state is not MailState.KEPT,
            "titles": _TITLES,
            "states": _STATES,
            "keeps": call.settings.keeps_mail,
            "may_retry": posted.state is MailState.FAILED and not posted.is_dead(now),
        },
    )


async def retry(call: Call) -> Answer:
    """Raises MailUnknown, MailEnded."""
    posted = await mail.retry(call.world, call.path["key"], call.member.portfolio)
    return Redirect(f"{PREFIX}/mail/{posted.key}", "letter_retried")
