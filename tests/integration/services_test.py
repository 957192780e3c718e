# SPDX-License-Identifier: BSD-3-Clause
"""csnap as services: one configuration file for server, agent and nbdkit; what systemd is told; nbdkit on a socket that
outlives it; the units themselves. No systemd runs: the test takes its place."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import nbd

from agent_rig import AGENT
from rig import BUILD, PLUGIN, SERVER, SLOWNESS, TOOL, Rig, Skip, expect, nbdkit_environment, run, wait_for

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
UNITS = BUILD / "agent/systemd"
EXPOSURE_MAX = 1.5


class Services(Rig):
    """A rig whose programs are told all by one file, main.conf."""

    def __init__(self, *lines, **more):
        super().__init__(**more)
        self.conf = self.dir / "etc/main.conf"
        self.conf.parent.mkdir()
        self.server_socket, self.agent_socket = (f"unix:{self.dir}/{name}.sock" for name in ("server", "agent"))
        self.endpoints = [self.server_socket]
        self.write_conf(f"store = {self.store}", f"listen = {self.server_socket}", f"agent = {self.agent_socket}",
                        *lines)

    def write_conf(self, *lines):
        self.conf.write_text("# of a test\n" + "".join(line + "\n" for line in lines))

    def serve(self, *extra, env=None):
        return self.spawn([SERVER, "--config", self.conf, *extra], "server.log", env={**os.environ, **(env or {})})

    def serve_nbd(self, *parameters, on=None):
        """nbdkit as systemd starts it: the listening socket is its descriptor 3."""
        words = ["nbdkit", "--foreground", PLUGIN, *map(str, parameters)]
        with open(self.dir / "nbd.log", "ab") as log:
            made = subprocess.Popen(["sh", "-c", f'exec 3<&{on.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"',
                                     "sh", *map(str, words)], pass_fds=[on.fileno()], stdin=subprocess.DEVNULL,
                                    stdout=log, stderr=log, env=nbdkit_environment())
        self.processes.append(made)
        return made

    def socket_unit(self):
        s = socket.socket(socket.AF_UNIX)
        s.bind(str(self.dir / "nbd.sock"))
        s.listen(16)
        return s

    def open(self, export):
        h = nbd.NBD()
        h.connect_uri(f"nbd+unix:///{export}?socket={self.dir}/nbd.sock")
        self.handles.append(h)
        return h


def one_file_for_server_agent_and_nbdkit():
    with Services(volumes=("vol", "other")) as r:
        r.serve()
        r.spawn([AGENT, "--config", r.conf.parent, "--metaserver", SERVER], "agent.log")     # a directory: all stores
        r.wait_for_master()
        wait_for(lambda: os.path.exists(r.agent_socket.removeprefix("unix:")), 20, "the agent's socket")
        known = r.try_tool("--agent", r.agent_socket, "agent-status", "--json", server=False)[1]
        expect('"name":"main"' in known and '"server":' in known, f"the agent knows {known}")
        with r.socket_unit() as s:
            r.serve_nbd(f"config={r.conf}", "volume=vol", on=s)
            h = r.open("vol")
            h.pwrite(b"before", 0)
            r.tool("create", "vol@s", "other@s")
            h.pwrite(b"after!", 0)
            expect(r.open("vol@s").pread(6, 0) == b"before", "the snapshot")
            listed = subprocess.run(["nbdinfo", "--list", f"nbd+unix://?socket={r.dir}/nbd.sock"], text=True,
                                    capture_output=True, check=True).stdout
            expect(re.findall(r'^export="(.*)":', listed, re.M) == ["vol", "vol@s"], f"volume=vol leaves {listed}")
            try:
                r.open("other")
                raise AssertionError("volume=vol lets another volume be opened")
            except nbd.Error:
                pass
            r.stop()


def the_command_line_wins():
    with Services("log-level = error", "insecure = no") as r:
        elsewhere = f"unix:{r.dir}/elsewhere.sock"
        r.serve("--listen", elsewhere, "--log-level", "info")
        r.endpoints = [elsewhere]
        r.wait_for_master()
        said = r.log("server.log")
        expect(f"listening on {elsewhere}" in said and r.server_socket not in said, f"the server said {said}")


def a_wrong_line_is_told_by_each_program():
    with Services() as r:
        r.write_conf(f"store = {r.store}", "cache = much", f"agent = {r.agent_socket}")
        wanted = f"{r.conf}:3: expected cache = SIZE, of 1M at least, not 'much'"
        for words, status in (([SERVER, "--config", r.conf], 2), ([AGENT, "--config", r.conf], 2),
                              (["nbdkit", "-f", PLUGIN, f"config={r.conf}"], 1)):
            done = subprocess.run(list(map(str, words)), capture_output=True, text=True, env=nbdkit_environment(),
                                  timeout=60 * SLOWNESS)
            expect(done.returncode == status and wanted in done.stderr, f"{words[0]}: {done.returncode} {done.stderr}")
        for lines, complaint in (((f"store = {r.store}",), "--listen is required"), ((), "store = DEVICE")):
            r.write_conf(*lines)
            done = subprocess.run([SERVER, "--config", r.conf], capture_output=True, text=True, timeout=60 * SLOWNESS)
            expect(done.returncode == 2 and complaint in done.stderr, f"{lines}: {done.stderr}")


def every_option_is_a_key():
    """What the server's --help has, the page has; and the page's example has it all, and is accepted."""
    page = (SOURCE / "metaserver/service/csnap.conf.pod").read_text()
    keys = set(re.findall(r"^=item B<([a-z-]+)>", page, re.M))
    told = subprocess.run([SERVER, "--help"], capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"^  (?:-\w,)?--([a-z-]+)", told, re.M))
    missing = options - keys - {"help", "version", "config"}
    expect(len(options) > 10 and not missing, f"csnap.conf(5) lacks {missing}, or --help shows too little: {options}")
    example = re.search(r"^=head1 EXAMPLE\n\n((?: .*\n|\n)+)", page, re.M)[1]
    shown = set(re.findall(r"^ #?([a-z-]+) +=", example, re.M))
    expect(keys - {"device.NAME"} <= shown, f"the example lacks {keys - shown}")
    with Services() as r:
        r.write_conf(*(line.strip().removeprefix("#") for line in example.splitlines() if " =" in line))
        done = subprocess.run([SERVER, "--config", r.conf], capture_output=True, text=True, timeout=60 * SLOWNESS)
        expect(str(r.conf) not in done.stderr and "/dev/" in done.stderr, f"the example: {done.stderr}")


def clients_wait_while_nbdkit_is_started_again():
    with Services() as r:
        r.serve()
        r.wait_for_master()
        with r.socket_unit() as s:
            parameters = (f"config={r.conf}", f"server={r.server_socket}")         # the agent does not run
            first = r.serve_nbd(*parameters, on=s)
            r.open("vol").pwrite(b"kept", 0)
            r.open("vol").flush()
            Rig.kill(first)
            with socket.socket(socket.AF_UNIX) as waiting:
                waiting.connect(str(r.dir / "nbd.sock"))        # not refused, though nobody is there
                waiting.settimeout(20 * SLOWNESS)
                r.serve_nbd(*parameters, on=s)
                expect(waiting.recv(8) == b"NBDMAGIC", "the client that waited is served")
            r.handles.clear()
            expect(r.open("vol").pread(4, 0) == b"kept", "what was flushed")
            r.stop()


class Manager:
    """systemd's side of sd_notify."""

    def __init__(self, rig, name):
        self.path = str(rig.dir / f"notify-{name}.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.heard = []

    def environment(self):
        return {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": "10000000"}

    def expect_word(self, pattern):
        self.socket.settimeout(20 * SLOWNESS)
        while not any(re.fullmatch(pattern, word) for word in self.heard):
            try:
                self.heard += self.socket.recv(4096).decode().splitlines()
            except TimeoutError:
                raise AssertionError(f"no {pattern} was told: {self.heard}") from None


def what_systemd_is_told():
    if "service_notice_absent" in (BUILD / "build.ninja").read_text():
        raise Skip("built without libsystemd")
    with Services() as r:
        manager, other, third = (Manager(r, name) for name in ("server", "standby", "agent"))
        server = r.serve(env=manager.environment())
        for word in ("READY=1", r"STATUS=master in term \S+, \d+ sessions?", "WATCHDOG=1"):
            manager.expect_word(word)
        r.serve("--listen", f"unix:{r.dir}/standby.sock", env=other.environment())
        for word in ("READY=1", r"STATUS=standby.*", "WATCHDOG=1"):
            other.expect_word(word)
        server.send_signal(signal.SIGTERM)
        manager.expect_word("STOPPING=1")
        other.expect_word(r"STATUS=master in term \S+, \d+ sessions?")
        other.heard.clear()
        other.expect_word("WATCHDOG=1")         # again and again
        agent = r.spawn([AGENT, "--config", r.conf], "agent.log", env={**os.environ, **third.environment()})
        for word in ("READY=1", r"STATUS=main: master at unix:.*standby\.sock", "WATCHDOG=1"):
            third.expect_word(word)
        agent.send_signal(signal.SIGTERM)
        third.expect_word("STOPPING=1")


def units_are_valid_and_hardened():
    if shutil.which("systemd-analyze") is None:
        raise Skip("systemd-analyze is not installed (scripts/install-packages test)")
    with Services() as r:
        for unit in sorted(UNITS.glob("*.service")) + [SOURCE / "agent/systemd/csnap-nbd@.socket"]:
            text = unit.read_text()
            rest = re.sub(r"@(system-service|privileged|resources)|csnap-\w+@|^#.*", "", text, flags=re.M)
            expect("@" not in rest, f"{unit}: something was not filled in")
            for program in (SERVER, AGENT, TOOL):     # installed or not: those that were built
                text = re.sub(rf"/\S*/{program.name}(?=\s)", str(program), text)
            copy = r.dir / unit.name
            copy.write_text(text)
        for unit in sorted(r.dir.glob("*.service")) + sorted(r.dir.glob("*.socket")):
            instance = unit.with_name(unit.name.replace("@", "@main:vol"))
            instance.symlink_to(unit) if instance != unit else None
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", instance],
                                  capture_output=True, text=True, timeout=60 * SLOWNESS)
            ours = [line for line in done.stderr.splitlines() if "csnap" in line]
            expect(not ours, f"systemd-analyze verify {instance.name}: {ours}")
            if unit.suffix == ".service" and unit.name != "csnap-attach@.service":  # root
                done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", instance],
                                      capture_output=True, text=True, timeout=60 * SLOWNESS)
                level = re.search(r"Overall exposure level for .*: (\d+\.\d+)", done.stdout)
                expect(level is not None and float(level[1]) <= EXPOSURE_MAX,
                       f"{unit.name}: {done.stdout}{done.stderr}")
                print(f"  {unit.name}: exposure {level[1]}", flush=True)


if __name__ == "__main__":
    run([one_file_for_server_agent_and_nbdkit, the_command_line_wins, a_wrong_line_is_told_by_each_program,
         every_option_is_a_key, clients_wait_while_nbdkit_is_started_again, what_systemd_is_told,
         units_are_valid_and_hardened])
