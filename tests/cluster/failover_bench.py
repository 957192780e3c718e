# SPDX-License-Identifier: BSD-3-Clause
"""How long clients wait when the master moves, is killed, or its node dies: for each election engine rows of a Markdown
table. scripts/bench --failover runs it for each engine.

usage: failover_bench.py file|corosync|pacemaker ROUNDS
"""
import os
import signal
import statistics
import sys
import time

import cluster_lab
import pause_probe
from cluster_lab import HERE, Lab
from cluster_load import ClusterLoad
from pacemaker_cluster import configure
from rig import SERVER, Failure, Rig, wait_for

VOLUME = {"size": 4 << 30, "store": 256 << 20, "chunk": pause_probe.CHUNK, "format_args": []}
FIRST = {"origin-read": 0, "rewrite": 0, "cached-read": 512, "delegated-read": 768, "first-write": 1024,
         "uncached-read": 16384}      # in chunks
ORIGIN = ("origin-read", "rewrite")
CACHED = ("cached-read", "delegated-read")
CONTROL_SECONDS = 4         # as many of them before the event are looked at, to compare with


class Probes:
    """One process for each kind of I/O, at one nbdkit."""

    def __init__(self, rig, number, snapshot):
        self.files = {kind: rig.dir / f"pause-{snapshot}-{kind}" for kind in FIRST}
        self.processes = {kind: rig.spawn([sys.executable, HERE / "pause_probe.py", kind, rig.plugins[number][1],
                                           snapshot, path, FIRST[kind]], "probes.log")
                          for kind, path in self.files.items()}
        wait_for(lambda: all(self.last_call(kind) > 0 for kind in FIRST), 30, "the probes to begin")

    def calls(self, kind):
        if not self.files[kind].exists():
            return []
        lines = self.files[kind].read_text().splitlines(keepends=True)
        return [tuple(map(int, line.split())) for line in lines if line.endswith("\n")]

    def last_call(self, kind):
        return max((called for called, _ in self.calls(kind)), default=0)

    def go_on(self, since_ns):
        wait_for(lambda: all(self.last_call(kind) > since_ns for kind in FIRST), 120, "all I/O to go on")

    def stop(self):
        for process in self.processes.values():
            process.terminate()
        for kind, process in self.processes.items():
            if process.wait(timeout=60) != 0:
                raise Failure(f"the probe {kind} failed")

    def longest_ms(self, kinds, begin_ns, end_ns):
        """Of what was called before the end, and was not answered before the beginning."""
        return max(took for kind in kinds for called, took in self.calls(kind)
                   if called < end_ns and called + took >= begin_ns) / 1e6


class Host:
    """Two servers of one host, and the lock of a file."""

    def __init__(self):
        self.rig = Rig(**VOLUME)
        self.rig.start_server()
        self.rig.start_server(wait=False)
        self.number, self.master = self.rig.start_plugin(), 0
        self.events = {"planned move": lambda: self.end(signal.SIGTERM), "kill -9": lambda: self.end(signal.SIGKILL)}

    def end(self, how):
        self.rig.servers[self.master][0].send_signal(how)

    def has_moved(self):
        return self.rig.try_tool("status", timeout=1)[0] == 0

    def calm(self):
        self.rig.servers[self.master][0].wait(30)
        self.rig.restart_server(self.master, wait=False)
        self.master = 1 - self.master
        time.sleep(1)


