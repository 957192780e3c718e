# SPDX-License-Identifier: BSD-3-Clause
"""A whole csnap on one host, of real processes in a temporary directory: origin, store, servers, nbdkits.

Programs are found through CSNAP_BIN_DIR (a Meson build directory). Every process started here is ended here,
by its id; CSNAP_KEEP=1 keeps the directory.

In a build with sanitizers CSNAP_PRELOAD is their runtime, for LD_PRELOAD of nbdkit alone, and CSNAP_SLOWNESS is what
to multiply time limits with. A report of a sanitizer in any process of a rig, killed or not, fails its test.
"""
import json
import os
import pathlib
import shutil
import signal
import socket as socket_module
import subprocess
import sys
import tempfile
import time

import nbd

BUILD = pathlib.Path(os.environ.get("CSNAP_BIN_DIR", "build")).resolve()
SERVER = BUILD / "metaserver/server/csnap-metaserver"
TOOL = BUILD / "metaserver/cli/csnap"
PLUGIN = BUILD / "nbdkit-plugin/nbdkit-csnap-plugin.so"
CHUNK = 65536
SLOWNESS = float(os.environ.get("CSNAP_SLOWNESS", "1"))


class Failure(Exception):
    pass


class Skip(Exception):
    """The machine cannot do what the test needs; the text says what."""


def expect(condition, what):
    if not condition:
        raise Failure(what)


def nbdkit_environment():
    """nbdkit itself is not built with sanitizers, so the plugin's runtime must be there before it; and what nbdkit
    leaks at its end is not ours."""
    env = dict(os.environ)
    if env.get("CSNAP_PRELOAD"):
        env["LD_PRELOAD"] = env["CSNAP_PRELOAD"]
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    return env


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds * SLOWNESS
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise Failure(f"waited {seconds} s for {what}")


