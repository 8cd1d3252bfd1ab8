"""System users, and the access tokens by which programs speak for them."""

from datetime import datetime, timedelta
from typing import Any, Final

from nightlatch.domain.access import AccessToken, Scope, SystemRole, SystemUser
from nightlatch.domain.errors import AccessTokenUnknown, ParameterInvalid
from nightlatch.domain.limits import ACCESS_TOKEN_LONGEST
from nightlatch.domain.members import MemberRole
from nightlatch.faces.manager.paging import cut
from nightlatch.faces.manager.states import State
from nightlatch.faces.manager.wire import PREFIX, Answer, Call, Page, Redirect
from nightlatch.usecases import access

_USERS: Final = PREFIX + "/system-users"
_ROWS: Final = 15
_TOKENS: Final = 15
_ACCOUNTS: Final = 20
"""Shown at once; a page stays below 30 KB."""
_MONTHS: Final = timedelta(days=60)
_ROLES: Final = (
    (SystemRole.EMPLOYEE.value, "Employee: sees the accounts it is granted"),
    (SystemRole.ADMIN.value, "Admin: sees every account of the portfolio"),
)
_SCOPES: Final = (
    (Scope.MANAGEMENT.value, "Numbers, registration, PINs, profiles and webhooks", True),
    (Scope.MESSAGING.value, "Messages; programs ask for it, though nothing here needs it", True),
    (Scope.BUSINESS.value, "The portfolio itself", False),
)
_NEVER, _SOON, _DAYS = "never", "60", "days"
_DAY_DIGITS: Final = 6
_LIVES: Final = (
    (_NEVER, "Never"),
    (_SOON, f"After {_MONTHS.days} days"),
    (_DAYS, "After as many days as given below"),
)


async def listed(call: Call) -> Answer:
    """The system users in the order they were added."""
    everybody = await access.system_users(call.world, call.member.portfolio)
    users, pages = cut(call, everybody, _ROWS, _USERS)
    now = call.world.clock.now()
    lines = []
    for user in users:
        tokens = await access.access_tokens(call.world, user)
        lines.append((user, sum(token.lives(now) for token in tokens)))
    return Page(
        "system_users.html",
        {"here": "system-users", "count": len(everybody), "lines": lines} | pages,
    )


async def add_form(_call: Call) -> Answer:
    """A name and a role."""
    return Page("system_user_add.html", {"here": "system-users", "roles": _ROLES})


async def add(call: Call) -> Answer:
    """Raises ParameterInvalid, TooManySystemUsers."""
    role = _role(call.form["role"])
    user = await access.add_system_user_by_member(call.world, call.member, call.form["name"], role)
    return Redirect(_to(user), "system_user_added")


async def show(call: Call) -> Answer:
    """Its role, its accounts, its tokens. Raises SystemUserUnknown."""
    user, shown = await _shows(call)
    own = await access.access_tokens(call.world, user)
    tokens, pages = cut(call, own, _TOKENS, _to(user))
    apps = {app.id: app for app in await access.apps(call.world, user.portfolio)}
    now = call.world.clock.now()
    wabas = await call.world.store.wabas(user.portfolio)
    granted = [waba for waba in wabas if waba.id in user.wabas]
    return Page(
        "system_user.html",
        shown
        | pages
        | {
            "lines": [(token, apps.get(token.app), _state(token, now)) for token in tokens],
            "granted": granted[:_ACCOUNTS],
            "granted_in_all": len(granted),
            "others": [(waba.id, waba.name) for waba in wabas if waba.id not in user.wabas],
        },
    )


async def role_form(call: Call) -> Answer:
    """Raises SystemUserUnknown."""
    _, shown = await _shows(call)
    return Page("system_user_role.html", shown | {"roles": _ROLES})


async def change_role(call: Call) -> Answer:
    """Raises ParameterInvalid, SystemUserUnknown."""
    role = _role(call.form["role"])
    await access.change_role_by_member(call.world, call.member, call.path["user"], role)
    return Redirect(_here(call), "system_user_changed")


