# SPDX-License-Identifier: BSD-3-Clause
"""Devices that fail: origin and store are NBD exports of nbdkit with its error filter, switched on by a file.

Which request fails, what else goes on, and that neither the volume nor a snapshot is wrong then or later.
"""
import contextlib
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import nbd

from outage_test import Later, timed
from rig import CHUNK, PLUGIN, SLOWNESS, Failure, Rig, expect, nbdkit_environment, run, wait_for

SIZE = 4 << 20
CHUNKS = SIZE // CHUNK
OLD = b"".join(bytes([c + 1]) * CHUNK for c in range(CHUNKS))


class FailingDevice:
    """An NBD export over a file, whose requests of one kind fail while `trigger` exists."""

    def __init__(self, size, kind, error):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="csnap-failing-"))
        self.socket, self.trigger = self.directory / "sock", self.directory / "fail"
        with open(self.directory / "data", "wb") as f:
            f.truncate(size)
        self.args = ["nbdkit", "-f", "-U", self.socket, "--filter=error", "file", self.directory / "data",
                     f"error-{kind}={error}", f"error-{kind}-rate=100%", f"error-{kind}-file={self.trigger}"]
        self.uri = f"nbd+unix:///?socket={self.socket}"
        self.start()

    def start(self):
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.socket.exists, 10, "the device")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def fail(self):
        self.trigger.touch()

    def work(self):
        self.trigger.unlink()


@contextlib.contextmanager
def failing(which, kind, error):
    """A rig whose origin or store can fail (the metadata is on a file of its own), and a handle of its volume, which
    holds OLD and has a snapshot s of that."""
    device = FailingDevice(SIZE if which == "origin" else 64 << 20, kind, error)
    metadata = device.directory / "metadata"
    with open(metadata, "wb") as f:
        f.truncate(64 << 20)
    args = ["--metadata", metadata]
    try:
        with Rig(size=SIZE, plugin_args=["timeout=20"], format_args=args, server_args=args,
                 origin_device=device.uri if which == "origin" else None,
                 store_device=device.uri if which == "store" else None) as r:
            r.start_server()
            r.start_plugin()
            h = r.connect("vol")
            h.pwrite(OLD, 0)
            h.flush()
            r.tool("create", "vol@s")
            yield r, device, h
            r.stop()
            r.check(*args)
    finally:
        device.kill()
        shutil.rmtree(device.directory, ignore_errors=True)


def expect_at_last(rig, want):
    expect(bytes(rig.connect("vol").pread(SIZE, 0)) == want, "the origin")
    expect(bytes(rig.connect("vol@s").pread(SIZE, 0)) == OLD, "the snapshot")


def error_of(action):
    try:
        action()
    except nbd.Error as e:
        return e.errno
    return None


def with_chunk(content, chunk, new):
    return content[:chunk * CHUNK] + new + content[chunk * CHUNK + len(new):]


def a_copy_that_cannot_be_written_fails_that_write(error):
    with failing("store", "pwrite", error) as (r, device, h):
        h.pwrite(b"\xee" * 4096, 0)
        device.fail()
        expect(error_of(lambda: h.pwrite(b"\xee" * 4096, CHUNK)) == error, "a write whose copy failed")
        expect(error_of(lambda: h.zero(CHUNK, 2 * CHUNK)) == error, "a zero whose copy failed")
        expect(error_of(lambda: h.pwrite(b"\xef" * 4096, 0)) is None, "a write that needs no copy")
        expect(bytes(r.connect("vol@s").pread(SIZE, 0)) == OLD, "the snapshot meanwhile")
        want = with_chunk(OLD, 0, b"\xef" * 4096)
        expect(bytes(h.pread(SIZE, 0)) == want, "the origin meanwhile")
        device.work()
        h.pwrite(b"\xed" * 4096, CHUNK)
        expect_at_last(r, with_chunk(want, 1, b"\xed" * 4096))


def eio_at_a_write_of_the_store():
    a_copy_that_cannot_be_written_fails_that_write("EIO")


