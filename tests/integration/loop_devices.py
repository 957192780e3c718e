# SPDX-License-Identifier: BSD-3-Clause
"""Real block devices and small filesystems for tests: loop devices, and a mount namespace of the test's own.

What cannot be had on a machine (rights, loop devices, a program) raises Skip with the reason.
"""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from rig import Skip


def need_root(why):
    if os.geteuid() != 0:
        raise Skip(f"root is needed for {why}")


def need_programs(*names):
    for name in names:
        if shutil.which(name) is None:
            raise Skip(f"{name} is not installed")


def run_command(*args):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, args))}: {done.stderr.strip()}")
    return done.stdout.strip()


def attach(path, sector=512):
    """A loop device over a file, with O_DIRECT towards the file where its filesystem can."""
    need_root("loop devices")
    need_programs("losetup")
    try:
        return run_command("losetup", "--find", "--show", f"--sector-size={sector}", "--direct-io=on", path)
    except RuntimeError as plain:
        # A file on tmpfs, for one, cannot be read directly; that is no reason to go without a device.
        try:
            return run_command("losetup", "--find", "--show", f"--sector-size={sector}", path)
        except RuntimeError:
            raise Skip(f"no loop device: {plain}") from None


def detach(device):
    subprocess.run(["losetup", "--detach", device], check=False)


@contextlib.contextmanager
def devices(*sizes, sector=512):
    """Loop devices of these sizes in bytes, detached at the end."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="csnap-loop-"))
    attached = []
    try:
        for number, size in enumerate(sizes):
            path = directory / f"disk{number}"
            with open(path, "wb") as f:
                f.truncate(size)
            attached.append(attach(path, sector))
        yield attached
    finally:
        for device in attached:
            detach(device)
        shutil.rmtree(directory, ignore_errors=True)


def in_mounts_of_our_own():
    """Starts this program again in a mount namespace: whatever it mounts goes with it, however it ends."""
    if os.environ.get("CSNAP_OWN_MOUNTS") == "1" or os.geteuid() != 0 or shutil.which("unshare") is None:
        return
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0:
        os.environ["CSNAP_OWN_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, *sys.argv])


def mount(*args):
    if os.environ.get("CSNAP_OWN_MOUNTS") != "1":
        raise Skip("root and mount namespaces are needed")
    try:
        run_command("mount", *args)
    except RuntimeError as e:
        raise Skip(str(e)) from None


def unmount(where):
    run_command("umount", where)
