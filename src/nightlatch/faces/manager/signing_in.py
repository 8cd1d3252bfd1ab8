"""Coming in: signing in and out, the first owner, invitations, forgotten passwords."""

import base64
import binascii
from urllib.parse import urlencode

from nightlatch.domain.errors import LinkRefused, ParameterInvalid, Unavailable
from nightlatch.domain.limits import MEMBER_PASSWORD_LENGTH, RESET_LIFE
from nightlatch.domain.portfolios import read_title
from nightlatch.faces.manager.forms import read_next
from nightlatch.faces.manager.wire import PREFIX, Answer, Call, Page, Redirect
from nightlatch.faces.spelling import spell_email
from nightlatch.usecases import members, portfolios, signing_in

_SIGN_IN = PREFIX + "/sign-in"
_CODE = _SIGN_IN + "/code"
_SEALED = "sealed."
_NEXT = "next|v1|sign-in"


async def sign_in_form(call: Call) -> Answer:
    """E-mail address and password; nobody who is signed in needs it."""
    if call.maybe_member is not None:
        return Redirect(_next(call) or PREFIX)
    return Page("sign_in.html", {"next": _asked(call)})


async def sign_in(call: Call) -> Answer:
    """Raises SignInRefused, SignInWait, ParameterInvalid."""
    email = spell_email(call.form["email"])
    begun = await signing_in.sign_in(call.world, email, call.form["password"], call.agent)
    return await _go_on(call, begun)


async def code_form(call: Call) -> Answer:
    """The authenticator's code, or a recovery code."""
    return Page("sign_in_code.html", {"next": _asked(call)})


async def enter_code(call: Call) -> Answer:
    """Raises SignInRefused, SignInWait, SignedOut."""
    begun = await signing_in.enter_app_code(call.world, call.session, call.form["code"], call.agent)
    return Redirect(_next(call) or PREFIX, token=begun.token)


async def sign_out(call: Call) -> Answer:
    """Ends the session; signed out already is fine."""
    if call.maybe_session is not None:
        await signing_in.sign_out(call.world, call.maybe_session)
    return Redirect(_SIGN_IN, "signed_out", token="")


async def welcome_form(call: Call) -> Answer:
    """For whoever has the link that the first start printed. Raises LinkRefused."""
    invited = await members.invitation(call.world, call.path["token"])
    if invited.email:
        raise LinkRefused
    portfolio = await portfolios.find_portfolio(call.world, invited.portfolio)
    return Page(
        "welcome.html", {"portfolio_name": portfolio.name, "length": MEMBER_PASSWORD_LENGTH}
    )


async def welcome(call: Call) -> Answer:
    """Become the first owner. Raises LinkRefused, ParameterInvalid, MemberExists."""
    invited = await members.invitation(call.world, call.path["token"])
    if invited.email:
        raise LinkRefused
    email = spell_email(call.form["email"])
    begun = await members.join(
        call.world,
        call.path["token"],
        email,
        call.form["name"],
        call.form["password"],
        call.agent,
        (_title(call.form["portfolio"]), _address(call.form["address"]) or email),
    )
    return Redirect(PREFIX, "welcome", begun.token)


async def join_form(call: Call) -> Answer:
    """For whoever has the mail with the invitation. Raises LinkRefused."""
    invited = await members.invitation(call.world, call.path["token"])
    if not invited.email:
        raise LinkRefused
    portfolio = await portfolios.find_portfolio(call.world, invited.portfolio)
    return Page(
        "join.html",
        {"invited": invited, "portfolio_name": portfolio.name, "length": MEMBER_PASSWORD_LENGTH},
    )


async def join(call: Call) -> Answer:
    """Become a member. Raises LinkRefused, ParameterInvalid, MemberExists."""
    invited = await members.invitation(call.world, call.path["token"])
    if not invited.email:
        raise LinkRefused
    begun = await members.join(
        call.world,
        call.path["token"],
        "",
        call.form["name"],
        call.form["password"],
        call.agent,
    )
    return Redirect(PREFIX, "joined", begun.token)


async def forgotten_form(call: Call) -> Answer:  # noqa: ARG001 - every handler is given the call
    """Where to mail the link that sets another password."""
    return Page("forgotten.html", {"life": RESET_LIFE})


async def ask_reset(call: Call) -> Answer:
    """The same answer for members and strangers. Raises ParameterInvalid."""
    await members.ask_reset(call.world, spell_email(call.form["email"]))
    return Redirect(_SIGN_IN, "reset_asked")


async def reset_form(call: Call) -> Answer:
    """Another password. Raises LinkRefused."""
    member = await members.member_of_reset(call.world, call.path["token"])
    return Page("reset.html", {"email": member.email, "length": MEMBER_PASSWORD_LENGTH})


async def reset(call: Call) -> Answer:
    """Raises LinkRefused, ParameterInvalid."""
    begun = await members.follow_reset(
        call.world, call.path["token"], call.form["password"], call.agent
    )
    return await _go_on(call, begun, "password_set")


async def _go_on(call: Call, begun: signing_in.SignedIn, said: str = "") -> Answer:
    """Into the Manager, or to the second step; the browser's earlier session ends."""
    if call.maybe_session is not None:
        await signing_in.sign_out(call.world, call.maybe_session)
    next_ = _next(call)
    if begun.session.whole:
        return Redirect(next_ or PREFIX, said, begun.token)
    to = f"{_CODE}?{urlencode({'next': _hidden(call, next_)})}" if next_ else _CODE
    return Redirect(to, said, begun.token)


def _asked(call: Call) -> str:
    """Where to go afterwards, as the browser gave it; empty unless it leads to us."""
    text = call.form.get("next") or call.query.get("next", "")
    return text if _opened(call, text) else ""


def _next(call: Call) -> str:
    return _opened(call, call.form.get("next") or call.query.get("next", ""))


def _hidden(call: Call, path: str) -> str:
    """*path*, sealed: it may hold a mailed link's token, which no query may show."""
    sealed = call.world.keys.seal(path.encode(), _NEXT)
    return _SEALED + base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def _opened(call: Call, text: str) -> str:
    if not text.startswith(_SEALED):
        return read_next(text)
    try:
        raw = text.removeprefix(_SEALED)
        sealed = base64.b64decode(raw + "=" * (-len(raw) % 4), altchars=b"-_", validate=True)
        return read_next(call.world.keys.unseal(sealed, _NEXT).decode())
    except (binascii.Error, ValueError, Unavailable):
        return ""


def _title(text: str) -> str:
    try:
        return read_title(text)
    except ParameterInvalid as refused:  # there it is one of two names
        raise ParameterInvalid("portfolio", refused.why) from refused


def _address(text: str) -> str:
    try:
        return spell_email(text) if text else ""
    except ParameterInvalid as refused:
        raise ParameterInvalid("address", refused.why) from refused
