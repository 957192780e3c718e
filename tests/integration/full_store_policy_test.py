# SPDX-License-Identifier: BSD-3-Clause
"""A full store under each policy, with real processes: what is given up, what is kept, what waits, and that nobody ever
reads anything else than what a snapshot holds."""
import os
import signal
import threading
import time

import nbd

from rig import CHUNK, Rig, expect, run, wait_for

SIZE = 8 << 20
CHUNKS = SIZE // CHUNK


class Load(threading.Thread):
    """Overwrites every chunk of some with one byte each, in order; what failed is kept."""

    def __init__(self, handle, byte, chunks):
        super().__init__()
        self.handle, self.byte, self.chunks = handle, byte, chunks
        self.written, self.errors = [], []
        self.start()

    def run(self):
        for chunk in self.chunks:
            try:
                self.handle.pwrite(bytes([self.byte]) * CHUNK, chunk * CHUNK)
                self.written.append(chunk)
            except nbd.Error as e:
                self.errors.append(e.errno)


class Reader(threading.Thread):
    """Reads a snapshot again and again until it is told to end or gets an error, which is kept."""

    def __init__(self, handle, content):
        super().__init__()
        self.handle, self.content = handle, content
        self.reads, self.wrong, self.error, self.ending = 0, None, None, False
        self.start()

    def run(self):
        while not self.ending and self.error is None and self.wrong is None:
            for chunk in range(CHUNKS):
                try:
                    data = bytes(self.handle.pread(CHUNK, chunk * CHUNK))
                except nbd.Error as e:
                    self.error = e.errno
                    return
                if data != self.content[chunk * CHUNK:(chunk + 1) * CHUNK]:
                    self.wrong = chunk
                    return
                self.reads += 1


def overwrite(handles, byte):
    """All of the volume, each handle its part; the errors."""
    loads = [Load(h, byte, range(i, CHUNKS, len(handles))) for i, h in enumerate(handles)]
    for load in loads:
        load.join()
    return [e for load in loads for e in load.errors]


def image(byte):
    return bytes([byte]) * SIZE


def live(r):
    return {s["snapshot"] for s in r.json("list") if s["state"] == "live"}


def expect_snapshot(r, name, byte):
    h = r.connect(f"vol@{name}")
    expect(bytes(h.pread(SIZE, 0)) == image(byte), f"vol@{name} is not what it was")
    h.shutdown()
    r.handles.remove(h)


def fill(r, handles):
    """A snapshot, and one more that does not find room for all its chunks; returns the bytes of both and the next."""
    for byte, name in ((0x11, "one"), (0x22, "two")):
        overwrite(handles, byte)
        r.tool("create", f"vol@{name}")


def origin_first_gives_up_the_least_and_writes_go_on():
    with Rig(size=SIZE, store=40 << 20, format_args=["--full", "origin-first"]) as r:
        r.start_server()
        for _ in range(2):
            r.start_plugin()
        handles = [r.connect("vol", plugin=i % 2) for i in range(4)]
        expect(overwrite(handles, 0x10) == [], "first writes")
        content = {}
        for k in range(7):
            name = f"s{k}"
            r.tool("create", f"vol@{name}", "--priority", 10 if k == 2 else 0)
            content[name] = 0x10 + k
            if k == 0:
                r.tool("hold", "vol@s0", "audit")
            if k == 5:
                threading.Timer(0.05, lambda: r.kill(r.servers[0][0])).start()
                threading.Timer(0.5, lambda: r.restart_server(wait=False)).start()
            expect(overwrite(handles, 0x11 + k) == [], f"writes failed in round {k}")
            expect(bytes(r.connect("vol").pread(SIZE, 0)) == image(0x11 + k), "the origin")
            if k == 5:
                time.sleep(1)
                r.wait_for_master()
            for each in live(r):
                expect_snapshot(r, each, content[each])
        left = live(r)
        expect({"s0", "s2", "s6"} <= left, f"held, of high priority or newest: {left}")
        expect(not {"s1", "s3"} & left, f"the oldest of low priority: {left}")
        status = r.json("status")
        expect(status["volumes"][0]["sacrificed"] >= 2, f"status: {status['volumes']}")
        expect("is given up" in r.log("server0.log"), "the log says nothing")
        code, _, err = r.try_tool("delete", "vol@s0")
        expect(code == 1 and "held by 'audit'" in err, f"delete of a held snapshot: {code} {err}")
        r.tool("release", "vol@s0", "audit")
        for name in left:
            r.tool("delete", f"vol@{name}")
        wait_for(lambda: r.json("status")["exceptions"] == 0, 20, "the reaper")
        r.stop()
        r.check()


