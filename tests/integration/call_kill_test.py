# SPDX-License-Identifier: BSD-3-Clause
"""kill -9 at every system call that matters: of the server during a create, a copy-out, a delete, a checkpoint and a
start; of nbdkit during a copy-out and a create.

For each kind of call and k = 1, 2, ...: the operation is run and the process killed at the k-th such call, until the
operation comes to its end alive. After each kill the store is checked as it lies there; the process is started
again; and everything reads as it must: what was acknowledged is there, what was not is there or not, whole; each
snapshot is as it was.

usage: call_kill_test.py [--all] [CASE ...]        --all: calls of every kind that the process makes
"""
import os
import sys

import nbd

import rig
from outage_test import Later
from rig import CHUNK, Failure, Rig, expect, run
from tracing import Killer, need_tracing, started_to_be_killed

CHUNKS = 16
SERVER_CALLS = ["pwritev2", "fdatasync", "sendmsg", "recvfrom"]
NBDKIT_CALLS = ["pread64", "pwritev2", "fdatasync", "sendmsg", "recvfrom"]
if "--all" in sys.argv:
    sys.argv.remove("--all")
    SERVER_CALLS += ["epoll_wait", "futex", "pread64", "epoll_ctl", "accept", "close", "timerfd_settime"]
    NBDKIT_CALLS += ["epoll_wait", "futex", "read", "sendto", "epoll_ctl", "timerfd_settime", "ppoll"]


class Life:
    """A rig with a volume whose content is known, and its snapshots."""

    def __init__(self, r):
        self.rig, self.number, self.kills = r, 0, 0
        self.server = r.start_server()
        r.start_plugin()
        self.handle = r.connect("vol")
        self.origin = bytearray()
        self.snapshots = {}
        self.tries = []
        for chunk in range(CHUNKS):
            self.origin += bytes([chunk + 1]) * CHUNK
        self.handle.pwrite(bytes(self.origin), 0)

    def next_name(self):
        self.number += 1
        return f"s{self.number}"

    def create(self):
        name = self.next_name()
        self.rig.tool("create", f"vol@{name}")
        self.snapshots[name] = bytes(self.origin)
        return name

    def next_write(self):
        """A place in a chunk that changes each time, and new content for it."""
        self.number += 1
        offset = self.number % CHUNKS * CHUNK + self.number % 15 * 4096
        return offset, self.number.to_bytes(4, "little") * 1024

    def write(self, offset, data):
        self.handle.pwrite(data, offset)
        self.origin[offset:offset + len(data)] = data

    def listed(self):
        """One that is deleted may stay in the list for a while, as dying: until no reader of it can be left."""
        return {s["snapshot"] for s in self.rig.json("list") if s["state"] == "live"}

    def verify(self):
        expect(bytes(self.handle.pread(len(self.origin), 0)) == bytes(self.origin), "the origin")
        expect(self.listed() == set(self.snapshots), f"the list: {self.listed()}, not {set(self.snapshots)}")
        for name, content in self.snapshots.items():
            reader = nbd.NBD()
            reader.connect_uri(self.rig.uri(f"vol@{name}"))
            expect(bytes(reader.pread(len(content), 0)) == content, f"vol@{name}")
            reader.shutdown()

    def keep_few(self):
        for name in list(self.snapshots)[:-3]:
            self.rig.tool("delete", f"vol@{name}")
            del self.snapshots[name]

    # ---- after a kill ----
    def server_again(self):
        self.kills += 1
        self.rig.check()
        self.server = self.rig.restart_server()

    def nbdkit_again(self):
        self.kills += 1
        self.rig.restart_plugin(0)
        self.handle = self.rig.connect("vol")

    def settle(self, name, acknowledged):
        """A create was asked for; nobody wrote since."""
        exists = name in self.listed()
        expect(exists or not acknowledged, f"{name} was acknowledged and is not there")
        if exists:
            self.snapshots[name] = bytes(self.origin)


def at_every_call(calls, one):
    """one(call, k) runs the operation and says whether it was killed."""
    summary = []
    for call in calls:
        k = 1
        while one(call, k):
            k += 1
            if k > 200:
                raise Failure(f"still killed at {call} {k}")
        summary.append(f"{call} {k - 1}")
    print(f"  killed at: {', '.join(summary)}")
    expect(not all(s.endswith(" 0") for s in summary), "nothing was killed")


def life(size=CHUNKS * CHUNK):
    need_tracing()
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"     # not beside strace
    return Rig(size=size, store=64 << 20)


def finished(worker):
    worker.join(60 * rig.SLOWNESS)
    expect(not worker.is_alive(), "the operation hangs")
    return worker


def server_during_a_create():
    with life() as r:
        x = Life(r)

        def one(call, k):
            x.keep_few()
            name = x.next_name()
            x.write(*x.next_write())
            with Killer(x.server, call, k) as killer:
                create = Later(lambda: r.try_tool("create", f"vol@{name}"))
                killed = killer.was_killed(create)
            if killed:
                x.server_again()
            code, _, err = finished(create).outcome
            expect(killed or code == 0, f"create failed without a kill: {err}")
            x.settle(name, code == 0)
            x.verify()
            return killed
        at_every_call(SERVER_CALLS, one)
        r.stop()
        r.check()