def enospc_at_a_write_of_the_store():
    a_copy_that_cannot_be_written_fails_that_write("ENOSPC")


def a_write_of_the_origin_that_fails_leaves_the_snapshot(error):
    with failing("origin", "pwrite", error) as (r, device, h):
        device.fail()
        expect(error_of(lambda: h.pwrite(b"\xee" * 4096, CHUNK)) == error, "a write that the origin refused")
        expect(bytes(h.pread(SIZE, 0)) == OLD, "the origin meanwhile")
        expect(bytes(r.connect("vol@s").pread(SIZE, 0)) == OLD, "the snapshot meanwhile")
        r.tool("create", "vol@t")
        device.work()
        h.pwrite(b"\xed" * 4096, CHUNK)
        expect(bytes(r.connect("vol@t").pread(SIZE, 0)) == OLD, "a snapshot made meanwhile")
        expect_at_last(r, with_chunk(OLD, 1, b"\xed" * 4096))


def eio_at_a_write_of_the_origin():
    a_write_of_the_origin_that_fails_leaves_the_snapshot("EIO")


def enospc_at_a_write_of_the_origin():
    a_write_of_the_origin_that_fails_leaves_the_snapshot("ENOSPC")


def eio_at_a_read_of_the_origin():
    """Nothing can be copied, so nothing that needs a copy may be overwritten."""
    with failing("origin", "pread", "EIO") as (r, device, h):
        h.pwrite(b"\xee" * CHUNK, 0)
        device.fail()
        expect(error_of(lambda: h.pread(4096, 0)) == "EIO", "a read")
        expect(error_of(lambda: h.pwrite(b"\xee" * CHUNK, CHUNK)) == "EIO", "a write that needs a copy")
        expect(error_of(lambda: h.pwrite(b"\xef" * CHUNK, 0)) is None, "a write that needs none")
        s = r.connect("vol@s")
        expect(error_of(lambda: s.pread(4096, CHUNK)) == "EIO", "a read of the snapshot that is in the origin")
        expect(bytes(s.pread(CHUNK, 0)) == OLD[:CHUNK], "a read of the snapshot that is in the store")
        device.work()
        h.pwrite(b"\xed" * CHUNK, CHUNK)
        expect_at_last(r, with_chunk(with_chunk(OLD, 0, b"\xef" * CHUNK), 1, b"\xed" * CHUNK))


def eio_at_a_read_of_the_store():
    with failing("store", "pread", "EIO") as (r, device, h):
        h.pwrite(b"\xee" * CHUNK, 0)
        s = r.connect("vol@s")
        device.fail()
        expect(error_of(lambda: s.pread(4096, 0)) == "EIO", "a read of what is in the store")
        expect(bytes(s.pread(CHUNK, CHUNK)) == OLD[CHUNK:2 * CHUNK], "a read of what is in the origin")
        h.pwrite(b"\xef" * CHUNK, 2 * CHUNK)                # copying only writes the store
        device.work()
        expect_at_last(r, with_chunk(with_chunk(OLD, 0, b"\xee" * CHUNK), 2, b"\xef" * CHUNK))


