"""What puts metrics and traces around the parts that reach out.

Each class here is a port around another implementation of it, and changes nothing of what
it does. Only ``bootstrap`` knows them: no use case, face or adapter is aware of being watched.
"""

from nightlatch.watching.backlog import backlog_shown
from nightlatch.watching.outgoing import (
    WatchedCodes,
    WatchedMail,
    WatchedReceivers,
    watched_cloud,
)
from nightlatch.watching.parts import WatchedHasher, WatchedKeys
from nightlatch.watching.store import watched

__all__ = [
    "WatchedCodes",
    "WatchedHasher",
    "WatchedKeys",
    "WatchedMail",
    "WatchedReceivers",
    "backlog_shown",
    "watched",
    "watched_cloud",
]
