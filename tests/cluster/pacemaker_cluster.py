# SPDX-License-Identifier: BSD-3-Clause
"""csnap as a promotable clone of the lab's Pacemaker, and what is asked of it after each fault."""
import os
import shutil
import signal
import time

import cluster_lab
from cluster_lab import Lab
from cluster_load import ClusterLoad
from rig import SERVER, SLOWNESS, TOOL, expect, wait_for

TOP = cluster_lab.HERE.parent.parent
FENCE = TOP / "agent/fence/pacemaker"
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
    """Three nodes with everything on them, begun and calm."""

    def __init__(self, seed=1):
        begin = time.monotonic()
        cluster_lab.install_agent("csnap", TOP / "agent/ocf")
        self.lab = Lab()
        print(f"  three nodes are up after {time.monotonic() - begin:.1f} s", flush=True)
        self.rig = ClusterLoad(self.lab, seed, agents=("n1", "n3"))

    def __enter__(self):
        self.rig.at_end.append(lambda: collect_logs(self.lab, self.rig))
        self.rig.__enter__()
        return self

    def __exit__(self, *failure):
        self.rig.__exit__(*failure)

    def begin(self):
        configure(self.lab, self.rig)
        self.rig.wait_for_one_master()
        self.rig.start_load()
        self.rig.writes_go_on()
        self.calm("n1")

    def end(self):
        self.rig.stop_load()
        self.rig.close_handles()
        for name in self.lab.names:
            self.kill(name, "nbdkit")
        self.lab.on("n1", "crm_resource", "--resource", "csnap-clone", "--set-parameter", "target-role", "--meta",
                    "--parameter-value", "Stopped")
        self.lab.settle("n1")
        expect(all(self.rig.role(n) is None for n in self.lab.names), "a server lives after Pacemaker stopped them all")
        self.rig.check()

    # ---- after a fault ----
    def after_the_fault(self, what, begin, survivors=None):
        """Clients of the nodes that live go on, and there is one master."""
        self.rig.writes_go_on(survivors)
        stall = time.monotonic() - begin
        master, _ = self.rig.wait_for_one_master()
        print(f"  {what}: writes of all nodes went on after {stall:.1f} s, master {master}", flush=True)
        return master

    def calm(self, asked):
        """All servers and nodes are there again, Pacemaker has nothing to do, and all is right."""
        self.lab.settle(asked)
        wait_for(lambda: len(self.rig.standbys()) == len(self.lab.names) - 1, 90, "standbys on the other nodes")
        self.rig.wait_for_one_master()
        self.rig.snapshot()
        self.rig.judge()

    def bring_back(self, name, asked):
        """Its clients were dead for csnap when Pacemaker had fenced the node, and not before."""
        self.rig.wait_for_proof(name)
        self.power_on(name, asked)
        self.calm(asked)

    def power_on(self, name, asked):
        if not self.lab.has_power(name):
            self.lab.power("on", name)
        wait_for(lambda: self.lab.is_whole(asked), 90, f"{name} to be back")
        self.rig.start_clients(name)
        self.rig.writes_go_on([name], 90)

    def whoever_was_fenced(self):
        """After a time in which Pacemaker may have fenced nodes, or not: they are switched on; nobody else knows that
        their clients died."""
        def all_on():
            for name in self.lab.names:
                if not self.lab.has_power(name):
                    fenced.add(name)
                    self.lab.power("on", name)
            return self.lab.is_whole(self.lab.names[0])
        fenced = set()
        wait_for(all_on, 120, "all nodes to be back")
        self.lab.settle(self.lab.names[0])
        wait_for(all_on, 120, "all nodes to be back")
        for name in sorted(fenced):
            self.rig.start_clients(name)
            self.rig.proof_for(name)
        return sorted(fenced)

    # ---- doing something to it ----
    def server_of(self, name):
        found = self.lab.processes_of(name, SERVER.name)
        expect(len(found) == 1, f"servers on {name}: {found}")
        return found[0]

    def kill(self, name, program):
        for pid in self.lab.processes_of(name, program):
            os.kill(pid, signal.SIGKILL)

    def set_fencing(self, state):
        words = ["crm_attribute", "--type", "crm_config", "--name", "stonith-enabled"]
        self.lab.on(self.lab.names[1], *words, "--update", state)

        def all_know():     # the node that was told first may be the next to lose its power, and its word with it
            return all(self.lab.on(name, *words, "--query", "--quiet", check=False).stdout.strip() == state
                       for name in self.lab.names if self.lab.has_power(name))
        wait_for(all_know, 30, f"all nodes to know that stonith-enabled is {state}")

    def wait_for_term_above(self, term, seconds=60):
        """Its master, as soon as it says so."""
        def found():
            states = {name: self.rig.role(name) for name in self.lab.names}
            masters.extend(n for n, s in states.items()
                           if s and s["role"] == "master" and number(s["term"]) > number(term))
            return masters
        masters = []
        wait_for(found, seconds, f"a master of a term above {term}")
        return masters[0]


def number(term):
    return tuple(map(int, term.split(".")))


def collect_logs(lab, rig):
    """To where a failure prints their ends from; whole to CSNAP_LAB_LOGS, if that names a folder."""
    for name in lab.names:
        if os.environ.get("CSNAP_LAB_LOGS"):
            shutil.copytree(cluster_lab.LAB / "disk" / name / "var/log", f"{os.environ['CSNAP_LAB_LOGS']}/{name}",
                            dirs_exist_ok=True)
        for log in (cluster_lab.LAB / "disk" / name / "var/log").glob("**/*.log"):
            shutil.copy(log, rig.dir / f"{name}-{log.name}")
