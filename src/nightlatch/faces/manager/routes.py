"""The whole table of the Manager: every page and every form."""

from typing import Final

from nightlatch.domain.access import Scope
from nightlatch.domain.webhooks import Field
from nightlatch.faces.manager import (
    account,
    apps,
    certificates,
    cloud_links,
    cloud_numbers,
    cloud_rotation,
    handset,
    mail,
    members,
    numbers,
    overview,
    portfolio,
    signing_in,
    system_users,
    turn_off,
    two_step,
    webhooks,
)
from nightlatch.faces.manager.wire import Access, Handler, Route

_ANYONE, _HALF = Access.ANYONE, Access.HALF
_VIEWER, _ADMIN, _OWNER = Access.VIEWER, Access.ADMIN, Access.OWNER


def _get(path: str, access: Access, handler: Handler, *query: str) -> Route:
    return Route(
        method="GET", path=path, name=_name("GET", path), access=access, handler=handler,
        query=query,
    )  # fmt: skip


def _post(
    path: str, access: Access, handler: Handler, *form: str, again: Handler | None = None
) -> Route:
    """*again* shows the form once more, with the problem."""
    return Route(
        method="POST", path=path, name=_name("POST", path), access=access, handler=handler,
        form=form, again=again,
    )  # fmt: skip


def _name(method: str, path: str) -> str:
    plain = path.replace("{", "").replace("}", "").replace("-", "_").rstrip("/")
    return f"{method}_manager{plain}".replace("/", "_")


_NUMBERS: Final = "/accounts/{waba}/numbers"
_NUMBER: Final = "/numbers/{number}"
_TWO_STEP: Final = _NUMBER + "/two-step"
_CERTIFICATE: Final = _NUMBER + "/certificate"
_USER: Final = "/system-users/{user}"
_REVOKE: Final = _USER + "/tokens/{reference}/revoke"
_APP: Final = "/apps/{app}"
_DELIVERY: Final = "/webhooks/{delivery}"
_LINKED: Final = "/cloud/{link}"
_PHONE: Final = "/cloud/numbers/{phone}"
_SCOPES: Final = tuple(scope.value for scope in Scope)
_FIELDS: Final = tuple(field.value for field in Field)

