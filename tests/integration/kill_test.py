# SPDX-License-Identifier: BSD-3-Clause
"""kill -9 of server and plugin under load.

Two nbdkits, a writer on each with its own half of the volume; each sector written carries a number that rises.
A third party makes snapshots, and kills the server or a plugin. Afterwards, and at each snapshot: a sector
holds the last number that was acknowledged before the snapshot was asked for, or a later one that was sent
before the snapshot was there; and what a snapshot once read as, it reads as for ever.

usage: kill_test.py [--seed S] [--seconds N] [--no-plugin-kills]
"""
import argparse
import random
import struct
import threading
import time

import nbd

from rig import Failure, Rig

SECTOR = 4096


class Writer(threading.Thread):
    def __init__(self, rig, node, first, count, seed):
        super().__init__(daemon=True)
        self.rig, self.node, self.first, self.count = rig, node, first, count
        self.rng = random.Random(seed)
        self.sent = [0] * count            # newest number sent to the sector
        self.acknowledged = [0] * count    # newest number known to be there
        self.floor = [0] * count
        self.number, self.reconnects, self.writes = 0, 0, 0
        self.ending, self.failure = False, None
        self.start()

    def run(self):
        handle = None
        while not self.ending:
            try:
                if handle is None:
                    handle = self.rig.connect("vol", self.node)
                self.one(handle)
            except nbd.Error as e:
                if "nbd_pwrite" in str(e) and handle is not None and not handle.aio_is_dead() \
                        and not handle.aio_is_closed():
                    self.failure = f"a write failed on a live connection: {e}"
                    return
                handle = None              # the plugin was killed: only then may a client see an error
                self.reconnects += 1
                time.sleep(0.05)

    def one(self, handle):
        sector = self.rng.randrange(self.count)
        length = min(self.rng.choice([1, 1, 1, 2, 5]), self.count - sector)
        self.number += 1
        number = self.number
        for s in range(sector, sector + length):
            self.sent[s] = number
        handle.pwrite(struct.pack("<Q", number) * (SECTOR // 8) * length, (self.first + sector) * SECTOR)
        for s in range(sector, sector + length):
            self.acknowledged[s] = number
        self.writes += 1


def numbers(data, first, count):
    out = []
    for s in range(first, first + count):
        block = data[s * SECTOR:(s + 1) * SECTOR]
        if block != block[:8] * (SECTOR // 8):
            raise Failure(f"sector {s} is torn")
        out.append(struct.unpack("<Q", block[:8])[0])
    return out


def check_range(what, data, writer, low, high):
    for s, got in enumerate(numbers(data, writer.first, writer.count)):
        if not low[s] <= got <= high[s]:
            raise Failure(f"{what}: sector {writer.first + s} holds {got}, not {low[s]}..{high[s]}")


class Chaos:
    def __init__(self, rig, writers, rng, plugin_kills):
        self.rig, self.writers, self.rng, self.plugin_kills = rig, writers, rng, plugin_kills
        self.snapshots, self.kills, self.failed_creates = {}, {"server": 0, "plugin": 0}, 0

    def snapshot(self):
        name = f"s{len(self.snapshots) + self.failed_creates}"
        low = [list(w.acknowledged) for w in self.writers]
        code, _, err = self.rig.try_tool("create", f"vol@{name}", timeout=30)
        high = [list(w.sent) for w in self.writers]
        if code == 0:
            self.snapshots[name] = (low, high)
        elif self.plugin_kills and ("did not answer" in err or "busy" in err):
            self.failed_creates += 1
        else:
            raise Failure(f"create {name}: {err}")

    def kill_server(self):
        self.rig.kill(self.rig.servers[0][0])
        self.kills["server"] += 1
        if self.rng.random() < 0.3:
            time.sleep(self.rng.random())
        self.rig.restart_server(wait=self.rng.random() < 0.5)

    def kill_plugin(self):
        number = self.rng.randrange(len(self.rig.plugins))
        self.rig.kill(self.rig.plugins[number][0])
        self.kills["plugin"] += 1
        self.rig.restart_plugin(number, wait=False)

    def verify(self, name, node):
        low, high = self.snapshots[name]
        data = bytes(self.rig.connect(f"vol@{name}", node).pread(self.rig.size, 0))
        for w, lo, hi in zip(self.writers, low, high):
            check_range(f"vol@{name} on node {node}", data, w, lo, hi)
            fixed = numbers(data, w.first, w.count)
            lo[:], hi[:] = fixed, fixed


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--seconds", type=float, default=20)
    p.add_argument("--no-plugin-kills", action="store_true")
    a = p.parse_args()
    rng = random.Random(a.seed)
    print(f"seed {a.seed}", flush=True)
    with Rig(size=8 << 20, store=512 << 20) as r:
        r.start_server()
        r.start_plugin()
        r.start_plugin()
        sectors = r.size // SECTOR
        writers = [Writer(r, n, n * sectors // 2, sectors // 2, a.seed * 10 + n) for n in range(2)]
        chaos = Chaos(r, writers, rng, not a.no_plugin_kills)
        end = time.monotonic() + a.seconds
        while time.monotonic() < end:
            time.sleep(rng.random() * 0.5)
            chaos.snapshot()
            rng.choice([chaos.kill_server] + ([] if a.no_plugin_kills else [chaos.kill_plugin]))()
            for w in writers:
                if w.failure:
                    raise Failure(w.failure)
        r.wait_for_master()
        for n in range(2):
            r.wait_for_plugin(n)
        for w in writers:
            w.ending = True
        for w in writers:
            w.join(60)
            if w.is_alive() or w.failure:
                raise Failure(w.failure or "a writer hangs")
        for node in range(2):
            data = bytes(r.connect("vol", node).pread(r.size, 0))
            for w in writers:
                check_range(f"origin on node {node}", data, w, w.acknowledged, w.sent)
        for _ in range(2):
            for name in chaos.snapshots:
                chaos.verify(name, rng.randrange(2))
        if min(len(chaos.snapshots), chaos.kills["server"], sum(w.writes for w in writers)) == 0:
            raise Failure("nothing happened")
        r.stop()
        r.check()
    print(f"ok: {sum(w.writes for w in writers)} writes, {len(chaos.snapshots)} snapshots, kills {chaos.kills}, "
          f"{chaos.failed_creates} creates that named a silent client")


if __name__ == "__main__":
    main()