def errors_that_come_and_go_under_load():
    """Each write either fails or is there; the snapshot is never wrong, whatever failed."""
    with failing("store", "pwrite", "EIO") as (r, device, _):
        stop, failures, done = threading.Event(), [0], [0] * 4
        content = [bytearray(OLD[n * SIZE // 4:(n + 1) * SIZE // 4]) for n in range(4)]

        def work(n):
            h, number = r.connect("vol"), 0
            while not stop.is_set():
                number += 1
                offset = number * 7 % (CHUNKS // 4) * CHUNK
                data = bytes([number % 255 + 1]) * 4096
                try:
                    h.pwrite(data, n * SIZE // 4 + offset)
                    content[n][offset:offset + 4096] = data
                    done[n] += 1
                except nbd.Error:
                    failures[0] += 1
        workers = [Later(lambda n=n: work(n)) for n in range(4)]
        for n in range(6):
            device.fail()
            r.tool("create", f"vol@load{n}")                    # all chunks need a copy again
            time.sleep(0.2)
            device.work()
            time.sleep(0.2)
        stop.set()
        for w in workers:
            w.join(60 * SLOWNESS)
            if w.is_alive() or w.failure:
                raise Failure(f"a writer: {w.failure or 'hangs'}")
        expect(failures[0] > 0 and min(done) > 0, f"{failures[0]} failed, {done} done")
        expect_at_last(r, b"".join(bytes(c) for c in content))


def a_store_that_is_gone_for_a_while():
    """Its NBD server is killed: what it had not flushed may be lost, so copying fails until nbdkit starts anew."""
    with failing("store", "pwrite", "EIO") as (r, device, h):
        h.pwrite(b"\xee" * CHUNK, 0)
        device.kill()
        expect(error_of(lambda: h.pwrite(b"\xee" * CHUNK, CHUNK)) == "EIO", "a write whose copy has no place to go")
        expect(error_of(lambda: h.pwrite(b"\xef" * CHUNK, 0)) is None, "a write that needs no copy")
        device.start()
        error_of(lambda: h.pwrite(b"\xed" * CHUNK, CHUNK))      # whether it trusts the store again is its choice
        r.close_handles()
        r.kill(r.plugins[0][0])
        r.restart_plugin(0)
        h = r.connect("vol")
        h.pwrite(b"\xed" * CHUNK, CHUNK)
        expect_at_last(r, with_chunk(with_chunk(OLD, 0, b"\xef" * CHUNK), 1, b"\xed" * CHUNK))


def eio_at_a_read_of_the_metadata_stops_the_server():
    """Fail-stop: what it cannot read it does not guess. Started again it knows everything."""
    device = FailingDevice(64 << 20, "pread", "EIO")
    args = ["--metadata", device.uri]
    try:
        with Rig(size=SIZE, plugin_args=["timeout=20"], format_args=args,
                 server_args=[*args, "--lock", device.directory / "lock"]) as r:
            server = r.start_server()
            r.start_plugin()
            h = r.connect("vol")
            h.pwrite(OLD, 0)
            r.tool("create", "vol@s")
            h.pwrite(OLD[::-1], 0)
            r.kill(server, signal.SIGTERM)              # its index is on the device now, and in no cache
            server = r.restart_server()
            device.fail()
            s = r.connect("vol@s")
            read = Later(lambda: bytes(s.pread(SIZE, 0)))
            expect(server.wait(timeout=20 * SLOWNESS) == 1, f"the server's exit status is {server.returncode}")
            expect("cannot be used" in r.log("server0.log"), "the reason is not in the log")
            expect(read.is_alive(), f"a read was answered: {read.failure}")
            device.work()
            r.restart_server()
            read.join(20 * SLOWNESS)
            expect(read.outcome == OLD, f"the read that waited: {read.failure}")
            expect(bytes(h.pread(SIZE, 0)) == OLD[::-1], "the origin")
            r.stop()
            r.check(*args)
    finally:
        device.kill()
        shutil.rmtree(device.directory, ignore_errors=True)


def a_slow_store_delays_what_needs_it_and_nothing_else():
    delay = 0.5
    with tempfile.TemporaryDirectory(prefix="csnap-slow-") as name:
        directory = pathlib.Path(name)
        for file in ("data", "metadata"):
            with open(directory / file, "wb") as f:
                f.truncate(64 << 20)
        socket, args = directory / "sock", ["--metadata", directory / "metadata"]
        slow = subprocess.Popen(["nbdkit", "-f", "-U", socket, "--filter=delay", "file", directory / "data",
                                 f"wdelay={int(delay * 1000)}ms"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(socket.exists, 10, "the device")
            with Rig(size=SIZE, format_args=args, server_args=args,
                     store_device=f"nbd+unix:///?socket={socket}") as r:
                r.start_server()
                r.start_plugin()
                h = r.connect("vol")
                h.pwrite(OLD, 0)
                r.tool("create", "vol@s")
                seconds, _ = timed(lambda: h.pwrite(b"\xee" * 4096, 0))
                expect(seconds >= delay, f"acknowledged after {seconds:.2f} s, before its copy was there")
                copy = Later(lambda: r.connect("vol").pwrite(b"\xee" * 4096, CHUNK))
                time.sleep(delay / 5)
                for what, action in (("a read", lambda: h.pread(4096, 2 * CHUNK)),
                                     ("a write that needs no copy", lambda: h.pwrite(b"\xef" * 4096, 0))):
                    seconds, _ = timed(action)
                    expect(seconds < delay * SLOWNESS, f"{what} took {seconds:.2f} s")
                seconds, _ = timed(lambda: r.tool("create", "vol@t"))
                expect(seconds < 3 * SLOWNESS, f"a create took {seconds:.2f} s")
                copy.join(30 * SLOWNESS)
                expect(not copy.is_alive() and copy.failure is None, f"the slow copy: {copy.failure}")
                expect_at_last(r, with_chunk(with_chunk(OLD, 0, b"\xef" * 4096), 1, b"\xee" * 4096))
                r.stop()
                r.check(*args)
        finally:
            slow.kill()
            slow.wait()


def a_device_of_another_size_or_name_is_refused():
    def refused(rig, words, *parameters):
        done = subprocess.run(["nbdkit", "-f", "-U", rig.dir / "x.sock", PLUGIN, "server=" + rig.endpoints[0],
                               *parameters, "--run", "true"], capture_output=True, text=True,
                              timeout=60 * SLOWNESS, env=nbdkit_environment())
        expect(done.returncode == 1 and words in done.stderr, f"{parameters}: {done.returncode}: {done.stderr}")
    with Rig(volumes=("vol", "vol2")) as r:
        r.start_server()
        smaller = r.make_file("smaller", r.size - 4096)
        refused(r, "no csnap store", f"store={r.origins['vol']}")
        refused(r, "but the volume has", f"store={r.store}", f"device.vol={smaller}")
        refused(r, "", f"store={r.store}", f"device.vol={r.dir}/nothing")
        refused(r, "no volume of this name", f"store={r.store}", f"device.other={smaller}")
        expect(smaller.read_bytes() == bytes(r.size - 4096), "something was written to it")
        r.stop()
        r.check()


def another_store_than_the_servers_is_not_written():
    with Rig() as r, Rig() as other:
        r.start_server()
        r.start_plugin()
        h = r.connect("vol")
        h.pwrite(OLD[:CHUNK], 0)
        r.tool("create", "vol@s")
        before = pathlib.Path(other.store).read_bytes()
        own, r.store = r.store, other.store
        wrong = r.start_plugin()
        expect(error_of(lambda: r.connect("vol", wrong).pwrite(b"x" * 4096, 0)) == "EIO", "a write")
        expect(error_of(lambda: r.connect("vol@s", wrong)) is not None, "a snapshot was opened")
        expect("the server serves store" in r.log(f"nbd{wrong}.log"), "the reason is not in the log")
        r.store = own
        expect(pathlib.Path(other.store).read_bytes() == before, "the other store was written")
        expect(bytes(h.pread(CHUNK, 0)) == OLD[:CHUNK], "the volume")
        expect(bytes(r.connect("vol@s").pread(CHUNK, 0)) == OLD[:CHUNK], "the snapshot")
        r.stop()
        r.check()


if __name__ == "__main__":
    run([eio_at_a_write_of_the_store, enospc_at_a_write_of_the_store, eio_at_a_write_of_the_origin,
         enospc_at_a_write_of_the_origin, eio_at_a_read_of_the_origin, eio_at_a_read_of_the_store,
         errors_that_come_and_go_under_load, a_store_that_is_gone_for_a_while,
         eio_at_a_read_of_the_metadata_stops_the_server, a_slow_store_delays_what_needs_it_and_nothing_else,
         a_device_of_another_size_or_name_is_refused, another_store_than_the_servers_is_not_written])
