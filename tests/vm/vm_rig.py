# SPDX-License-Identifier: BSD-3-Clause
"""A virtual machine (machine) beside a csnap on its host, which does what the machine's job asks for."""
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
from rig import BUILD, PLUGIN, Failure, Skip, expect, nbdkit_environment, wait_for  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
MACHINE = HERE / "machine"
MACHINE_DIRECTORY = pathlib.Path(os.environ.get("CSNAP_VM_DIR", BUILD / "tests/vm/machine"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Host:
    """Does what the machine asks for. nbdkit is on a port of the host's loopback: a machine reaches no Unix socket."""

    def __init__(self, rig):
        self.rig, self.master, self.port = rig, 0, free_port()
        self.start_nbdkit()

    def listen(self, *what):
        self.nbdkit = self.rig.spawn(["nbdkit", "-f", "-i", "127.0.0.1", "-p", str(self.port), *what], "nbdkit.log",
                                     env=nbdkit_environment())

        def ready():
            expect(self.nbdkit.poll() is None, f"nbdkit ended: {self.rig.log('nbdkit.log')}")
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        wait_for(ready, 20, "nbdkit's port")

    def start_nbdkit(self):
        self.listen(PLUGIN, "server=" + ",".join(self.rig.endpoints), "store=" + self.rig.store)

    def restart_nbdkit(self, seconds="0"):
        """kill -9; it is away for so long."""
        self.rig.kill(self.nbdkit)
        time.sleep(float(seconds))
        self.start_nbdkit()

    def serve_other(self, size):
        """At nbdkit's place another server, whose exports, of all names, have another size."""
        self.rig.kill(self.nbdkit)
        self.listen("memory", size)

    def snapshot(self, name):
        self.rig.tool("create", f"vol@{name}")

    def replace_snapshot(self, name):
        self.rig.tool("delete", f"vol@{name}")
        self.rig.tool("create", f"vol@{name}")

    def failover(self):
        """The standby takes over; the dead one becomes the next standby."""
        self.rig.kill(self.rig.servers[self.master][0])
        self.rig.wait_for_master()
        self.rig.restart_server(self.master, wait=False)
        self.master = 1 - self.master

    def stop(self):
        expect(self.nbdkit.poll() is None, f"nbdkit ended: {self.rig.log('nbdkit.log')}")
        self.nbdkit.terminate()
        expect(self.nbdkit.wait(timeout=30) == 0, "nbdkit did not end cleanly")


def run_machine(host, job_text, program="", qemu=""):
    """Returns what the job printed; obeys its lines "@host WHAT [NAME]"."""
    lines = []
    env = dict(os.environ, CSNAP_VM_PROGRAM=str(program), CSNAP_VM_QEMU=qemu)
    with tempfile.NamedTemporaryFile("w", suffix=".job") as job:
        job.write(job_text)
        job.flush()
        machine = subprocess.Popen([MACHINE, "run", MACHINE_DIRECTORY, job.name], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", env=env)
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
