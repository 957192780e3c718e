# SPDX-License-Identifier: BSD-3-Clause
"""Real Pacemaker on three nodes, an nbdkit with a verifying load on each, and faults. After each: exactly one master,
all clients go on without an error, old snapshots read as ever; at the end the store is whole.

usage: pacemaker_test.py [CASE ...]
"""
import os
import shutil
import signal
import sys
import time

import cluster_lab
from cluster_lab import Lab
from cluster_load import ClusterLoad
from rig import SERVER, SLOWNESS, TOOL, expect, wait_for

FENCE = cluster_lab.HERE.parent.parent / "agent/fence/pacemaker"
RESOURCE = """<clone id="csnap-clone">
<meta_attributes id="cm"><nvpair id="cm-p" name="promotable" value="true"/></meta_attributes>
<primitive id="csnap" class="ocf" provider="csnap" type="csnap">
<instance_attributes id="ca">{parameters}</instance_attributes>
<operations>
<op id="c-start" name="start" interval="0" timeout="{slow}s"/>
<op id="c-stop" name="stop" interval="0" timeout="{slow}s"/>
<op id="c-promote" name="promote" interval="0" timeout="{slow}s"/>
<op id="c-demote" name="demote" interval="0" timeout="{quick}s"/>
<op id="c-mp" name="monitor" interval="2s" timeout="{quick}s" role="Promoted"/>
<op id="c-mu" name="monitor" interval="3s" timeout="{quick}s" role="Unpromoted"/>
<op id="c-mp10" name="monitor" interval="5s" timeout="{slow}s" role="Promoted">
<instance_attributes id="c-l10"><nvpair id="c-l10v" name="OCF_CHECK_LEVEL" value="10"/></instance_attributes></op>
<op id="c-mp20" name="monitor" interval="20s" timeout="{slow}s" role="Promoted">
<instance_attributes id="c-l20"><nvpair id="c-l20v" name="OCF_CHECK_LEVEL" value="20"/></instance_attributes></op>
</operations></primitive></clone>"""


def configure(lab, rig):
    parameters = {"store": rig.store, "listen": "tcp:%h:7400", "options": f"--insecure --fence {FENCE}",
                  "server": SERVER, "tool": TOOL, "inspect_seconds": 3}
    pairs = "".join(f'<nvpair id="ca-{k}" name="{k}" value="{v}"/>' for k, v in parameters.items())
    lab.on("n1", "cibadmin", "--create", "--scope", "resources", "--xml-text",
           RESOURCE.format(parameters=pairs, slow=int(60 * SLOWNESS), quick=int(12 * SLOWNESS)))
    lab.on("n1", "crm_verify", "--live-check", "--verbose")


class Cluster:
    def __init__(self, lab, rig):
        self.lab, self.rig = lab, rig

    def after_the_fault(self, what, begin, survivors=None):
        """Clients of the nodes that live go on, and there is one master."""
        self.rig.writes_go_on(survivors)
        stall = time.monotonic() - begin
        master, _ = self.rig.wait_for_one_master()
        print(f"  {what}: writes of all nodes went on after {stall:.1f} s, master {master}", flush=True)
        return master

    def calm(self, asked):
        """All servers and nodes are there again, and Pacemaker has nothing to do."""
        self.lab.settle(asked)
        wait_for(lambda: len(self.rig.standbys()) == len(self.lab.names) - 1, 90, "standbys on the other nodes")
        self.rig.wait_for_one_master()
        self.rig.snapshot()
        self.rig.verify_all()

    def bring_back(self, name, asked):
        """Its clients were dead for csnap when Pacemaker had fenced the node, and not before."""
        self.rig.wait_for_proof(name)
        if not self.lab.has_power(name):
            self.lab.power("on", name)
        wait_for(lambda: self.lab.is_whole(asked), 90, f"{name} to be back")
        self.rig.start_nbdkit(name)
        self.rig.writes_go_on([name], 90)
        self.calm(asked)

    def server_of(self, name):
        found = self.lab.processes_of(name, "csnap-metaserver")
        expect(len(found) == 1, f"servers on {name}: {found}")
        return found[0]


