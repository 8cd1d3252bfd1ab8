"""Graph versions: which are known, and everything that differs between them.

Source: the change logs as cloud-api clients met them; see ``docs/decisions/``.
"""

import re
from dataclasses import dataclass
from typing import Final

_NAME: Final = re.compile(r"v([0-9]{1,2})\.[0-9]{1,2}", re.ASCII)
_OLDEST: Final = 13
"""The Cloud API's first; older ones have expired and are served as this one."""
_NEWEST: Final = 26
_FIRST_WITHOUT_SUBCODES: Final = 16
_FIRST_WITH_STORAGE_SETTINGS: Final = 21


@dataclass(frozen=True, slots=True)
class Version:
    """One Graph version."""

    major: int

    @property
    def name(self) -> str:
        return f"v{self.major}.0"

    @property
    def words_deregister_as_parameter(self) -> bool:
        """Deregistering an unregistered number is an invalid parameter with a subcode and a
        string as ``error_data``; later it is error 133010."""
        return self.major < _FIRST_WITHOUT_SUBCODES

    @property
    def localizes_by_register(self) -> bool:
        """``register`` reads ``data_localization_region``; later that is a storage setting, and
        the parameter is ignored."""
        return self.major < _FIRST_WITH_STORAGE_SETTINGS


KNOWN: Final = tuple(Version(major) for major in range(_OLDEST, _NEWEST + 1))
NEWEST: Final = KNOWN[-1]
"""What a path without a version gets."""
_BY_NAME: Final = {version.name: version for version in KNOWN}


def looks_like_version(part: str) -> bool:
    """Whether the first part of a path names a version, known or not."""
    return part[:1] == "v" and part[1:2].isdigit()


def find(part: str) -> Version | None:
    """The version that is served for *part*; None for one that does not exist yet, or never."""
    found = _BY_NAME.get(part)
    if found is not None:
        return found
    match = _NAME.fullmatch(part)
    return KNOWN[0] if match and 1 <= int(match[1]) < _OLDEST else None


REGIONS: Final = (
    "AU", "ID", "IN", "JP", "SG", "KR", "DE", "CH", "GB", "BR", "BH", "ZA", "AE", "CA",
)  # fmt: skip
"""Where ``data_localization_region`` may keep data. Source: Meta, registration."""
