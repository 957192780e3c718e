# SPDX-License-Identifier: BSD-3-Clause
"""csnap-agent with real servers, nbdkits and tools: who comes first, who ends, who moves, who misbehaves."""
import os
import pathlib
import random
import re
import signal
import socket
import struct
import subprocess
import time

from agent_rig import ANY_PORT, AgentRig, Load
from outage_test import Later
from rig import CHUNK, SERVER, SLOWNESS, TOOL, Rig, Skip, expect, run, wait_for


def a_client_that_comes_first_waits():
    with AgentRig() as r:
        r.start_agent("--store", f"missing={r.dir}/not-there")
        plugin = r.start_agent_plugin(wait=False)
        listing = Later(lambda: r.by_agent("status", "--instance", "main"))
        hopeless = Later(lambda: r.try_agent("list", "--instance", "missing", timeout=3))
        time.sleep(1.5)
        expect(r.plugins[0][0].poll() is None and not r.plugins[0][1].exists(), "nbdkit did not wait")
        expect(listing.is_alive(), "the tool did not wait")
        begin = time.monotonic()
        expect(r.try_agent("agent-status")[0] == 1, "no master is healthy?")
        code, _, err = r.try_agent("list", "--instance", "nobody")
        expect(code == 1 and "missing" in err, f"an unknown instance: {code} {err}")
        expect(time.monotonic() - begin < 2 * SLOWNESS, "who waits blocks others")
        r.start_any_port_server()
        r.wait_for_plugin(plugin)
        listing.join(20)
        expect(listing.failure is None and "vol" in listing.outcome, f"{listing.failure}")
        hopeless.join(20)
        expect(hopeless.outcome[0] == 1, f"a store that never comes: {hopeless.outcome}")
        load = Load(r)
        load.goes_on()
        r.by_agent("create", "vol@s", "--instance", "main")
        load.goes_on()
        load.stop()
        r.stop()


def a_takeover_moves_the_address():
    with AgentRig() as r:
        r.start_agent()
        master = r.start_any_port_server()
        r.start_agent_plugin()
        load = Load(r)
        addresses = set()
        for number in range(4):
            standby = r.start_any_port_server()
            load.goes_on()
            seen = r.instance()
            addresses.add(seen["address"])
            expect(int(seen["address"].rsplit(":", 1)[1]) != 0, f"no port: {seen}")
            r.by_agent("create", f"vol@s{number}")
            r.kill(master)
            begin = time.monotonic()
            r.wait_for_term_above(seen["term"])
            load.goes_on(seconds=30)
            print(f"  takeover: found, and writing again, after {time.monotonic() - begin:.2f} s")
            master = standby
        expect(len(addresses) == 4, f"the addresses did not change: {addresses}")
        load.stop()
        r.close_handles()
        r.kill(master, 15)
        r.stop()
        r.check()


def the_agent_is_killed():
    with AgentRig(format_args=("--lease-ms", "2000")) as r:
        r.start_agent()
        master = r.start_any_port_server()
        r.start_agent_plugin()
        load = Load(r)
        for _ in range(3):
            load.goes_on()
            r.kill(r.agent)
            load.goes_on()
            expect(r.try_agent("list", timeout=1)[0] == 1, "who answered?")
            r.start_agent()
            r.by_agent("list")
        # The server goes while there is no agent: its clients wait, and the new agent's word is what they need.
        r.kill(r.agent)
        r.kill(master)
        master = r.start_any_port_server()
        time.sleep(1)
        r.start_agent()
        r.by_agent("create", "vol@s")       # needs the word of nbdkit, which so has found the new server
        load.goes_on()
        # An agent that is stopped, not dead, holds nobody either.
        r.agent.send_signal(19)
        load.goes_on()
        time.sleep(3)
        load.goes_on()
        r.agent.send_signal(18)
        load.goes_on()
        load.stop()
        r.stop()
        r.check()


