"""Access tokens: what they are good for, and whose they are."""

from typing import Any

from nightlatch.domain.access import Caller, SystemRole
from nightlatch.domain.errors import AccessTokenExpired, AccessTokenRefused
from nightlatch.faces.graph.errors import SecretRefused, UserTokenNeeded, expiry_in_words
from nightlatch.faces.graph.fields import View, show
from nightlatch.faces.graph.wire import Answer, Call
from nightlatch.usecases import access

_EXPIRED = 463
_BAD = 190


async def debug(call: Call) -> Answer:
    """What the token in ``input_token`` is good for. The token is not repeated."""
    try:
        found = await access.look_up(call.world, call.caller, call.given["input_token"])
    except AccessTokenExpired as error:
        words = f"Error validating access token: {expiry_in_words(error)}"
        return {"data": _no_good(words, subcode=_EXPIRED)}
    if found is None:
        return {"data": _no_good("The access token could not be decrypted")}
    return {"data": _facts(found)}


def _no_good(words: str, **more: int) -> dict[str, Any]:
    return {
        "error": {"code": _BAD, "message": words, **more},
        "is_valid": False,
        "scopes": [],
    }


def _facts(found: Caller) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "app_id": found.app.id,
        "type": "APP" if found.user is None else "SYSTEM_USER",
        "application": found.app.name,
        "is_valid": True,
        "scopes": [scope.value for scope in found.scopes],
    }
    if found.user is None or found.token is None:
        return facts
    expires = found.token.expires_at
    targets = {} if found.user.role is SystemRole.ADMIN else {"target_ids": [*found.user.wabas]}
    return facts | {
        "data_access_expires_at": 0,
        "expires_at": 0 if expires is None else int(expires.timestamp()),
        "issued_at": int(found.token.issued_at.timestamp()),
        "granular_scopes": [{"scope": scope.value, **targets} for scope in found.scopes],
        "user_id": found.user.id,
    }


async def of_app(call: Call) -> Answer:
    """The app's own token, for who knows its secret."""
    token = f"{call.given['client_id']}|{call.given['client_secret']}"
    try:
        await access.authenticate(call.world, token)
    except AccessTokenRefused as error:
        raise SecretRefused from error
    return {"access_token": token, "token_type": "bearer"}


async def me(call: Call) -> Answer:
    """The system user whose token it is."""
    if call.caller.user is None:
        raise UserTokenNeeded
    view = View(call.world, call.caller, call.caller.user)
    return await show(view, call.given.get("fields", ()), "SystemUser")
