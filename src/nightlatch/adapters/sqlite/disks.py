"""Refusing disks on which SQLite's locks and its log do not work."""

import re
from pathlib import Path
from typing import Final

_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre",
     "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs"}
)  # fmt: skip


def network_filesystem(path: Path, mountinfo: str) -> str | None:
    """The type of the network file system that *path* lies on, or None when it is local.

    *mountinfo* is the text of ``/proc/self/mountinfo``.
    """
    best, found = "", ""
    target = str(path.resolve())
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), before.split(" ")[4])
        if (target + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best):
            best, found = point, after.split(" ")[0]
    return found if found in _NETWORK else None