def several_stores():
    with AgentRig() as r, AgentRig() as other:
        r.start_agent("--store", f"second={other.store}", "--server", f"third=unix:{r.dir}/third.sock")
        first_server = r.start_any_port_server()
        other.start_any_port_server()
        other.agent_socket = r.agent_socket
        r.start_agent_plugin()          # each finds its own by what is on store=
        other.start_agent_plugin()
        loads = [Load(r), Load(other)]
        for load in loads:
            load.goes_on()
        r.kill(first_server)
        loads[1].goes_on()
        expect(r.instance("second").get("address"), "the other store's master is gone too")
        r.start_any_port_server()
        loads[0].goes_on()
        code, _, err = r.try_agent("list")
        expect(code == 1 and "main, second, third" in err, f"which store? {err}")
        expect("vol" in r.by_agent("status", "--instance", "second"), "a store by its name")
        # A name that is another store than nbdkit's.
        process = r.plugins[r.start_agent_plugin(wait=False, extra=["instance=second"])][0]
        expect(process.wait(20 * SLOWNESS) != 0, "nbdkit took the master of another store")
        del r.plugins[-1]
        for load in loads:
            load.stop()
        r.close_handles()
        other.stop()
        r.stop()


def garbage_and_floods():
    with AgentRig() as r:
        r.start_agent()
        r.start_any_port_server()
        r.start_agent_plugin()
        load = Load(r)
        random.seed(1)

        def connected():
            s = socket.socket(socket.AF_UNIX)
            s.connect(str(r.agent_socket))
            return s

        def hangs_up(s):
            s.settimeout(20 * SLOWNESS)
            try:
                while s.recv(65536):
                    pass
            except ConnectionError:
                pass
            s.close()
        header = struct.Struct("<4sHHII")
        for bytes_sent in [random.randbytes(n) for n in (16, 100, 5000)] + [
                header.pack(b"CSNA", 1, 7, 1 << 30, 0), header.pack(b"CSNA", 2, 7, 0, 0),
                header.pack(b"CSNA", 1, 99, 0, 0), b"GET / HTTP/1.0\r\n\r\n"]:
            s = connected()
            try:
                s.sendall(bytes_sent)
            except ConnectionError:
                pass
            hangs_up(s)
        # Requests without end, and nobody reads the answers.
        request = health_frame()
        flood = connected()
        flood.settimeout(20 * SLOWNESS)
        try:
            while True:
                flood.sendall(request * 1000)
        except ConnectionError:
            pass
        # More connections than there is room for: who is here is served on.
        idle = [connected() for _ in range(1100)]
        load.goes_on()
        for s in idle:
            s.close()
        begin = time.monotonic()
        wait_for(lambda: r.try_agent("list", timeout=2)[0] == 0, 20, "the agent to answer again")
        expect(time.monotonic() - begin < 5 * SLOWNESS, "others waited")
        with open(f"/proc/{r.agent.pid}/status") as f:
            kib = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
        expect(kib < 100 << 10 or SLOWNESS > 1, f"the agent holds {kib} KiB")
        load.goes_on()
        load.stop()
        r.stop()


def health_frame():
    """Type 7 without a payload; the checksum is CRC-32C."""
    frame = struct.pack("<4sHHII", b"CSNA", 1, 7, 0, 0)
    crc = 0xffffffff
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return frame[:12] + struct.pack("<I", crc ^ 0xffffffff)


def is_server_of(path, store):
    try:
        return path.read_bytes().startswith(f"{SERVER}\0--store\0{store}\0".encode())
    except OSError:
        return False                # it has ended


