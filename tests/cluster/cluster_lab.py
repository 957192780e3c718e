# SPDX-License-Identifier: BSD-3-Clause
"""Three nodes of a real cluster on one machine: Corosync and Pacemaker, each node in namespaces of its own.

enter() runs the test again as PID 1 of throw-away namespaces. All that is made there (nodes, links, mounts, files) ends
with that process, however it ends: the kernel sees to it, and nothing outside was touched. A node's PID 1 is node-init;
killing it is a power cut, "link down" pulls its only cable, and every node has a boot id of its own.
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as xml

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))
from rig import SLOWNESS, Failure, wait_for  # noqa: E402

LAB = pathlib.Path("/mnt")
INSIDE = "CSNAP_LAB_INSIDE"
COROSYNC_PROGRAMS = {"corosync": "corosync"}
PACEMAKER_PROGRAMS = COROSYNC_PROGRAMS | {"pacemakerd": "pacemaker", "crm_mon": "pacemaker-cli-utils"}
NEEDED = {"nsenter": "util-linux", "setpriv": "util-linux", "ip": "iproute2", "pgrep": "procps", "nft": "nftables"}


def skip(reason):
    print(f"skip: {reason}", flush=True)
    sys.exit(77)


def enter(programs):
    """Returns inside the namespaces. Skips where the machine cannot have them, or lacks `programs`, which are named
    with the packages that have them."""
    if os.environ.get(INSIDE) == "yes":
        prepare()
        return
    if os.geteuid() != 0:
        skip("namespaces, mounts and network links need root")
    missing = sorted({package for program, package in (NEEDED | programs).items() if shutil.which(program) is None})
    if missing:
        skip("not installed: " + " ".join(missing) + " (scripts/install-packages test)")
    possible = subprocess.run(["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--mount-proc",
                               "true"], capture_output=True, text=True)
    if possible.returncode != 0:
        skip("this machine makes no namespaces: " + possible.stderr.strip())
    os.environ[INSIDE] = "yes"
    os.execvp("setpriv", ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--ipc", "--uts",
                          "--fork", "--kill-child", "--mount-proc", sys.executable, *sys.argv])


def prepare():
    if os.path.exists("/proc/sysrq-trigger"):       # see node-init
        command("mount", "--bind", "/dev/null", "/proc/sysrq-trigger")
    command("mount", "-t", "tmpfs", "-o", "mode=755", "lab", LAB)
    (LAB / "tmp").mkdir()
    os.environ["TMPDIR"] = str(LAB / "tmp")
    command("ip", "link", "set", "lo", "up")
    command("ip", "link", "add", "hub", "type", "bridge")
    command("ip", "addr", "add", "10.77.0.254/24", "dev", "hub")
    command("ip", "link", "set", "hub", "up")
    command("mount", "-t", "overlay", "-o", f"lowerdir={HERE}/sbin:/usr/sbin", "sbin", "/usr/sbin")


def command(*args, check=True, timeout=120):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=timeout)
    if check and done.returncode != 0:
        raise Failure(f"{' '.join(map(str, args))}: exit {done.returncode}: {done.stdout}{done.stderr}")
    return done


def install_agent(provider, folder):
    """The OCF agents of `folder` appear as those of `provider`; the machine keeps its own."""
    made = LAB / "ocf" / provider
    made.mkdir(parents=True)
    for agent in pathlib.Path(folder).iterdir():
        shutil.copy(agent, made / agent.name)
    command("mount", "-t", "overlay", "-o", f"lowerdir={LAB}/ocf:/usr/lib/ocf/resource.d", "ocf",
            "/usr/lib/ocf/resource.d")


COROSYNC = """totem {{
    version: 2
    cluster_name: lab
    transport: knet
    token: {token}
    token_coefficient: 0
}}
quorum {{
    provider: corosync_votequorum
}}
system {{
    sched_rr: no
    move_to_root_cgroup: no
}}
logging {{
    to_logfile: yes
    to_syslog: no
    to_stderr: no
    logfile: /var/log/corosync/corosync.log
    timestamp: hires
}}
nodelist {{
{nodes}}}
"""

# Without dc-deadtime in the first configuration the first election would wait 20 s.
CIB = """<cib validate-with="pacemaker-3.7" admin_epoch="0" epoch="1" num_updates="0"><configuration><crm_config>
<cluster_property_set id="options">
<nvpair id="o-dc-deadtime" name="dc-deadtime" value="2s"/>
<nvpair id="o-stonith" name="stonith-enabled" value="true"/>
<nvpair id="o-stonith-action" name="stonith-action" value="off"/>
</cluster_property_set></crm_config><nodes/>
<resources><primitive id="power" class="stonith" type="fence_lab"/></resources>
<constraints/></configuration><status/></cib>
"""


class Lab:
    def __init__(self, nodes=3, pacemaker=True, token_ms=1000):
        self.names = [f"n{i}" for i in range(1, nodes + 1)]
        self.pacemaker = pacemaker
        self.token_ms = int(token_ms * SLOWNESS)
        self.processes = {}         # node -> what `unshare` started
        os.mkfifo(LAB / "switch", 0o600)
        hosts = "127.0.0.1 localhost\n" + "".join(f"10.77.0.{n[1:]} {n}\n" for n in self.names)
        (LAB / "hosts").write_text(hosts)
        for name in self.names:
            self.make_disk(name)
        threading.Thread(target=self.serve_switch, daemon=True).start()
        for name in self.names:
            self.power("on", name)
        wait_for(lambda: self.is_whole(self.names[0]), 90, "the cluster to come up")

    def make_disk(self, name):
        disk = LAB / "disk" / name
        for folder in ("etc/corosync", "var/lib/corosync", "var/lib/pacemaker", "var/log/corosync",
                       "var/log/pacemaker"):
            (disk / folder).mkdir(parents=True)
        entries = "".join(f"    node {{\n        name: {n}\n        nodeid: {n[1:]}\n"
                          f"        ring0_addr: 10.77.0.{n[1:]}\n    }}\n" for n in self.names)
        (disk / "etc/corosync/corosync.conf").write_text(COROSYNC.format(token=self.token_ms, nodes=entries))
        if not self.pacemaker:
            return
        for folder in ("blackbox", "cib", "cores", "pengine"):
            (disk / "var/lib/pacemaker" / folder).mkdir(mode=0o750)
        cib = disk / "var/lib/pacemaker/cib/cib.xml"
        cib.write_text(CIB)
        cib.chmod(0o600)
        command("chown", "-R", "hacluster:haclient", disk / "var/lib/pacemaker", disk / "var/log/pacemaker")

    # ---- power: one thread is the only one that begins and ends nodes ----
    def serve_switch(self):
        fifo = os.open(LAB / "switch", os.O_RDWR | os.O_CLOEXEC)    # its own writer too: there is never an end of file
        with open(fifo, encoding="ascii") as orders:
            while True:
                verb, name = orders.readline().split()
                if verb == "off" and self.has_power(name):
                    self.switch_off(name)
                elif verb == "on" and not self.has_power(name):
                    self.switch_on(name)

    def switch_off(self, name):
        os.kill(self.pid(name), signal.SIGKILL)         # the kernel kills all the rest of the node
        while os.path.exists(f"/proc/{self.pid(name)}"):
            self.wake_stopped()
            time.sleep(0.02)
        self.processes.pop(name).wait()
        command("ip", "link", "delete", name, check=False)      # else it lingers for a while
        (LAB / f"{name}.pid").unlink()

    @staticmethod
    def wake_stopped():
        """nsenter stops itself when its child is stopped; then it would not reap it."""
        for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                if "(nsenter) T" in status.read_text():
                    os.kill(int(status.parent.name), signal.SIGCONT)
            except (OSError, ProcessLookupError):
                pass

    def switch_on(self, name):
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LAB": str(LAB),
               "LAB_PACEMAKER": "yes" if self.pacemaker else "no"}
        with open(LAB / "disk" / name / "var/log/console", "ab") as console:
            started = subprocess.Popen(["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork",
                                        "--kill-child", "bash", HERE / "node-init", name], env=env,
                                       stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        outer = os.readlink("/proc/self/ns/net")
        while True:
            found = command("pgrep", "-P", started.pid, check=False).stdout.split()
            try:
                if found and os.readlink(f"/proc/{found[0]}/ns/net") != outer:
                    break
            except OSError:
                pass
            time.sleep(0.02)
        command("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", found[0])
        command("ip", "link", "set", name, "master", "hub", "up")
        self.processes[name] = started
        (LAB / f"{name}.new").write_text(found[0])
        (LAB / f"{name}.new").rename(LAB / f"{name}.pid")

    def power(self, verb, name):
        with open(LAB / "switch", "w", encoding="ascii") as switch:
            switch.write(f"{verb} {name}\n")
        wait_for(lambda: self.has_power(name) == (verb == "on"), 30, f"power {verb} of {name}")

    @staticmethod
    def has_power(name):
        return (LAB / f"{name}.pid").exists()

    @staticmethod
    def pid(name):
        return int((LAB / f"{name}.pid").read_text())

    @staticmethod
    def link(name, state):
        command("ip", "link", "set", name, state)

    # ---- a link that is cut in one direction ----
    def cut(self, name, direction):
        """"in": the node receives nothing, and what it sends arrives; "out": the other way round."""
        device = "eth0" if direction == "in" else name
        drop = (f"add table netdev {name}; add chain netdev {name} cut "
                f"{{ type filter hook ingress device {device} priority 0; policy drop; }}")
        if direction == "in":
            self.on(name, "nft", drop)
        else:
            command("nft", drop)

    def mend(self, name, direction):
        if direction == "out":
            command("nft", "delete", "table", "netdev", name)
        elif self.has_power(name):
            self.on(name, "nft", "delete", "table", "netdev", name)

    # ---- a node that sleeps ----
    def signal_all(self, name, what):
        found = command("pgrep", "--ns", self.pid(name), "--nslist", "pid", "", check=False).stdout
        for pid in map(int, found.split()):
            try:
                os.kill(pid, what)
            except ProcessLookupError:
                pass                    # it has just ended by itself

    def pause(self, name):
        self.signal_all(name, signal.SIGSTOP)
        self.signal_all(name, signal.SIGSTOP)       # those that were begun meanwhile

    def resume(self, name):
        self.signal_all(name, signal.SIGCONT)
        self.wake_stopped()

    def root(self, name):
        """The node's files, seen from outside."""
        return pathlib.Path(f"/proc/{self.pid(name)}/root")

    # ---- running things on nodes ----
    def inside(self, name, *args):
        # --root: where all this runs in a chroot, the root of the mount namespace is another than the node's.
        return ["nsenter", "--target", self.pid(name), "--all", "--root", "--", *args]

    def on(self, name, *args, check=True, timeout=120):
        return command(*self.inside(name, *args), check=check, timeout=timeout)

    def processes_of(self, name, program):
        """Pids, as seen from outside, of the node's processes that run `program`."""
        found = command("pgrep", "--ns", self.pid(name), "--nslist", "pid", "-x", program[:15], check=False).stdout
        return [int(p) for p in found.split()]

    # ---- asking the cluster ----
    def is_whole(self, asked):
        if not self.pacemaker:
            said = self.on(asked, "corosync-quorumtool", "-s", check=False).stdout
            return "Quorate:          Yes" in said and f"Total votes:      {len(self.names)}" in said
        said = self.on(asked, "crm_mon", "-1", "--output-as", "xml", check=False)
        if said.returncode != 0:
            return False
        status = xml.fromstring(said.stdout)
        dc = status.find("summary/current_dc")
        online = [n for n in status.findall("nodes/node") if n.get("online") == "true" and n.get("pending") == "false"]
        return dc is not None and dc.get("with_quorum") == "true" and len(online) == len(self.names)

    def settle(self, asked):
        """Until Pacemaker has nothing left to do. A node that was paused and continued may take it minutes."""
        self.on(asked, "crm_resource", "--wait", "--timeout", str(int(300 * SLOWNESS)), timeout=400 * SLOWNESS)

    def others(self, name):
        return [n for n in self.names if n != name]


def ask_server(control_socket, line, timeout=2):
    """One order to a server; None if it does not live, or does not answer."""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            s.connect(str(control_socket))
            s.sendall(line.encode() + b"\n")
            return s.makefile("rb").readline().decode().strip() or None
    except OSError:
        return None
