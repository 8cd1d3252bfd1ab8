"""What the commands need of an open data folder; the bootstrap builds it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from nightlatch.ports import SealedValue, World
from nightlatch.settings import Settings

Progress = Callable[[int, int], None]
"""How much is done, of how much."""


class Key(Protocol):
    """What may be told about a sealing key."""

    @property
    def kid(self) -> str: ...
    @property
    def created_at(self) -> str: ...
    @property
    def writes(self) -> bool:
        """Whether new values are sealed with it."""


class House(Protocol):
    """An open data folder."""

    @property
    def settings(self) -> Settings: ...
    @property
    def world(self) -> World: ...

    @property
    def origin(self) -> str:
        """What links begin with: where the server on this folder is, or would be."""

    async def first_waba(self) -> str:
        """The WABA that new numbers belong to."""

    def backup(self, path: Path, progress: Progress) -> None:
        """A copy of the database at *path*; the key ring is not in it."""

    async def faults(self, progress: Progress) -> list[str]:
        """Everything that is wrong with the folder, in sentences."""

    async def key_list(self) -> Sequence[tuple[Key, int]]:
        """Each key, and how many stored values it seals."""

    async def rotate(
        self, progress: Progress, *, drop_old: bool
    ) -> tuple[str, int, list[SealedValue]]:
        """A new key; its kid, how many values were sealed anew, and the unreadable ones."""