def readers_of_what_is_given_up_get_eio_and_never_other_data():
    with Rig(size=SIZE, store=20 << 20, format_args=["--full", "origin-first"]) as r:
        r.start_server()
        for _ in range(2):
            r.start_plugin()
        handles = [r.connect("vol", plugin=i % 2) for i in range(4)]
        overwrite(handles, 0x11)
        r.tool("create", "vol@one")
        readers = [Reader(r.connect("vol@one", plugin=i), image(0x11)) for i in range(2)]
        for byte in range(0x12, 0x1a):
            expect(overwrite(handles, byte) == [], "a write failed")
            r.tool("create", f"vol@s{byte}")
        wait_for(lambda: all(not reader.is_alive() for reader in readers), 20, "the readers to be told")
        for reader in readers:
            expect(reader.wrong is None, f"chunk {reader.wrong} was read as something else")
            expect(reader.error == "EIO" and reader.reads > 0, f"{reader.reads} reads, then {reader.error}")
        expect("one" not in live(r), "it is still there")
        r.stop()
        r.check()


def all_held_is_no_space():
    with Rig(size=SIZE, store=12 << 20, format_args=["--full", "origin-first"]) as r:
        r.start_server()
        r.start_plugin()
        h = r.connect("vol")
        overwrite([h], 0x11)
        r.tool("create", "vol@one")
        r.tool("hold", "vol@one", "backup")
        load = Load(r.connect("vol"), 0x22, range(CHUNKS))
        load.join()
        expect(load.written and set(load.errors) == {"ENOSPC"}, f"{len(load.written)} written, {set(load.errors)}")
        expect_snapshot(r, "one", 0x11)
        r.tool("release", "vol@one", "backup")
        expect(overwrite([h], 0x33) == [], "writes after the release")
        expect(live(r) == set(), "nothing was given up")
        r.stop()
        r.check()


def waiting_writes(r):
    """Writes until some wait; the load that waits."""
    loads = [Load(r.connect("vol"), 0x33, range(i, CHUNKS, 4)) for i in range(4)]
    wait_for(lambda: r.json("status")["store"]["condition"] == "full", 20, "writes that wait for good")
    return loads


def expect_waiting(loads):
    def is_still():
        written = sum(len(load.written) for load in loads)
        time.sleep(1)
        return sum(len(load.written) for load in loads) == written
    wait_for(is_still, 20, "writes to wait")            # some had their room already
    expect(all(load.is_alive() for load in loads), "somebody does not wait")
    expect(not any(load.errors for load in loads), f"errors: {[load.errors for load in loads]}")


def finish(loads):
    for load in loads:
        load.join(timeout=60)
        expect(not load.is_alive(), "a write still waits")
        expect(load.errors == [], f"errors: {load.errors}")


def snapshot_first_waits_for_a_delete_through_kills_of_the_server():
    with Rig(size=SIZE, store=16 << 20, format_args=["--full", "snapshot-first"]) as r:
        r.start_server()
        r.start_plugin()
        h = r.connect("vol")
        fill(r, [h])
        loads = waiting_writes(r)
        expect_waiting(loads)
        expect(r.json("status")["store"]["requests_waiting"] > 0, "who waits")
        for name, byte in (("one", 0x11), ("two", 0x22)):
            expect_snapshot(r, name, byte)
        r.kill(r.servers[0][0])
        r.restart_server()
        expect_waiting(loads)
        # A create while writes wait, and what it makes is of one moment for those that go on later.
        r.tool("create", "vol@three")
        before = bytes(r.connect("vol@three").pread(SIZE, 0))
        r.tool("delete", "vol@one")
        r.tool("delete", "vol@two")
        r.kill(r.servers[0][0])
        r.restart_server()
        finish(loads)
        expect(bytes(h.pread(SIZE, 0)) == image(0x33), "the origin")
        expect(bytes(r.connect("vol@three").pread(SIZE, 0)) == before, "vol@three changed")
        r.stop()
        r.check()