class Nodes:
    """Three nodes with Corosync, and perhaps Pacemaker. The probes are on a node that is not the master's."""

    def __init__(self, pacemaker):
        self.lab = Lab(pacemaker=pacemaker)
        self.rig = ClusterLoad(self.lab, **VOLUME)
        self.rig.endpoints = [f"tcp:10.77.0.{n[1:]}:7400" for n in self.lab.names]
        self.begin_servers()
        for name in self.lab.names:
            self.rig.start_nbdkit(name)
        self.calm()
        self.events = {"planned move": self.move, "kill -9": lambda: self.end(signal.SIGKILL), "node death": self.die}

    def calm(self):
        """All are there again, and no dead client is waited for."""
        for name in self.lab.names:
            if not self.lab.has_power(name):
                self.lab.power("on", name)
                wait_for(lambda: self.lab.is_whole(self.master), 90, "the node to be back")
                self.begin_server(name)
                self.rig.start_nbdkit(name)
                self.rig.proof_for(name)
        self.settle()
        wait_for(lambda: len(self.rig.standbys()) == 2, 90, "standbys")
        self.master, _ = self.rig.wait_for_one_master()
        self.number = self.lab.names.index(self.lab.others(self.master)[0])

    def end(self, how):
        os.kill(self.lab.processes_of(self.master, SERVER.name)[0], how)

    def die(self):
        self.lab.power("off", self.master)

    def has_moved(self):
        found = [n for n in self.lab.names if (self.rig.role(n) or {}).get("role") == "master"]
        if found:
            self.master = found[0]
        return bool(found)


class CorosyncNodes(Nodes):
    def __init__(self):
        super().__init__(pacemaker=False)

    def begin_servers(self):
        for name in self.lab.names:
            self.begin_server(name)
        self.rig.wait_for_one_master()

    def begin_server(self, name):
        self.lab.on(name, "mkdir", "-p", "/run/csnap")
        self.rig.spawn(self.lab.inside(name, SERVER, "--store", self.rig.store, "--listen",
                                       f"tcp:10.77.0.{name[1:]}:7400", "--insecure", "--node", int(name[1:]) - 1,
                                       "--election", "corosync", "--control", "/run/csnap/control"),
                       f"server-{name}.log")

    def settle(self):
        for name in self.lab.names:
            if not self.lab.processes_of(name, SERVER.name):
                self.begin_server(name)

    def move(self):
        self.end(signal.SIGTERM)


class PacemakerNodes(Nodes):
    def __init__(self):
        cluster_lab.install_agent("csnap", HERE.parent.parent / "agent/ocf")
        super().__init__(pacemaker=True)

    def begin_servers(self):
        configure(self.lab, self.rig)
        self.rig.wait_for_one_master()

    def begin_server(self, name):
        pass

    def settle(self):
        self.lab.settle(next(n for n in self.lab.names if self.lab.has_power(n)))

    def move(self):
        self.lab.on(self.master, "crm_resource", "--resource", "csnap-clone", "--move", "--node",
                    self.lab.others(self.master)[1], "--promoted")
        wait_for(lambda: self.rig.only_master() not in (None, self.master), 60, "the move")
        self.lab.on(self.master, "crm_resource", "--resource", "csnap-clone", "--clear")


def one_round(where, event, snapshot):
    """Longest pauses in ms, as in the table's columns."""
    where.rig.tool("create", f"vol@{snapshot}")
    probes = Probes(where.rig, where.number, snapshot)
    time.sleep(CONTROL_SECONDS)
    begin = time.monotonic_ns()
    where.events[event]()
    wait_for(where.has_moved, 120, "the next master")
    probes.go_on(time.monotonic_ns() + 10**9)
    end = time.monotonic_ns()
    probes.stop()
    pauses = (probes.longest_ms(ORIGIN, begin, end),
              probes.longest_ms(ORIGIN, begin - CONTROL_SECONDS * 10**9, begin - 1),
              *(probes.longest_ms(kinds, begin, end) for kinds in (CACHED, ["first-write"], ["uncached-read"])))
    where.calm()
    where.rig.tool("delete", f"vol@{snapshot}")
    return pauses


def main():
    engine, rounds = sys.argv[1], int(sys.argv[2])
    where = {"file": Host, "corosync": CorosyncNodes, "pacemaker": PacemakerNodes}[engine]()
    with where.rig:
        for event in where.events:
            found = [one_round(where, event, f"{event.split()[0]}{number}") for number in range(rounds)]
            cells = [f"{statistics.median(values):.0f} / {max(values):.0f} ms" for values in zip(*found)]
            print(f"| `{engine}` | {event} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    cluster_lab.enter(cluster_lab.PACEMAKER_PROGRAMS)
    main()
