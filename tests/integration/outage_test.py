# SPDX-License-Identifier: BSD-3-Clause
"""The server is gone: what needs it waits and then succeeds, what does not goes on while the lease lasts."""
import signal
import threading
import time

import nbd

from rig import CHUNK, SLOWNESS, Failure, Rig, expect, run, wait_for


def timed(action):
    begin = time.monotonic()
    value = action()
    return time.monotonic() - begin, value


class Later(threading.Thread):
    """Runs an action beside the test and keeps its outcome."""

    def __init__(self, action):
        super().__init__(daemon=True)
        self.action, self.outcome, self.failure = action, None, None
        self.start()

    def run(self):
        try:
            self.outcome = self.action()
        except Exception as e:      # noqa: BLE001 - looked at by the test
            self.failure = e


def prepared(rig):
    """Chunk 0: copied since the snapshot, so unshared; chunk 9: still shared; both read through the snapshot."""
    rig.start_server()
    rig.start_plugin()
    h = rig.connect("vol")
    h.pwrite(b"old" + bytes(CHUNK - 3), 0)
    h.pwrite(b"old" + bytes(CHUNK - 3), 9 * CHUNK)
    rig.tool("create", "vol@s")
    h.pwrite(b"new" + bytes(CHUNK - 3), 0)
    s = rig.connect("vol@s")
    expect(bytes(s.pread(3, 0)) == b"old" and bytes(s.pread(3, 9 * CHUNK)) == b"old", "the snapshot")
    return h, s


def what_needs_no_server_goes_on():
    with Rig() as r:
        h, s = prepared(r)
        r.kill(r.servers[0][0])
        for what, action in (("origin read", lambda: h.pread(CHUNK, 5 * CHUNK)),
                             ("rewrite of an unshared chunk", lambda: h.pwrite(b"newer", 0)),
                             ("flush", h.flush),
                             ("cached read of a copied chunk", lambda: s.pread(4096, 0)),
                             ("cached read of a chunk in the origin", lambda: s.pread(4096, 9 * CHUNK))):
            seconds, _ = timed(action)
            expect(seconds < 1 * SLOWNESS, f"{what} took {seconds:.1f} s without the server")
        # A first write waits; it is carried out when a server is back.
        write = Later(lambda: h.pwrite(b"changed", 9 * CHUNK))
        time.sleep(1)
        expect(write.is_alive(), "a first write did not wait for the server")
        r.restart_server()
        write.join(20)
        expect(not write.is_alive() and write.failure is None, f"the waiting write: {write.failure}")
        expect(bytes(r.connect("vol@s").pread(3, 9 * CHUNK)) == b"old", "the snapshot after the restart")
        expect(bytes(r.connect("vol").pread(7, 9 * CHUNK)) == b"changed", "the origin after the restart")
        r.stop()
        r.check()


def without_a_lease_writes_and_snapshot_reads_wait():
    with Rig(format_args=("--lease-ms", "1000")) as r:
        h, s = prepared(r)
        r.kill(r.servers[0][0])
        time.sleep(1.5)
        seconds, _ = timed(lambda: h.pread(4096, 0))
        expect(seconds < 1 * SLOWNESS, "origin reads need no lease")
        write, read = Later(lambda: h.pwrite(b"late", 0)), Later(lambda: bytes(s.pread(3, 9 * CHUNK)))
        time.sleep(1)
        expect(write.is_alive() and read.is_alive(), "went on without a lease")
        r.restart_server()
        write.join(20)
        read.join(20)
        expect(write.failure is None and read.outcome == b"old", f"{write.failure} {read.failure} {read.outcome}")
        r.stop()


