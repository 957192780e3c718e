# SPDX-License-Identifier: BSD-3-Clause
"""Real Corosync on three nodes, no resource manager: --election corosync. Nothing fences here, so a master that was
paused wakes up beside its successor: it must stop by itself, and no write of a client may be lost or wrong.
"""
import os
import signal
import sys
import time

import cluster_lab
from cluster_lab import Lab
from cluster_load import CONTROL, ClusterLoad
from rig import SERVER, expect, wait_for


class Cluster:
    def __init__(self, lab, rig):
        self.lab, self.rig, self.begun = lab, rig, {}

    def begin_server(self, name):
        number = int(name[1:])
        self.lab.on(name, "mkdir", "-p", "/run/csnap")
        self.begun[name] = self.rig.spawn(
            self.lab.inside(name, SERVER, "--store", self.rig.store, "--listen", f"tcp:10.77.0.{number}:7400",
                            "--insecure", "--node", number - 1, "--election", "corosync", "--control", CONTROL),
            f"server-{name}.log")

    def server_of(self, name):
        found = self.lab.processes_of(name, "csnap-metaserver")
        expect(len(found) == 1, f"servers on {name}: {found}")
        return found[0]

    def keep_servers(self):
        """What systemd does: a server that ended is started again."""
        for name in self.lab.names:
            if self.lab.has_power(name) and not self.lab.processes_of(name, "csnap-metaserver"):
                self.begin_server(name)

    def calm(self, what, begin, not_on=None):
        def one():
            self.keep_servers()
            return self.rig.only_master() not in (None, not_on)
        wait_for(one, 60, f"one master after: {what}")
        self.rig.writes_go_on()
        print(f"  {what}: master {self.rig.only_master()}, all went on after {time.monotonic() - begin:.1f} s",
              flush=True)
        wait_for(lambda: (self.keep_servers(), len(self.rig.standbys()) == 2)[1], 60, "two standbys")
        self.rig.snapshot()
        self.rig.judge()
        return self.rig.wait_for_one_master()[0]


def standbys_know_the_master(c, master):
    def known():
        return all((c.rig.role(n) or {}).get("master") == f"tcp:10.77.0.{master[1:]}:7400" for n in c.lab.names)
    wait_for(known, 20, "all standbys to have heard where the master is")


def the_oldest_member_follows(c, master):
    for _ in range(2):
        begin = time.monotonic()
        os.kill(c.server_of(master), signal.SIGKILL)
        master = c.calm("kill -9 of the master", begin)


def the_youngest_is_never_chosen(c, master):
    begin = time.monotonic()
    standby = c.lab.others(master)[0]
    os.kill(c.server_of(standby), signal.SIGKILL)
    expect(c.calm("kill -9 of a standby", begin) == master, "the master moved because a standby died")


def a_stopped_master_is_passed_over(c, master):
    begin = time.monotonic()
    pid = c.server_of(master)
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(lambda: c.rig.only_master() not in (None, master), 40, "another master")
        c.rig.writes_go_on()
    finally:
        os.kill(pid, signal.SIGCONT)
        c.lab.wake_stopped()
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 20, "the stale master to stop")
    c.calm("the master stopped, and continued", begin, not_on=master)


def a_cut_link_ends_a_master(c, master):
    begin = time.monotonic()
    pid = c.server_of(master)
    c.lab.link(master, "down")
    others = c.lab.others(master)
    wait_for(lambda: any((c.rig.role(n, "verify") or {}).get("role") == "master" for n in others), 40, "another master")
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 20, "the master without quorum to stop")
    c.rig.writes_go_on(others)
    c.lab.link(master, "up")
    wait_for(lambda: c.lab.is_whole(others[0]), 60, "the link to be back")
    c.calm("the master's link cut, and mended", begin)


def a_node_dies_and_an_administrator_says_so(c, master):
    begin = time.monotonic()
    c.lab.power("off", master)
    others = c.lab.others(master)
    wait_for(lambda: c.rig.only_master() in others, 60, "another master")
    c.rig.writes_go_on(others)
    code, _, err = c.rig.try_tool("create", "vol@no-proof", timeout=30)
    expect(code == 1 and master in err, f"a create without proof for {master}: exit {code}: {err}")
    said = c.rig.tool("status")
    expect(f"csnap fence-confirm {master}" in said, f"status does not say what to do: {said}")
    c.rig.proof_for(master)
    c.rig.wait_for_proof(master)
    c.lab.power("on", master)
    wait_for(lambda: c.lab.is_whole(others[0]), 60, f"{master} to be back")
    c.begin_server(master)
    c.rig.start_nbdkit(master)
    c.calm("the master's node died", begin)


CASES = [standbys_know_the_master, the_oldest_member_follows, the_youngest_is_never_chosen,
         a_stopped_master_is_passed_over, a_cut_link_ends_a_master, a_node_dies_and_an_administrator_says_so]


def main():
    wanted = [f for f in CASES if len(sys.argv) == 1 or f.__name__ in sys.argv[1:]]
    lab = Lab(pacemaker=False)
    with ClusterLoad(lab) as rig:
        probe = rig.spawn([SERVER, "--store", rig.store, "--listen", f"unix:{rig.dir}/probe", "--election", "corosync"],
                          "probe.log")
        time.sleep(1)
        if probe.poll() is not None and "built without" in rig.log("probe.log"):
            cluster_lab.skip("csnap was built without libcpg and libquorum")
        rig.kill(probe)
        cluster = Cluster(lab, rig)
        for name in lab.names:
            cluster.begin_server(name)
        rig.wait_for_one_master()
        rig.start_load()
        cluster.calm("three servers begun", time.monotonic())
        for case in wanted:
            case(cluster, rig.wait_for_one_master()[0])
            print(f"ok {case.__name__}", flush=True)
        rig.stop_load()
        rig.close_handles()
        for program in ("nbdkit", "csnap-metaserver"):
            for name in lab.names:
                for pid in lab.processes_of(name, program):
                    os.kill(pid, signal.SIGKILL if program == "nbdkit" else signal.SIGTERM)
        wait_for(lambda: not any(lab.processes_of(n, "csnap-metaserver") for n in lab.names), 60, "the servers to end")
        rig.check()
        print("ok: " + rig.report())


if __name__ == "__main__":
    cluster_lab.enter(cluster_lab.COROSYNC_PROGRAMS)
    main()