# ---- the faults ----

def master_killed(c, master):
    begin = time.monotonic()
    os.kill(c.server_of(master), signal.SIGKILL)
    c.calm(c.after_the_fault("kill -9 of the master", begin))


def master_stopped_past_its_lease(c, master):
    begin = time.monotonic()
    pid = c.server_of(master)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(5)                       # leases are 3 s
    c.after_the_fault("the master stopped with SIGSTOP", begin)
    try:
        os.kill(pid, signal.SIGCONT)    # if Pacemaker has not ended it
    except ProcessLookupError:
        pass
    c.calm(master)


def standby_killed(c, master):
    begin = time.monotonic()
    os.kill(c.server_of(c.lab.others(master)[0]), signal.SIGKILL)
    expect(c.after_the_fault("kill -9 of a standby", begin) == master, "the master moved because a standby died")
    c.calm(master)


def planned_move(c, master):
    target = c.lab.others(master)[1]
    term = c.rig.role(master)["term"]
    begin = time.monotonic()
    c.lab.on(master, "crm_resource", "--resource", "csnap-clone", "--move", "--node", target, "--promoted")
    c.rig.wait_for_one_master(not_on=master)
    expect(c.after_the_fault("planned move", begin) == target, "the master is not where it was moved to")
    expect(c.rig.role(target)["term"] > term, "the term did not rise")
    c.lab.on(master, "crm_resource", "--resource", "csnap-clone", "--clear")
    c.calm(target)


def all_servers_killed(c, _master):
    begin = time.monotonic()
    for name in c.lab.names:
        os.kill(c.server_of(name), signal.SIGKILL)
    c.calm(c.after_the_fault("kill -9 of all servers", begin))


def node_dies(c, master):
    begin = time.monotonic()
    c.lab.power("off", master)
    c.bring_back(master, c.after_the_fault("power cut of the master's node", begin, c.lab.others(master)))


def link_is_cut(c, master):
    begin = time.monotonic()
    c.lab.link(master, "down")
    others = c.lab.others(master)
    wait_for(lambda: not c.lab.has_power(master), 60, f"{master} to be fenced")
    c.bring_back(master, c.after_the_fault("the master's link cut", begin, others))


FAULTS = [master_killed, standby_killed, planned_move, master_stopped_past_its_lease, all_servers_killed, node_dies,
          link_is_cut]


def collect_logs(lab, rig):
    """To where a failure prints them from."""
    for name in lab.names:
        for log in (cluster_lab.LAB / "disk" / name / "var/log").glob("**/*.log"):
            shutil.copy(log, rig.dir / f"{name}-{log.name}")


def main():
    wanted = [f for f in FAULTS if len(sys.argv) == 1 or f.__name__ in sys.argv[1:]]
    begin = time.monotonic()
    cluster_lab.install_agent("csnap", cluster_lab.HERE.parent.parent / "agent/ocf")
    lab = Lab()
    print(f"  three nodes are up after {time.monotonic() - begin:.1f} s", flush=True)
    with ClusterLoad(lab) as rig:
        rig.at_end.append(lambda: collect_logs(lab, rig))
        configure(lab, rig)
        rig.wait_for_one_master()
        rig.start_load()
        cluster = Cluster(lab, rig)
        rig.writes_go_on()
        cluster.calm("n1")
        for fault in wanted:
            fault(cluster, rig.wait_for_one_master()[0])
            print(f"ok {fault.__name__}", flush=True)
        rig.verify_all()
        rig.stop_load()
        rig.close_handles()
        for name in lab.names:
            for nbdkit in lab.processes_of(name, "nbdkit"):
                os.kill(nbdkit, signal.SIGKILL)
        lab.on("n1", "crm_resource", "--resource", "csnap-clone", "--set-parameter", "target-role", "--meta",
               "--parameter-value", "Stopped")
        lab.settle("n1")
        expect(all(rig.role(n) is None for n in lab.names), "a server lives after Pacemaker stopped them all")
        rig.check()
        print("ok: " + rig.report())


if __name__ == "__main__":
    cluster_lab.enter(cluster_lab.PACEMAKER_PROGRAMS)
    main()
