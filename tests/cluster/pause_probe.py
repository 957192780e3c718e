# SPDX-License-Identifier: BSD-3-Clause
"""A process that does one kind of I/O at a steady pace and records how long each took, to find the longest pause.

usage: pause_probe.py KIND SOCKET SNAPSHOT FILE FIRST

KIND: origin-read, rewrite, cached-read (of a chunk in the store) need no server, but for a lease; delegated-read is of
a chunk in the origin, which a client may read for as long as it is connected; first-write is of the next chunk, from
FIRST on, that the snapshot shares; uncached-read is of the next segment of the snapshot. A line of FILE is
"CALLED-NS TOOK-NS" on CLOCK_MONOTONIC. SIGTERM ends it.
"""
import signal
import sys
import time

import nbd

CHUNK = 4096                    # small ones, so that there are enough of them
SEGMENT = 256 * CHUNK
PACE = {"origin-read": 0.005, "rewrite": 0.005, "cached-read": 0.005, "delegated-read": 0.005, "first-write": 0.01,
        "uncached-read": 0.015}


def actions(kind, handle, first):
    """What to do, again and again."""
    if kind == "origin-read":
        while True:
            yield lambda: handle.pread(CHUNK, 0)
    elif kind == "rewrite":
        handle.pwrite(bytes(CHUNK), first * CHUNK)
        while True:
            yield lambda: handle.pwrite(bytes(CHUNK), first * CHUNK)
    elif kind in ("cached-read", "delegated-read"):
        while True:
            yield lambda: handle.pread(CHUNK, first * CHUNK)
    elif kind == "first-write":
        for chunk in range(first, handle.get_size() // CHUNK):
            yield lambda c=chunk: handle.pwrite(b"x" * CHUNK, c * CHUNK)
    for segment in range(first * CHUNK // SEGMENT, handle.get_size() // SEGMENT):
        yield lambda s=segment: handle.pread(CHUNK, s * SEGMENT)


def connect(socket, export):
    handle = nbd.NBD()
    handle.set_export_name(export)
    handle.connect_unix(socket)
    return handle


def main():
    kind, socket, snapshot, path, first = *sys.argv[1:5], int(sys.argv[5])
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
    if kind == "cached-read":
        connect(socket, "vol").pwrite(b"x" * CHUNK, first * CHUNK)
    handle = connect(socket, f"vol@{snapshot}" if kind in ("cached-read", "delegated-read", "uncached-read") else "vol")
    with open(path, "w", encoding="ascii") as file:
        for action in actions(kind, handle, first):
            called = time.monotonic_ns()
            action()
            print(called, time.monotonic_ns() - called, file=file, flush=True)
            if ending:
                return
            time.sleep(PACE[kind])
    sys.exit(f"{kind}: the volume is too small for so long a run")


if __name__ == "__main__":
    main()
