"""What statements run on."""

from collections.abc import Sequence
from typing import Any, Protocol

Row = Sequence[Any]
Values = Sequence[Any]


class StoreRefused(Exception):
    """The database may not be used; the message says why and what to do."""


class ConstraintBroken(Exception):
    """A row like it is there already, or it points to one that is not."""


class Step(Protocol):
    """A connection in the middle of one atomic step, or one that only reads.

    Values stand for the question marks of a statement, in their order. Who
    raises ends the step, and nothing of it is kept.

    Raises:
        ConstraintBroken: by any of these; the step cannot go on.
        Unavailable: the database failed, or did not answer.
    """

    async def one(self, sql: str, values: Values = ()) -> Any:
        """The first row, None when there is none."""

    async def all(self, sql: str, values: Values = ()) -> Sequence[Any]:
        """Every row."""

    async def run(self, sql: str, values: Values = ()) -> int:
        """How many rows were written or erased."""

    async def many(self, sql: str, values: Sequence[Values]) -> None:
        """Once for each of *values*."""
