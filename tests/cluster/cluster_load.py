# SPDX-License-Identifier: BSD-3-Clause
"""A csnap on the nodes of the lab: one store for all; on each node an nbdkit, a verifying writer and clients of sectors
that all nodes share. And what must hold after every fault: one master, writers that go on, contents as the model has
them, histories that are linearizable, a store that is whole."""
import json
import os
import random
import signal
import threading
import time

from cluster_lab import ask_server, command
from kill_test import SECTOR, Writer, check_range, numbers
from register_history import Registers
from register_history import CHUNKS as REGISTER_CHUNKS
from rig import BUILD, CHUNK, PLUGIN, SERVER, SLOWNESS, Failure, Rig, expect, nbdkit_environment, wait_for

AGENT = BUILD / "agent/csnap-agent"
AGENT_SOCKET = "/run/csnap-agent.sock"      # each node has a /run of its own
CONTROL = "/run/csnap/control"
WRITTEN = 6 << 20
SNAPSHOTS_KEPT = 12                         # each may take as much of the store as is written


class SlowWriter(Writer):
    """The machine has two cores for three nodes and more. Who takes the lock holds it between two writes."""

    def __init__(self, *arguments):
        self.between = threading.Lock()
        super().__init__(*arguments)

    def one(self, handle):
        with self.between:
            super().one(handle)
        time.sleep(0.01)


