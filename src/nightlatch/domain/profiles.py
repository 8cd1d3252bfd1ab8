"""The business profile of a number: what people see when they open its chat."""

import unicodedata
from dataclasses import dataclass, replace
from typing import Final

from nightlatch.domain.errors import ParameterInvalid
from nightlatch.domain.limits import PROFILE_LENGTHS, PROFILE_WEBSITES

VERTICALS: Final = (
    "UNDEFINED", "OTHER", "AUTO", "BEAUTY", "APPAREL", "EDU", "ENTERTAIN", "EVENT_PLAN", "FINANCE",
    "GROCERY", "GOVT", "HOTEL", "HEALTH", "NONPROFIT", "PROF_SERVICES", "RETAIL", "TRAVEL",
    "RESTAURANT", "NOT_A_BIZ", "ALCOHOL", "ONLINE_GAMBLING", "PHYSICAL_GAMBLING", "OTC_DRUGS",
)  # fmt: skip
"""Source: Meta, business profiles, and its OpenAPI document."""
_UNWRITTEN: Final = ("Cc", "Cs")
"""Control characters, and halves of characters that no store can write down."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Empty texts are not shown."""

    about: str = ""
    address: str = ""
    description: str = ""
    email: str = ""
    websites: tuple[str, ...] = ()
    vertical: str = "UNDEFINED"


def change(profile: Profile, **given: str | tuple[str, ...]) -> Profile:
    """The profile with what was *given* in place of what it said.

    Raises:
        ParameterInvalid: a text is too long, a website no address, a vertical unknown.
    """
    for name, value in given.items():
        if isinstance(value, tuple):
            _read_websites(value)
        elif name == "vertical":
            if value not in VERTICALS:
                raise ParameterInvalid(name, "one of the documented verticals")
        else:
            _read_text(name, value)
    return replace(profile, **given)  # type: ignore[arg-type]  # names are those of the fields


def _read_text(name: str, value: str) -> None:
    longest = PROFILE_LENGTHS[name]
    if len(value) > longest or (name == "about" and not value.strip()):
        least = 1 if name == "about" else 0
        raise ParameterInvalid(name, f"{least} to {longest} characters")
    if name == "email" and value and ("@" not in value or not value.isprintable()):
        raise ParameterInvalid(name, "an e-mail address")
    if any(unicodedata.category(c) in _UNWRITTEN and c not in "\t\n\r" for c in value):
        raise ParameterInvalid(name, "text without control characters")


def _read_websites(websites: tuple[str, ...]) -> None:
    longest = PROFILE_LENGTHS["website"]
    if len(websites) > PROFILE_WEBSITES or any(
        len(site) > longest
        or not site.startswith(("http://", "https://"))
        or not site.isprintable()
        for site in websites
    ):
        raise ParameterInvalid(
            "websites", f"at most {PROFILE_WEBSITES} addresses with http:// or https://"
        )
