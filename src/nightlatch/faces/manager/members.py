"""The portfolio's members: who they are, what they may do, who is invited."""

from nightlatch.domain.members import MemberRole, read_role
from nightlatch.faces.manager.wire import PREFIX, Answer, Call, Page, Redirect
from nightlatch.faces.spelling import spell_email
from nightlatch.usecases import members

_MEMBERS = PREFIX + "/members"
_PAGE = 30
_ROLES = (
    (MemberRole.VIEWER.value, "Viewer: sees states and events"),
    (MemberRole.ADMIN.value, "Admin: also PINs, names, certificates and codes"),
    (MemberRole.OWNER.value, "Owner: also members, mail and the portfolio"),
)


async def listed(call: Call) -> Answer:
    """Members in the order they joined, then those who are invited; *after* so many."""
    people, invited = await members.people(call.world, call.member)
    after = call.query.get("after", "")
    start = int(after) if after.isdecimal() and after.isascii() and len(after) < 6 else 0
    everybody = [*people, *invited]
    end = start + _PAGE
    return Page(
        "members.html",
        {
            "here": "members",
            "count": len(people),
            "people": people[start:end],
            "invited": [one for one in everybody[start:end] if one in invited],
            "next_url": f"{_MEMBERS}?after={end}" if end < len(everybody) else "",
            "first_url": _MEMBERS if start else "",
        },
    )


async def invite_form(call: Call) -> Answer:  # noqa: ARG001 - every handler is given the call
    """Whom, and as what."""
    return Page("members_invite.html", {"here": "members", "roles": _ROLES})


async def invite(call: Call) -> Answer:
    """Raises ParameterInvalid, MemberExists, TooManyMembers."""
    email, role = spell_email(call.form["email"]), read_role(call.form["role"])
    await members.invite(call.world, call.member, email, role)
    return Redirect(_MEMBERS, "invited")


async def withdraw(call: Call) -> Answer:
    """Ends the invitation of an address; unknown is fine."""
    await members.withdraw(call.world, call.member, spell_email(call.form["email"]))
    return Redirect(_MEMBERS, "withdrawn")


async def role_form(call: Call) -> Answer:
    """Raises MemberUnknown."""
    other = await members.colleague(call.world, call.member, call.path["member"])
    return Page("members_role.html", {"here": "members", "other": other, "roles": _ROLES})


async def change_role(call: Call) -> Answer:
    """Raises ParameterInvalid, MemberUnknown, LastOwner."""
    role = read_role(call.form["role"])
    await members.change_role(call.world, call.member, call.path["member"], role)
    own = call.path["member"] == call.member.id and role is not MemberRole.OWNER
    return Redirect(PREFIX if own else _MEMBERS, "role_changed")


async def remove_form(call: Call) -> Answer:
    """Asks whether it is meant. Raises MemberUnknown."""
    other = await members.colleague(call.world, call.member, call.path["member"])
    return Page("members_remove.html", {"here": "members", "other": other})


async def remove(call: Call) -> Answer:
    """Raises MemberUnknown, LastOwner."""
    await members.remove(call.world, call.member, call.path["member"])
    if call.path["member"] == call.member.id:
        return Redirect(PREFIX + "/sign-in", "left", token="")
    return Redirect(_MEMBERS, "member_removed")
