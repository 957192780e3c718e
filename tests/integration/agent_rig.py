# SPDX-License-Identifier: BSD-3-Clause
"""A rig (rig.py) with a csnap-agent: nbdkit and the tool find the master through it, ports are the kernel's choice."""
import json
import struct
import subprocess
import threading

import nbd

from rig import BUILD, CHUNK, PLUGIN, SERVER, SLOWNESS, TOOL, Rig, expect, nbdkit_environment, wait_for

AGENT = BUILD / "agent/csnap-agent"
ANY_PORT = "tcp:127.0.0.1:0"


class AgentRig(Rig):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.agent_socket = self.dir / "agent.sock"
        self.agent = None

    def start_agent(self, *extra, instances=True, wrapper=()):
        args = [*wrapper, AGENT, "--socket", self.agent_socket, "--metaserver", SERVER]
        if instances:
            args += ["--store", f"main={self.store}"]
        self.agent = self.spawn(args + list(extra), "agent.log")
        wait_for(lambda: self.try_agent("agent-status")[0] != 2 and "instances" in self.health_text(), 20, "the agent")
        return self.agent

    def try_agent(self, *args, timeout=60):
        command = [str(TOOL), "--agent", f"unix:{self.agent_socket}", "--timeout", str(int(timeout * SLOWNESS)),
                   *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=(timeout + 60) * SLOWNESS)
        return done.returncode, done.stdout, done.stderr

    def by_agent(self, *args, timeout=60):
        code, out, err = self.try_agent(*args, timeout=timeout)
        expect(code == 0, f"csnap --agent {' '.join(map(str, args))}: exit {code}: {err.strip()}")
        return out

    def health_text(self):
        return self.try_agent("agent-status", "--json")[1]

    def instance(self, name="main"):
        return next(i for i in json.loads(self.health_text())["instances"] if i["name"] == name)

    def wait_for_term_above(self, term, seconds=20):
        def is_newer():
            now = self.instance().get("term")
            return now is not None and tuple(map(int, now.split("."))) > tuple(map(int, term.split(".")))
        wait_for(is_newer, seconds, f"a term above {term}")

    def start_any_port_server(self, *extra):
        """Its address is in nobody's configuration."""
        return self.spawn([SERVER, "--store", self.store, "--listen", ANY_PORT, *self.server_args, *extra],
                          f"server{len(self.processes)}.log")

    def start_agent_plugin(self, wait=True, extra=(), store=None, wrapper=()):
        number = len(self.plugins)
        socket = self.dir / f"nbd{number}.sock"
        env = nbdkit_environment()
        args = [*wrapper, "nbdkit", "-f", "-U", socket, PLUGIN, f"agent=unix:{self.agent_socket}",
                "store=" + (store or self.store), *self.plugin_args, *extra]
        process = self.spawn(args, f"nbd{number}.log", env=env)
        self.plugins.append((process, socket, args, env))
        if wait:
            self.wait_for_plugin(number)
        return number


class Load(threading.Thread):
    """Writes to all chunks in turn, each write with the next number; any NBD error, and the longest wait, is kept."""

    def __init__(self, rig, plugin=0, volume="vol"):
        super().__init__(daemon=True)
        self.handle = rig.connect(volume, plugin)
        self.chunks = rig.size // CHUNK
        self.written = 0
        self.failure = None
        self.ending = threading.Event()
        self.start()

    def run(self):
        try:
            while not self.ending.is_set():
                self.handle.pwrite(struct.pack("<Q", self.written + 1), (self.written % self.chunks) * CHUNK)
                self.written += 1
        except nbd.Error as e:
            self.failure = e

    def goes_on(self, seconds=20, writes=50):
        before = self.written
        wait_for(lambda: self.failure is not None or self.written >= before + writes, seconds, "writes to go on")
        expect(self.failure is None, f"an NBD error: {self.failure}")

    def stop(self):
        self.ending.set()
        self.join(60 * SLOWNESS)
        expect(not self.is_alive(), "a write did not end")
        expect(self.failure is None, f"an NBD error: {self.failure}")
        for chunk in range(min(self.chunks, self.written)):
            newest = self.written - (self.written - 1 - chunk) % self.chunks
            got = struct.unpack("<Q", self.handle.pread(8, chunk * CHUNK))[0]
            expect(got == newest, f"chunk {chunk} holds write {got}, not {newest}")