def the_agent_starts_a_server():
    with AgentRig() as r:
        r.start_agent("--instance", f"main=--store {r.store} --listen {ANY_PORT}")

        def servers():
            """Also what this test's processes have left behind."""
            return [int(path.parts[2]) for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")
                    if is_server_of(path, r.store)]
        r.at_end.append(lambda: [os.kill(pid, 9) for pid in servers()])
        for _ in range(3):
            r.by_agent("instance-start", "main")
        wait_for(lambda: r.instance().get("address"), 20, "a master")
        expect(len(servers()) == 1, f"servers: {servers()}")
        expect(r.try_agent("instance-start", "other")[0] == 1, "an instance that there is not")
        r.start_agent_plugin()
        load = Load(r)
        # The server lives longer than its agent, and is not started twice.
        first = servers()
        r.kill(r.agent)
        load.goes_on()
        r.start_agent("--instance", f"main=--store {r.store} --listen {ANY_PORT}")
        r.by_agent("instance-start", "main")
        expect(servers() == first, f"servers: {first}, then {servers()}")
        expect("before this agent" in r.instance()["server"], r.instance())
        os.kill(first[0], 9)
        wait_for(lambda: not servers(), 20, "the server's end")
        r.by_agent("instance-start", "main")
        load.goes_on()
        # A server that crashes is started again, and waited for: no zombie.
        second = servers()
        os.kill(second[0], 9)
        wait_for(lambda: servers() not in ([], second), 20, "the server to be started again")
        load.goes_on()
        expect(not os.path.exists(f"/proc/{second[0]}"), "the server that ended was not waited for")
        # One that is stopped on purpose is not.
        os.kill(servers()[0], 15)
        wait_for(lambda: r.instance()["server"] == "stopped", 20, "the server to stop")
        time.sleep(1.5)
        expect(not servers(), "a server that was stopped came back")
        r.by_agent("instance-start", "main")
        load.goes_on()
        load.stop()
        r.close_handles()
        os.kill(servers()[0], 15)
        r.stop()
        r.check()


def only_some_may_command():
    if os.getuid() != 0:
        raise Skip("root is needed to become somebody else")
    with AgentRig() as r:
        r.start_agent("--instance", "main=--version")
        expect(os.stat(r.agent_socket).st_mode & 0o777 == 0o600, "the socket's mode")
        os.chmod(r.dir, 0o755)
        os.chmod(r.agent_socket, 0o666)
        command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", str(TOOL),
                   "--agent", str(r.agent_socket)]
        asked = subprocess.run([*command, "instance-start", "main"], capture_output=True, text=True)
        expect(asked.returncode == 1 and "only root" in asked.stderr, f"{asked.returncode} {asked.stderr}")
        seen = subprocess.run([*command, "agent-status", "--json"], capture_output=True, text=True)
        expect('"instances"' in seen.stdout, f"{seen.stdout} {seen.stderr}")


def looks_at_most_once_a_second():
    with AgentRig() as r:
        trace = r.dir / "trace"
        r.start_agent("--server", f"main=unix:{r.dir}/nobody.sock",
                      wrapper=["strace", "-f", "-qq", "-e", "trace=openat,connect", "-o", str(trace)])
        # Who is traced outlives a strace that is killed.
        traced = pathlib.Path(f"/proc/{r.agent.pid}/task/{r.agent.pid}/children")
        r.at_end.append(lambda: [os.kill(int(pid), 9) for pid in traced.read_text().split()])

        def counts():
            text = trace.read_text(errors="replace")
            return text.count(f'"{r.store}"'), text.count("nobody.sock")
        client = Later(lambda: r.by_agent("list", timeout=60))
        wait_for(lambda: min(counts()) > 0, 20, "a first look")
        begin, before = time.monotonic(), counts()
        time.sleep(5)
        seconds, after = time.monotonic() - begin, counts()
        for what, count in (("record", after[0] - before[0]), ("list", after[1] - before[1])):
            expect(1 <= count <= seconds + 1, f"{count} looks at the {what} in {seconds:.1f} s")
        r.start_any_port_server()
        client.join(30)
        expect(client.failure is None and not client.is_alive(), f"{client.failure}")
        before = counts()
        time.sleep(3)
        expect(counts() == before, "a living master is known, and still it looks")


