"""Noticing every commit, by whichever process, without asking SQLite.

A read through SQLite gives up Python's lock several times, and on a busy
server each time costs more than the read itself. The head of the WAL-index
(the ``-shm`` file, https://www.sqlite.org/walformat.html#walidxfmt) changes
with every commit, before the commit returns to whoever made it; SQLite's own
readers look there, too. While those bytes are what they were, so is every row.
"""

import mmap
import os
import threading
from pathlib import Path
from typing import Final

_HEAD: Final = 48  # the first of the two copies of the WAL-index header

_open: dict[tuple[int, int], "Changes"] = {}
_opening: Final = threading.Lock()  # several threads may open one database at once


class Changes:
    """The WAL-index of one database, mapped once in a process.

    It is closed only when the last store of the process on this database has
    closed its connections: closing a descriptor of the file earlier would drop
    the locks that SQLite holds on it.
    """

    def __init__(self, descriptor: int, key: tuple[int, int]) -> None:
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, _HEAD, prot=mmap.PROT_READ)
        self._key = key
        self._users = 0

    @classmethod
    def of(cls, database: Path) -> "Changes":
        """Of a database that is open in WAL mode; ``release`` it after its connections."""
        path = Path(f"{database}-shm")
        info = path.stat()
        key = (info.st_dev, info.st_ino)
        with _opening:
            found = _open.get(key)
            if found is None:
                found = _open[key] = cls(os.open(path, os.O_RDONLY), key)
            found._users += 1
        return found

    def seen(self) -> bytes:
        """Equal to what it was exactly when nothing was committed since."""
        return self._map[:_HEAD]

    def release(self) -> None:
        with _opening:
            self._users -= 1
            if not self._users:
                del _open[self._key]
                self._map.close()
                os.close(self._descriptor)
