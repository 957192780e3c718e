# SPDX-License-Identifier: BSD-3-Clause
"""A client that speaks to a master as it did to the one before, in frames made here byte by byte (docs/protocol.md): it
is refused, and has to say hello. And a master that is told of a newer term stops."""
import os
import pathlib
import socket
import struct
import time

from rig import SLOWNESS, Rig, expect, run

HELLO, WELCOME, FAILED, RENEW, RENEWED, RESERVE, COMMIT = 1, 2, 3, 4, 5, 16, 18
GONE = 9
NODE = 1
HEADER = "<4sHHIIQQII"
SECRET = os.urandom(16)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


class RawClient:
    def __init__(self, endpoint):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20 * SLOWNESS)
        self.socket.connect(endpoint.removeprefix("unix:"))
        self.request = 0

    def say(self, kind, payload, term):
        self.request += 1

        def frame(checksum):
            return struct.pack(HEADER, b"CSNP", 3, kind, len(payload), checksum, self.request, *term, 0) + payload
        self.socket.sendall(frame(crc32c(frame(0))))

    def hear(self):
        """(type, term, payload); None: the server has hung up."""
        header = self.take(40)
        if header is None:
            return None
        _, _, kind, count, _, request, counter, node, _ = struct.unpack(HEADER, header)
        payload = self.take(count)
        expect(request == self.request, f"an answer to {request}, not to {self.request}")
        return kind, (counter, node), payload

    def take(self, count):
        data = b""
        while len(data) < count:
            try:
                more = self.socket.recv(count - len(data))
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            data += more
        return data

    def hello(self, term, resume=0, secret=SECRET):
        start = int(pathlib.Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        boot = bytes.fromhex(pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", ""))
        process = struct.pack("<16sIQB", boot, os.getpid(), start, 1)
        self.say(HELLO, struct.pack("<BQ16sI3s", NODE, resume, secret, 3, b"raw") + process, term)
        return self.hear()


def session_of(welcome):
    return struct.unpack_from("<Q", welcome, 24)[0]


def code_of(failure):
    return struct.unpack_from("<H", failure)[0]


def begun(r):
    """A session of a master that is no more: (its number, the term of then)."""
    r.start_server()
    kind, term, welcome = RawClient(r.endpoints[0]).hello((0, 0))
    expect(kind == WELCOME and term > (0, 0), f"the first hello: {kind} {term}")
    r.kill(r.servers[0][0])
    r.restart_server()
    return session_of(welcome), term


def an_old_conversation_is_not_continued():
    with Rig() as r:
        _, old = begun(r)
        for kind, payload in ((RENEW, b""), (RESERVE, struct.pack("<IQIB", 8, 0, 0, 0)),
                              (COMMIT, struct.pack("<IQQI", 1, 1, 1, 0))):
            raw = RawClient(r.endpoints[0])
            raw.say(kind, payload, old)
            expect(raw.hear() is None, f"message {kind} of term {old} was answered without a hello")
        expect("a message before the welcome" in r.log("server0.log"), "the log does not say why")
        r.stop()


def a_session_of_an_old_term_is_taken_up_by_a_hello_of_its_own_process_only():
    with Rig(format_args=("--lease-ms", "1000")) as r:
        session, old = begun(r)
        expect(RawClient(r.endpoints[0]).hello(old, session, os.urandom(16)) is None, "a wrong secret was answered")
        kind, _, failure = RawClient(r.endpoints[0]).hello(old, session + 1000)
        expect(kind == FAILED and code_of(failure) == GONE, f"a session that is not there: {kind}")
        raw = RawClient(r.endpoints[0])
        kind, new, welcome = raw.hello(old, session)
        expect(kind == WELCOME and session_of(welcome) == session, f"its own session: {kind}")
        expect(new > old, f"the welcome is of term {new}, not above {old}")
        raw.say(RENEW, b"", new)
        expect(raw.hear()[0] == RENEWED, "a renewal in the new term")
        time.sleep(2.5 * SLOWNESS)
        raw.say(RENEW, b"", new)
        kind, _, failure = raw.hear()
        expect(kind == FAILED and code_of(failure) == GONE, f"a lease that had run out was renewed: {kind}")
        r.stop()


def a_master_that_is_told_of_a_newer_term_stops():
    with Rig() as r:
        _, old = begun(r)
        raw = RawClient(r.endpoints[0])
        answer = raw.hello((old[0] + 100, 0))
        expect(answer is None, f"it was answered: {answer}")
        expect(r.servers[0][0].wait(20 * SLOWNESS) != 0, "the stale master says that all was well")
        expect("newer than ours" in r.log("server0.log"), "the log does not say why")
        r.restart_server()
        r.stop()
        r.check()


if __name__ == "__main__":
    run([an_old_conversation_is_not_continued, a_session_of_an_old_term_is_taken_up_by_a_hello_of_its_own_process_only,
         a_master_that_is_told_of_a_newer_term_stops])
