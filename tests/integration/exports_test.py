# SPDX-License-Identifier: BSD-3-Clause
"""What clients see: exports, descriptions, extents, limits, and nbdkit's defects answered (D1-D7 are the
known defects of nbdkit 1.32.5 that docs/architecture.md lists)."""
import json
import os
import signal
import socket
import struct
import subprocess
import time

import nbd

from rig import CHUNK, PLUGIN, SLOWNESS, Failure, Rig, expect, nbdkit_environment, run, wait_for


def info(*args):
    return subprocess.run(["nbdinfo", *args], capture_output=True, text=True, timeout=60 * SLOWNESS)


def exports_are_listed_with_descriptions():
    with Rig() as r:
        r.start_server()
        r.start_plugin()
        r.tool("create", "vol@s1")
        r.tool("create", "vol@s2")
        listed = json.loads(info("--list", "--json", r.uri("")).stdout)["exports"]
        by_name = {e["export-name"]: e for e in listed}
        expect(set(by_name) == {"vol", "vol@s1", "vol@s2"}, f"exports listed: {list(by_name)}")
        expect(all(e.get("description") for e in listed), "an export has no description")
        expect(by_name["vol@s1"]["is_read_only"] and not by_name["vol"]["is_read_only"], "read-only flags")
        for flag in ("can_multi_conn", "can_fua", "can_flush", "can_trim", "can_zero"):
            expect(by_name["vol"][flag], flag)
        # The default export is the only origin; a difference opens but is not listed.
        expect(info("--size", r.uri("")).stdout.strip() == str(r.size), "the default export")
        expect(info("--size", r.uri("vol@s1..s2")).stdout.strip() == str(r.size), "a difference opens")
        for bad in ("vol@s1..", "vol@nope", "nope", "vol@s2..s1", "vol@", "../etc", "vol@s1..s2..s3", "v" * 300):
            expect(info("--size", r.uri(bad)).returncode != 0, f"export {bad!r} was opened")
        r.tool("delete", "vol@s1")
        expect(info("--size", r.uri("vol@s1")).returncode != 0, "a deleted snapshot opens")
        r.stop()
        r.check()


def two_origins_have_no_default():
    with Rig(volumes=("a", "b")) as r:
        r.start_server()
        r.start_plugin()
        expect(info("--size", r.uri("")).returncode != 0, "two origins, and still a default export")
        created = r.json("create", "a@x", "b@x")
        listed = r.json("list")
        expect({(e["volume"], e["snapshot"]) for e in listed} == {("a", "x"), ("b", "x")}, f"group: {listed}")
        expect(len({e["number"] for e in listed}) == 1, f"a group shares one number: {created}")
        r.stop()


