# SPDX-License-Identifier: BSD-3-Clause
"""Writers on all nodes whose writes are stamped from one clock of events, so that a snapshot can be asked whether it is
one instant: with a write it must hold every write that was acknowledged before that one was issued. It holds all that
was acknowledged before it was asked for, and nothing that was issued when it was there."""
import itertools
import struct
import threading
import time

import nbd

from nodes_rig import CHUNK, SLOWNESS, Failure, expect, wait_for


class Writer(threading.Thread):
    """Writes its own chunks in turn, without a pause between."""

    def __init__(self, load, plugin, chunks):
        super().__init__(daemon=True)
        self.load, self.chunks = load, chunks
        self.handle = load.nodes.connect("vol", plugin)
        self.writes = []                # (chunk, issued, acknowledged)
        self.longest = 0.0              # seconds that one write took
        self.failure = None
        self.start()

    def run(self):
        try:
            for chunk in itertools.cycle(self.chunks):
                if self.load.ending.is_set():
                    return
                issued = next(self.load.clock)
                begin = time.monotonic()
                self.handle.pwrite(struct.pack("<Q", issued), chunk * CHUNK)
                self.longest = max(self.longest, time.monotonic() - begin)
                self.writes.append((chunk, issued, next(self.load.clock)))
        except nbd.Error as e:
            self.failure = e

    def take_longest(self):
        longest, self.longest = self.longest, 0.0
        return longest


class Load:
    def __init__(self, nodes, plugins, chunks_each=12):
        self.nodes = nodes
        self.clock = itertools.count(1)     # one step of it is atomic
        self.ending = threading.Event()
        self.bounds = {}                    # by snapshot: steps of the clock, before and after its create
        self.writers = [Writer(self, p, range(i * chunks_each, (i + 1) * chunks_each)) for i, p in enumerate(plugins)]

    def goes_on(self, writers=None, seconds=30, writes=20):
        for writer in self.writers if writers is None else [self.writers[i] for i in writers]:
            before = len(writer.writes)
            wait_for(lambda w=writer, b=before: w.failure is not None or len(w.writes) >= b + writes, seconds,
                     "writes to go on")
            expect(writer.failure is None, f"an NBD error: {writer.failure}")

    def stop(self):
        self.ending.set()
        for writer in self.writers:
            writer.join(60 * SLOWNESS)
            expect(not writer.is_alive(), "a write hangs")
            expect(writer.failure is None, f"an NBD error: {writer.failure}")

    def create(self, name, node):
        """The tool's answer. When it was asked, and when it answered, bound the instant."""
        asked = next(self.clock)
        created = self.nodes.tool_on(node, "create", f"vol@{name}", "--json")
        self.bounds[name] = (asked, next(self.clock))
        return created

    def is_one_instant(self, name, plugin):
        """After stop(): every write that the snapshot holds is in `writes` then."""
        snapshot = self.nodes.connect(f"vol@{name}", plugin)
        held = {c: struct.unpack("<Q", snapshot.pread(8, c * CHUNK))[0] for w in self.writers for c in w.chunks}
        asked, answered = self.bounds[name]
        newest = max(asked, *held.values())
        late = {c: issued for c, issued in held.items() if issued > answered}
        expect(not late, f"{name} holds writes that were issued when it was there already: {late}")
        lost = [(chunk, issued) for w in self.writers for chunk, issued, acknowledged in list(w.writes)
                if acknowledged < newest and held[chunk] < issued]
        if lost:
            raise Failure(f"{name} is of {newest} or later, and lacks {len(lost)} writes that were acknowledged "
                          f"before, such as chunk {lost[0][0]}: {held[lost[0][0]]} instead of {lost[0][1]}")
        return held
