# SPDX-License-Identifier: BSD-3-Clause
"""Stock programs on csnap's exports: fio, qemu-io, qemu-img, qemu-nbd, nbdcopy, nbdinfo."""
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time

import nbd

from rig import CHUNK, SLOWNESS, Rig, expect, run, wait_for


def shell(*args, fails=False):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=120 * SLOWNESS)
    command = " ".join(map(str, args))
    expect((done.returncode != 0) == fails, f"{command}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def scribble(handle, size, seed, writes=60):
    """Writes, zeroes and trims of all sizes, by the seed."""
    rng = random.Random(seed)
    for _ in range(writes):
        length = rng.choice((512, 4096, 5000, CHUNK, 3 * CHUNK))
        offset = rng.randrange(size - length)
        what = rng.random()
        if what < 0.7:
            handle.pwrite(rng.randbytes(length), offset)
        elif what < 0.85:
            handle.zero(length, offset)
        else:
            handle.trim(length, offset)
    handle.flush()


def content(uri, path):
    shell("nbdcopy", uri, path)
    return path.read_bytes()


def fio_verifies_what_it_wrote_across_snapshots():
    with Rig(size=32 << 20, store=128 << 20) as r:
        r.start_server()
        r.start_plugin()
        job = ["fio", "--name=v", "--ioengine=nbd", f"--uri={r.uri('vol')}", "--size=32m", "--rw=randwrite",
               "--bs=4k-64k", "--bs_unaligned=0", "--iodepth=16", "--verify=crc32c",
               "--verify_fatal=1", "--do_verify=1",
               "--verify_state_save=0", "--output=" + os.devnull]
        done = threading.Event()

        def create():
            for n in range(8):
                r.tool("create", f"vol@f{n}")
                if done.wait(0.2):
                    return
        creator = threading.Thread(target=create)
        creator.start()
        try:
            shell(*job)
        finally:
            done.set()
            creator.join()
        r.stop()
        r.check()


def qemu_io_finds_its_patterns():
    with Rig() as r:
        r.start_server()
        r.start_plugin()

        def qemu_io(export, *commands, fails=False):
            return shell("qemu-io", "-f", "raw", *(["-r"] if "@" in export and not fails else []),
                         *(a for c in commands for a in ("-c", c)), r.uri(export), fails=fails)
        qemu_io("vol", "write -P 0x11 0 1M", "write -P 0x22 65000 3000", "flush")
        r.tool("create", "vol@s")
        out = qemu_io("vol", "write -P 0x33 0 128k", "write -z 128k 64k", "discard 256k 64k", "write -P 0x44 -f 1M 512",
                      "read -P 0x33 0 128k", "read -P 0 128k 64k", "read -P 0x11 192k 64k", "read -P 0x44 1M 512")
        out += qemu_io("vol@s", "read -P 0x11 0 65000", "read -P 0x22 65000 3000", "read -P 0x11 68000 512",
                       "read -P 0 1M 512")
        expect("verification failed" not in out, out)
        qemu_io("vol@s", "write -P 0x55 0 512", fails=True)
        r.stop()
        r.check()


def nbdcopy_goes_both_ways():
    size = 24 << 20
    with Rig(size=size) as r:
        r.start_server()
        r.start_plugin()
        source = r.dir / "source"
        source.write_bytes(random.Random(5).randbytes(size // 2) + bytes(size // 2))
        shell("nbdcopy", "--flush", source, r.uri("vol"))
        r.tool("create", "vol@s")
        scribble(r.connect("vol"), size, 6)
        shell("nbdcopy", r.uri("vol@s"), r.dir / "back")
        shell("cmp", source, r.dir / "back")
        # From a snapshot to the origin: a rollback by hand. The snapshot must not move while the origin does.
        shell("nbdcopy", "--destination-is-zero", r.uri("vol@s"), r.dir / "again")
        shell("nbdcopy", "--flush", r.uri("vol@s"), r.uri("vol"))
        shell("cmp", r.dir / "again", source)
        shell("nbdcopy", r.uri("vol"), r.dir / "origin")
        shell("cmp", r.dir / "origin", source)
        r.stop()
        r.check()


def nbdinfo_maps_every_kind_of_export():
    with Rig() as r:
        r.start_server()
        r.start_plugin()
        h = r.connect("vol")
        r.tool("create", "vol@a")
        scribble(h, r.size, 7)
        r.tool("create", "vol@b")
        scribble(h, r.size, 8)
        for export in ("vol", "vol@a", "vol@b", "vol@a..b"):
            extents = json.loads(shell("nbdinfo", "--map", "--json", r.uri(export)))
            offset = 0
            for e in extents:
                expect(e["offset"] == offset and e["length"] > 0, f"{export}: a gap at {offset}: {e}")
                expect(".." in export or e["type"] in (0, 2, 3), f"{export}: a hole that is not zero: {e}")
                offset += e["length"]
            expect(offset == r.size, f"{export}: the map ends at {offset}")
            totals = json.loads(shell("nbdinfo", "--map", "--totals", "--json", r.uri(export)))
            expect(sum(t["size"] for t in totals) == r.size, f"{export}: totals {totals}")
        r.stop()


def qemu_img_makes_full_and_incremental_backups():
    size = 16 << 20
    with Rig(size=size) as r:
        r.start_server()
        r.start_plugin()
        h = r.connect("vol")
        scribble(h, size, 9)
        base = r.dir / "full.qcow2"
        previous = None
        for n in range(4):
            r.tool("create", f"vol@n{n}")
            scribble(h, size, 10 + n, writes=12)
            image = base if previous is None else r.dir / f"inc{n}.qcow2"
            if previous is None:
                shell("qemu-img", "convert", "-f", "raw", "-O", "qcow2", r.uri("vol@n0"), image)
            else:
                shell("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-B", previous, "-F", "qcow2",
                      r.uri(f"vol@n{n - 1}..n{n}"), image)
                expect(image.stat().st_size < base.stat().st_size, "an incremental image as large as the full one")
            previous = image
            restored = r.dir / "restored"
            shell("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, restored)
            expect(restored.read_bytes() == content(r.uri(f"vol@n{n}"), r.dir / "snapshot"), f"backup {n} differs")
        r.stop()
        r.check()


class QemuNbd:
    """qemu-nbd on a socket of its own; ended with the block."""

    def __init__(self, rig, *args):
        self.socket = rig.dir / f"qemu{len(rig.processes)}.sock"
        self.process = rig.spawn(["qemu-nbd", "-t", "-k", self.socket, *args], "qemu-nbd.log")

        def ready():
            expect(self.process.poll() is None, f"qemu-nbd ended: {rig.log('qemu-nbd.log')}")
            with socket.socket(socket.AF_UNIX) as s:
                return s.connect_ex(str(self.socket)) == 0
        wait_for(ready, 20, "qemu-nbd's socket")
        self.uri = f"nbd+unix:///?socket={self.socket}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=30 * SLOWNESS)


def a_pair_of_snapshots_becomes_a_dirty_bitmap():
    size = 16 << 20
    with Rig(size=size) as r:
        r.start_server()
        r.start_plugin()
        h = r.connect("vol")
        scribble(h, size, 20)
        r.tool("create", "vol@a")
        h.pwrite(b"x" * 100, 3 * CHUNK)
        h.pwrite(b"y" * CHUNK * 2, 40 * CHUNK)
        r.tool("create", "vol@b")
        base, changed = r.dir / "base.qcow2", r.dir / "changed.qcow2"
        shell("qemu-img", "convert", "-f", "raw", "-O", "qcow2", r.uri("vol@a"), base)
        shell("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", changed)
        shell("qemu-img", "bitmap", "--add", changed, "since-a")
        shell("qemu-img", "convert", "-n", "-f", "raw", "-O", "qcow2", "-B", base, "-F", "qcow2", r.uri("vol@a..b"),
              changed)
        with QemuNbd(r, "-r", "-f", "qcow2", "-B", "since-a", changed) as server:
            extents = json.loads(shell("nbdinfo", "--map=qemu:dirty-bitmap:since-a", "--json", server.uri))
        dirty = [(e["offset"], e["length"]) for e in extents if e["type"] == 1]
        expect(dirty == [(e["offset"], e["length"]) for e in r.json("diff", "vol@a", "vol@b")], f"dirty {dirty}")
        r.stop()


def qemu_rides_over_the_death_of_nbdkit_and_server():
    """qemu's NBD driver with reconnect-delay, as a guest's disk has it: its own client sees no error."""
    with Rig() as r:
        r.start_server()
        r.start_plugin()
        where = {"driver": "nbd", "server": {"type": "unix", "path": str(r.plugins[0][1])}, "export": "vol",
                 "reconnect-delay": 60}
        with QemuNbd(r, "json:" + json.dumps({"driver": "raw", "file": where})) as qemu:
            guest = nbd.NBD()
            guest.connect_uri(qemu.uri)
            written, errors, stop = {}, [], threading.Event()

            def work():
                rng = random.Random(30)
                try:
                    while not stop.is_set():
                        sector = rng.randrange(r.size // 4096)
                        data = rng.randbytes(4096)
                        guest.pwrite(data, sector * 4096)
                        written[sector] = data
                        guest.flush()
                except nbd.Error as error:
                    errors.append(str(error))
            worker = threading.Thread(target=work)
            worker.start()
            for n in range(3):
                time.sleep(0.5)
                r.kill(r.plugins[0][0])
                time.sleep(0.3)
                r.restart_plugin(0)
                time.sleep(0.5)
                r.kill(r.servers[0][0])
                r.restart_server(0)
                r.tool("create", f"vol@q{n}")
            count = len(written)
            wait_for(lambda: len(written) > count or errors, 60, "the guest's writes to go on")
            stop.set()
            worker.join(timeout=90 * SLOWNESS)
            expect(not worker.is_alive() and not errors, f"the guest saw {errors}")
            for sector, data in written.items():
                expect(bytes(guest.pread(4096, sector * 4096)) == data, f"sector {sector} of the guest")
            guest.shutdown()
        r.stop()
        r.check()


def busy_clients_are_killed_a_hundred_times():
    """With parallel=off, which avoids nbdkit's defect D1: nbdkit lives, and what was flushed stays."""
    size = 64 << 20
    # Never past the end: there qemu-img bench begins again at 0, where the marker is.
    requests = str((size - CHUNK) // 4096)
    with Rig(size=size, store=512 << 20, plugin_args=("parallel=off",)) as r:
        r.start_server()
        r.start_plugin()
        h = r.connect("vol")
        marker = random.Random(40).randbytes(CHUNK)
        h.pwrite(marker, 0)
        h.flush()
        kept = None
        for n in range(100):
            if n % 20 == 0:
                r.tool("create", f"vol@k{n}")
                kept = kept or content(r.uri("vol@k0"), r.dir / "kept")
            client = subprocess.Popen(["qemu-img", "bench", "-w", "-c", requests, "-d", "32", "-s", "4096",
                                       "-o", str(CHUNK), "-f", "raw", "-t", "none", r.uri("vol")],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.02 + 0.0008 * n)
            client.send_signal(signal.SIGKILL)
            client.wait()
            expect(r.plugins[0][0].poll() is None, f"nbdkit ended after {n} dead clients")
        expect(bytes(h.pread(CHUNK, 0)) == marker, "the origin lost what was flushed")
        expect(content(r.uri("vol@k0"), r.dir / "again") == kept, "a snapshot changed")
        r.stop()
        r.check()


run([fio_verifies_what_it_wrote_across_snapshots, qemu_io_finds_its_patterns, nbdcopy_goes_both_ways,
     nbdinfo_maps_every_kind_of_export, qemu_img_makes_full_and_incremental_backups,
     a_pair_of_snapshots_becomes_a_dirty_bitmap, qemu_rides_over_the_death_of_nbdkit_and_server,
     busy_clients_are_killed_a_hundred_times])
