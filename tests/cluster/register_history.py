# SPDX-License-Identifier: BSD-3-Clause
"""Sectors that clients of all nodes read and write at once, and what they recorded (register_load.py): is each sector's
history linearizable? All nodes have one kernel, so their CLOCK_MONOTONIC is one."""
import collections
import random
import struct
import sys

from cluster_lab import HERE
from linearizability import NEVER, Operation, complaint
from register_load import SECTOR, WORDS, place
from rig import SLOWNESS, Failure, expect, wait_for

CHUNKS = 4                  # few sectors, so that the operations of different nodes meet


class Registers:
    """The last chunks of the volume."""

    def __init__(self, rig, names):
        self.rig, self.names = rig, names
        self.offset = rig.size - CHUNKS * rig.chunk
        self.processes, self.initial, self.judged = {}, 0, 0

    def start(self):
        """Each sector gets a known value first: nobody else is writing."""
        self.initial = self.base()
        handle = self.rig.connect("vol", 0)
        for sector in range(2 * CHUNKS):
            handle.pwrite(struct.pack("<Q", self.initial) * WORDS, place(sector, self.offset))
        handle.shutdown()
        self.rig.handles.remove(handle)
        for number, name in enumerate(self.names):
            self.path(name).unlink(missing_ok=True)
            self.processes[name] = self.rig.spawn(
                [sys.executable, HERE / "register_load.py", self.rig.plugins[number][1], self.path(name), self.base(),
                 self.offset, CHUNKS], f"registers-{name}.log")
        for name in self.names:
            wait_for(lambda n=name: self.path(n).exists() and self.path(n).stat().st_size > 0, 30,
                     f"the clients of {name} to begin")

    def path(self, name):
        return self.rig.dir / f"registers-{name}.txt"

    @staticmethod
    def base():
        """No value is ever used twice."""
        return random.getrandbits(31) << 32

    def stop(self):
        for process in self.processes.values():
            process.terminate()
        for name, process in self.processes.items():
            code = process.wait(timeout=60 * SLOWNESS)
            expect(code == 0, f"a client of {name} ended with {code}: {self.errors(name)}"
                              f"{self.rig.log(f'registers-{name}.log')}")

    def errors(self, name):
        lines = self.path(name).read_text().splitlines()
        return " ".join(line for line in lines if line.startswith("e "))

    def histories(self):
        """{(sector, which word of it): operations}: a sector is one on a disk, and two words where files are the disk,
        which may tear under a reader beside a writer."""
        found = collections.defaultdict(list)
        for name in self.names:
            for line in self.path(name).read_text().splitlines():
                kind, sector, first, last, called, returned = line.split()
                returned = NEVER if returned == "-" else int(returned)
                for word, value in enumerate((first, last)):
                    found[int(sector), word].append(Operation(kind == "w", int(value), int(called), returned, name))
        return found

    def judge(self):
        """After stop()."""
        for (sector, _), operations in sorted(self.histories().items()):
            self.judged += len(operations)
            wrong = complaint(operations, self.initial)
            if wrong:
                raise Failure(f"sector at {place(sector, self.offset)} ({SECTOR} bytes): not linearizable: {wrong}")
