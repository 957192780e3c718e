# SPDX-License-Identifier: BSD-3-Clause
"""Somebody else elects (--election pacemaker): standbys, promotion in place, demotion, and a master that was paused
while another one was promoted. Without any cluster manager: the orders are given by the tool."""
import json
import os
import pwd
import signal
import socket
import subprocess
import time

from rig import CHUNK, SERVER, TOOL, Rig, expect, run, wait_for


class Told(Rig):
    """Servers 0 and 1 of one store, each told its role by its own control socket."""

    def control(self, number):
        return f"{self.dir}/control{number}"

    def begin(self, number):
        extra = ["--election", "pacemaker", "--control", self.control(number), "--node", number]
        if number < len(self.servers):
            listen = self.servers[number][1]
            process = self.spawn([SERVER, "--store", self.store, "--listen", listen, *extra], f"server{number}.log")
            self.servers[number] = (process, listen)
        else:
            self.start_server(wait=False, extra=extra)
        wait_for(lambda: self.order(number, "role")[0] == 0, 20, "a standby to answer")

    def order(self, number, *args, timeout=30):
        done = subprocess.run([TOOL, "--timeout", str(timeout), *args, "--control", self.control(number)],
                              capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def state(self, number, *args):
        code, out, err = self.order(number, "role", "--json", *args)
        expect(code == 0, f"role {args}: exit {code}: {err}")
        return json.loads(out)

    def promote(self, number):
        code, out, err = self.order(number, "promote")
        expect(code == 0 and "role master" in out, f"promote: exit {code}: {out} {err}")


def a_standby_stands_by_until_it_is_told():
    with Told() as r:
        r.begin(0)
        r.begin(1)
        before = bytes(open(r.store, "rb").read(4 << 20))
        time.sleep(0.5)
        for number in range(2):
            expect(r.state(number)["role"] == "standby", "a server that nobody promoted")
        code, _, err = r.try_tool("status", timeout=2)
        expect(code == 1 and "standby" in err, f"a standby served: {err}")
        expect(before == bytes(open(r.store, "rb").read(4 << 20)), "a standby wrote to the store")
        r.promote(1)
        master = r.state(1)
        expect(master["role"] == "master" and master["term"] == "2.1", f"promoted: {master}")
        seen = r.state(0, "--verify")
        expect((seen["role"], seen["term"]) == ("standby", "2.1"), f"the standby: {seen}")
        expect(seen["master"] == r.servers[1][1], f"the standby names {seen['master']}")
        expect(r.json("status")["term"] == "2.1", "the tool finds the master through the standby")
        r.promote(1)
        expect(r.state(1)["term"] == "2.1", "promoting a master again changed its term")
        r.stop()


def demotion_is_the_end_of_a_master():
    with Told() as r:
        r.begin(0)
        r.begin(1)
        r.promote(0)
        r.start_plugin()
        h = r.connect("vol")
        for term in ("3.1", "4.0", "5.1"):
            h.pwrite(b"old", 0)
            r.tool("create", f"vol@before{term}")
            h.pwrite(b"new", 0)
            old, new = (0, 1) if term.endswith("1") else (1, 0)
            process = r.servers[old][0]
            code, out, err = r.order(old, "demote")
            expect(code == 0 and "role ended" in out, f"demote: exit {code}: {out} {err}")
            expect(process.wait(timeout=20) == 0, "a demoted master did not end cleanly")
            expect(r.order(old, "pid")[1] == "none\n", "the process of a server that has ended")
            r.promote(new)
            expect(r.state(new)["term"] == term, f"the term after a move: {r.state(new)}")
            h.pwrite(b"more", CHUNK)
            expect(bytes(r.connect(f"vol@before{term}").pread(3, 0)) == b"old", "the snapshot after a move")
            r.begin(old)
        code, out, _ = r.order(old, "demote")
        expect(code == 0 and "role standby" in out, f"demoting a standby: {out}")
        expect(r.order(new, "pid")[1].strip() == str(r.servers[new][0].pid), "csnap pid")
        expect(r.state(new, "--inspect", "20")["role"] == "master", "the inspection of a good index")
        r.stop()
        r.check()


def a_master_that_slept_stops_when_it_wakes():
    with Told() as r:
        r.begin(0)
        r.begin(1)
        r.promote(0)
        r.start_plugin()
        h = r.connect("vol")
        h.pwrite(b"old", 0)
        r.tool("create", "vol@s")
        stale = r.servers[0][0]
        stale.send_signal(signal.SIGSTOP)
        try:
            code, _, err = r.order(0, "role", timeout=1)
            expect(code == 1 and "does not answer" in err, f"a stopped server answered: {err}")
            expect(r.order(0, "pid")[1].strip() == str(stale.pid), "a stopped server has a process")
            r.promote(1)
            h.pwrite(b"new", 0)         # needs a copy: the new master serves
            r.tool("create", "vol@s2")
        finally:
            stale.send_signal(signal.SIGCONT)
        expect(stale.wait(timeout=20) == 1, "the stale master did not stop")
        expect("not the master any more" in r.log("server0.log"), f"its log: {r.log('server0.log')}")
        expect(bytes(r.connect("vol@s").pread(3, 0)) == b"old", "the snapshot")
        expect([s["snapshot"] for s in r.json("list")] == ["s", "s2"], "the list")
        r.begin(0)
        expect(r.state(0)["role"] == "standby", "started again it stands by")
        r.servers.pop(0)
        r.stop()
        r.check()


def who_may_give_orders_and_what_is_refused():
    with Told() as r:
        r.begin(0)
        for line in (b"dance\n", b"inspect x\n", b"inspect 99999\n", b"\n", b"promote now\n"):
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(r.control(0))
                s.sendall(line)
                answer = s.makefile("rb").readline()
                expect(answer.startswith(b"failed") and b"not known" in answer, f"{line} gave {answer}")
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(r.control(0))
            s.sendall(b"x" * 5000)
            try:
                expect(s.recv(100) == b"", "a long line was answered")
            except ConnectionResetError:
                pass
        if os.geteuid() == 0:
            # Also where the modes would let him.
            r.dir.chmod(0o711)
            os.chmod(r.control(0), 0o666)
            ask = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
                   "s.sendall(b'promote\\n'); print(s.makefile().readline())")
            done = subprocess.run(["/usr/bin/python3", "-c", ask, r.control(0)], capture_output=True, text=True,
                                  user=pwd.getpwnam("nobody").pw_uid, cwd="/")
            expect("failed only root" in done.stdout, f"an order of nobody: {done}")
        expect(r.state(0)["role"] == "standby", "an order of nobody was followed")
        # The election by lock and the one by order never meet on one store.
        r.promote(0)
        process = r.spawn([SERVER, "--store", r.store, "--listen", f"unix:{r.dir}/x.sock"], "other.log")
        time.sleep(1)
        expect(r.state(0, "--verify")["term"] == "2.0", "a server with --election file took the store")
        r.kill(process)
        expect(r.try_tool("format", r.store, "--force", "--origin", f"vol={r.origins['vol']}", server=False)[0] != 0,
               "a store that is served was formatted")
        r.stop()


def an_order_to_a_server_that_elects_by_itself():
    with Rig() as r:
        r.start_server(extra=["--control", f"{r.dir}/control0"])
        for word in ("promote", "demote"):
            done = subprocess.run([TOOL, word, "--control", f"{r.dir}/control0"], capture_output=True, text=True)
            expect(done.returncode == 1 and "elect" in done.stderr, f"{word}: {done.stderr}")
        r.stop()


if __name__ == "__main__":
    run([a_standby_stands_by_until_it_is_told, demotion_is_the_end_of_a_master, a_master_that_slept_stops_when_it_wakes,
         who_may_give_orders_and_what_is_refused, an_order_to_a_server_that_elects_by_itself])
