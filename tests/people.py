"""The people of the story. They keep their roles in every test."""

from dataclasses import dataclass
from datetime import UTC, datetime

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
"""When stories begin that bring their own clock."""


@dataclass(frozen=True)
class Owner:
    """Has the number, knows the PIN. Runs the client ``main``, served at ``/v1``."""

    client: str = "main"
    base: str = "/v1"
    password: str = "Owners-Pass-1"
    pin: str = "271828"
    new_pin: str = "602214"
    email: str = "olivia@luckyshrub.example"
    name: str = "Olivia Owner"


@dataclass(frozen=True)
class Thief:
    """Has the SIM and the certificate, not the PIN. Runs the client ``thief``. In the Manager
    only a member of another portfolio, or nobody."""

    client: str = "thief"
    base: str = "/clients/thief/v1"
    password: str = "Thiefs-Pass-1"
    wrong_pin: str = "141421"
    email: str = "theo@elsewhere.example"
    name: str = "Theo Thief"


OWNER = Owner()
THIEF = Thief()

E164, CC, NATIONAL, NAME = "+16315551000", "1", "6315551000", "Lucky Shrub"
"""The number that the first start makes."""
