# SPDX-License-Identifier: BSD-3-Clause
"""A volume or a snapshot under a real filesystem: nbdfuse makes a file of it, a loop device is put over that, and ext4
is mounted from there. In a mount namespace of the test's own (loop_devices.in_mounts_of_our_own)."""
import subprocess

from loop_devices import attach, detach, mount, need_programs, need_root, run_command
from rig import wait_for


def need_filesystems():
    need_root("mounting")
    need_programs("nbdfuse", "losetup", "mkfs.ext4", "nbdcopy", "e2fsck")


class MountedVolume:
    """An export, mounted at `where`."""

    def __init__(self, rig, uri, name, make_filesystem=False):
        self.rig, self.uri = rig, uri
        self.fuse_directory, self.where = rig.dir / f"{name}.fuse", rig.dir / name
        self.fuse_directory.mkdir(exist_ok=True)
        self.where.mkdir(exist_ok=True)
        self.fuse = rig.spawn(["nbdfuse", self.fuse_directory, uri], f"{name}.nbdfuse.log")
        file = self.fuse_directory / "nbd"
        wait_for(lambda: self.fuse.poll() is not None or file.exists(), 20, "nbdfuse")
        self.device = attach(file)
        rig.at_end.append(self.tear_off)
        if make_filesystem:
            run_command("mkfs.ext4", "-q", self.device)
        mount(self.device, self.where)

    def unmount(self):
        run_command("umount", self.where)
        detach(self.device)
        run_command("umount", self.fuse_directory)
        self.fuse.wait(timeout=30)
        self.device = None

    def tear_off(self):
        """What is under it has died, or the test has failed: whatever is still open there sees errors only."""
        if self.device is None:
            return
        for where in (self.where, self.fuse_directory):
            subprocess.run(["umount", "--lazy", where], check=False)
        detach(self.device)
        self.device = None
        if self.fuse.poll() is None:
            self.rig.kill(self.fuse)


class MountedCopy:
    """A copy of an export in a file of its own, made with nbdcopy, with its filesystem recovered and checked."""

    def __init__(self, rig, uri, name):
        self.image, self.where = rig.dir / f"{name}.copy", rig.dir / name
        self.where.mkdir()
        run_command("nbdcopy", uri, self.image)
        self.device = attach(self.image)
        rig.at_end.append(self.tear_off)
        mount(self.device, self.where)          # replays the journal, as after a power cut

    def unmount(self):
        run_command("umount", self.where)
        run_command("e2fsck", "-fn", self.device)
        self.tear_off()

    def tear_off(self):
        if self.device is not None:
            subprocess.run(["umount", "--lazy", "--quiet", self.where], check=False)
            detach(self.device)
            self.device = None
            self.image.unlink()
