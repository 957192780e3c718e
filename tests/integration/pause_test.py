# SPDX-License-Identifier: BSD-3-Clause
"""SIGSTOP: of the master, with and without a takeover, and of an nbdkit across one; SIGCONT later. Who slept past his
lease must do no harm when he goes on."""
import signal
import time

from outage_test import Later, timed
from rig import CHUNK, SLOWNESS, Rig, expect, run

LEASE_MS = "1500"
PAST_THE_LEASE = 2.5


def two_servers(r):
    r.start_server()
    r.start_server(wait=False)
    return r.servers[0][0]


def stop(process):
    process.send_signal(signal.SIGSTOP)


def go_on(process):
    process.send_signal(signal.SIGCONT)


def outcome(later):
    later.join(30 * SLOWNESS)
    expect(not later.is_alive(), "it hangs")
    expect(later.failure is None, f"it failed: {later.failure}")
    return later.outcome


def a_stopped_master_is_not_replaced_and_goes_on():
    """Stopped, it still holds the lock: nobody may take over, for nobody can know that it is not just slow."""
    with Rig(format_args=("--lease-ms", LEASE_MS)) as r:
        master = two_servers(r)
        r.start_plugin()
        h = r.connect("vol")
        h.pwrite(b"\x11" * 4 * CHUNK, 0)
        r.tool("create", "vol@s")
        h.pwrite(b"\x22" * CHUNK, 0)
        others = [r.connect("vol") for _ in range(2)]
        term = r.json("status")["term"]
        stop(master)
        try:
            seconds, _ = timed(lambda: h.pwrite(b"\x23" * 4096, 0))
            expect(seconds < 1 * SLOWNESS, f"a write that needs no server took {seconds:.1f} s")
            # One handle does one thing at a time.
            copy = Later(lambda: others[0].pwrite(b"\x33" * CHUNK, CHUNK))
            time.sleep(PAST_THE_LEASE)
            unshared = Later(lambda: others[1].pwrite(b"\x24" * 4096, 0))
            time.sleep(0.5)
            expect(copy.is_alive(), "a copy was acknowledged while the only server slept")
            expect(unshared.is_alive(), "a write went on without a lease")
            seconds, _ = timed(lambda: h.pread(4096, 0))
            expect(seconds < 1 * SLOWNESS, "reading the origin needs no lease")
        finally:
            go_on(master)
        outcome(copy)
        outcome(unshared)
        expect(r.json("status")["term"] == term, "somebody took over from a living master")
        expect(bytes(r.connect("vol@s").pread(2 * CHUNK, 0)) == b"\x11" * 2 * CHUNK, "the snapshot")
        expect(bytes(h.pread(4096, 0)) == b"\x24" * 4096, "the origin, where nothing was copied")
        expect(bytes(h.pread(CHUNK, CHUNK)) == b"\x33" * CHUNK, "the origin, where a copy was waited for")
        r.stop()
        r.check()


def a_create_outlives_a_short_sleep_of_the_master():
    with Rig() as r:
        master = r.start_server()
        r.start_plugin()
        h = r.connect("vol")
        h.pwrite(b"\x11" * CHUNK, 0)
        stop(master)
        create = Later(lambda: r.tool("create", "vol@s"))
        time.sleep(1)
        go_on(master)
        outcome(create)
        h.pwrite(b"\x22" * CHUNK, 0)
        expect(bytes(r.connect("vol@s").pread(CHUNK, 0)) == b"\x11" * CHUNK, "the snapshot")
        r.stop()
        r.check()


def a_master_killed_in_its_sleep_is_replaced_and_waiting_io_goes_on():
    with Rig(format_args=("--lease-ms", LEASE_MS)) as r:
        master = two_servers(r)
        r.start_plugin()
        h = r.connect("vol")
        h.pwrite(b"\x11" * CHUNK, 0)
        r.tool("create", "vol@s")
        stop(master)
        write = Later(lambda: h.pwrite(b"\x22" * CHUNK, 0))
        time.sleep(PAST_THE_LEASE)
        expect(write.is_alive(), "acknowledged by a sleeping server")
        r.kill(master)
        outcome(write)
        expect(bytes(r.connect("vol@s").pread(CHUNK, 0)) == b"\x11" * CHUNK, "the snapshot")
        r.stop()
        r.check()


