# SPDX-License-Identifier: BSD-3-Clause
"""Three nbdkits write, snapshots are made under full load, and readers on all nodes read them meanwhile.

One instant: a snapshot holds every write acknowledged before it was asked for, and none sent after it was
there, on all nodes; in the order of each writer: no later write of a writer without all its earlier ones. No torn
mix: a sector reads whole, and for ever as it read first.

usage: concurrency_test.py [--seed S] [--seconds N] [--nodes N]
"""
import argparse
import random
import threading
import time

from kill_test import SECTOR, Writer, numbers
from rig import Failure, Rig


class Snapshot:
    def __init__(self, name, low, high):
        self.name, self.low, self.high = name, low, high
        self.seen = {}                      # sector -> number
        self.lock = threading.Lock()


class Reader(threading.Thread):
    def __init__(self, rig, node, snapshots, writers, seed):
        super().__init__(daemon=True)
        self.rig, self.node, self.snapshots, self.writers = rig, node, snapshots, writers
        self.rng = random.Random(seed)
        self.handles, self.reads, self.ending, self.failure = {}, 0, False, None
        self.start()

    def run(self):
        try:
            while not self.ending:
                if self.snapshots:
                    self.one(self.rng.choice(self.snapshots[-4:]))
                else:
                    time.sleep(0.01)
        except Exception as e:      # noqa: BLE001 - looked at by main
            self.failure = f"{type(e).__name__}: {e}"

    def one(self, snapshot):
        if snapshot.name not in self.handles:
            self.handles[snapshot.name] = self.rig.connect(f"vol@{snapshot.name}", self.node)
        w = self.rng.randrange(len(self.writers))
        writer = self.writers[w]
        count = min(writer.count, self.rng.choice([1, 16, 40]))
        first = self.rng.randrange(writer.count - count + 1)
        data = bytes(self.handles[snapshot.name].pread(count * SECTOR, (writer.first + first) * SECTOR))
        with snapshot.lock:
            for i, got in enumerate(numbers(data, 0, count)):
                sector = first + i
                if not snapshot.low[w][sector] <= got <= snapshot.high[w][sector]:
                    raise Failure(f"vol@{snapshot.name} sector {writer.first + sector}: {got} is not in "
                                  f"{snapshot.low[w][sector]}..{snapshot.high[w][sector]}")
                if snapshot.seen.setdefault((w, sector), got) != got:
                    raise Failure(f"vol@{snapshot.name} sector {writer.first + sector} changed")
        self.reads += 1


def check_instant(snapshot, writer_index, data, writer):
    """Each writer sends one request at a time: at the snapshot's instant, all its writes up to some number were
    there, that one perhaps in part, and nothing later."""
    got = numbers(data, writer.first, writer.count)
    newest = max(got)
    for s, number in enumerate(got):
        history = [n for n in writer.history.get(s, []) if n <= newest - 1]
        if history and number < history[-1]:
            raise Failure(f"vol@{snapshot.name}: has write {newest} of writer {writer_index}, and not the earlier "
                          f"{history[-1]} of sector {writer.first + s}")


class RecordingWriter(Writer):
    def __init__(self, *args):
        self.history = {}
        super().__init__(*args)

    def one(self, handle):
        before = self.number
        super().one(handle)
        for s in range(self.count):
            if self.acknowledged[s] > before:
                self.history.setdefault(s, []).append(self.number)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--seconds", type=float, default=15)
    p.add_argument("--nodes", type=int, default=3)
    a = p.parse_args()
    print(f"seed {a.seed}", flush=True)
    with Rig(size=6 << 20, store=1 << 30) as r:
        r.start_server()
        for _ in range(a.nodes):
            r.start_plugin()
        sectors = r.size // SECTOR // a.nodes
        writers = [RecordingWriter(r, n, n * sectors, sectors, a.seed * 10 + n) for n in range(a.nodes)]
        snapshots = []
        readers = [Reader(r, n, snapshots, writers, a.seed * 20 + n) for n in range(a.nodes)]
        rng = random.Random(a.seed)
        end = time.monotonic() + a.seconds
        made = 0
        while time.monotonic() < end and not any(x.failure for x in readers + writers):
            time.sleep(rng.random() * 0.2)
            low = [list(w.acknowledged) for w in writers]
            r.tool("create", f"vol@s{made}")
            snapshots.append(Snapshot(f"s{made}", low, [list(w.sent) for w in writers]))
            made += 1
            if made > 8 and rng.random() < 0.3:
                r.tool("delete", f"vol@{snapshots[0].name}")
                for x in readers:           # older than what they choose from
                    x.handles.pop(snapshots[0].name, None)
                del snapshots[0]
        for x in writers + readers:
            x.ending = True
        for x in writers + readers:
            x.join(60)
            if x.failure or x.is_alive():
                raise Failure(x.failure or "a thread hangs")
        for snapshot in snapshots:
            data = bytes(r.connect(f"vol@{snapshot.name}", rng.randrange(a.nodes)).pread(r.size, 0))
            for n, w in enumerate(writers):
                check_instant(snapshot, n, data, w)
        reads, writes = sum(x.reads for x in readers), sum(w.writes for w in writers)
        if min(reads, writes, made) == 0:
            raise Failure("nothing happened")
        for x in readers:
            x.handles.clear()
        r.stop()
        r.check()
    print(f"ok: {writes} writes, {reads} snapshot reads, {made} snapshots")


if __name__ == "__main__":
    main()
