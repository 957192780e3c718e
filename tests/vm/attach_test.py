# SPDX-License-Identifier: BSD-3-Clause
"""csnap attach in a virtual machine: a mounted ext4 under writing lives through kill -9 of nbdkit and of the
supervisor, what a device must not go on with is refused, and people get a line that says what to do."""
from vm_rig import HERE, Host, run_machine      # first: it makes rig known
from rig import TOOL, Rig, expect, run


def a_mounted_filesystem_lives_through_killed_servers():
    with Rig(size=128 << 20, store=256 << 20) as r:
        r.start_server()
        host = Host(r)
        job = (HERE / "attach.job").read_text().replace("@PORT@", str(host.port))
        output = run_machine(host, job, program=TOOL)
        expect("all is as it was written" in output, output)
        host.stop()
        r.stop()
        r.check()


run([a_mounted_filesystem_lives_through_killed_servers])
