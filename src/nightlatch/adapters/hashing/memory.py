"""The memory of the slow hash: kept between hashes, given back when nobody hashes.

Fresh pages for 19 MiB cost half as much as the hash itself, so the C library should keep
the blocks while hashes follow each other. Left alone, glibc keeps them for ever, in an
arena per thread that it never trims. Elsewhere than on glibc nothing is done here.
"""

import contextlib
import ctypes
from typing import Final

_ARENA_MAX: Final = -8
_MMAP_THRESHOLD: Final = -3
_TRIM_THRESHOLD: Final = -1
_LARGEST: Final = 32 * 1024 * 1024  # what glibc takes at most; a block of Argon2 is smaller
_NEVER: Final = 2**31 - 1

with contextlib.suppress(OSError, TypeError):  # no C library to be asked
    _libc = ctypes.CDLL(None)


def keep_blocks() -> None:
    """Keep large blocks, in the one arena that ``give_back`` can trim.

    Call it before the first thread starts: each may have got an arena of its own by then.
    """
    with contextlib.suppress(NameError, AttributeError):
        _libc.mallopt(_ARENA_MAX, 1)
        _libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
        _libc.mallopt(_TRIM_THRESHOLD, _NEVER)


def give_back() -> None:
    """Return every free page to the system."""
    with contextlib.suppress(NameError, AttributeError):
        _libc.malloc_trim(0)
