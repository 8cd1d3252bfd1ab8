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

    @property
    def waits(self) -> bool:
        """Whether it will be, from the next rotation on."""


class Moved(Protocol):
    """How a move between databases ended."""

    @property
    def source(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def rows(self) -> int:
        """0 when all was moved before."""

    @property
    def fault(self) -> str:
        """The row that is not the same on both sides, and what to do; empty when all are."""


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

    def add_key(self) -> str:
        """A new key that only opens until the next rotation; its kid."""

    async def drop_old_keys(self, progress: Progress) -> tuple[int, list[SealedValue]]:
        """Forget the keys before the one that writes; how many values were sealed anew before
        that, and the unreadable ones."""

    async def rotate(
        self, progress: Progress, *, drop_old: bool
    ) -> tuple[str, int, list[SealedValue]]:
        """Write with the next key; its kid, how many values were sealed anew, and the unreadable
        ones."""
