# SPDX-License-Identifier: BSD-3-Clause
"""SQLite on ext4 on a volume, while servers and nbdkits are killed and snapshots are made.

Each transaction adds one row, the next number; synchronous=EXTRA. Afterwards: the database is whole, each transaction
that was acknowledged is in it, and none is missing in between. In each snapshot too, up to the instant it was made.

usage: sqlite_test.py [--seconds N] [CASE ...]
"""
import contextlib
import hashlib
import sqlite3
import sys
import threading
import time

from loop_devices import in_mounts_of_our_own
from mounted_volume import MountedCopy, MountedVolume, need_filesystems
from rig import SLOWNESS, Rig, expect, run, wait_for

SECONDS = 6.0
if "--seconds" in sys.argv:
    at = sys.argv.index("--seconds")
    SECONDS = float(sys.argv[at + 1])
    del sys.argv[at:at + 2]


def content(number):
    return hashlib.sha256(str(number).encode()).digest() * 40


class Writer(threading.Thread):
    def __init__(self, path, journal):
        super().__init__(daemon=True)
        self.path, self.journal = path, journal
        self.acknowledged, self.failure, self.ending = 0, None, False
        self.start()

    def run(self):
        try:
            with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as db:
                db.execute(f"pragma journal_mode={self.journal}")
                # Not "full": in journal mode "delete" that leaves the removal of the journal, which is the commit, to
                # the filesystem's next sync.
                db.execute("pragma synchronous=extra")
                db.execute("create table if not exists t (number integer primary key, content blob)")
                first = db.execute("select coalesce(max(number), 0) from t").fetchone()[0]
                self.acknowledged = first
                while not self.ending:
                    db.execute("insert into t values (?, ?)", (self.acknowledged + 1, content(self.acknowledged + 1)))
                    self.acknowledged += 1
        except (sqlite3.Error, OSError) as e:
            self.failure = e

    def end(self):
        self.ending = True
        self.join(60 * SLOWNESS)
        expect(not self.is_alive(), "the writer hangs")
        return self.failure


def expect_whole(where, least, what):
    with contextlib.closing(sqlite3.connect(where / "db")) as db:
        answer = db.execute("pragma integrity_check").fetchall()
        expect(answer == [("ok",)], f"{what}: {answer}")
        rows = db.execute("select number, content from t order by number").fetchall()
    expect([n for n, _ in rows] == list(range(1, len(rows) + 1)), f"{what}: a transaction is missing")
    expect(all(c == content(n) for n, c in rows), f"{what}: a row has another content")
    expect(len(rows) >= least, f"{what}: {least} transactions were acknowledged, {len(rows)} are there")


class Database:
    """The whole stack, with a writer at its top; r.uri(...) or another URI of the volume below."""

    def __init__(self, rig, journal, uri):
        self.rig, self.journal, self.uri, self.snapshots = rig, journal, uri, {}
        self.volume = MountedVolume(rig, uri, "mounted", make_filesystem=True)
        self.writer = Writer(self.volume.where / "db", journal)
        wait_for(lambda: self.writer.acknowledged > 3 or self.writer.failure, 20, "the first transactions")

    def snapshot(self):
        name, least = f"s{len(self.snapshots)}", self.writer.acknowledged
        self.rig.tool("create", f"vol@{name}")
        self.snapshots[name] = least

    def under_load(self, disturb):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(0.5)
            self.snapshot()
            disturb()
            expect(self.writer.failure is None, f"SQLite saw an error: {self.writer.failure}")

    def expect_all_whole(self):
        expect_whole(self.volume.where, self.writer.acknowledged, "the volume")
        self.volume.unmount()
        names = list(self.snapshots)
        for name in {names[0], names[len(names) // 2], names[-1]}:
            copy = MountedCopy(self.rig, self.rig.uri(f"vol@{name}"), f"copy-{name}")
            expect_whole(copy.where, self.snapshots[name], f"vol@{name}")
            copy.unmount()


def rig():
    need_filesystems()
    return Rig(size=48 << 20, store=512 << 20)


def sqlite_does_not_notice_that_servers_are_killed():
    with rig() as r:
        r.start_server()
        r.start_plugin()
        base = Database(r, "wal", r.uri("vol"))

        def disturb():
            r.kill(r.servers[0][0])
            r.restart_server()
        base.under_load(disturb)
        expect(base.writer.end() is None, f"SQLite saw an error: {base.writer.failure}")
        base.expect_all_whole()
        r.stop()
        r.check()


def sqlite_does_not_notice_that_nbdkits_are_killed_behind_a_client_that_reconnects():
    with rig() as r:
        r.start_server()
        r.start_plugin()
        between = r.dir / "between.sock"
        r.spawn(["nbdkit", "-f", "-U", between, "--filter=retry", "nbd", f"socket={r.plugins[0][1]}", "export=vol",
                 "retries=100", "retry-delay=1", "retry-exponential=no"], "between.log")
        wait_for(between.exists, 10, "the client")
        base = Database(r, "delete", f"nbd+unix:///?socket={between}")

        def disturb():
            r.kill(r.plugins[0][0])
            r.restart_plugin(0)
        base.under_load(disturb)
        expect(base.writer.end() is None, f"SQLite saw an error: {base.writer.failure}")
        base.expect_all_whole()
        for process in r.processes:
            if process.args[0] == "nbdkit" and str(between) in process.args:
                r.kill(process)
        r.stop()
        r.check()


def sqlite_recovers_when_all_is_killed_at_once():
    """nbdfuse does not reconnect: for the filesystem it is a power cut."""
    with rig() as r:
        r.start_server()
        r.start_plugin()
        base = Database(r, "wal", r.uri("vol"))
        for _ in range(3):
            time.sleep(SECONDS / 4)
            base.snapshot()
            for process in (r.plugins[0][0], r.servers[0][0]):
                r.kill(process)
            wait_for(lambda: base.writer.failure, 30, "an error for SQLite")
            least = base.writer.acknowledged
            base.volume.tear_off()
            r.restart_server()
            r.restart_plugin(0)
            base.volume = MountedVolume(r, r.uri("vol"), f"mounted{least}")
            expect_whole(base.volume.where, least, "the volume after recovery")
            base.writer = Writer(base.volume.where / "db", "wal")
            wait_for(lambda: base.writer.acknowledged > least or base.writer.failure, 20, "new transactions")
        expect(base.writer.end() is None, f"SQLite saw an error: {base.writer.failure}")
        base.expect_all_whole()
        r.stop()
        r.check()


if __name__ == "__main__":
    in_mounts_of_our_own()
    run([sqlite_does_not_notice_that_servers_are_killed,
         sqlite_does_not_notice_that_nbdkits_are_killed_behind_a_client_that_reconnects,
         sqlite_recovers_when_all_is_killed_at_once])
