# SPDX-License-Identifier: BSD-3-Clause
"""What happens to a cluster: each fault is done to the cluster (pacemaker_cluster.py) whose master is named, and
returns when all is calm and was judged. Leases are 3 s."""
import json
import os
import signal
import time

from cluster_lab import ask_server
from pacemaker_cluster import number
from rig import expect, wait_for

PAST_THE_LEASE = 5          # seconds


# ---- servers ----

def master_killed(c, master):
    begin = time.monotonic()
    os.kill(c.server_of(master), signal.SIGKILL)
    c.calm(c.after_the_fault("kill -9 of the master", begin))


def master_stopped_past_its_lease(c, master):
    begin = time.monotonic()
    pid = c.server_of(master)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(PAST_THE_LEASE)
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
    expect(number(c.rig.role(target)["term"]) > number(term), "the term did not rise")
    c.lab.on(master, "crm_resource", "--resource", "csnap-clone", "--clear")
    c.calm(target)


def all_servers_killed(c, _master):
    begin = time.monotonic()
    for name in c.lab.names:
        os.kill(c.server_of(name), signal.SIGKILL)
    c.calm(c.after_the_fault("kill -9 of all servers", begin))


def all_servers_restarted(c, master):
    begin = time.monotonic()
    old = {c.server_of(name) for name in c.lab.names}
    c.lab.on(master, "crm_resource", "--resource", "csnap-clone", "--restart", "--timeout", "120")
    master = c.after_the_fault("all servers restarted in order", begin)
    c.lab.settle(master)
    expect(not old & {c.server_of(name) for name in c.lab.names}, "a server was not restarted")
    c.calm(master)


def takeover_within_the_grace_of_another(c, master):
    """A client sleeps, so that the second master's grace is on when it is killed."""
    begin = time.monotonic()
    sleeper = c.lab.processes_of(c.lab.others(master)[0], "nbdkit")[0]
    term = c.rig.role(master)["term"]
    os.kill(sleeper, signal.SIGSTOP)
    try:
        os.kill(c.server_of(master), signal.SIGKILL)
        second = c.wait_for_term_above(term)
        code, out, _ = c.rig.try_tool("status", "--json", timeout=5)
        in_grace = code == 0 and json.loads(out)["in_grace"]
        term = c.rig.role(second)["term"]
        os.kill(c.server_of(second), signal.SIGKILL)
        third = c.wait_for_term_above(term)
    finally:
        os.kill(sleeper, signal.SIGCONT)
    expect(in_grace, "the second master was not in grace when it was killed")
    c.calm(c.after_the_fault(f"a second takeover in the grace of the first ({master}, {second}, {third})", begin))


# ---- clients and agents ----

def all_nbdkits_killed(c, master):
    """Their ends are seen on their nodes: nobody has to confirm anything."""
    begin = time.monotonic()
    killed = c.rig.sessions()
    expect(killed, "no sessions")
    for name in c.lab.names:
        c.kill(name, "nbdkit")
    for name in c.lab.names:
        c.rig.start_nbdkit(name)
    c.after_the_fault("kill -9 of all nbdkits, and restart", begin)
    c.rig.wait_for_end_of(killed)
    c.calm(master)


def nbdkit_stopped_past_its_lease(c, master):
    begin = time.monotonic()
    sleeper = c.lab.others(master)[1]
    pid = c.lab.processes_of(sleeper, "nbdkit")[0]
    os.kill(pid, signal.SIGSTOP)
    time.sleep(PAST_THE_LEASE)
    c.rig.writes_go_on(c.lab.others(sleeper))
    code, _, err = c.rig.try_tool("create", "vol@without", timeout=30)
    expect(code == 1 and sleeper in err, f"a create without the word of {sleeper}: exit {code}: {err}")
    os.kill(pid, signal.SIGCONT)
    c.calm(c.after_the_fault("an nbdkit stopped past its lease, and continued", begin))


def agents_killed_while_the_master_moves(c, master):
    """Who knows the master only from an agent waits until it is back."""
    begin = time.monotonic()
    for name in c.rig.agents:
        c.kill(name, "csnap-agent")
    os.kill(c.server_of(master), signal.SIGKILL)
    c.rig.wait_for_one_master()
    for name in c.rig.agents:
        c.rig.start_agent(name)
    c.calm(c.after_the_fault("agents and master killed, agents restarted", begin))


# ---- nodes ----

def node_dies(c, master):
    begin = time.monotonic()
    c.lab.power("off", master)
    c.bring_back(master, c.after_the_fault("power cut of the master's node", begin, c.lab.others(master)))


