# SPDX-License-Identifier: BSD-3-Clause
"""Nodes on one machine: each has a network namespace and a host name of its own, joined by a bridge; store and
origins are shared files. Everything is inside one set of namespaces whose first process is the test: when it ends, or
is killed, the kernel ends the nodes and takes their links away.

All nodes have one kernel, so the `file` election works between them, and their processes' deaths can be seen.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))

import rig  # noqa: E402
from agent_rig import AGENT  # noqa: E402
from rig import (CHUNK, PLUGIN, SERVER, SLOWNESS, TOOL, Failure, Rig, Skip, expect,  # noqa: E402
                 nbdkit_environment, wait_for)


def run(cases):
    """As rig.run(), within namespaces that end with this process."""
    if os.environ.get("CSNAP_INSIDE_NAMESPACES") == "yes":
        return rig.run(cases)
    unshare = ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc"]
    if os.getuid() != 0 or subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        print("skip: network namespaces need root")
        sys.exit(77)
    os.environ["CSNAP_INSIDE_NAMESPACES"] = "yes"
    os.execvp("setpriv", ["setpriv", "--pdeathsig", "KILL", *unshare, sys.executable, *sys.argv])


def ip(*words):
    if shutil.which("ip") is None:
        raise Skip("there is no ip (iproute2)")
    done = subprocess.run(["ip", *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise Skip(f"ip {' '.join(map(str, words))}: {done.stderr.strip()}")


class Nodes(Rig):
    """Nodes 1 to `count`, each with an agent; servers and nbdkits as the test starts them."""

    def __init__(self, count=3, **arguments):
        super().__init__(**arguments)
        self.count = count
        self.inits, self.agents, self.masters = {}, {}, {}
        ip("link", "set", "lo", "up")
        self.at_end.append(lambda: ip("link", "delete", "hub"))
        ip("link", "add", "hub", "type", "bridge")
        ip("link", "set", "hub", "up")
        for node in range(1, count + 1):
            self.join(node)

    def join(self, node):
        script = f"hostname n{node}; ip link set lo up; exec sleep infinity"
        init = self.spawn(["unshare", "--net", "--uts", "sh", "-c", script], f"node{node}.log")
        self.inits[node] = init
        own = os.stat("/proc/self/ns/net").st_ino
        wait_for(lambda: os.stat(f"/proc/{init.pid}/ns/net").st_ino != own, 10, "a network namespace")
        ip("link", "add", f"v{node}", "type", "veth", "peer", "name", "eth0", "netns", init.pid)
        self.at_end.append(lambda: ip("link", "delete", f"v{node}"))    # else it lingers, in the way of the next one
        ip("link", "set", f"v{node}", "master", "hub", "up")
        for words in (["address", "add", f"10.77.0.{node}/24", "dev", "eth0"], ["link", "set", "eth0", "up"]):
            done = subprocess.run(self.on(node) + ["ip", *words], capture_output=True, text=True)
            expect(done.returncode == 0, f"node {node}: ip {words}: {done.stderr}")

    def on(self, node):
        """Before a command: to run it as that node. It replaces itself, so its process is the command's."""
        return ["nsenter", "-t", str(self.inits[node].pid), "--net", "--uts", "--"]

    def cut(self, node):
        ip("link", "set", f"v{node}", "down")

    def heal(self, node):
        ip("link", "set", f"v{node}", "up")

    # ---- processes of nodes ----
    def agent_path(self, node):
        return self.dir / f"agent{node}.sock"

    def start_agents(self):
        for node in range(1, self.count + 1):
            self.agents[node] = self.spawn(
                self.on(node) + [AGENT, "--socket", self.agent_path(node), "--store", f"main={self.store}"],
                f"agent{node}.log")
            wait_for(self.agent_path(node).exists, 20, "an agent's socket")

    def start_node_server(self, node, *extra):
        """On whatever port: agents find it."""
        self.masters[node] = self.spawn(
            self.on(node) + [SERVER, "--store", self.store, "--listen", f"tcp:10.77.0.{node}:0", "--insecure",
                             "--agent", f"unix:{self.agent_path(node)}", *extra],
            f"server-n{node}.log")
        return self.masters[node]

    def start_node_plugin(self, node, hidden=False):
        """`hidden`: servers cannot see its process, as those of other machines cannot."""
        number = len(self.plugins)
        socket = self.dir / f"nbd{number}.sock"
        unseen = ["unshare", "--pid", "--mount-proc", "--fork", "--kill-child"] if hidden else []
        args = self.on(node) + unseen + ["nbdkit", "-f", "-U", socket, PLUGIN, f"agent=unix:{self.agent_path(node)}",
                                "store=" + self.store, *self.plugin_args]
        process = self.spawn(args, f"nbd{number}.log", env=nbdkit_environment())
        self.plugins.append((process, socket, args, nbdkit_environment()))
        self.wait_for_plugin(number)
        return number

    def nbdkit_of(self, number):
        """The process of a hidden one."""
        return int(subprocess.run(["pgrep", "-P", str(self.plugins[number][0].pid)], capture_output=True, text=True,
                                  check=True).stdout)

    # ---- the tool, on a node ----
    def try_on(self, node, *args, timeout=60):
        command = self.on(node) + [str(TOOL), "--agent", str(self.agent_path(node)), "--timeout",
                                   str(int(timeout * SLOWNESS)), *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=(timeout + 60) * SLOWNESS)
        return done.returncode, done.stdout, done.stderr

    def tool_on(self, node, *args, timeout=60):
        code, out, err = self.try_on(node, *args, timeout=timeout)
        if code != 0:
            raise Failure(f"on n{node}: csnap {' '.join(map(str, args))}: exit {code}: {err.strip()}")
        return out

    def stop_nodes(self):
        """In order: nbdkits, servers, agents; nothing may have crashed."""
        self.close_handles()
        groups = ([p[0] for p in self.plugins], list(self.masters.values()), list(self.agents.values()))
        for group in groups:
            for process in group:
                if process.poll() is None:
                    process.send_signal(15)
            for process in group:
                code = process.wait(timeout=30 * SLOWNESS)
                if code not in (0, -9, -15):
                    raise Failure(f"a process ended with {code}")


def pause(seconds):
    time.sleep(seconds * SLOWNESS)
