"""Disks on which SQLite's locks do not work are told from the others."""

from pathlib import Path

import pytest

from nightlatch.adapters.sqlite.disks import network_filesystem

MOUNTS = r"""
22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw,discard
23 22 0:5 / /dev rw,nosuid shared:2 - devtmpfs devtmpfs rw,size=4096k
30 22 0:45 / /srv/files rw,relatime shared:9 - nfs4 filer:/export rw,vers=4.2
31 30 259:2 / /srv/files/local rw,relatime shared:10 - xfs /dev/sdb1 rw
32 22 0:46 / /srv/old rw,relatime shared:11 master:3 - nfs filer:/old rw
33 22 0:47 / /media/two\040words rw - cifs //server/share rw
34 22 0:48 / /media/tab\011and\134slash rw - 9p host rw
35 22 259:1 /var/data /bind/local rw,relatime shared:1 - ext4 /dev/root rw
36 22 0:45 /inside /bind/remote rw,relatime shared:9 - nfs4 filer:/export rw
37 22 0:50 / /container rw,relatime - overlay overlay rw,lowerdir=/a:/b,upperdir=/c
38 37 0:51 / /container/data rw,relatime - fuse.sshfs me@there: rw
39 22 0:52 / /twice rw - nfs4 filer:/below rw
40 39 0:53 / /twice rw - ext4 /dev/sdc1 rw
41 22 0:54 / /optional rw,relatime shared:1 master:2 propagate_from:3 unbindable - cifs //s/s rw
""".strip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", None),
        ("/home/owner/nightlatch-data", None),
        ("/srv", None),
        ("/srv/files", "nfs4"),
        ("/srv/files/data", "nfs4"),
        ("/srv/filesystem", None),
        ("/srv/files/local", None),
        ("/srv/files/local/data", None),
        ("/srv/files/locally", "nfs4"),
        ("/srv/old/data", "nfs"),
        ("/media/two words/data", "cifs"),
        ("/media/two", None),
        ("/media/tab\tand\\slash/data", "9p"),
        ("/bind/local/data", None),
        ("/bind/remote/data", "nfs4"),
        ("/container/etc", None),
        ("/container/data", "fuse.sshfs"),
        ("/twice/data", None),
        ("/optional/data", "cifs"),
    ],
)
def test_the_nearest_mount_above_a_folder_says_what_it_lies_on(path: str, kind: str | None):
    assert network_filesystem(Path(path), MOUNTS) == kind


def test_a_link_is_followed_to_where_the_data_lies(tmp_path: Path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)

    mounts = f"22 1 0:1 / / rw - ext4 /dev/root rw\n30 22 0:2 / {real.resolve()} rw - nfs4 f:/ rw"

    assert network_filesystem(link / "data", mounts) == "nfs4"


def test_without_any_mount_nothing_is_refused():
    assert network_filesystem(Path("/srv/files"), "") is None


def test_this_machines_own_table_can_be_read(tmp_path: Path):
    assert network_filesystem(tmp_path, Path("/proc/self/mountinfo").read_text()) is None
