# SPDX-License-Identifier: BSD-3-Clause
"""The real kernel's nbd-client against nbdkit csnap over TCP, in a virtual machine: list, attach with several
connections, ext4 and xfs, snapshots while mounted and their read-only mounts, trim, a takeover of the server."""
from vm_rig import HERE, Host, run_machine      # first: it makes rig known
from rig import Rig, expect, run


def ext4_and_xfs_with_snapshots_and_a_takeover():
    with Rig(size=384 << 20, store=768 << 20) as r:
        r.start_server()
        r.start_server(wait=False)      # the standby
        host = Host(r)
        output = run_machine(host, (HERE / "kernel_client.job").read_text().replace("@PORT@", str(host.port)))
        expect("ext4: detached" in output and "xfs: detached" in output, output)
        host.stop()
        r.stop()
        r.check()


run([ext4_and_xfs_with_snapshots_and_a_takeover])