def a_node_that_sleeps_through_a_takeover_does_no_harm():
    """It sleeps with a map of a snapshot (a delegation) and bits "unshared" of the old epoch. Meanwhile the master is
    replaced, the other node overwrites what the map says is in the origin, and a snapshot is made."""
    with Rig(format_args=("--lease-ms", LEASE_MS, "--barrier-ms", "1500")) as r:
        master = two_servers(r)
        r.start_plugin()
        r.start_plugin()
        awake, sleepy = r.connect("vol", 0), r.connect("vol", 1)
        awake.pwrite(b"\x11" * 4 * CHUNK, 0)
        r.tool("create", "vol@s")
        old = r.connect("vol@s", 1)
        expect(bytes(old.pread(4 * CHUNK, 0)) == b"\x11" * 4 * CHUNK, "the snapshot")       # the map is cached now
        sleepy.pwrite(b"\x22" * CHUNK, 0)                                                  # and this is unshared
        sleeper = r.plugins[1][0]
        stop(sleeper)
        try:
            read = Later(lambda: bytes(old.pread(4 * CHUNK, 0)))
            write = Later(lambda: sleepy.pwrite(b"\x33" * CHUNK, 0))
            r.kill(master)
            awake.pwrite(b"\x44" * CHUNK, CHUNK)        # after grace: the sleeper's lease is over
            code, _, err = r.try_tool("create", "vol@t")
            expect(code == 1 and str(sleeper.pid) in err, f"a create without the sleeper's word: {code} {err}")
            awake.pwrite(b"\x55" * CHUNK, 2 * CHUNK)
        finally:
            go_on(sleeper)
        expect(outcome(read) == b"\x11" * 4 * CHUNK, "the snapshot, read by the sleeper")
        outcome(write)
        r.tool("create", "vol@t")
        sleepy.pwrite(b"\x66" * CHUNK, 0)               # was unshared in the old epoch; must be copied in this one
        t = bytes(r.connect("vol@t", 0).pread(4 * CHUNK, 0))
        want = b"\x33" * CHUNK + b"\x44" * CHUNK + b"\x55" * CHUNK + b"\x11" * CHUNK
        expect(t == want, "the later snapshot")
        for node in range(2):
            first = bytes(r.connect("vol@s", node).pread(4 * CHUNK, 0))
            expect(first == b"\x11" * 4 * CHUNK, f"the first snapshot on node {node}")
        r.stop()
        r.check()


def a_node_killed_in_its_sleep_holds_nobody_up():
    with Rig(format_args=("--lease-ms", LEASE_MS)) as r:
        master = two_servers(r)
        r.start_plugin()
        r.start_plugin()
        awake, sleepy = r.connect("vol", 0), r.connect("vol", 1)
        awake.pwrite(b"\x11" * CHUNK, 0)
        sleepy.pwrite(b"\x12" * CHUNK, CHUNK)
        sleeper = r.plugins[1][0]
        stop(sleeper)
        r.kill(master)
        awake.pwrite(b"\x13" * CHUNK, 2 * CHUNK)
        r.kill(sleeper)
        r.tool("create", "vol@s")
        awake.pwrite(b"\x14" * CHUNK, 0)
        expect(bytes(r.connect("vol@s").pread(CHUNK, 0)) == b"\x11" * CHUNK, "the snapshot")
        r.stop()
        r.check()


if __name__ == "__main__":
    run([a_stopped_master_is_not_replaced_and_goes_on, a_create_outlives_a_short_sleep_of_the_master,
         a_master_killed_in_its_sleep_is_replaced_and_waiting_io_goes_on,
         a_node_that_sleeps_through_a_takeover_does_no_harm, a_node_killed_in_its_sleep_holds_nobody_up])
