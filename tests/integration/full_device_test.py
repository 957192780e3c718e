# SPDX-License-Identifier: BSD-3-Clause
"""A full store, and files without room to grow on a full filesystem: which writes fail and how, and what then helps.

The cases with a full filesystem need root (a tmpfs in a mount namespace of their own) and are skipped without.
"""
import contextlib
import os
import pathlib
import tempfile
import threading

import nbd

from loop_devices import in_mounts_of_our_own, mount, unmount
from rig import CHUNK, Failure, Rig, expect, run, wait_for

SIZE = 32 << 20
CHUNKS = SIZE // CHUNK


def fill(handle, byte):
    for offset in range(0, SIZE, 1 << 20):
        handle.pwrite(bytes([byte]) * (1 << 20), offset)


def overwrite_until_full(rig, byte, threads=4, errors_wanted=24):
    """One small write to each chunk, by several clients, until many fail (in a full store each waits a little for
    room); returns the chunks written, and the errors of others."""
    written, errors, lock = [], {}, threading.Lock()
    turn = iter(range(CHUNKS))

    def work(handle):
        while True:
            with lock:
                chunk = next(turn, None)
            if chunk is None or len(errors) >= errors_wanted:
                return
            try:
                handle.pwrite(bytes([byte]) * 4096, chunk * CHUNK)
                with lock:
                    written.append(chunk)
            except nbd.Error as e:
                with lock:
                    errors[chunk] = e.errno
    handles = [rig.connect("vol") for _ in range(threads)]
    workers = [threading.Thread(target=work, args=(h,)) for h in handles]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    return written, errors


def succeeds(action):
    try:
        action()
        return True
    except nbd.Error as e:
        if e.errno != "ENOSPC":
            raise Failure(f"errno {e.errno}") from None
        return False


def expect_snapshot(rig, name, byte):
    data = bytes(rig.connect(f"vol@{name}").pread(SIZE, 0))
    expect(data == bytes([byte]) * SIZE, f"vol@{name} is not what it was")


def a_full_store_fails_only_what_needs_a_copy_and_deleting_gives_room():
    with Rig(size=SIZE, store=20 << 20) as r:
        r.start_server()
        r.start_plugin()
        h = r.connect("vol")
        fill(h, 0x11)
        for cycle in range(3):
            old = 0x11 + cycle
            r.tool("create", f"vol@s{cycle}")
            written, errors = overwrite_until_full(r, 0x80 + cycle)
            expect(written and errors, f"{len(written)} chunks written, {len(errors)} not: nothing was filled")
            expect(set(errors.values()) == {"ENOSPC"}, f"errors: {set(errors.values())}")
            expect_snapshot(r, f"s{cycle}", old)
            h.pwrite(b"\x7f" * 4096, written[0] * CHUNK)            # was copied: needs no room
            for chunk in errors:                                    # a failed write leaves the origin alone
                expect(bytes(h.pread(4096, chunk * CHUNK)) == bytes([old]) * 4096, f"chunk {chunk} changed")
            h.flush()
            # Restarting while it is full, reading and administration need no room either.
            r.kill(r.servers[0][0])
            r.restart_server()
            expect([s["snapshot"] for s in r.json("list")] == [f"s{cycle}"], "the list of a full store")
            expect(not succeeds(lambda: h.pwrite(b"\x01" * 4096, next(iter(errors)) * CHUNK)), "room from nowhere")
            r.tool("create", "vol@other")
            r.tool("rename", "vol@other", "vol@another")
            r.tool("delete", "vol@another")
            r.tool("delete", f"vol@s{cycle}")
            for chunk in errors:
                wait_for(lambda: succeeds(lambda: h.pwrite(b"\x01" * 4096, chunk * CHUNK)), 20, "room after the delete")
            fill(h, 0x12 + cycle)
        wait_for(lambda: r.json("status")["exceptions"] == 0, 20, "the reaper")
        r.stop()
        expect(r.check()["exceptions"] == 0, "exceptions were left")


@contextlib.contextmanager
def small_filesystem(size):
    with tempfile.TemporaryDirectory(prefix="csnap-full-") as name:
        mount("-t", "tmpfs", "-o", f"size={size}", "none", name)
        try:
            yield pathlib.Path(name)
        finally:
            unmount(name)


def take_all_but(directory, bytes_left):
    """Fills the filesystem with a file that can be removed."""
    about = os.statvfs(directory)
    ballast = directory / "ballast"
    with open(ballast, "wb") as f:
        os.posix_fallocate(f.fileno(), 0, about.f_bavail * about.f_frsize - bytes_left)
    return ballast