def an_announcement_is_enough():
    """Once the agent knows which store it is, the word of a server of this node is all that it needs."""
    with AgentRig() as r:
        device = r.dir / "device"
        device.symlink_to(r.store)
        r.start_agent("--store", f"main={device}", instances=False)
        wait_for(lambda: r.instance().get("store"), 20, "the store's id")
        device.unlink()
        for _ in range(2):
            server = r.start_any_port_server("--agent", f"unix:{r.agent_socket}")
            wait_for(lambda: r.instance().get("address"), 20, "a master that announced itself")
            expect("vol" in r.by_agent("status"), "the master")
            r.kill(server)
            wait_for(lambda: not r.instance().get("address"), 20, "its end")
        silent = r.start_any_port_server()
        time.sleep(2.5)
        expect(not r.instance().get("address"), "who said it?")
        expect("device" in r.instance()["trouble"], r.instance())
        # A server that was there before its agent says it again.
        r.kill(silent)
        r.kill(r.agent)
        r.start_any_port_server("--agent", f"unix:{r.agent_socket}")
        time.sleep(1)
        device.symlink_to(r.store)
        r.start_agent("--store", f"main={device}", instances=False)
        wait_for(lambda: r.instance().get("address"), 20, "a master")


def a_list_of_servers_is_enough():
    """Without an agent: three TCP addresses, whichever serves."""
    with Rig() as r:
        ports = []
        for _ in range(3):
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                ports.append(s.getsockname()[1])
        listens = [f"tcp:127.0.0.1:{port}" for port in ports]
        r.start_server(listens[2])
        r.endpoints = listens
        r.start_server(listens[1], wait=False)
        r.start_plugin()
        load = Load(r)
        load.goes_on()
        r.tool("create", "vol@s")
        r.kill(r.servers[0][0])
        load.goes_on(seconds=30)
        r.start_server(listens[0], wait=False)
        r.kill(r.servers[1][0])
        load.goes_on(seconds=30)
        r.tool("create", "vol@t")
        load.stop()
        r.stop()
        r.check()


def an_agent_for_each_path():
    with AgentRig() as r:
        r.start_agent()
        second = subprocess.run([str(r.agent.args[0]), "--socket", r.agent_socket, "--server", "x=unix:/x"],
                                capture_output=True, text=True)
        expect(second.returncode == 1 and "another agent" in second.stderr, f"{second.returncode} {second.stderr}")
        r.kill(r.agent)
        r.start_agent()     # the dead one's socket is replaced
        expect(r.kill(r.agent, 15) == 0 and not r.agent_socket.exists(), "SIGTERM")
        for wrong in (["--socket", "/x"], ["--store", "a=/x"], ["--socket", "/x", "--store", "/y"]):
            code = subprocess.run([str(r.agent.args[0]), *wrong], capture_output=True).returncode
            expect(code == 2, f"{wrong}: exit {code}")


class OtherNode:
    """Processes in a pid namespace of their own: servers outside see them as little as those of another machine."""

    def __init__(self, r):
        unshare = ["unshare", "--pid", "--mount-proc", "--fork", "--kill-child"]
        if os.getuid() != 0 or subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
            raise Skip("a pid namespace needs root")
        self.r = r
        starter = r.spawn([*unshare, "sleep", "infinity"], "node.log")
        wait_for(lambda: self.children(starter), 20, "the node")
        wait_for(lambda: b"sleep" in self.read(self.children(starter)[0], "cmdline"), 20, "its first process")
        self.within = ["nsenter", "-t", str(self.children(starter)[0]), "--pid", "--mount", "--root", "--wd", "--"]

    @staticmethod
    def read(pid, name):
        return pathlib.Path(f"/proc/{pid}/{name}").read_bytes()

    def children(self, process):
        return [int(pid) for pid in self.read(process.pid, f"task/{process.pid}/children").split()]

    def pid_within(self, pid):
        return int(re.search(rb"NSpid:.*\t(\d+)", self.read(pid, "status"))[1])

    def start_agent(self):
        return self.children(self.r.start_agent(wrapper=self.within))[0]

    def start_plugin(self):
        number = self.r.start_agent_plugin(wrapper=self.within)
        return number, self.children(self.r.plugins[number][0])[0]

    def give_pid_to_another(self, pid):
        """Where the kernel lets one choose pids."""
        script = f"echo {pid - 1} >/proc/sys/kernel/ns_last_pid || exit; sleep infinity & echo $!; wait"
        shell = self.r.spawn([*self.within, "sh", "-c", script], "reused.log")
        wait_for(lambda: self.r.log("reused.log") or shell.poll() is not None, 20, "a process of that pid")
        expect(self.r.log("reused.log") == f"{pid}\n" or shell.poll() is not None, self.r.log("reused.log"))
        if shell.poll() is not None:
            print("  (pids cannot be chosen here: no reused pid)")


