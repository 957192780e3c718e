# SPDX-License-Identifier: BSD-3-Clause
"""Three nodes through changes of the master's term: what is kept, what is dropped, what waits, what is done once."""
import json
import random
import signal
import threading
import time

from nodes_load import Load
from nodes_rig import Nodes, run
from outage_test import Later, timed
from rig import CHUNK, SLOWNESS, expect, wait_for

OLD, NEW, NEWER = b"\x11", b"\x22", b"\x33"


def term_of(n, node=1):
    return tuple(map(int, json.loads(n.tool_on(node, "status", "--json"))["term"].split(".")))


def sessions(n, node=1):
    return {s["node"]: s for s in json.loads(n.tool_on(node, "sessions", "--json"))}


def outcome(later, seconds=40):
    later.join(seconds * SLOWNESS)
    expect(not later.is_alive(), "it hangs")
    expect(later.failure is None, f"it failed: {later.failure}")
    return later.outcome


def sessions_and_bitmaps_are_kept_and_delegations_are_not():
    with Nodes(format_args=("--lease-ms", "8000")) as n:
        n.start_agents()
        n.start_node_server(1)
        plugins = [n.start_node_plugin(node) for node in (1, 2, 3)]
        handles = [n.connect("vol", p) for p in plugins]
        handles[0].pwrite(OLD * 30 * CHUNK, 0)
        n.tool_on(1, "create", "vol@s")
        readers = [n.connect("vol@s", p) for p in plugins]
        for number, h in enumerate(handles):
            h.pwrite(NEW * CHUNK, number * CHUNK)                               # its chunk is unshared from now on
            expect(readers[number].pread(CHUNK, 20 * CHUNK) == OLD * CHUNK, "the snapshot")    # a delegation
        term, before = term_of(n), sessions(n)
        expect(set(before) == {"n1", "n2", "n3"}, f"sessions: {before}")
        expect(all(s["delegations"] > 0 for s in before.values()), f"delegations: {before}")
        n.start_node_server(2)
        n.kill(n.masters[1])
        wait_for(lambda: n.try_on(3, "status", timeout=2)[0] == 0, 30, "the next master")
        expect(term_of(n) > term, "the term")
        wait_for(lambda: all(s["connected"] for s in sessions(n).values()), 20, "all sessions to come back")
        after = sessions(n)
        expect({k: s["session"] for k, s in before.items()} == {k: s["session"] for k, s in after.items()},
               f"sessions: {before}, then {after}")
        expect(all(s["delegations"] == 0 for s in after.values()), f"delegations were kept: {after}")
        # With the master asleep nobody can be asked: what goes on is what each node knows.
        time.sleep(0.5)
        n.masters[2].send_signal(signal.SIGSTOP)
        for number, h in enumerate(handles):
            seconds, _ = timed(lambda h=h, at=number: h.pwrite(NEWER * CHUNK, at * CHUNK))
            expect(seconds < 1 * SLOWNESS, f"n{number + 1} forgot that a chunk is unshared: {seconds:.1f} s")
        reads = [Later(lambda r=r: bytes(r.pread(CHUNK, 20 * CHUNK))) for r in readers]
        time.sleep(1)
        expect(all(r.is_alive() for r in reads), "a read by a delegation of the old term")
        n.masters[2].send_signal(signal.SIGCONT)
        for r in reads:
            expect(outcome(r) == OLD * CHUNK, "the snapshot after the change of term")
        for number in range(3):
            expect(bytes(n.connect("vol@s", number).pread(3 * CHUNK, 0)) == OLD * 3 * CHUNK, "the snapshot at the end")
        n.stop_nodes()
        n.check()