class ClusterLoad(Rig):
    def __init__(self, lab, seed=1, agents=(), **more):
        """`agents`: nodes whose nbdkit finds the master by its agent; the others try all servers."""
        usual = {"size": WRITTEN + REGISTER_CHUNKS * CHUNK, "store": 192 << 20,
                 "format_args": ["--lease-ms", "3000", "--barrier-ms", "4000"]}
        super().__init__(**usual | more)
        self.lab, self.rng, self.agents = lab, random.Random(seed), agents
        self.endpoints = [f"tcp:10.77.0.{n[1:]}:7400" for n in lab.names]
        self.writers, self.snapshots, self.made = [], {}, 0
        self.registers = Registers(self, lab.names)

    # ---- nodes ----
    def start_agent(self, name):
        self.spawn(self.lab.inside(name, AGENT, "--socket", AGENT_SOCKET, "--store", f"main={self.store}"),
                   f"agent-{name}.log")
        wait_for((self.lab.root(name) / AGENT_SOCKET[1:]).exists, 20, f"the agent of {name}")

    def start_clients(self, name):
        self.start_agent(name)
        self.start_nbdkit(name)

    def start_nbdkit(self, name):
        number = self.lab.names.index(name)
        path = self.dir / f"nbd-{name}.sock"
        path.unlink(missing_ok=True)
        where = f"agent=unix:{AGENT_SOCKET}" if name in self.agents else "server=" + ",".join(self.endpoints)
        args = self.lab.inside(name, "nbdkit", "-f", "-U", path, PLUGIN, where, "store=" + self.store)
        process = self.spawn(args, f"nbd-{name}.log", env=nbdkit_environment())
        entry = (process, path, args, None)
        if number < len(self.plugins):
            self.plugins[number] = entry
        else:
            self.plugins.append(entry)

    def start_load(self):
        for name in self.lab.names:
            self.start_clients(name)
        each = WRITTEN // SECTOR // len(self.lab.names)
        for number in range(len(self.lab.names)):
            wait_for(lambda n=number: os.path.exists(self.plugins[n][1]), 60, "nbdkit's socket")
            self.writers.append(SlowWriter(self, number, number * each, each, number))
        self.registers.start()

    # ---- what the servers say, asked at each of them ----
    def control(self, name):
        return self.lab.root(name) / CONTROL[1:]

    def role(self, name, order="role"):
        if not self.lab.has_power(name):
            return None
        answer = ask_server(self.control(name), order)
        return json.loads(answer[3:]) if answer and answer.startswith("ok ") else None

    def masters(self, order="verify"):
        states = {name: self.role(name, order) for name in self.lab.names}
        return [name for name, state in states.items() if state and state["role"] == "master"]

    def only_master(self):
        found = self.masters()
        return found[0] if len(found) == 1 else None

    def wait_for_one_master(self, seconds=90, not_on=None):
        begin = time.monotonic()
        wait_for(lambda: self.only_master() not in (None, not_on), seconds,
                 f"one master{' elsewhere than on ' + not_on if not_on else ''}")
        return self.only_master(), time.monotonic() - begin

    def standbys(self):
        return [n for n in self.lab.names if (self.role(n) or {}).get("role") == "standby"]

    # ---- the model ----
    def writes_go_on(self, names=None, seconds=60, count=10):
        for name in names or self.lab.names:
            writer = self.writers[self.lab.names.index(name)]
            before = writer.writes
            wait_for(lambda w=writer, b=before: w.failure or w.writes >= b + count, seconds,
                     f"the writes on {name} to go on")
            expect(writer.failure is None, f"on {name}: {writer.failure}")

    def snapshot(self, seconds=60):
        """At last one that is made; what it holds is known between two bounds, and later for ever."""
        end = time.monotonic() + seconds
        while True:
            name = f"s{self.made}"
            self.made += 1
            low = [list(w.acknowledged) for w in self.writers]
            code, _, err = self.try_tool("create", f"vol@{name}", timeout=30)
            high = [list(w.sent) for w in self.writers]
            if code == 0:
                self.snapshots[name] = (low, high)
                self.forget_old_snapshots()
                return name
            if time.monotonic() > end:
                raise Failure(f"no snapshot could be made: {err}")
            time.sleep(0.3)

    def forget_old_snapshots(self):
        for name in list(self.snapshots)[1:-SNAPSHOTS_KEPT]:        # the first is kept: it lives through all faults
            if self.try_tool("delete", f"vol@{name}", timeout=30)[0] == 0:
                del self.snapshots[name]

    def verify(self, name, number):
        low, high = self.snapshots[name]
        handle = self.connect(f"vol@{name}", number)
        data = bytes(handle.pread(self.size, 0))
        handle.shutdown()
        self.handles.remove(handle)
        for writer, lo, hi in zip(self.writers, low, high):
            check_range(f"vol@{name} read on {self.lab.names[number]}", data, writer, lo, hi)
            lo[:] = hi[:] = numbers(data, writer.first, writer.count)

    def verify_all(self):
        for name in self.snapshots:
            self.verify(name, self.rng.randrange(len(self.lab.names)))

    # ---- judging ----
    def rest(self):
        """No write is on its way any more."""
        for writer, name in zip(self.writers, self.lab.names):
            expect(writer.between.acquire(timeout=60 * SLOWNESS), f"a write on {name} hangs")
            expect(writer.failure is None, f"on {name}: {writer.failure}")
        self.registers.stop()

    def judge(self):
        """The load rests meanwhile. Nothing may be missing, wrong, or out of order."""
        self.rest()
        self.registers.judge()
        self.origin_is_right()
        self.verify_all()
        self.check_a_copy()
        self.registers.start()
        for writer in self.writers:
            writer.between.release()

    def origin_is_right(self):
        for number, name in enumerate(self.lab.names):
            handle = self.connect("vol", number)
            data = bytes(handle.pread(self.size, 0))
            handle.shutdown()
            self.handles.remove(handle)
            for writer in self.writers:
                check_range(f"the origin on {name}", data, writer, writer.acknowledged, writer.sent)

    def check_a_copy(self):
        """What a crash of the master would leave now: csnap check."""
        copy = self.dir / "store-copy"
        master = self.lab.processes_of(self.wait_for_one_master()[0], SERVER.name)[0]
        os.kill(master, signal.SIGSTOP)
        try:
            command("cp", "--sparse=always", self.store, copy)
        finally:
            os.kill(master, signal.SIGCONT)
            self.lab.wake_stopped()
        self.check(device=copy)
        copy.unlink()

    def stop_load(self):
        """For good."""
        self.rest()
        for writer in self.writers:
            writer.ending = True
            writer.between.release()
        for writer in self.writers:
            writer.join(90)
            expect(not writer.is_alive() and writer.failure is None, f"a writer: {writer.failure or 'hangs'}")
        self.registers.judge()
        self.origin_is_right()

    # ---- proof ----
    def proof_for(self, name):
        """An administrator says that a node is off, or that what vanished there has ended: its sessions end."""
        def said():
            master = self.only_master()
            answer = ask_server(self.control(master), f"fence-confirm {name}") if master else None
            return answer is not None and (answer.startswith("ok ") or "has expired" in answer)
        wait_for(said, 60, f"the proof for {name}")

    def wait_for_proof(self, name):
        """No session of the node is left: somebody has proven that it writes no more."""
        def gone():
            code, out, _ = self.try_tool("sessions", "--json", timeout=3)
            return code == 0 and all(s["node"] != name for s in json.loads(out))
        wait_for(gone, 90, f"the proof that {name} writes no more")

    def sessions(self):
        code, out, _ = self.try_tool("sessions", "--json", timeout=3)
        return {s["session"] for s in json.loads(out)} if code == 0 else None

    def wait_for_end_of(self, sessions):
        """Nobody says a word: the master's kernel and the agents of the other nodes see that processes have ended."""
        def ended():
            now = self.sessions()
            return now is not None and not now & sessions
        wait_for(ended, 30, "the end of sessions whose processes were killed")

    def report(self):
        return (f"{sum(w.writes for w in self.writers)} writes, {self.made} snapshots, "
                f"{self.registers.judged} operations on shared sectors, "
                f"{sum(w.reconnects for w in self.writers)} reconnects of NBD clients")
