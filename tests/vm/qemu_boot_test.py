# SPDX-License-Identifier: BSD-3-Clause
"""A guest whose root filesystem is an origin, through qemu's own NBD client: kill -9 of nbdkit and of the metadata
server cost it no I/O error. Beside it a second guest runs from a snapshot, with snapshot=on."""
import subprocess
import time

from vm_rig import HERE, MACHINE, MACHINE_DIRECTORY, Host, run_machine      # first: it makes rig known
from rig import Rig, Skip, expect, run


class HostWithSocket(Host):
    """nbdkit is on a Unix socket, which qemu reaches."""

    def start_nbdkit(self):
        self.rig.start_plugin()

    def restart_nbdkit(self, seconds="0"):
        self.rig.kill(self.rig.plugins[0][0])
        time.sleep(float(seconds))
        self.rig.restart_plugin(0)

    def disk(self, export):
        return f"driver=nbd,export={export},server.type=unix,server.path={self.rig.plugins[0][1]},reconnect-delay=60"

    def second_guest(self):
        drive = ",".join("file." + each for each in self.disk("vol@golden").split(","))
        output = run_machine(self, (HERE / "snapshot_guest.job").read_text(),
                             qemu=f"-drive driver=raw,{drive},if=virtio,snapshot=on")
        expect("the second guest has written to its disk" in output, output)


def two_guests():
    with Rig(size=128 << 20, store=256 << 20) as r:
        r.start_server()
        r.start_server(wait=False)      # the standby
        host = HostWithSocket(r)
        image = r.dir / "root.img"
        made = subprocess.run([MACHINE, "root", MACHINE_DIRECTORY, image], capture_output=True, text=True)
        if made.returncode == 77:
            raise Skip(made.stderr.strip())
        expect(made.returncode == 0, made.stderr)
        subprocess.run(["nbdcopy", image, r.uri("vol")], check=True)
        output = run_machine(host, (HERE / "origin_guest.job").read_text(),
                             qemu=f"-blockdev node-name=disk,{host.disk('vol')} -device virtio-blk-pci,drive=disk")
        expect("all is as it was written" in output, output)
        r.stop()
        r.check()


run([two_guests])