def grace_protects_who_has_not_come_back():
    """n3 sleeps through the change with a delegation: no copy-out is acknowledged before its lease is out."""
    lease_ms = 3000
    with Nodes(format_args=("--lease-ms", str(lease_ms))) as n:
        n.start_agents()
        n.start_node_server(1)
        plugins = [n.start_node_plugin(node) for node in (1, 2, 3)]
        handles = [n.connect("vol", p) for p in plugins]
        handles[0].pwrite(OLD * 30 * CHUNK, 0)
        n.tool_on(1, "create", "vol@s")
        reader = n.connect("vol@s", plugins[2])
        expect(bytes(reader.pread(CHUNK, 9 * CHUNK)) == OLD * CHUNK, "the snapshot")
        sleeper = n.plugins[2][0]
        term = term_of(n)
        n.start_node_server(2)
        sleeper.send_signal(signal.SIGSTOP)
        read = Later(lambda: bytes(reader.pread(CHUNK, 9 * CHUNK)))
        n.kill(n.masters[1])
        begin = time.monotonic()
        seconds, _ = timed(lambda: handles[0].pwrite(NEW * CHUNK, 9 * CHUNK))
        expect(time.monotonic() - begin > lease_ms / 1000 * 0.5, f"no grace: a copy-out after {seconds:.1f} s")
        expect(seconds < lease_ms / 1000 * 2 + 8 * SLOWNESS, f"grace took {seconds:.1f} s")
        expect(term_of(n, 2) > term, "the term")
        sleeper.send_signal(signal.SIGCONT)
        expect(outcome(read) == OLD * CHUNK, "a read that slept through a change of term, and a write")
        # Its old lease and term are refused: it says hello again, and its writes are those of the new term.
        handles[2].pwrite(NEWER * CHUNK, 10 * CHUNK)
        expect(bytes(n.connect("vol@s", plugins[0]).pread(2 * CHUNK, 9 * CHUNK)) == OLD * 2 * CHUNK, "the snapshot")
        n.stop_nodes()
        n.check()


def a_writer_of_an_old_term_does_no_harm():
    """n3 sleeps while the term changes and a snapshot is made without it being there: then it goes on writing."""
    with Nodes(format_args=("--lease-ms", "1500", "--barrier-ms", "1500")) as n:
        n.start_agents()
        n.start_node_server(1)
        plugins = [n.start_node_plugin(node) for node in (1, 2, 3)]
        load = Load(n, plugins)
        load.goes_on()
        sleeper = n.plugins[2][0]
        n.start_node_server(2)
        term = term_of(n)
        sleeper.send_signal(signal.SIGSTOP)
        n.kill(n.masters[1])
        wait_for(lambda: n.try_on(1, "status", timeout=2)[0] == 0 and term_of(n) > term, 30, "the next master")
        code, _, err = n.try_on(1, "create", "vol@without")
        expect(code == 1 and "n3" in err, f"a snapshot without the word of n3: {code} {err}")
        sleeper.send_signal(signal.SIGCONT)
        load.create("with", 1)
        load.goes_on()
        load.stop()
        load.is_one_instant("with", 0)
        expect(sessions(n)["n3"]["connected"], "n3 has not come back")
        n.stop_nodes()
        n.check()


def requests_sent_again_have_one_effect():
    """The master is killed while snapshots are made and chunks copied, again and again."""
    random.seed(4)
    with Nodes(store=1 << 30) as n:
        n.start_agents()
        n.start_node_server(1)
        plugins = [n.start_node_plugin(node) for node in (1, 2, 3)]
        load = Load(n, plugins)
        load.goes_on()
        made = []
        stop = threading.Event()

        def make_snapshots():
            while not stop.is_set():
                name = f"s{len(made)}"
                load.create(name, 1 + len(made) % 3)
                made.append(name)
                time.sleep(0.05)        # the store has room for some hundreds
        maker = Later(make_snapshots)
        terms = [term_of(n)]
        for change in range(5):
            node = 1 + change % 3
            n.start_node_server(1 + (change + 1) % 3)
            time.sleep(0.5 + random.random())
            n.kill(n.masters[node])
            load.goes_on(seconds=60)
            terms.append(term_of(n))
        stop.set()
        outcome(maker, 90)
        load.goes_on()
        load.stop()
        expect(terms == sorted(set(terms)), f"terms: {terms}")
        listed = [entry["snapshot"] for entry in json.loads(n.tool_on(2, "list", "--json"))]
        expect(sorted(listed) == sorted(made), f"made {made}, listed {listed}")
        for number, name in enumerate(made):
            load.is_one_instant(name, number % 3)
        print(f"  {len(made)} snapshots through {len(terms) - 1} changes of the term")
        n.stop_nodes()
        n.check()


if __name__ == "__main__":
    run([sessions_and_bitmaps_are_kept_and_delegations_are_not, grace_protects_who_has_not_come_back,
         a_writer_of_an_old_term_does_no_harm, requests_sent_again_have_one_effect])