def an_nbdkit_of_another_node_is_killed():
    """A server in a cluster, which cannot see that node's processes. The agent there can, and only it: until it has
    seen the end nothing is given away; that somebody else has the pid by then does not mislead it."""
    with AgentRig(format_args=("--lease-ms", "2000", "--barrier-ms", "2000")) as r:
        node = OtherNode(r)
        control = r.dir / "control"
        server = r.start_any_port_server("--election", "pacemaker", "--control", control)
        wait_for(lambda: subprocess.run([TOOL, "promote", "--control", control], capture_output=True).returncode == 0,
                 20, "the promotion")
        agent = node.start_agent()
        wait_for(lambda: r.instance().get("address"), 20, "the master")
        r.endpoints = [r.instance()["address"]]
        here = r.start_agent_plugin()
        there, killed = node.start_plugin()

        def write():
            for number in (here, there):
                r.connect("vol", number).pwrite(b"x" * CHUNK, number * CHUNK)

        def session_of(pid):
            return next((s for s in r.json("sessions") if s["pid"] == pid), None)

        def nothing_is_given_away(name, pid):
            code, _, err = r.try_tool("create", f"vol@{name}")
            expect(code == 1 and "did not answer the barrier" in err, f"a create without proof: exit {code}: {err}")
            expect(session_of(pid)["chunks_reserved"] > 0, f"given away: {session_of(pid)}")
        write()
        r.tool("create", "vol@before")
        write()

        pid = node.pid_within(killed)
        os.kill(agent, signal.SIGSTOP)
        os.kill(killed, signal.SIGKILL)
        r.plugins[there][0].wait(20 * SLOWNESS)
        node.give_pid_to_another(pid)
        nothing_is_given_away("nobody-saw-it", pid)
        os.kill(agent, signal.SIGCONT)
        wait_for(lambda: session_of(pid) is None, 20, "the end of the session of a process that has ended")
        r.tool("create", "vol@proof")
        expect("processes have ended" in r.log("agent.log"), "the agent does not say what it told")

        # One that only sleeps has not ended, however long.
        r.close_handles()
        there, asleep = node.start_plugin()
        write()
        r.tool("create", "vol@again")
        write()
        pid = node.pid_within(asleep)
        os.kill(asleep, signal.SIGSTOP)
        session = session_of(pid)["session"]
        wait_for(lambda: session_of(pid)["expired"], 20, "its lease to run out")
        time.sleep(5)       # two pings
        nothing_is_given_away("it-sleeps", pid)
        os.kill(asleep, signal.SIGCONT)
        write()
        r.tool("create", "vol@awake")
        expect(session_of(pid)["session"] == session, "another session")
        os.kill(asleep, signal.SIGKILL)
        wait_for(lambda: session_of(pid) is None, 20, "the end of its session")
        r.tool("create", "vol@last")
        r.close_handles()
        r.kill(r.plugins[here][0], 15)
        r.kill(server, 15)
        r.check()


if __name__ == "__main__":
    run([a_client_that_comes_first_waits, a_takeover_moves_the_address, the_agent_is_killed, several_stores,
         garbage_and_floods, the_agent_starts_a_server, only_some_may_command, looks_at_most_once_a_second,
         an_announcement_is_enough, a_list_of_servers_is_enough, an_agent_for_each_path,
         an_nbdkit_of_another_node_is_killed])
