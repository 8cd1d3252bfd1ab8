"""``/v1/users``: logging in and out, and who may."""

from nightlatch.domain.clients import Role, User
from nightlatch.faces.onprem.wire import Answer, Call, with_meta
from nightlatch.usecases import clients


async def log_in(call: Call) -> Answer:
    token, kept = await clients.log_in(
        call.world, call.client, call.username, call.password, call.fields.get("new_password")
    )
    expires = kept.expires_at.strftime("%Y-%m-%d %H:%M:%S+00:00")
    return Answer(200, with_meta({"users": [{"token": token, "expires_after": expires}]}))


async def log_out(call: Call) -> Answer:
    await clients.log_out(call.world, call.who)
    return Answer(200, with_meta())


async def create(call: Call) -> Answer:
    username = call.fields["username"]
    await clients.add_user(call.world, call.who.user, username, call.fields["password"])
    return Answer(201, _named(username))


async def read(call: Call) -> Answer:
    user = await clients.find_user(call.world, call.who.user, call.username)
    return Answer(200, with_meta({"users": [{"ROLES": _roles(user), "username": user.username}]}))


async def set_password(call: Call) -> Answer:
    await clients.set_password(call.world, call.who, call.username, call.fields["password"])
    return Answer(200, _named(call.username))


async def delete(call: Call) -> Answer:
    await clients.remove_user(call.world, call.who.user, call.username)
    return Answer(200, _named(call.username))


def _named(username: str) -> dict[str, object]:
    return with_meta({"users": [{"username": username}]})


def _roles(user: User) -> str:
    return Role(user.role).value
