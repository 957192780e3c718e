# SPDX-License-Identifier: BSD-3-Clause
"""kill -9 of a process at the k-th system call of a kind, with strace. A process is killed before that call is done."""
import os
import pathlib
import signal
import subprocess
import time

from loop_devices import need_programs
from rig import SLOWNESS, Failure, Skip, wait_for


def injection(call, k):
    return ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={k}"]


def need_tracing():
    need_programs("strace")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode != 0:
        raise Skip("strace may not trace here")


def is_traced(pid):
    tasks = pathlib.Path(f"/proc/{pid}/task")
    try:
        return all("TracerPid:\t0\n" not in (t / "status").read_text() for t in tasks.iterdir())
    except OSError:
        return True         # it has ended


class Killer:
    """Kills `process` at its k-th `call`, counted in each thread from now on; until the block ends."""

    def __init__(self, process, call, k):
        self.process, self.call, self.k = process, call, k

    def __enter__(self):
        self.tracer = subprocess.Popen(["strace", "-f", "-q", "-o", "/dev/null", *injection(self.call, self.k),
                                        "-p", str(self.process.pid)], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True)
        wait_for(lambda: is_traced(self.process.pid) or self.tracer.poll() is not None, 10, "strace")
        if self.tracer.poll() is not None and self.process.poll() is None:
            raise Failure(f"strace: {self.tracer.stderr.read()}")
        return self

    def __exit__(self, *_):
        self.tracer.send_signal(signal.SIGINT)
        try:
            self.tracer.wait(timeout=10 * SLOWNESS)
        finally:
            self.tracer.stderr.close()

    def was_killed(self, worker, patience=0.15):
        """Waits until the process has been killed, or the worker is done and nothing more happened for a while."""
        quiet_since = None
        end = time.monotonic() + 60 * SLOWNESS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                if self.process.returncode != -signal.SIGKILL:
                    raise Failure(f"ended by itself with {self.process.returncode}")
                return True
            if worker.is_alive():
                quiet_since = None
            elif quiet_since is None:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > patience:
                return False
            time.sleep(0.01)
        raise Failure(f"neither killed nor done at {self.call} {self.k}")


def started_to_be_killed(call, k, args):
    """The command line of `args` as a child of ours that is killed at its k-th `call`."""
    return ["strace", "-D", "-f", "-q", "-o", os.devnull, *injection(call, k), *args]