class Rig:
    def __init__(self, size=8 << 20, store=64 << 20, chunk=CHUNK, volumes=("vol",), format_args=(),
                 server_args=(), plugin_args=(), origin_device=None, store_device=None, written=False):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="csnap-test-"))
        self.processes = []
        self.at_end = []                # called, whatever happened, before the processes are killed
        self.collect_sanitizer_reports()
        self.size, self.chunk, self.volumes = size, chunk, volumes
        self.server_args, self.plugin_args = list(server_args), list(plugin_args)
        self.written = written          # files without holes: like a LUN, no write has to find space first
        self.store = store_device or str(self.make_file("store", store))
        self.origins = {v: origin_device or str(self.make_file(v + ".img", size)) for v in volumes}
        self.endpoints = []
        self.servers = []
        self.plugins = []
        self.handles = []
        args = ["format", self.store, "--chunk-size", str(chunk)]
        for name, path in self.origins.items():
            args += ["--origin", f"{name}={path}"]
        self.tool(*args, *format_args, server=False)

    def make_file(self, name, size):
        path = self.dir / name
        with open(path, "wb") as f:
            f.truncate(size)
            for _ in range(0, size if self.written else 0, 1 << 20):
                f.write(bytes(1 << 20))
            os.fsync(f.fileno())
        return path

    # ---- sanitizers ----
    def collect_sanitizer_reports(self):
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            kept = [o for o in os.environ.get(name, "").split(":") if o and not o.startswith("log_path=")]
            os.environ[name] = ":".join(kept + [f"log_path={self.dir}/sanitizer"])

    def sanitizer_reports(self):
        return "".join(path.read_text(errors="replace") for path in sorted(self.dir.glob("sanitizer.*")))

    # ---- processes ----
    def spawn(self, args, log, env=None):
        out = open(self.dir / log, "ab")
        process = subprocess.Popen([str(a) for a in args], stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=env)
        out.close()
        self.processes.append(process)
        return process

    def start_server(self, listen=None, wait=True, extra=()):
        number = len(self.servers)
        listen = listen or f"unix:{self.dir}/server{number}.sock"
        args = [SERVER, "--store", self.store, "--listen", listen, *self.server_args, *extra]
        process = self.spawn(args, f"server{number}.log")
        self.servers.append((process, listen))
        if listen not in self.endpoints:
            self.endpoints.append(listen)
        if wait:
            self.wait_for_master()
        return process

    def restart_server(self, index=0, wait=True):
        listen = self.servers[index][1]
        process = self.spawn([SERVER, "--store", self.store, "--listen", listen, *self.server_args],
                             f"server{index}.log")
        self.servers[index] = (process, listen)
        if wait:
            self.wait_for_master()
        return process

    def wait_for_master(self, seconds=20):
        wait_for(lambda: self.try_tool("status", "--json", timeout=1)[0] == 0, seconds, "a master to answer")

    def start_plugin(self, wait=True, extra=(), filters=()):
        number = len(self.plugins)
        socket = self.dir / f"nbd{number}.sock"
        socket.unlink(missing_ok=True)
        env = nbdkit_environment()
        args = ["nbdkit", "-f", "-U", socket, *filters, PLUGIN, "server=" + ",".join(self.endpoints),
                "store=" + self.store, *self.plugin_args, *extra]
        process = self.spawn(args, f"nbd{number}.log", env=env)
        self.plugins.append((process, socket, args, env))
        if wait:
            self.wait_for_plugin(number)
        return number

    def restart_plugin(self, number, wait=True):
        _, socket, args, env = self.plugins[number]
        socket.unlink(missing_ok=True)
        process = self.spawn(args, f"nbd{number}.log", env=env)
        self.plugins[number] = (process, socket, args, env)
        if wait:
            self.wait_for_plugin(number)

    def wait_for_plugin(self, number):
        process, socket = self.plugins[number][:2]

        def ready():
            if process.poll() is not None:
                raise Failure(f"nbdkit ended: {self.log(f'nbd{number}.log')}")
            with socket_module.socket(socket_module.AF_UNIX) as s:
                return s.connect_ex(str(socket)) == 0       # it exists before it listens
        wait_for(ready, 20, "nbdkit's socket")

    @staticmethod
    def kill(process, sig=signal.SIGKILL):
        process.send_signal(sig)
        return process.wait(timeout=30 * SLOWNESS)

    def log(self, name):
        path = self.dir / name
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    # ---- talking to them ----
    def uri(self, export, plugin=0):
        return f"nbd+unix:///{export}?socket={self.plugins[plugin][1]}"

    def connect(self, export, plugin=0):
        h = nbd.NBD()
        h.set_strict_mode(0)
        h.add_meta_context("base:allocation")
        h.connect_uri(self.uri(export, plugin))
        self.handles.append(h)
        return h

    def close_handles(self):
        """nbdkit 1.32 waits at SIGTERM, with any plugin, until its idle clients have gone."""
        for h in self.handles:
            try:
                h.shutdown()
            except nbd.Error:
                pass                # its server was killed
        self.handles.clear()

    def try_tool(self, *args, server=True, timeout=60):
        command = [str(TOOL)]
        if server:
            command += ["--server", ",".join(self.endpoints)]
            if timeout <= 5:
                command += ["--timeout", str(timeout)]
        done = subprocess.run(command + [str(a) for a in args], capture_output=True, text=True,
                              timeout=(timeout + 60) * SLOWNESS)
        return done.returncode, done.stdout, done.stderr

    def tool(self, *args, server=True):
        code, out, err = self.try_tool(*args, server=server)
        if code != 0:
            raise Failure(f"csnap {' '.join(map(str, args))}: exit {code}: {err.strip()}")
        return out

    def json(self, *args, server=True):
        return json.loads(self.tool(*args, "--json", server=server))

    def check(self, *args, device=None):
        code, out, err = self.try_tool("check", device or self.store, *args, "--json", server=False)
        report = json.loads(out) if out else {}
        if code != 0 or not report.get("ok"):
            raise Failure(f"csnap check: exit {code}: {report.get('errors')} {err}")
        return report

    # ---- the end ----
    def stop(self):
        """Plugins first, then servers; both must end cleanly and promptly."""
        self.close_handles()
        for group in ([p[0] for p in self.plugins], [s[0] for s in self.servers]):
            for process in group:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
            for process in group:
                code = process.wait(timeout=30 * SLOWNESS)
                if code not in (0, -signal.SIGKILL, -signal.SIGTERM):
                    raise Failure(f"a process ended with {code}")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, _trace):
        for action in self.at_end:
            try:
                action()
            except Exception as e:      # whatever it is, no process stays behind
                print(f"at the end: {e}", file=sys.stderr)
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        reports = self.sanitizer_reports()
        if kind is not None:
            for log in sorted(self.dir.glob("*.log")):
                print(f"---- {log.name}\n{self.log(log.name)}", file=sys.stderr)
        if os.environ.get("CSNAP_KEEP") == "1":
            print(f"kept {self.dir}", file=sys.stderr)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
        if reports:
            print(reports[:20000], file=sys.stderr)
            raise Failure("a sanitizer complained")


def run(cases):
    """Runs the functions given (or those named on the command line); exit 1 at the first that fails, 77 (which Meson
    counts as skipped) if none could run."""
    wanted = sys.argv[1:]
    done = skipped = 0
    for case in cases:
        if wanted and case.__name__ not in wanted:
            continue
        begin = time.monotonic()
        try:
            case()
        except Skip as reason:
            print(f"skip {case.__name__}: {reason}", flush=True)
            skipped += 1
            continue
        done += 1
        print(f"ok {case.__name__} ({time.monotonic() - begin:.1f} s)", flush=True)
    if done == 0:
        sys.exit(77 if skipped else "no such case")