ROUTES: Final[tuple[Route, ...]] = (
    # Coming in
    _get("/sign-in", _ANYONE, signing_in.sign_in_form, "next"),
    _post(
        "/sign-in", _ANYONE, signing_in.sign_in, "email", "password", "next",
        again=signing_in.sign_in_form,
    ),
    _get("/sign-in/code", _HALF, signing_in.code_form, "next"),
    _post(
        "/sign-in/code", _HALF, signing_in.enter_code, "code", "next",
        again=signing_in.code_form,
    ),
    _post("/sign-out", _ANYONE, signing_in.sign_out),
    _get("/welcome/{token}", _ANYONE, signing_in.welcome_form),
    _post(
        "/welcome/{token}", _ANYONE, signing_in.welcome,
        "name", "email", "password", "portfolio", "address",
        again=signing_in.welcome_form,
    ),
    _get("/join/{token}", _ANYONE, signing_in.join_form),
    _post(
        "/join/{token}", _ANYONE, signing_in.join, "name", "password", again=signing_in.join_form
    ),
    _get("/forgotten", _ANYONE, signing_in.forgotten_form),
    _post(
        "/forgotten", _ANYONE, signing_in.ask_reset, "email", again=signing_in.forgotten_form
    ),
    _get("/reset/{token}", _ANYONE, signing_in.reset_form),
    _post("/reset/{token}", _ANYONE, signing_in.reset, "password", again=signing_in.reset_form),
    # Numbers
    _get("/", _VIEWER, overview.show, "accounts"),
    _get("/accounts/add", _ADMIN, overview.add_account_form),
    _post("/accounts/add", _ADMIN, overview.add_account, "name", again=overview.add_account_form),
    _get(_NUMBERS, _VIEWER, numbers.listed, "show", "text", "after"),
    _get(_NUMBERS + "/export", _VIEWER, numbers.export, "format", "show", "text"),
    _get(_NUMBERS + "/add", _ADMIN, numbers.add_form),
    _post(
        _NUMBERS + "/add", _ADMIN, numbers.add, "cc", "phone_number", "name",
        again=numbers.add_form,
    ),
    _get(_NUMBER, _VIEWER, numbers.settings, "before"),
    _get(_NUMBER + "/timeline/export", _VIEWER, numbers.export_timeline, "format"),
    _get(_NUMBER + "/name", _ADMIN, numbers.name_form),
    _post(_NUMBER + "/name", _ADMIN, numbers.change_name, "name", again=numbers.name_form),
    _get(_NUMBER + "/unlock", _ADMIN, numbers.unlock_form),
    _post(_NUMBER + "/unlock", _ADMIN, numbers.unlock, again=numbers.unlock_form),
    _get(_NUMBER + "/deregister", _ADMIN, numbers.deregister_form),
    _post(_NUMBER + "/deregister", _ADMIN, numbers.deregister, again=numbers.deregister_form),
    _get(_NUMBER + "/codes", _ADMIN, handset.show),
    _get(_CERTIFICATE, _ADMIN, certificates.show),
    _get(_CERTIFICATE + "/download", _ADMIN, certificates.download),
    _get(_CERTIFICATE + "/renew", _ADMIN, certificates.renew_form),
    _post(
        _CERTIFICATE + "/renew", _ADMIN, certificates.renew, again=certificates.renew_form
    ),
    # Two-step verification
    _get(_TWO_STEP, _VIEWER, two_step.show),
    _get(_TWO_STEP + "/set", _ADMIN, two_step.set_form),
    _post(_TWO_STEP + "/set", _ADMIN, two_step.set_pin, "pin", "again", again=two_step.set_form),
    _get(_TWO_STEP + "/change", _ADMIN, two_step.change_form),
    _post(
        _TWO_STEP + "/change", _ADMIN, two_step.change_pin, "current", "pin", "again",
        again=two_step.change_form,
    ),
    _get(_TWO_STEP + "/turn-off", _ADMIN, two_step.turn_off_form),
    _post(
        _TWO_STEP + "/turn-off", _ADMIN, two_step.ask_to_turn_off, again=two_step.turn_off_form
    ),
    _get("/turn-off/{token}", _VIEWER, turn_off.show),
    _post("/turn-off/{token}", _VIEWER, turn_off.follow),
    # The portfolio
    _get("/members", _OWNER, members.listed, "after"),
    _get("/members/invite", _OWNER, members.invite_form),
    _post(
        "/members/invite", _OWNER, members.invite, "email", "role", again=members.invite_form
    ),
    _post("/members/withdraw", _OWNER, members.withdraw, "email"),
    _get("/members/{member}/role", _OWNER, members.role_form),
    _post(
        "/members/{member}/role", _OWNER, members.change_role, "role", again=members.role_form
    ),
    _get("/members/{member}/remove", _OWNER, members.remove_form),
    _post("/members/{member}/remove", _OWNER, members.remove, again=members.remove_form),
    _get("/mail", _OWNER, mail.listed),
    _get("/mail/{key}", _OWNER, mail.show),
    _post("/mail/{key}/retry", _OWNER, mail.retry),
    _get("/portfolio", _OWNER, portfolio.change_form),
    _post(
        "/portfolio", _OWNER, portfolio.change, "name", "email", "password",
        again=portfolio.change_form,
    ),
    _get("/events", _VIEWER, portfolio.events, "before"),
    # API access
    _get("/system-users", _VIEWER, system_users.listed, "after"),
    _get("/system-users/add", _OWNER, system_users.add_form),
    _post(
        "/system-users/add", _OWNER, system_users.add, "name", "role",
        again=system_users.add_form,
    ),
    _get(_USER, _ADMIN, system_users.show, "after"),
    _get(_USER + "/role", _OWNER, system_users.role_form),
    _post(
        _USER + "/role", _OWNER, system_users.change_role, "role", again=system_users.role_form
    ),
    _post(_USER + "/grant", _OWNER, system_users.grant, "waba", again=system_users.show),
    _post(_USER + "/withdraw", _OWNER, system_users.withdraw, "waba"),
    _get(_USER + "/tokens", _OWNER, system_users.issue_form),
    _post(
        _USER + "/tokens", _OWNER, system_users.issue,
        "app", *_SCOPES, "expiry", "days", "password",
        again=system_users.issue_form,
    ),
    _get(_REVOKE, _OWNER, system_users.revoke_form),
    _post(_REVOKE, _OWNER, system_users.revoke),
    _get(_USER + "/remove", _OWNER, system_users.remove_form),
    _post(_USER + "/remove", _OWNER, system_users.remove),
    _get("/apps", _VIEWER, apps.listed, "after"),
    _get("/apps/add", _OWNER, apps.add_form),
    _post("/apps/add", _OWNER, apps.add, "name", "password", again=apps.add_form),
    _get(_APP, _ADMIN, apps.show),
    _get(_APP + "/callback", _OWNER, apps.callback_form),
    _post(
        _APP + "/callback", _OWNER, apps.set_callback, "callback_url", "verify_token", *_FIELDS,
        again=apps.callback_form,
    ),
    _get(_APP + "/callback/remove", _OWNER, apps.remove_callback_form),
    _post(_APP + "/callback/remove", _OWNER, apps.remove_callback),
    _get(_APP + "/secret", _OWNER, apps.secret_form),
    _post(_APP + "/secret", _OWNER, apps.renew_secret, "password", again=apps.secret_form),
    _post(_APP + "/proof", _OWNER, apps.require_proof, "needed"),
    _post(_APP + "/subscribe", _OWNER, apps.subscribe, "waba", again=apps.show),
    _post(_APP + "/unsubscribe", _OWNER, apps.unsubscribe, "waba", again=apps.show),
    _get(_APP + "/remove", _OWNER, apps.remove_form),
    _post(_APP + "/remove", _OWNER, apps.remove),
    _get("/webhooks", _VIEWER, webhooks.listed, "app", "before"),
    _get(_DELIVERY, _ADMIN, webhooks.show),
    _post(_DELIVERY + "/send-again", _ADMIN, webhooks.send_again),
    # The Cloud API, behind us
    _get("/cloud", _VIEWER, cloud_links.listed, "after"),
    _get("/cloud/add", _OWNER, cloud_links.link_form),
    _post(
        "/cloud/add", _OWNER, cloud_links.link,
        "waba", "token", "secret", "version", "clients", "set_again", "password",
        again=cloud_links.link_form,
    ),
    _get(_LINKED, _VIEWER, cloud_links.show),
    _post(_LINKED + "/subscribe", _OWNER, cloud_links.subscribe, again=cloud_links.show),
    _post(_LINKED + "/read", _ADMIN, cloud_links.read, again=cloud_links.show),
    _get(_LINKED + "/token", _OWNER, cloud_links.token_form),
    _post(
        _LINKED + "/token", _OWNER, cloud_links.renew_token, "token", "password",
        again=cloud_links.token_form,
    ),
    _get(_LINKED + "/settings", _OWNER, cloud_links.settings_form),
    _post(
        _LINKED + "/settings", _OWNER, cloud_links.change,
        "version", "clients", "secret", "set_again", again=cloud_links.settings_form,
    ),
    _get(_LINKED + "/unlink", _OWNER, cloud_links.unlink_form),
    _post(
        _LINKED + "/unlink", _OWNER, cloud_links.unlink, "password",
        again=cloud_links.unlink_form,
    ),
    _get(_LINKED + "/rotate", _ADMIN, cloud_rotation.form),
    _post(
        _LINKED + "/rotate", _ADMIN, cloud_rotation.go_on,
        "since", "after", "of", "done", "failed", "kept", again=cloud_rotation.form,
    ),
    _get(_LINKED + "/numbers", _VIEWER, cloud_numbers.listed, "after"),
    _get(_PHONE, _VIEWER, cloud_numbers.show, "before"),
    _get(_PHONE + "/checks", _VIEWER, cloud_numbers.checks),
    _post(_PHONE + "/ask", _ADMIN, cloud_numbers.ask, again=cloud_numbers.show),
    _post(_PHONE + "/seen", _ADMIN, cloud_numbers.see),
    _get(_PHONE + "/pin", _ADMIN, cloud_numbers.pin_form),
    _post(_PHONE + "/pin", _ADMIN, cloud_numbers.set_pin, "pin", again=cloud_numbers.pin_form),
    _get(_PHONE + "/keep", _ADMIN, cloud_numbers.keep_form),
    _post(_PHONE + "/keep", _ADMIN, cloud_numbers.keep, "pin", again=cloud_numbers.keep_form),
    _get(_PHONE + "/reveal", _OWNER, cloud_numbers.reveal_form),
    _post(
        _PHONE + "/reveal", _OWNER, cloud_numbers.reveal, "password",
        again=cloud_numbers.reveal_form,
    ),
    _get(_PHONE + "/register", _ADMIN, cloud_numbers.register_form),
    _post(
        _PHONE + "/register", _ADMIN, cloud_numbers.register, "client", "pin", "force",
        again=cloud_numbers.register_form,
    ),
    _get(_PHONE + "/deregister", _ADMIN, cloud_numbers.deregister_form),
    _post(
        _PHONE + "/deregister", _ADMIN, cloud_numbers.deregister, "force",
        again=cloud_numbers.deregister_form,
    ),
    _get(_PHONE + "/release", _ADMIN, cloud_numbers.release_form),
    _post(_PHONE + "/release", _ADMIN, cloud_numbers.release),
    _get(_PHONE + "/unlock", _ADMIN, cloud_numbers.unlock_form),
    _post(_PHONE + "/unlock", _ADMIN, cloud_numbers.unlock),
    # One's own account
    _get("/account", _VIEWER, account.show),
    _get("/account/password", _VIEWER, account.password_form),
    _post(
        "/account/password", _VIEWER, account.change_password, "current", "password",
        again=account.password_form,
    ),
    _get("/account/app", _VIEWER, account.app_form),
    _post(
        "/account/app", _VIEWER, account.turn_app_on, "sealed", "code", "password",
        again=account.app_form,
    ),
    _get("/account/app/off", _VIEWER, account.app_off_form),
    _post(
        "/account/app/off", _VIEWER, account.turn_app_off, "password",
        again=account.app_off_form,
    ),
    _post("/account/sessions/end", _VIEWER, account.end_session, "session"),
    _post("/account/sessions/end-others", _VIEWER, account.end_other_sessions),
)  # fmt: skip
