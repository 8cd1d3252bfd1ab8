"""What the sandbox makes go wrong on the Graph face.

Lives in the memory of one process: a restart heals everything. The sandbox
face adds and clears faults, the Graph face takes them; neither knows the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ANY_NUMBER: Final = ""
ANY_EDGE: Final = "*"
EDGES: Final = (
    "", "register", "deregister", "request_code", "verify_code", "whatsapp_business_profile"
)  # fmt: skip
"""What may be called of a number with POST; empty for the number itself."""


class FaultKind(StrEnum):
    """What goes wrong. A code is answered as that Graph error, with nothing done."""

    INCOMPLETE_DEREGISTRATION = "133000"
    UNAVAILABLE = "133004"
    LOCKED = "131031"
    SLOW = "slow"
    """The answer waits, and is then as it would have been."""
    LOST = "lost_answer"
    """Everything is done, and then the connection closes before the answer is whole."""


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong, until it has done so *times* times."""

    kind: FaultKind
    number: str = ANY_NUMBER
    """The number's id; empty for any number."""
    edge: str = ANY_EDGE
    """One of EDGES, or ANY_EDGE."""
    times: int = 1
    seconds: float = 0.0
    """How long a slow answer waits."""

    def hits(self, number: str, edge: str) -> bool:
        return self.number in (ANY_NUMBER, number) and self.edge in (ANY_EDGE, edge)


class Faults:
    """The faults that have not happened yet, in the order they were added."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._waiting.append(fault)

    def clear(self) -> None:
        self._waiting.clear()

    def listed(self) -> Sequence[Fault]:
        """Those that have not happened as often as they shall, first added first."""
        return tuple(self._waiting)

    def take(self, number: str, edge: str) -> Fault | None:
        """The fault that hits a call to *edge* of *number* now, counted down; None if none does.

        *edge* is empty for the number itself. Of several, the one added first.
        """
        for fault in self._waiting:
            if fault.hits(number, edge):
                fault.times -= 1
                if fault.times <= 0:
                    self._waiting.remove(fault)
                return fault
        return None