def differences_have_exact_extents():
    with Rig() as r:
        r.start_server()
        r.start_plugin()
        h = r.connect("vol")
        h.pwrite(b"\x11" * (4 * CHUNK), 0)
        r.tool("create", "vol@a")
        h.pwrite(b"\x22" * 512, CHUNK + 512)       # one sector of chunk 1
        h.zero(CHUNK, 2 * CHUNK)                    # chunk 2 becomes all zero
        h.pwrite(b"\x33" * CHUNK, 5 * CHUNK)        # chunk 5
        r.tool("create", "vol@b")
        h.pwrite(b"\x44" * 8 * CHUNK, 0)            # copies b's zero chunk out: known to be zero from now on
        extents = []
        d = r.connect("vol@a..b")
        d.block_status(r.size, 0, lambda _m, _o, entries, _e: extents.extend(zip(entries[::2], entries[1::2])) or 0)
        kinds, offset = {}, 0
        for length, kind in extents:
            for chunk in range(offset // CHUNK, (offset + length) // CHUNK):
                kinds[chunk] = kind
            offset += length
        changed = {c: k for c, k in kinds.items() if k != 1}
        expect(set(changed) == {1, 2, 5}, f"changed chunks {changed}")
        expect(changed[1] == 0 and changed[5] == 0 and changed[2] & 2, f"kinds {changed}")
        s = r.connect("vol@b")
        expect(bytes(d.pread(8 * CHUNK, 0)) == bytes(s.pread(8 * CHUNK, 0)), "a difference reads as the newer snapshot")
        diff = r.json("diff", "vol@a", "vol@b")
        expect([(e["offset"], e["length"]) for e in diff] in
               ([(CHUNK, CHUNK), (2 * CHUNK, CHUNK), (5 * CHUNK, CHUNK)], [(CHUNK, 2 * CHUNK), (5 * CHUNK, CHUNK)]),
               f"csnap diff: {diff}")
        expect(r.json("diff", "vol@a", "vol@a") == [] if r.try_tool("diff", "vol@a", "vol@a")[0] == 0 else True, "a..a")
        r.stop()


def d1_dying_clients_do_no_harm():
    """nbdkit 1.32 may abort when a client dies with requests in flight: then it is the normal crash case."""
    with Rig() as r:
        r.start_server()
        r.start_plugin()
        r.tool("create", "vol@s")
        for i in range(12):
            process = r.plugins[0][0]
            if process.poll() is not None:
                r.restart_plugin(0)
            bench = subprocess.Popen(["qemu-img", "bench", "-w", "-c", "100000", "-d", "64", "-s", "4096", "-f", "raw",
                                      "-t", "none", r.uri("vol")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.15)
            bench.kill()
            bench.wait()
        r.kill(r.plugins[0][0])     # it may be about to abort, and then no answer can be relied on
        r.restart_plugin(0)
        expect(bytes(r.connect("vol@s").pread(r.size, 0)) == bytes(r.size), "the snapshot changed")
        r.stop()
        r.check()


def d2_big_zeroes_are_whole():
    size = 256 << 20
    with Rig(size=size, store=512 << 20) as r:
        r.start_server()
        r.start_plugin()
        h = r.connect("vol")
        for offset in range(0, size, 1 << 20):
            h.pwrite(b"\x55" * 4096, offset)
        r.tool("create", "vol@s")
        h.zero(200 << 20, 1 << 20)
        for offset in range(0, size, 1 << 20):
            want = 0 if (1 << 20) <= offset < (201 << 20) else 0x55
            expect(bytes(h.pread(4096, offset)) == bytes([want]) * 4096, f"origin at {offset}")
        s = r.connect("vol@s")
        for offset in range(0, size, 16 << 20):
            expect(bytes(s.pread(4096, offset)) == b"\x55" * 4096, f"snapshot at {offset}")
        r.stop()
        r.check()


def d3_block_status_of_4_gib_is_safe():
    size = 5 << 30
    with Rig(size=size, store=256 << 20) as r:
        r.start_server()
        r.start_plugin()
        r.tool("create", "vol@a")
        r.tool("create", "vol@b")
        for export in ("vol", "vol@a", "vol@a..b"):
            h = r.connect(export)
            h.block_status(0xffffffff, 0, lambda *_: 0)
            expect(r.plugins[0][0].poll() is None, f"block status of {export} ended nbdkit")
        h = r.connect("vol")
        h.trim((4 << 30) - 1, 0)                   # 4 GiB - 1, in bounded memory
        h.zero((4 << 30) - 1, 0)
        r.stop()
        r.check()


def d6_sigterm_with_open_connections_is_clean():
    with Rig() as r:
        r.start_server()
        r.start_plugin()
        h = r.connect("vol")
        h.pwrite(b"x" * 4096, 0)
        process = r.plugins[0][0]
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        begin = time.monotonic()
        r.close_handles()
        expect(process.wait(timeout=30 * SLOWNESS) == 0, "exit status of nbdkit")
        expect(time.monotonic() - begin < 5 * SLOWNESS, "nbdkit was slow to stop")
        # Its session said goodbye: nobody is left for a barrier to wait for.
        wait_for(lambda: r.json("sessions") == [], 5, "the session to be gone")
        r.stop()


def d7_errors_come_before_the_fork():
    with Rig() as r:
        r.start_server()
        pidfile = r.dir / "pid"
        for broken in (["server=unix:/nonexistent/sock", f"store={r.store}"],
                       ["server=" + r.endpoints[0], "store=/nonexistent"],
                       ["server=" + r.endpoints[0], f"store={r.origins['vol']}"],
                       [f"store={r.store}"], ["server=bogus", f"store={r.store}"],
                       ["server=" + r.endpoints[0], f"store={r.store}", "nonsense=1"]):
            done = subprocess.run(["nbdkit", "-P", str(pidfile), "-U", str(r.dir / "x.sock"), str(PLUGIN), *broken],
                                  capture_output=True, text=True, timeout=60 * SLOWNESS, env=nbdkit_environment())
            expect(done.returncode == 1 and not pidfile.exists(), f"{broken}: exit {done.returncode}")
            expect("error" in done.stderr, f"{broken}: {done.stderr}")
        r.stop()


def unaligned_requests_and_limits():
    with Rig(size=(1 << 20) + 12345) as r:
        r.start_server()
        r.start_plugin()
        h = r.connect("vol")
        size = r.size
        h.pwrite(b"\x01" * size, 0)
        r.tool("create", "vol@s")
        h.pwrite(b"\x02" * 7, size - 7)
        h.pwrite(b"\x03", CHUNK - 1)
        h.zero(3, CHUNK * 2 + 1)
        h.pwrite(b"\x04" * (CHUNK + 2), CHUNK * 3 - 1)
        s = r.connect("vol@s")
        expect(bytes(s.pread(size, 0)) == b"\x01" * size, "snapshot of an odd-sized volume")
        want = bytearray(b"\x01" * size)
        want[size - 7:] = b"\x02" * 7
        want[CHUNK - 1:CHUNK] = b"\x03"
        want[CHUNK * 2 + 1:CHUNK * 2 + 4] = b"\0\0\0"
        want[CHUNK * 3 - 1:CHUNK * 4 + 1] = b"\x04" * (CHUNK + 2)
        expect(bytes(h.pread(size, 0)) == bytes(want), "origin of an odd size")
        try:
            s.pwrite(b"x", 0)
            raise Failure("a snapshot was written")
        except nbd.Error:
            pass
        r.stop()
        r.check()


def hang_ups_in_the_middle_of_a_request():
    """Raw connections that drop after a half-sent request."""
    with Rig() as r:
        r.start_server()
        r.start_plugin()
        for _ in range(20):
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(os.fspath(r.plugins[0][1]))
                s.recv(18)
                s.sendall(struct.pack(">I", 3) + b"IHAVEOPT" + struct.pack(">II", 7, 9) + struct.pack(">I", 3) + b"vo")
            except OSError:
                pass
            s.close()
        expect(bytes(r.connect("vol").pread(512, 0)) == bytes(512), "still serving")
        r.stop()


if __name__ == "__main__":
    run([exports_are_listed_with_descriptions, two_origins_have_no_default, differences_have_exact_extents,
         d1_dying_clients_do_no_harm, d2_big_zeroes_are_whole, d3_block_status_of_4_gib_is_safe,
         d6_sigterm_with_open_connections_is_clean, d7_errors_come_before_the_fork,
         unaligned_requests_and_limits, hang_ups_in_the_middle_of_a_request])