def node_paused_and_fenced(c, master):
    begin = time.monotonic()
    c.lab.pause(master)
    wait_for(lambda: not c.lab.has_power(master), 60, f"{master} to be fenced")
    c.bring_back(master, c.after_the_fault("the master's node paused", begin, c.lab.others(master)))


def node_paused_and_continued(c, master):
    """Nothing fences: the node wakes beside its successor, its master and its clients in the midst of something."""
    c.set_fencing("false")
    begin = time.monotonic()
    term, pid = c.rig.role(master)["term"], c.server_of(master)
    c.lab.pause(master)
    try:
        c.wait_for_term_above(term)
        time.sleep(max(0.0, PAST_THE_LEASE - (time.monotonic() - begin)))
        c.rig.writes_go_on(c.lab.others(master))
    finally:
        c.lab.resume(master)
    woken = time.monotonic()
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 30, "the stale master to end")
    print(f"  the stale master ended {time.monotonic() - woken:.1f} s after it woke", flush=True)
    asked = c.after_the_fault("the master's node paused, and continued beside its successor", begin)
    wait_for(lambda: c.lab.is_whole(asked), 90, f"{master} to be back")
    c.lab.on(asked, "crm_resource", "--resource", "csnap-clone", "--cleanup")
    c.set_fencing("true")
    c.calm(asked)


def node_dies_and_nothing_fences(c, master):
    """Another master serves, and says what it waits for: proof, or a word."""
    c.set_fencing("false")
    begin = time.monotonic()
    c.lab.power("off", master)
    others = c.lab.others(master)
    asked = c.after_the_fault("power cut of the master's node, nothing fences", begin, others)
    wait_for(lambda: f"csnap fence-confirm {master}" in c.rig.tool("status"), 10, "status to say what to do")
    answer = ask_server(c.rig.control(asked), "fence-confirm no-such-node")
    expect(answer.startswith("failed"), f"a word for a node that is not there: {answer}")
    time.sleep(PAST_THE_LEASE)
    code, _, err = c.rig.try_tool("create", "vol@no-proof", timeout=30)
    expect(code == 1 and master in err, f"time was taken for proof: exit {code}: {err}")
    c.rig.proof_for(master)
    c.rig.wait_for_proof(master)
    c.rig.tool("create", "vol@proof")
    c.rig.tool("delete", "vol@proof")
    c.power_on(master, asked)
    c.set_fencing("true")
    c.calm(asked)


# ---- links ----

def link_cut(c, master):
    begin = time.monotonic()
    c.lab.link(master, "down")
    wait_for(lambda: not c.lab.has_power(master), 60, f"{master} to be fenced")
    c.bring_back(master, c.after_the_fault("the master's link cut", begin, c.lab.others(master)))


def cut_in_one_direction(c, master, direction, what):
    begin = time.monotonic()
    c.lab.cut(master, direction)
    wait_for(lambda: not c.lab.has_power(master), 60, f"{master} to be fenced")
    c.lab.mend(master, direction)
    c.bring_back(master, c.after_the_fault(what, begin, c.lab.others(master)))


def link_cut_inward(c, master):
    cut_in_one_direction(c, master, "in", "the master's link cut: it hears nothing, and is heard")


def link_cut_outward(c, master):
    cut_in_one_direction(c, master, "out", "the master's link cut: it hears, and is not heard")


def quorum_lost(c, master):
    """Each node is alone: nobody may be master. Clients wait without an error, and origin reads go on."""
    begin = time.monotonic()
    others = c.lab.others(master)
    for name in others:
        c.lab.link(name, "down")
    wait_for(lambda: not c.rig.masters(), 60, "the minority's master to stop")
    print(f"  quorum lost: the master stopped after {time.monotonic() - begin:.1f} s", flush=True)
    time.sleep(PAST_THE_LEASE)
    expect(not c.rig.masters(), "a master without quorum")
    for name in others:
        c.lab.link(name, "up")
    fenced = c.whoever_was_fenced()
    c.calm(c.after_the_fault(f"quorum lost and regained (fenced: {' '.join(fenced) or 'nobody'})", begin))


ALL = [master_killed, standby_killed, planned_move, master_stopped_past_its_lease, all_servers_killed,
       all_servers_restarted, takeover_within_the_grace_of_another, all_nbdkits_killed, nbdkit_stopped_past_its_lease,
       agents_killed_while_the_master_moves, node_dies, node_paused_and_fenced, node_paused_and_continued,
       node_dies_and_nothing_fences, link_cut, link_cut_inward, link_cut_outward, quorum_lost]
