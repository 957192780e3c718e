# SPDX-License-Identifier: BSD-3-Clause
"""Random operations over libnbd on N nbdkit processes at once, against a plain model in memory.

Goal: whatever mix of reads, writes, zeroes, trims, flushes, snapshots, renames, deletes and differences comes
from whichever node, the origin reads as last written from every node and each snapshot as the origin was.
Method: rounds. In a round several requests, on ranges that do not overlap, are in flight on all nodes
together, half of them while a snapshot is being made; since each write belongs to one round, the snapshot
made in it may hold, sector by sector of an unfinished write, the old or the new content, and nothing else.

usage: blackbox_test.py [--nodes N] [--seed S] [--rounds N] [--chunk BYTES] [--plugin-arg A] [--server-arg A]
"""
import argparse
import random
import threading
import time

from rig import Failure, Rig

SECTOR = 512


class Model:
    def __init__(self, size):
        self.origin = bytearray(size)
        self.snapshots = {}            # name -> (bytes, {sector: other admissible bytes})
        self.order = []


class BlackBox:
    def __init__(self, rig, nodes, rng, unit=SECTOR, trims=True):
        """Requests are of whole units. `trims`: what is trimmed reads as zeroes, down to the unit."""
        self.rig, self.rng, self.size, self.unit = rig, rng, rig.size, unit
        self.kinds = {"write": 6, "fua": 1, "zero": 2, "trim": 1 if trims else 0}
        self.model = Model(rig.size)
        self.nodes = nodes
        self.handles = [rig.connect("vol", n) for n in range(nodes)]
        self.counter = self.rounds = 0
        self.readers = {}

    def ranges(self, count):
        """Disjoint, often unaligned and chunk-crossing."""
        unit = self.unit
        cuts = sorted(self.rng.sample(range(0, self.size // unit), count * 2))
        out = []
        for a, b in zip(cuts[::2], cuts[1::2]):
            length = min((b - a) * unit, self.rng.choice([unit, 4096, 3 * 4096, 65536, 300000 // unit * unit]))
            if length:
                out.append((a * unit, length))
        return out

    def content(self, length):
        self.counter += 1
        sector = self.counter.to_bytes(4, "little") + bytes([self.counter & 255 or 1]) * (SECTOR - 4)
        return sector * (length // SECTOR)

    def one_write(self, node, offset, data, kind, errors):
        h = self.handles[node]
        try:
            if kind == "zero":
                h.zero(len(data), offset)
            elif kind == "trim":
                h.trim(len(data), offset)
            else:
                h.pwrite(data, offset, 0 if kind == "write" else 1)     # 1: FUA
        except Exception as e:          # noqa: BLE001 - every error is a failure of the test
            errors.append(f"{kind} {offset}+{len(data)} on node {node}: {e}")

    def round(self):
        """Writes on all nodes at once; perhaps a snapshot in the middle of them."""
        writes, errors, threads = [], [], []
        ranges = self.ranges(self.rng.randint(1, 3 * self.nodes))
        self.rng.shuffle(ranges)
        per_node = [[] for _ in range(self.nodes)]
        for offset, length in ranges:
            kind = self.rng.choices(list(self.kinds), list(self.kinds.values()))[0]
            data = bytes(length) if kind in ("zero", "trim") else self.content(length)
            writes.append((offset, data))
            per_node[self.rng.randrange(self.nodes)].append((offset, data, kind))

        def work(node):
            for offset, data, kind in per_node[node]:
                self.one_write(node, offset, data, kind, errors)
        for node in range(self.nodes):
            threads.append(threading.Thread(target=work, args=(node,)))
        self.rounds += 1
        snapshot = f"s{self.rounds}" if self.rng.random() < 0.35 else None
        before = bytes(self.model.origin)
        for t in threads:
            t.start()
        if snapshot:
            if self.rng.random() < 0.5:
                time.sleep(self.rng.random() * 0.01)
            self.rig.tool("create", f"vol@{snapshot}")
        for t in threads:
            t.join()
        if errors:
            raise Failure("; ".join(errors))
        for offset, data in writes:
            self.model.origin[offset:offset + len(data)] = data
        if snapshot:
            after = bytes(self.model.origin)
            either = {s for offset, data in writes for s in range(offset // SECTOR, (offset + len(data)) // SECTOR)}
            self.model.snapshots[snapshot] = (before, {s: after[s * SECTOR:(s + 1) * SECTOR] for s in either})
            self.model.order.append(snapshot)

    def verify_origin(self):
        node = self.rng.randrange(self.nodes)
        offset = self.rng.randrange(0, self.size - SECTOR)
        length = min(self.size - offset, self.rng.choice([1, 511, 4096, 200000, self.size]))
        got = bytes(self.handles[node].pread(length, offset))
        if got != bytes(self.model.origin[offset:offset + length]):
            raise Failure(f"origin differs on node {node} in {offset}+{length}")

    def verify_snapshot(self, name, node):
        key = (name, node)
        if key not in self.readers:
            self.readers[key] = self.rig.connect(f"vol@{name}", node)
        got = bytes(self.readers[key].pread(self.size, 0))
        base, either = self.model.snapshots[name]
        if got == base:
            return
        for s in range(self.size // SECTOR):
            a, b = s * SECTOR, (s + 1) * SECTOR
            if got[a:b] != base[a:b] and got[a:b] != either.get(s):
                raise Failure(f"vol@{name} differs on node {node} at sector {s}")
        # What a first read of the snapshot gave, it gives for ever.
        self.model.snapshots[name] = (got, {})

    def verify_diff(self):
        if len(self.model.order) < 2:
            return
        i, j = sorted(self.rng.sample(range(len(self.model.order)), 2))
        a, b = self.model.order[i], self.model.order[j]
        for name in (a, b):
            self.verify_snapshot(name, 0)
        chunk = self.rig.chunk
        changed = set()
        for e in self.rig.json("diff", f"vol@{a}", f"vol@{b}"):
            changed |= set(range(e["offset"] // chunk, (e["offset"] + e["length"] + chunk - 1) // chunk))
        old, new = self.model.snapshots[a][0], self.model.snapshots[b][0]
        for c in range((self.size + chunk - 1) // chunk):
            if old[c * chunk:(c + 1) * chunk] != new[c * chunk:(c + 1) * chunk] and c not in changed:
                raise Failure(f"diff {a}..{b} misses chunk {c}")

    def delete_some(self):
        if not self.model.order:
            return
        name = self.rng.choice(self.model.order)
        self.rig.tool("delete", f"vol@{name}")
        self.model.order.remove(name)
        del self.model.snapshots[name]
        for key in [k for k in self.readers if k[0] == name]:
            del self.readers[key]

    def rename_some(self):
        if not self.model.order:
            return
        old = self.rng.choice(self.model.order)
        new = "r" + old
        if len(new) > 60:
            return
        self.rig.tool("rename", f"vol@{old}", f"vol@{new}")
        self.model.order[self.model.order.index(old)] = new
        self.model.snapshots[new] = self.model.snapshots.pop(old)
        for key in [k for k in self.readers if k[0] == old]:
            self.readers[(new, key[1])] = self.readers.pop(key)

    def step(self):
        self.round()
        self.verify_origin()
        if self.model.order and self.rng.random() < 0.6:
            self.verify_snapshot(self.rng.choice(self.model.order), self.rng.randrange(self.nodes))
        what = self.rng.random()
        if what < 0.08 or len(self.model.order) > 12:
            self.delete_some()
        elif what < 0.12:
            self.rename_some()
        elif what < 0.2:
            self.verify_diff()
        elif what < 0.25:
            self.handles[self.rng.randrange(self.nodes)].flush()

    def verify_all(self):
        for node in range(self.nodes):
            if bytes(self.handles[node].pread(self.size, 0)) != bytes(self.model.origin):
                raise Failure(f"origin differs on node {node}")
            for name in self.model.order:
                self.verify_snapshot(name, node)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--nodes", type=int, default=1)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--rounds", type=int, default=60)
    p.add_argument("--chunk", type=int, default=65536)
    p.add_argument("--plugin-arg", action="append", default=[])
    p.add_argument("--server-arg", action="append", default=[])
    a = p.parse_args()
    print(f"seed {a.seed}, {a.nodes} node(s), {a.rounds} rounds", flush=True)
    with Rig(size=4 << 20, store=96 << 20, chunk=a.chunk, plugin_args=a.plugin_arg, server_args=a.server_arg) as r:
        r.start_server()
        for _ in range(a.nodes):
            r.start_plugin()
        box = BlackBox(r, a.nodes, random.Random(a.seed))
        for n in range(a.rounds):
            try:
                box.step()
            except Exception:
                print(f"failed in round {n} of seed {a.seed}", flush=True)
                raise
        box.verify_all()
        box.readers.clear()
        box.handles.clear()
        r.stop()
        report = r.check()
    print(f"ok: {box.counter} writes, {len(box.model.order)} snapshots at the end, {report['exceptions']} exceptions")


if __name__ == "__main__":
    main()