async def grant(call: Call) -> Answer:
    """Raises SystemUserUnknown, WabaUnknown."""
    await access.grant_account_by_member(
        call.world, call.member, call.path["user"], call.form["waba"]
    )
    return Redirect(_here(call), "account_granted")


async def withdraw(call: Call) -> Answer:
    """Raises SystemUserUnknown."""
    await access.withdraw_account_by_member(
        call.world, call.member, call.path["user"], call.form["waba"]
    )
    return Redirect(_here(call), "account_withdrawn")


async def remove_form(call: Call) -> Answer:
    """Asks whether it is meant. Raises SystemUserUnknown."""
    _, shown = await _shows(call)
    return Page("system_user_remove.html", shown)


async def remove(call: Call) -> Answer:
    """Raises SystemUserUnknown."""
    await access.remove_system_user_by_member(call.world, call.member, call.path["user"])
    return Redirect(_USERS, "system_user_removed")


# Access tokens


async def issue_form(call: Call) -> Answer:
    """For which app, to do what, for how long. Raises SystemUserUnknown."""
    _, shown = await _shows(call)
    apps = await access.apps(call.world, call.member.portfolio)
    fresh = call.problem is None
    return Page(
        "token_issue.html",
        shown
        | {
            "apps": [(app.id, f"{app.name} ({app.id})") for app in apps],
            "scopes": [
                (name, says, usual if fresh else bool(call.form[name]))
                for name, says, usual in _SCOPES
            ],
            "lives": _LIVES,
            "longest": ACCESS_TOKEN_LONGEST.days,
        },
    )


async def issue(call: Call) -> Answer:
    """Shows the token, this once.

    Raises:
        ParameterInvalid, SystemUserUnknown, AppUnknown, SignInRefused, SignInWait,
        TooManyAccessTokens: as the use case.
    """
    form = call.form
    token = await access.issue_token_by_member(
        call.world,
        call.member,
        call.path["user"],
        form["app"],
        [scope for scope in Scope if form[scope.value]],
        _life(form["expiry"], form["days"]),
        form["password"],
    )
    _, shown = await _shows(call)
    return Page("token_issued.html", shown | {"token": token})


async def revoke_form(call: Call) -> Answer:
    """Asks whether it is meant. Raises SystemUserUnknown, AccessTokenUnknown."""
    user, shown = await _shows(call)
    for token in await access.access_tokens(call.world, user):
        if token.reference == call.path["reference"]:
            return Page("token_revoke.html", shown | {"token": token})
    raise AccessTokenUnknown


async def revoke(call: Call) -> Answer:
    """Raises SystemUserUnknown, AccessTokenUnknown."""
    await access.revoke_token_by_member(
        call.world, call.member, call.path["user"], call.path["reference"]
    )
    return Redirect(_here(call), "token_revoked")


def _role(text: str) -> SystemRole:
    try:
        return SystemRole(text)
    except ValueError as error:
        raise ParameterInvalid("role", "admin or employee") from error


def _life(expiry: str, days: str) -> timedelta | None:
    """How long the token is good for; None for ever."""
    if expiry == _NEVER:
        return None
    if expiry == _SOON:
        return _MONTHS
    if expiry != _DAYS:
        raise ParameterInvalid("expiry", "one of the choices of the page")
    fits = days.isascii() and days.isdecimal() and len(days) <= _DAY_DIGITS
    return timedelta(days=int(days) if fits else 0)


def _state(token: AccessToken, now: datetime) -> State:
    return State("ok", "Live") if token.lives(now) else State("off", "Expired")


async def _shows(call: Call) -> tuple[SystemUser, dict[str, Any]]:
    user = await access.system_user_seen_by(call.world, call.member, call.path["user"])
    owner = call.member.role is MemberRole.OWNER
    return user, {"here": "system-users", "user": user, "owner": owner}


def _to(user: SystemUser) -> str:
    return f"{_USERS}/{user.id}"


def _here(call: Call) -> str:
    return f"{_USERS}/{call.path['user']}"