def sparse(path, size):
    with open(path, "wb") as f:
        f.truncate(size)
    return str(path)


def a_sparse_store_that_cannot_grow_gives_no_space():
    with small_filesystem(96 << 20) as small:
        with Rig(size=SIZE, store_device=sparse(small / "store", 256 << 20)) as r:
            r.start_server()
            r.start_plugin()
            h = r.connect("vol")
            fill(h, 0x11)
            with open(r.store, "r+b") as f:             # the metadata has its room; the chunks have not
                os.posix_fallocate(f.fileno(), 0, 16 << 20)
            ballast = take_all_but(small, 4 << 20)
            r.tool("create", "vol@s")
            written, errors = overwrite_until_full(r, 0x22)
            expect(written and set(errors.values()) == {"ENOSPC"}, f"{len(written)} written, errors {errors}")
            expect(r.servers[0][0].poll() is None, "the server ended")
            expect_snapshot(r, "s", 0x11)
            ballast.unlink()
            for chunk in errors:
                expect(succeeds(lambda: h.pwrite(b"\x22" * 4096, chunk * CHUNK)), "the filesystem has room again")
            expect_snapshot(r, "s", 0x11)
            r.stop()
            r.check()


def a_sparse_store_without_room_for_metadata_stops_the_server_and_loses_nothing():
    with small_filesystem(96 << 20) as small:
        with Rig(size=SIZE, store_device=sparse(small / "store", 256 << 20), plugin_args=["timeout=2"]) as r:
            server = r.start_server()
            r.start_plugin()
            h = r.connect("vol")
            fill(h, 0x11)
            r.tool("create", "vol@kept")
            ballast = take_all_but(small, 0)
            for n in range(200):                        # each is a record: the log's next block needs room
                if r.try_tool("create", f"vol@t{n}", timeout=1)[0] != 0:
                    break
            expect(server.wait(timeout=20) == 1, f"the server's exit status is {server.returncode}")
            expect("No space left" in r.log("server0.log"), "the reason is not in the log")
            made = [f"t{i}" for i in range(n)]
            ballast.unlink()
            r.restart_server()
            listed = [s["snapshot"] for s in r.json("list")]
            expect(listed[:n + 1] == ["kept", *made] and len(listed) <= n + 2, f"{n} were acknowledged: {listed}")
            wait_for(lambda: succeeds_at_last(h), 20, "writes after the restart")
            expect_snapshot(r, "kept", 0x11)
            r.stop()
            r.check()


def succeeds_at_last(handle):
    try:
        handle.pwrite(b"\x22" * 4096, 0)
        return True
    except nbd.Error:
        return False


def a_sparse_origin_that_cannot_grow_gives_no_space_like_a_plain_file():
    with small_filesystem(96 << 20) as small:
        with Rig(size=SIZE, origin_device=sparse(small / "vol.img", SIZE)) as r:
            r.start_server()
            r.start_plugin()
            h = r.connect("vol")
            h.pwrite(b"\x11" * CHUNK, 0)
            r.tool("create", "vol@s")
            ballast = take_all_but(small, 0)
            h.pwrite(b"\x22" * CHUNK, 0)                # has its room already
            expect(not succeeds(lambda: h.pwrite(b"\x22" * CHUNK, CHUNK)), "a write where there is no room")
            s = r.connect("vol@s")
            expect(bytes(s.pread(CHUNK, 0)) == b"\x11" * CHUNK, "the snapshot, where written")
            expect(bytes(s.pread(CHUNK, CHUNK)) == bytes(CHUNK), "the snapshot, where the write failed")
            ballast.unlink()
            expect(succeeds(lambda: h.pwrite(b"\x33" * CHUNK, CHUNK)), "a write with room again")
            expect(bytes(s.pread(CHUNK, CHUNK)) == bytes(CHUNK), "the snapshot, where a write went on")
            r.stop()
            r.check()


if __name__ == "__main__":
    in_mounts_of_our_own()
    run([a_full_store_fails_only_what_needs_a_copy_and_deleting_gives_room,
         a_sparse_store_that_cannot_grow_gives_no_space,
         a_sparse_store_without_room_for_metadata_stops_the_server_and_loses_nothing,
         a_sparse_origin_that_cannot_grow_gives_no_space_like_a_plain_file])
