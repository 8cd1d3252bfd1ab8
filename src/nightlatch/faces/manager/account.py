"""One's own account: password, authenticator app, recovery codes, sessions."""

import segno

from nightlatch.domain.errors import AppAlreadyOn, AppCodeRefused
from nightlatch.domain.limits import MEMBER_PASSWORD_LENGTH
from nightlatch.faces.manager.wire import PREFIX, Answer, Call, Page, Redirect
from nightlatch.usecases import members, signing_in
from nightlatch.usecases.members import NewApp

_ACCOUNT = PREFIX + "/account"


async def show(call: Call) -> Answer:
    """Who one is here, and where one is signed in."""
    own = await signing_in.sessions(call.world, call.member)
    sessions = [
        (signing_in.session_reference(one), one, one.hash == call.session.hash) for one in own
    ]
    return Page("account.html", {"here": "account", "sessions": sessions})


async def password_form(call: Call) -> Answer:  # noqa: ARG001 - every handler is given the call
    """The current password, and another one."""
    return Page("account_password.html", {"here": "account", "length": MEMBER_PASSWORD_LENGTH})


async def change_password(call: Call) -> Answer:
    """Ends the other sessions. Raises SignInRefused, SignInWait, ParameterInvalid."""
    await members.change_password(
        call.world, call.member, call.session, call.form["current"], call.form["password"]
    )
    return Redirect(_ACCOUNT, "password_changed")


async def app_form(call: Call) -> Answer:
    """A fresh key as a QR code; the same key again after a wrong code. Raises AppAlreadyOn."""
    if call.member.app is not None:
        raise AppAlreadyOn
    app = _same(call) if call.problem is not None else None
    app = app or members.begin_app(call.world, call.member)
    shown = [app.key[i : i + 4] for i in range(0, len(app.key), 4)]
    return Page(
        "account_app.html", {"here": "account", "app": app, "key": shown, "qr": _qr(app.address)}
    )


async def turn_app_on(call: Call) -> Answer:
    """Shows the recovery codes, this once.

    Raises:
        AppCodeRefused, AppAlreadyOn, SignInRefused, SignInWait: as the use case.
    """
    codes = await members.turn_app_on(
        call.world,
        call.member,
        call.session,
        call.form["sealed"],
        call.form["code"],
        call.form["password"],
    )
    return Page("account_codes.html", {"here": "account", "codes": codes})


async def app_off_form(call: Call) -> Answer:  # noqa: ARG001 - every handler is given the call
    """Asks for the password."""
    return Page("account_app_off.html", {"here": "account"})


async def turn_app_off(call: Call) -> Answer:
    """Raises SignInRefused, SignInWait."""
    await members.turn_app_off(call.world, call.member, call.form["password"])
    return Redirect(_ACCOUNT, "app_off")


async def end_session(call: Call) -> Answer:
    """Ends one of one's own sessions; unknown is fine."""
    await signing_in.end_session(call.world, call.member, call.form["session"])
    return Redirect(_ACCOUNT, "session_ended")


async def end_other_sessions(call: Call) -> Answer:
    """Ends all but this one."""
    await signing_in.end_other_sessions(call.world, call.member, call.session.hash)
    return Redirect(_ACCOUNT, "sessions_ended")


def _same(call: Call) -> NewApp | None:
    try:
        return members.again(call.world, call.member, call.form["sealed"])
    except AppCodeRefused:  # not a key that was shown to this member
        return None


def _qr(address: str) -> str:
    """As SVG, black on white whatever the colours around it: cameras expect that."""
    made = segno.make(address, error="m", micro=False)
    return made.svg_inline(
        scale=5, border=4, dark="#000", light="#fff", omitsize=True, title="QR code of the key"
    )
