# SPDX-License-Identifier: BSD-3-Clause
"""Snapshots over three nodes that write all the time: one instant, a short pause, and nodes that do not answer."""
import json
import signal
import statistics
import time

from nodes_load import Load
from nodes_rig import Nodes, pause, run
from rig import SLOWNESS, expect, wait_for

BARRIER_MS = 2000


def begun(n):
    n.start_agents()
    n.start_node_server(1)
    plugins = [n.start_node_plugin(node) for node in (1, 2, 3)]
    load = Load(n, plugins)
    load.goes_on()
    return load


def one_instant_over_three_nodes():
    with Nodes() as n:
        load = begun(n)
        pauses, names = [], []
        for number in range(20):
            load.goes_on(writes=5)
            names.append(f"s{number}")
            created = json.loads(load.create(names[-1], 1 + number % 3))
            pauses.append(find_pause(created))
        load.goes_on()
        load.stop()
        before = {}
        for number, name in enumerate(names):
            held = load.is_one_instant(name, number % 3)
            expect(all(held[c] >= before.get(c, 0) for c in held), f"{name} is older than the one before")
            before = held
        print(f"  pauses of 20 creates under load: median {statistics.median(pauses)} ms, most {max(pauses)} ms")
        expect(max(pauses) < 5000, f"pauses beyond the barrier's deadline: {sorted(pauses)}")
        n.stop_nodes()
        n.check()


def find_pause(created):
    if isinstance(created, list):
        created = created[0]
    return created["pause_ms"]


def refused_by_name(n, asked_on, name, whom):
    """A create that must fail, within its deadline, and say why."""
    begin = time.monotonic()
    code, _, err = n.try_on(asked_on, "create", f"vol@{name}")
    seconds = time.monotonic() - begin
    expect(code == 1 and f"session {whom} " in err, f"a create without {whom}: exit {code}: {err}")
    for other in {"n1", "n2", "n3"} - {whom}:
        expect(f"session {other} " not in err, f"{other} is blamed too: {err}")
    expect(BARRIER_MS / 1000 - 0.2 < seconds < BARRIER_MS / 1000 + 2 * SLOWNESS, f"it took {seconds:.1f} s")


def others_never_hang(load, writers):
    for writer in writers:
        longest = load.writers[writer].take_longest()
        expect(longest < BARRIER_MS / 1000 + 1.5 * SLOWNESS, f"a write on another node took {longest:.1f} s")


def a_paused_node_is_named():
    with Nodes(format_args=("--barrier-ms", str(BARRIER_MS))) as n:
        load = begun(n)
        stopped = n.plugins[2][0]
        stopped.send_signal(signal.SIGSTOP)
        for number in range(2):
            others_of = (0, 1)
            for writer in others_of:
                load.writers[writer].take_longest()
            refused_by_name(n, 1, f"no{number}", "n3")
            load.goes_on(others_of)
            others_never_hang(load, others_of)
        stopped.send_signal(signal.SIGCONT)
        load.goes_on()
        load.create("yes", 2)
        load.goes_on()
        load.stop()
        load.is_one_instant("yes", 2)
        listed = {entry["snapshot"] for entry in json.loads(n.tool_on(1, "list", "--json"))}
        expect(listed == {"yes"}, f"snapshots: {listed}")
        n.stop_nodes()
        n.check()


def a_node_that_is_cut_off_is_named_until_it_is_known_dead():
    with Nodes(format_args=("--barrier-ms", str(BARRIER_MS), "--lease-ms", "2000")) as n:
        load = begun(n)
        n.cut(3)
        refused_by_name(n, 1, "no0", "n3")
        pause(3)                    # its lease is out: still it might write
        refused_by_name(n, 2, "no1", "n3")
        load.goes_on((0, 1))
        others_never_hang(load, (0, 1))
        # It comes back: it says hello, and its writes go on.
        n.heal(3)
        load.goes_on()
        load.create("healed", 3)
        # It is cut off again, and dies: that can be seen, and another node flushes what it wrote.
        n.cut(3)
        pause(0.5)
        refused_by_name(n, 1, "no2", "n3")
        n.kill(n.plugins[2][0])
        load.create("dead", 1)
        load.goes_on((0, 1))
        load.ending.set()
        load.writers[2].join(30)
        load.writers[2].failure = None          # its nbdkit was killed
        load.stop()
        load.is_one_instant("healed", 0)
        load.is_one_instant("dead", 1)
        n.heal(3)
        n.stop_nodes()
        n.check()


if __name__ == "__main__":
    run([one_instant_over_three_nodes, a_paused_node_is_named, a_node_that_is_cut_off_is_named_until_it_is_known_dead])
