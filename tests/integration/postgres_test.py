# SPDX-License-Identifier: BSD-3-Clause
"""PostgreSQL, with pgbench as its load, on ext4 on a volume: servers are killed, snapshots made, and at the end all is
killed at once. What was committed is there, pgbench's books balance, and amcheck finds every table and index whole; in
each snapshot too.

Needs PostgreSQL (Debian: postgresql-15) and root, which runs it as the user "postgres"; is skipped without.

usage: postgres_test.py [--seconds N] [CASE ...]
"""
import glob
import pathlib
import pwd
import subprocess
import sys
import time

from loop_devices import in_mounts_of_our_own
from mounted_volume import MountedCopy, MountedVolume, need_filesystems
from rig import SLOWNESS, Failure, Rig, Skip, expect, run, wait_for

SECONDS = 6.0
if "--seconds" in sys.argv:
    at = sys.argv.index("--seconds")
    SECONDS = float(sys.argv[at + 1])
    del sys.argv[at:at + 2]


def need_postgres():
    need_filesystems()
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        found = []
    if not found:
        raise Skip("PostgreSQL is not installed")
    return pathlib.Path(found[-1])


class Postgres:
    """A cluster in a directory of a mounted filesystem; reached through a socket beside it."""

    def __init__(self, rig, programs, where, name):
        self.rig, self.programs, self.name = rig, programs, name
        self.data, self.sockets = where / "cluster", rig.dir / f"{name}.pg"
        self.sockets.mkdir()
        account = pwd.getpwnam("postgres")
        self.identity = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        for directory in (where, self.sockets):
            subprocess.run(["chown", "postgres:postgres", directory], check=True)

    def command(self, program, *args):
        return [*self.identity, str(self.programs / program), *map(str, args)]

    def call(self, program, *args):
        done = subprocess.run(self.command(program, *args), capture_output=True, text=True, cwd="/",
                              timeout=120 * SLOWNESS)
        if done.returncode != 0:
            raise Failure(f"{self.name}: {program}: {done.stderr[-2000:]}")
        return done.stdout

    def client(self, program, *args):
        return self.call(program, "-h", self.sockets, "-d", "postgres", *args)

    def value(self, query):
        return int(self.client("psql", "-At", "-c", query))

    def make(self):
        self.call("initdb", "-D", self.data, "--data-checksums", "--auth=trust", "--locale=C", "--no-instructions")

    def start(self):
        self.process = self.rig.spawn(
            self.command("postgres", "-D", self.data, "-k", self.sockets, "-c", "listen_addresses=", "-c",
                         "max_connections=10", "-c", "shared_buffers=4MB", "-c", "max_wal_size=32MB", "-c",
                         "checkpoint_timeout=30s", "-c", "fsync=on"), f"{self.name}.postgres.log")
        ready = [*self.identity, self.programs / "pg_isready", "-q", "-h", self.sockets]

        def answers():
            if self.process.poll() is not None:
                raise Failure(f"{self.name} ended: {self.rig.log(f'{self.name}.postgres.log')}")
            return subprocess.run(ready, cwd="/").returncode == 0
        wait_for(answers, 60, "PostgreSQL")

    def stop(self):
        self.process.terminate()
        expect(self.process.wait(timeout=60 * SLOWNESS) == 0, f"{self.name}: its exit status")

    def expect_whole(self, least):
        """`least` transactions were committed: each of pgbench's adds a row and the same sum to three tables."""
        sums = [self.value(f"select coalesce(sum({column}), 0) from {table}") for table, column in
                (("pgbench_accounts", "abalance"), ("pgbench_tellers", "tbalance"), ("pgbench_branches", "bbalance"),
                 ("pgbench_history", "delta"))]
        expect(len(set(sums)) == 1, f"{self.name}: the books do not balance: {sums}")
        rows = self.value("select count(*) from pgbench_history")
        expect(rows >= least, f"{self.name}: {least} transactions were committed, {rows} are there")
        self.client("psql", "-qc", "create extension if not exists amcheck")
        self.client("pg_amcheck", "--heapallindexed")


def postgres_goes_on_and_recovers():
    programs = need_postgres()
    with Rig(size=160 << 20, store=640 << 20) as r:
        r.dir.chmod(0o711)
        r.start_server()
        r.start_plugin()
        volume = MountedVolume(r, r.uri("vol"), "mounted", make_filesystem=True)
        base = Postgres(r, programs, volume.where, "base")
        base.make()
        base.start()
        base.client("pgbench", "-i", "-q", "-s", "1")

        def load(seconds):
            return r.spawn(base.command("pgbench", "-h", base.sockets, "-n", "-c", "2", "-T", max(1, int(seconds)),
                                        "postgres"), "pgbench.log")
        snapshots = {}

        def snapshot():
            least = base.value("select count(*) from pgbench_history")
            name = f"s{len(snapshots)}"
            r.tool("create", f"vol@{name}")
            snapshots[name] = least
        bench = load(SECONDS)
        while bench.poll() is None:
            time.sleep(0.5)
            snapshot()
            r.kill(r.servers[0][0])
            r.restart_server()
        expect(bench.returncode == 0, f"pgbench saw an error: {r.log('pgbench.log')}")
        expect(len(snapshots) > 1, "there was no time for snapshots")

        bench = load(1000)                      # and now the power fails
        time.sleep(SECONDS / 3)
        least = base.value("select count(*) from pgbench_history")
        for process in (r.plugins[0][0], r.servers[0][0]):
            r.kill(process)
        r.kill(bench)
        base.process.send_signal(3)             # SIGQUIT: end at once, without a checkpoint
        base.process.wait(timeout=60 * SLOWNESS)
        volume.tear_off()
        r.restart_server()
        r.restart_plugin(0)
        volume = MountedVolume(r, r.uri("vol"), "again")
        again = Postgres(r, programs, volume.where, "again-base")
        again.start()
        again.expect_whole(least)
        again.stop()
        volume.unmount()
        for name in (list(snapshots)[0], list(snapshots)[-1]):
            copy = MountedCopy(r, r.uri(f"vol@{name}"), f"copy-{name}")
            there = Postgres(r, programs, copy.where, f"vol@{name}")
            there.start()
            there.expect_whole(snapshots[name])
            there.stop()
            copy.unmount()
        r.stop()
        r.check()


if __name__ == "__main__":
    in_mounts_of_our_own()
    run([postgres_goes_on_and_recovers])
