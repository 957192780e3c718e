# SPDX-License-Identifier: BSD-3-Clause
"""The real kernel's nbd-client against nbdkit csnap over TCP, in a virtual machine: list, attach with several
connections, ext4 and xfs, snapshots while mounted and their read-only mounts, trim, a takeover of the server."""
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
from rig import BUILD, PLUGIN, Failure, Rig, Skip, expect, nbdkit_environment, run, wait_for  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_nbdkit_on_tcp(rig):
    port = free_port()
    process = rig.spawn(["nbdkit", "-f", "-i", "127.0.0.1", "-p", str(port), PLUGIN,
                         "server=" + ",".join(rig.endpoints), "store=" + rig.store], "nbdkit.log",
                        env=nbdkit_environment())

    def ready():
        expect(process.poll() is None, f"nbdkit ended: {rig.log('nbdkit.log')}")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_for(ready, 20, "nbdkit's port")
    return process, port


class Host:
    """Does what the machine asks for."""

    def __init__(self, rig):
        self.rig, self.master = rig, 0

    def snapshot(self, name):
        self.rig.tool("create", f"vol@{name}")

    def failover(self):
        """The standby takes over; the dead one becomes the next standby."""
        self.rig.kill(self.rig.servers[self.master][0])
        self.rig.wait_for_master()
        self.rig.restart_server(self.master, wait=False)
        self.master = 1 - self.master


def run_machine(host, job_text, directory):
    """Returns what the job printed; obeys its lines "@host WHAT [NAME]"."""
    lines = []
    with tempfile.NamedTemporaryFile("w", suffix=".job") as job:
        job.write(job_text)
        job.flush()
        machine = subprocess.Popen([HERE / "machine", "run", directory, job.name], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        try:
            for line in machine.stdout:
                line = line.strip()
                lines.append(line)
                if line.startswith("@host "):
                    verb, *args = line.split()[1:]
                    getattr(host, verb)(*args)
                    machine.stdin.write("done\n")
                    machine.stdin.flush()
            complaint = machine.stderr.read()
            status = machine.wait(timeout=30)
        finally:
            machine.kill()
            machine.wait()
    if status == 77:
        raise Skip(complaint.strip())
    output = "\n".join(lines)
    if status != 0:
        raise Failure(f"the machine ended with {status}:\n{output}\n{complaint}")
    return output


def ext4_and_xfs_with_snapshots_and_a_takeover():
    directory = pathlib.Path(os.environ.get("CSNAP_VM_DIR", BUILD / "tests/vm/machine"))
    with Rig(size=384 << 20, store=768 << 20) as r:
        r.start_server()
        r.start_server(wait=False)      # the standby
        nbdkit, port = start_nbdkit_on_tcp(r)
        job = (HERE / "kernel_client.job").read_text().replace("@PORT@", str(port))
        output = run_machine(Host(r), job, directory)
        expect("ext4: detached" in output and "xfs: detached" in output, output)
        expect(nbdkit.poll() is None, f"nbdkit ended: {r.log('nbdkit.log')}")
        nbdkit.terminate()
        expect(nbdkit.wait(timeout=30) == 0, "nbdkit did not end cleanly")
        r.stop()
        r.check()


run([ext4_and_xfs_with_snapshots_and_a_takeover])