def server_during_a_copy_out():
    with life() as r:
        x = Life(r)

        def one(call, k):
            x.keep_few()
            x.create()
            offset, data = x.next_write()
            with Killer(x.server, call, k) as killer:
                write = Later(lambda: x.write(offset, data))
                killed = killer.was_killed(write)
            if killed:
                x.server_again()
            expect(finished(write).failure is None, f"a write failed: {write.failure}")
            x.verify()
            return killed
        at_every_call(SERVER_CALLS, one)
        r.stop()
        r.check()


def server_during_a_delete():
    with life() as r:
        x = Life(r)

        def one(call, k):
            x.keep_few()
            name = x.create()
            for _ in range(3):
                x.write(*x.next_write())
            kept = x.snapshots.pop(name)
            with Killer(x.server, call, k) as killer:
                delete = Later(lambda: r.try_tool("delete", f"vol@{name}"))
                killed = killer.was_killed(delete, patience=0.3)          # the reaper comes after the answer
            if killed:
                x.server_again()
            code, _, err = finished(delete).outcome
            expect(killed or code == 0, f"delete failed without a kill: {err}")
            if name in x.listed():
                expect(code != 0, f"{name} was acknowledged as deleted and is there")
                x.snapshots[name] = kept
            x.verify()
            return killed
        at_every_call(SERVER_CALLS, one)
        r.stop()
        r.check()


def server_during_a_checkpoint():
    """The one that it makes before it ends."""
    with life() as r:
        x = Life(r)

        def one(call, k):
            x.keep_few()
            x.create()
            for _ in range(3):
                x.write(*x.next_write())
            with Killer(x.server, call, k):
                x.server.terminate()
                code = x.server.wait(timeout=30 * rig.SLOWNESS)
            expect(code in (0, -9), f"the server ended with {code}")
            x.server_again()
            x.verify()
            return code == -9
        at_every_call(["pwritev2", "fdatasync"], one)
        r.stop()
        r.check()


def server_while_it_starts():
    """Recovery that is cut off and begun again: what it wrote so far must not hurt."""
    with life() as r:
        x = Life(r)

        def one(call, k):
            x.keep_few()
            x.create()
            x.write(*x.next_write())
            r.kill(x.server)
            listen = r.servers[0][1]
            again = r.spawn(started_to_be_killed(call, k, [rig.SERVER, "--store", r.store, "--listen", listen]),
                            "server0.log")
            started = Later(lambda: r.wait_for_master(10))
            while again.poll() is None and started.is_alive():
                started.join(0.02)
            killed = again.poll() is not None
            if not killed:
                r.kill(again)
            x.server_again()
            finished(started)
            x.verify()
            return killed
        at_every_call(["pwritev2", "fdatasync"], one)
        r.stop()
        r.check()


def nbdkit_during_a_copy_out():
    with life() as r:
        x = Life(r)

        def one(call, k):
            x.keep_few()
            x.create()
            offset, data = x.next_write()
            old = bytes(x.origin[offset:offset + len(data)])
            process = r.plugins[0][0]
            with Killer(process, call, k) as killer:
                write = Later(lambda: x.handle.pwrite(data, offset, nbd.CMD_FLAG_FUA))
                killed = killer.was_killed(write)
            if killed:
                x.nbdkit_again()
            acknowledged = finished(write).failure is None
            expect(killed or acknowledged, f"a write failed: {write.failure}")
            now = bytes(x.handle.pread(len(data), offset))
            expect(now == data or now == old and not acknowledged, "an acknowledged write is lost, or it is torn")
            x.origin[offset:offset + len(data)] = now
            x.verify()
            x.write(offset, data)
            x.verify()
            return killed
        at_every_call(NBDKIT_CALLS, one)
        r.stop()
        r.check()


def nbdkit_during_a_create():
    with life() as r:
        x = Life(r)

        def one(call, k):
            x.keep_few()
            x.write(*x.next_write())
            name = x.next_name()
            process = r.plugins[0][0]
            with Killer(process, call, k) as killer:
                create = Later(lambda: r.try_tool("create", f"vol@{name}"))
                killed = killer.was_killed(create)
            if killed:
                x.nbdkit_again()
            code, _, err = finished(create).outcome
            expect(killed or code == 0, f"create failed without a kill: {err}")
            x.settle(name, code == 0)
            x.verify()
            return killed
        at_every_call(NBDKIT_CALLS, one)
        r.stop()
        r.check()


if __name__ == "__main__":
    run([server_during_a_create, server_during_a_copy_out, server_during_a_delete, server_during_a_checkpoint,
         server_while_it_starts, nbdkit_during_a_copy_out, nbdkit_during_a_create])
