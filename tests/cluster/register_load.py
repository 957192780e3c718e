# SPDX-License-Identifier: BSD-3-Clause
"""A process that reads and writes sectors which others read and write too, and records each operation: what, and when
it was called and returned on CLOCK_MONOTONIC. register_history.py starts it, and judges.

usage: register_load.py SOCKET FILE BASE OFFSET CHUNKS

The sectors are the first and the last of each chunk, so that neighbours share what is copied out. Its values are BASE
and above. A line of FILE is "w|r SECTOR FIRST-WORD LAST-WORD CALLED-NS RETURNED-NS"; "-" for what was not answered
because nbdkit died, "e TEXT" for an error that no client may see. SIGTERM ends it when all is answered.
"""
import random
import signal
import struct
import sys
import threading
import time

import nbd

SECTOR, CHUNK = 512, 65536
WORDS = SECTOR // 8
PAUSE = 0.004               # seconds between operations of one connection


def place(sector, offset):
    return offset + sector // 2 * CHUNK + (sector % 2) * (CHUNK - SECTOR)


class Client(threading.Thread):
    """One connection, one operation at a time."""

    def __init__(self, load, seed, share_of_writes):
        super().__init__()
        self.load, self.rng, self.share_of_writes = load, random.Random(seed), share_of_writes
        self.handle = None
        self.start()

    def run(self):
        while not self.load.ending.is_set():
            try:
                if self.handle is None:
                    self.handle = self.load.connect()
                self.one()
                time.sleep(PAUSE)
            except nbd.Error as e:
                if self.handle is not None and not self.handle.aio_is_dead() and not self.handle.aio_is_closed():
                    return self.load.fail(str(e))
                self.handle = None          # nbdkit was killed: only then may a client see an error
                time.sleep(0.05)

    def one(self):
        sector = self.rng.randrange(self.load.sectors)
        at = place(sector, self.load.offset)
        if self.rng.random() >= self.share_of_writes:
            called = time.monotonic_ns()
            data = self.handle.pread(SECTOR, at)
            self.load.record("r", sector, *struct.unpack(f"<Q{SECTOR - 16}xQ", data), called, time.monotonic_ns())
            return
        value = self.load.next_value()
        returned = "-"
        called = time.monotonic_ns()
        try:
            self.handle.pwrite(struct.pack("<Q", value) * WORDS, at)
            returned = time.monotonic_ns()
        finally:
            self.load.record("w", sector, value, value, called, returned)


class Load:
    def __init__(self, socket, path, base, offset, chunks):
        self.socket, self.value, self.offset, self.sectors = socket, base, offset, 2 * chunks
        self.file = open(path, "w", encoding="ascii")
        self.lock, self.ending, self.failed = threading.Lock(), threading.Event(), False
        signal.signal(signal.SIGTERM, lambda *_: self.ending.set())

    def connect(self):
        handle = nbd.NBD()
        handle.set_export_name("vol")
        handle.connect_unix(self.socket)
        return handle

    def next_value(self):
        with self.lock:
            self.value += 1
            return self.value

    def record(self, *fields):
        with self.lock:
            print(*fields, file=self.file, flush=True)

    def fail(self, text):
        self.record("e", text)
        self.failed = True
        self.ending.set()


def main():
    load = Load(*sys.argv[1:3], *map(int, sys.argv[3:]))
    clients = [Client(load, load.value + n, share) for n, share in enumerate((0.7, 0.0))]
    for client in clients:
        client.join()
    sys.exit(load.failed)


if __name__ == "__main__":
    main()