def a_timeout_gives_an_error():
    with Rig(plugin_args=["timeout=2"]) as r:
        h, _ = prepared(r)
        r.kill(r.servers[0][0])
        begin = time.monotonic()
        try:
            h.pwrite(b"x", 9 * CHUNK)
            raise Failure("the write was acknowledged without a server")
        except nbd.Error as e:
            expect(e.errno == "EIO", f"errno {e.errno}")
        expect(1.5 < time.monotonic() - begin < 6 * SLOWNESS, "the time limit")
        r.restart_server()
        wait_for(lambda: Later_ok(lambda: h.pwrite(b"y", 9 * CHUNK)), 20, "writes after the server is back")
        r.stop()
        r.check()


def Later_ok(action):
    try:
        action()
        return True
    except nbd.Error:
        return False


def nbdkit_stops_promptly_while_requests_wait():
    with Rig() as r:
        h, _ = prepared(r)
        r.kill(r.servers[0][0])
        write = Later(lambda: h.pwrite(b"x", 9 * CHUNK))
        time.sleep(0.5)
        begin = time.monotonic()
        r.plugins[0][0].send_signal(signal.SIGTERM)
        write.join(10)
        expect(write.failure is not None, "the waiting write was acknowledged")
        r.close_handles()
        code = r.plugins[0][0].wait(timeout=30 * SLOWNESS)
        seconds = time.monotonic() - begin
        expect(code == 0 and seconds < 5 * SLOWNESS, f"stopped with {code} after {seconds:.1f} s")


def a_second_server_takes_over():
    with Rig() as r:
        r.start_server()
        r.start_server(wait=False)
        r.start_plugin()
        h = r.connect("vol")
        h.pwrite(b"old", 0)
        r.tool("create", "vol@s")
        first = r.json("status")["term"]
        for _ in range(3):
            h.pwrite(b"again", 0)
            r.kill(r.servers[0][0])
            seconds, _ = timed(lambda: h.pwrite(b"more", 3 * CHUNK))
            expect(seconds < 10 * SLOWNESS, f"takeover took {seconds:.1f} s")
            r.restart_server(0, wait=False)
            r.servers[0], r.servers[1] = r.servers[1], r.servers[0]
            time.sleep(0.3)
        expect(r.json("status")["term"] != first, "the term did not change")
        expect(bytes(r.connect("vol@s").pread(3, 0)) == b"old", "the snapshot")
        r.stop()
        r.check()


def a_frozen_client_makes_a_create_fail_by_name():
    with Rig(format_args=("--barrier-ms", "1500")) as r:
        r.start_server()
        r.start_plugin()
        r.start_plugin()
        a, b = r.connect("vol", 0), r.connect("vol", 1)
        a.pwrite(b"a", 0)
        b.pwrite(b"b", CHUNK)
        frozen = r.plugins[1][0]
        frozen.send_signal(signal.SIGSTOP)
        try:
            seconds, (code, _, err) = timed(lambda: r.try_tool("create", "vol@s"))
            expect(code == 1 and str(frozen.pid) in err, f"create said {code}: {err}")
            expect(seconds < 6 * SLOWNESS, f"the deadline took {seconds:.1f} s")
            seconds, _ = timed(lambda: a.pwrite(b"a", 0))
            expect(seconds < 2 * SLOWNESS, "the I/O of the others hung")
        finally:
            frozen.send_signal(signal.SIGCONT)
        b.pwrite(b"b", CHUNK)
        r.tool("create", "vol@s")
        expect(bytes(r.connect("vol@s").pread(1, CHUNK)) == b"b", "the snapshot")
        # Killed, it is known dead: nobody waits for it.
        r.kill(frozen)
        seconds, _ = timed(lambda: r.tool("create", "vol@s2"))
        expect(seconds < 1.4 * SLOWNESS, f"create after a kill took {seconds:.1f} s")
        r.stop()
        r.check()


if __name__ == "__main__":
    run([what_needs_no_server_goes_on, without_a_lease_writes_and_snapshot_reads_wait, a_timeout_gives_an_error,
         nbdkit_stops_promptly_while_requests_wait, a_second_server_takes_over,
         a_frozen_client_makes_a_create_fail_by_name])
