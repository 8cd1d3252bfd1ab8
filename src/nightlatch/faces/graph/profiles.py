"""The business profile of a number."""

from typing import Any, Final

from nightlatch.domain.errors import FieldUnknown, ParameterInvalid
from nightlatch.faces.graph.wire import SUCCESS, Answer, Call, words
from nightlatch.usecases import profiles

FIELDS: Final = ("about", "address", "description", "email", "websites", "vertical")
_PICTURE: Final = "profile_picture_url"
_PRODUCT: Final = "messaging_product"
SHOWN: Final = (*FIELDS, _PICTURE, _PRODUCT)


async def read(call: Call) -> Answer:
    """What of the profile is not empty. A picture is never there: none can be uploaded."""
    wanted = [name for name, _, _ in call.given.get("fields", ())] or list(FIELDS)
    for name in wanted:
        if name not in SHOWN:
            raise FieldUnknown(name, "WhatsAppBusinessProfile")
    profile = await profiles.profile(call.world, call.number)
    values = {name: getattr(profile, name) for name in wanted if name in FIELDS}
    shown = {name: value for name, value in values.items() if value}
    return {"data": [{**shown, _PRODUCT: "whatsapp"}]}


async def change(call: Call) -> Answer:
    given = {name: call.given[name] for name in FIELDS if name in call.given}
    if given:
        await profiles.change_profile(call.world, call.number, call.by, **given)
    return SUCCESS


def read_text(name: str) -> Any:
    """A rule for a text; how long it may be the profile's own rule says."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or "\0" in value:
            raise ParameterInvalid(name, "a string")
        return value

    return read


def read_websites(value: Any) -> tuple[str, ...]:
    found = words("websites")(value)
    if any("\0" in site for site in found):
        raise ParameterInvalid("websites", "a list of addresses")
    return tuple(site for site in found if site)


def read_picture(_: Any) -> Any:
    """Nothing here gives out handles, so none is good."""
    raise ParameterInvalid("profile_picture_handle", "a handle that an upload session gave")