def resize_lets_waiting_writes_go_on():
    with Rig(size=SIZE, store=16 << 20, format_args=["--full", "snapshot-first"]) as r:
        r.start_server()
        r.start_server(wait=False)      # a standby: it opens the device before that is enlarged
        for _ in range(2):
            r.start_plugin()
        h = r.connect("vol", plugin=1)
        fill(r, [h])
        loads = waiting_writes(r)
        expect(r.json("resize")["before"] == r.json("resize")["now"], "the device was not enlarged yet")
        expect_waiting(loads)
        os.truncate(r.store, 48 << 20)
        grown = r.json("resize")
        expect(grown["now"] - grown["before"] == 32 << 20, f"resize: {grown}")
        finish(loads)
        expect(r.json("status")["store"]["chunks_total"] == grown["chunks"], "status")
        for name, byte in (("one", 0x11), ("two", 0x22)):
            expect_snapshot(r, name, byte)
            expect(bytes(r.connect(f"vol@{name}", plugin=1).pread(SIZE, 0)) == image(byte), "on the other node")
        r.kill(r.servers[0][0])
        r.wait_for_master()
        expect(r.json("status")["store"]["chunks_total"] == grown["chunks"], "status after a takeover")
        # An nbdkit that starts afterwards takes the larger store as well.
        r.start_plugin()
        r.tool("create", "vol@three")
        r.connect("vol", plugin=2).pwrite(b"\x44" * CHUNK, 0)
        for name, byte in (("one", 0x11), ("two", 0x22), ("three", 0x33)):
            expect_snapshot(r, name, byte)
        r.stop()
        r.check()
        dump = r.dir / "dump.json"
        dump.write_text(r.tool("dump", r.store, server=False))
        r.tool("restore", dump, r.store, "--force", server=False)
        r.check()


def a_waiting_write_ends_at_its_timeout_and_with_nbdkit():
    with Rig(size=SIZE, store=16 << 20, format_args=["--full", "snapshot-first"], plugin_args=["timeout=2"]) as r:
        r.start_server()
        r.start_plugin()
        h = r.connect("vol")
        fill(r, [h])
        load = Load(r.connect("vol"), 0x33, range(CHUNKS))
        wait_for(lambda: load.errors, 20, "the timeout")
        expect(set(load.errors) == {"EIO"}, f"errors: {load.errors}")
        plugin = r.plugins[0][0]
        plugin.send_signal(signal.SIGTERM)              # while the next write waits
        load.join(timeout=30)
        expect(not load.is_alive(), "a write waits for ever")
        r.close_handles()
        expect(plugin.wait(timeout=30) == 0, "nbdkit did not end well")
        r.tool("set", "vol", "--full", "error")
        r.restart_plugin(0)
        again = Load(r.connect("vol"), 0x44, range(CHUNKS))
        again.join()
        expect("ENOSPC" in again.errors, f"errors: {set(again.errors)}")
        for name, byte in (("one", 0x11), ("two", 0x22)):
            expect_snapshot(r, name, byte)
        r.stop()
        r.check()


def watermarks_and_estimates():
    with Rig(size=SIZE, store=16 << 20) as r:
        r.start_server()
        r.start_plugin()
        h = r.connect("vol")
        estimate = r.json("create", "vol@one", "--estimate")
        expect(estimate["at_most"] == SIZE and estimate["enough"], f"estimate: {estimate}")
        expect(live(r) == set(), "an estimate made a snapshot")
        overwrite([h], 0x11)
        r.tool("create", "vol@one")
        overwrite([h], 0x22)
        code, out, err = r.try_tool("create", "vol@two", "--check-space")
        expect(code == 0 and "warning: could come to need 8 MiB" in err, f"--check-space: {code} {err}")
        expect(not r.json("create", "vol@three", "--estimate")["enough"], "the estimate of a store that is too small")
        load = Load(r.connect("vol"), 0x33, range(20))
        load.join()
        expect(load.errors and set(load.errors) == {"ENOSPC"}, f"errors: {load.errors}")
        expect(r.json("status")["store"]["condition"] == "full", "the condition")
        log = (r.dir / "server0.log").read_text()
        expect(log.count("the store is nearly full") == 2, "each watermark is told once")
        expect(log.count("the store is full") == 1, "each watermark is told once")
        expect("full" in r.tool("status"), "status for people")
        r.stop()
        r.check()


if __name__ == "__main__":
    run([origin_first_gives_up_the_least_and_writes_go_on,
         readers_of_what_is_given_up_get_eio_and_never_other_data,
         all_held_is_no_space,
         snapshot_first_waits_for_a_delete_through_kills_of_the_server,
         resize_lets_waiting_writes_go_on,
         a_waiting_write_ends_at_its_timeout_and_with_nbdkit,
         watermarks_and_estimates])
