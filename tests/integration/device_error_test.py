# SPDX-License-Identifier: BSD-3-Clause
"""Devices that fail: origin and store are NBD exports of nbdkit with its error filter, switched on by a file.

Which request fails, what else goes on, and that neither the volume nor a snapshot is wrong then or later.
"""
import contextlib
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time

import nbd

from outage_test import Later
from rig import CHUNK, SLOWNESS, Failure, Rig, expect, run, wait_for

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


if __name__ == "__main__":
    run([eio_at_a_write_of_the_store, enospc_at_a_write_of_the_store, eio_at_a_write_of_the_origin,
         enospc_at_a_write_of_the_origin, eio_at_a_read_of_the_origin, eio_at_a_read_of_the_store,
         errors_that_come_and_go_under_load, a_store_that_is_gone_for_a_while])
